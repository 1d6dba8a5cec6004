// SPDX-License-Identifier: Apache-2.0
#include "profiler/timer.h"

#include <string.h>

#include "base/alloc.h"

extern const hone_timer hone_timer_cupti, hone_timer_event, hone_timer_cpu, hone_timer_replay;

const hone_timer *const hone_timers[] = {&hone_timer_cupti, &hone_timer_event, &hone_timer_cpu, &hone_timer_replay};
const int hone_timer_count = sizeof hone_timers / sizeof *hone_timers;

const hone_timer *hone_timer_find(const char *name)
{
    for (int i = 0; i < hone_timer_count; i++)
        if (!strcmp(hone_timers[i]->name, name)) return hone_timers[i];
    return NULL;
}

const hone_timer *hone_timer_choose(hone_device *device)
{
    hone_text why;
    hone_text_init(&why);
    const hone_timer *chosen = NULL;
    for (int i = 0; i < hone_timer_count && !chosen; i++) {
        if (strcmp(hone_timers[i]->device, device->api->kind)) continue;
        if (!hone_timers[i]->probe(device)) chosen = hone_timers[i];
        else hone_text_printf(&why, "%s%s: %s", why.size ? "; " : "", hone_timers[i]->name, hone_error_text());
    }
    if (!chosen) hone_fail(HONE_DECLINED, "no timer serves a %s device%s%s", device->api->kind, why.size ? ": " : "", hone_text_get(&why));
    hone_text_clear(&why);
    return chosen;
}

hone_status hone_timer_measure(const hone_timer *timer, const hone_timing_request *request, double *samples_ns)
{
    if (request->samples < 1 || request->samples > HONE_TIMING_SAMPLES_MAX || request->warmups < 0)
        return hone_fail(HONE_USAGE, "%d samples after %d warm-ups cannot be taken: 1 to %d samples", request->samples, request->warmups, HONE_TIMING_SAMPLES_MAX);
    if (strcmp(timer->device, request->device->api->kind))
        return hone_fail(HONE_USAGE, "timer %s serves %s devices, not %s", timer->name, timer->device, request->device->api->kind);
    if (!request->captured && (!request->runnable || request->n_sets < 1)) return hone_fail(HONE_USAGE, "nothing to time was given");
    hone_status status = timer->probe(request->device);
    for (int i = 0; i < request->warmups && !status; i++) status = hone_timing_run(request, request->cold ? i : 0);
    return status ? status : timer->measure(request, samples_ns);
}

hone_status hone_timing_run(const hone_timing_request *request, int set)
{
    if (request->captured) return request->device->api->replay(request->device, request->stream, request->captured, false);
    int k = set % request->n_sets;
    return request->runnable->api->run(request->runnable, request->stream, request->operand_sets[k], request->output_sets[k], request->workspace);
}

// ---- eviction: exactly the cache's size. Less leaves lines behind and ranks the wrong tactic first; much more
// only costs time (both measured by others: docs of the profiler name them).

typedef struct evictor {
    hone_device *device;
    void *memory;
    size_t size_bytes;
    uint8_t byte;
} evictor;

static const char evictor_key;

static void release_evictor(void *value)
{
    evictor *e = value;
    e->device->api->free(e->device, e->memory);
    hone_free(e);
}

static hone_status find_evictor(hone_device *device, evictor **found)
{
    hone_status status = HONE_OK;
    *found = hone_device_extra(device, &evictor_key);
    if (*found) return HONE_OK;
    evictor *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    made->device = device;
    made->size_bytes = (size_t)hone_target_l2_bytes(&device->target);
    HONE_TRY(device->api->alloc(device, made->size_bytes, &made->memory));
    HONE_TRY(hone_device_set_extra(device, &evictor_key, made, release_evictor));
    *found = made;
    return HONE_OK;
out:
    if (made->memory) device->api->free(device, made->memory);
    hone_free(made);
    return status;
}

hone_status hone_timing_evict(hone_device *device, hone_stream *stream)
{
    evictor *e;
    hone_status status = find_evictor(device, &e);
    return status ? status : device->api->fill(device, stream, e->memory, e->byte++, e->size_bytes);
}
