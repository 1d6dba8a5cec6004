// SPDX-License-Identifier: Apache-2.0
#include "base/half.h"

#include <math.h>
#include <string.h>

#include "tests/unit/unit.h"

static int is_nan16(uint16_t bits, uint16_t infinity)
{
    return (bits & 0x7fff) > infinity;
}

static void f16_round_trips(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = hone_f16_to_float((uint16_t)bits);
        uint16_t back = hone_f16_from_float(value);
        if (is_nan16((uint16_t)bits, 0x7c00))
            assert_true(isnan(value) && is_nan16(back, 0x7c00));
        else
            assert_int_equal(back, bits);
    }
}

static void bf16_round_trips(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = hone_bf16_to_float((uint16_t)bits);
        uint16_t back = hone_bf16_from_float(value);
        if (is_nan16((uint16_t)bits, 0x7f80))
            assert_true(isnan(value) && is_nan16(back, 0x7f80));
        else
            assert_int_equal(back, bits);
    }
}

// Between two neighbours: the nearer one, and the even one in the middle.
static void check_rounding(uint16_t low, float (*to_float)(uint16_t), uint16_t (*from_float)(float))
{
    float below = to_float(low), above = to_float((uint16_t)(low + 1));
    float middle = (float)(((double)below + above) / 2);
    assert_int_equal(from_float(middle), low + (low & 1));
    assert_int_equal(from_float(nextafterf(middle, below)), low);
    assert_int_equal(from_float(nextafterf(middle, above)), low + 1);
    assert_int_equal(from_float(-middle), 0x8000 + low + (low & 1));
}

static void rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t low = 0; low < 0x7bff; low++) check_rounding(low, hone_f16_to_float, hone_f16_from_float);
    for (uint16_t low = 1; low < 0x7f7f; low += 3) check_rounding(low, hone_bf16_to_float, hone_bf16_from_float);
}

static void overflows_to_infinity(void **state)
{
    (void)state;
    assert_int_equal(hone_f16_from_float(65504), 0x7bff);
    assert_int_equal(hone_f16_from_float(65519.996f), 0x7bff);
    assert_int_equal(hone_f16_from_float(65520), 0x7c00);
    assert_int_equal(hone_f16_from_float(-1e30f), 0xfc00);
    assert_int_equal(hone_f16_from_float(INFINITY), 0x7c00);
    assert_int_equal(hone_f16_from_float(1e-30f), 0);
    assert_int_equal(hone_f16_from_float(-0.0f), 0x8000);
    assert_int_equal(hone_bf16_from_float(3.4e38f), 0x7f80);
    assert_true(isnan(hone_f16_to_float(hone_f16_from_float(NAN))));
    assert_true(isnan(hone_bf16_to_float(hone_bf16_from_float(NAN))));
}

// All exponents and signs, mantissas round and about the ties, at an odd address, with and without the vector loop's remainder.
static void many_are_as_one(void **state)
{
    enum { COUNT = 4099 };
    static unsigned char bytes[COUNT * 4 + 1];
    static uint16_t halves[COUNT];
    (void)state;
    for (uint32_t round = 0; round < 64; round++) {
        for (uint32_t k = 0; k < COUNT; k++) {
            uint32_t bits = k % 512 << 23 | ((k / 512 + round) * 0x1555 + (k & 3) - 1) % 0x800000;
            memcpy(bytes + 1 + 4 * k, &bits, 4);
        }
        hone_f16_saturate(bytes + 1, halves, COUNT - round % 9);
        for (uint32_t k = 0; k < COUNT - round % 9; k++) {
            float value;
            memcpy(&value, bytes + 1 + 4 * k, 4);
            if (value > 65504) value = 65504;
            if (value < -65504) value = -65504;
            assert_int_equal(halves[k], hone_f16_from_float(value));
        }
    }
}

int test_base_half(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_round_trips),
        cmocka_unit_test(bf16_round_trips),
        cmocka_unit_test(rounds_to_nearest_even),
        cmocka_unit_test(overflows_to_infinity),
        cmocka_unit_test(many_are_as_one),
    };
    return cmocka_run_group_tests_name("base_half", tests, NULL, NULL);
}
