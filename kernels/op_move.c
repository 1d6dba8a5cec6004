// SPDX-License-Identifier: Apache-2.0
// Values that change places by a rule that needs no other values: transpose, reshape, slice, concat, pad, expand, tile,
// depth_to_space, space_to_depth, trilu, eyelike.
#include <string.h>

#include "base/thread.h"
#include "kernels/op_priv.h"

#define ATTRS(table) .attrs = table, .n_attrs = sizeof(table) / sizeof *(table)
#define MOVE .kind = HONE_OP_MOVE, .outputs = 1

enum { GRAIN = 16384 };

// ---- the shared loop

typedef struct movement {
    const hone_array *in;
    hone_array *out;
    hone_scalar fill;
    hone_move_from *from;
    const void *user;
} movement;

static void first_coordinates(const hone_tensor *tensor, int64_t index, int64_t *at)
{
    for (int k = tensor->rank - 1; k >= 0; k--) {
        at[k] = index % tensor->dims[k];
        index /= tensor->dims[k];
    }
}

static void next_coordinates(const hone_tensor *tensor, int64_t *at)
{
    for (int k = tensor->rank - 1; k >= 0 && ++at[k] == tensor->dims[k]; k--) at[k] = 0;
}

static void move_part(void *user, int64_t begin, int64_t end, int worker)
{
    const movement *m = user;
    int64_t at[HONE_RANK_MAX] = {0};
    (void)worker;
    first_coordinates(&m->out->tensor, begin, at);
    for (int64_t k = begin; k < end; k++) {
        int64_t from = m->from(m->user, at);
        if (m->out->f) m->out->f[k] = from < 0 ? m->fill.f : m->in->f[from];
        else m->out->i[k] = from < 0 ? m->fill.i : m->in->i[from];
        next_coordinates(&m->out->tensor, at);
    }
}

void hone_move(const hone_array *in, hone_array *out, hone_scalar fill, hone_move_from *from, const void *user, int threads)
{
    movement m = {in, out, fill, from, user};
    hone_parallel(hone_tensor_count(&out->tensor), GRAIN, threads, move_part, &m);
}

void hone_array_copy(const hone_array *from, hone_array *to)
{
    size_t size = (size_t)hone_tensor_count(&from->tensor) * sizeof(double);
    memcpy(to->f ? (void *)to->f : (void *)to->i, from->f ? (const void *)from->f : (const void *)from->i, size);
}

// A source index that is linear in the coordinates: base + sum of at[k] * strides[k].
typedef struct linear {
    int rank;
    int64_t base, strides[HONE_RANK_MAX];
} linear;

static int64_t from_linear(const void *user, const int64_t *at)
{
    const linear *l = user;
    int64_t from = l->base;
    for (int k = 0; k < l->rank; k++) from += at[k] * l->strides[k];
    return from;
}

static hone_status bad_length(const hone_call *call, const char *attr, int rank)
{
    return hone_fail(HONE_USAGE, "%s: %s must have an entry for each of the %d axes", call->op->name, attr, rank);
}

// ---- transpose

static const hone_attr_spec transpose_attrs[] = {{"perm", HONE_ATTR_INTS, NULL, ""}};

static hone_status transpose_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const hone_tensor *x = in[0];
    hone_attr *perm = &call->attrs[0];
    bool used[HONE_RANK_MAX] = {false};
    *out = (hone_tensor){.dtype = x->dtype, .rank = x->rank};
    for (int k = 0; !perm->n && k < x->rank; k++) perm->i[k] = x->rank - 1 - k;       // ONNX's default turns all axes over
    perm->n = perm->n ? perm->n : x->rank;
    if (perm->n != x->rank) return bad_length(call, "perm", x->rank);
    for (int k = 0; k < x->rank; k++) {
        int64_t axis = perm->i[k] < 0 ? perm->i[k] + x->rank : perm->i[k];
        if (axis < 0 || axis >= x->rank || used[axis]) return hone_fail(HONE_USAGE, "transpose: perm is no permutation of the axes");
        used[axis] = true;
        perm->i[k] = axis;
        out->dims[k] = x->dims[axis];
    }
    return HONE_OK;
}

