// SPDX-License-Identifier: Apache-2.0
// A convolution of an image, the elementwise ops behind it, and a max pooling that alone reads them: the full image between the two is the largest that
// many a network has, and need not be written. Of few channels only: what has more is bound by its arithmetic.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_pooled = {.name = "pooled", .device = "cuda", .propose = propose, .make = hone_group_make_calls};

static bool is_convolution(const hone_node *node)
{
    return !strcmp(node->call.op->name, "conv") && hone_call_int(&node->call, "group") == 1;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    const hone_node *pool = &view->graph->nodes[node];
    int chain[HONE_CALLS_MAX] = {node};
    if (strcmp(pool->call.op->name, "maxpool") || pool->call.n_out != 1) return HONE_OK;
    int at = view->graph->values[pool->in[0]].producer;
    if (at < 0 || hone_view_sole_consumer(view, at) != node) return HONE_OK;
    int n = hone_tail_climb(view, is_convolution, at, chain, 1);
    if (!n || view->graph->values[view->graph->nodes[chain[n - 1]].in[0]].tensor.dims[1] > HONE_IMAGE_CHANNELS) return HONE_OK;
    return hone_group_add(view, &hone_rule_pooled, chain, n, list);
}
