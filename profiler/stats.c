// SPDX-License-Identifier: Apache-2.0
#include "profiler/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

enum { EXACT_MAX = 20 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted(const double *x, size_t n)
{
    double *copy = n ? hone_alloc(n * sizeof *x) : NULL;
    if (!copy) return NULL;
    memcpy(copy, x, n * sizeof *x);
    qsort(copy, n, sizeof *copy, compare);
    return copy;
}

static double median_of_sorted(const double *x, size_t n)
{
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

double hone_stats_min(const double *x, size_t n)
{
    double least = n ? x[0] : NAN;
    for (size_t i = 1; i < n; i++)
        if (x[i] < least) least = x[i];
    return least;
}

double hone_stats_median(const double *x, size_t n)
{
    double *s = sorted(x, n);
    double median = s ? median_of_sorted(s, n) : NAN;
    hone_free(s);
    return median;
}

double hone_stats_mad(const double *x, size_t n)
{
    double *s = sorted(x, n);
    if (!s) return NAN;
    double median = median_of_sorted(s, n);
    for (size_t i = 0; i < n; i++) s[i] = fabs(x[i] - median);
    double mad = hone_stats_median(s, n);
    hone_free(s);
    return mad;
}

double hone_stats_percentile(const double *x, size_t n, double percent)
{
    double *s = sorted(x, n);
    if (!s) return NAN;
    double at = (double)(n - 1) * fmin(fmax(percent, 0), 100) / 100;
    size_t below = (size_t)at;
    double value = below + 1 < n ? s[below] + (at - (double)below) * (s[below + 1] - s[below]) : s[n - 1];
    hone_free(s);
    return value;
}

// ---- bootstrap

static double resampled_median(const double *x, size_t n, double *work, uint64_t seed, uint64_t stream, uint64_t round)
{
    for (size_t i = 0; i < n; i++) work[i] = x[(size_t)(hone_rng_uniform(seed, stream, round * n + i) * (double)n)];
    qsort(work, n, sizeof *work, compare);
    return median_of_sorted(work, n);
}

void hone_stats_ratio_interval(const double *a, size_t na, const double *b, size_t nb, double confidence, int resamples,
                               uint64_t seed, double *low, double *high)
{
    double *work = na && nb && resamples > 0 ? hone_alloc(((na > nb ? na : nb) + (size_t)resamples) * sizeof *work) : NULL;
    *low = *high = NAN;
    if (!work) return;
    double *ratios = work + (na > nb ? na : nb);
    for (int r = 0; r < resamples; r++) {
        double top = resampled_median(a, na, work, seed, 0, (uint64_t)r);
        ratios[r] = top / resampled_median(b, nb, work, seed, 1, (uint64_t)r);
    }
    *low = hone_stats_percentile(ratios, (size_t)resamples, 50 * (1 - confidence));
    *high = hone_stats_percentile(ratios, (size_t)resamples, 50 * (1 + confidence));
    hone_free(work);
}

// ---- rank test

// counts[u] of the ways to deal ranks to m and n values such that the statistic is u (Mann & Whitney 1947:
// c(u; m, n) = c(u - n; m - 1, n) + c(u; m, n - 1)), as probabilities; u up to `most`.
static double exact_tail(size_t m, size_t n, size_t most)
{
    size_t width = m * n + 1;
    double *table = hone_calloc((m + 1) * (n + 1) * width, sizeof *table);
    if (!table) return 1;
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            double *at = table + (i * (n + 1) + j) * width;
            if (i == 0 || j == 0) {
                at[0] = 1;
                continue;
            }
            const double *fewer_i = at - (n + 1) * width, *fewer_j = at - width;
            double p = (double)i / (double)(i + j);       // the largest value belongs to the first sample
            for (size_t u = 0; u <= i * j; u++) at[u] = (u >= j ? p * fewer_i[u - j] : 0) + (1 - p) * fewer_j[u];
        }
    }
    double tail = 0;
    for (size_t u = 0; u <= most && u < width; u++) tail += table[(m * (n + 1) + n) * width + u];
    hone_free(table);
    return tail;
}

// Twice the number of pairs in which a is above b, ties counting one; ties: sum of t^3 - t over groups of equal values.
static double double_u(const double *a, size_t na, const double *b, size_t nb)
{
    double u2 = 0;
    for (size_t i = 0; i < na; i++)
        for (size_t j = 0; j < nb; j++) u2 += a[i] > b[j] ? 2 : a[i] == b[j];
    return u2;
}

static double tie_sum(const double *a, size_t na, const double *b, size_t nb)
{
    double sum = 0;
    double *all = hone_alloc((na + nb) * sizeof *all);
    if (!all) return NAN;
    memcpy(all, a, na * sizeof *a);
    memcpy(all + na, b, nb * sizeof *b);
    qsort(all, na + nb, sizeof *all, compare);
    for (size_t i = 0, j; i < na + nb; i = j) {
        for (j = i; j < na + nb && all[j] == all[i]; j++) {}
        double t = (double)(j - i);
        sum += t * t * t - t;
    }
    hone_free(all);
    return sum;
}

double hone_stats_rank_test(const double *a, size_t na, const double *b, size_t nb)
{
    if (!na || !nb) return 1;
    double u2 = double_u(a, na, b, nb), pairs = (double)na * (double)nb, n = (double)(na + nb);
    double ties = tie_sum(a, na, b, nb);
    double lesser = fmin(u2, 2 * pairs - u2) / 2;
    if (isnan(ties)) return 1;
    if (ties == 0 && na <= EXACT_MAX && nb <= EXACT_MAX) return fmin(1, 2 * exact_tail(na, nb, (size_t)lesser));
    double variance = pairs / 12 * (n + 1 - ties / (n * (n - 1)));
    if (variance <= 0) return 1;
    double z = fmax(0, pairs / 2 - lesser - 0.5) / sqrt(variance);
    return fmin(1, erfc(z / sqrt(2)));
}
