// SPDX-License-Identifier: Apache-2.0
#include "tuner/wire.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define READ_BYTES 65536
#define LOOK_MS 200                    // how long a signal that came between two looks may go unseen

// ---- lines

void hone_wire_reader_clear(hone_wire_reader *reader)
{
    hone_free(reader->data);
    *reader = (hone_wire_reader){.fd = -1};
}

// How long poll may sleep: until the deadline, but never so long that a stop is missed.
static int poll_ms(int64_t deadline_ns, const volatile sig_atomic_t *stop)
{
    int64_t left_ms = deadline_ns == HONE_NEVER ? 3600000 : (deadline_ns - hone_clock_ns() + 999999) / 1000000;
    if (left_ms < 0) left_ms = 0;
    return (int)(stop && left_ms > LOOK_MS ? LOOK_MS : left_ms > 3600000 ? 3600000 : left_ms);
}

static bool make_room(hone_wire_reader *reader)
{
    if (reader->begin) {
        memmove(reader->data, reader->data + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    if (reader->capacity - reader->end >= READ_BYTES) return true;
    size_t capacity = reader->end + 2 * READ_BYTES;
    char *data = hone_realloc(reader->data, capacity);
    if (!data) return false;
    reader->data = data;
    reader->capacity = capacity;
    return true;
}

static hone_wire_event fill(hone_wire_reader *reader, int64_t deadline_ns, const volatile sig_atomic_t *stop)
{
    if (!make_room(reader)) return HONE_WIRE_GARBAGE;
    for (;;) {
        struct pollfd poller = {.fd = reader->fd, .events = POLLIN};
        if (stop && *stop) return HONE_WIRE_STOPPED;
        int ready = poll(&poller, 1, poll_ms(deadline_ns, stop));
        if (ready > 0) break;
        if (ready < 0 && errno != EINTR) return HONE_WIRE_END;
        if (deadline_ns != HONE_NEVER && hone_clock_ns() >= deadline_ns) return HONE_WIRE_LATE;
    }
    ssize_t got;
    do got = read(reader->fd, reader->data + reader->end, READ_BYTES);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return HONE_WIRE_END;
    reader->end += (size_t)got;
    return HONE_WIRE_LINE;
}

hone_wire_event hone_wire_read(hone_wire_reader *reader, int64_t deadline_ns, const volatile sig_atomic_t *stop, char **line)
{
    size_t looked = reader->begin;
    for (;;) {
        char *begin = reader->data + reader->begin;
        char *end = looked < reader->end ? memchr(reader->data + looked, '\n', reader->end - looked) : NULL;
        if (end) {
            if (memchr(begin, 0, (size_t)(end - begin))) return HONE_WIRE_GARBAGE;
            *end = 0;
            *line = begin;
            reader->begin += (size_t)(end - begin) + 1;
            return HONE_WIRE_LINE;
        }
        size_t pending = reader->end - reader->begin;
        if (pending > HONE_WIRE_LINE_MAX) return HONE_WIRE_GARBAGE;
        hone_wire_event event = fill(reader, deadline_ns, stop);
        if (event != HONE_WIRE_LINE) return event;
        looked = reader->begin + pending;
    }
}

hone_wire_event hone_wire_write(int fd, const char *data, size_t size, int64_t deadline_ns)
{
    while (size) {
        ssize_t put = write(fd, data, size);
        if (put > 0) {
            data += put;
            size -= (size_t)put;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return HONE_WIRE_END;
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        poll(&poller, 1, poll_ms(deadline_ns, NULL));
        if (hone_clock_ns() >= deadline_ns) return HONE_WIRE_LATE;
    }
    return HONE_WIRE_LINE;
}

// ---- fields

bool hone_wire_split(char *line, hone_wire_fields *fields)
{
    fields->n = 0;
    for (const char *at = line; *at; at++)
        if (*(const unsigned char *)at < 32 && *at != '\t') return false;
    for (char *at = line;;) {
        if (fields->n == HONE_WIRE_FIELDS) return false;
        fields->at[fields->n++] = at;
        at = strchr(at, '\t');
        if (!at) return fields->n >= 2;
        *at++ = 0;
    }
}

bool hone_wire_int(const char *field, int64_t *value)
{
    hone_scan scan = {field};
    return hone_scan_int(&scan, value) && !*scan.at;
}

bool hone_wire_real(const char *field, double *value)
{
    hone_scan scan = {field};
    return hone_scan_float(&scan, value) && !*scan.at;
}

void hone_wire_put_words(hone_text *text, const char *words)
{
    for (; *words; words++) hone_text_append(text, *(const unsigned char *)words < 32 || *words == 127 ? " " : words, 1);
}

// ---- phases

const char *const hone_phases[HONE_PHASES] = {"other", "reference", "lay", "compile", "prepare", "verify", "time"};

int hone_phase_find(const char *name)
{
    for (int k = 0; k < HONE_PHASES; k++)
        if (!strcmp(hone_phases[k], name)) return k;
    return -1;
}

// ---- answers

void hone_answer_init(hone_answer *answer)
{
    memset(answer, 0, offsetof(hone_answer, samples_ns));
    answer->error = answer->clock_mhz = answer->temperature_c = answer->power_w = -1;
    answer->registers = -1;
}

static void put_real(hone_text *text, double value)
{
    char number[32];
    hone_text_printf(text, "\t%s", hone_print_double(value, number));
}

void hone_answer_print(const hone_answer *answer, hone_text *text)
{
    char number[32];
    hone_text_printf(text, "%s\t%s", hone_verdict_name(answer->verdict), answer->leaving ? "leaving" : "staying");
    put_real(text, answer->error);
    hone_text_printf(text, "\t%lld\t%lld", (long long)answer->workspace_bytes, (long long)answer->registers);
    put_real(text, answer->clock_mhz);
    put_real(text, answer->temperature_c);
    put_real(text, answer->power_w);
    hone_text_append(text, "\t", 1);
    hone_wire_put_words(text, answer->throttle);
    hone_text_append(text, "\t", 1);
    hone_wire_put_words(text, answer->artifact);
    hone_text_append(text, "\t", 1);
    hone_wire_put_words(text, answer->note);
    hone_text_append(text, "\t", 1);
    for (int k = 0; k < answer->n; k++) hone_text_printf(text, "%s%s", k ? "," : "", hone_print_double(answer->samples_ns[k], number));
}

static bool parse_samples(const char *field, hone_answer *answer)
{
    hone_scan scan = {field};
    while (*scan.at) {
        double *value = &answer->samples_ns[answer->n];
        if (answer->n == HONE_BURST_MAX || (answer->n && !hone_scan_char(&scan, ','))) return false;
        if (!hone_scan_float(&scan, value) || !isfinite(*value) || *value <= 0) return false;
        answer->n++;
    }
    return true;
}

static bool copy_field(const char *field, char *to, size_t capacity)
{
    size_t size = strlen(field);
    if (size >= capacity) return false;
    memcpy(to, field, size + 1);
    return true;
}

// A time without a right answer, or a right answer without a time, is no answer (law 5).
bool hone_answer_parse(const hone_wire_fields *fields, int first, hone_answer *answer)
{
    char *const *at = fields->at + first;
    hone_answer_init(answer);
    if (fields->n - first != 12 || hone_verdict_parse(at[0], &answer->verdict)) return false;
    answer->leaving = !strcmp(at[1], "leaving");
    if (!answer->leaving && strcmp(at[1], "staying")) return false;
    if (!hone_wire_real(at[2], &answer->error) || !hone_wire_int(at[3], &answer->workspace_bytes) || !hone_wire_int(at[4], &answer->registers) ||
        !hone_wire_real(at[5], &answer->clock_mhz) || !hone_wire_real(at[6], &answer->temperature_c) || !hone_wire_real(at[7], &answer->power_w))
        return false;
    if (!copy_field(at[8], answer->throttle, sizeof answer->throttle) || !copy_field(at[9], answer->artifact, sizeof answer->artifact) ||
        !copy_field(at[10], answer->note, sizeof answer->note) || !parse_samples(at[11], answer))
        return false;
    bool is_ok = answer->verdict == HONE_VERDICT_OK;
    return is_ok ? answer->n > 0 && answer->error >= 0 && answer->workspace_bytes >= 0 : answer->n == 0;
}
