// SPDX-License-Identifier: Apache-2.0
// Convolutions over images whose channels are planes (NCHW), with an NHWC result: the first of a network.
#include <string.h>

#include "kernels/nvrtc_form_priv.h"
#include "kernels/window.h"

// Elements along a tap row that lie side by side, all inside or all outside of the image, and begin at a multiple of their size.
static int64_t width_of_rows(const hone_window *w)
{
    int64_t all = w->kernel[2] | w->stride[2] | w->begin[2] | w->in[2], width = all & -all;
    return w->dilation[2] != 1 ? 1 : width < 4 ? width : 4;
}

static void set_sizes(hone_formed *formed, const hone_tensor *x, const hone_tensor *w, const hone_window *window)
{
    int64_t k = w->dims[1] * w->dims[2] * w->dims[3];
    const struct { const char *name; int64_t value; } values[] = {
        {"m", x->dims[0] * window->out[1] * window->out[2]}, {"n", w->dims[0]}, {"k", k}, {"in_c", x->dims[1]},
        {"in_h", window->in[1]}, {"in_w", window->in[2]}, {"out_h", window->out[1]}, {"out_w", window->out[2]}, {"ker_h", window->kernel[1]},
        {"ker_w", window->kernel[2]}, {"stride_h", window->stride[1]}, {"stride_w", window->stride[2]}, {"pad_h", window->begin[1]},
        {"pad_w", window->begin[2]}, {"dil_h", window->dilation[1]}, {"dil_w", window->dilation[2]}, {"va", width_of_rows(window)},
        {"vb", hone_form_access_width(k, formed->dtype)},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) hone_vars_set(&formed->vars, values[i].name, values[i].value);
}

hone_status hone_form_planes(const hone_problem *problem, hone_formed *formed)
{
    hone_window window;
    int bias;
    if (formed->main || strcmp(problem->steps[0].call.op->name, "conv")) return hone_fail(HONE_DECLINED, "no convolution");
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1), *out = &problem->out[0];
    if (x->rank != 4 || x->layout != HONE_ROW || w->layout != HONE_ROW || out->rank != 4 || out->layout != HONE_NHWC)
        return hone_fail(HONE_DECLINED, "only from planes to NHWC");
    if (hone_call_int(&problem->steps[0].call, "group") != 1 || x->dims[1] == 1) return hone_fail(HONE_DECLINED, "groups, or one plane");
    hone_status status = hone_form_set_sides(formed);
    if (!status) status = hone_window_init(&problem->steps[0].call, x, w->dims + 2, false, &window);
    if (!status) status = hone_form_operand(formed, 2, &bias);
    if (!status) status = hone_form_add_tail(formed, 1);
    if (!status && bias >= 0) status = hone_region_add_bias(&formed->tail, bias, 1);
    if (!status) set_sizes(formed, x, w, &window);
    return status;
}
