// SPDX-License-Identifier: Apache-2.0
// The one allocator wrapper: counted, and failable on the Nth call in tests. Memory is 64-byte aligned.
// Thread-safe. Each function that returns NULL has recorded HONE_NO_MEMORY's sentence.
#ifndef HONE_BASE_ALLOC_H
#define HONE_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

void *hone_alloc(size_t size_bytes);                       // uninitialised
void *hone_calloc(size_t count, size_t size_bytes);        // zeroed; overflow fails
void *hone_realloc(void *memory, size_t size_bytes);
char *hone_strdup(const char *text);
void hone_free(void *memory);                              // NULL is legal

// Makes room for one more item in a growable array: doubles *items (of item_bytes each) when count has
// reached *capacity, never beyond `ceiling` items. Returns 0, or -1 with the sentence recorded.
int hone_grow(void *items, size_t count, size_t *capacity, size_t item_bytes, size_t ceiling);

void hone_alloc_give_back(void);      // for a process that lives for months: large blocks go back to the system when they are freed

// Tests: the Nth allocation from now fails (0 = never), once or from then on.
void hone_alloc_fail_at(uint64_t nth, int forever);
uint64_t hone_alloc_count(void);      // calls so far
int64_t hone_alloc_live_bytes(void);

#endif
