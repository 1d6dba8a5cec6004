// SPDX-License-Identifier: Apache-2.0
// The tuner's side of a worker: starts it, talks to it with a deadline on every word, kills it, starts the next. Never waits
// without limit: a worker that SIGKILL does not end within ten seconds means a wedged device, and is HONE_AGAIN.
#ifndef HONE_TUNER_SUPERVISE_H
#define HONE_TUNER_SUPERVISE_H

#include <sys/types.h>

#include "tuner/wire.h"
#include "tuner/worker.h"

typedef struct hone_supervisor_options {
    hone_worker_options worker;
    int64_t floor_ns;                  // of deadlines
    const volatile sig_atomic_t *stop; // may be NULL: set when the user wants to end
    bool compiles;                     // a compiler (tuner/compiler.h) for worker.device, a spelling
    bool verbose;                      // the worker's own messages go to standard error
    // May be NULL: runs while the worker works on a request; answers after how many ns it wants to run again, 0 for never.
    int64_t (*meanwhile)(void *user);
    void *user;
} hone_supervisor_options;

typedef enum hone_ending {             // how an exchange ended
    HONE_ENDING_ANSWER,
    HONE_ENDING_REFUSED,               // the worker says no and why; it lives
    HONE_ENDING_DIED,
    HONE_ENDING_LATE,
    HONE_ENDING_GARBAGE,
    HONE_ENDING_STOPPED                // the user's wish
} hone_ending;

typedef struct hone_supervisor {
    hone_supervisor_options options;
    pid_t pid;                         // 0: none runs
    int to, messages;                  // pipe to the worker; its messages, a memory file, -1 when verbose
    hone_wire_reader from;
    int64_t request;                   // number of the latest
    int64_t started;                   // workers so far
    bool introduced;                   // the four below are known
    char kind[8], device[512], toolchain[512], uuid[64], timer[16];
    char why[2048];                    // of the last ending that was no answer
    hone_status refusal;               // its code
    double phase_s[HONE_PHASES];       // waited for answers, by what the worker said it was at
} hone_supervisor;

hone_status hone_supervisor_init(hone_supervisor *supervisor, const hone_supervisor_options *options);
// Starts a worker unless one runs, and learns what device it has. Another device than before is HONE_AGAIN.
hone_status hone_supervisor_start(hone_supervisor *supervisor);
// Ends the worker: asked to when `politely`, otherwise killed. HONE_AGAIN: the device is wedged.
hone_status hone_supervisor_stop(hone_supervisor *supervisor, bool politely);
void hone_supervisor_clear(hone_supervisor *supervisor);

// max(floor, 20 x estimate of all runs)
int64_t hone_deadline_ns(const hone_supervisor *supervisor, double estimate_ns, double runs);

// Sends a request that has no answer. Failures show at the next exchange.
void hone_supervisor_tell(hone_supervisor *supervisor, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Sends a request and reads lines until `wanted` or "refused". Other lines go to each (may be NULL: then they are garbage); it answers
// false for garbage. Every line renews the deadline. A worker that did not answer is no more when this returns.
typedef bool (*hone_line_each)(void *user, const hone_wire_fields *fields);
hone_status hone_supervisor_ask(hone_supervisor *supervisor, int64_t limit_ns, const char *wanted, hone_line_each each, void *user,
                                hone_ending *ending, hone_wire_fields *reply, const char *format, ...) __attribute__((format(printf, 8, 9)));

#endif
