// SPDX-License-Identifier: Apache-2.0
// Integer expressions over named variables: what the heads of the CUDA kernels say about their parameters.
//
//   + - * / %   == != < <= > >=   && || !   c ? a : b   ( )   min(a,b) max(a,b) ceil(a,b) = a/b rounded up,
//   align(a,b) = a rounded up to a multiple of b, pow2(a) = the largest power of two that divides a
//
// Division truncates as in C. Plain data, no ownership.
#ifndef HONE_KERNELS_NVRTC_EXPR_PRIV_H
#define HONE_KERNELS_NVRTC_EXPR_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define HONE_VARS_MAX 160
#define HONE_VARS_SLOTS 512

typedef struct hone_vars {             // all zero at first
    int n;
    unsigned char slots[HONE_VARS_SLOTS];      // by name: 1 + a place below, 0 free
    struct { char name[24]; int64_t value; } at[HONE_VARS_MAX];
} hone_vars;

void hone_vars_set(hone_vars *vars, const char *name, int64_t value);     // overwrites a variable of that name
bool hone_vars_find(const hone_vars *vars, const char *name, int64_t *value);
int64_t hone_vars_get(const hone_vars *vars, const char *name);           // the name must be there (assertion)

// HONE_USAGE names what cannot be read, is unknown or divides by zero. The whole text must be one expression.
hone_status hone_expr_eval(const char *text, const hone_vars *vars, int64_t *value);

#endif
