// SPDX-License-Identifier: Apache-2.0
// Holds the kernels of the nvrtc source against the reference on a GPU: each tactic alone, and started early behind itself.
//   gpu_nvrtc_smoke [-d DEVICE] [-c TARGET [-o FOLDER]] [-k KERNEL] [-n TACTICS] [-j THREADS] [-t] FILE...
// FILE holds one problem a line. -n: tactics of each problem (3: the best estimated one and a spread; 0: all), -k: of one kernel.
// -t: times every tactic too (hot, events round 20 launches). -c: only compiles, for a target given by its spelling, with no GPU; a spill
// is a failure; -o: keeps the machine code. All is compiled first, in parallel, by a child; then other children run the problems, so that a kernel that ruins its
// context or hangs costs one problem. This process itself never opens the driver or NVRTC: CUDA does not survive a fork. Prints PASS/FAIL
// lines on stderr and one JSON object on stdout; exit 0 when all passed.
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/thread.h"
#include "kernels/source.h"

enum { CODE_MAX = 1 << 20, GUARD = 4096, PROBLEMS_MAX = 1024, TACTICS_MAX = 4096, LINE_MAX_BYTES = 2048, REPEATS = 20, DEADLINE_S = 60 };

extern const hone_source hone_source_nvrtc;

typedef struct outcome {               // in memory shared with the children
    int state;                         // 0 not run, 1 passed, 2 failed
    double error, tolerance, ns;
    int registers, spill_bytes;
    char why[200];
} outcome;

typedef struct parcel {                // what a compiler made, in memory that it shares with this process
    bool is_done;
    hone_status status;
    char why[200];
    double compile_ms;
    hone_blob blob;
    unsigned char code[CODE_MAX];
} parcel;

typedef struct job {                   // one tactic of one problem
    int problem;
    hone_tactic tactic;
    hone_blob blob;
    hone_status status;
    char why[200];
    double estimate_ns, compile_ms;
} job;

static struct {
    char (*problems)[LINE_MAX_BYTES];
    int n_problems;
    job *jobs;
    int n_jobs, capacity;
    outcome *outcomes;
    atomic_int *next;                  // problem that a child works on, shared
    hone_target target;
    const char *device, *kernel;
    int most, threads;
    bool times, compiles_only;
    const char *folder;                // where machine code is kept; NULL: nowhere
} all = {.device = "cuda", .most = 3};

// ---- choosing and compiling

typedef struct candidate { hone_tactic tactic; double ns; } candidate;
typedef struct gathering { const hone_problem *problem; candidate *found; int n; } gathering;

static hone_status gather(void *user, const hone_tactic *tactic)
{
    gathering *g = user;
    if (g->n == TACTICS_MAX || (all.kernel && strcmp(all.kernel, tactic->kernel))) return HONE_OK;
    g->found[g->n].tactic = *tactic;
    g->found[g->n++].ns = hone_source_nvrtc.estimate_ns(g->problem, tactic, &all.target);
    return HONE_OK;
}

static int by_estimate(const void *a, const void *b)
{
    double x = ((const candidate *)a)->ns, y = ((const candidate *)b)->ns;
    return (x > y) - (x < y);
}

static void add_job(int problem, const candidate *c)
{
    if (all.n_jobs == all.capacity) {
        all.capacity = all.capacity ? all.capacity * 2 : 256;
        all.jobs = realloc(all.jobs, (size_t)all.capacity * sizeof *all.jobs);
    }
    all.jobs[all.n_jobs++] = (job){.problem = problem, .tactic = c->tactic, .estimate_ns = c->ns};
}

static void add_failure(int problem)
{
    candidate none = {.ns = 0};
    strcpy(none.tactic.kernel, "none");
    add_job(problem, &none);
    all.jobs[all.n_jobs - 1].status = HONE_DECLINED;
    snprintf(all.jobs[all.n_jobs - 1].why, sizeof all.jobs[0].why, "%s", hone_error_text());
}

