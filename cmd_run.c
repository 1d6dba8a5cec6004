// SPDX-License-Identifier: Apache-2.0
// hone run: a plan on a device, timed, profiled step by step, held against the reference.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "cmd.h"
#include "cmd_run.h"

enum {
    SLOTS_MAX = 64, PROFILE_REPEATS = 10, KEY_DEVICE = 256, KEY_INPUT, KEY_OUTPUT, KEY_ITERATIONS, KEY_WARM_UP, KEY_DURATION, KEY_LANES, KEY_NO_GRAPH, KEY_NO_DEPENDENT,
    KEY_PROFILE, KEY_CHECK, KEY_SHAPES, KEY_TOLERANCE, KEY_SEED, KEY_SLOTS, KEY_TRANSFERS, KEY_VERIFY, KEY_OTHER, KEY_JSON
};

typedef struct request {
    const char *plan, *device, *check, *shapes;
    const char *inputs[HONE_RUN_FILES_MAX], *outputs[HONE_RUN_FILES_MAX];
    int n_inputs, n_outputs, slots;
    hone_exec_options exec;
    hone_run_loop loop;
    bool has_iterations, has_duration, profile, verify, other_versions, json;
    double tolerance;              // 0: by the plan's precision
    int64_t seed;
} request;

static const struct argp_option options[] = {
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0 ... (default: the first of the plan's kind)", 0},
    {"input", KEY_INPUT, "NAME=FILE", 0, "An input from a .npy or .pb file; the others are random (integers 0 or 1)", 0},
    {"output", KEY_OUTPUT, "PLACE", 0, "NAME=FILE.npy, or a folder for all outputs (out-NAME.npy)", 0},
    {"iterations", KEY_ITERATIONS, "N", 0, "At least this many timed inferences (default 10)", 0},
    {"duration", KEY_DURATION, "SECONDS", 0, "Time for at least this long (default 3; 0 when --iterations, --output, --check or --profile is given)", 0},
    {"warmUp", KEY_WARM_UP, "MS", 0, "Run for this long before timing (default 200)", 0},
    {"lanes", KEY_LANES, "N", 0, "Most streams of a slot (default: as the plan says)", 0},
    {"slots", KEY_SLOTS, "N", 0, "Slots that run at the same time, for throughput (default 1)", 0},
    {"transfers", KEY_TRANSFERS, 0, 0, "Copy inputs in and outputs out in every iteration and count it (default: data stay on the device)", 0},
    {"no-graph", KEY_NO_GRAPH, 0, 0, "Launch steps one by one instead of replaying a captured graph", 0},
    {"no-dependent", KEY_NO_DEPENDENT, 0, 0, "Start no kernel before the one ahead of it has ended (programmatic dependent launch, sm_90)", 0},
    {"profile", KEY_PROFILE, 0, 0, "The time of each step, predicted and measured", 0},
    {"check", KEY_CHECK, "MODEL.onnx", 0, "Compare with the reference of the network; exit code 4 and the first layer that is off", 0},
    {"shapes", KEY_SHAPES, "NAME:DIMS,...", 0, "For --check, as for build", 0},
    {"tolerance", KEY_TOLERANCE, "X", 0, "For --check: most ||out-ref||/||ref|| (default fp32 1e-4, tf32 2e-3, fp16 5e-3, bf16 4e-2)", 0},
    {"verify", KEY_VERIFY, 0, 0, "Run each distinct tactic once on random operands against the reference; --check does, too", 0},
    {"seed", KEY_SEED, "N", 0, "Of random inputs (default 1)", 0},
    {"allow-other-versions", KEY_OTHER, 0, 0, "Run beside other library versions than the plan was built for", 0},
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0},
    {0},
};

static void want_int(struct argp_state *state, const char *name, const char *argument, int64_t least, int64_t most, int *to)
{
    int64_t value;
    if (!hone_cmd_int(argument, least, most, &value))
        argp_error(state, "--%s wants a number from %lld to %lld, not '%s'", name, (long long)least, (long long)most, argument);
    *to = (int)value;
}

