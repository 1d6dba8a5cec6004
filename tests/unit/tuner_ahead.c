// SPDX-License-Identifier: Apache-2.0
// Choosing, compiling through the cache, and doing both ahead of time, with a source that counts its compilations.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/unit/db_fixture.h"
#include "tests/unit/unit.h"
#include "tuner/ahead.h"
#include "tuner/artifact.h"

static atomic_int compiled;

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *out)
{
    (void)problem, (void)target, (void)device;
    *out = (hone_space){.n = 2, .subspaces = {
        {.kernel = "plain", .version = 1, .n = 1, .ranges = {{"t", 12, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}},
        {.kernel = "other", .version = 1, .n = 1, .ranges = {{"t", 2, {100, 200}}}}}};
    out->points = hone_calloc(8, sizeof *out->points);
    out->n_points = 8;
    for (int k = 0; k < 8; k++) {
        char text[64];
        snprintf(text, sizeof text, "counted.listed@1 algo=x%d", 9 - k);
        assert_int_equal(hone_tactic_parse(text, &out->points[k]), HONE_OK);
    }
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)target;
    return 1000.0 * (double)hone_tactic_get(tactic, "t", 0);
}

static hone_status key(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, char text[HONE_ARTIFACT_KEY])
{
    (void)problem, (void)target;
    snprintf(text, HONE_ARTIFACT_KEY, "key-%s-%lld", tactic->kernel, (long long)hone_tactic_get(tactic, "t", 0));
    return HONE_OK;
}

static hone_status compile(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_blob *artifact)
{
    (void)problem, (void)target;
    atomic_fetch_add(&compiled, 1);
    hone_sleep_ns(2000000);
    if (hone_tactic_get(tactic, "t", 0) == 13) return hone_fail(HONE_DECLINED, "line 3: no such thing");
    *artifact = (hone_blob){.data = hone_strdup("machine code"), .size_bytes = 12, .registers = 40, .spill_bytes = 8, .shared_bytes = 16};
    return HONE_OK;
}

static const hone_source counted = {
    .name = "counted", .version = 1, .depends = "", .devices = "cpu", .space = space, .estimate_ns = estimate_ns, .key = key, .compile = compile,
};

static hone_problem problem;
static hone_target target = {.kind = "cpu"};

static int open_cache(void **state)
{
    static char folder[256];
    (void)state;
    setenv("HONE_CACHE", unit_folder(folder), 1);
    atomic_store(&compiled, 0);
    return hone_problem_parse("relu x=f32:100", &problem) != HONE_OK;
}

static int close_cache(void **state)
{
    char command[300];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", getenv("HONE_CACHE"));
    int failed = system(command);
    unsetenv("HONE_CACHE");
    return failed;
}

static hone_tactic tactic_of(int t)
{
    hone_tactic tactic = {.source = "counted", .kernel = "plain", .version = 1};
    hone_tactic_set(&tactic, "t", t);
    return tactic;
}

static hone_status make(int t, hone_blob *blob)
{
    char text[HONE_ARTIFACT_KEY];
    hone_tactic tactic = tactic_of(t);
    return hone_artifact_make(&counted, &problem, &tactic, &target, text, blob);
}

static void what_was_compiled_is_found(void **state)
{
    hone_blob blob;
    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(make(5, &blob), HONE_OK);
        assert_int_equal(blob.size_bytes, 12);
        assert_memory_equal(blob.data, "machine code", 12);
        assert_int_equal(blob.registers, 40);
        assert_int_equal(blob.spill_bytes, 8);
        assert_int_equal(blob.shared_bytes, 16);
        hone_free(blob.data);
    }
    assert_int_equal(atomic_load(&compiled), 1);
}

static void what_does_not_compile_is_remembered(void **state)
{
    hone_blob blob;
    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(make(13, &blob), HONE_DECLINED);
        assert_string_equal(hone_error_text(), "line 3: no such thing");
    }
    assert_int_equal(atomic_load(&compiled), 1);
}

