// SPDX-License-Identifier: Apache-2.0
#include "kernels/source_nvrtc_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/nvrtc.h"
#include "tests/unit/unit.h"

extern const hone_source hone_source_nvrtc;

static hone_problem problem;
static hone_target target;
static hone_space space;
static hone_tactic tactics[4096];
static int n_tactics;

static void set_target(const char *arch)
{
    char text[256];
    snprintf(text, sizeof text, "cuda %s \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W", arch);
    assert_int_equal(hone_target_parse(text, &target), HONE_OK);
}

static hone_status collect(void *user, const hone_tactic *tactic)
{
    (void)user;
    if (n_tactics < 4096) tactics[n_tactics++] = *tactic;
    return HONE_OK;
}

static hone_status open_space(const char *text)
{
    hone_status status = hone_problem_parse(text, &problem);
    n_tactics = 0;
    memset(&space, 0, sizeof space);
    return status ? status : hone_source_nvrtc.space(&problem, &target, NULL, &space);
}

static hone_status walk_space(void)
{
    return hone_space_each(&hone_source_nvrtc, &problem, &target, &space, collect, NULL);
}

static hone_status enumerate(const char *text)
{
    hone_status status = open_space(text);
    return status ? status : walk_space();
}

static void each_line(const char *path, void (*body)(const char *text))
{
    char line[2048];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (*line && *line != '#') body(line);
    }
    fclose(file);
}

// ---- spaces

static void check_tactic(const char *text, const hone_tactic *tactic)
{
    char spelled[HONE_TACTIC_TEXT], again[HONE_TACTIC_TEXT];
    hone_tactic parsed;
    hone_tactic_print(tactic, spelled);
    if (hone_tactic_parse(spelled, &parsed)) fail_msg("%s: %s", spelled, hone_error_text());
    hone_tactic_print(&parsed, again);
    assert_string_equal(spelled, again);
    if (hone_tactic_check(&parsed, &problem, &target)) fail_msg("%s for %s: %s", spelled, text, hone_error_text());
    double ns = hone_source_nvrtc.estimate_ns(&problem, tactic, &target);
    if (!(ns > 0 && ns < 1e9)) fail_msg("%s for %s: estimated at %g ns", spelled, text, ns);
}

// Of the walks of one kernel over its points UNIT_SHARE leaves some, never all.
static bool is_walked(void)
{
    enum { MANY = 1000 };
    static bool was_walked[200];
    static int spaces;
    const hone_kernel_head *heads;
    int n;
    bool is_new = false;
    assert_int_equal(hone_kernel_heads(&heads, &n), HONE_OK);
    assert_true(n <= (int)(sizeof was_walked / sizeof *was_walked));
    for (int k = 0; k < space.n; k++) {
        bool *was = &was_walked[hone_kernel_find(space.subspaces[k].kernel) - heads];
        is_new |= !*was;
        *was = true;
    }
    return spaces++ % (MANY / unit_share(MANY)) == 0 || is_new;
}

static void check_space(const char *text)
{
    if (open_space(text)) fail_msg("%s: %s", text, hone_error_text());
    if (!is_walked()) return;
    if (walk_space()) fail_msg("%s: %s", text, hone_error_text());
    if (!n_tactics) fail_msg("%s: no tactic", text);
    if (n_tactics > 80) fail_msg("%s: %d tactics are too many to try", text, n_tactics);
    for (int k = 0; k < n_tactics; k += 1 + n_tactics / 4) check_tactic(text, &tactics[k]);
}

static void spaces_are_legal(void **state)
{
    (void)state;
    set_target("sm_90");
    each_line("tests/cases/nvrtc.txt", check_space);
    each_line("tests/cases/nvrtc_large.txt", check_space);
    each_line("tests/cases/nvrtc_sm90.txt", check_space);
    set_target("sm_80");
    each_line("tests/cases/nvrtc_large.txt", check_space);
}

