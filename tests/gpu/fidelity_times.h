// SPDX-License-Identifier: Apache-2.0
// How fidelity.c takes one time of one tactic, on the device of the round at hand: by replaying graphs, by CUPTI inside a replayed graph, by the timer.
//
// Behind each node stands a short kernel that only waits, launched in the ordinary way, and the slope of such kernels alone is taken off: a
// tactic that may start before the kernel ahead of it has ended would otherwise overlap with its own next run, which no single launch can.
// The gap of a kernel is that slope of it less its own time by CUPTI; here it is taken of one that does nothing, in fidelity_echo.h of others.
#ifndef HONE_TESTS_GPU_FIDELITY_TIMES_H
#define HONE_TESTS_GPU_FIDELITY_TIMES_H

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/cupti.h"
#include "kernels/nvrtc.h"
#include "profiler/clocks.h"
#include "profiler/timer.h"
#include "tests/gpu/bench.h"
#include "tests/gpu/fidelity.h"

enum { WARM_UP_NS = 150000000, SAMPLES = 25, TURN = 5, PAIR_SAMPLES = 100, PASSES_MAX = 31, RUNS = 32, TRACES = 4, AGAIN = 5 };

typedef struct waiting {           // a kernel that only waits
    hone_runnable base;
    unsigned grid[3], block[3], shared_bytes;
    int64_t clocks;                // that each block waits
    hone_module *module;
    hone_function *function;
} waiting;

static hone_device *device;
static const hone_timer *timer;
static int passes = 3;             // for one slope
static double spacer_ns;
static waiting spacer = {.grid = {1, 1, 1}, .block = {128, 1, 1}, .clocks = 1000}, busy = {.grid = {132, 1, 1}, .block = {128, 1, 1}, .clocks = 10000},
               empty = {.grid = {132, 1, 1}, .block = {128, 1, 1}, .clocks = 0}, echo;      // of the echo its code; fidelity_echo.h gives each its launch

// ---- kernels that wait

static hone_status run_waiting(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    waiting *w = (waiting *)runnable;
    hone_launch launch = {.shared_bytes = w->shared_bytes, .params = &w->clocks, .params_bytes = sizeof w->clocks};
    (void)operands, (void)outputs, (void)workspace;
    memcpy(launch.grid, w->grid, sizeof launch.grid);
    memcpy(launch.block, w->block, sizeof launch.block);
    return device->api->launch(device, stream, w->function, &launch);
}

static const hone_runnable_api waiting_api = {.run = run_waiting};

// Each has machine code of its own, as a tactic and the spacer behind it have.
static hone_status load_waiting(waiting *w, const hone_blob *cubin, const char *name)
{
    w->base = (hone_runnable){.api = &waiting_api, .device = device, .kernels = 1};
    return device->api->load(device, cubin->data, cubin->size_bytes, name, &w->module, &w->function);
}

// The echo bears another name: a trace tells the spacer by its own.
static hone_status load_waits(void)
{
    static const char text[] = "#define WAIT(name) extern \"C\" __global__ void name(long long clocks) "
                               "{ for (long long t = clock64(); clock64() - t < clocks;) {} }\nWAIT(waiting)\nWAIT(echo)\n";
    char option[40];
    const char *options[] = {option};
    hone_blob cubin = {0};
    hone_status status = HONE_OK;
    snprintf(option, sizeof option, "--gpu-architecture=sm_%d", device->target.cc);
    HONE_TRY(hone_nvrtc_compile(text, "waiting.cu", options, 1, &cubin));
    HONE_TRY(load_waiting(&spacer, &cubin, "waiting"));
    HONE_TRY(load_waiting(&busy, &cubin, "waiting"));
    HONE_TRY(load_waiting(&empty, &cubin, "waiting"));
    HONE_TRY(load_waiting(&echo, &cubin, "echo"));
out:
    hone_free(cubin.data);
    return status;
}

typedef struct spaced {            // a runnable with the spacer behind it
    hone_runnable base;
    hone_runnable *runnable;
} spaced;

static hone_status run_spaced(hone_runnable *base, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    hone_runnable *runnable = ((spaced *)base)->runnable;
    hone_status status = runnable->api->run(runnable, stream, operands, outputs, workspace);
    return status ? status : run_waiting(&spacer.base, stream, NULL, NULL, NULL);
}

static const hone_runnable_api spaced_api = {.run = run_spaced};

static spaced put_spacer_behind(hone_runnable *runnable)
{
    return (spaced){.base = {.api = &spaced_api, .device = device}, .runnable = runnable};
}

