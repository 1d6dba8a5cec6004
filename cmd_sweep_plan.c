// SPDX-License-Identifier: Apache-2.0
// hone sweep plan: networks x shapes x precisions for one type of device, less what the database covers, as a list of shards.
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd_sweep.h"
#include "cmd_worklist.h"

enum {
    FILES_MAX = 256, VARIANTS_MAX = 32, KEY_DEVICE = 256, KEY_TOOLCHAIN, KEY_PRECISION, KEY_SHAPES, KEY_EFFORT, KEY_SOURCES, KEY_LEAST,
    KEY_SHARDS, KEY_JSON
};

typedef struct request {
    const char *files[FILES_MAX], *precisions[VARIANTS_MAX], *shapes[VARIANTS_MAX];
    int n_files, n_precisions, n_shapes;
    bool fits[VARIANTS_MAX];           // the shapes that some network took
    const char *folder, *device, *toolchain;
    hone_layers layers;
    double least_seconds;
    int64_t shards;
    bool json;
    hone_store *store;
    hone_sweep sweep;
    hone_target target;
    hone_tune_scope scope;
} request;

static const struct argp_option options[] = {
    {"output", 'o', "DIR", 0, "The sweep's folder, made when missing; where the shards will run, too", 0},
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0, a full spelling, or a word that names one device of the database (default: cpu)", 0},
    {"toolchain", KEY_TOOLCHAIN, "TOOLCHAIN", 0, "The libraries that the shards will run with (default: those here, or the newest recorded for the device)", 0},
    {"precision", KEY_PRECISION, "LIST", 0, "Of fp32, tf32, fp16, bf16 (default fp32); several times: each is swept", 0},
    {"shapes", KEY_SHAPES, "NAME:DIMS,...", 0, "Binds symbolic dims: x:1x3x640x640; several times: each is swept, in the networks that it fits", 0},
    {"effort", KEY_EFFORT, "WORD", 0, "quick, full, exhaustive (default quick)", 0},
    {"sources", KEY_SOURCES, "LIST", 0, "Only these tactic sources: nvrtc,cublaslt", 0},
    {"least", KEY_LEAST, "SECONDS", 0, "What a shard takes at least (default 10m)", 0},
    {"shards", KEY_SHARDS, "N", 0, "So many shards, however short", 0},
    {"json", KEY_JSON, 0, 0, "The summary as one JSON object on standard output", 0},
    {0},
};

static error_t take_sources(request *asked, const char *words, struct argp_state *state)
{
    hone_cmd_check_sources(words, state);
    if (strlen(words) >= sizeof asked->sweep.sources) argp_error(state, "--sources is too long");
    snprintf(asked->sweep.sources, sizeof asked->sweep.sources, "%s", words);
    return 0;
}

static void add_variant(const char *argument, const char **list, int *n, struct argp_state *state)
{
    if (*n == VARIANTS_MAX) argp_error(state, "at most %d times --precision or --shapes", VARIANTS_MAX);
    list[(*n)++] = argument;
}

static void check_end(const request *asked, struct argp_state *state)
{
    if (!asked->folder) argp_error(state, "-o DIR is needed");
    if (!asked->n_files) argp_error(state, "a MODEL.onnx or a LIST is needed");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case 'o': return asked->folder = argument, 0;
    case ARGP_KEY_INIT: return state->child_inputs[0] = &asked->layers, 0;
    case KEY_DEVICE: return asked->device = argument, 0;
    case KEY_TOOLCHAIN: return asked->toolchain = argument, 0;
    case KEY_PRECISION: return add_variant(argument, asked->precisions, &asked->n_precisions, state), 0;
    case KEY_SHAPES: return add_variant(argument, asked->shapes, &asked->n_shapes, state), 0;
    case KEY_JSON: return asked->json = true, 0;
    case KEY_EFFORT:
        if (!hone_effort_parse(argument, &asked->sweep.effort) || asked->sweep.effort < HONE_EFFORT_QUICK)
            argp_error(state, "--effort wants quick, full or exhaustive, not '%s'", argument);
        return 0;
    case KEY_SOURCES: return take_sources(asked, argument, state);
    case KEY_LEAST:
        if (!hone_cmd_seconds(argument, &asked->least_seconds)) argp_error(state, "--least wants seconds (90, 10m, 2h), not '%s'", argument);
        return 0;
    case KEY_SHARDS:
        if (!hone_cmd_int(argument, 1, HONE_SHARDS_MAX, &asked->shards)) argp_error(state, "--shards wants a number from 1 to %d, not '%s'", HONE_SHARDS_MAX, argument);
        return 0;
    case ARGP_KEY_ARG:
        if (asked->n_files == FILES_MAX) argp_error(state, "at most %d networks and lists", FILES_MAX);
        return asked->files[asked->n_files++] = argument, 0;
    case ARGP_KEY_END: return check_end(asked, state), 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- the device

// The libraries: as said; of a device that is here, those here; otherwise the newest that the database knows.
static hone_status find_device(request *asked)
{
    hone_sweep *sweep = &asked->sweep;
    char here[512];
    bool found;
    if (!strncmp(asked->device, "replay:", 7)) return hone_fail(HONE_USAGE, "a recording is no device to sweep; `hone tune --device %s` plays it", asked->device);
    hone_status status = hone_cmd_find_named(asked->device, sweep->device, here, &found);
    if (status == HONE_OK) status = hone_cmd_find_recorded(asked->store, asked->device, found, sweep->device, sweep->toolchain);
    if (status == HONE_OK) status = hone_target_parse(sweep->device, &asked->target);
    if (status != HONE_OK) return status;
    if (asked->toolchain && strlen(asked->toolchain) >= sizeof sweep->toolchain) return hone_fail(HONE_USAGE, "--toolchain is too long");
    if (asked->toolchain) snprintf(sweep->toolchain, sizeof sweep->toolchain, "%s", asked->toolchain);
    else if (*here) snprintf(sweep->toolchain, sizeof sweep->toolchain, "%s", here);
    asked->scope = hone_sweep_scope(sweep, sweep->toolchain);
    return HONE_OK;
}

// ---- gathering

static hone_status add_lacking(request *asked, const char *problem, bool *lacks)
{
    bool covered;
    hone_status status = hone_tune_covers(asked->store, &asked->scope, problem, &covered);
    if (status != HONE_OK || covered) return status;
    *lacks = true;
    return hone_sweep_add_problem(&asked->sweep, problem);
}

// A list's lines may have blanks and defaults that the one spelling has not.
static hone_status spell(const char *text, hone_text *spelling)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    hone_status status = hone_problem_parse(text, problem);
    if (status == HONE_OK) hone_problem_print(problem, spelling);
    else status = hone_fail_in(status, "problem \"%.200s\"", text);
    hone_free(problem);
    return status == HONE_OK ? hone_text_status(spelling) : status;
}

