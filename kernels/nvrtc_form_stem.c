// SPDX-License-Identifier: Apache-2.0
// The first convolution of a network: few channels, planes or NHWC, to an NHWC result of 16-bit floats, with the elementwise steps behind it and, or
// not, the max pooling behind those. Without a pooling it is one of 1 x 1.
#include <string.h>

#include "kernels/nvrtc_form_priv.h"
#include "kernels/window.h"

#define CHANNELS_MAX 4

typedef struct number {
    const char *name;
    int64_t value;
} number;

static void set_numbers(hone_vars *vars, const number *numbers, size_t n)
{
    for (size_t k = 0; k < n; k++) hone_vars_set(vars, numbers[k].name, numbers[k].value);
}

#define SET(formed, numbers) set_numbers(&(formed)->vars, numbers, sizeof(numbers) / sizeof *(numbers))

// Distances between neighbours along N, C, H, W.
static void set_strides(hone_formed *formed, const hone_tensor *t, const char *const *names)
{
    const int64_t c = t->dims[1], h = t->dims[2], w = t->dims[3], all = c * h * w;
    const int64_t planes[] = {all, h * w, w, 1}, nhwc[] = {all, 1, w * c, c};
    for (int k = 0; k < 4; k++) hone_vars_set(&formed->vars, names[k], t->layout == HONE_NHWC ? nhwc[k] : planes[k]);
}

static void set_convolution(hone_formed *formed, const hone_tensor *x, const hone_tensor *w, const hone_window *window)
{
    const number numbers[] = {
        {"images", x->dims[0]}, {"in_c", x->dims[1]}, {"n", w->dims[0]}, {"in_h", window->in[1]}, {"in_w", window->in[2]},
        {"out_h", window->out[1]}, {"out_w", window->out[2]}, {"ker_h", window->kernel[1]}, {"ker_w", window->kernel[2]},
        {"stride_h", window->stride[1]}, {"stride_w", window->stride[2]}, {"pad_h", window->begin[1]}, {"pad_w", window->begin[2]},
        {"dil_h", window->dilation[1]}, {"is_bf16", formed->problem->out[0].dtype == HONE_BF16},
    };
    SET(formed, numbers);
    set_strides(formed, x, (const char *const[]){"xs_n", "xs_c", "xs_h", "xs_w"});
    set_strides(formed, w, (const char *const[]){"ws_o", "ws_c", "ws_h", "ws_w"});
}

static void set_pool(hone_formed *formed, const hone_window *w)
{
    const number numbers[] = {
        {"pool_h", w->out[1]}, {"pool_w", w->out[2]}, {"pk_h", w->kernel[1]}, {"pk_w", w->kernel[2]}, {"ps_h", w->stride[1]},
        {"ps_w", w->stride[2]}, {"pp_h", w->begin[1]}, {"pp_w", w->begin[2]},
    };
    SET(formed, numbers);
}

// Where the pooling is: the last step, or none (-1).
static int find_pool(const hone_problem *problem)
{
    const hone_step *last = &problem->steps[problem->n_steps - 1];
    bool is_pool = !strcmp(last->call.op->name, "maxpool") && last->call.n_out == 1 && last->in[0].kind == HONE_REF_RESULT;
    return is_pool && last->in[0].index == problem->n_steps - 2 ? problem->n_steps - 1 : -1;
}

static hone_status read_pool(const hone_problem *problem, int pool, const hone_tensor *x, hone_window *window)
{
    const int64_t *kernel;
    *window = (hone_window){.out = {1, x->dims[2], x->dims[3]}, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
    if (pool < 0) return HONE_OK;
    const hone_call *call = &problem->steps[pool].call;
    hone_call_list(call, "kernel", &kernel);
    hone_status status = hone_window_init(call, x, kernel, hone_call_int(call, "ceil") != 0, window);
    if (!status && (window->dilation[1] != 1 || window->dilation[2] != 1)) status = hone_fail(HONE_DECLINED, "a pooling with gaps");
    return status;
}

static hone_status check_image(const hone_problem *problem, const hone_tensor *x)
{
    const hone_tensor *out = &problem->out[0];
    if (x->rank != 4 || hone_call_int(&problem->steps[0].call, "group") != 1 || x->dims[1] > CHANNELS_MAX)
        return hone_fail(HONE_DECLINED, "no image of few channels");
    if (problem->n_out != 1 || out->rank != 4 || out->layout != HONE_NHWC) return hone_fail(HONE_DECLINED, "only to NHWC");
    if ((out->dtype != HONE_F16 && out->dtype != HONE_BF16) || (x->dtype != HONE_F32 && x->dtype != out->dtype))
        return hone_fail(HONE_DECLINED, "only to 16-bit floats, from these or single precision");
    return HONE_OK;
}

// The steps between convolution and pooling are a middle, and nothing is left for the tail but to store.
static hone_status add_regions(hone_formed *formed, int pool)
{
    const hone_problem *problem = formed->problem;
    int bias, end = pool < 0 ? problem->n_steps : pool;
    hone_tensor domain = problem->steps[0].out[0];
    domain.layout = HONE_NHWC;
    if (!hone_tensor_same_dims(&domain, &problem->steps[end - 1].out[0])) return hone_fail(HONE_DECLINED, "the tail widens the result");
    hone_status status = hone_form_operand(formed, 2, &bias);
    formed->has_middle = true;
    if (!status) status = hone_region_init(&formed->middle, problem, 1, end, 0, (hone_ref){HONE_REF_RESULT, end - 1}, &domain, 3);
    if (!status && bias >= 0) status = hone_region_add_bias(&formed->middle, bias, 1);
    formed->main = problem->n_steps - 1;
    if (!status) status = hone_form_add_tail(formed, 1);
    while (!status && formed->middle.vec < formed->tail.vec) formed->tail.vec /= 2;
    return status;
}

hone_status hone_form_stem(const hone_problem *problem, hone_formed *formed)
{
    hone_window window, pooled;
    int pool = find_pool(problem);
    formed->main = 0;
    if (strcmp(problem->steps[0].call.op->name, "conv")) return hone_fail(HONE_DECLINED, "no convolution");
    hone_status status = hone_form_set_sides(formed);
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1);
    if (!status) status = check_image(problem, x);
    if (!status) status = hone_window_init(&problem->steps[0].call, x, w->dims + 2, false, &window);
    if (!status && window.dilation[2] != 1) status = hone_fail(HONE_DECLINED, "taps of a row that lie apart");
    if (!status) status = read_pool(problem, pool, &problem->steps[0].out[0], &pooled);
    if (!status) status = add_regions(formed, pool);
    if (status) return status;
    set_convolution(formed, x, w, &window);
    set_pool(formed, &pooled);
    return HONE_OK;
}
