// SPDX-License-Identifier: Apache-2.0
// How far the GPU's times can be trusted. For tactics of 10 us and more: CUPTI's time against the slope of graph replays over 1, 64 and
// 512 nodes less the gap per node (within 3%), and a tactic against itself, measured in turn as the race measures its last
// (within 1% in 95 of 100 pairs). Replays are timed in a process of their own, without CUPTI, which would stamp every node.
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

enum { WARM_UP_NS = 150000000, PAIRS = 100, SAMPLES = 25, ROUND = 5, PAIR_SAMPLES = 100, REPLAYED_MAX = 256 };
#define FLOOR_NS 10000.0
#define WAIT_CYCLES 10000          // of the kernel that the gap is measured with: some 5 us, so that launching never limits the replay

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
    int problem;
    char tactic[HONE_TACTIC_TEXT];
    double slope_ns;
} replayed;

static hone_device *device;
static hone_json json;
static const hone_timer *timer;    // NULL in the process that times replays
static replayed replays[REPLAYED_MAX];
static int n_replays, problem_at;
static double gap_ns;
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

static const replayed *find_replayed(int problem, const char *tactic)
{
    for (int i = 0; i < n_replays; i++)
        if (replays[i].problem == problem && !strcmp(replays[i].tactic, tactic)) return &replays[i];
    return NULL;
}

// Preparing and comparing leave the GPU idle for seconds, and its clocks take a while to come back.
static hone_status warm_up(hone_runnable *runnable, void *const *operands, void *const *outputs, void *workspace)
{
    hone_status status = HONE_OK;
    for (int64_t begin = hone_clock_ns(); hone_clock_ns() - begin < WARM_UP_NS;) {
        for (int i = 0; i < 16; i++) HONE_TRY(runnable->api->run(runnable, NULL, operands, outputs, workspace));
        HONE_TRY(device->api->sync(device, NULL));
    }
out:
    return status;
}

// What CUPTI says of the same kernel inside a replayed graph, for a reader who wonders.
typedef struct replaying {
    hone_captured *captured;
} replaying;

static hone_status replay_once(void *user)
{
    return device->api->replay(device, NULL, ((replaying *)user)->captured, false);
}

static hone_status trace_nodes(hone_runnable *runnable, bench *t, void *workspace)
{
    enum { NODES = 32 };
    replaying r = {0};
    hone_trace_entry *entries = NULL;
    size_t n = 0;
    double own[NODES], gaps[NODES];
    hone_status status = HONE_OK;
    if (runnable->kernels != 1) return HONE_OK;
    HONE_TRY(capture_n(runnable, t->operands, t->outputs, workspace, NODES, &r.captured));
    for (int k = 0; k < 3; k++) {
        hone_free(entries);
        HONE_TRY(hone_trace_kernels(device, NULL, replay_once, &r, &entries, &n));
    }
    if (n != NODES) return hone_fail(HONE_INTERNAL, "%zu kernels in a graph of %d nodes", n, NODES);
    for (size_t k = 0; k < n; k++) own[k] = (double)(entries[k].end_ns - entries[k].start_ns);
    for (size_t k = 1; k < n; k++) gaps[k - 1] = (double)(entries[k].start_ns - entries[k - 1].end_ns);
    hone_json_real(&json, "in_graph_ns", hone_stats_median(own, NODES));
    hone_json_real(&json, "in_graph_gap_ns", hone_stats_median(gaps, NODES - 1));
out:
    hone_free(entries);
    if (r.captured) device->api->replay(device, NULL, r.captured, true);
    return status;
}

static hone_status compare_with_graph(hone_runnable *runnable, const char *tactic, bench *t, void *workspace)
{
    double warm;
    const replayed *r = find_replayed(problem_at, tactic);
    if (!r) return hone_fail(HONE_AGAIN, "its replays were not timed");
    hone_status status;
    HONE_TRY(measure(runnable, t, workspace, false, &warm));
    double ratio = warm / (r->slope_ns - gap_ns);
    HONE_TRY(trace_nodes(runnable, t, workspace));
    compared += warm >= FLOOR_NS;
    apart += warm >= FLOOR_NS && !(ratio > 0.97 && ratio < 1.03);
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

static hone_status examine(hone_runnable *runnable, const char *tactic, bench *t, void *workspace)
{
    double cold, error, slope;
    hone_status status = HONE_OK;
    HONE_TRY(runnable->api->run(runnable, NULL, t->operands, t->outputs, workspace));
    HONE_TRY(compare_output(device, t, &error));
    if (!(error <= hone_problem_tolerance(&t->problem))) return hone_fail(HONE_NUMERIC, "off by %g", error);
    HONE_TRY(warm_up(runnable, t->operands, t->outputs, workspace));
    if (!timer) {
        HONE_TRY(measure_slope(runnable, t->operands, t->outputs, workspace, &slope));
        printf("%d\t%s\t%.3f\n", problem_at, tactic, slope);
        return HONE_OK;
    }
    HONE_TRY(measure(runnable, t, workspace, true, &cold));
    hone_json_real(&json, "error", error);
    hone_json_real(&json, "cold_ns", cold);
    hone_json_int(&json, "kernels", runnable->kernels);
    if (cold < FLOOR_NS) return HONE_OK;
    HONE_TRY(compare_with_graph(runnable, tactic, t, workspace));
    HONE_TRY(compare_with_itself(runnable, t, workspace));
out:
    return status;
}

typedef struct visit {
    bench *t;
    const hone_source *source;
    int left;
} visit;

static hone_status prepare(visit *v, const hone_tactic *tactic, hone_runnable **runnable)
{
    hone_blob artifact = {0};
    hone_status status = HONE_OK;
    if (v->source->compile) HONE_TRY(v->source->compile(&v->t->problem, tactic, &device->target, &artifact));
    HONE_TRY(v->source->prepare(&v->t->problem, tactic, device, v->source->compile ? &artifact : NULL, runnable));
    HONE_TRY((*runnable)->api->wake(*runnable));
out:
    hone_free(artifact.data);
    return status;
}

static hone_status visit_tactic(void *user, const hone_tactic *tactic)
{
    visit *v = user;
    hone_runnable *runnable = NULL;
    void *workspace = NULL;
    char text[HONE_TACTIC_TEXT];
    hone_status status = HONE_OK;
    hone_tactic_print(tactic, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "tactic", text);
    HONE_TRY(prepare(v, tactic, &runnable));
    if (runnable->workspace_bytes) HONE_TRY(device->api->alloc(device, runnable->workspace_bytes, &workspace));
    HONE_TRY(examine(runnable, text, v->t, workspace));
out:
    if (status) hone_json_text(&json, "failed", hone_error_text());
    if (status && !timer) fprintf(stderr, "%s: %s\n", text, hone_error_text());
    hone_json_close(&json, '}');
    if (runnable) {
        runnable->api->sleep(runnable);
        runnable->api->free(runnable);
    }
    device->api->free(device, workspace);
    return --v->left > 0 ? HONE_OK : HONE_MISS;      // MISS: enough seen
}

static void visit_problem(const char *text, int most)
{
    bench *t = hone_calloc(1, sizeof *t);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "problem", text);
    hone_status status = make_bench(device, t, text);
    if (status) hone_json_text(&json, "failed", hone_error_text());
    hone_json_open(&json, "tactics", '[');
    for (int s = 0; s < hone_source_count && !status; s++) {
        visit v = {t, hone_sources[s], most};
        hone_space space = {0};
        if (!hone_source_serves(v.source, "cuda") || !strcmp(v.source->name, "ref")) continue;
        if (!v.source->space(&t->problem, &device->target, device, &space))
            (void)hone_space_each(v.source, &t->problem, &device->target, &space, visit_tactic, &v);
        hone_space_clear(&space);
    }
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    clear_bench(device, t);
    hone_free(t);
    fprintf(stderr, "%s\n", text);
}

