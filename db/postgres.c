// SPDX-License-Identifier: Apache-2.0
#include "db/postgres.h"

#include <endian.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/dl.h"

enum { MESSAGE_BYTES = 600, COPY_HEAD_BYTES = 19 };

struct hone_pg {
    PGconn *conn;
    char name[HONE_PG_NAME];
    bool lost;
};

// ---- the library

static struct {
    hone_dl dl;
    __typeof__(PQconnectdbParams) *connect;
    __typeof__(PQfinish) *finish;
    __typeof__(PQstatus) *status;
    __typeof__(PQerrorMessage) *message;
    __typeof__(PQpass) *pass;
    __typeof__(PQconninfo) *info;
    __typeof__(PQconninfoParse) *parse;
    __typeof__(PQconninfoFree) *info_free;
    __typeof__(PQsocket) *socket;
    __typeof__(PQsetnonblocking) *set_nonblocking;
    __typeof__(PQsetNoticeProcessor) *set_notices;
    __typeof__(PQsendQuery) *send;
    __typeof__(PQsendQueryParams) *send_params;
    __typeof__(PQflush) *flush;
    __typeof__(PQconsumeInput) *consume;
    __typeof__(PQisBusy) *is_busy;
    __typeof__(PQgetResult) *get_result;
    __typeof__(PQresultStatus) *result_status;
    __typeof__(PQresultErrorField) *error_field;
    __typeof__(PQntuples) *rows;
    __typeof__(PQnfields) *fields;
    __typeof__(PQgetvalue) *value;
    __typeof__(PQcmdTuples) *affected;
    __typeof__(PQclear) *clear;
    __typeof__(PQgetCopyData) *get_copy;
    __typeof__(PQfreemem) *free;
} pq;

static pthread_once_t pq_once = PTHREAD_ONCE_INIT;
static hone_status pq_status;

static void open_library(void)
{
    static const char *const names[] = {"libpq.so.5", NULL};
    const hone_dl_symbol symbols[] = {
        {"PQconnectdbParams", &pq.connect, 0}, {"PQfinish", &pq.finish, 0}, {"PQstatus", &pq.status, 0}, {"PQerrorMessage", &pq.message, 0},
        {"PQpass", &pq.pass, 0}, {"PQconninfo", &pq.info, 0}, {"PQconninfoParse", &pq.parse, 0}, {"PQconninfoFree", &pq.info_free, 0},
        {"PQsocket", &pq.socket, 0}, {"PQsetnonblocking", &pq.set_nonblocking, 0}, {"PQsetNoticeProcessor", &pq.set_notices, 0},
        {"PQsendQuery", &pq.send, 0}, {"PQsendQueryParams", &pq.send_params, 0}, {"PQflush", &pq.flush, 0}, {"PQconsumeInput", &pq.consume, 0},
        {"PQisBusy", &pq.is_busy, 0}, {"PQgetResult", &pq.get_result, 0}, {"PQresultStatus", &pq.result_status, 0},
        {"PQresultErrorField", &pq.error_field, 0}, {"PQntuples", &pq.rows, 0}, {"PQnfields", &pq.fields, 0}, {"PQgetvalue", &pq.value, 0},
        {"PQcmdTuples", &pq.affected, 0}, {"PQclear", &pq.clear, 0}, {"PQgetCopyData", &pq.get_copy, 0}, {"PQfreemem", &pq.free, 0},
    };
    pq_status = hone_dl_open(&pq.dl, names);
    if (pq_status == HONE_OK) pq_status = hone_dl_bind(&pq.dl, symbols, sizeof symbols / sizeof *symbols);
}

static hone_status need_library(void)
{
    pthread_once(&pq_once, open_library);
    return pq_status == HONE_OK ? HONE_OK : hone_fail(HONE_IO, "a PostgreSQL database needs libpq (Debian: apt install libpq5), which cannot be opened here");
}

// ---- addresses

