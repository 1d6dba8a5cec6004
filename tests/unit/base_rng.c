// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/rng_priv.h"
#include "tests/unit/unit.h"

// The known answers that Salmon et al. publish for Philox4x32-10 (kat_vectors of Random123).
static void known_answers(void **state)
{
    static const struct { uint32_t counter[4], key[2], words[4]; } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t words[4];
        hone_philox(rows[i].counter, rows[i].key, words);
        assert_memory_equal(words, rows[i].words, sizeof words);
    }
    assert_int_equal(hone_rng_bits(0, 0, 0), 0x6627e8d5);
    assert_int_equal(hone_rng_bits(UINT64_MAX, UINT64_MAX, UINT64_MAX), 0x408f276d);
}

static void uniform_and_normal_have_their_moments(void **state)
{
    enum { COUNT = 200000 };
    double sum = 0, square = 0, normal = 0, normal_square = 0, fourth = 0;
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        double u = hone_rng_uniform(7, 3, i), n = hone_rng_normal(7, 3, i);
        assert_true(u >= 0 && u < 1 && isfinite(n));
        sum += u;
        square += u * u;
        normal += n;
        normal_square += n * n;
        fourth += n * n * n * n;
    }
    // Six standard errors each.
    assert_true(fabs(sum / COUNT - 0.5) < 6 * sqrt(1 / 12.0 / COUNT));
    assert_true(fabs(square / COUNT - 1 / 3.0) < 6 * sqrt(4 / 45.0 / COUNT));
    assert_true(fabs(normal / COUNT) < 6 / sqrt(COUNT));
    assert_true(fabs(normal_square / COUNT - 1) < 6 * sqrt(2.0 / COUNT));
    assert_true(fabs(fourth / COUNT - 3) < 6 * sqrt(96.0 / COUNT));
}

static void streams_and_seeds_differ(void **state)
{
    (void)state;
    assert_int_not_equal(hone_rng_bits(1, 0, 0), hone_rng_bits(0, 1, 0));
    assert_int_not_equal(hone_rng_bits(1, 0, 0), hone_rng_bits((uint64_t)1 << 32, 0, 0));
    assert_int_not_equal(hone_rng_bits(0, 0, 1), hone_rng_bits(0, 0, (uint64_t)1 << 32));
}

int test_base_rng(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(streams_and_seeds_differ),
    };
    return cmocka_run_group_tests_name("base_rng", tests, NULL, NULL);
}
