// SPDX-License-Identifier: Apache-2.0
// resize: every output element is a weighted sum over a few input elements per axis, and the weights of the axes multiply. The taps of an
// axis depend on the position along that axis alone, so they are made once for each.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/op_priv.h"

#define MODES "nearest linear cubic"
#define COORDS "half_pixel half_pixel_symmetric pytorch_half_pixel align_corners asymmetric tf_half_pixel_for_nn tf_crop_and_resize"
#define ROUNDINGS "round_prefer_floor round_prefer_ceil floor ceil"

enum { TAPS = 4 };
enum { MODE, COORD, ROUNDING, SIZE, SCALES, ROI, CUBIC_A, EXCLUDE, EXTRAPOLATION, ATTRS };

static const hone_attr_spec resize_attrs[ATTRS] = {
    [MODE] = {"mode", HONE_ATTR_WORD, MODES, "nearest"}, [COORD] = {"coords", HONE_ATTR_WORD, COORDS, "half_pixel"},
    [ROUNDING] = {"nearest", HONE_ATTR_WORD, ROUNDINGS, "round_prefer_floor"}, [SIZE] = {"size", HONE_ATTR_INTS, NULL, ""},
    [SCALES] = {"scales", HONE_ATTR_REALS, NULL, ""}, [ROI] = {"roi", HONE_ATTR_REALS, NULL, ""},
    [CUBIC_A] = {"cubic_a", HONE_ATTR_REAL, NULL, "-0.75"}, [EXCLUDE] = {"exclude_outside", HONE_ATTR_INT, NULL, "0"},
    [EXTRAPOLATION] = {"extrapolation", HONE_ATTR_REAL, NULL, "0"},
};

// ---- shape: sizes follow from scales when they are not given; scales that are size / extent are the default and are dropped

static hone_status size_from_scales(hone_call *call, const hone_tensor *x)
{
    hone_attr *size = &call->attrs[SIZE], *scales = &call->attrs[SCALES];
    if (scales->n != x->rank) return hone_fail(HONE_USAGE, "resize needs a size or a scale for each of the %d axes", x->rank);
    for (int k = 0; k < x->rank; k++) {
        float extent = floorf((float)scales->r[k] * (float)x->dims[k]);       // in float, as ONNX stores scales
        if (!(extent >= 0 && extent < 0x1p31f)) return hone_fail(HONE_USAGE, "resize: the scale of axis %d makes no sense", k);
        size->i[k] = (int64_t)extent;
    }
    size->n = x->rank;
    return HONE_OK;
}

static hone_status resize_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const hone_tensor *x = in[0];
    hone_attr *size = &call->attrs[SIZE], *scales = &call->attrs[SCALES];
    hone_status status = size->n || !x->rank ? HONE_OK : size_from_scales(call, x);
    if (status != HONE_OK) return status;
    bool fits = size->n == x->rank && (!scales->n || scales->n == x->rank) && (!call->attrs[ROI].n || call->attrs[ROI].n == 2 * x->rank);
    if (!fits) return hone_fail(HONE_USAGE, "resize: size, scales and roi do not have entries for the %d axes", x->rank);
    *out = (hone_tensor){.dtype = x->dtype, .rank = x->rank};
    bool is_plain = true;
    for (int k = 0; k < x->rank; k++) {
        out->dims[k] = size->i[k];
        if (size->i[k] && !x->dims[k]) return hone_fail(HONE_USAGE, "resize: axis %d of x is empty", k);
        if (scales->n && !(scales->r[k] > 0)) return hone_fail(HONE_USAGE, "resize: scales must be above 0");
        if (scales->n) is_plain = is_plain && scales->r[k] * (double)x->dims[k] == (double)size->i[k];
    }
    if (is_plain) memset(scales, 0, sizeof *scales);
    return HONE_OK;
}

// ---- coordinates

typedef struct axis {
    double in, out, scaled, scale;     // extents; the extent that the scale alone would give; the scale
    double begin, end;                 // region of interest
} axis;

// A coordinate of the output as one of the input.
typedef double origin(const axis *a, double at);

static double half_pixel(const axis *a, double at) { return (at + 0.5) / a->scale - 0.5; }
static double pytorch_half_pixel(const axis *a, double at) { return a->out > 1 ? half_pixel(a, at) : 0; }
static double asymmetric(const axis *a, double at) { return at / a->scale; }
static double tf_half_pixel(const axis *a, double at) { return (at + 0.5) / a->scale; }
static double align_corners(const axis *a, double at) { return a->out == 1 ? 0 : at * (a->in - 1) / (a->scaled - 1); }

static double half_pixel_symmetric(const axis *a, double at)
{
    return a->in / 2 * (1 - a->out / a->scaled) + half_pixel(a, at);
}

static double crop_and_resize(const axis *a, double at)
{
    if (a->out == 1) return 0.5 * (a->begin + a->end) * (a->in - 1);
    return (a->in - 1) * (a->begin + at * (a->end - a->begin) / (a->out - 1));
}

static origin *const origins[] = {       // in the order of COORDS
    half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, tf_half_pixel, crop_and_resize,
};

static double prefer_floor(double x) { return ceil(x - 0.5); }
static double prefer_ceil(double x) { return floor(x + 0.5); }

static double (*const roundings[])(double) = {prefer_floor, prefer_ceil, floor, ceil};       // in the order of ROUNDINGS

// ---- taps

// Up to 4 input positions with their weights; n = 0: beyond the input, the extrapolation value.
typedef struct taps {
    int n;
    int64_t from[TAPS];
    double weight[TAPS];
} taps;

static int nearest_weights(const hone_call *call, double at, int64_t *first, double *weights)
{
    *first = (int64_t)roundings[call->attrs[ROUNDING].i[0]](at);
    weights[0] = 1;
    return 1;
}

