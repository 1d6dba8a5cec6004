// SPDX-License-Identifier: Apache-2.0
// Operators that pick or place elements by index.
#include <string.h>

#include "base/alloc.h"
#include "engine/onnx_rules_priv.h"

static hone_status with_axis(onnx_import *im, const char *op, int n_in, const int *in, int64_t axis, const char *reduction, int *out)
{
    hone_call call;
    hone_status status;
    int settled;
    HONE_TRY(onnx_axis(axis, onnx_tensor_of(im, in[0]).rank, &settled));
    HONE_TRY(hone_call_init(&call, op, n_in));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){settled}, 1));
    if (reduction) HONE_TRY(hone_call_set_word(&call, "reduction", reduction));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

// Constant indices are checked here; others are bounded when they are read.
static hone_status check_indices(onnx_import *im, int value, int64_t bound)
{
    if (!onnx_is_constant(im, value)) return HONE_OK;
    hone_array array;
    const hone_value *v = &im->graph->values[value];
    hone_status status = hone_array_init(&array, &v->tensor);
    if (status != HONE_OK) return status;
    hone_array_unpack(&array, &v->tensor, v->data, 1);
    for (int64_t k = 0, n = hone_tensor_count(&v->tensor); status == HONE_OK && array.i && k < n; k++)
        if (array.i[k] < -bound || array.i[k] >= bound)
            status = hone_fail(HONE_MODEL, "index %lld is outside of %lld entries", (long long)array.i[k], (long long)bound);
    hone_array_clear(&array);
    return status;
}

static hone_status gather(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int axis;
    (void)n_in;
    const char *op = onnx_rule_word(im);
    hone_status status;
    HONE_TRY(onnx_axis(onnx_int(im, "axis", 0), x.rank, &axis));
    HONE_TRY(check_indices(im, in[1], x.dims[axis]));
    HONE_TRY(with_axis(im, op, 2, in, axis, NULL, out));
out:
    return status;
}

static hone_status scatter_elements(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int axis;
    (void)n_in;
    const char *reduction = onnx_word(im, "reduction", "none");
    hone_status status;
    HONE_TRY(onnx_axis(onnx_int(im, "axis", 0), x.rank, &axis));
    HONE_TRY(check_indices(im, in[1], x.dims[axis]));
    HONE_TRY(with_axis(im, "scatter_elements", 3, in, axis, reduction, out));
out:
    return status;
}

static hone_status one_hot(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    double wish;
    int64_t depth;
    int n, axis, operands[2] = {in[0], in[2]};
    (void)n_in;
    hone_status status;
    HONE_TRY(onnx_const_reals(im, in[1], "depth", &wish, 1, &n));        // ONNX allows any number type
    if (!(wish >= 0 && wish < 0x1p40)) HONE_TRY(hone_fail(HONE_MODEL, "depth is %g", wish));
    depth = (int64_t)wish;
    HONE_TRY(onnx_axis(onnx_int(im, "axis", -1), onnx_tensor_of(im, in[0]).rank + 1, &axis));
    if (!hone_dtype_is_float(onnx_tensor_of(im, in[0]).dtype)) goto emit;
    HONE_TRY(onnx_emit_cast(im, in[0], HONE_I64, &operands[0]));
emit:
    HONE_TRY(hone_call_init(&call, "onehot", 2));
    HONE_TRY(hone_call_set_ints(&call, "depth", &depth, 1));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){axis}, 1));
    HONE_TRY(onnx_emit(im, &call, operands, out));
out:
    return status;
}

// A constant condition picks known entries: a gather.
static hone_status compress(onnx_import *im, const int *in, int n_in, int *out)
{
    enum { MOST = 1 << 20 };
    int x = in[0], axis, n, operands[2];
    int64_t count = 0, *flags = NULL;
    (void)n_in;
    hone_tensor t = onnx_tensor_of(im, x);
    hone_status status = HONE_OK;
    if (!onnx_has(im, "axis")) {
        HONE_TRY(onnx_emit_reshape(im, x, 1, (int64_t[]){hone_tensor_count(&t)}, &x));
        t = onnx_tensor_of(im, x);
    }
    HONE_TRY(onnx_axis(onnx_int(im, "axis", 0), t.rank, &axis));
    flags = hone_calloc(MOST, sizeof *flags);
    if (!flags) return HONE_NO_MEMORY;
    HONE_TRY(onnx_const_ints(im, in[1], "the condition", flags, MOST, &n));
    for (int k = 0; k < n; k++)
        if (flags[k]) flags[count++] = k;
    if (count && flags[count - 1] >= t.dims[axis]) HONE_TRY(hone_fail(HONE_MODEL, "the condition is longer than the axis"));
    operands[0] = x;
    HONE_TRY(onnx_make_ints(im, HONE_I64, 1, &count, flags, &operands[1]));
    HONE_TRY(with_axis(im, "gather", 2, operands, axis, NULL, out));
out:
    hone_free(flags);
    return status;
}

const onnx_rule onnx_rules_select[] = {
    {"Gather", 0, 0, 2, 2, 1, gather, "gather"},
    {"GatherElements", 0, 0, 2, 2, 1, gather, "gather_elements"},
    {"Scatter", 0, 0, 3, 3, 1, scatter_elements, NULL},
    {"ScatterElements", 0, 0, 3, 3, 1, scatter_elements, NULL},
    {"OneHot", 0, 0, 3, 3, 1, one_hot, NULL},
    {"Compress", 0, 0, 2, 2, 1, compress, NULL},
    {0},
};
