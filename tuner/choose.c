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
// takes thousands of times longer to time one.
void hone_effort_limits(hone_effort effort, const char *kind, size_t *points, size_t *others)
{
    static const struct { size_t points, others; } gpu[] = {{0, 0}, {0, 0}, {4, 6}, {32, 32}, {CANDIDATES_MAX, CANDIDATES_MAX}};
    static const size_t cpu[] = {0, 0, 4, 16, CANDIDATES_MAX};
    bool is_cpu = !strcmp(kind, "cpu");
    *points = gpu[effort].points;
    *others = is_cpu ? cpu[effort] : gpu[effort].others;
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

static hone_status choose(hone_candidates *candidates, collection *c, size_t listed, size_t points, size_t others)
{
    hone_candidate *items = c->all.items;
    hone_status status = HONE_OK;
    for (size_t k = 0; k < listed && k < points && k < c->all.n; k++) {
        items[k].is_default = k == 0;
        HONE_TRY(append(candidates, &items[k]));
    }
    if (listed >= c->all.n) return HONE_OK;
    size_t n = c->all.n - listed;
    qsort(items + listed, n, sizeof *items, by_estimate);
    if (n > others) put_kernels_first(items + listed, n);
    for (size_t k = 0; k < n && k < others; k++) HONE_TRY(append(candidates, &items[listed + k]));
out:
    return status;
}

hone_status hone_candidates_add(hone_candidates *candidates, const hone_source *source, const hone_problem *problem, const hone_target *target,
                                hone_device *device, const char *kind, hone_effort effort)
{
    collection c = {.source = source, .problem = problem, .target = target};
    size_t points, others, listed = 0;
    hone_effort_limits(effort, kind, &points, &others);
    hone_space *space = hone_calloc(1, sizeof *space);
    if (!space) return HONE_NO_MEMORY;
    hone_status status = HONE_OK;
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
    HONE_TRY(choose(candidates, &c, listed, points, others));
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