static void choose(int index)
{
    static hone_problem problem;
    static hone_space space;
    static candidate found[TACTICS_MAX];
    gathering g = {&problem, found, 0};
    memset(&space, 0, sizeof space);
    hone_status status = hone_problem_parse(all.problems[index], &problem);
    if (!status) status = hone_source_nvrtc.space(&problem, &all.target, NULL, &space);
    if (!status) status = hone_space_each(&hone_source_nvrtc, &problem, &all.target, &space, gather, &g);
    if (!status && !g.n && all.kernel) return;         // problems of other kernels
    if (!status && !g.n) status = hone_fail(HONE_DECLINED, "the space is empty");
    if (status) {
        add_failure(index);
        return;
    }
    qsort(found, (size_t)g.n, sizeof *found, by_estimate);
    int n = all.most && all.most < g.n ? all.most : g.n;
    for (int k = 0; k < n; k++) add_job(index, &found[(int64_t)k * g.n / n]);
}

static void *share(size_t size_bytes)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) return memory;
    perror("shared memory");
    exit(2);
}

static void compile(const job *j, parcel *to)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    int64_t begin = hone_clock_ns();
    to->status = hone_problem_parse(all.problems[j->problem], problem);
    if (!to->status) to->status = hone_source_nvrtc.compile(problem, &j->tactic, &all.target, &to->blob);
    if (!to->status && to->blob.size_bytes > CODE_MAX) to->status = hone_fail(HONE_INTERNAL, "its code is larger than a parcel");
    if (to->status) snprintf(to->why, sizeof to->why, "%s", hone_error_text());
    else memcpy(to->code, to->blob.data, to->blob.size_bytes);
    to->compile_ms = (double)(hone_clock_ns() - begin) / 1e6;
    to->is_done = true;
    hone_free(problem);
}

static parcel *parcels;

static void *compile_some(void *user)
{
    atomic_int *next = user;
    for (int k; (k = atomic_fetch_add(next, 1)) < all.n_jobs;)
        if (!all.jobs[k].status) compile(&all.jobs[k], &parcels[k]);
    return NULL;
}

static void compile_in_threads(void)
{
    pthread_t threads[64];
    atomic_int next = 0;
    int n = all.threads < 64 ? all.threads : 64;
    for (int k = 0; k < n; k++) pthread_create(&threads[k], NULL, compile_some, &next);
    for (int k = 0; k < n; k++) pthread_join(threads[k], NULL);
}

static void unpack(job *j, parcel *from)
{
    if (j->status) return;
    j->status = from->is_done ? from->status : HONE_INTERNAL;
    snprintf(j->why, sizeof j->why, "%s", from->is_done ? from->why : "the compiler ended without an answer");
    j->compile_ms = from->compile_ms;
    j->blob = from->blob;
    j->blob.data = from->code;
}

static void compile_all(void)
{
    parcels = share(sizeof *parcels * (size_t)(all.n_jobs + 1));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        compile_in_threads();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    for (int k = 0; k < all.n_jobs; k++) unpack(&all.jobs[k], &parcels[k]);
}

// ---- running

typedef struct bench {                 // one problem on the device
    hone_device *device;
    hone_problem problem;
    void *operands[HONE_OPERANDS_MAX], *outputs[HONE_OUTPUTS_MAX];      // an output has GUARD bytes on both sides
    hone_array wanted[HONE_OUTPUTS_MAX];
} bench;

static hone_status upload(bench *b, int k, hone_array *array)
{
    size_t size = hone_tensor_size(&b->problem.operands[k]);
    void *host = hone_alloc(size + 64);
    hone_status status = hone_problem_draw(&b->problem, k, 7, array, all.threads);
    if (!status) hone_array_pack(array, &b->problem.operands[k], host, false, all.threads);
    if (!status) status = b->device->api->alloc(b->device, size + 256, &b->operands[k]);
    if (!status) status = b->device->api->copy(b->device, NULL, b->operands[k], host, size, HONE_COPY_IN);
    if (!status) status = b->device->api->sync(b->device, NULL);
    hone_free(host);
    return status;
}

