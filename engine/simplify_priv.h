// SPDX-License-Identifier: Apache-2.0
// Rewrites of a graph. A rewrite looks at one node and what stands above it, makes new nodes beside the old ones and names the value
// that replaces the node's output; nothing is changed in place, so a rewrite that was not worth it costs time and never correctness.
// Passes run until nothing fires. Each rewrite must lead towards the normal form (README of forms in docs/onnx.md), or passes would
// not end; a ceiling of passes stands guard.
#ifndef HONE_ENGINE_SIMPLIFY_PRIV_H
#define HONE_ENGINE_SIMPLIFY_PRIV_H

#include "engine/graph.h"

typedef struct hone_rewriting {
    hone_graph *graph;
    int *forward;              // per value: what replaces it, or -1. Grows with the graph
    int *uses;                 // per value: readers at the start of the pass, and those made since. Never too few
    size_t n, forward_capacity, uses_capacity;         // values covered by both
    const char *name;          // of the node at hand, for what is made in its place; doubles are told apart at the end
    const char *origin;
    const struct hone_rewrite *more;     // rewrites beside those of the normal form, or NULL
} hone_rewriting;

typedef struct hone_rewrite {
    const char *name;
    const char *ops;           // " add mul ": what the node at hand may be
    hone_status (*apply)(hone_rewriting *r, const hone_node *node, int *value);    // *value stays -1 when it does not fire
    bool recognises;           // a decomposed form, counted for the report
} hone_rewrite;

extern const hone_rewrite hone_rewrites_constant[];    // each table ends with a NULL name
extern const hone_rewrite hone_rewrites_forms[];
extern const hone_rewrite hone_rewrites_view[];
extern const hone_rewrite hone_rewrites_weights[];
extern const hone_rewrite hone_rewrites_narrow[];      // no normal form: hone_simplify_narrow's

// ---- reading

int hone_rewriting_value(const hone_rewriting *r, int value);                     // behind all replacements; -1 stays
int hone_rewriting_in(const hone_rewriting *r, const hone_node *node, int k);     // operand k, or -1
hone_tensor hone_rewriting_tensor(const hone_rewriting *r, int value);
bool hone_rewriting_is_constant(const hone_rewriting *r, int value);
bool hone_rewriting_is_sole(const hone_rewriting *r, int value);                  // read once, and no output of the network
// A copy of the node that makes a value when it is of this op (NULL: any).
bool hone_rewriting_producer(const hone_rewriting *r, int value, const char *op, hone_node *node);
bool hone_rewriting_scalar(const hone_rewriting *r, int value, double *number);   // a constant with one element
bool hone_rewriting_is_number(const hone_rewriting *r, int value, double number); // that one, within float rounding
hone_status hone_rewriting_array(const hone_rewriting *r, int value, hone_array *array);   // a constant's values; caller clears

// ---- making

hone_status hone_rewriting_emit(hone_rewriting *r, hone_call *call, const int *in, int *value);
hone_status hone_rewriting_op(hone_rewriting *r, const char *op, int n_in, const int *in, int *value);
hone_status hone_rewriting_reshape(hone_rewriting *r, int x, int rank, const int64_t *dims, int *value);
hone_status hone_rewriting_transpose(hone_rewriting *r, int x, int rank, const int64_t *perm, int *value);
hone_status hone_rewriting_slice(hone_rewriting *r, int x, int rank, const int64_t *start, const int64_t *size, const int64_t *step,
                                 int *value);
// A constant of bytes that are there already, in the graph's arena or of another constant. The name, too, lives as long as the graph.
hone_status hone_rewriting_view(hone_rewriting *r, const char *name, const hone_tensor *tensor, const void *data, int *value);
hone_status hone_rewriting_constant(hone_rewriting *r, const hone_array *array, int *value);     // rounded to the array's type
hone_status hone_rewriting_fold(hone_rewriting *r, const char *op, int n_in, const int *in, int *value);   // of constants, computed now

#endif
