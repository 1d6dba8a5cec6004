// SPDX-License-Identifier: Apache-2.0
// Which tactics of a problem are tried at an effort. A library's listed points come in its own order, the first being its default,
// which always competes. Of a space, the best by estimate, each kernel's best first. A learned ranking (tuner/rank.h) that knows a source's
// kernels moves the promising forward within the first few of that order, and fewer of them are then tried.
#ifndef HONE_TUNER_CHOOSE_H
#define HONE_TUNER_CHOOSE_H

#include "tuner/rank.h"

typedef enum hone_effort { HONE_EFFORT_LOOKUP, HONE_EFFORT_ESTIMATE, HONE_EFFORT_QUICK, HONE_EFFORT_FULL, HONE_EFFORT_EXHAUSTIVE } hone_effort;

const char *hone_effort_name(hone_effort effort);
bool hone_effort_parse(const char *name, hone_effort *effort);

typedef struct hone_candidate {
    const hone_source *source;
    hone_tactic tactic;
    bool is_default;                   // of its library
    bool is_point;                     // another that a library listed
    double estimate_ns;                // 0: the source has none
} hone_candidate;

typedef struct hone_candidates {       // starts zeroed
    hone_candidate *items;             // owned
    size_t n, capacity;
} hone_candidates;

typedef struct hone_choosing {
    const char *kind;                  // of the device
    hone_effort effort;
    const hone_ranking *ranking;       // borrowed; NULL: estimates alone
} hone_choosing;

// How many a source may offer: points of a library, and points of a space; `learned`: when a ranking orders them. 0 where nothing is run.
void hone_effort_limits(hone_effort effort, const char *kind, bool learned, size_t *points, size_t *others);

// Appends what one source offers. HONE_DECLINED with the reason is a normal answer. device may be NULL.
hone_status hone_candidates_add(hone_candidates *candidates, const hone_source *source, const hone_problem *problem, const hone_target *target,
                                hone_device *device, const hone_choosing *how);
void hone_candidates_clear(hone_candidates *candidates);

#endif
