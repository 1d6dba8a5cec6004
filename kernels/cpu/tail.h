// SPDX-License-Identifier: Apache-2.0
// Elementwise steps run block by block over contiguous pieces of an output, while those are hot in the cache. A tail starts from values
// that another kernel left in the output; a chain (head = false) starts from operands alone.
#ifndef HONE_KERNELS_CPU_TAIL_H
#define HONE_KERNELS_CPU_TAIL_H

#include "kernels/cpu/blocks.h"
#include "kernels/problem.h"

typedef struct hone_cpu_tail_op {          // a step, or two steps that one block computes
    hone_cpu_block block;
    int step;                              // whose result it makes
    int n_in;
    hone_ref in[3];
} hone_cpu_tail_op;

typedef struct hone_cpu_tail {
    int first;                             // steps first .. of the problem are run; step 0 is the head's when first is 1
    int n_ops;
    hone_cpu_tail_op ops[HONE_CALLS_MAX];
    int rank;                              // of the output, neighbouring axes joined where all operands allow it
    int64_t dims[HONE_RANK_MAX];           // in memory order
    int64_t strides[HONE_OPERANDS_MAX][HONE_RANK_MAX];      // elements; 0 where broadcast
} hone_cpu_tail;

// HONE_DECLINED, with the reason, when a step is not elementwise or a type is not f32 (bool operands are taken).
hone_status hone_cpu_tail_init(const hone_problem *problem, bool head, hone_cpu_tail *tail);

// Runs the tail over values[0 .. count), which lie at flat position `start` of the output in memory order. Values are replaced.
void hone_cpu_tail_run(const hone_cpu_tail *tail, const hone_problem *problem, void *const *operands, float *values, int64_t start,
                       int64_t count);
// The same for a piece that does not lie in the output yet: head values come from `from`, results go to `to` (they may be the same).
void hone_cpu_tail_map(const hone_cpu_tail *tail, const hone_problem *problem, void *const *operands, const float *from, float *to,
                       int64_t start, int64_t count);

#endif
