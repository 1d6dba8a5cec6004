// SPDX-License-Identifier: Apache-2.0
// A learned order of a problem's candidates: boosted trees over their traits (tuner/traits.h), trained by hone on measurements (rank_train.c)
// and read from a text file. Scores compare candidates of one problem on one device, of all sources; the lowest is expected to be the fastest.
// It orders, no more: times, deadlines and verdicts know nothing of it. Immutable once read; any thread may ask.
#ifndef HONE_TUNER_RANK_H
#define HONE_TUNER_RANK_H

#include "db/store.h"
#include "tuner/traits.h"

typedef struct hone_ranking hone_ranking;

// HONE_DAMAGED names the line that cannot be read.
hone_status hone_ranking_parse(const char *text, hone_ranking **ranking);
hone_status hone_ranking_read(const char *path, hone_ranking **ranking);
// The one that came with the program (beside it, or in ../share/hone): HONE_MISS when there is none.
hone_status hone_ranking_find(hone_ranking **ranking);
// What a user chose: a file, "none", or "" for the one that came with the program, which may be missing or of another hone. *ranking may be NULL.
hone_status hone_ranking_choose(const char *word, hone_ranking **ranking);
void hone_ranking_free(hone_ranking *ranking);         // NULL is legal

// Whether it has seen this kernel in this version; of others its scores mean nothing.
bool hone_ranking_knows(const hone_ranking *ranking, const hone_tactic *tactic);
double hone_ranking_score(const hone_ranking *ranking, const hone_problem *problem, const hone_tactic *tactic, const hone_target *target,
                          const hone_source *source, double estimate_ns);

// How tuning orders candidates that stand in an order of their own (a library's, or by estimate): order[k] is who comes k-th. As the scores say, but
// nobody earlier than half of his own place: a ranking has seen little of what estimates and libraries put last. The scores are used up.
#define HONE_RANKING_REACH 2
void hone_ranking_order(double *scores, size_t n, size_t *order);

// ---- training

typedef struct hone_lesson {           // what to learn from; starts zeroed
    struct hone_observation *items;    // owned
    size_t n, capacity;
} hone_lesson;

// Adds what a store has measured on GPUs, but for the problems and devices that `skip` names (may be NULL).
typedef bool (*hone_lesson_skip)(void *user, const char *device, const char *problem);
hone_status hone_lesson_add(hone_lesson *lesson, hone_store *store, hone_lesson_skip skip, void *user);
// The text of a ranking; the same lesson makes the same bytes. HONE_NO_DEVICE says where XGBoost was looked for.
hone_status hone_lesson_learn(const hone_lesson *lesson, hone_text *text);
void hone_lesson_clear(hone_lesson *lesson);

#endif
