// SPDX-License-Identifier: Apache-2.0
// Values that change places as other values say: gather and scatter in their three forms, reverse_sequence, onehot, topk.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/op_priv.h"

#define ATTRS(table) .attrs = table, .n_attrs = sizeof(table) / sizeof *(table)
#define MOVE .kind = HONE_OP_MOVE, .outputs = 1

// ---- index operands

static hone_status check_index(const hone_call *call, const hone_tensor *index)
{
    if (!hone_dtype_is_float(index->dtype) && index->dtype != HONE_BOOL) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s: indices are of type %s; they must be integers", call->op->name, hone_dtype_name(index->dtype));
}

hone_status hone_index_resolve(const hone_call *call, const hone_array *index, const int64_t *bounds, int64_t period, int64_t **made)
{
    int64_t count = hone_tensor_count(&index->tensor);
    int64_t *resolved = hone_alloc((size_t)count * sizeof *resolved);
    if (!resolved) return HONE_NO_MEMORY;
    for (int64_t k = 0; k < count; k++) {
        int64_t bound = bounds[k % period], value = index->i[k];
        resolved[k] = value < 0 ? value + bound : value;
        if (resolved[k] >= 0 && resolved[k] < bound) continue;
        hone_free(resolved);
        return hone_fail(HONE_USAGE, "%s: index %lld is outside of an axis of %lld elements", call->op->name, (long long)value,
                         (long long)bound);
    }
    *made = resolved;
    return HONE_OK;
}

static int64_t product(const int64_t *dims, int begin, int end)
{
    int64_t result = 1;
    for (int k = begin; k < end; k++) result *= dims[k];
    return result;
}

static int64_t axis_bound(const hone_call *call, const hone_tensor *const *in)
{
    return in[0]->dims[hone_call_int(call, "axis")];
}

// ---- gather

static const hone_attr_spec axis_attrs[] = {{"axis", HONE_ATTR_INT, NULL, "0"}};

static hone_status gather_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const hone_tensor *x = in[0], *index = in[1];
    hone_status status = hone_call_fix_axis(call, "axis", x->rank);
    if (status == HONE_OK) status = check_index(call, index);
    if (status != HONE_OK) return status;
    int axis = (int)hone_call_int(call, "axis");
    if (x->rank - 1 + index->rank > HONE_RANK_MAX) return hone_fail(HONE_USAGE, "gather: the result has more than %d dims", HONE_RANK_MAX);
    *out = (hone_tensor){.dtype = x->dtype};
    for (int k = 0; k < axis; k++) out->dims[out->rank++] = x->dims[k];
    for (int k = 0; k < index->rank; k++) out->dims[out->rank++] = index->dims[k];
    for (int k = axis + 1; k < x->rank; k++) out->dims[out->rank++] = x->dims[k];
    return HONE_OK;
}

// Runs of `inner` elements, both sides flat: out run r comes from in run source(r).
typedef struct runs {
    const hone_array *in;
    hone_array *out;
    const int64_t *index;
    int64_t n_index, bound, inner;
} runs;

static void copy_run(const hone_array *in, int64_t from, hone_array *out, int64_t to, int64_t count)
{
    if (out->f) memcpy(out->f + to, in->f + from, (size_t)count * sizeof *out->f);
    else memcpy(out->i + to, in->i + from, (size_t)count * sizeof *out->i);
}

static void gather_part(void *user, int64_t begin, int64_t end, int worker)
{
    const runs *r = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t from = k / r->n_index * r->bound + r->index[k % r->n_index];
        copy_run(r->in, from * r->inner, r->out, k * r->inner, r->inner);
    }
}

static hone_status gather_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    int axis = (int)hone_call_int(call, "axis");
    int64_t *index, outer = product(x->dims, 0, axis);
    hone_status status = hone_index_resolve(call, &in[1], &x->dims[axis], 1, &index);
    if (status != HONE_OK) return status;
    runs r = {&in[0], &out[0], index, hone_tensor_count(&in[1].tensor), x->dims[axis], product(x->dims, axis + 1, x->rank)};
    hone_parallel(outer * r.n_index, 1 + 16384 / (r.inner + 1), threads, gather_part, &r);
    hone_free(index);
    return HONE_OK;
}

