// SPDX-License-Identifier: Apache-2.0
// What no longer holds under a toolchain: measurements by what they depend on, so that after an upgrade only those are taken again.
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"
#include "db/identity_priv.h"

// "NAME=VERSION" of `names` as the toolchain has it, "" when it does not.
static void find_version(const char *toolchain, const char *wanted, char version[128])
{
    char name[64];
    version[0] = 0;
    while (hone_toolchain_next(&toolchain, name, version))
        if (!strcmp(name, wanted)) return;
    version[0] = 0;
}

static hone_status tell_changes(const char *toolchain, const char *depends, hone_text *changes)
{
    char name[64], before[128], now[128];
    while (hone_toolchain_next(&depends, name, before)) {
        find_version(toolchain, name, now);
        if (!strcmp(before, now)) continue;
        hone_text_printf(changes, *now ? "%s%s %s, now %s" : "%s%s %s, now none", changes->size ? "; " : "", name, before, now);
    }
    return hone_text_status(changes);
}

typedef struct group_list {
    hone_stale *items;             // source and depends in the arena
    size_t count, capacity;
} group_list;

static hone_stale *find_group(group_list *list, const char *source, const char *depends)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i].source, source) && !strcmp(list->items[i].depends, depends)) return &list->items[i];
    return NULL;
}

static hone_status add_group(sqlite3_stmt *find, hone_arena *arena, group_list *list)
{
    const char *source = (const char *)sqlite3_column_text(find, 0), *depends = (const char *)sqlite3_column_text(find, 1);
    hone_stale *group = source && depends ? find_group(list, source, depends) : NULL;
    if (!source || !depends) return HONE_NO_MEMORY;
    if (!group) {
        if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, (size_t)1 << 20)) return HONE_NO_MEMORY;
        group = &list->items[list->count++];
        *group = (hone_stale){.source = hone_arena_strdup(arena, source), .depends = hone_arena_strdup(arena, depends)};
        if (!group->source || !group->depends) return HONE_NO_MEMORY;
    }
    group->measurements += sqlite3_column_int64(find, 2);
    group->problems += sqlite3_column_int64(find, 3);
    return HONE_OK;
}

static hone_status collect_layer(hone_store *store, const char *device, hone_arena *arena, group_list *list)
{
    static const char sql[] = "SELECT a.source, m.depends, count(*), count(DISTINCT m.problem) FROM measurement m"
        " JOIN tactic a ON a.number = m.tactic WHERE m.device = (SELECT number FROM device WHERE spelling = ?)"
        " GROUP BY a.source, m.depends ORDER BY a.source, m.depends";
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK) status = hone_store_prepare(store, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, device, -1, SQLITE_STATIC);
    while ((status = hone_store_step(store, find, &row)) == HONE_OK && row)
        if ((status = add_group(find, arena, list)) != HONE_OK) break;
    sqlite3_reset(find);
    return status;
}

hone_status hone_store_each_stale(hone_store *store, const char *device, const char *toolchain,
                                  hone_status (*each)(void *user, const hone_stale *group), void *user)
{
    group_list list = {0};
    hone_arena *arena = hone_arena_new((size_t)64 << 20);
    hone_status status = arena ? HONE_OK : HONE_NO_MEMORY;
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) status = collect_layer(at, device, arena, &list);
    for (size_t i = 0; i < list.count && status == HONE_OK; i++) {
        hone_text changes;
        hone_text_init(&changes);
        status = tell_changes(toolchain, list.items[i].depends, &changes);
        list.items[i].changes = hone_text_get(&changes);
        if (status == HONE_OK) status = each(user, &list.items[i]);
        hone_text_clear(&changes);
    }
    hone_free(list.items);
    hone_arena_free(arena);
    return status;
}
