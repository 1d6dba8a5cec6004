// SPDX-License-Identifier: Apache-2.0
// How far the GPU's times can be trusted. For tactics of 10 us and more: CUPTI's time against the slope of graph replays over 1, 64 and
// 512 nodes less the gap per node (within 3%), and a tactic against itself, measured in turn as the race measures its last
// (within 1% in 95 of 100 pairs).
//
// CUPTI, once there, stamps every node and slows the replays, so those are timed before it comes and again after it went (where it can be made
// to go), and its time of a run inside the replayed graph stands against the mean of both. Rounds are processes of their own, with buffers
// and code in other places, which alone make a convolution 7% slower or faster (H100); the middle ratio of all rounds counts (fidelity.h).
//
// On Hopper CUPTI's stamp at the end of every block holds up the block after it, and kernels of many short blocks seem a few hundredths longer than
// they are: the gap per node is that of a kernel launched alike (fidelity_echo.h; H100: 1.02 to 1.03 of tiled products became 1.00).
// One JSON object on stdout, exit 0 when both hold.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/gpu/fidelity_echo.h"
#include "tests/gpu/fidelity_print.h"

enum { PAIRS = 100 };

static const char *const problems[] = {
    "matmul a=f32:128x768 b=f32:768x3072 | add a=$0 b=f32:3072",
    "matmul a=f16:512x1024 b=f16:1024x4096 | add a=$0 b=f16:4096 | gelu x=$1 approx=tanh",
    "matmul a=bf16:4096x1024 b=bf16:1024x1024",
    "conv x=f16:8x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | relu x=$0",
    "conv x=f32:1x28x28x128:nhwc w=f32:128x3x3x128:nhwc b=f32:128 pad=1 | relu x=$0",
    "softmax x=f16:128x12x128x128 axis=3",
    "layernorm x=f16:32768x768 scale=f16:768 b=f16:768 axis=1",
};
#define PROBLEMS ((int)(sizeof problems / sizeof *problems))

// To what CUPTI is attached at a time, each safer than the one before: again and again in one process, once, and never detached.
static const char *const attachments[] = {"tactic", "problem", "round", "never"};
enum { TACTIC, PROBLEM, ROUND, NEVER, ATTACHMENTS };

typedef struct ready {             // a tactic that the round at hand can run
    hone_runnable *runnable;       // NULL when it failed
    void *workspace;
    waiting echo;
} ready;

// Of the whole program.
static const char *device_name = "cuda";
static int most = 3, attached = ROUND;
static table *shared;
static bench benches[PROBLEMS];                 // drawn once; laid on the device by each round

// Of the round at hand.
static int now;
static ready readies[TRIED_MAX];

// ---- a round: tactics are listed by the first and prepared by each

typedef struct listing {
    int problem, left;
} listing;

static hone_status list_next(void *user, const hone_tactic *tactic)
{
    listing *l = user;
    if (shared->n == TRIED_MAX) return HONE_MISS;
    tried *a = &shared->tried[shared->n++];
    a->problem = l->problem;
    hone_tactic_print(tactic, a->tactic);
    return --l->left > 0 ? HONE_OK : HONE_MISS;      // MISS: enough seen
}

static void list_all(void)
{
    shared->n = 0;
    for (int k = 0; k < PROBLEMS; k++)
        for (int s = 0; s < hone_source_count; s++) {
            const hone_source *source = hone_sources[s];
            listing l = {k, most};
            hone_space space = {0};
            if (!hone_source_serves(source, device->api->kind) || !strcmp(source->name, "ref")) continue;
            if (!source->space(&benches[k].problem, &device->target, device, &space))
                (void)hone_space_each(source, &benches[k].problem, &device->target, &space, list_next, &l);
            hone_space_clear(&space);
        }
    shared->is_listed = true;
}

static hone_status compile_tried(tried *a, const hone_source *source, const hone_tactic *tactic, hone_blob *artifact)
{
    hone_status status = source->compile(&benches[a->problem].problem, tactic, &device->target, artifact);
    if (status || artifact->size_bytes > CODE_MAX) return status;
    memcpy(a->code, artifact->data, artifact->size_bytes);
    a->code_bytes = artifact->size_bytes;
    return HONE_OK;
}

