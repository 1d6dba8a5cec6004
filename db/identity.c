// SPDX-License-Identifier: Apache-2.0
#include "db/identity_priv.h"

#include <string.h>

#include "base/text.h"

static void copy_piece(char *out, size_t capacity, const char *from, size_t size)
{
    if (size >= capacity) size = capacity - 1;
    memcpy(out, from, size);
    out[size] = 0;
}

static size_t token_size(const char *at)
{
    return strcspn(at, " ");
}

// "sms=132" and the like, each with its unit.
static void read_number(const char *token, hone_device_words *words)
{
    const struct { const char *name, *unit; int64_t factor; int64_t *value; } numbers[] = {
        {"sms=", "", 1, &words->multiprocessors}, {"mem=", "MiB", 1 << 20, &words->memory_bytes},
        {"clock=", "MHz", 1, &words->clock_mhz}, {"power=", "W", 1, &words->power_w}, {"threads=", "", 1, &words->threads},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        hone_scan scan = {token};
        int64_t value;
        if (!hone_scan_literal(&scan, numbers[i].name) || !hone_scan_int(&scan, &value)) continue;
        if (!hone_scan_literal(&scan, numbers[i].unit) || (*scan.at && *scan.at != ' ')) continue;
        if (__builtin_mul_overflow(value, numbers[i].factor, &value)) continue;
        *numbers[i].value = value;
    }
}

void hone_device_read(const char *spelling, hone_device_words *words)
{
    const char *at = spelling;
    memset(words, 0, sizeof *words);
    copy_piece(words->backend, sizeof words->backend, at, token_size(at));
    at += token_size(at);
    at += strspn(at, " ");
    copy_piece(words->architecture, sizeof words->architecture, at, token_size(at));
    at += token_size(at);
    at += strspn(at, " ");
    if (*at == '"') {
        size_t size = strcspn(at + 1, "\"");
        copy_piece(words->model, sizeof words->model, at + 1, size);
        at += 1 + size;
        at += *at == '"';
    }
    for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
        read_number(at, words);
        at += token_size(at);
    }
}

void hone_tactic_read(const char *spelling, hone_tactic_words *words)
{
    size_t head = token_size(spelling);
    size_t name = strcspn(spelling, "@ ");
    size_t source = strcspn(spelling, ".@ ");
    memset(words, 0, sizeof *words);
    copy_piece(words->source, sizeof words->source, spelling, source);
    if (source < name) copy_piece(words->kernel, sizeof words->kernel, spelling + source + 1, name - source - 1);
    if (spelling[name] == '@') {
        hone_scan scan = {spelling + name + 1};
        hone_scan_int(&scan, &words->version);
    }
    words->parameters = spelling + head + strspn(spelling + head, " ");
}

bool hone_toolchain_next(const char **at, char name[64], char version[128])
{
    const char *token = *at + strspn(*at, " ");
    size_t size = token_size(token);
    const char *equals = memchr(token, '=', size);
    if (!size) return false;
    size_t name_size = equals ? (size_t)(equals - token) : size;
    copy_piece(name, 64, token, name_size);
    copy_piece(version, 128, equals ? equals + 1 : "", equals ? size - name_size - 1 : 0);
    *at = token + size;
    return true;
}

static bool has_token(const char *text, const char *token, size_t size)
{
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
        size_t found = token_size(at);
        if (found == size && !memcmp(at, token, size)) return true;
        at += found;
    }
    return false;
}

bool hone_toolchain_covers(const char *toolchain, const char *depends)
{
    for (const char *at = depends + strspn(depends, " "); *at; at += strspn(at, " ")) {
        size_t size = token_size(at);
        if (!has_token(toolchain, at, size)) return false;
        at += size;
    }
    return true;
}

int hone_effort_level(const char *effort)
{
    static const char *const efforts[] = {"lookup", "estimate", "quick", "full", "exhaustive"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(effort, efforts[i])) return i;
    return -1;
}
