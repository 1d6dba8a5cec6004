// SPDX-License-Identifier: Apache-2.0
// A network's inputs with their shapes, which --shapes may give, and its outputs.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/import_priv.h"

// ---- inputs

static int find_shape(const hone_shapes *shapes, const char *name, int position)
{
    char number[16];
    snprintf(number, sizeof number, "%d", position);
    for (int pass = 0; shapes && pass < 2; pass++)
        for (int k = 0; k < shapes->n; k++)
            if (!strcmp(shapes->items[k].name, pass ? number : name)) return k;
    return -1;
}

static int64_t find_param(const hone_shapes *shapes, const char *param)
{
    for (int k = 0; shapes && *param && k < shapes->n; k++)
        if (!strcmp(shapes->items[k].name, param) && shapes->items[k].rank == 1) return shapes->items[k].dims[0];
    return -1;
}

static void print_type(const onnx_value *input, hone_text *text)
{
    hone_dtype dtype = HONE_DTYPE_NONE;
    onnx_dtype(input->type, &dtype);
    bool is_tensor = !strcmp(input->kind, "tensor");
    hone_text_printf(text, "%s", is_tensor && dtype != HONE_DTYPE_NONE ? hone_dtype_name(dtype) : input->kind);
    hone_text_printf(text, input->n_dims < 0 ? " (rank unknown)" : " [");
    for (int k = 0; k < input->n_dims; k++) {
        if (k) hone_text_printf(text, ", ");
        if (input->dims[k] >= 0) hone_text_printf(text, "%lld", (long long)input->dims[k]);
        else hone_text_printf(text, "%s", *input->params[k] ? input->params[k] : "?");
    }
    hone_text_printf(text, input->n_dims < 0 ? "" : "]");
}

