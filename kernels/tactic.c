// SPDX-License-Identifier: Apache-2.0
#include "kernels/tactic.h"

#include <stdio.h>
#include <string.h>

static hone_status bad(const char *text, const char *why)
{
    return hone_fail(HONE_USAGE, "\"%.200s\" is no tactic: %s; one reads SOURCE.KERNEL@VERSION NAME=VALUE ...", text, why);
}

// A decimal integer exactly as print writes it: other digits belong to a vendor's word.
static bool is_plain_int(const char *text, int64_t *value)
{
    char again[24];
    hone_scan scan = {text};
    if (!hone_scan_int(&scan, value) || *scan.at) return false;
    snprintf(again, sizeof again, "%lld", (long long)*value);
    return !strcmp(again, text);
}

static int find_param(const hone_tactic *tactic, const char *name)
{
    for (int k = 0; k < tactic->n; k++)
        if (!strcmp(tactic->params[k].name, name)) return k;
    return -1;
}

static hone_status add_vendor(hone_tactic *tactic, const char *text, const char *word)
{
    size_t used = strlen(tactic->vendor), size = strlen(word);
    if (used + 1 + size >= HONE_VENDOR_MAX) return bad(text, "the vendor's description is too long");
    if (used) tactic->vendor[used++] = ' ';
    memcpy(tactic->vendor + used, word, size + 1);
    return HONE_OK;
}

static hone_status parse_word(hone_tactic *tactic, const char *text, const char *word)
{
    char name[sizeof tactic->params[0].name];
    int64_t value;
    hone_scan scan = {word};
    if (!hone_scan_word(&scan, name, sizeof name) || !hone_scan_char(&scan, '=') || !*scan.at)
        return bad(text, "a word is not of the form NAME=VALUE");
    if (!is_plain_int(scan.at, &value)) return add_vendor(tactic, text, word);
    if (find_param(tactic, name) >= 0) return bad(text, "a parameter stands twice");
    if (tactic->n == HONE_PARAMS_MAX) return bad(text, "it has too many parameters");
    return hone_tactic_set(tactic, name, value);
}

hone_status hone_tactic_parse(const char *text, hone_tactic *tactic)
{
    hone_tactic read = {0};
    hone_scan scan = {text};
    int64_t version;
    char word[HONE_VENDOR_MAX];
    bool fits = hone_scan_word(&scan, read.source, sizeof read.source) && hone_scan_char(&scan, '.') &&
                hone_scan_word(&scan, read.kernel, sizeof read.kernel) && hone_scan_char(&scan, '@') &&
                hone_scan_int(&scan, &version) && version >= 0 && version <= 1000000;
    if (!fits || (*scan.at && *scan.at != ' ')) return bad(text, "it does not begin with SOURCE.KERNEL@VERSION");
    if (strlen(text) >= HONE_TACTIC_TEXT) return bad(text, "it is too long");
    read.version = (int)version;
    for (hone_scan_blanks(&scan); *scan.at; hone_scan_blanks(&scan)) {
        if (!hone_scan_token(&scan, word, sizeof word)) return bad(text, "a word is too long");
        hone_status status = parse_word(&read, text, word);
        if (status != HONE_OK) return status;
    }
    *tactic = read;
    return HONE_OK;
}

void hone_tactic_print(const hone_tactic *tactic, char text[HONE_TACTIC_TEXT])
{
    size_t size = (size_t)snprintf(text, HONE_TACTIC_TEXT, "%s.%s@%d", tactic->source, tactic->kernel, tactic->version);
    for (int k = 0; k < tactic->n && size < HONE_TACTIC_TEXT; k++)
        size += (size_t)snprintf(text + size, HONE_TACTIC_TEXT - size, " %s=%lld", tactic->params[k].name,
                                 (long long)tactic->params[k].value);
    if (*tactic->vendor && size < HONE_TACTIC_TEXT) snprintf(text + size, HONE_TACTIC_TEXT - size, " %s", tactic->vendor);
}

int64_t hone_tactic_get(const hone_tactic *tactic, const char *name, int64_t fallback)
{
    int k = find_param(tactic, name);
    return k < 0 ? fallback : tactic->params[k].value;
}

hone_status hone_tactic_set(hone_tactic *tactic, const char *name, int64_t value)
{
    int k = find_param(tactic, name);
    if (k < 0) {
        if (tactic->n == HONE_PARAMS_MAX || strlen(name) >= sizeof tactic->params[0].name)
            return hone_fail(HONE_USAGE, "a tactic has no room for a parameter \"%s\"", name);
        k = tactic->n++;
        strcpy(tactic->params[k].name, name);
    }
    tactic->params[k].value = value;
    return HONE_OK;
}