static hone_status prepare_tried(tried *a, hone_runnable **runnable)
{
    hone_tactic tactic;
    hone_blob compiled = {0};
    hone_status status;
    HONE_TRY(hone_tactic_parse(a->tactic, &tactic));
    const hone_source *source = hone_source_find(tactic.source);
    if (!source) return hone_fail(HONE_INTERNAL, "there is no source %s", tactic.source);
    if (source->compile && !a->code_bytes) HONE_TRY(compile_tried(a, source, &tactic, &compiled));
    const hone_blob kept = {.data = a->code, .size_bytes = a->code_bytes};
    const hone_blob *artifact = !source->compile ? NULL : compiled.data ? &compiled : &kept;
    HONE_TRY(source->prepare(&benches[a->problem].problem, &tactic, device, artifact, runnable));
    status = (*runnable)->api->wake(*runnable);
out:
    hone_free(compiled.data);
    return status;
}

// Every round makes sure of the answer before it takes times.
static hone_status make_ready(tried *a, ready *r, double *error)
{
    bench *t = &benches[a->problem];
    hone_status status;
    HONE_TRY(prepare_tried(a, &r->runnable));
    a->kernels = r->runnable->kernels;
    if (r->runnable->workspace_bytes) HONE_TRY(device->api->alloc(device, r->runnable->workspace_bytes, &r->workspace));
    HONE_TRY(r->runnable->api->run(r->runnable, NULL, t->operands, t->outputs, r->workspace));
    HONE_TRY(compare_output(device, t, error));
    if (!(*error <= hone_problem_tolerance(&t->problem))) status = hone_fail(HONE_NUMERIC, "off by %g", *error);
out:
    return status;
}

static void forget(ready *r)
{
    if (r->runnable) {
        r->runnable->api->sleep(r->runnable);
        r->runnable->api->free(r->runnable);
        r->runnable = NULL;
    }
    if (r->workspace) device->api->free(device, r->workspace);
    r->workspace = NULL;
}

static hone_status make_all_ready(void)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < PROBLEMS; k++) HONE_TRY(lay_bench(device, &benches[k]));
    if (!shared->is_listed) list_all();
    for (int i = 0; i < shared->n; i++) {
        seen *s = &shared->tried[i].rounds[now];
        if (!make_ready(&shared->tried[i], &readies[i], &s->error)) continue;
        snprintf(s->failed, sizeof s->failed, "%s", hone_error_text());
        forget(&readies[i]);
    }
out:
    return status;
}

// ---- a round: its phases, over some of the tactics

// What one tactic does not stand ends that tactic, not the round.
static void each_ready(int first, int last, hone_status (*body)(ready *r, bench *t, seen *s))
{
    for (int i = first; i < last; i++) {
        seen *s = &shared->tried[i].rounds[now];
        if (!readies[i].runnable || *s->failed) continue;
        if (body(&readies[i], &benches[shared->tried[i].problem], s)) {
            snprintf(s->failed, sizeof s->failed, "%s", hone_error_text());
            fprintf(stderr, "%s: %s\n", shared->tried[i].tactic, s->failed);
        }
    }
}

static hone_status replay(ready *r, bench *t, seen *s, phase at)
{
    double spread = 0;
    hone_status status = measure_spaced_slope(r->runnable, t, r->workspace, &s->slope_ns[at], &spread);
    if (spread > s->slope_spread) s->slope_spread = spread;
    s->mhz[at] = read_mhz();
    return status;
}

static hone_status replay_before(ready *r, bench *t, seen *s)
{
    return replay(r, t, s, BEFORE);
}

static hone_status replay_after(ready *r, bench *t, seen *s)
{
    hone_status status = replay(r, t, s, AFTER);
    return status || !s->echo_ns ? status : measure_echo_slope(&r->echo, &s->echo_slope_ns);
}

