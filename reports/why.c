// SPDX-License-Identifier: Apache-2.0
#include "reports/why.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

#define EQUAL 0.005      // below it the database counts times as equal (db/rank.c)

static const char *const stale_words[] = {"", "stale", "approximate"};

// How far evidence is from what was measured under the plan's own versions.
static const char *kind_of(const hone_ranked *r)
{
    return r->staleness ? stale_words[r->staleness] : r->rescaled == 1 ? "revalidated" : r->rescaled > 0 ? "rescaled" : "";
}

// What the database answers for one step.
typedef struct answer {
    const hone_plan *plan;
    int number;
    const hone_plan_step *step;
    hone_ranked *ranked;           // owned
    size_t n;
    int chosen;                    // in ranked, -1 when the plan's tactic is not there
} answer;

static hone_question question_of(const hone_plan *plan, const hone_plan_step *step)
{
    return (hone_question){.device = plan->device, .toolchain = plan->toolchain, .problem = step->problem, .mode = "",
                           .allow_stale = step->staleness >= 1, .allow_approximate = step->staleness >= 2};
}

static hone_status ask(const hone_plan *plan, hone_store *store, int number, answer *a)
{
    *a = (answer){.plan = plan, .number = number, .step = &plan->steps[number], .chosen = -1};
    hone_question question = question_of(plan, a->step);
    hone_status status = hone_store_rank(store, &question, &a->ranked, &a->n);
    for (size_t k = 0; k < a->n && a->chosen < 0; k++)
        if (!strcmp(a->ranked[k].tactic, a->step->tactic)) a->chosen = (int)k;
    return status;
}

// The fastest candidate that is not the chosen one; NULL when it ran alone.
static const hone_ranked *runner_up(const answer *a)
{
    const hone_ranked *best = NULL;
    for (size_t k = 0; k < a->n; k++)
        if ((int)k != a->chosen && (!best || a->ranked[k].median_ns < best->median_ns)) best = &a->ranked[k];
    return best;
}

// Positive: the runner-up is slower by this part of the chosen one's time.
static double margin(const answer *a)
{
    return (runner_up(a)->median_ns - a->ranked[a->chosen].median_ns) / a->ranked[a->chosen].median_ns;
}

static bool holds_layer(const hone_plan_step *step, int number, const char *layer)
{
    char digits[16];
    size_t size = strlen(layer);
    snprintf(digits, sizeof digits, "%d", number);
    if (!strcmp(layer, digits) || !strcmp(layer, step->name)) return true;
    for (const char *at = step->name; size && (at = strstr(at, layer)); at++) {
        bool begins = at == step->name || (at - step->name >= 3 && !strncmp(at - 3, " + ", 3));
        if (begins && (!at[size] || !strncmp(at + size, " + ", 3))) return true;
    }
    return false;
}

// ---- failures

typedef struct failures {
    hone_text *text;               // one of the two, or neither: only counted
    hone_json *json;
    int n;
} failures;

static hone_status add_failure(void *user, const char *tactic, hone_verdict verdict, const char *note)
{
    failures *f = user;
    f->n++;
    if (f->text) hone_text_printf(f->text, "       %-12s %s%s%s\n", hone_verdict_name(verdict), tactic, *note ? ": " : "", note);
    if (!f->json) return HONE_OK;
    hone_json_open(f->json, NULL, '{');
    hone_json_text(f->json, "tactic", tactic);
    hone_json_text(f->json, "verdict", hone_verdict_name(verdict));
    hone_json_text(f->json, "note", note);
    hone_json_close(f->json, '}');
    return HONE_OK;
}

static hone_status each_failure(const answer *a, hone_store *store, failures *f)
{
    hone_question question = question_of(a->plan, a->step);
    return hone_store_each_failure(store, &question, add_failure, f);
}

// ---- conversions: steps without a precision of their own that bring an operand into the form this step reads, or take its result on

static int writer_of(const hone_plan *plan, const hone_slot *slot)
{
    for (int s = 0; slot->kind == HONE_SLOT_BUFFER && s < plan->n_steps; s++)
        for (int k = 0; k < plan->steps[s].n_outputs; k++)
            if (plan->steps[s].outputs[k].index == slot->index) return s;
    return -1;
}

static bool is_conversion(const hone_plan_step *step)
{
    return !strncmp(step->name, "convert ", 8);
}

