// SPDX-License-Identifier: Apache-2.0
// Reductions over axes that lie outside the inner, kept ones: x is [outer][length][inner], as in a global pooling of an NHWC image.
//
// Lanes of a block stand along the inner axis (XS of them, VEC elements each), its lines along the reduced one (YS). Every line sums its share
// from memory in coalesced rows; the lines meet in shared memory.
//
//! kernel reduce_cols 1
//! form reduce_cols
//! dtype f32 f16 bf16
//! param vec 1 2 4 8
//! param xs 8 32
//! param ys 1 8 32
//! require vec <= head_vec && vec <= vec_max && xs * ys >= 32 && xs * ys <= 512
//! require ys == 1 || length * 2 > ys
//! require xs == 8 || cols > xs * vec / 2
//! define VEC vec
//! define XS xs
//! define YS ys
//! define KIND kind
//! define TEAM 1
//! define THREADS xs * ys
//! include sums.cuh
//! arg COLS cols
//! arg LENGTH length
//! grid ceil(cols, xs * vec); min(count / cols, 32768); ceil(count / cols, 32768)
//! arg OUTER count / cols
//! block xs * ys
//! macs length * xs * vec * 8
//! bytes length * xs * vec * elem
HONE_FN void sum_column(const hone_args &p, unsigned outer, unsigned n, total (&t)[VEC])
{
#pragma unroll 4
    for (unsigned k = threadIdx.x / XS; k < (unsigned)LENGTH; k += YS) {
        float x[VEC];
        hone_head(p, outer * (unsigned)LENGTH + k, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) total_add(t[e], x[e]);
    }
}

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
