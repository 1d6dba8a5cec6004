// SPDX-License-Identifier: Apache-2.0
// A part of a store, chosen by a question, as a store of its own in memory: what is dumped, sent or merged from there is complete in
// itself. Batches stay behind: they name rows that may be missing here.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"
#include "db/identity_priv.h"

typedef struct renamed {           // a run that was rewritten has another id
    hone_id from, to;
} renamed;

typedef struct exporter {
    hone_store *from, *to;
    const hone_export *wanted;
    bool chosen;                   // not everything
    char **problems;               // owned, sorted: of the network
    size_t problem_count, problem_capacity;
    hone_id_list networks, runs;   // digests of the network; runs that measurements name
    char **artifacts;              // owned: keys that measurements name
    size_t artifact_count, artifact_capacity;
    renamed *runs_made;            // owned, sorted by from
    size_t run_count, run_capacity;
} exporter;

static void clear_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++) hone_free(texts[i]);
    hone_free(texts);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_text(char *const *texts, size_t count, const char *text)
{
    return count && bsearch(&text, texts, count, sizeof *texts, compare_texts);
}

static hone_status add_text(char ***texts, size_t *count, size_t *capacity, const char *text)
{
    if (hone_grow(texts, *count, capacity, sizeof **texts, (size_t)1 << 26) || !((*texts)[*count] = hone_strdup(text))) return HONE_NO_MEMORY;
    ++*count;
    return HONE_OK;
}

static int compare_renamed(const void *a, const void *b)
{
    return memcmp(&((const renamed *)a)->from, &((const renamed *)b)->from, sizeof(hone_id));
}

// ---- the question

static hone_status find_network(exporter *out)
{
    static const char sql[] = "SELECT n.digest, p.spelling FROM network n JOIN network_problem x ON x.network = n.digest"
        " JOIN problem p ON p.number = x.problem WHERE n.name = ?";
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(out->from, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, out->wanted->network, -1, SQLITE_STATIC);
    while ((status = hone_store_step(out->from, find, &row)) == HONE_OK && row) {
        if (sqlite3_column_bytes(find, 0) == sizeof(hone_id)) status = hone_ids_add(&out->networks, sqlite3_column_blob(find, 0), 1);
        if (status == HONE_OK)
            status = add_text(&out->problems, &out->problem_count, &out->problem_capacity, (const char *)sqlite3_column_text(find, 1));
        if (status != HONE_OK) break;
    }
    sqlite3_reset(find);
    if (status == HONE_OK && !out->problem_count)
        return hone_fail(HONE_MISS, "%s has no network '%s': `hone tune MODEL.onnx` registers one", out->from->path, out->wanted->network);
    hone_ids_sort(&out->networks);
    if (out->problem_count) qsort(out->problems, out->problem_count, sizeof *out->problems, compare_texts);
    return status;
}

static bool wants_problem(const exporter *out, const char *problem)
{
    const char *op = out->wanted->op;
    if (op && (strncmp(problem, op, strlen(op)) || !strchr(" ", problem[strlen(op)]))) return false;
    return !out->wanted->network || has_text(out->problems, out->problem_count, problem);
}

static bool wants_device(const exporter *out, const char *device)
{
    hone_device_words words;
    if (!out->wanted->architecture) return true;
    hone_device_read(device, &words);
    return !strcmp(words.architecture, out->wanted->architecture);
}

static bool wants_network(const exporter *out, const hone_cell *digest)
{
    return !out->wanted->network || hone_ids_has(&out->networks, digest->data);
}

static bool wants_row(const exporter *out, int fact, const hone_cell *values)
{
    switch (fact) {
    case HONE_FACT_MEASUREMENT: return wants_problem(out, values[HONE_M_PROBLEM].data) && wants_device(out, values[HONE_M_DEVICE].data);
    case HONE_FACT_RECHECK: return wants_device(out, values[HONE_RE_DEVICE].data);
    case HONE_FACT_COVERAGE: return wants_problem(out, values[HONE_C_PROBLEM].data) && wants_device(out, values[HONE_C_DEVICE].data);
    case HONE_FACT_NETWORK: case HONE_FACT_CALIBRATION: return wants_network(out, &values[0]);
    case HONE_FACT_NETWORK_PROBLEM: return wants_network(out, &values[0]) && wants_problem(out, values[1].data);
    case HONE_FACT_PLAN: case HONE_FACT_PLAN_STEP: return !out->chosen && !out->wanted->strip_private;     // they name what may be missing
    case HONE_FACT_ARTIFACT: return !out->chosen || has_text(out->artifacts, out->artifact_count, values[0].data);
    case HONE_FACT_RULING: return !out->wanted->strip_private;
    case HONE_FACT_BATCH: return false;
    default: return true;
    }
}

// ---- copying

