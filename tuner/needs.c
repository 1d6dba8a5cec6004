// SPDX-License-Identifier: Apache-2.0
#include "tuner/needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define NEEDS_MAX ((size_t)1 << 24)

hone_status hone_needs_add(hone_needs *needs, const char *network, const char *problem, int64_t times)
{
    if (hone_grow(&needs->items, needs->n, &needs->capacity, sizeof *needs->items, NEEDS_MAX)) return HONE_NO_MEMORY;
    hone_need *added = &needs->items[needs->n];
    *added = (hone_need){.problem = hone_strdup(problem), .times = times};
    snprintf(added->network, sizeof added->network, "%.64s", network);
    return added->problem ? (needs->n++, HONE_OK) : HONE_NO_MEMORY;
}

static hone_status add(void *user, const char *network, const char *problem, int64_t times)
{
    return hone_needs_add(user, network, problem, times);
}

static int by_need(const void *a, const void *b)
{
    const hone_need *x = a, *y = b;
    int order = strcmp(x->problem, y->problem);
    return order ? order : strcmp(x->network, y->network);
}

hone_status hone_needs_collect(hone_needs *needs, hone_store *store)
{
    hone_status status = hone_store_each_need(store, add, needs);
    if (needs->n) qsort(needs->items, needs->n, sizeof *needs->items, by_need);
    return status;
}

// The first with this problem, or where it would be.
static size_t find(const hone_needs *needs, const char *problem)
{
    size_t low = 0, high = needs->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(needs->items[middle].problem, problem) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

double hone_needs_uses(const hone_needs *needs, const char *problem)
{
    double uses = 0;
    size_t at = find(needs, problem);
    while (at < needs->n && !strcmp(needs->items[at].problem, problem)) {
        const char *network = needs->items[at].network;
        int64_t most = 0;
        for (; at < needs->n && !strcmp(needs->items[at].problem, problem) && !strcmp(needs->items[at].network, network); at++)
            if (needs->items[at].times > most) most = needs->items[at].times;
        uses += (double)most;
    }
    return uses;
}

void hone_needs_clear(hone_needs *needs)
{
    for (size_t k = 0; k < needs->n; k++) hone_free(needs->items[k].problem);
    hone_free(needs->items);
    *needs = (hone_needs){0};
}
