// SPDX-License-Identifier: Apache-2.0
// Batches: which rows a writer sends together, their blob, and what a receiver does with one.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/zip.h"
#include "db/batch_priv.h"
#include "db/dump_priv.h"

enum { BATCH_LEVEL = 3, BATCH_BYTES_AIMED = 8 << 20, AHEAD_MS_MAX = 24 * 3600 * 1000 };

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

// ---- opening

struct hone_batch {
    void *blob;                    // owned, as it came
    size_t blob_bytes;
    hone_id id;
    char writer[HONE_ID_TEXT];
    int64_t sequence;
    hone_id_list ids;              // sorted: what the batch names
};

typedef struct opening {
    hone_batch *batch;
    hone_id_list facts;            // rows that are there, runs apart
    hone_id_list runs, named_runs;
    int64_t latest_ms;             // no run may have begun later
    bool closed;                   // the batch line was seen
} opening;

static hone_status check_writer(opening *to, const hone_cell *writer, const char *what)
{
    if (!*to->batch->writer && writer->size == HONE_ID_TEXT - 1) memcpy(to->batch->writer, writer->data, writer->size);
    if (writer->size == strlen(to->batch->writer) && !memcmp(writer->data, to->batch->writer, writer->size)) return HONE_OK;
    return hone_fail(HONE_USAGE, "a %s is by another writer than the rest", what);
}

static hone_status take_run(opening *to, const hone_row *row)
{
    if (row->values[HONE_RUN_START].integer > to->latest_ms)
        return hone_fail(HONE_USAGE, "a run begins in the future: set the clock of the machine that sends it");
    hone_status status = check_writer(to, &row->values[HONE_RUN_WRITER], "run");
    return status == HONE_OK ? hone_ids_add(&to->runs, &row->id, 1) : status;
}

static hone_status take_batch(opening *to, const hone_row *row)
{
    const hone_cell *ids = &row->values[HONE_B_IDS];
    hone_status status = check_writer(to, &row->values[HONE_B_WRITER], "batch");
    if (status != HONE_OK) return status;
    if (to->closed) return hone_fail(HONE_USAGE, "a second batch in one");
    if (ids->size / sizeof(hone_id) > HONE_BATCH_ROWS_MAX) return hone_fail(HONE_USAGE, "a batch of more than %d rows", HONE_BATCH_ROWS_MAX);
    to->closed = true;
    to->batch->id = row->id;
    to->batch->sequence = row->values[HONE_B_SEQUENCE].integer;
    return hone_ids_add(&to->batch->ids, ids->data, ids->size / sizeof(hone_id));
}

static hone_status take_fact(void *user, const hone_fact_table *table, const hone_row *row)
{
    opening *to = user;
    hone_status status = hone_row_check(table, row->values);
    int fact = (int)(table - hone_facts);
    if (status != HONE_OK) return status;
    if (fact == HONE_FACT_RUN) return take_run(to, row);
    if (fact == HONE_FACT_BATCH) return take_batch(to, row);
    if (hone_row_run(fact, row->values)) status = hone_ids_add(&to->named_runs, hone_row_run(fact, row->values)->data, 1);
    if (fact == HONE_FACT_RULING) status = check_writer(to, &row->values[HONE_R_WRITER], "ruling");
    return status == HONE_OK ? hone_ids_add(&to->facts, &row->id, 1) : status;
}

// The rows are exactly those that are signed; a run beside them is there for the measurements that name it.
static hone_status check_rows(opening *to)
{
    const hone_id_list *ids = &to->batch->ids;
    size_t lines = to->facts.count, signed_rows = 0;
    hone_ids_sort(&to->facts);
    hone_ids_sort(&to->runs);
    hone_ids_sort(&to->named_runs);
    if (!to->closed) return hone_fail(HONE_DAMAGED, "the batch does not say which one it is");
    if (to->facts.count != lines) return hone_fail(HONE_DAMAGED, "the batch holds a row twice");
    for (size_t i = 0; i < to->facts.count; i++)
        if (!hone_ids_has(ids, &to->facts.items[i])) return hone_fail(HONE_DAMAGED, "the batch holds a row that its writer did not sign");
    for (size_t i = 0; i < to->runs.count; i++) {
        bool is_signed = hone_ids_has(ids, &to->runs.items[i]);
        signed_rows += is_signed;
        if (!is_signed && !hone_ids_has(&to->named_runs, &to->runs.items[i]))
            return hone_fail(HONE_DAMAGED, "the batch holds a run that its writer did not sign");
    }
    for (size_t i = 0; i < to->named_runs.count; i++)
        if (!hone_ids_has(&to->runs, &to->named_runs.items[i])) return hone_fail(HONE_DAMAGED, "the batch lacks a run that its rows name");
    if (signed_rows + lines != ids->count) return hone_fail(HONE_DAMAGED, "the batch lacks rows that its writer signed");
    return HONE_OK;
}

