// SPDX-License-Identifier: Apache-2.0
#include "engine/join_priv.h"

#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"

enum { PARTS_MAX = 8 };

typedef struct site {             // products of one value, in the graph's order
    int products[PARTS_MAX], sums[PARTS_MAX];      // nodes; a sum is -1 where there is no bias
    int n;
} site;

typedef struct constant {         // a joined weight or bias
    int value;                    // of the joined graph
    int from[PARTS_MAX], n;       // of the given one
    int axis;
} constant;

struct hone_join {
    const hone_graph *from;
    hone_graph *to;
    int *number;                  // per value of `from`: in `to`, -1 for not yet
    int *site_of;                 // per node: its site, -1 for none
    site *sites;
    size_t n_sites, sites_capacity;
    constant *constants;
    size_t n_constants, constants_capacity;
};

// ---- finding

static bool is_constant(const hone_graph *graph, int value, int rank)
{
    return value >= 0 && graph->values[value].data && graph->values[value].tensor.rank == rank;
}

static bool is_product(const hone_graph *graph, const hone_node *node)
{
    if (strcmp(node->call.op->name, "matmul") || hone_call_int(&node->call, "trans_a") || !is_constant(graph, node->in[1], 2)) return false;
    return !graph->values[node->in[0]].data && !graph->values[node->out[0]].is_output && graph->values[node->out[0]].tensor.rank >= 2;
}

// The only reader of a value if it adds a bias along the last axis; -1 otherwise.
static int sum_of(const hone_graph *graph, const int *uses, int value)
{
    if (uses[value] != 1) return -1;
    for (int n = graph->values[value].producer + 1; n < graph->n_nodes; n++) {
        const hone_node *node = &graph->nodes[n];
        if (node->in[0] != value && node->in[1] != value) continue;
        const hone_tensor *t = &graph->values[value].tensor;
        int shift = node->in[node->in[0] == value];
        bool fits = !strcmp(node->call.op->name, "add") && is_constant(graph, shift, 1) && graph->values[shift].tensor.dims[0] == t->dims[t->rank - 1];
        return fits && !graph->values[node->out[0]].is_output ? n : -1;
    }
    return -1;
}

static int bias_of(const hone_graph *graph, int sum)
{
    const hone_node *node = &graph->nodes[sum];
    return node->in[graph->values[node->in[0]].data == NULL];
}

static bool are_siblings(const hone_graph *graph, int a, int a_sum, int b, int b_sum)
{
    const hone_node *x = &graph->nodes[a], *y = &graph->nodes[b];
    const hone_tensor *v = &graph->values[x->in[1]].tensor, *w = &graph->values[y->in[1]].tensor;
    int64_t trans_b = hone_call_int(&x->call, "trans_b");
    if (x->in[0] != y->in[0] || trans_b != hone_call_int(&y->call, "trans_b") || (a_sum < 0) != (b_sum < 0)) return false;
    if (a_sum >= 0 && graph->values[bias_of(graph, a_sum)].tensor.dtype != graph->values[bias_of(graph, b_sum)].tensor.dtype) return false;
    return v->dtype == w->dtype && v->dims[trans_b] == w->dims[trans_b];
}

static hone_status find_site(hone_join *j, const int *uses, int first)
{
    const hone_graph *graph = j->from;
    site s = {.n = 0};
    int sum = sum_of(graph, uses, graph->nodes[first].out[0]);
    for (int n = first; n < graph->n_nodes && s.n < PARTS_MAX; n++) {
        if (j->site_of[n] >= 0 || !is_product(graph, &graph->nodes[n])) continue;
        int its = sum_of(graph, uses, graph->nodes[n].out[0]);
        if (!are_siblings(graph, first, sum, n, its)) continue;
        s.products[s.n] = n;
        s.sums[s.n++] = its;
    }
    if (s.n < 2) return HONE_OK;
    if (hone_grow(&j->sites, j->n_sites, &j->sites_capacity, sizeof s, 1 << 20)) return HONE_NO_MEMORY;
    for (int k = 0; k < s.n; k++) {
        j->site_of[s.products[k]] = (int)j->n_sites;
        if (s.sums[k] >= 0) j->site_of[s.sums[k]] = (int)j->n_sites;
    }
    j->sites[j->n_sites++] = s;
    return HONE_OK;
}

static hone_status find_sites(hone_join *j)
{
    int *uses;
    hone_status status = hone_graph_uses(j->from, &uses);
    if (status != HONE_OK) return status;
    for (int n = 0; n < j->from->n_nodes && status == HONE_OK; n++)
        if (j->site_of[n] < 0 && is_product(j->from, &j->from->nodes[n])) status = find_site(j, uses, n);
    hone_free(uses);
    return status;
}

