// SPDX-License-Identifier: Apache-2.0
// hone build: from a network and a database to a plan. Times nothing, compiles nothing, needs no device.
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/task.h"
#include "cmd.h"
#include "cmd_options.h"
#include "cmd_worklist.h"
#include "engine/build.h"
#include "engine/graph.h"

enum {
    PINS_MAX = 256, KEY_STRICT = 256, KEY_PIN, KEY_LANES, KEY_WORKSPACE, KEY_TOOLCHAIN, KEY_STALE, KEY_APPROXIMATE, KEY_JSON, KEY_SNAPSHOT,
    KEY_WITHOUT
};

typedef struct request {
    const char *model, *output, *toolchain, *snapshot;
    hone_cmd_network network;
    hone_layers layers;
    hone_remote_options hub;       // url NULL: none
    char device[256], device_toolchain[512];       // spellings, as found here, in the database or as the hub calls them; the toolchain may be ""
    bool is_device_found;
    bool strict, stale, approximate, json;
    int lanes;                     // 0: by the device
    int64_t workspace_bytes;
    hone_pin pins[PINS_MAX];
    int n_pins;
    hone_text without;             // libraries, a comma between; empty: the plan may open all
} request;

static const struct argp_option options[] = {
    {"output", 'o', "PLAN", 0, "The plan to write", 0},
    {"strict", KEY_STRICT, 0, 0, "What the database lacks is printed as a work list for `hone tune -`, with exit code 5 and no plan", 0},
    {"pin", KEY_PIN, "LAYER=TACTIC", 0, "Runs a layer by this tactic; may be given again", 0},
    {"lanes", KEY_LANES, "N", 0, "Steps that may overlap, 1 to 16 (default: 4 on a GPU, 1 on a CPU)", 0},
    {"workspace", KEY_WORKSPACE, "BYTES", 0, "Leaves out tactics that need more scratch memory; K, M and G are understood", 0},
    {"without", KEY_WITHOUT, "NAME[,NAME...]", 0, "Leaves out tactics that may open these libraries when the plan runs: nvrtc, cudnn, cublaslt, openblas", 0},
    {"toolchain", KEY_TOOLCHAIN, "SPELLING", 0, "Library versions to build for (default: the newest recorded for the device)", 0},
    {"snapshot", KEY_SNAPSHOT, "ID", 0, "Refuses any other content of the database (hone db snapshot); the first 16 digits will do", 0},
    {"allow-stale", KEY_STALE, 0, 0, "Also uses measurements beside other library versions", 0},
    {"allow-approximate", KEY_APPROXIMATE, 0, 0, "Also uses measurements of other models of the same architecture", 0},
    {"json", KEY_JSON, 0, 0, "The summary as one JSON object on standard output", 0},
    {0},
};

