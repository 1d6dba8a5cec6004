// SPDX-License-Identifier: Apache-2.0
// hone why: the candidates of a plan's layers, and the evidence.
#include <argp.h>
#include <limits.h>

#include "cmd.h"
#include "cmd_options.h"
#include "reports/why.h"

enum { KEY_ALL = 256, KEY_JSON, MOST = 5 };

typedef struct request {
    const char *plan, *layer;
    hone_layers layers;
    bool all, json;
} request;

static const struct argp_option options[] = {
    {"all", KEY_ALL, 0, 0, "List every candidate of a layer, not only the first five", 0},
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case ARGP_KEY_INIT: return state->child_inputs[0] = &asked->layers, 0;
    case KEY_ALL: return asked->all = true, 0;
    case KEY_JSON: return asked->json = true, 0;
    case ARGP_KEY_ARG:
        if (asked->layer) argp_error(state, "one PLAN and one LAYER at a time");
        *(asked->plan ? &asked->layer : &asked->plan) = argument;
        return 0;
    case ARGP_KEY_END:
        if (!asked->plan) argp_error(state, "a PLAN is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static hone_status run(const request *asked)
{
    hone_plan *plan = NULL;
    hone_store *store = NULL;
    hone_text text;
    hone_text_init(&text);
    hone_status status;
    HONE_TRY(hone_plan_load(asked->plan, &plan));
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    if (asked->json) HONE_TRY(hone_report_why_json(plan, store, asked->layer, &text));
    else HONE_TRY(hone_report_why(plan, store, asked->layer, asked->all ? INT_MAX : MOST, &text));
    status = hone_cmd_print(&text);
out:
    hone_text_clear(&text);
    hone_store_close(store);
    hone_plan_free(plan);
    return status;
}

int hone_cmd_why(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "PLAN [LAYER]", "Tells why a plan runs its layers as it does. LAYER is a layer's name or a step's number.",
                                     hone_cmd_layers_child, 0, 0};
    request asked = {0};
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argv[0] = "hone why";
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    hone_status status = run(&asked);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
