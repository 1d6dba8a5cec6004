// SPDX-License-Identifier: Apache-2.0
#include "kernels/nvrtc_form_priv.h"

#include <string.h>

const hone_form hone_forms[] = {
    {.name = "elementwise", .make = hone_form_elementwise},
    {.name = "transpose", .make = hone_form_transpose},
    {.name = "matmul", .make = hone_form_matmul},
    {.name = "conv", .make = hone_form_conv},
    {.name = "pool", .make = hone_form_pool},
    {.name = "depthwise", .make = hone_form_depthwise},
    {.name = "direct", .make = hone_form_direct},
    {.name = "planes", .make = hone_form_planes},
    {.name = "deconv", .make = hone_form_deconv},
    {.name = "normed", .make = hone_form_normed, .has_more = true},
    {.name = "ended", .make = hone_form_ended, .has_more = true},
    {.name = "squeeze", .make = hone_form_squeeze, .has_more = true},
    {.name = "concat", .make = hone_form_concat},
    {.name = "gather", .make = hone_form_gather},
    {.name = "map", .make = hone_form_map},
    {.name = "attention", .make = hone_form_attention},
    {.name = "rows", .make = hone_form_rows},
    {.name = "lines", .make = hone_form_lines},
    {.name = "reduce_rows", .make = hone_form_reduce_rows},
    {.name = "reduce_cols", .make = hone_form_reduce_cols},
    {.name = "reduce_any", .make = hone_form_reduce_any},
};

const int hone_form_count = sizeof hone_forms / sizeof *hone_forms;

// ---- helpers of all forms

hone_status hone_form_find_main(const hone_problem *problem, int *main)
{
    int lookup = -1, lookups = 0;
    *main = -1;
    for (int s = 0; s < problem->n_steps; s++) {
        const hone_step *step = &problem->steps[s];
        if (hone_step_is_lookup(problem, s)) {
            lookup = s, lookups++;
            continue;
        }
        bool is_view = !strcmp(step->call.op->name, "reshape") && s > 0;
        if (is_view || hone_step_is_elementwise(step) || hone_step_is_strided(problem, s)) continue;
        if (*main >= 0) return hone_fail(HONE_DECLINED, "%s after %s in one kernel", step->call.op->name, problem->steps[*main].call.op->name);
        *main = s;
    }
    if (*main < 0 && lookups == 1) *main = lookup;      // alone it is a gather; else lookups are operands of what there is
    return HONE_OK;
}

void hone_form_set_real(hone_formed *formed, const char *name, double value)
{
    HONE_ASSERT(formed->n_reals < HONE_ARGS_REALS && strlen(name) < sizeof formed->reals[0].name);
    strcpy(formed->reals[formed->n_reals].name, name);
    formed->reals[formed->n_reals++].value = value;
}

void hone_form_set_type(hone_formed *formed, const char *name, hone_dtype dtype)
{
    HONE_ASSERT(formed->n_types < 8 && strlen(name) < sizeof formed->types[0].name);
    strcpy(formed->types[formed->n_types].name, name);
    formed->types[formed->n_types++].dtype = dtype;
}

const hone_tensor *hone_form_input(const hone_formed *formed, int k)
{
    const hone_step *step = &formed->problem->steps[formed->main];
    if (k >= step->call.n_in || step->in[k].kind == HONE_REF_ABSENT) return NULL;
    return step->in[k].kind == HONE_REF_OPERAND ? &formed->problem->operands[step->in[k].index] : &formed->problem->steps[step->in[k].index].out[0];
}

hone_status hone_form_operand(const hone_formed *formed, int k, int *operand)
{
    const hone_step *step = &formed->problem->steps[formed->main];
    *operand = -1;
    if (k >= step->call.n_in || step->in[k].kind == HONE_REF_ABSENT) return HONE_OK;
    if (step->in[k].kind != HONE_REF_OPERAND)
        return hone_fail(HONE_DECLINED, "operand %d of %s is computed", k, step->call.op->name);
    *operand = step->in[k].index;
    return HONE_OK;
}

// The shape of the tail: that of the last step that is no reshape of the result.
static hone_status tail_domain(const hone_formed *formed, hone_tensor *domain)
{
    const hone_problem *problem = formed->problem;
    int last = problem->n_steps - 1;
    while (last > formed->main && !strcmp(problem->steps[last].call.op->name, "reshape")) last--;
    *domain = last < 0 ? problem->out[0] : problem->steps[last].out[0];
    if (formed->main >= 0 && hone_tensor_count(domain) != hone_tensor_count(&problem->steps[formed->main].out[0]))
        return hone_fail(HONE_DECLINED, "the tail widens the result");
    if (domain->rank == problem->out[0].rank) domain->layout = problem->out[0].layout;
    else if (problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "the result is reshaped into another layout");
    return HONE_OK;
}

