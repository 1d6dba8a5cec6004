// SPDX-License-Identifier: Apache-2.0
// The table of fidelity.h as JSON.
#ifndef HONE_TESTS_GPU_FIDELITY_PRINT_H
#define HONE_TESTS_GPU_FIDELITY_PRINT_H

#include "base/json.h"
#include "tests/gpu/fidelity.h"

static inline void print_round(hone_json *json, const process *r)
{
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "attached", r->attached);
    if (*r->failed) hone_json_text(json, "failed", r->failed);
    hone_json_real(json, "spacer_ns", r->spacer_ns);
    hone_json_real(json, "spacer_after_ns", r->spacer_after_ns);
    hone_json_bool(json, "clean", is_clean(r));
    hone_json_real(json, "empty_slope_ns", r->empty_slope_ns);
    hone_json_real(json, "empty_ns", r->empty_ns);
    hone_json_text(json, "throttle", r->throttle);
    hone_json_real(json, "seconds", r->seconds);
    hone_json_close(json, '}');
}

static inline void print_seen(hone_json *json, const process *r, const seen *s)
{
    static const char *const slopes[PHASES] = {"slope_ns", NULL, "slope_after_ns"}, *const clocks[PHASES] = {"mhz", "traced_mhz", "mhz_after"};
    hone_json_open(json, NULL, '{');
    if (*s->failed) hone_json_text(json, "failed", s->failed);
    if (counts(r, s)) hone_json_real(json, "ratio", ratio_of(r, s));
    hone_json_bool(json, "counts", counts(r, s));
    for (int k = 0; k < PHASES; k++) {
        if (slopes[k] && s->slope_ns[k] > 0) hone_json_real(json, slopes[k], s->slope_ns[k]);
        if (s->mhz[k]) hone_json_int(json, clocks[k], s->mhz[k]);
    }
    hone_json_real(json, "slope_spread", s->slope_spread);
    hone_json_real(json, "node_ns", s->node_ns);
    hone_json_real(json, "node_spread", s->node_spread);
    hone_json_real(json, "gap_ns", gap_of(r, s));
    hone_json_real(json, "echo_ns", s->echo_ns);
    hone_json_real(json, "echo_slope_ns", s->echo_slope_ns);
    hone_json_real(json, "warm_ns", s->warm_ns);
    hone_json_real(json, "cold_ns", s->cold_ns);
    hone_json_real(json, "error", s->error);
    hone_json_int(json, "pairs", s->pairs);
    hone_json_int(json, "pairs_beyond_1_percent", s->pairs_apart);
    hone_json_real(json, "worst_pair", s->worst_pair);
    hone_json_close(json, '}');
}

static inline void print_tried(hone_json *json, const table *t, const tried *a)
{
    agreement g = judge(t, a);
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "tactic", a->tactic);
    hone_json_int(json, "kernels", a->kernels);
    hone_json_bool(json, "compared", g.is_compared);
    hone_json_bool(json, "beyond_3_percent", g.is_apart);
    hone_json_bool(json, "lost", g.is_lost);
    if (g.rounds) {
        hone_json_real(json, "ratio", g.ratio);
        hone_json_real(json, "ratio_low", g.low);
        hone_json_real(json, "ratio_high", g.high);
        hone_json_real(json, "slope_high_over_low", g.slope_high / g.slope_low);
        hone_json_real(json, "node_high_over_low", g.node_high / g.node_low);
    }
    hone_json_open(json, "rounds", '[');
    for (int k = 0; k < t->n_rounds; k++) print_seen(json, &t->rounds[k], &a->rounds[k]);
    hone_json_close(json, ']');
    hone_json_close(json, '}');
}

static inline void print_problem(hone_json *json, const table *t, int k, const char *problem)
{
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "problem", problem);
    hone_json_open(json, "tactics", '[');
    for (int i = 0; i < t->n; i++)
        if (t->tried[i].problem == k) print_tried(json, t, &t->tried[i]);
    hone_json_close(json, ']');
    hone_json_close(json, '}');
}

// What holds.
static inline bool print_table(hone_json *json, const table *t, const char *const *problems, int n_problems)
{
    verdict v = judge_all(t);
    hone_json_text(json, "device", t->rounds[0].device);
    hone_json_text(json, "toolchain", t->rounds[0].toolchain);
    hone_json_open(json, "rounds", '[');
    for (int k = 0; k < t->n_rounds; k++) print_round(json, &t->rounds[k]);
    hone_json_close(json, ']');
    hone_json_open(json, "problems", '[');
    for (int k = 0; k < n_problems; k++) print_problem(json, t, k, problems[k]);
    hone_json_close(json, ']');
    hone_json_int(json, "tactics_compared", v.compared);
    hone_json_int(json, "beyond_3_percent", v.apart);
    hone_json_int(json, "lost", v.lost);
    hone_json_int(json, "pairs", v.pairs);
    hone_json_int(json, "pairs_beyond_1_percent", v.pairs_apart);
    hone_json_bool(json, "holds", v.holds);
    return v.holds;
}

#endif
