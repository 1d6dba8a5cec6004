// SPDX-License-Identifier: Apache-2.0
#include "tuner/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define CANDIDATES_MAX 65536
#define ESTIMATE_MAX_NS 1e12

static const char *const effort_names[] = {"lookup", "estimate", "quick", "full", "exhaustive"};

const char *hone_effort_name(hone_effort effort)
{
    return effort_names[effort];
}

bool hone_effort_parse(const char *name, hone_effort *effort)
{
    for (int k = 0; k < (int)(sizeof effort_names / sizeof *effort_names); k++)
        if (!strcmp(name, effort_names[k])) return *effort = (hone_effort)k, true;
    return false;
}

// On GPUs, 8 of thousands reach 99% of the exhaustive best and 16 always at least 96% (cuBLAS's heuristics, docs/tuning.md). A CPU
// takes thousands of times longer to time one. A ranking that was trained without the network at hand finds the fastest of what `quick` once
// measured with fewer (docs/tuning.md, "What is tried first").
void hone_effort_limits(hone_effort effort, const char *kind, bool learned, size_t *points, size_t *others)
{
    typedef struct limits { size_t points, others; } limits;
    static const limits gpu[] = {{0, 0}, {0, 0}, {4, 6}, {32, 32}, {CANDIDATES_MAX, CANDIDATES_MAX}};
    static const limits gpu_learned[] = {{0, 0}, {0, 0}, {2, 4}, {12, 16}, {CANDIDATES_MAX, CANDIDATES_MAX}};
    static const size_t cpu[] = {0, 0, 4, 16, CANDIDATES_MAX};
    bool is_cpu = !strcmp(kind, "cpu");
    const limits *found = learned ? &gpu_learned[effort] : &gpu[effort];
    *points = found->points;
    *others = is_cpu ? cpu[effort] : found->others;
    if (!strcmp(kind, "replay") && effort >= HONE_EFFORT_QUICK) *points = CANDIDATES_MAX;      // what was recorded was chosen already
}

// ---- all that a source offers, then the choice

typedef struct collection {
    hone_candidates all;
    const hone_source *source;
    const hone_problem *problem;
    const hone_target *target;
} collection;

// An estimate orders and sets deadlines: nonsense is no estimate.
static double estimate(const collection *c, const hone_tactic *tactic)
{
    double ns = c->source->estimate_ns ? c->source->estimate_ns(c->problem, tactic, c->target) : 0;
    return isfinite(ns) && ns > 0 ? fmin(ns, ESTIMATE_MAX_NS) : 0;
}

static hone_status append(hone_candidates *list, const hone_candidate *candidate)
{
    if (hone_grow(&list->items, list->n, &list->capacity, sizeof *list->items, CANDIDATES_MAX)) return HONE_NO_MEMORY;
    list->items[list->n++] = *candidate;
    return HONE_OK;
}

static hone_status collect(void *user, const hone_tactic *tactic)
{
    collection *c = user;
    if (c->all.n == CANDIDATES_MAX) return HONE_OK;
    hone_candidate candidate = {.source = c->source, .tactic = *tactic, .estimate_ns = estimate(c, tactic)};
    return append(&c->all, &candidate);
}

static int by_estimate(const void *a, const void *b)
{
    const hone_candidate *x = a, *y = b;
    if (x->estimate_ns != y->estimate_ns) return x->estimate_ns < y->estimate_ns ? -1 : 1;
    char x_text[HONE_TACTIC_TEXT], y_text[HONE_TACTIC_TEXT];
    hone_tactic_print(&x->tactic, x_text);
    hone_tactic_print(&y->tactic, y_text);
    return strcmp(x_text, y_text);
}

// The first of each kernel goes before the second of any: an estimate compares tiles better than kernels.
static void put_kernels_first(hone_candidate *items, size_t n)
{
    size_t front = 0;
    for (size_t k = 0; k < n; k++) {
        bool seen = false;
        for (size_t j = 0; j < front && !seen; j++) seen = !strcmp(items[j].tactic.kernel, items[k].tactic.kernel);
        if (seen) continue;
        hone_candidate first = items[k];
        memmove(&items[front + 1], &items[front], (k - front) * sizeof *items);
        items[front++] = first;
    }
}

