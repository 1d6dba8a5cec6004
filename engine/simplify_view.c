// SPDX-License-Identifier: Apache-2.0
// Movement in normal form. Reshapes rise towards the inputs until they meet and merge; transposes leave axes of extent 1 where they are;
// slices rise above both, so that less is moved; lookups by known, evenly spaced indices are slices; what only repeats values for
// broadcasting goes away.
#include <string.h>

#include "engine/simplify_priv.h"

static bool is_output(const hone_rewriting *r, int value)
{
    return r->graph->values[value].is_output;
}

static int64_t product(const int64_t *dims, int from, int to)
{
    int64_t n = 1;
    for (int k = from; k < to; k++) n *= dims[k];
    return n;
}

// ---- reshapes and transposes

static hone_status merge_reshapes(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node above;
    int x = hone_rewriting_in(r, node, 0);
    hone_tensor from = hone_rewriting_tensor(r, x), to = hone_rewriting_tensor(r, node->out[0]);
    if (!hone_tensor_same_dims(&from, &to) && !hone_rewriting_producer(r, x, "reshape", &above)) return HONE_OK;
    return hone_rewriting_reshape(r, x, to.rank, to.dims, value);
}

static hone_status merge_transposes(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node above;
    const int64_t *perm, *first;
    int64_t merged[HONE_RANK_MAX];
    int x = hone_rewriting_in(r, node, 0), rank = hone_call_list(&node->call, "perm", &perm);
    bool moves = false;
    for (int k = 0; k < rank; k++) moves = moves || perm[k] != k;
    if (!moves) return *value = x, HONE_OK;
    if (!hone_rewriting_producer(r, x, "transpose", &above)) return HONE_OK;
    hone_call_list(&above.call, "perm", &first);
    for (int k = 0; k < rank; k++) merged[k] = first[perm[k]];
    return hone_rewriting_transpose(r, hone_rewriting_in(r, &above, 0), rank, merged, value);
}

// Axes of extent 1 stay in place, the others take the remaining places in their order; a reshape does the rest.
static hone_status settle_units(hone_rewriting *r, const hone_node *node, int *value)
{
    const int64_t *perm;
    int64_t settled[HONE_RANK_MAX];
    int x = hone_rewriting_in(r, node, 0), rank = hone_call_list(&node->call, "perm", &perm), at = 0, y;
    hone_tensor from = hone_rewriting_tensor(r, x), to = hone_rewriting_tensor(r, node->out[0]);
    for (int k = 0; k < rank; k++) {
        if (from.dims[k] == 1) {
            settled[k] = k;
            continue;
        }
        while (from.dims[perm[at]] == 1) at++;
        settled[k] = perm[at++];
    }
    if (!memcmp(settled, perm, (size_t)rank * sizeof *perm)) return HONE_OK;
    hone_status status = hone_rewriting_transpose(r, x, rank, settled, &y);
    return status == HONE_OK ? hone_rewriting_reshape(r, y, to.rank, to.dims, value) : status;
}

// Matches the dims that are not 1 of `to` with those of `from`: group[k] is the axis of `from` that axis k of `to` is a part of, -1 for
// dims of 1. False when `to` does not only split axes.
static bool split_groups(const hone_tensor *from, const hone_tensor *to, int *group)
{
    int axis = 0;
    int64_t filled = 1;
    for (int k = 0; k < to->rank; k++) {
        group[k] = -1;
        if (to->dims[k] == 1) continue;
        while (axis < from->rank && from->dims[axis] == filled) axis++, filled = 1;
        if (axis == from->rank || !to->dims[k] || from->dims[axis] % (filled * to->dims[k])) return false;
        group[k] = axis;
        filled *= to->dims[k];
    }
    return hone_tensor_count(from) == hone_tensor_count(to);
}

static int reshape_readers(const hone_rewriting *r, int value)
{
    int n = 0;
    for (int k = 0; k < r->graph->n_nodes; k++) {
        const hone_node *node = &r->graph->nodes[k];
        n += !strcmp(node->call.op->name, "reshape") && hone_rewriting_in(r, node, 0) == value;
    }
    return n;
}

