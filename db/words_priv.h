// SPDX-License-Identifier: Apache-2.0
// Lists of words with counts, as the layers of a store answer them together.
#ifndef HONE_DB_WORDS_PRIV_H
#define HONE_DB_WORDS_PRIV_H

#include "db/store_priv.h"

typedef struct hone_word {
    char *text;           // owned
    int64_t count;
} hone_word;

typedef struct hone_word_list {
    hone_word *items;
    size_t count, capacity;
} hone_word_list;

void hone_words_clear(hone_word_list *list);
void hone_words_join(hone_word_list *list);       // sorts and joins equal words, adding their counts
// Adds the answers TEXT, INTEGER of a statement, its first parameter bound when not NULL, of every layer.
hone_status hone_words_collect(hone_store *store, const char *sql, const char *parameter, hone_word_list *list);

#endif
