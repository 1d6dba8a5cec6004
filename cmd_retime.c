// SPDX-License-Identifier: Apache-2.0
// hone retime: the tactics that are close in single launches, compared inside the network they are for. Neighbours share caches and
// overlap, so the fastest alone is not always the fastest there.
//
// For each problem of the plan, the most costly first, the plan is built again with another tactic for all steps of that problem, and whole
// inferences of both are timed in turn. What differs between two plans is those steps, so the difference, spread over them, is how much
// longer a step takes. Who is faster beyond doubt stands in the plan from then on. Before that, own kernels stand in for all of the libraries'
// at once. The times go into the database under the network's own mode, where `hone build` finds them.
#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/thread.h"
#include "cmd.h"
#include "cmd_options.h"
#include "cmd_run.h"
#include "engine/build.h"
#include "kernels/source.h"
#include "profiler/clocks.h"
#include "profiler/stats.h"
#include "tuner/artifact.h"
#include "tuner/retime_order.h"

// Four blocks a round, A B B A or B A A B. A difference of less than a thousandth of the inference is not looked for longer.
enum { BLOCK = 5, ROUNDS_LEAST = 2, ROUNDS_MOST = 10, SAMPLES = ROUNDS_MOST * 2 * BLOCK, RIVALS_MAX = 6, RESAMPLES = 1000, KEY_LANES = 256,
       KEY_TIME, KEY_SEED, KEY_MARGIN, KEY_BUSY };
#define CLOSE 0.001
#define OWN_MARGIN 1.4                 // own kernels that alone are at most this much slower than a library's stand in for it when all do

typedef struct stage {                 // a plan, ready to run
    hone_plan *plan;                   // owned, as all here
    hone_engine *engine;
    hone_exec *exec;
} stage;

typedef struct target {                // a problem of the plan, with all its steps
    char *problem;                     // owned
    int steps, step;                   // how many; the first
    double cost_ns;                    // all together, predicted
    double step_ns;                    // one of them, by what was compared here; 0: nothing was
} target;

typedef struct request {
    const char *model;
    hone_cmd_network network;
    hone_layers layers;
    int lanes;
    bool busy;
    double time_s, margin_percent;
    int64_t seed;
    char command[2048];
    // What comes of it.
    hone_store *store;
    hone_device *opened;
    hone_graph *graph;
    hone_build_options build;
    hone_pin *pins;                    // every problem with its tactic of now, so that what is written meanwhile moves nothing; and the rival. Texts borrowed
    int n_pins;                        // without the rival
    hone_run_data data;
    hone_id run;
    char spelling[256], name[256], mode[HONE_NETWORK_MODE];
    stage best;
    int rounds, compared, adopted, refused;
} request;

