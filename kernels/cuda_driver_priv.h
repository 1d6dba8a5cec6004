// SPDX-License-Identifier: Apache-2.0
// What hone uses of the CUDA driver's interface (11.8 and later), as a table of functions. A constant is the
// vendor's name behind V_, a type behind v_, so that tests/headers can hold each against the vendor's header.
#ifndef HONE_KERNELS_CUDA_DRIVER_PRIV_H
#define HONE_KERNELS_CUDA_DRIVER_PRIV_H

#include <stdint.h>

#include "kernels/library.h"

typedef int v_CUdevice;
typedef unsigned long long v_CUdeviceptr;
typedef struct v_CUctx *v_CUcontext;
typedef struct v_CUstr *v_CUstream;
typedef struct v_CUevt *v_CUevent;
typedef struct v_CUmod *v_CUmodule;
typedef struct v_CUfun *v_CUfunction;
typedef struct v_CUgra *v_CUgraph;
typedef struct v_CUgnd *v_CUgraphNode;
typedef struct v_CUgex *v_CUgraphExec;

typedef struct v_CUuuid {
    char bytes[16];
} v_CUuuid;

typedef struct v_CUtensorMap {
    _Alignas(64) uint64_t opaque[16];
} v_CUtensorMap;

typedef union v_CUlaunchAttributeValue {
    char pad[64];
    struct {
        unsigned x, y, z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
} v_CUlaunchAttributeValue;

typedef struct v_CUlaunchAttribute {
    int id;
    char pad[4];
    v_CUlaunchAttributeValue value;
} v_CUlaunchAttribute;

typedef struct v_CUlaunchConfig {
    unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    v_CUstream hStream;
    v_CUlaunchAttribute *attrs;
    unsigned numAttrs;
} v_CUlaunchConfig;

enum {
    V_CUDA_ERROR_INVALID_VALUE = 1,
    V_CUDA_ERROR_OUT_OF_MEMORY = 2,
    V_CUDA_ERROR_STUB_LIBRARY = 34,
    V_CUDA_ERROR_DEVICE_UNAVAILABLE = 46,
    V_CUDA_ERROR_NO_DEVICE = 100,
    V_CUDA_ERROR_INVALID_DEVICE = 101,
    V_CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    V_CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
    V_CUDA_ERROR_NOT_SUPPORTED = 801,
    V_CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
    V_CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804,
    V_CUDA_ERROR_MPS_MAX_CLIENTS_REACHED = 808,
    V_CUDA_ERROR_INVALID_CLUSTER_SIZE = 912,

    V_CU_DEVICE_ATTRIBUTE_CLOCK_RATE = 13,
    V_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    V_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    V_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    V_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
    V_CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT = 9,
    V_CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14,
    V_CU_STREAM_NON_BLOCKING = 1,
    V_CU_EVENT_DEFAULT = 0,
    V_CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,
    V_CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION = 4,
    V_CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6,
    V_CU_TENSOR_MAP_DATA_TYPE_UINT16 = 1,
    V_CU_TENSOR_MAP_DATA_TYPE_UINT32 = 2,
    V_CU_TENSOR_MAP_INTERLEAVE_NONE = 0,
    V_CU_TENSOR_MAP_SWIZZLE_128B = 3,
    V_CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3,
    V_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0,
};

#define V_CU_LAUNCH_PARAM_END ((void *)0)
#define V_CU_LAUNCH_PARAM_BUFFER_POINTER ((void *)1)
#define V_CU_LAUNCH_PARAM_BUFFER_SIZE ((void *)2)

// Every function answers a CUresult. Member names are the vendor's without cu and without a version.
typedef struct hone_cuda_driver {
    int (*Init)(unsigned flags);
    int (*DriverGetVersion)(int *version);
    int (*GetErrorName)(int error, const char **name);
    int (*GetErrorString)(int error, const char **text);
    int (*DeviceGetCount)(int *count);
    int (*DeviceGet)(v_CUdevice *device, int ordinal);
    int (*DeviceGetName)(char *name, int capacity, v_CUdevice device);
    int (*DeviceGetUuid)(v_CUuuid *uuid, v_CUdevice device);
    int (*DeviceTotalMem)(size_t *bytes, v_CUdevice device);
    int (*DeviceGetAttribute)(int *value, int attribute, v_CUdevice device);
    int (*DevicePrimaryCtxRetain)(v_CUcontext *context, v_CUdevice device);
    int (*DevicePrimaryCtxRelease)(v_CUdevice device);
    int (*CtxSetCurrent)(v_CUcontext context);
    int (*MemAlloc)(v_CUdeviceptr *memory, size_t size_bytes);
    int (*MemFree)(v_CUdeviceptr memory);
    int (*MemHostAlloc)(void **memory, size_t size_bytes, unsigned flags);
    int (*MemFreeHost)(void *memory);
    int (*MemcpyHtoDAsync)(v_CUdeviceptr to, const void *from, size_t size_bytes, v_CUstream stream);
    int (*MemcpyDtoHAsync)(void *to, v_CUdeviceptr from, size_t size_bytes, v_CUstream stream);
    int (*MemcpyDtoDAsync)(v_CUdeviceptr to, v_CUdeviceptr from, size_t size_bytes, v_CUstream stream);
    int (*MemsetD8Async)(v_CUdeviceptr to, unsigned char byte, size_t count, v_CUstream stream);
    int (*StreamCreate)(v_CUstream *stream, unsigned flags);
    int (*StreamDestroy)(v_CUstream stream);
    int (*StreamSynchronize)(v_CUstream stream);
    int (*StreamWaitEvent)(v_CUstream stream, v_CUevent event, unsigned flags);
    int (*StreamBeginCapture)(v_CUstream stream, int mode);
    int (*StreamEndCapture)(v_CUstream stream, v_CUgraph *graph);
    int (*EventCreate)(v_CUevent *event, unsigned flags);
    int (*EventDestroy)(v_CUevent event);
    int (*EventRecord)(v_CUevent event, v_CUstream stream);
    int (*EventSynchronize)(v_CUevent event);
    int (*EventElapsedTime)(float *ms, v_CUevent from, v_CUevent to);
    int (*ModuleLoadData)(v_CUmodule *module, const void *image);
    int (*ModuleUnload)(v_CUmodule module);
    int (*ModuleGetFunction)(v_CUfunction *function, v_CUmodule module, const char *name);
    int (*FuncSetAttribute)(v_CUfunction function, int attribute, int value);
    int (*LaunchKernelEx)(const v_CUlaunchConfig *config, v_CUfunction function, void **params, void **extra);
    // CUDA 12.0 and later, NULL before.
    int (*TensorMapEncodeTiled)(v_CUtensorMap *map, int type, uint32_t rank, void *memory, const uint64_t *dims, const uint64_t *strides_bytes,
                                const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int promotion, int fill);
    int (*TensorMapEncodeIm2col)(v_CUtensorMap *map, int type, uint32_t rank, void *memory, const uint64_t *dims, const uint64_t *strides_bytes,
                                 const int *lower, const int *upper, uint32_t channels, uint32_t pixels, const uint32_t *steps, int interleave,
                                 int swizzle, int promotion, int fill);
    int (*LaunchHostFunc)(v_CUstream stream, void (*body)(void *user), void *user);
    int (*GraphInstantiate)(v_CUgraphExec *exec, v_CUgraph graph, unsigned long long flags);
    int (*GraphUpload)(v_CUgraphExec exec, v_CUstream stream);
    int (*GraphLaunch)(v_CUgraphExec exec, v_CUstream stream);
    int (*GraphExecDestroy)(v_CUgraphExec exec);
    int (*GraphDestroy)(v_CUgraph graph);
} hone_cuda_driver;

extern hone_library hone_library_cuda;
extern hone_cuda_driver hone_cuda;         // valid once hone_library_cuda is open

// HONE_OK for 0; otherwise "WHAT: NAME: text" of the driver under the status that it stands for: what a candidate
// may cause is HONE_DECLINED, memory HONE_NO_MEMORY, no usable GPU HONE_NO_DEVICE, the rest HONE_INTERNAL.
hone_status hone_cuda_check(int result, const char *what);

#endif
