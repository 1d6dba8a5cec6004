// SPDX-License-Identifier: Apache-2.0
// Every tactic that sources cpu and ref offer for a list of problems and for random ones: it must be valid, agree with the reference, and
// write nothing beside its outputs and workspace.
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "kernels/source.h"

enum { GUARD = 256, PATTERN = 0xA5 };

static hone_device *device;

typedef struct guarded {
    uint8_t *block;
    size_t size_bytes;
} guarded;

static void *guarded_new(guarded *g, size_t size_bytes)
{
    void *block;
    assert_int_equal(device->api->alloc(device, size_bytes + 2 * GUARD, &block), HONE_OK);
    memset(block, PATTERN, size_bytes + 2 * GUARD);
    *g = (guarded){block, size_bytes};
    return g->block + GUARD;
}

static int guarded_is_intact(const guarded *g)
{
    for (size_t k = 0; k < GUARD; k++)
        if (g->block[k] != PATTERN || g->block[GUARD + g->size_bytes + k] != PATTERN) return 0;
    return 1;
}

typedef struct trial {
    const hone_source *source;
    const hone_problem *problem;
    hone_stream *stream;
    void *operands[HONE_OPERANDS_MAX];
    hone_array reference[HONE_OUTPUTS_MAX];
    int tactics;
} trial;

// ||out - ref|| / ||ref||; NaN where one is NaN and the other is not.
static double distance(const hone_array *out, const hone_array *reference)
{
    double difference = 0, size = 0;
    for (int64_t k = 0; k < hone_tensor_count(&out->tensor); k++) {
        if (out->i) difference += out->i[k] != reference->i[k], size = 1;
        if (!out->f || (isnan(out->f[k]) && isnan(reference->f[k])) || out->f[k] == reference->f[k]) continue;
        difference += (out->f[k] - reference->f[k]) * (out->f[k] - reference->f[k]);
        size += reference->f[k] * reference->f[k];
    }
    return difference == 0 ? 0 : sqrt(difference / (size > 0 ? size : 1));
}

static void check_output(const trial *t, const char *tactic, int k, const void *memory)
{
    hone_array out;
    const hone_tensor *as = &t->problem->out[k];
    assert_int_equal(hone_array_init(&out, as), HONE_OK);
    hone_array_unpack(&out, as, memory, 1);
    double off = distance(&out, &t->reference[k]), bound = hone_problem_tolerance(t->problem);
    if (!(off <= bound)) fail_msg("%s is off by %g, more than %g", tactic, off, bound);
    hone_array_clear(&out);
}

static hone_status try_tactic(void *user, const hone_tactic *tactic)
{
    trial *t = user;
    guarded outputs[HONE_OUTPUTS_MAX], workspace;
    void *memory[HONE_OUTPUTS_MAX];
    hone_runnable *runnable = NULL;
    char text[HONE_TACTIC_TEXT];
    hone_tactic_print(tactic, text);
    t->tactics++;
    if (hone_tactic_check(tactic, t->problem, &device->target)) fail_msg("%s is offered but not valid: %s", text, hone_error_text());
    if (t->source->prepare(t->problem, tactic, device, NULL, &runnable)) fail_msg("%s: %s", text, hone_error_text());
    assert_true(t->source->estimate_ns(t->problem, tactic, &device->target) > 0);
    assert_int_equal(runnable->api->wake(runnable), HONE_OK);
    for (int k = 0; k < t->problem->n_out; k++) memory[k] = guarded_new(&outputs[k], hone_tensor_size(&t->problem->out[k]));
    void *scratch = guarded_new(&workspace, runnable->workspace_bytes);
    for (int run = 0; run < 2; run++)
        if (runnable->api->run(runnable, t->stream, t->operands, memory, scratch)) fail_msg("%s: %s", text, hone_error_text());
    if (device->api->sync(device, t->stream)) fail_msg("%s: %s", text, hone_error_text());
    for (int k = 0; k < t->problem->n_out; k++) {
        check_output(t, text, k, memory[k]);
        if (!guarded_is_intact(&outputs[k])) fail_msg("%s writes beside output %d", text, k);
        device->api->free(device, outputs[k].block);
    }
    if (!guarded_is_intact(&workspace)) fail_msg("%s writes beside its workspace", text);
    device->api->free(device, workspace.block);
    runnable->api->sleep(runnable);
    runnable->api->free(runnable);
    return HONE_OK;
}