static hone_status transpose_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t strides[HONE_RANK_MAX];
    linear l = {.rank = in[0].tensor.rank};
    hone_tensor_strides(&in[0].tensor, strides);
    for (int k = 0; k < l.rank; k++) l.strides[k] = strides[call->attrs[0].i[k]];
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_linear, &l, threads);
    return HONE_OK;
}

const hone_op hone_op_transpose = {
    .name = "transpose", MOVE, .inputs = "x", ATTRS(transpose_attrs), .shape = transpose_shape, .reference = transpose_reference,
    .onnx = "Transpose x"};

// ---- reshape

static const hone_attr_spec reshape_attrs[] = {{"shape", HONE_ATTR_INTS, NULL, NULL}};

// The product of the entries of shape that are not negative; -1 on overflow.
static int64_t known_product(const hone_attr *shape)
{
    int64_t product = 1;
    for (int k = 0; k < shape->n; k++)
        if (shape->i[k] >= 0 && __builtin_mul_overflow(product, shape->i[k], &product)) return -1;
    return product;
}

// 0 stands for the dim in that place, as in ONNX, unless x is empty and all dims are given. One -1 is what is left.
static hone_status reshape_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_attr *shape = &call->attrs[0];
    int64_t count = hone_tensor_count(in[0]);
    int open = -1;
    if (shape->n > HONE_RANK_MAX) return hone_fail(HONE_USAGE, "reshape: more than %d dims", HONE_RANK_MAX);
    for (int k = 0; k < shape->n; k++) {
        if (shape->i[k] < -1 || (shape->i[k] == -1 && open >= 0)) return hone_fail(HONE_USAGE, "reshape: shape can hold one -1 only");
        if (shape->i[k] == -1) open = k;
    }
    for (int k = 0; k < shape->n && k < in[0]->rank && (count || open >= 0); k++)
        if (!shape->i[k]) shape->i[k] = in[0]->dims[k];
    int64_t known = known_product(shape);
    if (open >= 0) shape->i[open] = known > 0 && count % known == 0 ? count / known : 0;
    *out = (hone_tensor){.dtype = in[0]->dtype, .rank = shape->n};
    memcpy(out->dims, shape->i, (size_t)shape->n * sizeof *shape->i);
    if (known < 0 || known_product(shape) != count)
        return hone_fail(HONE_USAGE, "reshape: shape does not hold the %lld elements of x", (long long)count);
    return HONE_OK;
}

static hone_status copy_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    (void)call, (void)threads;
    hone_array_copy(&in[0], &out[0]);
    return HONE_OK;
}

const hone_op hone_op_reshape = {
    .name = "reshape", .kind = HONE_OP_VIEW, .outputs = 1, .inputs = "x", ATTRS(reshape_attrs), .shape = reshape_shape,
    .reference = copy_reference, .onnx = "Reshape x @shape"};

// ---- slice

static const hone_attr_spec slice_attrs[] = {
    {"start", HONE_ATTR_SPREAD, NULL, "0"}, {"size", HONE_ATTR_INTS, NULL, NULL}, {"step", HONE_ATTR_SPREAD, NULL, "1"},
};

static bool is_spread(const hone_call *call, const char *name, int rank)
{
    const int64_t *values;
    int n = hone_call_list(call, name, &values);
    return n == 1 || n == rank;
}

// One spelling for one slice: where an axis gives one element its step is 1, where it gives none it starts at 0.
static hone_status tidy_slice(hone_call *call, const int64_t *size, int rank)
{
    int64_t start[HONE_RANK_MAX], step[HONE_RANK_MAX];
    if (!rank) return HONE_OK;
    for (int k = 0; k < rank; k++) {
        start[k] = size[k] ? hone_call_int_at(call, "start", k) : 0;
        step[k] = size[k] > 1 ? hone_call_int_at(call, "step", k) : 1;
    }
    hone_status status = hone_call_set_ints(call, "start", start, rank);
    return status == HONE_OK ? hone_call_set_ints(call, "step", step, rank) : status;
}

