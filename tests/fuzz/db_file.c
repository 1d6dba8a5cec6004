// SPDX-License-Identifier: Apache-2.0
// Database files from anywhere: every question gets an answer or a refusal.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "db/store.h"

typedef struct asking {
    hone_store *store;
    const char *device;
    int problems;
} asking;

static hone_status skip_failure(void *user, const char *tactic, hone_verdict verdict, const char *note)
{
    (void)user; (void)tactic; (void)verdict; (void)note;
    return HONE_OK;
}

static hone_status skip_measurement(void *user, const hone_id *id, const hone_measurement *row)
{
    (void)user; (void)id; (void)row;
    return HONE_OK;
}

static hone_status ask_problem(void *user, const char *problem)
{
    asking *a = user;
    hone_question question = {a->device, "hone=0.1.0", problem, "", true, true};
    hone_ranked *ranked;
    size_t count;
    if (a->problems++ > 4) return HONE_OK;
    hone_store_rank(a->store, &question, &ranked, &count);
    hone_free(ranked);
    hone_store_each_failure(a->store, &question, skip_failure, NULL);
    hone_store_each_measurement(a->store, a->device, problem, skip_measurement, NULL);
    return HONE_OK;
}

static hone_status ask_device(void *user, const char *spelling, int64_t measurements)
{
    asking *a = user;
    char toolchain[4096];
    (void)measurements;
    a->device = spelling;
    hone_store_find_toolchain(a->store, spelling, toolchain, sizeof toolchain);
    return hone_store_each_problem(a->store, spelling, ask_problem, a);
}

static hone_status drop(void *user, const char *data, size_t size)
{
    (void)user; (void)data; (void)size;
    return HONE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    char path[256];
    const char *folder = getenv("TMPDIR");
    asking a = {0};
    hone_id id;
    void *artifact;
    size_t artifact_bytes;
    snprintf(path, sizeof path, "%s/hone-fuzz-%d.db", folder && *folder ? folder : "/tmp", (int)getpid());
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, data, size_bytes) != (ssize_t)size_bytes) abort();
    close(file);
    if (hone_store_open(path, HONE_STORE_READ, &a.store) == HONE_OK) {
        hone_store_each_device(a.store, ask_device, &a);
        hone_store_find_artifact(a.store, "key-1", &artifact, &artifact_bytes);
        hone_free(artifact);
        hone_store_snapshot(a.store, &id);
        hone_store_dump(a.store, 1, drop, NULL);
        hone_store_check(a.store, NULL);
        hone_store_close(a.store);
    }
    hone_store_remove(path);
    return 0;
}
