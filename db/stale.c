// SPDX-License-Identifier: Apache-2.0
// What no longer holds under a toolchain: measurements by what they depend on, so that after an upgrade only those are taken again; and
// what is known of each tactic before and since, from which a recheck (tuner/recheck.h) decides.
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"
#include "db/identity_priv.h"
#include "db/rank_priv.h"

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

// ---- records before and after

typedef struct both {              // the evidence of one problem, in two parts
    hone_evidence_list all, fresh, stale;
    hone_ranked *now, *before;     // owned
    size_t now_count, before_count;
} both;

static void clear_both(both *b)
{
    hone_free(b->all.items);
    hone_free(b->fresh.items);
    hone_free(b->stale.items);
    hone_free(b->now);
    hone_free(b->before);
}

static hone_status add_piece(hone_evidence_list *list, const hone_evidence *piece)
{
    if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, (size_t)1 << 24)) return HONE_NO_MEMORY;
    list->items[list->count++] = *piece;
    return HONE_OK;
}

// Of several older versions of what a tactic rests on the newest speaks: that of its latest run.
static bool is_newest(const both *b, const hone_evidence *at, const char *toolchain)
{
    for (size_t i = 0; i < b->all.count; i++) {
        const hone_evidence *other = &b->all.items[i];
        if (other->row.verdict != HONE_VERDICT_OK || strcmp(other->row.tactic, at->row.tactic) || !strcmp(other->row.depends, at->row.depends)
            || hone_toolchain_covers(toolchain, other->row.depends)) continue;
        if (other->start_unix_ms > at->start_unix_ms) return false;
        if (other->start_unix_ms == at->start_unix_ms && strcmp(other->row.depends, at->row.depends) > 0) return false;
    }
    return true;
}

static hone_status split(both *b, const char *toolchain)
{
    hone_status status = HONE_OK;
    for (size_t i = 0; i < b->all.count && status == HONE_OK; i++) {
        const hone_evidence *at = &b->all.items[i];
        bool fresh = hone_toolchain_covers(toolchain, at->row.depends);
        if (fresh || is_newest(b, at, toolchain)) status = add_piece(fresh ? &b->fresh : &b->stale, at);
    }
    return status;
}

static const hone_ranked *find_line(const hone_ranked *lines, size_t count, const char *tactic)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(lines[i].tactic, tactic)) return &lines[i];
    return NULL;
}

typedef struct record_call {
    hone_store *store;
    const char *device, *toolchain, *mode;
    hone_status (*each)(void *user, const hone_record *record);
    void *user;
} record_call;

static double noise_of(const hone_ranked *line)
{
    return line && line->median_ns > 0 ? (line->high_ns - line->low_ns) / 4 / line->median_ns : 0;
}

static hone_status tell_records(const record_call *call, const char *problem, const both *b)
{
    char family[HONE_FAMILY_TEXT];
    hone_status status = HONE_OK;
    for (size_t i = 0; i < b->before_count && status == HONE_OK; i++) {
        const hone_ranked *line = &b->before[i], *now = find_line(b->now, b->now_count, line->tactic);
        hone_family_print(problem, line->tactic, family);
        hone_record record = {problem, line->tactic, family, line->depends, line->median_ns, now ? now->median_ns : 0, noise_of(line), noise_of(now),
                              !now && hone_evidence_find_bad(&b->all, call->toolchain, line->tactic)};
        status = call->each(call->user, &record);
    }
    for (size_t i = 0; i < b->now_count && status == HONE_OK; i++) {
        const hone_ranked *line = &b->now[i];
        if (find_line(b->before, b->before_count, line->tactic)) continue;
        hone_family_print(problem, line->tactic, family);
        hone_record record = {problem, line->tactic, family, "", 0, line->median_ns, 0, noise_of(line), false};
        status = call->each(call->user, &record);
    }
    return status;
}

static hone_status tell_problem(void *user, const char *problem)
{
    const record_call *call = user;
    both b = {0};
    hone_arena *arena = hone_arena_new((size_t)64 << 20);
    hone_status status = arena ? HONE_OK : HONE_NO_MEMORY;
    if (status == HONE_OK) status = hone_evidence_collect(call->store, call->device, problem, arena, &b.all);
    if (status == HONE_OK) status = split(&b, call->toolchain);
    if (status == HONE_OK) status = hone_rank(&b.fresh, call->mode, &b.now, &b.now_count);
    if (status == HONE_OK) status = hone_rank(&b.stale, call->mode, &b.before, &b.before_count);
    if (status == HONE_OK) status = tell_records(call, problem, &b);
    clear_both(&b);
    hone_arena_free(arena);
    return status;
}

hone_status hone_store_each_record(hone_store *store, const char *device, const char *toolchain, const char *mode,
                                   hone_status (*each)(void *user, const hone_record *record), void *user)
{
    record_call call = {store, device, toolchain, mode, each, user};
    return hone_store_each_problem(store, device, tell_problem, &call);
}

// ---- coverage

hone_status hone_store_each_coverage(hone_store *store, const char *device, hone_status (*each)(void *user, const hone_coverage *row), void *user)
{
    const hone_fact_table *table = &hone_facts[HONE_FACT_COVERAGE];
    hone_row found = {0};
    bool row, counts, promoted;
    hone_status status = hone_store_ready(store);
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) {
        sqlite3_stmt *find;
        status = hone_store_prepare(at, table->select, &find);
        while (status == HONE_OK && (status = hone_store_step(at, find, &row)) == HONE_OK && row) {
            status = hone_row_read_checked(at, table, find, &found);
            if (status == HONE_OK && strcmp(found.values[HONE_C_DEVICE].data, device)) continue;
            if (status == HONE_OK) status = hone_trust_counts(store, at, &found.id, NULL, &counts, &promoted);
            hone_coverage made = {found.values[HONE_C_DEVICE].data, found.values[HONE_C_DEPENDS].data, found.values[HONE_C_PROBLEM].data,
                                  found.values[HONE_C_SOURCE].data, (int)found.values[HONE_C_VERSION].integer, found.values[HONE_C_EFFORT].data,
                                  found.values[HONE_C_TRIED].integer};
            if (status == HONE_OK && counts) status = each(user, &made);
        }
        if (status != HONE_OK) sqlite3_reset(find);
    }
    return status;
}
