// SPDX-License-Identifier: Apache-2.0
#include "kernels/tensor.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/half.h"
#include "base/thread.h"
#include "kernels/op_priv.h"

enum { GRAIN = 16384, PART = 256 };

// ---- element types

// One element in transit: f for float types, i for integers and bool.
typedef struct element {
    double f;
    int64_t i;
} element;

typedef void load_fn(const void *memory, int64_t index, element *to);
typedef void store_fn(void *memory, int64_t index, element from, bool saturate);
typedef void widen_fn(const void *memory, int64_t index, int64_t n, double *to);      // many floats, one behind the other

// Float from double as if rounded to odd: a second rounding, to fewer bits, is then the only one that counts.
static float odd_float(double value)
{
    float near = (float)value;
    if (!isfinite(near) || (double)near == value) return near;
    uint32_t bits;
    if (fabs((double)near) > fabs(value)) near = nextafterf(near, 0.0f);
    memcpy(&bits, &near, sizeof bits);
    bits |= 1;
    memcpy(&near, &bits, sizeof near);
    return near;
}

static double limit(double value, double largest, bool saturate)
{
    if (!saturate || !isfinite(value)) return value;
    return value > largest ? largest : value < -largest ? -largest : value;
}

// Out of range is defined here: it saturates, NaN is 0.
int64_t hone_int_from_double(double value)
{
    if (isnan(value)) return 0;
    if (value >= 0x1p63) return INT64_MAX;
    if (value <= -0x1p63) return INT64_MIN;
    return (int64_t)value;
}

int64_t hone_int_wrap(int64_t value, hone_dtype dtype)
{
    if (dtype == HONE_BOOL) return value != 0;
    int bits = 8 * (int)hone_dtype_size(dtype);
    if (bits == 64) return value;
    uint64_t kept = (uint64_t)value & (((uint64_t)1 << bits) - 1);
    bool is_signed = dtype == HONE_I8 || dtype == HONE_I16 || dtype == HONE_I32;
    bool is_negative = is_signed && kept >> (bits - 1);
    return is_negative ? (int64_t)kept - ((int64_t)1 << bits) : (int64_t)kept;
}

double hone_float_round(double value, hone_dtype dtype)
{
    if (dtype == HONE_F16) return hone_f16_to_float(hone_f16_from_float(odd_float(value)));
    if (dtype == HONE_BF16) return hone_bf16_to_float(hone_bf16_from_float(odd_float(value)));
    return dtype == HONE_F32 ? (float)value : value;
}

// Memory of a mapped file is read where it lies, at any address.
typedef float loose_f32 __attribute__((aligned(1)));
typedef double loose_f64 __attribute__((aligned(1)));
typedef int16_t loose_i16 __attribute__((aligned(1)));
typedef uint16_t loose_u16 __attribute__((aligned(1)));
typedef int32_t loose_i32 __attribute__((aligned(1)));
typedef uint32_t loose_u32 __attribute__((aligned(1)));
typedef int64_t loose_i64 __attribute__((aligned(1)));

static void load_f32(const void *memory, int64_t k, element *to) { to->f = ((const loose_f32 *)memory)[k]; }
static void load_f64(const void *memory, int64_t k, element *to) { to->f = ((const loose_f64 *)memory)[k]; }
static void load_f16(const void *memory, int64_t k, element *to) { to->f = hone_f16_to_float(((const loose_u16 *)memory)[k]); }
static void load_bf16(const void *memory, int64_t k, element *to) { to->f = hone_bf16_to_float(((const loose_u16 *)memory)[k]); }
static void load_i8(const void *memory, int64_t k, element *to) { to->i = ((const int8_t *)memory)[k]; }
static void load_u8(const void *memory, int64_t k, element *to) { to->i = ((const uint8_t *)memory)[k]; }
static void load_i16(const void *memory, int64_t k, element *to) { to->i = ((const loose_i16 *)memory)[k]; }
static void load_u16(const void *memory, int64_t k, element *to) { to->i = ((const loose_u16 *)memory)[k]; }
static void load_i32(const void *memory, int64_t k, element *to) { to->i = ((const loose_i32 *)memory)[k]; }
static void load_u32(const void *memory, int64_t k, element *to) { to->i = ((const loose_u32 *)memory)[k]; }
static void load_i64(const void *memory, int64_t k, element *to) { to->i = ((const loose_i64 *)memory)[k]; }
static void load_bool(const void *memory, int64_t k, element *to) { to->i = ((const uint8_t *)memory)[k] != 0; }

