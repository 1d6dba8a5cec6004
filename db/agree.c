// SPDX-License-Identifier: Apache-2.0
// What several machines say about one problem, made one. A single writer's evidence passes as it is.
//
//  1. Chips of one model differ by some percent. A run's offset is found from the tactics that it shares with other runs: log time =
//     tactic + run, by Tukey's median polish (Exploratory Data Analysis, 1977, chapter 11), which is robust and does not depend on the
//     order. The typical chip is what remains, the owner's where it is among them. With fewer than 3 shared tactics a run keeps its times, and where
//     it seems more than 1.3 times off, which no two chips are: lies have an offset, too.
//  2. What a writer says alone is doubted, and does not count, when it is faster than its device can be, or than any kernel is; a
//     remote writer's also when it beats the best that others know by more than 15%, or at all what the owner measured of the problem
//     himself: until another writer agrees within 10%, or a ruling promotes it. (The rows of "local" never came from elsewhere.)
//  3. A failure that one remote writer saw does not outweigh more writers who saw the tactic work.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/rank_priv.h"

#define TOO_GOOD_RATIO 1.15
#define CHIPS_RATIO 1.3
#define TOO_SHORT_NS 700.0         // the shortest of 11,833 kernels that CUPTI timed on an H200 took 896 ns

enum { SHARED_LEAST = 3, ROUNDS = 6 };

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double hone_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static bool same_writer(const hone_evidence *a, const hone_evidence *b)
{
    return !strcmp(a->writer ? a->writer : "", b->writer ? b->writer : "");
}

// ---- offsets of runs

typedef struct entry {             // a time in the table of tactics and runs
    hone_evidence *of;
    size_t tactic, run;            // small numbers
    double log_ns;
} entry;

typedef struct table {
    entry *entries;                // owned
    size_t count, tactics, runs;
    double *tactic_log, *run_log;  // owned: the two effects
    uint8_t *shared;               // owned, by tactic: more than one run has it
    double *room;                  // owned: as many as entries
} table;

static void clear_table(table *t)
{
    hone_free(t->entries);
    hone_free(t->tactic_log);
    hone_free(t->run_log);
    hone_free(t->shared);
    hone_free(t->room);
}

static int compare_runs(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = memcmp(&x->of->row.run, &y->of->row.run, sizeof x->of->row.run);
    return order ? order : strcmp(x->of->row.tactic, y->of->row.tactic);
}

static int compare_tactics(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = strcmp(x->of->row.tactic, y->of->row.tactic);
    return order ? order : memcmp(&x->of->row.run, &y->of->row.run, sizeof x->of->row.run);
}

static hone_status make_table(table *t)
{
    qsort(t->entries, t->count, sizeof *t->entries, compare_runs);
    for (size_t i = 0; i < t->count; i++) {
        t->runs += i && !hone_id_equal(&t->entries[i - 1].of->row.run, &t->entries[i].of->row.run);
        t->entries[i].run = t->runs;
    }
    qsort(t->entries, t->count, sizeof *t->entries, compare_tactics);
    for (size_t i = 0; i < t->count; i++) {
        t->tactics += i && strcmp(t->entries[i - 1].of->row.tactic, t->entries[i].of->row.tactic);
        t->entries[i].tactic = t->tactics;
    }
    t->runs++;
    t->tactics++;
    t->tactic_log = hone_calloc(t->tactics, sizeof *t->tactic_log);
    t->run_log = hone_calloc(t->runs, sizeof *t->run_log);
    t->shared = hone_calloc(t->tactics, 1);
    t->room = hone_alloc(t->count * sizeof *t->room);
    if (!t->tactic_log || !t->run_log || !t->shared || !t->room) return HONE_NO_MEMORY;
    for (size_t i = 1; i < t->count; i++)
        if (t->entries[i - 1].tactic == t->entries[i].tactic && t->entries[i - 1].run != t->entries[i].run) t->shared[t->entries[i].tactic] = 1;
    return HONE_OK;
}

// The entries stand by tactic.
static void fit_tactics(table *t)
{
    for (size_t from = 0, to; from < t->count; from = to) {
        size_t found = 0;
        for (to = from; to < t->count && t->entries[to].tactic == t->entries[from].tactic; to++)
            t->room[found++] = t->entries[to].log_ns - t->run_log[t->entries[to].run];
        t->tactic_log[t->entries[from].tactic] = hone_median(t->room, found);
    }
}

static void fit_run(table *t, size_t run)
{
    size_t found = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].run == run && t->shared[t->entries[i].tactic]) t->room[found++] = t->entries[i].log_ns - t->tactic_log[t->entries[i].tactic];
    if (found >= SHARED_LEAST) t->run_log[run] = hone_median(t->room, found);
}

static bool is_own(const table *t, size_t run)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].run == run && !t->entries[i].of->remote) return true;
    return false;
}

// The middle of the owner's runs, since his is the chip that matters; where he has none, of all.
static double typical_run(table *t)
{
    size_t own = 0;
    for (size_t run = 0; run < t->runs; run++)
        if (is_own(t, run)) t->room[own++] = t->run_log[run];
    if (own) return hone_median(t->room, own);
    memcpy(t->room, t->run_log, t->runs * sizeof *t->room);
    return hone_median(t->room, t->runs);
}

static void polish(table *t)
{
    for (int round = 0; round < ROUNDS; round++) {
        fit_tactics(t);
        for (size_t run = 0; run < t->runs; run++) fit_run(t, run);
    }
    const double typical = typical_run(t);
    for (size_t i = 0; i < t->count; i++) {
        const double offset = typical - t->run_log[t->entries[i].run];
        if (fabs(offset) <= log(CHIPS_RATIO)) t->entries[i].of->time_ns *= exp(offset);
    }
}

