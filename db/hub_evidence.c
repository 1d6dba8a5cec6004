// SPDX-License-Identifier: Apache-2.0
// What a build of some problems on a device can depend on, so that a builder with nothing but a hub makes the same plan as beside the
// whole file. The answer: "hone-evidence 1", the snapshot's id, the device, its newest toolchain ("" none), "vouches WRITER" for
// each writer whose word needs no other's and "counts ID" for each row that a ruling vouches for, a blank line, then a dump: the measurements that count,
// their runs, their compiled artifacts, the work of their problems, the device's rechecks in force (each with its own "counts ID"). What the device itself lacks is sent of other models of its architecture.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/zip.h"
#include "db/batch_priv.h"
#include "db/dump_priv.h"
#include "db/hub_priv.h"
#include "db/identity_priv.h"
#include "db/rank_priv.h"
#include "db/recheck_priv.h"

enum { PROBLEMS_MAX = 20000, DEVICES_MAX = 64, LEVEL = 1 };

#define EVIDENCE_BYTES_MAX ((size_t)256 << 20)
#define ARENA_BYTES_MAX ((size_t)1 << 30)

typedef struct gathering {
    hone_store *store;
    const char *devices[DEVICES_MAX];      // the asked one, then its siblings; in the arena
    int device_count;
    bool approximate;
    hone_arena *arena;
    hone_evidence_list list;
    hone_text *out;
} gathering;

static bool same_architecture(const char *a, const char *b)
{
    hone_device_words x, y;
    hone_device_read(a, &x);
    hone_device_read(b, &y);
    return *x.architecture && !strcmp(x.backend, y.backend) && !strcmp(x.architecture, y.architecture);
}

