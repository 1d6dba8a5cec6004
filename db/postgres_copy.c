// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "db/postgres_priv.h"

enum { ROWS_AT_ONCE = 4096, CHANGES_KEPT = 10000, RANGES_MAX = 1 << 24, ARRAY_HEAD_BYTES = 20 };

#define BYTES_AT_ONCE ((size_t)8 << 20)
#define TRY_AGAIN_NS 1000000000
#define FOLDER_PREFIX "hone-copy-"
#define LAST_ROW (INT64_MAX - 1)         // there is a next one to compute with

// Every table that hone's schema has besides schema_info (a unit test holds them against each other), in the order of its steps. Of the
// last three nothing is named by a number: hone_trust_settle makes them anew.
enum { TOOLCHAIN = 1, TOOLCHAIN_LIBRARY = 2 };
const hone_shared_table hone_shared_tables[] = {
    {"device", "number"}, {"toolchain", "number"}, {"toolchain_library", "toolchain"}, {"problem", "number"}, {"tactic", "number"},
    {"run", "number"}, {"run_private", "run"}, {"measurement", "number"}, {"sample", "measurement"}, {"coverage", "number"},
    {"network", "number"}, {"network_problem", "number"}, {"plan", "number"}, {"plan_step", "number"}, {"calibration", "number"},
    {"artifact", "number"}, {"batch", "number"}, {"ruling", "number"}, {"quarantine", "number"}, {"recheck", "number"}, {"owner", NULL}, {"standing", NULL}, {"hidden", NULL},
};
const int hone_shared_table_count = (int)(sizeof hone_shared_tables / sizeof *hone_shared_tables);

typedef struct range {             // rows first..last of a table
    int table;
    int64_t first, last;
    bool rewritten;                // some were there before
} range;

typedef struct range_list {
    range *items;                  // owned
    size_t count, capacity;
    bool failed;                   // out of memory
} range_list;

struct hone_shared {
    char *address;                 // owned; holds the password
    hone_pg *pg;                   // NULL: not connected
    int64_t try_again_ns;
    char *why;                     // owned: what the last attempt to connect met
    int64_t position, stamp;       // of the change that the copy has come to; position -1: it is to be made anew
    int64_t next_position, next_stamp;   // ... when the transaction is over
    bool recording;
    range_list touched;
    char folder[4096];
    int lock;                      // the folder, locked as long as it is used
};

// ---- ranges

static void add_range(range_list *list, range made)
{
    range *last = list->count ? &list->items[list->count - 1] : NULL;
    if (last && last->table == made.table && last->rewritten == made.rewritten && made.first == last->last + 1) {
        last->last = made.last;
        return;
    }
    list->failed |= hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, RANGES_MAX) != 0;
    if (!list->failed) list->items[list->count++] = made;
}

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    if (x->table != y->table) return x->table - y->table;
    return (x->first > y->first) - (x->first < y->first);
}

// Sorted, each row in one range only.
static void settle_ranges(range_list *list)
{
    size_t kept = 0;
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_ranges);
    for (size_t i = 0; i < list->count; i++) {
        range *at = &list->items[i], *last = kept ? &list->items[kept - 1] : NULL;
        bool same = last && last->table == at->table;
        if (!same || at->first > last->last + (last->rewritten == at->rewritten)) {
            list->items[kept++] = *at;
            continue;
        }
        last->rewritten |= at->rewritten;
        if (at->last > last->last) last->last = at->last;
    }
    list->count = kept;
}

static int find_table(const char *name)
{
    for (int k = 0; k < hone_shared_table_count; k++)
        if (!strcmp(hone_shared_tables[k].name, name)) return k;
    return -1;
}

// SQLite calls for each row that is put, changed or removed. The tables without numbers are not told (of them, only toolchain_library changes
// beside another).
static void on_update(void *user, int kind, const char *database, const char *name, sqlite3_int64 number)
{
    hone_shared *shared = user;
    int table = find_table(name);
    (void)database;
    if (!shared->recording || table < 0) return;
    bool rewritten = kind != SQLITE_INSERT;
    size_t k = shared->touched.count;      // a measurement and its samples take turns
    for (size_t back = 0; back < 4 && k > 0; back++) {
        range *at = &shared->touched.items[--k];
        if (at->table != table || at->rewritten != rewritten || at->last + 1 != number) continue;
        at->last = number;
        return;
    }
    add_range(&shared->touched, (range){table, number, number, rewritten});
}

