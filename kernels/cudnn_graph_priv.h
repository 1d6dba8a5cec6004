// SPDX-License-Identifier: Apache-2.0
// A problem as a graph of cuDNN's backend interface: what source_cudnn.c hands to the library. Each form of problem (an op
// with its tail) is a const object in its own file; this header has what they build with. Every descriptor belongs to the
// graph. One thread at a time.
#ifndef HONE_KERNELS_CUDNN_GRAPH_PRIV_H
#define HONE_KERNELS_CUDNN_GRAPH_PRIV_H

#include "kernels/cudnn_priv.h"
#include "kernels/view_priv.h"

#define HONE_CUDNN_DESCRIPTORS 512
#define HONE_CUDNN_OPS 64
#define HONE_CUDNN_CONSTANTS 16
#define HONE_CUDNN_PLACES 32
#define HONE_CUDNN_ALIGNMENT 16      // bytes; our buffers are 256-byte aligned, and no kernel loads more than 16 at once

// A tensor of the graph that lies in an operand, from `offset_bytes` on.
typedef struct hone_cudnn_place {
    int64_t id, offset_bytes;
    int operand;
} hone_cudnn_place;

typedef struct hone_cudnn_graph {
    v_cudnnBackendDescriptor_t graph;                               // finalised
    v_cudnnBackendDescriptor_t owned[HONE_CUDNN_DESCRIPTORS];       // destroyed by clear, last first
    int n_owned;
    v_cudnnBackendDescriptor_t ops[HONE_CUDNN_OPS];
    int n_ops;
    hone_cudnn_place places[HONE_CUDNN_PLACES];
    int n_places;
    float constants[HONE_CUDNN_CONSTANTS];                          // scalars that the graph takes by value
    int64_t constant_ids[HONE_CUDNN_CONSTANTS];
    int n_constants;
    int64_t next_id;                                                // of all tensors but the result
} hone_cudnn_graph;

#define HONE_CUDNN_RESULT_ID 1

typedef struct hone_cudnn_form {
    const char *op;                                                 // of the main step, and the tactic's kernel
    // HONE_DECLINED with the reason when cuDNN cannot be asked about the problem. No library is touched.
    hone_status (*check)(const hone_problem *problem);
    hone_status (*build)(hone_cudnn_graph *graph, const hone_problem *problem);      // adds the operations of a checked problem
} hone_cudnn_form;

extern const hone_cudnn_form hone_cudnn_form_conv, hone_cudnn_form_attention;

// The form of a problem, checked; HONE_DECLINED when there is none. The main step is the first that does more than move an operand's values.
int hone_cudnn_main_step(const hone_problem *problem);
hone_status hone_cudnn_form_find(const hone_problem *problem, const hone_cudnn_form **form);

// handle NULL: the graph is described and matched against cuDNN's patterns, with no GPU, but cannot be run.
hone_status hone_cudnn_graph_init(hone_cudnn_graph *graph, const hone_problem *problem, v_cudnnHandle_t handle);
void hone_cudnn_graph_clear(hone_cudnn_graph *graph);

// A descriptor, its attributes, and its end.
hone_status hone_cudnn_make(hone_cudnn_graph *graph, int type, v_cudnnBackendDescriptor_t *made);
hone_status hone_cudnn_set(v_cudnnBackendDescriptor_t descriptor, int name, int type, int64_t count, const void *values);
hone_status hone_cudnn_finish(v_cudnnBackendDescriptor_t descriptor, const char *what);

#define HONE_CUDNN_DIMS 5

typedef struct hone_cudnn_shape {
    int rank;
    int64_t dims[HONE_CUDNN_DIMS], strides[HONE_CUDNN_DIMS];
} hone_cudnn_shape;

bool hone_cudnn_type(hone_dtype dtype, int *type);                  // false for what cuDNN is not asked about
hone_status hone_cudnn_operand(hone_cudnn_graph *graph, const hone_problem *problem, int operand, const hone_cudnn_shape *shape,
                               v_cudnnBackendDescriptor_t *made);
// A part of an operand that begins `offset` elements behind its beginning, aligned.
hone_status hone_cudnn_part(hone_cudnn_graph *graph, const hone_problem *problem, int operand, int64_t offset, const hone_cudnn_shape *shape,
                            v_cudnnBackendDescriptor_t *made);
hone_status hone_cudnn_result(hone_cudnn_graph *graph, const hone_problem *problem, const hone_cudnn_shape *shape,
                              v_cudnnBackendDescriptor_t *made);
hone_status hone_cudnn_inner(hone_cudnn_graph *graph, int type, const hone_cudnn_shape *shape, v_cudnnBackendDescriptor_t *made);
hone_status hone_cudnn_constant(hone_cudnn_graph *graph, float value, int rank, v_cudnnBackendDescriptor_t *made);

hone_status hone_cudnn_add_op(hone_cudnn_graph *graph, v_cudnnBackendDescriptor_t op);     // finishes it

typedef struct hone_cudnn_mode {
    int mode;
    double low, high;                     // clips, when high is finite
    double slope;                         // below low, when not 0
    int parameter_name;                   // 0: none
    double parameter;
} hone_cudnn_mode;

// out = mode(x, y); y NULL for one operand.
hone_status hone_cudnn_add_pointwise(hone_cudnn_graph *graph, const hone_cudnn_mode *mode, v_cudnnBackendDescriptor_t x,
                                     v_cudnnBackendDescriptor_t y, v_cudnnBackendDescriptor_t out);

#endif