static void declines_what_it_cannot(void **state)
{
    static const char *const texts[] = {"add a=f64:3 b=f64:3", "topk x=f32:9 k=3", "matmul a=f16:4x4 b=f32:4x4", "matmul a=f64:4x4 b=f64:4x4"};
    (void)state;
    set_target("sm_90");
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (enumerate(texts[k]) != HONE_DECLINED) fail_msg("%s was not declined: %d tactics, %s", texts[k], n_tactics, hone_error_text());
}

static void probes(void **state)
{
    (void)state;
    set_target("sm_75");
    assert_int_equal(hone_source_nvrtc.probe(&target, NULL), HONE_DECLINED);
    assert_int_equal(hone_target_parse("cpu x86_64-avx2 \"some CPU\" threads=2", &target), HONE_OK);
    assert_int_equal(hone_source_nvrtc.probe(&target, NULL), HONE_DECLINED);
}

static void exact_f32_uses_no_tensor_cores(void **state)
{
    (void)state;
    set_target("sm_90");
    assert_int_equal(enumerate("matmul a=f32:512x512 b=f32:512x512"), HONE_OK);
    for (int k = 0; k < n_tactics; k++) assert_string_not_equal(tactics[k].kernel, "gemm_tile");
    assert_int_equal(enumerate("matmul a=f32:512x512 b=f32:512x512 math=tf32"), HONE_OK);
    int n = 0;
    for (int k = 0; k < n_tactics; k++) n += !strcmp(tactics[k].kernel, "gemm_tile");
    assert_true(n > 0);
}

