// SPDX-License-Identifier: Apache-2.0
// hone tune: for every problem of networks and work lists, which tactic is fastest here; remembered in the database.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/thread.h"
#include "base/tty.h"
#include "cmd.h"
#include "cmd_tune.h"
#include "cmd_options.h"
#include "cmd_worklist.h"
#include "db/ruling.h"
#include "tuner/tune.h"

enum {
    FILES_MAX = 256, ROUNDS = 3, KEY_DEVICE = 256, KEY_PRECISION, KEY_SHAPES, KEY_EFFORT, KEY_SOURCES, KEY_WORKSPACE, KEY_TIME, KEY_SEED,
    KEY_DRY, KEY_PROGRESS, KEY_JSON, KEY_COMPILE, KEY_RANKING, KEY_FLOOR, KEY_WARM, KEY_BUSY, KEY_VERBOSE, KEY_RECHECK, KEY_SPOT, KEY_SUSPEND
};

typedef struct network {
    const char *path;
    char name[256];
    hone_graph *graph;                 // owned
    hone_worklist list;
} network;

typedef struct request {
    const char *files[FILES_MAX];
    int n_files;
    hone_layers layers;
    const char *precision, *shapes;
    hone_worker_options worker;
    double time_limit_s, floor_s;
    int64_t seed;
    bool dry_run, json, compile_only, verbose, recheck, spot_check, suspend;
    hone_progress_mode progress_mode;
    char command[4096];
    // What comes of it.
    hone_precision_set precisions;
    hone_store *store;
    hone_tune *tune;
    network networks[FILES_MAX];
    int n_networks;
    hone_worklist listed;              // of lists
    hone_progress progress;
    bool has_progress;
    int64_t total;
} request;

static const struct argp_option options[] = {
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0, replay:FILE (default: cpu)", 0},
    {"precision", KEY_PRECISION, "LIST", 0, "For networks, of fp32, tf32, fp16, bf16 (default fp32)", 0},
    {"shapes", KEY_SHAPES, "NAME:DIMS,...", 0, "Binds symbolic dims of networks: x:1x3x640x640", 0},
    {"effort", KEY_EFFORT, "WORD", 0, "lookup and estimate run nothing; quick, full, exhaustive (default quick)", 0},
    {"sources", KEY_SOURCES, "LIST", 0, "Only these tactic sources: cpu,ref", 0},
    {"ranking", KEY_RANKING, "FILE", 0, "Learned order of trial, of `hone rank train`, or none (default: the one that came with the program)", 0},
    {"workspace", KEY_WORKSPACE, "BYTES", 0, "Refuse tactics that need more scratch memory; K, M and G are understood", 0},
    {"time", KEY_TIME, "SECONDS", 0, "Stop then; the same command goes on where it stopped. m and h are understood", 0},
    {"seed", KEY_SEED, "N", 0, "Of random operands and orders (default: a new one, recorded)", 0},
    {"recheck", KEY_RECHECK, 0, 0, "In place of networks: after an upgrade, time a sample of what rests on other versions, and keep, rescale or time again the rest", 0},
    {"spot-check", KEY_SPOT, 0, 0, "In place of networks: measure again a part of what other writers say, the suspicious first; for idle devices", 0},
    {"suspend", KEY_SUSPEND, 0, 0, "With --spot-check: suspend writers of whose claims more than 1% failed, of 50 at least", 0},
    {"dry-run", KEY_DRY, 0, 0, "Print problems, candidates and about how long they take; run none", 0},
    {"progress", KEY_PROGRESS, "WORD", 0, "auto, bar, plain, none", 0},
    {"json", KEY_JSON, 0, 0, "The summary as one JSON object on standard output", 0},
    {"compile-only", KEY_COMPILE, 0, 0, "Compile what tuning would compile into the cache; --device may then be any device's full spelling", 0},
    {"deadline-floor", KEY_FLOOR, "SECONDS", 0, "Least time before a silent tactic is killed (default 5)", 0},
    {"warm", KEY_WARM, 0, 0, "Time with a warm cache; recorded as another mode", 0},
    {"busy", KEY_BUSY, 0, 0, "Tune although other work, or MPS, disturbs the device's times", 0},
    {"force", KEY_BUSY, 0, OPTION_ALIAS, 0, 0},
    {"verbose", KEY_VERBOSE, 0, 0, "Let the worker's messages through", 0},
    {0},
};

// ---- arguments

