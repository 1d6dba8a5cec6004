// SPDX-License-Identifier: Apache-2.0
// A candidate's life on the device: valid, compile, prepare, wake, verify, time. Each step either goes on or leaves the verdict.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "profiler/clocks.h"
#include "tuner/worker_priv.h"

#define VERIFY_RUNS 2                  // and once more behind the timed ones
#define KEPT_MAX 65536
#define CLOCKS_EVERY_NS 100000000      // asking NVML takes a millisecond and more
#define SLOW_NS 2e8                    // a run this long needs no warm-up
#define SLOW_BURST_NS 1e9              // and a burst this long has fewer samples

typedef struct trial {
    hone_bench *bench;
    const hone_source *source;
    hone_tactic tactic;
    const char *text;
    const hone_blob *blob;
    hone_runnable *runnable;
    bool awake;
    double run_ns;                     // of the last verifying run, by the host's clock
    hone_answer *answer;
} trial;

// Leaves a verdict with a sentence; false, so that steps write `return fail(...)`.
static bool fail(trial *t, hone_verdict verdict, const char *note)
{
    t->answer->verdict = verdict;
    t->answer->n = 0;
    snprintf(t->answer->note, sizeof t->answer->note, "%s", note);
    return false;
}

// A device that no longer answers takes the process with it.
static bool fail_device(trial *t, hone_status status)
{
    static const struct { hone_status status; hone_verdict verdict; } verdicts[] = {
        {HONE_DECLINED, HONE_VERDICT_UNSUPPORTED}, {HONE_USAGE, HONE_VERDICT_UNSUPPORTED}, {HONE_NO_MEMORY, HONE_VERDICT_WORKSPACE},
    };
    hone_verdict verdict = HONE_VERDICT_LAUNCH;
    for (size_t k = 0; k < sizeof verdicts / sizeof *verdicts; k++)
        if (verdicts[k].status == status) verdict = verdicts[k].verdict;
    fail(t, verdict, hone_error_text());
    hone_device *device = t->bench->device;
    t->answer->leaving = device->api->fill(device, NULL, t->bench->buffers.arena, 0xa5, 1) || device->api->sync(device, NULL);
    return false;
}

static void say(const hone_bench *bench, const char *phase)
{
    bench->phase(bench->phase_user, phase);
}

// ---- the steps

static bool is_valid(trial *t)
{
    const hone_problem *problem = hone_item_problem(t->bench->item);
    if (t->source->valid && t->source->valid(problem, &t->tactic, &t->bench->device->target))
        return fail(t, HONE_VERDICT_UNSUPPORTED, hone_error_text());
    return true;
}

static bool compile(trial *t)
{
    if (!t->source->compile) return true;
    say(t->bench, "compile");
    hone_status status = hone_item_compiled(t->bench->ahead, t->bench->item, t->source, &t->tactic, t->answer->artifact, &t->blob);
    if (status) return fail(t, HONE_VERDICT_COMPILE, hone_error_text());
    t->answer->registers = t->blob->registers;
    return true;
}

static bool prepare(trial *t)
{
    say(t->bench, "prepare");
    hone_status status = t->source->prepare(hone_item_problem(t->bench->item), &t->tactic, t->bench->device, t->blob, &t->runnable);
    if (status) return fail_device(t, status);
    size_t bytes = t->runnable->workspace_bytes;
    int64_t limit = t->bench->options.workspace_limit_bytes;
    char note[128];
    t->answer->workspace_bytes = (int64_t)bytes;
    if (limit < 0 || bytes <= (size_t)limit) return true;
    snprintf(note, sizeof note, "needs %zu bytes of workspace, allowed are %lld", bytes, (long long)limit);
    return fail(t, HONE_VERDICT_WORKSPACE, note);
}

static bool wake(trial *t)
{
    hone_status status = t->runnable->api->wake(t->runnable);
    if (status) return fail_device(t, status);
    t->awake = true;
    status = hone_buffers_take_workspace(&t->bench->buffers, t->runnable->workspace_bytes);
    return status ? fail_device(t, status) : true;
}

