// SPDX-License-Identifier: Apache-2.0
// The driver of rewrites: passes over the graph, replacement of values, merging of equal nodes, names.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/import_priv.h"
#include "engine/narrow_priv.h"
#include "engine/simplify_priv.h"

enum { PASSES_MAX = 40, VALUES_MAX = 4000000, SMALL_CONSTANT_BYTES = 256 };

#define WORTH 0.99     // of the flops: a form that saves less is not planned, since every form is tuned and partitioned

static const hone_rewrite *const tables[] = {hone_rewrites_constant, hone_rewrites_view, hone_rewrites_forms, hone_rewrites_weights};

// ---- reading

int hone_rewriting_value(const hone_rewriting *r, int value)
{
    while (value >= 0 && (size_t)value < r->n && r->forward[value] >= 0) value = r->forward[value];
    return value;
}

int hone_rewriting_in(const hone_rewriting *r, const hone_node *node, int k)
{
    return k < node->call.n_in ? hone_rewriting_value(r, node->in[k]) : -1;
}

hone_tensor hone_rewriting_tensor(const hone_rewriting *r, int value)
{
    return r->graph->values[value].tensor;
}

bool hone_rewriting_is_constant(const hone_rewriting *r, int value)
{
    return value >= 0 && r->graph->values[value].data;
}

bool hone_rewriting_is_sole(const hone_rewriting *r, int value)
{
    return !r->graph->values[value].is_output && r->uses[value] <= 1;
}

bool hone_rewriting_producer(const hone_rewriting *r, int value, const char *op, hone_node *node)
{
    int n = value < 0 ? -1 : r->graph->values[value].producer;
    if (n < 0 || (op && strcmp(r->graph->nodes[n].call.op->name, op))) return false;
    *node = r->graph->nodes[n];
    return true;
}

hone_status hone_rewriting_array(const hone_rewriting *r, int value, hone_array *array)
{
    const hone_value *v = &r->graph->values[value];
    hone_status status = hone_array_init(array, &v->tensor);
    if (status == HONE_OK) hone_array_unpack(array, &v->tensor, v->data, 1);
    return status;
}

bool hone_rewriting_scalar(const hone_rewriting *r, int value, double *number)
{
    if (!hone_rewriting_is_constant(r, value)) return false;
    hone_array array = {0};
    hone_tensor tensor = hone_rewriting_tensor(r, value);
    bool found = hone_tensor_count(&tensor) == 1 && hone_rewriting_array(r, value, &array) == HONE_OK;
    if (found) *number = array.f ? array.f[0] : (double)array.i[0];
    hone_array_clear(&array);
    return found;
}

bool hone_rewriting_is_number(const hone_rewriting *r, int value, double number)
{
    double have;
    return hone_rewriting_scalar(r, value, &have) && fabs(have - number) <= 2e-6 * fabs(number);
}

// ---- making

static hone_status cover_new_values(hone_rewriting *r)
{
    for (; r->n < (size_t)r->graph->n_values; r->n++) {
        if (hone_grow(&r->forward, r->n, &r->forward_capacity, sizeof *r->forward, VALUES_MAX)) return HONE_NO_MEMORY;
        if (hone_grow(&r->uses, r->n, &r->uses_capacity, sizeof *r->uses, VALUES_MAX)) return HONE_NO_MEMORY;
        r->forward[r->n] = -1;
        r->uses[r->n] = 0;
    }
    return HONE_OK;
}

hone_status hone_rewriting_emit(hone_rewriting *r, hone_call *call, const int *in, int *value)
{
    int node;
    for (int k = 0; k < call->n_in; k++)
        if (in[k] >= 0) r->uses[in[k]]++;
    hone_status status = hone_graph_put_node(r->graph, r->name, r->origin, call, in, &node);
    if (status == HONE_OK) *value = r->graph->nodes[node].out[0];
    return status == HONE_OK ? cover_new_values(r) : status;
}

hone_status hone_rewriting_op(hone_rewriting *r, const char *op, int n_in, const int *in, int *value)
{
    hone_call call;
    hone_status status = hone_call_init(&call, op, n_in);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, in, value) : status;
}

static bool same_dims(const hone_tensor *tensor, int rank, const int64_t *dims)
{
    return tensor->rank == rank && !memcmp(tensor->dims, dims, (size_t)rank * sizeof *dims);
}

hone_status hone_rewriting_reshape(hone_rewriting *r, int x, int rank, const int64_t *dims, int *value)
{
    hone_call call;
    hone_node above;
    while (hone_rewriting_producer(r, x, "reshape", &above)) x = hone_rewriting_in(r, &above, 0);
    hone_tensor from = hone_rewriting_tensor(r, x);
    if (same_dims(&from, rank, dims)) return *value = x, HONE_OK;
    hone_status status = hone_call_init(&call, "reshape", 1);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "shape", dims, rank);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, &x, value) : status;
}

