// SPDX-License-Identifier: Apache-2.0
// Small graphs for the tests of engine/, hand-made and random, and a database that gives every problem of one a random time.
#ifndef HONE_TESTS_UNIT_GRAPH_MAKER_H
#define HONE_TESTS_UNIT_GRAPH_MAKER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "db/store_priv.h"
#include "engine/build.h"
#include "engine/exec.h"
#include "engine/graph.h"
#include "kernels/device.h"
#include "tests/unit/unit.h"

#define OK(call) do { hone_status ok_ = (call); if (ok_ != HONE_OK) fail_msg("%s: status %d: %s", #call, (int)ok_, hone_error_text()); } while (0)
#define UNUSED __attribute__((unused))

typedef struct maker {
    hone_graph *graph;
    uint64_t seed, at;         // random numbers so far
    int made;                  // names so far
} maker;

UNUSED static unsigned maker_random(maker *m, unsigned below) { return hone_rng_bits(m->seed, 77, m->at++) % below; }

UNUSED static hone_tensor maker_tensor(hone_dtype dtype, int rank, const int64_t *dims)
{
    hone_tensor t = {.dtype = dtype, .rank = rank};
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    return t;
}

UNUSED static int maker_input(maker *m, const char *name, hone_dtype dtype, int rank, const int64_t *dims)
{
    hone_graph *g = m->graph;
    hone_tensor t = maker_tensor(dtype, rank, dims);
    int v = hone_graph_add_value(g, name, &t);
    assert_true(v >= 0);
    g->inputs = hone_realloc(g->inputs, (size_t)(g->n_inputs + 1) * sizeof *g->inputs);
    g->inputs[g->n_inputs++] = v;
    g->values[v].is_input = true;
    return v;
}

UNUSED static void maker_output(maker *m, int value)
{
    hone_graph *g = m->graph;
    if (g->values[value].is_output) return;
    g->outputs = hone_realloc(g->outputs, (size_t)(g->n_outputs + 1) * sizeof *g->outputs);
    g->outputs[g->n_outputs++] = value;
    g->values[value].is_output = true;
}

UNUSED static int maker_constant(maker *m, int rank, const int64_t *dims, double scale)
{
    char name[32];
    hone_tensor t = maker_tensor(HONE_F32, rank, dims);
    int64_t n = hone_tensor_count(&t);
    float *data = hone_alloc((size_t)n * sizeof *data + 1);
    for (int64_t k = 0; k < n; k++) data[k] = (float)(scale * hone_rng_normal(m->seed, (uint64_t)m->made + 1000, (uint64_t)k));
    snprintf(name, sizeof name, "weight%d", m->made++);
    int v = hone_graph_add_constant(m->graph, name, &t, data);
    assert_true(v >= 0);
    hone_free(data);
    return v;
}

UNUSED static int maker_scalar(maker *m, float value)
{
    char name[32];
    hone_tensor t = {.dtype = HONE_F32, .rank = 0};
    snprintf(name, sizeof name, "scalar%d", m->made++);
    int v = hone_graph_add_constant(m->graph, name, &t, &value);
    assert_true(v >= 0);
    return v;
}

// A node with attributes as they are spelled ("pad=1 group=2"); its first output.
UNUSED static int maker_node(maker *m, const char *op, const char *attrs, int n_in, const int *in)
{
    char name[48], word[64], copy[256];
    hone_call call;
    OK(hone_call_init(&call, op, n_in));
    snprintf(copy, sizeof copy, "%s", attrs);
    hone_scan scan = {copy};
    for (hone_scan_blanks(&scan); hone_scan_token(&scan, word, sizeof word); hone_scan_blanks(&scan)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        OK(hone_call_set_text(&call, word, equals + 1));
    }
    snprintf(name, sizeof name, "%s%d", op, m->made++);
    int node;
    OK(hone_graph_put_node(m->graph, name, op, &call, in, &node));
    return m->graph->nodes[node].out[0];
}

UNUSED static int maker_unary(maker *m, const char *op, const char *attrs, int x) { return maker_node(m, op, attrs, 1, &x); }
UNUSED static int maker_binary(maker *m, const char *op, int a, int b) { return maker_node(m, op, "", 2, (int[]){a, b}); }
UNUSED static const hone_tensor *maker_shape(const maker *m, int v) { return &m->graph->values[v].tensor; }

UNUSED static void maker_begin(maker *m, uint64_t seed)
{
    *m = (maker){.seed = seed};
    OK(hone_graph_new(&m->graph));
}

