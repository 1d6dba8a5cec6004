// SPDX-License-Identifier: Apache-2.0
// Softmax, log-softmax and p-norms along an axis that has others inside of it: x is [outer][length][inner]. Neighbouring threads take
// neighbouring inner elements, so every access is coalesced, and a thread walks its line alone, three times; the L1 and L2 serve the repeats.
//
//! kernel lines 1
//! form lines
//! dtype f32 f16 bf16
//! param vec 1 2 4
//! param threads 64 256
//! require vec <= vec_max && vec <= head_vec
//! define VEC vec
//! define THREADS threads
//! define OP op
//! arg COLS cols
//! arg LENGTH length
//! arg LINES rows / length * cols / vec
//! real POWER p
//! grid ceil(rows / length * cols / vec, threads)
//! block threads
//! macs length * vec * threads * 24
//! bytes length * vec * threads * (elem + bytes_per_element)
HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned line = blockIdx.x * THREADS + threadIdx.x, per = (unsigned)COLS / VEC;
    const unsigned outer = line / per, n = (line - outer * per) * VEC, m0 = outer * (unsigned)LENGTH;
    if (line >= (unsigned)LINES) return;
    float top[VEC], sum[VEC];
#pragma unroll
    for (int e = 0; e < VEC; e++) top[e] = OP < 2 ? -HONE_INFINITY : 0, sum[e] = 0;
    for (unsigned k = 0; k < (unsigned)LENGTH && OP < 2; k++) {
        float x[VEC];
        hone_head(p, m0 + k, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) top[e] = fmaxf(top[e], x[e]);
    }
    for (unsigned k = 0; k < (unsigned)LENGTH; k++) {
        float x[VEC];
        hone_head(p, m0 + k, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++)
            sum[e] += OP < 2 ? expf(x[e] - top[e]) : POWER == 1 ? fabsf(x[e]) : POWER == 2 ? x[e] * x[e] : powf(fabsf(x[e]), POWER);
    }
#pragma unroll
    for (int e = 0; e < VEC; e++) {
        if (OP == 1) top[e] += logf(sum[e]);
        else if (OP != 0) sum[e] = POWER == 1 ? sum[e] : POWER == 2 ? sqrtf(sum[e]) : powf(sum[e], 1 / POWER);
    }
    for (unsigned k = 0; k < (unsigned)LENGTH; k++) {
        float x[VEC];
        hone_head(p, m0 + k, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++)
            x[e] = OP == 0 ? expf(x[e] - top[e]) / sum[e] : OP == 1 ? x[e] - top[e] : sum[e] == 0 ? 0 : x[e] / sum[e];
        hone_tail(p, x, m0 + k, n);
    }
}
