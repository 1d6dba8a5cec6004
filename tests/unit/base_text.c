// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "tests/unit/unit.h"

static void grows(void **state)
{
    hone_text text;
    (void)state;
    hone_text_init(&text);
    assert_string_equal(hone_text_get(&text), "");
    for (int i = 0; i < 1000; i++) hone_text_printf(&text, "%d,", i);
    hone_text_append(&text, "end", 3);
    assert_int_equal(text.size, strlen(text.data));
    assert_memory_equal(text.data, "0,1,2,", 6);
    assert_string_equal(text.data + text.size - 7, "999,end");
    assert_int_equal(hone_text_status(&text), HONE_OK);
    char *taken = hone_text_take(&text);
    assert_string_equal(hone_text_get(&text), "");
    hone_free(taken);
    taken = hone_text_take(&text);
    assert_string_equal(taken, "");
    hone_free(taken);
}

static void a_failure_is_remembered(void **state)
{
    hone_text text;
    (void)state;
    hone_text_init(&text);
    hone_text_printf(&text, "kept");
    hone_alloc_fail_at(1, 0);
    hone_text_printf(&text, "%200s", "lost");
    hone_text_printf(&text, "x");
    assert_int_equal(hone_text_status(&text), HONE_NO_MEMORY);
    assert_string_equal(hone_text_get(&text), "kept");
    hone_text_clear(&text);
    hone_alloc_fail_at(0, 0);
}

static void scans(void **state)
{
    char word[8];
    int64_t number;
    hone_scan scan = {"gemm m=512 n=-7 x"};
    (void)state;
    assert_false(hone_scan_int(&scan, &number));
    assert_true(hone_scan_word(&scan, word, sizeof word));
    assert_string_equal(word, "gemm");
    assert_false(hone_scan_word(&scan, word, sizeof word));
    hone_scan_blanks(&scan);
    assert_true(hone_scan_literal(&scan, "m="));
    assert_false(hone_scan_literal(&scan, "513"));
    assert_true(hone_scan_int(&scan, &number));
    assert_int_equal(number, 512);
    hone_scan_blanks(&scan);
    assert_true(hone_scan_char(&scan, 'n') && hone_scan_char(&scan, '='));
    assert_true(hone_scan_int(&scan, &number));
    assert_int_equal(number, -7);
    hone_scan_blanks(&scan);
    assert_true(hone_scan_token(&scan, word, sizeof word));
    assert_false(hone_scan_token(&scan, word, sizeof word));
    assert_false(hone_scan_char(&scan, 0));
}

static void scan_keeps_its_place_when_it_fails(void **state)
{
    char small[4];
    int64_t number = 42;
    double real;
    static const char *const not_ints[] = {"", "-", "+1", "x", "9223372036854775808", "-9223372036854775809"};
    static const char *const not_floats[] = {"", ".", "-", "e5", "info", "nano", "+1", " 1", "--1"};
    (void)state;
    for (size_t i = 0; i < sizeof not_ints / sizeof *not_ints; i++) {
        hone_scan scan = {not_ints[i]};
        assert_false(hone_scan_int(&scan, &number));
        assert_ptr_equal(scan.at, not_ints[i]);
    }
    for (size_t i = 0; i < sizeof not_floats / sizeof *not_floats; i++) {
        hone_scan scan = {not_floats[i]};
        assert_false(hone_scan_float(&scan, &real));
        assert_ptr_equal(scan.at, not_floats[i]);
    }
    hone_scan scan = {"long_word"};
    assert_false(hone_scan_word(&scan, small, sizeof small));
    assert_false(hone_scan_token(&scan, small, sizeof small));
    assert_int_equal(number, 42);
    scan.at = "-9223372036854775808";
    assert_true(hone_scan_int(&scan, &number));
    assert_true(number == INT64_MIN);
}

static void scans_floats(void **state)
{
    static const struct { const char *text; double value; char next; } rows[] = {
        {"1.5,", 1.5, ','}, {"-.25", -0.25, 0}, {"3.", 3, 0}, {"1e3", 1000, 0}, {"1e", 1, 'e'}, {"2E-2 ", 0.02, ' '},
        {"inf", INFINITY, 0}, {"-inf,", -INFINITY, ','}, {"0x10", 0, 'x'}, {"1e999", INFINITY, 0},
    };
    double value;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_scan scan = {rows[i].text};
        assert_true(hone_scan_float(&scan, &value));
        assert_true(value == rows[i].value);
        assert_int_equal(*scan.at, rows[i].next);
    }
    hone_scan scan = {"nan"};
    assert_true(hone_scan_float(&scan, &value) && isnan(value));
}

static void check_double(double value)
{
    char text[32], digits[40];
    double back;
    hone_scan scan = {hone_print_double(value, text)};
    assert_true(strlen(text) < sizeof text);
    assert_true(hone_scan_float(&scan, &back) && !*scan.at);
    assert_memory_equal(&back, &value, sizeof value);
    for (int less = 1; less <= 16; less++) {      // no text with fewer digits reads back
        snprintf(digits, sizeof digits, "%.*e", less - 1, value);
        if (strtod(digits, NULL) != value) continue;
        size_t count = 0;
        const char *at = text;
        while (*at == '-' || *at == '0' || *at == '.') at++;
        for (; *at && *at != 'e'; at++) count += *at != '.';
        for (const char *end = at; count && end[-1] == '0' && !strchr(text, '.'); end--) count--;
        assert_true(count <= (size_t)less);
        break;
    }
}

static void doubles_round_trip(void **state)
{
    static const double values[] = {0.0, -0.0, 1, -1, 0.1, 1 / 3.0, 1e22, 1e23, 123456789012345678.0, 5e-324, 2.2250738585072014e-308,
                                    1.7976931348623157e308, 4.35, 9007199254740993.0, 1000000, 12345.678, 2.5e-310, 100, 6.02214076e23};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) check_double(values[i]);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)hone_rng_bits(1, 1, i) << 32 | hone_rng_bits(1, 2, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) check_double(value);
        check_double((double)hone_rng_bits(1, 3, i) / 1000);
    }
    char text[32];
    assert_string_equal(hone_print_double(INFINITY, text), "inf");
    assert_string_equal(hone_print_double(-INFINITY, text), "-inf");
    assert_string_equal(hone_print_double(NAN, text), "nan");
    assert_string_equal(hone_print_double(0.1, text), "0.1");
    assert_string_equal(hone_print_double(5e-324, text), "5e-324");
    assert_string_equal(hone_print_double(12.5, text), "12.5");
}

int test_base_text(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),
        cmocka_unit_test(a_failure_is_remembered),
        cmocka_unit_test(scans),
        cmocka_unit_test(scan_keeps_its_place_when_it_fails),
        cmocka_unit_test(scans_floats),
        cmocka_unit_test(doubles_round_trip),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