// reshape(transpose(x)) that only splits axes, or adds and drops axes of 1, is transpose(reshape(x)).
static hone_status raise_over_transpose(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node turn;
    const int64_t *perm;
    int t = hone_rewriting_in(r, node, 0), group[HONE_RANK_MAX], order[HONE_RANK_MAX], n = 0, y;
    if (!hone_rewriting_producer(r, t, "transpose", &turn) || !hone_rewriting_is_sole(r, t)) return HONE_OK;
    hone_tensor middle = hone_rewriting_tensor(r, t), to = hone_rewriting_tensor(r, node->out[0]);
    if (!split_groups(&middle, &to, group)) return HONE_OK;
    if (!is_output(r, node->out[0]) && reshape_readers(r, node->out[0])) return HONE_OK;      // they merge first
    int x = hone_rewriting_in(r, &turn, 0), rank = hone_call_list(&turn.call, "perm", &perm);
    // Parts of x's axes, in x's order; parts of 1 keep their place.
    for (int axis = 0; axis < rank; axis++)
        for (int k = 0; k < to.rank; k++)
            if (group[k] >= 0 && perm[group[k]] == axis) order[n++] = k;
    int64_t dims[HONE_RANK_MAX], back[HONE_RANK_MAX];
    int next = 0;
    for (int k = 0; k < to.rank; k++) {
        int part = group[k] < 0 ? k : order[next++];
        dims[k] = to.dims[part];
        back[part] = k;
    }
    hone_status status = hone_rewriting_reshape(r, x, to.rank, dims, &y);
    return status == HONE_OK ? hone_rewriting_transpose(r, y, to.rank, back, value) : status;
}

static bool keeps_last(const hone_tensor *from, const hone_tensor *to)
{
    return from->rank >= 2 && to->rank >= 2 && from->dims[from->rank - 1] == to->dims[to->rank - 1];
}

// matmul(reshape(x), w) and reshape(y) + b, where the reshape keeps the last axis, are reshapes of the same without it.
static hone_status sink_below_product(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node view, above;
    int a = hone_rewriting_in(r, node, 0), w = hone_rewriting_in(r, node, 1), y;
    bool is_product = !strcmp(node->call.op->name, "matmul");
    hone_tensor to = hone_rewriting_tensor(r, node->out[0]), tw = hone_rewriting_tensor(r, w);
    if (!hone_rewriting_is_constant(r, w) || !hone_rewriting_producer(r, a, "reshape", &view)) return HONE_OK;
    int x = hone_rewriting_in(r, &view, 0);
    hone_tensor from = hone_rewriting_tensor(r, x), middle = hone_rewriting_tensor(r, a);
    bool fits = is_product ? tw.rank == 2 && !hone_call_int(&node->call, "trans_a")
                           : tw.rank <= 1 && hone_rewriting_producer(r, x, "matmul", &above) && hone_tensor_same_dims(&middle, &to);
    if (!fits || !keeps_last(&from, &middle)) return HONE_OK;
    hone_call call = node->call;
    hone_status status = hone_rewriting_emit(r, &call, (int[]){x, w}, &y);
    return status == HONE_OK ? hone_rewriting_reshape(r, y, to.rank, to.dims, value) : status;
}