static bool several_writers(const table *t)
{
    for (size_t i = 1; i < t->count; i++)
        if (!same_writer(t->entries[0].of, t->entries[i].of)) return true;
    return false;
}

static hone_status remove_offsets(hone_evidence **rows, size_t count)
{
    table t = {.count = count, .entries = hone_alloc(count * sizeof *t.entries)};
    hone_status status = t.entries ? HONE_OK : HONE_NO_MEMORY;
    for (size_t i = 0; i < count && status == HONE_OK; i++) t.entries[i] = (entry){.of = rows[i], .log_ns = log(rows[i]->row.median_ns)};
    if (status == HONE_OK && several_writers(&t)) {
        status = make_table(&t);
        if (status == HONE_OK) polish(&t);
    }
    clear_table(&t);
    return status;
}

// ---- doubt

static bool is_confirmed(hone_evidence *const *rows, size_t count, const hone_evidence *asked)
{
    for (size_t i = 0; i < count; i++) {
        double ratio = rows[i]->time_ns / asked->time_ns;
        if (!same_writer(rows[i], asked) && !strcmp(rows[i]->row.tactic, asked->row.tactic) && ratio <= AGREE_RATIO && ratio >= 1 / AGREE_RATIO) return true;
    }
    return false;
}

// A launch gap is no kernel.
static bool is_impossible(const hone_evidence *at)
{
    bool kernel = strncmp(at->row.device, "cpu ", 4) && !strstr(at->row.mode, " gap");
    if (!at->writer || !strcmp(at->writer, "local") || at->promoted) return false;
    return at->row.median_ns < at->bound_ns || (kernel && at->row.median_ns < TOO_SHORT_NS);
}

// The two best times by different writers: what others know is the first, or, for its own writer, the second.
typedef struct best_two {
    const hone_evidence *first, *second;
} best_two;

static void offer(best_two *best, const hone_evidence *at)
{
    if (!best->first || at->time_ns < best->first->time_ns) {
        if (best->first && !same_writer(best->first, at)) best->second = best->first;
        best->first = at;
    } else if (!same_writer(best->first, at) && (!best->second || at->time_ns < best->second->time_ns)) {
        best->second = at;
    }
}

static double best_of_owner(hone_evidence *const *rows, size_t count)
{
    double best = 0;
    for (size_t i = 0; i < count; i++)
        if (!rows[i]->remote && (best == 0 || rows[i]->time_ns < best)) best = rows[i]->time_ns;
    return best;
}

static void doubt(hone_evidence **rows, size_t count)
{
    best_two best = {NULL, NULL};
    const double own = best_of_owner(rows, count);
    for (size_t i = 0; i < count; i++)
        if (!is_impossible(rows[i]) || is_confirmed(rows, count, rows[i])) offer(&best, rows[i]);
    for (size_t i = 0; i < count; i++) {
        hone_evidence *at = rows[i];
        const hone_evidence *others = best.first && same_writer(best.first, at) ? best.second : best.first;
        bool too_good = at->remote && (at->time_ns < own || (others && at->time_ns < others->time_ns / TOO_GOOD_RATIO));
        at->doubted = (too_good || is_impossible(at)) && !is_confirmed(rows, count, at);
    }
}

hone_status hone_evidence_agree(hone_evidence_list *list, const char *mode)
{
    hone_status status = HONE_OK;
    bool known = false;
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].time_ns = list->items[i].row.median_ns;
        list->items[i].doubted = false;
        known |= list->items[i].writer != NULL;
    }
    if (!known) return HONE_OK;
    hone_evidence **rows = hone_alloc(list->count * sizeof *rows);
    if (!rows) return HONE_NO_MEMORY;
    for (int level = 0; level < 3 && status == HONE_OK; level++) {
        size_t count = 0;
        for (size_t i = 0; i < list->count; i++) {
            hone_evidence *at = &list->items[i];
            if (at->level == level && at->row.verdict == HONE_VERDICT_OK && !strcmp(at->row.mode, mode)) rows[count++] = at;
        }
        if (count) status = remove_offsets(rows, count);
        if (status == HONE_OK) doubt(rows, count);
    }
    hone_free(rows);
    return status;
}

// ---- failures

static bool failed_too(const hone_evidence_list *list, const hone_evidence *ok)
{
    for (size_t i = 0; i < list->count; i++) {
        const hone_evidence *at = &list->items[i];
        if (hone_evidence_is_bad(at->row.verdict) && hone_evidence_same_place(at, ok) && same_writer(at, ok)) return true;
    }
    return false;
}

static bool is_first_of_writer(const hone_evidence_list *list, size_t index, bool bad)
{
    for (size_t i = 0; i < index; i++) {
        const hone_evidence *at = &list->items[i];
        bool same_kind = bad ? hone_evidence_is_bad(at->row.verdict) : at->row.verdict == HONE_VERDICT_OK;
        if (same_kind && hone_evidence_same_place(at, &list->items[index]) && same_writer(at, &list->items[index])) return false;
    }
    return true;
}

bool hone_evidence_is_outvoted(const hone_evidence_list *list, const hone_evidence *bad)
{
    int against = 0, in_favour = 0;
    if (!bad->remote) return false;
    for (size_t i = 0; i < list->count; i++) {
        const hone_evidence *at = &list->items[i];
        if (!hone_evidence_same_place(at, bad)) continue;
        bool failed = hone_evidence_is_bad(at->row.verdict);
        if (failed && !at->remote) return false;
        if (failed) against += is_first_of_writer(list, i, true);
        else if (at->row.verdict == HONE_VERDICT_OK && !failed_too(list, at)) in_favour += is_first_of_writer(list, i, false) * (at->remote ? 1 : 2);
    }
    return in_favour >= 2 && in_favour > against;
}
