// SPDX-License-Identifier: Apache-2.0
// What a problem's tactics must compute: random operands as they lie in device memory, and the reference's outputs. Where the
// reference would cost too much, 4,096 random and border values of it; the first tactic that agrees with them stands in for the rest.
#ifndef HONE_TUNER_EXPECT_H
#define HONE_TUNER_EXPECT_H

#include "kernels/compare.h"
#include "kernels/problem.h"

typedef struct hone_expect {
    hone_problem problem;
    double tolerance;
    void *operands[HONE_OPERANDS_MAX];         // host bytes, owned
    hone_array out[HONE_OUTPUTS_MAX];          // owned, one axis, in the order of memory; empty where only points are known
    int64_t *index;                            // points of output 0, as it lies in memory; NULL when the whole is known
    double *value;
    int64_t n_points;
} hone_expect;

// Costs of the reference, in ns of one thread, above which only points are computed.
#define HONE_EXPECT_POINTS_NS 5e8
double hone_expect_cost_ns(const hone_problem *problem);

// expect is initialised here; clear it in any case.
hone_status hone_expect_make(const hone_problem *problem, uint64_t seed, int threads, hone_expect *expect);
void hone_expect_clear(hone_expect *expect);

// What an output is held against: the reference's values, its points, or an output that was right.
typedef enum hone_against { HONE_AGAINST_VALUES, HONE_AGAINST_POINTS, HONE_AGAINST_OUTPUT } hone_against;
// Sums over one output, wherever it lies; slack and limit as in hone_comparison.
typedef hone_status hone_measure(void *user, hone_against against, int output, double slack, double limit, hone_sums *sums);

// How much is known where the reference has only points: nothing besides, what this tactic's first run left, or an output that was right.
typedef enum hone_known { HONE_KNOWN_POINTS, HONE_KNOWN_FIRST, HONE_KNOWN_WHOLE } hone_known;

// *error is ||out - ref|| / ||ref||, the largest of all outputs. Wrong: above the tolerance, a value that is not finite where the
// reference is, or a single value far off. why (256 bytes) says what was found.
hone_status hone_expect_judge(const hone_expect *expect, hone_known known, hone_measure *measure, void *user, double *error, bool *is_right, char *why);
// The same of outputs in host memory. others: the first run's or those that were right; not read when only points are known.
hone_status hone_expect_compare(const hone_expect *expect, hone_known known, void *const *outputs, void *const *others, int threads,
                                double *error, bool *is_right, char *why);

#endif
