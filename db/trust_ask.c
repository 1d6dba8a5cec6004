// SPDX-License-Identifier: Apache-2.0
// What the rulings in force (trust.c) say: of a writer, of a row, as lists, and as the part of a snapshot that is trust.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"
#include "db/fact_priv.h"
#include "db/ruling.h"

// ---- questions

static hone_status trust_in(hone_store *store, const char *writer, hone_trust *trust, bool *found)
{
    static const char sql[] = "SELECT CASE WHEN EXISTS (SELECT 1 FROM owner WHERE writer = ?1) THEN 3 ELSE (SELECT trust FROM standing WHERE writer = ?1) END";
    sqlite3_stmt *find;
    bool row;
    *found = false;
    hone_status status = hone_store_ready(store);
    if (status != HONE_OK || store->version < HONE_SCHEMA_TRUST) return status;
    if ((status = hone_store_prepare(store, sql, &find)) != HONE_OK) return status;
    sqlite3_bind_text(find, 1, writer, -1, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, &row)) != HONE_OK) return status;
    *found = row && sqlite3_column_type(find, 0) == SQLITE_INTEGER;
    int value = sqlite3_column_int(find, 0);
    if (*found) *trust = value < 0 || value > HONE_TRUST_PROMOTE ? HONE_TRUST_UNKNOWN : (hone_trust)value;
    sqlite3_reset(find);
    return HONE_OK;
}

