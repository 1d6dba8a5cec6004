// SPDX-License-Identifier: Apache-2.0
// One problem from its candidates to its rows. Whatever ends a worker is tried again alone, in a new one, before it is blamed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "profiler/stats.h"
#include "tuner/ahead.h"
#include "tuner/expect.h"
#include "tuner/tune_priv.h"

#define ENTRANTS_MAX 65536
#define SOURCES_MAX HONE_TUNE_SOURCES
#define OFFER_LIMIT_NS 120000000000ll  // listing the algorithms of a library
#define BEGIN_LIMIT_NS 60000000000ll   // memory of the device; the reference comes on top
#define REFERENCE_FACTOR 40
#define TRIAL_RUNS 5                   // verifying, at worst twice, and a warm-up, beside the samples
#define HOST_NS_PER_BYTE 100           // copying and comparing, on top of running
#define HOPELESS_ESTIMATE 10           // an own estimate this far above the best measured time is believed
#define MEDIAN_DEVIATION 1.86          // of a median of n normal samples, in units of their median deviation over the root of n
#define TOP 3                          // of whom the compiled code is stored

typedef struct contest {
    hone_tune *tune;
    int64_t number;
    const char *problem;
    hone_problem parsed;
    hone_offer offers[SOURCES_MAX];
    const hone_source *offering;       // while the offer is read
    hone_entrant *entrants;            // owned
    size_t n, capacity;
    hone_race race;
    int64_t begun_in;                  // the worker that has the problem; 0 none
    bool is_over;                      // stopped
    bool is_suspect;                   // the worker ended when the problem was listed or begun
    bool is_refused;
} contest;

// ---- coverage

static hone_status source_covers(hone_store *store, const hone_tune_scope *scope, const hone_source *source, const char *problem, bool *covered)
{
    char depends[512];
    hone_toolchain_pick(scope->toolchain, source->depends, depends, sizeof depends);
    hone_coverage asked = {.device = scope->device, .depends = depends, .problem = problem, .source = source->name, .version = source->version,
                           .effort = hone_effort_name(scope->effort)};
    *covered = false;
    return store ? hone_store_find_coverage(store, &asked, covered) : HONE_OK;
}

hone_status hone_tune_covers(hone_store *store, const hone_tune_scope *scope, const char *problem, bool *covered)
{
    hone_status status = HONE_OK;
    *covered = true;
    for (int k = 0; k < hone_source_count && *covered && !status; k++)
        if (hone_source_is_wanted(hone_sources[k], scope->sources, scope->kind)) status = source_covers(store, scope, hone_sources[k], problem, covered);
    return status;
}

hone_status hone_contest_coverage(hone_tune *t, const char *problem, hone_offer *offers, bool *all)
{
    const hone_supervisor *s = &t->supervisor;
    hone_tune_scope scope = {.device = s->device, .toolchain = s->toolchain, .effort = hone_tune_effort(t)};
    hone_status status = HONE_OK;
    *all = true;
    for (int k = 0; k < hone_source_count && k < SOURCES_MAX && !status; k++) {
        offers[k] = (hone_offer){0};
        if (!hone_source_is_wanted(hone_sources[k], s->options.worker.sources, s->kind)) continue;
        offers[k].source = hone_sources[k];
        status = source_covers(t->options.store, &scope, hone_sources[k], problem, &offers[k].is_covered);
        *all = *all && offers[k].is_covered;
    }
    return status;
}

static hone_offer *find_offer(contest *c, const char *name)
{
    for (int k = 0; k < hone_source_count && k < SOURCES_MAX; k++)
        if (c->offers[k].source && !strcmp(c->offers[k].source->name, name)) return &c->offers[k];
    return NULL;
}

static double since(int64_t start_ns)
{
    return (double)(hone_clock_ns() - start_ns) / 1e9;
}

// ---- the problem in the worker

static void note_refusal(contest *c, const char *why)
{
    c->is_refused = true;
    snprintf(c->tune->report.refusal, sizeof c->tune->report.refusal, "%.200s: %.290s", c->problem, why);
}

// Who ended the worker may be another's victim, or its user's: once more, in a new one.
static bool gets_another(contest *c)
{
    c->is_suspect = !c->is_suspect && !c->tune->supervisor.pid && !c->is_over;
    return c->is_suspect;
}

