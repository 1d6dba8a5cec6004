// SPDX-License-Identifier: Apache-2.0
// How far the GPU's times can be trusted. For tactics of 10 us and more: CUPTI's time against the slope of graph replays over 1, 64 and
// 512 nodes less the gap per node (within 3%), and a tactic against itself, measured in turn as the race measures its last
// (within 1% in 95 of 100 pairs). All replays are timed first, before CUPTI starts, which would stamp every node; then the very same
// runnables with the very same buffers are timed by CUPTI: where buffers lie in the L2 alone makes a convolution 7% slower or faster (H100).
//
// Behind each node stands a short kernel that only waits, launched in the ordinary way, and the slope of such kernels alone is taken off: a
// tactic that may start before the kernel ahead of it has ended would otherwise overlap with its own next run, which no single launch can.
// The gap is that slope of a kernel that does nothing, less its own time by CUPTI.
//
// What is left on Hopper is CUPTI's stamp at the end of every block, which holds up the block after it: kernels of many short blocks seem a few
// hundredths longer than they are.
// One JSON object on stdout, exit 0 when both hold. Arguments: device (cuda), tactics tried of each source and problem (3).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "kernels/nvrtc.h"
#include "profiler/clocks.h"
#include "profiler/timer.h"
#include "tests/gpu/bench.h"

enum { WARM_UP_NS = 150000000, PAIRS = 100, SAMPLES = 25, ROUND = 5, PAIR_SAMPLES = 100, TRIED_MAX = 4096 };
#define FLOOR_NS 10000.0

static const char *const problems[] = {
    "matmul a=f32:128x768 b=f32:768x3072 | add a=$0 b=f32:3072",
    "matmul a=f16:512x1024 b=f16:1024x4096 | add a=$0 b=f16:4096 | gelu x=$1 approx=tanh",
    "matmul a=bf16:4096x1024 b=bf16:1024x1024",
    "conv x=f16:8x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | relu x=$0",
    "conv x=f32:1x28x28x128:nhwc w=f32:128x3x3x128:nhwc b=f32:128 pad=1 | relu x=$0",
    "softmax x=f16:128x12x128x128 axis=3",
    "layernorm x=f16:32768x768 scale=f16:768 b=f16:768 axis=1",
};
#define PROBLEMS (sizeof problems / sizeof *problems)

typedef struct tried {             // a tactic, kept from its replays to CUPTI's turn
    hone_runnable *runnable;       // NULL when it failed
    void *workspace;
    double slope_ns, error;
    char tactic[HONE_TACTIC_TEXT], failed[512];
} tried;

typedef struct field {             // a problem and all tactics that are tried
    bench bench;
    tried *tried;
    size_t n, capacity;
    char failed[512];
} field;

typedef struct waiting {           // a kernel that only waits, in blocks of 128 threads
    hone_runnable base;
    unsigned blocks;
    int64_t clocks;
    hone_module *module;
    hone_function *function;
} waiting;

static hone_device *device;
static hone_json json;
static const hone_timer *timer;
static field fields[PROBLEMS];
static waiting spacer = {.blocks = 1, .clocks = 1000}, busy = {.blocks = 132, .clocks = 10000}, empty = {.blocks = 132, .clocks = 0};
static double spacer_ns, empty_ns, gap_ns;      // the spacer's slope alone, that of the empty kernel with it, the gap
static int compared, apart, paired, pairs_apart;

