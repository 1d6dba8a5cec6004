// SPDX-License-Identifier: Apache-2.0
// A slot. Lanes become streams: what crosses from one to another goes over events, and everything begins and ends on stream 0, so
// that one inference is ordered behind the one before it and a capture of stream 0 holds them all.
#include "engine/exec.h"

#include <string.h>

#include "base/alloc.h"
#include "engine/assemble_priv.h"
#include "engine/exec_priv.h"

#define ALIGN 256

// ---- running

static hone_stream *stream_of(const hone_exec *exec, int step)
{
    return exec->streams[exec->engine->plan->steps[step].lane % exec->n_streams];
}

static void *slot_memory(const hone_exec *exec, const hone_slot *slot)
{
    if (slot->kind == HONE_SLOT_WEIGHT) return (char *)exec->engine->weights + exec->engine->weight_at[slot->index];
    return exec->buffers[slot->index];
}

static hone_runnable *runnable_of(const hone_exec *exec, int step)
{
    return exec->own[step] ? exec->own[step] : exec->engine->runnables[step];
}

hone_status hone_exec_run_step(hone_exec *exec, int number, hone_stream *stream, hone_link link)
{
    const hone_plan_step *step = &exec->engine->plan->steps[number];
    void *operands[HONE_OPERANDS_MAX] = {NULL}, *outputs[HONE_OUTPUTS_MAX] = {NULL}, *workspace = exec->arena + exec->workspace_at[number];
    for (int k = 0; k < step->n_operands; k++) operands[k] = slot_memory(exec, &step->operands[k]);
    for (int k = 0; k < step->n_outputs; k++) outputs[k] = slot_memory(exec, &step->outputs[k]);
    hone_runnable *runnable = runnable_of(exec, number);
    hone_status status = link.follows || link.lets_next
        ? runnable->api->chain(runnable, stream, operands, outputs, workspace, link)
        : runnable->api->run(runnable, stream, operands, outputs, workspace);
    return status == HONE_OK ? HONE_OK : hone_fail_in(status, "step %s", step->name);
}

static hone_status fork_streams(hone_exec *exec)
{
    hone_device *device = exec->engine->device;
    hone_status status = HONE_OK;
    if (exec->n_streams > 1) HONE_TRY(device->api->record(device, exec->streams[0], exec->joins[0]));
    for (int k = 1; k < exec->n_streams; k++) HONE_TRY(device->api->wait(device, exec->streams[k], exec->joins[0]));
out:
    return status;
}

static hone_status join_streams(hone_exec *exec)
{
    hone_device *device = exec->engine->device;
    hone_status status = HONE_OK;
    for (int k = 1; k < exec->n_streams; k++) {
        HONE_TRY(device->api->record(device, exec->streams[k], exec->joins[k]));
        HONE_TRY(device->api->wait(device, exec->streams[0], exec->joins[k]));
    }
out:
    return status;
}

static hone_status enqueue(hone_exec *exec)
{
    const hone_plan *plan = exec->engine->plan;
    hone_device *device = exec->engine->device;
    hone_status status;
    HONE_TRY(fork_streams(exec));
    for (int s = 0; s < plan->n_steps; s++) {
        hone_stream *stream = stream_of(exec, s);
        for (int k = 0; k < plan->steps[s].n_waits; k++) {
            int p = plan->steps[s].waits[k];
            if (stream_of(exec, p) != stream) HONE_TRY(device->api->wait(device, stream, exec->events[p]));
        }
        HONE_TRY(hone_exec_run_step(exec, s, stream, exec->links[s]));
        if (exec->events[s] >= 0) HONE_TRY(device->api->record(device, stream, exec->events[s]));
    }
    status = join_streams(exec);
out:
    return status;
}

hone_status hone_exec_start(hone_exec *exec)
{
    hone_device *device = exec->engine->device;
    if (exec->captured) return device->api->replay(device, exec->streams[0], exec->captured, false);
    return enqueue(exec);
}

