// SPDX-License-Identifier: Apache-2.0
// What rules propose computes the same as the nodes it replaces: every group of random networks, attention in the forms that
// exporters write, and squeeze and excite, with near misses that must not be taken for it.
#include "engine/group_priv.h"
#include "engine/join_priv.h"
#include "tests/unit/graph_maker.h"

typedef struct values {
    hone_array *items;         // per value of the graph
    const hone_graph *graph;
} values;

static hone_status copy_value(void *user, const hone_graph *graph, int value, const hone_array *array)
{
    values *v = user;
    (void)graph;
    OK(hone_array_init(&v->items[value], &array->tensor));
    for (int64_t k = 0; k < hone_tensor_count(&array->tensor); k++) {
        if (array->f) v->items[value].f[k] = array->f[k];
        else v->items[value].i[k] = array->i[k];
    }
    return HONE_OK;
}

static void compute_all(const hone_graph *graph, uint64_t seed, values *v)
{
    hone_array in[16], out[16];
    v->graph = graph;
    v->items = hone_calloc((size_t)graph->n_values + 1, sizeof *v->items);
    for (int k = 0; k < graph->n_values; k++) {
        const hone_value *value = &graph->values[k];
        if (!value->data) continue;
        OK(hone_array_init(&v->items[k], &value->tensor));
        hone_array_unpack(&v->items[k], &value->tensor, value->data, 1);
    }
    for (int k = 0; k < graph->n_inputs; k++) {
        const hone_tensor *t = &graph->values[graph->inputs[k]].tensor;
        void *data = maker_data(t, seed + (uint64_t)k);
        OK(hone_array_init(&in[k], t));
        hone_array_unpack(&in[k], t, data, 1);
        OK(copy_value(v, graph, graph->inputs[k], &in[k]));
        hone_free(data);
    }
    OK(hone_graph_reference(graph, in, out, 1, copy_value, v));
    for (int k = 0; k < graph->n_inputs; k++) hone_array_clear(&in[k]);
    for (int k = 0; k < graph->n_outputs; k++) hone_array_clear(&out[k]);
}

static void clear_values(values *v)
{
    for (int k = 0; k < v->graph->n_values; k++) hone_array_clear(&v->items[k]);
    hone_free(v->items);
}

// The group's problem on the values of the graph gives the exit's value, but for a scale that became one float.
static void check_group(const hone_view *view, const hone_group *group, const values *v)
{
    hone_array in[HONE_OPERANDS_MAX], out[HONE_OUTPUTS_MAX];
    hone_problem *problem = hone_alloc(sizeof *problem);
    hone_group scratch = *group;
    OK(group->rule->make(view, &scratch, problem));
    assert_int_equal(scratch.n_operands, problem->n_operands);
    for (int k = 0; k < problem->n_operands; k++) {
        in[k] = v->items[scratch.operands[k]];
        assert_true(hone_tensor_same_dims(&in[k].tensor, &problem->operands[k]));
    }
    OK(hone_problem_reference(problem, in, out, 1));
    const hone_node *exit = &view->graph->nodes[hone_group_exit(group)];
    for (int k = 0; k < problem->n_out; k++) {
        double error = hone_array_error(&out[k], &v->items[exit->out[k]]);
        if (!(error <= 1e-6)) fail_msg("rule %s on %s is off by %g", group->rule->name, exit->name, error);
        hone_array_clear(&out[k]);
    }
    hone_free(problem);
}

// Counts the groups of a rule.
static int check_graph(const hone_graph *graph, uint64_t seed, const char *rule)
{
    hone_view *view;
    hone_group_list groups = {0};
    values v;
    int n = 0;
    OK(hone_view_new(graph, &view));
    OK(hone_groups_propose(view, &groups));
    compute_all(graph, seed, &v);
    for (size_t k = 0; k < groups.n; k++) {
        n += !strcmp(groups.items[k].rule->name, rule);
        if (!groups.items[k].view) check_group(view, &groups.items[k], &v);
    }
    clear_values(&v);
    hone_free(groups.items);
    hone_view_free(view);
    return n;
}

