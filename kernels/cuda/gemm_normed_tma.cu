// SPDX-License-Identifier: Apache-2.0
// A layer norm and the product that reads it, on Hopper: the product begins before the norm is known.
//
// With a row's mean and rate (one over its deviation), scale s and bias b along K, a result of the product of the norm is
//     sum over k of ((x - mean) rate s + b) w  =  rate (sum of x s w  -  mean (sum of s w))  +  sum of b w,
// so that the tensor cores may multiply x s as it comes, and mean and rate, summed meanwhile, are put in at the end. A warpgroup between the fetcher
// and those that multiply (tma.cuh) scales each tile of A where it lies in the ring and keeps the sums of its rows. It writes s and b themselves into
// the last two of every 64 rows: their results are the two other sums, of each column, at no cost but 62 rows for 64.
//
// Sums of squares are those of the differences from the row's first element, so that a mean far from zero cancels little.
//
// Parameters
//   bm x bn    the tile, of which 62 rows for each 64 are results; a warpgroup multiplies 64 rows. Of 128 rows, sums of more than 128 columns leave
//              too few registers to those who scale.
//
//! kernel gemm_normed_tma 1
//! form normed
//! dtype f16 bf16
//! arch 90a
//! machine tma_ptx.cuh
//! include tma.cuh
//! param bm 64 128
//! param bn 64 128 192 256
//! let consumers bm / 64
//! let gives consumers == 2 ? 104 : bn == 256 ? 120 : 0
//! let stage 128 * (bm + bn)
//! let own consumers * 16384 + 240 + bm * 8 + consumers * bn * 8 + k * 4
//! let tiles ceil(m, bm / 64 * 62) * ceil(n, bn)
//! let blocks bm == 64 && bn == 64 && tiles > sms ? 2 : 1
//! let stages min(8, min(k / 64 - 1, ((blocks == 2 ? 115712 : smem_max) - own) / stage))
//! let barriers stages * stage + consumers * 16384
//! let clusters min(tiles, sms * blocks)
//! let rounds ceil(tiles, clusters)
//! let step max(bm * bn * 64 / (bn == 64 ? 1000 : bn == 128 ? 1450 : 1650), max(4 * (bm + bn), 260 * consumers))
//! let tail max(800 + bm * bn / (heavy ? 10 : 16), bm * bn * bytes_per_element / 16)
//! require va == 8 && vb == 8 && k % 64 == 0 && k >= 256 && stages >= 2
//! require (bm == 64 ? m >= 16 : m > 62) && (bn == 64 ? n >= 16 : n > bn - 64)
//! require bm == 64 || bn <= 128
//! require tiles * 4 >= sms || bm * bn <= 8192
//! require tiles <= sms * 3 || bm * bn >= 16384
//! define NORMED 1
//! define BM bm
//! define BN bn
//! define STAGES stages
//! define PINGPONG 0
//! define CM 1
//! define CN 1
//! define SPLITS 1
//! define CONSUMERS consumers
//! define GIVES gives
//! define TAKES consumers == 2 ? 184 : 232
//! define THREADS consumers * 128 + (gives ? 256 : 160)
//! define MIN_BLOCKS blocks
//! define BARRIERS barriers
//! define CHUNK 64
//! define BATCHED 0
//! define CONV 0
//! define A_K 1
//! define B_K tb
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define TAIL_UNROLL heavy ? 1 : 4
//! define IN_B in_b
//! define HAS_SCALE in_scale >= 0
//! define HAS_BIAS in_bias >= 0
//! define IN_SCALE max(in_scale, 0)
//! define IN_BIAS max(in_bias, 0)
//! define BATCH 1
//! define BATCH_INNER 1
//! define A_OUTER 0
//! define A_INNER 0
//! define B_OUTER 0
//! define B_INNER 0
//! define BAND 8
//! arg M m
//! arg N n
//! arg K k
//! real EPSILON epsilon
//! map in_a; k, 1, 64; m, k, 64
//! map in_b; tb ? k : n, 1, 64; tb ? n : k, ldb, tb ? bn : 64
//! grid clusters
//! block consumers * 128 + (gives ? 256 : 160)
//! shared barriers - consumers * 16384 + own
//! macs 0
//! latency 2300 + (blocks == 2 ? 2 : rounds) * (k / 64 * step + tail)
//! registers 72 + bn / 2
#define FETCHER (CONSUMERS * 128 + 128)
static_assert(MT == 1 && BARRIERS % 16 == 0, "64 rows a warpgroup");

HONE_FN unsigned norms_barrier(unsigned smem) { return smem + BARRIERS + 208; }
HONE_FN unsigned columns_barrier(unsigned smem, unsigned group) { return smem + BARRIERS + 216 + group * 8; }
HONE_FN unsigned factors_barrier(unsigned smem) { return smem + BARRIERS + 232; }
// Mean and rate of a row of the tile; of two columns, the products with s, then those with b.
HONE_FN unsigned norm_of(unsigned smem, unsigned row) { return smem + BARRIERS + 240 + row * 8; }
HONE_FN unsigned columns_of(unsigned smem, unsigned group) { return smem + BARRIERS + 240 + BM * 8 + group * BN * 8; }
// s, then b, as the tensor cores take them
HONE_FN unsigned factors_of(unsigned smem) { return columns_of(smem, CONSUMERS); }