static bool parse_progress(const char *word, hone_progress_mode *mode)
{
    static const struct { const char *word; hone_progress_mode mode; } modes[] = {
        {"auto", HONE_PROGRESS_AUTO}, {"bar", HONE_PROGRESS_BAR}, {"plain", HONE_PROGRESS_PLAIN}, {"none", HONE_PROGRESS_NONE},
    };
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++)
        if (!strcmp(word, modes[k].word)) return *mode = modes[k].mode, true;
    return false;
}

static void check_kind(const request *asked, struct argp_state *state)
{
    bool by_itself = asked->recheck || asked->spot_check;
    if (asked->recheck && asked->spot_check) argp_error(state, "--recheck and --spot-check are two things");
    if (by_itself && asked->n_files) argp_error(state, "--%s goes by what the database knows, and takes no file", asked->recheck ? "recheck" : "spot-check");
    if (by_itself && asked->compile_only) argp_error(state, "--%s times what it compiles: not with --compile-only", asked->recheck ? "recheck" : "spot-check");
    if (asked->suspend && !asked->spot_check) argp_error(state, "--suspend goes with --spot-check");
    if (!by_itself && !asked->n_files) argp_error(state, "a MODEL.onnx, a LIST or - is needed");
}

static error_t parse_value(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case KEY_EFFORT:
        if (!hone_effort_parse(argument, &asked->worker.effort))
            argp_error(state, "--effort wants lookup, estimate, quick, full or exhaustive, not '%s'", argument);
        return 0;
    case KEY_SOURCES: return hone_cmd_check_sources(argument, state), asked->worker.sources = argument, 0;
    case KEY_WORKSPACE:
        if (!hone_cmd_bytes(argument, &asked->worker.workspace_limit_bytes)) argp_error(state, "--workspace wants a number of bytes (64M), not '%s'", argument);
        return 0;
    case KEY_TIME:
        if (!hone_cmd_seconds(argument, &asked->time_limit_s)) argp_error(state, "--time wants seconds (90, 10m, 2h), not '%s'", argument);
        return 0;
    case KEY_FLOOR:
        if (!hone_cmd_seconds(argument, &asked->floor_s)) argp_error(state, "--deadline-floor wants seconds, not '%s'", argument);
        return 0;
    case KEY_SEED:
        if (!hone_cmd_int(argument, 0, INT64_MAX, &asked->seed)) argp_error(state, "--seed wants a number, not '%s'", argument);
        return 0;
    case KEY_PROGRESS:
        if (!parse_progress(argument, &asked->progress_mode)) argp_error(state, "--progress wants auto, bar, plain or none, not '%s'", argument);
        return 0;
    case ARGP_KEY_ARG:
        if (asked->n_files == FILES_MAX) argp_error(state, "at most %d networks and lists", FILES_MAX);
        return asked->files[asked->n_files++] = argument, 0;
    case ARGP_KEY_END:
        check_kind(asked, state);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    const struct { int key; const char **to; } texts[] = {
        {KEY_DEVICE, &asked->worker.device}, {KEY_PRECISION, &asked->precision}, {KEY_SHAPES, &asked->shapes},
        {KEY_RANKING, &asked->worker.ranking},
    };
    const struct { int key; bool *to; } flags[] = {
        {KEY_DRY, &asked->dry_run}, {KEY_JSON, &asked->json}, {KEY_COMPILE, &asked->compile_only}, {KEY_WARM, &asked->worker.warm},
        {KEY_BUSY, &asked->worker.busy}, {KEY_VERBOSE, &asked->verbose}, {KEY_RECHECK, &asked->recheck},
        {KEY_SPOT, &asked->spot_check}, {KEY_SUSPEND, &asked->suspend},
    };
    if (key == ARGP_KEY_INIT) return state->child_inputs[0] = &asked->layers, 0;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (texts[k].key == key) return *texts[k].to = argument, 0;
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
        if (flags[k].key == key) return *flags[k].to = true, 0;
    return parse_value(key, argument, state);
}

static void join_command(request *asked, int argc, char **argv)
{
    size_t used = 0;
    for (int k = 0; k < argc && used < sizeof asked->command; k++)
        used += (size_t)snprintf(asked->command + used, sizeof asked->command - used, "%s%s", k ? " " : "", argv[k]);
}

// ---- networks and lists