// ---- building

static int value_in(hone_join *j, int value)
{
    if (value < 0 || j->number[value] >= 0) return value < 0 ? -1 : j->number[value];
    const hone_value *from = &j->from->values[value];
    int made = hone_graph_add_value(j->to, from->name, &from->tensor);
    if (made < 0) return -1;
    j->to->values[made].data = from->data;
    j->to->values[made].is_input = from->is_input;
    return j->number[value] = made;
}

// Whoever read `old` reads `made`, which also takes its name: reports and checks find it.
static void stand_for(hone_join *j, int old, int made)
{
    j->to->values[made].name = j->from->values[old].name;
    j->to->values[made].is_output = j->from->values[old].is_output;
    j->number[old] = made;
}

static hone_status copy_node(hone_join *j, const hone_node *node)
{
    int in[HONE_INPUTS_MAX], made;
    hone_call call = node->call;
    for (int k = 0; k < call.n_in; k++) {
        in[k] = value_in(j, node->in[k]);
        if (in[k] < 0 && node->in[k] >= 0) return HONE_NO_MEMORY;
    }
    hone_status status = hone_graph_put_node(j->to, node->name, node->origin, &call, in, &made);
    for (int k = 0; status == HONE_OK && k < call.n_out; k++) stand_for(j, node->out[k], j->to->nodes[made].out[k]);
    return status;
}

// The name of a step that does the work of several layers, as plans write it.
static const char *joint_name(hone_join *j, const int *nodes, int n)
{
    const char *name = j->from->nodes[nodes[0]].name;
    for (int k = 1; k < n && name; k++) name = hone_arena_printf(j->to->arena, "%s + %s", name, j->from->nodes[nodes[k]].name);
    return name;
}

static hone_status join_constants(hone_join *j, const int *from, int n, int axis, int *value)
{
    constant c = {.n = n, .axis = axis};
    hone_tensor t = j->from->values[from[0]].tensor;
    t.dims[axis] = 0;
    memcpy(c.from, from, (size_t)n * sizeof *from);
    for (int k = 0; k < n; k++) t.dims[axis] += j->from->values[from[k]].tensor.dims[axis];
    hone_status status = hone_tensor_check(&t);
    if (status != HONE_OK) return status;
    void *data = hone_arena_alloc_raw(j->to->arena, hone_tensor_size(&t) + 1);
    c.value = data ? hone_graph_add_value(j->to, j->from->values[from[0]].name, &t) : -1;
    if (c.value < 0 || hone_grow(&j->constants, j->n_constants, &j->constants_capacity, sizeof c, 1 << 20)) return HONE_NO_MEMORY;
    j->to->values[c.value].data = data;
    j->constants[j->n_constants++] = c;
    *value = c.value;
    return HONE_OK;
}

static hone_status put_joint(hone_join *j, const hone_node *like, const char *name, int x, int y, int *out)
{
    hone_call call = like->call;
    int node;
    if (!name) return HONE_NO_MEMORY;
    hone_status status = hone_graph_put_node(j->to, name, like->origin, &call, (int[]){x, y}, &node);
    if (status == HONE_OK) *out = j->to->nodes[node].out[0];
    return status;
}

// Entries start..start+size of the joint result's last axis, in the place of the node that made them.
static hone_status put_part(hone_join *j, int joint, int64_t start, const hone_node *of)
{
    hone_tensor t = j->to->values[joint].tensor;
    int64_t begin[HONE_RANK_MAX] = {0};
    hone_call call;
    int node, last = t.rank - 1;
    const char *name = hone_arena_printf(j->to->arena, "%s part", of->name);
    if (!name) return HONE_NO_MEMORY;
    t.dims[last] = j->from->values[of->out[0]].tensor.dims[last];
    begin[last] = start;
    hone_status status = hone_call_init(&call, "slice", 1);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "start", begin, t.rank);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "size", t.dims, t.rank);
    if (status == HONE_OK) status = hone_graph_put_node(j->to, name, of->origin, &call, &joint, &node);
    if (status == HONE_OK) stand_for(j, of->out[0], j->to->nodes[node].out[0]);
    return status;
}

