// SPDX-License-Identifier: Apache-2.0
// Spot checks: on an idle device, measures again what other writers say of tactics that a build would choose. The measurement is a row like any
// other, by the writer here: where it agrees, it confirms theirs, and where it does not, it outvotes or joins them (db/agree.c).
//
// Half of the checks go to the most suspicious claims: faster than all that is known besides, said by few, by a writer of whom little is known
// or was checked. The other half is drawn at random, so that no writer can tell which of its rows will be checked: when 2% of the rows are, 200 false ones
// pass with a chance of 0.98^200, less than 2%.
#ifndef HONE_TUNER_SPOT_H
#define HONE_TUNER_SPOT_H

#include "tuner/tune.h"

#define HONE_SPOT_AGREE 1.10       // two chips of one model differ by less (db/agree.c)

typedef struct hone_spot {             // a claim that may be checked
    char *problem, *tactic;            // owned
    char writer[HONE_ID_TEXT];
    double claimed_ns, suspicion;
    bool is_checked, has_agreed;       // now
    double own_ns;                     // then; 0 it failed
} hone_spot;

typedef struct hone_spot_writer {
    char writer[HONE_ID_TEXT];
    int64_t claims, checked, failed;   // of all tactics; failed: off by more than HONE_SPOT_AGREE either way, or not working here
} hone_spot_writer;

typedef struct hone_spots {
    hone_spot *items;                  // owned; those to check first come first
    size_t n, capacity;
    hone_spot_writer *writers;         // owned
    size_t n_writers, writers_capacity;
    int64_t claims;                    // of which items are those that matter and were not checked
} hone_spots;

// What may be checked on the tune's device for the writer here.
hone_status hone_spots_find(hone_tune *tune, const char *own, hone_spots *spots);
void hone_spots_clear(hone_spots *spots);
// Checks the first `most`. HONE_OK also when stopped or out of time.
hone_status hone_spots_check(hone_tune *tune, hone_spots *spots, size_t most);
// Of a writer of whom at least 50 claims were checked, more than 1% failed.
bool hone_spot_is_bad(const hone_spot_writer *writer);

#endif
