// SPDX-License-Identifier: Apache-2.0
// A product, what stands behind it (bias, residual), and a layer norm over the rows of the result, on tensor cores: the ends of the two parts of a
// transformer's layer that norms its sums.
//
// A norm needs whole rows, and a row is too much for one block. The blocks of a cluster lie side by side along a row: each makes BM x BN of the
// product as in gemm_tile, adds up its part of every row, and reads the others' sums from their shared memory; once for the means, once for the
// squares of the differences from them. What leaves is normed already, and the sums before never see memory. Values stay in float until then.
// Arithmetic and copies are those of tile.cuh; blocks of a cluster differ in z.
//
//! kernel gemm_ended 1
//! form ended
//! dtype f16 bf16
//! arch 90
//! include tile.cuh
//! param bm 16 32 64
//! param bn 64 128 256
//! param bk 32 64
//! param warps 4 8
//! let stages 4
//! let warps_m bm == 16 ? 1 : bm * 4 <= bn ? 1 : 2
//! let wm bm / warps_m
//! let wn bn * warps_m / warps
//! let blocks n / bn
//! let depth ceil(k, bk)
//! let lanes bn / min(vec_max, 8)
//! let smem max(stages * bk * elem * (bm + bn), bm * (bn + 8) * 4) + 16 * bm
//! require n % bn == 0 && blocks >= 2 && blocks <= 8
//! require vec_max >= 4 && wn >= 16 && wm * wn <= 4096 && lanes <= 32 && bm * lanes >= warps * 32
//! require bm == 16 || m > bm / 2
//! require bm > 16 ? ceil(m, bm) * blocks * 5 >= sms : ceil(m, bm) * blocks <= sms * 2
//! require bk == 64 ? k > 64 : k * elem < 2048
//! require va * elem >= 4 && vb * elem >= 4 && smem <= smem_max
//! define OWN_ENTRY 1
//! define BM bm
//! define BN bn
//! define BK bk
//! define STAGES stages
//! define SPLITS 1
//! define BLOCKS blocks
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
//! define TV min(vec_max, 8)
//! define TAIL_UNROLL 1
//! define HAS_SCALE in_scale >= 0
//! define HAS_BIAS in_bias >= 0
//! define IN_SCALE max(in_scale, 0)
//! define IN_BIAS max(in_bias, 0)
//! define IN_A in_a
//! define IN_B in_b
//! arg M m
//! arg N n
//! arg K k
//! arg LDA lda
//! arg LDB ldb
//! real EPSILON epsilon
//! grid ceil(m, bm); 1; blocks
//! block warps * 32
//! shared smem
//! cluster blocks
//! macs bm * bn * bk * depth
//! rate min(1100, 64 * wm * wn / (wm + wn))
//! bytes (bm + bn) * bk * depth * elem + bm * bn * bytes_per_element
//! latency 3600 + 50 * depth / (stages - 1)
//! registers 96 + bm * bn / warps / 16
#define LANES (BN / TV)                        // of a row
#define PASSES (BM * LANES / THREADS)
#define ROW ((pass * THREADS + threadIdx.x) / LANES)
#define COLUMN (threadIdx.x % LANES * TV)

HONE_FN float sum_of_row(float x)
{
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2) x += hone_shuffle_xor(x, mask);
    return x;
}

// The sums of this block's parts of rows become those of the whole rows. `mine` and `whole` are BM floats of shared memory each, and no one
// writes to `mine` again. Holds a barrier of the cluster.
HONE_FN void sum_over_blocks(const float *mine, float *whole)
{
    hone_cluster_sync();
    for (int row = threadIdx.x * 4; row < BM; row += THREADS * 4) {
        float sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int rank = 0; rank < BLOCKS; rank++) {
            const float4 q = hone_cluster_lds16(hone_shared_address(mine + row), rank);
            sum[0] += q.x, sum[1] += q.y, sum[2] += q.z, sum[3] += q.w;
        }
#pragma unroll
        for (int e = 0; e < 4; e++) whole[row + e] = sum[e];
    }
    __syncthreads();
}

