// SPDX-License-Identifier: Apache-2.0
// softmax(scale * q k' + mask) v as exporters write it: products around a softmax, the scale before, after or on both sides, a mask
// added, a guard that turns rows of NaN (everything masked) into zero, and the transposes that split and join heads, which are taken in
// when all four are there. One query has none on its side: [B, 1, H, D] and [B, H, 1, D] are the same bytes.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/group_priv.h"

typedef struct match {
    int nodes[HONE_GROUP_NODES];
    int n;
    int q, k, v, mask;      // values; mask -1
    double scale;
    bool heads_last;        // operands are [B, S, H, D]: the transposes are inside
    bool one_query;         // but for q and the result, which are [B, H, 1, D]
    int parts[3][2];        // of q, k, v: the slice of a joint projection and the reshape that splits its heads, nodes; joint >= 0 alone
    int joint;              // the projection, a value, when its parts are taken in
    bool turned_with_heads; // k comes out of one transpose that splits heads and turns: it is none of attention's own forms
} match;

static hone_status propose(const hone_view *view, int node, hone_group_list *list);
static hone_status make(const hone_view *view, hone_group *group, hone_problem *problem);

const hone_rule hone_rule_attention = {.name = "attention", .propose = propose, .make = make};

static const hone_node *producer_of(const hone_view *view, int value, const char *op, int *index) {
    int p = value < 0 ? -1 : view->graph->values[value].producer;
    if (p < 0 || (op && strcmp(view->graph->nodes[p].call.op->name, op))) return NULL;
    *index = p;
    return &view->graph->nodes[p];
}

static void take(match *m, int node) {
    for (int k = 0; k < m->n; k++)
        if (m->nodes[k] == node) return;
    if (m->n < HONE_GROUP_NODES) m->nodes[m->n++] = node;
}

static bool constant_scalar(const hone_view *view, int value, double *out) {
    const hone_value *v = &view->graph->values[value];
    if (!v->data || v->tensor.dtype != HONE_F32 || hone_tensor_count(&v->tensor) != 1) return false;
    float number;
    memcpy(&number, v->data, sizeof number);
    *out = (double)number;
    return true;
}

// Takes in multiplications and divisions by a constant above `value`; returns the value above them.
static int strip_scale(const hone_view *view, int value, match *m) {
    for (;;) {
        int p;
        double c;
        const hone_node *node = producer_of(view, value, NULL, &p);
        if (!node || node->call.n_in != 2) return value;
        bool mul = !strcmp(node->call.op->name, "mul"), div = !strcmp(node->call.op->name, "div");
        int constant = mul && constant_scalar(view, node->in[0], &c) ? 0 : 1;
        if ((!mul && !div) || !constant_scalar(view, node->in[constant], &c) || view->uses[value] != 1) return value;
        m->scale *= mul ? c : 1.0 / c;
        take(m, p);
        value = node->in[1 - constant];
    }
}

static bool is_transpose(const hone_node *node, const int64_t perm[4]) {
    const int64_t *have;
    return node && hone_call_list(&node->call, "perm", &have) == 4 && !memcmp(have, perm, 4 * sizeof *perm);
}

static const int64_t split[4] = {0, 2, 1, 3}, split_turned[4] = {0, 2, 3, 1}, turned[4] = {0, 1, 3, 2};

static const hone_tensor *tensor_of(const hone_view *view, int value) { return &view->graph->values[value].tensor; }

// The guard `where(isnan(p), 0, p)` behind the softmax. Moves *value behind it when present.
static void strip_guard(const hone_view *view, int *value, match *m) {
    double zero;
    for (const int *c = view->consumers[*value]; *c >= 0; c++) {
        const hone_node *where = &view->graph->nodes[*c];
        int isnan_index;
        if (strcmp(where->call.op->name, "where") || where->in[2] != *value) continue;
        const hone_node *test = producer_of(view, where->in[0], "isnan", &isnan_index);
        if (!test || test->in[0] != *value || !constant_scalar(view, where->in[1], &zero) || zero != 0) continue;
        take(m, isnan_index);
        take(m, *c);
        *value = where->out[0];
        return;
    }
}

