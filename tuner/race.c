// SPDX-License-Identifier: Apache-2.0
#include "tuner/race.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "profiler/stats.h"

#define RACERS_MAX 65536
#define RESAMPLES 400
#define CONFIDENCE 0.95

enum { ENTERING, MIDDLE, LAST, DECIDED };

void hone_race_init(hone_race *race, const hone_race_rules *rules)
{
    *race = (hone_race){.rules = *rules};
    if (race->rules.last > 16) race->rules.last = 16;
}

void hone_race_clear(hone_race *race)
{
    for (size_t k = 0; k < race->n; k++) hone_free(race->racers[k].samples);
    hone_free(race->racers);
    *race = (hone_race){0};
}

static hone_status add_samples(hone_race *race, hone_racer *racer, const double *samples, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (hone_grow(&racer->samples, racer->n, &racer->capacity, sizeof *racer->samples, 1 << 20)) return HONE_NO_MEMORY;
        racer->samples[racer->n++] = samples[k];
        if (race->stage != ENTERING) race->spent_ns += samples[k] + race->rules.overhead_ns;
    }
    racer->least = hone_stats_min(racer->samples, racer->n);
    racer->median = hone_stats_median(racer->samples, racer->n);
    return HONE_OK;
}

double hone_race_best_ns(const hone_race *race)
{
    double best = 0;
    for (size_t k = 0; k < race->n; k++)
        if (race->racers[k].n && (best == 0 || race->racers[k].median < best)) best = race->racers[k].median;
    return best;
}

static void drop_hopeless(hone_race *race)
{
    double bar = hone_race_best_ns(race) * race->rules.hopeless;
    for (size_t k = 0; k < race->n; k++)
        if (race->racers[k].least > bar) race->racers[k].is_out = true;
}

hone_status hone_race_enter(hone_race *race, const char *tactic, int64_t workspace_bytes, const double *samples, size_t n)
{
    HONE_ASSERT(race->stage == ENTERING);
    if (hone_grow(&race->racers, race->n, &race->capacity, sizeof *race->racers, RACERS_MAX)) return HONE_NO_MEMORY;
    hone_racer *racer = &race->racers[race->n];
    *racer = (hone_racer){.tactic = tactic, .workspace_bytes = workspace_bytes};
    race->n++;
    hone_status status = add_samples(race, racer, samples, n);
    drop_hopeless(race);
    return status;
}

hone_status hone_race_tell(hone_race *race, size_t racer, const double *samples, size_t n)
{
    return add_samples(race, &race->racers[racer], samples, n);
}

void hone_race_withdraw(hone_race *race, size_t racer)
{
    race->racers[racer].is_out = true;
    race->racers[racer].n = 0;
}

// ---- who goes on

// Below zero when a goes before b: by median, workspace, spelling.
static int rank(const hone_racer *a, const hone_racer *b)
{
    if (a->median != b->median) return a->median < b->median ? -1 : 1;
    if (a->workspace_bytes != b->workspace_bytes) return a->workspace_bytes < b->workspace_bytes ? -1 : 1;
    return strcmp(a->tactic, b->tactic);
}

static int find_leader(const hone_race *race, bool running_only)
{
    int leader = -1;
    for (size_t k = 0; k < race->n; k++) {
        if (!race->racers[k].n || (running_only && race->racers[k].is_out)) continue;
        if (leader < 0 || rank(&race->racers[k], &race->racers[leader]) < 0) leader = (int)k;
    }
    return leader;
}

static size_t count_running(const hone_race *race)
{
    size_t count = 0;
    for (size_t k = 0; k < race->n; k++) count += !race->racers[k].is_out;
    return count;
}

static void keep_last(hone_race *race)
{
    while (count_running(race) > (size_t)race->rules.last) {
        size_t slowest = 0;
        bool found = false;
        for (size_t k = 0; k < race->n; k++) {
            if (race->racers[k].is_out || (found && rank(&race->racers[k], &race->racers[slowest]) < 0)) continue;
            slowest = k;
            found = true;
        }
        race->racers[slowest].is_out = true;
    }
}