// ---- the gap between two nodes: the slope of a kernel that only waits, less that kernel's own time

typedef struct waiting {
    hone_runnable base;
    hone_module *module;
    hone_function *function;
} waiting;

static hone_status run_waiting(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    const hone_launch launch = {.grid = {132, 1, 1}, .block = {128, 1, 1}};
    (void)operands, (void)outputs, (void)workspace;
    return device->api->launch(device, stream, ((waiting *)runnable)->function, &launch);
}

static const hone_runnable_api waiting_api = {.run = run_waiting};

static hone_status measure_gap(void)
{
    static const char text[] = "extern \"C\" __global__ void waiting() { for (long long t = clock64(); clock64() - t < WAIT_CYCLES;) {} }";
    void *const none[1] = {NULL};
    waiting k = {.base = {.api = &waiting_api, .device = device}};
    bench t = {.operand_set = {none}, .output_set = {none}};
    hone_blob cubin = {0};
    char option[40], cycles[40];
    const char *options[] = {option, cycles};
    double own, slope;
    hone_status status = HONE_OK;
    snprintf(option, sizeof option, "--gpu-architecture=sm_%d", device->target.cc);
    snprintf(cycles, sizeof cycles, "-DWAIT_CYCLES=%d", WAIT_CYCLES);
    HONE_TRY(hone_nvrtc_compile(text, "waiting.cu", options, 2, &cubin));
    HONE_TRY(device->api->load(device, cubin.data, cubin.size_bytes, "waiting", &k.module, &k.function));
    if (!timer) {
        HONE_TRY(measure_slope(&k.base, none, none, NULL, &slope));
        printf("-1\twaiting\t%.3f\n", slope);
    } else {
        const replayed *r = find_replayed(-1, "waiting");
        HONE_TRY(measure(&k.base, &t, NULL, false, &own));
        gap_ns = r ? r->slope_ns - own : 0;
        hone_json_real(&json, "waiting_ns", own);
        hone_json_real(&json, "gap_ns", gap_ns);
    }
out:
    device->api->unload(device, k.module);
    hone_free(cubin.data);
    return status;
}

static hone_status visit_all(int most)
{
    hone_status status = measure_gap();
    if (status) return status;
    hone_json_open(&json, "problems", '[');
    for (problem_at = 0; problem_at < (int)(sizeof problems / sizeof *problems); problem_at++) visit_problem(problems[problem_at], most);
    hone_json_close(&json, ']');
    return HONE_OK;
}

// This program once more, before this process touches the GPU.
static hone_status read_replays(const char *name, int most)
{
    char command[512], line[HONE_TACTIC_TEXT + 64];
    snprintf(command, sizeof command, "/proc/%d/exe '%s' %d replays", (int)getpid(), name, most);
    FILE *f = popen(command, "r");
    if (!f) return hone_fail(HONE_INTERNAL, "cannot start %s", command);
    while (n_replays < REPLAYED_MAX && fgets(line, sizeof line, f)) {
        replayed *r = &replays[n_replays];
        char *tab = strchr(line, '\t'), *last = strrchr(line, '\t');
        if (!tab || last == tab) continue;
        *last = 0;
        r->problem = atoi(line);
        r->slope_ns = atof(last + 1);
        snprintf(r->tactic, sizeof r->tactic, "%s", tab + 1);
        n_replays++;
    }
    return pclose(f) ? hone_fail(HONE_NO_DEVICE, "the process that times replays failed") : HONE_OK;
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
    if (status) return hone_status_exit_code(status);
    return !only_replays && (apart || unequal || !compared || !pairs);
}
