// SPDX-License-Identifier: Apache-2.0
// What a plan says was tuned elsewhere: each distinct problem and tactic is run once here and held against the reference.
#include <math.h>

#include "base/alloc.h"
#include "engine/exec_priv.h"

typedef struct verify {
    hone_device *device;
    hone_problem problem;
    hone_runnable *runnable;
    hone_array in[HONE_OPERANDS_MAX], want[HONE_OUTPUTS_MAX];
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX], *workspace;     // device memory
    int threads;
    double error;
} verify;

static hone_status give(verify *v, const hone_tensor *tensor, const hone_array *array, void **memory)
{
    size_t size = hone_tensor_size(tensor);
    void *host = hone_alloc(size + 1);
    if (!host) return HONE_NO_MEMORY;
    hone_status status;
    HONE_TRY(v->device->api->alloc(v->device, size + 1, memory));
    hone_array_pack(array, tensor, host, false, v->threads);
    HONE_TRY(v->device->api->copy(v->device, NULL, *memory, host, size, HONE_COPY_IN));
    status = v->device->api->sync(v->device, NULL);
out:
    hone_free(host);
    return status;
}

static hone_status take(verify *v, int k, hone_array *have)
{
    const hone_tensor *tensor = &v->problem.out[k];
    size_t size = hone_tensor_size(tensor);
    void *host = hone_alloc(size + 1);
    if (!host) return HONE_NO_MEMORY;
    hone_status status;
    HONE_TRY(v->device->api->copy(v->device, NULL, host, v->outputs[k], size, HONE_COPY_OUT));
    HONE_TRY(v->device->api->sync(v->device, NULL));
    HONE_TRY(hone_array_init(have, tensor));
    hone_array_unpack(have, tensor, host, v->threads);
out:
    hone_free(host);
    return status;
}

double hone_array_error(const hone_array *have, const hone_array *want)
{
    double off = 0, norm = 0;
    int64_t n = hone_tensor_count(&want->tensor);
    for (int64_t k = 0; k < n; k++) {
        double a = have->f ? have->f[k] : (double)have->i[k], b = want->f ? want->f[k] : (double)want->i[k];
        if (a == b || (isnan(a) && isnan(b))) {
            norm += isfinite(b) ? b * b : 0;
            continue;
        }
        if (!isfinite(a) || !isfinite(b)) return INFINITY;
        off += (a - b) * (a - b);
        norm += b * b;
    }
    if (off == 0) return 0;
    return norm > 0 ? sqrt(off / norm) : INFINITY;
}

static hone_status compare(verify *v)
{
    double bound = hone_problem_tolerance(&v->problem);
    for (int k = 0; k < v->problem.n_out; k++) {
        hone_array have = {.f = NULL};
        hone_status status = take(v, k, &have);
        double error = status == HONE_OK ? hone_array_error(&have, &v->want[k]) : 0;
        hone_array_clear(&have);
        if (status != HONE_OK) return status;
        v->error = fmax(v->error, error);
        if (!(error <= bound)) return hone_fail(HONE_NUMERIC, "off the reference by %.3g, more than %.3g", error, bound);
    }
    return HONE_OK;
}

static hone_status run(verify *v, uint64_t seed)
{
    hone_status status;
    const hone_problem *problem = &v->problem;
    for (int k = 0; k < problem->n_operands; k++) {
        HONE_TRY(hone_problem_draw(problem, k, seed, &v->in[k], v->threads));
        HONE_TRY(give(v, &problem->operands[k], &v->in[k], &v->operands[k]));
    }
    for (int k = 0; k < problem->n_out; k++)
        HONE_TRY(v->device->api->alloc(v->device, hone_tensor_size(&problem->out[k]) + 1, &v->outputs[k]));
    HONE_TRY(v->device->api->alloc(v->device, v->runnable->workspace_bytes + 1, &v->workspace));
    HONE_TRY(v->runnable->api->run(v->runnable, NULL, v->operands, v->outputs, v->workspace));
    HONE_TRY(v->device->api->sync(v->device, NULL));
    HONE_TRY(hone_problem_reference(problem, v->in, v->want, v->threads));
    status = compare(v);
out:
    return status;
}

static void clear(verify *v)
{
    for (int k = 0; k < v->problem.n_operands; k++) {
        hone_array_clear(&v->in[k]);
        if (v->operands[k]) v->device->api->free(v->device, v->operands[k]);
    }
    for (int k = 0; k < v->problem.n_out; k++) {
        hone_array_clear(&v->want[k]);
        if (v->outputs[k]) v->device->api->free(v->device, v->outputs[k]);
    }
    if (v->workspace) v->device->api->free(v->device, v->workspace);
}

hone_status hone_engine_verify_step(hone_engine *engine, int step, uint64_t seed, int threads, double *error)
{
    verify *v = hone_calloc(1, sizeof *v);
    hone_runnable *own = NULL;
    if (!v) return HONE_NO_MEMORY;
    v->device = engine->device;
    v->threads = threads;
    hone_status status;
    HONE_TRY(hone_problem_parse(engine->plan->steps[step].problem, &v->problem));
    if (!engine->runnables[step]) HONE_TRY(hone_engine_prepare(engine, step, &own));
    v->runnable = own ? own : engine->runnables[step];
    status = run(v, seed);
    *error = v->error;
out:
    clear(v);
    hone_free(v);
    hone_runnable_drop(own);
    return status;
}

hone_status hone_engine_verify(hone_engine *engine, uint64_t seed, int threads)
{
    const hone_plan *plan = engine->plan;
    for (int s = 0; s < plan->n_steps; s++) {
        double error;
        if (engine->alike[s] < s) continue;
        hone_status status = hone_engine_verify_step(engine, s, seed, threads, &error);
        if (status != HONE_OK) return hone_fail_in(status, "step %s (%s)", plan->steps[s].name, plan->steps[s].tactic);
    }
    return HONE_OK;
}
