// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/db_fixture.h"

#include <math.h>
#include <sqlite3.h>

#include "db/identity_priv.h"

typedef struct place {
    char folder[256];
    hone_store *store;
} place;

static int set_up(void **state)
{
    static place here;
    assert_non_null(unit_folder(here.folder));
    here.store = fixture_create(here.folder, "a.db");
    *state = &here;
    return 0;
}

static int tear_down(void **state)
{
    hone_store_close(((place *)*state)->store);
    return 0;
}

static void verdict_names(void **state)
{
    (void)state;
    for (int i = 0; i < HONE_VERDICT_COUNT; i++) {
        hone_verdict verdict;
        assert_int_equal(hone_verdict_parse(hone_verdict_name((hone_verdict)i), &verdict), 0);
        assert_int_equal(verdict, i);
    }
    hone_verdict verdict;
    assert_int_equal(hone_verdict_parse("fine", &verdict), -1);
}

static void device_columns(void **state)
{
    hone_device_words words;
    (void)state;
    hone_device_read(H200, &words);
    assert_string_equal(words.backend, "cuda");
    assert_string_equal(words.architecture, "sm_90");
    assert_string_equal(words.model, "NVIDIA H200");
    assert_int_equal(words.multiprocessors, 132);
    assert_true(words.memory_bytes == 143771LL << 20);
    assert_int_equal(words.clock_mhz, 1980);
    assert_int_equal(words.power_w, 700);
    hone_device_read(CPU2, &words);
    assert_string_equal(words.architecture, "x86_64-avx2");
    assert_int_equal(words.threads, 2);
    hone_device_read("cuda sm_90 \"no end", &words);
    assert_string_equal(words.model, "no end");
    hone_device_read("", &words);
    assert_string_equal(words.backend, "");
}

static void tactic_columns(void **state)
{
    hone_tactic_words words;
    (void)state;
    hone_tactic_read("nvrtc.gemm_tile@3 bm=128 bn=64", &words);
    assert_string_equal(words.source, "nvrtc");
    assert_string_equal(words.kernel, "gemm_tile");
    assert_int_equal(words.version, 3);
    assert_string_equal(words.parameters, "bm=128 bn=64");
    hone_tactic_read("ref@1", &words);
    assert_string_equal(words.source, "ref");
    assert_string_equal(words.kernel, "");
    assert_string_equal(words.parameters, "");
}

static void what_a_toolchain_covers(void **state)
{
    (void)state;
    assert_true(hone_toolchain_covers(TOOLS, ""));
    assert_true(hone_toolchain_covers(TOOLS, "cudnn=9.19.0"));
    assert_true(hone_toolchain_covers(TOOLS, "hone=0.1.0 cuda=13.0"));
    assert_false(hone_toolchain_covers(TOOLS, "cudnn=9.19"));
    assert_false(hone_toolchain_covers(TOOLS, "cudnn=9.19.0 cublaslt=13.2.0"));
}

// The id is part of the format: it may never change for the same content.
static void ids_are_stable(void **state)
{
    place *here = *state;
    char text[HONE_ID_TEXT];
    hone_id run = fixture_put_run(here->store, 1), id;
    double samples[] = {1000, 1001.5, 999};
    hone_measurement row = fixture_row(&run, "ref@1", 1000);
    row.samples_ns = samples;
    row.sample_count = 3;
    OK(hone_store_put_measurement(here->store, &row, &id));
    hone_id_print(&run, text);
    assert_string_equal(text, "e962f2d19d8004ce9a4ff1ee7c4c34fbd23d09236cfcac5346bf07e3d304dd13");
    hone_id_print(&id, text);
    assert_string_equal(text, "729cb1e96d065413c5e0e2260dd804352ca66c57a87981951a034ed5d7bf1e8c");
}

static int64_t count_measurements(hone_store *store)
{
    hone_store_counts counts;
    OK(hone_store_count(store, &counts));
    return counts.measurements;
}

