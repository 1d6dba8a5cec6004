// SPDX-License-Identifier: Apache-2.0
// A layer norm that only one product reads, with that product and the elementwise ops behind it: bias, activation, residual.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_normed = {.name = "normed", .device = "cuda", .propose = propose, .make = hone_group_make_calls};

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    const hone_graph *graph = view->graph;
    const hone_node *product = &graph->nodes[node];
    int nodes[HONE_CALLS_MAX], n = 0;
    if (strcmp(product->call.op->name, "matmul") || !graph->values[product->in[1]].data || graph->values[product->in[1]].tensor.rank != 2) return HONE_OK;
    int norm = graph->values[product->in[0]].producer;
    if (norm < 0 || strcmp(graph->nodes[norm].call.op->name, "layernorm") || hone_view_sole_consumer(view, norm) != node) return HONE_OK;
    nodes[n++] = norm;
    nodes[n++] = node;
    hone_status status = hone_group_add(view, &hone_rule_normed, nodes, n, list);
    for (int last = node; n < HONE_CALLS_MAX && !status;) {
        last = hone_view_sole_consumer(view, last);
        if (last < 0 || !hone_node_is_elementwise(&graph->nodes[last])) break;
        nodes[n++] = last;
        status = hone_group_add(view, &hone_rule_normed, nodes, n, list);
    }
    return status;
}