static hone_status trace(ready *r, bench *t, seen *s)
{
    hone_status status;
    HONE_TRY(measure(r->runnable, t, r->workspace, false, &s->warm_ns));
    HONE_TRY(measure_traced(r->runnable, t, r->workspace, &s->node_ns, &s->node_spread));
    s->mhz[TRACED] = read_mhz();
    status = make_echo(r->runnable, t, r->workspace, s->node_ns, &r->echo, &s->echo_ns);
out:
    return status;
}

static hone_status pair(ready *r, bench *t, seen *s)
{
    int pairs = (PAIRS + shared->n_rounds - 1) / shared->n_rounds;
    hone_status status = measure(r->runnable, t, r->workspace, true, &s->cold_ns);
    for (int i = 0; i < pairs && s->cold_ns >= FLOOR_NS && !status; i++) status = compare_with_itself(r->runnable, t, r->workspace, s);
    return status;
}

static int end_of_part(int first)
{
    int last = first + 1;
    while (last < shared->n && attached != TACTIC &&
           (attached != PROBLEM || shared->tried[last].problem == shared->tried[first].problem)) last++;
    return last;
}

// Where CUPTI still stamps after it has gone, what is replayed after it is left out; and before it comes again it cannot be replayed.
static hone_status look_for_traces(void)
{
    process *r = &shared->rounds[now];
    hone_status status = measure_spacer_again(r);
    if (status || is_clean(r) || attached == ROUND) return status;
    return hone_fail(HONE_DECLINED, "CUPTI left traces: a wait takes %.0f ns after it, %.0f before", r->spacer_after_ns, r->spacer_ns);
}

static hone_status examine_part(int first, int last)
{
    hone_status status;
    HONE_TRY(warm_up());
    each_ready(first, last, replay_before);
    HONE_TRY(timer->probe(device));                  // from here on CUPTI is there
    if (!first) HONE_TRY(measure_empty(&shared->rounds[now]));
    HONE_TRY(warm_up());
    each_ready(first, last, trace);
    each_ready(first, last, pair);
    if (attached == NEVER) goto out;
    HONE_TRY(device->api->sync(device, NULL));
    HONE_TRY(hone_cupti_stop());
    HONE_TRY(warm_up());
    if (!first) HONE_TRY(look_for_traces());
    each_ready(first, last, replay_after);
out:
    return status;
}

static hone_status examine_round(void)
{
    process *r = &shared->rounds[now];
    hone_clocks clocks;
    hone_status status;
    HONE_TRY(hone_device_open(device_name, &device));
    hone_target_print(&device->target, r->device, sizeof r->device);
    snprintf(r->toolchain, sizeof r->toolchain, "%s", device->toolchain);
    timer = hone_timer_find("cupti");
    HONE_TRY(load_waits());
    HONE_TRY(hone_timing_evict(device, NULL));       // its memory is there from now on
    HONE_TRY(make_all_ready());
    HONE_TRY(measure_waits(r));
    for (int first = 0; first < shared->n; first = end_of_part(first)) HONE_TRY(examine_part(first, end_of_part(first)));
    hone_clocks_read(device, &clocks);
    snprintf(r->throttle, sizeof r->throttle, "%s", clocks.throttle);
    r->is_done = true;
out:
    return status;
}

static void clear_round(void)
{
    const waiting *const waits[] = {&spacer, &busy, &empty, &echo};
    if (!device) return;
    for (int i = 0; i < shared->n; i++) forget(&readies[i]);
    for (int k = 0; k < PROBLEMS; k++) clear_bench(device, &benches[k]);
    for (size_t k = 0; k < sizeof waits / sizeof *waits; k++)
        if (waits[k]->module) device->api->unload(device, waits[k]->module);
    hone_device_close(device);
}

// ---- the program: rounds one after another; it never opens the device itself, which does not survive a fork

static void be_round(void)
{
    process *r = &shared->rounds[now];
    alarm((unsigned)(40 + 20 * most));               // CUPTI may hang when it comes or goes
    r->status = examine_round();
    if (r->status) snprintf(r->failed, sizeof r->failed, "%s", hone_error_text());
    alarm(10);
    clear_round();
    fflush(NULL);
    _exit(0);
}