static void a_damaged_file_is_made_again(void **state)
{
    static const char *const damages[] = {"", "hone-artifact 1 good=1 registers=1 spill=0 shared=0 bytes=900\nxx", "something else",
                                          "hone-artifact 1 good=1 registers=1 spill=0 shared=0 bytes=-1\n"};
    char path[512];
    hone_blob blob;
    (void)state;
    snprintf(path, sizeof path, "%s/artifacts/key-plain-6", getenv("HONE_CACHE"));
    for (size_t k = 0; k < sizeof damages / sizeof *damages; k++) {
        assert_int_equal(make(6, &blob), HONE_OK);
        hone_free(blob.data);
        assert_int_equal(hone_file_write(path, damages[k], strlen(damages[k])), HONE_OK);
        assert_int_equal(make(6, &blob), HONE_OK);
        assert_memory_equal(blob.data, "machine code", 12);
        hone_free(blob.data);
    }
    assert_int_equal(hone_artifact_find("no-such-key", &blob), HONE_MISS);
    assert_int_not_equal(hone_artifact_find("../../etc/passwd", &blob), HONE_OK);
}

// What a measurement names and the store lacks is put there, once; what has another key here is not.
static void a_store_is_given_what_it_lacks(void **state)
{
    char text[HONE_ARTIFACT_KEY];
    hone_store *store = fixture_create(getenv("HONE_CACHE"), "x.db");
    hone_tactic tactic = tactic_of(5);
    void *data;
    size_t size;
    (void)state;
    OK(key(&problem, &tactic, &target, text));
    for (int round = 0; round < 2; round++) {
        OK(hone_artifact_provide(store, &counted, &problem, &tactic, &target, text));
        OK(hone_store_find_artifact(store, text, &data, &size));
        assert_int_equal(size, 12);
        assert_memory_equal(data, "machine code", 12);
        hone_free(data);
    }
    assert_int_equal(atomic_load(&compiled), 1);
    assert_int_equal(hone_artifact_provide(store, &counted, &problem, &tactic, &target, "key-of-another-compiler"), HONE_DECLINED);
    assert_non_null(strstr(hone_error_text(), "made by other versions"));
    tactic = tactic_of(13);
    OK(key(&problem, &tactic, &target, text));
    assert_int_equal(hone_artifact_provide(store, &counted, &problem, &tactic, &target, text), HONE_DECLINED);
    OK(hone_store_find_artifact(store, text, &data, &size));
    assert_null(data);
    hone_store_close(store);
}

static void *make_one(void *unused)
{
    hone_blob blob;
    if (make(7, &blob)) return "failed";
    hone_free(blob.data);
    return unused;
}

static void one_key_is_compiled_once_at_a_time(void **state)
{
    pthread_t threads[8];
    void *answer;
    (void)state;
    for (int k = 0; k < 8; k++) assert_int_equal(pthread_create(&threads[k], NULL, make_one, NULL), 0);
    for (int k = 0; k < 8; k++) {
        pthread_join(threads[k], &answer);
        assert_null(answer);
    }
    assert_int_equal(atomic_load(&compiled), 1);
}

// ---- choosing

static void the_default_competes_and_each_kernel_has_its_best(void **state)
{
    hone_candidates list = {0};
    size_t points, others;
    (void)state;
    hone_effort_limits(HONE_EFFORT_QUICK, "cuda", false, &points, &others);
    assert_true(points > 0 && points < 8 && others > 2 && others < 14);
    assert_int_equal(hone_candidates_add(&list, &counted, &problem, &target, NULL, &(hone_choosing){"cuda", HONE_EFFORT_QUICK, NULL}), HONE_OK);
    assert_int_equal(list.n, points + others);
    assert_string_equal(list.items[0].tactic.vendor, "algo=x9");
    for (size_t k = 0; k < list.n; k++) assert_int_equal(list.items[k].is_default, k == 0);
    assert_string_equal(list.items[points].tactic.kernel, "plain");
    assert_string_equal(list.items[points + 1].tactic.kernel, "other");
    for (size_t k = 2; k < others; k++) assert_int_equal(hone_tactic_get(&list.items[points + k].tactic, "t", 0), k);
    hone_candidates_clear(&list);
    assert_int_equal(hone_candidates_add(&list, &counted, &problem, &target, NULL, &(hone_choosing){"cuda", HONE_EFFORT_EXHAUSTIVE, NULL}), HONE_OK);
    assert_int_equal(list.n, 8 + 14);
    hone_candidates_clear(&list);
    assert_int_equal(hone_candidates_add(&list, &counted, &problem, &target, NULL, &(hone_choosing){"cuda", HONE_EFFORT_ESTIMATE, NULL}), HONE_OK);
    assert_int_equal(list.n, 0);
    hone_candidates_clear(&list);
}