static bool match_scores(const hone_view *view, int value, match *m) {
    int p;
    const hone_node *add = producer_of(view, value, "add", &p);
    if (add) {       // scores + mask, in either order
        int scores = -1, inner;
        for (int side = 0; side < 2 && scores < 0; side++) {
            match trial = *m;
            int up = strip_scale(view, add->in[side], &trial);
            if (producer_of(view, up, "matmul", &inner)) {
                scores = side;
                take(m, p);
                m->mask = add->in[1 - side];
            }
        }
        if (scores < 0) return false;
        value = add->in[scores];
    }
    value = strip_scale(view, value, m);
    const hone_node *qk = producer_of(view, value, "matmul", &p);
    if (!qk || hone_call_int(&qk->call, "trans_a") || tensor_of(view, qk->out[0])->rank != 4) return false;
    take(m, p);
    m->q = strip_scale(view, qk->in[0], m);
    m->k = strip_scale(view, qk->in[1], m);
    if (hone_call_int(&qk->call, "trans_b")) return true;
    const hone_node *turn = producer_of(view, m->k, "transpose", &p);
    if (!turn || view->uses[m->k] != 1) return false;
    if (is_transpose(turn, turned)) {
        take(m, p);
        m->k = strip_scale(view, turn->in[0], m);
        return true;
    }
    m->turned_with_heads = is_transpose(turn, split_turned);     // taken in only with the other heads' transposes
    return m->turned_with_heads;
}

// Takes in the transposes of q and of the result.
static bool take_outer_heads(const hone_view *view, match *m, int out) {
    int q, o = view->graph->values[out].is_output ? -1 : view->consumers[out][0];
    const hone_node *nq = producer_of(view, m->q, "transpose", &q);
    if (!is_transpose(nq, split) || view->uses[m->q] != 1 || o < 0 || view->consumers[out][1] >= 0) return false;
    const hone_node *no = &view->graph->nodes[o];
    if (strcmp(no->call.op->name, "transpose") || !is_transpose(no, split)) return false;
    take(m, q), take(m, o);
    m->q = nq->in[0];
    return true;
}

// Takes in the four transposes between [B, S, H, D] and [B, H, S, D] when all are there and used here only.
static void take_heads(const hone_view *view, match *m, int out) {
    int k, v;
    const hone_node *nk = producer_of(view, m->k, "transpose", &k), *nv = producer_of(view, m->v, "transpose", &v);
    if (!nk || !is_transpose(nv, split) || !is_transpose(nk, m->turned_with_heads ? split_turned : split)) return;
    if (view->uses[m->k] != 1 || view->uses[m->v] != 1) return;
    m->one_query = tensor_of(view, m->q)->dims[2] == 1;
    if (!m->one_query && !take_outer_heads(view, m, out)) return;
    take(m, k), take(m, v);
    m->k = nk->in[0], m->v = nv->in[0];
    m->heads_last = true;
}

// Takes in, behind the heads, the slices that cut q, k and v (or k and v for one query) out of one projection: they are strides of its rows.
static void take_parts(const hone_view *view, match *m) {
    const int ends[3] = {m->q, m->k, m->v}, first = m->one_query;
    int joint = -1;
    for (int k = first; k < 3; k++) {
        const hone_node *reshape = producer_of(view, ends[k], "reshape", &m->parts[k][1]);
        const hone_node *slice = reshape ? producer_of(view, reshape->in[0], "slice", &m->parts[k][0]) : NULL;
        if (!slice || view->uses[ends[k]] != 1 || view->uses[reshape->in[0]] != 1 || (k > first && slice->in[0] != joint)) return;
        joint = slice->in[0];
    }
    for (int k = first; k < 3; k++) take(m, m->parts[k][0]), take(m, m->parts[k][1]);
    m->joint = joint;
}

// How much is taken in: the products and the softmax alone, the transposes of the heads, the parts of a joint projection.
enum { BARE, HEADS, PARTS, EXTENTS };

// Matches the attention whose softmax is `node`, to the extent asked for.
static bool match_softmax(const hone_view *view, int node, int extent, match *m) {
    const hone_graph *graph = view->graph;
    const hone_node *softmax = &graph->nodes[node];
    if (strcmp(softmax->call.op->name, "softmax") || tensor_of(view, softmax->out[0])->rank != 4) return false;
    int64_t axis = hone_call_int(&softmax->call, "axis");
    if (axis != 3 && axis != -1) return false;
    *m = (match){.mask = -1, .scale = 1, .joint = -1};
    take(m, node);
    if (!match_scores(view, softmax->in[0], m)) return false;
    int p = softmax->out[0];
    strip_guard(view, &p, m);
    int next = view->consumers[p][0];
    if (next < 0 || view->consumers[p][1] >= 0) return false;
    const hone_node *pv = &graph->nodes[next];
    if (strcmp(pv->call.op->name, "matmul") || pv->in[0] != p || hone_call_int(&pv->call, "trans_a") ||
        hone_call_int(&pv->call, "trans_b"))
        return false;
    take(m, next);
    m->v = pv->in[1];
    if (extent >= HEADS) take_heads(view, m, pv->out[0]);
    if (extent == PARTS && m->heads_last) take_parts(view, m);
    return extent == BARE ? !m->turned_with_heads : extent == HEADS ? m->heads_last : m->joint >= 0;
}

