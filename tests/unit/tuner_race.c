// SPDX-License-Identifier: Apache-2.0
// Races over recorded spaces: made by a counter-based generator.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "tests/unit/unit.h"
#include "tuner/race.h"

static const hone_race_rules rules = {.first = 3, .middle = 10, .most = 25, .round = 5, .last = 4, .hopeless = 1.15, .close = 0.005, .seed = 1};

typedef struct recorded {              // a tactic with true time and noise
    char name[16];
    double ns, noise;
    int64_t workspace_bytes, taken;
} recorded;

// Noise on one side, as time has it: a half normal, and now and then an interruption.
static double sample(recorded *r, uint64_t stream)
{
    uint64_t k = (uint64_t)r->taken++;
    double late = hone_rng_uniform(3, stream, k) < 0.02 ? 0.5 : 0;
    return r->ns * (1 + r->noise * fabs(hone_rng_normal(4, stream, k)) + late);
}

static void run(hone_race *race, const hone_race_rules *with, recorded *space, size_t n, uint64_t seed)
{
    double samples[64];
    size_t racer;
    int wanted;
    hone_race_init(race, with);
    for (size_t k = 0; k < n; k++) {
        space[k].taken = 0;
        for (int j = 0; j < with->first; j++) samples[j] = sample(&space[k], seed * 1000 + k);
        assert_int_equal(hone_race_enter(race, space[k].name, space[k].workspace_bytes, samples, (size_t)with->first), HONE_OK);
    }
    while (hone_race_ask(race, &racer, &wanted)) {
        assert_true(wanted > 0 && wanted <= 64 && racer < n);
        assert_false(race->racers[racer].is_out);
        for (int j = 0; j < wanted; j++) samples[j] = sample(&space[racer], seed * 1000 + racer);
        assert_int_equal(hone_race_tell(race, racer, samples, (size_t)wanted), HONE_OK);
    }
}

static void make_space(recorded *space, size_t n, uint64_t seed)
{
    for (size_t k = 0; k < n; k++) {
        space[k] = (recorded){.ns = 1e4 * (1 + 2 * hone_rng_uniform(5, seed, k)), .noise = 0.01};
        snprintf(space[k].name, sizeof space[k].name, "t%03zu", k);
    }
}

static void the_optimum_is_found(void **state)
{
    recorded space[60];
    double worst = 1;
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        hone_race race;
        size_t best = 0;
        make_space(space, 60, seed);
        for (size_t k = 1; k < 60; k++)
            if (space[k].ns < space[best].ns) best = k;
        run(&race, &rules, space, 60, seed);
        double ratio = space[hone_race_winner(&race)].ns / space[best].ns;
        worst = fmax(worst, ratio);
        hone_race_clear(&race);
    }
    assert_true(worst < 1.015);
}

static void few_samples_are_spent(void **state)
{
    recorded space[60];
    hone_race race;
    size_t total = 0;
    (void)state;
    make_space(space, 60, 7);
    run(&race, &rules, space, 60, 7);
    for (size_t k = 0; k < race.n; k++) {
        total += race.racers[k].n;
        assert_true(race.racers[k].n >= 3 && race.racers[k].n <= (size_t)rules.most + (size_t)rules.round);
    }
    assert_true(total < 60 * 3 + 20 * 7 + 4 * 25);
    hone_race_clear(&race);
}

static void the_same_samples_give_the_same_race(void **state)
{
    recorded space[30];
    hone_race a, b;
    (void)state;
    make_space(space, 30, 9);
    run(&a, &rules, space, 30, 9);
    run(&b, &rules, space, 30, 9);
    assert_int_equal(hone_race_winner(&a), hone_race_winner(&b));
    for (size_t k = 0; k < a.n; k++) assert_int_equal(a.racers[k].n, b.racers[k].n);
    hone_race_clear(&a);
    hone_race_clear(&b);
}

static void ties_go_to_workspace_then_name(void **state)
{
    recorded space[] = {{"b", 1000, 0.01, 64, 0}, {"c", 1000, 0.01, 0, 0}, {"a", 1000, 0.01, 0, 0}};
    hone_race race;
    (void)state;
    run(&race, &rules, space, 3, 11);
    assert_string_equal(race.racers[hone_race_winner(&race)].tactic, "a");
    hone_race_clear(&race);
}

static void a_clear_winner_ends_it_early(void **state)
{
    recorded space[] = {{"slow", 1500, 0.001, 0, 0}, {"fast", 1000, 0.001, 0, 0}};
    hone_race race;
    (void)state;
    run(&race, &rules, space, 2, 13);
    assert_string_equal(race.racers[hone_race_winner(&race)].tactic, "fast");
    assert_int_equal(race.racers[0].n, 3);
    hone_race_clear(&race);
}

static void time_is_limited(void **state)
{
    recorded space[] = {{"a", 1e6, 0.05, 0, 0}, {"b", 1.001e6, 0.05, 0, 0}, {"c", 1.002e6, 0.05, 0, 0}};
    hone_race_rules limited = rules;
    hone_race race;
    (void)state;
    limited.limit_ns = 5e6;
    run(&race, &limited, space, 3, 15);
    assert_true(race.spent_ns < 5e6 + 8 * 1.6e6);
    assert_true(hone_race_winner(&race) >= 0);
    hone_race_clear(&race);
}

static void who_fails_is_out(void **state)
{
    double samples[] = {100, 101, 102}, slower[] = {105, 106, 107};
    hone_race race;
    size_t racer;
    int wanted;
    (void)state;
    hone_race_init(&race, &rules);
    assert_int_equal(hone_race_winner(&race), -1);
    hone_race_enter(&race, "first", 0, samples, 3);
    hone_race_enter(&race, "second", 0, slower, 3);
    assert_true(hone_race_ask(&race, &racer, &wanted));
    hone_race_withdraw(&race, 0);
    while (hone_race_ask(&race, &racer, &wanted)) {
        assert_int_equal(racer, 1);
        hone_race_tell(&race, racer, slower, 3);
    }
    assert_int_equal(hone_race_winner(&race), 1);
    assert_true(hone_race_best_ns(&race) > 104);
    hone_race_clear(&race);
}

int test_tuner_race(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_optimum_is_found), cmocka_unit_test(few_samples_are_spent), cmocka_unit_test(the_same_samples_give_the_same_race),
        cmocka_unit_test(ties_go_to_workspace_then_name), cmocka_unit_test(a_clear_winner_ends_it_early), cmocka_unit_test(time_is_limited),
        cmocka_unit_test(who_fails_is_out),
    };
    return cmocka_run_group_tests_name("tuner_race", tests, NULL, NULL);
}
