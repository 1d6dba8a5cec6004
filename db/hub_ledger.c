// SPDX-License-Identifier: Apache-2.0
// What a hub knows of its database without asking the file, which cannot be read while a commit is written: which batches it has and whom it trusts. A
// small database in memory, with the same tables as far as they decide over a batch, so that the same functions decide (db/batch.h).
#include <pthread.h>

#include "base/alloc.h"
#include "db/hub_priv.h"
#include "db/store_priv.h"

struct hone_ledger {
    pthread_mutex_t mutex;         // of the copy
    hone_store *copy;              // owned
    int64_t last;                  // number of the last batch that was taken over; none is ever taken from a hub's database
};

hone_status hone_ledger_new(hone_ledger **ledger)
{
    hone_ledger *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    pthread_mutex_init(&made->mutex, NULL);
    hone_status status = hone_store_open_memory("the hub's ledger", &made->copy);
    if (status == HONE_OK) status = hone_schema_open(made->copy);
    if (status == HONE_OK) *ledger = made;
    else hone_ledger_free(made);
    return status;
}

void hone_ledger_free(hone_ledger *ledger)
{
    if (!ledger) return;
    hone_store_close(ledger->copy);
    pthread_mutex_destroy(&ledger->mutex);
    hone_free(ledger);
}

typedef struct copied {
    const char *select, *insert;   // the first column is the number of a row, or 0; the others are inserted
} copied;

static const copied batches = {"SELECT number, id, writer, sequence FROM batch WHERE number > ?",
                               "INSERT OR IGNORE INTO batch(id, writer, sequence, ids, signature) VALUES(?, ?, ?, x'', x'')"};
static const copied standings[] = {
    {"SELECT 0, writer FROM owner", "INSERT INTO owner VALUES(?)"},
    {"SELECT 0, writer, trust FROM standing", "INSERT INTO standing VALUES(?, ?)"},
};

static hone_status copy(hone_ledger *ledger, hone_store *store, const copied *what, int64_t *last)
{
    sqlite3_stmt *find, *insert;
    bool row, done;
    hone_status status = hone_store_prepare(store, what->select, &find);
    if (status != HONE_OK) return status;
    if (sqlite3_bind_parameter_count(find)) sqlite3_bind_int64(find, 1, *last);
    while ((status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        HONE_TRY(hone_store_prepare(ledger->copy, what->insert, &insert));
        for (int i = 1; i < sqlite3_column_count(find); i++) sqlite3_bind_value(insert, i, sqlite3_column_value(find, i));
        HONE_TRY(hone_store_step(ledger->copy, insert, &done));
        *last = sqlite3_column_int64(find, 0);
    }
out:
    sqlite3_reset(find);
    return status;
}

static hone_status copy_all(hone_ledger *ledger, hone_store *store)
{
    int64_t none = 0;
    hone_status status;
    HONE_TRY(copy(ledger, store, &batches, &ledger->last));
    HONE_TRY(hone_store_exec(ledger->copy, "DELETE FROM owner; DELETE FROM standing"));
    for (size_t k = 0; k < sizeof standings / sizeof *standings; k++) HONE_TRY(copy(ledger, store, &standings[k], &none));
out:
    return status;
}

// Waits for the file's lock, if it must, before it holds up those who ask the ledger.
hone_status hone_ledger_follow(hone_ledger *ledger, hone_store *store)
{
    int64_t any;
    hone_status status = hone_store_begin_read(store);
    if (status != HONE_OK) return status;
    status = hone_store_pragma(store, "SELECT count(*) FROM owner", &any);
    pthread_mutex_lock(&ledger->mutex);
    if (status == HONE_OK) status = hone_store_begin(ledger->copy);
    if (status == HONE_OK) status = hone_store_end(ledger->copy, copy_all(ledger, store));
    pthread_mutex_unlock(&ledger->mutex);
    hone_store_end_read(store);
    return status;
}

hone_status hone_ledger_judge(hone_ledger *ledger, const hone_batch *batch, const hone_trust *trust, hone_batch_fate *fate)
{
    pthread_mutex_lock(&ledger->mutex);
    hone_status status = hone_batch_judge(ledger->copy, batch, trust, fate);
    pthread_mutex_unlock(&ledger->mutex);
    return status;
}

hone_status hone_ledger_note(hone_ledger *ledger, const hone_batch *batch)
{
    sqlite3_stmt *insert;
    hone_id id;
    bool row;
    hone_batch_id(batch, &id);
    pthread_mutex_lock(&ledger->mutex);
    hone_status status = hone_store_prepare(ledger->copy, batches.insert, &insert);
    if (status == HONE_OK) {
        sqlite3_bind_blob(insert, 1, &id, sizeof id, SQLITE_STATIC);
        sqlite3_bind_text(insert, 2, hone_batch_writer(batch), -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 3, hone_batch_sequence(batch));
        status = hone_store_step(ledger->copy, insert, &row);
    }
    pthread_mutex_unlock(&ledger->mutex);
    return status;
}
