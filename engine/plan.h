// SPDX-License-Identifier: Apache-2.0
// A plan: what an engine does on one target, chosen once, immutable, shared by threads. Same graph + snapshot + target =
// the same bytes. On disk it is a safetensors file (docs/plan.md): weights and compiled kernels are tensors, the rest is text in its
// metadata. It holds no code paths and no pointers; every count is checked against the remaining bytes.
#ifndef HONE_ENGINE_PLAN_H
#define HONE_ENGINE_PLAN_H

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "kernels/source.h"

typedef enum hone_slot_kind { HONE_SLOT_ABSENT, HONE_SLOT_WEIGHT, HONE_SLOT_BUFFER } hone_slot_kind;

typedef struct hone_slot {             // where a step finds an operand
    hone_slot_kind kind;
    int index;                         // of plan->weights or plan->buffers
} hone_slot;

typedef struct hone_recipe hone_recipe;

typedef struct hone_weight {
    const char *name;
    hone_tensor tensor;                // element type and layout as the step wants it
    const void *data;                  // in the arena or the mapped file; NULL where a draft has written it
    size_t size_bytes;
    hone_recipe *recipe;               // while the plan is made: what data will be made of; NULL afterwards
} hone_weight;

typedef struct hone_buffer {           // an activation; buffers whose lifetimes do not overlap share bytes
    const char *name;                  // the network's name of the value
    hone_tensor tensor;
    int64_t offset_bytes;              // in the slot's one allocation
    int64_t size_bytes;
    int alias;                         // -1, or the buffer whose bytes these are (views)
} hone_buffer;

typedef struct hone_plan_step {
    const char *name;                  // layer names, joined by " + "
    const char *problem;               // spelling
    const char *tactic;                // spelling
    const char *precision;             // "fp32", "tf32", "fp16", "bf16", or "" for integers and conversions
    int n_operands, n_outputs;
    hone_slot operands[HONE_OPERANDS_MAX];
    hone_slot outputs[HONE_OUTPUTS_MAX];
    int lane;
    int n_waits;
    const int *waits;                  // earlier steps of other lanes that must be done
    int64_t workspace_offset_bytes;    // in the slot's allocation
    int64_t workspace_bytes;
    int artifact;                      // of plan->artifacts, -1 if none
    double predicted_ns;
    double flops;
    hone_id evidence;                  // the measurement that chose it; zero under --pin without one
    int staleness;                     // as hone_ranked
} hone_plan_step;

typedef struct hone_artifact {
    const char *key;
    const void *data;
    size_t size_bytes;
} hone_artifact;

typedef struct hone_port {             // a network input or output
    const char *name;
    hone_tensor tensor;                // what the caller gives or gets: the network's own type, row-major
    int buffer;                        // same type and layout: conversions are steps
} hone_port;

typedef struct hone_plan {
    hone_arena *arena;
    hone_map map;                      // the file, when loaded from one
    const char *device;                // target spelling
    const char *toolchain;             // built for
    const char *network;               // name
    hone_id network_digest, snapshot;
    const char *precisions;            // as asked for: "fp16,fp32"
    const char *not_in_precision;      // lines "layer: reason" for flops outside the precision asked for, "" if none
    double flops, flops_in_precision;
    double predicted_ns;
    int64_t arena_bytes;               // of one slot: activations and workspaces
    int lanes;
    hone_port *inputs, *outputs;
    int n_inputs, n_outputs;
    hone_weight *weights;
    int n_weights;
    hone_buffer *buffers;
    int n_buffers;
    hone_plan_step *steps;
    int n_steps;
    hone_artifact *artifacts;
    int n_artifacts;
} hone_plan;

void hone_plan_free(hone_plan *plan);                                  // NULL is legal
hone_status hone_plan_save(const hone_plan *plan, const char *path);   // atomic, with no copy in between; deterministic bytes
hone_status hone_plan_load(const char *path, hone_plan **plan);        // HONE_DAMAGED; checks everything that needs no device
hone_status hone_plan_check(const hone_plan *plan);                    // slots, waits, lanes, no two live buffers overlap, spellings parse
void hone_plan_libraries(const hone_plan *plan, hone_text *list);       // "cublaslt,cudnn": what it may open when it runs. Appends
void hone_plan_digest(const hone_plan *plan, hone_id *id);

// The same in two parts, for a plan that lacks its network's digest still: weights as soon as all else is known, converted piece by piece on their way
// into the file, the rest at the end. Nothing lies at `path` before the end.
typedef struct hone_plan_draft hone_plan_draft;
hone_status hone_plan_draft_new(const char *path, hone_plan_draft **draft);
bool hone_plan_draft_begins(const hone_plan_draft *draft);                            // a pipe takes all in the order of the file: not so
hone_status hone_plan_draft_begin(hone_plan_draft *draft, const hone_plan *plan);     // may be left out
hone_status hone_plan_draft_end(hone_plan_draft *draft, const hone_plan *plan);
void hone_plan_draft_free(hone_plan_draft *draft);                                    // NULL is legal

#endif
