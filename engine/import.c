// SPDX-License-Identifier: Apache-2.0
// The walk over an ONNX document: constants loaded, nodes handed to their rules, branches and functions entered in place.
#include "engine/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/import_priv.h"

enum { BINDINGS_MAX = 2000000, OLDEST_IR = 3, OLDEST_OPSET = 7, NEWEST_OPSET = 27 };

static hone_status import_nodes(onnx_import *im, int n, const onnx_node *nodes);

static bool ends_import(hone_status status)
{
    return status == HONE_NO_MEMORY || status == HONE_INTERNAL || status == HONE_IO;
}

// ---- names in sight

static hone_status bind(onnx_import *im, const char *name, int value, const char *why)
{
    if (hone_grow(&im->bindings, (size_t)im->n_bindings, &im->bindings_capacity, sizeof *im->bindings, BINDINGS_MAX)) return HONE_NO_MEMORY;
    im->bindings[im->n_bindings] = (onnx_binding){value, why};
    return hone_names_put(&im->scope->names, name, im->n_bindings++);
}

hone_status onnx_bind_new(onnx_import *im, const char *name, int value, const char *why)
{
    if (hone_names_find(&im->scope->names, name)) return hone_fail(HONE_MODEL, "the name %s is given to two values", name);
    return bind(im, name, value, why);
}

const onnx_binding *onnx_look_up(const onnx_import *im, const char *name)
{
    for (const onnx_scope *scope = im->scope; scope; scope = scope->parent) {
        const int *at = hone_names_find(&scope->names, name);
        if (at) return &im->bindings[*at];
    }
    return NULL;
}

char *onnx_unique_name(onnx_import *im, const char *wish)
{
    char *name = hone_arena_printf(im->graph->arena, "%s%s", im->prefix, wish);
    int *taken = name ? hone_names_find(&im->node_names, name) : NULL;
    while (name && taken) {
        name = hone_arena_printf(im->graph->arena, "%s%s.%d", im->prefix, wish, ++*taken);
        taken = name ? hone_names_find(&im->node_names, name) : NULL;
    }
    return name && hone_names_put(&im->node_names, name, 1) == HONE_OK ? name : NULL;
}

// ---- what is not supported

static hone_import_count *count_of(hone_import_report *report, const onnx_node *node)
{
    char op[sizeof report->counts->op];
    snprintf(op, sizeof op, "%s%s%s", node->domain, *node->domain ? "." : "", node->op_type);
    for (int k = 0; k < report->n_counts; k++)
        if (!strcmp(report->counts[k].op, op)) return &report->counts[k];
    if (hone_grow(&report->counts, (size_t)report->n_counts, &report->counts_capacity, sizeof *report->counts, 4096)) return NULL;
    hone_import_count *made = &report->counts[report->n_counts++];
    *made = (hone_import_count){0};
    memcpy(made->op, op, sizeof op);
    return made;
}

static void list_node(onnx_import *im, const onnx_node *node, const char *name, const char *why)
{
    hone_import_report *report = im->report;
    hone_text_printf(&report->text, "%s (%s): %s\n", name, *node->op_type ? node->op_type : "no operator", why);
    report->unsupported++;
    hone_import_count *count = count_of(report, node);
    if (count && !count->refused++) snprintf(count->reason, sizeof count->reason, "%s", why);
}

// ---- one node

static const onnx_function *find_function(const onnx_import *im, const onnx_node *node)
{
    for (int k = 0; k < im->model->n_functions; k++) {
        const onnx_function *f = &im->model->functions[k];
        if (!strcmp(f->name, node->op_type) && !strcmp(f->domain, node->domain)) return f;
    }
    return NULL;
}

// Why an operator is refused as such; NULL when it is known, though a node of it may still be refused.
static const char *refusal(const onnx_import *im, const onnx_node *node)
{
    const char *line;
    if (find_function(im, node)) return NULL;
    if (*node->domain) return hone_arena_printf(im->model->arena, "domain %s is not known", node->domain);
    const onnx_rule *rule = onnx_rule_find(im, node->op_type);
    if (rule) return rule->handle ? NULL : rule->word;
    return onnx_direct_find(node->op_type, &line) ? NULL : "the operator is not supported";
}

