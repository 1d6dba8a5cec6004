// SPDX-License-Identifier: Apache-2.0
// Batches and trust inside of db/. Everything here runs inside the caller's transaction.
#ifndef HONE_DB_BATCH_PRIV_H
#define HONE_DB_BATCH_PRIV_H

#include "db/batch.h"
#include "db/fact_priv.h"

enum { HONE_SCHEMA_TRUST = 3 };        // the schema version that has standing, hidden, quarantine

// Puts the rows and the batch row of a blob that hone_batch_open has let pass, whoever its writer is, and takes it from quarantine. ruled: it holds
// rulings, or something that rulings speak of.
hone_status hone_batch_put_rows(hone_store *store, const void *blob, size_t size_bytes, int64_t *added, bool *ruled);
hone_status hone_batch_put_trusted(hone_store *store, const void *blob, size_t size_bytes, int64_t *added);    // and what rulings make of it
hone_status hone_batch_find(hone_store *store, const hone_id *id, bool *found);      // whether it was put
// Makes a row's signature, its last value, and its id, and puts it.
hone_status hone_signed_put(hone_store *store, const hone_key *key, int fact, hone_row *row);
hone_status hone_quarantine_remove(hone_store *store, const hone_id *id);
// Makes standing and hidden from the rulings, and puts what they release from quarantine. Cheap where there are no rulings.
hone_status hone_trust_settle(hone_store *store);

typedef struct hone_id_list {
    hone_id *items;            // owned
    size_t count, capacity;
} hone_id_list;

void hone_ids_clear(hone_id_list *list);
hone_status hone_ids_add(hone_id_list *list, const void *ids, size_t count);
void hone_ids_sort(hone_id_list *list);                                  // and drops repetitions
bool hone_ids_has(const hone_id_list *list, const void *id);           // of a sorted list

// Of a row in `layer`, one of store and those under it: true when no ruling hides it; *promoted when one vouches for it.
hone_status hone_trust_counts(hone_store *store, hone_store *layer, const hone_id *id, const hone_id *run, bool *counts, bool *promoted);
// What trust adds to a snapshot: whose word stands alone, and what is hidden.
hone_status hone_trust_hash(hone_store *store, hone_hash *hash);
// True when any layer has rulings in force on rows or writers, so that the others need asking.
hone_status hone_trust_any(hone_store *store, bool *any);

#endif
