// SPDX-License-Identifier: Apache-2.0
// Fence of the CUDA driver. Names bear the version whose signature is declared: cuda.h renames them by macros.
#include "kernels/cuda_driver_priv.h"

#include <stdio.h>

hone_cuda_driver hone_cuda;

static const char *const files[] = {"libcuda.so.1", NULL};

static const hone_dl_symbol symbols[] = {
    {"cuInit", &hone_cuda.Init, 0},
    {"cuDriverGetVersion", &hone_cuda.DriverGetVersion, 0},
    {"cuGetErrorName", &hone_cuda.GetErrorName, 0},
    {"cuGetErrorString", &hone_cuda.GetErrorString, 0},
    {"cuDeviceGetCount", &hone_cuda.DeviceGetCount, 0},
    {"cuDeviceGet", &hone_cuda.DeviceGet, 0},
    {"cuDeviceGetName", &hone_cuda.DeviceGetName, 0},
    {"cuDeviceGetUuid_v2", &hone_cuda.DeviceGetUuid, 0},
    {"cuDeviceTotalMem_v2", &hone_cuda.DeviceTotalMem, 0},
    {"cuDeviceGetAttribute", &hone_cuda.DeviceGetAttribute, 0},
    {"cuDevicePrimaryCtxRetain", &hone_cuda.DevicePrimaryCtxRetain, 0},
    {"cuDevicePrimaryCtxRelease_v2", &hone_cuda.DevicePrimaryCtxRelease, 0},
    {"cuCtxSetCurrent", &hone_cuda.CtxSetCurrent, 0},
    {"cuMemAlloc_v2", &hone_cuda.MemAlloc, 0},
    {"cuMemFree_v2", &hone_cuda.MemFree, 0},
    {"cuMemHostAlloc", &hone_cuda.MemHostAlloc, 0},
    {"cuMemFreeHost", &hone_cuda.MemFreeHost, 0},
    {"cuMemcpyHtoDAsync_v2", &hone_cuda.MemcpyHtoDAsync, 0},
    {"cuMemcpyDtoHAsync_v2", &hone_cuda.MemcpyDtoHAsync, 0},
    {"cuMemcpyDtoDAsync_v2", &hone_cuda.MemcpyDtoDAsync, 0},
    {"cuMemsetD8Async", &hone_cuda.MemsetD8Async, 0},
    {"cuStreamCreate", &hone_cuda.StreamCreate, 0},
    {"cuStreamDestroy_v2", &hone_cuda.StreamDestroy, 0},
    {"cuStreamSynchronize", &hone_cuda.StreamSynchronize, 0},
    {"cuStreamWaitEvent", &hone_cuda.StreamWaitEvent, 0},
    {"cuStreamBeginCapture_v2", &hone_cuda.StreamBeginCapture, 0},
    {"cuStreamEndCapture", &hone_cuda.StreamEndCapture, 0},
    {"cuEventCreate", &hone_cuda.EventCreate, 0},
    {"cuEventDestroy_v2", &hone_cuda.EventDestroy, 0},
    {"cuEventRecord", &hone_cuda.EventRecord, 0},
    {"cuEventSynchronize", &hone_cuda.EventSynchronize, 0},
    {"cuEventElapsedTime", &hone_cuda.EventElapsedTime, 0},
    {"cuModuleLoadData", &hone_cuda.ModuleLoadData, 0},
    {"cuModuleUnload", &hone_cuda.ModuleUnload, 0},
    {"cuModuleGetFunction", &hone_cuda.ModuleGetFunction, 0},
    {"cuFuncSetAttribute", &hone_cuda.FuncSetAttribute, 0},
    {"cuLaunchKernelEx", &hone_cuda.LaunchKernelEx, 0},
    {"cuTensorMapEncodeTiled", &hone_cuda.TensorMapEncodeTiled, 1},
    {"cuTensorMapEncodeIm2col", &hone_cuda.TensorMapEncodeIm2col, 1},
    {"cuLaunchHostFunc", &hone_cuda.LaunchHostFunc, 0},
    {"cuGraphInstantiateWithFlags", &hone_cuda.GraphInstantiate, 0},
    {"cuGraphUpload", &hone_cuda.GraphUpload, 0},
    {"cuGraphLaunch", &hone_cuda.GraphLaunch, 0},
    {"cuGraphExecDestroy", &hone_cuda.GraphExecDestroy, 0},
    {"cuGraphDestroy", &hone_cuda.GraphDestroy, 0},
};

static const struct {
    int result;
    hone_status status;
} meanings[] = {
    {V_CUDA_ERROR_INVALID_VALUE, HONE_DECLINED},
    {V_CUDA_ERROR_OUT_OF_MEMORY, HONE_NO_MEMORY},
    {V_CUDA_ERROR_STUB_LIBRARY, HONE_NO_DEVICE},
    {V_CUDA_ERROR_DEVICE_UNAVAILABLE, HONE_AGAIN},
    {V_CUDA_ERROR_NO_DEVICE, HONE_NO_DEVICE},
    {V_CUDA_ERROR_INVALID_DEVICE, HONE_NO_DEVICE},
    {V_CUDA_ERROR_NO_BINARY_FOR_GPU, HONE_DECLINED},
    {V_CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, HONE_DECLINED},
    {V_CUDA_ERROR_NOT_SUPPORTED, HONE_DECLINED},
    {V_CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, HONE_NO_DEVICE},
    {V_CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, HONE_NO_DEVICE},
    {V_CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, HONE_AGAIN},
    {V_CUDA_ERROR_INVALID_CLUSTER_SIZE, HONE_DECLINED},
};

hone_status hone_cuda_check(int result, const char *what)
{
    const char *name = NULL, *text = NULL;
    hone_status status = HONE_INTERNAL;
    if (!result) return HONE_OK;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].result == result) status = meanings[i].status;
    hone_cuda.GetErrorName(result, &name);
    hone_cuda.GetErrorString(result, &text);
    return hone_fail(status, "%s: %s (%d): %s", what, name ? name : "unknown CUDA error", result, text ? text : "no text");
}

static hone_status start(char *version, size_t capacity)
{
    int number = 0;
    hone_status status = hone_cuda_check(hone_cuda.Init(0), "the CUDA driver does not start (CUDA_VISIBLE_DEVICES can hide GPUs)");
    if (status) return status == HONE_AGAIN ? status : hone_fail_in(HONE_NO_DEVICE, "%s", hone_library_cuda.dl.path);
    status = hone_cuda_check(hone_cuda.DriverGetVersion(&number), "version of the CUDA driver");
    snprintf(version, capacity, "%d.%d", number / 1000, number % 1000 / 10);
    return status;
}

hone_library hone_library_cuda = HONE_LIBRARY("cuda", files, symbols, start);