// Puts the problem on the device of the present worker. A problem that ends two workers by itself is refused.
static hone_status begin(contest *c)
{
    hone_supervisor *s = &c->tune->supervisor;
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = hone_tune_ready(c->tune);
    if (status) return status;
    if (c->begun_in == s->started) return HONE_OK;
    double reference_ns = REFERENCE_FACTOR * hone_expect_cost_ns(&c->parsed);
    int64_t limit_ns = BEGIN_LIMIT_NS + (int64_t)fmin(reference_ns, 1e13);
    int64_t start_ns = hone_clock_ns();
    status = hone_supervisor_ask(s, limit_ns, "done", NULL, NULL, &ending, &reply, "begin\t%lld\t%s", (long long)c->number, c->problem);
    c->tune->report.laying_s += since(start_ns);
    if (status) return status;
    c->is_over = ending == HONE_ENDING_STOPPED;
    if (gets_another(c)) return begin(c);
    if (ending == HONE_ENDING_ANSWER) c->begun_in = s->started;
    else if (!c->is_over) note_refusal(c, s->why);
    return HONE_OK;
}

static bool read_candidate(contest *c, const hone_wire_fields *fields)
{
    hone_entrant entrant = {.racer = -1};
    const hone_offer *offer = c->offering ? find_offer(c, c->offering->name) : NULL;
    if (!offer || fields->n != 5 || !hone_wire_real(fields->at[2], &entrant.estimate_ns)) return false;
    if (offer->is_covered) return true;
    if (hone_grow(&c->entrants, c->n, &c->capacity, sizeof *c->entrants, ENTRANTS_MAX)) return false;
    entrant.is_default = !strcmp(fields->at[3], "default");
    entrant.is_point = !strcmp(fields->at[3], "point");
    entrant.tactic = hone_strdup(fields->at[4]);
    snprintf(entrant.source, sizeof entrant.source, "%s", c->offering->name);
    if (!entrant.tactic) return false;
    c->entrants[c->n++] = entrant;
    return true;
}

static bool read_offer(void *user, const hone_wire_fields *fields)
{
    contest *c = user;
    if (!strcmp(fields->at[1], "tactic")) return read_candidate(c, fields);
    if (strcmp(fields->at[1], "source") || fields->n != 5) return false;
    hone_offer *offer = find_offer(c, fields->at[2]);
    if (!offer) return false;
    offer->declined = strcmp(fields->at[3], "ok") != 0;
    c->offering = offer->source;
    return true;
}

// What libraries list beside their defaults last: by then it is known whether they have a chance. Of the others the fastest by estimate first,
// those without one before them: what is hopeless is then known before it runs.
static int by_turn(const void *a, const void *b)
{
    const hone_entrant *x = a, *y = b;
    if (x->is_point != y->is_point) return x->is_point ? 1 : -1;
    if (x->estimate_ns != y->estimate_ns) return x->estimate_ns < y->estimate_ns ? -1 : 1;
    return strcmp(x->tactic, y->tactic);
}

static hone_status ask_offer(contest *c)
{
    hone_supervisor *s = &c->tune->supervisor;
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = hone_tune_ready(c->tune);
    if (status) return status;
    int64_t start_ns = hone_clock_ns();
    status = hone_supervisor_ask(s, OFFER_LIMIT_NS, "done", read_offer, c, &ending, &reply, "offer\t%lld\t%s", (long long)c->number, c->problem);
    c->tune->report.listing_s += since(start_ns);
    if (status) return status;
    c->is_over = ending == HONE_ENDING_STOPPED;
    if (gets_another(c)) {
        while (c->n) hone_free(c->entrants[--c->n].tactic);
        return ask_offer(c);
    }
    if (ending != HONE_ENDING_ANSWER && !c->is_over) note_refusal(c, s->why);
    qsort(c->entrants, c->n, sizeof *c->entrants, by_turn);
    return HONE_OK;
}

// ---- trying

static int64_t trial_limit(const contest *c, const hone_entrant *e, int runs)
{
    return hone_deadline_ns(&c->tune->supervisor, e->estimate_ns, runs) + (int64_t)(HOST_NS_PER_BYTE * hone_problem_bytes(&c->parsed));
}

// A verdict on a tactic that left no answer.
static void blame(contest *c, hone_answer *answer, hone_ending ending)
{
    hone_answer_init(answer);
    answer->verdict = ending == HONE_ENDING_LATE ? HONE_VERDICT_TIMEOUT : HONE_VERDICT_CRASH;
    snprintf(answer->note, sizeof answer->note, "%.1000s", c->tune->supervisor.why);
}

