// SPDX-License-Identifier: Apache-2.0
// hone plan show: what stands in a plan.
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "reports/plan.h"

enum { KEY_JSON = 256 };

typedef struct request {
    const char *plan;
    bool json;
} request;

static const struct argp_option options[] = {{"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0}, {0}};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case KEY_JSON: return asked->json = true, 0;
    case ARGP_KEY_ARG:
        if (asked->plan) argp_error(state, "one PLAN at a time");
        return asked->plan = argument, 0;
    case ARGP_KEY_END:
        if (!asked->plan) argp_error(state, "a PLAN is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int hone_cmd_plan(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "PLAN", "Prints what stands in a plan.", 0, 0, 0};
    request asked = {0};
    hone_plan *plan = NULL;
    hone_text text;
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    if (argc < 2 || strcmp(argv[1], "show")) {
        fprintf(stderr, "usage: hone plan show [--json] PLAN\n");
        return argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?")) ? 0 : hone_status_exit_code(HONE_USAGE);
    }
    argv[1] = "hone plan show";
    argp_parse(&argp, argc - 1, argv + 1, 0, NULL, &asked);
    hone_text_init(&text);
    hone_status status = hone_plan_load(asked.plan, &plan);
    if (status == HONE_OK) {
        (asked.json ? hone_report_plan_json : hone_report_plan)(plan, &text);
        status = hone_cmd_print(&text);
    }
    hone_text_clear(&text);
    hone_plan_free(plan);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
