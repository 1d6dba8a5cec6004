// SPDX-License-Identifier: Apache-2.0
// Elementwise operators that an op's descriptor cannot map by itself: optional bounds, any number of operands, aliases.
#include <math.h>
#include <string.h>

#include "engine/onnx_rules_priv.h"

static hone_status identity(onnx_import *im, const int *in, int n_in, int *out)
{
    (void)im, (void)n_in;
    out[0] = in[0];
    return HONE_OK;
}

// Inference: x passes; the mask, when asked for, is all true.
static hone_status dropout(onnx_import *im, const int *in, int n_in, int *out)
{
    onnx_ignore(im, "ratio");
    onnx_ignore(im, "seed");
    hone_status status = HONE_OK;
    double training = 0;
    int n;
    if (onnx_given(in, n_in, 2)) HONE_TRY(onnx_const_reals(im, in[2], "training_mode", &training, 1, &n));
    if (training != 0) {
        double ratio = 0.5;
        if (onnx_given(in, n_in, 1)) HONE_TRY(onnx_const_reals(im, in[1], "ratio", &ratio, 1, &n));
        if (ratio != 0) HONE_TRY(hone_fail(HONE_MODEL, "training mode draws random numbers"));
    }
    out[0] = in[0];
    if (im->node->n_outputs < 2) return HONE_OK;
    hone_call call;
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int yes;
    HONE_TRY(onnx_make_scalar(im, im->opset < 10 ? x.dtype : HONE_BOOL, 1, &yes));
    HONE_TRY(hone_call_init(&call, "expand", 1));
    HONE_TRY(hone_call_set_ints(&call, "shape", x.dims, x.rank));
    HONE_TRY(onnx_emit(im, &call, &yes, &out[1]));
out:
    return status;
}

static hone_status cast(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_dtype to;
    (void)n_in;
    onnx_ignore(im, "saturate");       // of the 8-bit floats, which are not supported
    onnx_ignore(im, "round_mode");
    if (!onnx_has(im, "to")) return hone_fail(HONE_MODEL, "attribute to is missing");
    hone_status status = onnx_dtype(onnx_int(im, "to", 0), &to);
    return status == HONE_OK ? onnx_emit_cast(im, in[0], to, out) : status;
}

static hone_status cast_like(onnx_import *im, const int *in, int n_in, int *out)
{
    (void)n_in;
    onnx_ignore(im, "saturate");
    onnx_ignore(im, "round_mode");
    return onnx_emit_cast(im, in[0], onnx_tensor_of(im, in[1]).dtype, out);
}

static hone_status clip_by(onnx_import *im, int x, double low, double high, int *out)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "clip", 1));
    HONE_TRY(hone_call_set_real(&call, "min", low));
    HONE_TRY(hone_call_set_real(&call, "max", high));
    HONE_TRY(onnx_emit(im, &call, &x, out));
out:
    return status;
}

static hone_status clip_attrs(onnx_import *im, const int *in, int n_in, int *out)
{
    (void)n_in;
    return clip_by(im, in[0], onnx_real(im, "min", -INFINITY), onnx_real(im, "max", INFINITY), out);
}

static hone_status clip(onnx_import *im, const int *in, int n_in, int *out)
{
    double bounds[2] = {-INFINITY, INFINITY};
    bool known = true;
    int n;
    hone_status status = HONE_OK;
    for (int k = 1; k < 3; k++) known = known && (!onnx_given(in, n_in, k) || onnx_is_constant(im, in[k]));
    if (known) {
        for (int k = 1; k < 3; k++)
            if (onnx_given(in, n_in, k)) HONE_TRY(onnx_const_reals(im, in[k], "a bound", &bounds[k - 1], 1, &n));
        return clip_by(im, in[0], bounds[0], bounds[1], out);
    }
    out[0] = in[0];
    if (onnx_given(in, n_in, 1)) HONE_TRY(onnx_emit_binary(im, "max", out[0], in[1], &out[0]));
    if (onnx_given(in, n_in, 2)) HONE_TRY(onnx_emit_binary(im, "min", out[0], in[2], &out[0]));
out:
    return status;
}

