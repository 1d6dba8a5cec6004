// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <math.h>

#include "tests/unit/unit.h"

static void writes_a_document(void **state)
{
    hone_text out;
    hone_json json;
    (void)state;
    hone_text_init(&out);
    hone_json_init(&json, &out);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "name", "a");
    hone_json_open(&json, "dims", '[');
    hone_json_int(&json, NULL, 1);
    hone_json_int(&json, NULL, INT64_MIN);
    hone_json_close(&json, ']');
    hone_json_open(&json, "empty", '{');
    hone_json_close(&json, '}');
    hone_json_real(&json, "us", 0.1);
    hone_json_real(&json, "bad", INFINITY);
    hone_json_bool(&json, "ok", true);
    hone_json_null(&json, "none");
    hone_json_text(&json, "missing", NULL);
    hone_json_close(&json, '}');
    assert_string_equal(hone_text_get(&out), "{\"name\": \"a\", \"dims\": [1, -9223372036854775808], \"empty\": {}, "
                                             "\"us\": 0.1, \"bad\": null, \"ok\": true, \"none\": null, \"missing\": null}\n");
    hone_text_clear(&out);
}

static void escapes(void **state)
{
    static const struct { const char *value, *text; } rows[] = {
        {"a\"b\\c/d", "\"a\\\"b\\\\c/d\"\n"},
        {"\n\t\r\b\f\x01\x1f\x7f", "\"\\n\\t\\r\\b\\f\\u0001\\u001f\x7f\"\n"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"\n"},
        {"\xff" "a", "\"\xef\xbf\xbd" "a\"\n"},                                     // no such byte
        {"\xc3", "\"\xef\xbf\xbd\"\n"},                                             // cut off
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"\n"},                             // overlong
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n"},             // surrogate
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n"},     // beyond U+10FFFF
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_text out;
        hone_json json;
        hone_text_init(&out);
        hone_json_init(&json, &out);
        hone_json_text(&json, NULL, rows[i].value);
        hone_text_append(&out, "\n", 1);
        assert_string_equal(hone_text_get(&out), rows[i].text);
        hone_text_clear(&out);
    }
}

int test_base_json(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_document),
        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests_name("base_json", tests, NULL, NULL);
}