static void add_pin(request *asked, char *argument, struct argp_state *state)
{
    char *equals = strchr(argument, '=');
    if (!equals || equals == argument || !equals[1]) argp_error(state, "--pin wants LAYER=TACTIC, not '%s'", argument);
    if (asked->n_pins == PINS_MAX) argp_error(state, "at most %d pins", PINS_MAX);
    *equals = 0;
    asked->pins[asked->n_pins++] = (hone_pin){argument, equals + 1};
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    const struct { int key; const char **to; } texts[] = {
        {'o', &asked->output}, {KEY_TOOLCHAIN, &asked->toolchain}, {KEY_SNAPSHOT, &asked->snapshot},
    };
    const struct { int key; bool *to; } flags[] = {
        {KEY_STRICT, &asked->strict}, {KEY_STALE, &asked->stale}, {KEY_APPROXIMATE, &asked->approximate}, {KEY_JSON, &asked->json},
    };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (texts[k].key == key) return *texts[k].to = argument, 0;
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
        if (flags[k].key == key) return *flags[k].to = true, 0;
    int64_t lanes;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &asked->network;
        state->child_inputs[1] = &asked->layers;
        state->child_inputs[2] = &asked->hub;
        return 0;
    case KEY_PIN: return add_pin(asked, argument, state), 0;
    case KEY_LANES:
        if (!hone_cmd_int(argument, 1, 16, &lanes)) argp_error(state, "--lanes wants a number from 1 to 16, not '%s'", argument);
        return asked->lanes = (int)lanes, 0;
    case KEY_WORKSPACE:
        if (!hone_cmd_bytes(argument, &asked->workspace_bytes)) argp_error(state, "--workspace wants a number of bytes (64M), not '%s'", argument);
        return 0;
    case KEY_WITHOUT:
        if (hone_opens_check(argument) != HONE_OK) argp_error(state, "--without %s: %s", argument, hone_error_text());
        return hone_opens_add(&asked->without, argument), 0;
    case ARGP_KEY_ARG:
        if (asked->model) argp_error(state, "one MODEL.onnx at a time");
        return asked->model = argument, 0;
    case ARGP_KEY_END:
        if (!asked->model || !asked->output || !asked->network.device) argp_error(state, "MODEL.onnx, -o PLAN and --device DEVICE are needed");
        if (asked->layers.count && asked->hub.url) argp_error(state, "either --db or --hub is read, not both");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- what was built

typedef struct outcome {
    const hone_plan *plan;
    const char *missing, *libraries;
    double seconds;
    int64_t weight_bytes, artifact_bytes;
    int stale, approximate, stand_ins;
} outcome;

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

static void count(const hone_plan *plan, outcome *o)
{
    for (int k = 0; k < plan->n_weights; k++) o->weight_bytes += (int64_t)plan->weights[k].size_bytes;
    for (int k = 0; k < plan->n_artifacts; k++) o->artifact_bytes += (int64_t)plan->artifacts[k].size_bytes;
    for (int k = 0; k < plan->n_steps; k++) {
        o->stale += plan->steps[k].staleness == 1;
        o->approximate += plan->steps[k].staleness == 2;
        o->stand_ins += !strncmp(plan->steps[k].tactic, "ref.", 4);
    }
}

static double share(const hone_plan *plan)
{
    return plan->flops > 0 ? plan->flops_in_precision / plan->flops : 1;
}

static void say(const outcome *o, const char *path)
{
    const hone_plan *plan = o->plan;
    size_t asked = strcspn(plan->precisions, ",");
    fprintf(stderr, "%s: %s on %s\n", path, plan->network, plan->device);
    int lacking = count_lines(o->missing);
    char predicted[64] = "time unknown";      // a stand-in's time is a guess from sizes
    if (!lacking) snprintf(predicted, sizeof predicted, "predicted %.3f ms", plan->predicted_ns / 1e6);
    fprintf(stderr, "%d steps on %d lane%s, %s; weights %.1f MB, compiled kernels %.1f kB, one slot %.1f MB; built in %.2f s\n", plan->n_steps,
            plan->lanes, plan->lanes == 1 ? "" : "s", predicted, (double)o->weight_bytes / 1e6, (double)o->artifact_bytes / 1e3,
            (double)plan->arena_bytes / 1e6, o->seconds);
    fprintf(stderr, "may open when it runs: %s\n", *o->libraries ? o->libraries : "no library");
    fprintf(stderr, "%.1f%% of %.3f GFLOP in %.*s\n", 100 * share(plan), plan->flops / 1e9, (int)asked, plan->precisions);
    for (const char *line = plan->not_in_precision; *line;) {
        int size = (int)strcspn(line, "\n");
        fprintf(stderr, "  not: %.*s\n", size, line);
        line += size + (line[size] == '\n');
    }
    if (o->stale) fprintf(stderr, "%d steps rest on measurements beside other library versions\n", o->stale);
    if (o->approximate) fprintf(stderr, "%d steps rest on measurements of another model of the architecture\n", o->approximate);
    if (lacking)
        fprintf(stderr, "the database lacks %d problems: %d steps run by the reference, slowly. `hone build --strict ... | hone tune -` "
                "tunes them\n", lacking, o->stand_ins);
}

static void lines(hone_json *json, const char *key, const char *text)
{
    hone_json_open(json, key, '[');
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");
        char *copy = hone_strdup(line);
        if (copy) {
            copy[size] = 0;
            hone_json_text(json, NULL, copy);
        }
        hone_free(copy);
        line += size + (line[size] == '\n');
    }
    hone_json_close(json, ']');
}

static hone_status say_json(const outcome *o, const char *path)
{
    const hone_plan *plan = o->plan;
    hone_text text;
    hone_json json;
    hone_id digest;
    char hex[HONE_ID_TEXT];
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_plan_digest(plan, &digest);
    hone_id_print(&digest, hex);
    hone_json_open(&json, NULL, '{');
    const struct { const char *key, *value; } texts[] = {
        {"schema", "hone.build.1"}, {"plan", path}, {"digest", hex}, {"network", plan->network}, {"device", plan->device}, {"toolchain", plan->toolchain},
        {"precisions", plan->precisions}, {"libraries", o->libraries},
    };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) hone_json_text(&json, texts[k].key, texts[k].value);
    const struct { const char *key; int64_t value; } numbers[] = {
        {"steps", plan->n_steps}, {"lanes", plan->lanes}, {"weight_bytes", o->weight_bytes}, {"artifact_bytes", o->artifact_bytes},
        {"slot_bytes", plan->arena_bytes}, {"stale", o->stale}, {"approximate", o->approximate}, {"stand_ins", o->stand_ins},
    };
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) hone_json_int(&json, numbers[k].key, numbers[k].value);
    hone_json_real(&json, "predicted_ns", plan->predicted_ns);
    hone_json_real(&json, "flops", plan->flops);
    hone_json_real(&json, "precision_share", share(plan));
    hone_json_real(&json, "seconds", o->seconds);
    lines(&json, "not_in_precision", plan->not_in_precision);
    lines(&json, "missing", o->missing);
    hone_json_close(&json, '}');
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

