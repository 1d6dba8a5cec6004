// SPDX-License-Identifier: Apache-2.0
// Products with few rows (up to eight) and a right side whose rows are contiguous (b lies as K x N).
//
// Lanes stand along the columns, VEC neighbours each, XS of them; YS lines of threads share the walk along K. Rows of b are read coalesced, once;
// the elements of a are the same for all lanes of a line. Partial sums meet in shared memory.
//
//! kernel gemv_cols 1
//! form matmul
//! dtype f32 f16 bf16
//! param vec 1 2 4 8
//! param xs 8 16 32
//! param ys 4 8 16 32
//! require m <= 8 && !tb && !ta && vec <= vb && vec <= vec_max && xs * ys >= 64 && xs * ys <= 512
//! require vec * elem >= 4 || vb == 1
//! require m * xs * ys * vec <= 8192 && m * vec <= 32
//! require n > xs * vec / 2 || xs == 8
//! require k >= ys * 4 || ys == 4
//! define VEC vec
//! define XS xs
//! define YS ys
//! define ROWS m
//! define IN_A in_a
//! define IN_B in_b
//! arg N n
//! arg K k
//! arg LDA lda
//! arg LDB ldb
//! arg BATCH_INNER batch_inner
//! arg A_OUTER a_outer
//! arg A_INNER a_inner
//! arg B_OUTER b_outer
//! arg B_INNER b_inner
//! grid ceil(n, xs * vec); batch
//! block xs * ys
//! macs xs * vec * m * k
//! rate 60
//! bytes xs * vec * k * elem
//! registers 32 + vec * (m + 4)
HONE_KERNEL __launch_bounds__(XS * YS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    HONE_STATIC_SHARED float parts[YS][ROWS][XS * VEC];
    const unsigned lane = threadIdx.x % XS, line = threadIdx.x / XS, n = (blockIdx.x * XS + lane) * VEC;
    const int batch = blockIdx.y, outer = batch / BATCH_INNER, inner = batch - outer * BATCH_INNER;
    const T *a = (const T *)p.in[IN_A] + ((i64)outer * A_OUTER + (i64)inner * A_INNER);
    const T *b = (const T *)p.in[IN_B] + ((i64)outer * B_OUTER + (i64)inner * B_INNER);
    // Where b is constant (weights) it is on the way to the L2 while the kernel ahead still runs.
#pragma unroll 1
    for (int k = line; k < K && n < (unsigned)N && hone_is_constant(p, IN_B); k += YS) hone_bring_near(b + ((i64)k * LDB + n));
    hone_follow(p);
    float sum[ROWS][VEC];
#pragma unroll
    for (int i = 0; i < ROWS * VEC; i++) sum[i / VEC][i % VEC] = 0;
#pragma unroll 4
    for (int k = line; k < K && n < (unsigned)N; k += YS) {
        float x[VEC];
        hone_load(x, b + ((i64)k * LDB + n));
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            float y[1];
            hone_load(y, a + ((i64)i * LDA + k));
#pragma unroll
            for (int e = 0; e < VEC; e++) sum[i][e] += x[e] * y[0];
        }
    }
#pragma unroll
    for (int i = 0; i < ROWS * VEC; i++) parts[line][i / VEC][lane * VEC + i % VEC] = sum[i / VEC][i % VEC];
    __syncthreads();
    for (int item = threadIdx.x; item < ROWS * XS; item += XS * YS) {
        const unsigned i = item / XS, j = item % XS * VEC, to = blockIdx.x * (XS * VEC) + j;
        float x[VEC];
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            x[e] = 0;
            for (int s = 0; s < YS; s++) x[e] += parts[s][i][j + e];
        }
        if (to < (unsigned)N) hone_tail(p, x, (unsigned)batch * ROWS + i, to);
    }
}
