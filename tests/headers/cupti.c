// SPDX-License-Identifier: Apache-2.0
#include <cupti.h>

#include "kernels/cupti_priv.h"
#include "tests/headers/same.h"
#include "constants.h"

#define KERNEL(field) SAME_FIELD_OF(v_CUpti_ActivityKernel, CUpti_ActivityKernel10, field)
#define MEMSET(field) SAME_FIELD_OF(v_CUpti_ActivityMemset, CUpti_ActivityMemset4, field)
#define MEMCPY(field) SAME_FIELD_OF(v_CUpti_ActivityMemcpy, CUpti_ActivityMemcpy6, field)
#define EXTERNAL(field) SAME_FIELD_OF(v_CUpti_ActivityExternalCorrelation, CUpti_ActivityExternalCorrelation, field)

SAME_FIELD(CUpti_Activity, kind);
KERNEL(kind);
KERNEL(registersPerThread);
KERNEL(start);
KERNEL(end);
KERNEL(streamId);
KERNEL(gridX);
KERNEL(gridY);
KERNEL(gridZ);
KERNEL(blockX);
KERNEL(blockY);
KERNEL(blockZ);
KERNEL(staticSharedMemory);
KERNEL(dynamicSharedMemory);
KERNEL(correlationId);
KERNEL(name);
KERNEL(graphNodeId);
MEMSET(kind);
MEMSET(start);
MEMSET(end);
MEMSET(streamId);
MEMSET(correlationId);
MEMSET(graphNodeId);
MEMCPY(kind);
MEMCPY(start);
MEMCPY(end);
MEMCPY(streamId);
MEMCPY(correlationId);
MEMCPY(graphNodeId);
EXTERNAL(kind);
EXTERNAL(externalKind);
EXTERNAL(externalId);
EXTERNAL(correlationId);