// ---- from a hub

static hone_status add_problem(void *user, const char *problem, int64_t times)
{
    return hone_worklist_add(user, problem, times);
}

// All that the builder can ask for is fetched at once.
static hone_status fetch(request *asked, hone_remote *remote, const hone_graph *graph, hone_store **store)
{
    hone_precision_set precisions;
    hone_target target;
    hone_worklist list = {0};
    char toolchain[512];
    hone_status status;
    HONE_TRY(hone_precision_set_parse(asked->network.precision, &precisions));
    HONE_TRY(hone_target_parse(asked->device, &target));
    HONE_TRY(hone_build_questions(graph, &target, &precisions, add_problem, &list));
    HONE_TRY(hone_remote_evidence(remote, asked->device, asked->approximate, (const char *const *)list.problems, list.count, store, toolchain));
    if (*toolchain) memcpy(asked->device_toolchain, toolchain, sizeof toolchain);
out:
    hone_worklist_clear(&list);
    return status;
}

static hone_status open_hub(request *asked, const hone_graph *graph, hone_store **store)
{
    hone_remote *remote = NULL;
    char spelling[512];
    hone_status status;
    HONE_TRY(hone_remote_open(&asked->hub, &remote));
    if (!asked->is_device_found) {
        HONE_TRY(hone_remote_target(remote, asked->network.device, spelling));
        snprintf(asked->device, sizeof asked->device, "%.255s", spelling);
    }
    HONE_TRY(fetch(asked, remote, graph, store));
    asked->is_device_found = true;
out:
    hone_remote_close(remote);
    return status;
}

// ---- building

static hone_status settle(const request *asked, hone_build_options *build)
{
    hone_target target;
    hone_status status = hone_precision_set_parse(asked->network.precision, &build->precisions);
    if (status == HONE_OK) status = hone_target_parse(asked->device, &target);
    if (status != HONE_OK) return status;
    build->device = asked->device;
    build->toolchain = asked->toolchain ? asked->toolchain : asked->device_toolchain;
    build->strict = asked->strict;
    build->allow_stale = asked->stale;
    build->allow_approximate = asked->approximate;
    build->lanes = asked->lanes ? asked->lanes : strcmp(target.kind, "cpu") ? 4 : 1;
    build->workspace_limit_bytes = asked->workspace_bytes;
    build->pins = asked->pins;
    build->n_pins = asked->n_pins;
    build->without = asked->without.size ? hone_text_get(&asked->without) : NULL;
    return HONE_OK;
}

// A pinned build answers the same bytes for ever, or says that the evidence is another.
static hone_status check_snapshot(const request *asked, hone_store *store)
{
    hone_id id;
    char digits[HONE_ID_TEXT];
    if (!asked->snapshot) return HONE_OK;
    size_t size = strlen(asked->snapshot);
    if (size < 16 || size >= HONE_ID_TEXT || strspn(asked->snapshot, "0123456789abcdef") != size)
        return hone_fail(HONE_USAGE, "--snapshot wants what `hone db snapshot` prints, or its first 16 digits or more, not '%s'", asked->snapshot);
    hone_status status = hone_store_snapshot(store, &id);
    if (status != HONE_OK) return status;
    hone_id_print(&id, digits);
    if (!strncmp(digits, asked->snapshot, size)) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s has the snapshot %s, not %s: build with the database that the plan was pinned to, or leave --snapshot out",
                     hone_store_path(store), digits, asked->snapshot);
}

static hone_status write_weights(void *user, const hone_plan *plan)
{
    return hone_plan_draft_begin(user, plan);
}

static hone_status build(const request *asked, hone_store *store, const hone_graph *graph, hone_plan_draft *draft, hone_text *missing, hone_plan **plan)
{
    char name[256];
    hone_build_options build_options = {.user = draft};
    hone_status status = settle(asked, &build_options);
    if (status != HONE_OK) return status;
    if (!asked->json && hone_plan_draft_begins(draft)) build_options.drafted = write_weights;      // say_json digests them
    hone_store_begin_read(store);
    status = check_snapshot(asked, store);
    if (status == HONE_OK)
        status = hone_build(graph, store, &build_options, hone_cmd_network_name(asked->model, name), missing, plan);
    hone_store_end_read(store);
    return status;
}

