// SPDX-License-Identifier: Apache-2.0
// elementwise: a chain of elementwise ops in one pass over the output; values between the ops stay in the level 1 cache.
//
// piece   values that a thread takes at a time
#include <math.h>

#include "base/thread.h"
#include "kernels/cpu/kernel.h"

static void run_pieces(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    (void)worker;
    hone_cpu_tail_map(&call->job->tail, &call->job->problem, call->operands, NULL, (float *)call->outputs[0] + begin, begin, end - begin);
}

static void run(const hone_cpu_call *call)
{
    hone_parallel(hone_tensor_count(&call->job->problem.out[0]), hone_tactic_get(&call->job->tactic, "piece", 16384),
                  call->job->threads, run_pieces, (void *)(uintptr_t)call);
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    int64_t pieces[4], n = 0, count = hone_tensor_count(&problem->out[0]);
    (void)threads;
    if (problem->steps[0].call.op->kind != HONE_OP_ELEMENTWISE) return hone_fail(HONE_DECLINED, "the problem is no elementwise chain");
    hone_status status = hone_cpu_tail_init(problem, false, &tail);
    if (status != HONE_OK) return status;
    if (!count) return hone_fail(HONE_DECLINED, "the output is empty");
    for (int64_t piece = 2048; piece < count * 8 && n < 4; piece *= 8) pieces[n++] = piece;
    hone_cpu_range(subspace, "piece", n ? (int)n : 1, n ? pieces : (int64_t[]){2048});
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    double count = (double)hone_tensor_count(&problem->out[0]), piece = fmin((double)hone_tactic_get(tactic, "piece", 16384), count);
    return hone_cpu_rounds_ns(ceil(count / piece), piece * (0.3 + 0.15 * problem->n_steps) + 200, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    (void)job;
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_elementwise = {
    .name = "elementwise", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