hone_status hone_rewriting_transpose(hone_rewriting *r, int x, int rank, const int64_t *perm, int *value)
{
    hone_call call;
    bool moves = false;
    for (int k = 0; k < rank; k++) moves = moves || perm[k] != k;
    if (!moves) return *value = x, HONE_OK;
    hone_status status = hone_call_init(&call, "transpose", 1);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "perm", perm, rank);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, &x, value) : status;
}

hone_status hone_rewriting_slice(hone_rewriting *r, int x, int rank, const int64_t *start, const int64_t *size, const int64_t *step, int *value)
{
    hone_call call;
    hone_tensor from = hone_rewriting_tensor(r, x);
    bool whole = same_dims(&from, rank, size);
    for (int k = 0; k < rank; k++) whole = whole && step[k] == 1;
    if (whole) return *value = x, HONE_OK;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "slice", 1));
    HONE_TRY(hone_call_set_ints(&call, "start", start, rank));
    HONE_TRY(hone_call_set_ints(&call, "size", size, rank));
    HONE_TRY(hone_call_set_ints(&call, "step", step, rank));
    HONE_TRY(hone_rewriting_emit(r, &call, &x, value));
out:
    return status;
}

hone_status hone_rewriting_view(hone_rewriting *r, const char *name, const hone_tensor *tensor, const void *data, int *value)
{
    *value = hone_graph_add_value(r->graph, name, tensor);
    if (*value < 0) return HONE_NO_MEMORY;
    r->graph->values[*value].data = data;
    return cover_new_values(r);
}

hone_status hone_rewriting_constant(hone_rewriting *r, const hone_array *array, int *value)
{
    size_t size = hone_tensor_size(&array->tensor);
    const char *name = hone_arena_printf(r->graph->arena, "%s/constant", r->name);
    void *data = name ? hone_arena_alloc_raw(r->graph->arena, size + 1) : NULL;
    if (!data) return HONE_NO_MEMORY;
    hone_array_pack(array, &array->tensor, data, false, 1);
    return hone_rewriting_view(r, name, &array->tensor, data, value);
}

hone_status hone_rewriting_fold(hone_rewriting *r, const char *op, int n_in, const int *in, int *value)
{
    hone_call call;
    hone_array arrays[3] = {{.f = NULL}}, out = {0};
    const hone_tensor *types[3];
    hone_tensor made;
    hone_status status = hone_call_init(&call, op, n_in);
    for (int k = 0; status == HONE_OK && k < n_in; k++) {
        status = hone_rewriting_array(r, in[k], &arrays[k]);
        types[k] = &arrays[k].tensor;
    }
    if (status == HONE_OK) status = hone_call_shape(&call, types, &made);
    if (status == HONE_OK) status = hone_call_reference(&call, arrays, &out, 1);
    if (status == HONE_OK) status = hone_rewriting_constant(r, &out, value);
    for (int k = 0; k < n_in; k++) hone_array_clear(&arrays[k]);
    hone_array_clear(&out);
    return status;
}

// ---- one node

static bool serves(const hone_rewrite *rewrite, const char *op)
{
    size_t n = strlen(op);
    for (const char *at = rewrite->ops; (at = strstr(at, op)); at++)
        if (at[-1] == ' ' && at[n] == ' ') return true;
    return false;
}

// A fresh value takes the place of the old one together with the network's name for it.
static void replace(hone_rewriting *r, int old, int new, int first_new)
{
    if (new >= first_new) r->graph->values[new].name = r->graph->values[old].name;
    r->forward[old] = new;
    r->uses[new] += r->uses[old];
}

// Fires the first rewrite of a table that finds something to do.
static hone_status apply_table(hone_rewriting *r, const hone_rewrite *table, const hone_node *node, int *recognised, bool *fired)
{
    for (const hone_rewrite *rewrite = table; rewrite->name && !*fired; rewrite++) {
        if (!serves(rewrite, node->call.op->name)) continue;
        int value = -1, first_new = r->graph->n_values;
        r->name = node->name;
        r->origin = node->origin;
        hone_status status = rewrite->apply(r, node, &value);
        if (status != HONE_OK) return hone_fail_in(HONE_INTERNAL, "simplifying %s by rewrite %s", node->name, rewrite->name);
        if (value < 0 || value == node->out[0]) continue;
        replace(r, node->out[0], value, first_new);
        *recognised += rewrite->recognises;
        *fired = true;
    }
    return HONE_OK;
}

