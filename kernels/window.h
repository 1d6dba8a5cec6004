// SPDX-License-Identifier: Apache-2.0
// The sliding window that convolutions and poolings share, and the dot products of their references. Spatial axes are
// always three here: a problem of rank 1 or 2 gets leading axes of extent 1.
#ifndef HONE_KERNELS_WINDOW_H
#define HONE_KERNELS_WINDOW_H

#include "kernels/op.h"

typedef struct hone_window {
    int rank;                          // spatial axes of the problem, 1..3
    int64_t in[3], out[3];             // extents
    int64_t kernel[3], stride[3], dilation[3];
    int64_t begin[3], end[3];          // padding
} hone_window;

// From attributes stride, pad, dilation (where the op has it) and a kernel's extents (rank of them). out is computed; HONE_USAGE
// when the window does not fit. `ceil` rounds the number of steps up, as poolings may ask.
hone_status hone_window_init(const hone_call *call, const hone_tensor *x, const int64_t *kernel, bool ceil, hone_window *window);
// The same for a transposed convolution: x is the small side (window->in), the result is window->out.
hone_status hone_window_init_transposed(const hone_call *call, const hone_tensor *x, const int64_t *kernel, hone_window *window);

int64_t hone_window_taps(const hone_window *window);      // product of the kernel's extents
int64_t hone_window_in(const hone_window *window);        // product of the input's spatial extents
int64_t hone_window_out(const hone_window *window);
// Where tap `tap` reads for the output at flat spatial position `at`: a flat input position, or -1 in the padding.
int64_t hone_window_source(const hone_window *window, int64_t at, int64_t tap);
// The same for all taps at once; sources has room for hone_window_taps.
void hone_window_sources(const hone_window *window, int64_t at, int64_t *sources);

// out[r * out_row + c * out_col] = sum over k of rows[r][k] * cols[c][k] (+ bias[c] when bias is not NULL); rows and cols are
// dense n x k. Summed in double with a fixed order, so the result does not depend on threads.
void hone_dots(const double *rows, int64_t n_rows, const double *cols, int64_t n_cols, int64_t k, const double *bias,
               double *out, int64_t out_row, int64_t out_col);

// Element of a reference array, whatever its type.
static inline double hone_array_get(const hone_array *array, int64_t index)
{
    return array->f ? array->f[index] : (double)array->i[index];
}

#endif