static hone_status add_lines(request *asked, const hone_worklist *list, bool *lacks)
{
    hone_status status = HONE_OK;
    for (size_t k = 0; k < list->count && status == HONE_OK; k++) {
        hone_text spelling;
        hone_text_init(&spelling);
        status = spell(list->problems[k], &spelling);
        if (status == HONE_OK) status = add_lacking(asked, hone_text_get(&spelling), lacks);
        hone_text_clear(&spelling);
    }
    return status;
}

static hone_status add_list(request *asked, const char *path)
{
    hone_worklist list = {0};
    bool lacks = false;
    hone_status status = hone_worklist_read(&list, path);
    if (status == HONE_OK) status = add_lines(asked, &list, &lacks);
    hone_worklist_clear(&list);
    return status;
}

// Conversions show only once the times of their neighbours are known: they make a later, small sweep.
static hone_status add_conversions(request *asked, const hone_graph *graph, const hone_precision_set *precisions)
{
    hone_build_options build = {.device = asked->sweep.device, .toolchain = asked->sweep.toolchain, .precisions = *precisions,
                                .lanes = strcmp(asked->target.kind, "cpu") ? 4 : 1, .workspace_limit_bytes = -1};
    hone_worklist missing = {0};
    bool lacks = false;
    hone_status status = hone_worklist_add_missing(&missing, graph, asked->store, &build);
    if (status == HONE_OK) status = add_lines(asked, &missing, &lacks);
    hone_worklist_clear(&missing);
    return status;
}

static hone_status add_variant_of(request *asked, const hone_graph *graph, const char *path, const char *shapes, const char *words)
{
    char name[256];
    hone_precision_set precisions;
    hone_worklist list = {0};
    bool lacks = false;
    hone_status status;
    HONE_TRY(hone_precision_set_parse(words, &precisions));
    HONE_TRY(hone_worklist_add_graph(&list, graph, &asked->target, &precisions));
    HONE_TRY(hone_sweep_add_network(&asked->sweep, hone_graph_digest(graph), hone_cmd_network_name(path, name), words, shapes ? shapes : ""));
    for (size_t k = 0; k < list.count; k++) {
        HONE_TRY(hone_sweep_add_need(&asked->sweep, list.problems[k], list.times[k]));
        HONE_TRY(add_lacking(asked, list.problems[k], &lacks));
    }
    if (!lacks) HONE_TRY(add_conversions(asked, graph, &precisions));
out:
    hone_worklist_clear(&list);
    return status;
}

static hone_status add_bound(request *asked, const char *path, const char *shapes)
{
    hone_graph *graph = NULL;
    hone_status status = hone_cmd_import(path, shapes, &graph);
    if (status != HONE_OK) return hone_fail_in(status, "%s", path);
    for (int k = 0; k < asked->n_precisions && status == HONE_OK; k++) status = add_variant_of(asked, graph, path, shapes, asked->precisions[k]);
    hone_graph_free(graph);
    return status;
}

