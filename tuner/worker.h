// SPDX-License-Identifier: Apache-2.0
// The worker: a process of its own that opens the device, verifies and times tactics, and says what it found over a pipe. It never
// opens the database. Whatever a tactic does to it, the tuner lives and starts another.
//
// Requests, each with a number first (docs/tuning.md has the answers):
//   hello | ahead N PROBLEM | begin N PROBLEM | offer | try SAMPLES TACTIC | more SAMPLES TACTIC | warm SAMPLES TACTIC | drop TACTIC | gap TACTIC | end | quit
#ifndef HONE_TUNER_WORKER_H
#define HONE_TUNER_WORKER_H

#include "tuner/choose.h"

typedef struct hone_worker_options {
    const char *device;                // "cpu", "cuda:0", "replay:FILE"
    const char *sources;               // words, "" for all
    const char *ranking;               // a file, "none"; "" or NULL: the one that came with the program
    hone_effort effort;
    uint64_t seed;
    int64_t workspace_limit_bytes;     // -1: none
    const char *timer;                 // "": the best there is
    bool warm;                         // time with a warm cache
    bool busy;                         // a busy GPU is fine
} hone_worker_options;

// Serves requests from fd `in` until it closes or says quit. HONE_OK then; a failure to open the device is told as an answer and returned.
hone_status hone_worker_serve(const hone_worker_options *options, int in, int out);

#endif
