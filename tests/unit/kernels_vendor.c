// SPDX-License-Identifier: Apache-2.0
// What the vendor fences and sources do with no GPU: libraries, tails, spellings that are judged without a device, NVRTC.
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cudnn_graph_priv.h"
#include "kernels/nvml.h"
#include "kernels/nvrtc.h"
#include "kernels/source.h"
#include "kernels/tail.h"
#include "profiler/clocks.h"
#include "profiler/timer.h"

#define H200 "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W"

static const char *const no_files[] = {"libhone-there-is-no-such.so.7", NULL};
static const hone_dl_symbol no_symbols[] = {{"none", NULL, 0}};

static hone_status start_nothing(char *version, size_t capacity)
{
    (void)version, (void)capacity;
    return HONE_OK;
}

// The sentence of the first failure is repeated, for threads that come later too.
static void test_missing_library(void **state)
{
    static hone_library missing = HONE_LIBRARY("missing", no_files, no_symbols, start_nothing);
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hone_library_open(&missing), HONE_NO_DEVICE);
        assert_non_null(strstr(hone_error_text(), no_files[0]));
        hone_fail(HONE_USAGE, "something else");
    }
}

static void parse(const char *text, hone_problem *problem)
{
    if (hone_problem_parse(text, problem)) fail_msg("%s: %s", text, hone_error_text());
}

static void test_tail_kinds(void **state)
{
    hone_problem *p = hone_alloc(sizeof *p);
    hone_tail tail;
    (void)state;
    parse("conv x=f32:1x8x5x5 w=f32:4x8x1x1 | add a=$0 b=f32:4x1x1 | sub a=f32:1x4x5x5 b=$1 | mul a=$2 b=f32:1 | relu x=$3", p);
    assert_int_equal(hone_tail_read(p, 1, &tail), HONE_OK);
    assert_int_equal(tail.n, 4);
    assert_int_equal(tail.links[0].kind, HONE_TAIL_CHANNEL);
    assert_int_equal(tail.links[1].kind, HONE_TAIL_FULL);
    assert_true(tail.links[1].is_left && !tail.links[0].is_left);
    assert_int_equal(tail.links[2].kind, HONE_TAIL_SCALAR);
    assert_int_equal(tail.links[3].kind, HONE_TAIL_UNARY);
    assert_int_equal(tail.links[3].operand, -1);
    static const char *const others[] = {
        "conv x=f32:1x8x5x5 w=f32:4x8x1x1 | relu x=$0 | add a=$1 b=$0",            // a result read twice
        "conv x=f32:1x8x5x5 w=f32:4x8x1x1 | add a=$0 b=f32:5",                     // spread along another axis
        "conv x=f32:1x8x5x5 w=f32:4x8x1x1 | add a=$0 b=f32:3x4x5x5",               // the tail grows the result
        "conv x=f32:1x8x5x5 w=f32:4x8x1x1 | softmax x=$0 axis=1",                  // not elementwise
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        parse(others[i], p);
        assert_int_equal(hone_tail_read(p, 1, &tail), HONE_DECLINED);
    }
    hone_free(p);
}

typedef struct judged {
    const char *problem, *tactic;
    hone_status status;
} judged;

#define ALGO "algo=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
// q, k and v as parts of one projection's rows of `width`, each from `from`, `from + 768` and `from + 1536` on.
#define PARTS(width, from_q, from_k, from_v) \
    "slice x=f16:2x128x" width " start=0,0," from_q " size=2,128,768 | reshape x=$0 shape=2,128,12,64 | " \
    "slice x=@0 start=0,0," from_k " size=2,128,768 | reshape x=$2 shape=2,128,12,64 | " \
    "slice x=@0 start=0,0," from_v " size=2,128,768 | reshape x=$4 shape=2,128,12,64 | "
