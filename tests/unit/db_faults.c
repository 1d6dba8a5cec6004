// SPDX-License-Identifier: Apache-2.0
// Each allocation fails in turn, once and from then on: a status, no leak, and a database that is as it was.
#include "tests/unit/db_fixture.h"

#include "base/file.h"
#include "db/fact_priv.h"

typedef struct place {
    char folder[256];
    char path[512];
    char *dump;
} place;

static int set_up(void **state)
{
    static place here;
    assert_non_null(unit_folder(here.folder));
    hone_store *store = fixture_create(here.folder, "a.db");
    fixture_fill(store, 0);
    here.dump = fixture_dump(store, 0);
    snprintf(here.path, sizeof here.path, "%s", hone_store_path(store));
    hone_store_close(store);
    *state = &here;
    return 0;
}

static int tear_down(void **state)
{
    hone_free(((place *)*state)->dump);
    return 0;
}

static hone_status read_all(place *here)
{
    hone_store *store = NULL;
    hone_question question = {H200, TOOLS, GEMM, "", true, true};
    hone_ranked *ranked = NULL;
    hone_text text;
    hone_id id;
    void *data = NULL;
    size_t count, size;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_store_open(here->path, HONE_STORE_READ, &store));
    HONE_TRY(hone_store_rank(store, &question, &ranked, &count));
    HONE_TRY(hone_store_find_artifact(store, "key-1", &data, &size));
    HONE_TRY(hone_store_snapshot(store, &id));
    HONE_TRY(hone_store_dump(store, 1, fixture_append, &text));
    HONE_TRY(hone_text_status(&text));
    HONE_TRY(hone_store_check(store, NULL));
out:
    hone_free(ranked);
    hone_free(data);
    hone_text_clear(&text);
    hone_store_close(store);
    return status;
}

static hone_status write_all(place *here)
{
    hone_store *store = NULL;
    hone_run run = fixture_run(77);
    double samples[] = {5, 6};
    hone_id id;
    int64_t added;
    hone_status status;
    HONE_TRY(hone_store_open(here->path, HONE_STORE_WRITE, &store));
    HONE_TRY(hone_store_put_run(store, &run, &id));
    hone_measurement row = fixture_row(&id, "ref@1", 5);
    row.samples_ns = samples;
    row.sample_count = 2;
    HONE_TRY(hone_store_put_measurement(store, &row, NULL));
    HONE_TRY(hone_store_put_artifact(store, "new", "cubin", "abc", 3));
    HONE_TRY(hone_store_load(store, here->dump, strlen(here->dump), &added));
out:
    hone_store_close(store);
    return status;
}

static void fail_each(place *here, hone_status (*work)(place *here), int forever)
{
    int64_t live = hone_alloc_live_bytes();
    hone_status status = HONE_NO_MEMORY;
    for (uint64_t nth = 1; status != HONE_OK; nth++) {
        hone_alloc_fail_at(nth, forever);
        status = work(here);
        hone_alloc_fail_at(0, 0);
        if (status != HONE_OK && status != HONE_NO_MEMORY) fail_msg("allocation %d: status %d: %s", (int)nth, (int)status, hone_error_text());
        assert_int_equal(hone_alloc_live_bytes(), live);
        assert_true(nth < 5000);
    }
    hone_store *store;
    OK(hone_store_open(here->path, HONE_STORE_READ, &store));
    OK(hone_store_check(store, NULL));
    hone_store_close(store);
}

static void reading_without_memory(void **state)
{
    fail_each(*state, read_all, 0);
    fail_each(*state, read_all, 1);
}

static void writing_without_memory(void **state)
{
    fail_each(*state, write_all, 0);
    fail_each(*state, write_all, 1);
}

int test_db_faults(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writing_without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("db_faults", tests, NULL, NULL);
}
