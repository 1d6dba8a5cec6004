// SPDX-License-Identifier: Apache-2.0
#include "tuner/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "tuner/rank_priv.h"

#define SHUFFLES 16                    // of random order, whose mean counts
#define NEAR_FROM 8                    // trials before neighbours are sought

typedef struct trial {                 // a candidate with what orders it
    const hone_observation *seen;
    double key;                        // the lowest goes first
    double place;                      // 0..1, by the first keys
    bool is_tried;
} trial;

typedef struct field {
    const hone_case *c;
    trial *trials;                     // owned; trials[k] is of c->items[k]
    uint64_t seed;
    double best_ns;                    // of those tried
    const hone_observation *best;
} field;

typedef struct strategy {
    const char *name;
    bool needs_ranking;
    int repeats;
    void (*key)(field *f, const hone_ranking *ranking);
    void (*rekey)(field *f);           // after each trial; NULL: the order stands
} strategy;

// ---- keys

// Those of equal estimate in the order of their spelling, which says nothing of their time.
static void sort_by_estimate(const field *f, size_t *order)
{
    char texts[2][HONE_TACTIC_TEXT];
    for (size_t k = 0, at; k < f->c->n; k++) {
        const hone_observation *o = f->trials[k].seen;
        hone_tactic_print(&o->tactic, texts[0]);
        for (at = k; at > 0; at--) {
            const hone_observation *before = f->trials[order[at - 1]].seen;
            hone_tactic_print(&before->tactic, texts[1]);
            if (before->estimate_ns < o->estimate_ns || (before->estimate_ns == o->estimate_ns && strcmp(texts[1], texts[0]) < 0)) break;
            order[at] = order[at - 1];
        }
        order[at] = k;
    }
}

static void key_estimate(field *f, const hone_ranking *ranking)
{
    size_t *order = hone_alloc((f->c->n + 1) * sizeof *order);
    (void)ranking;
    if (order) sort_by_estimate(f, order);
    for (size_t k = 0; k < f->c->n && order; k++) f->trials[order[k]].key = (double)k;
    hone_free(order);
}

static void key_learned(field *f, const hone_ranking *ranking)
{
    for (size_t k = 0; k < f->c->n; k++) {
        const hone_observation *o = f->trials[k].seen;
        f->trials[k].key = hone_ranking_score(ranking, &f->c->problem, &o->tactic, &f->c->target, o->source, o->estimate_ns);
    }
}

// As tuning does: by estimate, and of that order the learned one. Libraries' own orders are not recorded.
static void key_tuning(field *f, const hone_ranking *ranking)
{
    size_t n = f->c->n, *by_estimate = hone_alloc((n + 1) * sizeof *by_estimate), *order = hone_alloc((n + 1) * sizeof *order);
    double *scores = hone_alloc((n + 1) * sizeof *scores);
    key_learned(f, ranking);
    if (by_estimate && order && scores) {
        sort_by_estimate(f, by_estimate);
        for (size_t k = 0; k < n; k++) scores[k] = f->trials[by_estimate[k]].key;
        hone_ranking_order(scores, n, order);
        for (size_t k = 0; k < n; k++) f->trials[by_estimate[order[k]]].key = (double)k;
    }
    hone_free(by_estimate);
    hone_free(order);
    hone_free(scores);
}

// The recorded order is by time: a draw for each place knows nothing of it.
static void key_random(field *f, const hone_ranking *ranking)
{
    (void)ranking;
    for (size_t k = 0; k < f->c->n; k++) f->trials[k].key = hone_rng_uniform(f->seed, 0, k);
}

// How many parameters two tactics of one kernel have apart; vendors' words count as one.
static double distance(const hone_tactic *a, const hone_tactic *b)
{
    double apart = strcmp(a->vendor, b->vendor) != 0;
    if (strcmp(a->source, b->source) || strcmp(a->kernel, b->kernel) || a->n != b->n) return HONE_PARAMS_MAX + 1;
    for (int k = 0; k < a->n; k++) apart += a->params[k].value != b->params[k].value;
    return apart;
}

