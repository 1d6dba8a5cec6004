// SPDX-License-Identifier: Apache-2.0
// The kernels of source "cpu". Each is a const object in its own file and a line in kernels/cpu/kernels_list.h; its tile
// parameters are a subspace of the source. All compute in f32; what they do not offer is left to source ref.
#ifndef HONE_KERNELS_CPU_KERNEL_H
#define HONE_KERNELS_CPU_KERNEL_H

#include "kernels/cpu/tail.h"
#include "kernels/source.h"

typedef struct hone_cpu_job {              // one tactic prepared for one problem; immutable after plan
    const struct hone_cpu_kernel *kernel;
    hone_problem problem;
    hone_tactic tactic;
    int threads;
    size_t workspace_bytes;                // set by plan
    hone_cpu_tail tail;                    // elementwise steps behind the first
    void *state;                           // what plan worked out; one block, freed with hone_free
} hone_cpu_job;

typedef struct hone_cpu_call {             // memory of one run
    const hone_cpu_job *job;
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX];
    void *workspace;
} hone_cpu_call;

typedef struct hone_cpu_kernel {
    const char *name;
    int version;
    bool needs_blas;
    bool has_tail;                         // runs job->tail; otherwise the problem is one step and any element type may occur
    // The legal parameters of a problem; HONE_DECLINED when it is not offered. subspace comes with name and version set.
    hone_status (*offers)(const hone_problem *problem, int threads, hone_subspace *subspace);
    // A time by a model of the kernel, so that a search can try the likely tactics first. The constants are those of one Zen 4 core:
    // 100 flops a ns in register tiles, 0.15 ns for a float copied within the cache. NULL: a share of the roofline.
    double (*estimate_ns)(const hone_problem *problem, const hone_tactic *tactic, int threads);
    // Reads job's problem, tactic and threads, sets the rest. state is freed by the caller, on failure too.
    hone_status (*plan)(hone_cpu_job *job);
    void (*run)(const hone_cpu_call *call);
} hone_cpu_kernel;

extern const hone_cpu_kernel *const hone_cpu_kernels[];
extern const int hone_cpu_kernel_count;

// ---- shared by offers functions

// HONE_OK when the problem is one op of this name on f32 tensors (operands beyond the first `heads` belong to the tail), followed by
// a tail that hone_cpu_tail can run on the op's only output.
hone_status hone_cpu_offer(const hone_problem *problem, const char *op, hone_cpu_tail *tail);
void hone_cpu_range(hone_subspace *subspace, const char *name, int n, const int64_t *values);

// `tasks` of task_ns each on `threads`: whole rounds, plus the waking of the other threads.
double hone_cpu_rounds_ns(double tasks, double task_ns, int threads);

// Operand that input k of the first step reads; -1 when absent.
int hone_cpu_input(const hone_problem *problem, int k);
const float *hone_cpu_operand(const hone_cpu_call *call, int k);      // memory of that operand; NULL when absent

#endif
