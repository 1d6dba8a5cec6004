// SPDX-License-Identifier: Apache-2.0
// Forms of movements that are no mere strides: concatenation, gather, and maps that treat each axis alone (padding, tiling, resizing).
#include <string.h>

#include "kernels/nvrtc_form_priv.h"

enum { MAP_AXES = 5 };
enum { MAP_PAD, MAP_TILE, MAP_RESIZE };

static const hone_call *main_call(const hone_formed *formed)
{
    return &formed->problem->steps[formed->main].call;
}

static bool is_op(const hone_formed *formed, const char *name)
{
    return formed->main == 0 && !strcmp(main_call(formed)->op->name, name);
}

static int64_t word_index(const hone_call *call, const char *name)
{
    return call->attrs[hone_op_attr_index(call->op, name)].i[0];
}

static hone_status check_type(hone_formed *formed, int operand)
{
    const hone_tensor *x = &formed->problem->operands[operand];
    if (x->dtype == HONE_F64) return hone_fail(HONE_DECLINED, "nvrtc has no kernels for f64");
    if (hone_tensor_count(x) >= INT32_MAX) return hone_fail(HONE_DECLINED, "operand %d has more elements than 31 bits count", operand);
    formed->dtype = x->dtype;
    return HONE_OK;
}

static void limit_vec(hone_formed *formed, int64_t extent)
{
    while (extent % formed->tail.vec) formed->tail.vec /= 2;
}

// ---- concat: the result is [outer][all parts]; part k is [outer][size k]

static hone_status set_parts(hone_formed *formed, int place)
{
    static const char *const begins[HONE_INPUTS_MAX] = {"begin0", "begin1", "begin2", "begin3", "begin4", "begin5", "begin6", "begin7",
                                                        "begin8", "begin9", "begin10", "begin11", "begin12", "begin13", "begin14", "begin15"};
    const hone_step *step = &formed->problem->steps[0];
    int64_t at = 0;
    for (int k = 0; k < HONE_INPUTS_MAX; k++) {
        hone_vars_set(&formed->vars, begins[k], at);
        if (k >= step->call.n_in) continue;
        int operand;
        hone_status status = hone_form_operand(formed, k, &operand);
        if (!status) status = check_type(formed, operand);
        if (status) return status;
        if (operand != k) return hone_fail(HONE_DECLINED, "a concatenation that names an operand twice");
        const hone_tensor *x = &formed->problem->operands[operand];
        if (x->layout != formed->tail.domain.layout) return hone_fail(HONE_DECLINED, "parts in different layouts");
        int64_t dims[HONE_RANK_MAX], size = 1;
        hone_tensor_physical(x, dims);
        for (int d = place; d < x->rank; d++) size *= dims[d];
        at += size;
        limit_vec(formed, size ? size : 16);
    }
    hone_vars_set(&formed->vars, "parts", step->call.n_in);
    return HONE_OK;
}

hone_status hone_form_concat(const hone_problem *problem, hone_formed *formed)
{
    if (!is_op(formed, "concat")) return hone_fail(HONE_DECLINED, "no concatenation");
    hone_tensor out = problem->steps[0].out[0];
    if (problem->out[0].rank == out.rank) out.layout = problem->out[0].layout;
    int place = hone_tensor_physical_axis(&out, (int)hone_call_int(main_call(formed), "axis"));
    hone_status status = hone_form_add_tail(formed, out.rank - place);
    return status ? status : set_parts(formed, place);
}

// ---- gather: x is [outer][length][inner], the result [outer][indices][inner]

hone_status hone_form_gather(const hone_problem *problem, hone_formed *formed)
{
    int x, index;
    if (!is_op(formed, "gather")) return hone_fail(HONE_DECLINED, "no gather");
    hone_status status = hone_form_operand(formed, 0, &x);
    if (!status) status = hone_form_operand(formed, 1, &index);
    if (!status) status = check_type(formed, x);
    if (status) return status;
    const hone_tensor *from = &problem->operands[x], *indices = &problem->operands[index];
    if (from->layout != HONE_ROW || indices->layout != HONE_ROW || problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "a gather over other layouts than row");
    int axis = (int)hone_call_int(main_call(formed), "axis");
    int64_t inner = 1;
    for (int k = axis + 1; k < from->rank; k++) inner *= from->dims[k];
    status = hone_form_add_tail(formed, from->rank - axis - 1);
    hone_form_set_type(formed, "INDEX_T", indices->dtype);
    hone_vars_set(&formed->vars, "in_x", x);
    hone_vars_set(&formed->vars, "in_index", index);
    hone_vars_set(&formed->vars, "length", from->dims[axis]);
    hone_vars_set(&formed->vars, "indices", hone_tensor_count(indices));
    hone_vars_set(&formed->vars, "inner", inner);
    return status;
}

// ---- maps: each output axis says where it reads its input axis

typedef struct map_axis {
    int64_t out, in, before, stride;
    double scale;                      // resize: 0 when it follows from the extents
    bool active;
} map_axis;

static void read_axis(const hone_call *call, int op, int axis, map_axis *a)
{
    const hone_attr *scales = op == MAP_RESIZE ? &call->attrs[hone_op_attr_index(call->op, "scales")] : NULL;
    a->before = op == MAP_PAD ? hone_call_int_at(call, "before", axis) : 0;
    a->scale = scales && scales->n ? scales->r[axis] : 0;
    a->active = a->out != a->in || a->before || (a->scale != 0 && a->scale != 1);
}

