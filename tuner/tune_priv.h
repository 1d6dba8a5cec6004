// SPDX-License-Identifier: Apache-2.0
// The tuner's parts: tune.c walks the list, contest.c runs one problem, ledger.c stores, coverage.c knows what was tried before.
#ifndef HONE_TUNER_TUNE_PRIV_H
#define HONE_TUNER_TUNE_PRIV_H

#include "tuner/race.h"
#include "tuner/tune.h"

#define HONE_MODE_COLD "single cold"
#define HONE_MODE_WARM "single warm"
#define HONE_NOTE_DEFAULT "default"    // of a measurement: its tactic is what the library itself would have taken

// ---- ledger: what is to be stored, in order. Entries own their text; they are written while the worker works on the next request.

typedef struct hone_entry hone_entry;

typedef struct hone_ledger {
    hone_store *store;                 // borrowed
    hone_id run;
    const char *device, *toolchain;    // borrowed
    hone_entry *first, **last;
    int64_t written_ns, took_ns;       // when the latest commit ended, how long it took
    int64_t all_took_ns;
    hone_status status;                // the first failure: nothing is written behind it
    char why[1024];
} hone_ledger;

void hone_ledger_init(hone_ledger *ledger, hone_store *store);
void hone_ledger_clear(hone_ledger *ledger);       // what was not written is lost: flush first
hone_status hone_ledger_measurement(hone_ledger *ledger, const hone_measurement *row);        // device, toolchain, run, statistics are filled in
hone_status hone_ledger_coverage(hone_ledger *ledger, const hone_coverage *row);
hone_status hone_ledger_problem(hone_ledger *ledger, const char *problem, int64_t flops, int64_t bytes);
hone_status hone_ledger_artifact(hone_ledger *ledger, const char *key);                       // from the cache; absent there: nothing
void hone_ledger_write(hone_ledger *ledger);       // all that waits, as one transaction; the status keeps
// The same, but between two commits passes as much time as one takes: on a slow disk rows wait for each other instead of the device
// for them. Answers after how many ns it wants to be called again, 0 when nothing waits.
int64_t hone_ledger_keep_up(hone_ledger *ledger);
hone_status hone_ledger_flush(hone_ledger *ledger);

// ---- one problem

typedef struct hone_entrant {          // a candidate as the parent sees it
    char *tactic;                      // owned
    char source[16];
    double estimate_ns;
    bool is_default, is_point;
    hone_answer *answer;               // owned; of its latest trial. NULL: not tried
    int64_t worker;                    // which worker it is awake in
    int racer;                         // -1: none
    bool is_stored;
} hone_entrant;

typedef struct hone_offer {            // what a source said
    const hone_source *source;
    bool is_covered;                   // tried before: its candidates are left out
    bool declined;
    int64_t tried;
} hone_offer;

#define HONE_TUNE_AHEAD 32             // problems that the worker knows of before their turn

typedef struct hone_coming {           // probably of the next list
    char *problem;                     // owned
    int64_t number;                    // to the worker; 0: it was not told
} hone_coming;

struct hone_tune {
    hone_tune_options options;
    hone_supervisor supervisor;
    hone_ledger ledger;
    hone_tune_report report;
    int64_t start_ns;
    char **todo;                       // owned: spellings that are not covered
    size_t n_todo, at;
    int64_t *numbers;                  // of each todo, its number to the worker
    size_t told;                       // todo entries that the worker was told of
    hone_coming coming[HONE_TUNE_AHEAD];
    size_t n_coming;
    int64_t next_number;
};

bool hone_tune_is_over(hone_tune *tune);           // stopped or out of time; the report says which
const char *hone_tune_mode(const hone_tune *tune);
hone_effort hone_tune_effort(const hone_tune *tune);
void hone_tune_say(hone_tune *tune, const char *what);
// Whether a database's problem is one that this hone knows, and spells so: another can be asked of no worker.
bool hone_tune_spells(const char *problem);
// Calls back for each of some problems, in their order and each once, covered or not; the worker gets ready for those ahead. Stops when over.
typedef hone_status (*hone_problem_each)(void *user, int64_t number, const char *problem);
hone_status hone_tune_walk(hone_tune *tune, const char *const *problems, size_t count, hone_problem_each each, void *user);
// Restarts the worker if need be and tells it what comes.
hone_status hone_tune_ready(hone_tune *tune);

#define HONE_HOPELESS_ESTIMATE 10      // an own estimate this far above the best measured time is believed
hone_race_rules hone_contest_rules(hone_effort effort, const char *kind);       // but for the seed
// Tunes one problem of number `number`. Failures of candidates and of the problem itself are results.
hone_status hone_contest_run(hone_tune *tune, int64_t number, const char *problem);
typedef struct hone_timed {            // a tactic to be timed, and what came of it
    const char *tactic;                // borrowed
    double expect_ns;
    double median_ns;                  // 0 it failed
    double noise;                      // deviation of the median, as a part of it
    bool is_timed;                     // else stopped before
} hone_timed;
// Verifies and times tactics that somebody names, `samples` of each.
hone_status hone_contest_time(hone_tune *tune, int64_t number, const char *problem, hone_timed *wanted, size_t n, int samples);
hone_status hone_contest_gap(hone_tune *tune, int64_t number, const char *problem);
hone_status hone_contest_list(hone_tune *tune, int64_t number, const char *problem, hone_candidate_each each, void *user);
// Which sources of a problem were tried before; *all: every wanted one.
hone_status hone_contest_coverage(hone_tune *tune, const char *problem, hone_offer *offers, bool *all);

#endif
