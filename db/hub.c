// SPDX-License-Identifier: Apache-2.0
// A hub's life, and the way of a request: route, access, memory, queue.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "db/hub_priv.h"
#include "db/inbox_priv.h"

enum { CONNECTIONS_MAX = 4096, IDLE_SECONDS = 30 };

#define BODIES_BYTES_MAX ((int64_t)256 << 20)
#define CACHE_BYTES_MAX ((size_t)64 << 20)
#define BEHIND_NS_MAX 30000000000     // a writer may wait 20 s for its turn

// ---- calls

void hone_hub_call_free(hone_hub_call *call)
{
    if (!call) return;
    for (int k = 0; k < HONE_HUB_PARAMETERS; k++) hone_free(call->values[k]);
    hone_batch_close(call->batch);
    hone_free(call->sentence);
    hone_free(call->key);
    hone_free(call);
}

const char *hone_hub_value(const hone_hub_call *call, const char *name)
{
    for (int k = 0; k < HONE_HUB_PARAMETERS && call->operation->parameters[k].name; k++)
        if (!strcmp(call->operation->parameters[k].name, name)) return call->values[k] ? call->values[k] : "";
    return "";
}

static hone_status take_values(hone_hub_call *call, hone_http_request *request)
{
    const hone_hub_parameter *parameters = call->operation->parameters;
    for (int k = 0; k < HONE_HUB_PARAMETERS && parameters[k].name; k++) {
        const char *value = hone_http_parameter(request, parameters[k].name);
        if (!value && parameters[k].required)
            return hone_fail(HONE_USAGE, "%s wants %s=: %s", call->operation->path, parameters[k].name, parameters[k].what);
        if (value && !(call->values[k] = hone_strdup(value))) return HONE_NO_MEMORY;
    }
    return HONE_OK;
}

// The same question, the same key: the operation and what is given, which holds no control characters.
static char *key_of(const hone_hub_call *call)
{
    hone_text text;
    hone_text_init(&text);
    hone_text_printf(&text, "%s", call->operation->path);
    for (int k = 0; k < HONE_HUB_PARAMETERS; k++) hone_text_printf(&text, "\n%s%s", call->values[k] ? "=" : "", call->values[k] ? call->values[k] : "");
    return hone_text_take(&text);
}

static hone_hub_call *copy_question(const hone_hub_call *call)
{
    hone_hub_call *copy = hone_calloc(1, sizeof *copy);
    if (!copy) return NULL;
    copy->hub = call->hub;
    copy->operation = call->operation;
    copy->key = hone_strdup(call->key);
    bool whole = copy->key != NULL;
    for (int k = 0; k < HONE_HUB_PARAMETERS; k++)
        if (call->values[k]) whole &= (copy->values[k] = hone_strdup(call->values[k])) != NULL;
    if (whole) return copy;
    hone_hub_call_free(copy);
    return NULL;
}

static hone_status make_call(hone_hub *hub, hone_http_request *request, const hone_operation *operation, hone_hub_call **made)
{
    hone_hub_call *call = hone_calloc(1, sizeof *call);
    if (!call) return HONE_NO_MEMORY;
    const char *accepts = hone_http_header(request, "Accept-Encoding");
    call->hub = hub;
    call->operation = operation;
    call->zip = accepts && strstr(accepts, "zstd");
    call->body = hone_http_body(request, &call->body_bytes);
    hone_status status = take_values(call, request);
    if (status == HONE_OK && operation->who == HONE_HUB_REMEMBERED && !(call->key = key_of(call))) status = HONE_NO_MEMORY;
    if (status != HONE_OK) hone_hub_call_free(call);
    else *made = call;
    return status;
}

// ---- access

static hone_http_reply *refuse(int code, const char *sentence)
{
    hone_text body;
    hone_text_init(&body);
    hone_text_printf(&body, "{\"error\":\"%s\"}\n", sentence);
    hone_http_reply *reply = hone_http_reply_new(code, "application/json", &body);
    if (reply && code == 401) hone_http_reply_header(reply, "WWW-Authenticate", "Bearer realm=\"hone\"");
    return reply;
}

