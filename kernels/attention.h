// SPDX-License-Identifier: Apache-2.0
// What an attention's operands mean. q is [batch, queries, heads, depth] (heads=bshd) or [batch, heads, queries, depth] (heads=bhsd);
// k and v alike with keys in place of queries, v and the result with value_depth. Fewer heads in k and v serve equal groups of q's.
#ifndef HONE_KERNELS_ATTENTION_H
#define HONE_KERNELS_ATTENTION_H

#include "kernels/op.h"

typedef struct hone_attention {
    int64_t batch, heads, kv_heads, queries, keys, depth, value_depth;
    double scale;
    bool heads_inner;              // bshd
    int64_t mask_steps[4];         // elements between neighbours along batch, head, query, key; 0 where the mask is broadcast
} hone_attention;

// mask may be NULL. HONE_USAGE when the operands do not fit.
hone_status hone_attention_init(const hone_call *call, const hone_tensor *q, const hone_tensor *k, const hone_tensor *v,
                                const hone_tensor *mask, hone_attention *attention);
// Where the row of (batch, head, position) begins in a tensor of `heads` heads, `positions` positions and `depth` values.
int64_t hone_attention_row(const hone_attention *attention, int64_t batch, int64_t head, int64_t position, int64_t heads,
                           int64_t positions, int64_t depth);

#endif
