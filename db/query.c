// SPDX-License-Identifier: Apache-2.0
// Questions to the database. Each answer is taken from this store and all under it, each fact once.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/zip.h"
#include "db/batch_priv.h"
#include "db/identity_priv.h"
#include "db/rank_priv.h"
#include "db/recheck_priv.h"
#include "db/words_priv.h"

enum { ANSWER_BYTES_MAX = 256 << 20 };

#define LINES_MAX ((size_t)1 << 24)

// ---- evidence

// Text that repeats from row to row is kept once.
static const char *keep_text(hone_arena *arena, const hone_cell *value, const char *before)
{
    return before && !strcmp(before, value->data) ? before : hone_arena_strdup(arena, value->data);
}

static hone_status unpack_texts(const hone_row *row, hone_arena *arena, const hone_measurement *before, hone_measurement *made)
{
    const struct { int column; const char *before; const char **text; } texts[] = {
        {HONE_M_PROBLEM, before->problem, &made->problem}, {HONE_M_TACTIC, before->tactic, &made->tactic},
        {HONE_M_DEVICE, before->device, &made->device}, {HONE_M_TOOLCHAIN, before->toolchain, &made->toolchain},
        {HONE_M_DEPENDS, before->depends, &made->depends}, {HONE_M_MODE, before->mode, &made->mode},
        {HONE_M_TIMER, before->timer, &made->timer}, {HONE_M_THROTTLE, before->throttle, &made->throttle},
        {HONE_M_ARTIFACT, before->artifact, &made->artifact}, {HONE_M_NOTE, before->note, &made->note},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!(*texts[i].text = keep_text(arena, &row->values[texts[i].column], texts[i].before))) return HONE_NO_MEMORY;
    return HONE_OK;
}

static hone_status unpack_measurement(const hone_row *row, hone_arena *arena, const hone_measurement *before, hone_measurement *made)
{
    const hone_cell *values = row->values;
    hone_status status = unpack_texts(row, arena, before, made);
    if (status != HONE_OK) return status;
    if (hone_verdict_parse(values[HONE_M_VERDICT].data, &made->verdict))
        return hone_fail(HONE_DAMAGED, "the database has a verdict '%s', which this hone does not know", (const char *)values[HONE_M_VERDICT].data);
    memcpy(&made->run, values[HONE_M_RUN].data, sizeof made->run);
    made->median_ns = values[HONE_M_MEDIAN].real;
    made->mad_ns = values[HONE_M_MAD].real;
    made->min_ns = values[HONE_M_MIN].real;
    made->workspace_bytes = values[HONE_M_WORKSPACE].integer;
    made->error = values[HONE_M_ERROR].real;
    made->clock_mhz = values[HONE_M_CLOCK].real;
    made->temperature_c = values[HONE_M_TEMPERATURE].real;
    made->power_w = values[HONE_M_POWER].real;
    made->registers = values[HONE_M_REGISTERS].integer;
    made->sample_count = values[HONE_M_SAMPLES].size;
    if (!made->sample_count) return HONE_OK;
    double *samples = hone_arena_alloc(arena, made->sample_count * sizeof *samples);
    if (!samples) return HONE_NO_MEMORY;
    made->samples_ns = memcpy(samples, values[HONE_M_SAMPLES].data, made->sample_count * sizeof *samples);
    return HONE_OK;
}

// No SM does more in a clock than its tensor units' dense peak in their narrowest type (NVIDIA's architecture papers). Bytes bound
// nothing: a gather does not read all of its table.
static double find_bound(const char *device, int64_t flops)
{
    static const struct { const char *architecture; double flops_a_clock; } peaks[] = {
        {"sm_70", 1024}, {"sm_75", 2048}, {"sm_80", 4096}, {"sm_86", 2048}, {"sm_87", 2048}, {"sm_89", 2048}, {"sm_90", 8192},
    };
    hone_device_words words;
    double peak = 32768;
    hone_device_read(device, &words);
    double clocks_a_ns = (double)words.multiprocessors * (double)words.clock_mhz / 1e3;
    if (strcmp(words.backend, "cuda") || clocks_a_ns <= 0) return 0;
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
        if (!strcmp(words.architecture, peaks[i].architecture)) peak = peaks[i].flops_a_clock;
    return (double)flops / (clocks_a_ns * peak);
}

