// SPDX-License-Identifier: Apache-2.0
// Steps timed one at a time, and whole inferences. Steps run in the plan's order, so that a step finds its operands as they are in an inference.
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/exec_priv.h"

// Launches of a step between two events; one where it is so long that starting it no longer counts.
enum { INNER = 16, REPEATS_MAX = 4096, ROW_MAX = 64 };
#define LONG_NS 500e3
#define ROW_NS 300e3               // inferences in a row between two events last this long: the first starts on an idle device

typedef struct profile {
    hone_exec *exec;
    hone_device *device;
    hone_stream *stream;
    int begin, end;            // events
    int repeats;
    double *samples;
} profile;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, by_value);
    return n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

// NULL where the device does not capture.
static hone_status capture_step(profile *p, int step, hone_captured **captured)
{
    *captured = NULL;
    hone_status status = p->device->api->capture(p->device, p->stream, true, NULL);
    if (status == HONE_DECLINED) return HONE_OK;
    if (status != HONE_OK) return status;
    hone_status inside = HONE_OK;
    for (int k = 0; k < INNER && inside == HONE_OK; k++) inside = hone_exec_run_step(p->exec, step, p->stream, (hone_link){0});
    status = p->device->api->capture(p->device, p->stream, false, captured);
    return inside == HONE_OK ? status : inside;
}

static hone_status time_once(profile *p, int step, hone_captured *captured, int inner, double *ns)
{
    hone_status status;
    HONE_TRY(p->device->api->record(p->device, p->stream, p->begin));
    if (captured) HONE_TRY(p->device->api->replay(p->device, p->stream, captured, false));
    for (int k = 0; k < inner && !captured; k++) HONE_TRY(hone_exec_run_step(p->exec, step, p->stream, (hone_link){0}));
    HONE_TRY(p->device->api->record(p->device, p->stream, p->end));
    HONE_TRY(p->device->api->sync(p->device, p->stream));
    status = p->device->api->elapsed(p->device, p->begin, p->end, ns);
    *ns /= inner;
out:
    return status;
}

static hone_status time_step(profile *p, int step, double *ns)
{
    hone_captured *captured;
    double once = 0;
    hone_status status = capture_step(p, step, &captured);
    if (status == HONE_OK && !captured) status = time_once(p, step, NULL, 1, &once);
    int inner = once > LONG_NS ? 1 : INNER;
    for (int k = 0; k < p->repeats && status == HONE_OK; k++) status = time_once(p, step, captured, inner, &p->samples[k]);
    if (captured) (void)p->device->api->replay(p->device, p->stream, captured, true);
    if (status == HONE_OK) *ns = median(p->samples, p->repeats);
    return status;
}

hone_status hone_exec_profile(hone_exec *exec, int repeats, double *times_ns)
{
    hone_event_pool *pool = exec->engine->events;
    profile p = {.exec = exec, .device = exec->engine->device, .stream = exec->streams[0], .begin = -1, .end = -1, .repeats = repeats};
    if (repeats < 1 || repeats > REPEATS_MAX) return hone_fail(HONE_USAGE, "a step is timed 1 to %d times, not %d", REPEATS_MAX, repeats);
    hone_status status = HONE_NO_MEMORY;
    p.samples = hone_alloc((size_t)repeats * sizeof *p.samples);
    if (!p.samples) goto out;
    HONE_TRY(hone_exec_sync(exec));
    HONE_TRY(hone_event_take(pool, &p.begin));
    HONE_TRY(hone_event_take(pool, &p.end));
    for (int s = 0; s < exec->engine->plan->n_steps; s++) HONE_TRY(time_step(&p, s, &times_ns[s]));
out:
    if (p.begin >= 0) hone_event_give(pool, p.begin);
    if (p.end >= 0) hone_event_give(pool, p.end);
    hone_free(p.samples);
    return status;
}

static hone_status time_row(hone_exec *exec, int begin, int end, int row, double *ns)
{
    hone_device *device = exec->engine->device;
    hone_stream *stream = exec->streams[0];        // on which an inference begins and ends
    hone_status status;
    HONE_TRY(device->api->record(device, stream, begin));
    for (int k = 0; k < row; k++) HONE_TRY(hone_exec_start(exec));
    HONE_TRY(device->api->record(device, stream, end));
    HONE_TRY(hone_exec_sync(exec));
    status = device->api->elapsed(device, begin, end, ns);
    *ns /= row;
out:
    return status;
}

hone_status hone_exec_time(hone_exec *exec, int samples, double *times_ns)
{
    hone_event_pool *pool = exec->engine->events;
    int begin = -1, end = -1;
    hone_status status;
    if (samples < 1) return HONE_OK;
    HONE_TRY(hone_event_take(pool, &begin));
    HONE_TRY(hone_event_take(pool, &end));
    HONE_TRY(time_row(exec, begin, end, 1, &times_ns[0]));
    double once = times_ns[0];
    int row = once * ROW_MAX > ROW_NS ? 1 + (int)(ROW_NS / once) : ROW_MAX;
    for (int k = row == 1; k < samples; k++) HONE_TRY(time_row(exec, begin, end, row, &times_ns[k]));      // a long one is the first sample
out:
    if (begin >= 0) hone_event_give(pool, begin);
    if (end >= 0) hone_event_give(pool, end);
    return status;
}
