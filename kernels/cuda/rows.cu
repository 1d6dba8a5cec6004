// SPDX-License-Identifier: Apache-2.0
// Softmax, log-softmax, layer norm and its kin along contiguous rows, with elementwise steps before (a residual sum) and behind.
//
// A team of threads owns a row and keeps all of it in registers: the row is read once and written once, which is all that memory sees. The
// number of elements a thread holds (ITEMS vectors of VEC) is known when the kernel is compiled, so they are registers indeed. Sums are taken
// in float; the variance is that of the differences from the mean, a second pass over registers, so nothing cancels.
//
//! kernel rows 1
//! form rows
//! dtype f32 f16 bf16
//! include rows.cuh
//! param team 8 16 32 64 128 256 512 1024
//! require cols <= team * min(min(head_vec, vec_max), 8) * 8 && cols <= team * 32
//! require team <= 32 || cols * 2 > team * min(min(head_vec, vec_max), 8)
//! require team >= 32 || cols <= 64 || (team == 16 && cols <= 16 * min(min(head_vec, vec_max), 8))
//! require team != 16 || cols > 64
//! require count < sms * 8192 || cols < 64 || cols >= team * min(min(head_vec, vec_max), 8) * 2
//! define VEC min(min(head_vec, vec_max), 8)
//! define TEAM team
//! define THREADS max(team, 128)
//! define ITEMS ceil(cols, team * min(min(head_vec, vec_max), 8))
//! define EVEN 0
//! define QUICK 0
//! define OP op
//! define HAS_SCALE in_scale >= 0
//! define HAS_BIAS in_bias >= 0
//! define PER_ROW per_row
//! define IN_SCALE max(in_scale, 0)
//! define IN_BIAS max(in_bias, 0)
//! arg ROWS rows
//! arg COLS cols
//! arg REPEAT repeat
//! arg PERIOD period
//! real EPSILON epsilon
//! grid ceil(rows, max(team, 128) / team)
//! block max(team, 128)
//! macs cols * 24 * max(team, 128) / team
//! bytes cols * (elem + bytes_per_element) * max(team, 128) / team
//! registers 40
#define SCALES_FIRST (OP >= 2 && ITEMS * VEC <= 8)         // registers hold them beside the row

// Weights that are wanted when all else is done, or beside what is near already. One block asks for all: 32,768 that asked for the same 1,536 bytes took
// three times as long (H100).
HONE_FN void near_row(const hone_args &p, unsigned n)
{
    hone_head_near(p, n);
    hone_tail_near(p, n);
    if (HAS_SCALE && !PER_ROW) hone_bring_near((const SCALE_T *)p.in[IN_SCALE] + n);
    if (HAS_BIAS && !PER_ROW) hone_bring_near((const BIAS_T *)p.in[IN_BIAS] + n);
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    const unsigned lane = threadIdx.x % TEAM, m = blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
    const bool here = m < (unsigned)ROWS;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (blockIdx.x == 0 && threadIdx.x < TEAM && INSIDE) near_row(p, (lane + k * TEAM) * VEC);
    hone_follow(p);
    float x[ITEMS][VEC], scale[ITEMS][VEC], bias[ITEMS][VEC];
    load_row(p, m, here, lane, x);
    if (SCALES_FIRST) load_scales(p, m, here, lane, scale, bias);
    change_row(p, x, lane);
    if (!SCALES_FIRST) load_scales(p, m, here, lane, scale, bias);
    store_row(p, m, here, lane, x, scale, bias);
}
