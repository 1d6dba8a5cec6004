// SPDX-License-Identifier: Apache-2.0
// Products with few rows (up to eight) and a right side whose columns are contiguous (b lies as N x K), as in a classifier's last layer.
//
// Every element of b is used once for each row, so this is a reading of b at the speed of memory. A warp takes PER columns and walks along K with
// wide, coalesced accesses; SPLIT warps share the walk. The few rows of a come from the L1. Partial sums meet in shared memory.
//
//! kernel gemv_rows 1
//! form matmul
//! dtype f32 f16 bf16
//! param per 1 2 4
//! param split 1 2 4 8
//! param warps 4 8
//! require m <= 8 && tb && !ta && split <= warps
//! require k >= split * 32 * min(va, vb) || split == 1
//! require per == 1 || n * batch >= per * warps / split * sms
//! require split == 1 || n * batch <= sms * 64
//! define PER per
//! define SPLIT split
//! define WARPS warps
//! define ROWS m
//! define VEC min(va, vb)
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
//! grid ceil(n, per * warps / split); batch
//! block warps * 32
//! macs per * warps / split * m * k
//! rate 60
//! bytes per * warps / split * k * elem
//! registers 32 + 8 * per + per * m
#define COLUMNS (PER * (WARPS / SPLIT))        // of a block

HONE_KERNEL __launch_bounds__(WARPS * 32, 1) hone_kernel(HONE_CONST_ARGS p)
{
    HONE_STATIC_SHARED float parts[SPLIT][ROWS][COLUMNS];
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = warp % SPLIT, n0 = warp / SPLIT * PER, first = blockIdx.x * COLUMNS;
    const int batch = blockIdx.y, outer = batch / BATCH_INNER, inner = batch - outer * BATCH_INNER;
    const T *a = (const T *)p.in[IN_A] + ((i64)outer * A_OUTER + (i64)inner * A_INNER);
    const T *b = (const T *)p.in[IN_B] + ((i64)outer * B_OUTER + (i64)inner * B_INNER);
    // Where b is constant (weights) it is on the way to the L2 while the kernel ahead still runs.
#pragma unroll 1
    for (int k = (part * 32 + lane) * VEC; k < K && hone_is_constant(p, IN_B); k += SPLIT * 32 * VEC)
        for (int j = 0; j < PER; j++) hone_bring_near(b + ((i64)min((int)(first + n0) + j, N - 1) * LDB + k));
    hone_follow(p);
    float sum[ROWS][PER];
#pragma unroll
    for (int i = 0; i < ROWS * PER; i++) sum[i / PER][i % PER] = 0;
#pragma unroll 2
    for (int k = (part * 32 + lane) * VEC; k < K; k += SPLIT * 32 * VEC) {
        float x[PER][VEC];
#pragma unroll
        for (int j = 0; j < PER; j++) {
            const int n = min((int)(first + n0) + j, N - 1);       // what is too much is computed and not kept
            hone_load(x[j], b + ((i64)n * LDB + k));
        }
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            float y[VEC];
            hone_load(y, a + ((i64)i * LDA + k));
#pragma unroll
            for (int j = 0; j < PER; j++) {
#pragma unroll
                for (int e = 0; e < VEC; e++) sum[i][j] += x[j][e] * y[e];
            }
        }
    }
#pragma unroll
    for (int i = 0; i < ROWS * PER; i++) {
        float total = sum[i / PER][i % PER];
#pragma unroll
        for (int mask = 16; mask > 0; mask /= 2) total += hone_shuffle_xor(total, mask);
        if (lane == 0) parts[part][i / PER][n0 + i % PER] = total;
    }
    __syncthreads();
    for (int item = threadIdx.x; item < ROWS * COLUMNS; item += WARPS * 32) {
        const int i = item / COLUMNS, j = item % COLUMNS;
        float x[1] = {0};
#pragma unroll
        for (int s = 0; s < SPLIT; s++) x[0] += parts[s][i][j];
        if ((int)first + j < N) hone_tail(p, x, (unsigned)(batch * ROWS + i), first + j);
    }
}
