// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_KERNELS_CPU_PRODUCTS_H
#define HONE_KERNELS_CPU_PRODUCTS_H

#include "kernels/matmul.h"
#include "kernels/problem.h"

// Of a problem whose first op is matmul. A batch over a single b becomes rows of one product. HONE_DECLINED unless row-major.
hone_status hone_cpu_matmul_init(const hone_problem *problem, hone_matmul *matmul);

#endif