// Attaching CUPTI and comparing leave the GPU idle for a while, and its clocks take time to come back. Waiting takes little power: a product
// that fills the tensor cores for as long would itself lower the clocks for what is timed next.
static hone_status warm_up(void)
{
    hone_status status = HONE_OK;
    for (int64_t begin = hone_clock_ns(); hone_clock_ns() - begin < WARM_UP_NS;) {
        for (int i = 0; i < 16; i++) HONE_TRY(run_waiting(&busy.base, NULL, NULL, NULL, NULL));
        HONE_TRY(device->api->sync(device, NULL));
    }
out:
    return status;
}

static int read_mhz(void)
{
    hone_clocks clocks;
    hone_clocks_read(device, &clocks);
    return clocks.sm_mhz;
}

// ---- replays, without CUPTI

// Between two the device rests for as long: a sustained load would lower its clocks, and two ways of measuring were compared at two clocks.
static hone_status time_replay(hone_captured *captured, double *ns)
{
    hone_status status = HONE_OK;
    HONE_TRY(device->api->record(device, NULL, 2));
    HONE_TRY(device->api->replay(device, NULL, captured, false));
    HONE_TRY(device->api->record(device, NULL, 3));
    HONE_TRY(device->api->elapsed(device, 2, 3, ns));
    usleep((useconds_t)(*ns / 1000));
out:
    return status;
}

static double fit_slope(const int *x, const double *y)          // least squares
{
    double n = 0, t = 0, nn = 0, nt = 0;
    for (int i = 0; i < 3; i++) n += x[i], t += y[i], nn += (double)x[i] * x[i], nt += x[i] * y[i];
    return (3 * nt - n * t) / (3 * nn - n * n);
}

// The middle slope of several passes, every other one from the most nodes to the fewest; the first pass warms up.
static hone_status measure_slope(hone_runnable *runnable, bench *t, void *workspace, double *ns, double *spread)
{
    static const int nodes[3] = {1, 64, 512};
    hone_captured *graphs[3] = {0};
    double slopes[PASSES_MAX], times[3];
    hone_status status = HONE_OK;
    for (int i = 0; i < 3; i++) HONE_TRY(capture_n(runnable, t->operands, t->outputs, workspace, nodes[i], &graphs[i]));
    for (int pass = -1; pass < passes; pass++) {
        for (int i = 0; i < 3; i++) {
            int k = pass % 2 ? 2 - i : i;
            HONE_TRY(time_replay(graphs[k], &times[k]));
        }
        slopes[pass < 0 ? 0 : pass] = fit_slope(nodes, times);
    }
    *ns = hone_stats_median(slopes, (size_t)passes);
    *spread = (hone_stats_percentile(slopes, (size_t)passes, 100) - hone_stats_min(slopes, (size_t)passes)) / *ns;
out:
    for (int i = 0; i < 3; i++)
        if (graphs[i]) device->api->replay(device, NULL, graphs[i], true);
    return status;
}

static hone_status measure_spaced_slope(hone_runnable *runnable, bench *t, void *workspace, double *ns, double *spread)
{
    spaced pair = put_spacer_behind(runnable);
    hone_status status = measure_slope(&pair.base, t, workspace, ns, spread);
    if (!status) *ns -= spacer_ns;
    return status;
}

static inline hone_status measure_waits(process *r)
{
    bench none = {0};
    double spread;
    hone_status status;
    HONE_TRY(warm_up());
    HONE_TRY(measure_slope(&spacer.base, &none, NULL, &spacer_ns, &spread));
    HONE_TRY(measure_spaced_slope(&empty.base, &none, NULL, &r->empty_slope_ns, &spread));
    r->spacer_ns = spacer_ns;
out:
    return status;
}

static inline hone_status measure_spacer_again(process *r)
{
    bench none = {0};
    double spread;
    return measure_slope(&spacer.base, &none, NULL, &r->spacer_after_ns, &spread);
}

// ---- with CUPTI: the timer, and runs inside a replayed graph

static hone_status sample(hone_runnable *runnable, bench *t, void *workspace, bool cold, int n, double *samples)
{
    hone_captured *captured = NULL;
    hone_timing_request request = {.device = device, .runnable = runnable, .operand_sets = t->operand_set, .output_sets = t->output_set,
                                   .n_sets = 1, .workspace = workspace, .warmups = 2, .samples = n, .cold = cold};
    hone_status status = HONE_OK;
    // The kernels of one run follow each other as in a network only inside a graph.
    if (!cold && runnable->kernels != 1) HONE_TRY(capture_n(runnable, t->operands, t->outputs, workspace, 1, &captured));
    request.captured = captured;
    for (int lost = 0; (status = hone_timer_measure(timer, &request, samples)) == HONE_AGAIN && lost < AGAIN;) lost++;
out:
    if (captured) device->api->replay(device, NULL, captured, true);
    return status;
}

