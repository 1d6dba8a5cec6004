// SPDX-License-Identifier: Apache-2.0
// Max, average and p-norm poolings of one to three spatial axes, with elementwise steps before and behind.
//
// Over NHWC images a thread takes VEC neighbouring channels of one window, so that every tap is one wide, coalesced access; over other layouts
// neighbouring threads take neighbouring windows of a row. Windows of up to 32 taps are unrolled: all their loads are under way at once, since
// a tap in the padding reads the window's nearest element instead and is left out. What an average divides by follows from the position.
//
// OP: 0 max, 1 average, 2 p-norm.
//
//! kernel pool 1
//! form pool
//! dtype f32 f16 bf16
//! param vec 1 2 4 8
//! param threads 128 256
//! require vec <= vec_max && vec <= head_vec && (nhwc || vec == 1)
//! require vec * elem >= 8 || vec * 2 > min(vec_max, head_vec) || !nhwc || count / vec < sms * 256
//! define VEC vec
//! define THREADS threads
//! define OP op
//! define NHWC nhwc
//! define INCLUDE_PAD include_pad
//! define KER_D ker_d
//! define KER_H ker_h
//! define KER_W ker_w
//! define UNROLL taps <= 32 ? 32 : 1
//! arg COLS cols
//! arg COUNT count
//! arg IN_D in_d
//! arg IN_H in_h
//! arg IN_W in_w
//! arg OUT_D out_d
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg STRIDE_D stride_d
//! arg STRIDE_H stride_h
//! arg STRIDE_W stride_w
//! arg DIL_D dil_d
//! arg DIL_H dil_h
//! arg DIL_W dil_w
//! arg PAD_D pad_d
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg END_D end_d
//! arg END_H end_h
//! arg END_W end_w
//! real POWER p
//! grid ceil(count, vec * threads)
//! block threads
//! macs taps * vec * threads * 8
//! bytes (taps * elem + bytes_per_element) * vec * threads
// Taps of one axis that lie inside the padded input.
HONE_FN int taps_of(int first, int kernel, int dilation, int extent)
{
    return min(kernel, max(0, (extent - first + dilation - 1) / dilation));
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned at = (blockIdx.x * THREADS + threadIdx.x) * VEC, m = at / (unsigned)COLS, n = at - m * (unsigned)COLS;
    if (at >= (unsigned)COUNT) return;
    const int ox = NHWC ? m % (unsigned)OUT_W : n, line = NHWC ? m / (unsigned)OUT_W : m, oy = (unsigned)line % (unsigned)OUT_H;
    const int deep = (unsigned)line / (unsigned)OUT_H, oz = (unsigned)deep % (unsigned)OUT_D, plane = (unsigned)deep / (unsigned)OUT_D;
    const int z0 = oz * STRIDE_D - PAD_D, y0 = oy * STRIDE_H - PAD_H, x0 = ox * STRIDE_W - PAD_W;
    float total[VEC];
    int count = 0;
#pragma unroll
    for (int e = 0; e < VEC; e++) total[e] = OP == 0 ? -HONE_INFINITY : 0;
#pragma unroll UNROLL
    for (int tap = 0; tap < KER_D * KER_H * KER_W; tap++) {
        const int z = z0 + tap / (KER_H * KER_W) * DIL_D, y = y0 + tap / KER_W % KER_H * DIL_H, x = x0 + tap % KER_W * DIL_W;
        const bool inside = (unsigned)z < (unsigned)IN_D && (unsigned)y < (unsigned)IN_H && (unsigned)x < (unsigned)IN_W;
        const unsigned row = ((unsigned)plane * IN_D + min(max(z, 0), IN_D - 1)) * IN_H + min(max(y, 0), IN_H - 1), col = min(max(x, 0), IN_W - 1);
        float v[VEC];
        if (NHWC) hone_head(p, row * IN_W + col, n, v);
        else hone_head(p, row, col, v);
        count += inside;
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            if (OP == 0) total[e] = inside && (v[e] > total[e] || v[e] != v[e]) ? v[e] : total[e];
            else total[e] += !inside ? 0 : OP == 1 ? v[e] : POWER == 2 ? v[e] * v[e] : powf(fabsf(v[e]), POWER);
        }
    }
    if (INCLUDE_PAD)
        count = taps_of(z0, KER_D, DIL_D, IN_D + END_D) * taps_of(y0, KER_H, DIL_H, IN_H + END_H) * taps_of(x0, KER_W, DIL_W, IN_W + END_W);
#pragma unroll
    for (int e = 0; e < VEC; e++) {
        if (OP == 1) total[e] = count > 0 ? total[e] / (float)count : 0;
        else if (OP == 2) total[e] = POWER == 2 ? sqrtf(total[e]) : powf(total[e], 1 / POWER);
    }
    hone_tail(p, total, m, n);
}
