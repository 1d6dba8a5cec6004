// SPDX-License-Identifier: Apache-2.0
// Learned rankings: their file, their scores, what they may move, learning from a database, and replaying it.
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/db_fixture.h"
#include "tuner/choose.h"
#include "tuner/strategy.h"

#define PRODUCT "matmul a=f16:256x256 b=f16:256x256"

// Of two tiles the one of 64 is better; without the trait, as on "other", in between.
static const char small[] = "hone ranking 1\ntrait bm\ntrait nvrtc.gemm_tile@1\ntree 5\n0 100 1 n\n2\n1 0.5 3 y\n1\n-1.5\nend 1\n";

static hone_target target;
static hone_problem problem;

static hone_ranking *parse(const char *text)
{
    hone_ranking *ranking = NULL;
    OK(hone_ranking_parse(text, &ranking));
    return ranking;
}

static double score(const hone_ranking *ranking, const char *text)
{
    hone_tactic tactic;
    OK(hone_tactic_parse(text, &tactic));
    return hone_ranking_score(ranking, &problem, &tactic, &target, NULL, 1000);
}

static void trees_are_walked(void **state)
{
    hone_ranking *ranking = parse(small);
    hone_tactic tactic;
    (void)state;
    assert_true(score(ranking, "nvrtc.gemm_tile@1 bm=64") == -2);
    assert_true(score(ranking, "nvrtc.gemm_tile@1 bm=128") == 1.5);
    assert_true(score(ranking, "nvrtc.gemm_tile@1") == 1.5);
    assert_true(score(ranking, "nvrtc.other@1") == -1);
    OK(hone_tactic_parse("nvrtc.gemm_tile@1 bm=64", &tactic));
    assert_true(hone_ranking_knows(ranking, &tactic));
    OK(hone_tactic_parse("nvrtc.gemm_tile@2 bm=64", &tactic));
    assert_false(hone_ranking_knows(ranking, &tactic));
    hone_ranking_free(ranking);
}

static void what_is_no_ranking_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "hone ranking 2\n", "hone ranking 1\nend 0\n", "hone ranking 1\ntrait \ntree 1\n1\nend 1\n", "hone ranking 1\ntrait a\ntree 1\n1\n",
        "hone ranking 1\ntrait a\ntree 1\n1\nend 2\n", "hone ranking 1\ntrait a\ntree 1\n1\nend 1\nmore\n", "hone ranking 1\ntree 3\n0 1 1 y\n1\n2\nend 1\n",
        "hone ranking 1\ntrait a\ntree 3\n0 1 0 y\n1\n2\nend 1\n", "hone ranking 1\ntrait a\ntree 3\n0 1 2 y\n1\n2\nend 1\n",
        "hone ranking 1\ntrait a\ntree 3\n-1 1 1 y\n1\n2\nend 1\n", "hone ranking 1\ntrait a\ntree 3\n0 1 1 z\n1\n2\nend 1\n",
        "hone ranking 1\ntrait a\ntree 3\n0 nan 1 y\n1\n2\nend 1\n", "hone ranking 1\ntrait a\ntree 1\nnan\nend 1\n", "hone ranking 1\ntrait a\ntree 0\nend 1\n",
        "hone ranking 1\ntrait a\ntree 9999999999\n1\nend 1\n",
    };
    hone_ranking *ranking;
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (hone_ranking_parse(bad[k], &ranking) != HONE_DAMAGED) fail_msg("accepted: %s", bad[k]);
    for (size_t size = 0; size + 1 < sizeof small; size++) {
        char cut[sizeof small];
        memcpy(cut, small, size);
        cut[size] = 0;
        assert_int_equal(hone_ranking_parse(cut, &ranking), HONE_DAMAGED);
    }
    assert_int_not_equal(hone_ranking_read("/no/such/file", &ranking), HONE_OK);
    assert_int_equal(hone_ranking_find(&ranking), HONE_MISS);       // there is none beside the tests
    assert_int_equal(hone_ranking_choose("", &ranking), HONE_OK);
    assert_null(ranking);
    assert_int_equal(hone_ranking_choose("none", &ranking), HONE_OK);
    assert_null(ranking);
    assert_int_not_equal(hone_ranking_choose("/no/such/file", &ranking), HONE_OK);
}

