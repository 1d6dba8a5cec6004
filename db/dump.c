// SPDX-License-Identifier: Apache-2.0
// The text dump: one fact a line, sorted, the same for the same facts whatever file held them (docs/schema.md).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"
#include "db/dump_priv.h"

enum { FLUSH_BYTES = 1 << 20 };

// ---- thinning: which rows a dump of the best keeps

typedef struct thinned {
    bool active;
    uint8_t *measurements, *runs;       // by row number
    int64_t measurement_limit, run_limit;
    char **artifacts;                   // sorted keys
    size_t artifact_count, artifact_capacity;
} thinned;

typedef struct contender {              // one tactic of one source, on one problem, device, mode and set of dependencies
    int64_t tactic;
    double median_ns;
    size_t from, to;                    // its rows
} contender;

typedef struct thin_row {
    int64_t number, problem, device, tactic;
    char depends[256], mode[96], source[64];
    double median_ns;
} thin_row;

// Whoever loads a thin dump does not have the say of this store's owner: what is ruled out here is not kept.
static hone_status row_counts(hone_store *store, sqlite3_stmt *statement, int at, bool *counts, bool *promoted)
{
    hone_id id, run;
    if (sqlite3_column_bytes(statement, at) != sizeof id || sqlite3_column_bytes(statement, at + 1) != sizeof run)
        return hone_fail(HONE_DAMAGED, "%s has a row without an id", store->path);
    memcpy(&id, sqlite3_column_blob(statement, at), sizeof id);
    memcpy(&run, sqlite3_column_blob(statement, at + 1), sizeof run);
    return hone_trust_counts(store, store, &id, &run, counts, promoted);
}

