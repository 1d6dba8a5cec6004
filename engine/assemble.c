// SPDX-License-Identifier: Apache-2.0
#include "engine/assemble_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/names_priv.h"
#include "kernels/source.h"

#define STEPS_MAX 1000000

typedef struct form {             // a value in one format
    hone_tensor tensor;
    hone_slot slot;
    struct form *next;
} form;

typedef struct assembly {
    const hone_view *view;
    hone_costs *costs;
    hone_plan *plan;
    hone_text *missing;
    form **forms;                 // per value
    size_t steps_capacity, buffers_capacity, weights_capacity, artifacts_capacity;
    bool *pinned;                 // per pin: names a layer of this network
    hone_names told;              // missing problems, each told once
    hone_problem problem;         // scratch
} assembly;

// The growable arrays live on the heap while the plan is made and move to the arena at the end.
static int add_buffer(assembly *a, const char *name, const hone_tensor *tensor, int alias) {
    hone_plan *plan = a->plan;
    if (hone_grow(&plan->buffers, (size_t)plan->n_buffers, &a->buffers_capacity, sizeof *plan->buffers, STEPS_MAX)) return -1;
    const char *copy = hone_arena_strdup(plan->arena, name);
    if (!copy) return -1;
    plan->buffers[plan->n_buffers] = (hone_buffer){copy, *tensor, 0, (int64_t)hone_tensor_size(tensor), alias};
    return plan->n_buffers++;
}

static const form *find_form(const assembly *a, int value, const hone_tensor *tensor) {
    for (const form *f = a->forms[value]; f; f = f->next)
        if (hone_tensor_equal(&f->tensor, tensor)) return f;
    return NULL;
}

static hone_status add_form(assembly *a, int value, const hone_tensor *tensor, hone_slot slot) {
    form *f = hone_arena_alloc(a->costs->arena, sizeof *f);
    if (!f) return HONE_NO_MEMORY;
    *f = (form){*tensor, slot, a->forms[value]};
    a->forms[value] = f;
    return HONE_OK;
}

static hone_status new_buffer(assembly *a, int value, const hone_tensor *tensor, int alias, hone_slot *slot) {
    int b = add_buffer(a, a->view->graph->values[value].name, tensor, alias);
    if (b < 0) return HONE_NO_MEMORY;
    *slot = (hone_slot){HONE_SLOT_BUFFER, b};
    return add_form(a, value, tensor, *slot);
}

// What stands in for a problem that was never measured: the reference.
static hone_status stand_in(assembly *a, const hone_cost *cost, char text[HONE_TACTIC_TEXT]) {
    if (!hone_names_find(&a->told, cost->problem)) hone_text_printf(a->missing, "%s\n", cost->problem);
    if (hone_names_put(&a->told, cost->problem, 1) != HONE_OK) return HONE_NO_MEMORY;
    const hone_source *ref = hone_source_find("ref");
    hone_space space = {0};
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    hone_tactic tactic = {0};
    hone_status status = hone_problem_parse(cost->problem, problem);
    if (status == HONE_OK) status = ref->space(problem, &a->costs->target, NULL, &space);
    if (status == HONE_OK && space.n_points > 0) tactic = space.points[0];
    else if (status == HONE_OK) {
        snprintf(tactic.source, sizeof tactic.source, "ref");
        snprintf(tactic.kernel, sizeof tactic.kernel, "%s", space.subspaces[0].kernel);
        tactic.version = space.subspaces[0].version;
    }
    hone_tactic_print(&tactic, text);
    hone_space_clear(&space);
    hone_free(problem);
    return status;
}

// Whether a step's name, layers joined by " + ", holds this layer.
static bool names_layer(const char *name, const char *layer) {
    size_t size = strlen(layer);
    for (const char *at = name; (at = strstr(at, layer)); at++) {
        bool begins = at == name || (at - name >= 3 && !strncmp(at - 3, " + ", 3));
        if (begins && (!at[size] || !strncmp(at + size, " + ", 3))) return true;
    }
    return false;
}

