// SPDX-License-Identifier: Apache-2.0
#include "engine/costs_priv.h"

#include <string.h>

#include "base/alloc.h"
#include "kernels/source.h"

#define BUCKETS 16384
// Without a measurement: the gap between the nodes of a captured graph on a Hopper GPU as published (about 1.3 us), and a few
// hundred ns for a call on a CPU.
#define GAP_CUDA_NS 1300.0
#define GAP_CPU_NS 300.0
// A stand-in for what was never measured: far above any tuned time, so that it is only taken when nothing else covers a node.
#define UNMEASURED_FACTOR 1000.0

static double measured_gap(hone_costs *costs, double fallback) {
    const hone_build_options *o = costs->options;
    hone_question question = {.device = o->device, .toolchain = o->toolchain, .problem = HONE_GAP_PROBLEM, .mode = HONE_GAP_MODE,
                              .allow_stale = true, .allow_approximate = true};
    hone_ranked *ranked = NULL;
    size_t n = 0;
    double gap = fallback;
    if (hone_store_rank(costs->store, &question, &ranked, &n) == HONE_OK && n > 0) gap = ranked[0].median_ns;
    hone_free(ranked);
    return gap;
}

hone_status hone_costs_init(hone_costs *costs, hone_arena *arena, hone_store *store, const hone_build_options *options) {
    *costs = (hone_costs){.arena = arena, .store = store, .options = options, .n_buckets = BUCKETS};
    hone_status status = hone_target_parse(options->device, &costs->target);
    if (status != HONE_OK) return status;
    costs->buckets = hone_calloc(BUCKETS, sizeof *costs->buckets);
    if (!costs->buckets) return HONE_NO_MEMORY;
    costs->gap_ns = measured_gap(costs, strcmp(costs->target.kind, "cpu") ? GAP_CUDA_NS : GAP_CPU_NS);
    return HONE_OK;
}

void hone_costs_clear(hone_costs *costs) {
    hone_free((void *)costs->buckets);
    costs->buckets = NULL;
}

static size_t bucket_of(const char *text) {
    uint64_t h = 1469598103934665603u;      // FNV-1a: in-memory only
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h % BUCKETS;
}

bool hone_costs_allow(const hone_costs *costs, const hone_tactic *tactic, bool is_compiled) {
    const char *without = costs->options->without;
    return !without || !hone_opens_any(hone_tactic_opens(tactic, is_compiled), without);
}

typedef struct hone_kept_artifact {
    const char *key;
    const void *data;              // NULL: the database lacks it
    size_t size_bytes;
    struct hone_kept_artifact *next;
} kept_artifact;

static hone_status keep_artifact(hone_costs *costs, const char *key, kept_artifact **kept) {
    void *data = NULL;
    size_t size = 0;
    kept_artifact *made = hone_arena_alloc(costs->arena, sizeof *made);
    hone_status status = made ? hone_store_find_artifact(costs->store, key, &data, &size) : HONE_NO_MEMORY;
    if (status != HONE_OK) return status;
    void *copy = data ? hone_arena_alloc_raw(costs->arena, size) : NULL;
    if (copy && size) memcpy(copy, data, size);
    const char *name = hone_arena_strdup(costs->arena, key);
    status = !name || (data && !copy) ? HONE_NO_MEMORY : HONE_OK;
    hone_free(data);
    if (status != HONE_OK) return status;
    *made = (kept_artifact){name, copy, size, costs->artifacts};
    *kept = costs->artifacts = made;
    return HONE_OK;
}

hone_status hone_costs_artifact(hone_costs *costs, const char *key, const void **data, size_t *size_bytes) {
    kept_artifact *at = costs->artifacts;
    while (at && strcmp(at->key, key)) at = at->next;
    hone_status status = at ? HONE_OK : keep_artifact(costs, key, &at);
    if (status != HONE_OK) return status;
    *data = at->data;
    *size_bytes = at->size_bytes;
    return HONE_OK;
}

// --pin is applied when steps are made, since it names layers; here a tactic only has to fit the options.
static bool acceptable(hone_costs *costs, const hone_problem *problem, const hone_ranked *ranked) {
    hone_tactic tactic;
    const void *artifact;
    size_t size;
    bool is_compiled = ranked->artifact && *ranked->artifact;
    if (hone_tactic_parse(ranked->tactic, &tactic) != HONE_OK || !hone_costs_allow(costs, &tactic, is_compiled)) return false;
    if (is_compiled) {       // compiled code that the database lacks cannot be made without a compiler
        if (hone_costs_artifact(costs, ranked->artifact, &artifact, &size) != HONE_OK || !artifact) return false;
    }
    if (costs->options->workspace_limit_bytes >= 0 && ranked->workspace_bytes > costs->options->workspace_limit_bytes) return false;
    return hone_tactic_check(&tactic, problem, &costs->target) == HONE_OK;
}

