// SPDX-License-Identifier: Apache-2.0
// Rechecks: what a sample, timed after an upgrade, says of all records of a family that rest on the versions before. The rows are facts like
// measurements; which of them is in force, and what it makes of a time, is computed when asked.
#include <stdio.h>
#include <string.h>

#include "db/identity_priv.h"
#include "db/recheck_priv.h"

// ---- families

// "x=f16:1x56x56x64:nhwc" says f16; the first operand of a problem is its first word that says a type.
void hone_family_type(const char *problem, char type[16])
{
    const char *math = strstr(problem, " math=");
    type[0] = 0;
    if (math) {
        snprintf(type, 16, "%.*s", (int)strcspn(math + 6, " "), math + 6);
        return;
    }
    for (const char *at = strchr(problem, '='); at; at = strchr(at + 1, '=')) {
        size_t size = strcspn(at + 1, ": ");
        if (at[1 + size] != ':') continue;
        snprintf(type, 16, "%.*s", (int)size, at + 1);
        return;
    }
}

void hone_family_print(const char *problem, const char *tactic, char family[HONE_FAMILY_TEXT])
{
    hone_tactic_words words;
    char type[16];
    hone_tactic_read(tactic, &words);
    hone_family_type(problem, type);
    snprintf(family, HONE_FAMILY_TEXT, "%s%s%s %.*s%s%s", words.source, *words.kernel ? "." : "", words.kernel, (int)strcspn(problem, " "), problem,
             *type ? " " : "", type);
}

// ---- what is in force

static bool parse_decision(const char *word, hone_recheck_decision *decision)
{
    for (int i = 0; i < HONE_RECHECK_DECISIONS; i++) {
        if (strcmp(word, hone_recheck_name((hone_recheck_decision)i))) continue;
        *decision = (hone_recheck_decision)i;
        return true;
    }
    return false;
}

static hone_status unpack(const hone_row *row, hone_recheck *made)
{
    const hone_cell *values = row->values;
    *made = (hone_recheck){
        .device = values[HONE_RE_DEVICE].data, .family = values[HONE_RE_FAMILY].data, .depends = values[HONE_RE_DEPENDS].data,
        .now = values[HONE_RE_NOW].data, .mode = values[HONE_RE_MODE].data, .scale = values[HONE_RE_SCALE].real,
        .low = values[HONE_RE_LOW].real, .high = values[HONE_RE_HIGH].real, .timed = values[HONE_RE_TIMED].integer,
    };
    memcpy(&made->run, values[HONE_RE_RUN].data, sizeof made->run);
    if (parse_decision(values[HONE_RE_DECISION].data, &made->decision)) return HONE_OK;
    return hone_fail(HONE_DAMAGED, "the database has a recheck that decides '%s', which this hone does not know", (const char *)values[HONE_RE_DECISION].data);
}

static hone_status is_in_force(hone_store *store, hone_store *layer, const hone_row *row, const char *writer, bool *in_force)
{
    hone_id run;
    hone_trust trust;
    bool counts, promoted;
    memcpy(&run, row->values[HONE_RE_RUN].data, sizeof run);
    hone_status status = hone_trust_counts(store, layer, &row->id, &run, &counts, &promoted);
    if (status == HONE_OK) status = hone_trust_of(store, writer, &trust);
    *in_force = status == HONE_OK && counts && (promoted || trust == HONE_TRUST_PROMOTE);
    return status;
}

typedef hone_status (*found_each)(void *user, const hone_row *row, const hone_recheck *found, const char *writer, int64_t start_unix_ms);

// Those in force of a statement that answers as the table's select does.
static hone_status each_in_force(hone_store *store, hone_store *layer, sqlite3_stmt *find, found_each each, void *user)
{
    const hone_fact_table *table = &hone_facts[HONE_FACT_RECHECK];
    hone_row row = {0};
    bool there, in_force;
    hone_status status;
    while ((status = hone_store_step(layer, find, &there)) == HONE_OK && there) {
        hone_recheck found;
        const char *writer = (const char *)sqlite3_column_text(find, HONE_RE_COLUMNS + 2);
        status = hone_row_read_checked(layer, table, find, &row);
        if (status == HONE_OK) status = unpack(&row, &found);
        if (status == HONE_OK) status = is_in_force(store, layer, &row, writer ? writer : "", &in_force);
        if (status == HONE_OK && in_force) status = each(user, &row, &found, writer, sqlite3_column_int64(find, HONE_RE_COLUMNS + 1));
        if (status != HONE_OK) break;
    }
    sqlite3_reset(find);
    return status;
}

typedef struct search {
    const char *toolchain, *mode;
    hone_id id;                // of the best so far
    int64_t start_unix_ms;
    bool found;
    hone_recheck_decision decision;
    double scale;
} search;

