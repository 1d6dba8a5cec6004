// SPDX-License-Identifier: Apache-2.0
#include "engine/group_priv.h"

#include <string.h>

#include "base/alloc.h"

#define GROUPS_MAX 200000

static hone_status fill_consumers(const hone_graph *graph, int **consumers, const int *uses) {
    int *filled = hone_calloc((size_t)graph->n_values, sizeof *filled);
    if (!filled) return HONE_NO_MEMORY;
    for (int v = 0; v < graph->n_values; v++) {
        consumers[v] = hone_alloc(((size_t)uses[v] + 1) * sizeof(int));
        if (!consumers[v]) {
            hone_free(filled);
            return HONE_NO_MEMORY;
        }
        consumers[v][0] = -1;
    }
    for (int n = 0; n < graph->n_nodes; n++)
        for (int k = 0; k < graph->nodes[n].call.n_in; k++) {
            int v = graph->nodes[n].in[k];
            if (v < 0 || (filled[v] && consumers[v][filled[v] - 1] == n)) continue;
            consumers[v][filled[v]++] = n;
            consumers[v][filled[v]] = -1;
        }
    hone_free(filled);
    return HONE_OK;
}

hone_status hone_view_new(const hone_graph *graph, hone_view **view) {
    hone_status status = HONE_NO_MEMORY;
    hone_view *made = hone_calloc(1, sizeof *made);
    if (!made) return status;
    made->graph = graph;
    int *uses = NULL;
    HONE_TRY(hone_graph_uses(graph, &uses));
    made->uses = uses;
    int **consumers = hone_calloc((size_t)graph->n_values + 1, sizeof *consumers);
    made->consumers = consumers;
    if (!consumers) {
        status = HONE_NO_MEMORY;
        goto out;
    }
    HONE_TRY(fill_consumers(graph, consumers, uses));
    *view = made;
    made = NULL;
out:
    hone_view_free(made);
    return status;
}

void hone_view_free(hone_view *view) {
    if (!view) return;
    for (int v = 0; view->consumers && v < view->graph->n_values; v++) hone_free(view->consumers[v]);
    hone_free((void *)view->consumers);
    hone_free((void *)view->uses);
    hone_free(view);
}

bool hone_group_holds(const hone_group *group, int node) {
    for (int k = 0; k < group->n_nodes; k++)
        if (group->nodes[k] == node) return true;
    return false;
}

int hone_group_exit(const hone_group *group) { return group->nodes[group->n_nodes - 1]; }

bool hone_node_is_elementwise(const hone_node *node) { return node->call.op->kind == HONE_OP_ELEMENTWISE; }

int hone_view_sole_consumer(const hone_view *view, int node) {
    const hone_node *n = &view->graph->nodes[node];
    if (n->call.n_out != 1) return -1;
    int v = n->out[0];
    if (view->graph->values[v].is_output || view->consumers[v][0] < 0 || view->consumers[v][1] >= 0) return -1;
    return view->consumers[v][0];
}

// Every output of every node but the exit is read inside only, and no outside node lies between two members.
static bool is_single_exit(const hone_view *view, const hone_group *group) {
    for (int k = 0; k + 1 < group->n_nodes; k++) {
        const hone_node *node = &view->graph->nodes[group->nodes[k]];
        for (int o = 0; o < node->call.n_out; o++) {
            if (view->graph->values[node->out[o]].is_output) return false;
            for (const int *c = view->consumers[node->out[o]]; *c >= 0; c++)
                if (!hone_group_holds(group, *c)) return false;
        }
    }
    return true;     // single-exit with every member reaching the exit is convex: a way out and back in would leave by a non-exit
}

static void sort_nodes(hone_group *group) {
    for (int i = 1; i < group->n_nodes; i++)
        for (int j = i; j > 0 && group->nodes[j - 1] > group->nodes[j]; j--) {
            int swap = group->nodes[j];
            group->nodes[j] = group->nodes[j - 1];
            group->nodes[j - 1] = swap;
        }
}

