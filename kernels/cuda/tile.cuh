// SPDX-License-Identifier: Apache-2.0
// The common body of matrix products and implicit-gemm convolutions: C = A x B by tiles of BM x BN, with a generated tail.
//
// A block owns one BM x BN tile of the result and walks along K in steps of BK. The tiles of A and B for several steps lie in shared memory
// at once (STAGES of them), filled by asynchronous copies that run ahead of the arithmetic. Copies are 16 bytes wide where rows are aligned to
// that and narrower otherwise; what lies outside a matrix is filled with zeros by the copy itself, so the arithmetic has no edges.
//
// Shared memory has 32 banks of 4 bytes. Rows of a tile are 16-byte chunks, and chunk c of row r is kept at place c ^ f(r), so that both the
// writes along rows and the reads down columns (ldmatrix takes eight rows at one chunk) touch all banks once. Tiles of 4-byte elements whose
// rows run along M or N are read by single words instead; they are padded by 32 bytes a row to the same effect.
//
// MATH 0: 16-bit mma; 1: TF32 mma; 2: FP32 by fused multiply-add on the ordinary units, 8 x 8 results a thread.
//
// SPLITS > 1: the blocks of a cluster share a tile and each walks a part of K; they meet in distributed shared memory, and each adds up
// the partial sums of its share of rows in a fixed order. There is no workspace, no atomic and no second kernel, and results repeat.
//
// The result passes through shared memory once, so that the tail and the stores see whole rows: wide, coalesced accesses.

#define CH (16 / ES)                           // elements of a chunk
#define A_ROWS (A_K ? BM : BK)
#define A_CPR ((A_K ? BK : BM) / CH)           // chunks of a row
#define B_ROWS (B_K ? BN : BK)
#define B_CPR ((B_K ? BK : BN) / CH)
#define A_SWIZZLED (A_K || ES == 2)
#define B_SWIZZLED (B_K || ES == 2)
#define A_PITCH (A_CPR * 16 + (A_SWIZZLED ? 0 : 32))
#define B_PITCH (B_CPR * 16 + (B_SWIZZLED ? 0 : 32))
#define A_BYTES (A_ROWS * A_PITCH)
#define B_BYTES (B_ROWS * B_PITCH)
#define STAGE_BYTES (A_BYTES + B_BYTES)
#define C_PITCH (BN + 8)                       // floats

// ---- shared memory places

template <int CPR> HONE_FN unsigned swizzle_of(unsigned row)
{
    return CPR >= 8 ? row & 7 : CPR == 4 ? (row >> 1) & 3 : CPR == 2 ? (row >> 2) & 1 : 0;
}

template <int CPR, int PITCH, bool SWIZZLED> HONE_FN unsigned place(unsigned row, unsigned chunk)
{
    return row * PITCH + (SWIZZLED ? chunk ^ swizzle_of<CPR>(row) : chunk) * 16;
}

#include "tile_load.cuh"

// ---- arithmetic on one stage

#if MATH == 1
#define HONE_MMA hone_mma_tf32
#elif IS_BF16
#define HONE_MMA hone_mma_bf16
#else
#define HONE_MMA hone_mma_f16
#endif

#if MATH < 2
#define WM (BM / WARPS_M)
#define WN (BN / WARPS_N)
#define MT (WM / 16)
#define NT (WN / 8)
#define STEPS (BK / (2 * CH))                  // an mma takes two chunks of K

struct arithmetic {
    float acc[MT][NT][4];
    unsigned a[2][MT][4], b[2][NT][2];
    unsigned wm, wn, a_base, a_chunk, b_base, b_chunk;

    // A lane names one row of 16 bytes to ldmatrix: lanes 0-7 those of the first 8 x 8 (or 8 x 4) block, and so on. Blocks are taken in the
    // order in which the mma wants its registers; transposing loads serve tiles whose rows run along M or N.
    HONE_FN void start()
    {
        const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
        wm = (warp % WARPS_M) * WM;
        wn = (warp / WARPS_M) * WN;
#pragma unroll
        for (int i = 0; i < MT * NT * 4; i++) acc[i / (NT * 4)][i / 4 % NT][i % 4] = 0;
        if (A_K) {
            const unsigned row = wm + (lane & 15);
            a_base = row * A_PITCH;
            a_chunk = (lane >> 4) ^ swizzle_of<A_CPR>(row);
        } else if (ES == 2) {
            const unsigned row = (lane & 7) + (lane >> 4) * 8;
            a_base = row * A_PITCH;
            a_chunk = (wm / 8 + ((lane >> 3) & 1)) ^ swizzle_of<A_CPR>(row);
        } else {
            a_base = (lane & 3) * A_PITCH + (wm + (lane >> 2)) * 4;
        }
        if (B_K) {
            const unsigned row = wn + (lane & 7) + (lane >> 4) * 8;
            b_base = row * B_PITCH;
            b_chunk = ((lane >> 3) & 1) ^ swizzle_of<B_CPR>(row);
        } else if (ES == 2) {
            const unsigned row = (lane & 15);
            b_base = row * B_PITCH;
            b_chunk = (wn / 8 + (lane >> 4)) ^ swizzle_of<B_CPR>(row);
        } else {
            b_base = (lane & 3) * B_PITCH + (wn + (lane >> 2)) * 4;
        }
    }

