// SPDX-License-Identifier: Apache-2.0
// A survey on small databases: what is asked for, what is decided, and that it goes on from what is known.
#include "tests/unit/db_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "tuner/survey.h"

#define NOW "cuda=13.1 driver=590.44 cublaslt=13.2.0 cudnn=9.20.0 nvrtc=13.1 hone=0.1.0"
#define MODE "single cold"

enum { PROBLEMS = 40 };

static char folder[256];

static const struct { const char *tactic, *depends, *now; double ns; } tactics[] = {
    {"cublaslt.matmul@1 algo=1", "cublaslt=13.1.0", "cublaslt=13.2.0", 100}, {"cublaslt.matmul@1 algo=2", "cublaslt=13.1.0", "cublaslt=13.2.0", 104},
    {"cudnn.conv@1 id=3", "cudnn=9.19.0", "cudnn=9.20.0", 98}, {"nvrtc.gemm_tile@1 bm=64", "nvrtc=13.0", "nvrtc=13.1", 99}, {"ref@1", "", "", 400},
};
enum { TACTICS = sizeof tactics / sizeof *tactics };

static void spell(int k, char problem[64])
{
    snprintf(problem, 64, "matmul a=f16:%dx64 b=f16:64x64", 100 + k);
}

static hone_store *make(const char *name)
{
    hone_store *store = fixture_create(folder, name);
    hone_id run = fixture_put_run(store, 1), digest;
    char problems[PROBLEMS][64];
    const char *named[PROBLEMS];
    int64_t times[PROBLEMS];
    OK(hone_store_begin_group(store));
    for (int k = 0; k < PROBLEMS; k++) {
        spell(k, problems[k]);
        named[k] = problems[k];
        times[k] = 1 + k % 4;
        for (int t = 0; t < TACTICS; t++) {
            hone_measurement row = fixture_row(&run, tactics[t].tactic, 100 * tactics[t].ns * (1 + 0.001 * ((k * 7 + t * 3) % 10)));
            row.problem = problems[k];
            row.depends = tactics[t].depends;
            OK(hone_store_put_measurement(store, &row, NULL));
        }
        hone_coverage coverage = {H200, "cublaslt=13.1.0", problems[k], "cublaslt", 1, "full", 9};
        OK(hone_store_put_coverage(store, &coverage));
    }
    OK(hone_store_end_group(store));
    hone_hash_once("net", 3, &digest);
    OK(hone_store_put_network(store, &digest, "net", named, times, PROBLEMS - 10));        // ten problems are no network's
    return store;
}

typedef double (*truth)(const hone_survey_item *item);         // the ratio now to before; 0 it fails

static hone_survey *survey_of(hone_store *store)
{
    hone_survey_rules rules = hone_survey_usual(5);
    hone_survey *survey;
    OK(hone_survey_new(store, H200, NOW, MODE, &rules, &survey));
    return survey;
}

static const char *depends_now(const char *tactic)
{
    for (int t = 0; t < TACTICS; t++)
        if (!strcmp(tactics[t].tactic, tactic)) return tactics[t].now;
    return "cublaslt=13.2.0";
}

// Times all that is asked for, puts it, and concludes. Answers how many tactics that was.
static size_t answer(hone_store *store, hone_survey *survey, truth of, int64_t start_unix_ms)
{
    hone_id run = fixture_put_run(store, start_unix_ms);
    size_t items[64], count, timed = 0;
    int64_t put, covered;
    for (;;) {
        OK(hone_survey_ask(survey, items, 64, &count));
        if (!count) break;
        for (size_t k = 0; k < count; k++) {
            hone_survey_item item = hone_survey_get(survey, items[k]);
            double ratio = of(&item);
            hone_measurement row = ratio > 0 ? fixture_row(&run, item.tactic ? item.tactic : "cublaslt.matmul@1 algo=9", item.before_ns * ratio)
                                             : fixture_failure(&run, item.tactic ? item.tactic : "", HONE_VERDICT_WRONG);
            row.problem = item.problem;
            row.depends = depends_now(row.tactic);
            if (item.tactic || ratio > 0) OK(hone_store_put_measurement(store, &row, NULL));
            hone_survey_answer told = {item.before_ns * ratio, 0.001, item.tactic || ratio > 0};
            hone_survey_tell(survey, items[k], &told);
            timed += told.ran;
        }
    }
    OK(hone_survey_conclude(survey, store, &run, &put, &covered));
    return timed;
}

static hone_survey_family family_of(hone_survey *survey, const char *name)
{
    const hone_survey_family *families;
    size_t n = hone_survey_families(survey, &families);
    for (size_t k = 0; k < n; k++)
        if (!strcmp(families[k].family, name) && !families[k].is_anew) return families[k];
    fail_msg("there is no family %s", name);
    return families[0];
}

