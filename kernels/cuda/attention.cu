// SPDX-License-Identifier: Apache-2.0
// Attention on tensor cores in one pass (after Dao's FlashAttention-2, arXiv 2307.08691): softmax(scale q k^T + mask) v without ever storing the
// matrix of weights.
//
// A block owns 16 * WQ queries of one head and walks over the keys in tiles of KEYS. Every warp holds 16 queries in registers and, of each tile,
// one part in WK: it multiplies them with its keys, keeps the running maximum and sum of each query, turns the scores into weights in place (the
// layout of an mma's result is that of the next one's left operand), and adds weights times values to its results. The WK parts of a query
// are merged at the end through shared memory. Keys and values of the next tile are copied while this one is computed.
//
// Rows in shared memory are padded by 16 bytes, so that eight rows at one column, as ldmatrix takes them, lie in different banks.
//
//! kernel attention 1
//! form attention
//! dtype f16 bf16
//! param wq 1 2 4 8
//! param wk 1 2 4
//! param keys 32 64 128
//! require min(min(q_vec, k_vec), v_vec) >= 8 && depth <= 128 && value_depth <= 128
//! require wq * wk >= 2 && wq * wk <= 8 && keys / wk >= 16 && keys / wk <= 64
//! require wq == 1 || queries > 8 * wq
//! require keys == 32 || t_keys > keys / 2
//! require wk == 1 || ceil(queries, 16 * wq) * heads * batch <= 2 * sms
//! require wq * wk >= 4 || ceil(queries, 16 * wq) * heads * batch * wk <= 4 * sms
//! define WQ wq
//! define WK wk
//! define KEYS keys
//! define DEPTH align(depth, 16)
//! define VALUE_DEPTH align(value_depth, 16)
//! define REAL_DEPTH depth
//! define REAL_VALUE_DEPTH value_depth
//! define MASK mask_kind
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define IN_Q in_q
//! define IN_K in_k
//! define IN_V in_v
//! define IN_MASK max(in_mask, 0)
//! define HEADS_INNER heads_inner
//! arg HEADS heads
//! arg KV_GROUP kv_group
//! arg QUERIES queries
//! arg T_KEYS t_keys
//! arg Q_OFFSET q_offset
//! arg Q_BATCH q_batch
//! arg Q_SEQ q_seq
//! arg Q_HEAD q_head
//! arg K_OFFSET k_offset
//! arg K_BATCH k_batch
//! arg K_SEQ k_seq
//! arg K_HEAD k_head
//! arg V_OFFSET v_offset
//! arg V_BATCH v_batch
//! arg V_SEQ v_seq
//! arg V_HEAD v_head
//! arg MASK_B mask_b
//! arg MASK_H mask_h
//! arg MASK_Q mask_q
//! arg MASK_K mask_k
//! real SCALE scale
//! grid ceil(queries, 16 * wq); heads; batch
//! block wq * wk * 32
//! shared max(wq * 16 * (align(depth, 16) + 8) * 2 + 2 * keys * (align(depth, 16) + align(value_depth, 16) + 16) * 2, wk * wq * 16 * (align(value_depth, 16) + 8) * 4 + wk * wq * 128)
//! macs 16 * wq * align(t_keys, keys) * (align(depth, 16) + align(value_depth, 16))
//! rate 700
//! bytes t_keys * (depth + value_depth) * 2 + 16 * wq * (depth + value_depth) * 2
//! registers 64 + align(depth, 16) / 4 + keys / wk / 2 + align(value_depth, 16) / 2
#define THREADS (WQ * WK * 32)
#define QUERIES_HERE (16 * WQ)
#define K_PITCH (DEPTH * 2 + 16)
#define V_PITCH (VALUE_DEPTH * 2 + 16)
#define Q_BYTES (QUERIES_HERE * K_PITCH)
#define TILE_BYTES (KEYS * (K_PITCH + V_PITCH))
#define PART (KEYS / WK)                       // keys of a tile that a warp takes
#define O_PITCH (VALUE_DEPTH + 8)              // floats
#define LOG2E 1.4426950408889634f

#if IS_BF16
#define MMA hone_mma_bf16
#define PACK hone_bf16x2
#else
#define MMA hone_mma_f16
#define PACK hone_f16x2
#endif

// Rows [row0, row0 + ROWS) of a matrix with rows of COLS elements to shared memory; rows from `end` on and columns behind COLS become zeros.
template <int ROWS, int COLS, int WIDE> HONE_FN void copy_rows(unsigned to, const T *from, int step, int row0, int end)
{
    constexpr int CHUNKS = WIDE / 8;
    for (int k = threadIdx.x; k < ROWS * CHUNKS; k += THREADS) {
        const int row = k / CHUNKS, chunk = k % CHUNKS;
        const bool wanted = row0 + row < end && chunk * 8 < COLS;
        hone_async16(to + row * (WIDE * 2 + 16) + chunk * 16, from + (wanted ? (i64)(row0 + row) * step + chunk * 8 : 0), wanted);
    }
}

