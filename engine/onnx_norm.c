// SPDX-License-Identifier: Apache-2.0
// Normalisations and softmax, whose meaning changed between opsets.
#include <string.h>

#include "engine/onnx_rules_priv.h"

static hone_status batch_norm(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    (void)n_in;
    onnx_ignore(im, "momentum");
    hone_status status;
    if (onnx_int(im, "training_mode", 0)) return hone_fail(HONE_MODEL, "training mode is not supported");
    if (!onnx_int(im, "spatial", 1)) return hone_fail(HONE_MODEL, "spatial=0 is not supported");
    for (int k = 1; k < im->node->n_outputs; k++)
        if (*im->node->outputs[k]) return hone_fail(HONE_MODEL, "running statistics are outputs of training only");
    HONE_TRY(hone_call_init(&call, "batchnorm", 5));
    HONE_TRY(hone_call_set_real(&call, "epsilon", onnx_real(im, "epsilon", 1e-5)));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

// Scale and bias may broadcast to the normalised axes; the op wants them whole.
static hone_status whole_affine(onnx_import *im, const hone_tensor *x, int axis, int *value)
{
    hone_call call;
    hone_tensor p = onnx_tensor_of(im, *value), to = {.dtype = p.dtype, .rank = x->rank - axis};
    memcpy(to.dims, x->dims + axis, (size_t)to.rank * sizeof *to.dims);
    if (hone_tensor_count(&p) == hone_tensor_count(&to)) return HONE_OK;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "expand", 1));
    HONE_TRY(hone_call_set_ints(&call, "shape", to.dims, to.rank));
    HONE_TRY(onnx_emit(im, &call, value, value));
out:
    return status;
}

static hone_status layer_norm(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int axis, operands[3] = {in[0], in[1], n_in > 2 ? in[2] : -1}, values[HONE_OUTPUTS_MAX];
    onnx_ignore(im, "stash_type");         // statistics are kept in float or better
    hone_status status;
    HONE_TRY(onnx_axis(onnx_int(im, "axis", -1), x.rank, &axis));
    for (int k = 1; k < 3; k++)
        if (operands[k] >= 0) HONE_TRY(whole_affine(im, &x, axis, &operands[k]));
    HONE_TRY(hone_call_init(&call, "layernorm", operands[2] >= 0 ? 3 : 2));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){axis}, 1));
    HONE_TRY(hone_call_set_real(&call, "epsilon", onnx_real(im, "epsilon", 1e-5)));
    call.n_out = im->node->n_outputs;
    HONE_TRY(onnx_emit(im, &call, operands, values));
    memcpy(out, values, (size_t)im->node->n_outputs * sizeof *out);
out:
    return status;
}

// Opset 18 to 20 scale each group, 21 each channel.
static hone_status per_channel(onnx_import *im, int64_t groups, int64_t channels, int *value)
{
    hone_call call;
    int64_t flat = channels, column[2] = {groups, 1}, wide[2] = {groups, groups ? channels / groups : 0};
    hone_status status;
    HONE_TRY(onnx_emit_reshape(im, *value, 2, column, value));
    HONE_TRY(hone_call_init(&call, "expand", 1));
    HONE_TRY(hone_call_set_ints(&call, "shape", wide, 2));
    HONE_TRY(onnx_emit(im, &call, value, value));
    HONE_TRY(onnx_emit_reshape(im, *value, 1, &flat, value));
out:
    return status;
}

static hone_status group_norm(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t groups = onnx_int(im, "num_groups", 0);
    int operands[3] = {in[0], in[1], in[2]};
    (void)n_in;
    onnx_ignore(im, "stash_type");
    hone_status status;
    if (x.rank < 2 || groups < 1 || x.dims[1] % groups) return hone_fail(HONE_MODEL, "num_groups=%lld does not divide the channels", (long long)groups);
    for (int k = 1; k < 3; k++)
        if (im->opset < 21 && groups != x.dims[1]) HONE_TRY(per_channel(im, groups, x.dims[1], &operands[k]));
    HONE_TRY(hone_call_init(&call, "groupnorm", 3));
    HONE_TRY(hone_call_set_ints(&call, "groups", &groups, 1));
    HONE_TRY(hone_call_set_real(&call, "epsilon", onnx_real(im, "epsilon", 1e-5)));
    HONE_TRY(onnx_emit(im, &call, operands, out));
out:
    return status;
}

