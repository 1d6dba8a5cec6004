// SPDX-License-Identifier: Apache-2.0
#include "engine/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/assemble_priv.h"
#include "engine/join_priv.h"
#include "engine/narrow_priv.h"

#define PLAN_CEILING ((size_t)64 << 30)
#define SCRATCH_CEILING ((size_t)8 << 30)

enum { VALUE_FORMATS_MAX = 1 + 8 * 2 };

typedef struct wanted {
    char *problem;
    int64_t times;
} wanted;

typedef struct wanted_list {
    wanted *items;
    size_t n, capacity;
} wanted_list;

static hone_status want(wanted_list *list, const hone_problem *problem) {
    hone_text text;
    hone_text_init(&text);
    hone_problem_print(problem, &text);
    hone_status status = hone_text_status(&text);
    if (status == HONE_OK && hone_grow(&list->items, list->n, &list->capacity, sizeof *list->items, 1u << 24)) status = HONE_NO_MEMORY;
    if (status == HONE_OK) list->items[list->n++] = (wanted){hone_text_take(&text), 1};
    hone_text_clear(&text);
    return status;
}

static int by_spelling(const void *a, const void *b) { return strcmp(((const wanted *)a)->problem, ((const wanted *)b)->problem); }

// Ports are converted from the caller's type and layout to the one that a precision works in.
static hone_status want_ports(const hone_graph *graph, const hone_precision *precision, hone_problem *scratch, wanted_list *list) {
    for (int k = 0; k < graph->n_inputs + graph->n_outputs; k++) {
        bool input = k < graph->n_inputs;
        const hone_tensor *natural = &graph->values[input ? graph->inputs[k] : graph->outputs[k - graph->n_inputs]].tensor;
        for (int layout = HONE_ROW; layout <= HONE_NHWC; layout++) {
            hone_tensor inside = hone_format_tensor(natural, precision, (hone_layout)layout);
            if (hone_format_same_bytes(natural, &inside) || !hone_dtype_is_float(natural->dtype)) continue;
            if (inside.rank != 4 && layout == HONE_NHWC) continue;
            hone_status status = hone_conversion_problem(input ? natural : &inside, input ? &inside : natural, scratch);
            if (status == HONE_OK) status = want(list, scratch);
            if (status != HONE_OK) return status;
        }
    }
    return HONE_OK;
}

static hone_status want_group(const hone_view *view, const hone_group *group, const hone_target *target, const hone_precision *precision,
                              hone_problem *scratch, wanted_list *list) {
    unsigned layouts = precision ? hone_group_layouts(view, group, target) : 1u << HONE_ROW;
    for (int layout = HONE_ROW; layout <= HONE_NHWC; layout++) {
        if (!(layouts & 1u << layout)) continue;
        unsigned may = hone_group_ports(view, group, precision, (hone_layout)layout, target);
        for (unsigned ports = 0; ports < HONE_PORTS; ports++) {
            if (ports & ~may) continue;
            hone_status status = hone_group_problem(view, group, precision, (hone_layout)layout, ports, scratch);
            if (status == HONE_OK) status = want(list, scratch);
            if (status != HONE_OK && status != HONE_DECLINED && status != HONE_USAGE) return status;
        }
    }
    return HONE_OK;
}

static hone_status want_all(const hone_view *view, const hone_target *target, const hone_precision_set *precisions, wanted_list *list) {
    hone_status status = HONE_OK;
    hone_group_list groups = {0};
    hone_problem *scratch = hone_alloc(sizeof *scratch);
    if (!scratch) return HONE_NO_MEMORY;
    HONE_TRY(hone_groups_propose(view, &groups));
    for (size_t g = 0; g < groups.n; g++) {
        if (groups.items[g].view) continue;
        if (!hone_group_has_float(view, &groups.items[g])) HONE_TRY(want_group(view, &groups.items[g], target, NULL, scratch, list));
        else
            for (int p = 0; p < precisions->n; p++)
                HONE_TRY(want_group(view, &groups.items[g], target, precisions->items[p], scratch, list));
    }
    for (int p = 0; p < precisions->n; p++) HONE_TRY(want_ports(view->graph, precisions->items[p], scratch, list));
out:
    hone_free(groups.items);
    hone_free(scratch);
    return status;
}