static hone_status check_count(const onnx_node *node, int n, int least, int most, const char *what)
{
    if (n >= least && n <= most) return HONE_OK;
    return hone_fail(HONE_MODEL, "%s has %d %s, %d to %d are known", node->op_type, n, what, least, most);
}

static hone_status check_attrs(const onnx_import *im)
{
    if (im->wrong_attr) return hone_fail(HONE_MODEL, "%s", im->wrong_attr);
    for (int k = 0; k < im->node->n_attrs; k++)
        if (!(im->used_attrs >> (k & 63) & 1)) return hone_fail(HONE_MODEL, "attribute %s is not known", im->node->attrs[k].name);
    return HONE_OK;
}

static hone_status run_function(onnx_import *im, const onnx_function *f, const int *in, int n_in, int *out);

static hone_status run_rule(onnx_import *im, const int *in, int n_in, int *out)
{
    const onnx_node *node = im->node;
    const onnx_function *function = find_function(im, node);
    if (node->strange) return hone_fail(HONE_MODEL, "its %s is not understood", node->strange);
    if (function) return run_function(im, function, in, n_in, out);
    const char *why = refusal(im, node);
    if (why) return hone_fail(HONE_MODEL, "%s", why);
    if (node->n_attrs > 64) return hone_fail(HONE_MODEL, "it has more than 64 attributes");
    const onnx_rule *rule = onnx_rule_find(im, node->op_type);
    const char *line;
    const hone_op *op = rule ? NULL : onnx_direct_find(node->op_type, &line);
    hone_status status;
    if (rule) {
        HONE_TRY(check_count(node, n_in, rule->min_in, rule->max_in, "operands"));
        HONE_TRY(check_count(node, node->n_outputs, 1, rule->max_out, "outputs"));
        for (int k = 0; k < rule->min_in; k++)
            if (in[k] < 0) HONE_TRY(hone_fail(HONE_MODEL, "operand %d is missing", k));
        HONE_TRY(rule->handle(im, in, n_in, out));
    } else {
        HONE_TRY(onnx_direct_import(im, op, line, in, n_in, out));
    }
    HONE_TRY(check_attrs(im));
out:
    return status;
}

// Looks the operands up. *lost when one is not there because its node was refused; the reason when it is lost by itself.
static hone_status find_operands(onnx_import *im, const onnx_node *node, int *in, int *n_in, bool *lost)
{
    *lost = false;
    *n_in = node->n_inputs;
    if (node->n_inputs > HONE_IMPORT_OPERANDS) return hone_fail(HONE_MODEL, "it has %d operands", node->n_inputs);
    if (node->n_outputs > HONE_IMPORT_OPERANDS) return hone_fail(HONE_MODEL, "it has %d outputs", node->n_outputs);
    const char *why = NULL;
    for (int k = 0; k < node->n_inputs; k++) {
        in[k] = -1;
        if (!*node->inputs[k]) continue;
        const onnx_binding *found = onnx_look_up(im, node->inputs[k]);
        if (!found) return hone_fail(HONE_MODEL, "operand %s is made by no node before it (a missing name, a cycle, or nodes out of order)", node->inputs[k]);
        in[k] = found->value;
        *lost = *lost || found->value < 0;
        if (found->value < 0 && found->why) why = found->why;
    }
    while (*n_in > 0 && !*node->inputs[*n_in - 1]) --*n_in;
    return why ? hone_fail(HONE_MODEL, "%s", why) : HONE_OK;
}