static void draw_operands(trial *t, hone_array *drawn, uint64_t seed)
{
    for (int k = 0; k < t->problem->n_operands; k++) {
        const hone_tensor *tensor = &t->problem->operands[k];
        assert_int_equal(hone_problem_draw(t->problem, k, seed, &drawn[k], 1), HONE_OK);
        assert_int_equal(device->api->alloc(device, hone_tensor_size(tensor), &t->operands[k]), HONE_OK);
        hone_array_pack(&drawn[k], tensor, t->operands[k], true, 1);
    }
}

// Returns how many tactics the source offered; must_offer: none is a failure.
static int try_problem(const char *source, const char *spelling, hone_stream *stream, int must_offer)
{
    hone_problem problem;
    hone_array drawn[HONE_OPERANDS_MAX];
    hone_space space;
    trial t = {.source = hone_source_find(source), .problem = &problem, .stream = stream};
    if (hone_problem_parse(spelling, &problem)) fail_msg("%s", hone_error_text());
    hone_status status = t.source->space(&problem, &device->target, device, &space);
    if (status && must_offer) fail_msg("source %s does not offer %s: %s", source, spelling, hone_error_text());
    if (status) return 0;
    draw_operands(&t, drawn, 7);
    if (hone_problem_reference(&problem, drawn, t.reference, 2)) fail_msg("%s", hone_error_text());
    assert_int_equal(hone_space_each(t.source, &problem, &device->target, &space, try_tactic, &t), HONE_OK);
    hone_space_clear(&space);
    for (int k = 0; k < problem.n_operands; k++) hone_array_clear(&drawn[k]), device->api->free(device, t.operands[k]);
    for (int k = 0; k < problem.n_out; k++) hone_array_clear(&t.reference[k]);
    if (!t.tactics && must_offer) fail_msg("the space of %s is empty", spelling);
    return t.tactics;
}

