// SPDX-License-Identifier: Apache-2.0
// The tuning database: SQLite (fenced to store.c and its private helpers), or several in order: own over team over bundled. A handle belongs to
// the process and thread that opened it. Rows are immutable and content-addressed: put twice is put once.
#ifndef HONE_DB_STORE_H
#define HONE_DB_STORE_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"
#include "db/record.h"

typedef struct hone_store hone_store;

typedef enum hone_store_access { HONE_STORE_READ, HONE_STORE_WRITE, HONE_STORE_CREATE } hone_store_access;

// Opens one file. CREATE makes it when missing; WRITE migrates an older schema forward; a newer one opens
// for READ only if its readable part is compatible, otherwise HONE_DAMAGED names both versions. A text dump
// (plain or .zst) opens for READ as an in-memory store. A network file system is refused for writing.
// postgresql://... opens a database in PostgreSQL: a copy of all its rows is fetched first (postgres_priv.h).
hone_status hone_store_open(const char *path, hone_store_access access, hone_store **store);
// Another handle for reading on what store has open, for another thread.
hone_status hone_store_open_again(const hone_store *store, hone_store **reader);
hone_status hone_store_keep_journal(hone_store *store);       // for one that writes all the time: DB-journal keeps up to 64 MiB of the disk
bool hone_store_is_shared(const hone_store *store);    // in PostgreSQL
// Between transactions: says whether others have written since the last call. What lies in PostgreSQL is seen only up to here, or the begin of a put.
hone_status hone_store_follow(hone_store *store, bool *changed);
// Puts `under` below store: queries ask store first, then under. Takes ownership of under.
void hone_store_layer(hone_store *store, hone_store *under);
void hone_store_close(hone_store *store);              // NULL is legal
void hone_store_remove(const char *path);              // a database that nobody has open, and what SQLite left beside it
const char *hone_store_path(const hone_store *store);  // borrowed
const char *hone_store_journal(const hone_store *store);   // "truncate", "wal", "memory": what is in force
const char *hone_store_journal_reason(const hone_store *store);   // one sentence naming SQLite's version
int hone_store_schema_version(const hone_store *store);
hone_store *hone_store_under(const hone_store *store);     // borrowed, NULL none
// All that is read between the two is one state of the files, and quicker. Writers wait meanwhile: keep it short.
hone_status hone_store_begin_read(hone_store *store);
void hone_store_end_read(hone_store *store);

// Each put is one durable transaction; ids are returned (id may be NULL). A run with a negative sequence gets its writer's next.
// HONE_USAGE for what may not be stored: an ok without a verified time, a failure with one, a run that is not there. HONE_AGAIN when the file is locked for too long or the disk is full.
// Puts between begin_group and end_group are one durable transaction: all of them, or, when one failed, none. A commit costs some
// syncs of the disk (milliseconds) whatever it holds. Keep it short: other writers wait.
hone_status hone_store_begin_group(hone_store *store);
hone_status hone_store_end_group(hone_store *store);   // the first failure of the group, or the commit's
hone_status hone_store_put_run(hone_store *store, const hone_run *run, hone_id *id);
hone_status hone_store_put_measurement(hone_store *store, const hone_measurement *row, hone_id *id);
hone_status hone_store_put_coverage(hone_store *store, const hone_coverage *row);
hone_status hone_store_put_recheck(hone_store *store, const hone_recheck *row);
// Work and traffic of a problem, for reports; asked again with other numbers, the larger ones stay.
hone_status hone_store_put_problem(hone_store *store, const char *problem, int64_t flops, int64_t bytes);
hone_status hone_store_put_artifact(hone_store *store, const char *key, const char *kind, const void *data, size_t size_bytes);
// Registers a network: its problems, how often each is needed.
hone_status hone_store_put_network(hone_store *store, const hone_id *digest, const char *name, const char *const *problems,
                                   const int64_t *times, size_t count);
hone_status hone_store_put_plan(hone_store *store, const hone_id *digest, const hone_id *network, const char *device,
                                const hone_id *step_evidence, size_t count);

// What was tried: true when a coverage row at or above `effort` exists for exactly this source, version and depends.
hone_status hone_store_find_coverage(hone_store *store, const hone_coverage *asked, bool *covered);

