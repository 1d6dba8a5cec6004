// SPDX-License-Identifier: Apache-2.0
// Source "cpu": the kernels of kernels/cpu/kernels_list.h behind the interface of a source.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"
#include "kernels/device_cpu.h"
#include "kernels/openblas.h"

#define HONE_CPU_KERNEL(name) extern const hone_cpu_kernel hone_cpu_kernel_##name;
#include "kernels/cpu/kernels_list.h"
#undef HONE_CPU_KERNEL

#define HONE_CPU_KERNEL(name) &hone_cpu_kernel_##name,
const hone_cpu_kernel *const hone_cpu_kernels[] = {
#include "kernels/cpu/kernels_list.h"
    NULL
};
#undef HONE_CPU_KERNEL

const int hone_cpu_kernel_count = sizeof hone_cpu_kernels / sizeof *hone_cpu_kernels - 1;

// ---- shared by the kernels' offers functions

int hone_cpu_input(const hone_problem *problem, int k)
{
    const hone_step *step = &problem->steps[0];
    return k < step->call.n_in && step->in[k].kind == HONE_REF_OPERAND ? step->in[k].index : -1;
}

const float *hone_cpu_operand(const hone_cpu_call *call, int k)
{
    return k < 0 ? NULL : call->operands[k];
}

hone_status hone_cpu_offer(const hone_problem *problem, const char *op, hone_cpu_tail *tail)
{
    const hone_step *step = &problem->steps[0];
    if (strcmp(step->call.op->name, op)) return hone_fail(HONE_DECLINED, "the problem does not begin with %s", op);
    for (int k = 0; k < step->call.n_in; k++)
        if (step->in[k].kind == HONE_REF_OPERAND && problem->operands[step->in[k].index].dtype != HONE_F32)
            return hone_fail(HONE_DECLINED, "the cpu kernels compute in f32, an operand of %s is %s", op,
                             hone_dtype_name(problem->operands[step->in[k].index].dtype));
    if (step->call.n_out != 1) return hone_fail(HONE_DECLINED, "the cpu kernels make one output");
    if (!hone_tensor_count(&problem->out[0])) return hone_fail(HONE_DECLINED, "the output is empty");
    for (int k = 0; k < problem->n_operands; k++)
        if (!hone_tensor_count(&problem->operands[k])) return hone_fail(HONE_DECLINED, "an operand is empty");
    return hone_cpu_tail_init(problem, true, tail);
}

double hone_cpu_rounds_ns(double tasks, double task_ns, int threads)
{
    return ceil(tasks / threads) * task_ns + (tasks > 1 && threads > 1 ? 3e3 : 200);
}

void hone_cpu_range(hone_subspace *subspace, const char *name, int n, const int64_t *values)
{
    HONE_ASSERT(subspace->n < HONE_PARAMS_MAX && n >= 1 && n <= HONE_RANGE_MAX);
    hone_range *range = &subspace->ranges[subspace->n++];
    *range = (hone_range){.n = n};
    strncpy(range->name, name, sizeof range->name - 1);
    memcpy(range->values, values, sizeof *values * (size_t)n);
}

// ---- the source

static const hone_cpu_kernel *find_kernel(const char *name)
{
    for (int k = 0; k < hone_cpu_kernel_count; k++)
        if (!strcmp(hone_cpu_kernels[k]->name, name)) return hone_cpu_kernels[k];
    return NULL;
}

static hone_status probe(const hone_target *target, hone_device *device)
{
    (void)device;
    return strcmp(target->kind, "cpu") ? hone_fail(HONE_DECLINED, "source cpu computes on the cpu device only") : HONE_OK;
}

static hone_status kernel_space(const hone_cpu_kernel *kernel, const hone_problem *problem, const hone_target *target,
                                hone_subspace *subspace)
{
    *subspace = (hone_subspace){.version = kernel->version};
    strncpy(subspace->kernel, kernel->name, sizeof subspace->kernel - 1);
    if (kernel->needs_blas && hone_library_open(&hone_library_openblas) != HONE_OK)
        return hone_fail_in(HONE_DECLINED, "%s", kernel->name);
    return kernel->offers(problem, target->threads > 0 ? target->threads : 1, subspace);
}

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    (void)device;
    *space = (hone_space){.n = 0};
    for (int k = 0; k < hone_cpu_kernel_count && space->n < HONE_SUBSPACES_MAX; k++) {
        hone_status status = kernel_space(hone_cpu_kernels[k], problem, target, &space->subspaces[space->n]);
        if (status == HONE_OK) space->n++;
        else if (status != HONE_DECLINED) return status;
    }
    if (!space->n) return hone_fail(HONE_DECLINED, "no cpu kernel offers %s in this form", problem->steps[0].call.op->name);
    return HONE_OK;
}

