// SPDX-License-Identifier: Apache-2.0
// Rechecks: what they make of records that rest on older versions, whose word counts, how they travel.
#include "tests/unit/db_fixture.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "db/recheck_priv.h"
#include "db/ruling.h"

#define NOW "cuda=13.1 driver=590.44 cublaslt=13.2.0 cudnn=9.20.0 hone=0.1.0"
#define LT "cublaslt.matmul@1 algo=21"
#define OWN "nvrtc.gemm_tile@3 bm=128"
#define FAMILY "cublaslt.matmul gemm f16"
#define PROBLEM "gemm a=f16:8x8 b=f16:8x8"

static char folder[256];

static hone_measurement row_of(const hone_id *run, const char *tactic, const char *depends, double median_ns)
{
    hone_measurement row = fixture_row(run, tactic, median_ns);
    row.problem = PROBLEM;
    row.depends = depends;
    return row;
}

// A record of cuBLASLt at 100 ns and one of hone's at 110 that rests on nothing that changed.
static hone_store *make(const char *name)
{
    hone_store *store = fixture_create(folder, name);
    hone_id run = fixture_put_run(store, 1);
    double samples[5] = {98, 99, 100, 101, 102};
    hone_measurement lt = row_of(&run, LT, "cublaslt=13.1.0", 100), own = row_of(&run, OWN, "hone=0.1.0", 110);
    lt.samples_ns = samples;
    lt.sample_count = 5;
    OK(hone_store_put_measurement(store, &lt, NULL));
    OK(hone_store_put_measurement(store, &own, NULL));
    return store;
}

static hone_recheck recheck_of(const hone_id *run, hone_recheck_decision decision, double scale)
{
    return (hone_recheck){.run = *run, .device = H200, .family = FAMILY, .depends = "cublaslt=13.1.0", .now = "cublaslt=13.2.0", .mode = "single cold",
                          .decision = decision, .scale = scale, .low = scale, .high = scale, .timed = 3};
}

static void put(hone_store *store, int64_t start_unix_ms, hone_recheck_decision decision, double scale)
{
    hone_id run = fixture_put_run(store, start_unix_ms);
    hone_recheck row = recheck_of(&run, decision, scale);
    OK(hone_store_put_recheck(store, &row));
}

// Under the versions of now the library's tactic is wrong.
static void put_wrong(hone_store *store, int64_t start_unix_ms)
{
    hone_id run = fixture_put_run(store, start_unix_ms);
    hone_measurement wrong = fixture_failure(&run, LT, HONE_VERDICT_WRONG);
    wrong.problem = PROBLEM;
    wrong.depends = "cublaslt=13.2.0";
    OK(hone_store_put_measurement(store, &wrong, NULL));
}

static double time_of(hone_store *store, const char *tactic, double *rescaled)
{
    hone_question question = {.device = H200, .toolchain = NOW, .problem = PROBLEM, .mode = ""};
    hone_ranked *ranked;
    size_t count;
    double ns = 0;
    OK(hone_store_rank(store, &question, &ranked, &count));
    for (size_t k = 0; k < count; k++)
        if (!strcmp(ranked[k].tactic, tactic)) {
            ns = ranked[k].median_ns;
            *rescaled = ranked[k].rescaled;
            assert_int_equal(ranked[k].staleness, 0);
            assert_true(ranked[k].low_ns <= ns && ns <= ranked[k].high_ns);
        }
    hone_free(ranked);
    return ns;
}

static void expect(hone_store *store, double wanted_ns, double wanted_rescaled)
{
    double rescaled = 0, ns = time_of(store, LT, &rescaled);
    if (fabs(ns - wanted_ns) > 1e-9 || rescaled != wanted_rescaled) fail_msg("%g ns, rescaled %g in place of %g, %g", ns, rescaled, wanted_ns, wanted_rescaled);
    assert_true(time_of(store, OWN, &rescaled) == 110 && rescaled == 0);
}

