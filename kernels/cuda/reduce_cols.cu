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
//! include reduce_cols.cuh
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
