// SPDX-License-Identifier: Apache-2.0
// The CUDA C files of kernels/cuda, embedded at build time (build/gen/cuda_sources.c). Constant data.
#ifndef HONE_KERNELS_NVRTC_TEXTS_H
#define HONE_KERNELS_NVRTC_TEXTS_H

typedef struct hone_cuda_text {
    const char *name;      // file name without its folder: "gemm.cu"
    const char *text;      // NUL-terminated
} hone_cuda_text;

extern const hone_cuda_text hone_cuda_texts[];     // sorted by name
extern const int hone_cuda_text_count;

#endif
