// SPDX-License-Identifier: Apache-2.0
// Which tactic is best: a pure function of all evidence, whatever the order in which it came.
//
//  1. A tactic's time in a mode is the median of its measurements' medians, and, where several writers measured it, the median over
//     writers of those, without remote ones that are more than 10% off what the owner measured; its interval is that of the median of all their samples. What several machines said is made comparable, and
//     what nobody confirms is left out, before (agree.c).
//  2. Fresh evidence (same device, all it depends on unchanged) stands before stale (other toolchain), stale before
//     approximate (other model of the architecture); of one tactic only the freshest kind counts. What a recheck keeps or rescales
//     for these versions (recheck.c) stands with the fresh, for tactics that were not measured under them.
//  3. Within a kind, all within 0.5% of the fastest are one group, in which the smaller workspace and then the lexically smaller
//     spelling is first; behind it the others by time. One threshold from one point keeps the order transitive,
//     which "their intervals overlap" is not.
//  4. A tactic with a wrong, crash, unstable or timeout verdict no later ok has lifted is left out, unless more writers saw it work, or the owner did
//     and only one other saw it fail.
#include "db/rank_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/identity_priv.h"

#define TIE_RATIO 1.005

enum { EXACT_INTERVAL_BELOW = 200 };

void hone_median_interval(size_t count, size_t *low, size_t *high)
{
    size_t k = 0;
    if (count >= EXACT_INTERVAL_BELOW) {
        double below = floor((double)count / 2 - 0.98 * sqrt((double)count));    // the normal approximation
        k = (size_t)below;
    } else {
        double term = ldexp(1, -(int)count), tail = term;      // P(exactly j below), P(at most j below)
        for (size_t j = 1; count && tail <= 0.025; j++) {
            k = j;
            term *= (double)(count - j + 1) / (double)j;
            tail += term;
        }
        k = k ? k - 1 : 0;
    }
    *low = k;
    *high = count ? count - 1 - k : 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Most tactics have some twenty samples, for which insertion is several times quicker than qsort.
static void sort_samples(double *samples, size_t count)
{
    if (count > 64) {
        qsort(samples, count, sizeof *samples, compare_doubles);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        double value = samples[i];
        size_t at = i;
        for (; at && samples[at - 1] > value; at--) samples[at] = samples[at - 1];
        samples[at] = value;
    }
}

// ---- what speaks against a tactic

bool hone_evidence_is_bad(hone_verdict verdict)
{
    return verdict == HONE_VERDICT_WRONG || verdict == HONE_VERDICT_CRASH || verdict == HONE_VERDICT_UNSTABLE || verdict == HONE_VERDICT_TIMEOUT;
}

bool hone_evidence_same_place(const hone_evidence *a, const hone_evidence *b)
{
    return !strcmp(a->row.tactic, b->row.tactic) && !strcmp(a->row.device, b->row.device) && !strcmp(a->row.depends, b->row.depends);
}

static bool is_lifted(const hone_evidence_list *list, const hone_evidence *bad)
{
    for (size_t i = 0; i < list->count; i++) {
        const hone_evidence *at = &list->items[i];
        if (at->row.verdict == HONE_VERDICT_OK && at->start_unix_ms > bad->start_unix_ms && hone_evidence_same_place(at, bad)) return true;
    }
    return false;
}

static bool is_graver(const hone_evidence *a, const hone_evidence *b)
{
    if (hone_evidence_is_bad(a->row.verdict) != hone_evidence_is_bad(b->row.verdict)) return hone_evidence_is_bad(a->row.verdict);
    if (a->start_unix_ms != b->start_unix_ms) return a->start_unix_ms > b->start_unix_ms;
    return a->row.verdict > b->row.verdict;
}

const hone_evidence *hone_evidence_find_bad(const hone_evidence_list *list, const char *toolchain, const char *tactic)
{
    const hone_evidence *found = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const hone_evidence *at = &list->items[i];
        if (at->row.verdict == HONE_VERDICT_OK || strcmp(at->row.tactic, tactic)) continue;
        if (!hone_toolchain_covers(toolchain, at->row.depends) || is_lifted(list, at) || hone_evidence_is_outvoted(list, at)) continue;
        if (!found || is_graver(at, found)) found = at;
    }
    return found;
}

