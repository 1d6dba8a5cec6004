// SPDX-License-Identifier: Apache-2.0
// The launch gap: what a node of a graph costs beside its kernel.
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "profiler/stats.h"
#include "tuner/contest_priv.h"

static hone_status ask_samples(hone_supervisor *s, hone_answer *answer, bool *good, const char *request, const char *tactic)
{
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = hone_supervisor_ask(s, HONE_OFFER_LIMIT_NS, "answer", NULL, NULL, &ending, &reply, "%s\t%s", request, tactic);
    *good = !status && ending == HONE_ENDING_ANSWER && hone_answer_parse(&reply, 2, answer) && answer->verdict == HONE_VERDICT_OK;
    if (!status && ending == HONE_ENDING_ANSWER && !*good) status = hone_supervisor_stop(s, false);
    return status;
}

// Graphs are timed in a worker of their own, where CUPTI was never started: it stamps every node, which takes as long as the gap.
static hone_status time_nodes(hone_contest *c, const char *tactic, hone_answer *answer, bool *good)
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
    HONE_TRY(hone_supervisor_ask(plain, HONE_OFFER_LIMIT_NS, "done", NULL, NULL, &ending, &reply, "begin\t1\t%s", c->problem));
    if (ending == HONE_ENDING_ANSWER) HONE_TRY(ask_samples(plain, answer, good, "try\t3", tactic));
    if (*good) HONE_TRY(ask_samples(plain, answer, good, "gap", tactic));
out:
    hone_supervisor_clear(plain);
    hone_free(plain);
    return status;
}

static hone_status store_gap(hone_contest *c, const char *tactic, hone_answer *answer, double kernel_ns)
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

static hone_status measure_gap(hone_contest *c)
{
    hone_tune *t = c->tune;
    int winner = hone_race_winner(&c->race);
    hone_entrant *e = winner >= 0 ? hone_contest_entrant_of(c, (size_t)winner) : NULL;
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
    hone_contest *c = hone_alloc(sizeof *c);
    if (!c) return HONE_NO_MEMORY;
    hone_status status = hone_contest_init(c, t, number, problem);
    for (int k = 0; k < HONE_TUNE_SOURCES; k++) c->offers[k].is_covered = false;
    c->race.rules.hopeless = 1e9;      // everyone stays awake
    HONE_TRY(status);
    HONE_TRY(hone_contest_ask_offer(c));
    HONE_TRY(hone_contest_enter_all(c));
    if (!c->is_over && !c->is_refused) status = measure_gap(c);
out:
    hone_contest_clear(c);
    hone_free(c);
    return status;
}
