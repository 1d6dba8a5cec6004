// SPDX-License-Identifier: Apache-2.0
// Fence of CUPTI. Kinds stay on until it is stopped: switching kernel records off could deadlock before CUDA 13.0 Update 1.
// Driver and runtime records are asked for only because labels are attached to them.
#include "kernels/cupti.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "kernels/cupti_priv.h"

#define BUFFER_BYTES ((size_t)4 << 20)
#define STOPS_SAFELY 130001u               // 13.0 Update 1
#define RECORDS_MAX ((size_t)1 << 24)

static struct {
    int (*version)(uint32_t *version);
    int (*result_text)(int result, const char **text);
    int (*subscribe)(void **subscriber, void (*callback)(void *, int, uint32_t, const void *), void *user);
    int (*callbacks)(v_CUpti_BuffersCallbackRequestFunc request, v_CUpti_BuffersCallbackCompleteFunc complete);
    int (*enable)(int kind);
    int (*disable)(int kind);
    int (*finalize)(void);
    int (*flush)(uint32_t flags);
    int (*next)(uint8_t *buffer, size_t valid, v_CUpti_Activity **record);
    int (*dropped)(void *context, uint32_t stream, size_t *dropped);
    int (*push)(int kind, uint64_t label);
    int (*pop)(int kind, uint64_t *last);
} cupti;

