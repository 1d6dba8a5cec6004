// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "db/postgres_priv.h"

enum { CHANGES_KEPT = 10000 };

#define TRY_AGAIN_NS 1000000000
#define FOLDER_PREFIX "hone-copy-"

struct hone_shared {
    char *address;                 // owned; holds the password
    hone_pg *pg;                   // NULL: not connected
    int64_t try_again_ns;
    char *why;                     // owned: what the last attempt to connect met
    int64_t position, stamp;       // of the change that the copy has come to; position -1: it is to be made anew
    int64_t next_position, next_stamp;   // ... when the transaction is over
    bool recording;
    hone_range_list touched;
    char folder[4096];
    int lock;                      // the folder, locked as long as it is used
};

// SQLite calls for each row that is put, changed or removed. The tables without numbers are not told (of them, only toolchain_library changes
// beside another).
static void on_update(void *user, int kind, const char *database, const char *name, sqlite3_int64 number)
{
    hone_shared *shared = user;
    int table = hone_shared_find_table(name);
    (void)database;
    if (!shared->recording || table < 0) return;
    bool rewritten = kind != SQLITE_INSERT;
    size_t k = shared->touched.count;      // a measurement and its samples take turns
    for (size_t back = 0; back < 4 && k > 0; back++) {
        hone_range *at = &shared->touched.items[--k];
        if (at->table != table || at->rewritten != rewritten || at->last + 1 != number) continue;
        at->last = number;
        return;
    }
    hone_ranges_add(&shared->touched, (hone_range){table, number, number, rewritten});
}

// ---- following

static hone_status find_changes(hone_store *store, hone_range_list *list)
{
    hone_shared *shared = store->shared;
    char sql[200];
    hone_text text;
    hone_text_init(&text);
    snprintf(sql, sizeof sql, "SELECT string_agg(ranges, '' ORDER BY position) FROM change WHERE position > %" PRId64, shared->position);
    hone_status status = hone_pg_text(shared->pg, sql, &text);
    if (status == HONE_OK) status = hone_ranges_parse(store, hone_text_get(&text), list);
    hone_text_clear(&text);
    hone_ranges_settle(list);
    return status;
}

static void add_everything(hone_range_list *list)
{
    for (int k = 0; k < hone_shared_table_count; k++) hone_ranges_add(list, (hone_range){k, INT64_MIN, HONE_LAST_ROW, true});
}

typedef struct head { int64_t version, position, stamp, mine; } head;      // mine: the stamp at the copy's position

static hone_status find_head(hone_store *store, head *found)
{
    hone_shared *shared = store->shared;
    char sql[300];
    int64_t values[4] = {0, 0, 0, 0};
    bool row;
    snprintf(sql, sizeof sql, "SELECT (SELECT value FROM schema_info WHERE name = 'user_version'), position, stamp, (SELECT stamp FROM change"
             " WHERE position = %" PRId64 ") FROM change ORDER BY position DESC LIMIT 1", shared->position);
    hone_status status = hone_pg_ints(shared->pg, sql, values, 4, &row);
    *found = (head){values[0], values[1], values[2], values[3]};
    if (status != HONE_OK) return status;
    if (!row) return hone_fail(HONE_DAMAGED, "%s is damaged: its table change is empty", store->path);
    if (found->version == HONE_STORE_SCHEMA) return HONE_OK;
    return hone_fail(HONE_AGAIN, "%s was brought to schema version %d by a newer hone; this one writes version %d: update it", store->path,
                     (int)found->version, HONE_STORE_SCHEMA);
}

// Inside a transaction of both sides: the copy becomes what PostgreSQL holds.
static hone_status follow(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_range_list list = {0};
    head found;
    hone_status status;
    HONE_TRY(find_head(store, &found));
    shared->next_position = found.position;
    shared->next_stamp = found.stamp;
    if (found.position == shared->position && found.stamp == shared->stamp) return HONE_OK;
    bool known = shared->position >= 0 && found.position > shared->position && found.mine == shared->stamp;
    if (known) HONE_TRY(find_changes(store, &list));
    else add_everything(&list);
    if (!known) hone_store_forget_rows(store);
    status = list.failed ? HONE_NO_MEMORY : HONE_OK;
    for (size_t i = 0; i < list.count && status == HONE_OK; i++) status = hone_shared_take(store, shared->pg, &list.items[i]);
out:
    hone_free(list.items);
    return status;
}

// ---- sending

