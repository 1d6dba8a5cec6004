// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void hone_json_init(hone_json *json, hone_text *out)
{
    *json = (hone_json){.out = out};
}

// The size of the valid UTF-8 sequence at text, 0 if there is none (overlong forms, surrogates and
// code points beyond U+10FFFF are invalid). Reads no further than the NUL.
static int sequence_size(const unsigned char *text)
{
    static const struct { unsigned char first, last, low, high; int size; } rows[] = {     // Unicode, table 3-7
        {0x01, 0x7f, 0, 0, 1},          {0xc2, 0xdf, 0x80, 0xbf, 2},    {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3},    {0xed, 0xed, 0x80, 0x9f, 3},    {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4},    {0xf1, 0xf3, 0x80, 0xbf, 4},    {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (*text < rows[i].first || *text > rows[i].last) continue;
        if (rows[i].size > 1 && (text[1] < rows[i].low || text[1] > rows[i].high)) return 0;
        for (int k = 2; k < rows[i].size; k++)
            if ((text[k] & 0xc0) != 0x80) return 0;
        return rows[i].size;
    }
    return 0;
}

static void put_escaped(hone_text *out, unsigned char c)
{
    static const char *const short_forms[128] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\t'] = "\\t", ['\r'] = "\\r", ['\b'] = "\\b", ['\f'] = "\\f",
    };
    if (c < 128 && short_forms[c])
        hone_text_append(out, short_forms[c], 2);
    else
        hone_text_printf(out, "\\u%04x", c);
}

static void put_string(hone_text *out, const char *value)
{
    hone_text_append(out, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)value; *at;) {
        int size = sequence_size(at);
        if (size == 0)
            hone_text_append(out, "\xef\xbf\xbd", 3);
        else if (*at < 0x20 || *at == '"' || *at == '\\')
            put_escaped(out, *at);
        else
            hone_text_append(out, (const char *)at, (size_t)size);
        at += size ? size : 1;
    }
    hone_text_append(out, "\"", 1);
}

static void begin_item(hone_json *json, const char *key)
{
    if (json->comma) hone_text_append(json->out, ", ", 2);
    json->comma = true;
    if (!key) return;
    put_string(json->out, key);
    hone_text_append(json->out, ": ", 2);
}

void hone_json_open(hone_json *json, const char *key, char bracket)
{
    begin_item(json, key);
    hone_text_append(json->out, &bracket, 1);
    json->depth++;
    json->comma = false;
}

void hone_json_close(hone_json *json, char bracket)
{
    HONE_ASSERT(json->depth > 0);
    hone_text_append(json->out, &bracket, 1);
    json->depth--;
    json->comma = true;
    if (json->depth == 0) hone_text_append(json->out, "\n", 1);
}

void hone_json_text(hone_json *json, const char *key, const char *value)
{
    begin_item(json, key);
    if (value)
        put_string(json->out, value);
    else
        hone_text_append(json->out, "null", 4);
}

void hone_json_int(hone_json *json, const char *key, int64_t value)
{
    begin_item(json, key);
    hone_text_printf(json->out, "%" PRId64, value);
}

void hone_json_real(hone_json *json, const char *key, double value)
{
    char number[32];
    begin_item(json, key);
    hone_text_printf(json->out, "%s", isfinite(value) ? hone_print_double(value, number) : "null");
}

void hone_json_bool(hone_json *json, const char *key, bool value)
{
    begin_item(json, key);
    hone_text_printf(json->out, "%s", value ? "true" : "false");
}

void hone_json_null(hone_json *json, const char *key)
{
    begin_item(json, key);
    hone_text_append(json->out, "null", 4);
}
