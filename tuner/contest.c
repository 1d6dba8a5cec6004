// SPDX-License-Identifier: Apache-2.0
// One problem from its candidates to its rows: who enters, the race, what is kept.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "profiler/stats.h"
#include "tuner/contest_priv.h"

#define MEDIAN_DEVIATION 1.86          // of a median of n normal samples, in units of their median deviation over the root of n

// ---- who enters

static bool is_known_bad(hone_contest *c, const hone_entrant *e)
{
    hone_tune *t = c->tune;
    hone_question question = {.device = t->supervisor.device, .toolchain = t->supervisor.toolchain, .problem = c->problem, .mode = hone_tune_mode(t)};
    hone_verdict verdict;
    bool found = false;
    if (t->options.store && hone_store_find_bad(t->options.store, &question, e->tactic, &verdict, &found) != HONE_OK) return false;
    return found;
}

static bool is_hopeless(const hone_contest *c, const hone_entrant *e)
{
    double best = hone_race_best_ns(&c->race);
    return best > 0 && !e->is_default && hone_tune_effort(c->tune) < HONE_EFFORT_EXHAUSTIVE && e->estimate_ns > HONE_HOPELESS_ESTIMATE * best;
}

// A library whose default lies this far behind is not searched further. In half of what was recorded on an H100 cuDNN does, and the fastest of
// it comes to 99.96% of what a search finds (docs/tuning.md).
static double lagging_factor(hone_effort effort)
{
    return effort == HONE_EFFORT_QUICK ? 1.3 : effort == HONE_EFFORT_FULL ? 1.5 : HUGE_VAL;
}

static bool is_lagging(const hone_contest *c, const hone_entrant *e)
{
    double best = hone_race_best_ns(&c->race);
    for (size_t k = 0; k < c->n && e->is_point; k++) {
        const hone_entrant *other = &c->entrants[k];
        if (!other->is_default || strcmp(other->source, e->source) || other->racer < 0 || !c->race.racers[other->racer].n) continue;
        return c->race.racers[other->racer].median > lagging_factor(hone_tune_effort(c->tune)) * best;
    }
    return false;
}

static hone_status enter(hone_contest *c, hone_entrant *e)
{
    hone_answer *answer = hone_alloc(sizeof *answer);
    if (!answer) return HONE_NO_MEMORY;
    hone_status status = hone_contest_try(c, e, c->race.rules.first, answer);
    if (status || c->is_over || c->is_refused) {
        hone_free(answer);
        return status;
    }
    e->answer = answer;
    c->tune->report.candidates++;
    hone_offer *offer = hone_contest_find_offer(c, e->source);
    if (offer) offer->tried++;
    if (answer->verdict != HONE_VERDICT_OK) return hone_contest_store(c, e);
    status = hone_race_enter(&c->race, e->tactic, answer->workspace_bytes, answer->samples_ns, (size_t)answer->n);
    e->racer = (int)c->race.n - 1;
    return status ? status : hone_contest_retire(c);
}

hone_status hone_contest_enter_all(hone_contest *c)
{
    hone_tune *t = c->tune;
    hone_status status = HONE_OK;
    for (size_t k = 0; k < c->n && !status && !c->is_over && !c->is_refused; k++) {
        hone_entrant *e = &c->entrants[k];
        if (hone_tune_is_over(t)) c->is_over = true;
        else if (is_hopeless(c, e)) t->report.hopeless++;
        else if (is_lagging(c, e)) t->report.lagging++;
        else if (is_known_bad(c, e)) t->report.known_bad++;
        else status = enter(c, e);
        hone_tune_say(t, c->problem);
    }
    return status;
}

hone_entrant *hone_contest_entrant_of(hone_contest *c, size_t racer)
{
    for (size_t k = 0; k < c->n; k++)
        if (c->entrants[k].racer == (int)racer) return &c->entrants[k];
    return NULL;
}

// Who fails under more samples loses its time: the verdict replaces it.
static hone_status run_further(hone_contest *c, size_t racer, int samples)
{
    hone_entrant *e = hone_contest_entrant_of(c, racer);
    hone_answer *answer = hone_alloc(sizeof *answer);
    if (!answer) return HONE_NO_MEMORY;
    hone_status status = hone_contest_try(c, e, samples, answer);
    if (status || c->is_over || c->is_refused) {
        hone_free(answer);
        return status;
    }
    if (answer->verdict == HONE_VERDICT_OK) {
        if (answer->error > e->answer->error) e->answer->error = answer->error;
        status = hone_race_tell(&c->race, racer, answer->samples_ns, (size_t)answer->n);
        hone_free(answer);
        return status;
    }
    hone_free(e->answer);
    e->answer = answer;
    hone_race_withdraw(&c->race, racer);
    return hone_contest_store(c, e);
}

static hone_status race(hone_contest *c)
{
    hone_status status = HONE_OK;
    size_t racer;
    int samples;
    while (!status && !c->is_over && !c->is_refused && hone_race_ask(&c->race, &racer, &samples)) {
        if (hone_tune_is_over(c->tune)) c->is_over = true;
        else status = run_further(c, racer, samples);
        if (!status) status = hone_contest_retire(c);
    }
    return status;
}

