// SPDX-License-Identifier: Apache-2.0
// Timer "replay": the samples of a recording. The tactic still runs, once a burst, so that what it leaves can be verified.
#include "kernels/device_replay.h"
#include "profiler/timer.h"

static hone_status probe(hone_device *device)
{
    (void)device;
    return HONE_OK;
}

static hone_status measure(const hone_timing_request *request, double *samples_ns)
{
    if (request->captured) return hone_fail(HONE_DECLINED, "a recording has no graphs");
    hone_status status = hone_timing_run(request, 0);
    return status ? status : hone_replay_samples(request->runnable, samples_ns, request->samples);
}

const hone_timer hone_timer_replay = {.name = "replay", .device = "replay", .probe = probe, .measure = measure};