static hone_status offer(void *user, const hone_row *row, const hone_recheck *found, const char *writer, int64_t start_unix_ms)
{
    search *best = user;
    (void)writer;
    if (strcmp(found->mode, best->mode) || !hone_toolchain_covers(best->toolchain, found->now)) return HONE_OK;
    bool later = start_unix_ms > best->start_unix_ms || (start_unix_ms == best->start_unix_ms && memcmp(&row->id, &best->id, sizeof row->id) > 0);
    if (best->found && !later) return HONE_OK;
    *best = (search){best->toolchain, best->mode, row->id, start_unix_ms, true, found->decision, found->scale};
    return HONE_OK;
}

static hone_status find(hone_store *store, const char *device, const char *family, const char *depends, search *best)
{
    static const char sql[] = HONE_RECHECK_SELECT " WHERE e.device = (SELECT number FROM device WHERE spelling = ?) AND e.family = ? AND e.depends = ?";
    const char *const parameters[] = {device, family, depends};
    hone_status status = HONE_OK;
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) {
        sqlite3_stmt *statement;
        status = hone_store_prepare(at, sql, &statement);
        if (status != HONE_OK) break;
        for (int i = 0; i < 3; i++) sqlite3_bind_text(statement, i + 1, parameters[i], -1, SQLITE_STATIC);
        status = each_in_force(store, at, statement, offer, best);
    }
    return status;
}

// ---- for a ranking

static hone_status rescale(hone_measurement *row, double scale, hone_arena *arena)
{
    row->median_ns *= scale;
    row->mad_ns *= scale;
    row->min_ns *= scale;
    if (!row->sample_count || scale == 1) return HONE_OK;
    double *samples = hone_arena_alloc(arena, row->sample_count * sizeof *samples);
    if (!samples) return HONE_NO_MEMORY;
    for (size_t k = 0; k < row->sample_count; k++) samples[k] = row->samples_ns[k] * scale;
    row->samples_ns = samples;
    return HONE_OK;
}

hone_status hone_recheck_apply(hone_store *store, const char *device, const char *toolchain, hone_arena *arena, hone_evidence_list *list)
{
    const char *depends = "";
    char family[HONE_FAMILY_TEXT], before[HONE_FAMILY_TEXT] = "";
    search best = {.toolchain = toolchain, .mode = ""};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < list->count && status == HONE_OK; i++) {
        hone_evidence *at = &list->items[i];
        if (hone_toolchain_covers(toolchain, at->row.depends)) continue;
        hone_family_print(at->row.problem, at->row.tactic, family);
        if (strcmp(family, before) || strcmp(depends, at->row.depends) || strcmp(best.mode, at->row.mode)) {
            best = (search){.toolchain = toolchain, .mode = at->row.mode};
            status = find(store, device, family, depends = at->row.depends, &best);
            strcpy(before, family);
        }
        if (status != HONE_OK || !best.found || best.decision == HONE_RECHECK_RETIME) continue;
        at->rescaled = best.scale;
        at->last_resort = best.decision == HONE_RECHECK_APART;
        status = rescale(&at->row, best.scale, arena);
    }
    return status;
}

// ---- lists

typedef struct row_call {
    hone_status (*each)(void *user, const hone_row *row, const hone_recheck *found, const char *writer);
    void *user;
} row_call;

static hone_status hand_over_row(void *user, const hone_row *row, const hone_recheck *found, const char *writer, int64_t start_unix_ms)
{
    row_call *call = user;
    (void)start_unix_ms;
    return call->each(call->user, row, found, writer);
}

hone_status hone_recheck_each_row(hone_store *store, const char *device, hone_status (*each)(void *user, const hone_row *row, const hone_recheck *found,
                                  const char *writer), void *user)
{
    static const char sql[] = HONE_RECHECK_SELECT " WHERE e.device = (SELECT number FROM device WHERE spelling = ?)"
        " ORDER BY e.family, e.depends, e.now, r.start_unix_ms, e.id";
    row_call call = {each, user};
    hone_status status = hone_store_ready(store);
    for (hone_store *at = store; at && status == HONE_OK; at = at->under) {
        sqlite3_stmt *statement;
        status = hone_store_prepare(at, sql, &statement);
        if (status != HONE_OK) break;
        sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC);
        status = each_in_force(store, at, statement, hand_over_row, &call);
    }
    return status;
}

typedef struct each_call {
    hone_status (*each)(void *user, const hone_recheck *row, const char *writer);
    void *user;
} each_call;

static hone_status hand_over(void *user, const hone_row *row, const hone_recheck *found, const char *writer)
{
    each_call *call = user;
    (void)row;
    return call->each(call->user, found, writer);
}

hone_status hone_store_each_recheck(hone_store *store, const char *device, hone_status (*each)(void *user, const hone_recheck *row, const char *writer),
                                    void *user)
{
    each_call call = {each, user};
    return hone_recheck_each_row(store, device, hand_over, &call);
}
