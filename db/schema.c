// SPDX-License-Identifier: Apache-2.0
// The schema, as the steps that lead to it. A step that was released never changes; a change is a new step.
// Numbers are row numbers, private to a file; ids are content (fact.c).
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "db/recheck_priv.h"

static const char tables[] =
    "CREATE TABLE schema_info(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    // The oldest program whose reading still understands this file.
    "INSERT INTO schema_info VALUES('oldest_reader', 1);"

    "CREATE TABLE device(number INTEGER PRIMARY KEY, spelling TEXT NOT NULL UNIQUE, backend TEXT NOT NULL,"
    " architecture TEXT NOT NULL, model TEXT NOT NULL, multiprocessors INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,"
    " clock_mhz INTEGER NOT NULL, power_w INTEGER NOT NULL, threads INTEGER NOT NULL) STRICT;"
    "CREATE TABLE toolchain(number INTEGER PRIMARY KEY, spelling TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE toolchain_library(toolchain INTEGER NOT NULL REFERENCES toolchain(number), library TEXT NOT NULL,"
    " version TEXT NOT NULL, PRIMARY KEY(toolchain, library)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE problem(number INTEGER PRIMARY KEY, spelling TEXT NOT NULL UNIQUE, op TEXT NOT NULL,"
    " flops INTEGER, bytes INTEGER) STRICT;"
    "CREATE TABLE tactic(number INTEGER PRIMARY KEY, spelling TEXT NOT NULL UNIQUE, source TEXT NOT NULL,"
    " kernel TEXT NOT NULL, version INTEGER NOT NULL, parameters TEXT NOT NULL) STRICT;"

    "CREATE TABLE run(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, start_unix_ms INTEGER NOT NULL,"
    " writer TEXT NOT NULL, sequence INTEGER NOT NULL, effort TEXT NOT NULL, seed INTEGER NOT NULL,"
    " options TEXT NOT NULL) STRICT;"
    "CREATE INDEX run_by_writer ON run(writer, sequence);"
    "CREATE TABLE run_private(run INTEGER PRIMARY KEY REFERENCES run(number), host TEXT NOT NULL,"
    " gpu_uuid TEXT NOT NULL) STRICT;"

    "CREATE TABLE measurement(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
    " problem INTEGER NOT NULL REFERENCES problem(number), tactic INTEGER NOT NULL REFERENCES tactic(number),"
    " device INTEGER NOT NULL REFERENCES device(number), toolchain INTEGER NOT NULL REFERENCES toolchain(number),"
    " depends TEXT NOT NULL, mode TEXT NOT NULL, verdict TEXT NOT NULL, median_ns REAL NOT NULL, mad_ns REAL NOT NULL,"
    " min_ns REAL NOT NULL, timer TEXT NOT NULL, workspace_bytes INTEGER NOT NULL, error REAL NOT NULL,"
    " clock_mhz REAL NOT NULL, temperature_c REAL NOT NULL, power_w REAL NOT NULL, throttle TEXT NOT NULL,"
    " registers INTEGER NOT NULL, artifact TEXT NOT NULL, run INTEGER NOT NULL REFERENCES run(number),"
    " note TEXT NOT NULL, sample_count INTEGER NOT NULL) STRICT;"
    // Serves a lookup by device and problem; and, as a covering index, the devices, problems and toolchains that have rows.
    "CREATE INDEX measurement_by_device ON measurement(device, problem, toolchain, run);"
    // Little-endian float32 when every sample is exact in it, else float64: sample_count tells which.
    "CREATE TABLE sample(measurement INTEGER PRIMARY KEY REFERENCES measurement(number), ns BLOB NOT NULL) STRICT;"

    "CREATE TABLE coverage(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
    " problem INTEGER NOT NULL REFERENCES problem(number), device INTEGER NOT NULL REFERENCES device(number),"
    " depends TEXT NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL, effort TEXT NOT NULL,"
    " tried INTEGER NOT NULL) STRICT;"
    "CREATE INDEX coverage_by_device ON coverage(device, problem);"

    "CREATE TABLE network(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, digest BLOB NOT NULL,"
    " name TEXT NOT NULL) STRICT;"
    "CREATE TABLE network_problem(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, network BLOB NOT NULL,"
    " problem INTEGER NOT NULL REFERENCES problem(number), times INTEGER NOT NULL) STRICT;"
    "CREATE INDEX network_problem_by_network ON network_problem(network);"
    "CREATE TABLE plan(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, digest BLOB NOT NULL,"
    " network BLOB NOT NULL, device INTEGER NOT NULL REFERENCES device(number)) STRICT;"
    "CREATE TABLE plan_step(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, plan BLOB NOT NULL,"
    " step INTEGER NOT NULL, measurement BLOB NOT NULL) STRICT;"
    "CREATE INDEX plan_step_by_plan ON plan_step(plan, step);"
    "CREATE TABLE calibration(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, network BLOB NOT NULL,"
    " tensor TEXT NOT NULL, data_set BLOB NOT NULL, method TEXT NOT NULL, seed INTEGER NOT NULL, low REAL NOT NULL,"
    " high REAL NOT NULL, scale REAL NOT NULL, histogram BLOB NOT NULL) STRICT;"
    "CREATE INDEX calibration_by_network ON calibration(network);"
    "CREATE TABLE artifact(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, key TEXT NOT NULL, kind TEXT NOT NULL,"
    " data BLOB NOT NULL) STRICT;"
    "CREATE INDEX artifact_by_key ON artifact(key);"
    "CREATE TABLE batch(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, writer TEXT NOT NULL,"
    " sequence INTEGER NOT NULL, ids BLOB NOT NULL, signature BLOB NOT NULL) STRICT;"
    "CREATE TABLE ruling(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, writer TEXT NOT NULL,"
    " sequence INTEGER NOT NULL, verb TEXT NOT NULL, target BLOB NOT NULL, reason TEXT NOT NULL,"
    " made_unix_ms INTEGER NOT NULL, signature BLOB NOT NULL) STRICT;";