static bool converts_for(const answer *a, int other)
{
    const hone_plan_step *step = &a->plan->steps[other];
    if (!is_conversion(step) || other == a->number) return false;
    for (int k = 0; k < a->step->n_operands; k++)
        if (writer_of(a->plan, &a->step->operands[k]) == other) return true;
    return writer_of(a->plan, &step->operands[0]) == a->number;
}

// ---- text

static void print_candidate(const answer *a, size_t k, hone_text *text)
{
    const hone_ranked *r = &a->ranked[k];
    char id[HONE_ID_TEXT];
    hone_id_print(&r->evidence, id);
    hone_text_printf(text, "  %c%3zu %10.2f us [%.2f, %.2f] x%.3f  %s\n", (int)k == a->chosen ? '>' : ' ', k + 1, r->median_ns / 1e3, r->low_ns / 1e3,
                     r->high_ns / 1e3, r->median_ns / a->ranked[0].median_ns, r->tactic);
    hone_text_printf(text, "       evidence %.16s, %" PRId64 " measurement%s, mode %s, workspace %" PRId64 "%s%s%s\n", id, r->measurements,
                     r->measurements == 1 ? "" : "s", r->mode, r->workspace_bytes, r->tied ? ", tied with the first" : "",
                     *kind_of(r) ? ", " : "", kind_of(r));
    if (r->rescaled > 0)
        hone_text_printf(text, "       approximate: measured beside %s; by a recheck's sample of its family it takes %.3f times as long now\n", r->depends, r->rescaled);
}

static void print_margin(const answer *a, hone_text *text)
{
    const hone_ranked *second = runner_up(a);
    if (a->chosen < 0)
        hone_text_printf(text, "  the plan's tactic is not among what the database knows now: it was pinned, stands in, or its evidence is elsewhere\n");
    else if (!second) hone_text_printf(text, "  no other candidate gave a right answer\n");
    else if (margin(a) < 0 && margin(a) > -EQUAL)
        hone_text_printf(text, "  as fast as the best but for %.2f%%: the smaller workspace, then the name decides\n", -100 * margin(a));
    else if (margin(a) < 0) hone_text_printf(text, "  takes %.2f times as long as the best that the database knows now: pinned, limited, or tuned since\n",
                         1 / (1 + margin(a)));
    else if (second->tied || a->ranked[a->chosen].tied)
        hone_text_printf(text, "  %.1f%% ahead of the runner-up, which the measurements do not decide: the intervals overlap\n", 100 * margin(a));
    else hone_text_printf(text, "  %.1f%% ahead of the runner-up\n", 100 * margin(a));
}

static void print_conversions(const answer *a, hone_text *text)
{
    for (int s = 0; s < a->plan->n_steps; s++)
        if (converts_for(a, s))
            hone_text_printf(text, "  conversion: step %d, %s, %.2f us (%s)\n", s, a->plan->steps[s].name, a->plan->steps[s].predicted_ns / 1e3,
                             a->plan->steps[s].problem);
}

static hone_status print_step(const answer *a, hone_store *store, int most, hone_text *text)
{
    hone_text_printf(text, "step %d: %s%s%s\n  %s\n  > %s, predicted %.2f us\n", a->number, a->step->name, *a->step->precision ? " in " : "", a->step->precision,
                     a->step->problem, a->step->tactic, a->step->predicted_ns / 1e3);
    print_margin(a, text);
    hone_text_printf(text, "  %zu candidates: median, 95%% interval, times the first\n", a->n);
    for (size_t k = 0; k < a->n; k++)
        if ((int)k < most || (int)k == a->chosen) print_candidate(a, k, text);
    print_conversions(a, text);
    failures f = {0};
    hone_status status = each_failure(a, store, &f);
    if (status != HONE_OK || !f.n) return status;
    hone_text_printf(text, "  %d failed:\n", f.n);
    return each_failure(a, store, &(failures){.text = text});
}

static hone_status print_line(const answer *a, hone_store *store, hone_text *text)
{
    failures f = {0};
    char lead[32] = "-", cut[49];
    hone_status status = each_failure(a, store, &f);
    const hone_ranked *second = a->chosen < 0 ? NULL : runner_up(a);
    const char *kind = a->chosen < 0 ? stale_words[a->step->staleness] : kind_of(&a->ranked[a->chosen]);
    if (second) snprintf(lead, sizeof lead, "%s%.1f%%", second->tied || a->ranked[a->chosen].tied ? "~" : "", 100 * margin(a));
    snprintf(cut, sizeof cut, "%s", a->step->name);
    hone_text_printf(text, "%4d %10.2f %-5s %5zu %6d %8s  %-48s %s%s%s\n", a->number, a->step->predicted_ns / 1e3, a->step->precision, a->n, f.n, lead, cut,
                     a->step->tactic, *kind ? " " : "", kind);
    return status;
}

