// SPDX-License-Identifier: Apache-2.0
// A region: consecutive elementwise steps of a problem, evaluated where another kernel has a value at hand (the tail of a product), where
// it needs one (the head of a norm), or alone (a chain). Steps that only move values of an operand (transpose, slice, expand, reshape)
// become strides. Its domain is the shape that all is broadcast to, seen as rows x cols in memory order: a kernel names an element (m, n).
// The generated text depends on the structure alone; the numbers are run-time arguments, so that one cubin serves many shapes.
// Plain data, borrows the problem.
#ifndef HONE_KERNELS_NVRTC_REGION_PRIV_H
#define HONE_KERNELS_NVRTC_REGION_PRIV_H

#include "kernels/source.h"

#define HONE_TERMS_MAX 8
#define HONE_LOADS_MAX 24
#define HONE_ARGS_INTS 320
#define HONE_ARGS_REALS 8

// What a kernel takes by value besides pointers. Its struct hone_args (hone.cuh) holds as many of each kind as it uses, in this order:
// operands, outputs, workspace, reals, ints, and in code that calls hone_follow whether the next kernel may start, and which operands are constants.
typedef struct hone_args {
    int n_in, n_out, n_reals, n_ints;
    int follows;                       // 1: it calls hone_follow; 2: and hone_is_constant (hone.cuh)
    float reals[HONE_ARGS_REALS];
    int32_t ints[HONE_ARGS_INTS];
} hone_args;

#define HONE_ARGS_BYTES ((HONE_OPERANDS_MAX + HONE_OUTPUTS_MAX + 1) * 8 + (HONE_ARGS_REALS + HONE_ARGS_INTS) * 4 + 16)

// Fills buffer (HONE_ARGS_BYTES, aligned to 8) as the kernel sees it; its size.
size_t hone_args_pack(const hone_args *args, void *const *in, void *const *out, void *workspace, hone_link link, unsigned char *buffer);

// An operand (or a strided view of one) in elements, by axis of its own shape.
typedef struct hone_view {
    int operand;
    hone_dtype dtype;
    int rank;
    int64_t dims[HONE_RANK_MAX], strides[HONE_RANK_MAX], offset;
    bool is_lookup;                    // rows of a table: that row is read which number `indices` (an operand, by the strides `at`) says
    int indices;
    int64_t at[HONE_RANK_MAX], length, pitch;      // rows of the table, elements of one
} hone_view;

// (coordinate / divide % modulo) * stride; modulo 0: none
typedef struct hone_term {
    int64_t divide, modulo, stride;
} hone_term;

typedef struct hone_load {
    hone_view view;
    bool is_dense;                     // element m * cols + n
    int n_rows, n_cols;
    hone_term rows[HONE_TERMS_MAX], cols[HONE_TERMS_MAX];      // innermost first
    int64_t inner;                     // distance between neighbours along n
    int n_at;                          // of a lookup: where its index lies
    hone_term at[HONE_TERMS_MAX];
} hone_load;

typedef struct hone_region {
    const hone_problem *problem;
    int first, end;                    // steps [first, end)
    int x_step;                        // its result is the kernel's value x; -1: none
    int x_load;                        // load whose values the kernel brings as x instead; -1: none
    int bias;                          // load that is added to x; -1: none
    hone_ref result;
    hone_tensor domain;
    int split;                         // physical axis where cols begin
    int64_t rows, cols;
    int64_t vec;                       // most elements that may be handled at once: a power of two up to 16
    int n_loads;
    hone_load loads[HONE_LOADS_MAX];
    int8_t source[HONE_CALLS_MAX][5];  // operand k of step s: a load, or -1: another step's result
} hone_region;

// The view that a reference stands for; false when it is a computed result.
bool hone_view_init(const hone_problem *problem, const hone_ref *ref, hone_view *view);
// The same, also of a lookup: a gather of whole rows of an operand by an operand.
bool hone_view_of(const hone_problem *problem, const hone_ref *ref, hone_view *view);
bool hone_view_equal(const hone_view *a, const hone_view *b);
bool hone_step_is_lookup(const hone_problem *problem, int step);
bool hone_step_is_elementwise(const hone_step *step);        // with device text, or batchnorm
const char *hone_step_quick(const hone_step *step);          // its text for a result of 16 bits (cuda/quick.cuh); NULL: it has none, or another result
bool hone_step_is_strided(const hone_problem *problem, int step);      // moves values of an operand, in strides

// split -1: cols are as many inner dims as all operands run through evenly. HONE_DECLINED when something has no device text.
hone_status hone_region_init(hone_region *region, const hone_problem *problem, int first, int end, int x_step, hone_ref result,
                             const hone_tensor *domain, int split);
// Adds operand (a vector along axis) to x before the steps.
hone_status hone_region_add_bias(hone_region *region, int operand, int axis);
// x is what load `load` would bring: the kernel brings it.
void hone_region_take_x(hone_region *region, int load);

// CUDA C: a tail has hone_eval and hone_put for output `out`, a head has hone_head, what stands between hone_middle. Numbers are added to args.
hone_status hone_region_print_tail(const hone_region *region, hone_text *text, hone_args *args);
hone_status hone_region_print_head(const hone_region *region, hone_text *text, hone_args *args);
hone_status hone_region_print_middle(const hone_region *region, hone_text *text, hone_args *args);      // behind the tail, whose hone_x it uses

const char *hone_cuda_type(hone_dtype dtype);                // "f16", "i64", "b8"

#endif