// Whatever a byte is changed to, it is refused or it scores: no walk leaves its tree.
static void changed_bytes_do_no_harm(void **state)
{
    static const char bytes[] = "0129 .-\nyntxe";
    (void)state;
    for (size_t k = 0; k + 1 < sizeof small; k++)
        for (size_t b = 0; b + 1 < sizeof bytes; b++) {
            char text[sizeof small];
            hone_ranking *ranking;
            memcpy(text, small, sizeof small);
            text[k] = bytes[b];
            if (hone_ranking_parse(text, &ranking)) continue;
            assert_true(isfinite(score(ranking, "nvrtc.gemm_tile@1 bm=64")));
            hone_ranking_free(ranking);
        }
}

static void nobody_jumps_further_than_half_his_place(void **state)
{
    double last_is_best[8] = {8, 7, 6, 5, 4, 3, 2, 1}, in_order[4] = {1, 2, 3, 4}, equal[3] = {1, 1, 1};
    size_t order[8];
    (void)state;
    hone_ranking_order(last_is_best, 8, order);
    for (size_t k = 0; k < 8; k++) assert_true(order[k] < HONE_RANKING_REACH * (k + 1));
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 3);
    assert_int_equal(order[3], 7);
    hone_ranking_order(in_order, 4, order);
    for (size_t k = 0; k < 4; k++) assert_int_equal(order[k], k);
    hone_ranking_order(equal, 3, order);
    for (size_t k = 0; k < 3; k++) assert_int_equal(order[k], k);
}

// ---- choosing by it