static void wanted_clear(wanted_list *list) {
    for (size_t k = 0; k < list->n; k++) hone_free(list->items[k].problem);
    hone_free(list->items);
}

// A value as it came, and as each precision has it in each layout.
static int formats_of(const hone_tensor *natural, const hone_precision_set *precisions, hone_tensor formats[VALUE_FORMATS_MAX]) {
    int n = 0;
    formats[n++] = *natural;
    for (int p = 0; p < precisions->n; p++)
        for (int layout = HONE_ROW; layout <= HONE_NHWC; layout++)
            if (natural->rank == 4 || layout == HONE_ROW) formats[n++] = hone_format_tensor(natural, precisions->items[p], (hone_layout)layout);
    return n;
}

static hone_status want_conversions(const hone_graph *graph, const hone_precision_set *precisions, wanted_list *list) {
    hone_tensor formats[VALUE_FORMATS_MAX];
    hone_status status = HONE_OK;
    hone_problem *scratch = hone_alloc(sizeof *scratch);
    if (!scratch) return HONE_NO_MEMORY;
    for (int v = 0; v < graph->n_values; v++) {
        const hone_tensor *natural = &graph->values[v].tensor;
        if (graph->values[v].data || !hone_dtype_is_float(natural->dtype)) continue;      // constants are converted at build
        int n = formats_of(natural, precisions, formats);
        for (int k = 0; k < n * n; k++) {
            const hone_tensor *from = &formats[k / n], *to = &formats[k % n];
            if (k && hone_format_same_bytes(from, to)) continue;      // the first is an output that is an input
            HONE_TRY(hone_conversion_problem(from, to, scratch));
            HONE_TRY(want(list, scratch));
        }
    }
out:
    hone_free(scratch);
    return status;
}

// The problems of a graph, sorted, equal ones counted together.
static hone_status want_graph(const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions, bool conversions,
                              wanted_list *list) {
    hone_view *view = NULL;
    hone_status status = hone_view_new(graph, &view);
    if (status == HONE_OK) status = want_all(view, target, precisions, list);
    if (status == HONE_OK && conversions) status = want_conversions(graph, precisions, list);
    hone_view_free(view);
    if (status != HONE_OK || !list->n) return status;
    qsort(list->items, list->n, sizeof *list->items, by_spelling);
    size_t n = 0;
    for (size_t k = 0; k < list->n; k++) {
        if (n && !by_spelling(&list->items[n - 1], &list->items[k])) {
            list->items[n - 1].times++;
            hone_free(list->items[k].problem);
        } else {
            list->items[n++] = list->items[k];
        }
    }
    list->n = n;
    return HONE_OK;
}

// ---- forms of the network: as given, and without rows that nobody reads; each also with sibling products joined

enum { FORMS_MAX = 4 };

typedef struct forms {
    hone_graph *narrow;
    hone_join *joins[FORMS_MAX];       // of the form at the same place; NULL: none
    const hone_graph *graphs[FORMS_MAX];
    int n;
} forms;

static hone_status add_form(forms *f, const hone_graph *graph) {
    f->graphs[f->n++] = graph;
    hone_status status = hone_join_new(graph, &f->joins[f->n]);
    if (status == HONE_OK && f->joins[f->n]) f->graphs[f->n] = hone_join_graph(f->joins[f->n]), f->n++;
    return status;
}

static hone_status forms_init(forms *f, const hone_graph *graph) {
    *f = (forms){.narrow = NULL};
    hone_status status = add_form(f, graph);
    if (status == HONE_OK) status = hone_simplify_narrow(graph, &f->narrow);
    return status == HONE_OK && f->narrow ? add_form(f, f->narrow) : status;
}

