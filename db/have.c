// SPDX-License-Identifier: Apache-2.0
// Who has which batches, told in spans of each writer's numbers, and what the other side lacks.
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"

void hone_have_clear(hone_have *have)
{
    hone_free(have->items);
    *have = (hone_have){0};
}

typedef struct spanning {
    hone_have *have;
    hone_hash hash;                // of the span being made
    bool open;
} spanning;

static void end_span(spanning *to)
{
    if (to->open) hone_hash_end(&to->hash, &to->have->items[to->have->count - 1].digest);
    to->open = false;
}

static hone_status add_to_spans(void *user, const char *writer, int64_t sequence, const hone_id *id)
{
    spanning *to = user;
    hone_span *last = to->open ? &to->have->items[to->have->count - 1] : NULL;
    if (!last || strcmp(last->writer, writer) || sequence > last->last + 1) {
        end_span(to);
        if (hone_grow(&to->have->items, to->have->count, &to->have->capacity, sizeof *to->have->items, (size_t)1 << 24)) return HONE_NO_MEMORY;
        last = &to->have->items[to->have->count++];
        *last = (hone_span){.first = sequence};
        strncpy(last->writer, writer, HONE_ID_TEXT - 1);
        hone_hash_init(&to->hash);
        to->open = true;
    }
    last->last = sequence;
    hone_hash_add(&to->hash, id, sizeof *id);
    return HONE_OK;
}

static hone_status each_batch(hone_store *store, bool with_set_aside, hone_status (*each)(void *user, const char *writer, int64_t sequence, const hone_id *id),
                              void *user)
{
    static const char both_sql[] = "SELECT writer, sequence, id FROM batch UNION SELECT writer, sequence, id FROM quarantine ORDER BY 1, 2, 3";
    static const char own_sql[] = "SELECT writer, sequence, id FROM batch ORDER BY writer, sequence, id";
    sqlite3_stmt *find;
    hone_id id;
    bool row;
    hone_status status = hone_store_ready(store);
    if (status == HONE_OK) status = hone_store_prepare(store, with_set_aside && store->version >= HONE_SCHEMA_TRUST ? both_sql : own_sql, &find);
    if (status != HONE_OK) return status;
    while ((status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        const char *writer = (const char *)sqlite3_column_text(find, 0);
        if (!writer || sqlite3_column_bytes(find, 2) != sizeof id) continue;
        memcpy(&id, sqlite3_column_blob(find, 2), sizeof id);
        status = each(user, writer, sqlite3_column_int64(find, 1), &id);
        if (status != HONE_OK) break;
    }
    sqlite3_reset(find);
    return status;
}

hone_status hone_have_find(hone_store *store, bool with_set_aside, hone_have *have)
{
    spanning to = {.have = have};
    have->count = 0;
    hone_status status = each_batch(store, with_set_aside, add_to_spans, &to);
    end_span(&to);
    return status;
}

void hone_have_print(const hone_have *have, hone_text *text)
{
    for (size_t i = 0; i < have->count; i++) {
        char digits[HONE_ID_TEXT];
        hone_id_print(&have->items[i].digest, digits);
        hone_text_printf(text, "%s %" PRId64 " %" PRId64 " %s\n", have->items[i].writer, have->items[i].first, have->items[i].last, digits);
    }
}

static bool is_behind(const hone_span *a, const hone_span *b)
{
    int order = strcmp(a->writer, b->writer);
    return order > 0 || (order == 0 && a->first > b->last + 1);
}

static bool parse_span(hone_scan *scan, hone_span *span)
{
    char digits[HONE_ID_TEXT];
    hone_id key;
    return hone_scan_token(scan, span->writer, sizeof span->writer) && hone_id_parse(span->writer, &key) && hone_scan_char(scan, ' ')
        && hone_scan_int(scan, &span->first) && hone_scan_char(scan, ' ') && hone_scan_int(scan, &span->last) && hone_scan_char(scan, ' ')
        && hone_scan_token(scan, digits, sizeof digits) && hone_id_parse(digits, &span->digest) && !*scan->at
        && span->first >= 1 && span->last >= span->first && span->last < INT64_MAX;
}

hone_status hone_have_parse(const char *text, size_t size_bytes, hone_have *have)
{
    have->count = 0;
    for (const char *at = text, *end = text + size_bytes; at < end;) {
        char line[256] = "";
        hone_scan scan = {line};
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = stop ? (size_t)(stop - at) : sizeof line;
        if (size >= sizeof line) return hone_fail(HONE_DAMAGED, "what the other side has is no list of spans");
        memcpy(line, at, size);
        if (hone_grow(&have->items, have->count, &have->capacity, sizeof *have->items, (size_t)1 << 20)) return HONE_NO_MEMORY;
        hone_span *made = &have->items[have->count];
        memset(made, 0, sizeof *made);
        if (strlen(line) != size || !parse_span(&scan, made) || (have->count && !is_behind(made, made - 1)))
            return hone_fail(HONE_DAMAGED, "what the other side has is no list of spans: line %zu", have->count + 1);
        have->count++;
        at = stop + 1;
    }
    return HONE_OK;
}

// The last span that begins at or before a batch.
static const hone_span *find_span(const hone_have *have, const char *writer, int64_t sequence)
{
    size_t low = 0, high = have->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(have->items[middle].writer, writer);
        if (order < 0 || (order == 0 && have->items[middle].first <= sequence)) low = middle + 1;
        else high = middle;
    }
    const hone_span *found = low ? &have->items[low - 1] : NULL;
    return found && !strcmp(found->writer, writer) && sequence <= found->last ? found : NULL;
}