static hone_status set_up(bench *b, const char *text)
{
    hone_array arrays[HONE_OPERANDS_MAX] = {0};
    hone_status status = hone_problem_parse(text, &b->problem);
    for (int k = 0; k < b->problem.n_operands && !status; k++) status = upload(b, k, &arrays[k]);
    if (!status) status = hone_problem_reference(&b->problem, arrays, b->wanted, all.threads);
    for (int k = 0; k < b->problem.n_out && !status; k++)
        status = b->device->api->alloc(b->device, hone_tensor_size(&b->problem.out[k]) + 2 * GUARD, &b->outputs[k]);
    for (int k = 0; k < b->problem.n_operands; k++) hone_array_clear(&arrays[k]);
    return status;
}

static void tear_down(bench *b)
{
    for (int k = 0; k < b->problem.n_operands; k++) b->device->api->free(b->device, b->operands[k]);
    for (int k = 0; k < b->problem.n_out; k++) {
        b->device->api->free(b->device, b->outputs[k]);
        hone_array_clear(&b->wanted[k]);
    }
}

static double error_of(const hone_array *wanted, const hone_array *found)
{
    double off = 0, norm = 0;
    int64_t n = hone_tensor_count(&wanted->tensor);
    for (int64_t k = 0; k < n; k++) {
        double a = wanted->f ? wanted->f[k] : (double)wanted->i[k], b = found->f ? found->f[k] : (double)found->i[k];
        if ((isnan(a) && isnan(b)) || (isinf(a) && a == b)) continue;
        if (!isfinite(b)) return INFINITY;
        off += (a - b) * (a - b), norm += a * a;
    }
    return norm > 0 ? sqrt(off / norm) : sqrt(off);
}

// Bytes of output k into host; a damaged guard is a failure.
static hone_status fetch(bench *b, int k, unsigned char *host)
{
    size_t size = hone_tensor_size(&b->problem.out[k]);
    hone_status status = b->device->api->copy(b->device, NULL, host, b->outputs[k], size + 2 * GUARD, HONE_COPY_OUT);
    if (!status) status = b->device->api->sync(b->device, NULL);
    for (size_t i = 0; i < GUARD && !status; i++)
        if (host[i] != 0xff || host[GUARD + size + i] != 0xff) status = hone_fail(HONE_NUMERIC, "it wrote outside of its result");
    return status;
}

static hone_status compare(bench *b, outcome *o)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < b->problem.n_out && !status; k++) {
        hone_array found = {0};
        unsigned char *host = hone_alloc(hone_tensor_size(&b->problem.out[k]) + 2 * GUARD);
        status = fetch(b, k, host);
        if (!status) status = hone_array_init(&found, &b->problem.out[k]);
        if (!status) hone_array_unpack(&found, &b->problem.out[k], host + GUARD, all.threads);
        double error = status ? 0 : error_of(&b->wanted[k], &found);
        if (!(error <= o->error)) o->error = error;
        hone_array_clear(&found);
        hone_free(host);
    }
    if (!status && !(o->error <= o->tolerance)) status = hone_fail(HONE_NUMERIC, "it is wrong");
    return status;
}

static hone_status run_once(bench *b, hone_runnable *runnable, void *workspace)
{
    void *outputs[HONE_OUTPUTS_MAX] = {0};
    for (int k = 0; k < b->problem.n_out; k++) outputs[k] = (char *)b->outputs[k] + GUARD;
    return runnable->api->run(runnable, NULL, b->operands, outputs, workspace);
}

// Twice, the second time early: beside the first, all operands but one being constants.
static hone_status run_linked(bench *b, hone_runnable *runnable, void *workspace)
{
    static const hone_link links[] = {{.lets_next = true}, {.follows = true, .constants = ~(uint32_t)1}};
    void *outputs[HONE_OUTPUTS_MAX] = {0};
    hone_status status = HONE_OK;
    for (int k = 0; k < b->problem.n_out; k++) outputs[k] = (char *)b->outputs[k] + GUARD;
    for (int k = 0; k < 2 && !status; k++) status = runnable->api->chain(runnable, NULL, b->operands, outputs, workspace, links[k]);
    return status;
}

