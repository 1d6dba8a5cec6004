// SPDX-License-Identifier: Apache-2.0
// Running plans. An engine is a plan made resident on one device (weights, modules), shared by many slots; an exec is one slot:
// an inference in flight with its buffers, streams, events and captured graph. Slots may be added and removed while others run.
#ifndef HONE_ENGINE_EXEC_H
#define HONE_ENGINE_EXEC_H

#include "engine/plan.h"

typedef struct hone_engine hone_engine;
typedef struct hone_exec hone_exec;

// The plan and the device are borrowed and outlive the engine. Validates every tactic against the device; a plan built beside other library
// versions is HONE_USAGE naming each difference and the way out, unless allow_other_versions.
hone_status hone_engine_new(const hone_plan *plan, hone_device *device, bool allow_other_versions, hone_engine **engine);
void hone_engine_free(hone_engine *engine);
// Runs each distinct problem and tactic of the plan once, alone, on random operands drawn from seed, and compares with the reference.
// HONE_NUMERIC names the first step that is off. Takes as long as the reference of the whole network.
hone_status hone_engine_verify(hone_engine *engine, uint64_t seed, int threads);
// The same of one step; *error is ||have - want|| / ||want||, the worst of its outputs.
hone_status hone_engine_verify_step(hone_engine *engine, int step, uint64_t seed, int threads, double *error);

// ||have - want|| / ||want||; equal infinities and NaN in the same place count as equal, others make it infinite.
double hone_array_error(const hone_array *have, const hone_array *want);

typedef struct hone_exec_options {
    int lanes;                 // most streams used; 0: as the plan says. 1, 2 and 4 give bit-identical output
    bool no_graph;             // direct launches instead of a captured graph
    bool no_dependent;         // every step begins when the one before it in its stream has ended
    hone_stream *stream;       // borrowed: inferences begin and end on it, in order with what others put there; NULL: one of its own. An engine's
                               // slots on one stream share the memory between their inputs and outputs
} hone_exec_options;

// options NULL: the defaults. Where the device can, one inference on zeros is run and then captured. Slots of one engine may be made, run
// and freed in different threads at once; one slot belongs to one thread at a time.
hone_status hone_exec_new(hone_engine *engine, const hone_exec_options *options, hone_exec **exec);
void hone_exec_free(hone_exec *exec);
// Host memory in the port's type, row-major. Copies in stream order; data must stay until the next run returns or hone_exec_sync.
hone_status hone_exec_set_input(hone_exec *exec, int port, const void *data, size_t size_bytes);
hone_status hone_exec_start(hone_exec *exec);                   // enqueues one inference
hone_status hone_exec_sync(hone_exec *exec);
hone_status hone_exec_get_output(hone_exec *exec, int port, void *data, size_t size_bytes);   // after sync
// Device memory of a buffer after a sync, unpacked to the reference's form (for --check). The plan's buffers share bytes, so the exec
// must have been made with `hone_exec_keep`.
hone_status hone_exec_read(hone_exec *exec, int buffer, hone_array *array);
hone_status hone_exec_keep(hone_engine *engine, hone_exec **exec);     // a slot whose buffers share no bytes: every value can be read
// Time of each step alone, in order, median of `repeats`, in ns; times has plan->n_steps entries. Inputs must have been set. A
// step's time is a sixteenth of sixteen of it in a row, captured as one graph where the device can: the cache is warm, and the gap between
// nodes is in it. On a device without capture, steps of more than 0.5 ms are timed one by one.
hone_status hone_exec_profile(hone_exec *exec, int repeats, double *times_ns);
// Whole inferences, in ns each: one after another by events before and behind; of those under 0.3 ms as many in a row as last that long (64 at
// most), as what starts and what ends on an idle device takes a share of a short one that it has not where inferences follow each other.
hone_status hone_exec_time(hone_exec *exec, int samples, double *times_ns);

#endif
