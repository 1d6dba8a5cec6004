// SPDX-License-Identifier: Apache-2.0
// State of a GPU around a burst of measurements, from NVML: clocks, temperature, power, why clocks are
// held back, and who else is there. What is not known (a CPU, no NVML) is -1 or "". Thread-safe.
#ifndef HONE_PROFILER_CLOCKS_H
#define HONE_PROFILER_CLOCKS_H

#include <stdbool.h>

#include "kernels/device.h"

typedef struct hone_clocks {
    int sm_mhz;
    int memory_mhz;
    int temperature_c;
    double power_w;
    char throttle[96];            // "" = none or unknown; words joined by ',': "power_cap,thermal"
    int other_processes;          // compute processes on the GPU beside this one
    bool mps;                     // an MPS server sits between this process and the GPU
} hone_clocks;

void hone_clocks_read(const hone_device *device, hone_clocks *clocks);
// HONE_AGAIN with what was found and the way out when another process or MPS would disturb timing.
hone_status hone_clocks_check_idle(const hone_device *device);

#endif
