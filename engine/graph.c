// SPDX-License-Identifier: Apache-2.0
#include "engine/graph.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash_pieces.h"
#include "base/task.h"

enum { VALUES_MAX = 4000000, NODES_MAX = 1000000 };

static const size_t arena_max_bytes = (size_t)8 << 30;

hone_status hone_graph_new(hone_graph **out)
{
    hone_graph *graph = hone_calloc(1, sizeof *graph);
    if (!graph) return HONE_NO_MEMORY;
    graph->arena = hone_arena_new(arena_max_bytes);
    if (!graph->arena) {
        hone_free(graph);
        return HONE_NO_MEMORY;
    }
    *out = graph;
    return HONE_OK;
}

static void forget_digest(hone_graph *graph);

void hone_graph_free(hone_graph *graph)
{
    if (!graph) return;
    forget_digest(graph);
    if (graph->release_import) graph->release_import(graph->import);
    hone_arena_free(graph->arena);
    hone_free(graph->values);
    hone_free(graph->nodes);
    hone_free(graph->inputs);
    hone_free(graph->outputs);
    hone_free(graph);
}

static void *copied(const void *from, int n, size_t size)
{
    void *to = hone_alloc((size_t)n * size + 1);
    if (to && n) memcpy(to, from, (size_t)n * size);
    return to;
}

hone_status hone_graph_copy(const hone_graph *from, hone_graph **copy)
{
    hone_graph *to;
    hone_status status = hone_graph_new(&to);
    if (status != HONE_OK) return status;
    to->values = copied(from->values, from->n_values, sizeof *to->values);
    to->nodes = copied(from->nodes, from->n_nodes, sizeof *to->nodes);
    to->inputs = copied(from->inputs, from->n_inputs, sizeof *to->inputs);
    to->outputs = copied(from->outputs, from->n_outputs, sizeof *to->outputs);
    if (!to->values || !to->nodes || !to->inputs || !to->outputs) {
        hone_graph_free(to);
        return HONE_NO_MEMORY;
    }
    to->n_values = from->n_values, to->values_capacity = (size_t)from->n_values;
    to->n_nodes = from->n_nodes, to->nodes_capacity = (size_t)from->n_nodes;
    to->n_inputs = from->n_inputs, to->n_outputs = from->n_outputs;
    *copy = to;
    return HONE_OK;
}

int hone_graph_add_value(hone_graph *graph, const char *name, const hone_tensor *tensor)
{
    if (hone_grow(&graph->values, (size_t)graph->n_values, &graph->values_capacity, sizeof *graph->values, VALUES_MAX)) return -1;
    char *copy = hone_arena_strdup(graph->arena, name);
    if (!copy) return -1;
    graph->values[graph->n_values] = (hone_value){.name = copy, .tensor = *tensor, .producer = -1};
    graph->values[graph->n_values].tensor.layout = HONE_ROW;
    return graph->n_values++;
}

static hone_status add_outputs(hone_graph *graph, hone_node *node, const hone_tensor *tensors)
{
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) node->out[k] = -1;
    for (int k = 0; k < node->call.n_out; k++) {
        const char *name = k ? hone_arena_printf(graph->arena, "%s.%d", node->name, k) : node->name;
        node->out[k] = name ? hone_graph_add_value(graph, name, &tensors[k]) : -1;
        if (node->out[k] < 0) return HONE_NO_MEMORY;
        graph->values[node->out[k]].producer = graph->n_nodes;
        graph->values[node->out[k]].output = k;
    }
    return HONE_OK;
}

hone_status hone_graph_put_node(hone_graph *graph, const char *name, const char *origin, hone_call *call, const int *in, int *number)
{
    const hone_tensor *tensors[HONE_INPUTS_MAX] = {NULL};
    hone_tensor out[HONE_OUTPUTS_MAX];
    hone_node node = {0};
    for (int k = 0; k < HONE_INPUTS_MAX; k++) {
        node.in[k] = k < call->n_in ? in[k] : -1;
        if (node.in[k] >= 0) tensors[k] = &graph->values[node.in[k]].tensor;
    }
    hone_status status = hone_call_shape(call, tensors, out);
    if (status != HONE_OK) return status;
    if (hone_grow(&graph->nodes, (size_t)graph->n_nodes, &graph->nodes_capacity, sizeof *graph->nodes, NODES_MAX)) return HONE_NO_MEMORY;
    node.name = hone_arena_strdup(graph->arena, name);
    node.origin = hone_arena_strdup(graph->arena, origin);
    node.call = *call;
    if (!node.name || !node.origin || add_outputs(graph, &node, out) != HONE_OK) return HONE_NO_MEMORY;
    graph->nodes[graph->n_nodes] = node;
    *number = graph->n_nodes++;
    return HONE_OK;
}