hone_status hone_form_add_tail(hone_formed *formed, int cols_axes)
{
    const hone_problem *problem = formed->problem;
    hone_tensor domain;
    if (problem->n_out != 1) return hone_fail(HONE_DECLINED, "several results");
    hone_status status = tail_domain(formed, &domain);
    if (status) return status;
    hone_ref result = {HONE_REF_RESULT, problem->n_steps - 1};
    formed->has_tail = true;
    return hone_region_init(&formed->tail, problem, formed->main + 1, problem->n_steps, formed->main, result, &domain,
                            domain.rank - cols_axes);
}

hone_layout hone_form_head_layout(const hone_formed *formed)
{
    const hone_tensor *x = hone_form_input(formed, 0);
    for (int k = 0; k < formed->problem->n_operands; k++)
        if (hone_tensor_same_dims(&formed->problem->operands[k], x)) return formed->problem->operands[k].layout;
    return HONE_ROW;
}

hone_status hone_form_add_head(hone_formed *formed, hone_layout layout, int cols_axes)
{
    hone_tensor domain = *hone_form_input(formed, 0);
    domain.layout = layout;
    formed->has_head = true;
    return hone_region_init(&formed->head, formed->problem, 0, formed->main, -1, formed->problem->steps[formed->main].in[0], &domain,
                            domain.rank - cols_axes);
}

// ---- variables that every form has

static bool is_costly(const hone_step *step)
{
    static const char *const cheap[] = {"add", "sub", "mul", "relu", "clip", "identity", "cast", "abs", "neg", "leakyrelu", "hardswish",
                                        "hardsigmoid", "min", "max", "prelu", "where", "batchnorm"};
    for (size_t k = 0; k < sizeof cheap / sizeof *cheap; k++)
        if (!strcmp(cheap[k], step->call.op->name)) return false;
    return !hone_step_quick(step);
}

static void add_common(hone_formed *formed, const hone_target *target)
{
    const hone_problem *problem = formed->problem;
    hone_vars *v = &formed->vars;
    int64_t other_bytes = 0, heavy = 0;
    for (int s = formed->main + 1; s < problem->n_steps; s++) heavy = heavy || is_costly(&problem->steps[s]);
    for (int k = 0; k < formed->tail.n_loads; k++)
        if (formed->tail.loads[k].is_dense || formed->main < 0)
            other_bytes += (int64_t)hone_dtype_size(formed->tail.loads[k].view.dtype);
    hone_vars_set(v, "sms", target->sms > 0 ? target->sms : 108);
    hone_vars_set(v, "cc", target->cc);
    hone_vars_set(v, "smem_max", hone_target_smem_bytes(target));
    hone_vars_set(v, "elem", formed->dtype ? (int64_t)hone_dtype_size(formed->dtype) : 4);
    hone_vars_set(v, "osize", (int64_t)hone_dtype_size(problem->out[0].dtype));
    hone_vars_set(v, "bytes_per_element", other_bytes + (int64_t)hone_dtype_size(problem->out[0].dtype));
    hone_vars_set(v, "heavy", heavy);
    hone_vars_set(v, "count", hone_tensor_count(&problem->out[0]));
    if (formed->has_tail) {
        hone_vars_set(v, "rows", formed->tail.rows);
        hone_vars_set(v, "cols", formed->tail.cols);
        hone_vars_set(v, "vec_max", formed->tail.vec);
    }
    if (formed->has_head) {
        hone_vars_set(v, "head_vec", formed->head.vec);
        hone_vars_set(v, "head_rows", formed->head.rows);
        hone_vars_set(v, "head_cols", formed->head.cols);
    }
}

static const hone_form *find(const char *name)
{
    for (int k = 0; k < hone_form_count; k++)
        if (!strcmp(hone_forms[k].name, name)) return &hone_forms[k];
    return NULL;
}

