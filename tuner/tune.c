// SPDX-License-Identifier: Apache-2.0
#include "tuner/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "tuner/ahead.h"
#include "tuner/artifact.h"
#include "tuner/tune_priv.h"

#define SOURCES_MAX 64

// ---- small answers

hone_effort hone_tune_effort(const hone_tune *t)
{
    return t->options.supervisor.worker.effort;
}

const char *hone_tune_mode(const hone_tune *t)
{
    return t->options.supervisor.worker.warm ? HONE_MODE_WARM : HONE_MODE_COLD;
}

const hone_tune_report *hone_tune_get_report(const hone_tune *t)
{
    return &t->report;
}

const hone_supervisor *hone_tune_get_device(const hone_tune *t)
{
    return &t->supervisor;
}

static void count_time(hone_tune *t)
{
    t->report.seconds = (double)(hone_clock_ns() - t->start_ns) / 1e9;
    t->report.writing_s = (double)t->ledger.all_took_ns / 1e9;
    t->report.workers = t->supervisor.started;
    memcpy(t->report.phase_s, t->supervisor.phase_s, sizeof t->report.phase_s);
}

bool hone_tune_is_over(hone_tune *t)
{
    const volatile sig_atomic_t *stop = t->options.supervisor.stop;
    count_time(t);
    t->report.stopped = t->report.stopped || (stop && *stop);
    t->report.out_of_time = t->report.out_of_time || (t->options.time_limit_s > 0 && t->report.seconds >= t->options.time_limit_s);
    return t->report.stopped || t->report.out_of_time;
}

void hone_tune_say(hone_tune *t, const char *what)
{
    count_time(t);
    if (t->options.progress) t->options.progress(t->options.user, &t->report, what);
}

// ---- opening

static int64_t write_ledger(void *user)
{
    return hone_ledger_keep_up(user);
}

static hone_status put_run(hone_tune *t)
{
    hone_run run = {
        .start_unix_ms = hone_clock_unix_ms(), .options = t->options.command, .seed = t->options.supervisor.worker.seed,
        .effort = hone_effort_name(hone_tune_effort(t)), .writer = t->options.writer ? t->options.writer : "local", .sequence = -1, .private_host = t->options.host,
        .private_gpu_uuid = t->supervisor.uuid,
    };
    return t->ledger.store ? hone_store_put_run(t->options.store, &run, &t->ledger.run) : HONE_OK;
}

static hone_status begin_run(hone_tune *t, hone_store *store)
{
    t->options.store = store;
    hone_ledger_init(&t->ledger, t->options.dry_run ? NULL : store);
    t->ledger.device = t->supervisor.device;
    t->ledger.toolchain = t->supervisor.toolchain;
    return put_run(t);
}

hone_status hone_tune_use(hone_tune *t, hone_store *store)
{
    hone_status status = hone_ledger_flush(&t->ledger);
    if (status) return status;
    t->start_ns = hone_clock_ns();
    t->report = (hone_tune_report){0};
    memset(t->supervisor.phase_s, 0, sizeof t->supervisor.phase_s);
    return begin_run(t, store);
}

hone_status hone_tune_open(const hone_tune_options *options, hone_tune **tune)
{
    hone_tune *t = hone_calloc(1, sizeof *t);
    if (!t) return HONE_NO_MEMORY;
    t->options = *options;
    t->start_ns = hone_clock_ns();
    hone_ledger_init(&t->ledger, NULL);
    hone_supervisor_options supervisor = options->supervisor;
    supervisor.meanwhile = write_ledger;
    supervisor.user = &t->ledger;
    hone_status status = hone_supervisor_init(&t->supervisor, &supervisor);
    if (!status) status = hone_supervisor_start(&t->supervisor);
    if (!status) status = begin_run(t, options->store);
    if (status) hone_tune_close(t);
    else *tune = t;
    return status;
}

static void clear_todo(hone_tune *t);
static void drop_coming(hone_tune *t, hone_coming *coming);

