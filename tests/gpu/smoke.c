// SPDX-License-Identifier: Apache-2.0
// Smoke test of a GPU: device, timers, and what the vendor libraries' tactics compute. One JSON object on stdout,
// exit 0 when all held. Arguments: device (cuda), most tactics tried of each problem (8), seconds for all problems (240).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/thread.h"
#include "kernels/nvrtc.h"
#include "kernels/source.h"
#include "profiler/clocks.h"
#include "profiler/stats.h"
#include "profiler/timer.h"
#include "tests/gpu/bench.h"

#define CHECK(condition) do { if (!(condition)) { status = hone_fail(HONE_NUMERIC, "line %d: %s does not hold", __LINE__, #condition); goto out; } } while (0)

static hone_device *device;
static hone_json json;
static int failures;

static void report(const char *name, hone_status status)
{
    hone_json_open(&json, name, '{');
    hone_json_bool(&json, "ok", status == HONE_OK);
    if (status) {
        failures++;
        hone_json_text(&json, "error", hone_error_text());
        fprintf(stderr, "%s: %s\n", name, hone_error_text());
    }
}

static void report_end(void)
{
    hone_json_close(&json, '}');
}

// ---- memory, streams, events

static hone_status test_memory(void)
{
    const hone_device_api *api = device->api;
    unsigned char in[4096], out[4096];
    void *a = NULL, *b = NULL, *huge = NULL;
    hone_status status = HONE_OK;
    for (int i = 0; i < 4096; i++) in[i] = (unsigned char)(i * 7);
    HONE_TRY(api->alloc(device, sizeof in, &a));
    HONE_TRY(api->alloc(device, sizeof in, &b));
    CHECK((uintptr_t)a % 256 == 0);
    HONE_TRY(api->copy(device, NULL, a, in, sizeof in, HONE_COPY_IN));
    HONE_TRY(api->copy(device, NULL, b, a, sizeof in, HONE_COPY_WITHIN));
    HONE_TRY(api->fill(device, NULL, (char *)b + 1000, 0xEE, 100));
    HONE_TRY(api->copy(device, NULL, out, b, sizeof out, HONE_COPY_OUT));
    HONE_TRY(api->sync(device, NULL));
    memset(in + 1000, 0xEE, 100);
    CHECK(!memcmp(in, out, sizeof in));
    CHECK(api->alloc(device, (size_t)1 << 46, &huge) == HONE_NO_MEMORY);
out:
    api->free(device, a);
    api->free(device, b);
    return status;
}

static void set_flag(void *user)
{
    *(int *)user = 1;
}

static hone_status test_streams(void)
{
    const hone_device_api *api = device->api;
    hone_stream *one = NULL, *two = NULL;
    void *memory = NULL;
    double ns = -1;
    int flag = 0;
    hone_status status = HONE_OK;
    HONE_TRY(api->stream(device, &one, true));
    HONE_TRY(api->stream(device, &two, true));
    HONE_TRY(api->alloc(device, 1 << 26, &memory));
    HONE_TRY(api->record(device, one, 0));
    HONE_TRY(api->fill(device, one, memory, 1, 1 << 26));
    HONE_TRY(api->record(device, one, 1));
    HONE_TRY(api->wait(device, two, 1));
    HONE_TRY(api->host(device, two, set_flag, &flag));
    HONE_TRY(api->sync(device, two));
    HONE_TRY(api->elapsed(device, 0, 1, &ns));
    CHECK(flag == 1);
    CHECK(ns > 1000 && ns < 1e9);
out:
    if (one) api->stream(device, &one, false);
    if (two) api->stream(device, &two, false);
    api->free(device, memory);
    return status;
}

// ---- our own code: a kernel that works for a given number of rounds, with shared memory, clusters, early launch

static const char kernel_text[] =
    "struct args { float *to; const float *from; long long n; int rounds; };\n"
    "extern \"C\" __global__ void smoke(args p) {\n"
    "    extern __shared__ float shared[];\n"
    "    asm volatile(\"griddepcontrol.wait;\");\n"
    "    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;\n"
    "    float x = i < p.n ? p.from[i] : 0.f;\n"
    "    for (int k = 0; k < p.rounds; k++) x = x * 1.0000001f + 0.f;\n"
    "    shared[threadIdx.x] = x;\n"
    "    __syncthreads();\n"
    "    if (i < p.n) p.to[i] = shared[threadIdx.x] + 1.f;\n"
    "    asm volatile(\"griddepcontrol.launch_dependents;\");\n"
    "}\n";