// reshape(f(matmul(reshape(a), w))) with last axes kept: the product works on any leading dims, so the reshapes meet.
static hone_status raise_over_product(hone_rewriting *r, const hone_node *node, int *value)
{
    enum { STEPS_MAX = 8 };
    hone_node steps[STEPS_MAX], product_node, above;
    int n = 0, x = hone_rewriting_in(r, node, 0), y;
    hone_tensor to = hone_rewriting_tensor(r, node->out[0]), from = hone_rewriting_tensor(r, x);
    if (!to.rank || !from.rank || to.dims[to.rank - 1] != from.dims[from.rank - 1]) return HONE_OK;
    while (!hone_rewriting_producer(r, x, "matmul", &product_node)) {
        if (n == STEPS_MAX || !hone_rewriting_producer(r, x, NULL, &steps[n]) || !hone_rewriting_is_sole(r, x)) return HONE_OK;
        const hone_node *step = &steps[n++];
        if (step->call.op->kind != HONE_OP_ELEMENTWISE || step->call.n_in > 2) return HONE_OK;
        if (step->call.n_in == 2 && (!hone_rewriting_is_constant(r, hone_rewriting_in(r, step, 1)) ||
                                     hone_rewriting_tensor(r, hone_rewriting_in(r, step, 1)).rank > 1)) return HONE_OK;
        x = hone_rewriting_in(r, step, 0);
    }
    int a = hone_rewriting_in(r, &product_node, 0), w = hone_rewriting_in(r, &product_node, 1);
    hone_tensor ta = hone_rewriting_tensor(r, a), tw = hone_rewriting_tensor(r, w);
    bool fits = hone_rewriting_is_sole(r, x) && tw.rank == 2 && ta.rank >= 2 && !hone_call_int(&product_node.call, "trans_a");
    if (!fits || to.rank < 2 || !hone_rewriting_producer(r, a, "reshape", &above)) return HONE_OK;
    hone_tensor source = hone_rewriting_tensor(r, hone_rewriting_in(r, &above, 0));
    if (keeps_last(&source, &ta)) return HONE_OK;          // that one sinks instead
    int64_t dims[HONE_RANK_MAX];
    memcpy(dims, to.dims, sizeof dims);
    dims[to.rank - 1] = ta.dims[ta.rank - 1];
    hone_status status;
    HONE_TRY(hone_rewriting_reshape(r, a, to.rank, dims, &y));
    hone_call call = product_node.call;
    r->name = product_node.name;
    HONE_TRY(hone_rewriting_emit(r, &call, (int[]){y, w}, &y));
    while (n-- > 0) {
        call = steps[n].call;
        r->name = steps[n].name;
        HONE_TRY(hone_rewriting_emit(r, &call, (int[]){y, hone_rewriting_in(r, &steps[n], 1)}, &y));
    }
    *value = y;
out:
    return status;
}

// ---- sequences first: transposes of leading axes around products, which do not care for their order

// The one node that reads a value, through the sums with known vectors below it; false when there are several.
static bool find_reader(const hone_rewriting *r, int value, hone_node *reader)
{
    int readers = 0;
    for (int k = 0; k < r->graph->n_nodes && readers < 2; k++) {
        const hone_node *node = &r->graph->nodes[k];
        for (int j = 0; j < node->call.n_in; j++) {
            if (hone_rewriting_in(r, node, j) != value) continue;
            *reader = *node;
            readers++;
        }
    }
    if (readers != 1) return false;
    bool is_sum = !strcmp(reader->call.op->name, "add") && hone_rewriting_is_constant(r, hone_rewriting_in(r, reader, 1));
    return is_sum ? find_reader(r, hone_rewriting_value(r, reader->out[0]), reader) : true;
}

// transpose(x) w and transpose(x w) + b, where a reshape or transpose waits below, with the transpose moved there
static hone_status sink_transpose(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node turn, above, reader;
    const int64_t *perm;
    int t = hone_rewriting_in(r, node, 0), w = hone_rewriting_in(r, node, 1), y;
    bool is_product = !strcmp(node->call.op->name, "matmul");
    if (!hone_rewriting_is_constant(r, w) || !hone_rewriting_producer(r, t, "transpose", &turn)) return HONE_OK;
    int x = hone_rewriting_in(r, &turn, 0), rank = hone_call_list(&turn.call, "perm", &perm);
    hone_tensor tw = hone_rewriting_tensor(r, w);
    bool fits = is_product ? tw.rank == 2 && !hone_call_int(&node->call, "trans_a") : tw.rank <= 1 && hone_rewriting_producer(r, x, "matmul", &above);
    if (!fits || rank < 3 || perm[rank - 1] != rank - 1 || !find_reader(r, node->out[0], &reader)) return HONE_OK;
    if (reader.call.op->kind != HONE_OP_VIEW && strcmp(reader.call.op->name, "transpose")) return HONE_OK;
    hone_call call = node->call;
    hone_status status = hone_rewriting_emit(r, &call, (int[]){x, w}, &y);
    return status == HONE_OK ? hone_rewriting_transpose(r, y, rank, perm, value) : status;
}

