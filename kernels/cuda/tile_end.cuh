// SPDX-License-Identifier: Apache-2.0
// From the first copies to the tail: what the bodies tile.cuh and wgmma.cuh have in common around their arithmetic. A body brings
// `arithmetic` with start() and spread(), and walk(). The result lies in shared memory as BM rows of C_PITCH floats before the tail.

// ---- the tail

#ifndef PUT
#define PUT hone_tail                          // V neighbours of the product to their place in the result
#define NEAR hone_tail_near                    // what that reads of column n
#endif

// What the tail reads of each column (a bias) is brought near while the block waits for its first copies: by the blocks of the first rows.
HONE_FN void near_columns(const hone_args &p, int n0, int n_shift)
{
    const int n = n0 + threadIdx.x * TV;
    if (threadIdx.x < BN / TV && n < N) NEAR(p, (unsigned)(n + n_shift));
}

// The blocks of a cluster differ in z, and z is the rank.
// V neighbours of the finished tile, summed over the blocks of the cluster.
template <int V> HONE_FN void gather_row(unsigned at, bool swapped, float (&x)[V])
{
    if constexpr (V < 4) {
        static_assert(V >= 4 || SPLITS == 1, "a cluster exchanges 16 bytes at once");
#pragma unroll
        for (int e = 0; e < V; e++) x[e] = __uint_as_float(hone_lds4(at + 4 * e));
    } else {
        // Of eight neighbouring floats every second group of four lanes takes the upper half first: no two lanes meet in a bank.
        float4 q[V / 4];
#pragma unroll
        for (int k = 0; k < V / 4; k++) q[k] = make_float4(0, 0, 0, 0);
#pragma unroll
        for (int rank = 0; rank < SPLITS; rank++) {
#pragma unroll
            for (int k = 0; k < V / 4; k++) {
                const unsigned from = at + (V == 8 && swapped ? 1 - k : k) * 16;
                float4 part;
                if constexpr (SPLITS == 1) part = hone_lds16(from);
                else part = hone_cluster_lds16(from, rank);
                q[k].x += part.x, q[k].y += part.y, q[k].z += part.z, q[k].w += part.w;
            }
        }
#pragma unroll
        for (int k = 0; k < V / 4; k++) {
            const float4 v = V == 8 && swapped ? q[V / 4 - 1 - k] : q[k];
            x[4 * k] = v.x, x[4 * k + 1] = v.y, x[4 * k + 2] = v.z, x[4 * k + 3] = v.w;
        }
    }
}

HONE_FN void finish(const hone_args &p, unsigned smem, int m0, int n0, int m_shift, int n_shift)
{
    const int rows = BM / SPLITS, first = SPLITS > 1 ? (int)blockIdx.z * rows : 0;
    constexpr int LPR = BN / TV;               // lanes of a row
#pragma unroll TAIL_UNROLL
    for (int item = threadIdx.x; item < rows * LPR; item += THREADS) {
        const int row = first + item / LPR, lane = item % LPR, m = m0 + row, n = n0 + lane * TV;
        if (m < M && n < N) {
            float x[TV];
            gather_row(smem + (row * C_PITCH + lane * TV) * 4, (lane >> 2) & 1, x);
            PUT(p, x, (unsigned)(m + m_shift), (unsigned)(n + n_shift));
        }
    }
}

#ifndef OWN_ENTRY
HONE_KERNEL __launch_bounds__(THREADS, MIN_BLOCKS) hone_kernel(HONE_CONST_ARGS p)
{
    // Blocks that run at the same time should share rows of A and columns of B in the L2: walk in bands of 8 tile rows.
    const int tiles_m = (M + BM - 1) / BM, tiles_n = (N + BN - 1) / BN, band = blockIdx.x / (8 * tiles_n);
    const int band_rows = min(8, tiles_m - band * 8), in_band = blockIdx.x - band * 8 * tiles_n;
    const int m0 = (band * 8 + in_band % band_rows) * BM, n0 = in_band / band_rows * BN, batch = blockIdx.y;
    const int all = (K + BK - 1) / BK, each = (all + SPLITS - 1) / SPLITS, first = blockIdx.z * each;
    const int tiles = max(0, min(all - first, each));
    const unsigned smem = hone_shared_address(hone_smem);

    a_loader load_a;
    b_loader load_b;
    arithmetic math;
#if CONV
    load_a.start(p, m0, first * BK, batch);
    load_b.start(p.in[IN_B], (i64)batch * N * K, K, N, n0, K, first * BK);
    const int m_shift = 0, n_shift = batch * N;
#else
    const i64 outer = batch / BATCH_INNER, inner = batch - outer * BATCH_INNER;
    load_a.start(p.in[IN_A], outer * A_OUTER + inner * A_INNER, LDA, M, m0, K, first * BK);
    load_b.start(p.in[IN_B], outer * B_OUTER + inner * B_INNER, LDB, N, n0, K, first * BK);
    const int m_shift = batch * M, n_shift = 0;
#endif
    math.start();
    const int ahead = fetch_ahead<STAGE_BYTES>(p, load_b, smem + A_BYTES, tiles);
    if (m0 == 0) near_columns(p, n0, n_shift);
    hone_follow(p);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        const unsigned stage = smem + s * STAGE_BYTES;
        if (s < tiles) {
            load_a.fetch(p, stage);
            if (s >= ahead) load_b.fetch(p, stage + A_BYTES);
            load_a.put(stage), load_b.put(stage + A_BYTES);
        }
        hone_async_commit();
    }
    hone_async_wait<STAGES - 2>();
    __syncthreads();
    walk(p, math, load_a, load_b, smem, tiles);
    hone_async_wait<0>();
    __syncthreads();
    math.spread(smem);
    if (SPLITS > 1) hone_cluster_sync();
    else __syncthreads();
    finish(p, smem, m0, n0, m_shift, n_shift);
    if (SPLITS > 1) hone_cluster_sync();       // no block may leave while others read its shared memory
}
#endif
