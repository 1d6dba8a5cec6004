// SPDX-License-Identifier: Apache-2.0
// Tactic sources: ref, cpu, nvrtc, cublaslt, cudnn (and replay's). Each is a const object in its own file and a line in kernels/sources.c.
// Tactic's life: space -> tactic -> valid -> estimate -> compile -> prepare -> wake -> run -> sleep -> free.
#ifndef HONE_KERNELS_SOURCE_H
#define HONE_KERNELS_SOURCE_H

#include "kernels/device.h"
#include "kernels/problem.h"
#include "kernels/tactic.h"

#define HONE_RANGE_MAX 16
#define HONE_SUBSPACES_MAX 24
#define HONE_ARTIFACT_KEY 80

typedef struct hone_range {            // a parameter and its legal values
    char name[16];
    int n;
    int64_t values[HONE_RANGE_MAX];
} hone_range;

typedef struct hone_subspace {         // one kernel of a source: all combinations, filtered by `valid`
    char kernel[32];
    int version;
    int n;
    hone_range ranges[HONE_PARAMS_MAX];
} hone_subspace;

typedef struct hone_space {
    int n;
    hone_subspace subspaces[HONE_SUBSPACES_MAX];
    hone_tactic *points;               // points listed by a vendor library; the first is the library's default. Owned
    size_t n_points;
    size_t n_more_defaults;            // of the points behind the first: what the library would take given less workspace than all, as many programs do
    size_t wanted;                     // by who asks: a library need list no more points than that, and its defaults; 0: all
} hone_space;

void hone_space_clear(hone_space *space);

typedef struct hone_blob {
    void *data;                        // owned; hone_free
    size_t size_bytes;
    int registers;                     // per thread, -1 unknown
    int spill_bytes;
    int shared_bytes;                  // static
} hone_blob;

typedef struct hone_runnable hone_runnable;

typedef struct hone_link {             // how one run is tied to its neighbours in the stream
    // It stands directly behind a kernel in stream that was let know (no copy, no wait for another stream between); it may start before that one
    // has ended, and waits for it itself.
    bool follows;
    bool lets_next;                    // what comes next in stream is run with follows
    uint32_t constants;                // bit k: operand k is written by nobody as long as plans run (weights), so it may be read before that wait
} hone_link;

typedef struct hone_runnable_api {
    hone_status (*wake)(hone_runnable *runnable);        // loads code; may be called again after sleep
    // Enqueues on stream. Operands and outputs are device memory, 256-byte aligned, as the problem's tensors say. Never allocates,
    // never synchronises: safe inside a capture. workspace has runnable->workspace_bytes.
    hone_status (*run)(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace);
    void (*sleep)(hone_runnable *runnable);
    void (*free)(hone_runnable *runnable);
    // As run, of one kernel in a chain. NULL: run is all there is.
    hone_status (*chain)(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace, hone_link link);
} hone_runnable_api;

struct hone_runnable {                 // a source's own struct begins with it
    const hone_runnable_api *api;
    hone_device *device;               // borrowed
    size_t workspace_bytes;            // known after prepare
    bool starts_early;                 // worth running with follows
    int kernels;                       // device kernels launched by one run; 0 unknown
    // Runs may overlap on several streams and come from several threads, as long as they share no outputs and no workspace. A runnable that
    // keeps state of a run in itself (host buffers) says true here, and every slot prepares its own.
    bool exclusive;
};

typedef struct hone_footprint {             // what a tactic puts on the device, as far as is known before it is compiled
    double blocks, threads, shared_bytes, registers;       // registers: as the kernel's author reckons
    double resident;                   // blocks on a multiprocessor at once
    double macs, bytes, latency;       // of one block; latency in clocks
} hone_footprint;

typedef struct hone_source {
    const char *name;
    int version;
    const char *depends;               // names of the toolchain that its records rest on: "cublaslt driver"
    const char *devices;               // "cpu", "cuda", "cpu cuda"
    // Libraries that its tactics may open when a plan runs, themselves or through another, unless their compiled code is in the plan:
    // "cudnn cublaslt nvrtc". NULL: none.
    const char *opens;
    bool (*opens_none)(const hone_tactic *tactic);       // surely none of them. NULL: no tactic is that sure
    // HONE_OK when usable for this target (device may be NULL: without a GPU); otherwise HONE_DECLINED with the reason.
    hone_status (*probe)(const hone_target *target, hone_device *device);
    // Legal tactics of a problem; HONE_DECLINED is a normal answer. Vendor libraries need the device, others ignore it.
    hone_status (*space)(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space);
    // Re-checks a tactic that may come from a database, by all that needs no device.
    hone_status (*valid)(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target);
    // A rough time from sizes and ceilings, for ordering candidates and deadlines.
    double (*estimate_ns)(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target);
    // What making a candidate ready takes besides what every candidate does, ns: a library that compiles for each shape. NULL: nothing to speak of.
    double (*prepare_ns)(const hone_problem *problem);
    // What the estimate reckons with, for a ranking that learns (tuner/rank.h). NULL: nothing is known but the tactic's words.
    hone_status (*describe)(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_footprint *footprint);
    // The key under which compile's result may be cached: hash of everything it depends on. NULL: nothing to compile.
    hone_status (*key)(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, char key[HONE_ARTIFACT_KEY]);
    hone_status (*compile)(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_blob *artifact);   // no device; thread-safe
    hone_status (*prepare)(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable);   // artifact NULL where there is none; copied if kept
} hone_source;

extern const hone_source *const hone_sources[];
extern const int hone_source_count;
const hone_source *hone_source_find(const char *name);
const hone_source *hone_source_of(const char *spelling);       // of a tactic or a family, which begin with its name and a point; NULL: there is none
bool hone_source_serves(const hone_source *source, const char *device_kind);

// Generic enumeration over a space: calls back for every listed point, then every valid combination. A non-OK answer stops it.
hone_status hone_space_each(const hone_source *source, const hone_problem *problem, const hone_target *target, const hone_space *space,
                            hone_status (*each)(void *user, const hone_tactic *tactic), void *user);
// source.valid behind name, version and parameter checks: what a tactic read from a database must pass.
hone_status hone_tactic_check(const hone_tactic *tactic, const hone_problem *problem, const hone_target *target);

// Libraries that a tactic may open when a plan runs, as `opens` of its source; "" where its code is compiled already.
const char *hone_tactic_opens(const hone_tactic *tactic, bool is_compiled);
// Lists of them are words with a comma between: "cudnn,nvrtc".
bool hone_opens_any(const char *opens, const char *list);
void hone_opens_add(hone_text *list, const char *opens);         // what it lacks
hone_status hone_opens_check(const char *list);                  // HONE_USAGE at a word that no source has, with all that there are

// bytes / bandwidth of a target for a problem, in ns; and the shared roofline, max(flops / rate, that).
double hone_memory_ns(const hone_problem *problem, const hone_target *target);
double hone_roofline_ns(const hone_problem *problem, const hone_target *target);

#endif