static double same(const hone_survey_item *item)
{
    return item->tactic ? 1.003 : 0;
}

static double faster_lt(const hone_survey_item *item)
{
    return !item->tactic ? 0 : strncmp(item->tactic, "cublaslt", 8) ? 1 : 0.8;
}

static double scattered_nvrtc(const hone_survey_item *item)
{
    return !item->tactic ? 0 : strncmp(item->tactic, "nvrtc", 5) ? 1 : 0.7 + 0.1 * (item->problem[15] % 7);
}

static double wrong_cudnn(const hone_survey_item *item)
{
    return !item->tactic ? 0 : strncmp(item->tactic, "cudnn", 5) ? 1 : 0;
}

static double better_anew(const hone_survey_item *item)
{
    return item->tactic ? 1 : strncmp(item->family, "cublaslt", 8) ? 0 : 0.7;
}

static const char *choice(hone_store *store, int k, double *rescaled)
{
    static char chosen[64];
    char problem[64];
    hone_ranked *ranked;
    size_t n;
    spell(k, problem);
    hone_question question = {.device = H200, .toolchain = NOW, .problem = problem, .mode = ""};
    OK(hone_store_rank(store, &question, &ranked, &n));
    snprintf(chosen, sizeof chosen, "%s", n ? ranked[0].tactic : "");
    *rescaled = n ? ranked[0].rescaled : 0;
    hone_free(ranked);
    return chosen;
}

static void nothing_changed_is_kept(void **state)
{
    (void)state;
    double rescaled;
    hone_store *store = make("same.db");
    hone_survey *survey = survey_of(store);
    assert_int_equal(hone_survey_stale(survey), PROBLEMS * 4);
    assert_true(answer(store, survey, same, 10) < 20);
    for (int k = 0; k < 3; k++) {
        static const char *const names[] = {"cublaslt.matmul matmul f16", "cudnn.conv matmul f16", "nvrtc.gemm_tile matmul f16"};
        assert_int_equal(family_of(survey, names[k]).decision, HONE_RECHECK_KEEP);
        assert_true(family_of(survey, names[k]).is_decided);
    }
    hone_survey_free(survey);
    for (int k = 0; k < PROBLEMS; k++) assert_string_not_equal(choice(store, k, &rescaled), "ref@1");
    // What is covered is not tuned again, and not more.
    bool covered;
    char problem[64];
    spell(0, problem);
    hone_coverage asked = {H200, "cublaslt=13.2.0", problem, "cublaslt", 1, "full", 0};
    OK(hone_store_find_coverage(store, &asked, &covered));
    assert_true(covered);
    asked.effort = "exhaustive";
    OK(hone_store_find_coverage(store, &asked, &covered));
    assert_false(covered);
    hone_store_close(store);
}

static void it_goes_on_from_what_is_known(void **state)
{
    (void)state;
    hone_store *store = make("again.db");
    hone_survey *survey = survey_of(store);
    answer(store, survey, same, 10);
    hone_survey_free(survey);
    survey = survey_of(store);
    assert_int_equal(answer(store, survey, same, 20), 0);
    hone_survey_free(survey);
    // Stopped in between: what was timed before is part of the sample.
    hone_store *half = make("half.db");
    size_t items[64], count, rest;
    survey = survey_of(half);
    OK(hone_survey_ask(survey, items, 64, &count));
    hone_id run = fixture_put_run(half, 10);
    for (size_t k = 0, put = 0; k < count && put < 3; k++) {
        hone_survey_item item = hone_survey_get(survey, items[k]);
        if (!item.tactic) continue;
        hone_measurement row = fixture_row(&run, item.tactic, item.before_ns);
        row.problem = item.problem;
        row.depends = depends_now(item.tactic);
        OK(hone_store_put_measurement(half, &row, NULL));
        put++;
    }
    hone_survey_free(survey);
    survey = survey_of(half);
    OK(hone_survey_ask(survey, items, 64, &rest));
    assert_int_equal(rest, count - 3);
    hone_survey_free(survey);
    hone_store_close(half);
    hone_store_close(store);
}

static void a_family_that_moved_is_rescaled(void **state)
{
    (void)state;
    double rescaled;
    hone_store *store = make("moved.db");
    hone_survey *survey = survey_of(store);
    assert_true(answer(store, survey, faster_lt, 10) < 25);
    hone_survey_family moved = family_of(survey, "cublaslt.matmul matmul f16");
    assert_int_equal(moved.decision, HONE_RECHECK_RESCALE);
    assert_true(fabs(moved.scale - 0.8) < 1e-6);
    assert_int_equal(family_of(survey, "cudnn.conv matmul f16").decision, HONE_RECHECK_KEEP);
    hone_survey_free(survey);
    for (int k = 0; k < PROBLEMS; k++) assert_memory_equal(choice(store, k, &rescaled), "cublaslt", 8);
    hone_store_close(store);
}

