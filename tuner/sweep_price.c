// SPDX-License-Identifier: Apache-2.0
// What a problem of a sweep costs and what it is worth. Cost: what tuning it took before on this device, else what the candidates that can
// be listed without a device will take. Worth: over all registered networks, how often each needs it, times what the best way known
// now (the reference's estimate where none is) lies above the roofline.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "tuner/ahead.h"
#include "tuner/expect.h"
#include "tuner/needs.h"
#include "tuner/sweep.h"
#include "tuner/tune_priv.h"

#define ROWS_MAX ((size_t)1 << 24)
#define TRIAL_RUNS 6                   // a warm-up and those that verify, beside the samples
#define LIBRARY_POINTS_MOST 100        // of one library for one problem, where all are tried

// Besides its runs: preparing and verifying a candidate, and, where there are compilers, compiling on the processors of one GPU. Measured
// on an H200 with 16 of them: 8,849 candidates of 1,148 problems in 214 s, 8,233 of 1,085 in 171 s.
static const struct rates { const char *kind; double candidate_ns, compile_ns, problem_ns; } rates[] = {
    {"cpu", 5e6, 0, 5e6}, {"", 8e6, 2e7, 1e7},
};

static const struct rates *rates_of(const char *kind)
{
    return !strcmp(kind, rates[0].kind) ? &rates[0] : &rates[1];
}

// ---- what is known, sorted by problem

typedef struct past {
    char *problem;                     // owned
    char source[16];                   // what it took to try its tactics; "": to time them
    double seconds;
} past;

typedef struct prices {
    const hone_sweep *sweep;
    hone_target target;
    hone_tune_scope scope;
    const struct rates *rates;
    hone_race_rules rules;
    hone_needs needs;
    past *pasts;
    size_t n_pasts, pasts_capacity;
    hone_problem *problem;             // owned: of the past that is read
} prices;

static hone_status add_own_needs(prices *p)
{
    for (size_t n = 0; n < p->sweep->n_networks; n++) {
        const hone_sweep_network *network = &p->sweep->networks[n];
        char digest[HONE_ID_TEXT];
        hone_id_print(&network->digest, digest);
        for (size_t k = 0; k < network->n; k++) {
            hone_status status = hone_needs_add(&p->needs, digest, network->needs[k].problem, network->needs[k].times);
            if (status != HONE_OK) return status;
        }
    }
    return HONE_OK;
}

static size_t breadth(hone_effort effort, const char *kind)
{
    size_t points, others;
    hone_effort_limits(effort, kind, false, &points, &others);
    return points + others;
}

// Besides its runs. problem may be NULL where the source does not ask for it.
static double candidate_ns(const prices *p, const hone_source *source, const hone_problem *problem)
{
    return p->rates->candidate_ns + (source->compile ? p->rates->compile_ns : 0) + (source->prepare_ns && problem ? source->prepare_ns(problem) : 0);
}

// What another effort took is scaled by how many candidates the two try.
static hone_status add_past(void *user, const hone_history *history)
{
    prices *p = user;
    hone_effort effort;
    if (!hone_effort_parse(history->effort, &effort) || effort < HONE_EFFORT_QUICK) return HONE_OK;
    if (hone_grow(&p->pasts, p->n_pasts, &p->pasts_capacity, sizeof *p->pasts, ROWS_MAX)) return HONE_NO_MEMORY;
    const hone_source *source = hone_source_find(history->source);
    const hone_problem *problem = source && source->prepare_ns && !hone_problem_parse(history->problem, p->problem) ? p->problem : NULL;
    double each_ns = source ? candidate_ns(p, source, problem) : p->rates->candidate_ns;
    double ns = (double)history->tried * each_ns + (double)history->samples * p->rules.overhead_ns + history->samples_ns + TRIAL_RUNS * history->medians_ns;
    double scale = (double)breadth(p->scope.effort, p->scope.kind) / (double)breadth(effort, p->scope.kind);
    past *added = &p->pasts[p->n_pasts];
    *added = (past){.problem = hone_strdup(history->problem), .seconds = ns * scale / 1e9};
    snprintf(added->source, sizeof added->source, "%s", history->source);
    return added->problem ? (p->n_pasts++, HONE_OK) : HONE_NO_MEMORY;
}

