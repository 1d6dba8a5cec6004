// SPDX-License-Identifier: Apache-2.0
// NVML: what the driver says of a GPU beside CUDA. A GPU is named by its UUID ("GPU-..."). What NVML does
// not tell is -1, 0 entries or "". Thread-safe. NVML can hang with a sick driver: callers under a deadline.
#ifndef HONE_KERNELS_NVML_H
#define HONE_KERNELS_NVML_H

#include <stdint.h>

#include "kernels/library.h"

extern hone_library hone_library_nvml;       // its version is the driver's

typedef struct hone_nvml_identity {
    int64_t memory_mib;                      // as nvidia-smi shows
    int64_t max_sm_mhz;
    int64_t power_limit_w;
} hone_nvml_identity;

typedef struct hone_nvml_state {
    int sm_mhz, memory_mhz, temperature_c;
    double power_w;
    uint64_t throttle;                       // V_nvmlClocksEventReason bits; see hone_nvml_throttle_words
    int processes;                           // compute processes on the GPU, this one among them; -1 unknown
    int other_processes;                     // beside this one
    bool mps;
} hone_nvml_state;

hone_status hone_nvml_read_identity(const char *uuid, hone_nvml_identity *identity);
hone_status hone_nvml_read_state(const char *uuid, hone_nvml_state *state);
void hone_nvml_throttle_words(uint64_t throttle, char *words, size_t capacity);   // "power_cap,thermal"; "" for none or idle

#endif
