// SPDX-License-Identifier: Apache-2.0
// The ranking's parts: rank.c reads and scores, rank_lesson.c gathers what was measured, rank_train.c learns, strategy.c replays.
#ifndef HONE_TUNER_RANK_PRIV_H
#define HONE_TUNER_RANK_PRIV_H

#include "tuner/rank.h"

typedef struct hone_observation {      // one tactic of one problem on one device
    char *device, *problem;            // owned
    const hone_source *source;         // NULL: not of this hone
    hone_tactic tactic;
    double ns, estimate_ns;
    bool is_default;                   // of its library
} hone_observation;

typedef struct hone_case {             // one problem on one device; starts zeroed
    const hone_observation *items;     // the fastest first
    size_t n, next;
    hone_problem problem;
    hone_target target;
} hone_case;

// The next case whose problem this hone understands; false: that was the last.
bool hone_lesson_next(const hone_lesson *lesson, hone_case *c);

#endif
