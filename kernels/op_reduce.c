// SPDX-License-Identifier: Apache-2.0
// Reductions along axes: reduce (ten kinds), argmax and argmin, and the running sum cumsum.
#include <math.h>
#include <string.h>

#include "base/thread.h"
#include "kernels/op_priv.h"

#define ATTRS(table) .attrs = table, .n_attrs = sizeof(table) / sizeof *(table)

// ---- walking the reduced elements of one output

// The input's axes in two groups: those that number the outputs, and those that are reduced. Row-major within each group.
typedef struct lines {
    int n_kept, n_reduced;
    int64_t kept_dims[HONE_RANK_MAX], kept_strides[HONE_RANK_MAX];
    int64_t dims[HONE_RANK_MAX], strides[HONE_RANK_MAX];
    int64_t outputs, count;                    // of outputs; of elements reduced into each
} lines;

static void lines_init(lines *l, const hone_tensor *x, const int64_t *axes, int n_axes)
{
    int64_t strides[HONE_RANK_MAX];
    hone_tensor_strides(x, strides);
    *l = (lines){.outputs = 1, .count = 1};
    for (int k = 0; k < x->rank; k++) {
        bool is_reduced = false;
        for (int a = 0; a < n_axes; a++) is_reduced = is_reduced || axes[a] == k;
        int at = is_reduced ? l->n_reduced++ : l->n_kept++;
        (is_reduced ? l->dims : l->kept_dims)[at] = x->dims[k];
        (is_reduced ? l->strides : l->kept_strides)[at] = strides[k];
        *(is_reduced ? &l->count : &l->outputs) *= x->dims[k];
    }
}

static int64_t offset_of(int64_t index, int n, const int64_t *dims, const int64_t *strides)
{
    int64_t offset = 0;
    for (int k = n - 1; k >= 0; k--) {
        offset += index % dims[k] * strides[k];
        index /= dims[k];
    }
    return offset;
}

// ---- the kinds

typedef struct kind {
    double start;                                                // of the float total
    int64_t int_start;                                           // of the integer total
    void (*add)(hone_scalar *total, hone_scalar x, double shift);
    double (*end)(double total, double count, double shift);     // NULL: the total itself, exact in integers
    bool shifted;                                                // the largest element is subtracted first
    int limit;                                                   // 1, -1: starts from the type's smallest, largest value
} kind;

static void add_sum(hone_scalar *total, hone_scalar x, double shift)
{
    (void)shift;
    total->f += x.f;
    total->i = (int64_t)((uint64_t)total->i + (uint64_t)x.i);
}

static void add_max(hone_scalar *total, hone_scalar x, double shift)
{
    (void)shift;
    if (x.f > total->f || isnan(x.f)) total->f = x.f;
    if (x.i > total->i) total->i = x.i;
}

static void add_min(hone_scalar *total, hone_scalar x, double shift)
{
    (void)shift;
    if (x.f < total->f || isnan(x.f)) total->f = x.f;
    if (x.i < total->i) total->i = x.i;
}

static void add_prod(hone_scalar *total, hone_scalar x, double shift)
{
    (void)shift;
    total->f *= x.f;
    total->i = (int64_t)((uint64_t)total->i * (uint64_t)x.i);
}

static void add_abs(hone_scalar *total, hone_scalar x, double shift)
{
    (void)shift;
    total->f += fabs(x.f);
    total->i = (int64_t)((uint64_t)total->i + (x.i < 0 ? 0 - (uint64_t)x.i : (uint64_t)x.i));
}

static void add_square(hone_scalar *total, hone_scalar x, double shift)
{
    (void)shift;
    total->f += x.f * x.f;
    total->i = (int64_t)((uint64_t)total->i + (uint64_t)x.i * (uint64_t)x.i);
}

static void add_exp(hone_scalar *total, hone_scalar x, double shift)
{
    total->f += exp(x.f - shift);
}

static double end_mean(double total, double count, double shift) { (void)shift; return total / count; }
static double end_root(double total, double count, double shift) { (void)count, (void)shift; return sqrt(total); }
static double end_log(double total, double count, double shift) { (void)count; return log(total) + shift; }

#define KINDS "sum mean max min prod l1 l2 logsum logsumexp sumsquare"

static const kind kinds[] = {           // in the order of KINDS
    {.add = add_sum}, {.add = add_sum, .end = end_mean}, {.start = -INFINITY, .add = add_max, .limit = 1},
    {.start = INFINITY, .add = add_min, .limit = -1}, {.start = 1, .int_start = 1, .add = add_prod}, {.add = add_abs},
    {.add = add_square, .end = end_root}, {.add = add_sum, .end = end_log}, {.add = add_exp, .end = end_log, .shifted = true},
    {.add = add_square},
};

// ---- reduce

static const hone_attr_spec reduce_attrs[] = {
    {"kind", HONE_ATTR_WORD, KINDS, NULL}, {"axes", HONE_ATTR_INTS, NULL, ""}, {"keep", HONE_ATTR_INT, NULL, "1"},
};

