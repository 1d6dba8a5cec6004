// SPDX-License-Identifier: Apache-2.0
// Devices behind one interface: cpu, cuda, replay. A device is opened, gives memory, order (streams, events), code (load, launch,
// capture, replay). Nothing above kernels/ knows which one it has. Calls on one device may come from several threads; a stream belongs to one thread at a time.
#ifndef HONE_KERNELS_DEVICE_H
#define HONE_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "kernels/tensor_map.h"

typedef struct hone_device hone_device;
typedef struct hone_stream hone_stream;        // a device's own; NULL is the inline/default stream
typedef struct hone_module hone_module;
typedef struct hone_function hone_function;
typedef struct hone_captured hone_captured;    // an instantiated graph of work

// What code is made for: a device, or the memory of one (its spelling). Enough to compile and to build plans with no device.
typedef struct hone_target {
    char kind[8];                  // "cpu", "cuda"
    char arch[24];                 // "sm_90", "x86_64-avx2"
    char model[96];                // "NVIDIA H200"
    int cc;                        // 90; 0 on a CPU
    int sms;                       // multiprocessors, 0 on a CPU
    int threads;                   // CPU threads, 0 on a GPU
    int64_t memory_mib;
    int64_t clock_mhz;
    int64_t power_w;
} hone_target;

// `cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W` ; `cpu x86_64-avx2 "MODEL NAME" threads=2`
hone_status hone_target_parse(const char *text, hone_target *target);
void hone_target_print(const hone_target *target, char *text, size_t capacity);     // 256 is enough
int64_t hone_target_l2_bytes(const hone_target *target);                             // known by architecture and model; CPU: 32 MiB
int64_t hone_target_smem_bytes(const hone_target *target);                           // most shared memory of one block (227 KiB on sm_90)

typedef enum hone_copy_kind { HONE_COPY_IN, HONE_COPY_OUT, HONE_COPY_WITHIN } hone_copy_kind;   // host->device, device->host, device->device

typedef struct hone_launch {
    unsigned grid[3], block[3], cluster[3];    // cluster 0 or 1: none
    unsigned shared_bytes;                     // dynamic
    // What the kernel takes by value: one struct. With maps it lies behind room for them, HONE_MAP_BYTES each and aligned to 64 bytes, which
    // the device fills in and which the kernel takes as a struct before the other one.
    void *params;
    size_t params_bytes;
    const hone_tensor_map *maps;
    int n_maps;
    bool dependent;                            // programmatic dependent launch edge to the kernel before it
    // Its blocks may share multiprocessors with those of a neighbour in the stream: as much shared memory as there can be beside the L1 from now on.
    bool has_neighbours;
} hone_launch;

// At most 16 functions.
typedef struct hone_device_api {
    const char *kind;                                                                      // "cpu", "cuda", "replay"
    // How many there are; 0 with the reason recorded by hone_fail.
    int (*count)(void);
    hone_status (*open)(int ordinal, hone_device **device);                                // enough to say what it is
    hone_status (*ready)(hone_device *device);                                             // to run on; NULL: it is when it is open
    void (*close)(hone_device *device);
    hone_status (*alloc)(hone_device *device, size_t size_bytes, void **memory);           // 256-byte aligned; HONE_NO_MEMORY
    void (*free)(hone_device *device, void *memory);
    hone_status (*copy)(hone_device *device, hone_stream *stream, void *to, const void *from, size_t size_bytes, hone_copy_kind kind);   // ordered on stream
    hone_status (*fill)(hone_device *device, hone_stream *stream, void *memory, uint8_t byte, size_t size_bytes);
    hone_status (*stream)(hone_device *device, hone_stream **stream, bool make);            // make, or free *stream
    hone_status (*sync)(hone_device *device, hone_stream *stream);
    // Events are small numbers 0..1023 of a device, made on first record.
    hone_status (*record)(hone_device *device, hone_stream *stream, int event);
    hone_status (*wait)(hone_device *device, hone_stream *stream, int event);
    hone_status (*elapsed)(hone_device *device, int from, int to, double *ns);
    hone_status (*load)(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module, hone_function **function);
    void (*unload)(hone_device *device, hone_module *module);
    hone_status (*launch)(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *launch);
    // Host code in stream order. On the CPU this is how all work runs (inline on the NULL stream).
    hone_status (*host)(hone_device *device, hone_stream *stream, void (*body)(void *user), void *user);
    // begin = true starts capturing the stream; false ends it and instantiates. HONE_DECLINED where there is no such thing.
    hone_status (*capture)(hone_device *device, hone_stream *stream, bool begin, hone_captured **captured);
    hone_status (*replay)(hone_device *device, hone_stream *stream, hone_captured *captured, bool release);   // release: free it instead
} hone_device_api;

#define HONE_EXTRAS_MAX 16

struct hone_device {
    const hone_device_api *api;
    hone_target target;
    int ordinal;
    char uuid[64];
    char toolchain[512];           // spelling, e.g. cuda=13.0 driver=580.159 cublaslt=13.1.0 cudnn=9.19.0 nvrtc=13.0 hone=0.1.0
    // What sources keep per device (library handles), by the address of a static key. Freed at close, last first.
    struct { const void *key; void *value; void (*release)(void *value); } extras[HONE_EXTRAS_MAX];
    int n_extras;
};

// kernels/devices.c is the table, made of kernels/devices_list.h: a line HONE_DEVICE(cpu) there is hone_device_cpu here.
extern const hone_device_api *const hone_devices[];      // cpu, cuda, replay
extern const int hone_device_count;

// "cpu", "cuda", "cuda:1", "replay:FILE". HONE_NO_DEVICE says why not.
hone_status hone_device_open(const char *name, hone_device **device);
hone_status hone_device_look(const char *name, hone_device **device);      // for who asks what it is and runs nothing: no context is made on a GPU
void hone_device_close(hone_device *device);             // NULL is legal
const char *hone_device_where(void);                     // inside api->open: what stands behind the colon ("FILE"), "" if nothing
void *hone_device_extra(hone_device *device, const void *key);                                               // NULL if not set
hone_status hone_device_set_extra(hone_device *device, const void *key, void *value, void (*release)(void *value));

// Toolchain spellings. `depends` of a source: the names it rests on, picked from a toolchain. Versions of what can be opened here.
hone_status hone_toolchain_get(const char *toolchain, const char *name, char *version, size_t capacity);     // HONE_MISS when not named
void hone_toolchain_pick(const char *toolchain, const char *names, char *depends, size_t capacity);          // "cublaslt driver" -> "cublaslt=13.1.0 ..."

#endif
