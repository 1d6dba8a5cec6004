// SPDX-License-Identifier: Apache-2.0
#include "tuner/gauge.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define LARGE_PART 8                   // of the device's memory

// ---- on the device

static hone_status grow(hone_gauge *g, int64_t count, size_t each, void **memory, size_t *have_bytes)
{
    hone_device *device = g->buffers->device;
    size_t want_bytes = (size_t)count * each + 1;
    if (*have_bytes >= want_bytes) return HONE_OK;
    if (*memory) device->api->free(device, *memory);
    *memory = NULL;
    *have_bytes = 0;
    hone_status status = device->api->alloc(device, want_bytes, memory);
    if (status == HONE_OK) *have_bytes = want_bytes;
    return status;
}

static hone_status upload(hone_gauge *g, void *to, const void *from, int64_t count)
{
    hone_device *device = g->buffers->device;
    return count ? device->api->copy(device, NULL, to, from, (size_t)count * sizeof(double), HONE_COPY_IN) : HONE_OK;
}

static const void *values_of(const hone_array *array)
{
    return array->f ? (const void *)array->f : array->i;
}

static hone_status write_points(hone_gauge *g)
{
    const hone_expect *e = g->expect;
    hone_status status = HONE_OK;
    for (int k = 0; k < 2; k++) HONE_TRY(grow(g, e->n_points, sizeof(double), &g->points[k].memory, &g->points[k].size_bytes));
    HONE_TRY(grow(g, hone_tensor_count(&e->problem.out[0]), hone_dtype_size(e->problem.out[0].dtype), &g->references[0].memory, &g->references[0].size_bytes));
    HONE_TRY(upload(g, g->points[0].memory, e->index, e->n_points));
    HONE_TRY(upload(g, g->points[1].memory, e->value, e->n_points));
out:
    return status;
}

static hone_status write_values(hone_gauge *g)
{
    const hone_expect *e = g->expect;
    hone_status status = HONE_OK;
    for (int k = 0; k < e->problem.n_out; k++) {
        int64_t count = hone_tensor_count(&e->problem.out[k]);
        HONE_TRY(grow(g, count, sizeof(double), &g->references[k].memory, &g->references[k].size_bytes));
        HONE_TRY(upload(g, g->references[k].memory, values_of(&e->out[k]), count));
    }
out:
    return status;
}

// Memory of the device is for tactics and their workspace in the first place.
static bool is_too_large(const hone_gauge *g)
{
    const hone_problem *problem = &g->expect->problem;
    double bytes = 0, memory_bytes = (double)g->buffers->device->target.memory_mib * (1 << 20);
    for (int k = 0; k < problem->n_out; k++) bytes += (double)hone_tensor_count(&problem->out[k]) * sizeof(double);
    return memory_bytes > 0 && bytes > memory_bytes / LARGE_PART;
}

static hone_status write_reference(hone_gauge *g)
{
    if (is_too_large(g)) return HONE_NO_MEMORY;
    hone_status status = g->expect->index ? write_points(g) : write_values(g);
    return status ? status : g->buffers->device->api->sync(g->buffers->device, NULL);
}

static hone_status measure_on_device(void *user, hone_against against, int output, double slack, double limit, hone_sums *sums)
{
    const hone_gauge *g = user;
    const hone_expect *e = g->expect;
    bool is_points = against == HONE_AGAINST_POINTS;
    hone_comparison of = {
        .out = g->buffers->outputs[output], .reference = is_points ? g->points[1].memory : g->references[output].memory,
        .out_type = e->problem.out[output].dtype, .reference_type = is_points || e->out[output].f ? HONE_F64 : HONE_I64,
        .index = is_points ? g->points[0].memory : NULL, .count = is_points ? e->n_points : hone_tensor_count(&e->problem.out[output]),
        .slack = slack, .limit = limit,
    };
    if (against == HONE_AGAINST_OUTPUT) of.reference_type = of.out_type;
    return hone_comparer_run(g->comparer, &of, sums);
}

// The first run's output stays: later runs of the tactic are held against it, and if all are right, so are other tactics.
static hone_status keep_first(hone_gauge *g)
{
    hone_device *device = g->buffers->device;
    return device->api->copy(device, NULL, g->references[0].memory, g->buffers->outputs[0], hone_tensor_size(&g->expect->problem.out[0]), HONE_COPY_WITHIN);
}

