// SPDX-License-Identifier: Apache-2.0
// After an upgrade: which records to time again, and what their times say of all the others of their families (db/store.h says what a family
// is). Ask what is wanted, tell what came out; a survey knows no device, so recorded times run it as well.
//
//  1. A few records of each family are drawn without replacement, with chances proportional to size (Efraimidis & Spirakis, Information
//     Processing Letters 97, 2006). Size is the time that registered networks spend on the problem, less the further from its problem's best the
//     record is: winners and close runners-up of heavy problems come first, and nobody can tell which.
//  2. The sample grows where it disagrees. A family whose middle ratio of times stays is kept; one that moved as a whole is rescaled.
//  3. One whose records moved apart or failed is timed again, record by record, in the order of expected improvement of the networks' time
//     (Mockus 1978; Jones, Schonlau & Welch, Journal of Global Optimization 13, 1998), until little can be won or 3% of all were timed. Where none
//     failed, the others are a last resort.
//  4. A vendor's library may offer other tactics now: on a few problems of each of its families, and on more, in the same order, where the
//     old ones are gone or the new ones are faster.
#ifndef HONE_TUNER_SURVEY_H
#define HONE_TUNER_SURVEY_H

#include "db/store.h"

typedef struct hone_survey hone_survey;

typedef struct hone_survey_rules {
    double tolerance;              // a ratio within 1 +- this is no change
    double loss;                   // what may stay on the table, as a part of each network's time in each type
    double share;                  // of the stale records, how many are timed at most, but where a family fails in part and a problem has nothing else
    uint64_t seed;
} hone_survey_rules;

hone_survey_rules hone_survey_usual(uint64_t seed);

typedef struct hone_survey_item {
    const char *problem, *family;
    const char *tactic;            // NULL: what the family's source offers on the problem now and the store does not know; the best of it
    double before_ns;              // under the versions before
} hone_survey_item;

typedef struct hone_survey_family {
    const char *family, *depends;  // depends: the versions before
    size_t records, timed, failed; // timed, failed: under the versions now
    double share;                  // of the networks' time, of problems in which it has the best or a close record
    bool is_decided;               // enough is known; else no network needs it, or there was no time
    bool is_anew;                  // stands for what the family's source offers anew (4): nothing is decided of it
    hone_recheck_decision decision;
    double scale;                  // of times, now to before: the median of the sample, or of the library's families where it agrees with those
    double low, high;              // the least and largest of the sample
} hone_survey_family;

// All that a store knows of a device's problems in a mode, under this toolchain and before.
hone_status hone_survey_new(hone_store *store, const char *device, const char *toolchain, const char *mode, const hone_survey_rules *rules, hone_survey **survey);
void hone_survey_free(hone_survey *survey);

// Up to `most` items to time next; 0: decided. What was asked for and not told is asked for again.
hone_status hone_survey_ask(hone_survey *survey, size_t *items, size_t most, size_t *count);
hone_survey_item hone_survey_get(const hone_survey *survey, size_t item);
// Whether the store has a time of the tactic on the item's problem, under whatever versions.
bool hone_survey_knows(const hone_survey *survey, size_t item, const char *tactic);
typedef struct hone_survey_answer {
    double now_ns;                 // 0: it failed, or nothing new was offered
    double noise;                  // the deviation of the time, as a part of it
    size_t ran;                    // tactics that were timed for it
} hone_survey_answer;
void hone_survey_tell(hone_survey *survey, size_t item, const hone_survey_answer *answer);

size_t hone_survey_stale(const hone_survey *survey);       // records that rest on other versions
// Problems that networks need and on which something stale is neither kept, rescaled nor timed; *without: those on which nothing may be used.
size_t hone_survey_left(const hone_survey *survey, size_t *without);
size_t hone_survey_families(hone_survey *survey, const hone_survey_family **families);       // borrowed, by share

// Puts what was decided: rechecks, where the store does not say the same already, and coverage under the new versions of problems on which all
// of a source's records are kept, rescaled or timed. *put, *covered count rows.
hone_status hone_survey_conclude(hone_survey *survey, hone_store *store, const hone_id *run, int64_t *put, int64_t *covered);

#endif
