// SPDX-License-Identifier: Apache-2.0
// hone conform DIR...: runs ONNX backend test folders (model.onnx, test_data_set_*). Each folder runs in a child process with a
// deadline, so that a crash or a hang is one wrong folder and no more.
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd.h"
#include "cmd_conform.h"

enum { DEADLINE_MS = 300000, FOLDERS_MAX = 100000, DEPTH_MAX = 6 };

static const char *const outcome_names[HONE_CONFORM_OUTCOMES] = {"passed", "refused", "wrong"};

typedef struct folder {
    char *path;
    hone_conform_outcome outcome;
    char *why;                 // "" when passed; lines "operator<TAB>reason" when refused by operators
} folder;

typedef struct conform {
    folder *folders;
    size_t n, capacity;
    int depth;
    const char *base;          // the folder being listed
    bool json, verbose, reference;
    char db_folder[256], db[300];      // an empty database
} conform;

// ---- children

static void child(const char *path, const char *db, int to)
{
    hone_text why = {0};
    hone_conform_outcome result = hone_conform_folder(path, db, &why);
    char letter = (char)('0' + result);
    size_t size = why.size;
    bool sent = write(to, &letter, 1) == 1;
    for (size_t at = 0; sent && at < size;) {
        ssize_t n = write(to, why.data + at, size - at);
        sent = n > 0;
        at += sent ? (size_t)n : 0;
    }
    _exit(0);
}

// Reads until the child closes its end or the deadline passes.
static bool read_answer(int from, hone_text *answer)
{
    int64_t end_ns = hone_clock_ns() + (int64_t)DEADLINE_MS * 1000000;
    char buffer[4096];
    for (;;) {
        int64_t left_ms = (end_ns - hone_clock_ns()) / 1000000;
        struct pollfd wait = {.fd = from, .events = POLLIN};
        if (left_ms <= 0) return false;
        if (poll(&wait, 1, (int)left_ms) <= 0) continue;
        ssize_t n = read(from, buffer, sizeof buffer);
        if (n <= 0) return true;
        hone_text_append(answer, buffer, (size_t)n);
    }
}

static hone_status judge(folder *f, bool in_time, int exit_status, const hone_text *answer)
{
    const char *text = hone_text_get(answer);
    char reason[64] = "";
    f->outcome = HONE_CONFORM_WRONG;
    if (!in_time) snprintf(reason, sizeof reason, "no answer within %d s", DEADLINE_MS / 1000);
    else if (WIFSIGNALED(exit_status)) snprintf(reason, sizeof reason, "crashed with signal %d", WTERMSIG(exit_status));
    else if (!answer->size || text[0] < '0' || text[0] >= '0' + HONE_CONFORM_OUTCOMES) snprintf(reason, sizeof reason, "ended without an answer");
    else f->outcome = (hone_conform_outcome)(text[0] - '0');
    f->why = hone_strdup(*reason ? reason : text + 1);
    return f->why ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status run_child(folder *f, const char *db)
{
    int ends[2], exit_status = 0;
    hone_text answer = {0};
    fflush(NULL);
    if (pipe(ends)) return hone_fail(HONE_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) return hone_fail(HONE_INTERNAL, "cannot fork: %s", strerror(errno));
    if (pid == 0) {
        close(ends[0]);
        child(f->path, db, ends[1]);
    }
    close(ends[1]);
    bool in_time = read_answer(ends[0], &answer);
    if (!in_time) kill(pid, SIGKILL);
    close(ends[0]);
    while (waitpid(pid, &exit_status, 0) < 0 && errno == EINTR) continue;
    hone_status status = judge(f, in_time, exit_status, &answer);
    hone_text_clear(&answer);
    return status;
}

// ---- finding folders

static hone_status find_folders(conform *c, const char *path);

static hone_status each_child(void *user, const char *name)
{
    conform *c = user;
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", c->base, name) >= sizeof path || !hone_path_is_folder(path)) return HONE_OK;
    return find_folders(c, path);
}

static hone_status find_folders(conform *c, const char *path)
{
    char model[4096];
    snprintf(model, sizeof model, "%s/model.onnx", path);
    if (hone_path_exists(model)) {
        if (hone_grow(&c->folders, c->n, &c->capacity, sizeof *c->folders, FOLDERS_MAX)) return HONE_NO_MEMORY;
        c->folders[c->n] = (folder){.path = hone_strdup(path)};
        return c->folders[c->n++].path ? HONE_OK : HONE_NO_MEMORY;
    }
    if (c->depth == DEPTH_MAX) return HONE_OK;
    const char *outer = c->base;
    c->base = path;
    c->depth++;
    hone_status status = hone_folder_each(path, each_child, c);
    c->depth--;
    c->base = outer;
    return status;
}

// ---- reports

typedef struct refusal {
    const char *line;          // "operator<TAB>reason"
    int size, n;
} refusal;

static int compare_refusals(const void *a, const void *b)
{
    const refusal *x = a, *y = b;
    int n = x->size < y->size ? x->size : y->size, order = memcmp(x->line, y->line, (size_t)n);
    return order ? order : x->size - y->size;
}

static void print_table(const conform *c)
{
    refusal *all = NULL;
    size_t n = 0, capacity = 0;
    for (size_t k = 0; k < c->n; k++) {
        for (const char *at = c->folders[k].why; c->folders[k].outcome == HONE_CONFORM_REFUSED && *at;) {
            int size = (int)strcspn(at, "\n");
            if (hone_grow(&all, n, &capacity, sizeof *all, 1 << 20)) break;
            all[n++] = (refusal){at, size, 1};
            at += size + (at[size] == '\n');
        }
    }
    if (n) qsort(all, n, sizeof *all, compare_refusals);
    printf("\nrefused, by operator:\n");
    for (size_t k = 0, end; k < n; k = end) {
        for (end = k; end < n && !compare_refusals(&all[k], &all[end]); end++) continue;
        int tab = (int)strcspn(all[k].line, "\t");
        printf("%5zu  %-24.*s %.*s\n", end - k, tab, all[k].line, all[k].size - tab - 1, all[k].line + tab + 1);
    }
    hone_free(all);
    printf("\n");
}

static void print_folder(const conform *c, const folder *f)
{
    const char *slash = strrchr(f->path, '/');
    if (c->json || (!c->verbose && f->outcome != HONE_CONFORM_WRONG)) return;
    printf("%-8s %s", outcome_names[f->outcome], slash ? slash + 1 : f->path);
    if (f->outcome != HONE_CONFORM_PASSED) {
        printf(": ");
        for (const char *at = f->why; *at && (*at != '\n' || f->outcome == HONE_CONFORM_WRONG); at++) putchar(*at == '\t' ? ' ' : *at);
    }
    printf("\n");
}

static void print_json(const conform *c, const int counts[HONE_CONFORM_OUTCOMES])
{
    hone_text text = {0};
    hone_json json;
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.conform.1");
    for (int k = 0; k < HONE_CONFORM_OUTCOMES; k++) hone_json_int(&json, outcome_names[k], counts[k]);
    hone_json_open(&json, "folders", '[');
    for (size_t k = 0; k < c->n; k++) {
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "path", c->folders[k].path);
        hone_json_text(&json, "outcome", outcome_names[c->folders[k].outcome]);
        if (*c->folders[k].why) hone_json_text(&json, "reason", c->folders[k].why);
        hone_json_close(&json, '}');
    }
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    printf("%s\n", hone_text_get(&text));
    hone_text_clear(&text);
}

