// SPDX-License-Identifier: Apache-2.0
// Inside of a hub. An operation is a line of hone_operations: how it is asked, who may, which thread answers, what it says. Routing, the
// OpenAPI description, access and metrics are written once, over that table.
#ifndef HONE_DB_HUB_PRIV_H
#define HONE_DB_HUB_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "db/batch.h"
#include "db/http_server.h"
#include "db/hub.h"
#include "db/hub_token.h"
#include "db/store.h"

enum { HONE_HUB_PARAMETERS = 5, HONE_HUB_READERS = 2, HONE_HUB_JOBS_MAX = 2048, HONE_HUB_BUCKETS = 8, HONE_HUB_OPERATIONS_MAX = 32, HONE_HUB_TARGETS = 16 };

typedef enum hone_hub_who {
    HONE_HUB_AT_ONCE,            // the HTTP thread, from memory
    HONE_HUB_READER,             // a reader, with its store
    HONE_HUB_SETTLED,            // a reader, when all that was acknowledged before is in the tables
    HONE_HUB_REMEMBERED,         // a reader, and then from memory for as long as it holds
    HONE_HUB_WRITER              // a batch: opened by the taker, put by it into the inbox or by the writer into the tables
} hone_hub_who;

typedef struct hone_hub_parameter {
    const char *name, *what;
    bool required;
} hone_hub_parameter;

typedef struct hone_hub_call hone_hub_call;

typedef struct hone_operation {
    const char *method, *path, *name, *what;
    hone_scope scope;
    hone_hub_who who;
    hone_hub_parameter parameters[HONE_HUB_PARAMETERS];
    const char *body, *type;     // content types of the question's body (NULL none) and of the answer
    // The sentence of a failure becomes the answer: HONE_USAGE 400, HONE_MISS 404, HONE_AGAIN 503, others 500.
    hone_status (*answer)(hone_hub_call *call, hone_text *out);
} hone_operation;

extern const hone_operation hone_operations[];
extern const int hone_operation_count;

struct hone_hub_call {           // what is asked, apart from HTTP
    hone_hub *hub;
    const hone_operation *operation;
    hone_store *store;           // of the thread that answers; NULL at once
    char *values[HONE_HUB_PARAMETERS];   // owned; NULL not given
    const void *body;            // borrowed from the request
    size_t body_bytes;
    bool zip;                    // the reader takes zstd
    bool zipped;                 // the answer is: set by the operation
    // of a batch, or of a question that had to wait for the tables
    hone_batch *batch;           // owned
    hone_batch_fate fate;
    int64_t added;
    hone_status status;
    char *sentence;              // owned: of a failed batch
    // the way back
    hone_http_request *request;  // NULL: an answer in memory is renewed
    char *key;                   // owned: under which it is remembered, NULL not
    hone_hub_call *next;
};

typedef struct hone_hub_queue {  // calls that wait; `urgent` ones first
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    hone_hub_call *first[2], **last[2];
    int count;
    bool closed;
} hone_hub_queue;

typedef struct hone_hub_counts {             // of one operation
    atomic_llong codes[6];                   // by hundred; 0: broken off
    atomic_llong within[HONE_HUB_BUCKETS];   // cumulative, by duration
    atomic_llong duration_us;
} hone_hub_counts;

typedef struct hone_hub_target {             // which device a word names, and its newest toolchain
    char word[512], device[512], toolchain[512];
    int64_t generation, made_ns;
} hone_hub_target;

typedef struct hone_cache hone_cache;
typedef struct hone_ledger hone_ledger;
typedef struct hone_inbox hone_inbox;

struct hone_hub {
    hone_hub_options options;    // strings owned
    bool is_loopback;
    hone_store *store;           // owned: the writer's
    atomic_llong seen_ns;        // when it last held all that others had written; in PostgreSQL only
    hone_tokens *tokens;
    hone_http_server *server;
    hone_cache *cache;
    hone_inbox *inbox;           // owned; NULL over PostgreSQL, as the next
    hone_ledger *ledger;         // owned
    hone_hub_queue questions;    // for the readers
    hone_hub_queue uploads;      // for the taker
    hone_hub_queue batches;      // for the writer; questions too, that must see what the inbox holds
    pthread_t readers[HONE_HUB_READERS], taker, writer;
    int readers_started;
    bool taker_started, writer_started;
    int64_t fold_due_ns;         // the writer's
    atomic_int threads_ready, threads_failed;
    char *failure;               // owned: why a thread could not start; under questions.mutex
    atomic_llong generation;     // one more whenever the database has changed
    atomic_llong rows, commits, fates[3], refused, hits, misses;
    hone_hub_counts counts[HONE_HUB_OPERATIONS_MAX + 1];      // the last: what is no operation
    int64_t start_unix_ms;
    pthread_mutex_t snapshot_mutex;
    hone_id snapshot;
    int64_t snapshot_generation;
    pthread_mutex_t target_mutex;
    hone_hub_target targets[HONE_HUB_TARGETS];       // by round robin
    int next_target;
};

