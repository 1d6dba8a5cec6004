// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/blocks.h"

#include <string.h>

#include "kernels/cpu/isa.h"

// Any other op, by its reference.
static void scalar_block(const hone_cpu_block_args *args)
{
    for (int k = 0; k < args->n; k++) {
        hone_scalar x[3];
        for (int i = 0; i < args->call->n_in; i++) {
            double value = args->in[i][k * args->step[i]];
            x[i] = (hone_scalar){value, value >= -9e18 && value <= 9e18 ? (int64_t)value : 0};
        }
        hone_scalar y = args->call->op->scalar(args->call, x, args->in_dtype);
        args->out[k] = args->is_out_float ? (float)y.f : (float)y.i;
    }
}

hone_cpu_block hone_cpu_block_find(const hone_op *op)
{
    for (const hone_cpu_named_block *named = hone_cpu_isa_get()->blocks; named->name; named++)
        if (!strcmp(named->name, op->name)) return named->block;
    return scalar_block;
}
