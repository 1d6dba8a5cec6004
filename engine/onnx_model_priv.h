// SPDX-License-Identifier: Apache-2.0
// An ONNX document as plain structs. The file is mapped, guarded by the pre-scan, parsed by protobuf-c (fenced to onnx_proto.c) and
// read out into these. Everything belongs to the onnx_model and lives until it is freed; large payloads point into the mapped file.
#ifndef HONE_ENGINE_ONNX_MODEL_PRIV_H
#define HONE_ENGINE_ONNX_MODEL_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"

typedef enum onnx_type {           // TensorProto.DataType
    ONNX_UNDEFINED, ONNX_FLOAT, ONNX_UINT8, ONNX_INT8, ONNX_UINT16, ONNX_INT16, ONNX_INT32, ONNX_INT64, ONNX_STRING, ONNX_BOOL,
    ONNX_FLOAT16, ONNX_DOUBLE, ONNX_UINT32, ONNX_UINT64, ONNX_COMPLEX64, ONNX_COMPLEX128, ONNX_BFLOAT16
} onnx_type;

typedef struct onnx_entry {
    const char *key, *value;
} onnx_entry;

typedef struct onnx_tensor {
    const char *name;              // "" if none
    int type;                      // onnx_type, or a number that this version does not know
    int n_dims;
    const int64_t *dims;
    const uint8_t *raw;            // raw_data; NULL when typed data is given
    size_t raw_bytes;
    int n_floats, n_ints, n_longs, n_doubles, n_ulongs, n_strings;
    const float *floats;
    const int32_t *ints;
    const int64_t *longs;
    const double *doubles;
    const uint64_t *ulongs;
    bool is_external;
    int n_external;
    const onnx_entry *external;
} onnx_tensor;

struct onnx_graph;

typedef enum onnx_attr_type {      // AttributeProto.AttributeType
    ONNX_ATTR_UNDEFINED, ONNX_ATTR_FLOAT, ONNX_ATTR_INT, ONNX_ATTR_STRING, ONNX_ATTR_TENSOR, ONNX_ATTR_GRAPH, ONNX_ATTR_FLOATS,
    ONNX_ATTR_INTS, ONNX_ATTR_STRINGS, ONNX_ATTR_OTHER
} onnx_attr_type;

typedef struct onnx_attr {
    const char *name;
    const char *ref;               // of a function's parameter, or NULL
    onnx_attr_type type;
    double f;
    int64_t i;
    const char *s;                 // NUL-terminated copy
    const onnx_tensor *t;
    const struct onnx_graph *g;
    int n;                         // of floats, ints, strings
    const float *floats;
    const int64_t *ints;
    const char *const *strings;
} onnx_attr;

typedef struct onnx_node {
    const char *name, *op_type, *domain;
    const char *strange;           // a field whose meaning is not known here, or NULL
    int n_inputs, n_outputs, n_attrs;
    const char *const *inputs, *const *outputs;
    const onnx_attr *attrs;
} onnx_node;

typedef struct onnx_value {        // an input or output of a graph
    const char *name;
    const char *kind;              // "tensor", "sequence", "map", "optional", "sparse tensor", "untyped"
    int type;
    int n_dims;                    // -1: rank unknown
    const int64_t *dims;           // -1 where not a number
    const char *const *params;     // "" where not named
} onnx_value;

typedef struct onnx_graph {
    const char *name;
    int n_nodes, n_tensors, n_inputs, n_outputs, n_sparse;
    const onnx_node *nodes;
    const onnx_tensor *tensors;    // initializers
    const onnx_value *inputs, *outputs;
} onnx_graph;

typedef struct onnx_opset {
    const char *domain;            // "" for ai.onnx too
    int64_t version;
} onnx_opset;

typedef struct onnx_function {
    const char *name, *domain;
    const char *strange;
    int n_inputs, n_outputs, n_attrs, n_nodes, n_opsets;
    const char *const *inputs, *const *outputs, *const *attrs;
    const onnx_node *nodes;
    const onnx_opset *opsets;
} onnx_function;

typedef struct onnx_model {
    hone_arena *arena;
    hone_map map;                  // the file
    char folder[4096];             // where external data lies
    int64_t ir_version;
    const char *producer;
    int n_opsets, n_functions;
    const onnx_opset *opsets;
    const onnx_graph *graph;
    const onnx_function *functions;
    void *pool;                    // what protobuf-c allocated
} onnx_model;

// HONE_MODEL when the file is not ONNX; HONE_IO when it cannot be read.
hone_status onnx_model_open(const char *path, onnx_model **model);
// A serialised TensorProto; model->graph holds it as its one initializer.
hone_status onnx_model_open_tensor(const char *path, onnx_model **model);
void onnx_model_close(onnx_model *model);          // NULL is legal
hone_map onnx_model_take_map(onnx_model *model);   // the file stays mapped; caller closes

#endif