// A ranking that has not seen a kernel, or not this version of it, cannot compare it with others: then the estimate orders them all.
static bool is_learned(const collection *c, const hone_choosing *how)
{
    bool known = how->ranking && c->all.n;
    for (size_t k = 0; k < c->all.n && known; k++) known = hone_ranking_knows(how->ranking, &c->all.items[k].tactic);
    return known;
}

// Puts the most promising `wanted` of the items first.
static hone_status reorder(const collection *c, const hone_ranking *ranking, hone_candidate *items, size_t n, size_t wanted)
{
    size_t reach = wanted < n / HONE_RANKING_REACH ? wanted * HONE_RANKING_REACH : n;
    double *scores = hone_alloc((reach + 1) * sizeof *scores);
    size_t *order = hone_alloc((reach + 1) * sizeof *order);
    hone_candidate *kept = hone_alloc((reach + 1) * sizeof *kept);
    hone_status status = scores && order && kept ? HONE_OK : HONE_NO_MEMORY;
    for (size_t k = 0; k < reach && !status; k++) {
        kept[k] = items[k];
        scores[k] = hone_ranking_score(ranking, c->problem, &items[k].tactic, c->target, c->source, items[k].estimate_ns);
    }
    if (!status) hone_ranking_order(scores, reach, order);
    for (size_t k = 0; k < reach && !status; k++) items[k] = kept[order[k]];
    hone_free(scores);
    hone_free(order);
    hone_free(kept);
    return status;
}

// The default first, whatever a ranking says.
static hone_status choose(hone_candidates *candidates, collection *c, size_t listed, const hone_choosing *how)
{
    hone_candidate *items = c->all.items;
    size_t points, others, n = c->all.n - listed;
    bool learned = is_learned(c, how);
    hone_status status = HONE_OK;
    hone_effort_limits(how->effort, how->kind, learned, &points, &others);
    if (listed > points && points && learned) HONE_TRY(reorder(c, how->ranking, items + 1, listed - 1, points - 1));
    for (size_t k = 0; k < listed && k < points; k++) {
        items[k].is_default = k == 0;
        items[k].is_point = k > 0 && strcmp(how->kind, "replay");       // a recording is no library
        HONE_TRY(append(candidates, &items[k]));
    }
    qsort(items + listed, n, sizeof *items, by_estimate);
    if (n > others) put_kernels_first(items + listed, n);
    if (n > others && learned) HONE_TRY(reorder(c, how->ranking, items + listed, n, others));
    for (size_t k = 0; k < n && k < others; k++) HONE_TRY(append(candidates, &items[listed + k]));
out:
    return status;
}

hone_status hone_candidates_add(hone_candidates *candidates, const hone_source *source, const hone_problem *problem, const hone_target *target,
                                hone_device *device, const hone_choosing *how)
{
    collection c = {.source = source, .problem = problem, .target = target};
    size_t points, others, listed = 0;
    hone_effort_limits(how->effort, how->kind, false, &points, &others);
    hone_space *space = hone_calloc(1, sizeof *space);
    if (!space) return HONE_NO_MEMORY;
    hone_status status = HONE_OK;
    space->wanted = points;
    if (source->probe) HONE_TRY(source->probe(target, device));
    HONE_TRY(source->space(problem, target, device, space));
    int subspaces = space->n;
    space->n = 0;                      // the points first, so that they can be told from the rest
    HONE_TRY(hone_space_each(source, problem, target, space, collect, &c));
    listed = c.all.n;
    space->n = subspaces;
    size_t n_points = space->n_points;
    space->n_points = 0;
    status = hone_space_each(source, problem, target, space, collect, &c);
    space->n_points = n_points;
    HONE_TRY(status);
    if (c.all.n) HONE_TRY(choose(candidates, &c, listed, how));
out:
    hone_space_clear(space);
    hone_free(space);
    hone_candidates_clear(&c.all);
    return status;
}

void hone_candidates_clear(hone_candidates *candidates)
{
    hone_free(candidates->items);
    *candidates = (hone_candidates){0};
}
