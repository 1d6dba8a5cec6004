// SPDX-License-Identifier: Apache-2.0
// Batches as they are sent: which rows a writer sends together, and their blob. What a receiver does with one: batch_receive.c.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/zip.h"
#include "db/batch_priv.h"
#include "db/dump_priv.h"

enum { BATCH_LEVEL = 3, BATCH_BYTES_AIMED = 8 << 20 };

// ---- lists of ids

void hone_ids_clear(hone_id_list *list)
{
    hone_free(list->items);
    *list = (hone_id_list){0};
}

hone_status hone_ids_add(hone_id_list *list, const void *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, (size_t)1 << 28)) return HONE_NO_MEMORY;
        memcpy(&list->items[list->count++], (const hone_id *)ids + i, sizeof(hone_id));
    }
    return HONE_OK;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(hone_id));
}

void hone_ids_sort(hone_id_list *list)
{
    size_t kept = 0;
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_ids);
    for (size_t i = 0; i < list->count; i++)
        if (!kept || compare_ids(&list->items[kept - 1], &list->items[i])) list->items[kept++] = list->items[i];
    list->count = kept;
}

bool hone_ids_has(const hone_id_list *list, const void *id)
{
    return list->count && bsearch(id, list->items, list->count, sizeof *list->items, compare_ids);
}

// ---- making

typedef struct maker {
    hone_store *store;
    const hone_key *key;
    size_t rows_max;
    hone_id_list named, next;      // ids that some batch names; ids of the batch being filled
    size_t next_bytes;
    int64_t sequence, made;
} maker;

static hone_status collect_named(maker *make)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(make->store, "SELECT ids FROM batch", &find);
    while (status == HONE_OK && (status = hone_store_step(make->store, find, &row)) == HONE_OK && row)
        status = hone_ids_add(&make->named, sqlite3_column_blob(find, 0), (size_t)sqlite3_column_bytes(find, 0) / sizeof(hone_id));
    if (status != HONE_OK) sqlite3_reset(find);
    hone_ids_sort(&make->named);
    return status;
}

// A writer whose batches are known with gaps (a part of them was merged in) must fetch the rest before it says what is next.
static hone_status find_next(maker *make)
{
    static const char sql[] = "SELECT coalesce(max(sequence), 0), count(DISTINCT sequence) FROM batch WHERE writer = ?";
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(make->store, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, make->key->writer, -1, SQLITE_STATIC);
    if ((status = hone_store_step(make->store, find, &row)) != HONE_OK) return status;
    int64_t last = sqlite3_column_int64(find, 0), count = sqlite3_column_int64(find, 1);
    sqlite3_reset(find);
    make->sequence = last;
    if (last == count) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s has %" PRId64 " of the %" PRId64 " batches that this writer has sent: fetch the others first (hone pull)",
                     make->store->path, count, last);
}

hone_status hone_signed_put(hone_store *store, const hone_key *key, int fact, hone_row *row)
{
    const hone_fact_table *table = &hone_facts[fact];
    hone_signature signature;
    hone_id claim;
    int64_t added;
    hone_status status = hone_row_claim(table, row->values, &claim);
    if (status != HONE_OK) return status;
    hone_sign(&key->secret, &claim, sizeof claim, &signature);
    row->values[table->column_count - 1] = (hone_cell){.data = &signature, .size = sizeof signature};
    status = hone_row_hash(table, row->values, &row->id);
    return status == HONE_OK ? hone_row_put(store, table, row, &added) : status;
}

static hone_status finish_batch(maker *make)
{
    if (!make->next.count) return HONE_OK;
    hone_ids_sort(&make->next);
    hone_row row = {.values = {[HONE_B_WRITER] = hone_cell_text(make->key->writer), [HONE_B_SEQUENCE] = hone_cell_int(++make->sequence),
                               [HONE_B_IDS] = {.data = make->next.items, .size = make->next.count * sizeof(hone_id)}}};
    hone_status status = hone_signed_put(make->store, make->key, HONE_FACT_BATCH, &row);
    make->made++;
    make->next.count = make->next_bytes = 0;
    return status;
}

