// SPDX-License-Identifier: Apache-2.0
// What rows.cu and rows_many.cu do to a row. A team of TEAM threads has it in registers, ITEMS vectors of VEC elements a thread.
//
// OP: 0 softmax, 1 log-softmax, 2 layer norm, 3 instance norm, 4 group norm, 5 p-norm. Scale and bias of element (m, n) are number
// (m * cols + n) / repeat % period of their operands: along the row for a layer norm, one value for VEC neighbours for the others.
// EVEN: the team's registers are as many as the row is long. QUICK: powers and quotients without the code for what does not come here
// (divisors lie between 1 and the length of a row), off by a few units in the last place.
#include "team.cuh"

HONE_FN float quotient(float a, float b) { return QUICK ? __fdividef(a, b) : a / b; }

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

#define EACH for (int k = 0; k < ITEMS; k++) for (int e = 0; e < VEC; e++)
// Elements behind the end of the row do not take part.
#define INSIDE (EVEN || (lane + k * TEAM) * VEC < (unsigned)COLS)

HONE_FN void normalise(const hone_args &p, float (&x)[ITEMS][VEC], unsigned lane)
{
    float sum = 0, squares = 0;
#pragma unroll
    EACH sum += INSIDE ? x[k][e] : 0;
    const float mean = quotient(TEAM_SUM(sum), (float)COLS);
#pragma unroll
    EACH x[k][e] -= mean;
#pragma unroll
    EACH squares += INSIDE ? x[k][e] * x[k][e] : 0;
    const float inverse = rsqrtf(quotient(TEAM_SUM(squares), (float)COLS) + EPSILON);
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
        const float power = QUICK ? exp2f((x[k][e] - top) * 1.44269504f) : expf(x[k][e] - top);
        sum += INSIDE ? power : 0;
        x[k][e] = OP == 0 ? power : x[k][e] - top;
    }
    sum = TEAM_SUM(sum);
    const float factor = quotient(1, sum), shift = logf(sum);
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

HONE_FN void load_row(const hone_args &p, unsigned m, bool here, unsigned lane, float (&x)[ITEMS][VEC])
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        // Elsewhere the first element stands in and is dropped: with no branch all loads may start at once.
        const bool inside = here && INSIDE;
        hone_head(p, inside ? m : 0, inside ? (lane + k * TEAM) * VEC : 0, x[k]);
#pragma unroll
        for (int e = 0; e < VEC; e++) x[k][e] = EVEN || inside ? x[k][e] : 0;
    }
}

HONE_FN void change_row(const hone_args &p, float (&x)[ITEMS][VEC], unsigned lane)
{
    if constexpr (OP < 2) soften(p, x, lane);
    else if constexpr (OP < 5) normalise(p, x, lane);
    else scale_by_norm(p, x, lane);
}

HONE_FN void load_scales(const hone_args &p, unsigned m, bool here, unsigned lane, float (&scale)[ITEMS][VEC], float (&bias)[ITEMS][VEC])
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++) scales_of(p, here ? m : 0, here && INSIDE ? (lane + k * TEAM) * VEC : 0, scale[k], bias[k]);
}

HONE_FN void store_row(const hone_args &p, unsigned m, bool here, unsigned lane, float (&x)[ITEMS][VEC], const float (&scale)[ITEMS][VEC],
                       const float (&bias)[ITEMS][VEC])
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        if (here && INSIDE) {
#pragma unroll
            for (int e = 0; e < VEC; e++) x[k][e] = x[k][e] * scale[k][e] + bias[k][e];
            hone_tail(p, x[k], m, (lane + k * TEAM) * VEC);
        }
    }
}