static hone_status take_ranked(hone_costs *costs, const hone_ranked *ranked, hone_cost *cost) {
    cost->tactic = hone_arena_strdup(costs->arena, ranked->tactic);
    cost->artifact = hone_arena_strdup(costs->arena, ranked->artifact ? ranked->artifact : "");
    cost->ns = ranked->median_ns;
    cost->workspace_bytes = ranked->workspace_bytes;
    cost->evidence = ranked->evidence;
    cost->staleness = ranked->staleness;
    return cost->tactic && cost->artifact ? HONE_OK : HONE_NO_MEMORY;
}

// What was measured inside this network overrules the choice by single launches where it is decisive: both were compared there, and their
// intervals lie apart. It chooses among tactics, not among fusions: the time that partition sees stays that of the single launch.
static hone_status ask_network(hone_costs *costs, const hone_problem *problem, hone_cost *cost) {
    const hone_build_options *o = costs->options;
    hone_question question = {.device = o->device, .toolchain = o->toolchain, .problem = cost->problem, .mode = costs->mode};
    hone_ranked *ranked = NULL;
    size_t n = 0;
    size_t best = 0;
    double single_ns = cost->ns;
    hone_status status = hone_store_rank(costs->store, &question, &ranked, &n);
    while (best < n && !acceptable(costs, problem, &ranked[best])) best++;
    for (size_t k = best + 1; status == HONE_OK && k < n; k++) {
        if (strcmp(ranked[k].tactic, cost->tactic)) continue;
        if (ranked[best].high_ns < ranked[k].low_ns) status = take_ranked(costs, &ranked[best], cost);
        cost->ns = single_ns;
        break;
    }
    hone_free(ranked);
    return status;
}

static hone_status ask(hone_costs *costs, const hone_problem *problem, hone_cost *cost) {
    const hone_build_options *o = costs->options;
    bool wants_fastest = o->allow_stale || o->allow_approximate;
    hone_question question = {.device = o->device, .toolchain = o->toolchain, .problem = cost->problem, .mode = "",
                              .allow_stale = o->allow_stale, .allow_approximate = o->allow_approximate};
    hone_ranked *ranked = NULL;
    size_t n = 0;
    hone_status status = hone_store_rank(costs->store, &question, &ranked, &n);
    if (status != HONE_OK) return status;
    cost->ns = hone_roofline_ns(problem, &costs->target) * UNMEASURED_FACTOR + 1e6;
    // Fresh evidence ranks first, but who allows stale evidence wants the fastest: the reference rests on no library and is always fresh. To others
    // only a recheck offers stale evidence, as a last resort.
    for (size_t k = 0; k < n; k++) {
        if (cost->tactic && (!wants_fastest || ranked[k].staleness <= cost->staleness || ranked[k].median_ns >= cost->ns)) continue;
        if (!acceptable(costs, problem, &ranked[k])) continue;
        status = take_ranked(costs, &ranked[k], cost);
        if (status != HONE_OK) break;
    }
    hone_free(ranked);
    return status;
}

static hone_status get(hone_costs *costs, const hone_problem *problem, hone_cost **out) {
    hone_text text;
    hone_text_init(&text);
    hone_problem_print(problem, &text);
    hone_status status = hone_text_status(&text);
    hone_cost **bucket = &costs->buckets[bucket_of(hone_text_get(&text))], *cost = *bucket;
    while (cost && strcmp(cost->problem, hone_text_get(&text))) cost = cost->next;
    if (status == HONE_OK && !cost) {
        cost = hone_arena_alloc(costs->arena, sizeof *cost);
        const char *spelling = cost ? hone_arena_strdup(costs->arena, hone_text_get(&text)) : NULL;
        if (!spelling) {
            status = HONE_NO_MEMORY;
            goto out;
        }
        *cost = (hone_cost){.problem = spelling, .artifact = "", .next = *bucket};
        HONE_TRY(ask(costs, problem, cost));
        *bucket = cost;
    }
    *out = cost;
out:
    hone_text_clear(&text);
    return status;
}

hone_status hone_costs_get(hone_costs *costs, const hone_problem *problem, const hone_cost **out) {
    hone_cost *cost;
    hone_status status = get(costs, problem, &cost);
    if (status == HONE_OK) *out = cost;
    return status;
}

hone_status hone_costs_choose(hone_costs *costs, const hone_problem *problem, const hone_cost **out) {
    hone_cost *cost, *inside;
    hone_status status = get(costs, problem, &cost);
    if (status != HONE_OK) return status;
    *out = cost;
    if (!cost->tactic || !*costs->mode) return HONE_OK;
    if (!cost->inside) {
        if (!(inside = hone_arena_alloc(costs->arena, sizeof *inside))) return HONE_NO_MEMORY;
        *inside = *cost;
        if ((status = ask_network(costs, problem, inside)) != HONE_OK) return status;
        cost->inside = inside;
    }
    *out = cost->inside;
    return HONE_OK;
}
