// SPDX-License-Identifier: Apache-2.0
// The key by which a writer signs what it sends: Ed25519, kept as "hone-key 1 SEED" in a file of its own that nobody else may read.
// The public half, in hex, is the `writer` of its runs. Two machines with one key would both be "the next batch of this
// writer": a copied data folder needs a key of its own (remove writer.key; the next use makes one).
#ifndef HONE_DB_KEY_H
#define HONE_DB_KEY_H

#include "base/hash.h"
#include "base/status.h"

typedef struct hone_key {
    hone_id public_key;
    hone_secret secret;
    char writer[HONE_ID_TEXT];       // the public key in hex
} hone_key;

// Reads the key of a file, made with mode 0600 on first use; path NULL: writer.key in the user's data folder. Of two processes that make it
// at once both get the same. HONE_USAGE when others may read the file, HONE_DAMAGED when it holds no key.
hone_status hone_key_open(const char *path, hone_key *key);
void hone_key_clear(hone_key *key);    // wipes the secret

#endif