static void every_group_computes_its_exit(void **state)
{
    (void)state;
    int tails = 0, chains = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        maker m;
        maker_images(&m, seed, 4 + (int)(seed % 16));
        tails += check_graph(m.graph, seed, "tail");
        chains += check_graph(m.graph, seed, "elementwise");
        hone_graph_free(m.graph);
    }
    assert_true(tails > 20 && chains > 10);
}

// ---- attention

typedef struct form {
    bool heads;                // transposes from [B, S, H, D] inside the graph
    bool single_turn;          // k by one transpose (0, 2, 3, 1) instead of two
    bool trans_b;              // product reads k turned instead of a transpose
    int mask;                  // 0 none, 1 [1, 1, S, S], 2 [B, 1, 1, S]
    bool guard;
    int scale;                 // bits: 1 q before, 2 k before, 4 scores, 8 dividing
    int64_t s, d;
} form;

static int scaled(maker *m, int x, bool divide)
{
    return maker_binary(m, divide ? "div" : "mul", x, maker_scalar(m, divide ? 1.7f : 0.6f));
}

static void make_attention(maker *m, const form *f, uint64_t seed)
{
    int64_t b = 2, h = 3, split[4] = {b, f->s, h, f->d}, apart[4] = {b, h, f->s, f->d};
    maker_begin(m, seed);
    int q = maker_input(m, "q", HONE_F32, 4, f->heads ? split : apart), k = maker_input(m, "k", HONE_F32, 4, f->heads ? split : apart);
    int v = maker_input(m, "v", HONE_F32, 4, f->heads ? split : apart);
    if (f->heads) {
        q = maker_unary(m, "transpose", "perm=0,2,1,3", q);
        k = maker_unary(m, "transpose", f->single_turn ? "perm=0,2,3,1" : "perm=0,2,1,3", k);
        v = maker_unary(m, "transpose", "perm=0,2,1,3", v);
    }
    if (f->scale & 1) q = scaled(m, q, f->scale & 8);
    if (f->scale & 2) k = scaled(m, k, false);
    if (!f->single_turn && !f->trans_b) k = maker_unary(m, "transpose", "perm=0,1,3,2", k);
    int scores = maker_node(m, "matmul", f->trans_b && !f->single_turn ? "trans_b=1" : "", 2, (int[]){q, k});
    if (f->scale & 4) scores = scaled(m, scores, f->scale & 8);
    if (f->mask) scores = maker_binary(m, "add", scores, maker_constant(m, 4, f->mask == 1 ? (int64_t[]){1, 1, f->s, f->s} : (int64_t[]){b, 1, 1, f->s}, 1));
    int p = maker_unary(m, "softmax", "axis=3", scores);
    if (f->guard) p = maker_node(m, "where", "", 3, (int[]){maker_unary(m, "isnan", "", p), maker_scalar(m, 0), p});
    int out = maker_binary(m, "matmul", p, v);
    if (f->heads) out = maker_unary(m, "transpose", "perm=0,2,1,3", out);
    maker_output(m, out);
    maker_end(m);
}

static void attention_is_found_and_equal(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 96; seed++) {
        maker m;
        form f = {.heads = seed & 1, .single_turn = (seed & 3) == 3, .trans_b = seed >> 2 & 1, .mask = (int)(seed % 3), .guard = seed >> 3 & 1,
                  .scale = (int)(seed % 13), .s = 5, .d = seed & 16 ? 5 : 4};
        if (f.single_turn) f.scale &= ~2;     // a scale behind the turn: scaled turned keys, another form
        make_attention(&m, &f, seed + 1);
        int found = check_graph(m.graph, seed, "attention");
        if (!found) fail_msg("form %d was not found", (int)seed);
        hone_graph_free(m.graph);
    }
}

// In a network whose q, k and v are one product's parts, attention comes bare, with its heads, and with the parts.
static void parts_of_a_joint_projection_are_taken_in(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        maker m;
        hone_join *join;
        maker_transformer(&m, seed, 2);
        OK(hone_join_new(m.graph, &join));
        hone_join_fill(join);
        assert_int_equal(check_graph(m.graph, seed, "attention"), 4);
        assert_int_equal(check_graph(hone_join_graph(join), seed, "attention"), 6);
        hone_join_free(join);
        hone_graph_free(m.graph);
    }
}