#define JOINT PARTS("2304", "0", "768", "1536") "attention q=$1 k=$3 v=$5 mask=f16:2x1x1x128 scale=0.125"
// One query of its own, whose heads stand behind its position, before and behind.
#define ONE_QUERY "reshape x=f16:2x12x1x64 shape=2,1,12,64 | slice x=f16:2x128x1536 size=2,128,768 | reshape x=$1 shape=2,128,12,64 | " \
    "slice x=@1 start=0,0,768 size=2,128,768 | reshape x=$3 shape=2,128,12,64 | attention q=$0 k=$2 v=$4 scale=0.125 | reshape x=$5 shape=2,12,1,64"
#define CONV "conv x=f16:1x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1"

static const judged cases[] = {
    {"matmul a=f16:2x128x64 b=f16:64x32 | add a=$0 b=f16:32 | gelu x=$1 approx=tanh", "cublaslt.matmul@1 ws=0 " ALGO, HONE_OK},
    {"matmul a=f16:2x128x64 b=f16:64x32 | gelu x=$0", "cublaslt.matmul@1 ws=0 " ALGO, HONE_DECLINED},        // not the library's gelu
    {"matmul a=f32:2x3x8x8 b=f32:3x8x8", "cublaslt.matmul@1 ws=0 " ALGO, HONE_DECLINED},                       // half broadcast
    {"matmul a=f32:8x8 b=f32:8x8 | relu x=$0 | add a=$1 b=f32:8", "cublaslt.matmul@1 ws=0 " ALGO, HONE_DECLINED},
    {"matmul a=f32:8x8 b=f32:8x8 | add a=$0 b=f32:8x8 | add a=$1 b=f32:8 | relu x=$2", "cublaslt.matmul@1 ws=9 " ALGO, HONE_OK},
    {"matmul a=f32:8x8 b=f32:8x8", "cublaslt.matmul@1 ws=9 algo=00", HONE_DECLINED},
    {"matmul a=f32:8x8 b=f32:8x8", "cublaslt.matmul@1 ws=99999999999 " ALGO, HONE_DECLINED},
    {"matmul a=i32:8x8 b=i32:8x8", "cublaslt.matmul@1 ws=0 " ALGO, HONE_DECLINED},
    {"matmul a=f32:8x8 b=f32:8x8", "cublaslt.conv1x1@1 ws=0 " ALGO, HONE_DECLINED},
    {"conv x=f16:1x5x5x64:nhwc w=f16:32x1x1x64:nhwc b=f16:32 | relu x=$0", "cublaslt.conv1x1@1 ws=0 " ALGO, HONE_OK},
    {"conv x=f16:1x64x5x5 w=f16:32x64x1x1", "cublaslt.conv1x1@1 ws=0 " ALGO, HONE_DECLINED},                    // nchw is no one product
    {CONV, "cublaslt.conv1x1@1 ws=0 " ALGO, HONE_DECLINED},
    {CONV, "cudnn.conv@1 engine=38 knobs=2:1,5:-3", HONE_OK},
    {CONV, "cudnn.conv@1 engine=38", HONE_OK},
    {CONV, "cudnn.conv@1 engine=-1", HONE_DECLINED},
    {CONV, "cudnn.conv@1 engine=38 knobs=2:1,", HONE_DECLINED},
    {CONV, "cudnn.conv@1 engine=38 knobs=2", HONE_DECLINED},
    {CONV " | clip x=$0 min=0 max=6", "cudnn.conv@1 engine=1", HONE_OK},
    {CONV " | clip x=$0 min=-1 max=6", "cudnn.conv@1 engine=1", HONE_DECLINED},
    {CONV " | hardswish x=$0", "cudnn.conv@1 engine=1", HONE_OK},
    {CONV " | mish x=$0", "cudnn.conv@1 engine=1", HONE_DECLINED},
    {"conv x=f16:1x8x8x8:nhwc w=f16:8x8x3x3", "cudnn.conv@1 engine=1", HONE_DECLINED},                           // mixed layouts
    {"conv x=f16:1x8x8x8:nhwc w=f16:8x1x3x3 group=8", "cudnn.conv@1 engine=1", HONE_OK},                         // the same bytes
    {"relu x=f32:4", "cudnn.conv@1 engine=1", HONE_DECLINED},
    {"attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 scale=0.125 heads=bshd", "cudnn.attention@1 engine=2", HONE_OK},
    {"attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 scale=0.125 heads=bshd", "cudnn.conv@1 engine=2", HONE_DECLINED},
    {"attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 scale=0.125 heads=bshd", "cudnn.attention@1 engine=1001", HONE_DECLINED},
    {"attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 scale=0.125 heads=bshd", "cudnn.attention@1 engine=2 knobs=24:99999989", HONE_DECLINED},
    {"attention q=f32:1x128x12x64 k=f32:1x128x12x64 v=f32:1x128x12x64 scale=0.125 heads=bshd", "cudnn.attention@1 engine=2", HONE_DECLINED},
    {JOINT, "cudnn.attention@1 engine=2", HONE_OK},
    {JOINT " | relu x=$6", "cudnn.attention@1 engine=2", HONE_DECLINED},
    {ONE_QUERY, "cudnn.attention@1 engine=2", HONE_OK},
    {PARTS("2312", "4", "776", "1544") "attention q=$1 k=$3 v=$5 scale=0.125", "cudnn.attention@1 engine=2", HONE_DECLINED},     // 8 bytes off
    {"slice x=f16:2x128x12x128 size=2,128,12,64 step=1,1,1,2 | attention q=$0 k=f16:2x128x12x64 v=f16:2x128x12x64 scale=0.125",
     "cudnn.attention@1 engine=2", HONE_DECLINED},                                                                              // gaps in rows
    {"expand x=f16:2x128x1x64 shape=2,128,12,64 | attention q=f16:2x128x12x64 k=$0 v=$0 scale=0.125", "cudnn.attention@1 engine=2", HONE_DECLINED},
    {"relu x=f16:2x128x12x64 | attention q=$0 k=f16:2x128x12x64 v=f16:2x128x12x64 scale=0.125", "cudnn.attention@1 engine=2", HONE_DECLINED},
    {"slice x=f16:1x56x57x64:nhwc size=1,64,56,56 | conv x=$0 w=f16:64x3x3x64:nhwc", "cudnn.conv@1 engine=38", HONE_DECLINED},
};

