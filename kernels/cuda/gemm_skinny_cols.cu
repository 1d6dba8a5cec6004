// SPDX-License-Identifier: Apache-2.0
// Products with few rows (1 to 32) and a right side whose rows are contiguous (b lies as K x N), on tensor cores: a language model that writes one
// text or a few, as exporters of ONNX write its linear layers.
//
// This is gemm_skinny for the other order of b, and like it a reading of b at the speed of memory. What lies side by side in b are columns now, and an
// mma wants pairs along K. But pairs are two rows of one lane: so the lane takes VEC neighbouring columns of eight rows of b, and exchanges the
// halves of their words. The columns stand where an mma has sixteen rows and the rows of a where it has eight columns: one row of a costs no more
// than eight. Which column is which of the sixteen is free, as is the order of K while both sides have the same: word w of a lane's rows is a whole
// mma, with the lane's columns 2w and 2w + 1 in its upper and lower half, and the eight rows are those of two mma's. Of a row of a the lane wants
// the eight neighbours along K that match its rows, 16 bytes. Eight lanes read COLUMNS neighbours of one row of b; a load of a warp
// meets four such rows, eight apart.
//
// The warps of a block share its columns and divide K, and so do the SPLITS blocks of a cluster where there are few columns. Each has the b of
// STEPS steps of 32 on the way, and where one has been used its successor is sent for into the same registers. In the end the sums of the warps
// meet in shared memory, those of the blocks in distributed shared memory, both in a fixed order. That memory is little, 2 KB to 48: blocks may start
// early (`early`), as gemm_skinny's do.
//
// Parameters
//   columns    of the result a block: 64 read whole lines of b and a least often, 16 give more blocks
//   steps      of 32 along K that a thread has under way: 128 or 256 bytes
//   warps      that divide K
//   splits     blocks that divide K before them (Hopper)
// Registers decide how many blocks are RESIDENT: `held` of a thread is near to what NVRTC 13.0 takes.
//
//! kernel gemm_skinny_cols 1
//! form matmul
//! dtype f16 bf16
//! machine stream_ptx.cuh
//! param columns 16 32 64
//! param steps 1 2 4
//! param warps 4 8 16
//! param splits 1 2 4 8
//! let vec columns / 8
//! let groups ceil(m, 8)
//! let blocks ceil(n, columns) * batch
//! let share splits * warps * steps * 32
//! let held 38 + 4 * vec * steps + 4 * groups * steps + 2 * vec * groups
//! let smem warps * groups * 8 * (columns + 4) * 4
//! require m <= 32 && !tb && !ta && va == 8 && vb >= vec && k >= 64
//! require groups * steps <= 8 && (vec * steps == 8 || (vec * steps == 16 && groups == 1))
//! require (splits == 1 && warps == 4) || k >= share
//! require columns == 16 || blocks * splits * 2 >= sms
//! require splits == 1 || (cc >= 90 && vec_max >= 4 && blocks * splits <= sms * 2)
//! require warps * held <= 2048 && smem <= 49152
//! define VEC vec
//! define STEPS steps
//! define WARPS warps
//! define SPLITS splits
//! define RESIDENT 2048 / (warps * held)
//! define GROUPS groups
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
//! grid ceil(n, columns); batch; splits
//! block warps * 32
//! early yes
//! shared smem
//! cluster splits
//! macs columns * groups * 8 * ceil(k, splits)
//! rate 500
//! bytes (columns + m) * ceil(k, splits) * elem
//! latency 1300 + 12 * warps + 800 * ceil(k, share) + (splits > 1 ? 1900 + 250 * splits : 0)
//! registers held
#define COLUMNS (VEC * 8)
#define TILES (VEC / 2)                        // mma's that a row of a lane's words takes part in
#define STRIDE (SPLITS * WARPS * STEPS * 32)   // along K, from one turn of a warp to its next
#define PITCH (COLUMNS + 4)                    // floats
#define ROWS (GROUPS * 8)
#define SECTORS (COLUMNS / 16)                 // of a row: 32 bytes
#define LANES (COLUMNS / TV)                   // of a row in the end
// Along K: a block sends for 64 KB of its b before the kernel ahead has ended. All of it, of all blocks, would flood the L2.
#define AHEAD (32768 / COLUMNS * SPLITS)

