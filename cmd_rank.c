// SPDX-License-Identifier: Apache-2.0
// hone rank: learns from databases which tactics to try first (train), and replays recorded spaces under several orders of trial (replay).
#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd.h"
#include "tuner/strategy.h"

enum { STORES_MAX = 64, GROUPS_MAX = 4096, KEY_MODEL = 256, KEY_TIMED, KEY_FEWEST, KEY_HELD_OUT, KEY_LEAST, KEY_JSON };

typedef enum holding { HOLD_NOTHING, HOLD_NETWORK, HOLD_DEVICE, HOLD_PROBLEM } holding;
static const char *const holdings[] = {"nothing", "network", "device", "problem"};

typedef struct need {                  // a problem of a network
    char network[HONE_ID_TEXT], *problem;      // owned
} need;

typedef struct request {
    const char *verb, *paths[STORES_MAX], *out, *model;
    int n_paths, n_budgets, n_least, fewest, budgets[HONE_STRATEGY_BUDGETS];
    double least[HONE_STRATEGY_BUDGETS];
    holding held_out;
    bool json;
    // What comes of it.
    hone_store *stores[STORES_MAX];
    char *groups[GROUPS_MAX];          // owned: what is held out in turn
    int n_groups, group;               // the one held out now; -1 none
    need *needs;                       // owned; for networks
    size_t n_needs, needs_capacity;
    bool inverted;                     // gathers what is held out, not the rest
} request;

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "train: where the ranking goes", 0},
    {"model", KEY_MODEL, "FILE", 0, "replay: this ranking (default: the one that came with the program)", 0},
    {"held-out", KEY_HELD_OUT, "WHAT", 0, "replay: train anew for each network, device or problem without it, and replay on it", 0},
    {"timed", KEY_TIMED, "N,...", 0, "replay: how many candidates are timed (default 16,32,64)", 0},
    {"fewest", KEY_FEWEST, "N", 0, "replay: only problems with so many candidates (default 2)", 0},
    {"least", KEY_LEAST, "PERCENT,...", 0, "replay: exit code 4 unless the order \"learned\" reaches this share of the fastest at each --timed", 0},
    {"json", KEY_JSON, 0, 0, "replay: one JSON object on standard output", 0},
    {0},
};

// ---- arguments

static int parse_numbers(const char *text, double least, double most, double *numbers, struct argp_state *state)
{
    int n = 0;
    char word[32];
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)size, at);
        if (n == HONE_STRATEGY_BUDGETS || !hone_cmd_real(word, least, most, &numbers[n])) argp_error(state, "up to %d numbers are wanted, not '%s'", HONE_STRATEGY_BUDGETS, text);
        n++;
        at += size;
        if (!*at) return n;
    }
}

static void parse_budgets(request *asked, const char *text, struct argp_state *state)
{
    double numbers[HONE_STRATEGY_BUDGETS] = {0};
    asked->n_budgets = parse_numbers(text, 1, 1e6, numbers, state);
    for (int k = 0; k < asked->n_budgets; k++) asked->budgets[k] = (int)numbers[k];
}

static void parse_holding(request *asked, const char *word, struct argp_state *state)
{
    for (int k = HOLD_NETWORK; k <= HOLD_PROBLEM; k++)
        if (!strcmp(word, holdings[k])) asked->held_out = (holding)k;
    if (!asked->held_out) argp_error(state, "--held-out wants network, device or problem, not '%s'", word);
}