HONE_FN hone_vec<T, 8> read_vector(unsigned at)
{
    hone_vec<T, 8> v;
    const float4 q = hone_lds16(at);
    v.w[0] = __float_as_uint(q.x), v.w[1] = __float_as_uint(q.y), v.w[2] = __float_as_uint(q.z), v.w[3] = __float_as_uint(q.w);
    return v;
}

HONE_FN void write_vector(unsigned at, const hone_vec<T, 8> &v) { hone_sts16(at, make_uint4(v.w[0], v.w[1], v.w[2], v.w[3])); }

// All at once: asked for step by step, each would be as far away as the memory when its step has come.
HONE_FN void store_factors(const hone_args &p, unsigned smem, unsigned thread)
{
    for (int k = thread * 8; k < K; k += 128 * 8) {
        float x[8], y[8];
        hone_vec<T, 8> s, b;
#pragma unroll
        for (int e = 0; e < 8; e++) x[e] = 1, y[e] = 0;
        if (HAS_SCALE) hone_load(x, (const SCALE_T *)p.in[IN_SCALE] + k);
        if (HAS_BIAS) hone_load(y, (const BIAS_T *)p.in[IN_BIAS] + k);
#pragma unroll
        for (int e = 0; e < 8; e++) hone_set(s.at[e], x[e]), hone_set(b.at[e], y[e]);
        write_vector(factors_of(smem) + k * 2, s);
        write_vector(factors_of(smem) + (K + k) * 2, b);
    }
    hone_sync_warp();
    if ((threadIdx.x & 31) == 0) hone_barrier_arrive(factors_barrier(smem));
    hone_barrier_wait(factors_barrier(smem), 0);
}

// Two lanes share a row of every block of 64, each has four of the eight chunks of 16 bytes that a step brings. One warp for each scheduler does
// this for a whole tile of A: what waits for each other (running sums, loads and stores) is kept apart.
struct normer {
    enum { WAYS = 4 / CONSUMERS };
    float first[CONSUMERS], sum[CONSUMERS][WAYS], squares[CONSUMERS][WAYS];

    HONE_FN void clear()
    {
#pragma unroll
        for (int i = 0; i < 4; i++) first[i / WAYS] = sum[i / WAYS][i % WAYS] = squares[i / WAYS][i % WAYS] = 0;
    }

    // Sums x in, and gives x s back; the factor itself in its own rows.
    HONE_FN hone_vec<T, 8> take(int block, const hone_vec<T, 8> &v, const hone_vec<T, 8> &factor, bool is_own)
    {
        hone_vec<T, 8> scaled;
#pragma unroll
        for (int e = 0; e < 8; e++) {
            const float x = hone_value(v.at[e]), off = x - first[block];
            sum[block][e % WAYS] += off;
            squares[block][e % WAYS] += off * off;
            hone_set(scaled.at[e], x * hone_value(factor.at[e]));
        }
#pragma unroll
        for (int i = 0; i < 4; i++) scaled.w[i] = is_own ? factor.w[i] : scaled.w[i];
        return scaled;
    }

    // at: this row's 128 bytes of the first block. factors: of this step's half; s, or b where it is b's row
    HONE_FN void scale(unsigned at, unsigned factors, unsigned row, unsigned half, bool is_start)
    {
#pragma unroll
        for (int block = 0; block < CONSUMERS; block++) {
            const unsigned to = at + block * BLOCK_BYTES;
            hone_vec<T, 8> v[4], factor[4];
#pragma unroll
            for (int c = 0; c < 4; c++) factor[c] = read_vector(factors + c * 16), v[c] = read_vector(to + (half * 4 + c ^ row & 7) * 16);
            if (is_start) {
                const float x = hone_value(v[0].at[0]), of_other = hone_shuffle_xor(x, 1);
                first[block] = half ? of_other : x;
            }
#pragma unroll
            for (int c = 0; c < 4; c++) v[c] = take(block, v[c], factor[c], row >= BLOCK_ROWS);
#pragma unroll
            for (int c = 0; c < 4; c++) write_vector(to + (half * 4 + c ^ row & 7) * 16, v[c]);
        }
    }

    HONE_FN void tell(const hone_args &p, unsigned smem, unsigned row, unsigned half)
    {
#pragma unroll
        for (int block = 0; block < CONSUMERS; block++) {
            float mine = 0, of_squares = 0;
#pragma unroll
            for (int i = 0; i < WAYS; i++) mine += sum[block][i], of_squares += squares[block][i];
            const float all = (mine + hone_shuffle_xor(mine, 1)) / (float)K;
            const float variance = (of_squares + hone_shuffle_xor(of_squares, 1)) / (float)K - all * all;
            if (half == 0) hone_sts8f(norm_of(smem, block * 64 + row), first[block] + all, rsqrtf(fmaxf(variance, 0) + EPSILON));
        }
    }
};

