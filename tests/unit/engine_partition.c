// SPDX-License-Identifier: Apache-2.0
// What partition promises, on random networks with random times.
#include "engine/partition_priv.h"
#include "tests/unit/graph_maker.h"

typedef struct scene {
    maker m;
    hone_device *device;
    hone_store *store;
    hone_arena *arena;
    hone_view *view;
    hone_costs costs;
    hone_build_options options;
    char spelling[256];
} scene;

static void open_scene(scene *s, uint64_t seed, int steps, const char *precisions, int keep_of_8)
{
    memset(s, 0, sizeof *s);
    maker_images(&s->m, seed, steps);
    OK(hone_device_open("cpu", &s->device));
    s->store = maker_store(s->m.graph, s->device, precisions, seed, keep_of_8, NULL);
    s->arena = hone_arena_new((size_t)1 << 30);
    hone_target_print(&s->device->target, s->spelling, sizeof s->spelling);
    s->options = (hone_build_options){.device = s->spelling, .toolchain = s->device->toolchain, .lanes = 1, .workspace_limit_bytes = -1};
    OK(hone_precision_set_parse(precisions, &s->options.precisions));
    OK(hone_costs_init(&s->costs, s->arena, s->store, &s->options));
    OK(hone_view_new(s->m.graph, &s->view));
}

static void close_scene(scene *s)
{
    hone_costs_clear(&s->costs);
    hone_view_free(s->view);
    hone_arena_free(s->arena);
    hone_store_close(s->store);
    hone_graph_free(s->m.graph);
    hone_device_close(s->device);
}

static double cost_of(scene *s, int most_nodes, bool *exact)
{
    hone_group_list groups = {0}, kept = {0};
    hone_partition partition;
    OK(hone_groups_propose(s->view, &groups));
    for (size_t k = 0; k < groups.n; k++) {
        if (groups.items[k].n_nodes > most_nodes) continue;
        assert_int_equal(hone_grow(&kept.items, kept.n, &kept.capacity, sizeof *kept.items, 1 << 20), 0);
        kept.items[kept.n++] = groups.items[k];
    }
    OK(hone_partition_find(s->view, &kept, &s->costs, &s->options.precisions, &partition));
    *exact = partition.exact;
    int covered = 0;      // every node once
    for (int k = 0; k < partition.n; k++) covered += partition.choices[k].group->n_nodes;
    assert_int_equal(covered, s->m.graph->n_nodes);
    hone_free(groups.items);
    hone_free(kept.items);
    return partition.ns;
}

static void never_costs_more_than_unfused(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        scene s;
        bool exact, exact_single;
        open_scene(&s, seed, 6 + (int)(seed % 10), seed % 3 ? "fp32" : "fp16,fp32", 4 + (int)(seed % 5));
        double all = cost_of(&s, HONE_GROUP_NODES, &exact), pairs = cost_of(&s, 2, &exact), single = cost_of(&s, 1, &exact_single);
        assert_true(all <= pairs * (1 + 1e-12));
        assert_true(pairs <= single * (1 + 1e-12));
        close_scene(&s);
    }
}

// One precision costs no less than two that hold it.
static void more_precisions_never_cost_more(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 26; seed++) {
        scene s;
        bool exact;
        open_scene(&s, seed, 9, "fp16,bf16,fp32", 8);
        double three = cost_of(&s, HONE_GROUP_NODES, &exact);
        OK(hone_precision_set_parse("fp32", &s.options.precisions));
        double one = cost_of(&s, HONE_GROUP_NODES, &exact);
        assert_true(three <= one * (1 + 1e-12));
        close_scene(&s);
    }
}

// Exhaustive search over covers in one format is the judge: no conversions, so a cover costs the sum of its groups.
static double best_cover(scene *s, const hone_group_list *groups, const double *ns, int node, uint64_t covered)
{
    int n = s->m.graph->n_nodes;
    while (node < n && covered >> node & 1) node++;
    if (node == n) return 0;
    double best = 1e300;
    for (size_t k = 0; k < groups->n; k++) {
        uint64_t mask = 0;
        for (int i = 0; i < groups->items[k].n_nodes; i++) mask |= (uint64_t)1 << groups->items[k].nodes[i];
        if (groups->items[k].nodes[0] != node || mask & covered || ns[k] >= 1e300) continue;
        double cost = ns[k] + best_cover(s, groups, ns, node, covered | mask);
        if (cost < best) best = cost;
    }
    return best;
}

static void set_groups_ns(scene *s, const hone_group_list *groups, double *ns)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    for (size_t k = 0; k < groups->n; k++) {
        const hone_cost *cost;
        ns[k] = 0;
        if (groups->items[k].view) continue;
        ns[k] = 1e300;
        const hone_precision *precision = hone_group_has_float(s->view, &groups->items[k]) ? s->options.precisions.items[0] : NULL;
        if (hone_group_problem(s->view, &groups->items[k], precision, HONE_ROW, 0, problem) != HONE_OK) continue;
        OK(hone_costs_get(&s->costs, problem, &cost));
        if (cost->tactic || groups->items[k].n_nodes == 1) ns[k] = cost->ns + s->costs.gap_ns;
    }
    hone_free(problem);
}