// ---- verifying

static bool run_once(trial *t, uint8_t poison)
{
    hone_bench *b = t->bench;
    hone_status status = hone_buffers_poison(&b->buffers, poison);
    if (!status) status = b->device->api->sync(b->device, NULL);
    int64_t start_ns = hone_clock_ns();
    if (!status) status = t->runnable->api->run(t->runnable, NULL, b->buffers.operands, b->buffers.outputs, b->buffers.workspace);
    if (!status) status = b->device->api->sync(b->device, NULL);
    t->run_ns = (double)(hone_clock_ns() - start_ns);
    return status ? fail_device(t, status) : true;
}

static bool check_guards(trial *t)
{
    const char *broken;
    char note[128];
    hone_status status = hone_buffers_check(&t->bench->buffers, &broken);
    if (status) return fail_device(t, status);
    if (!broken) return true;
    snprintf(note, sizeof note, "wrote outside its buffers, beside %s", broken);
    return fail(t, HONE_VERDICT_WRONG, note);
}

// Holds what the device has against the reference. `why` is "" when it is right.
static bool compare(trial *t, bool is_first, char *why)
{
    double error = 0;
    bool is_right = true;
    hone_status status = hone_gauge_compare(&t->bench->gauge, is_first, &error, &is_right, why);
    if (status) return fail_device(t, status);
    if (error > t->answer->error) t->answer->error = error;
    if (is_right) *why = 0;
    return true;
}

// A tactic that was right and then is not, or the other way round, is unstable. Outputs that differ from run to run within the
// tolerance (atomics in another order) are right.
static bool verify(trial *t)
{
    static const uint8_t poisons[VERIFY_RUNS] = {0xff, 0x7b};      // NaN, and a large number, in every float type
    char why[VERIFY_RUNS][256], note[320];
    int right = 0;
    for (int k = 0; k < VERIFY_RUNS; k++) {
        if (!run_once(t, poisons[k]) || !compare(t, k == 0, why[k])) return false;
        right += !*why[k];
    }
    if (!check_guards(t)) return false;
    if (right == VERIFY_RUNS) return true;
    if (right == 0) return fail(t, HONE_VERDICT_WRONG, why[0]);
    snprintf(note, sizeof note, "right in %d of %d runs; otherwise %s", right, VERIFY_RUNS, *why[0] ? why[0] : why[1]);
    return fail(t, HONE_VERDICT_UNSTABLE, note);
}

// Operands, guards and reference as they were laid.
static hone_status lay_anew(hone_bench *b)
{
    hone_status status = hone_buffers_fill(&b->buffers, b->expect->operands);
    return status ? status : hone_gauge_refill(&b->gauge);
}

// What is wrong may have had its operands damaged by the one before: it gets fresh ones before it is blamed.
static bool verify_fairly(trial *t)
{
    hone_bench *b = t->bench;
    say(b, "verify");
    if (verify(t)) return true;
    bool is_doubtful = t->answer->verdict == HONE_VERDICT_WRONG || t->answer->verdict == HONE_VERDICT_UNSTABLE;
    if (!is_doubtful || t->answer->leaving) return false;
    hone_verdict verdict = t->answer->verdict;
    hone_status status = lay_anew(b);
    if (status) return fail_device(t, status);
    t->answer->error = -1;
    if (!verify(t)) return false;
    if (verdict == HONE_VERDICT_UNSTABLE) return fail(t, verdict, "right only when tried again");
    t->answer->verdict = HONE_VERDICT_OK;
    *t->answer->note = 0;
    return true;
}

// ---- timing

