// SPDX-License-Identifier: Apache-2.0
// The list of a sweep: parse and print are inverse, shards are cut as asked, changed lists are refused; locks.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/rng.h"
#include "tests/unit/unit.h"
#include "tuner/sweep.h"

#define DEVICE "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W"

static void fill(hone_sweep *sweep, int problems, uint64_t seed)
{
    hone_id digest = {{1, 2, 3}};
    char spelling[64];
    hone_sweep_init(sweep);
    snprintf(sweep->device, sizeof sweep->device, "%s", DEVICE);
    snprintf(sweep->toolchain, sizeof sweep->toolchain, "cuda=13.0 hone=0.1.0");
    sweep->effort = HONE_EFFORT_FULL;
    assert_int_equal(hone_sweep_add_network(sweep, &digest, "a\tname", "fp16,fp32", "x:1x3x8x8"), HONE_OK);
    for (int k = 0; k < problems; k++) {
        snprintf(spelling, sizeof spelling, "%s x=f32:%dx%d", k % 2 ? "relu" : "sigmoid", k / 4 + 1, 7 + k % 4);
        assert_int_equal(hone_sweep_add_need(sweep, spelling, k + 1), HONE_OK);
        for (int twice = 0; twice < 2; twice++) assert_int_equal(hone_sweep_add_problem(sweep, spelling), HONE_OK);
    }
    hone_sweep_join(sweep);
    assert_int_equal(sweep->n, problems);
    for (int k = 0; k < problems; k++) {
        sweep->problems[k].seconds = 0.001 + 10 * hone_rng_uniform(seed, 0, (uint64_t)k);
        sweep->problems[k].gain_ns = (double)(hone_rng_bits(seed, 1, (uint64_t)k) % 1000);
    }
}

static void parse_and_print_are_inverse(void **state)
{
    (void)state;
    hone_sweep sweep, read;
    hone_text first, second;
    fill(&sweep, 37, 1);
    hone_sweep_cut(&sweep, 30, 0);
    hone_text_init(&first);
    hone_text_init(&second);
    assert_int_equal(hone_sweep_print(&sweep, &first), HONE_OK);
    assert_int_equal(hone_sweep_parse(first.data, &read), HONE_OK);
    assert_true(hone_id_equal(&sweep.id, &read.id));
    assert_int_equal(read.shards, sweep.shards);
    assert_int_equal(read.networks[0].n, 37);
    assert_string_equal(read.networks[0].name, "a?name");
    assert_int_equal(hone_sweep_print(&read, &second), HONE_OK);
    assert_string_equal(first.data, second.data);
    hone_text_clear(&first);
    hone_text_clear(&second);
    hone_sweep_clear(&sweep);
    hone_sweep_clear(&read);
}

// Whatever byte is changed, or wherever it is cut: refused, and nothing leaks.
static void a_changed_list_is_refused(void **state)
{
    (void)state;
    hone_sweep sweep, read;
    hone_text text;
    fill(&sweep, 3, 2);
    hone_sweep_cut(&sweep, 1e9, 2);
    hone_text_init(&text);
    assert_int_equal(hone_sweep_print(&sweep, &text), HONE_OK);
    for (size_t k = 0; k < text.size; k++) {
        char was = text.data[k];
        static const char bytes[] = {'\n', '\t', '1', 0};
        for (size_t j = 0; j < sizeof bytes; j++) {
            if (bytes[j] == was) continue;
            text.data[k] = bytes[j];
            assert_int_equal(hone_sweep_parse(text.data, &read), HONE_DAMAGED);
            hone_sweep_clear(&read);
        }
        text.data[k] = was;
    }
    hone_text_clear(&text);
    hone_sweep_clear(&sweep);
}

// Four kin, whatever their batch: each stands together, the one with the greatest gain of all first, and in it the greatest first.
static void check_cut(const hone_sweep *sweep, double least, int asked)
{
    size_t changes = 0;
    for (size_t k = 1; k < sweep->n; k++) {
        const hone_sweep_problem *x = &sweep->problems[k - 1], *y = &sweep->problems[k];
        bool is_kin = x->spelling[0] == y->spelling[0] && !strcmp(strrchr(x->spelling, 'x'), strrchr(y->spelling, 'x'));
        changes += !is_kin;
        assert_true(y->kin_gain_ns <= x->kin_gain_ns && y->gain_ns <= y->kin_gain_ns);
        if (is_kin) assert_true(y->gain_ns <= x->gain_ns && y->kin_gain_ns == x->kin_gain_ns);
        else assert_true(y->gain_ns == y->kin_gain_ns);
        assert_in_range(y->shard - x->shard, 0, 1);
    }
    assert_true(changes <= 3);
    assert_int_equal(sweep->problems[0].shard, 1);
    assert_int_equal(sweep->problems[sweep->n - 1].shard, sweep->shards);
    if (asked) assert_int_equal(sweep->shards, asked < (int)sweep->n ? asked : (int)sweep->n);
    for (int k = 1; k <= sweep->shards && !asked && sweep->shards > 1; k++) assert_true(hone_sweep_seconds(sweep, k) >= least * 0.999);
}

static void shards_are_cut_as_asked(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        hone_sweep sweep;
        int asked = seed % 2 ? 1 + (int)(seed % 13) : 0;
        double least = 1 + (double)(seed % 50);
        fill(&sweep, 1 + (int)(seed % 60), seed);
        hone_sweep_cut(&sweep, least, asked);
        check_cut(&sweep, least, asked);
        hone_sweep_clear(&sweep);
    }
}

static void a_lock_is_held_once(void **state)
{
    (void)state;
    char path[] = "/tmp/hone-lock-XXXXXX";
    int made = mkstemp(path), lock, second;
    bool held;
    assert_true(made >= 0);
    close(made);
    assert_int_equal(hone_lock_look(path, &held), HONE_OK);
    assert_false(held);
    assert_int_equal(hone_lock_take(path, &lock), HONE_OK);
    assert_int_equal(hone_lock_take(path, &second), HONE_AGAIN);
    assert_int_equal(second, -1);
    assert_int_equal(hone_lock_look(path, &held), HONE_OK);
    assert_true(held);
    hone_lock_release(lock);
    assert_int_equal(hone_lock_take(path, &lock), HONE_OK);
    hone_lock_release(lock);
    unlink(path);
    assert_int_equal(hone_lock_look(path, &held), HONE_OK);
    assert_false(held);
    assert_int_equal(hone_lock_take("/nowhere/at/all", &lock), HONE_IO);
}

int test_tuner_sweep(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_and_print_are_inverse), cmocka_unit_test(a_changed_list_is_refused), cmocka_unit_test(shards_are_cut_as_asked),
        cmocka_unit_test(a_lock_is_held_once),
    };
    return cmocka_run_group_tests_name("tuner_sweep", tests, NULL, NULL);
}
