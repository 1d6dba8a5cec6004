// SPDX-License-Identifier: Apache-2.0
// An arena: many small allocations, one release. For graph, plan and report data. One thread at a time.
#ifndef HONE_BASE_ARENA_H
#define HONE_BASE_ARENA_H

#include <stddef.h>

typedef struct hone_arena hone_arena;

hone_arena *hone_arena_new(size_t ceiling_bytes);          // NULL when out of memory
void hone_arena_free(hone_arena *arena);                   // NULL is legal; releases all it gave out
void *hone_arena_alloc(hone_arena *arena, size_t size_bytes);   // zeroed, 64-byte aligned; NULL = recorded failure
void *hone_arena_alloc_raw(hone_arena *arena, size_t size_bytes);       // not cleared: for what is written at once
// Room for this much in one block, which costs what of it is used: large pages instead of many small blocks.
int hone_arena_reserve(hone_arena *arena, size_t size_bytes);           // 0, or -1 when out of memory
char *hone_arena_strdup(hone_arena *arena, const char *text);
char *hone_arena_printf(hone_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
