// SPDX-License-Identifier: Apache-2.0
// What must hold for a plan whatever made it: every operand exists before it is read and fits its problem, and no two live buffers
// overlap under any timing of the lanes.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/assemble_priv.h"
#include "engine/plan_priv.h"

#define ALIGN 256

static hone_status damaged_step(const hone_plan_step *step, const char *what)
{
    return hone_fail(HONE_DAMAGED, "step %.200s: %s", step->name, what);
}

static bool fits_arena(const hone_plan *plan, int64_t offset, int64_t size)
{
    return offset >= 0 && size >= 0 && offset % ALIGN == 0 && offset <= plan->arena_bytes && size <= plan->arena_bytes - offset;
}

static hone_status check_buffers(const hone_plan *plan)
{
    for (int k = 0; k < plan->n_buffers; k++) {
        const hone_buffer *b = &plan->buffers[k];
        if (b->alias < -1 || b->alias >= k) return hone_fail(HONE_DAMAGED, "buffer %d is a view of what comes after it", k);
        const hone_buffer *under = b->alias < 0 ? b : &plan->buffers[b->alias];
        if (b->size_bytes != (int64_t)hone_tensor_size(&b->tensor) || b->size_bytes > under->size_bytes || b->offset_bytes != under->offset_bytes)
            return hone_fail(HONE_DAMAGED, "buffer %d (%.200s) is not as large as its tensor, or not within what it views", k, b->name);
        if (!fits_arena(plan, b->offset_bytes, b->size_bytes))
            return hone_fail(HONE_DAMAGED, "buffer %d (%.200s) lies outside the %" PRId64 " bytes of a slot", k, b->name, plan->arena_bytes);
    }
    return HONE_OK;
}

static hone_status check_ports(const hone_plan *plan, const hone_port *ports, int n)
{
    for (int k = 0; k < n; k++) {
        if (ports[k].buffer < 0 || ports[k].buffer >= plan->n_buffers ||
            !hone_tensor_equal(&ports[k].tensor, &plan->buffers[ports[k].buffer].tensor))
            return hone_fail(HONE_DAMAGED, "port %.200s has no buffer of its type", ports[k].name);
        if (ports[k].tensor.layout != HONE_ROW) return hone_fail(HONE_DAMAGED, "port %.200s is not row-major", ports[k].name);
    }
    return HONE_OK;
}

static const hone_tensor *slot_tensor(const hone_plan *plan, const hone_slot *slot)
{
    if (slot->kind == HONE_SLOT_WEIGHT && slot->index >= 0 && slot->index < plan->n_weights) return &plan->weights[slot->index].tensor;
    if (slot->kind == HONE_SLOT_BUFFER && slot->index >= 0 && slot->index < plan->n_buffers) return &plan->buffers[slot->index].tensor;
    return NULL;
}

static hone_status check_tensors(const hone_plan *plan, const hone_plan_step *step, const hone_problem *problem)
{
    if (step->n_operands != problem->n_operands || step->n_outputs != problem->n_out)
        return damaged_step(step, "it has other numbers of operands or results than its problem");
    for (int k = 0; k < step->n_operands; k++) {
        const hone_tensor *have = slot_tensor(plan, &step->operands[k]);
        if (!have || !hone_tensor_equal(have, &problem->operands[k])) return damaged_step(step, "an operand is not what its problem says");
    }
    for (int k = 0; k < step->n_outputs; k++) {
        const hone_tensor *have = slot_tensor(plan, &step->outputs[k]);
        if (!have || step->outputs[k].kind != HONE_SLOT_BUFFER || !hone_tensor_equal(have, &problem->out[k]))
            return damaged_step(step, "a result is not what its problem says");
    }
    return HONE_OK;
}