// Drops the axes, or leaves them with extent 1.
static void reduced_dims(const hone_tensor *x, const int64_t *axes, int n_axes, bool keep, hone_tensor *out)
{
    *out = (hone_tensor){.dtype = x->dtype};
    for (int k = 0; k < x->rank; k++) {
        bool is_reduced = false;
        for (int a = 0; a < n_axes; a++) is_reduced = is_reduced || axes[a] == k;
        if (!is_reduced || keep) out->dims[out->rank++] = is_reduced ? 1 : x->dims[k];
    }
}

static hone_status reduce_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const int64_t *axes;
    hone_status status = hone_call_fix_axes(call, "axes", in[0]->rank);
    if (status != HONE_OK) return status;
    int n = hone_call_list(call, "axes", &axes);
    reduced_dims(in[0], axes, n, hone_call_int(call, "keep"), out);
    return HONE_OK;
}

typedef struct reduction {
    lines lines;
    const kind *kind;
    const hone_array *x;
    hone_array *out;
    int64_t int_start, flip;           // flip: u64 is compared as i64 with the top bit turned over
} reduction;

// Folds every element of the line at `base` into total.
static void fold(const reduction *r, const kind *how, int64_t base, hone_scalar *total, double shift)
{
    const lines *l = &r->lines;
    int last = l->n_reduced - 1;
    int64_t width = last < 0 ? 1 : l->dims[last], step = last < 0 ? 0 : l->strides[last];
    int64_t runs = width ? l->count / width : 0;
    for (int64_t run = 0; run < runs; run++) {
        int64_t at = base + offset_of(run, last < 0 ? 0 : last, l->dims, l->strides);
        for (int64_t k = 0; k < width; k++) {
            hone_scalar x = hone_array_scalar(r->x, at + k * step);
            x.i ^= r->flip;
            how->add(total, x, shift);
        }
    }
}

static void reduce_part(void *user, int64_t begin, int64_t end, int worker)
{
    const reduction *r = user;
    const kind *max = &kinds[2];
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t base = offset_of(k, r->lines.n_kept, r->lines.kept_dims, r->lines.kept_strides);
        hone_scalar total = {r->kind->start, r->int_start}, top = {max->start, 0};
        if (r->kind->shifted) fold(r, max, base, &top, 0);
        double shift = isfinite(top.f) ? top.f : 0;
        fold(r, r->kind, base, &total, shift);
        if (r->kind->end) {
            total.f = r->kind->end(total.f, (double)r->lines.count, shift);
            total.i = hone_int_from_double(total.f);
        }
        if (r->out->f) r->out->f[k] = total.f;
        else r->out->i[k] = total.i ^ r->flip;
    }
}

// The smallest value of an integer type (of a bool: false), or the largest.
static int64_t type_limit(hone_dtype dtype, bool largest)
{
    bool is_signed = dtype == HONE_I8 || dtype == HONE_I16 || dtype == HONE_I32 || dtype == HONE_I64 || dtype == HONE_U64;
    int bits = dtype == HONE_BOOL ? 1 : 8 * (int)hone_dtype_size(dtype);
    int64_t half = (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
    if (is_signed) return largest ? half : -half - 1;
    return largest ? half * 2 + 1 : 0;
}

static int64_t part_size(int64_t count)
{
    return count > 16384 ? 1 : 16384 / (count > 0 ? count : 1);
}

static hone_status reduce_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const int64_t *axes;
    int n = hone_call_list(call, "axes", &axes);
    hone_dtype dtype = in[0].tensor.dtype;
    reduction r = {.kind = &kinds[hone_call_int(call, "kind")], .x = &in[0], .out = &out[0]};
    lines_init(&r.lines, &in[0].tensor, axes, n);
    r.flip = dtype == HONE_U64 && r.kind->limit ? INT64_MIN : 0;
    r.int_start = r.kind->limit && out[0].i ? type_limit(dtype, r.kind->limit < 0) : r.kind->int_start;
    hone_parallel(r.lines.outputs, part_size(r.lines.count), threads, reduce_part, &r);
    return HONE_OK;
}

static double input_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    (void)call, (void)out;
    return (double)hone_tensor_count(in[0]);
}

const hone_op hone_op_reduce = {
    .name = "reduce", .kind = HONE_OP_REDUCE, .inputs = "x", .outputs = 1, ATTRS(reduce_attrs), .shape = reduce_shape,
    .reference = reduce_reference, .flops = input_flops,
    .onnx = "ReduceSum x @axes keepdims=keep kind:sum\nReduceMean x @axes keepdims=keep kind:mean\n"
            "ReduceMax x @axes keepdims=keep kind:max\nReduceMin x @axes keepdims=keep kind:min\n"
            "ReduceProd x @axes keepdims=keep kind:prod\nReduceL1 x @axes keepdims=keep kind:l1\n"
            "ReduceL2 x @axes keepdims=keep kind:l2\nReduceLogSum x @axes keepdims=keep kind:logsum\n"
            "ReduceLogSumExp x @axes keepdims=keep kind:logsumexp\nReduceSumSquare x @axes keepdims=keep kind:sumsquare"};

