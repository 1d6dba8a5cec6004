// SPDX-License-Identifier: Apache-2.0
#include "tuner/spot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "tuner/tune_priv.h"

#define SPOTS_MAX ((size_t)1 << 24)
#define STREAM 0x73706f74u             // keeps the draw apart from other uses of the seed
#define NEAR_BEST 1.02                 // a claim this near the best that is known may be chosen

enum { SAMPLES = 10, CHECKED_LEAST = 50 };

typedef struct finding {
    hone_tune *tune;
    hone_spots *spots;
} finding;

void hone_spots_clear(hone_spots *spots)
{
    for (size_t k = 0; k < spots->n; k++) hone_free(spots->items[k].problem), hone_free(spots->items[k].tactic);
    hone_free(spots->items);
    hone_free(spots->writers);
    *spots = (hone_spots){0};
}

// ---- finding

static hone_spot_writer *writer_of(hone_spots *spots, const char *writer)
{
    for (size_t k = 0; k < spots->n_writers; k++)
        if (!strcmp(spots->writers[k].writer, writer)) return &spots->writers[k];
    if (hone_grow(&spots->writers, spots->n_writers, &spots->writers_capacity, sizeof *spots->writers, SPOTS_MAX)) return NULL;
    hone_spot_writer *made = &spots->writers[spots->n_writers++];
    *made = (hone_spot_writer){.claims = 0};
    snprintf(made->writer, sizeof made->writer, "%s", writer);
    return made;
}

static bool agree(double own_ns, double claimed_ns)
{
    return own_ns > 0 && own_ns <= claimed_ns * HONE_SPOT_AGREE && claimed_ns <= own_ns * HONE_SPOT_AGREE;
}