static void run_round(void)
{
    process *r = &shared->rounds[now];
    int64_t begin = hone_clock_ns();
    int how = 0;
    *r = (process){0};
    for (int i = 0; i < shared->n; i++) shared->tried[i].rounds[now] = (seen){0};
    snprintf(r->attached, sizeof r->attached, "%s", attachments[attached]);
    pid_t child = fork();
    if (!child) be_round();
    if (child < 0) snprintf(r->failed, sizeof r->failed, "no process could be made");
    else waitpid(child, &how, 0);
    if (!r->is_done && !*r->failed) snprintf(r->failed, sizeof r->failed, "ended by signal %d", WIFSIGNALED(how) ? WTERMSIG(how) : 0);
    r->seconds = (double)(hone_clock_ns() - begin) / 1e9;
    fprintf(stderr, "round %d, --detach=%s: %.0f s%s%s\n", now, r->attached, r->seconds, *r->failed ? ": " : "", r->failed);
}

// Where CUPTI cannot be detached as wished, the round is repeated, and all after it run, in the next safer way.
static hone_status run_rounds(hone_json *json)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < PROBLEMS; k++) HONE_TRY(draw_bench(&benches[k], problems[k]));
    hone_json_open(json, "given_up", '[');
    for (now = 0; now < shared->n_rounds; now++)
        for (run_round(); !shared->rounds[now].is_done; run_round()) {
            const process *r = &shared->rounds[now];
            if (attached == NEVER || r->status == HONE_NO_DEVICE) {
                status = hone_fail(r->status ? r->status : HONE_INTERNAL, "round %d: %s", now, r->failed);
                goto close;
            }
            hone_json_open(json, NULL, '{');
            hone_json_text(json, "attached", attachments[attached++]);
            hone_json_text(json, "why", r->failed);
            hone_json_close(json, '}');
        }
close:
    hone_json_close(json, ']');
out:
    return status;
}

static const char usage[] =
    "usage: gpu_fidelity [--detach=round|problem|tactic|never] [--no-detach] [--passes=3] [DEVICE [TACTICS [ROUNDS]]]\n"
    "TACTICS (3) of each source and problem; ROUNDS (5) processes, one after another. --detach: CUPTI comes to and leaves a whole round, each problem\n"
    "or each tactic, or stays (--no-detach). --passes over 1, 64 and 512 nodes for each slope.\n";

static bool read_attachment(const char *word)
{
    for (attached = 0; attached < ATTACHMENTS && strcmp(word, attachments[attached]); attached++) {}
    return attached < ATTACHMENTS;
}

static bool read_arguments(int argc, char **argv, int *rounds)
{
    static const struct option options[] = {{"detach", required_argument, NULL, 'd'}, {"no-detach", no_argument, NULL, 'n'},
                                            {"passes", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n') attached = NEVER;
        else if (c == 'p') passes = atoi(optarg);
        else if (c != 'd' || !read_attachment(optarg)) return false;
    }
    if (argc > optind) device_name = argv[optind];
    if (argc > optind + 1) most = atoi(argv[optind + 1]);
    if (argc > optind + 2) *rounds = atoi(argv[optind + 2]);
    return argc <= optind + 3 && most > 0 && passes > 0 && passes <= PASSES_MAX && *rounds > 0 && *rounds <= ROUNDS_MAX;
}

int main(int argc, char **argv)
{
    int rounds = 5;
    hone_text text;
    hone_json json;
    if (!read_arguments(argc, argv, &rounds)) {
        fputs(usage, stderr);
        return hone_status_exit_code(HONE_USAGE);
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return hone_status_exit_code(HONE_NO_MEMORY);
    shared->n_rounds = rounds;
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_status status = run_rounds(&json);
    if (status) hone_json_text(&json, "error", hone_error_text());
    bool holds = print_table(&json, shared, problems, PROBLEMS);
    hone_json_close(&json, '}');
    puts(hone_text_get(&text));
    hone_text_clear(&text);
    for (int k = 0; k < PROBLEMS; k++) clear_bench(NULL, &benches[k]);
    return status ? hone_status_exit_code(status) : !holds;
}