// A page of the network that makes a browser ask this machine names its own host.
static bool is_local_host(const char *host)
{
    size_t size = host ? strcspn(host, ":") : 0;
    if (!host) return true;
    return (!strncmp(host, "127.", 4) && strspn(host, "0123456789.") == size) || (size == 9 && !strncasecmp(host, "localhost", 9)) || !strncmp(host, "[::1]", 5);
}

static hone_http_reply *admit_without(hone_hub *hub, hone_http_request *request, hone_scope scope)
{
    if (!hub->is_loopback) return refuse(401, "this hub wants a token: Authorization: Bearer TOKEN");
    if (!is_local_host(hone_http_header(request, "Host"))) return refuse(403, "a hub without tokens answers to its own machine only");
    if (scope == HONE_SCOPE_READ || scope == HONE_SCOPE_MEASURE) return NULL;
    return refuse(401, "this needs a token: `hone hub token add` makes one");
}

static hone_http_reply *admit(hone_hub *hub, hone_http_request *request, hone_scope scope)
{
    const char *given = hone_http_header(request, "Authorization");
    if (scope == HONE_SCOPE_NONE) return NULL;
    if (!hone_tokens_exist(hub->tokens)) return admit_without(hub, request, scope);
    if (!given || strncasecmp(given, "Bearer ", 7)) return refuse(401, "this hub wants a token: Authorization: Bearer TOKEN");
    unsigned scopes = hone_tokens_check(hub->tokens, given + 7);
    if (!scopes) return refuse(401, "the token is unknown here, expired or revoked");
    return scopes & (unsigned)scope ? NULL : refuse(403, "the token does not have the scope that this needs");
}

// ---- the way of a request

static const hone_operation *route(hone_http_request *request, bool *known_path)
{
    const char *method = hone_http_method(request), *path = hone_http_path(request);
    if (!strcmp(method, "HEAD")) method = "GET";
    *known_path = false;
    for (int k = 0; k < hone_operation_count; k++) {
        if (strcmp(hone_operations[k].path, path)) continue;
        *known_path = true;
        if (!strcmp(hone_operations[k].method, method)) return &hone_operations[k];
    }
    return NULL;
}

static bool insists(hone_http_request *request)
{
    const char *control = hone_http_header(request, "Cache-Control");
    return control && strstr(control, "no-cache");
}

static hone_http_reply *recall(hone_hub *hub, hone_http_request *request, hone_hub_call *call)
{
    bool renew;
    hone_http_reply *reply = hone_cache_find(hub->cache, call->key, atomic_load(&hub->generation), insists(request), &renew);
    atomic_fetch_add(reply ? &hub->hits : &hub->misses, 1);
    hone_hub_call *copy = renew ? copy_question(call) : NULL;
    if (copy && !hone_hub_queue_put(&hub->questions, copy, true, false)) hone_hub_call_free(copy);
    return reply;
}

// What has been acknowledged and is not in the tables yet has to get there before this is answered.
static bool must_settle(hone_hub *hub, hone_http_request *request, const hone_operation *operation)
{
    if (!hub->inbox || !hone_inbox_bytes(hub->inbox)) return false;
    return operation->who == HONE_HUB_SETTLED || (operation->who == HONE_HUB_REMEMBERED && insists(request));
}

static hone_http_reply *refuse_for_now(int code, const char *sentence)
{
    hone_http_reply *reply = refuse(code, sentence);
    if (reply) hone_http_reply_header(reply, "Retry-After", "1");
    return reply;
}

static hone_http_reply *busy(hone_hub *hub)
{
    atomic_fetch_add(&hub->refused, 1);
    return refuse_for_now(429, "the hub is busy: try again later");
}