static hone_status bind_outputs(onnx_import *im, const onnx_node *node, const int *out)
{
    for (int k = 0; k < node->n_outputs; k++) {
        if (!*node->outputs[k]) continue;
        hone_status status = onnx_bind_new(im, node->outputs[k], out ? out[k] : -1, NULL);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

// A value made for this node takes the network's name for it.
static hone_status name_outputs(onnx_import *im, const onnx_node *node, const int *out, int first_value)
{
    for (int k = 0; k < node->n_outputs; k++) {
        if (!*node->outputs[k] || out[k] < first_value) continue;
        char *name = hone_arena_printf(im->graph->arena, "%s%s", im->prefix, node->outputs[k]);
        if (!name) return HONE_NO_MEMORY;
        im->graph->values[out[k]].name = name;
    }
    return HONE_OK;
}

static const char *base_name(const onnx_node *node)
{
    if (*node->name) return node->name;
    for (int k = 0; k < node->n_outputs; k++)
        if (*node->outputs[k]) return node->outputs[k];
    return node->op_type;
}

static void set_node(onnx_import *im, const onnx_node *node, char *name)
{
    im->node = node;
    im->name = name;
    im->used_attrs = 0;
    im->wrong_attr = NULL;
    im->n_emitted = 0;
}

static hone_status try_node(onnx_import *im, const onnx_node *node, int *in, int *out, bool *listed)
{
    int n_in, first_value = im->graph->n_values;
    bool lost;
    hone_status status = find_operands(im, node, in, &n_in, &lost);
    const char *why = status == HONE_OK && lost ? refusal(im, node) : NULL;
    *listed = status == HONE_OK && lost && !why;          // its own turn comes when what it reads is supported
    if (*listed) return HONE_MODEL;
    if (why) return hone_fail(HONE_MODEL, "%s", why);
    if (status != HONE_OK) return status;
    for (int k = 0; k < node->n_outputs; k++) out[k] = -1;
    HONE_TRY(run_rule(im, in, n_in, out));
    for (int k = 0; k < node->n_outputs; k++)
        if (*node->outputs[k] && out[k] < 0) HONE_TRY(hone_fail(HONE_MODEL, "its output %d is not supported", k));
    HONE_TRY(name_outputs(im, node, out, first_value));
out:
    return status;
}

// Attributes of a function's body that stand for the caller's are replaced by these.
static hone_status resolve_attrs(onnx_import *im, const onnx_node *from, onnx_node *to)
{
    *to = *from;
    bool any = false;
    for (int k = 0; k < from->n_attrs; k++) any = any || from->attrs[k].ref;
    if (!any) return HONE_OK;
    if (!im->frame) return hone_fail(HONE_MODEL, "an attribute refers to a function's, outside of any");
    onnx_attr *attrs = hone_arena_alloc(im->model->arena, (size_t)from->n_attrs * sizeof *attrs);
    if (!attrs) return HONE_NO_MEMORY;
    to->attrs = attrs;
    to->n_attrs = 0;
    for (int k = 0; k < from->n_attrs; k++) {
        const onnx_attr *attr = &from->attrs[k];
        const onnx_node *caller = im->frame->caller;
        for (int j = 0; attr->ref && j < caller->n_attrs; j++) {
            if (strcmp(caller->attrs[j].name, attr->ref)) continue;
            attrs[to->n_attrs] = caller->attrs[j];
            attrs[to->n_attrs++].name = attr->name;
        }
        if (!attr->ref) attrs[to->n_attrs++] = *attr;
    }
    return HONE_OK;
}

static hone_status import_node(onnx_import *im, const onnx_node *from, int *in, int *out)
{
    onnx_node *node = hone_arena_alloc(im->model->arena, sizeof *node);
    char *name = onnx_unique_name(im, base_name(from));
    hone_import_count *count = count_of(im->report, from);
    if (!node || !name || !count) return HONE_NO_MEMORY;
    count->nodes++;
    im->visited += im->depth > 0;
    if (im->visited > HONE_IMPORT_NODES) return hone_fail(HONE_MODEL, "branches and functions expand to more than %d nodes", HONE_IMPORT_NODES);
    bool listed = false;
    hone_status status = resolve_attrs(im, from, node);
    set_node(im, node, name);
    if (status == HONE_OK) status = try_node(im, node, in, out, &listed);
    if (ends_import(status)) return hone_fail_in(status, "%s (%s)", name, node->op_type);
    if (status != HONE_OK && !listed) list_node(im, node, name, hone_error_text());
    status = bind_outputs(im, node, status == HONE_OK ? out : NULL);
    return status == HONE_OK ? HONE_OK : hone_fail_in(status, "%s (%s)", name, node->op_type);
}

static hone_status import_nodes(onnx_import *im, int n, const onnx_node *nodes)
{
    hone_status status = HONE_OK;
    int most = 1;              // operands or outputs of a node; more than are allowed are refused before they are stored
    for (int k = 0; k < n; k++) {
        most = nodes[k].n_inputs > most ? nodes[k].n_inputs : most;
        most = nodes[k].n_outputs > most ? nodes[k].n_outputs : most;
    }
    int *in = hone_calloc(2 * (size_t)most, sizeof *in), *out = in + most;
    if (!in) return HONE_NO_MEMORY;
    const onnx_node *outer = im->node;
    onnx_import saved = *im;
    for (int k = 0; k < n && status == HONE_OK; k++) status = import_node(im, &nodes[k], in, out);
    im->node = outer;
    im->name = saved.name;
    im->used_attrs = saved.used_attrs;
    im->wrong_attr = saved.wrong_attr;
    im->n_emitted = saved.n_emitted;
    hone_free(in);
    return status;
}

// ---- branches and functions

static hone_status enter(onnx_import *im, const char *label, onnx_scope *scope, const char **prefix)
{
    if (++im->depth > HONE_IMPORT_DEPTH) return hone_fail(HONE_MODEL, "branches and functions are nested deeper than %d levels", HONE_IMPORT_DEPTH);
    *prefix = im->prefix;
    im->prefix = hone_arena_printf(im->graph->arena, "%s/%s/", im->name, label);
    if (!im->prefix) return HONE_NO_MEMORY;
    *scope = (onnx_scope){.parent = im->scope};
    return HONE_OK;
}

static hone_status load_tensors(onnx_import *im, const onnx_graph *graph)
{
    if (graph->n_sparse) return hone_fail(HONE_MODEL, "sparse initializers are not supported");
    for (int k = 0; k < graph->n_tensors; k++) {
        const onnx_tensor *t = &graph->tensors[k];
        hone_tensor type;
        int value = -1;
        hone_status status = onnx_dtype(t->type, &type.dtype);
        const char *why = status == HONE_OK ? NULL : hone_arena_printf(im->model->arena, "operand %s: %s", t->name, hone_error_text());
        if (status == HONE_OK) status = onnx_import_constant(im, t, t->name, &value);
        else status = HONE_OK;
        if (status == HONE_OK) status = onnx_bind_new(im, t->name, value, why);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

static hone_status take_outputs(onnx_import *im, int n, const char *(*name_of)(const void *, int), const void *list, int *out)
{
    for (int k = 0; k < n; k++) {
        const onnx_binding *found = onnx_look_up(im, name_of(list, k));
        if (!found) return hone_fail(HONE_MODEL, "output %s is made by no node", name_of(list, k));
        out[k] = found->value;
    }
    return HONE_OK;
}

static const char *value_name(const void *list, int k) { return ((const onnx_value *)list)[k].name; }
static const char *plain_name(const void *list, int k) { return ((const char *const *)list)[k]; }

// A branch whose node cannot be imported has listed it: the outputs are lost without a second line.
static hone_status lost_inside(const int *out, int n)
{
    for (int k = 0; k < n; k++)
        if (out[k] < 0) return hone_fail(HONE_MODEL, "a node inside it is not supported");
    return HONE_OK;
}

hone_status onnx_import_branch(onnx_import *im, const onnx_graph *graph, const char *label, int n_out, int *out)
{
    const char *prefix = im->prefix;
    onnx_scope scope = {.parent = im->scope};
    hone_status status = enter(im, label, &scope, &prefix);
    im->scope = &scope;
    if (status != HONE_OK) goto out;
    if (graph->n_inputs) HONE_TRY(hone_fail(HONE_MODEL, "the branch has inputs"));
    if (graph->n_outputs != n_out) HONE_TRY(hone_fail(HONE_MODEL, "the branch has %d outputs, %d are wanted", graph->n_outputs, n_out));
    HONE_TRY(load_tensors(im, graph));
    HONE_TRY(import_nodes(im, graph->n_nodes, graph->nodes));
    HONE_TRY(take_outputs(im, n_out, value_name, graph->outputs, out));
    HONE_TRY(lost_inside(out, n_out));
out:
    im->scope = scope.parent;
    im->prefix = prefix;
    im->depth--;
    hone_names_clear(&scope.names);
    return status;
}

static hone_status check_function(const onnx_import *im, const onnx_function *f, int n_in)
{
    for (const onnx_frame *frame = im->frame; frame; frame = frame->parent)
        if (frame->function == f) return hone_fail(HONE_MODEL, "function %s calls itself", f->name);
    if (f->strange) return hone_fail(HONE_MODEL, "the function's %s are not understood", f->strange);
    if (n_in > f->n_inputs) return hone_fail(HONE_MODEL, "function %s takes %d operands, not %d", f->name, f->n_inputs, n_in);
    if (im->node->n_outputs > f->n_outputs) return hone_fail(HONE_MODEL, "function %s has %d outputs", f->name, f->n_outputs);
    return HONE_OK;
}

static int opset_of(const onnx_opset *opsets, int n, int fallback)
{
    for (int k = 0; k < n; k++)
        if (!*opsets[k].domain && opsets[k].version > 0 && opsets[k].version < 1000) return (int)opsets[k].version;
    return fallback;
}

static hone_status run_function(onnx_import *im, const onnx_function *f, const int *in, int n_in, int *out)
{
    const char *prefix = im->prefix;
    onnx_scope scope = {.parent = NULL};
    onnx_scope *outer = im->scope;
    onnx_frame frame = {im->frame, f, im->node};
    int opset = im->opset;
    im->used_attrs = ~(uint64_t)0;
    hone_status status = check_function(im, f, n_in);
    if (status != HONE_OK) return status;
    status = enter(im, f->name, &scope, &prefix);
    scope.parent = NULL;                   // a body sees its operands, not the names around its caller
    im->scope = &scope;
    im->frame = &frame;
    im->opset = opset_of(f->opsets, f->n_opsets, opset);
    if (status != HONE_OK) goto out;
    for (int k = 0; k < f->n_inputs; k++)
        if (k < n_in && in[k] >= 0) HONE_TRY(onnx_bind_new(im, f->inputs[k], in[k], NULL));
    HONE_TRY(import_nodes(im, f->n_nodes, f->nodes));
    HONE_TRY(take_outputs(im, frame.caller->n_outputs, plain_name, f->outputs, out));
    HONE_TRY(lost_inside(out, frame.caller->n_outputs));
out:
    im->scope = outer;
    im->frame = frame.parent;
    im->opset = opset;
    im->prefix = prefix;
    im->depth--;
    hone_names_clear(&scope.names);
    return status;
}

// ---- the whole

static hone_status check_versions(onnx_import *im)
{
    const onnx_model *model = im->model;
    if (model->ir_version < OLDEST_IR) return hone_fail(HONE_MODEL, "IR version %lld is older than %d, the oldest supported; save the network with a newer exporter", (long long)model->ir_version, OLDEST_IR);
    if (model->ir_version > 100) return hone_fail(HONE_MODEL, "IR version %lld is no version of ONNX", (long long)model->ir_version);
    im->opset = -1;
    for (int k = 0; k < model->n_opsets; k++) {
        if (*model->opsets[k].domain) continue;
        if (model->opsets[k].version < 1 || model->opsets[k].version > NEWEST_OPSET)
            return hone_fail(HONE_MODEL, "opset %lld is newer than %d, the newest supported", (long long)model->opsets[k].version, NEWEST_OPSET);
        im->opset = (int)model->opsets[k].version;
    }
    if (im->opset < 0) return hone_fail(HONE_MODEL, "the model names no opset of ONNX's own operators");
    if (im->opset < OLDEST_OPSET) return hone_fail(HONE_MODEL, "opset %d is older than %d, the oldest supported", im->opset, OLDEST_OPSET);
    im->report->ir_version = model->ir_version;
    im->report->opset = im->opset;
    snprintf(im->report->producer, sizeof im->report->producer, "%s", model->producer);
    return HONE_OK;
}

static int compare_counts(const void *a, const void *b)
{
    return strcmp(((const hone_import_count *)a)->op, ((const hone_import_count *)b)->op);
}

static hone_status sum_up(onnx_import *im)
{
    const hone_import_report *report = im->report;
    if (!report->unsupported || im->options->keep_going) return HONE_OK;
    int n = report->unsupported;
    return hone_fail(HONE_MODEL, "%d node%s cannot be imported:\n%.*s", n, n == 1 ? "" : "s", (int)report->text.size - 1, hone_text_get(&report->text));
}

static hone_status walk(onnx_import *im)
{
    const onnx_graph *graph = im->model->graph;
    hone_status status = check_versions(im);
    if (status != HONE_OK) return status;
    im->graph->inputs = hone_calloc((size_t)graph->n_inputs + 1, sizeof(int));
    im->graph->outputs = hone_calloc((size_t)graph->n_outputs + 1, sizeof(int));
    if (!im->graph->inputs || !im->graph->outputs) return HONE_NO_MEMORY;
    HONE_TRY(load_tensors(im, graph));
    HONE_TRY(onnx_import_inputs(im));
    HONE_TRY(import_nodes(im, graph->n_nodes, graph->nodes));
    HONE_TRY(sum_up(im));
    HONE_TRY(onnx_import_outputs(im));
    HONE_TRY(hone_graph_tidy(im->graph));
    if (im->options->simplify) HONE_TRY(hone_simplify(im->graph, &im->report->recognised));
    HONE_TRY(hone_graph_check(im->graph));
    HONE_TRY(hone_graph_digest_begin(im->graph));
out:
    return status;
}

// Unbound dims stop the import before its nodes; inspect still wants to see which there are.
static void count_nodes(onnx_import *im)
{
    const onnx_graph *graph = im->model->graph;
    for (int k = 0; k < graph->n_nodes; k++) {
        hone_import_count *count = count_of(im->report, &graph->nodes[k]);
        if (count) count->nodes++;
        const char *why = refusal(im, &graph->nodes[k]);
        if (count && why) list_node(im, &graph->nodes[k], base_name(&graph->nodes[k]), why);
    }
}

static hone_status start(const char *path, onnx_import *im)
{
    hone_status status;
    HONE_TRY(onnx_model_open(path, &im->model));
    HONE_TRY(hone_graph_new(&im->graph));
    HONE_TRY(onnx_resources_new(&im->resources));
    im->graph->import = im->resources;
    im->graph->release_import = onnx_resources_free;
    im->fold_left = 16e6 + 4 * (double)im->model->map.size_bytes;      // elements; a folded mask may be large, a hostile one not
    im->work_left = 2e9;
out:
    return status;
}

// The graph's constants point into the model's map: it moves to the graph.
static hone_status hand_over(onnx_import *im, hone_graph **graph)
{
    onnx_resources *r = im->resources;
    size_t capacity = r->maps_capacity;
    if (hone_grow(&r->maps, r->n_maps, &capacity, sizeof *r->maps, 1 << 20)) return HONE_NO_MEMORY;
    if (hone_grow(&r->map_names, r->n_maps, &r->maps_capacity, sizeof *r->map_names, 1 << 20)) return HONE_NO_MEMORY;
    r->map_names[r->n_maps] = NULL;
    r->maps[r->n_maps++] = onnx_model_take_map(im->model);
    *graph = im->graph;
    im->graph = NULL;
    return HONE_OK;
}

hone_status hone_import(const char *path, const hone_import_options *options, hone_import_report *report, hone_graph **graph)
{
    static const hone_import_options plain = {.simplify = true};
    hone_import_report own = {0};
    onnx_scope scope = {0};
    onnx_import im = {.options = options ? options : &plain, .report = report ? report : &own, .scope = &scope, .prefix = ""};
    hone_status status;
    HONE_TRY(start(path, &im));
    status = walk(&im);
    if (status != HONE_OK && !im.report->n_counts) count_nodes(&im);
    if (im.report->n_counts) qsort(im.report->counts, (size_t)im.report->n_counts, sizeof *im.report->counts, compare_counts);
    if (status != HONE_OK) status = hone_fail_in(status, "%s", path);
    if (status == HONE_OK) status = hand_over(&im, graph);
out:
    hone_graph_free(im.graph);
    hone_names_clear(&scope.names);
    hone_names_clear(&im.node_names);
    hone_free(im.bindings);
    onnx_model_close(im.model);
    hone_import_report_clear(&own);
    return status;
}

void hone_import_report_clear(hone_import_report *report)
{
    hone_text_clear(&report->text);
    for (int k = 0; k < report->n_inputs; k++) {
        hone_free(report->inputs[k].name);
        hone_free(report->inputs[k].type);
    }
    hone_free(report->inputs);
    hone_text_clear(&report->needed);
    hone_free(report->counts);
    *report = (hone_import_report){0};
}
