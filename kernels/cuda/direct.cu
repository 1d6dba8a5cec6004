// SPDX-License-Identifier: Apache-2.0
// Convolutions and transposed convolutions of any rank, layout, grouping and type, straight from the definition: a thread makes one result.
// Slow for large ones, correct for all. Where channels lie side by side in both image and filter, it reads VEC of them at once.
//
// A transposed convolution is turned round: a result collects from those inputs whose taps would have landed on it.
//
//! kernel direct 1
//! form direct
//! dtype f32 f16 bf16
//! param vec 1 4 8
//! param threads 64 256
//! require !others || count * group_c * taps <= 4194304
//! require vec == 1 || (deep_vec >= vec && vec * elem <= 16)
//! require vec == 1 ? deep_vec < 4 : vec == 8 || deep_vec == 4 || elem == 4
//! define VEC vec
//! define THREADS threads
//! define TRANSPOSED transposed
//! define NHWC nhwc
//! define IN_A in_a
//! define IN_B in_b
//! arg COUNT count
//! arg COLS cols
//! arg CHANNELS channels
//! arg GROUP_C group_c
//! arg GROUP_K group_k
//! arg IN_D in_d
//! arg IN_H in_h
//! arg IN_W in_w
//! arg OUT_D out_d
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg KER_D ker_d
//! arg KER_H ker_h
//! arg KER_W ker_w
//! arg STRIDE_D stride_d
//! arg STRIDE_H stride_h
//! arg STRIDE_W stride_w
//! arg DIL_D dil_d
//! arg DIL_H dil_h
//! arg DIL_W dil_w
//! arg PAD_D pad_d
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg XS_N xs_n
//! arg XS_C xs_c
//! arg XS_D xs_d
//! arg XS_H xs_h
//! arg XS_W xs_w
//! arg WS_O ws_o
//! arg WS_I ws_i
//! arg WS_D ws_d
//! arg WS_H ws_h
//! arg WS_W ws_w
//! grid ceil(count, threads)
//! block threads
//! macs threads * group_c * taps
//! rate 16
//! bytes threads * (group_c * taps * elem / 4 + bytes_per_element)
//! registers 48
// The input position along one axis that tap `tap` of result `at` reads; false when there is none.
HONE_FN bool position(int at, int tap, int stride, int dilation, int pad, int extent, int &from)
{
    if (TRANSPOSED) {
        from = at + pad - tap * dilation;
        if (from < 0 || from % stride) return false;
        from /= stride;
    } else {
        from = at * stride - pad + tap * dilation;
    }
    return (unsigned)from < (unsigned)extent;
}

HONE_FN float dot(const hone_args &p, const T *x, const W_T *w)
{
    float sum = 0;
    for (int c = 0; c < GROUP_C; c += VEC) {
        float a[VEC], b[VEC];
        hone_load(a, x + (VEC > 1 ? (i64)c : (i64)c * XS_C));
        hone_load(b, w + (VEC > 1 ? (i64)c : (i64)c * WS_I));
#pragma unroll
        for (int e = 0; e < VEC; e++) sum += a[e] * b[e];
    }
    return sum;
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned at = blockIdx.x * THREADS + threadIdx.x, m = at / (unsigned)COLS, n = at - m * (unsigned)COLS;
    if (at >= (unsigned)COUNT) return;
    // NHWC: m is (image, y, x), n the channel; else m is (image, channel, z, y), n is x.
    unsigned rest = m;
    const int ox = NHWC ? rest % (unsigned)OUT_W : n;
    if (NHWC) rest /= (unsigned)OUT_W;
    const int oy = rest % (unsigned)OUT_H;
    rest /= (unsigned)OUT_H;
    const int oz = rest % (unsigned)OUT_D;
    rest /= (unsigned)OUT_D;
    const int channel = NHWC ? n : rest % (unsigned)CHANNELS, image = NHWC ? rest : rest / (unsigned)CHANNELS;
    const int group = channel / GROUP_K, inner = channel - group * GROUP_K;
    const T *x = (const T *)p.in[IN_A] + (i64)image * XS_N + (i64)group * GROUP_C * XS_C;
    // Filters are (O, I of a group, ...), those of a transposed convolution (I, O of a group, ...).
    const W_T *w = (const W_T *)p.in[IN_B] + (TRANSPOSED ? (i64)group * GROUP_C * WS_I + (i64)inner * WS_O : (i64)channel * WS_O);
    float sum[1] = {0};
    for (int dz = 0; dz < KER_D; dz++) {
        int z, y, xx;
        if (!position(oz, dz, STRIDE_D, DIL_D, PAD_D, IN_D, z)) continue;
        for (int dy = 0; dy < KER_H; dy++) {
            if (!position(oy, dy, STRIDE_H, DIL_H, PAD_H, IN_H, y)) continue;
            for (int dx = 0; dx < KER_W; dx++)
                if (position(ox, dx, STRIDE_W, DIL_W, PAD_W, IN_W, xx))
                    sum[0] += dot(p, x + ((i64)z * XS_D + (i64)y * XS_H + (i64)xx * XS_W), w + (dz * WS_D + dy * WS_H + dx * WS_W));
        }
    }
    hone_tail(p, sum, m, n);
}