// The devices and toolchains that have measurements, sorted.
hone_status hone_store_each_device(hone_store *store, hone_status (*each)(void *user, const char *spelling, int64_t measurements), void *user);
// Resolves "h200", "cuda:h200" or a full spelling to the one device of the store whose spelling holds the word, case-insensitively.
// HONE_USAGE lists the candidates when several match; HONE_MISS when none does.
hone_status hone_store_find_device(hone_store *store, const char *word, char *spelling, size_t capacity);
// Newest toolchain recorded for a device. HONE_MISS when there is none.
hone_status hone_store_find_toolchain(hone_store *store, const char *device, char *spelling, size_t capacity);

typedef struct hone_question {
    const char *device;            // spelling
    const char *toolchain;         // spelling; only what a record depends on is compared
    const char *problem;
    const char *mode;              // "" = the default order of modes
    bool allow_stale;              // other toolchain
    bool allow_approximate;        // other model of the same architecture
} hone_question;

// Ranks all tactics with verdict ok for a problem: pure function of all evidence (law 11): fresh before stale before approximate, in each
// the fastest first, but within 0.5% of the fastest the smaller workspace, then the lexically smaller tactic (db/rank.c, docs/schema.md). *count 0 when there is none (no error).
// A tactic with a later `wrong`, `crash`, `unstable` or `timeout` verdict under the same depends is left out.
// Caller frees *ranked with hone_free; its strings live until the next query or close.
hone_status hone_store_rank(hone_store *store, const hone_question *question, hone_ranked **ranked, size_t *count);
// Verdict rows that are not ok, for `why`. Called back in tactic order.
hone_status hone_store_each_failure(hone_store *store, const hone_question *question,
                                    hone_status (*each)(void *user, const char *tactic, hone_verdict verdict, const char *note), void *user);
// Known-bad tactics under this device and toolchain: consulted before launching.
hone_status hone_store_find_bad(hone_store *store, const hone_question *question, const char *tactic, hone_verdict *verdict, bool *found);
// True when anything was measured in this mode on this device.
hone_status hone_store_find_mode(hone_store *store, const char *device, const char *mode, bool *found);
hone_status hone_store_find_artifact(hone_store *store, const char *key, void **data, size_t *size_bytes);   // caller frees; *data NULL when absent
// All problems of the store for a device (for replay and reports), sorted.
hone_status hone_store_each_problem(hone_store *store, const char *device, hone_status (*each)(void *user, const char *problem), void *user);
// All measurements of a problem on a device, with samples, in id order.
hone_status hone_store_each_measurement(hone_store *store, const char *device, const char *problem,
                                        hone_status (*each)(void *user, const hone_id *id, const hone_measurement *row), void *user);

// The family of a record: what explains why its time moves with others' when a library, driver or hone changes. Source and kernel, the
// problem's first op, and the type of its first operand (or what `math` says): "cudnn.conv conv f16".
enum { HONE_FAMILY_TEXT = 512 };
void hone_family_print(const char *problem, const char *tactic, char family[HONE_FAMILY_TEXT]);
void hone_family_type(const char *problem, char type[16]);         // its last word, "" when the problem names no type
// The rechecks in force on a device (db/recheck_priv.h says which are), by family and versions, the latest of equal ones last. Strings live during the call.
hone_status hone_store_each_recheck(hone_store *store, const char *device, hone_status (*each)(void *user, const hone_recheck *row, const char *writer),
                                    void *user);

typedef struct hone_record {       // what is known of one tactic on one problem before and after a change of versions
    const char *problem, *tactic, *family;
    const char *depends;           // the versions before, the newest there are; "" when it does not rest on others
    double before_ns, now_ns;      // times under those, and under the toolchain asked for; 0 none
    double before_noise, now_noise;    // deviation of each, as a part of it: a quarter of its 95% interval
    bool has_failed;               // under the toolchain asked for
} hone_record;
// All tactics of a device's problems that have a time in the mode, those of one problem together. Strings live during the call.
hone_status hone_store_each_record(hone_store *store, const char *device, const char *toolchain, const char *mode,
                                   hone_status (*each)(void *user, const hone_record *record), void *user);
hone_status hone_store_each_coverage(hone_store *store, const char *device, hone_status (*each)(void *user, const hone_coverage *row), void *user);

typedef struct hone_claim {        // what another writer says of a tactic, under the versions asked for
    const char *problem, *tactic, *writer;
    double time_ns;
    double besides_ns;             // the best of the problem's other tactics: as fast as they were here, else as anybody says; 0 none
    int64_t writers;               // who say something of the tactic
    bool is_checked;               // the writer here has measured it too
    double own_ns;                 // then; 0 it failed here
} hone_claim;
// Of all that counts or would if it were confirmed (suspended writers' rows do not), by problem and tactic. `own`: the writer here. What was
// put there by hand ("local") is nobody's claim. Strings live during the call.
hone_status hone_store_each_claim(hone_store *store, const char *device, const char *toolchain, const char *mode, const char *own,
                                  hone_status (*each)(void *user, const hone_claim *claim), void *user);

