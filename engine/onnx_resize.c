// SPDX-License-Identifier: Apache-2.0
// Resize of opset 10, 11 and 18, and Upsample, in the one form that hone's op has.
#include <math.h>
#include <string.h>

#include "engine/onnx_rules_priv.h"

typedef struct sizes {
    int rank;
    int64_t size[HONE_RANK_MAX];
    double scales[HONE_RANK_MAX], roi[2 * HONE_RANK_MAX];
    bool has_size, has_scales, has_roi;
} sizes;

static bool given_values(onnx_import *im, const int *in, int n_in, int k)
{
    if (!onnx_given(in, n_in, k)) return false;
    hone_tensor t = onnx_tensor_of(im, in[k]);
    return hone_tensor_count(&t) != 0;
}

static hone_status read_axes(onnx_import *im, int rank, int *axes, int *n)
{
    const int64_t *list;
    *n = onnx_ints(im, "axes", &list);
    if (*n > rank) return hone_fail(HONE_MODEL, "axes has %d entries for %d dims", *n, rank);
    for (int k = 0; k < *n; k++) {
        hone_status status = onnx_axis(list[k], rank, &axes[k]);
        if (status != HONE_OK) return status;
    }
    for (int k = 0; !*n && k < rank; k++) axes[k] = k;
    *n = *n ? *n : rank;
    return HONE_OK;
}

static hone_status wrong_count(const char *what, int n, int want)
{
    return hone_fail(HONE_MODEL, "%s has %d entries, %d are needed", what, n, want);
}

static hone_status read_scales(onnx_import *im, int value, const int *axes, int n_axes, sizes *s)
{
    double values[HONE_RANK_MAX];
    int n;
    hone_status status = onnx_const_reals(im, value, "scales", values, HONE_RANK_MAX, &n);
    if (status != HONE_OK) return status;
    if (n != n_axes) return wrong_count("scales", n, n_axes);
    for (int k = 0; k < s->rank; k++) s->scales[k] = 1;
    for (int k = 0; k < n; k++) {
        if (!(values[k] > 0) || !isfinite(values[k])) return hone_fail(HONE_MODEL, "a scale is %g", values[k]);
        s->scales[axes[k]] = values[k];
    }
    s->has_scales = true;
    return HONE_OK;
}

// not_larger and not_smaller keep the aspect ratio: one scale for all axes.
static hone_status apply_policy(onnx_import *im, const hone_tensor *x, const int *axes, int n_axes, sizes *s)
{
    const char *policy = onnx_word(im, "keep_aspect_ratio_policy", "stretch");
    bool larger = !strcmp(policy, "not_smaller");
    double scale = larger ? 0 : INFINITY;
    if (!strcmp(policy, "stretch")) return HONE_OK;
    if (!larger && strcmp(policy, "not_larger")) return hone_fail(HONE_MODEL, "keep_aspect_ratio_policy=%s is not known", policy);
    for (int k = 0; k < n_axes; k++) {
        double one = (double)s->size[axes[k]] / (double)x->dims[axes[k]];
        scale = larger ? fmax(scale, one) : fmin(scale, one);
    }
    for (int k = 0; k < s->rank; k++) s->scales[k] = 1;
    for (int k = 0; k < n_axes; k++) {
        s->scales[axes[k]] = scale;
        double extent = floor(scale * (double)x->dims[axes[k]] + 0.5);
        if (!(extent >= 0 && extent < 0x1p31)) return hone_fail(HONE_MODEL, "sizes make no sense");
        s->size[axes[k]] = (int64_t)extent;
    }
    s->has_scales = true;
    return HONE_OK;
}

static hone_status read_size(onnx_import *im, int value, const hone_tensor *x, const int *axes, int n_axes, sizes *s)
{
    int64_t values[HONE_RANK_MAX];
    int n;
    hone_status status = onnx_const_ints(im, value, "sizes", values, HONE_RANK_MAX, &n);
    if (status != HONE_OK) return status;
    if (n != n_axes) return wrong_count("sizes", n, n_axes);
    memcpy(s->size, x->dims, sizeof s->size);
    for (int k = 0; k < n; k++) s->size[axes[k]] = values[k];
    s->has_size = true;
    return apply_policy(im, x, axes, n_axes, s);
}