typedef struct args {
    void *to;
    const void *from;
    int64_t n;
    int32_t rounds;
} args;

typedef struct kernel {
    hone_runnable base;
    hone_module *module;
    hone_function *function;
    hone_launch launch;
    args args;
} kernel;

static hone_status run_kernel(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    kernel *self = (kernel *)runnable;
    args now = self->args;
    hone_launch launch = self->launch;
    (void)workspace;
    now.from = operands[0];
    now.to = outputs[0];
    launch.params = &now;
    launch.params_bytes = sizeof now;
    return device->api->launch(device, stream, self->function, &launch);
}

static const hone_runnable_api kernel_api = {.run = run_kernel};

static hone_status make_kernel(kernel *self, int64_t n, int rounds)
{
    hone_blob cubin = {0};
    char option[40];
    const char *options[] = {option, "--std=c++17"};
    hone_status status = HONE_OK;
    *self = (kernel){.base = {.api = &kernel_api, .device = device, .kernels = 1}, .args = {.n = n, .rounds = rounds}};
    self->launch = (hone_launch){.grid = {(unsigned)((n + 255) / 256), 1, 1}, .block = {256, 1, 1}, .shared_bytes = 1024};
    snprintf(option, sizeof option, "--gpu-architecture=sm_%d%s", device->target.cc, device->target.cc == 90 ? "a" : "");
    HONE_TRY(hone_nvrtc_compile(kernel_text, "smoke.cu", options, 2, &cubin));
    HONE_TRY(device->api->load(device, cubin.data, cubin.size_bytes, "smoke", &self->module, &self->function));
    CHECK(cubin.registers > 0);
    CHECK(device->api->load(device, cubin.data, cubin.size_bytes / 2, "cut", &self->module, &self->function) == HONE_DAMAGED);
out:
    hone_free(cubin.data);
    return status;
}

typedef struct buffers {
    void *from, *to;
    void *const *operand_set[1], *const *output_set[1];
} buffers;

static hone_status make_buffers(buffers *b, int64_t n)
{
    float *values = hone_alloc((size_t)n * sizeof *values);
    hone_status status = HONE_OK;
    for (int64_t i = 0; i < n; i++) values[i] = (float)i;
    HONE_TRY(device->api->alloc(device, (size_t)n * sizeof *values, &b->from));
    HONE_TRY(device->api->alloc(device, (size_t)n * sizeof *values, &b->to));
    HONE_TRY(device->api->copy(device, NULL, b->from, values, (size_t)n * sizeof *values, HONE_COPY_IN));
    HONE_TRY(device->api->sync(device, NULL));
    b->operand_set[0] = &b->from;
    b->output_set[0] = &b->to;
out:
    hone_free(values);
    return status;
}

static hone_status check_values(const buffers *b, int64_t n)
{
    float *values = hone_alloc((size_t)n * sizeof *values);
    hone_status status = HONE_OK;
    HONE_TRY(device->api->copy(device, NULL, values, b->to, (size_t)n * sizeof *values, HONE_COPY_OUT));
    HONE_TRY(device->api->sync(device, NULL));
    for (int64_t i = 0; i < n; i++) CHECK(fabs(values[i] - ((double)i + 1)) <= 1e-2 * (1 + (double)i));
    HONE_TRY(device->api->fill(device, NULL, b->to, 0, (size_t)n * sizeof *values));
out:
    hone_free(values);
    return status;
}

