// SPDX-License-Identifier: Apache-2.0
// How far an output lies off reference values beside it on the device: four sums, by a small kernel (kernels/cuda/compare.cuh). Owned by who
// opened it, borrows the device; one thread at a time.
#ifndef HONE_KERNELS_COMPARE_H
#define HONE_KERNELS_COMPARE_H

#include "kernels/device.h"
#include "kernels/tensor.h"

typedef struct hone_sums {
    double difference, reference;      // of squares
    double excess;                     // largest |difference| beyond what the value's own size excuses
    int64_t broken;                    // not finite where the reference is
} hone_sums;

typedef struct hone_comparison {       // device memory
    const void *out, *reference;
    hone_dtype out_type, reference_type;
    const int64_t *index;              // element index[k] of out belongs to element k of the reference; NULL: element k
    int64_t count;                     // of the reference
    double slack;                      // of a single value, relative to the reference
    double limit;                      // what the output's type can hold: beyond it the output may be infinite
} hone_comparison;

typedef struct hone_comparer hone_comparer;

// HONE_DECLINED, with the reason, where such a kernel cannot be had: the device is no GPU, or NVRTC is missing.
hone_status hone_comparer_open(hone_device *device, hone_comparer **comparer);
void hone_comparer_close(hone_comparer *comparer);       // NULL is legal
hone_status hone_comparer_run(hone_comparer *comparer, const hone_comparison *comparison, hone_sums *sums);

void hone_sums_add(hone_sums *to, const hone_sums *more);

#endif
