// SPDX-License-Identifier: Apache-2.0
// The families' tables, one file each.
#ifndef HONE_ENGINE_ONNX_RULES_PRIV_H
#define HONE_ENGINE_ONNX_RULES_PRIV_H

#include "engine/import_priv.h"

extern const onnx_rule onnx_rules_constant[];
extern const onnx_rule onnx_rules_elementwise[];
extern const onnx_rule onnx_rules_move[];
extern const onnx_rule onnx_rules_select[];
extern const onnx_rule onnx_rules_reduce[];
extern const onnx_rule onnx_rules_window[];
extern const onnx_rule onnx_rules_norm[];
extern const onnx_rule onnx_rules_matmul[];
extern const onnx_rule onnx_rules_control[];
extern const onnx_rule onnx_rules_resize[];
extern const onnx_rule onnx_rules_loss[];

#endif