typedef struct comparing {
    const hone_have *theirs;
    const hone_span *span;         // the one whose batches pass by
    int64_t seen;
    hone_hash hash;
} comparing;

static hone_status end_comparison(comparing *to)
{
    hone_id digest;
    if (!to->span || to->seen != to->span->last - to->span->first + 1) return HONE_OK;
    hone_hash_end(&to->hash, &digest);
    if (hone_id_equal(&digest, &to->span->digest)) return HONE_OK;
    return hone_fail(HONE_USAGE, "the batches %" PRId64 " to %" PRId64 " of the writer %.16s are not the same here and there: two machines use one "
                     "key, or a database was put back from a copy; give each machine a key of its own", to->span->first, to->span->last,
                     to->span->writer);
}

static hone_status compare_batch(void *user, const char *writer, int64_t sequence, const hone_id *id)
{
    comparing *to = user;
    const hone_span *span = find_span(to->theirs, writer, sequence);
    if (span != to->span) {
        hone_status status = end_comparison(to);
        if (status != HONE_OK) return status;
        to->span = span;
        to->seen = 0;
        hone_hash_init(&to->hash);
    }
    if (!span) return HONE_OK;
    hone_hash_add(&to->hash, id, sizeof *id);
    to->seen++;
    return HONE_OK;
}

typedef struct lacking {
    const hone_have *theirs;
    hone_have found;               // spans of one batch each: the callback may use the store
} lacking;

static hone_status add_lacking(void *user, const char *writer, int64_t sequence, const hone_id *id)
{
    lacking *to = user;
    (void)id;
    if (find_span(to->theirs, writer, sequence)) return HONE_OK;
    if (hone_grow(&to->found.items, to->found.count, &to->found.capacity, sizeof *to->found.items, (size_t)1 << 24)) return HONE_NO_MEMORY;
    hone_span *made = &to->found.items[to->found.count++];
    *made = (hone_span){.first = sequence, .last = sequence};
    strncpy(made->writer, writer, HONE_ID_TEXT - 1);
    return HONE_OK;
}

hone_status hone_batch_each_lacking(hone_store *store, const hone_have *theirs, const char *writer,
                                    hone_status (*each)(void *user, const char *writer, int64_t sequence), void *user)
{
    comparing compare = {.theirs = theirs};
    lacking to = {.theirs = theirs};
    hone_status status;
    hone_hash_init(&compare.hash);
    HONE_TRY(each_batch(store, false, compare_batch, &compare));
    HONE_TRY(end_comparison(&compare));
    HONE_TRY(each_batch(store, false, add_lacking, &to));
    for (size_t i = 0; i < to.found.count && status == HONE_OK; i++)
        if (!writer || !strcmp(writer, to.found.items[i].writer)) status = each(user, to.found.items[i].writer, to.found.items[i].first);
out:
    hone_have_clear(&to.found);
    return status;
}