// The text is unpacked twice, to be checked and to be put, and not kept meanwhile: it is four times the blob, and a hub's batches wait by the hundred.
static hone_status read_text(const hone_batch *batch, const hone_dump_sink *sink)
{
    void *text = NULL;
    size_t text_bytes;
    hone_status status = hone_dump_unzip(batch->blob, batch->blob_bytes, HONE_BATCH_TEXT_MAX, &text, &text_bytes);
    if (status == HONE_OK && !text) return hone_fail(HONE_DAMAGED, "this is no batch: it is not compressed by zstd");
    if (status == HONE_OK) status = hone_dump_read(text, text_bytes, sink);
    hone_free(text);
    return status;
}

static hone_status check_text(hone_batch *batch)
{
    opening to = {.batch = batch, .latest_ms = hone_clock_unix_ms() + AHEAD_MS_MAX};
    const hone_dump_sink sink = {take_fact, NULL, &to};
    hone_status status = read_text(batch, &sink);
    if (status == HONE_OK) status = check_rows(&to);
    hone_ids_clear(&to.facts);
    hone_ids_clear(&to.runs);
    hone_ids_clear(&to.named_runs);
    return status;
}

hone_status hone_batch_open(const void *blob, size_t size_bytes, hone_batch **batch)
{
    hone_status status;
    hone_batch *made = NULL;
    *batch = NULL;
    if (!size_bytes || size_bytes > HONE_BATCH_BYTES_MAX)
        return hone_fail(HONE_DAMAGED, "a batch of %zu bytes: at most %zu are taken", size_bytes, HONE_BATCH_BYTES_MAX);
    made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    made->blob = hone_alloc(size_bytes);
    if (!made->blob) {
        status = HONE_NO_MEMORY;
        goto out;
    }
    memcpy(made->blob, blob, size_bytes);
    made->blob_bytes = size_bytes;
    HONE_TRY(check_text(made));
    *batch = made;
    made = NULL;
out:
    hone_batch_close(made);
    return status;
}

void hone_batch_close(hone_batch *batch)
{
    if (!batch) return;
    hone_ids_clear(&batch->ids);
    hone_free(batch->blob);
    hone_free(batch);
}

const char *hone_batch_writer(const hone_batch *batch) { return batch->writer; }
int64_t hone_batch_sequence(const hone_batch *batch) { return batch->sequence; }
size_t hone_batch_rows(const hone_batch *batch) { return batch->ids.count; }
void hone_batch_id(const hone_batch *batch, hone_id *id) { *id = batch->id; }

// ---- putting

typedef struct putting {
    hone_store *store;
    int64_t added;
    bool ruled;
} putting;

static hone_status put_fact(void *user, const hone_fact_table *table, const hone_row *row)
{
    putting *to = user;
    int64_t added;
    hone_status status = hone_row_put_checked(to->store, table, row, &added);      // hone_batch_open has checked it
    to->added += added;
    to->ruled |= added && table == &hone_facts[HONE_FACT_RULING];
    return status;
}

