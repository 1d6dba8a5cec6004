// SPDX-License-Identifier: Apache-2.0
// Plans run: fused, converted and laned networks equal the reference; slots in threads do not disturb each other.
#include <pthread.h>

#include "engine/exec_priv.h"
#include "engine/import_priv.h"
#include "tests/unit/graph_maker.h"

typedef struct stage {
    maker m;
    hone_device *device;
    hone_plan *plan;
    hone_engine *engine;
    hone_array want[8];
} stage;

static void build_stage(stage *s, const char *precisions, int lanes, uint64_t seed, const char *cheap)
{
    OK(hone_device_open("cpu", &s->device));
    hone_store *store = maker_store(s->m.graph, s->device, precisions, seed, 8, cheap);
    s->plan = maker_build(s->m.graph, store, s->device, precisions, lanes);
    hone_store_close(store);
    OK(hone_plan_check(s->plan));
    OK(hone_engine_new(s->plan, s->device, false, &s->engine));
    maker_reference(s->m.graph, seed, s->want);
}

static void close_stage(stage *s)
{
    for (int k = 0; k < s->plan->n_outputs; k++) hone_array_clear(&s->want[k]);
    hone_engine_free(s->engine);
    hone_plan_free(s->plan);
    hone_graph_free(s->m.graph);
    hone_device_close(s->device);
}

static void random_networks_equal_the_reference(void **state)
{
    (void)state;
    static const struct { const char *precisions; double bound; } runs[] = {{"fp32", 1e-5}, {"fp16,fp32", 2e-2}, {"bf16", 2e-1}};
    for (uint64_t seed = 1; seed <= 18; seed++) {
        stage s;
        hone_exec *exec;
        maker_images(&s.m, seed, 5 + (int)(seed % 14));
        build_stage(&s, runs[seed % 3].precisions, 1 + (int)(seed % 4), seed, NULL);
        OK(hone_exec_new(s.engine, NULL, &exec));
        maker_run(exec, s.plan, seed);
        double error = maker_error(exec, s.plan, s.want);
        if (!(error <= runs[seed % 3].bound)) fail_msg("seed %d in %s is off by %g", (int)seed, runs[seed % 3].precisions, error);
        hone_exec_free(exec);
        close_stage(&s);
    }
}

// Where a last step that writes single precision costs next to nothing, no conversion stands behind it, not even behind a reshape.
static void outputs_leave_without_a_conversion(void **state)
{
    (void)state;
    for (int view = 0; view < 2; view++) {
        stage s;
        hone_exec *exec;
        maker_begin(&s.m, 5);
        int x = maker_input(&s.m, "x", HONE_F32, 2, (int64_t[]){3, 8}), w = maker_constant(&s.m, 2, (int64_t[]){8, 6}, 0.4);
        int y = maker_unary(&s.m, "relu", "", maker_binary(&s.m, "matmul", x, w));
        maker_output(&s.m, view ? maker_unary(&s.m, "reshape", "shape=18", y) : y);
        maker_end(&s.m);
        build_stage(&s, "fp16", 1, 5, "relu x=$0 out=f32");
        assert_int_equal(s.plan->n_steps, 2);                     // the input's conversion and the product
        assert_non_null(strstr(s.plan->steps[1].problem, "out=f32"));
        OK(hone_exec_new(s.engine, NULL, &exec));
        maker_run(exec, s.plan, 5);
        assert_true(maker_error(exec, s.plan, s.want) <= 5e-3);
        hone_exec_free(exec);
        close_stage(&s);
    }
}