// The same with one thing that makes it something else; whatever is still proposed must compute its exit.
static void near_misses_are_not_taken(void **state)
{
    (void)state;
    for (int miss = 0; miss < 7; miss++)
        for (int64_t d = 4; d <= 5; d++) {
            maker m;
            maker_begin(&m, 3);
            int64_t dims[4] = {2, 3, 5, d};
            int q = maker_input(&m, "q", HONE_F32, 4, dims), k = maker_input(&m, "k", HONE_F32, 4, dims), v = maker_input(&m, "v", HONE_F32, 4, dims);
            if (miss == 5) k = maker_input(&m, "kt", HONE_F32, 4, (int64_t[]){2, 5, 3, d});
            if (miss == 5) k = maker_unary(&m, "transpose", "perm=0,2,3,1", k);      // one turn without the other heads' transposes
            else k = maker_unary(&m, "transpose", "perm=0,1,3,2", k);
            int scores = maker_binary(&m, "matmul", q, k);
            if (miss == 0) maker_output(&m, scores);                                 // seen from outside
            if (miss == 1) scores = maker_unary(&m, "relu", "", scores);             // not a scale
            if (miss == 6) scores = maker_binary(&m, "mul", scores, maker_constant(&m, 4, (int64_t[]){1, 1, 1, 5}, 1));      // not one number
            int p = maker_unary(&m, "softmax", miss == 2 ? "axis=2" : "axis=3", scores);
            if (miss == 3) p = maker_node(&m, "where", "", 3, (int[]){maker_unary(&m, "isnan", "", p), maker_scalar(&m, 1), p});
            int out = maker_binary(&m, "matmul", p, v);
            if (miss == 4) out = maker_binary(&m, "add", out, maker_unary(&m, "reduce", "kind=sum axes=3 keep=1", p));       // weights read twice
            maker_output(&m, out);
            maker_end(&m);
            assert_int_equal(check_graph(m.graph, 5, "attention"), 0);
            hone_graph_free(m.graph);
        }
}

// ---- squeeze and excite

typedef struct squeeze {
    bool far, bare, silu, seen, wide;      // far: the image is made elsewhere first; bare: no biases; seen: the hidden values are an output
    const char *kind;
} squeeze;

static int one_pixel(maker *m, int x, int64_t to, int64_t from, bool bare)
{
    int w = maker_constant(m, 4, (int64_t[]){to, from, 1, 1}, 0.5);
    if (bare) return maker_binary(m, "conv", x, w);
    return maker_node(m, "conv", "", 3, (int[]){x, w, maker_constant(m, 1, (int64_t[]){to}, 0.5)});
}

static int make_squeeze(const squeeze *s, hone_graph **graph)
{
    maker m;
    char attrs[40];
    maker_begin(&m, 5);
    int image = maker_input(&m, "x", HONE_F32, 4, (int64_t[]){2, 6, 4, 3}), x = s->far ? maker_unary(&m, "relu", "", image) : image;
    snprintf(attrs, sizeof attrs, "kind=%s axes=2,3", s->kind);
    int hidden = one_pixel(&m, maker_unary(&m, "reduce", attrs, x), 4, 6, s->bare);
    hidden = s->silu ? maker_binary(&m, "mul", hidden, maker_unary(&m, "sigmoid", "", hidden)) : maker_unary(&m, "relu", "", hidden);
    if (s->seen) maker_output(&m, hidden);
    int gates = maker_unary(&m, "hardsigmoid", "", one_pixel(&m, hidden, 6, 4, s->bare));
    int out = s->wide ? maker_binary(&m, "add", x, maker_binary(&m, "mul", x, gates)) : gates;
    maker_output(&m, out);
    maker_end(&m);
    int n = check_graph(m.graph, 5, "squeeze");
    *graph = m.graph;
    return n;
}

