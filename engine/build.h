// SPDX-License-Identifier: Apache-2.0
// The builder: graph + database -> plan. No timing, no compiling, no device. Rules propose groups of nodes, partition picks the cheapest
// cover over fusion x layout x precision by database cost, conversions included.
#ifndef HONE_ENGINE_BUILD_H
#define HONE_ENGINE_BUILD_H

#include "db/store.h"
#include "engine/graph.h"
#include "engine/plan.h"

typedef struct hone_precision {
    const char *name;              // fp32, tf32, fp16, bf16
    hone_dtype dtype;
    hone_math math;
} hone_precision;

extern const hone_precision hone_precisions[];
extern const int hone_precision_count;

typedef struct hone_precision_set {
    int n;
    const hone_precision *items[8];
} hone_precision_set;

hone_status hone_precision_set_parse(const char *text, hone_precision_set *set);   // "fp32,tf32,fp16,bf16"

typedef struct hone_pin {          // --pin LAYER=TACTIC
    const char *layer;             // or a problem's spelling: all steps of it
    const char *tactic;
} hone_pin;

typedef struct hone_build_options {
    const char *device;            // spelling
    const char *toolchain;         // spelling; NULL: newest recorded for the device
    hone_precision_set precisions;
    bool strict;                   // missing entries are HONE_MISS
    bool allow_stale, allow_approximate;
    bool explores;                 // a trial build: conversions never measured are judged by their bytes, so that it may ask for them
    int lanes;                     // 1, 2, 4
    int64_t workspace_limit_bytes;
    const hone_pin *pins;
    int n_pins;
    const char *without;           // "nvrtc,cudnn": libraries that the plan may not open when it runs; NULL: it may open all
    // Takes the weights (hone_plan_draft_begin), which the plan then lacks, when all but the network's digest is known, for which all weights are
    // hashed meanwhile. NULL: the plan keeps them.
    hone_status (*drafted)(void *user, const hone_plan *plan);
    void *user;
} hone_build_options;

// Every problem that the rules propose for a graph, as a sorted, unique work list (spellings, each once), with how often a
// node group asks for it. Conversions between formats of network inputs and outputs are included.
typedef hone_status (*hone_problem_each)(void *user, const char *problem, int64_t times);
hone_status hone_build_problems(const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions,
                                hone_problem_each each, void *user);

// All problems that hone_build may ask a store about: those, every conversion between the formats of a value, and the launch gap.
hone_status hone_build_questions(const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions,
                                 hone_problem_each each, void *user);

// The mode of measurements taken inside one network: `plan DIGEST`, of what a build knows before it chooses anything: the network's structure
// (hone_graph_structure), the device and the precisions. So whatever plan is made of it next finds them, and of the same network trained otherwise.
#define HONE_NETWORK_MODE (HONE_ID_TEXT + 8)
void hone_network_mode(const hone_id *structure, const char *device, const hone_precision_set *precisions, char mode[HONE_NETWORK_MODE]);

// missing gets one spelling a line: what the best plan needs and the database lacks. Under strict with anything missing: HONE_MISS and
// no plan. Otherwise the reference source stands in for what is missing, slowly.
hone_status hone_build(const hone_graph *graph, hone_store *store, const hone_build_options *options, const char *network_name,
                       hone_text *missing, hone_plan **plan);

#endif
