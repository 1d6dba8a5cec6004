// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/db_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "db/rank_priv.h"

enum { MOST = 64 };

static hone_evidence piece(const char *tactic, double median_ns, int64_t start_unix_ms, int level)
{
    static uint64_t made;
    hone_id run = {{0}};
    hone_evidence evidence = {.row = fixture_row(&run, tactic, median_ns), .start_unix_ms = start_unix_ms, .level = level};
    made++;
    hone_hash_once(&made, sizeof made, &evidence.id);
    return evidence;
}

static hone_evidence failure(const char *tactic, hone_verdict verdict, int64_t start_unix_ms, int level)
{
    hone_evidence evidence = piece(tactic, 0, start_unix_ms, level);
    evidence.row.verdict = verdict;
    return evidence;
}

// Ranks a copy, and again in other orders, which must change nothing. Caller frees.
static hone_ranked *rank(const hone_evidence *items, size_t count, const char *mode, size_t *lines)
{
    hone_evidence copy[MOST];
    hone_ranked *first = NULL;
    for (uint64_t turn = 0; turn < 5; turn++) {
        hone_evidence_list list = {copy, count, MOST};
        hone_ranked *ranked;
        size_t ranked_count;
        memcpy(copy, items, count * sizeof *items);
        for (size_t i = count; turn && i > 1; i--) {
            size_t other = hone_rng_bits(turn, 0, i) % i;
            hone_evidence kept = copy[i - 1];
            copy[i - 1] = copy[other];
            copy[other] = kept;
        }
        OK(hone_rank(&list, mode, &ranked, &ranked_count));
        if (!turn) {
            first = ranked;
            *lines = ranked_count;
            continue;
        }
        assert_int_equal(ranked_count, *lines);
        for (size_t i = 0; i < ranked_count; i++) {
            assert_string_equal(ranked[i].tactic, first[i].tactic);
            assert_true(ranked[i].median_ns == first[i].median_ns && ranked[i].low_ns == first[i].low_ns && ranked[i].tied == first[i].tied);
            assert_true(hone_id_equal(&ranked[i].evidence, &first[i].evidence));
        }
        hone_free(ranked);
    }
    return first;
}

static void expect(const hone_evidence *items, size_t count, const char *mode, const char *order)
{
    hone_text text;
    size_t lines;
    hone_ranked *ranked = rank(items, count, mode, &lines);
    hone_text_init(&text);
    for (size_t i = 0; i < lines; i++) hone_text_printf(&text, "%s%s", i ? " " : "", ranked[i].tactic);
    assert_string_equal(hone_text_get(&text), order);
    hone_text_clear(&text);
    hone_free(ranked);
}

// Critical values of the sign test: Conover's table of the binomial distribution, two-sided 5%.
static void intervals_of_the_median(void **state)
{
    static const struct { size_t count, low, high; } cases[] = {
        {1, 0, 0}, {2, 0, 1}, {5, 0, 4}, {6, 0, 5}, {8, 0, 7}, {9, 1, 7}, {10, 1, 8}, {12, 2, 9}, {15, 3, 11}, {20, 5, 14}, {25, 7, 17},
        {50, 17, 32}, {100, 39, 60},
    };
    size_t low, high;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_median_interval(cases[i].count, &low, &high);
        assert_int_equal(low, cases[i].low);
        assert_int_equal(high, cases[i].high);
    }
    for (size_t count = 1; count < 5000; count++) {
        hone_median_interval(count, &low, &high);
        assert_true(low <= high && high < count && low + high == count - 1);
    }
    hone_median_interval(199, &low, &high);
    assert_int_equal(low, 85);
    hone_median_interval(200, &low, &high);
    assert_int_equal(low, 86);
}

static void the_interval_covers_the_median(void **state)
{
    int inside = 0;
    (void)state;
    for (uint64_t trial = 0; trial < 1000; trial++) {
        double samples[25];
        size_t lines;
        hone_evidence item = piece("a@1", 100, 1, 0);
        for (uint64_t i = 0; i < 25; i++) samples[i] = 100 + hone_rng_normal(3, trial, i);
        item.row.samples_ns = samples;
        item.row.sample_count = 25;
        hone_evidence_list list = {&item, 1, 1};
        hone_ranked *ranked;
        OK(hone_rank(&list, "", &ranked, &lines));
        inside += ranked[0].low_ns <= 100 && 100 <= ranked[0].high_ns;
        hone_free(ranked);
    }
    assert_in_range(inside, 940, 1000);
}