static hone_status slice_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const int64_t *size;
    int rank = in[0]->rank;
    if (hone_call_list(call, "size", &size) != rank) return bad_length(call, "size", rank);
    if (!is_spread(call, "start", rank)) return bad_length(call, "start", rank);
    if (!is_spread(call, "step", rank)) return bad_length(call, "step", rank);
    hone_status status = tidy_slice(call, size, rank);
    if (status != HONE_OK) return status;
    *out = (hone_tensor){.dtype = in[0]->dtype, .rank = rank};
    for (int k = 0; k < rank; k++) {
        int64_t start = hone_call_int_at(call, "start", k), step = hone_call_int_at(call, "step", k), last;
        bool fits = size[k] >= 0 && step && !__builtin_mul_overflow(size[k] - 1, step, &last) && !__builtin_add_overflow(start, last, &last);
        bool inside = fits && (!size[k] || (start >= 0 && start < in[0]->dims[k] && last >= 0 && last < in[0]->dims[k]));
        if (!inside) return hone_fail(HONE_USAGE, "slice: axis %d leaves the tensor's %lld elements", k, (long long)in[0]->dims[k]);
        out->dims[k] = size[k];
    }
    return HONE_OK;
}

static hone_status slice_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t strides[HONE_RANK_MAX];
    linear l = {.rank = in[0].tensor.rank};
    hone_tensor_strides(&in[0].tensor, strides);
    for (int k = 0; k < l.rank; k++) {
        l.base += hone_call_int_at(call, "start", k) * strides[k];
        l.strides[k] = hone_call_int_at(call, "step", k) * strides[k];
    }
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_linear, &l, threads);
    return HONE_OK;
}

const hone_op hone_op_slice = {
    .name = "slice", MOVE, .inputs = "x", ATTRS(slice_attrs), .shape = slice_shape, .reference = slice_reference};

// ---- concat

static const hone_attr_spec concat_attrs[] = {{"axis", HONE_ATTR_INT, NULL, NULL}};

static hone_status concat_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_shape_same(call, in, out);
    hone_status status = hone_call_fix_axis(call, "axis", in[0]->rank);
    if (status != HONE_OK) return status;
    int64_t axis = hone_call_int(call, "axis");
    for (int k = 1; k < call->n_in; k++) {
        hone_tensor like = *in[k];
        if (like.rank == out->rank) like.dims[axis] = out->dims[axis];
        if (like.dtype != out->dtype || !hone_tensor_same_dims(&like, out))
            return hone_fail(HONE_USAGE, "concat: x%d does not fit x0 along the other axes", k);
        out->dims[axis] += in[k]->dims[axis];
        if (out->dims[axis] > HONE_ELEMENTS_MAX) return hone_fail(HONE_USAGE, "concat: the result is too large");
    }
    return HONE_OK;
}

static hone_status concat_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *o = &out[0].tensor;
    int64_t axis = hone_call_int(call, "axis"), inner = 1, outer = 1, row, at = 0;
    (void)threads;
    for (int k = 0; k < o->rank; k++) *(k < axis ? &outer : &inner) *= k == axis ? 1 : o->dims[k];
    row = o->dims[axis] * inner;
    for (int k = 0; k < call->n_in; k++) {
        int64_t run = in[k].tensor.dims[axis] * inner;
        const char *from = in[k].f ? (const char *)in[k].f : (const char *)in[k].i;
        char *to = out[0].f ? (char *)out[0].f : (char *)out[0].i;
        for (int64_t r = 0; r < outer; r++) memcpy(to + 8 * (r * row + at), from + 8 * r * run, (size_t)run * 8);
        at += run;
    }
    return HONE_OK;
}

const hone_op hone_op_concat = {
    .name = "concat", MOVE, .inputs = "x*", ATTRS(concat_attrs), .shape = concat_shape, .reference = concat_reference,
    .onnx = "Concat x*"};

// ---- pad

static const hone_attr_spec pad_attrs[] = {
    {"mode", HONE_ATTR_WORD, "constant reflect edge wrap", "constant"}, {"before", HONE_ATTR_SPREAD, NULL, "0"},
    {"after", HONE_ATTR_SPREAD, NULL, "0"}, {"value", HONE_ATTR_REAL, NULL, "0"},
};

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

