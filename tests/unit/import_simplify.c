// SPDX-License-Identifier: Apache-2.0
// Rewrites: each form comes to its normal form, and no rewrite changes what a graph computes.
#include <math.h>
#include <stdlib.h>

#include "engine/import_priv.h"
#include "tests/unit/graph_maker.h"

static maker start(void)
{
    maker m = {.seed = 1};
    OK(hone_graph_new(&m.graph));
    return m;
}

static int node(maker *m, const char *op, const char *attrs, int n_in, const int *in)
{
    hone_call call;
    char name[32], attr[32], value[64];
    OK(hone_call_init(&call, op, n_in));
    hone_scan scan = {attrs};
    while (*scan.at) {
        int n = 0;
        if (sscanf(scan.at, " %31[a-z_]=%63s%n", attr, value, &n) != 2) break;
        OK(hone_call_set_text(&call, attr, value));
        scan.at += n;
    }
    snprintf(name, sizeof name, "n%d", m->made++);
    int made = hone_graph_add_node(m->graph, name, op, &call, in);
    if (made < 0) fail_msg("%s: %s", op, hone_error_text());
    return m->graph->nodes[made].out[0];
}

static int unary(maker *m, const char *op, const char *attrs, int x) { return node(m, op, attrs, 1, &x); }
static int binary(maker *m, const char *op, int a, int b) { return node(m, op, "", 2, (int[]){a, b}); }

static int scalar(maker *m, float value)
{
    hone_tensor t = {.dtype = HONE_F32};
    return hone_graph_add_constant(m->graph, "c", &t, &value);
}

static int vector(maker *m, int64_t n, double offset)
{
    float data[64];
    hone_tensor t = {.dtype = HONE_F32, .rank = 1, .dims = {n}};
    for (int k = 0; k < n; k++) data[k] = (float)(offset + 0.5 * hone_rng_uniform(m->seed, 3, m->at++));
    return hone_graph_add_constant(m->graph, "v", &t, data);
}

static int weight(maker *m, int rank, const int64_t *dims)
{
    float data[4096];
    hone_tensor t = {.dtype = HONE_F32, .rank = rank};
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    for (int k = 0; k < hone_tensor_count(&t); k++) data[k] = (float)hone_rng_normal(m->seed, 4, m->at++);
    return hone_graph_add_constant(m->graph, "w", &t, data);
}

// The network's outputs for random inputs.
static void run(const hone_graph *graph, hone_array *outputs)
{
    hone_array inputs[4] = {{.f = NULL}};
    for (int k = 0; k < graph->n_inputs; k++) {
        OK(hone_array_init(&inputs[k], &graph->values[graph->inputs[k]].tensor));
        for (int64_t j = 0, n = hone_tensor_count(&inputs[k].tensor); j < n; j++) {
            if (inputs[k].f) inputs[k].f[j] = hone_rng_normal(5, (uint64_t)k, (uint64_t)j);
            else inputs[k].i[j] = hone_rng_bits(5, (uint64_t)k, (uint64_t)j) % 2;
        }
    }
    OK(hone_graph_reference(graph, inputs, outputs, 1, NULL, NULL));
    for (int k = 0; k < 4; k++) hone_array_clear(&inputs[k]);
}

static double relative_error(const hone_array *a, const hone_array *b)
{
    double error = 0, norm = 1e-30;
    for (int64_t k = 0, n = hone_tensor_count(&a->tensor); k < n; k++) {
        if (a->i && a->i[k] != b->i[k]) return 1;
        if (a->f && isnan(a->f[k]) != isnan(b->f[k])) return 1;
        if (!a->f || isnan(a->f[k]) || a->f[k] == b->f[k]) continue;
        error += pow(a->f[k] - b->f[k], 2);
        norm += pow(a->f[k], 2);
    }
    return sqrt(error / norm);
}

// How many nodes of an op there are.
static int count(const hone_graph *graph, const char *op)
{
    int n = 0;
    for (int k = 0; k < graph->n_nodes; k++) n += !strcmp(graph->nodes[k].call.op->name, op);
    return n;
}

