// SPDX-License-Identifier: Apache-2.0
// A plan that is to do without a library has no tactic that may open it: neither the fastest, nor a pinned one, nor one whose kernel is
// not compiled yet. Nor does one whose family a recheck found apart come before anything that is known. On the evidence of a GPU that is not here.
#include "tests/unit/graph_maker.h"

#define H200 "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W"
#define CUDNN "cudnn.conv@1 engine=38"

enum { MACHINE_CODE = 64 };

typedef struct stage {
    maker m;
    hone_device device;            // its target and toolchain only: nothing runs
    hone_store *store;
    hone_id run;
    const char *artifact, *depends;        // of the rows that are put next
    char own[HONE_TACTIC_TEXT];    // a tactic of source nvrtc for problem
    char problem[1024];
} stage;

static void put(const stage *s, const char *problem, const char *tactic, double ns)
{
    hone_measurement row = {.run = s->run, .device = H200, .toolchain = s->device.toolchain, .depends = s->depends, .problem = problem, .tactic = tactic,
        .mode = "single cold", .verdict = HONE_VERDICT_OK, .timer = "cupti", .median_ns = ns, .mad_ns = 1, .min_ns = ns - 1, .error = 1e-4,
        .clock_mhz = -1, .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1, .artifact = s->artifact, .note = "",
        .samples_ns = &ns, .sample_count = 1};
    OK(hone_store_put_measurement(s->store, &row, NULL));
}

// Wherever cuDNN may be used it is by far the fastest.
static hone_status put_cudnn(void *user, const char *spelling, int64_t times)
{
    const stage *s = user;
    static hone_problem problem;
    hone_tactic tactic;
    (void)times;
    OK(hone_problem_parse(spelling, &problem));
    OK(hone_tactic_parse(CUDNN, &tactic));
    if (hone_tactic_check(&tactic, &problem, &s->device.target) == HONE_OK) put(s, spelling, CUDNN, 100);
    return HONE_OK;
}

// depends: what cuDNN's times rest on.
static void open_stage(stage *s, int known_of_8, const char *depends)
{
    hone_precision_set set;
    hone_run run = {.start_unix_ms = 2, .options = "", .effort = "full", .writer = "local", .sequence = 2, .private_host = "", .private_gpu_uuid = ""};
    memset(s, 0, sizeof *s);
    OK(hone_target_parse(H200, &s->device.target));
    snprintf(s->device.toolchain, sizeof s->device.toolchain, "cuda=13.0 cublaslt=13.1.0 cudnn=9.19.0 nvrtc=13.0 hone=0.1.0");
    s->artifact = "";
    s->depends = depends;
    maker_images(&s->m, 3, 12);
    s->store = maker_store(s->m.graph, &s->device, "fp16", 3, known_of_8, NULL);
    OK(hone_store_put_run(s->store, &run, &s->run));
    OK(hone_precision_set_parse("fp16", &set));
    OK(hone_build_problems(s->m.graph, &s->device.target, &set, put_cudnn, s));
}

static void close_stage(stage *s)
{
    hone_store_close(s->store);
    hone_graph_free(s->m.graph);
}

static hone_status build(const stage *s, const char *without, const hone_pin *pin, bool strict, hone_text *missing, hone_plan **plan)
{
    hone_build_options options = {.device = H200, .toolchain = s->device.toolchain, .lanes = 1, .workspace_limit_bytes = -1, .without = without,
                                  .pins = pin, .n_pins = pin != NULL, .strict = strict};
    OK(hone_precision_set_parse("fp16", &options.precisions));
    *plan = NULL;
    hone_text_clear(missing);
    return hone_build(s->m.graph, s->store, &options, "net", missing, plan);
}

static int count_steps(const hone_plan *plan, const char *source)
{
    int n = 0;
    for (int k = 0; k < plan->n_steps; k++) n += !strncmp(plan->steps[k].tactic, source, strlen(source));
    return n;
}

static void expect_libraries(const hone_plan *plan, const char *want)
{
    hone_text list;
    hone_text_init(&list);
    hone_plan_libraries(plan, &list);
    assert_string_equal(hone_text_get(&list), want);
    hone_text_clear(&list);
}

