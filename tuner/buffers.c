// SPDX-License-Identifier: Apache-2.0
#include "tuner/buffers.h"

#include <string.h>

#include "base/alloc.h"

#define ALIGNMENT 256
#define GUARD_BYTE 0xa5

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

// From the end of one buffer, to the byte, to the start of the next, on its alignment.
static size_t guarded_size(size_t size_bytes)
{
    return round_up(size_bytes) + HONE_GUARD_BYTES;
}

static hone_status grow(hone_buffers *buffers, void **memory, size_t *have_bytes, size_t want_bytes)
{
    if (*have_bytes >= want_bytes) return HONE_OK;
    const hone_device_api *api = buffers->device->api;
    if (*memory) api->free(buffers->device, *memory);
    *memory = NULL;
    *have_bytes = 0;
    hone_status status = api->alloc(buffers->device, want_bytes, memory);
    if (status == HONE_OK) *have_bytes = want_bytes;
    return status;
}

static void add_guard(hone_buffers *buffers, char *at, size_t size_bytes, const char *behind)
{
    const char *before = buffers->n_guards ? buffers->guards[buffers->n_guards - 1].behind : "the start";
    buffers->guards[buffers->n_guards++] = (hone_guard){at, size_bytes, before, behind};
}

// Places one buffer at *at, whose guard before it stands already, and puts the guard behind it.
static void *place(hone_buffers *buffers, char **at, size_t size_bytes, const char *next)
{
    void *placed = *at;
    char *end = *at + size_bytes;
    *at += guarded_size(size_bytes);
    add_guard(buffers, end, (size_t)(*at - end), next);
    return placed;
}

hone_status hone_buffers_lay(hone_buffers *buffers, const hone_problem *problem)
{
    size_t total = HONE_GUARD_BYTES;
    for (int k = 0; k < problem->n_operands; k++) total += guarded_size(hone_tensor_size(&problem->operands[k]));
    for (int k = 0; k < problem->n_out; k++) total += guarded_size(hone_tensor_size(&problem->out[k]));
    if (!buffers->fetched) buffers->fetched = hone_alloc(HONE_GUARDS_MAX * (size_t)(HONE_GUARD_BYTES + ALIGNMENT));
    if (!buffers->pattern) buffers->pattern = hone_alloc(HONE_GUARD_BYTES + ALIGNMENT);
    if (!buffers->fetched || !buffers->pattern) return HONE_NO_MEMORY;
    memset(buffers->pattern, GUARD_BYTE, HONE_GUARD_BYTES + ALIGNMENT);
    hone_status status = grow(buffers, &buffers->arena, &buffers->arena_bytes, total);
    if (status != HONE_OK) return status;
    buffers->problem = *problem;
    buffers->n_guards = 0;
    buffers->workspace = NULL;
    buffers->workspace_bytes = 0;
    char *at = (char *)buffers->arena + HONE_GUARD_BYTES;
    add_guard(buffers, buffers->arena, HONE_GUARD_BYTES, "an operand");
    for (int k = 0; k < problem->n_operands; k++)
        buffers->operands[k] = place(buffers, &at, hone_tensor_size(&problem->operands[k]), k + 1 < problem->n_operands ? "an operand" : "an output");
    for (int k = 0; k < problem->n_out; k++)
        buffers->outputs[k] = place(buffers, &at, hone_tensor_size(&problem->out[k]), k + 1 < problem->n_out ? "an output" : "the end");
    buffers->n_fixed = buffers->n_guards;
    return HONE_OK;
}

hone_status hone_buffers_fill(hone_buffers *buffers, void *const *operands)
{
    const hone_device_api *api = buffers->device->api;
    hone_status status = HONE_OK;
    for (int k = 0; k < buffers->n_guards; k++)
        HONE_TRY(api->fill(buffers->device, NULL, buffers->guards[k].at, GUARD_BYTE, buffers->guards[k].size_bytes));
    for (int k = 0; k < buffers->problem.n_operands; k++)
        HONE_TRY(api->copy(buffers->device, NULL, buffers->operands[k], operands[k], hone_tensor_size(&buffers->problem.operands[k]), HONE_COPY_IN));
    status = api->sync(buffers->device, NULL);
out:
    return status;
}

