// SPDX-License-Identifier: Apache-2.0
// The reductions of reduce_rows.cu over many elements, where all that counts is the speed of memory: a thread asks for PER vectors of 16 bytes
// before it adds the first. The loop of reduce_rows.cu tests and adds behind each load, so that a thread waits for one at a time.
//
//! kernel reduce_rows_many 1
//! form reduce_rows
//! dtype f32 f16 bf16
//! include sums.cuh
//! param team 8 32 128 512
//! let vec min(head_vec, 16 / elem)
//! let items ceil(head_cols, team * vec)
//! require head_rows * head_cols >= sms * 8192
//! require items >= 2 && (items <= 32 || team == 512) && count * team >= sms * 256
//! define VEC vec
//! define PER items >= 8 ? 8 : items >= 4 ? 4 : 2
//! define TEAM team
//! define THREADS max(team, 256)
//! define KIND kind
//! arg ROWS count
//! arg LENGTH head_cols
//! grid ceil(count, max(team, 256) / team)
//! block max(team, 256)
//! macs head_cols * 8 * max(team, 256) / team
//! bytes head_cols * elem * max(team, 256) / team
HONE_FN void sum_row(const hone_args &p, unsigned m, unsigned lane, total &t)
{
    for (unsigned begin = lane * VEC; begin < (unsigned)LENGTH; begin += PER * TEAM * VEC) {
        float x[PER][VEC];
#pragma unroll
        for (int k = 0; k < PER; k++) {
            // Behind the end the first vector stands in: with no branch all loads may start at once.
            const unsigned n = begin + k * (TEAM * VEC);
            hone_head(p, m, n < (unsigned)LENGTH ? n : begin, x[k]);
        }
#pragma unroll
        for (int k = 0; k < PER; k++) {
            if (begin + k * (TEAM * VEC) >= (unsigned)LENGTH) continue;
#pragma unroll
            for (int e = 0; e < VEC; e++) total_add(t, x[k][e]);
        }
    }
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned lane = threadIdx.x % TEAM, m = blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
    total t = total_start();
    if (m < (unsigned)ROWS) sum_row(p, m, lane, t);
    t = total_of_team(t);
    const float x[1] = {total_end(t, (float)LENGTH)};
    if (lane == 0 && m < (unsigned)ROWS) hone_tail(p, x, m, 0u);
}
