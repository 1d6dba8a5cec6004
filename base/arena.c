// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "base/text_priv.h"

enum { ALIGNMENT = 64, FIRST_CHUNK_BYTES = 1 << 14, LARGEST_CHUNK_BYTES = 1 << 22 };

typedef struct chunk {
    struct chunk *next;
    size_t used_bytes;         // both count this header
    size_t size_bytes;
} chunk;

struct hone_arena {
    chunk *chunks;             // the first one has room
    size_t next_chunk_bytes;
    size_t used_bytes;
    size_t ceiling_bytes;
};

static size_t round_up(size_t size_bytes)
{
    return (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

hone_arena *hone_arena_new(size_t ceiling_bytes)
{
    hone_arena *arena = hone_calloc(1, sizeof *arena);
    if (!arena) return NULL;
    arena->ceiling_bytes = ceiling_bytes < SIZE_MAX / 4 ? ceiling_bytes : SIZE_MAX / 4;
    arena->next_chunk_bytes = FIRST_CHUNK_BYTES;
    return arena;
}

void hone_arena_free(hone_arena *arena)
{
    if (!arena) return;
    for (chunk *at = arena->chunks, *next; at; at = next) {
        next = at->next;
        hone_free(at);
    }
    hone_free(arena);
}

static void put_first(hone_arena *arena, chunk *made)
{
    made->next = arena->chunks;
    arena->chunks = made;
}

int hone_arena_reserve(hone_arena *arena, size_t size_bytes)
{
    size_t header_bytes = round_up(sizeof(chunk));
    if (size_bytes > arena->ceiling_bytes) size_bytes = arena->ceiling_bytes;
    chunk *made = hone_alloc(header_bytes + round_up(size_bytes));
    if (!made) return -1;
    *made = (chunk){NULL, header_bytes, header_bytes + round_up(size_bytes)};
    put_first(arena, made);
    return 0;
}

static chunk *add_chunk(hone_arena *arena, size_t wanted_bytes)
{
    size_t header_bytes = round_up(sizeof(chunk));
    size_t size_bytes = arena->next_chunk_bytes;
    int is_large = wanted_bytes > size_bytes / 4;
    if (is_large) size_bytes = header_bytes + wanted_bytes;
    chunk *made = hone_alloc(size_bytes);
    if (!made) return NULL;
    *made = (chunk){NULL, header_bytes, size_bytes};
    if (is_large && arena->chunks) {       // keeps the room that the first chunk still has
        made->next = arena->chunks->next;
        arena->chunks->next = made;
        return made;
    }
    put_first(arena, made);
    if (arena->next_chunk_bytes < LARGEST_CHUNK_BYTES) arena->next_chunk_bytes *= 2;
    return made;
}

void *hone_arena_alloc_raw(hone_arena *arena, size_t size_bytes)
{
    size_t left_bytes = arena->ceiling_bytes - arena->used_bytes;
    size_t rounded = size_bytes <= left_bytes ? round_up(size_bytes ? size_bytes : 1) : SIZE_MAX;
    if (rounded > left_bytes) {
        hone_fail(HONE_NO_MEMORY, "more than the %zu bytes allowed here are needed", arena->ceiling_bytes);
        return NULL;
    }
    chunk *at = arena->chunks;
    if (!at || at->size_bytes - at->used_bytes < rounded) at = add_chunk(arena, rounded);
    if (!at) return NULL;
    char *memory = (char *)at + at->used_bytes;
    at->used_bytes += rounded;
    arena->used_bytes += rounded;
    return memory;
}

void *hone_arena_alloc(hone_arena *arena, size_t size_bytes)
{
    void *memory = hone_arena_alloc_raw(arena, size_bytes);
    return memory ? memset(memory, 0, size_bytes) : NULL;
}

char *hone_arena_strdup(hone_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hone_arena_alloc(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *hone_arena_printf(hone_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = hone_print_args(NULL, 0, format, arguments);
    char *text = size < 0 ? NULL : hone_arena_alloc(arena, (size_t)size + 1);
    if (size < 0) hone_fail(HONE_INTERNAL, "a text cannot be formatted: %s", format);
    if (text) hone_print_args(text, (size_t)size + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}
