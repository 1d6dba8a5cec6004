// SPDX-License-Identifier: Apache-2.0
// Attention on Hopper's tensor cores (wgmma), for many heads: with them the multiprocessors are full, and what counts is that copies, products and
// powers of different heads run beside each other, and that few instructions stand between them. For few heads attention.cu divides keys among
// the warps of more blocks.
//
// A warpgroup owns 64 queries, as in FlashAttention-3 (Shah et al., arXiv 2407.08608). Their scores come to lie in registers so that they, turned into
// weights in place, are the left operand of the second product. Its right operand are the values as they lie, rows along N; queries and keys are
// read from shared memory. Rows there are 64 elements under the 128-byte swizzle (wgmma.cuh).
//
// A step is `keys` keys of an item, which is the queries of a block in one head. With the maximum and the sum carried from step to step, and the
// results scaled when the maximum grows, an item may have any number of steps; where it has one, that is compiled out. While a step is computed the
// next one's rows are copied. Values are waited for after the scores, so that the powers are computed while the first ones come.
//
// The results of a row lie in four lanes, two neighbours of every eight columns in each. Two lanes exchange what makes four neighbours, so that the
// four write 32 bytes of a row, a sector. Eight neighbours a lane would halve the writes and double the exchanges, which are as many instructions.
//
// Parameters
//   groups     warpgroups of a block, which share keys and values
//   keys       of a step: as many as leave little of the last one empty, 128 for 128, 112 for 197
//   per        blocks that live on a multiprocessor as long as the kernel does, and go on from item to item: only the first one's copies are waited
//              for. 0: each item has a block of its own, of which more fit, having one place for their only step.
//
//! kernel attention_wgmma 1
//! form attention
//! dtype f16 bf16
//! arch 90a
//! machine attention_ptx.cuh
//! param groups 1 2 3 4
//! param keys 64 80 96 112 128
//! param per 0 1 2 3 4
//! let wide align(depth, 64)
//! let value_wide align(value_depth, 64)
//! let tiles ceil(t_keys, keys)
//! let items batch * heads * ceil(queries, 64 * groups)
//! let blocks per ? min(items, sms * per) : items
//! let turns ceil(items, blocks)
//! let places min(turns * tiles, 2)
//! let q_places min(turns, 2)
//! let tile_bytes keys * (wide + value_wide) * 2
//! let used q_places * groups * 128 * wide + places * (tile_bytes + keys * 4)
//! let needs keys / 2 + value_wide / 2 + (value_wide == 64 ? 32 : 48) + (tiles > 1 || mask_kind == 2 ? 8 : 0)
//! let resident min(65536 / (needs * groups * 128), 233472 / (used + 1024))
//! require min(min(q_vec, k_vec), v_vec) >= 8 && depth <= 128 && value_depth <= 128 && queries > 16
//! require align(queries, 64 * groups) * 4 <= align(queries, 64) * 5
//! require align(t_keys, keys) * 6 <= align(t_keys, 16) * 7 || keys == 64
//! require keys == 64 || (keys <= align(t_keys, 16) && (keys == 128 || tiles <= 3))
//! require items * 8 >= sms
//! require resident >= 1 && (per == 0 || (per <= resident && items > sms * per))
//! define GROUPS groups
//! define KEYS keys
//! define DEPTH wide
//! define VALUE_DEPTH value_wide
//! define REAL_DEPTH depth
//! define REAL_VALUE_DEPTH value_depth
//! define ONE_TILE tiles == 1
//! define ONE_ITEM turns == 1
//! define RAGGED t_keys % keys != 0
//! define MIN_BLOCKS resident
//! define MASK mask_kind
//! define TV min(vec_max, 4)
//! define IN_Q in_q
//! define IN_K in_k
//! define IN_V in_v
//! define IN_MASK max(in_mask, 0)
//! define HEADS_INNER heads_inner
//! define GROUPED kv_group > 1
//! arg ITEMS items
//! arg PARTS ceil(queries, 64 * groups)
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
//! grid blocks
//! block groups * 128
//! shared used
//! macs turns * groups * 64 * align(t_keys, keys) * (wide + value_wide)
//! rate 1200
//! bytes turns * (groups * 64 + t_keys) * (depth + value_depth) * 2
//! latency 1800 + 500 * turns * tiles
//! registers needs
#define THREADS (GROUPS * 128)
#define QUERIES_HERE (GROUPS * 64)
#define ONE_STEP (ONE_TILE && ONE_ITEM)
#define Q_BYTES (QUERIES_HERE * DEPTH * 2)
#define K_BYTES (KEYS * DEPTH * 2)
#define TILE_BYTES (K_BYTES + KEYS * VALUE_DEPTH * 2)
#define Q_PLACES (ONE_ITEM ? 1 : 2)
#define PLACES (ONE_STEP ? 1 : 2)
#define BLOCK_BYTES (KEYS * 128)               // 64 columns of a tile's rows
#define LOG2E 1.4426950408889634f