static hone_status read_thin_rows(hone_store *store, thin_row **rows, size_t *count)
{
    // Good rows: those that no later failure of the same tactic has put out of the race, and what failed is kept anyway.
    static const char sql[] = "SELECT m.number, m.problem, m.device, m.tactic, m.depends, m.mode, a.source, m.median_ns, m.id, r.id"
        " FROM measurement m JOIN tactic a ON a.number = m.tactic JOIN run r ON r.number = m.run WHERE m.verdict = 'ok' AND NOT EXISTS"
        " (SELECT 1 FROM measurement b JOIN run s ON s.number = b.run WHERE b.device = m.device AND b.problem = m.problem"
        "  AND b.tactic = m.tactic AND b.depends = m.depends AND b.verdict IN ('wrong', 'crash', 'unstable', 'timeout')"
        "  AND s.start_unix_ms >= r.start_unix_ms)"
        " ORDER BY m.problem, m.device, m.depends, m.mode, a.source, m.tactic, m.median_ns, m.id";
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row, counts = true, promoted;
    hone_status status = hone_store_prepare(store, sql, &statement);
    if (status != HONE_OK) return status;
    while ((status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        if ((status = row_counts(store, statement, 8, &counts, &promoted)) != HONE_OK) break;
        if (!counts) continue;
        if (hone_grow(rows, *count, &capacity, sizeof **rows, (size_t)1 << 26)) { status = HONE_NO_MEMORY; break; }
        thin_row *made = &(*rows)[(*count)++];
        made->number = sqlite3_column_int64(statement, 0);
        made->problem = sqlite3_column_int64(statement, 1);
        made->device = sqlite3_column_int64(statement, 2);
        made->tactic = sqlite3_column_int64(statement, 3);
        snprintf(made->depends, sizeof made->depends, "%s", (const char *)sqlite3_column_text(statement, 4));
        snprintf(made->mode, sizeof made->mode, "%s", (const char *)sqlite3_column_text(statement, 5));
        snprintf(made->source, sizeof made->source, "%s", (const char *)sqlite3_column_text(statement, 6));
        made->median_ns = sqlite3_column_double(statement, 7);
    }
    sqlite3_reset(statement);
    return status;
}

static bool same_race(const thin_row *a, const thin_row *b)
{
    return a->problem == b->problem && a->device == b->device && !strcmp(a->depends, b->depends) && !strcmp(a->mode, b->mode)
        && !strcmp(a->source, b->source);
}

static int compare_contenders(const void *a, const void *b)
{
    const contender *x = a, *y = b;
    if (x->median_ns != y->median_ns) return x->median_ns < y->median_ns ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

// Keeps the rows of the `keep` fastest tactics of the race rows[from..to).
static void keep_best(const thin_row *rows, size_t from, size_t to, int keep, contender *room, uint8_t *kept)
{
    size_t count = 0;
    for (size_t i = from, j; i < to; i = j) {
        for (j = i; j < to && rows[j].tactic == rows[i].tactic; j++) { }
        double median = (rows[i + (j - i - 1) / 2].median_ns + rows[i + (j - i) / 2].median_ns) / 2;
        room[count++] = (contender){rows[i].tactic, median, i, j};
    }
    qsort(room, count, sizeof *room, compare_contenders);
    for (size_t k = 0; k < count && k < (size_t)keep; k++)
        for (size_t i = room[k].from; i < room[k].to; i++) kept[rows[i].number] = 1;
}

static hone_status keep_races(hone_store *store, int keep, thinned *thin)
{
    thin_row *rows = NULL;
    contender *room = NULL;
    size_t count = 0;
    hone_status status = read_thin_rows(store, &rows, &count);
    if (status == HONE_OK && count && !(room = hone_alloc(count * sizeof *room))) status = HONE_NO_MEMORY;
    for (size_t from = 0, to; status == HONE_OK && from < count; from = to) {
        for (to = from; to < count && same_race(&rows[from], &rows[to]); to++) { }
        keep_best(rows, from, to, keep, room, thin->measurements);
    }
    hone_free(rows);
    hone_free(room);
    return status;
}

static hone_status keep_failures_and_evidence(hone_store *store, thinned *thin)
{
    static const char sql[] = "SELECT number FROM measurement WHERE verdict <> 'ok' UNION ALL"
        " SELECT m.number FROM plan_step s JOIN measurement m ON m.id = s.measurement";
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, sql, &statement);
    while (status == HONE_OK && (status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        int64_t number = sqlite3_column_int64(statement, 0);
        if (number >= 0 && number < thin->measurement_limit) thin->measurements[number] = 1;
    }
    return status;
}

static hone_status keep_what_they_name(hone_store *store, thinned *thin)
{
    static const char sql[] = "SELECT number, run, artifact FROM measurement ORDER BY artifact";
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, sql, &statement);
    while (status == HONE_OK && (status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        int64_t number = sqlite3_column_int64(statement, 0), run = sqlite3_column_int64(statement, 1);
        const char *key = (const char *)sqlite3_column_text(statement, 2);
        if (number < 0 || number >= thin->measurement_limit || !thin->measurements[number]) continue;
        if (run >= 0 && run < thin->run_limit) thin->runs[run] = 1;
        if (!key || !*key || (thin->artifact_count && !strcmp(thin->artifacts[thin->artifact_count - 1], key))) continue;
        if (hone_grow(&thin->artifacts, thin->artifact_count, &thin->artifact_capacity, sizeof *thin->artifacts, (size_t)1 << 26)
            || !(thin->artifacts[thin->artifact_count] = hone_strdup(key))) status = HONE_NO_MEMORY;
        else thin->artifact_count++;
    }
    if (status != HONE_OK) sqlite3_reset(statement);
    return status;
}

static hone_status keep_runs_of_rechecks(hone_store *store, thinned *thin)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, "SELECT DISTINCT run FROM recheck", &statement);
    while (status == HONE_OK && (status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        int64_t run = sqlite3_column_int64(statement, 0);
        if (run >= 0 && run < thin->run_limit) thin->runs[run] = 1;
    }
    return status;
}

static hone_status thin_out(hone_store *store, int keep, thinned *thin)
{
    hone_status status = HONE_OK;
    memset(thin, 0, sizeof *thin);
    thin->active = keep > 0;
    if (!thin->active) return HONE_OK;
    HONE_TRY(hone_store_pragma(store, "SELECT coalesce(max(number), 0) + 1 FROM measurement", &thin->measurement_limit));
    HONE_TRY(hone_store_pragma(store, "SELECT coalesce(max(number), 0) + 1 FROM run", &thin->run_limit));
    thin->measurements = hone_calloc((size_t)thin->measurement_limit, 1);
    thin->runs = hone_calloc((size_t)thin->run_limit, 1);
    if (!thin->measurements || !thin->runs) return HONE_NO_MEMORY;
    HONE_TRY(keep_races(store, keep, thin));
    HONE_TRY(keep_failures_and_evidence(store, thin));
    HONE_TRY(keep_what_they_name(store, thin));
    HONE_TRY(keep_runs_of_rechecks(store, thin));
out:
    return status;
}

static void clear_thinned(thinned *thin)
{
    for (size_t i = 0; i < thin->artifact_count; i++) hone_free(thin->artifacts[i]);
    hone_free(thin->artifacts);
    hone_free(thin->measurements);
    hone_free(thin->runs);
}

static int compare_keys(const void *key, const void *item)
{
    return strcmp(key, *(char *const *)item);
}

static bool is_kept(const thinned *thin, const hone_fact_table *table, const hone_row *row)
{
    if (!thin->active) return true;
    if (table == &hone_facts[HONE_FACT_MEASUREMENT]) return thin->measurements[row->number];
    if (table == &hone_facts[HONE_FACT_RUN]) return thin->runs[row->number];
    if (table == &hone_facts[HONE_FACT_ARTIFACT])
        return thin->artifact_count && bsearch(row->values[0].data, thin->artifacts, thin->artifact_count, sizeof *thin->artifacts, compare_keys);
    return true;
}

// ---- printing

static void print_text(hone_text *out, const hone_cell *value)
{
    const char *text = value->data;
    size_t from = 0;
    for (size_t i = 0; i < value->size; i++) {
        const char *escape = text[i] == '\t' ? "\\t" : text[i] == '\n' ? "\\n" : text[i] == '\r' ? "\\r" : text[i] == '\\' ? "\\\\" : NULL;
        if (!escape) continue;
        hone_text_append(out, text + from, i - from);
        hone_text_append(out, escape, 2);
        from = i + 1;
    }
    hone_text_append(out, text + from, value->size - from);
}

static void print_int(hone_text *out, const hone_cell *value)
{
    char digits[24];
    hone_text_append(out, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value->integer));
}

