// SPDX-License-Identifier: Apache-2.0
// Convolutions over one to three spatial axes: conv, convtranspose, and the integer forms convinteger and qlinearconv, whose values
// are exact in double and so share conv's reference.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/window.h"

// What the references need of a convolution: images x groups x (outputs x taps of one group).
typedef struct geometry {
    hone_window window;
    int64_t images, groups, cin, cout;      // channels of one group
    int64_t taps, depth;                    // taps of the window; cin * taps
    bool is_transposed;                     // a tap reads what a transposed convolution scatters to the position
} geometry;

static hone_status geometry_init(const hone_call *call, const hone_tensor *x, const hone_tensor *w, geometry *g)
{
    if (x->rank < 3 || w->rank != x->rank)
        return hone_fail(HONE_USAGE, "%s: x has rank %d and w rank %d, both need the same rank of 3 to 5", call->op->name,
                         x->rank, w->rank);
    g->groups = hone_call_int(call, "group");
    if (g->groups < 1 || w->dims[0] % g->groups || x->dims[1] != w->dims[1] * g->groups)
        return hone_fail(HONE_USAGE, "%s: %lld channels do not fit weights of %lld x %lld in %lld groups", call->op->name,
                         (long long)x->dims[1], (long long)w->dims[0], (long long)w->dims[1], (long long)g->groups);
    hone_status status = hone_window_init(call, x, w->dims + 2, false, &g->window);
    if (status != HONE_OK) return status;
    g->images = x->dims[0];
    g->cin = w->dims[1];
    g->cout = w->dims[0] / g->groups;
    g->taps = hone_window_taps(&g->window);
    g->depth = g->cin * g->taps;
    g->is_transposed = false;
    return HONE_OK;
}

static void spatial_dims(const hone_window *window, hone_tensor *out)
{
    for (int k = 0; k < window->rank; k++) out->dims[k + 2] = window->out[3 - window->rank + k];
}

static hone_status check_vector(const hone_call *call, const char *name, const hone_tensor *tensor, int64_t count)
{
    if (tensor && (tensor->rank != 1 || tensor->dims[0] != count))
        return hone_fail(HONE_USAGE, "%s: %s must be a vector of %lld", call->op->name, name, (long long)count);
    return HONE_OK;
}

static hone_status conv_dims(hone_call *call, const hone_tensor *x, const hone_tensor *w, hone_tensor *out)
{
    geometry g;
    hone_status status = geometry_init(call, x, w, &g);
    if (status != HONE_OK) return status;
    *out = (hone_tensor){.dtype = x->dtype, .rank = x->rank, .dims = {x->dims[0], w->dims[0]}};
    spatial_dims(&g.window, out);
    return HONE_OK;
}

static hone_status conv_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (!hone_dtype_is_float(in[0]->dtype) || !hone_dtype_is_float(in[1]->dtype))
        return hone_fail(HONE_USAGE, "conv: x and w must be floating point");
    hone_status status = conv_dims(call, in[0], in[1], out);
    return status != HONE_OK ? status : check_vector(call, "b", call->n_in > 2 ? in[2] : NULL, in[1]->dims[0]);
}

static double conv_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    (void)call;
    const hone_tensor *w = in[1];
    double terms = (double)w->dims[1];
    for (int k = 2; k < w->rank; k++) terms *= (double)w->dims[k];
    return 2 * terms * (double)hone_tensor_count(out);
}

// ---- the shared reference: patches gathered as rows, then dot products with each output's weights

enum { PATCH_ROWS = 16 };     // output positions gathered together, so that weights are read once for all of them

typedef struct job {
    const geometry *g;
    const double *x, *w, *b;
    double *out;
    double *scratch;          // per worker: PATCH_ROWS patches
    int64_t *sources;         // per worker: one window
} job;

// The input position whose tap `tap` lands on output `at`, or -1.
static int64_t landing(const hone_window *window, int64_t at, int64_t tap)
{
    int64_t flat = 0, extent_out = hone_window_out(window), extent_tap = hone_window_taps(window);
    for (int k = 0; k < 3; k++) {
        extent_out /= window->out[k], extent_tap /= window->kernel[k];
        int64_t from = at / extent_out % window->out[k] + window->begin[k] - tap / extent_tap % window->kernel[k] * window->dilation[k];
        if (from < 0 || from % window->stride[k] || from / window->stride[k] >= window->in[k]) return -1;
        flat = flat * window->in[k] + from / window->stride[k];
    }
    return flat;
}

static void gather(const geometry *g, const double *x, int64_t at, int64_t *sources, double *row)
{
    int64_t plane = hone_window_in(&g->window);
    if (g->is_transposed) for (int64_t t = 0; t < g->taps; t++) sources[t] = landing(&g->window, at, t);
    else hone_window_sources(&g->window, at, sources);
    for (int64_t c = 0; c < g->cin; c++, x += plane)
        for (int64_t t = 0; t < g->taps; t++) *row++ = sources[t] < 0 ? 0 : x[sources[t]];
}