// Whether rulings in force, or those that wait for their target, speak of an id.
static hone_status is_ruled(hone_store *store, const hone_id *id, bool *ruled)
{
    static const char sql[] = "SELECT 1 WHERE EXISTS (SELECT 1 FROM ruling WHERE target = ?1) OR EXISTS (SELECT 1 FROM hidden WHERE id = ?1)";
    sqlite3_stmt *find;
    hone_status status = hone_store_prepare(store, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(find, 1, id, sizeof *id, SQLITE_STATIC);
    status = hone_store_step(store, find, ruled);
    sqlite3_reset(find);
    return status;
}

static hone_status any_ruled(hone_store *store, const hone_batch *batch, bool *ruled)
{
    int64_t rulings = 0;
    hone_status status = *ruled ? HONE_OK : hone_store_pragma(store, "SELECT EXISTS (SELECT 1 FROM ruling)", &rulings);
    if (status != HONE_OK || *ruled || !rulings) return status;
    status = is_ruled(store, &batch->id, ruled);
    for (size_t i = 0; i < batch->ids.count && status == HONE_OK && !*ruled; i++) status = is_ruled(store, &batch->ids.items[i], ruled);
    return status;
}

hone_status hone_batch_put_rows(hone_store *store, const hone_batch *batch, int64_t *added, bool *ruled)
{
    putting to = {.store = store};
    const hone_dump_sink sink = {put_fact, NULL, &to};
    hone_status status = read_text(batch, &sink);
    if (status == HONE_OK) status = any_ruled(store, batch, &to.ruled);
    *added = to.added;
    *ruled = to.ruled;
    return status;
}

typedef enum presence { ABSENT, PRESENT, SET_ASIDE, CONFLICT } presence;

static hone_status find_presence(hone_store *store, const hone_batch *batch, presence *found)
{
    static const char sql[] = "SELECT id, 1 FROM batch WHERE writer = ?1 AND sequence = ?2"
        " UNION ALL SELECT id, 2 FROM quarantine WHERE writer = ?1 AND sequence = ?2";
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(store, sql, &find);
    *found = ABSENT;
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, batch->writer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(find, 2, batch->sequence);
    while ((status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        bool same = sqlite3_column_bytes(find, 0) == sizeof batch->id && !memcmp(sqlite3_column_blob(find, 0), &batch->id, sizeof batch->id);
        if (same) {
            *found = (presence)sqlite3_column_int(find, 1);
            sqlite3_reset(find);
            return HONE_OK;
        }
        *found = CONFLICT;
    }
    return status;
}

static hone_status set_aside(hone_store *store, const hone_batch *batch)
{
    sqlite3_stmt *insert;
    int64_t held = 0;
    bool row;
    hone_status status = hone_store_pragma(store, "SELECT coalesce(sum(length(data)), 0) FROM quarantine", &held);
    if (status != HONE_OK) return status;
    if ((size_t)held + batch->blob_bytes > HONE_QUARANTINE_BYTES_MAX)
        return hone_fail(HONE_AGAIN, "the quarantine of %s is full (%" PRId64 " MiB): admit or clear writers (hone db trust)", store->path, held >> 20);
    status = hone_store_prepare(store, "INSERT INTO quarantine(id, writer, sequence, received_unix_ms, data) VALUES(?, ?, ?, ?, ?)", &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(insert, 1, &batch->id, sizeof batch->id, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, batch->writer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 3, batch->sequence);
    sqlite3_bind_int64(insert, 4, hone_clock_unix_ms());
    sqlite3_bind_blob64(insert, 5, batch->blob, batch->blob_bytes, SQLITE_STATIC);
    return hone_store_step(store, insert, &row);
}

hone_status hone_quarantine_remove(hone_store *store, const hone_id *id)
{
    sqlite3_stmt *remove;
    bool row;
    hone_status status = hone_store_prepare(store, "DELETE FROM quarantine WHERE id = ?", &remove);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(remove, 1, id, sizeof *id, SQLITE_STATIC);
    return hone_store_step(store, remove, &row);
}

static hone_status put_trusted(hone_store *store, const hone_batch *batch, int64_t *added)
{
    bool ruled = false;
    hone_status status = hone_batch_put_rows(store, batch, added, &ruled);
    if (status == HONE_OK) status = hone_quarantine_remove(store, &batch->id);
    return status == HONE_OK && ruled ? hone_trust_settle(store) : status;
}

static hone_status decide(hone_store *store, const hone_batch *batch, const hone_trust *said, hone_trust *trust)
{
    hone_status status = hone_trust_of(store, batch->writer, trust);
    if (status == HONE_OK && said && *said < *trust) *trust = *said;
    return status;
}

static hone_status put_batch(hone_store *store, const hone_batch *batch, const hone_trust *said, hone_batch_fate *fate, int64_t *added)
{
    hone_trust trust;
    presence found;
    hone_status status = find_presence(store, batch, &found);
    *added = 0;
    *fate = HONE_BATCH_KNOWN;
    if (status == HONE_OK && found != PRESENT) status = decide(store, batch, said, &trust);
    if (status != HONE_OK || found == PRESENT) return status;
    *fate = trust >= HONE_TRUST_MEASURE ? HONE_BATCH_ADDED : HONE_BATCH_QUARANTINED;
    if (trust >= HONE_TRUST_MEASURE) return put_trusted(store, batch, added);
    return found == SET_ASIDE ? HONE_OK : set_aside(store, batch);
}

// Looked at before anything is written, so that a group does not fail for one sender's fault.
static hone_status check_conflict(hone_store *store, const hone_batch *batch)
{
    presence found;
    hone_status status = find_presence(store, batch, &found);
    if (status != HONE_OK || found != CONFLICT) return status;
    return hone_fail(HONE_USAGE, "the writer %.16s has sent another batch %" PRId64 " before: two machines use one key, or a database was put back "
                     "from a copy; give each machine a key of its own, or fetch before sending (hone pull)", batch->writer, batch->sequence);
}

hone_status hone_batch_put(hone_store *store, const hone_batch *batch, const hone_trust *trust, hone_batch_fate *fate, int64_t *added)
{
    hone_batch_fate became = HONE_BATCH_KNOWN;
    int64_t new_rows = 0;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK && store->grouping) status = check_conflict(store, batch);
    if (status == HONE_OK) status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    status = store->grouping ? HONE_OK : check_conflict(store, batch);
    if (status == HONE_OK) status = put_batch(store, batch, trust, &became, &new_rows);
    status = hone_store_end(store, status);
    if (status != HONE_OK) return status;
    if (fate) *fate = became;
    if (added) *added = new_rows;
    return HONE_OK;
}
