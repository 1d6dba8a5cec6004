// SPDX-License-Identifier: Apache-2.0
// Squeeze and excite: the mean of each channel over an image, two small products behind each other (convolutions of 1 x 1 on one pixel), and
// what is done with their result, also over the whole image. The mean may be missing: then x is the vector of channels.
#include <string.h>

#include "kernels/nvrtc_form_priv.h"
#include "kernels/window.h"

typedef struct parts {                 // steps
    int mean, first, second;           // mean -1: none
} parts;

static bool is_step(const hone_problem *problem, int s, const char *op)
{
    return !strcmp(problem->steps[s].call.op->name, op);
}

static hone_status find_parts(const hone_problem *problem, parts *at)
{
    *at = (parts){-1, -1, -1};
    for (int s = 0; s < problem->n_steps; s++) {
        if (hone_step_is_elementwise(&problem->steps[s]) || hone_step_is_strided(problem, s)) continue;
        int *to = at->first < 0 && at->mean < 0 && is_step(problem, s, "reduce") ? &at->mean : at->first < 0 ? &at->first : &at->second;
        if (*to >= 0 || (to != &at->mean && !is_step(problem, s, "conv"))) return hone_fail(HONE_DECLINED, "no squeeze and excite");
        *to = s;
    }
    return at->second < 0 ? hone_fail(HONE_DECLINED, "no two products behind each other") : HONE_OK;
}

static const hone_tensor *input_of(const hone_problem *problem, int s, int k)
{
    const hone_ref *ref = &problem->steps[s].in[k];
    return ref->kind == HONE_REF_OPERAND ? &problem->operands[ref->index] : &problem->steps[ref->index].out[0];
}

static bool is_mean_of_image(const hone_call *call)
{
    const int64_t *axes;
    return !strcmp(hone_call_word(call, "kind"), "mean") && hone_call_int(call, "keep") && hone_call_list(call, "axes", &axes) == 2 &&
           axes[0] == 2 && axes[1] == 3;
}

// A convolution of 1 x 1 on one pixel, with weights that are an operand: rows of input channels.
static hone_status check_product(const hone_problem *problem, int s)
{
    const hone_step *step = &problem->steps[s];
    const hone_tensor *x = input_of(problem, s, 0), *w = input_of(problem, s, 1);
    hone_window window;
    if (x->rank != 4 || x->dims[2] * x->dims[3] != 1 || w->dims[2] * w->dims[3] != 1 || hone_call_int(&step->call, "group") != 1)
        return hone_fail(HONE_DECLINED, "no product of one pixel");
    if (step->in[1].kind != HONE_REF_OPERAND || (step->call.n_in > 2 && step->in[2].kind == HONE_REF_RESULT))
        return hone_fail(HONE_DECLINED, "weights that are computed");
    if (hone_tensor_count(w) >= INT32_MAX) return hone_fail(HONE_DECLINED, "weights of more elements than 31 bits count");
    hone_status status = hone_window_init(&step->call, x, w->dims + 2, false, &window);
    if (!status && hone_window_out(&window) != 1) status = hone_fail(HONE_DECLINED, "no product of one pixel");
    return status;
}

static hone_tensor as_nhwc(const hone_tensor *t)
{
    hone_tensor image = *t;
    image.layout = HONE_NHWC;
    return image;
}

static bool lies_nhwc(const hone_tensor *t)
{
    return t->rank == 4 && (t->layout == HONE_NHWC || t->dims[1] == 1 || t->dims[2] * t->dims[3] == 1);
}

static hone_status add_bias(const hone_problem *problem, int s, hone_region *region)
{
    const hone_step *step = &problem->steps[s];
    if (step->call.n_in < 3 || step->in[2].kind == HONE_REF_ABSENT) return HONE_OK;
    return hone_region_add_bias(region, step->in[2].index, 1);
}

// What makes x, what stands between the products, and what follows them.
static hone_status add_regions(hone_formed *formed, const parts *at)
{
    const hone_problem *problem = formed->problem;
    int reads = at->mean >= 0 ? at->mean : at->first;
    hone_tensor x = as_nhwc(input_of(problem, reads, 0)), hidden = as_nhwc(&problem->steps[at->first].out[0]), out = as_nhwc(&problem->out[0]);
    hone_ref result = {HONE_REF_RESULT, problem->n_steps - 1};
    hone_status status = hone_region_init(&formed->head, problem, 0, reads, -1, problem->steps[reads].in[0], &x, 3);
    if (!status) status = hone_region_init(&formed->middle, problem, at->first + 1, at->second, at->first, problem->steps[at->second].in[0], &hidden, 3);
    if (!status) status = add_bias(problem, at->first, &formed->middle);
    if (!status) status = hone_region_init(&formed->tail, problem, at->second + 1, problem->n_steps, at->second, result, &out, 3);
    if (!status) status = add_bias(problem, at->second, &formed->tail);
    formed->has_head = formed->has_middle = formed->has_tail = true;
    return status;
}

static hone_status set_sizes(hone_formed *formed, const parts *at)
{
    const hone_problem *problem = formed->problem;
    const hone_tensor *x = input_of(problem, at->mean >= 0 ? at->mean : at->first, 0), *out = &problem->out[0];
    const hone_step *first = &problem->steps[at->first], *second = &problem->steps[at->second];
    const struct { const char *name; int64_t value; } values[] = {
        {"images", x->dims[0]}, {"pixels", x->dims[2] * x->dims[3]}, {"channels", x->dims[1]}, {"hidden", first->out[0].dims[1]},
        {"outs", second->out[0].dims[1]}, {"out_pixels", out->dims[2] * out->dims[3]}, {"in_first", first->in[1].index},
        {"in_second", second->in[1].index},
    };
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) hone_vars_set(&formed->vars, values[k].name, values[k].value);
    formed->dtype = problem->operands[first->in[1].index].dtype;
    if (problem->operands[second->in[1].index].dtype != formed->dtype) return hone_fail(HONE_DECLINED, "weights of two types");
    return HONE_OK;
}

hone_status hone_form_squeeze(const hone_problem *problem, hone_formed *formed)
{
    parts at;
    hone_status status = find_parts(problem, &at);
    if (status) return status;
    int reads = at.mean >= 0 ? at.mean : at.first;
    const hone_tensor *out = &problem->out[0];
    if (at.mean >= 0 && (input_of(problem, at.mean, 0)->rank != 4 || !is_mean_of_image(&problem->steps[at.mean].call)))
        return hone_fail(HONE_DECLINED, "no mean of an image");
    if (at.mean >= 0 && (problem->steps[at.first].in[0].kind != HONE_REF_RESULT || problem->steps[at.first].in[0].index != at.mean))
        return hone_fail(HONE_DECLINED, "steps between the mean and the product");
    status = check_product(problem, at.first);
    if (!status) status = check_product(problem, at.second);
    if (!status && problem->n_out != 1) status = hone_fail(HONE_DECLINED, "several results");
    if (status) return status;
    for (int k = 0; k < problem->n_operands; k++)
        if (hone_tensor_same_dims(&problem->operands[k], input_of(problem, reads, 0)) && !lies_nhwc(&problem->operands[k]))
            return hone_fail(HONE_DECLINED, "only NHWC images");
    if (!lies_nhwc(out) || out->dims[0] != problem->steps[at.second].out[0].dims[0] || out->dims[1] != problem->steps[at.second].out[0].dims[1])
        return hone_fail(HONE_DECLINED, "the result is no NHWC image of these channels");
    formed->main = at.second;
    status = add_regions(formed, &at);
    return status ? status : set_sizes(formed, &at);
}
