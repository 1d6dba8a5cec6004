// SPDX-License-Identifier: Apache-2.0
// Teams of TEAM threads (a power of two) that work on one row, several in a block of THREADS. What a team agrees on is found by shuffles within
// a warp, and through shared memory between its warps; every thread of the block must call these functions, since they hold barriers.

#define TEAM_WARPS (TEAM > 32 ? TEAM / 32 : 1)

HONE_FN float take_sum(float a, float b) { return a + b; }
HONE_FN float take_max(float a, float b) { return fmaxf(a, b); }
HONE_FN float take_min(float a, float b) { return fminf(a, b); }
HONE_FN float take_prod(float a, float b) { return a * b; }

template <typename F> HONE_FN float team_all(float value, F take)
{
#pragma unroll
    for (int mask = (TEAM < 32 ? TEAM : 32) / 2; mask > 0; mask /= 2) value = take(value, hone_shuffle_xor(value, mask));
    if constexpr (TEAM > 32) {
        HONE_STATIC_SHARED float parts[THREADS / 32];
        const unsigned warp = threadIdx.x / 32, first = warp / TEAM_WARPS * TEAM_WARPS;
        __syncthreads();                       // the last answer has been read by all
        if (threadIdx.x % 32 == 0) parts[warp] = value;
        __syncthreads();
        value = parts[first];
#pragma unroll
        for (int k = 1; k < TEAM_WARPS; k++) value = take(value, parts[first + k]);
    }
    return value;
}

#define TEAM_SUM(value) team_all(value, [](float a, float b) { return take_sum(a, b); })
#define TEAM_MAX(value) team_all(value, [](float a, float b) { return take_max(a, b); })
