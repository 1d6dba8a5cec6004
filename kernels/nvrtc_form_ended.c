// SPDX-License-Identifier: Apache-2.0
// A product with elementwise steps behind it, and a layer norm over its rows: what ends a part of a transformer that norms its sums.
#include <string.h>

#include "kernels/matmul.h"
#include "kernels/nvrtc_form_priv.h"

static hone_status find_norm(const hone_problem *problem, int *norm)
{
    *norm = 1;
    if (strcmp(problem->steps[0].call.op->name, "matmul")) return hone_fail(HONE_DECLINED, "no product");
    while (*norm < problem->n_steps && hone_step_is_elementwise(&problem->steps[*norm])) ++*norm;
    if (*norm == problem->n_steps || strcmp(problem->steps[*norm].call.op->name, "layernorm")) return hone_fail(HONE_DECLINED, "no layer norm behind it");
    return HONE_OK;
}

static void set_product(hone_formed *formed, const hone_matmul *mm)
{
    int64_t ldb = mm->trans_b ? mm->k : mm->n;
    const struct { const char *name; int64_t value; } values[] = {
        {"m", mm->m * mm->batch}, {"n", mm->n}, {"k", mm->k}, {"tb", mm->trans_b}, {"lda", mm->k}, {"ldb", ldb},
        {"va", hone_form_access_width(mm->k, formed->dtype)}, {"vb", hone_form_access_width(ldb, formed->dtype)},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) hone_vars_set(&formed->vars, values[i].name, values[i].value);
}

hone_status hone_form_ended(const hone_problem *problem, hone_formed *formed)
{
    hone_matmul mm;
    int norm;
    hone_status status = find_norm(problem, &norm);
    if (status) return status;
    const hone_step *ending = &problem->steps[norm];
    hone_tensor domain = problem->steps[0].out[0];
    formed->main = 0;
    status = hone_form_set_sides(formed);
    if (!status && (hone_form_input(formed, 1)->rank != 2 || problem->out[0].layout != HONE_ROW)) status = hone_fail(HONE_DECLINED, "no product with one matrix");
    if (!status) status = hone_matmul_init(&problem->steps[0].call, hone_form_input(formed, 0), hone_form_input(formed, 1), &mm);
    if (status) return status;
    if (mm.trans_a || domain.rank < 2 || ending->in[0].kind != HONE_REF_RESULT || !hone_tensor_same_dims(&domain, &ending->out[0]))
        return hone_fail(HONE_DECLINED, "the norm is not over the rows of the product");
    if (hone_call_int(&ending->call, "axis") != domain.rank - 1) return hone_fail(HONE_DECLINED, "the norm is not along the rows");
    formed->has_middle = true;
    status = hone_region_init(&formed->middle, problem, 1, norm, 0, ending->in[0], &domain, domain.rank - 1);
    formed->main = norm;
    if (!status) status = hone_form_add_scale(formed, 1, "in_scale", "SCALE_T");
    if (!status) status = hone_form_add_scale(formed, 2, "in_bias", "BIAS_T");
    if (!status) status = hone_form_add_tail(formed, 1);
    if (status) return status;
    while (formed->middle.vec < formed->tail.vec) formed->tail.vec /= 2;
    hone_form_set_real(formed, "epsilon", hone_call_real(&ending->call, "epsilon"));
    set_product(formed, &mm);
    return HONE_OK;
}