static void test_valid(void **state)
{
    hone_problem *p = hone_alloc(sizeof *p);
    hone_target target;
    (void)state;
    assert_int_equal(hone_target_parse(H200, &target), HONE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_tactic tactic;
        char text[HONE_TACTIC_TEXT];
        parse(cases[i].problem, p);
        assert_int_equal(hone_tactic_parse(cases[i].tactic, &tactic), HONE_OK);
        hone_tactic_print(&tactic, text);
        assert_string_equal(text, cases[i].tactic);
        hone_status status = hone_tactic_check(&tactic, p, &target);
        if (status != cases[i].status) fail_msg("%s with %s: %d %s", cases[i].problem, text, status, hone_error_text());
    }
    hone_free(p);
}

// cuDNN takes the graphs and knows engines for them, with no GPU in the machine.
static void test_cudnn_graphs(void **state)
{
    static const char *const texts[] = {
        CONV, CONV " | hardswish x=$0 | add a=$1 b=f16:1x56x56x64:nhwc | leakyrelu x=$2 alpha=0.1",
        "conv x=f32:1x64x50 w=f32:64x64x3 b=f32:64 pad=1 | clip x=$0 min=0 max=6 | hardsigmoid x=$1 | mul a=$2 b=f32:64x1 | silu x=$3",
        "conv x=f32:1x8x5x5x5 w=f32:8x4x3x3x3 group=2",
        "attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 scale=0.125 heads=bshd",
        "attention q=bf16:1x12x128x64 k=bf16:1x4x99x64 v=bf16:1x4x99x64 mask=bf16:1x1x1x99 scale=0.125 heads=bhsd",
        JOINT, ONE_QUERY,
        "slice x=bf16:1x197x2304 size=1,197,768 | reshape x=$0 shape=1,197,12,64 | slice x=@0 start=0,0,768 size=1,197,768 | "
        "reshape x=$2 shape=1,197,12,64 | slice x=@0 start=0,0,1536 size=1,197,768 | reshape x=$4 shape=1,197,12,64 | attention q=$1 k=$3 v=$5 scale=0.125",
    };
    hone_problem *p = hone_alloc(sizeof *p);
    hone_cudnn_graph *graph = hone_alloc(sizeof *graph);
    bool is_here = hone_library_open(&hone_library_cudnn) == HONE_OK;
    (void)state;
    for (size_t i = 0; is_here && i < sizeof texts / sizeof *texts; i++) {
        int64_t engines = 0, written;
        parse(texts[i], p);
        if (hone_cudnn_graph_init(graph, p, NULL)) fail_msg("%s: %s", texts[i], hone_error_text());
        assert_int_equal(hone_cudnn.BackendGetAttribute(graph->graph, V_CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, V_CUDNN_TYPE_INT64,
                                                        1, &written, &engines), 0);
        assert_true(engines > 0);
        hone_cudnn_graph_clear(graph);
    }
    hone_free(graph);
    hone_free(p);
    if (!is_here) skip();
}

