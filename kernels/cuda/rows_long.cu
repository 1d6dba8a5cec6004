// SPDX-License-Identifier: Apache-2.0
// The operations of rows.cu for rows of any length, which do not fit registers: a block reads its row two or three times (the L2 holds it).
// The variance is that of the differences from the mean, so nothing cancels.
//
//! kernel rows_long 1
//! form rows
//! dtype f32 f16 bf16
//! include team.cuh
//! param team 256 1024
//! require cols > team * min(min(head_vec, vec_max), 8) * 4
//! define VEC min(min(head_vec, vec_max), 8)
//! define TEAM team
//! define THREADS team
//! define OP op
//! define HAS_SCALE in_scale >= 0
//! define HAS_BIAS in_bias >= 0
//! define PER_ROW per_row
//! define IN_SCALE max(in_scale, 0)
//! define IN_BIAS max(in_bias, 0)
//! arg COLS cols
//! arg REPEAT repeat
//! arg PERIOD period
//! real EPSILON epsilon
//! grid rows
//! block team
//! macs cols * 32
//! bytes cols * (elem * 3 + bytes_per_element)
//! registers 40
HONE_FN void add_scale(const hone_args &p, unsigned m, unsigned n, float (&x)[VEC])
{
    const unsigned at = PER_ROW ? (m * (unsigned)COLS + n) / (unsigned)REPEAT % (unsigned)PERIOD : n;
    float scale[VEC], bias[VEC];
#pragma unroll
    for (int e = 0; e < VEC; e++) scale[e] = 1, bias[e] = 0;
    if constexpr (HAS_SCALE && PER_ROW) hone_fill(scale, (const SCALE_T *)p.in[IN_SCALE] + at);
    else if constexpr (HAS_SCALE) hone_load(scale, (const SCALE_T *)p.in[IN_SCALE] + at);
    if constexpr (HAS_BIAS && PER_ROW) hone_fill(bias, (const BIAS_T *)p.in[IN_BIAS] + at);
    else if constexpr (HAS_BIAS) hone_load(bias, (const BIAS_T *)p.in[IN_BIAS] + at);
#pragma unroll
    for (int e = 0; e < VEC; e++) x[e] = x[e] * scale[e] + bias[e];
}

// Two numbers that say how every element is mapped: x -> (x - a) * b, or exp(x - a) * b.
HONE_FN float2 measure(const hone_args &p, unsigned m)
{
    float top = -HONE_INFINITY, sum = 0;
    for (unsigned n = threadIdx.x * VEC; n < (unsigned)COLS; n += TEAM * VEC) {
        float x[VEC];
        hone_head(p, m, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            if (OP < 2) top = fmaxf(top, x[e]);
            else if (OP < 5) sum += x[e];
            else sum += EPSILON == 1 ? fabsf(x[e]) : EPSILON == 2 ? x[e] * x[e] : powf(fabsf(x[e]), EPSILON);
        }
    }
    const float shift = OP < 2 ? TEAM_MAX(top) : OP < 5 ? TEAM_SUM(sum) / (float)COLS : 0;
    if (OP == 5) {
        const float total = TEAM_SUM(sum), norm = EPSILON == 1 ? total : EPSILON == 2 ? sqrtf(total) : powf(total, 1 / EPSILON);
        return make_float2(0, norm == 0 ? 0 : 1 / norm);
    }
    float second = 0;
    for (unsigned n = threadIdx.x * VEC; n < (unsigned)COLS; n += TEAM * VEC) {
        float x[VEC];
        hone_head(p, m, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) second += OP < 2 ? expf(x[e] - shift) : (x[e] - shift) * (x[e] - shift);
    }
    second = TEAM_SUM(second);
    if (OP == 0) return make_float2(shift, 1 / second);
    if (OP == 1) return make_float2(shift + logf(second), 1);
    return make_float2(shift, rsqrtf(second / (float)COLS + EPSILON));
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned m = blockIdx.x;
    const float2 map = measure(p, m);
    for (unsigned n = threadIdx.x * VEC; n < (unsigned)COLS; n += TEAM * VEC) {
        float x[VEC];
        hone_head(p, m, n, x);
#pragma unroll
        for (int e = 0; e < VEC; e++) x[e] = (OP == 0 ? expf(x[e] - map.x) : x[e] - map.x) * map.y;
        add_scale(p, m, n, x);
        hone_tail(p, x, m, n);
    }
}