// A second run finds nothing to do: passes end because nothing fires, not because they are many.
static void settled(hone_graph *graph)
{
    int recognised = 0;
    OK(hone_graph_digest_begin(graph));
    hone_id first = *hone_graph_digest(graph);
    OK(hone_simplify(graph, &recognised));
    OK(hone_graph_digest_begin(graph));
    assert_true(hone_id_equal(&first, hone_graph_digest(graph)) && recognised == 0);
}

// Simplifies m's graph, whose output is y; checks that it computes the same and that `wanted` ("op:count ...") is all that is left.
static void expect(maker *m, int y, const char *wanted)
{
    hone_array before[1], after[1];
    int recognised = 0, sum = 0, n;
    char op[32];
    maker_output(m, y);
    OK(hone_graph_tidy(m->graph));
    OK(hone_graph_check(m->graph));
    char *name = strdup(m->graph->values[m->graph->outputs[0]].name);
    run(m->graph, before);
    OK(hone_simplify(m->graph, &recognised));
    OK(hone_graph_check(m->graph));
    assert_string_equal(m->graph->values[m->graph->outputs[0]].name, name);
    settled(m->graph);
    run(m->graph, after);
    assert_true(hone_tensor_equal(&before->tensor, &after->tensor));
    if (relative_error(before, after) > 1e-5) fail_msg("%s: error %g", wanted, relative_error(before, after));
    for (const char *at = wanted; sscanf(at, " %31[a-z_]:%d", op, &n) == 2; at += strcspn(at + 1, " ") + 1) {
        if (count(m->graph, op) != n) fail_msg("%s: %d of %s", wanted, count(m->graph, op), op);
        sum += n;
    }
    if (m->graph->n_nodes != sum) {
        for (int k = 0; k < m->graph->n_nodes; k++) print_message("  %s\n", m->graph->nodes[k].call.op->name);
        fail_msg("%s: %d nodes left", wanted, m->graph->n_nodes);
    }
    free(name);
    hone_array_clear(before);
    hone_array_clear(after);
    hone_graph_free(m->graph);
}

static const int64_t image[4] = {1, 4, 6, 6}, tokens[3] = {1, 8, 16};

static void gelu_forms(void **state)
{
    (void)state;
    for (int form = 0; form < 5; form++) {
        maker m = start();
        int x = maker_input(&m, "x", HONE_F32, 3, tokens), y, gate;
        if (form < 4) {
            int inside = form == 3 ? binary(&m, "mul", scalar(&m, 0.70710678f), x) : binary(&m, "div", x, scalar(&m, 1.41421356f));
            gate = binary(&m, "add", unary(&m, "erf", "", inside), scalar(&m, 1));
        } else {
            int cube = binary(&m, "pow", x, scalar(&m, 3));
            int sum = binary(&m, "add", x, binary(&m, "mul", scalar(&m, 0.044715f), cube));
            gate = binary(&m, "add", scalar(&m, 1), unary(&m, "tanh", "", binary(&m, "mul", sum, scalar(&m, 0.7978845608f))));
        }
        if (form == 0) y = binary(&m, "mul", binary(&m, "mul", x, gate), scalar(&m, 0.5f));
        else if (form == 1) y = binary(&m, "mul", x, binary(&m, "mul", scalar(&m, 0.5f), gate));
        else y = binary(&m, "mul", binary(&m, "mul", x, scalar(&m, 0.5f)), gate);
        expect(&m, y, "gelu:1");
    }
}

static void layernorm_forms(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        maker m = start();
        int x = maker_input(&m, "x", HONE_F32, 3, tokens);
        const char *axes = "kind=mean axes=2";
        int d = binary(&m, "sub", x, unary(&m, "reduce", axes, x));
        int e = form == 2 ? binary(&m, "sub", x, unary(&m, "reduce", axes, x)) : d;      // exporters that subtract twice
        int square = form == 1 ? binary(&m, "mul", e, e) : binary(&m, "pow", e, scalar(&m, 2));
        int variance = binary(&m, "add", unary(&m, "reduce", axes, square), scalar(&m, 1e-5f));
        int root = unary(&m, "sqrt", "", variance), y;
        if (form == 3) y = binary(&m, "mul", d, unary(&m, "reciprocal", "", root));
        else y = binary(&m, "div", d, root);
        y = binary(&m, "add", binary(&m, "mul", y, vector(&m, 16, 1)), vector(&m, 16, 0));
        expect(&m, y, "layernorm:1");
    }
}

