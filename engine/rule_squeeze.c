// SPDX-License-Identifier: Apache-2.0
// Squeeze and excite: the mean of an image, a convolution of 1 x 1 on that one pixel, what stands behind it, and another one, with the
// elementwise ops that follow. Proposed are the channels' gates (all that has one pixel), and every longer chain through the image that the gates
// are applied to; each with the mean, and the gates without it, since a large image is better reduced by more blocks.
#include <string.h>

#include "engine/group_priv.h"

static hone_status propose(const hone_view *view, int node, hone_group_list *list);

const hone_rule hone_rule_squeeze = {.name = "squeeze", .device = "cuda", .propose = propose, .make = hone_group_make_calls};

static const hone_tensor *result_of(const hone_view *view, int node)
{
    return &view->graph->values[view->graph->nodes[node].out[0]].tensor;
}

static bool is_one_pixel(const hone_tensor *t)
{
    return t->rank == 4 && t->dims[2] * t->dims[3] == 1;
}

static int producer_of(const hone_view *view, int value)
{
    return value < 0 ? -1 : view->graph->values[value].producer;
}

// A product over the channels of one pixel, with constant weights.
static bool is_product(const hone_view *view, int node)
{
    const hone_node *n = &view->graph->nodes[node];
    if (strcmp(n->call.op->name, "conv") || hone_call_int(&n->call, "group") != 1 || !view->graph->values[n->in[1]].data) return false;
    return is_one_pixel(&view->graph->values[n->in[0]].tensor) && is_one_pixel(result_of(view, node)) &&
           is_one_pixel(&view->graph->values[n->in[1]].tensor);
}

static bool is_mean(const hone_view *view, int node)
{
    const hone_node *n = &view->graph->nodes[node];
    return !strcmp(n->call.op->name, "reduce") && !strcmp(hone_call_word(&n->call, "kind"), "mean") && is_one_pixel(result_of(view, node));
}

// Collects the elementwise nodes between `value` and the product that all their ways lead up to; -1 when they lead elsewhere.
static int walk_up(const hone_view *view, int value, int *nodes, int *n)
{
    int at = producer_of(view, value);
    if (at < 0) return -1;
    if (is_product(view, at)) return at;
    const hone_node *node = &view->graph->nodes[at];
    if (!hone_node_is_elementwise(node) || *n >= HONE_CALLS_MAX / 2) return -1;
    for (int k = 0; k < *n; k++)
        if (nodes[k] == at) return -1;         // seen from another side: that one answers
    nodes[(*n)++] = at;
    int found = -1;
    for (int k = 0; k < node->call.n_in; k++) {
        int product = node->in[k] < 0 || view->graph->values[node->in[k]].data ? -1 : walk_up(view, node->in[k], nodes, n);
        if (product >= 0) found = product;
    }
    return found;
}

// The next node behind `node` when nothing else reads it: elementwise, and of one pixel if `narrow`.
static int next_of(const hone_view *view, int node, bool narrow)
{
    int next = hone_view_sole_consumer(view, node);
    if (next < 0 || !hone_node_is_elementwise(&view->graph->nodes[next]) || view->graph->nodes[next].call.n_out != 1) return -1;
    const hone_tensor *t = result_of(view, next), *from = result_of(view, node);
    if (t->rank != 4 || t->dims[0] != from->dims[0] || t->dims[1] != from->dims[1] || (narrow && !is_one_pixel(t))) return -1;
    return next;
}

// Groups that begin with the nodes so far and end with the gates, or, where the mean is among them, anywhere behind.
static hone_status add_chain(const hone_view *view, int *nodes, int n, bool whole, hone_group_list *list)
{
    for (int next; (next = next_of(view, nodes[n - 1], true)) >= 0 && n < HONE_CALLS_MAX;) nodes[n++] = next;
    hone_status status = hone_group_add(view, &hone_rule_squeeze, nodes, n, list);
    while (whole && !status && n < HONE_CALLS_MAX) {
        int next = next_of(view, nodes[n - 1], false);
        if (next < 0) break;
        nodes[n++] = next;
        status = hone_group_add(view, &hone_rule_squeeze, nodes, n, list);
    }
    return status;
}

static hone_status propose(const hone_view *view, int node, hone_group_list *list)
{
    int nodes[HONE_CALLS_MAX], n = 0;
    if (!is_product(view, node)) return HONE_OK;
    int first = walk_up(view, view->graph->nodes[node].in[0], nodes, &n);
    if (first < 0) return HONE_OK;
    nodes[n++] = first;
    nodes[n++] = node;
    hone_status status = add_chain(view, nodes, n, false, list);
    int mean = producer_of(view, view->graph->nodes[first].in[0]);
    if (status || mean < 0 || !is_mean(view, mean) || hone_view_sole_consumer(view, mean) != first) return status;
    nodes[n - 1] = mean;
    nodes[n++] = node;
    return add_chain(view, nodes, n, true, list);
}