// On a GPU a first convolution of few channels may read the image as it comes: where that costs next to nothing, it is all there is. Other
// precisions, channels and devices have no such variant.
static void inputs_enter_without_a_conversion(void **state)
{
    static const struct { const char *device, *precision; int64_t channels; bool enters; } cases[] = {
        {"cuda sm_90 \"a GPU\" sms=132 mem=80000MiB clock=1980MHz power=700W", "fp16", 3, true},
        {"cuda sm_90 \"a GPU\" sms=132 mem=80000MiB clock=1980MHz power=700W", "bf16", 4, true},
        {"cuda sm_90 \"a GPU\" sms=132 mem=80000MiB clock=1980MHz power=700W", "fp16", 5, false},
        {"cuda sm_90 \"a GPU\" sms=132 mem=80000MiB clock=1980MHz power=700W", "fp32", 3, false},
        {"cpu x86_64-avx2 \"a CPU\" threads=2", "fp16", 3, false},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        maker m;
        hone_device device = {.toolchain = "cuda=13.0"};
        OK(hone_target_parse(cases[k].device, &device.target));
        maker_begin(&m, 5);
        int x = maker_input(&m, "x", HONE_F32, 4, (int64_t[]){1, cases[k].channels, 8, 8});
        int w = maker_constant(&m, 4, (int64_t[]){6, cases[k].channels, 3, 3}, 0.4), b = maker_constant(&m, 1, (int64_t[]){6}, 0.4);
        maker_output(&m, maker_unary(&m, "relu", "", maker_node(&m, "conv", "", 3, (int[]){x, w, b})));
        maker_end(&m);
        hone_store *store = maker_store(m.graph, &device, cases[k].precision, 5, 8, "math=tf32");
        hone_plan *plan = maker_build(m.graph, store, &device, cases[k].precision, 1);
        OK(hone_plan_check(plan));
        if ((strstr(plan->steps[0].problem, "conv x=f32:1x") && plan->n_steps == 1 && strstr(plan->steps[0].problem, "tf32")) != cases[k].enters)
            fail_msg("case %zu begins with %s", k, plan->steps[0].problem);
        hone_plan_free(plan);
        hone_store_close(store);
        hone_graph_free(m.graph);
    }
}

static void lanes_give_the_same_bits(void **state)
{
    (void)state;
    int wide = 0;
    for (uint64_t seed = 30; seed < 50; seed++) {
        stage s;
        hone_exec *exec;
        void *first[8] = {NULL};
        maker_images(&s.m, seed, 16);
        build_stage(&s, "fp32", 4, seed, NULL);
        wide += s.plan->lanes > 1;
        for (int lanes = 1; lanes <= 4; lanes *= 2) {
            OK(hone_exec_new(s.engine, &(hone_exec_options){.lanes = lanes}, &exec));
            for (int again = 0; again < 3; again++) maker_run(exec, s.plan, seed);
            for (int k = 0; k < s.plan->n_outputs; k++) {
                void *have = maker_result(exec, s.plan, k);
                if (!first[k]) first[k] = have;
                else assert_memory_equal(first[k], have, hone_tensor_size(&s.plan->outputs[k].tensor));
                if (first[k] != have) hone_free(have);
            }
            hone_exec_free(exec);
        }
        for (int k = 0; k < s.plan->n_outputs; k++) hone_free(first[k]);
        close_stage(&s);
    }
    assert_true(wide >= 5);
}

static void keep_holds_every_value(void **state)
{
    (void)state;
    stage s;
    hone_exec *exec;
    maker_images(&s.m, 5, 12);
    build_stage(&s, "fp32", 2, 5, NULL);
    OK(hone_exec_keep(s.engine, &exec));
    maker_run(exec, s.plan, 5);
    assert_true(maker_error(exec, s.plan, s.want) <= 1e-5);
    for (int b = 0; b < s.plan->n_buffers; b++) {      // disjoint, but for views
        hone_array array;
        OK(hone_exec_read(exec, b, &array));
        hone_array_clear(&array);
        for (int c = 0; c < b; c++)
            if (s.plan->buffers[b].alias < 0 && s.plan->buffers[c].alias < 0)
                assert_true(exec->buffers[b] >= exec->buffers[c] + s.plan->buffers[c].size_bytes);
    }
    hone_exec_free(exec);
    close_stage(&s);
}

static void steps_are_timed_and_verified(void **state)
{
    (void)state;
    stage s;
    hone_exec *exec;
    double times[64] = {0};
    maker_images(&s.m, 6, 10);
    build_stage(&s, "fp32", 2, 6, NULL);
    assert_true(s.plan->n_steps <= 64);
    OK(hone_engine_verify(s.engine, 1, 1));
    OK(hone_exec_new(s.engine, NULL, &exec));
    maker_run(exec, s.plan, 6);
    OK(hone_exec_profile(exec, 3, times));
    for (int k = 0; k < s.plan->n_steps; k++) assert_true(times[k] > 0);
    assert_int_equal(hone_exec_profile(exec, 0, times), HONE_USAGE);
    maker_run(exec, s.plan, 6);
    assert_true(maker_error(exec, s.plan, s.want) <= 1e-5);
    hone_exec_free(exec);
    close_stage(&s);
}

