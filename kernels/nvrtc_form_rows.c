// SPDX-License-Identifier: Apache-2.0
// Forms of operations along rows: softmax and norms, and reductions. x is [rows][cols] in memory, or [outer][length][inner].
#include <string.h>

#include "kernels/nvrtc_form_priv.h"

// In the order of the kernels' OP.
static const char *const row_ops[] = {"softmax", "logsoftmax", "layernorm", "instancenorm", "groupnorm", "lpnorm"};
enum { SOFTMAX, LOGSOFTMAX, LAYERNORM, INSTANCENORM, GROUPNORM, LPNORM, ROW_OPS };

static int row_op(const hone_formed *formed)
{
    if (formed->main < 0) return ROW_OPS;
    int k = 0;
    while (k < ROW_OPS && strcmp(row_ops[k], formed->problem->steps[formed->main].call.op->name)) k++;
    return k;
}

static int64_t product(const hone_tensor *tensor, int begin, int end)
{
    int64_t n = 1;
    for (int k = begin; k < end; k++) n *= tensor->dims[k];
    return n;
}

static bool is_float_problem(const hone_formed *formed)
{
    const hone_tensor *x = hone_form_input(formed, 0);
    return hone_dtype_is_float(x->dtype) && x->dtype != HONE_F64;
}

// Head and tail see x and the result in one layout: that of x, which the result must share where it matters.
static hone_status add_both(hone_formed *formed, int cols_axes)
{
    hone_layout layout = hone_form_head_layout(formed);
    const hone_tensor *out = &formed->problem->out[0];
    bool same = out->layout == layout || (out->rank == 4 && (out->dims[1] == 1 || out->dims[2] * out->dims[3] == 1));
    if (!same) return hone_fail(HONE_DECLINED, "x and the result lie in different layouts");
    hone_status status = hone_form_add_head(formed, layout, cols_axes);
    if (!status) status = hone_form_add_tail(formed, cols_axes);
    if (!status && (formed->tail.cols != formed->head.cols || formed->tail.rows != formed->head.rows))
        status = hone_fail(HONE_DECLINED, "the tail changes the shape");
    return status;
}

// Physical axes from `axis` on, when nothing but it counts there; 0 otherwise.
static int inner_axes(const hone_tensor *x, hone_layout layout, int axis)
{
    hone_tensor at = *x;
    int64_t dims[HONE_RANK_MAX], behind = 1;
    at.layout = layout;
    hone_tensor_physical(&at, dims);
    int place = hone_tensor_physical_axis(&at, axis);
    for (int k = place + 1; k < at.rank; k++) behind *= dims[k];
    return behind == 1 ? at.rank - place : 0;
}

hone_status hone_form_add_scale(hone_formed *formed, int k, const char *number, const char *type)
{
    int operand;
    hone_status status = hone_form_operand(formed, k, &operand);
    if (status) return status;
    hone_vars_set(&formed->vars, number, operand);
    hone_dtype dtype = operand < 0 ? HONE_F32 : formed->problem->operands[operand].dtype;
    if (!hone_dtype_is_float(dtype) || dtype == HONE_F64) return hone_fail(HONE_DECLINED, "a scale of type %s", hone_dtype_name(dtype));
    if (operand >= 0 && formed->problem->operands[operand].layout != HONE_ROW && formed->problem->operands[operand].rank > 1)
        return hone_fail(HONE_DECLINED, "a scale in another layout than row");
    hone_form_set_type(formed, type, dtype);
    return HONE_OK;
}

// The element (m, n) takes value (m * cols + n) / repeat % period of scale and b.
static hone_status set_norm(hone_formed *formed, int64_t repeat, int64_t period)
{
    hone_vars_set(&formed->vars, "repeat", repeat);
    hone_vars_set(&formed->vars, "period", period);
    hone_status status = hone_form_add_scale(formed, 1, "in_scale", "SCALE_T");
    if (!status) status = hone_form_add_scale(formed, 2, "in_bias", "BIAS_T");
    return status;
}