const hone_op hone_op_gather = {
    .name = "gather", MOVE, .inputs = "x indices", .domains = "ni", ATTRS(axis_attrs), .shape = gather_shape,
    .reference = gather_reference, .index_bound = axis_bound, .onnx = "Gather x indices"};

// ---- gather_elements and scatter_elements: one index an element

static hone_status elements_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const hone_tensor *x = in[0], *index = in[1];
    hone_status status = hone_call_fix_axis(call, "axis", x->rank);
    if (status == HONE_OK) status = check_index(call, index);
    if (status != HONE_OK) return status;
    bool fits = x->rank == index->rank;
    for (int k = 0; fits && k < x->rank; k++) fits = k == hone_call_int(call, "axis") || index->dims[k] <= x->dims[k];
    if (!fits) return hone_fail(HONE_USAGE, "%s: the indices do not lie within x", call->op->name);
    *out = *index;
    out->dtype = x->dtype;
    out->layout = HONE_ROW;
    return HONE_OK;
}

// Element k of the indices' shape is element elements_at(...) of x.
typedef struct elements {
    const int64_t *index;
    hone_tensor shape;                       // of the indices
    int64_t axis, strides[HONE_RANK_MAX];    // of x
    const hone_array *in;
    hone_array *out;
} elements;

static int64_t elements_at(const elements *e, int64_t k)
{
    int64_t at = 0, rest = k;
    for (int a = e->shape.rank - 1; a >= 0; a--) {
        at += (a == e->axis ? e->index[k] : rest % e->shape.dims[a]) * e->strides[a];
        rest /= e->shape.dims[a];
    }
    return at;
}

static hone_status elements_init(const hone_call *call, const hone_array *in, elements *e, int64_t **index)
{
    *e = (elements){.shape = in[1].tensor, .axis = hone_call_int(call, "axis"), .in = &in[0]};
    hone_status status = hone_index_resolve(call, &in[1], &in[0].tensor.dims[e->axis], 1, index);
    e->index = *index;
    hone_tensor_strides(&in[0].tensor, e->strides);
    return status;
}

static void elements_part(void *user, int64_t begin, int64_t end, int worker)
{
    const elements *e = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) copy_run(e->in, elements_at(e, k), e->out, k, 1);
}

static hone_status gather_elements_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    elements e;
    int64_t *index = NULL;
    hone_status status = elements_init(call, in, &e, &index);
    if (status != HONE_OK) return status;
    e.out = &out[0];
    hone_parallel(hone_tensor_count(&out[0].tensor), 16384, threads, elements_part, &e);
    hone_free(index);
    return HONE_OK;
}

const hone_op hone_op_gather_elements = {
    .name = "gather_elements", MOVE, .inputs = "x indices", .domains = "ni", ATTRS(axis_attrs), .shape = elements_shape,
    .reference = gather_elements_reference, .index_bound = axis_bound, .onnx = "GatherElements x indices"};

// ---- what a scatter does with a value that is already there

#define REDUCTIONS "none add mul max min"

typedef double merge_real(double old, double new);
typedef int64_t merge_int(int64_t old, int64_t new);

static double real_none(double old, double new) { (void)old; return new; }
static double real_add(double old, double new) { return old + new; }
static double real_mul(double old, double new) { return old * new; }
static double real_max(double old, double new) { return old > new || isnan(old) ? old : new; }
static double real_min(double old, double new) { return old < new || isnan(old) ? old : new; }
static int64_t int_none(int64_t old, int64_t new) { (void)old; return new; }
static int64_t int_add(int64_t old, int64_t new) { return (int64_t)((uint64_t)old + (uint64_t)new); }
static int64_t int_mul(int64_t old, int64_t new) { return (int64_t)((uint64_t)old * (uint64_t)new); }
static int64_t int_max(int64_t old, int64_t new) { return old > new ? old : new; }
static int64_t int_min(int64_t old, int64_t new) { return old < new ? old : new; }

static const struct { merge_real *real; merge_int *integer; } merges[] = {       // in the order of REDUCTIONS
    {real_none, int_none}, {real_add, int_add}, {real_mul, int_mul}, {real_max, int_max}, {real_min, int_min},
};

static void scatter_one(hone_array *out, int64_t to, const hone_array *updates, int64_t from, int64_t how)
{
    if (out->f) out->f[to] = merges[how].real(out->f[to], updates->f[from]);
    else out->i[to] = merges[how].integer(out->i[to], updates->i[from]);
}