static const struct argp_option options[] = {
    {"lanes", KEY_LANES, "N", 0, "As for build (default: 1 on a CPU, else 4)", 0},
    {"margin", KEY_MARGIN, "PERCENT", 0, "Compare tactics at most this much slower than the fastest in single launches (default 20)", 0},
    {"time", KEY_TIME, "SECONDS", 0, "Stop then; what was compared is kept (default 60)", 0},
    {"seed", KEY_SEED, "N", 0, "Of inputs and orders (default: a new one, recorded)", 0},
    {"busy", KEY_BUSY, 0, 0, "Compare although other work, or MPS, disturbs the device's times", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    int64_t lanes;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &asked->network;
        state->child_inputs[1] = &asked->layers;
        return 0;
    case ARGP_KEY_ARG:
        if (asked->model) argp_error(state, "one MODEL.onnx at a time");
        return asked->model = argument, 0;
    case KEY_LANES:
        if (!hone_cmd_int(argument, 1, 16, &lanes)) argp_error(state, "--lanes wants a number from 1 to 16, not '%s'", argument);
        return asked->lanes = (int)lanes, 0;
    case KEY_BUSY: return asked->busy = true, 0;
    case KEY_TIME:
        if (!hone_cmd_real(argument, 0, 86400, &asked->time_s)) argp_error(state, "--time wants seconds up to 86400, not '%s'", argument);
        return 0;
    case KEY_MARGIN:
        if (!hone_cmd_real(argument, 0, 1e6, &asked->margin_percent)) argp_error(state, "--margin wants a percentage, not '%s'", argument);
        return 0;
    case KEY_SEED:
        if (!hone_cmd_int(argument, 0, INT64_MAX, &asked->seed)) argp_error(state, "--seed wants a number, not '%s'", argument);
        return 0;
    case ARGP_KEY_END:
        if (!asked->model) argp_error(state, "a MODEL.onnx is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- plans made ready

static void clear_stage(stage *s)
{
    hone_exec_free(s->exec);
    hone_engine_free(s->engine);
    hone_plan_free(s->plan);
    *s = (stage){NULL, NULL, NULL};
}

static hone_status build(request *asked, int n_pins, hone_plan **plan)
{
    hone_text missing;
    hone_text_init(&missing);
    asked->build.pins = asked->pins;
    asked->build.n_pins = n_pins;
    hone_store_begin_read(asked->store);
    hone_status status = hone_build(asked->graph, asked->store, &asked->build, asked->name, &missing, plan);
    hone_store_end_read(asked->store);
    if (status == HONE_MISS) status = hone_fail(HONE_MISS, "the database lacks problems of %s here: tune it first (hone tune %s)", asked->name, asked->model);
    hone_text_clear(&missing);
    return status;
}

static hone_status make_stage(request *asked, int n_pins, stage *made)
{
    hone_status status;
    HONE_TRY(build(asked, n_pins, &made->plan));
    status = hone_engine_new(made->plan, asked->opened, false, &made->engine);
out:
    if (status != HONE_OK) clear_stage(made);
    return status;
}

static hone_status start_stage(request *asked, stage *made)
{
    hone_status status;
    HONE_TRY(hone_exec_new(made->engine, NULL, &made->exec));
    if (!asked->data.inputs) HONE_TRY(hone_run_data_make(made->plan, NULL, 0, (uint64_t)asked->seed, &asked->data));
    HONE_TRY(hone_run_set_inputs(made->exec, made->plan, &asked->data));
    status = hone_exec_sync(made->exec);
out:
    return status;
}

// ---- comparing

typedef struct comparison {
    double a[SAMPLES], b[SAMPLES];     // whole inferences: as they were, and with the rival
    int n;                             // of each
    double low, high;                  // interval of b / a
} comparison;

static bool is_decided(comparison *c, uint64_t seed)
{
    hone_stats_ratio_interval(c->b, (size_t)c->n, c->a, (size_t)c->n, 0.95, RESAMPLES, seed, &c->low, &c->high);
    return c->low > 1 || c->high < 1 || (c->low > 1 - CLOSE && c->high < 1 + CLOSE);
}

static hone_status time_round(comparison *c, hone_exec *a, hone_exec *b, bool b_first)
{
    for (int k = 0; k < 4; k++) {
        bool is_b = b_first ? k == 0 || k == 3 : k == 1 || k == 2;
        double *to = (is_b ? c->b : c->a) + c->n + (k >= 2 ? BLOCK : 0);
        hone_status status = hone_exec_time(is_b ? b : a, BLOCK, to);
        if (status != HONE_OK) return status;
    }
    c->n += 2 * BLOCK;
    return HONE_OK;
}

static hone_status compare(request *asked, hone_exec *rival, comparison *c)
{
    double warm[BLOCK];
    hone_status status;
    c->n = 0;
    HONE_TRY(hone_exec_time(asked->best.exec, BLOCK, warm));
    HONE_TRY(hone_exec_time(rival, BLOCK, warm));
    for (int round = 0; round < ROUNDS_MOST; round++) {
        HONE_TRY(time_round(c, asked->best.exec, rival, hone_rng_bits((uint64_t)asked->seed, 0, (uint64_t)asked->rounds++) & 1));
        if (is_decided(c, (uint64_t)asked->seed) && round + 1 >= ROUNDS_LEAST) break;
    }
out:
    return status;
}

// ---- remembering

// What a step takes inside the network: what the step of the plan so far takes, and its share of how much longer the whole is.
static void shares(const double *whole, int n, double middle, double step_ns, int steps, double *to)
{
    for (int k = 0; k < n; k++) to[k] = fmax(1, step_ns + (whole[k] - middle) / steps);
}

static hone_status remember(request *asked, const target *t, const hone_ranked *who, double error, const double *samples, int n)
{
    hone_clocks clocks;
    hone_clocks_read(asked->opened, &clocks);
    size_t count = (size_t)n;
    hone_measurement row = {
        .run = asked->run, .device = asked->spelling, .toolchain = asked->opened->toolchain, .depends = who->depends, .problem = t->problem,
        .tactic = who->tactic, .mode = asked->mode, .verdict = n ? HONE_VERDICT_OK : HONE_VERDICT_WRONG, .timer = !n ? "" : asked->opened->target.cc ? "event" : "cpu",
        .median_ns = n ? hone_stats_median(samples, count) : 0, .mad_ns = n ? hone_stats_mad(samples, count) : 0, .min_ns = n ? hone_stats_min(samples, count) : 0,
        .workspace_bytes = who->workspace_bytes, .error = error, .clock_mhz = clocks.sm_mhz, .temperature_c = clocks.temperature_c, .power_w = clocks.power_w,
        .throttle = clocks.throttle, .registers = -1, .artifact = who->artifact ? who->artifact : "",
        .note = n ? "from whole inferences" : hone_error_text(), .samples_ns = samples, .sample_count = count,
    };
    return hone_store_put_measurement(asked->store, &row, NULL);
}

// ---- one problem

typedef struct contest {
    target *target;
    hone_ranked now;                   // what the plan has
    double error, step_ns;             // of it; what its step takes
    comparison last;
} contest;

static void adopt(request *asked, contest *c, const hone_ranked *rival, double error, double step_ns, stage *made)
{
    for (int k = 0; k < asked->n_pins; k++)
        if (!strcmp(asked->pins[k].layer, c->target->problem)) asked->pins[k].tactic = rival->tactic;
    asked->adopted++;
    clear_stage(&asked->best);
    asked->best = *made;
    *made = (stage){NULL, NULL, NULL};
    c->now = *rival;
    c->error = error;
    c->step_ns = c->target->step_ns = step_ns;
}

static hone_status judge(request *asked, contest *c, const hone_ranked *rival, double error, stage *made)
{
    double samples[SAMPLES], middle;
    const comparison *l = &c->last;
    hone_status status;
    HONE_TRY(compare(asked, made->exec, &c->last));
    middle = hone_stats_median(l->a, (size_t)l->n);
    shares(l->a, l->n, middle, c->step_ns, c->target->steps, samples);
    HONE_TRY(remember(asked, c->target, &c->now, c->error, samples, l->n));
    shares(l->b, l->n, middle, c->step_ns, c->target->steps, samples);
    HONE_TRY(remember(asked, c->target, rival, error, samples, l->n));
    asked->compared++;
    printf("%s  %.4f ms -> %.4f ms, ratio %.4f to %.4f: %s\n    %s\n    instead of %s\n", l->high < 1 ? "+" : " ", middle / 1e6,
           hone_stats_median(l->b, (size_t)l->n) / 1e6, l->low, l->high, l->high < 1 ? "taken" : "left", rival->tactic, c->now.tactic);
    if (l->high < 1) adopt(asked, c, rival, error, hone_stats_median(samples, (size_t)l->n), made);
out:
    return status;
}

// Tuning keeps the code of the fastest few alone.
static hone_status provide_code(request *asked, const char *spelling, const hone_ranked *line)
{
    hone_tactic tactic;
    hone_status status = HONE_OK;
    const hone_source *source = hone_source_of(line->tactic);
    if (!line->artifact || !*line->artifact) return HONE_OK;
    if (!source) return hone_fail(HONE_DECLINED, "this hone has no source of %s", line->tactic);
    hone_problem *problem = hone_alloc(sizeof *problem);
    if (!problem) return HONE_NO_MEMORY;
    HONE_TRY(hone_problem_parse(spelling, problem));
    HONE_TRY(hone_tactic_parse(line->tactic, &tactic));
    status = hone_artifact_provide(asked->store, source, problem, &tactic, &asked->opened->target, line->artifact);
out:
    hone_free(problem);
    return status;
}

// A rival that cannot be had, or is wrong, is told of and left out.
static hone_status try_rival(request *asked, contest *c, const hone_ranked *rival)
{
    stage made = {NULL, NULL, NULL};
    double error = -1;
    asked->pins[asked->n_pins] = (hone_pin){c->target->problem, rival->tactic};
    hone_status status = provide_code(asked, c->target->problem, rival);
    if (status == HONE_OK) status = make_stage(asked, asked->n_pins + 1, &made);
    if (status == HONE_OK) status = hone_engine_verify_step(made.engine, c->target->step, (uint64_t)asked->seed, hone_cpu_count(), &error);
    if (status == HONE_NUMERIC) (void)remember(asked, c->target, rival, error, NULL, 0);
    if (status != HONE_OK && status != HONE_NO_MEMORY) {
        printf("   left out: %s: %s\n", rival->tactic, hone_error_text());
        asked->refused++;
        clear_stage(&made);
        return HONE_OK;
    }
    if (status == HONE_OK) status = start_stage(asked, &made);
    if (status == HONE_OK) status = judge(asked, c, rival, error, &made);
    clear_stage(&made);
    return status;
}

// Texts of a ranking live until the next question; contests ask some.
static hone_status keep_text(hone_arena *arena, hone_ranked *line)
{
    const char **texts[] = {&line->tactic, &line->artifact, &line->depends, &line->mode};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (!(*texts[k] = hone_arena_strdup(arena, *texts[k] ? *texts[k] : ""))) return HONE_NO_MEMORY;
    return HONE_OK;
}

static hone_status contest_problem(request *asked, target *t, hone_arena *arena, int64_t deadline_ns)
{
    hone_question question = {.device = asked->spelling, .toolchain = asked->opened->toolchain, .problem = t->problem, .mode = ""};
    const char *chosen = asked->best.plan->steps[t->step].tactic;
    hone_ranked *ranked = NULL;
    hone_space *spaces = NULL;
    size_t n = 0, all;
    contest c = {.target = t};
    hone_status status;
    HONE_TRY(hone_store_rank(asked->store, &question, &ranked, &n));
    all = n;
    while (n && ranked[n - 1].median_ns > ranked[0].median_ns * (1 + asked->margin_percent / 100)) n--;
    HONE_TRY(hone_retime_ask(asked->opened, t->problem, &spaces));
    n = hone_retime_order(t->problem, spaces, (size_t)hone_source_count, ranked, all, n);
    for (size_t k = 0; k < n; k++) {
        HONE_TRY(keep_text(arena, &ranked[k]));
        if (!strcmp(ranked[k].tactic, chosen)) c.now = ranked[k];
    }
    if (!c.now.tactic) goto out;
    chosen = c.now.tactic;
    c.step_ns = t->step_ns > 0 ? t->step_ns : c.now.median_ns;
    HONE_TRY(hone_engine_verify_step(asked->best.engine, t->step, (uint64_t)asked->seed, hone_cpu_count(), &c.error));
    for (size_t k = 0, rivals = 0; k < n && rivals < RIVALS_MAX && hone_clock_ns() < deadline_ns; k++) {
        if (!strcmp(ranked[k].tactic, chosen)) continue;
        HONE_TRY(try_rival(asked, &c, &ranked[k]));
        rivals++;
    }
out:
    hone_retime_forget(spaces);
    hone_free(ranked);
    return status;
}

// ---- all libraries at once: own kernels begin while what is ahead still runs, which one between two of a library gains little by

typedef struct change {                // one problem of those that change together
    target *target;
    hone_pin *pin;
    hone_ranked now, own;
    double now_error, own_error;
} change;

static bool is_own(const char *tactic)
{
    const hone_source *source = hone_source_of(tactic);
    return source && (source->compile || !*source->depends);
}

// Whether a library's tactic stands in the plan here, and own.tactic is set: what would stand in for it.
static hone_status find_change(request *asked, hone_arena *arena, change *c)
{
    hone_question question = {.device = asked->spelling, .toolchain = asked->opened->toolchain, .problem = c->target->problem, .mode = ""};
    hone_ranked *ranked = NULL;
    size_t n = 0;
    double margin = fmax(OWN_MARGIN, 1 + asked->margin_percent / 100);
    hone_status status = HONE_OK;
    if (is_own(c->pin->tactic)) return HONE_OK;
    HONE_TRY(hone_store_rank(asked->store, &question, &ranked, &n));
    for (size_t k = 0; k < n && ranked[k].median_ns <= ranked[0].median_ns * margin; k++) {
        HONE_TRY(keep_text(arena, &ranked[k]));
        if (!strcmp(ranked[k].tactic, c->pin->tactic)) c->now = ranked[k];
        else if (!c->own.tactic && is_own(ranked[k].tactic)) c->own = ranked[k];
    }
    if (!c->now.tactic) c->own.tactic = NULL;
out:
    hone_free(ranked);
    return status;
}

static hone_status verify_changes(request *asked, const stage *made, change *changes, int n)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < n; k++) {
        HONE_TRY(hone_engine_verify_step(asked->best.engine, changes[k].target->step, (uint64_t)asked->seed, hone_cpu_count(), &changes[k].now_error));
        HONE_TRY(hone_engine_verify_step(made->engine, changes[k].target->step, (uint64_t)asked->seed, hone_cpu_count(), &changes[k].own_error));
    }
out:
    return status;
}

// Each changed step gets the same share of the difference.
static hone_status remember_changes(request *asked, const comparison *l, change *changes, int n)
{
    double samples[SAMPLES], middle = hone_stats_median(l->a, (size_t)l->n);
    int steps = 0;
    hone_status status = HONE_OK;
    for (int k = 0; k < n; k++) steps += changes[k].target->steps;
    for (int k = 0; k < n; k++) {
        change *c = &changes[k];
        shares(l->a, l->n, middle, c->now.median_ns, steps, samples);
        HONE_TRY(remember(asked, c->target, &c->now, c->now_error, samples, l->n));
        c->target->step_ns = c->now.median_ns;
        shares(l->b, l->n, middle, c->now.median_ns, steps, samples);
        HONE_TRY(remember(asked, c->target, &c->own, c->own_error, samples, l->n));
        if (l->high < 1) c->target->step_ns = hone_stats_median(samples, (size_t)l->n);
    }
    printf("%s  %.4f ms -> %.4f ms, ratio %.4f to %.4f: %s\n    own kernels instead of libraries' in %d problems, %d steps\n", l->high < 1 ? "+" : " ", middle / 1e6,
           hone_stats_median(l->b, (size_t)l->n) / 1e6, l->low, l->high, l->high < 1 ? "taken" : "left", n, steps);
out:
    return status;
}

static hone_status judge_changes(request *asked, change *changes, int n)
{
    stage made = {NULL, NULL, NULL};
    comparison last;
    bool taken = false;
    hone_status status;
    for (int k = 0; k < n; k++) {
        changes[k].pin->tactic = changes[k].own.tactic;
        HONE_TRY(provide_code(asked, changes[k].target->problem, &changes[k].own));
    }
    HONE_TRY(make_stage(asked, asked->n_pins, &made));
    HONE_TRY(verify_changes(asked, &made, changes, n));
    HONE_TRY(start_stage(asked, &made));
    HONE_TRY(compare(asked, made.exec, &last));
    HONE_TRY(remember_changes(asked, &last, changes, n));
    asked->compared++;
    taken = last.high < 1;
    if (taken) {
        stage before = asked->best;
        asked->best = made;
        made = before;
        asked->adopted++;
    }
out:
    for (int k = 0; k < n && !taken; k++) changes[k].pin->tactic = changes[k].now.tactic;
    clear_stage(&made);
    return status;
}

// One that is wrong, or cannot be had, leaves the plan as it is: problem by problem it is told which.
static hone_status contest_libraries(request *asked, target *targets, int n, hone_arena *arena)
{
    change *changes = hone_calloc((size_t)n + 1, sizeof *changes);
    int n_changes = 0;
    hone_status status = changes ? HONE_OK : HONE_NO_MEMORY;
    for (int k = 0; k < n && status == HONE_OK; k++) {
        changes[n_changes] = (change){.target = &targets[k], .pin = &asked->pins[k]};
        status = find_change(asked, arena, &changes[n_changes]);
        n_changes += changes[n_changes].own.tactic != NULL;
    }
    if (status == HONE_OK && n_changes > 1) status = judge_changes(asked, changes, n_changes);
    if (status != HONE_OK && status != HONE_NO_MEMORY) {
        printf("   left out: own kernels in place of all libraries': %s\n", hone_error_text());
        status = HONE_OK;
    }
    hone_free(changes);
    return status;
}

// ---- all of them

static int by_cost(const void *a, const void *b)
{
    const target *x = a, *y = b;
    if (x->cost_ns != y->cost_ns) return x->cost_ns < y->cost_ns ? 1 : -1;
    return strcmp(x->problem, y->problem);
}

static hone_status list_targets(const hone_plan *plan, target *targets, int *n)
{
    *n = 0;
    for (int s = 0; s < plan->n_steps; s++) {
        int k = 0;
        while (k < *n && strcmp(targets[k].problem, plan->steps[s].problem)) k++;
        if (k == *n) {
            targets[(*n)++] = (target){.problem = hone_strdup(plan->steps[s].problem), .step = s};
            if (!targets[k].problem) return HONE_NO_MEMORY;
        }
        targets[k].steps++;
        targets[k].cost_ns += plan->steps[s].predicted_ns;
    }
    qsort(targets, (size_t)*n, sizeof *targets, by_cost);
    return HONE_OK;
}

static hone_status contest_all(request *asked)
{
    int64_t deadline_ns = hone_clock_ns() + (int64_t)(asked->time_s * 1e9);
    size_t steps = (size_t)asked->best.plan->n_steps;
    hone_arena *arena = hone_arena_new((size_t)64 << 20);
    target *targets = hone_calloc(steps + 1, sizeof *targets);
    asked->pins = hone_calloc(steps + 1, sizeof *asked->pins);
    int n = 0, done = 0;
    hone_status status = arena && targets && asked->pins ? HONE_OK : HONE_NO_MEMORY;
    if (status != HONE_OK) goto out;
    HONE_TRY(list_targets(asked->best.plan, targets, &n));
    for (; asked->n_pins < n; asked->n_pins++) {
        const target *t = &targets[asked->n_pins];
        asked->pins[asked->n_pins] = (hone_pin){t->problem, hone_arena_strdup(arena, asked->best.plan->steps[t->step].tactic)};
        if (!asked->pins[asked->n_pins].tactic) status = HONE_NO_MEMORY;
    }
    if (status == HONE_OK) status = contest_libraries(asked, targets, n, arena);
    for (; status == HONE_OK && done < n && hone_clock_ns() < deadline_ns; done++) HONE_TRY(contest_problem(asked, &targets[done], arena, deadline_ns));
    printf("%d of %d problems looked at: %d comparisons, %d tactics taken, %d left out\n", done, n, asked->compared, asked->adopted, asked->refused);
out:
    for (int k = 0; k < n; k++) hone_free(targets[k].problem);
    hone_free(targets);
    hone_arena_free(arena);
    return status;
}

static hone_status prepare(request *asked)
{
    hone_id structure;
    hone_status status;
    HONE_TRY(hone_precision_set_parse(asked->network.precision, &asked->build.precisions));
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_CREATE, &asked->store));
    HONE_TRY(hone_device_open(asked->network.device, &asked->opened));
    if (!asked->busy) HONE_TRY(hone_clocks_check_idle(asked->opened));
    HONE_TRY(hone_cmd_import(asked->model, asked->network.shapes, &asked->graph));
    hone_target_print(&asked->opened->target, asked->spelling, sizeof asked->spelling);
    hone_cmd_network_name(asked->model, asked->name);
    asked->build.device = asked->spelling;
    asked->build.toolchain = asked->opened->toolchain;
    asked->build.strict = true;
    asked->build.workspace_limit_bytes = -1;
    asked->build.lanes = asked->lanes ? asked->lanes : strcmp(asked->opened->target.kind, "cpu") ? 4 : 1;
    HONE_TRY(hone_graph_structure(asked->graph, &structure));
    hone_network_mode(&structure, asked->spelling, &asked->build.precisions, asked->mode);
    HONE_TRY(make_stage(asked, 0, &asked->best));
    status = start_stage(asked, &asked->best);