static int softmax_of(const hone_view *view, const hone_group *group) {
    for (int k = 0; k < group->n_nodes; k++)
        if (!strcmp(view->graph->nodes[group->nodes[k]].call.op->name, "softmax")) return group->nodes[k];
    return -1;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list) {
    // The exit is the last product or the transpose behind it, so the softmax is looked for from there; proposing from the softmax
    // gives the same groups once each.
    for (int extent = 0; extent < EXTENTS; extent++) {
        match m;
        if (!match_softmax(view, node, extent, &m)) continue;
        hone_status status = hone_group_add(view, &hone_rule_attention, m.nodes, m.n, list);
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

static bool operand_of(const hone_view *view, hone_group *group, hone_problem *problem, int value, hone_ref *ref) {
    int known = 0;
    while (known < problem->n_operands && group->operands[known] != value) known++;
    if (known == problem->n_operands) {
        known = hone_problem_add_operand(problem, tensor_of(view, value));
        if (known < 0) return false;
        group->operands[known] = value;
    }
    *ref = (hone_ref){HONE_REF_OPERAND, known};
    return true;
}

// A part of the joint projection: its slice and reshape as steps, in[0] their result.
static hone_status part_of(const hone_view *view, hone_group *group, hone_problem *problem, const match *m, int side, hone_ref *in) {
    if (!operand_of(view, group, problem, m->joint, in)) return HONE_DECLINED;
    for (int k = 0; k < 2; k++) {
        const hone_node *node = &view->graph->nodes[m->parts[side][k]];
        hone_status status = hone_problem_add_step(problem, &node->call, (hone_ref[HONE_INPUTS_MAX]){*in});
        if (status != HONE_OK) return status;
        *in = (hone_ref){HONE_REF_RESULT, problem->n_steps - 1};
    }
    return HONE_OK;
}

// One query with its heads before its position instead of behind it, or the way back, as a step.
static hone_status swap_heads(hone_problem *problem, const hone_tensor *from, hone_ref in[HONE_INPUTS_MAX]) {
    hone_call call;
    const int64_t dims[4] = {from->dims[0], from->dims[2], from->dims[1], from->dims[3]};
    hone_status status = hone_call_init(&call, "reshape", 1);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "shape", dims, 4);
    if (status == HONE_OK) status = hone_problem_add_step(problem, &call, in);
    in[0] = (hone_ref){HONE_REF_RESULT, problem->n_steps - 1};
    return status;
}

static hone_status make(const hone_view *view, hone_group *group, hone_problem *problem) {
    match m;
    int softmax = softmax_of(view, group);
    bool found = false;
    for (int extent = 0; extent < EXTENTS && !found; extent++)
        found = softmax >= 0 && match_softmax(view, softmax, extent, &m) && m.n == group->n_nodes;
    if (!found) return HONE_DECLINED;
    hone_problem_init(problem);
    hone_call call;
    int values[4] = {m.q, m.k, m.v, m.mask}, n_in = m.mask < 0 ? 3 : 4;
    hone_status status = hone_call_init(&call, "attention", n_in);
    // Scales come as products of floats (sqrt of sqrt on both sides): the spelling keeps float precision.
    if (status == HONE_OK) status = hone_call_set_real(&call, "scale", (double)(float)m.scale);
    if (status == HONE_OK) status = hone_call_set_word(&call, "heads", m.heads_last ? "bshd" : "bhsd");
    if (status != HONE_OK) return status;
    hone_ref in[HONE_INPUTS_MAX];
    for (int k = 0; k < n_in && status == HONE_OK; k++) {
        if (m.joint >= 0 && k < 3 && k >= m.one_query) status = part_of(view, group, problem, &m, k, &in[k]);
        else if (!operand_of(view, group, problem, values[k], &in[k])) status = HONE_DECLINED;
        if (status == HONE_OK && m.one_query && k == 0) status = swap_heads(problem, tensor_of(view, m.q), in);
    }
    if (status != HONE_OK) return status;
    status = hone_problem_add_step(problem, &call, in);
    in[0] = (hone_ref){HONE_REF_RESULT, problem->n_steps - 1};
    if (status == HONE_OK && m.one_query) status = swap_heads(problem, &problem->steps[problem->n_steps - 1].out[0], in);
    group->n_operands = problem->n_operands;
    return status == HONE_OK ? hone_problem_finish(problem) : status;
}