static void families_are_spelled(void **state)
{
    static const struct { const char *problem, *tactic, *family; } cases[] = {
        {"conv x=f16:1x56x56x64:nhwc w=f16:64x3x3x64:nhwc pad=1 | relu x=$0", "cudnn.conv@1 id=3", "cudnn.conv conv f16"},
        {"matmul a=f32:8x8 b=f32:8x8 math=tf32", "cublaslt.matmul@1", "cublaslt.matmul matmul tf32"},
        {"matmul a=f32:8x8 b=f32:8x8", "nvrtc.gemm_tile@3 bm=64", "nvrtc.gemm_tile matmul f32"},
        {"fill value=1", "ref@1", "ref fill"},
    };
    char family[HONE_FAMILY_TEXT];
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_family_print(cases[k].problem, cases[k].tactic, family);
        assert_string_equal(family, cases[k].family);
    }
}

static void kept_and_rescaled_records_count(void **state)
{
    (void)state;
    hone_store *store = make("kept.db");
    expect(store, 0, 0);
    put(store, 2, HONE_RECHECK_KEEP, 1);
    expect(store, 100, 1);
    put(store, 3, HONE_RECHECK_RESCALE, 1.25);         // the later one, whichever came in first
    expect(store, 125, 1.25);
    put(store, 1, HONE_RECHECK_RETIME, 1);
    expect(store, 125, 1.25);
    put(store, 4, HONE_RECHECK_RETIME, 1);
    expect(store, 0, 0);
    hone_store_close(store);
}

static void what_moved_apart_is_a_last_resort(void **state)
{
    (void)state;
    hone_store *store = make("apart.db");
    hone_question question = {.device = H200, .toolchain = NOW, .problem = PROBLEM, .mode = ""};
    hone_ranked *ranked;
    size_t count;
    put(store, 2, HONE_RECHECK_APART, 0.5);
    OK(hone_store_rank(store, &question, &ranked, &count));
    assert_int_equal(count, 2);
    assert_string_equal(ranked[0].tactic, OWN);        // slower, but known
    assert_true(ranked[0].staleness == 0 && ranked[1].staleness == 1 && ranked[1].median_ns == 50 && ranked[1].rescaled == 0.5);
    hone_free(ranked);
    put_wrong(store, 3);
    expect(store, 0, 0);
    hone_store_close(store);
}

static void only_what_was_decided_counts(void **state)
{
    static const struct { const char *family, *depends, *now, *mode; } others[] = {
        {"cublaslt.matmul gemm bf16", "cublaslt=13.1.0", "cublaslt=13.2.0", "single cold"}, {FAMILY, "cublaslt=13.0.0", "cublaslt=13.2.0", "single cold"},
        {FAMILY, "cublaslt=13.1.0", "cublaslt=13.3.0", "single cold"}, {FAMILY, "cublaslt=13.1.0", "cublaslt=13.2.0", "single warm"},
    };
    (void)state;
    hone_store *store = make("other.db");
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        hone_id run = fixture_put_run(store, 2 + (int64_t)k);
        hone_recheck row = recheck_of(&run, HONE_RECHECK_KEEP, 1);
        row.family = others[k].family;
        row.depends = others[k].depends;
        row.now = others[k].now;
        row.mode = others[k].mode;
        OK(hone_store_put_recheck(store, &row));
    }
    expect(store, 0, 0);
    hone_store_close(store);
}

static void what_was_measured_stands_before_it(void **state)
{
    (void)state;
    hone_store *store = make("measured.db");
    put(store, 2, HONE_RECHECK_KEEP, 1);
    hone_id run = fixture_put_run(store, 3);
    hone_measurement fresh = row_of(&run, LT, "cublaslt=13.2.0", 130);
    OK(hone_store_put_measurement(store, &fresh, NULL));
    expect(store, 130, 0);
    hone_store_close(store);
    store = make("failed.db");
    put(store, 2, HONE_RECHECK_KEEP, 1);
    put_wrong(store, 3);
    expect(store, 0, 0);
    hone_store_close(store);
}

