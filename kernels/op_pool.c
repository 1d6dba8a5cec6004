// SPDX-License-Identifier: Apache-2.0
// Poolings with a window: maxpool (with indices, when two outputs are asked for), avgpool, lppool, and maxunpool. Global poolings
// are `reduce` over the spatial axes.
#include <math.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/window.h"

static const hone_attr_spec max_attrs[] = {
    {"kernel", HONE_ATTR_INTS, NULL, NULL},
    {"stride", HONE_ATTR_SPREAD, NULL, "1"},
    {"pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"dilation", HONE_ATTR_SPREAD, NULL, "1"},
    {"ceil", HONE_ATTR_INT, NULL, "0"},
    {"order", HONE_ATTR_WORD, "row column", "row"},     // of the indices
};

static const hone_attr_spec average_attrs[] = {
    {"kernel", HONE_ATTR_INTS, NULL, NULL},
    {"stride", HONE_ATTR_SPREAD, NULL, "1"},
    {"pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"dilation", HONE_ATTR_SPREAD, NULL, "1"},
    {"ceil", HONE_ATTR_INT, NULL, "0"},
    {"include_pad", HONE_ATTR_INT, NULL, "0"},
};

static const hone_attr_spec lp_attrs[] = {
    {"kernel", HONE_ATTR_INTS, NULL, NULL},
    {"stride", HONE_ATTR_SPREAD, NULL, "1"},
    {"pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"dilation", HONE_ATTR_SPREAD, NULL, "1"},
    {"ceil", HONE_ATTR_INT, NULL, "0"},
    {"p", HONE_ATTR_REAL, NULL, "2"},
};

static hone_status pool_window(const hone_call *call, const hone_tensor *x, hone_window *window)
{
    const int64_t *kernel;
    int n = hone_call_list(call, "kernel", &kernel);
    if (n != x->rank - 2)
        return hone_fail(HONE_USAGE, "%s: kernel has %d extents, x has %d spatial dims", call->op->name, n, x->rank - 2);
    return hone_window_init(call, x, kernel, hone_call_int(call, "ceil") != 0, window);
}

static hone_status pool_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_window window;
    hone_status status = pool_window(call, in[0], &window);
    if (status != HONE_OK) return status;
    out[0] = *in[0];
    out[0].layout = HONE_ROW;
    for (int k = 0; k < window.rank; k++) out[0].dims[k + 2] = window.out[3 - window.rank + k];
    if (call->n_out > 1) {
        out[1] = out[0];
        out[1].dtype = HONE_I64;
    }
    return HONE_OK;
}

static double pool_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    const int64_t *kernel;
    int n = hone_call_list(call, "kernel", &kernel);
    double taps = 1;
    for (int k = 0; k < n; k++) taps *= (double)kernel[k];
    (void)in;
    return taps * (double)hone_tensor_count(&out[0]);
}

typedef struct job {
    const hone_window *window;
    const hone_array *x;
    hone_array *out, *indices;     // indices may be NULL
    bool column;                   // indices count the spatial axes column-major
    bool include_pad;
    double p;
    void (*pool)(const struct job *job, int64_t plane, int64_t at);
} job;

// Flat row-major spatial position as a column-major one (the last axis slowest).
static int64_t column_major(const hone_window *window, int64_t flat)
{
    int64_t w = flat % window->in[2], h = flat / window->in[2] % window->in[1], d = flat / window->in[2] / window->in[1];
    return (w * window->in[1] + h) * window->in[0] + d;
}

static void max_at(const job *j, int64_t plane, int64_t at)
{
    int64_t base = plane * hone_window_in(j->window), best = -1, taps = hone_window_taps(j->window);
    for (int64_t t = 0; t < taps; t++) {
        int64_t from = hone_window_source(j->window, at, t);
        if (from < 0) continue;
        double value = hone_array_get(j->x, base + from);
        if (best < 0 || value > hone_array_get(j->x, base + best) || isnan(value)) best = from;
        if (isnan(value)) break;
    }
    int64_t to = plane * hone_window_out(j->window) + at;
    if (j->out->f) j->out->f[to] = best < 0 ? -INFINITY : j->x->f[base + best];
    else j->out->i[to] = best < 0 ? 0 : j->x->i[base + best];
    if (j->indices) j->indices->i[to] = best < 0 ? -1 : base + (j->column ? column_major(j->window, best) : best);
}

// Taps of the window that lie inside the padded input: windows added by `ceil` reach beyond it and those taps never count.
static double taps_in_padding(const hone_window *window, int64_t at)
{
    double count = 1;
    int64_t extent = hone_window_out(window);
    for (int k = 0; k < 3; k++) {
        extent /= window->out[k];
        int64_t first = at / extent % window->out[k] * window->stride[k] - window->begin[k], inside = 0;
        for (int64_t t = 0; t < window->kernel[k]; t++) inside += first + t * window->dilation[k] < window->in[k] + window->end[k];
        count *= (double)inside;
    }
    return count;
}

static void average_at(const job *j, int64_t plane, int64_t at)
{
    int64_t base = plane * hone_window_in(j->window), taps = hone_window_taps(j->window);
    double sum = 0, count = 0;
    for (int64_t t = 0; t < taps; t++) {
        int64_t from = hone_window_source(j->window, at, t);
        if (from >= 0) sum += j->x->f[base + from], count++;
    }
    if (j->include_pad) count = taps_in_padding(j->window, at);
    j->out->f[plane * hone_window_out(j->window) + at] = count > 0 ? sum / count : 0;
}

static void lp_at(const job *j, int64_t plane, int64_t at)
{
    int64_t base = plane * hone_window_in(j->window), taps = hone_window_taps(j->window);
    double sum = 0;
    for (int64_t t = 0; t < taps; t++) {
        int64_t from = hone_window_source(j->window, at, t);
        if (from >= 0) sum += pow(fabs(j->x->f[base + from]), j->p);
    }
    j->out->f[plane * hone_window_out(j->window) + at] = pow(sum, 1 / j->p);
}

static void pool_body(void *user, int64_t begin, int64_t end, int worker)
{
    const job *j = user;
    (void)worker;
    int64_t positions = hone_window_out(j->window);
    for (int64_t k = begin; k < end; k++) j->pool(j, k / positions, k % positions);
}

static hone_status pool_run(const hone_call *call, const hone_array *in, hone_array *out, job *j, int threads)
{
    hone_window window;
    hone_status status = pool_window(call, &in[0].tensor, &window);
    if (status != HONE_OK) return status;
    j->window = &window;
    j->x = &in[0];
    j->out = &out[0];
    hone_parallel(hone_tensor_count(&out[0].tensor), 4096, threads, pool_body, j);
    return HONE_OK;
}

static hone_status max_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    job j = {.pool = max_at, .indices = call->n_out > 1 ? &out[1] : NULL, .column = hone_call_int(call, "order") != 0};
    return pool_run(call, in, out, &j, threads);
}