static hone_status test_launches(kernel *k, const buffers *b)
{
    hone_status status = HONE_OK;
    hone_captured *captured = NULL;
    HONE_TRY(k->base.api->run(&k->base, NULL, &b->from, &b->to, NULL));
    HONE_TRY(check_values(b, k->args.n));
    k->launch.shared_bytes = 100 * 1024;                 // beyond 48 KiB: the device opts the kernel in
    HONE_TRY(k->base.api->run(&k->base, NULL, &b->from, &b->to, NULL));
    HONE_TRY(check_values(b, k->args.n));
    k->launch.shared_bytes = 1024;
    k->launch.dependent = true;
    if (device->target.cc >= 90) k->launch.cluster[0] = 4;
    HONE_TRY(k->base.api->run(&k->base, NULL, &b->from, &b->to, NULL));
    HONE_TRY(k->base.api->run(&k->base, NULL, &b->from, &b->to, NULL));
    HONE_TRY(check_values(b, k->args.n));
    k->launch.dependent = false;
    k->launch.cluster[0] = 0;
    k->launch.block[0] = 2048;
    CHECK(k->base.api->run(&k->base, NULL, &b->from, &b->to, NULL) == HONE_DECLINED);
    k->launch.block[0] = 256;
    HONE_TRY(capture_n(&k->base, &b->from, &b->to, NULL, 3, &captured));
    HONE_TRY(device->api->replay(device, NULL, captured, false));
    HONE_TRY(check_values(b, k->args.n));
out:
    if (captured) device->api->replay(device, NULL, captured, true);
    k->launch.block[0] = 256;
    return status;
}

// ---- timers against each other

static hone_status time_by(const char *timer, hone_runnable *runnable, const buffers *b, bool cold, hone_captured *captured, double *ns)
{
    double samples[101];
    hone_timing_request request = {.device = device, .runnable = runnable, .operand_sets = b->operand_set, .output_sets = b->output_set,
                                   .n_sets = 1, .captured = captured, .warmups = 3, .samples = 101, .cold = cold};
    hone_status status = hone_timer_measure(hone_timer_find(timer), &request, samples);
    *ns = status ? -1 : hone_stats_median(samples, 101);
    return status;
}

static hone_status compare_timers(kernel *k, const buffers *b, int rounds)
{
    double cupti, cold, event, replay, g1, g64, g512, again;
    hone_captured *captured = NULL;
    hone_status status = HONE_OK;
    k->args.rounds = rounds;
    HONE_TRY(time_by("cupti", &k->base, b, false, NULL, &cupti));
    HONE_TRY(time_by("cupti", &k->base, b, true, NULL, &cold));
    HONE_TRY(time_by("event", &k->base, b, false, NULL, &event));
    HONE_TRY(time_graph(&k->base, &b->from, &b->to, NULL, 1, &g1));
    HONE_TRY(time_graph(&k->base, &b->from, &b->to, NULL, 64, &g64));
    HONE_TRY(time_graph(&k->base, &b->from, &b->to, NULL, 512, &g512));
    HONE_TRY(capture_n(&k->base, &b->from, &b->to, NULL, 4, &captured));
    HONE_TRY(time_by("cupti", &k->base, b, false, captured, &replay));
    HONE_TRY(time_by("cupti", &k->base, b, false, NULL, &again));
    hone_json_open(&json, NULL, '{');
    hone_json_int(&json, "rounds", rounds);
    hone_json_real(&json, "cupti_ns", cupti);
    hone_json_real(&json, "cupti_again_ns", again);
    hone_json_real(&json, "cupti_cold_ns", cold);
    hone_json_real(&json, "event_ns", event);
    hone_json_real(&json, "replay_of_4_ns", replay);
    hone_json_real(&json, "graph_1_ns", g1);
    hone_json_real(&json, "graph_64_ns", g64);
    hone_json_real(&json, "graph_512_ns", g512);
    hone_json_real(&json, "slope_ns", (g512 - g64) / 448);
    hone_json_real(&json, "gap_ns", (g512 - g64) / 448 - cupti);
    hone_json_close(&json, '}');
out:
    if (captured) device->api->replay(device, NULL, captured, true);
    return status;
}

static hone_status trace_body(void *user)
{
    kernel *k = user;
    buffers *b = (buffers *)(void *)k->args.to;
    hone_status status = HONE_OK;
    for (int i = 0; i < 5 && !status; i++) status = k->base.api->run(&k->base, NULL, &b->from, &b->to, NULL);
    return status;
}

static hone_status test_trace(kernel *k, buffers *b)
{
    hone_trace_entry *entries = NULL;
    size_t count = 0;
    hone_status status = HONE_OK;
    k->args.to = b;
    HONE_TRY(hone_trace_kernels(device, NULL, trace_body, k, &entries, &count));
    CHECK(count == 5);
    CHECK(!strcmp(entries[0].name, "smoke") && entries[0].registers > 0 && entries[0].block[0] == 256);
    CHECK(entries[4].start_ns >= entries[0].end_ns);
out:
    hone_free(entries);
    return status;
}