static void print_ranges(const range_list *list, hone_text *text)
{
    for (size_t i = 0; i < list->count; i++)
        hone_text_printf(text, "%s %" PRId64 " %" PRId64 "\n", hone_shared_tables[list->items[i].table].name, list->items[i].first, list->items[i].last);
}

static hone_status parse_ranges(hone_store *store, const char *text, range_list *list)
{
    hone_scan scan = {text};
    while (*scan.at) {
        char name[64];
        range made = {.rewritten = true};
        if (!hone_scan_word(&scan, name, sizeof name) || (made.table = find_table(name)) < 0 || !hone_scan_char(&scan, ' ') || !hone_scan_int(&scan, &made.first)
            || !hone_scan_char(&scan, ' ') || !hone_scan_int(&scan, &made.last) || made.last > LAST_ROW || !hone_scan_char(&scan, '\n'))
            return hone_fail(HONE_DAMAGED, "%s is damaged: a line of its table change says nothing", store->path);
        add_range(list, made);
    }
    return list->failed ? HONE_NO_MEMORY : HONE_OK;
}

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

static void print_where(hone_text *sql, const range *of)
{
    const char *key = hone_shared_tables[of->table].key;
    if (key) hone_text_printf(sql, " WHERE %s BETWEEN %" PRId64 " AND %" PRId64, key, of->first, of->last);
}

static void print_delete(hone_text *sql, const range *of)
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

static hone_status drop_here(hone_store *store, const range *at)
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

static hone_status take_rows(hone_store *store, const range *at, const columns *of)
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
    if (status == HONE_OK) status = hone_pg_copy(store->shared->pg, hone_text_get(&sql), take_row, &to);
    sqlite3_finalize(to.insert);
    hone_text_clear(&sql);
    return status;
}

static hone_status take_range(hone_store *store, const range *at)
{
    columns of;
    hone_status status = find_columns(store, at->table, &of);
    if (status == HONE_OK) status = take_rows(store, at, &of);
    clear_columns(&of);
    return status;
}

static hone_status find_changes(hone_store *store, range_list *list)
{
    hone_shared *shared = store->shared;
    char sql[200];
    hone_text text;
    hone_text_init(&text);
    snprintf(sql, sizeof sql, "SELECT string_agg(ranges, '' ORDER BY position) FROM change WHERE position > %" PRId64, shared->position);
    hone_status status = hone_pg_text(shared->pg, sql, &text);
    if (status == HONE_OK) status = parse_ranges(store, hone_text_get(&text), list);
    hone_text_clear(&text);
    settle_ranges(list);
    return status;
}

static void add_everything(range_list *list)
{
    for (int k = 0; k < hone_shared_table_count; k++) add_range(list, (range){k, INT64_MIN, LAST_ROW, true});
}

typedef struct head { int64_t version, position, stamp, mine; } head;      // mine: the stamp at the copy's position

static hone_status find_head(hone_store *store, head *found)
{
    hone_shared *shared = store->shared;
    char sql[300];
    int64_t values[4] = {0, 0, 0, 0};
    bool row;
    snprintf(sql, sizeof sql, "SELECT (SELECT value FROM schema_info WHERE name = 'user_version'), position, stamp, (SELECT stamp FROM change"
             " WHERE position = %" PRId64 ") FROM change ORDER BY position DESC LIMIT 1", shared->position);
    hone_status status = hone_pg_ints(shared->pg, sql, values, 4, &row);
    *found = (head){values[0], values[1], values[2], values[3]};
    if (status != HONE_OK) return status;
    if (!row) return hone_fail(HONE_DAMAGED, "%s is damaged: its table change is empty", store->path);
    if (found->version == HONE_STORE_SCHEMA) return HONE_OK;
    return hone_fail(HONE_AGAIN, "%s was brought to schema version %d by a newer hone; this one writes version %d: update it", store->path,
                     (int)found->version, HONE_STORE_SCHEMA);
}

