// SPDX-License-Identifier: Apache-2.0
// Transposed convolutions whose taps do not overlap (kernel = stride, no padding): a pixel's taps land where no other's do, so that the whole is
// one product, pixels x (taps and output channels), whose results change places as they are stored.
#include <string.h>

#include "kernels/nvrtc_form_priv.h"
#include "kernels/window.h"

static bool lies_apart(const hone_window *w)
{
    for (int k = 0; k < 3; k++) {
        if (w->kernel[k] != w->stride[k] || w->begin[k] || w->end[k]) return false;
        if ((w->dilation[k] != 1 && w->kernel[k] != 1) || w->out[k] != w->in[k] * w->stride[k]) return false;
    }
    return true;
}

// One channel or one pixel: both layouts are the same bytes.
static bool is_nhwc(const hone_tensor *t)
{
    return t->layout == HONE_NHWC && t->dims[1] > 1;
}

static void set_product(hone_formed *formed, const hone_tensor *x, const hone_tensor *w)
{
    bool rows = is_nhwc(x);                    // of x run along channels
    int64_t pixels = x->dims[2] * x->dims[3], n = w->dims[1] * w->dims[2] * w->dims[3];
    const struct { const char *name; int64_t value; } values[] = {
        {"m", rows ? x->dims[0] * pixels : pixels}, {"n", n}, {"k", x->dims[1]}, {"batch", rows ? 1 : x->dims[0]}, {"ta", !rows}, {"tb", 0},
        {"lda", rows ? x->dims[1] : pixels}, {"ldb", n}, {"a_inner", x->dims[1] * pixels}, {"pixels", x->dims[0] * pixels},
        {"in_h", x->dims[2]}, {"in_w", x->dims[3]}, {"ker_h", w->dims[2]}, {"ker_w", w->dims[3]}, {"channels", w->dims[1]},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) hone_vars_set(&formed->vars, values[i].name, values[i].value);
    hone_vars_set(&formed->vars, "va", hone_form_access_width(hone_vars_get(&formed->vars, "lda"), formed->dtype));
    hone_vars_set(&formed->vars, "vb", hone_form_access_width(n, formed->dtype));
}

hone_status hone_form_deconv(const hone_problem *problem, hone_formed *formed)
{
    hone_window window;
    int bias;
    if (formed->main || strcmp(problem->steps[0].call.op->name, "convtranspose")) return hone_fail(HONE_DECLINED, "no transposed convolution");
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1), *out = &problem->out[0];
    if (x->rank != 4 || out->rank != 4) return hone_fail(HONE_DECLINED, "only images of two dimensions");
    hone_status status = hone_form_set_sides(formed);
    if (!status) status = hone_window_init_transposed(&problem->steps[0].call, x, w->dims + 2, &window);
    if (status) return status;
    if (!lies_apart(&window) || hone_call_int(&problem->steps[0].call, "group") != 1) return hone_fail(HONE_DECLINED, "the taps overlap");
    if (x->dims[0] >= 65536) return hone_fail(HONE_DECLINED, "%lld images", (long long)x->dims[0]);
    status = hone_form_operand(formed, 2, &bias);
    if (!status) status = hone_form_add_tail(formed, 1);
    if (!status && bias >= 0) status = hone_region_add_bias(&formed->tail, bias, 1);
    if (status) return status;
    set_product(formed, x, w);
    // Neighbours in a row of the product are neighbours in the result where both have the channels inside, or both have not.
    bool w_inside = is_nhwc(w), out_inside = is_nhwc(out);
    int64_t run = w_inside && out_inside ? w->dims[1] : w_inside || out_inside ? 1 : w->dims[3];
    while (run % formed->tail.vec) formed->tail.vec /= 2;
    hone_vars_set(&formed->vars, "w_inside", w_inside);
    hone_vars_set(&formed->vars, "out_inside", out_inside);
    return HONE_OK;
}