// The gates without the mean, with it, and with each of the two ops on the image; none where something between is seen from outside.
static void squeeze_is_found_and_equal(void **state)
{
    static const struct { squeeze form; int groups; } cases[] = {
        {{.kind = "mean"}, 2}, {{.kind = "mean", .wide = true}, 4}, {{.kind = "mean", .wide = true, .bare = true, .silu = true, .far = true}, 4},
        {{.kind = "max", .wide = true}, 1}, {{.kind = "mean", .wide = true, .seen = true}, 0},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_graph *graph;
        int n = make_squeeze(&cases[k].form, &graph);
        if (n != cases[k].groups) fail_msg("case %zu: %d groups, not %d", k, n, cases[k].groups);
        hone_graph_free(graph);
    }
}

// ---- what stands before a norm or behind a movement

// A residual sum and its bias before a layer norm; one summand is seen from outside in the second form, and stays so.
static void heads_are_taken_in(void **state)
{
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        maker m;
        maker_begin(&m, 3);
        int64_t wide = 6;
        int x = maker_input(&m, "x", HONE_F32, 3, (int64_t[]){2, 5, 6}), y = maker_input(&m, "y", HONE_F32, 3, (int64_t[]){2, 5, 6});
        int biased = maker_binary(&m, "add", x, maker_constant(&m, 1, &wide, 1)), sum = maker_binary(&m, "add", y, biased);
        if (seen) maker_output(&m, biased);
        int norm = maker_node(&m, "layernorm", "axis=2", 3, (int[]){sum, maker_constant(&m, 1, &wide, 1), maker_constant(&m, 1, &wide, 1)});
        maker_output(&m, maker_unary(&m, "relu", "", norm));
        maker_end(&m);
        assert_int_equal(check_graph(m.graph, 3, "head"), 2);                      // without and with the op behind
        hone_graph_free(m.graph);
    }
}

// Rows of two tables, a third, and their layer norm.
static void lookups_are_taken_into_norms(void **state)
{
    (void)state;
    maker m;
    maker_begin(&m, 3);
    int64_t wide = 6, three[2] = {3, 5};
    int64_t ids[15] = {0, 1, 6, 3, 2, 5, 4, 4, 1, 0, 6, 6, 2, 3, 1};
    hone_tensor t = maker_tensor(HONE_I64, 2, three);
    int index = hone_graph_add_constant(m.graph, "ids", &t, ids);
    int a = maker_binary(&m, "gather", maker_constant(&m, 2, (int64_t[]){7, 6}, 1), index);
    int b = maker_binary(&m, "gather", maker_constant(&m, 2, (int64_t[]){9, 6}, 1), index);
    int sum = maker_binary(&m, "add", maker_binary(&m, "add", a, b), maker_input(&m, "x", HONE_F32, 2, (int64_t[]){5, 6}));
    maker_output(&m, maker_node(&m, "layernorm", "axis=2", 3, (int[]){sum, maker_constant(&m, 1, &wide, 1), maker_constant(&m, 1, &wide, 1)}));
    maker_end(&m);
    assert_int_equal(check_graph(m.graph, 3, "head"), 1);
    hone_graph_free(m.graph);
}

// A layer norm with the product that alone reads it, and two ops behind; not when something else reads it too.
static void norms_are_taken_into_products(void **state)
{
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        maker m;
        maker_begin(&m, 3);
        int64_t wide = 8;
        int x = maker_input(&m, "x", HONE_F32, 3, (int64_t[]){2, 5, 8});
        int norm = maker_node(&m, "layernorm", "axis=2", 3, (int[]){x, maker_constant(&m, 1, &wide, 1), maker_constant(&m, 1, &wide, 1)});
        int y = maker_unary(&m, "gelu", "", maker_linear(&m, norm, 6, true, true));
        maker_output(&m, seen ? maker_node(&m, "concat", "axis=2", 2, (int[]){y, norm}) : y);
        maker_end(&m);
        assert_int_equal(check_graph(m.graph, 3, "normed"), seen ? 0 : 3);
        hone_graph_free(m.graph);
    }
}

