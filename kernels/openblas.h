// SPDX-License-Identifier: Apache-2.0
// Fence of OpenBLAS, opened at run time. hone calls it from its own threads, one matrix block each: its own pool would compete
// with hone's for the same cores.
#ifndef HONE_KERNELS_OPENBLAS_H
#define HONE_KERNELS_OPENBLAS_H

#include <stdint.h>

#include "kernels/library.h"

extern hone_library hone_library_openblas;

// c[m x n] = alpha * a[m x k] * b[k x n] + beta * c in row-major order; trans: the matrix lies transposed. ld: elements between
// rows as they lie. Call only after hone_library_open(&hone_library_openblas) succeeded. Runs in the calling thread.
void hone_openblas_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                         const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

#endif