// Inside a transaction of both sides: the copy becomes what PostgreSQL holds.
static hone_status follow(hone_store *store)
{
    hone_shared *shared = store->shared;
    range_list list = {0};
    head found;
    hone_status status;
    HONE_TRY(find_head(store, &found));
    shared->next_position = found.position;
    shared->next_stamp = found.stamp;
    if (found.position == shared->position && found.stamp == shared->stamp) return HONE_OK;
    bool known = shared->position >= 0 && found.position > shared->position && found.mine == shared->stamp;
    if (known) HONE_TRY(find_changes(store, &list));
    else add_everything(&list);
    if (!known) hone_store_forget_rows(store);
    status = list.failed ? HONE_NO_MEMORY : HONE_OK;
    for (size_t i = 0; i < list.count && status == HONE_OK; i++) status = take_range(store, &list.items[i]);
out:
    hone_free(list.items);
    return status;
}

// ---- from the copy to PostgreSQL

typedef struct sending {
    hone_store *store;
    const columns *of;
    hone_text arrays[HONE_PG_FIELDS];      // each a column of the rows that wait, in PostgreSQL's binary form of an array
    hone_text sql;
    size_t rows, bytes;
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
    if (status == HONE_OK) status = hone_pg_put(to->store->shared->pg, hone_text_get(&to->sql), values, to->of->count, &rows);
    if (status == HONE_OK && rows != (int64_t)to->rows) {
        to->store->shared->position = -1;
        status = hone_fail(HONE_AGAIN, "%s has rows that were not put there by hone, in place of new ones: the copy is made anew; try again", to->store->path);
    }
    begin_arrays(to);
    return status;
}

static hone_status add_rows(sending *to, const range *at)
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

static hone_status drop_there(hone_store *store, const range *at)
{
    hone_text sql;
    hone_text_init(&sql);
    print_delete(&sql, at);
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = hone_pg_run(store->shared->pg, hone_text_get(&sql));
    hone_text_clear(&sql);
    return status;
}

static hone_status send_range(hone_store *store, const range *at)
{
    columns of;
    sending to = {.store = store, .of = &of};
    hone_status status = find_columns(store, at->table, &of);
    hone_text_init(&to.sql);
    for (int k = 0; k < HONE_PG_FIELDS; k++) hone_text_init(&to.arrays[k]);
    if (status == HONE_OK && at->rewritten) status = drop_there(store, at);
    print_insert(&to, hone_shared_tables[at->table].name);
    begin_arrays(&to);
    if (status == HONE_OK) status = hone_text_status(&to.sql);
    if (status == HONE_OK) status = add_rows(&to, at);
    for (int k = 0; k < HONE_PG_FIELDS; k++) hone_text_clear(&to.arrays[k]);
    hone_text_clear(&to.sql);
    clear_columns(&of);
    return status;
}

static hone_status send_change(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_text sql;
    if (getrandom(&shared->next_stamp, sizeof shared->next_stamp, 0) != sizeof shared->next_stamp)
        return hone_fail(HONE_IO, "the system gives no random bits: %s", strerror(errno));
    shared->next_position++;
    hone_text_init(&sql);
    hone_text_printf(&sql, "INSERT INTO change(position, stamp, ranges) VALUES(%" PRId64 ", %" PRId64 ", '", shared->next_position, shared->next_stamp);
    print_ranges(&shared->touched, &sql);
    hone_text_printf(&sql, "'); DELETE FROM change WHERE position <= %" PRId64, shared->next_position - CHANGES_KEPT);
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = hone_pg_run(shared->pg, hone_text_get(&sql));
    hone_text_clear(&sql);
    return status;
}