static void only_whose_word_stands_alone_may_say(void **state)
{
    (void)state;
    char path[512];
    hone_key owner, other;
    hone_id target, id;
    hone_store *store = make("trust.db");
    snprintf(path, sizeof path, "%s/owner.key", folder);
    OK(hone_key_open(path, &owner));
    snprintf(path, sizeof path, "%s/other.key", folder);
    OK(hone_key_open(path, &other));
    OK(hone_store_own(store, &owner, false));
    hone_run run = fixture_run(2);
    run.writer = other.writer;
    OK(hone_store_put_run(store, &run, &id));
    hone_recheck row = recheck_of(&id, HONE_RECHECK_RESCALE, 0.5);
    OK(hone_store_put_recheck(store, &row));
    expect(store, 0, 0);
    assert_true(hone_id_parse(other.writer, &target));
    OK(hone_ruling_put(store, &owner, HONE_RULING_ADMIT, &target, "", NULL));
    expect(store, 0, 0);                               // its rows count, not its rulings
    OK(hone_ruling_put(store, &owner, HONE_RULING_EMPOWER, &target, "", NULL));
    expect(store, 50, 0.5);
    OK(hone_ruling_put(store, &owner, HONE_RULING_QUARANTINE, &id, "a doubt", NULL));
    expect(store, 0, 0);
    hone_store_close(store);
}

static void what_no_recheck_can_say_is_refused(void **state)
{
    (void)state;
    hone_store *store = make("refused.db");
    hone_id run = fixture_put_run(store, 2);
    const double scales[] = {0, -1, 0.001, 100, NAN, INFINITY};
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        hone_recheck row = recheck_of(&run, HONE_RECHECK_RESCALE, scales[k]);
        assert_int_equal(hone_store_put_recheck(store, &row), HONE_USAGE);
    }
    hone_recheck row = recheck_of(&run, HONE_RECHECK_KEEP, 1.5);
    assert_int_equal(hone_store_put_recheck(store, &row), HONE_USAGE);
    row = recheck_of(&run, HONE_RECHECK_KEEP, 1);
    row.family = "";
    assert_int_equal(hone_store_put_recheck(store, &row), HONE_USAGE);
    memset(&row.run, 7, sizeof row.run);
    row.family = FAMILY;
    assert_int_equal(hone_store_put_recheck(store, &row), HONE_USAGE);
    hone_store_close(store);
}