hone_status hone_group_add(const hone_view *view, const hone_rule *rule, const int *nodes, int n, hone_group_list *list) {
    if (n < 1 || n > HONE_GROUP_NODES) return HONE_OK;
    hone_group group = {.rule = rule, .n_nodes = n};
    memcpy(group.nodes, nodes, (size_t)n * sizeof *nodes);
    sort_nodes(&group);
    if (!is_single_exit(view, &group)) return HONE_OK;
    const hone_node *exit = &view->graph->nodes[hone_group_exit(&group)];
    group.view = rule->views || (n == 1 && exit->call.op->kind == HONE_OP_VIEW);
    group.layout = rule->views ? rule->layout : HONE_ROW;
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    hone_status status = rule->make(view, &group, problem);
    hone_free(problem);
    if (status == HONE_NO_MEMORY) return status;
    if (status != HONE_OK) return HONE_OK;
    if (hone_grow(&list->items, list->n, &list->capacity, sizeof group, GROUPS_MAX)) return HONE_NO_MEMORY;
    list->items[list->n++] = group;
    return HONE_OK;
}

// The number of `value` among the problem's operands, added when new; -1 when there are too many.
static int operand_of(const hone_view *view, hone_group *group, hone_problem *problem, int value) {
    for (int k = 0; k < problem->n_operands; k++)
        if (group->operands[k] == value) return k;
    int k = hone_problem_add_operand(problem, &view->graph->values[value].tensor);
    if (k >= 0) group->operands[k] = value;
    return k;
}

static bool ref_of(const hone_view *view, hone_group *group, hone_problem *problem, int value, hone_ref *ref) {
    if (value < 0) {
        *ref = (hone_ref){HONE_REF_ABSENT, 0};
        return true;
    }
    int producer = view->graph->values[value].producer;
    for (int k = 0; producer >= 0 && k < group->n_nodes; k++)
        if (group->nodes[k] == producer) {
            *ref = (hone_ref){HONE_REF_RESULT, k};
            return view->graph->values[value].output == 0;
        }
    *ref = (hone_ref){HONE_REF_OPERAND, operand_of(view, group, problem, value)};
    return ref->index >= 0;
}

hone_status hone_group_make_calls(const hone_view *view, hone_group *group, hone_problem *problem) {
    if (group->n_nodes > HONE_CALLS_MAX) return HONE_DECLINED;
    hone_problem_init(problem);
    for (int k = 0; k < group->n_nodes; k++) {
        const hone_node *node = &view->graph->nodes[group->nodes[k]];
        hone_ref in[HONE_INPUTS_MAX];
        for (int i = 0; i < node->call.n_in; i++)
            if (!ref_of(view, group, problem, node->in[i], &in[i])) return HONE_DECLINED;
        hone_status status = hone_problem_add_step(problem, &node->call, in);
        if (status != HONE_OK) return status;
    }
    group->n_operands = problem->n_operands;
    return hone_problem_finish(problem);
}

hone_tensor hone_format_tensor(const hone_tensor *natural, const hone_precision *precision, hone_layout layout) {
    hone_tensor tensor = *natural;
    tensor.layout = HONE_ROW;
    if (!hone_dtype_is_float(tensor.dtype)) return tensor;
    if (precision) tensor.dtype = precision->dtype;
    if (tensor.rank == 4) tensor.layout = layout;
    return tensor;
}

bool hone_group_has_float(const hone_view *view, const hone_group *group) {
    const hone_graph *graph = view->graph;
    for (int k = 0; k < group->n_operands; k++)
        if (hone_dtype_is_float(graph->values[group->operands[k]].tensor.dtype)) return true;
    const hone_node *exit = &graph->nodes[hone_group_exit(group)];
    for (int o = 0; o < exit->call.n_out; o++)
        if (hone_dtype_is_float(graph->values[exit->out[o]].tensor.dtype)) return true;
    return false;
}

