// SPDX-License-Identifier: Apache-2.0
// Between the files of a contest: contest.c has its course, contest_trial.c asks the worker, contest_rows.c stores, contest_gap.c measures what a
// node of a graph costs beside its kernel.
#ifndef HONE_TUNER_CONTEST_PRIV_H
#define HONE_TUNER_CONTEST_PRIV_H

#include "tuner/tune_priv.h"

#define HONE_ENTRANTS_MAX 65536
#define HONE_OFFER_LIMIT_NS 120000000000ll     // listing the algorithms of a library

typedef struct hone_contest {
    hone_tune *tune;
    int64_t number;
    const char *problem;
    hone_problem parsed;
    hone_offer offers[HONE_TUNE_SOURCES];
    const hone_source *offering;       // while the offer is read
    hone_entrant *entrants;            // owned
    size_t n, capacity;
    hone_race race;
    int64_t begun_in;                  // the worker that has the problem; 0 none
    bool is_over;                      // stopped
    bool is_suspect;                   // the worker ended when the problem was listed or begun
    bool is_refused;
} hone_contest;

hone_status hone_contest_init(hone_contest *c, hone_tune *t, int64_t number, const char *problem);
void hone_contest_clear(hone_contest *c);          // the worker forgets the problem, too
hone_status hone_contest_enter_all(hone_contest *c);
hone_entrant *hone_contest_entrant_of(hone_contest *c, size_t racer);

hone_offer *hone_contest_find_offer(hone_contest *c, const char *source);          // NULL: not asked for
hone_status hone_contest_ask_offer(hone_contest *c);                               // fills entrants, in the order of their turns
// Tries, or takes more samples of one that is awake. Suspects are tried again alone, in a new worker.
hone_status hone_contest_try(hone_contest *c, hone_entrant *e, int samples, hone_answer *answer);

hone_status hone_contest_store(hone_contest *c, hone_entrant *e);                  // once
hone_status hone_contest_retire(hone_contest *c);                                  // whoever is out is finished: stored, and no longer kept awake
hone_status hone_contest_store_coverage(hone_contest *c);
hone_status hone_contest_store_artifacts(hone_contest *c);                         // of the fastest few

#endif
