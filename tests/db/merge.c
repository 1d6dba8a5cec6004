// SPDX-License-Identifier: Apache-2.0
// How long a merge takes: merge ROWS FOLDER makes a database of ROWS measurements (5 samples each) and one of their first half, merges
// the whole into the half, and again. Prints the seconds of both; fails when the merge takes more than 5 s for 500,000 rows or the
// repetition more than 1 s, in proportion to ROWS, and what opening takes.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/store.h"

#define DEVICE "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W"
#define TOOLS "cuda=13.0 driver=580.159 cublaslt=13.1.0 cudnn=9.19.0 hone=0.1.0"

enum { ROWS_OF_A_RUN = 5000, ROWS_OF_A_PROBLEM = 100 };

static void need(hone_status status)
{
    if (status == HONE_OK) return;
    fprintf(stderr, "%s\n", hone_error_text());
    exit(1);
}

static void put_row(hone_store *store, const hone_id *run, int64_t i)
{
    char problem[256], tactic[128];
    double samples[5];
    snprintf(problem, sizeof problem, "conv x=f16:1x56x56x%d:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | relu x=$0", (int)(i / ROWS_OF_A_PROBLEM));
    snprintf(tactic, sizeof tactic, "nvrtc.gemm_tile@3 bm=%d bn=64 bk=32 stages=3 warps=4", (int)(i % ROWS_OF_A_PROBLEM));
    for (int s = 0; s < 5; s++) samples[s] = 1000 + (double)(i % 977) + s;
    hone_measurement row = {.run = *run, .device = DEVICE, .toolchain = TOOLS, .depends = "cuda=13.0 hone=0.1.0", .problem = problem, .tactic = tactic,
        .mode = "single cold", .verdict = HONE_VERDICT_OK, .timer = "cupti", .median_ns = samples[2], .mad_ns = 1, .min_ns = samples[0],
        .error = 1e-4, .clock_mhz = 1980, .temperature_c = 41.5, .power_w = 300, .throttle = "", .registers = 128, .artifact = "", .note = "",
        .samples_ns = samples, .sample_count = 5};
    need(hone_store_put_measurement(store, &row, NULL));
}

static void fill(const char *path, int64_t rows)
{
    hone_store *store;
    hone_id run;
    remove(path);
    need(hone_store_open(path, HONE_STORE_CREATE, &store));
    for (int64_t i = 0; i < rows; i++) {
        if (i % ROWS_OF_A_RUN == 0) {
            hone_run begun = {.start_unix_ms = 1000 + i, .options = "", .effort = "full", .writer = "local", .sequence = i / ROWS_OF_A_RUN};
            if (i) need(hone_store_end_group(store));
            need(hone_store_put_run(store, &begun, &run));
            need(hone_store_begin_group(store));
        }
        put_row(store, &run, i);
    }
    need(hone_store_end_group(store));
    hone_store_close(store);
}

static double merge(const char *into, const char *from, int64_t *added)
{
    hone_store *store, *other;
    int64_t start = hone_clock_ns();
    need(hone_store_open(into, HONE_STORE_WRITE, &store));
    need(hone_store_open(from, HONE_STORE_READ, &other));
    need(hone_store_merge(store, other, added));
    hone_store_close(store);
    hone_store_close(other);
    return (double)(hone_clock_ns() - start) / 1e9;
}

int main(int argc, char **argv)
{
    char half[4096], whole[4096];
    int64_t rows = argc == 3 ? strtoll(argv[1], NULL, 10) : 0, added, again;
    if (rows < 2 * ROWS_OF_A_RUN) return fprintf(stderr, "usage: merge ROWS FOLDER, at least %d rows\n", 2 * ROWS_OF_A_RUN), 2;
    snprintf(half, sizeof half, "%s/half.db", argv[2]);
    snprintf(whole, sizeof whole, "%s/whole.db", argv[2]);
    fill(half, rows / 2);
    fill(whole, rows);
    double first = merge(half, whole, &added), second = merge(half, whole, &again);
    printf("%" PRId64 " rows, %" PRId64 " of them new: %.2f s; repeated: %.2f s, %" PRId64 " new\n", rows, added, first, second, again);
    double share = (double)rows / 500000;
    return first > 5 * share + 1 || second > share + 0.5 || again ? 1 : 0;      // a small file is checked as a whole when opened
}
