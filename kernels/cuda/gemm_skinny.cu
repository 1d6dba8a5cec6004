// SPDX-License-Identifier: Apache-2.0
// Products with few rows (2 to 64) and a right side whose columns are contiguous (b lies as N x K), on tensor cores: a language model that writes a
// few texts at once.
//
// This is a reading of b at the speed of memory, as in gemv_rows, which has no time for more than a few rows. b goes straight from memory to the
// registers in which the product wants it, with no shared memory on its way. For eight columns an mma wants of a thread two pairs of neighbours
// along K of one column, eight apart. But the order of K is free as long as both sides have the same: so a thread takes 16 bytes of a column of b
// as its halves of two mma's, and the same 16 of each row of a. Four lanes read 64 neighbouring bytes, the next step reads the 64 behind them.
//
// The warps of a block share its columns and divide K. Each has the b of STEPS steps of 32 on the way, and where one has been used its successor
// is sent for into the same registers: so a multiprocessor has 30 to 100 KB under way all the time; 800 ns at an H100's 3.3 TB/s are 20. The rows
// of a come from the L2, again for each block; 32 COLUMNS halve that. In the end the sums of the warps meet in shared memory.
//
// Parameters
//   columns    of the result a block: 16 give more blocks, 32 read a less often
//   steps      of 32 along K that a thread has under way: with 8 loads of 16 bytes more blocks fit a multiprocessor, with 16 a short K is all on
//              its way at once
//   warps      that divide K
// Registers decide how many blocks are RESIDENT: `held` of a thread is near to what NVRTC 13.0 takes (76 to 220).
//
//! kernel gemm_skinny 1
//! form matmul
//! dtype f16 bf16
//! machine stream_ptx.cuh
//! param columns 16 32
//! param steps 2 4 8
//! param warps 4 8 16
//! let halves m <= 8 ? 1 : 2
//! let groups ceil(m, 16)
//! let blocks ceil(n, columns) * batch
//! let loads steps * columns / 8
//! let held 26 + 5 * loads + 16 * groups * halves + (m <= 8 ? 3 * columns / 4 - 12 : 0)
//! require m >= 2 && m <= 64 && tb && !ta && va == 8 && vb == 8 && k >= 64
//! require warps == 4 || k >= warps * steps * 32
//! require loads >= 8 && loads <= 16 && warps * held <= 2048
//! require columns == 16 || blocks * 2 >= sms
//! require warps * groups * 16 * (columns + 8) * 4 <= 49152
//! define COLUMNS columns
//! define STEPS steps
//! define WARPS warps
//! define RESIDENT 2048 / (warps * held)
//! define GROUPS groups
//! define HALVES halves
//! define TV min(vec_max, 4)
//! define IN_A in_a
//! define IN_B in_b
//! arg M m
//! arg N n
//! arg K k
//! arg LDA lda
//! arg LDB ldb
//! arg BATCH_INNER batch_inner
//! arg A_OUTER a_outer
//! arg A_INNER a_inner
//! arg B_OUTER b_outer
//! arg B_INNER b_inner
//! grid ceil(n, columns); batch
//! block warps * 32
//! macs columns * groups * 16 * k
//! rate 500
//! bytes (columns + m) * k * elem
//! latency 1300 + 12 * warps + 800 * ceil(k, warps * steps * 32)
//! registers held
#define TILES (COLUMNS / 8)
#define STRIDE (WARPS * STEPS * 32)            // along K, from one turn of a warp to its next
#define PITCH (COLUMNS + 8)                    // floats: the lanes of a warp meet in no bank
#define ROWS (GROUPS * HALVES)                 // of a that a lane reads, eight apart
#define LANES (COLUMNS / TV)                   // of a row in the end
// Along K: a block sends for 64 KB of its b before the kernel ahead has ended. All of it, of all blocks, would flood the L2.
#define AHEAD (32768 / COLUMNS)

#if IS_BF16
#define HONE_MMA hone_mma_bf16
#else
#define HONE_MMA hone_mma_f16
#endif

// COUNT rows of a matrix, eight apart, as a lane walks along them: row lane / 4, and of each 32 elements those from 8 * (lane % 4) on.
template <int COUNT> struct walker {
    const T *at[COUNT];

    HONE_FN void start(const T *base, i64 pitch, int first, int rows, int k)
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) at[i] = base + (min(first + 8 * i, rows - 1) * pitch + k);       // what is too much is computed and not kept
    }

    HONE_FN void advance()
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) at[i] += STRIDE;
    }
};