static hone_status find_pin(assembly *a, const char *name, const char *spelling, const hone_problem *problem, const char **tactic) {
    const hone_build_options *o = a->costs->options;
    for (int k = 0; k < o->n_pins; k++) {
        if (!names_layer(name, o->pins[k].layer) && strcmp(spelling, o->pins[k].layer)) continue;
        a->pinned[k] = true;
        hone_tactic parsed;
        hone_status status = hone_tactic_parse(o->pins[k].tactic, &parsed);
        if (status == HONE_OK) status = hone_tactic_check(&parsed, problem, &a->costs->target);
        if (status != HONE_OK) return hone_fail_in(HONE_USAGE, "--pin %s", o->pins[k].layer);
        *tactic = o->pins[k].tactic;
    }
    return HONE_OK;
}

static hone_status check_pin_opens(const assembly *a, const hone_plan_step *step, bool is_compiled) {
    hone_tactic tactic;
    hone_status status = hone_tactic_parse(step->tactic, &tactic);
    if (status != HONE_OK || hone_costs_allow(a->costs, &tactic, is_compiled)) return status;
    return hone_fail(HONE_USAGE, "%s is pinned to %s, which may open %s when it runs, and the plan is to do without %s: pin another tactic, or "
                     "allow the library", step->name, step->tactic, hone_tactic_opens(&tactic, is_compiled), a->costs->options->without);
}

static hone_status pin_evidence(const assembly *a, hone_plan_step *step, const char **artifact) {
    const hone_build_options *o = a->costs->options;
    hone_question question = {.device = o->device, .toolchain = o->toolchain, .problem = step->problem, .mode = "",
                              .allow_stale = true, .allow_approximate = true};
    hone_ranked *ranked = NULL;
    size_t n = 0;
    hone_status status = hone_store_rank(a->costs->store, &question, &ranked, &n);
    *artifact = "";
    for (size_t k = 0; status == HONE_OK && k < n; k++) {
        if (strcmp(ranked[k].tactic, step->tactic)) continue;
        step->evidence = ranked[k].evidence;
        step->predicted_ns = ranked[k].median_ns;
        step->workspace_bytes = ranked[k].workspace_bytes;
        step->staleness = ranked[k].staleness;
        if (ranked[k].artifact && *ranked[k].artifact) *artifact = hone_arena_strdup(a->plan->arena, ranked[k].artifact);
    }
    hone_free(ranked);
    return status;
}

static hone_status find_artifact(assembly *a, const char *key, int *index) {
    hone_plan *plan = a->plan;
    const void *data;
    size_t size;
    for (*index = 0; *index < plan->n_artifacts; ++*index)
        if (!strcmp(plan->artifacts[*index].key, key)) return HONE_OK;
    hone_status status = hone_costs_artifact(a->costs, key, &data, &size);
    if (status != HONE_OK) return status;
    if (!data) return hone_fail(HONE_MISS, "the database lacks the compiled kernel %s: tune on the device, or merge a database that has it", key);
    void *kept = hone_arena_alloc(plan->arena, size);
    const char *name = hone_arena_strdup(plan->arena, key);
    if (!kept || !name || hone_grow(&plan->artifacts, (size_t)plan->n_artifacts, &a->artifacts_capacity, sizeof *plan->artifacts, STEPS_MAX))
        return HONE_NO_MEMORY;
    if (size) memcpy(kept, data, size);
    plan->artifacts[plan->n_artifacts++] = (hone_artifact){name, kept, size};
    return HONE_OK;
}

static hone_status take_measured(assembly *a, const hone_problem *problem, hone_plan_step *step, const char **artifact) {
    const hone_cost *cost;
    hone_status status = hone_costs_choose(a->costs, problem, &cost);
    if (status != HONE_OK) return status;
    step->tactic = hone_arena_strdup(a->plan->arena, cost->tactic);
    step->evidence = cost->evidence;
    step->workspace_bytes = cost->workspace_bytes;
    step->staleness = cost->staleness;
    *artifact = cost->artifact;
    return HONE_OK;
}

