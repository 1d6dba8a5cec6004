// SPDX-License-Identifier: Apache-2.0
// Sliding windows: convolutions and poolings. Automatic padding becomes explicit here.
#include <string.h>

#include "engine/onnx_rules_priv.h"

typedef struct window {
    int rank;                          // spatial axes
    int64_t kernel[3], stride[3], dilation[3];
    int64_t pads[6];                   // begin..., end...
} window;

static hone_status fill(onnx_import *im, const char *name, int rank, int64_t fallback, int64_t *values)
{
    const int64_t *list;
    int n = onnx_ints(im, name, &list);
    if (n && n != rank) return hone_fail(HONE_MODEL, "%s has %d entries for %d spatial axes", name, n, rank);
    for (int k = 0; k < rank; k++) {
        values[k] = n ? list[k] : fallback;
        if (values[k] < 0 || values[k] > INT32_MAX) return hone_fail(HONE_MODEL, "%s has an entry of %lld", name, (long long)values[k]);
    }
    return HONE_OK;
}

static bool is_same(const char *automatic)
{
    return !strcmp(automatic, "SAME_UPPER") || !strcmp(automatic, "SAME_LOWER");
}

static void share(int64_t total, bool upper, int64_t *begin, int64_t *end)
{
    int64_t less = total / 2;
    *begin = upper ? less : total - less;
    *end = total - *begin;
}

static hone_status auto_pads(onnx_import *im, const hone_tensor *x, window *w)
{
    const char *automatic = onnx_word(im, "auto_pad", "NOTSET");
    if (!strcmp(automatic, "NOTSET")) return fill(im, "pads", 2 * w->rank, 0, w->pads);
    onnx_ignore(im, "pads");
    memset(w->pads, 0, sizeof w->pads);
    if (!strcmp(automatic, "VALID")) return HONE_OK;
    if (!is_same(automatic)) return hone_fail(HONE_MODEL, "auto_pad=%s is not known", automatic);
    for (int k = 0; k < w->rank; k++) {
        int64_t in = x->dims[2 + k], out = (in + w->stride[k] - 1) / w->stride[k];
        int64_t total = (out - 1) * w->stride[k] + (w->kernel[k] - 1) * w->dilation[k] + 1 - in;
        share(total > 0 ? total : 0, !strcmp(automatic, "SAME_UPPER"), &w->pads[k], &w->pads[w->rank + k]);
    }
    return HONE_OK;
}

// weight NULL: a pooling, whose kernel_shape must be given.
static hone_status read_window(onnx_import *im, const hone_tensor *x, const hone_tensor *weight, window *w)
{
    const int64_t *list;
    hone_status status;
    *w = (window){.rank = x->rank - 2};
    if (w->rank < 1 || w->rank > 3) return hone_fail(HONE_MODEL, "the operand has %d dims; 1 to 3 spatial axes are supported", x->rank);
    if (weight && weight->rank != x->rank) return hone_fail(HONE_MODEL, "the weights have %d dims, the operand %d", weight->rank, x->rank);
    if (!weight && !onnx_ints(im, "kernel_shape", &list)) return hone_fail(HONE_MODEL, "attribute kernel_shape is missing");
    HONE_TRY(fill(im, "kernel_shape", w->rank, 0, w->kernel));
    for (int k = 0; k < w->rank; k++) {
        if (weight && w->kernel[k] && w->kernel[k] != weight->dims[2 + k]) return hone_fail(HONE_MODEL, "kernel_shape is not the weights' shape");
        if (weight) w->kernel[k] = weight->dims[2 + k];
        if (!w->kernel[k]) return hone_fail(HONE_MODEL, "a kernel has an extent of 0");
    }
    HONE_TRY(fill(im, "strides", w->rank, 1, w->stride));
    HONE_TRY(fill(im, "dilations", w->rank, 1, w->dilation));
    for (int k = 0; k < w->rank; k++)
        if (!w->stride[k] || !w->dilation[k]) return hone_fail(HONE_MODEL, "a stride or dilation is 0");
out:
    return status;
}

static hone_status set_window(hone_call *call, const window *w)
{
    hone_status status;
    if (hone_op_attr_index(call->op, "kernel") >= 0) HONE_TRY(hone_call_set_ints(call, "kernel", w->kernel, w->rank));
    HONE_TRY(hone_call_set_ints(call, "stride", w->stride, w->rank));
    HONE_TRY(hone_call_set_ints(call, "pad", w->pads, 2 * w->rank));
    if (hone_op_attr_index(call->op, "dilation") >= 0) HONE_TRY(hone_call_set_ints(call, "dilation", w->dilation, w->rank));
out:
    return status;
}

