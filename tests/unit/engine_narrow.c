// SPDX-License-Identifier: Apache-2.0
// Networks of which only some rows are read: without the others they compute the same with less, and the builder takes what costs less. And what
// is only a view of a value as it lies in memory: its beginning, and an image as a sequence.
#include "engine/narrow_priv.h"
#include "tests/unit/graph_maker.h"

static int normed(maker *m, int x)
{
    int64_t wide = maker_shape(m, x)->dims[2];
    return maker_node(m, "layernorm", "axis=2", 3, (int[]){x, maker_constant(m, 1, &wide, 1), maker_constant(m, 1, &wide, 1)});
}

// Two layers with residuals; `rows` is what is read of the last.
static void make_rows(maker *m, uint64_t seed, const char *rows)
{
    maker_begin(m, seed);
    int x = maker_input(m, "x", HONE_F32, 3, (int64_t[]){1 + (int64_t)(seed % 2), 5, 8});
    for (int k = 0; k < 2; k++) {
        x = maker_binary(m, "add", x, maker_layer(m, normed(m, x)));
        x = maker_binary(m, "add", x, maker_linear(m, maker_activate(m, maker_linear(m, normed(m, x), 16, false, true)), 8, seed & 1, true));
    }
    char attrs[64];
    snprintf(attrs, sizeof attrs, "%s size=%d,%s", rows, (int)maker_shape(m, x)->dims[0], strstr(rows, "step") ? "2,8" : "1,8");
    maker_output(m, maker_unary(m, "softmax", "axis=2", maker_linear(m, maker_unary(m, "slice", attrs, normed(m, x)), 6, false, true)));
    maker_end(m);
}

static const char *const all_rows[] = {"start=0,0,0", "start=0,3,0", "start=0,1,0 step=1,2,1"};

static void narrow_networks_compute_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        maker m;
        hone_graph *narrow;
        hone_array want[1], have[1];
        make_rows(&m, seed, all_rows[seed % 3]);
        OK(hone_simplify_narrow(m.graph, &narrow));
        assert_non_null(narrow);
        OK(hone_graph_check(narrow));
        double share = hone_graph_flops(narrow) / hone_graph_flops(m.graph);
        if (!(share < 0.9)) fail_msg("network %d: %g of the flops", (int)seed, share);
        maker_reference(m.graph, seed, want);
        maker_reference(narrow, seed, have);
        double error = hone_array_error(&have[0], &want[0]);
        if (!(error <= 1e-6)) fail_msg("network %d is off by %g", (int)seed, error);
        hone_array_clear(&want[0]);
        hone_array_clear(&have[0]);
        hone_graph_free(narrow);
        hone_graph_free(m.graph);
    }
}

// Where all rows are read after all, or the slice cuts what an op needs whole, there is no narrower form.
static void near_misses_stay_whole(void **state)
{
    (void)state;
    for (int miss = 0; miss < 4; miss++) {
        maker m;
        hone_graph *narrow;
        maker_begin(&m, 7);
        int x = maker_input(&m, "x", HONE_F32, 3, (int64_t[]){2, 5, 8});
        int y = miss == 1 ? normed(&m, x) : miss == 2 ? maker_unary(&m, "softmax", "axis=1", x) : maker_activate(&m, x);
        if (miss == 0) maker_output(&m, y);
        if (miss != 3) y = maker_unary(&m, "slice", miss == 1 ? "start=0,0,2 size=2,5,3" : "start=0,2,0 size=2,1,8", y);
        maker_output(&m, maker_activate(&m, y));
        maker_end(&m);
        OK(hone_simplify_narrow(m.graph, &narrow));
        if (narrow) fail_msg("miss %d was narrowed", miss);
        hone_graph_free(m.graph);
    }
}

static int count_steps(const hone_plan *plan, const char *word)
{
    int n = 0;
    for (int k = 0; k < plan->n_steps; k++) n += strstr(plan->steps[k].problem, word) != NULL;
    return n;
}

static double run_plan(const maker *m, hone_device *device, const hone_plan *plan, uint64_t seed)
{
    hone_engine *engine;
    hone_exec *exec;
    hone_array want[8];
    maker_reference(m->graph, seed, want);
    OK(hone_plan_check(plan));
    OK(hone_engine_new(plan, device, false, &engine));
    OK(hone_exec_new(engine, NULL, &exec));
    maker_run(exec, plan, seed);
    double error = maker_error(exec, plan, want);
    hone_exec_free(exec);
    hone_engine_free(engine);
    for (int k = 0; k < plan->n_outputs; k++) hone_array_clear(&want[k]);
    return error;
}

