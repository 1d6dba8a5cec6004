// SPDX-License-Identifier: Apache-2.0
// What was measured inside a network chooses among its tactics: of this network only, where it is decisive, and never the fusions. And
// databases that were merged in any order make the same file.
#include "tests/unit/graph_maker.h"

#include "base/file.h"
#include "tests/unit/merge_orders.h"

enum { SAMPLES = 9 };

typedef struct stage {
    maker m;
    hone_device *device;
    hone_store *store;
    hone_id run;
    char spelling[256], mode[HONE_NETWORK_MODE];
    const char *problem;
    char rival[HONE_TACTIC_TEXT];
} stage;

static void open_stage(stage *s)
{
    hone_precision_set set;
    hone_id structure;
    hone_run run = {.start_unix_ms = 2, .options = "", .effort = "full", .writer = "local", .sequence = 2, .private_host = "", .private_gpu_uuid = ""};
    OK(hone_device_open("cpu", &s->device));
    maker_images(&s->m, 3, 12);
    s->store = maker_store(s->m.graph, s->device, "fp32", 3, 8, NULL);
    OK(hone_store_put_run(s->store, &run, &s->run));
    hone_target_print(&s->device->target, s->spelling, sizeof s->spelling);
    OK(hone_precision_set_parse("fp32", &set));
    OK(hone_graph_structure(s->m.graph, &structure));
    hone_network_mode(&structure, s->spelling, &set, s->mode);
}

static void close_stage(stage *s)
{
    hone_store_close(s->store);
    hone_graph_free(s->m.graph);
    hone_device_close(s->device);
}

static void put(const stage *s, const char *mode, const char *tactic, double ns, double spread)
{
    double samples[SAMPLES];
    for (int k = 0; k < SAMPLES; k++) samples[k] = ns + spread * (k - SAMPLES / 2) / (SAMPLES / 2);
    hone_measurement row = {.run = s->run, .device = s->spelling, .toolchain = s->device->toolchain, .depends = "", .problem = s->problem,
        .tactic = tactic, .mode = mode, .verdict = HONE_VERDICT_OK, .timer = "cpu", .median_ns = ns, .mad_ns = spread / 2, .min_ns = samples[0],
        .error = 1e-7, .clock_mhz = -1, .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1, .artifact = "", .note = "",
        .samples_ns = samples, .sample_count = SAMPLES};
    OK(hone_store_put_measurement(s->store, &row, NULL));
}

// Builds, and holds that all steps of the problem run this tactic and that the plan has the steps it had.
static void expect(const stage *s, const hone_plan *before, const char *tactic)
{
    hone_plan *plan = maker_build(s->m.graph, s->store, s->device, "fp32", 1);
    assert_int_equal(plan->n_steps, before->n_steps);
    assert_true(plan->predicted_ns == before->predicted_ns);
    for (int k = 0; k < plan->n_steps; k++) {
        assert_string_equal(plan->steps[k].problem, before->steps[k].problem);
        assert_string_equal(plan->steps[k].tactic, strcmp(plan->steps[k].problem, s->problem) ? before->steps[k].tactic : tactic);
    }
    hone_plan_free(plan);
}

static void the_network_decides_among_tactics(void **state)
{
    stage s;
    int step = 0;
    char other[HONE_NETWORK_MODE];
    (void)state;
    open_stage(&s);
    hone_plan *before = maker_build(s.m.graph, s.store, s.device, "fp32", 1);
    while (step < before->n_steps && !maker_first_tactic("cpu", before->steps[step].problem, s.device, s.rival)) step++;
    assert_true(step < before->n_steps);
    s.problem = before->steps[step].problem;
    const char *single = before->steps[step].tactic;
    double ns = before->steps[step].predicted_ns;
    put(&s, "single cold", s.rival, ns * 1.1, 1);
    expect(&s, before, single);
    snprintf(other, sizeof other, "%s", s.mode);
    other[5] = other[5] == '0' ? '1' : '0';
    put(&s, other, single, ns, 10);                    // another network's
    put(&s, other, s.rival, ns * 0.8, 10);
    expect(&s, before, single);
    put(&s, s.mode, s.rival, ns * 0.8, ns * 0.3);
    expect(&s, before, single);                        // nothing to compare it with
    put(&s, s.mode, single, ns, ns * 0.3);
    expect(&s, before, single);                        // faster, but not beyond doubt
    for (int k = 1; k <= 12; k++) put(&s, s.mode, s.rival, ns * 0.8 + k, 10), put(&s, s.mode, single, ns + k, 10);
    expect(&s, before, s.rival);
    hone_plan_free(before);
    close_stage(&s);
}

