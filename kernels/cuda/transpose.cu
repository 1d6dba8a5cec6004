// SPDX-License-Identifier: Apache-2.0
// Chains in which one operand lies transposed: layout conversions (NCHW to NHWC and back), transposes of matrices, with any elementwise
// steps behind.
//
// Reading along one axis and writing along another cannot both be coalesced, so a block moves a square tile through shared memory: it reads
// rows of the operand, whose neighbours lie along `across`, and writes rows of the result, whose neighbours lie along the columns. The tile is
// padded by one element a row, so that reading its columns meets every bank once.
//
// The result is seen as (outer, across, between, columns); `batch` counts outer and between together.
//
//! kernel transpose 1
//! form transpose
//! dtype any
//! param tile 32 64
//! param rows 8 16
//! require tile == 32 || (across > 32 && cols > 32)
//! define TILE tile
//! define TROWS rows
//! arg COLS cols
//! arg BATCH batch
//! arg ACROSS across
//! arg BETWEEN between
//! arg X_STEP x_step
//! arg X_OFFSET x_offset
//! arg DIV0 div0
//! arg MOD0 mod0
//! arg STEP0 step0
//! arg DIV1 div1
//! arg MOD1 mod1
//! arg STEP1 step1
//! arg DIV2 div2
//! arg MOD2 mod2
//! arg STEP2 step2
//! define IN_X in_x
//! grid ceil(cols, tile) * ceil(across, tile); min(batch, 32768); ceil(batch, 32768)
//! block rows * 32
//! macs tile * tile
//! bytes bytes_per_element * tile * tile
HONE_FN void move_tile(const hone_args &p, hone_x (&tile)[TILE][TILE + 1], unsigned batch)
{
    const unsigned tiles = ((unsigned)COLS + TILE - 1) / TILE, lane = threadIdx.x % 32, line = threadIdx.x / 32;
    const unsigned c0 = blockIdx.x % tiles * TILE, a0 = blockIdx.x / tiles * TILE;
    const T *x = (const T *)p.in[IN_X] + (X_OFFSET + batch / (unsigned)DIV0 % (unsigned)MOD0 * STEP0
                 + batch / (unsigned)DIV1 % (unsigned)MOD1 * STEP1 + batch / (unsigned)DIV2 % (unsigned)MOD2 * STEP2);
    const unsigned outer = batch / (unsigned)BETWEEN, between = batch % (unsigned)BETWEEN;
#pragma unroll
    for (unsigned r = 0; r < TILE; r += TROWS) {
#pragma unroll
        for (unsigned k = 0; k < TILE; k += 32) {
            const unsigned c = c0 + r + line, a = a0 + k + lane;
            hone_x v[1];
            if (c < (unsigned)COLS && a < (unsigned)ACROSS) {
                hone_load(v, x + (i64)c * X_STEP + a);
                tile[r + line][k + lane] = v[0];
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (unsigned r = 0; r < TILE; r += TROWS) {
#pragma unroll
        for (unsigned k = 0; k < TILE; k += 32) {
            const unsigned a = a0 + r + line, c = c0 + k + lane;
            if (c < (unsigned)COLS && a < (unsigned)ACROSS) {
                const hone_x v[1] = {tile[k + lane][r + line]};
                hone_tail(p, v, (outer * ACROSS + a) * BETWEEN + between, c);
            }
        }
    }
}

HONE_KERNEL __launch_bounds__(TROWS * 32, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    HONE_STATIC_SHARED hone_x tile[TILE][TILE + 1];
    const unsigned batch = blockIdx.z * gridDim.y + blockIdx.y;
    if (batch < (unsigned)BATCH) move_tile(p, tile, batch);
}