static hone_status sample(hone_runnable *runnable, bench *t, void *workspace, bool cold, int n, double *samples)
{
    hone_captured *captured = NULL;
    hone_timing_request request = {.device = device, .runnable = runnable, .operand_sets = t->operand_set, .output_sets = t->output_set,
                                   .n_sets = 1, .workspace = workspace, .warmups = 2, .samples = n, .cold = cold};
    hone_status status = HONE_OK;
    // The kernels of one run follow each other as in a network only inside a graph.
    if (!cold && runnable->kernels != 1) HONE_TRY(capture_n(runnable, t->operands, t->outputs, workspace, 1, &captured));
    request.captured = captured;
    status = hone_timer_measure(timer, &request, samples);
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

static hone_status measure_slope(hone_runnable *runnable, void *const *operands, void *const *outputs, void *workspace, double *ns)
{
    static const int nodes[3] = {1, 64, 512};
    double n = 0, t = 0, nn = 0, nt = 0;
    for (int i = 0; i < 3; i++) {
        double graph;
        hone_status status = time_graph(runnable, operands, outputs, workspace, nodes[i], &graph);
        if (status) return status;
        n += nodes[i], t += graph, nn += (double)nodes[i] * nodes[i], nt += nodes[i] * graph;
    }
    *ns = (3 * nt - n * t) / (3 * nn - n * n);       // least squares
    return HONE_OK;
}

// ---- kernels that wait

static hone_status run_waiting(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    waiting *w = (waiting *)runnable;
    const hone_launch launch = {.grid = {w->blocks, 1, 1}, .block = {128, 1, 1}, .params = &w->clocks, .params_bytes = sizeof w->clocks};
    (void)operands, (void)outputs, (void)workspace;
    return device->api->launch(device, stream, w->function, &launch);
}

static const hone_runnable_api waiting_api = {.run = run_waiting};

// Each has machine code of its own, as a tactic and the spacer behind it have.
static hone_status load_waiting(waiting *w, const hone_blob *cubin)
{
    w->base = (hone_runnable){.api = &waiting_api, .device = device};
    return device->api->load(device, cubin->data, cubin->size_bytes, "waiting", &w->module, &w->function);
}

static hone_status load_waits(void)
{
    static const char text[] =
        "extern \"C\" __global__ void waiting(long long clocks) { for (long long t = clock64(); clock64() - t < clocks;) {} }";
    char option[40];
    const char *options[] = {option};
    hone_blob cubin = {0};
    hone_status status = HONE_OK;
    snprintf(option, sizeof option, "--gpu-architecture=sm_%d", device->target.cc);
    HONE_TRY(hone_nvrtc_compile(text, "waiting.cu", options, 1, &cubin));
    HONE_TRY(load_waiting(&spacer, &cubin));
    HONE_TRY(load_waiting(&busy, &cubin));
    HONE_TRY(load_waiting(&empty, &cubin));
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

static hone_status measure_node(hone_runnable *runnable, void *const *operands, void *const *outputs, void *workspace, double *ns)
{
    spaced pair = {.base = {.api = &spaced_api, .device = device}, .runnable = runnable};
    hone_status status = measure_slope(&pair.base, operands, outputs, workspace, ns);
    if (!status) *ns -= spacer_ns;
    return status;
}

// Preparing and comparing leave the GPU idle for seconds, and its clocks take a while to come back. Waiting takes little power: a product
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

// ---- one tactic

static hone_status replay_once(void *user)
{
    return device->api->replay(device, NULL, user, false);
}

static hone_status trace_graph(hone_runnable *runnable, bench *t, void *workspace, int nodes, hone_trace_entry **entries, size_t *n)
{
    hone_captured *captured = NULL;
    hone_status status = HONE_OK;
    HONE_TRY(capture_n(runnable, t->operands, t->outputs, workspace, nodes, &captured));
    for (int k = 0; k < 3; k++) {
        hone_free(*entries);
        HONE_TRY(hone_trace_kernels(device, NULL, replay_once, captured, entries, n));
    }
out:
    if (captured) device->api->replay(device, NULL, captured, true);
    return status;
}

// What CUPTI says of the same kernel as a node of a replayed graph; left alone for runs of several kernels.
static hone_status trace_nodes(hone_runnable *runnable, bench *t, void *workspace, double *ns)
{
    enum { NODES = 32 };
    hone_trace_entry *entries = NULL;
    size_t n = 0;
    double own[NODES], gaps[NODES];
    hone_status status = HONE_OK;
    if (runnable->kernels != 1) return HONE_OK;
    HONE_TRY(trace_graph(runnable, t, workspace, NODES, &entries, &n));
    if (n != NODES) {
        status = hone_fail(HONE_INTERNAL, "%zu kernels in a graph of %d nodes", n, NODES);
        goto out;
    }
    for (size_t k = 0; k < n; k++) own[k] = (double)(entries[k].end_ns - entries[k].start_ns);
    for (size_t k = 1; k < n; k++) gaps[k - 1] = (double)(entries[k].start_ns - entries[k - 1].end_ns);
    *ns = hone_stats_median(own, NODES);
    hone_json_real(&json, "node_gap_ns", hone_stats_median(gaps, NODES - 1));
out:
    hone_free(entries);
    return status;
}

static hone_status compare_with_graph(hone_runnable *runnable, bench *t, void *workspace, double slope_ns)
{
    double warm, node;
    hone_status status;
    HONE_TRY(measure(runnable, t, workspace, false, &warm));
    node = warm;
    HONE_TRY(trace_nodes(runnable, t, workspace, &node));
    double ratio = node / (slope_ns - gap_ns);
    compared += warm >= FLOOR_NS;
    apart += warm >= FLOOR_NS && !(ratio > 0.97 && ratio < 1.03);
    hone_json_real(&json, "warm_ns", warm);
    hone_json_real(&json, "node_ns", node);
    hone_json_real(&json, "slope_ns", slope_ns);
    hone_json_real(&json, "ratio", ratio);
out:
    return status;
}

// Rounds of samples go to the one and to the other in turn.
static hone_status compare_with_itself(hone_runnable *runnable, bench *t, void *workspace)
{
    int off = 0;
    double worst = 1;
    for (int i = 0; i < PAIRS; i++) {
        double samples[PAIR_SAMPLES], of[2][PAIR_SAMPLES / 2];
        hone_status status = sample(runnable, t, workspace, true, PAIR_SAMPLES, samples);
        if (status) return status;
        for (int k = 0; k < PAIR_SAMPLES; k++) of[k / ROUND % 2][k / (2 * ROUND) * ROUND + k % ROUND] = samples[k];
        double ratio = hone_stats_median(of[0], PAIR_SAMPLES / 2) / hone_stats_median(of[1], PAIR_SAMPLES / 2);
        ratio = ratio < 1 ? 1 / ratio : ratio;
        if (ratio > worst) worst = ratio;
        off += ratio > 1.01;
    }
    paired++;
    pairs_apart += off;
    hone_json_int(&json, "pairs_beyond_1_percent", off);
    hone_json_real(&json, "worst_pair", worst);
    return HONE_OK;
}

// ---- before CUPTI: all tactics are prepared, verified and replayed

static hone_status prepare(bench *t, const hone_tactic *tactic, hone_runnable **runnable)
{
    const hone_source *source = hone_source_find(tactic->source);
    hone_blob artifact = {0};
    hone_status status = HONE_OK;
    if (!source) return hone_fail(HONE_INTERNAL, "there is no source %s", tactic->source);
    if (source->compile) HONE_TRY(source->compile(&t->problem, tactic, &device->target, &artifact));
    HONE_TRY(source->prepare(&t->problem, tactic, device, source->compile ? &artifact : NULL, runnable));
    HONE_TRY((*runnable)->api->wake(*runnable));
out:
    hone_free(artifact.data);
    return status;
}

static hone_status replay_tactic(bench *t, const hone_tactic *tactic, tried *r)
{
    hone_status status;
    HONE_TRY(prepare(t, tactic, &r->runnable));
    if (r->runnable->workspace_bytes) HONE_TRY(device->api->alloc(device, r->runnable->workspace_bytes, &r->workspace));
    HONE_TRY(r->runnable->api->run(r->runnable, NULL, t->operands, t->outputs, r->workspace));
    HONE_TRY(compare_output(device, t, &r->error));
    if (!(r->error <= hone_problem_tolerance(&t->problem))) return hone_fail(HONE_NUMERIC, "off by %g", r->error);
    HONE_TRY(warm_up());
    status = measure_node(r->runnable, t->operands, t->outputs, r->workspace, &r->slope_ns);
out:
    return status;
}

static void forget_runnable(tried *r)
{
    if (r->runnable) {
        r->runnable->api->sleep(r->runnable);
        r->runnable->api->free(r->runnable);
        r->runnable = NULL;
    }
    device->api->free(device, r->workspace);
    r->workspace = NULL;
}

typedef struct listing {
    field *field;
    int left;
} listing;

static hone_status replay_next(void *user, const hone_tactic *tactic)
{
    listing *l = user;
    field *f = l->field;
    if (hone_grow(&f->tried, f->n, &f->capacity, sizeof *f->tried, TRIED_MAX)) return HONE_NO_MEMORY;
    tried *r = &f->tried[f->n++];
    *r = (tried){0};
    hone_tactic_print(tactic, r->tactic);
    if (replay_tactic(&f->bench, tactic, r)) {
        snprintf(r->failed, sizeof r->failed, "%s", hone_error_text());
        forget_runnable(r);
    }
    return --l->left > 0 ? HONE_OK : HONE_MISS;      // MISS: enough seen
}

static void replay_field(field *f, const char *text, int most)
{
    if (make_bench(device, &f->bench, text)) {
        snprintf(f->failed, sizeof f->failed, "%s", hone_error_text());
        return;
    }
    for (int s = 0; s < hone_source_count; s++) {
        const hone_source *source = hone_sources[s];
        listing l = {f, most};
        hone_space space = {0};
        if (!hone_source_serves(source, "cuda") || !strcmp(source->name, "ref")) continue;
        if (!source->space(&f->bench.problem, &device->target, device, &space))
            (void)hone_space_each(source, &f->bench.problem, &device->target, &space, replay_next, &l);
        hone_space_clear(&space);
    }
    fprintf(stderr, "replayed: %s\n", text);
}

static hone_status replay_all(int most)
{
    hone_status status;
    HONE_TRY(load_waits());
    HONE_TRY(hone_timing_evict(device, NULL));       // its memory is there from now on
    HONE_TRY(warm_up());
    HONE_TRY(measure_slope(&spacer.base, NULL, NULL, NULL, &spacer_ns));
    HONE_TRY(measure_node(&empty.base, NULL, NULL, NULL, &empty_ns));
    for (size_t k = 0; k < PROBLEMS; k++) replay_field(&fields[k], problems[k], most);
out:
    return status;
}

// ---- with CUPTI: the same runnables

static hone_status measure_gap(void)
{
    void *const none[1] = {NULL};
    bench t = {.operand_set = {none}, .output_set = {none}};
    double own;
    hone_status status;
    HONE_TRY(warm_up());
    HONE_TRY(measure(&empty.base, &t, NULL, false, &own));
    gap_ns = empty_ns - own;
    hone_json_real(&json, "empty_ns", own);
    hone_json_real(&json, "empty_slope_ns", empty_ns);
    hone_json_real(&json, "gap_ns", gap_ns);
out:
    return status;
}

static hone_status examine(bench *t, const tried *r)
{
    double cold;
    hone_status status;
    if (!r->runnable) return hone_fail(HONE_DECLINED, "%s", r->failed);
    HONE_TRY(warm_up());
    HONE_TRY(measure(r->runnable, t, r->workspace, true, &cold));
    hone_json_real(&json, "error", r->error);
    hone_json_real(&json, "cold_ns", cold);
    hone_json_int(&json, "kernels", r->runnable->kernels);
    if (cold < FLOOR_NS) return HONE_OK;
    HONE_TRY(compare_with_graph(r->runnable, t, r->workspace, r->slope_ns));
    HONE_TRY(compare_with_itself(r->runnable, t, r->workspace));
out:
    return status;
}

static void examine_field(field *f, const char *text)
{
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "problem", text);
    if (*f->failed) hone_json_text(&json, "failed", f->failed);
    hone_json_open(&json, "tactics", '[');
    for (size_t i = 0; i < f->n; i++) {
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "tactic", f->tried[i].tactic);
        if (examine(&f->bench, &f->tried[i])) {
            hone_json_text(&json, "failed", hone_error_text());
            fprintf(stderr, "%s: %s\n", f->tried[i].tactic, hone_error_text());
        }
        hone_json_close(&json, '}');
    }
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
}

