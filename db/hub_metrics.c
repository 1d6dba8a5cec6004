// SPDX-License-Identifier: Apache-2.0
// What a hub tells Prometheus (text format 0.0.4; https://prometheus.io/docs/instrumenting/exposition_formats/): seconds, bytes, totals; labels
// of few values only, never a problem or a device.
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "db/hub_priv.h"
#include "db/inbox_priv.h"

static const struct { int64_t ns; const char *seconds; } buckets[HONE_HUB_BUCKETS] = {
    {1000000, "0.001"}, {5000000, "0.005"}, {10000000, "0.01"}, {20000000, "0.02"}, {50000000, "0.05"}, {100000000, "0.1"},
    {300000000, "0.3"}, {1000000000, "1"},
};

void hone_hub_count(hone_hub *hub, int operation, int code, int64_t duration_ns)
{
    hone_hub_counts *counts = &hub->counts[operation];
    atomic_fetch_add(&counts->codes[code >= 100 && code < 600 ? code / 100 : 0], 1);
    atomic_fetch_add(&counts->duration_us, duration_ns / 1000);
    for (int k = 0; k < HONE_HUB_BUCKETS; k++)
        if (duration_ns <= buckets[k].ns) atomic_fetch_add(&counts->within[k], 1);
}

static const char *name_of(int operation)
{
    return operation < hone_operation_count ? hone_operations[operation].name : "none";
}

static void print_requests(const hone_hub *hub, hone_text *out)
{
    static const char *const codes[6] = {"broken", "1xx", "2xx", "3xx", "4xx", "5xx"};
    hone_text_printf(out, "# HELP hone_hub_requests_total Requests by operation and kind of answer.\n# TYPE hone_hub_requests_total counter\n");
    for (int k = 0; k <= hone_operation_count; k++)
        for (int c = 0; c < 6; c++) {
            int64_t count = atomic_load(&hub->counts[k].codes[c]);
            if (count) hone_text_printf(out, "hone_hub_requests_total{operation=\"%s\",code=\"%s\"} %" PRId64 "\n", name_of(k), codes[c], count);
        }
}

static void print_durations(const hone_hub *hub, hone_text *out)
{
    hone_text_printf(out, "# HELP hone_hub_request_seconds From a request's head to its answer sent.\n# TYPE hone_hub_request_seconds histogram\n");
    for (int k = 0; k <= hone_operation_count; k++) {
        const hone_hub_counts *counts = &hub->counts[k];
        int64_t all = 0;
        for (int c = 0; c < 6; c++) all += atomic_load(&counts->codes[c]);
        if (!all) continue;
        for (int b = 0; b < HONE_HUB_BUCKETS; b++)
            hone_text_printf(out, "hone_hub_request_seconds_bucket{operation=\"%s\",le=\"%s\"} %lld\n", name_of(k), buckets[b].seconds, atomic_load(&counts->within[b]));
        hone_text_printf(out, "hone_hub_request_seconds_bucket{operation=\"%s\",le=\"+Inf\"} %" PRId64 "\n"
                         "hone_hub_request_seconds_sum{operation=\"%s\"} %.6f\nhone_hub_request_seconds_count{operation=\"%s\"} %" PRId64 "\n", name_of(k), all,
                         name_of(k), (double)atomic_load(&counts->duration_us) / 1e6, name_of(k), all);
    }
}

// *own: without what lies in files, such as the program, which the system takes back when it wants to.
static int64_t resident_bytes(int64_t *own)
{
    long long pages = 0, in_files = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*d %lld %lld", &pages, &in_files) != 2) pages = in_files = 0;
    if (file) fclose(file);
    *own = (pages - in_files) * sysconf(_SC_PAGESIZE);
    return pages * sysconf(_SC_PAGESIZE);
}

hone_status hone_hub_metrics(hone_hub_call *call, hone_text *out)
{
    hone_hub *hub = call->hub;
    int64_t own_bytes, all_bytes = resident_bytes(&own_bytes);
    const struct { const char *name, *type, *what; int64_t value; } values[] = {
        {"hone_hub_rows_added_total", "counter", "Rows that were new.", atomic_load(&hub->rows)},
        {"hone_hub_batches_added_total", "counter", "Batches whose rows count.", atomic_load(&hub->fates[HONE_BATCH_ADDED])},
        {"hone_hub_batches_known_total", "counter", "Batches that were there already.", atomic_load(&hub->fates[HONE_BATCH_KNOWN])},
        {"hone_hub_batches_quarantined_total", "counter", "Batches of writers who are not trusted.", atomic_load(&hub->fates[HONE_BATCH_QUARANTINED])},
        {"hone_hub_commits_total", "counter", "Commits to the tables, each of many batches.", atomic_load(&hub->commits)},
        {"hone_hub_inbox_bytes", "gauge", "Acknowledged and not in the tables yet.", hub->inbox ? hone_inbox_bytes(hub->inbox) : 0},
        {"hone_hub_refused_total", "counter", "Requests answered with 429 because too much waited.", atomic_load(&hub->refused)},
        {"hone_hub_cache_hits_total", "counter", "Questions answered from memory.", atomic_load(&hub->hits)},
        {"hone_hub_cache_misses_total", "counter", "Questions that memory had no answer to.", atomic_load(&hub->misses)},
        {"hone_hub_cache_bytes", "gauge", "Answers in memory.", (int64_t)hone_cache_bytes(hub->cache)},
        {"hone_hub_questions_waiting", "gauge", "Questions that wait.", hone_hub_queue_count(&hub->questions)},
        {"hone_hub_batches_waiting", "gauge", "Batches that wait, and questions that must see them.",
         hone_hub_queue_count(&hub->uploads) + hone_hub_queue_count(&hub->batches)},
        {"hone_hub_database_up", "gauge", "0 while the hub has lost touch with PostgreSQL.", !hone_hub_is_behind(hub)},
        {"hone_hub_start_time_seconds", "gauge", "When the hub began, in seconds since 1970.", hub->start_unix_ms / 1000},
        {"hone_hub_memory_bytes", "gauge", "Memory in use, without what lies in files.", own_bytes},
        {"process_resident_memory_bytes", "gauge", "Memory in use.", all_bytes},
    };
    for (size_t k = 0; k < sizeof values / sizeof *values; k++)
        hone_text_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", values[k].name, values[k].what, values[k].name, values[k].type,
                         values[k].name, values[k].value);
    print_requests(hub, out);
    print_durations(hub, out);
    return HONE_OK;
}
