// SPDX-License-Identifier: Apache-2.0
// Rulings: who is trusted, and which rows count. Append-only, signed, merged like evidence; what is in force is a function of them all.
//
// A database has an owner: the key that says what counts in it (its file says so; neither id nor dump does). The owner's rulings are in
// force, and those of the writers whom the owner has empowered; besides, each writer may withdraw its own rows. Of several
// rulings on one target the owner's stand before others, then the latest.
#ifndef HONE_DB_RULING_H
#define HONE_DB_RULING_H

#include "db/batch.h"

typedef enum hone_ruling_verb {
    HONE_RULING_ADMIT,         // a writer: its rows count
    HONE_RULING_EMPOWER,       // a writer: its rulings count too, and its measurements vouch for others'; by the owner only
    HONE_RULING_SUSPEND,       // a writer: nothing of it counts, from before or from now on; its rows stay
    HONE_RULING_PROMOTE,       // a row, run or batch: counts, whatever speaks against it
    HONE_RULING_QUARANTINE,    // a row, run or batch: does not count until it is promoted
    HONE_RULING_WITHDRAW,      // the same, said by its own writer
    HONE_RULING_VERBS
} hone_ruling_verb;

const char *hone_ruling_verb_name(hone_ruling_verb verb);
bool hone_ruling_verb_parse(const char *name, hone_ruling_verb *verb);
bool hone_ruling_is_on_writer(hone_ruling_verb verb);

// The owner's key in hex, "" when nobody owns the store yet.
hone_status hone_store_find_owner(hone_store *store, char writer[HONE_ID_TEXT]);
// Makes the key the owner of a store. Unless `anyway`, one that has an owner keeps it (no error).
hone_status hone_store_own(hone_store *store, const hone_key *key, bool anyway);

// The target that a word names: a writer's key, or the id of a measurement, run or batch, or at least 8 digits of one. HONE_USAGE when none or
// several begin so; 64 digits are taken as they are.
hone_status hone_ruling_find_target(hone_store *store, hone_ruling_verb verb, const char *word, hone_id *target);
// Signs and puts a ruling; what it releases from quarantine is put at once. HONE_USAGE when the key has no say in this store.
hone_status hone_ruling_put(hone_store *store, const hone_key *key, hone_ruling_verb verb, const hone_id *target, const char *reason, hone_id *id);

typedef struct hone_writer_facts {
    const char *writer;        // key in hex, or "local"
    hone_trust trust;
    bool owner;
    int64_t runs, measurements, batches, set_aside;     // set_aside: batches in quarantine
} hone_writer_facts;

// All writers of the store and of its quarantine, sorted.
hone_status hone_store_each_writer(hone_store *store, hone_status (*each)(void *user, const hone_writer_facts *facts), void *user);

typedef struct hone_ruling {
    hone_id id, target;
    const char *writer, *verb, *reason;
    int64_t sequence, made_unix_ms;
} hone_ruling;

// All rulings, by time of making.
hone_status hone_store_each_ruling(hone_store *store, hone_status (*each)(void *user, const hone_ruling *ruling), void *user);

#endif
