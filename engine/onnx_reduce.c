// SPDX-License-Identifier: Apache-2.0
// Reductions along axes, global pooling among them.
#include <string.h>

#include "engine/onnx_rules_priv.h"

static hone_status reduce(onnx_import *im, const int *in, int n_in, int *out)
{
    int64_t values[HONE_RANK_MAX];
    const int64_t *axes = values;
    int n = 0, rank = onnx_tensor_of(im, in[0]).rank;
    bool keep = onnx_int(im, "keepdims", 1) != 0, is_noop = onnx_int(im, "noop_with_empty_axes", 0) != 0;
    hone_status status = HONE_OK;
    if (onnx_given(in, n_in, 1)) HONE_TRY(onnx_const_ints(im, in[1], "axes", values, HONE_RANK_MAX, &n));
    else n = onnx_ints(im, "axes", &axes);
    if (n > HONE_RANK_MAX) HONE_TRY(hone_fail(HONE_MODEL, "axes has %d entries", n));
    if (!n && is_noop) return *out = in[0], HONE_OK;
    for (int k = 0; k < n; k++) {
        int axis;
        HONE_TRY(onnx_axis(axes[k], rank, &axis));
        values[k] = axis;
    }
    HONE_TRY(onnx_emit_reduce(im, onnx_rule_word(im), in[0], n, values, keep, out));
out:
    return status;
}

static hone_status global_pool(onnx_import *im, const int *in, int n_in, int *out)
{
    int rank = onnx_tensor_of(im, in[0]).rank;
    int64_t axes[HONE_RANK_MAX], p = onnx_int(im, "p", 2);
    const char *kind = onnx_rule_word(im);
    (void)n_in;
    if (rank < 3) return hone_fail(HONE_MODEL, "the operand has %d dims, none of them spatial", rank);
    for (int k = 2; k < rank; k++) axes[k - 2] = k;
    if (!strcmp(kind, "lp") && p != 1 && p != 2) return hone_fail(HONE_MODEL, "p=%lld is not supported, 1 and 2 are", (long long)p);
    if (!strcmp(kind, "lp")) kind = p == 1 ? "l1" : "l2";
    return onnx_emit_reduce(im, kind, in[0], rank - 2, axes, true, out);
}

const onnx_rule onnx_rules_reduce[] = {
    {"ReduceSum", 0, 0, 1, 2, 1, reduce, "sum"},
    {"ReduceMean", 0, 0, 1, 2, 1, reduce, "mean"},
    {"ReduceMax", 0, 0, 1, 2, 1, reduce, "max"},
    {"ReduceMin", 0, 0, 1, 2, 1, reduce, "min"},
    {"ReduceProd", 0, 0, 1, 2, 1, reduce, "prod"},
    {"ReduceL1", 0, 0, 1, 2, 1, reduce, "l1"},
    {"ReduceL2", 0, 0, 1, 2, 1, reduce, "l2"},
    {"ReduceLogSum", 0, 0, 1, 2, 1, reduce, "logsum"},
    {"ReduceLogSumExp", 0, 0, 1, 2, 1, reduce, "logsumexp"},
    {"ReduceSumSquare", 0, 0, 1, 2, 1, reduce, "sumsquare"},
    {"GlobalAveragePool", 0, 0, 1, 1, 1, global_pool, "mean"},
    {"GlobalMaxPool", 0, 0, 1, 1, 1, global_pool, "max"},
    {"GlobalLpPool", 0, 0, 1, 1, 1, global_pool, "lp"},
    {0},
};