// A failure stays with the stream it happened on, so all are asked.
hone_status hone_exec_sync(hone_exec *exec)
{
    hone_device *device = exec->engine->device;
    hone_status status = device->api->sync(device, exec->streams[0]);
    for (int k = 1; k < exec->n_streams && !exec->captured; k++) {
        hone_status other = device->api->sync(device, exec->streams[k]);
        if (status == HONE_OK) status = other;
    }
    return status;
}

// ---- ports

static hone_status check_port(const hone_port *ports, int n, int port, size_t size_bytes)
{
    if (port < 0 || port >= n) return hone_fail(HONE_USAGE, "there is no port %d, only %d", port, n);
    size_t want = hone_tensor_size(&ports[port].tensor);
    if (size_bytes == want) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s takes %zu bytes, not %zu", ports[port].name, want, size_bytes);
}

hone_status hone_exec_set_input(hone_exec *exec, int port, const void *data, size_t size_bytes)
{
    const hone_plan *plan = exec->engine->plan;
    hone_device *device = exec->engine->device;
    hone_status status = check_port(plan->inputs, plan->n_inputs, port, size_bytes);
    if (status != HONE_OK) return status;
    return device->api->copy(device, exec->streams[0], exec->buffers[plan->inputs[port].buffer], data, size_bytes, HONE_COPY_IN);
}

static hone_status copy_out(hone_exec *exec, int buffer, void *data, size_t size_bytes)
{
    hone_device *device = exec->engine->device;
    hone_status status = device->api->copy(device, exec->streams[0], data, exec->buffers[buffer], size_bytes, HONE_COPY_OUT);
    return status == HONE_OK ? device->api->sync(device, exec->streams[0]) : status;
}

hone_status hone_exec_get_output(hone_exec *exec, int port, void *data, size_t size_bytes)
{
    const hone_plan *plan = exec->engine->plan;
    hone_status status = check_port(plan->outputs, plan->n_outputs, port, size_bytes);
    return status == HONE_OK ? copy_out(exec, plan->outputs[port].buffer, data, size_bytes) : status;
}

hone_status hone_exec_read(hone_exec *exec, int buffer, hone_array *array)
{
    const hone_plan *plan = exec->engine->plan;
    if (buffer < 0 || buffer >= plan->n_buffers) return hone_fail(HONE_USAGE, "there is no buffer %d", buffer);
    const hone_tensor *tensor = &plan->buffers[buffer].tensor;
    void *data = hone_alloc(hone_tensor_size(tensor) + 1);
    if (!data) return HONE_NO_MEMORY;
    hone_status status = copy_out(exec, buffer, data, hone_tensor_size(tensor));
    if (status == HONE_OK) status = hone_array_init(array, tensor);
    if (status == HONE_OK) hone_array_unpack(array, tensor, data, 1);
    hone_free(data);
    return status;
}

// ---- making

