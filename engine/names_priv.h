// SPDX-License-Identifier: Apache-2.0
// A map from names to numbers, open addressing. Names are borrowed and must outlive it.
#ifndef HONE_ENGINE_NAMES_PRIV_H
#define HONE_ENGINE_NAMES_PRIV_H

#include <stddef.h>

#include "base/status.h"

typedef struct hone_names {
    struct hone_name_slot { const char *name; int number; } *slots;
    size_t n_slots, n;
} hone_names;

void hone_names_clear(hone_names *names);                          // zeroed is empty
int *hone_names_find(const hone_names *names, const char *name);   // NULL when not there
hone_status hone_names_put(hone_names *names, const char *name, int number);   // replaces

#endif
