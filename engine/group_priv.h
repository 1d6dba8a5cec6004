// SPDX-License-Identifier: Apache-2.0
// Groups: what rules propose. A group is a convex, single-exit set of nodes with the one problem that would replace it. A rule never
// rewrites; partition decides. A variant is a group in one precision and layout: a concrete problem with a spelling.
#ifndef HONE_ENGINE_GROUP_PRIV_H
#define HONE_ENGINE_GROUP_PRIV_H

#include "engine/build.h"
#include "engine/graph.h"
#include "kernels/problem.h"

#define HONE_GROUP_NODES 40
#define HONE_IMAGE_CHANNELS 4                // most channels of what is treated as a photograph

struct hone_rule;

typedef struct hone_group {
    const struct hone_rule *rule;
    int n_nodes;
    int nodes[HONE_GROUP_NODES];             // ascending; the last is the exit
    int n_operands;
    int operands[HONE_OPERANDS_MAX];         // graph values, as the problem's operands
    bool view;                               // same bytes, other dims: costs nothing and has no problem
    hone_layout layout;                      // in which a view is one
} hone_group;

typedef struct hone_group_list {
    hone_group *items;                       // owned
    size_t n, capacity;
} hone_group_list;

// What rules read: the graph and who uses what.
typedef struct hone_view {
    const hone_graph *graph;
    const int *uses;                         // uses[value]: node operands and network outputs that read it
    int *const *consumers;                   // consumers[value]: nodes that read it, ascending, -1 at the end
} hone_view;

typedef struct hone_rule {
    const char *name;
    bool views;                              // its groups are views, in `layout`
    hone_layout layout;
    const char *device;                      // the one kind of device where its groups are worth a measurement; NULL: all
    int cc;                                  // and the least compute capability there
    // Proposes every group whose exit is `node`. HONE_OK also when there is none.
    hone_status (*propose)(const hone_view *view, int node, hone_group_list *list);
    // Builds the group's problem: operands as `format` says, in the order of group->operands, which a first call fills.
    hone_status (*make)(const hone_view *view, hone_group *group, hone_problem *problem);
} hone_rule;

extern const hone_rule *const hone_rules[];
extern const int hone_rule_count;

hone_status hone_view_new(const hone_graph *graph, hone_view **view);
void hone_view_free(hone_view *view);

// Adds a group of these nodes (any order) if it is convex and single-exit and its problem can be spelled; quietly leaves it out otherwise.
hone_status hone_group_add(const hone_view *view, const hone_rule *rule, const int *nodes, int n, hone_group_list *list);
// The usual make: the nodes' own calls, in order.
hone_status hone_group_make_calls(const hone_view *view, hone_group *group, hone_problem *problem);
bool hone_group_holds(const hone_group *group, int node);
int hone_group_exit(const hone_group *group);
bool hone_node_is_elementwise(const hone_node *node);
typedef bool hone_head_test(const hone_node *node);
// Adds to the `n` nodes of a chain the elementwise ones from `at` up to one that is_head takes, and that one. How many they are then; 0: there is none.
int hone_tail_climb(const hone_view *view, hone_head_test *is_head, int at, int *chain, int n);
// Adds the exit `node` with the chain of elementwise nodes from its operand k up to one that is_head takes, if there is one.
hone_status hone_tail_propose(const hone_view *view, const hone_rule *rule, hone_head_test *is_head, int node, int k, hone_group_list *list);
// The same of every operand of an elementwise exit.
hone_status hone_tails_propose(const hone_view *view, const hone_rule *rule, hone_head_test *is_head, int node, hone_group_list *list);
// The only consumer of a node's only output, or -1 (several, none, or also a network output).
int hone_view_sole_consumer(const hone_view *view, int node);

typedef struct hone_format {                 // how a value lies in memory
    hone_dtype dtype;
    hone_layout layout;
} hone_format;

// The tensor of a value under a precision and layout: float types become the precision's, rank 4 floats get the layout.
hone_tensor hone_format_tensor(const hone_tensor *natural, const hone_precision *precision, hone_layout layout);

// What a variant does at the ports of the network, as bits. ENTERS: it reads the network's input, and its own constants, as they come; its products
// round to TF32, which is as fine as the 16-bit floats of the precision. LEAVES: its result is written as it leaves the network.
enum { HONE_LEAVES = 1, HONE_ENTERS = 2, HONE_PORTS = 4 };

// The ports that a group has a choice at: a first convolution of few channels may enter, on a GPU; a group that makes an output of the network that
// lies otherwise outside may leave. So a conversion beside it is spared.
unsigned hone_group_ports(const hone_view *view, const hone_group *group, const hone_precision *precision, hone_layout layout, const hone_target *target);
// Concrete problem of a group; HONE_DECLINED when this layout is not for it.
hone_status hone_group_problem(const hone_view *view, const hone_group *group, const hone_precision *precision, hone_layout layout, unsigned ports,
                               hone_problem *problem);
// The types of the group's k-th operand and o-th result.
hone_tensor hone_group_operand(const hone_view *view, const hone_group *group, int k, const hone_precision *precision, hone_layout layout, unsigned ports);
hone_tensor hone_group_result(const hone_view *view, const hone_group *group, int o, const hone_precision *precision, hone_layout layout, unsigned ports);
// False for groups that no float enters or leaves: they have one variant.
bool hone_group_has_float(const hone_view *view, const hone_group *group);
// Layouts worth proposing for a group on a target (HONE_ROW, HONE_NHWC as bits 1 and 2).
unsigned hone_group_layouts(const hone_view *view, const hone_group *group, const hone_target *target);

// Proposes with every rule, node by node.
hone_status hone_groups_propose(const hone_view *view, hone_group_list *list);
// The problem that converts a tensor between formats: identity with another out.
hone_status hone_conversion_problem(const hone_tensor *from, const hone_tensor *to, hone_problem *problem);
// Same bytes in both formats: no conversion needed.
bool hone_format_same_bytes(const hone_tensor *from, const hone_tensor *to);

#endif
