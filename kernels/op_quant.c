// SPDX-License-Identifier: Apache-2.0
// Quantisation: quantizelinear, dequantizelinear, dynamicquantizelinear. Scale and zero point are one value, one for each place along
// `axis`, or (block > 0) one for each `block` places along it.
#include <math.h>

#include "kernels/op.h"

static hone_status settle(hone_call *call, const hone_tensor *const *in)
{
    const hone_tensor *x = in[0], *scale = in[1];
    int64_t *axis = &call->attrs[hone_op_attr_index(call->op, "axis")].i[0], block = hone_call_int(call, "block");
    if (hone_tensor_count(scale) == 1 && scale->rank <= 1) return HONE_OK;     // the axis is not looked at
    if (*axis < -x->rank || *axis >= x->rank)
        return hone_fail(HONE_USAGE, "%s: axis %lld is outside a rank of %d", call->op->name, (long long)*axis, x->rank);
    if (*axis < 0) *axis += x->rank;
    int64_t extent = x->dims[*axis], wanted = block > 0 ? (extent + block - 1) / block : extent;
    bool fits = block > 0 ? scale->rank == x->rank && scale->dims[*axis] == wanted : scale->rank == 1 && scale->dims[0] == wanted;
    for (int k = 0; fits && block > 0 && k < x->rank; k++) fits = k == *axis || scale->dims[k] == x->dims[k];
    if (!fits) return hone_fail(HONE_USAGE, "%s: scale does not fit axis %lld of x", call->op->name, (long long)*axis);
    if (call->n_in > 2 && in[2] && hone_tensor_count(in[2]) != hone_tensor_count(scale))
        return hone_fail(HONE_USAGE, "%s: scale and zero point differ in size", call->op->name);
    return HONE_OK;
}

// Index of the scale for element `flat` of x.
static int64_t scale_at(const hone_call *call, const hone_tensor *x, const hone_tensor *scale, int64_t flat)
{
    if (hone_tensor_count(scale) == 1) return 0;
    int64_t inner = 1, axis = hone_call_int(call, "axis"), block = hone_call_int(call, "block");
    for (int k = (int)axis + 1; k < x->rank; k++) inner *= x->dims[k];
    int64_t place = flat / inner % x->dims[axis];
    if (block <= 0) return place;
    return (flat / inner / x->dims[axis] * scale->dims[axis] + place / block) * inner + flat % inner;
}

static void limits(hone_dtype dtype, double *low, double *high)
{
    bool is_signed = dtype == HONE_I8 || dtype == HONE_I16 || dtype == HONE_I32;
    int bits = 8 * (int)hone_dtype_size(dtype);
    *low = is_signed ? -ldexp(1, bits - 1) : 0;
    *high = ldexp(1, is_signed ? bits - 1 : bits) - 1;
}

static double saturate(double value, hone_dtype dtype)
{
    double low, high;
    limits(dtype, &low, &high);
    return value < low ? low : value > high ? high : isnan(value) ? 0 : value;
}

static const hone_attr_spec quantize_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, "1"},
    {"block", HONE_ATTR_INT, NULL, "0"},
    {"to", HONE_ATTR_DTYPE, NULL, "u8"},        // looked at only without a zero point, whose type it is otherwise
};

static const hone_attr_spec dequantize_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, "1"},
    {"block", HONE_ATTR_INT, NULL, "0"},
};

static hone_status quantize_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = settle(call, in);
    if (status != HONE_OK) return status;
    *out = *in[0];
    out->layout = HONE_ROW;
    out->dtype = call->n_in > 2 && in[2] ? in[2]->dtype : (hone_dtype)hone_call_int(call, "to");
    if (hone_dtype_is_float(out->dtype) || hone_dtype_size(out->dtype) > 2 || out->dtype == HONE_BOOL)
        return hone_fail(HONE_USAGE, "quantizelinear: to %s is not offered", hone_dtype_name(out->dtype));
    return HONE_OK;
}

