// SPDX-License-Identifier: Apache-2.0
// Fence of cuDNN 9. libcudnn.so.9 is a shim that opens its own parts (libcudnn_graph, _engines_*...) on first use, by
// the loader's rules: parts of another version are refused by cuDNN itself, and the message says so.
#include "kernels/cudnn_priv.h"

#include <stdio.h>
#include <string.h>

hone_cudnn_api hone_cudnn;

static const char *const files[] = {"libcudnn.so.9", NULL};

static const hone_dl_symbol symbols[] = {
    {"cudnnGetVersion", &hone_cudnn.GetVersion, 0},
    {"cudnnGetErrorString", &hone_cudnn.GetErrorString, 0},
    {"cudnnGetLastErrorString", &hone_cudnn.GetLastErrorString, 0},
    {"cudnnCreate", &hone_cudnn.Create, 0},
    {"cudnnDestroy", &hone_cudnn.Destroy, 0},
    {"cudnnSetStream", &hone_cudnn.SetStream, 0},
    {"cudnnBackendCreateDescriptor", &hone_cudnn.BackendCreateDescriptor, 0},
    {"cudnnBackendDestroyDescriptor", &hone_cudnn.BackendDestroyDescriptor, 0},
    {"cudnnBackendFinalize", &hone_cudnn.BackendFinalize, 0},
    {"cudnnBackendSetAttribute", &hone_cudnn.BackendSetAttribute, 0},
    {"cudnnBackendGetAttribute", &hone_cudnn.BackendGetAttribute, 0},
    {"cudnnBackendExecute", &hone_cudnn.BackendExecute, 0},
};

static hone_status meaning(int status)
{
    if (status == V_CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED || status == V_CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
        return HONE_NO_MEMORY;
    // The thousands are the kind of error, the rest says which.
    if (status >= V_CUDNN_STATUS_BAD_PARAM && status < V_CUDNN_STATUS_EXECUTION_FAILED) return HONE_DECLINED;
    return HONE_INTERNAL;
}

hone_status hone_cudnn_check(int status, const char *what)
{
    char message[512] = "";
    if (!status) return HONE_OK;
    // Of the driver and NVRTC, which it means, the driver is there: the device is open.
    if (status == V_CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING)
        what = "it compiles this engine at run time and did not find NVRTC: install that (libnvrtc), or build the plan with --without nvrtc";
    hone_cudnn.GetLastErrorString(message, sizeof message);
    return hone_fail(meaning(status), "cuDNN: %s: %s (%d)%s%s", what, hone_cudnn.GetErrorString(status), status, *message ? ": " : "", message);
}

static hone_status start(char *version, size_t capacity)
{
    size_t number = hone_cudnn.GetVersion();        // 91900 is 9.19.0: CUDNN_VERSION in cudnn_version.h
    snprintf(version, capacity, "%zu.%zu.%zu", number / 10000, number / 100 % 100, number % 100);
    return HONE_OK;
}

hone_library hone_library_cudnn = HONE_LIBRARY("cudnn", files, symbols, start);
