// SPDX-License-Identifier: Apache-2.0
#include <cudnn.h>

#include "kernels/cudnn_priv.h"
#include "tests/headers/same.h"
#include "constants.h"

SAME_SIZE(cudnnHandle_t);
SAME_SIZE(cudnnBackendDescriptor_t);
// Attributes of these types are passed as int.
_Static_assert(sizeof(cudnnBackendAttributeName_t) == sizeof(int), "attribute names");
_Static_assert(sizeof(cudnnDataType_t) == sizeof(int), "data types");
_Static_assert(sizeof(cudnnPointwiseMode_t) == sizeof(int), "pointwise modes");
_Static_assert(sizeof(cudnnBackendKnobType_t) == sizeof(int), "knob types");
_Static_assert(sizeof(cudnnBackendHeurMode_t) == sizeof(int), "heuristic modes");
_Static_assert(sizeof(cudnnBackendNumericalNote_t) == sizeof(int), "numerical notes");
_Static_assert(sizeof(cudnnConvolutionMode_t) == sizeof(int), "convolution modes");
_Static_assert(CUDNN_NUMERICAL_NOTE_TYPE_COUNT <= 32, "source_cudnn.c reads at most 32 notes");