static hone_status read_files(request *asked)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < asked->n_files && status == HONE_OK; k++) {
        if (!hone_cmd_is_network(asked->files[k])) {
            status = hone_worklist_read(&asked->listed, asked->files[k]);
            continue;
        }
        network *n = &asked->networks[asked->n_networks++];
        n->path = asked->files[k];
        hone_cmd_network_name(n->path, n->name);
        status = hone_cmd_import(n->path, asked->shapes, &n->graph);
        if (status) status = hone_fail_in(status, "%s", n->path);
    }
    return status;
}

static hone_status list_networks(request *asked, const char *device)
{
    hone_target target;
    hone_status status = hone_target_parse(device, &target);
    for (int k = 0; k < asked->n_networks && status == HONE_OK; k++)
        status = hone_worklist_add_graph(&asked->networks[k].list, asked->networks[k].graph, &target, &asked->precisions);
    return status;
}

// All problems of all networks and lists. The list borrows its texts: free only *problems.
static hone_status gather(request *asked, const char ***problems, size_t *count)
{
    *count = asked->listed.count;
    for (int k = 0; k < asked->n_networks; k++) *count += asked->networks[k].list.count;
    *problems = hone_alloc((*count + 1) * sizeof **problems);
    if (!*problems) return HONE_NO_MEMORY;
    const char **at = *problems;
    for (int n = 0; n < asked->n_networks; n++)
        for (size_t k = 0; k < asked->networks[n].list.count; k++) *at++ = asked->networks[n].list.problems[k];
    for (size_t k = 0; k < asked->listed.count; k++) *at++ = asked->listed.problems[k];
    return HONE_OK;
}

// ---- progress and summary

static void show_progress(void *user, const hone_tune_report *report, const char *what)
{
    request *asked = user;
    if (!asked->has_progress) return;
    hone_progress_step(&asked->progress, report->done + report->covered + report->refused, what);
}

static void begin_progress(request *asked, size_t count)
{
    asked->total += (int64_t)count;
    if (asked->has_progress) {
        asked->progress.total = asked->total;
        return;
    }
    hone_progress_begin(&asked->progress, asked->progress_mode, "tune", asked->total);
    asked->has_progress = true;
}

static void end_progress(request *asked)
{
    if (!asked->has_progress) return;
    const hone_tune_report *report = hone_tune_get_report(asked->tune);
    asked->progress.total = report->problems;       // without repeats
    asked->progress.done = report->done + report->covered + report->refused;
    hone_progress_end(&asked->progress);
    asked->has_progress = false;
}

static void say_verdicts(hone_text *text, const hone_tune_report *report)
{
    bool any = false;
    for (int k = 0; k < HONE_VERDICT_COUNT; k++) {
        if (!report->verdicts[k]) continue;
        hone_text_printf(text, "%s%lld %s", any ? ", " : "", (long long)report->verdicts[k], hone_verdict_name((hone_verdict)k));
        any = true;
    }
    if (!any) hone_text_printf(text, "none");
}

static void say_text(hone_text *text, const request *asked, const hone_tune_report *report)
{
    hone_text_printf(text, "%lld problems on %s: %lld tuned, %lld known, %lld refused, %lld left; %.1f s\n", (long long)report->problems,
                     hone_tune_get_device(asked->tune)->device, (long long)report->done, (long long)report->covered, (long long)report->refused,
                     (long long)report->left, report->seconds);
    hone_text_printf(text, "%lld candidates ran: ", (long long)report->candidates);
    say_verdicts(text, report);
    hone_text_printf(text, "\n%lld left out as hopeless by estimate, %lld of libraries far behind, %lld as bad before; %lld tried again alone, %lld of them innocent; %lld workers\n",
                     (long long)report->hopeless, (long long)report->lagging, (long long)report->known_bad, (long long)report->suspects,
                     (long long)report->cleared, (long long)report->workers);
    if (*report->refusal) hone_text_printf(text, "the last refusal: %s\n", report->refusal);
    if (report->stopped) hone_text_printf(text, "stopped; everything measured is kept, the same command goes on\n");
    if (report->out_of_time) hone_text_printf(text, "out of time; everything measured is kept, the same command goes on\n");
}

// Where the time went, as the tuner saw it: a trial compiles only what was not compiled ahead.
static void say_spent(hone_json *json, const hone_tune_report *report)
{
    hone_json_open(json, "spent", '{');
    hone_json_real(json, "listing", report->listing_s);
    hone_json_real(json, "operands", report->laying_s);
    hone_json_real(json, "samples", report->sampling_s);
    for (int k = 0; k < hone_source_count && k < HONE_TUNE_SOURCES; k++)
        if (report->trying_s[k] > 0) hone_json_real(json, hone_sources[k]->name, report->trying_s[k]);
    hone_json_close(json, '}');
    hone_json_open(json, "phases", '{');
    for (int k = 0; k < HONE_PHASES; k++) hone_json_real(json, hone_phases[k], report->phase_s[k]);
    hone_json_close(json, '}');
}

