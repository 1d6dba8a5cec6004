// SPDX-License-Identifier: Apache-2.0
// What the convolution kernels share.
#ifndef HONE_KERNELS_CPU_CONV_H
#define HONE_KERNELS_CPU_CONV_H

#include "kernels/cpu/kernel.h"
#include "kernels/window.h"

typedef struct hone_cpu_conv {
    hone_window window;
    int64_t images, groups, cin, cout;     // channels of one group
    int64_t taps, depth;                   // taps of the window; cin * taps
    bool is_pointwise;                     // one tap, stride 1, no padding
    int x, w, b;                           // operands; b may be -1
} hone_cpu_conv;

// From a problem whose first op is conv.
hone_status hone_cpu_conv_init(const hone_problem *problem, hone_cpu_conv *conv);

// All three tensors of the convolution lie as `layout` says.
bool hone_cpu_conv_lies(const hone_problem *problem, hone_layout layout);

// Pointwise kernels see a plane as one column of positions.
void hone_cpu_conv_flatten(hone_cpu_conv *conv);

#endif
