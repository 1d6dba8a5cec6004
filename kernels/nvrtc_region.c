// SPDX-License-Identifier: Apache-2.0
// From the steps of a region to views, and from views to terms of (m, n). The text is made in nvrtc_print.c.
#include "kernels/nvrtc_region_priv.h"

#include <string.h>

// ---- steps

bool hone_step_is_elementwise(const hone_step *step)
{
    const hone_op *op = step->call.op;
    if (step->out[0].dtype == HONE_F64 || step->call.n_in > 5 || step->call.n_out != 1) return false;
    return !strcmp(op->name, "batchnorm") || (op->kind == HONE_OP_ELEMENTWISE && (op->expr || op->expr_int));
}

const char *hone_step_quick(const hone_step *step)
{
    hone_dtype to = step->out[0].dtype;
    return to == HONE_F16 || to == HONE_BF16 ? step->call.op->expr_16 : NULL;
}

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

// ---- views

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

// ---- terms

typedef struct axes {                  // of the domain, as they lie in memory
    int n;
    int64_t dims[HONE_RANK_MAX];
    int logical[HONE_RANK_MAX];
} axes;

static axes physical_axes(const hone_tensor *domain)
{
    axes a = {.n = domain->rank};
    for (int k = 0; k < domain->rank; k++) a.logical[hone_tensor_physical_axis(domain, k)] = k;
    for (int k = 0; k < domain->rank; k++) a.dims[k] = domain->dims[a.logical[k]];
    return a;
}

// The view's stride along physical axis k of the domain: 0 where it is broadcast.
static int64_t stride_along(const hone_view *view, const hone_tensor *domain, const axes *a, int k)
{
    int axis = a->logical[k] - (domain->rank - view->rank);
    return axis < 0 || view->dims[axis] == 1 ? 0 : view->strides[axis];
}

// The same of a lookup's index.
static hone_view index_of(const hone_view *view)
{
    hone_view index = *view;
    memcpy(index.strides, view->at, sizeof index.strides);
    return index;
}

// Physical axes [begin, end) as terms, innermost first, merged where they run evenly.
static int make_terms(const hone_view *view, const hone_tensor *domain, const axes *a, int begin, int end, hone_term *terms)
{
    int n = 0;
    int64_t inner = 1;                 // product of the dims inside
    for (int k = end - 1; k >= begin; inner *= a->dims[k--]) {
        int64_t stride = stride_along(view, domain, a, k);
        if (a->dims[k] == 1) continue;
        hone_term *last = n ? &terms[n - 1] : NULL;
        if (last && stride == last->stride * (inner / last->divide)) continue;       // goes on evenly
        terms[n++] = (hone_term){inner, 0, stride};
    }
    for (int k = 0; k + 1 < n; k++) terms[k].modulo = terms[k + 1].divide / terms[k].divide;
    return n;
}

static int64_t span(const axes *a, int begin, int end)
{
    int64_t n = 1;
    for (int k = begin; k < end; k++) n *= a->dims[k];
    return n;
}

static void drop_still_terms(hone_term *terms, int *n)
{
    int kept = 0;
    for (int k = 0; k < *n; k++)
        if (terms[k].stride) terms[kept++] = terms[k];
    *n = kept;
}

static void fill_load(hone_load *load, const hone_region *region, const axes *a)
{
    hone_term all[HONE_TERMS_MAX];
    int n = make_terms(&load->view, &region->domain, a, 0, a->n, all);
    load->is_dense = !load->view.offset && (n == 0 || (n == 1 && all[0].stride == 1));
    load->n_rows = make_terms(&load->view, &region->domain, a, 0, region->split, load->rows);
    load->n_cols = make_terms(&load->view, &region->domain, a, region->split, a->n, load->cols);
    load->inner = load->n_cols ? load->cols[0].stride : 0;
    if (!load->view.is_lookup) return;
    hone_view index = index_of(&load->view);
    load->is_dense = false;
    load->n_at = make_terms(&index, &region->domain, a, 0, region->split, load->at);
    drop_still_terms(load->at, &load->n_at);
}

