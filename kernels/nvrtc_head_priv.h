// SPDX-License-Identifier: Apache-2.0
// The head of a CUDA kernel file: lines "//! WORD ...", read once per process. It says which problems the kernel
// serves, its parameters, and how it is built and launched; docs/kernels.md lists the words. All constant data.
#ifndef HONE_KERNELS_NVRTC_HEAD_PRIV_H
#define HONE_KERNELS_NVRTC_HEAD_PRIV_H

#include "kernels/nvrtc_expr_priv.h"
#include "kernels/source.h"
#include "kernels/tensor_map.h"

#define HONE_HEAD_LINES 48

typedef struct hone_head_line {        // name and expression
    char name[24];
    char text[480];
} hone_head_line;

typedef struct hone_kernel_head {
    char name[32];
    int version;
    char form[24];                     // which form of problem it serves
    char dtypes[64];                   // "f16 bf16 tf32 f32 any"
    int arch;                          // least compute capability
    bool is_early;                     // few blocks: worth starting before the kernel ahead ends in spite of dynamic shared memory
    bool is_arch_alone;                // and the only one: its instructions ended with it ("90a")
    char machine[24];                  // a .cuh of instructions that only some architectures have, behind ptx.cuh, "" if none
    char include[24];                  // a .cuh that stands between the generated text and the kernel, "" if none
    const char *text;                  // the whole file
    int n_params, n_lets, n_requires, n_defines, n_args, n_reals;
    hone_range params[HONE_PARAMS_MAX];
    hone_head_line lets[16];           // variables made of others, in order
    hone_head_line requires[HONE_HEAD_LINES], defines[HONE_HEAD_LINES], args[HONE_HEAD_LINES], reals[8];
    int n_maps;
    hone_head_line maps[HONE_MAPS_MAX];    // tensor maps of operands; the name is "map" or "image"
    hone_head_line grid[3], block, shared, cluster, workspace;     // cluster: blocks along z
    hone_head_line macs, rate, bytes, latency, registers;          // of one block; for the estimate
} hone_kernel_head;

// All kernels, sorted by file name. HONE_INTERNAL names the file and line of a head that cannot be read.
hone_status hone_kernel_heads(const hone_kernel_head **heads, int *n);
const hone_kernel_head *hone_kernel_find(const char *name);            // NULL if unknown
hone_status hone_kernel_head_parse(const char *file, const char *text, hone_kernel_head *head);
const char *hone_cuda_text_find(const char *name);                     // NULL if unknown

#endif