#if IS_BF16
#define PACK hone_bf16x2
#else
#define PACK hone_f16x2
#endif

// ---- steps

// A step, and where in shared memory its rows lie: items take turns in two places, and so do tiles.
struct step {
    int item, tile;
    unsigned q_place, place;

    HONE_FN step next(const hone_args &p) const
    {
        const bool goes_on = !ONE_TILE && (tile + 1) * KEYS < T_KEYS;
        return {goes_on ? item : item + (int)gridDim.x, goes_on ? tile + 1 : 0, goes_on || ONE_ITEM ? q_place : q_place ^ 1, place ^ 1};
    }
    HONE_FN unsigned queries(unsigned smem) const { return smem + q_place * Q_BYTES; }
    HONE_FN unsigned keys(unsigned smem) const { return smem + Q_PLACES * Q_BYTES + place * TILE_BYTES; }
    HONE_FN unsigned values(unsigned smem) const { return keys(smem) + K_BYTES; }
    HONE_FN float *mask() const { return (float *)(hone_smem + Q_PLACES * Q_BYTES + PLACES * TILE_BYTES) + place * KEYS; }
};

struct head_at { int query, head, batch; };    // first query of the item

HONE_FN head_at locate(const hone_args &p, int item)
{
    const unsigned head = (unsigned)item / PARTS, batch = head / HEADS;
    return {(int)(item - head * PARTS) * QUERIES_HERE, (int)(head - batch * HEADS), (int)batch};
}

// ---- copies

// Rows [row0, row0 + ROWS) of a matrix with rows of COLS elements; rows from `end` on and columns behind COLS become zeros.
template <int ROWS, int COLS, int WIDE> HONE_FN void copy_rows(unsigned to, const T *from, int pitch, int row0, int end)
{
    constexpr int CHUNKS = WIDE / 8, SPAN = THREADS / CHUNKS;       // a thread's rows have the same place in eight
    static_assert(SPAN % 8 == 0, "the swizzle repeats every 8 rows");
    const int first = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
    from += (i64)(row0 + first) * pitch + chunk * 8;
    to += (chunk / 8 * ROWS + first) * 128 + ((chunk ^ first) & 7) * 16;
    end = chunk * 8 < COLS ? end - row0 - first : 0;
#pragma unroll
    for (int row = 0; row < ROWS; row += SPAN)
        if (row + SPAN <= ROWS || first + row < ROWS) hone_async16(to + row * 128, from + (i64)row * pitch, row < end);
}

// Two groups of copies: what the scores need, and the values.
HONE_FN void fetch(const hone_args &p, unsigned smem, const step &s)
{
    const head_at at = locate(p, s.item);
    const int kv_head = GROUPED ? at.head / KV_GROUP : at.head;
    const T *q = (const T *)p.in[IN_Q] + (Q_OFFSET + (i64)at.batch * Q_BATCH + (i64)at.head * Q_HEAD);
    const T *k = (const T *)p.in[IN_K] + (K_OFFSET + (i64)at.batch * K_BATCH + (i64)kv_head * K_HEAD);
    const T *v = (const T *)p.in[IN_V] + (V_OFFSET + (i64)at.batch * V_BATCH + (i64)kv_head * V_HEAD);
    if (ONE_TILE || s.tile == 0) copy_rows<QUERIES_HERE, REAL_DEPTH, DEPTH>(s.queries(smem), q, Q_SEQ, at.query, QUERIES);
    copy_rows<KEYS, REAL_DEPTH, DEPTH>(s.keys(smem), k, K_SEQ, s.tile * KEYS, T_KEYS);
    hone_async_commit();
    copy_rows<KEYS, REAL_VALUE_DEPTH, VALUE_DEPTH>(s.values(smem), v, V_SEQ, s.tile * KEYS, T_KEYS);
    hone_async_commit();
}