static hone_status add_evidence(const hone_row *row, hone_arena *arena, hone_evidence_list *list)
{
    static const hone_measurement none;
    if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, LINES_MAX)) return HONE_NO_MEMORY;
    hone_evidence *made = &list->items[list->count];
    memset(made, 0, sizeof *made);
    made->id = row->id;
    made->start_unix_ms = row->start_unix_ms;
    made->bound_ns = find_bound(row->values[HONE_M_DEVICE].data, row->flops);
    made->writer = list->count && !strcmp(made[-1].writer, row->writer) ? made[-1].writer : hone_arena_strdup(arena, row->writer);
    if (!made->writer) return HONE_NO_MEMORY;
    hone_status status = unpack_measurement(row, arena, list->count ? &made[-1].row : &none, &made->row);
    if (status == HONE_OK) list->count++;
    return status;
}

static hone_status collect_layer(hone_store *store, const char *device, const char *problem, hone_arena *arena, hone_evidence_list *list)
{
    static const char sql[] = HONE_MEASUREMENT_SELECT " WHERE m.device = (SELECT number FROM device WHERE spelling = ?)"
        " AND m.problem = (SELECT number FROM problem WHERE spelling = ?)";
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK) status = hone_store_prepare(store, sql, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, problem, -1, SQLITE_STATIC);
    while ((status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        status = hone_row_read_checked(store, &hone_facts[HONE_FACT_MEASUREMENT], statement, &found);
        if (status == HONE_OK) status = add_evidence(&found, arena, list);
        if (status != HONE_OK) break;
    }
    sqlite3_reset(statement);
    hone_row_clear(&found);
    return status;
}

// Leaves out what rulings hide, and marks whose word needs another's.
static hone_status weigh(hone_store *store, hone_store *layer, bool ruled, size_t from, hone_evidence_list *list)
{
    size_t kept = from;
    const char *asked = "local";
    hone_trust trust = HONE_TRUST_PROMOTE;
    hone_status status = HONE_OK;
    for (size_t i = from; i < list->count && status == HONE_OK; i++) {
        hone_evidence *at = &list->items[i];
        bool counts = true, promoted = false;
        if (ruled) status = hone_trust_counts(store, layer, &at->id, &at->row.run, &counts, &promoted);
        if (status == HONE_OK && strcmp(at->writer, asked)) status = hone_trust_of(store, asked = at->writer, &trust);
        at->promoted = promoted;
        at->remote = trust != HONE_TRUST_PROMOTE && !promoted;
        if (counts && (trust != HONE_TRUST_SUSPENDED || promoted)) list->items[kept++] = *at;
    }
    list->count = kept;
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(((const hone_evidence *)a)->id.bytes, ((const hone_evidence *)b)->id.bytes, sizeof(hone_id));
}

hone_status hone_evidence_collect(hone_store *store, const char *device, const char *problem, hone_arena *arena, hone_evidence_list *list)
{
    bool ruled;
    hone_status status = hone_trust_any(store, &ruled);
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) {
        size_t from = list->count;
        status = collect_layer(at, device, problem, arena, list);
        if (status == HONE_OK) status = weigh(store, at, ruled, from, list);
    }
    return status;
}

// ---- another model of the architecture

static double likeness(int64_t a, int64_t b)
{
    return a > 0 && b > 0 ? fabs(log((double)a / (double)b)) : 10;
}

static bool is_sibling(const char *asked, const char *other)
{
    hone_device_words a, b;
    hone_device_read(asked, &a);
    hone_device_read(other, &b);
    return strcmp(asked, other) && *a.architecture && !strcmp(a.backend, b.backend) && !strcmp(a.architecture, b.architecture);
}