static hone_status put_site(hone_join *j, const site *s)
{
    const hone_graph *graph = j->from;
    const hone_node *first = &graph->nodes[s->products[0]];
    int weights[PARTS_MAX], biases[PARTS_MAX], x = value_in(j, first->in[0]), w, joint;
    int64_t start = 0;
    hone_status status;
    if (x < 0) return HONE_NO_MEMORY;
    for (int k = 0; k < s->n; k++) weights[k] = graph->nodes[s->products[k]].in[1];
    HONE_TRY(join_constants(j, weights, s->n, hone_call_int(&first->call, "trans_b") ? 0 : 1, &w));
    HONE_TRY(put_joint(j, first, joint_name(j, s->products, s->n), x, w, &joint));
    if (s->sums[0] >= 0) {
        for (int k = 0; k < s->n; k++) biases[k] = bias_of(graph, s->sums[k]);
        HONE_TRY(join_constants(j, biases, s->n, 0, &w));
        HONE_TRY(put_joint(j, &graph->nodes[s->sums[0]], joint_name(j, s->sums, s->n), joint, w, &joint));
    }
    for (int k = 0; k < s->n; k++) {
        const hone_node *of = &graph->nodes[s->sums[k] >= 0 ? s->sums[k] : s->products[k]];
        HONE_TRY(put_part(j, joint, start, of));
        start += graph->values[of->out[0]].tensor.dims[graph->values[of->out[0]].tensor.rank - 1];
    }
out:
    return status;
}

static hone_status put_ports(hone_join *j, bool inputs)
{
    const hone_graph *from = j->from;
    int n = inputs ? from->n_inputs : from->n_outputs;
    int *made = hone_calloc((size_t)n + 1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    *(inputs ? &j->to->inputs : &j->to->outputs) = made;
    *(inputs ? &j->to->n_inputs : &j->to->n_outputs) = n;
    for (int k = 0; k < n; k++) {
        made[k] = value_in(j, (inputs ? from->inputs : from->outputs)[k]);
        if (made[k] < 0) return HONE_NO_MEMORY;
    }
    return HONE_OK;
}

static hone_status build(hone_join *j)
{
    hone_status status = hone_graph_new(&j->to);
    if (status != HONE_OK) return status;
    HONE_TRY(put_ports(j, true));
    for (int n = 0; n < j->from->n_nodes; n++) {
        const site *s = j->site_of[n] < 0 ? NULL : &j->sites[j->site_of[n]];
        if (!s) HONE_TRY(copy_node(j, &j->from->nodes[n]));
        else if (n == s->products[0]) HONE_TRY(put_site(j, s));
    }
    HONE_TRY(put_ports(j, false));
    HONE_TRY(hone_graph_check(j->to));
out:
    return status;
}

// ---- the whole

hone_status hone_join_new(const hone_graph *graph, hone_join **join)
{
    hone_status status = HONE_NO_MEMORY;
    hone_join *j = hone_calloc(1, sizeof *j);
    if (!j) return status;
    j->from = graph;
    j->number = hone_alloc(((size_t)graph->n_values + 1) * sizeof *j->number);
    j->site_of = hone_alloc(((size_t)graph->n_nodes + 1) * sizeof *j->site_of);
    if (!j->number || !j->site_of) goto out;
    for (int v = 0; v < graph->n_values; v++) j->number[v] = -1;
    for (int n = 0; n < graph->n_nodes; n++) j->site_of[n] = -1;
    HONE_TRY(find_sites(j));
    if (j->n_sites) HONE_TRY(build(j));
    *join = j->n_sites ? j : NULL;
    if (j->n_sites) j = NULL;
out:
    hone_join_free(j);
    return status;
}

void hone_join_free(hone_join *join)
{
    if (!join) return;
    hone_graph_free(join->to);
    hone_free(join->number);
    hone_free(join->site_of);
    hone_free(join->sites);
    hone_free(join->constants);
    hone_free(join);
}

const hone_graph *hone_join_graph(const hone_join *join) { return join->to; }

static void fill(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_join *j = user;
    (void)worker;
    for (const constant *c = j->constants + begin; c < j->constants + end; c++) {
        const hone_tensor *t = &j->to->values[c->value].tensor;
        uint8_t *to = (void *)(uintptr_t)j->to->values[c->value].data;
        int64_t rows = c->axis ? t->dims[0] : 1;
        for (int64_t r = 0; r < rows; r++)
            for (int k = 0; k < c->n; k++) {
                const hone_value *part = &j->from->values[c->from[k]];
                size_t size = hone_tensor_size(&part->tensor) / (size_t)rows;
                memcpy(to, (const uint8_t *)part->data + (size_t)r * size, size);
                to += size;
            }
    }
}

void hone_join_fill(hone_join *join)
{
    hone_parallel((int64_t)join->n_constants, 1, hone_cpu_count(), fill, join);
}
