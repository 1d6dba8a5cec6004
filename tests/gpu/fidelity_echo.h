// SPDX-License-Identifier: Apache-2.0
// The gap per node of a tactic of one kernel: that of its echo, a kernel that only waits, launched as the tactic's is (grid, block, as many blocks at
// a time on a multiprocessor) and, by CUPTI, lasting as long. CUPTI's stamp at the end of every block holds up the block that waits for its
// place; an empty kernel of one wave knows nothing of that, and how long waiting takes depends on nobody who looks.
//
// The gap of the empty kernel stands in for two kinds. Where all blocks wait for memory, it is not for a place that they wait: the others go on
// fetching meanwhile. And of several kernels a trace does not say how they are tied together.
#ifndef HONE_TESTS_GPU_FIDELITY_ECHO_H
#define HONE_TESTS_GPU_FIDELITY_ECHO_H

#include "tests/gpu/fidelity_times.h"

enum { PROBE_CLOCKS = 2000, REGISTERS = 65536, THREADS = 2048, BLOCK_RESERVE = 1024 };

// Shared memory takes the place of registers, too, in keeping further blocks away.
static unsigned shared_like(const hone_activity *a)
{
    int64_t threads = (int64_t)a->block[0] * a->block[1] * a->block[2], all = hone_target_smem_bytes(&device->target) + BLOCK_RESERVE;
    int64_t blocks = THREADS / threads;
    if (a->registers > 0 && REGISTERS / (a->registers * threads) < blocks) blocks = REGISTERS / (a->registers * threads);
    if (all / (a->shared_bytes + BLOCK_RESERVE) < blocks) blocks = all / (a->shared_bytes + BLOCK_RESERVE);
    if (blocks < 1) blocks = 1;
    int64_t least = all / (blocks + 1) - BLOCK_RESERVE + 1;
    return (unsigned)(least > a->shared_bytes ? least : a->shared_bytes);
}

// HONE_MISS: not one kernel alone.
static hone_status read_launch(const hone_activity *activities, size_t n, waiting *e)
{
    const hone_activity *one = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!activities[i].label) continue;
        if (one || activities[i].kind != HONE_ACTIVITY_KERNEL) return HONE_MISS;
        one = &activities[i];
    }
    if (!one) return hone_fail(HONE_AGAIN, "CUPTI shows no kernel of a run");
    *e = echo;
    e->shared_bytes = shared_like(one);
    memcpy(e->grid, one->grid, sizeof e->grid);
    memcpy(e->block, one->block, sizeof e->block);
    return HONE_OK;
}

static hone_status look_at_launch(hone_runnable *runnable, bench *t, void *workspace, waiting *e)
{
    hone_captured *captured = NULL;
    hone_activity *activities = NULL;
    size_t n = 0;
    hone_status status;
    HONE_TRY(capture_n(runnable, t->operands, t->outputs, workspace, 1, &captured));
    for (int lost = 0; lost == 0 || (status == HONE_AGAIN && lost < AGAIN); lost++) {
        hone_free(activities);
        activities = NULL;
        status = collect_replay(captured, &activities, &n);
        if (!status) status = read_launch(activities, n, e);
    }
out:
    hone_free(activities);
    if (captured) device->api->replay(device, NULL, captured, true);
    return status;
}

// Clocks for which it lasts `ns`: a line through two tries.
static hone_status set_clocks(waiting *e, double ns)
{
    bench none = {0};
    double spread, at[2];
    hone_status status = HONE_OK;
    for (int i = 0; i < 2; i++) {
        e->clocks = i * PROBE_CLOCKS;
        HONE_TRY(measure_traced(&e->base, &none, NULL, &at[i], &spread));
    }
    e->clocks = at[1] > at[0] && ns > at[0] ? (int64_t)((ns - at[0]) / (at[1] - at[0]) * PROBE_CLOCKS) : 0;
out:
    return status;
}

static bool is_bound_by_memory(const bench *t, double ns)
{
    return hone_memory_ns(&t->problem, &device->target) * 2 > ns;
}

// While CUPTI is there: the echo of a tactic that takes `ns`, and the echo's own time. Without one *echo_ns is 0.
static hone_status make_echo(hone_runnable *runnable, bench *t, void *workspace, double ns, waiting *e, double *echo_ns)
{
    bench none = {0};
    double spread;
    hone_status status = HONE_OK;
    *echo_ns = 0;
    if (is_bound_by_memory(t, ns)) return HONE_OK;
    status = look_at_launch(runnable, t, workspace, e);
    if (status) return status == HONE_MISS ? HONE_OK : status;
    HONE_TRY(set_clocks(e, ns));
    status = measure_traced(&e->base, &none, NULL, echo_ns, &spread);
out:
    return status;
}

// When CUPTI has gone.
static hone_status measure_echo_slope(waiting *e, double *ns)
{
    bench none = {0};
    double spread;
    return measure_spaced_slope(&e->base, &none, NULL, ns, &spread);
}

#endif
