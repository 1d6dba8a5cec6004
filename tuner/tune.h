// SPDX-License-Identifier: Apache-2.0
// The loop: for each problem of a work list, what was tried is left out, the worker lists candidates, verifies and times them, a race
// decides, and every finished measurement goes to the store at once. The handle belongs to one thread; the store is the caller's.
#ifndef HONE_TUNER_TUNE_H
#define HONE_TUNER_TUNE_H

#include "db/store.h"
#include "tuner/supervise.h"

typedef struct hone_tune hone_tune;

#define HONE_TUNE_SOURCES 64

typedef struct hone_tune_report {
    int64_t problems;                  // asked for, each once
    int64_t done, covered, refused;    // tuned; found tuned; with a problem of their own
    int64_t left;                      // not reached: stopped or out of time
    int64_t candidates;                // that ran
    int64_t verdicts[HONE_VERDICT_COUNT];
    int64_t known_bad, hopeless;       // left out: bad before; far slower by estimate than what was measured
    int64_t lagging;                   // and of a library whose default was far behind
    int64_t suspects, cleared;         // tried again alone; innocent then
    int64_t workers;
    double seconds;
    double listing_s, laying_s, sampling_s;       // waiting for the worker: asking sources, operands and reference, more samples of the good
    double trying_s[HONE_TUNE_SOURCES];           // for trials, by source in the order of hone_sources
    double phase_s[HONE_PHASES];                  // the same time and more, by what the worker was at (hone_phases)
    double writing_s;                  // at the disk, most of it while the worker works
    bool stopped, out_of_time;
    char refusal[512];                 // the latest of a problem
} hone_tune_report;

typedef struct hone_tune_options {
    hone_supervisor_options supervisor;
    hone_store *store;                 // borrowed; may be NULL for a dry run
    bool dry_run;                      // nothing is written
    const char *command;               // as text, for the run's row
    const char *writer;                // of the run's row: a key in hex, or "local"
    const char *host;                  // kept private; may be NULL
    double time_limit_s;               // 0: none
    void (*progress)(void *user, const hone_tune_report *report, const char *what);
    // May be NULL: at most `most` spellings, borrowed, of what the next list will probably hold. The worker gets ready for it while the end of this
    // one is measured.
    size_t (*coming)(void *user, const char **problems, size_t most);
    void *user;
} hone_tune_options;

// Starts the worker, so that the device is known.
hone_status hone_tune_open(const hone_tune_options *options, hone_tune **tune);
// What is measured from here on goes to another store (NULL: nowhere), as a run of its own, and the report begins anew. The worker goes on.
hone_status hone_tune_use(hone_tune *tune, hone_store *store);
// Tunes a work list. May be called again. HONE_OK also when stopped or out of time: the report says so.
hone_status hone_tune_problems(hone_tune *tune, const char *const *problems, size_t count);
// Measures what a node of a captured graph costs, unless that is known. Not offered by every device: that is no failure.
hone_status hone_tune_gap(hone_tune *tune);
// Calls back for every candidate that tuning would try, and before them with tactic NULL for the problem. Runs none.
typedef hone_status (*hone_candidate_each)(void *user, const char *problem, const char *tactic, double estimate_ns);
hone_status hone_tune_list(hone_tune *tune, const char *const *problems, size_t count, hone_candidate_each each, void *user);

typedef struct hone_tune_scope {       // what a work list is tuned for
    char kind[8];                      // of the device: "cpu", "cuda", "replay"
    const char *device, *toolchain, *sources;
    hone_effort effort;
} hone_tune_scope;
// Whether every wanted source was tried on a problem (a canonical spelling): what hone_tune_problems leaves out.
hone_status hone_tune_covers(hone_store *store, const hone_tune_scope *scope, const char *problem, bool *covered);
const hone_tune_report *hone_tune_get_report(const hone_tune *tune);
const hone_supervisor *hone_tune_get_device(const hone_tune *tune);       // kind, spelling, toolchain of the device
void hone_tune_close(hone_tune *tune);

// Compiles what tuning would compile into the cache, for a device that need not be here. *compiled, *failed count tactics.
hone_status hone_tune_compile(const hone_target *target, const hone_worker_options *worker, const char *const *problems, size_t count,
                              int threads, const volatile sig_atomic_t *stop, int64_t *compiled, int64_t *failed);

#endif