// Each of the shapes that fits; a network that none of them concerns is taken as it is.
static hone_status add_network(request *asked, const char *path)
{
    bool any = false;
    for (int k = 0; k < asked->n_shapes; k++) {
        hone_status status = add_bound(asked, path, asked->shapes[k]);
        if (status == HONE_OK) any = asked->fits[k] = true;
        else if (status != HONE_USAGE || asked->n_shapes + asked->n_files == 2) return status;
    }
    return any ? HONE_OK : add_bound(asked, path, NULL);
}

static hone_status gather(request *asked)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < asked->n_files && status == HONE_OK; k++)
        status = (hone_cmd_is_network(asked->files[k]) ? add_network : add_list)(asked, asked->files[k]);
    for (int k = 0; k < asked->n_shapes && status == HONE_OK; k++)
        if (!asked->fits[k]) status = hone_fail(HONE_USAGE, "--shapes %s fits none of the networks", asked->shapes[k]);
    return status;
}

// ---- writing

// The list of a folder never changes: a second plan is the same, or goes elsewhere.
static hone_status write_list(request *asked, bool *is_there)
{
    char path[HONE_SWEEP_PATH], *before = NULL;
    size_t size;
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_sweep_print(&asked->sweep, &text));
    HONE_TRY(hone_sweep_path(asked->folder, HONE_SWEEP_LIST, 0, path));
    HONE_TRY(hone_folder_make(asked->folder));
    *is_there = hone_path_exists(path);
    if (!*is_there) {
        status = hone_file_write(path, text.data, text.size);
        goto out;
    }
    HONE_TRY(hone_file_read(path, text.size + 1, &before, &size));
    if (size != text.size || memcmp(before, text.data, size)) status = HONE_USAGE;
out:
    if (*is_there && status != HONE_OK) status = hone_fail(HONE_USAGE, "%s is another sweep, and a sweep is never changed: choose another folder", path);
    hone_free(before);
    hone_text_clear(&text);
    return status;
}

static void say_json(const request *asked, const char *id, hone_text *text)
{
    const hone_sweep *sweep = &asked->sweep;
    hone_json json;
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.sweep.plan.1");
    hone_json_text(&json, "sweep", id);
    hone_json_text(&json, "device", sweep->device);
    hone_json_text(&json, "toolchain", sweep->toolchain);
    hone_json_int(&json, "networks", (int64_t)sweep->n_networks);
    hone_json_int(&json, "problems", (int64_t)sweep->n);
    hone_json_open(&json, "shards", '[');
    for (int k = 1; k <= sweep->shards; k++) hone_json_real(&json, NULL, hone_sweep_seconds(sweep, k));
    hone_json_close(&json, ']');
    hone_json_real(&json, "seconds", hone_sweep_seconds(sweep, 0));
    hone_json_close(&json, '}');
}

static hone_status say(const request *asked, bool is_there)
{
    const hone_sweep *sweep = &asked->sweep;
    char id[HONE_ID_TEXT] = "";
    hone_text text;
    hone_text_init(&text);
    if (sweep->n) hone_id_print(&sweep->id, id);
    if (asked->json) say_json(asked, id, &text);
    else if (!sweep->n)
        hone_text_printf(&text, "nothing is left to sweep: the database covers all of %zu networks on %s\n", sweep->n_networks, sweep->device);
    else
        hone_text_printf(&text, "sweep %.12s%s: %zu problems of %zu networks on %s, about %.0f s, in %d shards of %.0f s and more\n", id, is_there ? " (there already)" : "",
                         sweep->n, sweep->n_networks, sweep->device, hone_sweep_seconds(sweep, 0), sweep->shards, hone_sweep_seconds(sweep, sweep->shards));
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

static hone_status make(request *asked)
{
    bool is_there = false;
    hone_status status;
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &asked->store));
    HONE_TRY(find_device(asked));
    HONE_TRY(gather(asked));
    hone_sweep_join(&asked->sweep);
    if (asked->sweep.n) {
        HONE_TRY(hone_sweep_price(&asked->sweep, asked->store));
        hone_sweep_cut(&asked->sweep, asked->least_seconds, (int)asked->shards);
        HONE_TRY(write_list(asked, &is_there));
    }
    status = say(asked, is_there);
out:
    return status;
}

int hone_cmd_sweep_plan(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "MODEL.onnx|LIST...", "Lists what the database lacks for networks on one type of device, the greatest gain first, "
                                     "cut into shards.", hone_cmd_layers_child, 0, 0};
    request *asked = hone_calloc(1, sizeof *asked);
    if (!asked) return hone_cmd_fail(HONE_NO_MEMORY);
    asked->device = "cpu";
    asked->least_seconds = 600;
    hone_sweep_init(&asked->sweep);
    argp_parse(&argp, argc, argv, 0, NULL, asked);
    if (!asked->n_precisions) asked->precisions[asked->n_precisions++] = "fp32";
    hone_status status = make(asked);
    int code = status == HONE_OK ? 0 : hone_cmd_fail(status);
    hone_sweep_clear(&asked->sweep);
    hone_store_close(asked->store);
    hone_free(asked);
    return code;
}