static hone_status check_updates(const hone_call *call, const hone_tensor *const *in, const hone_tensor *wanted)
{
    if (in[2]->dtype == in[0]->dtype && hone_tensor_same_dims(in[2], wanted)) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s: the updates do not have x's type and the shape that the indices ask for", call->op->name);
}

static const hone_attr_spec scatter_elements_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, "0"}, {"reduction", HONE_ATTR_WORD, REDUCTIONS, "none"},
};

static hone_status scatter_elements_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_tensor like;
    hone_status status = elements_shape(call, in, &like);
    if (status == HONE_OK) status = check_updates(call, in, &like);
    return status == HONE_OK ? hone_shape_same(call, in, out) : status;
}

// In the order of the updates, so that the last of several to one place counts.
static hone_status scatter_elements_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    elements e;
    int64_t *index = NULL, how = hone_call_int(call, "reduction");
    hone_status status = elements_init(call, in, &e, &index);
    (void)threads;
    if (status != HONE_OK) return status;
    hone_array_copy(&in[0], &out[0]);
    for (int64_t k = 0; k < hone_tensor_count(&e.shape); k++) scatter_one(&out[0], elements_at(&e, k), &in[2], k, how);
    hone_free(index);
    return HONE_OK;
}

const hone_op hone_op_scatter_elements = {
    .name = "scatter_elements", MOVE, .inputs = "x indices updates", .domains = "nin", ATTRS(scatter_elements_attrs),
    .shape = scatter_elements_shape, .reference = scatter_elements_reference, .index_bound = axis_bound,
    .onnx = "ScatterElements x indices updates\nScatter x indices updates"};

// ---- gather_nd and scatter_nd: the last axis of the indices holds coordinates

static const hone_attr_spec gather_nd_attrs[] = {{"batch_dims", HONE_ATTR_INT, NULL, "0"}};

// Checks the indices of x behind `batch` common axes and says how many coordinates an entry has.
static hone_status check_nd(const hone_call *call, const hone_tensor *x, const hone_tensor *index, int64_t batch, int *n)
{
    hone_status status = check_index(call, index);
    if (status != HONE_OK) return status;
    bool fits = batch >= 0 && index->rank > batch && x->rank > batch && index->dims[index->rank - 1] <= x->rank - batch;
    for (int k = 0; fits && k < batch; k++) fits = x->dims[k] == index->dims[k];
    if (!fits) return hone_fail(HONE_USAGE, "%s: the indices do not fit x", call->op->name);
    *n = (int)index->dims[index->rank - 1];
    return HONE_OK;
}

// The shape of what the indices name: their own without the last axis, and the axes of x behind the coordinates.
static hone_status nd_shape(const hone_call *call, const hone_tensor *x, const hone_tensor *index, int64_t batch, hone_tensor *out)
{
    int n = 0;
    hone_status status = check_nd(call, x, index, batch, &n);
    if (status != HONE_OK) return status;
    int tail = x->rank - (int)batch - n;
    if (index->rank - 1 + tail > HONE_RANK_MAX)
        return hone_fail(HONE_USAGE, "%s: the result has more than %d dims", call->op->name, HONE_RANK_MAX);
    *out = (hone_tensor){.dtype = x->dtype};
    for (int k = 0; k < index->rank - 1; k++) out->dims[out->rank++] = index->dims[k];
    for (int k = x->rank - tail; k < x->rank; k++) out->dims[out->rank++] = x->dims[k];
    return HONE_OK;
}

static hone_status gather_nd_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    return nd_shape(call, in[0], in[1], hone_call_int(call, "batch_dims"), out);
}

// The least extent that a coordinate counts along, so that every index below it is legal everywhere.
static int64_t nd_bound(const hone_tensor *x, const hone_tensor *index, int64_t batch)
{
    int64_t bound = INT64_MAX, n = index->dims[index->rank - 1];
    for (int64_t k = batch; k < batch + n; k++) bound = x->dims[k] < bound ? x->dims[k] : bound;
    return bound;
}

static int64_t gather_nd_bound(const hone_call *call, const hone_tensor *const *in)
{
    return nd_bound(in[0], in[1], hone_call_int(call, "batch_dims"));
}