static hone_status send_all(hone_store *store)
{
    range_list *list = &store->shared->touched;
    size_t told = list->count;
    for (size_t i = 0; i < told; i++)
        if (list->items[i].table == TOOLCHAIN) add_range(list, (range){TOOLCHAIN_LIBRARY, list->items[i].first, list->items[i].last, false});
    for (int k = 0; store->settled && k < hone_shared_table_count; k++)
        if (!hone_shared_tables[k].key) add_range(list, (range){k, INT64_MIN, LAST_ROW, true});
    settle_ranges(list);
    hone_status status = list->failed ? HONE_NO_MEMORY : HONE_OK;
    for (size_t i = 0; i < list->count && status == HONE_OK; i++) status = send_range(store, &list->items[i]);
    return status == HONE_OK && list->count ? send_change(store) : status;
}

// ---- transactions

static void disconnect(hone_shared *shared)
{
    hone_pg_close(shared->pg);
    shared->pg = NULL;
}

// After a failure the next attempt waits, so that those who ask in the meantime hear at once what the matter is.
static hone_status need_connection(hone_shared *shared)
{
    if (shared->pg && hone_pg_is_lost(shared->pg)) disconnect(shared);
    if (shared->pg) return HONE_OK;
    if (hone_clock_ns() < shared->try_again_ns) return hone_fail(HONE_AGAIN, "%s", shared->why ? shared->why : "PostgreSQL cannot be reached");
    hone_status status = hone_pg_open(shared->address, &shared->pg);
    if (status == HONE_OK) return HONE_OK;
    hone_free(shared->why);
    shared->why = hone_strdup(hone_error_text());
    shared->try_again_ns = hone_clock_ns() + TRY_AGAIN_NS;
    return status;
}

static hone_status begin_locked(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_status status = need_connection(shared);
    if (status == HONE_OK) status = hone_pg_run(shared->pg, "BEGIN");
    if (status == HONE_OK) status = hone_shared_lock(shared->pg, HONE_SHARED_LOCK_ROWS);
    return status == HONE_OK ? follow(store) : status;
}

hone_status hone_shared_begin(hone_store *store)
{
    hone_shared *shared = store->shared;
    shared->touched.count = 0;
    shared->touched.failed = store->settled = false;
    hone_status status = begin_locked(store);
    // A connection that lay idle may have broken unseen: a server's restart is not the caller's failure.
    if (status == HONE_AGAIN && shared->pg && hone_pg_is_lost(shared->pg)) status = begin_locked(store);
    shared->recording = status == HONE_OK;
    return status;
}

hone_status hone_shared_commit(hone_store *store)
{
    store->shared->recording = false;
    hone_status status = send_all(store);
    return status == HONE_OK ? hone_pg_run(store->shared->pg, "COMMIT") : status;
}

void hone_shared_end(hone_store *store, bool kept)
{
    hone_shared *shared = store->shared;
    shared->recording = false;
    if (kept) {
        shared->position = shared->next_position;
        shared->stamp = shared->next_stamp;
    } else if (shared->pg && !hone_pg_is_lost(shared->pg)) {
        hone_pg_run(shared->pg, "ROLLBACK");
    }
}

