// SPDX-License-Identifier: Apache-2.0
// Small databases for the tests of db/.
#ifndef HONE_TESTS_UNIT_DB_FIXTURE_H
#define HONE_TESTS_UNIT_DB_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "db/store.h"
#include "tests/unit/unit.h"

#define H200 "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W"
#define H100 "cuda sm_90 \"NVIDIA H100 80GB HBM3\" sms=132 mem=81559MiB clock=1980MHz power=700W"
#define A100 "cuda sm_80 \"NVIDIA A100\" sms=108 mem=81920MiB clock=1410MHz power=400W"
#define CPU2 "cpu x86_64-avx2 \"MODEL NAME\" threads=2"
#define TOOLS "cuda=13.0 driver=580.159 cublaslt=13.1.0 cudnn=9.19.0 hone=0.1.0"
#define GEMM "gemm m=512 n=1024 k=768 a=f16 b=f16 c=f16 acc=f32 ep=bias,relu"
#define CONV "conv2d x=f16:1x56x56x64:nhwc w=64x3x3x64 pad=1 ep=bias,add,relu"

#define OK(call) do { hone_status ok_ = (call); if (ok_ != HONE_OK) fail_msg("%s: status %d: %s", #call, (int)ok_, hone_error_text()); } while (0)

__attribute__((unused)) static hone_run fixture_run(int64_t start_unix_ms)
{
    return (hone_run){.start_unix_ms = start_unix_ms, .options = "--effort quick", .seed = 7, .effort = "quick", .writer = "local",
                      .sequence = start_unix_ms, .private_host = "somewhere", .private_gpu_uuid = "GPU-1"};
}

__attribute__((unused)) static hone_measurement fixture_row(const hone_id *run, const char *tactic, double median_ns)
{
    return (hone_measurement){.run = *run, .device = H200, .toolchain = TOOLS, .depends = "cublaslt=13.1.0", .problem = GEMM,
        .tactic = tactic, .mode = "single cold", .verdict = HONE_VERDICT_OK, .timer = "cupti", .median_ns = median_ns, .mad_ns = 1,
        .min_ns = median_ns - 2, .workspace_bytes = 1024, .error = 1e-4, .clock_mhz = 1980, .temperature_c = 41.5, .power_w = -1,
        .throttle = "", .registers = -1, .artifact = "", .note = ""};
}

__attribute__((unused)) static hone_measurement fixture_failure(const hone_id *run, const char *tactic, hone_verdict verdict)
{
    hone_measurement row = fixture_row(run, tactic, 0);
    row.verdict = verdict;
    row.mad_ns = row.min_ns = 0;
    row.error = -1;
    row.timer = "";
    return row;
}

__attribute__((unused)) static hone_store *fixture_create(const char *folder, const char *name)
{
    char path[512];
    hone_store *store = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(hone_store_open(path, HONE_STORE_CREATE, &store));
    return store;
}

__attribute__((unused)) static hone_id fixture_put_run(hone_store *store, int64_t start_unix_ms)
{
    hone_run run = fixture_run(start_unix_ms);
    hone_id id;
    OK(hone_store_put_run(store, &run, &id));
    return id;
}

static inline hone_status fixture_append(void *user, const char *data, size_t size)
{
    hone_text_append(user, data, size);
    return HONE_OK;
}

__attribute__((unused)) static char *fixture_dump(hone_store *store, int keep)
{
    hone_text text;
    hone_text_init(&text);
    OK(hone_store_dump(store, keep, fixture_append, &text));
    return hone_text_take(&text);
}

// Everything that a database can hold, in one of two orders.
__attribute__((unused)) static void fixture_fill(hone_store *store, int reversed)
{
    static const char *const tactics[] = {"cublaslt@1 algo=21 tile=20", "nvrtc.gemm_tile@3 bm=128 bn=64 bk=32", "ref@1", "cudnn@2 engine=7"};
    double samples[9];
    hone_id runs[2];
    for (int i = 0; i < 2; i++) runs[reversed ? 1 - i : i] = fixture_put_run(store, reversed ? 2 - i : 1 + i);
    for (int k = 0; k < 24; k++) {
        int i = reversed ? 23 - k : k;
        hone_measurement row = fixture_row(&runs[i / 12], tactics[i % 4], 1000 + 37 * i);
        for (int s = 0; s < 9; s++) samples[s] = row.median_ns + s - 4 + (i == 5 ? 0.1 : 0);
        row.samples_ns = samples;
        row.sample_count = 9;
        row.problem = i % 3 ? GEMM : CONV;
        row.artifact = i % 4 == 1 ? "key-1" : "";
        row.note = i == 6 ? "two\nlines, a\ttab and a \\" : "";
        if (i % 4 == 3) {
            row = fixture_failure(&runs[i / 12], tactics[3], i % 8 == 3 ? HONE_VERDICT_UNSUPPORTED : HONE_VERDICT_CRASH);
            row.problem = i % 3 ? GEMM : CONV;
            row.note = "CUDNN_STATUS_NOT_SUPPORTED";
        }
        OK(hone_store_put_measurement(store, &row, NULL));
    }
    hone_coverage coverage = {H200, "cublaslt=13.1.0", GEMM, "cublaslt", 1, "quick", 12};
    OK(hone_store_put_coverage(store, &coverage));
    OK(hone_store_put_artifact(store, "key-1", "cubin", "\x7f" "ELF and so on", 14));
    OK(hone_store_put_problem(store, GEMM, 805306368, 3145728));
    hone_id network, plan, steps[2] = {{{1}}, {{2}}};
    hone_hash_once("network", 7, &network);
    hone_hash_once("plan", 4, &plan);
    OK(hone_store_put_network(store, &network, "resnet50", (const char *const[]){GEMM, CONV}, (const int64_t[]){3, 5}, 2));
    OK(hone_store_put_plan(store, &plan, &network, H200, steps, 2));
}

#endif
