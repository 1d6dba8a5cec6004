// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <sodium.h>
#include <string.h>

#include "base/status.h"

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(((hone_hash *)0)->state), "the state must fit");
_Static_assert(sizeof(hone_id) == crypto_sign_SEEDBYTES && sizeof(hone_id) == crypto_sign_PUBLICKEYBYTES, "keys look like ids");
_Static_assert(sizeof(hone_secret) == crypto_sign_SECRETKEYBYTES && sizeof(hone_signature) == crypto_sign_BYTES, "sizes of Ed25519");
_Static_assert(_Alignof(crypto_generichash_state) <= 64, "the state must be aligned");

static crypto_generichash_state *state_of(hone_hash *hash)
{
    return (crypto_generichash_state *)(void *)hash->state;
}

static void start(void)
{
    int started = sodium_init();       // thread-safe, cheap when done before
    HONE_ASSERT(started >= 0);
}

void hone_hash_init(hone_hash *hash)
{
    start();
    crypto_generichash_init(state_of(hash), NULL, 0, sizeof(hone_id));
}

void hone_hash_add(hone_hash *hash, const void *data, size_t size_bytes)
{
    crypto_generichash_update(state_of(hash), data, size_bytes);
}

void hone_hash_add_text(hone_hash *hash, const char *text)
{
    hone_hash_add(hash, text, strlen(text) + 1);
}

void hone_hash_end(hone_hash *hash, hone_id *id)
{
    crypto_generichash_final(state_of(hash), id->bytes, sizeof id->bytes);
}

void hone_hash_once(const void *data, size_t size_bytes, hone_id *id)
{
    hone_hash hash;
    hone_hash_init(&hash);
    hone_hash_add(&hash, data, size_bytes);
    hone_hash_end(&hash, id);
}

void hone_sha256(const void *data, size_t size_bytes, hone_id *digest)
{
    crypto_hash_sha256(digest->bytes, data, size_bytes);
}

void hone_id_print(const hone_id *id, char text[HONE_ID_TEXT])
{
    for (int i = 0; i < 32; i++) {
        text[2 * i] = "0123456789abcdef"[id->bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[id->bytes[i] & 15];
    }
    text[64] = 0;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hone_id_parse(const char *text, hone_id *id)
{
    hone_id read;
    for (int i = 0; i < 32; i++) {
        int high = digit_of(text[2 * i]);
        int low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
        if (low < 0) return false;
        read.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (text[64]) return false;
    *id = read;
    return true;
}

bool hone_id_equal(const hone_id *a, const hone_id *b)
{
    return !memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

// ---- signatures

void hone_seed_new(hone_id *seed)
{
    start();
    randombytes_buf(seed->bytes, sizeof seed->bytes);
}

void hone_key_from(const hone_id *seed, hone_id *public_key, hone_secret *secret)
{
    start();
    crypto_sign_seed_keypair(public_key->bytes, secret->bytes, seed->bytes);
}

void hone_sign(const hone_secret *secret, const void *data, size_t size_bytes, hone_signature *signature)
{
    start();
    crypto_sign_detached(signature->bytes, NULL, data, size_bytes, secret->bytes);
}

bool hone_sign_check(const hone_id *public_key, const void *data, size_t size_bytes, const hone_signature *signature)
{
    start();
    return !crypto_sign_verify_detached(signature->bytes, data, size_bytes, public_key->bytes);
}

void hone_wipe(void *memory, size_t size_bytes)
{
    sodium_memzero(memory, size_bytes);
}
