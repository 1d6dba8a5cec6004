// SPDX-License-Identifier: Apache-2.0
// What a learned ranking sees of a candidate: named numbers, of the problem, of the tactic's words and of what its source reckons with. One
// vocabulary for all sources; who has no such number leaves the name out. Sizes are logarithms to the base of 2.
#ifndef HONE_TUNER_TRAITS_H
#define HONE_TUNER_TRAITS_H

#include "kernels/source.h"

#define HONE_TRAIT_NAME 64

typedef void (*hone_trait_each)(void *user, const char *name, double value);

// Of the problem on the target; the same for all its candidates.
void hone_traits_of_problem(const hone_problem *problem, const hone_target *target, hone_trait_each each, void *user);
// Of a tactic. source may be NULL (unknown here); estimate_ns as it says, 0 when it says nothing.
void hone_traits_of_tactic(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, const hone_source *source,
                           double estimate_ns, hone_trait_each each, void *user);
// The name of the trait that says which kernel: "nvrtc.gemm_tile@1".
void hone_trait_kernel(const hone_tactic *tactic, char name[HONE_TRAIT_NAME]);

#endif
