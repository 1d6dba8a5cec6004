// SPDX-License-Identifier: Apache-2.0
// Softmax, log-softmax, layer norm and its kin along contiguous rows, with elementwise steps before (a residual sum) and behind.
//
// A team of threads owns a row and keeps all of it in registers: the row is read once and written once, which is all that memory sees. The
// number of elements a thread holds (ITEMS vectors of VEC) is known when the kernel is compiled, so they are registers indeed. Sums are taken
// in float; the variance is that of the differences from the mean, a second pass over registers, so nothing cancels.
//
// OP: 0 softmax, 1 log-softmax, 2 layer norm, 3 instance norm, 4 group norm, 5 p-norm. Scale and bias of element (m, n) are number
// (m * cols + n) / repeat % period of their operands: along the row for a layer norm, one value for VEC neighbours for the others.
//
//! kernel rows 1
//! form rows
//! dtype f32 f16 bf16
//! include team.cuh
//! param team 8 32 64 128 256 512 1024
//! require cols <= team * min(min(head_vec, vec_max), 8) * 8 && cols <= team * 32
//! require team <= 32 || cols * 2 > team * min(min(head_vec, vec_max), 8)
//! require team >= 32 || cols <= 64
//! define VEC min(min(head_vec, vec_max), 8)
//! define TEAM team
//! define THREADS max(team, 128)
//! define ITEMS ceil(cols, team * min(min(head_vec, vec_max), 8))
//! define OP op
//! define HAS_SCALE in_scale >= 0
//! define HAS_BIAS in_bias >= 0
//! define PER_ROW per_row
//! define IN_SCALE max(in_scale, 0)
//! define IN_BIAS max(in_bias, 0)
//! arg ROWS rows
//! arg COLS cols
//! arg REPEAT repeat
//! arg PERIOD period
//! real EPSILON epsilon
//! grid ceil(rows, max(team, 128) / team)
//! block max(team, 128)
//! macs cols * 24 * max(team, 128) / team
//! bytes cols * (elem + bytes_per_element) * max(team, 128) / team
//! registers 40
template <int V> HONE_FN void scales_of(const hone_args &p, unsigned m, unsigned n, float (&scale)[V], float (&bias)[V])
{
    const unsigned at = PER_ROW ? (m * (unsigned)COLS + n) / (unsigned)REPEAT % (unsigned)PERIOD : n;
#pragma unroll
    for (int e = 0; e < V; e++) scale[e] = 1, bias[e] = 0;
    if constexpr (HAS_SCALE && PER_ROW) hone_fill(scale, (const SCALE_T *)p.in[IN_SCALE] + at);
    else if constexpr (HAS_SCALE) hone_load(scale, (const SCALE_T *)p.in[IN_SCALE] + at);
    if constexpr (HAS_BIAS && PER_ROW) hone_fill(bias, (const BIAS_T *)p.in[IN_BIAS] + at);
    else if constexpr (HAS_BIAS) hone_load(bias, (const BIAS_T *)p.in[IN_BIAS] + at);
}

// Weights that are wanted when all else is done, or beside what is near already.
HONE_FN void near_row(const hone_args &p, unsigned n)
{
    hone_head_near(p, n);
    hone_tail_near(p, n);
    if (HAS_SCALE && !PER_ROW) hone_bring_near((const SCALE_T *)p.in[IN_SCALE] + n);
    if (HAS_BIAS && !PER_ROW) hone_bring_near((const BIAS_T *)p.in[IN_BIAS] + n);
}

#define EACH for (int k = 0; k < ITEMS; k++) for (int e = 0; e < VEC; e++)
// Elements behind the end of the row do not take part.
#define INSIDE ((lane + k * TEAM) * VEC < (unsigned)COLS)
#define SCALES_FIRST (OP >= 2 && ITEMS * VEC <= 8)         // registers hold them beside the row

HONE_FN void normalise(const hone_args &p, float (&x)[ITEMS][VEC], unsigned lane)
{
    float sum = 0, squares = 0;
#pragma unroll
    EACH sum += INSIDE ? x[k][e] : 0;
    const float mean = TEAM_SUM(sum) / (float)COLS;
#pragma unroll
    EACH x[k][e] -= mean;
#pragma unroll
    EACH squares += INSIDE ? x[k][e] * x[k][e] : 0;
    const float inverse = rsqrtf(TEAM_SUM(squares) / (float)COLS + EPSILON);
#pragma unroll
    EACH x[k][e] *= inverse;
}

HONE_FN void soften(const hone_args &p, float (&x)[ITEMS][VEC], unsigned lane)
{
    float top = -HONE_INFINITY, sum = 0;
#pragma unroll
    EACH top = INSIDE ? fmaxf(top, x[k][e]) : top;
    top = TEAM_MAX(top);
#pragma unroll
    EACH {
        const float power = expf(x[k][e] - top);
        sum += INSIDE ? power : 0;
        x[k][e] = OP == 0 ? power : x[k][e] - top;
    }
    sum = TEAM_SUM(sum);
    const float factor = 1 / sum, shift = logf(sum);
#pragma unroll
    EACH x[k][e] = OP == 0 ? x[k][e] * factor : x[k][e] - shift;
}

HONE_FN void scale_by_norm(const hone_args &p, float (&x)[ITEMS][VEC], unsigned lane)
{
    float sum = 0;
#pragma unroll
    EACH sum += INSIDE ? (EPSILON == 1 ? fabsf(x[k][e]) : EPSILON == 2 ? x[k][e] * x[k][e] : powf(fabsf(x[k][e]), EPSILON)) : 0;
    sum = TEAM_SUM(sum);
    const float norm = EPSILON == 1 ? sum : EPSILON == 2 ? sqrtf(sum) : powf(sum, 1 / EPSILON);
#pragma unroll
    EACH x[k][e] = norm == 0 ? 0 : x[k][e] / norm;
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    const unsigned lane = threadIdx.x % TEAM, m = blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
    const bool here = m < (unsigned)ROWS;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (threadIdx.x < TEAM && INSIDE) near_row(p, (lane + k * TEAM) * VEC);
    hone_follow(p);
    float x[ITEMS][VEC];
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        // Elsewhere the first element stands in and is dropped: with no branch all loads may start at once.
        const bool inside = here && INSIDE;
        hone_head(p, inside ? m : 0, inside ? (lane + k * TEAM) * VEC : 0, x[k]);
#pragma unroll
        for (int e = 0; e < VEC; e++) x[k][e] = inside ? x[k][e] : 0;
    }
    float scale[ITEMS][VEC], bias[ITEMS][VEC];
#pragma unroll
    for (int k = 0; k < ITEMS && SCALES_FIRST; k++) scales_of(p, here ? m : 0, here && INSIDE ? (lane + k * TEAM) * VEC : 0, scale[k], bias[k]);
    if constexpr (OP < 2) soften(p, x, lane);
    else if constexpr (OP < 5) normalise(p, x, lane);
    else scale_by_norm(p, x, lane);
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        const unsigned n = (lane + k * TEAM) * VEC;
        if (here && INSIDE) {
            if (!SCALES_FIRST) scales_of(p, m, n, scale[k], bias[k]);
#pragma unroll
            for (int e = 0; e < VEC; e++) x[k][e] = x[k][e] * scale[k][e] + bias[k][e];
            hone_tail(p, x[k], m, n);
        }
    }
}
