// SPDX-License-Identifier: Apache-2.0
// What the files of `hone run` share.
#ifndef HONE_CMD_RUN_H
#define HONE_CMD_RUN_H

#include "base/json.h"
#include "engine/exec.h"
#include "engine/graph.h"

enum { HONE_RUN_FILES_MAX = 64 };

typedef struct hone_run_data {         // host memory of the ports
    void **inputs, **outputs;          // owned
} hone_run_data;

// Inputs from NAME=FILE (.npy or .pb) or random from seed (floats normal, integers 0 or 1); outputs get room. data starts zeroed.
hone_status hone_run_data_make(const hone_plan *plan, const char *const *files, int n_files, uint64_t seed, hone_run_data *data);
void hone_run_data_clear(const hone_plan *plan, hone_run_data *data);
hone_status hone_run_set_inputs(hone_exec *exec, const hone_plan *plan, const hone_run_data *data);
hone_status hone_run_get_outputs(hone_exec *exec, const hone_plan *plan, hone_run_data *data);
// Each of DIR (all outputs as DIR/out-NAME.npy) or NAME=FILE.
hone_status hone_run_write(const hone_plan *plan, const hone_run_data *data, const char *const *places, int n_places);

typedef struct hone_run_timing {       // of host-side times, in ns
    int slots, iterations;
    bool transfers;                    // inputs and outputs are copied in every iteration
    double min_ns, max_ns, mean_ns, median_ns, p90_ns, p95_ns, p99_ns;
    double per_second;                 // inferences, enqueued back to back
} hone_run_timing;

typedef struct hone_run_loop {
    int iterations;                    // at least
    double duration_s, warm_up_s;      // at least
    bool transfers;
} hone_run_loop;

// Latencies of one inference at a time on the first slot, then throughput of all slots with several inferences enqueued.
hone_status hone_run_measure(hone_exec *const *slots, int n_slots, const hone_plan *plan, hone_run_data *data, const hone_run_loop *loop,
                             hone_run_timing *timing);

typedef struct hone_run_check {
    double tolerance, worst;           // of the network's outputs
    char output[256];                  // which one
    char layer[256], step[256], tactic[256];      // the first layer that is off; "" none
    double layer_error;
    int compared;                      // values of the network that a step writes
} hone_run_check;

// Holds the outputs of a run on these inputs, and every value that a step writes, against the reference. HONE_NUMERIC when an output is off.
hone_status hone_run_compare(hone_engine *engine, const hone_graph *graph, const hone_plan *plan, const hone_run_data *data, double tolerance,
                             hone_run_check *check);
double hone_run_tolerance(const hone_plan *plan);      // by the coarsest precision of the plan

#endif
