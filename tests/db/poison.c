// SPDX-License-Identifier: Apache-2.0
// A database as a fleet has it in which a writer whom the owner trusts lies: poison CLEAN OUT SEED makes OUT of all rows of CLEAN and of
// so many poisoned ones that these are a tenth of all. Each is signed, sent in a batch, and sent again. What they are: `kinds`.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "db/batch.h"
#include "db/ruling.h"

typedef struct lie {
    double factor;                 // of the time that was measured; 0 none
    hone_verdict verdict;
    bool odd_knob, elsewhere;      // a number that no kernel has; a tactic of another problem
} lie;

static const lie kinds[] = {
    {0.5, HONE_VERDICT_OK, false, false}, {0.02, HONE_VERDICT_OK, false, false}, {0.88, HONE_VERDICT_OK, false, false},
    {0.9, HONE_VERDICT_OK, false, false}, {3, HONE_VERDICT_OK, false, false}, {1.3, HONE_VERDICT_OK, false, false},
    {0.001, HONE_VERDICT_OK, false, false}, {0, HONE_VERDICT_CRASH, false, false}, {0, HONE_VERDICT_WRONG, false, false},
    {0.88, HONE_VERDICT_OK, true, false}, {0.88, HONE_VERDICT_OK, false, true},
};

typedef struct liar {
    hone_store *own;               // what it sends
    hone_id run;
    uint64_t seed, row;
    int64_t lies;
    char before[512];              // a tactic of another problem
    char problem[4096];
} liar;

static void need(hone_status status)
{
    if (status == HONE_OK) return;
    fprintf(stderr, "poison: %s\n", hone_error_text());
    exit(1);
}

static hone_key key_of(uint64_t seed, uint8_t number)
{
    hone_id from = {{number, (uint8_t)seed}};
    hone_key key;
    hone_key_from(&from, &key.public_key, &key.secret);
    hone_id_print(&key.public_key, key.writer);
    return key;
}

// The last number of a tactic, multiplied beyond all ranges.
static void spoil(const char *tactic, char made[512])
{
    const char *equals = strrchr(tactic, '=');
    if (equals) snprintf(made, 512, "%.*s=%d", (int)(equals - tactic), tactic, 99999989);
    else snprintf(made, 512, "%s knob=99999989", tactic);
}

static hone_status consider(void *user, const hone_id *id, const hone_measurement *row)
{
    liar *l = user;
    uint64_t at = l->row++;
    char tactic[512];
    (void)id;
    if (strcmp(l->problem, row->problem)) snprintf(l->problem, sizeof l->problem, "%s", row->problem);
    else snprintf(l->before, sizeof l->before, "%s", row->tactic);
    if (hone_rng_uniform(l->seed, 1, at) >= 1.0 / 9) return HONE_OK;
    const lie *told = &kinds[hone_rng_bits(l->seed, 2, at) % (sizeof kinds / sizeof *kinds)];
    hone_measurement made = *row;
    if (told->verdict == HONE_VERDICT_OK && row->verdict != HONE_VERDICT_OK) return HONE_OK;
    snprintf(tactic, sizeof tactic, "%s", told->elsewhere && *l->before ? l->before : row->tactic);
    if (told->odd_knob) spoil(row->tactic, tactic);
    made.run = l->run;
    made.tactic = tactic;
    made.verdict = told->verdict;
    made.median_ns = row->median_ns * told->factor;
    made.mad_ns = made.min_ns = made.median_ns;
    made.error = told->verdict == HONE_VERDICT_OK ? row->error : -1;
    made.samples_ns = NULL;
    made.sample_count = 0;
    l->lies++;
    return hone_store_put_measurement(l->own, &made, NULL);
}

typedef struct look {
    liar *by;
    hone_store *store;
    const char *device;
} look;

static hone_status look_at_problem(void *user, const char *problem)
{
    look *at = user;
    return hone_store_each_measurement(at->store, at->device, problem, consider, at->by);
}

static hone_status look_at_device(void *user, const char *device, int64_t measurements)
{
    look *at = user;
    (void)measurements;
    at->device = device;
    return hone_store_each_problem(at->store, device, look_at_problem, at);
}

static void send(hone_store *from, hone_store *to, const char *writer, int64_t count)
{
    for (int64_t i = 1; i <= 2 * count; i++) {       // all, and all again
        void *blob;
        size_t size;
        hone_batch *batch;
        hone_batch_fate fate;
        int64_t added;
        need(hone_batch_pack(from, writer, (i - 1) % count + 1, &blob, &size));
        need(hone_batch_open(blob, size, &batch));
        need(hone_batch_put(to, batch, NULL, &fate, &added));
        if ((fate == HONE_BATCH_ADDED) != (i <= count)) fprintf(stderr, "poison: batch %" PRId64 " became %d\n", i, (int)fate), exit(1);
        hone_batch_close(batch);
        hone_free(blob);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) return fprintf(stderr, "usage: poison CLEAN OUT SEED\n"), 2;
    hone_store *clean, *out;
    liar l = {.seed = strtoull(argv[3], NULL, 10)};
    hone_key owner = key_of(l.seed, 1), other = key_of(l.seed, 2);
    hone_run run = {.start_unix_ms = hone_clock_unix_ms(), .options = "", .effort = "full", .writer = other.writer, .sequence = -1};
    char path[4096];
    int64_t added, made;
    snprintf(path, sizeof path, "%s.liar", argv[2]);
    need(hone_store_open(argv[1], HONE_STORE_READ, &clean));
    need(hone_store_open(argv[2], HONE_STORE_CREATE, &out));
    need(hone_store_open(path, HONE_STORE_CREATE, &l.own));
    need(hone_store_merge(out, clean, &added));
    need(hone_store_own(out, &owner, true));
    need(hone_ruling_put(out, &owner, HONE_RULING_ADMIT, &other.public_key, "", NULL));
    need(hone_store_put_run(l.own, &run, &l.run));
    need(hone_store_begin_group(l.own));
    look at = {.by = &l, .store = clean};
    need(hone_store_each_device(clean, look_at_device, &at));
    need(hone_store_end_group(l.own));
    need(hone_batch_make(l.own, &other, 1000, &made));
    send(l.own, out, other.writer, made);
    printf("%" PRId64 " of %" PRId64 " rows are poisoned\n", l.lies, l.row + l.lies);
    hone_store_close(l.own);
    hone_store_close(clean);
    hone_store_close(out);
    return 0;
}
