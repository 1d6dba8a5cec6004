// SPDX-License-Identifier: Apache-2.0
// The folder of a sweep, and how far a shard is: read off the coverage in databases, never off a record of its own.
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/lock.h"
#include "tuner/sweep.h"

hone_status hone_sweep_path(const char *folder, hone_sweep_file file, int shard, char path[HONE_SWEEP_PATH])
{
    static const char *const ends[] = {[HONE_SWEEP_DATABASE] = "db", [HONE_SWEEP_DUMP] = "txt.zst", [HONE_SWEEP_LOCK] = "lock"};
    int size = file == HONE_SWEEP_LIST ? snprintf(path, HONE_SWEEP_PATH, "%s/list", folder)
                                       : snprintf(path, HONE_SWEEP_PATH, "%s/shard-%d.%s", folder, shard, ends[file]);
    return size < HONE_SWEEP_PATH ? HONE_OK : hone_fail(HONE_USAGE, "the name of the folder %.100s... is too long", folder);
}

// The shard's own rows: its database, or the dump of one that lies elsewhere. *store NULL: nothing was measured yet.
static hone_status open_shard(const char *folder, int shard, hone_store **store)
{
    static const hone_sweep_file places[] = {HONE_SWEEP_DATABASE, HONE_SWEEP_DUMP};
    char path[HONE_SWEEP_PATH];
    *store = NULL;
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        hone_status status = hone_sweep_path(folder, places[k], shard, path);
        if (status != HONE_OK) return status;
        if (hone_path_exists(path)) return hone_store_open(path, HONE_STORE_READ, store);
    }
    return HONE_OK;
}

// What is covered under the libraries that the shard itself ran with; of a shard that did not run yet, those of the plan.
static hone_status look_in(const hone_sweep *sweep, hone_store *store, const char *toolchain, int shard, bool *covered)
{
    hone_tune_scope scope = hone_sweep_scope(sweep, toolchain);
    hone_status status = hone_store_begin_read(store);
    for (size_t k = 0; k < sweep->n && status == HONE_OK; k++)
        if (sweep->problems[k].shard == shard && !covered[k]) status = hone_tune_covers(store, &scope, sweep->problems[k].spelling, &covered[k]);
    hone_store_end_read(store);
    return status;
}

static hone_status look_all(const hone_sweep *sweep, hone_store *own, hone_store *store, int shard, bool *covered)
{
    char toolchain[512];
    hone_status status = own ? hone_store_find_toolchain(own, sweep->device, toolchain, sizeof toolchain) : HONE_MISS;
    if (status == HONE_MISS) {
        snprintf(toolchain, sizeof toolchain, "%s", sweep->toolchain);
        status = HONE_OK;
    }
    if (status == HONE_OK && own) status = look_in(sweep, own, toolchain, shard, covered);
    if (status == HONE_OK && store) status = look_in(sweep, store, toolchain, shard, covered);
    return status;
}

static void count(const hone_sweep *sweep, int shard, const bool *covered, hone_shard_state *state)
{
    for (size_t k = 0; k < sweep->n; k++) {
        const hone_sweep_problem *problem = &sweep->problems[k];
        if (problem->shard != shard) continue;
        state->problems++;
        state->covered += covered[k];
        state->seconds += problem->seconds;
        if (!covered[k]) state->seconds_left += problem->seconds;
    }
}

hone_status hone_sweep_look(const hone_sweep *sweep, const char *folder, int shard, hone_store *store, bool *covered, hone_shard_state *state)
{
    char path[HONE_SWEEP_PATH];
    hone_store *own = NULL;
    memset(state, 0, sizeof *state);
    for (size_t k = 0; k < sweep->n; k++)
        if (sweep->problems[k].shard == shard) covered[k] = false;
    hone_status status = hone_sweep_path(folder, HONE_SWEEP_LOCK, shard, path);
    if (status == HONE_OK) status = hone_lock_look(path, &state->held);
    if (status != HONE_OK) return status;
    status = open_shard(folder, shard, &own);
    if (status == HONE_OK) status = look_all(sweep, own, store, shard, covered);
    if (status != HONE_OK) snprintf(state->trouble, sizeof state->trouble, "%s", hone_error_text());
    hone_store_close(own);
    count(sweep, shard, covered, state);
    return status == HONE_NO_MEMORY ? status : HONE_OK;
}
