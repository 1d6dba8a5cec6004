// SPDX-License-Identifier: Apache-2.0
// docs/onnx.md names every operator that the importer knows, and no other; what is refused stands there with its reason.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/import_priv.h"
#include "tests/unit/unit.h"

static char *read_docs(void)
{
    static char *text;
    size_t size;
    assert_int_equal(hone_file_read("docs/onnx.md", 1 << 20, &text, &size), HONE_OK);
    return text;
}

// The table row that begins with or lists `Op`; NULL.
static const char *find_row(const char *text, const char *op)
{
    char word[80];
    snprintf(word, sizeof word, "`%s`", op);
    for (const char *line = strstr(text, "\n| `"); line; line = strstr(line + 1, "\n| `")) {
        const char *cell = strchr(line + 2, '|'), *at = strstr(line, word);
        if (at && cell && at < cell) return line + 1;
    }
    return NULL;
}

static void every_rule_is_described(void **state)
{
    (void)state;
    char *text = read_docs();
    for (int t = 0; t < onnx_rule_table_count; t++)
        for (const onnx_rule *rule = onnx_rule_tables[t]; rule->op_type; rule++) {
            const char *row = find_row(text, rule->op_type);
            if (!row) fail_msg("docs/onnx.md lacks %s", rule->op_type);
            const char *reason = rule->handle ? NULL : strstr(row, rule->word);
            if (!rule->handle && (!reason || reason > strchr(row, '\n'))) fail_msg("docs/onnx.md has another reason for %s than \"%s\"", rule->op_type, rule->word);
        }
    hone_free(text);
}

static void every_direct_line_is_described(void **state)
{
    (void)state;
    char *text = read_docs(), op[80];
    for (int k = 0; k < hone_op_count; k++)
        for (const char *at = hone_ops[k]->onnx; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
            snprintf(op, sizeof op, "%.*s", (int)strcspn(at, " \n"), at);
            if (!find_row(text, op)) fail_msg("docs/onnx.md lacks %s", op);
        }
    hone_free(text);
}

static bool is_known(const char *op)
{
    const char *line;
    if (onnx_direct_find(op, &line)) return true;
    for (int t = 0; t < onnx_rule_table_count; t++)
        for (const onnx_rule *rule = onnx_rule_tables[t]; rule->op_type; rule++)
            if (!strcmp(rule->op_type, op)) return true;
    return false;
}

static void nothing_else_is_described(void **state)
{
    (void)state;
    char *text = read_docs(), op[80];
    int n = 0;
    for (const char *line = strstr(text, "\n| `"); line; line = strstr(line + 1, "\n| `")) {
        const char *end = strchr(line + 2, '|');
        for (const char *at = strchr(line, '`'); at && at < end; at = strchr(strchr(at + 1, '`') + 1, '`')) {
            snprintf(op, sizeof op, "%.*s", (int)strcspn(at + 1, "`"), at + 1);
            if (!is_known(op)) fail_msg("docs/onnx.md names %s, which the importer does not know", op);
            n++;
        }
    }
    assert_true(n > 150);
    hone_free(text);
}

int test_import_docs(void);

int test_import_docs(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_described), cmocka_unit_test(every_direct_line_is_described), cmocka_unit_test(nothing_else_is_described),
    };
    return cmocka_run_group_tests_name("import_docs", tests, NULL, NULL);
}
