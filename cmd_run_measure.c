// SPDX-License-Identifier: Apache-2.0
// Latency and throughput as a caller sees them: host clock round start and sync.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd_run.h"

enum { SAMPLES_MAX = 1 << 22, AHEAD = 8 };      // inferences enqueued on a slot before it is waited for

typedef struct measure {
    const hone_plan *plan;
    hone_run_data *data;
    bool transfers;
} measure;

static hone_status begin(const measure *m, hone_exec *exec)
{
    hone_status status = m->transfers ? hone_run_set_inputs(exec, m->plan, m->data) : HONE_OK;
    return status == HONE_OK ? hone_exec_start(exec) : status;
}

static hone_status end(const measure *m, hone_exec *exec)
{
    hone_status status = hone_exec_sync(exec);
    return status == HONE_OK && m->transfers ? hone_run_get_outputs(exec, m->plan, m->data) : status;
}

static hone_status warm_up(const measure *m, hone_exec *exec, double seconds)
{
    int64_t start = hone_clock_ns();
    hone_status status = HONE_OK;
    do {
        status = begin(m, exec);
        if (status == HONE_OK) status = end(m, exec);
    } while (status == HONE_OK && (double)(hone_clock_ns() - start) < seconds * 1e9);
    return status;
}

static hone_status sample(const measure *m, hone_exec *exec, const hone_run_loop *loop, double **samples, size_t *n)
{
    size_t capacity = 0;
    int64_t start = hone_clock_ns(), before = start, now;
    do {
        hone_status status = begin(m, exec);
        if (status == HONE_OK) status = end(m, exec);
        now = hone_clock_ns();
        if (status != HONE_OK) return status;
        if (hone_grow(samples, *n, &capacity, sizeof **samples, SAMPLES_MAX)) return HONE_NO_MEMORY;
        (*samples)[(*n)++] = (double)(now - before);
        before = now;
    } while (*n < SAMPLES_MAX && (*n < (size_t)loop->iterations || (double)(now - start) < loop->duration_s * 1e9));
    return HONE_OK;
}

// With transfers a slot's outputs are fetched before its next inference; without, several inferences wait on each slot.
static hone_status throughput(const measure *m, hone_exec *const *slots, int n_slots, int64_t wanted, double *per_second)
{
    int64_t done = 0, start = hone_clock_ns();
    hone_status status = HONE_OK;
    while (done < wanted && status == HONE_OK) {
        int ahead = m->transfers ? 1 : AHEAD;
        if (ahead > (wanted - done + n_slots - 1) / n_slots) ahead = (int)((wanted - done + n_slots - 1) / n_slots);
        for (int k = 0; k < ahead * n_slots && status == HONE_OK; k++) status = begin(m, slots[k % n_slots]);
        for (int k = 0; k < n_slots && status == HONE_OK; k++) status = end(m, slots[k]);
        done += ahead * n_slots;
    }
    *per_second = (double)done / ((double)(hone_clock_ns() - start) / 1e9);
    return status;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, size_t n, double part)      // nearest rank
{
    size_t rank = (size_t)ceil(part * (double)n);
    return sorted[rank > 0 ? rank - 1 : 0];
}

static void sum_up(double *samples, size_t n, hone_run_timing *t)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += samples[k];
    qsort(samples, n, sizeof *samples, by_value);
    t->iterations = (int)n;
    t->min_ns = samples[0];
    t->max_ns = samples[n - 1];
    t->mean_ns = sum / (double)n;
    t->median_ns = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
    t->p90_ns = percentile(samples, n, 0.90);
    t->p95_ns = percentile(samples, n, 0.95);
    t->p99_ns = percentile(samples, n, 0.99);
}

hone_status hone_run_measure(hone_exec *const *slots, int n_slots, const hone_plan *plan, hone_run_data *data, const hone_run_loop *loop,
                             hone_run_timing *timing)
{
    measure m = {plan, data, loop->transfers};
    double *samples = NULL;
    size_t n = 0;
    hone_status status = HONE_OK;
    *timing = (hone_run_timing){.slots = n_slots, .transfers = loop->transfers};
    for (int k = 0; k < n_slots; k++) HONE_TRY(warm_up(&m, slots[k], loop->warm_up_s / n_slots));
    HONE_TRY(sample(&m, slots[0], loop, &samples, &n));
    sum_up(samples, n, timing);
    status = throughput(&m, slots, n_slots, (int64_t)n, &timing->per_second);
out:
    hone_free(samples);
    return status;
}
