// SPDX-License-Identifier: Apache-2.0
// What the writer and the reader of dumps agree on; docs/schema.md describes the whole.
#ifndef HONE_DB_DUMP_PRIV_H
#define HONE_DB_DUMP_PRIV_H

#define HONE_DUMP_HEAD "hone-dump 1\n"

enum { HONE_DUMP_ID_DIGITS = 16 };      // the beginning of a fact's id, enough to find it and to see damage

#endif
