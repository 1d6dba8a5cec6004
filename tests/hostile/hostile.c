// SPDX-License-Identifier: Apache-2.0
// Sources for tests of isolation, on the device cpu, for the problems "relu x=f32:N". Source "good": 200 honest tactics a problem.
// Source "hostile": the same 200 and one of each fault of reliability.md T10, in an order that N shuffles. A tactic's name says what
// it does, hostile.t@1 place=17 fault=3, so that the test knows what it must become.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "kernels/device_cpu.h"
#include "kernels/source.h"

enum { GOOD = 200, SPIN_NS = 40000, ESTIMATE_NS = 1000000, HIGHEST_FD = 64 };

typedef struct run_args {
    float *x, *y;
    int64_t n, runs;
    hone_device *device;
} run_args;

static void relu(const run_args *a)
{
    int64_t end_ns = hone_clock_ns() + SPIN_NS;      // long enough for a time that repeats
    for (int64_t k = 0; k < a->n; k++) a->y[k] = a->x[k] > 0 ? a->x[k] : 0;
    while (hone_clock_ns() < end_ns) continue;
}

// ---- faults. Each computes the right answer first, unless its fault is not to.

typedef float vector __attribute__((vector_size(16)));

static hone_status honest(run_args *a) { return relu(a), HONE_OK; }

// What a GPU's driver says of an illegal address: the process lives, its context does not.
static hone_status illegal_address(run_args *a)
{
    relu(a);
    return hone_fail(HONE_INTERNAL, "an illegal memory access was encountered (700)");
}

static hone_status misaligned(run_args *a)
{
    relu(a);
    volatile vector *at = (volatile vector *)((char *)a->y + 1);
    *at = (vector){0};
    return HONE_OK;
}

static hone_status trap(run_args *a)
{
    relu(a);
    __builtin_trap();
}

static hone_status endless(run_args *a)
{
    relu(a);
    for (volatile int k = 0; k >= 0; k = 1) continue;
    return HONE_OK;
}

static hone_status slow(run_args *a)
{
    relu(a);
    hone_sleep_ns(100ll * ESTIMATE_NS);
    return HONE_OK;
}

static hone_status host_abort(run_args *a)
{
    relu(a);
    abort();
}

static hone_status segfault(run_args *a)
{
    int *volatile nowhere = NULL;
    relu(a);
    *(volatile int *)nowhere = 1;
    return HONE_OK;
}

static hone_status exit_zero(run_args *a)
{
    relu(a);
    exit(0);
}

static hone_status out_of_memory(run_args *a)
{
    void *memory;
    return a->device->api->alloc(a->device, (size_t)1 << 46, &memory);
}

static hone_status overrun(run_args *a)
{
    relu(a);
    ((char *)(a->y + a->n))[0] = 1;
    return HONE_OK;
}

static hone_status wrong(run_args *a)
{
    relu(a);
    a->y[a->n - 1] += 1;
    return HONE_OK;
}

static hone_status unstable(run_args *a)
{
    relu(a);
    a->y[0] += (float)(a->runs % 2);
    return HONE_OK;
}

static hone_status garbage(run_args *a)
{
    static const char words[] = "0\tanswer\tok\tstaying\nwhat is this\n";
    relu(a);
    for (int fd = 3; fd < HIGHEST_FD; fd++) {
        struct stat facts;
        if (fstat(fd, &facts) || !S_ISFIFO(facts.st_mode) || (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) continue;
        while (write(fd, words, sizeof words - 1) < 0 && errno == EINTR) continue;
    }
    return HONE_OK;
}

static hone_status (*const faults[])(run_args *) = {
    honest, illegal_address, misaligned, trap, endless, slow, host_abort, segfault, exit_zero, out_of_memory, overrun, wrong, unstable, garbage,
};

enum { FAULTS = sizeof faults / sizeof *faults - 1 };

// ---- the sources

typedef struct hostile_runnable {
    hone_runnable base;
    int64_t n, fault, runs;
} hostile_runnable;

// The first launch of each runnable, for tests that count them: the fault's number, a line each, in the file that HOSTILE_RECORD names.
static void record(int64_t fault)
{
    const char *path = getenv("HOSTILE_RECORD");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    dprintf(file, "%lld\n", (long long)fault);
    close(file);
}

static hone_status probe(const hone_target *target, hone_device *device)
{
    (void)target, (void)device;
    return HONE_OK;
}

static hone_status list(const hone_problem *problem, const char *source, int n_faults, hone_space *space)
{
    memset(space, 0, sizeof *space);
    if (problem->n_steps != 1 || strcmp(problem->steps[0].call.op->name, "relu")) return hone_fail(HONE_DECLINED, "only relu");
    int total = GOOD + n_faults;
    uint64_t seed = (uint64_t)hone_tensor_count(&problem->operands[0]);
    space->points = hone_calloc((size_t)total, sizeof *space->points);
    if (!space->points) return HONE_NO_MEMORY;
    space->n_points = (size_t)total;
    for (int k = 0; k < total; k++) {
        hone_tactic *tactic = &space->points[k];
        strcpy(tactic->source, source);
        strcpy(tactic->kernel, "t");
        tactic->version = 1;
        hone_tactic_set(tactic, "place", 1000 + k);
        hone_tactic_set(tactic, "fault", k < n_faults ? k + 1 : 0);
    }
    for (int k = total - 1; k > 0; k--) {
        uint32_t other = hone_rng_bits(seed, 1, (uint64_t)k) % (uint32_t)(k + 1);
        int64_t kept = space->points[k].params[1].value;
        space->points[k].params[1].value = space->points[other].params[1].value;
        space->points[other].params[1].value = kept;
    }
    return HONE_OK;
}

static hone_status hostile_space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    (void)target, (void)device;
    return list(problem, "hostile", FAULTS, space);
}