static hone_status check_step(const hone_plan *plan, int number, hone_problem *problem)
{
    const hone_plan_step *step = &plan->steps[number];
    hone_tactic tactic;
    if (hone_problem_parse(step->problem, problem) != HONE_OK || hone_tactic_parse(step->tactic, &tactic) != HONE_OK)
        return hone_fail_in(HONE_DAMAGED, "step %.200s", step->name);
    hone_status status = check_tensors(plan, step, problem);
    if (status != HONE_OK) return status;
    if (step->lane < 0 || step->lane >= plan->lanes) return damaged_step(step, "its lane does not exist");
    for (int k = 0; k < step->n_waits; k++)
        if (step->waits[k] < 0 || step->waits[k] >= number) return damaged_step(step, "it waits for what comes after it");
    if (step->artifact < -1 || step->artifact >= plan->n_artifacts) return damaged_step(step, "its compiled kernel does not exist");
    if (!fits_arena(plan, step->workspace_offset_bytes, step->workspace_bytes)) return damaged_step(step, "its workspace lies outside the slot");
    return HONE_OK;
}

static hone_status check_steps(const hone_plan *plan)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    hone_status status = HONE_OK;
    for (int k = 0; k < plan->n_steps && status == HONE_OK; k++) status = check_step(plan, k, problem);
    hone_free(problem);
    return status;
}

// ---- order: what is done before what

typedef struct order {
    const hone_plan *plan;
    uint64_t *before;          // hone_plan_order
    int words;
    int *writer;               // per root buffer: its step; -1 nobody; -2 a network input
} order;

static bool is_before(const order *o, int first, int second)
{
    return o->before[(size_t)second * (size_t)o->words + (size_t)(first / 64)] >> first % 64 & 1;
}

static hone_status check_writers(order *o)
{
    const hone_plan *plan = o->plan;
    for (int b = 0; b < plan->n_buffers; b++) o->writer[b] = -1;
    for (int k = 0; k < plan->n_inputs; k++) o->writer[hone_plan_root(plan, plan->inputs[k].buffer)] = -2;
    for (int s = 0; s < plan->n_steps; s++)
        for (int k = 0; k < plan->steps[s].n_outputs; k++) {
            int root = hone_plan_root(plan, plan->steps[s].outputs[k].index);
            if (o->writer[root] != -1) return damaged_step(&plan->steps[s], "it writes what was there already");
            o->writer[root] = s;
        }
    return HONE_OK;
}

static hone_status check_readers(const order *o)
{
    const hone_plan *plan = o->plan;
    for (int s = 0; s < plan->n_steps; s++)
        for (int k = 0; k < plan->steps[s].n_operands; k++) {
            const hone_slot *slot = &plan->steps[s].operands[k];
            if (slot->kind != HONE_SLOT_BUFFER) continue;
            int writer = o->writer[hone_plan_root(plan, slot->index)];
            if (writer == -1 || (writer >= 0 && !is_before(o, writer, s))) return damaged_step(&plan->steps[s], "it reads what is not there yet");
        }
    for (int k = 0; k < plan->n_outputs; k++)
        if (o->writer[hone_plan_root(plan, plan->outputs[k].buffer)] == -1)
            return hone_fail(HONE_DAMAGED, "output %.200s is never written", plan->outputs[k].name);
    return HONE_OK;
}

// ---- memory

typedef struct block {
    int64_t offset, size;
    bool whole;                // a network input or output: alive all the time
    int *users;                // steps, ascending; n_users of them
    int n_users, capacity;
    int buffer, step;          // one of them -1
} block;

static int by_offset(const void *a, const void *b)
{
    const block *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool all_before(const order *o, const block *a, const block *b)
{
    for (int i = 0; i < a->n_users; i++)
        for (int j = 0; j < b->n_users; j++)
            if (!is_before(o, a->users[i], b->users[j])) return false;
    return true;
}

static hone_status check_pairs(const order *o, block *blocks, int n)
{
    qsort(blocks, (size_t)n, sizeof *blocks, by_offset);
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n && blocks[j].offset < blocks[i].offset + blocks[i].size; j++) {
            if (!blocks[j].size) continue;
            bool ordered = all_before(o, &blocks[i], &blocks[j]) || all_before(o, &blocks[j], &blocks[i]);
            if (ordered && !blocks[i].whole && !blocks[j].whole) continue;
            const block *named = blocks[i].buffer >= 0 ? &blocks[i] : &blocks[j];
            return hone_fail(HONE_DAMAGED, "%.200s shares bytes with another live buffer",
                             named->buffer >= 0 ? o->plan->buffers[named->buffer].name : o->plan->steps[named->step].name);
        }
    return HONE_OK;
}

