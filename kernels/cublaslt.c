// SPDX-License-Identifier: Apache-2.0
// Fence of cuBLASLt. The *_internal names are what the header's inline Init functions call; they take the size
// of the caller's struct, so that a library with larger descriptors refuses instead of overrunning.
#include "kernels/cublaslt_priv.h"

#include <stdio.h>

hone_cublaslt_api hone_cublaslt;

static const char *const files[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", NULL};

static const hone_dl_symbol symbols[] = {
    {"cublasLtGetVersion", &hone_cublaslt.GetVersion, 0},
    {"cublasLtGetStatusString", &hone_cublaslt.GetStatusString, 0},
    {"cublasLtCreate", &hone_cublaslt.Create, 0},
    {"cublasLtDestroy", &hone_cublaslt.Destroy, 0},
    {"cublasLtMatrixLayoutInit_internal", &hone_cublaslt.MatrixLayoutInit, 0},
    {"cublasLtMatrixLayoutSetAttribute", &hone_cublaslt.MatrixLayoutSetAttribute, 0},
    {"cublasLtMatmulDescInit_internal", &hone_cublaslt.MatmulDescInit, 0},
    {"cublasLtMatmulDescSetAttribute", &hone_cublaslt.MatmulDescSetAttribute, 0},
    {"cublasLtMatmulPreferenceInit_internal", &hone_cublaslt.MatmulPreferenceInit, 0},
    {"cublasLtMatmulPreferenceSetAttribute", &hone_cublaslt.MatmulPreferenceSetAttribute, 0},
    {"cublasLtMatmulAlgoGetHeuristic", &hone_cublaslt.MatmulAlgoGetHeuristic, 0},
    {"cublasLtMatmulAlgoGetIds", &hone_cublaslt.MatmulAlgoGetIds, 0},
    {"cublasLtMatmulAlgoInit", &hone_cublaslt.MatmulAlgoInit, 0},
    {"cublasLtMatmulAlgoCheck", &hone_cublaslt.MatmulAlgoCheck, 0},
    {"cublasLtMatmulAlgoCapGetAttribute", &hone_cublaslt.MatmulAlgoCapGetAttribute, 0},
    {"cublasLtMatmulAlgoConfigSetAttribute", &hone_cublaslt.MatmulAlgoConfigSetAttribute, 0},
    {"cublasLtMatmul", &hone_cublaslt.Matmul, 0},
};

hone_status hone_cublaslt_check(int status, const char *what)
{
    if (!status) return HONE_OK;
    hone_status code = status == V_CUBLAS_STATUS_ALLOC_FAILED ? HONE_NO_MEMORY
        : status == V_CUBLAS_STATUS_NOT_SUPPORTED || status == V_CUBLAS_STATUS_INVALID_VALUE || status == V_CUBLAS_STATUS_ARCH_MISMATCH
        ? HONE_DECLINED : HONE_INTERNAL;
    return hone_fail(code, "cuBLASLt: %s: %s (%d)", what, hone_cublaslt.GetStatusString(status), status);
}

static hone_status start(char *version, size_t capacity)
{
    size_t number = hone_cublaslt.GetVersion();       // 130100 is 13.1.0: CUBLAS_VERSION in cublas_api.h
    snprintf(version, capacity, "%zu.%zu.%zu", number / 10000, number / 100 % 100, number % 100);
    return HONE_OK;
}

hone_library hone_library_cublaslt = HONE_LIBRARY("cublaslt", files, symbols, start);