UNUSED static void maker_end(maker *m)
{
    OK(hone_graph_tidy(m->graph));
    OK(hone_graph_check(m->graph));
    OK(hone_graph_digest_begin(m->graph));
}

// ---- random image networks: branches, residuals, concatenations, pools, a head

UNUSED static int maker_convolve(maker *m, int x)
{
    int64_t c = maker_shape(m, x)->dims[1], out = 4 * (1 + maker_random(m, 3)), k = maker_random(m, 2) ? 3 : 1;
    bool depthwise = maker_random(m, 4) == 0;
    if (depthwise) out = c;
    int w = maker_constant(m, 4, (int64_t[]){out, depthwise ? 1 : c, k, k}, 0.4), b = maker_constant(m, 1, &out, 0.5);
    char attrs[64], group[32] = "";
    if (depthwise) snprintf(group, sizeof group, " group=%d", (int)c);
    snprintf(attrs, sizeof attrs, "pad=%d%s", (int)(k / 2), group);
    return maker_node(m, "conv", attrs, maker_random(m, 2) ? 3 : 2, (int[]){x, w, b});
}

UNUSED static int maker_activate(maker *m, int x)
{
    static const char *const names[] = {"relu", "sigmoid", "tanh", "hardswish", "abs", "silu"};
    return maker_unary(m, names[maker_random(m, 6)], "", x);
}

UNUSED static int maker_image_step(maker *m, int x, int other)
{
    switch (maker_random(m, 8)) {
    case 0: return maker_activate(m, x);
    case 1: return maker_binary(m, "mul", x, maker_scalar(m, 0.7f));
    case 2: {
        const hone_tensor *t = maker_shape(m, x), *o = maker_shape(m, other);
        if (hone_tensor_same_dims(t, o)) return maker_binary(m, maker_random(m, 2) ? "add" : "mul", x, other);
        if (t->dims[2] == o->dims[2] && t->dims[1] + o->dims[1] < 40) return maker_node(m, "concat", "axis=1", 2, (int[]){x, other});
        return maker_activate(m, x);
    }
    case 3: return maker_shape(m, x)->dims[2] >= 4 ? maker_unary(m, "maxpool", "kernel=2,2 stride=2", x) : maker_activate(m, x);
    case 4: {
        int b = maker_constant(m, 4, (int64_t[]){1, maker_shape(m, x)->dims[1], 1, 1}, 1);
        return maker_binary(m, "add", x, b);
    }
    default: return maker_convolve(m, x);
    }
}

UNUSED static void maker_images(maker *m, uint64_t seed, int steps)
{
    maker_begin(m, seed);
    int values[64], n = 0;
    values[n++] = maker_input(m, "x", HONE_F32, 4, (int64_t[]){1, 4, 8, 8});
    for (int k = 0; k < steps && n < 64; k++) {
        int x = values[n - 1 - (int)maker_random(m, n < 3 ? (unsigned)n : 3)], other = values[maker_random(m, (unsigned)n)];
        values[n] = maker_image_step(m, x, other);
        n++;
    }
    int last = values[n - 1];
    if (maker_random(m, 2)) maker_output(m, values[n / 2]);
    int flat = maker_unary(m, "reduce", "kind=mean axes=2,3 keep=0", last);
    int64_t c = maker_shape(m, flat)->dims[1];
    int w = maker_constant(m, 2, (int64_t[]){c, 5}, 0.5);
    maker_output(m, maker_unary(m, "softmax", "", maker_binary(m, "matmul", flat, w)));
    maker_output(m, maker_unary(m, "reshape", "shape=-1", last));
    maker_end(m);
}

// ---- transformer layers: q, k and v of one value, heads, attention, a gate of two products, and a product that is nobody's sibling

UNUSED static int maker_linear(maker *m, int x, int64_t wide, bool trans_b, bool bias)
{
    int64_t deep = maker_shape(m, x)->dims[2];
    int w = maker_constant(m, 2, trans_b ? (int64_t[]){wide, deep} : (int64_t[]){deep, wide}, 0.3);
    int y = maker_node(m, "matmul", trans_b ? "trans_b=1" : "", 2, (int[]){x, w});
    int b = bias ? maker_constant(m, 1, &wide, 0.5) : -1;
    return !bias ? y : maker_random(m, 2) ? maker_binary(m, "add", y, b) : maker_binary(m, "add", b, y);
}

