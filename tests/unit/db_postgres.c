// SPDX-License-Identifier: Apache-2.0
// What can be known of a database in PostgreSQL without one: names without passwords, and that its tables are hone's. The rest is
// `make check-postgres`.
#include "tests/unit/db_fixture.h"

#include "db/postgres_priv.h"

static void names_hold_no_password(void **state)
{
    static const struct { const char *address, *name; } cases[] = {
        {"postgresql://localhost/hone", "postgresql://localhost/hone"},
        {"postgres://ann@db.example:5433/hone", "postgresql://ann@db.example:5433/hone"},
        {"postgresql://ann:sesame@db.example/hone", "postgresql://ann@db.example/hone"},
        {"postgresql://ann:se%40%3Asame@db.example/hone", "postgresql://ann@db.example/hone"},
        {"postgresql://ann:se:same@db.example/hone", "postgresql://ann@db.example/hone"},
        {"postgresql://:sesame@/hone", "postgresql:///hone"},
        {"postgresql:///hone?host=/run/postgresql&password=sesame", "postgresql:///hone"},
        {"postgresql://?service=fleet", "postgresql://"},
        {"postgresql://ann@one:5432,[::1]:5433,three/hone?sslpassword=sesame", "postgresql://ann@one:5432,[::1]:5433,three/hone"},
        // A password that would be taken for a part of something else is not named either.
        {"postgresql://ann:ses@ame@db.example/hone", NULL}, {"postgresql://ann:ses/ame@db.example/hone", NULL},
        {"postgresql://ann:ses?ame@db.example/hone", NULL}, {"postgresql://ann:sesame/hone", NULL}, {"postgresql://ann:ses%ame@db/hone", NULL},
        {"postgresql://ann:sesame%4", NULL}, {"postgresql://db:5432:sesame/hone", NULL},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char name[HONE_PG_NAME] = "";
        assert_true(hone_pg_is_address(cases[k].address));
        hone_status status = hone_pg_name(cases[k].address, name);
        if (cases[k].name) assert_string_equal(name, cases[k].name);
        else assert_null(strstr(hone_error_text(), "ame"));
        if (status != (cases[k].name ? HONE_OK : HONE_USAGE)) fail_msg("%s", cases[k].address);
    }
    assert_false(hone_pg_is_address("postgresql.db"));
    assert_false(hone_pg_is_address("./postgresql://x"));
}

static bool is_listed(const char *name, const char **key)
{
    for (int k = 0; k < hone_shared_table_count; k++) {
        if (strcmp(hone_shared_tables[k].name, name)) continue;
        *key = hone_shared_tables[k].key;
        return true;
    }
    return false;
}

// A table that the list lacks would be in no other hub.
static void every_table_is_listed(void **state)
{
    char folder[256];
    sqlite3_stmt *tables, *columns;
    int count = 0;
    (void)state;
    hone_store *store = fixture_create(unit_folder(folder), "a.db");
    assert_int_equal(sqlite3_prepare_v2(store->handle, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_info'", -1, &tables, NULL), SQLITE_OK);
    for (; sqlite3_step(tables) == SQLITE_ROW; count++) {
        const char *name = (const char *)sqlite3_column_text(tables, 0), *key = NULL;
        if (!is_listed(name, &key)) fail_msg("postgres_ranges.c does not list the table %s", name);
        assert_int_equal(sqlite3_prepare_v2(store->handle, "SELECT sum(name = ?2), count(*), sum(type IN ('INTEGER', 'REAL', 'TEXT', 'BLOB')) FROM pragma_table_info(?1)",
                                            -1, &columns, NULL), SQLITE_OK);
        sqlite3_bind_text(columns, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_text(columns, 2, key, -1, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(columns), SQLITE_ROW);
        if (key) assert_int_equal(sqlite3_column_int(columns, 0), 1);
        assert_in_range(sqlite3_column_int(columns, 1), 1, HONE_PG_FIELDS);
        assert_int_equal(sqlite3_column_int(columns, 1), sqlite3_column_int(columns, 2));
        sqlite3_finalize(columns);
    }
    sqlite3_finalize(tables);
    assert_int_equal(count, hone_shared_table_count);
    hone_store_close(store);
}

static void steps_are_translated(void **state)
{
    static const char *const left[] = {" STRICT", " ROWID", " INTEGER", " REAL", " BLOB", " TEXT", " REFERENCES", " INDEX"};
    (void)state;
    for (int k = 0; k < HONE_STORE_SCHEMA; k++) {
        hone_text text;
        hone_text_init(&text);
        hone_shared_translate(hone_schema_migrations[k], &text);
        OK(hone_text_status(&text));
        for (size_t i = 0; i < sizeof left / sizeof *left; i++)
            if (strstr(hone_text_get(&text), left[i])) fail_msg("step %d says '%s' to PostgreSQL", k + 1, left[i]);
        hone_text_clear(&text);
    }
}

int test_db_postgres(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_hold_no_password), cmocka_unit_test(every_table_is_listed), cmocka_unit_test(steps_are_translated),
    };
    return cmocka_run_group_tests_name("db_postgres", tests, NULL, NULL);
}