// reshape(transpose(x)) that merges axes, as transpose'(reshape(first(x))): the parts before the last in x's order. False when they are already.
static bool order_parts(const hone_tensor *to, const hone_tensor *middle, const int64_t *perm, int64_t *first, int64_t *order)
{
    int group[HONE_RANK_MAX], n = 0;
    if (to->rank < 3 || !split_groups(to, middle, group)) return false;
    for (int k = 0; k < middle->rank; k++)
        if (group[k] < 0 || (k && group[k] < group[k - 1])) return false;
    for (int g = 0; g < to->rank; g++) order[g] = g;
    int64_t source[HONE_RANK_MAX];                       // the first of x's axes in each part
    for (int k = middle->rank - 1; k >= 0; k--) source[group[k]] = perm[k];
    for (int a = 0; a < to->rank - 1; a++)
        for (int b = a + 1; b < to->rank - 1; b++)
            if (source[order[b]] < source[order[a]]) {
                int64_t swap = order[a];
                order[a] = order[b], order[b] = swap;
            }
    for (int g = 0; g < to->rank; g++)
        for (int k = 0; k < middle->rank; k++)
            if (group[k] == order[g]) first[n++] = perm[k];
    return n == middle->rank;
}

// transpose(reshape(transpose(x)) w + b), where the two undo each other in the leading axes
static hone_status cancel_transposes(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node sum, dot, view, turn;
    const int64_t *perm, *last;
    int64_t first[HONE_RANK_MAX], order[HONE_RANK_MAX], dims[HONE_RANK_MAX];
    int y = hone_rewriting_in(r, node, 0);
    bool has_sum = hone_rewriting_producer(r, y, "add", &sum) && hone_rewriting_tensor(r, hone_rewriting_in(r, &sum, 1)).rank <= 1;
    if (has_sum) y = hone_rewriting_in(r, &sum, 0);
    if (!hone_rewriting_producer(r, y, "matmul", &dot) || hone_call_int(&dot.call, "trans_a")) return HONE_OK;
    int a = hone_rewriting_in(r, &dot, 0), w = hone_rewriting_in(r, &dot, 1);
    if (hone_rewriting_tensor(r, w).rank != 2 || !hone_rewriting_producer(r, a, "reshape", &view)) return HONE_OK;
    int t = hone_rewriting_in(r, &view, 0);
    if (!hone_rewriting_producer(r, t, "transpose", &turn)) return HONE_OK;
    hone_tensor to = hone_rewriting_tensor(r, a), middle = hone_rewriting_tensor(r, t);
    hone_call_list(&turn.call, "perm", &perm);
    if (!order_parts(&to, &middle, perm, first, order) || hone_call_list(&node->call, "perm", &last) != to.rank) return HONE_OK;
    for (int k = 0; k < to.rank; k++) {
        if (last[k] != order[k]) return HONE_OK;
        dims[k] = to.dims[order[k]];
    }
    hone_status status;
    HONE_TRY(hone_rewriting_transpose(r, hone_rewriting_in(r, &turn, 0), middle.rank, first, &y));
    HONE_TRY(hone_rewriting_reshape(r, y, to.rank, dims, &y));
    r->name = dot.name;
    hone_call call = dot.call;
    HONE_TRY(hone_rewriting_emit(r, &call, (int[]){y, w}, &y));
    if (has_sum) HONE_TRY(hone_rewriting_op(r, "add", 2, (int[]){y, hone_rewriting_in(r, &sum, 1)}, &y));
    *value = y;
out:
    return status;
}

// ---- slices

typedef struct cut {
    int rank;
    int64_t start[HONE_RANK_MAX], size[HONE_RANK_MAX], step[HONE_RANK_MAX];
} cut;