static void parse_word(request *asked, char *argument, struct argp_state *state)
{
    if (!asked->verb) asked->verb = argument;
    else if (asked->n_paths == STORES_MAX) argp_error(state, "at most %d databases", STORES_MAX);
    else asked->paths[asked->n_paths++] = argument;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    int64_t number;
    switch (key) {
    case 'o': return asked->out = argument, 0;
    case KEY_MODEL: return asked->model = argument, 0;
    case KEY_JSON: return asked->json = true, 0;
    case KEY_TIMED: return parse_budgets(asked, argument, state), 0;
    case KEY_HELD_OUT: return parse_holding(asked, argument, state), 0;
    case KEY_LEAST: return asked->n_least = parse_numbers(argument, 0, 100, asked->least, state), 0;
    case KEY_FEWEST:
        if (!hone_cmd_int(argument, 1, 1000000, &number)) argp_error(state, "--fewest wants a number, not '%s'", argument);
        return asked->fewest = (int)number, 0;
    case ARGP_KEY_ARG: return parse_word(asked, argument, state), 0;
    case ARGP_KEY_END:
        if (!asked->verb || (strcmp(asked->verb, "train") && strcmp(asked->verb, "replay"))) argp_error(state, "say train or replay");
        if (!asked->n_paths) argp_error(state, "a database is needed");
        if (!strcmp(asked->verb, "train") && !asked->out) argp_error(state, "train wants -o FILE");
        if (asked->n_least > asked->n_budgets) argp_error(state, "--least has more numbers than --timed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- what is held out

static hone_status add_group(request *asked, const char *name)
{
    for (int k = 0; k < asked->n_groups; k++)
        if (!strcmp(asked->groups[k], name)) return HONE_OK;
    if (asked->n_groups == GROUPS_MAX) return hone_fail(HONE_USAGE, "more than %d to hold out in turn", GROUPS_MAX);
    asked->groups[asked->n_groups] = hone_strdup(name);
    return asked->groups[asked->n_groups++] ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status add_need(void *user, const char *network, const char *problem, int64_t times)
{
    request *asked = user;
    (void)times;
    if (hone_grow(&asked->needs, asked->n_needs, &asked->needs_capacity, sizeof *asked->needs, 1 << 24)) return HONE_NO_MEMORY;
    need *n = &asked->needs[asked->n_needs++];
    snprintf(n->network, sizeof n->network, "%s", network);
    n->problem = hone_strdup(problem);
    return n->problem ? add_group(asked, network) : HONE_NO_MEMORY;
}

static hone_status add_problem(void *user, const char *problem)
{
    return add_group(user, problem);
}

typedef struct device_visit {
    request *asked;
    hone_store *store;
} device_visit;

static hone_status add_device(void *user, const char *device, int64_t measurements)
{
    device_visit *v = user;
    (void)measurements;
    if (v->asked->held_out == HOLD_DEVICE) return add_group(v->asked, device);
    return hone_store_each_problem(v->store, device, add_problem, v->asked);
}

static hone_status list_groups(request *asked)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < asked->n_paths && !status; k++) {
        device_visit v = {asked, asked->stores[k]};
        if (asked->held_out == HOLD_NETWORK) status = hone_store_each_need(v.store, add_need, asked);
        else status = hone_store_each_device(v.store, add_device, &v);
    }
    return status;
}

static bool is_held(const request *asked, const char *device, const char *problem)
{
    const char *group = asked->group < 0 ? "" : asked->groups[asked->group];
    if (asked->held_out == HOLD_DEVICE) return !strcmp(device, group);
    if (asked->held_out == HOLD_PROBLEM) return !strcmp(problem, group);
    for (size_t k = 0; k < asked->n_needs; k++)
        if (!strcmp(asked->needs[k].network, group) && !strcmp(asked->needs[k].problem, problem)) return true;
    return false;
}

static bool skip(void *user, const char *device, const char *problem)
{
    const request *asked = user;
    return asked->group >= 0 && is_held(asked, device, problem) != asked->inverted;
}

static hone_status gather(request *asked, bool inverted, hone_lesson *lesson)
{
    hone_status status = HONE_OK;
    asked->inverted = inverted;
    for (int k = 0; k < asked->n_paths && !status; k++) status = hone_lesson_add(lesson, asked->stores[k], skip, asked);
    return status;
}

// ---- training

static hone_status train(request *asked)
{
    hone_lesson lesson = {0};
    hone_text text;
    hone_text_init(&text);
    hone_status status = gather(asked, false, &lesson);
    if (!status) status = hone_lesson_learn(&lesson, &text);
    if (!status) status = hone_file_write(asked->out, hone_text_get(&text), text.size);
    if (!status) printf("%s: learned from %zu tactics\n", asked->out, lesson.n);
    hone_text_clear(&text);
    hone_lesson_clear(&lesson);
    return status;
}

static hone_status train_without(request *asked, hone_ranking **ranking)
{
    hone_lesson lesson = {0};
    hone_text text;
    hone_text_init(&text);
    hone_status status = gather(asked, false, &lesson);
    if (!status) status = hone_lesson_learn(&lesson, &text);
    if (!status) status = hone_ranking_parse(hone_text_get(&text), ranking);
    hone_text_clear(&text);
    hone_lesson_clear(&lesson);
    return status;
}

// ---- replaying

static hone_status replay_group(request *asked, hone_ranking *ranking, hone_replayed *replayed)
{
    hone_lesson lesson = {0};
    hone_status status = gather(asked, true, &lesson);
    for (int s = 0; s < hone_strategy_count && !status; s++)
        if (ranking || !hone_strategy_needs_ranking(s))
            status = hone_strategy_replay(s, &lesson, ranking, asked->budgets, asked->n_budgets, asked->fewest, &replayed[s]);
    hone_lesson_clear(&lesson);
    return status;
}

static hone_status replay_held_out(request *asked, hone_replayed *replayed)
{
    hone_status status = list_groups(asked);
    for (asked->group = 0; asked->group < asked->n_groups && !status && !hone_cmd_stop; asked->group++) {
        hone_ranking *ranking = NULL;
        status = train_without(asked, &ranking);
        if (!status) status = replay_group(asked, ranking, replayed);
        hone_ranking_free(ranking);
    }
    return status ? status : hone_cmd_stop ? hone_fail(HONE_AGAIN, "stopped") : HONE_OK;
}

static hone_status replay_with_one(request *asked, hone_replayed *replayed)
{
    hone_ranking *ranking = NULL;
    hone_status status = asked->model ? hone_ranking_read(asked->model, &ranking) : hone_ranking_find(&ranking);
    if (status == HONE_MISS) status = HONE_OK;     // the orders that need none
    asked->group = -1;
    if (!status) status = replay_group(asked, ranking, replayed);
    hone_ranking_free(ranking);
    return status;
}

static double share(const hone_replayed *r, int budget)
{
    return 100 * exp(r->log_sum[budget] / (double)r->cases);
}

static void say_text(hone_text *text, const request *asked, const hone_replayed *replayed)
{
    hone_text_printf(text, "%lld problems with %lld candidates; percent of the fastest, geometric mean (lowest)\n%-30s", (long long)replayed->cases,
                     (long long)replayed->candidates, "order of trial");
    for (int b = 0; b < asked->n_budgets; b++) hone_text_printf(text, " %10d timed", asked->budgets[b]);
    hone_text_printf(text, "\n");
    for (int s = 0; s < hone_strategy_count; s++) {
        if (!replayed[s].cases) continue;
        hone_text_printf(text, "%-30s", hone_strategy_name(s));
        for (int b = 0; b < asked->n_budgets; b++) hone_text_printf(text, "   %6.2f (%4.1f)", share(&replayed[s], b), 100 * replayed[s].least[b]);
        hone_text_printf(text, "\n");
    }
}

static void say_json(hone_text *text, const request *asked, const hone_replayed *replayed)
{
    hone_json json;
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.rank.1");
    hone_json_text(&json, "held_out", holdings[asked->held_out]);
    hone_json_int(&json, "problems", replayed->cases);
    hone_json_int(&json, "candidates", replayed->candidates);
    hone_json_open(&json, "orders", '[');
    for (int s = 0; s < hone_strategy_count; s++)
        for (int b = 0; b < asked->n_budgets && replayed[s].cases; b++) {
            hone_json_open(&json, NULL, '{');
            hone_json_text(&json, "order", hone_strategy_name(s));
            hone_json_int(&json, "timed", asked->budgets[b]);
            hone_json_real(&json, "percent", share(&replayed[s], b));
            hone_json_real(&json, "lowest", 100 * replayed[s].least[b]);
            hone_json_close(&json, '}');
        }
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
}

static hone_status hold_to(const request *asked, const hone_replayed *replayed)
{
    for (int s = 0; s < hone_strategy_count && asked->n_least; s++) {
        if (strcmp(hone_strategy_name(s), "learned")) continue;
        if (!replayed[s].cases) return hone_fail(HONE_MISS, "there is no ranking to hold to --least");
        for (int b = 0; b < asked->n_least; b++)
            if (share(&replayed[s], b) < asked->least[b])
                return hone_fail(HONE_NUMERIC, "with %d timed %.2f%% of the fastest, %.2f%% are wanted", asked->budgets[b], share(&replayed[s], b), asked->least[b]);
    }
    return HONE_OK;
}

static hone_status replay(request *asked)
{
    hone_replayed *replayed = hone_calloc((size_t)hone_strategy_count, sizeof *replayed);
    hone_text text;
    hone_text_init(&text);
    hone_status status = replayed ? HONE_OK : HONE_NO_MEMORY;
    HONE_TRY(status);
    HONE_TRY((asked->held_out ? replay_held_out : replay_with_one)(asked, replayed));
    if (!replayed->cases) HONE_TRY(hone_fail(HONE_MISS, "no problem there has %d candidates measured on a GPU", asked->fewest));
    (asked->json ? say_json : say_text)(&text, asked, replayed);
    HONE_TRY(hone_cmd_print(&text));
    status = hold_to(asked, replayed);
out:
    hone_text_clear(&text);
    hone_free(replayed);
    return status;
}

// ----

static void clear(request *asked)
{
    for (int k = 0; k < asked->n_paths; k++) hone_store_close(asked->stores[k]);
    for (int k = 0; k < asked->n_groups; k++) hone_free(asked->groups[k]);
    for (size_t k = 0; k < asked->n_needs; k++) hone_free(asked->needs[k].problem);
    hone_free(asked->needs);
    hone_free(asked);
}

int hone_cmd_rank(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "train DB... -o FILE\nreplay DB...", "Learns which tactics to try first, and replays how well.", 0, 0, 0};
    request *asked = hone_calloc(1, sizeof *asked);
    hone_status status = HONE_OK;
    if (!asked) return hone_cmd_fail(HONE_NO_MEMORY);
    asked->budgets[0] = 16, asked->budgets[1] = 32, asked->budgets[2] = 64;
    asked->n_budgets = 3;
    asked->fewest = 2;
    asked->group = -1;
    argv[0] = "hone rank";
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, asked);
    hone_cmd_catch_signals();
    for (int k = 0; k < asked->n_paths && !status; k++) status = hone_store_open(asked->paths[k], HONE_STORE_READ, &asked->stores[k]);
    if (!status) status = (strcmp(asked->verb, "train") ? replay : train)(asked);
    int code = status ? hone_cmd_fail(status) : 0;
    clear(asked);
    return code;
}