static hone_status rewrite_node(hone_rewriting *r, int n, int *recognised, bool *fired)
{
    hone_node node = r->graph->nodes[n];
    bool here = false;
    hone_status status = HONE_OK;
    for (size_t t = 0; t < sizeof tables / sizeof *tables && !here && status == HONE_OK; t++)
        status = apply_table(r, tables[t], &node, recognised, &here);
    if (r->more && !here && status == HONE_OK) status = apply_table(r, r->more, &node, recognised, &here);
    *fired = *fired || here;
    return status;
}

// ---- merging: equal small constants, then equal nodes

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t k = 0; k < size; k++) hash = (hash ^ bytes[k]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_constant(const hone_value *v)
{
    uint64_t hash = mix(0xcbf29ce484222325u, v->tensor.dims, (size_t)v->tensor.rank * sizeof *v->tensor.dims);
    return mix(hash, v->data, hone_tensor_size(&v->tensor));
}

static bool equal_constants(const hone_value *a, const hone_value *b)
{
    return hone_tensor_equal(&a->tensor, &b->tensor) && !memcmp(a->data, b->data, hone_tensor_size(&a->tensor));
}

static bool is_small_constant(const hone_value *v)
{
    return v->data && hone_tensor_size(&v->tensor) <= SMALL_CONSTANT_BYTES;
}

static uint64_t hash_node(const hone_rewriting *r, const hone_node *node)
{
    uint64_t hash = mix(0xcbf29ce484222325u, &node->call.op, sizeof node->call.op);
    for (int k = 0; k < node->call.n_in; k++) {
        int in = hone_rewriting_in(r, node, k);
        hash = mix(hash, &in, sizeof in);
    }
    for (int k = 0; k < node->call.op->n_attrs; k++)
        hash = mix(hash, node->call.attrs[k].i, (size_t)(node->call.attrs[k].n > 0 ? node->call.attrs[k].n : 0) * sizeof(int64_t));
    return hash;
}

static bool equal_nodes(const hone_rewriting *r, const hone_node *a, const hone_node *b)
{
    if (a->call.op != b->call.op || a->call.n_in != b->call.n_in || a->call.n_out != b->call.n_out) return false;
    for (int k = 0; k < a->call.n_in; k++)
        if (hone_rewriting_in(r, a, k) != hone_rewriting_in(r, b, k)) return false;
    for (int k = 0; k < a->call.op->n_attrs; k++) {
        const hone_attr *x = &a->call.attrs[k], *y = &b->call.attrs[k];
        if (x->n != y->n || (x->n > 0 && memcmp(x->i, y->i, (size_t)x->n * sizeof *x->i))) return false;
    }
    return true;
}

// Open addressing over indices; -1 is empty.
static hone_status new_slots(int n, int **slots, size_t *size)
{
    for (*size = 64; *size < 2 * (size_t)n; *size *= 2) continue;
    *slots = hone_alloc(*size * sizeof **slots);
    if (*slots) memset(*slots, 0xff, *size * sizeof **slots);
    return *slots ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status merge_constants(hone_rewriting *r)
{
    int *slots;
    size_t size;
    const hone_value *values = r->graph->values;
    hone_status status = new_slots(r->graph->n_values, &slots, &size);
    for (int v = 0; status == HONE_OK && v < r->graph->n_values; v++) {
        if (!is_small_constant(&values[v])) continue;
        size_t at = hash_constant(&values[v]) & (size - 1);
        while (slots[at] >= 0 && !equal_constants(&values[slots[at]], &values[v])) at = (at + 1) & (size - 1);
        if (slots[at] >= 0) r->forward[v] = slots[at];
        else slots[at] = v;
    }
    hone_free(slots);
    return status;
}

static hone_status merge_nodes(hone_rewriting *r, bool *fired)
{
    int *slots;
    size_t size;
    const hone_node *nodes = r->graph->nodes;
    hone_status status = new_slots(r->graph->n_nodes, &slots, &size);
    for (int n = 0; status == HONE_OK && n < r->graph->n_nodes; n++) {
        if (r->graph->values[nodes[n].out[0]].is_output) continue;
        size_t at = hash_node(r, &nodes[n]) & (size - 1);
        while (slots[at] >= 0 && !equal_nodes(r, &nodes[slots[at]], &nodes[n])) at = (at + 1) & (size - 1);
        if (slots[at] < 0) slots[at] = n;
        for (int k = 0; slots[at] != n && k < nodes[n].call.n_out; k++) r->forward[nodes[n].out[k]] = nodes[slots[at]].out[k];
        *fired = *fired || slots[at] != n;
    }
    hone_free(slots);
    return status;
}

// ---- applying

// An output of the network stays under its name: as the replacing value, or as a copy where that one has a role already.
static hone_status settle_output(hone_rewriting *r, int k)
{
    hone_graph *graph = r->graph;
    int old = graph->outputs[k], new = hone_rewriting_value(r, old);
    if (new == old) return HONE_OK;
    if (graph->values[new].is_input || graph->values[new].is_output || graph->values[new].data) {
        r->name = graph->values[old].name;
        r->origin = "Identity";
        hone_status status = hone_rewriting_op(r, "identity", 1, &new, &new);
        if (status != HONE_OK) return status;
    }
    graph->values[new].name = graph->values[old].name;
    graph->values[new].is_output = true;
    graph->values[old].is_output = false;
    graph->outputs[k] = new;
    return HONE_OK;
}

static hone_status apply_forward(hone_rewriting *r)
{
    for (int k = 0; k < r->graph->n_outputs; k++) {
        hone_status status = settle_output(r, k);
        if (status != HONE_OK) return status;
    }
    for (int n = 0; n < r->graph->n_nodes; n++)
        for (int k = 0; k < r->graph->nodes[n].call.n_in; k++) r->graph->nodes[n].in[k] = hone_rewriting_value(r, r->graph->nodes[n].in[k]);
    return hone_graph_tidy(r->graph);
}

static hone_status begin_pass(hone_rewriting *r)
{
    int *uses;
    hone_status status = hone_graph_uses(r->graph, &uses);
    if (status != HONE_OK) return status;
    r->n = 0;
    status = cover_new_values(r);
    for (int v = 0; status == HONE_OK && v < r->graph->n_values; v++) r->uses[v] = uses[v];
    hone_free(uses);
    return status;
}

static hone_status run_pass(hone_rewriting *r, int *recognised, bool *fired)
{
    hone_status status;
    *fired = false;
    HONE_TRY(begin_pass(r));
    HONE_TRY(merge_constants(r));
    HONE_TRY(merge_nodes(r, fired));
    HONE_TRY(apply_forward(r));
    HONE_TRY(begin_pass(r));
    for (int n = 0, count = r->graph->n_nodes; n < count; n++) HONE_TRY(rewrite_node(r, n, recognised, fired));
    HONE_TRY(apply_forward(r));
out:
    return status;
}

// Layer names stay unique: rewrites may have made two nodes from one.
static hone_status settle_names(hone_graph *graph)
{
    hone_names names = {0};
    hone_status status = HONE_OK;
    for (int n = 0; status == HONE_OK && n < graph->n_nodes; n++) {
        const char *name = graph->nodes[n].name;
        int *taken = hone_names_find(&names, name);
        while (taken && name) {
            name = hone_arena_printf(graph->arena, "%s.%d", graph->nodes[n].name, ++*taken);
            taken = name ? hone_names_find(&names, name) : NULL;
        }
        status = name ? hone_names_put(&names, name, 1) : HONE_NO_MEMORY;
        graph->nodes[n].name = name ? name : graph->nodes[n].name;
    }
    hone_names_clear(&names);
    return status;
}

static hone_status run_passes(hone_graph *graph, const hone_rewrite *more, int *recognised)
{
    hone_rewriting r = {.graph = graph, .more = more};
    hone_status status = HONE_OK;
    bool fired = true;
    for (int pass = 0; fired && pass < PASSES_MAX; pass++) HONE_TRY(run_pass(&r, recognised, &fired));
    HONE_TRY(settle_names(graph));
out:
    hone_free(r.forward);
    hone_free(r.uses);
    return status;
}

hone_status hone_simplify(hone_graph *graph, int *recognised)
{
    return run_passes(graph, NULL, recognised);
}

// ---- without the rows that nobody reads

static bool has_slice(const hone_graph *graph)
{
    for (int n = 0; n < graph->n_nodes; n++)
        if (!strcmp(graph->nodes[n].call.op->name, "slice")) return true;
    return false;
}

hone_status hone_simplify_narrow(const hone_graph *graph, hone_graph **narrow)
{
    hone_graph *made = NULL;
    int raised = 0;
    hone_status status = HONE_OK;
    *narrow = NULL;
    if (!has_slice(graph)) return HONE_OK;
    HONE_TRY(hone_graph_copy(graph, &made));
    HONE_TRY(run_passes(made, hone_rewrites_narrow, &raised));
    if (raised && hone_graph_flops(made) < WORTH * hone_graph_flops(graph)) *narrow = made, made = NULL;
out:
    hone_graph_free(made);
    return status;
}