static double distance(const char *asked, const char *other)
{
    hone_device_words a, b;
    hone_device_read(asked, &a);
    hone_device_read(other, &b);
    return likeness(a.multiprocessors, b.multiprocessors) + likeness(a.threads, b.threads);
}

static bool has_ok(const hone_evidence_list *list, size_t from, const char *mode)
{
    for (size_t i = from; i < list->count; i++)
        if (list->items[i].row.verdict == HONE_VERDICT_OK && (!*mode || !strcmp(list->items[i].row.mode, mode))) return true;
    return false;
}

// Adds the evidence of the likest other model that has any for this problem; of equally like ones the lexically first.
static hone_status collect_sibling(hone_store *store, const hone_question *question, hone_arena *arena, hone_evidence_list *list)
{
    static const char sql[] = "SELECT d.spelling, 0 FROM device d WHERE EXISTS (SELECT 1 FROM measurement m"
        " WHERE m.device = d.number AND m.problem = (SELECT number FROM problem WHERE spelling = ?))";
    hone_word_list devices = {0};
    size_t from = list->count;
    hone_status status = hone_words_collect(store, sql, question->problem, &devices);
    hone_words_join(&devices);
    while (status == HONE_OK && !has_ok(list, from, question->mode)) {
        hone_word *best = NULL;
        list->count = from;
        for (size_t i = 0; i < devices.count; i++) {
            hone_word *at = &devices.items[i];
            if (at->count < 0 || !is_sibling(question->device, at->text)) continue;
            if (!best || distance(question->device, at->text) < distance(question->device, best->text)) best = at;
        }
        if (!best) break;
        best->count = -1;       // asked
        status = hone_evidence_collect(store, best->text, question->problem, arena, list);
    }
    hone_words_clear(&devices);
    for (size_t i = from; i < list->count; i++) list->items[i].level = 2;
    return status;
}

// ---- the questions

static hone_status fresh_arena(hone_store *store)
{
    hone_arena_free(store->answers);
    store->answers = hone_arena_new(ANSWER_BYTES_MAX);
    return store->answers ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status collect_asked(hone_store *store, const hone_question *question, hone_evidence_list *list)
{
    size_t kept = 0;
    const char *toolchain = question->toolchain ? question->toolchain : "";
    hone_status status = fresh_arena(store);
    if (status == HONE_OK) status = hone_evidence_collect(store, question->device, question->problem, store->answers, list);
    if (status == HONE_OK) status = hone_recheck_apply(store, question->device, toolchain, store->answers, list);
    if (status != HONE_OK) return status;
    for (size_t i = 0; i < list->count; i++) {
        hone_evidence *at = &list->items[i];
        at->level = (at->rescaled > 0 && !at->last_resort) || hone_toolchain_covers(toolchain, at->row.depends) ? 0 : 1;
        if (at->level == 0 || at->last_resort || question->allow_stale) list->items[kept++] = *at;
    }
    list->count = kept;
    return question->allow_approximate ? collect_sibling(store, question, store->answers, list) : HONE_OK;
}

hone_status hone_store_rank(hone_store *store, const hone_question *question, hone_ranked **ranked, size_t *count)
{
    hone_evidence_list list = {0};
    *ranked = NULL;
    *count = 0;
    hone_status status = collect_asked(store, question, &list);
    if (status == HONE_OK) status = hone_rank(&list, question->mode ? question->mode : "", ranked, count);
    hone_free(list.items);
    return status;
}

static int compare_tactics(const void *a, const void *b)
{
    const hone_evidence *x = a, *y = b;
    int order = strcmp(x->row.tactic, y->row.tactic);
    return order ? order : compare_ids(a, b);
}

hone_status hone_store_each_failure(hone_store *store, const hone_question *question,
                                    hone_status (*each)(void *user, const char *tactic, hone_verdict verdict, const char *note), void *user)
{
    hone_evidence_list list = {0};
    hone_status status = collect_asked(store, question, &list);
    hone_arena *answers = store->answers;      // kept from a ranking inside the callback
    store->answers = NULL;
    if (status == HONE_OK && list.count) qsort(list.items, list.count, sizeof *list.items, compare_tactics);
    for (size_t i = 0; status == HONE_OK && i < list.count; i++) {
        const hone_measurement *row = &list.items[i].row;
        if (i && hone_id_equal(&list.items[i - 1].id, &list.items[i].id)) continue;
        if (row->verdict == HONE_VERDICT_OK || (question->mode && *question->mode && strcmp(question->mode, row->mode))) continue;
        status = each(user, row->tactic, row->verdict, row->note);
    }
    hone_arena_free(answers);
    hone_free(list.items);
    return status;
}

hone_status hone_store_find_bad(hone_store *store, const hone_question *question, const char *tactic, hone_verdict *verdict, bool *found)
{
    hone_question exact = *question;
    hone_evidence_list list = {0};
    exact.allow_stale = exact.allow_approximate = false;
    hone_status status = collect_asked(store, &exact, &list);
    const hone_evidence *bad = status == HONE_OK ? hone_evidence_find_bad(&list, question->toolchain ? question->toolchain : "", tactic) : NULL;
    *found = bad != NULL;
    if (bad) *verdict = bad->row.verdict;
    hone_free(list.items);
    return status;
}

hone_status hone_store_find_mode(hone_store *store, const char *device, const char *mode, bool *found)
{
    static const char sql[] = "SELECT 1 FROM measurement WHERE device = (SELECT number FROM device WHERE spelling = ?) AND mode = ? LIMIT 1";
    *found = false;
    for (hone_store *at = store; at && !*found; at = at->under) {
        sqlite3_stmt *statement;
        hone_status status = hone_store_ready(at);
        if (status == HONE_OK) status = hone_store_prepare(at, sql, &statement);
        if (status != HONE_OK) return status;
        sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, mode, -1, SQLITE_STATIC);
        if ((status = hone_store_step(at, statement, found)) != HONE_OK) return status;
        sqlite3_reset(statement);
    }
    return HONE_OK;
}

