// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: libpq (fenced to postgres.c, opened at run time, so that hone runs without it). A connection is used by one thread at a time.
// Nothing waits for ever: a server that is silent for HONE_PG_PATIENCE_S is given up. A connection that broke is lost for good; its owner
// closes it and opens another. HONE_AGAIN for whatever may be better later: no connection, a lock, a shutdown. No sentence and no name
// holds a password.
#ifndef HONE_DB_POSTGRES_H
#define HONE_DB_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

enum { HONE_PG_PATIENCE_S = 30, HONE_PG_NAME = 512, HONE_PG_FIELDS = 32 };

typedef struct hone_pg hone_pg;

typedef struct hone_pg_value {         // in PostgreSQL's binary form
    const void *data;                  // borrowed; NULL: the value is NULL
    size_t size;
} hone_pg_value;

bool hone_pg_is_address(const char *db);                                    // postgresql://... or postgres://...
// What may be shown of an address: user, host, port and database. HONE_USAGE, without a word of it, for one in which a password may stand where
// it would be taken for something else.
hone_status hone_pg_name(const char *address, char name[HONE_PG_NAME]);
hone_status hone_pg_open(const char *address, hone_pg **pg);
void hone_pg_close(hone_pg *pg);                                            // NULL is legal
bool hone_pg_is_lost(const hone_pg *pg);
const char *hone_pg_shown(const hone_pg *pg);                               // its name

hone_status hone_pg_run(hone_pg *pg, const char *sql);                      // any number of statements
// The first row's integers (NULL is 0); *row: there is one.
hone_status hone_pg_ints(hone_pg *pg, const char *sql, int64_t *values, int count, bool *row);
hone_status hone_pg_text(hone_pg *pg, const char *sql, hone_text *out);     // appends the first row's first value
hone_status hone_pg_put(hone_pg *pg, const char *sql, const hone_pg_value *values, int count, int64_t *rows);    // one statement with $1, $2, ...
// The rows of COPY (...) TO STDOUT (FORMAT binary), one after the other, however many there are.
hone_status hone_pg_copy(hone_pg *pg, const char *sql, hone_status (*each)(void *user, const hone_pg_value *fields, int count), void *user);

#endif
