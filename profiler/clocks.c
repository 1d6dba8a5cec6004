// SPDX-License-Identifier: Apache-2.0
#include "profiler/clocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/nvml.h"

// The MPS control daemon keeps a pipe in its folder as long as it runs.
static bool has_mps_pipe(void)
{
    char path[512];
    const char *folder = getenv("CUDA_MPS_PIPE_DIRECTORY");
    snprintf(path, sizeof path, "%s/control", folder && *folder ? folder : "/tmp/nvidia-mps");
    return access(path, F_OK) == 0;
}

void hone_clocks_read(const hone_device *device, hone_clocks *clocks)
{
    hone_nvml_state state;
    *clocks = (hone_clocks){.sm_mhz = -1, .memory_mhz = -1, .temperature_c = -1, .power_w = -1, .other_processes = -1};
    if (strcmp(device->api->kind, "cuda") || hone_nvml_read_state(device->uuid, &state)) return;
    clocks->sm_mhz = state.sm_mhz;
    clocks->memory_mhz = state.memory_mhz;
    clocks->temperature_c = state.temperature_c;
    clocks->power_w = state.power_w;
    clocks->other_processes = state.other_processes;
    clocks->mps = state.mps || has_mps_pipe();
    hone_nvml_throttle_words(state.throttle, clocks->throttle, sizeof clocks->throttle);
}

hone_status hone_clocks_check_idle(const hone_device *device)
{
    hone_clocks clocks;
    hone_clocks_read(device, &clocks);
    if (clocks.mps)
        return hone_fail(HONE_AGAIN, "cuda:%d is shared through MPS, which makes times meaningless: stop the MPS daemon, or insist with --busy", device->ordinal);
    if (clocks.other_processes > 0)
        return hone_fail(HONE_AGAIN, "cuda:%d is used by %d other process(es), which makes times meaningless: wait for them, or insist with --busy",
                         device->ordinal, clocks.other_processes);
    return HONE_OK;
}
