// SPDX-License-Identifier: Apache-2.0
// What is compiled once for each instruction set: register tiles of matrix products and blocks of elementwise ops.
#ifndef HONE_KERNELS_CPU_ISA_H
#define HONE_KERNELS_CPU_ISA_H

#include "kernels/cpu/blocks.h"

typedef enum hone_cpu_start {      // what a tile's sums start from
    HONE_CPU_ZERO, HONE_CPU_MEMORY,           // zero, what c holds
    HONE_CPU_ROWS, HONE_CPU_COLUMNS           // bias[row], bias[column]
} hone_cpu_start;

// c[i][j] = start + sum over k of a[i * a_row + k * a_step] * b[offsets[k] + j], i < rows, j < vectors * lanes.
// rows is 1, 2, 4 or (where the isa has it) 8; vectors is 1, 2 or 3. b is read up to the last vector's end.
typedef struct hone_cpu_tile {
    int rows, vectors;
    int64_t k;
    const float *a;
    int64_t a_row, a_step;
    const float *b;
    const int32_t *offsets;
    float *c;
    int64_t c_row;
    hone_cpu_start start;
    const float *bias;
} hone_cpu_tile;

typedef struct hone_cpu_named_block {
    const char *name;
    hone_cpu_block block;
} hone_cpu_named_block;

typedef struct hone_cpu_isa {
    const char *arch;              // as hone_cpu_arch says
    int lanes;                     // floats of a vector
    int rows;                      // most rows of a tile
    void (*tile)(const hone_cpu_tile *tile);
    // values = exp(values - minus); returns their sum.
    float (*exp_sum)(float *values, int64_t n, float minus);
    float (*max)(const float *values, int64_t n);
    float (*sum)(const float *values, int64_t n);
    float (*dot)(const float *a, const float *b, int64_t n);
    // out[k] = (values[k] - mean) * factor, times scale[k] and plus shift[k] where those are not NULL.
    void (*normalise)(float *out, const float *values, int64_t n, float mean, float factor, const float *scale, const float *shift);
    void (*multiply_add)(float *sum, const float *a, const float *b, int64_t n);      // sum[k] += a[k] * b[k]
    hone_cpu_block scale_shift;    // in[0] * in[1] + in[2]
    const hone_cpu_named_block *blocks;       // ends with a NULL name
} hone_cpu_isa;

extern const hone_cpu_isa hone_cpu_isa_avx512, hone_cpu_isa_avx2, hone_cpu_isa_sse;

const hone_cpu_isa *hone_cpu_isa_get(void);   // the best that this machine has

#endif
