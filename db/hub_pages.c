// SPDX-License-Identifier: Apache-2.0
// Pages to look at a hub: made here, no script, nothing from elsewhere; whatever comes out of the database is escaped.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "db/hub_priv.h"
#include "db/http_client.h"
#include "db/rank_priv.h"
#include "db/store_priv.h"

enum { ROWS_MAX = 500, BAR_PIXELS = 160 };

#define ARENA_BYTES_MAX ((size_t)256 << 20)

static const char style[] =
    ":root{color-scheme:light dark;--line:#8884;--bar:#3b82c4}body{font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:75em;padding:0 1em}"
    "nav a{margin-right:1.2em}table{border-collapse:collapse;display:block;overflow-x:auto}th,td{padding:.25em .7em;text-align:left;"
    "border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}rect{fill:var(--bar)}rect.b{fill:var(--line)}.s{opacity:.7}";

static void escape(hone_text *out, const char *text)
{
    static const char special[] = "<>&\"'";
    static const char *const names[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"};
    for (; *text; text++) {
        const char *at = strchr(special, *text);
        if (at) hone_text_printf(out, "%s", names[at - special]);
        else hone_text_append(out, (unsigned char)*text < 32 || *text == 127 ? "?" : text, 1);
    }
}

static void begin_page(hone_text *out, const char *title)
{
    static const struct { const char *path, *name; } pages[] = {{"/", "Devices"}, {"/networks", "Networks"}, {"/runs", "Runs"}};
    hone_text_printf(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width\"/><title>");
    escape(out, title);
    hone_text_printf(out, " - hone hub</title><style>%s</style></head>\n<body><nav>", style);
    for (size_t k = 0; k < sizeof pages / sizeof *pages; k++) hone_text_printf(out, "<a href=\"%s\">%s</a>", pages[k].path, pages[k].name);
    hone_text_printf(out, "</nav><h1>");
    escape(out, title);
    hone_text_printf(out, "</h1>\n");
}

static void end_page(hone_text *out)
{
    hone_text_printf(out, "</body></html>\n");
}

static void head_row(hone_text *out, const char *const *names, size_t count)
{
    hone_text_printf(out, "<table><thead><tr>");
    for (size_t k = 0; k < count; k++) hone_text_printf(out, names[k][0] == '#' ? "<th class=\"n\">%s</th>" : "<th>%s</th>", names[k] + (names[k][0] == '#'));
    hone_text_printf(out, "</tr></thead><tbody>\n");
}

static void text_cell(hone_text *out, const char *text)
{
    hone_text_printf(out, "<td><code>");
    escape(out, text);
    hone_text_printf(out, "</code></td>");
}

// NAME=VALUE&amp;...: pairs end with NULL.
static void open_link(hone_text *out, const char *path, const char *const *pairs)
{
    hone_text_printf(out, "<a href=\"%s", path);
    for (int k = 0; pairs[k]; k += 2) {
        hone_text_printf(out, "%s%s=", k ? "&amp;" : "?", pairs[k]);
        hone_http_escape(out, pairs[k + 1]);
    }
    hone_text_printf(out, "\">");
}

static const char *date_of(int64_t unix_ms, char text[32])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || !strftime(text, 32, "%Y-%m-%d %H:%M", &parts)) snprintf(text, 32, "unknown");
    return text;
}

static const char *column(sqlite3_stmt *statement, int k)
{
    const char *text = (const char *)sqlite3_column_text(statement, k);
    return text ? text : "";
}

// Calls `print` for each row of a query, at most ROWS_MAX; parameters are texts, NULL ends them.
static hone_status each_row(hone_hub_call *call, hone_text *out, const char *sql, const char *const *parameters,
                            void (*print)(hone_hub_call *call, hone_text *out, sqlite3_stmt *statement))
{
    sqlite3_stmt *statement;
    bool row;
    int count = 0;
    hone_status status = hone_store_prepare(call->store, sql, &statement);
    if (status != HONE_OK) return status;
    for (int k = 0; parameters && parameters[k]; k++) sqlite3_bind_text(statement, k + 1, parameters[k], -1, SQLITE_STATIC);
    while (count < ROWS_MAX && (status = hone_store_step(call->store, statement, &row)) == HONE_OK && row) {
        print(call, out, statement);
        count++;
    }
    sqlite3_reset(statement);
    if (!count) hone_text_printf(out, "<tr><td class=\"s\">nothing yet</td></tr>\n");
    if (count == ROWS_MAX) hone_text_printf(out, "<tr><td class=\"s\">the first %d</td></tr>\n", ROWS_MAX);
    hone_text_printf(out, "</tbody></table>\n");
    return status;
}