struct state {
    unsigned q[DEPTH / 16][4];
    float o[VALUE_DEPTH / 8][4], top[2], sum[2];       // of rows g and g + 8 of the warp's 16
};

HONE_FN void load_queries(state &s, unsigned smem, unsigned row0)
{
    const unsigned lane = threadIdx.x & 31;
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) hone_ldmatrix4(s.q[k], smem + (row0 + (lane & 15)) * K_PITCH + k * 32 + (lane >> 4) * 16);
}

// Scores of the warp's part of a tile.
HONE_FN void multiply_keys(const state &s, unsigned keys, float (&score)[PART / 8][4])
{
    const unsigned lane = threadIdx.x & 31;
#pragma unroll
    for (int j = 0; j < PART / 8; j++) score[j][0] = score[j][1] = score[j][2] = score[j][3] = 0;
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) {
#pragma unroll
        for (int j = 0; j < PART / 8; j += 2) {
            unsigned b[4];
            hone_ldmatrix4(b, keys + (j * 8 + (lane & 7) + (lane >> 4) * 8) * K_PITCH + k * 32 + ((lane >> 3) & 1) * 16);
            MMA(score[j], s.q[k], b[0], b[1]);
            MMA(score[j + 1], s.q[k], b[2], b[3]);
        }
    }
}

// Scale, mask and the end of the keys; in units of log2, since powers of two are what the machine computes.
HONE_FN void mask_scores(const hone_args &p, float (&score)[PART / 8][4], int query, int key0)
{
    const unsigned lane = threadIdx.x & 31;
    const MASK_T *mask = (const MASK_T *)p.in[IN_MASK] + ((i64)blockIdx.z * MASK_B + (i64)blockIdx.y * MASK_H);
#pragma unroll
    for (int j = 0; j < PART / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int key = key0 + j * 8 + (lane & 3) * 2 + e % 2, row = query + e / 2 * 8;
            float x = score[j][e] * (SCALE * LOG2E);
            if (MASK && key < T_KEYS && row < QUERIES) {
                float m[1];
                hone_load(m, mask + ((i64)(MASK == 2 ? row * (i64)MASK_Q : 0) + (i64)key * MASK_K));
                x += m[0] * LOG2E;
            }
            score[j][e] = key < T_KEYS ? x : -HONE_INFINITY;
        }
    }
}

// The new maxima; scores become weights and what was summed before is scaled to the new maxima.
HONE_FN void soften(state &s, float (&score)[PART / 8][4])
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float top = s.top[h];
#pragma unroll
        for (int j = 0; j < PART / 8; j++) top = fmaxf(top, fmaxf(score[j][2 * h], score[j][2 * h + 1]));
        top = fmaxf(top, hone_shuffle_xor(top, 1));
        top = fmaxf(top, hone_shuffle_xor(top, 2));
        const float base = top == -HONE_INFINITY ? 0 : top, factor = hone_exp2(s.top[h] - base);
        s.top[h] = top;
        s.sum[h] *= factor;
#pragma unroll
        for (int j = 0; j < VALUE_DEPTH / 8; j++) s.o[j][2 * h] *= factor, s.o[j][2 * h + 1] *= factor;
#pragma unroll
        for (int j = 0; j < PART / 8; j++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float weight = hone_exp2(score[j][2 * h + e] - base);
                score[j][2 * h + e] = weight;
                s.sum[h] += weight;
            }
        }
    }
}

HONE_FN void multiply_values(state &s, unsigned values, const float (&score)[PART / 8][4])
{
    const unsigned lane = threadIdx.x & 31;
#pragma unroll
    for (int k = 0; k < PART / 16; k++) {
        const unsigned a[4] = {PACK(score[2 * k][0], score[2 * k][1]), PACK(score[2 * k][2], score[2 * k][3]),
                               PACK(score[2 * k + 1][0], score[2 * k + 1][1]), PACK(score[2 * k + 1][2], score[2 * k + 1][3])};
#pragma unroll
        for (int j = 0; j < VALUE_DEPTH / 8; j += 2) {
            unsigned b[4];
            hone_ldmatrix4_trans(b, values + (k * 16 + (lane & 15)) * V_PITCH + j * 16 + (lane >> 4) * 16);
            MMA(s.o[j], a, b[0], b[1]);
            MMA(s.o[j + 1], a, b[2], b[3]);
        }
    }
}

// Every warp's results, maxima and sums to shared memory: [part][query][value], then [part][query] twice.
HONE_FN void spread(const state &s, unsigned part, unsigned row0)
{
    float *o = (float *)hone_smem + part * (QUERIES_HERE * O_PITCH), *tops = (float *)hone_smem + WK * QUERIES_HERE * O_PITCH;
    const unsigned lane = threadIdx.x & 31;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const unsigned row = row0 + lane / 4 + h * 8;
        float sum = s.sum[h];
        sum += hone_shuffle_xor(sum, 1);
        sum += hone_shuffle_xor(sum, 2);
#pragma unroll
        for (int j = 0; j < VALUE_DEPTH / 8; j++) *(float2 *)(o + row * O_PITCH + j * 8 + (lane & 3) * 2) = make_float2(s.o[j][2 * h], s.o[j][2 * h + 1]);
        if ((lane & 3) == 0) {
            tops[part * QUERIES_HERE + row] = s.top[h];
            tops[(WK + part) * QUERIES_HERE + row] = sum;
        }
    }
}