// What a hub cannot compare with PostgreSQL any more, it does not tell: neither rows nor who may read them.
bool hone_hub_is_behind(hone_hub *hub)
{
    return hone_store_is_shared(hub->store) && (hone_tokens_are_old(hub->tokens) || hone_clock_ns() - atomic_load(&hub->seen_ns) > BEHIND_NS_MAX);
}

static hone_http_reply *dispatch(hone_hub *hub, hone_http_request *request, const hone_operation *operation)
{
    hone_hub_call *call = NULL;
    hone_http_reply *reply = NULL;
    hone_hub_queue *queue = operation->who == HONE_HUB_WRITER ? &hub->uploads : must_settle(hub, request, operation) ? &hub->batches : &hub->questions;
    hone_status status = make_call(hub, request, operation, &call);
    if (status != HONE_OK) return hone_hub_error(status, hone_error_text());
    if (operation->who == HONE_HUB_AT_ONCE) {
        hone_text out;
        hone_text_init(&out);
        status = operation->answer(call, &out);
        reply = hone_hub_reply(call, status, &out);
    } else if (operation->who == HONE_HUB_REMEMBERED && queue == &hub->questions) {
        reply = recall(hub, request, call);
    }
    if (!reply && hone_hub_queue_count(queue) >= HONE_HUB_JOBS_MAX) reply = busy(hub);
    if (reply) {
        hone_hub_call_free(call);
        return reply;
    }
    call->request = request;
    hone_http_wait(request);
    if (!hone_hub_queue_put(queue, call, true, false)) {
        hone_http_answer(request, busy(hub));
        hone_hub_call_free(call);
    }
    return NULL;
}

static hone_http_reply *answer(void *user, hone_http_request *request, bool is_whole)
{
    hone_hub *hub = user;
    bool known_path;
    const hone_operation *operation = is_whole ? *hone_http_note(request) : route(request, &known_path);
    if (is_whole) return dispatch(hub, request, operation);
    if (!operation) return known_path ? refuse(405, "there is no such method here: see /openapi.json") : refuse(404, "there is nothing here: see /openapi.json");
    *hone_http_note(request) = (void *)operation;
    if (operation->who != HONE_HUB_AT_ONCE && hone_hub_is_behind(hub)) return refuse_for_now(503, "the hub has lost touch with PostgreSQL: try again later");
    return admit(hub, request, operation->scope);
}

static void sent(void *user, hone_http_request *request, int code, int64_t duration_ns)
{
    const hone_operation *operation = *hone_http_note(request);
    hone_hub_count(user, operation ? (int)(operation - hone_operations) : hone_operation_count, code, duration_ns);
}

// ---- life

static hone_status check_access(hone_hub *hub)
{
    const char *at = hub->options.listen;
    if (hub->is_loopback) return HONE_OK;
    if (!hone_tokens_exist(hub->tokens))
        return hone_fail(HONE_USAGE, "--listen %s is open to others and %s has no tokens: `hone hub token add` makes one", at, hone_store_path(hub->store));
    if (!hub->options.behind_proxy)
        return hone_fail(HONE_USAGE, "--listen %s is open to others and speaks plain HTTP: put a proxy that speaks TLS before it and say --behind-proxy", at);
    return HONE_OK;
}

static hone_status start_threads(hone_hub *hub)
{
    for (int k = 0; k < HONE_HUB_READERS; k++, hub->readers_started++)
        if (pthread_create(&hub->readers[k], NULL, hone_hub_reader, hub)) return hone_fail(HONE_NO_MEMORY, "no more threads can be made");
    if (pthread_create(&hub->writer, NULL, hone_hub_writer, hub)) return hone_fail(HONE_NO_MEMORY, "no more threads can be made");
    hub->writer_started = true;
    if (pthread_create(&hub->taker, NULL, hone_hub_taker, hub)) return hone_fail(HONE_NO_MEMORY, "no more threads can be made");
    hub->taker_started = true;
    while (atomic_load(&hub->threads_ready) + atomic_load(&hub->threads_failed) < HONE_HUB_READERS + 1) hone_sleep_ns(1000000);
    return atomic_load(&hub->threads_failed) ? hone_fail(HONE_IO, "%s", hub->failure ? hub->failure : "a thread of the hub could not start") : HONE_OK;
}