bool hone_pg_is_address(const char *db)
{
    return !strncmp(db, "postgresql://", 13) || !strncmp(db, "postgres://", 11);
}

static bool is_percent_right(const char *at)
{
    for (; *at; at++)
        if (*at == '%' && (!strchr("0123456789abcdefABCDEF", at[1]) || !at[1] || !strchr("0123456789abcdefABCDEF", at[2]) || !at[2])) return false;
    return true;
}

// Hosts with their ports: what stands behind a colon is a number, else it is a password whose host was forgotten.
static bool is_hosts(const char *at, size_t size)
{
    bool bracket = false, port = false;
    for (size_t k = 0; k < size; k++) {
        if (at[k] == '[' || at[k] == ']') bracket = at[k] == '[';
        else if (at[k] == ',') port = false;
        else if (at[k] == ':' && !bracket && port) return false;
        else if (at[k] == ':' && !bracket) port = true;
        else if (port && (at[k] < '0' || at[k] > '9')) return false;
    }
    return true;
}

hone_status hone_pg_name(const char *address, char name[HONE_PG_NAME])
{
    const char *user = strstr(address, "://") + 3, *rest = user + strcspn(user, "/?"), *at = memchr(user, '@', (size_t)(rest - user));
    const char *host = at ? at + 1 : user;
    if (strchr(host, '@') || !is_percent_right(address) || !is_hosts(host, (size_t)(rest - host)))
        return hone_fail(HONE_USAGE, "the address of the PostgreSQL database is no postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?OPTION=VALUE&...]: "
                         "in user and password @, :, /, ? and %% are written %%40, %%3A, %%2F, %%3F and %%25; or keep the password in ~/.pgpass");
    size_t user_size = at ? strcspn(user, ":@") : 0;
    int size = snprintf(name, HONE_PG_NAME, "postgresql://%.*s%s%.*s%.*s", (int)user_size, user, user_size ? "@" : "", (int)(rest - host), host,
                        (int)strcspn(rest, "?"), rest);
    return size < HONE_PG_NAME ? HONE_OK : hone_fail(HONE_USAGE, "the address of the PostgreSQL database is too long");
}

// ---- failures

// libpq tells no password that it knows; what a server or a host's name brings into its words is another matter.
static bool holds_secret(PGconn *conn, const char *message)
{
    PQconninfoOption *options = pq.info(conn);
    const char *pass = pq.pass(conn);
    bool found = pass && *pass && strstr(message, pass);
    for (PQconninfoOption *at = options; at && at->keyword; at++)
        found |= at->dispchar && *at->dispchar == '*' && at->val && *at->val && strstr(message, at->val);
    pq.info_free(options);
    return found;
}

static void copy_message(PGconn *conn, const char *said, char message[MESSAGE_BYTES])
{
    size_t size = 0;
    for (const char *at = said ? said : ""; *at && size < MESSAGE_BYTES - 1; at++) {
        char c = *at == '\n' || *at == '\t' ? ' ' : *at;
        if (c != ' ' || (size && message[size - 1] != ' ')) message[size++] = c;
    }
    while (size && message[size - 1] == ' ') size--;
    message[size] = 0;
    if (holds_secret(conn, message)) strcpy(message, "(what it says holds the password and is not shown)");
}

static hone_status lose(hone_pg *pg, const char *said)
{
    char message[MESSAGE_BYTES];
    copy_message(pg->conn, said ? said : pq.message(pg->conn), message);
    pg->lost = true;
    return hone_fail(HONE_AGAIN, "the connection to %s is lost: %s; try again later", pg->name, message);
}

