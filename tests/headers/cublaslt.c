// SPDX-License-Identifier: Apache-2.0
#include <cublasLt.h>

#include "kernels/cublaslt_priv.h"
#include "tests/headers/same.h"
#include "constants.h"

SAME_SIZE(cublasLtHandle_t);
SAME_SIZE(cublasLtMatrixLayoutOpaque_t);
SAME_SIZE(cublasLtMatmulDescOpaque_t);
SAME_SIZE(cublasLtMatmulPreferenceOpaque_t);
SAME_SIZE(cublasLtMatmulAlgo_t);
SAME_SIZE(cublasLtMatmulHeuristicResult_t);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, algo);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, workspaceSize);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, state);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, wavesCount);