// Options and names are the user's own words: paths, projects; what a dump's giver vouches for is no longer the word of many. Such a row is another
// row, with an id of its own.
static hone_status rewrite(exporter *out, int fact, hone_row *row)
{
    hone_cell none = {.data = "", .size = 0};
    const bool strips = out->wanted->strip_private;
    if (!strips && !out->wanted->vouch) return HONE_OK;
    if (strips && fact == HONE_FACT_RUN) row->values[HONE_RUN_OPTIONS] = none;
    if (strips && fact == HONE_FACT_NETWORK) row->values[1] = none;
    if (strips && fact == HONE_FACT_MEASUREMENT) row->values[HONE_M_NOTE] = none;
    if (out->wanted->vouch && fact == HONE_FACT_RUN) row->values[HONE_RUN_WRITER] = (hone_cell){.data = "local", .size = 5};
    const hone_cell *run = hone_row_run(fact, row->values);
    if (run) {
        renamed *found = bsearch(run->data, out->runs_made, out->run_count, sizeof *found, compare_renamed);
        if (!found) return hone_fail(HONE_DAMAGED, "%s has a %s without its run", out->from->path, hone_facts[fact].name);
        row->values[run - row->values] = hone_cell_id(&found->to);
    }
    return hone_row_hash(&hone_facts[fact], row->values, &row->id);
}

static hone_status note_run(exporter *out, const hone_id *from, const hone_id *to)
{
    if (hone_grow(&out->runs_made, out->run_count, &out->run_capacity, sizeof *out->runs_made, (size_t)1 << 26)) return HONE_NO_MEMORY;
    out->runs_made[out->run_count++] = (renamed){*from, *to};
    return HONE_OK;
}

static hone_status copy_row(exporter *out, int fact, hone_row *row)
{
    hone_id before = row->id;
    int64_t added;
    if (!wants_row(out, fact, row->values)) return HONE_OK;
    if (fact == HONE_FACT_RUN && out->chosen && !hone_ids_has(&out->runs, &before)) return HONE_OK;
    hone_status status = rewrite(out, fact, row);
    if (status == HONE_OK) status = hone_row_put(out->to, &hone_facts[fact], row, &added);
    if (status == HONE_OK && fact == HONE_FACT_RUN) status = note_run(out, &before, &row->id);
    return status;
}

static hone_status note_names(exporter *out, int fact, hone_row *row)
{
    const char *key = fact == HONE_FACT_MEASUREMENT ? row->values[HONE_M_ARTIFACT].data : "";
    if (!wants_row(out, fact, row->values)) return HONE_OK;
    hone_status status = hone_ids_add(&out->runs, hone_row_run(fact, row->values)->data, 1);
    return status == HONE_OK && *key ? add_text(&out->artifacts, &out->artifact_count, &out->artifact_capacity, key) : status;
}

static hone_status each_row(exporter *out, int fact, hone_status (*each)(exporter *out, int fact, hone_row *row))
{
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_prepare(out->from, hone_facts[fact].select, &statement);
    if (status != HONE_OK) return status;
    while ((status = hone_store_step(out->from, statement, &row)) == HONE_OK && row) {
        status = hone_row_read_checked(out->from, &hone_facts[fact], statement, &found);
        if (status == HONE_OK) status = each(out, fact, &found);
        if (status != HONE_OK) break;
    }
    sqlite3_reset(statement);
    hone_row_clear(&found);
    return status;
}

static hone_status copy_problems(exporter *out)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(out->from, "SELECT spelling, flops, bytes FROM problem WHERE flops IS NOT NULL", &find);
    while (status == HONE_OK && (status = hone_store_step(out->from, find, &row)) == HONE_OK && row) {
        const char *spelling = (const char *)sqlite3_column_text(find, 0);
        if (spelling && wants_problem(out, spelling))
            status = hone_problem_put(out->to, spelling, strlen(spelling), sqlite3_column_int64(find, 1), sqlite3_column_int64(find, 2));
    }
    if (status != HONE_OK) sqlite3_reset(find);
    return status;
}

static hone_status copy_all(exporter *out)
{
    hone_status status = HONE_OK;
    if (out->wanted->network) HONE_TRY(find_network(out));
    if (out->chosen) HONE_TRY(each_row(out, HONE_FACT_MEASUREMENT, note_names));
    if (out->chosen) HONE_TRY(each_row(out, HONE_FACT_RECHECK, note_names));
    hone_ids_sort(&out->runs);
    if (out->artifact_count) qsort(out->artifacts, out->artifact_count, sizeof *out->artifacts, compare_texts);
    for (int fact = 0; fact < hone_fact_count; fact++) {
        HONE_TRY(each_row(out, fact, copy_row));
        if (fact == HONE_FACT_RUN && out->run_count) qsort(out->runs_made, out->run_count, sizeof *out->runs_made, compare_renamed);
    }
    HONE_TRY(copy_problems(out));
out:
    return status;
}

hone_status hone_store_export(hone_store *store, const hone_export *wanted, hone_store **made)
{
    exporter out = {.from = store, .wanted = wanted, .chosen = wanted->architecture || wanted->op || wanted->network};
    hone_status status;
    *made = NULL;
    HONE_TRY(hone_store_open_memory(store->path, &out.to));
    HONE_TRY(hone_schema_open(out.to));
    HONE_TRY(hone_store_begin_read(store));
    HONE_TRY(hone_store_begin(out.to));
    status = hone_store_end(out.to, copy_all(&out));
    hone_store_end_read(store);
    if (status != HONE_OK) goto out;
    *made = out.to;
    out.to = NULL;
out:
    hone_store_close(out.to);
    clear_texts(out.problems, out.problem_count);
    clear_texts(out.artifacts, out.artifact_count);
    hone_ids_clear(&out.networks);
    hone_ids_clear(&out.runs);
    hone_free(out.runs_made);
    return status;
}