// Hopper's instructions ended with it: neither older nor newer devices are offered them.
static void wgmma_is_for_hopper_alone(void **state)
{
    static const struct { const char *arch; bool has; } cases[] = {{"sm_80", false}, {"sm_90", true}, {"sm_100", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool found = false;
        set_target(cases[i].arch);
        assert_int_equal(enumerate("matmul a=f16:4096x768 b=f16:768x3072"), HONE_OK);
        for (int k = 0; k < n_tactics; k++) found |= !strcmp(tactics[k].kernel, "gemm_wgmma");
        if (found != cases[i].has) fail_msg("gemm_wgmma on %s: %d", cases[i].arch, found);
    }
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    set_target("sm_90");
    assert_int_equal(enumerate("relu x=f16:4096"), HONE_OK);
    hone_tactic old = tactics[0];
    old.version--;
    assert_int_equal(hone_source_nvrtc.valid(&problem, &old, &target), HONE_DECLINED);
    old = tactics[0];
    old.n--;
    assert_int_equal(hone_source_nvrtc.valid(&problem, &old, &target), HONE_DECLINED);
    old = tactics[0];
    strcpy(old.kernel, "nothing");
    assert_int_equal(hone_source_nvrtc.valid(&problem, &old, &target), HONE_DECLINED);
}

// ---- generated text

static const char *tail_of(const char *text, hone_text *out, hone_args *args)
{
    static hone_bound bound;
    if (enumerate(text) || hone_bound_init(&problem, &tactics[0], &target, &bound)) fail_msg("%s: %s", text, hone_error_text());
    hone_text_init(out);
    assert_int_equal(hone_bound_text(&bound, out, args), HONE_OK);
    return hone_text_get(out);
}

static void check_tail(const char *text, const char *const *parts)
{
    hone_text out;
    hone_args args;
    const char *made = tail_of(text, &out, &args);
    for (; *parts; parts++)
        if (!strstr(made, *parts)) fail_msg("%s: no \"%s\" in\n%.2500s", text, *parts, strstr(made, "typedef") ? strstr(made, "typedef") : made);
    hone_text_clear(&out);
}

static void tails(void **state)
{
    (void)state;
    set_target("sm_90");
    check_tail("matmul a=f16:64x64 b=f16:64x64 | add a=$0 b=f16:64 | relu x=$1",
               (const char *const[]){"float o0[V]; hone_load(o0, (const f16 *)p.in[2] + (0 + n));", "const hone_x tx = x[e];",
                                     "const float t1 = ((float)tx + (float)o0[e]);", "const float t2 = (fmaxf((float)t1, 0.0f));", "r[e] = t2;", NULL});
    check_tail("conv x=f16:2x8x8x16:nhwc w=f16:32x3x3x16:nhwc b=f16:32 pad=1 | mul a=$0 b=f16:2x1x1x32:nhwc",
               (const char *const[]){"const hone_x tx = x[e] + o1[e];", "hone_load(o0, (const f16 *)p.in[3] + (0 + (m / (unsigned)p.i[", "+ n));", NULL});
    check_tail("add a=f16:4x64 b=f16: | sigmoid x=$0 | mul a=$1 b=f16:4x64",
               (const char *const[]){"hone_fill(o1, (const f16 *)p.in[1] + (0));", "hone_load(o0, (const f16 *)p.in[0] + (lin));", NULL});
    check_tail("add a=f32:4x5x6 b=f32:4x1x6",
               (const char *const[]){"(0 + (m / (unsigned)p.i[", "+ n));", NULL});
    check_tail("less a=f32:4x6 b=f32:6 | where c=$0 a=f32:4x6 b=f32:4x6",
               (const char *const[]){"const i64 t0 = ((float)o0[e] < (float)o1[e]) ? 1 : 0;", "((float)t0 != 0 ? (float)o2[e] : (float)o3[e])", NULL});
    check_tail("cast x=f32:40 to=i32", (const char *const[]){"const i64 t0 = (i32)((i64)o0[e]);", "typedef i32 hone_out;", NULL});
    check_tail("clip x=f32:40 min=0 max=6", (const char *const[]){"fminf(fmaxf((float)o0[e], (0.0f)), (6.0f))", NULL});
    check_tail("transpose x=f16:8x16x32 perm=1,0,2", (const char *const[]){"hone_load(o0, (const f16 *)p.in[0] + (0 + ", "r[e] = o0[e];", NULL});
}

// One text, so one machine code, serves shapes of one structure.
// What is brought near is what all rows share, and its place is that of the load: a bias from its third element on, not the residual.
static void near_is_what_all_rows_share(void **state)
{
    hone_text out;
    hone_args args;
    char load[64], near[96];
    (void)state;
    set_target("sm_90");
    const char *made = tail_of("matmul a=f16:64x128 b=f16:128x256 | slice x=f16:260 start=3 size=256 | add a=$0 b=$1 | add a=$2 b=f16:64x256", &out, &args);
    const char *begin = strstr(made, "void hone_tail_near("), *end = begin ? strstr(begin, "}\n") : NULL, *index = strstr(made, "(const f16 *)p.in[2] + (");
    assert_true(begin && end && index && index < begin);
    snprintf(load, sizeof load, "%.*s", (int)strcspn(index, ";"), index);
    snprintf(near, sizeof near, "hone_bring_near(%s", load);
    assert_true(strstr(begin, near) && strstr(begin, near) < end);
    assert_false(strstr(begin, "p.in[3]") && strstr(begin, "p.in[3]") < end);
    hone_text_clear(&out);
}

static void text_does_not_depend_on_sizes(void **state)
{
    char first[HONE_ARTIFACT_KEY], second[HONE_ARTIFACT_KEY];
    (void)state;
    set_target("sm_90");
    assert_int_equal(enumerate("matmul a=f16:256x768 b=f16:768x3072 | add a=$0 b=f16:3072"), HONE_OK);
    hone_tactic tactic = tactics[0];
    assert_int_equal(hone_source_nvrtc.key(&problem, &tactic, &target, first), HONE_OK);
    assert_int_equal(enumerate("matmul a=f16:512x1024 b=f16:1024x768 | add a=$0 b=f16:768"), HONE_OK);
    assert_int_equal(hone_source_nvrtc.key(&problem, &tactic, &target, second), HONE_OK);
    assert_string_equal(first, second);
    assert_int_equal(enumerate("matmul a=f16:512x1024 b=f16:1024x768 | sub a=$0 b=f16:768"), HONE_OK);
    assert_int_equal(hone_source_nvrtc.key(&problem, &tactic, &target, second), HONE_OK);
    assert_string_not_equal(first, second);
}

// ---- who may start early: what the machine code says of itself, not what today's text would

typedef struct spy {
    hone_device base;
    hone_launch launch;
    unsigned char params[HONE_ARGS_BYTES];
    char entry[32];
} spy;

static hone_status spy_load(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module, hone_function **function)
{
    (void)image, (void)size_bytes;
    snprintf(((spy *)device)->entry, sizeof ((spy *)device)->entry, "%s", name);
    *module = (hone_module *)device;
    *function = (hone_function *)device;
    return HONE_OK;
}

static void spy_unload(hone_device *device, hone_module *module)
{
    (void)device, (void)module;
}

static hone_status spy_launch(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *launch)
{
    spy *s = (spy *)device;
    (void)stream, (void)function;
    s->launch = *launch;
    memcpy(s->params, launch->params, launch->params_bytes);
    return HONE_OK;
}

static hone_runnable *prepared(spy *s, const char *code)
{
    static const hone_device_api api = {.kind = "cuda", .load = spy_load, .unload = spy_unload, .launch = spy_launch};
    hone_runnable *runnable = NULL;
    hone_blob blob = {.data = (void *)(uintptr_t)code, .size_bytes = strlen(code) + 1};
    *s = (spy){.base = {.api = &api, .target = target}};
    assert_int_equal(hone_source_nvrtc.prepare(&problem, &tactics[0], &s->base, &blob, &runnable), HONE_OK);
    assert_int_equal(runnable->api->wake(runnable), HONE_OK);
    assert_int_equal(runnable->kernels, 1);
    return runnable;
}

static bool lets_next(const spy *s)
{
    int32_t last[2];
    memcpy(last, s->params + s->launch.params_bytes - 8, 8);
    return last[0] || last[1];
}

static void code_says_whether_it_follows(void **state)
{
    spy s;
    char x[8], out[8];
    void *operands[] = {x}, *outputs[] = {out};
    (void)state;
    set_target("sm_90");
    assert_int_equal(enumerate("relu x=f16:4096"), HONE_OK);
    hone_runnable *old = prepared(&s, "made before: hone_kernel");
    assert_true(!old->api->chain && !old->starts_early);
    assert_string_equal(s.entry, "hone_kernel");
    assert_int_equal(old->api->run(old, NULL, operands, outputs, NULL), HONE_OK);
    size_t old_bytes = s.launch.params_bytes;
    assert_false(s.launch.dependent);
    old->api->free(old);

    hone_runnable *new = prepared(&s, "made now: hone_follower");
    assert_true(new->api->chain && new->starts_early);
    assert_string_equal(s.entry, "hone_follower");
    assert_int_equal(new->api->run(new, NULL, operands, outputs, NULL), HONE_OK);
    assert_true(s.launch.params_bytes >= old_bytes && s.launch.params_bytes <= old_bytes + 8);
    bool plain = lets_next(&s);
    assert_false(s.launch.dependent || s.launch.has_neighbours);
    assert_int_equal(new->api->chain(new, NULL, operands, outputs, NULL, (hone_link){.follows = true}), HONE_OK);
    assert_true(s.launch.dependent && s.launch.has_neighbours && lets_next(&s) == plain);
    assert_int_equal(new->api->chain(new, NULL, operands, outputs, NULL, (hone_link){.lets_next = true}), HONE_OK);
    assert_true(!s.launch.dependent && s.launch.has_neighbours && lets_next(&s));
    new->api->free(new);
}

// What the kernel is told of its constants lies behind lets_next, in code that knows of them alone.
static void code_is_told_its_constants(void **state)
{
    spy s;
    char x[8], w[8], out[8];
    void *operands[] = {x, w}, *outputs[] = {out};
    uint32_t alone[HONE_ARGS_BYTES / 4], linked[HONE_ARGS_BYTES / 4];
    size_t at = 0;
    (void)state;
    set_target("sm_90");
    assert_int_equal(enumerate("matmul a=f16:128x768 b=f16:768x768"), HONE_OK);
    hone_runnable *runnable = prepared(&s, "hone_forerunner");
    assert_string_equal(s.entry, "hone_forerunner");
    assert_int_equal(runnable->api->run(runnable, NULL, operands, outputs, NULL), HONE_OK);
    assert_false(s.launch.dependent);
    memcpy(alone, s.params, sizeof alone);
    assert_int_equal(runnable->api->chain(runnable, NULL, operands, outputs, NULL, (hone_link){.follows = true, .lets_next = true, .constants = 6}), HONE_OK);
    assert_true(s.launch.dependent);
    memcpy(linked, s.params, sizeof linked);
    while (at < s.launch.params_bytes / 4 && alone[at] == linked[at]) at++;
    assert_true(at + 1 < s.launch.params_bytes / 4 && linked[at] == 1 && linked[at + 1] == 6 && !alone[at] && !alone[at + 1]);
    runnable->api->free(runnable);
}

// The first tactic of a kernel with at most so many blocks and more than a multiprocessor less; 0: with any number.
static const hone_tactic *first_of(const char *kernel, int64_t blocks)
{
    static hone_bound bound;
    hone_launch launch;
    size_t workspace_bytes;
    for (int k = 0; k < n_tactics; k++) {
        if (strcmp(tactics[k].kernel, kernel)) continue;
        assert_int_equal(hone_bound_init(&problem, &tactics[k], &target, &bound), HONE_OK);
        assert_int_equal(hone_bound_launch(&bound, &launch, &workspace_bytes), HONE_OK);
        int64_t has = (int64_t)launch.grid[0] * launch.grid[1] * launch.grid[2];
        if (!blocks || (has <= blocks && has > blocks - 132 && launch.cluster[2] <= 2 && launch.shared_bytes < 70000)) return &tactics[k];
    }
    fail_msg("no tactic of %s with %d blocks", kernel, (int)blocks);
    return NULL;
}

// Dynamic shared memory keeps a kernel from starting early, unless no more than two of its blocks meet on a multiprocessor, where then no more can, or
// its head says that its blocks are few.
static void large_blocks_start_early_and_apart(void **state)
{
    static const struct { const char *text, *kernel; int64_t blocks; bool early; } cases[] = {
        {"matmul a=f16:128x768 b=f16:768x768", "gemm_tile", 132, true}, {"matmul a=f16:197x768 b=f16:768x768", "gemm_tile", 168, true},
        {"matmul a=f16:2048x768 b=f16:768x768", "gemm_tile", 0, false}, {"matmul a=f16:4096x768 b=f16:768x3072", "gemm_tma", 0, true},      // walks over the tiles
        {"conv x=f16:1x1x1x96:nhwc w=f16:24x1x1x96:nhwc | relu x=$0 | conv x=$1 w=f16:96x1x1x24:nhwc", "squeeze", 0, true},
        {"relu x=f16:4096", "elementwise", 0, true},
    };
    spy s;
    char x[8], out[8];
    void *operands[] = {x, x, x}, *outputs[] = {out};
    (void)state;
    set_target("sm_90");
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_int_equal(enumerate(cases[k].text), HONE_OK);
        tactics[0] = *first_of(cases[k].kernel, cases[k].blocks);
        hone_runnable *runnable = prepared(&s, "hone_follower");
        if (runnable->starts_early != cases[k].early) fail_msg("case %zu: early %d", k, runnable->starts_early);
        assert_int_equal(runnable->api->run(runnable, NULL, operands, outputs, NULL), HONE_OK);
        const unsigned bytes = s.launch.shared_bytes;
        assert_int_equal(runnable->api->chain(runnable, NULL, operands, outputs, NULL, (hone_link){.follows = true}), HONE_OK);
        assert_true(s.launch.shared_bytes >= bytes && s.launch.shared_bytes <= hone_target_smem_bytes(&target));
        const unsigned meet = (unsigned)(cases[k].blocks + 131) / 132;
        if (meet) assert_true(s.launch.shared_bytes > bytes && (meet + 1) * (s.launch.shared_bytes + 1024) > 228 * 1024 && meet * (s.launch.shared_bytes + 1024) <= 228 * 1024);
        else assert_int_equal(s.launch.shared_bytes, bytes);
        runnable->api->free(runnable);
    }
}

