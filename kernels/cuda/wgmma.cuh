// SPDX-License-Identifier: Apache-2.0
// The body of products and implicit-gemm convolutions on Hopper's tensor cores (wgmma): tile.cuh's idea with other arithmetic.
//
// A warpgroup of four warps multiplies 64 rows of A by up to 256 columns of B, both read from shared memory by the tensor cores themselves:
// no fragment passes through registers, and the instruction runs by itself while the threads issue the copies of later steps. That alone
// doubles what mma.sync reaches, once a tile has rows and columns enough.
//
// Tiles lie in the 128-byte swizzle that the hardware knows: rows of 64 elements, chunk c of row r at place c ^ (r & 7). Where rows run
// along M or N, a tile is as many such blocks of BK rows x 64 columns as it is wide, one behind the other.
//
// A step: all threads agree that the tile has landed, the warpgroups queue its products, and behind these the tile STAGES - 2 steps ahead is
// fetched into the place of the step before the last, whose products are done. The wait leaves the newest products running, so
// that the tensor cores have work while the threads meet for the next step. Only one barrier is needed.

#define CH 8                                   // elements of a chunk
#define A_ROWS (A_K ? BM : BK)
#define A_CPR ((A_K ? BK : BM) / CH)           // chunks of a row
#define B_ROWS (B_K ? BN : BK)
#define B_CPR ((B_K ? BK : BN) / CH)
#define PITCH_BYTES 128
#define BLOCK_BYTES (BK * PITCH_BYTES)         // 64 rows along K, or BK rows along M or N: both 64 x 64 elements
#define A_SWIZZLED true
#define B_SWIZZLED true
#define A_PITCH PITCH_BYTES
#define B_PITCH PITCH_BYTES
#define A_BYTES (BM * BK * 2)
#define B_BYTES (BN * BK * 2)
#define STAGE_BYTES (A_BYTES + B_BYTES)
#define C_PITCH (BN + 8)                       // floats
static_assert(BK == 64 && ES == 2, "rows of 128 bytes");
static_assert(STAGES >= 3, "a step in the tensor cores, one landed, one on its way");

template <int CPR, int PITCH, bool SWIZZLED> HONE_FN unsigned place(unsigned row, unsigned chunk)
{
    return (CPR > 8 ? chunk / 8 * BLOCK_BYTES : 0) + row * PITCH + ((chunk ^ row) & 7) * 16;
}

#include "tile_load.cuh"

// ---- arithmetic

#define WN (BN / WARPGROUPS_N)                 // columns and 64-row blocks of a warpgroup
#define MT (BM / 64 * WARPGROUPS_N * 128 / THREADS)

// What the tensor cores are told of a tile: its address, the bytes from one 64-wide block to the next (rows along M or N only), the bytes
// from 8 rows to the next 8, and the swizzle.
HONE_FN u64 describe(unsigned address)
{
    return (u64)((address & 0x3ffff) >> 4) | (u64)(BLOCK_BYTES >> 4) << 16 | (u64)(8 * PITCH_BYTES >> 4) << 32 | (u64)1 << 62;
}

struct arithmetic {
    float acc[MT][WN / 2];
    unsigned a_base, b_base, m, n;

    HONE_FN void start()
    {
        const unsigned group = threadIdx.x / 128;
        m = group / WARPGROUPS_N * MT * 64;
        n = group % WARPGROUPS_N * WN;
        a_base = m / 64 * BLOCK_BYTES;
        b_base = A_BYTES + n / 64 * BLOCK_BYTES;
#pragma unroll
        for (int i = 0; i < MT * WN / 2; i++) acc[i / (WN / 2)][i % (WN / 2)] = 0;
    }

    // 16 of K are 32 bytes of a row, or 16 rows.
    HONE_FN void multiply(unsigned stage)
    {
        hone_wgmma_fence();
#pragma unroll
        for (int step = 0; step < BK / 16; step++) {
            const u64 b = describe(stage + b_base + step * (B_K ? 32 : 16 * PITCH_BYTES));
#pragma unroll
            for (int i = 0; i < MT; i++)
                hone_wgmma<IS_BF16, !A_K, !B_K>(acc[i], describe(stage + a_base + i * BLOCK_BYTES + step * (A_K ? 32 : 16 * PITCH_BYTES)), b);
        }
        hone_wgmma_commit();
    }

    template <int LEFT> HONE_FN void wait()
    {
#pragma unroll
        for (int i = 0; i < MT; i++) hone_wgmma_wait<LEFT>(acc[i]);
    }

    // All of the tile to shared memory as floats.
    HONE_FN void spread(unsigned to)
    {
        const unsigned lane = threadIdx.x & 31, row = m + (threadIdx.x / 32 & 3) * 16 + lane / 4;
#pragma unroll
        for (int i = 0; i < MT; i++) {
#pragma unroll
            for (int j = 0; j < WN / 8; j++) {
                const unsigned at = to + ((row + i * 64) * C_PITCH + n + j * 8 + (lane & 3) * 2) * 4;
                hone_sts8f(at, acc[i][j * 4], acc[i][j * 4 + 1]);
                hone_sts8f(at + 8 * C_PITCH * 4, acc[i][j * 4 + 2], acc[i][j * 4 + 3]);
            }
        }
    }
};

// STAGES - 1 tiles are under way when it begins, the first has landed. Barriers are met by all threads: `tiles` is the same for the block.
HONE_FN void walk(const hone_args &p, arithmetic &math, a_loader &load_a, b_loader &load_b, unsigned smem, int tiles)
{
    unsigned read = smem, write = smem + (STAGES - 1) * STAGE_BYTES;
    const unsigned end = smem + STAGES * STAGE_BYTES;
    for (int t = 0; t < tiles; t++) {
        const bool fetches = t > 0 && t + STAGES - 2 < tiles;
        hone_fence_async();
        __syncthreads();
        math.multiply(read);
        if (fetches) load_a.fetch(p, write), load_b.fetch(p, write + A_BYTES);
        if (t > 0) hone_async_commit();
        math.wait<1>();
        if (fetches) load_a.put(write), load_b.put(write + A_BYTES);
        hone_async_wait<STAGES - 3>();
        if (t > 0) write = write + STAGE_BYTES == end ? smem : write + STAGE_BYTES;
        read = read + STAGE_BYTES == end ? smem : read + STAGE_BYTES;
    }
    math.wait<0>();
}

#include "tile_end.cuh"
