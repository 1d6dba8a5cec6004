// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tuner/rank_priv.h"
#include "tuner/tune_priv.h"

#define OBSERVATIONS_MAX ((size_t)1 << 22)

typedef struct gathering {
    hone_lesson *lesson;
    hone_store *store;
    const char *device;
    char toolchain[512];
    hone_target target;
    hone_lesson_skip skip;
    void *user;
    size_t first;                      // of the problem's observations
} gathering;

static hone_status observe(gathering *g, const char *problem, const hone_ranked *ranked)
{
    hone_lesson *l = g->lesson;
    if (hone_grow(&l->items, l->n, &l->capacity, sizeof *l->items, OBSERVATIONS_MAX)) return HONE_NO_MEMORY;
    hone_observation *o = &l->items[l->n];
    *o = (hone_observation){.ns = ranked->median_ns};
    if (hone_tactic_parse(ranked->tactic, &o->tactic)) return HONE_OK;       // of a later hone
    o->device = hone_strdup(g->device);
    o->problem = hone_strdup(problem);
    l->n++;
    return o->device && o->problem ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status mark_default(void *user, const hone_id *id, const hone_measurement *row)
{
    gathering *g = user;
    hone_tactic tactic;
    (void)id;
    if (strcmp(row->note, HONE_NOTE_DEFAULT) || hone_tactic_parse(row->tactic, &tactic)) return HONE_OK;
    for (size_t k = g->first; k < g->lesson->n; k++)
        if (!memcmp(&g->lesson->items[k].tactic, &tactic, sizeof tactic)) g->lesson->items[k].is_default = true;
    return HONE_OK;
}

static void estimate(gathering *g, const hone_problem *problem)
{
    for (size_t k = g->first; k < g->lesson->n; k++) {
        hone_observation *o = &g->lesson->items[k];
        o->source = hone_source_find(o->tactic.source);
        o->estimate_ns = o->source && o->source->estimate_ns ? o->source->estimate_ns(problem, &o->tactic, &g->target) : 0;
    }
}

static hone_status gather_problem(void *user, const char *text)
{
    gathering *g = user;
    hone_question question = {.device = g->device, .toolchain = g->toolchain, .problem = text, .mode = HONE_MODE_COLD, .allow_stale = true};
    hone_ranked *ranked = NULL;
    hone_problem problem;
    size_t count = 0;
    hone_status status = HONE_OK;
    if ((g->skip && g->skip(g->user, g->device, text)) || hone_problem_parse(text, &problem)) return HONE_OK;
    g->first = g->lesson->n;
    HONE_TRY(hone_store_rank(g->store, &question, &ranked, &count));
    for (size_t k = 0; k < count; k++) HONE_TRY(observe(g, text, &ranked[k]));
    HONE_TRY(hone_store_each_measurement(g->store, g->device, text, mark_default, g));
    estimate(g, &problem);
out:
    hone_free(ranked);
    return status;
}

static hone_status gather_device(void *user, const char *device, int64_t measurements)
{
    gathering *g = user;
    (void)measurements;
    g->device = device;
    if (hone_target_parse(device, &g->target) || strcmp(g->target.kind, "cuda")) return HONE_OK;
    hone_status status = hone_store_find_toolchain(g->store, device, g->toolchain, sizeof g->toolchain);
    if (status) return status == HONE_MISS ? HONE_OK : status;
    return hone_store_each_problem(g->store, device, gather_problem, g);
}

static int by_case(const void *a, const void *b)
{
    const hone_observation *x = a, *y = b;
    char x_text[HONE_TACTIC_TEXT], y_text[HONE_TACTIC_TEXT];
    int order = strcmp(x->device, y->device);
    if (!order) order = strcmp(x->problem, y->problem);
    if (order) return order;
    if (x->ns != y->ns) return x->ns < y->ns ? -1 : 1;
    hone_tactic_print(&x->tactic, x_text);
    hone_tactic_print(&y->tactic, y_text);
    return strcmp(x_text, y_text);
}

hone_status hone_lesson_add(hone_lesson *lesson, hone_store *store, hone_lesson_skip skip, void *user)
{
    gathering g = {.lesson = lesson, .store = store, .skip = skip, .user = user};
    hone_status status = hone_store_each_device(store, gather_device, &g);
    if (!status) qsort(lesson->items, lesson->n, sizeof *lesson->items, by_case);
    return status;
}

void hone_lesson_clear(hone_lesson *lesson)
{
    for (size_t k = 0; k < lesson->n; k++) {
        hone_free(lesson->items[k].device);
        hone_free(lesson->items[k].problem);
    }
    hone_free(lesson->items);
    *lesson = (hone_lesson){0};
}

// ---- cases

static bool is_same_case(const hone_observation *a, const hone_observation *b)
{
    return !strcmp(a->device, b->device) && !strcmp(a->problem, b->problem);
}

bool hone_lesson_next(const hone_lesson *l, hone_case *c)
{
    while (c->next < l->n) {
        const hone_observation *first = &l->items[c->next];
        for (c->n = 0; c->next < l->n && is_same_case(&l->items[c->next], first); c->next++) c->n++;
        c->items = first;
        if (!hone_problem_parse(first->problem, &c->problem) && !hone_target_parse(first->device, &c->target)) return true;
    }
    return false;
}