static void the_next_best_is_taken(void **state)
{
    static const char *const lists[] = {"nvrtc", "cudnn", "cublaslt", "openblas,nvrtc"};
    stage s;
    hone_text missing;
    hone_plan *plan;
    (void)state;
    open_stage(&s, 8, "");
    hone_text_init(&missing);
    OK(build(&s, NULL, NULL, true, &missing, &plan));
    assert_true(count_steps(plan, "cudnn.") > 0);
    expect_libraries(plan, "cudnn,cublaslt,nvrtc");
    hone_plan_free(plan);
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        OK(build(&s, lists[k], NULL, true, &missing, &plan));
        assert_int_equal(count_steps(plan, "ref."), plan->n_steps);
        expect_libraries(plan, "");
        hone_plan_free(plan);
    }
    OK(build(&s, "openblas", NULL, true, &missing, &plan));
    assert_true(count_steps(plan, "cudnn.") > 0);
    hone_plan_free(plan);
    hone_text_clear(&missing);
    close_stage(&s);
}

static int count_lines(const char *text, const char *with)
{
    int n = 0;
    for (; (text = strstr(text, with)); text++) n += text[-1] == '\n';
    return n;
}

static void what_has_nothing_else_is_missing(void **state)
{
    stage s;
    hone_text missing, before;
    hone_plan *plan;
    (void)state;
    open_stage(&s, 0, "");
    hone_text_init(&missing);
    hone_text_init(&before);
    assert_int_equal(build(&s, NULL, NULL, true, &before, &plan), HONE_MISS);
    assert_int_equal(count_lines(hone_text_get(&before), "conv "), 0);
    assert_int_equal(build(&s, "nvrtc", NULL, true, &missing, &plan), HONE_MISS);
    assert_non_null(strstr(hone_error_text(), "without nvrtc"));
    assert_null(plan);
    assert_true(count_lines(hone_text_get(&missing), "conv ") > 0);
    OK(build(&s, "nvrtc", NULL, false, &missing, &plan));
    assert_int_equal(count_steps(plan, "ref."), plan->n_steps);
    hone_plan_free(plan);
    hone_text_clear(&missing);
    hone_text_clear(&before);
    close_stage(&s);
}

// How many steps are cuDNN's, all of them stale; `lacking`: problems that the store has nothing for.
static int count_stale(const stage *s, bool allow_stale, int *lacking)
{
    hone_build_options options = {.device = H200, .toolchain = s->device.toolchain, .lanes = 1, .workspace_limit_bytes = -1, .allow_stale = allow_stale};
    hone_text missing;
    hone_plan *plan;
    hone_text_init(&missing);
    OK(hone_precision_set_parse("fp16", &options.precisions));
    OK(hone_build(s->m.graph, s->store, &options, "net", &missing, &plan));
    int n = count_steps(plan, "cudnn.");
    for (int k = 0; k < plan->n_steps; k++) assert_true(plan->steps[k].staleness == !strncmp(plan->steps[k].tactic, "cudnn.", 6));
    *lacking = count_lines(hone_text_get(&missing), "conv ");
    hone_plan_free(plan);
    hone_text_clear(&missing);
    return n;
}

static void what_moved_apart_is_a_last_resort(void **state)
{
    hone_recheck apart = {.device = H200, .family = "cudnn.conv conv f16", .depends = "cudnn=9.18.0", .now = "cudnn=9.19.0", .mode = "single cold",
                          .decision = HONE_RECHECK_APART, .scale = 1, .low = 0.8, .high = 1.2, .timed = 6};
    stage s;
    int lacking, before;
    (void)state;
    open_stage(&s, 8, "cudnn=9.18.0");
    apart.run = s.run;
    OK(hone_store_put_recheck(s.store, &apart));
    assert_int_equal(count_stale(&s, false, &lacking), 0);         // though they were by far the fastest
    assert_true(count_stale(&s, true, &lacking) > 0);
    close_stage(&s);
    open_stage(&s, 0, "cudnn=9.18.0");
    apart.run = s.run;
    assert_int_equal(count_stale(&s, false, &before), 0);
    assert_true(before > 0);
    OK(hone_store_put_recheck(s.store, &apart));
    assert_true(count_stale(&s, false, &lacking) > 0);
    assert_int_equal(lacking, 0);
    close_stage(&s);
}

