// SPDX-License-Identifier: Apache-2.0
// A survey's parts: survey.c gathers, judges and asks; survey_conclude.c puts what was decided.
#ifndef HONE_TUNER_SURVEY_PRIV_H
#define HONE_TUNER_SURVEY_PRIV_H

#include "base/arena.h"
#include "tuner/survey.h"

typedef struct hone_survey_record {
    hone_survey_item is;
    double now_ns;                 // 0 not timed
    double before_noise, now_noise;    // deviations, as parts of the times
    bool has_failed;
    int family;                    // -1: it rests on nothing that changed
    size_t problem;
    double size, key;              // for the draw: the smaller key first
} hone_survey_record;

typedef struct hone_survey_engine {    // what a network takes in one type: a build chooses among its problems
    char network[HONE_ID_TEXT], type[16];
    double total_ns;               // of all its problems
} hone_survey_engine;

typedef struct hone_survey_use {
    size_t engine;
    double times;
} hone_survey_use;

typedef struct hone_survey_problem {
    const char *spelling;
    size_t from, to;               // its records, but for those that stand for what is offered anew
    size_t uses_from, uses_to;
    double weight;                 // over engines, of what part of each a ns here is
    double best_ns;                // of all that is known, before or now
    double anew_ns;                // the best of what tuning it anew found; 0 none
} hone_survey_problem;

typedef struct hone_survey_kin {   // a family at work
    hone_survey_family is;
    size_t from, to;               // in `drawn`
    size_t wanted;                 // records of the first sample; more where they disagree
    size_t drawable;               // records that networks need
    double middle, spread;         // of the logarithms of ratios
    double library;                // the middle of the middles of all families that rest on the same versions
    bool is_gone;                  // nothing of it works now
    int parent;                    // of what is offered anew, the family whose source offers it; else -1
} hone_survey_kin;

struct hone_survey {
    hone_survey_rules rules;
    hone_arena *arena;
    char *device, *toolchain, *mode;           // in the arena
    hone_survey_record *records;   // owned, as the next six
    size_t n_records, records_capacity;
    hone_survey_problem *problems; // sorted by spelling
    size_t n_problems, problems_capacity;
    hone_survey_kin *kin;
    size_t n_kin, kin_capacity;
    hone_survey_engine *engines;
    size_t n_engines, engines_capacity;
    hone_survey_use *uses;         // those of one problem together
    size_t n_uses, uses_capacity;
    size_t *drawn;                 // record numbers, those of one family together, in the order of the draw
    size_t n_drawn;
    hone_survey_family *told;      // owned: the answer of hone_survey_families
    size_t n_ran;                  // tactics timed under the new versions, of those that rest on older ones
    double *room, *noise;          // owned: a family's ratios, and how far each may be off
};

void hone_survey_judge(hone_survey *survey);        // from all that was told
// Whether records that were not timed again are kept or rescaled.
bool hone_survey_stands(const hone_survey_kin *kin);
// What a build may reckon with; INFINITY when the record may not be used.
double hone_survey_usable_ns(const hone_survey *survey, const hone_survey_record *record);

#endif
