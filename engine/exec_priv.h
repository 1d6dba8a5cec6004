// SPDX-License-Identifier: Apache-2.0
// What engines, slots, verification and profiling share.
#ifndef HONE_ENGINE_EXEC_PRIV_H
#define HONE_ENGINE_EXEC_PRIV_H

#include <pthread.h>

#include "engine/exec.h"

#define HONE_STREAMS_MAX 16

// Event numbers of a device are few and belong to all who use it: a slot takes what it needs and gives it back. Those below
// HONE_EVENTS_FIRST are left to timers.
#define HONE_EVENTS_FIRST 64
#define HONE_EVENTS_END 1024

typedef struct hone_event_pool {
    pthread_mutex_t lock;
    unsigned char taken[HONE_EVENTS_END];
} hone_event_pool;

hone_status hone_event_pool_get(hone_device *device, hone_event_pool **pool);      // the device's one, made on first use
hone_status hone_event_take(hone_event_pool *pool, int *event);                    // HONE_AGAIN when all are in use
void hone_event_give(hone_event_pool *pool, int event);

typedef struct hone_scratch {      // what slots on one stream of the caller's share: they run one after the other
    hone_stream *stream;           // borrowed
    void *memory;                  // device memory: the plan's arena
    int slots;                     // that have it
    struct hone_scratch *next;
} hone_scratch;

struct hone_engine {
    const hone_plan *plan;         // borrowed
    hone_device *device;           // borrowed
    hone_event_pool *events;       // the device's
    void *weights;                 // one device allocation
    int64_t *weight_at;            // per weight: its offset
    int *alike;                    // per step: the first with the same problem and tactic, which owns the runnable
    hone_runnable **runnables;     // per step; NULL where runs must not overlap and each slot has its own
    pthread_mutex_t lock;          // of scratches
    hone_scratch *scratches;       // owned
};

// The runnable of a step, prepared and awake; the caller frees it.
hone_status hone_engine_prepare(const hone_engine *engine, int step, hone_runnable **runnable);
void hone_runnable_drop(hone_runnable *runnable);                                  // sleep and free; NULL is legal

// An arena for the slots on this stream, made for the first of them. Each gives it back once, when all that it enqueued is done; NULL is legal.
hone_status hone_scratch_take(hone_engine *engine, hone_stream *stream, hone_scratch **scratch);
void hone_scratch_give(hone_engine *engine, hone_scratch *scratch);

struct hone_exec {
    hone_engine *engine;           // borrowed
    char *arena;                   // device memory: all buffers and workspaces; of the scratch where there is one
    hone_scratch *scratch;         // NULL: the arena is this slot's own
    char *ports;                   // device memory: beside a scratch, the buffers of inputs and outputs; else NULL
    char **buffers;                // per buffer: where it lies
    int64_t *workspace_at;         // per step: offset in arena
    hone_runnable **own;           // per step: this slot's own runnable, or NULL
    int n_streams;
    hone_stream *streams[HONE_STREAMS_MAX];
    bool borrowed;                 // the first of them is the caller's
    int joins[HONE_STREAMS_MAX];   // per stream: the event at its end; that of stream 0 is the one at the beginning of all
    hone_link *links;              // per step: how it is tied to its neighbours in its stream
    int *events;                   // per step: the event recorded behind it, -1 if no other stream waits for it
    int *held;                     // events to give back
    int n_held;
    hone_captured *captured;       // NULL: direct launches
};

hone_status hone_exec_run_step(hone_exec *exec, int step, hone_stream *stream, hone_link link);     // enqueues one step, no waits

#endif
