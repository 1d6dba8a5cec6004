// SPDX-License-Identifier: Apache-2.0
// A sweep: what a database lacks for one device, the greatest gain first, cut into shards that any scheduler may run in any order and
// as often as it likes. The list is immutable text (docs/sweep.md); the digest of its lines is the sweep's id. Beside it, in the
// sweep's folder, each shard has a database and a lock of its own.
#ifndef HONE_TUNER_SWEEP_H
#define HONE_TUNER_SWEEP_H

#include "db/store.h"
#include "tuner/tune.h"

#define HONE_SHARDS_MAX 1000           // the largest index of an array in Slurm, unless its administrator said otherwise
#define HONE_SWEEP_PATH 4096

typedef struct hone_sweep_problem {
    char *spelling;                    // owned
    double seconds;                    // that tuning it is expected to take
    double gain_ns;                    // what the networks are expected to win by it
    double kin_gain_ns;                // most of any that differs from it in first extents alone
    int shard;                         // from 1
} hone_sweep_problem;

typedef struct hone_sweep_need {
    char *problem;                     // owned
    int64_t times;
} hone_sweep_need;

typedef struct hone_sweep_network {    // one network at one binding of its shapes, in one set of precisions
    hone_id digest;
    char *name, *precisions, *shapes;  // owned
    hone_sweep_need *needs;            // owned; covered ones too
    size_t n, capacity;
} hone_sweep_network;

typedef struct hone_sweep {
    char device[256];                  // spelling
    char toolchain[512];               // the newest known for it when the sweep was planned; "" none
    char sources[256];                 // "" all
    hone_effort effort;
    hone_sweep_network *networks;      // owned
    size_t n_networks, networks_capacity;
    hone_sweep_problem *problems;      // owned; in the order of shards
    size_t n, capacity;
    int shards;
    hone_id id;                        // known once printed or parsed
} hone_sweep;

// ---- the list (sweep.c)

void hone_sweep_init(hone_sweep *sweep);           // nothing in it, effort quick, all sources
hone_tune_scope hone_sweep_scope(const hone_sweep *sweep, const char *toolchain);     // borrows both
void hone_sweep_clear(hone_sweep *sweep);
hone_status hone_sweep_add_network(hone_sweep *sweep, const hone_id *digest, const char *name, const char *precisions, const char *shapes);
hone_status hone_sweep_add_need(hone_sweep *sweep, const char *problem, int64_t times);        // of the network added last
hone_status hone_sweep_add_problem(hone_sweep *sweep, const char *spelling);
void hone_sweep_join(hone_sweep *sweep);           // each problem once
// Orders by gain, those that differ in first extents alone beside each other, and cuts: shards > 0 of them, or as many as take at least least_seconds each (the last of a short sweep alone takes less).
void hone_sweep_cut(hone_sweep *sweep, double least_seconds, int shards);
double hone_sweep_seconds(const hone_sweep *sweep, int shard);     // 0: of all
hone_status hone_sweep_print(hone_sweep *sweep, hone_text *text);
hone_status hone_sweep_parse(const char *text, hone_sweep *sweep); // HONE_DAMAGED names the line; sweep is initialised here, clear it in any case
hone_status hone_sweep_read(const char *folder, hone_sweep *sweep);

// ---- numbers (sweep_price.c): seconds and gain of each problem, from what the store knows and estimates

hone_status hone_sweep_price(hone_sweep *sweep, hone_store *store);

// ---- the folder (sweep_state.c)

typedef enum hone_sweep_file { HONE_SWEEP_LIST, HONE_SWEEP_DATABASE, HONE_SWEEP_DUMP, HONE_SWEEP_LOCK } hone_sweep_file;
hone_status hone_sweep_path(const char *folder, hone_sweep_file file, int shard, char path[HONE_SWEEP_PATH]);

typedef struct hone_shard_state {
    int64_t problems, covered;
    double seconds, seconds_left;      // expected
    bool held;                         // a process runs it
    char trouble[512];                 // why its database could not be read; "" fine
} hone_shard_state;

// How far one shard is, by what is known before the sweep (store, may be NULL) and by its own database or dump. covered has a place for
// each problem of the sweep; those of this shard are written.
hone_status hone_sweep_look(const hone_sweep *sweep, const char *folder, int shard, hone_store *store, bool *covered, hone_shard_state *state);

#endif