// Ids of a writer's rows, what they refer to first, each with about how much text it makes. What names no writer goes with the
// measurements that it belongs to, or, being about networks, with whoever sends it first.
static const char *const mine_sql[] = {
    "SELECT id, 500 + length(options) FROM run WHERE writer = ?1 ORDER BY number",
    "SELECT m.id, 2000 + length(m.note) + 20 * m.sample_count FROM measurement m JOIN run r ON r.number = m.run"
    " WHERE r.writer = ?1 ORDER BY m.number",
    "SELECT c.id, 1000 FROM coverage c WHERE EXISTS (SELECT 1 FROM measurement m JOIN run r ON r.number = m.run"
    " WHERE m.device = c.device AND m.problem = c.problem AND r.writer = ?1) ORDER BY c.number",
    "SELECT a.id, 1000 + 2 * length(a.data) FROM artifact a WHERE a.key IN (SELECT m.artifact FROM measurement m"
    " JOIN run r ON r.number = m.run WHERE r.writer = ?1) AND length(a.data) < 6000000 ORDER BY a.number",
    "SELECT id, 1000 FROM network WHERE ?1 <> '' ORDER BY number",
    "SELECT id, 1000 FROM network_problem WHERE ?1 <> '' ORDER BY number",
    "SELECT id, 1000 FROM plan WHERE ?1 <> '' ORDER BY number",
    "SELECT id, 1000 FROM plan_step WHERE ?1 <> '' ORDER BY number",
    "SELECT id, 1000 + 2 * length(histogram) FROM calibration WHERE ?1 <> '' AND length(histogram) < 6000000 ORDER BY number",
    "SELECT id, 1000 + length(reason) FROM ruling WHERE writer = ?1 ORDER BY number",
    "SELECT e.id, 1000 FROM recheck e JOIN run r ON r.number = e.run WHERE r.writer = ?1 ORDER BY e.number",
};

static hone_status add_rows(maker *make, const char *sql)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(make->store, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, make->key->writer, -1, SQLITE_STATIC);
    while ((status = hone_store_step(make->store, find, &row)) == HONE_OK && row) {
        const void *id = sqlite3_column_blob(find, 0);
        size_t bytes = (size_t)sqlite3_column_int64(find, 1);
        if (sqlite3_column_bytes(find, 0) != sizeof(hone_id) || hone_ids_has(&make->named, id)) continue;
        if (make->next.count == make->rows_max || make->next_bytes + bytes > BATCH_BYTES_AIMED) status = finish_batch(make);
        if (status == HONE_OK) status = hone_ids_add(&make->next, id, 1);
        if (status != HONE_OK) break;
        make->next_bytes += bytes;
    }
    sqlite3_reset(find);
    return status;
}

hone_status hone_batch_make(hone_store *store, const hone_key *key, size_t rows_max, int64_t *made)
{
    maker make = {.store = store, .key = key, .rows_max = rows_max && rows_max < HONE_BATCH_ROWS_MAX ? rows_max : HONE_BATCH_ROWS_MAX};
    *made = 0;
    hone_status status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    HONE_TRY(find_next(&make));
    HONE_TRY(collect_named(&make));
    for (size_t i = 0; i < sizeof mine_sql / sizeof *mine_sql; i++) HONE_TRY(add_rows(&make, mine_sql[i]));
    HONE_TRY(finish_batch(&make));
out:
    status = hone_store_end(store, status);
    if (status == HONE_OK) *made = make.made;
    hone_ids_clear(&make.named);
    hone_ids_clear(&make.next);
    return status;
}

hone_status hone_batch_unmake(hone_store *store, const hone_key *key, int64_t first)
{
    sqlite3_stmt *remove;
    bool row;
    hone_status status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    status = hone_store_prepare(store, "DELETE FROM batch WHERE writer = ? AND sequence >= ?", &remove);
    if (status == HONE_OK) {
        sqlite3_bind_text(remove, 1, key->writer, -1, SQLITE_STATIC);
        sqlite3_bind_int64(remove, 2, first);
        status = hone_store_step(store, remove, &row);
    }
    return hone_store_end(store, status);
}

// ---- packing

// Rows are looked for where most of them are.
static const int search_order[] = {
    HONE_FACT_MEASUREMENT, HONE_FACT_RUN, HONE_FACT_COVERAGE, HONE_FACT_NETWORK_PROBLEM, HONE_FACT_PLAN_STEP, HONE_FACT_NETWORK,
    HONE_FACT_PLAN, HONE_FACT_ARTIFACT, HONE_FACT_CALIBRATION, HONE_FACT_RULING, HONE_FACT_RECHECK,
};

enum { SEARCHED = sizeof search_order / sizeof *search_order };

// Prints the row of a table that has the id, when there is one. The run that it names is added to runs.
static hone_status print_one(hone_store *store, int fact, const hone_id *id, hone_row *found, hone_text *text, hone_id_list *runs, bool *there)
{
    sqlite3_stmt *find;
    hone_status status = hone_store_prepare(store, hone_facts[fact].one, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(find, 1, id, sizeof *id, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, there)) != HONE_OK || !*there) return status;
    status = hone_row_read_checked(store, &hone_facts[fact], find, found);
    if (status == HONE_OK) hone_dump_print_row(text, &hone_facts[fact], found);
    if (status == HONE_OK && hone_row_run(fact, found->values)) status = hone_ids_add(runs, hone_row_run(fact, found->values)->data, 1);
    sqlite3_reset(find);
    return status == HONE_OK ? hone_text_status(text) : status;
}

