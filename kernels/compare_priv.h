// SPDX-License-Identifier: Apache-2.0
// What the kernel that compares shares with its caller.
#ifndef HONE_KERNELS_COMPARE_PRIV_H
#define HONE_KERNELS_COMPARE_PRIV_H

#include "kernels/cuda/compare_args.cuh"
#include "kernels/tensor.h"

void hone_compare_form(hone_dtype dtype, int *form, int *bytes);

#endif
