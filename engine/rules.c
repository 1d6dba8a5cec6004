// SPDX-License-Identifier: Apache-2.0
// The fusion rules. A rule is a const object in its own file and a line here.
#include "engine/group_priv.h"

extern const hone_rule hone_rule_single, hone_rule_tail, hone_rule_elementwise, hone_rule_attention, hone_rule_squeeze, hone_rule_prefix,
    hone_rule_turn, hone_rule_moved, hone_rule_head, hone_rule_normed, hone_rule_ended, hone_rule_pooled;

const hone_rule *const hone_rules[] = {
    &hone_rule_single,
    &hone_rule_tail,
    &hone_rule_elementwise,
    &hone_rule_attention,
    &hone_rule_squeeze,
    &hone_rule_prefix,
    &hone_rule_turn,
    &hone_rule_moved,
    &hone_rule_head,
    &hone_rule_normed,
    &hone_rule_ended,
    &hone_rule_pooled,
};
const int hone_rule_count = sizeof hone_rules / sizeof *hone_rules;