// Compared here and not in SQL, so that a row is held against its id before it is passed over.
static bool is_asked(const hone_row *row, const hone_coverage *asked)
{
    return !strcmp(row->values[HONE_C_SOURCE].data, asked->source) && row->values[HONE_C_VERSION].integer == asked->version
        && !strcmp(row->values[HONE_C_DEPENDS].data, asked->depends ? asked->depends : "");
}

static hone_status covers(hone_store *top, hone_store *store, const hone_coverage *asked, bool *covered)
{
    static const char sql[] = "SELECT c.id, p.spelling, d.spelling, c.depends, c.source, c.version, c.effort, c.tried FROM coverage c"
        " LEFT JOIN problem p ON p.number = c.problem LEFT JOIN device d ON d.number = c.device"
        " WHERE c.device = (SELECT number FROM device WHERE spelling = ?) AND c.problem = (SELECT number FROM problem WHERE spelling = ?)";
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row, promoted;
    int level = hone_effort_level(asked->effort);
    hone_status status = hone_store_ready(store);
    if (level < 0) return hone_fail(HONE_USAGE, "'%s' is no effort", asked->effort);
    if (status == HONE_OK) status = hone_store_prepare(store, sql, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(statement, 1, asked->device, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, asked->problem, -1, SQLITE_STATIC);
    while (!*covered && (status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        status = hone_row_read_checked(store, &hone_facts[HONE_FACT_COVERAGE], statement, &found);
        if (status != HONE_OK) break;
        if (!is_asked(&found, asked) || hone_effort_level(found.values[HONE_C_EFFORT].data) < level) continue;
        if ((status = hone_trust_counts(top, store, &found.id, NULL, covered, &promoted)) != HONE_OK) break;
    }
    sqlite3_reset(statement);
    return status;
}

hone_status hone_store_find_coverage(hone_store *store, const hone_coverage *asked, bool *covered)
{
    hone_status status = HONE_OK;
    *covered = false;
    for (hone_store *at = store; at && !*covered && status == HONE_OK; at = at->under) status = covers(store, at, asked, covered);
    return status;
}

// Of several artifacts under one key the one with the smallest id counts, so that it does not matter which came first.
static hone_status find_artifact(hone_store *top, hone_store *store, const char *key, hone_id *best, void **data, size_t *size_bytes)
{
    static const char sql[] = "SELECT id, key, kind, data FROM artifact WHERE key = ? ORDER BY id";
    sqlite3_stmt *statement;
    hone_row found = {0};
    void *plain = NULL;
    size_t plain_bytes;
    bool row, counts = false, promoted;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK) status = hone_store_prepare(store, sql, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    while (!counts) {
        HONE_TRY(hone_store_step(store, statement, &row));
        if (!row) return HONE_OK;
        HONE_TRY(hone_row_read_checked(store, &hone_facts[HONE_FACT_ARTIFACT], statement, &found));
        HONE_TRY(hone_trust_counts(top, store, &found.id, NULL, &counts, &promoted));
    }
    if (*data && memcmp(found.id.bytes, best->bytes, sizeof found.id.bytes) >= 0) goto out;
    HONE_TRY(hone_unzip(found.values[2].data, found.values[2].size, HONE_ARTIFACT_MAX, &plain, &plain_bytes));
    hone_free(*data);
    *data = plain;
    *size_bytes = plain_bytes;
    *best = found.id;
out:
    sqlite3_reset(statement);
    return status;
}

hone_status hone_store_find_artifact(hone_store *store, const char *key, void **data, size_t *size_bytes)
{
    hone_status status = HONE_OK;
    hone_id best = {{0}};
    *data = NULL;
    *size_bytes = 0;
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) status = find_artifact(store, at, key, &best, data, size_bytes);
    if (status == HONE_OK) return HONE_OK;
    hone_free(*data);
    *data = NULL;
    return status;
}

hone_status hone_store_each_measurement(hone_store *store, const char *device, const char *problem,
                                        hone_status (*each)(void *user, const hone_id *id, const hone_measurement *row), void *user)
{
    hone_evidence_list list = {0};
    hone_arena *arena = hone_arena_new(ANSWER_BYTES_MAX);
    hone_status status = arena ? hone_evidence_collect(store, device, problem, arena, &list) : HONE_NO_MEMORY;
    if (status == HONE_OK && list.count) qsort(list.items, list.count, sizeof *list.items, compare_ids);
    for (size_t i = 0; status == HONE_OK && i < list.count; i++)
        if (!i || !hone_id_equal(&list.items[i - 1].id, &list.items[i].id)) status = each(user, &list.items[i].id, &list.items[i].row);
    hone_free(list.items);
    hone_arena_free(arena);
    return status;
}

static hone_status count_one(hone_store *store, const char *sql, int64_t *sum)
{
    int64_t value = 0;
    hone_status status = hone_store_pragma(store, sql, &value);
    *sum += value;
    return status;
}

// Layer by layer: what two layers both hold is counted in both.
hone_status hone_store_count(hone_store *store, hone_store_counts *counts)
{
    const struct { const char *sql; int64_t *sum; } all[] = {
        {"SELECT count(*) FROM device", &counts->devices}, {"SELECT count(*) FROM toolchain", &counts->toolchains},
        {"SELECT count(*) FROM problem", &counts->problems}, {"SELECT count(*) FROM tactic", &counts->tactics},
        {"SELECT count(*) FROM run", &counts->runs}, {"SELECT count(*) FROM measurement", &counts->measurements},
        {"SELECT coalesce(sum(sample_count), 0) FROM measurement", &counts->samples},
        {"SELECT count(*) FROM coverage", &counts->coverage}, {"SELECT count(DISTINCT digest) FROM network", &counts->networks},
        {"SELECT count(DISTINCT digest) FROM plan", &counts->plans}, {"SELECT count(*) FROM artifact", &counts->artifacts},
        {"SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &counts->bytes},
    };
    memset(counts, 0, sizeof *counts);
    for (hone_store *at = store; at; at = at->under) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            hone_status status = count_one(at, all[i].sql, all[i].sum);
            if (status != HONE_OK) return status;
        }
    }
    return HONE_OK;
}
