// SPDX-License-Identifier: Apache-2.0
// Merging is set union: each fact whose id is not there is put, after its content was held against its id.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/task.h"
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

// ---- what is new

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

// ---- reading what is new

// So many rows, or bytes, are read while those before are put.
enum { CHUNK_ROWS = 1024, CHUNK_BYTES = 8 << 20 };

typedef struct chunk {
    hone_row rows[CHUNK_ROWS];
    size_t count;
    hone_arena *arena;             // owned: what the rows borrow
} chunk;

typedef struct reader {
    hone_store *from;
    const hone_fact_table *table;
    number_list list;              // owned, in order
    size_t at, end;                // the next number; where its stretch, numbers without a gap, ends
    sqlite3_stmt *statement;       // on the stretch; NULL between two
    hone_row found;
    chunk *into;
} reader;

static hone_status begin_stretch(reader *r)
{
    for (r->end = r->at + 1; r->end < r->list.count && r->list.items[r->end] == r->list.items[r->end - 1] + 1; r->end++) { }
    hone_status status = hone_store_prepare(r->from, r->table->numbered, &r->statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_int64(r->statement, 1, r->list.items[r->at]);
    sqlite3_bind_int64(r->statement, 2, r->list.items[r->end - 1]);
    return HONE_OK;
}

static hone_status read_row(reader *r, size_t *bytes)
{
    bool row;
    hone_status status = r->statement ? HONE_OK : begin_stretch(r);
    if (status == HONE_OK) status = hone_store_step(r->from, r->statement, &row);
    if (status != HONE_OK) return status;
    if (!row) return hone_fail(HONE_DAMAGED, "%s lacks rows that its index names", r->from->path);
    status = hone_row_read_checked(r->from, r->table, r->statement, &r->found);
    if (status == HONE_OK) status = hone_row_check_values(r->table, r->found.values);
    if (status == HONE_OK) status = hone_row_copy(r->table, &r->found, r->into->arena, &r->into->rows[r->into->count]);
    if (status != HONE_OK) return status;
    for (int i = 0; i < r->table->column_count; i++) *bytes += r->found.values[i].size;
    r->into->count++;
    if (++r->at < r->end) return HONE_OK;
    sqlite3_reset(r->statement);
    r->statement = NULL;
    return HONE_OK;
}

static hone_status read_chunk(void *user)
{
    reader *r = user;
    size_t bytes = 0;
    hone_status status = HONE_OK;
    hone_arena_free(r->into->arena);
    r->into->count = 0;
    r->into->arena = hone_arena_new((size_t)1 << 30);
    if (!r->into->arena) return HONE_NO_MEMORY;
    while (status == HONE_OK && r->at < r->list.count && r->into->count < CHUNK_ROWS && bytes < CHUNK_BYTES) status = read_row(r, &bytes);
    return status;
}

// ---- putting it

static hone_status put_chunk(hone_store *store, const hone_fact_table *table, const chunk *from, int64_t *added)
{
    hone_status status = HONE_OK;
    for (size_t i = 0; i < from->count && status == HONE_OK; i++) {
        int64_t new_rows = 0;
        status = hone_row_put_checked(store, table, &from->rows[i], &new_rows);
        *added += new_rows;
    }
    return status;
}

// Reading a row, and holding it against its id and the rules, takes as long as putting it: a task does that a chunk ahead.
static hone_status put_all(hone_store *store, reader *r, chunk *chunks, int64_t *added)
{
    hone_task task;
    int turn = 0;
    hone_status status;
    r->into = &chunks[0];
    hone_task_start(&task, read_chunk, r);
    while ((status = hone_task_wait(&task)) == HONE_OK && chunks[turn].count) {
        r->into = &chunks[1 - turn];
        hone_task_start(&task, read_chunk, r);
        hone_status put = put_chunk(store, r->table, &chunks[turn], added);
        if (put != HONE_OK) {
            char *why = hone_strdup(hone_error_text());
            (void)hone_task_wait(&task);
            hone_fail(put, "%s", why ? why : "out of memory");
            hone_free(why);
            return put;
        }
        turn = 1 - turn;
    }
    return status;
}

// ---- the index by device

// Kept up row by row it takes a fifth of a large merge; made again at the end, a twentieth. Nobody else sees the file without it.
static const char index_sql[] = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = 'measurement_by_device'";
enum { LARGE_MERGE = 10000 };

static hone_status drop_index(hone_store *store, size_t new_rows, char **again)
{
    int64_t rows = 0;
    sqlite3_stmt *find;
    bool row;
    if (new_rows < LARGE_MERGE) return HONE_OK;
    hone_status status = hone_store_pragma(store, "SELECT count(*) FROM measurement", &rows);
    if (status != HONE_OK || (int64_t)new_rows < rows / 2) return status;
    if ((status = hone_store_prepare(store, index_sql, &find)) != HONE_OK) return status;
    if ((status = hone_store_step(store, find, &row)) != HONE_OK || !row) return status;
    *again = hone_strdup((const char *)sqlite3_column_text(find, 0));
    sqlite3_reset(find);
    return *again ? hone_store_exec(store, "DROP INDEX measurement_by_device") : HONE_NO_MEMORY;
}

// In the order in which they were put there, so that what stands together is read and written together, a stretch at a time.
static hone_status merge_table(hone_store *store, hone_store *from, const hone_fact_table *table, int64_t *added)
{
    reader r = {.from = from, .table = table};
    chunk *chunks = NULL;
    char *index = NULL;
    hone_status status = find_new(store, from, table, &r.list);
    if (status != HONE_OK || !r.list.count) goto out;
    qsort(r.list.items, r.list.count, sizeof *r.list.items, compare_numbers);
    if (!(chunks = hone_calloc(2, sizeof *chunks))) status = HONE_NO_MEMORY;
    if (status == HONE_OK && table == &hone_facts[HONE_FACT_MEASUREMENT]) status = drop_index(store, r.list.count, &index);
    HONE_TRY(status);
    HONE_TRY(put_all(store, &r, chunks, added));
    if (index) status = hone_store_exec(store, index);
out:
    hone_free(index);
    for (int i = 0; chunks && i < 2; i++) hone_arena_free(chunks[i].arena);
    hone_free(chunks);
    if (r.statement) sqlite3_reset(r.statement);
    hone_row_clear(&r.found);
    hone_free(r.list.items);
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