HONE_FN void fetch(const walker<TILES> &b, int step, int left, uint4 (&to)[TILES])
{
#pragma unroll
    for (int i = 0; i < TILES; i++) to[i] = hone_stream16(b.at[i] + step * 32, step * 32 < left);
}

// One step of 32: its first 16 bytes and its last are an mma each.
HONE_FN void multiply(float (&sum)[GROUPS][TILES][4], const uint4 (&a)[ROWS], const uint4 (&b)[TILES])
{
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
        const uint4 low = a[j * HALVES], high = HALVES == 1 ? make_uint4(0, 0, 0, 0) : a[j * HALVES + HALVES - 1];
        const unsigned first[4] = {low.x, high.x, low.y, high.y}, second[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
        for (int i = 0; i < TILES; i++) HONE_MMA(sum[j][i], first, b[i].x, b[i].y);
#pragma unroll
        for (int i = 0; i < TILES; i++) HONE_MMA(sum[j][i], second, b[i].z, b[i].w);
    }
}

// The warps' sums of each element, through the tail. Holds a barrier.
HONE_FN void finish(const hone_args &p, const float (&sum)[GROUPS][TILES][4], int batch, int n0)
{
    alignas(16) HONE_STATIC_SHARED float parts[WARPS][GROUPS * 16][PITCH];
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < ROWS; j++) {
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            float *pair = &parts[warp][j * 8 + lane / 4][i * 8 + lane % 4 * 2];
            pair[0] = sum[j / HALVES][i][j % HALVES * 2], pair[1] = sum[j / HALVES][i][j % HALVES * 2 + 1];
        }
    }
    __syncthreads();
    for (int item = threadIdx.x; item < M * LANES; item += WARPS * 32) {
        const int m = item / LANES, n = item % LANES * TV;
        float x[TV];
#pragma unroll
        for (int e = 0; e < TV; e++) x[e] = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
#pragma unroll
            for (int e = 0; e < TV; e++) x[e] += parts[w][m][n + e];
        }
        if (n0 + n < N) hone_tail(p, x, (unsigned)(batch * M + m), (unsigned)(n0 + n));
    }
}

HONE_KERNEL __launch_bounds__(WARPS * 32, RESIDENT) hone_kernel(HONE_CONST_ARGS p)
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, n0 = blockIdx.x * COLUMNS, k_first = warp * STEPS * 32 + lane % 4 * 8;
    const int batch = blockIdx.y, outer = batch / BATCH_INNER, inner = batch - outer * BATCH_INNER;
    walker<ROWS> a;
    walker<TILES> b;
    a.start((const T *)p.in[IN_A], LDA, lane / 4, M, k_first + outer * A_OUTER + inner * A_INNER);
    b.start((const T *)p.in[IN_B], LDB, n0 + lane / 4, N, k_first + outer * B_OUTER + inner * B_INNER);
    uint4 next[STEPS][TILES];
    int left = K - k_first;
    const bool is_ahead = hone_is_constant(p, IN_B);
    if (is_ahead) {
        // Where b is constant (weights) the first of it is on the way to the registers while the kernel ahead still runs, and more to the L2.
#pragma unroll
        for (int s = 0; s < STEPS; s++) fetch(b, s, left, next[s]);
#pragma unroll 1
        for (int k = STRIDE; k < min(left, AHEAD); k += STRIDE) {
#pragma unroll
            for (int item = 0; item < STEPS * TILES; item++)
                if (k + item / TILES * 32 < left) hone_bring_near(b.at[item % TILES] + k + item / TILES * 32);
        }
    }
    if (threadIdx.x < LANES && n0 + (int)threadIdx.x * TV < N) hone_tail_near(p, (unsigned)(n0 + threadIdx.x * TV));
    hone_follow(p);
    if (!is_ahead) {
#pragma unroll
        for (int s = 0; s < STEPS; s++) fetch(b, s, left, next[s]);
    }
    float sum[GROUPS][TILES][4];
#pragma unroll
    for (int i = 0; i < GROUPS * TILES * 4; i++) sum[i / (TILES * 4)][i / 4 % TILES][i % 4] = 0;
    const int turns = (K - warp * STEPS * 32 + STRIDE - 1) / STRIDE;
#pragma unroll 1
    for (int turn = 0; turn < turns; turn++) {
        b.advance();
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            uint4 x[ROWS];
#pragma unroll
            for (int i = 0; i < ROWS; i++) x[i] = hone_ldg16_or_zeros(a.at[i] + s * 32, s * 32 < left);
            multiply(sum, x, next[s]);
            fetch(b, s, left - STRIDE, next[s]);
        }
        a.advance();
        left -= STRIDE;
    }
    finish(p, sum, batch, n0);
}