static hone_status good_space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    (void)target, (void)device;
    return list(problem, "good", 0, space);
}

static hone_status valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)target;
    int64_t fault = hone_tactic_get(tactic, "fault", -1);
    return fault >= 0 && fault <= FAULTS ? HONE_OK : hone_fail(HONE_DECLINED, "no such fault");
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)tactic, (void)target;
    return ESTIMATE_NS;
}

static hone_status wake(hone_runnable *runnable) { return (void)runnable, HONE_OK; }
static void sleep_runnable(hone_runnable *runnable) { (void)runnable; }
static void free_runnable(hone_runnable *runnable) { hone_free(runnable); }

static hone_status run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    hostile_runnable *self = (hostile_runnable *)runnable;
    run_args a = {operands[0], outputs[0], self->n, self->runs++, runnable->device};
    (void)stream, (void)workspace;
    if (!a.runs) record(self->fault);
    return faults[self->fault](&a);
}

static const hone_runnable_api api = {.wake = wake, .run = run, .sleep = sleep_runnable, .free = free_runnable};

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    hostile_runnable *self = hone_calloc(1, sizeof *self);
    (void)artifact;
    if (!self) return HONE_NO_MEMORY;
    self->base = (hone_runnable){.api = &api, .device = device};
    self->n = hone_tensor_count(&problem->operands[0]);
    self->fault = hone_tactic_get(tactic, "fault", 0);
    *runnable = &self->base;
    return HONE_OK;
}

const hone_source hone_source_hostile = {
    .name = "hostile", .version = 1, .depends = "hone", .devices = "cpu", .probe = probe, .space = hostile_space, .valid = valid,
    .estimate_ns = estimate_ns, .prepare = prepare,
};

const hone_source hone_source_good = {
    .name = "good", .version = 1, .depends = "hone", .devices = "cpu", .probe = probe, .space = good_space, .valid = valid,
    .estimate_ns = estimate_ns, .prepare = prepare,
};

// ---- source "laggard": a library whose every algorithm takes half a millisecond, its default first

static hone_status laggard_space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    (void)target, (void)device;
    hone_status status = list(problem, "laggard", 0, space);
    space->n_points = space->n_points < 4 ? space->n_points : 4;
    return status;
}

static hone_status laggard_run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    hone_sleep_ns(ESTIMATE_NS / 2);
    return run(runnable, stream, operands, outputs, workspace);
}

static const hone_runnable_api laggard_api = {.wake = wake, .run = laggard_run, .sleep = sleep_runnable, .free = free_runnable};

static hone_status laggard_prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                                   hone_runnable **runnable)
{
    hone_status status = prepare(problem, tactic, device, artifact, runnable);
    if (!status) (*runnable)->api = &laggard_api;
    return status;
}

const hone_source hone_source_laggard = {
    .name = "laggard", .version = 1, .depends = "hone", .devices = "cpu", .probe = probe, .space = laggard_space, .valid = valid,
    .prepare = laggard_prepare,
};

// ---- source "badcompiler": one tactic compiles, one does not, one takes the compiler with it

static hone_status badcompiler_space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    (void)problem, (void)target, (void)device;
    *space = (hone_space){.n = 1, .subspaces = {{.kernel = "t", .version = 1, .n = 1, .ranges = {{"fault", 3, {0, 1, 2}}}}}};
    return HONE_OK;
}

static hone_status badcompiler_key(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, char key[HONE_ARTIFACT_KEY])
{
    (void)problem, (void)target;
    return snprintf(key, HONE_ARTIFACT_KEY, "badcompiler-%d", (int)hone_tactic_get(tactic, "fault", 0)), HONE_OK;
}

static hone_status badcompiler_compile(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_blob *artifact)
{
    (void)problem, (void)target;
    int64_t fault = hone_tactic_get(tactic, "fault", 0);
    if (fault == 1) return hone_fail(HONE_DECLINED, "it does not compile");
    if (fault == 2) abort();
    *artifact = (hone_blob){.data = hone_strdup("code"), .size_bytes = 4};
    return HONE_OK;
}

const hone_source hone_source_badcompiler = {
    .name = "badcompiler", .version = 1, .depends = "hone", .devices = "cpu", .probe = probe, .space = badcompiler_space, .valid = valid,
    .estimate_ns = estimate_ns, .key = badcompiler_key, .compile = badcompiler_compile, .prepare = prepare,
};
