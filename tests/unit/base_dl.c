// SPDX-License-Identifier: Apache-2.0
#include "base/dl.h"

#include <string.h>

#include "tests/unit/unit.h"

static void opens_binds_and_closes(void **state)
{
    static const char *const names[] = {"libnone-such.so.1", "libm.so.6", NULL};
    double (*cosine)(double) = NULL;
    void (*none)(void) = (void (*)(void))(uintptr_t)1;
    const hone_dl_symbol symbols[] = {{"cos", &cosine, 0}, {"hone_no_such", &none, 1}};
    const hone_dl_symbol missing = {"hone_no_such", &none, 0};
    hone_dl dl;
    (void)state;
    assert_int_equal(hone_dl_open(&dl, names), HONE_OK);
    assert_int_equal(dl.path[0], '/');
    assert_non_null(strstr(dl.path, "libm"));
    assert_int_equal(hone_dl_bind(&dl, symbols, 2), HONE_OK);
    assert_true(cosine(0) == 1);
    assert_null(none);
    assert_int_equal(hone_dl_bind(&dl, &missing, 1), HONE_NO_DEVICE);
    assert_non_null(strstr(hone_error_text(), "hone_no_such"));
    hone_dl_close(&dl);
    assert_null(dl.handle);
    hone_dl_close(&dl);
}

static void says_where_it_looked(void **state)
{
    static const char *const names[] = {"libnone-such.so.1", "libnone-such.so", NULL};
    hone_dl dl;
    (void)state;
    assert_int_equal(hone_dl_open(&dl, names), HONE_NO_DEVICE);
    assert_null(dl.handle);
    assert_non_null(strstr(hone_error_text(), "libnone-such.so.1 or libnone-such.so"));
    assert_non_null(strstr(hone_error_text(), "/usr/local/cuda/lib64"));
    assert_non_null(strstr(hone_error_text(), "site-packages/nvidia"));
    assert_non_null(strstr(hone_error_text(), "ld.so"));
}

int test_base_dl(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_binds_and_closes),
        cmocka_unit_test(says_where_it_looked),
    };
    return cmocka_run_group_tests_name("base_dl", tests, NULL, NULL);
}
