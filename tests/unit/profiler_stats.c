// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <math.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "profiler/stats.h"

#define COUNT(x) (sizeof(x) / sizeof *(x))

static void near(double got, double want, double slack)
{
    if (!(fabs(got - want) <= slack)) fail_msg("%.9g is not %.9g", got, want);
}

static void test_order_statistics(void **state)
{
    static const double mad[] = {1, 1, 2, 2, 4, 6, 9};       // the example of Wikipedia, "Median absolute deviation"
    static const double ten[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    (void)state;
    near(hone_stats_median(mad, 7), 2, 0);
    near(hone_stats_mad(mad, 7), 1, 0);
    near(hone_stats_median(ten, 10), 5.5, 0);
    near(hone_stats_min(ten, 10), 1, 0);
    near(hone_stats_percentile(ten, 10, 25), 3.25, 1e-12);    // R: quantile(1:10, .25)
    near(hone_stats_percentile(ten, 10, 99), 9.91, 1e-12);
    near(hone_stats_percentile(ten, 10, 0), 1, 0);
    near(hone_stats_percentile(ten, 10, 100), 10, 0);
    near(hone_stats_percentile(ten, 1, 50), 10, 0);
    assert_true(ten[0] == 10 && ten[9] == 1);
    assert_true(isnan(hone_stats_median(ten, 0)) && isnan(hone_stats_mad(ten, 0)) && isnan(hone_stats_min(ten, 0)));
}

// Hollander & Wolfe (1973), p. 69: permeability constants of the human chorioamnion. R's wilcox.test gives W = 35 and, one-sided,
// p = 0.1272 for them.
static void test_rank_exact(void **state)
{
    static const double x[] = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
    static const double y[] = {1.15, 0.88, 0.90, 0.74, 1.21};
    static const double low[] = {1, 2, 3}, high[] = {4, 5, 6};
    (void)state;
    near(hone_stats_rank_test(x, 10, y, 5), 2 * 0.1272, 1e-4);
    near(hone_stats_rank_test(y, 5, x, 10), 2 * 0.1272, 1e-4);
    near(hone_stats_rank_test(low, 3, high, 3), 2.0 / 20, 1e-12);      // 1 way of 20 on each side
    near(hone_stats_rank_test(low, 3, low, 3), 1, 1e-12);
}

// R's airquality, ozone in May and August: wilcox.test gives W = 127.5, p = 0.0001208 with ties and continuity correction.
static void test_rank_normal(void **state)
{
    static const double may[] = {41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115, 37};
    static const double august[] = {39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118, 84, 85};
    static const double same[] = {3, 3, 3};
    (void)state;
    near(hone_stats_rank_test(may, COUNT(may), august, COUNT(august)), 0.0001208, 5e-8);
    near(hone_stats_rank_test(same, 3, same, 3), 1, 0);
}

static void test_bootstrap(void **state)
{
    double a[30], b[30], low, high, again_low, again_high;
    (void)state;
    for (int i = 0; i < 30; i++) {
        b[i] = 100 + hone_rng_normal(1, 0, (uint64_t)i);
        a[i] = 2 * (100 + hone_rng_normal(1, 1, (uint64_t)i));
    }
    hone_stats_ratio_interval(a, 30, b, 30, 0.95, 1000, 7, &low, &high);
    assert_true(low < high && low > 1.97 && high < 2.03);
    hone_stats_ratio_interval(a, 30, b, 30, 0.95, 1000, 7, &again_low, &again_high);
    assert_true(low == again_low && high == again_high);
    hone_stats_ratio_interval(a, 1, b, 1, 0.95, 10, 7, &low, &high);
    near(low, a[0] / b[0], 1e-12);
    near(high, a[0] / b[0], 1e-12);
    hone_stats_ratio_interval(a, 0, b, 1, 0.95, 10, 7, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

// Intervals of equal distributions hold 1 about as often as they claim.
static void test_bootstrap_coverage(void **state)
{
    enum { TRIALS = 200, N = 25 };
    double a[N], b[N], low, high;
    int covered = 0;
    (void)state;
    for (uint64_t t = 0; t < TRIALS; t++) {
        for (uint64_t i = 0; i < N; i++) {
            a[i] = 50 + hone_rng_normal(3, 2 * t, i);
            b[i] = 50 + hone_rng_normal(3, 2 * t + 1, i);
        }
        hone_stats_ratio_interval(a, N, b, N, 0.95, 200, t, &low, &high);
        covered += low <= 1 && high >= 1;
    }
    assert_in_range(covered, 180, 199);
}

static void test_out_of_memory(void **state)
{
    static const double x[] = {1, 2, 3}, y[] = {4, 5, 6};
    double low = 0, high = 0;
    (void)state;
    hone_alloc_fail_at(1, 1);
    assert_true(isnan(hone_stats_median(x, 3)));
    hone_alloc_fail_at(1, 1);
    near(hone_stats_rank_test(x, 3, y, 3), 1, 0);
    hone_alloc_fail_at(1, 1);
    hone_stats_ratio_interval(x, 3, y, 3, 0.95, 10, 1, &low, &high);
    hone_alloc_fail_at(0, 0);
    assert_true(isnan(low) && isnan(high));
}

int test_profiler_stats(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_statistics), cmocka_unit_test(test_rank_exact), cmocka_unit_test(test_rank_normal),
        cmocka_unit_test(test_bootstrap), cmocka_unit_test(test_bootstrap_coverage), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("profiler_stats", tests, NULL, NULL);
}
