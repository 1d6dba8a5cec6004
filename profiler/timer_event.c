// SPDX-License-Identifier: Apache-2.0
// Timer "event": CUDA events around single launches, the fall-back where CUPTI may not be used. A sample contains the
// gap between an event and a kernel (about 2 us) and resolves 0.5 us, so its times are not comparable with cupti's.
#include "profiler/timer.h"

enum { FIRST_EVENT = 512, PAIRS = 256 };      // the upper half of a device's events is the timers'

static hone_status probe(hone_device *device)
{
    (void)device;
    return HONE_OK;
}

static hone_status run_between(const hone_timing_request *request, int sample, int pair)
{
    hone_device *device = request->device;
    hone_status status = HONE_OK;
    if (request->cold) HONE_TRY(hone_timing_evict(device, request->stream));
    HONE_TRY(device->api->record(device, request->stream, FIRST_EVENT + 2 * pair));
    HONE_TRY(hone_timing_run(request, request->cold ? sample : 0));
    HONE_TRY(device->api->record(device, request->stream, FIRST_EVENT + 2 * pair + 1));
out:
    return status;
}

static hone_status measure(const hone_timing_request *request, double *samples_ns)
{
    hone_device *device = request->device;
    hone_status status = HONE_OK;
    for (int done = 0; done < request->samples; done += PAIRS) {
        int n = request->samples - done < PAIRS ? request->samples - done : PAIRS;
        for (int i = 0; i < n; i++) HONE_TRY(run_between(request, done + i, i));
        for (int i = 0; i < n; i++)
            HONE_TRY(device->api->elapsed(device, FIRST_EVENT + 2 * i, FIRST_EVENT + 2 * i + 1, &samples_ns[done + i]));
    }
    status = device->api->sync(device, request->stream);
out:
    return status;
}

const hone_timer hone_timer_event = {.name = "event", .device = "cuda", .probe = probe, .measure = measure};
