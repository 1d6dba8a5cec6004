// SPDX-License-Identifier: Apache-2.0
// Where values lie that some step reads: an operand, or what steps that only move values (transpose, slice, expand, reshape) make of one, as
// strides. So q, k and v are parts of a joint projection's rows without being copied. Plain data.
#ifndef HONE_KERNELS_VIEW_PRIV_H
#define HONE_KERNELS_VIEW_PRIV_H

#include "kernels/problem.h"

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

// The view that a reference stands for; false when it is a computed result.
bool hone_view_init(const hone_problem *problem, const hone_ref *ref, hone_view *view);
// The same, also of a lookup: a gather of whole rows of an operand by an operand.
bool hone_view_of(const hone_problem *problem, const hone_ref *ref, hone_view *view);
bool hone_view_equal(const hone_view *a, const hone_view *b);
bool hone_step_is_lookup(const hone_problem *problem, int step);
bool hone_step_is_strided(const hone_problem *problem, int step);      // moves values of an operand, in strides

#endif