static int by_past(const void *a, const void *b)
{
    const past *x = a, *y = b;
    int order = strcmp(x->problem, y->problem);
    return order ? order : strcmp(x->source, y->source);
}

// The first of the pasts with this problem, or where it would be.
static size_t find_past(const prices *p, const char *problem)
{
    size_t low = 0, high = p->n_pasts;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(p->pasts[middle].problem, problem) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

// Of several runs the longest: a shorter one went on where another had stopped. 0: it was never tuned.
static double past_seconds(const prices *p, const char *problem)
{
    double sum = 0;
    size_t at = find_past(p, problem);
    while (at < p->n_pasts && !strcmp(p->pasts[at].problem, problem)) {
        const char *source = p->pasts[at].source;
        double most = 0;
        for (; at < p->n_pasts && !strcmp(p->pasts[at].problem, problem) && !strcmp(p->pasts[at].source, source); at++)
            most = fmax(most, p->pasts[at].seconds);
        sum += most;
    }
    return sum > 0 ? sum + p->rates->problem_ns / 1e9 : 0;
}

// ---- estimates

// A vendor's library lists its points only beside a device: not one is here, and of each only as many as are tried are reckoned with, below.
static hone_status count_candidates(const prices *p, const hone_problem *problem, hone_candidates *all)
{
    const hone_choosing how = {.kind = p->scope.kind, .effort = p->scope.effort};
    for (int k = 0; k < hone_source_count; k++) {
        if (!hone_source_is_wanted(hone_sources[k], p->scope.sources, p->scope.kind)) continue;
        hone_status status = hone_candidates_add(all, hone_sources[k], problem, &p->target, NULL, &how);
        if (status == HONE_NO_MEMORY) return status;
    }
    return HONE_OK;
}

static double reference_ns(const prices *p, const hone_problem *problem)
{
    double all = hone_expect_cost_ns(problem), threads = p->target.threads > 0 ? p->target.threads : 1;
    return fmin(all / threads, HONE_EXPECT_POINTS_NS);
}

static double libraries_ns(const prices *p, const hone_problem *problem)
{
    size_t points, others;
    double ns = 0;
    hone_effort_limits(p->scope.effort, p->scope.kind, false, &points, &others);
    for (int k = 0; k < hone_source_count; k++)
        if (hone_sources[k]->prepare_ns && hone_source_is_wanted(hone_sources[k], p->scope.sources, p->scope.kind))
            ns += fmin((double)others, LIBRARY_POINTS_MOST) * hone_sources[k]->prepare_ns(problem);
    return ns;
}

static hone_status estimate_seconds(const prices *p, const hone_problem *problem, double *seconds)
{
    hone_candidates all = {0};
    double best = INFINITY, ns = p->rates->problem_ns + reference_ns(p, problem);
    hone_status status = count_candidates(p, problem, &all);
    for (size_t k = 0; k < all.n; k++)
        if (all.items[k].estimate_ns > 0) best = fmin(best, all.items[k].estimate_ns);
    for (size_t k = 0; k < all.n; k++) {
        double run_ns = all.items[k].estimate_ns;
        if (run_ns > HONE_HOPELESS_ESTIMATE * best && p->scope.effort < HONE_EFFORT_EXHAUSTIVE) continue;
        ns += candidate_ns(p, all.items[k].source, problem) + p->rules.first * p->rules.overhead_ns + (p->rules.first + TRIAL_RUNS) * run_ns;
    }
    ns += libraries_ns(p, problem);
    double race_ns = p->rules.last * p->rules.most * (p->rules.overhead_ns + best);
    *seconds = (ns + fmin(race_ns, p->rules.limit_ns)) / 1e9;
    hone_candidates_clear(&all);
    return status;
}

// What a network takes now: the best that a build could use, stale or of a sibling if there is nothing else, or the reference.
static hone_status current_ns(const prices *p, hone_store *store, const hone_problem *problem, const char *spelling, double *ns)
{
    hone_question question = {.device = p->scope.device, .toolchain = p->scope.toolchain, .problem = spelling, .mode = HONE_MODE_COLD,
                              .allow_stale = true, .allow_approximate = true};
    hone_ranked *ranked;
    size_t n;
    hone_status status = hone_store_rank(store, &question, &ranked, &n);
    const hone_source *reference = hone_source_find("ref");
    if (status == HONE_OK) *ns = n ? ranked[0].median_ns : reference->estimate_ns(problem, &(hone_tactic){0}, &p->target);
    hone_free(ranked);
    return status;
}

static double rounded(double value, double unit)
{
    return isfinite(value) ? round(value * unit) / unit : 0;
}

static hone_status price_gain(const prices *p, hone_store *store, hone_sweep_problem *at)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    double now_ns = 0;
    if (!problem) return HONE_NO_MEMORY;
    hone_status status;
    HONE_TRY(hone_problem_parse(at->spelling, problem));
    HONE_TRY(current_ns(p, store, problem, at->spelling, &now_ns));
    at->gain_ns = rounded(fmax(1, hone_needs_uses(&p->needs, at->spelling)) * fmax(0, now_ns - hone_roofline_ns(problem, &p->target)), 1);
out:
    hone_free(problem);
    return status;
}

