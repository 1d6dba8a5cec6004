// SPDX-License-Identifier: Apache-2.0
// What hone uses of cuBLASLt's interface (13.x), as a table of functions. A constant is the vendor's name behind
// V_, a type behind v_, so that tests/headers can hold each against the vendor's header.
#ifndef HONE_KERNELS_CUBLASLT_PRIV_H
#define HONE_KERNELS_CUBLASLT_PRIV_H

#include <stdint.h>

#include "kernels/library.h"

typedef struct v_cublasLtContext *v_cublasLtHandle_t;

typedef struct v_cublasLtMatrixLayoutOpaque_t {
    uint64_t data[8];
} v_cublasLtMatrixLayoutOpaque_t;

typedef struct v_cublasLtMatmulDescOpaque_t {
    uint64_t data[32];
} v_cublasLtMatmulDescOpaque_t;

typedef struct v_cublasLtMatmulPreferenceOpaque_t {
    uint64_t data[8];
} v_cublasLtMatmulPreferenceOpaque_t;

typedef struct v_cublasLtMatmulAlgo_t {
    uint64_t data[8];
} v_cublasLtMatmulAlgo_t;

typedef struct v_cublasLtMatmulHeuristicResult_t {
    v_cublasLtMatmulAlgo_t algo;
    size_t workspaceSize;
    int state;
    float wavesCount;
    int reserved[4];
} v_cublasLtMatmulHeuristicResult_t;

enum {
    V_CUBLAS_STATUS_SUCCESS = 0,
    V_CUBLAS_STATUS_ALLOC_FAILED = 3,
    V_CUBLAS_STATUS_INVALID_VALUE = 7,
    V_CUBLAS_STATUS_ARCH_MISMATCH = 8,
    V_CUBLAS_STATUS_NOT_SUPPORTED = 15,

    V_CUDA_R_32F = 0,
    V_CUDA_R_16F = 2,
    V_CUDA_R_16BF = 14,
    V_CUBLAS_COMPUTE_32F = 68,
    V_CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
    V_CUBLAS_OP_N = 0,
    V_CUBLAS_OP_T = 1,

    V_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5,
    V_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6,
    V_CUBLASLT_MATMUL_DESC_TRANSA = 3,
    V_CUBLASLT_MATMUL_DESC_TRANSB = 4,
    V_CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
    V_CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
    V_CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE = 26,
    V_CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
    V_CUBLASLT_EPILOGUE_DEFAULT = 1,
    V_CUBLASLT_EPILOGUE_RELU = 2,
    V_CUBLASLT_EPILOGUE_BIAS = 4,
    V_CUBLASLT_EPILOGUE_GELU = 32,

    V_CUBLASLT_ALGO_CAP_SPLITK_SUPPORT = 0,
    V_CUBLASLT_ALGO_CAP_TILE_IDS = 6,
    V_CUBLASLT_ALGO_CAP_CUSTOM_OPTION_MAX = 7,
    V_CUBLASLT_ALGO_CAP_STAGES_IDS = 13,
    V_CUBLASLT_ALGO_CONFIG_ID = 0,
    V_CUBLASLT_ALGO_CONFIG_TILE_ID = 1,
    V_CUBLASLT_ALGO_CONFIG_SPLITK_NUM = 2,
    V_CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME = 3,
    V_CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION = 5,
    V_CUBLASLT_ALGO_CONFIG_STAGES_ID = 6,
    V_CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID = 8,
    V_CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2,
    V_CUBLASLT_CLUSTER_SHAPE_AUTO = 0,
    V_CUBLASLT_CLUSTER_SHAPE_1x1x1 = 2,
    V_CUBLASLT_CLUSTER_SHAPE_2x1x1 = 3,
    V_CUBLASLT_CLUSTER_SHAPE_1x2x1 = 5,
    V_CUBLASLT_CLUSTER_SHAPE_2x2x1 = 6,
};

typedef v_cublasLtMatrixLayoutOpaque_t v_layout;
typedef v_cublasLtMatmulDescOpaque_t v_desc;

// Members bear the vendor's names without cublasLt; each answers a cublasStatus_t unless it says otherwise.
typedef struct hone_cublaslt_api {
    size_t (*GetVersion)(void);
    const char *(*GetStatusString)(int status);
    int (*Create)(v_cublasLtHandle_t *handle);
    int (*Destroy)(v_cublasLtHandle_t handle);
    int (*MatrixLayoutInit)(v_layout *layout, size_t size, int type, uint64_t rows, uint64_t cols, int64_t leading);
    int (*MatrixLayoutSetAttribute)(v_layout *layout, int attribute, const void *value, size_t size);
    int (*MatmulDescInit)(v_desc *desc, size_t size, int compute_type, int scale_type);
    int (*MatmulDescSetAttribute)(v_desc *desc, int attribute, const void *value, size_t size);
    int (*MatmulPreferenceInit)(v_cublasLtMatmulPreferenceOpaque_t *preference, size_t size);
    int (*MatmulPreferenceSetAttribute)(v_cublasLtMatmulPreferenceOpaque_t *preference, int attribute, const void *value, size_t size);
    int (*MatmulAlgoGetHeuristic)(v_cublasLtHandle_t handle, v_desc *desc, v_layout *a, v_layout *b, v_layout *c, v_layout *d,
                                  v_cublasLtMatmulPreferenceOpaque_t *preference, int wanted, v_cublasLtMatmulHeuristicResult_t *results,
                                  int *count);
    int (*MatmulAlgoGetIds)(v_cublasLtHandle_t handle, int compute_type, int scale_type, int a, int b, int c, int d, int wanted, int *ids,
                            int *count);
    int (*MatmulAlgoInit)(v_cublasLtHandle_t handle, int compute_type, int scale_type, int a, int b, int c, int d, int id,
                          v_cublasLtMatmulAlgo_t *algo);
    int (*MatmulAlgoCheck)(v_cublasLtHandle_t handle, v_desc *desc, v_layout *a, v_layout *b, v_layout *c, v_layout *d,
                           const v_cublasLtMatmulAlgo_t *algo, v_cublasLtMatmulHeuristicResult_t *result);
    int (*MatmulAlgoCapGetAttribute)(const v_cublasLtMatmulAlgo_t *algo, int attribute, void *value, size_t size, size_t *written);
    int (*MatmulAlgoConfigSetAttribute)(v_cublasLtMatmulAlgo_t *algo, int attribute, const void *value, size_t size);
    int (*Matmul)(v_cublasLtHandle_t handle, v_desc *desc, const void *alpha, const void *a, v_layout *la, const void *b, v_layout *lb,
                  const void *beta, const void *c, v_layout *lc, void *d, v_layout *ld, const v_cublasLtMatmulAlgo_t *algo,
                  void *workspace, size_t workspace_bytes, void *stream);
} hone_cublaslt_api;

extern hone_library hone_library_cublaslt;
extern hone_cublaslt_api hone_cublaslt;       // valid once hone_library_cublaslt is open

// HONE_OK for 0. "not supported" and "invalid value" for a problem are HONE_DECLINED, the rest HONE_INTERNAL or HONE_NO_MEMORY.
hone_status hone_cublaslt_check(int status, const char *what);

#endif
