// SPDX-License-Identifier: Apache-2.0
#include "tuner/recheck.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tuner/tune_priv.h"

#define SAMPLES 10                     // of each record: as many as a survivor of a race gets
#define RUNS 15                        // with those that verify
#define VERIFY_NS 2e7                  // measured: verifying and timing a tactic on a GPU, compiling ahead included
#define OFFERED_MAX 64

enum { BATCH = 512 };

typedef struct piece {                 // an item of the batch
    size_t item;
    hone_survey_item is;
} piece;

typedef struct batch {
    hone_tune *tune;
    hone_survey *survey;
    hone_recheck_report *report;
    piece pieces[BATCH];               // by problem
    size_t n;
    hone_timed timed[BATCH + OFFERED_MAX];     // of the problem at work
    size_t owners[BATCH + OFFERED_MAX];        // the piece that each is for
    size_t n_timed;
    char *offered[OFFERED_MAX];        // owned: tactics that the store does not know
    size_t n_offered;
    size_t offering;                   // the piece that offers are listed for
} batch;

hone_status hone_recheck_survey(hone_tune *t, hone_survey **survey)
{
    hone_survey_rules rules = hone_survey_usual(t->supervisor.options.worker.seed);
    hone_status status = hone_store_begin_read(t->options.store);
    if (status) return status;
    status = hone_survey_new(t->options.store, t->supervisor.device, t->supervisor.toolchain, hone_tune_mode(t), &rules, survey);
    hone_store_end_read(t->options.store);
    return status;
}

hone_status hone_recheck_cost(hone_tune *t, hone_survey *survey, size_t *items, size_t most, size_t *count, double *seconds)
{
    double ns = 0;
    (void)t;
    hone_status status = hone_survey_ask(survey, items, most, count);
    for (size_t k = 0; k < *count; k++) ns += VERIFY_NS + RUNS * hone_survey_get(survey, items[k]).before_ns;
    *seconds = ns / 1e9;
    return status;
}

// ---- what is offered anew

static hone_status add_offered(void *user, const char *problem, const char *tactic, double estimate_ns)
{
    batch *b = user;
    char family[HONE_FAMILY_TEXT];
    const piece *asking = &b->pieces[b->offering];
    if (!tactic || b->n_offered == OFFERED_MAX || hone_survey_knows(b->survey, asking->item, tactic)) return HONE_OK;
    hone_family_print(problem, tactic, family);
    if (strcmp(family, asking->is.family)) return HONE_OK;
    b->offered[b->n_offered] = hone_strdup(tactic);
    if (!b->offered[b->n_offered]) return HONE_NO_MEMORY;
    b->owners[b->n_timed] = b->offering;
    b->timed[b->n_timed++] = (hone_timed){.tactic = b->offered[b->n_offered++], .expect_ns = estimate_ns > 0 ? estimate_ns : asking->is.before_ns};
    return HONE_OK;
}

// ---- timing

static void clear_problem(batch *b)
{
    for (size_t k = 0; k < b->n_offered; k++) hone_free(b->offered[k]);
    b->n_timed = b->n_offered = 0;
}

// The best of what was timed for a piece. Nothing of what should have been: nothing is told, it is asked for again.
static void tell(batch *b, size_t at)
{
    hone_survey_answer answer = {0};
    bool is_whole = true;
    for (size_t k = 0; k < b->n_timed; k++) {
        if (b->owners[k] != at) continue;
        is_whole = is_whole && b->timed[k].is_timed;
        answer.ran += b->timed[k].is_timed;
        if (!b->timed[k].is_timed || !(b->timed[k].median_ns > 0) || (answer.now_ns > 0 && b->timed[k].median_ns >= answer.now_ns)) continue;
        answer.now_ns = b->timed[k].median_ns;
        answer.noise = b->timed[k].noise;
    }
    b->report->timed += (int64_t)answer.ran;
    if (is_whole) hone_survey_tell(b->survey, b->pieces[at].item, &answer);
}

static hone_status time_problem(void *user, int64_t number, const char *problem)
{
    batch *b = user;
    hone_status status = HONE_OK;
    for (size_t k = 0; k < b->n && !status; k++) {
        const piece *at = &b->pieces[k];
        if (strcmp(at->is.problem, problem)) continue;
        b->offering = k;
        if (!at->is.tactic) status = hone_contest_list(b->tune, number, problem, add_offered, b);
        else b->owners[b->n_timed] = k, b->timed[b->n_timed++] = (hone_timed){.tactic = at->is.tactic, .expect_ns = at->is.before_ns};
    }
    if (!status && b->n_timed) status = hone_contest_time(b->tune, number, problem, b->timed, b->n_timed, SAMPLES);
    for (size_t k = 0; k < b->n && !status; k++)
        if (!strcmp(b->pieces[k].is.problem, problem)) tell(b, k);
    clear_problem(b);
    return status;
}

static int by_problem(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    int order = strcmp(x->is.problem, y->is.problem);
    return order ? order : x->item < y->item ? -1 : x->item > y->item;
}

static hone_status time_batch(batch *b, const size_t *items, size_t count)
{
    const char *problems[BATCH];
    b->n = 0;
    for (size_t k = 0; k < count; k++) {
        hone_survey_item is = hone_survey_get(b->survey, items[k]);
        if (hone_tune_spells(is.problem)) b->pieces[b->n++] = (piece){items[k], is};
        else hone_survey_tell(b->survey, items[k], &(hone_survey_answer){0});
    }
    qsort(b->pieces, b->n, sizeof *b->pieces, by_problem);
    for (size_t k = 0; k < b->n; k++) problems[k] = b->pieces[k].is.problem;
    return hone_tune_walk(b->tune, problems, b->n, time_problem, b);
}

hone_status hone_recheck_run(hone_tune *t, hone_survey *survey, hone_recheck_report *report)
{
    size_t items[BATCH], count;
    batch *b = hone_calloc(1, sizeof *b);
    if (!b) return HONE_NO_MEMORY;
    hone_status status;
    *report = (hone_recheck_report){0};
    b->tune = t;
    b->survey = survey;
    b->report = report;
    HONE_TRY(hone_tune_gap(t));
    while (!report->is_whole && !hone_tune_is_over(t)) {
        HONE_TRY(hone_survey_ask(survey, items, BATCH, &count));
        report->is_whole = !count;
        if (count) HONE_TRY(time_batch(b, items, count));
    }
    HONE_TRY(hone_survey_conclude(survey, t->options.store, &t->ledger.run, &report->rechecks, &report->covered));
out:
    hone_free(b);
    return status;
}
