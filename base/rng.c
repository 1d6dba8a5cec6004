// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"

#include <math.h>

#include "base/rng_priv.h"

void hone_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4])
{
    // The multipliers and Weyl steps of the paper, section 4 and table 2.
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], low_key = key[0], high_key = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t left = (uint64_t)0xD2511F53 * a, right = (uint64_t)0xCD9E8D57 * c;
        a = (uint32_t)(right >> 32) ^ b ^ low_key;
        c = (uint32_t)(left >> 32) ^ d ^ high_key;
        b = (uint32_t)right;
        d = (uint32_t)left;
        low_key += 0x9E3779B9;
        high_key += 0xBB67AE85;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

void hone_rng_words(uint64_t seed, uint64_t stream, uint64_t index, uint32_t words[4])
{
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    hone_philox(counter, key, words);
}

static double fraction(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

uint32_t hone_rng_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t words[4];
    hone_rng_words(seed, stream, index, words);
    return words[0];
}

double hone_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t words[4];
    hone_rng_words(seed, stream, index, words);
    return fraction(words[0], words[1]);
}

double hone_rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t words[4];
    hone_rng_words(seed, stream, index, words);
    double radius = sqrt(-2 * log(1 - fraction(words[0], words[1])));      // 1 - u lies in (0, 1]
    return radius * cos(6.283185307179586477 * fraction(words[2], words[3]));
}