static hone_status measure(hone_runnable *runnable, bench *t, void *workspace, bool cold, double *ns)
{
    double samples[SAMPLES];
    hone_status status = sample(runnable, t, workspace, cold, SAMPLES, samples);
    *ns = status ? 0 : hone_stats_median(samples, SAMPLES);
    return status;
}

static int compare_starts(const void *a, const void *b)
{
    const hone_activity *x = a, *y = b;
    return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

// A run lasts from its first start to its last end, and the spacer stands behind it.
static hone_status read_runs(hone_activity *activities, size_t n, double *spans)
{
    int64_t start = 0, end = 0;
    int runs = 0;
    if (n) qsort(activities, n, sizeof *activities, compare_starts);
    for (size_t i = 0; i < n; i++) {
        const hone_activity *a = &activities[i];
        if (!a->label) continue;
        if (a->name && !strcmp(a->name, "waiting") && a->grid[0] == spacer.grid[0]) {
            if (!start || runs == RUNS) return hone_fail(HONE_AGAIN, "CUPTI shows a spacer without a run ahead of it, after %d runs", runs);
            spans[runs++] = (double)(end - start);
            start = end = 0;
            continue;
        }
        if (!start) start = a->start_ns;
        if (a->end_ns > end) end = a->end_ns;
    }
    return runs == RUNS ? HONE_OK : hone_fail(HONE_AGAIN, "CUPTI shows %d runs in a graph of %d", runs, RUNS);
}

static hone_status collect_replay(hone_captured *captured, hone_activity **activities, size_t *n)
{
    hone_cupti_begin();
    hone_status status = hone_cupti_push(1);
    if (!status) {
        status = device->api->replay(device, NULL, captured, false);
        hone_cupti_pop();
    }
    hone_status synced = device->api->sync(device, NULL);
    if (!status) status = synced;
    hone_status ended = hone_cupti_end(activities, n);
    return status ? status : ended;
}

static hone_status trace_replay(hone_captured *captured, double *spans)
{
    hone_activity *activities = NULL;
    size_t n = 0;
    hone_status status = collect_replay(captured, &activities, &n);
    if (!status) status = read_runs(activities, n, spans);
    hone_free(activities);
    return status;
}

// The first trace warms up; records that CUPTI lost are asked for again.
static hone_status measure_traced(hone_runnable *runnable, bench *t, void *workspace, double *ns, double *spread)
{
    enum { ALL = TRACES * RUNS };
    spaced pair = put_spacer_behind(runnable);
    hone_captured *captured = NULL;
    double spans[ALL];
    hone_status status = HONE_OK;
    HONE_TRY(capture_n(&pair.base, t->operands, t->outputs, workspace, RUNS, &captured));
    for (int k = -1, lost = 0; k < TRACES; k++) {
        status = trace_replay(captured, &spans[(k < 0 ? 0 : k) * RUNS]);
        if (status == HONE_AGAIN && lost++ < AGAIN) k--;
        else if (status) goto out;
    }
    status = HONE_OK;
    *ns = hone_stats_median(spans, ALL);
    *spread = (hone_stats_percentile(spans, ALL, 90) - hone_stats_percentile(spans, ALL, 10)) / *ns;
out:
    if (captured) device->api->replay(device, NULL, captured, true);
    return status;
}

static inline hone_status measure_empty(process *r)
{
    bench none = {0};
    double spread;
    hone_status status = warm_up();
    return status ? status : measure_traced(&empty.base, &none, NULL, &r->empty_ns, &spread);
}

// One pair: samples go to the one and to the other in turn.
static inline hone_status compare_with_itself(hone_runnable *runnable, bench *t, void *workspace, seen *s)
{
    double samples[PAIR_SAMPLES], of[2][PAIR_SAMPLES / 2];
    hone_status status = sample(runnable, t, workspace, true, PAIR_SAMPLES, samples);
    if (status) return status;
    for (int k = 0; k < PAIR_SAMPLES; k++) of[k / TURN % 2][k / (2 * TURN) * TURN + k % TURN] = samples[k];
    double ratio = hone_stats_median(of[0], PAIR_SAMPLES / 2) / hone_stats_median(of[1], PAIR_SAMPLES / 2);
    ratio = ratio < 1 ? 1 / ratio : ratio;
    if (ratio > s->worst_pair) s->worst_pair = ratio;
    s->pairs++;
    s->pairs_apart += ratio > 1.01;
    return HONE_OK;
}

#endif