// In units of log2. What is finite stays so: else a query all of whose keys are hidden by the lowest float would have no weights.
HONE_FN float mask_value(const MASK_T *from)
{
    float m[1];
    hone_load(m, from);
    return m[0] == -HONE_INFINITY ? m[0] : fmaxf(m[0] * LOG2E, -3e38f);
}

HONE_FN const MASK_T *mask_of(const hone_args &p, const head_at &at)
{
    return (const MASK_T *)p.in[IN_MASK] + ((i64)at.batch * MASK_B + (i64)at.head * MASK_H);
}

// What this thread brings of a step's mask, where all queries have the same.
HONE_FN float fetch_mask(const hone_args &p, const step &s)
{
    const int key = s.tile * KEYS + (int)threadIdx.x;
    if (MASK != 1 || threadIdx.x >= KEYS || key >= T_KEYS) return -HONE_INFINITY;
    return mask_value(mask_of(p, locate(p, s.item)) + (i64)key * MASK_K);
}

HONE_FN void put_mask(const step &s, float value)
{
    if (MASK == 1 && threadIdx.x < KEYS) s.mask()[threadIdx.x] = value;
}

// ---- arithmetic

// Of rows g and g + 8 of a warp's 16, g = lane / 4: element 4 * j + i is in column j * 8 + lane % 4 * 2 + i % 2, i / 2 says which row.
struct state {
    float score[KEYS / 2], o[VALUE_DEPTH / 2], top[2], sum[2];
    unsigned weight[KEYS / 16][4];

    HONE_FN void start()
    {
        top[0] = top[1] = -HONE_INFINITY, sum[0] = sum[1] = 0;
#pragma unroll
        for (int k = 0; k < VALUE_DEPTH / 2 && !ONE_TILE; k++) o[k] = 0;
    }
};

// What the tensor cores are told of a tile: its address, the bytes between 64 columns and the next 64 (values only), the bytes from 8 rows to the next.
HONE_FN u64 describe(unsigned address)
{
    return (u64)((address & 0x3ffff) >> 4) | (u64)(BLOCK_BYTES >> 4) << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

HONE_FN void multiply_keys(state &s, unsigned queries, unsigned keys)
{
    queries += threadIdx.x / 128 * (64 * 128);
    hone_wgmma_fence();
    hone_wgmma_scores<IS_BF16, false>(s.score, describe(queries), describe(keys));
#pragma unroll
    for (int k = 1; k < DEPTH / 16; k++)
        hone_wgmma_scores<IS_BF16, true>(s.score, describe(queries + k / 4 * (QUERIES_HERE * 128) + k % 4 * 32), describe(keys + k / 4 * BLOCK_BYTES + k % 4 * 32));
    hone_wgmma_commit();
}

// Scale and mask, in units of log2, since powers of two are what the machine computes. query: this thread's first row.
HONE_FN void mask_scores(const hone_args &p, state &s, const step &at, int query)
{
    const int first = (threadIdx.x & 3) * 2, left = T_KEYS - at.tile * KEYS;
    const float scale = SCALE * LOG2E;
    const MASK_T *mask = MASK == 2 ? mask_of(p, locate(p, at.item)) + (i64)at.tile * KEYS * MASK_K : nullptr;
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++) {
        const float2 same = MASK == 1 ? *(const float2 *)(at.mask() + j * 8 + first) : make_float2(0, 0);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int key = j * 8 + first + e % 2, row = query + e / 2 * 8;
            float x = s.score[4 * j + e] * scale + (e % 2 ? same.y : same.x);
            if (MASK == 2 && key < left && row < QUERIES) x += mask_value(mask + ((i64)row * MASK_Q + (i64)key * MASK_K));
            s.score[4 * j + e] = x;
        }
    }
    if (MASK == 1 || !RAGGED || left >= KEYS) return;
#pragma unroll
    for (int k = 0; k < KEYS / 2; k++)
        if (k / 4 * 8 + first + k % 2 >= left) s.score[k] = -HONE_INFINITY;
}

