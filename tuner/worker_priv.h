// SPDX-License-Identifier: Apache-2.0
// The worker's parts: worker.c speaks, trial.c tries.
#ifndef HONE_TUNER_WORKER_PRIV_H
#define HONE_TUNER_WORKER_PRIV_H

#include "profiler/timer.h"
#include "tuner/ahead.h"
#include "tuner/buffers.h"
#include "tuner/gauge.h"
#include "tuner/wire.h"
#include "tuner/worker.h"

typedef struct hone_kept {             // verified and awake, until it is dropped
    char tactic[HONE_TACTIC_TEXT];
    hone_runnable *runnable;
    double run_ns;                     // by the host's clock
    bool is_proved;                    // right behind a burst as well
} hone_kept;

typedef struct hone_bench {            // the device with one problem on it
    hone_device *device;
    const hone_timer *timer;
    hone_worker_options options;
    hone_ranking *ranking;             // owned; NULL: none
    hone_ahead *ahead;
    hone_item *item;                   // borrowed from ahead; NULL between problems
    hone_expect *expect;               // borrowed from the item
    hone_buffers buffers;
    hone_gauge gauge;
    hone_kept *kept;
    size_t n_kept, kept_capacity;
    int64_t clocks_ns;                 // when the clocks were read
    hone_answer clocks;                // what they were; only these fields
    void (*phase)(void *user, const char *name);      // says what begins, so that the right deadline runs
    void *phase_user;
} hone_bench;

// Lays the problem on the device. A failure here is the problem's, not a tactic's.
hone_status hone_bench_begin(hone_bench *bench, hone_item *item);
void hone_bench_end(hone_bench *bench);
// The life of a candidate; what becomes of it is the answer.
void hone_bench_try(hone_bench *bench, const char *tactic, int samples, hone_answer *answer);
void hone_bench_more(hone_bench *bench, const char *tactic, int samples, hone_answer *answer);
void hone_bench_gap(hone_bench *bench, const char *tactic, hone_answer *answer);
void hone_bench_drop(hone_bench *bench, const char *tactic);

#endif