int hone_graph_add_node(hone_graph *graph, const char *name, const char *origin, hone_call *call, const int *in)
{
    int node;
    return hone_graph_put_node(graph, name, origin, call, in, &node) == HONE_OK ? node : -1;
}

int hone_graph_add_constant(hone_graph *graph, const char *name, const hone_tensor *tensor, const void *data)
{
    hone_status status = hone_tensor_check(tensor);
    if (status != HONE_OK) return -1;
    size_t size = hone_tensor_size(tensor);
    void *copy = hone_arena_alloc(graph->arena, size + 1);
    int value = copy ? hone_graph_add_value(graph, name, tensor) : -1;
    if (value < 0) return -1;
    if (size) memcpy(copy, data, size);
    graph->values[value].data = copy;
    return value;
}

hone_status hone_graph_uses(const hone_graph *graph, int **out)
{
    int *uses = hone_calloc((size_t)graph->n_values + 1, sizeof *uses);
    if (!uses) return HONE_NO_MEMORY;
    for (int n = 0; n < graph->n_nodes; n++)
        for (int k = 0; k < graph->nodes[n].call.n_in; k++)
            if (graph->nodes[n].in[k] >= 0) uses[graph->nodes[n].in[k]]++;
    for (int k = 0; k < graph->n_outputs; k++) uses[graph->outputs[k]]++;
    *out = uses;
    return HONE_OK;
}

// ---- tidy

typedef struct order {
    int *nodes;            // live nodes, producers first
    int n;
    uint8_t *state;        // per node: 0 unseen, 1 on the stack, 2 placed
    int *stack, *next;     // the depth-first walk: node and its next operand
    int depth;
} order;

static void order_clear(order *o)
{
    hone_free(o->nodes);
    hone_free(o->state);
    hone_free(o->stack);
    hone_free(o->next);
}