// ---- devices

static void print_device(hone_hub_call *call, hone_text *out, sqlite3_stmt *statement)
{
    char date[32];
    (void)call;
    hone_text_printf(out, "<tr><td>");
    open_link(out, "/networks", (const char *const[]){"device", column(statement, 0), NULL});
    hone_text_printf(out, "<code>");
    escape(out, column(statement, 0));
    hone_text_printf(out, "</code></a></td>");
    for (int k = 1; k < 4; k++) hone_text_printf(out, "<td class=\"n\">%" PRId64 "</td>", (int64_t)sqlite3_column_int64(statement, k));
    hone_text_printf(out, "<td>%s</td></tr>\n", date_of(sqlite3_column_int64(statement, 4), date));
}

hone_status hone_hub_page_devices(hone_hub_call *call, hone_text *out)
{
    static const char sql[] = "SELECT d.spelling, count(*), count(DISTINCT m.problem), count(DISTINCT m.tactic), max(r.start_unix_ms)"
        " FROM measurement m JOIN device d ON d.number = m.device JOIN run r ON r.number = m.run GROUP BY m.device ORDER BY d.spelling";
    static const char *const names[] = {"device", "#measurements", "#problems", "#tactics", "last run (UTC)"};
    begin_page(out, "Devices");
    head_row(out, names, sizeof names / sizeof *names);
    hone_status status = each_row(call, out, sql, NULL, print_device);
    end_page(out);
    return status;
}

// ---- networks

static void print_coverage(hone_hub_call *call, hone_text *out, sqlite3_stmt *statement)
{
    int64_t covered = sqlite3_column_int64(statement, 3), all = sqlite3_column_int64(statement, 4);
    double share = all ? (double)covered / (double)all : 0;
    (void)call;
    hone_text_printf(out, "<tr><td>");
    open_link(out, "/networks", (const char *const[]){"network", column(statement, 1), "device", column(statement, 2), NULL});
    escape(out, column(statement, 0));
    hone_text_printf(out, "</a></td>");
    text_cell(out, column(statement, 2));
    hone_text_printf(out, "<td class=\"n\">%" PRId64 "</td><td class=\"n\">%" PRId64 "</td><td><svg width=\"%d\" height=\"12\" role=\"img\" aria-label=\"%.0f%%\">"
                     "<rect class=\"b\" width=\"%d\" height=\"12\"/><rect width=\"%.1f\" height=\"12\"/></svg> %.0f%%</td></tr>\n", covered, all, BAR_PIXELS,
                     100 * share, BAR_PIXELS, BAR_PIXELS * share, 100 * share);
}

static void print_problem_row(hone_hub_call *call, hone_text *out, sqlite3_stmt *statement)
{
    int64_t measurements = sqlite3_column_int64(statement, 2);
    hone_text_printf(out, "<tr><td>");
    if (measurements) open_link(out, "/problem", (const char *const[]){"device", hone_hub_value(call, "device"), "problem", column(statement, 0), NULL});
    hone_text_printf(out, "<code>");
    escape(out, column(statement, 0));
    hone_text_printf(out, "</code>%s</td><td class=\"n\">%" PRId64 "</td><td class=\"n\">%" PRId64 "</td></tr>\n", measurements ? "</a>" : "",
                     (int64_t)sqlite3_column_int64(statement, 1), measurements);
}

static hone_status print_network(hone_hub_call *call, hone_text *out)
{
    static const char sql[] = "SELECT p.spelling, n.times, (SELECT count(*) FROM measurement m WHERE m.problem = n.problem AND m.device ="
        " (SELECT number FROM device WHERE spelling = ?2)) FROM network_problem n JOIN problem p ON p.number = n.problem"
        " WHERE lower(hex(n.network)) = ?1 ORDER BY p.spelling";
    static const char *const names[] = {"problem", "#times", "#measurements"};
    const char *const parameters[] = {hone_hub_value(call, "network"), hone_hub_value(call, "device"), NULL};
    begin_page(out, "A network's problems");
    hone_text_printf(out, "<p>on <code>");
    escape(out, hone_hub_value(call, "device"));
    hone_text_printf(out, "</code></p>\n");
    head_row(out, names, sizeof names / sizeof *names);
    return each_row(call, out, sql, parameters, print_problem_row);
}

