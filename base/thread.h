// SPDX-License-Identifier: Apache-2.0
// A small pool for data-parallel loops. The pool is shared by a process and grows to what was asked for.
#ifndef HONE_BASE_THREAD_H
#define HONE_BASE_THREAD_H

#include <stdint.h>

// Runs body(user, begin, end, worker) over [0, count) in pieces of at most `grain`, on at most `threads` threads, and
// returns when all are done. worker is 0..threads-1. Nested calls run in the caller. threads <= 1 runs inline.
void hone_parallel(int64_t count, int64_t grain, int threads,
                   void (*body)(void *user, int64_t begin, int64_t end, int worker), void *user);

int hone_cpu_count(void);             // usable CPUs of this process (affinity and cgroup)

#endif
