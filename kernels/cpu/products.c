// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/products.h"

hone_status hone_cpu_matmul_init(const hone_problem *problem, hone_matmul *g)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    hone_problem_inputs(problem, 0, in);
    hone_status status = hone_matmul_init(&problem->steps[0].call, in[0], in[1], g);
    if (status != HONE_OK) return status;
    if (in[0]->layout != HONE_ROW || in[1]->layout != HONE_ROW || problem->out[0].layout != HONE_ROW)
        return hone_fail(HONE_DECLINED, "matrix products on the cpu take row-major operands");
    if (g->batch_b != 1 || g->batch_a != g->batch || g->trans_a) return HONE_OK;
    g->m *= g->batch;
    g->batch = g->batch_a = 1;
    g->lead.rank = g->lead_a.rank = g->lead_b.rank = 0;
    return HONE_OK;
}
