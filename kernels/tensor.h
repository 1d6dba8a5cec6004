// SPDX-License-Identifier: Apache-2.0
// What a tensor is: element type, layout, dims. Dims are always in ONNX order (N, C, spatial...; weights O, I, spatial...); the layout
// says how they lie in memory. Tensors are dense. A spelling prints the dims as they lie in memory:
// "f16:1x56x56x64:nhwc" is N=1, C=64, H=W=56 with channels innermost; "f32:" is a scalar (rank 0).
#ifndef HONE_KERNELS_TENSOR_H
#define HONE_KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

#define HONE_RANK_MAX 8
#define HONE_ELEMENTS_MAX ((int64_t)1 << 40)     // a ceiling for products of dims read from files

typedef enum hone_dtype {
    HONE_DTYPE_NONE, HONE_F32, HONE_F16, HONE_BF16, HONE_F64,
    HONE_I8, HONE_U8, HONE_I16, HONE_U16, HONE_I32, HONE_U32, HONE_I64, HONE_U64, HONE_BOOL,
    HONE_DTYPE_COUNT
} hone_dtype;

typedef enum hone_layout {
    HONE_ROW,          // row-major in ONNX order: nchw for images
    HONE_NHWC          // rank 4 only: channels innermost; for convolution weights O, H, W, I
} hone_layout;

typedef struct hone_tensor {
    hone_dtype dtype;
    hone_layout layout;
    int rank;
    int64_t dims[HONE_RANK_MAX];
} hone_tensor;

size_t hone_dtype_size(hone_dtype dtype);                       // bytes; bool is 1
const char *hone_dtype_name(hone_dtype dtype);                  // "f32"
bool hone_dtype_parse(const char *name, hone_dtype *dtype);
bool hone_dtype_is_float(hone_dtype dtype);

int64_t hone_tensor_count(const hone_tensor *tensor);           // elements; 1 for a scalar
size_t hone_tensor_size(const hone_tensor *tensor);             // bytes
bool hone_tensor_equal(const hone_tensor *a, const hone_tensor *b);
bool hone_tensor_same_dims(const hone_tensor *a, const hone_tensor *b);
hone_status hone_tensor_check(const hone_tensor *tensor);       // rank, dims >= 0, product under the ceiling, layout fits
void hone_tensor_physical(const hone_tensor *tensor, int64_t dims[HONE_RANK_MAX]);   // dims as they lie in memory
// Logical axis -> position in memory order, e.g. axis 1 of an nhwc tensor is 3.
int hone_tensor_physical_axis(const hone_tensor *tensor, int axis);
// NumPy broadcasting of two shapes; HONE_USAGE when they do not fit.
hone_status hone_tensor_broadcast(const hone_tensor *a, const hone_tensor *b, hone_tensor *out);

// Row-major index of an element -> its index as the elements lie in memory.
int64_t hone_tensor_place(const hone_tensor *tensor, int64_t index);
// As it lies in memory: one axis, row-major.
hone_tensor hone_tensor_flat(const hone_tensor *tensor);

void hone_tensor_print(const hone_tensor *tensor, hone_text *text);
bool hone_tensor_scan(hone_scan *scan, hone_tensor *tensor);    // inverse of print

// An array of values in the reference's form: row-major in ONNX order; floats of any type as double, integers and bool as int64.
typedef struct hone_array {
    hone_tensor tensor;        // dtype says which pointer is set; layout is ROW
    double *f;                 // owned
    int64_t *i;                // owned
    const void *memory;        // borrowed: in place of both, values as the tensor and its layout say; for hone_problem_reference_at alone
} hone_array;

hone_status hone_array_init(hone_array *array, const hone_tensor *tensor);    // zeroed values
void hone_array_clear(hone_array *array);
// Between the reference's form and memory as a tensor says (element type, layout). Rounds to nearest even; `saturate`
// turns what a smaller float type cannot hold into its largest finite value (for weights), otherwise infinity.
void hone_array_pack(const hone_array *array, const hone_tensor *as, void *memory, bool saturate, int threads);
void hone_array_unpack(hone_array *array, const hone_tensor *as, const void *memory, int threads);

#endif
