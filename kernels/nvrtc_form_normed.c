// SPDX-License-Identifier: Apache-2.0
// A layer norm over rows whose result goes into a product with one matrix, and what stands behind that.
#include <string.h>

#include "kernels/matmul.h"
#include "kernels/nvrtc_form_priv.h"

enum { NORM, PRODUCT };                // steps

static const hone_tensor *operand_at(const hone_problem *problem, int step, int k)
{
    const hone_ref *ref = &problem->steps[step].in[k];
    bool given = k < problem->steps[step].call.n_in && ref->kind == HONE_REF_OPERAND;
    return given ? &problem->operands[ref->index] : NULL;
}

static void set_product(hone_formed *formed, const hone_tensor *x, const hone_matmul *mm)
{
    int64_t m = hone_tensor_count(x) / mm->k, ldb = mm->trans_b ? mm->k : mm->n;
    const struct { const char *name; int64_t value; } values[] = {
        {"m", m}, {"n", mm->n}, {"k", mm->k}, {"tb", mm->trans_b}, {"ldb", ldb},
        {"va", hone_form_access_width(mm->k, formed->dtype)}, {"vb", hone_form_access_width(ldb, formed->dtype)},
        {"in_a", formed->problem->steps[NORM].in[0].index}, {"in_b", formed->problem->steps[PRODUCT].in[1].index},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) hone_vars_set(&formed->vars, values[i].name, values[i].value);
}

hone_status hone_form_normed(const hone_problem *problem, hone_formed *formed)
{
    hone_matmul mm;
    if (problem->n_steps < 2 || strcmp(problem->steps[NORM].call.op->name, "layernorm") || strcmp(problem->steps[PRODUCT].call.op->name, "matmul"))
        return hone_fail(HONE_DECLINED, "no product of a layer norm");
    const hone_step *norm = &problem->steps[NORM], *product = &problem->steps[PRODUCT];
    const hone_tensor *x = operand_at(problem, NORM, 0), *w = operand_at(problem, PRODUCT, 1);
    if (product->in[0].kind != HONE_REF_RESULT || product->in[0].index != NORM || !x || !w || w->rank != 2)
        return hone_fail(HONE_DECLINED, "no product of a layer norm with one matrix");
    if ((x->dtype != HONE_F16 && x->dtype != HONE_BF16) || w->dtype != x->dtype || x->layout != HONE_ROW || problem->out[0].layout != HONE_ROW)
        return hone_fail(HONE_DECLINED, "only rows of 16-bit floats");
    if (hone_tensor_count(x) >= INT32_MAX || hone_tensor_count(w) >= INT32_MAX) return hone_fail(HONE_DECLINED, "an operand has more elements than 31 bits count");
    if (x->rank < 2 || hone_call_int(&norm->call, "axis") != x->rank - 1 || hone_call_int(&product->call, "trans_a"))
        return hone_fail(HONE_DECLINED, "the norm is not along the rows of the product");
    hone_status status = hone_matmul_init(&product->call, &norm->out[0], w, &mm);
    formed->dtype = x->dtype;
    formed->main = NORM;
    if (!status) status = hone_form_add_scale(formed, 1, "in_scale", "SCALE_T");
    if (!status) status = hone_form_add_scale(formed, 2, "in_bias", "BIAS_T");
    formed->main = PRODUCT;
    if (!status) status = hone_form_add_tail(formed, 1);
    if (status) return status;
    hone_form_set_real(formed, "epsilon", hone_call_real(&norm->call, "epsilon"));
    set_product(formed, x, &mm);
    return HONE_OK;
}