// ---- steps that start before the one ahead of them has ended

static int followed, let, constant;
static const hone_runnable_api *plain_api;
static const hone_engine *chained;

static bool is_weight(const void *memory)
{
    const hone_plan *plan = chained->plan;
    const char *begin = chained->weights, *at = memory;
    return plan->n_weights && at >= begin && at < begin + chained->weight_at[plan->n_weights - 1] + plan->weights[plan->n_weights - 1].size_bytes;
}

// Constants are what lies among the weights, all of it and nothing else, and nobody writes there.
static hone_status count_chain(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace, hone_link link)
{
    followed += link.follows;
    let += link.lets_next;
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) {
        assert_int_equal(link.constants >> k & 1, link.follows && operands[k] && is_weight(operands[k]));
        constant += link.constants >> k & 1;
    }
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) assert_false(outputs[k] && is_weight(outputs[k]));
    assert_false(is_weight(workspace));
    return plain_api->run(runnable, stream, operands, outputs, workspace);
}

// Says of the runnables of every step that they can follow, and of all but that of `plain` (-1: none) that they are worth it.
static void let_follow(hone_engine *engine, hone_runnable_api *api, int plain)
{
    chained = engine;
    plain_api = engine->runnables[0]->api;
    *api = *plain_api;
    api->chain = count_chain;
    for (int s = 0; s < engine->plan->n_steps; s++) {
        hone_runnable *runnable = engine->runnables[s];
        assert_non_null(runnable);
        assert_true(runnable->api == plain_api || runnable->api == api);
        runnable->api = api;
        runnable->starts_early = true;
    }
    if (plain >= 0) engine->runnables[plain]->starts_early = false;
}

static void let_nobody_follow(hone_engine *engine)
{
    for (int k = 0; k < engine->plan->n_steps; k++) engine->runnables[k]->api = plain_api;
}

static bool should_follow(const hone_exec *exec, int step)
{
    const hone_plan *plan = exec->engine->plan;
    int before = step - 1;
    while (before >= 0 && plan->steps[before].lane % exec->n_streams != plan->steps[step].lane % exec->n_streams) before--;
    for (int k = 0; k < plan->steps[step].n_waits; k++)
        if (plan->steps[plan->steps[step].waits[k]].lane % exec->n_streams != plan->steps[step].lane % exec->n_streams) return false;
    return before >= 0 && exec->engine->runnables[step]->starts_early;
}

static void steps_follow_kernels_of_their_stream(void **state)
{
    int kept_back = 0, total = 0;
    (void)state;
    for (uint64_t seed = 30; seed < 42; seed++) {
        stage s;
        hone_exec *exec;
        hone_runnable_api api;
        maker_images(&s.m, seed, 16);
        build_stage(&s, "fp32", 4, seed, "ref");
        let_follow(s.engine, &api, s.plan->n_steps / 2);
        for (int lanes = 1; lanes <= 4; lanes *= 4) {
            int expected = 0;
            OK(hone_exec_new(s.engine, &(hone_exec_options){.lanes = lanes}, &exec));
            for (int k = 0; k < s.plan->n_steps; k++) {
                assert_int_equal(exec->links[k].follows, should_follow(exec, k));
                expected += exec->links[k].follows;
                kept_back += k > 0 && !exec->links[k].follows;
            }
            followed = let = 0;
            maker_run(exec, s.plan, seed);
            assert_int_equal(followed, expected);
            assert_int_equal(let, expected);
            assert_true(maker_error(exec, s.plan, s.want) <= 1e-5);
            total += followed;
            hone_exec_free(exec);
        }
        followed = 0;
        OK(hone_exec_new(s.engine, &(hone_exec_options){.no_dependent = true}, &exec));
        maker_run(exec, s.plan, seed);
        assert_int_equal(followed, 0);
        hone_exec_free(exec);
        let_nobody_follow(s.engine);
        close_stage(&s);
    }
    if (total < 20 || kept_back < 20 || constant < 20) fail_msg("%d followed, %d kept back, %d constants", total, kept_back, constant);
}

