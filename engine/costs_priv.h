// SPDX-License-Identifier: Apache-2.0
// What the database says a problem costs, remembered by spelling for the length of one build.
#ifndef HONE_ENGINE_COSTS_PRIV_H
#define HONE_ENGINE_COSTS_PRIV_H

#include "base/arena.h"
#include "engine/build.h"
#include "kernels/problem.h"
#include "kernels/tactic.h"

typedef struct hone_cost {
    const char *problem;           // spelling
    const char *tactic;            // spelling; NULL: the database lacks it
    double ns;                     // measured; without a tactic, a rough stand-in
    int64_t workspace_bytes;
    hone_id evidence;
    int staleness;
    const char *artifact;          // key, "" if none
    struct hone_cost *next;        // hash chain
    struct hone_cost *inside;      // the choice by what was measured inside the network; NULL: not asked for yet
} hone_cost;

typedef struct hone_costs {
    hone_arena *arena;             // borrowed
    hone_store *store;             // borrowed
    const hone_build_options *options;
    hone_target target;
    char mode[HONE_NETWORK_MODE];  // of what was measured inside this network; "": none is asked for
    double gap_ns;                 // between two steps of a captured plan
    hone_cost **buckets;
    size_t n_buckets;
    struct hone_kept_artifact *artifacts;      // asked of the database once
} hone_costs;

hone_status hone_costs_init(hone_costs *costs, hone_arena *arena, hone_store *store, const hone_build_options *options);
void hone_costs_clear(hone_costs *costs);
// Whether the options allow what this tactic may open when the plan runs.
bool hone_costs_allow(const hone_costs *costs, const hone_tactic *tactic, bool is_compiled);
// The entry of a problem; asked of the database once. Never NULL on success.
hone_status hone_costs_get(hone_costs *costs, const hone_problem *problem, const hone_cost **cost);
// The same with the tactic that costs->mode speaks for. It tells of tactics alone: time and, with it, the partition stay those of single launches.
hone_status hone_costs_choose(hone_costs *costs, const hone_problem *problem, const hone_cost **cost);
// *data NULL when absent. It lives in the arena.
hone_status hone_costs_artifact(hone_costs *costs, const char *key, const void **data, size_t *size_bytes);

#endif
