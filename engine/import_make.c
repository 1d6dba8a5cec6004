// SPDX-License-Identifier: Apache-2.0
// Making nodes and constants. A call on constants alone is computed at once by the op's own reference, within a budget.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/import_priv.h"

enum { PERMUTE_MAX = 1 << 28 };

static const char *next_name(onnx_import *im, const char *op)
{
    return im->n_emitted++ ? hone_arena_printf(im->graph->arena, "%s/%s.%d", im->name, op, im->n_emitted - 1) : im->name;
}

// ---- constants

static hone_status put_value(onnx_import *im, const char *name, const hone_tensor *tensor, const void *data, int *value)
{
    *value = name ? hone_graph_add_value(im->graph, name, tensor) : -1;
    if (*value < 0) return HONE_NO_MEMORY;
    im->graph->values[*value].data = data;
    return HONE_OK;
}

hone_status onnx_make_constant(onnx_import *im, const hone_tensor *tensor, const void *data, int *value)
{
    hone_status status = hone_tensor_check(tensor);
    if (status != HONE_OK) return status;
    size_t size = hone_tensor_size(tensor);
    void *block = onnx_resources_alloc(im->resources, size + 1);
    if (!block) return HONE_NO_MEMORY;
    if (size) memcpy(block, data, size);
    return put_value(im, next_name(im, "constant"), tensor, block, value);
}

hone_status onnx_make_ints(onnx_import *im, hone_dtype dtype, int rank, const int64_t *dims, const int64_t *values, int *value)
{
    hone_array array = {0};
    hone_tensor tensor = {.dtype = dtype, .rank = rank};
    for (int k = 0; k < rank; k++) tensor.dims[k] = dims[k];
    hone_status status = hone_array_init(&array, &tensor);
    void *block = status == HONE_OK ? onnx_resources_alloc(im->resources, hone_tensor_size(&tensor) + 1) : NULL;
    if (!block) goto out;
    for (int64_t k = 0, n = hone_tensor_count(&tensor); k < n; k++) {
        if (array.f) array.f[k] = (double)values[k];
        else array.i[k] = values[k];
    }
    hone_array_pack(&array, &tensor, block, false, 1);
    status = put_value(im, next_name(im, "constant"), &tensor, block, value);
out:
    hone_array_clear(&array);
    return block || status != HONE_OK ? status : HONE_NO_MEMORY;
}

hone_status onnx_make_scalar(onnx_import *im, hone_dtype dtype, double number, int *value)
{
    hone_array array;
    hone_tensor tensor = {.dtype = dtype};
    uint8_t bytes[8];
    hone_status status = hone_array_init(&array, &tensor);
    if (status != HONE_OK) return status;
    if (array.f) array.f[0] = number;
    else array.i[0] = fabs(number) < 0x1p62 ? (int64_t)number : 0;
    hone_array_pack(&array, &tensor, bytes, false, 1);
    hone_array_clear(&array);
    return onnx_make_constant(im, &tensor, bytes, value);
}

// ---- folding

static bool all_constant(const onnx_import *im, const hone_call *call, const int *in)
{
    for (int k = 0; k < call->n_in; k++)
        if (in[k] >= 0 && !onnx_is_constant(im, in[k])) return false;
    return true;
}

// Moves whole elements; the reference's detour through doubles would cost eight bytes for each.
static hone_status fold_transpose(onnx_import *im, const hone_call *call, int x, const hone_tensor *out, int *value)
{
    const hone_value *v = &im->graph->values[x];
    const int64_t *perm;
    int64_t strides[HONE_RANK_MAX], index[HONE_RANK_MAX] = {0}, step = 1, at = 0;
    size_t size = hone_dtype_size(out->dtype);
    int rank = hone_call_list(call, "perm", &perm);
    for (int k = rank - 1; k >= 0; step *= v->tensor.dims[k--]) strides[k] = step;
    uint8_t *block = onnx_resources_alloc(im->resources, hone_tensor_size(out) + 1);
    if (!block) return HONE_NO_MEMORY;
    for (int64_t n = 0, count = hone_tensor_count(out); n < count; n++) {
        memcpy(block + (size_t)n * size, (const uint8_t *)v->data + (size_t)at * size, size);
        for (int k = rank - 1; k >= 0; k--) {
            at += strides[perm[k]];
            if (++index[k] < out->dims[k]) break;
            at -= strides[perm[k]] * out->dims[k];
            index[k] = 0;
        }
    }
    return put_value(im, next_name(im, "transpose"), out, block, value);
}