static void read_cut(const hone_node *node, int rank, const hone_tensor *out, cut *c)
{
    c->rank = rank;
    for (int k = 0; k < rank; k++) {
        c->start[k] = hone_call_int_at(&node->call, "start", k);
        c->step[k] = hone_call_int_at(&node->call, "step", k);
        c->size[k] = out->dims[k];
    }
}

static hone_status slice_over_transpose(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node turn;
    const int64_t *perm;
    cut c, up;
    int t = hone_rewriting_in(r, node, 0), y;
    if (!hone_rewriting_producer(r, t, "transpose", &turn)) return HONE_OK;
    int rank = hone_call_list(&turn.call, "perm", &perm);
    hone_tensor out = hone_rewriting_tensor(r, node->out[0]);
    read_cut(node, rank, &out, &c);
    for (int k = 0; k < rank; k++) up.start[perm[k]] = c.start[k], up.size[perm[k]] = c.size[k], up.step[perm[k]] = c.step[k];
    hone_status status = hone_rewriting_slice(r, hone_rewriting_in(r, &turn, 0), rank, up.start, up.size, up.step, &y);
    return status == HONE_OK ? hone_rewriting_transpose(r, y, rank, perm, value) : status;
}

// The one axis that is cut, in whole steps of 1; -1 otherwise.
static int cut_axis(const hone_tensor *from, const cut *c)
{
    int axis = -1;
    for (int k = 0; k < c->rank; k++) {
        if (c->start[k] == 0 && c->step[k] == 1 && c->size[k] == from->dims[k]) continue;
        if (axis >= 0 || c->step[k] != 1) return -1;
        axis = k;
    }
    return axis;
}

// slice(reshape(x)) along one axis whose parts lie together in an axis of x
static hone_status slice_over_reshape(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node view;
    cut c, up = {.rank = 0};
    int m = hone_rewriting_in(r, node, 0), y;
    if (!hone_rewriting_producer(r, m, "reshape", &view)) return HONE_OK;
    int x = hone_rewriting_in(r, &view, 0), source = 0;
    hone_tensor from = hone_rewriting_tensor(r, x), middle = hone_rewriting_tensor(r, m), out = hone_rewriting_tensor(r, node->out[0]);
    read_cut(node, middle.rank, &out, &c);
    int axis = cut_axis(&middle, &c);
    if (axis < 0 || !hone_tensor_count(&out)) return HONE_OK;
    int64_t before = product(middle.dims, 0, axis), after = product(middle.dims, axis + 1, middle.rank);
    while (source < from.rank && product(from.dims, 0, source + 1) <= before) source++;
    if (source == from.rank || product(from.dims, 0, source) != before) return HONE_OK;
    int64_t inner = product(from.dims, source + 1, from.rank);
    if (!inner || after % inner || from.dims[source] != middle.dims[axis] * (after / inner)) return HONE_OK;
    for (int k = 0; k < from.rank; k++) up.size[k] = from.dims[k], up.step[k] = 1;
    up.start[source] = c.start[axis] * (after / inner);
    up.size[source] = c.size[axis] * (after / inner);
    hone_status status = hone_rewriting_slice(r, x, from.rank, up.start, up.size, up.step, &y);
    return status == HONE_OK ? hone_rewriting_reshape(r, y, out.rank, out.dims, value) : status;
}

// ---- lookups by known indices

// Evenly spaced values: first + k * step. False when they are not, or not known.
static bool read_progression(hone_rewriting *r, int value, int64_t bound, int64_t *first, int64_t *step, int64_t *n)
{
    hone_array a = {0};
    if (!hone_rewriting_is_constant(r, value) || hone_rewriting_array(r, value, &a) != HONE_OK) return false;
    *n = hone_tensor_count(&a.tensor);
    bool even = a.i && *n > 0;
    for (int64_t k = 0; even && k < *n; k++) a.i[k] += a.i[k] < 0 ? bound : 0;
    *first = even ? a.i[0] : 0;
    *step = even && *n > 1 ? a.i[1] - a.i[0] : 1;
    for (int64_t k = 0; even && k < *n; k++) even = a.i[k] == *first + k * *step && a.i[k] >= 0 && a.i[k] < bound;
    hone_array_clear(&a);
    return even && *step != 0;
}