static bool uses_tensor_math(const hone_problem *problem) {
    for (int k = 0; k < problem->n_steps; k++) {
        hone_op_kind kind = problem->steps[k].call.op->kind;
        if (kind == HONE_OP_MATMUL || kind == HONE_OP_CONV || !strcmp(problem->steps[k].call.op->name, "attention")) return true;
    }
    return false;
}

hone_tensor hone_group_operand(const hone_view *view, const hone_group *group, int k, const hone_precision *precision, hone_layout layout, unsigned ports) {
    const hone_tensor *natural = &view->graph->values[group->operands[k]].tensor;
    return ports & HONE_ENTERS ? *natural : hone_format_tensor(natural, precision, layout);
}

hone_tensor hone_group_result(const hone_view *view, const hone_group *group, int o, const hone_precision *precision, hone_layout layout, unsigned ports) {
    const hone_tensor *natural = &view->graph->values[view->graph->nodes[hone_group_exit(group)].out[o]].tensor;
    return ports & HONE_LEAVES ? *natural : hone_format_tensor(natural, precision, layout);
}

// A value that leaves the network, itself or as the same bytes under other dims.
static bool leaves_network(const hone_view *view, int value) {
    const hone_graph *graph = view->graph;
    for (int only = view->consumers[value][0]; !graph->values[value].is_output; only = view->consumers[value][0]) {
        if (only < 0 || view->consumers[value][1] >= 0 || graph->nodes[only].call.op->kind != HONE_OP_VIEW) return false;
        value = graph->nodes[only].out[0];
    }
    return true;
}

static bool may_leave(const hone_view *view, const hone_group *group, const hone_precision *precision, hone_layout layout) {
    const hone_node *exit = &view->graph->nodes[hone_group_exit(group)];
    const hone_value *v = &view->graph->values[exit->out[0]];
    if (exit->call.n_out != 1 || !hone_dtype_is_float(v->tensor.dtype) || !leaves_network(view, exit->out[0])) return false;
    hone_tensor inside = hone_group_result(view, group, 0, precision, layout, 0);
    return !hone_format_same_bytes(&inside, &v->tensor);
}

// A convolution of an image as photographs are, with what follows it. Beyond a few channels a conversion pays.
static bool may_enter(const hone_view *view, const hone_group *group, const hone_precision *precision, const hone_target *target) {
    const hone_node *first = &view->graph->nodes[group->nodes[0]];
    const hone_value *x = &view->graph->values[group->operands[0]];
    if (strcmp(target->kind, "cuda") || !precision || (precision->dtype != HONE_F16 && precision->dtype != HONE_BF16)) return false;
    if (strcmp(first->call.op->name, "conv") || hone_call_int(&first->call, "group") != 1 || first->in[0] != group->operands[0]) return false;
    if (!x->is_input || x->tensor.dtype != HONE_F32 || x->tensor.rank != 4 || x->tensor.dims[1] > HONE_IMAGE_CHANNELS) return false;
    for (int k = 1; k < group->n_operands; k++)
        if (!view->graph->values[group->operands[k]].data || view->graph->values[group->operands[k]].tensor.dtype != HONE_F32) return false;
    return true;
}

unsigned hone_group_ports(const hone_view *view, const hone_group *group, const hone_precision *precision, hone_layout layout, const hone_target *target) {
    return (may_leave(view, group, precision, layout) ? HONE_LEAVES : 0u) | (may_enter(view, group, precision, target) ? HONE_ENTERS : 0u);
}

hone_status hone_group_problem(const hone_view *view, const hone_group *group, const hone_precision *precision, hone_layout layout, unsigned ports,
                               hone_problem *problem) {
    hone_group scratch = *group;
    hone_status status = group->rule->make(view, &scratch, problem);
    if (status != HONE_OK) return status;
    for (int k = 0; k < problem->n_operands; k++)
        problem->operands[k] = hone_group_operand(view, group, k, precision, layout, ports);
    status = hone_problem_finish(problem);
    if (status != HONE_OK) return status;
    hone_tensor out = ports & HONE_LEAVES ? hone_group_result(view, group, 0, precision, layout, ports) : hone_format_tensor(&problem->out[0], precision, layout);
    status = hone_problem_set_out(problem, out.dtype, out.layout);
    // TF32 only says something where there are products.
    problem->math = precision && uses_tensor_math(problem) ? precision->math : HONE_MATH_F32;
    if (ports & HONE_ENTERS) problem->math = HONE_MATH_TF32;
    return status;
}

