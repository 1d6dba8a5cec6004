// SPDX-License-Identifier: Apache-2.0
// Elementwise ops that feed each other become one kernel: the largest single-exit set above an exit, and, where that is
// large, the set that stops at the first broadcast, since recomputing is not always cheaper than storing.
#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_elementwise = {.name = "elementwise", .propose = propose, .make = hone_group_make_calls};

static bool consumers_inside(const hone_view *view, const hone_group *group, int node) {
    int v = view->graph->nodes[node].out[0];
    if (view->graph->values[v].is_output) return false;
    for (const int *c = view->consumers[v]; *c >= 0; c++)
        if (!hone_group_holds(group, *c)) return false;
    return true;
}

// Adds producers until nothing more fits. Walking down from the exit keeps the set single-exit at every step.
static void grow(const hone_view *view, hone_group *group, bool same_dims) {
    const hone_graph *graph = view->graph;
    const hone_tensor *out = &graph->values[graph->nodes[group->nodes[0]].out[0]].tensor;
    for (bool grown = true; grown;) {
        grown = false;
        for (int k = 0; k < group->n_nodes && group->n_nodes < HONE_CALLS_MAX; k++) {
            const hone_node *node = &graph->nodes[group->nodes[k]];
            for (int i = 0; i < node->call.n_in && group->n_nodes < HONE_CALLS_MAX; i++) {
                int producer = node->in[i] < 0 ? -1 : graph->values[node->in[i]].producer;
                if (producer < 0 || hone_group_holds(group, producer) || !hone_node_is_elementwise(&graph->nodes[producer])) continue;
                if (same_dims && !hone_tensor_same_dims(&graph->values[node->in[i]].tensor, out)) continue;
                if (!consumers_inside(view, group, producer)) continue;
                group->nodes[group->n_nodes++] = producer;
                grown = true;
            }
        }
    }
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list) {
    if (!hone_node_is_elementwise(&view->graph->nodes[node])) return HONE_OK;
    int before = 1;
    for (int same_dims = 1; same_dims >= 0; same_dims--) {
        hone_group group = {.n_nodes = 1, .nodes = {node}};
        grow(view, &group, same_dims);
        if (group.n_nodes == before) continue;
        before = group.n_nodes;
        hone_status status = hone_group_add(view, &hone_rule_elementwise, group.nodes, group.n_nodes, list);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}