static void forms_clear(forms *f) {
    for (int k = 0; k < FORMS_MAX; k++) hone_join_free(f->joins[k]);
    hone_graph_free(f->narrow);
}

// All forms of the network are tuned; what is in several counts as often as it stands in the first of them. Lists are sorted.
static hone_status each_of_all(const wanted_list *lists, int n, hone_problem_each each, void *user) {
    size_t at[FORMS_MAX] = {0};
    for (;;) {
        const wanted *next = NULL;
        for (int k = 0; k < n; k++)
            if (at[k] < lists[k].n && (!next || by_spelling(&lists[k].items[at[k]], next) < 0)) next = &lists[k].items[at[k]];
        if (!next) return HONE_OK;
        for (int k = 0; k < n; k++) at[k] += at[k] < lists[k].n && !by_spelling(&lists[k].items[at[k]], next);
        hone_status status = each(user, next->problem, next->times);
        if (status != HONE_OK) return status;
    }
}

static hone_status list_problems(const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions, bool conversions,
                                 hone_problem_each each, void *user) {
    forms f;
    wanted_list lists[FORMS_MAX] = {0};
    hone_status status = forms_init(&f, graph);
    for (int k = 0; k < f.n && status == HONE_OK; k++) status = want_graph(f.graphs[k], target, precisions, conversions, &lists[k]);
    if (status == HONE_OK) status = each_of_all(lists, f.n, each, user);
    for (int k = 0; k < FORMS_MAX; k++) wanted_clear(&lists[k]);
    forms_clear(&f);
    return status;
}

hone_status hone_build_problems(const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions,
                                hone_problem_each each, void *user) {
    return list_problems(graph, target, precisions, false, each, user);
}

hone_status hone_build_questions(const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions,
                                 hone_problem_each each, void *user) {
    hone_status status = list_problems(graph, target, precisions, true, each, user);
    return status == HONE_OK ? each(user, HONE_GAP_PROBLEM, 1) : status;
}

void hone_network_mode(const hone_id *structure, const char *device, const hone_precision_set *precisions, char mode[HONE_NETWORK_MODE]) {
    hone_hash hash;
    hone_id id;
    char hex[HONE_ID_TEXT];
    hone_hash_init(&hash);
    hone_id_print(structure, hex);
    hone_hash_add_text(&hash, hex);
    hone_hash_add_text(&hash, device);
    for (int k = 0; k < precisions->n; k++) hone_hash_add_text(&hash, precisions->items[k]->name);
    hone_hash_end(&hash, &id);
    hone_id_print(&id, hex);
    snprintf(mode, HONE_NETWORK_MODE, "plan %s", hex);
}

static hone_status head(const hone_build_options *options, hone_store *store, const char *network_name, hone_plan *plan) {
    hone_text names;
    hone_text_init(&names);
    for (int k = 0; k < options->precisions.n; k++) hone_text_printf(&names, "%s%s", k ? "," : "", options->precisions.items[k]->name);
    plan->device = hone_arena_strdup(plan->arena, options->device);
    plan->toolchain = hone_arena_strdup(plan->arena, options->toolchain);
    plan->network = hone_arena_strdup(plan->arena, network_name);
    plan->precisions = hone_arena_strdup(plan->arena, hone_text_get(&names));
    hone_text_clear(&names);
    if (!plan->device || !plan->toolchain || !plan->network || !plan->precisions) return HONE_NO_MEMORY;
    return hone_store_snapshot(store, &plan->snapshot);
}

typedef struct prospect {          // the network in one form, and the best way to run it
    hone_view *view;
    hone_group_list groups;
    hone_partition partition;
} prospect;

static hone_status explore(const hone_graph *graph, hone_costs *costs, const hone_build_options *options, prospect *p) {
    hone_status status = hone_view_new(graph, &p->view);
    if (status == HONE_OK) status = hone_groups_propose(p->view, &p->groups);
    return status == HONE_OK ? hone_partition_find(p->view, &p->groups, costs, &options->precisions, &p->partition) : status;
}

