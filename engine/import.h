// SPDX-License-Identifier: Apache-2.0
// ONNX in. protobuf-c behind a bounded, iterative pre-scan; external data only beneath the model's folder. IR 3 and later, opsets 7
// and later. Bad input is HONE_MODEL with a sentence; an unsupported network is one HONE_MODEL that lists every unsupported node.
#ifndef HONE_ENGINE_IMPORT_H
#define HONE_ENGINE_IMPORT_H

#include "engine/graph.h"

// --shapes x:1x3x640x640,mask:1x128. A name is an input's, an input's position ("0:1x3x640x640"), or that of a symbolic dim
// ("batch:1", which binds it wherever it stands).
typedef struct hone_shapes {
    int n;
    struct { char name[256]; int rank; int64_t dims[HONE_RANK_MAX]; } items[32];
} hone_shapes;

hone_status hone_shapes_parse(const char *text, hone_shapes *shapes);

typedef struct hone_bound_value {      // an input whose values are known at import (it decides shapes), for conform
    const char *name;
    hone_tensor tensor;
    const void *data;
} hone_bound_value;

typedef struct hone_import_options {
    const hone_shapes *shapes;         // NULL: none
    const hone_bound_value *bound;
    int n_bound;
    bool keep_going;                   // inspect: collect what is not supported instead of failing
    bool simplify;                     // fold constants and batch norms, recognise decomposed forms
} hone_import_options;

typedef struct hone_import_count {     // one ONNX operator of the network
    char op[96];                       // with its domain when that is not ONNX's own
    int nodes, refused;
    char reason[256];                  // of the first refused one
} hone_import_count;

typedef struct hone_import_input {     // as the file declares it
    char *name;                        // owned
    char *type;                        // owned: "f32 [1, 3, height, ?]"
} hone_import_input;

typedef struct hone_import_report {    // for inspect; starts zeroed, clear with hone_import_report_clear
    hone_text text;                    // one line per unsupported node: name (op): reason
    hone_text needed;                  // one line per network input whose values decide shapes
    int unsupported;
    int folded;                        // nodes folded to constants
    int recognised;                    // decomposed forms replaced
    hone_import_input *inputs;         // owned, in the file's order, without initializers
    int n_inputs;
    size_t inputs_capacity;
    hone_import_count *counts;         // owned, sorted by operator
    int n_counts;
    size_t counts_capacity;
    int64_t ir_version, opset;
    char producer[64];
} hone_import_report;

// Large constants may point into the mapped file, aligned for their type. The graph keeps the file open.
hone_status hone_import(const char *path, const hone_import_options *options, hone_import_report *report, hone_graph **graph);
void hone_import_report_clear(hone_import_report *report);

// A serialised TensorProto (.pb) or NumPy array (.npy) as bytes of its own type. Caller frees *data.
hone_status hone_import_tensor(const char *path, hone_tensor *tensor, void **data);
hone_status hone_export_npy(const char *path, const hone_tensor *tensor, const void *data);

#endif
