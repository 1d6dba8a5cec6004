// SPDX-License-Identifier: Apache-2.0
// resweep RECORDING DB: what a full re-sweep of the device in a recording would leave in a database, every tactic timed once.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "db/store.h"
#include "kernels/device.h"
#include "kernels/source.h"
#include "profiler/stats.h"

enum { SAMPLES_MAX = 4096 };

typedef struct sweep {
    char device[512], toolchain[512];
    hone_store *store;
    hone_id run;
} sweep;

static void need(hone_status status)
{
    if (status == HONE_OK) return;
    fprintf(stderr, "%s\n", hone_error_text());
    exit(1);
}

static size_t read_samples(char *field, double *samples)
{
    size_t n = 0;
    for (char *at = field, *word; n < SAMPLES_MAX && (word = strsep(&at, ",\n")) && *word;) samples[n++] = atof(word);
    return n;
}

static void put(const sweep *s, char *const *fields)
{
    double samples[SAMPLES_MAX];
    hone_tactic tactic;
    char depends[512];
    size_t n = read_samples(fields[4], samples);
    hone_measurement row = {.run = s->run, .device = s->device, .toolchain = s->toolchain, .depends = depends, .problem = fields[0], .tactic = fields[1],
                            .mode = "single cold", .timer = n ? "replay" : "", .error = n ? 1e-4 : -1, .workspace_bytes = atoll(fields[3]), .clock_mhz = -1,
                            .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1, .artifact = "", .note = "", .samples_ns = samples, .sample_count = n};
    need(hone_tactic_parse(fields[1], &tactic));
    hone_toolchain_pick(s->toolchain, hone_source_find(tactic.source)->depends, depends, sizeof depends);
    need(hone_verdict_parse(fields[2], &row.verdict) ? hone_fail(HONE_USAGE, "no verdict: %s", fields[2]) : HONE_OK);
    if (n) {
        row.median_ns = hone_stats_median(samples, n);
        row.mad_ns = hone_stats_mad(samples, n);
        row.min_ns = hone_stats_min(samples, n);
    }
    need(hone_store_put_measurement(s->store, &row, NULL));
}

static void take_line(sweep *s, char *line)
{
    char *fields[6] = {0};
    int n = 0;
    if (*line == '#') return;
    for (char *at = line; n < 6 && (fields[n] = strsep(&at, "\t"));) n++;
    if (n == 2 && !strcmp(fields[0], "device")) snprintf(s->device, sizeof s->device, "%s", fields[1]);
    if (n == 2 && !strcmp(fields[0], "toolchain")) snprintf(s->toolchain, sizeof s->toolchain, "%s", fields[1]);
    if (n == 5) put(s, fields);
}

int main(int argc, char **argv)
{
    sweep s = {0};
    char *text;
    size_t size;
    hone_run run = {.start_unix_ms = 1, .options = "", .effort = "quick", .writer = "local", .sequence = -1};
    if (argc != 3) return fprintf(stderr, "resweep RECORDING DB\n"), 2;
    need(hone_file_read(argv[1], (size_t)1 << 30, &text, &size));
    need(hone_store_open(argv[2], HONE_STORE_CREATE, &s.store));
    need(hone_store_put_run(s.store, &run, &s.run));
    need(hone_store_begin_group(s.store));
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) take_line(&s, line);
    need(hone_store_end_group(s.store));
    hone_store_close(s.store);
    hone_free(text);
    return 0;
}
