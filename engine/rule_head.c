// SPDX-License-Identifier: Apache-2.0
// A norm or a reduction with what makes its operand, as a sum before a layer norm or a sum of rows looked up in tables, and the elementwise ops
// behind it: each row is read once.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_head = {.name = "head", .device = "cuda", .propose = propose, .make = hone_group_make_calls};

static bool is_lookup(const hone_view *view, const hone_node *node)
{
    if (strcmp(node->call.op->name, "gather") || hone_call_int(&node->call, "axis") != 0) return false;
    const hone_value *table = &view->graph->values[node->in[0]];
    return table->data && table->tensor.rank == 2;
}

// Adds what is elementwise or a lookup, of x's dims, above `value` and read in the group alone.
static int grow(const hone_view *view, int value, const hone_tensor *x, int *nodes, int n)
{
    int at = value < 0 ? -1 : view->graph->values[value].producer;
    if (at < 0 || n == HONE_CALLS_MAX || hone_view_sole_consumer(view, at) < 0) return n;
    const hone_node *node = &view->graph->nodes[at];
    if (!hone_node_is_elementwise(node) && !is_lookup(view, node)) return n;
    if (!hone_tensor_same_dims(&view->graph->values[node->out[0]].tensor, x)) return n;
    nodes[n++] = at;
    if (!hone_node_is_elementwise(node)) return n;
    for (int k = 0; k < node->call.n_in; k++) n = grow(view, node->in[k], x, nodes, n);
    return n;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    const hone_node *main = &view->graph->nodes[node];
    int nodes[HONE_CALLS_MAX] = {node}, n;
    if ((main->call.op->kind != HONE_OP_NORM && main->call.op->kind != HONE_OP_REDUCE) || main->call.n_out != 1) return HONE_OK;
    n = grow(view, main->in[0], &view->graph->values[main->in[0]].tensor, nodes, 1);
    hone_status status = n > 1 ? hone_group_add(view, &hone_rule_head, nodes, n, list) : HONE_OK;
    for (int last = node; n > 1 && n < HONE_CALLS_MAX && !status;) {
        last = hone_view_sole_consumer(view, last);
        if (last < 0 || !hone_node_is_elementwise(&view->graph->nodes[last])) break;
        nodes[n++] = last;
        status = hone_group_add(view, &hone_rule_head, nodes, n, list);
    }
    return status;
}