// A product, a bias, a residual and the layer norm that alone reads their sum; not when something else reads it too.
static void products_end_with_norms(void **state)
{
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        maker m;
        maker_begin(&m, 3);
        int64_t wide = 6;
        int x = maker_input(&m, "x", HONE_F32, 3, (int64_t[]){2, 5, 8}), y = maker_input(&m, "y", HONE_F32, 3, (int64_t[]){2, 5, 6});
        int sum = maker_binary(&m, "add", y, maker_linear(&m, x, 6, false, true));
        int norm = maker_node(&m, "layernorm", "axis=2", 3, (int[]){sum, maker_constant(&m, 1, &wide, 1), maker_constant(&m, 1, &wide, 1)});
        maker_output(&m, seen ? maker_binary(&m, "add", sum, norm) : norm);
        maker_end(&m);
        assert_int_equal(check_graph(m.graph, 3, "ended"), !seen);
        hone_graph_free(m.graph);
    }
}

// A convolution, what follows it, and the pooling that alone reads that, over windows that the padding widens; not when something else reads it too,
// when a mean is pooled, when the image is pooled first, or when it has many channels.
static void convolutions_end_with_poolings(void **state)
{
    (void)state;
    const char *const pools[] = {"kernel=3,3 stride=2 pad=1", "kernel=2,2 stride=2", "kernel=3,2 stride=1,2 pad=1,0,1,1 ceil=1"};
    for (int k = 0; k < 7; k++) {
        maker m;
        maker_begin(&m, 3);
        int64_t channels = k == 6 ? 5 : 3;
        int x = maker_input(&m, "x", HONE_F32, 4, (int64_t[]){2, channels, 11, 9}), seen = -1;
        if (k == 5) x = maker_unary(&m, "maxpool", pools[1], x);
        int y = maker_node(&m, "conv", "pad=1", 3, (int[]){x, maker_constant(&m, 4, (int64_t[]){6, channels, 3, 3}, 0.2), maker_constant(&m, 1, (int64_t[]){6}, 1)});
        if (k) y = seen = maker_unary(&m, "hardswish", "", y);
        if (k != 5) y = maker_unary(&m, k == 4 ? "avgpool" : "maxpool", pools[k < 3 ? k : 0], y);
        maker_output(&m, y);
        if (k == 3) maker_output(&m, seen);
        maker_end(&m);
        assert_int_equal(check_graph(m.graph, 3, "pooled"), k < 3);
        hone_graph_free(m.graph);
    }
}

static void movements_have_tails(void **state)
{
    maker m;
    (void)state;
    maker_begin(&m, 3);
    int x = maker_input(&m, "x", HONE_F32, 4, (int64_t[]){1, 3, 2, 2}), y = maker_input(&m, "y", HONE_F32, 4, (int64_t[]){1, 3, 4, 4});
    int up = maker_binary(&m, "add", y, maker_unary(&m, "resize", "coords=asymmetric nearest=floor size=1,3,4,4", x));
    int both = maker_node(&m, "concat", "axis=1", 2, (int[]){up, y});
    maker_output(&m, maker_unary(&m, "relu", "", maker_binary(&m, "mul", both, maker_scalar(&m, 0.5f))));
    maker_end(&m);
    assert_int_equal(check_graph(m.graph, 3, "moved"), 3);
    hone_graph_free(m.graph);
}

int test_engine_rules(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_group_computes_its_exit),
        cmocka_unit_test(attention_is_found_and_equal),
        cmocka_unit_test(parts_of_a_joint_projection_are_taken_in),
        cmocka_unit_test(near_misses_are_not_taken),
        cmocka_unit_test(squeeze_is_found_and_equal),
        cmocka_unit_test(heads_are_taken_in),
        cmocka_unit_test(lookups_are_taken_into_norms),
        cmocka_unit_test(norms_are_taken_into_products),
        cmocka_unit_test(products_end_with_norms),
        cmocka_unit_test(convolutions_end_with_poolings),
        cmocka_unit_test(movements_have_tails),
    };
    return cmocka_run_group_tests_name("engine_rules", tests, NULL, NULL);
}