static void print_real(hone_text *out, double value)
{
    char digits[32];
    if (value == (double)(int64_t)value && value > -1e15 && value < 1e15) {       // most are whole, and this is quicker
        hone_text_append(out, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, (int64_t)value));
        return;
    }
    hone_print_double(value, digits);
    hone_text_append(out, digits, strlen(digits));
}

static void print_real_value(hone_text *out, const hone_cell *value)
{
    print_real(out, value->real);
}

static void print_id(hone_text *out, const hone_cell *value)
{
    char digits[HONE_ID_TEXT];
    hone_id id;
    memcpy(&id, value->data, sizeof id);
    hone_id_print(&id, digits);
    hone_text_append(out, digits, HONE_ID_TEXT - 1);
}

static void print_bytes(hone_text *out, const hone_cell *value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *bytes = value->data;
    for (size_t i = 0; i < value->size; i += 3) {
        size_t left = value->size - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        char four[4] = {letters[three >> 18], letters[three >> 12 & 63], left > 1 ? letters[three >> 6 & 63] : '=',
                        left > 2 ? letters[three & 63] : '='};
        hone_text_append(out, four, 4);
    }
}

static void print_samples(hone_text *out, const hone_cell *value)
{
    for (size_t i = 0; i < value->size; i++) {
        if (i) hone_text_append(out, " ", 1);
        print_real(out, ((const double *)value->data)[i]);
    }
}

static void (*const printers[HONE_COLUMN_KINDS])(hone_text *out, const hone_cell *value) = {
    [HONE_COLUMN_TEXT] = print_text, [HONE_COLUMN_INT] = print_int, [HONE_COLUMN_REAL] = print_real_value,
    [HONE_COLUMN_ID] = print_id, [HONE_COLUMN_BYTES] = print_bytes, [HONE_COLUMN_ZIPPED] = print_bytes,
    [HONE_COLUMN_RUN] = print_id, [HONE_COLUMN_DEVICE] = print_text, [HONE_COLUMN_TOOLCHAIN] = print_text,
    [HONE_COLUMN_PROBLEM] = print_text, [HONE_COLUMN_TACTIC] = print_text, [HONE_COLUMN_SAMPLES] = print_samples,
};

typedef struct output {
    hone_text text;
    hone_hash hash;
    hone_status (*write)(void *user, const char *data, size_t size);
    void *user;
} output;

static hone_status flush(output *out)
{
    hone_status status = hone_text_status(&out->text);
    if (status != HONE_OK) return status;
    hone_hash_add(&out->hash, hone_text_get(&out->text), out->text.size);
    status = out->write(out->user, hone_text_get(&out->text), out->text.size);
    out->text.size = 0;
    return status;
}

void hone_dump_print_row(hone_text *out, const hone_fact_table *table, const hone_row *row)
{
    char id[HONE_ID_TEXT];
    hone_id_print(&row->id, id);
    hone_text_printf(out, "%s\t%.*s", table->name, HONE_DUMP_ID_DIGITS, id);
    for (int i = 0; i < table->column_count; i++) {
        hone_text_append(out, "\t", 1);
        printers[table->columns[i].kind](out, &row->values[i]);
    }
    hone_text_append(out, "\n", 1);
}

void hone_dump_print_end(hone_text *out)
{
    char digits[HONE_ID_TEXT];
    hone_id digest;
    hone_hash_once(hone_text_get(out), out->size, &digest);
    hone_id_print(&digest, digits);
    hone_text_printf(out, "end\t%s\n", digits);
}

static hone_status print_row(output *out, const hone_fact_table *table, const hone_row *row)
{
    hone_dump_print_row(&out->text, table, row);
    return out->text.size < FLUSH_BYTES ? HONE_OK : flush(out);
}

