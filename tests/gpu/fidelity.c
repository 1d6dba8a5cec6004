// SPDX-License-Identifier: Apache-2.0
// How far the GPU's times can be trusted. For tactics of 10 us and more: CUPTI's time against the slope of graph replays over 1, 64 and
// 512 nodes less the gap per node (within 3%), and a tactic against itself, measured in turn as the race measures its last
// (within 1% in 95 of 100 pairs). Replays are timed in a process of their own, without CUPTI, which would stamp every node; it lists the
// tactics and prints them with their slopes, and the process with CUPTI examines exactly these.
//
// Behind each node stands a short kernel that only waits, launched in the ordinary way, and the slope of such kernels alone is taken off: a
// tactic that may start before the kernel ahead of it has ended would otherwise overlap with its own next run, which no single launch can.
// The gap is that slope of a kernel that only waits, less its own time by CUPTI. Where CUPTI records kernels, starting a block may take
// longer, so the gap is measured at several grids; a tactic has that of its number of blocks, on the line between two of them.
// One JSON object on stdout, exit 0 when both hold. Arguments: device (cuda), tactics tried of each source and problem (3).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "kernels/nvrtc.h"
#include "profiler/clocks.h"
#include "profiler/timer.h"
#include "tests/gpu/bench.h"

enum { WARM_UP_NS = 150000000, PAIRS = 100, SAMPLES = 25, ROUND = 5, PAIR_SAMPLES = 100, GRIDS = 4, REPLAYED_MAX = 65536 };
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

typedef struct replayed {          // what the process without CUPTI saw
    int problem;                   // -1: a kernel that waits, in the order of waits
    double slope_ns;
    char tactic[HONE_TACTIC_TEXT], failed[512];
} replayed;

typedef struct waiting {           // a kernel that only waits, in blocks of 128 threads
    hone_runnable base;
    unsigned blocks;
    int64_t clocks;
    hone_module *module;
    hone_function *function;
    double gap_ns;
} waiting;

static hone_device *device;
static hone_json json;
static const hone_timer *timer;    // NULL in the process that times replays
static replayed *replays;
static size_t n_replays, replay_capacity;
static int problem_at;
static waiting spacer = {.blocks = 1, .clocks = 1000};
// A launch lasts 5 to 40 us, so that launching never limits the replay: 16 blocks fit a multiprocessor of an H100 at once, which makes one
// wave, two, eight and 32.
static waiting waits[GRIDS] = {
    {.blocks = 132, .clocks = 10000}, {.blocks = 4096, .clocks = 5000}, {.blocks = 16384, .clocks = 2500}, {.blocks = 65536, .clocks = 1500},
};
static double spacer_ns;           // its slope alone
static int compared, apart, pairs, unequal;

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
    for (int k = 0; k < GRIDS; k++) HONE_TRY(load_waiting(&waits[k], &cubin));
out:
    hone_free(cubin.data);
    return status;
}

static void unload_waits(void)
{
    device->api->unload(device, spacer.module);
    for (int k = 0; k < GRIDS; k++) device->api->unload(device, waits[k].module);
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
        for (int i = 0; i < 16; i++) HONE_TRY(run_waiting(&waits[0].base, NULL, NULL, NULL, NULL));
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

// What CUPTI says of the same kernel inside a replayed graph, for a reader who wonders.
static hone_status trace_nodes(hone_runnable *runnable, bench *t, void *workspace)
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
    hone_json_real(&json, "in_graph_ns", hone_stats_median(own, NODES));
    hone_json_real(&json, "in_graph_gap_ns", hone_stats_median(gaps, NODES - 1));
out:
    hone_free(entries);
    return status;
}

// Of all kernels of one run: what a library launches, only the trace tells.
static hone_status count_blocks(hone_runnable *runnable, bench *t, void *workspace, double *blocks)
{
    hone_trace_entry *entries = NULL;
    size_t n = 0;
    hone_status status = trace_graph(runnable, t, workspace, 1, &entries, &n);
    *blocks = 0;
    for (size_t k = 0; k < n && !status; k++) *blocks += (double)entries[k].grid[0] * entries[k].grid[1] * entries[k].grid[2];
    hone_free(entries);
    return status;
}

// Beyond the first and the last grid the outer lines go on.
static double gap_of(double blocks)
{
    int k = 0;
    while (k < GRIDS - 2 && blocks > waits[k + 1].blocks) k++;
    double part = (blocks - waits[k].blocks) / ((double)waits[k + 1].blocks - waits[k].blocks);
    return waits[k].gap_ns + part * (waits[k + 1].gap_ns - waits[k].gap_ns);
}

