// SPDX-License-Identifier: Apache-2.0
// Lanes: steps that do not depend on each other may overlap. A step goes behind the producer it can follow directly; others start on the
// lane that has been idle longest. Waits are only those that the lanes do not imply.
//
// Lanes have to pay. Overlapping steps take from each other, and graphs with branches that take turns on a GPU cost 13 to 35 us an inference
// more than chains do (H100, three slots and more in turn; BERT-base 0.393 ms with a branch of 3 us, 0.357 ms without). So a plan is a chain
// unless the steps' times, overlapped for nothing, make it a tenth shorter.
#include <string.h>

#include "base/alloc.h"
#include "engine/assemble_priv.h"

#define LANES_MAX 16
#define PAYS 0.9              // of the time of the chain

int hone_plan_root(const hone_plan *plan, int buffer) {
    while (plan->buffers[buffer].alias >= 0) buffer = plan->buffers[buffer].alias;
    return buffer;
}

// producer[buffer]: the step that writes it, -1 for network inputs.
static int *producers(const hone_plan *plan) {
    int *producer = hone_alloc((size_t)(plan->n_buffers + 1) * sizeof *producer);
    if (!producer) return NULL;
    for (int b = 0; b < plan->n_buffers; b++) producer[b] = -1;
    for (int s = 0; s < plan->n_steps; s++)
        for (int o = 0; o < plan->steps[s].n_outputs; o++)
            if (plan->steps[s].outputs[o].kind == HONE_SLOT_BUFFER) producer[hone_plan_root(plan, plan->steps[s].outputs[o].index)] = s;
    return producer;
}

static int choose_lane(const hone_plan *plan, const hone_plan_step *step, const int *producer, const int *last, int lanes) {
    int oldest = 0;
    for (int k = 0; k < step->n_operands; k++) {
        if (step->operands[k].kind != HONE_SLOT_BUFFER) continue;
        int p = producer[hone_plan_root(plan, step->operands[k].index)];
        if (p >= 0 && last[plan->steps[p].lane] == p) return plan->steps[p].lane;
    }
    for (int l = 1; l < lanes; l++)
        if (last[l] < last[oldest]) oldest = l;
    return oldest;
}

// seen[step][lane]: the last step of that lane known to be done when `step` begins, -1 none.
static hone_status make_waits(hone_plan *plan, const int *producer, int lanes) {
    int (*seen)[LANES_MAX] = hone_alloc((size_t)(plan->n_steps + 1) * sizeof *seen);
    int last[LANES_MAX];
    if (!seen) return HONE_NO_MEMORY;
    for (int l = 0; l < LANES_MAX; l++) last[l] = -1;
    hone_status status = HONE_OK;
    for (int s = 0; s < plan->n_steps && status == HONE_OK; s++) {
        hone_plan_step *step = &plan->steps[s];
        int *mine = seen[s], waits[HONE_OPERANDS_MAX], n = 0;
        for (int l = 0; l < LANES_MAX; l++) mine[l] = last[step->lane] >= 0 ? seen[last[step->lane]][l] : -1;
        if (last[step->lane] >= 0) mine[step->lane] = last[step->lane];
        for (int k = 0; k < step->n_operands; k++) {
            if (step->operands[k].kind != HONE_SLOT_BUFFER) continue;
            int p = producer[hone_plan_root(plan, step->operands[k].index)];
            if (p < 0 || mine[plan->steps[p].lane] >= p) continue;
            waits[n++] = p;
            for (int l = 0; l < lanes; l++)
                if (seen[p][l] > mine[l]) mine[l] = seen[p][l];
            mine[plan->steps[p].lane] = p;
        }
        int *kept = hone_arena_alloc(plan->arena, (size_t)(n + 1) * sizeof *kept);
        if (!kept) status = HONE_NO_MEMORY;
        else memcpy(kept, waits, (size_t)n * sizeof *kept);
        step->waits = kept;
        step->n_waits = n;
        last[step->lane] = s;
    }
    hone_free(seen);
    return status;
}

static hone_status assign(hone_plan *plan, const int *producer, int lanes) {
    int last[LANES_MAX];
    for (int l = 0; l < LANES_MAX; l++) last[l] = -1;
    plan->lanes = 1;
    for (int s = 0; s < plan->n_steps; s++) {
        hone_plan_step *step = &plan->steps[s];
        step->lane = choose_lane(plan, step, producer, last, lanes);
        last[step->lane] = s;
        if (step->lane >= plan->lanes) plan->lanes = step->lane + 1;
    }
    return make_waits(plan, producer, lanes);
}

// Until the last step ends if each takes as long as predicted, whatever runs beside it; in ns, all steps in a row in *chain_ns.
static hone_status overlapped(const hone_plan *plan, double *ns, double *chain_ns) {
    double *end = hone_alloc(((size_t)plan->n_steps + 1) * sizeof *end), of_lane[LANES_MAX] = {0};
    if (!end) return HONE_NO_MEMORY;
    *ns = *chain_ns = 0;
    for (int s = 0; s < plan->n_steps; s++) {
        const hone_plan_step *step = &plan->steps[s];
        end[s] = of_lane[step->lane];
        for (int k = 0; k < step->n_waits; k++)
            if (end[step->waits[k]] > end[s]) end[s] = end[step->waits[k]];
        end[s] += step->predicted_ns;
        of_lane[step->lane] = end[s];
        if (end[s] > *ns) *ns = end[s];
        *chain_ns += step->predicted_ns;
    }
    hone_free(end);
    return HONE_OK;
}

hone_status hone_lanes_assign(hone_plan *plan, int lanes) {
    if (lanes < 1 || lanes > LANES_MAX) return hone_fail(HONE_USAGE, "lanes must be 1 to %d, not %d", LANES_MAX, lanes);
    double ns, chain_ns;
    hone_status status = HONE_NO_MEMORY;
    int *producer = producers(plan);
    if (!producer) goto out;
    HONE_TRY(assign(plan, producer, lanes));
    if (plan->lanes == 1) goto out;
    HONE_TRY(overlapped(plan, &ns, &chain_ns));
    if (ns > chain_ns * PAYS) status = assign(plan, producer, 1);
out:
    hone_free(producer);
    return status;
}

hone_status hone_plan_order(const hone_plan *plan, uint64_t **before, int *words) {
    *words = (plan->n_steps + 63) / 64;
    uint64_t *bits = hone_calloc((size_t)plan->n_steps * (size_t)*words + 1, sizeof *bits);
    int last[LANES_MAX];
    if (!bits) return HONE_NO_MEMORY;
    for (int l = 0; l < LANES_MAX; l++) last[l] = -1;
    for (int s = 0; s < plan->n_steps; s++) {
        const hone_plan_step *step = &plan->steps[s];
        uint64_t *mine = bits + (size_t)s * (size_t)*words;
        for (int k = -1; k < step->n_waits; k++) {
            int p = k < 0 ? last[step->lane] : step->waits[k];
            if (p < 0) continue;
            for (int w = 0; w < *words; w++) mine[w] |= bits[(size_t)p * (size_t)*words + (size_t)w];
            mine[p / 64] |= (uint64_t)1 << p % 64;
        }
        last[step->lane] = s;
    }
    *before = bits;
    return HONE_OK;
}