static hone_status fold_reference(onnx_import *im, const hone_call *call, const int *in, int *values)
{
    hone_array arrays[HONE_INPUTS_MAX] = {{.f = NULL}}, out[HONE_OUTPUTS_MAX] = {{.f = NULL}};
    hone_status status = HONE_OK;
    for (int k = 0; k < call->n_in; k++) {
        if (in[k] < 0) continue;
        const hone_value *v = &im->graph->values[in[k]];
        HONE_TRY(hone_array_init(&arrays[k], &v->tensor));
        hone_array_unpack(&arrays[k], &v->tensor, v->data, 1);
    }
    HONE_TRY(hone_call_reference(call, arrays, out, 1));
    for (int k = 0; k < call->n_out; k++) {
        void *block = onnx_resources_alloc(im->resources, hone_tensor_size(&out[k].tensor) + 1);
        if (!block) HONE_TRY(HONE_NO_MEMORY);
        hone_array_pack(&out[k], &out[k].tensor, block, false, 1);
        HONE_TRY(put_value(im, next_name(im, call->op->name), &out[k].tensor, block, &values[k]));
    }
out:
    for (int k = 0; k < HONE_INPUTS_MAX; k++) hone_array_clear(&arrays[k]);
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&out[k]);
    return status;
}

// Takes the cost from the budget; false leaves the node for the network to run.
static bool can_afford(onnx_import *im, const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    double elements = 0, work = call->op->flops ? call->op->flops(call, in, out) : 0;
    for (int k = 0; k < call->n_in; k++) elements += in[k] ? (double)hone_tensor_count(in[k]) : 0;
    for (int k = 0; k < call->n_out; k++) elements += (double)hone_tensor_count(&out[k]);
    if (elements > im->fold_left || work + elements > im->work_left) return false;
    im->fold_left -= elements;
    im->work_left -= work + elements;
    return true;
}

static hone_status fold(onnx_import *im, hone_call *call, const int *in, int *values, bool *done)
{
    const hone_tensor *tensors[HONE_INPUTS_MAX] = {NULL};
    hone_tensor copies[HONE_INPUTS_MAX], out[HONE_OUTPUTS_MAX];
    for (int k = 0; k < call->n_in; k++) {
        if (in[k] < 0) continue;
        copies[k] = onnx_tensor_of(im, in[k]);
        tensors[k] = &copies[k];
    }
    hone_status status = hone_call_shape(call, tensors, out);
    if (status != HONE_OK) return status;
    *done = true;
    if (call->op->kind == HONE_OP_VIEW)
        return put_value(im, next_name(im, call->op->name), out, im->graph->values[in[0]].data, values);
    if (!strcmp(call->op->name, "transpose") && hone_tensor_count(out) < PERMUTE_MAX) return fold_transpose(im, call, in[0], out, values);
    if (can_afford(im, call, tensors, out)) return fold_reference(im, call, in, values);
    *done = false;
    return HONE_OK;
}

// ---- emitting

hone_status onnx_emit(onnx_import *im, hone_call *call, const int *in, int *values)
{
    bool done = false;
    if (all_constant(im, call, in)) {
        hone_status status = fold(im, call, in, values, &done);
        if (done && status == HONE_OK && im->report) im->report->folded++;
        if (done || status != HONE_OK) return status;
    }
    const char *name = next_name(im, call->op->name);
    int node;
    hone_status status = name ? hone_graph_put_node(im->graph, name, im->node->op_type, call, in, &node) : HONE_NO_MEMORY;
    if (status != HONE_OK) return status;
    for (int k = 0; k < call->n_out; k++) values[k] = im->graph->nodes[node].out[k];
    return HONE_OK;
}

