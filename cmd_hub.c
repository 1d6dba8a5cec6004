// SPDX-License-Identifier: Apache-2.0
// hone hub serve, hone hub token add|list|revoke.
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cmd.h"
#include "db/hub.h"
#include "db/hub_token.h"

enum { KEY_DB = 256, KEY_LISTEN, KEY_BEHIND_PROXY, KEY_SCOPE, KEY_DAYS, DAYS = 90, DAYS_MAX = 3650, SECONDS_OF_DAY = 86400, HANDLES = 8192 };

typedef struct request {
    const char *db, *listen, *scope, *name;
    bool behind_proxy;
    int64_t days;
} request;

static const struct argp_option serve_options[] = {
    {"db", KEY_DB, "DB", 0, "The database: a file, made when missing, or postgresql://USER@HOST/NAME, which several hubs may serve", 0},
    {"listen", KEY_LISTEN, "ADDRESS:PORT", 0, "Where (default 127.0.0.1:8750); port 0 takes a free one. What others can reach needs tokens and --behind-proxy", 0},
    {"behind-proxy", KEY_BEHIND_PROXY, 0, 0, "A proxy before it speaks TLS: the hub itself speaks plain HTTP", 0}, {0},
};
static const struct argp_option add_options[] = {
    {"db", KEY_DB, "DB", 0, "The hub's database", 0},
    {"scope", KEY_SCOPE, "LIST", 0, "Of read, measure, promote, admin (default read)", 0},
    {"days", KEY_DAYS, "N", 0, "How long it holds (default 90)", 0}, {0},
};
static const struct argp_option token_options[] = {{"db", KEY_DB, "DB", 0, "The hub's database", 0}, {0}};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    const struct { int key; const char **to; } texts[] = {{KEY_DB, &asked->db}, {KEY_LISTEN, &asked->listen}, {KEY_SCOPE, &asked->scope}};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (texts[k].key == key) return *texts[k].to = argument, 0;
    switch (key) {
    case KEY_BEHIND_PROXY: return asked->behind_proxy = true, 0;
    case KEY_DAYS:
        if (!hone_cmd_int(argument, 0, DAYS_MAX, &asked->days)) argp_error(state, "--days wants a number from 0 to %d, not '%s'", DAYS_MAX, argument);
        return 0;
    case ARGP_KEY_ARG:
        if (asked->name) argp_error(state, "one NAME at a time");
        return asked->name = argument, 0;
    case ARGP_KEY_END:
        if (!asked->db) argp_error(state, "--db DB is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- serve

// Type=notify of systemd (sd_notify(3)): one datagram to the socket that the environment names.
static void tell_service_manager(const char *what)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) return;
    int handle = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (handle < 0) return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@') to.sun_path[0] = 0;
    (void)!sendto(handle, what, strlen(what), 0, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(handle);
}

// A shell's 1,024 are fewer than the connections that a hub bears.
static void ask_for_handles(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= HANDLES) return;
    files.rlim_cur = files.rlim_max < HANDLES ? files.rlim_max : HANDLES;
    setrlimit(RLIMIT_NOFILE, &files);
}

static hone_status serve(const request *asked)
{
    const hone_hub_options options = {asked->db, asked->listen ? asked->listen : "127.0.0.1:8750", asked->behind_proxy};
    sigset_t stopping;
    hone_hub *hub = NULL;
    int received;
    if (asked->name) return hone_fail(HONE_USAGE, "hone hub serve takes no argument (%s)", asked->name);
    sigemptyset(&stopping);
    sigaddset(&stopping, SIGINT);
    sigaddset(&stopping, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stopping, NULL);      // for all threads to come
    signal(SIGPIPE, SIG_IGN);
    hone_alloc_give_back();
    ask_for_handles();
    hone_status status = hone_hub_start(&options, &hub);
    if (status != HONE_OK) return status;
    printf("listening on %.*s:%d, %s\n", (int)(strrchr(options.listen, ':') - options.listen), options.listen, hone_hub_port(hub),
           hone_hub_asks_for_tokens(hub) ? "with tokens" : "for this machine, without tokens");
    fflush(stdout);
    tell_service_manager("READY=1");
    sigwait(&stopping, &received);
    tell_service_manager("STOPPING=1");
    hone_hub_stop(hub);
    return HONE_OK;
}

// ---- tokens

static hone_status add_token(const request *asked)
{
    char token[HONE_TOKEN_TEXT];
    unsigned scopes;
    if (!asked->name) return hone_fail(HONE_USAGE, "hone hub token add wants a NAME by which it can be revoked");
    hone_status status = hone_scopes_parse(asked->scope ? asked->scope : "read", &scopes);
    if (status == HONE_OK) status = hone_token_add(asked->db, asked->name, scopes, asked->days * SECONDS_OF_DAY, token);
    if (status != HONE_OK) return status;
    fprintf(stderr, "the token %s, for %" PRId64 " days; it is shown this once:\n", asked->name, asked->days);
    printf("%s\n", token);
    return HONE_OK;
}

static hone_status list_tokens(const request *asked)
{
    hone_text text;
    hone_text_init(&text);
    hone_status status = hone_token_list(asked->db, &text);
    if (status == HONE_OK && text.size) status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

static hone_status revoke_token(const request *asked)
{
    return asked->name ? hone_token_revoke(asked->db, asked->name) : hone_fail(HONE_USAGE, "hone hub token revoke wants a NAME");
}

// ---- the table

static const struct verb {
    const char *group, *name, *arguments, *help;
    const struct argp_option *options;
    hone_status (*run)(const request *asked);
} verbs[] = {
    {NULL, "serve", "", "Serves a database over HTTP.", serve_options, serve},
    {"token", "add", "NAME", "Makes a token and shows it once.", add_options, add_token},
    {"token", "list", "", "Lists name, scopes, end (seconds since 1970) and state of all tokens.", token_options, list_tokens},
    {"token", "revoke", "NAME", "Revokes a token: a running hub refuses it within half a second.", token_options, revoke_token},
};

static int print_help(FILE *to, int code)
{
    fprintf(to, "usage: hone hub serve|token add|token list|token revoke [OPTION...]\n\n");
    for (size_t k = 0; k < sizeof verbs / sizeof *verbs; k++)
        fprintf(to, "  %s%s%-*s %s\n", verbs[k].group ? verbs[k].group : "", verbs[k].group ? " " : "", verbs[k].group ? 8 : 14, verbs[k].name, verbs[k].help);
    fprintf(to, "\n  options: --db, --listen, --behind-proxy, --scope, --days (`hone hub serve --help` says more)\n");
    return code;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    const struct argp argp = {verb->options, parse, verb->arguments, verb->help, 0, 0, 0};
    request asked = {.days = DAYS};
    char name[64];
    snprintf(name, sizeof name, "hone hub %s%s%s", verb->group ? verb->group : "", verb->group ? " " : "", verb->name);
    argv[0] = name;
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    hone_status status = verb->run(&asked);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}

int hone_cmd_hub(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) return print_help(stdout, 0);
    for (size_t k = 0; k < sizeof verbs / sizeof *verbs; k++) {
        int skip = verbs[k].group ? 2 : 1;
        if (argc <= skip || strcmp(argv[skip], verbs[k].name) || (verbs[k].group && strcmp(argv[1], verbs[k].group))) continue;
        return run_verb(&verbs[k], argc - skip, argv + skip);
    }
    fprintf(stderr, "hone: hub wants serve, or token add, list or revoke\n");
    return print_help(stderr, hone_status_exit_code(HONE_USAGE));
}
