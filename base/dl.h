// SPDX-License-Identifier: Apache-2.0
// Shared libraries opened at run time: CUDA driver, NVRTC, CUPTI, cuDNN, cuBLASLt, NVML, OpenBLAS. One
// mechanism, so that `hone doctor` can say where each was found or where it was looked for.
#ifndef HONE_BASE_DL_H
#define HONE_BASE_DL_H

#include <stddef.h>

#include "base/status.h"

typedef struct hone_dl_symbol {
    const char *name;
    void *slot;            // address of a function pointer
    int optional;          // 1: a missing one leaves NULL
} hone_dl_symbol;

typedef struct hone_dl {
    void *handle;          // NULL until opened
    char path[512];        // where it was found
} hone_dl;

// Tries each name of the NULL-terminated list, first in the folders that hone knows for NVIDIA's wheels and
// toolkits (beside the binary, $ORIGIN/../lib, build/venv's nvidia/*/lib, /usr/local/cuda/lib64), then as the system's loader finds it.
// Failure is HONE_NO_DEVICE and names every place that was tried.
hone_status hone_dl_open(hone_dl *dl, const char *const *names);
hone_status hone_dl_bind(hone_dl *dl, const hone_dl_symbol *symbols, size_t count);
void hone_dl_close(hone_dl *dl);

#endif
