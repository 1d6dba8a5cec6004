// SPDX-License-Identifier: Apache-2.0
// Squeeze and excite in one kernel: the mean of each channel over an NHWC image, a product to few hidden values, what stands between, a product
// back to the channels, and the tail, for the channels alone or for every pixel of the image.
//
// Apart these are four or five launches that do next to nothing. A cluster of SPLITS blocks shares an image: each block owns a part of the
// channels, so that a mean is complete where it is made, and a part of the hidden values. What it made is read by the others from its shared
// memory, twice: all means before the first product, all hidden values before the second. The rows of both filters that a block needs are on
// their way to its shared memory while it still adds up the image; where they do not fit there (STAGED 0), they are read when they are needed.
//
//! kernel squeeze 1
//! form squeeze
//! dtype f32 f16 bf16
//! param splits 1 2 4 8
//! param threads 256 512
//! let vec min(min(head_vec, vec_max), 16 / elem)
//! let wide1 channels % (16 / elem) ? 1 : 16 / elem
//! let wide2 hidden % (16 / elem) ? 1 : 16 / elem
//! let own_c align(ceil(channels, splits), 8)
//! let own_h align(ceil(hidden, splits), 8)
//! let own_o align(ceil(outs, splits), 8)
//! let slots own_c / vec
//! let lanes slots <= 4 ? 4 : slots <= 8 ? 8 : slots <= 16 ? 16 : slots <= 32 ? 32 : slots <= 64 ? 64 : slots <= 128 ? 128 : 256
//! let sums lanes < 32 ? threads / 32 : threads / lanes
//! let steps1 channels / wide1
//! let steps2 hidden / wide2
//! let filters align(own_h * channels * elem, 16) + align(own_o * hidden * elem, 16)
//! let vectors 4 * (splits * own_c + splits * own_h + own_o + sums * own_c)
//! let staged filters + vectors <= smem_max
//! let smem vectors + (staged ? filters : 0)
//! require splits == 1 || (cc >= 90 && max(channels, outs) > splits * 4)
//! require slots <= lanes && (pixels * own_c * elem <= 1048576 || splits == (cc >= 90 ? 8 : 1))
//! require threads == 512 || pixels * own_c <= 65536
//! define SPLITS splits
//! define THREADS threads
//! define VEC vec
//! define LANES lanes
//! define SUMS sums
//! define WIDE1 wide1
//! define WIDE2 wide2
//! define TEAM1 steps1 <= 4 ? 4 : steps1 <= 8 ? 8 : steps1 <= 16 ? 16 : 32
//! define TEAM2 steps2 <= 4 ? 4 : steps2 <= 8 ? 8 : steps2 <= 16 ? 16 : 32
//! define STAGED staged
//! define IN_FIRST in_first
//! define IN_SECOND in_second
//! arg PIXELS pixels
//! arg OUT_PIXELS out_pixels
//! arg CHANNELS channels
//! arg HIDDEN hidden
//! arg OUTS outs
//! arg OWN_C own_c
//! arg OWN_H own_h
//! arg OWN_O own_o
//! grid 1; images; splits
//! block threads
//! early yes
//! shared smem
//! cluster splits
//! macs pixels * own_c + own_h * channels + own_o * hidden
//! rate 60
//! bytes pixels * own_c * elem + filters + out_pixels * own_o * bytes_per_element
//! latency 2600 + (splits > 1 ? 1200 + 100 * splits : 0)
//! registers 64

// ---- the filters: rows [first, first + own) of a matrix of `rows` rows of k elements, as they lie. Own is a multiple of 8, so that they begin
// at 16 bytes. The result is where they are.

HONE_FN const T *fetch_rows(T *to, const T *from, int first, int own, int rows, int k)
{
    const int count = max(0, min(own, rows - first)) * k, whole = count / (16 / (int)sizeof(T));
    from += (i64)first * k;
    if (!STAGED) return from;
#pragma unroll 1
    for (int c = threadIdx.x; c < whole; c += THREADS)
        hone_async16(hone_shared_address(to) + c * 16, (const unsigned char *)from + (i64)c * 16, true);
#pragma unroll 1
    for (int e = whole * (16 / (int)sizeof(T)) + threadIdx.x; e < count; e += THREADS) {
        hone_vec<T, 1> v;
        hone_load_raw<T, 1>(v, from + e);
        to[e] = v.at[0];
    }
    return to;
}

template <int WIDE> HONE_FN void load_filter(hone_vec<T, WIDE> &v, const T *from)
{
    if constexpr (!STAGED) {
        hone_load_raw<T, WIDE>(v, from);
    } else if constexpr (sizeof(T) * WIDE == 16) {
        const float4 q = hone_lds16(hone_shared_address(from));
        v.w[0] = __float_as_uint(q.x), v.w[1] = __float_as_uint(q.y), v.w[2] = __float_as_uint(q.z), v.w[3] = __float_as_uint(q.w);
    } else {
        v.at[0] = from[0];
    }
}

// ---- products of a team of TEAM lanes with one row

template <int TEAM, int WIDE> HONE_FN float dot(const T *w, const float *x, int k)
{
    float sum = 0;
#pragma unroll 2
    for (int at = threadIdx.x % TEAM * WIDE; at < k; at += TEAM * WIDE) {
        hone_vec<T, WIDE> v;
        load_filter<WIDE>(v, w + at);
#pragma unroll
        for (int e = 0; e < WIDE; e++) sum += hone_value(v.at[e]) * x[at + e];
    }
#pragma unroll
    for (int mask = TEAM / 2; mask > 0; mask /= 2) sum += hone_shuffle_xor(sum, mask);
    return sum;
}

// ---- parts of a vector that the blocks of the cluster made become the whole vector in each. Holds a barrier of the cluster.