static int linear_weights(const hone_call *call, double at, int64_t *first, double *weights)
{
    (void)call;
    *first = (int64_t)floor(at);
    weights[1] = at - floor(at);
    weights[0] = 1 - weights[1];
    return 2;
}

// Keys, "Cubic convolution interpolation for digital image processing", 1981.
static int cubic_weights(const hone_call *call, double at, int64_t *first, double *weights)
{
    double a = call->attrs[CUBIC_A].r[0], t = at - floor(at), u = 1 - t;
    *first = (int64_t)floor(at) - 1;
    weights[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    weights[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weights[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    weights[3] = ((a * (u + 1) - 5 * a) * (u + 1) + 8 * a) * (u + 1) - 4 * a;
    return 4;
}

static int (*const weighers[])(const hone_call *, double, int64_t *, double *) = {nearest_weights, linear_weights, cubic_weights};

static void make_taps(const hone_call *call, const axis *a, double at, taps *t)
{
    int64_t first, last = (int64_t)a->in - 1;
    double sum = 0;
    bool excludes = call->attrs[EXCLUDE].i[0] != 0;
    bool crops = origins[call->attrs[COORD].i[0]] == crop_and_resize;
    t->n = 0;
    if (crops && (at < 0 || at > a->in - 1)) return;
    t->n = weighers[call->attrs[MODE].i[0]](call, at, &first, t->weight);
    for (int k = 0; k < t->n; k++) {
        int64_t from = first + k;
        t->from[k] = from < 0 ? 0 : from > last ? last : from;
        if (excludes && t->from[k] != from) t->weight[k] = 0;
        sum += t->weight[k];
    }
    for (int k = 0; excludes && sum != 0 && k < t->n; k++) t->weight[k] /= sum;
}

static axis axis_of(const hone_call *call, const hone_tensor *x, const hone_tensor *out, int k)
{
    const hone_attr *scales = &call->attrs[SCALES], *roi = &call->attrs[ROI];
    axis a = {.in = (double)x->dims[k], .out = (double)out->dims[k], .begin = 0, .end = 1};
    a.scale = scales->n ? scales->r[k] : a.out / a.in;
    a.scaled = scales->n ? a.scale * a.in : a.out;
    if (roi->n) {
        a.begin = roi->r[k];
        a.end = roi->r[x->rank + k];
    }
    return a;
}

// An axis that keeps its extent is copied, whatever the mode.
static bool is_copied(const hone_call *call, const axis *a)
{
    return a->in == a->out && a->scale == 1 && origins[call->attrs[COORD].i[0]] != crop_and_resize;
}

static void fill_axis(const hone_call *call, const axis *a, taps *line)
{
    for (int64_t k = 0; k < (int64_t)a->out; k++) {
        if (is_copied(call, a)) line[k] = (taps){1, {k}, {1}};
        else make_taps(call, a, origins[call->attrs[COORD].i[0]](a, (double)k), &line[k]);
    }
}

// ---- the sum

typedef struct resizing {
    const hone_array *x;
    hone_array *out;
    taps *all;                               // the lines of all axes, one behind the other
    taps *lines[HONE_RANK_MAX];
    int64_t strides[HONE_RANK_MAX];
    double extrapolation;
} resizing;

static double sum_taps(const resizing *r, const taps *const *line, int k, int64_t base)
{
    if (k == r->x->tensor.rank) return hone_array_scalar(r->x, base).f;
    double sum = 0;
    for (int t = 0; t < line[k]->n; t++) {
        if (line[k]->weight[t] == 0) continue;
        sum += line[k]->weight[t] * sum_taps(r, line, k + 1, base + line[k]->from[t] * r->strides[k]);
    }
    return sum;
}

static void resize_part(void *user, int64_t begin, int64_t end, int worker)
{
    const resizing *r = user;
    const hone_tensor *o = &r->out->tensor;
    const taps *line[HONE_RANK_MAX];
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t rest = k;
        bool is_inside = true;
        for (int a = o->rank - 1; a >= 0; a--) {
            line[a] = &r->lines[a][rest % o->dims[a]];
            rest /= o->dims[a];
            is_inside = is_inside && line[a]->n;
        }
        double value = is_inside ? sum_taps(r, line, 0, 0) : r->extrapolation;
        if (r->out->f) r->out->f[k] = value;
        else r->out->i[k] = hone_int_from_double(value);
    }
}

static hone_status resize_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor, *o = &out[0].tensor;
    resizing r = {.x = &in[0], .out = &out[0], .extrapolation = call->attrs[EXTRAPOLATION].r[0]};
    int64_t total = 0;
    for (int k = 0; k < o->rank; k++) total += o->dims[k];
    r.all = hone_alloc((size_t)total * sizeof *r.all);
    if (!r.all) return HONE_NO_MEMORY;
    hone_tensor_strides(x, r.strides);
    taps *next = r.all;
    for (int k = 0; k < o->rank; k++) {
        axis a = axis_of(call, x, o, k);
        r.lines[k] = next;
        fill_axis(call, &a, next);
        next += o->dims[k];
    }
    hone_parallel(hone_tensor_count(o), 4096, threads, resize_part, &r);
    hone_free(r.all);
    return HONE_OK;
}

const hone_op hone_op_resize = {
    .name = "resize", .kind = HONE_OP_MOVE, .inputs = "x", .outputs = 1, .attrs = resize_attrs, .n_attrs = ATTRS,
    .shape = resize_shape, .reference = resize_reference,
    .onnx = "Resize x @roi @scales @size coordinate_transformation_mode=coords nearest_mode=nearest cubic_coeff_a=cubic_a"
            " extrapolation_value=extrapolation\n"
            "Upsample x @scales coords:asymmetric nearest:floor"};
