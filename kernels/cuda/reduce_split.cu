// SPDX-License-Identifier: Apache-2.0
// Reductions as in reduce_cols, [outer][length][inner], where there are too few columns for the multiprocessors: the global pooling of one NHWC
// image. The blocks of a cluster share a strip of columns and take turns at its rows, so that many multiprocessors read at once; they meet in
// distributed shared memory, in a fixed order, so results repeat. There is no workspace and no second kernel.
//
//! kernel reduce_split 1
//! form reduce_cols
//! dtype f32 f16 bf16
//! arch 90
//! include sums.cuh
//! param vec 4 8
//! param xs 1 2 4 8
//! param splits 4 8
//! let ys 256 / xs
//! let strips ceil(cols, xs * vec)
//! require vec <= head_vec && vec <= vec_max && vec * elem >= 8 && vec * elem <= 16
//! require xs * vec < cols * 2 && xs * vec * elem >= min(32, cols * elem)
//! require length >= ys && strips * (count / cols) * splits <= sms * 2 && count / cols < 65536
//! define VEC vec
//! define XS xs
//! define YS ys
//! define SPLITS splits
//! define KIND kind
//! define TEAM 1
//! define THREADS 256
//! arg COLS cols
//! arg LENGTH length
//! grid ceil(cols, xs * vec); count / cols; splits
//! block 256
//! early yes
//! shared xs * vec * 4 * 2 * 8
//! cluster splits
//! macs ceil(length, splits) * xs * vec * 8
//! bytes ceil(length, splits) * xs * vec * elem
//! latency 1900 + 200 * splits
#define WIDTH (XS * VEC)                       // columns of a block

// The totals of a warp's lines come together in its first XS lanes.
HONE_FN void merge_lines(total (&t)[VEC])
{
#pragma unroll
    for (int mask = 16; mask >= XS; mask /= 2) {
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            total other;
            other.sum = hone_shuffle_xor(t[e].sum, mask);
            other.top = KIND == 8 ? hone_shuffle_xor(t[e].top, mask) : 0;
            t[e] = total_merge(t[e], other);
        }
    }
}

HONE_FN void sum_strip(const hone_args &p, unsigned n, bool here, total (&t)[VEC])
{
#pragma unroll
    for (int e = 0; e < VEC; e++) t[e] = total_start();
#pragma unroll 8
    for (unsigned k = here ? blockIdx.z * YS + threadIdx.x / XS : LENGTH; k < (unsigned)LENGTH; k += SPLITS * YS) {
        float x[VEC];
        hone_head(p, blockIdx.y * (unsigned)LENGTH + k, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) total_add(t[e], x[e]);
    }
    merge_lines(t);
}

// Column c of the block: the totals of the warps, left where the cluster reads them.
HONE_FN void merge_warps(float *sums, float *tops)
{
    const unsigned c = threadIdx.x;
    if (c >= WIDTH) return;
    total t;
    t.sum = sums[c], t.top = tops[c];
#pragma unroll
    for (int k = 1; k < THREADS / 32; k++) {
        total other;
        other.sum = sums[k * WIDTH + c], other.top = tops[k * WIDTH + c];
        t = total_merge(t, other);
    }
    sums[c] = t.sum, tops[c] = t.top;
}

// VEC columns from c on, of all blocks.
HONE_FN void merge_blocks(const hone_args &p, const float *sums, const float *tops, unsigned c, float (&x)[VEC])
{
    total t[VEC];
#pragma unroll
    for (int e = 0; e < VEC; e++) t[e] = total_start();
#pragma unroll
    for (int rank = 0; rank < SPLITS; rank++) {
#pragma unroll
        for (int e = 0; e < VEC; e += 4) {
            const float4 s = hone_cluster_lds16(hone_shared_address(sums + c + e), rank), m = hone_cluster_lds16(hone_shared_address(tops + c + e), rank);
            const float part[4] = {s.x, s.y, s.z, s.w}, top[4] = {m.x, m.y, m.z, m.w};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                total other;
                other.sum = part[i], other.top = top[i];
                t[e + i] = total_merge(t[e + i], other);
            }
        }
    }
#pragma unroll
    for (int e = 0; e < VEC; e++) x[e] = total_end(t[e], (float)LENGTH);
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    float *sums = (float *)hone_smem, *tops = sums + THREADS / 32 * WIDTH;
    const unsigned lane = threadIdx.x % XS, n = blockIdx.x * WIDTH + lane * VEC;
    const bool here = n < (unsigned)COLS;
    total t[VEC];
    sum_strip(p, n, here, t);
    if (threadIdx.x % 32 < XS) {
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            const unsigned at = threadIdx.x / 32 * WIDTH + lane * VEC + e;
            sums[at] = t[e].sum, tops[at] = t[e].top;
        }
    }
    __syncthreads();
    merge_warps(sums, tops);
    hone_cluster_sync();
    if (blockIdx.z == 0 && threadIdx.x < XS && here) {
        float x[VEC];
        merge_blocks(p, sums, tops, lane * VEC, x);
        hone_tail(p, x, blockIdx.y, n);
    }
    hone_cluster_sync();                       // no block may leave while the first reads its shared memory
}