// Physical axes, neighbours merged where neither is active.
static hone_status read_axes(const hone_formed *formed, int op, const hone_tensor *x, map_axis *axes, int *n)
{
    hone_tensor out = formed->problem->steps[0].out[0];
    int64_t in_dims[HONE_RANK_MAX], out_dims[HONE_RANK_MAX], stride = 1;
    map_axis found[HONE_RANK_MAX] = {{0}};
    int count = 0;
    out.layout = x->layout;
    hone_tensor_physical(x, in_dims);
    hone_tensor_physical(&out, out_dims);
    for (int place = x->rank - 1; place >= 0; place--) {
        map_axis a = {.out = out_dims[place], .in = in_dims[place], .stride = stride};
        stride *= in_dims[place];
        for (int k = 0; k < x->rank; k++)
            if (hone_tensor_physical_axis(x, k) == place) read_axis(main_call(formed), op, k, &a);
        if (a.out == 1 && a.in == 1 && !a.active) continue;
        map_axis *last = count ? &found[count - 1] : NULL;
        if (last && !last->active && !a.active) last->out *= a.out, last->in *= a.in;
        else found[count++] = a;
    }
    if (count > MAP_AXES) return hone_fail(HONE_DECLINED, "more than %d axes that count", MAP_AXES);
    memcpy(axes, found, sizeof *axes * MAP_AXES);
    *n = count;
    return HONE_OK;
}

static hone_status set_axes(hone_formed *formed, const map_axis *axes, int n)
{
    static const char *const names[MAP_AXES][4] = {{"out0", "in0", "before0", "stride0"}, {"out1", "in1", "before1", "stride1"},
        {"out2", "in2", "before2", "stride2"}, {"out3", "in3", "before3", "stride3"}, {"out4", "in4", "before4", "stride4"}};
    static const char *const reals[3][2] = {{"high0", "low0"}, {"high1", "low1"}, {"high2", "low2"}};
    int64_t active = 0;
    int n_active = 0;
    for (int k = 0; k < MAP_AXES; k++) {
        map_axis a = k < n ? axes[k] : (map_axis){.out = 1, .in = 1};
        const int64_t values[] = {a.out, a.in, a.before, a.stride};
        for (int i = 0; i < 4; i++) hone_vars_set(&formed->vars, names[k][i], values[i]);
        if (!a.active) continue;
        active |= (int64_t)1 << k;
        if (n_active == 3) return hone_fail(HONE_DECLINED, "more than three axes change");
        hone_form_set_real(formed, reals[n_active][0], (float)a.scale);
        hone_form_set_real(formed, reals[n_active++][1], a.scale - (float)a.scale);
    }
    for (; n_active < 3; n_active++) {
        hone_form_set_real(formed, reals[n_active][0], 0);
        hone_form_set_real(formed, reals[n_active][1], 0);
    }
    hone_vars_set(&formed->vars, "active", active);
    hone_vars_set(&formed->vars, "axes", n);
    return HONE_OK;
}

static hone_status set_map(hone_formed *formed, int op)
{
    const hone_call *call = main_call(formed);
    int64_t mode = op == MAP_PAD || op == MAP_RESIZE ? word_index(call, "mode") : 0;
    int64_t coords = op == MAP_RESIZE ? word_index(call, "coords") : 0;
    if (op == MAP_RESIZE && (mode > 1 || coords > 5 || hone_call_int(call, "exclude_outside") || !hone_dtype_is_float(formed->dtype)))
        return hone_fail(HONE_DECLINED, "this kind of resizing");
    hone_vars_set(&formed->vars, "op", op);
    hone_vars_set(&formed->vars, "mode", mode);
    hone_vars_set(&formed->vars, "coords", coords);
    hone_vars_set(&formed->vars, "rounding", op == MAP_RESIZE ? word_index(call, "nearest") : 0);
    hone_form_set_real(formed, "value", op == MAP_PAD ? hone_call_real(call, "value") : 0);
    return HONE_OK;
}

hone_status hone_form_map(const hone_problem *problem, hone_formed *formed)
{
    int op = is_op(formed, "pad") ? MAP_PAD : is_op(formed, "tile") ? MAP_TILE : is_op(formed, "resize") ? MAP_RESIZE : -1, operand, n = 0;
    map_axis axes[MAP_AXES];
    if (op < 0) return hone_fail(HONE_DECLINED, "no map of axes");
    hone_status status = hone_form_operand(formed, 0, &operand);
    if (!status) status = check_type(formed, operand);
    if (status) return status;
    const hone_tensor *x = &problem->operands[operand];
    if (x->layout != problem->out[0].layout && (x->layout != HONE_ROW || problem->out[0].rank == x->rank))
        return hone_fail(HONE_DECLINED, "x and the result lie in different layouts");
    status = read_axes(formed, op, x, axes, &n);
    if (!status) status = hone_form_add_tail(formed, 1);
    if (!status) status = set_map(formed, op);
    if (!status) status = set_axes(formed, axes, n);
    if (!status) limit_vec(formed, n && !axes[0].active ? axes[0].out : 1);
    hone_vars_set(&formed->vars, "in_x", operand);
    return status;
}