hone_race_rules hone_contest_rules(hone_effort effort, const char *kind)
{
    static const struct { int most; double gpu_ns, cpu_ns; } efforts[] = {
        [HONE_EFFORT_LOOKUP] = {25, 2e7, 5e7}, [HONE_EFFORT_ESTIMATE] = {25, 2e7, 5e7}, [HONE_EFFORT_QUICK] = {25, 2e7, 5e7},
        [HONE_EFFORT_FULL] = {50, 2e8, 2e9},   [HONE_EFFORT_EXHAUSTIVE] = {50, 1e9, 1e10},
    };
    bool is_cpu = !strcmp(kind, "cpu");
    return (hone_race_rules){
        .first = 3, .middle = 10, .most = efforts[effort].most, .round = 5, .last = 4, .hopeless = 1.15, .close = 0.005,
        .limit_ns = is_cpu ? efforts[effort].cpu_ns : efforts[effort].gpu_ns, .overhead_ns = is_cpu ? 4e6 : 1e5,      // evicting the cache
    };
}

hone_status hone_contest_init(hone_contest *c, hone_tune *t, int64_t number, const char *problem)
{
    bool all;
    hone_race_rules rules = hone_contest_rules(hone_tune_effort(t), t->supervisor.kind);
    rules.seed = t->supervisor.options.worker.seed;
    *c = (hone_contest){.tune = t, .number = number, .problem = problem};
    hone_race_init(&c->race, &rules);
    hone_status status = hone_problem_parse(problem, &c->parsed);
    return status ? status : hone_contest_coverage(t, problem, c->offers, &all);
}

void hone_contest_clear(hone_contest *c)
{
    if (c->tune->supervisor.pid) hone_supervisor_tell(&c->tune->supervisor, "end\t%lld", (long long)c->number);
    hone_race_clear(&c->race);
    for (size_t k = 0; k < c->n; k++) {
        hone_free(c->entrants[k].tactic);
        hone_free(c->entrants[k].answer);
    }
    hone_free(c->entrants);
}

hone_status hone_contest_run(hone_tune *t, int64_t number, const char *problem)
{
    hone_contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = hone_contest_init(c, t, number, problem), kept;
    HONE_TRY(status);
    HONE_TRY(hone_contest_ask_offer(c));
    HONE_TRY(hone_contest_enter_all(c));
    HONE_TRY(race(c));
out:
    // Whatever happened, what was measured is kept.
    kept = HONE_OK;
    for (size_t k = 0; k < c->n && !kept; k++) kept = hone_contest_store(c, &c->entrants[k]);
    if (!kept && !status && c->race.n) kept = hone_contest_store_artifacts(c);
    if (!kept && !status && c->race.n) kept = hone_ledger_problem(&t->ledger, problem, (int64_t)hone_problem_flops(&c->parsed), (int64_t)hone_problem_bytes(&c->parsed));
    if (!kept && !status && !c->is_over && !c->is_refused) kept = hone_contest_store_coverage(c);
    t->report.refused += c->is_refused;
    t->report.done += !status && !c->is_over && !c->is_refused;
    hone_contest_clear(c);
    hone_free(c);
    return status ? status : kept;
}

// ---- tactics that somebody names

static hone_status add_named(hone_contest *c, const hone_timed *wanted)
{
    hone_entrant entrant = {.racer = -1, .estimate_ns = wanted->expect_ns, .tactic = hone_strdup(wanted->tactic)};
    if (!entrant.tactic || hone_grow(&c->entrants, c->n, &c->capacity, sizeof *c->entrants, HONE_ENTRANTS_MAX)) {
        hone_free(entrant.tactic);
        return HONE_NO_MEMORY;
    }
    snprintf(entrant.source, sizeof entrant.source, "%.*s", (int)strcspn(wanted->tactic, ".@ "), wanted->tactic);
    c->entrants[c->n++] = entrant;
    return HONE_OK;
}

static hone_status enter_named(hone_contest *c, hone_timed *wanted, size_t n)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < n && !status; k++) status = add_named(c, &wanted[k]);
    for (size_t k = 0; k < c->n && !status && !c->is_over && !c->is_refused; k++) {
        hone_entrant *e = &c->entrants[k];
        if (hone_tune_is_over(c->tune)) c->is_over = true;
        else status = enter(c, e);
        wanted[k].is_timed = e->answer || c->is_refused;       // a problem that is refused fails all of its tactics
        if (e->racer < 0) continue;
        const hone_racer *racer = &c->race.racers[e->racer];
        wanted[k].median_ns = racer->median;
        wanted[k].noise = MEDIAN_DEVIATION * hone_stats_mad(racer->samples, racer->n) / sqrt((double)racer->n) / racer->median;
    }
    return status;
}

hone_status hone_contest_time(hone_tune *t, int64_t number, const char *problem, hone_timed *wanted, size_t n, int samples)
{
    hone_contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = hone_contest_init(c, t, number, problem);
    c->race.rules.first = samples;
    c->race.rules.hopeless = INFINITY;     // nobody is out: all are worth their samples
    if (!status) status = enter_named(c, wanted, n);
    if (!status && c->race.n) status = hone_contest_store_artifacts(c);
    for (size_t k = 0; k < c->n && !status; k++) status = hone_contest_store(c, &c->entrants[k]);
    hone_contest_clear(c);
    hone_free(c);
    return status;
}

// ---- listing

hone_status hone_contest_list(hone_tune *t, int64_t number, const char *problem, hone_candidate_each each, void *user)
{
    hone_contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = hone_contest_init(c, t, number, problem);
    HONE_TRY(status);
    HONE_TRY(hone_contest_ask_offer(c));
    HONE_TRY(each(user, problem, NULL, 0));
    for (size_t k = 0; k < c->n; k++)
        if (!is_known_bad(c, &c->entrants[k])) HONE_TRY(each(user, problem, c->entrants[k].tactic, c->entrants[k].estimate_ns));
out:
    hone_contest_clear(c);
    hone_free(c);
    return status;
}
