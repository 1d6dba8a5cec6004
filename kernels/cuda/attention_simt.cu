// SPDX-License-Identifier: Apache-2.0
// Attention in full FP32 on the ordinary units, for every type, depth and alignment; in one pass like attention.cu.
//
// A block of 128 threads owns 16 queries of one head; eight neighbouring threads share a query. Keys and values come in tiles of 32 through
// shared memory as floats. A thread scores four keys of a tile against its query, the eight agree on the maximum, the weights go through
// shared memory, and each thread adds up its own eighth of the result's columns.
//
//! kernel attention_simt 1
//! form attention
//! dtype f32 f16 bf16
//! param keys 32
//! require keys == 32 && depth <= 256 && value_depth <= 256
//! define DEPTH align(depth, 4)
//! define VALUE_DEPTH align(value_depth, 32)
//! define REAL_DEPTH depth
//! define REAL_VALUE_DEPTH value_depth
//! define MASK mask_kind
//! define TV min(vec_max, 4)
//! define QV min(min(q_vec, min(k_vec, v_vec)), 4)
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
//! grid ceil(queries, 16); heads; batch
//! block 128
//! shared (16 * (align(depth, 4) + 4) + 32 * (align(depth, 4) + 4) + 32 * (align(value_depth, 32) + 4) + 16 * 36) * 4
//! macs 16 * t_keys * (depth + value_depth)
//! rate 40
//! bytes t_keys * (depth + value_depth) * elem
//! registers 64 + value_depth / 8
#define K_PITCH (DEPTH + 4)                    // floats
#define V_PITCH (VALUE_DEPTH + 4)
#define W_PITCH 36
#define Q_AT 0
#define K_AT (16 * K_PITCH)
#define V_AT (K_AT + 32 * K_PITCH)
#define W_AT (V_AT + 32 * V_PITCH)

// ROWS rows as floats; what lies outside becomes zeros.
template <int ROWS, int COLS, int WIDE, int PITCH> HONE_FN void copy_rows(float *to, const T *from, int step, int row0, int end)
{
    for (int k = threadIdx.x; k < ROWS * (WIDE / QV); k += 128) {
        const int row = k / (WIDE / QV), col = k % (WIDE / QV) * QV;
        float v[QV];
        if (row0 + row < end && col < COLS) {
            hone_load(v, from + ((i64)(row0 + row) * step + col));
        } else {
#pragma unroll
            for (int e = 0; e < QV; e++) v[e] = 0;
        }
#pragma unroll
        for (int e = 0; e < QV; e++) to[row * PITCH + col + e] = v[e];
    }
}

HONE_FN float4 four(const float *at) { return *(const float4 *)at; }

// This thread's four keys of the tile, 8 apart.
HONE_FN void score_keys(const float *q, const float *k, float (&score)[4])
{
#pragma unroll
    for (int j = 0; j < 4; j++) score[j] = 0;
#pragma unroll 4
    for (int d = 0; d < DEPTH; d += 4) {
        const float4 a = four(q + d);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float4 b = four(k + j * 8 * K_PITCH + d);
            score[j] += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
        }
    }
}

HONE_FN float all_eight_max(float x)
{
#pragma unroll
    for (int mask = 4; mask > 0; mask /= 2) x = fmaxf(x, hone_shuffle_xor(x, mask));
    return x;
}

HONE_KERNEL __launch_bounds__(128, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    float *smem = (float *)hone_smem;
    const unsigned row = threadIdx.x / 8, eighth = threadIdx.x % 8;
    const int query0 = blockIdx.x * 16, query = query0 + row;
    const T *q = (const T *)p.in[IN_Q] + (Q_OFFSET + (i64)blockIdx.z * Q_BATCH + (i64)blockIdx.y * Q_HEAD);
    const T *k = (const T *)p.in[IN_K] + (K_OFFSET + (i64)blockIdx.z * K_BATCH + (i64)(blockIdx.y / KV_GROUP) * K_HEAD);
    const T *v = (const T *)p.in[IN_V] + (V_OFFSET + (i64)blockIdx.z * V_BATCH + (i64)(blockIdx.y / KV_GROUP) * V_HEAD);
    const MASK_T *mask = (const MASK_T *)p.in[IN_MASK] + ((i64)blockIdx.z * MASK_B + (i64)blockIdx.y * MASK_H + (i64)query * MASK_Q);
    float o[VALUE_DEPTH / 32][4], top = -HONE_INFINITY, sum = 0;
#pragma unroll
    for (int j = 0; j < VALUE_DEPTH / 8; j++) o[j / 4][j % 4] = 0;
    copy_rows<16, REAL_DEPTH, DEPTH, K_PITCH>(smem + Q_AT, q, Q_SEQ, query0, QUERIES);
    for (int key0 = 0; key0 < T_KEYS; key0 += 32) {
        float score[4];
        copy_rows<32, REAL_DEPTH, DEPTH, K_PITCH>(smem + K_AT, k, K_SEQ, key0, T_KEYS);
        copy_rows<32, REAL_VALUE_DEPTH, VALUE_DEPTH, V_PITCH>(smem + V_AT, v, V_SEQ, key0, T_KEYS);
        __syncthreads();
        score_keys(smem + Q_AT + row * K_PITCH, smem + K_AT + eighth * K_PITCH, score);
        float new_top = top;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int key = key0 + eighth + j * 8;
            score[j] *= SCALE;
            if (MASK && key < T_KEYS && query < QUERIES) {
                float m[1];
                hone_load(m, mask + (i64)key * MASK_K);
                score[j] += m[0];
            }
            if (key >= T_KEYS) score[j] = -HONE_INFINITY;
            new_top = fmaxf(new_top, score[j]);
        }
        new_top = all_eight_max(new_top);
        const float base = new_top == -HONE_INFINITY ? 0 : new_top, factor = expf(top - base);
        top = new_top;
        sum *= factor;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float weight = expf(score[j] - base);
            sum += weight;
            smem[W_AT + row * W_PITCH + eighth + j * 8] = weight;
        }
#pragma unroll
        for (int j = 0; j < VALUE_DEPTH / 8; j++) o[j / 4][j % 4] *= factor;
        hone_sync_warp();
#pragma unroll 4
        for (int key = 0; key < 32; key++) {
            const float weight = smem[W_AT + row * W_PITCH + key];
#pragma unroll
            for (int j = 0; j < VALUE_DEPTH / 32; j++) {
                const float4 b = four(smem + V_AT + key * V_PITCH + j * 32 + eighth * 4);
                o[j][0] += weight * b.x, o[j][1] += weight * b.y, o[j][2] += weight * b.z, o[j][3] += weight * b.w;
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int mask_bit = 4; mask_bit > 0; mask_bit /= 2) sum += hone_shuffle_xor(sum, mask_bit);
    if (query >= QUERIES) return;
    const unsigned m = HEADS_INNER ? (blockIdx.z * QUERIES + query) * HEADS + blockIdx.y : (blockIdx.z * HEADS + blockIdx.y) * QUERIES + query;
#pragma unroll
    for (int j = 0; j < VALUE_DEPTH / 32; j++) {
#pragma unroll
        for (int e = 0; e < 4; e += TV) {
            float x[TV];
#pragma unroll
            for (int i = 0; i < TV; i++) x[i] = o[j][e + i] / sum;
            const unsigned d = j * 32 + eighth * 4 + e;
            if (d < REAL_VALUE_DEPTH) hone_tail(p, x, m, d);
        }
    }
}
