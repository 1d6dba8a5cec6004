// SPDX-License-Identifier: Apache-2.0
#include "kernels/tail.h"

// How an operand is spread over the result by NumPy's rules; false when it is none of the kinds that a tail knows.
static bool classify(const hone_tensor *operand, const hone_tensor *result, int channel_axis, hone_tail_kind *kind)
{
    int64_t count = hone_tensor_count(operand);
    if (hone_tensor_same_dims(operand, result)) return *kind = HONE_TAIL_FULL, true;
    if (count == 1 && operand->rank <= result->rank) return *kind = HONE_TAIL_SCALAR, true;
    int axis = channel_axis - (result->rank - operand->rank);
    if (operand->rank > result->rank || axis < 0 || axis >= operand->rank) return false;
    *kind = HONE_TAIL_CHANNEL;
    return operand->dims[axis] == result->dims[channel_axis] && count == operand->dims[axis];
}

static hone_status read_binary(const hone_problem *problem, int index, int channel_axis, hone_tail_link *link)
{
    const hone_step *step = &problem->steps[index];
    const hone_ref *a = &step->in[0], *b = &step->in[1];
    bool is_left = b->kind == HONE_REF_RESULT;
    const hone_ref *chain = is_left ? b : a, *other = is_left ? a : b;
    if (chain->kind != HONE_REF_RESULT || chain->index != index - 1 || other->kind != HONE_REF_OPERAND)
        return hone_fail(HONE_DECLINED, "step %d (%s) does not join the step before it with one operand", index, step->call.op->name);
    link->operand = other->index;
    link->is_left = is_left;
    if (!classify(&problem->operands[other->index], &problem->steps[0].out[0], channel_axis, &link->kind))
        return hone_fail(HONE_DECLINED, "operand %d is spread over the result in a way that a library's epilogue does not know", other->index);
    return HONE_OK;
}

hone_status hone_tail_read(const hone_problem *problem, int channel_axis, hone_tail *tail)
{
    tail->n = 0;
    for (int i = 1; i < problem->n_steps; i++) {
        const hone_step *step = &problem->steps[i];
        hone_tail_link *link = &tail->links[tail->n++];
        *link = (hone_tail_link){.call = &step->call, .kind = HONE_TAIL_UNARY, .operand = -1};
        if (step->call.op->kind != HONE_OP_ELEMENTWISE || step->call.n_in > 2)
            return hone_fail(HONE_DECLINED, "%s in the tail is not elementwise on one or two operands", step->call.op->name);
        if (step->call.n_in == 1 && (step->in[0].kind != HONE_REF_RESULT || step->in[0].index != i - 1))
            return hone_fail(HONE_DECLINED, "step %d (%s) does not follow the step before it", i, step->call.op->name);
        hone_status status = step->call.n_in == 2 ? read_binary(problem, i, channel_axis, link) : HONE_OK;
        if (status) return status;
        if (!hone_tensor_same_dims(&step->out[0], &problem->steps[0].out[0]))
            return hone_fail(HONE_DECLINED, "%s in the tail changes the dims", step->call.op->name);
    }
    return HONE_OK;
}
