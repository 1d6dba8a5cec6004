// SPDX-License-Identifier: Apache-2.0
// A slice that takes the beginning of a value as it lies in memory (the first tokens of one sequence) is a view of it.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_prefix = {.name = "prefix", .views = true, .layout = HONE_ROW, .propose = propose, .make = hone_group_make_calls};

// Nothing but axes of extent 1 lies outside of the first axis that is cut; images may lie otherwise, so they are left alone.
static bool is_prefix(const hone_call *call, const hone_tensor *from, const hone_tensor *to)
{
    if (from->rank == 4) return false;
    bool inside = false;
    for (int k = 0; k < from->rank; k++) {
        if (hone_call_int_at(call, "start", k) != 0 || (to->dims[k] > 1 && hone_call_int_at(call, "step", k) != 1)) return false;
        if (inside && to->dims[k] != from->dims[k]) return false;
        inside = inside || from->dims[k] != 1;
    }
    return true;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    const hone_node *n = &view->graph->nodes[node];
    const hone_value *x = &view->graph->values[n->in[0]];
    if (strcmp(n->call.op->name, "slice") || x->data) return HONE_OK;
    bool fits = is_prefix(&n->call, &x->tensor, &view->graph->values[n->out[0]].tensor);
    return fits ? hone_group_add(view, &hone_rule_prefix, &node, 1, list) : HONE_OK;
}
