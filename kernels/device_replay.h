// SPDX-License-Identifier: Apache-2.0
// Device "replay:FILE": what another device answered, played back. Its memory is the host's; its tactics (source "replay") are those that
// were recorded, with their verdicts as behaviour: what was right computes the reference, what crashed crashes, what was too late
// never ends. Times are the recorded samples, in order and then from the start again.
//
// The file is text, one line an entry, fields with a tab between:
//   # hone replay 1
//   device <tab> SPELLING
//   toolchain <tab> SPELLING
//   PROBLEM <tab> TACTIC <tab> VERDICT <tab> WORKSPACE_BYTES <tab> SAMPLE_NS,SAMPLE_NS,...
#ifndef HONE_KERNELS_DEVICE_REPLAY_H
#define HONE_KERNELS_DEVICE_REPLAY_H

#include "kernels/source.h"

typedef struct hone_recorded {
    const char *problem, *tactic, *verdict;
    int64_t workspace_bytes;
    const double *samples_ns;
    size_t n;
} hone_recorded;

// The records of a problem, sorted by tactic; 0 when there are none. Borrowed from the device.
size_t hone_replay_find(hone_device *device, const char *problem, const hone_recorded **first);
// The next recorded samples of a runnable of source "replay".
hone_status hone_replay_samples(hone_runnable *runnable, double *samples_ns, int n);

#endif