static hone_status max_largest_of(const hone_call *call, const hone_tensor *x, const int64_t *index, int64_t n, int64_t *taps, int64_t **sources)
{
    hone_window window;
    hone_status status = pool_window(call, x, &window);
    if (status != HONE_OK) return status;
    int64_t positions = hone_window_out(&window), plane = hone_window_in(&window);
    *taps = hone_window_taps(&window);
    *sources = hone_alloc((size_t)(n * *taps) * sizeof **sources);
    if (!*sources) return HONE_NO_MEMORY;
    for (int64_t k = 0; k < n * *taps; k++) {
        int64_t at = index[k / *taps], from = hone_window_source(&window, at % positions, k % *taps);
        (*sources)[k] = from < 0 ? -1 : at / positions * plane + from;
    }
    return HONE_OK;
}

static hone_status average_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    job j = {.pool = average_at, .include_pad = hone_call_int(call, "include_pad") != 0};
    return pool_run(call, in, out, &j, threads);
}

static hone_status lp_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    job j = {.pool = lp_at, .p = hone_call_real(call, "p")};
    return pool_run(call, in, out, &j, threads);
}

static hone_status float_pool_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (!hone_dtype_is_float(in[0]->dtype))
        return hone_fail(HONE_USAGE, "%s: x must be floating point, it is %s", call->op->name, hone_dtype_name(in[0]->dtype));
    return pool_shape(call, in, out);
}

const hone_op hone_op_maxpool = {
    .name = "maxpool", .kind = HONE_OP_POOL, .inputs = "x", .attrs = max_attrs, .n_attrs = 6, .outputs = 2,
    .shape = pool_shape, .reference = max_reference, .largest_of = max_largest_of, .flops = pool_flops,
};