static void widen_f32(const void *memory, int64_t index, int64_t n, double *to)
{
    for (int64_t k = 0; k < n; k++) to[k] = ((const loose_f32 *)memory)[index + k];
}

static void widen_bf16(const void *memory, int64_t index, int64_t n, double *to)
{
    for (int64_t k = 0; k < n; k++) to[k] = hone_bf16_to_float(((const loose_u16 *)memory)[index + k]);
}

static void widen_f16(const void *memory, int64_t index, int64_t n, double *to)
{
    float part[PART];
    for (int64_t done = 0; done < n; done += PART) {
        int64_t size = n - done < PART ? n - done : PART;
        hone_f16_widen((const loose_u16 *)memory + index + done, part, (size_t)size);
        for (int64_t k = 0; k < size; k++) to[done + k] = part[k];
    }
}

static void widen_f64(const void *memory, int64_t index, int64_t n, double *to)
{
    memcpy(to, (const loose_f64 *)memory + index, (size_t)n * sizeof *to);
}

static void store_f32(void *memory, int64_t k, element from, bool saturate)
{
    ((float *)memory)[k] = (float)limit(from.f, FLT_MAX, saturate);
}

static void store_f64(void *memory, int64_t k, element from, bool saturate)
{
    (void)saturate;
    ((double *)memory)[k] = from.f;
}

static void store_f16(void *memory, int64_t k, element from, bool saturate)
{
    ((uint16_t *)memory)[k] = hone_f16_from_float(odd_float(limit(from.f, 65504.0, saturate)));
}

static void store_bf16(void *memory, int64_t k, element from, bool saturate)
{
    ((uint16_t *)memory)[k] = hone_bf16_from_float(odd_float(limit(from.f, 0x1.fep127, saturate)));
}

static void store_8(void *memory, int64_t k, element from, bool saturate)
{
    (void)saturate;
    ((uint8_t *)memory)[k] = (uint8_t)from.i;
}

static void store_16(void *memory, int64_t k, element from, bool saturate)
{
    (void)saturate;
    ((uint16_t *)memory)[k] = (uint16_t)from.i;
}

static void store_32(void *memory, int64_t k, element from, bool saturate)
{
    (void)saturate;
    ((uint32_t *)memory)[k] = (uint32_t)from.i;
}

static void store_64(void *memory, int64_t k, element from, bool saturate)
{
    (void)saturate;
    ((int64_t *)memory)[k] = from.i;
}

static void store_bool(void *memory, int64_t k, element from, bool saturate)
{
    (void)saturate;
    ((uint8_t *)memory)[k] = from.i != 0;
}

static const struct {
    const char *name;
    size_t size;
    bool is_float;
    load_fn *load;
    store_fn *store;
    widen_fn *widen;               // float types
} dtypes[HONE_DTYPE_COUNT] = {
    [HONE_DTYPE_NONE] = {"none", 0, false, NULL, NULL, NULL},
    [HONE_F32] = {"f32", 4, true, load_f32, store_f32, widen_f32},
    [HONE_F16] = {"f16", 2, true, load_f16, store_f16, widen_f16},
    [HONE_BF16] = {"bf16", 2, true, load_bf16, store_bf16, widen_bf16},
    [HONE_F64] = {"f64", 8, true, load_f64, store_f64, widen_f64},
    [HONE_I8] = {"i8", 1, false, load_i8, store_8, NULL},
    [HONE_U8] = {"u8", 1, false, load_u8, store_8, NULL},
    [HONE_I16] = {"i16", 2, false, load_i16, store_16, NULL},
    [HONE_U16] = {"u16", 2, false, load_u16, store_16, NULL},
    [HONE_I32] = {"i32", 4, false, load_i32, store_32, NULL},
    [HONE_U32] = {"u32", 4, false, load_u32, store_32, NULL},
    [HONE_I64] = {"i64", 8, false, load_i64, store_64, NULL},
    [HONE_U64] = {"u64", 8, false, load_i64, store_64, NULL},
    [HONE_BOOL] = {"bool", 1, false, load_bool, store_bool, NULL},
};

