// SPDX-License-Identifier: Apache-2.0
// Device memory of one problem: operands, outputs and workspace, each between guard bytes. The memory grows and is used again for
// the next problem. A candidate that writes outside its buffers is found by hone_buffers_check, whoever's bytes it hit.
#ifndef HONE_TUNER_BUFFERS_H
#define HONE_TUNER_BUFFERS_H

#include "kernels/device.h"
#include "kernels/problem.h"

#define HONE_GUARD_BYTES 4096
#define HONE_GUARDS_MAX (HONE_OPERANDS_MAX + HONE_OUTPUTS_MAX + 4)

typedef struct hone_guard {            // the bytes from here on belong to nobody
    char *at;
    size_t size_bytes;
    const char *before, *behind;       // static names of the neighbours, for the sentence
} hone_guard;

typedef struct hone_buffers {          // starts zeroed but for device
    hone_device *device;               // borrowed
    void *arena, *scratch;             // device memory, owned: operands and outputs; workspace
    size_t arena_bytes, scratch_bytes;
    hone_problem problem;
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX], *workspace;
    size_t workspace_bytes;
    int n_guards, n_fixed;             // the last two guards are the workspace's
    hone_guard guards[HONE_GUARDS_MAX];
    char *fetched;                     // host, owned: what the guards hold
    char *pattern;
} hone_buffers;

// Makes room for a problem. HONE_NO_MEMORY when the device has too little.
hone_status hone_buffers_lay(hone_buffers *buffers, const hone_problem *problem);
// Writes guards and operands (host bytes) anew.
hone_status hone_buffers_fill(hone_buffers *buffers, void *const *operands);
// A workspace of this size between guards; buffers->workspace is NULL for 0.
hone_status hone_buffers_take_workspace(hone_buffers *buffers, size_t size_bytes);
// Fills outputs and workspace with a byte, so that what is never written is seen.
hone_status hone_buffers_poison(hone_buffers *buffers, uint8_t byte);
// *broken is NULL when every guard is whole, otherwise what lies beside the broken one.
hone_status hone_buffers_check(hone_buffers *buffers, const char **broken);
hone_status hone_buffers_fetch(hone_buffers *buffers, void *const *outputs);       // host memory for each output
void hone_buffers_clear(hone_buffers *buffers);

#endif
