// SPDX-License-Identifier: Apache-2.0
// An engine: weights uploaded once in one allocation, runnables prepared and awake, shared by slots.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/exec_priv.h"

#define ALIGN 256

// ---- events

static char pool_key;

static void free_pool(void *value)
{
    hone_event_pool *pool = value;
    pthread_mutex_destroy(&pool->lock);
    hone_free(pool);
}

hone_status hone_event_pool_get(hone_device *device, hone_event_pool **out)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    hone_status status = HONE_OK;
    hone_event_pool *pool = hone_device_extra(device, &pool_key);
    if (!pool) {
        pool = hone_calloc(1, sizeof *pool);
        status = pool ? hone_device_set_extra(device, &pool_key, pool, free_pool) : HONE_NO_MEMORY;
        if (status == HONE_OK) pthread_mutex_init(&pool->lock, NULL);
        else hone_free(pool);
    }
    pthread_mutex_unlock(&making);
    *out = pool;
    return status;
}

hone_status hone_event_take(hone_event_pool *pool, int *event)
{
    pthread_mutex_lock(&pool->lock);
    int k = HONE_EVENTS_FIRST;
    while (k < HONE_EVENTS_END && pool->taken[k]) k++;
    if (k < HONE_EVENTS_END) pool->taken[k] = 1;
    pthread_mutex_unlock(&pool->lock);
    *event = k;
    if (k < HONE_EVENTS_END) return HONE_OK;
    *event = -1;
    return hone_fail(HONE_AGAIN, "all %d events of the device are in use: run fewer slots, or slots with fewer lanes (--lanes 1)",
                     HONE_EVENTS_END - HONE_EVENTS_FIRST);
}

void hone_event_give(hone_event_pool *pool, int event)
{
    pthread_mutex_lock(&pool->lock);
    pool->taken[event] = 0;
    pthread_mutex_unlock(&pool->lock);
}

// ---- is this the device, and are these the libraries, that the plan was built for?

static hone_status check_target(const hone_plan *plan, const hone_device *device)
{
    hone_target target;
    char here[256];
    hone_status status = hone_target_parse(plan->device, &target);
    if (status != HONE_OK) return status;
    if (!strcmp(target.kind, device->target.kind) && !strcmp(target.arch, device->target.arch)) return HONE_OK;
    hone_target_print(&device->target, here, sizeof here);
    return hone_fail(HONE_USAGE, "the plan was built for %s, and this is %s: build it for this device (hone build --device %s)", plan->device,
                     here, device->target.kind);
}

static void compare_version(const hone_plan *plan, const hone_device *device, const char *name, const char *source, hone_text *differences)
{
    char built[64] = "none", here[64] = "none";
    (void)hone_toolchain_get(plan->toolchain, name, built, sizeof built);
    (void)hone_toolchain_get(device->toolchain, name, here, sizeof here);
    if (strcmp(built, here))
        hone_text_printf(differences, "%s%s is %s here and %s in the plan (used by %s)", differences->size ? "; " : "", name, here, built, source);
}

// Compiled kernels come with the plan and rest on nothing else; what a library does is looked up by its version.
static hone_status check_versions(const hone_plan *plan, const hone_device *device)
{
    hone_text differences;
    hone_text_init(&differences);
    for (int s = 0; s < plan->n_steps; s++) {
        hone_tactic tactic;
        if (hone_tactic_parse(plan->steps[s].tactic, &tactic) != HONE_OK) continue;
        const hone_source *source = hone_source_find(tactic.source);
        if (!source || !*hone_tactic_opens(&tactic, plan->steps[s].artifact >= 0)) continue;
        char name[32];
        hone_scan scan = {source->depends};
        for (; hone_scan_token(&scan, name, sizeof name); hone_scan_blanks(&scan))
            if (!strstr(hone_text_get(&differences), name)) compare_version(plan, device, name, tactic.source, &differences);
    }
    hone_status status = hone_text_status(&differences);
    if (status == HONE_OK && differences.size)
        status = hone_fail(HONE_USAGE, "the plan was built beside other library versions: %s. Build it again for these (hone build "
                           "--toolchain \"%s\"), tune them first if the database lacks them, or accept them (--allow-other-versions)",
                           hone_text_get(&differences), device->toolchain);
    hone_text_clear(&differences);
    return status;
}