// Covered: an ok that was verified. A network's problems include those of fusions and layouts that it may not need.
hone_status hone_hub_page_networks(hone_hub_call *call, hone_text *out)
{
    static const char sql[] = "SELECT w.name, lower(hex(w.digest)), d.spelling, (SELECT count(*) FROM (SELECT DISTINCT n.problem FROM network_problem n"
        " WHERE n.network = w.digest AND EXISTS (SELECT 1 FROM measurement m WHERE m.device = d.number AND m.problem = n.problem AND m.verdict = 'ok'))),"
        " (SELECT count(DISTINCT n.problem) FROM network_problem n WHERE n.network = w.digest) FROM network w CROSS JOIN device d"
        " WHERE (?1 = '' OR d.spelling = ?1) AND EXISTS (SELECT 1 FROM measurement m WHERE m.device = d.number) ORDER BY w.name, w.digest, d.spelling";
    static const char *const names[] = {"network", "device", "#covered", "#problems", "coverage"};
    const char *const parameters[] = {hone_hub_value(call, "device"), NULL};
    hone_status status;
    if (*hone_hub_value(call, "network")) {
        status = print_network(call, out);
    } else {
        begin_page(out, "Networks");
        head_row(out, names, sizeof names / sizeof *names);
        status = each_row(call, out, sql, parameters, print_coverage);
    }
    end_page(out);
    return status;
}

// ---- a problem

static void print_rank_row(hone_text *out, const hone_ranked *at, double slowest_ns)
{
    double pixels = slowest_ns > 0 ? BAR_PIXELS * at->median_ns / slowest_ns : 0;
    hone_text_printf(out, "<tr>");
    text_cell(out, at->tactic);
    hone_text_printf(out, "<td class=\"n\">%.3f</td><td class=\"n\">%.3f - %.3f</td><td><svg width=\"%d\" height=\"12\"><rect width=\"%.1f\" height=\"12\"/></svg></td>"
                     "<td class=\"n\">%" PRId64 "</td><td class=\"n\">%" PRId64 "</td><td>%s</td></tr>\n", at->median_ns / 1000, at->low_ns / 1000, at->high_ns / 1000,
                     BAR_PIXELS, pixels, at->workspace_bytes, at->measurements, at->tied ? "tied with the first" : at->staleness ? "stale" : "");
}

static hone_status print_ranking(hone_hub_call *call, hone_text *out, const char *device)
{
    static const char *const names[] = {"tactic", "#median, us", "#95% interval, us", "", "#workspace, bytes", "#measurements", ""};
    char toolchain[512];
    hone_ranked *ranked = NULL;
    size_t count = 0;
    hone_status status = hone_store_find_toolchain(call->store, device, toolchain, sizeof toolchain);
    hone_question question = {.device = device, .toolchain = toolchain, .problem = hone_hub_value(call, "problem"), .mode = hone_hub_value(call, "mode"), .allow_stale = true};
    if (status == HONE_OK) status = hone_store_rank(call->store, &question, &ranked, &count);
    if (status != HONE_OK) return status;
    double slowest = 0;
    for (size_t k = 0; k < count; k++) slowest = ranked[k].median_ns > slowest ? ranked[k].median_ns : slowest;
    hone_text_printf(out, "<h2>Tactics%s", count ? ", " : "");
    escape(out, count ? ranked[0].mode : "");
    hone_text_printf(out, "</h2>\n<p class=\"s\">beside <code>");
    escape(out, toolchain);
    hone_text_printf(out, "</code></p>\n");
    head_row(out, names, sizeof names / sizeof *names);
    for (size_t k = 0; k < count && k < ROWS_MAX; k++) print_rank_row(out, &ranked[k], slowest);
    hone_text_printf(out, "</tbody></table>\n");
    hone_free(ranked);
    return HONE_OK;
}