static const char *const problems[] = {
    // convolutions: padding, strides, dilation, groups, one to three axes, both layouts, tails
    "conv x=f32:1x5x9x11 w=f32:7x5x3x3 b=f32:7 pad=1",
    "conv x=f32:2x6x10x13 w=f32:8x3x3x5 b=f32:8 stride=2 pad=1 group=2",
    "conv x=f32:2x10x13x6:nhwc w=f32:8x3x5x3:nhwc b=f32:8 stride=2 pad=1 group=2",
    "conv x=f32:1x8x12x12 w=f32:8x1x5x5 stride=1,2 pad=2,1,0,3 dilation=2,1 group=8",
    "conv x=f32:1x16x7x7 w=f32:33x16x1x1 b=f32:33 | relu x=$0",
    "conv x=f32:1x16x7x7 w=f32:20x16x1x1 stride=2 | add a=$0 b=f32:1x20x4x4 | hardswish x=$1",
    "conv x=f32:1x3x16 w=f32:4x3x3 pad=1",
    "conv x=f32:1x3x5x6x7 w=f32:4x3x2x3x3 b=f32:4 stride=1,2,1 pad=1,0,1,0,1,1 | relu x=$0",
    "conv x=f32:1x7x7x16:nhwc w=f32:33x1x1x16:nhwc b=f32:33 | mul a=$0 b=f32:1x33x1x1",
    "conv x=f32:2x13x9x24:nhwc w=f32:24x3x3x1:nhwc b=f32:24 stride=2 pad=1 group=24 dilation=1,2 | relu x=$0",
    "conv x=f32:1x3x40x56 w=f32:9x3x7x7 b=f32:9 stride=2 pad=3 | sigmoid x=$0 | mul a=$0 b=$1",
    "conv x=f32:2x24x3x3 w=f32:7x24x3x3 | hardsigmoid x=$0",
    "conv x=f32:1x192x1x1 w=f32:48x192x1x1 b=f32:48 | relu x=$0",
    "conv x=f32:1x4x3x70 w=f32:6x4x1x1 | mul a=$0 b=f32:1 | add a=$1 b=f32:1",
    "convtranspose x=f32:1x24x8x9 w=f32:24x10x2x2 b=f32:10 stride=2 | relu x=$0",
    "convtranspose x=f32:2x6x5x7 w=f32:6x3x3x4 b=f32:6 stride=2,3 pad=1,0,1,2 dilation=2,1 output_pad=1,2 group=2 | relu x=$0",
    "convtranspose x=f32:1x3x9 w=f32:3x5x4 stride=3 pad=1",
    "convtranspose x=f32:1x3x4x4 w=f32:3x5x1x1 stride=3",
    // products
    "matmul a=f32:5x7 b=f32:7x9",
    "matmul a=f32:2x3x33x17 b=f32:3x17x51 | add a=$0 b=f32:51 | gelu x=$1",
    "matmul a=f32:2x17x33 b=f32:2x51x17 trans_a=1 trans_b=1",
    "matmul a=f32:7 b=f32:4x7x9",
    "matmul a=f32:3x4x7 b=f32:7",
    "matmul a=f32:3x200 b=f32:37x200 trans_b=1 | add a=$0 b=f32:37",
    "matmul a=f32:1x70x96 b=f32:96x300 | tanh x=$0",
    "attention q=f32:1x40x3x16 k=f32:1x33x3x16 v=f32:1x33x3x16 mask=f32:1x1x1x33 scale=0.25",
    "attention q=f32:2x4x7x5 k=f32:2x2x9x5 v=f32:2x2x9x11 mask=f32:7x9 scale=0.4 heads=bhsd | relu x=$0",
    // elementwise chains
    "add a=f32:2x3x5x7 b=f32:3x1x1 | relu x=$0",
    "sigmoid x=f32:1x3x5x7 | mul a=@0 b=$0",
    "where c=bool:2x1x7 a=f32:2x5x7 b=f32:1",
    "mul a=f32:1x5x1x1 b=f32:1x5x1x1 | add a=$0 b=f32:1x5x9x9 | tanh x=$1 | erf x=$2 | gelu x=$3 approx=tanh",
    "exp x=f32:1000 | log x=$0 | softplus x=$1 | hardswish x=$2 | hardsigmoid x=$3 | silu x=$4",
    "identity x=f32:1x5x9x9 out=f32:nhwc",
    "add a=f32:1x9x9x5:nhwc b=f32:1x5x9x9",
    "less a=f32:7x9 b=f32:9 | where c=$0 a=@0 b=@1",
    "relu x=f32:300x3 | pow a=$0 b=f32:1 | sqrt x=$1 | clip x=$2 min=-0.5 max=0.75 | leakyrelu x=$3",
    "prelu x=f32:1x3x4x4 slope=f32:3x1x1 | elu x=$0 | mish x=$1 | floor x=$2",
    "min a=f32:33 b=f32:33 | max a=$0 b=f32:1 | div a=$1 b=f32:33 | reciprocal x=$2 | abs x=$3 | neg x=$4",
    // reductions, poolings, normalisations
    "reduce x=f32:1x96x20x20 kind=mean axes=2,3",
    "reduce x=f32:1x20x20x96:nhwc kind=mean axes=2,3 | relu x=$0",
    "reduce x=f32:7x33x5 kind=l2 axes=1 keep=0",
    "reduce x=f32:7x33x5 kind=max axes=0,1",
    "reduce x=f32:7x33x5 kind=l1 axes=2",
    "reduce x=f32:7x33x5 kind=min axes=1",
    "reduce x=f32:7x33x500 kind=sumsquare axes=0",
    "maxpool x=f32:1x9x31x30 kernel=3,3 stride=2 pad=1",
    "maxpool x=f32:2x9x11x5:nhwc kernel=2,3 stride=2 pad=0,1,1,1 ceil=1",
    "avgpool x=f32:2x3x11x9 kernel=3,2 stride=1,2 pad=1,0,0,1 ceil=1",
    "avgpool x=f32:2x3x11x9 kernel=3,2 stride=2 pad=1 include_pad=1 dilation=2,1 | relu x=$0",
    "avgpool x=f32:2x3x20 kernel=3 stride=2",
    "softmax x=f32:1x3x33x70",
    "softmax x=f32:3x7x197 axis=2 | mul a=$0 b=f32:1",
    "logsoftmax x=f32:5x33",
    "layernorm x=f32:1x12x768 scale=f32:768 b=f32:768",
    "layernorm x=f32:2x3x5x7 scale=f32:5x7 axis=2",
    "instancenorm x=f32:2x3x5x7 scale=f32:3 b=f32:3",
    "groupnorm x=f32:2x6x5x7 scale=f32:6 b=f32:6 groups=3 | relu x=$0",
    "batchnorm x=f32:2x6x5x7 scale=f32:6 b=f32:6 mean=f32:6 var=f32:6 | relu x=$0",
    "batchnorm x=f32:2x5x7x6:nhwc scale=f32:6 b=f32:6 mean=f32:6 var=f32:6",
    // moves
    "transpose x=f32:1x12x5x8 perm=0,2,1,3",
    "transpose x=f16:3x5x7 perm=2,0,1",
    "identity x=f32:1x6x7x5:nhwc out=f32:row",
    "reshape x=f32:2x3x4 shape=6,4",
    "slice x=f32:4x5x6 start=1,0,2 size=2,5,3",
    "slice x=u8:4x5x6 start=3,4,5 size=2,2,2 step=-1,-2,-3",
    "concat x0=f32:2x3x4 x1=f32:2x5x4 axis=1",
    "concat x0=f32:1x4x4x3:nhwc x1=f32:1x4x4x5:nhwc axis=1",
    "pad x=f32:2x3x4 before=1,0,2 after=0,1,3 value=-2.5",
    "pad x=i32:5x6 mode=reflect before=2 after=3",
    "pad x=f32:5x6 mode=wrap before=0,-1 after=3",
    "pad x=f32:5x6 mode=edge before=0,2 after=3",
    "expand x=f32:3x1x5 shape=2,3,4,5",
    "tile x=f32:3x1x5 repeats=2,3,2",
    "resize x=f32:1x6x5x7 size=1,6,10,14 coords=asymmetric nearest=floor",
    "resize x=f32:1x3x7x5 size=1,3,11,13",
    "resize x=f32:1x7x5x3:nhwc size=1,3,4,13 coords=align_corners nearest=round_prefer_ceil",
    "depth_to_space x=f32:2x12x3x5 block=2",
    "depth_to_space x=i64:2x12x3x5 block=2 mode=crd",
    "space_to_depth x=i8:2x3x4x6 block=2",
    "gather x=f32:100x12 indices=i64:1x28",
    "gather x=f32:3x7x5 indices=i32:2x2 axis=1",
};