static void gates(void **state)
{
    (void)state;
    for (int form = 0; form < 6; form++) {
        maker m = start();
        int x = maker_input(&m, "x", HONE_F32, 4, image), y;
        int six = unary(&m, "clip", "min=0 max=6", binary(&m, "add", x, scalar(&m, 3)));
        switch (form) {
        case 0: y = binary(&m, "div", binary(&m, "mul", x, six), scalar(&m, 6)); break;
        case 1: y = binary(&m, "mul", x, binary(&m, "div", six, scalar(&m, 6))); break;
        case 2: y = binary(&m, "mul", unary(&m, "hardsigmoid", "alpha=0.16666667 beta=0.5", x), x); break;
        case 3: y = binary(&m, "div", six, scalar(&m, 6)); break;
        case 4: y = binary(&m, "mul", x, unary(&m, "sigmoid", "", x)); break;
        default: y = binary(&m, "mul", x, unary(&m, "tanh", "", unary(&m, "softplus", "", x)));
        }
        expect(&m, y, form < 3 ? "hardswish:1" : form == 3 ? "hardsigmoid:1" : form == 4 ? "silu:1" : "mish:1");
    }
}

static void affine_maps_move_into_weights(void **state)
{
    (void)state;
    for (int form = 0; form < 8; form++) {
        maker m = start();
        bool turned = form == 3 || form == 4;
        int x = maker_input(&m, "x", HONE_F32, 4, image), y;
        int groups = form == 2 || form == 4 ? 2 : 1;
        int64_t dims[4] = {turned ? 4 : 8, turned ? 8 / groups : 4 / groups, 3, 3};
        int w = weight(&m, 4, dims);
        const char *attrs = groups == 2 ? "pad=1 group=2" : "pad=1";
        y = form == 0 ? node(&m, "conv", attrs, 3, (int[]){x, w, vector(&m, 8, 0)})
                      : node(&m, turned ? "convtranspose" : "conv", attrs, 2, (int[]){x, w});
        if (form < 5) y = node(&m, "batchnorm", "", 5, (int[]){y, vector(&m, 8, 1), vector(&m, 8, 0), vector(&m, 8, 0), vector(&m, 8, 1)});
        if (form == 5) y = binary(&m, "mul", scalar(&m, 3), y);
        if (form == 6) y = binary(&m, "add", y, unary(&m, "reshape", "shape=1,8,1,1", vector(&m, 8, 0)));
        if (form == 7) y = binary(&m, "sub", binary(&m, "div", binary(&m, "mul", y, scalar(&m, 3)), scalar(&m, 7)), scalar(&m, 1));
        expect(&m, y, turned ? "convtranspose:1" : "conv:1");
    }
}

static void shared_layers_stay(void **state)
{
    (void)state;
    maker m = start();
    int64_t dims[4] = {8, 4, 3, 3};
    int x = maker_input(&m, "x", HONE_F32, 4, image), w = weight(&m, 4, dims);
    int y = node(&m, "conv", "pad=1", 2, (int[]){x, w});
    y = binary(&m, "add", binary(&m, "mul", y, scalar(&m, 3)), unary(&m, "exp", "", y));
    expect(&m, y, "conv:1 mul:1 exp:1 add:1");
}

static void products_take_scales(void **state)
{
    (void)state;
    maker m = start();
    int x = maker_input(&m, "x", HONE_F32, 3, tokens), w = weight(&m, 2, (int64_t[]){16, 8});
    int y = binary(&m, "add", binary(&m, "matmul", x, w), vector(&m, 8, 0));
    y = binary(&m, "div", y, scalar(&m, 8));
    expect(&m, y, "matmul:1 add:1");
}