void hone_tune_close(hone_tune *t)
{
    if (!t) return;
    (void)hone_supervisor_stop(&t->supervisor, true);
    hone_supervisor_clear(&t->supervisor);
    hone_ledger_write(&t->ledger);
    hone_ledger_clear(&t->ledger);
    clear_todo(t);
    while (t->n_coming) drop_coming(t, t->coming);
    hone_free(t);
}

// ---- the work list

static void tell(hone_tune *t, int64_t number, const char *problem)
{
    hone_supervisor_tell(&t->supervisor, "ahead\t%lld\t%s", (long long)number, problem);
}

static void tell_ahead(hone_tune *t)
{
    for (; t->told < t->n_todo && t->told < t->at + HONE_TUNE_AHEAD; t->told++) tell(t, t->numbers[t->told], t->todo[t->told]);
    for (size_t k = 0; k < t->n_coming && t->told == t->n_todo; k++) {
        if (t->coming[k].number) continue;
        t->coming[k].number = ++t->next_number;
        tell(t, t->coming[k].number, t->coming[k].problem);
    }
}

hone_status hone_tune_ready(hone_tune *t)
{
    bool is_new = !t->supervisor.pid;
    hone_status status = hone_supervisor_start(&t->supervisor);
    if (status) return status;
    if (is_new) t->told = t->at;
    for (size_t k = 0; k < t->n_coming && is_new; k++) t->coming[k].number = 0;
    tell_ahead(t);
    return HONE_OK;
}

// ---- what comes behind the list

static hone_coming *find_coming(hone_tune *t, const char *problem)
{
    for (size_t k = 0; k < t->n_coming; k++)
        if (!strcmp(t->coming[k].problem, problem)) return &t->coming[k];
    return NULL;
}

// The worker need not know of it any more, or it has a place in the list now.
static void drop_coming(hone_tune *t, hone_coming *coming)
{
    hone_free(coming->problem);
    *coming = t->coming[--t->n_coming];
}

static bool is_among(const char *problem, const char *const *problems, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (!strcmp(problems[k], problem)) return true;
    return false;
}

// Between two problems: to forget one, the worker waits for what it is computing of it.
static void look_ahead(hone_tune *t)
{
    const char *wanted[HONE_TUNE_AHEAD];
    size_t left = t->n_todo - t->at, most = left < HONE_TUNE_AHEAD ? HONE_TUNE_AHEAD - left : 0;
    size_t n = most && t->options.coming ? t->options.coming(t->options.user, wanted, most) : 0;
    for (size_t k = t->n_coming; k-- > 0;) {
        if (is_among(t->coming[k].problem, wanted, n)) continue;
        if (t->coming[k].number && t->supervisor.pid) hone_supervisor_tell(&t->supervisor, "end\t%lld", (long long)t->coming[k].number);
        drop_coming(t, &t->coming[k]);
    }
    for (size_t k = 0; k < n; k++) {
        char *copy = find_coming(t, wanted[k]) ? NULL : hone_strdup(wanted[k]);
        if (copy) t->coming[t->n_coming++] = (hone_coming){.problem = copy};
    }
}

static int64_t take_number(hone_tune *t, const char *problem)
{
    hone_coming *coming = find_coming(t, problem);
    int64_t number = coming ? coming->number : 0;
    if (coming) drop_coming(t, coming);
    return number ? number : ++t->next_number;
}

// The one spelling, whatever blanks and defaults the list has.
static hone_status spell(const char *text, char **spelling)
{
    hone_problem problem;
    hone_text canonical;
    hone_text_init(&canonical);
    hone_status status = hone_problem_parse(text, &problem);
    if (status) return hone_fail_in(status, "problem \"%.200s\"", text);
    hone_problem_print(&problem, &canonical);
    status = hone_text_status(&canonical);
    *spelling = status ? NULL : hone_text_take(&canonical);
    hone_text_clear(&canonical);
    return status;
}

bool hone_tune_spells(const char *problem)
{
    char *spelling;
    if (spell(problem, &spelling)) return false;
    bool same = !strcmp(spelling, problem);
    hone_free(spelling);
    return same;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(**(char *const *const *)a, **(char *const *const *)b);
}