// ---- the verb

static const char usage[] =
    "usage: hone conform [--device cpu|reference] [--json] [--verbose] DIR...\n\n"
    "DIR is an ONNX backend test folder (model.onnx, test_data_set_*) or a parent of such folders.\n"
    "One-op folders are held to ONNX's own tolerance (relative 1e-3, absolute 1e-7), whole networks to a\n"
    "relative norm of 1e-4. Exit code 4 when a folder is wrong.\n";

static hone_status make_db(conform *c)
{
    const char *parent = getenv("TMPDIR");
    hone_store *store;
    snprintf(c->db_folder, sizeof c->db_folder, "%s/hone-conform-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(c->db_folder)) {
        c->db_folder[0] = 0;
        return hone_fail(HONE_IO, "cannot make a temporary folder: %s", strerror(errno));
    }
    snprintf(c->db, sizeof c->db, "%s/empty.db", c->db_folder);
    hone_status status = hone_store_open(c->db, HONE_STORE_CREATE, &store);
    if (status == HONE_OK) hone_store_close(store);
    return status;
}

static void drop_db(const conform *c)
{
    if (!c->db_folder[0]) return;
    hone_store_remove(c->db);
    rmdir(c->db_folder);
}

static hone_status run_all(conform *c, int counts[HONE_CONFORM_OUTCOMES])
{
    for (size_t k = 0; k < c->n; k++) {
        hone_status status = run_child(&c->folders[k], c->reference ? NULL : c->db);
        if (status != HONE_OK) return status;
        counts[c->folders[k].outcome]++;
        print_folder(c, &c->folders[k]);
    }
    return HONE_OK;
}

static hone_status parse_options(int argc, char **argv, conform *c, bool *help)
{
    static const struct option options[] = {
        {"device", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'}, {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'}, {0},
    };
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (option == '?') return hone_fail(HONE_USAGE, "conform: %s is no option, or lacks its value", argv[optind - 1]);
        if (option == 'd' && strcmp(optarg, "cpu") && strcmp(optarg, "reference"))
            return hone_fail(HONE_USAGE, "conform runs on cpu, or walks the reference, but not on %s", optarg);
        c->reference = option == 'd' ? !strcmp(optarg, "reference") : c->reference;
        c->json = c->json || option == 'j';
        c->verbose = c->verbose || option == 'v';
        *help = *help || option == 'h';
    }
    return *help || optind < argc ? HONE_OK : hone_fail(HONE_USAGE, "conform: no folder is named");
}

int hone_cmd_conform(int argc, char **argv)
{
    conform c = {0};
    int counts[HONE_CONFORM_OUTCOMES] = {0};
    bool help = false;
    hone_status status;
    HONE_TRY(parse_options(argc, argv, &c, &help));
    if (help) return fputs(usage, stdout), 0;
    for (int k = optind; k < argc; k++) HONE_TRY(find_folders(&c, argv[k]));
    if (!c.n) HONE_TRY(hone_fail(HONE_USAGE, "conform: there is no folder with a model.onnx beneath %s", argv[optind]));
    if (!c.reference) HONE_TRY(make_db(&c));
    HONE_TRY(run_all(&c, counts));
    if (c.json) print_json(&c, counts);
    if (c.verbose && !c.json) print_table(&c);
    if (!c.json) printf("%d passed, %d refused, %d wrong\n", counts[HONE_CONFORM_PASSED], counts[HONE_CONFORM_REFUSED], counts[HONE_CONFORM_WRONG]);
out:
    drop_db(&c);
    for (size_t k = 0; k < c.n; k++) {
        hone_free(c.folders[k].path);
        hone_free(c.folders[k].why);
    }
    hone_free(c.folders);
    if (status != HONE_OK) return hone_cmd_fail(status);
    return counts[HONE_CONFORM_WRONG] ? hone_status_exit_code(HONE_NUMERIC) : 0;
}