enum { ACTIVATION, WEIGHT, TURNED_WEIGHT, MADE_BY_A_STEP };

static int side(maker *m, int kind, int activation, int64_t rows, int64_t cols)
{
    if (kind == ACTIVATION) return activation;
    if (kind == TURNED_WEIGHT) return maker_unary(m, "transpose", "perm=1,0", maker_constant(m, 2, (int64_t[]){cols, rows}, 0.4));
    int weight = maker_constant(m, 2, (int64_t[]){rows, cols}, 0.4);
    return kind == WEIGHT ? weight : maker_binary(m, "mul", weight, activation);
}

// A product may read before its wait what was a weight when the plan was made, on whichever side and turned or not, and nothing that a step makes.
static void products_know_their_constants(void **state)
{
    static const struct { int a, b; uint32_t constants; } cases[] = {
        {ACTIVATION, ACTIVATION, 0}, {ACTIVATION, WEIGHT, 2}, {WEIGHT, ACTIVATION, 1}, {ACTIVATION, TURNED_WEIGHT, 2}, {TURNED_WEIGHT, ACTIVATION, 1},
        {ACTIVATION, MADE_BY_A_STEP, 0}, {MADE_BY_A_STEP, ACTIVATION, 0}, {MADE_BY_A_STEP, WEIGHT, 2},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        stage s;
        hone_exec *exec;
        hone_runnable_api api;
        int product = 0, recognised = 0;
        maker_begin(&s.m, 5);
        int x = maker_unary(&s.m, "softmax", "", maker_input(&s.m, "x", HONE_F32, 2, (int64_t[]){4, 8}));
        int y = maker_unary(&s.m, "softmax", "", maker_input(&s.m, "y", HONE_F32, 2, (int64_t[]){8, 6}));
        maker_output(&s.m, x), maker_output(&s.m, y);
        maker_output(&s.m, maker_binary(&s.m, "matmul", side(&s.m, cases[k].a, x, 4, 8), side(&s.m, cases[k].b, y, 8, 6)));
        OK(hone_simplify(s.m.graph, &recognised));
        maker_end(&s.m);
        build_stage(&s, "fp32", 1, 5, "ref");
        let_follow(s.engine, &api, -1);
        OK(hone_exec_new(s.engine, NULL, &exec));
        while (product < s.plan->n_steps && !strstr(s.plan->steps[product].problem, "matmul")) product++;
        assert_true(product < s.plan->n_steps && exec->links[product].follows);
        if (exec->links[product].constants != cases[k].constants)
            fail_msg("case %zu: constants %x of %s", k, exec->links[product].constants, s.plan->steps[product].problem);
        maker_run(exec, s.plan, 5);
        assert_true(maker_error(exec, s.plan, s.want) <= 1e-5);
        hone_exec_free(exec);
        let_nobody_follow(s.engine);
        close_stage(&s);
    }
}

// ---- refusals

static void other_libraries_are_named(void **state)
{
    (void)state;
    stage s;
    hone_engine *engine = NULL;
    maker_images(&s.m, 7, 6);
    build_stage(&s, "fp32", 1, 7, NULL);
    hone_plan other = *s.plan;
    other.device = "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W";
    assert_int_equal(hone_engine_new(&other, s.device, true, &engine), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "H200"));
    close_stage(&s);
}

static void ports_are_checked(void **state)
{
    (void)state;
    stage s;
    hone_exec *exec;
    char byte = 0;
    maker_images(&s.m, 7, 6);
    build_stage(&s, "fp32", 1, 7, NULL);
    OK(hone_exec_new(s.engine, NULL, &exec));
    assert_int_equal(hone_exec_set_input(exec, 0, &byte, 1), HONE_USAGE);
    assert_int_equal(hone_exec_set_input(exec, 1, &byte, 1), HONE_USAGE);
    assert_int_equal(hone_exec_get_output(exec, -1, &byte, 1), HONE_USAGE);
    assert_int_equal(hone_exec_get_output(exec, 0, &byte, 1), HONE_USAGE);
    hone_exec_free(exec);
    close_stage(&s);
}

