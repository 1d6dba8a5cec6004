// SPDX-License-Identifier: Apache-2.0
// After an upgrade: times on the device what a survey asks for, a few records of each family (tuner/survey.h), and puts what it decides. Every
// finished measurement goes to the store at once and is part of the sample when the same is done again: so it goes on where it was stopped.
#ifndef HONE_TUNER_RECHECK_H
#define HONE_TUNER_RECHECK_H

#include "tuner/survey.h"
#include "tuner/tune.h"

typedef struct hone_recheck_report {
    int64_t timed;                 // tactics that ran
    int64_t rechecks, covered;     // rows put: decisions, coverage
    bool is_whole;                 // all that was asked for was timed
} hone_recheck_report;

// Of the tune's device, toolchain and mode. Reads all that the store has of the device.
hone_status hone_recheck_survey(hone_tune *tune, hone_survey **survey);
// How many records the survey would time first, and about how long that takes.
hone_status hone_recheck_cost(hone_tune *tune, hone_survey *survey, size_t *items, size_t most, size_t *count, double *seconds);
// HONE_OK also when stopped or out of time; what was decided until then is put.
hone_status hone_recheck_run(hone_tune *tune, hone_survey *survey, hone_recheck_report *report);

#endif
