// SPDX-License-Identifier: Apache-2.0
#include "engine/partition_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/source.h"

#define FORMATS 8
#define LIVE_MAX 512
#define BEYOND_MAX 256

// The formats a value can have. 0 is the natural one of integers and of float types that no precision uses.
static const hone_format formats[FORMATS] = {
    {HONE_DTYPE_NONE, HONE_ROW}, {HONE_F32, HONE_ROW}, {HONE_F32, HONE_NHWC}, {HONE_F16, HONE_ROW},
    {HONE_F16, HONE_NHWC},       {HONE_BF16, HONE_ROW}, {HONE_BF16, HONE_NHWC},
};

static int format_of(const hone_tensor *tensor) {
    for (int k = 1; k < FORMATS; k++)
        if (formats[k].dtype == tensor->dtype && formats[k].layout == tensor->layout) return k;
    return 0;
}

static hone_tensor in_format(const hone_tensor *natural, int format) {
    hone_tensor tensor = *natural;
    if (format) {
        tensor.dtype = formats[format].dtype;
        tensor.layout = formats[format].layout;
    }
    return tensor;
}

typedef struct variant {
    hone_choice choice;
    double ns;
    unsigned char in[HONE_OPERANDS_MAX];     // format each operand is read in
    unsigned char out[HONE_OUTPUTS_MAX];
    struct variant *next;                    // of the same lowest node
} variant;

typedef struct live {                        // a value that crosses the cut
    int value;
    unsigned short exists, asked;            // bit k: format k; no padding, since states are compared as bytes
} live;

typedef struct state {
    double ns;
    const struct state *from;
    const variant *by;
    struct state *next;                      // hash chain within a level
    size_t number;                           // in its level, by arrival
    int at;                                  // lowest uncovered node
    int n_beyond, n_live;
    live lives[];                            // then int beyond[]
} state;

typedef struct level {
    state **items;
    size_t n, capacity;
    state **buckets;                         // made when the first state arrives
} level;

typedef struct search {
    const hone_view *view;
    hone_costs *costs;
    hone_arena *arena;
    variant **by_node;
    level *levels;
    double *conversions;                     // [value][from][to]; NAN = not asked yet
    bool exact;
} search;

#define LEVEL_BUCKETS 4096

hone_status hone_conversion_cost(hone_costs *costs, const hone_tensor *from, const hone_tensor *to, double *ns, const hone_cost **cost) {
    *cost = NULL;
    *ns = 0;
    if (hone_format_same_bytes(from, to)) return HONE_OK;
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    hone_status status = hone_conversion_problem(from, to, problem);
    if (status == HONE_OK) status = hone_costs_get(costs, problem, cost);
    // A plan to run is made of what was measured wherever that can be; a trial build asks for the conversions that may pay.
    bool is_guess = status == HONE_OK && !(*cost)->tactic && costs->options->explores;
    if (status == HONE_OK) *ns = costs->gap_ns + (is_guess ? 2 * hone_roofline_ns(problem, &costs->target) + 2000 : (*cost)->ns);
    hone_free(problem);
    return status;
}

static hone_status conversion(search *s, int value, int from, int to, double *ns) {
    double *known = &s->conversions[((size_t)value * FORMATS + (size_t)from) * FORMATS + (size_t)to];
    if (isnan(*known)) {
        const hone_tensor *natural = &s->view->graph->values[value].tensor;
        hone_tensor a = in_format(natural, from), b = in_format(natural, to);
        const hone_cost *cost;
        hone_status status = hone_conversion_cost(s->costs, &a, &b, known, &cost);
        if (status != HONE_OK) return status;
    }
    *ns = *known;
    return HONE_OK;
}

static void variant_formats(search *s, variant *v) {
    const hone_graph *graph = s->view->graph;
    const hone_choice *c = &v->choice;
    for (int k = 0; k < c->group->n_operands; k++) {
        hone_tensor t = hone_group_operand(s->view, c->group, k, c->precision, c->layout, c->ports);
        v->in[k] = (unsigned char)format_of(&t);
    }
    const hone_node *exit = &graph->nodes[hone_group_exit(c->group)];
    for (int o = 0; o < exit->call.n_out; o++) {
        hone_tensor t = hone_group_result(s->view, c->group, o, c->precision, c->layout, c->ports);
        v->out[o] = (unsigned char)format_of(&t);
    }
}

