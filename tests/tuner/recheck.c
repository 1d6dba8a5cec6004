// SPDX-License-Identifier: Apache-2.0
// What a recheck costs and loses: recheck BUNDLED FOLDER [SEEDS [SCENARIO]]. Of the recorded database BUNDLED 10,000 measurements of one GPU are taken, its libraries
// are upgraded in simulation, and a survey runs on that as `hone tune --recheck` does. What the upgrade did is known to the simulation
// alone: the survey gets times of what it asks for, with noise. Afterwards the store is opened anew and asked what a build asks: the networks'
// true time by those choices is held against the choices of a full re-sweep, which times everything, with the same noise.
// Fails when more than 3% of the measurements are timed, of all that is timed, when 1% of the networks' time together or of a
// network's in the mean or more is lost, or a problem that the re-sweep can run is left without a choice.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "db/store.h"
#include "tuner/needs.h"
#include "tuner/survey.h"

#define MODE "single cold"
#define NOW "cuda=13.1 driver=590.44 nvrtc=13.1 cublaslt=13.2.0 cudnn=9.20.0 cupti=13.1.0 hone=0.1.0"
#define NOISE 0.007                // between two sessions, of a median
#define LOSS 0.01

enum { ROWS = 10000, SAMPLES = 10, TIMED_MOST_PERCENT = 3 };

typedef struct record {
    char *problem, *tactic, *family, *depends;
    double before_ns, after_ns;    // after_ns: what it really takes after the upgrade; 0 it fails
    hone_verdict verdict;
    char *successor;               // what the library offers in its place, NULL nothing new
    double successor_ns;
} record;

typedef struct world {
    char device[256], toolchain[512];
    record *records;               // by problem
    size_t n, capacity;
    hone_needs needs;
    uint64_t seed;
    uint64_t measured;             // counts, so that each measurement has noise of its own
} world;

static void need(hone_status status)
{
    if (status == HONE_OK) return;
    fprintf(stderr, "%s\n", hone_error_text());
    exit(1);
}

// ---- the database

typedef struct filling {
    world *of;
    hone_store *store;
    hone_id run;
} filling;

static hone_status copy_row(void *user, const hone_id *id, const hone_measurement *row)
{
    filling *to = user;
    hone_measurement copy = *row;
    (void)id;
    if (row->verdict != HONE_VERDICT_OK || strcmp(row->mode, MODE) || to->of->n >= ROWS) return HONE_OK;
    char family[HONE_FAMILY_TEXT];
    hone_family_print(row->problem, row->tactic, family);
    need(hone_grow(&to->of->records, to->of->n, &to->of->capacity, sizeof *to->of->records, 1 << 24) ? HONE_NO_MEMORY : HONE_OK);
    to->of->records[to->of->n++] = (record){.problem = hone_strdup(row->problem), .tactic = hone_strdup(row->tactic), .family = hone_strdup(family),
                                            .depends = hone_strdup(row->depends), .before_ns = row->median_ns};
    copy.run = to->run;
    copy.artifact = "";
    return hone_store_put_measurement(to->store, &copy, NULL);
}

typedef struct problem_list {
    char **items;
    size_t n, capacity;
} problem_list;

static hone_status add_problem(void *user, const char *problem)
{
    problem_list *list = user;
    need(hone_grow(&list->items, list->n, &list->capacity, sizeof *list->items, 1 << 24) ? HONE_NO_MEMORY : HONE_OK);
    return (list->items[list->n++] = hone_strdup(problem)) ? HONE_OK : HONE_NO_MEMORY;
}

static void put_networks(const hone_needs *needs, hone_store *store)
{
    for (size_t k = 0; k < needs->n; k++) {
        hone_id digest;
        hone_id_parse(needs->items[k].network, &digest);
        need(hone_store_put_network(store, &digest, "recorded", (const char *const *)&needs->items[k].problem, &needs->items[k].times, 1));
    }
}

