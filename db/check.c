// SPDX-License-Identifier: Apache-2.0
// Looks for every fault: the file's structure, references, ids, derived columns, sequences. One line of the report for each.
#include <inttypes.h>
#include <string.h>

#include "db/fact_priv.h"
#include "db/identity_priv.h"

enum { FAULTS_MAX = 1000 };       // reported; one file can hold millions

typedef struct checker {
    hone_store *store;
    hone_text *report;
    int64_t faults;
    hone_text first;
} checker;

static void add_fault(checker *check, const char *line)
{
    if (!check->faults++) hone_text_printf(&check->first, "%s", line);
    if (check->faults <= FAULTS_MAX && check->report) hone_text_printf(check->report, "%s\n", line);
}

// Runs a statement whose rows are faults, each a line of text.
static hone_status check_rows(checker *check, const char *sql)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(check->store, sql, &statement);
    while (status == HONE_OK && (status = hone_store_step(check->store, statement, &row)) == HONE_OK && row) {
        const char *line = (const char *)sqlite3_column_text(statement, 0);
        if (line && strcmp(line, "ok")) add_fault(check, line);
    }
    return status;
}

// A damaged row is a fault of the file and does not end the check; any other failure does.
static hone_status check_table(checker *check, const hone_fact_table *table)
{
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_prepare(check->store, table->select, &statement);
    while (status == HONE_OK && (status = hone_store_step(check->store, statement, &row)) == HONE_OK && row) {
        status = hone_row_read_checked(check->store, table, statement, &found);
        if (status == HONE_OK) status = hone_row_check(table, found.values);
        if (status != HONE_DAMAGED && status != HONE_USAGE) continue;
        add_fault(check, hone_error_text());
        status = HONE_OK;
    }
    if (status != HONE_OK) sqlite3_reset(statement);
    hone_row_clear(&found);
    return status;
}

static const char references_sql[] =
    "SELECT format('%s row %d names a row of %s that is not there', \"table\", rowid, parent) FROM pragma_foreign_key_check";

// Within one writer's runs a sequence is used once. (Gaps are no fault: a database may hold a part of a writer's runs.) "local" is not one writer.
static const char samples_sql[] =
    "SELECT format('measurement row %d has %d samples counted and none stored', m.number, m.sample_count) FROM measurement m"
    " LEFT JOIN sample s ON s.measurement = m.number WHERE m.sample_count > 0 AND s.measurement IS NULL";

static const char devices_sql[] =
    "SELECT spelling, backend, architecture, model, multiprocessors, memory_bytes, clock_mhz, power_w, threads FROM device";

static bool is_text(sqlite3_stmt *statement, int at, const char *wanted)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    return text && !strcmp(text, wanted);
}

static hone_status check_devices(checker *check)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(check->store, devices_sql, &statement);
    while (status == HONE_OK && (status = hone_store_step(check->store, statement, &row)) == HONE_OK && row) {
        hone_device_words words;
        const char *spelling = (const char *)sqlite3_column_text(statement, 0);
        hone_device_read(spelling ? spelling : "", &words);
        const int64_t numbers[] = {words.multiprocessors, words.memory_bytes, words.clock_mhz, words.power_w, words.threads};
        bool same = is_text(statement, 1, words.backend) && is_text(statement, 2, words.architecture) && is_text(statement, 3, words.model);
        for (int i = 0; i < 5; i++) same &= sqlite3_column_int64(statement, 4 + i) == numbers[i];
        if (!same) add_fault(check, "the columns of a device do not say what its spelling says");
    }
    return status;
}

static hone_status check_tactics(checker *check)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(check->store, "SELECT spelling, source, kernel, version, parameters FROM tactic", &statement);
    while (status == HONE_OK && (status = hone_store_step(check->store, statement, &row)) == HONE_OK && row) {
        hone_tactic_words words;
        const char *spelling = (const char *)sqlite3_column_text(statement, 0);
        hone_tactic_read(spelling ? spelling : "", &words);
        if (!is_text(statement, 1, words.source) || !is_text(statement, 2, words.kernel) || !is_text(statement, 4, words.parameters)
            || sqlite3_column_int64(statement, 3) != words.version)
            add_fault(check, "the columns of a tactic do not say what its spelling says");
    }
    return status;
}

static hone_status check_all(checker *check)
{
    hone_status status;
    HONE_TRY(check_rows(check, "PRAGMA integrity_check"));
    HONE_TRY(check_rows(check, references_sql));
    HONE_TRY(check_rows(check, samples_sql));
    for (int i = 0; i < hone_fact_count; i++) HONE_TRY(check_table(check, &hone_facts[i]));
    HONE_TRY(check_devices(check));
    HONE_TRY(check_tactics(check));
out:
    return status;
}

hone_status hone_store_check(hone_store *store, hone_text *report)
{
    checker check = {.store = store, .report = report};
    hone_status status = hone_store_begin_read(store);
    if (status != HONE_OK) return status;
    hone_text_init(&check.first);
    status = check_all(&check);
    hone_store_end_read(store);
    if (status == HONE_DAMAGED) {
        add_fault(&check, hone_error_text());
        status = HONE_OK;
    }
    if (check.faults > FAULTS_MAX && report) hone_text_printf(report, "and %" PRId64 " more\n", check.faults - FAULTS_MAX);
    if (status == HONE_OK && check.faults)
        status = hone_fail(HONE_DAMAGED, "%s has %" PRId64 " fault%s: %s", store->path, check.faults, check.faults > 1 ? "s" : "",
                           hone_text_get(&check.first));
    hone_text_clear(&check.first);
    if (status == HONE_OK && store->under) return hone_store_check(store->under, report);
    return status;
}