static hone_status send_change(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_text sql;
    if (getrandom(&shared->next_stamp, sizeof shared->next_stamp, 0) != sizeof shared->next_stamp)
        return hone_fail(HONE_IO, "the system gives no random bits: %s", strerror(errno));
    shared->next_position++;
    hone_text_init(&sql);
    hone_text_printf(&sql, "INSERT INTO change(position, stamp, ranges) VALUES(%" PRId64 ", %" PRId64 ", '", shared->next_position, shared->next_stamp);
    hone_ranges_print(&shared->touched, &sql);
    hone_text_printf(&sql, "'); DELETE FROM change WHERE position <= %" PRId64, shared->next_position - CHANGES_KEPT);
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = hone_pg_run(shared->pg, hone_text_get(&sql));
    hone_text_clear(&sql);
    return status;
}

static hone_status send_all(hone_store *store)
{
    hone_range_list *list = &store->shared->touched;
    size_t told = list->count;
    bool is_foreign = false;
    for (size_t i = 0; i < told; i++)
        if (list->items[i].table == HONE_SHARED_TOOLCHAIN) hone_ranges_add(list, (hone_range){HONE_SHARED_TOOLCHAIN_LIBRARY, list->items[i].first, list->items[i].last, false});
    for (int k = 0; store->settled && k < hone_shared_table_count; k++)
        if (!hone_shared_tables[k].key) hone_ranges_add(list, (hone_range){k, INT64_MIN, HONE_LAST_ROW, true});
    hone_ranges_settle(list);
    hone_status status = list->failed ? HONE_NO_MEMORY : HONE_OK;
    for (size_t i = 0; i < list->count && status == HONE_OK; i++) status = hone_shared_send(store, store->shared->pg, &list->items[i], &is_foreign);
    if (is_foreign) store->shared->position = -1;
    return status == HONE_OK && list->count ? send_change(store) : status;
}

// ---- transactions

static void disconnect(hone_shared *shared)
{
    hone_pg_close(shared->pg);
    shared->pg = NULL;
}

// After a failure the next attempt waits, so that those who ask in the meantime hear at once what the matter is.
static hone_status need_connection(hone_shared *shared)
{
    if (shared->pg && hone_pg_is_lost(shared->pg)) disconnect(shared);
    if (shared->pg) return HONE_OK;
    if (hone_clock_ns() < shared->try_again_ns) return hone_fail(HONE_AGAIN, "%s", shared->why ? shared->why : "PostgreSQL cannot be reached");
    hone_status status = hone_pg_open(shared->address, &shared->pg);
    if (status == HONE_OK) return HONE_OK;
    hone_free(shared->why);
    shared->why = hone_strdup(hone_error_text());
    shared->try_again_ns = hone_clock_ns() + TRY_AGAIN_NS;
    return status;
}

static hone_status begin_locked(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_status status = need_connection(shared);
    if (status == HONE_OK) status = hone_pg_run(shared->pg, "BEGIN");
    if (status == HONE_OK) status = hone_shared_lock(shared->pg, HONE_SHARED_LOCK_ROWS);
    return status == HONE_OK ? follow(store) : status;
}

hone_status hone_shared_begin(hone_store *store)
{
    hone_shared *shared = store->shared;
    shared->touched.count = 0;
    shared->touched.failed = store->settled = false;
    hone_status status = begin_locked(store);
    // A connection that lay idle may have broken unseen: a server's restart is not the caller's failure.
    if (status == HONE_AGAIN && shared->pg && hone_pg_is_lost(shared->pg)) status = begin_locked(store);
    shared->recording = status == HONE_OK;
    return status;
}

hone_status hone_shared_commit(hone_store *store)
{
    store->shared->recording = false;
    hone_status status = send_all(store);
    return status == HONE_OK ? hone_pg_run(store->shared->pg, "COMMIT") : status;
}

void hone_shared_end(hone_store *store, bool kept)
{
    hone_shared *shared = store->shared;
    shared->recording = false;
    if (kept) {
        shared->position = shared->next_position;
        shared->stamp = shared->next_stamp;
    } else if (shared->pg && !hone_pg_is_lost(shared->pg)) {
        hone_pg_run(shared->pg, "ROLLBACK");
    }
}