static hone_status gather_to_slice(hone_rewriting *r, const hone_node *node, int *value)
{
    cut c = {.rank = 0};
    int64_t first, step, n;
    int x = hone_rewriting_in(r, node, 0), axis = (int)hone_call_int(&node->call, "axis"), y;
    hone_tensor from = hone_rewriting_tensor(r, x), out = hone_rewriting_tensor(r, node->out[0]);
    axis += axis < 0 ? from.rank : 0;
    if (!read_progression(r, hone_rewriting_in(r, node, 1), from.dims[axis], &first, &step, &n)) return HONE_OK;
    for (int k = 0; k < from.rank; k++) c.size[k] = from.dims[k], c.step[k] = 1;
    c.start[axis] = first, c.size[axis] = n, c.step[axis] = step;
    hone_status status = hone_rewriting_slice(r, x, from.rank, c.start, c.size, c.step, &y);
    return status == HONE_OK ? hone_rewriting_reshape(r, y, out.rank, out.dims, value) : status;
}

// Where each index tuple points, as a flat position over the indexed axes, in place of the first of the tuple's numbers.
static bool flatten_tuples(const hone_tensor *x, hone_array *indices, int64_t width, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t at = 0;
        for (int64_t j = 0; j < width; j++) {
            int64_t i = indices->i[k * width + j];
            i += i < 0 ? x->dims[j] : 0;
            if (i < 0 || i >= x->dims[j]) return false;
            at = at * x->dims[j] + i;
        }
        if (k && at != indices->i[0] + k) return false;
        indices->i[k] = at;
    }
    return true;
}

// Tuples that walk through x in order: a reshape, a slice, a reshape.
static hone_status gather_nd_to_slice(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_array a = {0};
    int x = hone_rewriting_in(r, node, 0), indices = hone_rewriting_in(r, node, 1), y;
    hone_status status = HONE_OK;
    if (!hone_rewriting_is_constant(r, indices) || hone_call_int(&node->call, "batch_dims")) return HONE_OK;
    hone_tensor from = hone_rewriting_tensor(r, x), ti = hone_rewriting_tensor(r, indices), out = hone_rewriting_tensor(r, node->out[0]);
    int64_t width = ti.rank ? ti.dims[ti.rank - 1] : 0, n = width ? hone_tensor_count(&ti) / width : 0;
    if (width < 1 || width > from.rank || !n || !ti.rank) return HONE_OK;
    HONE_TRY(hone_rewriting_array(r, indices, &a));
    if (!flatten_tuples(&from, &a, width, n)) goto out;
    int64_t dims[2] = {product(from.dims, 0, (int)width), product(from.dims, (int)width, from.rank)};
    int64_t start[2] = {a.i[0], 0}, size[2] = {n, dims[1]}, step[2] = {1, 1};
    HONE_TRY(hone_rewriting_reshape(r, x, 2, dims, &y));
    HONE_TRY(hone_rewriting_slice(r, y, 2, start, size, step, &y));
    HONE_TRY(hone_rewriting_reshape(r, y, out.rank, out.dims, value));
out:
    hone_array_clear(&a);
    return status;
}

// ---- expansion

