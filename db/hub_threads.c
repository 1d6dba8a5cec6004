// SPDX-License-Identifier: Apache-2.0
// The threads behind HTTP: readers answer questions and open batches (the expensive part, which touches no store), one writer puts what
// was opened into the database. A commit costs some syncs of the disk whatever it holds, so the writer takes all that waits.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "db/hub_priv.h"

enum { GROUP_MAX = 16, WAIT_NS = 500000000, WAIT_SHARED_NS = 50000000 };

// ---- answers

static const struct { hone_status status; int code; } codes[] = {
    {HONE_OK, 200}, {HONE_USAGE, 400}, {HONE_MISS, 404}, {HONE_AGAIN, 503}, {HONE_NO_MEMORY, 503},
};

hone_http_reply *hone_hub_error(hone_status status, const char *sentence)
{
    hone_text body;
    hone_json json;
    int code = 500;
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++)
        if (codes[k].status == status) code = codes[k].code;
    hone_text_init(&body);
    hone_json_init(&json, &body);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "error", sentence);
    hone_json_close(&json, '}');
    hone_http_reply *reply = hone_http_reply_new(code, "application/json", &body);
    if (reply && code == 503) hone_http_reply_header(reply, "Retry-After", "1");
    return reply;
}

hone_http_reply *hone_hub_reply(const hone_hub_call *call, hone_status status, hone_text *out)
{
    if (status == HONE_OK) status = hone_text_status(out);
    if (status != HONE_OK) {
        hone_text_clear(out);
        return hone_hub_error(status, hone_error_text());
    }
    hone_http_reply *reply = hone_http_reply_new(200, call->operation->type, out);
    if (reply && call->zipped) hone_http_reply_header(reply, "Content-Encoding", "zstd");
    return reply;
}

// `generation` is what the database was at least at before the question was put to it.
static void finish(hone_hub_call *call, int64_t generation, hone_status status, hone_text *out)
{
    hone_http_reply *reply = hone_hub_reply(call, status, out);
    if (reply && call->key && status == HONE_OK) hone_cache_put(call->hub->cache, call->key, generation, reply);
    if (call->request) hone_http_answer(call->request, reply);
    else hone_http_reply_free(reply);
    hone_hub_call_free(call);
}

hone_status hone_hub_snapshot(hone_hub *hub, hone_store *store, hone_id *id)
{
    int64_t generation = atomic_load(&hub->generation);
    pthread_mutex_lock(&hub->snapshot_mutex);
    bool known = hub->snapshot_generation == generation;
    *id = hub->snapshot;
    pthread_mutex_unlock(&hub->snapshot_mutex);
    if (known) return HONE_OK;
    hone_status status = hone_store_snapshot(store, id);
    if (status != HONE_OK) return status;
    pthread_mutex_lock(&hub->snapshot_mutex);
    hub->snapshot = *id;
    hub->snapshot_generation = generation;
    pthread_mutex_unlock(&hub->snapshot_mutex);
    return HONE_OK;
}

// ---- beginnings

static hone_store *open_reader(hone_hub *hub)
{
    hone_store *store = NULL;
    if (hone_store_open_again(hub->store, &store) == HONE_OK) {
        atomic_fetch_add(&hub->threads_ready, 1);
        return store;
    }
    pthread_mutex_lock(&hub->questions.mutex);
    if (!hub->failure) hub->failure = hone_strdup(hone_error_text());
    pthread_mutex_unlock(&hub->questions.mutex);
    atomic_fetch_add(&hub->threads_failed, 1);
    return NULL;
}

// ---- readers

static void open_batch(hone_hub_call *call)
{
    hone_text none;
    hone_text_init(&none);
    hone_status status = hone_batch_open(call->body, call->body_bytes, &call->batch);
    if (status == HONE_OK && hone_hub_queue_put(&call->hub->batches, call, false, true)) return;
    finish(call, 0, status == HONE_DAMAGED ? HONE_USAGE : status, &none);
}

static void answer_question(hone_hub *hub, hone_store *store, hone_hub_call *call)
{
    hone_text out;
    int64_t generation = atomic_load(&hub->generation);
    hone_text_init(&out);
    call->store = store;
    hone_status status = call->operation->answer(call, &out);
    finish(call, generation, status, &out);
}