static double *spent_on(contest *c, const hone_entrant *e, bool is_awake)
{
    hone_tune_report *report = &c->tune->report;
    for (int k = 0; k < hone_source_count && k < SOURCES_MAX && !is_awake; k++)
        if (!strcmp(hone_sources[k]->name, e->source)) return &report->trying_s[k];
    return &report->sampling_s;
}

// One exchange: a trial, or more samples of one that is awake. *sure: nothing that happened puts it in doubt.
static hone_status exchange(contest *c, hone_entrant *e, int samples, hone_answer *answer, bool *sure)
{
    hone_supervisor *s = &c->tune->supervisor;
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = begin(c);
    *sure = true;
    if (status || c->is_over || c->is_refused) return status;
    bool is_awake = e->worker == s->started;
    int64_t limit_ns = trial_limit(c, e, samples + (is_awake ? 1 : TRIAL_RUNS));
    int64_t start_ns = hone_clock_ns();
    status = hone_supervisor_ask(s, limit_ns, "answer", NULL, NULL, &ending, &reply, "%s\t%d\t%s", is_awake ? "more" : "try", samples, e->tactic);
    *spent_on(c, e, is_awake) += since(start_ns);
    if (status) return status;
    c->is_over = ending == HONE_ENDING_STOPPED;
    if (c->is_over) return HONE_OK;
    bool good = ending == HONE_ENDING_ANSWER && hone_answer_parse(&reply, 2, answer);
    if (!good) blame(c, answer, ending);
    *sure = good && !answer->leaving;
    if (!*sure && good) status = hone_supervisor_stop(s, false);
    if (!good && ending == HONE_ENDING_ANSWER) status = hone_supervisor_stop(s, false);
    if (*sure && answer->verdict == HONE_VERDICT_OK) e->worker = s->started;
    return status;
}

// Suspects are tried again alone, in a new worker.
static hone_status try_fairly(contest *c, hone_entrant *e, int samples, hone_answer *answer)
{
    hone_tune_report *report = &c->tune->report;
    bool sure;
    hone_status status = exchange(c, e, samples, answer, &sure);
    if (status || sure || c->is_over) return status;
    report->suspects++;
    e->worker = 0;
    status = exchange(c, e, samples, answer, &sure);
    if (!status && !c->is_over && !c->is_refused && answer->verdict == HONE_VERDICT_OK) report->cleared++;
    return status;
}

// ---- rows

static hone_status store_entrant(contest *c, hone_entrant *e)
{
    hone_tune *t = c->tune;
    const hone_answer *a = e->answer;
    const hone_racer *racer = e->racer >= 0 ? &c->race.racers[e->racer] : NULL;
    hone_tactic tactic;
    char depends[512] = "";
    if (e->is_stored || !a) return HONE_OK;
    e->is_stored = true;
    bool is_ok = a->verdict == HONE_VERDICT_OK && racer && racer->n, is_default = is_ok && e->is_default && !*a->note;
    const hone_source *source = hone_tactic_parse(e->tactic, &tactic) ? NULL : hone_source_find(tactic.source);
    if (source) hone_toolchain_pick(t->supervisor.toolchain, source->depends, depends, sizeof depends);
    t->report.verdicts[a->verdict]++;
    hone_measurement row = {
        .depends = depends, .problem = c->problem, .tactic = e->tactic, .mode = hone_tune_mode(t), .verdict = a->verdict,
        .timer = is_ok ? t->supervisor.timer : "", .workspace_bytes = a->workspace_bytes, .error = a->error, .clock_mhz = a->clock_mhz,
        .temperature_c = a->temperature_c, .power_w = a->power_w, .throttle = a->throttle, .registers = a->registers,
        .artifact = a->artifact, .note = a->note,
    };
    if (is_default && source && !strcmp(source->name, e->source)) row.note = HONE_NOTE_DEFAULT;      // a recording has none
    if (is_ok) {
        row.samples_ns = racer->samples;
        row.sample_count = racer->n < HONE_SAMPLES_MAX ? racer->n : HONE_SAMPLES_MAX;
    }
    return hone_ledger_measurement(&t->ledger, &row);
}