// Sum, Mean, Max, Min of any number of operands
static hone_status fold_operands(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_status status = HONE_OK;
    const char *op = onnx_rule_word(im);
    bool is_mean = !strcmp(op, "mean");
    int sum = in[0], factor;
    for (int k = 1; k < n_in; k++) HONE_TRY(onnx_emit_binary(im, is_mean ? "add" : op, sum, in[k], &sum));
    if (is_mean && n_in > 1) {
        HONE_TRY(onnx_make_scalar(im, onnx_tensor_of(im, in[0]).dtype, 1.0 / n_in, &factor));
        HONE_TRY(onnx_emit_binary(im, "mul", sum, factor, &sum));
    }
    *out = sum;
out:
    return status;
}

static hone_status gelu(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    (void)n_in;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "gelu", 1));
    HONE_TRY(hone_call_set_word(&call, "approx", onnx_word(im, "approximate", "none")));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

static hone_status swish(onnx_import *im, const int *in, int n_in, int *out)
{
    double alpha = onnx_real(im, "alpha", 1);
    int factor, t;
    (void)n_in;
    if (alpha == 1) return onnx_emit_unary(im, "silu", in[0], out);
    hone_status status;
    HONE_TRY(onnx_make_scalar(im, onnx_tensor_of(im, in[0]).dtype, alpha, &factor));
    HONE_TRY(onnx_emit_binary(im, "mul", in[0], factor, &t));
    HONE_TRY(onnx_emit_unary(im, "sigmoid", t, &t));
    HONE_TRY(onnx_emit_binary(im, "mul", in[0], t, out));
out:
    return status;
}

// The slope's axes follow x from the right, as everywhere since opset 7; a vector of channels is accepted too.
static hone_status prelu(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]), slope = onnx_tensor_of(im, in[1]);
    int64_t dims[HONE_RANK_MAX];
    int s = in[1];
    (void)n_in;
    hone_status status = HONE_OK;
    if (slope.rank == 1 && x.rank > 2 && slope.dims[0] == x.dims[1] && slope.dims[0] != x.dims[x.rank - 1] && slope.dims[0] != 1) {
        for (int k = 0; k < x.rank; k++) dims[k] = k == 1 ? slope.dims[0] : 1;
        HONE_TRY(onnx_emit_reshape(im, s, x.rank, dims, &s));
    }
    HONE_TRY(onnx_emit_binary(im, "prelu", in[0], s, out));
out:
    return status;
}

const onnx_rule onnx_rules_elementwise[] = {
    {"Identity", 0, 0, 1, 1, 1, identity, NULL},
    {"Dropout", 0, 0, 1, 3, 2, dropout, NULL},
    {"Cast", 0, 0, 1, 1, 1, cast, NULL},
    {"CastLike", 0, 0, 2, 2, 1, cast_like, NULL},
    {"Clip", 0, 10, 1, 1, 1, clip_attrs, NULL},
    {"Clip", 11, 0, 1, 3, 1, clip, NULL},
    {"Sum", 0, 0, 1, HONE_IMPORT_OPERANDS, 1, fold_operands, "add"},
    {"Mean", 0, 0, 1, HONE_IMPORT_OPERANDS, 1, fold_operands, "mean"},
    {"Max", 0, 0, 1, HONE_IMPORT_OPERANDS, 1, fold_operands, "max"},
    {"Min", 0, 0, 1, HONE_IMPORT_OPERANDS, 1, fold_operands, "min"},
    {"Gelu", 0, 0, 1, 1, 1, gelu, NULL},
    {"Swish", 0, 0, 1, 1, 1, swish, NULL},
    {"PRelu", 0, 0, 2, 2, 1, prelu, NULL},
    {0},
};