static hone_status add_user(hone_arena *arena, block *b, int step)
{
    if (b->n_users && b->users[b->n_users - 1] == step) return HONE_OK;
    if (b->n_users == b->capacity) {
        int *more = hone_arena_alloc(arena, (size_t)(b->capacity * 2 + 4) * sizeof *more);
        if (!more) return HONE_NO_MEMORY;
        if (b->n_users) memcpy(more, b->users, (size_t)b->n_users * sizeof *more);
        b->users = more;
        b->capacity = b->capacity * 2 + 4;
    }
    b->users[b->n_users++] = step;
    return HONE_OK;
}

static hone_status add_users(const hone_plan *plan, hone_arena *arena, block *blocks)
{
    for (int s = 0; s < plan->n_steps; s++) {
        const hone_plan_step *step = &plan->steps[s];
        for (int k = 0; k < step->n_operands + step->n_outputs; k++) {
            const hone_slot *slot = k < step->n_operands ? &step->operands[k] : &step->outputs[k - step->n_operands];
            if (slot->kind == HONE_SLOT_BUFFER && add_user(arena, &blocks[hone_plan_root(plan, slot->index)], s) != HONE_OK) return HONE_NO_MEMORY;
        }
        block *workspace = &blocks[plan->n_buffers + s];
        *workspace = (block){.offset = step->workspace_offset_bytes, .size = step->workspace_bytes, .buffer = -1, .step = s};
        if (add_user(arena, workspace, s) != HONE_OK) return HONE_NO_MEMORY;
    }
    return HONE_OK;
}

static hone_status check_memory(const order *o)
{
    const hone_plan *plan = o->plan;
    hone_status status = HONE_NO_MEMORY;
    int n = plan->n_buffers + plan->n_steps, kept = 0;
    hone_arena *arena = hone_arena_new((size_t)4 << 30);
    block *blocks = hone_calloc((size_t)n + 1, sizeof *blocks);
    if (!arena || !blocks) goto out;
    for (int b = 0; b < plan->n_buffers; b++)
        blocks[b] = (block){.offset = plan->buffers[b].offset_bytes, .size = plan->buffers[b].size_bytes, .buffer = b, .step = -1};
    for (int k = 0; k < plan->n_inputs; k++) blocks[hone_plan_root(plan, plan->inputs[k].buffer)].whole = true;
    for (int k = 0; k < plan->n_outputs; k++) blocks[hone_plan_root(plan, plan->outputs[k].buffer)].whole = true;
    HONE_TRY(add_users(plan, arena, blocks));
    for (int k = 0; k < n; k++)
        if (blocks[k].buffer < 0 ? blocks[k].size > 0 : plan->buffers[blocks[k].buffer].alias < 0) blocks[kept++] = blocks[k];
    status = check_pairs(o, blocks, kept);
out:
    hone_free(blocks);
    hone_arena_free(arena);
    return status;
}

hone_status hone_plan_check(const hone_plan *plan)
{
    hone_status status;
    hone_target target;
    order o = {.plan = plan};
    if (hone_target_parse(plan->device, &target) != HONE_OK) return hone_fail_in(HONE_DAMAGED, "the plan's device");
    if (plan->lanes < 1 || plan->lanes > HONE_PLAN_LANES_MAX) return hone_fail(HONE_DAMAGED, "a plan has 1 to %d lanes", HONE_PLAN_LANES_MAX);
    HONE_TRY(check_buffers(plan));
    HONE_TRY(check_ports(plan, plan->inputs, plan->n_inputs));
    HONE_TRY(check_ports(plan, plan->outputs, plan->n_outputs));
    HONE_TRY(check_steps(plan));
    HONE_TRY(hone_plan_order(plan, &o.before, &o.words));
    o.writer = hone_alloc(((size_t)plan->n_buffers + 1) * sizeof *o.writer);
    if (!o.writer) status = HONE_NO_MEMORY;
    if (status != HONE_OK) goto out;
    HONE_TRY(check_writers(&o));
    HONE_TRY(check_readers(&o));
    status = check_memory(&o);
out:
    hone_free(o.writer);
    hone_free(o.before);
    return status;
}