// q, k and v out of one product, as PyTorch's attention writes it, sequences first
static void products_are_split(void **state)
{
    (void)state;
    for (int batch = 1; batch < 4; batch++) {
        maker m = start();
        char shapes[5][64];
        snprintf(shapes[0], 64, "shape=1,8,%d,3,16", batch);
        snprintf(shapes[1], 64, "shape=3,8,%d,16", batch);
        snprintf(shapes[2], 64, "shape=8,%d,4", 4 * batch);
        snprintf(shapes[3], 64, "shape=%d,4,8,4", batch);
        snprintf(shapes[4], 64, "shape=8,%d,16", batch);
        int x = maker_input(&m, "x", HONE_F32, 3, (int64_t[]){batch, 8, 16}), w = weight(&m, 2, (int64_t[]){16, 48}), part[3];
        int t = unary(&m, "transpose", "perm=1,0,2", x);
        int y = binary(&m, "add", binary(&m, "matmul", t, w), vector(&m, 48, 0));
        y = unary(&m, "transpose", "perm=3,1,2,0,4", unary(&m, "reshape", shapes[0], y));
        y = unary(&m, "reshape", shapes[1], y);
        for (int k = 0; k < 3; k++) {
            int64_t index = k;
            hone_tensor type = {.dtype = HONE_I64};
            int i = hone_graph_add_constant(m.graph, "i", &type, &index);
            part[k] = node(&m, "gather", "axis=0", 2, (int[]){y, i});
            part[k] = unary(&m, "transpose", "perm=1,0,2", unary(&m, "reshape", shapes[2], part[k]));
            part[k] = unary(&m, "reshape", shapes[3], part[k]);
        }
        int scores = binary(&m, "matmul", part[0], unary(&m, "transpose", "perm=0,1,3,2", part[1]));
        y = binary(&m, "matmul", unary(&m, "softmax", "axis=-1", scores), part[2]);
        y = unary(&m, "reshape", batch == 1 ? "shape=8,16" : batch == 2 ? "shape=16,16" : "shape=24,16", unary(&m, "transpose", "perm=2,0,1,3", y));
        y = binary(&m, "add", binary(&m, "matmul", y, weight(&m, 2, (int64_t[]){16, 16})), vector(&m, 16, 0));
        y = unary(&m, "transpose", "perm=1,0,2", unary(&m, "reshape", shapes[4], y));
        expect(&m, binary(&m, "add", y, x), "matmul:6 add:5 reshape:4 transpose:4 softmax:1");
    }
}

static void views_meet(void **state)
{
    (void)state;
    maker m = start();
    int x = maker_input(&m, "x", HONE_F32, 3, tokens);
    int y = unary(&m, "transpose", "perm=0,2,1,3", unary(&m, "reshape", "shape=1,8,4,4", x));
    y = unary(&m, "reshape", "shape=4,8,4", y);
    y = unary(&m, "transpose", "perm=0,2,1", y);
    y = unary(&m, "reshape", "shape=1,4,4,8", y);
    expect(&m, unary(&m, "relu", "", y), "reshape:1 transpose:1 relu:1");
    m = start();
    x = maker_input(&m, "x", HONE_F32, 4, image);
    y = unary(&m, "transpose", "perm=0,2,3,1", unary(&m, "transpose", "perm=0,3,1,2", x));
    expect(&m, unary(&m, "relu", "", y), "relu:1");
}