hone_status onnx_emit_op(onnx_import *im, const char *op, int n_in, const int *in, int *value)
{
    hone_call call;
    int values[HONE_OUTPUTS_MAX];
    hone_status status = hone_call_init(&call, op, n_in);
    call.n_out = 1;
    if (status == HONE_OK) status = onnx_emit(im, &call, in, values);
    if (status == HONE_OK) *value = values[0];
    return status;
}

hone_status onnx_emit_unary(onnx_import *im, const char *op, int x, int *value)
{
    return onnx_emit_op(im, op, 1, &x, value);
}

hone_status onnx_emit_binary(onnx_import *im, const char *op, int a, int b, int *value)
{
    return onnx_emit_op(im, op, 2, (int[]){a, b}, value);
}

static hone_status emit_lists(onnx_import *im, const char *op, int x, int n, const char *const *attrs, const int64_t *const *lists,
                              const int *sizes, int *value)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, op, 1));
    for (int k = 0; k < n; k++) HONE_TRY(hone_call_set_ints(&call, attrs[k], lists[k], sizes[k]));
    HONE_TRY(onnx_emit(im, &call, &x, value));
out:
    return status;
}

hone_status onnx_emit_reshape(onnx_import *im, int x, int rank, const int64_t *dims, int *value)
{
    hone_tensor from = onnx_tensor_of(im, x);
    bool same = from.rank == rank;
    for (int k = 0; same && k < rank; k++) same = dims[k] == from.dims[k];
    if (same) return *value = x, HONE_OK;
    return emit_lists(im, "reshape", x, 1, (const char *[]){"shape"}, &dims, &rank, value);
}

hone_status onnx_emit_transpose(onnx_import *im, int x, const int64_t *perm, int *value)
{
    int rank = onnx_tensor_of(im, x).rank;
    bool same = true;
    for (int k = 0; k < rank; k++) same = same && perm[k] == k;
    if (same) return *value = x, HONE_OK;
    return emit_lists(im, "transpose", x, 1, (const char *[]){"perm"}, &perm, &rank, value);
}

hone_status onnx_emit_cast(onnx_import *im, int x, hone_dtype dtype, int *value)
{
    if (onnx_tensor_of(im, x).dtype == dtype) return *value = x, HONE_OK;
    const int64_t to = dtype, *list = &to;
    return emit_lists(im, "cast", x, 1, (const char *[]){"to"}, &list, (int[]){1}, value);
}

hone_status onnx_emit_reduce(onnx_import *im, const char *kind, int x, int n_axes, const int64_t *axes, bool keep, int *value)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "reduce", 1));
    HONE_TRY(hone_call_set_word(&call, "kind", kind));
    HONE_TRY(hone_call_set_ints(&call, "axes", n_axes ? axes : &(int64_t){0}, n_axes));
    HONE_TRY(hone_call_set_ints(&call, "keep", &(int64_t){keep}, 1));
    HONE_TRY(onnx_emit(im, &call, &x, value));
out:
    return status;
}

hone_status onnx_emit_slice(onnx_import *im, int x, const int64_t *start, const int64_t *size, const int64_t *step, int *value)
{
    hone_tensor from = onnx_tensor_of(im, x);
    int rank = from.rank;
    bool whole = true;
    for (int k = 0; k < rank; k++) whole = whole && start[k] == 0 && step[k] == 1 && size[k] == from.dims[k];
    if (whole) return *value = x, HONE_OK;
    return emit_lists(im, "slice", x, 3, (const char *[]){"start", "size", "step"}, (const int64_t *[]){start, size, step},
                      (int[]){rank, rank, rank}, value);
}
