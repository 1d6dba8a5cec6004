// SPDX-License-Identifier: Apache-2.0
// What the importer's files share. A handler turns one ONNX node into calls of hone's ops: it reads attributes and constant operands,
// emits calls, and leaves the values of the node's outputs. HONE_OK, or a reason recorded by hone_fail: the node is then listed as not
// supported, its outputs are lost, and the import goes on so that every such node is found. Only HONE_NO_MEMORY, HONE_INTERNAL and
// HONE_IO end it at once. An attribute that no handler asked for is a reason too: nothing is ignored in silence.
#ifndef HONE_ENGINE_IMPORT_PRIV_H
#define HONE_ENGINE_IMPORT_PRIV_H

#include "engine/import.h"
#include "engine/names_priv.h"
#include "engine/onnx_model_priv.h"

enum { HONE_IMPORT_DEPTH = 32, HONE_IMPORT_NODES = 20000, HONE_IMPORT_OPERANDS = 2048 };

typedef struct onnx_scope {            // names in sight: of the graph at hand, then of those around it
    struct onnx_scope *parent;
    hone_names names;                  // -> index into im->bindings
} onnx_scope;

typedef struct onnx_binding {
    int value;                         // of the graph, or -1: lost
    const char *why;                   // lost for this reason; NULL: its node is already listed
} onnx_binding;

typedef struct onnx_frame {            // a function being expanded
    const struct onnx_frame *parent;
    const onnx_function *function;
    const onnx_node *caller;           // its attributes are resolved
} onnx_frame;

typedef struct onnx_resources onnx_resources;

typedef struct onnx_import {
    const hone_import_options *options;
    hone_import_report *report;
    hone_graph *graph;
    onnx_model *model;
    onnx_resources *resources;         // owned by the graph
    onnx_scope *scope;
    const onnx_frame *frame;
    onnx_binding *bindings;
    int n_bindings;
    size_t bindings_capacity;
    hone_names node_names;             // taken so far -> how often
    int opset;                         // of ONNX's own operators, here
    int depth;                         // of subgraphs and functions
    int visited;                       // nodes of branches and functions so far
    double fold_left;                  // elements that may still be computed at import
    double work_left;                  // operations that may still be
    const char *prefix;                // of node names inside functions and branches

    const onnx_node *node;             // at hand
    char *name;                        // its unique name
    uint64_t used_attrs;               // by index
    const char *wrong_attr;            // why the node is refused for an attribute's type
    int n_emitted;                     // calls emitted for it
} onnx_import;

// ---- names in sight, and the network's ports

hone_status onnx_bind_new(onnx_import *im, const char *name, int value, const char *why);      // value and why as in onnx_binding
const onnx_binding *onnx_look_up(const onnx_import *im, const char *name);                     // NULL: none in sight
char *onnx_unique_name(onnx_import *im, const char *wish);                                     // that no other node has. NULL when out of memory
hone_status onnx_import_inputs(onnx_import *im);
hone_status onnx_import_outputs(onnx_import *im);

typedef hone_status (*onnx_handler)(onnx_import *im, const int *in, int n_in, int *out);

typedef struct onnx_rule {
    const char *op_type;
    int since, until;                  // opsets, 0: any
    int min_in, max_in, max_out;
    onnx_handler handle;               // NULL: refused, and word says why
    const char *word;                  // for handlers that serve several operators
} onnx_rule;

extern const onnx_rule *const onnx_rule_tables[];      // each ends with a NULL op_type
extern const int onnx_rule_table_count;
const onnx_rule *onnx_rule_find(const onnx_import *im, const char *op_type);
const char *onnx_rule_word(const onnx_import *im);     // of the rule of the node at hand

// Operators that an op's descriptor maps by itself (hone_op.onnx). NULL, or the line behind the operator's name.
const hone_op *onnx_direct_find(const char *op_type, const char **line);
hone_status onnx_direct_import(onnx_import *im, const hone_op *op, const char *line, const int *in, int n_in, int *out);

// ---- attributes of the node at hand. A wrong type is recorded and answers the default; onnx_import_node looks once.