static int64_t round_up(int64_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

// Every value kept: one behind the other, workspaces behind them all. Offsets go to at.
static int64_t place_apart(hone_exec *exec, int64_t *at)
{
    const hone_plan *plan = exec->engine->plan;
    int64_t end = 0, workspace = 0;
    for (int b = 0; b < plan->n_buffers; b++) {
        const hone_buffer *buffer = &plan->buffers[b];
        at[b] = buffer->alias >= 0 ? at[buffer->alias] : end;
        if (buffer->alias < 0) end += round_up(buffer->size_bytes);
    }
    for (int s = 0; s < plan->n_steps; s++) {
        exec->workspace_at[s] = end;
        if (plan->steps[s].workspace_bytes > workspace) workspace = plan->steps[s].workspace_bytes;
    }
    return end + workspace;
}

static int64_t place_as_planned(hone_exec *exec, int64_t *at)
{
    const hone_plan *plan = exec->engine->plan;
    for (int b = 0; b < plan->n_buffers; b++) at[b] = plan->buffers[b].offset_bytes;
    for (int s = 0; s < plan->n_steps; s++) exec->workspace_at[s] = plan->steps[s].workspace_offset_bytes;
    return plan->arena_bytes;
}

static int root_of_port(const hone_plan *plan, int k)
{
    return hone_plan_root(plan, k < plan->n_inputs ? plan->inputs[k].buffer : plan->outputs[k - plan->n_inputs].buffer);
}

// What is seen from outside must outlast the next slot's run in the same scratch.
static hone_status set_ports_apart(hone_exec *exec)
{
    const hone_plan *plan = exec->engine->plan;
    hone_device *device = exec->engine->device;
    int64_t bytes = 0;
    void *memory = NULL;
    for (int k = 0; k < plan->n_inputs + plan->n_outputs; k++) bytes += round_up(plan->buffers[root_of_port(plan, k)].size_bytes);
    if (bytes <= 0) bytes = ALIGN;
    hone_status status = device->api->alloc(device, (size_t)bytes, &memory);
    if (status != HONE_OK) return status;
    exec->ports = memory;
    char *end = memory;
    for (int k = 0; k < plan->n_inputs + plan->n_outputs; k++) {
        const int root = root_of_port(plan, k);
        exec->buffers[root] = end;
        end += round_up(plan->buffers[root].size_bytes);
    }
    for (int b = 0; b < plan->n_buffers; b++) exec->buffers[b] = exec->buffers[hone_plan_root(plan, b)];
    return device->api->fill(device, exec->streams[0], memory, 0, (size_t)bytes);
}

// Memory of the slot's own, or on the caller's stream that of all slots there; then where everything lies in it. Launched step by step by several
// threads, inferences on one stream would mix: then each slot has its own.
static hone_status lay(hone_exec *exec, const hone_exec_options *options, bool keep)
{
    const hone_plan *plan = exec->engine->plan;
    hone_device *device = exec->engine->device;
    hone_status status = HONE_NO_MEMORY;
    void *arena = NULL;
    int64_t *at = hone_calloc((size_t)plan->n_buffers + 1, sizeof *at);
    if (!at) goto out;
    int64_t bytes = keep ? place_apart(exec, at) : place_as_planned(exec, at);
    if (bytes <= 0) bytes = ALIGN;
    if (exec->borrowed && !options->no_graph) HONE_TRY(hone_scratch_take(exec->engine, exec->streams[0], &exec->scratch));
    else HONE_TRY(device->api->alloc(device, (size_t)bytes, &arena));
    exec->arena = exec->scratch ? exec->scratch->memory : arena;
    HONE_TRY(device->api->fill(device, exec->streams[0], exec->arena, 0, (size_t)bytes));
    for (int b = 0; b < plan->n_buffers; b++) exec->buffers[b] = exec->arena + at[b];
    if (exec->scratch) status = set_ports_apart(exec);
out:
    hone_free(at);
    return status;
}

static hone_status take_event(hone_exec *exec, int *event)
{
    hone_status status = hone_event_take(exec->engine->events, event);
    if (status == HONE_OK) exec->held[exec->n_held++] = *event;
    return status;
}

// An event is used again once its last waiter has been enqueued, but always on the same stream: records on two streams have no order.
static hone_status assign_events(hone_exec *exec)
{
    const hone_plan *plan = exec->engine->plan;
    hone_status status = HONE_OK;
    int *last = hone_alloc(((size_t)plan->n_steps + 1) * sizeof *last);      // the last step that waits for this one on another stream
    int *spare = hone_alloc(((size_t)plan->n_steps + 1) * sizeof *spare);    // steps whose event is free again
    int n_spare = 0;
    if (!last || !spare) status = HONE_NO_MEMORY;
    for (int s = 0; s < plan->n_steps && status == HONE_OK; s++) {
        last[s] = exec->events[s] = -1;
        for (int k = 0; k < plan->steps[s].n_waits; k++)
            if (stream_of(exec, plan->steps[s].waits[k]) != stream_of(exec, s)) last[plan->steps[s].waits[k]] = s;
    }
    for (int s = 0; s < plan->n_steps && status == HONE_OK; s++) {
        for (int k = 0; k < plan->steps[s].n_waits; k++) {
            int p = plan->steps[s].waits[k];
            if (last[p] == s) spare[n_spare++] = p, last[p] = -1;
        }
        for (int k = 0; k < n_spare && last[s] >= 0 && exec->events[s] < 0; k++) {
            if (stream_of(exec, spare[k]) != stream_of(exec, s)) continue;
            exec->events[s] = exec->events[spare[k]];
            spare[k] = spare[--n_spare];
        }
        if (last[s] >= 0 && exec->events[s] < 0) status = take_event(exec, &exec->events[s]);
    }
    hone_free(last);
    hone_free(spare);
    return status;
}

static hone_status make_streams(hone_exec *exec, const hone_exec_options *options)
{
    hone_device *device = exec->engine->device;
    hone_status status = HONE_OK;
    int lanes = options->lanes, wanted = lanes > 0 && lanes < exec->engine->plan->lanes ? lanes : exec->engine->plan->lanes;
    if (wanted > HONE_STREAMS_MAX) wanted = HONE_STREAMS_MAX;
    exec->borrowed = options->stream;
    if (exec->borrowed) exec->streams[exec->n_streams++] = options->stream;
    for (; exec->n_streams < wanted; exec->n_streams++) HONE_TRY(device->api->stream(device, &exec->streams[exec->n_streams], true));
    for (int k = 0; k < HONE_STREAMS_MAX; k++) exec->joins[k] = -1;
    for (int k = 0; k < wanted && wanted > 1; k++) HONE_TRY(take_event(exec, &exec->joins[k]));
    status = assign_events(exec);
out:
    return status;
}

static hone_status make_own(hone_exec *exec)
{
    hone_status status = HONE_OK;
    for (int s = 0; s < exec->engine->plan->n_steps && status == HONE_OK; s++)
        if (!exec->engine->runnables[s]) status = hone_engine_prepare(exec->engine, s, &exec->own[s]);
    return status;
}

// A step follows its predecessor on the stream early where it can, where that can let it in, and where nothing else stands between: a wait for
// another stream is a second dependency, which a programmatic edge does not carry. The first step of a stream stands behind whatever the
// caller did. Nothing else has to be planned for this: a kernel that follows touches no memory before its predecessor is complete
// (hone.cuh), so buffers and workspaces are used again in the same order, and an event recorded behind it waits for all of it.
static bool may_follow(const hone_exec *exec, int step, int before)
{
    const hone_plan_step *s = &exec->engine->plan->steps[step];
    if (before < 0 || !runnable_of(exec, before)->api->chain || !runnable_of(exec, step)->api->chain) return false;
    for (int k = 0; k < s->n_waits; k++)
        if (stream_of(exec, s->waits[k]) != stream_of(exec, step)) return false;
    return runnable_of(exec, step)->starts_early;
}

// Weights were written before the engine was there for anybody to run. All else that a step reads, results of other steps and the
// caller's inputs, is not there before the kernel ahead has ended, for all that the step knows.
static uint32_t constants_of(const hone_plan_step *step)
{
    uint32_t constants = 0;
    for (int k = 0; k < step->n_operands; k++)
        if (step->operands[k].kind == HONE_SLOT_WEIGHT) constants |= (uint32_t)1 << k;
    return constants;
}

static void link_steps(hone_exec *exec)
{
    for (int s = 0; s < exec->engine->plan->n_steps; s++) {
        int before = s - 1;
        while (before >= 0 && stream_of(exec, before) != stream_of(exec, s)) before--;
        if (!may_follow(exec, s, before)) continue;
        exec->links[s].follows = true;
        exec->links[s].constants = constants_of(&exec->engine->plan->steps[s]);
        exec->links[before].lets_next = true;
    }
}

// The run before the capture loads lazily loaded code, which must not happen inside.
static hone_status capture(hone_exec *exec)
{
    hone_device *device = exec->engine->device;
    hone_status status = device->api->capture(device, exec->streams[0], true, NULL);
    if (status == HONE_DECLINED) return HONE_OK;
    if (status != HONE_OK) return status;
    hone_status inside = enqueue(exec);
    status = device->api->capture(device, exec->streams[0], false, &exec->captured);
    if (inside == HONE_OK && status == HONE_OK) return HONE_OK;
    return hone_fail_in(inside == HONE_OK ? status : inside, "cannot capture the plan as a graph (--no-graph launches directly)");
}

static hone_status warm_up(hone_exec *exec)
{
    hone_status status = enqueue(exec);
    return status == HONE_OK ? hone_exec_sync(exec) : status;
}

static hone_status make(hone_engine *engine, const hone_exec_options *options, bool keep, hone_exec **exec)
{
    const hone_plan *plan = engine->plan;
    hone_status status = HONE_NO_MEMORY;
    hone_exec *made = hone_calloc(1, sizeof *made);
    if (!made) return status;
    made->engine = engine;
    made->buffers = hone_calloc((size_t)plan->n_buffers + 1, sizeof *made->buffers);
    made->workspace_at = hone_calloc((size_t)plan->n_steps + 1, sizeof *made->workspace_at);
    made->own = hone_calloc((size_t)plan->n_steps + 1, sizeof(hone_runnable *));
    made->links = hone_calloc((size_t)plan->n_steps + 1, sizeof *made->links);
    made->events = hone_calloc((size_t)plan->n_steps + 1, sizeof *made->events);
    made->held = hone_calloc((size_t)plan->n_steps + HONE_STREAMS_MAX, sizeof *made->held);
    if (!made->buffers || !made->workspace_at || !made->own || !made->links || !made->events || !made->held) goto out;
    HONE_TRY(make_streams(made, options));
    HONE_TRY(lay(made, options, keep));
    HONE_TRY(make_own(made));
    if (!options->no_dependent) link_steps(made);
    HONE_TRY(warm_up(made));
    if (!options->no_graph) HONE_TRY(capture(made));
    *exec = made;
    made = NULL;
out:
    hone_exec_free(made);
    return status;
}

hone_status hone_exec_new(hone_engine *engine, const hone_exec_options *options, hone_exec **exec)
{
    return make(engine, options ? options : &(hone_exec_options){0}, false, exec);
}

hone_status hone_exec_keep(hone_engine *engine, hone_exec **exec)
{
    return make(engine, &(hone_exec_options){.lanes = 1, .no_graph = true, .no_dependent = true}, true, exec);
}

void hone_exec_free(hone_exec *exec)
{
    if (!exec) return;
    hone_device *device = exec->engine->device;
    for (int k = 0; k < exec->n_streams; k++) (void)device->api->sync(device, exec->streams[k]);
    if (exec->captured) (void)device->api->replay(device, exec->streams[0], exec->captured, true);
    for (int s = 0; exec->own && s < exec->engine->plan->n_steps; s++) hone_runnable_drop(exec->own[s]);
    for (int k = exec->borrowed; k < exec->n_streams; k++) (void)device->api->stream(device, &exec->streams[k], false);
    for (int k = 0; k < exec->n_held; k++) hone_event_give(exec->engine->events, exec->held[k]);
    if (exec->ports) device->api->free(device, exec->ports);
    if (exec->arena && !exec->scratch) device->api->free(device, exec->arena);
    hone_scratch_give(exec->engine, exec->scratch);
    hone_free(exec->held);
    hone_free(exec->events);
    hone_free(exec->links);
    hone_free(exec->own);
    hone_free(exec->workspace_at);
    hone_free(exec->buffers);
    hone_free(exec);
}