static void all_tactics_agree(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof problems / sizeof *problems; k++) try_problem("cpu", problems[k], NULL, 1);
}

static void works_on_streams(void **state)
{
    (void)state;
    hone_stream *stream;
    assert_int_equal(device->api->stream(device, &stream, true), HONE_OK);
    for (size_t k = 0; k < sizeof problems / sizeof *problems; k += 9) {
        try_problem("cpu", problems[k], stream, 1);
        try_problem("ref", problems[k], stream, 1);
    }
    assert_int_equal(device->api->stream(device, &stream, false), HONE_OK);
}

static int64_t pick(uint64_t seed, uint64_t *at, int64_t low, int64_t high)
{
    return low + (int64_t)(hone_rng_bits(seed, 3, (*at)++) % (uint64_t)(high - low + 1));
}

static void random_convolutions(void **state)
{
    (void)state;
    char text[512];
    uint64_t at = 0, seed = 20240601;
    for (int round = 0; round < 120; round++) {
        int64_t groups = pick(seed, &at, 0, 2) ? 1 : pick(seed, &at, 2, 9), cin = pick(seed, &at, 1, 13), cout = pick(seed, &at, 1, 19);
        if (pick(seed, &at, 0, 4) == 0) cin = cout = 1, groups = pick(seed, &at, 2, 20);
        int64_t kh = pick(seed, &at, 1, 5), kw = pick(seed, &at, 1, 5), dh = pick(seed, &at, 1, 2), dw = pick(seed, &at, 1, 3);
        int64_t h = pick(seed, &at, (kh - 1) * dh + 1, 24), w = pick(seed, &at, (kw - 1) * dw + 1, 60), n = pick(seed, &at, 1, 2);
        int64_t sh = pick(seed, &at, 1, 3), sw = pick(seed, &at, 1, 3), nhwc = pick(seed, &at, 0, 2) == 0;
        int64_t p[4];
        for (int k = 0; k < 4; k++) p[k] = pick(seed, &at, 0, 2);
        int size = snprintf(text, sizeof text, nhwc ? "conv x=f32:%lldx%lldx%lldx%lld:nhwc w=f32:%lldx%lldx%lldx%lld:nhwc"
                                                    : "conv x=f32:%lldx%lldx%lldx%lld w=f32:%lldx%lldx%lldx%lld",
                            (long long)n, (long long)(nhwc ? h : groups * cin), (long long)(nhwc ? w : h), (long long)(nhwc ? groups * cin : w),
                            (long long)(groups * cout), (long long)(nhwc ? kh : cin), (long long)(nhwc ? kw : kh), (long long)(nhwc ? cin : kw));
        if (pick(seed, &at, 0, 1)) size += snprintf(text + size, sizeof text - (size_t)size, " b=f32:%lld", (long long)(groups * cout));
        size += snprintf(text + size, sizeof text - (size_t)size, " stride=%lld,%lld pad=%lld,%lld,%lld,%lld dilation=%lld,%lld group=%lld",
                         (long long)sh, (long long)sw, (long long)p[0], (long long)p[1], (long long)p[2], (long long)p[3], (long long)dh,
                         (long long)dw, (long long)groups);
        if (pick(seed, &at, 0, 1)) snprintf(text + size, sizeof text - (size_t)size, " | relu x=$0");
        try_problem("cpu", text, NULL, !nhwc);
    }
}

