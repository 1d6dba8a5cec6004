// SPDX-License-Identifier: Apache-2.0
// Who is fastest, with as few samples as the answer needs. Ask what to measure next, tell what came out; the race knows no device, so
// recorded samples run it as well. Stages: a few samples of everyone as they enter, more of those not yet hopeless, then the last
// few in turn, in fresh order each round, until the interval of the ratio of their medians decides or is within half a percent.
#ifndef HONE_TUNER_RACE_H
#define HONE_TUNER_RACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct hone_race_rules {
    int first, middle, most;           // samples: of everyone, of survivors, of the last
    int round;                         // samples a round of the last
    int last;                          // how many are the last
    double hopeless;                   // out when the best sample is above this times the best median
    double close;                      // a ratio this near 1 decides that there is no difference
    double limit_ns;                   // of samples and their overhead in the last two stages; 0 none
    double overhead_ns;                // what a sample costs beside its own time
    uint64_t seed;
} hone_race_rules;

typedef struct hone_racer {
    const char *tactic;                // borrowed
    int64_t workspace_bytes;
    double *samples;                   // owned
    size_t n, capacity;
    double least, median;
    bool is_out;                       // nothing more will be measured
} hone_racer;

typedef struct hone_race {
    hone_race_rules rules;
    hone_racer *racers;                // owned
    size_t n, capacity;
    double spent_ns;
    int stage, rounds;                 // rounds of the last stage so far
    size_t turn, n_turns;              // place within the round
    size_t order[16];
} hone_race;

void hone_race_init(hone_race *race, const hone_race_rules *rules);
void hone_race_clear(hone_race *race);
// A racer enters with its first samples, before the first ask.
hone_status hone_race_enter(hone_race *race, const char *tactic, int64_t workspace_bytes, const double *samples, size_t n);
// False: decided. Otherwise whose samples are wanted, and how many.
bool hone_race_ask(hone_race *race, size_t *racer, int *samples);
hone_status hone_race_tell(hone_race *race, size_t racer, const double *samples, size_t n);
void hone_race_withdraw(hone_race *race, size_t racer);               // it failed: out, its samples are void
// The best median of all; 0 when nobody has entered.
double hone_race_best_ns(const hone_race *race);
// -1 when there is none. Ties, as the rules' `close` and the interval say, go to the smaller workspace, then the lexically smaller tactic.
int hone_race_winner(hone_race *race);

#endif