static void fastest_first(void **state)
{
    (void)state;
    const hone_evidence items[] = {piece("c@1", 300, 1, 0), piece("a@1", 200, 1, 0), piece("b@1", 100, 1, 0)};
    expect(items, 3, "", "b@1 a@1 c@1");
    expect(items, 0, "", "");
}

static void the_median_of_measurements_decides(void **state)
{
    (void)state;
    // a was lucky once; its second and third measurements say what it is worth.
    const hone_evidence items[] = {piece("a@1", 50, 1, 0), piece("a@1", 120, 2, 0), piece("a@1", 121, 3, 0), piece("b@1", 100, 1, 0)};
    size_t lines;
    expect(items, 4, "", "b@1 a@1");
    hone_ranked *ranked = rank(items, 4, "", &lines);
    assert_true(ranked[1].median_ns == 120);
    assert_int_equal(ranked[1].measurements, 3);
    assert_true(hone_id_equal(&ranked[1].evidence, &items[1].id));
    hone_free(ranked);
    ranked = rank(items, 2, "", &lines);
    assert_true(ranked[0].median_ns == 85);
    hone_free(ranked);
}

static void a_tie_goes_to_the_smaller_workspace_then_the_smaller_word(void **state)
{
    (void)state;
    hone_evidence items[] = {piece("a@1", 1000, 1, 0), piece("b@1", 1004, 1, 0), piece("c@1", 1004.5, 1, 0), piece("d@1", 1006, 1, 0)};
    items[0].row.workspace_bytes = 4096;
    items[1].row.workspace_bytes = 64;
    items[2].row.workspace_bytes = 64;
    items[3].row.workspace_bytes = 0;
    expect(items, 4, "", "b@1 c@1 a@1 d@1");
    size_t lines;
    hone_ranked *ranked = rank(items, 4, "", &lines);
    assert_int_equal(ranked[0].tied, 0);
    assert_int_equal(ranked[1].tied, 1);
    assert_int_equal(ranked[2].tied, 1);
    hone_free(ranked);
}

static void overlapping_intervals_are_said_to_be_tied(void **state)
{
    (void)state;
    hone_evidence items[] = {piece("a@1", 1000, 1, 0), piece("b@1", 1100, 1, 0), piece("c@1", 1500, 1, 0)};
    for (int i = 0; i < 3; i++) items[i].row.mad_ns = 40;
    size_t lines;
    hone_ranked *ranked = rank(items, 3, "", &lines);
    assert_int_equal(ranked[1].tied, 1);
    assert_int_equal(ranked[2].tied, 0);
    hone_free(ranked);
}

static void fresh_before_stale_before_approximate(void **state)
{
    (void)state;
    const hone_evidence items[] = {piece("a@1", 300, 1, 0), piece("b@1", 100, 1, 1), piece("a@1", 10, 1, 1), piece("c@1", 50, 1, 2),
                                   piece("d@1", 400, 1, 0), piece("b@1", 1, 1, 2)};
    size_t lines;
    expect(items, 6, "", "a@1 d@1 b@1 c@1");
    hone_ranked *ranked = rank(items, 6, "", &lines);
    assert_true(ranked[0].median_ns == 300);
    assert_int_equal(ranked[2].staleness, 1);
    assert_true(ranked[2].median_ns == 100);
    assert_int_equal(ranked[3].staleness, 2);
    hone_free(ranked);
}

static void modes_are_not_mixed(void **state)
{
    (void)state;
    hone_evidence items[] = {piece("a@1", 300, 1, 0), piece("b@1", 100, 1, 0), piece("b@1", 500, 1, 0), piece("c@1", 10, 1, 0)};
    items[1].row.mode = "single warm";
    items[3].row.mode = "plan 00ff";
    expect(items, 4, "", "a@1 b@1");
    expect(items, 4, "single warm", "b@1");
    expect(items, 4, "graph cold", "");
    expect(items + 3, 1, "", "c@1");
    expect(items + 1, 1, "", "b@1");
}

