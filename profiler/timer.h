// SPDX-License-Identifier: Apache-2.0
// Timers: how long one run of a prepared tactic takes on its device. Each timer is a const object in its
// own file and a line in profiler/timers.c, in order of preference: cupti, event (cuda), cpu.
//
// A measurement allocates what it needs (an eviction buffer kept with the device) outside the timed
// region, enqueues on the request's stream and has synchronised it when it returns. A sample is the span
// from the start of the first kernel of one run to the end of its last one, in ns. Lost or doubtful
// samples are an error (HONE_AGAIN), never a number. One measurement at a time in a process.
#ifndef HONE_PROFILER_TIMER_H
#define HONE_PROFILER_TIMER_H

#include "kernels/device.h"
#include "kernels/source.h"

typedef struct hone_timing_request {
    hone_device *device;
    hone_stream *stream;                    // NULL: the device's default stream
    hone_runnable *runnable;                // awake; everything here is borrowed
    void *const *const *operand_sets;       // n_sets lists of operands, and of outputs
    void *const *const *output_sets;
    int n_sets;                             // cold: sample k uses set k % n_sets. Warm: set 0
    void *workspace;                        // runnable->workspace_bytes; NULL when 0
    hone_captured *captured;                // not NULL: each sample is one replay of it, and the six fields above are ignored
    int warmups;                            // untimed runs before the first sample
    int samples;                            // 1..HONE_TIMING_SAMPLES_MAX
    bool cold;                              // the last-level cache is overwritten before every sample
} hone_timing_request;

#define HONE_TIMING_SAMPLES_MAX 1000000

typedef struct hone_timer {
    const char *name;                       // as measurements record it
    const char *device;                     // the device kind it serves
    // HONE_OK, or HONE_DECLINED with the reason and the way out. Cheap after the first call.
    hone_status (*probe)(hone_device *device);
    hone_status (*measure)(const hone_timing_request *request, double *samples_ns);    // request->samples of them
} hone_timer;

extern const hone_timer *const hone_timers[];
extern const int hone_timer_count;

const hone_timer *hone_timer_find(const char *name);                // NULL if unknown
// The first timer that can serve the device; NULL with the reasons recorded when there is none.
const hone_timer *hone_timer_choose(hone_device *device);
// Checks the request, then measures. The failures of the tactic itself come back as run returned them.
hone_status hone_timer_measure(const hone_timer *timer, const hone_timing_request *request, double *samples_ns);

// One untimed run of what the request describes, with operand set `set`: shared by timers.
hone_status hone_timing_run(const hone_timing_request *request, int set);
// Overwrites the device's last-level cache in stream order (on the CPU: at once).
hone_status hone_timing_evict(hone_device *device, hone_stream *stream);

// What ran on the GPU while body ran: one entry a kernel, in order of start. cuda with CUPTI only (HONE_DECLINED otherwise).
typedef struct hone_trace_entry {
    char name[160];
    int64_t start_ns, end_ns;
    uint64_t node;                          // of the captured graph that it belongs to; 0 outside graphs
    uint32_t stream;
    int registers, shared_bytes;            // a thread; a block, static and dynamic
    unsigned grid[3], block[3];
} hone_trace_entry;

hone_status hone_trace_kernels(hone_device *device, hone_stream *stream, hone_status (*body)(void *user), void *user,
                               hone_trace_entry **entries, size_t *count);        // *entries: caller frees with hone_free

#endif