void *hone_hub_reader(void *user)
{
    hone_hub *hub = user;
    hone_store *store = open_reader(hub);
    if (!store) return NULL;
    while (!hone_hub_queue_is_over(&hub->questions)) {
        hone_hub_call *call = hone_hub_queue_take(&hub->questions, 1, WAIT_NS);
        if (call && call->operation->who == HONE_HUB_WRITER) open_batch(call);
        else if (call) answer_question(hub, store, call);
    }
    hone_store_close(store);
    return NULL;
}

// ---- the writer

static void set_status(hone_hub_call *call, hone_status status)
{
    hone_free(call->sentence);
    call->status = status;
    call->sentence = status == HONE_OK ? NULL : hone_strdup(hone_error_text());
    if (status != HONE_OK && !call->sentence) call->status = HONE_NO_MEMORY;
}

static void put(hone_store *store, hone_hub_call *call)
{
    hone_trust most = call->operation->scope == HONE_SCOPE_PROMOTE ? HONE_TRUST_PROMOTE : HONE_TRUST_MEASURE;
    set_status(call, hone_batch_put(store, call->batch, &most, &call->fate, &call->added));
}

// From first up to end, together. A store that cannot be written to now is waited for once: all behind hear the same.
static hone_status put_group(hone_store *store, hone_hub_call *first, const hone_hub_call *end, bool *begun)
{
    hone_status status = hone_store_begin_group(store);
    *begun = status == HONE_OK;
    for (hone_hub_call *at = first; !*begun && at; at = at->next) set_status(at, status);
    for (hone_hub_call *at = first; *begun && at != end; at = at->next) put(store, at);
    return *begun ? hone_store_end_group(store) : status;
}

// When a group fails as a whole, each is tried by itself, so that nobody pays for another.
static void put_all(hone_store *store, hone_hub_call *calls)
{
    bool begun;
    if (put_group(store, calls, NULL, &begun) == HONE_OK) return;
    for (hone_hub_call *at = calls; begun && at; at = at->next) {
        hone_status status = put_group(store, at, at->next, &begun);
        if (begun && at->status == HONE_OK && status != HONE_OK) set_status(at, status);
    }
}

static void account(hone_hub *hub, const hone_hub_call *calls)
{
    for (; calls; calls = calls->next) {
        if (calls->status != HONE_OK) continue;
        atomic_fetch_add(&hub->fates[calls->fate], 1);
        atomic_fetch_add(&hub->rows, calls->added);
    }
    atomic_fetch_add(&hub->commits, 1);
    atomic_fetch_add(&hub->generation, 1);
}

static void acknowledge(hone_hub_call *calls)
{
    for (hone_hub_call *at = calls, *next; at; at = next) {
        hone_text out;
        hone_status status = at->status;
        next = at->next;
        hone_text_init(&out);
        if (status == HONE_OK) status = at->operation->answer(at, &out);
        else status = hone_fail(status, "%s", at->sentence);
        finish(at, 0, status, &out);
    }
}

// Others write too: `hone db merge`, a keeper's ruling, another hub.
static void watch(hone_hub *hub)
{
    bool changed = false;
    if (hone_store_follow(hub->store, &changed) != HONE_OK) return;
    if (changed) atomic_fetch_add(&hub->generation, 1);
    atomic_store(&hub->seen_ns, hone_clock_ns());
}

// Uses the store that was opened for it.
void *hone_hub_writer(void *user)
{
    hone_hub *hub = user;
    int64_t wait_ns = hone_store_is_shared(hub->store) ? WAIT_SHARED_NS : WAIT_NS;
    atomic_fetch_add(&hub->threads_ready, 1);
    while (!hone_hub_queue_is_over(&hub->batches)) {
        hone_hub_call *calls = hone_hub_queue_take(&hub->batches, GROUP_MAX, wait_ns);
        watch(hub);
        if (!calls) continue;
        put_all(hub->store, calls);
        account(hub, calls);
        acknowledge(calls);
    }
    return NULL;
}