static const char *const files[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so", NULL};

static const hone_dl_symbol symbols[] = {
    {"cuptiGetVersion", &cupti.version, 0},
    {"cuptiGetResultString", &cupti.result_text, 0},
    {"cuptiSubscribe", &cupti.subscribe, 0},
    {"cuptiActivityRegisterCallbacks", &cupti.callbacks, 0},
    {"cuptiActivityEnable", &cupti.enable, 0},
    {"cuptiActivityDisable", &cupti.disable, 0},
    {"cuptiFinalize", &cupti.finalize, 0},
    {"cuptiActivityFlushAll", &cupti.flush, 0},
    {"cuptiActivityGetNextRecord", &cupti.next, 0},
    {"cuptiActivityGetNumDroppedRecords", &cupti.dropped, 0},
    {"cuptiActivityPushExternalCorrelationId", &cupti.push, 0},
    {"cuptiActivityPopExternalCorrelationId", &cupti.pop, 0},
};

// 130001 is 13.0 Update 1; before CUDA 12.6 or so plain small numbers were counted up.
static hone_status start_library(char *version, size_t capacity)
{
    uint32_t number = 0;
    if (cupti.version(&number)) return hone_fail(HONE_NO_DEVICE, "CUPTI does not tell its version");
    if (number >= 10000) snprintf(version, capacity, "%u.%u.%u", number / 10000, number / 100 % 100, number % 100);
    else snprintf(version, capacity, "%u", number);
    return HONE_OK;
}

hone_library hone_library_cupti = HONE_LIBRARY("cupti", files, symbols, start_library);

static hone_status check(int result, const char *what)
{
    const char *text = NULL;
    if (!result) return HONE_OK;
    cupti.result_text(result, &text);
    return hone_fail(HONE_DECLINED, "CUPTI: %s: %s (%d)%s", what, text ? text : "unknown error", result,
                     result == V_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED ? ": another profiler or debugger is attached" : "");
}

typedef struct label_pair {
    uint32_t correlation;
    uint64_t label;
} label_pair;

static struct {
    pthread_mutex_t lock;
    bool tried, collecting;
    hone_status status;
    char why[400];
    hone_activity *activities;
    size_t n_activities, activity_capacity;
    label_pair *labels;
    size_t n_labels, label_capacity;
    size_t dropped;
    bool failed;                     // out of memory inside a callback
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void request_buffer(uint8_t **buffer, size_t *size, size_t *max_records)
{
    *buffer = hone_alloc(BUFFER_BYTES);
    *size = *buffer ? BUFFER_BYTES : 0;
    *max_records = 0;                // as many as fit
}

static void keep(const hone_activity *activity)
{
    if (hone_grow(&state.activities, state.n_activities, &state.activity_capacity, sizeof *activity, RECORDS_MAX)) state.failed = true;
    else state.activities[state.n_activities++] = *activity;
}

static void keep_kernel(const v_CUpti_Activity *record)
{
    const v_CUpti_ActivityKernel *k = (const void *)record;
    keep(&(hone_activity){
        .kind = HONE_ACTIVITY_KERNEL, .start_ns = (int64_t)k->start, .end_ns = (int64_t)k->end, .node = k->graphNodeId, .name = k->name,
        .correlation = k->correlationId, .stream = k->streamId, .registers = k->registersPerThread,
        .shared_bytes = k->staticSharedMemory + k->dynamicSharedMemory,
        .grid = {(unsigned)k->gridX, (unsigned)k->gridY, (unsigned)k->gridZ},
        .block = {(unsigned)k->blockX, (unsigned)k->blockY, (unsigned)k->blockZ},
    });
}

static void keep_fill(const v_CUpti_Activity *record)
{
    const v_CUpti_ActivityMemset *m = (const void *)record;
    keep(&(hone_activity){.kind = HONE_ACTIVITY_FILL, .start_ns = (int64_t)m->start, .end_ns = (int64_t)m->end, .node = m->graphNodeId,
                          .correlation = m->correlationId, .stream = m->streamId});
}

static void keep_copy(const v_CUpti_Activity *record)
{
    const v_CUpti_ActivityMemcpy *m = (const void *)record;
    keep(&(hone_activity){.kind = HONE_ACTIVITY_COPY, .start_ns = (int64_t)m->start, .end_ns = (int64_t)m->end, .node = m->graphNodeId,
                          .correlation = m->correlationId, .stream = m->streamId});
}

static void keep_label(const v_CUpti_Activity *record)
{
    const v_CUpti_ActivityExternalCorrelation *e = (const void *)record;
    if (e->externalKind != V_CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0) return;
    if (hone_grow(&state.labels, state.n_labels, &state.label_capacity, sizeof *state.labels, RECORDS_MAX)) state.failed = true;
    else state.labels[state.n_labels++] = (label_pair){e->correlationId, e->externalId};
}

static const struct {
    uint32_t kind;
    void (*keep)(const v_CUpti_Activity *record);    // NULL: of no interest
} kinds[] = {
    {V_CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, keep_kernel},
    {V_CUPTI_ACTIVITY_KIND_MEMSET, keep_fill},
    {V_CUPTI_ACTIVITY_KIND_MEMCPY, keep_copy},
    {V_CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, keep_label},
    {V_CUPTI_ACTIVITY_KIND_DRIVER, NULL},
    {V_CUPTI_ACTIVITY_KIND_RUNTIME, NULL},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static void keep_record(const v_CUpti_Activity *record)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == record->kind && kinds[i].keep) kinds[i].keep(record);
}

static void complete_buffer(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
    v_CUpti_Activity *record = NULL;
    size_t dropped = 0;
    (void)size;
    pthread_mutex_lock(&state.lock);
    while (state.collecting && valid && !cupti.next(buffer, valid, &record)) keep_record(record);
    if (!cupti.dropped(context, stream, &dropped)) state.dropped += dropped;
    pthread_mutex_unlock(&state.lock);
    hone_free(buffer);
}

static void ignore_callback(void *user, int domain, uint32_t id, const void *data)
{
    (void)user, (void)domain, (void)id, (void)data;
}

static hone_status start(void)
{
    static void *subscriber;
    hone_status status = HONE_OK;
    if (hone_library_open(&hone_library_cupti)) return HONE_DECLINED;
    HONE_TRY(check(cupti.subscribe(&subscriber, ignore_callback, NULL), "cannot become the client"));
    HONE_TRY(check(cupti.callbacks(request_buffer, complete_buffer), "cannot give buffers"));
    for (size_t i = 0; i < KINDS; i++) HONE_TRY(check(cupti.enable((int)kinds[i].kind), "cannot switch its records on"));
out:
    return status;
}

static hone_status stop(void)
{
    uint32_t number = 0;
    hone_status status = HONE_OK;
    if (cupti.version(&number) || number < STOPS_SAFELY)
        return hone_fail(HONE_DECLINED, "CUPTI %u may hang when it is stopped: that needs the one of CUDA 13.0 Update 1", number);
    HONE_TRY(check(cupti.flush(V_CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cannot flush records"));
    for (size_t i = 0; i < KINDS; i++) HONE_TRY(check(cupti.disable((int)kinds[i].kind), "cannot switch its records off"));
    HONE_TRY(check(cupti.finalize(), "cannot leave the process"));
out:
    return status;
}

static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;

hone_status hone_cupti_stop(void)
{
    hone_status status = HONE_OK;
    pthread_mutex_lock(&once);
    if (state.tried && !state.status) status = stop();
    if (!status) state.tried = false;
    pthread_mutex_unlock(&once);
    return status;
}

hone_status hone_cupti_start(void)
{
    pthread_mutex_lock(&once);
    if (!state.tried) {
        state.status = start();
        state.tried = true;
        if (state.status) snprintf(state.why, sizeof state.why, "%s", hone_error_text());
    }
    pthread_mutex_unlock(&once);
    return state.status ? hone_fail(state.status, "%s", state.why) : HONE_OK;
}

hone_status hone_cupti_push(uint64_t label)
{
    return check(cupti.push(V_CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, label), "cannot label work");
}

hone_status hone_cupti_pop(void)
{
    uint64_t last;
    return check(cupti.pop(V_CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &last), "cannot end a label");
}

// What was delivered or dropped before belongs to nobody.
static void reset(bool collecting)
{
    pthread_mutex_lock(&state.lock);
    hone_free(state.activities);
    hone_free(state.labels);
    state.activities = NULL;
    state.labels = NULL;
    state.n_activities = state.activity_capacity = state.n_labels = state.label_capacity = state.dropped = 0;
    state.failed = false;
    state.collecting = collecting;
    pthread_mutex_unlock(&state.lock);
}

void hone_cupti_begin(void)
{
    cupti.flush(0);
    reset(true);
}

static int compare_labels(const void *a, const void *b)
{
    const label_pair *x = a, *y = b;
    return (x->correlation > y->correlation) - (x->correlation < y->correlation);
}

static bool has_incomplete(void)
{
    for (size_t i = 0; i < state.n_activities; i++) {
        const hone_activity *activity = &state.activities[i];
        if (activity->label && (!activity->start_ns || !activity->end_ns)) return true;
    }
    return false;
}

static void attach_labels(void)
{
    if (state.n_labels) qsort(state.labels, state.n_labels, sizeof *state.labels, compare_labels);
    for (size_t i = 0; i < state.n_activities && state.n_labels; i++) {
        label_pair key = {.correlation = state.activities[i].correlation};
        const label_pair *found = bsearch(&key, state.labels, state.n_labels, sizeof key, compare_labels);
        if (found) state.activities[i].label = found->label;
    }
}

hone_status hone_cupti_end(hone_activity **activities, size_t *count)
{
    *activities = NULL;
    *count = 0;
    hone_status status = check(cupti.flush(V_CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cannot flush records");
    pthread_mutex_lock(&state.lock);
    state.collecting = false;
    if (!status && state.failed) status = hone_fail(HONE_NO_MEMORY, "no memory for CUPTI's records");
    if (!status) attach_labels();
    if (!status && (state.dropped || has_incomplete()))
        status = hone_fail(HONE_AGAIN, "CUPTI lost records of this measurement (%zu dropped, %zu kept): measure again", state.dropped, state.n_activities);
    if (!status) {
        *activities = state.activities;
        *count = state.n_activities;
        state.activities = NULL;
    }
    pthread_mutex_unlock(&state.lock);
    reset(false);
    return status;
}