static void say_json(hone_text *text, const request *asked, const hone_tune_report *report)
{
    hone_json json;
    const struct { const char *key; int64_t value; } numbers[] = {
        {"problems", report->problems}, {"tuned", report->done}, {"known", report->covered}, {"refused", report->refused}, {"left", report->left},
        {"candidates", report->candidates}, {"hopeless", report->hopeless}, {"lagging", report->lagging},
        {"known_bad", report->known_bad}, {"suspects", report->suspects},
        {"cleared", report->cleared}, {"workers", report->workers}, {"seed", (int64_t)asked->worker.seed},
    };
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.tune.1");
    hone_json_text(&json, "device", hone_tune_get_device(asked->tune)->device);
    hone_json_text(&json, "toolchain", hone_tune_get_device(asked->tune)->toolchain);
    hone_json_text(&json, "timer", hone_tune_get_device(asked->tune)->timer);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) hone_json_int(&json, numbers[k].key, numbers[k].value);
    hone_json_open(&json, "verdicts", '{');
    for (int k = 0; k < HONE_VERDICT_COUNT; k++) hone_json_int(&json, hone_verdict_name((hone_verdict)k), report->verdicts[k]);
    hone_json_close(&json, '}');
    hone_json_real(&json, "seconds", report->seconds);
    say_spent(&json, report);
    hone_json_bool(&json, "stopped", report->stopped);
    hone_json_bool(&json, "out_of_time", report->out_of_time);
    hone_json_close(&json, '}');
}

static hone_status summarise(request *asked)
{
    hone_text text;
    hone_text_init(&text);
    (asked->json ? say_json : say_text)(&text, asked, hone_tune_get_report(asked->tune));
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

// ---- tuning

static hone_status find_writer(const request *asked, hone_key *key)
{
    strcpy(key->writer, "local");
    return asked->dry_run || !asked->store ? HONE_OK : hone_cmd_find_writer(asked->store, key);
}

static hone_status open_tune(request *asked)
{
    char host[128] = "";
    hone_key key;
    hone_tune_options tune = {
        .supervisor = {.worker = asked->worker, .floor_ns = (int64_t)(asked->floor_s * 1e9), .stop = &hone_cmd_stop, .verbose = asked->verbose},
        .store = asked->store, .dry_run = asked->dry_run, .command = asked->command, .writer = key.writer, .host = host, .time_limit_s = asked->time_limit_s, .progress = show_progress,
        .user = asked,
    };
    if (gethostname(host, sizeof host - 1)) *host = 0;
    hone_status status = find_writer(asked, &key);
    if (status == HONE_OK) status = hone_tune_open(&tune, &asked->tune);
    hone_key_clear(&key);
    return status;
}

static hone_status register_networks(request *asked)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < asked->n_networks && status == HONE_OK; k++) {
        const network *n = &asked->networks[k];
        status = hone_store_put_network(asked->store, hone_graph_digest(n->graph), n->name, (const char *const *)n->list.problems, n->list.times, n->list.count);
    }
    return status;
}

static hone_status find_missing(request *asked, const network *n, hone_worklist *missing)
{
    const hone_supervisor *device = hone_tune_get_device(asked->tune);
    hone_build_options build = {.device = device->device, .toolchain = device->toolchain, .precisions = asked->precisions,
                                .lanes = strcmp(device->kind, "cpu") ? 4 : 1, .workspace_limit_bytes = asked->worker.workspace_limit_bytes};
    return hone_worklist_add_missing(missing, n->graph, asked->store, &build);
}

static bool is_over(const request *asked)
{
    const hone_tune_report *report = hone_tune_get_report(asked->tune);
    return report->stopped || report->out_of_time;
}

static hone_status tune_missing(request *asked)
{
    hone_status status = HONE_OK;
    for (int round = 0; round < ROUNDS && status == HONE_OK && !is_over(asked); round++) {
        hone_worklist missing = {0};
        for (int k = 0; k < asked->n_networks && status == HONE_OK; k++) status = find_missing(asked, &asked->networks[k], &missing);
        int64_t done = hone_tune_get_report(asked->tune)->done;
        if (status == HONE_OK && missing.count) {
            begin_progress(asked, missing.count);
            status = hone_tune_problems(asked->tune, (const char *const *)missing.problems, missing.count);
        }
        hone_worklist_clear(&missing);
        if (hone_tune_get_report(asked->tune)->done == done) break;
    }
    return status;
}

