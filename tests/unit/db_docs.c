// SPDX-License-Identifier: Apache-2.0
// The queries of docs/schema.md run, and find something, on a database that has something of everything.
#include "tests/unit/db_fixture.h"

#include <sqlite3.h>

#include "base/file.h"
#include "db/fact_priv.h"

static void the_queries_answer(void **state)
{
    char folder[256], *text;
    size_t size;
    int queries = 0;
    sqlite3 *plain;
    (void)state;
    assert_non_null(unit_folder(folder));
    hone_store *store = fixture_create(folder, "a.db");
    fixture_fill(store, 0);
    OK(hone_file_read("docs/schema.md", 1 << 20, &text, &size));
    assert_int_equal(sqlite3_open_v2(hone_store_path(store), &plain, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (char *at = strstr(text, "```sql\n"), *end; at; at = strstr(end + 3, "```sql\n")) {
        sqlite3_stmt *statement;
        end = strstr(at + 7, "```");
        assert_non_null(end);
        if (sqlite3_prepare_v2(plain, at + 7, (int)(end - at - 7), &statement, NULL) != SQLITE_OK) fail_msg("%s: %.200s", sqlite3_errmsg(plain), at);
        if (sqlite3_step(statement) != SQLITE_ROW) fail_msg("no answer: %.200s", at);
        sqlite3_finalize(statement);
        queries++;
    }
    assert_true(queries >= 6);
    sqlite3_close(plain);
    hone_free(text);
    hone_store_close(store);
}

// The columns of every table of facts are listed in the order in which the id takes them.
static void the_columns_are_listed(void **state)
{
    char *text;
    size_t size;
    (void)state;
    OK(hone_file_read("docs/schema.md", 1 << 20, &text, &size));
    for (int i = 0; i < hone_fact_count; i++) {
        char head[64];
        snprintf(head, sizeof head, "\n| `%s` | ", hone_facts[i].name);
        char *line = strstr(strstr(text, "Facts. Every table"), head), *at = line;
        if (!line) fail_msg("docs/schema.md lacks the table %s", hone_facts[i].name);
        char *end = strchr(line + 1, '\n');
        for (int c = 0; c < hone_facts[i].column_count && hone_facts[i].columns[c].kind != HONE_COLUMN_SAMPLES; c++) {
            char word[64];
            snprintf(word, sizeof word, "`%s`", hone_facts[i].columns[c].name);
            at = strstr(at + (c ? 1 : (int)strlen(head)), word);
            if (!at || at > end) fail_msg("docs/schema.md lacks %s of %s, or has it in another place", word, hone_facts[i].name);
        }
    }
    hone_free(text);
}

int test_db_docs(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_queries_answer), cmocka_unit_test(the_columns_are_listed)};
    return cmocka_run_group_tests_name("db_docs", tests, NULL, NULL);
}
