// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/db_fixture.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/zip.h"
#include "db/batch_priv.h"

typedef struct place {
    char folder[256];
    hone_store *store;
} place;

static int set_up(void **state)
{
    static place here;
    assert_non_null(unit_folder(here.folder));
    here.store = fixture_create(here.folder, "a.db");
    fixture_fill(here.store, 0);
    *state = &here;
    return 0;
}

static int tear_down(void **state)
{
    hone_store_close(((place *)*state)->store);
    return 0;
}

static void assert_same(hone_store *a, hone_store *b)
{
    char *first = fixture_dump(a, 0), *second = fixture_dump(b, 0);
    hone_id x, y;
    assert_string_equal(first, second);
    OK(hone_store_snapshot(a, &x));
    OK(hone_store_snapshot(b, &y));
    assert_true(hone_id_equal(&x, &y));
    hone_free(first);
    hone_free(second);
}

static void dump_does_not_depend_on_order(void **state)
{
    place *here = *state;
    hone_store *other = fixture_create(here->folder, "b.db");
    fixture_fill(other, 1);
    assert_same(here->store, other);
    OK(hone_store_check(other, NULL));
    hone_store_close(other);
}

static void dump_and_load_are_inverse(void **state)
{
    place *here = *state;
    hone_store *other = fixture_create(here->folder, "b.db");
    char *dump = fixture_dump(here->store, 0);
    int64_t added;
    OK(hone_store_load(other, dump, strlen(dump), &added));
    assert_int_equal(added, 2 + 24 + 1 + 1 + 2 + 1 + 2 + 1);
    assert_same(here->store, other);
    OK(hone_store_load(other, dump, strlen(dump), &added));
    assert_int_equal(added, 0);
    assert_same(here->store, other);
    OK(hone_store_check(other, NULL));
    hone_free(dump);
    hone_store_close(other);
}

static void a_dump_opens_for_reading(void **state)
{
    place *here = *state;
    char path[512], *dump = fixture_dump(here->store, 0);
    void *packed;
    size_t packed_bytes;
    hone_store *other;
    snprintf(path, sizeof path, "%s/dump.txt", here->folder);
    OK(hone_file_write(path, dump, strlen(dump)));
    OK(hone_store_open(path, HONE_STORE_READ, &other));
    assert_string_equal(hone_store_journal(other), "memory");
    assert_same(here->store, other);
    hone_run run = fixture_run(9);
    assert_int_equal(hone_store_put_run(other, &run, NULL), HONE_USAGE);
    hone_store_close(other);
    assert_int_equal(hone_store_open(path, HONE_STORE_CREATE, &other), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "hone db load"));
    snprintf(path, sizeof path, "%s/dump.txt.zst", here->folder);
    OK(hone_zip(dump, strlen(dump), 3, &packed, &packed_bytes));
    OK(hone_file_write(path, packed, packed_bytes));
    OK(hone_store_open(path, HONE_STORE_READ, &other));
    assert_same(here->store, other);
    hone_store_close(other);
    hone_free(dump);
    hone_free(packed);
}

// Two halves that overlap.
static void make_halves(place *here, hone_store **a, hone_store **b)
{
    *a = fixture_create(here->folder, "half-a.db");
    *b = fixture_create(here->folder, "half-b.db");
    for (int i = 0; i < 30; i++) {
        for (int which = 0; which < 2; which++) {
            if (which ? i < 10 : i >= 20) continue;
            hone_store *store = which ? *b : *a;
            hone_id run = fixture_put_run(store, i / 10);
            hone_measurement row = fixture_row(&run, i % 2 ? "ref@1" : "cpu.direct@1 tile=8", 100 + i);
            OK(hone_store_put_measurement(store, &row, NULL));
            OK(hone_store_put_problem(store, GEMM, 10 + which, 20 - which));
        }
    }
}

