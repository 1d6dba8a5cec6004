// SPDX-License-Identifier: Apache-2.0
// A layer norm and the product that reads it, on tensor cores: q, k and v, or the first of the two products behind an attention.
//
// Alone, the norm of a few hundred rows is a launch, one reading and one writing of what lies in the L2 anyway. Here a block reads its BM rows of x
// whole, before its walk along K: they stay in shared memory as the panel of all of A's tiles, are normed where they lie, and only B is still
// fetched step by step, its first steps while the norm is computed. Every block of a row of tiles norms the same rows; with few rows that costs
// less than the launch did. Norms are as in rows.cu (the variance is that of the differences from the mean), rounded as if they had been stored.
// Arithmetic, copies and tail are those of tile.cuh.
//
//! kernel gemm_normed 1
//! form normed
//! dtype f16 bf16
//! include tile.cuh
//! param bm 16 32 64
//! param bn 32 64 128
//! param bk 32 64
//! param warps 4 8
//! let stages 4
//! let warps_m bm == 16 ? 1 : warps == 8 ? (bm > bn ? 4 : 2) : bm * 4 <= bn ? 1 : 2
//! let wm bm / warps_m
//! let wn bn * warps_m / warps
//! let tiles ceil(m, bm) * ceil(n, bn)
//! let smem max(bm * k * elem + stages * bk * bn * elem, bm * (bn + 8) * 4)
//! require wn >= 16 && (warps == 8 ? bm * bn >= 2048 : bm * bn <= 8192)
//! require bm == 16 ? m <= 512 : m > bm / 2
//! require bn == 32 || n > bn / 2
//! require tiles * 5 >= sms || bm * bn <= 2048
//! require tiles <= sms * bm * bn / 512 || bm * bn >= 4096
//! require k % bk == 0 && k >= 2 * bk && k <= 2048 && va * elem >= 16 && vb * elem >= 4
//! require bk == 64 || k <= 256 || bn == 128
//! require smem <= smem_max
//! define OWN_ENTRY 1
//! define BM bm
//! define BN bn
//! define BK bk
//! define STAGES stages
//! define SPLITS 1
//! define THREADS warps * 32
//! define WARPS_M warps_m
//! define WARPS_N warps / warps_m
//! define MATH 0
//! define ES elem
//! define CONV 0
//! define A_K 1
//! define B_K tb
//! define VA va
//! define VB vb
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define TAIL_UNROLL heavy ? 1 : 2
//! define CHUNKS ceil(k, 256)
//! define HAS_SCALE in_scale >= 0
//! define HAS_BIAS in_bias >= 0
//! define IN_SCALE max(in_scale, 0)
//! define IN_BIAS max(in_bias, 0)
//! define IN_A in_a
//! define IN_B in_b
//! arg M m
//! arg N n
//! arg K k
//! arg LDB ldb
//! real EPSILON epsilon
//! grid ceil(m, bm) * ceil(n, bn)
//! block warps * 32
//! shared smem
//! macs bm * bn * k
//! rate min(1100, 64 * wm * wn / (wm + wn))
//! bytes (bm + bn) * k * elem + bm * bn * bytes_per_element
//! latency 2200 + 50 * k / bk / (stages - 1) + bm * k / (warps * 8)
//! registers 96 + bm * bn / warps / 32 + wm / 2 + wn / 2
#define EACH for (int i = 0; i < CHUNKS; i++) for (int e = 0; e < 8; e++)
// Chunk i of a lane's row, eight elements; those behind the end take no part.
#define CHUNK (i * 32 + (threadIdx.x & 31))
#define INSIDE (CHUNK * 8 < (unsigned)K)

HONE_FN unsigned chunk_place(unsigned panel, unsigned row, unsigned chunk)
{
    return panel + chunk / A_CPR * A_BYTES + place<A_CPR, A_PITCH, A_SWIZZLED>(row, chunk % A_CPR);
}

HONE_FN float sum_of_warp(float x)
{
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) x += hone_shuffle_xor(x, mask);
    return x;
}

HONE_FN void load_vectors(const hone_args &p, float (&scale)[CHUNKS][8], float (&bias)[CHUNKS][8])
{
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
#pragma unroll
        for (int e = 0; e < 8; e++) scale[i][e] = 1, bias[i][e] = 0;
        if (!INSIDE) continue;
        if (HAS_SCALE) hone_load(scale[i], (const SCALE_T *)p.in[IN_SCALE] + CHUNK * 8);
        if (HAS_BIAS) hone_load(bias[i], (const BIAS_T *)p.in[IN_BIAS] + CHUNK * 8);
    }
}

