// SPDX-License-Identifier: Apache-2.0
// Device "cuda": the CUDA driver's primary context of one GPU. NULL as a stream means the device's own
// non-blocking stream, never the legacy one, which would order unrelated streams and cannot be captured.
#include "kernels/device_cuda.h"

#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cuda_driver_priv.h"
#include "kernels/nvml.h"

#define EVENTS 1024
#define PORTABLE_CLUSTER 8           // CUDA programming guide, "Thread Block Clusters"
#define DEFAULT_SHARED (48 * 1024)   // above it a kernel must opt in
#define ALL_SHARED 100               // percent of what can be shared memory, CU_SHAREDMEM_CARVEOUT_MAX_SHARED

typedef struct cuda_device {
    hone_device base;
    v_CUdevice ordinal;
    v_CUcontext context;             // made when it is to be ready, as is `main`: who only asks what is here does not wait for it
    v_CUstream main;
    pthread_mutex_t lock;            // guards events and what functions have opted in to
    v_CUevent events[EVENTS];
} cuda_device;

struct hone_function {
    v_CUfunction function;
    int shared_limit;
    bool is_large_cluster, has_neighbours;
};

struct hone_module {
    v_CUmodule module;
    hone_function function;
};

struct hone_captured {
    v_CUgraphExec exec;
};

static cuda_device *self_of(hone_device *device)
{
    return (cuda_device *)device;
}

static v_CUstream stream_of(hone_device *device, hone_stream *stream)
{
    return stream ? (v_CUstream)(void *)stream : self_of(device)->main;
}

hone_status hone_cuda_use(hone_device *device)
{
    return hone_cuda_check(hone_cuda.CtxSetCurrent(self_of(device)->context), "cannot enter the GPU's context");
}

void *hone_cuda_stream(hone_device *device, hone_stream *stream)
{
    return stream_of(device, stream);
}

static int count(void)
{
    int n = 0;
    hone_status status = hone_library_open(&hone_library_cuda);
    if (!status) status = hone_cuda_check(hone_cuda.DeviceGetCount(&n), "cannot count GPUs");
    if (status) return 0;
    if (!n) hone_fail(HONE_NO_DEVICE, "the CUDA driver runs but shows no GPU (CUDA_VISIBLE_DEVICES can hide them)");
    return n;
}

static hone_status read_uuid(cuda_device *self)
{
    v_CUuuid uuid;
    hone_status status = hone_cuda_check(hone_cuda.DeviceGetUuid(&uuid, self->ordinal), "cannot read the GPU's UUID");
    if (status) return status;
    char *at = self->base.uuid + snprintf(self->base.uuid, sizeof self->base.uuid, "GPU");
    for (int i = 0; i < 16; i++) {
        bool dash = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
        at += sprintf(at, "%s%02x", dash ? "-" : "", (unsigned char)uuid.bytes[i]);
    }
    return HONE_OK;
}

static hone_status read_attribute(cuda_device *self, int attribute, int *value)
{
    return hone_cuda_check(hone_cuda.DeviceGetAttribute(value, attribute, self->ordinal), "cannot read an attribute of the GPU");
}

// NVML's words for memory, clock and power class: they are what nvidia-smi shows, and unlike CUDA's total
// memory they do not move with the driver's own reservations.
static void read_classes(cuda_device *self, size_t total_bytes, int clock_khz)
{
    hone_target *target = &self->base.target;
    hone_nvml_identity identity = {-1, -1, -1};
    (void)hone_nvml_read_identity(self->base.uuid, &identity);
    target->memory_mib = identity.memory_mib > 0 ? identity.memory_mib : (int64_t)(total_bytes >> 20);
    target->clock_mhz = identity.max_sm_mhz > 0 ? identity.max_sm_mhz : clock_khz / 1000;
    target->power_w = identity.power_limit_w > 0 ? identity.power_limit_w : 0;
}

