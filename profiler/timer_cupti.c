// SPDX-License-Identifier: Apache-2.0
// Timer "cupti": the GPU's own time stamps of every kernel, fill and copy that a run made. Each sample's launches bear
// a label of their own, so the eviction between samples and whatever else runs is left out by construction.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cupti.h"
#include "profiler/timer.h"

static hone_status probe(hone_device *device)
{
    (void)device;
    return hone_cupti_start();
}

static hone_status run_labelled(const hone_timing_request *request, int sample)
{
    hone_status status = request->cold ? hone_timing_evict(request->device, request->stream) : HONE_OK;
    if (status) return status;
    status = hone_cupti_push((uint64_t)sample + 1);
    if (status) return status;
    status = hone_timing_run(request, request->cold ? sample : 0);
    hone_status popped = hone_cupti_pop();
    return status ? status : popped;
}

typedef struct span {
    int64_t start, end;
} span;

static hone_status read_spans(const hone_activity *activities, size_t count, span *spans, int samples)
{
    for (size_t i = 0; i < count; i++) {
        const hone_activity *a = &activities[i];
        if (a->label < 1 || a->label > (uint64_t)samples) continue;
        span *s = &spans[a->label - 1];
        if (!s->start || a->start_ns < s->start) s->start = a->start_ns;
        if (a->end_ns > s->end) s->end = a->end_ns;
    }
    for (int i = 0; i < samples; i++)
        if (spans[i].end <= spans[i].start)
            return hone_fail(HONE_AGAIN, "CUPTI shows no work of sample %d of %d among %zu records", i + 1, samples, count);
    return HONE_OK;
}

static hone_status measure(const hone_timing_request *request, double *samples_ns)
{
    hone_activity *activities = NULL;
    size_t count = 0;
    hone_status status = HONE_OK;
    span *spans = hone_calloc((size_t)request->samples, sizeof *spans);
    if (!spans) return HONE_NO_MEMORY;
    HONE_TRY(request->device->api->sync(request->device, request->stream));
    hone_cupti_begin();
    for (int i = 0; i < request->samples && !status; i++) status = run_labelled(request, i);
    hone_status synced = request->device->api->sync(request->device, request->stream);
    if (!status) status = synced;
    hone_status ended = hone_cupti_end(&activities, &count);
    if (!status) status = ended;
    if (!status) status = read_spans(activities, count, spans, request->samples);
    for (int i = 0; i < request->samples && !status; i++) samples_ns[i] = (double)(spans[i].end - spans[i].start);
out:
    hone_free(activities);
    hone_free(spans);
    return status;
}

const hone_timer hone_timer_cupti = {.name = "cupti", .device = "cuda", .probe = probe, .measure = measure};

// ---- traces

static int compare_starts(const void *a, const void *b)
{
    const hone_activity *x = a, *y = b;
    return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

static hone_status copy_kernels(hone_activity *activities, size_t count, hone_trace_entry **entries, size_t *n)
{
    if (count) qsort(activities, count, sizeof *activities, compare_starts);
    *entries = hone_calloc(count + 1, sizeof **entries);
    if (!*entries) return HONE_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const hone_activity *a = &activities[i];
        hone_trace_entry *entry = &(*entries)[*n];
        if (a->kind != HONE_ACTIVITY_KERNEL || !a->label) continue;
        *entry = (hone_trace_entry){.start_ns = a->start_ns, .end_ns = a->end_ns, .node = a->node, .stream = a->stream,
                                    .registers = a->registers, .shared_bytes = a->shared_bytes};
        memcpy(entry->grid, a->grid, sizeof a->grid);
        memcpy(entry->block, a->block, sizeof a->block);
        strncpy(entry->name, a->name ? a->name : "", sizeof entry->name - 1);
        (*n)++;
    }
    return HONE_OK;
}

hone_status hone_trace_kernels(hone_device *device, hone_stream *stream, hone_status (*body)(void *user), void *user,
                               hone_trace_entry **entries, size_t *count)
{
    hone_activity *activities = NULL;
    size_t n = 0;
    *entries = NULL;
    *count = 0;
    if (strcmp(device->api->kind, "cuda")) return hone_fail(HONE_DECLINED, "kernels are traced on cuda devices only");
    hone_status status = hone_cupti_start();
    if (!status) status = device->api->sync(device, stream);
    if (status) return status;
    hone_cupti_begin();
    status = hone_cupti_push(1);
    if (!status) {
        status = body(user);
        hone_cupti_pop();
    }
    hone_status synced = device->api->sync(device, stream);
    if (!status) status = synced;
    hone_status ended = hone_cupti_end(&activities, &n);
    if (!status) status = ended;
    if (!status) status = copy_kernels(activities, n, entries, count);
    hone_free(activities);
    return status;
}
