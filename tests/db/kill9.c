// SPDX-License-Identifier: Apache-2.0
// Writers of one database, killed with SIGKILL at random moments and started again.
//
//   kill9 [--writers N] [--kills N] [--seed N] [--early] FOLDER
//
// Each writer acknowledges every row over a pipe once its put has returned, together with how long the put took. Writer 0
// puts rows into a file of its own and merges that. At the end: every acknowledged row is there once, each writer's
// rows have no gap, at most the one in flight is there beyond, and `check` is clean (it is also run after every 50th kill).
// --early acknowledges before putting: the control that must fail.
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "db/store.h"

enum { WRITERS_MAX = 64, RUN_ROWS = 64, ACKS_MAX = 1 << 22 };

typedef struct ack {
    int64_t row, wait_ns;
} ack;

typedef struct writer {
    pid_t process;
    int pipe;
    int64_t acknowledged;          // the last row, -1 none
} writer;

typedef struct trial {
    int writers, kills;
    uint64_t seed;
    bool early;
    char path[1024];
    char self[1024];
    writer all[WRITERS_MAX];
    int64_t *waits_ns;
    int64_t wait_count;
    int faults;
} trial;

static void stop_on(hone_status status, const char *what)
{
    if (status == HONE_OK) return;
    fprintf(stderr, "kill9: %s: %s\n", what, hone_error_text());
    _exit(9);
}

// ---- a writer

static void name_problem(int which, char problem[64])
{
    snprintf(problem, 64, "gemm m=%d n=64 k=64", which + 1);
}

static void put_row(hone_store *store, int which, int64_t number)
{
    char problem[64], tactic[64], key[32];
    double samples[5];
    hone_id run_id;
    snprintf(key, sizeof key, "writer%d", which);
    hone_run run = {.start_unix_ms = number / RUN_ROWS, .options = "kill9", .effort = "quick", .writer = key, .sequence = number / RUN_ROWS};
    stop_on(hone_store_put_run(store, &run, &run_id), "put a run");
    name_problem(which, problem);
    snprintf(tactic, sizeof tactic, "test@1 i=%" PRId64, number);
    for (int i = 0; i < 5; i++) samples[i] = 100 + (double)((number + i) % 7);
    hone_measurement row = {.run = run_id, .device = "cpu test", .toolchain = "hone=0", .depends = "", .problem = problem, .tactic = tactic,
        .mode = "single cold", .timer = "cpu", .median_ns = 103, .mad_ns = 1, .min_ns = 100, .throttle = "", .registers = -1,
        .artifact = "", .note = "", .samples_ns = samples, .sample_count = 5};
    stop_on(hone_store_put_measurement(store, &row, NULL), "put a measurement");
}

static void merge_row(hone_store *store, const char *path, int64_t number)
{
    char own_path[1200];
    int64_t added;
    hone_store *own = NULL;
    snprintf(own_path, sizeof own_path, "%s.own", path);
    unlink(own_path);
    stop_on(hone_store_open(own_path, HONE_STORE_CREATE, &own), "open a file of its own");
    put_row(own, 0, number);
    stop_on(hone_store_merge(store, own, &added), "merge");
    hone_store_close(own);
}

static int write_rows(int which, const char *path, int64_t number, bool early)
{
    hone_store *store = NULL;
    stop_on(hone_store_open(path, HONE_STORE_CREATE, &store), "open");
    for (;; number++) {
        int64_t start = hone_clock_ns();
        ack done = {number, 0};
        if (early && write(STDOUT_FILENO, &done, sizeof done) != sizeof done) return 1;
        if (which == 0) merge_row(store, path, number);
        else put_row(store, which, number);
        done.wait_ns = hone_clock_ns() - start;
        if (!early && write(STDOUT_FILENO, &done, sizeof done) != sizeof done) return 1;
    }
}

// ---- the parent

static void start_writer(trial *t, int which)
{
    int ends[2];
    char slot[16], from[32];
    writer *w = &t->all[which];
    snprintf(slot, sizeof slot, "%d", which);
    snprintf(from, sizeof from, "%" PRId64, w->acknowledged + 1);
    if (pipe(ends)) exit(1);
    w->process = fork();
    if (w->process < 0) exit(1);
    if (!w->process) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(t->self, t->self, "--write", slot, t->path, from, t->early ? "early" : "late", (char *)NULL);
        _exit(8);
    }
    close(ends[1]);
    w->pipe = ends[0];
}

static void fault(trial *t, const char *sentence, int which, int64_t number)
{
    t->faults++;
    if (t->faults < 20) printf("FAULT: writer %d, row %" PRId64 ": %s\n", which, number, sentence);
}

// Reads what a writer has acknowledged; false at the end of its pipe.
static bool read_acks(trial *t, int which)
{
    ack acks[64];
    writer *w = &t->all[which];
    ssize_t got = read(w->pipe, acks, sizeof acks);
    if (got <= 0) return got < 0 && errno == EINTR;
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *acks; i++) {
        if (acks[i].row != w->acknowledged + 1) fault(t, "acknowledged out of order", which, acks[i].row);
        w->acknowledged = acks[i].row;
        if (t->wait_count < ACKS_MAX) t->waits_ns[t->wait_count++] = acks[i].wait_ns;
    }
    return true;
}

static void stop_writer(trial *t, int which)
{
    int end;
    writer *w = &t->all[which];
    kill(w->process, SIGKILL);
    waitpid(w->process, &end, 0);
    if (WIFEXITED(end)) fault(t, "ended by itself", which, WEXITSTATUS(end));
    while (read_acks(t, which)) { }
    close(w->pipe);
}

