// SPDX-License-Identifier: Apache-2.0
// How often networks need each problem. Two networks that share a problem both need it; one that several layers of a store, or several precisions,
// name needs it once, as often as the largest says.
#ifndef HONE_TUNER_NEEDS_H
#define HONE_TUNER_NEEDS_H

#include "db/store.h"

typedef struct hone_need {
    char *problem;                     // owned
    char network[HONE_ID_TEXT];
    int64_t times;
} hone_need;

typedef struct hone_needs {
    hone_need *items;                  // owned; once collected, sorted by problem and network, of which each pair is there once
    size_t n, capacity;
} hone_needs;

hone_status hone_needs_add(hone_needs *needs, const char *network, const char *problem, int64_t times);
// Adds what the store's registered networks need, and sorts.
hone_status hone_needs_collect(hone_needs *needs, hone_store *store);
size_t hone_needs_find(const hone_needs *needs, const char *problem, size_t *count);       // the first with this problem
double hone_needs_uses(const hone_needs *needs, const char *problem);      // 0: no network needs it
void hone_needs_clear(hone_needs *needs);

#endif