// By SQLSTATE, or the class that it begins with (https://www.postgresql.org/docs/15/errcodes-appendix.html).
static const struct { const char *state; hone_status status; const char *way_out; } meanings[] = {
    {"08", HONE_AGAIN, "; try again later"}, {"40", HONE_AGAIN, "; try again later"}, {"53", HONE_AGAIN, "; make room there and try again"},
    {"55P03", HONE_AGAIN, ": another process has been writing for too long; try again later"}, {"57", HONE_AGAIN, "; try again later"},
    {"25006", HONE_AGAIN, ": it takes no writes now; try again later"}, {"25P03", HONE_AGAIN, "; try again later"},
    {"22", HONE_USAGE, ": PostgreSQL cannot hold such a value"}, {"54", HONE_USAGE, ": PostgreSQL cannot hold such a value"},
    {"42501", HONE_IO, ": let its role own the database (createdb -O ROLE)"},
    {"42P07", HONE_USAGE, ": the database has tables of another program; give hone one of its own"},
    {"42P01", HONE_DAMAGED, ": the database does not have hone's tables; take it from a copy or a dump"},
    {"42703", HONE_DAMAGED, ": the database does not have hone's tables; take it from a copy or a dump"},
};

static hone_status explain(hone_pg *pg, const PGresult *result)
{
    char message[MESSAGE_BYTES];
    const char *state = pq.error_field(result, PG_DIAG_SQLSTATE), *primary = pq.error_field(result, PG_DIAG_MESSAGE_PRIMARY);
    if (pq.status(pg->conn) == CONNECTION_BAD || !state) return lose(pg, primary);
    copy_message(pg->conn, primary, message);
    for (size_t k = 0; k < sizeof meanings / sizeof *meanings; k++)
        if (!strncmp(state, meanings[k].state, strlen(meanings[k].state)))
            return hone_fail(meanings[k].status, "cannot use %s: %s (%s)%s", pg->name, message, state, meanings[k].way_out);
    return hone_fail(HONE_IO, "cannot use %s: %s (%s)", pg->name, message, state);
}

// ---- connecting

static void ignore_notice(void *user, const char *message)
{
    (void)user;
    (void)message;
}

static hone_status check_address(const char *address, const char *name)
{
    PQconninfoOption *options = pq.parse(address, NULL);
    pq.info_free(options);
    return options ? HONE_OK : hone_fail(HONE_USAGE, "libpq does not understand the options behind %s", name);
}

// A server's own settings could acknowledge what is not on its disk. A session that was stopped in a transaction would keep all others waiting.
static const char session[] =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
    "SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '300s'; SET default_transaction_isolation = 'read committed'";

static hone_status begin_session(hone_pg *pg)
{
    hone_text encoding;
    hone_text_init(&encoding);
    hone_status status = hone_pg_run(pg, session);
    if (status == HONE_OK) status = hone_pg_text(pg, "SHOW server_encoding", &encoding);
    if (status == HONE_OK && strcmp(hone_text_get(&encoding), "UTF8"))
        status = hone_fail(HONE_USAGE, "%s has the encoding %s: make it with UTF8 (createdb -E UTF8 -T template0)", pg->name, hone_text_get(&encoding));
    hone_text_clear(&encoding);
    return status;
}

// What stands before dbname are defaults, which the address may change.
static PGconn *connect_to(const char *address)
{
    static const char *const keys[] = {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
                                       "fallback_application_name", "dbname", "client_encoding", NULL};
    const char *const values[] = {"5", "10", "5", "3", "20000", "hone", address, "UTF8", NULL};
    return pq.connect(keys, values, 1);
}

hone_status hone_pg_open(const char *address, hone_pg **pg)
{
    char message[MESSAGE_BYTES];
    hone_pg *made = hone_calloc(1, sizeof *made);
    hone_status status = made ? hone_pg_name(address, made->name) : HONE_NO_MEMORY;
    if (status == HONE_OK) status = need_library();
    if (status == HONE_OK) status = check_address(address, made->name);
    if (status != HONE_OK) goto out;
    made->conn = connect_to(address);
    if (!made->conn) {
        status = HONE_NO_MEMORY;
        goto out;
    }
    if (pq.status(made->conn) != CONNECTION_OK) {
        copy_message(made->conn, pq.message(made->conn), message);
        status = hone_fail(HONE_AGAIN, "cannot reach %s: %s", made->name, message);
        goto out;
    }
    pq.set_notices(made->conn, ignore_notice, NULL);
    pq.set_nonblocking(made->conn, 1);
    HONE_TRY(begin_session(made));
    *pg = made;
    return HONE_OK;
out:
    hone_pg_close(made);
    return status;
}