// Chooses the step's tactic (database, pin or stand-in) and what comes with it.
static hone_status choose_tactic(assembly *a, const hone_cost *cost, const hone_problem *problem, hone_plan_step *step) {
    const char *pinned = NULL, *artifact = "";
    char text[HONE_TACTIC_TEXT];
    hone_status status = find_pin(a, step->name, cost->problem, problem, &pinned);
    if (status != HONE_OK) return status;
    step->problem = hone_arena_strdup(a->plan->arena, cost->problem);
    step->predicted_ns = cost->ns;
    step->artifact = -1;
    if (pinned) {
        step->tactic = hone_arena_strdup(a->plan->arena, pinned);
        if (!step->tactic) return HONE_NO_MEMORY;
        status = pin_evidence(a, step, &artifact);
        if (status == HONE_OK) status = check_pin_opens(a, step, artifact && *artifact);
    } else if (cost->tactic) {
        status = take_measured(a, problem, step, &artifact);
    } else {
        status = stand_in(a, cost, text);
        if (status == HONE_OK) step->tactic = hone_arena_strdup(a->plan->arena, text);
    }
    if (status == HONE_OK && (!step->problem || !step->tactic || !artifact)) status = HONE_NO_MEMORY;
    if (status == HONE_OK && *artifact) status = find_artifact(a, artifact, &step->artifact);
    return status;
}

static hone_status push_step(assembly *a, const hone_plan_step *step) {
    hone_plan *plan = a->plan;
    if (hone_grow(&plan->steps, (size_t)plan->n_steps, &a->steps_capacity, sizeof *plan->steps, STEPS_MAX)) return HONE_NO_MEMORY;
    plan->steps[plan->n_steps++] = *step;
    plan->flops += step->flops;
    return HONE_OK;
}

// A view of a constant is a constant: the same bytes with other dims.
static hone_status view_weight(assembly *a, int value, const hone_tensor *tensor, int from, hone_slot *slot) {
    hone_plan *plan = a->plan;
    if (hone_grow(&plan->weights, (size_t)plan->n_weights, &a->weights_capacity, sizeof *plan->weights, STEPS_MAX)) return HONE_NO_MEMORY;
    hone_weight *w = &plan->weights[plan->n_weights];
    *w = plan->weights[from];
    w->name = hone_arena_strdup(plan->arena, a->view->graph->values[value].name);
    w->tensor = *tensor;
    if (!w->name) return HONE_NO_MEMORY;
    *slot = (hone_slot){HONE_SLOT_WEIGHT, plan->n_weights++};
    return add_form(a, value, tensor, *slot);
}

static bool has_evidence(const hone_plan_step *step) {
    static const hone_id none;
    return !hone_id_equal(&step->evidence, &none);
}

static hone_status convert(assembly *a, int value, const form *from, const hone_tensor *to, hone_slot *slot) {
    double ns;
    const hone_cost *cost;
    hone_status status = hone_conversion_cost(a->costs, &from->tensor, to, &ns, &cost);
    if (status != HONE_OK) return status;
    if (!cost && from->slot.kind == HONE_SLOT_WEIGHT) return view_weight(a, value, to, from->slot.index, slot);
    if (!cost) return new_buffer(a, value, to, from->slot.index, slot);      // same bytes
    hone_plan_step step = {.precision = "", .n_operands = 1, .n_outputs = 1, .operands = {from->slot}};
    step.name = hone_arena_printf(a->plan->arena, "convert %s", a->view->graph->values[value].name);
    if (!step.name) return HONE_NO_MEMORY;
    status = new_buffer(a, value, to, -1, slot);
    step.outputs[0] = *slot;
    if (status == HONE_OK) status = hone_conversion_problem(&from->tensor, to, &a->problem);
    if (status == HONE_OK) status = choose_tactic(a, cost, &a->problem, &step);
    if (!cost->tactic && !has_evidence(&step)) step.predicted_ns = ns - a->costs->gap_ns;      // what partition reckoned with
    return status == HONE_OK ? push_step(a, &step) : status;
}

