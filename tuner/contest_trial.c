// SPDX-License-Identifier: Apache-2.0
// A problem and its candidates in the worker. Whatever ends a worker is tried again alone, in a new one, before it is blamed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tuner/contest_priv.h"
#include "tuner/expect.h"

#define BEGIN_LIMIT_NS 60000000000ll   // memory of the device; the reference comes on top
#define REFERENCE_FACTOR 40
#define TRIAL_RUNS 5                   // verifying, at worst twice, and a warm-up, beside the samples
#define HOST_NS_PER_BYTE 100           // copying and comparing, on top of running

hone_offer *hone_contest_find_offer(hone_contest *c, const char *name)
{
    for (int k = 0; k < hone_source_count && k < HONE_TUNE_SOURCES; k++)
        if (c->offers[k].source && !strcmp(c->offers[k].source->name, name)) return &c->offers[k];
    return NULL;
}

static double since(int64_t start_ns)
{
    return (double)(hone_clock_ns() - start_ns) / 1e9;
}

// ---- the problem in the worker

static void note_refusal(hone_contest *c, const char *why)
{
    c->is_refused = true;
    snprintf(c->tune->report.refusal, sizeof c->tune->report.refusal, "%.200s: %.290s", c->problem, why);
}

// Who ended the worker may be another's victim, or its user's: once more, in a new one.
static bool gets_another(hone_contest *c)
{
    c->is_suspect = !c->is_suspect && !c->tune->supervisor.pid && !c->is_over;
    return c->is_suspect;
}

// Puts the problem on the device of the present worker. A problem that ends two workers by itself is refused.
static hone_status begin(hone_contest *c)
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

static bool read_candidate(hone_contest *c, const hone_wire_fields *fields)
{
    hone_entrant entrant = {.racer = -1};
    const hone_offer *offer = c->offering ? hone_contest_find_offer(c, c->offering->name) : NULL;
    if (!offer || fields->n != 5 || !hone_wire_real(fields->at[2], &entrant.estimate_ns)) return false;
    if (offer->is_covered) return true;
    if (hone_grow(&c->entrants, c->n, &c->capacity, sizeof *c->entrants, HONE_ENTRANTS_MAX)) return false;
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
    hone_contest *c = user;
    if (!strcmp(fields->at[1], "tactic")) return read_candidate(c, fields);
    if (strcmp(fields->at[1], "source") || fields->n != 5) return false;
    hone_offer *offer = hone_contest_find_offer(c, fields->at[2]);
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

hone_status hone_contest_ask_offer(hone_contest *c)
{
    hone_supervisor *s = &c->tune->supervisor;
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = hone_tune_ready(c->tune);
    if (status) return status;
    int64_t start_ns = hone_clock_ns();
    status = hone_supervisor_ask(s, HONE_OFFER_LIMIT_NS, "done", read_offer, c, &ending, &reply, "offer\t%lld\t%s", (long long)c->number, c->problem);
    c->tune->report.listing_s += since(start_ns);
    if (status) return status;
    c->is_over = ending == HONE_ENDING_STOPPED;
    if (gets_another(c)) {
        while (c->n) hone_free(c->entrants[--c->n].tactic);
        return hone_contest_ask_offer(c);
    }
    if (ending != HONE_ENDING_ANSWER && !c->is_over) note_refusal(c, s->why);
    qsort(c->entrants, c->n, sizeof *c->entrants, by_turn);
    return HONE_OK;
}

// ---- trying

static int64_t trial_limit(const hone_contest *c, const hone_entrant *e, int runs)
{
    return hone_deadline_ns(&c->tune->supervisor, e->estimate_ns, runs) + (int64_t)(HOST_NS_PER_BYTE * hone_problem_bytes(&c->parsed));
}

// A verdict on a tactic that left no answer.
static void blame(hone_contest *c, hone_answer *answer, hone_ending ending)
{
    hone_answer_init(answer);
    answer->verdict = ending == HONE_ENDING_LATE ? HONE_VERDICT_TIMEOUT : HONE_VERDICT_CRASH;
    snprintf(answer->note, sizeof answer->note, "%.1000s", c->tune->supervisor.why);
}

static double *spent_on(hone_contest *c, const hone_entrant *e, bool is_awake)
{
    hone_tune_report *report = &c->tune->report;
    for (int k = 0; k < hone_source_count && k < HONE_TUNE_SOURCES && !is_awake; k++)
        if (!strcmp(hone_sources[k]->name, e->source)) return &report->trying_s[k];
    return &report->sampling_s;
}

// One exchange: a trial, or more samples of one that is awake. *sure: nothing that happened puts it in doubt.
static hone_status exchange(hone_contest *c, hone_entrant *e, int samples, hone_answer *answer, bool *sure)
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

hone_status hone_contest_try(hone_contest *c, hone_entrant *e, int samples, hone_answer *answer)
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