void hone_pg_close(hone_pg *pg)
{
    if (!pg) return;
    if (pg->conn) pq.finish(pg->conn);
    hone_free(pg);
}

bool hone_pg_is_lost(const hone_pg *pg) { return pg->lost; }
const char *hone_pg_shown(const hone_pg *pg) { return pg->name; }

// ---- asking

static hone_status await(hone_pg *pg, short events)
{
    struct pollfd wanted = {.fd = pq.socket(pg->conn), .events = events};
    int got = poll(&wanted, 1, HONE_PG_PATIENCE_S * 1000);
    if (got > 0 && (wanted.revents & (POLLIN | POLLHUP | POLLERR)) && !pq.consume(pg->conn)) return lose(pg, NULL);
    return got ? HONE_OK : lose(pg, "it has been silent for too long");
}

static hone_status finish_sending(hone_pg *pg, int sent)
{
    hone_status status = sent ? HONE_OK : lose(pg, NULL);
    for (int left = 1; status == HONE_OK && left;) {
        left = pq.flush(pg->conn);
        if (left < 0) return lose(pg, NULL);
        if (left) status = await(pg, POLLIN | POLLOUT);
    }
    return status;
}

static hone_status next_result(hone_pg *pg, PGresult **result)
{
    hone_status status = HONE_OK;
    while (status == HONE_OK && pq.is_busy(pg->conn)) status = await(pg, POLLIN);
    *result = status == HONE_OK ? pq.get_result(pg->conn) : NULL;
    return status;
}

static bool is_failure(ExecStatusType kind)
{
    return kind == PGRES_FATAL_ERROR || kind == PGRES_BAD_RESPONSE || kind == PGRES_NONFATAL_ERROR;
}

// Until nothing is left; the last answer stays, or the first failure counts. The caller clears *last.
static hone_status take_results(hone_pg *pg, PGresult **last)
{
    hone_status status = HONE_OK;
    for (;;) {
        PGresult *result = NULL;
        hone_status next = next_result(pg, &result);
        if (next != HONE_OK) return next;
        if (!result) return status;
        if (status == HONE_OK && is_failure(pq.result_status(result))) status = explain(pg, result);
        if (*last) pq.clear(*last);
        *last = result;
        if (pg->lost) return status;
    }
}

static hone_status ask(hone_pg *pg, const char *sql, PGresult **last)
{
    *last = NULL;
    if (pg->lost) return lose(pg, "it broke before");
    hone_status status = finish_sending(pg, pq.send(pg->conn, sql));
    return status == HONE_OK ? take_results(pg, last) : status;
}

hone_status hone_pg_run(hone_pg *pg, const char *sql)
{
    PGresult *last;
    hone_status status = ask(pg, sql, &last);
    if (last) pq.clear(last);
    return status;
}

hone_status hone_pg_ints(hone_pg *pg, const char *sql, int64_t *values, int count, bool *row)
{
    PGresult *last;
    hone_status status = ask(pg, sql, &last);
    *row = status == HONE_OK && last && pq.rows(last) > 0;
    for (int k = 0; *row && k < count && k < pq.fields(last); k++) values[k] = strtoll(pq.value(last, 0, k), NULL, 10);
    if (last) pq.clear(last);
    return status;
}

hone_status hone_pg_text(hone_pg *pg, const char *sql, hone_text *out)
{
    PGresult *last;
    hone_status status = ask(pg, sql, &last);
    if (status == HONE_OK && last && pq.rows(last) > 0) hone_text_printf(out, "%s", pq.value(last, 0, 0));
    if (last) pq.clear(last);
    return status == HONE_OK ? hone_text_status(out) : status;
}