static void text_follows_on_hopper_only(void **state)
{
    hone_text out;
    hone_args args;
    (void)state;
    set_target("sm_90");
    assert_non_null(strstr(tail_of("relu x=f16:4096", &out, &args), "#define HONE_FOLLOWS 1"));
    assert_true(args.follows);
    hone_text_clear(&out);
    set_target("sm_80");
    assert_non_null(strstr(tail_of("relu x=f16:4096", &out, &args), "#define HONE_FOLLOWS 0"));
    assert_false(args.follows);
    hone_text_clear(&out);
}

// ---- compiling, with no GPU: a sample; all of it is tests/kernels_compile.sh. UNIT_SHARE leaves some at their text.

typedef struct task {
    const char *arch, *text, *kernel;
    char why[512];
} task;

enum { TASKS = 38 };

static task tasks[TASKS] = {
    {.arch = "sm_90", .text = "conv x=f16:1x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | add a=$0 b=f16:1x56x56x64:nhwc | relu x=$1", .kernel = "conv_tile"},
    {.arch = "sm_80", .text = "conv x=bf16:8x56x56x64:nhwc w=bf16:64x3x3x64:nhwc pad=1", .kernel = "conv_tile"},
    {.arch = "sm_90", .text = "conv x=f32:1x56x56x3:nhwc w=f32:64x3x3x3:nhwc b=f32:64", .kernel = "conv_ffma"},
    {.arch = "sm_90", .text = "matmul a=f16:128x768 b=f16:768x3072 | add a=$0 b=f16:3072 | gelu x=$1", .kernel = "gemm_tile"},
    {.arch = "sm_90", .text = "matmul a=f16:4096x768 b=f16:768x3072 | add a=$0 b=f16:3072 | gelu x=$1", .kernel = "gemm_wgmma"},
    {.arch = "sm_90", .text = "conv x=bf16:128x14x14x256:nhwc w=bf16:256x3x3x256:nhwc b=bf16:256 pad=1 | relu x=$0", .kernel = "conv_wgmma"},
    {.arch = "sm_90", .text = "matmul a=f16:4096x768 b=f16:768x2304 | add a=$0 b=f16:2304", .kernel = "gemm_tma"},
    {.arch = "sm_90", .text = "matmul a=bf16:6304x3072 b=bf16:3072x768 | add a=$0 b=bf16:768", .kernel = "gemm_stream"},
    {.arch = "sm_90", .text = "conv x=f16:64x14x14x256:nhwc w=f16:256x3x3x256:nhwc b=f16:256 pad=1 | relu x=$0", .kernel = "conv_tma"},
    {.arch = "sm_80", .text = "matmul a=f32:128x768 b=f32:768x3072 math=tf32", .kernel = "gemm_tile"},
    {.arch = "sm_90", .text = "matmul a=f32:512x512 b=f32:512x512", .kernel = "gemm_ffma"},
    {.arch = "sm_90", .text = "matmul a=f16:1x2048 b=f16:1000x2048 trans_b=1", .kernel = "gemv_rows"},
    {.arch = "sm_90", .text = "matmul a=f16:8x4096 b=f16:6144x4096 trans_b=1", .kernel = "gemm_skinny"},
    {.arch = "sm_80", .text = "matmul a=bf16:64x2048 b=bf16:3072x2048 trans_b=1 | add a=$0 b=bf16:3072 | gelu x=$1", .kernel = "gemm_skinny"},
    {.arch = "sm_90", .text = "matmul a=f16:1x4096 b=f16:4096x6144", .kernel = "gemm_skinny_cols"},
    {.arch = "sm_80", .text = "matmul a=bf16:16x3072 b=bf16:3072x768 | add a=$0 b=bf16:768 | gelu x=$1", .kernel = "gemm_skinny_cols"},
    {.arch = "sm_90", .text = "attention q=f16:1x128x12x64 k=f16:1x128x12x64 v=f16:1x128x12x64 mask=f16:1x1x1x128 scale=0.125", .kernel = "attention"},
    {.arch = "sm_90", .text = "attention q=f16:32x128x12x64 k=f16:32x128x12x64 v=f16:32x128x12x64 mask=f16:32x1x1x128 scale=0.125", .kernel = "attention_wgmma"},
    {.arch = "sm_90", .text = "attention q=bf16:8x512x16x128 k=bf16:8x512x16x128 v=bf16:8x512x16x128 scale=0.0883883", .kernel = "attention_wgmma"},
    {.arch = "sm_80", .text = "attention q=f32:1x64x2x64 k=f32:1x64x2x64 v=f32:1x64x2x64 scale=0.125", .kernel = "attention_simt"},
    {.arch = "sm_90", .text = "conv x=f16:1x14x14x480:nhwc w=f16:480x5x5x1:nhwc b=f16:480 pad=2 group=480 | hardswish x=$0", .kernel = "depthwise"},
    {.arch = "sm_90", .text = "convtranspose x=f16:1x160x160x24:nhwc w=f16:24x2x2x24:nhwc b=f16:24 stride=2 | relu x=$0", .kernel = "deconv_tile"},
    {.arch = "sm_80", .text = "convtranspose x=f16:1x320x320x24:nhwc w=f16:24x2x2x1:nhwc b=f16:1 stride=2 | sigmoid x=$0 out=f32:row", .kernel = "deconv_pixel"},
    {.arch = "sm_90", .text = "reduce x=f16:1x14x14x672:nhwc kind=mean axes=2,3 | conv x=$0 w=f16:168x1x1x672:nhwc b=f16:168 | relu x=$1 | "
                              "conv x=$2 w=f16:672x1x1x168:nhwc b=f16:672 | hardsigmoid x=$3 alpha=0.16666667 | mul a=$4 b=@0", .kernel = "squeeze"},
    {.arch = "sm_90", .text = "conv x=f32:1x3x224x224 w=f32:64x3x7x7 b=f32:64 stride=2 pad=3 | relu x=$0 out=f16:nhwc math=tf32", .kernel = "conv_planes"},
    {.arch = "sm_90", .text = "conv x=f32:128x3x224x224 w=f32:64x3x7x7 b=f32:64 stride=2 pad=3 | relu x=$0 | maxpool x=$1 kernel=3,3 stride=2 pad=1 "
                              "out=f16:nhwc math=tf32", .kernel = "conv_stem"},
    {.arch = "sm_80", .text = "conv x=bf16:1x224x224x3:nhwc w=bf16:16x3x3x3:nhwc b=bf16:16 stride=2 pad=1 | hardswish x=$0", .kernel = "conv_stem"},
    {.arch = "sm_90", .text = "layernorm x=f16:1x197x768 scale=f16:768 b=f16:768 axis=2 epsilon=1e-06 | matmul a=$0 b=f16:768x3072 | add a=$1 b=f16:3072 | gelu x=$2",
     .kernel = "gemm_normed"},
    {.arch = "sm_90", .text = "matmul a=f16:1x128x768 b=f16:768x768 | add a=$0 b=f16:768 | add a=$1 b=f16:1x128x768 | layernorm x=$2 scale=f16:768 b=f16:768 axis=2",
     .kernel = "gemm_ended"},
    {.arch = "sm_90", .text = "reduce x=f16:1x160x160x96:nhwc kind=mean axes=2,3", .kernel = "reduce_split"},
    {.arch = "sm_90", .text = "add a=f16:128x768 b=f16:128x768 | layernorm x=$0 scale=f16:768 b=f16:768", .kernel = "rows"},
    {.arch = "sm_90", .text = "softmax x=f16:128x12x128x128 axis=3", .kernel = "rows_many"},
    {.arch = "sm_80", .text = "reduce x=f16:32768x1024 kind=mean axes=1", .kernel = "reduce_rows_many"},
    {.arch = "sm_90", .text = "reduce x=f16:128x56x56x64:nhwc kind=mean axes=2,3", .kernel = "reduce_cols_many"},
    {.arch = "sm_80", .text = "maxpool x=f16:1x112x112x64:nhwc kernel=3,3 stride=2 pad=1", .kernel = "pool"},
    {.arch = "sm_90", .text = "reduce x=f16:1x7x7x2048:nhwc kind=mean axes=2,3", .kernel = "reduce_cols"},
    {.arch = "sm_90", .text = "identity x=f32:1x3x224x224 out=f16:nhwc", .kernel = "transpose"},
    {.arch = "sm_80", .text = "add a=f16:4096 b=f16:4096 | relu x=$0", .kernel = "elementwise"},
};