static void efforts_are_words(void **state)
{
    static const char *const words[] = {"lookup", "estimate", "quick", "full", "exhaustive"};
    hone_effort effort;
    (void)state;
    for (int k = 0; k < 5; k++) {
        assert_true(hone_effort_parse(words[k], &effort));
        assert_int_equal(effort, k);
        assert_string_equal(hone_effort_name(effort), words[k]);
    }
    assert_false(hone_effort_parse("hard", &effort));
}

// ---- ahead of time, through the real table of sources

static void references_are_made_ahead(void **state)
{
    static const char *const problems[] = {"relu x=f32:1000", "matmul a=f32:40x50 b=f32:50x60", "softmax x=f32:30x40 axis=1", "add a=f32:9 b=f32:9"};
    hone_ahead_options options = {.target = target, .kind = "cpu", .effort = HONE_EFFORT_QUICK, .seed = 3, .threads = 3, .helpers = 1};
    hone_ahead *ahead;
    hone_item *item;
    (void)state;
    assert_int_equal(hone_ahead_new(&options, &ahead), HONE_OK);
    for (int round = 0; round < 10; round++)
        for (int k = 0; k < 4; k++) assert_int_equal(hone_ahead_item(ahead, 4 * round + k, problems[k], &item), HONE_OK);
    for (int n = 0; n < 40; n++) {
        hone_expect *expect;
        assert_int_equal(hone_ahead_item(ahead, n, problems[n % 4], &item), HONE_OK);
        assert_int_equal(hone_item_expect(ahead, item, &expect), HONE_OK);
        assert_string_equal(hone_item_text(item), problems[n % 4]);
        assert_non_null(expect->out[0].f);
        if (n == 20) hone_ahead_wait(ahead, n);
        hone_ahead_drop(ahead, n);
    }
    assert_int_equal(hone_ahead_item(ahead, 100, "relu y=f32:1", &item), HONE_USAGE);
    assert_int_equal(hone_ahead_item(ahead, 101, problems[0], &item), HONE_OK);
    assert_int_equal(hone_ahead_item(ahead, 101, problems[1], &item), HONE_USAGE);
    hone_ahead_free(ahead);
}

static void sources_are_wanted_by_word(void **state)
{
    (void)state;
    assert_true(hone_source_is_wanted(&counted, "", "cpu"));
    assert_true(hone_source_is_wanted(&counted, "ref,counted", "cpu"));
    assert_true(hone_source_is_wanted(&counted, "counted", "cpu"));
    assert_false(hone_source_is_wanted(&counted, "recounted,counted2", "cpu"));
    assert_false(hone_source_is_wanted(&counted, "", "cuda"));
}

int test_tuner_ahead(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_compiled_is_found, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(what_does_not_compile_is_remembered, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_made_again, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(a_store_is_given_what_it_lacks, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(one_key_is_compiled_once_at_a_time, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(the_default_competes_and_each_kernel_has_its_best, open_cache, close_cache),
        cmocka_unit_test(efforts_are_words), cmocka_unit_test(references_are_made_ahead), cmocka_unit_test(sources_are_wanted_by_word),
    };
    return cmocka_run_group_tests_name("tuner_ahead", tests, NULL, NULL);
}