static int64_t scatter_nd_bound(const hone_call *call, const hone_tensor *const *in)
{
    (void)call;
    return nd_bound(in[0], in[1], 0);
}

// Entries of resolved coordinates; each names a run of `inner` elements of x.
typedef struct entries {
    int64_t *index;                       // owned
    int64_t count, n, inner, per_batch, batch_stride, strides[HONE_RANK_MAX];
} entries;

static hone_status entries_init(const hone_call *call, const hone_array *in, int64_t batch, entries *e)
{
    const hone_tensor *x = &in[0].tensor, *index = &in[1].tensor;
    int64_t strides[HONE_RANK_MAX];
    hone_tensor_strides(x, strides);
    *e = (entries){.n = index->dims[index->rank - 1], .count = product(index->dims, 0, index->rank - 1)};
    int64_t batches = product(x->dims, 0, (int)batch);
    e->per_batch = batches ? e->count / batches : 1;
    e->batch_stride = product(x->dims, (int)batch, x->rank);
    e->inner = product(x->dims, (int)(batch + e->n), x->rank);
    for (int64_t k = 0; k < e->n; k++) e->strides[k] = strides[batch + k];
    return hone_index_resolve(call, &in[1], &x->dims[batch], e->n ? e->n : 1, &e->index);
}

static int64_t entry_at(const entries *e, int64_t entry)
{
    int64_t at = entry / e->per_batch * e->batch_stride;
    for (int64_t k = 0; k < e->n; k++) at += e->index[entry * e->n + k] * e->strides[k];
    return at;
}

static hone_status gather_nd_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    entries e;
    hone_status status = entries_init(call, in, hone_call_int(call, "batch_dims"), &e);
    (void)threads;
    if (status != HONE_OK) return status;
    for (int64_t k = 0; k < e.count; k++) copy_run(&in[0], entry_at(&e, k), &out[0], k * e.inner, e.inner);
    hone_free(e.index);
    return HONE_OK;
}

const hone_op hone_op_gather_nd = {
    .name = "gather_nd", MOVE, .inputs = "x indices", .domains = "ni", ATTRS(gather_nd_attrs), .shape = gather_nd_shape,
    .reference = gather_nd_reference, .index_bound = gather_nd_bound, .onnx = "GatherND x indices"};

static const hone_attr_spec scatter_nd_attrs[] = {{"reduction", HONE_ATTR_WORD, REDUCTIONS, "none"}};

static hone_status scatter_nd_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_tensor like;
    hone_status status = nd_shape(call, in[0], in[1], 0, &like);
    if (status == HONE_OK) status = check_updates(call, in, &like);
    return status == HONE_OK ? hone_shape_same(call, in, out) : status;
}

static hone_status scatter_nd_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    entries e;
    int64_t how = hone_call_int(call, "reduction");
    hone_status status = entries_init(call, in, 0, &e);
    (void)threads;
    if (status != HONE_OK) return status;
    hone_array_copy(&in[0], &out[0]);
    for (int64_t k = 0; k < e.count; k++)
        for (int64_t j = 0, to = entry_at(&e, k); j < e.inner; j++) scatter_one(&out[0], to + j, &in[2], k * e.inner + j, how);
    hone_free(e.index);
    return HONE_OK;
}

const hone_op hone_op_scatter_nd = {
    .name = "scatter_nd", MOVE, .inputs = "x indices updates", .domains = "nin", ATTRS(scatter_nd_attrs), .shape = scatter_nd_shape,
    .reference = scatter_nd_reference, .index_bound = scatter_nd_bound, .onnx = "ScatterND x indices updates"};

// ---- reverse_sequence

static const hone_attr_spec reverse_attrs[] = {{"batch_axis", HONE_ATTR_INT, NULL, "1"}, {"time_axis", HONE_ATTR_INT, NULL, "0"}};

static hone_status reverse_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = hone_call_fix_axis(call, "batch_axis", in[0]->rank);
    if (status == HONE_OK) status = hone_call_fix_axis(call, "time_axis", in[0]->rank);
    if (status == HONE_OK) status = check_index(call, in[1]);
    if (status != HONE_OK) return status;
    int64_t batch = hone_call_int(call, "batch_axis");
    if (batch == hone_call_int(call, "time_axis") || in[1]->rank != 1 || in[1]->dims[0] != in[0]->dims[batch])
        return hone_fail(HONE_USAGE, "reverse_sequence: the lengths do not fit the batch axis of x");
    return hone_shape_same(call, in, out);
}