static void test_kernels(void)
{
    enum { N = 1 << 20 };
    kernel k;
    buffers b;
    hone_status status = make_kernel(&k, N, 10);
    if (!status) status = make_buffers(&b, N);
    if (!status) status = test_launches(&k, &b);
    report("launches", status);
    report_end();
    if (!k.function) return;
    k.args.rounds = 10;
    report("trace", test_trace(&k, &b));
    report_end();
    hone_json_open(&json, "timers", '[');
    static const int rounds[] = {10, 300, 1000, 3000, 10000};
    for (int i = 0; i < 5; i++) {
        status = compare_timers(&k, &b, rounds[i]);
        if (!status) continue;
        hone_json_text(&json, NULL, hone_error_text());
        failures++;
        break;
    }
    hone_json_close(&json, ']');
    device->api->unload(device, k.module);
    device->api->free(device, b.from);
    device->api->free(device, b.to);
}

// ---- problems

static const char *const problems[] = {
    "matmul a=f32:128x768 b=f32:768x768 | add a=$0 b=f32:768",
    "matmul a=f32:128x768 b=f32:768x768 | add a=$0 b=f32:768 math=tf32",
    "matmul a=f16:128x768 b=f16:768x3072 | add a=$0 b=f16:3072 | gelu x=$1 approx=tanh",
    "matmul a=bf16:1x128x768 b=bf16:768x768 | add a=$0 b=bf16:768 | add a=$1 b=bf16:1x128x768",
    "matmul a=f16:12x128x64 b=f16:12x128x64 trans_b=1",
    "matmul a=f16:1x2048 b=f16:1000x2048 trans_b=1 | add a=$0 b=f16:1000",
    "conv x=f16:1x14x14x256:nhwc w=f16:1024x1x1x256:nhwc b=f16:1024 | add a=$0 b=f16:1x14x14x1024:nhwc | relu x=$1",
    "conv x=f16:1x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | relu x=$0",
    "conv x=bf16:1x28x28x128:nhwc w=bf16:128x3x3x128:nhwc b=bf16:128 pad=1 | add a=$0 b=bf16:1x28x28x128:nhwc | relu x=$1",
    "conv x=f32:1x28x28x128:nhwc w=f32:128x3x3x128:nhwc b=f32:128 pad=1 | relu x=$0",
    "conv x=f32:1x28x28x128:nhwc w=f32:128x3x3x128:nhwc b=f32:128 pad=1 | relu x=$0 math=tf32",
    "conv x=f32:1x64x56x56 w=f32:64x64x3x3 b=f32:64 pad=1 | relu x=$0",
    "conv x=f16:1x224x224x3:nhwc w=f16:64x7x7x3:nhwc b=f16:64 stride=2 pad=3 | relu x=$0",
    "conv x=f16:1x56x56x96:nhwc w=f16:96x3x3x1:nhwc b=f16:96 pad=1 group=96 | hardswish x=$0",
    "conv x=f16:1x56x56x96:nhwc w=f16:96x3x3x1:nhwc b=f16:96 pad=1 group=96 | relu x=$0",
    "conv x=f16:1x56x56x16:nhwc w=f16:64x1x1x16:nhwc b=f16:64 | silu x=$0",
    "attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 scale=0.125 heads=bshd",
    "attention q=bf16:1x12x197x64 k=bf16:1x12x197x64 v=bf16:1x12x197x64 scale=0.125 heads=bhsd",
    "attention q=f16:1x12x128x64 k=f16:1x12x128x64 v=f16:1x12x128x64 mask=f16:1x1x1x128 scale=0.125 heads=bhsd",
    "slice x=f16:32x128x2304 size=32,128,768 | reshape x=$0 shape=32,128,12,64 | slice x=@0 start=0,0,768 size=32,128,768 | reshape x=$2 "
    "shape=32,128,12,64 | slice x=@0 start=0,0,1536 size=32,128,768 | reshape x=$4 shape=32,128,12,64 | attention q=$1 k=$3 v=$5 "
    "mask=f16:32x1x1x128 scale=0.125",
    "reshape x=bf16:2x12x1x64 shape=2,1,12,64 | slice x=bf16:2x197x1536 size=2,197,768 | reshape x=$1 shape=2,197,12,64 | slice x=@1 start=0,0,768 "
    "size=2,197,768 | reshape x=$3 shape=2,197,12,64 | attention q=$0 k=$2 v=$4 scale=0.125 | reshape x=$5 shape=2,12,1,64",
};

