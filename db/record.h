// SPDX-License-Identifier: Apache-2.0
// What is remembered, as plain values. db/ knows no tensors: problems, tactics, devices and toolchains are
// their canonical spellings (docs/spelling.md). Strings are borrowed from the caller, or, in callbacks, from the store.
#ifndef HONE_DB_RECORD_H
#define HONE_DB_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#define HONE_SAMPLES_MAX 4096

// Under this problem and mode lies the launch gap of a device: between two nodes of a captured graph (docs/tuning.md).
#define HONE_GAP_PROBLEM "identity x=f32:32"
#define HONE_GAP_MODE "graph gap"

// A candidate's failure is a result (law 4).
typedef enum hone_verdict {
    HONE_VERDICT_OK,
    HONE_VERDICT_UNSUPPORTED,     // the source or library refuses it on this device
    HONE_VERDICT_WORKSPACE,       // needs more scratch memory than allowed
    HONE_VERDICT_COMPILE,         // does not compile
    HONE_VERDICT_LAUNCH,          // the device refused or aborted it
    HONE_VERDICT_TIMEOUT,         // beyond its deadline
    HONE_VERDICT_CRASH,           // killed its worker
    HONE_VERDICT_WRONG,           // off the reference, or wrote outside its buffers
    HONE_VERDICT_UNSTABLE,        // run to run different
    HONE_VERDICT_COUNT
} hone_verdict;

const char *hone_verdict_name(hone_verdict verdict);               // "ok", "unsupported", ...
int hone_verdict_parse(const char *name, hone_verdict *verdict);   // 0, or -1 when there is no such word

typedef struct hone_run {          // one tuning session; its id hashes all fields but private_*
    int64_t start_unix_ms;
    const char *options;           // the command's options as text
    uint64_t seed;
    const char *effort;            // lookup, estimate, quick, full, exhaustive
    const char *writer;            // writer's key, hex, or "local"
    int64_t sequence;
    const char *private_host;      // kept in run_private, outside every id
    const char *private_gpu_uuid;
} hone_run;

typedef struct hone_measurement {  // immutable; its id hashes every field and the samples
    hone_id run;
    const char *device;            // spelling
    const char *toolchain;         // spelling: the version of each library
    const char *depends;           // the part of the toolchain that this record rests on, "" if none
    const char *problem;           // spelling
    const char *tactic;            // spelling
    const char *mode;              // "single cold", "single warm", "graph cold", or "plan DIGEST"
    hone_verdict verdict;
    const char *timer;             // "cupti", "event", "cpu", "replay"; "" without a time
    double median_ns, mad_ns, min_ns;
    int64_t workspace_bytes;
    double error;                  // ||out - ref|| / ||ref||, -1 when not verified
    double clock_mhz, temperature_c, power_w;   // around the burst; -1 unknown
    const char *throttle;          // NVML's reasons as words, "" none
    int64_t registers;             // per thread; -1 unknown
    const char *artifact;          // key of what was compiled, "" if nothing
    const char *note;              // the device's or library's own words
    const double *samples_ns;      // all raw samples in the order taken
    size_t sample_count;
} hone_measurement;

typedef struct hone_coverage {     // "this source was tried on this problem, here, at this effort"; immutable
    const char *device;
    const char *depends;
    const char *problem;
    const char *source;            // "nvrtc"
    int version;
    const char *effort;
    int64_t tried;                 // candidates
} hone_coverage;

// After an upgrade: what a sample says of all records of one family that rest on the versions before.
typedef enum hone_recheck_decision {
    HONE_RECHECK_KEEP,             // they take as long now
    HONE_RECHECK_RESCALE,          // all of them take `scale` times as long now
    HONE_RECHECK_APART,            // they moved apart, and none failed: one counts only where nothing else does, at `scale` times its time
    HONE_RECHECK_RETIME,           // only what is timed again counts
    HONE_RECHECK_DECISIONS
} hone_recheck_decision;

const char *hone_recheck_name(hone_recheck_decision decision);     // "keep", "rescale", "apart", "retime"

typedef struct hone_recheck {      // immutable; of several on one family and the same versions the latest run's counts
    hone_id run;
    const char *device;            // spelling
    const char *family;            // "cudnn.conv conv f16": source and kernel, first op, type of its first operand
    const char *depends;           // versions before: the family's records that name these
    const char *now;               // versions since: for a toolchain that has them
    const char *mode;
    hone_recheck_decision decision;
    double scale;                  // what times are multiplied by; 1 when kept
    double low, high;              // 95% interval of the middle of what the sample's times were multiplied by
    int64_t timed;                 // how many of the family's records were timed under both
} hone_recheck;

// One line of a ranking: the median of the medians of all evidence for a tactic in a mode, tied or not.
typedef struct hone_ranked {
    const char *tactic;
    double median_ns;              // robust over measurements
    double low_ns, high_ns;        // 95% interval of the median over all samples, from order statistics
    int64_t workspace_bytes;
    int64_t measurements;
    double rescaled;               // 0 as measured; else a recheck speaks for times of other versions: what they were multiplied by
    int staleness;                 // 0 same device and dependencies; 1 other toolchain (stale); 2 other model of the architecture (approximate)
    int tied;                      // with the first line: within 0.5%, or the intervals overlap; 0 for the first itself and for other kinds of staleness
    hone_id evidence;              // the measurement that stands for it
    const char *artifact;          // its compiled artifact's key, "" if none
    const char *depends;
    const char *mode;
} hone_ranked;

#endif
