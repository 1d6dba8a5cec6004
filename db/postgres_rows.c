// SPDX-License-Identifier: Apache-2.0
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/postgres_priv.h"

enum { ROWS_AT_ONCE = 4096, ARRAY_HEAD_BYTES = 20 };

#define BYTES_AT_ONCE ((size_t)8 << 20)

// ---- columns

static const struct kind { const char *sqlite, *array; int32_t oid; } kinds[] = {
    {"INTEGER", "bigint[]", 20}, {"REAL", "float8[]", 701}, {"TEXT", "text[]", 25}, {"BLOB", "bytea[]", 17},
};
enum { INTEGER, REAL, TEXT, BLOB, KINDS };

typedef struct columns {
    int table, count;
    sqlite3_stmt *select;          // owned: the rows of a range, in order
    int kind[HONE_PG_FIELDS];
    hone_text names;               // "a, b, c"
} columns;

static void clear_columns(columns *of)
{
    sqlite3_finalize(of->select);
    hone_text_clear(&of->names);
}

static hone_status find_columns(hone_store *store, int table, columns *of)
{
    const hone_shared_table *at = &hone_shared_tables[table];
    char sql[200];
    *of = (columns){.table = table};
    hone_text_init(&of->names);
    int size = snprintf(sql, sizeof sql, "SELECT * FROM %s", at->name);
    if (at->key) snprintf(sql + size, sizeof sql - (size_t)size, " WHERE %s BETWEEN ? AND ? ORDER BY %s", at->key, at->key);
    if (sqlite3_prepare_v2(store->handle, sql, -1, &of->select, NULL) != SQLITE_OK) return hone_store_fail(store, sqlite3_errcode(store->handle), "read");
    of->count = sqlite3_column_count(of->select);
    HONE_ASSERT(of->count <= HONE_PG_FIELDS);
    for (int k = 0; k < of->count; k++) {
        const char *type = sqlite3_column_decltype(of->select, k);
        while (of->kind[k] < KINDS - 1 && strcmp(type, kinds[of->kind[k]].sqlite)) of->kind[k]++;
        hone_text_printf(&of->names, "%s%s", k ? ", " : "", sqlite3_column_name(of->select, k));
    }
    return hone_text_status(&of->names);
}

static void print_where(hone_text *sql, const hone_range *of)
{
    const char *key = hone_shared_tables[of->table].key;
    if (key) hone_text_printf(sql, " WHERE %s BETWEEN %" PRId64 " AND %" PRId64, key, of->first, of->last);
}

static void print_delete(hone_text *sql, const hone_range *of)
{
    hone_text_printf(sql, "DELETE FROM %s", hone_shared_tables[of->table].name);
    print_where(sql, of);
}

// ---- from PostgreSQL into the copy

typedef struct taking {
    hone_store *store;
    const columns *of;
    sqlite3_stmt *insert;
} taking;

static uint64_t read_word(const hone_pg_value *field)
{
    uint64_t word = 0;
    if (field->size == sizeof word) memcpy(&word, field->data, sizeof word);
    return be64toh(word);
}

static void bind_field(sqlite3_stmt *insert, int at, int kind, const hone_pg_value *field)
{
    uint64_t word = read_word(field);
    double real;
    memcpy(&real, &word, sizeof real);
    if (!field->data) sqlite3_bind_null(insert, at);
    else if (kind == INTEGER) sqlite3_bind_int64(insert, at, (int64_t)word);
    else if (kind == REAL) sqlite3_bind_double(insert, at, real);
    else if (kind == TEXT) sqlite3_bind_text64(insert, at, field->data, field->size, SQLITE_STATIC, SQLITE_UTF8);
    else sqlite3_bind_blob64(insert, at, field->data, field->size, SQLITE_STATIC);
}