UNUSED static int maker_heads(maker *m, int x, int64_t heads)
{
    char attrs[64];
    const hone_tensor *t = maker_shape(m, x);
    snprintf(attrs, sizeof attrs, "shape=%d,%d,%d,%d", (int)t->dims[0], (int)t->dims[1], (int)heads, (int)(t->dims[2] / heads));
    return maker_unary(m, "transpose", "perm=0,2,1,3", maker_unary(m, "reshape", attrs, x));
}

UNUSED static int maker_layer(maker *m, int x)
{
    int64_t heads = 2, depth = 4, wide = maker_shape(m, x)->dims[2];
    bool trans_b = maker_random(m, 2), bias = maker_random(m, 4) > 0;
    int sides[3];
    char attrs[64];
    for (int k = 0; k < 3; k++) sides[k] = maker_heads(m, maker_linear(m, x, heads * depth, trans_b, bias), heads);
    int scores = maker_binary(m, "matmul", sides[0], maker_unary(m, "transpose", "perm=0,1,3,2", sides[1]));
    int mixed = maker_binary(m, "matmul", maker_unary(m, "softmax", "axis=3", maker_binary(m, "mul", scores, maker_scalar(m, 0.5f))), sides[2]);
    snprintf(attrs, sizeof attrs, "shape=%d,%d,%d", (int)maker_shape(m, x)->dims[0], (int)maker_shape(m, x)->dims[1], (int)(heads * depth));
    x = maker_unary(m, "reshape", attrs, maker_unary(m, "transpose", "perm=0,2,1,3", mixed));
    if (maker_random(m, 2)) x = maker_binary(m, "mul", maker_activate(m, maker_linear(m, x, 6, false, false)), maker_linear(m, x, 6, false, maker_random(m, 2)));
    return maker_linear(m, x, wide, maker_random(m, 2), true);
}

UNUSED static void maker_transformer(maker *m, uint64_t seed, int layers)
{
    maker_begin(m, seed);
    int x = maker_input(m, "x", HONE_F32, 3, (int64_t[]){1 + (int64_t)(seed % 2), 5, 8});
    for (int k = 0; k < layers; k++) x = maker_layer(m, x);
    maker_output(m, x);
    maker_end(m);
}

// ---- databases

UNUSED static hone_status maker_take_tactic(void *user, const hone_tactic *tactic)
{
    hone_tactic_print(tactic, user);
    return HONE_MISS;                  // enough
}

// The first tactic of a source for a problem; false when it has none.
UNUSED static bool maker_first_tactic(const char *source, const char *spelling, const hone_device *device, char tactic[HONE_TACTIC_TEXT])
{
    static hone_problem problem;
    static hone_space space;
    const hone_source *from = hone_source_find(source);
    memset(&space, 0, sizeof space);
    *tactic = 0;
    OK(hone_problem_parse(spelling, &problem));
    if (from->space(&problem, &device->target, NULL, &space) == HONE_OK)
        (void)hone_space_each(from, &problem, &device->target, &space, maker_take_tactic, tactic);
    hone_space_clear(&space);
    return *tactic != 0;
}

typedef struct pricing {
    hone_store *store;
    hone_id run;
    const char *device, *toolchain;
    uint64_t seed, at;
    int keep_of_8;             // how many of 8 problems get a time
    const char *cheap;         // problems that hold this word cost next to nothing, with ! before it a fortune; NULL none
} pricing;

UNUSED static hone_status maker_price(void *user, const char *problem, int64_t times)
{
    pricing *p = user;
    (void)times;
    bool known = (int)(hone_rng_bits(p->seed, 5, p->at) % 8) < p->keep_of_8;
    double ns = 1000 + 20000 * hone_rng_uniform(p->seed, 6, p->at++);
    bool dear = p->cheap && *p->cheap == '!';
    if (p->cheap && strstr(problem, p->cheap + dear)) ns = dear ? 1e9 : 10;
    if (!known) return HONE_OK;
    hone_measurement row = {.run = p->run, .device = p->device, .toolchain = p->toolchain, .depends = "", .problem = problem,
        .tactic = "ref.plain@1", .mode = "single cold", .verdict = HONE_VERDICT_OK, .timer = "cpu", .median_ns = ns, .mad_ns = 1, .min_ns = ns - 1,
        .workspace_bytes = 0, .error = 1e-7, .clock_mhz = -1, .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1,
        .artifact = "", .note = "", .samples_ns = (double[]){ns}, .sample_count = 1};
    return hone_store_put_measurement(p->store, &row, NULL);
}