static void random_products(void **state)
{
    (void)state;
    char text[256];
    uint64_t at = 0, seed = 77;
    for (int round = 0; round < 40; round++) {
        int64_t m = pick(seed, &at, 1, 70), n = pick(seed, &at, 1, 130), k = pick(seed, &at, 1, 90), batch = pick(seed, &at, 1, 3);
        int ta = (int)pick(seed, &at, 0, 1), tb = (int)pick(seed, &at, 0, 1), shared = (int)pick(seed, &at, 0, 1);
        snprintf(text, sizeof text, "matmul a=f32:%lldx%lldx%lld b=f32:%lldx%lldx%lld trans_a=%d trans_b=%d | relu x=$0", (long long)batch,
                 (long long)(ta ? k : m), (long long)(ta ? m : k), (long long)(shared ? 1 : batch), (long long)(tb ? n : k),
                 (long long)(tb ? k : n), ta, tb);
        try_problem("cpu", text, NULL, 1);
    }
}

static void declines_what_it_cannot(void **state)
{
    (void)state;
    static const char *const none[] = {
        "conv x=f16:1x5x9x11 w=f16:7x5x3x3", "cumsum x=f32:5x6 axis=0", "reduce x=f32:4x5x6 kind=sum axes=0,2",
        "softmax x=f32:4x5 axis=0", "matmul a=i32:4x5 b=i32:5x6", "add a=i64:4 b=i64:4",
    };
    for (size_t k = 0; k < sizeof none / sizeof *none; k++) {
        if (try_problem("cpu", none[k], NULL, 0)) fail_msg("%s is offered", none[k]);
        try_problem("ref", none[k], NULL, 1);
    }
}

// On a device with memory of its own the reference works on copies. The CPU under another name stands in for one.
static void reference_is_staged_elsewhere(void **state)
{
    (void)state;
    hone_device_api api = *device->api;
    hone_device elsewhere = *device, *cpu = device;
    api.kind = "cuda";
    elsewhere.api = &api;
    device = &elsewhere;
    try_problem("ref", "conv x=f16:1x5x9x11 w=f16:7x5x3x3 b=f16:7 pad=1 | relu x=$0", NULL, 1);
    try_problem("ref", "topk x=f32:5x9 k=3", NULL, 1);
    device = cpu;
}