// The block's part of the product, through the steps before the norm; rows behind the last are left as zeros.
HONE_FN void read_sums(const hone_args &p, int m0, int n0, float (&x)[PASSES][TV])
{
    const float *c = (const float *)hone_smem;
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        float v[TV];
#pragma unroll
        for (int e = 0; e < TV; e++) v[e] = c[ROW * C_PITCH + COLUMN + e], x[pass][e] = 0;
        if (m0 + ROW < M) hone_middle(p, v, (unsigned)(m0 + ROW), (unsigned)(n0 + COLUMN), x[pass]);
    }
}

HONE_FN void norm_rows(const hone_args &p, float *sums, int m0, int n0, float (&x)[PASSES][TV])
{
    float *means = sums + BM, *squares = means + BM, *rates = squares + BM;
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        float sum = 0;
#pragma unroll
        for (int e = 0; e < TV; e++) sum += x[pass][e];
        sum = sum_of_row(sum);
        if (threadIdx.x % LANES == 0) sums[ROW] = sum;
    }
    sum_over_blocks(sums, means);
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        const float mean = means[ROW] / (float)N;
        float sum = 0;
#pragma unroll
        for (int e = 0; e < TV; e++) x[pass][e] -= mean, sum += x[pass][e] * x[pass][e];
        sum = sum_of_row(sum);
        if (threadIdx.x % LANES == 0) squares[ROW] = sum;
    }
    sum_over_blocks(squares, rates);
    float scale[TV], bias[TV];
#pragma unroll
    for (int e = 0; e < TV; e++) scale[e] = 1, bias[e] = 0;
    if (HAS_SCALE) hone_load(scale, (const SCALE_T *)p.in[IN_SCALE] + n0 + COLUMN);
    if (HAS_BIAS) hone_load(bias, (const BIAS_T *)p.in[IN_BIAS] + n0 + COLUMN);
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        const float rate = rsqrtf(rates[ROW] / (float)N + EPSILON);
#pragma unroll
        for (int e = 0; e < TV; e++) x[pass][e] = x[pass][e] * rate * scale[e] + bias[e];
        if (m0 + ROW < M) hone_tail(p, x[pass], (unsigned)(m0 + ROW), (unsigned)(n0 + COLUMN));
    }
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    const int m0 = blockIdx.x * BM, n0 = blockIdx.z * BN, tiles = (K + BK - 1) / BK;
    const unsigned smem = hone_shared_address(hone_smem);
    constexpr int used = STAGES * STAGE_BYTES > BM * C_PITCH * 4 ? STAGES * STAGE_BYTES : BM * C_PITCH * 4;
    a_loader load_a;
    b_loader load_b;
    arithmetic math;
    load_a.start(p.in[IN_A], 0, LDA, M, m0, K, 0);
    load_b.start(p.in[IN_B], 0, LDB, N, n0, K, 0);
    math.start();
    const int ahead = fetch_ahead<STAGE_BYTES>(p, load_b, smem + A_BYTES, tiles);
    hone_follow(p);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < tiles) load_a.fetch(p, smem + s * STAGE_BYTES);
        if (s < tiles && s >= ahead) load_b.fetch(p, smem + s * STAGE_BYTES + A_BYTES);
        hone_async_commit();
    }
    hone_async_wait<STAGES - 2>();
    __syncthreads();
    walk(p, math, load_a, load_b, smem, tiles);
    hone_async_wait<0>();
    __syncthreads();
    math.spread(smem);
    __syncthreads();
    float x[PASSES][TV];
    read_sums(p, m0, n0, x);
    norm_rows(p, (float *)(hone_smem + used), m0, n0, x);
    hone_cluster_sync();                       // no block may leave while others read its shared memory
}