static hone_status add_variant(search *s, const hone_group *group, const hone_precision *precision, hone_layout layout, unsigned ports) {
    variant *v = hone_arena_alloc(s->arena, sizeof *v);
    if (!v) return HONE_NO_MEMORY;
    v->choice = (hone_choice){group, precision, layout, ports, NULL};
    variant_formats(s, v);
    if (!group->view) {
        hone_problem *problem = hone_alloc(sizeof *problem);
        if (!problem) return HONE_NO_MEMORY;
        hone_status status = hone_group_problem(s->view, group, precision, layout, ports, problem);
        if (status == HONE_OK) status = hone_costs_get(s->costs, problem, &v->choice.cost);
        hone_free(problem);
        if (status == HONE_DECLINED || status == HONE_USAGE) return HONE_OK;
        if (status != HONE_OK) return status;
        if (!v->choice.cost->tactic && (group->n_nodes > 1 || ports)) return HONE_OK;     // unmeasured: only plain nodes have a stand-in
        v->ns = v->choice.cost->ns + s->costs->gap_ns;
    }
    v->next = s->by_node[group->nodes[0]];
    s->by_node[group->nodes[0]] = v;
    return HONE_OK;
}

static hone_status add_variants(search *s, const hone_group *group, const hone_precision_set *precisions) {
    if (!hone_group_has_float(s->view, group)) return add_variant(s, group, NULL, HONE_ROW, 0);
    const hone_target *target = &s->costs->target;
    if (group->view && group->layout == HONE_ROW && hone_group_ports(s->view, group, precisions->items[0], HONE_ROW, target) & HONE_LEAVES) {
        hone_status status = add_variant(s, group, NULL, HONE_ROW, 0);       // what was written as it leaves stays so
        if (status != HONE_OK) return status;
    }
    for (int p = 0; p < precisions->n; p++) {
        unsigned layouts = group->view ? 1u << group->layout : hone_group_layouts(s->view, group, target);
        for (int layout = HONE_ROW; layout <= HONE_NHWC; layout++) {
            if (!(layouts & 1u << layout)) continue;
            unsigned may = group->view ? 0 : hone_group_ports(s->view, group, precisions->items[p], (hone_layout)layout, target);
            for (unsigned ports = 0; ports < HONE_PORTS; ports++) {
                if (ports & ~may) continue;
                hone_status status = add_variant(s, group, precisions->items[p], (hone_layout)layout, ports);
                if (status != HONE_OK) return status;
            }
        }
    }
    return HONE_OK;
}

typedef struct draft {               // a state under construction
    double ns;
    int at, n_live, n_beyond;
    live lives[LIVE_MAX];
    int beyond[BEYOND_MAX];
} draft;

static const int *beyond_of(const state *st) { return (const int *)(const void *)(st->lives + st->n_live); }

static bool is_covered(const draft *d, int node) {
    if (node < d->at) return true;
    for (int k = 0; k < d->n_beyond; k++)
        if (d->beyond[k] == node) return true;
    return false;
}

static live *live_of(draft *d, int value) {
    int k = 0;
    while (k < d->n_live && d->lives[k].value < value) k++;
    if (k < d->n_live && d->lives[k].value == value) return &d->lives[k];
    if (d->n_live == LIVE_MAX) return NULL;
    memmove(&d->lives[k + 1], &d->lives[k], (size_t)(d->n_live - k) * sizeof *d->lives);
    d->n_live++;
    d->lives[k] = (live){.value = value};
    return &d->lives[k];
}

static hone_status read_operand(search *s, draft *d, int value, int format) {
    const hone_value *v = &s->view->graph->values[value];
    if (v->data) return HONE_OK;                     // constants are converted at build
    live *l = live_of(d, value);
    if (!l) return hone_fail(HONE_INTERNAL, "partition: more than %d live values", LIVE_MAX);
    if (v->producer < 0 && !l->exists) l->exists = (unsigned short)(1u << format_of(&v->tensor));
    if (!l->exists) {
        l->asked |= (unsigned short)(1u << format);
        return HONE_OK;
    }
    double best = INFINITY, ns;
    for (int from = 0; from < FORMATS && !(l->exists & 1u << format); from++) {
        if (!(l->exists & 1u << from)) continue;
        hone_status status = conversion(s, value, from, format, &ns);
        if (status != HONE_OK) return status;
        if (ns < best) best = ns;
    }
    if (!(l->exists & 1u << format)) d->ns += best;
    l->exists |= (unsigned short)(1u << format);
    return HONE_OK;
}

