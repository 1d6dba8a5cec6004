// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text_priv.h"

static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    HONE_ASSERT(c_locale != (locale_t)0);
}

static locale_t get_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return c_locale;
}

int hone_print_args(char *buffer, size_t capacity, const char *format, va_list arguments)
{
    locale_t before = uselocale(get_locale());
    int size = vsnprintf(buffer, capacity, format, arguments);
    uselocale(before);
    return size;
}

void hone_text_init(hone_text *text)
{
    *text = (hone_text){0};
}

void hone_text_clear(hone_text *text)
{
    hone_free(text->data);
    hone_text_init(text);
}

static bool make_room(hone_text *text, size_t more)
{
    size_t wanted;
    if (text->failed || __builtin_add_overflow(text->size + 1, more, &wanted)) {
        text->failed = true;
        return false;
    }
    if (wanted <= text->capacity) return true;
    size_t capacity = text->capacity * 2 > wanted ? text->capacity * 2 : wanted + 63;
    char *data = hone_realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void hone_text_printf(hone_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t room = text->failed ? 0 : text->capacity - text->size;
    int size = hone_print_args(room ? text->data + text->size : NULL, room, format, arguments);
    if (size < 0) text->failed = true;
    if (size >= 0 && (size_t)size < room) {
        text->size += (size_t)size;
    } else if (size >= 0 && make_room(text, (size_t)size)) {
        hone_print_args(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    } else if (room) {
        text->data[text->size] = 0;
    }
    va_end(again);
    va_end(arguments);
}

void hone_text_append(hone_text *text, const char *data, size_t size)
{
    if (!make_room(text, size)) return;
    if (size) memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

const char *hone_text_get(const hone_text *text)
{
    return text->data ? text->data : "";
}

char *hone_text_take(hone_text *text)
{
    char *data = text->data ? text->data : hone_strdup("");
    hone_text_init(text);
    return data;
}

hone_status hone_text_status(const hone_text *text)
{
    if (!text->failed) return HONE_OK;
    return hone_fail(HONE_NO_MEMORY, "out of memory while a text of %zu bytes was growing", text->size);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool hone_scan_char(hone_scan *scan, char wanted)
{
    if (!wanted || *scan->at != wanted) return false;
    scan->at++;
    return true;
}

static bool take(hone_scan *scan, size_t size, char *out, size_t capacity)
{
    if (!size || size >= capacity) return false;
    memcpy(out, scan->at, size);
    out[size] = 0;
    scan->at += size;
    return true;
}

bool hone_scan_word(hone_scan *scan, char *word, size_t capacity)
{
    size_t size = 0;
    if (is_digit(*scan->at)) return false;
    while (is_word_char(scan->at[size])) size++;
    return take(scan, size, word, capacity);
}

bool hone_scan_literal(hone_scan *scan, const char *wanted)
{
    size_t size = strlen(wanted);
    if (strncmp(scan->at, wanted, size)) return false;
    scan->at += size;
    return true;
}

bool hone_scan_int(hone_scan *scan, int64_t *value)
{
    const char *at = scan->at;
    bool is_negative = *at == '-';
    int64_t read = 0;
    at += is_negative;
    if (!is_digit(*at)) return false;
    for (; is_digit(*at); at++) {       // the negative range is the larger one
        if (__builtin_mul_overflow(read, 10, &read) || __builtin_sub_overflow(read, *at - '0', &read)) return false;
    }
    if (!is_negative && __builtin_sub_overflow((int64_t)0, read, &read)) return false;
    *value = read;
    scan->at = at;
    return true;
}

static bool scan_special(hone_scan *scan, double *value)
{
    static const struct { const char *text; double value; } specials[] = {
        {"inf", INFINITY}, {"-inf", -INFINITY}, {"nan", NAN},
    };
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        size_t size = strlen(specials[i].text);
        if (strncmp(scan->at, specials[i].text, size) || is_word_char(scan->at[size])) continue;
        *value = specials[i].value;
        scan->at += size;
        return true;
    }
    return false;
}

// The length of -?digits[.digits][e[+-]digits] or of the same with digits only behind the point; else 0.
static size_t decimal_size(const char *text)
{
    const char *at = text + (*text == '-');
    const char *digits = at;
    while (is_digit(*at)) at++;
    bool has_digits = at > digits;
    if (*at == '.' && (has_digits || is_digit(at[1]))) {
        at++;
        has_digits = has_digits || is_digit(*at);
        while (is_digit(*at)) at++;
    }
    if (!has_digits) return 0;
    if (*at == 'e' || *at == 'E') {
        const char *power = at + 1;
        power += *power == '+' || *power == '-';
        if (is_digit(*power)) {
            while (is_digit(*power)) power++;
            at = power;
        }
    }
    return (size_t)(at - text);
}

bool hone_scan_float(hone_scan *scan, double *value)
{
    char number[512];      // our own grammar first: strtod also takes hexadecimal and blanks
    if (scan_special(scan, value)) return true;
    if (!take(scan, decimal_size(scan->at), number, sizeof number)) return false;
    *value = strtod_l(number, NULL, get_locale());
    return true;
}

bool hone_scan_token(hone_scan *scan, char *token, size_t capacity)
{
    size_t size = 0;
    while (scan->at[size] && !is_blank(scan->at[size])) size++;
    return take(scan, size, token, capacity);
}

void hone_scan_blanks(hone_scan *scan)
{
    while (is_blank(*scan->at)) scan->at++;
}

static void print_digits(char buffer[32], int digits, double value)
{
    char text[48];      // 17 digits, point, two signs and four of the exponent need 24; gcc cannot know
    locale_t before = uselocale(get_locale());
    snprintf(text, sizeof text, "%.*g", digits, value);
    uselocale(before);
    memcpy(buffer, text, 32);
}

const char *hone_print_double(double value, char buffer[32])
{
    if (isnan(value)) return strcpy(buffer, "nan");
    if (isinf(value)) return strcpy(buffer, value < 0 ? "-inf" : "inf");
    // A normal double that has a text of 15 digits or fewer gets it from %.15g; a subnormal need not.
    int digits = isnormal(value) || value == 0 ? 15 : 1;
    for (; digits <= 17; digits++) {
        print_digits(buffer, digits, value);
        if (strtod_l(buffer, NULL, get_locale()) == value) break;
    }
    return buffer;
}
