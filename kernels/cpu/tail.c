// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/tail.h"

#include <string.h>

#include "kernels/cpu/isa.h"

// ---- planning: strides of every operand along the output's axes in memory order, then joined axes

static hone_status check_step(const hone_problem *problem, int index)
{
    const hone_step *step = &problem->steps[index];
    const hone_op *op = step->call.op;
    hone_dtype to = step->out[0].dtype;
    if (op->kind != HONE_OP_ELEMENTWISE || step->call.n_in > 3 || step->call.n_in < 1)
        return hone_fail(HONE_DECLINED, "%s is not elementwise on at most 3 operands", op->name);
    if (to != HONE_F32 && to != HONE_BOOL)
        return hone_fail(HONE_DECLINED, "%s makes %s; the cpu kernels compute in f32", op->name, hone_dtype_name(to));
    for (int k = 0; k < step->call.n_in; k++) {
        const hone_ref *ref = &step->in[k];
        if (ref->kind == HONE_REF_ABSENT) return hone_fail(HONE_DECLINED, "%s lacks an operand", op->name);
        if (ref->kind != HONE_REF_OPERAND) continue;
        hone_dtype from = problem->operands[ref->index].dtype;
        if (from != HONE_F32 && from != HONE_BOOL)
            return hone_fail(HONE_DECLINED, "%s reads %s; the cpu kernels compute in f32", op->name, hone_dtype_name(from));
    }
    return HONE_OK;
}

static void operand_strides(const hone_tensor *out, const hone_tensor *operand, int64_t *strides)
{
    int64_t physical[HONE_RANK_MAX], steps[HONE_RANK_MAX], step = 1;
    hone_tensor_physical(operand, physical);
    for (int k = operand->rank - 1; k >= 0; k--) steps[k] = step, step *= physical[k];
    for (int axis = 0; axis < out->rank; axis++) {
        int at = axis - (out->rank - operand->rank), place = hone_tensor_physical_axis(out, axis);
        strides[place] = at < 0 || operand->dims[at] == 1 ? 0 : steps[hone_tensor_physical_axis(operand, at)];
    }
}

// Joins axis k + 1 into axis k when every operand walks both as one.
static bool can_join(const hone_cpu_tail *tail, int n_operands, int k)
{
    for (int o = 0; o < n_operands; o++)
        if (tail->strides[o][k] != tail->strides[o][k + 1] * tail->dims[k + 1]) return false;
    return true;
}

static void drop_axis(hone_cpu_tail *tail, int n_operands, int k)
{
    size_t after = (size_t)(tail->rank - k - 1);
    memmove(tail->dims + k, tail->dims + k + 1, after * sizeof *tail->dims);
    for (int o = 0; o < n_operands; o++) memmove(tail->strides[o] + k, tail->strides[o] + k + 1, after * sizeof *tail->strides[o]);
    tail->rank--;
}

static void join_axes(hone_cpu_tail *tail, int n_operands)
{
    for (int k = tail->rank - 1; k >= 0; k--)
        if (tail->dims[k] == 1 && tail->rank > 1) drop_axis(tail, n_operands, k);
    for (int k = tail->rank - 2; k >= 0; k--) {
        if (!can_join(tail, n_operands, k)) continue;
        tail->dims[k + 1] *= tail->dims[k];
        drop_axis(tail, n_operands, k);
    }
    if (!tail->rank) tail->rank = 1, tail->dims[0] = 1;
}

static int count_uses(const hone_problem *problem, int result)
{
    int uses = 0;
    for (int k = result + 1; k < problem->n_steps; k++)
        for (int i = 0; i < problem->steps[k].call.n_in; i++)
            uses += problem->steps[k].in[i].kind == HONE_REF_RESULT && problem->steps[k].in[i].index == result;
    return uses;
}

// A product that only the sum behind it reads is computed with it: a scale and a shift cost one pass, as a folded batch norm does.
static bool joins(const hone_problem *problem, int index, hone_cpu_tail *tail)
{
    const hone_step *step = &problem->steps[index];
    hone_cpu_tail_op *last = tail->n_ops ? &tail->ops[tail->n_ops - 1] : NULL;
    if (!last || last->step != index - 1 || strcmp(step->call.op->name, "add") || strcmp(problem->steps[index - 1].call.op->name, "mul"))
        return false;
    int sum = step->in[0].kind == HONE_REF_RESULT && step->in[0].index == index - 1 ? 1 : 0;
    const hone_ref *product = &step->in[1 - sum];
    if (product->kind != HONE_REF_RESULT || product->index != index - 1 || count_uses(problem, index - 1) != 1) return false;
    last->block = hone_cpu_isa_get()->scale_shift;
    last->step = index;
    last->n_in = 3;
    last->in[2] = step->in[sum];
    return true;
}

static void add_op(const hone_problem *problem, int index, hone_cpu_tail *tail)
{
    const hone_step *step = &problem->steps[index];
    if (joins(problem, index, tail)) return;
    hone_cpu_tail_op *op = &tail->ops[tail->n_ops++];
    *op = (hone_cpu_tail_op){.block = hone_cpu_block_find(step->call.op), .step = index, .n_in = step->call.n_in};
    memcpy(op->in, step->in, sizeof *op->in * (size_t)step->call.n_in);
}