static hone_status pad_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    int rank = in[0]->rank;
    hone_shape_same(call, in, out);
    if (!is_spread(call, "before", rank)) return bad_length(call, "before", rank);
    if (!is_spread(call, "after", rank)) return bad_length(call, "after", rank);
    for (int k = 0; k < rank; k++) {
        int64_t before = hone_call_int_at(call, "before", k), after = hone_call_int_at(call, "after", k), dim = out->dims[k];
        bool is_legal = before >= -HONE_ELEMENTS_MAX && before <= HONE_ELEMENTS_MAX && after >= -HONE_ELEMENTS_MAX &&
                        after <= HONE_ELEMENTS_MAX && dim + before + after >= 0;
        if (!is_legal) return hone_fail(HONE_USAGE, "pad: axis %d of %lld elements cannot be padded so", k, (long long)dim);
        out->dims[k] = dim + before + after;
        if (hone_call_int(call, "mode") != PAD_CONSTANT && !dim && out->dims[k])
            return hone_fail(HONE_USAGE, "pad: axis %d has no elements to repeat", k);
    }
    return HONE_OK;
}

typedef struct padding {
    int rank;
    int64_t mode, before[HONE_RANK_MAX], dims[HONE_RANK_MAX], strides[HONE_RANK_MAX];
} padding;

static int64_t wrap(int64_t at, int64_t dim)
{
    int64_t r = at % dim;
    return r < 0 ? r + dim : r;
}

// Position `at` of an axis, outside of 0..dim-1, as the mode continues it; -1 for the fill value.
static int64_t continue_axis(int64_t mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim) return at;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE) return at < 0 ? 0 : dim - 1;
    if (mode == PAD_WRAP) return wrap(at, dim);
    int64_t period = dim > 1 ? 2 * (dim - 1) : 1;
    int64_t folded = wrap(at, period);
    return folded < dim ? folded : period - folded;
}

static int64_t from_padding(const void *user, const int64_t *at)
{
    const padding *p = user;
    int64_t from = 0;
    for (int k = 0; k < p->rank; k++) {
        int64_t inside = continue_axis(p->mode, at[k] - p->before[k], p->dims[k]);
        if (inside < 0) return -1;
        from += inside * p->strides[k];
    }
    return from;
}

static hone_status pad_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    padding p = {.rank = in[0].tensor.rank, .mode = hone_call_int(call, "mode")};
    double value = hone_call_real(call, "value");
    hone_tensor_strides(&in[0].tensor, p.strides);
    for (int k = 0; k < p.rank; k++) {
        p.before[k] = hone_call_int_at(call, "before", k);
        p.dims[k] = in[0].tensor.dims[k];
    }
    hone_move(&in[0], &out[0], (hone_scalar){value, hone_int_from_double(value)}, from_padding, &p, threads);
    return HONE_OK;
}

const hone_op hone_op_pad = {.name = "pad", MOVE, .inputs = "x", ATTRS(pad_attrs), .shape = pad_shape, .reference = pad_reference};

// ---- expand, tile

static const hone_attr_spec expand_attrs[] = {{"shape", HONE_ATTR_INTS, NULL, NULL}};

static hone_status expand_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_attr *shape = &call->attrs[0];
    hone_tensor wanted = {.dtype = in[0]->dtype, .rank = shape->n};
    if (shape->n > HONE_RANK_MAX) return hone_fail(HONE_USAGE, "expand: more than %d dims", HONE_RANK_MAX);
    memcpy(wanted.dims, shape->i, (size_t)shape->n * sizeof *shape->i);
    hone_status status = hone_tensor_check(&wanted);
    if (status == HONE_OK) status = hone_tensor_broadcast(in[0], &wanted, out);
    if (status != HONE_OK) return hone_fail_in(status, "expand");
    shape->n = out->rank;
    memcpy(shape->i, out->dims, (size_t)out->rank * sizeof *shape->i);
    return HONE_OK;
}

typedef struct repetition {
    int lead, rank;                    // axes put in front; axes of x
    int64_t dims[HONE_RANK_MAX], strides[HONE_RANK_MAX];
} repetition;

