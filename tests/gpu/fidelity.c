// SPDX-License-Identifier: Apache-2.0
// How far the GPU's times can be trusted. For tactics of 10 us and more: CUPTI's time against the slope of graph replays
// over 1, 64 and 512 nodes less the gap per node (within 3%), and a tactic against itself (within 1% in 95 of 100 pairs).
// One JSON object on stdout, exit 0 when both hold. Arguments: device (cuda), tactics tried of each source and problem (3).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kernels/nvrtc.h"
#include "profiler/clocks.h"
#include "profiler/timer.h"
#include "tests/gpu/bench.h"

enum { PAIRS = 100, SAMPLES = 25 };
#define FLOOR_NS 10000.0

static const char *const problems[] = {
    "matmul a=f32:128x768 b=f32:768x3072 | add a=$0 b=f32:3072",
    "matmul a=f16:512x1024 b=f16:1024x4096 | add a=$0 b=f16:4096 | gelu x=$1 approx=tanh",
    "matmul a=bf16:4096x1024 b=bf16:1024x1024",
    "conv x=f16:8x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | relu x=$0",
    "conv x=f32:1x28x28x128:nhwc w=f32:128x3x3x128:nhwc b=f32:128 pad=1 | relu x=$0",
    "softmax x=f16:64x12x128x128 axis=3",
    "layernorm x=f16:8192x768 scale=f16:768 b=f16:768 axis=1",
};

static hone_device *device;
static hone_json json;
static const hone_timer *timer;
static double gap_ns;
static int compared, apart, pairs, unequal;

static hone_status measure(hone_runnable *runnable, bench *t, void *workspace, bool cold, double *ns)
{
    double samples[SAMPLES];
    hone_timing_request request = {.device = device, .runnable = runnable, .operand_sets = t->operand_set, .output_sets = t->output_set,
                                   .n_sets = 1, .workspace = workspace, .warmups = 2, .samples = SAMPLES, .cold = cold};
    hone_status status = hone_timer_measure(timer, &request, samples);
    *ns = status ? 0 : hone_stats_median(samples, SAMPLES);
    return status;
}

static hone_status measure_slope(hone_runnable *runnable, void *const *operands, void *const *outputs, void *workspace, double graphs[3], double *ns)
{
    static const int nodes[3] = {1, 64, 512};
    double n = 0, t = 0, nn = 0, nt = 0;
    for (int i = 0; i < 3; i++) {
        hone_status status = time_graph(runnable, operands, outputs, workspace, nodes[i], &graphs[i]);
        if (status) return status;
        n += nodes[i], t += graphs[i], nn += (double)nodes[i] * nodes[i], nt += nodes[i] * graphs[i];
    }
    *ns = (3 * nt - n * t) / (3 * nn - n * n);       // least squares
    return HONE_OK;
}

static hone_status compare_with_graph(hone_runnable *runnable, bench *t, void *workspace)
{
    double cupti, slope, graphs[3];
    hone_status status = measure(runnable, t, workspace, false, &cupti);
    if (!status) status = measure_slope(runnable, t->operands, t->outputs, workspace, graphs, &slope);
    if (status) return status;
    double ratio = cupti / (slope - gap_ns);
    compared++;
    apart += !(ratio > 0.97 && ratio < 1.03);
    hone_json_real(&json, "warm_ns", cupti);
    hone_json_real(&json, "slope_ns", slope);
    hone_json_real(&json, "graph_1_ns", graphs[0]);
    hone_json_real(&json, "graph_64_ns", graphs[1]);
    hone_json_real(&json, "graph_512_ns", graphs[2]);
    hone_json_real(&json, "ratio", ratio);
    return HONE_OK;
}

static hone_status compare_with_itself(hone_runnable *runnable, bench *t, void *workspace)
{
    int off = 0;
    double worst = 1;
    for (int i = 0; i < PAIRS; i++) {
        double a, b;
        hone_status status = measure(runnable, t, workspace, true, &a);
        if (!status) status = measure(runnable, t, workspace, true, &b);
        if (status) return status;
        double ratio = a > b ? a / b : b / a;
        if (ratio > worst) worst = ratio;
        off += ratio > 1.01;
    }
    pairs++;
    unequal += off > PAIRS / 20;
    hone_json_int(&json, "pairs_beyond_1_percent", off);
    hone_json_real(&json, "worst_pair", worst);
    return HONE_OK;
}