static hone_status weight_slot(assembly *a, int value, const hone_tensor *tensor, hone_slot *slot) {
    const hone_value *v = &a->view->graph->values[value];
    hone_plan *plan = a->plan;
    if (hone_grow(&plan->weights, (size_t)plan->n_weights, &a->weights_capacity, sizeof *plan->weights, STEPS_MAX)) return HONE_NO_MEMORY;
    hone_weight *w = &plan->weights[plan->n_weights];
    *w = (hone_weight){.name = hone_arena_strdup(plan->arena, v->name), .tensor = *tensor, .size_bytes = hone_tensor_size(tensor)};
    w->recipe = hone_arena_alloc(plan->arena, sizeof *w->recipe);
    if (!w->name || !w->recipe) return HONE_NO_MEMORY;
    *w->recipe = (hone_recipe){.from = v->tensor, .to = *tensor, .data = v->data};
    *slot = (hone_slot){HONE_SLOT_WEIGHT, plan->n_weights++};
    return add_form(a, value, tensor, *slot);
}

// The slot of a value in a format, made if need be: weights are converted now, activations by a step.
static hone_status slot_of(assembly *a, int value, const hone_tensor *tensor, hone_slot *slot) {
    const form *f = find_form(a, value, tensor);
    if (f) {
        *slot = f->slot;
        return HONE_OK;
    }
    if (a->view->graph->values[value].data) return weight_slot(a, value, tensor, slot);
    const form *best = NULL;
    double least = INFINITY, ns;
    const hone_cost *cost;
    for (f = a->forms[value]; f; f = f->next) {
        hone_status status = hone_conversion_cost(a->costs, &f->tensor, tensor, &ns, &cost);
        if (status != HONE_OK) return status;
        if (ns < least) least = ns, best = f;
    }
    if (!best) return hone_fail(HONE_INTERNAL, "assemble: %s is read before it is made", a->view->graph->values[value].name);
    return convert(a, value, best, tensor, slot);
}

static hone_status add_view(assembly *a, const hone_choice *choice) {
    const hone_graph *graph = a->view->graph;
    int x = choice->group->operands[0], y = graph->nodes[hone_group_exit(choice->group)].out[0];
    hone_tensor in = hone_format_tensor(&graph->values[x].tensor, choice->precision, choice->layout);
    hone_tensor out = hone_format_tensor(&graph->values[y].tensor, choice->precision, choice->layout);
    hone_slot from, to;
    hone_status status = slot_of(a, x, &in, &from);
    if (status == HONE_OK && from.kind == HONE_SLOT_WEIGHT) return view_weight(a, y, &out, from.index, &to);
    return status == HONE_OK ? new_buffer(a, y, &out, from.index, &to) : status;
}

static const char *step_name(assembly *a, const hone_group *group) {
    const char *name = a->view->graph->nodes[group->nodes[0]].name;
    for (int k = 1; k < group->n_nodes && name; k++)
        name = hone_arena_printf(a->plan->arena, "%s + %s", name, a->view->graph->nodes[group->nodes[k]].name);
    return name ? hone_arena_strdup(a->plan->arena, name) : NULL;
}

