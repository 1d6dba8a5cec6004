// SPDX-License-Identifier: Apache-2.0
// What becomes of a batch. The taker opens it (the expensive part, which touches no store). One that plainly adds rows is acknowledged when it is in the
// inbox (inbox_priv.h), which is one sync of the disk; the writer folds the inbox into the tables behind that, much of it at once. All else (a writer who
// is not trusted, rulings, an inbox that is full), and all over PostgreSQL, waits until the writer has put it into the tables.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "db/hub_priv.h"
#include "db/inbox_priv.h"

enum { GROUP_MAX = 16, WAIT_NS = 500000000, WAIT_SHORT_NS = 50000000 };

// ---- the ends of a put

static void set_status(hone_hub_call *call, hone_status status)
{
    hone_free(call->sentence);
    call->status = status;
    call->sentence = status == HONE_OK ? NULL : hone_strdup(hone_error_text());
    if (status != HONE_OK && !call->sentence) call->status = HONE_NO_MEMORY;
}

static void acknowledge(hone_hub_call *call)
{
    hone_text out;
    hone_status status = call->status;
    hone_text_init(&out);
    if (status == HONE_OK) atomic_fetch_add(&call->hub->fates[call->fate], 1);
    if (status == HONE_OK) status = call->operation->answer(call, &out);
    else status = hone_fail(status, "%s", call->sentence ? call->sentence : "no memory is left");
    hone_hub_finish(call, 0, status, &out);
}

// No token makes more of a batch than its writer may.
static hone_trust most_of(const hone_hub_call *call)
{
    return call->operation->scope == HONE_SCOPE_PROMOTE ? HONE_TRUST_PROMOTE : HONE_TRUST_MEASURE;
}

// ---- the taker

typedef struct group {               // goes to the inbox together
    hone_hub_call *calls[GROUP_MAX];
    const hone_batch *batches[GROUP_MAX];
    size_t count;
} group;

static bool open_batch(hone_hub_call *call)
{
    hone_status status = hone_batch_open(call->body, call->body_bytes, &call->batch);
    if (status == HONE_OK) return true;
    set_status(call, status == HONE_DAMAGED ? HONE_USAGE : status);
    acknowledge(call);
    return false;
}

static bool is_of_group(const group *to, const hone_batch *batch)
{
    for (size_t k = 0; k < to->count; k++)
        if (hone_batch_sequence(to->batches[k]) == hone_batch_sequence(batch) && !strcmp(hone_batch_writer(to->batches[k]), hone_batch_writer(batch))) return true;
    return false;
}

static void put_group(hone_hub *hub, group *to)
{
    if (!to->count) return;
    hone_status status = hone_inbox_append(hub->inbox, to->batches, to->count);
    for (size_t k = 0; k < to->count && status == HONE_OK; k++) status = hone_ledger_note(hub->ledger, to->batches[k]);
    for (size_t k = 0; k < to->count; k++) {
        if (status == HONE_OK) acknowledge(to->calls[k]);
        else hone_hub_queue_put(&hub->batches, to->calls[k], false, true);      // the tables may take what the inbox does not
    }
    to->count = 0;
}

static void take(hone_hub *hub, hone_hub_call *call, group *to)
{
    const hone_trust most = most_of(call);
    if (!open_batch(call)) return;
    bool direct = !hub->inbox || hone_batch_rules(call->batch) || hone_inbox_bytes(hub->inbox) > HONE_INBOX_BYTES_MAX;
    if (!direct && is_of_group(to, call->batch)) put_group(hub, to);
    if (!direct) set_status(call, hone_ledger_judge(hub->ledger, call->batch, &most, &call->fate));
    if (direct || (call->status == HONE_OK && call->fate == HONE_BATCH_QUARANTINED)) hone_hub_queue_put(&hub->batches, call, false, true);
    else if (call->status != HONE_OK || call->fate == HONE_BATCH_KNOWN) acknowledge(call);
    else to->calls[to->count] = call, to->batches[to->count++] = call->batch;
}

void *hone_hub_taker(void *user)
{
    hone_hub *hub = user;
    group to = {.count = 0};
    while (!hone_hub_queue_is_over(&hub->uploads)) {
        for (hone_hub_call *call = hone_hub_queue_take(&hub->uploads, GROUP_MAX, WAIT_NS), *next; call; call = next) {
            next = call->next;
            take(hub, call, &to);
        }
        put_group(hub, &to);
    }
    return NULL;
}

// ---- the writer: into the tables

