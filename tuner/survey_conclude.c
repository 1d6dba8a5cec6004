// SPDX-License-Identifier: Apache-2.0
// What a survey decided, as rows.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/source.h"
#include "tuner/survey_priv.h"

#define SAME_SCALE 0.002               // a scale that moved by less is not worth a row

// The versions that a toolchain has of the libraries that `depends` names; false when it lacks one.
static bool versions_now(const char *toolchain, const char *depends, char *now, size_t capacity)
{
    char names[256] = "";
    size_t used = 0, asked = 0, found = 0;
    for (const char *at = depends + strspn(depends, " "); *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " "), name = strcspn(at, "= ");
        if (used + name + 2 > sizeof names) return false;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.*s", used ? " " : "", (int)name, at);
        asked++;
        at += size;
    }
    hone_toolchain_pick(toolchain, names, now, capacity);
    for (const char *at = now; *at; at += strcspn(at, " "), at += strspn(at, " ")) found++;
    return asked > 0 && found == asked;
}

// ---- rechecks

typedef struct known {
    char *family, *depends, *now, *mode;       // in the arena
    hone_recheck_decision decision;
    double scale;
} known;

typedef struct known_list {
    hone_arena *arena;             // borrowed
    known *items;                  // owned; the latest last
    size_t n, capacity;
} known_list;

static hone_status add_known(void *user, const hone_recheck *row, const char *writer)
{
    known_list *list = user;
    (void)writer;
    if (hone_grow(&list->items, list->n, &list->capacity, sizeof *list->items, (size_t)1 << 24)) return HONE_NO_MEMORY;
    known *made = &list->items[list->n];
    *made = (known){hone_arena_strdup(list->arena, row->family), hone_arena_strdup(list->arena, row->depends), hone_arena_strdup(list->arena, row->now),
                    hone_arena_strdup(list->arena, row->mode), row->decision, row->scale};
    return made->family && made->depends && made->now && made->mode ? (list->n++, HONE_OK) : HONE_NO_MEMORY;
}

static bool is_known(const known_list *list, const hone_recheck *row)
{
    for (size_t k = list->n; k-- > 0;) {
        const known *at = &list->items[k];
        if (strcmp(at->family, row->family) || strcmp(at->depends, row->depends) || strcmp(at->now, row->now) || strcmp(at->mode, row->mode)) continue;
        return at->decision == row->decision && fabs(at->scale - row->scale) <= SAME_SCALE * row->scale;
    }
    return false;
}

static hone_status put_rechecks(const hone_survey *s, hone_store *store, const hone_id *run, const known_list *list, int64_t *put)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < s->n_kin && status == HONE_OK; k++) {
        const hone_survey_family *family = &s->kin[k].is;
        char now[512];
        if (!family->is_decided || family->is_anew || !versions_now(s->toolchain, family->depends, now, sizeof now)) continue;
        hone_recheck row = {.run = *run, .device = s->device, .family = family->family, .depends = family->depends, .now = now, .mode = s->mode,
                            .decision = family->decision, .scale = family->scale, .low = family->low, .high = family->high, .timed = (int64_t)family->timed};
        if (is_known(list, &row)) continue;
        status = hone_store_put_recheck(store, &row);
        *put += status == HONE_OK;
    }
    return status;
}

// ---- coverage

typedef struct covered {           // what was tried before
    const char *problem, *source, *effort;     // in the arena
    int version;
} covered;

typedef struct covered_list {
    const hone_survey *survey;
    covered *items;                // owned
    size_t n, capacity;
} covered_list;

static hone_status add_covered(void *user, const hone_coverage *row)
{
    covered_list *list = user;
    const hone_source *source = hone_source_find(row->source);
    char depends[512];
    if (!source || source->version != row->version) return HONE_OK;
    hone_toolchain_pick(list->survey->toolchain, source->depends, depends, sizeof depends);
    if (!strcmp(depends, row->depends)) return HONE_OK;
    if (hone_grow(&list->items, list->n, &list->capacity, sizeof *list->items, (size_t)1 << 24)) return HONE_NO_MEMORY;
    covered *made = &list->items[list->n];
    *made = (covered){hone_arena_strdup(list->survey->arena, row->problem), source->name, hone_arena_strdup(list->survey->arena, row->effort), row->version};
    return made->problem && made->effort ? (list->n++, HONE_OK) : HONE_NO_MEMORY;
}

static int by_spelling(const void *key, const void *item)
{
    return strcmp(key, ((const hone_survey_problem *)item)->spelling);
}

static bool is_of_source(const char *tactic, const char *source)
{
    size_t size = strlen(source);
    return !strncmp(tactic, source, size) && strchr(".@ ", tactic[size]);
}

// All families of a source are kept or rescaled.
static bool is_unchanged(const hone_survey *s, const char *source)
{
    size_t families = 0;
    for (size_t k = 0; k < s->n_kin; k++) {
        const hone_survey_family *family = &s->kin[k].is;
        if (family->is_anew || !is_of_source(family->family, source)) continue;
        if (!hone_survey_stands(&s->kin[k])) return false;
        families++;
    }
    return families > 0;
}

// All that is known of a source on a problem holds now. Where nothing is, the source had nothing to offer, or nothing worth keeping: so it has if
// it did not change elsewhere.
static bool holds(const hone_survey *s, const covered *tried)
{
    const hone_survey_problem *problem = s->n_problems ? bsearch(tried->problem, s->problems, s->n_problems, sizeof *s->problems, by_spelling) : NULL;
    size_t records = 0;
    for (size_t k = problem ? problem->from : 0; problem && k < problem->to; k++) {
        const hone_survey_record *record = &s->records[k];
        if (!is_of_source(record->is.tactic, tried->source)) continue;
        if (record->has_failed || !isfinite(hone_survey_usable_ns(s, record))) return false;
        records++;
    }
    return problem && (records || is_unchanged(s, tried->source));
}

static hone_status put_coverage(const hone_survey *s, hone_store *store, const covered_list *list, int64_t *put)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < list->n && status == HONE_OK; k++) {
        const covered *tried = &list->items[k];
        char depends[512];
        if (!holds(s, tried)) continue;
        hone_toolchain_pick(s->toolchain, hone_source_find(tried->source)->depends, depends, sizeof depends);
        hone_coverage row = {.device = s->device, .depends = depends, .problem = tried->problem, .source = tried->source, .version = tried->version,
                             .effort = tried->effort};
        bool is_covered;
        status = hone_store_find_coverage(store, &row, &is_covered);
        if (status != HONE_OK || is_covered) continue;
        status = hone_store_put_coverage(store, &row);
        *put += status == HONE_OK;
    }
    return status;
}

hone_status hone_survey_conclude(hone_survey *s, hone_store *store, const hone_id *run, int64_t *put, int64_t *covered_rows)
{
    known_list known_ones = {.arena = s->arena};
    covered_list tried = {.survey = s};
    *put = *covered_rows = 0;
    hone_survey_judge(s);
    hone_status status = hone_store_each_recheck(store, s->device, add_known, &known_ones);
    if (status == HONE_OK) status = hone_store_each_coverage(store, s->device, add_covered, &tried);
    if (status == HONE_OK) status = hone_store_begin_group(store);
    if (status == HONE_OK) {
        status = put_rechecks(s, store, run, &known_ones, put);
        if (status == HONE_OK) status = put_coverage(s, store, &tried, covered_rows);
        hone_status ended = hone_store_end_group(store);
        if (status == HONE_OK) status = ended;
    }
    hone_free(known_ones.items);
    hone_free(tried.items);
    return status;
}
