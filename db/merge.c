// SPDX-License-Identifier: Apache-2.0
// Merging is set union: each fact that is not there is put, after its content was held against its id.
#include <string.h>
#include <sys/stat.h>

#include "db/batch_priv.h"

static hone_status merge_table(hone_store *store, hone_store *from, const hone_fact_table *table, int64_t *added)
{
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_prepare(from, table->select, &statement);
    if (status != HONE_OK) return status;
    while ((status = hone_store_step(from, statement, &row)) == HONE_OK && row) {
        int64_t new_rows = 0;
        status = hone_row_read_checked(from, table, statement, &found);
        if (status == HONE_OK) status = hone_row_put(store, table, &found, &new_rows);
        *added += new_rows;
        if (status != HONE_OK) break;
    }
    sqlite3_reset(statement);
    hone_row_clear(&found);
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

static bool is_same_file(const hone_store *a, const hone_store *b)
{
    struct stat x, y;
    return a == b || (!stat(a->path, &x) && !stat(b->path, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

hone_status hone_store_merge(hone_store *store, hone_store *from, int64_t *added)
{
    int64_t new_rows = 0;
    *added = 0;
    hone_status status = hone_store_ready(from);
    if (status == HONE_OK) status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    for (hone_store *at = from; at && status == HONE_OK; at = at->under)
        if (!is_same_file(store, at)) status = merge_layer(store, at, &new_rows);
    if (status == HONE_OK && new_rows) status = hone_trust_settle(store);
    status = hone_store_end(store, status);
    if (status == HONE_OK) *added = new_rows;
    return status;
}