static int64_t time_bound(const hone_call *call, const hone_tensor *const *in)
{
    return in[0]->dims[hone_call_int(call, "time_axis")] + 1;      // a length may be the whole axis
}

typedef struct reversal {
    int rank;
    int64_t batch, time, strides[HONE_RANK_MAX];
    const int64_t *lengths;
} reversal;

static int64_t from_reversal(const void *user, const int64_t *at)
{
    const reversal *r = user;
    int64_t length = r->lengths[at[r->batch]], from = 0;
    for (int k = 0; k < r->rank; k++) {
        bool turns = k == r->time && at[k] < length;
        from += (turns ? length - 1 - at[k] : at[k]) * r->strides[k];
    }
    return from;
}

static hone_status reverse_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    reversal r = {.rank = in[0].tensor.rank, .batch = hone_call_int(call, "batch_axis"), .time = hone_call_int(call, "time_axis"),
                  .lengths = in[1].i};
    int64_t steps = in[0].tensor.dims[r.time];
    for (int64_t k = 0; k < in[1].tensor.dims[0]; k++)
        if (r.lengths[k] < 0 || r.lengths[k] > steps)
            return hone_fail(HONE_USAGE, "reverse_sequence: length %lld is not within 0..%lld", (long long)r.lengths[k], (long long)steps);
    hone_tensor_strides(&in[0].tensor, r.strides);
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_reversal, &r, threads);
    return HONE_OK;
}

const hone_op hone_op_reverse_sequence = {
    .name = "reverse_sequence", MOVE, .inputs = "x lens", .domains = "ni", ATTRS(reverse_attrs), .shape = reverse_shape,
    .reference = reverse_reference, .index_bound = time_bound, .onnx = "ReverseSequence x lens"};

// ---- onehot

static const hone_attr_spec onehot_attrs[] = {{"depth", HONE_ATTR_INT, NULL, NULL}, {"axis", HONE_ATTR_INT, NULL, "-1"}};

// values holds the off value and the on value. The axis stays as it was given when it is -1, the default.
static hone_status onehot_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    int64_t depth = hone_call_int(call, "depth"), axis = hone_call_int(call, "axis");
    int rank = in[0]->rank + 1;
    if (rank > HONE_RANK_MAX || depth < 1 || in[1]->rank != 1 || in[1]->dims[0] != 2)
        return hone_fail(HONE_USAGE, "onehot needs a depth of 1 or more, two values, and at most %d dims in x", HONE_RANK_MAX - 1);
    if (axis < -rank || axis >= rank) return hone_fail(HONE_USAGE, "onehot: axis %lld does not exist", (long long)axis);
    axis += axis < 0 ? rank : 0;
    call->attrs[1].i[0] = axis == rank - 1 ? -1 : axis;
    *out = (hone_tensor){.dtype = in[1]->dtype, .rank = rank};
    for (int k = 0; k < rank; k++) out->dims[k] = k == axis ? depth : in[0]->dims[k - (k > axis)];
    return HONE_OK;
}

static int64_t depth_bound(const hone_call *call, const hone_tensor *const *in)
{
    (void)in;
    return hone_call_int(call, "depth");
}

// An index outside of -depth..depth-1 turns nothing on.
static hone_status onehot_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *o = &out[0].tensor;
    int64_t axis = hone_call_int(call, "axis"), depth = hone_call_int(call, "depth");
    axis += axis < 0 ? o->rank : 0;
    int64_t inner = product(o->dims, (int)axis + 1, o->rank), count = hone_tensor_count(o);
    (void)threads;
    for (int64_t k = 0; k < count; k++) {
        int64_t place = k / inner % depth, at = k / inner / depth * inner + k % inner;
        int64_t wanted = in[0].f ? hone_int_from_double(in[0].f[at]) : in[0].i[at];
        copy_run(&in[1], (wanted < 0 ? wanted + depth : wanted) == place, &out[0], k, 1);
    }
    return HONE_OK;
}

