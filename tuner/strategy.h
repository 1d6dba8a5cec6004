// SPDX-License-Identifier: Apache-2.0
// Orders of trial compared on recorded spaces: how near the fastest of all that was recorded the first N candidates come. A default of
// each library comes first in every order, as in tuning. Pure: recorded medians stand for measuring.
#ifndef HONE_TUNER_STRATEGY_H
#define HONE_TUNER_STRATEGY_H

#include "tuner/rank.h"

#define HONE_STRATEGY_BUDGETS 8

extern const int hone_strategy_count;
const char *hone_strategy_name(int number);
bool hone_strategy_needs_ranking(int number);

typedef struct hone_replayed {         // starts zeroed; cases may be added by several calls
    int64_t cases, candidates;
    double log_sum[HONE_STRATEGY_BUDGETS], least[HONE_STRATEGY_BUDGETS];      // of the share of the fastest that each budget reached
} hone_replayed;

// Replays every case of a lesson that has at least `fewest` candidates. ranking may be NULL where the strategy needs none.
hone_status hone_strategy_replay(int number, const hone_lesson *lesson, const hone_ranking *ranking, const int *budgets, int n_budgets,
                                 int fewest, hone_replayed *replayed);

#endif
