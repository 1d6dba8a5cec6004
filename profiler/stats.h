// SPDX-License-Identifier: Apache-2.0
// Statistics of samples. Inputs are never changed; n >= 1 everywhere; working memory is allocated.
// Out of memory or n < 1 gives NaN (and 1 for the probability of a test): no caller mistakes it for a time.
#ifndef HONE_PROFILER_STATS_H
#define HONE_PROFILER_STATS_H

#include <stddef.h>
#include <stdint.h>

double hone_stats_min(const double *x, size_t n);
double hone_stats_median(const double *x, size_t n);
double hone_stats_mad(const double *x, size_t n);                       // median of |x - median|, not scaled
double hone_stats_percentile(const double *x, size_t n, double percent); // linear between order statistics (Hyndman & Fan type 7)

// Percentile bootstrap interval (Efron & Tibshirani 1993, ch. 13) of median(a) / median(b) at the given
// confidence (0.95). The same seed gives the same interval.
void hone_stats_ratio_interval(const double *a, size_t na, const double *b, size_t nb, double confidence, int resamples,
                               uint64_t seed, double *low, double *high);

// Mann-Whitney rank test: the two-sided probability that samples this far apart come from one distribution. Exact for
// up to 20 samples a side without ties, otherwise normal with tie and continuity correction.
double hone_stats_rank_test(const double *a, size_t na, const double *b, size_t nb);

#endif
