// SPDX-License-Identifier: Apache-2.0
// Forms with a sliding window: depthwise convolutions over NHWC images, poolings, and convolutions of any rank, layout and grouping.
#include <string.h>

#include "kernels/nvrtc_form_priv.h"
#include "kernels/window.h"

static const hone_call *main_call(const hone_formed *formed)
{
    return &formed->problem->steps[formed->main].call;
}

static bool is_op(const hone_formed *formed, const char *name)
{
    return formed->main >= 0 && !strcmp(main_call(formed)->op->name, name);
}

static void set_window(hone_vars *v, const hone_window *w)
{
    static const char *const names[][7] = {
        {"in_d", "out_d", "ker_d", "stride_d", "dil_d", "pad_d", "end_d"}, {"in_h", "out_h", "ker_h", "stride_h", "dil_h", "pad_h", "end_h"},
        {"in_w", "out_w", "ker_w", "stride_w", "dil_w", "pad_w", "end_w"},
    };
    for (int k = 0; k < 3; k++) {
        const int64_t values[] = {w->in[k], w->out[k], w->kernel[k], w->stride[k], w->dilation[k], w->begin[k], w->end[k]};
        for (int i = 0; i < 7; i++) hone_vars_set(v, names[k][i], values[i]);
    }
}

static bool is_float16_or_32(hone_dtype dtype)
{
    return dtype == HONE_F32 || dtype == HONE_F16 || dtype == HONE_BF16;
}

// ---- poolings

static hone_status read_pool(hone_formed *formed, hone_window *window)
{
    static const char *const names[] = {"maxpool", "avgpool", "lppool"};
    const int64_t *kernel;
    int op = 0;
    while (op < 3 && !is_op(formed, names[op])) op++;
    if (op == 3) return hone_fail(HONE_DECLINED, "no pooling");
    const hone_call *call = main_call(formed);
    const hone_tensor *x = hone_form_input(formed, 0);
    if (!is_float16_or_32(x->dtype)) return hone_fail(HONE_DECLINED, "pooling of %s", hone_dtype_name(x->dtype));
    hone_call_list(call, "kernel", &kernel);
    hone_vars_set(&formed->vars, "op", op);
    hone_vars_set(&formed->vars, "include_pad", op == 1 && hone_call_int(call, "include_pad"));
    hone_form_set_real(formed, "p", op == 2 ? hone_call_real(call, "p") : 0);
    formed->dtype = x->dtype;
    return hone_window_init(call, x, kernel, hone_call_int(call, "ceil") != 0, window);
}

hone_status hone_form_pool(const hone_problem *problem, hone_formed *formed)
{
    hone_window window;
    hone_status status = read_pool(formed, &window);
    if (status) return status;
    hone_layout layout = hone_form_head_layout(formed);
    if (layout != problem->out[0].layout || problem->out[0].rank != hone_form_input(formed, 0)->rank)
        return hone_fail(HONE_DECLINED, "x and the result lie in different layouts");
    status = hone_form_add_head(formed, layout, 1);
    if (!status) status = hone_form_add_tail(formed, 1);
    set_window(&formed->vars, &window);
    hone_vars_set(&formed->vars, "nhwc", layout == HONE_NHWC);
    hone_vars_set(&formed->vars, "taps", hone_window_taps(&window));
    return status;
}

// ---- depthwise

static hone_status add_window_tail(hone_formed *formed, int cols_axes)
{
    int bias;
    hone_status status = hone_form_operand(formed, 2, &bias);
    if (!status) status = hone_form_add_tail(formed, cols_axes);
    return status || bias < 0 ? status : hone_region_add_bias(&formed->tail, bias, 1);
}

static hone_status set_operands(hone_formed *formed)
{
    int x, w;
    hone_status status = hone_form_operand(formed, 0, &x);
    if (!status) status = hone_form_operand(formed, 1, &w);
    if (status) return status;
    hone_dtype dtype = formed->problem->operands[x].dtype, weights = formed->problem->operands[w].dtype;
    if (!is_float16_or_32(dtype) || !is_float16_or_32(weights))
        return hone_fail(HONE_DECLINED, "a convolution of %s and %s", hone_dtype_name(dtype), hone_dtype_name(weights));
    if (hone_tensor_count(&formed->problem->operands[x]) >= INT32_MAX || hone_tensor_count(&formed->problem->operands[w]) >= INT32_MAX)
        return hone_fail(HONE_DECLINED, "an operand has more elements than 31 bits count");
    formed->dtype = dtype;
    hone_form_set_type(formed, "W_T", weights);
    hone_vars_set(&formed->vars, "in_a", x);
    hone_vars_set(&formed->vars, "in_b", w);
    return HONE_OK;
}