static void conv_body(void *user, int64_t begin, int64_t end, int worker)
{
    const job *j = user;
    const geometry *g = j->g;
    int64_t plane = hone_window_in(&g->window), positions = hone_window_out(&g->window);
    int64_t blocks = (positions + PATCH_ROWS - 1) / PATCH_ROWS;
    double *rows = j->scratch + worker * PATCH_ROWS * g->depth;
    int64_t *sources = j->sources + worker * g->taps;
    for (int64_t item = begin; item < end; item++) {
        int64_t block = item % blocks, group = item / blocks % g->groups, image = item / blocks / g->groups;
        int64_t first = block * PATCH_ROWS, n = positions - first < PATCH_ROWS ? positions - first : PATCH_ROWS;
        const double *x = j->x + (image * g->groups + group) * g->cin * plane;
        for (int64_t r = 0; r < n; r++) gather(g, x, first + r, sources, rows + r * g->depth);
        hone_dots(rows, n, j->w + group * g->cout * g->depth, g->cout, g->depth, j->b ? j->b + group * g->cout : NULL,
                  j->out + (image * g->groups + group) * g->cout * positions + first, 1, positions);
    }
}

static hone_status conv_run(const geometry *g, const double *x, const double *w, const double *b, double *out, int threads)
{
    if (threads < 1) threads = 1;
    double *scratch = hone_alloc(sizeof(double) * (size_t)threads * PATCH_ROWS * (size_t)g->depth + 64);
    int64_t *sources = hone_alloc(sizeof(int64_t) * (size_t)threads * (size_t)g->taps + 64);
    hone_status status = HONE_NO_MEMORY;
    if (!scratch || !sources) goto out;
    job j = {g, x, w, b, out, scratch, sources};
    int64_t blocks = (hone_window_out(&g->window) + PATCH_ROWS - 1) / PATCH_ROWS;
    hone_parallel(g->images * g->groups * blocks, 1, threads, conv_body, &j);
    status = HONE_OK;
out:
    hone_free(scratch);
    hone_free(sources);
    return status;
}

static hone_status conv_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    geometry g;
    hone_status status = geometry_init(call, &in[0].tensor, &in[1].tensor, &g);
    if (status != HONE_OK) return status;
    const double *b = call->n_in > 2 ? in[2].f : NULL;
    return conv_run(&g, in[0].f, in[1].f, b, out[0].f, threads);
}

typedef struct points {
    job job;
    const int64_t *index;
    double *values;
} points;

static void points_body(void *user, int64_t begin, int64_t end, int worker)
{
    const points *p = user;
    const geometry *g = p->job.g;
    int64_t plane = hone_window_in(&g->window), positions = hone_window_out(&g->window);
    double *row = p->job.scratch + worker * g->depth;
    int64_t *sources = p->job.sources + worker * g->taps;
    for (int64_t k = begin; k < end; k++) {
        int64_t at = p->index[k] % positions, channel = p->index[k] / positions % (g->groups * g->cout);
        int64_t image = p->index[k] / positions / (g->groups * g->cout), group = channel / g->cout;
        gather(g, p->job.x + (image * g->groups + group) * g->cin * plane, at, sources, row);
        hone_dots(row, 1, p->job.w + channel * g->depth, 1, g->depth, p->job.b ? p->job.b + channel : NULL, p->values + k, 1, 1);
    }
}

static hone_status conv_reference_at(const hone_call *call, const hone_array *in, const int64_t *index, int64_t n, double *out,
                                     int threads)
{
    geometry g;
    hone_status status = geometry_init(call, &in[0].tensor, &in[1].tensor, &g);
    if (status != HONE_OK) return status;
    if (threads < 1) threads = 1;
    points p = {.job = {.g = &g, .x = in[0].f, .w = in[1].f, .b = call->n_in > 2 ? in[2].f : NULL}, .index = index, .values = out};
    p.job.scratch = hone_alloc(sizeof(double) * (size_t)threads * (size_t)g.depth + 64);
    p.job.sources = hone_alloc(sizeof(int64_t) * (size_t)threads * (size_t)g.taps + 64);
    if (p.job.scratch && p.job.sources) hone_parallel(n, 16, threads, points_body, &p);
    else status = HONE_NO_MEMORY;
    hone_free(p.job.scratch);
    hone_free(p.job.sources);
    return status;
}

