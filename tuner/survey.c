// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "kernels/source.h"
#include "profiler/stats.h"
#include "tuner/needs.h"
#include "tuner/survey_priv.h"

#define RECORDS_MAX ((size_t)1 << 24)
#define ARENA_BYTES_MAX ((size_t)2 << 30)
#define STREAM 0x737572766579u         // keeps the draw apart from other uses of the seed
#define CLOSE 0.03                     // a record this part above its problem's best counts 1/e of the best: half of all runners-up are nearer
#define CONTENDER 1.10                 // and one within this speaks for its family's share
#define SPREAD_LEAST 0.03              // of a family that is timed again, when its sample says less
#define SPREAD_UNKNOWN 0.10            // and when its sample says nothing
#define ABSORBED 0.05                  // what a problem counts that is the beginning of another
#define UNNEEDED 1e-9                  // what a problem counts that no registered network needs: families of none but such are sampled too
#define NOTHING_ELSE 10                // a problem without another usable record is taken to be this much slower
#define GRAIN_NS 9.2                   // of CUPTI's times, which come in steps of 32 ns on an H100: 32 / sqrt(12)
#define SCALE_MOST 8                   // a family that moved by more is not explained by a scale
#define BURST 8                        // records timed before what is next is reckoned anew

enum { FIRST_OF_LARGE = 2, FIRST_OF_LARGEST = 3, WHEN_MOVED = 4, WHEN_APART = 6, WHEN_NEW = 3, GONE_FAILURES = 4, LIBRARY_FAMILIES = 3, COST_ANEW = 4, SHARE_LEAST = 100 };

hone_survey_rules hone_survey_usual(uint64_t seed)
{
    // Medians of ten samples of one kernel differ by up to 1% from run to run on an H100; winners were picked for having been lucky.
    return (hone_survey_rules){.tolerance = 0.02, .loss = 0.0005, .share = 0.03, .seed = seed};
}

// ---- gathering

static hone_survey_record *add_record(hone_survey *s)
{
    if (hone_grow(&s->records, s->n_records, &s->records_capacity, sizeof *s->records, RECORDS_MAX)) return NULL;
    hone_survey_record *made = &s->records[s->n_records++];
    *made = (hone_survey_record){.family = -1};
    return made;
}

static hone_survey_problem *problem_of(hone_survey *s, const char *spelling)
{
    if (s->n_problems && !strcmp(s->problems[s->n_problems - 1].spelling, spelling)) return &s->problems[s->n_problems - 1];
    if (hone_grow(&s->problems, s->n_problems, &s->problems_capacity, sizeof *s->problems, RECORDS_MAX)) return NULL;
    hone_survey_problem *made = &s->problems[s->n_problems];
    *made = (hone_survey_problem){.spelling = hone_arena_strdup(s->arena, spelling), .from = s->n_records, .to = s->n_records, .best_ns = INFINITY};
    return made->spelling ? (s->n_problems++, made) : NULL;
}

static int find_kin(hone_survey *s, const char *family, const char *depends, bool is_anew)
{
    for (size_t k = 0; k < s->n_kin; k++)
        if (!strcmp(s->kin[k].is.family, family) && !strcmp(s->kin[k].is.depends, depends) && s->kin[k].is.is_anew == is_anew) return (int)k;
    if (hone_grow(&s->kin, s->n_kin, &s->kin_capacity, sizeof *s->kin, RECORDS_MAX)) return -1;
    s->kin[s->n_kin] = (hone_survey_kin){.is = {.family = hone_arena_strdup(s->arena, family), .depends = hone_arena_strdup(s->arena, depends),
                                                .is_anew = is_anew, .scale = 1, .low = 1, .high = 1}, .parent = -1};
    return s->kin[s->n_kin].is.family && s->kin[s->n_kin].is.depends ? (int)s->n_kin++ : -1;
}