static void a_family_that_is_scattered_is_timed_again(void **state)
{
    (void)state;
    double rescaled;
    size_t left, without;
    hone_store *store = make("scattered.db");
    hone_survey *survey = survey_of(store);
    answer(store, survey, scattered_nvrtc, 10);
    hone_survey_family apart = family_of(survey, "nvrtc.gemm_tile matmul f16");
    assert_int_equal(apart.decision, HONE_RECHECK_APART);
    assert_true(apart.timed > 10);                     // it may win on any problem
    left = hone_survey_left(survey, &without);
    assert_true(left < PROBLEMS && without == 0);
    hone_survey_free(survey);
    // On no problem does an untimed one count.
    for (int k = 0; k < PROBLEMS; k++)
        if (!strncmp(choice(store, k, &rescaled), "nvrtc", 5)) assert_true(rescaled == 0);
    hone_store_close(store);
}

enum { ALONE = 200, ALONE_TIMED_MOST = 100 };          // the least that 3% are taken for

// Problems of which nothing but one family is known: each has a choice all the same, as no record of the sample failed.
static void a_scattered_family_that_stands_alone_is_a_last_resort(void **state)
{
    (void)state;
    double rescaled;
    size_t without, untimed = 0;
    hone_store *store = fixture_create(folder, "alone.db");
    hone_id run = fixture_put_run(store, 1);
    OK(hone_store_begin_group(store));
    for (int k = 0; k < ALONE; k++) {
        char problem[64];
        spell(k, problem);
        hone_measurement row = fixture_row(&run, "nvrtc.gemm_tile@1 bm=64", 1e4);
        row.problem = problem;
        row.depends = "nvrtc=13.0";
        OK(hone_store_put_measurement(store, &row, NULL));
    }
    OK(hone_store_end_group(store));
    hone_survey *survey = survey_of(store);
    assert_true(answer(store, survey, scattered_nvrtc, 10) <= ALONE_TIMED_MOST);
    hone_survey_family apart = family_of(survey, "nvrtc.gemm_tile matmul f16");
    assert_int_equal(apart.decision, HONE_RECHECK_APART);
    assert_true(hone_survey_left(survey, &without) >= ALONE - ALONE_TIMED_MOST && without == 0);
    hone_survey_free(survey);
    for (int k = 0; k < ALONE; k++) {
        assert_memory_equal(choice(store, k, &rescaled), "nvrtc", 5);
        untimed += rescaled == apart.scale;
    }
    assert_true(untimed >= ALONE - ALONE_TIMED_MOST);
    hone_store_close(store);
}

static void a_family_that_fails_is_left(void **state)
{
    (void)state;
    double rescaled;
    hone_store *store = make("wrong.db");
    hone_survey *survey = survey_of(store);
    assert_true(answer(store, survey, wrong_cudnn, 10) < 25);
    hone_survey_family broken = family_of(survey, "cudnn.conv matmul f16");
    assert_true(broken.decision == HONE_RECHECK_RETIME && broken.failed >= 4 && broken.timed == 0);
    hone_survey_free(survey);
    for (int k = 0; k < PROBLEMS; k++) assert_memory_not_equal(choice(store, k, &rescaled), "cudnn", 5);
    hone_store_close(store);
}

static void what_a_library_offers_anew_is_found(void **state)
{
    (void)state;
    double rescaled;
    int anew = 0;
    hone_store *store = make("anew.db");
    hone_survey *survey = survey_of(store);
    answer(store, survey, better_anew, 10);
    assert_int_equal(family_of(survey, "cublaslt.matmul matmul f16").decision, HONE_RECHECK_KEEP);
    hone_survey_free(survey);
    for (int k = 0; k < PROBLEMS - 10; k++) anew += !strcmp(choice(store, k, &rescaled), "cublaslt.matmul@1 algo=9");
    assert_true(anew > 25);                            // of the thirty that a network needs
    hone_store_close(store);
}

static int set_up(void **state)
{
    (void)state;
    return unit_folder(folder) ? 0 : -1;
}

int test_tuner_survey(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed_is_kept), cmocka_unit_test(it_goes_on_from_what_is_known), cmocka_unit_test(a_family_that_moved_is_rescaled),
        cmocka_unit_test(a_family_that_is_scattered_is_timed_again), cmocka_unit_test(a_scattered_family_that_stands_alone_is_a_last_resort), cmocka_unit_test(a_family_that_fails_is_left),
        cmocka_unit_test(what_a_library_offers_anew_is_found),
    };
    return cmocka_run_group_tests_name("tuner_survey", tests, set_up, NULL);
}