static hone_status rms_norm(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t axes[HONE_RANK_MAX];
    int axis, t, epsilon;
    (void)n_in;
    onnx_ignore(im, "stash_type");
    hone_status status;
    HONE_TRY(onnx_axis(onnx_int(im, "axis", -1), x.rank, &axis));
    for (int k = axis; k < x.rank; k++) axes[k - axis] = k;
    HONE_TRY(onnx_emit_binary(im, "mul", in[0], in[0], &t));
    HONE_TRY(onnx_emit_reduce(im, "mean", t, x.rank - axis, axes, true, &t));
    HONE_TRY(onnx_make_scalar(im, x.dtype, onnx_real(im, "epsilon", 1e-5), &epsilon));
    HONE_TRY(onnx_emit_binary(im, "add", t, epsilon, &t));
    HONE_TRY(onnx_emit_unary(im, "rsqrt", t, &t));
    HONE_TRY(onnx_emit_binary(im, "mul", in[0], t, &t));
    HONE_TRY(onnx_emit_binary(im, "mul", t, in[1], out));
out:
    return status;
}

static hone_status along(onnx_import *im, const char *op, int x, int axis, int *out)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, op, 1));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){axis}, 1));
    HONE_TRY(onnx_emit(im, &call, &x, out));
out:
    return status;
}

// Before opset 13 the operand counts as a matrix, whose rows begin at the axis.
static hone_status softmax(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t wish = onnx_int(im, "axis", im->opset < 13 ? 1 : -1), flat[2] = {1, 1};
    int axis, t;
    (void)n_in;
    hone_status status;
    HONE_TRY(onnx_axis(wish, x.rank, &axis));
    if (im->opset >= 13 || axis == x.rank - 1) return along(im, onnx_rule_word(im), in[0], axis, out);
    for (int k = 0; k < x.rank; k++) flat[k >= axis] *= x.dims[k];
    HONE_TRY(onnx_emit_reshape(im, in[0], 2, flat, &t));
    HONE_TRY(along(im, onnx_rule_word(im), t, 1, &t));
    HONE_TRY(onnx_emit_reshape(im, t, x.rank, x.dims, out));
out:
    return status;
}

static hone_status quantize(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    hone_dtype to = HONE_DTYPE_NONE;
    const char *op = onnx_rule_word(im);
    bool is_quantize = !strcmp(op, "quantizelinear");
    int64_t axis = onnx_int(im, "axis", 1), rank = onnx_tensor_of(im, in[0]).rank;
    onnx_ignore(im, "saturate");
    hone_status status;
    HONE_TRY(hone_call_init(&call, op, n_in));
    if (onnx_tensor_of(im, in[1]).rank == 0) axis = 0;           // one scale: the axis means nothing
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){axis < 0 ? axis + rank : axis}, 1));
    HONE_TRY(hone_call_set_ints(&call, "block", &(int64_t){onnx_int(im, "block_size", 0)}, 1));
    if (onnx_int(im, "output_dtype", 0)) HONE_TRY(onnx_dtype(onnx_int(im, "output_dtype", 0), &to));
    if (to != HONE_DTYPE_NONE && is_quantize) HONE_TRY(hone_call_set_ints(&call, "to", &(int64_t){to}, 1));
    if (onnx_int(im, "precision", 0)) HONE_TRY(hone_fail(HONE_MODEL, "attribute precision is not supported"));
    HONE_TRY(onnx_emit(im, &call, in, out));
    if (to != HONE_DTYPE_NONE && !is_quantize) HONE_TRY(onnx_emit_cast(im, *out, to, out));
out:
    return status;
}

const onnx_rule onnx_rules_norm[] = {
    {"BatchNormalization", 0, 0, 5, 5, 5, batch_norm, NULL},
    {"LayerNormalization", 0, 0, 2, 3, 3, layer_norm, NULL},
    {"GroupNormalization", 0, 0, 3, 3, 1, group_norm, NULL},
    {"RMSNormalization", 0, 0, 2, 2, 1, rms_norm, NULL},
    {"Softmax", 0, 0, 1, 1, 1, softmax, "softmax"},
    {"LogSoftmax", 0, 0, 1, 1, 1, softmax, "logsoftmax"},
    {"Hardmax", 0, 0, 1, 1, 1, softmax, "hardmax"},
    {"QuantizeLinear", 0, 0, 2, 3, 1, quantize, "quantizelinear"},
    {"DequantizeLinear", 0, 0, 2, 3, 1, quantize, "dequantizelinear"},
    {0},
};