static const hone_attr_spec conv_attrs[] = {
    {"stride", HONE_ATTR_SPREAD, NULL, "1"},
    {"pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"dilation", HONE_ATTR_SPREAD, NULL, "1"},
    {"group", HONE_ATTR_INT, NULL, "1"},
};

const hone_op hone_op_conv = {
    .name = "conv", .kind = HONE_OP_CONV, .inputs = "x w b?", .domains = "nwn", .attrs = conv_attrs, .n_attrs = 4, .outputs = 1,
    .shape = conv_shape, .reference = conv_reference, .reference_at = conv_reference_at, .flops = conv_flops,
};

// ---- convtranspose: each output gathers what the taps of the forward convolution would have scattered to it

static const hone_attr_spec transpose_attrs[] = {
    {"stride", HONE_ATTR_SPREAD, NULL, "1"},
    {"pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"dilation", HONE_ATTR_SPREAD, NULL, "1"},
    {"output_pad", HONE_ATTR_SPREAD, NULL, "0"},
    {"group", HONE_ATTR_INT, NULL, "1"},
};

// Weights are C, O/group, kernel...
static hone_status transpose_geometry(const hone_call *call, const hone_tensor *x, const hone_tensor *w, geometry *g)
{
    if (x->rank < 3 || w->rank != x->rank)
        return hone_fail(HONE_USAGE, "convtranspose: x has rank %d and w rank %d, both need the same rank of 3 to 5", x->rank, w->rank);
    g->groups = hone_call_int(call, "group");
    if (g->groups < 1 || w->dims[0] % g->groups || x->dims[1] != w->dims[0])
        return hone_fail(HONE_USAGE, "convtranspose: %lld channels do not fit weights of %lld x %lld in %lld groups",
                         (long long)x->dims[1], (long long)w->dims[0], (long long)w->dims[1], (long long)g->groups);
    hone_status status = hone_window_init_transposed(call, x, w->dims + 2, &g->window);
    if (status != HONE_OK) return status;
    g->images = x->dims[0];
    g->cin = w->dims[0] / g->groups;
    g->cout = w->dims[1];
    g->taps = hone_window_taps(&g->window);
    g->depth = g->cin * g->taps;
    g->is_transposed = true;
    return HONE_OK;
}

static hone_status transpose_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    geometry g;
    if (!hone_dtype_is_float(in[0]->dtype) || !hone_dtype_is_float(in[1]->dtype))
        return hone_fail(HONE_USAGE, "convtranspose: x and w must be floating point");
    hone_status status = transpose_geometry(call, in[0], in[1], &g);
    if (status != HONE_OK) return status;
    *out = (hone_tensor){.dtype = in[0]->dtype, .rank = in[0]->rank, .dims = {in[0]->dims[0], g.cout * g.groups}};
    spatial_dims(&g.window, out);
    return check_vector(call, "b", call->n_in > 2 ? in[2] : NULL, g.cout * g.groups);
}

static double transpose_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    (void)call, (void)out;
    double taps = (double)in[1]->dims[1];
    for (int k = 2; k < in[1]->rank; k++) taps *= (double)in[1]->dims[k];
    return 2 * taps * (double)hone_tensor_count(in[0]);
}

// Weights of each group from (c, o, tap) to (o, c, tap).
static void turn_weights(const geometry *g, const double *from, double *to)
{
    for (int64_t k = 0; k < g->groups * g->cout * g->cin; k++) {
        int64_t group = k / (g->cout * g->cin), o = k / g->cin % g->cout, c = k % g->cin;
        for (int64_t t = 0; t < g->taps; t++) *to++ = from[((group * g->cin + c) * g->cout + o) * g->taps + t];
    }
}

static hone_status transpose_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    geometry g;
    hone_status status = transpose_geometry(call, &in[0].tensor, &in[1].tensor, &g);
    if (status != HONE_OK) return status;
    double *turned = hone_alloc(sizeof(double) * (size_t)hone_tensor_count(&in[1].tensor) + 64);
    if (!turned) return HONE_NO_MEMORY;
    turn_weights(&g, in[1].f, turned);
    status = conv_run(&g, in[0].f, turned, call->n_in > 2 ? in[2].f : NULL, out[0].f, threads);
    hone_free(turned);
    return status;
}

const hone_op hone_op_convtranspose = {
    .name = "convtranspose", .kind = HONE_OP_CONV, .inputs = "x w b?", .domains = "nwn", .attrs = transpose_attrs, .n_attrs = 5,
    .outputs = 1, .shape = transpose_shape, .reference = transpose_reference, .flops = transpose_flops,
};

// ---- integer convolutions

// values - zero point as doubles; the zero point is one value or one for each of `rows` equal parts.
static double *centred(const hone_array *values, const hone_array *zero, int64_t rows)
{
    int64_t n = hone_tensor_count(&values->tensor), zeros = zero ? hone_tensor_count(&zero->tensor) : 0;
    double *out = hone_alloc(sizeof(double) * (size_t)n + 64);
    if (!out) return NULL;
    for (int64_t k = 0; k < n; k++)
        out[k] = (double)values->i[k] - (zeros ? (double)zero->i[zeros > 1 ? k / (n / rows) : 0] : 0);
    return out;
}