static void put(hone_store *store, hone_hub_call *call)
{
    const hone_trust most = most_of(call);
    set_status(call, hone_batch_put(store, call->batch, &most, &call->fate, &call->added));
}

// From first up to end, together. A store that cannot be written to now is waited for once: all behind hear the same.
static hone_status put_some(hone_store *store, hone_hub_call *first, const hone_hub_call *end, bool *begun)
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
    if (put_some(store, calls, NULL, &begun) == HONE_OK) return;
    for (hone_hub_call *at = calls; begun && at; at = at->next) {
        hone_status status = put_some(store, at, at->next, &begun);
        if (begun && at->status == HONE_OK && status != HONE_OK) set_status(at, status);
    }
}

// The database is another one now, for the ledger too.
static void move_on(hone_hub *hub)
{
    atomic_fetch_add(&hub->generation, 1);
    if (hub->ledger) hone_ledger_follow(hub->ledger, hub->store);       // what it misses now it gets the next time, and the tables decide till then
}

static void put_batches(hone_hub *hub, hone_hub_call *calls)
{
    if (!calls) return;
    put_all(hub->store, calls);
    for (hone_hub_call *at = calls; at; at = at->next)
        if (at->status == HONE_OK) atomic_fetch_add(&hub->rows, at->added);
    atomic_fetch_add(&hub->commits, 1);
    move_on(hub);
    for (hone_hub_call *at = calls, *next; at; at = next) {
        next = at->next;
        acknowledge(at);
    }
}

// Others write too: `hone db merge`, a keeper's ruling, another hub.
static void watch(hone_hub *hub)
{
    bool changed = false;
    if (hone_store_follow(hub->store, &changed) != HONE_OK) return;
    if (changed) move_on(hub);
    atomic_store(&hub->seen_ns, hone_clock_ns());
}

// ---- the writer: the inbox

// A fold writes each page of an index of random ids that it touches, and the larger it is, the more rows share a page: 2 KB a row for 120,000 rows among
// 2 million, 8.6 KB for 8,000. So under load the writer rests three times as long as the last fold took, and what comes meanwhile becomes the next one; a
// quiet hub folds at once. Seldom enough for the disk, often enough for those who look.
enum { RESTS = 3 };
#define REST_NS_MAX 10000000000

static hone_status fold(hone_hub *hub)
{
    int64_t start_ns = hone_clock_ns(), rows = 0;
    if (!hub->inbox || !hone_inbox_bytes(hub->inbox)) return HONE_OK;
    hone_status status = hone_inbox_fold(hub->inbox, hub->store, &rows);
    int64_t end_ns = hone_clock_ns(), rest_ns = RESTS * (end_ns - start_ns);
    hub->fold_due_ns = end_ns + (rest_ns < REST_NS_MAX ? rest_ns : REST_NS_MAX);
    if (status != HONE_OK) return status;
    atomic_fetch_add(&hub->rows, rows);
    atomic_fetch_add(&hub->commits, 1);
    atomic_fetch_add(&hub->generation, 1);
    return HONE_OK;
}

// A question that must see what the inbox held goes on to a reader. Returns the batches among the calls.
static hone_hub_call *pass_questions(hone_hub *hub, hone_hub_call *calls, hone_status folded)
{
    hone_hub_call *batches = NULL, **end = &batches;
    for (hone_hub_call *at = calls, *next; at; at = next) {
        next = at->next;
        at->next = NULL;
        if (at->operation->who == HONE_HUB_WRITER) {
            *end = at;
            end = &at->next;
        } else if (folded == HONE_OK) {
            hone_hub_queue_put(&hub->questions, at, true, true);
        } else {
            set_status(at, folded);
            acknowledge(at);
        }
    }
    return batches;
}

// Uses the store that was opened for it.
void *hone_hub_writer(void *user)
{
    hone_hub *hub = user;
    int64_t wait_ns = hone_store_is_shared(hub->store) || hub->inbox ? WAIT_SHORT_NS : WAIT_NS;
    atomic_fetch_add(&hub->threads_ready, 1);
    while (!hone_hub_queue_is_over(&hub->batches)) {
        hone_hub_call *calls = hone_hub_queue_take(&hub->batches, GROUP_MAX, wait_ns);
        watch(hub);
        hone_status folded = calls || hone_clock_ns() > hub->fold_due_ns ? fold(hub) : HONE_OK;
        put_batches(hub, pass_questions(hub, calls, folded));
    }
    fold(hub);
    return NULL;
}