#if IS_BF16
#define HONE_MMA hone_mma_bf16
#else
#define HONE_MMA hone_mma_f16
#endif

typedef unsigned words[8][TILES];              // of b: VEC columns of eight rows

HONE_FN void stream(unsigned (&to)[4], const T *from, bool wanted)
{
    const uint4 q = hone_stream16(from, wanted);
    to[0] = q.x, to[1] = q.y, to[2] = q.z, to[3] = q.w;
}

HONE_FN void stream(unsigned (&to)[2], const T *from, bool wanted)
{
    const uint2 q = hone_stream8(from, wanted);
    to[0] = q.x, to[1] = q.y;
}

HONE_FN void stream(unsigned (&to)[1], const T *from, bool wanted) { to[0] = hone_stream4(from, wanted); }

// One step of 32; b walks on to the next.
HONE_FN void fetch(const hone_args &p, const T *&b, bool wanted, words &to)
{
#pragma unroll
    for (int row = 0; row < 8; row++, b += LDB) stream(to[row], b, wanted);
    b += 24 * LDB;
}

// From the end of one turn to the next.
HONE_FN void skip(const hone_args &p, const T *&b) { b += (i64)(STRIDE - STEPS * 32) * LDB; }

HONE_FN void fetch_first(const hone_args &p, const T *&b, int left, words (&to)[STEPS])
{
#pragma unroll
    for (int s = 0; s < STEPS; s++) fetch(p, b, s * 32 < left, to[s]);
    skip(p, b);
}

// What the warp reads of b after its first turn is sent for into the L2.
HONE_FN void bring_near(const hone_args &p, const T *b, int k_warp, int n0)
{
#pragma unroll 1
    for (int k = k_warp + STRIDE; k < min(K, AHEAD); k += STRIDE) {
#pragma unroll 1
        for (int item = threadIdx.x % 32; item < STEPS * 32 * SECTORS; item += 32) {
            const int row = k + item / SECTORS, n = n0 + item % SECTORS * 16;
            if (row < K && n < N) hone_bring_near(b + ((i64)row * LDB + n));
        }
    }
}

// What matches the eight rows in one row of a of each group.
HONE_FN void fetch_rows(const hone_args &p, const T *a, int first, int step, int left, uint4 (&to)[GROUPS])
{
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
        const int m = min(first + 8 * j, M - 1);       // what is too much is computed and not kept
        to[j] = hone_ldg16_or_zeros(a + (m * LDA + step * 32), step * 32 < left);
    }
}

// Rows 4 * HALF to 4 * HALF + 3 of each lane. Words of the same two columns from two rows become the pair along K of each column.
template <int HALF> HONE_FN void multiply(float (&sum)[GROUPS][TILES][4], const uint4 (&a)[GROUPS], const words &b)
{
    const int row = 4 * HALF;
#pragma unroll
    for (int i = 0; i < TILES; i++) {
        const unsigned pairs[4] = {hone_low_halves(b[row][i], b[row + 1][i]), hone_high_halves(b[row][i], b[row + 1][i]),
                                   hone_low_halves(b[row + 2][i], b[row + 3][i]), hone_high_halves(b[row + 2][i], b[row + 3][i])};
#pragma unroll
        for (int j = 0; j < GROUPS; j++) HONE_MMA(sum[j][i], pairs, HALF ? a[j].z : a[j].x, HALF ? a[j].w : a[j].y);
    }
}

HONE_FN void leave(const float (&sum)[GROUPS][TILES][4], float *parts)
{
    const unsigned lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            float *low = parts + ((j * 8 + lane % 4 * 2) * PITCH + lane / 4 * VEC + i * 2), *high = low + PITCH;
            low[0] = sum[j][i][0], low[1] = sum[j][i][2];
            high[0] = sum[j][i][1], high[1] = sum[j][i][3];
        }
    }
}

HONE_FN void put(const hone_args &p, const float (&x)[TV], int batch, int m, int n)
{
    if (n < N) hone_tail(p, x, (unsigned)(batch * M + m), (unsigned)n);
}