static void print_evidence_row(hone_text *out, const hone_evidence *at)
{
    char digits[HONE_ID_TEXT], date[32];
    hone_id_print(&at->id, digits);
    hone_text_printf(out, "<tr><td><code title=\"%s\">%.12s</code></td>", digits, digits);
    text_cell(out, at->row.tactic);
    hone_text_printf(out, "<td>%s</td><td>", hone_verdict_name(at->row.verdict));
    escape(out, at->row.mode);
    hone_text_printf(out, "</td><td class=\"n\">%.3f</td><td class=\"n\">%.3f</td><td class=\"n\">%zu</td><td class=\"n\">%.3g</td><td class=\"n\">%.0f</td><td>%s</td>",
                     at->row.median_ns / 1000, at->row.mad_ns / 1000, at->row.sample_count, at->row.error, at->row.clock_mhz, date_of(at->start_unix_ms, date));
    text_cell(out, at->row.depends);
    hone_text_printf(out, "<td>");
    escape(out, at->row.note);
    hone_text_printf(out, "</td></tr>\n");
}

static hone_status print_evidence(hone_hub_call *call, hone_text *out, const char *device)
{
    static const char *const names[] = {"id", "tactic", "verdict", "mode", "#median, us", "#MAD, us", "#samples", "#error", "#MHz", "run (UTC)", "depends", "note"};
    hone_evidence_list list = {0};
    hone_arena *arena = hone_arena_new(ARENA_BYTES_MAX);
    hone_status status = arena ? hone_evidence_collect(call->store, device, hone_hub_value(call, "problem"), arena, &list) : HONE_NO_MEMORY;
    hone_text_printf(out, "<h2>Evidence</h2>\n");
    head_row(out, names, sizeof names / sizeof *names);
    for (size_t k = 0; status == HONE_OK && k < list.count && k < ROWS_MAX; k++) print_evidence_row(out, &list.items[k]);
    hone_text_printf(out, "</tbody></table>\n");
    if (list.count > ROWS_MAX) hone_text_printf(out, "<p class=\"s\">the first %d of %zu</p>\n", ROWS_MAX, list.count);
    hone_free(list.items);
    hone_arena_free(arena);
    return status;
}

hone_status hone_hub_page_problem(hone_hub_call *call, hone_text *out)
{
    char device[512];
    hone_status status = hone_store_find_device(call->store, hone_hub_value(call, "device"), device, sizeof device);
    if (status != HONE_OK) return status;
    begin_page(out, "A problem");
    hone_text_printf(out, "<p><code>");
    escape(out, hone_hub_value(call, "problem"));
    hone_text_printf(out, "</code><br/>on <code>");
    escape(out, device);
    hone_text_printf(out, "</code></p>\n");
    HONE_TRY(print_ranking(call, out, device));
    HONE_TRY(print_evidence(call, out, device));
    end_page(out);
out:
    return status;
}

// ---- runs

static void print_run(hone_hub_call *call, hone_text *out, sqlite3_stmt *statement)
{
    char date[32];
    (void)call;
    hone_text_printf(out, "<tr><td>%s</td><td><code>%.12s</code></td><td>", date_of(sqlite3_column_int64(statement, 0), date), column(statement, 1));
    escape(out, column(statement, 2));
    hone_text_printf(out, "</td><td class=\"n\">%" PRId64 "</td><td class=\"n\">%" PRId64 "</td>", (int64_t)sqlite3_column_int64(statement, 3),
                     (int64_t)sqlite3_column_int64(statement, 4));
    text_cell(out, column(statement, 5));
    hone_text_printf(out, "</tr>\n");
}

hone_status hone_hub_page_runs(hone_hub_call *call, hone_text *out)
{
    static const char sql[] = "WITH counted AS (SELECT run, count(*) AS rows, count(*) FILTER (WHERE verdict = 'ok') AS ok FROM measurement GROUP BY run)"
        " SELECT r.start_unix_ms, r.writer, r.effort, coalesce(c.rows, 0), coalesce(c.ok, 0), r.options FROM run r LEFT JOIN counted c ON c.run = r.number"
        " ORDER BY r.start_unix_ms DESC, r.id LIMIT 100";
    static const char *const names[] = {"started (UTC)", "writer", "effort", "#measurements", "#ok", "options"};
    begin_page(out, "Runs");
    head_row(out, names, sizeof names / sizeof *names);
    hone_status status = each_row(call, out, sql, NULL, print_run);
    end_page(out);
    return status;
}
