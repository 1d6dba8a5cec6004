// SPDX-License-Identifier: Apache-2.0
#include "engine/names_priv.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

enum { FIRST_SLOTS = 64 };

// FNV-1a, 64 bits, with a last mix: names often differ in their last digit only.
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

static struct hone_name_slot *find_slot(struct hone_name_slot *slots, size_t n_slots, const char *name)
{
    size_t at = hash_name(name) & (n_slots - 1);
    while (slots[at].name && strcmp(slots[at].name, name)) at = (at + 1) & (n_slots - 1);
    return &slots[at];
}

static hone_status grow(hone_names *names)
{
    size_t n_slots = names->n_slots ? names->n_slots * 2 : FIRST_SLOTS;
    struct hone_name_slot *slots = hone_calloc(n_slots, sizeof *slots);
    if (!slots) return HONE_NO_MEMORY;
    for (size_t k = 0; k < names->n_slots; k++)
        if (names->slots[k].name) *find_slot(slots, n_slots, names->slots[k].name) = names->slots[k];
    hone_free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    return HONE_OK;
}

void hone_names_clear(hone_names *names)
{
    hone_free(names->slots);
    *names = (hone_names){0};
}

int *hone_names_find(const hone_names *names, const char *name)
{
    if (!names->n_slots) return NULL;
    struct hone_name_slot *slot = find_slot(names->slots, names->n_slots, name);
    return slot->name ? &slot->number : NULL;
}

hone_status hone_names_put(hone_names *names, const char *name, int number)
{
    if (2 * (names->n + 1) > names->n_slots && grow(names) != HONE_OK) return HONE_NO_MEMORY;
    struct hone_name_slot *slot = find_slot(names->slots, names->n_slots, name);
    names->n += !slot->name;
    *slot = (struct hone_name_slot){name, number};
    return HONE_OK;
}
