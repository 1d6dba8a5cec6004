// SPDX-License-Identifier: Apache-2.0
// Ids of many pieces of memory at once, by several threads: one BLAKE2b takes a second for a gigabyte.
#ifndef HONE_BASE_HASH_PIECES_H
#define HONE_BASE_HASH_PIECES_H

#include "base/hash.h"

typedef struct hone_piece {
    const void *data;      // borrowed
    size_t size_bytes;
    hone_id id;            // what hone_hash_once makes of it
} hone_piece;

// On the caller's thread and as many others as there are other CPUs, seven at most: threads of its own, so it may run beside hone_parallel.
void hone_hash_pieces(hone_piece *pieces, size_t n);

#endif