// Clocks, temperature and power move slowly: a reading counts for a tenth of a second.
static void read_clocks(hone_bench *b, hone_answer *answer)
{
    int64_t now_ns = hone_clock_ns();
    if (!b->clocks_ns || now_ns - b->clocks_ns > CLOCKS_EVERY_NS) {
        hone_clocks clocks;
        hone_clocks_read(b->device, &clocks);
        b->clocks.clock_mhz = clocks.sm_mhz;
        b->clocks.temperature_c = clocks.temperature_c;
        b->clocks.power_w = clocks.power_w;
        snprintf(b->clocks.throttle, sizeof b->clocks.throttle, "%s", clocks.throttle);
        b->clocks_ns = now_ns;
    }
    answer->clock_mhz = b->clocks.clock_mhz;
    answer->temperature_c = b->clocks.temperature_c;
    answer->power_w = b->clocks.power_w;
    memcpy(answer->throttle, b->clocks.throttle, sizeof answer->throttle);
}

static bool measure(trial *t, int samples)
{
    hone_bench *b = t->bench;
    void *const *operands = b->buffers.operands, *const *outputs = b->buffers.outputs;
    hone_timing_request request = {
        .device = b->device, .runnable = t->runnable, .operand_sets = &operands, .output_sets = &outputs, .n_sets = 1,
        .workspace = b->buffers.workspace, .warmups = t->run_ns < SLOW_NS, .samples = samples, .cold = !b->options.warm,
    };
    if (request.samples > HONE_BURST_MAX) request.samples = HONE_BURST_MAX;
    if (t->run_ns * request.samples > SLOW_BURST_NS) request.samples = (int)fmax(1, SLOW_BURST_NS / t->run_ns);
    say(b, "time");
    read_clocks(b, t->answer);
    hone_status status = hone_timer_measure(b->timer, &request, t->answer->samples_ns);
    if (status == HONE_AGAIN) status = hone_timer_measure(b->timer, &request, t->answer->samples_ns);      // samples were lost
    if (status) return fail_device(t, status);
    for (int k = 0; k < request.samples; k++)
        if (!isfinite(t->answer->samples_ns[k]) || t->answer->samples_ns[k] <= 0) return fail(t, HONE_VERDICT_LAUNCH, "the timer saw nothing run");
    t->answer->n = request.samples;
    return true;
}

// Timed runs are runs: what they leave must be right as well.
static bool verify_again(trial *t)
{
    char why[256], note[320];
    say(t->bench, "verify");
    if (!check_guards(t) || !compare(t, false, why)) return false;
    if (!*why) return true;
    snprintf(note, sizeof note, "right at first, later %s", why);
    return fail(t, HONE_VERDICT_UNSTABLE, note);
}

// ---- the life

static bool find_source(trial *t)
{
    bool is_replay = !hone_source_find(t->tactic.source) || !hone_source_serves(hone_source_find(t->tactic.source), t->bench->device->api->kind);
    for (int k = 0; k < hone_source_count && is_replay; k++)      // a source that plays back the tactics of others
        if (hone_source_serves(hone_sources[k], t->bench->device->api->kind)) t->source = hone_sources[k];
    if (!is_replay) t->source = hone_source_find(t->tactic.source);
    return t->source || fail(t, HONE_VERDICT_UNSUPPORTED, "no source here knows this tactic");
}

static bool begin(trial *t, hone_bench *bench, const char *tactic, hone_answer *answer)
{
    *t = (trial){.bench = bench, .text = tactic, .answer = answer};
    hone_answer_init(answer);
    if (hone_tactic_parse(tactic, &t->tactic)) return fail(t, HONE_VERDICT_UNSUPPORTED, hone_error_text());
    return find_source(t);
}

static void discard(hone_runnable *runnable, bool awake)
{
    if (!runnable) return;
    if (awake && runnable->api->sleep) runnable->api->sleep(runnable);
    runnable->api->free(runnable);
}