static hone_status read_target(cuda_device *self)
{
    hone_target *target = &self->base.target;
    size_t total = 0;
    int major, minor, clock_khz;
    hone_status status = HONE_OK;
    strcpy(target->kind, "cuda");
    HONE_TRY(read_attribute(self, V_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major));
    HONE_TRY(read_attribute(self, V_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor));
    HONE_TRY(read_attribute(self, V_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &target->sms));
    HONE_TRY(read_attribute(self, V_CU_DEVICE_ATTRIBUTE_CLOCK_RATE, &clock_khz));
    HONE_TRY(hone_cuda_check(hone_cuda.DeviceGetName(target->model, sizeof target->model, self->ordinal), "cannot read the GPU's name"));
    HONE_TRY(hone_cuda_check(hone_cuda.DeviceTotalMem(&total, self->ordinal), "cannot read the GPU's memory size"));
    HONE_TRY(read_uuid(self));
    target->cc = major * 10 + minor;
    snprintf(target->arch, sizeof target->arch, "sm_%d", target->cc);
    read_classes(self, total, clock_khz);
out:
    return status;
}

static hone_status read_toolchain(cuda_device *self)
{
    hone_text text;
    hone_text_init(&text);
    hone_library_versions(&text);
    hone_text_printf(&text, " hone=%s", HONE_VERSION);
    hone_status status = hone_text_status(&text);
    if (!status && text.size >= sizeof self->base.toolchain)
        status = hone_fail(HONE_INTERNAL, "the toolchain's spelling is longer than %zu: %s", sizeof self->base.toolchain, text.data);
    if (!status) strcpy(self->base.toolchain, text.data);
    hone_text_clear(&text);
    return status;
}

static void close_device(hone_device *device)
{
    cuda_device *self = self_of(device);
    if (self->context && !hone_cuda.CtxSetCurrent(self->context)) {
        for (int i = 0; i < EVENTS; i++)
            if (self->events[i]) hone_cuda.EventDestroy(self->events[i]);
        if (self->main) hone_cuda.StreamDestroy(self->main);
    }
    if (self->context) hone_cuda.DevicePrimaryCtxRelease(self->ordinal);
    pthread_mutex_destroy(&self->lock);
    hone_free(self);
}

extern const hone_device_api hone_device_cuda;

static hone_status open_device(int ordinal, hone_device **device)
{
    int n = count();
    if (!n) return HONE_NO_DEVICE;
    if (ordinal < 0 || ordinal >= n) return hone_fail(HONE_NO_DEVICE, "there is no cuda:%d: this machine shows %d GPU(s), from cuda:0", ordinal, n);
    cuda_device *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    pthread_mutex_init(&self->lock, NULL);
    self->base.api = &hone_device_cuda;
    self->base.ordinal = ordinal;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cuda_check(hone_cuda.DeviceGet(&self->ordinal, ordinal), "cannot find the GPU"));
    HONE_TRY(read_target(self));
    HONE_TRY(read_toolchain(self));
    *device = &self->base;
    self = NULL;
out:
    if (self) close_device(&self->base);
    return status;
}

static hone_status make_ready(hone_device *device)
{
    cuda_device *self = self_of(device);
    hone_status status = HONE_OK;
    HONE_TRY(hone_cuda_check(hone_cuda.DevicePrimaryCtxRetain(&self->context, self->ordinal), "cannot open the GPU"));
    HONE_TRY(hone_cuda_use(device));
    status = hone_cuda_check(hone_cuda.StreamCreate(&self->main, V_CU_STREAM_NON_BLOCKING), "cannot make a stream");
out:
    return status;
}

static hone_status alloc(hone_device *device, size_t size_bytes, void **memory)
{
    v_CUdeviceptr at = 0;
    hone_status status = hone_cuda_use(device);
    if (status) return status;
    int result = hone_cuda.MemAlloc(&at, size_bytes ? size_bytes : 1);
    status = result ? hone_cuda_check(result, "cannot allocate GPU memory") : HONE_OK;
    if (status) return hone_fail_in(status, "%zu bytes", size_bytes);
    *memory = (void *)(uintptr_t)at;
    return HONE_OK;
}

