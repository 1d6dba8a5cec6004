// SPDX-License-Identifier: Apache-2.0
// What the writer and the reader of dumps agree on; docs/schema.md describes the whole.
#ifndef HONE_DB_DUMP_PRIV_H
#define HONE_DB_DUMP_PRIV_H

#include "db/fact_priv.h"

#define HONE_DUMP_HEAD "hone-dump 1\n"

enum { HONE_DUMP_ID_DIGITS = 16 };      // the beginning of a fact's id, enough to find it and to see damage

// What a dump holds, line by line; a NULL callback refuses such lines.
typedef struct hone_dump_sink {
    hone_status (*fact)(void *user, const hone_fact_table *table, const hone_row *row);     // its id is made and held against the line's
    hone_status (*problem)(void *user, const hone_cell *spelling, int64_t flops, int64_t bytes);
    void *user;
} hone_dump_sink;

// HONE_DAMAGED for what is no dump; a HONE_USAGE of the sink becomes that too, with the line's number.
hone_status hone_dump_read(const char *dump, size_t size_bytes, const hone_dump_sink *sink);
// Unpacks zstd under the ceilings of dumps; *plain is NULL when the data are plain. Caller frees with hone_free.
hone_status hone_dump_unzip(const char *dump, size_t size_bytes, size_t most_bytes, void **plain, size_t *plain_bytes);

void hone_dump_print_row(hone_text *out, const hone_fact_table *table, const hone_row *row);
void hone_dump_print_end(hone_text *out);      // the last line, over all that out holds

#endif