static hone_status write_output(search *s, draft *d, int value, int format) {
    const hone_value *v = &s->view->graph->values[value];
    live *l = live_of(d, value);
    if (!l) return hone_fail(HONE_INTERNAL, "partition: more than %d live values", LIVE_MAX);
    unsigned asked = l->asked | (v->is_output ? 1u << format_of(&v->tensor) : 0u);
    for (int to = 0; to < FORMATS; to++) {
        double ns;
        if (to == format || !(asked & 1u << to)) continue;
        hone_status status = conversion(s, value, format, to, &ns);
        if (status != HONE_OK) return status;
        d->ns += ns;
    }
    l->exists = (unsigned short)(asked | 1u << format);
    l->asked = 0;
    return HONE_OK;
}

static void drop_dead(search *s, draft *d) {
    int kept = 0;
    for (int k = 0; k < d->n_live; k++) {
        const live *l = &d->lives[k];
        bool needed = !l->exists;
        for (const int *c = s->view->consumers[l->value]; *c >= 0 && !needed; c++) needed = !is_covered(d, *c);
        if (needed) d->lives[kept++] = *l;
    }
    d->n_live = kept;
}

static bool cover_nodes(draft *d, const hone_group *group, int n_nodes) {
    for (int k = 0; k < group->n_nodes; k++) {
        if (d->n_beyond == BEYOND_MAX) return false;
        int at = d->n_beyond++;
        while (at > 0 && d->beyond[at - 1] > group->nodes[k]) {
            d->beyond[at] = d->beyond[at - 1];
            at--;
        }
        d->beyond[at] = group->nodes[k];
    }
    int taken = 0;
    while (d->at < n_nodes && taken < d->n_beyond && d->beyond[taken] == d->at) {
        taken++;
        d->at++;
    }
    memmove(d->beyond, d->beyond + taken, (size_t)(d->n_beyond - taken) * sizeof(int));
    d->n_beyond -= taken;
    return true;
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t k = 0; k < size; k++) h = (h ^ bytes[k]) * 1099511628211u;
    return h;
}

static bool same_state(const state *a, const draft *d) {
    return a->n_live == d->n_live && a->n_beyond == d->n_beyond &&
           !memcmp(a->lives, d->lives, (size_t)d->n_live * sizeof(live)) && !memcmp(beyond_of(a), d->beyond, (size_t)d->n_beyond * sizeof(int));
}

// Keeps the cheaper of equal states; equal costs keep the first, so that the result does not depend on memory addresses.
static hone_status keep(search *s, const draft *d, const state *from, const variant *by) {
    level *lv = &s->levels[d->at];
    if (!lv->buckets) {
        lv->buckets = hone_calloc(LEVEL_BUCKETS, sizeof *lv->buckets);
        if (!lv->buckets) return HONE_NO_MEMORY;
    }
    size_t live_bytes = (size_t)d->n_live * sizeof(live), beyond_bytes = (size_t)d->n_beyond * sizeof(int);
    uint64_t h = hash_bytes(hash_bytes(1469598103934665603u, d->lives, live_bytes), d->beyond, beyond_bytes);
    state **bucket = &lv->buckets[h % LEVEL_BUCKETS], *st = *bucket;
    while (st && !same_state(st, d)) st = st->next;
    if (!st) {
        st = hone_arena_alloc(s->arena, sizeof *st + live_bytes + beyond_bytes);
        if (!st || hone_grow(&lv->items, lv->n, &lv->capacity, sizeof *lv->items, 1u << 24)) return HONE_NO_MEMORY;
        *st = (state){.ns = INFINITY, .next = *bucket, .number = lv->n, .at = d->at, .n_beyond = d->n_beyond, .n_live = d->n_live};
        memcpy(st->lives, d->lives, live_bytes);
        memcpy((void *)(uintptr_t)beyond_of(st), d->beyond, beyond_bytes);
        *bucket = st;
        lv->items[lv->n++] = st;
    }
    if (d->ns < st->ns) {
        st->ns = d->ns;
        st->from = from;
        st->by = by;
    }
    return HONE_OK;
}