hone_status hone_report_why(const hone_plan *plan, hone_store *store, const char *layer, int most, hone_text *text)
{
    int told = 0;
    if (!layer) hone_text_printf(text, "%4s %10s %-5s %5s %6s %8s  %-48s %s\n", "step", "us", "", "cand.", "failed", "margin", "layers", "tactic");
    for (int s = 0; s < plan->n_steps; s++) {
        answer a;
        if (layer && !holds_layer(&plan->steps[s], s, layer)) continue;
        told++;
        hone_status status = ask(plan, store, s, &a);
        if (status == HONE_OK) status = layer ? print_step(&a, store, most, text) : print_line(&a, store, text);
        hone_free(a.ranked);
        if (status != HONE_OK) return status;
    }
    if (layer && !told) return hone_fail(HONE_USAGE, "no step holds a layer %s (hone plan show lists them)", layer);
    if (!layer)
        hone_text_printf(text, "margin: how much slower the runner-up is; ~ not decided by the measurements. hone why PLAN LAYER tells all of one.\n");
    return HONE_OK;
}

// ---- JSON

static void json_candidate(const hone_ranked *r, hone_json *json)
{
    char id[HONE_ID_TEXT];
    hone_id_print(&r->evidence, id);
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "tactic", r->tactic);
    hone_json_real(json, "median_ns", r->median_ns);
    hone_json_real(json, "low_ns", r->low_ns);
    hone_json_real(json, "high_ns", r->high_ns);
    hone_json_int(json, "workspace_bytes", r->workspace_bytes);
    hone_json_int(json, "measurements", r->measurements);
    hone_json_bool(json, "tied", r->tied);
    hone_json_int(json, "staleness", r->staleness);
    if (r->rescaled > 0) hone_json_real(json, "rescaled", r->rescaled);
    if (r->rescaled > 0) hone_json_text(json, "depends", r->depends);
    hone_json_text(json, "mode", r->mode);
    hone_json_text(json, "evidence", id);
    hone_json_close(json, '}');
}

static void json_conversions(const answer *a, hone_json *json)
{
    hone_json_open(json, "conversions", '[');
    for (int s = 0; s < a->plan->n_steps; s++) {
        if (!converts_for(a, s)) continue;
        hone_json_open(json, NULL, '{');
        hone_json_int(json, "step", s);
        hone_json_text(json, "problem", a->plan->steps[s].problem);
        hone_json_real(json, "predicted_ns", a->plan->steps[s].predicted_ns);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static hone_status json_step(const answer *a, hone_store *store, hone_json *json)
{
    hone_json_open(json, NULL, '{');
    hone_json_int(json, "step", a->number);
    hone_json_text(json, "name", a->step->name);
    hone_json_text(json, "problem", a->step->problem);
    hone_json_text(json, "tactic", a->step->tactic);
    hone_json_text(json, "precision", a->step->precision);
    hone_json_real(json, "predicted_ns", a->step->predicted_ns);
    if (a->chosen >= 0 && runner_up(a)) hone_json_real(json, "margin", margin(a));
    else hone_json_null(json, "margin");
    hone_json_open(json, "candidates", '[');
    for (size_t k = 0; k < a->n; k++) json_candidate(&a->ranked[k], json);
    hone_json_close(json, ']');
    json_conversions(a, json);
    hone_json_open(json, "failures", '[');
    hone_status status = each_failure(a, store, &(failures){.json = json});
    hone_json_close(json, ']');
    hone_json_close(json, '}');
    return status;
}

hone_status hone_report_why_json(const hone_plan *plan, hone_store *store, const char *layer, hone_text *text)
{
    hone_json json;
    int told = 0;
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.why.1");
    hone_json_text(&json, "network", plan->network);
    hone_json_text(&json, "device", plan->device);
    hone_json_open(&json, "steps", '[');
    for (int s = 0; s < plan->n_steps; s++) {
        answer a;
        if (layer && !holds_layer(&plan->steps[s], s, layer)) continue;
        told++;
        hone_status status = ask(plan, store, s, &a);
        if (status == HONE_OK) status = json_step(&a, store, &json);
        hone_free(a.ranked);
        if (status != HONE_OK) return status;
    }
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    return layer && !told ? hone_fail(HONE_USAGE, "no step holds a layer %s (hone plan show lists them)", layer) : HONE_OK;
}
