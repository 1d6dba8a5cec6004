// SPDX-License-Identifier: Apache-2.0
// A problem: a short straight-line program of op calls over external operands, with one canonical text.
//
//   conv x=f16:1x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | add a=$0 b=f16:1x56x56x64:nhwc | relu x=$1
//
// Calls are joined by " | ". An operand is a tensor (a new external operand, numbered from 0 in reading order), "@2" (external operand 2
// again) or "$0" (result of call 0). Attributes follow in the op's declared order, defaults dropped. At the end, where they differ from
// their defaults: "outs=2" (how many outputs of the last call are wanted; default 1), "out=f16:nhwc" (element type and layout of the result; default: the type that the shape rule gives, which for float results is that of
// the first float operand unless the op says otherwise, and the layout of the first operand of the same rank) and "math=tf32" (products of f32 operands may be rounded to TF32; default f32).
// Results of calls before the last are kept in float (or their integer type) and never rounded to a 16-bit type.
// Only the last call's outputs leave the problem. Values: plain data, copyable by assignment.
#ifndef HONE_KERNELS_PROBLEM_H
#define HONE_KERNELS_PROBLEM_H

#include "kernels/op.h"

#define HONE_CALLS_MAX 24
#define HONE_OPERANDS_MAX 20

typedef enum hone_math { HONE_MATH_F32, HONE_MATH_TF32 } hone_math;

typedef enum hone_ref_kind { HONE_REF_ABSENT, HONE_REF_OPERAND, HONE_REF_RESULT } hone_ref_kind;

typedef struct hone_ref {
    hone_ref_kind kind;
    int index;
} hone_ref;

typedef struct hone_step {
    hone_call call;
    hone_ref in[HONE_INPUTS_MAX];
    hone_tensor out[HONE_OUTPUTS_MAX];     // as the shape rule says, layout ROW
} hone_step;

typedef struct hone_problem {
    int n_operands, n_steps;
    hone_tensor operands[HONE_OPERANDS_MAX];
    hone_step steps[HONE_CALLS_MAX];
    int n_out;                             // of the last step
    hone_tensor out[HONE_OUTPUTS_MAX];     // what leaves the problem, with element type and layout
    hone_math math;
} hone_problem;

// Building: init, then operands and steps in reading order, then finish, which runs the shape rules, checks that the operands are numbered in reading order,
// and sets the default out; out[0]'s dtype and layout may then be changed (hone_problem_set_out).
void hone_problem_init(hone_problem *problem);
int hone_problem_add_operand(hone_problem *problem, const hone_tensor *tensor);    // its number, or -1 when full
hone_status hone_problem_add_step(hone_problem *problem, const hone_call *call, const hone_ref *in);   // runs the shape rule
hone_status hone_problem_finish(hone_problem *problem);
hone_status hone_problem_set_out(hone_problem *problem, hone_dtype dtype, hone_layout layout);

hone_status hone_problem_parse(const char *text, hone_problem *problem);   // HONE_USAGE with the offending word
void hone_problem_print(const hone_problem *problem, hone_text *text);
// Tensors that a step reads; NULL when absent. For RESULT refs the step's natural output.
void hone_problem_inputs(const hone_problem *problem, int step, const hone_tensor *in[HONE_INPUTS_MAX]);

double hone_problem_flops(const hone_problem *problem);
double hone_problem_bytes(const hone_problem *problem);                    // each operand read once, each output written once
double hone_problem_tolerance(const hone_problem *problem);               // bound of ||out - ref|| / ||ref|| ; 0 = exact (integers)

// Random operand k, as the ops' domains ask, already rounded to the operand's type: as it lies in memory, or as an array, initialised here.
// Of a large one each element is one of 65,536 such values, chosen by bits of its own.
hone_status hone_problem_draw_memory(const hone_problem *problem, int operand, uint64_t seed, void *memory, int threads);
hone_status hone_problem_draw(const hone_problem *problem, int operand, uint64_t seed, hone_array *array, int threads);
// out has n_out entries, initialised here.
hone_status hone_problem_reference(const hone_problem *problem, const hone_array *operands, hone_array *out, int threads);
// Single values of output 0; HONE_DECLINED unless the first op offers reference_at and the rest is elementwise or a max pooling. Operands may be arrays in memory.
hone_status hone_problem_reference_at(const hone_problem *problem, const hone_array *operands, const int64_t *index, int64_t n,
                                      double *out, int threads);

#endif