// Whoever is out is finished: stored, and no longer kept awake.
static hone_status retire(contest *c)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < c->n && !status; k++) {
        hone_entrant *e = &c->entrants[k];
        if (e->racer < 0 || e->is_stored || !c->race.racers[e->racer].is_out) continue;
        status = store_entrant(c, e);
        if (e->worker == c->tune->supervisor.started && c->tune->supervisor.pid) hone_supervisor_tell(&c->tune->supervisor, "drop\t%s", e->tactic);
    }
    return status;
}

static hone_status store_coverage(contest *c)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < hone_source_count && k < SOURCES_MAX && !status; k++) {
        const hone_offer *offer = &c->offers[k];
        char depends[512];
        if (!offer->source || offer->is_covered) continue;
        hone_toolchain_pick(c->tune->supervisor.toolchain, offer->source->depends, depends, sizeof depends);
        hone_coverage row = {.depends = depends, .problem = c->problem, .source = offer->source->name, .version = offer->source->version,
                             .effort = hone_effort_name(hone_tune_effort(c->tune)), .tried = offer->tried};
        status = hone_ledger_coverage(&c->tune->ledger, &row);
    }
    return status;
}

static hone_status store_artifacts(contest *c)
{
    size_t best[TOP], n = 0;
    hone_status status = HONE_OK;
    for (size_t k = 0; k < c->n; k++) {
        const hone_entrant *e = &c->entrants[k];
        if (e->racer < 0 || !c->race.racers[e->racer].n) continue;
        size_t at = n < TOP ? n++ : TOP;
        for (; at > 0 && c->race.racers[c->entrants[best[at - 1]].racer].median > c->race.racers[e->racer].median; at--)
            if (at < TOP) best[at] = best[at - 1];
        if (at < TOP) best[at] = k;
    }
    for (size_t k = 0; k < n && !status; k++)
        if (*c->entrants[best[k]].answer->artifact) status = hone_ledger_artifact(&c->tune->ledger, c->entrants[best[k]].answer->artifact);
    return status;
}

// ---- the contest

static bool is_known_bad(contest *c, const hone_entrant *e)
{
    hone_tune *t = c->tune;
    hone_question question = {.device = t->supervisor.device, .toolchain = t->supervisor.toolchain, .problem = c->problem, .mode = hone_tune_mode(t)};
    hone_verdict verdict;
    bool found = false;
    if (t->options.store && hone_store_find_bad(t->options.store, &question, e->tactic, &verdict, &found) != HONE_OK) return false;
    return found;
}

static bool is_hopeless(const contest *c, const hone_entrant *e)
{
    double best = hone_race_best_ns(&c->race);
    return best > 0 && !e->is_default && hone_tune_effort(c->tune) < HONE_EFFORT_EXHAUSTIVE && e->estimate_ns > HOPELESS_ESTIMATE * best;
}

// A library whose default lies this far behind is not searched further. In half of what was recorded on an H100 cuDNN does, and the fastest of
// it comes to 99.96% of what a search finds (docs/tuning.md).
static double lagging_factor(hone_effort effort)
{
    return effort == HONE_EFFORT_QUICK ? 1.3 : effort == HONE_EFFORT_FULL ? 1.5 : HUGE_VAL;
}

static bool is_lagging(const contest *c, const hone_entrant *e)
{
    double best = hone_race_best_ns(&c->race);
    for (size_t k = 0; k < c->n && e->is_point; k++) {
        const hone_entrant *other = &c->entrants[k];
        if (!other->is_default || strcmp(other->source, e->source) || other->racer < 0 || !c->race.racers[other->racer].n) continue;
        return c->race.racers[other->racer].median > lagging_factor(hone_tune_effort(c->tune)) * best;
    }
    return false;
}

static hone_status enter(contest *c, hone_entrant *e)
{
    hone_answer *answer = hone_alloc(sizeof *answer);
    if (!answer) return HONE_NO_MEMORY;
    hone_status status = try_fairly(c, e, c->race.rules.first, answer);
    if (status || c->is_over || c->is_refused) {
        hone_free(answer);
        return status;
    }
    e->answer = answer;
    c->tune->report.candidates++;
    hone_offer *offer = find_offer(c, e->source);
    if (offer) offer->tried++;
    if (answer->verdict != HONE_VERDICT_OK) return store_entrant(c, e);
    status = hone_race_enter(&c->race, e->tactic, answer->workspace_bytes, answer->samples_ns, (size_t)answer->n);
    e->racer = (int)c->race.n - 1;
    return status ? status : retire(c);
}

static hone_status enter_all(contest *c)
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