static hone_status set_norm_of(hone_formed *formed, int op, const hone_tensor *x)
{
    const hone_call *call = &formed->problem->steps[formed->main].call;
    hone_vars_set(&formed->vars, "per_row", op != LAYERNORM);
    if (op >= LAYERNORM && op <= GROUPNORM) {
        hone_form_set_real(formed, "epsilon", hone_call_real(call, "epsilon"));
        return op == LAYERNORM ? set_norm(formed, 1, formed->head.cols) : set_norm(formed, product(x, 2, x->rank), x->dims[1]);
    }
    hone_form_set_real(formed, "epsilon", op == LPNORM ? hone_call_real(call, "p") : 0);
    hone_vars_set(&formed->vars, "in_scale", -1);
    hone_vars_set(&formed->vars, "in_bias", -1);
    hone_vars_set(&formed->vars, "repeat", 1);
    hone_vars_set(&formed->vars, "period", 1);
    hone_form_set_type(formed, "SCALE_T", HONE_F32);
    hone_form_set_type(formed, "BIAS_T", HONE_F32);
    return HONE_OK;
}

// Axes that make a row, 0 when they are not the inner ones.
static int row_axes(const hone_formed *formed, int op, const hone_tensor *x)
{
    const hone_call *call = &formed->problem->steps[formed->main].call;
    hone_layout layout = hone_form_head_layout(formed);
    if (op == LAYERNORM) return layout == HONE_ROW ? x->rank - (int)hone_call_int(call, "axis") : 0;
    if (op == INSTANCENORM) return layout == HONE_ROW ? x->rank - 2 : 0;
    if (op == GROUPNORM) return 0;
    return inner_axes(x, layout, (int)hone_call_int(call, "axis"));
}

// A group's channels are a part of an axis, so its rows are no axes of x: only without head and tail.
static hone_status make_groupnorm(hone_formed *formed, const hone_tensor *x)
{
    const hone_call *call = &formed->problem->steps[formed->main].call;
    if (formed->problem->n_steps > 1 || hone_form_head_layout(formed) != HONE_ROW || formed->problem->out[0].layout != HONE_ROW)
        return hone_fail(HONE_DECLINED, "groupnorm with other steps or layouts");
    hone_status status = add_both(formed, x->rank - 2);
    int64_t groups = hone_call_int(call, "groups"), rows = x->dims[0] * groups, cols = product(x, 1, x->rank) / groups;
    if (status) return status;
    formed->head.rows = formed->tail.rows = rows;
    formed->head.cols = formed->tail.cols = cols;
    return set_norm_of(formed, GROUPNORM, x);
}

hone_status hone_form_rows(const hone_problem *problem, hone_formed *formed)
{
    int op = row_op(formed);
    (void)problem;
    if (op == ROW_OPS || !is_float_problem(formed)) return hone_fail(HONE_DECLINED, "no norm along rows");
    const hone_tensor *x = hone_form_input(formed, 0);
    hone_vars_set(&formed->vars, "op", op);
    formed->dtype = x->dtype;
    if (op == GROUPNORM) return make_groupnorm(formed, x);
    int axes = row_axes(formed, op, x);
    if (!axes) return hone_fail(HONE_DECLINED, "the axes of %s are not the inner ones", row_ops[op]);
    hone_status status = add_both(formed, axes);
    return status ? status : set_norm_of(formed, op, x);
}

// Along an axis with others inside of it: [outer][length][inner].
hone_status hone_form_lines(const hone_problem *problem, hone_formed *formed)
{
    int op = row_op(formed);
    if (op != SOFTMAX && op != LOGSOFTMAX && op != LPNORM) return hone_fail(HONE_DECLINED, "no norm along lines");
    const hone_tensor *x = hone_form_input(formed, 0);
    hone_tensor at = *x;
    at.layout = hone_form_head_layout(formed);
    const hone_call *call = &problem->steps[formed->main].call;
    int axis = (int)hone_call_int(call, "axis"), place = hone_tensor_physical_axis(&at, axis);
    if (!is_float_problem(formed) || inner_axes(x, at.layout, axis)) return hone_fail(HONE_DECLINED, "the axis is the inner one");
    hone_status status = add_both(formed, x->rank - place - 1);
    formed->dtype = x->dtype;
    hone_vars_set(&formed->vars, "op", op);
    hone_vars_set(&formed->vars, "length", x->dims[axis]);
    hone_form_set_real(formed, "p", op == LPNORM ? hone_call_real(call, "p") : 0);
    return status;
}

