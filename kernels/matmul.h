// SPDX-License-Identifier: Apache-2.0
// What a matrix product's operands mean: extents, and which matrices of a and b make each matrix of the result.
#ifndef HONE_KERNELS_MATMUL_H
#define HONE_KERNELS_MATMUL_H

#include "kernels/op.h"

typedef struct hone_matmul {
    int64_t m, n, k;                       // of one product
    int64_t batch, batch_a, batch_b;       // products; matrices of a and of b
    bool trans_a, trans_b;                 // a lies as k x m, b as n x k
    hone_tensor lead, lead_a, lead_b;      // leading dims of the result, a and b
} hone_matmul;

// HONE_USAGE when the operands do not fit. A vector is a matrix of one row (a) or one column (b).
hone_status hone_matmul_init(const hone_call *call, const hone_tensor *a, const hone_tensor *b, hone_matmul *matmul);
// Matrices of a and b that make product `index`.
void hone_matmul_batch(const hone_matmul *matmul, int64_t index, int64_t *a, int64_t *b);

#endif
