// SPDX-License-Identifier: Apache-2.0
#include "tuner/ahead.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "tuner/artifact.h"
#include "tuner/compiler.h"

#define THREADS_MAX 64
#define STACK_BYTES ((size_t)16 << 20)      // the compiler runs on it

typedef enum progress { WAITING, RUNNING, DONE } progress;

typedef struct task {                  // something with an end, a status and its sentence
    progress progress;
    hone_status status;
    char why[1024];
} task;

typedef struct code {
    task task;
    const hone_source *source;
    hone_tactic tactic;
    char key[HONE_ARTIFACT_KEY];
    hone_blob blob;
} code;

struct hone_item {
    int64_t number;
    char *text;
    hone_problem problem;
    task reference, listing;
    hone_expect expect;
    hone_candidates offered;           // of the sources that compile
    hone_status *declined;             // of each source, and why
    char (*declined_why)[256];
    code **codes;                      // each owned, so that its address holds
    size_t n_codes, codes_capacity;
    int busy;                          // tasks running in the background
    hone_item *next;
};

struct hone_ahead {
    hone_ahead_options options;
    pthread_mutex_t lock;              // guards everything below, and the tasks' progress
    pthread_cond_t changed;
    hone_item *first;
    bool stop;
    int references;                    // that run at this time
    int n_threads;
    pthread_t threads[THREADS_MAX];
};

bool hone_source_is_wanted(const hone_source *source, const char *words, const char *kind)
{
    size_t size = strlen(source->name);
    if (!hone_source_serves(source, kind)) return false;
    if (!*words) return true;
    for (const char *at = words; (at = strstr(at, source->name)); at += size)
        if ((at == words || strchr(", ", at[-1])) && (!at[size] || strchr(", ", at[size]))) return true;
    return false;
}

static hone_choosing how_to_choose(const hone_ahead *ahead)
{
    return (hone_choosing){.kind = ahead->options.kind, .effort = ahead->options.effort, .ranking = ahead->options.ranking};
}

// ---- tasks. Each runs without the lock; begin and end hold it.