static hone_status try_once(bench *b, hone_runnable *runnable, void *workspace, outcome *o, hone_status (*run)(bench *, hone_runnable *, void *))
{
    const hone_device_api *api = b->device->api;
    hone_status status;
    for (int k = 0; k < b->problem.n_out; k++)
        HONE_TRY(api->fill(b->device, NULL, b->outputs[k], 0xff, hone_tensor_size(&b->problem.out[k]) + 2 * GUARD));
    HONE_TRY(run(b, runnable, workspace));
    HONE_TRY(api->sync(b->device, NULL));
    status = compare(b, o);
out:
    return status;
}

static hone_status measure(bench *b, hone_runnable *runnable, void *workspace, double *ns)
{
    const hone_device_api *api = b->device->api;
    hone_status status;
    for (int k = 0; k < 3; k++) HONE_TRY(run_once(b, runnable, workspace));
    HONE_TRY(api->record(b->device, NULL, 0));
    for (int k = 0; k < REPEATS; k++) HONE_TRY(run_once(b, runnable, workspace));
    HONE_TRY(api->record(b->device, NULL, 1));
    HONE_TRY(api->sync(b->device, NULL));
    HONE_TRY(api->elapsed(b->device, 0, 1, ns));
    *ns /= REPEATS;
out:
    return status;
}

static hone_status run_job(bench *b, const job *j, outcome *o)
{
    const hone_device_api *api = b->device->api;
    hone_runnable *runnable = NULL;
    void *workspace = NULL;
    hone_status status = hone_source_nvrtc.prepare(&b->problem, &j->tactic, b->device, &j->blob, &runnable);
    if (status) goto out;
    HONE_TRY(runnable->api->wake(runnable));
    if (runnable->workspace_bytes) HONE_TRY(api->alloc(b->device, runnable->workspace_bytes, &workspace));
    o->tolerance = hone_problem_tolerance(&b->problem);
    HONE_TRY(try_once(b, runnable, workspace, o, run_once));
    if (runnable->api->chain) HONE_TRY(try_once(b, runnable, workspace, o, run_linked));
    if (all.times) HONE_TRY(measure(b, runnable, workspace, &o->ns));
out:
    if (workspace) api->free(b->device, workspace);
    if (runnable) runnable->api->free(runnable);
    return status;
}

static void print_outcome(const job *j, const outcome *o)
{
    char text[HONE_TACTIC_TEXT];
    hone_tactic_print(&j->tactic, text);
    fprintf(stderr, "%s %s", o->state == 1 ? "PASS" : "FAIL", text);
    if (o->state == 1) fprintf(stderr, "  error %.2g of %.2g", o->error, o->tolerance);
    if (o->ns > 0) fprintf(stderr, "  %.2f us (estimated %.2f)", o->ns / 1e3, j->estimate_ns / 1e3);
    if (o->spill_bytes > 0) fprintf(stderr, "  SPILLS %d bytes", o->spill_bytes);
    if (o->state != 1) fprintf(stderr, "  error %.2g of %.2g: %s", o->error, o->tolerance, o->why);
    fprintf(stderr, "  | %s\n", all.problems[j->problem]);
}

static bool has_jobs(int problem)
{
    for (int k = 0; k < all.n_jobs; k++)
        if (all.jobs[k].problem == problem) return true;
    return false;
}

// false: the context is spoilt.
static bool run_problem(hone_device *device, int index)
{
    static bench b;
    bool is_sound = true;
    if (!has_jobs(index)) return true;
    memset(&b, 0, sizeof b);
    b.device = device;
    alarm(DEADLINE_S);
    hone_status status = set_up(&b, all.problems[index]);
    for (int k = 0; k < all.n_jobs && is_sound; k++) {
        const job *j = &all.jobs[k];
        outcome *o = &all.outcomes[k];
        if (j->problem != index) continue;
        o->registers = j->blob.registers;
        o->spill_bytes = j->blob.spill_bytes;
        hone_status one = j->status ? hone_fail(j->status, "%s", j->why) : status ? status : run_job(&b, j, o);
        o->state = one ? 2 : 1;
        snprintf(o->why, sizeof o->why, "%s", one ? hone_error_text() : "");
        print_outcome(j, o);
        is_sound = device->api->sync(device, NULL) == HONE_OK;
    }
    if (is_sound) tear_down(&b);
    return is_sound;
}

