// SPDX-License-Identifier: Apache-2.0
// Inside of a store: the connection, cached statements, transactions. The one include of SQLite.
// Statements are cached by the address of their SQL, which therefore is a string constant.
#ifndef HONE_DB_STORE_PRIV_H
#define HONE_DB_STORE_PRIV_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/arena.h"
#include "db/store.h"

#define HONE_STORE_SCHEMA 4               // user_version written by this program
#define HONE_STORE_APPLICATION 0x686f6e65 // application_id: "hone"
#define HONE_ARTIFACT_MAX ((size_t)64 << 20)
#define HONE_DUMP_MAX ((size_t)2 << 30)

enum { HONE_STATEMENTS_MAX = 192, HONE_SPELLINGS = 4, HONE_KNOWN = 256 };

typedef struct hone_statement {
    const char *sql;
    sqlite3_stmt *handle;
} hone_statement;

typedef struct hone_shared hone_shared;   // postgres_copy.c

typedef struct hone_known {               // a spelling looked up in a table, and its row
    char *spelling;
    size_t size, capacity;
    int64_t number;                       // 0 none
} hone_known;

struct hone_store {
    sqlite3 *handle;
    char *path;                           // what it is called; of a copy the database in PostgreSQL
    char *file;                           // SQLite's
    pid_t owner;
    hone_store_access access;
    int version;
    char journal[16];
    char reason[200];
    int64_t wait_start_ns;
    hone_statement statements[HONE_STATEMENTS_MAX];
    size_t statement_count;
    hone_known known[HONE_SPELLINGS][HONE_KNOWN];   // by a hash of the spelling
    hone_id known_run;
    int64_t known_run_number;             // 0 none
    hone_arena *answers;                  // strings of the last ranking
    int reading;                          // hone_store_begin_read without its end
    bool grouping;                        // hone_store_begin_group without its end
    hone_status grouped;                  // the first failure in the group
    hone_store *under;                    // owned, NULL none
    hone_shared *shared;                  // owned: the database in PostgreSQL of which this is a copy, NULL none
    bool settled;                         // hone_trust_settle has been called in this transaction
    int64_t seen;                         // PRAGMA data_version when it was last asked
    bool is_immutable, is_unchecked;      // hone_store_look_through opens it again, and checks it
    bool stands_for_another;              // a part of a larger database, whose snapshot id it has
    hone_id snapshot;
};

extern int64_t hone_store_wait_ns;        // how long a lock is waited for; tests shorten it

// store.c: SQLite's answer as a status with a sentence: "cannot WHAT PATH: ..."
hone_status hone_store_fail(hone_store *store, int code, const char *what);
hone_status hone_store_prepare(hone_store *store, const char *sql, sqlite3_stmt **statement);   // cached, reset, cleared
// One step: *row says whether there is a row. At the end and on failure the statement is reset.
hone_status hone_store_step(hone_store *store, sqlite3_stmt *statement, bool *row);
hone_status hone_store_exec(hone_store *store, const char *sql);         // any number of statements without answers
hone_status hone_store_pragma(hone_store *store, const char *sql, int64_t *value);
hone_status hone_store_begin(hone_store *store);                         // immediate; refused on a store opened for reading
hone_status hone_store_end(hone_store *store, hone_status status);       // commits when status is HONE_OK, else rolls back
void hone_store_forget_rows(hone_store *store);                          // when numbers of rows may have changed
hone_status hone_store_ready(hone_store *store);                         // the caller is the process that opened it
hone_status hone_store_open_immutable(const char *path, bool unchecked, hone_store **store);   // to read a file that nobody writes
hone_status hone_store_open_unchecked(const char *path, hone_store **store);   // to read, see hone_store_look_through
hone_status hone_store_open_memory(const char *name, hone_store **store);   // empty, writable, gone when closed
void hone_store_stand_for(hone_store *store, const hone_id *snapshot);   // it holds what matters here of a database with this snapshot id

// layers.c
bool hone_store_is_same_file(const hone_store *a, const hone_store *b);

// place.c: where a database may live, and by which journal.
bool hone_journal_allows_wal(int sqlite_version);                        // sqlite3_libversion_number()
bool hone_place_is_network(int64_t file_system_magic, const char *file_system_name);   // name "" unknown
hone_status hone_journal_apply(hone_store *store, bool file_is_wal);

// schema.c
hone_status hone_schema_open(hone_store *store);                         // checks, creates or migrates as access says
hone_status hone_schema_migrate(hone_store *store, int target);
extern const char *const hone_schema_migrations[HONE_STORE_SCHEMA];

#endif
