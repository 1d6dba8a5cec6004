// SPDX-License-Identifier: Apache-2.0
#include "base/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/status.h"

enum { ALIGNMENT = 64, LARGE_PAGE_BYTES = 2 << 20, APART_BYTES = 128 << 10 };

static _Atomic uint64_t calls;
static _Atomic uint64_t failing_call;      // 0: none
static _Atomic int failing_forever;
static _Atomic int64_t live_bytes;

static int is_planned_failure(uint64_t call)
{
    uint64_t planned = atomic_load(&failing_call);
    if (planned == 0 || call < planned) return 0;
    return call == planned || atomic_load(&failing_forever);
}

// Weights by the hundred megabytes: one fault a large page instead of 512. A kernel without them says no, and nothing is lost.
static void ask_for_large_pages(void *memory, size_t size_bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)memory + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)memory + size_bytes) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

void *hone_alloc(size_t size_bytes)
{
    uint64_t call = atomic_fetch_add(&calls, 1) + 1;
    void *memory = NULL;
    if (is_planned_failure(call) || size_bytes > PTRDIFF_MAX - ALIGNMENT ||
        posix_memalign(&memory, ALIGNMENT, size_bytes ? size_bytes : 1)) {
        hone_fail(HONE_NO_MEMORY, "out of memory: %zu bytes could not be allocated", size_bytes);
        return NULL;
    }
    if (size_bytes >= 4 * (size_t)LARGE_PAGE_BYTES) ask_for_large_pages(memory, size_bytes);
    // The allocator's own idea of the size is used, so that no header hides overruns from sanitizers.
    atomic_fetch_add(&live_bytes, (int64_t)malloc_usable_size(memory));
    return memory;
}

void *hone_calloc(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        hone_fail(HONE_NO_MEMORY, "out of memory: %zu items of %zu bytes overflow", count, size_bytes);
        return NULL;
    }
    void *memory = hone_alloc(total);
    if (memory) memset(memory, 0, total);
    return memory;
}

void *hone_realloc(void *memory, size_t size_bytes)
{
    void *moved = hone_alloc(size_bytes);
    if (!moved || !memory) return moved;
    size_t old_bytes = malloc_usable_size(memory);
    memcpy(moved, memory, old_bytes < size_bytes ? old_bytes : size_bytes);
    hone_free(memory);
    return moved;
}

char *hone_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hone_alloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

void hone_free(void *memory)
{
    if (!memory) return;
    atomic_fetch_sub(&live_bytes, (int64_t)malloc_usable_size(memory));
    free(memory);
}

int hone_grow(void *items, size_t count, size_t *capacity, size_t item_bytes, size_t ceiling)
{
    if (count < *capacity) return 0;
    if (count >= ceiling) {
        hone_fail(HONE_NO_MEMORY, "too many items: at most %zu are allowed here", ceiling);
        return -1;
    }
    size_t wanted = *capacity ? *capacity * 2 : 16, bytes;
    if (wanted > ceiling || wanted < *capacity) wanted = ceiling;
    if (__builtin_mul_overflow(wanted, item_bytes, &bytes)) bytes = SIZE_MAX;
    void *old, *moved;
    memcpy(&old, items, sizeof old);
    moved = hone_realloc(old, bytes);
    if (!moved) return -1;
    memcpy(items, &moved, sizeof moved);
    *capacity = wanted;
    return 0;
}

// glibc raises its threshold to the size of what was freed, up to 32 MiB: from then on such blocks leave holes in every thread's heap.
void hone_alloc_give_back(void)
{
    mallopt(M_MMAP_THRESHOLD, APART_BYTES);
}

void hone_alloc_fail_at(uint64_t nth, int forever)
{
    atomic_store(&failing_forever, forever);
    atomic_store(&failing_call, nth ? atomic_load(&calls) + nth : 0);
}

uint64_t hone_alloc_count(void)
{
    return atomic_load(&calls);
}

int64_t hone_alloc_live_bytes(void)
{
    return atomic_load(&live_bytes);
}