static hone_status add(void *user, const hone_record *known)
{
    hone_survey *s = user;
    bool is_stale = known->before_ns > 0;
    hone_survey_problem *problem = problem_of(s, known->problem);
    hone_survey_record *made = problem ? add_record(s) : NULL;
    int family = made && is_stale ? find_kin(s, known->family, known->depends, false) : -1;
    if (!made || (is_stale && family < 0)) return HONE_NO_MEMORY;
    made->family = family;
    made->problem = s->n_problems - 1;
    made->is = (hone_survey_item){.problem = problem->spelling, .family = is_stale ? s->kin[family].is.family : "",
                                  .tactic = hone_arena_strdup(s->arena, known->tactic), .before_ns = known->before_ns};
    made->now_ns = known->now_ns;
    made->before_noise = known->before_noise;
    made->now_noise = known->now_noise;
    made->has_failed = known->has_failed;
    s->n_ran += is_stale && (known->now_ns > 0 || known->has_failed);
    problem->to = s->n_records;
    problem->best_ns = fmin(problem->best_ns, is_stale ? known->before_ns : known->now_ns);
    return made->is.tactic ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status add_use(hone_survey *s, hone_survey_problem *problem, const char *network, double times)
{
    size_t at = 0;
    char type[16];
    hone_family_type(problem->spelling, type);
    while (at < s->n_engines && (strcmp(s->engines[at].network, network) || strcmp(s->engines[at].type, type))) at++;
    if (at == s->n_engines) {
        if (hone_grow(&s->engines, s->n_engines, &s->engines_capacity, sizeof *s->engines, RECORDS_MAX)) return HONE_NO_MEMORY;
        hone_survey_engine *made = &s->engines[s->n_engines++];
        *made = (hone_survey_engine){.total_ns = 0};
        snprintf(made->network, sizeof made->network, "%s", network);
        snprintf(made->type, sizeof made->type, "%s", type);
    }
    if (hone_grow(&s->uses, s->n_uses, &s->uses_capacity, sizeof *s->uses, RECORDS_MAX)) return HONE_NO_MEMORY;
    s->uses[s->n_uses++] = (hone_survey_use){at, times};
    s->engines[at].total_ns += times * problem->best_ns;
    problem->uses_to = s->n_uses;
    return HONE_OK;
}

// Whether a longer chain begins with this one: rules propose both, and partition takes the longer nearly always. They stand behind it.
static bool is_absorbed(const hone_survey *s, const hone_needs *needs, size_t at)
{
    const char *spelling = s->problems[at].spelling;
    size_t size = strlen(spelling), count;
    for (size_t k = at + 1; k < s->n_problems && !strncmp(s->problems[k].spelling, spelling, size); k++)
        if (!strncmp(s->problems[k].spelling + size, " | ", 3) && (hone_needs_find(needs, s->problems[k].spelling, &count), count)) return true;
    return false;
}

static hone_status find_uses(hone_survey *s, const hone_needs *needs, size_t at)
{
    hone_survey_problem *problem = &s->problems[at];
    size_t count, first = hone_needs_find(needs, problem->spelling, &count);
    double part = count && is_absorbed(s, needs, at) ? ABSORBED : 1;
    hone_status status = HONE_OK;
    problem->uses_from = problem->uses_to = s->n_uses;
    for (size_t k = first; k < first + count && status == HONE_OK; k++) status = add_use(s, problem, needs->items[k].network, part * (double)needs->items[k].times);
    return needs->n || status != HONE_OK ? status : add_use(s, problem, "", 1);        // without networks every problem is needed once
}

// A network in one type counts as much as any other, however long it takes: what a build loses is a part of its own time.
static hone_status weigh_problems(hone_survey *s, hone_store *store)
{
    hone_needs needs = {0};
    hone_status status = hone_needs_collect(&needs, store);
    for (size_t k = 0; k < s->n_problems && status == HONE_OK; k++) status = find_uses(s, &needs, k);
    for (size_t k = 0; k < s->n_problems && status == HONE_OK; k++) {
        hone_survey_problem *problem = &s->problems[k];
        problem->weight = UNNEEDED / problem->best_ns;
        for (size_t j = problem->uses_from; j < problem->uses_to; j++) problem->weight += s->uses[j].times / s->engines[s->uses[j].engine].total_ns;
    }
    hone_needs_clear(&needs);
    return status;
}

static bool is_needed(const hone_survey_problem *problem)
{
    return problem->uses_to > problem->uses_from;
}

// ---- what sources offer anew

// A vendor's library may list other points than before; what hone's own kernels are does not change with a library.
static bool lists_points(const char *family)
{
    const hone_source *source = hone_source_of(family);
    return source && !source->compile && *source->depends;
}

static double best_of(const hone_survey *s, const hone_survey_problem *problem, int family)
{
    double best = INFINITY;
    for (size_t k = problem->from; k < problem->to; k++)
        if (s->records[k].family == family) best = fmin(best, s->records[k].is.before_ns);
    return best;
}

static hone_status add_anew(hone_survey *s, int parent)
{
    int family = find_kin(s, s->kin[parent].is.family, s->kin[parent].is.depends, true);
    if (family < 0) return HONE_NO_MEMORY;
    s->kin[family].parent = parent;
    s->kin[family].is.share = s->kin[parent].is.share;
    for (size_t k = 0; k < s->n_problems; k++) {
        double before_ns = best_of(s, &s->problems[k], parent);
        if (!isfinite(before_ns) || !is_needed(&s->problems[k])) continue;
        hone_survey_record *made = add_record(s);
        if (!made) return HONE_NO_MEMORY;
        made->is = (hone_survey_item){.problem = s->problems[k].spelling, .family = s->kin[family].is.family, .before_ns = before_ns};
        made->family = family;
        made->problem = k;
    }
    return HONE_OK;
}

static hone_status add_all_anew(hone_survey *s)
{
    hone_status status = HONE_OK;
    for (size_t k = 0, n = s->n_kin; k < n && status == HONE_OK; k++)
        if (lists_points(s->kin[k].is.family)) status = add_anew(s, (int)k);
    return status;
}

// ---- drawing

static void draw(hone_survey *s, size_t number)
{
    hone_survey_record *record = &s->records[number];
    const hone_survey_problem *problem = &s->problems[record->problem];
    double u = hone_rng_uniform(s->rules.seed, STREAM, number), above = log(record->is.before_ns / problem->best_ns);
    record->size = problem->weight * problem->best_ns * (exp(-above / CLOSE) + 1e-9);
    record->key = record->size > 0 ? -log(1 - u) / record->size : INFINITY;
}

static int by_draw(const void *a, const void *b, void *records)
{
    const hone_survey_record *x = (hone_survey_record *)records + *(const size_t *)a, *y = (hone_survey_record *)records + *(const size_t *)b;
    if (x->family != y->family) return x->family - y->family;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x < y ? -1 : 1;
}

static hone_status draw_order(hone_survey *s)
{
    s->drawn = hone_alloc((s->n_records + 1) * sizeof *s->drawn);
    s->room = hone_alloc((s->n_records + 1) * sizeof *s->room);
    s->noise = hone_alloc((s->n_records + 1) * sizeof *s->noise);
    if (!s->drawn || !s->room || !s->noise) return HONE_NO_MEMORY;
    for (size_t k = 0; k < s->n_records; k++)
        if (s->records[k].family >= 0) s->drawn[s->n_drawn++] = k;
    if (s->n_drawn) qsort_r(s->drawn, s->n_drawn, sizeof *s->drawn, by_draw, s->records);
    for (size_t k = 0; k < s->n_drawn; k++) {
        hone_survey_kin *kin = &s->kin[s->records[s->drawn[k]].family];
        if (!kin->is.records++) kin->from = k;
        kin->to = k + 1;
        kin->drawable += s->records[s->drawn[k]].size > 0;
    }
    return HONE_OK;
}

// A family's share counts a problem once, whichever of its records is close there.
static void share_out(hone_survey *s, const hone_survey_problem *problem)
{
    for (size_t k = problem->from; k < problem->to; k++) {
        const hone_survey_record *record = &s->records[k];
        bool is_first = record->family >= 0 && record->is.before_ns <= problem->best_ns * CONTENDER;
        for (size_t j = problem->from; j < k && is_first; j++)
            is_first = s->records[j].family != record->family || s->records[j].is.before_ns > problem->best_ns * CONTENDER;
        if (is_first && s->n_engines) s->kin[record->family].is.share += problem->weight * problem->best_ns / (double)s->n_engines;
    }
}

static hone_status draw_all(hone_survey *s)
{
    for (size_t k = 0; k < s->n_problems; k++) share_out(s, &s->problems[k]);
    hone_status status = add_all_anew(s);
    if (status != HONE_OK) return status;
    for (size_t k = 0; k < s->n_records; k++)
        if (s->records[k].family >= 0) draw(s, k);
    for (size_t k = 0; k < s->n_kin; k++) {
        double share = s->kin[k].is.share;
        s->kin[k].wanted = share > 0.05 && !s->kin[k].is.is_anew ? FIRST_OF_LARGEST : share > 0.005 ? FIRST_OF_LARGE : 1;
    }
    return draw_order(s);
}

hone_status hone_survey_new(hone_store *store, const char *device, const char *toolchain, const char *mode, const hone_survey_rules *rules, hone_survey **survey)
{
    hone_survey *s = hone_calloc(1, sizeof *s);
    hone_status status = s ? HONE_OK : HONE_NO_MEMORY;
    *survey = NULL;
    if (!s) return status;
    s->rules = *rules;
    s->arena = hone_arena_new(ARENA_BYTES_MAX);
    if (s->arena) s->device = hone_arena_strdup(s->arena, device), s->toolchain = hone_arena_strdup(s->arena, toolchain), s->mode = hone_arena_strdup(s->arena, mode);
    if (!s->arena || !s->device || !s->toolchain || !s->mode) status = HONE_NO_MEMORY;
    if (status == HONE_OK) status = hone_store_each_record(store, device, toolchain, mode, add, s);
    if (status == HONE_OK) status = weigh_problems(s, store);
    if (status == HONE_OK) status = draw_all(s);
    if (status == HONE_OK) *survey = s;
    else hone_survey_free(s);
    return status;
}

void hone_survey_free(hone_survey *s)
{
    if (!s) return;
    hone_free(s->records);
    hone_free(s->problems);
    hone_free(s->engines);
    hone_free(s->uses);
    hone_free(s->kin);
    hone_free(s->drawn);
    hone_free(s->told);
    hone_free(s->room);
    hone_free(s->noise);
    hone_arena_free(s->arena);
    hone_free(s);
}

// ---- judging

// Two deviations of a ratio's logarithm: what the samples say, and the timer's grain.
static double slack(const hone_survey_record *record)
{
    double grain = GRAIN_NS * (1 / record->now_ns + 1 / record->is.before_ns);
    return 2 * sqrt(record->before_noise * record->before_noise + record->now_noise * record->now_noise + grain * grain);
}

static size_t gather_ratios(hone_survey *s, hone_survey_kin *kin)
{
    size_t n = 0;
    kin->is.failed = 0;
    for (size_t k = kin->from; k < kin->to; k++) {
        const hone_survey_record *record = &s->records[s->drawn[k]];
        kin->is.failed += record->has_failed;
        if (!(record->now_ns > 0)) continue;
        s->room[n] = log(record->now_ns / record->is.before_ns);
        s->noise[n++] = slack(record);
    }
    return kin->is.timed = n;
}

typedef struct sample {
    size_t n, known;               // known: with those that failed
    double far, apart;             // how far one lies from the middle, and two from each other, beyond what noise explains
    double moved;                  // and one from what the library did
    double robust, wide;           // deviations of all: by the median of those beyond noise; by their squares, less what noise adds to those
} sample;

// A deviation beyond what noise explains.
static double beyond(double deviation, double noise)
{
    return deviation > noise ? deviation - noise : deviation < -noise ? deviation + noise : 0;
}

static sample take_sample(hone_survey *s, hone_survey_kin *kin)
{
    sample taken = {.n = gather_ratios(s, kin)};
    double least = INFINITY, most = -INFINITY, low = 0, high = 0, squares = 0;
    size_t n = taken.n;
    taken.known = n + kin->is.failed;
    kin->middle = n ? hone_stats_median(s->room, n) : 0;
    for (size_t k = 0; k < n; k++) {
        least = fmin(least, s->room[k]);
        most = fmax(most, s->room[k]);
        taken.moved = fmax(taken.moved, fabs(beyond(s->room[k] - kin->library, s->noise[k])));
        squares += (s->room[k] - kin->middle) * (s->room[k] - kin->middle) - s->noise[k] * s->noise[k] / 4;
        s->room[k] = beyond(s->room[k] - kin->middle, s->noise[k]);
        low = fmin(low, s->room[k]);
        high = fmax(high, s->room[k]);
    }
    taken.far = fmax(high, -low);
    taken.apart = high - low;
    taken.robust = n >= 3 ? 1.4826 * hone_stats_mad(s->room, n) : 0;       // of a normal distribution, its deviation
    taken.wide = n >= WHEN_MOVED ? sqrt(fmax(0, squares / (double)(n - 1))) : 0;
    kin->spread = fmax(taken.robust, taken.wide);
    kin->is.low = n ? exp(least) : 1;
    kin->is.high = n ? exp(most) : 1;
    return taken;
}

// How large the sample should be, from what it shows: a record that moved with all of its library tells nothing new.
static size_t wish(const hone_survey *s, const hone_survey_kin *kin, const sample *taken)
{
    double tolerance = s->rules.tolerance;
    if (kin->is.is_anew) return taken->n ? WHEN_NEW : 0;
    if (taken->n && (kin->is.failed || taken->apart > 2 * tolerance || taken->wide > 2 * tolerance)) return WHEN_APART;
    return taken->moved > tolerance || kin->is.failed ? WHEN_MOVED : 0;
}

static void judge(hone_survey *s, hone_survey_kin *kin)
{
    sample taken = take_sample(s, kin);
    double tolerance = s->rules.tolerance, centre = taken.moved <= tolerance ? kin->library : kin->middle;      // of more families is more sure
    bool differs = taken.robust > tolerance || taken.far > 4 * tolerance || taken.wide > 2 * tolerance;
    size_t wanted = wish(s, kin, &taken);
    if (wanted > kin->wanted) kin->wanted = wanted;
    kin->is_gone = !kin->is.is_anew && !taken.n && taken.known && (taken.known >= GONE_FAILURES || taken.known >= kin->drawable);
    kin->is.is_decided = taken.known && (taken.known >= kin->wanted || taken.known >= kin->drawable);
    if (kin->is.failed || kin->is.is_anew || !taken.n || fabs(kin->middle) > log(SCALE_MOST)) kin->is.decision = HONE_RECHECK_RETIME;
    else if (differs) kin->is.decision = HONE_RECHECK_APART;
    else kin->is.decision = fabs(centre) > tolerance ? HONE_RECHECK_RESCALE : HONE_RECHECK_KEEP;
    kin->is.scale = kin->is.decision == HONE_RECHECK_RESCALE ? exp(centre) : kin->is.decision == HONE_RECHECK_APART ? exp(kin->middle) : 1;
}

// What a library did to most of its families. With a few it is not known: then nothing is expected.
static void judge_libraries(hone_survey *s)
{
    for (size_t k = 0; k < s->n_kin; k++) {
        size_t n = 0;
        for (size_t j = 0; j < s->n_kin; j++)
            if (!s->kin[j].is.is_anew && s->kin[j].is.timed && !strcmp(s->kin[j].is.depends, s->kin[k].is.depends)) s->room[n++] = s->kin[j].middle;
        s->kin[k].library = n >= LIBRARY_FAMILIES ? hone_stats_median(s->room, n) : 0;
    }
}

void hone_survey_judge(hone_survey *s)
{
    for (size_t k = 0; k < s->n_kin; k++) (void)take_sample(s, &s->kin[k]);
    judge_libraries(s);
    for (size_t k = 0; k < s->n_kin; k++) judge(s, &s->kin[k]);
}

bool hone_survey_stands(const hone_survey_kin *kin)
{
    return kin->is.is_decided && (kin->is.decision == HONE_RECHECK_KEEP || kin->is.decision == HONE_RECHECK_RESCALE);
}

double hone_survey_usable_ns(const hone_survey *s, const hone_survey_record *record)
{
    if (record->has_failed) return INFINITY;
    if (record->now_ns > 0) return record->now_ns;
    const hone_survey_kin *kin = &s->kin[record->family];
    return hone_survey_stands(kin) ? record->is.before_ns * kin->is.scale : INFINITY;
}

// What a family that moved apart leaves for where nothing else may be used.
static double last_resort_ns(const hone_survey *s, const hone_survey_record *record)
{
    if (record->has_failed || record->family < 0) return INFINITY;
    const hone_survey_kin *kin = &s->kin[record->family];
    return kin->is.is_decided && kin->is.decision == HONE_RECHECK_APART ? record->is.before_ns * kin->is.scale : INFINITY;
}

static double usable_best(const hone_survey *s, const hone_survey_problem *problem)
{
    double best = problem->anew_ns > 0 ? problem->anew_ns : INFINITY;
    for (size_t k = problem->from; k < problem->to; k++) best = fmin(best, hone_survey_usable_ns(s, &s->records[k]));
    if (isfinite(best)) return best;
    for (size_t k = problem->from; k < problem->to; k++) best = fmin(best, last_resort_ns(s, &s->records[k]));
    return best;
}

// ---- asking

static bool is_open(const hone_survey_record *record)
{
    return record->size > 0 && !record->has_failed && !(record->now_ns > 0);
}

// The next of a family's draw, as many as it wants.
static size_t ask_sample(const hone_survey *s, const hone_survey_kin *kin, size_t *items, size_t most)
{
    size_t count = 0, known = kin->is.timed + kin->is.failed;
    for (size_t k = kin->from; k < kin->to && count < most && known + count < kin->wanted; k++)
        if (is_open(&s->records[s->drawn[k]])) items[count++] = s->drawn[k];
    return count;
}

typedef struct gain {
    double ns, value;                  // of one use; of the engine that it matters most to, a part
    size_t item;
    bool is_must;                      // nothing else can be used on its problem
} gain;

// Expected improvement: how much the record is expected to fall below the best that can be used.
static gain improvement(const hone_survey *s, size_t item, double best_ns)
{
    const hone_survey_record *record = &s->records[item];
    const hone_survey_kin *kin = &s->kin[record->family];
    double expected_ns = record->is.before_ns * exp(kin->middle);
    double deviation = kin->is.timed >= 3 ? fmax(kin->spread, SPREAD_LEAST) : SPREAD_UNKNOWN;
    bool is_must = !isfinite(best_ns) && is_needed(&s->problems[record->problem]);
    double z = log((isfinite(best_ns) ? best_ns : NOTHING_ELSE * expected_ns) / expected_ns) / deviation;
    double falls = deviation * (z * 0.5 * erfc(-z / sqrt(2)) + exp(-z * z / 2) / sqrt(2 * M_PI));
    double works = (double)(kin->is.timed + 1) / (double)(kin->is.timed + kin->is.failed + 2);     // Laplace's rule of succession
    return (gain){.ns = expected_ns * falls * works, .item = item, .is_must = is_must};
}

static int by_value(const void *a, const void *b)
{
    const gain *x = a, *y = b;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

// Whether more of a family is worth timing: it has to be timed again, or what is offered anew is needed, or was faster.
static bool is_worth_it(const hone_survey *s, const hone_survey_kin *kin)
{
    if (!kin->is.is_decided || kin->is_gone) return false;
    if (kin->parent < 0) return !hone_survey_stands(kin);
    return s->kin[kin->parent].is_gone || (kin->is.timed && kin->middle < -s->rules.tolerance);
}

// Of each problem the record that promises most, and what all that promises to each engine.
static void find_gains(const hone_survey *s, gain *gains, double *left)
{
    for (size_t k = 0; k < s->n_drawn; k++) {
        const hone_survey_record *record = &s->records[s->drawn[k]];
        if (!is_open(record) || !is_worth_it(s, &s->kin[record->family])) continue;
        gain found = improvement(s, s->drawn[k], usable_best(s, &s->problems[record->problem]));
        if (found.ns > gains[record->problem].ns) gains[record->problem] = found;
    }
    for (size_t k = 0; k < s->n_problems; k++)
        for (size_t j = s->problems[k].uses_from; j < s->problems[k].uses_to; j++)
            left[s->uses[j].engine] += s->uses[j].times * gains[k].ns / s->engines[s->uses[j].engine].total_ns;
}

// What a gain is worth to the engine that it matters most to, of those that still have something to win.
static double value_of(const hone_survey *s, const hone_survey_problem *problem, const gain *of, const double *left)
{
    double most = of->is_must ? 1 : 0;
    for (size_t j = problem->uses_from; j < problem->uses_to; j++) {
        const hone_survey_use *use = &s->uses[j];
        if (left[use->engine] > s->rules.loss) most = fmax(most, use->times * of->ns / s->engines[use->engine].total_ns);
    }
    return most;
}

static hone_status ask_gains(const hone_survey *s, size_t *items, size_t most, size_t *count)
{
    gain *gains = hone_calloc(s->n_problems + 1, sizeof *gains);
    double *left = hone_calloc(s->n_engines + 1, sizeof *left);
    size_t cost = 0;
    hone_status status = gains && left ? HONE_OK : HONE_NO_MEMORY;
    if (status == HONE_OK) find_gains(s, gains, left);
    for (size_t k = 0; k < s->n_problems && status == HONE_OK; k++)
        if (gains[k].ns > 0) gains[k].value = value_of(s, &s->problems[k], &gains[k], left);
    if (status == HONE_OK) qsort(gains, s->n_problems, sizeof *gains, by_value);
    for (size_t k = 0; k < s->n_problems && status == HONE_OK && gains[k].value > 0 && *count < most && *count < BURST; k++) {
        cost += s->records[gains[k].item].is.tactic ? 1 : COST_ANEW;
        if (gains[k].is_must || (double)(s->n_ran + cost) <= fmax(SHARE_LEAST, s->rules.share * (double)hone_survey_stale(s))) items[(*count)++] = gains[k].item;
    }
    hone_free(gains);
    hone_free(left);
    return status;
}

hone_status hone_survey_ask(hone_survey *s, size_t *items, size_t most, size_t *count)
{
    *count = 0;
    hone_survey_judge(s);
    for (size_t k = 0; k < s->n_kin; k++) *count += ask_sample(s, &s->kin[k], items + *count, most - *count);
    return *count ? HONE_OK : ask_gains(s, items, most, count);
}

hone_survey_item hone_survey_get(const hone_survey *s, size_t item)
{
    return s->records[item].is;
}

bool hone_survey_knows(const hone_survey *s, size_t item, const char *tactic)
{
    const hone_survey_problem *problem = &s->problems[s->records[item].problem];
    for (size_t k = problem->from; k < problem->to; k++)
        if (!strcmp(s->records[k].is.tactic, tactic)) return true;
    return false;
}

void hone_survey_tell(hone_survey *s, size_t item, const hone_survey_answer *answer)
{
    hone_survey_record *record = &s->records[item];
    hone_survey_problem *problem = &s->problems[record->problem];
    record->now_ns = answer->now_ns;
    record->now_noise = answer->noise;
    record->has_failed = !(answer->now_ns > 0);
    s->n_ran += answer->ran;
    if (!record->is.tactic && answer->now_ns > 0 && (!(problem->anew_ns > 0) || answer->now_ns < problem->anew_ns)) problem->anew_ns = answer->now_ns;
}

// ---- what came of it

size_t hone_survey_stale(const hone_survey *s)
{
    size_t count = 0;
    for (size_t k = 0; k < s->n_records; k++) count += s->records[k].family >= 0 && s->records[k].is.tactic;
    return count;
}

size_t hone_survey_left(const hone_survey *s, size_t *without)
{
    size_t count = 0;
    *without = 0;
    for (size_t k = 0; k < s->n_problems; k++) {
        const hone_survey_problem *problem = &s->problems[k];
        bool is_left = false;
        for (size_t j = problem->from; j < problem->to; j++) is_left |= !s->records[j].has_failed && !isfinite(hone_survey_usable_ns(s, &s->records[j]));
        bool is_without = !isfinite(usable_best(s, problem));
        count += is_needed(problem) && (is_left || is_without);
        *without += is_needed(problem) && is_without;
    }
    return count;
}

static int by_share(const void *a, const void *b)
{
    const hone_survey_family *x = a, *y = b;
    if (x->share != y->share) return x->share > y->share ? -1 : 1;
    int order = strcmp(x->family, y->family);
    if (!order) order = strcmp(x->depends, y->depends);
    return order ? order : x->is_anew - y->is_anew;
}

size_t hone_survey_families(hone_survey *s, const hone_survey_family **families)
{
    *families = NULL;
    hone_survey_judge(s);
    hone_free(s->told);
    s->told = hone_alloc((s->n_kin + 1) * sizeof *s->told);
    if (!s->told) return 0;
    for (size_t k = 0; k < s->n_kin; k++) s->told[k] = s->kin[k].is;
    if (s->n_kin) qsort(s->told, s->n_kin, sizeof *s->told, by_share);
    *families = s->told;
    return s->n_kin;
}
