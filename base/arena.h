// SPDX-License-Identifier: Apache-2.0
// An arena: many small allocations, one release. For graph, plan and report data. One thread at a time.
#ifndef HONE_BASE_ARENA_H
#define HONE_BASE_ARENA_H

#include <stddef.h>

typedef struct hone_arena hone_arena;

hone_arena *hone_arena_new(size_t ceiling_bytes);          // NULL when out of memory
void hone_arena_free(hone_arena *arena);                   // NULL is legal; releases all it gave out
void *hone_arena_alloc(hone_arena *arena, size_t size_bytes);   // zeroed, 64-byte aligned; NULL = recorded failure
char *hone_arena_strdup(hone_arena *arena, const char *text);
char *hone_arena_printf(hone_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
