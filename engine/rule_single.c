// SPDX-License-Identifier: Apache-2.0
// Every node alone: the cover that always exists.
#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_single = {.name = "single", .propose = propose, .make = hone_group_make_calls};

static hone_status propose(const hone_view *view, int node, hone_group_list *list) {
    return hone_group_add(view, &hone_rule_single, &node, 1, list);
}
