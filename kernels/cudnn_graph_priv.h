// SPDX-License-Identifier: Apache-2.0
// A problem as a graph of cuDNN's backend interface: what source_cudnn.c hands to the library.
#ifndef HONE_KERNELS_CUDNN_GRAPH_PRIV_H
#define HONE_KERNELS_CUDNN_GRAPH_PRIV_H

#include "kernels/cudnn_priv.h"
#include "kernels/problem.h"
#include "kernels/tail.h"

#define HONE_CUDNN_DESCRIPTORS 512
#define HONE_CUDNN_OPS 64
#define HONE_CUDNN_CONSTANTS 16

typedef struct hone_cudnn_graph {
    v_cudnnBackendDescriptor_t graph;                               // finalised
    v_cudnnBackendDescriptor_t owned[HONE_CUDNN_DESCRIPTORS];       // destroyed by clear, last first
    int n_owned;
    v_cudnnBackendDescriptor_t ops[HONE_CUDNN_OPS];
    int n_ops;
    float constants[HONE_CUDNN_CONSTANTS];                          // scalars that the graph takes by value
    int64_t constant_ids[HONE_CUDNN_CONSTANTS];
    int n_constants;
    int64_t next_id;                                                // of inner tensors and constants
} hone_cudnn_graph;

// Operand k has the unique id k + 1, the result this one; inner tensors lie above.
#define HONE_CUDNN_RESULT_ID 100

// HONE_DECLINED with the reason when the problem is none that cuDNN can be asked about. No library is touched.
hone_status hone_cudnn_graph_check(const hone_problem *problem, hone_tail *tail);
hone_status hone_cudnn_graph_init(hone_cudnn_graph *graph, const hone_problem *problem, v_cudnnHandle_t handle);
void hone_cudnn_graph_clear(hone_cudnn_graph *graph);

// A descriptor that the graph owns, and attributes of one.
hone_status hone_cudnn_make(hone_cudnn_graph *graph, int type, v_cudnnBackendDescriptor_t *made);
hone_status hone_cudnn_set(v_cudnnBackendDescriptor_t descriptor, int name, int type, int64_t count, const void *values);
hone_status hone_cudnn_finish(v_cudnnBackendDescriptor_t descriptor, const char *what);

#endif
