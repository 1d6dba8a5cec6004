// SPDX-License-Identifier: Apache-2.0
// Answers in memory: a table of chains for finding, a list by use for forgetting. What keeps a lookup quick while others upload: an answer
// that a commit may have made old is sent on for at most a second, while a reader makes it anew (four times a second at most, whatever is committed).
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "db/hub_priv.h"

enum { CHAINS = 1 << 14, ENTRY_BYTES = 512 };

typedef struct remembered {
    struct remembered *next;             // of its chain
    struct remembered *older, *newer;    // by use
    char *key;
    size_t chain, bytes;
    int64_t generation, made_ns;
    bool renewing;
    hone_http_reply *reply;
} remembered;

struct hone_cache {
    pthread_mutex_t mutex;
    remembered *chains[CHAINS];
    remembered *oldest, *newest;
    size_t bytes, bytes_max;
};

static size_t chain_of(const char *key)
{
    uint64_t h = 1469598103934665603u;       // FNV-1a: in memory only
    for (; *key; key++) h = (h ^ (unsigned char)*key) * 1099511628211u;
    return (h ^ h >> 32) % CHAINS;
}

hone_cache *hone_cache_new(size_t bytes_max)
{
    hone_cache *cache = hone_calloc(1, sizeof *cache);
    if (!cache) return NULL;
    pthread_mutex_init(&cache->mutex, NULL);
    cache->bytes_max = bytes_max;
    return cache;
}

static void unlink_use(hone_cache *cache, remembered *at)
{
    *(at->older ? &at->older->newer : &cache->oldest) = at->newer;
    *(at->newer ? &at->newer->older : &cache->newest) = at->older;
    at->older = at->newer = NULL;
}

static void link_use(hone_cache *cache, remembered *at)
{
    at->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = at;
    cache->newest = at;
}

static void forget(hone_cache *cache, remembered *at)
{
    remembered **link = &cache->chains[at->chain];
    while (*link != at) link = &(*link)->next;
    *link = at->next;
    unlink_use(cache, at);
    cache->bytes -= at->bytes;
    hone_http_reply_free(at->reply);
    hone_free(at->key);
    hone_free(at);
}

void hone_cache_free(hone_cache *cache)
{
    if (!cache) return;
    while (cache->oldest) forget(cache, cache->oldest);
    pthread_mutex_destroy(&cache->mutex);
    hone_free(cache);
}

static remembered *find(hone_cache *cache, size_t chain, const char *key)
{
    remembered *at = cache->chains[chain];
    while (at && strcmp(at->key, key)) at = at->next;
    return at;
}

hone_http_reply *hone_cache_find(hone_cache *cache, const char *key, int64_t generation, bool exact, bool *renew)
{
    size_t chain = chain_of(key);
    hone_http_reply *reply = NULL;
    *renew = false;
    pthread_mutex_lock(&cache->mutex);
    remembered *at = find(cache, chain, key);
    bool fresh = at && at->generation == generation;
    if (fresh || (at && !exact && hone_clock_ns() - at->made_ns < HONE_CACHE_STALE_NS)) {
        *renew = !fresh && !at->renewing && hone_clock_ns() - at->made_ns > HONE_CACHE_STALE_NS / 4;
        at->renewing |= *renew;
        unlink_use(cache, at);
        link_use(cache, at);
        reply = hone_http_reply_keep(at->reply);
    }
    pthread_mutex_unlock(&cache->mutex);
    return reply;
}

static remembered *new_entry(const char *key, size_t chain)
{
    remembered *made = hone_calloc(1, sizeof *made);
    if (!made || !(made->key = hone_strdup(key))) {
        hone_free(made);
        return NULL;
    }
    made->chain = chain;
    return made;
}

void hone_cache_put(hone_cache *cache, const char *key, int64_t generation, hone_http_reply *reply)
{
    size_t chain = chain_of(key), bytes = strlen(key) + hone_http_reply_bytes(reply) + ENTRY_BYTES;
    if (bytes > cache->bytes_max / 8) return;
    pthread_mutex_lock(&cache->mutex);
    remembered *before = find(cache, chain, key);
    if (before) forget(cache, before);
    remembered *made = new_entry(key, chain);       // without memory it is made again next time
    if (made) {
        made->bytes = bytes;
        made->generation = generation;
        made->made_ns = hone_clock_ns();
        made->reply = hone_http_reply_keep(reply);
        made->next = cache->chains[chain];
        cache->chains[chain] = made;
        link_use(cache, made);
        cache->bytes += bytes;
        while (cache->bytes > cache->bytes_max) forget(cache, cache->oldest);
    }
    pthread_mutex_unlock(&cache->mutex);
}

size_t hone_cache_bytes(hone_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    size_t bytes = cache->bytes;
    pthread_mutex_unlock(&cache->mutex);
    return bytes;
}