const hone_op hone_op_onehot = {
    .name = "onehot", MOVE, .inputs = "x values", .domains = "in", ATTRS(onehot_attrs), .shape = onehot_shape,
    .reference = onehot_reference, .index_bound = depth_bound, .onnx = "OneHot x @depth values"};

// ---- topk

static const hone_attr_spec topk_attrs[] = {
    {"k", HONE_ATTR_INT, NULL, NULL}, {"axis", HONE_ATTR_INT, NULL, "-1"}, {"largest", HONE_ATTR_INT, NULL, "1"},
    {"sorted", HONE_ATTR_INT, NULL, "1"},
};

static hone_status topk_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    int rank = in[0]->rank;
    hone_status status = hone_call_fix_axis(call, "axis", rank);
    if (status != HONE_OK) return status;
    hone_attr *axis = &call->attrs[hone_op_attr_index(call->op, "axis")];
    int64_t k = hone_call_int(call, "k"), at = axis->i[0];
    if (k < 0 || k > in[0]->dims[at])
        return hone_fail(HONE_USAGE, "topk: %lld of the %lld elements of axis %lld", (long long)k, (long long)in[0]->dims[at], (long long)at);
    if (at == rank - 1) axis->i[0] = -1;
    hone_shape_same(call, in, out);
    out[0].dims[at] = k;
    if (call->n_out == 1) return HONE_OK;
    out[1] = out[0];
    out[1].dtype = HONE_I64;
    return HONE_OK;
}

typedef struct candidate {
    double f;
    int64_t i, index;
} candidate;

// Descending; what is equal keeps its order.
static int by_value(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->f != y->f) return x->f < y->f ? 1 : -1;
    if (x->i != y->i) return x->i < y->i ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

typedef struct ranking {
    const hone_array *x;
    hone_array *values;
    int64_t *indices;                  // NULL when not asked for
    int64_t length, k, inner;
    bool largest;
    candidate *scratch;                // length entries a worker
} ranking;

static void rank_line(const ranking *r, int64_t line, candidate *all)
{
    int64_t outer = line / r->inner, column = line % r->inner, flip = r->x->tensor.dtype == HONE_U64 ? INT64_MIN : 0;
    for (int64_t j = 0; j < r->length; j++) {
        int64_t at = (outer * r->length + j) * r->inner + column;
        all[j] = (candidate){.index = j};
        double f = r->x->f ? (isnan(r->x->f[at]) ? INFINITY : r->x->f[at]) : 0;      // NaN counts as the largest
        if (r->x->f) all[j].f = r->largest ? f : -f;
        else all[j].i = r->largest ? r->x->i[at] ^ flip : ~(r->x->i[at] ^ flip);
    }
    qsort(all, (size_t)r->length, sizeof *all, by_value);
    for (int64_t j = 0; j < r->k; j++) {
        int64_t from = (outer * r->length + all[j].index) * r->inner + column, to = (outer * r->k + j) * r->inner + column;
        copy_run(r->x, from, r->values, to, 1);
        if (r->indices) r->indices[to] = all[j].index;
    }
}

static void topk_part(void *user, int64_t begin, int64_t end, int worker)
{
    const ranking *r = user;
    for (int64_t k = begin; k < end; k++) rank_line(r, k, r->scratch + worker * r->length);
}

static hone_status topk_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    int64_t axis = hone_call_int(call, "axis");
    axis += axis < 0 ? x->rank : 0;
    ranking r = {.x = &in[0], .values = &out[0], .indices = call->n_out > 1 ? out[1].i : NULL, .length = x->dims[axis], .k = hone_call_int(call, "k"),
                 .inner = product(x->dims, (int)axis + 1, x->rank), .largest = hone_call_int(call, "largest")};
    int workers = threads > 1 ? threads : 1;
    r.scratch = hone_alloc((size_t)(r.length * workers) * sizeof *r.scratch);
    if (!r.scratch) return HONE_NO_MEMORY;
    if (r.length) hone_parallel(hone_tensor_count(x) / r.length, 1 + 4096 / r.length, threads, topk_part, &r);
    hone_free(r.scratch);
    return HONE_OK;
}

const hone_op hone_op_topk = {
    .name = "topk", .kind = HONE_OP_MOVE, .outputs = 2, .inputs = "x", ATTRS(topk_attrs), .shape = topk_shape,
    .reference = topk_reference, .onnx = "TopK x @k"};
