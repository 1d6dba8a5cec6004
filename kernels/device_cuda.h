// SPDX-License-Identifier: Apache-2.0
// What sources that call vendor libraries need of a "cuda" device beyond hone_device: raw handles.
#ifndef HONE_KERNELS_DEVICE_CUDA_H
#define HONE_KERNELS_DEVICE_CUDA_H

#include "kernels/device.h"

hone_status hone_cuda_use(hone_device *device);                          // makes its context current in this thread
void *hone_cuda_stream(hone_device *device, hone_stream *stream);        // CUstream; NULL stream: the device's own

// Host memory that the device reads and writes when a copy's turn comes. From other host memory a copy to the device is taken when it is enqueued.
// Ordinary memory for a device of another backend that calls itself cuda.
hone_status hone_cuda_alloc_host(hone_device *device, size_t size_bytes, void **memory);       // hone_cuda_free_host
void hone_cuda_free_host(hone_device *device, void *memory);                                   // NULL is legal

#endif