// The database is looked through beside all the rest; until that is over, nothing that was read of it is told, and no plan lies in its place.
typedef struct look {
    hone_task task;
    bool is_begun;
} look;

static hone_status look_through(void *user) { return hone_store_look_through(user); }

static hone_status find_device(void *user)
{
    request *asked = user;
    return hone_cmd_find_named(asked->network.device, asked->device, asked->device_toolchain, &asked->is_device_found);
}

// Of a task, or where it went well of what was done beside it.
static hone_status end_beside(hone_task *task, hone_status status)
{
    char *why = status == HONE_OK ? NULL : hone_strdup(hone_error_text());
    hone_status ended = hone_task_wait(task);
    if (ended == HONE_OK && status != HONE_OK) hone_fail(status, "%s", why ? why : "out of memory");
    hone_free(why);
    return ended != HONE_OK ? ended : status;
}

// A GPU's driver and libraries take as long to open as the network to read.
static hone_status import_beside_device(request *asked, hone_graph **graph)
{
    hone_task finding;
    hone_task_start(&finding, find_device, asked);
    return end_beside(&finding, hone_cmd_import(asked->model, asked->network.shapes, graph));
}

static hone_status read_both(request *asked, look *beside, hone_store **store, hone_graph **graph)
{
    hone_status status;
    if (!asked->hub.url) {
        asked->layers.unchecked = true;
        HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, store));
        hone_task_start(&beside->task, look_through, *store);
        beside->is_begun = true;
    }
    HONE_TRY(import_beside_device(asked, graph));
    if (asked->hub.url) HONE_TRY(open_hub(asked, *graph, store));     // it is asked about a network that has been read
    if (!asked->hub.url || !*asked->device_toolchain)
        status = hone_cmd_find_recorded(*store, asked->network.device, asked->is_device_found, asked->device, asked->device_toolchain);
out:
    return status;
}

// What a damaged database let go wrong is not worth telling.
static hone_status end_look(look *beside, hone_status status)
{
    return beside->is_begun ? end_beside(&beside->task, status) : status;
}

typedef struct product {
    hone_store *store;
    hone_graph *graph;
    hone_plan_draft *draft;
    hone_plan *plan;
    hone_text missing, libraries;
} product;

static hone_status make(request *asked, look *beside, product *p)
{
    hone_status status;
    HONE_TRY(read_both(asked, beside, &p->store, &p->graph));
    HONE_TRY(hone_plan_draft_new(asked->output, &p->draft));
    HONE_TRY(build(asked, p->store, p->graph, p->draft, &p->missing, &p->plan));
    hone_plan_libraries(p->plan, &p->libraries);
    status = hone_text_status(&p->libraries);
out:
    return status;
}

static void product_clear(product *p)
{
    hone_text_clear(&p->missing);
    hone_text_clear(&p->libraries);
    hone_plan_draft_free(p->draft);
    hone_plan_free(p->plan);
    hone_graph_free(p->graph);
    hone_store_close(p->store);
}

static hone_status run(request *asked)
{
    int64_t start = hone_clock_ns();
    look beside = {.is_begun = false};
    product p = {.store = NULL};
    hone_text_init(&p.missing);
    hone_text_init(&p.libraries);
    hone_status status = end_look(&beside, make(asked, &beside, &p));
    if (status == HONE_MISS && p.missing.size) (void)hone_cmd_print(&p.missing);
    if (status != HONE_OK) goto out;
    HONE_TRY(hone_plan_draft_end(p.draft, p.plan));
    outcome o = {.plan = p.plan, .missing = hone_text_get(&p.missing), .libraries = hone_text_get(&p.libraries),
                 .seconds = (double)(hone_clock_ns() - start) / 1e9};
    count(p.plan, &o);
    if (asked->json) status = say_json(&o, asked->output);
    else say(&o, asked->output);
out:
    product_clear(&p);
    return status;
}

int hone_cmd_build(int argc, char **argv)
{
    static const struct argp_child children[] = {{&hone_cmd_network_argp, 0, 0, 0}, {&hone_cmd_layers_argp, 0, 0, 0}, {&hone_cmd_hub_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {options, parse, "MODEL.onnx", "Builds a plan from a network and a database.", children, 0, 0};
    request *asked = hone_calloc(1, sizeof *asked);
    if (!asked) return hone_cmd_fail(HONE_NO_MEMORY);
    asked->network.precision = "fp32";
    asked->workspace_bytes = -1;
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argv[0] = "hone build";
    argp_parse(&argp, argc, argv, 0, NULL, asked);
    hone_status status = hone_text_status(&asked->without);
    if (status == HONE_OK) status = run(asked);
    hone_text_clear(&asked->without);
    hone_free(asked);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