size_t hone_dtype_size(hone_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *hone_dtype_name(hone_dtype dtype)
{
    return dtypes[dtype].name;
}

bool hone_dtype_parse(const char *name, hone_dtype *dtype)
{
    for (int k = HONE_DTYPE_NONE + 1; k < HONE_DTYPE_COUNT; k++) {
        if (strcmp(dtypes[k].name, name)) continue;
        *dtype = (hone_dtype)k;
        return true;
    }
    return false;
}

bool hone_dtype_is_float(hone_dtype dtype)
{
    return dtypes[dtype].is_float;
}

// ---- shapes

int64_t hone_tensor_count(const hone_tensor *tensor)
{
    int64_t count = 1;
    for (int k = 0; k < tensor->rank; k++) count *= tensor->dims[k];
    return count;
}

size_t hone_tensor_size(const hone_tensor *tensor)
{
    return (size_t)hone_tensor_count(tensor) * hone_dtype_size(tensor->dtype);
}

bool hone_tensor_same_dims(const hone_tensor *a, const hone_tensor *b)
{
    if (a->rank != b->rank) return false;
    for (int k = 0; k < a->rank; k++)
        if (a->dims[k] != b->dims[k]) return false;
    return true;
}

bool hone_tensor_equal(const hone_tensor *a, const hone_tensor *b)
{
    return a->dtype == b->dtype && a->layout == b->layout && hone_tensor_same_dims(a, b);
}

// The product of the dims that are not 0 stays under the ceiling too, so that strides cannot overflow.
static bool is_count_legal(const hone_tensor *tensor)
{
    int64_t count = 1;
    for (int k = 0; k < tensor->rank; k++) {
        int64_t dim = tensor->dims[k] ? tensor->dims[k] : 1;
        if (dim > HONE_ELEMENTS_MAX / count) return false;
        count *= dim;
    }
    return true;
}

hone_status hone_tensor_check(const hone_tensor *tensor)
{
    if (tensor->dtype <= HONE_DTYPE_NONE || tensor->dtype >= HONE_DTYPE_COUNT)
        return hone_fail(HONE_USAGE, "a tensor has no element type");
    if (tensor->rank < 0 || tensor->rank > HONE_RANK_MAX)
        return hone_fail(HONE_USAGE, "a tensor has %d dims; at most %d are possible", tensor->rank, HONE_RANK_MAX);
    if (tensor->layout != HONE_ROW && (tensor->layout != HONE_NHWC || tensor->rank != 4))
        return hone_fail(HONE_USAGE, "layout nhwc needs 4 dims, the tensor has %d", tensor->rank);
    for (int k = 0; k < tensor->rank; k++)
        if (tensor->dims[k] < 0)
            return hone_fail(HONE_USAGE, "dim %d of a tensor is %lld; dims cannot be negative", k, (long long)tensor->dims[k]);
    if (!is_count_legal(tensor))
        return hone_fail(HONE_USAGE, "a tensor has more than %lld elements", (long long)HONE_ELEMENTS_MAX);
    return HONE_OK;
}

void hone_tensor_physical(const hone_tensor *tensor, int64_t dims[HONE_RANK_MAX])
{
    for (int k = 0; k < tensor->rank; k++) dims[hone_tensor_physical_axis(tensor, k)] = tensor->dims[k];
}

int hone_tensor_physical_axis(const hone_tensor *tensor, int axis)
{
    static const int nhwc[4] = {0, 3, 1, 2};
    return tensor->layout == HONE_NHWC ? nhwc[axis] : axis;
}

void hone_tensor_strides(const hone_tensor *tensor, int64_t strides[HONE_RANK_MAX])
{
    int64_t stride = 1;
    for (int k = tensor->rank - 1; k >= 0; k--) {
        strides[k] = stride;
        stride *= tensor->dims[k];
    }
}

int64_t hone_tensor_place(const hone_tensor *tensor, int64_t index)
{
    if (tensor->layout != HONE_NHWC) return index;
    int64_t channels = tensor->dims[1], plane = tensor->dims[2] * tensor->dims[3], image = index / (channels * plane);
    return image * channels * plane + index % plane * channels + index / plane % channels;
}

hone_tensor hone_tensor_flat(const hone_tensor *tensor)
{
    return (hone_tensor){.dtype = tensor->dtype, .rank = 1, .dims = {hone_tensor_count(tensor)}};
}

hone_status hone_tensor_broadcast(const hone_tensor *a, const hone_tensor *b, hone_tensor *out)
{
    hone_tensor result = {.dtype = a->dtype, .rank = a->rank > b->rank ? a->rank : b->rank};
    for (int k = 0; k < result.rank; k++) {
        int at_a = k - (result.rank - a->rank), at_b = k - (result.rank - b->rank);
        int64_t da = at_a < 0 ? 1 : a->dims[at_a], db = at_b < 0 ? 1 : b->dims[at_b];
        if (da != db && da != 1 && db != 1)
            return hone_fail(HONE_USAGE, "%lld and %lld along axis %d do not broadcast", (long long)da, (long long)db, k);
        result.dims[k] = da == 1 ? db : da;
    }
    *out = result;
    return hone_tensor_check(out);
}

// ---- spelling

void hone_tensor_print(const hone_tensor *tensor, hone_text *text)
{
    int64_t dims[HONE_RANK_MAX];
    hone_tensor_physical(tensor, dims);
    hone_text_printf(text, "%s:", hone_dtype_name(tensor->dtype));
    for (int k = 0; k < tensor->rank; k++) hone_text_printf(text, k ? "x%lld" : "%lld", (long long)dims[k]);
    if (tensor->layout == HONE_NHWC) hone_text_printf(text, ":nhwc");
}

static bool scan_dims(hone_scan *scan, hone_tensor *tensor)
{
    int64_t dim;
    tensor->rank = 0;
    if (*scan->at < '0' || *scan->at > '9') return true;
    do {
        if (tensor->rank == HONE_RANK_MAX || !hone_scan_int(scan, &dim) || dim < 0) return false;
        tensor->dims[tensor->rank++] = dim;
    } while (hone_scan_char(scan, 'x'));
    return true;
}

bool hone_tensor_scan(hone_scan *scan, hone_tensor *tensor)
{
    hone_scan at = *scan;
    hone_tensor read = {0};
    char name[8];
    if (!hone_scan_word(&at, name, sizeof name) || !hone_dtype_parse(name, &read.dtype)) return false;
    if (!hone_scan_char(&at, ':') || !scan_dims(&at, &read)) return false;
    if (hone_scan_literal(&at, ":nhwc")) {
        if (read.rank != 4) return false;
        int64_t c = read.dims[3];
        read.dims[3] = read.dims[2];
        read.dims[2] = read.dims[1];
        read.dims[1] = c;
        read.layout = HONE_NHWC;
    }
    if (hone_tensor_check(&read) != HONE_OK) return false;
    *tensor = read;
    *scan = at;
    return true;
}

// ---- arrays of values

hone_status hone_array_init(hone_array *array, const hone_tensor *tensor)
{
    *array = (hone_array){.tensor = *tensor};
    array->tensor.layout = HONE_ROW;
    hone_status status = hone_tensor_check(&array->tensor);
    if (status != HONE_OK) return status;
    size_t count = (size_t)hone_tensor_count(tensor);
    void *values = hone_calloc(count ? count : 1, sizeof(double));
    if (!values) return HONE_NO_MEMORY;
    if (hone_dtype_is_float(tensor->dtype)) array->f = values;
    else array->i = values;
    return HONE_OK;
}

void hone_array_clear(hone_array *array)
{
    hone_free(array->f);
    hone_free(array->i);
    *array = (hone_array){0};
}

hone_scalar hone_tensor_scalar(const hone_tensor *tensor, const void *memory, int64_t index)
{
    element e = {0};
    dtypes[tensor->dtype].load(memory, hone_tensor_place(tensor, index), &e);
    if (!hone_dtype_is_float(tensor->dtype)) e.f = (double)e.i;
    return (hone_scalar){e.f, e.i};
}

// A copy between a row-major array and memory; memory order is walked in `inner` runs whose array stride is `step`.
typedef struct transfer {
    const hone_array *array;
    hone_dtype dtype;
    void *memory;
    bool saturate, into_array;
    int64_t inner, step, plane;        // nhwc: inner = C, step = plane = H*W; row: one plane of runs of 1
} transfer;

static void transfer_one(const transfer *t, int64_t at, int64_t in_array)
{
    const hone_array *array = t->array;
    element e = {0};
    if (t->into_array) {
        dtypes[t->dtype].load(t->memory, at, &e);
        bool is_float = hone_dtype_is_float(t->dtype);
        if (array->f) array->f[in_array] = is_float ? e.f : (double)e.i;
        else array->i[in_array] = is_float ? hone_int_from_double(e.f) : e.i;
        return;
    }
    if (array->f) e = (element){array->f[in_array], 0};
    else e = (element){(double)array->i[in_array], array->i[in_array]};
    if (array->f && !hone_dtype_is_float(t->dtype)) e.i = hone_int_from_double(e.f);
    dtypes[t->dtype].store(t->memory, at, e, t->saturate);
}

// Floats into an array, without two calls for each: the most of what is moved.
static void widen_runs(const transfer *t, int64_t begin, int64_t end)
{
    double part[PART], *to = t->array->f;
    widen_fn *widen = dtypes[t->dtype].widen;
    if (t->inner == 1) widen(t->memory, begin, end - begin, to + begin);
    for (int64_t run = begin; run < end && t->inner > 1; run++) {
        int64_t base = run / t->plane * t->plane * t->inner + run % t->plane;
        for (int64_t k = 0; k < t->inner; k += PART) {
            int64_t n = t->inner - k < PART ? t->inner - k : PART;
            widen(t->memory, run * t->inner + k, n, part);
            for (int64_t j = 0; j < n; j++) to[base + (k + j) * t->step] = part[j];
        }
    }
}

static void transfer_runs(void *user, int64_t begin, int64_t end, int worker)
{
    const transfer *t = user;
    (void)worker;
    if (t->into_array && t->array->f && dtypes[t->dtype].widen) {
        widen_runs(t, begin, end);
        return;
    }
    for (int64_t run = begin; run < end; run++) {
        int64_t base = run / t->plane * t->plane * t->inner + run % t->plane;
        for (int64_t k = 0; k < t->inner; k++) transfer_one(t, run * t->inner + k, base + k * t->step);
    }
}

static void transfer_all(transfer *t, const hone_tensor *as, int threads)
{
    int64_t count = hone_tensor_count(as);
    if (!count) return;
    t->dtype = as->dtype;
    bool is_nhwc = as->layout == HONE_NHWC;
    t->inner = is_nhwc ? as->dims[1] : 1;
    t->step = t->plane = is_nhwc ? as->dims[2] * as->dims[3] : 1;
    hone_parallel(count / t->inner, (GRAIN + t->inner - 1) / t->inner, threads, transfer_runs, t);
}

void hone_array_pack(const hone_array *array, const hone_tensor *as, void *memory, bool saturate, int threads)
{
    HONE_ASSERT(hone_tensor_count(&array->tensor) == hone_tensor_count(as));
    transfer t = {.array = array, .memory = memory, .saturate = saturate};
    transfer_all(&t, as, threads);
}

void hone_array_unpack(hone_array *array, const hone_tensor *as, const void *memory, int threads)
{
    HONE_ASSERT(hone_tensor_count(&array->tensor) == hone_tensor_count(as));
    transfer t = {.array = array, .memory = (void *)memory, .into_array = true};
    transfer_all(&t, as, threads);
}