static hone_status follow_now(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_status status;
    if (sqlite3_exec(store->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) return hone_store_fail(store, sqlite3_errcode(store->handle), "write");
    HONE_TRY(hone_pg_run(shared->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    HONE_TRY(follow(store));
    HONE_TRY(hone_pg_run(shared->pg, "COMMIT"));
    status = hone_store_exec(store, "COMMIT");
out:
    hone_shared_end(store, status == HONE_OK);
    if (!sqlite3_get_autocommit(store->handle)) sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

hone_status hone_shared_follow(hone_store *store, bool *changed)
{
    hone_shared *shared = store->shared;
    head found;
    *changed = false;
    hone_status status = need_connection(shared);
    if (status == HONE_OK) status = find_head(store, &found);
    if (status != HONE_OK) return status;
    *changed = found.position != shared->position || found.stamp != shared->stamp;
    return *changed ? follow_now(store) : HONE_OK;
}

// ---- the copy's life

// By the folder's handle: its name in a place that others write to may lead elsewhere by now.
static void drop_folder(int handle, const char *folder)
{
    static const char *const files[] = {"copy.db", "copy.db-journal", "copy.db-wal", "copy.db-shm"};
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) unlinkat(handle, files[k], 0);
    rmdir(folder);
}

static hone_status drop_if_left(void *user, const char *name)
{
    char path[4400];
    struct stat facts;
    if (strncmp(name, FOLDER_PREFIX, strlen(FOLDER_PREFIX))) return HONE_OK;
    snprintf(path, sizeof path, "%s/%s", (const char *)user, name);
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (handle < 0) return HONE_OK;
    bool mine = !fstat(handle, &facts) && facts.st_uid == geteuid() && facts.st_mtim.tv_sec + 60 < hone_clock_unix_ms() / 1000;  // none that is just being made
    if (mine && !flock(handle, LOCK_EX | LOCK_NB)) drop_folder(handle, path);        // its process was killed
    close(handle);
    return HONE_OK;
}

static hone_status make_folder(hone_shared *shared)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent) parent = "/tmp";
    hone_folder_each(parent, drop_if_left, (void *)parent);
    snprintf(shared->folder, sizeof shared->folder, "%s/" FOLDER_PREFIX "XXXXXX", parent);
    if (!mkdtemp(shared->folder)) return hone_fail(HONE_IO, "cannot make a folder in %s for a copy of the database: %s", parent, strerror(errno));
    shared->lock = open(shared->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (shared->lock < 0 || flock(shared->lock, LOCK_EX | LOCK_NB)) return hone_fail(HONE_AGAIN, "%s was taken away: try again", shared->folder);
    return HONE_OK;
}

// Nothing in a copy needs to outlive the process, so nothing of it is synced. Its journal is a file all the same: in memory it holds a page for nearly every
// row of a transaction, 40 MB for 16 batches.
static hone_status open_copy(hone_shared *shared, const char *name, hone_store **store)
{
    char path[4200];
    hone_store *made = NULL;
    hone_status status = make_folder(shared);
    snprintf(path, sizeof path, "%s/copy.db", shared->folder);
    if (status == HONE_OK) status = hone_store_open(path, HONE_STORE_CREATE, &made);
    if (status != HONE_OK) return status;
    made->shared = shared;
    *store = made;
    char *shown = hone_strdup(name);
    if (!shown) return HONE_NO_MEMORY;
    hone_free(made->path);
    made->path = shown;
    snprintf(made->reason, sizeof made->reason, "a copy of PostgreSQL's rows, in SQLite %s, answers questions", sqlite3_libversion());
    return hone_store_exec(made, "PRAGMA synchronous = OFF");
}

static void free_shared(hone_shared *shared)
{
    if (!shared) return;
    disconnect(shared);
    if (shared->lock >= 0) {
        drop_folder(shared->lock, shared->folder);
        close(shared->lock);
    }
    hone_free(shared->touched.items);
    hone_free(shared->why);
    hone_free(shared->address);
    hone_free(shared);
}

void hone_shared_free(hone_store *store)
{
    free_shared(store->shared);
    store->shared = NULL;
}

hone_status hone_shared_open(const char *address, hone_store_access access, hone_store **store)
{
    hone_shared *shared = hone_calloc(1, sizeof *shared);
    hone_store *made = NULL;
    bool changed;
    hone_status status = shared ? HONE_OK : HONE_NO_MEMORY;
    if (!shared) return status;
    shared->position = shared->lock = -1;
    shared->address = hone_strdup(address);
    HONE_TRY(shared->address ? HONE_OK : HONE_NO_MEMORY);
    HONE_TRY(hone_shared_connect(address, access, &shared->pg));
    HONE_TRY(open_copy(shared, hone_pg_shown(shared->pg), &made));
    HONE_TRY(hone_shared_follow(made, &changed));
    sqlite3_update_hook(made->handle, on_update, shared);
    made->access = access;
    if (access == HONE_STORE_READ) HONE_TRY(hone_store_exec(made, "PRAGMA query_only = ON"));
    *store = made;
    return HONE_OK;
out:
    if (made) hone_store_close(made);
    else free_shared(shared);
    return status;
}
