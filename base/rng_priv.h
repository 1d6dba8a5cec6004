// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_BASE_RNG_PRIV_H
#define HONE_BASE_RNG_PRIV_H

#include <stdint.h>

// Philox4x32 with 10 rounds: the four output words of one counter value.
void hone_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

#endif
