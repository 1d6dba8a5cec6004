// SPDX-License-Identifier: Apache-2.0
// NVRTC: CUDA C text to machine code, with no GPU needed. The library is opened on first use. Thread-safe.
#ifndef HONE_KERNELS_NVRTC_H
#define HONE_KERNELS_NVRTC_H

#include "kernels/library.h"
#include "kernels/source.h"

extern hone_library hone_library_nvrtc;

// HONE_NO_DEVICE when NVRTC cannot be opened, with every place that was tried.
hone_status hone_nvrtc_version(int *major, int *minor);

// Compiles text for the architecture that options name ("--gpu-architecture=sm_90a"). `name` stands in messages.
// The embedded texts whose names end in ".cuh" can be included by name. Kernels must be extern "C".
// HONE_DECLINED with the first lines of the compiler's log when the text does not compile (a candidate's failure);
// other codes when NVRTC itself fails. Registers, spills and static shared memory are the largest of the text's kernels.
// The caller owns cubin->data (hone_free).
hone_status hone_nvrtc_compile(const char *text, const char *name, const char *const *options, int n_options, hone_blob *cubin);

#endif