hone_status hone_cpu_tail_init(const hone_problem *problem, bool head, hone_cpu_tail *tail)
{
    const hone_tensor *out = &problem->out[0];
    *tail = (hone_cpu_tail){.first = head, .rank = out->rank};
    if (out->dtype != HONE_F32 || problem->n_out != 1)
        return hone_fail(HONE_DECLINED, "the cpu kernels make one f32 output, not %d of %s", problem->n_out, hone_dtype_name(out->dtype));
    if (head && !hone_tensor_same_dims(&problem->steps[0].out[0], out))
        return hone_fail(HONE_DECLINED, "the tail changes the dims of %s", problem->steps[0].call.op->name);
    bool is_used[HONE_OPERANDS_MAX] = {false};
    for (int k = tail->first; k < problem->n_steps; k++) {
        hone_status status = check_step(problem, k);
        if (status != HONE_OK) return status;
        for (int i = 0; i < problem->steps[k].call.n_in; i++)
            if (problem->steps[k].in[i].kind == HONE_REF_OPERAND) is_used[problem->steps[k].in[i].index] = true;
        add_op(problem, k, tail);
    }
    hone_tensor_physical(out, tail->dims);
    for (int o = 0; o < problem->n_operands; o++) {
        if (is_used[o] && problem->operands[o].rank > out->rank) return hone_fail(HONE_DECLINED, "operand %d has more dims than the output", o);
        if (is_used[o]) operand_strides(out, &problem->operands[o], tail->strides[o]);
    }
    join_axes(tail, problem->n_operands);
    return HONE_OK;
}

// ---- running

typedef struct piece {
    const hone_cpu_tail *tail;
    const hone_problem *problem;
    void *const *operands;
    int64_t place[HONE_RANK_MAX];          // of the piece's first value
    int n;
    const float *head;                     // values of step 0
    float results[HONE_CALLS_MAX][HONE_CPU_BLOCK];
    float gathered[3][HONE_CPU_BLOCK];
} piece;

// An operand's values for the piece: in place when they are neighbours or all the same, otherwise gathered.
static const float *fetch(piece *p, int operand, float *gathered, int *step)
{
    const hone_cpu_tail *tail = p->tail;
    const int64_t *strides = tail->strides[operand];
    int64_t offset = 0, inner = strides[tail->rank - 1];
    for (int k = 0; k < tail->rank; k++) offset += p->place[k] * strides[k];
    *step = inner != 0;
    if (p->problem->operands[operand].dtype == HONE_BOOL) {
        const uint8_t *from = (const uint8_t *)p->operands[operand] + offset;
        for (int k = 0; k < (inner ? p->n : 1); k++) gathered[k] = from[k * inner] != 0;
        return gathered;
    }
    const float *from = (const float *)p->operands[operand] + offset;
    if (inner <= 1) return from;
    for (int k = 0; k < p->n; k++) gathered[k] = from[k * inner];
    return gathered;
}

static hone_dtype type_of(const hone_problem *problem, const hone_ref *ref)
{
    return ref->kind == HONE_REF_OPERAND ? problem->operands[ref->index].dtype : problem->steps[ref->index].out[0].dtype;
}

static void run_op(piece *p, const hone_cpu_tail_op *op, float *out)
{
    const hone_step *step = &p->problem->steps[op->step];
    hone_cpu_block_args args = {.call = &step->call, .out = out, .n = p->n, .is_out_float = step->out[0].dtype == HONE_F32};
    for (int i = 0; i < op->n_in; i++) {
        const hone_ref *ref = &op->in[i];
        args.step[i] = 1;
        if (ref->kind == HONE_REF_OPERAND) args.in[i] = fetch(p, ref->index, p->gathered[i], &args.step[i]);
        else args.in[i] = ref->index < p->tail->first ? p->head : p->results[ref->index];
        args.in_dtype = type_of(p->problem, ref);
    }
    op->block(&args);
}

static void run_piece(piece *p, float *to)
{
    int last = p->tail->n_ops - 1;
    for (int k = 0; k < last; k++) run_op(p, &p->tail->ops[k], p->results[p->tail->ops[k].step]);
    run_op(p, &p->tail->ops[last], to);
}

void hone_cpu_tail_map(const hone_cpu_tail *tail, const hone_problem *problem, void *const *operands, const float *from, float *to,
                       int64_t start, int64_t count)
{
    if (!tail->n_ops) {
        if (from != to) memcpy(to, from, sizeof *to * (size_t)count);
        return;
    }
    piece p;
    p.tail = tail, p.problem = problem, p.operands = operands;
    int last = tail->rank - 1;
    for (int k = last; k >= 0; k--) p.place[k] = start % tail->dims[k], start /= tail->dims[k];
    while (count > 0) {
        int64_t n = tail->dims[last] - p.place[last];
        if (n > count) n = count;
        if (n > HONE_CPU_BLOCK) n = HONE_CPU_BLOCK;
        p.n = (int)n;
        p.head = from;
        run_piece(&p, to);
        if (from) from += n;
        to += n, count -= n;
        p.place[last] += n;
        for (int k = last; k > 0 && p.place[k] == tail->dims[k]; k--) p.place[k] = 0, p.place[k - 1]++;
    }
}

void hone_cpu_tail_run(const hone_cpu_tail *tail, const hone_problem *problem, void *const *operands, float *values, int64_t start,
                       int64_t count)
{
    hone_cpu_tail_map(tail, problem, operands, values, values, start, count);
}
