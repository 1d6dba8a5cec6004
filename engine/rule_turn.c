// SPDX-License-Identifier: Apache-2.0
// An image that becomes a sequence of its pixels, [n, c, h, w] -> [n, c, h w] -> [n, h w, c], and the way back: with the channels inside both are
// the same bytes.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_turn = {.name = "turn", .views = true, .layout = HONE_NHWC, .propose = propose, .make = hone_group_make_calls};

static bool is_turn(const hone_node *node)
{
    const int64_t *perm;
    return !strcmp(node->call.op->name, "transpose") && hone_call_list(&node->call, "perm", &perm) == 3 && perm[0] == 0 && perm[1] == 2 && perm[2] == 1;
}

// Images and sequences of equal batch and channels.
static bool fit(const hone_tensor *image, const hone_tensor *channels_first)
{
    return image->rank == 4 && channels_first->rank == 3 && image->dims[0] == channels_first->dims[0] && image->dims[1] == channels_first->dims[1];
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    const hone_graph *graph = view->graph;
    const hone_node *last = &graph->nodes[node];
    int above = last->in[0] < 0 ? -1 : graph->values[last->in[0]].producer;
    if (above < 0 || hone_view_sole_consumer(view, above) != node) return HONE_OK;
    const hone_node *first = &graph->nodes[above];
    const hone_tensor *from = &graph->values[first->in[0]].tensor, *middle = &graph->values[last->in[0]].tensor, *to = &graph->values[last->out[0]].tensor;
    bool to_sequence = is_turn(last) && !strcmp(first->call.op->name, "reshape") && fit(from, middle);
    bool to_image = is_turn(first) && !strcmp(last->call.op->name, "reshape") && fit(to, middle);
    if ((!to_sequence && !to_image) || graph->values[first->in[0]].data || !hone_dtype_is_float(from->dtype)) return HONE_OK;
    return hone_group_add(view, &hone_rule_turn, (int[]){above, node}, 2, list);
}
