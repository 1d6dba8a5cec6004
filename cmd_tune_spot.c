// SPDX-License-Identifier: Apache-2.0
// hone tune --spot-check: what was checked of what others say, and how they fared.
#include <stdio.h>

#include "base/json.h"
#include "cmd.h"
#include "cmd_tune.h"
#include "tuner/spot.h"

enum { SHARE_PERCENT = 2, LEAST = 10 };

typedef struct outcome {
    int64_t checked, agreed, failed;   // failed: did not work here
} outcome;

static outcome count(const hone_spots *spots)
{
    outcome sum = {0};
    for (size_t k = 0; k < spots->n; k++) {
        sum.checked += spots->items[k].is_checked;
        sum.agreed += spots->items[k].has_agreed;
        sum.failed += spots->items[k].is_checked && !(spots->items[k].own_ns > 0);
    }
    return sum;
}

static void say_spot(hone_text *text, const hone_spot *spot)
{
    hone_text_printf(text, "%.16s says %.2f us, ", spot->writer, spot->claimed_ns / 1e3);
    if (spot->own_ns > 0) hone_text_printf(text, "here it takes %.2f: ", spot->own_ns / 1e3);
    else hone_text_printf(text, "here it fails: ");
    hone_text_printf(text, "%s of %s\n", spot->tactic, spot->problem);
}

static void say_writer(hone_text *text, const hone_spot_writer *writer, bool is_suspended)
{
    if (!writer->checked) return;
    hone_text_printf(text, "%.16s: of %lld claims %lld were checked, %lld failed%s\n", writer->writer, (long long)writer->claims, (long long)writer->checked,
                     (long long)writer->failed, is_suspended ? "; suspended" : "");
    if (hone_spot_is_bad(writer) && !is_suspended)
        hone_text_printf(text, "  more than 1%% of them: `hone db trust suspend %s`, or --suspend, takes them out of every choice\n", writer->writer);
}

static void say_text(hone_text *text, hone_tune *tune, const hone_spots *spots, const hone_cmd_spot *options)
{
    outcome sum = count(spots);
    const hone_tune_report *ran = hone_tune_get_report(tune);
    if (!spots->n)
        hone_text_printf(text, "nothing that others say of %s and that would be chosen is unchecked: there is nothing to do\n", hone_tune_get_device(tune)->device);
    for (size_t k = 0; k < spots->n; k++)
        if (spots->items[k].is_checked && !spots->items[k].has_agreed) say_spot(text, &spots->items[k]);
    for (size_t k = 0; k < spots->n_writers; k++) say_writer(text, &spots->writers[k], options->suspend && hone_spot_is_bad(&spots->writers[k]));
    if (spots->n)
        hone_text_printf(text, "%lld of %zu claims checked in %.1f s: %lld within 10%%, %lld not, %lld fail here\n", (long long)sum.checked, spots->n, ran->seconds,
                         (long long)sum.agreed, (long long)(sum.checked - sum.agreed - sum.failed), (long long)sum.failed);
    if (ran->stopped) hone_text_printf(text, "stopped; everything measured is kept, the same command goes on\n");
}

static void say_json(hone_text *text, hone_tune *tune, const hone_spots *spots, const hone_cmd_spot *options)
{
    hone_json json;
    outcome sum = count(spots);
    const struct { const char *key; int64_t value; } numbers[] = {
        {"claims", spots->claims}, {"unchecked", (int64_t)spots->n}, {"checked", sum.checked}, {"agreed", sum.agreed}, {"failed", sum.failed},
    };
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.tune.spot.1");
    hone_json_text(&json, "device", hone_tune_get_device(tune)->device);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) hone_json_int(&json, numbers[k].key, numbers[k].value);
    hone_json_open(&json, "writers", '[');
    for (size_t k = 0; k < spots->n_writers; k++) {
        const hone_spot_writer *writer = &spots->writers[k];
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "writer", writer->writer);
        hone_json_int(&json, "claims", writer->claims);
        hone_json_int(&json, "checked", writer->checked);
        hone_json_int(&json, "failed", writer->failed);
        hone_json_bool(&json, "bad", hone_spot_is_bad(writer));
        hone_json_bool(&json, "suspended", options->suspend && hone_spot_is_bad(writer));
        hone_json_close(&json, '}');
    }
    hone_json_close(&json, ']');
    hone_json_real(&json, "seconds", hone_tune_get_report(tune)->seconds);
    hone_json_close(&json, '}');
}

static hone_status suspend_bad(const hone_spots *spots, const hone_cmd_spot *options)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < spots->n_writers && status == HONE_OK; k++) {
        const hone_spot_writer *writer = &spots->writers[k];
        char reason[96];
        snprintf(reason, sizeof reason, "%lld of %lld spot checks failed", (long long)writer->failed, (long long)writer->checked);
        if (hone_spot_is_bad(writer)) status = options->suspend(options->user, writer->writer, reason);
    }
    return status;
}

static void list(hone_text *text, const hone_spots *spots, size_t most)
{
    for (size_t k = 0; k < spots->n && k < most; k++)
        hone_text_printf(text, "%s\n    %-60s %.2f us, says %.16s\n", spots->items[k].problem, spots->items[k].tactic, spots->items[k].claimed_ns / 1e3, spots->items[k].writer);
    hone_text_printf(text, "%zu of %zu claims that would be chosen and that were not checked here\n", most < spots->n ? most : spots->n, spots->n);
}

hone_status hone_cmd_spot_check(hone_tune *tune, const hone_cmd_spot *options)
{
    hone_spots spots = {0};
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_spots_find(tune, options->own, &spots));
    size_t share = (size_t)(spots.claims * SHARE_PERCENT + 99) / 100, most = options->until_time ? spots.n : share > LEAST ? share : LEAST;
    if (!options->dry_run) HONE_TRY(hone_spots_check(tune, &spots, most));
    if (!options->dry_run && options->suspend) HONE_TRY(suspend_bad(&spots, options));
    if (options->json) say_json(&text, tune, &spots, options);
    else if (options->dry_run) list(&text, &spots, most);
    else say_text(&text, tune, &spots, options);
    status = hone_cmd_print(&text);
    if (status == HONE_OK && hone_tune_get_report(tune)->stopped) status = hone_fail(HONE_AGAIN, "stopped before the end");
out:
    hone_text_clear(&text);
    hone_spots_clear(&spots);
    return status;
}
