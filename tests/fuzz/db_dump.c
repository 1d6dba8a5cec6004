// SPDX-License-Identifier: Apache-2.0
// Dumps from anywhere: refused as a whole, or loaded so that they dump and load again as the same.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "db/store_priv.h"

static hone_status append(void *user, const char *data, size_t size)
{
    hone_text_append(user, data, size);
    return HONE_OK;
}

static void take_dump(hone_store *store, hone_text *text)
{
    hone_text_init(text);
    HONE_ASSERT(hone_store_dump(store, 0, append, text) == HONE_OK && !text->failed);
}

static void make_store(hone_store **store)
{
    HONE_ASSERT(hone_store_open_memory("fuzz", store) == HONE_OK);
    HONE_ASSERT(hone_schema_open(*store) == HONE_OK);
}

static void load_again(const hone_text *first)
{
    hone_store *store;
    hone_text second;
    int64_t added;
    make_store(&store);
    HONE_ASSERT(hone_store_load(store, hone_text_get(first), first->size, &added) == HONE_OK);
    take_dump(store, &second);
    HONE_ASSERT(second.size == first->size && !memcmp(hone_text_get(&second), hone_text_get(first), second.size));
    hone_text_clear(&second);
    hone_store_close(store);
}

static void try_dump(const char *data, size_t size)
{
    hone_store *store;
    hone_text text;
    int64_t added;
    make_store(&store);
    if (hone_store_load(store, data, size, &added) == HONE_OK) {
        HONE_ASSERT(hone_store_check(store, NULL) == HONE_OK);
        take_dump(store, &text);
        load_again(&text);
        hone_text_clear(&text);
    }
    hone_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    hone_text open_ended;      // the same without the digest, which a mutation never meets
    hone_text_init(&open_ended);
    try_dump((const char *)data, size_bytes);
    hone_text_append(&open_ended, (const char *)data, size_bytes);
    hone_text_printf(&open_ended, "%send\t-\n", size_bytes && data[size_bytes - 1] == '\n' ? "" : "\n");
    try_dump(hone_text_get(&open_ended), open_ended.size);
    hone_text_clear(&open_ended);
    return 0;
}