hone_status hone_trust_of(hone_store *store, const char *writer, hone_trust *trust)
{
    bool found = !strcmp(writer, "local");       // what was put there by hand
    *trust = found ? HONE_TRUST_PROMOTE : HONE_TRUST_UNKNOWN;
    for (hone_store *at = store; at && !found; at = at->under) {
        hone_status status = trust_in(at, writer, trust, &found);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

hone_status hone_trust_any(hone_store *store, bool *any)
{
    *any = false;
    for (hone_store *at = store; at && !*any; at = at->under) {
        sqlite3_stmt *find;
        if (at->version < HONE_SCHEMA_TRUST) continue;
        hone_status status = hone_store_prepare(at, "SELECT 1 FROM hidden LIMIT 1", &find);
        if (status == HONE_OK) status = hone_store_step(at, find, any);
        if (status != HONE_OK) return status;
        sqlite3_reset(find);
    }
    return HONE_OK;
}

static hone_status find_opinion(hone_store *store, const hone_id *id, const hone_id *run, int *hides)
{
    static const char sql[] = "SELECT coalesce((SELECT hides FROM hidden WHERE id = ?1), (SELECT hides FROM hidden WHERE id = ?2))";
    sqlite3_stmt *find;
    bool row;
    *hides = -1;
    if (store->version < HONE_SCHEMA_TRUST) return HONE_OK;
    hone_status status = hone_store_prepare(store, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(find, 1, id, sizeof *id, SQLITE_STATIC);
    if (run) sqlite3_bind_blob(find, 2, run, sizeof *run, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, &row)) != HONE_OK) return status;
    if (row && sqlite3_column_type(find, 0) == SQLITE_INTEGER) *hides = sqlite3_column_int(find, 0) != 0;
    sqlite3_reset(find);
    return HONE_OK;
}

// The upper layers' rulings are heard first.
hone_status hone_trust_counts(hone_store *store, hone_store *layer, const hone_id *id, const hone_id *run, bool *counts, bool *promoted)
{
    int hides = -1;
    for (hone_store *at = store; at && hides < 0; at = at == layer ? NULL : at->under) {
        hone_status status = find_opinion(at, id, run, &hides);
        if (status != HONE_OK) return status;
    }
    *counts = hides != 1;
    *promoted = hides == 0;
    return HONE_OK;
}

// ---- lists

hone_status hone_store_each_writer(hone_store *store, hone_status (*each)(void *user, const hone_writer_facts *facts), void *user)
{
    static const char sql[] = "SELECT w.writer, coalesce((SELECT trust FROM standing s WHERE s.writer = w.writer), 0),"
        " EXISTS (SELECT 1 FROM owner o WHERE o.writer = w.writer), (SELECT count(*) FROM run r WHERE r.writer = w.writer),"
        " coalesce((SELECT c.rows FROM (SELECT r.writer, count(*) AS rows FROM measurement m JOIN run r ON r.number = m.run"
        "  GROUP BY r.writer) c WHERE c.writer = w.writer), 0),"
        " (SELECT count(*) FROM batch b WHERE b.writer = w.writer), (SELECT count(*) FROM quarantine q WHERE q.writer = w.writer)"
        " FROM (SELECT writer FROM run UNION SELECT writer FROM batch UNION SELECT writer FROM quarantine UNION SELECT writer FROM standing"
        " UNION SELECT writer FROM owner) w ORDER BY w.writer";
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_ready(store);
    if (status != HONE_OK || store->version < HONE_SCHEMA_TRUST) return status;
    status = hone_store_prepare(store, sql, &find);
    while (status == HONE_OK && (status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        bool owner = sqlite3_column_int(find, 2) != 0;
        hone_writer_facts facts = {(const char *)sqlite3_column_text(find, 0), owner ? HONE_TRUST_PROMOTE : (hone_trust)sqlite3_column_int(find, 1),
                                   owner, sqlite3_column_int64(find, 3), sqlite3_column_int64(find, 4), sqlite3_column_int64(find, 5),
                                   sqlite3_column_int64(find, 6)};
        status = each(user, &facts);
    }
    if (status != HONE_OK) sqlite3_reset(find);
    return status;
}

hone_status hone_store_each_ruling(hone_store *store, hone_status (*each)(void *user, const hone_ruling *ruling), void *user)
{
    static const char sql[] = "SELECT id, writer, sequence, verb, target, reason, made_unix_ms, signature FROM ruling"
        " ORDER BY made_unix_ms, writer, sequence, id";
    sqlite3_stmt *find;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK) status = hone_store_prepare(store, sql, &find);
    while (status == HONE_OK && (status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        if ((status = hone_row_read_checked(store, &hone_facts[HONE_FACT_RULING], find, &found)) != HONE_OK) break;
        hone_ruling made = {.id = found.id, .writer = found.values[HONE_R_WRITER].data, .verb = found.values[HONE_R_VERB].data,
                            .reason = found.values[HONE_R_REASON].data, .sequence = found.values[HONE_R_SEQUENCE].integer,
                            .made_unix_ms = found.values[HONE_R_MADE].integer};
        memcpy(&made.target, found.values[HONE_R_TARGET].data, sizeof made.target);
        status = each(user, &made);
    }
    if (status != HONE_OK) sqlite3_reset(find);
    return status;
}

// ---- the part of a snapshot that is trust

static hone_status each_run_writer(hone_store *store, hone_status (*each)(void *user, const char *writer, hone_trust trust), void *user)
{
    for (hone_store *at = store; at; at = at->under) {
        sqlite3_stmt *find;
        bool row;
        hone_status status = hone_store_prepare(at, "SELECT DISTINCT writer FROM run ORDER BY writer", &find);
        while (status == HONE_OK && (status = hone_store_step(at, find, &row)) == HONE_OK && row) {
            hone_trust trust;
            const char *writer = (const char *)sqlite3_column_text(find, 0);
            if (!writer) continue;
            status = hone_trust_of(store, writer, &trust);
            if (status == HONE_OK) status = each(user, writer, trust);
        }
        if (status != HONE_OK) return sqlite3_reset(find), status;
    }
    return HONE_OK;
}

typedef struct weights {
    bool remote, several;      // writers
    char writer[HONE_ID_TEXT]; // the first
    hone_id_list vouching;     // hashed names of the writers whose word needs no other's
} weights;

static hone_status weigh_writer(void *user, const char *writer, hone_trust trust)
{
    weights *to = user;
    hone_id name;
    to->remote |= trust != HONE_TRUST_PROMOTE;
    if (!*to->writer) snprintf(to->writer, sizeof to->writer, "%s", writer);
    to->several |= strcmp(to->writer, writer) != 0;
    if (trust != HONE_TRUST_PROMOTE || !strcmp(writer, "local")) return HONE_OK;
    hone_hash_once(writer, strlen(writer), &name);
    return hone_ids_add(&to->vouching, &name, 1);
}

static hone_status hash_hidden(hone_store *store, hone_hash *hash)
{
    sqlite3_stmt *find;
    bool row;
    if (store->version < HONE_SCHEMA_TRUST) return HONE_OK;
    hone_status status = hone_store_prepare(store, "SELECT id, hides FROM hidden ORDER BY id", &find);
    while (status == HONE_OK && (status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        hone_hash_add(hash, sqlite3_column_blob(find, 0), (size_t)sqlite3_column_bytes(find, 0));
        hone_hash_add(hash, sqlite3_column_int(find, 1) ? "1" : "0", 1);
    }
    return status;
}

// Nothing where there is one writer, or all vouch for themselves, and no ruling is in force: then whose database it is does not matter.
hone_status hone_trust_hash(hone_store *store, hone_hash *hash)
{
    weights sum = {0};
    hone_status status = each_run_writer(store, weigh_writer, &sum);
    hone_ids_sort(&sum.vouching);        // whichever layers hold their runs
    if (status == HONE_OK && sum.remote && sum.several) hone_hash_add(hash, sum.vouching.items, sum.vouching.count * sizeof *sum.vouching.items);
    hone_ids_clear(&sum.vouching);
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) status = hash_hidden(at, hash);
    return status;
}
