// SPDX-License-Identifier: Apache-2.0
// The ranking as pure functions of evidence in memory; rank.c says the rule.
#ifndef HONE_DB_RANK_PRIV_H
#define HONE_DB_RANK_PRIV_H

#include "base/arena.h"
#include "db/store.h"

#define AGREE_RATIO 1.10           // times of two writers that are no further apart agree

// One measurement as it is ranked. Text and samples are borrowed.
typedef struct hone_evidence {
    hone_id id;
    hone_measurement row;
    int64_t start_unix_ms;
    int level;             // 0 fresh, 1 stale, 2 approximate
    const char *writer;    // of its run; NULL like "local"
    bool remote;           // by a writer whose word needs another's: neither measured here nor vouched for by one who may
    bool promoted;         // a ruling vouches for it
    double rescaled;       // recheck.c: 0, or what its times were multiplied by to stand for the versions asked for
    bool last_resort;      // recheck.c: it stands for them only where nothing else does; level 1
    double bound_ns;       // no device of this kind can be faster; 0 unknown
    double time_ns;        // agree.c: the median, freed of what the run's chip adds or takes
    bool doubted;          // agree.c: does not count until another writer or a ruling confirms it
} hone_evidence;

typedef struct hone_evidence_list {
    hone_evidence *items;  // owned
    size_t count, capacity;
} hone_evidence_list;

// Ranks in mode ("" = the best of the preferred order). Sorts the evidence and drops duplicates. Caller frees *ranked with hone_free.
hone_status hone_rank(hone_evidence_list *evidence, const char *mode, hone_ranked **ranked, size_t *count);

// The 95% interval of the median of `count` ordered samples, from the binomial distribution of how many lie below it
// (Conover, Practical Nonparametric Statistics, 3.2): indices of the two samples. Below 6 samples: the extremes.
void hone_median_interval(size_t count, size_t *low, size_t *high);

// All measurements of a problem on a device, this store's and those under it, checked against their ids, levels 0; one that
// several layers hold comes several times. Strings live in the arena.
hone_status hone_evidence_collect(hone_store *store, const char *device, const char *problem, hone_arena *arena, hone_evidence_list *list);

// agree.c. Sets time_ns and doubted of all evidence for a ranking in mode.
hone_status hone_evidence_agree(hone_evidence_list *list, const char *mode);
// True when a failure's word does not stand: more writers saw the tactic work at the same place, and nobody who needs no second saw it fail.
bool hone_evidence_is_outvoted(const hone_evidence_list *list, const hone_evidence *bad);
bool hone_evidence_is_bad(hone_verdict verdict);                 // wrong, crash, unstable, timeout
bool hone_evidence_same_place(const hone_evidence *a, const hone_evidence *b);   // tactic, device, depends
// The median of doubles, which it sorts.
double hone_median(double *values, size_t count);

// The verdict that speaks against a tactic under this toolchain: the newest one that no later ok has lifted. NULL none.
const hone_evidence *hone_evidence_find_bad(const hone_evidence_list *list, const char *toolchain, const char *tactic);

#endif