static hone_status add_sibling(void *user, const char *spelling, int64_t measurements)
{
    gathering *g = user;
    (void)measurements;
    if (!strcmp(g->devices[0], spelling) || !same_architecture(g->devices[0], spelling) || g->device_count == DEVICES_MAX) return HONE_OK;
    g->devices[g->device_count++] = hone_arena_strdup(g->arena, spelling);
    return g->devices[g->device_count - 1] ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status gather_problem(gathering *g, const char *problem)
{
    size_t before = g->list.count;
    hone_status status = hone_evidence_collect(g->store, g->devices[0], problem, g->arena, &g->list);
    bool siblings = g->approximate || g->list.count == before;
    for (int k = 1; status == HONE_OK && siblings && k < g->device_count; k++)
        status = hone_evidence_collect(g->store, g->devices[k], problem, g->arena, &g->list);
    return status;
}

static hone_status gather(gathering *g, const char *body, size_t size)
{
    const char *end = body + size;
    size_t count = 0;
    for (const char *at = body, *stop; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop == at) continue;
        if (++count > PROBLEMS_MAX) return hone_fail(HONE_USAGE, "at most %d problems at once", PROBLEMS_MAX);
        hone_status status = hone_spelling_check("problem", at, (size_t)(stop - at));
        char *problem = status == HONE_OK ? hone_arena_printf(g->arena, "%.*s", (int)(stop - at), at) : NULL;
        if (status == HONE_OK) status = problem ? gather_problem(g, problem) : HONE_NO_MEMORY;
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

// ---- printing

static hone_status print_run(gathering *g, const hone_id *id)
{
    static const char sql[] = "SELECT id, start_unix_ms, writer, sequence, effort, seed, options, number FROM run WHERE id = ?";
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_prepare(g->store, sql, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(statement, 1, id, sizeof *id, SQLITE_STATIC);
    if ((status = hone_store_step(g->store, statement, &row)) == HONE_OK && row) {
        status = hone_row_read_checked(g->store, &hone_facts[HONE_FACT_RUN], statement, &found);
        if (status == HONE_OK) hone_dump_print_row(g->out, &hone_facts[HONE_FACT_RUN], &found);
    }
    sqlite3_reset(statement);
    return status;
}

static hone_status print_work(gathering *g, const char *problem)
{
    static const char sql[] = "SELECT replace(spelling, '\\', '\\\\'), flops, bytes FROM problem WHERE spelling = ? AND flops IS NOT NULL";
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(g->store, sql, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(statement, 1, problem, -1, SQLITE_STATIC);
    if ((status = hone_store_step(g->store, statement, &row)) == HONE_OK && row)
        hone_text_printf(g->out, "problem\t%s\t%lld\t%lld\n", (const char *)sqlite3_column_text(statement, 0),
                         (long long)sqlite3_column_int64(statement, 1), (long long)sqlite3_column_int64(statement, 2));
    sqlite3_reset(statement);
    return status;
}

// The rows of one problem stand together.
static hone_status print_works(gathering *g)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; status == HONE_OK && k < g->list.count; k++)
        if (!k || strcmp(g->list.items[k - 1].row.problem, g->list.items[k].row.problem)) status = print_work(g, g->list.items[k].row.problem);
    return status;
}

static int compare_runs(const void *a, const void *b)
{
    return memcmp(&(*(const hone_evidence *const *)a)->row.run, &(*(const hone_evidence *const *)b)->row.run, sizeof(hone_id));
}

static int compare_artifacts(const void *a, const void *b)
{
    return strcmp((*(const hone_evidence *const *)a)->row.artifact, (*(const hone_evidence *const *)b)->row.artifact);
}

static hone_status print_runs(gathering *g, const hone_evidence **order)
{
    hone_status status = HONE_OK;
    qsort(order, g->list.count, sizeof *order, compare_runs);
    for (size_t k = 0; status == HONE_OK && k < g->list.count; k++)
        if (!k || compare_runs(&order[k - 1], &order[k])) status = print_run(g, &order[k]->row.run);
    return status;
}

static hone_status print_measurements(gathering *g)
{
    hone_row row = {0};
    for (size_t k = 0; k < g->list.count; k++) {
        row.id = g->list.items[k].id;
        hone_measurement_pack(&g->list.items[k].row, row.values);
        hone_dump_print_row(g->out, &hone_facts[HONE_FACT_MEASUREMENT], &row);
        if (g->out->size > EVIDENCE_BYTES_MAX) return hone_fail(HONE_USAGE, "the evidence is larger than %zu MiB: ask for fewer problems", EVIDENCE_BYTES_MAX >> 20);
    }
    return HONE_OK;
}

// The one that builds use: of those that count the one with the smallest id.
static hone_status print_artifact(gathering *g, const char *key)
{
    static const char sql[] = "SELECT id, key, kind, data FROM artifact WHERE key = ? ORDER BY id";
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row, counts = false, promoted;
    hone_status status = hone_store_prepare(g->store, sql, &statement);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    while (!counts) {
        HONE_TRY(hone_store_step(g->store, statement, &row));
        if (!row) break;
        HONE_TRY(hone_row_read_checked(g->store, &hone_facts[HONE_FACT_ARTIFACT], statement, &found));
        HONE_TRY(hone_trust_counts(g->store, g->store, &found.id, NULL, &counts, &promoted));
    }
    if (counts) hone_dump_print_row(g->out, &hone_facts[HONE_FACT_ARTIFACT], &found);
out:
    sqlite3_reset(statement);
    return status;
}

static hone_status print_artifacts(gathering *g, const hone_evidence **order)
{
    hone_status status = HONE_OK;
    qsort(order, g->list.count, sizeof *order, compare_artifacts);
    for (size_t k = 0; status == HONE_OK && k < g->list.count; k++)
        if (*order[k]->row.artifact && (!k || compare_artifacts(&order[k - 1], &order[k]))) status = print_artifact(g, order[k]->row.artifact);
    return status;
}

// What rechecks make of measurements that rest on older versions; each behind its run.
static hone_status print_recheck(void *user, const hone_row *row, const hone_recheck *found, const char *writer)
{
    gathering *g = user;
    (void)writer;
    hone_status status = print_run(g, &found->run);
    if (status == HONE_OK) hone_dump_print_row(g->out, &hone_facts[HONE_FACT_RECHECK], row);
    return status;
}

static hone_status print_dump(gathering *g)
{
    const hone_evidence **order = hone_calloc(g->list.count + 1, sizeof *order);
    hone_status status;
    if (!order) return HONE_NO_MEMORY;
    for (size_t k = 0; k < g->list.count; k++) order[k] = &g->list.items[k];
    hone_text_printf(g->out, "%s", HONE_DUMP_HEAD);
    HONE_TRY(print_works(g));
    HONE_TRY(print_runs(g, order));
    HONE_TRY(print_measurements(g));
    HONE_TRY(print_artifacts(g, order));
    HONE_TRY(hone_recheck_each_row(g->store, g->devices[0], print_recheck, g));
    hone_dump_print_end(g->out);
out:
    hone_free(order);
    return status;
}

// ---- the answer

static hone_status print_head(hone_hub_call *call, const char *device, hone_text *out)
{
    char digits[HONE_ID_TEXT], toolchain[512] = "";
    hone_id snapshot;
    hone_status status = hone_hub_snapshot(call->hub, call->store, &snapshot);
    if (status == HONE_OK) status = hone_store_find_toolchain(call->store, device, toolchain, sizeof toolchain);
    if (status == HONE_MISS) status = HONE_OK;
    if (status != HONE_OK) return status;
    hone_id_print(&snapshot, digits);
    hone_text_printf(out, HONE_EVIDENCE_HEAD "%s\n%s\n%s\n", digits, device, toolchain);
    return HONE_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static hone_status print_vouching(gathering *g, const char **writers, size_t count, hone_text *out)
{
    qsort(writers, count, sizeof *writers, compare_texts);
    for (size_t k = 0; k < count; k++) {
        hone_trust trust;
        if (k && !strcmp(writers[k - 1], writers[k])) continue;
        hone_status status = hone_trust_of(g->store, writers[k], &trust);
        if (status != HONE_OK) return status;
        if (trust == HONE_TRUST_PROMOTE && strcmp(writers[k], "local")) hone_text_printf(out, "vouches %s\n", writers[k]);
    }
    return HONE_OK;
}

// Only those in force are sent.
static hone_status print_counts(void *user, const hone_row *row, const hone_recheck *found, const char *writer)
{
    char digits[HONE_ID_TEXT];
    (void)found, (void)writer;
    hone_id_print(&row->id, digits);
    hone_text_printf(user, "counts %s\n", digits);
    return HONE_OK;
}

// The part of the rulings that the rows at hand need.
static hone_status print_trust(gathering *g, hone_text *out)
{
    char digits[HONE_ID_TEXT];
    const char **writers = hone_calloc(g->list.count + 1, sizeof *writers);
    if (!writers) return HONE_NO_MEMORY;
    for (size_t k = 0; k < g->list.count; k++) writers[k] = g->list.items[k].writer ? g->list.items[k].writer : "local";
    hone_status status = print_vouching(g, writers, g->list.count, out);
    for (size_t k = 0; k < g->list.count; k++) {
        if (!g->list.items[k].promoted) continue;
        hone_id_print(&g->list.items[k].id, digits);
        hone_text_printf(out, "counts %s\n", digits);
    }
    if (status == HONE_OK) status = hone_recheck_each_row(g->store, g->devices[0], print_counts, out);
    hone_text_printf(out, "\n");
    hone_free(writers);
    return status;
}

static hone_status zip(hone_hub_call *call, hone_text *out)
{
    void *packed = NULL;
    size_t size;
    if (!call->zip) return HONE_OK;
    hone_status status = hone_zip(hone_text_get(out), out->size, LEVEL, &packed, &size);
    if (status != HONE_OK) return status;
    hone_text_clear(out);
    hone_text_append(out, packed, size);
    call->zipped = true;
    hone_free(packed);
    return HONE_OK;
}

hone_status hone_hub_evidence(hone_hub_call *call, hone_text *out)
{
    hone_text dump;
    gathering g = {.store = call->store, .approximate = !strcmp(hone_hub_value(call, "approximate"), "1"), .out = &dump,
                   .devices = {hone_hub_value(call, "device")}, .device_count = 1, .arena = hone_arena_new(ARENA_BYTES_MAX)};
    hone_status status = hone_spelling_check("device", g.devices[0], strlen(g.devices[0]));
    hone_text_init(&dump);
    if (status == HONE_OK && !g.arena) status = HONE_NO_MEMORY;
    if (status == HONE_OK) status = hone_store_begin_read(call->store);
    if (status != HONE_OK) goto out;
    status = hone_store_each_device(call->store, add_sibling, &g);
    if (status == HONE_OK) status = print_head(call, g.devices[0], out);
    if (status == HONE_OK) status = gather(&g, call->body, call->body_bytes);
    if (status == HONE_OK) status = print_trust(&g, out);
    if (status == HONE_OK) status = print_dump(&g);
    hone_store_end_read(call->store);
    if (status == HONE_OK) status = hone_text_status(&dump);
    if (status == HONE_OK) hone_text_append(out, hone_text_get(&dump), dump.size);
    if (status == HONE_OK) status = zip(call, out);
out:
    hone_text_clear(&dump);
    hone_free(g.list.items);
    hone_arena_free(g.arena);
    return status;
}