static hone_status add_choice(assembly *a, const hone_choice *choice) {
    if (choice->group->view) return add_view(a, choice);
    const hone_graph *graph = a->view->graph;
    const hone_group *group = choice->group;
    const hone_node *exit = &graph->nodes[hone_group_exit(group)];
    hone_plan_step step = {.name = step_name(a, group), .precision = choice->precision ? choice->precision->name : ""};
    if (!step.name) return HONE_NO_MEMORY;
    hone_status status = HONE_OK;
    for (int k = 0; k < group->n_operands && status == HONE_OK; k++) {
        hone_tensor t = hone_group_operand(a->view, group, k, choice->precision, choice->layout, choice->ports);
        status = slot_of(a, group->operands[k], &t, &step.operands[step.n_operands++]);
    }
    for (int o = 0; o < exit->call.n_out && status == HONE_OK; o++) {
        hone_tensor t = hone_group_result(a->view, group, o, choice->precision, choice->layout, choice->ports);
        status = new_buffer(a, exit->out[o], &t, -1, &step.outputs[step.n_outputs++]);
    }
    if (status == HONE_OK) status = hone_group_problem(a->view, group, choice->precision, choice->layout, choice->ports, &a->problem);
    if (status != HONE_OK) return status;
    step.flops = hone_problem_flops(&a->problem);
    status = choose_tactic(a, choice->cost, &a->problem, &step);
    return status == HONE_OK ? push_step(a, &step) : status;
}

static hone_status add_inputs(assembly *a) {
    const hone_graph *graph = a->view->graph;
    hone_plan *plan = a->plan;
    plan->inputs = hone_arena_alloc(plan->arena, (size_t)(graph->n_inputs + 1) * sizeof *plan->inputs);
    if (!plan->inputs) return HONE_NO_MEMORY;
    for (int k = 0; k < graph->n_inputs; k++) {
        const hone_value *v = &graph->values[graph->inputs[k]];
        hone_slot slot;
        hone_status status = new_buffer(a, graph->inputs[k], &v->tensor, -1, &slot);
        if (status != HONE_OK) return status;
        plan->inputs[plan->n_inputs++] = (hone_port){plan->buffers[slot.index].name, v->tensor, slot.index};
    }
    return HONE_OK;
}

// A constant that is a network output is copied by a step, since outputs are buffers.
static hone_status copy_constant(assembly *a, int value, hone_slot *slot) {
    const hone_value *v = &a->view->graph->values[value];
    const hone_cost *cost;
    hone_plan_step step = {.precision = "", .n_operands = 1, .n_outputs = 1};
    step.name = hone_arena_printf(a->plan->arena, "copy %s", v->name);
    hone_status status = slot_of(a, value, &v->tensor, &step.operands[0]);
    if (status == HONE_OK) status = hone_conversion_problem(&v->tensor, &v->tensor, &a->problem);
    if (status == HONE_OK) status = hone_costs_get(a->costs, &a->problem, &cost);
    if (status == HONE_OK) status = new_buffer(a, value, &v->tensor, -1, slot);
    if (status != HONE_OK) return status;
    step.outputs[0] = *slot;
    status = choose_tactic(a, cost, &a->problem, &step);
    return status == HONE_OK ? push_step(a, &step) : status;
}

static hone_status add_outputs(assembly *a) {
    const hone_graph *graph = a->view->graph;
    hone_plan *plan = a->plan;
    plan->outputs = hone_arena_alloc(plan->arena, (size_t)(graph->n_outputs + 1) * sizeof *plan->outputs);
    if (!plan->outputs) return HONE_NO_MEMORY;
    for (int k = 0; k < graph->n_outputs; k++) {
        const hone_value *v = &graph->values[graph->outputs[k]];
        hone_slot slot;
        hone_status status = slot_of(a, graph->outputs[k], &v->tensor, &slot);
        if (status == HONE_OK && slot.kind == HONE_SLOT_WEIGHT) status = copy_constant(a, graph->outputs[k], &slot);
        if (status != HONE_OK) return status;
        plan->outputs[plan->n_outputs++] = (hone_port){plan->buffers[slot.index].name, v->tensor, slot.index};
    }
    return HONE_OK;
}