static int child(void)
{
    hone_device *device = NULL;
    if (hone_device_open(all.device, &device)) {
        fprintf(stderr, "%s\n", hone_error_text());
        return 2;
    }
    for (int k; (k = atomic_load(all.next)) < all.n_problems; atomic_fetch_add(all.next, 1))
        if (!run_problem(device, k)) return 3;
    hone_device_close(device);
    return 0;
}

// Children one after the other until all problems are done; what a child died of is blamed on the problem it worked on.
static int run_all(void)
{
    while (atomic_load(all.next) < all.n_problems) {
        int state = 0;
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) _exit(child());
        waitpid(pid, &state, 0);
        if (WIFEXITED(state) && (WEXITSTATUS(state) == 0 || WEXITSTATUS(state) == 2)) return WEXITSTATUS(state);
        int index = atomic_fetch_add(all.next, 1);
        for (int k = 0; k < all.n_jobs; k++) {
            if (all.jobs[k].problem != index || all.outcomes[k].state) continue;
            all.outcomes[k].state = 2;
            snprintf(all.outcomes[k].why, sizeof all.outcomes[k].why, WIFSIGNALED(state) ? "the process ended by signal %d" : "the context was lost (%d)",
                     WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state));
            print_outcome(&all.jobs[k], &all.outcomes[k]);
        }
    }
    return 0;
}

// ---- the summary

static void print_jobs(hone_json *json)
{
    hone_json_open(json, "tactics", '[');
    for (int k = 0; k < all.n_jobs; k++) {
        char text[HONE_TACTIC_TEXT];
        const outcome *o = &all.outcomes[k];
        hone_tactic_print(&all.jobs[k].tactic, text);
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "problem", all.problems[all.jobs[k].problem]);
        hone_json_text(json, "tactic", text);
        hone_json_bool(json, "passed", o->state == 1);
        hone_json_real(json, "error", o->error);
        if (o->ns > 0) hone_json_real(json, "ns", o->ns);
        hone_json_real(json, "estimate_ns", all.jobs[k].estimate_ns);
        hone_json_real(json, "compile_ms", all.jobs[k].compile_ms);
        hone_json_int(json, "registers", o->registers);
        if (o->spill_bytes > 0) hone_json_int(json, "spill_bytes", o->spill_bytes);
        if (o->state != 1) hone_json_text(json, "why", o->why);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static int print_summary(double compile_s, double run_s)
{
    hone_text text;
    hone_json json;
    int failed = 0;
    double worst = 0;
    for (int k = 0; k < all.n_jobs; k++) {
        failed += all.outcomes[k].state != 1;
        if (all.outcomes[k].state == 1 && all.outcomes[k].error / (all.outcomes[k].tolerance + 1e-300) > worst && all.outcomes[k].tolerance > 0)
            worst = all.outcomes[k].error / all.outcomes[k].tolerance;
    }
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_json_int(&json, "problems", all.n_problems);
    hone_json_int(&json, "passed", all.n_jobs - failed);
    hone_json_int(&json, "failed", failed);
    hone_json_real(&json, "worst_error_of_tolerance", worst);
    hone_json_real(&json, "compile_s", compile_s);
    hone_json_real(&json, "run_s", run_s);
    print_jobs(&json);
    hone_json_close(&json, '}');
    printf("%s\n", hone_text_get(&text));
    hone_text_clear(&text);
    fprintf(stderr, "%d passed, %d failed; compiled in %.1f s, ran in %.1f s\n", all.n_jobs - failed, failed, compile_s, run_s);
    return failed != 0;
}

static void write_code(const hone_blob *blob, int number)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%04d.cubin", all.folder, number);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(blob->data, 1, blob->size_bytes, file) != blob->size_bytes) fprintf(stderr, "cannot write %s\n", path);
    if (file) fclose(file);
}