static void test_need_device(void **state)
{
    static const char *const names[] = {"cublaslt", "cudnn"};
    hone_problem *p = hone_alloc(sizeof *p);
    hone_space *space = hone_calloc(1, sizeof *space);
    hone_target target;
    (void)state;
    hone_target_parse(H200, &target);
    for (int i = 0; i < 2; i++) {
        parse(i ? CONV : "matmul a=f32:8x8 b=f32:8x8", p);
        assert_int_equal(hone_source_find(names[i])->space(p, &target, NULL, space), HONE_DECLINED);
        assert_int_equal(space->n_points, 0);
    }
    hone_free(space);
    hone_free(p);
}

static void test_throttle_words(void **state)
{
    char words[64], tiny[6];
    (void)state;
    hone_nvml_throttle_words(0x4 | 0x20, words, sizeof words);
    assert_string_equal(words, "power_cap,thermal");
    hone_nvml_throttle_words(0x1, words, sizeof words);       // idle is no throttling
    assert_string_equal(words, "");
    hone_nvml_throttle_words(~0ull, tiny, sizeof tiny);
    assert_true(strlen(tiny) < sizeof tiny);
}

static void test_nvrtc(void **state)
{
    static const char good[] = "extern \"C\" __global__ void k(float *x) { __shared__ float s[256]; s[threadIdx.x] = x[threadIdx.x];"
                               " __syncthreads(); x[threadIdx.x] = s[255 - threadIdx.x]; }";
    static const char *const archs[] = {"--gpu-architecture=sm_80", "--gpu-architecture=sm_90a"};
    static const char *const wrong[] = {"--gpu-architecture=sm_9x"}, *const virtual_only[] = {"--gpu-architecture=compute_90"};
    hone_blob cubin;
    int major, minor;
    (void)state;
    assert_int_equal(hone_nvrtc_version(&major, &minor), HONE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hone_nvrtc_compile(good, "good.cu", &archs[i], 1, &cubin), HONE_OK);
        assert_memory_equal(cubin.data, "\177ELF", 4);
        assert_true(cubin.registers > 0 && cubin.spill_bytes == 0 && cubin.shared_bytes >= 1024);
        hone_free(cubin.data);
    }
    assert_int_equal(hone_nvrtc_compile("__global__ void k() { foo(); }", "bad.cu", archs, 1, &cubin), HONE_DECLINED);
    assert_non_null(strstr(hone_error_text(), "bad.cu(1): error: identifier \"foo\" is undefined"));
    assert_null(cubin.data);
    assert_int_equal(hone_nvrtc_compile(good, "good.cu", wrong, 1, &cubin), HONE_USAGE);
    assert_int_equal(hone_nvrtc_compile(good, "good.cu", virtual_only, 1, &cubin), HONE_USAGE);
}