static void want_real(struct argp_state *state, const char *name, const char *argument, double most, double *to)
{
    if (!hone_cmd_real(argument, 0, most, to)) argp_error(state, "--%s wants a number from 0 to %g, not '%s'", name, most, argument);
}

static void add_file(struct argp_state *state, const char **files, int *n, const char *argument)
{
    if (*n == HONE_RUN_FILES_MAX) argp_error(state, "at most %d files", HONE_RUN_FILES_MAX);
    files[(*n)++] = argument;
}

static error_t parse_number(int key, const char *argument, struct argp_state *state, request *asked)
{
    switch (key) {
    case KEY_ITERATIONS: return asked->has_iterations = true, want_int(state, "iterations", argument, 1, 1 << 22, &asked->loop.iterations), 0;
    case KEY_DURATION: return asked->has_duration = true, want_real(state, "duration", argument, 86400, &asked->loop.duration_s), 0;
    case KEY_WARM_UP:
        want_real(state, "warmUp", argument, 3600e3, &asked->loop.warm_up_s);
        return asked->loop.warm_up_s /= 1e3, 0;
    case KEY_LANES: return want_int(state, "lanes", argument, 1, 16, &asked->exec.lanes), 0;
    case KEY_SLOTS: return want_int(state, "slots", argument, 1, SLOTS_MAX, &asked->slots), 0;
    case KEY_TOLERANCE: return want_real(state, "tolerance", argument, 1e3, &asked->tolerance), 0;
    case KEY_SEED:
        if (!hone_cmd_int(argument, 0, INT64_MAX, &asked->seed)) argp_error(state, "--seed wants a number, not '%s'", argument);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    const struct { int key; const char **to; } texts[] = {{KEY_DEVICE, &asked->device}, {KEY_CHECK, &asked->check}, {KEY_SHAPES, &asked->shapes}};
    const struct { int key; bool *to; } flags[] = {
        {KEY_NO_GRAPH, &asked->exec.no_graph}, {KEY_NO_DEPENDENT, &asked->exec.no_dependent}, {KEY_PROFILE, &asked->profile}, {KEY_VERIFY, &asked->verify}, {KEY_OTHER, &asked->other_versions},
        {KEY_JSON, &asked->json}, {KEY_TRANSFERS, &asked->loop.transfers},
    };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (texts[k].key == key) return *texts[k].to = argument, 0;
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
        if (flags[k].key == key) return *flags[k].to = true, 0;
    switch (key) {
    case KEY_INPUT: return add_file(state, asked->inputs, &asked->n_inputs, argument), 0;
    case KEY_OUTPUT: return add_file(state, asked->outputs, &asked->n_outputs, argument), 0;
    case ARGP_KEY_ARG:
        if (asked->plan) argp_error(state, "one PLAN at a time");
        return asked->plan = argument, 0;
    case ARGP_KEY_END:
        if (!asked->plan) argp_error(state, "a PLAN is needed");
        return 0;
    default: return parse_number(key, argument, state, asked);
    }
}

// ---- saying

typedef struct result {
    const request *asked;
    const hone_plan *plan;
    const hone_device *device;
    hone_run_timing timing;
    hone_run_check check;          // compared 0: not asked for
    double *times_ns;              // per step; NULL: not asked for
    hone_status verdict;           // of --check
} result;

static void say_timing(const hone_run_timing *t)
{
    printf("latency  min %.4f ms, max %.4f ms, mean %.4f ms, median %.4f ms, percentile(90%%) %.4f ms, percentile(95%%) %.4f ms, percentile(99%%) "
           "%.4f ms\n", t->min_ns / 1e6, t->max_ns / 1e6, t->mean_ns / 1e6, t->median_ns / 1e6, t->p90_ns / 1e6, t->p95_ns / 1e6, t->p99_ns / 1e6);
    printf("         %d iterations, host time from start to end of one inference, transfers %s\n", t->iterations,
           t->transfers ? "included" : "excluded (inputs and outputs stay on the device)");
    printf("throughput %.2f inferences/s on %d slot%s\n", t->per_second, t->slots, t->slots == 1 ? "" : "s");
}

static void say_profile(const result *r)
{
    double predicted = 0, measured = 0;
    printf("%12s %12s  %-5s %s\n", "predicted us", "measured us", "", "step: tactic");
    for (int k = 0; k < r->plan->n_steps; k++) {
        const hone_plan_step *step = &r->plan->steps[k];
        printf("%12.2f %12.2f  %-5s %s: %s\n", step->predicted_ns / 1e3, r->times_ns[k] / 1e3, step->precision, step->name, step->tactic);
        predicted += step->predicted_ns;
        measured += r->times_ns[k];
    }
    printf("%12.2f %12.2f  sum of %d steps\n", predicted / 1e3, measured / 1e3, r->plan->n_steps);
}

static void say_check(const hone_run_check *c)
{
    printf("check    output %s: relative error %.3g, at most %.3g allowed: %s\n", c->output, c->worst, c->tolerance, c->worst <= c->tolerance ? "ok" : "OFF");
    printf("         %d values of the network compared; ", c->compared);
    if (*c->layer) printf("first beyond that bound: %s by %.3g (step %s, tactic %s)\n", c->layer, c->layer_error, c->step, c->tactic);
    else printf("none beyond that bound\n");
}

static void say(const result *r)
{
    char spelling[256];
    hone_target_print(&r->device->target, spelling, sizeof spelling);
    printf("%s: %s, %d steps, on %s\n", r->asked->plan, r->plan->network, r->plan->n_steps, spelling);
    if (strcmp(spelling, r->plan->device)) printf("         built for %s: times were predicted for that\n", r->plan->device);
    say_timing(&r->timing);
    printf("         predicted latency %.4f ms\n", r->plan->predicted_ns / 1e6);
    if (r->times_ns) say_profile(r);
    if (r->check.compared) say_check(&r->check);
}

static void json_timing(hone_json *json, const hone_run_timing *t)
{
    const struct { const char *key; double ns; } figures[] = {
        {"min_ms", t->min_ns}, {"max_ms", t->max_ns}, {"mean_ms", t->mean_ns}, {"median_ms", t->median_ns}, {"p90_ms", t->p90_ns},
        {"p95_ms", t->p95_ns}, {"p99_ms", t->p99_ns},
    };
    hone_json_open(json, "latency", '{');
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) hone_json_real(json, figures[k].key, figures[k].ns / 1e6);
    hone_json_int(json, "iterations", t->iterations);
    hone_json_bool(json, "transfers", t->transfers);
    hone_json_close(json, '}');
    hone_json_int(json, "slots", t->slots);
    hone_json_real(json, "throughput_per_s", t->per_second);
}

