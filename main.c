// SPDX-License-Identifier: Apache-2.0
// The table of verbs. A verb is a cmd_*.c and a line here.
#include <stdio.h>
#include <string.h>

#include "cmd.h"

static const struct {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"conform", "runs ONNX backend test folders", hone_cmd_conform},
    {"inspect", "prints what a network holds and what of it cannot be imported", hone_cmd_inspect},
    {"problems", "prints the work list of a network", hone_cmd_problems},
    {"tune", "measures tactics and remembers them", hone_cmd_tune},
    {"retime", "compares close tactics inside a network", hone_cmd_retime},
    {"rank", "learns which tactics to try first, and replays how well", hone_cmd_rank},
    {"sweep", "plans, runs and watches the tuning of many networks on many machines", hone_cmd_sweep},
    {"worker", "runs tactics for tune; not for people", hone_cmd_worker},
    {"build", "makes a plan of a network and a database", hone_cmd_build},
    {"plan", "prints what stands in a plan", hone_cmd_plan},
    {"run", "runs a plan: times, per step too, and the comparison with the reference", hone_cmd_run},
    {"why", "tells why a plan runs a layer as it does", hone_cmd_why},
    {"db", "shows, dumps, loads, merges and checks databases", hone_cmd_db},
    {"hub", "serves a database to others; its tokens", hone_cmd_hub},
    {"push", "sends a hub or a store what it lacks of a database", hone_cmd_push},
    {"pull", "takes from a hub or a store what a database lacks", hone_cmd_pull},
    {"devices", "prints what devices are here and why others are not", hone_cmd_devices},
    {"doctor", "prints libraries, versions and where they are, and the database", hone_cmd_doctor},
};

enum { VERBS = sizeof verbs / sizeof *verbs };

static int print_help(FILE *to, int code)
{
    fprintf(to, "usage: hone VERB [OPTION...] [ARGUMENT...]\n\n");
    for (int k = 0; k < VERBS; k++) fprintf(to, "  %-10s %s\n", verbs[k].name, verbs[k].help);
    fprintf(to, "\n`hone VERB --help` says more. Exit codes: 0 ok, 1 internal, 2 usage, 3 the model cannot be imported, 4 a numeric\n"
                "check failed, 5 the database lacks entries, 7 a database or plan is damaged or too new, 8 no usable device, 75 try\n"
                "again later.\n");
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 2) return print_help(stderr, hone_status_exit_code(HONE_USAGE));
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help")) return print_help(stdout, 0);
    if (!strcmp(argv[1], "--version")) return printf("hone %s\n", HONE_VERSION), 0;
    for (int k = 0; k < VERBS; k++)
        if (!strcmp(argv[1], verbs[k].name)) return verbs[k].run(argc - 1, argv + 1);
    fprintf(stderr, "hone: there is no verb \"%s\"\n", argv[1]);
    return print_help(stderr, hone_status_exit_code(HONE_USAGE));
}