typedef struct outcome {
    int tried, prepared, right, wrong, failed;
    double default_ns, best_ns, worst_error;
    char best[HONE_TACTIC_TEXT], first_wrong[HONE_TACTIC_TEXT], first_failure[600];
    double prepare_ms;
} outcome;

static hone_status try_tactic(bench *t, const hone_source *source, const hone_tactic *tactic, double *error, double *ns, outcome *o)
{
    hone_runnable *runnable = NULL;
    void *workspace = NULL;
    double samples[15];
    hone_status status = HONE_OK;
    int64_t start = hone_clock_ns();
    HONE_TRY(source->valid(&t->problem, tactic, &device->target));
    HONE_TRY(source->prepare(&t->problem, tactic, device, NULL, &runnable));
    HONE_TRY(runnable->api->wake(runnable));
    o->prepare_ms += (double)(hone_clock_ns() - start) / 1e6;
    o->prepared++;
    if (runnable->workspace_bytes) HONE_TRY(device->api->alloc(device, runnable->workspace_bytes, &workspace));
    HONE_TRY(device->api->fill(device, NULL, t->outputs[0], 0xFF, hone_tensor_size(&t->problem.out[0])));
    HONE_TRY(runnable->api->run(runnable, NULL, t->operands, t->outputs, workspace));
    HONE_TRY(compare_output(device, t, error));
    hone_timing_request request = {.device = device, .runnable = runnable, .operand_sets = t->operand_set, .output_sets = t->output_set,
                                   .n_sets = 1, .workspace = workspace, .warmups = 1, .samples = 15, .cold = true};
    HONE_TRY(hone_timer_measure(hone_timer_choose(device), &request, samples));
    *ns = hone_stats_median(samples, 15);
out:
    if (runnable) {
        runnable->api->sleep(runnable);
        runnable->api->free(runnable);
    }
    device->api->free(device, workspace);
    return status;
}

static void note_tactic(bench *t, const hone_source *source, const hone_tactic *tactic, outcome *o)
{
    double error = NAN, ns = 0;
    char text[HONE_TACTIC_TEXT];
    hone_tactic_print(tactic, text);
    o->tried++;
    if (try_tactic(t, source, tactic, &error, &ns, o)) {
        o->failed++;
        if (!*o->first_failure) snprintf(o->first_failure, sizeof o->first_failure, "%.120s: %.470s", text, hone_error_text());
        return;
    }
    if (!(error <= hone_problem_tolerance(&t->problem))) {
        o->wrong++;
        if (!*o->first_wrong) snprintf(o->first_wrong, sizeof o->first_wrong, "%.900s off by %g", text, error);
        return;
    }
    o->right++;
    if (error > o->worst_error) o->worst_error = error;
    if (o->tried == 1) o->default_ns = ns;
    if (o->right == 1 || ns < o->best_ns) {
        o->best_ns = ns;
        snprintf(o->best, sizeof o->best, "%s", text);
    }
}

static void print_outcome(const outcome *o)
{
    hone_json_int(&json, "tried", o->tried);
    hone_json_int(&json, "right", o->right);
    hone_json_int(&json, "wrong", o->wrong);
    hone_json_int(&json, "failed", o->failed);
    hone_json_real(&json, "default_us", o->default_ns / 1e3);
    hone_json_real(&json, "best_us", o->best_ns / 1e3);
    hone_json_real(&json, "worst_error", o->worst_error);
    hone_json_real(&json, "prepare_ms_each", o->prepare_ms / (o->prepared ? o->prepared : 1));
    hone_json_text(&json, "best", o->best);
    if (*o->first_wrong) hone_json_text(&json, "first_wrong", o->first_wrong);
    if (*o->first_failure) hone_json_text(&json, "first_failure", o->first_failure);
}