// A failure while the stream runs cannot be returned at once: the output must not look like an answer, and the next run tells.
static void a_failed_reference_is_no_answer(void **state)
{
    (void)state;
    hone_device_api api = *device->api;
    hone_device elsewhere = *device;
    hone_problem problem;
    hone_tactic tactic;
    hone_runnable *runnable;
    float x[4] = {1, 2, 3, 4}, out[4] = {0};
    void *operands[] = {x}, *outputs[] = {out};
    api.kind = "cuda";
    elsewhere.api = &api;
    assert_int_equal(hone_problem_parse("relu x=f32:4", &problem), HONE_OK);
    assert_int_equal(hone_tactic_parse("ref.plain@1", &tactic), HONE_OK);
    assert_int_equal(hone_source_find("ref")->prepare(&problem, &tactic, &elsewhere, NULL, &runnable), HONE_OK);
    assert_int_equal(runnable->api->wake(runnable), HONE_OK);
    hone_alloc_fail_at(1, 0);
    assert_int_equal(runnable->api->run(runnable, NULL, operands, outputs, NULL), HONE_OK);
    hone_alloc_fail_at(0, 0);
    for (int k = 0; k < 4; k++) assert_true(isnan(out[k]));
    assert_int_equal(runnable->api->run(runnable, NULL, operands, outputs, NULL), HONE_NO_MEMORY);
    assert_int_equal(runnable->api->run(runnable, NULL, operands, outputs, NULL), HONE_OK);
    for (int k = 0; k < 4; k++) assert_true(out[k] == x[k]);
    runnable->api->free(runnable);
}

// Running out of memory while preparing is a status, never a crash.
static void preparing_survives_failing_allocations(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof problems / sizeof *problems; k++) {
        hone_problem problem;
        hone_tactic tactic;
        hone_space space;
        const hone_source *source = hone_source_find("cpu");
        assert_int_equal(hone_problem_parse(problems[k], &problem), HONE_OK);
        assert_int_equal(source->space(&problem, &device->target, device, &space), HONE_OK);
        for (int s = 0; s < space.n; s++) {
            hone_runnable *runnable = NULL;
            const hone_subspace *sub = &space.subspaces[s];
            tactic = (hone_tactic){.source = "cpu", .version = sub->version};
            strcpy(tactic.kernel, sub->kernel);
            for (int r = 0; r < sub->n; r++) assert_int_equal(hone_tactic_set(&tactic, sub->ranges[r].name, sub->ranges[r].values[0]), HONE_OK);
            for (uint64_t nth = 1; !runnable && nth < 100; nth++) {
                hone_alloc_fail_at(nth, 0);
                hone_status status = source->prepare(&problem, &tactic, device, NULL, &runnable);
                hone_alloc_fail_at(0, 0);
                if (status) assert_int_equal(status, HONE_NO_MEMORY);
            }
            assert_non_null(runnable);
            runnable->api->free(runnable);
        }
        hone_space_clear(&space);
    }
}

static void refuses_tactics_of_others(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "cpu.conv_direct@1 rows=5 split=1", "cpu.conv_direct@1 rows=4", "cpu.conv_direct@2 rows=4 split=1", "cpu.no_such@1",
        "cpu.conv_direct@1 split=1 rows=4", "cpu.matmul_tile@1 rows=5 panels=1 pack=1",
    };
    hone_problem problem;
    hone_tactic tactic;
    assert_int_equal(hone_problem_parse("conv x=f32:1x5x9x11 w=f32:7x5x3x3 b=f32:7 pad=1", &problem), HONE_OK);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_int_equal(hone_tactic_parse(bad[k], &tactic), HONE_OK);
        if (hone_tactic_check(&tactic, &problem, &device->target) == HONE_OK) fail_msg("%s passes the check", bad[k]);
    }
    assert_int_equal(hone_tactic_parse("cpu.conv_direct@1 rows=4 split=1", &tactic), HONE_OK);
    assert_int_equal(hone_tactic_check(&tactic, &problem, &device->target), HONE_OK);
}

static int open_cpu(void **state)
{
    (void)state;
    return hone_device_open("cpu", &device) != HONE_OK;
}

static int close_cpu(void **state)
{
    (void)state;
    hone_device_close(device);
    return 0;
}

int test_source_cpu(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_tactics_agree), cmocka_unit_test(works_on_streams), cmocka_unit_test(random_convolutions),
        cmocka_unit_test(random_products), cmocka_unit_test(declines_what_it_cannot), cmocka_unit_test(refuses_tactics_of_others),
        cmocka_unit_test(reference_is_staged_elsewhere), cmocka_unit_test(a_failed_reference_is_no_answer),
        cmocka_unit_test(preparing_survives_failing_allocations),
    };
    return cmocka_run_group_tests_name("source_cpu", tests, open_cpu, close_cpu);
}
