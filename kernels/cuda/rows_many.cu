// SPDX-License-Identifier: Apache-2.0
// The operations of rows.cu for many rows, where all that counts is the speed of memory.
//
// Memory is at its speed when every multiprocessor has some 32 KB on their way: 16 bytes for each of 2,048 threads, more where arithmetic keeps
// threads from asking. So teams are small enough that no lane idles, and a thread has several 16-byte loads: ITEMS of a row, of PER rows, all
// before the first is used. Blocks are fewer by as much. A row goes through without a branch up to its stores, so that the rows of a thread
// take turns at waiting for shuffles. With a warp for a row, softmax of 196,608 rows of 128 halves had half of its lanes idle and 49,152 blocks,
// and took 48 us on an H100: 2.1 TB/s where a copy has 2.9.
// Where the team's registers are as many as the row is long, the compiler knows, and no element is asked whether it takes part.
//
//! kernel rows_many 1
//! form rows
//! dtype f32 f16 bf16
//! include rows.cuh
//! param team 4 8 16 32 64 128 256 512
//! param per 1 2 4
//! let vec min(min(head_vec, vec_max), 16 / elem)
//! let items ceil(cols, team * vec)
//! let threads team > 32 ? max(team, 128) : 256
//! require count >= sms * 8192
//! require items <= 8 && cols * 5 > items * team * vec * 3
//! require per == 1 || (team <= 32 && per * items * vec <= 32)
//! define VEC vec
//! define TEAM team
//! define PER per
//! define THREADS threads
//! define ITEMS items
//! define RESIDENT (per * items * vec <= 32 ? 768 : 512) / threads
//! define EVEN cols == items * team * vec
//! define QUICK 1
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
//! grid ceil(rows, per * threads / team)
//! block threads
//! macs cols * 24 * per * threads / team
//! bytes cols * (elem + bytes_per_element) * per * threads / team
//! registers 32 + per * items * vec
HONE_KERNEL __launch_bounds__(THREADS, RESIDENT) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned lane = threadIdx.x % TEAM, teams = THREADS / TEAM, first = blockIdx.x * (PER * teams) + threadIdx.x / TEAM;
    float x[PER][ITEMS][VEC];
#pragma unroll
    for (int r = 0; r < PER; r++) load_row(p, first + r * teams, first + r * teams < (unsigned)ROWS, lane, x[r]);
#pragma unroll
    for (int r = 0; r < PER; r++) change_row(p, x[r], lane);
#pragma unroll
    for (int r = 0; r < PER; r++) {
        const unsigned m = first + r * teams;
        float scale[ITEMS][VEC], bias[ITEMS][VEC];
        load_scales(p, m, m < (unsigned)ROWS, lane, scale, bias);
        store_row(p, m, m < (unsigned)ROWS, lane, x[r], scale, bias);
    }
}
