// SPDX-License-Identifier: Apache-2.0
// A convolution, product, pool, reduction or norm with the elementwise ops behind it: bias, residual, activation, scale. Every length of the
// chain is a group of its own, since a longer tail is not always faster.
#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_tail = {.name = "tail", .propose = propose, .make = hone_group_make_calls};

static bool may_have_tail(const hone_node *node) {
    switch (node->call.op->kind) {
    case HONE_OP_CONV:
    case HONE_OP_MATMUL:
    case HONE_OP_POOL:
    case HONE_OP_REDUCE:
    case HONE_OP_NORM: return node->call.n_out == 1;
    default: return false;
    }
}

// The producer of `node`'s operand that continues the chain upwards: elementwise or a head, read by `node` only, of the same dims.
static int above(const hone_view *view, int node, hone_head_test *is_head) {
    const hone_graph *graph = view->graph;
    const hone_node *n = &graph->nodes[node];
    int best = -1;
    for (int k = 0; k < n->call.n_in; k++) {
        int producer = n->in[k] < 0 ? -1 : graph->values[n->in[k]].producer;
        if (producer < 0 || hone_view_sole_consumer(view, producer) != node) continue;
        if (!hone_tensor_same_dims(&graph->values[n->in[k]].tensor, &graph->values[n->out[0]].tensor)) continue;
        if (!hone_node_is_elementwise(&graph->nodes[producer]) && !is_head(&graph->nodes[producer])) continue;
        if (is_head(&graph->nodes[producer])) return producer;     // a head nearby wins over a longer chain
        best = producer;
    }
    return best;
}

int hone_tail_climb(const hone_view *view, hone_head_test *is_head, int at, int *chain, int n) {
    while (at >= 0 && hone_node_is_elementwise(&view->graph->nodes[at]) && n < HONE_CALLS_MAX - 1) {
        chain[n++] = at;
        at = above(view, at, is_head);
    }
    if (at < 0 || !is_head(&view->graph->nodes[at])) return 0;
    chain[n++] = at;
    return n;
}

hone_status hone_tail_propose(const hone_view *view, const hone_rule *rule, hone_head_test *is_head, int node, int k, hone_group_list *list) {
    const hone_graph *graph = view->graph;
    int chain[HONE_CALLS_MAX] = {node}, value = graph->nodes[node].in[k];
    int at = value < 0 ? -1 : graph->values[value].producer;
    if (at < 0 || hone_view_sole_consumer(view, at) != node) return HONE_OK;
    if (!hone_tensor_same_dims(&graph->values[value].tensor, &graph->values[graph->nodes[node].out[0]].tensor)) return HONE_OK;
    int n = hone_tail_climb(view, is_head, at, chain, 1);
    return n ? hone_group_add(view, rule, chain, n, list) : HONE_OK;
}

// Two operands may both lead to a head (a residual add of two convolutions): each is tried.
hone_status hone_tails_propose(const hone_view *view, const hone_rule *rule, hone_head_test *is_head, int node, hone_group_list *list) {
    const hone_node *exit = &view->graph->nodes[node];
    hone_status status = HONE_OK;
    if (!hone_node_is_elementwise(exit) || exit->call.n_out != 1) return HONE_OK;
    for (int k = 0; k < exit->call.n_in && status == HONE_OK; k++) status = hone_tail_propose(view, rule, is_head, node, k, list);
    return status;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list) {
    return hone_tails_propose(view, &hone_rule_tail, may_have_tail, node, list);
}