static hone_status compare_with_graph(hone_runnable *runnable, bench *t, void *workspace, const replayed *r)
{
    double warm, blocks;
    hone_status status;
    HONE_TRY(measure(runnable, t, workspace, false, &warm));
    HONE_TRY(count_blocks(runnable, t, workspace, &blocks));
    HONE_TRY(trace_nodes(runnable, t, workspace));
    double gap = gap_of(blocks), ratio = warm / (r->slope_ns - gap);
    compared += warm >= FLOOR_NS;
    apart += warm >= FLOOR_NS && !(ratio > 0.97 && ratio < 1.03);
    hone_json_real(&json, "blocks", blocks);
    hone_json_real(&json, "gap_ns", gap);
    hone_json_real(&json, "warm_ns", warm);
    hone_json_real(&json, "slope_ns", r->slope_ns);
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
    pairs++;
    unequal += off > PAIRS / 20;
    hone_json_int(&json, "pairs_beyond_1_percent", off);
    hone_json_real(&json, "worst_pair", worst);
    return HONE_OK;
}

// The memory that cold measurements evict with is made in both processes, so that the same buffers lie in the same places.
static hone_status examine(hone_runnable *runnable, bench *t, void *workspace, replayed *r)
{
    double cold, error;
    hone_status status = HONE_OK;
    HONE_TRY(runnable->api->run(runnable, NULL, t->operands, t->outputs, workspace));
    HONE_TRY(compare_output(device, t, &error));
    if (!(error <= hone_problem_tolerance(&t->problem))) return hone_fail(HONE_NUMERIC, "off by %g", error);
    HONE_TRY(hone_timing_evict(device, NULL));
    HONE_TRY(warm_up());
    if (!timer) return measure_node(runnable, t->operands, t->outputs, workspace, &r->slope_ns);
    HONE_TRY(measure(runnable, t, workspace, true, &cold));
    hone_json_real(&json, "error", error);
    hone_json_real(&json, "cold_ns", cold);
    hone_json_int(&json, "kernels", runnable->kernels);
    if (cold < FLOOR_NS) return HONE_OK;
    HONE_TRY(compare_with_graph(runnable, t, workspace, r));
    HONE_TRY(compare_with_itself(runnable, t, workspace));
out:
    return status;
}

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

static hone_status try_tactic(bench *t, const hone_tactic *tactic, replayed *r)
{
    hone_runnable *runnable = NULL;
    void *workspace = NULL;
    hone_status status = HONE_OK;
    HONE_TRY(prepare(t, tactic, &runnable));
    if (runnable->workspace_bytes) HONE_TRY(device->api->alloc(device, runnable->workspace_bytes, &workspace));
    HONE_TRY(examine(runnable, t, workspace, r));
out:
    if (runnable) {
        runnable->api->sleep(runnable);
        runnable->api->free(runnable);
    }
    device->api->free(device, workspace);
    return status;
}

// ---- the process without CUPTI lists tactics and tells the other of them

static void tell(const replayed *r, const char *failed)
{
    printf("%d\t%.3f\t%s\t%s\n", r->problem, r->slope_ns, r->tactic, failed);
}

typedef struct listing {
    bench *t;
    int left;
} listing;

static hone_status time_tactic(void *user, const hone_tactic *tactic)
{
    listing *l = user;
    replayed r = {.problem = problem_at};
    hone_tactic_print(tactic, r.tactic);
    hone_status status = try_tactic(l->t, tactic, &r);
    tell(&r, status ? hone_error_text() : "");
    return --l->left > 0 ? HONE_OK : HONE_MISS;      // MISS: enough seen
}

static void time_tactics(bench *t, int most)
{
    for (int s = 0; s < hone_source_count; s++) {
        const hone_source *source = hone_sources[s];
        listing l = {t, most};
        hone_space space = {0};
        if (!hone_source_serves(source, "cuda") || !strcmp(source->name, "ref")) continue;
        if (!source->space(&t->problem, &device->target, device, &space))
            (void)hone_space_each(source, &t->problem, &device->target, &space, time_tactic, &l);
        hone_space_clear(&space);
    }
}

static hone_status try_replayed(bench *t, replayed *r)
{
    hone_tactic tactic;
    if (*r->failed) return hone_fail(HONE_DECLINED, "%s", r->failed);
    hone_status status = hone_tactic_parse(r->tactic, &tactic);
    return status ? status : try_tactic(t, &tactic, r);
}

static void visit_replayed(bench *t)
{
    for (size_t i = 0; i < n_replays; i++) {
        replayed *r = &replays[i];
        if (r->problem != problem_at) continue;
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "tactic", r->tactic);
        if (try_replayed(t, r)) {
            hone_json_text(&json, "failed", hone_error_text());
            fprintf(stderr, "%s: %s\n", r->tactic, hone_error_text());
        }
        hone_json_close(&json, '}');
    }
}

static void visit_problem(const char *text, int most)
{
    bench *t = hone_calloc(1, sizeof *t);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "problem", text);
    hone_status status = make_bench(device, t, text);
    if (status) hone_json_text(&json, "failed", hone_error_text());
    hone_json_open(&json, "tactics", '[');
    if (!status && timer) visit_replayed(t);
    else if (!status) time_tactics(t, most);
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    clear_bench(device, t);
    hone_free(t);
    fprintf(stderr, "%s\n", text);
}

// ---- the gap between two nodes

