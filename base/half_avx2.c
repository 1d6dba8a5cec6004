// SPDX-License-Identifier: Apache-2.0
#include "base/half_priv.h"

#pragma GCC target("arch=x86-64-v3")

#include <immintrin.h>

size_t hone_f16_saturate_avx2(const unsigned char *floats, uint16_t *to, size_t count)
{
    const __m256 most = _mm256_set1_ps(65504.0f), least = _mm256_set1_ps(-65504.0f);
    size_t k = 0;
    for (; k + 8 <= count; k += 8) {
        __m256 x = _mm256_loadu_ps((const float *)(const void *)(floats + 4 * k));
        x = _mm256_max_ps(least, _mm256_min_ps(most, x));       // of a NaN the second operand comes out: NaN stays
        _mm_storeu_si128((__m128i *)(void *)(to + k), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    return k;
}

// A signalling NaN comes out quiet, unlike in the loop beside it: a NaN either way.
size_t hone_f16_widen_avx2(const unsigned char *halves, float *to, size_t count)
{
    size_t k = 0;
    for (; k + 8 <= count; k += 8)
        _mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(halves + 2 * k))));
    return k;
}