// The mask of a transformer: known flags, an expansion and one mask for each layer come to one small mask.
static void masks_stay_small(void **state)
{
    (void)state;
    maker m = start();
    uint8_t flags[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    hone_tensor column = {.dtype = HONE_BOOL, .rank = 4, .dims = {1, 1, 8, 1}};
    int x = maker_input(&m, "x", HONE_F32, 4, (int64_t[]){1, 2, 8, 8}), mask = maker_input(&m, "mask", HONE_BOOL, 4, (int64_t[]){1, 1, 1, 8});
    int all = hone_graph_add_constant(m.graph, "all", &column, flags), y = x;
    for (int layer = 0; layer < 3; layer++) {
        int wide = binary(&m, "and", all, mask);
        int bias = node(&m, "where", "", 3, (int[]){wide, scalar(&m, 0), scalar(&m, -100)});
        y = unary(&m, "softmax", "axis=-1", binary(&m, "add", y, bias));
    }
    expect(&m, y, "where:1 add:3 softmax:3");
}

static void numbers_are_computed(void **state)
{
    (void)state;
    maker m = start();
    int x = maker_input(&m, "x", HONE_F32, 3, tokens);
    int c = binary(&m, "mul", scalar(&m, 2), binary(&m, "add", scalar(&m, 1), scalar(&m, 2)));
    int y = binary(&m, "add", binary(&m, "add", x, c), scalar(&m, -2));
    y = binary(&m, "mul", binary(&m, "pow", y, scalar(&m, 1)), scalar(&m, 1));
    y = unary(&m, "clip", "min=-1 max=9", binary(&m, "max", y, scalar(&m, 0)));
    expect(&m, y, "add:1 clip:1");
}

static void padding_moves_into_convolutions(void **state)
{
    (void)state;
    maker m = start();
    int64_t dims[4] = {8, 4, 3, 3};
    int x = maker_input(&m, "x", HONE_F32, 4, image), w = weight(&m, 4, dims);
    int y = unary(&m, "pad", "before=0,0,1,0 after=0,0,2,1", x);
    expect(&m, node(&m, "conv", "pad=1", 2, (int[]){y, w}), "conv:1");
}

// Random graphs of small ops on one shape, with views between: whatever fires, the answer stays.
static void random_graphs_keep_their_answers(void **state)
{
    (void)state;
    static const char *const unaries[] = {"relu", "sigmoid", "tanh", "abs", "neg", "softplus", "hardswish", "erf"};
    static const char *const binaries[] = {"add", "sub", "mul", "max", "min"};
    static const char *const perms[] = {"perm=0,2,1,3", "perm=0,1,3,2", "perm=0,3,2,1", "perm=1,0,2,3", "perm=2,0,1,3"};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        maker m = start();
        m.seed = seed;
        int64_t dims[4] = {1, 4, 4, 4};
        int values[40], n = 0, recognised = 0;
        values[n++] = maker_input(&m, "x", HONE_F32, 4, dims);
        for (int k = 0; k < 14; k++) {
            int a = values[maker_random(&m, (unsigned)n)], b = values[maker_random(&m, (unsigned)n)], c;
            switch (maker_random(&m, 11)) {
            case 0: case 1: c = unary(&m, unaries[maker_random(&m, 8)], "", a); break;
            case 2: c = binary(&m, binaries[maker_random(&m, 5)], a, b); break;
            case 3: c = binary(&m, binaries[maker_random(&m, 5)], a, scalar(&m, 0.5f + (float)maker_random(&m, 3))); break;
            case 4: c = binary(&m, "div", a, vector(&m, 4, 1)); break;
            case 5: c = unary(&m, "reshape", "shape=1,4,4,4", unary(&m, "transpose", perms[maker_random(&m, 5)], a)); break;
            case 6: c = unary(&m, "reshape", "shape=1,4,4,4", unary(&m, "transpose", "perm=1,0", unary(&m, "reshape", "shape=4,16", a))); break;
            case 7: c = node(&m, "conv", "", 2, (int[]){a, weight(&m, 4, (int64_t[]){4, 4, 1, 1})}); break;
            case 8: c = unary(&m, "transpose", "perm=1,0,2", unary(&m, "reshape", "shape=4,4,4", a));
                c = binary(&m, "add", binary(&m, "matmul", c, weight(&m, 2, (int64_t[]){4, 4})), vector(&m, 4, 0));
                c = unary(&m, "reshape", "shape=1,4,4,4", unary(&m, "transpose", "perm=1,0,2", c));
                break;
            case 9: c = unary(&m, "reshape", "shape=4,4,4", unary(&m, "transpose", "perm=2,0,1,3", unary(&m, "reshape", "shape=4,2,4,2", a)));
                c = unary(&m, "reshape", "shape=1,4,4,4", unary(&m, "transpose", "perm=1,0,2", binary(&m, "matmul", c, weight(&m, 2, (int64_t[]){4, 4}))));
                break;
            default: c = binary(&m, "matmul", unary(&m, "reshape", "shape=16,4", a), weight(&m, 2, (int64_t[]){4, 4}));
                c = unary(&m, "reshape", "shape=1,4,4,4", c);
            }
            values[n++] = c;
        }
        hone_array before[1], after[1];
        maker_output(&m, values[n - 1]);
        OK(hone_graph_tidy(m.graph));
        run(m.graph, before);
        OK(hone_simplify(m.graph, &recognised));
        OK(hone_graph_check(m.graph));
        settled(m.graph);
        run(m.graph, after);
        if (relative_error(before, after) > 1e-4) fail_msg("seed %d: error %g", (int)seed, relative_error(before, after));
        hone_array_clear(before);
        hone_array_clear(after);
        hone_graph_free(m.graph);
    }
}