// ---- reductions

static bool is_reduced(const hone_call *call, int axis)
{
    const int64_t *axes;
    int n = hone_call_list(call, "axes", &axes);
    for (int k = 0; k < n; k++)
        if (axes[k] == axis) return true;
    return false;
}

typedef struct walk {                  // x's physical axes
    int n;
    int64_t dims[HONE_RANK_MAX];
    int logical[HONE_RANK_MAX];
    bool reduced[HONE_RANK_MAX];
    hone_layout layout;
} walk;

static hone_status start_reduce(hone_formed *formed, walk *w)
{
    if (formed->main < 0 || strcmp(formed->problem->steps[formed->main].call.op->name, "reduce")) return hone_fail(HONE_DECLINED, "no reduction");
    const hone_call *call = &formed->problem->steps[formed->main].call;
    const hone_tensor *x = hone_form_input(formed, 0);
    if (!is_float_problem(formed)) return hone_fail(HONE_DECLINED, "a reduction of %s", hone_dtype_name(x->dtype));
    hone_tensor at = *x;
    *w = (walk){.n = x->rank, .layout = hone_form_head_layout(formed)};
    at.layout = w->layout;
    for (int k = 0; k < x->rank; k++) {
        int place = hone_tensor_physical_axis(&at, k);
        w->logical[place] = k;
        w->dims[place] = x->dims[k];
        w->reduced[place] = is_reduced(call, k);
    }
    formed->dtype = x->dtype;
    hone_vars_set(&formed->vars, "kind", call->attrs[hone_op_attr_index(call->op, "kind")].i[0]);
    return HONE_OK;
}

// Begin of the last run of axes that are all reduced (or all kept), axes of extent 1 going with either.
static int last_run(const walk *w, int end, bool reduced)
{
    while (end > 0 && (w->dims[end - 1] == 1 || w->reduced[end - 1] == reduced)) end--;
    return end;
}

static int64_t extent(const walk *w, int begin, int end)
{
    int64_t n = 1;
    for (int k = begin; k < end; k++) n *= w->dims[k];
    return n;
}

static int64_t stride_of(const walk *w, int logical)
{
    int64_t stride = 1;
    for (int k = w->n - 1; k >= 0 && w->logical[k] != logical; k--) stride *= w->dims[k];
    return stride;
}

// The kept axes as the result lays them out.
static int kept_axes(const hone_formed *formed, const walk *w, int64_t *dims, int64_t *strides)
{
    hone_tensor out = formed->problem->steps[formed->main].out[0];
    int logical[HONE_RANK_MAX], n = 0;
    if (out.rank == formed->problem->out[0].rank) out.layout = formed->problem->out[0].layout;
    const hone_call *call = &formed->problem->steps[formed->main].call;
    for (int k = 0; k < w->n; k++)
        if (out.rank == w->n || !is_reduced(call, k)) logical[n++] = k;
    for (int k = 0; k < n; k++) {
        int place = hone_tensor_physical_axis(&out, k);
        dims[place] = out.dims[k];
        strides[place] = stride_of(w, logical[k]);
    }
    return n;
}

// The kept axes appear in the result in the order in which they lie in x.
static bool keeps_order(const hone_formed *formed, const walk *w)
{
    int64_t dims[HONE_RANK_MAX] = {0}, strides[HONE_RANK_MAX] = {0}, last = INT64_MAX;
    int n = kept_axes(formed, w, dims, strides);
    for (int k = 0; k < n; k++) {
        if (dims[k] == 1) continue;
        if (strides[k] >= last) return false;
        last = strides[k];
    }
    return true;
}

hone_status hone_form_reduce_rows(const hone_problem *problem, hone_formed *formed)
{
    walk w;
    (void)problem;
    hone_status status = start_reduce(formed, &w);
    if (status) return status;
    int split = last_run(&w, w.n, true);
    if (extent(&w, split, w.n) == 1 || last_run(&w, split, false) || !keeps_order(formed, &w))
        return hone_fail(HONE_DECLINED, "the reduced axes are not the inner ones");
    status = hone_form_add_head(formed, w.layout, w.n - split);
    if (!status) status = hone_form_add_tail(formed, 0);
    return status;
}