// Problems that networks need, in an order that the seed gives, until there are enough rows.
static void fill(world *w, hone_store *bundled, const char *path)
{
    filling to = {.of = w};
    problem_list list = {0};
    hone_run run = {.start_unix_ms = 1000, .options = "", .effort = "quick", .writer = "local", .sequence = 1};
    need(hone_store_open(path, HONE_STORE_CREATE, &to.store));
    need(hone_store_put_run(to.store, &run, &to.run));
    need(hone_store_each_problem(bundled, w->device, add_problem, &list));
    for (size_t k = list.n; k > 1; k--) {
        size_t other = hone_rng_bits(w->seed, 1, k) % k;
        char *kept = list.items[k - 1];
        list.items[k - 1] = list.items[other];
        list.items[other] = kept;
    }
    need(hone_store_begin_group(to.store));
    put_networks(&w->needs, to.store);
    for (size_t k = 0; k < list.n && w->n < ROWS; k++)
        if (hone_needs_uses(&w->needs, list.items[k]) > 0) need(hone_store_each_measurement(bundled, w->device, list.items[k], copy_row, &to));
    need(hone_store_end_group(to.store));
    hone_store_close(to.store);
    for (size_t k = 0; k < list.n; k++) hone_free(list.items[k]);
    hone_free(list.items);
}

// ---- upgrades

static double drawn(const world *w, size_t k, uint64_t stream)
{
    return hone_rng_normal(w->seed, 100 + stream, k);
}

static void unchanged(world *w, record *r, size_t k)
{
    (void)w, (void)k;
    r->after_ns = r->before_ns;
}

static void faster(world *w, record *r, size_t k)
{
    (void)w, (void)k;
    r->after_ns = 0.85 * r->before_ns;
}

static void scattered(world *w, record *r, size_t k)
{
    r->after_ns = r->before_ns * exp(0.2 * drawn(w, k, 1));
}

static void broken(world *w, record *r, size_t k)
{
    (void)w, (void)k;
    r->after_ns = 0;
    r->verdict = HONE_VERDICT_WRONG;
}

// The library knows its old algorithms no more and offers as many others.
static void replaced(world *w, record *r, size_t k)
{
    char name[512];
    r->after_ns = 0;
    r->verdict = HONE_VERDICT_UNSUPPORTED;
    snprintf(name, sizeof name, "%s next=%zu", r->tactic, k);
    r->successor = hone_strdup(name);
    r->successor_ns = r->before_ns * exp(0.1 * drawn(w, k, 2) - 0.05);
}

// The library offers faster ones besides.
static void outdone(world *w, record *r, size_t k)
{
    replaced(w, r, k);
    r->verdict = HONE_VERDICT_OK;
    r->after_ns = r->before_ns;
    r->successor_ns = r->before_ns * exp(0.08 * drawn(w, k, 2) - 0.12);
}

static void slower(world *w, record *r, size_t k)
{
    r->after_ns = r->before_ns * 1.12 * exp(0.005 * drawn(w, k, 3));
}

typedef enum extent { NOTHING, A_FAMILY, A_VENDORS_FAMILY, A_SOURCE } extent;      // hone's own kernels are what hone says they are

static const struct scenario {
    const char *name;
    extent extent;
    void (*change)(world *w, record *r, size_t k);
} scenarios[] = {
    {"nothing changed", NOTHING, unchanged}, {"a family 15% faster", A_FAMILY, faster}, {"a family scattered", A_FAMILY, scattered},
    {"a family wrong", A_FAMILY, broken},    {"a family replaced", A_VENDORS_FAMILY, replaced}, {"a family outdone", A_VENDORS_FAMILY, outdone},
    {"a library 12% slower", A_SOURCE, slower},
};

// One of the families with a good part of the networks' time.
static char *choose_family(const world *w, hone_store *store, const struct scenario *s)
{
    const hone_survey_family *families;
    hone_survey *survey;
    size_t large = 0;
    hone_survey_rules rules = hone_survey_usual(w->seed);
    need(hone_survey_new(store, w->device, NOW, MODE, &rules, &survey));
    const char *large_ones[256];
    size_t n = hone_survey_families(survey, &families);
    for (size_t k = 0; k < n && large < 256; k++)
        if (!families[k].is_anew && families[k].share > 0.005 && (s->extent != A_VENDORS_FAMILY || !strncmp(families[k].family, "cu", 2)))
            large_ones[large++] = families[k].family;
    char *chosen = hone_strdup(large_ones[hone_rng_bits(w->seed, 7, (uint64_t)(s - scenarios)) % large]);
    hone_survey_free(survey);
    return chosen;
}

