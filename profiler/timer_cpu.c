// SPDX-License-Identifier: Apache-2.0
// Timer "cpu": the monotonic clock around one run on a CPU device, its stream drained before and after.
#include "base/clock.h"
#include "profiler/timer.h"

static hone_status probe(hone_device *device)
{
    (void)device;
    return HONE_OK;
}

static hone_status measure(const hone_timing_request *request, double *samples_ns)
{
    hone_device *device = request->device;
    hone_status status = HONE_OK;
    for (int i = 0; i < request->samples; i++) {
        if (request->cold) HONE_TRY(hone_timing_evict(device, request->stream));
        HONE_TRY(device->api->sync(device, request->stream));
        int64_t start = hone_clock_ns();
        HONE_TRY(hone_timing_run(request, request->cold ? i : 0));
        HONE_TRY(device->api->sync(device, request->stream));
        samples_ns[i] = (double)(hone_clock_ns() - start);
    }
out:
    return status;
}

const hone_timer hone_timer_cpu = {.name = "cpu", .device = "cpu", .probe = probe, .measure = measure};