static bool keep(trial *t)
{
    hone_bench *b = t->bench;
    if (hone_grow(&b->kept, b->n_kept, &b->kept_capacity, sizeof *b->kept, KEPT_MAX)) return false;
    snprintf(b->kept[b->n_kept].tactic, sizeof b->kept[b->n_kept].tactic, "%s", t->text);
    b->kept[b->n_kept].is_proved = false;
    b->kept[b->n_kept].run_ns = t->run_ns;
    b->kept[b->n_kept++].runnable = t->runnable;
    t->runnable = NULL;
    return true;
}

void hone_bench_try(hone_bench *bench, const char *tactic, int samples, hone_answer *answer)
{
    trial t;
    bool good = begin(&t, bench, tactic, answer) && is_valid(&t) && compile(&t) && prepare(&t) && wake(&t) && verify_fairly(&t) &&
                measure(&t, samples) && verify_again(&t);
    if (good) hone_gauge_adopt(&bench->gauge);
    if (good) keep(&t);
    // What is wrong may have written anywhere: those who follow get fresh operands and guards.
    bool has_written = answer->verdict == HONE_VERDICT_WRONG || answer->verdict == HONE_VERDICT_UNSTABLE || answer->verdict == HONE_VERDICT_LAUNCH;
    if (has_written && !answer->leaving) answer->leaving = lay_anew(bench) != HONE_OK;
    if (!answer->leaving) discard(t.runnable, t.awake);
}

static hone_kept *find_kept(hone_bench *bench, const char *tactic)
{
    for (size_t k = 0; k < bench->n_kept; k++)
        if (!strcmp(bench->kept[k].tactic, tactic)) return &bench->kept[k];
    return NULL;
}

// The first further burst must have left what is right, too; later ones cost no comparison.
static void prove(trial *t, hone_kept *kept)
{
    double error = 0;
    bool is_right = true;
    char why[256] = "";
    if (kept->is_proved) return;
    say(t->bench, "verify");
    hone_status status = hone_gauge_compare(&t->bench->gauge, true, &error, &is_right, why);
    t->answer->error = error;
    kept->is_proved = is_right;
    if (status) fail_device(t, status);
    else if (!is_right) fail(t, HONE_VERDICT_UNSTABLE, why);
}

// Further samples of a tactic that was right.
void hone_bench_more(hone_bench *bench, const char *tactic, int samples, hone_answer *answer)
{
    trial t = {.bench = bench, .text = tactic, .answer = answer};
    hone_kept *kept = find_kept(bench, tactic);
    hone_answer_init(answer);
    if (!kept) {
        fail(&t, HONE_VERDICT_UNSUPPORTED, "this tactic was not tried before");
        return;
    }
    t.runnable = kept->runnable;
    t.run_ns = kept->run_ns;
    answer->workspace_bytes = (int64_t)t.runnable->workspace_bytes;
    answer->error = 0;
    hone_status status = hone_buffers_take_workspace(&bench->buffers, t.runnable->workspace_bytes);
    if (status) fail_device(&t, status);
    else if (measure(&t, samples)) prove(&t, kept);
}

// ---- the launch gap: what a node of a captured graph takes, its kernel included. CUPTI must not have been started in this process:
// it stamps every node of a graph.

#define GAP_ROUNDS 15
#define GAP_SIZES 3
static const int gap_nodes[GAP_SIZES] = {1, 64, 512};
enum { EVENT_BEGIN, EVENT_END };

static hone_status capture_nodes(trial *t, int n, hone_captured **captured)
{
    hone_bench *b = t->bench;
    hone_device *device = b->device;
    hone_status status = device->api->capture(device, NULL, true, NULL);
    if (status) return status;
    for (int k = 0; k < n && !status; k++)
        status = t->runnable->api->run(t->runnable, NULL, b->buffers.operands, b->buffers.outputs, b->buffers.workspace);
    hone_status ended = device->api->capture(device, NULL, false, captured);
    return status ? status : ended;
}