static hone_entrant *entrant_of(contest *c, size_t racer)
{
    for (size_t k = 0; k < c->n; k++)
        if (c->entrants[k].racer == (int)racer) return &c->entrants[k];
    return NULL;
}

// Who fails under more samples loses its time: the verdict replaces it.
static hone_status run_further(contest *c, size_t racer, int samples)
{
    hone_entrant *e = entrant_of(c, racer);
    hone_answer *answer = hone_alloc(sizeof *answer);
    if (!answer) return HONE_NO_MEMORY;
    hone_status status = try_fairly(c, e, samples, answer);
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
    return store_entrant(c, e);
}

static hone_status race(contest *c)
{
    hone_status status = HONE_OK;
    size_t racer;
    int samples;
    while (!status && !c->is_over && !c->is_refused && hone_race_ask(&c->race, &racer, &samples)) {
        if (hone_tune_is_over(c->tune)) c->is_over = true;
        else status = run_further(c, racer, samples);
        if (!status) status = retire(c);
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

static hone_status init(contest *c, hone_tune *t, int64_t number, const char *problem)
{
    bool all;
    hone_race_rules rules = hone_contest_rules(hone_tune_effort(t), t->supervisor.kind);
    rules.seed = t->supervisor.options.worker.seed;
    *c = (contest){.tune = t, .number = number, .problem = problem};
    hone_race_init(&c->race, &rules);
    hone_status status = hone_problem_parse(problem, &c->parsed);
    return status ? status : hone_contest_coverage(t, problem, c->offers, &all);
}

static void clear(contest *c)
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
    contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = init(c, t, number, problem), kept;
    HONE_TRY(status);
    HONE_TRY(ask_offer(c));
    HONE_TRY(enter_all(c));
    HONE_TRY(race(c));
out:
    // Whatever happened, what was measured is kept.
    kept = HONE_OK;
    for (size_t k = 0; k < c->n && !kept; k++) kept = store_entrant(c, &c->entrants[k]);
    if (!kept && !status && c->race.n) kept = store_artifacts(c);
    if (!kept && !status && c->race.n) kept = hone_ledger_problem(&t->ledger, problem, (int64_t)hone_problem_flops(&c->parsed), (int64_t)hone_problem_bytes(&c->parsed));
    if (!kept && !status && !c->is_over && !c->is_refused) kept = store_coverage(c);
    t->report.refused += c->is_refused;
    t->report.done += !status && !c->is_over && !c->is_refused;
    clear(c);
    hone_free(c);
    return status ? status : kept;
}

// ---- tactics that somebody names

static hone_status add_named(contest *c, const hone_timed *wanted)
{
    hone_entrant entrant = {.racer = -1, .estimate_ns = wanted->expect_ns, .tactic = hone_strdup(wanted->tactic)};
    if (!entrant.tactic || hone_grow(&c->entrants, c->n, &c->capacity, sizeof *c->entrants, ENTRANTS_MAX)) {
        hone_free(entrant.tactic);
        return HONE_NO_MEMORY;
    }
    snprintf(entrant.source, sizeof entrant.source, "%.*s", (int)strcspn(wanted->tactic, ".@ "), wanted->tactic);
    c->entrants[c->n++] = entrant;
    return HONE_OK;
}

static hone_status enter_named(contest *c, hone_timed *wanted, size_t n)
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
    contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = init(c, t, number, problem);
    c->race.rules.first = samples;
    c->race.rules.hopeless = INFINITY;     // nobody is out: all are worth their samples
    if (!status) status = enter_named(c, wanted, n);
    if (!status && c->race.n) status = store_artifacts(c);
    for (size_t k = 0; k < c->n && !status; k++) status = store_entrant(c, &c->entrants[k]);
    clear(c);
    hone_free(c);
    return status;
}

// ---- the launch gap

static hone_status ask_samples(hone_supervisor *s, hone_answer *answer, bool *good, const char *request, const char *tactic)
{
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = hone_supervisor_ask(s, OFFER_LIMIT_NS, "answer", NULL, NULL, &ending, &reply, "%s\t%s", request, tactic);
    *good = !status && ending == HONE_ENDING_ANSWER && hone_answer_parse(&reply, 2, answer) && answer->verdict == HONE_VERDICT_OK;
    if (!status && ending == HONE_ENDING_ANSWER && !*good) status = hone_supervisor_stop(s, false);
    return status;
}

