// SPDX-License-Identifier: Apache-2.0
// Rows that nobody reads are not made: a slice, as of the first token behind the last layer of a transformer, rises through what works on every
// row by itself, as long as it is all that is read. This changes what is computed, not only how it is written, so it is no normal form but
// a form of the network beside the given one (build.c): the products of few rows may be slower than those of many.
#include <string.h>

#include "engine/simplify_priv.h"

typedef struct cut {
    hone_tensor of, to;
    int64_t start[HONE_RANK_MAX], step[HONE_RANK_MAX];
} cut;

// What a slice cuts, and the node that makes it, when nothing else reads that.
static bool read_cut(const hone_rewriting *r, const hone_node *node, cut *c, hone_node *above)
{
    int x = hone_rewriting_in(r, node, 0);
    if (!hone_rewriting_is_sole(r, x) || !hone_rewriting_producer(r, x, NULL, above) || above->call.n_out != 1) return false;
    c->of = hone_rewriting_tensor(r, x);
    c->to = hone_rewriting_tensor(r, node->out[0]);
    for (int k = 0; k < c->of.rank; k++) {
        c->start[k] = hone_call_int_at(&node->call, "start", k);
        c->step[k] = hone_call_int_at(&node->call, "step", k);
    }
    return hone_tensor_count(&c->to) > 0;
}

static bool is_whole(const cut *c, int axis)
{
    return c->to.dims[axis] == c->of.dims[axis] && c->step[axis] == 1;
}

// The part of an operand that the cut reads: its axes are the last of the cut value's, those of extent 1 are broadcast. `whole`: the last axis
// is another one.
static hone_status cut_operand(hone_rewriting *r, const cut *c, int x, bool whole, int *value)
{
    hone_tensor t = hone_rewriting_tensor(r, x);
    int64_t start[HONE_RANK_MAX], size[HONE_RANK_MAX], step[HONE_RANK_MAX];
    for (int k = 0; k < t.rank; k++) {
        int axis = k + c->of.rank - t.rank;
        bool all = t.dims[k] == 1 || (whole && k == t.rank - 1);
        start[k] = all ? 0 : c->start[axis];
        size[k] = all ? t.dims[k] : c->to.dims[axis];
        step[k] = all ? 1 : c->step[axis];
    }
    return hone_rewriting_slice(r, x, t.rank, start, size, step, value);
}

static hone_status narrow_elementwise(hone_rewriting *r, const cut *c, const hone_node *above, int *value)
{
    int in[HONE_INPUTS_MAX];
    hone_call call = above->call;
    for (int k = 0; k < call.n_in; k++) {
        in[k] = hone_rewriting_in(r, above, k);
        hone_status status = in[k] < 0 ? HONE_OK : cut_operand(r, c, in[k], false, &in[k]);
        if (status != HONE_OK) return status;
    }
    return hone_rewriting_emit(r, &call, in, value);
}

// Norms along inner axes, which must be whole; scale and shift lie along them.
static hone_status narrow_norm(hone_rewriting *r, const cut *c, const hone_node *above, int first, int last, int *value)
{
    int in[HONE_INPUTS_MAX];
    hone_call call = above->call;
    for (int axis = first; axis <= last; axis++)
        if (!is_whole(c, axis)) return HONE_OK;
    for (int k = 0; k < call.n_in; k++) in[k] = hone_rewriting_in(r, above, k);
    hone_status status = cut_operand(r, c, in[0], false, &in[0]);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, in, value) : status;
}

// Rows of a product are rows of its left side; its columns must be whole, and with many right sides the leading axes too.
static hone_status narrow_product(hone_rewriting *r, const cut *c, const hone_node *above, int *value)
{
    int in[2] = {hone_rewriting_in(r, above, 0), hone_rewriting_in(r, above, 1)};
    hone_tensor a = hone_rewriting_tensor(r, in[0]), b = hone_rewriting_tensor(r, in[1]);
    hone_call call = above->call;
    if (hone_call_int(&call, "trans_a") || a.rank != c->of.rank || b.rank < 2 || !is_whole(c, a.rank - 1)) return HONE_OK;
    for (int k = 0; k < a.rank - 2; k++)
        if (b.rank > 2 && !is_whole(c, k)) return HONE_OK;
    hone_status status = cut_operand(r, c, in[0], true, &in[0]);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, in, value) : status;
}

static hone_status raise_slice(hone_rewriting *r, const hone_node *node, int *value)
{
    cut c;
    hone_node above;
    if (!read_cut(r, node, &c, &above)) return HONE_OK;
    const char *op = above.call.op->name;
    r->name = above.name;
    r->origin = above.origin;
    if (above.call.op->kind == HONE_OP_ELEMENTWISE) return narrow_elementwise(r, &c, &above, value);
    if (!strcmp(op, "matmul")) return narrow_product(r, &c, &above, value);
    bool is_softmax = !strcmp(op, "softmax");
    if (!is_softmax && strcmp(op, "layernorm")) return HONE_OK;
    int axis = (int)hone_call_int(&above.call, "axis");
    axis += axis < 0 ? c.of.rank : 0;
    return narrow_norm(r, &c, &above, axis, is_softmax ? axis : c.of.rank - 1, value);
}

const hone_rewrite hone_rewrites_narrow[] = {
    {"raise_slice", " slice ", raise_slice, true},
    {0},
};
