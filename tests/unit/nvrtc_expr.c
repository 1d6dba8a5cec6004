// SPDX-License-Identifier: Apache-2.0
#include "kernels/nvrtc_expr_priv.h"

#include <string.h>

#include "tests/unit/unit.h"

static const hone_vars *vars(void)
{
    static hone_vars v;
    v = (hone_vars){.n = 0};
    hone_vars_set(&v, "m", 100);
    hone_vars_set(&v, "n", 7);
    hone_vars_set(&v, "zero", 0);
    return &v;
}

static void values(void **state)
{
    static const struct { const char *text; int64_t value; } cases[] = {
        {"1 + 2 * 3", 7}, {"(1 + 2) * 3", 9}, {"10 - 4 - 3", 3}, {"100 / 7 / 2", 7}, {"-7 / 2", -3}, {"100 % 7", 2}, {"m % n", 2}, {"-m + n", -93},
        {"m == 100 && n == 7", 1}, {"m != 100 || n > 7", 0}, {"!zero", 1}, {"!m", 0}, {"m >= 100 ? n : zero", 7}, {"m < 100 ? 1 : m < 200 ? 2 : 3", 2},
        {"min(m, n)", 7}, {"max(m, n)", 100}, {"ceil(m, n)", 15}, {"align(m, 64)", 128}, {"pow2(m)", 4}, {"min(max(1, 2), 3) * 2", 4},
        {"m <= 100", 1}, {"m<100", 0}, {" 3 ", 3}, {"1 ? 2 : 3 / zero", 2}, {"zero && 1 / zero", 0}, {"1 || 1 / zero", 1}, {"zero == 0 ? 1 : m / zero", 1},
        {"3 - -2", 5}, {"2 -1", 1}, {"(m > 5) + (n > 5)", 2},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int64_t value = -1;
        assert_int_equal(hone_expr_eval(cases[k].text, vars(), &value), HONE_OK);
        if (value != cases[k].value) fail_msg("%s is %lld, not %lld", cases[k].text, (long long)value, (long long)cases[k].value);
    }
}

static void failures(void **state)
{
    static const struct { const char *text, *says; } cases[] = {
        {"", "the end"}, {"1 +", "the end"}, {"(1", "the end"}, {"1 2", "2"}, {"x + 1", "unknown name x"}, {"1 / zero", "division by zero"},
        {"m % zero", "division by zero"}, {"ceil(m, zero)", "division by zero"}, {"log(3, 4)", "unknown function log"}, {"m ? 1", "the end"}, {"1 @ 2", "@"},
        {"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))", "cannot read"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int64_t value;
        assert_int_equal(hone_expr_eval(cases[k].text, vars(), &value), HONE_USAGE);
        if (!strstr(hone_error_text(), cases[k].says)) fail_msg("%s: \"%s\" does not say \"%s\"", cases[k].text, hone_error_text(), cases[k].says);
    }
}

static void variables(void **state)
{
    hone_vars v = {.n = 0};
    int64_t value;
    (void)state;
    hone_vars_set(&v, "a", 1);
    hone_vars_set(&v, "a", 2);
    assert_int_equal(v.n, 1);
    assert_int_equal(hone_vars_get(&v, "a"), 2);
    assert_false(hone_vars_find(&v, "b", &value));
    assert_true(hone_vars_find(&v, "a", &value));
}

int test_nvrtc_expr(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(failures), cmocka_unit_test(variables)};
    return cmocka_run_group_tests_name("nvrtc_expr", tests, NULL, NULL);
}