static hone_status examine_all(void)
{
    hone_status status;
    timer = hone_timer_find("cupti");
    HONE_TRY(timer->probe(device));
    HONE_TRY(measure_gap());
    hone_json_open(&json, "problems", '[');
    for (size_t k = 0; k < PROBLEMS; k++) examine_field(&fields[k], problems[k]);
    hone_json_close(&json, ']');
out:
    return status;
}

static void clear_all(void)
{
    for (size_t k = 0; k < PROBLEMS && device; k++) {
        for (size_t i = 0; i < fields[k].n; i++) forget_runnable(&fields[k].tried[i]);
        hone_free(fields[k].tried);
        clear_bench(device, &fields[k].bench);
    }
    if (spacer.module) device->api->unload(device, spacer.module);
    if (busy.module) device->api->unload(device, busy.module);
    if (empty.module) device->api->unload(device, empty.module);
    hone_device_close(device);
}

static hone_status examine_device(const char *name, int most)
{
    char target[256];
    hone_clocks clocks;
    hone_status status;
    HONE_TRY(hone_device_open(name, &device));
    hone_target_print(&device->target, target, sizeof target);
    hone_json_text(&json, "device", target);
    hone_json_text(&json, "toolchain", device->toolchain);
    HONE_TRY(replay_all(most));
    HONE_TRY(examine_all());
    hone_clocks_read(device, &clocks);
    hone_json_text(&json, "throttle", clocks.throttle);
    hone_json_int(&json, "tactics_compared", compared);
    hone_json_int(&json, "beyond_3_percent", apart);
    hone_json_int(&json, "pairs", PAIRS * paired);
    hone_json_int(&json, "pairs_beyond_1_percent", pairs_apart);
out:
    return status;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "cuda";
    int most = argc > 2 ? atoi(argv[2]) : 3;
    hone_text text;
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_status status = examine_device(name, most);
    if (status) hone_json_text(&json, "error", hone_error_text());
    hone_json_close(&json, '}');
    puts(hone_text_get(&text));
    hone_text_clear(&text);
    clear_all();
    if (status) return hone_status_exit_code(status);
    return apart || !compared || !paired || pairs_apart > PAIRS * paired / 20;
}