// Graphs are timed in a worker of their own, where CUPTI was never started: it stamps every node, which takes as long as the gap.
static hone_status time_nodes(contest *c, const char *tactic, hone_answer *answer, bool *good)
{
    hone_supervisor *plain = hone_alloc(sizeof *plain);
    hone_supervisor_options options = c->tune->supervisor.options;
    hone_ending ending = HONE_ENDING_DIED;
    hone_wire_fields reply;
    options.worker.timer = "event";
    options.worker.busy = true;        // the other worker is there
    options.meanwhile = NULL;
    if (!plain) return HONE_NO_MEMORY;
    hone_status status = hone_supervisor_init(plain, &options);
    HONE_TRY(hone_supervisor_start(plain));
    HONE_TRY(hone_supervisor_ask(plain, OFFER_LIMIT_NS, "done", NULL, NULL, &ending, &reply, "begin\t1\t%s", c->problem));
    if (ending == HONE_ENDING_ANSWER) HONE_TRY(ask_samples(plain, answer, good, "try\t3", tactic));
    if (*good) HONE_TRY(ask_samples(plain, answer, good, "gap", tactic));
out:
    hone_supervisor_clear(plain);
    hone_free(plain);
    return status;
}

static hone_status store_gap(contest *c, const char *tactic, hone_answer *answer, double kernel_ns)
{
    hone_tune *t = c->tune;
    char depends[512];
    double node_ns = hone_stats_median(answer->samples_ns, (size_t)answer->n);
    // A node may take no longer than its kernel does alone, since its launch hides behind the kernel before: no gap, which 1 ns stands for.
    for (int k = 0; k < answer->n; k++) answer->samples_ns[k] = fmax(answer->samples_ns[k] - kernel_ns, 1);
    snprintf(answer->note, sizeof answer->note, "a node takes %.0f ns, its kernel %.0f ns", node_ns, kernel_ns);
    hone_toolchain_pick(t->supervisor.toolchain, "driver", depends, sizeof depends);
    hone_measurement row = {
        .depends = depends, .problem = c->problem, .tactic = tactic, .mode = HONE_GAP_MODE, .timer = "event", .clock_mhz = answer->clock_mhz,
        .temperature_c = answer->temperature_c, .power_w = answer->power_w, .throttle = answer->throttle, .registers = -1, .artifact = "",
        .note = answer->note, .samples_ns = answer->samples_ns, .sample_count = (size_t)answer->n,
    };
    return hone_ledger_measurement(&t->ledger, &row);
}

static hone_status measure_gap(contest *c)
{
    hone_tune *t = c->tune;
    int winner = hone_race_winner(&c->race);
    hone_entrant *e = winner >= 0 ? entrant_of(c, (size_t)winner) : NULL;
    bool good = false;
    if (!e || e->worker != t->supervisor.started) return HONE_OK;
    hone_answer *answer = hone_alloc(sizeof *answer);
    if (!answer) return HONE_NO_MEMORY;
    hone_status status = ask_samples(&t->supervisor, answer, &good, "warm\t50", e->tactic);
    double kernel_ns = good ? hone_stats_median(answer->samples_ns, (size_t)answer->n) : 0;
    if (!status && good) status = time_nodes(c, e->tactic, answer, &good);
    if (!status && good) status = store_gap(c, e->tactic, answer, kernel_ns);
    hone_free(answer);
    return status;
}

hone_status hone_contest_gap(hone_tune *t, int64_t number, const char *problem)
{
    contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = init(c, t, number, problem);
    for (int k = 0; k < SOURCES_MAX; k++) c->offers[k].is_covered = false;
    c->race.rules.hopeless = 1e9;      // everyone stays awake
    HONE_TRY(status);
    HONE_TRY(ask_offer(c));
    HONE_TRY(enter_all(c));
    if (!c->is_over && !c->is_refused) status = measure_gap(c);
out:
    clear(c);
    hone_free(c);
    return status;
}

// ---- listing

hone_status hone_contest_list(hone_tune *t, int64_t number, const char *problem, hone_candidate_each each, void *user)
{
    contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = init(c, t, number, problem);
    HONE_TRY(status);
    HONE_TRY(ask_offer(c));
    HONE_TRY(each(user, problem, NULL, 0));
    for (size_t k = 0; k < c->n; k++)
        if (!is_known_bad(c, &c->entrants[k])) HONE_TRY(each(user, problem, c->entrants[k].tactic, c->entrants[k].estimate_ns));
out:
    clear(c);
    hone_free(c);
    return status;
}