// The new maxima; scores become weights, and what was summed before is scaled to the new maxima.
HONE_FN void soften(state &s)
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float top = s.top[h];
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++) top = fmaxf(top, fmaxf(s.score[4 * j + 2 * h], s.score[4 * j + 2 * h + 1]));
        top = fmaxf(top, hone_shuffle_xor(top, 1));
        top = fmaxf(top, hone_shuffle_xor(top, 2));
        const float base = top == -HONE_INFINITY ? 0 : top;
        if (!ONE_TILE) {
            const float factor = hone_exp2(s.top[h] - base);
            s.top[h] = top;
            s.sum[h] *= factor;
#pragma unroll
            for (int j = 0; j < VALUE_DEPTH / 8; j++) s.o[4 * j + 2 * h] *= factor, s.o[4 * j + 2 * h + 1] *= factor;
        }
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++) {
            const float x = hone_exp2(s.score[4 * j + 2 * h] - base), y = hone_exp2(s.score[4 * j + 2 * h + 1] - base);
            s.sum[h] += x + y;
            s.weight[j / 2][j % 2 * 2 + h] = PACK(x, y);
        }
    }
}

HONE_FN void multiply_values(state &s, unsigned values)
{
    hone_wgmma_fence();
    hone_wgmma_values<IS_BF16, !ONE_TILE>(s.o, s.weight[0], describe(values));
#pragma unroll
    for (int k = 1; k < KEYS / 16; k++) hone_wgmma_values<IS_BF16, true>(s.o, s.weight[k], describe(values + k * (16 * 128)));
    hone_wgmma_commit();
    hone_wgmma_wait<0>(s.o);
}

// ---- results

// Sixteen columns of a row at a time: of two neighbouring eights, an even lane takes the first and the lane beside it the second.
HONE_FN void finish(const hone_args &p, const state &s, const head_at &at, int query)
{
    const bool odd = threadIdx.x & 1;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float sum = s.sum[h];
        sum += hone_shuffle_xor(sum, 1);
        sum += hone_shuffle_xor(sum, 2);
        const float share = 1 / sum;
        const int row = query + h * 8;
        const unsigned m = HEADS_INNER ? (at.batch * QUERIES + row) * HEADS + at.head : (at.batch * HEADS + at.head) * QUERIES + row;
#pragma unroll
        for (int c = 0; c < VALUE_DEPTH / 16; c++) {
            float four[4];
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float low = s.o[8 * c + 2 * h + e] * share, high = s.o[8 * c + 4 + 2 * h + e] * share;
                const float kept = odd ? high : low, got = hone_shuffle_xor(odd ? low : high, 1);
                four[e] = odd ? got : kept, four[2 + e] = odd ? kept : got;
            }
#pragma unroll
            for (int v = 0; v < 4 / TV; v++) {
                const int n = c * 16 + (threadIdx.x & 1) * 8 + (threadIdx.x & 2) * 2 + v * TV;
                float x[TV];
#pragma unroll
                for (int e = 0; e < TV; e++) x[e] = four[v * TV + e];
                if (row < QUERIES && n < REAL_VALUE_DEPTH) hone_tail(p, x, m, (unsigned)n);
            }
        }
    }
}

HONE_KERNEL __launch_bounds__(THREADS, MIN_BLOCKS) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned smem = hone_shared_address(hone_smem);
    const int own = threadIdx.x / 32 * 16 + (threadIdx.x & 31) / 4;      // this thread's first row
    step now = {(int)blockIdx.x, 0, 0, 0};
    state s;
    fetch(p, smem, now);
    put_mask(now, fetch_mask(p, now));
    for (;;) {
        const step next = now.next(p);
        const bool goes_on = !ONE_STEP && next.item < ITEMS;
        float mask = 0;
        if (ONE_TILE || now.tile == 0) s.start();
        hone_async_wait<1>();
        hone_fence_async();
        __syncthreads();                       // the step before is over for all, too: its places are free
        multiply_keys(s, now.queries(smem), now.keys(smem));
        if (goes_on) {
            fetch(p, smem, next);
            mask = fetch_mask(p, next);
        }
        hone_wgmma_wait<0>(s.score);
        mask_scores(p, s, now, locate(p, now.item).query + own);
        soften(s);
        if (goes_on) hone_async_wait_behind<2>(s.weight, QUERIES);
        else hone_async_wait_behind<0>(s.weight, QUERIES);
        hone_fence_async();
        __syncthreads();
        if (goes_on) put_mask(next, mask);
        multiply_values(s, now.values(smem));
        if (ONE_TILE || next.item != now.item) {
            const head_at at = locate(p, now.item);
            finish(p, s, at, at.query + own);
        }
        if (!goes_on) break;
        now = next;
    }
}
