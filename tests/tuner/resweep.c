// SPDX-License-Identifier: Apache-2.0
// resweep BEFORE FROM TO: the database BEFORE and, in it, what was measured since, as TO. FROM is a recording (`hone problems --replay`): then
// what a full re-sweep of its device would leave; or a database: then what a recheck left. A device that plays back compiles nothing, so the
// compiled code that BEFORE has of a tactic stands for what compiling it again would make: with it, plans can be built of what was measured since.
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
    hone_store *before, *to;
    hone_id run;
} sweep;

static void need(hone_status status)
{
    if (status == HONE_OK) return;
    fprintf(stderr, "%s\n", hone_error_text());
    exit(1);
}

typedef struct search {
    const char *tactic;
    char artifact[128];
} search;

static hone_status find_artifact(void *user, const hone_id *id, const hone_measurement *row)
{
    search *of = user;
    (void)id;
    if (!strcmp(row->tactic, of->tactic) && *row->artifact) snprintf(of->artifact, sizeof of->artifact, "%s", row->artifact);
    return HONE_OK;
}

static void put(const sweep *s, hone_measurement row)
{
    search of = {.tactic = row.tactic};
    need(hone_store_each_measurement(s->before, s->device, row.problem, find_artifact, &of));
    row.run = s->run;
    row.artifact = of.artifact;
    need(hone_store_put_measurement(s->to, &row, NULL));
}

// ---- a recording

static size_t read_samples(char *field, double *samples)
{
    size_t n = 0;
    for (char *at = field, *word; n < SAMPLES_MAX && (word = strsep(&at, ",")) && *word;) samples[n++] = atof(word);
    return n;
}

static void put_recorded(const sweep *s, char *const *fields)
{
    double samples[SAMPLES_MAX];
    hone_tactic tactic;
    char depends[512];
    size_t n = read_samples(fields[4], samples);
    hone_measurement row = {.device = s->device, .toolchain = s->toolchain, .depends = depends, .problem = fields[0], .tactic = fields[1],
                            .mode = "single cold", .timer = n ? "replay" : "", .error = n ? 1e-4 : -1, .workspace_bytes = atoll(fields[3]), .clock_mhz = -1,
                            .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1, .note = "", .samples_ns = samples, .sample_count = n};
    need(hone_tactic_parse(fields[1], &tactic));
    hone_toolchain_pick(s->toolchain, hone_source_find(tactic.source)->depends, depends, sizeof depends);
    need(hone_verdict_parse(fields[2], &row.verdict) ? hone_fail(HONE_USAGE, "no verdict: %s", fields[2]) : HONE_OK);
    if (n) {
        row.median_ns = hone_stats_median(samples, n);
        row.mad_ns = hone_stats_mad(samples, n);
        row.min_ns = hone_stats_min(samples, n);
    }
    put(s, row);
}

static void take_line(sweep *s, char *line)
{
    char *fields[6] = {0};
    int n = 0;
    if (*line == '#') return;
    for (char *at = line; n < 6 && (fields[n] = strsep(&at, "\t"));) n++;
    if (n == 2 && !strcmp(fields[0], "device")) snprintf(s->device, sizeof s->device, "%s", fields[1]);
    if (n == 2 && !strcmp(fields[0], "toolchain")) snprintf(s->toolchain, sizeof s->toolchain, "%s", fields[1]);
    if (n == 5) put_recorded(s, fields);
}

// ---- a database

static hone_status take_measurement(void *user, const hone_id *id, const hone_measurement *row)
{
    sweep *s = user;
    (void)id;
    if (!strcmp(row->toolchain, s->toolchain)) put(s, *row);
    return HONE_OK;
}

typedef struct taking {
    sweep *s;
    hone_store *from;
} taking;

static hone_status take_problem(void *user, const char *problem)
{
    taking *t = user;
    return hone_store_each_measurement(t->from, t->s->device, problem, take_measurement, t->s);
}

static hone_status take_recheck(void *user, const hone_recheck *row, const char *writer)
{
    sweep *s = user;
    hone_recheck copy = *row;
    (void)writer;
    copy.run = s->run;
    return hone_store_put_recheck(s->to, &copy);
}

static void take_database(sweep *s, hone_store *from)
{
    taking all = {s, from};
    need(hone_store_find_device(from, "h200", s->device, sizeof s->device));
    need(hone_store_find_toolchain(from, s->device, s->toolchain, sizeof s->toolchain));
    need(hone_store_each_problem(from, s->device, take_problem, &all));
    need(hone_store_each_recheck(from, s->device, take_recheck, s));
}

static void take_recording(sweep *s, char *text)
{
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) take_line(s, line);
}

int main(int argc, char **argv)
{
    sweep s = {0};
    hone_store *from = NULL;
    char *text = NULL;
    size_t size;
    int64_t added;
    hone_run run = {.start_unix_ms = 2000000000000, .options = "", .effort = "quick", .writer = "local", .sequence = -1};
    if (argc != 4) return fprintf(stderr, "resweep BEFORE FROM TO\n"), 2;
    need(hone_store_open(argv[1], HONE_STORE_READ, &s.before));
    need(hone_file_read(argv[2], (size_t)1 << 30, &text, &size));
    bool is_recording = !strncmp(text, "# hone replay 1\n", 16);
    if (!is_recording) need(hone_store_open(argv[2], HONE_STORE_READ, &from));
    need(hone_store_open(argv[3], HONE_STORE_CREATE, &s.to));
    need(hone_store_merge(s.to, s.before, &added));
    need(hone_store_put_run(s.to, &run, &s.run));
    need(hone_store_begin_group(s.to));
    if (is_recording) take_recording(&s, text);
    else take_database(&s, from);
    need(hone_store_end_group(s.to));
    hone_store_close(s.before);
    hone_store_close(s.to);
    hone_store_close(from);
    hone_free(text);
    return 0;
}