static void merge_commutes_and_is_idempotent(void **state)
{
    place *here = *state;
    hone_store *a, *b, *ab = fixture_create(here->folder, "ab.db"), *ba = fixture_create(here->folder, "ba.db");
    int64_t added;
    make_halves(here, &a, &b);
    OK(hone_store_merge(ab, a, &added));
    assert_int_equal(added, 22);
    OK(hone_store_merge(ab, b, &added));
    assert_int_equal(added, 11);
    OK(hone_store_merge(ba, b, &added));
    OK(hone_store_merge(ba, a, &added));
    assert_same(ab, ba);
    OK(hone_store_merge(ab, ba, &added));
    assert_int_equal(added, 0);
    OK(hone_store_merge(ab, a, &added));
    assert_int_equal(added, 0);
    OK(hone_store_merge(ab, ab, &added));
    assert_int_equal(added, 0);
    assert_same(ab, ba);
    OK(hone_store_check(ab, NULL));
    hone_store *const all[] = {a, b, ab, ba};
    for (int i = 0; i < 4; i++) hone_store_close(all[i]);
}

static int64_t count_rows(hone_store *store, const char *sql)
{
    sqlite3 *plain;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(hone_store_path(store), &plain, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(plain, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(plain);
    return count;
}

static void merge_keeps_private_facts(void **state)
{
    place *here = *state;
    hone_store *other = fixture_create(here->folder, "b.db");
    int64_t added;
    OK(hone_store_merge(other, here->store, &added));
    assert_int_equal(count_rows(other, "SELECT count(*) FROM run_private WHERE host = 'somewhere'"), 2);
    assert_int_equal(count_rows(other, "SELECT count(*) FROM toolchain_library"), 5);
    hone_store_close(other);
}

// Facts of the tables that this version fills from nowhere yet travel like all others.
static void put_any(hone_store *store, int fact, hone_row *row)
{
    int64_t added;
    OK(hone_row_hash(&hone_facts[fact], row->values, &row->id));
    OK(hone_store_begin(store));
    OK(hone_store_end(store, hone_row_put(store, &hone_facts[fact], row, &added)));
    assert_int_equal(added, 1);
}

static void every_table_travels(void **state)
{
    place *here = *state;
    hone_store *other = fixture_create(here->folder, "b.db");
    hone_cell id = hone_cell_id(&(hone_id){{9}}), bytes = {.data = "\0\1\2\3", .size = 4}, word = hone_cell_text("w\to\\rd"), none = {.data = "", .size = 0};
    hone_row calibration = {.values = {id, word, id, word, hone_cell_int(-3), hone_cell_real(-1.5), hone_cell_real(1e300), hone_cell_real(0.1), bytes}};
    hone_id seed = {{1}};
    hone_key key;
    hone_key_from(&seed, &key.public_key, &key.secret);
    hone_id_print(&key.public_key, key.writer);
    hone_cell writer = hone_cell_text(key.writer);
    hone_row batch = {.values = {writer, hone_cell_int(INT64_MAX), id, none}};
    hone_row ruling = {.values = {writer, hone_cell_int(4), hone_cell_text("promote"), id, word, hone_cell_int(5), none}};
    int64_t added;
    hone_recheck recheck = {.run = fixture_put_run(here->store, 9), .device = H200, .family = "cudnn gemm f16", .depends = "cudnn=9.19.0", .now = "cudnn=9.20.0",
                            .mode = "single cold", .decision = HONE_RECHECK_RESCALE, .scale = 0.85, .low = 0.84, .high = 0.86, .timed = 3};
    put_any(here->store, HONE_FACT_CALIBRATION, &calibration);
    OK(hone_store_put_recheck(here->store, &recheck));
    OK(hone_store_begin(here->store));
    OK(hone_signed_put(here->store, &key, HONE_FACT_BATCH, &batch));
    OK(hone_store_end(here->store, hone_signed_put(here->store, &key, HONE_FACT_RULING, &ruling)));
    char *dump = fixture_dump(here->store, 0);
    for (int i = 0; i < hone_fact_count; i++) {
        char head[64];
        snprintf(head, sizeof head, "\n%s\t", hone_facts[i].name);
        assert_non_null(strstr(dump, head));
    }
    OK(hone_store_load(other, dump, strlen(dump), &added));
    assert_same(here->store, other);
    OK(hone_store_check(other, NULL));
    hone_free(dump);
    hone_store_close(other);
}

static int count_word(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text += strlen(word)) count++;
    return count;
}

static void a_thin_dump_keeps_the_best(void **state)
{
    place *here = *state;
    hone_store *thin = fixture_create(here->folder, "thin.db"), *full = fixture_create(here->folder, "full.db");
    hone_id run = fixture_put_run(full, 1), lost = fixture_put_run(full, 2);
    int64_t added;
    for (int i = 0; i < 9; i++) {
        char tactic[64], key[16];
        snprintf(tactic, sizeof tactic, "%s@1 n=%d", i % 3 == 0 ? "nvrtc.gemm" : i % 3 == 1 ? "nvrtc.slow" : "cudnn", i);
        snprintf(key, sizeof key, "key-%d", i);
        hone_measurement row = fixture_row(i == 8 ? &lost : &run, tactic, 100 + 10 * i);
        row.artifact = key;
        OK(hone_store_put_measurement(full, &row, NULL));
        OK(hone_store_put_artifact(full, key, "cubin", key, 5));
    }
    hone_measurement row = fixture_failure(&run, "nvrtc.gemm@1 n=0", HONE_VERDICT_WRONG);      // the best of nvrtc is out of the race
    OK(hone_store_put_measurement(full, &row, NULL));
    char *dump = fixture_dump(full, 2);
    assert_int_equal(count_word(dump, "\nmeasurement\t"), 5);
    assert_int_equal(count_word(dump, "\nartifact\t"), 4);
    assert_int_equal(count_word(dump, "\nrun\t"), 1);
    assert_int_equal(count_word(dump, "nvrtc.slow@1 n=1\t"), 1);
    assert_int_equal(count_word(dump, "nvrtc.gemm@1 n=3\t"), 1);
    assert_int_equal(count_word(dump, "cudnn@1 n=2\t"), 1);
    assert_int_equal(count_word(dump, "cudnn@1 n=5\t"), 1);
    OK(hone_store_load(thin, dump, strlen(dump), &added));
    OK(hone_store_check(thin, NULL));
    char *again = fixture_dump(thin, 2);
    assert_string_equal(dump, again);
    hone_free(dump);
    hone_free(again);
    hone_store_close(thin);
    hone_store_close(full);
}

static void plans_do_not_change_the_snapshot(void **state)
{
    place *here = *state;
    hone_id before, after, digest, step = {{3}};
    hone_hash_once("another plan", 12, &digest);
    OK(hone_store_snapshot(here->store, &before));
    OK(hone_store_put_plan(here->store, &digest, &digest, H200, &step, 1));
    OK(hone_store_snapshot(here->store, &after));
    assert_true(hone_id_equal(&before, &after));
    fixture_put_run(here->store, 77);
    hone_id run = fixture_put_run(here->store, 77);
    hone_measurement row = fixture_row(&run, "ref@1", 1e6);
    OK(hone_store_put_measurement(here->store, &row, NULL));
    OK(hone_store_snapshot(here->store, &after));
    assert_false(hone_id_equal(&before, &after));
}

// ---- damage

static hone_status try_load(const char *dump, size_t size)
{
    char folder[256];
    int64_t added;
    hone_store *store;
    assert_non_null(unit_folder(folder));
    store = fixture_create(folder, "x.db");
    hone_status status = hone_store_load(store, dump, size, &added);
    if (status != HONE_OK) {
        hone_store_counts counts;
        OK(hone_store_count(store, &counts));
        assert_int_equal(counts.measurements + counts.runs + counts.problems, 0);
    }
    hone_store_close(store);
    return status;
}

static void a_cut_dump_is_refused(void **state)
{
    place *here = *state;
    char *dump = fixture_dump(here->store, 0);
    size_t size = strlen(dump);
    for (size_t cut = 0; cut < size; cut += cut + 70 < size ? 331 : 1) assert_int_equal(try_load(dump, cut), HONE_DAMAGED);
    OK(try_load(dump, size));
    hone_free(dump);
}

static void a_flipped_bit_is_seen(void **state)
{
    place *here = *state;
    char *dump = fixture_dump(here->store, 0);
    size_t size = strlen(dump);
    for (uint64_t i = 0; i < 200; i++) {
        size_t at = hone_rng_bits(11, 0, i) % size;
        char bit = (char)(1 << hone_rng_bits(11, 1, i) % 8);
        dump[at] ^= bit;
        assert_int_equal(try_load(dump, size), HONE_DAMAGED);
        dump[at] ^= bit;
    }
    hone_free(dump);
}

static char *replace(const char *text, const char *from, const char *to)
{
    hone_text made;
    const char *found = strstr(text, from);
    assert_non_null(found);
    hone_text_init(&made);
    hone_text_append(&made, text, (size_t)(found - text));
    hone_text_printf(&made, "%s%s", to, found + strlen(from));
    return hone_text_take(&made);
}

// Without the last line's digest each line still speaks for itself.
static void lines_speak_for_themselves(void **state)
{
    place *here = *state;
    static const struct { const char *from, *to; } changes[] = {
        {"\tok\t", "\tcrash\t"}, {"NVIDIA H200", "NVIDIA H100"}, {"\t1024\t", "\t1025\t"}, {"\tcupti\t", "\tevent\t"},
        {"resnet50", "resnet18"}, {"\tcubin\t", "\tptx\t"}, {"cublaslt=13.1.0\tsingle", "cublaslt=13.1.1\tsingle"},
        {"\nplan_step\t", "\nplan\t"}, {"\nmeasurement\t", "\nMeasurement\t"}, {"\\n", "\\q"}, {"hone-dump 1", "hone-dump 2"},
        {"\t1980\t", "\tnan\t"}, {"\t1980\t", "\t1980"}, {"\t1980\t", "\t\t"},
    };
    char *dump = fixture_dump(here->store, 0);
    *strstr(dump, "\nend\t") = 0;
    char *open_ended = replace(dump, "hone-dump", "hone-dump");
    hone_free(dump);
    hone_text text;
    hone_text_init(&text);
    hone_text_printf(&text, "%s\nend\t-\n", open_ended);
    OK(try_load(hone_text_get(&text), text.size));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *changed = replace(hone_text_get(&text), changes[i].from, changes[i].to);
        assert_int_equal(try_load(changed, strlen(changed)), HONE_DAMAGED);
        hone_free(changed);
    }
    hone_text_clear(&text);
    hone_free(open_ended);
}

static void a_measurement_needs_its_run(void **state)
{
    place *here = *state;
    char *dump = fixture_dump(here->store, 0), *run = strstr(dump, "run\t"), *next = strchr(run, '\n') + 1;
    memmove(run, next, strlen(next) + 1);
    strcpy(strstr(dump, "\nend\t"), "\nend\t-\n");
    assert_int_equal(try_load(dump, strlen(dump)), HONE_DAMAGED);
    assert_non_null(strstr(hone_error_text(), "names the run"));
    hone_free(dump);
}

int test_db_dump(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dump_does_not_depend_on_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dump_and_load_are_inverse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dump_opens_for_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merge_commutes_and_is_idempotent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merge_keeps_private_facts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_table_travels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_thin_dump_keeps_the_best, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plans_do_not_change_the_snapshot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_dump_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_speak_for_themselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_measurement_needs_its_run, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("db_dump", tests, NULL, NULL);
}