// The rest of best_tactic, behind which measurements are good.
#define BEST_OF_GOOD \
    " placed AS (SELECT *, row_number() OVER (w ORDER BY median_ns, id) AS place," \
    "  count(*) OVER w AS measurements FROM good WINDOW w AS (PARTITION BY device, toolchain, problem, mode, tactic))," \
    " timed AS (SELECT device, toolchain, problem, mode, tactic, measurements, max(workspace_bytes) AS workspace_bytes," \
    "  avg(median_ns) FILTER (WHERE place IN ((measurements + 1) / 2, (measurements + 2) / 2)) AS median_ns" \
    "  FROM placed GROUP BY device, toolchain, problem, mode, tactic)," \
    " compared AS (SELECT *, min(median_ns) OVER (PARTITION BY device, toolchain, problem, mode) AS fastest_ns," \
    "  count(*) OVER (PARTITION BY device, toolchain, problem, mode) AS tactics FROM timed)," \
    " chosen AS (SELECT c.*, a.spelling AS tactic_spelling, row_number() OVER (PARTITION BY c.device, c.toolchain," \
    "  c.problem, c.mode ORDER BY c.median_ns > c.fastest_ns * 1.005, CASE WHEN c.median_ns > c.fastest_ns * 1.005" \
    "  THEN c.median_ns END, c.workspace_bytes, a.spelling) AS choice FROM compared c JOIN tactic a ON a.number = c.tactic)" \
    " SELECT d.spelling AS device, t.spelling AS toolchain, p.spelling AS problem, p.op, c.mode," \
    " c.tactic_spelling AS tactic, c.median_ns, c.fastest_ns, c.workspace_bytes, c.measurements, c.tactics" \
    " FROM chosen c JOIN device d ON d.number = c.device JOIN toolchain t ON t.number = c.toolchain" \
    " JOIN problem p ON p.number = c.problem WHERE c.choice = 1;"