static hone_status quantize_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    (void)threads;
    const hone_tensor *x = &in[0].tensor, *scale = &in[1].tensor;
    const int64_t *zero = call->n_in > 2 ? in[2].i : NULL;
    int64_t n = hone_tensor_count(x);
    for (int64_t k = 0; k < n; k++) {
        int64_t s = scale_at(call, x, scale, k);
        double value = in[0].f ? in[0].f[k] : (double)in[0].i[k];
        // ONNX divides in the type of x and rounds that quotient half to even; in double a tie could be missed.
        double quotient = x->dtype == HONE_F64 ? value / in[1].f[s] : (double)((float)value / (float)in[1].f[s]);
        out[0].i[k] = (int64_t)saturate(nearbyint(quotient) + (zero ? (double)zero[s] : 0), out[0].tensor.dtype);
    }
    return HONE_OK;
}

const hone_op hone_op_quantizelinear = {
    .name = "quantizelinear", .kind = HONE_OP_OTHER, .inputs = "x scale zp?", .domains = "npn", .types = ".fi", .attrs = quantize_attrs, .n_attrs = 3,
    .outputs = 1, .shape = quantize_shape, .reference = quantize_reference,
};

static hone_status dequantize_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (hone_dtype_is_float(in[0]->dtype) || !hone_dtype_is_float(in[1]->dtype))
        return hone_fail(HONE_USAGE, "dequantizelinear: x must be integers and scale floating point");
    hone_status status = settle(call, in);
    *out = *in[0];
    out->layout = HONE_ROW;
    out->dtype = in[1]->dtype;
    return status;
}

static hone_status dequantize_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    (void)threads;
    const hone_tensor *x = &in[0].tensor, *scale = &in[1].tensor;
    const int64_t *zero = call->n_in > 2 ? in[2].i : NULL;
    int64_t n = hone_tensor_count(x);
    for (int64_t k = 0; k < n; k++) {
        int64_t s = scale_at(call, x, scale, k);
        out[0].f[k] = (double)(in[0].i[k] - (zero ? zero[s] : 0)) * in[1].f[s];
    }
    return HONE_OK;
}

const hone_op hone_op_dequantizelinear = {
    .name = "dequantizelinear", .kind = HONE_OP_OTHER, .inputs = "x scale zp?", .domains = "npn", .types = "ifi", .attrs = dequantize_attrs,
    .n_attrs = 2, .outputs = 1, .shape = dequantize_shape, .reference = dequantize_reference,
};

// dynamicquantizelinear: to u8 by the range of x, zero included. Outputs: values, scale, zero point.
static hone_status dynamic_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (in[0]->dtype != HONE_F32) return hone_fail(HONE_USAGE, "dynamicquantizelinear: x must be f32");
    out[0] = *in[0];
    out[0].layout = HONE_ROW;
    out[0].dtype = HONE_U8;
    if (call->n_out > 1) out[1] = (hone_tensor){.dtype = HONE_F32};
    if (call->n_out > 2) out[2] = (hone_tensor){.dtype = HONE_U8};
    return HONE_OK;
}

static hone_status dynamic_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    (void)threads;
    int64_t n = hone_tensor_count(&in[0].tensor);
    float low = 0, high = 0;
    for (int64_t k = 0; k < n; k++) low = fminf(low, (float)in[0].f[k]), high = fmaxf(high, (float)in[0].f[k]);
    float scale = high > low ? (high - low) / 255 : 1;
    double zero = saturate(nearbyint(0 - low / scale), HONE_U8);
    for (int64_t k = 0; k < n; k++)
        out[0].i[k] = (int64_t)saturate(nearbyint((float)in[0].f[k] / scale) + zero, HONE_U8);
    if (call->n_out > 1) out[1].f[0] = scale;
    if (call->n_out > 2) out[2].i[0] = (int64_t)zero;
    return HONE_OK;
}

const hone_op hone_op_dynamicquantizelinear = {
    .name = "dynamicquantizelinear", .kind = HONE_OP_OTHER, .inputs = "x", .outputs = 3, .shape = dynamic_shape,
    .reference = dynamic_reference, .onnx = "DynamicQuantizeLinear x",
};
