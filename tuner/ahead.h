// SPDX-License-Identifier: Apache-2.0
// What of a problem needs no device, done before its turn while the device measures another: random operands and the reference,
// enumerating the sources that compile, and compiling what will be tried. With no threads (a CPU device, whose times other work
// would spoil) all is done when it is asked for. Callers are one thread; items live until they are dropped.
#ifndef HONE_TUNER_AHEAD_H
#define HONE_TUNER_AHEAD_H

#include "tuner/choose.h"
#include "tuner/expect.h"

typedef struct hone_ahead hone_ahead;
typedef struct hone_item hone_item;

typedef struct hone_ahead_options {
    hone_target target;
    char kind[8];                      // of the device
    hone_effort effort;
    char sources[256];                 // words, "" for all
    const hone_ranking *ranking;       // borrowed; NULL: none
    uint64_t seed;
    int threads;                       // in the background
    int helpers;                       // threads of the references that are computed at a time, together
    bool compile_only;                 // no references
    bool compiles_apart;               // background threads compile in processes of their own
} hone_ahead_options;

// Does `words` ("a,b" or "a b"; "" is all) hold this source, and does it serve the device?
bool hone_source_is_wanted(const hone_source *source, const char *words, const char *kind);

hone_status hone_ahead_new(const hone_ahead_options *options, hone_ahead **ahead);
void hone_ahead_free(hone_ahead *ahead);                   // waits for what is running; NULL is legal
// Finds the item of a number, or makes it. HONE_USAGE when the text is no problem.
hone_status hone_ahead_item(hone_ahead *ahead, int64_t number, const char *problem, hone_item **item);
void hone_ahead_drop(hone_ahead *ahead, int64_t number);   // what is running for it ends first
void hone_ahead_wait(hone_ahead *ahead, int64_t number);   // until nothing is left to do for it, or there are no threads

const hone_problem *hone_item_problem(const hone_item *item);
const char *hone_item_text(const hone_item *item);
hone_status hone_item_expect(hone_ahead *ahead, hone_item *item, hone_expect **expect);     // waits; borrowed
// Appends what one source offers: from the background if it compiles, otherwise asked now, with the device.
hone_status hone_item_offer(hone_ahead *ahead, hone_item *item, const hone_source *source, hone_device *device, hone_candidates *candidates);
// The code of a tactic: waits for it, or compiles now. The blob is borrowed from the item.
hone_status hone_item_compiled(hone_ahead *ahead, hone_item *item, const hone_source *source, const hone_tactic *tactic,
                               char key[HONE_ARTIFACT_KEY], const hone_blob **blob);

#endif
