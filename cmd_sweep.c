// SPDX-License-Identifier: Apache-2.0
// hone sweep plan|run|status|script: tuning many networks on many machines, scheduled by whatever schedules there (docs/sweep.md).
#include "cmd_sweep.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *arguments, *help;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"plan", "-o DIR MODEL.onnx|LIST...", "cuts what the database lacks into shards", hone_cmd_sweep_plan},
    {"run", "DIR [--shard I/N]", "tunes a shard; again: goes on where it stopped", hone_cmd_sweep_run},
    {"status", "DIR", "how far each shard and network is", hone_cmd_sweep_status},
    {"script", "DIR --slurm|--k8s|--local", "prints a job for a scheduler", hone_cmd_sweep_script},
};

enum { VERBS = sizeof verbs / sizeof *verbs };

static int print_help(FILE *to)
{
    fprintf(to, "Usage: hone sweep VERB [OPTION...] DIR\n");
    for (int k = 0; k < VERBS; k++) fprintf(to, "  %-7s%-27s %s\n", verbs[k].name, verbs[k].arguments, verbs[k].help);
    return fprintf(to, "`hone sweep VERB --help` says more.\n") < 0;
}

int hone_cmd_sweep(int argc, char **argv)
{
    char name[64];
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?"))) return print_help(stdout);
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    for (int k = 0; k < VERBS && argc > 1; k++) {
        if (strcmp(argv[1], verbs[k].name)) continue;
        snprintf(name, sizeof name, "hone sweep %s", verbs[k].name);
        argv[1] = name;
        return verbs[k].run(argc - 1, argv + 1);
    }
    print_help(stderr);
    return hone_cmd_fail(hone_fail(HONE_USAGE, argc > 1 ? "sweep has no verb '%s'" : "sweep wants a verb", argc > 1 ? argv[1] : ""));
}
