// SPDX-License-Identifier: Apache-2.0
// Holds docs/spelling.md to the code: every line of a fenced block problem, tactic or device is canonical, and every line of a block ops is
// what the op table says of that op.
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "kernels/device.h"
#include "kernels/problem.h"
#include "kernels/tactic.h"

typedef char *print_fn(const char *line, char *text, size_t capacity);

static char *print_problem(const char *line, char *text, size_t capacity)
{
    hone_problem problem;
    hone_text printed;
    if (hone_problem_parse(line, &problem) != HONE_OK) return NULL;
    hone_text_init(&printed);
    hone_problem_print(&problem, &printed);
    snprintf(text, capacity, "%s", hone_text_get(&printed));
    hone_text_clear(&printed);
    return text;
}

static char *print_tactic(const char *line, char *text, size_t capacity)
{
    hone_tactic tactic;
    assert_true(capacity >= HONE_TACTIC_TEXT);
    if (hone_tactic_parse(line, &tactic) != HONE_OK) return NULL;
    hone_tactic_print(&tactic, text);
    return text;
}

static char *print_device(const char *line, char *text, size_t capacity)
{
    hone_target target;
    if (hone_target_parse(line, &target) != HONE_OK) return NULL;
    hone_target_print(&target, text, capacity);
    return text;
}

static void describe_op(const hone_op *op, hone_text *text)
{
    static const char *const kinds[] = {"INT", "INTS", "SPREAD", "REAL", "REALS", "WORD", "DTYPE"};
    hone_text_printf(text, "%s %s", op->name, op->inputs);
    for (int k = 0; k < op->n_attrs; k++) {
        const hone_attr_spec *spec = &op->attrs[k];
        hone_text_printf(text, " %s=", spec->name);
        for (const char *c = spec->kind == HONE_ATTR_WORD ? spec->words : kinds[spec->kind]; *c; c++)
            hone_text_append(text, *c == ' ' ? "|" : c, 1);
        if (spec->fallback) hone_text_printf(text, "(%s)", spec->fallback);
    }
}

static char *print_op(const char *line, char *text, size_t capacity)
{
    char name[64];
    hone_scan scan = {line};
    const hone_op *op = hone_scan_word(&scan, name, sizeof name) ? hone_op_find(name) : NULL;
    hone_text printed;
    if (!op) return NULL;
    hone_text_init(&printed);
    describe_op(op, &printed);
    snprintf(text, capacity, "%s", hone_text_get(&printed));
    hone_text_clear(&printed);
    return text;
}

static const struct { const char *name; print_fn *print; } fences[] = {
    {"```problem", print_problem}, {"```tactic", print_tactic}, {"```device", print_device}, {"```ops", print_op},
};

static void check_line(print_fn *print, const char *line)
{
    static char text[8192];
    if (!print(line, text, sizeof text)) fail_msg("\"%s\": %s", line, hone_error_text());
    assert_string_equal(text, line);
}

static void lines(void **state)
{
    char *data, *rest;
    size_t size;
    int checked = 0;
    print_fn *print = NULL;
    (void)state;
    assert_int_equal(hone_file_read("docs/spelling.md", 1 << 20, &data, &size), HONE_OK);
    rest = data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!strncmp(line, "```", 3)) {
            print = NULL;
            for (size_t k = 0; k < sizeof fences / sizeof *fences; k++)
                if (!strcmp(line, fences[k].name)) print = fences[k].print;
        } else if (print && *line && *line != '#') {
            check_line(print, line);
            checked++;
        }
    }
    hone_free(data);
    assert_true(checked > 20);
}

int test_spelling_doc(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines)};
    return cmocka_run_group_tests_name("spelling_doc", tests, NULL, NULL);
}
