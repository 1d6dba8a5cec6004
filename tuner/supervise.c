// SPDX-License-Identifier: Apache-2.0
#include "tuner/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define SECOND 1000000000ll
#define START_LIMIT_NS (120 * SECOND)      // a driver loading for the first time takes many seconds
#define COMPILE_LIMIT_NS (120 * SECOND)
#define DEATH_LIMIT_NS (10 * SECOND)
#define QUIT_LIMIT_NS (2 * SECOND)
#define WRITE_LIMIT_NS (10 * SECOND)
#define DEADLINE_FACTOR 20

extern char **environ;

hone_status hone_supervisor_init(hone_supervisor *supervisor, const hone_supervisor_options *options)
{
    *supervisor = (hone_supervisor){.options = *options, .to = -1, .messages = -1, .from = {.fd = -1}};
    return HONE_OK;
}

// ---- starting

typedef struct words {
    char effort[16], seed[24], workspace[24];
    char *argv[24];
} words;

// Who else uses the device is asked once: a worker that was just killed may still be listed.
static void fill_words(const hone_supervisor_options *options, bool busy, words *a)
{
    const hone_worker_options *o = &options->worker;
    int n = 0;
    snprintf(a->effort, sizeof a->effort, "%s", hone_effort_name(o->effort));
    snprintf(a->seed, sizeof a->seed, "%llu", (unsigned long long)o->seed);
    snprintf(a->workspace, sizeof a->workspace, "%lld", (long long)o->workspace_limit_bytes);
    const char *const all[] = {"hone", "worker", "--device", o->device, "--effort", a->effort, "--seed", a->seed, "--workspace", a->workspace,
                               "--sources", o->sources, "--timer", o->timer ? o->timer : "", "--ranking", o->ranking ? o->ranking : ""};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) a->argv[n++] = (char *)all[k];
    if (options->compiles) a->argv[n++] = "--compile";
    if (o->warm) a->argv[n++] = "--warm";
    if (busy) a->argv[n++] = "--busy";
    a->argv[n] = NULL;
}

static hone_status fail_start(const char *what, int error)
{
    return hone_fail(HONE_AGAIN, "cannot start a worker: %s: %s", what, strerror(error));
}

// The worker's messages go to a file in memory: nobody has to read it, and its end explains a crash.
static hone_status spawn(hone_supervisor *s, int in, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    words a;
    fill_words(&s->options, s->options.worker.busy || s->introduced, &a);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return fail_start("file actions", error);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (s->messages >= 0) posix_spawn_file_actions_adddup2(&actions, s->messages, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);      // a driver's files among them
    error = posix_spawn(&s->pid, "/proc/self/exe", &actions, &attributes, a.argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error) s->pid = 0;
    return error ? fail_start("exec", error) : HONE_OK;
}

static void close_pipes(hone_supervisor *s)
{
    if (s->to >= 0) close(s->to);
    if (s->from.fd >= 0) close(s->from.fd);
    if (s->messages >= 0) close(s->messages);
    hone_wire_reader_clear(&s->from);
    s->to = s->messages = -1;
}

static hone_status connect_worker(hone_supervisor *s)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    hone_status status = HONE_OK;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) HONE_TRY(fail_start("pipe", errno));
    if (!s->options.verbose) s->messages = memfd_create("hone-worker", MFD_CLOEXEC);
    HONE_TRY(spawn(s, to[0], from[1]));
    fcntl(to[1], F_SETFL, O_NONBLOCK);
    s->to = to[1];
    s->from = (hone_wire_reader){.fd = from[0]};
    to[1] = from[0] = -1;
    s->started++;
out:
    for (int k = 0; k < 2; k++) {
        if (to[k] >= 0) close(to[k]);
        if (from[k] >= 0) close(from[k]);
    }
    if (status) close_pipes(s);
    return status;
}

static bool learn(const char *word, char *known, size_t capacity, bool introduced)
{
    if (introduced) return !strcmp(word, known);
    if (strlen(word) >= capacity) return false;
    strcpy(known, word);
    return true;
}

static hone_status introduce(hone_supervisor *s)
{
    hone_ending ending;
    hone_wire_fields reply;
    hone_status status = hone_supervisor_ask(s, START_LIMIT_NS, "hello", NULL, NULL, &ending, &reply, "hello");
    if (status) return status;
    if (ending == HONE_ENDING_STOPPED) return hone_fail(HONE_AGAIN, "stopped");
    if (ending == HONE_ENDING_REFUSED) return hone_fail(s->refusal ? s->refusal : HONE_NO_DEVICE, "%s", s->why);
    if (ending != HONE_ENDING_ANSWER || reply.n != 7) return hone_fail(HONE_AGAIN, "the worker did not start: %s", s->why);
    const struct { char *to; size_t capacity; } known[] = {
        {s->kind, sizeof s->kind}, {s->device, sizeof s->device}, {s->toolchain, sizeof s->toolchain}, {s->uuid, sizeof s->uuid},
        {s->timer, sizeof s->timer},
    };
    for (int k = 0; k < 5; k++)
        if (!learn(reply.at[2 + k], known[k].to, known[k].capacity, s->introduced))
            return hone_fail(HONE_AGAIN, "the device changed while it was tuned: %s is now %s", known[k].to, reply.at[2 + k]);
    s->introduced = true;
    return HONE_OK;
}

