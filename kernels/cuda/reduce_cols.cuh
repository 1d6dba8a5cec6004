// SPDX-License-Identifier: Apache-2.0
// What reduce_cols.cu and reduce_cols_many.cu share: lanes of a block stand along the inner axis (XS of them, VEC elements each), its lines along
// the reduced one (YS). Every line sums its share (sum_column, the kernel's own); the lines meet in shared memory.
#include "sums.cuh"

HONE_FN void sum_column(const hone_args &p, unsigned outer, unsigned n, total (&t)[VEC]);

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    HONE_STATIC_SHARED float sums[YS][XS * VEC + 1], tops[KIND == 8 ? YS : 1][XS * VEC + 1];
    const unsigned lane = threadIdx.x % XS, line = threadIdx.x / XS, n = (blockIdx.x * XS + lane) * VEC;
    const unsigned outer = blockIdx.z * gridDim.y + blockIdx.y;
    const bool here = n < (unsigned)COLS && outer < (unsigned)OUTER;
    total t[VEC];
#pragma unroll
    for (int e = 0; e < VEC; e++) t[e] = total_start();
    if (here) sum_column(p, outer, n, t);
#pragma unroll
    for (int e = 0; e < VEC; e++) {
        sums[line][lane * VEC + e] = t[e].sum;
        if (KIND == 8) tops[line][lane * VEC + e] = t[e].top;
    }
    __syncthreads();
    if (line == 0 && here) {
        float x[VEC];
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            for (int k = 1; k < YS; k++) {
                total other;
                other.sum = sums[k][lane * VEC + e];
                other.top = KIND == 8 ? tops[k][lane * VEC + e] : 0;
                t[e] = total_merge(t[e], other);
            }
            x[e] = total_end(t[e], (float)LENGTH);
        }
        hone_tail(p, x, outer, n);
    }
}
