// SPDX-License-Identifier: Apache-2.0
// Steps of the nvrtc source that tests look at: the text of a tactic and its launch.
#ifndef HONE_KERNELS_SOURCE_NVRTC_PRIV_H
#define HONE_KERNELS_SOURCE_NVRTC_PRIV_H

#include "kernels/device.h"
#include "kernels/nvrtc_form_priv.h"
#include "kernels/nvrtc_head_priv.h"

// A tactic bound to a problem: the form with the kernel's parameters among its variables.
typedef struct hone_bound {
    const hone_kernel_head *head;
    hone_formed formed;
} hone_bound;

hone_status hone_bound_init(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_bound *bound);
// Text without ptx.cuh, and the arguments without pointers.
hone_status hone_bound_text(const hone_bound *bound, hone_text *text, hone_args *args);
hone_status hone_bound_launch(const hone_bound *bound, hone_launch *launch, size_t *workspace_bytes);

// The tensor maps that the kernel wants in front of its arguments, without addresses; HONE_DECLINED when the hardware has no such map.
hone_status hone_bound_maps(const hone_bound *bound, hone_tensor_map maps[HONE_MAPS_MAX], int *n);

#endif