static hone_status tune_all(request *asked)
{
    const char **problems = NULL;
    size_t count = 0;
    hone_status status;
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_CREATE, &asked->store));
    HONE_TRY(open_tune(asked));
    HONE_TRY(list_networks(asked, hone_tune_get_device(asked->tune)->device));
    HONE_TRY(register_networks(asked));
    HONE_TRY(gather(asked, &problems, &count));
    begin_progress(asked, count);
    HONE_TRY(hone_tune_gap(asked->tune));
    HONE_TRY(hone_tune_problems(asked->tune, problems, count));
    if (asked->worker.effort >= HONE_EFFORT_QUICK) HONE_TRY(tune_missing(asked));
    end_progress(asked);
    HONE_TRY(summarise(asked));
    if (hone_tune_get_report(asked->tune)->stopped) status = hone_fail(HONE_AGAIN, "stopped before the end");
out:
    hone_free(problems);
    return status;
}

// ---- dry run

typedef struct listing {
    int64_t problems, candidates;
    double estimate_ns;
    bool json;
} listing;

// What a candidate takes besides its runs, measured: verifying and timing on a GPU about 8 ms, on a CPU, with its slower eviction, 30.
static hone_status list_candidate(void *user, const char *problem, const char *tactic, double estimate_ns)
{
    listing *l = user;
    char number[32];
    if (!tactic) {
        l->problems++;
        if (!l->json) printf("%s\n", problem);
        return HONE_OK;
    }
    l->candidates++;
    l->estimate_ns += 15 * estimate_ns + 1e7;
    if (!l->json) printf("    %-60s about %s us\n", tactic, hone_print_double((double)(int64_t)(estimate_ns / 100) / 10, number));
    return HONE_OK;
}

// A dry run writes nothing, not even a new database, and does not mind other work: it times nothing.
static hone_status open_to_look(request *asked)
{
    hone_layers *layers = &asked->layers;
    if (layers->count && access(layers->paths[0], F_OK)) memmove(layers->paths, layers->paths + 1, (size_t)--layers->count * sizeof *layers->paths);
    asked->worker.busy = true;
    return hone_store_open_layers(layers, HONE_STORE_READ, &asked->store);
}

static hone_status dry_run(request *asked)
{
    const char **problems = NULL;
    size_t count = 0;
    listing l = {.json = asked->json};
    hone_status status;
    HONE_TRY(open_to_look(asked));
    HONE_TRY(open_tune(asked));
    HONE_TRY(list_networks(asked, hone_tune_get_device(asked->tune)->device));
    HONE_TRY(gather(asked, &problems, &count));
    HONE_TRY(hone_tune_list(asked->tune, problems, count, list_candidate, &l));
    if (asked->json)
        printf("{\"schema\": \"hone.tune.dry.1\", \"problems\": %lld, \"candidates\": %lld, \"seconds\": %.1f}\n", (long long)l.problems, (long long)l.candidates, l.estimate_ns / 1e9);
    else
        printf("%lld problems, %lld candidates, about %.0f s\n", (long long)l.problems, (long long)l.candidates, l.estimate_ns / 1e9);
out:
    hone_free(problems);
    return status;
}

// ---- after an upgrade

// Decisions of a key that has no say would be put and never count.
static hone_status check_say(request *asked)
{
    char owner[HONE_ID_TEXT];
    hone_trust trust;
    hone_key key;
    hone_status status = find_writer(asked, &key);
    if (status == HONE_OK) status = hone_trust_of(asked->store, key.writer, &trust);
    if (status == HONE_OK) status = hone_store_find_owner(asked->store, owner);
    hone_key_clear(&key);
    if (status != HONE_OK || asked->dry_run || trust == HONE_TRUST_PROMOTE) return status;
    return hone_fail(HONE_USAGE, "%s is owned by %.16s..., and a recheck by the key here would not count in it: its owner empowers the key, or `hone db trust own` makes "
                     "it yours, if it is", hone_store_path(asked->store), owner);
}

// A database whose records are gone through, and the device.
static hone_status open_known(request *asked)
{
    hone_status status = asked->dry_run ? open_to_look(asked) : hone_store_open_layers(&asked->layers, HONE_STORE_CREATE, &asked->store);
    if (status == HONE_OK && asked->recheck) status = check_say(asked);
    return status == HONE_OK ? open_tune(asked) : status;
}