static void listen_for(trial *t, int64_t ns)
{
    struct pollfd polled[WRITERS_MAX];
    int64_t end = hone_clock_ns() + ns;
    for (int64_t left; (left = end - hone_clock_ns()) > 0; ) {
        for (int i = 0; i < t->writers; i++) polled[i] = (struct pollfd){t->all[i].pipe, POLLIN, 0};
        struct timespec wait = {left / 1000000000, left % 1000000000};
        if (ppoll(polled, (nfds_t)t->writers, &wait, NULL) <= 0) continue;
        for (int i = 0; i < t->writers; i++) {
            if (!polled[i].revents || read_acks(t, i)) continue;
            fault(t, "ended by itself", i, -1);
            stop_writer(t, i);
            start_writer(t, i);
        }
    }
}

static void check_store(trial *t, bool last)
{
    hone_store *store = NULL;
    hone_text report;
    hone_text_init(&report);
    hone_status status = hone_store_open(t->path, HONE_STORE_READ, &store);
    if (status == HONE_OK) status = hone_store_check(store, &report);
    if (status != HONE_OK) {
        printf("FAULT: check: %s\n%s", hone_error_text(), hone_text_get(&report));
        t->faults++;
    }
    if (last && status == HONE_OK) printf("check: no faults\n");
    hone_store_close(store);
    hone_text_clear(&report);
}

typedef struct seen {
    uint8_t *rows;
    int64_t capacity, beyond, twice;
} seen;

static hone_status see_row(void *user, const hone_id *id, const hone_measurement *row)
{
    seen *s = user;
    int64_t number = strtoll(strchr(row->tactic, '=') + 1, NULL, 10);
    (void)id;
    if (number >= s->capacity) s->beyond++;
    else s->twice += s->rows[number]++ > 0;
    return HONE_OK;
}

static int64_t count_writer(trial *t, hone_store *store, int which)
{
    char problem[64];
    int64_t count = t->all[which].acknowledged + 1;
    seen s = {.rows = hone_calloc((size_t)count + 2, 1), .capacity = count + 1};
    name_problem(which, problem);
    stop_on(hone_store_each_measurement(store, "cpu test", problem, see_row, &s), "read");
    for (int64_t i = 0; i < count; i++)
        if (!s.rows[i]) fault(t, "acknowledged and lost", which, i);
    if (s.twice) fault(t, "there twice", which, s.twice);
    if (s.beyond) fault(t, "more than one row beyond the last acknowledged", which, s.beyond);
    hone_free(s.rows);
    return count;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void judge(trial *t, double seconds)
{
    hone_store *store = NULL;
    int64_t rows = 0;
    stop_on(hone_store_open(t->path, HONE_STORE_READ, &store), "open");
    for (int i = 0; i < t->writers; i++) rows += count_writer(t, store, i);
    printf("%d writers, %d kills, %" PRId64 " acknowledged rows in %.1f s, journal %s\n", t->writers, t->kills, rows, seconds, hone_store_journal(store));
    hone_store_close(store);
    check_store(t, true);
    if (!t->wait_count) return;
    qsort(t->waits_ns, (size_t)t->wait_count, sizeof *t->waits_ns, compare_times);
    double longest = (double)t->waits_ns[t->wait_count - 1] / 1e9;
    printf("a row (run and measurement) took %.1f ms in the median, %.0f ms at 99%%, %.2f s at most\n", (double)t->waits_ns[t->wait_count / 2] / 1e6,
           (double)t->waits_ns[t->wait_count * 99 / 100] / 1e6, longest);
    if (longest > 5) fault(t, "waited longer than 5 s", -1, 0);
}

static int run_trial(trial *t)
{
    int64_t start = hone_clock_ns();
    t->waits_ns = hone_alloc(ACKS_MAX * sizeof *t->waits_ns);
    for (int i = 0; i < t->writers; i++) {
        t->all[i].acknowledged = -1;
        start_writer(t, i);
    }
    for (int i = 0; i < t->kills; i++) {
        listen_for(t, (int64_t)(hone_rng_uniform(t->seed, 0, (uint64_t)i) * 2e8));
        int which = (int)(hone_rng_bits(t->seed, 1, (uint64_t)i) % (unsigned)t->writers);
        stop_writer(t, which);
        if (i % 50 == 49) check_store(t, false);
        start_writer(t, which);
    }
    listen_for(t, 500000000);
    for (int i = 0; i < t->writers; i++) stop_writer(t, i);
    judge(t, (double)(hone_clock_ns() - start) / 1e9);
    hone_free(t->waits_ns);
    return t->faults != 0;
}

int main(int argc, char **argv)
{
    trial t = {.writers = 8, .kills = 300, .seed = 1};
    if (argc == 6 && !strcmp(argv[1], "--write")) return write_rows(atoi(argv[2]), argv[3], atoll(argv[4]), !strcmp(argv[5], "early"));
    ssize_t size = readlink("/proc/self/exe", t.self, sizeof t.self - 1);
    int i = 1;
    for (; i < argc - 1; i++) {
        if (!strcmp(argv[i], "--writers")) t.writers = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--kills")) t.kills = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--seed")) t.seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--early")) t.early = true;
        else break;
    }
    if (i != argc - 1 || size <= 0 || t.writers < 1 || t.writers > WRITERS_MAX) {
        fprintf(stderr, "usage: kill9 [--writers N] [--kills N] [--seed N] [--early] FOLDER\n");
        return 2;
    }
    snprintf(t.path, sizeof t.path, "%s/kill9.db", argv[i]);
    printf("seed %" PRIu64 "\n", t.seed);
    return run_trial(&t);
}
