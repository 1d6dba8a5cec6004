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

// Of equal ones the largest stays.
static void join(hone_needs *needs)
{
    size_t kept = 0;
    for (size_t k = 0; k < needs->n; k++) {
        hone_need *at = &needs->items[k], *last = kept ? &needs->items[kept - 1] : NULL;
        if (!last || by_need(last, at)) {
            needs->items[kept++] = *at;
            continue;
        }
        if (at->times > last->times) last->times = at->times;
        hone_free(at->problem);
    }
    needs->n = kept;
}

hone_status hone_needs_collect(hone_needs *needs, hone_store *store)
{
    hone_status status = hone_store_each_need(store, add, needs);
    if (needs->n) qsort(needs->items, needs->n, sizeof *needs->items, by_need);
    join(needs);
    return status;
}

size_t hone_needs_find(const hone_needs *needs, const char *problem, size_t *count)
{
    size_t low = 0, high = needs->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(needs->items[middle].problem, problem) < 0) low = middle + 1;
        else high = middle;
    }
    for (*count = 0; low + *count < needs->n && !strcmp(needs->items[low + *count].problem, problem);) ++*count;
    return low;
}

double hone_needs_uses(const hone_needs *needs, const char *problem)
{
    double uses = 0;
    size_t count, first = hone_needs_find(needs, problem, &count);
    for (size_t k = first; k < first + count; k++) uses += (double)needs->items[k].times;
    return uses;
}

void hone_needs_clear(hone_needs *needs)
{
    for (size_t k = 0; k < needs->n; k++) hone_free(needs->items[k].problem);
    hone_free(needs->items);
    *needs = (hone_needs){0};
}
