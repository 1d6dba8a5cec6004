// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator. Element i of stream (seed, stream) is a pure function, so any thread can make any element.
#ifndef HONE_BASE_RNG_H
#define HONE_BASE_RNG_H

#include <stdint.h>

void hone_rng_words(uint64_t seed, uint64_t stream, uint64_t index, uint32_t words[4]);    // all that one element has
uint32_t hone_rng_bits(uint64_t seed, uint64_t stream, uint64_t index);                    // the first word
double hone_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);    // [0, 1)
double hone_rng_normal(uint64_t seed, uint64_t stream, uint64_t index);     // mean 0, variance 1 (Box-Muller)

#endif