static void finds_the_cheapest_cover(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 52; seed++) {
        scene s;
        bool exact;
        hone_group_list groups = {0};
        open_scene(&s, seed, 8, "fp32", 8);
        OK(hone_groups_propose(s.view, &groups));
        double *ns = hone_alloc(groups.n * sizeof *ns);
        set_groups_ns(&s, &groups, ns);
        double all = cost_of(&s, HONE_GROUP_NODES, &exact), judge = best_cover(&s, &groups, ns, 0, 0);
        assert_true(exact);
        assert_true(all <= judge * (1 + 1e-12));      // layouts may make it cheaper still
        hone_free(ns);
        hone_free(groups.items);
        close_scene(&s);
    }
}

// What partition says is what the assembled steps cost.
static void plans_cost_what_partition_said(void **state)
{
    (void)state;
    for (uint64_t seed = 60; seed < 72; seed++) {
        scene s;
        open_scene(&s, seed, 10, "fp16,fp32", 8);
        hone_plan *plan = maker_build(s.m.graph, s.store, s.device, "fp16,fp32", 1);
        double sum = 0;
        for (int k = 0; k < plan->n_steps; k++) sum += plan->steps[k].predicted_ns + s.costs.gap_ns;
        assert_true(sum <= plan->predicted_ns * (1 + 1e-9) && sum >= plan->predicted_ns * (1 - 1e-9));
        hone_plan_free(plan);
        close_scene(&s);
    }
}

// Times of what cannot run here, the best that ever were, from hands that are trusted: knobs out of range, kernels, versions and sources that
// nobody has, tactics that are good for other problems or other devices.
static const char *const impossible[] = {
    "ref.plain@99", "ref.plain@1 knob=3", "ref.none@1", "nobody.plain@1", "cpu.gemm@99999989", "nvrtc.gemm_tile@3 bm=128 bn=64 bk=32 stages=3 warps=4",
    "nvrtc.elementwise@1 vec=99999989 per=1 threads=256", "cublaslt.matmul@1 ws=0 algo=00", "cudnn.conv@1 engine=99999989", "no tactic at all",
};

static hone_status put_impossible(void *user, const char *problem, int64_t times)
{
    pricing *p = user;
    (void)times;
    for (size_t k = 0; k < sizeof impossible / sizeof *impossible; k++) {
        hone_measurement row = {.run = p->run, .device = p->device, .toolchain = p->toolchain, .depends = "", .problem = problem,
            .tactic = impossible[k], .mode = "single cold", .verdict = HONE_VERDICT_OK, .timer = "cpu", .median_ns = 10, .mad_ns = 1, .min_ns = 9,
            .error = 1e-7, .clock_mhz = -1, .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1, .artifact = "", .note = ""};
        hone_status status = hone_store_put_measurement(p->store, &row, NULL);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

static void what_cannot_run_is_not_chosen(void **state)
{
    (void)state;
    for (uint64_t seed = 80; seed < 86; seed++) {
        scene s;
        hone_run run = {.start_unix_ms = 2, .options = "", .effort = "full", .writer = "local", .sequence = 2, .private_host = "", .private_gpu_uuid = ""};
        open_scene(&s, seed, 10, "fp32", 8);
        pricing p = {.store = s.store, .device = s.spelling, .toolchain = s.device->toolchain};
        hone_plan *before = maker_build(s.m.graph, s.store, s.device, "fp32", 1);
        OK(hone_store_put_run(s.store, &run, &p.run));
        OK(hone_build_problems(s.m.graph, &s.device->target, &s.options.precisions, put_impossible, &p));
        hone_plan *after = maker_build(s.m.graph, s.store, s.device, "fp32", 1);
        assert_true(before->predicted_ns == after->predicted_ns);
        assert_int_equal(before->n_steps, after->n_steps);
        for (int k = 0; k < after->n_steps; k++) {
            assert_string_equal(after->steps[k].problem, before->steps[k].problem);
            assert_string_equal(after->steps[k].tactic, before->steps[k].tactic);
        }
        hone_plan_free(before);
        hone_plan_free(after);
        close_scene(&s);
    }
}

int test_engine_partition(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_costs_more_than_unfused),
        cmocka_unit_test(more_precisions_never_cost_more),
        cmocka_unit_test(finds_the_cheapest_cover),
        cmocka_unit_test(plans_cost_what_partition_said),
        cmocka_unit_test(what_cannot_run_is_not_chosen),
    };
    return cmocka_run_group_tests_name("engine_partition", tests, NULL, NULL);
}