// Neighbours along a row must be read from one row of the table.
static bool is_lookup_by_rows(const hone_region *region, const axes *a)
{
    for (int k = 0; k < region->n_loads; k++) {
        hone_term terms[HONE_TERMS_MAX];
        hone_view index = index_of(&region->loads[k].view);
        if (!region->loads[k].view.is_lookup) continue;
        int n = make_terms(&index, &region->domain, a, region->split, a->n, terms);
        drop_still_terms(terms, &n);
        if (n) return false;
    }
    return true;
}

static int64_t width_of_load(const hone_load *load, int64_t vec)
{
    int64_t extent = load->n_cols > 1 ? load->cols[0].modulo : vec;
    while (extent % vec) vec /= 2;
    if (load->inner != 1) return vec;
    while (load->view.offset % vec) vec /= 2;
    for (int k = 1; k < load->n_cols; k++)
        while (load->cols[k].stride % vec) vec /= 2;
    for (int k = 0; k < load->n_rows; k++)
        while (load->rows[k].stride % vec) vec /= 2;
    return vec;
}

static int choose_split(const hone_region *region, const axes *a)
{
    int split = a->n;
    for (bool even = true; split > 0 && even; split -= even) {
        for (int k = 0; k < region->n_loads; k++) {
            hone_term terms[HONE_TERMS_MAX];
            even = even && make_terms(&region->loads[k].view, &region->domain, a, split - 1, a->n, terms) <= 1;
        }
    }
    return split;
}

static void fill_loads(hone_region *region)
{
    axes a = physical_axes(&region->domain);
    if (region->split < 0) region->split = choose_split(region, &a);
    region->rows = span(&a, 0, region->split);
    region->cols = span(&a, region->split, a.n);
    region->vec = 16;
    while (region->cols % region->vec) region->vec /= 2;
    for (int k = 0; k < region->n_loads; k++) {
        fill_load(&region->loads[k], region, &a);
        region->vec = width_of_load(&region->loads[k], region->vec);
        drop_still_terms(region->loads[k].rows, &region->loads[k].n_rows);
        drop_still_terms(region->loads[k].cols, &region->loads[k].n_cols);
    }
}

// ---- the region

bool hone_view_equal(const hone_view *a, const hone_view *b)
{
    if (a->operand != b->operand || a->rank != b->rank || a->offset != b->offset || a->is_lookup != b->is_lookup) return false;
    if (a->is_lookup && a->indices != b->indices) return false;
    for (int k = 0; k < a->rank; k++)
        if (a->dims[k] != b->dims[k] || a->strides[k] != b->strides[k]) return false;
    return true;
}

static hone_status add_load(hone_region *region, const hone_view *view, int *index)
{
    int64_t reach = hone_tensor_count(&region->problem->operands[view->operand]);
    if (view->dtype == HONE_F64) return hone_fail(HONE_DECLINED, "nvrtc has no kernels for f64");
    if (reach >= INT32_MAX) return hone_fail(HONE_DECLINED, "operand %d has %lld elements, more than 31 bits count", view->operand, (long long)reach);
    if (view->rank > region->domain.rank) return hone_fail(HONE_DECLINED, "operand %d has more axes than the result", view->operand);
    for (int k = 0; k < region->n_loads; k++)
        if (hone_view_equal(&region->loads[k].view, view)) {
            *index = k;
            return HONE_OK;
        }
    if (region->n_loads == HONE_LOADS_MAX) return hone_fail(HONE_DECLINED, "more than %d different operands", HONE_LOADS_MAX);
    *index = region->n_loads;
    region->loads[region->n_loads++] = (hone_load){.view = *view};
    return HONE_OK;
}