static void put_twice_is_put_once(void **state)
{
    place *here = *state;
    hone_id run = fixture_put_run(here->store, 1), again = fixture_put_run(here->store, 1), first, second;
    hone_measurement row = fixture_row(&run, "ref@1", 1000);
    assert_true(hone_id_equal(&run, &again));
    OK(hone_store_put_measurement(here->store, &row, &first));
    OK(hone_store_put_measurement(here->store, &row, &second));
    assert_true(hone_id_equal(&first, &second));
    assert_int_equal(count_measurements(here->store), 1);
    row.power_w = 1;
    OK(hone_store_put_measurement(here->store, &row, &second));
    assert_false(hone_id_equal(&first, &second));
    assert_int_equal(count_measurements(here->store), 2);
    fixture_fill(here->store, 0);
    char *before = fixture_dump(here->store, 0);
    fixture_fill(here->store, 1);
    char *after = fixture_dump(here->store, 0);
    assert_string_equal(before, after);
    hone_free(before);
    hone_free(after);
}

static void private_facts_are_outside_ids(void **state)
{
    place *here = *state;
    hone_run run = fixture_run(1);
    hone_id a, b;
    OK(hone_store_put_run(here->store, &run, &a));
    run.private_host = "elsewhere";
    OK(hone_store_put_run(here->store, &run, &b));
    assert_true(hone_id_equal(&a, &b));
    char *dump = fixture_dump(here->store, 0);
    assert_null(strstr(dump, "somewhere"));
    assert_null(strstr(dump, "GPU-1"));
    hone_free(dump);
}

static void sequences_are_given(void **state)
{
    place *here = *state;
    hone_run run = fixture_run(1);
    hone_id ids[3];
    run.writer = "abcd";
    run.sequence = -1;
    for (int i = 0; i < 3; i++) OK(hone_store_put_run(here->store, &run, &ids[i]));
    assert_false(hone_id_equal(&ids[0], &ids[1]));
    assert_false(hone_id_equal(&ids[1], &ids[2]));
    run.sequence = 1;
    OK(hone_store_put_run(here->store, &run, &ids[0]));
    assert_true(hone_id_equal(&ids[0], &ids[1]));
    OK(hone_store_check(here->store, NULL));
    run.options = "of another database of the same writer, merged into this one";
    OK(hone_store_put_run(here->store, &run, &ids[0]));
    OK(hone_store_check(here->store, NULL));
}

static void what_may_not_be_stored(void **state)
{
    place *here = *state;
    hone_id run = fixture_put_run(here->store, 1);
    double samples[] = {1, NAN};
    struct { const char *why; hone_measurement row; } cases[12] = {
        {"no time", fixture_row(&run, "t@1", 0)}, {"not verified", fixture_row(&run, "t@1", 5)}, {"has a time", fixture_row(&run, "t@1", 5)},
        {"control character", fixture_row(&run, "t@1\n", 5)}, {"a tactic", fixture_row(&run, "", 5)}, {"is no time", fixture_row(&run, "t@1", 5)},
        {"no mode", fixture_row(&run, "t@1", 5)}, {"names the run", fixture_row(&run, "t@1", 5)}, {"no time", fixture_row(&run, "t@1", NAN)},
        {"verdict", fixture_row(&run, "t@1", 5)}, {"not finite", fixture_row(&run, "t@1", 5)}, {"more than the 4096", fixture_row(&run, "t@1", 5)},
    };
    cases[1].row.error = -1;
    cases[2].row.verdict = HONE_VERDICT_CRASH;
    cases[5].row.samples_ns = samples;
    cases[5].row.sample_count = 2;
    cases[6].row.mode = "";
    cases[7].row.run.bytes[3] ^= 1;
    cases[9].row.verdict = HONE_VERDICT_COUNT;
    cases[10].row.mad_ns = INFINITY;
    cases[11].row.sample_count = 4097;
    cases[11].row.samples_ns = hone_calloc(4097, sizeof(double));
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(hone_store_put_measurement(here->store, &cases[i].row, NULL), HONE_USAGE);
        if (!strstr(hone_error_text(), cases[i].why)) fail_msg("'%s' does not say '%s'", hone_error_text(), cases[i].why);
    }
    assert_int_equal(count_measurements(here->store), 0);
    hone_free((void *)cases[11].row.samples_ns);
    hone_measurement row = fixture_row(&run, "t@1", 5);
    row.clock_mhz = NAN;       // unknown
    OK(hone_store_put_measurement(here->store, &row, NULL));
    row = fixture_failure(&run, "t@1", HONE_VERDICT_WRONG);
    row.error = NAN;           // the output held a NaN
    row.note = NULL;
    OK(hone_store_put_measurement(here->store, &row, NULL));
    OK(hone_store_check(here->store, NULL));
}