// ---- argmax, argmin

static const hone_attr_spec arg_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, "0"}, {"keep", HONE_ATTR_INT, NULL, "1"}, {"last", HONE_ATTR_INT, NULL, "0"},
};

static hone_status arg_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = hone_call_fix_axis(call, "axis", in[0]->rank);
    if (status != HONE_OK) return status;
    int64_t axis = hone_call_int(call, "axis");
    if (!in[0]->dims[axis]) return hone_fail(HONE_USAGE, "%s: axis %lld is empty", call->op->name, (long long)axis);
    reduced_dims(in[0], &axis, 1, hone_call_int(call, "keep"), out);
    out->dtype = HONE_I64;
    return HONE_OK;
}

typedef struct selection {
    lines lines;
    const hone_array *x;
    int64_t *out;
    bool smallest, last;
} selection;

// Whether element b takes the place of element a, which comes before it.
static bool is_better(const selection *s, int64_t a, int64_t b)
{
    if (s->x->f) {
        double fa = s->x->f[a], fb = s->x->f[b];
        return (s->smallest ? fb < fa : fb > fa) || (s->last && fa == fb);
    }
    int64_t flip = s->x->tensor.dtype == HONE_U64 ? INT64_MIN : 0, ia = s->x->i[a] ^ flip, ib = s->x->i[b] ^ flip;
    return (s->smallest ? ib < ia : ib > ia) || (s->last && ia == ib);
}

static void arg_part(void *user, int64_t begin, int64_t end, int worker)
{
    const selection *s = user;
    int64_t step = s->lines.strides[0];
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t base = offset_of(k, s->lines.n_kept, s->lines.kept_dims, s->lines.kept_strides), best = 0;
        for (int64_t j = 1; j < s->lines.count; j++)
            if (is_better(s, base + best * step, base + j * step)) best = j;
        s->out[k] = best;
    }
}

static hone_status arg_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t axis = hone_call_int(call, "axis");
    selection s = {.x = &in[0], .out = out[0].i, .smallest = !strcmp(call->op->name, "argmin"), .last = hone_call_int(call, "last")};
    lines_init(&s.lines, &in[0].tensor, &axis, 1);
    hone_parallel(s.lines.outputs, part_size(s.lines.count), threads, arg_part, &s);
    return HONE_OK;
}

const hone_op hone_op_argmax = {
    .name = "argmax", .kind = HONE_OP_REDUCE, .inputs = "x", .outputs = 1, ATTRS(arg_attrs), .shape = arg_shape,
    .reference = arg_reference, .flops = input_flops, .onnx = "ArgMax x keepdims=keep select_last_index=last"};
const hone_op hone_op_argmin = {
    .name = "argmin", .kind = HONE_OP_REDUCE, .inputs = "x", .outputs = 1, ATTRS(arg_attrs), .shape = arg_shape,
    .reference = arg_reference, .flops = input_flops, .onnx = "ArgMin x keepdims=keep select_last_index=last"};

// ---- cumsum

static const hone_attr_spec cumsum_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, NULL}, {"exclusive", HONE_ATTR_INT, NULL, "0"}, {"reverse", HONE_ATTR_INT, NULL, "0"},
};

static hone_status cumsum_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_shape_same(call, in, out);
    return hone_call_fix_axis(call, "axis", in[0]->rank);
}

typedef struct running {
    lines lines;
    const hone_array *x;
    hone_array *out;
    bool exclusive, reverse;
} running;

static void cumsum_part(void *user, int64_t begin, int64_t end, int worker)
{
    const running *r = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t base = offset_of(k, r->lines.n_kept, r->lines.kept_dims, r->lines.kept_strides);
        hone_scalar total = {0, 0};
        for (int64_t j = 0; j < r->lines.count; j++) {
            int64_t at = base + (r->reverse ? r->lines.count - 1 - j : j) * r->lines.strides[0];
            hone_scalar before = total;
            add_sum(&total, hone_array_scalar(r->x, at), 0);
            if (r->out->f) r->out->f[at] = r->exclusive ? before.f : total.f;
            else r->out->i[at] = r->exclusive ? before.i : total.i;
        }
    }
}

static hone_status cumsum_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t axis = hone_call_int(call, "axis");
    running r = {.x = &in[0], .out = &out[0], .exclusive = hone_call_int(call, "exclusive"), .reverse = hone_call_int(call, "reverse")};
    lines_init(&r.lines, &in[0].tensor, &axis, 1);
    hone_parallel(r.lines.outputs, part_size(r.lines.count), threads, cumsum_part, &r);
    return HONE_OK;
}

const hone_op hone_op_cumsum = {
    .name = "cumsum", .kind = HONE_OP_REDUCE, .inputs = "x", .outputs = 1, ATTRS(cumsum_attrs), .shape = cumsum_shape,
    .reference = cumsum_reference, .flops = input_flops, .onnx = "CumSum x @axis"};