// ---- runnables

hone_status hone_engine_prepare(const hone_engine *engine, int number, hone_runnable **out)
{
    const hone_plan_step *step = &engine->plan->steps[number];
    hone_runnable *made = NULL;
    hone_tactic tactic;
    hone_blob blob = {.registers = -1}, compiled = {.data = NULL};
    hone_status status = HONE_NO_MEMORY;
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) goto out;
    HONE_TRY(hone_problem_parse(step->problem, problem));
    HONE_TRY(hone_tactic_parse(step->tactic, &tactic));
    HONE_TRY(hone_tactic_check(&tactic, problem, &engine->device->target));
    const hone_source *source = hone_source_find(tactic.source);
    if (step->artifact < 0) HONE_TRY(source->probe(&engine->device->target, engine->device));      // compiled kernels need no compiler
    if (step->artifact >= 0) {       // const is cast away: the blob is only read
        const hone_artifact *artifact = &engine->plan->artifacts[step->artifact];
        blob.data = (void *)(uintptr_t)artifact->data;
        blob.size_bytes = artifact->size_bytes;
    } else if (source->compile) {    // pinned without ever having been tuned
        HONE_TRY(source->compile(problem, &tactic, &engine->device->target, &compiled));
        blob = compiled;
    }
    HONE_TRY(source->prepare(problem, &tactic, engine->device, blob.data ? &blob : NULL, &made));
    if ((int64_t)made->workspace_bytes > step->workspace_bytes) {
        status = hone_fail(HONE_USAGE, "%s asks for %zu bytes of workspace here, and the plan has %lld: build it again", step->tactic,
                           made->workspace_bytes, (long long)step->workspace_bytes);
        goto out;
    }
    HONE_TRY(made->api->wake(made));
    *out = made;
    made = NULL;
out:
    if (made) made->api->free(made);
    hone_free(compiled.data);
    hone_free(problem);
    return status == HONE_OK ? HONE_OK : hone_fail_in(status == HONE_DECLINED ? HONE_USAGE : status, "step %s", step->name);
}

void hone_runnable_drop(hone_runnable *runnable)
{
    if (!runnable) return;
    runnable->api->sleep(runnable);
    runnable->api->free(runnable);
}

// The first step with the same problem and tactic: equal layers share a runnable and its module.
static int first_alike(const hone_plan *plan, int step)
{
    for (int k = 0; k < step; k++)
        if (!strcmp(plan->steps[k].tactic, plan->steps[step].tactic) && !strcmp(plan->steps[k].problem, plan->steps[step].problem) &&
            plan->steps[k].artifact == plan->steps[step].artifact)
            return k;
    return step;
}

static hone_status prepare_all(hone_engine *engine)
{
    for (int s = 0; s < engine->plan->n_steps; s++) {
        engine->alike[s] = first_alike(engine->plan, s);
        hone_runnable **made = &engine->runnables[s];
        if (engine->alike[s] < s) {
            *made = engine->runnables[engine->alike[s]];
            continue;
        }
        hone_status status = hone_engine_prepare(engine, s, made);
        if (status != HONE_OK) return status;
        if (!(*made)->exclusive) continue;
        hone_runnable_drop(*made);       // it can be had; each slot makes its own
        *made = NULL;
    }
    return HONE_OK;
}

// ---- weights