// The warps' sums of each element. They go through the tail, or to the place of the first warp's where other blocks have parts of them.
HONE_FN void add_warps(const hone_args &p, float *parts, int batch, int n0)
{
    for (int item = threadIdx.x; item < M * LANES; item += WARPS * 32) {
        const int m = item / LANES, n = item % LANES * TV;
        float x[TV], *at = parts + (m * PITCH + n);
#pragma unroll
        for (int e = 0; e < TV; e++) x[e] = at[e];
#pragma unroll
        for (int w = 1; w < WARPS; w++) {
#pragma unroll
            for (int e = 0; e < TV; e++) x[e] += at[w * ROWS * PITCH + e];
        }
        if (SPLITS == 1) put(p, x, batch, m, n0 + n);
#pragma unroll
        for (int e = 0; e < TV && SPLITS > 1; e++) at[e] = x[e];
    }
}

// The blocks' sums: each block adds up some of the elements. Holds barriers of the cluster.
HONE_FN void add_blocks(const hone_args &p, const float *parts, int batch, int n0)
{
    hone_cluster_sync();
    for (int item = blockIdx.z * WARPS * 32 + threadIdx.x; item < M * LANES; item += SPLITS * WARPS * 32) {
        const int m = item / LANES, n = item % LANES * TV;
        float x[TV];
#pragma unroll
        for (int e = 0; e < TV; e++) x[e] = 0;
#pragma unroll
        for (int rank = 0; rank < SPLITS; rank++) {
            const float4 q = hone_cluster_lds16(hone_shared_address(parts + (m * PITCH + n)), rank);
            const float part[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
            for (int e = 0; e < TV; e++) x[e] += part[e];
        }
        put(p, x, batch, m, n0 + n);
    }
    hone_cluster_sync();                       // no block may leave while others read its shared memory
}

HONE_KERNEL __launch_bounds__(WARPS * 32, RESIDENT) hone_kernel(HONE_CONST_ARGS p)
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, n0 = blockIdx.x * COLUMNS;
    const int k_warp = (blockIdx.z * WARPS + warp) * STEPS * 32, k_first = k_warp + lane % 4 * 8;
    const int batch = blockIdx.y, outer = batch / BATCH_INNER, inner = batch - outer * BATCH_INNER;
    const T *a = (const T *)p.in[IN_A] + (outer * A_OUTER + inner * A_INNER + k_first);
    const T *whole = (const T *)p.in[IN_B] + (outer * B_OUTER + inner * B_INNER);
    const T *b = whole + ((i64)k_first * LDB + min(n0 + lane / 4 * VEC, N - VEC));
    words next[STEPS];
    int left = K - k_first;
    const bool is_ahead = hone_is_constant(p, IN_B);
    if (is_ahead) {
        // Where b is constant (weights) the first of it is on the way to the registers while the kernel ahead still runs.
        fetch_first(p, b, left, next);
        bring_near(p, whole, k_warp, n0);
    }
    if (threadIdx.x < LANES && n0 + (int)threadIdx.x * TV < N) hone_tail_near(p, (unsigned)(n0 + threadIdx.x * TV));
    hone_follow(p);
    if (!is_ahead) fetch_first(p, b, left, next);
    float sum[GROUPS][TILES][4];
#pragma unroll
    for (int i = 0; i < GROUPS * TILES * 4; i++) sum[i / (TILES * 4)][i / 4 % TILES][i % 4] = 0;
#pragma unroll 1
    for (int k = k_warp; k < K; k += STRIDE) {
        uint4 x[STEPS][GROUPS];
#pragma unroll
        for (int s = 0; s < STEPS; s++) fetch_rows(p, a, lane / 4, s, left, x[s]);
        a += STRIDE, left -= STRIDE;
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            multiply<0>(sum, x[s], next[s]);
            multiply<1>(sum, x[s], next[s]);
            fetch(p, b, s * 32 < left, next[s]);
        }
        skip(p, b);
    }
    float *parts = (float *)hone_smem;
    leave(sum, parts + warp * ROWS * PITCH);
    __syncthreads();
    add_warps(p, parts, batch, n0);
    if constexpr (SPLITS > 1) add_blocks(p, parts, batch, n0);
}
