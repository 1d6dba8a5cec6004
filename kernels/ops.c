// SPDX-License-Identifier: Apache-2.0
#include "kernels/op.h"

#define HONE_OP(name) extern const hone_op hone_op_##name;
#include "kernels/ops_list.h"
#undef HONE_OP

#define HONE_OP(name) &hone_op_##name,
const hone_op *const hone_ops[] = {
#include "kernels/ops_list.h"
    NULL
};
#undef HONE_OP

const int hone_op_count = sizeof hone_ops / sizeof *hone_ops - 1;