HONE_FN void share(float *all, int own)
{
    if (SPLITS == 1) {
        __syncthreads();
        return;
    }
    hone_cluster_sync();
#pragma unroll 1
    for (int at = threadIdx.x * 4; at < SPLITS * own; at += THREADS * 4) {
        const int rank = at / own;
        if (rank == (int)blockIdx.z) continue;
        const float4 q = hone_cluster_lds16(hone_shared_address(all + at), rank);
        all[at] = q.x, all[at + 1] = q.y, all[at + 2] = q.z, all[at + 3] = q.w;
    }
    __syncthreads();
}

// ---- the means of the block's channels

HONE_FN void sum_pixels(const hone_args &p, float (&total)[VEC])
{
    const unsigned slot = threadIdx.x % LANES, line = threadIdx.x / LANES, c = blockIdx.z * (unsigned)OWN_C + slot * VEC;
    const bool here = slot * VEC < (unsigned)OWN_C && c < (unsigned)CHANNELS;
#pragma unroll
    for (int e = 0; e < VEC; e++) total[e] = 0;
#pragma unroll 8
    for (unsigned k = here ? line : PIXELS; k < (unsigned)PIXELS; k += THREADS / LANES) {
        float x[VEC];
        hone_head(p, blockIdx.y * (unsigned)PIXELS + k, c, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) total[e] += x[e];
    }
}

HONE_FN void make_means(const hone_args &p, float *parts, float *means)
{
    const unsigned slot = threadIdx.x % LANES;
    float total[VEC];
    sum_pixels(p, total);
#pragma unroll
    for (int mask = 16; mask >= LANES; mask /= 2) {
#pragma unroll
        for (int e = 0; e < VEC; e++) total[e] += hone_shuffle_xor(total[e], mask);
    }
    const unsigned group = LANES < 32 ? threadIdx.x / 32 : threadIdx.x / LANES;
    if ((LANES >= 32 || threadIdx.x % 32 < LANES) && slot * VEC < (unsigned)OWN_C) {
#pragma unroll
        for (int e = 0; e < VEC; e++) parts[group * OWN_C + slot * VEC + e] = total[e];
    }
    __syncthreads();
#pragma unroll 1
    for (int c = threadIdx.x; c < OWN_C; c += THREADS) {
        float sum = 0;
#pragma unroll
        for (int k = 0; k < SUMS; k++) sum += parts[k * OWN_C + c];
        means[blockIdx.z * OWN_C + c] = sum / (float)PIXELS;
    }
}

// ---- the two products; rows beyond the last are computed and not kept, since all lanes shuffle

HONE_FN void make_hidden(const hone_args &p, const T *first, const float *means, float *hidden)
{
#pragma unroll 1
    for (int base = 0; base < OWN_H; base += THREADS / TEAM1) {
        const int row = base + threadIdx.x / TEAM1, h = blockIdx.z * OWN_H + row;
        const bool here = row < OWN_H && h < HIDDEN;
        float x[1] = {dot<TEAM1, WIDE1>(first + (here ? row : 0) * CHANNELS, means, CHANNELS)}, r[1];
        if (!here || threadIdx.x % TEAM1) continue;
        hone_middle(p, x, blockIdx.y, (unsigned)h, r);
        hidden[h] = r[0];
    }
}

HONE_FN void make_gates(const hone_args &p, const T *second, const float *hidden, float *gates)
{
#pragma unroll 1
    for (int base = 0; base < OWN_O; base += THREADS / TEAM2) {
        const int row = base + threadIdx.x / TEAM2;
        const bool here = row < OWN_O && (int)blockIdx.z * OWN_O + row < OUTS;
        const float x = dot<TEAM2, WIDE2>(second + (here ? row : 0) * HIDDEN, hidden, HIDDEN);
        if (here && threadIdx.x % TEAM2 == 0) gates[row] = x;
    }
}

HONE_FN void finish(const hone_args &p, const float *gates)
{
    const int slots = max(0, min(OWN_O, OUTS - (int)blockIdx.z * OWN_O)) / VEC;
#pragma unroll 2
    for (int item = threadIdx.x; item < slots * OUT_PIXELS; item += THREADS) {
        const int pixel = item / slots, slot = item - pixel * slots;
        float x[VEC];
#pragma unroll
        for (int e = 0; e < VEC; e++) x[e] = gates[slot * VEC + e];
        hone_tail(p, x, blockIdx.y * (unsigned)OUT_PIXELS + pixel, blockIdx.z * (unsigned)OWN_O + slot * VEC);
    }
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    T *filters = (T *)hone_smem;
    const int second_at = (OWN_H * CHANNELS * (int)sizeof(T) + 15) / 16 * 16, filters_end = second_at + (OWN_O * HIDDEN * (int)sizeof(T) + 15) / 16 * 16;
    float *means = (float *)(hone_smem + (STAGED ? filters_end : 0));
    float *hidden = means + SPLITS * OWN_C, *gates = hidden + SPLITS * OWN_H, *parts = gates + OWN_O;
    const T *first = fetch_rows(filters, (const T *)p.in[IN_FIRST], blockIdx.z * OWN_H, OWN_H, HIDDEN, CHANNELS);
    const T *second = fetch_rows(filters + second_at / (int)sizeof(T), (const T *)p.in[IN_SECOND], blockIdx.z * OWN_O, OWN_O, OUTS, HIDDEN);
    hone_async_commit();
    make_means(p, parts, means);
    hone_async_wait<0>();
    share(means, OWN_C);
    make_hidden(p, first, means, hidden);
    share(hidden, OWN_H);
    make_gates(p, second, hidden, gates);
    __syncthreads();
    finish(p, gates);
    if (SPLITS > 1) hone_cluster_sync();       // no block may leave while others read its shared memory
}
