// SPDX-License-Identifier: Apache-2.0
// Dot products in double for the instruction set of the including file. Vector types rather than plain loops, since a sum of doubles may
// not be reordered by the compiler.
#ifndef HONE_KERNELS_DOTS_BODY_H
#define HONE_KERNELS_DOTS_BODY_H

typedef double lanes __attribute__((vector_size(32), aligned(8)));

static inline double total(const lanes *v) { return ((*v)[0] + (*v)[1]) + ((*v)[2] + (*v)[3]); }

// Four rows against one column: each value of the column is loaded once.
static void dot4(const double *rows, const double *b, int64_t k, double sums[4])
{
    const double *a0 = rows, *a1 = a0 + k, *a2 = a1 + k, *a3 = a2 + k;
    lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t j = 0;
    for (; j + 4 <= k; j += 4) {
        lanes v = *(const lanes *)(b + j);
        s0 += *(const lanes *)(a0 + j) * v;
        s1 += *(const lanes *)(a1 + j) * v;
        s2 += *(const lanes *)(a2 + j) * v;
        s3 += *(const lanes *)(a3 + j) * v;
    }
    sums[0] = total(&s0), sums[1] = total(&s1), sums[2] = total(&s2), sums[3] = total(&s3);
    for (; j < k; j++) sums[0] += a0[j] * b[j], sums[1] += a1[j] * b[j], sums[2] += a2[j] * b[j], sums[3] += a3[j] * b[j];
}

#endif
