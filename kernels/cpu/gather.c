// SPDX-License-Identifier: Apache-2.0
// gather: slices of an operand of any element type by i32 or i64 indices, in row-major order (embeddings).
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/kernel.h"

typedef struct gather {
    int x, indices;
    int64_t outer, extent, n;      // before the axis; along it; indices
    size_t slice_bytes;            // behind the axis
    bool is_wide;                  // i64
} gather;

static hone_status set_up(const hone_problem *problem, gather *g)
{
    const hone_step *step = &problem->steps[0];
    if (strcmp(step->call.op->name, "gather") || problem->n_steps != 1) return hone_fail(HONE_DECLINED, "the problem is no gather");
    *g = (gather){.x = hone_cpu_input(problem, 0), .indices = hone_cpu_input(problem, 1), .outer = 1};
    const hone_tensor *x = &problem->operands[g->x], *indices = &problem->operands[g->indices];
    int axis = (int)hone_call_int(&step->call, "axis");
    if ((indices->dtype != HONE_I32 && indices->dtype != HONE_I64) || x->layout != HONE_ROW || indices->layout != HONE_ROW ||
        problem->out[0].layout != HONE_ROW || problem->out[0].dtype != x->dtype)
        return hone_fail(HONE_DECLINED, "gather works in row-major order with i32 or i64 indices");
    g->is_wide = indices->dtype == HONE_I64;
    g->n = hone_tensor_count(indices);
    g->extent = x->dims[axis];
    g->slice_bytes = hone_dtype_size(x->dtype);
    for (int k = 0; k < axis; k++) g->outer *= x->dims[k];
    for (int k = axis + 1; k < x->rank; k++) g->slice_bytes *= (size_t)x->dims[k];
    if (!g->extent) return hone_fail(HONE_DECLINED, "there is nothing to gather");
    return HONE_OK;
}

static void run_slices(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const gather *g = call->job->state;
    const char *x = call->operands[g->x];
    char *out = call->outputs[0];
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t at = g->is_wide ? ((const int64_t *)call->operands[g->indices])[k % g->n] : ((const int32_t *)call->operands[g->indices])[k % g->n];
        if (at < 0) at += g->extent;
        at = at < 0 ? 0 : at >= g->extent ? g->extent - 1 : at;        // indices are data: a bad one must not read elsewhere
        memcpy(out + (size_t)k * g->slice_bytes, x + (size_t)(k / g->n * g->extent + at) * g->slice_bytes, g->slice_bytes);
    }
}

static void run(const hone_cpu_call *call)
{
    const gather *g = call->job->state;
    hone_parallel(g->outer * g->n, (int64_t)(65536 / (g->slice_bytes + 1)) + 1, call->job->threads, run_slices, (void *)(uintptr_t)call);
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    gather g;
    (void)threads, (void)subspace;
    return set_up(problem, &g);
}

static hone_status plan(hone_cpu_job *job)
{
    gather *g = hone_calloc(1, sizeof *g);
    if (!g) return HONE_NO_MEMORY;
    job->state = g;
    return set_up(&job->problem, g);
}

const hone_cpu_kernel hone_cpu_kernel_gather = {
    .name = "gather", .version = 1, .offers = offers, .plan = plan, .run = run,
};