static hone_status upload(hone_engine *engine)
{
    const hone_plan *plan = engine->plan;
    hone_device *device = engine->device;
    int64_t total = 0;
    for (int k = 0; k < plan->n_weights; k++) {
        engine->weight_at[k] = total;
        total += ((int64_t)plan->weights[k].size_bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    hone_status status = device->api->alloc(device, (size_t)(total ? total : ALIGN), &engine->weights);
    for (int k = 0; k < plan->n_weights && status == HONE_OK; k++)
        status = device->api->copy(device, NULL, (char *)engine->weights + engine->weight_at[k], plan->weights[k].data,
                                   plan->weights[k].size_bytes, HONE_COPY_IN);
    return status == HONE_OK ? device->api->sync(device, NULL) : hone_fail_in(status, "weights of %s", plan->network);
}

// ---- scratch memory

static hone_status make_scratch(hone_engine *engine, hone_stream *stream, hone_scratch **scratch)
{
    hone_scratch *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    hone_status status = engine->device->api->alloc(engine->device, (size_t)(engine->plan->arena_bytes > 0 ? engine->plan->arena_bytes : ALIGN), &made->memory);
    if (status != HONE_OK) {
        hone_free(made);
        return status;
    }
    made->stream = stream;
    made->next = engine->scratches;
    *scratch = engine->scratches = made;
    return HONE_OK;
}

hone_status hone_scratch_take(hone_engine *engine, hone_stream *stream, hone_scratch **scratch)
{
    hone_status status = HONE_OK;
    pthread_mutex_lock(&engine->lock);
    *scratch = engine->scratches;
    while (*scratch && (*scratch)->stream != stream) *scratch = (*scratch)->next;
    if (!*scratch) status = make_scratch(engine, stream, scratch);
    if (status == HONE_OK) (*scratch)->slots++;
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void hone_scratch_give(hone_engine *engine, hone_scratch *scratch)
{
    if (!scratch) return;
    pthread_mutex_lock(&engine->lock);
    const bool last = --scratch->slots == 0;
    hone_scratch **at = &engine->scratches;
    while (*at != scratch) at = &(*at)->next;
    if (last) *at = scratch->next;
    pthread_mutex_unlock(&engine->lock);
    if (!last) return;
    engine->device->api->free(engine->device, scratch->memory);
    hone_free(scratch);
}

// ---- making

hone_status hone_engine_new(const hone_plan *plan, hone_device *device, bool allow_other_versions, hone_engine **engine)
{
    hone_status status = HONE_NO_MEMORY;
    hone_engine *made = hone_calloc(1, sizeof *made);
    if (!made) return status;
    made->plan = plan;
    made->device = device;
    pthread_mutex_init(&made->lock, NULL);
    made->weight_at = hone_calloc((size_t)plan->n_weights + 1, sizeof *made->weight_at);
    made->alike = hone_calloc((size_t)plan->n_steps + 1, sizeof *made->alike);
    made->runnables = hone_calloc((size_t)plan->n_steps + 1, sizeof(hone_runnable *));
    if (!made->weight_at || !made->alike || !made->runnables) goto out;
    HONE_TRY(check_target(plan, device));
    if (!allow_other_versions) HONE_TRY(check_versions(plan, device));
    HONE_TRY(hone_event_pool_get(device, &made->events));
    HONE_TRY(upload(made));
    HONE_TRY(prepare_all(made));
    *engine = made;
    made = NULL;
out:
    hone_engine_free(made);
    return status;
}

void hone_engine_free(hone_engine *engine)
{
    if (!engine) return;
    for (int s = 0; engine->runnables && engine->alike && s < engine->plan->n_steps; s++)
        if (engine->alike[s] == s) hone_runnable_drop(engine->runnables[s]);
    if (engine->weights) engine->device->api->free(engine->device, engine->weights);
    hone_free(engine->runnables);
    hone_free(engine->alike);
    hone_free(engine->weight_at);
    pthread_mutex_destroy(&engine->lock);
    hone_free(engine);
}
