// SPDX-License-Identifier: Apache-2.0
// A small streaming JSON writer into a hone_text. Reading JSON is jansson's task (fenced to the file that needs it).
#ifndef HONE_BASE_JSON_H
#define HONE_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

typedef struct hone_json {
    hone_text *out;        // borrowed
    int depth;
    bool comma;            // the next item needs a comma before it
} hone_json;

void hone_json_init(hone_json *json, hone_text *out);
void hone_json_open(hone_json *json, const char *key, char bracket);     // '{' or '['; key NULL inside arrays and at the top
void hone_json_close(hone_json *json, char bracket);                     // '}' or ']'
void hone_json_text(hone_json *json, const char *key, const char *value);  // invalid UTF-8 becomes U+FFFD
void hone_json_int(hone_json *json, const char *key, int64_t value);
void hone_json_real(hone_json *json, const char *key, double value);     // not finite: null
void hone_json_bool(hone_json *json, const char *key, bool value);
void hone_json_null(hone_json *json, const char *key);

#endif