static void find_interval(const hone_race *race, const hone_racer *a, const hone_racer *b, double *low, double *high)
{
    hone_stats_ratio_interval(a->samples, a->n, b->samples, b->n, CONFIDENCE, RESAMPLES, race->rules.seed, low, high);
}

// Whoever is surely slower than the leader, or surely no different, needs no more samples.
static void drop_decided(hone_race *race)
{
    int leader = find_leader(race, true);
    for (size_t k = 0; k < race->n && leader >= 0; k++) {
        hone_racer *racer = &race->racers[k];
        double low, high;
        if (racer->is_out || (int)k == leader) continue;
        find_interval(race, racer, &race->racers[leader], &low, &high);
        bool is_slower = low > 1, is_same = low >= 1 - race->rules.close && high <= 1 + race->rules.close;
        racer->is_out = is_slower || is_same || racer->n >= (size_t)race->rules.most;
    }
}

// ---- asking

static void shuffle_round(hone_race *race)
{
    race->n_turns = race->turn = 0;
    for (size_t k = 0; k < race->n; k++)
        if (!race->racers[k].is_out) race->order[race->n_turns++] = k;
    for (size_t k = race->n_turns; k > 1; k--) {
        size_t other = hone_rng_bits(race->rules.seed, (uint64_t)race->rounds, k) % k, kept = race->order[k - 1];
        race->order[k - 1] = race->order[other];
        race->order[other] = kept;
    }
    race->rounds++;
}

static bool is_out_of_time(const hone_race *race)
{
    return race->rules.limit_ns > 0 && race->spent_ns >= race->rules.limit_ns;
}

static bool ask_middle(hone_race *race, size_t *racer, int *samples)
{
    for (size_t k = 0; k < race->n && !is_out_of_time(race); k++) {
        if (race->racers[k].is_out || race->racers[k].n >= (size_t)race->rules.middle) continue;
        *racer = k;
        *samples = race->rules.middle - (int)race->racers[k].n;
        return true;
    }
    keep_last(race);
    race->stage = LAST;
    return false;
}

static bool ask_last(hone_race *race, size_t *racer, int *samples)
{
    if (race->turn == race->n_turns) {
        drop_decided(race);
        if (count_running(race) > 1 && !is_out_of_time(race)) shuffle_round(race);
    }
    while (race->turn < race->n_turns) {
        size_t next = race->order[race->turn++];
        if (race->racers[next].is_out) continue;
        *racer = next;
        *samples = race->rules.round;
        return true;
    }
    race->stage = DECIDED;
    return false;
}

bool hone_race_ask(hone_race *race, size_t *racer, int *samples)
{
    if (race->stage == ENTERING) {
        drop_hopeless(race);
        race->stage = count_running(race) > 1 ? MIDDLE : DECIDED;
    }
    if (race->stage == MIDDLE && ask_middle(race, racer, samples)) return true;
    return race->stage == LAST && ask_last(race, racer, samples);
}

int hone_race_winner(hone_race *race)
{
    int leader = find_leader(race, false), winner = leader;
    for (size_t k = 0; k < race->n && leader >= 0; k++) {
        hone_racer *racer = &race->racers[k], *best = &race->racers[winner];
        double low, high;
        if (!racer->n || (int)k == leader || racer->median > race->racers[leader].median * race->rules.hopeless) continue;
        find_interval(race, racer, &race->racers[leader], &low, &high);
        bool is_tied = low <= 1 || low - 1 <= race->rules.close;
        bool is_preferred = racer->workspace_bytes != best->workspace_bytes ? racer->workspace_bytes < best->workspace_bytes
                                                                            : strcmp(racer->tactic, best->tactic) < 0;
        if (is_tied && is_preferred) winner = (int)k;
    }
    return winner;
}