static hone_status broadcast_all(const hone_rewriting *r, const int *in, int n, hone_tensor *out)
{
    *out = hone_rewriting_tensor(r, in[0]);
    for (int k = 1; k < n; k++) {
        hone_tensor t = hone_rewriting_tensor(r, in[k]);
        hone_status status = hone_tensor_broadcast(out, &t, out);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

// f(expand(x), y): broadcasting does it where the result keeps its dims; otherwise the expansion goes below, where it may end.
static hone_status lower_expand(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node wide;
    int in[HONE_INPUTS_MAX], n = node->call.n_in, at = -1, y;
    hone_tensor narrow, out = hone_rewriting_tensor(r, node->out[0]);
    if (node->call.op->kind != HONE_OP_ELEMENTWISE) return HONE_OK;
    for (int k = 0; k < n; k++) {
        in[k] = hone_rewriting_in(r, node, k);
        if (at >= 0 || !hone_rewriting_producer(r, in[k], "expand", &wide)) continue;
        at = k;
        in[k] = hone_rewriting_in(r, &wide, 0);
    }
    if (at < 0 || broadcast_all(r, in, n, &narrow) != HONE_OK) return HONE_OK;
    bool same = hone_tensor_same_dims(&narrow, &out);
    if (!same && (!hone_rewriting_is_sole(r, hone_rewriting_in(r, node, at)) || is_output(r, node->out[0]))) return HONE_OK;
    hone_call call = node->call;
    hone_status status = hone_rewriting_emit(r, &call, in, &y);
    if (status != HONE_OK || same) return *value = y, status;
    status = hone_call_init(&call, "expand", 1);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "shape", out.dims, out.rank);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, &y, value) : status;
}

static hone_status drop_expand(hone_rewriting *r, const hone_node *node, int *value)
{
    int x = hone_rewriting_in(r, node, 0);
    hone_tensor from = hone_rewriting_tensor(r, x), to = hone_rewriting_tensor(r, node->out[0]);
    if (hone_tensor_same_dims(&from, &to)) *value = x;
    return HONE_OK;
}

static hone_status drop_concat(hone_rewriting *r, const hone_node *node, int *value)
{
    if (node->call.n_in == 1) *value = hone_rewriting_in(r, node, 0);
    return HONE_OK;
}

// A pooling over all of the image is a reduction.
static hone_status pool_to_reduce(hone_rewriting *r, const hone_node *node, int *value)
{
    const int64_t *kernel;
    int64_t axes[3];
    hone_call call;
    int x = hone_rewriting_in(r, node, 0), n = hone_call_list(&node->call, "kernel", &kernel);
    hone_tensor from = hone_rewriting_tensor(r, x), to = hone_rewriting_tensor(r, node->out[0]);
    if (node->call.n_out != 1) return HONE_OK;
    for (int k = 0; k < n; k++) {
        axes[k] = 2 + k;
        if (kernel[k] != from.dims[2 + k] || to.dims[2 + k] != 1) return HONE_OK;
    }
    for (int k = 0; k < 2 * n; k++)
        if (hone_call_int_at(&node->call, "pad", k)) return HONE_OK;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "reduce", 1));
    HONE_TRY(hone_call_set_word(&call, "kind", strcmp(node->call.op->name, "maxpool") ? "mean" : "max"));
    HONE_TRY(hone_call_set_ints(&call, "axes", axes, n));
    HONE_TRY(hone_rewriting_emit(r, &call, &x, value));
out:
    return status;
}

#define BROADCASTING " add sub mul div min max pow and or xor equal less greater lessorequal greaterorequal where not cast abs neg "

const hone_rewrite hone_rewrites_view[] = {
    {"merge_reshapes", " reshape ", merge_reshapes, false},
    {"merge_transposes", " transpose ", merge_transposes, false},
    {"settle_units", " transpose ", settle_units, false},
    {"raise_over_transpose", " reshape ", raise_over_transpose, false},
    {"raise_over_product", " reshape ", raise_over_product, false},
    {"sink_below_product", " matmul add ", sink_below_product, false},
    {"sink_transpose", " matmul add ", sink_transpose, false},
    {"cancel_transposes", " transpose ", cancel_transposes, false},
    {"slice_over_transpose", " slice ", slice_over_transpose, false},
    {"slice_over_reshape", " slice ", slice_over_reshape, false},
    {"gather_to_slice", " gather ", gather_to_slice, false},
    {"gather_nd_to_slice", " gather_nd ", gather_nd_to_slice, false},
    {"drop_expand", " expand ", drop_expand, false},
    {"lower_expand", BROADCASTING, lower_expand, false},
    {"drop_concat", " concat ", drop_concat, false},
    {"pool_to_reduce", " avgpool maxpool ", pool_to_reduce, false},
    {0},
};