// Which flops run in the first precision asked for; a line for every other layer with products.
static hone_status account(assembly *a) {
    const char *asked = a->costs->options->precisions.items[0]->name;
    hone_text text;
    hone_text_init(&text);
    for (int s = 0; s < a->plan->n_steps; s++) {
        const hone_plan_step *step = &a->plan->steps[s];
        if (!strcmp(step->precision, asked)) a->plan->flops_in_precision += step->flops;
        else if (step->flops > 0 && *step->precision)
            hone_text_printf(&text, "%s: in %s, which is cheaper here with its conversions\n", step->name, step->precision);
        else if (step->flops > 0) hone_text_printf(&text, "%s: on integers\n", step->name);
    }
    a->plan->not_in_precision = hone_arena_strdup(a->plan->arena, hone_text_get(&text));
    hone_text_clear(&text);
    return a->plan->not_in_precision ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status check_pins(const assembly *a) {
    const hone_build_options *o = a->costs->options;
    for (int k = 0; k < o->n_pins; k++)
        if (!a->pinned[k]) return hone_fail(HONE_USAGE, "--pin %s: the network has no layer of that name (hone plan show lists them)", o->pins[k].layer);
    return HONE_OK;
}

// Moves a heap array into the plan's arena.
static hone_status settle(hone_arena *arena, void *array, size_t size) {
    void **slot = array, *heap = *slot;
    if (!heap) return HONE_OK;
    *slot = hone_arena_alloc(arena, size + 1);
    if (*slot) memcpy(*slot, heap, size);
    hone_free(heap);
    return *slot ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status settle_all(hone_plan *plan) {
    hone_status a = settle(plan->arena, &plan->steps, (size_t)plan->n_steps * sizeof *plan->steps);
    hone_status b = settle(plan->arena, &plan->buffers, (size_t)plan->n_buffers * sizeof *plan->buffers);
    hone_status c = settle(plan->arena, &plan->weights, (size_t)plan->n_weights * sizeof *plan->weights);
    hone_status d = settle(plan->arena, &plan->artifacts, (size_t)plan->n_artifacts * sizeof *plan->artifacts);
    return a != HONE_OK ? a : b != HONE_OK ? b : c != HONE_OK ? c : d;
}

hone_status hone_assemble(const hone_view *view, const hone_partition *partition, hone_costs *costs, hone_text *missing, hone_plan *plan) {
    hone_status status = HONE_NO_MEMORY;
    assembly *a = hone_calloc(1, sizeof *a);
    if (!a) return status;
    a->view = view;
    a->costs = costs;
    a->plan = plan;
    a->missing = missing;
    a->forms = hone_calloc((size_t)view->graph->n_values + 1, sizeof *a->forms);
    a->pinned = hone_calloc((size_t)costs->options->n_pins + 1, sizeof *a->pinned);
    if (!a->forms || !a->pinned) goto out;
    HONE_TRY(add_inputs(a));
    for (int k = 0; k < partition->n; k++) HONE_TRY(add_choice(a, &partition->choices[k]));
    HONE_TRY(add_outputs(a));
    HONE_TRY(check_pins(a));
    status = account(a);
out:
    hone_free((void *)a->forms);
    hone_free(a->pinned);
    hone_names_clear(&a->told);
    hone_free(a);
    hone_status settled = settle_all(plan);
    return status != HONE_OK ? status : settled;
}

// ---- weights

hone_status hone_assemble_weights(hone_plan *plan) {
    size_t sum = 0;
    for (int k = 0; k < plan->n_weights; k++) sum += plan->weights[k].size_bytes + 2 * 64;      // the arena aligns
    if (hone_arena_reserve(plan->arena, sum)) return HONE_NO_MEMORY;
    for (int k = 0; k < plan->n_weights; k++) {
        hone_weight *w = &plan->weights[k];
        hone_status status = hone_weight_make(plan->arena, w->recipe);
        if (status != HONE_OK) return status;
        w->data = w->recipe->made;
    }
    return HONE_OK;
}

void hone_assemble_forget(hone_plan *plan) {
    for (int k = 0; k < plan->n_weights; k++) plan->weights[k].recipe = NULL;
}