// The first few by the first order, then whoever is nearest to the best so far; the first order decides between equals.
static void rekey_near(field *f)
{
    size_t tried = 0;
    for (size_t k = 0; k < f->c->n; k++) tried += f->trials[k].is_tried;
    for (size_t k = 0; k < f->c->n && tried >= NEAR_FROM; k++)
        f->trials[k].key = distance(&f->trials[k].seen->tactic, &f->best->tactic) + f->trials[k].place;
}

static const strategy strategies[] = {
    {"estimate", false, 1, key_estimate, NULL},
    {"learned", true, 1, key_learned, NULL},
    {"learned within the estimate", true, 1, key_tuning, NULL},
    {"random", false, SHUFFLES, key_random, NULL},
    {"estimate, then near the best", false, 1, key_estimate, rekey_near},
    {"learned, then near the best", true, 1, key_learned, rekey_near},
};
const int hone_strategy_count = sizeof strategies / sizeof *strategies;

const char *hone_strategy_name(int number)
{
    return strategies[number].name;
}

bool hone_strategy_needs_ranking(int number)
{
    return strategies[number].needs_ranking;
}

// ---- replaying

static trial *find_next(field *f)
{
    trial *next = NULL;
    for (size_t k = 0; k < f->c->n; k++) {
        trial *t = &f->trials[k];
        if (t->is_tried) continue;
        bool is_first = !next || t->seen->is_default > next->seen->is_default ||
                        (t->seen->is_default == next->seen->is_default && t->key < next->key);
        if (is_first) next = t;
    }
    return next;
}

static void set_places(field *f)
{
    for (size_t k = 0; k < f->c->n; k++) {
        size_t before = 0;
        for (size_t j = 0; j < f->c->n; j++) before += f->trials[j].key < f->trials[k].key;
        f->trials[k].place = (double)before / (double)f->c->n;
    }
}

static void run(const strategy *s, field *f, const int *budgets, int n_budgets, double shares[HONE_STRATEGY_BUDGETS])
{
    int tried = 0;
    for (trial *t; (t = find_next(f));) {
        t->is_tried = true;
        tried++;
        if (!f->best || t->seen->ns < f->best_ns) {
            f->best = t->seen;
            f->best_ns = t->seen->ns;
        }
        bool is_last = tried == (int)f->c->n;
        for (int b = 0; b < n_budgets; b++)
            if (tried == budgets[b] || (is_last && tried < budgets[b])) shares[b] += f->c->items[0].ns / f->best_ns / s->repeats;
        if (s->rekey) s->rekey(f);
    }
}

static hone_status replay_case(const strategy *s, const hone_case *c, const hone_ranking *ranking, const int *budgets, int n_budgets,
                               hone_replayed *replayed)
{
    double shares[HONE_STRATEGY_BUDGETS] = {0};
    field f = {.c = c, .trials = hone_alloc((c->n + 1) * sizeof *f.trials)};
    if (!f.trials) return HONE_NO_MEMORY;
    for (int r = 0; r < s->repeats; r++) {
        for (size_t k = 0; k < c->n; k++) f.trials[k] = (trial){.seen = &c->items[k]};
        f.seed = (uint64_t)r;
        f.best = NULL;
        s->key(&f, ranking);
        if (s->rekey) set_places(&f);
        run(s, &f, budgets, n_budgets, shares);
    }
    hone_free(f.trials);
    for (int b = 0; b < n_budgets; b++) {
        replayed->log_sum[b] += log(shares[b]);
        replayed->least[b] = replayed->cases ? fmin(replayed->least[b], shares[b]) : shares[b];
    }
    replayed->cases++;
    replayed->candidates += (int64_t)c->n;
    return HONE_OK;
}

hone_status hone_strategy_replay(int number, const hone_lesson *lesson, const hone_ranking *ranking, const int *budgets, int n_budgets,
                                 int fewest, hone_replayed *replayed)
{
    hone_case *c = hone_calloc(1, sizeof *c);
    hone_status status = c ? HONE_OK : HONE_NO_MEMORY;
    while (!status && hone_lesson_next(lesson, c))
        if (c->n >= (size_t)fewest) status = replay_case(&strategies[number], c, ranking, budgets, n_budgets, replayed);
    hone_free(c);
    return status;
}