// Without a device: what was compiled, and with what.
static int print_compiled(double seconds)
{
    int failed = 0;
    double slowest = 0;
    for (int k = 0; k < all.n_jobs; k++) {
        const job *j = &all.jobs[k];
        char text[HONE_TACTIC_TEXT];
        bool is_bad = j->status || j->blob.spill_bytes > 0;
        hone_tactic_print(&j->tactic, text);
        printf("%s %s  %d registers, %d bytes spilled, %zu bytes, %.0f ms  %s | %s\n", is_bad ? "FAIL" : "ok  ", text, j->blob.registers,
               j->blob.spill_bytes, j->blob.size_bytes, j->compile_ms, j->why, all.problems[j->problem]);
        if (all.folder && !j->status) write_code(&j->blob, k);
        failed += is_bad;
        slowest = fmax(slowest, j->compile_ms);
    }
    printf("%d passed, %d failed; %.1f s, the slowest %.1f s\n", all.n_jobs - failed, failed, seconds, slowest / 1e3);
    return failed != 0;
}

static int read_problems(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) return fprintf(stderr, "cannot open %s\n", path), 1;
    while (all.n_problems < PROBLEMS_MAX && fgets(all.problems[all.n_problems], LINE_MAX_BYTES, file)) {
        char *line = all.problems[all.n_problems];
        line[strcspn(line, "\n")] = 0;
        if (*line && *line != '#') all.n_problems++;
    }
    fclose(file);
    return 0;
}

// The device's spelling, found in a child so that this process never opens the driver.
static int find_target(void)
{
    hone_target *shared = share(sizeof *shared);
    int state = 0;
    pid_t pid = fork();
    if (pid == 0) {
        hone_device *device = NULL;
        if (hone_device_open(all.device, &device)) {
            fprintf(stderr, "%s\n", hone_error_text());
            _exit(1);
        }
        *shared = device->target;
        _exit(0);
    }
    waitpid(pid, &state, 0);
    all.target = *shared;
    return state != 0;
}

int main(int argc, char **argv)
{
    all.threads = hone_cpu_count();
    all.problems = calloc(PROBLEMS_MAX + 1, LINE_MAX_BYTES);
    for (int k = 1; k < argc; k++) {
        if (!strcmp(argv[k], "-d") && k + 1 < argc) all.device = argv[++k];
        else if (!strcmp(argv[k], "-n") && k + 1 < argc) all.most = atoi(argv[++k]);
        else if (!strcmp(argv[k], "-j") && k + 1 < argc) all.threads = atoi(argv[++k]);
        else if (!strcmp(argv[k], "-o") && k + 1 < argc) all.folder = argv[++k];
        else if (!strcmp(argv[k], "-k") && k + 1 < argc) all.kernel = argv[++k];
        else if (!strcmp(argv[k], "-t")) all.times = true;
        else if (!strcmp(argv[k], "-c") && k + 1 < argc) {
            all.compiles_only = true;
            if (hone_target_parse(argv[++k], &all.target)) return fprintf(stderr, "%s\n", hone_error_text()), 2;
        }
        else if (read_problems(argv[k])) return 2;
    }
    if (!all.compiles_only && find_target()) return 2;
    int64_t begin = hone_clock_ns();
    for (int k = 0; k < all.n_problems; k++) choose(k);
    compile_all();
    int64_t compiled = hone_clock_ns();
    if (all.compiles_only) return print_compiled((double)(compiled - begin) / 1e9);
    all.outcomes = share(sizeof *all.outcomes * (size_t)(all.n_jobs + 1));
    all.next = share(sizeof *all.next);
    int status = run_all();
    return print_summary((double)(compiled - begin) / 1e9, (double)(hone_clock_ns() - compiled) / 1e9) || status;
}