static hone_known what_is_known(const hone_gauge *g, bool is_first)
{
    return g->is_adopted ? HONE_KNOWN_WHOLE : is_first ? HONE_KNOWN_POINTS : HONE_KNOWN_FIRST;
}

static hone_status compare_on_device(hone_gauge *g, bool is_first, double *error, bool *is_right, char *why)
{
    hone_status status = hone_expect_judge(g->expect, what_is_known(g, is_first), measure_on_device, g, error, is_right, why);
    return status || !is_first || !g->expect->index || g->is_adopted ? status : keep_first(g);
}

// ---- on the host

static hone_status make_room(hone_gauge *g, void **memory)
{
    for (int k = 0; k < g->expect->problem.n_out; k++) {
        if (!memory[k]) memory[k] = hone_alloc(hone_tensor_size(&g->expect->problem.out[k]) + 1);
        if (!memory[k]) return HONE_NO_MEMORY;
    }
    return HONE_OK;
}

static void drop(void **memory)
{
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_free(memory[k]), memory[k] = NULL;
}

static bool is_same_as_first(const hone_gauge *g)
{
    for (int k = 0; k < g->expect->problem.n_out; k++)
        if (memcmp(g->outputs[k], g->first[k], hone_tensor_size(&g->expect->problem.out[k]))) return false;
    return true;
}

static hone_status compare_on_host(hone_gauge *g, bool is_first, double *error, bool *is_right, char *why)
{
    void **to = is_first ? g->first : g->outputs, **others = g->is_adopted ? g->right : g->first;
    hone_status status = HONE_OK;
    HONE_TRY(make_room(g, to));
    HONE_TRY(hone_buffers_fetch(g->buffers, to));
    if (!is_first && is_same_as_first(g)) {
        *is_right = g->first_is_right;
        snprintf(why, 256, "%s", g->first_why);
        return HONE_OK;
    }
    HONE_TRY(hone_expect_compare(g->expect, what_is_known(g, is_first), to, others, g->threads, error, is_right, why));
    if (!is_first) return HONE_OK;
    g->first_is_right = *is_right;
    snprintf(g->first_why, sizeof g->first_why, "%s", *is_right ? "" : why);
out:
    return status;
}

// ---- either

hone_status hone_gauge_begin(hone_gauge *g, const hone_expect *expect)
{
    g->expect = expect;
    g->is_adopted = false;
    if (!g->was_asked && hone_comparer_open(g->buffers->device, &g->comparer)) g->comparer = NULL;
    g->was_asked = true;
    g->is_on_device = g->comparer != NULL;
    hone_status status = g->is_on_device ? write_reference(g) : HONE_OK;
    if (status == HONE_NO_MEMORY) g->is_on_device = false;
    return status == HONE_NO_MEMORY ? HONE_OK : status;
}

void hone_gauge_end(hone_gauge *g)
{
    drop(g->outputs);
    drop(g->first);
    drop(g->right);
    g->expect = NULL;
}

void hone_gauge_clear(hone_gauge *g)
{
    hone_device *device = g->buffers->device;
    hone_gauge_end(g);
    hone_comparer_close(g->comparer);
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++)
        if (g->references[k].memory) device->api->free(device, g->references[k].memory);
    for (int k = 0; k < 2; k++)
        if (g->points[k].memory) device->api->free(device, g->points[k].memory);
    *g = (hone_gauge){.buffers = g->buffers, .threads = g->threads};
}

hone_status hone_gauge_refill(hone_gauge *g)
{
    if (!g->is_on_device) return HONE_OK;
    g->is_adopted = false;
    return write_reference(g);
}

hone_status hone_gauge_compare(hone_gauge *g, bool is_first, double *error, bool *is_right, char *why)
{
    *error = 0;
    *is_right = true;
    *why = 0;
    return (g->is_on_device ? compare_on_device : compare_on_host)(g, is_first, error, is_right, why);
}

void hone_gauge_adopt(hone_gauge *g)
{
    if (!g->expect->index || g->is_adopted) return;
    g->is_adopted = true;
    memcpy(g->right, g->first, sizeof g->right);
    memset(g->first, 0, sizeof g->first);
}
