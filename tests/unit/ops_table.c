// SPDX-License-Identifier: Apache-2.0
// What every line of the op table promises, whatever the op.
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/op.h"
#include "kernels/problem.h"

static void names(void **state)
{
    (void)state;
    assert_true(hone_op_count >= 100);
    for (int k = 0; k < hone_op_count; k++) {
        const hone_op *op = hone_ops[k];
        char word[64];
        hone_scan scan = {op->name};
        assert_ptr_equal(hone_op_find(op->name), op);        // so no two have one name
        assert_true(hone_scan_word(&scan, word, sizeof word) && !*scan.at);
    }
    assert_null(hone_op_find("nonsense"));
}

static void parts(void **state)
{
    (void)state;
    for (int k = 0; k < hone_op_count; k++) {
        const hone_op *op = hone_ops[k];
        int required, most = hone_op_input_count(op, &required);
        bool is_elementwise = op->kind == HONE_OP_ELEMENTWISE;
        bool fits = op->shape && (is_elementwise ? op->scalar != NULL : op->reference != NULL) && op->outputs >= 1 &&
                    op->outputs <= HONE_OUTPUTS_MAX && op->n_attrs <= HONE_ATTRS_MAX && required >= 1 && most <= HONE_INPUTS_MAX &&
                    (is_elementwise || (!op->expr && !op->expr_int)) && (!is_elementwise || most <= 3) && (!op->n_attrs || op->attrs);
        if (op->domains) fits = fits && strspn(op->domains, "npuwia") == strlen(op->domains) && (int)strlen(op->domains) <= most;
        if (op->types) fits = fits && strspn(op->types, "fi.") == strlen(op->types);
        if (op->domains && strchr(op->domains, 'i')) fits = fits && op->index_bound;
        if (!fits) fail_msg("the descriptor of %s lacks something", op->name);
    }
}

// Words of a spelling are found by name alone: an operand, an attribute and the problem's own words must differ.
static void words(void **state)
{
    (void)state;
    for (int k = 0; k < hone_op_count; k++) {
        const hone_op *op = hone_ops[k];
        char name[64], other[64];
        int most = hone_op_input_count(op, NULL);
        for (int i = 0; i < most; i++) {
            hone_op_input_name(op, i, name, sizeof name);
            if (hone_op_attr_index(op, name) >= 0) fail_msg("%s: %s is an operand and an attribute", op->name, name);
            for (int j = 0; j < i; j++) {
                hone_op_input_name(op, j, other, sizeof other);
                assert_string_not_equal(name, other);
            }
            assert_true(strcmp(name, "out") && strcmp(name, "outs") && strcmp(name, "math"));
        }
        for (int i = 0; i < op->n_attrs; i++) {
            assert_int_equal(hone_op_attr_index(op, op->attrs[i].name), i);
            assert_true(strcmp(op->attrs[i].name, "out") && strcmp(op->attrs[i].name, "outs") && strcmp(op->attrs[i].name, "math"));
        }
    }
}

// Defaults are spelled as they print, so that a default and the same value given by hand are one problem.
static void defaults(void **state)
{
    (void)state;
    for (int k = 0; k < hone_op_count; k++) {
        const hone_op *op = hone_ops[k];
        hone_call call;
        assert_int_equal(hone_call_init(&call, op->name, 1), HONE_OK);
        for (int i = 0; i < op->n_attrs; i++) {
            hone_text text;
            if (!op->attrs[i].fallback) {
                assert_int_equal(call.attrs[i].n, -1);
                continue;
            }
            hone_text_init(&text);
            assert_true(hone_call_attr_is_default(&call, i));
            hone_call_print_attr(&call, i, &text);
            if (op->attrs[i].kind == HONE_ATTR_DTYPE || strcmp(hone_text_get(&text), op->attrs[i].fallback) == 0) {
                hone_text_clear(&text);
                continue;
            }
            fail_msg("%s: the default of %s is spelled \"%s\" and prints as \"%s\"", op->name, op->attrs[i].name, op->attrs[i].fallback,
                     hone_text_get(&text));
        }
    }
}

static void attributes(void **state)
{
    hone_call call;
    const int64_t *values, four[] = {2, 2, 2, 2}, mixed[] = {2, 2, 2, 3};
    const double many[HONE_ATTR_LIST + 1] = {0};
    (void)state;
    assert_int_equal(hone_call_init(&call, "pad", 1), HONE_OK);
    assert_int_equal(hone_call_set_ints(&call, "before", four, 4), HONE_OK);
    assert_int_equal(hone_call_list(&call, "before", &values), 1);
    assert_int_equal(hone_call_int_at(&call, "before", 3), 2);
    assert_int_equal(hone_call_set_ints(&call, "before", mixed, 4), HONE_OK);
    assert_int_equal(hone_call_list(&call, "before", &values), 4);
    assert_int_equal(hone_call_int_at(&call, "before", 3), 3);
    assert_int_equal(hone_call_set_word(&call, "mode", "Reflect"), HONE_OK);
    assert_string_equal(hone_call_word(&call, "mode"), "reflect");
    assert_int_equal(hone_call_set_word(&call, "mode", "mirror"), HONE_USAGE);
    assert_int_equal(hone_call_set_word(&call, "value", "mirror"), HONE_USAGE);
    assert_int_equal(hone_call_set_ints(&call, "mode", &(int64_t){4}, 1), HONE_USAGE);
    assert_int_equal(hone_call_set_ints(&call, "nonsense", four, 1), HONE_USAGE);
    assert_int_equal(hone_call_set_ints(&call, "before", four, 0), HONE_USAGE);
    assert_int_equal(hone_call_set_reals(&call, "value", many, 2), HONE_USAGE);
    assert_int_equal(hone_call_set_real(&call, "value", NAN), HONE_USAGE);
    assert_int_equal(hone_call_set_real(&call, "value", 0.1f), HONE_OK);
    assert_true(hone_call_real(&call, "value") == 0.1);
    assert_int_equal(hone_call_set_real(&call, "value", 0.1 + 1e-12), HONE_OK);
    assert_true(hone_call_real(&call, "value") == 0.1 + 1e-12);
    assert_int_equal(hone_call_init(&call, "nonsense", 1), HONE_USAGE);
}

