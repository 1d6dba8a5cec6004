// SPDX-License-Identifier: Apache-2.0
#include "db/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "db/inbox_priv.h"
#include "db/postgres_priv.h"

// A file of up to this size is checked as a whole when it is opened (some 8 ms for each MiB); a larger one by `hone db check`.
enum { CHECKED_WHEN_OPENED_BYTES = 32 << 20 };

int64_t hone_store_wait_ns = 30000000000;

static const struct { int code; hone_status status; const char *way_out; } meanings[] = {
    {SQLITE_BUSY, HONE_AGAIN, "; other programs hold its lock: try again later"},
    {SQLITE_LOCKED, HONE_AGAIN, "; it is locked: try again later"},
    {SQLITE_PROTOCOL, HONE_AGAIN, "; try again later"},
    {SQLITE_FULL, HONE_AGAIN, "; make room on the disk and try again"},
    {SQLITE_NOMEM, HONE_NO_MEMORY, ""},
    {SQLITE_CORRUPT, HONE_DAMAGED, "; the file is damaged: take it from a copy or a dump"},
    {SQLITE_NOTADB, HONE_DAMAGED, "; it is no hone database, or damaged"},
    {SQLITE_FORMAT, HONE_DAMAGED, "; the file is damaged: take it from a copy or a dump"},
    {SQLITE_ERROR, HONE_DAMAGED, "; the file does not have hone's tables: take it from a copy or a dump"},
    {SQLITE_CONSTRAINT, HONE_DAMAGED, "; the file breaks its own rules: take it from a copy or a dump"},
    {SQLITE_MISMATCH, HONE_DAMAGED, "; the file breaks its own rules: take it from a copy or a dump"},
    {SQLITE_TOOBIG, HONE_DAMAGED, "; a value is larger than any that hone writes"},
    {SQLITE_READONLY, HONE_IO, "; give write permission on the file and its folder"},
    {SQLITE_PERM, HONE_IO, ""},
    {SQLITE_CANTOPEN, HONE_IO, ""},
    {SQLITE_IOERR, HONE_IO, ""},
};

hone_status hone_store_fail(hone_store *store, int code, const char *what)
{
    const char *said = store->handle ? sqlite3_errmsg(store->handle) : sqlite3_errstr(code);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if ((code & 0xff) == meanings[i].code)
            return hone_fail(meanings[i].status, "cannot %s %s: %s%s", what, store->path, said, meanings[i].way_out);
    return hone_fail(HONE_INTERNAL, "cannot %s %s: %s (SQLite's code %d)", what, store->path, said, code);
}

hone_status hone_store_ready(hone_store *store)
{
    if (store->owner == getpid()) return HONE_OK;
    return hone_fail(HONE_INTERNAL, "the database %s is used by a process that did not open it", store->path);
}

hone_status hone_store_prepare(hone_store *store, const char *sql, sqlite3_stmt **statement)
{
    for (size_t i = 0; i < store->statement_count; i++) {
        if (store->statements[i].sql != sql) continue;
        *statement = store->statements[i].handle;
        sqlite3_reset(*statement);
        sqlite3_clear_bindings(*statement);
        return HONE_OK;
    }
    HONE_ASSERT(store->statement_count < HONE_STATEMENTS_MAX);
    int code = sqlite3_prepare_v3(store->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code != SQLITE_OK) return hone_store_fail(store, code, "read");
    store->statements[store->statement_count++] = (hone_statement){sql, *statement};
    return HONE_OK;
}

hone_status hone_store_step(hone_store *store, sqlite3_stmt *statement, bool *row)
{
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (*row) return HONE_OK;
    hone_status status = code == SQLITE_DONE ? HONE_OK
        : hone_store_fail(store, code, sqlite3_stmt_readonly(statement) ? "read" : "write");
    sqlite3_reset(statement);
    return status;
}