static void end_task(hone_ahead *ahead, task *t, hone_status status)
{
    snprintf(t->why, sizeof t->why, "%s", status ? hone_error_text() : "");
    pthread_mutex_lock(&ahead->lock);
    t->status = status;
    t->progress = DONE;
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

// The earliest references are waited for, so those that run at a time have all processors between them: the first all, a second half, ...
static void run_reference(hone_ahead *ahead, hone_item *item)
{
    pthread_mutex_lock(&ahead->lock);
    int threads = ahead->options.helpers / ++ahead->references;
    pthread_mutex_unlock(&ahead->lock);
    hone_status status = hone_expect_make(&item->problem, ahead->options.seed, threads > 1 ? threads : 1, &item->expect);
    pthread_mutex_lock(&ahead->lock);
    ahead->references--;
    pthread_mutex_unlock(&ahead->lock);
    end_task(ahead, &item->reference, status);
}

// A background thread has a compiler of its own; the caller compiles in this process.
static void run_code(hone_ahead *ahead, hone_item *item, code *c, hone_compiler *compiler)
{
    hone_status status = compiler ? hone_compiler_make(compiler, c->source, item->text, &item->problem, &c->tactic, c->key, &c->blob)
                                  : hone_artifact_make(c->source, &item->problem, &c->tactic, &ahead->options.target, c->key, &c->blob);
    end_task(ahead, &c->task, status);
}

static code *find_code(hone_item *item, const hone_source *source, const hone_tactic *tactic)
{
    for (size_t k = 0; k < item->n_codes; k++)
        if (item->codes[k]->source == source && !memcmp(&item->codes[k]->tactic, tactic, sizeof *tactic)) return item->codes[k];
    return NULL;
}

// Under the lock. Tactics are compared as bytes: both sides are copies of zeroed structures.
static code *add_code(hone_item *item, const hone_source *source, const hone_tactic *tactic)
{
    code *c = find_code(item, source, tactic);
    if (c) return c;
    if (hone_grow(&item->codes, item->n_codes, &item->codes_capacity, sizeof *item->codes, 1 << 20)) return NULL;
    c = hone_calloc(1, sizeof *c);
    if (!c) return NULL;
    c->source = source;
    c->tactic = *tactic;
    return item->codes[item->n_codes++] = c;
}

static void run_listing(hone_ahead *ahead, hone_item *item)
{
    const hone_ahead_options *o = &ahead->options;
    const hone_choosing how = how_to_choose(ahead);
    for (int k = 0; k < hone_source_count; k++) {
        const hone_source *source = hone_sources[k];
        if (!source->compile || !hone_source_is_wanted(source, o->sources, o->kind)) continue;
        item->declined[k] = hone_candidates_add(&item->offered, source, &item->problem, &o->target, NULL, &how);
        if (item->declined[k]) snprintf(item->declined_why[k], sizeof item->declined_why[k], "%s", hone_error_text());
    }
    pthread_mutex_lock(&ahead->lock);
    hone_status status = HONE_OK;
    for (size_t k = 0; k < item->offered.n && !status; k++)
        if (!add_code(item, item->offered.items[k].source, &item->offered.items[k].tactic)) status = HONE_NO_MEMORY;
    pthread_mutex_unlock(&ahead->lock);
    end_task(ahead, &item->listing, status);
}

// ---- the background: the earliest item with something to do

typedef struct job {
    hone_item *item;
    task *task;
    code *code;
} job;

static bool find_job(hone_ahead *ahead, job *found)
{
    for (hone_item *item = ahead->first; item; item = item->next) {
        *found = (job){.item = item, .task = &item->listing};
        if (item->listing.progress == WAITING) return true;
        found->task = &item->reference;
        if (item->reference.progress == WAITING && !ahead->options.compile_only) return true;
        for (size_t k = 0; k < item->n_codes; k++) {
            found->code = item->codes[k];
            found->task = &found->code->task;
            if (found->task->progress == WAITING) return true;
        }
    }
    return false;
}

static void run_job(hone_ahead *ahead, const job *j, hone_compiler *compiler)
{
    if (j->code) run_code(ahead, j->item, j->code, compiler);
    else if (j->task == &j->item->listing) run_listing(ahead, j->item);
    else run_reference(ahead, j->item);
}

static void *serve(void *argument)
{
    hone_ahead *ahead = argument;
    hone_compiler *compiler = NULL;
    job j;
    if (ahead->options.compiles_apart && hone_compiler_new(&ahead->options.target, &compiler)) compiler = NULL;
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->stop) {
        if (!find_job(ahead, &j)) {
            pthread_cond_wait(&ahead->changed, &ahead->lock);
            continue;
        }
        j.task->progress = RUNNING;
        j.item->busy++;
        pthread_mutex_unlock(&ahead->lock);
        run_job(ahead, &j, compiler);
        pthread_mutex_lock(&ahead->lock);
        j.item->busy--;
        pthread_cond_broadcast(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->lock);
    hone_compiler_free(compiler);
    return NULL;
}

hone_status hone_ahead_new(const hone_ahead_options *options, hone_ahead **ahead)
{
    hone_ahead *made = hone_calloc(1, sizeof *made);
    pthread_attr_t attributes;
    if (!made) return HONE_NO_MEMORY;
    made->options = *options;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int wanted = options->threads < THREADS_MAX ? options->threads : THREADS_MAX;
    while (made->n_threads < wanted && !pthread_create(&made->threads[made->n_threads], &attributes, serve, made)) made->n_threads++;
    pthread_attr_destroy(&attributes);
    *ahead = made;
    return HONE_OK;
}

// ---- items

static void free_item(hone_item *item)
{
    for (size_t k = 0; k < item->n_codes; k++) {
        hone_free(item->codes[k]->blob.data);
        hone_free(item->codes[k]);
    }
    hone_free(item->codes);
    hone_expect_clear(&item->expect);
    hone_candidates_clear(&item->offered);
    hone_free(item->declined);
    hone_free(item->declined_why);
    hone_free(item->text);
    hone_free(item);
}

void hone_ahead_free(hone_ahead *ahead)
{
    if (!ahead) return;
    pthread_mutex_lock(&ahead->lock);
    ahead->stop = true;
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    for (int k = 0; k < ahead->n_threads; k++) pthread_join(ahead->threads[k], NULL);
    for (hone_item *item = ahead->first, *next; item; item = next) {
        next = item->next;
        free_item(item);
    }
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
    hone_free(ahead);
}

static hone_status new_item(int64_t number, const char *problem, hone_item **item)
{
    hone_item *made = hone_calloc(1, sizeof *made);
    hone_status status = made ? HONE_OK : HONE_NO_MEMORY;
    HONE_TRY(status);
    made->number = number;
    made->text = hone_strdup(problem);
    made->declined = hone_calloc((size_t)hone_source_count, sizeof *made->declined);
    made->declined_why = hone_calloc((size_t)hone_source_count, sizeof *made->declined_why);
    if (!made->text || !made->declined || !made->declined_why) HONE_TRY(HONE_NO_MEMORY);
    HONE_TRY(hone_problem_parse(problem, &made->problem));
    *item = made;
    return HONE_OK;
out:
    if (made) free_item(made);
    return status;
}

hone_status hone_ahead_item(hone_ahead *ahead, int64_t number, const char *problem, hone_item **item)
{
    hone_item **at = &ahead->first;
    while (*at && (*at)->number < number) at = &(*at)->next;      // only this thread changes the list
    if (*at && (*at)->number == number) {
        *item = *at;
        return strcmp((*at)->text, problem) ? hone_fail(HONE_USAGE, "number %lld is another problem's", (long long)number) : HONE_OK;
    }
    hone_item *made;
    hone_status status = new_item(number, problem, &made);
    if (status != HONE_OK) return status;
    pthread_mutex_lock(&ahead->lock);
    made->next = *at;
    *at = made;
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    *item = made;
    return HONE_OK;
}

void hone_ahead_drop(hone_ahead *ahead, int64_t number)
{
    pthread_mutex_lock(&ahead->lock);
    hone_item **at = &ahead->first;
    while (*at && (*at)->number != number) at = &(*at)->next;
    hone_item *item = *at;
    if (item) *at = item->next;
    while (item && item->busy) pthread_cond_wait(&ahead->changed, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
    if (item) free_item(item);
}

static bool is_idle(const hone_ahead *ahead, const hone_item *item)
{
    bool idle = item->listing.progress == DONE && (ahead->options.compile_only || item->reference.progress == DONE);
    for (size_t k = 0; k < item->n_codes && idle; k++) idle = item->codes[k]->task.progress == DONE;
    return idle;
}

void hone_ahead_wait(hone_ahead *ahead, int64_t number)
{
    pthread_mutex_lock(&ahead->lock);
    hone_item *item = ahead->first;
    while (item && item->number != number) item = item->next;
    while (ahead->n_threads && item && !is_idle(ahead, item)) pthread_cond_wait(&ahead->changed, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
}

const hone_problem *hone_item_problem(const hone_item *item)
{
    return &item->problem;
}

const char *hone_item_text(const hone_item *item)
{
    return item->text;
}

// ---- asking: what nobody has begun is done by the caller, what runs is waited for

static bool claim(hone_ahead *ahead, task *t)
{
    pthread_mutex_lock(&ahead->lock);
    bool is_mine = t->progress == WAITING;
    if (is_mine) t->progress = RUNNING;
    pthread_mutex_unlock(&ahead->lock);
    return is_mine;
}

static hone_status await(hone_ahead *ahead, task *t)
{
    pthread_mutex_lock(&ahead->lock);
    while (t->progress != DONE) pthread_cond_wait(&ahead->changed, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
    return t->status ? hone_fail(t->status, "%s", t->why) : HONE_OK;
}

hone_status hone_item_expect(hone_ahead *ahead, hone_item *item, hone_expect **expect)
{
    if (claim(ahead, &item->reference)) run_reference(ahead, item);
    hone_status status = await(ahead, &item->reference);
    *expect = &item->expect;
    return status;
}

static int source_number(const hone_source *source)
{
    for (int k = 0; k < hone_source_count; k++)
        if (hone_sources[k] == source) return k;
    return -1;
}

hone_status hone_item_offer(hone_ahead *ahead, hone_item *item, const hone_source *source, hone_device *device, hone_candidates *candidates)
{
    const hone_ahead_options *o = &ahead->options;
    const hone_choosing how = how_to_choose(ahead);
    if (!source->compile) return hone_candidates_add(candidates, source, &item->problem, &o->target, device, &how);
    if (claim(ahead, &item->listing)) run_listing(ahead, item);
    hone_status status = await(ahead, &item->listing);
    int number = source_number(source);
    if (status == HONE_OK && item->declined[number]) status = hone_fail(item->declined[number], "%s", item->declined_why[number]);
    for (size_t k = 0; k < item->offered.n && status == HONE_OK; k++) {
        if (item->offered.items[k].source != source) continue;
        if (hone_grow(&candidates->items, candidates->n, &candidates->capacity, sizeof *candidates->items, 1 << 20)) status = HONE_NO_MEMORY;
        else candidates->items[candidates->n++] = item->offered.items[k];
    }
    return status;
}

hone_status hone_item_compiled(hone_ahead *ahead, hone_item *item, const hone_source *source, const hone_tactic *tactic,
                               char key[HONE_ARTIFACT_KEY], const hone_blob **blob)
{
    *blob = NULL;
    *key = 0;
    if (!source->compile) return HONE_OK;
    pthread_mutex_lock(&ahead->lock);
    code *c = add_code(item, source, tactic);
    pthread_mutex_unlock(&ahead->lock);
    if (!c) return HONE_NO_MEMORY;
    if (claim(ahead, &c->task)) run_code(ahead, item, c, NULL);
    hone_status status = await(ahead, &c->task);
    memcpy(key, c->key, sizeof c->key);
    *blob = &c->blob;
    return status;
}