out:
    return status;
}

static hone_status begin_run(request *asked)
{
    hone_key key = {0};
    hone_run run = {.start_unix_ms = hone_clock_unix_ms(), .options = asked->command, .seed = (uint64_t)asked->seed, .effort = "full", .writer = key.writer,
                    .sequence = -1, .private_host = "", .private_gpu_uuid = asked->opened->uuid};
    hone_status status = hone_cmd_find_writer(asked->store, &key);
    if (status == HONE_OK) status = hone_store_put_run(asked->store, &run, &asked->run);
    hone_key_clear(&key);
    return status;
}

static void clear(request *asked)
{
    if (asked->best.plan) hone_run_data_clear(asked->best.plan, &asked->data);
    clear_stage(&asked->best);
    hone_free(asked->pins);
    hone_graph_free(asked->graph);
    hone_device_close(asked->opened);
    hone_store_close(asked->store);
    hone_free(asked);
}

int hone_cmd_retime(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "MODEL.onnx", "Compares close tactics inside the network they are for.", hone_cmd_network_children, 0, 0};
    request *asked = hone_calloc(1, sizeof *asked);
    if (!asked) return hone_cmd_fail(HONE_NO_MEMORY);
    asked->network.device = "cpu";
    asked->network.precision = "fp32";
    asked->time_s = 60;
    asked->margin_percent = 20;
    asked->seed = -1;
    for (int k = 0, used = 0; k < argc && used < (int)sizeof asked->command; k++)
        used += snprintf(asked->command + used, sizeof asked->command - (size_t)used, "%s%s", k ? " " : "", argv[k]);
    argv[0] = "hone retime";
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, asked);
    if (asked->seed < 0 && getrandom(&asked->seed, sizeof asked->seed, 0) > 0) asked->seed &= INT64_MAX;
    hone_status status = prepare(asked);
    if (status == HONE_OK) status = begin_run(asked);
    if (status == HONE_OK) status = contest_all(asked);
    int code = status == HONE_OK ? 0 : hone_cmd_fail(status);
    clear(asked);
    return code;
}