static void too_many_slots_are_told_to_wait(void **state)
{
    (void)state;
    stage s;
    hone_exec *exec = NULL;
    int event;
    for (uint64_t seed = 30;; seed++) {
        maker_images(&s.m, seed, 16);
        build_stage(&s, "fp32", 4, seed, NULL);
        if (s.plan->lanes > 1) break;
        close_stage(&s);
    }
    while (hone_event_take(s.engine->events, &event) == HONE_OK);
    assert_int_equal(hone_exec_new(s.engine, NULL, &exec), HONE_AGAIN);
    OK(hone_exec_new(s.engine, &(hone_exec_options){.lanes = 1}, &exec));      // one stream needs no events
    hone_exec_free(exec);
    close_stage(&s);
}

// ---- faults

static hone_status build_and_run(maker *m, hone_device *device, hone_store *store, const char *spelling)
{
    hone_plan *plan = NULL;
    hone_engine *engine = NULL;
    hone_exec *exec = NULL;
    hone_text missing;
    hone_build_options options = {.device = spelling, .toolchain = device->toolchain, .lanes = 2, .workspace_limit_bytes = -1};
    hone_text_init(&missing);
    hone_status status;
    HONE_TRY(hone_precision_set_parse("fp16,fp32", &options.precisions));
    HONE_TRY(hone_build(m->graph, store, &options, "net", &missing, &plan));
    HONE_TRY(hone_plan_check(plan));
    HONE_TRY(hone_engine_new(plan, device, false, &engine));
    HONE_TRY(hone_exec_new(engine, NULL, &exec));
    HONE_TRY(hone_exec_start(exec));
    status = hone_exec_sync(exec);
out:
    hone_exec_free(exec);
    hone_engine_free(engine);
    hone_plan_free(plan);
    hone_text_clear(&missing);
    return status;
}

static uint64_t fail_every(uint64_t stride, uint64_t *failed)
{
    maker m;
    hone_device *device;
    char spelling[256];
    OK(hone_device_open("cpu", &device));
    hone_target_print(&device->target, spelling, sizeof spelling);
    maker_images(&m, 11, 6);
    hone_store *store = maker_store(m.graph, device, "fp16,fp32", 11, 6, NULL);
    uint64_t begin = hone_alloc_count();
    OK(build_and_run(&m, device, store, spelling));
    uint64_t calls = hone_alloc_count() - begin;
    for (uint64_t nth = 1; stride && nth <= calls; nth += stride) {
        hone_alloc_fail_at(nth, 0);
        *failed += build_and_run(&m, device, store, spelling) != HONE_OK;
        hone_alloc_fail_at(0, 0);
    }
    hone_store_close(store);
    hone_graph_free(m.graph);
    hone_device_close(device);
    return calls;
}

// Every 7th allocation of a build and a run fails in turn: an error, and nothing left behind.
static void failing_allocations_leave_nothing(void **state)
{
    (void)state;
    uint64_t failed = 0;
    fail_every(0, &failed);       // what a process makes once
    int64_t before = hone_alloc_live_bytes();
    uint64_t calls = fail_every(7, &failed);
    assert_int_equal(hone_alloc_live_bytes(), before);
    assert_true(failed > calls / 14);
}

// ---- slots in threads

enum { THREADS = 4, ROUNDS = 6 };

typedef struct worker {
    stage *s;
    int lanes;
    hone_status status;
    int wrong;
} worker;

static hone_status use_slot(worker *w)
{
    const hone_plan *plan = w->s->plan;
    size_t size = hone_tensor_size(&plan->inputs[0].tensor), out_size = hone_tensor_size(&plan->outputs[0].tensor);
    void *in = maker_data(&plan->inputs[0].tensor, 9);
    float *out = hone_alloc(out_size);
    hone_status status = HONE_OK;
    for (int round = 0; round < ROUNDS && status == HONE_OK; round++) {
        hone_exec *exec = NULL;
        status = hone_exec_new(w->s->engine, &(hone_exec_options){.lanes = w->lanes}, &exec);
        for (int k = 0; k < 3 && status == HONE_OK; k++) {
            HONE_TRY(hone_exec_set_input(exec, 0, in, size));
            HONE_TRY(hone_exec_start(exec));
            HONE_TRY(hone_exec_sync(exec));
            HONE_TRY(hone_exec_get_output(exec, 0, out, out_size));
            for (int64_t i = 0; i < (int64_t)(out_size / 4); i++) w->wrong += !(out[i] - w->s->want[0].f[i] < 1e-4 && out[i] - w->s->want[0].f[i] > -1e-4);
        }
out:
        hone_exec_free(exec);
    }
    hone_free(out);
    hone_free(in);
    return status;
}