static hone_status do_nothing(void *user)
{
    (void)user;
    return HONE_OK;
}

// The CPU's timer times what it is given; what belongs to a GPU is declined in words.
static void test_cpu_timer(void **state)
{
    hone_device *device = NULL;
    hone_clocks clocks;
    hone_trace_entry *entries;
    size_t count;
    double samples[3];
    (void)state;
    assert_int_equal(hone_device_open("cpu", &device), HONE_OK);
    const hone_timer *timer = hone_timer_choose(device);
    assert_non_null(timer);
    assert_string_equal(timer->name, "cpu");
    hone_timing_request nothing = {.device = device, .samples = 1};
    assert_int_equal(hone_timer_measure(timer, &nothing, samples), HONE_USAGE);
    nothing.samples = 0;
    assert_int_equal(hone_timer_measure(timer, &nothing, samples), HONE_USAGE);
    assert_int_equal(hone_timer_measure(hone_timer_find("cupti"), &nothing, samples), HONE_USAGE);
    assert_null(hone_timer_find("sundial"));
    assert_int_equal(hone_trace_kernels(device, NULL, do_nothing, NULL, &entries, &count), HONE_DECLINED);
    hone_clocks_read(device, &clocks);
    assert_true(clocks.sm_mhz == -1 && clocks.other_processes == -1 && !*clocks.throttle);
    assert_int_equal(hone_clocks_check_idle(device), HONE_OK);
    assert_int_equal(hone_timing_evict(device, NULL), HONE_OK);
    hone_device_close(device);
}

static const char *word_of(int status)
{
    return status == V_CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING ? "PREREQUISITE_MISSING" : "OTHER";
}

static void no_words(char *message, size_t capacity)
{
    (void)message, (void)capacity;
}

// An engine that compiles at run time says what it lacks, and the way out.
static void test_cudnn_without_nvrtc(void **state)
{
    hone_cudnn_api before = hone_cudnn;
    (void)state;
    hone_cudnn.GetErrorString = word_of;
    hone_cudnn.GetLastErrorString = no_words;
    assert_int_equal(hone_cudnn_check(V_CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING, "the plan cannot be built"), HONE_DECLINED);
    assert_non_null(strstr(hone_error_text(), "at run time and did not find NVRTC"));
    assert_non_null(strstr(hone_error_text(), "--without nvrtc"));
    assert_non_null(strstr(hone_error_text(), "PREREQUISITE_MISSING (3008)"));
    assert_int_equal(hone_cudnn_check(V_CUDNN_STATUS_NOT_SUPPORTED, "the plan cannot be built"), HONE_DECLINED);
    assert_non_null(strstr(hone_error_text(), "the plan cannot be built: OTHER (3000)"));
    assert_null(strstr(hone_error_text(), "NVRTC"));
    hone_cudnn = before;
}

int test_kernels_vendor(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_library), cmocka_unit_test(test_tail_kinds), cmocka_unit_test(test_valid),
        cmocka_unit_test(test_cudnn_graphs), cmocka_unit_test(test_cudnn_without_nvrtc), cmocka_unit_test(test_need_device),
        cmocka_unit_test(test_throttle_words), cmocka_unit_test(test_nvrtc), cmocka_unit_test(test_cpu_timer),
    };
    return cmocka_run_group_tests_name("kernels_vendor", tests, NULL, NULL);
}