hone_status hone_buffers_take_workspace(hone_buffers *buffers, size_t size_bytes)
{
    hone_status status = HONE_OK;
    buffers->n_guards = buffers->n_fixed;
    buffers->workspace = NULL;
    buffers->workspace_bytes = size_bytes;
    if (!size_bytes) return HONE_OK;
    HONE_TRY(grow(buffers, &buffers->scratch, &buffers->scratch_bytes, HONE_GUARD_BYTES + guarded_size(size_bytes)));
    char *at = (char *)buffers->scratch + HONE_GUARD_BYTES;
    add_guard(buffers, buffers->scratch, HONE_GUARD_BYTES, "the workspace");
    buffers->workspace = place(buffers, &at, size_bytes, "the end");
    for (int k = buffers->n_fixed; k < buffers->n_guards; k++)
        HONE_TRY(buffers->device->api->fill(buffers->device, NULL, buffers->guards[k].at, GUARD_BYTE, buffers->guards[k].size_bytes));
out:
    return status;
}

hone_status hone_buffers_poison(hone_buffers *buffers, uint8_t byte)
{
    const hone_device_api *api = buffers->device->api;
    hone_status status = HONE_OK;
    for (int k = 0; k < buffers->problem.n_out; k++)
        HONE_TRY(api->fill(buffers->device, NULL, buffers->outputs[k], byte, hone_tensor_size(&buffers->problem.out[k])));
    if (buffers->workspace) status = api->fill(buffers->device, NULL, buffers->workspace, byte, buffers->workspace_bytes);
out:
    return status;
}

// Whoever runs over its end breaks a guard's first byte, whoever starts too early only the last ones.
static const char *find_broken(const hone_buffers *buffers)
{
    const char *fetched = buffers->fetched;
    for (int k = 0; k < buffers->n_guards; fetched += buffers->guards[k++].size_bytes) {
        const hone_guard *guard = &buffers->guards[k];
        if (memcmp(fetched, buffers->pattern, guard->size_bytes)) return fetched[0] != (char)GUARD_BYTE ? guard->before : guard->behind;
    }
    return NULL;
}

hone_status hone_buffers_check(hone_buffers *buffers, const char **broken)
{
    const hone_device_api *api = buffers->device->api;
    char *to = buffers->fetched;
    hone_status status = HONE_OK;
    *broken = NULL;
    for (int k = 0; k < buffers->n_guards; to += buffers->guards[k++].size_bytes)
        HONE_TRY(api->copy(buffers->device, NULL, to, buffers->guards[k].at, buffers->guards[k].size_bytes, HONE_COPY_OUT));
    HONE_TRY(api->sync(buffers->device, NULL));
    *broken = find_broken(buffers);
out:
    return status;
}

hone_status hone_buffers_fetch(hone_buffers *buffers, void *const *outputs)
{
    const hone_device_api *api = buffers->device->api;
    hone_status status = HONE_OK;
    for (int k = 0; k < buffers->problem.n_out; k++)
        HONE_TRY(api->copy(buffers->device, NULL, outputs[k], buffers->outputs[k], hone_tensor_size(&buffers->problem.out[k]), HONE_COPY_OUT));
    status = api->sync(buffers->device, NULL);
out:
    return status;
}

void hone_buffers_clear(hone_buffers *buffers)
{
    if (buffers->arena) buffers->device->api->free(buffers->device, buffers->arena);
    if (buffers->scratch) buffers->device->api->free(buffers->device, buffers->scratch);
    hone_free(buffers->fetched);
    hone_free(buffers->pattern);
    *buffers = (hone_buffers){.device = buffers->device};
}