// Empties what stood in the list before, so that each is tuned once and the order stays.
static hone_status drop_repeats(char **problems, size_t count)
{
    char ***sorted = hone_alloc((count + 1) * sizeof *sorted);
    if (!sorted) return HONE_NO_MEMORY;
    for (size_t k = 0; k < count; k++) sorted[k] = &problems[k];
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t k = 0, next; k < count; k = next) {
        char **first = sorted[k];
        for (next = k + 1; next < count && !strcmp(*sorted[next], *sorted[k]); next++)
            if (sorted[next] < first) first = sorted[next];
        for (size_t j = k; j < next; j++)
            if (sorted[j] != first) hone_free(*sorted[j]), *sorted[j] = NULL;
    }
    hone_free(sorted);
    return HONE_OK;
}

static void clear_todo(hone_tune *t)
{
    for (size_t k = 0; k < t->n_todo; k++) hone_free(t->todo[k]);
    hone_free(t->todo);
    hone_free(t->numbers);
    t->todo = NULL;
    t->numbers = NULL;
    t->n_todo = t->at = t->told = 0;
}

// Takes what is not covered; numbers go on from the last call, since the worker may still know those.
static hone_status plan(hone_tune *t, char **spellings, size_t count, bool leave_covered)
{
    hone_offer offers[SOURCES_MAX];
    hone_status status = HONE_OK;
    t->todo = hone_calloc(count + 1, sizeof *t->todo);
    t->numbers = hone_calloc(count + 1, sizeof *t->numbers);
    if (!t->todo || !t->numbers) return HONE_NO_MEMORY;
    if (t->options.store) HONE_TRY(hone_store_begin_read(t->options.store));
    for (size_t k = 0; k < count && !status; k++) {
        bool all = false;
        if (!spellings[k]) continue;
        t->report.problems++;
        if (leave_covered) status = hone_contest_coverage(t, spellings[k], offers, &all);
        t->report.covered += all;
        if (all) continue;
        t->numbers[t->n_todo] = take_number(t, spellings[k]);
        t->todo[t->n_todo++] = spellings[k];
        spellings[k] = NULL;
    }
    if (t->options.store) hone_store_end_read(t->options.store);
out:
    return status;
}

static hone_status prepare(hone_tune *t, const char *const *problems, size_t count, bool leave_covered)
{
    char **spellings = hone_calloc(count + 1, sizeof *spellings);
    hone_status status = spellings ? HONE_OK : HONE_NO_MEMORY;
    for (size_t k = 0; k < count && !status; k++) status = spell(problems[k], &spellings[k]);
    if (!status) status = drop_repeats(spellings, count);
    if (!status) status = plan(t, spellings, count, leave_covered);
    for (size_t k = 0; k < count && spellings; k++) hone_free(spellings[k]);
    hone_free(spellings);
    return status;
}

static bool runs_anything(const hone_tune *t)
{
    return hone_tune_effort(t) >= HONE_EFFORT_QUICK;
}

hone_status hone_tune_problems(hone_tune *t, const char *const *problems, size_t count)
{
    hone_status status = prepare(t, problems, count, true);
    int64_t before = t->report.done + t->report.refused;
    for (t->at = 0; t->at < t->n_todo && !status && runs_anything(t) && !hone_tune_is_over(t); t->at++) {
        hone_tune_say(t, t->todo[t->at]);
        look_ahead(t);
        status = hone_contest_run(t, t->numbers[t->at], t->todo[t->at]);
        if (t->ledger.status) status = hone_ledger_flush(&t->ledger);
    }
    t->report.left += (int64_t)t->n_todo - (t->report.done + t->report.refused - before);
    hone_status kept = hone_ledger_flush(&t->ledger);
    clear_todo(t);
    hone_tune_say(t, "");
    return status ? status : kept;
}