static void what_fails_later_is_left_out(void **state)
{
    static const hone_verdict bad[] = {HONE_VERDICT_WRONG, HONE_VERDICT_CRASH, HONE_VERDICT_UNSTABLE, HONE_VERDICT_TIMEOUT};
    static const hone_verdict harmless[] = {HONE_VERDICT_UNSUPPORTED, HONE_VERDICT_WORKSPACE, HONE_VERDICT_COMPILE, HONE_VERDICT_LAUNCH};
    (void)state;
    for (int i = 0; i < 4; i++) {
        hone_evidence items[] = {piece("a@1", 100, 5, 0), piece("b@1", 200, 5, 0), failure("a@1", bad[i], 5, 0), piece("a@1", 90, 4, 0)};
        expect(items, 4, "", "b@1");                     // in the same run
        items[2].start_unix_ms = 6;
        expect(items, 4, "", "b@1");                     // later
        items[2].start_unix_ms = 4;
        expect(items, 3, "", "a@1 b@1");                 // lifted by the later ok
        items[2].start_unix_ms = 6;
        items[2].row.depends = "cublaslt=12.0";
        items[2].level = 1;
        expect(items, 3, "", "a@1 b@1");                 // under another library
        items[2].row.verdict = harmless[i];
        items[2].row.depends = items[0].row.depends;
        expect(items, 3, "", "a@1 b@1");
    }
    // What fails here does not come back as stale evidence.
    hone_evidence items[] = {piece("a@1", 100, 9, 1), piece("b@1", 200, 5, 0), failure("a@1", HONE_VERDICT_WRONG, 5, 0)};
    items[0].row.depends = "cublaslt=12.0";
    expect(items, 3, "", "b@1");
}

static void duplicates_count_once(void **state)
{
    (void)state;
    hone_evidence items[] = {piece("a@1", 100, 1, 0), piece("a@1", 300, 1, 0), piece("a@1", 100, 1, 0)};
    size_t lines;
    items[2].id = items[0].id;
    hone_ranked *ranked = rank(items, 3, "", &lines);
    assert_int_equal(ranked[0].measurements, 2);
    assert_true(ranked[0].median_ns == 200);
    hone_free(ranked);
}

// Adding a slower tactic never changes the choice among the others, unless it is within the tie of the fastest.
static void a_slow_newcomer_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 200; trial++) {
        static const char *const tactics[] = {"a@1", "b@1", "c@1", "d@1", "e@1", "f@1"};
        hone_evidence items[7];
        size_t before, after;
        double best = INFINITY;
        for (uint64_t i = 0; i < 6; i++) {
            items[i] = piece(tactics[i], 1000 + 10 * hone_rng_uniform(5, trial, i), 1, 0);
            items[i].row.workspace_bytes = hone_rng_bits(6, trial, i) % 3;
            best = fmin(best, items[i].row.median_ns);
        }
        items[6] = piece("g@1", best * 1.01, 1, 0);
        items[6].row.workspace_bytes = 0;
        hone_ranked *first = rank(items, 6, "", &before), *second = rank(items, 7, "", &after);
        assert_string_equal(first[0].tactic, second[0].tactic);
        assert_int_equal(after, before + 1);
        assert_true(first[0].median_ns <= best * 1.005);
        hone_free(first);
        hone_free(second);
    }
}

// ---- through the store

static void ask(hone_store *store, const char *device, const char *toolchain, bool stale, bool approximate, const char *expected)
{
    hone_question question = {device, toolchain, GEMM, "", stale, approximate};
    hone_ranked *ranked;
    hone_text text;
    size_t count;
    hone_text_init(&text);
    OK(hone_store_rank(store, &question, &ranked, &count));
    for (size_t i = 0; i < count; i++) hone_text_printf(&text, "%s%s:%d", i ? " " : "", ranked[i].tactic, ranked[i].staleness);
    assert_string_equal(hone_text_get(&text), expected);
    hone_text_clear(&text);
    hone_free(ranked);
}

static void lookup_order(void **state)
{
    char folder[256];
    (void)state;
    assert_non_null(unit_folder(folder));
    hone_store *store = fixture_create(folder, "a.db");
    hone_id run = fixture_put_run(store, 1);
    const struct { const char *device, *tactic; double median_ns; } rows[] = {
        {H200, "cublaslt@1 algo=1", 100}, {H100, "h100@1", 10}, {A100, "a100@1", 1},
        {"cuda sm_90 \"GH200\" sms=78 mem=1MiB", "small@1", 5},
    };
    for (int i = 0; i < 4; i++) {
        hone_measurement row = fixture_row(&run, rows[i].tactic, rows[i].median_ns);
        row.device = rows[i].device;
        OK(hone_store_put_measurement(store, &row, NULL));
    }
    ask(store, H200, TOOLS, false, false, "cublaslt@1 algo=1:0");
    ask(store, H200, "cublaslt=13.2.0", false, false, "");
    ask(store, H200, "cublaslt=13.2.0", true, false, "cublaslt@1 algo=1:1");
    ask(store, H200, "cudnn=10 cublaslt=13.1.0", false, false, "cublaslt@1 algo=1:0");       // it does not rest on cuDNN
    // The likest other model: as many multiprocessors as the H200. Never another architecture.
    ask(store, H200, "cublaslt=13.2.0", true, true, "cublaslt@1 algo=1:1 h100@1:2");
    ask(store, A100, TOOLS, true, true, "a100@1:0");
    ask(store, "cuda sm_80 \"A30\" sms=56", TOOLS, false, true, "a100@1:2");
    ask(store, "cuda sm_90a \"H20\" sms=78", TOOLS, true, true, "");
    ask(store, "hip sm_90 \"H20\" sms=78", TOOLS, true, true, "");
    hone_store_close(store);
}