hone_status hone_supervisor_start(hone_supervisor *s)
{
    if (s->pid) return HONE_OK;
    hone_status status = connect_worker(s);
    if (!status) status = introduce(s);
    if (status && s->pid) {
        char why[2048];
        snprintf(why, sizeof why, "%s", hone_error_text());
        if (hone_supervisor_stop(s, false) == HONE_OK) hone_fail(status, "%s", why);
    }
    return status;
}

// ---- ending

// The last line of what the worker wrote to standard error.
static void read_message(hone_supervisor *s, char *message, size_t capacity)
{
    char tail[512];
    *message = 0;
    off_t size = s->messages >= 0 ? lseek(s->messages, 0, SEEK_END) : 0;
    off_t from = size > (off_t)sizeof tail - 1 ? size - (off_t)sizeof tail + 1 : 0;
    ssize_t got = size > 0 ? pread(s->messages, tail, sizeof tail - 1, from) : 0;
    while (got > 0 && (tail[got - 1] == '\n' || tail[got - 1] == ' ')) got--;
    if (got <= 0) return;
    tail[got] = 0;
    const char *line = strrchr(tail, '\n');
    snprintf(message, capacity, "; it said: %.300s", line ? line + 1 : tail);
}

// waitpid with a limit. *code gets the wait status.
static bool reap(hone_supervisor *s, int64_t limit_ns, int *code)
{
    int64_t end_ns = hone_clock_ns() + limit_ns, pause_ns = 50000;
    for (;;) {
        pid_t got = waitpid(s->pid, code, WNOHANG);
        if (got == s->pid || (got < 0 && errno == ECHILD)) return true;
        if (hone_clock_ns() > end_ns) return false;
        hone_sleep_ns(pause_ns);
        if (pause_ns < 20000000) pause_ns *= 2;
    }
}

static hone_status bury(hone_supervisor *s, int64_t grace_ns, int *code)
{
    *code = 0;
    bool gone = grace_ns && reap(s, grace_ns, code);
    if (!gone) {
        kill(s->pid, SIGKILL);
        gone = reap(s, DEATH_LIMIT_NS, code);
    }
    pid_t pid = s->pid;
    s->pid = 0;
    if (gone) return HONE_OK;
    close_pipes(s);
    return hone_fail(HONE_AGAIN, "worker %d does not end: the device %s is wedged. Everything measured is kept; when the device answers again "
                     "(a reset or a restart of the machine), the same command goes on", (int)pid, s->options.worker.device);
}

hone_status hone_supervisor_stop(hone_supervisor *s, bool politely)
{
    int code;
    if (!s->pid) return HONE_OK;
    if (politely) {
        hone_supervisor_tell(s, "quit");
        close(s->to);
        s->to = -1;
    }
    hone_status status = bury(s, politely ? QUIT_LIMIT_NS : 0, &code);
    close_pipes(s);
    return status;
}

void hone_supervisor_clear(hone_supervisor *s)
{
    (void)hone_supervisor_stop(s, false);
    close_pipes(s);
}

// Says in s->why how it ended. Who closed its pipe gets a moment to be gone by itself: its exit code explains more than SIGKILL's.
static hone_status end(hone_supervisor *s, hone_ending ending, int64_t limit_ns)
{
    char message[400];
    int code;
    hone_status status = bury(s, ending == HONE_ENDING_DIED ? SECOND : 0, &code);
    if (status) return status;
    read_message(s, message, sizeof message);
    if (ending == HONE_ENDING_LATE) snprintf(s->why, sizeof s->why, "no answer within %.3g s%s", (double)limit_ns / 1e9, message);
    else if (ending == HONE_ENDING_GARBAGE) snprintf(s->why, sizeof s->why, "garbage on the pipe%s", message);
    else if (WIFSIGNALED(code)) snprintf(s->why, sizeof s->why, "the worker was ended by signal %d (%s)%s", WTERMSIG(code), strsignal(WTERMSIG(code)), message);
    else snprintf(s->why, sizeof s->why, "the worker exited with %d without an answer%s", WEXITSTATUS(code), message);
    close_pipes(s);
    return HONE_OK;
}

// ---- talking