HONE_FN void norm(const hone_args &p, unsigned smem, int steps)
{
    const unsigned thread = threadIdx.x - CONSUMERS * 128, row = thread / 2, half = thread % 2;
    const unsigned factors = factors_of(smem) + (row == BLOCK_ROWS + 1 ? K * 2 : 0) + half * 64;
    ring at = {0, 0};
    normer rows;
    store_factors(p, smem, thread);
    for (int tile = blockIdx.x; tile < tile_count(p); tile += gridDim.x) {
        rows.clear();
        for (int step = 0; step < steps; step++, at.advance(1)) {
            hone_barrier_wait(full_barrier(smem, at.place), at.parity);
            rows.scale(smem + at.place * STAGE_BYTES + row * 128, factors + step * 128, row, half, step == 0);
            hone_fence_async();
            hone_sync_warp();
            if ((threadIdx.x & 31) == 0) hone_barrier_arrive(ready_barrier(smem, at.place));
        }
        rows.tell(p, smem, row, half);
        hone_sync_warp();
        if ((threadIdx.x & 31) == 0) hone_barrier_arrive(norms_barrier(smem));
    }
}

// From the products of x s to those of the norm. The last warp of a group has the sums of the columns. Norms and columns of a tile are written again
// when all have multiplied more steps of the next one than the ring has places, so that nobody still reads them.
HONE_FN void put_in_norms(sums &sums, unsigned smem, unsigned parity)
{
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32, group = warp / 4, columns = columns_of(smem, group);
    if (warp % 4 == 3) {
#pragma unroll
        for (int j = 0; j < BN / 8; j++)
            if (lane >= 24) hone_sts8f(columns + (j * 4 + (lane & 3)) * 16 + (lane >= 28) * 8, sums.acc[0][j * 4 + 2], sums.acc[0][j * 4 + 3]);
        hone_sync_warp();
        if (lane == 0) hone_barrier_arrive(columns_barrier(smem, group));
    }
    hone_barrier_wait(norms_barrier(smem), parity);
    hone_barrier_wait(columns_barrier(smem, group), parity);
    float mean[2], rate[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const unsigned at = norm_of(smem, group * 64 + warp % 4 * 16 + lane / 4 + i * 8);
        mean[i] = __uint_as_float(hone_lds4(at)), rate[i] = __uint_as_float(hone_lds4(at + 4));
    }
#pragma unroll
    for (int j = 0; j < BN / 8; j++) {
        const float4 q = hone_lds16(columns + (j * 4 + (lane & 3)) * 16);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            sums.acc[0][j * 4 + i * 2] = rate[i] * (sums.acc[0][j * 4 + i * 2] - mean[i] * q.x) + q.z;
            sums.acc[0][j * 4 + i * 2 + 1] = rate[i] * (sums.acc[0][j * 4 + i * 2 + 1] - mean[i] * q.y) + q.w;
        }
    }
}

HONE_FN void consume_normed(const hone_args &p, sums &sums, unsigned smem, int steps)
{
    ring at = {0, 0};
    unsigned parity = 0;
    for (int tile = blockIdx.x; tile < tile_count(p); tile += gridDim.x, parity ^= 1) {
        const tile_at here = locate(p, tile);
        multiply_tile(sums, smem, at, steps);
        put_in_norms(sums, smem, parity);
        store_tile(p, sums, smem, here);
    }
}

HONE_FN void make_barriers(unsigned smem)
{
    for (unsigned place = 0; place < STAGES; place++) {
        hone_barrier_init(full_barrier(smem, place), 1);
        hone_barrier_init(empty_barrier(smem, place), READERS * 4);
        hone_barrier_init(ready_barrier(smem, place), 4);
    }
    hone_barrier_init(norms_barrier(smem), 4);
    hone_barrier_init(factors_barrier(smem), 4);
    for (unsigned group = 0; group < CONSUMERS; group++) hone_barrier_init(columns_barrier(smem, group), 1);
    hone_barriers_made();
}

HONE_KERNEL __launch_bounds__(THREADS, MIN_BLOCKS) hone_kernel(HONE_MAPS_ARGS)
{
    const unsigned smem = hone_shared_address(hone_smem);
    const int steps = ALL_STEPS;
    int ahead = 0;
    sums sums;
    if (threadIdx.x == FETCHER) {
        hone_prefetch(maps.a), hone_prefetch(maps.b);
        make_barriers(smem);
        ahead = fetch_ahead(maps, p, smem, 0, steps);
    }
    if (threadIdx.x < BN / TV) near_columns(p);
    hone_sync_warp();
    __syncthreads();
    hone_follow(p);
    if (threadIdx.x >= FETCHER) {
        if constexpr (GIVES) hone_registers_give<40>();
        if (threadIdx.x == FETCHER) produce(maps, p, smem, 0, steps, ahead);
        hone_sync_warp();
    } else if (threadIdx.x >= CONSUMERS * 128) {
        if constexpr (GIVES) hone_registers_give<GIVES>();
        norm(p, smem, steps);
    } else {
        if constexpr (GIVES) hone_registers_take<TAKES>();
        consume_normed(p, sums, smem, steps);
    }
}