    HONE_FN void load_a(unsigned tile, int step, unsigned (&to)[MT][4])
    {
#pragma unroll
        for (int i = 0; i < MT; i++) {
            if constexpr (A_K) {
                hone_ldmatrix4(to[i], tile + a_base + i * 16 * A_PITCH + ((a_chunk ^ (step * 2)) << 4));
            } else if constexpr (ES == 2) {
                hone_ldmatrix4_trans(to[i], tile + a_base + step * 16 * A_PITCH + ((a_chunk ^ (i * 2)) << 4));
            } else {
                const unsigned from = tile + a_base + step * 8 * A_PITCH + i * 64;
                to[i][0] = hone_lds4(from);
                to[i][1] = hone_lds4(from + 32);
                to[i][2] = hone_lds4(from + 4 * A_PITCH);
                to[i][3] = hone_lds4(from + 4 * A_PITCH + 32);
            }
        }
    }

    HONE_FN void load_b(unsigned tile, int step, unsigned (&to)[NT][2])
    {
#pragma unroll
        for (int j = 0; j < NT; j += 2) {
            unsigned four[4];
            if constexpr (B_K) {
                hone_ldmatrix4(four, tile + b_base + j * 8 * B_PITCH + ((b_chunk ^ (step * 2)) << 4));
            } else if constexpr (ES == 2) {
                hone_ldmatrix4_trans(four, tile + b_base + step * 16 * B_PITCH + ((b_chunk ^ j) << 4));
            } else {
                const unsigned from = tile + b_base + step * 8 * B_PITCH + j * 32;
                four[0] = hone_lds4(from);
                four[1] = hone_lds4(from + 4 * B_PITCH);
                four[2] = hone_lds4(from + 32);
                four[3] = hone_lds4(from + 4 * B_PITCH + 32);
            }
            to[j][0] = four[0], to[j][1] = four[1], to[j + 1][0] = four[2], to[j + 1][1] = four[3];
        }
    }

    HONE_FN void load(unsigned stage, int step, int into)
    {
        load_a(stage, step, a[into]);
        load_b(stage + A_BYTES, step, b[into]);
    }

    HONE_FN void multiply(int from)
    {
        if constexpr (MATH == 1) {
#pragma unroll
            for (int i = 0; i < MT * 4; i++) a[from][i / 4][i % 4] = hone_tf32_of_float(a[from][i / 4][i % 4]);
#pragma unroll
            for (int j = 0; j < NT * 2; j++) b[from][j / 2][j % 2] = hone_tf32_of_float(b[from][j / 2][j % 2]);
        }
#pragma unroll
        for (int i = 0; i < MT; i++) {
#pragma unroll
            for (int k = 0; k < NT; k++) {
                const int j = i % 2 ? NT - 1 - k : k;      // back and forth, so that one operand stays in place
                HONE_MMA(acc[i][j], a[from][i], b[from][j][0], b[from][j][1]);
            }
        }
    }

    // All of the tile to shared memory as floats.
    HONE_FN void spread(unsigned to)
    {
        const unsigned lane = threadIdx.x & 31;
#pragma unroll
        for (int i = 0; i < MT; i++) {
#pragma unroll
            for (int j = 0; j < NT; j++) {
                const unsigned at = to + ((wm + i * 16 + lane / 4) * C_PITCH + wn + j * 8 + (lane & 3) * 2) * 4;
                hone_sts8f(at, acc[i][j][0], acc[i][j][1]);
                hone_sts8f(at + 8 * C_PITCH * 4, acc[i][j][2], acc[i][j][3]);
            }
        }
    }
};

