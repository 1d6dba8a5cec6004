// SPDX-License-Identifier: Apache-2.0
// The table of operator families that need more than a line in an op's descriptor.
#include <string.h>

#include "engine/import_priv.h"
#include "engine/onnx_rules_priv.h"

const onnx_rule *const onnx_rule_tables[] = {
    onnx_rules_constant, onnx_rules_elementwise, onnx_rules_move, onnx_rules_select, onnx_rules_reduce, onnx_rules_window,
    onnx_rules_norm, onnx_rules_matmul, onnx_rules_control, onnx_rules_resize, onnx_rules_loss,
};

const int onnx_rule_table_count = sizeof onnx_rule_tables / sizeof *onnx_rule_tables;

const onnx_rule *onnx_rule_find(const onnx_import *im, const char *op_type)
{
    for (int t = 0; t < onnx_rule_table_count; t++)
        for (const onnx_rule *rule = onnx_rule_tables[t]; rule->op_type; rule++) {
            if (strcmp(rule->op_type, op_type)) continue;
            if ((!rule->since || im->opset >= rule->since) && (!rule->until || im->opset <= rule->until)) return rule;
        }
    return NULL;
}

const char *onnx_rule_word(const onnx_import *im)
{
    return onnx_rule_find(im, im->node->op_type)->word;
}