HONE_FN void load_row(const hone_args &p, unsigned panel, unsigned row, float (&x)[CHUNKS][8])
{
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
        hone_vec<T, 8> v;
        const float4 q = hone_lds16(chunk_place(panel, row, INSIDE ? CHUNK : 0));
        v.w[0] = __float_as_uint(q.x), v.w[1] = __float_as_uint(q.y), v.w[2] = __float_as_uint(q.z), v.w[3] = __float_as_uint(q.w);
#pragma unroll
        for (int e = 0; e < 8; e++) x[i][e] = INSIDE ? hone_value(v.at[e]) : 0;
    }
}

// A warp takes every WARPS-th row of the panel.
HONE_FN void normalise(const hone_args &p, unsigned panel, const float (&scale)[CHUNKS][8], const float (&bias)[CHUNKS][8])
{
    for (unsigned row = threadIdx.x / 32; row < BM; row += THREADS / 32) {
        float x[CHUNKS][8], sum = 0, squares = 0;
        load_row(p, panel, row, x);
#pragma unroll
        EACH sum += x[i][e];
        const float mean = sum_of_warp(sum) / (float)K;
#pragma unroll
        EACH squares += INSIDE ? (x[i][e] - mean) * (x[i][e] - mean) : 0;
        const float rate = rsqrtf(sum_of_warp(squares) / (float)K + EPSILON);
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            hone_vec<T, 8> v;
#pragma unroll
            for (int e = 0; e < 8; e++) hone_set(v.at[e], (x[i][e] - mean) * rate * scale[i][e] + bias[i][e]);
            if (INSIDE) hone_sts16(chunk_place(panel, row, CHUNK), make_uint4(v.w[0], v.w[1], v.w[2], v.w[3]));
        }
    }
}

// The walk of tile.cuh with A's tiles behind each other and B's in a ring.
HONE_FN void walk_panel(const hone_args &p, arithmetic &math, b_loader &load_b, unsigned panel, unsigned ring, int tiles)
{
    unsigned a = panel, read = ring, write = ring + (STAGES - 1) * B_BYTES;
    const unsigned end = ring + STAGES * B_BYTES;
    math.load_a(a, 0, math.a[0]);
    math.load_b(read, 0, math.b[0]);
    for (int t = 0; t < tiles; t++) {
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            if (step == STEPS - 1) {
                hone_async_wait<STAGES - 2>();
                __syncthreads();
                a = t + 1 < tiles ? a + A_BYTES : a;
                read = read + B_BYTES == end ? ring : read + B_BYTES;
                write = write + B_BYTES == end ? ring : write + B_BYTES;
            }
            math.load_a(a, (step + 1) % STEPS, math.a[(step + 1) % 2]);
            math.load_b(read, (step + 1) % STEPS, math.b[(step + 1) % 2]);
            if (step == 0) {
                if (t + STAGES - 1 < tiles) load_b.fetch(p, write);
                hone_async_commit();
            }
            math.multiply(step % 2);
        }
    }
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    // Blocks that run at the same time share columns of B: rows of tiles are taken one behind the other.
    const int tiles_m = (M + BM - 1) / BM, m0 = blockIdx.x % tiles_m * BM, n0 = blockIdx.x / tiles_m * BN, tiles = K / BK;
    const unsigned panel = hone_shared_address(hone_smem), ring = panel + tiles * A_BYTES;
    a_loader load_a;
    b_loader load_b;
    arithmetic math;
    float scale[CHUNKS][8], bias[CHUNKS][8];
    load_a.start(p.in[IN_A], 0, K, M, m0, K, 0);
    load_b.start(p.in[IN_B], 0, LDB, N, n0, K, 0);
    math.start();
    const int ahead = fetch_ahead<B_BYTES>(p, load_b, ring, tiles);
    if (m0 == 0) near_columns(p, n0, 0);
    hone_follow(p);
    for (int t = 0; t < tiles; t++) load_a.fetch(p, panel + t * A_BYTES);
    hone_async_commit();
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < tiles && s >= ahead) load_b.fetch(p, ring + s * B_BYTES);
        hone_async_commit();
    }
    load_vectors(p, scale, bias);
    hone_async_wait<STAGES - 1>();
    __syncthreads();
    normalise(p, panel, scale, bias);
    hone_async_wait<STAGES - 2>();
    __syncthreads();
    walk_panel(p, math, load_b, panel, ring, tiles);
    hone_async_wait<0>();
    __syncthreads();
    math.spread(panel);
    __syncthreads();
    finish(p, panel, m0, n0, 0, 0);
}