static void json_profile(hone_json *json, const result *r)
{
    hone_json_open(json, "profile", '[');
    for (int k = 0; k < r->plan->n_steps; k++) {
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "step", r->plan->steps[k].name);
        hone_json_text(json, "problem", r->plan->steps[k].problem);
        hone_json_text(json, "tactic", r->plan->steps[k].tactic);
        hone_json_text(json, "precision", r->plan->steps[k].precision);
        hone_json_real(json, "predicted_ns", r->plan->steps[k].predicted_ns);
        hone_json_real(json, "measured_ns", r->times_ns[k]);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static void json_check(hone_json *json, const hone_run_check *c)
{
    hone_json_open(json, "check", '{');
    hone_json_bool(json, "ok", c->worst <= c->tolerance);
    hone_json_text(json, "output", c->output);
    hone_json_real(json, "relative_error", c->worst);
    hone_json_real(json, "tolerance", c->tolerance);
    hone_json_int(json, "values", c->compared);
    if (*c->layer) {
        hone_json_text(json, "first_layer_off", c->layer);
        hone_json_real(json, "first_layer_error", c->layer_error);
        hone_json_text(json, "first_step_off", c->step);
        hone_json_text(json, "first_tactic_off", c->tactic);
    }
    hone_json_close(json, '}');
}

static hone_status say_json(const result *r)
{
    hone_text text;
    hone_json json;
    char spelling[256];
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_target_print(&r->device->target, spelling, sizeof spelling);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.run.1");
    hone_json_text(&json, "plan", r->asked->plan);
    hone_json_text(&json, "network", r->plan->network);
    hone_json_text(&json, "device", spelling);
    hone_json_text(&json, "precisions", r->plan->precisions);
    hone_json_real(&json, "predicted_ms", r->plan->predicted_ns / 1e6);
    json_timing(&json, &r->timing);
    if (r->times_ns) json_profile(&json, r);
    if (r->check.compared) json_check(&json, &r->check);
    hone_json_close(&json, '}');
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

// ---- running

static hone_status check(const request *asked, hone_engine *engine, const hone_run_data *data, result *r)
{
    hone_graph *graph = NULL;
    hone_status status = hone_cmd_import(asked->check, asked->shapes, &graph);
    if (status == HONE_OK)
        status = hone_run_compare(engine, graph, r->plan, data, asked->tolerance > 0 ? asked->tolerance : hone_run_tolerance(r->plan), &r->check);
    hone_graph_free(graph);
    r->verdict = status;
    return status == HONE_NUMERIC ? HONE_OK : status;      // told behind the figures
}

static hone_status run_slots(const request *asked, hone_engine *engine, hone_run_data *data, result *r)
{
    hone_exec *slots[SLOTS_MAX] = {NULL};
    hone_status status = HONE_OK;
    for (int k = 0; k < asked->slots; k++) {
        HONE_TRY(hone_exec_new(engine, &asked->exec, &slots[k]));
        HONE_TRY(hone_run_set_inputs(slots[k], r->plan, data));
        HONE_TRY(hone_exec_sync(slots[k]));
    }
    HONE_TRY(hone_run_measure(slots, asked->slots, r->plan, data, &asked->loop, &r->timing));
    HONE_TRY(hone_run_get_outputs(slots[0], r->plan, data));
    HONE_TRY(hone_run_write(r->plan, data, asked->outputs, asked->n_outputs));
    if (!asked->profile) goto out;
    r->times_ns = hone_calloc((size_t)r->plan->n_steps + 1, sizeof *r->times_ns);
    status = r->times_ns ? hone_exec_profile(slots[0], PROFILE_REPEATS, r->times_ns) : HONE_NO_MEMORY;
out:
    for (int k = 0; k < asked->slots; k++) hone_exec_free(slots[k]);
    return status;
}

static hone_status open_device(const request *asked, const hone_plan *plan, hone_device **device)
{
    hone_target target;
    hone_status status = hone_target_parse(plan->device, &target);
    return status == HONE_OK ? hone_device_open(asked->device ? asked->device : target.kind, device) : status;
}

static hone_status run(request *asked)
{
    hone_plan *plan = NULL;
    hone_device *device = NULL;
    hone_engine *engine = NULL;
    hone_run_data data = {0};
    result r = {.asked = asked};
    hone_status status;
    HONE_TRY(hone_plan_load(asked->plan, &plan));
    r.plan = plan;
    HONE_TRY(open_device(asked, plan, &device));
    r.device = device;
    HONE_TRY(hone_engine_new(plan, device, asked->other_versions, &engine));
    HONE_TRY(hone_run_data_make(plan, asked->inputs, asked->n_inputs, (uint64_t)asked->seed, &data));
    HONE_TRY(run_slots(asked, engine, &data, &r));
    if (asked->check) HONE_TRY(check(asked, engine, &data, &r));
    if ((asked->verify || asked->check) && r.verdict == HONE_OK) HONE_TRY(hone_engine_verify(engine, (uint64_t)asked->seed, hone_cpu_count()));
    if (asked->json) HONE_TRY(say_json(&r));
    else say(&r);
    if (r.verdict != HONE_OK) status = r.verdict;
out:
    hone_free(r.times_ns);
    if (plan) hone_run_data_clear(plan, &data);
    hone_engine_free(engine);
    hone_device_close(device);
    hone_plan_free(plan);
    return status;
}

int hone_cmd_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "PLAN", "Runs a plan and times it.", 0, 0, 0};
    request asked = {.slots = 1, .seed = 1, .loop = {.iterations = 10, .duration_s = 3, .warm_up_s = 0.2}};
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argv[0] = "hone run";
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    if (!asked.has_duration && (asked.has_iterations || asked.n_outputs || asked.check || asked.profile)) asked.loop.duration_s = 0;
    hone_status status = run(&asked);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