static hone_status lost_row(hone_store *store, const hone_id *id)
{
    char digits[HONE_ID_TEXT];
    hone_id_print(id, digits);
    return hone_fail(HONE_DAMAGED, "%s has a batch that names the row %s, and not the row: take the database from a copy", store->path, digits);
}

// The lines of the ids, each table's by themselves.
static hone_status print_rows(hone_store *store, const hone_id *ids, size_t count, hone_text *lines, hone_id_list *runs)
{
    hone_row found = {0};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < count && status == HONE_OK; i++) {
        bool there = false;
        for (int k = 0; k < SEARCHED && status == HONE_OK && !there; k++)
            status = print_one(store, search_order[k], &ids[i], &found, &lines[search_order[k]], runs, &there);
        if (status == HONE_OK && !there) status = lost_row(store, &ids[i]);
    }
    hone_row_clear(&found);
    return status;
}

// A measurement cannot be put without its run, which an earlier batch may have brought: it comes again.
static hone_status print_runs(hone_store *store, const hone_id *ids, size_t count, hone_id_list *runs, hone_text *lines)
{
    hone_id_list sent = {(hone_id *)(uintptr_t)ids, count, count};
    hone_row found = {0};
    hone_status status = HONE_OK;
    hone_ids_sort(runs);
    for (size_t i = 0; i < runs->count && status == HONE_OK; i++) {
        bool there = true;
        if (hone_ids_has(&sent, &runs->items[i])) continue;
        status = print_one(store, HONE_FACT_RUN, &runs->items[i], &found, lines, NULL, &there);
        if (status == HONE_OK && !there) status = lost_row(store, &runs->items[i]);
    }
    return status;
}

static hone_status print_batch(hone_store *store, const hone_row *batch, hone_text *text)
{
    hone_text lines[HONE_FACTS];
    hone_id_list runs = {0};
    hone_status status;
    const hone_id *ids = batch->values[HONE_B_IDS].data;
    size_t count = batch->values[HONE_B_IDS].size / sizeof *ids;
    for (int i = 0; i < HONE_FACTS; i++) hone_text_init(&lines[i]);
    HONE_TRY(print_rows(store, ids, count, lines, &runs));
    HONE_TRY(print_runs(store, ids, count, &runs, &lines[HONE_FACT_RUN]));
    hone_dump_print_row(&lines[HONE_FACT_BATCH], &hone_facts[HONE_FACT_BATCH], batch);
    hone_text_printf(text, "%s", HONE_DUMP_HEAD);
    for (int i = 0; i < HONE_FACTS; i++) hone_text_append(text, hone_text_get(&lines[i]), lines[i].size);
    hone_dump_print_end(text);
    status = hone_text_status(text);
out:
    for (int i = 0; i < HONE_FACTS; i++) hone_text_clear(&lines[i]);
    hone_ids_clear(&runs);
    return status;
}

static hone_status find_batch(hone_store *store, const char *writer, int64_t sequence, hone_row *found, sqlite3_stmt **find)
{
    static const char sql[] = "SELECT id, writer, sequence, ids, signature FROM batch WHERE writer = ? AND sequence = ? ORDER BY id LIMIT 1";
    bool row;
    hone_status status = hone_store_prepare(store, sql, find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(*find, 1, writer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(*find, 2, sequence);
    if ((status = hone_store_step(store, *find, &row)) != HONE_OK) return status;
    if (!row) return hone_fail(HONE_MISS, "%s has no batch %" PRId64 " of the writer %.16s", store->path, sequence, writer);
    return hone_row_read_checked(store, &hone_facts[HONE_FACT_BATCH], *find, found);
}

hone_status hone_batch_pack(hone_store *store, const char *writer, int64_t sequence, void **blob, size_t *size_bytes)
{
    sqlite3_stmt *find = NULL;
    hone_row batch = {0};
    hone_text text;
    hone_text_init(&text);
    *blob = NULL;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK) status = hone_store_begin_read(store);
    if (status != HONE_OK) return status;
    HONE_TRY(find_batch(store, writer, sequence, &batch, &find));
    HONE_TRY(print_batch(store, &batch, &text));
    status = hone_zip(hone_text_get(&text), text.size, BATCH_LEVEL, blob, size_bytes);
out:
    if (find) sqlite3_reset(find);
    hone_store_end_read(store);
    hone_text_clear(&text);
    return status;
}
