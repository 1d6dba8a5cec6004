// SPDX-License-Identifier: Apache-2.0
// A tactic is data: source, kernel, version, named integers and, for a vendor library, its own portable
// description. Spelling: "nvrtc.gemm_tile@3 bm=128 bn=64 stages=3", "cudnn.conv@1 engine=38 knobs=2:1,5:3".
// Parameters print in the order of the space; parse and print are inverse. A vendor's word must not look like a decimal integer
// (begin it with a letter), or it becomes a parameter.
#ifndef HONE_KERNELS_TACTIC_H
#define HONE_KERNELS_TACTIC_H

#include "base/status.h"
#include "base/text.h"

#define HONE_PARAMS_MAX 16
#define HONE_VENDOR_MAX 512
#define HONE_TACTIC_TEXT 1024

typedef struct hone_param {
    char name[16];
    int64_t value;
} hone_param;

typedef struct hone_tactic {
    char source[16];
    char kernel[32];
    int version;
    int n;
    hone_param params[HONE_PARAMS_MAX];
    char vendor[HONE_VENDOR_MAX];      // "name=token" words without integers' form, e.g. "algo=00ff..."; "" if none
} hone_tactic;

hone_status hone_tactic_parse(const char *text, hone_tactic *tactic);
void hone_tactic_print(const hone_tactic *tactic, char text[HONE_TACTIC_TEXT]);
int64_t hone_tactic_get(const hone_tactic *tactic, const char *name, int64_t fallback);
hone_status hone_tactic_set(hone_tactic *tactic, const char *name, int64_t value);

#endif
