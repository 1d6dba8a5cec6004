// SPDX-License-Identifier: Apache-2.0
// Content ids, BLAKE2b-256, and signatures, Ed25519 (libsodium, fenced to hash.c). An id hashes spellings and values, never
// row numbers. A public key has the form of an id, and is written like one.
#ifndef HONE_BASE_HASH_H
#define HONE_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_id {
    uint8_t bytes[32];
} hone_id;

#define HONE_ID_TEXT 65     // hex digits and the NUL

typedef struct hone_hash {
    _Alignas(64) unsigned char state[384];
} hone_hash;

void hone_hash_init(hone_hash *hash);
void hone_hash_add(hone_hash *hash, const void *data, size_t size_bytes);
void hone_hash_add_text(hone_hash *hash, const char *text);      // with its NUL, so that fields cannot run together
void hone_hash_end(hone_hash *hash, hone_id *id);
void hone_hash_once(const void *data, size_t size_bytes, hone_id *id);

// SHA-256, where others' protocols want it; never for ids.
void hone_sha256(const void *data, size_t size_bytes, hone_id *digest);

void hone_id_print(const hone_id *id, char text[HONE_ID_TEXT]);  // lower-case hex
bool hone_id_parse(const char *text, hone_id *id);               // exactly 64 hex digits
bool hone_id_equal(const hone_id *a, const hone_id *b);

typedef struct hone_secret {
    uint8_t bytes[64];
} hone_secret;

typedef struct hone_signature {
    uint8_t bytes[64];
} hone_signature;

void hone_seed_new(hone_id *seed);                               // random: what a key is made of
void hone_key_from(const hone_id *seed, hone_id *public_key, hone_secret *secret);
void hone_sign(const hone_secret *secret, const void *data, size_t size_bytes, hone_signature *signature);
bool hone_sign_check(const hone_id *public_key, const void *data, size_t size_bytes, const hone_signature *signature);
void hone_wipe(void *memory, size_t size_bytes);                 // clears it for good, whatever the compiler thinks of it

#endif