// best_tactic says in SQL what hone_store_rank says for evidence taken under one toolchain (rank.c explains the rule).
static const char views[] =
    "CREATE VIEW measurement_flat AS SELECT lower(hex(m.id)) AS id, d.spelling AS device, d.architecture, d.model,"
    " t.spelling AS toolchain, m.depends, p.spelling AS problem, p.op, p.flops, p.bytes, a.spelling AS tactic, a.source,"
    " a.kernel, a.version, m.mode, m.verdict, m.median_ns, m.mad_ns, m.min_ns, m.sample_count, m.timer,"
    " m.workspace_bytes, m.error, m.clock_mhz, m.temperature_c, m.power_w, m.throttle, m.registers, m.artifact,"
    " lower(hex(r.id)) AS run, r.start_unix_ms, r.effort, m.note"
    " FROM measurement m JOIN device d ON d.number = m.device JOIN toolchain t ON t.number = m.toolchain"
    " JOIN problem p ON p.number = m.problem JOIN tactic a ON a.number = m.tactic JOIN run r ON r.number = m.run;"

    "CREATE VIEW best_tactic AS WITH"
    " good AS (SELECT m.* FROM measurement m JOIN run r ON r.number = m.run WHERE m.verdict = 'ok' AND NOT EXISTS"
    "  (SELECT 1 FROM measurement b JOIN run s ON s.number = b.run WHERE b.device = m.device AND b.problem = m.problem"
    "   AND b.tactic = m.tactic AND b.depends = m.depends AND b.verdict IN ('wrong', 'crash', 'unstable', 'timeout')"
    "   AND s.start_unix_ms >= r.start_unix_ms)),"
    BEST_OF_GOOD

    "CREATE VIEW run_summary AS SELECT lower(hex(r.id)) AS id, r.start_unix_ms, r.writer, r.sequence, r.effort, r.options,"
    " count(m.number) AS measurements, count(m.number) FILTER (WHERE m.verdict = 'ok') AS measurements_ok,"
    " count(DISTINCT m.problem) AS problems, count(DISTINCT m.tactic) AS tactics,"
    " coalesce(sum(m.sample_count), 0) AS samples FROM run r LEFT JOIN measurement m ON m.run = r.number GROUP BY r.number;";

// Trust. `standing` and `hidden` are derived (trust.c rebuilds them): what the rulings in force say of writers, and of ids. A program that
// does not know them would choose what was ruled out, so it may not read the file.
#define COUNTS(measurement, run) " coalesce((SELECT h.hides FROM hidden h WHERE h.id = " measurement ".id)," \
    " (SELECT h.hides FROM hidden h WHERE h.id = " run ".id), 0) = 0"

static const char trust[] =
    "UPDATE schema_info SET value = 3 WHERE name = 'oldest_reader';"
    "CREATE TABLE owner(writer TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE quarantine(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, writer TEXT NOT NULL,"
    " sequence INTEGER NOT NULL, received_unix_ms INTEGER NOT NULL, data BLOB NOT NULL) STRICT;"
    "CREATE INDEX quarantine_by_writer ON quarantine(writer, sequence);"
    "CREATE TABLE standing(writer TEXT PRIMARY KEY NOT NULL, trust INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE hidden(id BLOB PRIMARY KEY NOT NULL, hides INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX batch_by_writer ON batch(writer, sequence, id);"
    "CREATE INDEX ruling_by_target ON ruling(target);"

    "DROP VIEW best_tactic;"
    "CREATE VIEW best_tactic AS WITH"
    " good AS (SELECT m.* FROM measurement m JOIN run r ON r.number = m.run WHERE m.verdict = 'ok' AND" COUNTS("m", "r") " AND NOT EXISTS"
    "  (SELECT 1 FROM measurement b JOIN run s ON s.number = b.run WHERE b.device = m.device AND b.problem = m.problem"
    "   AND b.tactic = m.tactic AND b.depends = m.depends AND b.verdict IN ('wrong', 'crash', 'unstable', 'timeout')"
    "   AND s.start_unix_ms >= r.start_unix_ms AND" COUNTS("b", "s") ")),"
    BEST_OF_GOOD;