static void upgrade(world *w, const struct scenario *s, const char *family)
{
    size_t source = strcspn(family, ". ");
    for (size_t k = 0; k < w->n; k++) {
        record *r = &w->records[k];
        bool of_source = !strncmp(r->family, family, source + 1), changes = s->extent == A_SOURCE ? of_source : s->extent != NOTHING && !strcmp(r->family, family);
        r->verdict = HONE_VERDICT_OK;
        hone_free(r->successor);
        r->successor = NULL;
        (changes ? s->change : unchanged)(w, r, k);
    }
}

// ---- measuring

static double with_noise(world *w, double true_ns)
{
    return true_ns * exp(NOISE * hone_rng_normal(w->seed, 9, w->measured++));
}

static void put_time(world *w, hone_store *store, const hone_id *run, const record *r, const char *tactic, double true_ns, double *told_ns)
{
    double samples[SAMPLES], middle = true_ns > 0 ? with_noise(w, true_ns) : 0;
    char depends[512];
    snprintf(depends, sizeof depends, "%.*s=%s", (int)strcspn(r->depends, "="), r->depends,
             !strncmp(r->depends, "cudnn", 5) ? "9.20.0" : !strncmp(r->depends, "cublaslt", 8) ? "13.2.0" : "13.1");
    for (int s = 0; s < SAMPLES; s++) samples[s] = middle * (1 + 0.002 * (s - (SAMPLES - 1) / 2.0));
    hone_measurement row = {.run = *run, .device = w->device, .toolchain = NOW, .depends = depends, .problem = r->problem, .tactic = tactic, .mode = MODE,
                            .verdict = middle > 0 ? HONE_VERDICT_OK : r->verdict, .timer = middle > 0 ? "replay" : "", .median_ns = middle, .min_ns = middle > 0 ? samples[0] : 0,
                            .error = middle > 0 ? 1e-4 : -1, .clock_mhz = -1, .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1,
                            .artifact = "", .note = "", .samples_ns = middle > 0 ? samples : NULL, .sample_count = middle > 0 ? SAMPLES : 0};
    need(hone_store_put_measurement(store, &row, NULL));
    *told_ns = middle;
}

// All that is offered now of a family on a problem.
static size_t tune(world *w, hone_store *store, const hone_id *run, const hone_survey_item *item, double *best_ns)
{
    size_t timed = 0;
    double ns;
    *best_ns = 0;
    for (size_t k = 0; k < w->n; k++) {
        const record *r = &w->records[k];
        if (!r->successor || strcmp(r->problem, item->problem) || strcmp(r->family, item->family)) continue;
        put_time(w, store, run, r, r->successor, r->successor_ns, &ns);
        if (!(*best_ns > 0) || ns < *best_ns) *best_ns = ns;
        timed++;
    }
    return timed;
}

static size_t time_item(world *w, hone_store *store, const hone_id *run, const hone_survey_item *item, double *now_ns)
{
    if (!item->tactic) return tune(w, store, run, item, now_ns);
    for (size_t k = 0; k < w->n; k++) {
        const record *r = &w->records[k];
        if (strcmp(r->problem, item->problem) || strcmp(r->tactic, item->tactic)) continue;
        put_time(w, store, run, r, r->tactic, r->after_ns, now_ns);
        return 1;
    }
    fprintf(stderr, "asked for what was never recorded: %s of %s\n", item->tactic, item->problem);
    exit(1);
}