static void free_memory(hone_device *device, void *memory)
{
    if (memory && !hone_cuda_use(device)) hone_cuda.MemFree((v_CUdeviceptr)(uintptr_t)memory);
}

hone_status hone_cuda_alloc_host(hone_device *device, size_t size_bytes, void **memory)
{
    if (device->api != &hone_device_cuda) return (*memory = hone_alloc(size_bytes ? size_bytes : 1)) ? HONE_OK : HONE_NO_MEMORY;
    hone_status status = hone_cuda_use(device);
    return status ? status : hone_cuda_check(hone_cuda.MemHostAlloc(memory, size_bytes ? size_bytes : 1, 0), "cannot allocate host memory");
}

void hone_cuda_free_host(hone_device *device, void *memory)
{
    if (device->api != &hone_device_cuda) hone_free(memory);
    else if (memory && !hone_cuda_use(device)) hone_cuda.MemFreeHost(memory);
}

static hone_status copy(hone_device *device, hone_stream *stream, void *to, const void *from, size_t size_bytes, hone_copy_kind kind)
{
    v_CUdeviceptr to_device = (v_CUdeviceptr)(uintptr_t)to, from_device = (v_CUdeviceptr)(uintptr_t)from;
    v_CUstream on = stream_of(device, stream);
    hone_status status = hone_cuda_use(device);
    if (status || !size_bytes) return status;
    int result = kind == HONE_COPY_IN ? hone_cuda.MemcpyHtoDAsync(to_device, from, size_bytes, on)
        : kind == HONE_COPY_OUT ? hone_cuda.MemcpyDtoHAsync(to, from_device, size_bytes, on)
        : hone_cuda.MemcpyDtoDAsync(to_device, from_device, size_bytes, on);
    return hone_cuda_check(result, "cannot copy");
}

static hone_status fill(hone_device *device, hone_stream *stream, void *memory, uint8_t byte, size_t size_bytes)
{
    hone_status status = hone_cuda_use(device);
    if (status || !size_bytes) return status;
    return hone_cuda_check(hone_cuda.MemsetD8Async((v_CUdeviceptr)(uintptr_t)memory, byte, size_bytes, stream_of(device, stream)),
                           "cannot fill GPU memory");
}

static hone_status make_stream(hone_device *device, hone_stream **stream, bool make)
{
    v_CUstream made = NULL;
    hone_status status = hone_cuda_use(device);
    if (status) return status;
    if (make) {
        status = hone_cuda_check(hone_cuda.StreamCreate(&made, V_CU_STREAM_NON_BLOCKING), "cannot make a stream");
    } else if (*stream) {
        status = hone_cuda_check(hone_cuda.StreamDestroy(stream_of(device, *stream)), "cannot free a stream");
    }
    *stream = (hone_stream *)(void *)made;
    return status;
}

static hone_status sync(hone_device *device, hone_stream *stream)
{
    hone_status status = hone_cuda_use(device);
    return status ? status : hone_cuda_check(hone_cuda.StreamSynchronize(stream_of(device, stream)), "work on the GPU failed");
}

static hone_status get_event(hone_device *device, int event, v_CUevent *made)
{
    cuda_device *self = self_of(device);
    HONE_ASSERT(event >= 0 && event < EVENTS);
    hone_status status = hone_cuda_use(device);
    if (status) return status;
    pthread_mutex_lock(&self->lock);
    if (!self->events[event])
        status = hone_cuda_check(hone_cuda.EventCreate(&self->events[event], V_CU_EVENT_DEFAULT), "cannot make an event");
    *made = self->events[event];
    pthread_mutex_unlock(&self->lock);
    return status;
}

static hone_status record(hone_device *device, hone_stream *stream, int event)
{
    v_CUevent made;
    hone_status status = get_event(device, event, &made);
    return status ? status : hone_cuda_check(hone_cuda.EventRecord(made, stream_of(device, stream)), "cannot record an event");
}