// Slots on a stream of the caller's queue behind one another there, share the memory between their inputs and outputs, and leave it to him.
static void slots_share_a_stream_of_the_callers(void **state)
{
    (void)state;
    stage s;
    hone_exec *slots[3], *alone;
    hone_stream *stream = NULL;
    maker_images(&s.m, 31, 16);
    build_stage(&s, "fp32", 4, 31, NULL);
    OK(s.device->api->stream(s.device, &stream, true));
    for (int k = 0; k < 3; k++) {
        OK(hone_exec_new(s.engine, &(hone_exec_options){.stream = stream}, &slots[k]));
        maker_run(slots[k], s.plan, k < 2 ? 31 : 32);      // the last one's inputs are others
        assert_ptr_equal(slots[k]->arena, slots[0]->arena);
    }
    OK(hone_exec_new(s.engine, &(hone_exec_options){.stream = stream, .no_graph = true}, &alone));
    assert_ptr_not_equal(alone->arena, slots[0]->arena);
    hone_exec_free(alone);
    for (int k = 0; k < 9; k++) OK(hone_exec_start(slots[k % 3]));
    OK(s.device->api->sync(s.device, stream));
    assert_true(maker_error(slots[2], s.plan, s.want) > 1e-3);
    for (int k = 0; k < 3; k++) {
        if (k < 2) assert_true(maker_error(slots[k], s.plan, s.want) <= 1e-5);
        hone_exec_free(slots[k]);
    }
    assert_null(s.engine->scratches);
    OK(s.device->api->sync(s.device, stream));
    OK(s.device->api->stream(s.device, &stream, false));
    close_stage(&s);
}

static void *work(void *user)
{
    worker *w = user;
    w->status = use_slot(w);
    return NULL;
}

static void slots_come_and_go_in_threads(void **state)
{
    (void)state;
    stage s;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    for (uint64_t seed = 9;; seed++) {       // one with several lanes
        maker_images(&s.m, seed, 12);
        build_stage(&s, "fp32", 4, seed, NULL);
        if (s.plan->lanes > 1) break;
        close_stage(&s);
    }
    for (int k = 0; k < s.plan->n_outputs; k++) hone_array_clear(&s.want[k]);
    maker_reference(s.m.graph, 9, s.want);      // of the input that the workers use
    for (int k = 0; k < THREADS; k++) {
        workers[k] = (worker){&s, 1 << k % 3, HONE_OK, 0};
        assert_int_equal(pthread_create(&threads[k], NULL, work, &workers[k]), 0);
    }
    for (int k = 0; k < THREADS; k++) pthread_join(threads[k], NULL);
    for (int k = 0; k < THREADS; k++) {
        assert_int_equal(workers[k].status, HONE_OK);
        assert_int_equal(workers[k].wrong, 0);
    }
    for (int k = 0; k < HONE_EVENTS_END; k++) assert_int_equal(s.engine->events->taken[k], 0);
    close_stage(&s);
}

int test_engine_exec(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks_equal_the_reference),
        cmocka_unit_test(outputs_leave_without_a_conversion),
        cmocka_unit_test(inputs_enter_without_a_conversion),
        cmocka_unit_test(lanes_give_the_same_bits),
        cmocka_unit_test(keep_holds_every_value),
        cmocka_unit_test(steps_are_timed_and_verified), cmocka_unit_test(steps_follow_kernels_of_their_stream),
        cmocka_unit_test(products_know_their_constants),
        cmocka_unit_test(other_libraries_are_named),
        cmocka_unit_test(ports_are_checked),
        cmocka_unit_test(too_many_slots_are_told_to_wait),
        cmocka_unit_test(failing_allocations_leave_nothing),
        cmocka_unit_test(slots_share_a_stream_of_the_callers),
        cmocka_unit_test(slots_come_and_go_in_threads),
    };
    return cmocka_run_group_tests_name("engine_exec", tests, NULL, NULL);
}