static hone_hub *new_hub(const hone_hub_options *options)
{
    hone_hub *hub = hone_calloc(1, sizeof *hub);
    if (!hub) return NULL;
    hone_hub_queue_init(&hub->questions);
    hone_hub_queue_init(&hub->uploads);
    hone_hub_queue_init(&hub->batches);
    pthread_mutex_init(&hub->snapshot_mutex, NULL);
    pthread_mutex_init(&hub->target_mutex, NULL);
    hub->snapshot_generation = -1;
    hub->start_unix_ms = hone_clock_unix_ms();
    hub->options = *options;
    hub->options.db = hone_strdup(options->db);
    hub->options.listen = hone_strdup(options->listen);
    hub->is_loopback = hone_http_is_loopback(options->listen);
    hub->cache = hone_cache_new(CACHE_BYTES_MAX);
    return hub;
}

// Over PostgreSQL a commit costs the hub no disk of its own.
static hone_status open_inbox(hone_hub *hub)
{
    if (hone_store_is_shared(hub->store)) return HONE_OK;
    hone_status status = hone_inbox_open(hub->options.db, &hub->inbox);
    if (status == HONE_OK) status = hone_ledger_new(&hub->ledger);
    return status == HONE_OK ? hone_ledger_follow(hub->ledger, hub->store) : status;
}

hone_status hone_hub_start(const hone_hub_options *options, hone_hub **made)
{
    hone_hub *hub = new_hub(options);
    hone_status status = hub && hub->cache && hub->options.db && hub->options.listen ? HONE_OK : HONE_NO_MEMORY;
    if (status != HONE_OK) goto out;
    HONE_TRY(hone_store_open(options->db, HONE_STORE_CREATE, &hub->store));
    HONE_TRY(hone_store_keep_journal(hub->store));
    atomic_store(&hub->seen_ns, hone_clock_ns());
    HONE_TRY(hone_tokens_open(options->db, &hub->tokens));
    HONE_TRY(check_access(hub));
    HONE_TRY(open_inbox(hub));
    HONE_TRY(start_threads(hub));
    const hone_http_options http = {
        .listen = options->listen, .connections_max = CONNECTIONS_MAX, .idle_seconds = IDLE_SECONDS, .bodies_max_bytes = BODIES_BYTES_MAX,
        .answer = answer, .sent = sent, .user = hub,
    };
    HONE_TRY(hone_http_serve(&http, &hub->server));
    *made = hub;
    return HONE_OK;
out:
    hone_hub_stop(hub);
    return status;
}

int hone_hub_port(const hone_hub *hub) { return hone_http_port(hub->server); }
bool hone_hub_asks_for_tokens(hone_hub *hub) { return hone_tokens_exist(hub->tokens); }

// The readers last: what waits for the inbox still goes to them.
void hone_hub_stop(hone_hub *hub)
{
    if (!hub) return;
    if (hub->server) hone_http_quiesce(hub->server);
    hone_hub_queue_close(&hub->uploads);
    if (hub->taker_started) pthread_join(hub->taker, NULL);
    hone_hub_queue_close(&hub->batches);
    if (hub->writer_started) pthread_join(hub->writer, NULL);
    hone_hub_queue_close(&hub->questions);
    for (int k = 0; k < hub->readers_started; k++) pthread_join(hub->readers[k], NULL);
    hone_http_stop(hub->server);
    hone_cache_free(hub->cache);
    hone_tokens_close(hub->tokens);
    hone_ledger_free(hub->ledger);
    hone_inbox_close(hub->inbox);
    hone_store_close(hub->store);
    hone_free((void *)hub->options.db);
    hone_free((void *)hub->options.listen);
    hone_free(hub->failure);
    hone_free(hub);
}