static hone_status price_seconds(const prices *p, hone_sweep_problem *at)
{
    hone_status status = HONE_OK;
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    at->seconds = past_seconds(p, at->spelling);
    if (!(at->seconds > 0)) HONE_TRY(hone_problem_parse(at->spelling, problem));
    if (!(at->seconds > 0)) HONE_TRY(estimate_seconds(p, problem, &at->seconds));
    at->seconds = fmax(0.001, rounded(at->seconds, 1000));
out:
    hone_free(problem);
    return status;
}

typedef struct pricing {
    const prices *prices;
    hone_sweep_problem *problems;
    _Atomic int failed;                // a hone_status
} pricing;

// Listing the candidates of a problem takes some 40 ms of a processor, and needs no store.
static void price_some(void *user, int64_t begin, int64_t end, int worker)
{
    pricing *all = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        hone_status status = price_seconds(all->prices, &all->problems[k]);
        if (status != HONE_OK) all->failed = (int)status;
    }
}

static hone_status price_all(const prices *p, hone_sweep_problem *problems, size_t n)
{
    pricing all = {.prices = p, .problems = problems};
    hone_parallel((int64_t)n, 1, hone_cpu_count(), price_some, &all);
    return all.failed ? hone_fail((hone_status)all.failed, "cannot estimate what tuning a problem takes") : HONE_OK;
}

hone_status hone_sweep_price(hone_sweep *sweep, hone_store *store)
{
    prices p = {.sweep = sweep, .scope = hone_sweep_scope(sweep, sweep->toolchain)};
    hone_status status;
    p.rates = rates_of(p.scope.kind);
    p.rules = hone_contest_rules(p.scope.effort, p.scope.kind);
    p.problem = hone_alloc(sizeof *p.problem);
    if (!p.problem) HONE_TRY(HONE_NO_MEMORY);
    HONE_TRY(hone_target_parse(sweep->device, &p.target));
    HONE_TRY(add_own_needs(&p));
    HONE_TRY(hone_needs_collect(&p.needs, store));
    HONE_TRY(hone_store_each_history(store, sweep->device, HONE_MODE_COLD, add_past, &p));
    if (p.n_pasts) qsort(p.pasts, p.n_pasts, sizeof *p.pasts, by_past);
    for (size_t k = 0; k < sweep->n; k++) HONE_TRY(price_gain(&p, store, &sweep->problems[k]));
    status = price_all(&p, sweep->problems, sweep->n);
out:
    for (size_t k = 0; k < p.n_pasts; k++) hone_free(p.pasts[k].problem);
    hone_needs_clear(&p.needs);
    hone_free(p.pasts);
    hone_free(p.problem);
    return status;
}