int64_t hone_deadline_ns(const hone_supervisor *s, double estimate_ns, double runs)
{
    double limit = DEADLINE_FACTOR * estimate_ns * runs;
    if (!(limit > (double)s->options.floor_ns)) return s->options.floor_ns;
    return limit < 1e15 ? (int64_t)limit : (int64_t)1e15;
}

static void send_line(hone_supervisor *s, const char *format, va_list arguments)
{
    char line[8192], *longer = NULL;
    int head = snprintf(line, sizeof line, "%lld\t", (long long)++s->request);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(line + head, sizeof line - (size_t)head, format, arguments);
    size_t total = (size_t)head + (size_t)size;
    if (size >= 0 && total + 1 >= sizeof line && (longer = hone_alloc(total + 2))) {
        memcpy(longer, line, (size_t)head);
        vsnprintf(longer + head, total + 2 - (size_t)head, format, again);
    }
    va_end(again);
    char *text = longer ? longer : line;
    if (size >= 0 && (longer || total + 1 < sizeof line) && s->to >= 0) {
        text[total] = '\n';
        (void)hone_wire_write(s->to, text, total + 1, hone_clock_ns() + WRITE_LIMIT_NS);
    }
    hone_free(longer);
}

void hone_supervisor_tell(hone_supervisor *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_line(s, format, arguments);
    va_end(arguments);
}

// "REQUEST verb ...": anything else is garbage.
static bool read_fields(hone_supervisor *s, char *line, hone_wire_fields *fields)
{
    int64_t number;
    return hone_wire_split(line, fields) && hone_wire_int(fields->at[0], &number) && number == s->request;
}

static bool read_refusal(hone_supervisor *s, const hone_wire_fields *fields)
{
    int64_t code;
    if (fields->n != 4 || !hone_wire_int(fields->at[2], &code) || code <= HONE_OK || code > HONE_DECLINED) return false;
    s->refusal = (hone_status)code;
    snprintf(s->why, sizeof s->why, "%s", fields->at[3]);
    return true;
}

// One line, and what is to be done while it does not come. Never beyond the limit.
static hone_wire_event read_line(hone_supervisor *s, int64_t limit_ns, char **line)
{
    int64_t deadline_ns = hone_clock_ns() + limit_ns;
    for (;;) {
        int64_t again_ns = s->options.meanwhile ? s->options.meanwhile(s->options.user) : 0, look_ns = hone_clock_ns() + again_ns;
        bool is_last = !again_ns || look_ns >= deadline_ns;
        hone_wire_event event = hone_wire_read(&s->from, is_last ? deadline_ns : look_ns, s->options.stop, line);
        if (is_last || event != HONE_WIRE_LATE) return event;
    }
}

static hone_ending read_reply(hone_supervisor *s, int64_t *limit_ns, const char *wanted, hone_line_each each, void *user, hone_wire_fields *reply)
{
    static const hone_ending endings[] = {
        [HONE_WIRE_END] = HONE_ENDING_DIED, [HONE_WIRE_LATE] = HONE_ENDING_LATE, [HONE_WIRE_GARBAGE] = HONE_ENDING_GARBAGE,
        [HONE_WIRE_STOPPED] = HONE_ENDING_STOPPED,
    };
    const int64_t run_limit_ns = *limit_ns;
    for (int phase = 0;;) {
        char *line;
        int64_t start_ns = hone_clock_ns();
        hone_wire_event event = read_line(s, *limit_ns, &line);
        s->phase_s[phase] += (double)(hone_clock_ns() - start_ns) / 1e9;
        if (event != HONE_WIRE_LINE) return endings[event];
        if (!read_fields(s, line, reply)) return HONE_ENDING_GARBAGE;
        const char *verb = reply->at[1];
        if (!strcmp(verb, wanted)) return HONE_ENDING_ANSWER;
        if (!strcmp(verb, "refused")) return read_refusal(s, reply) ? HONE_ENDING_REFUSED : HONE_ENDING_GARBAGE;
        if (!strcmp(verb, "phase") && reply->n == 3) {
            bool is_compile = !strcmp(reply->at[2], "compile");
            phase = hone_phase_find(reply->at[2]);
            if (phase < 0) return HONE_ENDING_GARBAGE;
            *limit_ns = is_compile && run_limit_ns < COMPILE_LIMIT_NS ? COMPILE_LIMIT_NS : run_limit_ns;
        } else if (!each || !each(user, reply)) {
            return HONE_ENDING_GARBAGE;
        }
    }
}

hone_status hone_supervisor_ask(hone_supervisor *s, int64_t limit_ns, const char *wanted, hone_line_each each, void *user,
                                hone_ending *ending, hone_wire_fields *reply, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_line(s, format, arguments);
    va_end(arguments);
    *ending = read_reply(s, &limit_ns, wanted, each, user, reply);
    return *ending == HONE_ENDING_ANSWER || *ending == HONE_ENDING_REFUSED ? HONE_OK : end(s, *ending, limit_ns);
}
