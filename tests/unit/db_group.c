// SPDX-License-Identifier: Apache-2.0
// Groups of puts: all or none, and nobody else sees a part.
#include <stdlib.h>

#include "tests/unit/db_fixture.h"

static int64_t count(const char *folder)
{
    char path[512];
    hone_store *store;
    hone_store_counts counts;
    snprintf(path, sizeof path, "%s/a.db", folder);
    OK(hone_store_open(path, HONE_STORE_READ, &store));
    OK(hone_store_count(store, &counts));
    hone_store_close(store);
    return counts.measurements;
}

static void drop_folder(const char *folder)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void put(hone_store *store, const hone_id *run, const char *tactic, hone_status wanted)
{
    const double samples[] = {90, 100, 110};
    hone_measurement row = fixture_row(run, tactic, wanted == HONE_OK ? 100 : 0);
    row.samples_ns = samples;
    row.sample_count = 3;
    if (wanted != HONE_OK) row.timer = "";        // an ok without a time may not be stored
    assert_int_equal(hone_store_put_measurement(store, &row, NULL), wanted);
}

static void a_group_is_all_or_none(void **state)
{
    char folder[256];
    (void)state;
    hone_store *store = fixture_create(unit_folder(folder), "a.db");
    hone_id run = fixture_put_run(store, 1);
    OK(hone_store_begin_group(store));
    put(store, &run, "nvrtc.a@1", HONE_OK);
    put(store, &run, "nvrtc.b@1", HONE_OK);
    assert_int_equal(hone_store_begin_group(store), HONE_INTERNAL);
    OK(hone_store_end_group(store));
    assert_int_equal(count(folder), 2);
    OK(hone_store_begin_group(store));
    put(store, &run, "nvrtc.c@1", HONE_OK);
    put(store, &run, "nvrtc.d@1", HONE_USAGE);
    put(store, &run, "nvrtc.e@1", HONE_OK);
    assert_int_equal(hone_store_end_group(store), HONE_USAGE);
    assert_int_equal(count(folder), 2);
    put(store, &run, "nvrtc.c@1", HONE_OK);
    assert_int_equal(count(folder), 3);
    assert_int_equal(hone_store_end_group(store), HONE_INTERNAL);
    hone_store_close(store);
    drop_folder(folder);
}

int test_db_group(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_group_is_all_or_none)};
    return cmocka_run_group_tests_name("db_group", tests, NULL, NULL);
}