static hone_status extend(search *s, const state *from, const variant *v, draft *d) {
    const hone_graph *graph = s->view->graph;
    const hone_group *group = v->choice.group;
    d->ns = from->ns + v->ns;
    d->at = from->at;
    d->n_live = from->n_live;
    d->n_beyond = from->n_beyond;
    memcpy(d->lives, from->lives, (size_t)from->n_live * sizeof(live));
    memcpy(d->beyond, beyond_of(from), (size_t)from->n_beyond * sizeof(int));
    for (int k = 0; k < group->n_nodes; k++)
        if (is_covered(d, group->nodes[k])) return HONE_OK;
    for (int k = 0; k < group->n_operands; k++) {
        hone_status status = read_operand(s, d, group->operands[k], v->in[k]);
        if (status != HONE_OK) return status;
    }
    const hone_node *exit = &graph->nodes[hone_group_exit(group)];
    for (int o = 0; o < exit->call.n_out; o++) {
        hone_status status = write_output(s, d, exit->out[o], v->out[o]);
        if (status != HONE_OK) return status;
    }
    if (!cover_nodes(d, group, graph->n_nodes)) return HONE_OK;
    drop_dead(s, d);
    return keep(s, d, from, v);
}

static int cheaper(const void *a, const void *b) {
    const state *x = *(const state *const *)a, *y = *(const state *const *)b;
    if (x->ns != y->ns) return x->ns > y->ns ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

static hone_status sweep(search *s) {
    draft *d = hone_calloc(1, sizeof *d);
    if (!d) return HONE_NO_MEMORY;
    hone_status status = keep(s, d, NULL, NULL);
    for (int at = 0; status == HONE_OK && at < s->view->graph->n_nodes; at++) {
        level *lv = &s->levels[at];
        qsort(lv->items, lv->n, sizeof *lv->items, cheaper);
        if (lv->n > HONE_PARTITION_WIDTH) {
            s->exact = false;
            lv->n = HONE_PARTITION_WIDTH;
        }
        for (size_t k = 0; k < lv->n && status == HONE_OK; k++)
            for (const variant *v = s->by_node[at]; v && status == HONE_OK; v = v->next) status = extend(s, lv->items[k], v, d);
        hone_free(lv->buckets);
        lv->buckets = NULL;
    }
    hone_free(d);
    return status;
}

static int by_exit(const void *a, const void *b) {
    const hone_choice *x = a, *y = b;
    return hone_group_exit(x->group) - hone_group_exit(y->group);
}

static hone_status collect(search *s, hone_partition *partition) {
    level *last = &s->levels[s->view->graph->n_nodes];
    if (last->n == 0) return hone_fail(HONE_INTERNAL, "partition: no cover of the graph was found");
    const state *best = last->items[0];
    for (size_t k = 1; k < last->n; k++)
        if (last->items[k]->ns < best->ns) best = last->items[k];
    int n = 0;
    for (const state *st = best; st->by; st = st->from) n++;
    partition->choices = hone_arena_alloc(s->arena, (size_t)(n + 1) * sizeof *partition->choices);
    if (!partition->choices) return HONE_NO_MEMORY;
    for (const state *st = best; st->by; st = st->from) partition->choices[partition->n++] = st->by->choice;
    qsort(partition->choices, (size_t)n, sizeof *partition->choices, by_exit);     // exits ascending = a topological order of the groups
    partition->ns = best->ns;
    partition->exact = s->exact;
    return HONE_OK;
}

hone_status hone_partition_find(const hone_view *view, const hone_group_list *groups, hone_costs *costs,
                                const hone_precision_set *precisions, hone_partition *partition) {
    hone_status status = HONE_NO_MEMORY;
    const hone_graph *graph = view->graph;
    search s = {.view = view, .costs = costs, .arena = costs->arena, .exact = true};
    *partition = (hone_partition){0};
    size_t n_conversions = (size_t)graph->n_values * FORMATS * FORMATS;
    s.by_node = hone_calloc((size_t)graph->n_nodes + 1, sizeof *s.by_node);
    s.levels = hone_calloc((size_t)graph->n_nodes + 1, sizeof *s.levels);
    s.conversions = hone_calloc(n_conversions + 1, sizeof *s.conversions);
    if (!s.by_node || !s.levels || !s.conversions) goto out;
    for (size_t k = 0; k < n_conversions; k++) s.conversions[k] = NAN;
    for (size_t k = 0; k < groups->n; k++) HONE_TRY(add_variants(&s, &groups->items[k], precisions));
    HONE_TRY(sweep(&s));
    status = collect(&s, partition);
out:
    for (int k = 0; s.levels && k <= graph->n_nodes; k++) {
        hone_free(s.levels[k].items);
        hone_free(s.levels[k].buckets);
    }
    hone_free(s.levels);
    hone_free(s.by_node);
    hone_free(s.conversions);
    return status;
}