// Registers hold the fragments of two steps: while one is multiplied, the next is on its way from shared memory.
HONE_FN void walk(const hone_args &p, arithmetic &math, a_loader &load_a, b_loader &load_b, unsigned smem, int tiles)
{
    unsigned read = smem, write = smem + (STAGES - 1) * STAGE_BYTES;
    const unsigned end = smem + STAGES * STAGE_BYTES;
    math.load(read, 0, 0);
    for (int t = 0; t < tiles; t++) {
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            const bool has_next = t + STAGES - 1 < tiles;
            if (step == STEPS - 1) {
                if (has_next) load_a.put(write), load_b.put(write + A_BYTES);
                hone_async_wait<STAGES - 2>();
                __syncthreads();
                read = read + STAGE_BYTES == end ? smem : read + STAGE_BYTES;
                write = write + STAGE_BYTES == end ? smem : write + STAGE_BYTES;
            }
            math.load(read, (step + 1) % STEPS, (step + 1) % 2);
            if (step == 0) {
                if (has_next) load_a.fetch(p, write), load_b.fetch(p, write + A_BYTES);
                hone_async_commit();
            }
            math.multiply(step % 2);
        }
    }
}
#else
#define TM 8
#define TN (BN * BM / THREADS / TM)
#define TX (BN / TN)                           // threads side by side
#define TY (BM / TM)
#define STEPS (BK / 4)

// A thread's rows lie TY apart where tiles run along K (so that neighbouring threads read neighbouring rows), else four are neighbours.
HONE_FN unsigned row_of(unsigned y, int i) { return A_K ? y + i * TY : (i / 4) * (TY * 4) + y * 4 + i % 4; }
HONE_FN unsigned col_of(unsigned x, int j) { return B_K ? x + j * TX : (j / 4) * (TX * 4) + x * 4 + j % 4; }

struct arithmetic {
    float acc[TM][TN];
    unsigned x, y;

    HONE_FN void start()
    {
        x = threadIdx.x % TX, y = threadIdx.x / TX;
#pragma unroll
        for (int i = 0; i < TM * TN; i++) acc[i / TN][i % TN] = 0;
    }

    // Four steps of K for LEN values of one side: value[k][i].
    template <bool K_INNER, int LEN, int CPR, int PITCH> HONE_FN void load(unsigned tile, int step, unsigned at, unsigned apart, float (&to)[4][LEN])
    {
        if constexpr (K_INNER) {
#pragma unroll
            for (int i = 0; i < LEN; i++) {
                const float4 q = hone_lds16(tile + place<CPR, PITCH, true>(at + i * apart, step));
                to[0][i] = q.x, to[1][i] = q.y, to[2][i] = q.z, to[3][i] = q.w;
            }
        } else {
#pragma unroll
            for (int k = 0; k < 4; k++) {
#pragma unroll
                for (int i = 0; i < LEN; i += 4) {
                    const float4 q = hone_lds16(tile + (step * 4 + k) * PITCH + (i * apart + at * 4) * 4);
                    to[k][i] = q.x, to[k][i + 1] = q.y, to[k][i + 2] = q.z, to[k][i + 3] = q.w;
                }
            }
        }
    }

    HONE_FN void multiply(unsigned stage, int step)
    {
        float a[4][TM], b[4][TN];
        load<A_K, TM, A_CPR, A_PITCH>(stage, step, y, TY, a);
        load<B_K, TN, B_CPR, B_PITCH>(stage + A_BYTES, step, x, TX, b);
#pragma unroll
        for (int k = 0; k < 4; k++) {
#pragma unroll
            for (int i = 0; i < TM * TN; i++) acc[i / TN][i % TN] += a[k][i / TN] * b[k][i % TN];
        }
    }

    HONE_FN void spread(unsigned to)
    {
        float *c = (float *)hone_smem;
        (void)to;
#pragma unroll
        for (int i = 0; i < TM * TN; i++) c[row_of(y, i / TN) * C_PITCH + col_of(x, i % TN)] = acc[i / TN][i % TN];
    }
};

HONE_FN void walk(const hone_args &p, arithmetic &math, a_loader &load_a, b_loader &load_b, unsigned smem, int tiles)
{
    unsigned read = smem, write = smem + (STAGES - 1) * STAGE_BYTES;
    const unsigned end = smem + STAGES * STAGE_BYTES;
    for (int t = 0; t < tiles; t++) {
        if (t + STAGES - 1 < tiles) load_a.fetch(p, write), load_b.fetch(p, write + A_BYTES);
        hone_async_commit();
#pragma unroll 2
        for (int step = 0; step < STEPS; step++) math.multiply(read, step);
        hone_async_wait<STAGES - 2>();
        __syncthreads();
        read = read + STAGE_BYTES == end ? smem : read + STAGE_BYTES;
        write = write + STAGE_BYTES == end ? smem : write + STAGE_BYTES;
    }
}
#endif

#include "tile_end.cuh"