static hone_status keep_row(void *user, const hone_id *id, const hone_measurement *row)
{
    hone_measurement *kept = user;
    (void)id;
    *kept = *row;
    kept->samples_ns = hone_alloc(row->sample_count * sizeof(double));
    if (row->sample_count) memcpy((void *)kept->samples_ns, row->samples_ns, row->sample_count * sizeof(double));
    kept->note = hone_strdup(row->note);
    return HONE_OK;
}

static void what_is_put_is_read(void **state)
{
    place *here = *state;
    hone_id run = fixture_put_run(here->store, 1);
    double samples[] = {1e9 + 0.1, 3, 0.5};
    hone_measurement row = fixture_row(&run, "nvrtc.gemm_tile@3 bm=128", 0.5), found;
    row.samples_ns = samples;
    row.sample_count = 3;
    row.note = "a\tnote\n";
    row.throttle = "power";
    row.registers = 168;
    OK(hone_store_put_measurement(here->store, &row, NULL));
    OK(hone_store_each_measurement(here->store, H200, GEMM, keep_row, &found));
    assert_int_equal(found.sample_count, 3);
    assert_memory_equal(found.samples_ns, samples, sizeof samples);
    assert_string_equal(found.note, "a\tnote\n");
    assert_true(found.median_ns == 0.5 && found.temperature_c == 41.5 && found.registers == 168 && found.error == 1e-4);
    hone_free((void *)found.samples_ns);
    hone_free((void *)found.note);
}

static void a_long_note_is_cut(void **state)
{
    place *here = *state;
    hone_id run = fixture_put_run(here->store, 1);
    hone_measurement row = fixture_failure(&run, "t@1", HONE_VERDICT_COMPILE), found;
    char *note = hone_calloc(1, 10001);
    for (int i = 0; i < 10000; i += 2) memcpy(note + i, i == 0 ? "ab" : "\xc3\xa4", 2);
    memmove(note, note + 1, 10000);        // odd: the cut would fall within a character
    row.note = note;
    OK(hone_store_put_measurement(here->store, &row, NULL));
    OK(hone_store_each_measurement(here->store, H200, GEMM, keep_row, &found));
    assert_int_equal(strlen(found.note), 4095);
    hone_free(note);
    hone_free((void *)found.samples_ns);
    hone_free((void *)found.note);
}

static void coverage_counts_at_and_below_its_effort(void **state)
{
    place *here = *state;
    hone_coverage row = {H200, "cudnn=9.19.0", CONV, "cudnn", 2, "full", 40};
    static const struct { const char *effort; bool covered; } cases[] = {
        {"lookup", true}, {"quick", true}, {"full", true}, {"exhaustive", false}};
    bool covered;
    OK(hone_store_put_coverage(here->store, &row));
    for (int i = 0; i < 4; i++) {
        row.effort = cases[i].effort;
        OK(hone_store_find_coverage(here->store, &row, &covered));
        assert_int_equal(covered, cases[i].covered);
    }
    row.effort = "quick";
    row.version = 3;
    OK(hone_store_find_coverage(here->store, &row, &covered));
    assert_false(covered);
    row.version = 2;
    row.depends = "cudnn=9.20.0";
    OK(hone_store_find_coverage(here->store, &row, &covered));
    assert_false(covered);
    row.effort = "hard";
    assert_int_equal(hone_store_find_coverage(here->store, &row, &covered), HONE_USAGE);
    assert_int_equal(hone_store_put_coverage(here->store, &row), HONE_USAGE);
}

