// SPDX-License-Identifier: Apache-2.0
// Operators whose result is known at import: constants, shapes, ranges, windows.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/onnx_rules_priv.h"

static hone_status make_array(onnx_import *im, const hone_array *array, int *value)
{
    size_t size = hone_tensor_size(&array->tensor);
    void *data = hone_alloc(size + 1);
    if (!data) return HONE_NO_MEMORY;
    hone_array_pack(array, &array->tensor, data, false, 1);
    hone_status status = onnx_make_constant(im, &array->tensor, data, value);
    hone_free(data);
    return status;
}

// What a file may make hone allocate out of a few bytes is bounded.
static hone_status check_budget(onnx_import *im, const hone_tensor *tensor)
{
    hone_status status = hone_tensor_check(tensor);
    if (status != HONE_OK) return status;
    double count = (double)hone_tensor_count(tensor);
    if (count > im->fold_left) return hone_fail(HONE_MODEL, "a constant of %.0f elements is larger than an import may compute", count);
    im->fold_left -= count;
    return HONE_OK;
}

// ---- Constant

static hone_status constant_value(onnx_import *im, const onnx_attr *attr, int *out)
{
    if (attr->type != ONNX_ATTR_TENSOR || !attr->t) return hone_fail(HONE_MODEL, "attribute value is no tensor");
    return onnx_import_constant(im, attr->t, im->name, out);
}

static hone_status constant_floats(onnx_import *im, const onnx_attr *attr, int *out)
{
    hone_tensor tensor = {.dtype = HONE_F32, .rank = attr->type == ONNX_ATTR_FLOATS, .dims = {attr->n}};
    float one = (float)attr->f;
    if (attr->type != ONNX_ATTR_FLOATS && attr->type != ONNX_ATTR_FLOAT) return hone_fail(HONE_MODEL, "attribute %s is no float", attr->name);
    return onnx_make_constant(im, &tensor, tensor.rank ? attr->floats : &one, out);
}

static hone_status constant_ints(onnx_import *im, const onnx_attr *attr, int *out)
{
    hone_tensor tensor = {.dtype = HONE_I64, .rank = attr->type == ONNX_ATTR_INTS, .dims = {attr->n}};
    if (attr->type != ONNX_ATTR_INTS && attr->type != ONNX_ATTR_INT) return hone_fail(HONE_MODEL, "attribute %s is no integer", attr->name);
    return onnx_make_constant(im, &tensor, tensor.rank ? attr->ints : &attr->i, out);
}

static hone_status constant(onnx_import *im, const int *in, int n_in, int *out)
{
    static const struct {
        const char *name;
        hone_status (*make)(onnx_import *, const onnx_attr *, int *);
    } kinds[] = {
        {"value", constant_value}, {"value_float", constant_floats}, {"value_floats", constant_floats}, {"value_int", constant_ints},
        {"value_ints", constant_ints},
    };
    (void)in, (void)n_in;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const onnx_attr *attr = onnx_find_attr(im, kinds[k].name);
        if (attr) return kinds[k].make(im, attr, out);
    }
    return hone_fail(HONE_MODEL, "strings and sparse tensors are not supported");
}

// ---- shapes

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static hone_status shape(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t start = onnx_int(im, "start", 0), end = onnx_int(im, "end", x.rank);
    (void)n_in;
    start = clamp(start < 0 ? start + x.rank : start, 0, x.rank);
    end = clamp(end < 0 ? end + x.rank : end, 0, x.rank);
    int64_t n = end > start ? end - start : 0;
    return onnx_make_ints(im, HONE_I64, 1, &n, x.dims + start, out);
}

static hone_status size(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    (void)n_in;
    return onnx_make_scalar(im, HONE_I64, (double)hone_tensor_count(&x), out);
}

static hone_status fill_value(onnx_import *im, hone_dtype *dtype, hone_scalar *fill)
{
    const onnx_attr *attr = onnx_find_attr(im, "value");
    *dtype = HONE_F32;
    *fill = (hone_scalar){0, 0};
    if (!attr) return HONE_OK;
    hone_tensor tensor;
    const void *data;
    hone_array array;
    if (attr->type != ONNX_ATTR_TENSOR || !attr->t) return hone_fail(HONE_MODEL, "attribute value is no tensor");
    hone_status status = onnx_tensor_type(attr->t, &tensor);
    if (status == HONE_OK && hone_tensor_count(&tensor) != 1) status = hone_fail(HONE_MODEL, "attribute value holds more than one value");
    if (status == HONE_OK) status = onnx_tensor_bytes(im->resources, im->model, attr->t, &tensor, &data);
    if (status == HONE_OK) status = hone_array_init(&array, &tensor);
    if (status != HONE_OK) return status;
    hone_array_unpack(&array, &tensor, data, 1);
    *dtype = tensor.dtype;
    if (array.f) fill->f = array.f[0];
    else fill->i = array.i[0];
    hone_array_clear(&array);
    return HONE_OK;
}