// Every source but the reference (which is known to be right and slow) on one problem.
static void test_source(bench *t, const hone_source *source, int most)
{
    hone_space space = {0};
    outcome o = {0};
    int64_t start = hone_clock_ns();
    hone_status status = source->space(&t->problem, &device->target, device, &space);
    hone_json_open(&json, source->name, '{');
    hone_json_real(&json, "space_ms", (double)(hone_clock_ns() - start) / 1e6);
    if (status) hone_json_text(&json, status == HONE_DECLINED ? "declined" : "error", hone_error_text());
    if (status && status != HONE_DECLINED) failures++;
    hone_json_int(&json, "points", (int64_t)space.n_points);
    for (size_t i = 0; i < space.n_points && (int)i < most; i++) note_tactic(t, source, &space.points[i], &o);
    if (space.n_points) {
        print_outcome(&o);
        failures += !o.right;
    }
    hone_json_close(&json, '}');
    hone_space_clear(&space);
}

static void test_problems(int most, double seconds)
{
    int64_t end = hone_clock_ns() + (int64_t)(seconds * 1e9);
    hone_json_open(&json, "problems", '[');
    for (size_t i = 0; i < sizeof problems / sizeof *problems && hone_clock_ns() < end; i++) {
        bench *t = hone_calloc(1, sizeof *t);
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "problem", problems[i]);
        hone_status status = make_bench(device, t, problems[i]);
        if (status) {
            hone_json_text(&json, "error", hone_error_text());
            failures++;
        } else {
            hone_json_real(&json, "tolerance", hone_problem_tolerance(&t->problem));
        }
        for (int s = 0; s < hone_source_count && !status; s++)
            if (hone_source_serves(hone_sources[s], "cuda") && !hone_sources[s]->compile && strcmp(hone_sources[s]->name, "ref"))
                test_source(t, hone_sources[s], most);
        hone_json_close(&json, '}');
        clear_bench(device, t);
        hone_free(t);
        fprintf(stderr, "problem %zu done\n", i);
    }
    hone_json_close(&json, ']');
}

static void print_clocks(const char *name)
{
    hone_clocks clocks;
    hone_clocks_read(device, &clocks);
    hone_json_open(&json, name, '{');
    hone_json_int(&json, "sm_mhz", clocks.sm_mhz);
    hone_json_int(&json, "memory_mhz", clocks.memory_mhz);
    hone_json_int(&json, "temperature_c", clocks.temperature_c);
    hone_json_real(&json, "power_w", clocks.power_w);
    hone_json_text(&json, "throttle", clocks.throttle);
    hone_json_int(&json, "other_processes", clocks.other_processes);
    hone_json_bool(&json, "mps", clocks.mps);
    hone_json_close(&json, '}');
}

static void test_device(int most, double seconds)
{
    char target[256];
    hone_target_print(&device->target, target, sizeof target);
    hone_json_text(&json, "device", target);
    hone_json_text(&json, "toolchain", device->toolchain);
    hone_json_text(&json, "uuid", device->uuid);
    for (int i = 0; i < hone_library_count; i++)
        hone_json_text(&json, hone_libraries[i]->name, hone_libraries[i]->dl.handle ? hone_libraries[i]->dl.path : hone_libraries[i]->why);
    print_clocks("clocks");
    const hone_timer *timer = hone_timer_choose(device);
    hone_json_text(&json, "timer", timer ? timer->name : hone_error_text());
    if (hone_timer_find("cupti")->probe(device)) hone_json_text(&json, "cupti_refused", hone_error_text());
    report("memory", test_memory());
    report_end();
    report("streams", test_streams());
    report_end();
    test_kernels();
    test_problems(most, seconds);
    print_clocks("clocks_after");
}

int main(int argc, char **argv)
{
    hone_text text;
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_status status = hone_device_open(argc > 1 ? argv[1] : "cuda", &device);
    if (status) {
        hone_json_text(&json, "error", hone_error_text());
    } else {
        test_device(argc > 2 ? atoi(argv[2]) : 8, argc > 3 ? atof(argv[3]) : 240);
        hone_device_close(device);
    }
    hone_json_int(&json, "failures", failures);
    hone_json_close(&json, '}');
    puts(hone_text_get(&text));
    hone_text_clear(&text);
    return status ? hone_status_exit_code(status) : failures != 0;
}
