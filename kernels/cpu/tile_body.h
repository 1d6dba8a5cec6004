// SPDX-License-Identifier: Apache-2.0
// Register tiles of matrix products for one instruction set; the including file sets the target, LANES, ROWS and the vector types.
//
// A tile keeps rows x vectors sums in registers. Each step of k loads `vectors` vectors of b and broadcasts `rows` values of a, so
// that eight rows by three vectors do 24 multiply-adds for 11 loads: 24 sums, 3 vectors and a broadcast fit 32 registers, and four
// rows by three vectors fit 16. The vectors of b lie wherever offsets say, which lets a convolution read its padded input in place.
#ifndef HONE_KERNELS_CPU_TILE_BODY_H
#define HONE_KERNELS_CPU_TILE_BODY_H

INLINE void tile_sized(const hone_cpu_tile *t, const int rows, const int vectors)
{
    floats sum[ROWS][3];
    const float *a = t->a;
    const int64_t row = t->a_row, step = t->a_step;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            sum[i][v] = t->start == HONE_CPU_MEMORY    ? *(const floats *)(t->c + i * t->c_row + v * LANES)
                        : t->start == HONE_CPU_COLUMNS ? *(const floats *)(t->bias + v * LANES)
                        : t->start == HONE_CPU_ROWS    ? all(t->bias[i])
                                                       : (floats){0};
    for (int64_t k = 0; k < t->k; k++, a += step) {
        const float *b = t->b + t->offsets[k];
        floats column[3];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) column[v] = *(const floats *)(b + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            floats value = all(a[i * row]);
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++) sum[i][v] += value * column[v];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) *(floats *)(t->c + i * t->c_row + v * LANES) = sum[i][v];
}

INLINE void tile_rows(const hone_cpu_tile *t, const int rows)
{
    if (t->vectors == 3) tile_sized(t, rows, 3);
    else if (t->vectors == 2) tile_sized(t, rows, 2);
    else tile_sized(t, rows, 1);
}

static void tile_any(const hone_cpu_tile *t)
{
    if (t->rows == ROWS) tile_rows(t, ROWS);
    else if (t->rows == 4) tile_rows(t, 4);
    else if (t->rows == 2) tile_rows(t, 2);
    else tile_rows(t, 1);
}

// ---- lines

static float max_of(const float *values, int64_t n)
{
    floats top = all(values[0]);
    int64_t k = 0;
    float result;
    for (; k + LANES <= n; k += LANES) {
        floats x = *(const floats *)(values + k);
        top = pick(x > top, x, top);
    }
    result = top[0];
    for (int i = 1; i < LANES; i++) result = top[i] > result ? top[i] : result;
    for (; k < n; k++) result = values[k] > result ? values[k] : result;
    return result;
}

static float dot_of(const float *a, const float *b, int64_t n)
{
    floats s0 = {0}, s1 = {0};
    int64_t k = 0;
    float sum = 0;
    for (; k + 2 * LANES <= n; k += 2 * LANES) {
        s0 += *(const floats *)(a + k) * *(const floats *)(b + k);
        s1 += *(const floats *)(a + k + LANES) * *(const floats *)(b + k + LANES);
    }
    s0 += s1;
    for (int i = 0; i < LANES; i++) sum += s0[i];
    for (; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static float sum_of(const float *values, int64_t n)
{
    floats s0 = {0}, s1 = {0};
    int64_t k = 0;
    float sum = 0;
    for (; k + 2 * LANES <= n; k += 2 * LANES) {
        s0 += *(const floats *)(values + k);
        s1 += *(const floats *)(values + k + LANES);
    }
    s0 += s1;
    for (int i = 0; i < LANES; i++) sum += s0[i];
    for (; k < n; k++) sum += values[k];
    return sum;
}

static void normalise(float *out, const float *values, int64_t n, float mean, float factor, const float *scale, const float *shift)
{
    if (scale && shift) for (int64_t k = 0; k < n; k++) out[k] = (values[k] - mean) * factor * scale[k] + shift[k];
    else if (scale) for (int64_t k = 0; k < n; k++) out[k] = (values[k] - mean) * factor * scale[k];
    else for (int64_t k = 0; k < n; k++) out[k] = (values[k] - mean) * factor + (shift ? shift[k] : 0);
}

static void multiply_add(float *sum, const float *a, const float *b, int64_t n)
{
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES) *(floats *)(sum + k) += *(const floats *)(a + k) * *(const floats *)(b + k);
    for (; k < n; k++) sum[k] += a[k] * b[k];
}

#endif