// The result of step s may be used inside the region: it is x, or computed here.
static bool is_inside(const hone_region *region, int s)
{
    return s == region->x_step || (s >= region->first && s < region->end);
}

static hone_status add_sources(hone_region *region, int s)
{
    const hone_step *step = &region->problem->steps[s];
    for (int k = 0; k < step->call.n_in; k++) {
        hone_view view;
        int index = -1;
        if (hone_view_of(region->problem, &step->in[k], &view)) {
            if (!strcmp(step->call.op->name, "batchnorm") && k) {      // vectors along axis 1
                view.rank = step->out[0].rank - 1;
                for (int d = 1; d < view.rank; d++) view.dims[d] = 1, view.strides[d] = 0;
            }
            hone_status status = add_load(region, &view, &index);
            if (status) return status;
        } else if (step->in[k].kind != HONE_REF_RESULT || !is_inside(region, step->in[k].index)) {
            return hone_fail(HONE_DECLINED, "step %d reads what is not at hand", s);
        }
        region->source[s][k] = (int8_t)index;
    }
    return HONE_OK;
}

// A reshape of the value at hand changes nothing where the order in memory is that of the axes and nothing follows.
static bool is_final_view(const hone_region *region, int s)
{
    for (int k = s; k < region->end; k++)
        if (strcmp(region->problem->steps[k].call.op->name, "reshape")) return false;
    return region->domain.layout == HONE_ROW && region->problem->out[0].layout == HONE_ROW;
}

static hone_status add_step(hone_region *region, int s)
{
    const hone_step *step = &region->problem->steps[s];
    if (hone_step_is_strided(region->problem, s) || hone_step_is_lookup(region->problem, s)) return HONE_OK;
    if (is_final_view(region, s)) return HONE_OK;
    if (!hone_step_is_elementwise(step)) return hone_fail(HONE_DECLINED, "no device text for %s as a part of a chain", step->call.op->name);
    return add_sources(region, s);
}

// The result without the reshapes behind it that change nothing.
static hone_ref resolve(const hone_region *region, hone_ref ref)
{
    while (ref.kind == HONE_REF_RESULT && ref.index != region->x_step && ref.index >= region->first &&
           !hone_step_is_strided(region->problem, ref.index) && !hone_step_is_lookup(region->problem, ref.index) && !hone_step_is_elementwise(&region->problem->steps[ref.index]))
        ref = region->problem->steps[ref.index].in[0];
    return ref;
}

hone_status hone_region_init(hone_region *region, const hone_problem *problem, int first, int end, int x_step, hone_ref result,
                             const hone_tensor *domain, int split)
{
    hone_view view;
    int index;
    hone_status status = HONE_OK;
    *region = (hone_region){.problem = problem, .first = first, .end = end, .x_step = x_step, .x_load = -1, .bias = -1, .result = result,
                            .domain = *domain, .split = split};
    if (hone_tensor_count(domain) >= INT32_MAX) return hone_fail(HONE_DECLINED, "the result has more elements than 31 bits count");
    for (int s = first; s < end && !status; s++) status = add_step(region, s);
    region->result = resolve(region, result);
    if (!status && hone_view_of(problem, &region->result, &view)) status = add_load(region, &view, &index);
    if (!status) fill_loads(region);
    axes a = physical_axes(domain);
    if (!status && !is_lookup_by_rows(region, &a)) status = hone_fail(HONE_DECLINED, "neighbours are looked up in several rows");
    return status;
}

hone_status hone_region_add_bias(hone_region *region, int operand, int axis)
{
    hone_view view;
    view_of_operand(region->problem, operand, &view);
    view.rank = region->domain.rank - axis;
    for (int k = 1; k < view.rank; k++) view.dims[k] = 1, view.strides[k] = 0;
    hone_status status = add_load(region, &view, &region->bias);
    if (!status) fill_loads(region);
    return status;
}

void hone_region_take_x(hone_region *region, int load)
{
    region->x_load = load;
}
