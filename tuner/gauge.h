// SPDX-License-Identifier: Apache-2.0
// Holds what a run left in the device's buffers against what was expected. On a GPU by a small kernel where it lies; where there is none,
// copied to the host. Owns the reference's copy beside the buffers. Where the reference has only points, the first tactic that agrees with
// them leaves its output to the rest, and must itself leave the same, within the tolerance, in every run.
#ifndef HONE_TUNER_GAUGE_H
#define HONE_TUNER_GAUGE_H

#include "tuner/buffers.h"
#include "tuner/expect.h"

typedef struct hone_gauge {            // starts zeroed but for buffers and threads
    hone_buffers *buffers;             // borrowed
    int threads;                       // of the host
    const hone_expect *expect;         // borrowed; NULL between problems
    bool is_adopted;                   // the first tactic that was right has left its output
    hone_comparer *comparer;           // owned; NULL: on the host
    bool was_asked, is_on_device;      // for a comparer; for this problem
    struct { void *memory; size_t size_bytes; } references[HONE_OUTPUTS_MAX], points[2];      // device memory, owned; indices and values
    void *outputs[HONE_OUTPUTS_MAX], *first[HONE_OUTPUTS_MAX], *right[HONE_OUTPUTS_MAX];      // host memory, owned: of this run, the first, an adopted
    bool first_is_right;
    char first_why[256];
} hone_gauge;

// Takes what a problem on the device is held against. A device with no room for it is no failure.
hone_status hone_gauge_begin(hone_gauge *gauge, const hone_expect *expect);
void hone_gauge_end(hone_gauge *gauge);
void hone_gauge_clear(hone_gauge *gauge);
// What lies on the device may have been overwritten: written anew. An adopted output is forgotten.
hone_status hone_gauge_refill(hone_gauge *gauge);

// The outputs in the buffers: of a tactic's first run, or of a later one. Results as in hone_expect_judge.
hone_status hone_gauge_compare(hone_gauge *gauge, bool is_first, double *error, bool *is_right, char *why);
// The tactic whose first run was the latest was right in all.
void hone_gauge_adopt(hone_gauge *gauge);

#endif