static void device_text(void **state)
{
    (void)state;
    for (int k = 0; k < hone_op_count; k++) {
        hone_call call;
        if (hone_ops[k]->kind != HONE_OP_ELEMENTWISE) continue;
        assert_int_equal(hone_call_init(&call, hone_ops[k]->name, hone_op_input_count(hone_ops[k], NULL)), HONE_OK);
        for (int i = 0; i < call.op->n_attrs; i++)
            if (call.attrs[i].n < 0) hone_call_set_ints(&call, call.op->attrs[i].name, &(int64_t){1}, 1);
        for (int integer = 0; integer < 2; integer++) {
            hone_text text;
            hone_text_init(&text);
            hone_status status = hone_call_expr(&call, integer, &text);
            const char *given = integer ? call.op->expr_int : call.op->expr;
            if (given) assert_int_equal(status, HONE_OK);
            if (strpbrk(hone_text_get(&text), "{}")) fail_msg("%s: %s", call.op->name, hone_text_get(&text));
            hone_text_clear(&text);
        }
    }
}

static void literals(void **state)
{
    static const struct { const char *problem; bool integer; const char *expr; } cases[] = {
        {"clip x=f32:2 min=0 max=6", false, "fminf(fmaxf(a, (0.0f)), (6.0f))"},
        {"leakyrelu x=f32:2 alpha=-0.25", false, "(a >= 0.0f ? a : (-0.25f) * a)"},
        {"mod a=i32:2 b=i32:2 fmod=1", false, "((1) ? fmodf(a, b) : a - b * floorf(a / b))"},
        {"clip x=f32:2 max=1e30", false, "fminf(fmaxf(a, (-__int_as_float(0x7f800000))), (1.0000000150474662e+30f))"},
        {"add a=i32:2 b=i32:2", true, "a + b"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_problem problem;
        hone_text text;
        hone_text_init(&text);
        assert_int_equal(hone_problem_parse(cases[k].problem, &problem), HONE_OK);
        assert_int_equal(hone_call_expr(&problem.steps[0].call, cases[k].integer, &text), HONE_OK);
        assert_string_equal(hone_text_get(&text), cases[k].expr);
        hone_text_clear(&text);
    }
    hone_call call;
    hone_text text;
    hone_text_init(&text);
    assert_int_equal(hone_call_init(&call, "tanh", 1), HONE_OK);
    assert_int_equal(hone_call_expr(&call, true, &text), HONE_DECLINED);
    assert_int_equal(hone_call_init(&call, "softmax", 1), HONE_OK);
    assert_int_equal(hone_call_expr(&call, false, &text), HONE_DECLINED);
}

// "OpType" then operand words and attribute pairs whose names on our side exist.
static void onnx_line(const hone_op *op, const char *line, size_t size)
{
    char text[512], *rest = text, *word;
    assert_true(size < sizeof text);
    memcpy(text, line, size);
    text[size] = 0;
    assert_true(*text >= 'A' && *text <= 'Z');
    strsep(&rest, " ");
    while (rest && (word = strsep(&rest, " "))) {
        char *pair = strchr(word, '='), *set = strchr(word, ':');
        hone_call call = {.op = op};
        if (set && !pair) {
            *set = 0;
            if (hone_call_set_text(&call, word, set + 1) != HONE_OK) fail_msg("%s: %s", op->name, hone_error_text());
        } else if (pair || *word == '@') {
            const char *ours = pair ? pair + 1 : word + 1;
            if (hone_op_attr_index(op, ours) < 0) fail_msg("%s: ONNX line names an attribute %s", op->name, ours);
        } else if (strcmp(word, "-") && !strstr(op->inputs, word)) {
            fail_msg("%s: ONNX line names an operand %s", op->name, word);
        }
    }
}

static void onnx_lines(void **state)
{
    (void)state;
    for (int k = 0; k < hone_op_count; k++)
        for (const char *line = hone_ops[k]->onnx; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            onnx_line(hone_ops[k], line, strcspn(line, "\n"));
}

int test_ops_table(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names), cmocka_unit_test(parts), cmocka_unit_test(words), cmocka_unit_test(defaults), cmocka_unit_test(attributes),
        cmocka_unit_test(device_text), cmocka_unit_test(literals), cmocka_unit_test(onnx_lines),
    };
    return cmocka_run_group_tests_name("ops_table", tests, NULL, NULL);
}
