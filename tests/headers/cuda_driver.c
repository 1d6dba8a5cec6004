// SPDX-License-Identifier: Apache-2.0
#include <cuda.h>

#include "kernels/cuda_driver_priv.h"
#include "tests/headers/same.h"
#include "constants.h"

SAME_SIZE(CUdevice);
SAME_SIZE(CUdeviceptr);
SAME_SIZE(CUuuid);
SAME_SIZE(CUtensorMap);
SAME_SIZE(CUlaunchAttributeValue);
SAME_FIELD(CUlaunchAttributeValue, clusterDim);
SAME_FIELD(CUlaunchAttributeValue, clusterDim.x);
SAME_FIELD(CUlaunchAttributeValue, clusterDim.y);
SAME_FIELD(CUlaunchAttributeValue, clusterDim.z);
SAME_FIELD(CUlaunchAttributeValue, programmaticStreamSerializationAllowed);
SAME_SIZE(CUlaunchAttribute);
SAME_FIELD(CUlaunchAttribute, id);
SAME_FIELD(CUlaunchAttribute, value);
SAME_SIZE(CUlaunchConfig);
SAME_FIELD(CUlaunchConfig, gridDimX);
SAME_FIELD(CUlaunchConfig, gridDimY);
SAME_FIELD(CUlaunchConfig, gridDimZ);
SAME_FIELD(CUlaunchConfig, blockDimX);
SAME_FIELD(CUlaunchConfig, blockDimY);
SAME_FIELD(CUlaunchConfig, blockDimZ);
SAME_FIELD(CUlaunchConfig, sharedMemBytes);
SAME_FIELD(CUlaunchConfig, hStream);
SAME_FIELD(CUlaunchConfig, attrs);
SAME_FIELD(CUlaunchConfig, numAttrs);