static void bad_tactics_are_found(void **state)
{
    char folder[256];
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_verdict verdict;
    bool found;
    (void)state;
    assert_non_null(unit_folder(folder));
    hone_store *store = fixture_create(folder, "a.db");
    hone_id first = fixture_put_run(store, 1), second = fixture_put_run(store, 2);
    OK(hone_store_find_bad(store, &question, "a@1", &verdict, &found));
    assert_false(found);
    hone_measurement row = fixture_failure(&first, "a@1", HONE_VERDICT_CRASH);
    OK(hone_store_put_measurement(store, &row, NULL));
    row = fixture_failure(&second, "a@1", HONE_VERDICT_UNSUPPORTED);
    OK(hone_store_put_measurement(store, &row, NULL));
    OK(hone_store_find_bad(store, &question, "a@1", &verdict, &found));
    assert_true(found);
    assert_int_equal(verdict, HONE_VERDICT_CRASH);
    OK(hone_store_find_bad(store, &question, "b@1", &verdict, &found));
    assert_false(found);
    question.toolchain = "cublaslt=14";       // tried again when a version changes
    OK(hone_store_find_bad(store, &question, "a@1", &verdict, &found));
    assert_false(found);
    question.toolchain = TOOLS;
    hone_id third = fixture_put_run(store, 3);
    row = fixture_row(&third, "a@1", 10);
    OK(hone_store_put_measurement(store, &row, NULL));
    OK(hone_store_find_bad(store, &question, "a@1", &verdict, &found));
    assert_false(found);
    hone_store_close(store);
}

static hone_status list_failure(void *user, const char *tactic, hone_verdict verdict, const char *note)
{
    hone_text_printf(user, "%s %s %s\n", tactic, hone_verdict_name(verdict), note);
    return HONE_OK;
}

static void failures_are_listed(void **state)
{
    char folder[256];
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_text text;
    (void)state;
    assert_non_null(unit_folder(folder));
    hone_store *store = fixture_create(folder, "a.db");
    hone_id run = fixture_put_run(store, 1);
    hone_measurement row = fixture_failure(&run, "b@1", HONE_VERDICT_CRASH);
    OK(hone_store_put_measurement(store, &row, NULL));
    row = fixture_failure(&run, "a@1", HONE_VERDICT_COMPILE);
    row.note = "line 3: no";
    OK(hone_store_put_measurement(store, &row, NULL));
    row = fixture_row(&run, "c@1", 3);
    OK(hone_store_put_measurement(store, &row, NULL));
    hone_text_init(&text);
    OK(hone_store_each_failure(store, &question, list_failure, &text));
    assert_string_equal(hone_text_get(&text), "a@1 compile line 3: no\nb@1 crash \n");
    hone_text_clear(&text);
    hone_store_close(store);
}

int test_db_rank(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_of_the_median), cmocka_unit_test(the_interval_covers_the_median), cmocka_unit_test(fastest_first),
        cmocka_unit_test(the_median_of_measurements_decides), cmocka_unit_test(a_tie_goes_to_the_smaller_workspace_then_the_smaller_word),
        cmocka_unit_test(overlapping_intervals_are_said_to_be_tied), cmocka_unit_test(fresh_before_stale_before_approximate),
        cmocka_unit_test(modes_are_not_mixed), cmocka_unit_test(what_fails_later_is_left_out), cmocka_unit_test(duplicates_count_once),
        cmocka_unit_test(a_slow_newcomer_changes_nothing), cmocka_unit_test(lookup_order), cmocka_unit_test(bad_tactics_are_found),
        cmocka_unit_test(failures_are_listed),
    };
    return cmocka_run_group_tests_name("db_rank", tests, NULL, NULL);
}