static int64_t from_repetition(const void *user, const int64_t *at)
{
    const repetition *r = user;
    int64_t from = 0;
    for (int k = 0; k < r->rank; k++) from += at[r->lead + k] % r->dims[k] * r->strides[k];
    return from;
}

static hone_status repeat_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    repetition r = {.rank = in[0].tensor.rank, .lead = out[0].tensor.rank - in[0].tensor.rank};
    (void)call;
    hone_tensor_strides(&in[0].tensor, r.strides);
    memcpy(r.dims, in[0].tensor.dims, sizeof r.dims);
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_repetition, &r, threads);
    return HONE_OK;
}

const hone_op hone_op_expand = {
    .name = "expand", MOVE, .inputs = "x", ATTRS(expand_attrs), .shape = expand_shape, .reference = repeat_reference,
    .onnx = "Expand x @shape"};

static const hone_attr_spec tile_attrs[] = {{"repeats", HONE_ATTR_INTS, NULL, NULL}};

static hone_status tile_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const int64_t *repeats;
    int rank = in[0]->rank;
    hone_shape_same(call, in, out);
    if (hone_call_list(call, "repeats", &repeats) != rank) return bad_length(call, "repeats", rank);
    for (int k = 0; k < rank; k++)
        if (repeats[k] < 0 || __builtin_mul_overflow(out->dims[k], repeats[k], &out->dims[k]))
            return hone_fail(HONE_USAGE, "tile: axis %d cannot be repeated %lld times", k, (long long)repeats[k]);
    return HONE_OK;
}

const hone_op hone_op_tile = {
    .name = "tile", MOVE, .inputs = "x", ATTRS(tile_attrs), .shape = tile_shape, .reference = repeat_reference,
    .onnx = "Tile x @repeats"};

// ---- depth_to_space, space_to_depth: channels in blocks of `block` x `block`

static const hone_attr_spec to_space_attrs[] = {{"block", HONE_ATTR_INT, NULL, NULL}, {"mode", HONE_ATTR_WORD, "dcr crd", "dcr"}};
static const hone_attr_spec to_depth_attrs[] = {{"block", HONE_ATTR_INT, NULL, NULL}};

static hone_status to_space_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    int64_t block = hone_call_int(call, "block");
    hone_shape_same(call, in, out);
    if (out->rank != 4 || block < 1 || block > 65536 || out->dims[1] % (block * block))
        return hone_fail(HONE_USAGE, "depth_to_space needs 4 dims and channels that blocks of %lld divide", (long long)block);
    out->dims[1] /= block * block;
    out->dims[2] *= block;
    out->dims[3] *= block;
    return HONE_OK;
}

static hone_status to_depth_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    int64_t block = hone_call_int(call, "block");
    hone_shape_same(call, in, out);
    if (out->rank != 4 || block < 1 || block > 65536 || out->dims[2] % block || out->dims[3] % block)
        return hone_fail(HONE_USAGE, "space_to_depth needs 4 dims and a height and width that %lld divides", (long long)block);
    out->dims[1] *= block * block;
    out->dims[2] /= block;
    out->dims[3] /= block;
    return HONE_OK;
}

typedef struct blocks {
    int64_t block, depth, strides[HONE_RANK_MAX];      // depth: channels of the side that has fewer
    bool crd;
} blocks;

static int64_t from_depth(const void *user, const int64_t *at)
{
    const blocks *b = user;
    int64_t cell = at[2] % b->block * b->block + at[3] % b->block;
    int64_t channel = b->crd ? at[1] * b->block * b->block + cell : cell * b->depth + at[1];
    return at[0] * b->strides[0] + channel * b->strides[1] + at[2] / b->block * b->strides[2] + at[3] / b->block * b->strides[3];
}

static int64_t from_space(const void *user, const int64_t *at)
{
    const blocks *b = user;
    int64_t cell = at[1] / b->depth, y = at[2] * b->block + cell / b->block, x = at[3] * b->block + cell % b->block;
    return at[0] * b->strides[0] + at[1] % b->depth * b->strides[1] + y * b->strides[2] + x * b->strides[3];
}

