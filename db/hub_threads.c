// SPDX-License-Identifier: Apache-2.0
// Answers, and the threads that make them: readers, each with its store.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "db/hub_priv.h"

enum { WAIT_NS = 500000000 };

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
void hone_hub_finish(hone_hub_call *call, int64_t generation, hone_status status, hone_text *out)
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

static void answer_question(hone_hub *hub, hone_store *store, hone_hub_call *call)
{
    hone_text out;
    int64_t generation = atomic_load(&hub->generation);
    hone_text_init(&out);
    call->store = store;
    hone_status status = call->operation->answer(call, &out);
    hone_hub_finish(call, generation, status, &out);
}

void *hone_hub_reader(void *user)
{
    hone_hub *hub = user;
    hone_store *store = open_reader(hub);
    if (!store) return NULL;
    while (!hone_hub_queue_is_over(&hub->questions)) {
        hone_hub_call *call = hone_hub_queue_take(&hub->questions, 1, WAIT_NS);
        if (call) answer_question(hub, store, call);
    }
    hone_store_close(store);
    return NULL;
}