static void older_files_hold_none(void **state)
{
    (void)state;
    hone_id before, since;
    sqlite3 *plain;
    char path[512];
    hone_store *store = make("older.db"), *upper;
    OK(hone_store_snapshot(store, &since));
    hone_store_close(store);
    snprintf(path, sizeof path, "%s/older.db", folder);
    assert_int_equal(sqlite3_open(path, &plain), SQLITE_OK);
    assert_int_equal(sqlite3_exec(plain, "DROP TABLE recheck; PRAGMA user_version = 3", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(plain);
    OK(hone_store_open(path, HONE_STORE_READ, &store));
    OK(hone_store_snapshot(store, &before));
    assert_true(hone_id_equal(&before, &since));       // plans that name it stay built from it
    OK(hone_store_check(store, NULL));
    hone_free(fixture_dump(store, 2));
    upper = fixture_create(folder, "upper.db");
    hone_store_layer(upper, store);
    expect(upper, 0, 0);
    put(upper, 2, HONE_RECHECK_RESCALE, 2);
    expect(upper, 200, 2);
    OK(hone_store_snapshot(upper, &since));
    assert_false(hone_id_equal(&before, &since));
    hone_store_close(upper);
}

static void they_travel_in_batches_and_exports(void **state)
{
    (void)state;
    char path[512];
    hone_key key;
    hone_batch *batch;
    hone_batch_fate fate;
    hone_trust measure = HONE_TRUST_PROMOTE;
    void *blob;
    size_t size;
    int64_t made, added;
    hone_id run;
    hone_store *store = make("from.db"), *to = make("to.db"), *part;
    snprintf(path, sizeof path, "%s/sender.key", folder);
    OK(hone_key_open(path, &key));
    OK(hone_store_own(store, &key, false));
    OK(hone_store_own(to, &key, false));
    hone_run begun = fixture_run(5);
    begun.writer = key.writer;
    begun.options = "secret";
    OK(hone_store_put_run(store, &begun, &run));
    hone_recheck row = recheck_of(&run, HONE_RECHECK_RESCALE, 1.5);
    OK(hone_store_put_recheck(store, &row));
    OK(hone_batch_make(store, &key, 1, &made));        // a row a batch: the recheck's brings its run along
    for (int64_t k = made; k > 0; k--) {
        OK(hone_batch_pack(store, key.writer, k, &blob, &size));
        OK(hone_batch_open(blob, size, &batch));
        OK(hone_batch_put(to, batch, &measure, &fate, &added));
        hone_batch_close(batch);
        hone_free(blob);
    }
    expect(to, 150, 1.5);
    hone_export wanted = {.architecture = "sm_90", .strip_private = true};
    OK(hone_store_export(store, &wanted, &part));
    OK(hone_store_check(part, NULL));
    char *dump = fixture_dump(part, 0);
    assert_non_null(strstr(dump, "\nrecheck\t"));
    assert_null(strstr(dump, "secret"));
    hone_free(dump);
    hone_store_close(part);
    wanted = (hone_export){.architecture = "sm_80"};
    OK(hone_store_export(store, &wanted, &part));
    dump = fixture_dump(part, 0);
    assert_null(strstr(dump, "\nrecheck\t"));
    hone_free(dump);
    hone_store_close(part);
    hone_store_close(store);
    hone_store_close(to);
}

typedef struct seen {
    int count;
    double before_ns, now_ns;
    bool has_failed;
} seen;

static hone_status see(void *user, const hone_record *record)
{
    seen *to = user;
    to->count++;
    if (strcmp(record->tactic, LT)) return HONE_OK;
    to->before_ns = record->before_ns;
    to->now_ns = record->now_ns;
    to->has_failed = record->has_failed;
    assert_string_equal(record->family, FAMILY);
    assert_string_equal(record->depends, "cublaslt=13.1.0");
    return HONE_OK;
}

static void records_are_told_before_and_since(void **state)
{
    (void)state;
    hone_store *store = make("records.db");
    hone_id run = fixture_put_run(store, 0);
    hone_measurement older = row_of(&run, LT, "cublaslt=12.0", 50);         // an older version yet: the newest before speaks
    OK(hone_store_put_measurement(store, &older, NULL));
    seen to = {0};
    OK(hone_store_each_record(store, H200, NOW, "single cold", see, &to));
    assert_true(to.count == 2 && to.before_ns == 100 && to.now_ns == 0 && !to.has_failed);
    run = fixture_put_run(store, 3);
    hone_measurement fresh = row_of(&run, LT, "cublaslt=13.2.0", 130);
    OK(hone_store_put_measurement(store, &fresh, NULL));
    to = (seen){0};
    OK(hone_store_each_record(store, H200, NOW, "single cold", see, &to));
    assert_true(to.count == 2 && to.before_ns == 100 && to.now_ns == 130 && !to.has_failed);
    run = fixture_put_run(store, 4);
    hone_measurement crash = fixture_failure(&run, LT, HONE_VERDICT_CRASH);
    crash.problem = PROBLEM;
    crash.depends = "cublaslt=13.2.0";
    OK(hone_store_put_measurement(store, &crash, NULL));
    to = (seen){0};
    OK(hone_store_each_record(store, H200, NOW, "single cold", see, &to));
    assert_true(to.count == 2 && to.before_ns == 100 && to.now_ns == 0 && to.has_failed);
    hone_store_close(store);
}

static int set_up(void **state)
{
    (void)state;
    return unit_folder(folder) ? 0 : -1;
}

int test_db_recheck(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_spelled), cmocka_unit_test(kept_and_rescaled_records_count),
        cmocka_unit_test(what_moved_apart_is_a_last_resort), cmocka_unit_test(only_what_was_decided_counts),
        cmocka_unit_test(what_was_measured_stands_before_it), cmocka_unit_test(only_whose_word_stands_alone_may_say),
        cmocka_unit_test(what_no_recheck_can_say_is_refused), cmocka_unit_test(older_files_hold_none), cmocka_unit_test(they_travel_in_batches_and_exports),
        cmocka_unit_test(records_are_told_before_and_since),
    };
    return cmocka_run_group_tests_name("db_recheck", tests, set_up, NULL);
}
