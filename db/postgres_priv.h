// SPDX-License-Identifier: Apache-2.0
// A database in PostgreSQL. It holds hone's tables row for row as an SQLite file does, row numbers included. Whoever opens it has a copy
// of it, an SQLite file of its own, which answers all questions and by which all puts are decided, with the code that there is for files. PostgreSQL
// orders the writers and keeps what they wrote:
//   begin   takes the one lock, then brings the copy up to what others have written
//   end     sends the rows that the transaction has put or changed, in one transaction of PostgreSQL's, then commits the copy
// So equal row numbers name equal rows everywhere, and what is acknowledged is on PostgreSQL's disk. A copy is worth nothing: it is deleted on
// close, or by the next to open one.
#ifndef HONE_DB_POSTGRES_PRIV_H
#define HONE_DB_POSTGRES_PRIV_H

#include "db/postgres.h"
#include "db/store_priv.h"

// postgres_schema.c: connects, then makes or migrates the tables as access says, in one transaction. A newer schema is refused.
hone_status hone_shared_connect(const char *address, hone_store_access access, hone_pg **pg);
// A step of the schema in PostgreSQL's words.
void hone_shared_translate(const char *step, hone_text *out);
hone_status hone_shared_lock(hone_pg *pg, int which);         // until the transaction's end, for all processes
enum { HONE_SHARED_LOCK_ROWS = 1, HONE_SHARED_LOCK_TOKENS };

// postgres_copy.c; what store.c calls
hone_status hone_shared_open(const char *address, hone_store_access access, hone_store **store);
hone_status hone_shared_begin(hone_store *store);              // inside the copy's transaction
hone_status hone_shared_commit(hone_store *store);             // before the copy's; from then on the rows are there
void hone_shared_end(hone_store *store, bool kept);            // kept: the copy's transaction was committed
hone_status hone_shared_follow(hone_store *store, bool *changed);
void hone_shared_free(hone_store *store);

typedef struct hone_shared_table {
    const char *name, *key;        // the integer by which rows are named; NULL: the table is written as a whole
} hone_shared_table;

// postgres_ranges.c: tables, and which of their rows a transaction has written
enum { HONE_SHARED_TOOLCHAIN = 1, HONE_SHARED_TOOLCHAIN_LIBRARY = 2 };        // places in the list
extern const hone_shared_table hone_shared_tables[];
extern const int hone_shared_table_count;
int hone_shared_find_table(const char *name);                  // -1 none

#define HONE_LAST_ROW (INT64_MAX - 1)    // there is a next one to compute with

typedef struct hone_range {        // rows first..last of a table
    int table;
    int64_t first, last;
    bool rewritten;                // some were there before
} hone_range;

typedef struct hone_range_list {
    hone_range *items;             // owned
    size_t count, capacity;
    bool failed;                   // out of memory
} hone_range_list;

void hone_ranges_add(hone_range_list *list, hone_range made);
void hone_ranges_settle(hone_range_list *list);                // sorted, each row in one range only
void hone_ranges_print(const hone_range_list *list, hone_text *text);
hone_status hone_ranges_parse(hone_store *store, const char *text, hone_range_list *list);

// postgres_rows.c: the rows of a range, inside a transaction of both sides
hone_status hone_shared_take(hone_store *store, hone_pg *pg, const hone_range *at);        // from PostgreSQL, in place of the copy's
// To PostgreSQL, in place of its own where rewritten. *is_foreign is set when rows are there that the copy does not know.
hone_status hone_shared_send(hone_store *store, hone_pg *pg, const hone_range *at, bool *is_foreign);

#endif
