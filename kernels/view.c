// SPDX-License-Identifier: Apache-2.0
#include "kernels/view_priv.h"

#include <string.h>

static bool is_move(const hone_op *op)
{
    static const char *const names[] = {"transpose", "slice", "expand", "reshape"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (!strcmp(op->name, names[k])) return true;
    return false;
}

bool hone_step_is_strided(const hone_problem *problem, int step)
{
    hone_view view;
    return hone_view_init(problem, &(hone_ref){HONE_REF_RESULT, step}, &view);
}

static void view_of_operand(const hone_problem *problem, int operand, hone_view *view)
{
    const hone_tensor *tensor = &problem->operands[operand];
    int64_t physical[HONE_RANK_MAX], strides[HONE_RANK_MAX];
    hone_tensor_physical(tensor, physical);
    for (int64_t k = tensor->rank - 1, step = 1; k >= 0; step *= physical[k--]) strides[k] = step;
    *view = (hone_view){.operand = operand, .dtype = tensor->dtype, .rank = tensor->rank};
    for (int k = 0; k < tensor->rank; k++) {
        view->dims[k] = tensor->dims[k];
        view->strides[k] = strides[hone_tensor_physical_axis(tensor, k)];
    }
}

static void set_dims(hone_view *view, const hone_tensor *to)
{
    view->rank = to->rank;
    memcpy(view->dims, to->dims, sizeof view->dims);
}

static bool apply_transpose(hone_view *view, const hone_step *step)
{
    const int64_t *perm;
    hone_view from = *view;
    int n = hone_call_list(&step->call, "perm", &perm);
    if (n != view->rank) return false;
    for (int k = 0; k < n; k++) {
        view->dims[k] = from.dims[perm[k]];
        view->strides[k] = from.strides[perm[k]];
    }
    return true;
}

static bool apply_slice(hone_view *view, const hone_step *step)
{
    for (int k = 0; k < view->rank; k++) {
        view->offset += hone_call_int_at(&step->call, "start", k) * view->strides[k];
        view->strides[k] *= hone_call_int_at(&step->call, "step", k);
    }
    set_dims(view, &step->out[0]);
    return true;
}

static bool apply_expand(hone_view *view, const hone_step *step)
{
    const hone_tensor *to = &step->out[0];
    hone_view from = *view;
    int lead = to->rank - from.rank;
    set_dims(view, to);
    for (int k = 0; k < to->rank; k++)
        view->strides[k] = k < lead || (from.dims[k - lead] == 1 && to->dims[k] != 1) ? 0 : from.strides[k - lead];
    return lead >= 0;
}

// Dims of the old and the new shape are matched in groups of equal products, innermost first; the old dims of a group must run evenly.
static bool apply_reshape(hone_view *view, const hone_step *step)
{
    const hone_tensor *to = &step->out[0];
    hone_view from = *view;
    int old = from.rank - 1, new = to->rank - 1;
    set_dims(view, to);
    if (hone_tensor_count(to) == 0) return false;
    while (old >= 0 || new >= 0) {
        while (old >= 0 && from.dims[old] == 1) old--;
        while (new >= 0 && to->dims[new] == 1) view->strides[new--] = 0;
        if (old < 0 && new < 0) break;
        if (old < 0 || new < 0) return false;
        int64_t stride = from.strides[old], span = from.dims[old--], used = 1;
        for (; used < span || (new >= 0 && to->dims[new] == 1); used *= to->dims[new--]) {
            if (new < 0) return false;
            view->strides[new] = stride * used;
            if (used * to->dims[new] <= span) continue;
            // The new dim reaches over more of the old ones, which must go on where the inner ones end.
            for (; used * to->dims[new] > span; span *= from.dims[old--])
                if (old < 0 || (from.dims[old] != 1 && from.strides[old] != stride * span)) return false;
        }
        if (used != span) return false;
    }
    return true;
}

bool hone_view_init(const hone_problem *problem, const hone_ref *ref, hone_view *view)
{
    if (ref->kind == HONE_REF_OPERAND) {
        view_of_operand(problem, ref->index, view);
        return true;
    }
    if (ref->kind != HONE_REF_RESULT) return false;
    const hone_step *step = &problem->steps[ref->index];
    if (!is_move(step->call.op) || !hone_view_init(problem, &step->in[0], view)) return false;
    switch (step->call.op->name[0]) {
    case 't': return apply_transpose(view, step);
    case 's': return apply_slice(view, step);
    case 'e': return apply_expand(view, step);
    default: return apply_reshape(view, step);
    }
}

static bool init_lookup(const hone_problem *problem, const hone_step *step, hone_view *view)
{
    if (strcmp(step->call.op->name, "gather") || step->in[0].kind != HONE_REF_OPERAND || step->in[1].kind != HONE_REF_OPERAND) return false;
    const hone_tensor *table = &problem->operands[step->in[0].index], *indices = &problem->operands[step->in[1].index];
    if (table->rank != 2 || table->layout != HONE_ROW || indices->layout != HONE_ROW || hone_call_int(&step->call, "axis") != 0) return false;
    *view = (hone_view){.operand = step->in[0].index, .dtype = table->dtype, .rank = step->out[0].rank, .is_lookup = true,
                        .indices = step->in[1].index, .length = table->dims[0], .pitch = table->dims[1]};
    memcpy(view->dims, step->out[0].dims, sizeof view->dims);
    view->strides[view->rank - 1] = 1;
    for (int64_t k = indices->rank - 1, stride = 1; k >= 0; stride *= indices->dims[k--]) view->at[k] = stride;
    return true;
}

bool hone_step_is_lookup(const hone_problem *problem, int step)
{
    hone_view view;
    return init_lookup(problem, &problem->steps[step], &view);
}

bool hone_view_of(const hone_problem *problem, const hone_ref *ref, hone_view *view)
{
    return hone_view_init(problem, ref, view) || (ref->kind == HONE_REF_RESULT && init_lookup(problem, &problem->steps[ref->index], view));
}

bool hone_view_equal(const hone_view *a, const hone_view *b)
{
    if (a->operand != b->operand || a->rank != b->rank || a->offset != b->offset || a->is_lookup != b->is_lookup) return false;
    if (a->is_lookup && a->indices != b->indices) return false;
    for (int k = 0; k < a->rank; k++)
        if (a->dims[k] != b->dims[k] || a->strides[k] != b->strides[k]) return false;
    return true;
}