static hone_status order_new(const hone_graph *graph, order *o)
{
    size_t n = (size_t)graph->n_nodes + 1;
    *o = (order){hone_calloc(n, sizeof(int)), 0, hone_calloc(n, 1), hone_calloc(n, sizeof(int)), hone_calloc(n, sizeof(int)), 0};
    return o->nodes && o->state && o->stack && o->next ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status push(const hone_graph *graph, order *o, int value)
{
    int node = value < 0 ? -1 : graph->values[value].producer;
    if (node < 0 || o->state[node] == 2) return HONE_OK;
    if (o->state[node] == 1) return hone_fail(HONE_INTERNAL, "the graph has a cycle through layer %s", graph->nodes[node].name);
    o->state[node] = 1;
    o->next[o->depth] = 0;
    o->stack[o->depth++] = node;
    return HONE_OK;
}

// Places a value's producer behind all that it reads; a depth-first walk without recursion.
static hone_status place(const hone_graph *graph, order *o, int value)
{
    hone_status status = push(graph, o, value);
    while (status == HONE_OK && o->depth > 0) {
        int at = o->depth - 1, node = o->stack[at];
        if (o->next[at] < graph->nodes[node].call.n_in) {
            status = push(graph, o, graph->nodes[node].in[o->next[at]++]);
            continue;
        }
        o->state[node] = 2;
        o->nodes[o->n++] = node;
        o->depth--;
    }
    return status;
}

// Live nodes are those that an output needs. The walk starts from them in their present order, which keeps that order where it is sound.
static hone_status find_order(const hone_graph *graph, order *o)
{
    hone_status status = HONE_OK;
    uint8_t *live;
    for (int k = 0; k < graph->n_outputs; k++) HONE_TRY(place(graph, o, graph->outputs[k]));
    live = hone_calloc((size_t)graph->n_nodes + 1, 1);
    if (!live) return HONE_NO_MEMORY;
    memcpy(live, o->state, (size_t)graph->n_nodes);
    memset(o->state, 0, (size_t)graph->n_nodes);
    o->n = 0;
    for (int n = 0; n < graph->n_nodes && status == HONE_OK; n++)
        if (live[n]) status = place(graph, o, graph->nodes[n].out[0]);
    hone_free(live);
out:
    return status;
}

static void mark_values(const hone_graph *graph, const order *o, int *number)
{
    for (int k = 0; k < graph->n_inputs; k++) number[graph->inputs[k]] = 1;
    for (int k = 0; k < graph->n_outputs; k++) number[graph->outputs[k]] = 1;
    for (int k = 0; k < o->n; k++) {
        const hone_node *node = &graph->nodes[o->nodes[k]];
        for (int j = 0; j < node->call.n_in; j++)
            if (node->in[j] >= 0) number[node->in[j]] = 1;
        for (int j = 0; j < node->call.n_out; j++) number[node->out[j]] = 1;
    }
}

static void renumber(hone_node *node, const int *number)
{
    for (int j = 0; j < node->call.n_in; j++)
        if (node->in[j] >= 0) node->in[j] = number[node->in[j]];
    for (int j = 0; j < node->call.n_out; j++) node->out[j] = number[node->out[j]];
}

static void compact(hone_graph *graph, const order *o, int *number, hone_node *nodes)
{
    int n = 0;
    mark_values(graph, o, number);
    for (int v = 0; v < graph->n_values; v++) {
        if (!number[v]) continue;
        graph->values[n] = graph->values[v];
        graph->values[n].producer = -1;
        number[v] = n++;
    }
    graph->n_values = n;
    for (int k = 0; k < o->n; k++) {
        nodes[k] = graph->nodes[o->nodes[k]];
        renumber(&nodes[k], number);
        for (int j = 0; j < nodes[k].call.n_out; j++) graph->values[nodes[k].out[j]].producer = k;
    }
    if (o->n) memcpy(graph->nodes, nodes, (size_t)o->n * sizeof *nodes);
    graph->n_nodes = o->n;
    for (int k = 0; k < graph->n_inputs; k++) graph->inputs[k] = number[graph->inputs[k]];
    for (int k = 0; k < graph->n_outputs; k++) graph->outputs[k] = number[graph->outputs[k]];
}

hone_status hone_graph_tidy(hone_graph *graph)
{
    order o;
    hone_status status = order_new(graph, &o);
    int *number = hone_calloc((size_t)graph->n_values + 1, sizeof *number);
    hone_node *nodes = hone_calloc((size_t)graph->n_nodes + 1, sizeof *nodes);
    if (!number || !nodes) status = HONE_NO_MEMORY;
    if (status == HONE_OK) status = find_order(graph, &o);
    if (status == HONE_OK) compact(graph, &o, number, nodes);
    hone_free(nodes);
    hone_free(number);
    order_clear(&o);
    return status;
}

// ---- digest

static void hash_int(hone_hash *hash, int64_t value)
{
    uint8_t bytes[8];
    for (int k = 0; k < 8; k++) bytes[k] = (uint8_t)((uint64_t)value >> (8 * k));
    hone_hash_add(hash, bytes, sizeof bytes);
}

static void hash_attrs(hone_hash *hash, const hone_call *call)
{
    for (int k = 0; k < call->op->n_attrs; k++) {
        const hone_attr *attr = &call->attrs[k];
        hash_int(hash, attr->n);
        for (int j = 0; j < attr->n; j++) hash_int(hash, attr->i[j]);     // reals by their bits: the union shares them
    }
}

#define FEW 16             // elements of a constant that rules may read
#define PIECE_BYTES ((size_t)1 << 20)      // of a longer constant the ids of its pieces count, which are made beside each other

// Values are numbered as a walk from the outputs meets them, so that the digest says nothing of names and of the file's order.
struct hone_digest {
    const hone_graph *graph;
    bool of_structure;     // weights' bytes do not count
    order order;
    hone_hash hash;
    int *number;           // per value, 0 for none yet
    int next;
    hone_piece *pieces;    // of all long constants, NULL of a structure
    size_t *first_piece;   // per value, and the end
    hone_task task;
    bool is_done;
    hone_id id;
};

static void hash_value(hone_digest *d, int v)
{
    const hone_value *value = v < 0 ? NULL : &d->graph->values[v];
    hash_int(&d->hash, v < 0 ? 0 : d->number[v]);
    if (v < 0 || d->number[v]) return;
    d->number[v] = d->next++;
    hone_hash_add_text(&d->hash, hone_dtype_name(value->tensor.dtype));
    hash_int(&d->hash, value->tensor.rank);
    for (int k = 0; k < value->tensor.rank; k++) hash_int(&d->hash, value->tensor.dims[k]);
    if (!value->data || (d->of_structure && hone_tensor_count(&value->tensor) > FEW)) return;
    size_t piece = d->pieces ? d->first_piece[v] : 0, end = d->pieces ? d->first_piece[v + 1] : 0;
    if (piece == end) hone_hash_add(&d->hash, value->data, hone_tensor_size(&value->tensor));
    for (; piece < end; piece++) hone_hash_add(&d->hash, d->pieces[piece].id.bytes, sizeof d->pieces[piece].id.bytes);
}

static size_t piece_count(const hone_value *value)
{
    size_t size = value->data ? hone_tensor_size(&value->tensor) : 0;
    return size > PIECE_BYTES ? (size - 1) / PIECE_BYTES + 1 : 0;
}

static hone_status cut_pieces(hone_digest *d)
{
    const hone_graph *graph = d->graph;
    size_t n = 0;
    if (!(d->first_piece = hone_calloc((size_t)graph->n_values + 1, sizeof *d->first_piece))) return HONE_NO_MEMORY;
    for (int v = 0; v < graph->n_values; v++) d->first_piece[v] = n, n += piece_count(&graph->values[v]);
    d->first_piece[graph->n_values] = n;
    if (!(d->pieces = hone_calloc(n + 1, sizeof *d->pieces))) return HONE_NO_MEMORY;
    for (int v = 0; v < graph->n_values; v++) {
        size_t at = 0, size = hone_tensor_size(&graph->values[v].tensor);
        for (size_t k = d->first_piece[v]; k < d->first_piece[v + 1]; k++, at += PIECE_BYTES)
            d->pieces[k] = (hone_piece){.data = (const char *)graph->values[v].data + at, .size_bytes = size - at < PIECE_BYTES ? size - at : PIECE_BYTES};
    }
    return HONE_OK;
}

static void hash_node(hone_digest *d, const hone_node *node)
{
    hone_hash_add_text(&d->hash, node->call.op->name);
    hash_attrs(&d->hash, &node->call);
    hash_int(&d->hash, node->call.n_in);
    for (int k = 0; k < node->call.n_in; k++) hash_value(d, node->in[k]);
    for (int k = 0; k < node->call.n_out; k++) hash_value(d, node->out[k]);
}

static hone_status hash_graph(void *user)
{
    hone_digest *d = user;
    const hone_graph *graph = d->graph;
    if (d->pieces) hone_hash_pieces(d->pieces, d->first_piece[graph->n_values]);
    hone_hash_init(&d->hash);
    for (int k = 0; k < graph->n_inputs; k++) hash_value(d, graph->inputs[k]);
    for (int k = 0; k < d->order.n; k++) hash_node(d, &graph->nodes[d->order.nodes[k]]);
    for (int k = 0; k < graph->n_outputs; k++) hash_value(d, graph->outputs[k]);
    hone_hash_end(&d->hash, &d->id);
    return HONE_OK;
}

const hone_id *hone_graph_digest(const hone_graph *graph)
{
    hone_digest *d = graph->digest;
    if (!d->is_done) (void)hone_task_wait(&d->task);
    d->is_done = true;
    return &d->id;
}

static void digest_clear(hone_digest *d)
{
    hone_free(d->number);
    hone_free(d->pieces);
    hone_free(d->first_piece);
    order_clear(&d->order);
}

static hone_status digest_init(const hone_graph *graph, bool of_structure, hone_digest *d)
{
    hone_status status;
    *d = (hone_digest){.graph = graph, .of_structure = of_structure, .next = 1, .number = hone_calloc((size_t)graph->n_values + 1, sizeof(int)), .is_done = true};
    if (!d->number) HONE_TRY(HONE_NO_MEMORY);
    if (!of_structure) HONE_TRY(cut_pieces(d));
    HONE_TRY(order_new(graph, &d->order));
    for (int k = 0; k < graph->n_outputs; k++) HONE_TRY(place(graph, &d->order, graph->outputs[k]));
out:
    if (status != HONE_OK) digest_clear(d);
    return status;
}

static void forget_digest(hone_graph *graph)
{
    if (!graph->digest) return;
    (void)hone_graph_digest(graph);
    digest_clear(graph->digest);
    hone_free(graph->digest);
    graph->digest = NULL;
}

hone_status hone_graph_digest_begin(hone_graph *graph)
{
    forget_digest(graph);
    hone_digest *d = hone_calloc(1, sizeof *d);
    hone_status status = d ? digest_init(graph, false, d) : HONE_NO_MEMORY;
    if (status != HONE_OK) {
        hone_free(d);
        return status;
    }
    graph->digest = d;
    d->is_done = false;
    hone_task_start(&d->task, hash_graph, d);
    return HONE_OK;
}

hone_status hone_graph_structure(const hone_graph *graph, hone_id *id)
{
    hone_digest d;
    hone_status status = digest_init(graph, true, &d);
    if (status != HONE_OK) return status;
    (void)hash_graph(&d);
    *id = d.id;
    digest_clear(&d);
    return HONE_OK;
}

// ---- checks and sums

static hone_status check_node(const hone_graph *graph, int n, const uint8_t *made)
{
    const hone_node *node = &graph->nodes[n];
    for (int k = 0; k < node->call.n_in; k++) {
        int v = node->in[k];
        if (v < -1 || v >= graph->n_values) return hone_fail(HONE_INTERNAL, "layer %s reads a value that is not there", node->name);
        if (v >= 0 && !made[v]) return hone_fail(HONE_INTERNAL, "layer %s reads %s before it is made", node->name, graph->values[v].name);
    }
    for (int k = 0; k < node->call.n_out; k++) {
        int v = node->out[k];
        if (v < 0 || v >= graph->n_values || graph->values[v].producer != n || graph->values[v].output != k || graph->values[v].data)
            return hone_fail(HONE_INTERNAL, "layer %s and its output %d do not agree", node->name, k);
        hone_status status = hone_tensor_check(&graph->values[v].tensor);
        if (status != HONE_OK) return hone_fail_in(status, "layer %s", node->name);
    }
    return HONE_OK;
}

hone_status hone_graph_check(const hone_graph *graph)
{
    hone_status status = HONE_OK;
    uint8_t *made = hone_calloc((size_t)graph->n_values + 1, 1);
    if (!made) return HONE_NO_MEMORY;
    for (int v = 0; v < graph->n_values; v++) made[v] = graph->values[v].data != NULL;
    for (int k = 0; k < graph->n_inputs; k++) made[graph->inputs[k]] = 1;
    for (int n = 0; n < graph->n_nodes; n++) {
        HONE_TRY(check_node(graph, n, made));
        for (int k = 0; k < graph->nodes[n].call.n_out; k++) made[graph->nodes[n].out[k]] = 1;
    }
    for (int k = 0; k < graph->n_outputs; k++)
        if (!made[graph->outputs[k]] || !graph->values[graph->outputs[k]].is_output)
            HONE_TRY(hone_fail(HONE_INTERNAL, "output %d of the network is not made", k));
out:
    hone_free(made);
    return status;
}

double hone_graph_flops(const hone_graph *graph)
{
    double sum = 0;
    for (int n = 0; n < graph->n_nodes; n++) {
        const hone_node *node = &graph->nodes[n];
        const hone_tensor *in[HONE_INPUTS_MAX] = {NULL};
        hone_tensor out[HONE_OUTPUTS_MAX];
        for (int k = 0; k < node->call.n_in; k++)
            if (node->in[k] >= 0) in[k] = &graph->values[node->in[k]].tensor;
        for (int k = 0; k < node->call.n_out; k++) out[k] = graph->values[node->out[k]].tensor;
        sum += node->call.op->flops ? node->call.op->flops(&node->call, in, out) : (double)hone_tensor_count(&out[0]);
    }
    return sum;
}

int64_t hone_graph_parameters(const hone_graph *graph)
{
    int64_t sum = 0;
    for (int v = 0; v < graph->n_values; v++)
        if (graph->values[v].data && hone_dtype_is_float(graph->values[v].tensor.dtype)) sum += hone_tensor_count(&graph->values[v].tensor);
    return sum;
}