static size_t recheck(world *w, hone_store *store, size_t decisions[HONE_RECHECK_DECISIONS])
{
    hone_survey *survey;
    const hone_survey_family *families;
    hone_survey_rules rules = hone_survey_usual(w->seed);
    hone_run begun = {.start_unix_ms = 2000, .options = "", .effort = "quick", .writer = "local", .sequence = -1};
    hone_id run;
    size_t items[256], count, timed = 0;
    int64_t put, covered;
    need(hone_store_put_run(store, &begun, &run));
    need(hone_survey_new(store, w->device, NOW, MODE, &rules, &survey));
    for (;;) {
        need(hone_survey_ask(survey, items, 256, &count));
        if (!count) break;
        need(hone_store_begin_group(store));
        for (size_t k = 0; k < count; k++) {
            hone_survey_item item = hone_survey_get(survey, items[k]);
            hone_survey_answer answer = {.noise = 0.001};
            timed += answer.ran = time_item(w, store, &run, &item, &answer.now_ns);
            hone_survey_tell(survey, items[k], &answer);
        }
        need(hone_store_end_group(store));
    }
    need(hone_survey_conclude(survey, store, &run, &put, &covered));
    size_t n = hone_survey_families(survey, &families);
    memset(decisions, 0, HONE_RECHECK_DECISIONS * sizeof *decisions);
    for (size_t k = 0; k < n; k++) decisions[families[k].decision] += families[k].is_decided && !families[k].is_anew;
    hone_survey_free(survey);
    return timed;
}

// ---- what it is worth

static double true_ns(const world *w, size_t from, size_t to, const char *tactic)
{
    for (size_t k = from; k < to; k++) {
        const record *r = &w->records[k];
        if (!strcmp(r->tactic, tactic)) return r->after_ns;
        if (r->successor && !strcmp(r->successor, tactic)) return r->successor_ns;
    }
    return 0;
}

// The true time of what a re-sweep would choose; 0 nothing works.
static double resweep(world *w, size_t from, size_t to)
{
    double best = INFINITY, chosen = 0;
    for (size_t k = from; k < to; k++) {
        const record *r = &w->records[k];
        const double all[] = {r->after_ns, r->successor ? r->successor_ns : 0};
        for (int i = 0; i < 2; i++) {
            double ns = all[i] > 0 ? with_noise(w, all[i]) : INFINITY;
            if (ns < best) best = ns, chosen = all[i];
        }
    }
    return chosen;
}

typedef struct total {             // of a network in one type, as the survey counts them
    const char *network;           // borrowed
    char type[16];
    double by_recheck, by_resweep;
} total;

typedef struct totals {
    total items[1024];
    size_t n;
} totals;

static void add_to(totals *all, const char *network, const char *type, double chosen, double best)
{
    size_t k = 0;
    while (k < all->n && (strcmp(all->items[k].network, network) || strcmp(all->items[k].type, type))) k++;
    need(k < sizeof all->items / sizeof *all->items ? HONE_OK : HONE_NO_MEMORY);
    total *at = &all->items[k];
    if (k == all->n) all->n++, at->network = network, snprintf(at->type, sizeof at->type, "%s", type);
    at->by_recheck += chosen;
    at->by_resweep += best;
}

static void add_problem_to(const world *w, const char *problem, double chosen, double best, totals *all)
{
    char type[16];
    size_t count, first = hone_needs_find(&w->needs, problem, &count);
    hone_family_type(problem, type);
    for (size_t k = first; k < first + count; k++)
        add_to(all, w->needs.items[k].network, type, (double)w->needs.items[k].times * chosen, (double)w->needs.items[k].times * best);
}

