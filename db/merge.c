// SPDX-License-Identifier: Apache-2.0
// Merging is set union: each fact whose id is not there is put, after its content was held against its id.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"

typedef struct number_list {
    int64_t *items;            // owned
    size_t count, capacity;
} number_list;

static hone_status step_id(hone_store *store, sqlite3_stmt *statement, bool *row)
{
    hone_status status = hone_store_step(store, statement, row);
    if (status != HONE_OK || !*row || sqlite3_column_bytes(statement, 0) == sizeof(hone_id)) return status;
    return hone_fail(HONE_DAMAGED, "%s has a row without an id", store->path);
}

// The row numbers of what is in `from` and not in store: both sides' ids pass by in order, read from their indexes alone.
static hone_status find_new(hone_store *store, hone_store *from, const hone_fact_table *table, number_list *list)
{
    sqlite3_stmt *there = NULL, *here = NULL;
    bool more, known = true;
    hone_status status = hone_store_prepare(from, table->ids, &there);
    if (status == HONE_OK) status = hone_store_prepare(store, table->ids, &here);
    if (status == HONE_OK) status = step_id(store, here, &known);
    while (status == HONE_OK && (status = step_id(from, there, &more)) == HONE_OK && more) {
        const void *id = sqlite3_column_blob(there, 0);
        int order = -1;
        while (known && (order = memcmp(sqlite3_column_blob(here, 0), id, sizeof(hone_id))) < 0)
            if ((status = step_id(store, here, &known)) != HONE_OK) goto out;
        if (known && !order) continue;
        if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, (size_t)1 << 28)) status = HONE_NO_MEMORY;
        else list->items[list->count++] = sqlite3_column_int64(there, 1);
    }
out:
    if (there) sqlite3_reset(there);
    if (here) sqlite3_reset(here);
    return status;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// Rows first..last, `count` of them.
static hone_status put_rows(hone_store *store, hone_store *from, const hone_fact_table *table, const int64_t *numbers, size_t count, hone_row *found,
                            int64_t *added)
{
    sqlite3_stmt *statement;
    size_t seen = 0;
    bool row;
    hone_status status = hone_store_prepare(from, table->numbered, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_int64(statement, 1, numbers[0]);
    sqlite3_bind_int64(statement, 2, numbers[count - 1]);
    while ((status = hone_store_step(from, statement, &row)) == HONE_OK && row) {
        int64_t new_rows = 0;
        status = hone_row_read_checked(from, table, statement, found);
        if (status == HONE_OK) status = hone_row_put(store, table, found, &new_rows);
        if (status != HONE_OK) break;
        *added += new_rows;
        seen++;
    }
    sqlite3_reset(statement);
    if (status == HONE_OK && seen != count) status = hone_fail(HONE_DAMAGED, "%s lacks rows that its index names", from->path);
    return status;
}

// In the order in which they were put there, so that what stands together is read and written together, a stretch at a time.
static hone_status merge_table(hone_store *store, hone_store *from, const hone_fact_table *table, int64_t *added)
{
    number_list list = {0};
    hone_row found = {0};
    hone_status status = find_new(store, from, table, &list);
    if (list.count) qsort(list.items, list.count, sizeof *list.items, compare_numbers);
    for (size_t first = 0, end; first < list.count && status == HONE_OK; first = end) {
        for (end = first + 1; end < list.count && list.items[end] == list.items[end - 1] + 1; end++) { }
        status = put_rows(store, from, table, list.items + first, end - first, &found, added);
    }
    hone_row_clear(&found);
    hone_free(list.items);
    return status;
}

static hone_status merge_problems(hone_store *store, hone_store *from)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(from, "SELECT spelling, flops, bytes FROM problem WHERE flops IS NOT NULL", &statement);
    while (status == HONE_OK && (status = hone_store_step(from, statement, &row)) == HONE_OK && row)
        status = hone_problem_put(store, (const char *)sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0),
                                  sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2));
    if (status != HONE_OK) sqlite3_reset(statement);
    return status;
}

static hone_status merge_private(hone_store *store, hone_store *from)
{
    sqlite3_stmt *find, *insert;
    bool row, done;
    hone_status status = hone_store_prepare(from, "SELECT r.id, p.host, p.gpu_uuid FROM run_private p JOIN run r ON r.number = p.run", &find);
    while (status == HONE_OK && (status = hone_store_step(from, find, &row)) == HONE_OK && row) {
        status = hone_store_prepare(store, "INSERT OR IGNORE INTO run_private SELECT number, ?2, ?3 FROM run WHERE id = ?1", &insert);
        if (status != HONE_OK) break;
        for (int i = 0; i < 3; i++) sqlite3_bind_value(insert, i + 1, sqlite3_column_value(find, i));
        status = hone_store_step(store, insert, &done);
    }
    if (status != HONE_OK) sqlite3_reset(find);
    return status;
}

static hone_status merge_layer(hone_store *store, hone_store *from, int64_t *added)
{
    hone_status status = HONE_OK;
    if (from->version > HONE_STORE_SCHEMA)
        return hone_fail(HONE_DAMAGED, "%s has schema version %d, newer than the %d of this hone, and may hold what it would lose: "
                         "merge with the newer one", from->path, from->version, HONE_STORE_SCHEMA);
    for (int i = 0; i < hone_fact_count; i++) HONE_TRY(merge_table(store, from, &hone_facts[i], added));
    HONE_TRY(merge_problems(store, from));
    HONE_TRY(merge_private(store, from));
out:
    return status;
}

// A merge dirties pages all over the index of ids: with 64 MiB of cache a quarter of 500,000 rows' time went into writing them twice.
#define CACHE_WHILE_MERGING "PRAGMA cache_size = -262144"
#define CACHE_USUAL "PRAGMA cache_size = -65536"

hone_status hone_store_merge(hone_store *store, hone_store *from, int64_t *added)
{
    int64_t new_rows = 0;
    *added = 0;
    hone_status status = hone_store_ready(from);
    if (status == HONE_OK) status = hone_store_exec(store, CACHE_WHILE_MERGING);
    if (status == HONE_OK) status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    for (hone_store *at = from; at && status == HONE_OK; at = at->under)
        if (!hone_store_is_same_file(store, at)) status = merge_layer(store, at, &new_rows);
    if (status == HONE_OK && new_rows) status = hone_trust_settle(store);
    status = hone_store_end(store, status);
    if (status == HONE_OK) status = hone_store_exec(store, CACHE_USUAL);
    if (status == HONE_OK) *added = new_rows;
    return status;
}