hone_status hone_form_make(const char *name, const hone_problem *problem, const hone_target *target, hone_formed *formed)
{
    const hone_form *form = find(name);
    if (!form) return hone_fail(HONE_INTERNAL, "no form of problem is called \"%s\"", name);
    memset(formed, 0, sizeof *formed);
    formed->problem = problem;
    if (hone_tensor_count(&problem->out[0]) == 0) return hone_fail(HONE_DECLINED, "nothing to compute");
    for (int k = 0; k < problem->n_operands; k++)
        if (hone_tensor_count(&problem->operands[k]) == 0) return hone_fail(HONE_DECLINED, "operand %d is empty", k);
    hone_status status = form->has_more ? HONE_OK : hone_form_find_main(problem, &formed->main);
    if (!status) status = form->make(problem, formed);
    if (!status) add_common(formed, target);
    return status;
}

// ---- chains

static hone_status make_chain(const hone_problem *problem, hone_formed *formed)
{
    hone_ref result = {HONE_REF_RESULT, problem->n_steps - 1};
    if (formed->main >= 0) return hone_fail(HONE_DECLINED, "not a chain");
    if (problem->n_out != 1) return hone_fail(HONE_DECLINED, "several results");
    hone_tensor domain;
    hone_status status = tail_domain(formed, &domain);
    if (status) return status;
    formed->has_tail = true;
    return hone_region_init(&formed->tail, problem, 0, problem->n_steps, -1, result, &domain, -1);
}

hone_status hone_form_elementwise(const hone_problem *problem, hone_formed *formed)
{
    hone_status status = make_chain(problem, formed);
    if (!status) hone_vars_set(&formed->vars, "one_row", formed->tail.rows == 1);
    return status;
}

// A chain in which one operand lies transposed: neighbours along the result's inner axis are far apart in it, and its own neighbours lie
// along another axis. The result is (outer, across, between, inner), the operand's unit stride runs along `across`.
static int find_transposed(const hone_region *region)
{
    for (int k = 0; k < region->n_loads; k++)
        if (region->loads[k].inner > 1 && region->loads[k].n_cols == 1) return k;
    return -1;
}

static const hone_term *find_unit(const hone_load *load)
{
    for (int k = 0; k < load->n_rows; k++)
        if (load->rows[k].stride == 1) return &load->rows[k];
    return NULL;
}

// Distances of the operand along what lies outside (up to two terms) and inside of `across`.
static hone_status set_steps(hone_formed *formed, const hone_load *load, const hone_term *unit, int64_t across)
{
    static const char *const names[][2] = {{"div0", "step0"}, {"div1", "step1"}, {"div2", "step2"}};
    int n = 0;
    for (int k = 0; k < load->n_rows; k++) {
        const hone_term *term = &load->rows[k];
        if (term == unit) continue;
        if (n == 3) return hone_fail(HONE_DECLINED, "the operand lies in more than three parts");
        int64_t divide = term->divide > unit->divide ? term->divide / across : term->divide;
        hone_vars_set(&formed->vars, names[n][0], divide);
        hone_vars_set(&formed->vars, n == 0 ? "mod0" : n == 1 ? "mod1" : "mod2", term->modulo ? term->modulo : INT32_MAX);
        hone_vars_set(&formed->vars, names[n++][1], term->stride);
    }
    for (; n < 3; n++) {
        hone_vars_set(&formed->vars, names[n][0], 1);
        hone_vars_set(&formed->vars, n == 0 ? "mod0" : n == 1 ? "mod1" : "mod2", 1);
        hone_vars_set(&formed->vars, names[n][1], 0);
    }
    return HONE_OK;
}

hone_status hone_form_transpose(const hone_problem *problem, hone_formed *formed)
{
    hone_status status = make_chain(problem, formed);
    if (status) return status;
    int x = find_transposed(&formed->tail);
    const hone_load *load = x < 0 ? NULL : &formed->tail.loads[x];
    const hone_term *unit = load ? find_unit(load) : NULL;
    if (!unit) return hone_fail(HONE_DECLINED, "no operand lies transposed");
    int64_t across = unit->modulo ? unit->modulo : formed->tail.rows / unit->divide;
    hone_region_take_x(&formed->tail, x);
    formed->dtype = load->view.dtype;
    hone_vars_set(&formed->vars, "across", across);
    hone_vars_set(&formed->vars, "between", unit->divide);
    hone_vars_set(&formed->vars, "batch", formed->tail.rows / across);
    hone_vars_set(&formed->vars, "x_step", load->inner);
    hone_vars_set(&formed->vars, "x_offset", load->view.offset);
    hone_vars_set(&formed->vars, "in_x", load->view.operand);
    return set_steps(formed, load, unit, across);
}