const hone_op hone_op_avgpool = {
    .name = "avgpool", .kind = HONE_OP_POOL, .inputs = "x", .attrs = average_attrs, .n_attrs = 6, .outputs = 1,
    .shape = float_pool_shape, .reference = average_reference, .flops = pool_flops,
};

const hone_op hone_op_lppool = {
    .name = "lppool", .kind = HONE_OP_POOL, .inputs = "x", .attrs = lp_attrs, .n_attrs = 6, .outputs = 1,
    .shape = float_pool_shape, .reference = lp_reference, .flops = pool_flops, .tolerance = 4,
};

// ---- maxunpool: x goes to the places its indices name, in an output as large as the pooling's input was

static const hone_attr_spec unpool_attrs[] = {
    {"kernel", HONE_ATTR_INTS, NULL, NULL},
    {"stride", HONE_ATTR_SPREAD, NULL, "1"},
    {"pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"size", HONE_ATTR_INTS, NULL, ""},         // full dims of the output; default: what undoes the pooling
};

// Dims that undo the pooling: those the indices count in.
static hone_status unpooled(const hone_call *call, const hone_tensor *x, hone_tensor *out)
{
    const int64_t *kernel;
    int n = hone_call_list(call, "kernel", &kernel), rank = x->rank - 2;
    if (n != rank || rank < 1)
        return hone_fail(HONE_USAGE, "maxunpool: kernel has %d extents, x has %d spatial dims", n, rank);
    *out = *x;
    out->layout = HONE_ROW;
    for (int k = 0; k < rank; k++) {
        out->dims[k + 2] = (x->dims[k + 2] - 1) * hone_call_int_at(call, "stride", k) + kernel[k]
                           - hone_call_int_at(call, "pad", k) - hone_call_int_at(call, "pad", k + rank);
        if (out->dims[k + 2] < 0) return hone_fail(HONE_USAGE, "maxunpool: the padding leaves no output");
    }
    return HONE_OK;
}

static hone_status unpool_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = unpooled(call, in[0], out);
    if (status != HONE_OK) return status;
    if (!hone_tensor_same_dims(in[0], in[1]) || hone_dtype_is_float(in[1]->dtype))
        return hone_fail(HONE_USAGE, "maxunpool: indices must be integers with the dims of x");
    const int64_t *size;
    int n = hone_call_list(call, "size", &size);
    if (n && n != in[0]->rank) return hone_fail(HONE_USAGE, "maxunpool: size has %d dims, x has %d", n, in[0]->rank);
    for (int k = 0; k < n; k++) {
        if (size[k] < out->dims[k]) return hone_fail(HONE_USAGE, "maxunpool: size is smaller than what undoes the pooling");
        out->dims[k] = size[k];
    }
    return HONE_OK;
}

static hone_status unpool_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    (void)threads;
    hone_tensor natural;
    hone_status status = unpooled(call, &in[0].tensor, &natural);
    if (status != HONE_OK) return status;
    int64_t n = hone_tensor_count(&in[0].tensor), natural_count = hone_tensor_count(&natural);
    for (int64_t k = 0; k < n; k++) {
        int64_t flat = in[1].i[k], to = 0, scale = 1;
        if (flat < 0 || flat >= natural_count)
            return hone_fail(HONE_USAGE, "maxunpool: index %lld is outside the output of %lld", (long long)flat, (long long)natural_count);
        for (int axis = natural.rank - 1; axis >= 0; axis--) {
            to += flat % natural.dims[axis] * scale;
            flat /= natural.dims[axis];
            scale *= out[0].tensor.dims[axis];
        }
        if (out[0].f) out[0].f[to] = in[0].f[k];
        else out[0].i[to] = in[0].i[k];
    }
    return HONE_OK;
}

static int64_t unpool_bound(const hone_call *call, const hone_tensor *const *in)
{
    hone_tensor natural;
    return unpooled(call, in[0], &natural) == HONE_OK ? hone_tensor_count(&natural) : 1;
}

const hone_op hone_op_maxunpool = {
    .name = "maxunpool", .kind = HONE_OP_POOL, .inputs = "x indices", .domains = "ni", .attrs = unpool_attrs, .n_attrs = 4,
    .outputs = 1, .shape = unpool_shape, .reference = unpool_reference, .index_bound = unpool_bound,
};
