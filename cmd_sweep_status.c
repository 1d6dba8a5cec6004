// SPDX-License-Identifier: Apache-2.0
// hone sweep status: how far each shard and each network of a sweep is, and what is left.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cmd_sweep.h"

enum { KEY_JSON = 256, KEY_LEFT, KEY_STRICT };

typedef struct tally {
    int64_t problems, covered;
} tally;

typedef struct request {
    const char *folder;
    hone_layers layers;                // count as well
    bool json, left, strict;
    hone_store *store;
    hone_sweep sweep;
    bool *covered;                     // owned; of each problem
    hone_shard_state *shards;          // owned
    tally *networks;                   // owned
    const hone_sweep_problem **sorted; // owned: by spelling
    hone_shard_state all;
} request;

static const struct argp_option options[] = {
    {"left", KEY_LEFT, 0, 0, "Print the problems that are left, a work list for `hone tune -`", 0},
    {"strict", KEY_STRICT, 0, 0, "End with 5 when something is left", 0},
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case ARGP_KEY_INIT: return state->child_inputs[0] = &asked->layers, 0;
    case KEY_JSON: return asked->json = true, 0;
    case KEY_LEFT: return asked->left = true, 0;
    case KEY_STRICT: return asked->strict = true, 0;
    case ARGP_KEY_ARG:
        if (asked->folder) argp_error(state, "one sweep at a time");
        return asked->folder = argument, 0;
    case ARGP_KEY_END:
        if (!asked->folder) argp_error(state, "the DIR of a sweep is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- counting

static int by_spelling(const void *a, const void *b)
{
    const hone_sweep_problem *const *x = a, *const *y = b;
    return strcmp((*x)->spelling, (*y)->spelling);
}

static const hone_sweep_problem *find_problem(const request *asked, const char *spelling)
{
    const hone_sweep_problem wanted = {.spelling = (char *)spelling}, *key = &wanted;
    const hone_sweep_problem **found = bsearch(&key, asked->sorted, asked->sweep.n, sizeof *asked->sorted, by_spelling);
    return found ? *found : NULL;
}

// What no shard has was covered when the sweep was planned.
static void count_network(const request *asked, const hone_sweep_network *network, tally *count)
{
    for (size_t k = 0; k < network->n; k++) {
        const hone_sweep_problem *problem = find_problem(asked, network->needs[k].problem);
        count->problems++;
        count->covered += !problem || asked->covered[problem - asked->sweep.problems];
    }
}

static hone_status look_all(request *asked)
{
    const hone_sweep *sweep = &asked->sweep;
    for (int k = 0; k < sweep->shards; k++) {
        hone_shard_state *state = &asked->shards[k];
        hone_status status = hone_sweep_look(sweep, asked->folder, k + 1, asked->store, asked->covered, state);
        if (status != HONE_OK) return status;
        asked->all.problems += state->problems;
        asked->all.covered += state->covered;
        asked->all.seconds += state->seconds;
        asked->all.seconds_left += state->seconds_left;
    }
    for (size_t k = 0; k < sweep->n; k++) asked->sorted[k] = &sweep->problems[k];
    qsort(asked->sorted, sweep->n, sizeof *asked->sorted, by_spelling);
    for (size_t k = 0; k < sweep->n_networks; k++) count_network(asked, &sweep->networks[k], &asked->networks[k]);
    return HONE_OK;
}

// ---- saying

static const char *word_of(const hone_shard_state *state)
{
    if (*state->trouble) return "damaged";
    if (state->held) return "running";
    return state->covered == state->problems ? "done" : state->covered ? "stopped" : "waiting";
}

static void say_left(const request *asked, hone_text *text)
{
    for (size_t k = 0; k < asked->sweep.n; k++)
        if (!asked->covered[k]) hone_text_printf(text, "%s\n", asked->sweep.problems[k].spelling);
}

static double percent(int64_t part, int64_t whole)
{
    return whole ? 100 * (double)part / (double)whole : 100;
}

static void say_text(const request *asked, hone_text *text)
{
    const hone_sweep *sweep = &asked->sweep;
    char id[HONE_ID_TEXT];
    hone_id_print(&sweep->id, id);
    hone_text_printf(text, "sweep %.12s on %s, effort %s\n", id, sweep->device, hone_effort_name(sweep->effort));
    for (int k = 0; k < sweep->shards; k++) {
        const hone_shard_state *state = &asked->shards[k];
        hone_text_printf(text, "shard %4d  %-8s %6lld of %lld problems, about %.0f s of %.0f left\n", k + 1, word_of(state), (long long)state->covered,
                         (long long)state->problems, state->seconds_left, state->seconds);
        if (*state->trouble) hone_text_printf(text, "            %s\n", state->trouble);
    }
    for (size_t k = 0; k < sweep->n_networks; k++) {
        const hone_sweep_network *network = &sweep->networks[k];
        const tally *count = &asked->networks[k];
        hone_text_printf(text, "network %s, %s%s%s: %lld of %lld problems, %.1f%%\n", network->name, network->precisions, *network->shapes ? ", " : "", network->shapes,
                         (long long)count->covered, (long long)count->problems, percent(count->covered, count->problems));
    }
    hone_text_printf(text, "%lld of %lld problems are covered (%.1f%%); about %.0f s are left\n", (long long)asked->all.covered, (long long)asked->all.problems,
                     percent(asked->all.covered, asked->all.problems), asked->all.seconds_left);
}

static void say_tally(hone_json *json, int64_t problems, int64_t covered)
{
    hone_json_int(json, "problems", problems);
    hone_json_int(json, "covered", covered);
    hone_json_int(json, "left", problems - covered);
}

static void say_shards(const request *asked, hone_json *json)
{
    hone_json_open(json, "shards", '[');
    for (int k = 0; k < asked->sweep.shards; k++) {
        const hone_shard_state *state = &asked->shards[k];
        hone_json_open(json, NULL, '{');
        hone_json_int(json, "shard", k + 1);
        hone_json_text(json, "state", word_of(state));
        say_tally(json, state->problems, state->covered);
        hone_json_real(json, "seconds", state->seconds);
        hone_json_real(json, "seconds_left", state->seconds_left);
        if (*state->trouble) hone_json_text(json, "trouble", state->trouble);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static void say_networks(const request *asked, hone_json *json)
{
    hone_json_open(json, "networks", '[');
    for (size_t k = 0; k < asked->sweep.n_networks; k++) {
        const hone_sweep_network *network = &asked->sweep.networks[k];
        char digest[HONE_ID_TEXT];
        hone_id_print(&network->digest, digest);
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "network", network->name);
        hone_json_text(json, "digest", digest);
        hone_json_text(json, "precisions", network->precisions);
        hone_json_text(json, "shapes", network->shapes);
        say_tally(json, asked->networks[k].problems, asked->networks[k].covered);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static void say_json(const request *asked, hone_text *text)
{
    hone_json json;
    char id[HONE_ID_TEXT];
    hone_id_print(&asked->sweep.id, id);
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.sweep.status.1");
    hone_json_text(&json, "sweep", id);
    hone_json_text(&json, "device", asked->sweep.device);
    hone_json_text(&json, "effort", hone_effort_name(asked->sweep.effort));
    say_tally(&json, asked->all.problems, asked->all.covered);
    hone_json_real(&json, "seconds", asked->all.seconds);
    hone_json_real(&json, "seconds_left", asked->all.seconds_left);
    say_shards(asked, &json);
    say_networks(asked, &json);
    hone_json_close(&json, '}');
}

static hone_status report(request *asked)
{
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_sweep_read(asked->folder, &asked->sweep));
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &asked->store));
    asked->covered = hone_calloc(asked->sweep.n + 1, sizeof *asked->covered);
    asked->sorted = hone_calloc(asked->sweep.n + 1, sizeof *asked->sorted);
    asked->shards = hone_calloc((size_t)asked->sweep.shards + 1, sizeof *asked->shards);
    asked->networks = hone_calloc(asked->sweep.n_networks + 1, sizeof *asked->networks);
    if (!asked->covered || !asked->sorted || !asked->shards || !asked->networks) status = HONE_NO_MEMORY;
    HONE_TRY(status);
    HONE_TRY(look_all(asked));
    (asked->left ? say_left : asked->json ? say_json : say_text)(asked, &text);
    if (text.size) HONE_TRY(hone_cmd_print(&text));
    int64_t left = asked->all.problems - asked->all.covered;
    if (asked->strict && left) status = hone_fail(HONE_MISS, "%lld problems of the sweep are left: `hone sweep run %s`", (long long)left, asked->folder);
out:
    hone_text_clear(&text);
    return status;
}

int hone_cmd_sweep_status(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "DIR", "How far each shard and each network of a sweep is, and what is left.", hone_cmd_layers_child, 0, 0};
    request asked = {0};
    hone_sweep_init(&asked.sweep);
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    hone_status status = report(&asked);
    hone_store_close(asked.store);
    hone_sweep_clear(&asked.sweep);
    hone_free(asked.covered);
    hone_free(asked.sorted);
    hone_free(asked.shards);
    hone_free(asked.networks);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
