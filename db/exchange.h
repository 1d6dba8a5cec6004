// SPDX-License-Identifier: Apache-2.0
// The other end of a hub, and the exchange through an object store. What travels are signed batches (db/batch.h); only what the other side
// lacks travels, each batch is kept as soon as it is there, and again is once: what was broken off goes on where it was.
#ifndef HONE_DB_EXCHANGE_H
#define HONE_DB_EXCHANGE_H

#include "db/batch.h"
#include "db/key.h"
#include "db/store.h"

typedef struct hone_remote hone_remote;          // a connection; belongs to one thread

typedef struct hone_remote_options {
    const char *url;               // https://HOST[:PORT][/PREFIX]; http for this machine; file:///DIR and s3://BUCKET/PREFIX for stores
    const char *token_file;        // NULL: $HONE_HUB_TOKEN, if any
    const char *ca_file;           // certificates in PEM; NULL the system's
} hone_remote_options;

hone_status hone_remote_open(const hone_remote_options *options, hone_remote **remote);
void hone_remote_close(hone_remote *remote);     // NULL is legal

typedef struct hone_exchanged {
    int64_t batches, rows;         // that travelled
    int64_t added;                 // rows that were new to who received them
    int64_t quarantined;           // batches set aside there: their writer is not trusted
} hone_exchanged;

// Sends what the store has and the hub lacks. `rulings`: by the operation whose rulings count.
hone_status hone_push(hone_store *store, hone_remote *remote, bool rulings, hone_exchanged *done);
// Takes what the hub has and the store lacks.
hone_status hone_pull(hone_store *store, hone_remote *remote, hone_exchanged *done);

// The device that a word names on the hub. HONE_MISS when it knows none.
hone_status hone_remote_target(hone_remote *remote, const char *word, char device[512]);
// A store in memory that answers every question about these problems on this device (a spelling) as the hub's whole database would, and has its
// snapshot id. `toolchain` is the newest recorded for the device, "" none. May be asked again, to add to the same store.
hone_status hone_remote_evidence(hone_remote *remote, const char *device, bool approximate, const char *const *problems, size_t count,
                                 hone_store **store, char toolchain[512]);

#endif
