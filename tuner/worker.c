// SPDX-License-Identifier: Apache-2.0
#include "tuner/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "profiler/clocks.h"
#include "tuner/worker_priv.h"

#define COMPARE_THREADS 8

typedef struct worker {
    hone_bench bench;
    int out;
    const char *request;               // number of the request being served
    hone_text line;
    hone_answer answer;
    bool leaving;
    hone_status status;
} worker;

// ---- speaking

static hone_text *begin_line(worker *w, const char *verb)
{
    w->line.size = 0;
    hone_text_printf(&w->line, "%s\t%s", w->request, verb);
    return &w->line;
}

static void end_line(worker *w)
{
    hone_text_append(&w->line, "\n", 1);
    if (hone_text_status(&w->line) || hone_wire_write(w->out, w->line.data, w->line.size, HONE_NEVER) != HONE_WIRE_LINE) w->leaving = true;
}

static void put_field(worker *w, const char *words)
{
    hone_text_append(&w->line, "\t", 1);
    hone_wire_put_words(&w->line, words);
}

static void say_phase(void *user, const char *name)
{
    worker *w = user;
    begin_line(w, "phase");
    put_field(w, name);
    end_line(w);
}

static void say_refused(worker *w, hone_status status)
{
    hone_text_printf(begin_line(w, "refused"), "\t%d", (int)status);
    put_field(w, hone_error_text());
    end_line(w);
}

static void say_done(worker *w)
{
    begin_line(w, "done");
    end_line(w);
}

static void say_answer(worker *w)
{
    hone_text_append(begin_line(w, "answer"), "\t", 1);
    hone_answer_print(&w->answer, &w->line);
    end_line(w);
    w->leaving = w->leaving || w->answer.leaving;
}

// ---- requests. Each gets its fields behind the verb.

static void serve_hello(worker *w, char **fields)
{
    char spelling[512];
    hone_device *device = w->bench.device;
    (void)fields;
    hone_target_print(&device->target, spelling, sizeof spelling);
    begin_line(w, "hello");
    put_field(w, device->api->kind);
    put_field(w, spelling);
    put_field(w, device->toolchain);
    put_field(w, device->uuid);
    put_field(w, w->bench.timer->name);
    end_line(w);
}

static hone_status find_item(worker *w, char **fields, hone_item **item)
{
    int64_t number;
    if (!hone_wire_int(fields[0], &number)) return hone_fail(HONE_USAGE, "\"%.40s\" is no number", fields[0]);
    return hone_ahead_item(w->bench.ahead, number, fields[1], item);
}

static void serve_ahead(worker *w, char **fields)
{
    hone_item *item;
    (void)find_item(w, fields, &item);      // what is wrong with it is told when it begins
}

static void serve_begin(worker *w, char **fields)
{
    hone_item *item;
    hone_bench_end(&w->bench);
    hone_status status = find_item(w, fields, &item);
    if (!status) status = hone_bench_begin(&w->bench, item);
    if (status) say_refused(w, status);
    else say_done(w);
}

static bool has_problem(worker *w)
{
    if (w->bench.item && w->bench.expect) return true;
    say_refused(w, hone_fail(HONE_USAGE, "no problem was begun"));
    return false;
}

static void say_candidate(worker *w, const hone_candidate *candidate)
{
    char number[32], text[HONE_TACTIC_TEXT];
    hone_tactic_print(&candidate->tactic, text);
    begin_line(w, "tactic");
    put_field(w, hone_print_double(candidate->estimate_ns, number));
    put_field(w, candidate->is_default ? "default" : candidate->is_point ? "point" : "other");
    put_field(w, text);
    end_line(w);
}

// One source after another: "source NAME ok|declined WHY", then its tactics.
static void offer_source(worker *w, const hone_source *source)
{
    hone_candidates candidates = {0};
    hone_status status = hone_item_offer(w->bench.ahead, w->bench.item, source, w->bench.device, &candidates);
    begin_line(w, "source");
    put_field(w, source->name);
    put_field(w, status ? "declined" : "ok");
    put_field(w, status ? hone_error_text() : "");
    end_line(w);
    for (size_t k = 0; k < candidates.n; k++) say_candidate(w, &candidates.items[k]);
    hone_candidates_clear(&candidates);
}

// A problem can be listed without being begun, for a dry run: then its number and spelling stand behind the verb.
static void serve_offer(worker *w, char **fields)
{
    hone_item *item;
    hone_status status = find_item(w, fields, &item);
    if (status) {
        say_refused(w, status);
        return;
    }
    w->bench.item = item;
    for (int k = 0; k < hone_source_count; k++)
        if (hone_source_is_wanted(hone_sources[k], w->bench.options.sources, w->bench.device->api->kind)) offer_source(w, hone_sources[k]);
    say_done(w);
}

static int sample_count(const char *field)
{
    int64_t samples;
    return hone_wire_int(field, &samples) && samples > 0 && samples <= HONE_BURST_MAX ? (int)samples : 1;
}

static void serve_try(worker *w, char **fields)
{
    if (!has_problem(w)) return;
    hone_bench_try(&w->bench, fields[1], sample_count(fields[0]), &w->answer);
    say_answer(w);
}

static void serve_more(worker *w, char **fields)
{
    if (!has_problem(w)) return;
    hone_bench_more(&w->bench, fields[1], sample_count(fields[0]), &w->answer);
    say_answer(w);
}