hone_status hone_tune_walk(hone_tune *t, const char *const *problems, size_t count, hone_problem_each each, void *user)
{
    hone_status status = prepare(t, problems, count, false);
    for (t->at = 0; t->at < t->n_todo && !status && !hone_tune_is_over(t); t->at++) {
        hone_tune_say(t, t->todo[t->at]);
        status = each(user, t->numbers[t->at], t->todo[t->at]);
        if (t->ledger.status) status = hone_ledger_flush(&t->ledger);
    }
    hone_status kept = hone_ledger_flush(&t->ledger);
    clear_todo(t);
    return status ? status : kept;
}

hone_status hone_tune_list(hone_tune *t, const char *const *problems, size_t count, hone_candidate_each each, void *user)
{
    hone_status status = prepare(t, problems, count, true);
    for (t->at = 0; t->at < t->n_todo && !status && !hone_tune_is_over(t); t->at++)
        status = hone_contest_list(t, t->numbers[t->at], t->todo[t->at], each, user);
    clear_todo(t);
    return status;
}

hone_status hone_tune_gap(hone_tune *t)
{
    hone_ranked *ranked = NULL;
    size_t known = 0;
    hone_question question = {.device = t->supervisor.device, .toolchain = t->supervisor.toolchain, .problem = HONE_GAP_PROBLEM, .mode = HONE_GAP_MODE};
    if (strcmp(t->supervisor.kind, "cuda") || !t->options.store || !runs_anything(t) || hone_tune_is_over(t)) return HONE_OK;
    hone_status status = hone_store_rank(t->options.store, &question, &ranked, &known);
    hone_free(ranked);
    if (status || known) return status;
    status = hone_contest_gap(t, ++t->next_number, HONE_GAP_PROBLEM);
    hone_status kept = hone_ledger_flush(&t->ledger);
    return status ? status : kept;
}

// ---- compiling only

static void count_codes(hone_ahead *ahead, int64_t number, const char *problem, int64_t *compiled, int64_t *failed)
{
    hone_item *item;
    if (hone_ahead_item(ahead, number, problem, &item)) return;
    for (int k = 0; k < hone_source_count; k++) {
        hone_candidates candidates = {0};
        char key[HONE_ARTIFACT_KEY];
        const hone_blob *blob;
        if (!hone_sources[k]->compile || hone_item_offer(ahead, item, hone_sources[k], NULL, &candidates)) continue;
        for (size_t j = 0; j < candidates.n; j++) {
            hone_status status = hone_item_compiled(ahead, item, hone_sources[k], &candidates.items[j].tactic, key, &blob);
            ++*(status ? failed : compiled);
        }
        hone_candidates_clear(&candidates);
    }
    hone_ahead_drop(ahead, number);
}

hone_status hone_tune_compile(const hone_target *target, const hone_worker_options *worker, const char *const *problems, size_t count,
                              int threads, const volatile sig_atomic_t *stop, int64_t *compiled, int64_t *failed)
{
    hone_ahead_options options = {.target = *target, .effort = worker->effort, .threads = threads, .helpers = 1, .compile_only = true,
                                  .compiles_apart = true};
    hone_ahead *ahead;
    hone_ranking *ranking;
    hone_status status = HONE_OK;
    HONE_TRY(hone_ranking_choose(worker->ranking ? worker->ranking : "", &ranking));
    options.ranking = ranking;
    snprintf(options.kind, sizeof options.kind, "%s", target->kind);
    snprintf(options.sources, sizeof options.sources, "%s", worker->sources);
    *compiled = *failed = 0;
    HONE_TRY(hone_ahead_new(&options, &ahead));
    size_t told = 0;
    for (size_t k = 0; k < count && !status && !(stop && *stop); k++) {
        for (hone_item *item; told < count && told < k + HONE_TUNE_AHEAD && !status; told++) {
            status = hone_ahead_item(ahead, (int64_t)told + 1, problems[told], &item);
            if (status) status = hone_fail_in(status, "problem \"%.200s\"", problems[told]);
        }
        if (!status) hone_ahead_wait(ahead, (int64_t)k + 1);      // the compilers do it all
        if (!status) count_codes(ahead, (int64_t)k + 1, problems[k], compiled, failed);
    }
    hone_ahead_free(ahead);
out:
    hone_ranking_free(ranking);
    return status;
}
