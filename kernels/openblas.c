// SPDX-License-Identifier: Apache-2.0
// Declares what it uses of cblas.h: the interface with 32-bit integers that distributions ship.
#include "kernels/openblas.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

static struct {
    char *(*config)(void);
    void (*set_threads)(int threads);
    void (*sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                  int ldb, float beta, float *c, int ldc);
} blas;

static const char *const files[] = {"libopenblas.so.0", "libopenblas.so", NULL};

static const hone_dl_symbol symbols[] = {
    {"openblas_get_config", &blas.config, 0},
    {"openblas_set_num_threads", &blas.set_threads, 0},
    {"cblas_sgemm", &blas.sgemm, 0},
};

// The configuration reads "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...".
static hone_status start(char *version, size_t capacity)
{
    char word[32];
    hone_scan scan = {blas.config()};
    if (!hone_scan_literal(&scan, "OpenBLAS ") || !hone_scan_token(&scan, word, sizeof word))
        return hone_fail(HONE_NO_DEVICE, "OpenBLAS does not tell its version: \"%.60s\"", blas.config());
    if (strstr(scan.at, "USE64BITINT"))
        return hone_fail(HONE_NO_DEVICE, "this OpenBLAS takes 64-bit integers; the usual build with 32-bit ones is needed");
    snprintf(version, capacity, "%s", word);
    blas.set_threads(1);
    return HONE_OK;
}

hone_library hone_library_openblas = HONE_LIBRARY("openblas", files, symbols, start);

void hone_openblas_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                         const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    HONE_ASSERT(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX);
    if (m <= 0 || n <= 0) return;
    // BLAS demands leading dimensions of at least one even where k is 0.
    blas.sgemm(ROW_MAJOR, trans_a ? TRANS : NO_TRANS, trans_b ? TRANS : NO_TRANS, (int)m, (int)n, (int)k, alpha, a,
               (int)(lda > 0 ? lda : 1), b, (int)(ldb > 0 ? ldb : 1), beta, c, (int)ldc);
}
