// SPDX-License-Identifier: Apache-2.0
// What hone uses of CUPTI's activity interface (CUDA 12 and 13). A constant is the vendor's name behind V_, a type
// behind v_, so that tests/headers can hold each against the vendor's header. Records only grow at their end from one
// CUPTI to the next, so only the beginnings that hone reads are declared.
#ifndef HONE_KERNELS_CUPTI_PRIV_H
#define HONE_KERNELS_CUPTI_PRIV_H

#include <stddef.h>
#include <stdint.h>

#define V_PACKED __attribute__((__packed__, aligned(8)))

typedef struct V_PACKED v_CUpti_Activity {
    uint32_t kind;
} v_CUpti_Activity;

typedef struct V_PACKED v_CUpti_ActivityKernel {       // of CUpti_ActivityKernel10
    uint32_t kind;
    uint8_t cacheConfig;
    uint8_t sharedMemoryConfig;
    uint16_t registersPerThread;
    uint32_t partitionedGlobalCacheRequested, partitionedGlobalCacheExecuted;
    uint64_t start, end, completed;
    uint32_t deviceId, contextId, streamId;
    int32_t gridX, gridY, gridZ, blockX, blockY, blockZ;
    int32_t staticSharedMemory, dynamicSharedMemory;
    uint32_t localMemoryPerThread, localMemoryTotal;
    uint32_t correlationId;
    int64_t gridId;
    const char *name;
    void *reserved0;
    uint64_t queued, submitted;
    uint8_t launchType, isSharedMemoryCarveoutRequested, sharedMemoryCarveoutRequested, padding;
    uint32_t sharedMemoryExecuted;
    uint64_t graphNodeId;
} v_CUpti_ActivityKernel;

typedef struct V_PACKED v_CUpti_ActivityMemset {       // of CUpti_ActivityMemset4
    uint32_t kind;
    uint32_t value;
    uint64_t bytes, start, end;
    uint32_t deviceId, contextId, streamId, correlationId;
    uint16_t flags, memoryKind;
    uint32_t pad;
    void *reserved0;
    uint64_t graphNodeId;
} v_CUpti_ActivityMemset;

typedef struct V_PACKED v_CUpti_ActivityMemcpy {       // of CUpti_ActivityMemcpy6
    uint32_t kind;
    uint8_t copyKind, srcKind, dstKind, flags;
    uint64_t bytes, start, end;
    uint32_t deviceId, contextId, streamId, correlationId, runtimeCorrelationId;
    uint32_t pad;
    void *reserved0;
    uint64_t graphNodeId;
} v_CUpti_ActivityMemcpy;

typedef struct V_PACKED v_CUpti_ActivityExternalCorrelation {
    uint32_t kind, externalKind;
    uint64_t externalId;
    uint32_t correlationId, reserved;
} v_CUpti_ActivityExternalCorrelation;

enum {
    V_CUPTI_SUCCESS = 0,
    V_CUPTI_ERROR_MAX_LIMIT_REACHED = 12,
    V_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED = 39,
    V_CUPTI_ACTIVITY_KIND_MEMCPY = 1,
    V_CUPTI_ACTIVITY_KIND_MEMSET = 2,
    V_CUPTI_ACTIVITY_KIND_DRIVER = 4,
    V_CUPTI_ACTIVITY_KIND_RUNTIME = 5,
    V_CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL = 10,
    V_CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION = 39,
    V_CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0 = 3,
    V_CUPTI_ACTIVITY_FLAG_FLUSH_FORCED = 1,
};

typedef void (*v_CUpti_BuffersCallbackRequestFunc)(uint8_t **buffer, size_t *size, size_t *max_records);
typedef void (*v_CUpti_BuffersCallbackCompleteFunc)(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid);

#endif