static hone_status read_roi(onnx_import *im, int value, const int *axes, int n_axes, sizes *s)
{
    double values[2 * HONE_RANK_MAX];
    int n;
    hone_status status = onnx_const_reals(im, value, "roi", values, 2 * HONE_RANK_MAX, &n);
    if (status != HONE_OK) return status;
    if (n != 2 * n_axes) return wrong_count("roi", n, 2 * n_axes);
    for (int k = 0; k < s->rank; k++) s->roi[k] = 0, s->roi[s->rank + k] = 1;
    for (int k = 0; k < n_axes; k++) s->roi[axes[k]] = values[k], s->roi[s->rank + axes[k]] = values[n_axes + k];
    s->has_roi = true;
    return HONE_OK;
}

static hone_status emit(onnx_import *im, int x, const char *mode, const char *coords, const char *nearest, const sizes *s, int *out)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "resize", 1));
    HONE_TRY(hone_call_set_word(&call, "mode", mode));
    HONE_TRY(hone_call_set_word(&call, "coords", coords));
    HONE_TRY(hone_call_set_word(&call, "nearest", nearest));
    if (s->has_size) HONE_TRY(hone_call_set_ints(&call, "size", s->size, s->rank));
    if (s->has_scales) HONE_TRY(hone_call_set_reals(&call, "scales", s->scales, s->rank));
    if (s->has_roi && !strcmp(coords, "tf_crop_and_resize")) HONE_TRY(hone_call_set_reals(&call, "roi", s->roi, 2 * s->rank));
    HONE_TRY(hone_call_set_real(&call, "cubic_a", onnx_real(im, "cubic_coeff_a", -0.75)));
    HONE_TRY(hone_call_set_ints(&call, "exclude_outside", &(int64_t){onnx_int(im, "exclude_outside", 0) != 0}, 1));
    HONE_TRY(hone_call_set_real(&call, "extrapolation", onnx_real(im, "extrapolation_value", 0)));
    HONE_TRY(onnx_emit(im, &call, &x, out));
out:
    return status;
}

static hone_status resize(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    sizes s = {.rank = x.rank};
    int axes[HONE_RANK_MAX], n_axes;
    hone_status status;
    onnx_ignore(im, "axes");
    if (onnx_int(im, "antialias", 0)) return hone_fail(HONE_MODEL, "antialias is not supported");
    HONE_TRY(read_axes(im, x.rank, axes, &n_axes));
    onnx_ignore(im, "keep_aspect_ratio_policy");
    if (given_values(im, in, n_in, 2)) HONE_TRY(read_scales(im, in[2], axes, n_axes, &s));
    else if (given_values(im, in, n_in, 3)) HONE_TRY(read_size(im, in[3], &x, axes, n_axes, &s));
    else HONE_TRY(hone_fail(HONE_MODEL, "neither scales nor sizes are given"));
    if (given_values(im, in, n_in, 1) && onnx_is_constant(im, in[1])) HONE_TRY(read_roi(im, in[1], axes, n_axes, &s));
    const char *coords = onnx_word(im, "coordinate_transformation_mode", "half_pixel");
    if (!strcmp(coords, "tf_crop_and_resize") && !s.has_roi) HONE_TRY(onnx_need_constant(im, in[1], "roi"));
    HONE_TRY(emit(im, in[0], onnx_word(im, "mode", "nearest"), coords, onnx_word(im, "nearest_mode", "round_prefer_floor"), &s, out));
out:
    return status;
}

// Opset 10's Resize and Upsample: asymmetric coordinates, rounded down.
static hone_status upsample(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    sizes s = {.rank = x.rank};
    int axes[HONE_RANK_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    const onnx_attr *scales = onnx_find_attr(im, "scales");
    hone_status status = HONE_OK;
    if (onnx_given(in, n_in, 1)) {
        HONE_TRY(read_scales(im, in[1], axes, x.rank, &s));
    } else {
        if (!scales || scales->type != ONNX_ATTR_FLOATS) return hone_fail(HONE_MODEL, "scales are missing");
        if (scales->n != x.rank) return wrong_count("scales", scales->n, x.rank);
        for (int k = 0; k < x.rank; k++) s.scales[k] = scales->floats[k];
        s.has_scales = true;
    }
    HONE_TRY(emit(im, in[0], onnx_word(im, "mode", "nearest"), "asymmetric", "floor", &s, out));
out:
    return status;
}

const onnx_rule onnx_rules_resize[] = {
    {"Upsample", 0, 0, 1, 2, 1, upsample, NULL},
    {"Resize", 0, 10, 2, 2, 1, upsample, NULL},
    {"Resize", 11, 0, 1, 4, 1, resize, NULL},
    {0},
};
