// SPDX-License-Identifier: Apache-2.0
// Puts: a record becomes the values of a fact, and one durable transaction stores it.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/zip.h"
#include "db/fact_priv.h"

enum { NOTE_BYTES_MAX = 4096, ARTIFACT_LEVEL = 9 };

static const char *or_empty(const char *text) { return text ? text : ""; }
static double or_unknown(double value) { return isfinite(value) ? value : -1; }

static hone_status put_hashed(hone_store *store, int fact, hone_row *row)
{
    int64_t added;
    hone_status status = hone_row_hash(&hone_facts[fact], row->values, &row->id);
    return status == HONE_OK ? hone_row_put(store, &hone_facts[fact], row, &added) : status;
}

static hone_status put_alone(hone_store *store, int fact, hone_row *row)
{
    hone_status status = hone_store_begin(store);
    return status == HONE_OK ? hone_store_end(store, put_hashed(store, fact, row)) : status;
}

// ---- runs

static hone_status next_sequence(hone_store *store, const char *writer, int64_t *sequence)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(store, "SELECT coalesce(max(sequence), -1) + 1 FROM run WHERE writer = ?", &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, writer, -1, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, &row)) != HONE_OK) return status;
    *sequence = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    return HONE_OK;
}

static hone_status put_private(hone_store *store, const hone_run *run, const hone_id *id)
{
    sqlite3_stmt *insert;
    bool row;
    if (!*or_empty(run->private_host) && !*or_empty(run->private_gpu_uuid)) return HONE_OK;
    hone_status status = hone_store_prepare(store, "INSERT OR IGNORE INTO run_private SELECT number, ?, ? FROM run WHERE id = ?", &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(insert, 1, or_empty(run->private_host), -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, or_empty(run->private_gpu_uuid), -1, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 3, id, sizeof *id, SQLITE_STATIC);
    return hone_store_step(store, insert, &row);
}

hone_status hone_store_put_run(hone_store *store, const hone_run *run, hone_id *id)
{
    hone_row row = {0};
    int64_t sequence = run->sequence;
    hone_status status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    if (sequence < 0) HONE_TRY(next_sequence(store, or_empty(run->writer), &sequence));
    row.values[HONE_RUN_START] = hone_cell_int(run->start_unix_ms);
    row.values[HONE_RUN_WRITER] = hone_cell_text(or_empty(run->writer));
    row.values[HONE_RUN_SEQUENCE] = hone_cell_int(sequence);
    row.values[HONE_RUN_EFFORT] = hone_cell_text(or_empty(run->effort));
    row.values[HONE_RUN_SEED] = hone_cell_int((int64_t)run->seed);
    row.values[HONE_RUN_OPTIONS] = hone_cell_text(or_empty(run->options));
    HONE_TRY(put_hashed(store, HONE_FACT_RUN, &row));
    HONE_TRY(put_private(store, run, &row.id));
out:
    status = hone_store_end(store, status);
    if (status == HONE_OK && id) *id = row.id;
    return status;
}

// ---- measurements

static size_t note_size(const char *note)
{
    size_t size = strlen(note);
    if (size <= NOTE_BYTES_MAX) return size;
    size = NOTE_BYTES_MAX;
    while (size && ((unsigned char)note[size] & 0xc0) == 0x80) size--;      // not within a UTF-8 character
    return size;
}

void hone_measurement_pack(const hone_measurement *row, hone_cell *values)
{
    const double reals[] = {row->median_ns, row->mad_ns, row->min_ns};
    bool ok = row->verdict == HONE_VERDICT_OK;
    values[HONE_M_PROBLEM] = hone_cell_text(or_empty(row->problem));
    values[HONE_M_TACTIC] = hone_cell_text(or_empty(row->tactic));
    values[HONE_M_DEVICE] = hone_cell_text(or_empty(row->device));
    values[HONE_M_TOOLCHAIN] = hone_cell_text(or_empty(row->toolchain));
    values[HONE_M_DEPENDS] = hone_cell_text(or_empty(row->depends));
    values[HONE_M_MODE] = hone_cell_text(or_empty(row->mode));
    values[HONE_M_VERDICT] = hone_cell_text(hone_verdict_name(row->verdict));
    for (int i = 0; i < 3; i++)       // a failure has no time; "unknown" and "none" are both 0
        values[HONE_M_MEDIAN + i] = hone_cell_real(ok || reals[i] > 0 ? reals[i] : 0);
    values[HONE_M_TIMER] = hone_cell_text(or_empty(row->timer));
    values[HONE_M_WORKSPACE] = hone_cell_int(row->workspace_bytes);
    values[HONE_M_ERROR] = hone_cell_real(isnan(row->error) ? INFINITY : row->error);
    values[HONE_M_CLOCK] = hone_cell_real(or_unknown(row->clock_mhz));
    values[HONE_M_TEMPERATURE] = hone_cell_real(or_unknown(row->temperature_c));
    values[HONE_M_POWER] = hone_cell_real(or_unknown(row->power_w));
    values[HONE_M_THROTTLE] = hone_cell_text(or_empty(row->throttle));
    values[HONE_M_REGISTERS] = hone_cell_int(row->registers);
    values[HONE_M_ARTIFACT] = hone_cell_text(or_empty(row->artifact));
    values[HONE_M_RUN] = hone_cell_id(&row->run);
    values[HONE_M_NOTE] = (hone_cell){.data = or_empty(row->note), .size = note_size(or_empty(row->note))};
    values[HONE_M_SAMPLES] = (hone_cell){.data = row->samples_ns, .size = row->sample_count};
}

hone_status hone_store_put_measurement(hone_store *store, const hone_measurement *row, hone_id *id)
{
    hone_row packed = {0};
    hone_measurement_pack(row, packed.values);
    hone_status status = put_alone(store, HONE_FACT_MEASUREMENT, &packed);
    if (status == HONE_OK && id) *id = packed.id;
    return status;
}

hone_status hone_store_put_coverage(hone_store *store, const hone_coverage *row)
{
    hone_row packed = {.values = {
        [HONE_C_PROBLEM] = hone_cell_text(or_empty(row->problem)), [HONE_C_DEVICE] = hone_cell_text(or_empty(row->device)),
        [HONE_C_DEPENDS] = hone_cell_text(or_empty(row->depends)), [HONE_C_SOURCE] = hone_cell_text(or_empty(row->source)),
        [HONE_C_VERSION] = hone_cell_int(row->version), [HONE_C_EFFORT] = hone_cell_text(or_empty(row->effort)),
        [HONE_C_TRIED] = hone_cell_int(row->tried)}};
    return put_alone(store, HONE_FACT_COVERAGE, &packed);
}

hone_status hone_store_put_recheck(hone_store *store, const hone_recheck *row)
{
    hone_row packed = {.values = {
        [HONE_RE_DEVICE] = hone_cell_text(or_empty(row->device)), [HONE_RE_FAMILY] = hone_cell_text(or_empty(row->family)),
        [HONE_RE_DEPENDS] = hone_cell_text(or_empty(row->depends)), [HONE_RE_NOW] = hone_cell_text(or_empty(row->now)),
        [HONE_RE_MODE] = hone_cell_text(or_empty(row->mode)), [HONE_RE_DECISION] = hone_cell_text(hone_recheck_name(row->decision)),
        [HONE_RE_SCALE] = hone_cell_real(row->scale), [HONE_RE_LOW] = hone_cell_real(row->low), [HONE_RE_HIGH] = hone_cell_real(row->high),
        [HONE_RE_TIMED] = hone_cell_int(row->timed), [HONE_RE_RUN] = hone_cell_id(&row->run)}};
    return put_alone(store, HONE_FACT_RECHECK, &packed);
}

hone_status hone_problem_put(hone_store *store, const char *spelling, size_t size, int64_t flops, int64_t bytes)
{
    static const char sql[] = "UPDATE problem SET flops = max(?2, coalesce(flops, ?2)), bytes = max(?3, coalesce(bytes, ?3))"
        " WHERE number = ?1 AND (flops IS NULL OR bytes IS NULL OR flops < ?2 OR bytes < ?3)";
    sqlite3_stmt *update;
    int64_t number;
    bool row;
    hone_status status = hone_spelling_put(store, HONE_COLUMN_PROBLEM, spelling, size, &number);
    if (status == HONE_OK) status = hone_store_prepare(store, sql, &update);
    if (status != HONE_OK) return status;
    sqlite3_bind_int64(update, 1, number);
    sqlite3_bind_int64(update, 2, flops);
    sqlite3_bind_int64(update, 3, bytes);
    return hone_store_step(store, update, &row);
}

hone_status hone_store_put_problem(hone_store *store, const char *problem, int64_t flops, int64_t bytes)
{
    hone_status status = hone_store_begin(store);
    return status == HONE_OK ? hone_store_end(store, hone_problem_put(store, problem, strlen(problem), flops, bytes)) : status;
}

hone_status hone_store_put_artifact(hone_store *store, const char *key, const char *kind, const void *data, size_t size_bytes)
{
    void *zipped = NULL;
    size_t zipped_bytes;
    if (size_bytes > HONE_ARTIFACT_MAX)
        return hone_fail(HONE_USAGE, "the artifact %s has %zu bytes, more than the %zu that are kept", key, size_bytes, HONE_ARTIFACT_MAX);
    hone_status status = hone_zip(data, size_bytes, ARTIFACT_LEVEL, &zipped, &zipped_bytes);
    if (status != HONE_OK) return status;
    hone_row row = {.values = {hone_cell_text(key), hone_cell_text(kind), {.data = zipped, .size = zipped_bytes}}};
    status = put_alone(store, HONE_FACT_ARTIFACT, &row);
    hone_free(zipped);
    return status;
}

// ---- networks and plans

hone_status hone_store_put_network(hone_store *store, const hone_id *digest, const char *name, const char *const *problems,
                                   const int64_t *times, size_t count)
{
    hone_row network = {.values = {hone_cell_id(digest), hone_cell_text(or_empty(name))}};
    hone_status status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    HONE_TRY(put_hashed(store, HONE_FACT_NETWORK, &network));
    for (size_t i = 0; i < count; i++) {
        hone_row row = {.values = {hone_cell_id(digest), hone_cell_text(problems[i]), hone_cell_int(times[i])}};
        HONE_TRY(put_hashed(store, HONE_FACT_NETWORK_PROBLEM, &row));
    }
out:
    return hone_store_end(store, status);
}

hone_status hone_store_put_plan(hone_store *store, const hone_id *digest, const hone_id *network, const char *device,
                                const hone_id *step_evidence, size_t count)
{
    hone_row plan = {.values = {hone_cell_id(digest), hone_cell_id(network), hone_cell_text(device)}};
    hone_status status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    HONE_TRY(put_hashed(store, HONE_FACT_PLAN, &plan));
    for (size_t i = 0; i < count; i++) {
        hone_row row = {.values = {hone_cell_id(digest), hone_cell_int((int64_t)i), hone_cell_id(&step_evidence[i])}};
        HONE_TRY(put_hashed(store, HONE_FACT_PLAN_STEP, &row));
    }
out:
    return hone_store_end(store, status);
}
