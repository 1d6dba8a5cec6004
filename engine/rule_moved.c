// SPDX-License-Identifier: Apache-2.0
// A concatenation, a lookup or a resized image with the elementwise ops behind it: what was moved is not written and read once more in between.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_moved = {.name = "moved", .device = "cuda", .propose = propose, .make = hone_group_make_calls};

static bool is_move(const hone_node *node)
{
    static const char *const names[] = {"concat", "gather", "resize", "pad"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (!strcmp(node->call.op->name, names[k])) return node->call.n_out == 1;
    return false;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    return hone_tails_propose(view, &hone_rule_moved, is_move, node, list);
}