static hone_status constant_of_shape(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_array array = {0};
    hone_tensor tensor = {0};
    hone_scalar fill;
    (void)n_in;
    hone_status status;
    HONE_TRY(onnx_const_ints(im, in[0], "the shape", tensor.dims, HONE_RANK_MAX, &tensor.rank));
    HONE_TRY(fill_value(im, &tensor.dtype, &fill));
    HONE_TRY(check_budget(im, &tensor));
    HONE_TRY(hone_array_init(&array, &tensor));
    for (int64_t k = 0, n = hone_tensor_count(&tensor); k < n; k++) {
        if (array.f) array.f[k] = fill.f;
        else array.i[k] = fill.i;
    }
    HONE_TRY(make_array(im, &array, out));
out:
    hone_array_clear(&array);
    return status;
}

// Integers are counted exactly: a step of 2^62 must not wrap.
static hone_status range_ints(onnx_import *im, const int *in, hone_array *array)
{
    int64_t v[3];
    int n;
    hone_status status;
    for (int k = 0; k < 3; k++) HONE_TRY(onnx_const_ints(im, in[k], "the range", &v[k], 1, &n));
    double steps = ceil(((double)v[1] - (double)v[0]) / (double)v[2]);
    if (v[2] == 0) return hone_fail(HONE_MODEL, "a range in steps of 0 has no end");
    if (steps > 1e12) return hone_fail(HONE_MODEL, "a range of %g values is too long", steps);
    hone_tensor tensor = {.dtype = onnx_tensor_of(im, in[0]).dtype, .rank = 1, .dims = {steps > 0 ? (int64_t)steps : 0}};
    HONE_TRY(check_budget(im, &tensor));
    HONE_TRY(hone_array_init(array, &tensor));
    for (int64_t k = 0; k < tensor.dims[0]; k++) array->i[k] = (int64_t)((uint64_t)v[0] + (uint64_t)k * (uint64_t)v[2]);
out:
    return status;
}

static hone_status range_reals(onnx_import *im, const int *in, hone_array *array)
{
    double v[3];
    int n;
    hone_status status;
    for (int k = 0; k < 3; k++) HONE_TRY(onnx_const_reals(im, in[k], "the range", &v[k], 1, &n));
    double steps = ceil((v[1] - v[0]) / v[2]);
    if (v[2] == 0 || !isfinite(steps)) return hone_fail(HONE_MODEL, "a range from %g to %g in steps of %g has no end", v[0], v[1], v[2]);
    if (steps > 1e12) return hone_fail(HONE_MODEL, "a range of %g values is too long", steps);
    hone_tensor tensor = {.dtype = onnx_tensor_of(im, in[0]).dtype, .rank = 1, .dims = {steps > 0 ? (int64_t)steps : 0}};
    HONE_TRY(check_budget(im, &tensor));
    HONE_TRY(hone_array_init(array, &tensor));
    for (int64_t k = 0; k < tensor.dims[0]; k++) array->f[k] = v[0] + (double)k * v[2];
out:
    return status;
}

static hone_status range(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_array array = {0};
    (void)n_in;
    bool is_real = hone_dtype_is_float(onnx_tensor_of(im, in[0]).dtype);
    for (int k = 0; k < 3; k++) {
        hone_tensor t = onnx_tensor_of(im, in[k]);
        if (hone_tensor_count(&t) != 1 || hone_dtype_is_float(t.dtype) != is_real) return hone_fail(HONE_MODEL, "start, limit and step must be one number each, of one type");
    }
    hone_status status = is_real ? range_reals(im, in, &array) : range_ints(im, in, &array);
    if (status == HONE_OK) status = make_array(im, &array, out);
    hone_array_clear(&array);
    return status;
}

