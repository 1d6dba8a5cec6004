// SPDX-License-Identifier: Apache-2.0
// A growable string and the scanner that parses spellings. A hone_text that failed to grow stays valid
// and remembers the failure: check once, with hone_text_status, when the text is complete.
#ifndef HONE_BASE_TEXT_H
#define HONE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct hone_text {
    char *data;           // always NUL-terminated once anything was appended; "" through hone_text_get before
    size_t size;          // without the NUL
    size_t capacity;
    bool failed;
} hone_text;

void hone_text_init(hone_text *text);
void hone_text_clear(hone_text *text);                     // releases
void hone_text_printf(hone_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hone_text_append(hone_text *text, const char *data, size_t size);
const char *hone_text_get(const hone_text *text);          // borrowed, never NULL
char *hone_text_take(hone_text *text);                     // caller frees with hone_free; text is empty after
hone_status hone_text_status(const hone_text *text);

// A scanner walks a borrowed string. Each `scan` takes what it names and moves on, or returns false and
// stays where it was.
typedef struct hone_scan {
    const char *at;
} hone_scan;

bool hone_scan_char(hone_scan *scan, char wanted);
bool hone_scan_word(hone_scan *scan, char *word, size_t capacity);       // [A-Za-z_][A-Za-z0-9_]*
bool hone_scan_literal(hone_scan *scan, const char *wanted);
bool hone_scan_int(hone_scan *scan, int64_t *value);                     // decimal, overflow is false
bool hone_scan_float(hone_scan *scan, double *value);                    // C locale; inf, -inf, nan
bool hone_scan_token(hone_scan *scan, char *token, size_t capacity);     // up to a blank or the end
void hone_scan_blanks(hone_scan *scan);

// The shortest decimal text that reads back as the same double; C locale. buffer holds at least 32.
const char *hone_print_double(double value, char buffer[32]);

#endif
