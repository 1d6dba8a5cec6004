// SPDX-License-Identifier: Apache-2.0
// Reductions over the inner axes: a team of threads sums a contiguous row, wide accesses, then shuffles. One result a row.
//
//! kernel reduce_rows 1
//! form reduce_rows
//! dtype f32 f16 bf16
//! include sums.cuh
//! param team 8 32 128 512
//! param vec 1 2 4 8
//! require vec <= head_vec && (vec * 2 > head_vec || vec * elem >= 16)
//! require team == 8 || head_cols > team / 2
//! require team == 512 || head_cols <= team * 256
//! define VEC vec
//! define TEAM team
//! define THREADS max(team, 128)
//! define KIND kind
//! arg ROWS count
//! arg LENGTH head_cols
//! grid ceil(count, max(team, 128) / team)
//! block max(team, 128)
//! macs head_cols * 8 * max(team, 128) / team
//! bytes head_cols * elem * max(team, 128) / team
HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned lane = threadIdx.x % TEAM, m = blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
    total t = total_start();
    if (m < (unsigned)ROWS) {
#pragma unroll 4
        for (unsigned n = lane * VEC; n < (unsigned)LENGTH; n += TEAM * VEC) {
            float x[VEC];
            hone_head(p, m, n, x);
#pragma unroll
            for (int e = 0; e < VEC; e++) total_add(t, x[e]);
        }
    }
    t = total_of_team(t);
    const float x[1] = {total_end(t, (float)LENGTH)};
    if (lane == 0 && m < (unsigned)ROWS) hone_tail(p, x, m, 0u);
}
