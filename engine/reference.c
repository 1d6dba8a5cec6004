// SPDX-License-Identifier: Apache-2.0
// The reference walk: node by node, arrays freed behind their last reader.
#include "engine/graph.h"

#include "base/alloc.h"

typedef struct walk {
    const hone_graph *graph;
    hone_array *arrays;        // per value; tensor.dtype NONE when not made
    int *readers;              // left
    int threads;
} walk;

static hone_status load_constant(walk *w, int v)
{
    const hone_value *value = &w->graph->values[v];
    if (!value->data || w->arrays[v].tensor.dtype != HONE_DTYPE_NONE) return HONE_OK;
    hone_status status = hone_array_init(&w->arrays[v], &value->tensor);
    if (status == HONE_OK) hone_array_unpack(&w->arrays[v], &value->tensor, value->data, w->threads);
    return status;
}

static void drop_reader(walk *w, int v)
{
    if (v >= 0 && --w->readers[v] <= 0) hone_array_clear(&w->arrays[v]);
}

static hone_status run_node(walk *w, const hone_node *node)
{
    hone_array in[HONE_INPUTS_MAX] = {{.f = NULL}}, out[HONE_OUTPUTS_MAX] = {{.f = NULL}};
    for (int k = 0; k < node->call.n_in; k++) {
        if (node->in[k] < 0) continue;
        hone_status status = load_constant(w, node->in[k]);
        if (status != HONE_OK) return status;
        in[k] = w->arrays[node->in[k]];      // borrowed
    }
    hone_status status = hone_call_reference(&node->call, in, out, w->threads);
    if (status != HONE_OK) return hone_fail_in(status, "layer %s", node->name);
    for (int k = 0; k < node->call.n_out; k++) w->arrays[node->out[k]] = out[k];
    return HONE_OK;
}

static hone_status copy_array(const hone_array *from, hone_array *to)
{
    hone_status status = hone_array_init(to, &from->tensor);
    if (status != HONE_OK) return status;
    for (int64_t k = 0, n = hone_tensor_count(&from->tensor); k < n; k++) {
        if (from->f) to->f[k] = from->f[k];
        else to->i[k] = from->i[k];
    }
    return HONE_OK;
}

static hone_status check_input(const hone_value *value, const hone_array *array)
{
    if (array->tensor.dtype == value->tensor.dtype && hone_tensor_same_dims(&array->tensor, &value->tensor)) return HONE_OK;
    hone_text want = {0}, have = {0};
    hone_tensor_print(&value->tensor, &want);
    hone_tensor_print(&array->tensor, &have);
    hone_status status = hone_fail(HONE_USAGE, "input %s is %s, but %s was given", value->name, hone_text_get(&want), hone_text_get(&have));
    hone_text_clear(&want);
    hone_text_clear(&have);
    return status;
}

typedef hone_status (*each_fn)(void *user, const hone_graph *graph, int value, const hone_array *array);

static hone_status run_nodes(walk *w, each_fn each, void *user)
{
    hone_status status = HONE_OK;
    for (int n = 0; n < w->graph->n_nodes; n++) {
        const hone_node *node = &w->graph->nodes[n];
        HONE_TRY(run_node(w, node));
        for (int k = 0; each && k < node->call.n_out; k++) HONE_TRY(each(user, w->graph, node->out[k], &w->arrays[node->out[k]]));
        for (int k = 0; k < node->call.n_in; k++) drop_reader(w, node->in[k]);
        for (int k = 0; k < node->call.n_out; k++)
            if (!w->readers[node->out[k]]) hone_array_clear(&w->arrays[node->out[k]]);
    }
out:
    return status;
}

hone_status hone_graph_reference(const hone_graph *graph, const hone_array *inputs, hone_array *outputs, int threads, each_fn each, void *user)
{
    walk w = {.graph = graph, .threads = threads};
    int made = 0;
    hone_status status = hone_graph_uses(graph, &w.readers);
    w.arrays = hone_calloc((size_t)graph->n_values + 1, sizeof *w.arrays);
    if (!w.arrays) status = HONE_NO_MEMORY;
    if (status != HONE_OK) goto out;
    for (int k = 0; k < graph->n_inputs; k++) {
        HONE_TRY(check_input(&graph->values[graph->inputs[k]], &inputs[k]));
        HONE_TRY(copy_array(&inputs[k], &w.arrays[graph->inputs[k]]));
    }
    HONE_TRY(run_nodes(&w, each, user));
    for (; made < graph->n_outputs; made++) {
        HONE_TRY(load_constant(&w, graph->outputs[made]));
        HONE_TRY(copy_array(&w.arrays[graph->outputs[made]], &outputs[made]));
    }
out:
    for (int v = 0; w.arrays && v < graph->n_values; v++) hone_array_clear(&w.arrays[v]);
    for (int k = 0; status != HONE_OK && k < made; k++) hone_array_clear(&outputs[k]);
    hone_free(w.arrays);
    hone_free(w.readers);
    return status;
}