static void compile_task(void *user, int64_t begin, int64_t end, int worker)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)user, (void)worker;
    for (int64_t k = begin; k < end; k++) {
        task *t = &tasks[k];
        hone_problem *mine = calloc(1, sizeof *mine);
        hone_tactic tactic = {.n = 0};
        hone_blob blob = {.data = NULL};
        char key[HONE_ARTIFACT_KEY];
        pthread_mutex_lock(&lock);         // enumeration uses this file's one space
        set_target(t->arch);
        hone_target to = target;
        hone_status status = enumerate(t->text);
        for (int i = 0; i < n_tactics; i++)
            if (!strcmp(tactics[i].kernel, t->kernel)) tactic = tactics[i];
        *mine = problem;
        pthread_mutex_unlock(&lock);
        if (!status && !tactic.n) status = hone_fail(HONE_INTERNAL, "kernel %s does not serve it", t->kernel);
        if (!status) status = hone_source_nvrtc.key(mine, &tactic, &to, key);
        const bool compiles = k % (TASKS / unit_share(TASKS)) == 0;
        if (!status && compiles) status = hone_source_nvrtc.compile(mine, &tactic, &to, &blob);
        if (!status && compiles && blob.spill_bytes > 0) status = hone_fail(HONE_INTERNAL, "%d bytes are spilled", blob.spill_bytes);
        if (!status && compiles && (blob.registers < 8 || blob.size_bytes < 1000)) status = hone_fail(HONE_INTERNAL, "no resources in the log");
        snprintf(t->why, sizeof t->why, "%s", status ? hone_error_text() : "");
        hone_free(blob.data);
        free(mine);
    }
}

static void compiles_without_spills(void **state)
{
    (void)state;
    hone_parallel(TASKS, 1, hone_cpu_count(), compile_task, NULL);
    for (int k = 0; k < TASKS; k++)
        if (*tasks[k].why) fail_msg("%s on %s for %s: %s", tasks[k].kernel, tasks[k].arch, tasks[k].text, tasks[k].why);
}

int test_nvrtc_source(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces_are_legal), cmocka_unit_test(declines_what_it_cannot), cmocka_unit_test(probes),
        cmocka_unit_test(exact_f32_uses_no_tensor_cores), cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(wgmma_is_for_hopper_alone), cmocka_unit_test(tails),
        cmocka_unit_test(near_is_what_all_rows_share), cmocka_unit_test(text_does_not_depend_on_sizes), cmocka_unit_test(code_says_whether_it_follows),
        cmocka_unit_test(code_is_told_its_constants), cmocka_unit_test(large_blocks_start_early_and_apart),
        cmocka_unit_test(text_follows_on_hopper_only), cmocka_unit_test(compiles_without_spills),
    };
    return cmocka_run_group_tests_name("nvrtc_source", tests, NULL, NULL);
}