static hone_status to_space_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    blocks b = {.block = hone_call_int(call, "block"), .depth = out[0].tensor.dims[1], .crd = hone_call_int(call, "mode") == 1};
    hone_tensor_strides(&in[0].tensor, b.strides);
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_depth, &b, threads);
    return HONE_OK;
}

static hone_status to_depth_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    blocks b = {.block = hone_call_int(call, "block"), .depth = in[0].tensor.dims[1]};
    hone_tensor_strides(&in[0].tensor, b.strides);
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_space, &b, threads);
    return HONE_OK;
}

const hone_op hone_op_depth_to_space = {
    .name = "depth_to_space", MOVE, .inputs = "x", ATTRS(to_space_attrs), .shape = to_space_shape, .reference = to_space_reference,
    .onnx = "DepthToSpace x blocksize=block"};
const hone_op hone_op_space_to_depth = {
    .name = "space_to_depth", MOVE, .inputs = "x", ATTRS(to_depth_attrs), .shape = to_depth_shape, .reference = to_depth_reference,
    .onnx = "SpaceToDepth x blocksize=block"};

// ---- trilu, eyelike: diagonals of the last two axes

static const hone_attr_spec trilu_attrs[] = {{"upper", HONE_ATTR_INT, NULL, "1"}, {"k", HONE_ATTR_INT, NULL, "0"}};

static hone_status trilu_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (in[0]->rank < 2) return hone_fail(HONE_USAGE, "trilu needs 2 dims or more, x has %d", in[0]->rank);
    return hone_shape_same(call, in, out);
}

typedef struct diagonal {
    int rank;
    int64_t k, strides[HONE_RANK_MAX];
    bool upper;
} diagonal;

static int64_t from_triangle(const void *user, const int64_t *at)
{
    const diagonal *d = user;
    int64_t row = at[d->rank - 2], column = at[d->rank - 1], from = 0;
    if (d->upper ? column - row < d->k : column - row > d->k) return -1;
    for (int k = 0; k < d->rank; k++) from += at[k] * d->strides[k];
    return from;
}

static hone_status trilu_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    diagonal d = {.rank = in[0].tensor.rank, .k = hone_call_int(call, "k"), .upper = hone_call_int(call, "upper")};
    hone_tensor_strides(&in[0].tensor, d.strides);
    hone_move(&in[0], &out[0], (hone_scalar){0, 0}, from_triangle, &d, threads);
    return HONE_OK;
}

const hone_op hone_op_trilu = {
    .name = "trilu", MOVE, .inputs = "x", ATTRS(trilu_attrs), .shape = trilu_shape, .reference = trilu_reference, .onnx = "Trilu x @k"};

static const hone_attr_spec eyelike_attrs[] = {{"dtype", HONE_ATTR_DTYPE, NULL, "none"}, {"k", HONE_ATTR_INT, NULL, "0"}};

static hone_status eyelike_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_attr *dtype = &call->attrs[0];
    if (in[0]->rank != 2) return hone_fail(HONE_USAGE, "eyelike needs 2 dims, x has %d", in[0]->rank);
    if (dtype->i[0] == HONE_DTYPE_NONE) dtype->i[0] = in[0]->dtype;
    hone_shape_same(call, in, out);
    out->dtype = (hone_dtype)dtype->i[0];
    return HONE_OK;
}

static hone_status eyelike_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t rows = out[0].tensor.dims[0], columns = out[0].tensor.dims[1], k = hone_call_int(call, "k");
    (void)in, (void)threads;
    for (int64_t row = 0; row < rows; row++) {
        int64_t column = k > columns || k < -rows ? -1 : row + k;
        if (column < 0 || column >= columns) continue;
        if (out[0].f) out[0].f[row * columns + column] = 1;
        else out[0].i[row * columns + column] = 1;
    }
    return HONE_OK;
}

const hone_op hone_op_eyelike = {
    .name = "eyelike", MOVE, .inputs = "x", ATTRS(eyelike_attrs), .shape = eyelike_shape, .reference = eyelike_reference,
    .onnx = "EyeLike x"};
