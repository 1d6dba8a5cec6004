// SPDX-License-Identifier: Apache-2.0
// CUPTI's activity records: what ran on the GPU, from when to when, and for which label. A label is a number that a
// thread puts round its launches; work inside a replayed graph bears the label of the replay. One process has one CUPTI
// client: start fails beside another profiler. Collecting is for one thread at a time; the rest is thread-safe.
#ifndef HONE_KERNELS_CUPTI_H
#define HONE_KERNELS_CUPTI_H

#include "kernels/library.h"

extern hone_library hone_library_cupti;

typedef enum hone_activity_kind { HONE_ACTIVITY_KERNEL, HONE_ACTIVITY_FILL, HONE_ACTIVITY_COPY } hone_activity_kind;

typedef struct hone_activity {
    hone_activity_kind kind;
    int64_t start_ns, end_ns;          // 0: the record is incomplete
    uint64_t label;                    // 0: none
    uint64_t node;                     // of a graph; 0 outside graphs
    const char *name;                  // kernels only; CUPTI's, valid while the kernel's module is loaded
    uint32_t correlation, stream;
    int registers, shared_bytes;
    unsigned grid[3], block[3];
} hone_activity;

// Opens CUPTI and switches its records on until it is stopped; cheap after the first call.
// HONE_DECLINED with the reason (no library, another client, no permission).
hone_status hone_cupti_start(void);
// CUPTI leaves the process, whose kernels run unobserved from then on; start brings it back. The GPU is idle then, nobody is between begin
// and end, and no captured graph lives on. HONE_DECLINED where CUPTI may hang at that (before CUDA 13.0 Update 1).
hone_status hone_cupti_stop(void);

hone_status hone_cupti_push(uint64_t label);      // label >= 1, for the calling thread
hone_status hone_cupti_pop(void);

// Records of work that is launched between begin and end and has finished before end is called. HONE_AGAIN when CUPTI
// lost records. The caller frees *activities (hone_free); order is that of delivery.
void hone_cupti_begin(void);
hone_status hone_cupti_end(hone_activity **activities, size_t *count);

#endif
