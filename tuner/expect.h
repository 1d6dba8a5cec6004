// SPDX-License-Identifier: Apache-2.0
// What a problem's tactics must compute: random operands as they lie in device memory, and the reference's outputs. Where the
// reference would cost too much, 4,096 random and border values of it; the first tactic that agrees with them stands in for the rest.
#ifndef HONE_TUNER_EXPECT_H
#define HONE_TUNER_EXPECT_H

#include "kernels/problem.h"

typedef struct hone_expect {
    hone_problem problem;
    double tolerance;
    void *operands[HONE_OPERANDS_MAX];         // host bytes, owned
    hone_array out[HONE_OUTPUTS_MAX];          // owned; empty while only points are known
    int64_t *index;                            // points of output 0, row-major; NULL when the whole is known
    double *value;
    int64_t n_points;
} hone_expect;

// Costs of the reference, in ns of one thread, above which only points are computed.
#define HONE_EXPECT_POINTS_NS 5e8
double hone_expect_cost_ns(const hone_problem *problem);

// expect is initialised here; clear it in any case.
hone_status hone_expect_make(const hone_problem *problem, uint64_t seed, int threads, hone_expect *expect);
void hone_expect_clear(hone_expect *expect);

// Holds outputs (host bytes) against the reference. *error is ||out - ref|| / ||ref||, the largest of all outputs. Wrong: above the
// tolerance, a value that is not finite where the reference is, or a single value far off. why (256 bytes) says what was found.
hone_status hone_expect_compare(const hone_expect *expect, void *const *outputs, int threads, double *error, bool *is_right, char *why);
// Outputs that agreed with the points become the reference.
hone_status hone_expect_adopt(hone_expect *expect, void *const *outputs, int threads);

#endif
