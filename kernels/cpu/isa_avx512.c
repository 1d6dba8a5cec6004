// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/isa.h"

#include <math.h>
#include <string.h>

#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")

#define LANES 16
#define ROWS 8
#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#include "kernels/cpu/blocks_body.h"
#include "kernels/cpu/tile_body.h"

const hone_cpu_isa hone_cpu_isa_avx512 = {
    .arch = "x86_64-avx512", .lanes = LANES, .rows = ROWS, .tile = tile_any, .exp_sum = exp_sum, .max = max_of, .sum = sum_of,
    .dot = dot_of, .normalise = normalise, .multiply_add = multiply_add, .scale_shift = scale_shift_block,
    .blocks = blocks,
};