// ---- one tactic

// Where the question asks, and under the versions that it asks for.
static bool is_measured(const hone_evidence *at)
{
    return at->level == 0 && at->rescaled == 0;
}

// An ok counts unless the same device and dependencies saw it fail badly in the same run or later; what failed where the
// question asks does not come back as stale evidence, or by a recheck.
static bool counts(const hone_evidence_list *list, size_t from, size_t to, const hone_evidence *ok)
{
    for (size_t i = from; i < to; i++) {
        const hone_evidence *at = &list->items[i];
        if (!hone_evidence_is_bad(at->row.verdict)) continue;
        bool against = (hone_evidence_same_place(at, ok) && at->start_unix_ms >= ok->start_unix_ms)
            || (is_measured(at) && !is_measured(ok) && !is_lifted(list, at));
        if (against && !hone_evidence_is_outvoted(list, at)) return false;
    }
    return true;
}

static int compare_medians(const void *a, const void *b)
{
    const hone_evidence *x = *(const hone_evidence *const *)a, *y = *(const hone_evidence *const *)b;
    int order = compare_doubles(&x->time_ns, &y->time_ns);
    return order ? order : memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

// Without samples the interval is that of the deviation.
static void interval_without_samples(const hone_evidence *at, hone_ranked *line)
{
    line->low_ns = line->median_ns - 2 * at->row.mad_ns;
    line->high_ns = line->median_ns + 2 * at->row.mad_ns;
}

static hone_status find_interval(hone_evidence *const *rows, size_t count, hone_ranked *line)
{
    double small[512], *all = small;
    size_t total = 0, low, high;
    for (size_t i = 0; i < count; i++) total += rows[i]->row.sample_count;
    interval_without_samples(rows[(count - 1) / 2], line);
    if (total > sizeof small / sizeof *small && !(all = hone_alloc(total * sizeof *all))) return HONE_NO_MEMORY;
    total = 0;
    for (size_t i = 0; i < count; i++) {
        double scale = rows[i]->time_ns / rows[i]->row.median_ns;
        for (size_t k = 0; k < rows[i]->row.sample_count; k++) all[total++] = rows[i]->row.samples_ns[k] * scale;
    }
    if (total) {
        sort_samples(all, total);
        hone_median_interval(total, &low, &high);
        line->low_ns = all[low];
        line->high_ns = all[high];
    }
    if (all != small) hone_free(all);
    line->low_ns = fmin(line->low_ns, line->median_ns);
    line->high_ns = fmax(line->high_ns, line->median_ns);
    return HONE_OK;
}

static int compare_writers(const void *a, const void *b)
{
    const hone_evidence *x = *(const hone_evidence *const *)a, *y = *(const hone_evidence *const *)b;
    int order = strcmp(x->writer ? x->writer : "", y->writer ? y->writer : "");
    return order ? order : compare_medians(a, b);
}

static double middle_of(hone_evidence *const *rows, size_t count)
{
    return (rows[(count - 1) / 2]->time_ns + rows[count / 2]->time_ns) / 2;
}

typedef struct voice {             // of a writer: the median of its measurements
    double ns;
    bool remote;
} voice;

// What its owner measured stands in a database: a remote voice more than 10% off it is another's chip, or a lie. Leaves the times of those that count.
static size_t heed(const voice *voices, size_t count, double *times)
{
    size_t own = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!voices[i].remote) times[own++] = voices[i].ns;
    const double known = own ? hone_median(times, own) : 0;
    for (size_t i = 0; i < count; i++)
        if (!own || !voices[i].remote || (voices[i].ns <= known * AGREE_RATIO && voices[i].ns >= known / AGREE_RATIO)) times[kept++] = voices[i].ns;
    return kept;
}

