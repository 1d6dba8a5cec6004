// SPDX-License-Identifier: Apache-2.0
// A product, the elementwise ops behind it, and a layer norm that alone reads them: a row is more than one block makes, so it takes clusters.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_ended = {.name = "ended", .device = "cuda", .cc = 90, .propose = propose, .make = hone_group_make_calls};

static bool is_product(const hone_node *node)
{
    return !strcmp(node->call.op->name, "matmul");
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    if (strcmp(view->graph->nodes[node].call.op->name, "layernorm")) return HONE_OK;
    return hone_tail_propose(view, &hone_rule_ended, is_product, node, 0, list);
}
