// SPDX-License-Identifier: Apache-2.0
// Whom hone retime compares first.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/unit.h"
#include "tuner/retime_order.h"

#define PROBLEM "matmul a=f16:64x8192 b=f16:2048x8192 trans_b=1"
enum { ALL = 8 };

static const char *const by_time[ALL] = {
    "cublaslt.matmul@1 ws=9 algo=split", "cublaslt.matmul@1 ws=8 algo=other", "nvrtc.gemm_tma@2 bm=64", "nvrtc.gemm_tma@2 bm=128", "nvrtc.gemm_wgmma@1 bm=64",
    "cublaslt.matmul@1 ws=0 algo=whole", "nvrtc.gemm_tile@1 bm=64", "cublaslt.matmul@1 ws=7 algo=first",
};

static hone_tactic parsed(const char *text)
{
    hone_tactic tactic;
    assert_int_equal(hone_tactic_parse(text, &tactic), HONE_OK);
    return tactic;
}

// The places that `n` of the tactics come to, given what the library would take.
static size_t put_in_order(const int *points, size_t n_points, size_t n, int places[ALL])
{
    hone_ranked ranked[ALL] = {0};
    hone_space *spaces = hone_calloc(2, sizeof *spaces);
    hone_tactic listed[3];
    for (int k = 0; k < ALL; k++) ranked[k].tactic = by_time[k];
    for (size_t k = 0; k < n_points; k++) listed[k] = parsed(by_time[points[k]]);
    if (n_points) spaces[1] = (hone_space){.points = listed, .n_points = n_points, .n_more_defaults = n_points - 1};
    n = hone_retime_order(PROBLEM, spaces, 2, ranked, ALL, n);
    for (size_t k = 0; k < ALL; k++)
        for (int j = 0; j < ALL; j++)
            if (ranked[k].tactic == by_time[j]) places[k] = j;
    hone_free(spaces);
    return n;
}

static void the_fastest_of_each_family_comes_first(void **state)
{
    static const int expected[ALL] = {0, 2, 4, 1, 3, 5, 6, 7};
    int places[ALL];
    (void)state;
    assert_int_equal(put_in_order(NULL, 0, 6, places), 6);
    assert_memory_equal(places, expected, sizeof expected);
}

static void a_library_is_heard_before_and_behind_the_families(void **state)
{
    static const int points[] = {7, 5}, expected[ALL] = {7, 0, 2, 4, 5, 1, 3, 6};        // slow alone, and among those compared anyway
    int places[ALL];
    (void)state;
    assert_int_equal(put_in_order(points, 2, 6, places), 7);
    assert_memory_equal(places, expected, sizeof expected);
}

static void what_comes_first_already_is_not_moved_back(void **state)
{
    static const int points[] = {1, 0, 7}, expected[ALL] = {1, 0, 2, 4, 7, 3, 5, 6};     // the family's fastest is what it takes given less
    int places[ALL];
    (void)state;
    assert_int_equal(put_in_order(points, 3, 5, places), 6);
    assert_memory_equal(places, expected, sizeof expected);
}

int test_tuner_retime_order(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_of_each_family_comes_first), cmocka_unit_test(a_library_is_heard_before_and_behind_the_families),
        cmocka_unit_test(what_comes_first_already_is_not_moved_back),
    };
    return cmocka_run_group_tests_name("tuner_retime_order", tests, NULL, NULL);
}