// Each writer has one voice, however many rows it sent: the median over writers of their medians. Leaves the rows sorted by time.
static hone_status settle_time(hone_evidence **rows, size_t count, double *median_ns)
{
    size_t n = 0;
    hone_status status = HONE_NO_MEMORY;
    voice *voices = hone_alloc(count * sizeof *voices);
    double *times = hone_alloc(count * sizeof *times);
    if (!voices || !times) goto out;
    qsort(rows, count, sizeof *rows, compare_writers);
    for (size_t from = 0, to; from < count; from = to) {
        const char *writer = rows[from]->writer ? rows[from]->writer : "";
        for (to = from; to < count && !strcmp(rows[to]->writer ? rows[to]->writer : "", writer); to++) { }
        voices[n++] = (voice){middle_of(rows + from, to - from), rows[from]->remote};
    }
    n = heed(voices, n, times);
    *median_ns = hone_median(times, n);
    qsort(rows, count, sizeof *rows, compare_medians);
    status = HONE_OK;
out:
    hone_free(times);
    hone_free(voices);
    return status;
}

// The measurement that stands for the time: the lower of the two middle ones, or, among several writers, the last that is not slower.
static const hone_evidence *find_witness(hone_evidence *const *rows, size_t count, double median_ns)
{
    const hone_evidence *middle = rows[(count - 1) / 2];
    if (middle_of(rows, count) == median_ns) return middle;
    middle = rows[0];
    for (size_t i = 1; i < count && rows[i]->time_ns <= median_ns; i++) middle = rows[i];
    return middle;
}

static hone_status summarise(hone_evidence **rows, size_t count, hone_ranked *line)
{
    double median_ns;
    hone_status status = settle_time(rows, count, &median_ns);
    if (status != HONE_OK) return status;
    const hone_evidence *middle = find_witness(rows, count, median_ns);
    *line = (hone_ranked){.tactic = middle->row.tactic, .median_ns = median_ns, .measurements = (int64_t)count,
                          .staleness = middle->level, .rescaled = middle->rescaled, .evidence = middle->id, .artifact = middle->row.artifact,
                          .depends = middle->row.depends, .mode = middle->row.mode};
    for (size_t i = 0; i < count; i++)
        if (rows[i]->row.workspace_bytes > line->workspace_bytes) line->workspace_bytes = rows[i]->row.workspace_bytes;
    return find_interval(rows, count, line);
}

// ---- modes

// The order in which modes are preferred when the question names none; a time taken inside one plan speaks for that plan first.
static int mode_place(const char *mode)
{
    static const char *const order[] = {"single cold", "graph cold", "single warm", "graph warm"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(mode, order[i])) return i;
    return strncmp(mode, "plan ", 5) ? 4 : 5;
}

static int compare_modes(const hone_evidence *a, const hone_evidence *b)
{
    if (a->level != b->level) return a->level - b->level;
    int place = mode_place(a->row.mode) - mode_place(b->row.mode);
    return place ? place : strcmp(a->row.mode, b->row.mode);
}

