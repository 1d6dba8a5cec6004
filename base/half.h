// SPDX-License-Identifier: Apache-2.0
// IEEE binary16 and bfloat16 as bit patterns, round to nearest even. NaN stays NaN.
#ifndef HONE_BASE_HALF_H
#define HONE_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

uint16_t hone_f16_from_float(float value);      // overflow goes to infinity
float hone_f16_to_float(uint16_t bits);
uint16_t hone_bf16_from_float(float value);
float hone_bf16_to_float(uint16_t bits);

// Many at once, from any address.
void hone_f16_widen(const void *halves, float *to, size_t count);
// What f16 cannot hold becomes its largest finite value, NaN stays NaN.
void hone_f16_saturate(const void *floats, uint16_t *to, size_t count);

#endif
