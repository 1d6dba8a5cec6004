// SPDX-License-Identifier: Apache-2.0
// The form of attention: q, k, v may be strided views of operands (slices of a joint projection), the mask any broadcast.
#include <string.h>

#include "kernels/attention.h"
#include "kernels/nvrtc_form_priv.h"

typedef struct side { const char *operand, *offset, *batch, *seq, *head, *vec; } side;

// Strides of q, k or v by batch, position and head; its rows must be contiguous.
static hone_status set_side(hone_formed *formed, int input, const hone_attention *g, const side *names)
{
    const hone_step *step = &formed->problem->steps[formed->main];
    hone_view view;
    if (!hone_view_init(formed->problem, &step->in[input], &view)) return hone_fail(HONE_DECLINED, "operand %d of the attention is computed", input);
    if (view.rank != 4 || (view.dims[3] > 1 && view.strides[3] != 1)) return hone_fail(HONE_DECLINED, "operand %d of the attention has gaps in its rows", input);
    if (view.dtype != formed->dtype || hone_tensor_count(&formed->problem->operands[view.operand]) >= INT32_MAX)
        return hone_fail(HONE_DECLINED, "operand %d of the attention is of another type or too large", input);
    int seq = g->heads_inner ? 1 : 2, head = 3 - seq;
    const int64_t all = view.offset | view.strides[0] | view.strides[seq] | view.strides[head] | view.dims[3];
    hone_vars *v = &formed->vars;
    hone_vars_set(v, names->operand, view.operand);
    hone_vars_set(v, names->offset, view.offset);
    hone_vars_set(v, names->batch, view.dims[0] > 1 ? view.strides[0] : 0);
    hone_vars_set(v, names->seq, view.strides[seq]);
    hone_vars_set(v, names->head, view.strides[head]);
    hone_vars_set(v, names->vec, all & -all);
    return HONE_OK;
}

static hone_status set_mask(hone_formed *formed, const hone_attention *g)
{
    int mask;
    hone_status status = hone_form_operand(formed, 3, &mask);
    if (status) return status;
    hone_dtype dtype = mask < 0 ? HONE_F32 : formed->problem->operands[mask].dtype;
    if (mask >= 0 && (formed->problem->operands[mask].layout != HONE_ROW || dtype == HONE_F64)) return hone_fail(HONE_DECLINED, "a mask of another layout or type");
    hone_form_set_type(formed, "MASK_T", dtype);
    hone_vars_set(&formed->vars, "in_mask", mask);
    hone_vars_set(&formed->vars, "mask_kind", mask < 0 ? 0 : g->mask_steps[2] ? 2 : 1);
    static const char *const names[] = {"mask_b", "mask_h", "mask_q", "mask_k"};
    for (int k = 0; k < 4; k++) hone_vars_set(&formed->vars, names[k], g->mask_steps[k]);
    return HONE_OK;
}

static hone_status read_attention(const hone_formed *formed, hone_attention *g)
{
    const hone_step *step = &formed->problem->steps[formed->main];
    const hone_tensor *in[4];
    for (int k = 0; k < 4; k++) in[k] = hone_form_input(formed, k);
    return hone_attention_init(&step->call, in[0], in[1], in[2], in[3], g);
}

static void set_sizes(hone_formed *formed, const hone_attention *g)
{
    const struct { const char *name; int64_t value; } values[] = {
        {"batch", g->batch}, {"heads", g->heads}, {"kv_group", g->kv_heads ? g->heads / g->kv_heads : 1}, {"queries", g->queries},
        {"t_keys", g->keys}, {"depth", g->depth}, {"value_depth", g->value_depth}, {"heads_inner", g->heads_inner},
    };
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) hone_vars_set(&formed->vars, values[k].name, values[k].value);
    hone_form_set_real(formed, "scale", g->scale);
}

hone_status hone_form_attention(const hone_problem *problem, hone_formed *formed)
{
    static const side sides[] = {{"in_q", "q_offset", "q_batch", "q_seq", "q_head", "q_vec"}, {"in_k", "k_offset", "k_batch", "k_seq", "k_head", "k_vec"},
                                 {"in_v", "v_offset", "v_batch", "v_seq", "v_head", "v_vec"}};
    hone_attention g;
    if (formed->main < 0 || strcmp(problem->steps[formed->main].call.op->name, "attention")) return hone_fail(HONE_DECLINED, "no attention");
    if (problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "the result lies in another layout than row");
    formed->dtype = hone_form_input(formed, 0)->dtype;
    if (!hone_dtype_is_float(formed->dtype) || formed->dtype == HONE_F64) return hone_fail(HONE_DECLINED, "an attention of %s", hone_dtype_name(formed->dtype));
    hone_status status = read_attention(formed, &g);
    for (int k = 0; k < 3 && !status; k++) status = set_side(formed, k, &g, &sides[k]);
    if (!status) status = set_mask(formed, &g);
    if (!status) status = hone_form_add_tail(formed, 1);
    if (!status) set_sizes(formed, &g);
    return status;
}
