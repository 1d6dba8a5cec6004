// SPDX-License-Identifier: Apache-2.0
// hone problems: the work list of a network, or what a database has measured on a device, as a list or as a recording that the
// device replay:FILE plays back.
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cmd.h"
#include "cmd_options.h"
#include "cmd_worklist.h"

enum { KEY_REPLAY = 256, KEY_JSON };

typedef struct request {
    const char *model;
    hone_cmd_network network;
    hone_layers layers;
    bool replay, json;
    hone_store *store;
    hone_text text;
} request;

static const struct argp_option options[] = {
    {"replay", KEY_REPLAY, 0, 0, "Without a MODEL: print what was measured, for --device replay:FILE", 0},
    {"json", KEY_JSON, 0, 0, "One JSON object, with how often each problem is asked for", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &asked->network;
        state->child_inputs[1] = &asked->layers;
        return 0;
    }
    if (key == KEY_REPLAY) return asked->replay = true, 0;
    if (key == KEY_JSON) return asked->json = true, 0;
    if (key == ARGP_KEY_ARG && asked->model) argp_error(state, "one MODEL.onnx at a time");
    if (key == ARGP_KEY_ARG) return asked->model = argument, 0;
    if (key == ARGP_KEY_END && !asked->model && !asked->layers.count) argp_error(state, "a MODEL.onnx, or --db DB, is needed");
    if (key == ARGP_KEY_END && asked->model && asked->replay) argp_error(state, "--replay prints what a database has measured: leave MODEL out");
    return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

// ---- of a network

static void print_list(request *asked, const hone_worklist *list)
{
    hone_json json;
    hone_json_init(&json, &asked->text);
    if (asked->json) {
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "schema", "hone.problems.1");
        hone_json_int(&json, "count", (int64_t)list->count);
        hone_json_open(&json, "problems", '[');
    }
    for (size_t k = 0; k < list->count; k++) {
        if (!asked->json) {
            hone_text_printf(&asked->text, "%s\n", list->problems[k]);
            continue;
        }
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "problem", list->problems[k]);
        hone_json_int(&json, "times", list->times[k]);
        hone_json_close(&json, '}');
    }
    if (!asked->json) return;
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
}

static hone_status list_network(request *asked, const char *device)
{
    hone_precision_set precisions;
    hone_target target;
    hone_graph *graph = NULL;
    hone_worklist list = {0};
    hone_status status;
    HONE_TRY(hone_precision_set_parse(asked->network.precision, &precisions));
    HONE_TRY(hone_target_parse(device, &target));
    HONE_TRY(hone_cmd_import(asked->model, asked->network.shapes, &graph));
    HONE_TRY(hone_worklist_add_graph(&list, graph, &target, &precisions));
    print_list(asked, &list);
out:
    hone_graph_free(graph);
    hone_worklist_clear(&list);
    return status;
}

// ---- of a database

static hone_status add_problem(void *user, const char *problem)
{
    return hone_worklist_add(user, problem, 1);
}

// problem, tactic, verdict, workspace, samples: docs/tuning.md.
static hone_status print_recorded(void *user, const hone_id *id, const hone_measurement *row)
{
    hone_text *text = user;
    char number[32];
    (void)id;
    if (strncmp(row->mode, "single cold", 11)) return HONE_OK;
    hone_text_printf(text, "%s\t%s\t%s\t%lld\t", row->problem, row->tactic, hone_verdict_name(row->verdict), (long long)row->workspace_bytes);
    for (size_t k = 0; k < row->sample_count; k++) hone_text_printf(text, "%s%s", k ? "," : "", hone_print_double(row->samples_ns[k], number));
    hone_text_printf(text, "\n");
    return hone_text_status(text);
}

static hone_status list_database(request *asked, const char *device, const char *toolchain)
{
    hone_worklist list = {0};
    hone_status status;
    HONE_TRY(hone_store_each_problem(asked->store, device, add_problem, &list));
    if (!asked->replay) {
        print_list(asked, &list);
        goto out;
    }
    hone_text_printf(&asked->text, "# hone replay 1\ndevice\t%s\ntoolchain\t%s\n", device, toolchain);
    for (size_t k = 0; k < list.count; k++)
        HONE_TRY(hone_store_each_measurement(asked->store, device, list.problems[k], print_recorded, &asked->text));
out:
    hone_worklist_clear(&list);
    return status;
}

int hone_cmd_problems(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "[MODEL.onnx]", "Prints the problems of a network, a work list for `hone tune -`; without a "
                                     "MODEL, those that the databases of --db have measured on the device.", hone_cmd_network_children, 0, 0};
    request asked = {.network = {.device = "cpu", .precision = "fp32"}};
    char device[256], toolchain[512];
    hone_status status;
    argv[0] = "hone problems";
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    hone_text_init(&asked.text);
    HONE_TRY(hone_store_open_layers(&asked.layers, HONE_STORE_READ, &asked.store));
    HONE_TRY(hone_cmd_find_target(asked.store, asked.network.device, device, toolchain));
    HONE_TRY(asked.model ? list_network(&asked, device) : list_database(&asked, device, toolchain));
    if (asked.text.size) status = hone_cmd_print(&asked.text);
out:
    hone_text_clear(&asked.text);
    hone_store_close(asked.store);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