static hone_status add_spot(hone_spots *spots, const hone_claim *claim)
{
    if (hone_grow(&spots->items, spots->n, &spots->capacity, sizeof *spots->items, SPOTS_MAX)) return HONE_NO_MEMORY;
    hone_spot *made = &spots->items[spots->n];
    *made = (hone_spot){.problem = hone_strdup(claim->problem), .tactic = hone_strdup(claim->tactic), .claimed_ns = claim->time_ns};
    snprintf(made->writer, sizeof made->writer, "%s", claim->writer);
    double lead = claim->besides_ns > 0 ? log(claim->besides_ns / claim->time_ns) : 0.05;
    made->suspicion = fmax(0, lead) + 0.1 / (double)claim->writers;
    spots->n += made->problem && made->tactic;
    return made->problem && made->tactic ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status take_claim(void *user, const hone_claim *claim)
{
    finding *f = user;
    hone_spot_writer *writer = writer_of(f->spots, claim->writer);
    if (!writer) return HONE_NO_MEMORY;
    writer->claims++;
    f->spots->claims++;
    writer->checked += claim->is_checked;
    writer->failed += claim->is_checked && !agree(claim->own_ns, claim->time_ns);
    bool matters = !(claim->besides_ns > 0) || claim->time_ns <= claim->besides_ns * NEAR_BEST;
    return matters && !claim->is_checked && hone_tune_spells(claim->problem) ? add_spot(f->spots, claim) : HONE_OK;
}

// A writer of whom nothing was checked is as suspicious as a tactic 30% ahead of all others.
static void suspect_new_writers(hone_spots *spots)
{
    for (size_t k = 0; k < spots->n; k++) {
        const hone_spot_writer *writer = writer_of(spots, spots->items[k].writer);
        if (writer) spots->items[k].suspicion += 0.3 * (double)(1 + 10 * writer->failed) / sqrt((double)(1 + writer->checked));
    }
}

static int by_suspicion(const void *a, const void *b)
{
    const hone_spot *x = a, *y = b;
    if (x->suspicion != y->suspicion) return x->suspicion > y->suspicion ? -1 : 1;
    int order = strcmp(x->problem, y->problem);
    return order ? order : strcmp(x->tactic, y->tactic);
}

// Every second place goes to one drawn from all, the others to the rest in their order.
static hone_status mix(hone_spots *spots, uint64_t seed)
{
    hone_spot *sorted = hone_alloc((spots->n + 1) * sizeof *sorted);
    size_t *lot = hone_alloc((spots->n + 1) * sizeof *lot), next = 0, drawn = 0;
    bool *taken = hone_calloc(spots->n + 1, sizeof *taken);
    hone_status status = sorted && lot && taken ? HONE_OK : HONE_NO_MEMORY;
    for (size_t k = 0; k < spots->n && !status; k++) sorted[k] = spots->items[k], lot[k] = k;
    for (size_t k = spots->n; k > 1 && !status; k--) {
        size_t other = hone_rng_bits(seed, STREAM, k) % k, kept = lot[k - 1];
        lot[k - 1] = lot[other];
        lot[other] = kept;
    }
    for (size_t k = 0; k < spots->n && !status; k++) {
        while (k % 2 && taken[lot[drawn]]) drawn++;
        while (k % 2 == 0 && taken[next]) next++;
        size_t chosen = k % 2 ? lot[drawn] : next;
        taken[chosen] = true;
        spots->items[k] = sorted[chosen];
    }
    hone_free(sorted);
    hone_free(lot);
    hone_free(taken);
    return status;
}

hone_status hone_spots_find(hone_tune *t, const char *own, hone_spots *spots)
{
    finding f = {t, spots};
    hone_status status = hone_store_begin_read(t->options.store);
    if (status) return status;
    status = hone_store_each_claim(t->options.store, t->supervisor.device, t->supervisor.toolchain, hone_tune_mode(t), own, take_claim, &f);
    hone_store_end_read(t->options.store);
    if (status) return status;
    suspect_new_writers(spots);
    if (spots->n) qsort(spots->items, spots->n, sizeof *spots->items, by_suspicion);
    return mix(spots, t->supervisor.options.worker.seed);
}

// ---- checking

typedef struct checking {
    hone_tune *tune;
    hone_spots *spots;
    size_t most;
} checking;

// Another writer's claim on the same tactic, checked just now.
static const hone_spot *find_checked(const checking *c, const hone_spot *spot)
{
    for (size_t k = 0; k < c->most; k++) {
        const hone_spot *at = &c->spots->items[k];
        if (at->is_checked && !strcmp(at->tactic, spot->tactic) && !strcmp(at->problem, spot->problem)) return at;
    }
    return NULL;
}

static hone_status check_problem(void *user, int64_t number, const char *problem)
{
    checking *c = user;
    hone_status status = HONE_OK;
    for (size_t k = 0; k < c->most && !status; k++) {
        hone_spot *spot = &c->spots->items[k];
        if (spot->is_checked || strcmp(spot->problem, problem)) continue;
        const hone_spot *before = find_checked(c, spot);
        hone_timed wanted = {.tactic = spot->tactic, .expect_ns = spot->claimed_ns, .median_ns = before ? before->own_ns : 0, .is_timed = before};
        if (!before) status = hone_contest_time(c->tune, number, problem, &wanted, 1, SAMPLES);
        hone_spot_writer *writer = writer_of(c->spots, spot->writer);
        if (status || !wanted.is_timed || !writer) continue;
        spot->is_checked = true;
        spot->own_ns = wanted.median_ns;
        spot->has_agreed = agree(spot->own_ns, spot->claimed_ns);
        writer->checked++;
        writer->failed += !spot->has_agreed;
    }
    return status;
}

hone_status hone_spots_check(hone_tune *t, hone_spots *spots, size_t most)
{
    checking c = {t, spots, most < spots->n ? most : spots->n};
    const char **problems = hone_alloc((c.most + 1) * sizeof *problems);
    if (!problems) return HONE_NO_MEMORY;
    for (size_t k = 0; k < c.most; k++) problems[k] = spots->items[k].problem;
    hone_status status = hone_tune_walk(t, problems, c.most, check_problem, &c);
    hone_free(problems);
    return status;
}

bool hone_spot_is_bad(const hone_spot_writer *writer)
{
    return writer->checked >= CHECKED_LEAST && writer->failed * 100 > writer->checked;
}