static hone_status eye_like(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor tensor = onnx_tensor_of(im, in[0]);
    hone_array array = {0};
    int64_t k = onnx_int(im, "k", 0);
    (void)n_in;
    hone_status status = HONE_OK;
    if (onnx_has(im, "dtype")) HONE_TRY(onnx_dtype(onnx_int(im, "dtype", 1), &tensor.dtype));
    if (tensor.rank != 2) HONE_TRY(hone_fail(HONE_MODEL, "the operand must be a matrix"));
    HONE_TRY(check_budget(im, &tensor));
    HONE_TRY(hone_array_init(&array, &tensor));
    for (int64_t row = 0; row < tensor.dims[0]; row++) {
        if (row + k < 0 || row + k >= tensor.dims[1]) continue;
        int64_t at = row * tensor.dims[1] + row + k;
        if (array.f) array.f[at] = 1;
        else array.i[at] = 1;
    }
    HONE_TRY(make_array(im, &array, out));
out:
    hone_array_clear(&array);
    return status;
}

// Indices of the non-zero elements of a constant, one row per axis.
static hone_status non_zero(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_array x = {0}, y = {0};
    (void)n_in;
    hone_status status = onnx_need_constant(im, in[0], "the operand");
    if (status != HONE_OK) return status;
    hone_tensor from = onnx_tensor_of(im, in[0]), to = {.dtype = HONE_I64, .rank = 2, .dims = {from.rank, 0}};
    int64_t count = hone_tensor_count(&from), at = 0;
    HONE_TRY(check_budget(im, &from));
    HONE_TRY(hone_array_init(&x, &from));
    hone_array_unpack(&x, &from, im->graph->values[in[0]].data, 1);
    for (int64_t k = 0; k < count; k++) to.dims[1] += x.f ? x.f[k] != 0 : x.i[k] != 0;
    HONE_TRY(hone_array_init(&y, &to));
    for (int64_t k = 0; k < count; k++) {
        if (x.f ? x.f[k] == 0 : x.i[k] == 0) continue;
        int64_t rest = k;
        for (int a = from.rank - 1; a >= 0; rest /= from.dims[a--]) y.i[a * to.dims[1] + at] = rest % from.dims[a];
        at++;
    }
    HONE_TRY(make_array(im, &y, out));
out:
    hone_array_clear(&x);
    hone_array_clear(&y);
    return status;
}

// ---- windows: cosine sums (Harris, "On the use of windows for harmonic analysis", 1978)

static hone_status window(onnx_import *im, const int *in, int n_in, int *out)
{
    static const struct { const char *op; double a[3]; } kinds[] = {
        {"HannWindow", {0.5, 0.5, 0}}, {"HammingWindow", {25.0 / 46, 21.0 / 46, 0}}, {"BlackmanWindow", {0.42, 0.5, 0.08}},
    };
    hone_array array = {0};
    hone_tensor tensor = {.rank = 1};
    int n, kind = 0;
    bool periodic = onnx_int(im, "periodic", 1) != 0;
    (void)n_in;
    hone_status status;
    HONE_TRY(onnx_const_ints(im, in[0], "the size", tensor.dims, 1, &n));
    HONE_TRY(onnx_dtype(onnx_int(im, "output_datatype", 1), &tensor.dtype));
    HONE_TRY(check_budget(im, &tensor));
    HONE_TRY(hone_array_init(&array, &tensor));
    if (!array.f) HONE_TRY(hone_fail(HONE_MODEL, "a window of integers is not supported"));
    while (strcmp(kinds[kind].op, im->node->op_type)) kind++;
    double period = (double)(periodic ? tensor.dims[0] : tensor.dims[0] - 1);
    for (int64_t k = 0; k < tensor.dims[0]; k++) {
        double turn = period > 0 ? 2 * M_PI * (double)k / period : 0;
        array.f[k] = kinds[kind].a[0] - kinds[kind].a[1] * cos(turn) + kinds[kind].a[2] * cos(2 * turn);
    }
    HONE_TRY(make_array(im, &array, out));
out:
    hone_array_clear(&array);
    return status;
}

const onnx_rule onnx_rules_constant[] = {
    {"Constant", 0, 0, 0, 0, 1, constant, NULL},
    {"Shape", 0, 0, 1, 1, 1, shape, NULL},
    {"Size", 0, 0, 1, 1, 1, size, NULL},
    {"ConstantOfShape", 0, 0, 1, 1, 1, constant_of_shape, NULL},
    {"Range", 0, 0, 3, 3, 1, range, NULL},
    {"EyeLike", 0, 0, 1, 1, 1, eye_like, NULL},
    {"NonZero", 0, 0, 1, 1, 1, non_zero, NULL},
    {"HannWindow", 0, 0, 1, 1, 1, window, NULL},
    {"HammingWindow", 0, 0, 1, 1, 1, window, NULL},
    {"BlackmanWindow", 0, 0, 1, 1, 1, window, NULL},
    {0},
};