// Physical axes of the result whose extents make `inner`; -1 when none do.
static int result_axes(const hone_formed *formed, int64_t inner)
{
    int64_t dims[HONE_RANK_MAX], n = 1;
    hone_tensor out = formed->problem->steps[formed->main].out[0];
    if (out.rank == formed->problem->out[0].rank) out.layout = formed->problem->out[0].layout;
    hone_tensor_physical(&out, dims);
    for (int k = out.rank; k >= 0; k--) {
        if (n == inner) return out.rank - k;
        if (k) n *= dims[k - 1];
    }
    return -1;
}

hone_status hone_form_reduce_cols(const hone_problem *problem, hone_formed *formed)
{
    walk w;
    (void)problem;
    hone_status status = start_reduce(formed, &w);
    if (status) return status;
    int inner = last_run(&w, w.n, false), middle = last_run(&w, inner, true);
    int axes = result_axes(formed, extent(&w, inner, w.n));
    if (inner == w.n || extent(&w, inner, w.n) == 1 || last_run(&w, middle, false) || !keeps_order(formed, &w) || axes < 0)
        return hone_fail(HONE_DECLINED, "the kept axes are not the inner ones");
    status = hone_form_add_head(formed, w.layout, w.n - inner);
    if (!status) status = hone_form_add_tail(formed, axes);
    hone_vars_set(&formed->vars, "length", extent(&w, middle, inner));
    return status;
}

// ---- any axes: terms of the flat output index and of the flat index over what is reduced

static void set_term(hone_vars *v, const char *kind, int k, int64_t divide, int64_t modulo, int64_t stride)
{
    char name[24];
    static const char *const words[] = {"div", "mod", "step"};
    const int64_t values[] = {divide, modulo, stride};
    for (int i = 0; i < 3; i++) {
        memcpy(name, kind, 3);
        strcpy(name + 3, words[i]);
        size_t end = strlen(name);
        name[end] = (char)('0' + k);
        name[end + 1] = 0;
        hone_vars_set(v, name, values[i]);
    }
}

// Axes (physical in their tensor, outermost first) as up to four terms; strides are x's.
static hone_status set_terms(hone_formed *formed, const char *kind, int n, const int64_t *dims, const int64_t *strides, int64_t *count)
{
    int64_t divide[4], modulo[4], step[4], inner = 1;
    int used = 0;
    for (int k = n - 1; k >= 0; k--) {
        if (dims[k] == 1) continue;
        if (used && strides[k] == step[used - 1] * modulo[used - 1]) {
            modulo[used - 1] *= dims[k];
        } else {
            if (used == 4) return hone_fail(HONE_DECLINED, "more than four parts");
            divide[used] = inner, modulo[used] = dims[k], step[used++] = strides[k];
        }
        inner *= dims[k];
    }
    *count = inner;
    for (int k = 0; k < 4; k++) set_term(&formed->vars, kind, k, k < used ? divide[k] : 1, k < used ? modulo[k] : 1, k < used ? step[k] : 0);
    return HONE_OK;
}

hone_status hone_form_reduce_any(const hone_problem *problem, hone_formed *formed)
{
    walk w;
    int64_t dims[HONE_RANK_MAX] = {0}, strides[HONE_RANK_MAX] = {0}, outputs = 0, length = 0;
    (void)problem;
    hone_status status = start_reduce(formed, &w);
    if (status) return status;
    int n = kept_axes(formed, &w, dims, strides);
    status = set_terms(formed, "kep", n, dims, strides, &outputs);
    n = 0;
    for (int k = 0; k < w.n; k++)
        if (w.reduced[k]) dims[n] = w.dims[k], strides[n++] = stride_of(&w, w.logical[k]);
    if (!status) status = set_terms(formed, "red", n, dims, strides, &length);
    if (!status) status = hone_form_add_head(formed, w.layout, 1);
    if (!status) status = hone_form_add_tail(formed, 0);
    hone_vars_set(&formed->vars, "length", length);
    return status;
}
