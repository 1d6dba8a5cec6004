// SPDX-License-Identifier: Apache-2.0
// Transposed convolutions whose taps do not overlap and which make few values of a pixel, as the last layer of a segmentation that makes one
// channel: a tile of a tensor core would be empty for the most part, and the work is reading x once. A thread takes one pixel, with the filter in
// shared memory as floats, read by all threads at one place at a time, and holds all that the pixel makes (taps x channels) in registers.
// x may have its channels inside (a thread reads VEC of them at once) or outside (neighbouring threads read neighbours).
//
//! kernel deconv_pixel 1
//! form deconv
//! dtype f32 f16 bf16
//! include apart.cuh
//! param vec 1 2 4 8
//! param threads 64 128 256
//! require n <= 16 && n * k <= 8192
//! require ta ? vec == 1 : vec <= va && (vec * 2 > va || vec >= 4)
//! define VEC vec
//! define X_INSIDE !ta
//! define THREADS threads
//! define OUTS n
//! define K k
//! define TV min(vec_max, 4)
//! define IN_A in_a
//! define IN_B in_b
//! define KER_H ker_h
//! define KER_W ker_w
//! define W_INSIDE w_inside
//! define OUT_INSIDE out_inside
//! arg PIXELS pixels
//! arg IN_H in_h
//! arg IN_W in_w
//! arg CHANNELS channels
//! grid ceil(pixels, threads)
//! block threads
//! macs threads * n * k
//! rate 60
//! bytes threads * (k * elem + n * bytes_per_element) + n * k * elem
//! latency 1400
//! registers 32 + 2 * n
HONE_FN void load_channels(const T *x, int step, float (&v)[VEC])
{
    if (X_INSIDE) hone_load(v, x);
    else hone_gather(v, x, step);
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned m = blockIdx.x * THREADS + threadIdx.x, area = (unsigned)IN_H * (unsigned)IN_W, image = m / area;
    HONE_STATIC_SHARED float filters[K * OUTS];
    for (unsigned k = threadIdx.x; k < K * OUTS; k += THREADS) {
        float w[1];
        hone_load(w, (const T *)p.in[IN_B] + k);
        filters[k] = w[0];
    }
    __syncthreads();
    if (m >= (unsigned)PIXELS) return;
    const T *x = (const T *)p.in[IN_A] + (X_INSIDE ? (i64)m * K : (i64)image * K * area + (m - image * area));
    float sums[OUTS];
#pragma unroll
    for (int n = 0; n < OUTS; n++) sums[n] = 0;
#pragma unroll 2
    for (int k = 0; k < K; k += VEC) {
        float v[VEC];
        load_channels(x + (i64)k * (X_INSIDE ? 1 : area), area, v);
#pragma unroll
        for (int e = 0; e < VEC; e++) {
#pragma unroll
            for (int n = 0; n < OUTS; n++) sums[n] += v[e] * filters[(k + e) * OUTS + n];
        }
    }
#pragma unroll
    for (int n = 0; n < OUTS; n += TV) {
        float r[TV];
#pragma unroll
        for (int e = 0; e < TV; e++) r[e] = sums[n + e];
        put_apart(p, r, m, n);
    }
}
