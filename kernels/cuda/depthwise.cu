// SPDX-License-Identifier: Apache-2.0
// Depthwise convolutions over NHWC images: every channel has its own filter.
//
// There is little arithmetic for each byte, so the image should be read once and wide: a thread takes VEC neighbouring channels and WIDE
// neighbouring output columns, reads each column of its window's row once, and adds it to all outputs that want it. The filters of the block's
// channels lie in shared memory as floats, turned round so that VEC neighbouring channels are neighbours; lanes of a warp stand along
// channels, so accesses to both are coalesced. The filter's size, stride and dilation are compiled in, and the loops over taps vanish.
//
//! kernel depthwise 1
//! form depthwise
//! dtype f32 f16 bf16
//! param vec 1 2 4 8
//! param wide 1 2 4
//! param lanes 4 8 16 32
//! require vec <= vec_max && vec * elem <= 16 && (vec * elem >= 4 || vec_max == 1)
//! require lanes * vec < channels * 2 || lanes == 4
//! require wide == 1 || out_w >= wide * 2
//! require ker_h * ker_w * lanes * vec * 4 <= 48 * 1024 && ker_h * ker_w <= 64
//! define VEC vec
//! define WIDE wide
//! define LANES lanes
//! define KER_H ker_h
//! define KER_W ker_w
//! define STRIDE_H stride_h
//! define STRIDE_W stride_w
//! define DIL_H dil_h
//! define DIL_W dil_w
//! define IN_A in_a
//! define IN_B in_b
//! arg CHANNELS channels
//! arg IN_H in_h
//! arg IN_W in_w
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg STRIPS images * out_h * ceil(out_w, wide)
//! grid ceil(images * out_h * ceil(out_w, wide), 128 / lanes); ceil(channels, lanes * vec)
//! block 128
//! shared ker_h * ker_w * lanes * vec * 4
//! macs 128 * vec * wide * ker_h * ker_w
//! rate 60
//! bytes 128 * vec * (wide * bytes_per_element + ((wide - 1) * stride_w + ker_w) * ker_h * elem)
//! registers 40 + wide * vec
#define COLUMNS ((WIDE - 1) * STRIDE_W + (KER_W - 1) * DIL_W + 1)      // of the image that a thread's outputs reach

HONE_FN void load_filters(const hone_args &p, unsigned c0)
{
    float *filters = (float *)hone_smem;
    const W_T *w = (const W_T *)p.in[IN_B];
    for (unsigned k = threadIdx.x; k < KER_H * KER_W * LANES * VEC; k += 128) {
        const unsigned tap = k % (KER_H * KER_W), c = k / (KER_H * KER_W);
        float v[1] = {0};
        if (c0 + c < (unsigned)CHANNELS) hone_load(v, w + (c0 + c) * (KER_H * KER_W) + tap);
        filters[tap * (LANES * VEC) + c] = v[0];
    }
    __syncthreads();
}

// One row of taps: filters are those of the row, image points at the row's first channel of this thread.
HONE_FN void add_row(const hone_args &p, const float *filters, const T *image, int x0, float (&total)[WIDE][VEC])
{
#pragma unroll
    for (int column = 0; column < COLUMNS; column++) {
        const int x = x0 + column;
        const bool inside = (unsigned)x < (unsigned)IN_W;
        float v[VEC];
        hone_load(v, image + (i64)(inside ? x : 0) * CHANNELS);        // no branch: the loads of a row start together
#pragma unroll
        for (int e = 0; e < VEC; e++) v[e] = inside ? v[e] : 0;
#pragma unroll
        for (int o = 0; o < WIDE; o++) {
            const int reach = column - o * STRIDE_W;
            if (reach < 0 || reach % DIL_W || reach / DIL_W >= KER_W) continue;
#pragma unroll
            for (int e = 0; e < VEC; e++) total[o][e] += v[e] * filters[reach / DIL_W * (LANES * VEC) + e];
        }
    }
}

HONE_KERNEL __launch_bounds__(128, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned lane = threadIdx.x % LANES, c0 = blockIdx.y * (LANES * VEC), c = c0 + lane * VEC;
    const unsigned strips = ((unsigned)OUT_W + WIDE - 1) / WIDE, strip = blockIdx.x * (128 / LANES) + threadIdx.x / LANES;
    const int ox = strip % strips * WIDE, line = strip / strips, oy = line % OUT_H, image = line / OUT_H;
    load_filters(p, c0);
    if (strip >= (unsigned)STRIPS || c >= (unsigned)CHANNELS) return;
    float total[WIDE][VEC];
#pragma unroll
    for (int k = 0; k < WIDE * VEC; k++) total[k / VEC][k % VEC] = 0;
#pragma unroll
    for (int r = 0; r < KER_H; r++) {
        const int y = oy * STRIDE_H - PAD_H + r * DIL_H;
        if ((unsigned)y >= (unsigned)IN_H) continue;
        const T *row = (const T *)p.in[IN_A] + (i64)(image * IN_H + y) * IN_W * CHANNELS + c;
        add_row(p, (const float *)hone_smem + r * KER_W * (LANES * VEC) + lane * VEC, row, ox * STRIDE_W - PAD_W, total);
    }
#pragma unroll
    for (int o = 0; o < WIDE; o++)
        if (ox + o < OUT_W) hone_tail(p, total[o], (unsigned)(line * OUT_W + ox + o), c);
}
