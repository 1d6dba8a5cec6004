// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_BASE_CLOCK_H
#define HONE_BASE_CLOCK_H

#include <stdint.h>

int64_t hone_clock_ns(void);          // monotonic
int64_t hone_clock_unix_ms(void);     // wall clock, for provenance only
void hone_sleep_ns(int64_t ns);

#endif
