// SPDX-License-Identifier: Apache-2.0
// What tests/gpu/fidelity.c makes of its rounds.
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "tests/gpu/fidelity.h"

// Rounds whose gap is 100 ns, and a tactic that takes 20 us by its replays and `off` times that by CUPTI.
static table *make_table(int rounds)
{
    table *t = hone_calloc(1, sizeof *t);
    assert_non_null(t);
    t->n_rounds = rounds;
    for (int k = 0; k < rounds; k++) t->rounds[k] = (process){.spacer_ns = 1500, .spacer_after_ns = 1510, .empty_slope_ns = 1100, .empty_ns = 1000, .is_done = true};
    return t;
}

static tried *add_tactic(table *t, const double *off)
{
    tried *a = &t->tried[t->n++];
    for (int k = 0; k < t->n_rounds; k++)
        a->rounds[k] = (seen){.slope_ns = {20000, 0, 20200}, .node_ns = 20000 * off[k], .warm_ns = 20000 * off[k], .mhz = {1980, 1980, 1980},
                              .pairs = 20};
    return a;
}

// One process in another state is no disagreement, two of three are.
static void test_middle_round(void **state)
{
    static const double once[] = {1.01, 1.06, 1.00}, twice[] = {1.05, 1.06, 1.00}, below[] = {0.96, 1.0, 0.969};
    table *t = make_table(3);
    (void)state;
    agreement g = judge(t, add_tactic(t, once));
    assert_true(g.is_compared && !g.is_apart && !g.is_lost && g.rounds == 3);
    assert_true(fabs(g.ratio - 1.01) < 1e-12 && fabs(g.low - 1) < 1e-12 && fabs(g.high - 1.06) < 1e-12);
    assert_true(judge_all(t).holds);
    assert_true(judge(t, add_tactic(t, twice)).is_apart && judge(t, add_tactic(t, below)).is_apart);
    verdict v = judge_all(t);
    assert_true(!v.holds && v.compared == 3 && v.apart == 2 && v.pairs == 180 && v.rounds == 3);
    hone_free(t);
}

// Without a slope behind CUPTI, or with one that CUPTI still stamps, the one before it stands alone.
static void test_slope_without_detaching(void **state)
{
    static const double off[] = {1};
    table *t = make_table(1);
    tried *a = add_tactic(t, off);
    (void)state;
    assert_true(fabs(judge(t, a).ratio - 1) < 1e-12);
    t->rounds[0].spacer_after_ns = 1540;
    assert_true(fabs(judge(t, a).ratio - 20000.0 / 19900) < 1e-12);
    a->rounds[0].slope_ns[AFTER] = t->rounds[0].spacer_after_ns = 0;
    assert_true(fabs(judge(t, a).ratio - 20000.0 / 19900) < 1e-12);
    hone_free(t);
}

// The gap of the tactic's own echo, where replays of it were timed without CUPTI.
static void test_gap_of_echo(void **state)
{
    static const double off[] = {1.04};
    table *t = make_table(1);
    tried *a = add_tactic(t, off);
    (void)state;
    a->rounds[0].echo_ns = 20900;
    assert_true(judge(t, a).is_apart);
    a->rounds[0].echo_slope_ns = 20200;
    assert_true(fabs(judge(t, a).ratio - 20800.0 / 20800) < 1e-12);
    t->rounds[0].spacer_after_ns = 1540;
    assert_true(judge(t, a).is_apart);
    hone_free(t);
}

// A round whose clocks moved does not count; a tactic that has lost half its rounds is missed.
static void test_rounds_that_do_not_count(void **state)
{
    static const double off[] = {1, 1, 1.2};
    table *t = make_table(3);
    tried *a = add_tactic(t, off);
    (void)state;
    a->rounds[2].mhz[TRACED] = 1650;
    assert_true(judge(t, a).rounds == 2 && judge_all(t).holds);
    a->rounds[2].mhz[TRACED] = 1965;
    assert_int_equal(judge(t, a).rounds, 3);
    for (int k = 0; k < PHASES; k++) a->rounds[2].mhz[k] = -1;
    assert_int_equal(judge(t, a).rounds, 3);
    snprintf(a->rounds[1].failed, sizeof a->rounds[1].failed, "lost");
    snprintf(a->rounds[2].failed, sizeof a->rounds[2].failed, "lost");
    assert_true(judge(t, a).is_lost && !judge_all(t).holds && judge_all(t).lost == 1);
    hone_free(t);
}

// Below 10 us nothing is compared, nor missed.
static void test_short_tactic(void **state)
{
    static const double off[] = {1, 1, 1};
    table *t = make_table(3);
    tried *a = add_tactic(t, off);
    (void)state;
    for (int k = 0; k < 3; k++) a->rounds[k] = (seen){.slope_ns = {9000, 0, 9000}, .node_ns = 9900, .warm_ns = 9900};
    agreement g = judge(t, a);
    assert_true(!g.is_compared && !g.is_apart && !g.is_lost);
    assert_false(judge_all(t).holds);                // nothing was compared at all
    hone_free(t);
}

static void test_pairs_and_unfinished_rounds(void **state)
{
    static const double off[] = {1, 1, 1};
    table *t = make_table(3);
    tried *a = add_tactic(t, off);
    (void)state;
    a->rounds[0].pairs_apart = 3;
    assert_true(judge_all(t).holds);                 // 3 of 60
    a->rounds[1].pairs_apart = 1;
    assert_false(judge_all(t).holds);
    a->rounds[1].pairs_apart = 0;
    t->rounds[2].is_done = false;
    assert_true(judge(t, a).rounds == 2 && !judge_all(t).holds);
    hone_free(t);
}

int test_gpu_fidelity(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_middle_round), cmocka_unit_test(test_slope_without_detaching), cmocka_unit_test(test_rounds_that_do_not_count),
        cmocka_unit_test(test_gap_of_echo), cmocka_unit_test(test_short_tactic), cmocka_unit_test(test_pairs_and_unfinished_rounds),
    };
    return cmocka_run_group_tests_name("gpu_fidelity", tests, NULL, NULL);
}
