// SPDX-License-Identifier: Apache-2.0
// From a partition to a plan: steps with conversions between them, buffers, weights in the form the steps read, lanes, memory.
#ifndef HONE_ENGINE_ASSEMBLE_PRIV_H
#define HONE_ENGINE_ASSEMBLE_PRIV_H

#include "engine/partition_priv.h"
#include "engine/plan_priv.h"

// Fills plan->steps, buffers, weights but for their bytes, ports and compiled kernels; missing gets the spelling of every step without a measurement.
hone_status hone_assemble(const hone_view *view, const hone_partition *partition, hone_costs *costs, hone_text *missing, hone_plan *plan);
hone_status hone_assemble_weights(hone_plan *plan);      // the bytes, by the recipes
void hone_assemble_forget(hone_plan *plan);              // recipes, which point into the network

// Gives every step a lane of at most `lanes` and the waits that order it after what it reads.
hone_status hone_lanes_assign(hone_plan *plan, int lanes);
// Offsets for buffers and workspaces over the happens-before order of the lanes; sets plan->arena_bytes.
// Algorithm: greedy by size, lowest free offset (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020).
hone_status hone_memory_plan(hone_plan *plan);
// The buffer whose bytes an alias (through any number of views) stands on; itself when it is none.
int hone_plan_root(const hone_plan *plan, int buffer);
// before[i] has bit j when step j is done before step i begins, as bytes of n_steps * words; caller frees.
hone_status hone_plan_order(const hone_plan *plan, uint64_t **before, int *words);

hone_status hone_weight_make(hone_arena *arena, hone_recipe *recipe);      // recipe->made, in the arena

#endif