hone_status hone_pg_put(hone_pg *pg, const char *sql, const hone_pg_value *values, int count, int64_t *rows)
{
    const char *data[HONE_PG_FIELDS];
    int sizes[HONE_PG_FIELDS], binary[HONE_PG_FIELDS];
    PGresult *last = NULL;
    for (int k = 0; k < count; k++) {
        data[k] = values[k].data;
        sizes[k] = (int)values[k].size;
        binary[k] = 1;
    }
    if (pg->lost) return lose(pg, "it broke before");
    hone_status status = finish_sending(pg, pq.send_params(pg->conn, sql, count, NULL, data, sizes, binary, 0));
    if (status == HONE_OK) status = take_results(pg, &last);
    if (status == HONE_OK && last && rows) *rows = strtoll(pq.affected(last), NULL, 10);
    if (last) pq.clear(last);
    return status;
}

// ---- rows in bulk

static int32_t read_int(const char *at, int bytes)
{
    uint32_t wide = 0;
    for (int k = 0; k < bytes; k++) wide = wide << 8 | (uint8_t)at[k];
    return bytes == 2 ? (int16_t)wide : (int32_t)wide;
}

// A row: the count of its fields, then each with its size before it, -1 for NULL. -1 for a count: the end. The head comes with the first.
static hone_status read_row(hone_pg *pg, const char *at, int size, bool *first, hone_status (*each)(void *user, const hone_pg_value *fields, int count),
                            void *user)
{
    hone_pg_value fields[HONE_PG_FIELDS];
    const char *end = at + size;
    if (*first) at += COPY_HEAD_BYTES;
    *first = false;
    int count = at + 2 <= end ? read_int(at, 2) : -1;
    if (count < 0) return HONE_OK;
    if (count > HONE_PG_FIELDS) return hone_fail(HONE_INTERNAL, "%s has a row of %d columns", pg->name, count);
    at += 2;
    for (int k = 0; k < count; k++) {
        int32_t bytes = at + 4 <= end ? read_int(at, 4) : -2;
        at += 4;
        if (bytes < -1 || bytes > end - at) return hone_fail(HONE_INTERNAL, "%s answers with a row that is cut short", pg->name);
        fields[k] = (hone_pg_value){bytes < 0 ? NULL : at, bytes < 0 ? 0 : (size_t)bytes};
        at += bytes < 0 ? 0 : bytes;
    }
    return each(user, fields, count);
}

static hone_status read_rows(hone_pg *pg, hone_status (*each)(void *user, const hone_pg_value *fields, int count), void *user)
{
    hone_status status = HONE_OK;
    bool first = true;
    for (;;) {
        char *data = NULL;
        int size = pq.get_copy(pg->conn, &data, 1);
        if (size < 0) return size == -1 ? status : lose(pg, NULL);
        hone_status here = size ? HONE_OK : await(pg, POLLIN);
        if (here != HONE_OK) return here;
        if (size && status == HONE_OK) status = read_row(pg, data, size, &first, each, user);       // after a failure the rest passes by
        if (size) pq.free(data);
    }
}

hone_status hone_pg_copy(hone_pg *pg, const char *sql, hone_status (*each)(void *user, const hone_pg_value *fields, int count), void *user)
{
    PGresult *result = NULL, *last = NULL;
    if (pg->lost) return lose(pg, "it broke before");
    hone_status status = finish_sending(pg, pq.send(pg->conn, sql));
    if (status == HONE_OK) status = next_result(pg, &result);
    if (status != HONE_OK || !result) return status;
    bool copies = pq.result_status(result) == PGRES_COPY_OUT;
    if (!copies) status = explain(pg, result);
    pq.clear(result);
    if (copies) status = read_rows(pg, each, user);
    hone_status end = pg->lost ? HONE_OK : take_results(pg, &last);
    if (last) pq.clear(last);
    return status == HONE_OK ? end : status;
}
