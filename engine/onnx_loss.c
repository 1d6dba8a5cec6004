// SPDX-License-Identifier: Apache-2.0
// Losses, as exporters of training graphs leave them behind: made of gathers, products and sums.
#include <string.h>

#include "engine/onnx_rules_priv.h"

static hone_status scalar_where(onnx_import *im, int condition, hone_dtype dtype, double yes, int no, int *out)
{
    int number;
    hone_status status = onnx_make_scalar(im, dtype, yes, &number);
    return status == HONE_OK ? onnx_emit_op(im, "where", 3, (int[]){condition, number, no}, out) : status;
}

// The factor of each target: its class's weight, 0 where it is to be ignored. -1: all are 1. *target becomes safe to look up.
static hone_status target_factors(onnx_import *im, int weight, hone_dtype dtype, int *target, int *factors)
{
    hone_dtype index = onnx_tensor_of(im, *target).dtype;
    bool ignores = onnx_has(im, "ignore_index");
    int ignored = -1, number;
    hone_call call;
    hone_status status = HONE_OK;
    *factors = -1;
    if (ignores) {
        HONE_TRY(onnx_make_ints(im, index, 0, NULL, &(int64_t){onnx_int(im, "ignore_index", 0)}, &number));
        HONE_TRY(onnx_emit_binary(im, "equal", *target, number, &ignored));
        HONE_TRY(scalar_where(im, ignored, index, 0, *target, target));
    }
    if (weight >= 0) {
        HONE_TRY(hone_call_init(&call, "gather", 2));
        HONE_TRY(onnx_emit(im, &call, (int[]){weight, *target}, factors));
    } else if (ignores) {
        HONE_TRY(onnx_make_scalar(im, dtype, 1, factors));
    }
    if (ignores) HONE_TRY(scalar_where(im, ignored, dtype, 0, *factors, factors));
out:
    return status;
}

static hone_status pick_targets(onnx_import *im, int scores, int target, int *out)
{
    hone_call call;
    hone_tensor t = onnx_tensor_of(im, target);
    int64_t dims[HONE_RANK_MAX];
    int column;
    hone_status status;
    if (t.rank < 1 || t.rank >= HONE_RANK_MAX) return hone_fail(HONE_MODEL, "the target has %d dims", t.rank);
    dims[0] = t.dims[0];
    dims[1] = 1;
    memcpy(dims + 2, t.dims + 1, (size_t)(t.rank - 1) * sizeof *dims);
    HONE_TRY(onnx_emit_reshape(im, target, t.rank + 1, dims, &column));
    HONE_TRY(hone_call_init(&call, "gather_elements", 2));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){1}, 1));
    HONE_TRY(onnx_emit(im, &call, (int[]){scores, column}, out));
    HONE_TRY(onnx_emit_reshape(im, *out, t.rank, t.dims, out));
    HONE_TRY(onnx_emit_unary(im, "neg", *out, out));
out:
    return status;
}

static hone_status reduce_loss(onnx_import *im, const char *reduction, int loss, int factors, int *out)
{
    int sum, norm;
    hone_status status = HONE_OK;
    if (factors >= 0) HONE_TRY(onnx_emit_binary(im, "mul", loss, factors, &loss));
    if (!strcmp(reduction, "none")) return *out = loss, HONE_OK;
    bool is_mean = !strcmp(reduction, "mean");
    if (!is_mean && strcmp(reduction, "sum")) return hone_fail(HONE_MODEL, "reduction=%s is not known", reduction);
    if (!is_mean || factors < 0) return onnx_emit_reduce(im, reduction, loss, 0, NULL, false, out);
    HONE_TRY(onnx_emit_reduce(im, "sum", loss, 0, NULL, false, &sum));
    HONE_TRY(onnx_emit_reduce(im, "sum", factors, 0, NULL, false, &norm));
    HONE_TRY(onnx_emit_binary(im, "div", sum, norm, out));
out:
    return status;
}

static hone_status log_likelihood(onnx_import *im, int scores, int target, int weight, int *out)
{
    int factors, loss;
    const char *reduction = onnx_word(im, "reduction", "mean");
    hone_status status;
    HONE_TRY(target_factors(im, weight, onnx_tensor_of(im, scores).dtype, &target, &factors));
    HONE_TRY(pick_targets(im, scores, target, &loss));
    HONE_TRY(reduce_loss(im, reduction, loss, factors, out));
out:
    return status;
}

static hone_status nll(onnx_import *im, const int *in, int n_in, int *out)
{
    return log_likelihood(im, in[0], in[1], n_in > 2 ? in[2] : -1, out);
}

static hone_status cross_entropy(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    int scores;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "logsoftmax", 1));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){1}, 1));
    HONE_TRY(onnx_emit(im, &call, in, &scores));
    HONE_TRY(log_likelihood(im, scores, in[1], n_in > 2 ? in[2] : -1, out));
    if (im->node->n_outputs > 1) out[1] = scores;
out:
    return status;
}

const onnx_rule onnx_rules_loss[] = {
    {"NegativeLogLikelihoodLoss", 0, 0, 2, 3, 1, nll, NULL},
    {"SoftmaxCrossEntropyLoss", 0, 0, 2, 3, 2, cross_entropy, NULL},
    {0},
};