hone_status hone_store_exec(hone_store *store, const char *sql)
{
    int code = sqlite3_exec(store->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? HONE_OK : hone_store_fail(store, code, "use");
}

hone_status hone_store_pragma(hone_store *store, const char *sql, int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->handle, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *value = sqlite3_column_int64(statement, 0);
    hone_status status = code == SQLITE_ROW || code == SQLITE_DONE ? HONE_OK : hone_store_fail(store, code, "read");
    sqlite3_finalize(statement);
    return status;
}

// SQLite's own waiting sleeps up to 100 ms and lets a late comer starve; many short sleeps of random length do not.
static int wait_for_lock(void *user, int attempts)
{
    hone_store *store = user;
    if (attempts == 0) store->wait_start_ns = hone_clock_ns();
    if (hone_clock_ns() - store->wait_start_ns > hone_store_wait_ns) return 0;
    hone_sleep_ns(200000 + hone_rng_bits((uint64_t)store->owner, 0, (uint64_t)hone_clock_ns()) % 2000000);
    return 1;
}

hone_status hone_store_begin(hone_store *store)
{
    hone_status status = hone_store_ready(store);
    if (status != HONE_OK) return status;
    if (store->access == HONE_STORE_READ)
        return hone_fail(HONE_USAGE, "the database %s was opened for reading only", store->path);
    if (store->reading) return hone_fail(HONE_INTERNAL, "%s is being read in one transaction and cannot be written", store->path);
    if (store->grouping) return HONE_OK;
    int code = sqlite3_exec(store->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code != SQLITE_OK) return hone_store_fail(store, code, "write");
    status = store->shared ? hone_shared_begin(store) : HONE_OK;
    return status == HONE_OK ? HONE_OK : hone_store_end(store, status);
}

void hone_store_forget_rows(hone_store *store)
{
    for (int i = 0; i < HONE_SPELLINGS * HONE_KNOWN; i++) store->known[i / HONE_KNOWN][i % HONE_KNOWN].number = 0;
    store->known_run_number = 0;
}

hone_status hone_store_end(hone_store *store, hone_status status)
{
    if (store->grouping) {
        if (store->grouped == HONE_OK) store->grouped = status;
        return status;
    }
    bool kept = false;
    if (status == HONE_OK && store->shared) status = hone_shared_commit(store);
    if (status == HONE_OK) {
        int code = sqlite3_exec(store->handle, "COMMIT", NULL, NULL, NULL);
        kept = code == SQLITE_OK;
        if (!kept && !store->shared) status = hone_store_fail(store, code, "write");      // else the rows are there, and the copy will get them again
    }
    if (!kept) hone_store_forget_rows(store);       // their numbers may have been given in what is rolled back now
    if (!sqlite3_get_autocommit(store->handle)) sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
    if (store->shared) hone_shared_end(store, kept);
    return status;
}

hone_status hone_store_begin_group(hone_store *store)
{
    if (store->grouping) return hone_fail(HONE_INTERNAL, "%s is in a group of puts already", store->path);
    hone_status status = hone_store_begin(store);
    store->grouping = status == HONE_OK;
    store->grouped = HONE_OK;
    return status;
}

hone_status hone_store_end_group(hone_store *store)
{
    if (!store->grouping) return hone_fail(HONE_INTERNAL, "%s is in no group of puts", store->path);
    store->grouping = false;
    return hone_store_end(store, store->grouped);
}

hone_status hone_store_begin_read(hone_store *store)
{
    for (hone_store *at = store; at; at = at->under) {
        int code = at->reading++ ? SQLITE_OK : sqlite3_exec(at->handle, "BEGIN", NULL, NULL, NULL);
        if (code != SQLITE_OK) return hone_store_fail(at, code, "read");
    }
    return HONE_OK;
}

void hone_store_end_read(hone_store *store)
{
    for (hone_store *at = store; at; at = at->under)
        if (at->reading && !--at->reading) sqlite3_exec(at->handle, "COMMIT", NULL, NULL, NULL);
}

// ---- opening

typedef struct glance {            // what a file is, before SQLite sees it
    bool missing, empty, sqlite, wal, dump, zipped;
    int64_t size_bytes;
} glance;

static hone_status look(const char *path, glance *seen)
{
    static const unsigned char zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned char head[20] = {0};
    struct stat facts;
    memset(seen, 0, sizeof *seen);
    if (stat(path, &facts)) {
        seen->missing = errno == ENOENT;
        return seen->missing ? HONE_OK : hone_fail(HONE_DAMAGED, "cannot open the database %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode))
        return hone_fail(HONE_DAMAGED, "%s is %s, not a database file", path, S_ISDIR(facts.st_mode) ? "a folder" : "no regular file");
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return hone_fail(HONE_DAMAGED, "cannot open the database %s: %s", path, strerror(errno));
    ssize_t got = read(file, head, sizeof head);
    close(file);
    if (got < 0) return hone_fail(HONE_IO, "cannot read the database %s: %s", path, strerror(errno));
    seen->size_bytes = facts.st_size;
    seen->empty = facts.st_size == 0;
    seen->sqlite = !memcmp(head, "SQLite format 3", 16);
    seen->wal = seen->sqlite && (head[18] == 2 || head[19] == 2);
    seen->dump = got > 10 && !memcmp(head, "hone-dump ", 10);
    seen->zipped = !memcmp(head, zstd_magic, 4);
    return HONE_OK;
}

static hone_status check_glance(const char *path, hone_store_access access, const glance *seen)
{
    if (seen->missing && access != HONE_STORE_CREATE)
        return hone_fail(HONE_USAGE, "there is no database %s: `hone tune --db %s` or `hone db load` make one", path, path);
    if (seen->missing || seen->sqlite) return HONE_OK;
    if (seen->empty && access == HONE_STORE_CREATE) return HONE_OK;       // left by a process that was killed while it made the file
    if (seen->empty) return hone_fail(HONE_DAMAGED, "the database %s is empty", path);
    if (!seen->dump && !seen->zipped)
        return hone_fail(HONE_DAMAGED, "%s is neither a hone database nor a dump of one", path);
    if (access != HONE_STORE_READ)
        return hone_fail(HONE_USAGE, "%s is a dump, which is only read: make a database of it with `hone db load DATABASE %s`", path, path);
    return HONE_OK;
}

// A URI, so that no character of a path has a meaning of its own.
static hone_status print_uri(const char *path, bool immutable, hone_text *uri)
{
    hone_text_printf(uri, "%s", path[0] == '/' ? "file://" : "file:./");
    for (const char *at = path; *at; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || strchr("/._-", *at);
        hone_text_printf(uri, plain ? "%c" : "%%%02X", (unsigned char)*at);
    }
    if (immutable) hone_text_printf(uri, "?immutable=1");
    return hone_text_status(uri);
}

#define USUAL_CACHE "PRAGMA cache_size = -65536"

static hone_status connect(hone_store *store, const char *uri, int flags)
{
    int code = sqlite3_open_v2(uri, &store->handle, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) return hone_store_fail(store, code, "open");
    sqlite3_busy_handler(store->handle, wait_for_lock, store);
    sqlite3_db_config(store->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(store->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(store->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_limit(store->handle, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(store->handle, SQLITE_LIMIT_LENGTH, (int)HONE_ARTIFACT_MAX + (1 << 20));
    return hone_store_exec(store, "PRAGMA cell_size_check = ON; " USUAL_CACHE "; PRAGMA temp_store = MEMORY");
}

// A walk over all pages finds none again by keeping them all: a small cache stays in the processor's, and the kernel clears no new memory (a file of
// 29 MB in 0.12 instead of 0.19 s).
#define WALK_CACHE "PRAGMA cache_size = -4096"

static hone_status integrity(hone_store *store)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, "PRAGMA integrity_check(1)", &statement);
    if (status == HONE_OK) status = hone_store_step(store, statement, &row);
    if (status != HONE_OK) return status;
    const char *said = (const char *)sqlite3_column_text(statement, 0);
    if (!said || strcmp(said, "ok"))
        status = hone_fail(HONE_DAMAGED, "the database %s is damaged (%s): take it from a copy or a dump", store->path,
                           said ? said : "no answer");
    sqlite3_reset(statement);
    return status;
}

static hone_status check_whole(hone_store *store)
{
    hone_status status;
    HONE_TRY(hone_store_exec(store, WALK_CACHE));
    HONE_TRY(integrity(store));
    status = hone_store_exec(store, USUAL_CACHE);
out:
    return status;
}

// A file in WAL mode where nothing may be written: without a log beside it, it is complete as it lies.
static bool lies_still(const hone_store *store, const glance *seen)
{
    hone_text log;
    hone_text_init(&log);
    hone_text_printf(&log, "%s-wal", store->path);
    bool still = store->access == HONE_STORE_READ && seen->wal && access(store->path, W_OK) && !hone_path_exists(hone_text_get(&log));
    hone_text_clear(&log);
    return still;
}

static hone_status open_file(hone_store *store, const glance *seen, bool immutable, bool unchecked)
{
    hone_status status;
    hone_text uri;
    immutable = immutable || lies_still(store, seen);
    int flags = immutable ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;     // a reader too may have to finish a killed writer's roll-back
    hone_text_init(&uri);
    if (store->access == HONE_STORE_CREATE) flags |= SQLITE_OPEN_CREATE;
    if (store->access != HONE_STORE_READ) HONE_TRY(hone_place_check(store->path));
    HONE_TRY(print_uri(store->path, immutable, &uri));
    HONE_TRY(connect(store, hone_text_get(&uri), flags));
    HONE_TRY(hone_journal_apply(store, seen->wal && !immutable));
    if (immutable) snprintf(store->journal, sizeof store->journal, "immutable");
    store->is_immutable = immutable;
    store->is_unchecked = unchecked;
    if (!unchecked && seen->sqlite && seen->size_bytes <= CHECKED_WHEN_OPENED_BYTES) HONE_TRY(check_whole(store));
    HONE_TRY(hone_schema_open(store));
    if (store->access == HONE_STORE_READ) HONE_TRY(hone_store_exec(store, "PRAGMA query_only = ON"));
out:
    hone_text_clear(&uri);
    return status;
}

static hone_status new_store(const char *path, hone_store_access access, hone_store **store)
{
    hone_store *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    made->owner = getpid();
    made->access = access;
    made->path = hone_strdup(path);
    made->file = hone_strdup(path);
    if (!made->path || !made->file) {
        hone_store_close(made);
        return HONE_NO_MEMORY;
    }
    *store = made;
    return HONE_OK;
}

hone_status hone_store_open_memory(const char *name, hone_store **store)
{
    hone_store *made = NULL;
    hone_status status = new_store(name, HONE_STORE_CREATE, &made);
    if (status == HONE_OK) status = connect(made, "file::memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (status != HONE_OK) {
        hone_store_close(made);
        return status;
    }
    snprintf(made->journal, sizeof made->journal, "memory");
    snprintf(made->reason, sizeof made->reason, "SQLite %s holds the rows in memory", sqlite3_libversion());
    *store = made;
    return HONE_OK;
}

static hone_status open_dump(const char *path, hone_store **store)
{
    hone_store *made = NULL;
    char *data = NULL;
    size_t size = 0;
    int64_t added;
    hone_status status;
    HONE_TRY(hone_file_read(path, HONE_DUMP_MAX, &data, &size));
    HONE_TRY(hone_store_open_memory(path, &made));
    HONE_TRY(hone_schema_open(made));
    HONE_TRY(hone_store_load(made, data, size, &added));
    HONE_TRY(hone_store_exec(made, "PRAGMA query_only = ON"));
    made->access = HONE_STORE_READ;
    *store = made;
    made = NULL;
out:
    hone_free(data);
    hone_store_close(made);
    return status == HONE_DAMAGED ? hone_fail_in(status, "the dump %s", path) : status;
}

static hone_status open_store(const char *path, hone_store_access access, bool immutable, bool unchecked, hone_store **store)
{
    hone_store *made = NULL;
    hone_status status;
    glance seen;
    HONE_TRY(look(path, &seen));
    HONE_TRY(check_glance(path, access, &seen));
    if (seen.dump || seen.zipped) return open_dump(path, store);
    HONE_TRY(new_store(path, access, &made));
    HONE_TRY(open_file(made, &seen, immutable, unchecked));
    *store = made;
    made = NULL;
out:
    hone_store_close(made);
    return status;
}

// A hub has acknowledged what lies in the inbox: whoever opens the database finds it, and a reader too has to put it in its place first.
static hone_status open_with_inbox(const char *path, hone_store_access access, hone_store **store)
{
    hone_store *writer = NULL;
    hone_status status;
    if (!hone_path_exists(path)) return hone_fail(HONE_USAGE, "there is no database %s, but its inbox %s-inbox: put back the one, or move away the other", path, path);
    HONE_TRY(open_store(path, HONE_STORE_WRITE, false, false, &writer));
    HONE_TRY(hone_inbox_settle(path, writer));
    if (access == HONE_STORE_READ) status = open_store(path, access, false, false, store);
    else *store = writer, writer = NULL;
out:
    hone_store_close(writer);
    return status == HONE_OK ? HONE_OK : hone_fail_in(status, "%s-inbox holds what a hub has acknowledged, and %s lacks", path, path);
}

hone_status hone_store_open(const char *path, hone_store_access access, hone_store **store)
{
    if (hone_pg_is_address(path)) return hone_shared_open(path, access, store);
    return hone_inbox_holds(path) ? open_with_inbox(path, access, store) : open_store(path, access, false, false, store);
}

hone_status hone_store_open_unchecked(const char *path, hone_store **store)
{
    bool plain = !hone_pg_is_address(path) && !hone_inbox_holds(path);
    return plain ? open_store(path, HONE_STORE_READ, false, true, store) : hone_store_open(path, HONE_STORE_READ, store);
}

hone_status hone_store_look_through(const hone_store *store)
{
    hone_status status = HONE_OK;
    for (const hone_store *at = store; at && status == HONE_OK; at = at->under) {
        hone_store *again = NULL;
        if (at->is_unchecked) status = open_store(at->file, HONE_STORE_READ, at->is_immutable, false, &again);
        hone_store_close(again);
    }
    return status;
}

// Under the rollback journal each commit of the writer empties a reader's cache, so it need not hold more than some questions' pages.
#define READER_CACHE "PRAGMA cache_size = -8192"

hone_status hone_store_open_again(const hone_store *store, hone_store **reader)
{
    char *name = hone_strdup(store->path);
    hone_status status = name ? open_store(store->file, HONE_STORE_READ, false, false, reader) : HONE_NO_MEMORY;
    if (status != HONE_OK) return hone_free(name), status;
    hone_free((*reader)->path);
    (*reader)->path = name;
    status = hone_store_exec(*reader, READER_CACHE);
    if (status == HONE_OK) return HONE_OK;
    hone_store_close(*reader);
    *reader = NULL;
    return status;
}

hone_status hone_store_follow(hone_store *store, bool *changed)
{
    int64_t now = store->seen;
    if (store->shared) return hone_shared_follow(store, changed);
    hone_status status = hone_store_pragma(store, "PRAGMA data_version", &now);
    *changed = now != store->seen;
    store->seen = now;
    return status;
}

hone_status hone_store_open_immutable(const char *path, bool unchecked, hone_store **store)
{
    return open_store(path, HONE_STORE_READ, true, unchecked, store);
}

void hone_store_close(hone_store *store)
{
    if (!store) return;
    hone_store_close(store->under);
    for (size_t i = 0; i < store->statement_count; i++) sqlite3_finalize(store->statements[i].handle);
    sqlite3_close(store->handle);
    for (int i = 0; i < HONE_SPELLINGS * HONE_KNOWN; i++) hone_free(store->known[i / HONE_KNOWN][i % HONE_KNOWN].spelling);
    hone_arena_free(store->answers);
    hone_shared_free(store);
    hone_free(store->path);
    hone_free(store->file);
    hone_free(store);
}

void hone_store_remove(const char *path)
{
    static const char *const endings[] = {"", "-journal", "-wal", "-shm"};
    char file[PATH_MAX];
    for (size_t k = 0; k < sizeof endings / sizeof *endings; k++)
        if (snprintf(file, sizeof file, "%s%s", path, endings[k]) < (int)sizeof file) unlink(file);
}

const char *hone_store_path(const hone_store *store) { return store->path; }
const char *hone_store_journal(const hone_store *store) { return store->journal; }
const char *hone_store_journal_reason(const hone_store *store) { return store->reason; }
int hone_store_schema_version(const hone_store *store) { return store->version; }
bool hone_store_is_shared(const hone_store *store) { return store->shared; }
