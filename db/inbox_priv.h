// SPDX-License-Identifier: Apache-2.0
// A hub's inbox, the folder DB-inbox: batches that are acknowledged and not yet in the tables, in segments that are only appended to. An append is one
// sync, and reaches the disk in the order of arrival; the tables get many batches in one transaction, which writes a page once for all rows that touch
// it. One thread appends, the store's thread folds. Whoever opens the database folds first, so that nobody misses what lies here.
//
// A segment is a row of groups, each appended at once: "hone-in1", the bytes that follow (8, little-endian, as below), their BLAKE2b-256, and then of each
// batch its size (8), its id (32) and its blob.
#ifndef HONE_DB_INBOX_PRIV_H
#define HONE_DB_INBOX_PRIV_H

#include "db/batch_priv.h"

#define HONE_INBOX_BYTES_MAX ((int64_t)64 << 20)

typedef struct hone_inbox hone_inbox;

// Waits for those who fold it; HONE_AGAIN when another hub has it.
hone_status hone_inbox_open(const char *db, hone_inbox **inbox);
void hone_inbox_close(hone_inbox *inbox);                  // NULL is legal; an empty inbox is removed
// On the disk when it returns. When it fails, some of them may be there all the same.
hone_status hone_inbox_append(hone_inbox *inbox, const hone_batch *const *batches, size_t count);
int64_t hone_inbox_bytes(hone_inbox *inbox);               // not folded yet; any thread
// Puts into the store what was appended before the call, in one transaction, and removes it here. *added: rows that were new.
hone_status hone_inbox_fold(hone_inbox *inbox, hone_store *store, int64_t *added);

bool hone_inbox_holds(const char *db);                     // batches, beside this file
// The same for what a hub has left, or (without removing it) for what a living hub has not folded yet.
hone_status hone_inbox_settle(const char *db, hone_store *store);

#endif