static void artifacts(void **state)
{
    place *here = *state;
    void *data;
    size_t size;
    OK(hone_store_put_artifact(here->store, "k", "cubin", "one", 3));
    OK(hone_store_put_artifact(here->store, "k", "cubin", "one", 3));
    OK(hone_store_find_artifact(here->store, "k", &data, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(data, "one", 3);
    hone_free(data);
    OK(hone_store_find_artifact(here->store, "other", &data, &size));
    assert_null(data);
    OK(hone_store_put_artifact(here->store, "empty", "cubin", "", 0));
    OK(hone_store_find_artifact(here->store, "empty", &data, &size));
    assert_non_null(data);
    assert_int_equal(size, 0);
    hone_free(data);
}

static void which_of_two_artifacts_does_not_depend_on_order(void **state)
{
    place *here = *state;
    hone_store *other = fixture_create(here->folder, "b.db");
    void *first, *second;
    size_t size;
    OK(hone_store_put_artifact(here->store, "k", "cubin", "one", 3));
    OK(hone_store_put_artifact(here->store, "k", "cubin", "two", 3));
    OK(hone_store_put_artifact(other, "k", "cubin", "two", 3));
    OK(hone_store_put_artifact(other, "k", "cubin", "one", 3));
    OK(hone_store_find_artifact(here->store, "k", &first, &size));
    OK(hone_store_find_artifact(other, "k", &second, &size));
    assert_memory_equal(first, second, 3);
    hone_free(first);
    hone_free(second);
    hone_store_close(other);
}

static hone_status list_word(void *user, const char *spelling, int64_t measurements)
{
    hone_text_printf(user, "%s %d\n", spelling, (int)measurements);
    return HONE_OK;
}

static hone_status list_problem(void *user, const char *problem)
{
    hone_text_printf(user, "%s\n", problem);
    return HONE_OK;
}

static void devices_are_found_by_a_word(void **state)
{
    place *here = *state;
    static const struct { const char *word; hone_status status; const char *answer; } cases[] = {
        {"h200", HONE_OK, H200}, {"cuda:H200", HONE_OK, H200}, {H100, HONE_OK, H100}, {"cpu", HONE_OK, CPU2}, {"cpu:model", HONE_OK, CPU2},
        {"sm_90", HONE_USAGE, "NVIDIA H100"}, {"cpu:h200", HONE_MISS, "it has measurements of"}, {"b200", HONE_MISS, "NVIDIA H200"},
    };
    const char *const devices[] = {H200, H100, CPU2};
    char spelling[512];
    assert_int_equal(hone_store_find_device(here->store, "h200", spelling, sizeof spelling), HONE_MISS);
    hone_id run = fixture_put_run(here->store, 1);
    for (int i = 0; i < 3; i++) {
        hone_measurement row = fixture_row(&run, "ref@1", 10);
        row.device = devices[i];
        OK(hone_store_put_measurement(here->store, &row, NULL));
        row.problem = CONV;
        OK(hone_store_put_measurement(here->store, &row, NULL));
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(hone_store_find_device(here->store, cases[i].word, spelling, sizeof spelling), cases[i].status);
        if (cases[i].status == HONE_OK) assert_string_equal(spelling, cases[i].answer);
        else assert_non_null(strstr(hone_error_text(), cases[i].answer));
    }
    hone_text text;
    hone_text_init(&text);
    OK(hone_store_each_device(here->store, list_word, &text));
    assert_string_equal(hone_text_get(&text), CPU2 " 2\n" H100 " 2\n" H200 " 2\n");
    hone_text_clear(&text);
    OK(hone_store_each_problem(here->store, H200, list_problem, &text));
    assert_string_equal(hone_text_get(&text), CONV "\n" GEMM "\n");
    hone_text_clear(&text);
}

static void the_newest_toolchain(void **state)
{
    place *here = *state;
    char spelling[256];
    assert_int_equal(hone_store_find_toolchain(here->store, H200, spelling, sizeof spelling), HONE_MISS);
    for (int i = 0; i < 3; i++) {
        hone_id run = fixture_put_run(here->store, i == 1 ? 900 : i);
        hone_measurement row = fixture_row(&run, "ref@1", 10);
        row.toolchain = i == 1 ? "cuda=12.9" : "cuda=13.0";
        OK(hone_store_put_measurement(here->store, &row, NULL));
    }
    OK(hone_store_find_toolchain(here->store, H200, spelling, sizeof spelling));
    assert_string_equal(spelling, "cuda=12.9");
}

static void a_store_opened_for_reading_is_not_written(void **state)
{
    place *here = *state;
    hone_run run = fixture_run(1);
    hone_store *reader;
    OK(hone_store_open(hone_store_path(here->store), HONE_STORE_READ, &reader));
    assert_int_equal(hone_store_put_run(reader, &run, NULL), HONE_USAGE);
    hone_store_close(reader);
}

static void one_state_is_read_between_begin_and_end(void **state)
{
    place *here = *state;
    hone_run run = fixture_run(1);
    OK(hone_store_begin_read(here->store));
    assert_int_equal(hone_store_put_run(here->store, &run, NULL), HONE_INTERNAL);
    hone_store_end_read(here->store);
    OK(hone_store_put_run(here->store, &run, NULL));
}

static void layers_answer_together(void **state)
{
    place *here = *state;
    hone_store *under = fixture_create(here->folder, "under.db"), *top = here->store;
    hone_id run = fixture_put_run(under, 1), run2 = fixture_put_run(top, 2), snapshot, alone;
    hone_measurement slow = fixture_row(&run, "ref@1", 100), fast = fixture_row(&run2, "cublaslt@1 algo=1", 50);
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_ranked *ranked;
    size_t count;
    void *data;
    size_t size;
    OK(hone_store_put_measurement(under, &slow, NULL));
    OK(hone_store_put_artifact(under, "k", "cubin", "x", 1));
    OK(hone_store_put_measurement(top, &fast, NULL));
    OK(hone_store_snapshot(top, &alone));
    hone_store_layer(top, under);
    OK(hone_store_rank(top, &question, &ranked, &count));
    assert_int_equal(count, 2);
    assert_string_equal(ranked[0].tactic, "cublaslt@1 algo=1");
    hone_free(ranked);
    OK(hone_store_find_artifact(top, "k", &data, &size));
    assert_non_null(data);
    hone_free(data);
    OK(hone_store_snapshot(top, &snapshot));
    assert_false(hone_id_equal(&alone, &snapshot));
    // The union is one content, however it lies in files.
    hone_store *both = fixture_create(here->folder, "both.db");
    hone_id joined;
    int64_t added;
    OK(hone_store_merge(both, top, &added));
    assert_int_equal(added, 5);
    OK(hone_store_snapshot(both, &joined));
    assert_true(hone_id_equal(&joined, &snapshot));
    hone_store_close(both);
}

static void the_views_answer(void **state)
{
    place *here = *state;
    sqlite3 *plain;
    sqlite3_stmt *statement;
    hone_question question = {H200, TOOLS, GEMM, "single cold", false, false};
    hone_ranked *ranked;
    size_t count;
    fixture_fill(here->store, 0);
    OK(hone_store_rank(here->store, &question, &ranked, &count));
    assert_true(count > 1);
    assert_int_equal(sqlite3_open_v2(hone_store_path(here->store), &plain, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(plain, "SELECT tactic, median_ns, tactics FROM best_tactic WHERE problem = ?", -1, &statement, NULL), SQLITE_OK);
    sqlite3_bind_text(statement, 1, GEMM, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), ranked[0].tactic);
    assert_true(sqlite3_column_double(statement, 1) == ranked[0].median_ns);
    assert_int_equal(sqlite3_column_int64(statement, 2), count);
    sqlite3_finalize(statement);
    sqlite3_close(plain);
    hone_free(ranked);
}

int test_db_store(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdict_names), cmocka_unit_test(device_columns), cmocka_unit_test(tactic_columns),
        cmocka_unit_test(what_a_toolchain_covers),
        cmocka_unit_test_setup_teardown(ids_are_stable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(put_twice_is_put_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(private_facts_are_outside_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sequences_are_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_not_be_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_put_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_note_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coverage_counts_at_and_below_its_effort, set_up, tear_down),
        cmocka_unit_test_setup_teardown(artifacts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(which_of_two_artifacts_does_not_depend_on_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(devices_are_found_by_a_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_toolchain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_opened_for_reading_is_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_state_is_read_between_begin_and_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(layers_answer_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_views_answer, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("db_store", tests, NULL, NULL);
}
