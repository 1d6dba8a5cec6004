// SPDX-License-Identifier: Apache-2.0
#include "base/half.h"

#include <stdbool.h>
#include <string.h>

#include "base/half_priv.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Drops the low `count` bits, to nearest, ties to even. A carry out of the mantissa moves the exponent
// up, which is just what rounding to the next power of two, or to infinity, needs.
static uint32_t drop_bits(uint32_t value, int count)
{
    uint32_t half = 1u << (count - 1), odd = (value >> count) & 1;
    return (value + half - 1 + odd) >> count;
}

uint16_t hone_f16_from_float(float value)
{
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00);            // 65536 and more
    if (magnitude >= 0x38800000)                                              // normal: 2^-14 and more
        return (uint16_t)(sign | drop_bits(magnitude - (112u << 23), 13));
    if (magnitude < 0x33000000) return (uint16_t)sign;                        // below 2^-25
    int shift = 126 - (int)(magnitude >> 23);                                 // subnormal, in steps of 2^-24
    return (uint16_t)(sign | drop_bits((magnitude & 0x7fffff) | 0x800000, shift));
}

float hone_f16_to_float(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    float value = (float)mantissa * 0x1p-24f;                                 // exact
    return float_of(sign | bits_of(value));
}

uint16_t hone_bf16_from_float(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)drop_bits(bits, 16);
}

float hone_bf16_to_float(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

static float clamp(float value, float most)
{
    if (value > most) return most;
    return value < -most ? -most : value;      // NaN passes through
}

static bool has_eights(void) { return __builtin_cpu_supports("f16c") && __builtin_cpu_supports("avx2"); }

void hone_f16_widen(const void *halves, float *to, size_t count)
{
    const unsigned char *from = halves;
    size_t done = has_eights() ? hone_f16_widen_avx2(from, to, count) : 0;
    for (; done < count; done++) {
        uint16_t bits;
        memcpy(&bits, from + done * sizeof bits, sizeof bits);
        to[done] = hone_f16_to_float(bits);
    }
}

void hone_f16_saturate(const void *floats, uint16_t *to, size_t count)
{
    const unsigned char *from = floats;
    size_t done = has_eights() ? hone_f16_saturate_avx2(from, to, count) : 0;
    for (; done < count; done++) {
        float value;
        memcpy(&value, from + done * sizeof value, sizeof value);
        to[done] = hone_f16_from_float(clamp(value, 65504.0f));
    }
}