static hone_status valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    hone_subspace subspace;
    const hone_cpu_kernel *kernel = find_kernel(tactic->kernel);
    if (!kernel) return hone_fail(HONE_USAGE, "source cpu has no kernel %s", tactic->kernel);
    if (tactic->vendor[0]) return hone_fail(HONE_USAGE, "the tactics of source cpu have no vendor's words");
    hone_status status = kernel_space(kernel, problem, target, &subspace);
    if (status != HONE_OK) return status;
    if (tactic->n != subspace.n) return hone_fail(HONE_USAGE, "cpu.%s takes %d parameters, not %d", kernel->name, subspace.n, tactic->n);
    for (int k = 0; k < subspace.n; k++) {
        const hone_range *range = &subspace.ranges[k];
        bool is_legal = false;
        for (int i = 0; i < range->n; i++)
            is_legal = is_legal || (!strcmp(tactic->params[k].name, range->name) && tactic->params[k].value == range->values[i]);
        if (!is_legal) return hone_fail(HONE_USAGE, "cpu.%s: %s=%lld is not among the values offered for this problem", kernel->name,
                                        tactic->params[k].name, (long long)tactic->params[k].value);
    }
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    const hone_cpu_kernel *kernel = find_kernel(tactic->kernel);
    if (!kernel || !kernel->estimate_ns) return hone_roofline_ns(problem, target) * 2 + 5e3;
    return kernel->estimate_ns(problem, tactic, target->threads > 0 ? target->threads : 1);
}

typedef struct cpu_runnable {
    hone_runnable base;
    hone_cpu_job job;
} cpu_runnable;

static hone_status wake(hone_runnable *runnable)
{
    (void)runnable;
    return HONE_OK;
}

static void put_to_sleep(hone_runnable *runnable)
{
    (void)runnable;
}

static void free_runnable(hone_runnable *runnable)
{
    if (runnable) hone_free(((cpu_runnable *)runnable)->job.state);
    hone_free(runnable);
}

static hone_status run_body(const void *args)
{
    const hone_cpu_call *call = args;
    call->job->kernel->run(call);
    return HONE_OK;
}

static hone_status run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    cpu_runnable *self = (cpu_runnable *)runnable;
    hone_cpu_call call = {.job = &self->job, .workspace = workspace};
    memcpy(call.operands, operands, sizeof *operands * (size_t)self->job.problem.n_operands);
    memcpy(call.outputs, outputs, sizeof *outputs * (size_t)self->job.problem.n_out);
    return hone_cpu_enqueue(runnable->device, stream, run_body, &call, sizeof call);
}

static const hone_runnable_api runnable_api = {.wake = wake, .run = run, .sleep = put_to_sleep, .free = free_runnable};

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    (void)artifact;
    const hone_cpu_kernel *kernel = find_kernel(tactic->kernel);
    if (!kernel) return hone_fail(HONE_USAGE, "source cpu has no kernel %s", tactic->kernel);
    hone_status status = HONE_OK;
    cpu_runnable *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    self->base = (hone_runnable){.api = &runnable_api, .device = device};
    self->job = (hone_cpu_job){.kernel = kernel, .problem = *problem, .tactic = *tactic,
                               .threads = device->target.threads > 0 ? device->target.threads : 1};
    if (kernel->needs_blas) HONE_TRY(hone_library_open(&hone_library_openblas));
    bool is_chain = problem->steps[0].call.op->kind == HONE_OP_ELEMENTWISE;
    if (kernel->has_tail) HONE_TRY(hone_cpu_tail_init(&self->job.problem, !is_chain, &self->job.tail));
    HONE_TRY(kernel->plan(&self->job));
    self->base.workspace_bytes = self->job.workspace_bytes;
    *runnable = &self->base;
    self = NULL;
out:
    if (self) free_runnable(&self->base);
    return status;
}

static bool opens_none(const hone_tactic *tactic)
{
    const hone_cpu_kernel *kernel = find_kernel(tactic->kernel);
    return kernel && !kernel->needs_blas;
}

const hone_source hone_source_cpu = {
    .name = "cpu", .version = 1, .depends = "openblas", .devices = "cpu", .opens = "openblas", .opens_none = opens_none,
    .probe = probe, .space = space, .valid = valid, .estimate_ns = estimate_ns, .prepare = prepare,
};
