// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv.h"

hone_status hone_cpu_conv_init(const hone_problem *problem, hone_cpu_conv *conv)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    const hone_call *call = &problem->steps[0].call;
    hone_problem_inputs(problem, 0, in);
    const hone_tensor *x = in[0], *w = in[1];
    hone_status status = hone_window_init(call, x, w->dims + 2, false, &conv->window);
    if (status != HONE_OK) return status;
    conv->images = x->dims[0];
    conv->groups = hone_call_int(call, "group");
    conv->cin = w->dims[1];
    conv->cout = w->dims[0] / conv->groups;
    conv->taps = hone_window_taps(&conv->window);
    conv->depth = conv->cin * conv->taps;
    conv->x = hone_cpu_input(problem, 0), conv->w = hone_cpu_input(problem, 1), conv->b = hone_cpu_input(problem, 2);
    conv->is_pointwise = conv->taps == 1;
    for (int k = 0; k < 3; k++)
        conv->is_pointwise = conv->is_pointwise && conv->window.stride[k] == 1 && !conv->window.begin[k] && !conv->window.end[k];
    return HONE_OK;
}

bool hone_cpu_conv_lies(const hone_problem *problem, hone_layout layout)
{
    const hone_tensor *x = &problem->operands[hone_cpu_input(problem, 0)], *w = &problem->operands[hone_cpu_input(problem, 1)];
    return x->layout == layout && problem->out[0].layout == layout &&
           (w->layout == layout || (w->dims[2] == 1 && w->dims[w->rank - 1] == 1));
}

void hone_cpu_conv_flatten(hone_cpu_conv *conv)
{
    int64_t positions = hone_window_in(&conv->window);
    for (int k = 0; k < 3; k++) conv->window.in[k] = conv->window.out[k] = 1;
    conv->window.in[1] = conv->window.out[1] = positions;
}