static hone_status conv(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    window w;
    const char *op = onnx_rule_word(im);
    int weight_at = !strcmp(op, "qlinearconv") ? 3 : 1;
    hone_tensor x = onnx_tensor_of(im, in[0]), weight = onnx_tensor_of(im, in[weight_at]);
    hone_status status;
    HONE_TRY(read_window(im, &x, &weight, &w));
    HONE_TRY(auto_pads(im, &x, &w));
    HONE_TRY(hone_call_init(&call, op, n_in));
    HONE_TRY(set_window(&call, &w));
    HONE_TRY(hone_call_set_ints(&call, "group", &(int64_t){onnx_int(im, "group", 1)}, 1));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

// The wished output decides the padding; what padding cannot take away is added behind.
static hone_status transposed_pads(onnx_import *im, const hone_tensor *x, window *w, int64_t *extra)
{
    const char *automatic = onnx_word(im, "auto_pad", "NOTSET");
    int64_t wish[3];
    const int64_t *list;
    int n = onnx_ints(im, "output_shape", &list);
    hone_status status;
    HONE_TRY(fill(im, "output_padding", w->rank, 0, extra));
    if (!n && !is_same(automatic)) return auto_pads(im, x, w);
    onnx_ignore(im, "pads");
    if (n && n != w->rank && n != w->rank + 2) return hone_fail(HONE_MODEL, "output_shape has %d entries for %d spatial axes", n, w->rank);
    for (int k = 0; k < w->rank; k++) {
        wish[k] = n ? list[n - w->rank + k] : x->dims[2 + k] * w->stride[k];
        if (wish[k] < 0 || wish[k] > INT32_MAX) return hone_fail(HONE_MODEL, "output_shape has an entry of %lld", (long long)wish[k]);
        int64_t total = w->stride[k] * (x->dims[2 + k] - 1) + extra[k] + (w->kernel[k] - 1) * w->dilation[k] + 1 - wish[k];
        if (total < 0) extra[k] -= total;
        share(total > 0 ? total : 0, !strcmp(automatic, "SAME_UPPER"), &w->pads[k], &w->pads[w->rank + k]);
    }
out:
    return status;
}

static hone_status conv_transpose(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    window w;
    int64_t extra[3] = {0};
    hone_tensor x = onnx_tensor_of(im, in[0]), weight = onnx_tensor_of(im, in[1]);
    hone_status status;
    HONE_TRY(read_window(im, &x, &weight, &w));
    HONE_TRY(transposed_pads(im, &x, &w, extra));
    HONE_TRY(hone_call_init(&call, "convtranspose", n_in));
    HONE_TRY(set_window(&call, &w));
    HONE_TRY(hone_call_set_ints(&call, "output_pad", extra, w.rank));
    HONE_TRY(hone_call_set_ints(&call, "group", &(int64_t){onnx_int(im, "group", 1)}, 1));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

// ---- poolings

static hone_status pool_call(onnx_import *im, const char *op, int x_value, hone_call *call)
{
    window w;
    hone_tensor x = onnx_tensor_of(im, x_value);
    hone_status status;
    HONE_TRY(read_window(im, &x, NULL, &w));
    HONE_TRY(auto_pads(im, &x, &w));
    HONE_TRY(hone_call_init(call, op, 1));
    HONE_TRY(set_window(call, &w));
    HONE_TRY(hone_call_set_ints(call, "ceil", &(int64_t){onnx_int(im, "ceil_mode", 0) != 0}, 1));
out:
    return status;
}

static hone_status max_pool(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    int values[HONE_OUTPUTS_MAX];
    (void)n_in;
    hone_status status;
    HONE_TRY(pool_call(im, "maxpool", in[0], &call));
    if (onnx_int(im, "storage_order", 0)) HONE_TRY(hone_call_set_word(&call, "order", "column"));
    call.n_out = im->node->n_outputs > 1 && *im->node->outputs[1] ? 2 : 1;
    if (call.n_out == 1) HONE_TRY(hone_call_set_word(&call, "order", "row"));
    HONE_TRY(onnx_emit(im, &call, in, values));
    for (int k = 0; k < call.n_out; k++) out[k] = values[k];
out:
    return status;
}

static hone_status average_pool(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    (void)n_in;
    hone_status status;
    HONE_TRY(pool_call(im, "avgpool", in[0], &call));
    HONE_TRY(hone_call_set_ints(&call, "include_pad", &(int64_t){onnx_int(im, "count_include_pad", 0) != 0}, 1));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

static hone_status lp_pool(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    (void)n_in;
    hone_status status;
    HONE_TRY(pool_call(im, "lppool", in[0], &call));
    HONE_TRY(hone_call_set_real(&call, "p", (double)onnx_int(im, "p", 2)));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

static hone_status max_unpool(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    window w;
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t size[HONE_RANK_MAX];
    int n;
    hone_status status;
    HONE_TRY(read_window(im, &x, NULL, &w));
    HONE_TRY(fill(im, "pads", 2 * w.rank, 0, w.pads));
    HONE_TRY(hone_call_init(&call, "maxunpool", 2));
    HONE_TRY(set_window(&call, &w));
    if (onnx_given(in, n_in, 2)) {
        HONE_TRY(onnx_const_ints(im, in[2], "output_shape", size, HONE_RANK_MAX, &n));
        HONE_TRY(hone_call_set_ints(&call, "size", size, n));
    }
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

const onnx_rule onnx_rules_window[] = {
    {"Conv", 0, 0, 2, 3, 1, conv, "conv"},
    {"ConvInteger", 0, 0, 2, 4, 1, conv, "convinteger"},
    {"QLinearConv", 0, 0, 8, 9, 1, conv, "qlinearconv"},
    {"ConvTranspose", 0, 0, 2, 3, 1, conv_transpose, NULL},
    {"MaxPool", 0, 0, 1, 1, 2, max_pool, NULL},
    {"AveragePool", 0, 0, 1, 1, 1, average_pool, NULL},
    {"LpPool", 0, 0, 1, 1, 1, lp_pool, NULL},
    {"MaxUnpool", 0, 0, 2, 3, 1, max_unpool, NULL},
    {0},
};