HONE_FN void finish(const hone_args &p, int query0)
{
    const float *o = (const float *)hone_smem, *tops = o + WK * QUERIES_HERE * O_PITCH, *sums = tops + WK * QUERIES_HERE;
    constexpr int LPR = REAL_VALUE_DEPTH / TV;         // lanes of a row
    for (int item = threadIdx.x; item < QUERIES_HERE * LPR; item += THREADS) {
        const int row = item / LPR, d = item % LPR * TV, query = query0 + row;
        if (query >= QUERIES) continue;
        float top = -HONE_INFINITY, sum = 0, x[TV];
#pragma unroll
        for (int e = 0; e < TV; e++) x[e] = 0;
#pragma unroll
        for (int part = 0; part < WK; part++) top = fmaxf(top, tops[part * QUERIES_HERE + row]);
#pragma unroll
        for (int part = 0; part < WK; part++) {
            const float factor = hone_exp2(tops[part * QUERIES_HERE + row] - (top == -HONE_INFINITY ? 0 : top));
            sum += factor * sums[part * QUERIES_HERE + row];
#pragma unroll
            for (int e = 0; e < TV; e++) x[e] += factor * o[(part * QUERIES_HERE + row) * O_PITCH + d + e];
        }
#pragma unroll
        for (int e = 0; e < TV; e++) x[e] /= sum;
        const unsigned m = HEADS_INNER ? (blockIdx.z * QUERIES + query) * HEADS + blockIdx.y : (blockIdx.z * HEADS + blockIdx.y) * QUERIES + query;
        hone_tail(p, x, m, (unsigned)d);
    }
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned smem = hone_shared_address(hone_smem), warp = threadIdx.x / 32, part = warp / WQ, row0 = warp % WQ * 16;
    const int query0 = blockIdx.x * QUERIES_HERE, tiles = (T_KEYS + KEYS - 1) / KEYS;
    const T *q = (const T *)p.in[IN_Q] + (Q_OFFSET + (i64)blockIdx.z * Q_BATCH + (i64)blockIdx.y * Q_HEAD);
    const T *k = (const T *)p.in[IN_K] + (K_OFFSET + (i64)blockIdx.z * K_BATCH + (i64)(blockIdx.y / KV_GROUP) * K_HEAD);
    const T *v = (const T *)p.in[IN_V] + (V_OFFSET + (i64)blockIdx.z * V_BATCH + (i64)(blockIdx.y / KV_GROUP) * V_HEAD);
    state s;
#pragma unroll
    for (int j = 0; j < VALUE_DEPTH / 8; j++) s.o[j][0] = s.o[j][1] = s.o[j][2] = s.o[j][3] = 0;
    s.top[0] = s.top[1] = -HONE_INFINITY, s.sum[0] = s.sum[1] = 0;

    copy_rows<QUERIES_HERE, REAL_DEPTH, DEPTH>(smem, q, Q_SEQ, query0, QUERIES);
    copy_rows<KEYS, REAL_DEPTH, DEPTH>(smem + Q_BYTES, k, K_SEQ, 0, T_KEYS);
    copy_rows<KEYS, REAL_VALUE_DEPTH, VALUE_DEPTH>(smem + Q_BYTES + KEYS * K_PITCH, v, V_SEQ, 0, T_KEYS);
    hone_async_commit();
    for (int t = 0; t < tiles; t++) {
        const unsigned here = smem + Q_BYTES + t % 2 * TILE_BYTES, next = smem + Q_BYTES + (t + 1) % 2 * TILE_BYTES;
        float score[PART / 8][4];
        if (t + 1 < tiles) {
            copy_rows<KEYS, REAL_DEPTH, DEPTH>(next, k, K_SEQ, (t + 1) * KEYS, T_KEYS);
            copy_rows<KEYS, REAL_VALUE_DEPTH, VALUE_DEPTH>(next + KEYS * K_PITCH, v, V_SEQ, (t + 1) * KEYS, T_KEYS);
        }
        hone_async_commit();
        hone_async_wait<1>();
        __syncthreads();
        if (t == 0) load_queries(s, smem, row0);
        multiply_keys(s, here + part * PART * K_PITCH, score);
        mask_scores(p, score, query0 + row0 + (threadIdx.x & 31) / 4, t * KEYS + part * PART);
        soften(s, score);
        multiply_values(s, here + KEYS * K_PITCH + part * PART * V_PITCH, score);
        __syncthreads();                       // the next round copies over this tile
    }
    hone_async_wait<0>();
    __syncthreads();
    spread(s, part, row0);
    __syncthreads();
    finish(p, query0);
}
