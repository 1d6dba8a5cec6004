// SPDX-License-Identifier: Apache-2.0
// Reductions over any axes: a team of threads for every result, wherever its elements lie. For the shapes that the other two do not serve.
//
//! kernel reduce_any 1
//! form reduce_any
//! dtype f32 f16 bf16
//! include sums.cuh
//! param team 8 32 128
//! require team == 8 || length > team / 2
//! define TEAM team
//! define THREADS 128
//! define KIND kind
//! arg COUNT count
//! arg LENGTH length
//! arg IN_COLS head_cols
//! arg KD0 kepdiv0
//! arg KM0 kepmod0
//! arg KS0 kepstep0
//! arg KD1 kepdiv1
//! arg KM1 kepmod1
//! arg KS1 kepstep1
//! arg KD2 kepdiv2
//! arg KM2 kepmod2
//! arg KS2 kepstep2
//! arg KD3 kepdiv3
//! arg KM3 kepmod3
//! arg KS3 kepstep3
//! arg RD0 reddiv0
//! arg RM0 redmod0
//! arg RS0 redstep0
//! arg RD1 reddiv1
//! arg RM1 redmod1
//! arg RS1 redstep1
//! arg RD2 reddiv2
//! arg RM2 redmod2
//! arg RS2 redstep2
//! arg RD3 reddiv3
//! arg RM3 redmod3
//! arg RS3 redstep3
//! grid ceil(count, 128 / team)
//! block 128
//! macs length * 128 / team * 40
//! bytes length * 128 / team * 32
#define TERM(at, d, m, s) ((at) / (unsigned)(d) % (unsigned)(m) * (unsigned)(s))

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned lane = threadIdx.x % TEAM, at = blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
    const unsigned base = TERM(at, KD0, KM0, KS0) + TERM(at, KD1, KM1, KS1) + TERM(at, KD2, KM2, KS2) + TERM(at, KD3, KM3, KS3);
    total t = total_start();
    for (unsigned k = lane; k < (unsigned)LENGTH && at < (unsigned)COUNT; k += TEAM) {
        const unsigned from = base + TERM(k, RD0, RM0, RS0) + TERM(k, RD1, RM1, RS1) + TERM(k, RD2, RM2, RS2) + TERM(k, RD3, RM3, RS3);
        float x[1];
        hone_head(p, from / (unsigned)IN_COLS, from % (unsigned)IN_COLS, x);
        total_add(t, x[0]);
    }
    t = total_of_team(t);
    const float x[1] = {total_end(t, (float)LENGTH)};
    if (lane == 0 && at < (unsigned)COUNT) hone_tail(p, x, at, 0u);
}