static hone_status recheck(request *asked)
{
    hone_status status;
    HONE_TRY(open_known(asked));
    status = hone_cmd_recheck(asked->tune, asked->dry_run, asked->json);
out:
    return status;
}

// ---- what others say

typedef struct suspending {
    hone_store *store;
    const hone_key *key;
} suspending;

static hone_status suspend(void *user, const char *writer, const char *reason)
{
    suspending *by = user;
    hone_id target;
    if (!hone_id_parse(writer, &target)) return hone_fail(HONE_USAGE, "the writer %s has no key to suspend", writer);
    return hone_ruling_put(by->store, by->key, HONE_RULING_SUSPEND, &target, reason, NULL);
}

static hone_status spot_check(request *asked)
{
    hone_key key = {0};
    suspending by = {.key = &key};
    hone_status status;
    HONE_TRY(open_known(asked));
    HONE_TRY(find_writer(asked, &key));
    if (asked->dry_run && hone_key_open(NULL, &key)) strcpy(key.writer, "local");       // whose rows are not others'
    by.store = asked->store;
    hone_cmd_spot spot = {.own = key.writer, .dry_run = asked->dry_run, .json = asked->json, .until_time = asked->time_limit_s > 0,
                          .suspend = asked->suspend ? suspend : NULL, .user = &by};
    status = hone_cmd_spot_check(asked->tune, &spot);
out:
    hone_key_clear(&key);
    return status;
}

// ---- compiling only

static hone_status compile_all(request *asked)
{
    char spelling[256], toolchain[512];
    const char **problems = NULL;
    hone_target target;
    size_t count = 0;
    int64_t compiled, failed, start_ns = hone_clock_ns();
    hone_status status = HONE_OK;
    snprintf(spelling, sizeof spelling, "%s", asked->worker.device);
    if (hone_target_parse(spelling, &target)) {
        HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &asked->store));
        HONE_TRY(hone_cmd_find_target(asked->store, asked->worker.device, spelling, toolchain));
        HONE_TRY(hone_target_parse(spelling, &target));
    }
    HONE_TRY(list_networks(asked, spelling));
    HONE_TRY(gather(asked, &problems, &count));
    HONE_TRY(hone_tune_compile(&target, &asked->worker, problems, count, hone_cpu_count(), &hone_cmd_stop, &compiled, &failed));
    printf("%zu problems: %lld tactics compiled or found, %lld do not compile; %.1f s\n", count, (long long)compiled, (long long)failed,
           (double)(hone_clock_ns() - start_ns) / 1e9);
out:
    hone_free(problems);
    return status;
}

// ----

static void clear(request *asked)
{
    if (asked->tune) end_progress(asked);
    hone_tune_close(asked->tune);
    hone_store_close(asked->store);
    for (int k = 0; k < asked->n_networks; k++) {
        hone_graph_free(asked->networks[k].graph);
        hone_worklist_clear(&asked->networks[k].list);
    }
    hone_worklist_clear(&asked->listed);
    hone_free(asked);
}

int hone_cmd_tune(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "MODEL.onnx|LIST|-...\n--recheck\n--spot-check", "Measures tactics and remembers them.", hone_cmd_layers_child, 0, 0};
    request *asked = hone_calloc(1, sizeof *asked);
    if (!asked) return hone_cmd_fail(HONE_NO_MEMORY);
    asked->worker = (hone_worker_options){.device = "cpu", .sources = "", .effort = HONE_EFFORT_QUICK, .workspace_limit_bytes = -1};
    asked->precision = "fp32";
    asked->floor_s = 5;
    asked->seed = -1;
    join_command(asked, argc, argv);
    argv[0] = "hone tune";
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, asked);
    asked->worker.seed = (uint64_t)asked->seed;
    if (asked->seed < 0 && getrandom(&asked->worker.seed, sizeof asked->worker.seed, 0) > 0) asked->worker.seed >>= 1;
    hone_cmd_catch_signals();
    hone_status status = hone_precision_set_parse(asked->precision, &asked->precisions);
    if (status == HONE_OK) status = read_files(asked);
    if (status == HONE_OK) status = (asked->recheck ? recheck : asked->spot_check ? spot_check : asked->compile_only ? compile_all : asked->dry_run ? dry_run : tune_all)(asked);
    int code = status == HONE_OK ? 0 : hone_cmd_fail(status);
    clear(asked);
    return code;
}