static hone_status follow_now(hone_store *store)
{
    hone_shared *shared = store->shared;
    hone_status status;
    if (sqlite3_exec(store->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) return hone_store_fail(store, sqlite3_errcode(store->handle), "write");
    HONE_TRY(hone_pg_run(shared->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    HONE_TRY(follow(store));
    HONE_TRY(hone_pg_run(shared->pg, "COMMIT"));
    status = hone_store_exec(store, "COMMIT");
out:
    hone_shared_end(store, status == HONE_OK);
    if (!sqlite3_get_autocommit(store->handle)) sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

hone_status hone_shared_follow(hone_store *store, bool *changed)
{
    hone_shared *shared = store->shared;
    head found;
    *changed = false;
    hone_status status = need_connection(shared);
    if (status == HONE_OK) status = find_head(store, &found);
    if (status != HONE_OK) return status;
    *changed = found.position != shared->position || found.stamp != shared->stamp;
    return *changed ? follow_now(store) : HONE_OK;
}

// ---- the copy's life

// By the folder's handle: its name in a place that others write to may lead elsewhere by now.
static void drop_folder(int handle, const char *folder)
{
    static const char *const files[] = {"copy.db", "copy.db-journal", "copy.db-wal", "copy.db-shm"};
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) unlinkat(handle, files[k], 0);
    rmdir(folder);
}

static hone_status drop_if_left(void *user, const char *name)
{
    char path[4400];
    struct stat facts;
    if (strncmp(name, FOLDER_PREFIX, strlen(FOLDER_PREFIX))) return HONE_OK;
    snprintf(path, sizeof path, "%s/%s", (const char *)user, name);
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (handle < 0) return HONE_OK;
    bool mine = !fstat(handle, &facts) && facts.st_uid == geteuid() && facts.st_mtim.tv_sec + 60 < hone_clock_unix_ms() / 1000;  // none that is just being made
    if (mine && !flock(handle, LOCK_EX | LOCK_NB)) drop_folder(handle, path);        // its process was killed
    close(handle);
    return HONE_OK;
}

static hone_status make_folder(hone_shared *shared)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent) parent = "/tmp";
    hone_folder_each(parent, drop_if_left, (void *)parent);
    snprintf(shared->folder, sizeof shared->folder, "%s/" FOLDER_PREFIX "XXXXXX", parent);
    if (!mkdtemp(shared->folder)) return hone_fail(HONE_IO, "cannot make a folder in %s for a copy of the database: %s", parent, strerror(errno));
    shared->lock = open(shared->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (shared->lock < 0 || flock(shared->lock, LOCK_EX | LOCK_NB)) return hone_fail(HONE_AGAIN, "%s was taken away: try again", shared->folder);
    return HONE_OK;
}

// Nothing in a copy needs to outlive the process, so nothing of it is synced. Its journal is a file all the same: in memory it holds a page for nearly every
// row of a transaction, 40 MB for 16 batches.
static hone_status open_copy(hone_shared *shared, const char *name, hone_store **store)
{
    char path[4200];
    hone_store *made = NULL;
    hone_status status = make_folder(shared);
    snprintf(path, sizeof path, "%s/copy.db", shared->folder);
    if (status == HONE_OK) status = hone_store_open(path, HONE_STORE_CREATE, &made);
    if (status != HONE_OK) return status;
    made->shared = shared;
    *store = made;
    char *shown = hone_strdup(name);
    if (!shown) return HONE_NO_MEMORY;
    hone_free(made->path);
    made->path = shown;
    snprintf(made->reason, sizeof made->reason, "a copy of PostgreSQL's rows, in SQLite %s, answers questions", sqlite3_libversion());
    return hone_store_exec(made, "PRAGMA synchronous = OFF");
}

static void free_shared(hone_shared *shared)
{
    if (!shared) return;
    disconnect(shared);
    if (shared->lock >= 0) {
        drop_folder(shared->lock, shared->folder);
        close(shared->lock);
    }
    hone_free(shared->touched.items);
    hone_free(shared->why);
    hone_free(shared->address);
    hone_free(shared);
}

void hone_shared_free(hone_store *store)
{
    free_shared(store->shared);
    store->shared = NULL;
}

hone_status hone_shared_open(const char *address, hone_store_access access, hone_store **store)
{
    hone_shared *shared = hone_calloc(1, sizeof *shared);
    hone_store *made = NULL;
    bool changed;
    hone_status status = shared ? HONE_OK : HONE_NO_MEMORY;
    if (!shared) return status;
    shared->position = shared->lock = -1;
    shared->address = hone_strdup(address);
    HONE_TRY(shared->address ? HONE_OK : HONE_NO_MEMORY);
    HONE_TRY(hone_shared_connect(address, access, &shared->pg));
    HONE_TRY(open_copy(shared, hone_pg_shown(shared->pg), &made));
    HONE_TRY(hone_shared_follow(made, &changed));
    sqlite3_update_hook(made->handle, on_update, shared);
    made->access = access;
    if (access == HONE_STORE_READ) HONE_TRY(hone_store_exec(made, "PRAGMA query_only = ON"));
    *store = made;
    return HONE_OK;
out:
    if (made) hone_store_close(made);
    else free_shared(shared);
    return status;
}
