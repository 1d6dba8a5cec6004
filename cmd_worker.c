// SPDX-License-Identifier: Apache-2.0
// hone worker: the process in which `hone tune` runs tactics. It speaks over its standard input and output (tuner/wire.h).
#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd.h"
#include "tuner/compiler.h"
#include "tuner/worker.h"

enum { KEY_DEVICE = 256, KEY_EFFORT, KEY_SEED, KEY_WORKSPACE, KEY_SOURCES, KEY_WARM, KEY_BUSY, KEY_TIMER, KEY_RANKING, KEY_COMPILE, FIRST_FD = 10 };

#define FILE_BYTES_MAX ((rlim_t)256 << 20)      // what a tactic gone mad may write into any file

static const struct argp_option options[] = {
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0, replay:FILE", 0},
    {"effort", KEY_EFFORT, "WORD", 0, "How many candidates are offered", 0},
    {"seed", KEY_SEED, "N", 0, "Of random operands", 0},
    {"workspace", KEY_WORKSPACE, "BYTES", 0, "Most scratch memory of a tactic; -1: any", 0},
    {"sources", KEY_SOURCES, "LIST", 0, "Tactic sources; empty: all", 0},
    {"timer", KEY_TIMER, "NAME", 0, "cupti, event, cpu; empty: the best there is", 0},
    {"ranking", KEY_RANKING, "FILE", 0, "Learned order of trial; none; empty: the one that came with the program", 0},
    {"warm", KEY_WARM, 0, 0, "Time with a warm cache", 0},
    {"busy", KEY_BUSY, 0, 0, "Do not mind other work on the device", 0},
    {"compile", KEY_COMPILE, 0, 0, "Compile for the device of this spelling, run nothing", 0},
    {0},
};

typedef struct request {
    hone_worker_options worker;
    bool compiles;
} request;

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *all = state->input;
    hone_worker_options *asked = &all->worker;
    switch (key) {
    case KEY_COMPILE: return all->compiles = true, 0;
    case KEY_DEVICE: return asked->device = argument, 0;
    case KEY_RANKING: return asked->ranking = argument, 0;
    case KEY_SOURCES: return asked->sources = argument, 0;
    case KEY_TIMER: return asked->timer = argument, 0;
    case KEY_SEED: return asked->seed = strtoull(argument, NULL, 10), 0;
    case KEY_WARM: return asked->warm = true, 0;
    case KEY_BUSY: return asked->busy = true, 0;
    case KEY_EFFORT:
        if (!hone_effort_parse(argument, &asked->effort)) argp_error(state, "'%s' is no effort", argument);
        return 0;
    case KEY_WORKSPACE:
        if (!hone_cmd_int(argument, -1, INT64_MAX, &asked->workspace_limit_bytes)) argp_error(state, "'%s' is no number of bytes", argument);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "the worker takes no '%s'", argument); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// Whatever a library prints must not reach the pipe: it moves away from standard output, which then is standard error.
static hone_status move_pipes(int *in, int *out)
{
    *in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FIRST_FD);
    *out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, FIRST_FD);
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (*in < 0 || *out < 0 || empty < 0 || dup2(empty, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return hone_fail(HONE_IO, "cannot arrange the worker's pipes");
    close(empty);
    return HONE_OK;
}

// The worker dies with its tuner, leaves Ctrl-C to it, and leaves no core of a tactic's crash.
static void arrange_process(void)
{
    struct rlimit none = {0, 0}, files = {FILE_BYTES_MAX, FILE_BYTES_MAX};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &files);
}

int hone_cmd_worker(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "", "Serves `hone tune`; not for people.", 0, 0, 0};
    request asked = {.worker = {.device = "cpu", .sources = "", .timer = "", .effort = HONE_EFFORT_QUICK, .workspace_limit_bytes = -1}};
    int in, out;
    argv[0] = "hone worker";
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    arrange_process();
    hone_status status = move_pipes(&in, &out);
    if (status == HONE_OK) status = asked.compiles ? hone_compiler_serve(asked.worker.device, in, out) : hone_worker_serve(&asked.worker, in, out);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