// Products of single rows that cost next to nothing are taken, those that cost a fortune are not; both run right.
static void the_builder_takes_the_cheaper(void **state)
{
    static const char *const prices[] = {"1x1x8", "!1x1x8", NULL};
    (void)state;
    for (uint64_t seed = 2; seed <= 8; seed += 2)
        for (int which = 0; which < 3; which++) {
            maker m;
            hone_device *device;
            make_rows(&m, seed, all_rows[seed / 2 % 2]);
            OK(hone_device_open("cpu", &device));
            hone_store *store = maker_store(m.graph, device, "fp32", seed, 8, prices[which]);
            hone_plan *plan = maker_build(m.graph, store, device, "fp32", 1 + (int)(seed % 2));
            assert_true(hone_id_equal(&plan->network_digest, hone_graph_digest(m.graph)));
            if (which < 2 && (count_steps(plan, "matmul a=f32:1x1x8") > 1) != (which == 0)) fail_msg("network %d at price %d", (int)seed, which);
            double error = run_plan(&m, device, plan, seed);
            if (!(error <= 1e-5)) fail_msg("network %d is off by %g", (int)seed, error);
            hone_plan_free(plan);
            hone_store_close(store);
            hone_device_close(device);
            hone_graph_free(m.graph);
        }
}

// ---- views

static int as_sequence(maker *m, int x)
{
    char attrs[64];
    const hone_tensor *t = maker_shape(m, x);
    snprintf(attrs, sizeof attrs, "shape=%d,%d,%d", (int)t->dims[0], (int)t->dims[1], (int)(t->dims[2] * t->dims[3]));
    return maker_unary(m, "transpose", "perm=0,2,1", maker_unary(m, "reshape", attrs, x));
}

static int as_image(maker *m, int x, int64_t h, int64_t w)
{
    char attrs[64];
    const hone_tensor *t = maker_shape(m, x);
    snprintf(attrs, sizeof attrs, "shape=%d,%d,%d,%d", (int)t->dims[0], (int)t->dims[2], (int)h, (int)w);
    return maker_unary(m, "reshape", attrs, maker_unary(m, "transpose", "perm=0,2,1", x));
}

// Where moving is dear, an image becomes a sequence and one again, and the first rows are cut off, without a step.
static void views_cost_no_step(void **state)
{
    static const struct { const char *precisions; double bound; } runs[] = {{"fp32", 1e-5}, {"fp16", 2e-2}};
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        maker m;
        hone_device *device;
        maker_begin(&m, seed);
        int x = maker_convolve(&m, maker_input(&m, "x", HONE_F32, 4, (int64_t[]){1, 4, 6, 3}));
        int rows = maker_activate(&m, maker_linear(&m, as_sequence(&m, x), 8, false, true));
        maker_output(&m, maker_activate(&m, maker_unary(&m, "slice", "start=0,0,0 size=1,4,8", rows)));
        maker_output(&m, maker_activate(&m, maker_convolve(&m, as_image(&m, rows, 6, 3))));
        maker_end(&m);
        OK(hone_device_open("cpu", &device));
        hone_store *store = maker_store(m.graph, device, runs[seed % 2].precisions, seed, 8, "!transpose");
        hone_plan *plan = maker_build(m.graph, store, device, runs[seed % 2].precisions, 1);
        assert_int_equal(count_steps(plan, "transpose") + count_steps(plan, "slice"), 0);
        double error = run_plan(&m, device, plan, seed);
        if (!(error <= runs[seed % 2].bound)) fail_msg("network %d is off by %g", (int)seed, error);
        hone_plan_free(plan);
        hone_store_close(store);
        hone_device_close(device);
        hone_graph_free(m.graph);
    }
}

int test_engine_narrow(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(narrow_networks_compute_the_same),
        cmocka_unit_test(near_misses_stay_whole),
        cmocka_unit_test(the_builder_takes_the_cheaper),
        cmocka_unit_test(views_cost_no_step),
    };
    return cmocka_run_group_tests_name("engine_narrow", tests, NULL, NULL);
}