static hone_status examine(hone_runnable *runnable, bench *t, void *workspace)
{
    double cold, error;
    hone_status status = HONE_OK;
    HONE_TRY(runnable->api->run(runnable, NULL, t->operands, t->outputs, workspace));
    HONE_TRY(compare_output(device, t, &error));
    hone_json_real(&json, "error", error);
    if (!(error <= hone_problem_tolerance(&t->problem))) return hone_fail(HONE_NUMERIC, "off by %g", error);
    HONE_TRY(measure(runnable, t, workspace, true, &cold));
    hone_json_real(&json, "cold_ns", cold);
    if (cold < FLOOR_NS) return HONE_OK;
    HONE_TRY(compare_with_graph(runnable, t, workspace));
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
    HONE_TRY(examine(runnable, v->t, workspace));
out:
    if (status) hone_json_text(&json, "failed", hone_error_text());
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

// ---- the gap between two nodes: the slope of a kernel that does next to nothing, less that kernel's own time

typedef struct nothing {
    hone_runnable base;
    hone_module *module;
    hone_function *function;
} nothing;

static hone_status run_nothing(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    const hone_launch launch = {.grid = {132, 1, 1}, .block = {128, 1, 1}};
    (void)operands, (void)outputs, (void)workspace;
    return device->api->launch(device, stream, ((nothing *)runnable)->function, &launch);
}

static const hone_runnable_api nothing_api = {.run = run_nothing};

static hone_status measure_gap(void)
{
    static const char text[] = "extern \"C\" __global__ void nothing() {}";
    void *const none[1] = {NULL};
    nothing k = {.base = {.api = &nothing_api, .device = device}};
    bench t = {.operand_set = {none}, .output_set = {none}};
    hone_blob cubin = {0};
    char option[40];
    const char *options[] = {option};
    double own, slope, graphs[3];
    hone_status status = HONE_OK;
    snprintf(option, sizeof option, "--gpu-architecture=sm_%d", device->target.cc);
    HONE_TRY(hone_nvrtc_compile(text, "nothing.cu", options, 1, &cubin));
    HONE_TRY(device->api->load(device, cubin.data, cubin.size_bytes, "nothing", &k.module, &k.function));
    HONE_TRY(measure(&k.base, &t, NULL, false, &own));
    HONE_TRY(measure_slope(&k.base, none, none, NULL, graphs, &slope));
    gap_ns = slope - own;
    hone_json_real(&json, "empty_ns", own);
    hone_json_real(&json, "empty_slope_ns", slope);
    hone_json_real(&json, "gap_ns", gap_ns);
out:
    device->api->unload(device, k.module);
    hone_free(cubin.data);
    return status;
}

static hone_status examine_device(int most)
{
    char target[256];
    hone_clocks clocks;
    hone_target_print(&device->target, target, sizeof target);
    hone_json_text(&json, "device", target);
    hone_json_text(&json, "toolchain", device->toolchain);
    timer = hone_timer_find("cupti");
    hone_status status = timer->probe(device);
    if (!status) status = measure_gap();
    if (status) return status;
    hone_json_open(&json, "problems", '[');
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) visit_problem(problems[i], most);
    hone_json_close(&json, ']');
    hone_clocks_read(device, &clocks);
    hone_json_text(&json, "throttle", clocks.throttle);
    hone_json_int(&json, "tactics_compared", compared);
    hone_json_int(&json, "beyond_3_percent", apart);
    hone_json_int(&json, "tactics_paired", pairs);
    hone_json_int(&json, "unequal_to_themselves", unequal);
    return HONE_OK;
}

int main(int argc, char **argv)
{
    hone_text text;
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_status status = hone_device_open(argc > 1 ? argv[1] : "cuda", &device);
    if (!status) status = examine_device(argc > 2 ? atoi(argv[2]) : 3);
    if (status) hone_json_text(&json, "error", hone_error_text());
    hone_device_close(device);
    hone_json_close(&json, '}');
    puts(hone_text_get(&text));
    hone_text_clear(&text);
    if (status) return hone_status_exit_code(status);
    return apart || unequal || !compared || !pairs;
}
