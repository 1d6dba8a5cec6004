// SPDX-License-Identifier: Apache-2.0
// Device "cpu". A stream is a thread with a queue; the NULL stream is the caller itself, and runs work at once.
#ifndef HONE_KERNELS_DEVICE_CPU_H
#define HONE_KERNELS_DEVICE_CPU_H

#include "kernels/device.h"

#define HONE_CPU_ARGS_MAX 1024

// Enqueues work with a copy of its arguments (at most HONE_CPU_ARGS_MAX bytes). A failure of body on a stream of its own stays with
// the stream: later work on it is skipped, and the next sync returns the failure once. On the NULL stream it is returned here.
hone_status hone_cpu_enqueue(hone_device *device, hone_stream *stream, hone_status (*body)(const void *args), const void *args,
                             size_t size_bytes);

// "x86_64-avx512", "x86_64-avx2" or "x86_64-sse": what this machine's cores offer.
const char *hone_cpu_arch(void);

#endif