static void digests_ignore_names_and_order(void **state)
{
    (void)state;
    hone_id ids[3];
    for (int form = 0; form < 3; form++) {
        maker m = start();
        int x = maker_input(&m, form == 1 ? "in" : "x", HONE_F32, 3, tokens), a, b;
        if (form == 1) b = unary(&m, "tanh", "", x), a = unary(&m, "relu", "", x);
        else a = unary(&m, "relu", "", x), b = unary(&m, form == 2 ? "erf" : "tanh", "", x);
        maker_output(&m, binary(&m, "add", a, b));
        OK(hone_graph_tidy(m.graph));
        OK(hone_graph_digest_begin(m.graph));
        ids[form] = *hone_graph_digest(m.graph);
        hone_graph_free(m.graph);
    }
    assert_true(hone_id_equal(&ids[0], &ids[1]));
    assert_false(hone_id_equal(&ids[0], &ids[2]));
}

// Longer than a piece, and ending within one.
static void digests_know_every_byte_of_long_weights(void **state)
{
    static const int64_t dims[] = {1, 3 * (1 << 18) + 5, 1};
    maker m = start();
    int x = maker_input(&m, "x", HONE_F32, 3, dims), w = maker_constant(&m, 3, dims, 1);
    const size_t size = hone_tensor_size(maker_shape(&m, w)), places[] = {0, (1 << 20) - 1, 1 << 20, size - 1};
    hone_id first, other, structure, same;
    (void)state;
    maker_output(&m, binary(&m, "add", x, w));
    OK(hone_graph_digest_begin(m.graph));
    first = *hone_graph_digest(m.graph);
    OK(hone_graph_structure(m.graph, &structure));
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        char *byte = (char *)m.graph->values[w].data + places[k];
        *byte ^= 1;
        OK(hone_graph_digest_begin(m.graph));
        other = *hone_graph_digest(m.graph);
        assert_false(hone_id_equal(&first, &other));
        OK(hone_graph_structure(m.graph, &same));
        assert_true(hone_id_equal(&structure, &same));
        *byte ^= 1;
    }
    OK(hone_graph_digest_begin(m.graph));
    assert_true(hone_id_equal(&first, hone_graph_digest(m.graph)));
    hone_graph_free(m.graph);
}

int test_import_simplify(void);

int test_import_simplify(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_forms), cmocka_unit_test(layernorm_forms), cmocka_unit_test(gates),
        cmocka_unit_test(affine_maps_move_into_weights), cmocka_unit_test(shared_layers_stay), cmocka_unit_test(products_take_scales),
        cmocka_unit_test(products_are_split), cmocka_unit_test(views_meet), cmocka_unit_test(masks_stay_small),
        cmocka_unit_test(numbers_are_computed), cmocka_unit_test(padding_moves_into_convolutions),
        cmocka_unit_test(random_graphs_keep_their_answers), cmocka_unit_test(digests_ignore_names_and_order), cmocka_unit_test(digests_know_every_byte_of_long_weights),
    };
    return cmocka_run_group_tests_name("import_simplify", tests, NULL, NULL);
}
