// SPDX-License-Identifier: Apache-2.0
// What the columns of the spelling tables say, read from the spellings themselves: derived, so that equal
// spellings are equal rows. Nothing here fails: what a spelling does not say is "" or 0.
#ifndef HONE_DB_IDENTITY_PRIV_H
#define HONE_DB_IDENTITY_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_device_words {     // cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W
    char backend[32];
    char architecture[64];
    char model[256];
    int64_t multiprocessors, memory_bytes, clock_mhz, power_w, threads;
} hone_device_words;

typedef struct hone_tactic_words {     // nvrtc.gemm_tile@3 bm=128 bn=64
    char source[64];                   // nvrtc
    char kernel[128];                  // gemm_tile, "" when the source has no kernels
    int64_t version;
    const char *parameters;            // borrowed from the spelling
} hone_tactic_words;

void hone_device_read(const char *spelling, hone_device_words *words);
void hone_tactic_read(const char *spelling, hone_tactic_words *words);
// Takes the next NAME=VERSION of a toolchain; false at the end.
bool hone_toolchain_next(const char **at, char name[64], char version[128]);
// True when each name=version of depends is one of the toolchain's.
bool hone_toolchain_covers(const char *toolchain, const char *depends);
// 0 lookup .. 4 exhaustive; -1 for another word.
int hone_effort_level(const char *effort);

#endif
