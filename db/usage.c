// SPDX-License-Identifier: Apache-2.0
// What sweeps are planned by: which problems the registered networks need, and what tuning a problem took before.
#include "db/store_priv.h"

typedef hone_status (*hand_over)(void *user, sqlite3_stmt *row);

static hone_status each_row(hone_store *store, const char *sql, const char *const *parameters, int n, hand_over each, void *user)
{
    for (hone_store *at = store; at; at = at->under) {
        sqlite3_stmt *statement;
        bool row;
        hone_status status = hone_store_ready(at);
        if (status == HONE_OK) status = hone_store_prepare(at, sql, &statement);
        if (status != HONE_OK) return status;
        for (int k = 0; k < n; k++) sqlite3_bind_text(statement, k + 1, parameters[k], -1, SQLITE_STATIC);
        while ((status = hone_store_step(at, statement, &row)) == HONE_OK && row)
            if ((status = each(user, statement)) != HONE_OK) break;
        sqlite3_reset(statement);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

static const char *text_of(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

typedef struct need_call {
    hone_need_each each;
    void *user;
} need_call;

static hone_status tell_need(void *user, sqlite3_stmt *row)
{
    need_call *call = user;
    return call->each(call->user, text_of(row, 0), text_of(row, 1), sqlite3_column_int64(row, 2));
}

hone_status hone_store_each_need(hone_store *store, hone_need_each each, void *user)
{
    static const char sql[] = "SELECT lower(hex(n.network)), p.spelling, n.times FROM network_problem n JOIN problem p ON p.number = n.problem";
    need_call call = {each, user};
    return each_row(store, sql, NULL, 0, tell_need, &call);
}

typedef struct history_call {
    hone_history_each each;
    void *user;
} history_call;

static hone_status tell_history(void *user, sqlite3_stmt *row)
{
    history_call *call = user;
    hone_history history = {.problem = text_of(row, 0), .effort = text_of(row, 1), .source = text_of(row, 2), .tried = sqlite3_column_int64(row, 3),
                            .samples = sqlite3_column_int64(row, 4), .medians_ns = sqlite3_column_double(row, 5), .samples_ns = sqlite3_column_double(row, 6)};
    return call->each(call->user, &history);
}

hone_status hone_store_each_history(hone_store *store, const char *device, const char *mode, hone_history_each each, void *user)
{
    static const char sql[] = "SELECT p.spelling, c.effort, c.source, max(c.tried), 0, 0.0, 0.0 FROM coverage c JOIN problem p ON p.number = c.problem"
        " WHERE c.device = (SELECT number FROM device WHERE spelling = ?1) GROUP BY c.problem, c.effort, c.source UNION ALL"
        " SELECT p.spelling, r.effort, '', 0, sum(m.sample_count), sum(m.median_ns), sum(m.median_ns * m.sample_count)"
        " FROM measurement m JOIN run r ON r.number = m.run JOIN problem p ON p.number = m.problem"
        " WHERE m.device = (SELECT number FROM device WHERE spelling = ?1) AND m.mode = ?2 GROUP BY m.problem, m.run";
    const char *const parameters[] = {device, mode};
    history_call call = {each, user};
    return each_row(store, sql, parameters, 2, tell_history, &call);
}
