// SPDX-License-Identifier: Apache-2.0
// Batches as they are received: opened and held against their signature, judged, put.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "db/batch_priv.h"
#include "db/dump_priv.h"

enum { AHEAD_MS_MAX = 24 * 3600 * 1000 };

// ---- opening

struct hone_batch {
    void *blob;                    // owned, as it came
    size_t blob_bytes;
    hone_id id;
    char writer[HONE_ID_TEXT];
    int64_t sequence;
    hone_id_list ids;              // sorted: what the batch names
    bool rules;                    // it holds rulings
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

// Lines are put as they come, so a run stands before the rows that name it.
static hone_status check_place(const opening *to, const hone_id *run)
{
    for (size_t i = to->named_runs.count; i-- > 0;)
        if (hone_id_equal(&to->named_runs.items[i], run)) return hone_fail(HONE_USAGE, "a row stands before the run that it names");
    return HONE_OK;
}

static hone_status take_run(opening *to, const hone_row *row)
{
    if (row->values[HONE_RUN_START].integer > to->latest_ms)
        return hone_fail(HONE_USAGE, "a run begins in the future: set the clock of the machine that sends it");
    hone_status status = check_writer(to, &row->values[HONE_RUN_WRITER], "run");
    if (status == HONE_OK) status = check_place(to, &row->id);
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
    to->batch->rules |= fact == HONE_FACT_RULING;
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
static hone_status read_text(const void *blob, size_t size_bytes, const hone_dump_sink *sink)
{
    void *text = NULL;
    size_t text_bytes;
    hone_status status = hone_dump_unzip(blob, size_bytes, HONE_BATCH_TEXT_MAX, &text, &text_bytes);
    if (status == HONE_OK && !text) return hone_fail(HONE_DAMAGED, "this is no batch: it is not compressed by zstd");
    if (status == HONE_OK) status = hone_dump_read(text, text_bytes, sink);
    hone_free(text);
    return status;
}

static hone_status check_text(hone_batch *batch)
{
    opening to = {.batch = batch, .latest_ms = hone_clock_unix_ms() + AHEAD_MS_MAX};
    const hone_dump_sink sink = {take_fact, NULL, &to};
    hone_status status = read_text(batch->blob, batch->blob_bytes, &sink);
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
bool hone_batch_rules(const hone_batch *batch) { return batch->rules; }
hone_piece hone_batch_blob(const hone_batch *batch) { return (hone_piece){batch->blob, batch->blob_bytes}; }

// ---- putting

typedef struct putting {
    hone_store *store;
    int64_t added;
    bool ruled;
    hone_id batch;
    char writer[HONE_ID_TEXT];
    hone_id_list ids;              // that the batch names
} putting;

static hone_status put_fact(void *user, const hone_fact_table *table, const hone_row *row)
{
    putting *to = user;
    int64_t added;
    hone_status status = hone_row_put_checked(to->store, table, row, &added);      // hone_batch_open has checked it
    to->added += added;
    to->ruled |= added && table == &hone_facts[HONE_FACT_RULING];
    if (status != HONE_OK || table != &hone_facts[HONE_FACT_BATCH]) return status;
    to->batch = row->id;
    snprintf(to->writer, sizeof to->writer, "%.*s", (int)row->values[HONE_B_WRITER].size, (const char *)row->values[HONE_B_WRITER].data);
    return hone_ids_add(&to->ids, row->values[HONE_B_IDS].data, row->values[HONE_B_IDS].size / sizeof(hone_id));
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

static hone_status any_ruled(putting *to)
{
    int64_t rulings = 0;
    hone_trust trust;
    hone_status status = to->ruled ? HONE_OK : hone_store_pragma(to->store, "SELECT EXISTS (SELECT 1 FROM ruling)", &rulings);
    if (status != HONE_OK || to->ruled || !rulings) return status;
    status = hone_trust_of(to->store, to->writer, &trust);
    to->ruled = status == HONE_OK && trust == HONE_TRUST_SUSPENDED;       // since it was acknowledged
    if (status == HONE_OK && !to->ruled) status = is_ruled(to->store, &to->batch, &to->ruled);
    for (size_t i = 0; i < to->ids.count && status == HONE_OK && !to->ruled; i++) status = is_ruled(to->store, &to->ids.items[i], &to->ruled);
    return status;
}

hone_status hone_batch_find(hone_store *store, const hone_id *id, bool *found)
{
    sqlite3_stmt *find;
    hone_status status = hone_store_prepare(store, "SELECT 1 FROM batch WHERE id = ?", &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(find, 1, id, sizeof *id, SQLITE_STATIC);
    status = hone_store_step(store, find, found);
    sqlite3_reset(find);
    return status;
}

hone_status hone_batch_put_rows(hone_store *store, const void *blob, size_t size_bytes, int64_t *added, bool *ruled)
{
    putting to = {.store = store};
    const hone_dump_sink sink = {put_fact, NULL, &to};
    hone_status status = read_text(blob, size_bytes, &sink);
    if (status == HONE_OK) status = any_ruled(&to);
    if (status == HONE_OK) status = hone_quarantine_remove(store, &to.batch);
    hone_ids_clear(&to.ids);
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

hone_status hone_batch_put_trusted(hone_store *store, const void *blob, size_t size_bytes, int64_t *added)
{
    bool ruled = false;
    hone_status status = hone_batch_put_rows(store, blob, size_bytes, added, &ruled);
    return status == HONE_OK && ruled ? hone_trust_settle(store) : status;
}

static hone_status find_fate(hone_store *store, const hone_batch *batch, const hone_trust *said, presence found, hone_batch_fate *fate)
{
    hone_trust trust;
    *fate = HONE_BATCH_KNOWN;
    if (found == PRESENT) return HONE_OK;
    hone_status status = hone_trust_of(store, batch->writer, &trust);
    if (status == HONE_OK && said && *said < trust) trust = *said;
    *fate = trust >= HONE_TRUST_MEASURE ? HONE_BATCH_ADDED : HONE_BATCH_QUARANTINED;
    return status;
}

static hone_status put_batch(hone_store *store, const hone_batch *batch, const hone_trust *said, hone_batch_fate *fate, int64_t *added)
{
    presence found;
    hone_status status = find_presence(store, batch, &found);
    *added = 0;
    if (status == HONE_OK) status = find_fate(store, batch, said, found, fate);
    if (status != HONE_OK || *fate == HONE_BATCH_KNOWN) return status;
    if (*fate == HONE_BATCH_ADDED) return hone_batch_put_trusted(store, batch->blob, batch->blob_bytes, added);
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

hone_status hone_batch_judge(hone_store *store, const hone_batch *batch, const hone_trust *said, hone_batch_fate *fate)
{
    presence found;
    hone_status status = check_conflict(store, batch);
    if (status == HONE_OK) status = find_presence(store, batch, &found);
    return status == HONE_OK ? find_fate(store, batch, said, found, fate) : status;
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
