// SPDX-License-Identifier: Apache-2.0
// Source "ref": the plain C reference of every op as a tactic, so that every network runs everywhere. On a device with memory of its
// own, operands are copied out, the host computes in stream order, and the outputs are copied in; all buffers are made by wake, and are
// page-locked: the driver takes a copy from other memory when it is enqueued, before the host has computed.
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/device_cpu.h"
#include "kernels/device_cuda.h"
#include "kernels/source.h"

typedef struct ref_runnable {
    hone_runnable base;
    hone_problem problem;
    int threads;
    // Only for devices with memory of their own: host copies of operands and outputs.
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX];
    hone_status status;          // of the latest run on the host's side, told by the next one
    char why[512];
} ref_runnable;

static hone_status probe(const hone_target *target, hone_device *device)
{
    (void)target, (void)device;
    return HONE_OK;
}

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    (void)problem, (void)target, (void)device;
    *space = (hone_space){.n = 1, .subspaces = {{.kernel = "plain", .version = 1}}};
    return HONE_OK;
}

static hone_status valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)target;
    if (strcmp(tactic->kernel, "plain") || tactic->n || tactic->vendor[0])
        return hone_fail(HONE_USAGE, "source ref has one tactic, \"ref.plain\", without parameters");
    return HONE_OK;
}

// Measured on one core: 4e9 flops/s where a matrix product dominates, 2e8 values/s through the conversions to and from double.
static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)tactic;
    double threads = target->threads > 0 ? target->threads : 1, values = hone_problem_bytes(problem) / 4;
    return hone_problem_flops(problem) / (4 * threads) + values * 5 + 2e4;
}

// ---- computing: operands as they lie in host memory

static hone_status compute(ref_runnable *self, void *const *operands, void *const *outputs)
{
    const hone_problem *problem = &self->problem;
    hone_array in[HONE_OPERANDS_MAX] = {0}, out[HONE_OUTPUTS_MAX] = {0};
    hone_status status = HONE_OK;
    for (int k = 0; k < problem->n_operands; k++) {
        HONE_TRY(hone_array_init(&in[k], &problem->operands[k]));
        hone_array_unpack(&in[k], &problem->operands[k], operands[k], self->threads);
    }
    HONE_TRY(hone_problem_reference(problem, in, out, self->threads));
    for (int k = 0; k < problem->n_out; k++) hone_array_pack(&out[k], &problem->out[k], outputs[k], false, self->threads);
out:
    for (int k = 0; k < problem->n_operands; k++) hone_array_clear(&in[k]);
    for (int k = 0; k < problem->n_out; k++) hone_array_clear(&out[k]);
    return status;
}

typedef struct direct_args {
    ref_runnable *self;
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX];
} direct_args;

static hone_status direct_body(const void *args)
{
    const direct_args *a = args;
    return compute(a->self, a->operands, a->outputs);
}

static hone_status run_direct(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    (void)workspace;
    ref_runnable *self = (ref_runnable *)runnable;
    direct_args args = {.self = self};
    memcpy(args.operands, operands, sizeof *operands * (size_t)self->problem.n_operands);
    memcpy(args.outputs, outputs, sizeof *outputs * (size_t)self->problem.n_out);
    return hone_cpu_enqueue(runnable->device, stream, direct_body, &args, sizeof args);
}

// A failure cannot be told from here; the outputs become NaN or -1, so that it is never taken for an answer.
static void staged_body(void *user)
{
    ref_runnable *self = user;
    self->status = compute(self, self->operands, self->outputs);
    if (self->status == HONE_OK) return;
    strncpy(self->why, hone_error_text(), sizeof self->why - 1);
    for (int k = 0; k < self->problem.n_out; k++) memset(self->outputs[k], 0xff, hone_tensor_size(&self->problem.out[k]));
}

static hone_status run_staged(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    (void)workspace;
    ref_runnable *self = (ref_runnable *)runnable;
    const hone_problem *problem = &self->problem;
    hone_device *device = runnable->device;
    hone_status status = self->status;
    self->status = HONE_OK;
    if (status != HONE_OK) return hone_fail(status, "an earlier run of the reference failed: %s", self->why);
    for (int k = 0; k < problem->n_operands; k++)
        HONE_TRY(device->api->copy(device, stream, self->operands[k], operands[k], hone_tensor_size(&problem->operands[k]), HONE_COPY_OUT));
    HONE_TRY(device->api->host(device, stream, staged_body, self));
    for (int k = 0; k < problem->n_out; k++)
        HONE_TRY(device->api->copy(device, stream, outputs[k], self->outputs[k], hone_tensor_size(&problem->out[k]), HONE_COPY_IN));
out:
    return status;
}

// ---- life

static hone_status wake_direct(hone_runnable *runnable)
{
    (void)runnable;
    return HONE_OK;
}

static void sleep_direct(hone_runnable *runnable)
{
    (void)runnable;
}

static void sleep_staged(hone_runnable *runnable)
{
    ref_runnable *self = (ref_runnable *)runnable;
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) hone_cuda_free_host(runnable->device, self->operands[k]), self->operands[k] = NULL;
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_cuda_free_host(runnable->device, self->outputs[k]), self->outputs[k] = NULL;
}

static hone_status make_buffer(hone_device *device, const hone_tensor *tensor, void **memory)
{
    return *memory ? HONE_OK : hone_cuda_alloc_host(device, hone_tensor_size(tensor), memory);
}

static hone_status wake_staged(hone_runnable *runnable)
{
    ref_runnable *self = (ref_runnable *)runnable;
    hone_status status = HONE_OK;
    for (int k = 0; k < self->problem.n_operands; k++) HONE_TRY(make_buffer(runnable->device, &self->problem.operands[k], &self->operands[k]));
    for (int k = 0; k < self->problem.n_out; k++) HONE_TRY(make_buffer(runnable->device, &self->problem.out[k], &self->outputs[k]));
out:
    if (status != HONE_OK) sleep_staged(runnable);
    return status;
}

static void free_runnable(hone_runnable *runnable)
{
    if (runnable) runnable->api->sleep(runnable);
    hone_free(runnable);
}

static const hone_runnable_api direct_api = {.wake = wake_direct, .run = run_direct, .sleep = sleep_direct, .free = free_runnable};
static const hone_runnable_api staged_api = {.wake = wake_staged, .run = run_staged, .sleep = sleep_staged, .free = free_runnable};

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    (void)tactic, (void)artifact;
    ref_runnable *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    bool is_direct = !strcmp(device->api->kind, "cpu");
    self->base = (hone_runnable){.api = is_direct ? &direct_api : &staged_api, .device = device, .exclusive = !is_direct};
    self->problem = *problem;
    self->threads = device->target.threads > 0 ? device->target.threads : hone_cpu_count();
    *runnable = &self->base;
    return HONE_OK;
}

const hone_source hone_source_ref = {
    .name = "ref", .version = 1, .depends = "", .devices = "cpu cuda", .probe = probe, .space = space, .valid = valid,
    .estimate_ns = estimate_ns, .prepare = prepare,
};
