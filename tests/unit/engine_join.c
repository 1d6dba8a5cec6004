// SPDX-License-Identifier: Apache-2.0
// Sibling products joined: the same answers from fewer products, and a builder that takes them where they are cheaper and there only.
#include "engine/exec.h"
#include "engine/join_priv.h"
#include "tests/unit/graph_maker.h"

static int count_products(const hone_graph *graph)
{
    int n = 0;
    for (int k = 0; k < graph->n_nodes; k++)
        n += !strcmp(graph->nodes[k].call.op->name, "matmul") && graph->values[graph->nodes[k].in[1]].data;
    return n;
}

static void joined_networks_compute_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        maker m;
        hone_join *join;
        hone_array want[1], have[1];
        int layers = 1 + (int)(seed % 3);
        maker_transformer(&m, seed, layers);
        OK(hone_join_new(m.graph, &join));
        assert_non_null(join);
        hone_join_fill(join);
        assert_true(count_products(hone_join_graph(join)) <= count_products(m.graph) - 2 * layers);      // q, k and v are one
        maker_reference(m.graph, seed, want);
        maker_reference(hone_join_graph(join), seed, have);
        assert_string_equal(m.graph->values[m.graph->outputs[0]].name, hone_join_graph(join)->values[hone_join_graph(join)->outputs[0]].name);
        double error = hone_array_error(&have[0], &want[0]);
        if (!(error <= 1e-12)) fail_msg("network %d is off by %g", (int)seed, error);
        hone_array_clear(&want[0]);
        hone_array_clear(&have[0]);
        hone_join_free(join);
        hone_graph_free(m.graph);
    }
}

// Products of one value that must stay apart: each with one thing that is in the way.
static void near_misses_stay_apart(void **state)
{
    (void)state;
    for (int miss = 0; miss < 5; miss++) {
        maker m;
        hone_join *join;
        maker_begin(&m, 7);
        int x = maker_input(&m, "x", HONE_F32, 3, (int64_t[]){1, 5, 8}), y = maker_input(&m, "y", HONE_F32, 2, (int64_t[]){8, 8});
        int a = maker_linear(&m, x, 8, false, true), b = -1;
        if (miss == 0) b = maker_linear(&m, x, 8, true, true);                                  // its weights lie turned
        if (miss == 1) b = maker_linear(&m, x, 8, false, false);                                // no bias
        if (miss == 2) b = maker_binary(&m, "matmul", x, y);                                    // no constant
        if (miss == 3) b = maker_linear(&m, maker_unary(&m, "relu", "", x), 8, false, true);    // of another value
        if (miss == 4) b = maker_linear(&m, x, 8, false, true), maker_output(&m, b);            // leaves the network
        maker_output(&m, maker_unary(&m, "relu", "", a));
        if (miss != 4) maker_output(&m, maker_unary(&m, "relu", "", b));
        maker_end(&m);
        OK(hone_join_new(m.graph, &join));
        if (join) fail_msg("miss %d was joined", miss);
        hone_graph_free(m.graph);
    }
}

static int count_steps(const hone_plan *plan, const char *word)
{
    int n = 0;
    for (int k = 0; k < plan->n_steps; k++) n += strstr(plan->steps[k].problem, word) != NULL;
    return n;
}

// Where the joined products (24 wide) cost next to nothing they are taken, where they cost a fortune they are not; both run right.
static void the_builder_takes_the_cheaper(void **state)
{
    static const char *const prices[] = {"x24", "!x24", NULL};
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++)
        for (int which = 0; which < 3; which++) {
            maker m;
            hone_array want[1];
            hone_engine *engine;
            hone_exec *exec;
            hone_device *device;
            maker_transformer(&m, seed, 2);
            OK(hone_device_open("cpu", &device));
            hone_store *store = maker_store(m.graph, device, "fp32", seed, 8, prices[which]);
            hone_plan *plan = maker_build(m.graph, store, device, "fp32", 1 + (int)(seed % 2));
            OK(hone_plan_check(plan));
            assert_true(hone_id_equal(&plan->network_digest, hone_graph_digest(m.graph)));
            if (which < 2) assert_int_equal(count_steps(plan, "| attention q=$"), which == 0 ? 2 : 0);
            maker_reference(m.graph, seed, want);
            OK(hone_engine_new(plan, device, false, &engine));
            OK(hone_exec_new(engine, NULL, &exec));
            maker_run(exec, plan, seed);
            double error = maker_error(exec, plan, want);
            if (!(error <= 1e-5)) fail_msg("network %d is off by %g", (int)seed, error);
            hone_exec_free(exec);
            hone_engine_free(engine);
            hone_array_clear(&want[0]);
            hone_plan_free(plan);
            hone_store_close(store);
            hone_device_close(device);
            hone_graph_free(m.graph);
        }
}

int test_engine_join(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_networks_compute_the_same),
        cmocka_unit_test(near_misses_stay_apart),
        cmocka_unit_test(the_builder_takes_the_cheaper),
    };
    return cmocka_run_group_tests_name("engine_join", tests, NULL, NULL);
}