static hone_status take_row(void *user, const hone_pg_value *fields, int count)
{
    taking *to = user;
    bool row;
    if (count != to->of->count) return hone_fail(HONE_INTERNAL, "%s answers with another number of columns", to->store->path);
    for (int k = 0; k < count; k++) bind_field(to->insert, k + 1, to->of->kind[k], &fields[k]);
    return hone_store_step(to->store, to->insert, &row);
}

static hone_status drop_here(hone_store *store, const hone_range *at)
{
    hone_text sql;
    hone_text_init(&sql);
    print_delete(&sql, at);
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = hone_store_exec(store, hone_text_get(&sql));
    hone_text_clear(&sql);
    return status;
}

static hone_status prepare_insert(hone_store *store, const columns *of, sqlite3_stmt **insert)
{
    hone_text sql;
    hone_text_init(&sql);
    hone_text_printf(&sql, "INSERT INTO %s(%s) VALUES(?", hone_shared_tables[of->table].name, hone_text_get(&of->names));
    for (int k = 1; k < of->count; k++) hone_text_printf(&sql, ", ?");
    hone_text_printf(&sql, ")");
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK && sqlite3_prepare_v2(store->handle, hone_text_get(&sql), -1, insert, NULL) != SQLITE_OK)
        status = hone_store_fail(store, sqlite3_errcode(store->handle), "write");
    hone_text_clear(&sql);
    return status;
}

static hone_status take_rows(hone_store *store, hone_pg *pg, const hone_range *at, const columns *of)
{
    const hone_shared_table *table = &hone_shared_tables[at->table];
    taking to = {store, of, NULL};
    hone_text sql;
    hone_text_init(&sql);
    hone_text_printf(&sql, "COPY (SELECT %s FROM %s", hone_text_get(&of->names), table->name);
    print_where(&sql, at);
    hone_text_printf(&sql, "%s%s) TO STDOUT (FORMAT binary)", table->key ? " ORDER BY " : "", table->key ? table->key : "");
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = drop_here(store, at);
    if (status == HONE_OK) status = prepare_insert(store, of, &to.insert);
    if (status == HONE_OK) status = hone_pg_copy(pg, hone_text_get(&sql), take_row, &to);
    sqlite3_finalize(to.insert);
    hone_text_clear(&sql);
    return status;
}

hone_status hone_shared_take(hone_store *store, hone_pg *pg, const hone_range *at)
{
    columns of;
    hone_status status = find_columns(store, at->table, &of);
    if (status == HONE_OK) status = take_rows(store, pg, at, &of);
    clear_columns(&of);
    return status;
}

// ---- from the copy to PostgreSQL

typedef struct sending {
    hone_store *store;
    hone_pg *pg;
    const columns *of;
    hone_text arrays[HONE_PG_FIELDS];      // each a column of the rows that wait, in PostgreSQL's binary form of an array
    hone_text sql;
    size_t rows, bytes;
    bool *is_foreign;
} sending;

static void add_int(hone_text *array, int32_t value)
{
    uint32_t word = htobe32((uint32_t)value);
    hone_text_append(array, (const char *)&word, sizeof word);
}

static void add_word(hone_text *array, uint64_t word)
{
    word = htobe64(word);
    add_int(array, sizeof word);
    hone_text_append(array, (const char *)&word, sizeof word);
}

static void add_value(hone_text *array, sqlite3_stmt *select, int at, int kind)
{
    uint64_t word;
    double real = sqlite3_column_double(select, at);
    memcpy(&word, &real, sizeof word);
    if (sqlite3_column_type(select, at) == SQLITE_NULL) add_int(array, -1);
    else if (kind == INTEGER) add_word(array, (uint64_t)sqlite3_column_int64(select, at));
    else if (kind == REAL) add_word(array, word);
    else {
        const char *data = sqlite3_column_blob(select, at);
        int size = sqlite3_column_bytes(select, at);
        add_int(array, size);
        hone_text_append(array, data ? data : "", (size_t)size);
    }
}

