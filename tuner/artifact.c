// SPDX-License-Identifier: Apache-2.0
#include "tuner/artifact.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

#define CEILING_BYTES ((size_t)64 << 20)
#define RUNNING_MAX 256

// Keys being compiled now. Others who want one of them wait.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char keys[RUNNING_MAX][HONE_ARTIFACT_KEY];
    int n;
} running = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int find_running(const char *key)
{
    for (int k = 0; k < running.n; k++)
        if (!strcmp(running.keys[k], key)) return k;
    return -1;
}

void hone_artifact_claim(const char *key)
{
    pthread_mutex_lock(&running.lock);
    while (find_running(key) >= 0 || running.n == RUNNING_MAX) pthread_cond_wait(&running.changed, &running.lock);
    snprintf(running.keys[running.n++], HONE_ARTIFACT_KEY, "%s", key);
    pthread_mutex_unlock(&running.lock);
}

void hone_artifact_release(const char *key)
{
    pthread_mutex_lock(&running.lock);
    memcpy(running.keys[find_running(key)], running.keys[running.n - 1], HONE_ARTIFACT_KEY);
    running.n--;
    pthread_cond_broadcast(&running.changed);
    pthread_mutex_unlock(&running.lock);
}

// ---- files: a line of numbers, then the code, or the reason

static hone_status file_path(const char *key, char *path, size_t capacity)
{
    char name[HONE_ARTIFACT_KEY + 16];
    if (strchr(key, '/') || key[0] == '.') return hone_fail(HONE_INTERNAL, "\"%s\" cannot name a file of the cache", key);
    snprintf(name, sizeof name, "artifacts/%s", key);
    return hone_path_cache(name, path, capacity);
}

static bool scan_number(hone_scan *scan, const char *name, int64_t *value)
{
    return hone_scan_char(scan, ' ') && hone_scan_literal(scan, name) && hone_scan_char(scan, '=') && hone_scan_int(scan, value);
}

// A file that was cut or made by something else is no file of ours: it is compiled again and replaced.
static hone_status read_file(const char *data, size_t size, hone_blob *blob)
{
    hone_scan scan = {data};
    int64_t good, registers, spill, shared, bytes;
    bool fits = hone_scan_literal(&scan, "hone-artifact 1") && scan_number(&scan, "good", &good) && scan_number(&scan, "registers", &registers) &&
                scan_number(&scan, "spill", &spill) && scan_number(&scan, "shared", &shared) && scan_number(&scan, "bytes", &bytes) &&
                hone_scan_char(&scan, '\n') && bytes >= 0 && (size_t)bytes == size - (size_t)(scan.at - data);
    if (!fits) return HONE_MISS;
    if (!good) return hone_fail(HONE_DECLINED, "%s", scan.at);
    *blob = (hone_blob){.size_bytes = (size_t)bytes, .registers = (int)registers, .spill_bytes = (int)spill, .shared_bytes = (int)shared};
    blob->data = hone_alloc((size_t)bytes + 1);
    if (!blob->data) return HONE_NO_MEMORY;
    memcpy(blob->data, scan.at, (size_t)bytes);
    return HONE_OK;
}

hone_status hone_artifact_find(const char *key, hone_blob *blob)
{
    char path[4096], *data = NULL;
    size_t size;
    hone_status status = file_path(key, path, sizeof path);
    if (status != HONE_OK || !hone_path_exists(path)) return status ? status : HONE_MISS;
    status = hone_file_read(path, CEILING_BYTES, &data, &size);
    if (status == HONE_OK) status = read_file(data, size, blob);
    hone_free(data);
    return status;
}

// A cache that cannot be written is slower, never wrong.
static void write_file(const char *key, bool good, const hone_blob *blob, const char *why)
{
    char path[4096], folder[4096];
    hone_text text;
    hone_text_init(&text);
    size_t size = good ? blob->size_bytes : strlen(why);
    hone_text_printf(&text, "hone-artifact 1 good=%d registers=%d spill=%d shared=%d bytes=%zu\n", good, good ? blob->registers : 0,
                     good ? blob->spill_bytes : 0, good ? blob->shared_bytes : 0, size);
    hone_text_append(&text, good ? blob->data : why, size);
    if (hone_text_status(&text) == HONE_OK && file_path(key, path, sizeof path) == HONE_OK &&
        hone_path_cache("artifacts", folder, sizeof folder) == HONE_OK && hone_folder_make(folder) == HONE_OK)
        (void)hone_file_write(path, text.data, text.size);
    hone_text_clear(&text);
}

// ----

static hone_status compile(const hone_source *source, const hone_problem *problem, const hone_tactic *tactic, const hone_target *target,
                           const char *key, hone_blob *blob)
{
    hone_status status = hone_artifact_find(key, blob);
    if (status != HONE_MISS) return status;
    status = source->compile(problem, tactic, target, blob);
    if (status == HONE_OK || status == HONE_DECLINED) {
        char why[2048];
        snprintf(why, sizeof why, "%s", hone_error_text());
        write_file(key, status == HONE_OK, blob, why);
        if (status != HONE_OK) return hone_fail(status, "%s", why);
    }
    return status;
}

hone_status hone_artifact_make(const hone_source *source, const hone_problem *problem, const hone_tactic *tactic, const hone_target *target,
                               char key[HONE_ARTIFACT_KEY], hone_blob *blob)
{
    *blob = (hone_blob){.registers = -1};
    *key = 0;
    if (!source->compile) return HONE_OK;
    hone_status status = source->key(problem, tactic, target, key);
    if (status != HONE_OK) return status;
    hone_artifact_claim(key);
    status = compile(source, problem, tactic, target, key, blob);
    hone_artifact_release(key);
    return status;
}

hone_status hone_artifact_provide(hone_store *store, const hone_source *source, const hone_problem *problem, const hone_tactic *tactic,
                                  const hone_target *target, const char *key)
{
    char made[HONE_ARTIFACT_KEY];
    hone_blob blob = {0};
    void *data = NULL;
    size_t size;
    hone_status status;
    HONE_TRY(hone_store_find_artifact(store, key, &data, &size));
    if (data) goto out;
    HONE_TRY(hone_artifact_make(source, problem, tactic, target, made, &blob));
    if (strcmp(made, key)) status = hone_fail(HONE_DECLINED, "the compiled kernel %s was made by other versions: here it would be %s", key, *made ? made : "none");
    else status = hone_store_put_artifact(store, key, "cubin", blob.data, blob.size_bytes);
out:
    hone_free(data);
    hone_free(blob.data);
    return status;
}
