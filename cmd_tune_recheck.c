// SPDX-License-Identifier: Apache-2.0
// hone tune --recheck: what it would time, what came of it.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cmd.h"
#include "cmd_tune.h"
#include "tuner/recheck.h"

enum { ITEMS_MAX = 4096 };

// ---- a dry run

static void print_item(hone_text *text, hone_survey_item item)
{
    if (item.tactic) hone_text_printf(text, "%s\n    %-60s about %.1f us\n", item.problem, item.tactic, item.before_ns / 1e3);
    else hone_text_printf(text, "%s\n    whatever is new of %s\n", item.problem, item.family);
}

static hone_status dry_run(hone_tune *tune, hone_survey *survey, bool json, hone_text *text)
{
    size_t *items = hone_alloc(ITEMS_MAX * sizeof *items), count = 0;
    double seconds = 0;
    hone_status status = items ? hone_recheck_cost(tune, survey, items, ITEMS_MAX, &count, &seconds) : HONE_NO_MEMORY;
    for (size_t k = 0; k < count && !json; k++) print_item(text, hone_survey_get(survey, items[k]));
    if (json)
        hone_text_printf(text, "{\"schema\": \"hone.tune.recheck.dry.1\", \"stale\": %zu, \"first\": %zu, \"seconds\": %.1f}\n", hone_survey_stale(survey), count, seconds);
    else
        hone_text_printf(text, "%zu of %zu stale records first, about %.0f s; more where they disagree\n", count, hone_survey_stale(survey), seconds);
    hone_free(items);
    return status;
}

// ---- what was decided

static size_t count_decided(const hone_survey_family *families, size_t n, hone_recheck_decision decision)
{
    size_t count = 0;
    for (size_t k = 0; k < n; k++) count += families[k].is_decided && !families[k].is_anew && families[k].decision == decision;
    return count;
}

static size_t count_undecided(const hone_survey_family *families, size_t n)
{
    size_t count = 0;
    for (size_t k = 0; k < n; k++) count += !families[k].is_decided && !families[k].is_anew;
    return count;
}

static void say_family(hone_text *text, const hone_survey_family *family)
{
    if (family->is_anew || !family->is_decided || family->decision == HONE_RECHECK_KEEP) return;
    hone_text_printf(text, "%-8s x%.3f [%.3f, %.3f]  %4zu timed, %zu failed of %5zu, %5.1f%% of the time  %s (%s)\n", hone_recheck_name(family->decision),
                     family->scale, family->low, family->high, family->timed, family->failed, family->records, 100 * family->share, family->family, family->depends);
}

static void say_text(hone_text *text, hone_tune *tune, hone_survey *survey, const hone_recheck_report *report)
{
    const hone_survey_family *families;
    const hone_tune_report *ran = hone_tune_get_report(tune);
    size_t n = hone_survey_families(survey, &families), stale = hone_survey_stale(survey), without;
    size_t left = hone_survey_left(survey, &without);
    for (size_t k = 0; k < n; k++) say_family(text, &families[k]);
    hone_text_printf(text, "%zu stale records on %s; families: %zu kept, %zu rescaled, %zu to be timed again, %zu undecided\n", stale,
                     hone_tune_get_device(tune)->device, count_decided(families, n, HONE_RECHECK_KEEP), count_decided(families, n, HONE_RECHECK_RESCALE),
                     count_decided(families, n, HONE_RECHECK_APART) + count_decided(families, n, HONE_RECHECK_RETIME), count_undecided(families, n));
    hone_text_printf(text, "%lld tactics timed in %.1f s, %.1f%% of the stale records; %lld decisions and %lld coverages put\n", (long long)report->timed,
                     ran->seconds, stale ? 100 * (double)report->timed / (double)stale : 0, (long long)report->rechecks, (long long)report->covered);
    if (left) hone_text_printf(text, "%zu problems are left to `hone tune`, %zu of them without anything that a build may use\n", left, without);
    if (ran->stopped) hone_text_printf(text, "stopped; everything measured is kept, the same command goes on\n");
    if (ran->out_of_time) hone_text_printf(text, "out of time; everything measured is kept, the same command goes on\n");
}

static void say_family_json(hone_json *json, const hone_survey_family *family)
{
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "family", family->family);
    hone_json_text(json, "depends", family->depends);
    hone_json_text(json, "decision", family->is_decided ? hone_recheck_name(family->decision) : "undecided");
    hone_json_real(json, "scale", family->scale);
    hone_json_real(json, "least", family->low);
    hone_json_real(json, "most", family->high);
    hone_json_int(json, "records", (int64_t)family->records);
    hone_json_int(json, "timed", (int64_t)family->timed);
    hone_json_int(json, "failed", (int64_t)family->failed);
    hone_json_real(json, "share", family->share);
    hone_json_close(json, '}');
}

static void say_json(hone_text *text, hone_tune *tune, hone_survey *survey, const hone_recheck_report *report)
{
    hone_json json;
    const hone_survey_family *families;
    const hone_tune_report *ran = hone_tune_get_report(tune);
    size_t n = hone_survey_families(survey, &families), without, left = hone_survey_left(survey, &without);
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.tune.recheck.1");
    hone_json_text(&json, "device", hone_tune_get_device(tune)->device);
    hone_json_text(&json, "toolchain", hone_tune_get_device(tune)->toolchain);
    hone_json_int(&json, "stale", (int64_t)hone_survey_stale(survey));
    hone_json_int(&json, "timed", report->timed);
    hone_json_int(&json, "rechecks", report->rechecks);
    hone_json_int(&json, "covered", report->covered);
    hone_json_int(&json, "left", (int64_t)left);
    hone_json_int(&json, "without", (int64_t)without);
    hone_json_open(&json, "families", '[');
    for (size_t k = 0; k < n; k++)
        if (!families[k].is_anew) say_family_json(&json, &families[k]);
    hone_json_close(&json, ']');
    hone_json_real(&json, "seconds", ran->seconds);
    hone_json_bool(&json, "stopped", ran->stopped);
    hone_json_bool(&json, "out_of_time", ran->out_of_time);
    hone_json_close(&json, '}');
}

hone_status hone_cmd_recheck(hone_tune *tune, bool only_say, bool json)
{
    hone_survey *survey = NULL;
    hone_recheck_report report = {0};
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_recheck_survey(tune, &survey));
    if (!only_say && hone_survey_stale(survey)) HONE_TRY(hone_recheck_run(tune, survey, &report));
    if (only_say) HONE_TRY(dry_run(tune, survey, json, &text));
    else if (json) say_json(&text, tune, survey, &report);
    else if (hone_survey_stale(survey)) say_text(&text, tune, survey, &report);
    else hone_text_printf(&text, "nothing on %s rests on other versions than it has now: there is nothing to do\n", hone_tune_get_device(tune)->device);
    status = hone_cmd_print(&text);
    if (status == HONE_OK && hone_tune_get_report(tune)->stopped) status = hone_fail(HONE_AGAIN, "stopped before the end");
out:
    hone_text_clear(&text);
    hone_survey_free(survey);
    return status;
}