hone_status hone_form_depthwise(const hone_problem *problem, hone_formed *formed)
{
    hone_window window;
    if (!is_op(formed, "conv") || formed->main) return hone_fail(HONE_DECLINED, "no convolution");
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1);
    int64_t groups = hone_call_int(main_call(formed), "group");
    if (x->rank != 4 || groups != x->dims[1] || w->dims[0] != groups || groups == 1) return hone_fail(HONE_DECLINED, "not depthwise");
    if (x->layout != HONE_NHWC || problem->out[0].layout != HONE_NHWC || problem->out[0].rank != 4) return hone_fail(HONE_DECLINED, "only NHWC images");
    hone_status status = set_operands(formed);
    if (!status) status = hone_window_init(main_call(formed), x, w->dims + 2, false, &window);
    if (!status) status = add_window_tail(formed, 1);
    if (status) return status;
    set_window(&formed->vars, &window);
    hone_vars_set(&formed->vars, "channels", groups);
    hone_vars_set(&formed->vars, "images", x->dims[0]);
    return HONE_OK;
}

// ---- direct

static void set_strides(hone_vars *v, const hone_tensor *tensor, const char *const names[5])
{
    int64_t dims[HONE_RANK_MAX], strides[HONE_RANK_MAX], step = 1;
    hone_tensor_physical(tensor, dims);
    for (int k = tensor->rank - 1; k >= 0; step *= dims[k--]) strides[k] = step;
    for (int k = 0; k < 5; k++) {
        int axis = k < 2 ? k : k - (5 - tensor->rank);         // leading spatial axes of extent 1 come first
        hone_vars_set(v, names[k], axis < 0 || (k >= 2 && axis < 2) ? 0 : strides[hone_tensor_physical_axis(tensor, axis)]);
    }
}

hone_status hone_form_direct(const hone_problem *problem, hone_formed *formed)
{
    static const char *const x_names[] = {"xs_n", "xs_c", "xs_d", "xs_h", "xs_w"}, *const w_names[] = {"ws_o", "ws_i", "ws_d", "ws_h", "ws_w"};
    hone_window window;
    bool transposed = is_op(formed, "convtranspose");
    if (formed->main || !(transposed || is_op(formed, "conv"))) return hone_fail(HONE_DECLINED, "no convolution");
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1), *out = &problem->steps[0].out[0];
    if (problem->out[0].rank != out->rank) return hone_fail(HONE_DECLINED, "the result is reshaped");
    hone_status status = set_operands(formed);
    if (!status) status = transposed ? hone_window_init_transposed(main_call(formed), x, w->dims + 2, &window)
                                     : hone_window_init(main_call(formed), x, w->dims + 2, false, &window);
    if (!status) status = add_window_tail(formed, 1);
    if (status) return status;
    int64_t groups = hone_call_int(main_call(formed), "group");
    hone_vars *v = &formed->vars;
    set_window(v, &window);
    set_strides(v, x, x_names);
    set_strides(v, w, transposed ? (const char *const[]){"ws_i", "ws_o", "ws_d", "ws_h", "ws_w"} : w_names);
    hone_vars_set(v, "transposed", transposed);
    hone_vars_set(v, "nhwc", problem->out[0].layout == HONE_NHWC);
    hone_vars_set(v, "channels", out->dims[1]);
    hone_vars_set(v, "group_c", x->dims[1] / groups);
    hone_vars_set(v, "group_k", out->dims[1] / groups);
    hone_vars_set(v, "taps", hone_window_taps(&window));
    int64_t group_c = x->dims[1] / groups;
    bool even = x->layout == HONE_NHWC && w->layout == HONE_NHWC && !transposed;       // channels lie side by side in both
    hone_vars_set(v, "deep_vec", even ? group_c & -group_c : 1);
    // Other kernels serve it too (implicit products, depthwise).
    bool images = x->rank == 4 && x->layout == HONE_NHWC && problem->out[0].layout == HONE_NHWC && !transposed;
    hone_vars_set(v, "others", images && ((even && group_c >= 4) || groups == 1 || (group_c == 1 && out->dims[1] == groups)));
    return HONE_OK;
}
