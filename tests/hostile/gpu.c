// SPDX-License-Identifier: Apache-2.0
// Source "hostilegpu": the faults that only a GPU can show, one of each, among 20 honest tactics, for "relu x=f32:N" on a device cuda.
// It is run once on a GPU, and what was recorded is replayed (tests/hostile/gpu.replay).
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/nvrtc.h"
#include "kernels/source.h"

enum { GOOD = 20, FAULTS = 9, MEMORY = 6, ESTIMATE_NS = 1000000, THREADS = 256 };

static const char text[] =
    "struct args { const float *x; float *y; long long n, fault, runs; };\n"
    "extern \"C\" __global__ void t(args a)\n"
    "{\n"
    "    long long k = blockIdx.x * 256ll + threadIdx.x;\n"
    "    if (k < a.n) a.y[k] = a.x[k] > 0 ? a.x[k] : 0;\n"
    "    __syncthreads();\n"
    "    if (k) return;\n"
    "    volatile float *x = (volatile float *)a.x;\n"
    "    unsigned long long begin, now;\n"
    "    asm volatile(\"mov.u64 %0, %%globaltimer;\" : \"=l\"(begin));\n"
    "    switch (a.fault) {\n"
    "    case 1: *(volatile int *)((char *)a.y + (1ll << 45)) = 1; break;\n"      // illegal address
    "    case 2: *(volatile float *)((char *)a.y + 1) = 0; break;\n"              // misaligned
    "    case 3: asm volatile(\"trap;\"); break;\n"
    "    case 4: while (x[0] == x[0]) continue; break;\n"                         // endless
    "    case 5: do asm volatile(\"mov.u64 %0, %%globaltimer;\" : \"=l\"(now)); while (now - begin < 100000000ull); break;\n"
    "    case 7: ((volatile char *)(a.y + a.n))[0] = 1; break;\n"                 // one byte past the output
    "    case 8: a.y[0] = a.x[0] + 1; break;\n"
    "    case 9: a.y[0] += (float)(a.runs % 2); break;\n"
    "    }\n"
    "}\n";

typedef struct args {
    const void *x;
    void *y;
    long long n, fault, runs;
} args;

typedef struct gpu_runnable {
    hone_runnable base;
    void *image;                       // owned
    size_t image_bytes;
    long long n, fault, runs;
    hone_module *module;
    hone_function *function;
} gpu_runnable;

static hone_status probe(const hone_target *target, hone_device *device)
{
    (void)target, (void)device;
    return HONE_OK;
}

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *out)
{
    (void)target, (void)device;
    memset(out, 0, sizeof *out);
    if (problem->n_steps != 1 || strcmp(problem->steps[0].call.op->name, "relu")) return hone_fail(HONE_DECLINED, "only relu");
    out->points = hone_calloc(GOOD + FAULTS, sizeof *out->points);
    if (!out->points) return HONE_NO_MEMORY;
    for (int k = 0; k < GOOD + FAULTS; k++) {
        char spelling[64];      // every third one is a fault
        int fault = k % 3 == 1 && k / 3 < FAULTS ? k / 3 + 1 : 0;
        snprintf(spelling, sizeof spelling, "hostilegpu.t@1 place=%d fault=%d", 100 + k, fault);
        hone_status status = hone_tactic_parse(spelling, &out->points[out->n_points++]);
        if (status) return status;
    }
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)tactic, (void)target;
    return ESTIMATE_NS;
}

static hone_status key(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, char out[HONE_ARTIFACT_KEY])
{
    (void)problem, (void)tactic;
    return snprintf(out, HONE_ARTIFACT_KEY, "hostilegpu-%s", target->arch), HONE_OK;
}

static hone_status compile(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_blob *artifact)
{
    char architecture[64];
    const char *const options[] = {architecture};
    (void)problem, (void)tactic;
    snprintf(architecture, sizeof architecture, "--gpu-architecture=%s", target->arch);
    return hone_nvrtc_compile(text, "hostile.cu", options, 1, artifact);
}

static hone_status wake(hone_runnable *runnable)
{
    gpu_runnable *self = (gpu_runnable *)runnable;
    hone_device *device = runnable->device;
    void *memory;
    if (self->fault == MEMORY) return device->api->alloc(device, (size_t)1 << 46, &memory);
    return self->module ? HONE_OK : device->api->load(device, self->image, self->image_bytes, "t", &self->module, &self->function);
}

static hone_status run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    gpu_runnable *self = (gpu_runnable *)runnable;
    args a = {operands[0], outputs[0], self->n, self->fault, self->runs++};
    hone_launch launch = {.grid = {(unsigned)((self->n + THREADS - 1) / THREADS), 1, 1}, .block = {THREADS, 1, 1}, .params = &a, .params_bytes = sizeof a};
    (void)workspace;
    return runnable->device->api->launch(runnable->device, stream, self->function, &launch);
}

static void sleep_runnable(hone_runnable *runnable)
{
    gpu_runnable *self = (gpu_runnable *)runnable;
    if (self->module) runnable->device->api->unload(runnable->device, self->module);
    self->module = NULL;
}

static void free_runnable(hone_runnable *runnable)
{
    sleep_runnable(runnable);
    hone_free(((gpu_runnable *)runnable)->image);
    hone_free(runnable);
}

static const hone_runnable_api api = {.wake = wake, .run = run, .sleep = sleep_runnable, .free = free_runnable};

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    gpu_runnable *self = hone_calloc(1, sizeof *self);
    void *image = hone_alloc(artifact->size_bytes + 1);
    if (!self || !image) return hone_free(self), hone_free(image), HONE_NO_MEMORY;
    memcpy(image, artifact->data, artifact->size_bytes);
    *self = (gpu_runnable){.base = {.api = &api, .device = device, .kernels = 1}, .image = image, .image_bytes = artifact->size_bytes,
                           .n = hone_tensor_count(&problem->operands[0]), .fault = hone_tactic_get(tactic, "fault", 0)};
    *runnable = &self->base;
    return HONE_OK;
}

const hone_source hone_source_hostilegpu = {
    .name = "hostilegpu", .version = 1, .depends = "driver", .devices = "cuda", .probe = probe, .space = space, .estimate_ns = estimate_ns,
    .key = key, .compile = compile, .prepare = prepare,
};