// What sweeps are planned by (usage.c). Layers repeat what they share, so a caller takes the largest of equal rows: needs of one network
// and problem, histories of one problem and source. Strings live during the call.
typedef hone_status (*hone_need_each)(void *user, const char *network, const char *problem, int64_t times);     // network: its digest, hex
hone_status hone_store_each_need(hone_store *store, hone_need_each each, void *user);
typedef struct hone_history {      // of a problem on a device: what one source tried, or, with source "", what one run timed
    const char *problem, *effort, *source;
    int64_t tried, samples;
    double medians_ns, samples_ns; // sum of the timed tactics' medians; of all samples
} hone_history;
typedef hone_status (*hone_history_each)(void *user, const hone_history *history);
hone_status hone_store_each_history(hone_store *store, const char *device, const char *mode, hone_history_each each, void *user);
// HONE_USAGE when a file here could only be read: the place is on a network file system (place.c).
hone_status hone_place_check(const char *path);

// The digest of the evidence that a build can depend on (measurements, calibrations, artifacts, rulings) in all layers: independent of
// file, insertion order and row numbers. Registering networks, plans and coverage does not change it.
hone_status hone_store_snapshot(hone_store *store, hone_id *id);
// The sorted, stable text dump (docs/schema.md). `only_best` keeps what builds need: for each problem the best `keep` tactics
// of each source with their samples, their artifacts, coverage and all failure verdicts.
hone_status hone_store_dump(hone_store *store, int keep, hone_status (*write)(void *user, const char *data, size_t size), void *user);
typedef struct hone_stale {        // what one source measured, resting on the same versions
    const char *source, *depends;
    const char *changes;           // "cublaslt 13.1.0, now 13.2.0; ...", "" when all still holds
    int64_t measurements, problems;    // layer by layer: what two layers both hold is counted in both
} hone_stale;

// All that was measured on a device, by source and dependencies, and what of these is another under a toolchain.
hone_status hone_store_each_stale(hone_store *store, const char *device, const char *toolchain,
                                  hone_status (*each)(void *user, const hone_stale *group), void *user);

typedef struct hone_export {
    const char *architecture;      // "sm_90"; NULL any, as below
    const char *op;                // the first op of a problem
    const char *network;           // by the name it was registered with: its problems
    bool vouch;                    // every run's writer is "local", whose word counts wherever it is loaded: such rows, too
    bool strip_private;            // run options, notes, network names, rulings and plans are left out: such rows get ids of their own
} hone_export;

// What the question asks for, as a store in memory, to dump or merge from; without batches. HONE_MISS when the network is not known.
hone_status hone_store_export(hone_store *store, const hone_export *wanted, hone_store **made);
// Adds a dump, plain or compressed by zstd; HONE_DAMAGED leaves the store as it was.
hone_status hone_store_load(hone_store *store, const char *dump, size_t size_bytes, int64_t *added);
hone_status hone_store_merge(hone_store *store, hone_store *from, int64_t *added);
// Integrity of the file, of every id, of every reference. HONE_DAMAGED with the first fault; report gets a line for each.
hone_status hone_store_check(hone_store *store, hone_text *report);
typedef struct hone_store_counts { int64_t devices, toolchains, problems, tactics, runs, measurements, samples, coverage, networks, plans, artifacts, bytes; } hone_store_counts;
hone_status hone_store_count(hone_store *store, hone_store_counts *counts);

// Which databases a command reads: those that are named and nothing else, the upper first (`bundled` names the bundled one); when none
// is, the user's own ($HONE_DB or the data folder), if present, over the bundled one, if found. `access` is to the first, the others are
// only read; the user's own is made when it is to be written.
enum { HONE_LAYERS_MAX = 16 };
typedef struct hone_layers {
    const char *paths[HONE_LAYERS_MAX];      // borrowed
    int count;
    bool unchecked;                          // to be read now and looked through beside that, by hone_store_look_through
} hone_layers;
hone_status hone_store_open_layers(const hone_layers *layers, hone_store_access access, hone_store **store);
// The look at whole files that was put off: HONE_DAMAGED, and what was read of the store is worth nothing. It uses connections of its own, so that
// another thread may do it while this one asks; not before opening and not after closing.
hone_status hone_store_look_through(const hone_store *store);

#endif
