// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_BASE_HALF_PRIV_H
#define HONE_BASE_HALF_PRIV_H

#include <stddef.h>
#include <stdint.h>

// The first eights of them, for machines with F16C and AVX2; returns how many.
size_t hone_f16_saturate_avx2(const unsigned char *floats, uint16_t *to, size_t count);
size_t hone_f16_widen_avx2(const unsigned char *halves, float *to, size_t count);

#endif
