// SPDX-License-Identifier: Apache-2.0
// Vendor libraries that are opened at run time, at most once in a process, on first use. Each fence
// (cuda_driver.c, nvrtc.c, cublaslt.c, cudnn.c, nvml.c) owns one; `hone doctor` walks the table. Thread-safe.
#ifndef HONE_KERNELS_LIBRARY_H
#define HONE_KERNELS_LIBRARY_H

#include <pthread.h>

#include "base/dl.h"
#include "base/text.h"

typedef struct hone_library {
    const char *name;                  // the word in a toolchain: "nvrtc"
    const char *const *files;          // as hone_dl_open takes them
    const hone_dl_symbol *symbols;
    size_t n_symbols;
    // After the symbols are bound: checks, initialises, and spells the version. Called once.
    hone_status (*start)(char *version, size_t capacity);
    pthread_mutex_t lock;
    bool tried;
    hone_status status;                // of the first try; it is not tried again
    hone_dl dl;
    char version[48];
    char why[1400];                    // the sentence of the failure
} hone_library;

#define HONE_LIBRARY(word, file_names, table, start_function) \
    {.name = (word), .files = (file_names), .symbols = (table), .n_symbols = sizeof(table) / sizeof *(table), \
     .start = (start_function), .lock = PTHREAD_MUTEX_INITIALIZER}

// Opens on first use; afterwards repeats the first answer, its sentence included.
hone_status hone_library_open(hone_library *library);

extern hone_library *const hone_libraries[];       // cuda, driver (NVML), nvrtc, cublaslt, cudnn, cupti
extern const int hone_library_count;

// "cuda=13.0 driver=580.159 nvrtc=13.0 ..." of those that can be opened here, in the order of the table. Appends.
void hone_library_versions(hone_text *text);

#endif