// Rechecks. A program that does not know them has less that it may use, and nothing wrong: it may read the file.
#define RECHECK_COLUMNS "recheck(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE," \
    " device INTEGER NOT NULL REFERENCES device(number), family TEXT NOT NULL, depends TEXT NOT NULL, now TEXT NOT NULL," \
    " mode TEXT NOT NULL, decision TEXT NOT NULL, scale REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL," \
    " timed INTEGER NOT NULL, run INTEGER NOT NULL REFERENCES run(number)) STRICT;"

static const char rechecks[] =
    "CREATE TABLE " RECHECK_COLUMNS
    "CREATE INDEX recheck_by_family ON recheck(device, family, depends);";

// An older file that is only read holds none.
static const char no_rechecks[] = "CREATE TEMP TABLE " RECHECK_COLUMNS;

const char *const hone_schema_migrations[HONE_STORE_SCHEMA] = {tables, views, trust, rechecks};

hone_status hone_schema_migrate(hone_store *store, int target)
{
    hone_status status;
    int64_t version = 0;
    char sql[64];
    if ((status = hone_store_begin(store)) != HONE_OK) return status;
    HONE_TRY(hone_store_pragma(store, "PRAGMA user_version", &version));      // again: another process may have been first
    for (; version < target; version++) HONE_TRY(hone_store_exec(store, hone_schema_migrations[version]));
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", HONE_STORE_APPLICATION, (int)version);
    HONE_TRY(hone_store_exec(store, sql));
    store->version = (int)version;
out:
    return hone_store_end(store, status);
}

static hone_status check_newer(hone_store *store, int64_t version)
{
    int64_t oldest = INT32_MAX;
    if (store->access == HONE_STORE_READ) {
        hone_status status = hone_store_pragma(store, "SELECT value FROM schema_info WHERE name = 'oldest_reader'", &oldest);
        if (status != HONE_OK) return status;
        if (oldest <= HONE_STORE_SCHEMA) return HONE_OK;
    }
    return hone_fail(HONE_DAMAGED, "%s has schema version %d, made by a newer hone; this one writes version %d: update hone, "
                     "or keep the file for the newer one", store->path, (int)version, HONE_STORE_SCHEMA);
}

static hone_status check_owner(const hone_store *store, int64_t version, int64_t objects, int64_t application)
{
    if (application == HONE_STORE_APPLICATION && version >= 1 && objects) return HONE_OK;
    if (application == HONE_STORE_APPLICATION)
        return hone_fail(HONE_DAMAGED, "%s is a hone database without a schema version or without tables: it is damaged; "
                         "take it from a copy or a dump", store->path);
    return hone_fail(HONE_DAMAGED, "%s is the SQLite database of another program, not hone's", store->path);
}

// What a version is made of: type, name and SQL of each object, one after the other, each with its NUL. It is found by making it, once in a process:
// that takes 3 ms, as long as all else when a small file is opened.
enum { MODEL_BYTES = 1 << 15 };

typedef struct model {
    size_t size;                       // 0: not made yet
    char text[MODEL_BYTES];
} model;

static model models[HONE_STORE_SCHEMA + 1];
static pthread_mutex_t models_lock = PTHREAD_MUTEX_INITIALIZER;