static void prospect_clear(prospect *p) {
    hone_free(p->groups.items);
    hone_view_free(p->view);
}

static int count_lines(const char *text) {
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

// The recipes rest on the form that was chosen, which goes when it is planned.
static hone_status give_weights(const hone_build_options *options, hone_plan *plan) {
    hone_status status = options->drafted ? options->drafted(options->user, plan) : hone_assemble_weights(plan);
    hone_assemble_forget(plan);
    return status;
}

static hone_status check_missing(const hone_build_options *options, const hone_plan *plan, const hone_text *missing) {
    hone_status status = hone_text_status(missing);
    if (status != HONE_OK || !options->strict || !missing->size) return status;
    return hone_fail(HONE_MISS, "the database lacks %d problems of %s on %s%s%s: tune the list above with `hone tune -`",
                     count_lines(hone_text_get(missing)), plan->network, options->device, options->without ? ", without " : "",
                     options->without ? options->without : "");
}

static hone_status plan_network(const hone_graph *graph, hone_costs *costs, const hone_build_options *options, hone_text *missing, hone_plan *plan) {
    forms f;
    prospect prospects[FORMS_MAX] = {{.view = NULL}};
    int best = 0;
    hone_status status = forms_init(&f, graph);
    for (int k = 0; k < f.n && status == HONE_OK; k++) {
        status = explore(f.graphs[k], costs, options, &prospects[k]);
        if (status == HONE_OK && prospects[k].partition.ns < prospects[best].partition.ns) best = k;
    }
    if (status != HONE_OK) goto out;
    if (f.joins[best]) hone_join_fill(f.joins[best]);
    plan->predicted_ns = prospects[best].partition.ns;
    HONE_TRY(hone_assemble(prospects[best].view, &prospects[best].partition, costs, missing, plan));
    HONE_TRY(hone_lanes_assign(plan, options->lanes));
    HONE_TRY(check_missing(options, plan, missing));
    HONE_TRY(hone_memory_plan(plan));
    status = give_weights(options, plan);
out:
    for (int k = 0; k < FORMS_MAX; k++) prospect_clear(&prospects[k]);
    forms_clear(&f);
    return status;
}

hone_status hone_build(const hone_graph *graph, hone_store *store, const hone_build_options *given, const char *network_name,
                       hone_text *missing, hone_plan **out) {
    hone_status status = HONE_NO_MEMORY;
    char toolchain[512];
    hone_build_options options = *given;
    hone_costs costs = {0};
    bool was_retimed;
    hone_id structure;
    hone_arena *scratch = hone_arena_new(SCRATCH_CEILING);
    hone_plan *plan = hone_calloc(1, sizeof *plan);
    if (options.without) HONE_TRY(hone_opens_check(options.without));
    if (!scratch || !plan || !(plan->arena = hone_arena_new(PLAN_CEILING))) goto out;
    if (!options.toolchain) {
        HONE_TRY(hone_store_find_toolchain(store, options.device, toolchain, sizeof toolchain));
        options.toolchain = toolchain;
    }
    HONE_TRY(hone_costs_init(&costs, scratch, store, &options));
    HONE_TRY(hone_graph_structure(graph, &structure));
    hone_network_mode(&structure, options.device, &options.precisions, costs.mode);
    HONE_TRY(hone_store_find_mode(store, options.device, costs.mode, &was_retimed));
    if (!was_retimed) *costs.mode = 0;         // spares a second question for each problem
    HONE_TRY(head(&options, store, network_name, plan));
    HONE_TRY(plan_network(graph, &costs, &options, missing, plan));
    plan->network_digest = *hone_graph_digest(graph);      // of all weights: it is waited for last
    *out = plan;
    plan = NULL;
out:
    hone_costs_clear(&costs);
    hone_arena_free(scratch);
    hone_plan_free(plan);
    return status;
}
