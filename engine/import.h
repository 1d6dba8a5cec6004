// SPDX-License-Identifier: Apache-2.0
// ONNX in. protobuf-c behind a bounded, iterative pre-scan; external data only beneath the model's folder. IR 3 and later, opsets 7
// and later. Bad input is HONE_MODEL with a sentence; an unsupported network is one HONE_MODEL that lists every unsupported node.
#ifndef HONE_ENGINE_IMPORT_H
#define HONE_ENGINE_IMPORT_H

#include "engine/graph.h"

// --shapes x:1x3x640x640,mask:1x128
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

typedef struct hone_import_report {    // for inspect; clear with hone_import_report_clear
    hone_text text;                    // one line per fact
    int unsupported;
    int folded;                        // nodes folded to constants
    int recognised;                    // decomposed forms replaced
} hone_import_report;

hone_status hone_import(const char *path, const hone_import_options *options, hone_import_report *report, hone_graph **graph);
void hone_import_report_clear(hone_import_report *report);

// A serialised TensorProto (.pb) or NumPy array (.npy) as bytes of its own type. Caller frees *data.
hone_status hone_import_tensor(const char *path, hone_tensor *tensor, void **data);
hone_status hone_export_npy(const char *path, const hone_tensor *tensor, const void *data);

#endif