static int compare_evidence(const void *a, const void *b)
{
    const hone_evidence *x = a, *y = b;
    int order = strcmp(x->row.tactic, y->row.tactic);
    if (!order) order = x->level - y->level;
    if (!order) order = (x->rescaled > 0) - (y->rescaled > 0);
    return order ? order : memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

// Sorts by tactic, freshest kind first, and keeps each measurement once, whichever layers hold it.
static void sort_evidence(hone_evidence_list *list)
{
    size_t kept = 0;
    qsort(list->items, list->count, sizeof *list->items, compare_evidence);
    for (size_t i = 0; i < list->count; i++)
        if (!kept || !hone_id_equal(&list->items[kept - 1].id, &list->items[i].id)) list->items[kept++] = list->items[i];
    list->count = kept;
}

static size_t tactic_end(const hone_evidence_list *list, size_t from)
{
    size_t to = from;
    while (to < list->count && !strcmp(list->items[to].row.tactic, list->items[from].row.tactic)) to++;
    return to;
}

static const char *choose_mode(const hone_evidence_list *list)
{
    const hone_evidence *best = NULL;
    for (size_t from = 0, to; from < list->count; from = to) {
        to = tactic_end(list, from);
        for (size_t i = from; i < to; i++) {
            const hone_evidence *at = &list->items[i];
            if (at->row.verdict != HONE_VERDICT_OK || (best && compare_modes(at, best) >= 0)) continue;
            if (counts(list, from, to, at)) best = at;
        }
    }
    return best ? best->row.mode : "";
}

// ---- the order

static int compare_group(const hone_ranked *x, const hone_ranked *y)
{
    if (x->workspace_bytes != y->workspace_bytes) return x->workspace_bytes < y->workspace_bytes ? -1 : 1;
    return strcmp(x->tactic, y->tactic);
}

static int compare_times(const void *a, const void *b)
{
    const hone_ranked *x = a, *y = b;
    if (x->staleness != y->staleness) return x->staleness - y->staleness;
    int order = compare_doubles(&x->median_ns, &y->median_ns);
    return order ? order : compare_group(x, y);
}

static int compare_tied(const void *a, const void *b)
{
    return compare_group(a, b);
}

static void order_lines(hone_ranked *lines, size_t count)
{
    if (count) qsort(lines, count, sizeof *lines, compare_times);
    for (size_t from = 0, to; from < count; from = to) {        // each kind of freshness by itself
        size_t tied = from;
        double limit_ns = lines[from].median_ns * TIE_RATIO;
        for (to = from; to < count && lines[to].staleness == lines[from].staleness; to++) tied += lines[to].median_ns <= limit_ns;
        qsort(lines + from, tied - from, sizeof *lines, compare_tied);
        for (size_t i = 1; from == 0 && i < to; i++)            // the first of all is what the others may be tied with
            lines[i].tied = i < tied || (lines[i].low_ns <= lines[0].high_ns && lines[0].low_ns <= lines[i].high_ns);
    }
}

// The ok rows of one tactic in the mode, of its freshest kind: they stand together because the list is sorted.
static size_t gather(hone_evidence_list *list, size_t from, size_t to, const char *mode, hone_evidence **rows)
{
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        hone_evidence *at = &list->items[i];
        if (at->row.verdict != HONE_VERDICT_OK || strcmp(at->row.mode, mode) || at->doubted || !counts(list, from, to, at)) continue;
        if (count && (rows[0]->level != at->level || is_measured(rows[0]) != is_measured(at))) break;
        rows[count++] = at;
    }
    return count;
}

hone_status hone_rank(hone_evidence_list *evidence, const char *mode, hone_ranked **ranked, size_t *count)
{
    hone_ranked *lines = NULL;
    hone_evidence **rows = NULL;
    hone_status status = HONE_OK;
    size_t made = 0;
    *ranked = NULL;
    *count = 0;
    if (!evidence->count) return HONE_OK;
    lines = hone_alloc(evidence->count * sizeof *lines);
    rows = hone_alloc(evidence->count * sizeof *rows);
    if (!lines || !rows) {
        status = HONE_NO_MEMORY;
        goto out;
    }
    sort_evidence(evidence);
    if (!*mode) mode = choose_mode(evidence);
    HONE_TRY(hone_evidence_agree(evidence, mode));
    for (size_t from = 0, to; from < evidence->count; from = to) {
        to = tactic_end(evidence, from);
        size_t found = gather(evidence, from, to, mode, rows);
        if (found) HONE_TRY(summarise(rows, found, &lines[made++]));
    }
    order_lines(lines, made);
    *count = made;
    *ranked = made ? lines : NULL;
    if (made) lines = NULL;
out:
    hone_free(lines);
    hone_free(rows);
    return status;
}
