// SPDX-License-Identifier: Apache-2.0
// Elementwise ops on short blocks of floats: fast forms of common ops, and op->scalar value by value for the rest.
#ifndef HONE_KERNELS_CPU_BLOCKS_H
#define HONE_KERNELS_CPU_BLOCKS_H

#include "kernels/op.h"

#define HONE_CPU_BLOCK 1024       // longest block: inputs and outputs of a short chain stay in a 32 KiB cache

// out[k] = f(in[0][k * step[0]], in[1][k * step[1]], ...) for k < n; steps are 0 or 1. out may be one of the inputs.
// `types` are the element types that the floats stand for (f32, or bool as 0 and 1).
typedef struct hone_cpu_block_args {
    const hone_call *call;
    float *out;
    const float *in[3];
    int step[3];
    int n;
    hone_dtype in_dtype;          // of the last input
    bool is_out_float;
} hone_cpu_block_args;

typedef void (*hone_cpu_block)(const hone_cpu_block_args *args);

hone_cpu_block hone_cpu_block_find(const hone_op *op);     // never NULL

#endif