// One dimension, NULLs possible, the type of an element, how many, counted from 1.
static void begin_arrays(sending *to)
{
    for (int k = 0; k < to->of->count; k++) {
        hone_text *array = &to->arrays[k];
        array->size = 0;
        const int32_t words_of_head[] = {1, 1, kinds[to->of->kind[k]].oid, 0, 1};
        for (int i = 0; i < 5; i++) add_int(array, words_of_head[i]);
    }
    to->rows = to->bytes = 0;
}

static hone_status send_rows(sending *to)
{
    hone_pg_value values[HONE_PG_FIELDS];
    uint32_t count = htobe32((uint32_t)to->rows);
    int64_t rows = 0;
    hone_status status = HONE_OK;
    if (!to->rows) return HONE_OK;
    for (int k = 0; k < to->of->count && status == HONE_OK; k++) {
        status = hone_text_status(&to->arrays[k]);
        if (status == HONE_OK) memcpy(to->arrays[k].data + 12, &count, sizeof count);
        values[k] = (hone_pg_value){to->arrays[k].data, to->arrays[k].size};
    }
    if (status == HONE_OK) status = hone_pg_put(to->pg, hone_text_get(&to->sql), values, to->of->count, &rows);
    if (status == HONE_OK && rows != (int64_t)to->rows) {
        *to->is_foreign = true;
        status = hone_fail(HONE_AGAIN, "%s has rows that were not put there by hone, in place of new ones: the copy is made anew; try again", to->store->path);
    }
    begin_arrays(to);
    return status;
}

static hone_status add_rows(sending *to, const hone_range *at)
{
    sqlite3_stmt *select = to->of->select;
    bool row;
    hone_status status = HONE_OK;
    if (hone_shared_tables[at->table].key) {
        sqlite3_bind_int64(select, 1, at->first);
        sqlite3_bind_int64(select, 2, at->last);
    }
    while (status == HONE_OK && (status = hone_store_step(to->store, select, &row)) == HONE_OK && row) {
        for (int k = 0; k < to->of->count; k++) {
            size_t before = to->arrays[k].size;
            add_value(&to->arrays[k], select, k, to->of->kind[k]);
            to->bytes += to->arrays[k].size - before;
        }
        if (++to->rows == ROWS_AT_ONCE || to->bytes > BYTES_AT_ONCE) status = send_rows(to);
    }
    return status == HONE_OK ? send_rows(to) : status;
}

static void print_insert(sending *to, const char *table)
{
    hone_text_printf(&to->sql, "INSERT INTO %s(%s) SELECT * FROM unnest(", table, hone_text_get(&to->of->names));
    for (int k = 0; k < to->of->count; k++) hone_text_printf(&to->sql, "%s$%d::%s", k ? ", " : "", k + 1, kinds[to->of->kind[k]].array);
    hone_text_printf(&to->sql, ") ON CONFLICT DO NOTHING");
}

static hone_status drop_there(hone_pg *pg, const hone_range *at)
{
    hone_text sql;
    hone_text_init(&sql);
    print_delete(&sql, at);
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = hone_pg_run(pg, hone_text_get(&sql));
    hone_text_clear(&sql);
    return status;
}

hone_status hone_shared_send(hone_store *store, hone_pg *pg, const hone_range *at, bool *is_foreign)
{
    columns of;
    sending to = {.store = store, .pg = pg, .of = &of, .is_foreign = is_foreign};
    hone_status status = find_columns(store, at->table, &of);
    hone_text_init(&to.sql);
    for (int k = 0; k < HONE_PG_FIELDS; k++) hone_text_init(&to.arrays[k]);
    if (status == HONE_OK && at->rewritten) status = drop_there(pg, at);
    print_insert(&to, hone_shared_tables[at->table].name);
    begin_arrays(&to);
    if (status == HONE_OK) status = hone_text_status(&to.sql);
    if (status == HONE_OK) status = add_rows(&to, at);
    for (int k = 0; k < HONE_PG_FIELDS; k++) hone_text_clear(&to.arrays[k]);
    hone_text_clear(&to.sql);
    clear_columns(&of);
    return status;
}