static hone_status dump_table(hone_store *store, const hone_fact_table *table, const thinned *thin, output *out)
{
    sqlite3_stmt *statement;
    hone_row found = {0};
    bool row;
    hone_status status = hone_store_prepare(store, table->sorted, &statement);
    if (status != HONE_OK) return status;
    while ((status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        status = hone_row_read_checked(store, table, statement, &found);
        if (table == &hone_facts[HONE_FACT_RUN]) found.number = sqlite3_column_int64(statement, HONE_RUN_COLUMNS + 1);
        if (status == HONE_OK && is_kept(thin, table, &found)) status = print_row(out, table, &found);
        if (status != HONE_OK) break;
    }
    sqlite3_reset(statement);
    hone_row_clear(&found);
    return status;
}

static hone_status dump_problems(hone_store *store, output *out)
{
    static const char sql[] = "SELECT spelling, flops, bytes FROM problem WHERE flops IS NOT NULL ORDER BY spelling";
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, sql, &statement);
    while (status == HONE_OK && (status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        hone_cell spelling = {.data = sqlite3_column_text(statement, 0), .size = (size_t)sqlite3_column_bytes(statement, 0)};
        hone_text_printf(&out->text, "problem\t");
        print_text(&out->text, &spelling);
        hone_text_printf(&out->text, "\t%" PRId64 "\t%" PRId64 "\n", (int64_t)sqlite3_column_int64(statement, 1),
                         (int64_t)sqlite3_column_int64(statement, 2));
    }
    return status;
}

hone_status hone_store_dump(hone_store *store, int keep, hone_status (*write)(void *user, const char *data, size_t size), void *user)
{
    output out = {.write = write, .user = user};
    thinned thin;
    char digits[HONE_ID_TEXT];
    hone_id digest;
    hone_status status = hone_store_begin_read(store);
    if (status != HONE_OK) return status;
    hone_text_init(&out.text);
    hone_hash_init(&out.hash);
    HONE_TRY(thin_out(store, keep, &thin));
    hone_text_printf(&out.text, "%s", HONE_DUMP_HEAD);
    HONE_TRY(dump_problems(store, &out));
    for (int i = 0; i < hone_fact_count; i++) HONE_TRY(dump_table(store, &hone_facts[i], &thin, &out));
    HONE_TRY(flush(&out));
    hone_hash_end(&out.hash, &digest);
    hone_id_print(&digest, digits);
    hone_text_printf(&out.text, "end\t%s\n", digits);
    HONE_TRY(flush(&out));
out:
    hone_store_end_read(store);
    clear_thinned(&thin);
    hone_text_clear(&out.text);
    return status;
}

// ---- the snapshot

typedef struct id_list {
    hone_id *items;
    size_t count, capacity;
} id_list;

static hone_status collect_ids(hone_store *store, const hone_fact_table *table, id_list *list)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, table->ids, &statement);
    while (status == HONE_OK && (status = hone_store_step(store, statement, &row)) == HONE_OK && row) {
        if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, (size_t)1 << 28)) status = HONE_NO_MEMORY;
        else if (sqlite3_column_bytes(statement, 0) != sizeof(hone_id)) status = hone_fail(HONE_DAMAGED, "%s has a %s without an id", store->path, table->name);
        else memcpy(&list->items[list->count++], sqlite3_column_blob(statement, 0), sizeof(hone_id));
    }
    if (status != HONE_OK) sqlite3_reset(statement);
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(hone_id));
}

// The ids in order, each once, whichever of the layers hold them.
static hone_status hash_table(hone_store *store, const hone_fact_table *table, hone_hash *hash)
{
    id_list list = {0};
    hone_status status = HONE_OK;
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) status = collect_ids(at, table, &list);
    if (store->under && list.count) qsort(list.items, list.count, sizeof *list.items, compare_ids);
    // A table that came later than the first snapshots counts from its first row on, so that their ids hold.
    if (list.count || table != &hone_facts[HONE_FACT_RECHECK]) hone_hash_add_text(hash, table->name);
    for (size_t i = 0; i < list.count; i++)
        if (!i || !hone_id_equal(&list.items[i - 1], &list.items[i])) hone_hash_add(hash, &list.items[i], sizeof *list.items);
    hone_free(list.items);
    return status;
}

void hone_store_stand_for(hone_store *store, const hone_id *snapshot)
{
    store->stands_for_another = true;
    store->snapshot = *snapshot;
}

hone_status hone_store_snapshot(hone_store *store, hone_id *id)
{
    hone_hash hash;
    hone_status status = hone_store_ready(store);
    *id = store->snapshot;
    if (store->stands_for_another) return status;
    hone_hash_init(&hash);
    hone_hash_add_text(&hash, "hone snapshot 1");
    for (int i = 0; i < hone_fact_count && status == HONE_OK; i++)
        if (hone_facts[i].evidence) status = hash_table(store, &hone_facts[i], &hash);
    if (status == HONE_OK) status = hone_trust_hash(store, &hash);
    hone_hash_end(&hash, id);
    return status;
}
