// SPDX-License-Identifier: Apache-2.0
// The tail of a problem as vendor libraries see it: after the first op a chain of elementwise ops, each on the
// result before it and at most one operand more. Problems of other forms are declined.
#ifndef HONE_KERNELS_TAIL_H
#define HONE_KERNELS_TAIL_H

#include "kernels/problem.h"

typedef enum hone_tail_kind {
    HONE_TAIL_UNARY,          // an activation
    HONE_TAIL_FULL,           // the other operand has the result's dims
    HONE_TAIL_CHANNEL,        // the other operand varies along one axis alone
    HONE_TAIL_SCALAR          // the other operand is one value
} hone_tail_kind;

typedef struct hone_tail_link {
    const hone_call *call;    // borrowed from the problem
    hone_tail_kind kind;
    int operand;              // external operand; -1 for a unary
    bool is_left;             // the operand is the left one: operand - chain
} hone_tail_link;

typedef struct hone_tail {
    int n;
    hone_tail_link links[HONE_CALLS_MAX];
} hone_tail;

// channel_axis: the axis of the result along which HONE_TAIL_CHANNEL operands vary.
// HONE_DECLINED with the reason when the steps after the first are no such chain.
hone_status hone_tail_read(const hone_problem *problem, int channel_axis, hone_tail *tail);

#endif