// As more, with a warm cache whatever the worker's mode.
static void serve_warm(worker *w, char **fields)
{
    bool warm = w->bench.options.warm;
    w->bench.options.warm = true;
    serve_more(w, fields);
    w->bench.options.warm = warm;
}

static void serve_gap(worker *w, char **fields)
{
    if (!has_problem(w)) return;
    hone_bench_gap(&w->bench, fields[0], &w->answer);
    say_answer(w);
}

static void serve_drop(worker *w, char **fields)
{
    hone_bench_drop(&w->bench, fields[0]);
}

static void serve_end(worker *w, char **fields)
{
    int64_t number;
    hone_bench_end(&w->bench);
    if (hone_wire_int(fields[0], &number)) hone_ahead_drop(w->bench.ahead, number);
}

static void serve_quit(worker *w, char **fields)
{
    (void)fields;
    w->leaving = true;
}

static const struct request {
    const char *verb;
    int fields;
    void (*serve)(worker *w, char **fields);
} requests[] = {
    {"hello", 0, serve_hello}, {"ahead", 2, serve_ahead}, {"begin", 2, serve_begin}, {"offer", 2, serve_offer}, {"try", 2, serve_try},
    {"more", 2, serve_more},   {"drop", 1, serve_drop},   {"warm", 2, serve_warm},   {"gap", 1, serve_gap},     {"end", 1, serve_end},     {"quit", 0, serve_quit},
};

static void serve(worker *w, const hone_wire_fields *fields)
{
    for (size_t k = 0; k < sizeof requests / sizeof *requests; k++)
        if (!strcmp(requests[k].verb, fields->at[1]) && requests[k].fields == fields->n - 2) {
            requests[k].serve(w, (char **)fields->at + 2);
            return;
        }
    say_refused(w, hone_fail(HONE_USAGE, "the worker has no request \"%.40s\" of %d fields", fields->at[1], fields->n - 2));
}

// ---- life

static hone_status open_bench(hone_bench *bench, const hone_worker_options *options)
{
    hone_status status = HONE_OK;
    bench->options = *options;
    HONE_TRY(hone_device_open(options->device, &bench->device));
    if (!options->busy) HONE_TRY(hone_clocks_check_idle(bench->device));
    bench->timer = *options->timer ? hone_timer_find(options->timer) : hone_timer_choose(bench->device);
    if (!bench->timer) HONE_TRY(*options->timer ? hone_fail(HONE_USAGE, "there is no timer %s", options->timer) : HONE_NO_DEVICE);
    HONE_TRY(bench->timer->probe(bench->device));
    bench->buffers.device = bench->device;
    int cpus = hone_cpu_count();
    // Work beside a measurement spoils the times of a CPU, not those of a GPU; two processors stay free to drive that one.
    bool is_apart = strcmp(bench->device->api->kind, "cpu") != 0;
    bench->gauge = (hone_gauge){.buffers = &bench->buffers, .threads = cpus < COMPARE_THREADS ? cpus : COMPARE_THREADS};
    int beside = cpus > 3 ? cpus - 2 : 1;
    hone_ahead_options ahead = {.target = bench->device->target, .effort = options->effort, .seed = options->seed, .compiles_apart = true,
                                .threads = is_apart ? beside : 0, .helpers = is_apart ? beside : cpus};
    snprintf(ahead.kind, sizeof ahead.kind, "%s", bench->device->api->kind);
    snprintf(ahead.sources, sizeof ahead.sources, "%s", options->sources);
    HONE_TRY(hone_ranking_choose(options->ranking ? options->ranking : "", &bench->ranking));
    ahead.ranking = bench->ranking;
    HONE_TRY(hone_ahead_new(&ahead, &bench->ahead));
out:
    return status;
}

static void close_bench(hone_bench *bench)
{
    hone_bench_end(bench);
    hone_ahead_free(bench->ahead);
    hone_ranking_free(bench->ranking);
    hone_free(bench->kept);
    if (bench->device && bench->gauge.buffers) hone_gauge_clear(&bench->gauge);
    if (bench->device) hone_buffers_clear(&bench->buffers);
    hone_device_close(bench->device);
}

static void serve_all(worker *w, int in)
{
    hone_wire_reader reader = {.fd = in};
    hone_wire_fields fields;
    char *line;
    while (!w->leaving && hone_wire_read(&reader, HONE_NEVER, NULL, &line) == HONE_WIRE_LINE) {
        if (!hone_wire_split(line, &fields)) break;
        w->request = fields.at[0];
        if (w->status) say_refused(w, w->status), w->leaving = true;
        else serve(w, &fields);
    }
    hone_wire_reader_clear(&reader);
}

hone_status hone_worker_serve(const hone_worker_options *options, int in, int out)
{
    worker *w = hone_calloc(1, sizeof *w);
    if (!w) return HONE_NO_MEMORY;
    w->out = out;
    w->bench.phase = say_phase;
    w->bench.phase_user = w;
    w->status = open_bench(&w->bench, options);
    serve_all(w, in);
    hone_status status = w->status;
    // A device that failed under a tactic may hang when it is closed: the process ends without.
    if (!w->answer.leaving) close_bench(&w->bench);
    hone_text_clear(&w->line);
    hone_free(w);
    return status;
}