static hone_status time_replay(hone_device *device, hone_captured *captured, double *ns)
{
    hone_status status = HONE_OK;
    HONE_TRY(device->api->record(device, NULL, EVENT_BEGIN));
    HONE_TRY(device->api->replay(device, NULL, captured, false));
    HONE_TRY(device->api->record(device, NULL, EVENT_END));
    HONE_TRY(device->api->sync(device, NULL));
    HONE_TRY(device->api->elapsed(device, EVENT_BEGIN, EVENT_END, ns));
out:
    return status;
}

static double slope(const double ns[GAP_SIZES])
{
    double mean_n = 0, mean_ns = 0, up = 0, down = 0;
    for (int k = 0; k < GAP_SIZES; k++) mean_n += gap_nodes[k] / (double)GAP_SIZES, mean_ns += ns[k] / GAP_SIZES;
    for (int k = 0; k < GAP_SIZES; k++) {
        up += (gap_nodes[k] - mean_n) * (ns[k] - mean_ns);
        down += (gap_nodes[k] - mean_n) * (gap_nodes[k] - mean_n);
    }
    return up / down;
}

static hone_status time_slopes(trial *t, double slopes[GAP_ROUNDS])
{
    hone_device *device = t->bench->device;
    hone_captured *captured[GAP_SIZES] = {NULL};
    double ns[GAP_SIZES];
    hone_status status = HONE_OK;
    for (int k = 0; k < GAP_SIZES; k++) HONE_TRY(capture_nodes(t, gap_nodes[k], &captured[k]));
    for (int round = -1; round < GAP_ROUNDS; round++) {      // the first round warms up
        for (int k = 0; k < GAP_SIZES; k++) HONE_TRY(time_replay(device, captured[k], &ns[k]));
        if (round >= 0) slopes[round] = slope(ns);
    }
out:
    for (int k = 0; k < GAP_SIZES; k++)
        if (captured[k]) (void)device->api->replay(device, NULL, captured[k], true);
    return status;
}

void hone_bench_gap(hone_bench *bench, const char *tactic, hone_answer *answer)
{
    trial t = {.bench = bench, .text = tactic, .answer = answer};
    hone_kept *kept = find_kept(bench, tactic);
    hone_answer_init(answer);
    if (!kept) {
        fail(&t, HONE_VERDICT_UNSUPPORTED, "this tactic was not tried before");
        return;
    }
    t.runnable = kept->runnable;
    answer->error = 0;
    hone_status status = hone_buffers_take_workspace(&bench->buffers, t.runnable->workspace_bytes);
    if (!status) status = time_slopes(&t, answer->samples_ns);
    if (status) {
        fail_device(&t, status);
        return;
    }
    read_clocks(bench, answer);
    answer->n = GAP_ROUNDS;
    for (int k = 0; k < GAP_ROUNDS; k++)
        if (!(answer->samples_ns[k] > 0)) fail(&t, HONE_VERDICT_UNSUPPORTED, "more nodes of a graph take no more time");
}

void hone_bench_drop(hone_bench *bench, const char *tactic)
{
    hone_kept *kept = find_kept(bench, tactic);
    if (!kept) return;
    discard(kept->runnable, true);
    *kept = bench->kept[--bench->n_kept];
}

// ---- problems

hone_status hone_bench_begin(hone_bench *bench, hone_item *item)
{
    say(bench, "reference");
    hone_status status = hone_item_expect(bench->ahead, item, &bench->expect);
    const hone_problem *problem = hone_item_problem(item);
    bench->item = item;
    HONE_TRY(status);
    say(bench, "lay");
    HONE_TRY(hone_buffers_lay(&bench->buffers, problem));
    HONE_TRY(hone_buffers_fill(&bench->buffers, bench->expect->operands));
    HONE_TRY(hone_gauge_begin(&bench->gauge, bench->expect));
out:
    return status;
}

void hone_bench_end(hone_bench *bench)
{
    while (bench->n_kept) discard(bench->kept[--bench->n_kept].runnable, true);
    hone_gauge_end(&bench->gauge);
    bench->item = NULL;
    bench->expect = NULL;
}
