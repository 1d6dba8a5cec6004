// SPDX-License-Identifier: Apache-2.0
// A network in memory: values and nodes in one arena. All shapes are concrete (symbolic dims were bound at import). Nodes stand in
// topological order; simplifications rebuild the order. Everything is owned by the graph; pointers live until it is freed.
#ifndef HONE_ENGINE_GRAPH_H
#define HONE_ENGINE_GRAPH_H

#include "base/arena.h"
#include "base/hash.h"
#include "kernels/op.h"

typedef struct hone_value {
    const char *name;              // the network's own name for it
    hone_tensor tensor;            // layout ROW
    int producer;                  // node, or -1 (input or constant)
    int output;                    // which output of the producer
    const void *data;              // constants: row-major bytes of tensor's type at any address (a mapped file's); NULL otherwise
    bool is_input;
    bool is_output;
} hone_value;

typedef struct hone_node {
    const char *name;              // of the (first) ONNX node it comes from; unique
    const char *origin;            // ONNX op type, for reports
    hone_call call;
    int in[HONE_INPUTS_MAX];       // values; -1 absent
    int out[HONE_OUTPUTS_MAX];
} hone_node;

typedef struct hone_digest hone_digest;

typedef struct hone_graph {
    hone_arena *arena;
    hone_value *values;
    int n_values;
    size_t values_capacity;
    hone_node *nodes;
    int n_nodes;
    size_t nodes_capacity;
    int *inputs, *outputs;         // value numbers in the network's order
    int n_inputs, n_outputs;
    struct hone_digest *digest;    // on its way, or known
    void *import;                  // importer's resources (mapped files), freed by release_import
    void (*release_import)(void *import);
} hone_graph;

hone_status hone_graph_new(hone_graph **graph);
void hone_graph_free(hone_graph *graph);                 // NULL is legal
// Nodes and values once more; names and constants stay those of `from`, which must outlive the copy.
hone_status hone_graph_copy(const hone_graph *from, hone_graph **copy);
int hone_graph_add_value(hone_graph *graph, const char *name, const hone_tensor *tensor);    // -1 = recorded failure
// Runs the op's shape rule and makes the output values (named NAME, NAME.1, ...). Returns the node, or -1 with the reason recorded.
int hone_graph_add_node(hone_graph *graph, const char *name, const char *origin, hone_call *call, const int *in);
// The same with the status: HONE_USAGE when the operands do not fit.
hone_status hone_graph_put_node(hone_graph *graph, const char *name, const char *origin, hone_call *call, const int *in, int *node);
// A constant with its own copy of data.
int hone_graph_add_constant(hone_graph *graph, const char *name, const hone_tensor *tensor, const void *data);
// uses[value] = how many node operands and network outputs read it. Caller frees with hone_free.
hone_status hone_graph_uses(const hone_graph *graph, int **uses);
// Drops nodes that nothing reads, and orders the rest topologically.
hone_status hone_graph_tidy(hone_graph *graph);
// The digest of ops, attributes, shapes and constant bytes takes several threads half a second for a gigabyte of weights: it is begun by the import,
// beside what comes next, which must not change the graph, and waited for by whoever asks first (one thread).
hone_status hone_graph_digest_begin(hone_graph *graph);
const hone_id *hone_graph_digest(const hone_graph *graph);
// The digest without the bytes of weights (constants of more than 16 elements): what networks of one architecture have in common, however trained.
hone_status hone_graph_structure(const hone_graph *graph, hone_id *id);
hone_status hone_graph_check(const hone_graph *graph);   // invariants, for tests and after every rewrite in tests
double hone_graph_flops(const hone_graph *graph);
int64_t hone_graph_parameters(const hone_graph *graph);  // elements of float constants

// The reference: every node in plain C, double precision. inputs in the network's order; outputs initialised here. `each`, when not
// NULL, sees every node's outputs as they are made (for --check).
hone_status hone_graph_reference(const hone_graph *graph, const hone_array *inputs, hone_array *outputs, int threads,
                                 hone_status (*each)(void *user, const hone_graph *graph, int value, const hone_array *array), void *user);

#endif
