// SPDX-License-Identifier: Apache-2.0
// What the files of ops share: axes, strides, integer arithmetic with defined overflow, and the shape rules that many ops have.
#ifndef HONE_KERNELS_OP_PRIV_H
#define HONE_KERNELS_OP_PRIV_H

#include "kernels/op.h"

// Row-major strides in elements of a tensor's logical dims.
void hone_tensor_strides(const hone_tensor *tensor, int64_t strides[HONE_RANK_MAX]);

// Makes the integer attribute `name` a non-negative axis below `rank`; HONE_USAGE when it is not one.
hone_status hone_call_fix_axis(hone_call *call, const char *name, int rank);
// The same for a list: sorted, without doubles; an empty list becomes all axes.
hone_status hone_call_fix_axes(hone_call *call, const char *name, int rank);

// Shape rules: out is in[0]'s shape and type; the broadcast of all operands with the type of the first.
hone_status hone_shape_same(hone_call *call, const hone_tensor *const *in, hone_tensor *out);
hone_status hone_shape_broadcast(hone_call *call, const hone_tensor *const *in, hone_tensor *out);

// An integer as an element of type dtype holds it (wrapped around; bool: 0 or 1).
int64_t hone_int_wrap(int64_t value, hone_dtype dtype);
// A double as the nearest value of float type dtype.
double hone_float_round(double value, hone_dtype dtype);
// Truncated; NaN is 0, what does not fit saturates.
int64_t hone_int_from_double(double value);

// Element `index` of a tensor in memory, row-major.
hone_scalar hone_tensor_scalar(const hone_tensor *tensor, const void *memory, int64_t index);

// Element `index` of an array as a scalar with both fields set.
static inline hone_scalar hone_array_scalar(const hone_array *array, int64_t index)
{
    if (array->f) return (hone_scalar){array->f[index], 0};
    if (array->memory) return hone_tensor_scalar(&array->tensor, array->memory, index);
    return (hone_scalar){(double)array->i[index], array->i[index]};
}

// Where the output element at coordinates `at` comes from: a flat index of the input, or -1 for the fill value.
typedef int64_t hone_move_from(const void *user, const int64_t *at);

// out[at] = in[from(at)] for every element, in parallel.
void hone_move(const hone_array *in, hone_array *out, hone_scalar fill, hone_move_from *from, const void *user, int threads);
// The whole of one array into another of as many elements.
void hone_array_copy(const hone_array *from, hone_array *to);
// Index operands as i64 in 0..bound-1 (negative ones count from the end); bounds[k % period] belongs to entry k. Caller frees *made.
hone_status hone_index_resolve(const hone_call *call, const hone_array *index, const int64_t *bounds, int64_t period, int64_t **made);

#endif
