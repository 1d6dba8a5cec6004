// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_KERNELS_WINDOW_PRIV_H
#define HONE_KERNELS_WINDOW_PRIV_H

#include <stdint.h>

// sums[i] = sum over k of rows[i * k ...] * b, four rows; for machines with AVX2 and FMA.
void hone_dot4_avx2(const double *rows, const double *b, int64_t k, double sums[4]);

#endif
