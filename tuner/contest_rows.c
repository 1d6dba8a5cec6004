// SPDX-License-Identifier: Apache-2.0
// What is known of candidates becomes rows.
#include <string.h>

#include "tuner/contest_priv.h"

#define TOP 3                          // of whom the compiled code is stored

hone_status hone_contest_store(hone_contest *c, hone_entrant *e)
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

hone_status hone_contest_retire(hone_contest *c)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < c->n && !status; k++) {
        hone_entrant *e = &c->entrants[k];
        if (e->racer < 0 || e->is_stored || !c->race.racers[e->racer].is_out) continue;
        status = hone_contest_store(c, e);
        if (e->worker == c->tune->supervisor.started && c->tune->supervisor.pid) hone_supervisor_tell(&c->tune->supervisor, "drop\t%s", e->tactic);
    }
    return status;
}

hone_status hone_contest_store_coverage(hone_contest *c)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < hone_source_count && k < HONE_TUNE_SOURCES && !status; k++) {
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

hone_status hone_contest_store_artifacts(hone_contest *c)
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
