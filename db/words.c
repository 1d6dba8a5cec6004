// SPDX-License-Identifier: Apache-2.0
#include "db/words_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define WORDS_MAX ((size_t)1 << 24)

void hone_words_clear(hone_word_list *list)
{
    for (size_t i = 0; i < list->count; i++) hone_free(list->items[i].text);
    hone_free(list->items);
}

static hone_status add_word(hone_word_list *list, const char *text, int64_t count)
{
    if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, WORDS_MAX)) return HONE_NO_MEMORY;
    list->items[list->count] = (hone_word){hone_strdup(text), count};
    return list->items[list->count].text ? (list->count++, HONE_OK) : HONE_NO_MEMORY;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(((const hone_word *)a)->text, ((const hone_word *)b)->text);
}

void hone_words_join(hone_word_list *list)
{
    size_t kept = 0;
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_words);
    for (size_t i = 0; i < list->count; i++) {
        if (kept && !strcmp(list->items[kept - 1].text, list->items[i].text)) {
            list->items[kept - 1].count += list->items[i].count;
            hone_free(list->items[i].text);
        } else {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

hone_status hone_words_collect(hone_store *store, const char *sql, const char *parameter, hone_word_list *list)
{
    for (hone_store *at = store; at; at = at->under) {
        sqlite3_stmt *statement;
        bool row;
        hone_status status = hone_store_ready(at);
        if (status == HONE_OK) status = hone_store_prepare(at, sql, &statement);
        if (status != HONE_OK) return status;
        if (parameter) sqlite3_bind_text(statement, 1, parameter, -1, SQLITE_STATIC);
        while ((status = hone_store_step(at, statement, &row)) == HONE_OK && row) {
            const char *text = (const char *)sqlite3_column_text(statement, 0);
            status = text ? add_word(list, text, sqlite3_column_int64(statement, 1)) : HONE_NO_MEMORY;
            if (status != HONE_OK) break;
        }
        sqlite3_reset(statement);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}