// A pin may name a problem instead of a layer.
static void pins_name_problems(void **state)
{
    stage s;
    hone_text missing;
    hone_plan *plan = NULL;
    int step = 0;
    (void)state;
    open_stage(&s);
    hone_plan *before = maker_build(s.m.graph, s.store, s.device, "fp32", 1);
    while (step < before->n_steps && !maker_first_tactic("cpu", before->steps[step].problem, s.device, s.rival)) step++;
    s.problem = before->steps[step].problem;
    hone_pin pin = {s.problem, s.rival};
    hone_build_options options = {.device = s.spelling, .toolchain = s.device->toolchain, .lanes = 1, .workspace_limit_bytes = -1, .pins = &pin, .n_pins = 1};
    OK(hone_precision_set_parse("fp32", &options.precisions));
    hone_text_init(&missing);
    OK(hone_build(s.m.graph, s.store, &options, "net", &missing, &plan));
    assert_string_equal(plan->steps[step].tactic, s.rival);
    hone_plan_free(plan);
    pin.layer = "relu x=f32:3";
    assert_int_equal(hone_build(s.m.graph, s.store, &options, "net", &missing, &plan), HONE_USAGE);
    hone_text_clear(&missing);
    hone_plan_free(before);
    close_stage(&s);
}

static void modes_are_of_structure_device_and_precisions(void **state)
{
    hone_id network = {{1}}, another = {{2}};
    hone_precision_set set, more;
    char a[HONE_NETWORK_MODE], b[HONE_NETWORK_MODE];
    (void)state;
    OK(hone_precision_set_parse("fp16", &set));
    OK(hone_precision_set_parse("fp16,fp32", &more));
    hone_network_mode(&network, "cpu x", &set, a);
    assert_memory_equal(a, "plan ", 5);
    assert_int_equal(strlen(a), 5 + 64);
    hone_network_mode(&network, "cpu x", &set, b);
    assert_string_equal(a, b);
    hone_network_mode(&another, "cpu x", &set, b);
    assert_string_not_equal(a, b);
    hone_network_mode(&network, "cpu y", &set, b);
    assert_string_not_equal(a, b);
    hone_network_mode(&network, "cpu x", &more, b);
    assert_string_not_equal(a, b);
}

static void structure_leaves_weights_out(void **state)
{
    stage s;
    int large = 0;
    (void)state;
    open_stage(&s);
    for (int v = 0; v < s.m.graph->n_values; v++) {
        const hone_value *value = &s.m.graph->values[v];
        hone_id structure, changed;
        if (!value->data || hone_tensor_count(&value->tensor) == 0) continue;
        bool is_large = hone_tensor_count(&value->tensor) > 16;
        OK(hone_graph_structure(s.m.graph, &structure));
        ((uint8_t *)value->data)[0] ^= 1;
        OK(hone_graph_structure(s.m.graph, &changed));
        ((uint8_t *)value->data)[0] ^= 1;
        if (is_large) assert_true(hone_id_equal(&structure, &changed));
        large += is_large;
    }
    assert_true(large > 0);
    close_stage(&s);
}

// ---- one memory, one plan

enum { DATABASES = 20, ORDERS = 200, KEPT_OF_8 = 3 };

// The file of the plan that is built from a store.
static void build_file(const stage *s, hone_store *store, char **data, size_t *size_bytes)
{
    char folder[256], path[300];
    assert_non_null(unit_folder(folder));
    snprintf(path, sizeof path, "%s/plan", folder);
    hone_plan *plan = maker_build(s->m.graph, store, s->device, "fp32", 1);
    OK(hone_plan_save(plan, path));
    OK(hone_file_read(path, 1 << 24, data, size_bytes));
    hone_plan_free(plan);
}

static void merged_in_any_order_it_builds_one_plan(void **state)
{
    stage s;
    hone_store *parts[DATABASES];
    char *wanted = NULL;
    size_t wanted_bytes = 0;
    (void)state;
    open_stage(&s);
    for (int i = 0; i < DATABASES; i++) parts[i] = maker_store(s.m.graph, s.device, "fp32", 100 + (uint64_t)i, KEPT_OF_8, NULL);
    for (int order = 0; order < unit_share(ORDERS); order++) {
        char *got;
        size_t got_bytes;
        hone_store *all = merge_in_order(parts, DATABASES, (uint64_t)order);
        build_file(&s, all, &got, &got_bytes);
        hone_store_close(all);
        if (wanted) assert_int_equal(got_bytes, wanted_bytes);
        if (wanted) assert_memory_equal(got, wanted, wanted_bytes);
        hone_free(wanted);
        wanted = got;
        wanted_bytes = got_bytes;
    }
    for (int i = 0; i < DATABASES; i++) {              // no part alone decides it
        char *got;
        size_t got_bytes;
        build_file(&s, parts[i], &got, &got_bytes);
        assert_true(got_bytes != wanted_bytes || memcmp(got, wanted, got_bytes) != 0);
        hone_free(got);
        hone_store_close(parts[i]);
    }
    hone_free(wanted);
    close_stage(&s);
}

int test_engine_network(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_in_any_order_it_builds_one_plan),
        cmocka_unit_test(the_network_decides_among_tactics), cmocka_unit_test(pins_name_problems),
        cmocka_unit_test(modes_are_of_structure_device_and_precisions), cmocka_unit_test(structure_leaves_weights_out),
    };
    return cmocka_run_group_tests_name("engine_network", tests, NULL, NULL);
}
