// SPDX-License-Identifier: Apache-2.0
// What the rounds of fidelity.c saw of each tactic, and what follows from all of them. Times are in ns, 0 where nothing was seen.
// The table lies in memory that the rounds, processes of their own, share with the program that judges.
//
// CUPTI's time of a tactic agrees with its replays when the middle ratio of all rounds is within 3%: what lasts as long as a process
// does (where buffers and code lie) comes anew with every round. A round whose clocks moved between the two times does not count.
#ifndef HONE_TESTS_GPU_FIDELITY_H
#define HONE_TESTS_GPU_FIDELITY_H

#include <stdbool.h>

#include "kernels/tactic.h"
#include "profiler/stats.h"

enum { ROUNDS_MAX = 15, TRIED_MAX = 512, CODE_MAX = 1 << 16 };
#define FLOOR_NS 10000.0           // kernels of 10 us and more

typedef enum phase { BEFORE, TRACED, AFTER, PHASES } phase;

typedef struct seen {              // of one tactic in one round
    double slope_ns[PHASES];       // of replays, less the spacer's own: before CUPTI came, after it went
    double slope_spread;           // (most - least) / middle of the slopes of the passes before
    double node_ns, node_spread;   // by CUPTI: the middle run inside the replayed graph; (90th - 10th percentile) / middle
    double echo_ns, echo_slope_ns; // of its echo (fidelity_echo.h): by CUPTI, of replays after CUPTI went
    double warm_ns, cold_ns;       // by the timer, alone
    double error;                  // of its output
    int mhz[PHASES];               // clock of the multiprocessors; -1 unknown, 0 not come to
    int pairs, pairs_apart;        // with itself; those beyond 1%
    double worst_pair;
    char failed[200];
} seen;

typedef struct tried {
    int problem;                   // index
    char tactic[HONE_TACTIC_TEXT];
    int kernels;                   // 0 unknown
    size_t code_bytes;             // compiled by the first round; 0: none, or too large to keep
    uint8_t code[CODE_MAX];
    seen rounds[ROUNDS_MAX];
} tried;

typedef struct process {           // one round
    double spacer_ns, spacer_after_ns, empty_slope_ns, empty_ns, seconds;      // after: when CUPTI had gone for the first time
    char attached[8];              // to what CUPTI was attached at a time: "tactic", "problem", "round"; "never": it was not detached
    char device[256], toolchain[512], throttle[96], failed[300];
    hone_status status;
    bool is_done;
} process;

typedef struct table {
    int n, n_rounds;               // tactics, rounds asked for
    bool is_listed;                // the tactics are all there
    process rounds[ROUNDS_MAX];
    tried tried[TRIED_MAX];
} table;

typedef struct agreement {         // of one tactic
    int rounds;                    // that count
    double ratio, low, high;       // CUPTI's time / that of the replays: the middle, the extremes
    double slope_low, slope_high, node_low, node_high, warm_ns;
    int pairs, pairs_apart;
    bool is_compared, is_apart;
    bool is_lost;                  // it should have been compared, and half the rounds or more do not count
} agreement;

typedef struct verdict {
    int rounds, compared, apart, lost, pairs, pairs_apart;
    bool holds;
} verdict;

// When CUPTI had gone, a wait took what it took before it came: nothing is stamped any more. False where it never went.
static inline bool is_clean(const process *r)
{
    return r->spacer_after_ns > 0.98 * r->spacer_ns && r->spacer_after_ns < 1.02 * r->spacer_ns;
}

// The gap per node: what the slope says more than CUPTI, of the tactic's echo; without one, of a kernel that does nothing.
static inline double gap_of(const process *r, const seen *s)
{
    bool has_echo = is_clean(r) && s->echo_ns > 0 && s->echo_slope_ns > 0;
    return has_echo ? s->echo_slope_ns - s->echo_ns : r->empty_slope_ns - r->empty_ns;
}

// Of both sides where there are two.
static inline double slope_of(const process *r, const seen *s)
{
    return is_clean(r) && s->slope_ns[AFTER] > 0 ? (s->slope_ns[BEFORE] + s->slope_ns[AFTER]) / 2 : s->slope_ns[BEFORE];
}

static inline double ratio_of(const process *r, const seen *s)
{
    return s->node_ns / (slope_of(r, s) - gap_of(r, s));
}

// Within 1%; what is not known is no difference.
static inline bool same_clocks(const seen *s)
{
    int least = 0, most = 0;
    for (int k = 0; k < PHASES; k++) {
        if (s->mhz[k] <= 0) continue;
        if (!least || s->mhz[k] < least) least = s->mhz[k];
        if (s->mhz[k] > most) most = s->mhz[k];
    }
    return (most - least) * 100 <= least;
}

static inline bool counts(const process *r, const seen *s)
{
    return r->is_done && !*s->failed && s->slope_ns[BEFORE] > 0 && s->node_ns > 0 && same_clocks(s);
}

static inline void widen(double x, double *low, double *high)
{
    if (*low == 0 || x < *low) *low = x;
    if (x > *high) *high = x;
}

static inline agreement judge(const table *t, const tried *a)
{
    agreement g = {0};
    double ratios[ROUNDS_MAX], warm[ROUNDS_MAX], slopes[ROUNDS_MAX];
    int replayed = 0;
    for (int k = 0; k < t->n_rounds; k++) {
        const seen *s = &a->rounds[k];
        g.pairs += s->pairs;
        g.pairs_apart += s->pairs_apart;
        if (s->slope_ns[BEFORE] > 0) slopes[replayed++] = s->slope_ns[BEFORE];
        if (!counts(&t->rounds[k], s)) continue;
        ratios[g.rounds] = ratio_of(&t->rounds[k], s);
        warm[g.rounds] = s->warm_ns;
        widen(ratios[g.rounds++], &g.low, &g.high);
        widen(slope_of(&t->rounds[k], s), &g.slope_low, &g.slope_high);
        widen(s->node_ns, &g.node_low, &g.node_high);
    }
    g.is_lost = replayed && hone_stats_median(slopes, (size_t)replayed) >= FLOOR_NS && g.rounds * 2 <= t->n_rounds;
    if (!g.rounds) return g;
    g.ratio = hone_stats_median(ratios, (size_t)g.rounds);
    g.warm_ns = hone_stats_median(warm, (size_t)g.rounds);
    g.is_compared = g.warm_ns >= FLOOR_NS;
    g.is_apart = g.is_compared && !(g.ratio > 0.97 && g.ratio < 1.03);
    return g;
}

static inline verdict judge_all(const table *t)
{
    verdict v = {0};
    for (int k = 0; k < t->n_rounds; k++) v.rounds += t->rounds[k].is_done;
    for (int i = 0; i < t->n; i++) {
        agreement g = judge(t, &t->tried[i]);
        v.compared += g.is_compared;
        v.apart += g.is_apart;
        v.lost += g.is_lost;
        v.pairs += g.pairs;
        v.pairs_apart += g.pairs_apart;
    }
    v.holds = v.rounds == t->n_rounds && v.compared && !v.apart && !v.lost && v.pairs && v.pairs_apart * 20 <= v.pairs;
    return v;
}

#endif