static hone_status wait(hone_device *device, hone_stream *stream, int event)
{
    v_CUevent made;
    hone_status status = get_event(device, event, &made);
    return status ? status : hone_cuda_check(hone_cuda.StreamWaitEvent(stream_of(device, stream), made, 0), "cannot wait for an event");
}

static hone_status elapsed(hone_device *device, int from, int to, double *ns)
{
    v_CUevent begin, end;
    float ms = 0;
    hone_status status = HONE_OK;
    HONE_TRY(get_event(device, from, &begin));
    HONE_TRY(get_event(device, to, &end));
    HONE_TRY(hone_cuda_check(hone_cuda.EventSynchronize(end), "work before an event failed"));
    HONE_TRY(hone_cuda_check(hone_cuda.EventElapsedTime(&ms, begin, end), "cannot take the time between two events"));
    *ns = (double)ms * 1e6;
out:
    return status;
}

// The driver takes an image without its size and believes its headers: a truncated one must not reach it.
static hone_status check_image(const void *image, size_t size_bytes, const char *name)
{
    Elf64_Ehdr head;
    size_t sections, segments;
    if (size_bytes < sizeof head) return hone_fail(HONE_DAMAGED, "the machine code of %s is cut off at %zu bytes", name, size_bytes);
    memcpy(&head, image, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64)
        return hone_fail(HONE_DAMAGED, "the machine code of %s is no cubin", name);
    if (__builtin_add_overflow(head.e_shoff, (size_t)head.e_shnum * head.e_shentsize, &sections) || sections > size_bytes ||
        __builtin_add_overflow(head.e_phoff, (size_t)head.e_phnum * head.e_phentsize, &segments) || segments > size_bytes)
        return hone_fail(HONE_DAMAGED, "the machine code of %s is cut off: its tables lie beyond its %zu bytes", name, size_bytes);
    for (size_t i = 0; i < head.e_shnum && head.e_shentsize >= sizeof(Elf64_Shdr); i++) {
        Elf64_Shdr section;
        size_t end;
        memcpy(&section, (const char *)image + head.e_shoff + i * head.e_shentsize, sizeof section);
        if (section.sh_type == SHT_NOBITS) continue;
        if (__builtin_add_overflow(section.sh_offset, section.sh_size, &end) || end > size_bytes)
            return hone_fail(HONE_DAMAGED, "the machine code of %s is cut off: section %zu lies beyond its %zu bytes", name, i, size_bytes);
    }
    return HONE_OK;
}

static void unload(hone_device *device, hone_module *module)
{
    if (!module) return;
    if (module->module && !hone_cuda_use(device)) hone_cuda.ModuleUnload(module->module);
    hone_free(module);
}

static hone_status load(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module,
                        hone_function **function)
{
    hone_module *made = NULL;
    hone_status status = HONE_OK;
    HONE_TRY(check_image(image, size_bytes, name));
    HONE_TRY(hone_cuda_use(device));
    made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    HONE_TRY(hone_cuda_check(hone_cuda.ModuleLoadData(&made->module, image), name));
    HONE_TRY(hone_cuda_check(hone_cuda.ModuleGetFunction(&made->function.function, made->module, name), name));
    made->function.shared_limit = DEFAULT_SHARED;
    *module = made;
    *function = &made->function;
    made = NULL;
out:
    unload(device, made);
    return status;
}