static hone_status make_model(int64_t version, model *made)
{
    hone_store *store = NULL;
    sqlite3_stmt *objects;
    bool row;
    size_t size = 0;
    hone_status status;
    HONE_TRY(hone_store_open_memory("the schema", &store));
    for (int64_t i = 0; i < version; i++) HONE_TRY(hone_store_exec(store, hone_schema_migrations[i]));
    HONE_TRY(hone_store_prepare(store, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL", &objects));
    while ((status = hone_store_step(store, objects, &row)) == HONE_OK && row)
        for (int i = 0; i < 3; i++) {
            const char *text = (const char *)sqlite3_column_text(objects, i);
            size_t bytes = text ? strlen(text) + 1 : 0;
            HONE_TRY(text ? HONE_OK : HONE_NO_MEMORY);
            HONE_ASSERT(size + bytes <= MODEL_BYTES);
            memcpy(made->text + size, text, bytes);
            size += bytes;
        }
    if (status == HONE_OK) made->size = size;
out:
    hone_store_close(store);
    return status;
}

static hone_status find_model(int64_t version, const model **found)
{
    model *wanted = &models[version < HONE_STORE_SCHEMA ? version : HONE_STORE_SCHEMA];
    pthread_mutex_lock(&models_lock);
    hone_status status = wanted->size ? HONE_OK : make_model(wanted - models, wanted);
    pthread_mutex_unlock(&models_lock);
    *found = wanted;
    return status;
}

// Every table, index and view of hone's is there and is made as hone makes it: a file from elsewhere could hold a view
// in a table's place, whose reading never ends. What else a user has added is let be.
// Of a newer version only the kinds can be known.
static hone_status check_objects(hone_store *store, int64_t version)
{
    static const char exact[] = "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND sql = ?3";
    static const char kind[] = "SELECT 1 WHERE ?1 <> 'table' OR EXISTS (SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2)";
    bool newer = version > HONE_STORE_SCHEMA, present;
    const model *wanted;
    const char *texts[3];              // of an object
    sqlite3_stmt *found;
    hone_status status;
    HONE_TRY(find_model(version, &wanted));
    for (const char *at = wanted->text; at < wanted->text + wanted->size;) {
        for (int i = 0; i < 3; i++, at += strlen(at) + 1) texts[i] = at;
        HONE_TRY(hone_store_prepare(store, newer ? kind : exact, &found));
        for (int i = 0; i < (newer ? 2 : 3); i++) sqlite3_bind_text(found, i + 1, texts[i], -1, SQLITE_STATIC);
        HONE_TRY(hone_store_step(store, found, &present));
        sqlite3_reset(found);
        if (present) continue;
        return hone_fail(HONE_DAMAGED, "%s does not have the %s %s as hone makes it: take the database from a copy or a dump", store->path, texts[0], texts[1]);
    }
out:
    return status;
}

static hone_status check_hostile(hone_store *store)
{
    int64_t hostile = 0;
    hone_status status = hone_store_pragma(store, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' OR rootpage = 0 AND type = 'table'",
                                           &hostile);
    if (status == HONE_OK && hostile)
        status = hone_fail(HONE_DAMAGED, "%s holds triggers or virtual tables, which no hone database has", store->path);
    return status;
}

// Of one moment: another process may be making the database.
static hone_status read_head(hone_store *store, int64_t *version, int64_t *objects, int64_t *application)
{
    hone_status status = hone_store_exec(store, "BEGIN");
    if (status != HONE_OK) return status;
    status = hone_store_pragma(store, "SELECT count(*) FROM sqlite_schema", objects);
    if (status == HONE_OK) status = hone_store_pragma(store, "PRAGMA user_version", version);
    if (status == HONE_OK) status = hone_store_pragma(store, "PRAGMA application_id", application);
    hone_status ended = hone_store_exec(store, status == HONE_OK ? "COMMIT" : "ROLLBACK");
    return status == HONE_OK ? ended : status;
}

hone_status hone_schema_open(hone_store *store)
{
    int64_t version = 0, objects = 0, application = 0;
    hone_status status;
    HONE_TRY(read_head(store, &version, &objects, &application));
    if (!objects && !version && store->access == HONE_STORE_CREATE) return hone_schema_migrate(store, HONE_STORE_SCHEMA);
    HONE_TRY(check_owner(store, version, objects, application));
    HONE_TRY(check_hostile(store));
    store->version = (int)version;
    if (version > HONE_STORE_SCHEMA) HONE_TRY(check_newer(store, version));
    HONE_TRY(check_objects(store, version));
    if (version < HONE_STORE_SCHEMA && store->access != HONE_STORE_READ) return hone_schema_migrate(store, HONE_STORE_SCHEMA);
    if (version < HONE_SCHEMA_RECHECK) return hone_store_exec(store, no_rechecks);
out:
    return status;
}