// loss: of the time of all together; mean: geometric, over networks in a type, each of which counts alike.
static void compare(world *w, hone_store *store, double *loss, double *mean, size_t *without)
{
    double by_recheck = 0, by_resweep = 0;
    totals all = {.n = 0};
    *without = 0;
    for (size_t from = 0, to; from < w->n; from = to) {
        for (to = from; to < w->n && !strcmp(w->records[to].problem, w->records[from].problem); to++) { }
        hone_question question = {.device = w->device, .toolchain = NOW, .problem = w->records[from].problem, .mode = ""};
        hone_ranked *ranked;
        size_t n;
        need(hone_store_rank(store, &question, &ranked, &n));
        double best = resweep(w, from, to), chosen = n ? true_ns(w, from, to, ranked[0].tactic) : 0;
        hone_free(ranked);
        if (!(best > 0)) continue;
        *without += !(chosen > 0);             // no choice, or one that does not work
        add_problem_to(w, w->records[from].problem, chosen > 0 ? chosen : 10 * best, best, &all);
    }
    *mean = 0;
    for (size_t k = 0; k < all.n; k++) {
        by_recheck += all.items[k].by_recheck;
        by_resweep += all.items[k].by_resweep;
        *mean += log(all.items[k].by_recheck / all.items[k].by_resweep) / (double)all.n;
    }
    *loss = by_recheck / by_resweep - 1;
    *mean = exp(*mean) - 1;
}

static hone_store *open_over(const char *base, const char *path)
{
    hone_store *store, *under;
    need(hone_store_open(path, HONE_STORE_CREATE, &store));
    need(hone_store_open(base, HONE_STORE_READ, &under));
    hone_store_layer(store, under);
    return store;
}

static bool run(world *w, const struct scenario *s, const char *base, const char *path)
{
    size_t decisions[HONE_RECHECK_DECISIONS], without;
    double loss, mean;
    remove(path);
    hone_store *store = open_over(base, path);
    char *family = choose_family(w, store, s);
    upgrade(w, s, family);
    size_t timed = recheck(w, store, decisions);
    hone_store_close(store);
    store = open_over(base, path);
    compare(w, store, &loss, &mean, &without);
    hone_store_close(store);
    bool good = timed * 100 <= TIMED_MOST_PERCENT * w->n && loss < LOSS && mean < LOSS && !without;
    printf("%-6s seed %llu, %-20s %-36s %3zu of %zu timed, loss %6.3f%% of all time, %6.3f%% of a network's, %zu without; %zu kept, %zu rescaled, %zu apart, %zu failed\n", good ? "ok" : "FAILED",
           (unsigned long long)w->seed, s->name, s->extent == NOTHING ? "" : family, timed, w->n, 100 * loss, 100 * mean, without, decisions[HONE_RECHECK_KEEP],
           decisions[HONE_RECHECK_RESCALE], decisions[HONE_RECHECK_APART], decisions[HONE_RECHECK_RETIME]);
    hone_free(family);
    return good;
}

static void clear(world *w)
{
    for (size_t k = 0; k < w->n; k++) {
        record *r = &w->records[k];
        hone_free(r->problem), hone_free(r->tactic), hone_free(r->family), hone_free(r->depends), hone_free(r->successor);
    }
    hone_free(w->records);
    hone_needs_clear(&w->needs);
}

int main(int argc, char **argv)
{
    static const char *const devices[] = {"h200", "h100"};
    char base[512], path[512];
    int passed = 0, failed = 0, seeds = argc > 3 ? atoi(argv[3]) : 3;
    if (argc < 3) return fprintf(stderr, "recheck BUNDLED FOLDER [SEEDS [SCENARIO]]\n"), 2;
    snprintf(base, sizeof base, "%s/base.db", argv[2]);
    snprintf(path, sizeof path, "%s/own.db", argv[2]);
    for (int seed = 1; seed <= seeds; seed++) {
        world w = {.seed = (uint64_t)seed};
        hone_store *bundled;
        remove(base);
        need(hone_store_open(argv[1], HONE_STORE_READ, &bundled));
        need(hone_store_find_device(bundled, devices[seed % 2], w.device, sizeof w.device));
        need(hone_store_find_toolchain(bundled, w.device, w.toolchain, sizeof w.toolchain));
        need(hone_needs_collect(&w.needs, bundled));
        fill(&w, bundled, base);
        hone_store_close(bundled);
        for (size_t k = 0; k < sizeof scenarios / sizeof *scenarios; k++)
            if (argc < 5 || (size_t)atoi(argv[4]) == k) *(run(&w, &scenarios[k], base, path) ? &passed : &failed) += 1;
        clear(&w);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
