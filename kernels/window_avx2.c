// SPDX-License-Identifier: Apache-2.0
#include "kernels/window_priv.h"

#pragma GCC target("arch=x86-64-v3")

#include "kernels/dots_body.h"

void hone_dot4_avx2(const double *rows, const double *b, int64_t k, double sums[4])
{
    dot4(rows, b, k, sums);
}
