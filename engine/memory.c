// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/assemble_priv.h"

#define ALIGN 256

typedef struct block {           // a buffer with its aliases, or a step's workspace
    int buffer;                  // root buffer, or -1
    int step;                    // workspace of this step, or -1
    int64_t size, offset;
    bool whole;                  // alive during the whole inference: network inputs and outputs
    uint64_t *users;             // bit per step that reads or writes it
} block;

// All users of a are done before the first user of b begins.
static bool ends_before(const block *a, const block *b, const uint64_t *before, int words) {
    for (int word = 0; word < words; word++)
        for (uint64_t left = b->users[word]; left; left &= left - 1) {
            const uint64_t *done = before + (size_t)(word * 64 + __builtin_ctzll(left)) * (size_t)words;
            for (int w = 0; w < words; w++)
                if (a->users[w] & ~done[w]) return false;
        }
    return true;
}

static bool may_share(const block *a, const block *b, const uint64_t *before, int words) {
    if (a->whole || b->whole) return false;
    return ends_before(a, b, before, words) || ends_before(b, a, before, words);
}

static int larger(const void *a, const void *b) {
    const block *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    if (x->buffer != y->buffer) return x->buffer - y->buffer;
    return x->step - y->step;
}

static int lower(const void *a, const void *b) {
    const block *x = *(const block *const *)a, *y = *(const block *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int64_t place(const block *blocks, int placed, const block *mine, const uint64_t *before, int words, const block **conflicts) {
    int n = 0;
    for (int k = 0; k < placed; k++)
        if (!may_share(&blocks[k], mine, before, words)) conflicts[n++] = &blocks[k];
    qsort(conflicts, (size_t)n, sizeof *conflicts, lower);
    int64_t offset = 0;
    for (int k = 0; k < n; k++) {
        if (conflicts[k]->offset >= offset + mine->size) break;
        if (conflicts[k]->offset + conflicts[k]->size > offset) offset = conflicts[k]->offset + conflicts[k]->size;
    }
    return offset;
}

static int gather(const hone_plan *plan, block *blocks, uint64_t *bits, int words) {
    int n = 0;
    for (int b = 0; b < plan->n_buffers; b++) {
        blocks[n] = (block){.buffer = b, .step = -1, .size = plan->buffers[b].size_bytes, .users = bits + (size_t)n * (size_t)words};
        n++;       // aliases get an empty block, so that block b is buffer b
    }
    for (int s = 0; s < plan->n_steps; s++) {
        const hone_plan_step *step = &plan->steps[s];
        for (int k = 0; k < step->n_operands + step->n_outputs; k++) {
            const hone_slot *slot = k < step->n_operands ? &step->operands[k] : &step->outputs[k - step->n_operands];
            if (slot->kind == HONE_SLOT_BUFFER) blocks[hone_plan_root(plan, slot->index)].users[s / 64] |= (uint64_t)1 << s % 64;
        }
        if (step->workspace_bytes > 0) {
            blocks[n] = (block){.buffer = -1, .step = s, .size = step->workspace_bytes, .users = bits + (size_t)n * (size_t)words};
            blocks[n].users[s / 64] |= (uint64_t)1 << s % 64;
            n++;
        }
    }
    for (int k = 0; k < plan->n_inputs + plan->n_outputs; k++) {
        const hone_port *port = k < plan->n_inputs ? &plan->inputs[k] : &plan->outputs[k - plan->n_inputs];
        blocks[hone_plan_root(plan, port->buffer)].whole = true;
    }
    for (int k = 0; k < n; k++) blocks[k].size = (blocks[k].size + ALIGN - 1) / ALIGN * ALIGN;
    return n;
}

static void write_back(hone_plan *plan, const block *blocks, int n) {
    plan->arena_bytes = 0;
    for (int k = 0; k < n; k++) {
        if (blocks[k].buffer >= 0) plan->buffers[blocks[k].buffer].offset_bytes = blocks[k].offset;
        else plan->steps[blocks[k].step].workspace_offset_bytes = blocks[k].offset;
        if (blocks[k].offset + blocks[k].size > plan->arena_bytes) plan->arena_bytes = blocks[k].offset + blocks[k].size;
    }
    for (int b = 0; b < plan->n_buffers; b++) plan->buffers[b].offset_bytes = plan->buffers[hone_plan_root(plan, b)].offset_bytes;
}

hone_status hone_memory_plan(hone_plan *plan) {
    hone_status status = HONE_NO_MEMORY;
    uint64_t *before = NULL;
    int words = 0, most = plan->n_buffers + plan->n_steps;
    block *blocks = hone_calloc((size_t)most + 1, sizeof *blocks);
    const block **conflicts = hone_calloc((size_t)most + 1, sizeof *conflicts);
    uint64_t *bits = NULL;
    if (!blocks || !conflicts) goto out;
    HONE_TRY(hone_plan_order(plan, &before, &words));
    status = HONE_NO_MEMORY;
    bits = hone_calloc((size_t)most * (size_t)words + 1, sizeof *bits);
    if (!bits) goto out;
    int n = gather(plan, blocks, bits, words), kept = 0;
    for (int k = 0; k < n; k++)
        if (blocks[k].buffer < 0 || plan->buffers[blocks[k].buffer].alias < 0) blocks[kept++] = blocks[k];
    qsort(blocks, (size_t)kept, sizeof *blocks, larger);
    for (int k = 0; k < kept; k++) blocks[k].offset = place(blocks, k, &blocks[k], before, words, conflicts);
    write_back(plan, blocks, kept);
    status = HONE_OK;
out:
    hone_free(bits);
    hone_free(before);
    hone_free((void *)conflicts);
    hone_free(blocks);
    return status;
}
