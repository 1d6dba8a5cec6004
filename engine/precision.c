// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "engine/build.h"

const hone_precision hone_precisions[] = {
    {"fp32", HONE_F32, HONE_MATH_F32},
    {"tf32", HONE_F32, HONE_MATH_TF32},
    {"fp16", HONE_F16, HONE_MATH_F32},
    {"bf16", HONE_BF16, HONE_MATH_F32},
};
const int hone_precision_count = sizeof hone_precisions / sizeof *hone_precisions;

static const hone_precision *find(const char *name, size_t size) {
    for (int k = 0; k < hone_precision_count; k++)
        if (strlen(hone_precisions[k].name) == size && !strncmp(hone_precisions[k].name, name, size)) return &hone_precisions[k];
    return NULL;
}

hone_status hone_precision_set_parse(const char *text, hone_precision_set *set) {
    set->n = 0;
    for (const char *at = text;;) {
        size_t size = strcspn(at, ",");
        const hone_precision *precision = find(at, size);
        if (!precision)
            return hone_fail(HONE_USAGE, "unknown precision '%.*s': give a list of fp32, tf32, fp16, bf16", (int)size, at);
        for (int k = 0; k < set->n; k++)
            if (set->items[k] == precision) return hone_fail(HONE_USAGE, "precision %s is named twice", precision->name);
        set->items[set->n++] = precision;
        if (!at[size]) return HONE_OK;
        at += size + 1;
    }
}
