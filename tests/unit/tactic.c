// SPDX-License-Identifier: Apache-2.0
#include "kernels/tactic.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"

static void round_trips(void **state)
{
    static const struct { const char *text, *canonical; } cases[] = {
        {"nvrtc.gemm_tile@3 bm=128 bn=64 stages=3", NULL}, {"ref.plain@1", NULL}, {"cudnn.conv@1 engine=38 knobs=2:1,5:3", NULL},
        {"cublaslt.matmul@2 algo=x00ff12", NULL}, {"a.b@0 n=-5", NULL}, {"cudnn.conv@1  knobs=2:1 engine=38 ", "cudnn.conv@1 engine=38 knobs=2:1"},
        {"a.b@1 t=007", NULL}, {"a.b@1 t=99999999999999999999", NULL}, {"a.b@01 x=1", "a.b@1 x=1"},
    };
    char text[HONE_TACTIC_TEXT];
    hone_tactic tactic, again;
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_int_equal(hone_tactic_parse(cases[k].text, &tactic), HONE_OK);
        hone_tactic_print(&tactic, text);
        assert_string_equal(text, cases[k].canonical ? cases[k].canonical : cases[k].text);
        assert_int_equal(hone_tactic_parse(text, &again), HONE_OK);
        assert_memory_equal(&tactic, &again, sizeof tactic);
    }
}

static void values(void **state)
{
    hone_tactic tactic;
    (void)state;
    assert_int_equal(hone_tactic_parse("cudnn.conv@1 engine=38 algo=x01", &tactic), HONE_OK);
    assert_int_equal(hone_tactic_get(&tactic, "engine", -1), 38);
    assert_int_equal(hone_tactic_get(&tactic, "algo", -1), -1);
    assert_string_equal(tactic.vendor, "algo=x01");
    assert_int_equal(hone_tactic_set(&tactic, "engine", 2), HONE_OK);
    assert_int_equal(hone_tactic_set(&tactic, "tile", 4), HONE_OK);
    assert_int_equal(hone_tactic_get(&tactic, "engine", -1), 2);
    assert_int_equal(tactic.n, 2);
    assert_int_equal(hone_tactic_set(&tactic, "a_name_that_is_too_long", 1), HONE_USAGE);
}

static void refused(void **state)
{
    static const char *const texts[] = {
        "", "nvrtc", "nvrtc.gemm", "nvrtc.gemm@", "nvrtc.gemm@x", "nvrtc@1", ".gemm@1", "nvrtc.gemm@-1", "nvrtc.gemm@1 bm", "nvrtc.gemm@1 bm=",
        "nvrtc.gemm@1 bm=1 bm=2", "nvrtc.gemm@1bm=1", "a_source_of_too_many.k@1", "a.b@1 =3", "a.b@1 a_name_that_is_too_long=3",
        "a.b@1 a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1",
    };
    char text[HONE_TACTIC_TEXT + 64] = "a.b@1 v=x";
    hone_tactic tactic;
    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (hone_tactic_parse(texts[k], &tactic) != HONE_USAGE) fail_msg("\"%s\" was taken", texts[k]);
    memset(text + 9, 'y', sizeof text - 10);
    assert_int_equal(hone_tactic_parse(text, &tactic), HONE_USAGE);
}

// Bytes drawn from the alphabet of spellings: what is taken prints to a fixed point, and nothing crashes.
static void random_texts(void **state)
{
    static const char alphabet[] = "ab.@=1-20 x:,\t|$";
    (void)state;
    for (uint64_t turn = 0; turn < 20000; turn++) {
        char text[64], first[HONE_TACTIC_TEXT], second[HONE_TACTIC_TEXT];
        hone_tactic tactic;
        int size = (int)(hone_rng_bits(turn, 0, 0) % 40);
        int begin = snprintf(text, sizeof text, "%s", turn % 2 ? "a.b@1 " : "");
        for (int k = 0; k < size; k++) text[begin + k] = alphabet[hone_rng_bits(turn, 1, (uint64_t)k) % (sizeof alphabet - 1)];
        text[begin + size] = 0;
        if (hone_tactic_parse(text, &tactic) != HONE_OK) continue;
        hone_tactic_print(&tactic, first);
        assert_int_equal(hone_tactic_parse(first, &tactic), HONE_OK);
        hone_tactic_print(&tactic, second);
        assert_string_equal(first, second);
    }
}

int test_tactic(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips), cmocka_unit_test(values), cmocka_unit_test(refused), cmocka_unit_test(random_texts),
    };
    return cmocka_run_group_tests_name("tactic", tests, NULL, NULL);
}