// hub.c
bool hone_hub_is_behind(hone_hub *hub);       // PostgreSQL has not answered for too long
const char *hone_hub_value(const hone_hub_call *call, const char *name);      // of a parameter, "" when not given
void hone_hub_call_free(hone_hub_call *call);

// hub_queue.c
void hone_hub_queue_init(hone_hub_queue *queue);
bool hone_hub_queue_put(hone_hub_queue *queue, hone_hub_call *call, bool urgent, bool always);   // false when full (never when `always`)
// The next call, or all of at most `most` at once, linked; waits until there is one, at most so long. NULL: time is up, or closed and empty.
hone_hub_call *hone_hub_queue_take(hone_hub_queue *queue, int most, int64_t wait_ns);
void hone_hub_queue_close(hone_hub_queue *queue);
bool hone_hub_queue_is_over(hone_hub_queue *queue);       // closed and empty
int hone_hub_queue_count(hone_hub_queue *queue);

// hub_cache.c: answers in memory, the least used forgotten first. One that is of an older generation is still good for
// HONE_CACHE_STALE_NS from when it was made, while a reader makes it anew.
#define HONE_CACHE_STALE_NS 1000000000
hone_cache *hone_cache_new(size_t bytes_max);
void hone_cache_free(hone_cache *cache);
// A kept reply or NULL. *renew: the caller is to have it made anew (said once); exact: only of this generation.
hone_http_reply *hone_cache_find(hone_cache *cache, const char *key, int64_t generation, bool exact, bool *renew);
void hone_cache_put(hone_cache *cache, const char *key, int64_t generation, hone_http_reply *reply);      // keeps it
size_t hone_cache_bytes(hone_cache *cache);

// hub_ledger.c: any thread but for hone_ledger_follow, which is the store's.
hone_status hone_ledger_new(hone_ledger **ledger);
void hone_ledger_free(hone_ledger *ledger);
hone_status hone_ledger_follow(hone_ledger *ledger, hone_store *store);       // takes over what is new in the store
hone_status hone_ledger_judge(hone_ledger *ledger, const hone_batch *batch, const hone_trust *trust, hone_batch_fate *fate);     // hone_batch_judge
hone_status hone_ledger_note(hone_ledger *ledger, const hone_batch *batch);   // as one that the store has

// hub_threads.c
void *hone_hub_reader(void *hub);
// The answer's way back; frees the call. generation: what the database was at least at before the question was put to it.
void hone_hub_finish(hone_hub_call *call, int64_t generation, hone_status status, hone_text *out);
hone_http_reply *hone_hub_error(hone_status status, const char *sentence);
hone_http_reply *hone_hub_reply(const hone_hub_call *call, hone_status status, hone_text *out);
hone_status hone_hub_snapshot(hone_hub *hub, hone_store *store, hone_id *id);       // inside the caller's read transaction

// hub_puts.c
void *hone_hub_taker(void *hub);
void *hone_hub_writer(void *hub);

// hub_evidence.c: all that a build of these problems (a work list) on this device can depend on: three lines, then a dump.
#define HONE_EVIDENCE_HEAD "hone-evidence 1\n"
hone_status hone_hub_evidence(hone_hub_call *call, hone_text *out);

// hub_answers.c, hub_metrics.c, hub_openapi.c, hub_pages.c
hone_status hone_hub_metrics(hone_hub_call *call, hone_text *out);
void hone_hub_count(hone_hub *hub, int operation, int code, int64_t duration_ns);
hone_status hone_hub_page_devices(hone_hub_call *call, hone_text *out);
hone_status hone_hub_page_networks(hone_hub_call *call, hone_text *out);
hone_status hone_hub_page_problem(hone_hub_call *call, hone_text *out);
hone_status hone_hub_page_runs(hone_hub_call *call, hone_text *out);

#endif