static const hone_array *given(const hone_call *call, const hone_array *in, int k)
{
    return k < call->n_in && in[k].tensor.dtype != HONE_DTYPE_NONE ? &in[k] : NULL;
}

// Exact sums of (x - x_zero) * (w - w_zero); padding holds the zero point.
static hone_status integer_sums(const hone_call *call, const hone_array *x, const hone_array *x_zero, const hone_array *w,
                                const hone_array *w_zero, const double *bias, double *sums, int threads)
{
    geometry g;
    hone_status status = geometry_init(call, &x->tensor, &w->tensor, &g);
    if (status != HONE_OK) return status;
    double *xs = centred(x, x_zero, 1), *ws = centred(w, w_zero, w->tensor.dims[0]);
    status = xs && ws ? conv_run(&g, xs, ws, bias, sums, threads) : HONE_NO_MEMORY;
    hone_free(xs);
    hone_free(ws);
    return status;
}

static hone_status check_bytes(const hone_call *call, const hone_tensor *tensor, const char *name)
{
    if (tensor->dtype != HONE_I8 && tensor->dtype != HONE_U8)
        return hone_fail(HONE_USAGE, "%s: %s must be i8 or u8, it is %s", call->op->name, name, hone_dtype_name(tensor->dtype));
    return HONE_OK;
}

static hone_status integer_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = check_bytes(call, in[0], "x");
    if (status == HONE_OK) status = check_bytes(call, in[1], "w");
    if (status == HONE_OK) status = conv_dims(call, in[0], in[1], out);
    out->dtype = HONE_I32;
    return status;
}

static hone_status integer_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t n = hone_tensor_count(&out[0].tensor);
    double *sums = hone_alloc(sizeof(double) * (size_t)n + 64);
    hone_status status = sums ? integer_sums(call, &in[0], given(call, in, 2), &in[1], given(call, in, 3), NULL, sums, threads)
                              : HONE_NO_MEMORY;
    for (int64_t k = 0; status == HONE_OK && k < n; k++) out[0].i[k] = (int32_t)(int64_t)sums[k];
    hone_free(sums);
    return status;
}

const hone_op hone_op_convinteger = {
    .name = "convinteger", .kind = HONE_OP_CONV, .inputs = "x w xzp? wzp?", .attrs = conv_attrs, .n_attrs = 4, .outputs = 1,
    .shape = integer_shape, .reference = integer_reference, .flops = conv_flops,
};

// qlinearconv: x xscale xzp w wscale wzp yscale yzp b?
static hone_status qlinear_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = check_bytes(call, in[0], "x");
    if (status == HONE_OK) status = check_bytes(call, in[3], "w");
    if (status == HONE_OK) status = conv_dims(call, in[0], in[3], out);
    if (status == HONE_OK) status = check_vector(call, "b", call->n_in > 8 ? in[8] : NULL, in[3]->dims[0]);
    out->dtype = in[7]->dtype;
    return status;
}

static double qlinear_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    const hone_tensor *both[2] = {in[0], in[3]};
    return conv_flops(call, both, out);
}

static hone_status qlinear_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *to = &out[0].tensor;
    int64_t n = hone_tensor_count(to), channels = to->dims[1], scales = hone_tensor_count(&in[4].tensor);
    const hone_array *bias = given(call, in, 8);
    double *sums = hone_alloc(sizeof(double) * (size_t)n + 64), *b = bias ? centred(bias, NULL, 1) : NULL;
    hone_status status = !sums || (bias && !b) ? HONE_NO_MEMORY
                         : integer_sums(call, &in[0], given(call, in, 2), &in[3], given(call, in, 5), b, sums, threads);
    double low = to->dtype == HONE_I8 ? -128 : 0, high = to->dtype == HONE_I8 ? 127 : 255;
    for (int64_t k = 0; status == HONE_OK && k < n; k++) {
        int64_t channel = k / (n / (to->dims[0] * channels)) % channels;
        double scale = in[1].f[0] * in[4].f[scales > 1 ? channel : 0] / in[6].f[0];
        double value = nearbyint(sums[k] * scale) + (double)in[7].i[0];
        out[0].i[k] = (int64_t)(value < low ? low : value > high ? high : value);
    }
    hone_free(sums);
    hone_free(b);
    return status;
}

const hone_op hone_op_qlinearconv = {
    .name = "qlinearconv", .kind = HONE_OP_CONV, .inputs = "x xscale xzp w wscale wzp yscale yzp b?", .domains = "npnnpnpnn", .types = "ifiififii",
    .attrs = conv_attrs, .n_attrs = 4, .outputs = 1, .shape = qlinear_shape, .reference = qlinear_reference, .flops = qlinear_flops,
};
