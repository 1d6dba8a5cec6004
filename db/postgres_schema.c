// SPDX-License-Identifier: Apache-2.0
// The schema in PostgreSQL: the same steps as in schema.c, in its words, and three tables more, which no copy has.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "db/postgres_priv.h"

// `change` says which rows each transaction touched, lines of TABLE FIRST LAST. Its stamp is random: a copy that does not find its own there, under the
// position that it has reached, is the copy of something else (the database was put back from a backup) and is made anew.
static const char own_tables[] =
    "CREATE TABLE change(position bigint PRIMARY KEY, stamp bigint NOT NULL, made timestamptz NOT NULL DEFAULT now(), ranges text NOT NULL);"
    "CREATE TABLE token(name text PRIMARY KEY, hash bytea NOT NULL, scopes text NOT NULL, ends_unix_ms bigint NOT NULL, state text NOT NULL);"
    "CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(encode($1, ''hex''))';";

// Longer ones first. A spelling of 4,096 bytes is more than a B-tree of PostgreSQL's takes. Left out are references, which SQLite does not enforce
// either (`hone db check` does), and indexes that serve lookups: copies answer those, and measurement_by_device alone made a third of a put's time
// (28,114 rows: 1.05 s with it, 0.68 s without).
static const struct { const char *from, *to; } words[] = {
    {"spelling TEXT NOT NULL UNIQUE", "spelling text COLLATE \"C\" NOT NULL, EXCLUDE USING hash (spelling WITH =)"},
    {"FROM placed GROUP BY ", "FROM placed GROUP BY measurements, "}, {" STRICT, WITHOUT ROWID", ""}, {" STRICT", ""}, {" INTEGER", " bigint"}, {" REAL", " double precision"}, {" BLOB", " bytea"},
    {" TEXT", " text COLLATE \"C\""},
};

void hone_shared_translate(const char *step, hone_text *out)
{
    for (const char *at = step; *at;) {
        size_t k = 0, words_count = sizeof words / sizeof *words;
        while (k < words_count && strncmp(at, words[k].from, strlen(words[k].from))) k++;
        if (k < words_count) {
            hone_text_printf(out, "%s", words[k].to);
            at += strlen(words[k].from);
        } else if (!strncmp(at, " REFERENCES ", 12) || !strncmp(at, "CREATE INDEX ", 13)) {
            at = strchr(at, *at == ' ' ? ')' : ';') + 1;
        } else {
            hone_text_append(out, at++, 1);
        }
    }
}

hone_status hone_shared_lock(hone_pg *pg, int which)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT pg_advisory_xact_lock(%d, %d)", HONE_STORE_APPLICATION, which);
    return hone_pg_run(pg, sql);
}

// 0: there are no tables of hone's.
static hone_status find_version(hone_pg *pg, int64_t *version)
{
    bool row;
    *version = 0;
    hone_status status = hone_pg_ints(pg, "SELECT (to_regclass('schema_info') IS NOT NULL)::int", version, 1, &row);
    if (status != HONE_OK || !*version) return status;
    int64_t found[2] = {0, 0};
    status = hone_pg_ints(pg, "SELECT max(value) FILTER (WHERE name = 'application_id'), max(value) FILTER (WHERE name = 'user_version')"
                          " FROM schema_info", found, 2, &row);
    *version = found[1];
    if (status == HONE_OK && (found[0] != HONE_STORE_APPLICATION || found[1] < 1))
        return hone_fail(HONE_DAMAGED, "%s is the database of another program, or damaged", hone_pg_shown(pg));
    return status;
}

static hone_status create(hone_pg *pg)
{
    char sql[200];
    int64_t stamp;
    if (getrandom(&stamp, sizeof stamp, 0) != sizeof stamp) return hone_fail(HONE_IO, "the system gives no random bits");
    snprintf(sql, sizeof sql, "INSERT INTO change(position, stamp, ranges) VALUES(0, %" PRId64 ", '')", stamp >> 1);
    hone_status status = hone_pg_run(pg, own_tables);
    return status == HONE_OK ? hone_pg_run(pg, sql) : status;
}

static hone_status take_step(hone_pg *pg, int64_t version)
{
    hone_text sql;
    hone_text_init(&sql);
    hone_shared_translate(hone_schema_migrations[version], &sql);
    if (!version) hone_text_printf(&sql, "INSERT INTO schema_info VALUES('application_id', %d), ('user_version', 1), ('tokens', 0);", HONE_STORE_APPLICATION);
    hone_text_printf(&sql, "UPDATE schema_info SET value = %" PRId64 " WHERE name = 'user_version'", version + 1);
    hone_status status = hone_text_status(&sql);
    if (status == HONE_OK) status = hone_pg_run(pg, hone_text_get(&sql));
    hone_text_clear(&sql);
    return status;
}

static hone_status migrate(hone_pg *pg)
{
    int64_t version = 0;
    hone_status status;
    HONE_TRY(hone_pg_run(pg, "BEGIN"));
    HONE_TRY(hone_shared_lock(pg, HONE_SHARED_LOCK_ROWS));
    HONE_TRY(find_version(pg, &version));          // again: another process may have been first
    if (!version) HONE_TRY(create(pg));
    for (; version < HONE_STORE_SCHEMA; version++) HONE_TRY(take_step(pg, version));
    HONE_TRY(hone_pg_run(pg, "COMMIT"));
out:
    return status;
}

static hone_status make_right(hone_pg *pg, hone_store_access access)
{
    int64_t version = 0;
    hone_status status = find_version(pg, &version);
    if (status != HONE_OK || version == HONE_STORE_SCHEMA) return status;
    if (version > HONE_STORE_SCHEMA)
        return hone_fail(HONE_DAMAGED, "%s has schema version %d, made by a newer hone; this one writes version %d: update hone", hone_pg_shown(pg),
                         (int)version, HONE_STORE_SCHEMA);
    if (!version && access != HONE_STORE_CREATE)
        return hone_fail(HONE_USAGE, "there are no tables of hone's in %s: `hone hub serve` and `hone db merge` make them", hone_pg_shown(pg));
    if (version && access == HONE_STORE_READ)
        return hone_fail(HONE_USAGE, "%s has schema version %d and this hone version %d: what writes there (a hub) brings it up to that", hone_pg_shown(pg),
                         (int)version, HONE_STORE_SCHEMA);
    return migrate(pg);
}

hone_status hone_shared_connect(const char *address, hone_store_access access, hone_pg **pg)
{
    hone_pg *made = NULL;
    hone_status status = hone_pg_open(address, &made);
    if (status == HONE_OK) status = make_right(made, access);
    if (status == HONE_OK) *pg = made;
    else hone_pg_close(made);
    return status;
}