bool onnx_has(onnx_import *im, const char *name);
const onnx_attr *onnx_find_attr(onnx_import *im, const char *name);        // marks it used; NULL
int64_t onnx_int(onnx_import *im, const char *name, int64_t fallback);
double onnx_real(onnx_import *im, const char *name, double fallback);
const char *onnx_word(onnx_import *im, const char *name, const char *fallback);
int onnx_ints(onnx_import *im, const char *name, const int64_t **values);    // 0 when absent
void onnx_ignore(onnx_import *im, const char *name);                         // means nothing for inference
hone_status onnx_dtype(int64_t onnx, hone_dtype *dtype);                     // HONE_MODEL names what is not supported

// ---- operands

hone_tensor onnx_tensor_of(const onnx_import *im, int value);               // of no type when absent (-1)
bool onnx_is_constant(const onnx_import *im, int value);
bool onnx_given(const int *in, int n_in, int k);
// A constant operand as integers or reals; the reason names it when its values are not known at import. capacity 1: exactly one.
hone_status onnx_const_ints(onnx_import *im, int value, const char *what, int64_t *values, int capacity, int *n);
hone_status onnx_const_reals(onnx_import *im, int value, const char *what, double *values, int capacity, int *n);
hone_status onnx_need_constant(onnx_import *im, int value, const char *what);
hone_status onnx_axis(int64_t axis, int rank, int *out);

// ---- making

// One call; computed at once when all operands are constants. values gets call->n_out entries.
hone_status onnx_emit(onnx_import *im, hone_call *call, const int *in, int *values);
hone_status onnx_emit_op(onnx_import *im, const char *op, int n_in, const int *in, int *value);      // default attributes
hone_status onnx_emit_unary(onnx_import *im, const char *op, int x, int *value);
hone_status onnx_emit_binary(onnx_import *im, const char *op, int a, int b, int *value);
hone_status onnx_emit_reshape(onnx_import *im, int x, int rank, const int64_t *dims, int *value);
hone_status onnx_emit_transpose(onnx_import *im, int x, const int64_t *perm, int *value);
hone_status onnx_emit_cast(onnx_import *im, int x, hone_dtype dtype, int *value);
hone_status onnx_emit_reduce(onnx_import *im, const char *kind, int x, int n_axes, const int64_t *axes, bool keep, int *value);
hone_status onnx_emit_slice(onnx_import *im, int x, const int64_t *start, const int64_t *size, const int64_t *step, int *value);
hone_status onnx_make_constant(onnx_import *im, const hone_tensor *tensor, const void *data, int *value);
hone_status onnx_make_ints(onnx_import *im, hone_dtype dtype, int rank, const int64_t *dims, const int64_t *values, int *value);
hone_status onnx_make_scalar(onnx_import *im, hone_dtype dtype, double number, int *value);          // rank 0; small integers

// ---- import_tensor.c

struct onnx_resources {                // maps and blocks that constants point into
    hone_map *maps;
    const char **map_names;            // "" for the model itself
    size_t n_maps, maps_capacity;
    void **blocks;
    size_t n_blocks, blocks_capacity;
};

hone_status onnx_resources_new(onnx_resources **resources);
void onnx_resources_free(void *resources);
void *onnx_resources_alloc(onnx_resources *resources, size_t size_bytes);
hone_status onnx_tensor_type(const onnx_tensor *from, hone_tensor *tensor);
// Row-major bytes, aligned for the type; they live as long as resources and model's map.
hone_status onnx_tensor_bytes(onnx_resources *resources, const onnx_model *model, const onnx_tensor *from, const hone_tensor *tensor,
                              const void **data);
hone_status onnx_import_constant(onnx_import *im, const onnx_tensor *from, const char *name, int *value);

// ---- import.c

hone_status onnx_import_branch(onnx_import *im, const onnx_graph *graph, const char *label, int n_out, int *out);    // a subgraph, in place

// ---- simplify.c

hone_status hone_simplify(hone_graph *graph, int *recognised);

#endif
