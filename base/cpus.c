// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/thread.h"

enum { MOST_CPUS = 8192 };

static int count_affinity(void)
{
    cpu_set_t *set = CPU_ALLOC(MOST_CPUS);
    size_t size_bytes = CPU_ALLOC_SIZE(MOST_CPUS);
    int count = 1;
    if (set && !sched_getaffinity(0, size_bytes, set)) count = CPU_COUNT_S(size_bytes, set);
    CPU_FREE(set);
    return count > 0 ? count : 1;
}

// The limit in one group's cpu.max ("200000 100000" or "max 100000"), rounded up; `most` if there is none.
static int read_quota(const char *folder, int most)
{
    char path[4096 + 64];
    char *text = NULL;
    size_t size_bytes;
    long long quota, period;
    int limit = most;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
    if (!hone_path_exists(path) || hone_file_read(path, 256, &text, &size_bytes)) return most;
    if (sscanf(text, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0 && quota < most * period)
        limit = (int)((quota + period - 1) / period);
    hone_free(text);
    return limit;
}

// The own group and its parents may each set a limit.
static int count_cgroup(int most)
{
    char *text = NULL;
    size_t size_bytes;
    char group[4096] = "";
    if (!hone_path_exists("/proc/self/cgroup") || hone_file_read("/proc/self/cgroup", 65536, &text, &size_bytes)) return most;
    const char *line = !strncmp(text, "0::", 3) ? text : strstr(text, "\n0::");
    if (line) sscanf(strstr(line, "0::") + 3, "%4095[^\n]", group);
    hone_free(text);
    for (char *slash; (slash = strrchr(group, '/')); *slash = 0) {
        int limit = slash[1] ? read_quota(group, most) : most;
        if (limit < most) most = limit;
    }
    return read_quota("", most);
}

int hone_cpu_count(void)
{
    static _Atomic int known;
    int count = atomic_load_explicit(&known, memory_order_relaxed);
    if (count) return count;
    count = count_cgroup(count_affinity());
    atomic_store_explicit(&known, count, memory_order_relaxed);
    return count;
}