// Large dynamic shared memory and clusters beyond the portable size need the kernel's consent, once.
// What a function must be told before a launch, once. How a multiprocessor divides its memory between L1 and shared memory the driver decides for each
// kernel by its needs, if that does not say; and as it may have to be idle for a change (cudaFuncSetCacheConfig: "may insert a device-side
// synchronization point"), neighbours that want to share one ask for the same.
static hone_status opt_in(cuda_device *self, hone_function *function, const hone_launch *launch, unsigned cluster)
{
    hone_status status = HONE_OK;
    int shared = (int)launch->shared_bytes;
    pthread_mutex_lock(&self->lock);
    if (shared > function->shared_limit) {
        status = hone_cuda_check(hone_cuda.FuncSetAttribute(function->function, V_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared),
                                 "the kernel cannot have that much shared memory");
        if (!status) function->shared_limit = shared;
    }
    if (!status && cluster > PORTABLE_CLUSTER && !function->is_large_cluster) {
        status = hone_cuda_check(hone_cuda.FuncSetAttribute(function->function, V_CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1),
                                 "the kernel cannot have clusters that large");
        function->is_large_cluster = !status;
    }
    if (!status && launch->has_neighbours && !function->has_neighbours) {
        status = hone_cuda_check(hone_cuda.FuncSetAttribute(function->function, V_CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, ALL_SHARED),
                                 "the kernel cannot have most of the L1 as shared memory");
        function->has_neighbours = !status;
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

static unsigned cluster_size(const hone_launch *launch)
{
    unsigned size = 1;
    for (int i = 0; i < 3; i++) size *= launch->cluster[i] ? launch->cluster[i] : 1;
    return size;
}

// Copies of 16 bits or 32 as they are, whatever number they stand for. Zeros outside; a miss of the L2 brings 256 bytes, which the next step of
// a product wants.
static hone_status encode_map(const hone_tensor_map *map, v_CUtensorMap *encoded)
{
    uint64_t dims[5], strides[5];
    uint32_t box[5], steps[5], rank = (uint32_t)map->rank;
    int type = map->element_bytes == 2 ? V_CU_TENSOR_MAP_DATA_TYPE_UINT16 : V_CU_TENSOR_MAP_DATA_TYPE_UINT32;
    for (int k = 0; k < map->rank; k++) {
        dims[k] = (uint64_t)map->dims[k];
        strides[k] = (uint64_t)map->strides[k] * (uint64_t)map->element_bytes;
        box[k] = (uint32_t)map->box[k];
        steps[k] = (uint32_t)map->steps[k];
    }
    if (!hone_cuda.TensorMapEncodeTiled || !hone_cuda.TensorMapEncodeIm2col)
        return hone_fail(HONE_DECLINED, "tensor maps need a driver of CUDA 12.0 or later");
    int result = map->is_image
        ? hone_cuda.TensorMapEncodeIm2col(encoded, type, rank, map->base, dims, strides + 1, map->lower, map->upper, box[0], box[1], steps,
                                          V_CU_TENSOR_MAP_INTERLEAVE_NONE, V_CU_TENSOR_MAP_SWIZZLE_128B, V_CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                          V_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
        : hone_cuda.TensorMapEncodeTiled(encoded, type, rank, map->base, dims, strides + 1, box, steps, V_CU_TENSOR_MAP_INTERLEAVE_NONE,
                                         V_CU_TENSOR_MAP_SWIZZLE_128B, V_CU_TENSOR_MAP_L2_PROMOTION_L2_256B, V_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return hone_cuda_check(result, "cannot make a tensor map");
}

static hone_status encode_maps(const hone_launch *launch)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < launch->n_maps && !status; k++) status = encode_map(&launch->maps[k], (v_CUtensorMap *)launch->params + k);
    return status;
}

static hone_status launch_function(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *launch)
{
    v_CUlaunchAttribute attributes[2];
    unsigned n = 0, cluster = cluster_size(launch);
    size_t params_bytes = launch->params_bytes;
    hone_status status = hone_cuda_use(device);
    if (!status) status = opt_in(self_of(device), function, launch, cluster);
    if (!status) status = encode_maps(launch);
    if (status) return status;
    if (cluster > 1) {
        const unsigned *c = launch->cluster;
        attributes[n] = (v_CUlaunchAttribute){.id = V_CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION};
        attributes[n].value.clusterDim.x = c[0] ? c[0] : 1;
        attributes[n].value.clusterDim.y = c[1] ? c[1] : 1;
        attributes[n++].value.clusterDim.z = c[2] ? c[2] : 1;
    }
    if (launch->dependent) {
        attributes[n] = (v_CUlaunchAttribute){.id = V_CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
        attributes[n++].value.programmaticStreamSerializationAllowed = 1;
    }
    v_CUlaunchConfig config = {
        .gridDimX = launch->grid[0], .gridDimY = launch->grid[1], .gridDimZ = launch->grid[2],
        .blockDimX = launch->block[0], .blockDimY = launch->block[1], .blockDimZ = launch->block[2],
        .sharedMemBytes = launch->shared_bytes, .hStream = stream_of(device, stream), .attrs = attributes, .numAttrs = n,
    };
    // Tensor maps are a parameter of their own, by pointer: the compiler puts what is aligned to 128 bytes at an offset of its choice.
    void *pointers[] = {launch->params, (char *)launch->params + launch->n_maps * HONE_MAP_BYTES};
    void *extra[] = {V_CU_LAUNCH_PARAM_BUFFER_POINTER, launch->params, V_CU_LAUNCH_PARAM_BUFFER_SIZE, &params_bytes,
                     V_CU_LAUNCH_PARAM_END};
    int result = hone_cuda.LaunchKernelEx(&config, function->function, launch->n_maps ? pointers : NULL, params_bytes && !launch->n_maps ? extra : NULL);
    return hone_cuda_check(result, "the kernel cannot be launched");
}

static hone_status host(hone_device *device, hone_stream *stream, void (*body)(void *user), void *user)
{
    hone_status status = hone_cuda_use(device);
    return status ? status : hone_cuda_check(hone_cuda.LaunchHostFunc(stream_of(device, stream), body, user), "cannot enqueue host code");
}

static hone_status end_capture(hone_device *device, v_CUstream on, hone_captured **captured)
{
    v_CUgraph graph = NULL;
    hone_captured *made = NULL;
    hone_status status = hone_cuda_check(hone_cuda.StreamEndCapture(on, &graph), "the capture failed");
    if (status) goto out;
    made = hone_calloc(1, sizeof *made);
    if (!made) {
        status = HONE_NO_MEMORY;
        goto out;
    }
    HONE_TRY(hone_cuda_check(hone_cuda.GraphInstantiate(&made->exec, graph, 0), "the captured work cannot become a graph"));
    HONE_TRY(hone_cuda_check(hone_cuda.GraphUpload(made->exec, stream_of(device, NULL)), "cannot upload a graph"));
    *captured = made;
    made = NULL;
out:
    if (made && made->exec) hone_cuda.GraphExecDestroy(made->exec);
    hone_free(made);
    if (graph) hone_cuda.GraphDestroy(graph);
    return status;
}

static hone_status capture(hone_device *device, hone_stream *stream, bool begin, hone_captured **captured)
{
    v_CUstream on = stream_of(device, stream);
    hone_status status = hone_cuda_use(device);
    if (status) return status;
    if (!begin) return end_capture(device, on, captured);
    return hone_cuda_check(hone_cuda.StreamBeginCapture(on, V_CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cannot capture the stream");
}

static hone_status replay(hone_device *device, hone_stream *stream, hone_captured *captured, bool release)
{
    hone_status status = hone_cuda_use(device);
    if (!release) return status ? status : hone_cuda_check(hone_cuda.GraphLaunch(captured->exec, stream_of(device, stream)), "cannot replay a graph");
    if (!captured) return HONE_OK;
    if (!status) status = hone_cuda_check(hone_cuda.GraphExecDestroy(captured->exec), "cannot free a graph");
    hone_free(captured);
    return status;
}

const hone_device_api hone_device_cuda = {
    .kind = "cuda",
    .count = count,
    .open = open_device,
    .ready = make_ready,
    .close = close_device,
    .alloc = alloc,
    .free = free_memory,
    .copy = copy,
    .fill = fill,
    .stream = make_stream,
    .sync = sync,
    .record = record,
    .wait = wait,
    .elapsed = elapsed,
    .load = load,
    .unload = unload,
    .launch = launch_function,
    .host = host,
    .capture = capture,
    .replay = replay,
};