static hone_status examine_waiting(waiting *w, replayed *r)
{
    void *const none[1] = {NULL};
    bench t = {.operand_set = {none}, .output_set = {none}};
    double own;
    hone_status status;
    HONE_TRY(warm_up());
    if (!timer) return measure_node(&w->base, none, none, NULL, &r->slope_ns);
    HONE_TRY(measure(&w->base, &t, NULL, false, &own));
    w->gap_ns = r->slope_ns - own;
    hone_json_open(&json, NULL, '{');
    hone_json_int(&json, "blocks", w->blocks);
    hone_json_real(&json, "waiting_ns", own);
    hone_json_real(&json, "slope_ns", r->slope_ns);
    hone_json_real(&json, "gap_ns", w->gap_ns);
    hone_json_close(&json, '}');
out:
    return status;
}

static hone_status measure_gaps(void)
{
    hone_status status = HONE_OK;
    hone_json_open(&json, "gaps", '[');
    HONE_TRY(warm_up());
    if (!timer) HONE_TRY(measure_slope(&spacer.base, NULL, NULL, NULL, &spacer_ns));
    for (int k = 0; k < GRIDS; k++) {
        replayed r = {.problem = -1, .tactic = "waiting"};
        HONE_TRY(examine_waiting(&waits[k], timer ? &replays[k] : &r));
        if (!timer) tell(&r, "");
    }
out:
    hone_json_close(&json, ']');
    return status;
}

static hone_status visit_all(int most)
{
    hone_status status;
    HONE_TRY(load_waits());
    HONE_TRY(measure_gaps());
    hone_json_open(&json, "problems", '[');
    for (problem_at = 0; problem_at < (int)(sizeof problems / sizeof *problems); problem_at++) visit_problem(problems[problem_at], most);
    hone_json_close(&json, ']');
out:
    unload_waits();
    return status;
}

// A line that is none of tell's is passed over: a library's, or the rest of a message of several lines.
static hone_status read_replayed(char *line)
{
    char *fields[4];
    int n = 0;
    while (n < 4 && (fields[n] = strsep(&line, "\t\n"))) n++;
    if (n < 4) return HONE_OK;
    if (hone_grow(&replays, n_replays, &replay_capacity, sizeof *replays, REPLAYED_MAX)) return HONE_NO_MEMORY;
    replayed *r = &replays[n_replays++];
    *r = (replayed){.problem = atoi(fields[0]), .slope_ns = atof(fields[1])};
    snprintf(r->tactic, sizeof r->tactic, "%s", fields[2]);
    snprintf(r->failed, sizeof r->failed, "%s", fields[3]);
    return HONE_OK;
}

// This program once more, before this process touches the GPU.
static hone_status read_replays(const char *name, int most)
{
    char command[512], line[2 * HONE_TACTIC_TEXT];
    hone_status status = HONE_OK;
    snprintf(command, sizeof command, "/proc/%d/exe '%s' %d replays", (int)getpid(), name, most);
    FILE *f = popen(command, "r");
    if (!f) return hone_fail(HONE_INTERNAL, "cannot start %s", command);
    while (!status && fgets(line, sizeof line, f)) status = read_replayed(line);
    if (pclose(f) && !status) status = hone_fail(HONE_NO_DEVICE, "the process that times replays failed");
    if (!status && n_replays < GRIDS) status = hone_fail(HONE_INTERNAL, "the process that times replays tells no gaps");
    return status;
}

static hone_status examine_device(const char *name, int most)
{
    char target[256];
    hone_clocks clocks;
    hone_status status;
    HONE_TRY(read_replays(name, most));
    HONE_TRY(hone_device_open(name, &device));
    hone_target_print(&device->target, target, sizeof target);
    hone_json_text(&json, "device", target);
    hone_json_text(&json, "toolchain", device->toolchain);
    timer = hone_timer_find("cupti");
    HONE_TRY(timer->probe(device));
    HONE_TRY(visit_all(most));
    hone_clocks_read(device, &clocks);
    hone_json_text(&json, "throttle", clocks.throttle);
    hone_json_int(&json, "tactics_compared", compared);
    hone_json_int(&json, "beyond_3_percent", apart);
    hone_json_int(&json, "tactics_paired", pairs);
    hone_json_int(&json, "unequal_to_themselves", unequal);
out:
    return status;
}

static hone_status time_replays(const char *name, int most)
{
    hone_status status = hone_device_open(name, &device);
    return status ? status : visit_all(most);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "cuda";
    int most = argc > 2 ? atoi(argv[2]) : 3;
    bool only_replays = argc > 3;
    hone_text text;
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_status status = only_replays ? time_replays(name, most) : examine_device(name, most);
    if (status) hone_json_text(&json, "error", hone_error_text());
    hone_device_close(device);
    hone_json_close(&json, '}');
    if (only_replays && status) fprintf(stderr, "%s\n", hone_error_text());
    if (!only_replays) puts(hone_text_get(&text));
    hone_text_clear(&text);
    hone_free(replays);
    if (status) return hone_status_exit_code(status);
    return !only_replays && (apart || unequal || !compared || !pairs);
}