static void a_pin_that_needs_the_library_is_refused(void **state)
{
    stage s;
    hone_text missing;
    hone_plan *plan;
    int step = 0;
    (void)state;
    open_stage(&s, 8, "");
    hone_text_init(&missing);
    OK(build(&s, NULL, NULL, true, &missing, &plan));
    while (strncmp(plan->steps[step].tactic, "cudnn.", 6)) step++;
    hone_pin pin = {plan->steps[step].name, CUDNN};
    hone_plan *other;
    OK(build(&s, "openblas", &pin, true, &missing, &other));
    hone_plan_free(other);
    assert_int_equal(build(&s, "cublaslt", &pin, true, &missing, &other), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "pinned to " CUDNN));
    assert_non_null(strstr(hone_error_text(), "without cublaslt"));
    hone_plan_free(plan);
    hone_text_clear(&missing);
    close_stage(&s);
}

// A problem of the plan for which source nvrtc has a tactic.
static void find_own(stage *s, const hone_plan *plan)
{
    int k = 0;
    while (k < plan->n_steps && !maker_first_tactic("nvrtc", plan->steps[k].problem, &s->device, s->own)) k++;
    assert_true(k < plan->n_steps);
    snprintf(s->problem, sizeof s->problem, "%s", plan->steps[k].problem);
}

static void compiled_kernels_need_no_compiler(void **state)
{
    static const unsigned char code[MACHINE_CODE] = {1};
    stage s;
    hone_text missing;
    hone_plan *plan;
    (void)state;
    open_stage(&s, 8, "");
    hone_text_init(&missing);
    OK(build(&s, "cudnn", NULL, true, &missing, &plan));
    find_own(&s, plan);
    hone_plan_free(plan);
    put(&s, s.problem, s.own, 50);
    OK(build(&s, "cudnn", NULL, true, &missing, &plan));
    assert_true(count_steps(plan, "nvrtc.") > 0);
    expect_libraries(plan, "nvrtc");
    hone_plan_free(plan);
    OK(build(&s, "nvrtc", NULL, true, &missing, &plan));
    assert_int_equal(count_steps(plan, "nvrtc."), 0);
    hone_plan_free(plan);
    hone_pin pin = {s.problem, s.own};
    assert_int_equal(build(&s, "nvrtc", &pin, true, &missing, &plan), HONE_USAGE);
    s.artifact = "nvrtc-1";
    OK(hone_store_put_artifact(s.store, s.artifact, "cubin", code, sizeof code));
    put(&s, s.problem, s.own, 40);     // of two rows the faster one's code counts
    OK(build(&s, "nvrtc", &pin, true, &missing, &plan));
    assert_true(count_steps(plan, "nvrtc.") > 0);
    expect_libraries(plan, "");
    hone_plan_free(plan);
    hone_text_clear(&missing);
    close_stage(&s);
}

static void expect_opens(const char *spelling, const char *want)
{
    hone_tactic tactic;
    OK(hone_tactic_parse(spelling, &tactic));
    assert_string_equal(hone_tactic_opens(&tactic, false), want);
    assert_string_equal(hone_tactic_opens(&tactic, true), "");
}

static void names_are_those_of_the_sources(void **state)
{
    hone_text list;
    (void)state;
    OK(hone_opens_check("nvrtc,cudnn,cublaslt,openblas"));
    assert_int_equal(hone_opens_check("nvrtc,cudn"), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "'cudn'"));
    assert_non_null(strstr(hone_error_text(), "openblas,nvrtc,cublaslt,cudnn"));
    assert_int_equal(hone_opens_check(","), HONE_USAGE);
    assert_true(hone_opens_any("cudnn cublaslt nvrtc", "openblas,nvrtc"));
    assert_false(hone_opens_any("cudnn cublaslt nvrtc", "openblas,nvrt"));
    hone_text_init(&list);
    hone_opens_add(&list, "cudnn nvrtc");
    hone_opens_add(&list, "nvrtc,openblas");
    assert_string_equal(hone_text_get(&list), "cudnn,nvrtc,openblas");
    hone_text_clear(&list);
    expect_opens("ref.plain@1", "");
    expect_opens("cpu.matmul_blas@1 tasks=1", "openblas");
    expect_opens("cpu.matmul_tile@1 rows=1", "");
    expect_opens("cpu.no_such_kernel@1", "openblas");
    expect_opens("nosource.x@1", "");
}

int test_engine_without(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_best_is_taken), cmocka_unit_test(what_has_nothing_else_is_missing),
        cmocka_unit_test(what_moved_apart_is_a_last_resort), cmocka_unit_test(a_pin_that_needs_the_library_is_refused), cmocka_unit_test(compiled_kernels_need_no_compiler),
        cmocka_unit_test(names_are_those_of_the_sources),
    };
    return cmocka_run_group_tests_name("engine_without", tests, NULL, NULL);
}
