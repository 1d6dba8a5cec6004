// SPDX-License-Identifier: Apache-2.0
// What the GPU test programs share: a problem with its buffers and reference on a device, and graphs of many runs.
#ifndef HONE_TESTS_GPU_BENCH_H
#define HONE_TESTS_GPU_BENCH_H

#include <math.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/source.h"
#include "profiler/stats.h"

typedef struct bench {
    hone_problem problem;
    hone_array inputs[HONE_OPERANDS_MAX], want[HONE_OUTPUTS_MAX];
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX];
    void *const *operand_set[1], *const *output_set[1];
} bench;

static inline void clear_bench(hone_device *device, bench *t)
{
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) {
        hone_array_clear(&t->inputs[k]);
        if (t->operands[k]) device->api->free(device, t->operands[k]);
    }
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) {
        hone_array_clear(&t->want[k]);
        if (t->outputs[k]) device->api->free(device, t->outputs[k]);
    }
}

// Operands and reference, on the host alone: for whoever forks before a device is opened.
static inline hone_status draw_bench(bench *t, const char *text)
{
    int threads = hone_cpu_count();
    hone_status status = hone_problem_parse(text, &t->problem);
    for (int k = 0; k < t->problem.n_operands && !status; k++)
        status = hone_problem_draw(&t->problem, k, 42 + (uint64_t)k, &t->inputs[k], threads);
    return status ? status : hone_problem_reference(&t->problem, t->inputs, t->want, threads);
}

static inline hone_status lay_bench(hone_device *device, bench *t)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < t->problem.n_operands && !status; k++) {
        size_t size = hone_tensor_size(&t->problem.operands[k]);
        void *packed = hone_alloc(size);
        hone_array_pack(&t->inputs[k], &t->problem.operands[k], packed, false, hone_cpu_count());
        status = device->api->alloc(device, size, &t->operands[k]);
        if (!status) status = device->api->copy(device, NULL, t->operands[k], packed, size, HONE_COPY_IN);
        if (!status) status = device->api->sync(device, NULL);
        hone_free(packed);
    }
    if (!status) status = device->api->alloc(device, hone_tensor_size(&t->problem.out[0]), &t->outputs[0]);
    t->operand_set[0] = t->operands;
    t->output_set[0] = t->outputs;
    return status;
}

static inline hone_status make_bench(hone_device *device, bench *t, const char *text)
{
    hone_status status = draw_bench(t, text);
    return status ? status : lay_bench(device, t);
}

static inline hone_status compare_output(hone_device *device, bench *t, double *error)
{
    const hone_tensor *tensor = &t->problem.out[0];
    size_t size = hone_tensor_size(tensor);
    int64_t n = hone_tensor_count(tensor);
    double off = 0, norm = 0;
    hone_array got = {0};
    void *memory = hone_alloc(size);
    hone_status status = HONE_OK;
    hone_tensor row = *tensor;
    row.layout = HONE_ROW;
    HONE_TRY(hone_array_init(&got, &row));
    HONE_TRY(device->api->copy(device, NULL, memory, t->outputs[0], size, HONE_COPY_OUT));
    HONE_TRY(device->api->sync(device, NULL));
    hone_array_unpack(&got, tensor, memory, hone_cpu_count());
    for (int64_t i = 0; i < n; i++) {
        off += (got.f[i] - t->want[0].f[i]) * (got.f[i] - t->want[0].f[i]);
        norm += t->want[0].f[i] * t->want[0].f[i];
    }
    *error = sqrt(off / norm);
out:
    hone_array_clear(&got);
    hone_free(memory);
    return status;
}

// A graph of `nodes` runs, one after another.
static inline hone_status capture_n(hone_runnable *runnable, void *const *operands, void *const *outputs, void *workspace, int nodes,
                                    hone_captured **captured)
{
    const hone_device_api *api = runnable->device->api;
    hone_stream *stream = NULL;
    hone_status status = HONE_OK;
    HONE_TRY(api->stream(runnable->device, &stream, true));
    HONE_TRY(api->capture(runnable->device, stream, true, NULL));
    for (int i = 0; i < nodes && !status; i++) status = runnable->api->run(runnable, stream, operands, outputs, workspace);
    hone_status ended = api->capture(runnable->device, stream, false, captured);
    if (!status) status = ended;
out:
    if (stream) api->stream(runnable->device, &stream, false);
    return status;
}

// Median time of a replay of such a graph, by events. Between two the device rests for as long and longer: a sustained load would lower
// its clocks, and then two ways of measuring would be compared at two clocks.
static inline hone_status time_graph(hone_runnable *runnable, void *const *operands, void *const *outputs, void *workspace, int nodes, double *ns)
{
    enum { REPLAYS = 31 };
    hone_device *device = runnable->device;
    hone_captured *captured = NULL;
    double samples[REPLAYS];
    hone_status status = capture_n(runnable, operands, outputs, workspace, nodes, &captured);
    for (int i = -3; i < REPLAYS && !status; i++) {
        HONE_TRY(device->api->record(device, NULL, 2));
        HONE_TRY(device->api->replay(device, NULL, captured, false));
        HONE_TRY(device->api->record(device, NULL, 3));
        HONE_TRY(device->api->elapsed(device, 2, 3, &samples[i < 0 ? 0 : i]));
        usleep((useconds_t)(2 * samples[i < 0 ? 0 : i] / 1000));
    }
    *ns = hone_stats_median(samples, REPLAYS);
out:
    if (captured) device->api->replay(device, NULL, captured, true);
    return status;
}

#endif