// A database in memory that knows keep_of_8 of 8 problems of the graph.
UNUSED static hone_store *maker_store(const hone_graph *graph, const hone_device *device, const char *precisions, uint64_t seed, int keep_of_8,
                                      const char *cheap)
{
    char spelling[256];
    hone_precision_set set;
    hone_store *store = NULL;
    OK(hone_store_open_memory("priced", &store));      // no file: hundreds of durable writes would take seconds
    OK(hone_schema_open(store));
    hone_run run = {.start_unix_ms = 1, .options = "", .seed = seed, .effort = "quick", .writer = "local", .sequence = 1, .private_host = "",
                    .private_gpu_uuid = ""};
    pricing p = {.store = store, .device = spelling, .toolchain = device->toolchain, .seed = seed, .keep_of_8 = keep_of_8, .cheap = cheap};
    hone_target_print(&device->target, spelling, sizeof spelling);
    OK(hone_precision_set_parse(precisions, &set));
    OK(hone_store_put_run(store, &run, &p.run));
    OK(hone_build_problems(graph, &device->target, &set, maker_price, &p));
    return store;
}

UNUSED static hone_plan *maker_build(const hone_graph *graph, hone_store *store, const hone_device *device, const char *precisions, int lanes)
{
    char spelling[256];
    hone_text missing;
    hone_plan *plan = NULL;
    hone_build_options options = {.device = spelling, .toolchain = device->toolchain, .lanes = lanes, .workspace_limit_bytes = -1};
    hone_target_print(&device->target, spelling, sizeof spelling);
    OK(hone_precision_set_parse(precisions, &options.precisions));
    hone_text_init(&missing);
    OK(hone_build(graph, store, &options, "net", &missing, &plan));
    hone_text_clear(&missing);
    return plan;
}

// ---- running

// Random bytes of a port's type: floats normal, integers 0.
UNUSED static void *maker_data(const hone_tensor *tensor, uint64_t seed)
{
    float *data = hone_calloc(1, hone_tensor_size(tensor) + 1);
    assert_int_equal(tensor->dtype, HONE_F32);
    for (int64_t k = 0; k < hone_tensor_count(tensor); k++) data[k] = (float)hone_rng_normal(seed, 3, (uint64_t)k);
    return data;
}

UNUSED static void maker_reference(const hone_graph *graph, uint64_t seed, hone_array *out)
{
    hone_array in[16];
    for (int k = 0; k < graph->n_inputs; k++) {
        const hone_tensor *t = &graph->values[graph->inputs[k]].tensor;
        void *data = maker_data(t, seed + (uint64_t)k);
        OK(hone_array_init(&in[k], t));
        hone_array_unpack(&in[k], t, data, 1);
        hone_free(data);
    }
    OK(hone_graph_reference(graph, in, out, 1, NULL, NULL));
    for (int k = 0; k < graph->n_inputs; k++) hone_array_clear(&in[k]);
}

UNUSED static void maker_run(hone_exec *exec, const hone_plan *plan, uint64_t seed)
{
    void *data[16];
    for (int k = 0; k < plan->n_inputs; k++) {
        data[k] = maker_data(&plan->inputs[k].tensor, seed + (uint64_t)k);
        OK(hone_exec_set_input(exec, k, data[k], hone_tensor_size(&plan->inputs[k].tensor)));
    }
    OK(hone_exec_start(exec));
    OK(hone_exec_sync(exec));
    for (int k = 0; k < plan->n_inputs; k++) hone_free(data[k]);
}

UNUSED static void *maker_result(hone_exec *exec, const hone_plan *plan, int port)
{
    size_t size = hone_tensor_size(&plan->outputs[port].tensor);
    void *data = hone_alloc(size + 1);
    OK(hone_exec_get_output(exec, port, data, size));
    return data;
}

// The greatest relative error over all outputs.
UNUSED static double maker_error(hone_exec *exec, const hone_plan *plan, const hone_array *want)
{
    double worst = 0;
    for (int k = 0; k < plan->n_outputs; k++) {
        hone_array have;
        void *data = maker_result(exec, plan, k);
        OK(hone_array_init(&have, &plan->outputs[k].tensor));
        hone_array_unpack(&have, &plan->outputs[k].tensor, data, 1);
        double error = hone_array_error(&have, &want[k]);
        if (!(error <= worst)) worst = error;
        hone_array_clear(&have);
        hone_free(data);
    }
    return worst;
}

#endif