static bool kind_takes_nhwc(const hone_node *node) {
    const char *const moves[] = {"concat", "pad", "slice", "resize", "identity"};
    for (size_t k = 0; k < sizeof moves / sizeof *moves; k++)
        if (!strcmp(node->call.op->name, moves[k])) return true;
    const char *const norms[] = {"batchnorm", "instancenorm", "lrn"};
    for (size_t k = 0; k < sizeof norms / sizeof *norms; k++)
        if (!strcmp(node->call.op->name, norms[k])) return true;
    hone_op_kind kind = node->call.op->kind;
    return kind == HONE_OP_ELEMENTWISE || kind == HONE_OP_REDUCE || kind == HONE_OP_POOL || kind == HONE_OP_CONV;
}

static bool touches_image(const hone_view *view, const hone_group *group) {
    const hone_graph *graph = view->graph;
    for (int k = 0; k < group->n_nodes; k++) {
        const hone_node *node = &graph->nodes[group->nodes[k]];
        for (int i = -1; i < node->call.n_in; i++) {
            int v = i < 0 ? node->out[0] : node->in[i];
            if (v >= 0 && graph->values[v].tensor.rank == 4 && hone_dtype_is_float(graph->values[v].tensor.dtype)) return true;
        }
    }
    return false;
}

unsigned hone_group_layouts(const hone_view *view, const hone_group *group, const hone_target *target) {
    const unsigned row = 1u << HONE_ROW, nhwc = 1u << HONE_NHWC;
    if (group->rule->device && (strcmp(group->rule->device, target->kind) || target->cc < group->rule->cc)) return 0;
    if (!touches_image(view, group)) return row;
    bool window = false;
    for (int k = 0; k < group->n_nodes; k++) {
        const hone_node *node = &view->graph->nodes[group->nodes[k]];
        if (!kind_takes_nhwc(node)) return row;
        window |= node->call.op->kind == HONE_OP_CONV || node->call.op->kind == HONE_OP_POOL;
    }
    // Tensor cores read channels innermost, and vendor libraries convert row-major images themselves, at a cost (cuDNN's guide,
    // "Tensor layouts"): on a GPU the row-major variant is not worth a measurement.
    if (window && !strcmp(target->kind, "cuda")) return nhwc;
    return row | nhwc;
}

hone_status hone_groups_propose(const hone_view *view, hone_group_list *list) {
    for (int n = 0; n < view->graph->n_nodes; n++)
        for (int r = 0; r < hone_rule_count; r++) {
            hone_status status = hone_rules[r]->propose(view, n, list);
            if (status != HONE_OK) return status;
        }
    return HONE_OK;
}

hone_status hone_conversion_problem(const hone_tensor *from, const hone_tensor *to, hone_problem *problem) {
    hone_call call;
    hone_problem_init(problem);
    hone_status status = hone_call_init(&call, "identity", 1);
    if (status != HONE_OK) return status;
    hone_ref in[HONE_INPUTS_MAX] = {{HONE_REF_OPERAND, hone_problem_add_operand(problem, from)}};
    status = hone_problem_add_step(problem, &call, in);
    if (status == HONE_OK) status = hone_problem_finish(problem);
    if (status == HONE_OK) status = hone_problem_set_out(problem, to->dtype, to->layout);
    return status;
}

bool hone_format_same_bytes(const hone_tensor *from, const hone_tensor *to) {
    if (from->dtype != to->dtype) return false;
    if (from->layout == to->layout) return true;
    return from->rank == 4 && (from->dims[1] == 1 || from->dims[2] * from->dims[3] == 1);
}