static hone_status report_input(hone_import_report *report, const onnx_value *input)
{
    hone_text type = {0};
    if (hone_grow(&report->inputs, (size_t)report->n_inputs, &report->inputs_capacity, sizeof *report->inputs, 1 << 20)) return HONE_NO_MEMORY;
    print_type(input, &type);
    hone_import_input *made = &report->inputs[report->n_inputs++];
    *made = (hone_import_input){hone_strdup(input->name), hone_strdup(hone_text_get(&type))};
    hone_text_clear(&type);
    return made->name && made->type ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status bind_given_shape(const onnx_value *input, const hone_shapes *shapes, int at, hone_tensor *tensor)
{
    tensor->rank = shapes->items[at].rank;
    memcpy(tensor->dims, shapes->items[at].dims, sizeof tensor->dims);
    if (input->n_dims < 0) return HONE_OK;
    if (tensor->rank != input->n_dims)
        return hone_fail(HONE_USAGE, "--shapes gives input %s %d dims, it has %d", input->name, tensor->rank, input->n_dims);
    for (int k = 0; k < tensor->rank; k++)
        if (input->dims[k] >= 0 && input->dims[k] != tensor->dims[k])
            return hone_fail(HONE_USAGE, "--shapes gives dim %d of input %s %lld, the network fixes it to %lld", k, input->name,
                             (long long)tensor->dims[k], (long long)input->dims[k]);
    return HONE_OK;
}

// *bound is false when dims are left open; the wish for them goes into `wanted`, spelled as --shapes would take it.
static hone_status input_shape(onnx_import *im, const onnx_value *input, int position, hone_tensor *tensor, bool *bound, hone_text *wanted)
{
    const hone_shapes *shapes = im->options->shapes;
    int at = find_shape(shapes, input->name, position);
    *bound = true;
    if (at >= 0) return bind_given_shape(input, shapes, at, tensor);
    if (input->n_dims > HONE_RANK_MAX) return hone_fail(HONE_MODEL, "input %s has %d dims, at most %d are supported", input->name, input->n_dims, HONE_RANK_MAX);
    tensor->rank = input->n_dims < 0 ? 0 : input->n_dims;
    *bound = input->n_dims >= 0;
    for (int k = 0; k < input->n_dims; k++) {
        tensor->dims[k] = input->dims[k] >= 0 ? input->dims[k] : find_param(shapes, input->params[k]);
        *bound = *bound && tensor->dims[k] >= 0;
    }
    if (*bound) return HONE_OK;
    hone_text_printf(wanted, "%s%s:", wanted->size ? "," : "", input->name);
    for (int k = 0; k < tensor->rank; k++) {
        hone_text_printf(wanted, k ? "x" : "");
        if (tensor->dims[k] >= 0) hone_text_printf(wanted, "%lld", (long long)tensor->dims[k]);
        else hone_text_printf(wanted, "%s", *input->params[k] ? input->params[k] : "?");
    }
    if (input->n_dims < 0) hone_text_printf(wanted, "?x...x?");
    return HONE_OK;
}

static const hone_bound_value *find_bound(const onnx_import *im, const char *name)
{
    for (int k = 0; k < im->options->n_bound; k++)
        if (!strcmp(im->options->bound[k].name, name)) return &im->options->bound[k];
    return NULL;
}

static hone_status import_bound(onnx_import *im, const hone_bound_value *bound)
{
    int value = hone_graph_add_constant(im->graph, bound->name, &bound->tensor, bound->data);
    return value < 0 ? HONE_NO_MEMORY : onnx_bind_new(im, bound->name, value, NULL);
}

static hone_status add_port(onnx_import *im, int value, bool is_input)
{
    hone_graph *graph = im->graph;
    if (is_input) graph->inputs[graph->n_inputs++] = value;
    else graph->outputs[graph->n_outputs++] = value;
    if (is_input) graph->values[value].is_input = true;
    else graph->values[value].is_output = true;
    return HONE_OK;
}

static hone_status import_input(onnx_import *im, const onnx_value *input, int position, hone_text *wanted)
{
    hone_tensor tensor = {0};
    bool bound;
    hone_status status = report_input(im->report, input);
    if (status != HONE_OK) return status;
    if (find_bound(im, input->name)) return import_bound(im, find_bound(im, input->name));
    status = strcmp(input->kind, "tensor") ? hone_fail(HONE_MODEL, "a %s is not supported", input->kind)
                                                        : onnx_dtype(input->type, &tensor.dtype);
    if (status != HONE_OK) {
        const char *why = hone_arena_printf(im->model->arena, "operand %s: %s", input->name, hone_error_text());
        return why ? onnx_bind_new(im, input->name, -1, why) : HONE_NO_MEMORY;
    }
    HONE_TRY(input_shape(im, input, position, &tensor, &bound, wanted));
    if (!bound) return HONE_OK;
    status = hone_tensor_check(&tensor);
    if (status != HONE_OK) return hone_fail(HONE_MODEL, "input %s: %s", input->name, hone_error_text());
    int value = hone_graph_add_value(im->graph, input->name, &tensor);
    if (value < 0) return HONE_NO_MEMORY;
    HONE_TRY(onnx_bind_new(im, input->name, value, NULL));
    HONE_TRY(add_port(im, value, true));
out:
    return status;
}

static hone_status check_shapes_used(const onnx_import *im)
{
    const hone_shapes *shapes = im->options->shapes;
    const onnx_graph *graph = im->model->graph;
    for (int k = 0; shapes && k < shapes->n; k++) {
        bool used = false;
        for (int j = 0; j < graph->n_inputs; j++) {
            used = used || find_shape(shapes, graph->inputs[j].name, j) == k;
            for (int d = 0; d < graph->inputs[j].n_dims; d++) used = used || !strcmp(graph->inputs[j].params[d], shapes->items[k].name);
        }
        if (!used) return hone_fail(HONE_USAGE, "--shapes names %s, which is no input and no symbolic dim of the network", shapes->items[k].name);
    }
    return HONE_OK;
}

hone_status onnx_import_inputs(onnx_import *im)
{
    const onnx_graph *graph = im->model->graph;
    hone_text wanted = {0};
    hone_status status = check_shapes_used(im);
    if (status != HONE_OK) goto out;
    for (int k = 0; k < graph->n_inputs; k++) {
        const int *known = hone_names_find(&im->scope->names, graph->inputs[k].name);
        if (known && *known < graph->n_tensors) continue;              // IR 3: initializers stand among the inputs
        HONE_TRY(import_input(im, &graph->inputs[k], k, &wanted));
    }
    if (wanted.size)
        status = hone_fail(HONE_MODEL, "dims of the inputs are not fixed; give them with --shapes %s (numbers in place of names and ?)", hone_text_get(&wanted));
out:
    hone_text_clear(&wanted);
    return status;
}

// ---- outputs

// A value leaves once, under the network's name; inputs, constants and doubles leave as copies.
static hone_status import_output(onnx_import *im, const onnx_value *output)
{
    const onnx_binding *found = onnx_look_up(im, output->name);
    if (!found) return hone_fail(HONE_MODEL, "output %s is made by no node", output->name);
    if (found->value < 0) return found->why ? hone_fail(HONE_MODEL, "output %s: %s", output->name, found->why) : HONE_OK;
    hone_value *v = &im->graph->values[found->value];
    int value = found->value, node;
    if (v->is_input || v->is_output || v->data) {
        hone_call call;
        hone_status status = hone_call_init(&call, "identity", 1);
        char *name = onnx_unique_name(im, output->name);
        if (!name) return HONE_NO_MEMORY;
        if (status == HONE_OK) status = hone_graph_put_node(im->graph, name, "Identity", &call, &value, &node);
        if (status != HONE_OK) return status;
        value = im->graph->nodes[node].out[0];
    }
    im->graph->values[value].name = hone_arena_strdup(im->graph->arena, output->name);
    return im->graph->values[value].name ? add_port(im, value, false) : HONE_NO_MEMORY;
}

hone_status onnx_import_outputs(onnx_import *im)
{
    const onnx_graph *graph = im->model->graph;
    for (int k = 0; k < graph->n_outputs; k++) {
        hone_status status = import_output(im, &graph->outputs[k]);
        if (status != HONE_OK && !(im->report->unsupported && status == HONE_MODEL)) return status;
    }
    return graph->n_outputs ? HONE_OK : hone_fail(HONE_MODEL, "the network has no outputs");
}

// ---- --shapes

static hone_status parse_shape(const char *text, size_t size, hone_shapes *shapes)
{
    const char *colon = memrchr(text, ':', size);
    if (shapes->n == (int)(sizeof shapes->items / sizeof *shapes->items)) return hone_fail(HONE_USAGE, "--shapes: more than 32 shapes");
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof shapes->items->name)
        return hone_fail(HONE_USAGE, "--shapes: \"%.*s\" is not NAME:1x3x640x640", (int)size, text);
    memcpy(shapes->items[shapes->n].name, text, (size_t)(colon - text));
    shapes->items[shapes->n].name[colon - text] = 0;
    int rank = 0;
    hone_scan scan = {colon + 1};
    while (scan.at < text + size) {
        int64_t dim;
        if (rank == HONE_RANK_MAX || (rank && !hone_scan_char(&scan, 'x')) || !hone_scan_int(&scan, &dim) || dim < 0 || dim > HONE_ELEMENTS_MAX)
            return hone_fail(HONE_USAGE, "--shapes: \"%.*s\" is not NAME:1x3x640x640 with at most %d dims", (int)size, text, HONE_RANK_MAX);
        shapes->items[shapes->n].dims[rank++] = dim;
    }
    shapes->items[shapes->n++].rank = rank;
    return HONE_OK;
}

hone_status hone_shapes_parse(const char *text, hone_shapes *shapes)
{
    *shapes = (hone_shapes){0};
    while (*text) {
        size_t size = strcspn(text, ",");
        hone_status status = parse_shape(text, size, shapes);
        if (status != HONE_OK) return status;
        text += size + (text[size] == ',');
    }
    return HONE_OK;
}