static hone_status space(const hone_problem *p, const hone_target *t, hone_device *device, hone_space *out)
{
    (void)p, (void)t, (void)device;
    *out = (hone_space){.n = 1, .subspaces = {{.kernel = "plain", .version = 1, .n = 1, .ranges = {{"t", 12, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}}}};
    out->points = hone_calloc(8, sizeof *out->points);
    out->n_points = 8;
    for (int k = 0; k < 8; k++) {
        char text[64];
        snprintf(text, sizeof text, "listing.listed@1 engine=%d", k);
        OK(hone_tactic_parse(text, &out->points[k]));
    }
    return HONE_OK;
}

static double estimate_ns(const hone_problem *p, const hone_tactic *tactic, const hone_target *t)
{
    (void)p, (void)t;
    return 1000.0 * (double)hone_tactic_get(tactic, "t", 0);
}

static const hone_source listing = {.name = "listing", .version = 1, .depends = "", .devices = "cuda", .space = space, .estimate_ns = estimate_ns};

static void a_ranking_moves_all_but_the_default(void **state)
{
    static const char text[] = "hone ranking 1\ntrait engine\ntrait t\ntrait listing.plain@1\ntrait listing.listed@1\n"
                               "tree 3\n0 2.5 1 y\n1\n2\ntree 3\n1 5.5 1 y\n1\n2\nend 2\n";
    hone_candidates list = {0};
    hone_ranking *ranking = parse(text), *other = parse(small);
    hone_choosing how = {"cuda", HONE_EFFORT_QUICK, ranking};
    size_t points, others, plain_points, plain_others;
    (void)state;
    hone_effort_limits(HONE_EFFORT_QUICK, "cuda", true, &points, &others);
    hone_effort_limits(HONE_EFFORT_QUICK, "cuda", false, &plain_points, &plain_others);
    assert_true(points < plain_points && others < plain_others);
    OK(hone_candidates_add(&list, &listing, &problem, &target, NULL, &how));
    assert_int_equal(list.n, points + others);
    assert_true(list.items[0].is_default && !list.items[0].is_point);
    assert_int_equal(hone_tactic_get(&list.items[0].tactic, "engine", -1), 0);
    assert_int_equal(hone_tactic_get(&list.items[1].tactic, "engine", -1), 1);      // 3 is better, but may not come so far forward
    assert_true(list.items[1].is_point && !list.items[1].is_default);
    assert_int_equal(hone_tactic_get(&list.items[points + others - 2].tactic, "t", -1), 6);
    assert_int_equal(hone_tactic_get(&list.items[points + others - 1].tactic, "t", -1), 7);
    for (size_t k = points; k < list.n; k++) assert_false(list.items[k].is_point || list.items[k].is_default);
    hone_candidates_clear(&list);
    how.ranking = other;               // it does not know these kernels: estimates, and as many as without it
    OK(hone_candidates_add(&list, &listing, &problem, &target, NULL, &how));
    assert_int_equal(list.n, plain_points + plain_others);
    for (size_t k = 0; k < plain_others; k++) assert_int_equal(hone_tactic_get(&list.items[plain_points + k].tactic, "t", -1), k + 1);
    hone_candidates_clear(&list);
    hone_ranking_free(ranking);
    hone_ranking_free(other);
}

// ---- learning

// Sixteen products; of each the tile of 128 takes twice as long as that of 64, whatever else, and a library's point lies between.
static hone_store *make_store(const char *folder)
{
    hone_store *store = fixture_create(folder, "learn.db");
    hone_id run = fixture_put_run(store, 1000);
    for (int k = 0; k < 16; k++)
        for (int bm = 64; bm <= 256; bm *= 2)
            for (int splits = 1; splits <= 4; splits *= 2) {
                char text[128], tactic[128];
                snprintf(text, sizeof text, "matmul a=f16:%dx256 b=f16:256x256", 64 + 64 * k);
                snprintf(tactic, sizeof tactic, "nvrtc.gemm_tile@1 bm=%d bn=64 bk=64 warps=4 splits=%d", bm == 256 ? 32 : bm, splits);
                hone_measurement row = fixture_row(&run, tactic, (bm == 64 ? 1000 : bm == 128 ? 2000 : 4000) + splits);
                row.problem = text;
                if (bm == 256 && splits == 1) row.tactic = "cublaslt.matmul@1 ws=0 algo=00ff", row.median_ns = 1500, row.note = "default";
                OK(hone_store_put_measurement(store, &row, NULL));
            }
    return store;
}

static bool skip_small(void *user, const char *device, const char *text)
{
    (void)user, (void)device;
    return !strncmp(text, "matmul a=f16:64x", 16);
}

static void learning_repeats_and_ranks(void **state)
{
    char folder[256], path[300];
    hone_lesson lesson = {0}, part = {0};
    hone_text text[2];
    hone_replayed learned = {0}, estimated = {0};
    const int budgets[] = {1, 2, 9};
    (void)state;
    assert_non_null(unit_folder(folder));
    hone_store *store = make_store(folder);
    OK(hone_lesson_add(&lesson, store, NULL, NULL));
    OK(hone_lesson_add(&part, store, skip_small, NULL));
    assert_int_equal(lesson.n, 16 * 9);
    assert_int_equal(part.n, 15 * 9);
    for (int k = 0; k < 2; k++) {
        hone_text_init(&text[k]);
        OK(hone_lesson_learn(&lesson, &text[k]));
    }
    assert_string_equal(hone_text_get(&text[0]), hone_text_get(&text[1]));
    hone_ranking *ranking = parse(hone_text_get(&text[0]));
    assert_true(score(ranking, "nvrtc.gemm_tile@1 bm=64 bn=64 bk=64 warps=4 splits=1") < score(ranking, "nvrtc.gemm_tile@1 bm=128 bn=64 bk=64 warps=4 splits=1"));
    OK(hone_strategy_replay(1, &lesson, ranking, budgets, 3, 2, &learned));
    OK(hone_strategy_replay(0, &lesson, NULL, budgets, 3, 2, &estimated));
    assert_int_equal(learned.cases, 16);
    assert_int_equal(learned.candidates, 16 * 9);
    assert_true(fabs(exp(learned.log_sum[0] / 16) - 1001.0 / 1500) < 1e-9);      // the library's default comes first
    assert_true(exp(learned.log_sum[1] / 16) > 0.99 && learned.least[1] > 0.99);
    assert_true(learned.log_sum[2] == 0 && estimated.log_sum[2] == 0);
    hone_lesson_clear(&lesson);
    hone_lesson_clear(&part);
    for (int k = 0; k < 2; k++) hone_text_clear(&text[k]);
    hone_ranking_free(ranking);
    hone_store_close(store);
    snprintf(path, sizeof path, "%s/learn.db", folder);
    remove(path);
    rmdir(folder);
}

static void nothing_to_learn_is_said(void **state)
{
    hone_lesson lesson = {0};
    hone_text text;
    (void)state;
    hone_text_init(&text);
    assert_int_equal(hone_lesson_learn(&lesson, &text), HONE_MISS);
    hone_text_clear(&text);
}

static int set_up(void **state)
{
    (void)state;
    OK(hone_target_parse(H100, &target));
    OK(hone_problem_parse(PRODUCT, &problem));
    return 0;
}

int test_tuner_rank(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_walked), cmocka_unit_test(what_is_no_ranking_is_refused), cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(nobody_jumps_further_than_half_his_place),
        cmocka_unit_test(a_ranking_moves_all_but_the_default), cmocka_unit_test(learning_repeats_and_ranks), cmocka_unit_test(nothing_to_learn_is_said),
    };
    return cmocka_run_group_tests_name("tuner_rank", tests, set_up, NULL);
}
