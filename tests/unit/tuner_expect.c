// SPDX-License-Identifier: Apache-2.0
// What counts as right, on the reference's own outputs and on damaged ones.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/half.h"
#include "tests/unit/unit.h"
#include "tuner/expect.h"

typedef struct fixture {
    hone_problem problem;
    hone_expect expect;
    void *outputs[HONE_OUTPUTS_MAX];
} fixture;

static void open_fixture(fixture *f, const char *text)
{
    assert_int_equal(hone_problem_parse(text, &f->problem), HONE_OK);
    assert_int_equal(hone_expect_make(&f->problem, 5, 2, &f->expect), HONE_OK);
    memset(f->outputs, 0, sizeof f->outputs);
    for (int k = 0; k < f->problem.n_out; k++) {
        f->outputs[k] = hone_alloc(hone_tensor_size(&f->problem.out[k]) + 1);
        if (!f->expect.index) hone_array_pack(&f->expect.out[k], &f->expect.out[k].tensor, f->outputs[k], false, 1);
    }
}

static void close_fixture(fixture *f)
{
    for (int k = 0; k < f->problem.n_out; k++) hone_free(f->outputs[k]);
    hone_expect_clear(&f->expect);
}

static bool is_right(fixture *f)
{
    bool right;
    double error;
    char why[256] = "";
    assert_int_equal(hone_expect_compare(&f->expect, HONE_KNOWN_POINTS, f->outputs, NULL, 2, &error, &right, why), HONE_OK);
    assert_true(right ? error <= f->expect.tolerance : *why);
    return right;
}

static void the_reference_is_right(void **state)
{
    static const char *const problems[] = {
        "relu x=f32:1x16x8x8", "matmul a=f16:33x65 b=f16:65x17", "softmax x=bf16:7x19 axis=1", "conv x=f16:1x9x9x8:nhwc w=f16:8x3x3x8:nhwc pad=1",
        "add a=i32:100 b=i32:100", "equal a=f32:50 b=f32:50", "identity x=f32:0x4",
    };
    (void)state;
    for (size_t k = 0; k < sizeof problems / sizeof *problems; k++) {
        fixture f;
        open_fixture(&f, problems[k]);
        if (!is_right(&f)) fail_msg("%s", problems[k]);
        close_fixture(&f);
    }
}

static void one_wrong_value_among_a_million_is_seen(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "add a=f32:1000x1000 b=f32:1000x1000");
    float *out = f.outputs[0];
    for (int place = 0; place < 1000000; place += 333333) {
        float kept = out[place];
        out[place] = kept + 0.1f;
        assert_false(is_right(&f));
        out[place] = NAN;
        assert_false(is_right(&f));
        out[place] = INFINITY;
        assert_false(is_right(&f));
        out[place] = kept;
    }
    assert_true(is_right(&f));
    close_fixture(&f);
}

static void rounding_is_no_error(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "matmul a=f16:64x64 b=f16:64x64");
    uint16_t *out = f.outputs[0];
    for (int k = 0; k < 64 * 64; k++) out[k] += (uint16_t)(k % 3 == 0 ? 1 : 0);      // one unit in the last place
    assert_true(is_right(&f));
    close_fixture(&f);
}

static void integers_are_exact(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "add a=i32:1000 b=i32:1000");
    ((int32_t *)f.outputs[0])[999] ^= 1;
    assert_false(is_right(&f));
    close_fixture(&f);
}

static void overflow_to_infinity_is_right_where_the_type_ends(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "exp x=f16:64");
    f.expect.out[0].f[3] = 1e6;
    ((uint16_t *)f.outputs[0])[3] = hone_f16_from_float(INFINITY);
    assert_true(is_right(&f));
    ((uint16_t *)f.outputs[0])[3] = hone_f16_from_float(-INFINITY);
    assert_false(is_right(&f));
    close_fixture(&f);
}

// The reference of a large product is 4,096 of its values until a tactic agrees with them.
static void points_stand_for_the_whole(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "matmul a=f32:1024x1200 b=f32:1200x1024");
    assert_non_null(f.expect.index);
    hone_array operands[2] = {0}, out[1] = {0};
    for (int k = 0; k < 2; k++) assert_int_equal(hone_problem_draw(&f.problem, k, 5, &operands[k], 2), HONE_OK);
    assert_int_equal(hone_problem_reference(&f.problem, operands, out, 2), HONE_OK);
    hone_array_pack(&out[0], &f.problem.out[0], f.outputs[0], false, 2);
    assert_true(is_right(&f));
    float *last = (float *)f.outputs[0] + 1024 * 1024 - 1, kept = *last;
    *last += 100;                      // a corner is always among the points
    assert_false(is_right(&f));
    *last = kept;
    size_t size_bytes = hone_tensor_size(&f.problem.out[0]);
    void *others[HONE_OUTPUTS_MAX] = {hone_alloc(size_bytes)};
    memcpy(others[0], f.outputs[0], size_bytes);
    ((float *)f.outputs[0])[5000] += 10;
    bool sees[3];
    for (int known = HONE_KNOWN_POINTS; known <= HONE_KNOWN_WHOLE; known++) {
        double error;
        char why[256];
        assert_int_equal(hone_expect_compare(&f.expect, (hone_known)known, f.outputs, others, 2, &error, &sees[known], why), HONE_OK);
    }
    assert_true(sees[HONE_KNOWN_POINTS]);
    assert_false(sees[HONE_KNOWN_FIRST]);
    assert_false(sees[HONE_KNOWN_WHOLE]);
    hone_free(others[0]);
    for (int k = 0; k < 2; k++) hone_array_clear(&operands[k]);
    hone_array_clear(&out[0]);
    close_fixture(&f);
}

int test_tuner_expect(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_right), cmocka_unit_test(one_wrong_value_among_a_million_is_seen), cmocka_unit_test(rounding_is_no_error),
        cmocka_unit_test(integers_are_exact), cmocka_unit_test(overflow_to_infinity_is_right_where_the_type_ends),
        cmocka_unit_test(points_stand_for_the_whole),
    };
    return cmocka_run_group_tests_name("tuner_expect", tests, NULL, NULL);
}
