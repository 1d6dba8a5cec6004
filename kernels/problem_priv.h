// SPDX-License-Identifier: Apache-2.0
// Between the files of a problem: problem.c has what it is and how it is spelled, problem_data.c what it is run with and held against.
#ifndef HONE_KERNELS_PROBLEM_PRIV_H
#define HONE_KERNELS_PROBLEM_PRIV_H

#include "kernels/op_priv.h"
#include "kernels/problem.h"

const hone_tensor *hone_problem_tensor(const hone_problem *problem, hone_ref ref);      // an operand, or what a step made
double hone_step_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out);

#endif
