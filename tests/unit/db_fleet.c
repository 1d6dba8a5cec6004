// SPDX-License-Identifier: Apache-2.0
// Many machines, one memory: merging in any order, choosing over several writers, and what poisoned evidence can do.
#include "tests/unit/db_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "db/batch_priv.h"
#include "db/ruling.h"
#include "tests/unit/merge_orders.h"

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    return unit_folder(folder) ? 0 : -1;
}

static hone_key key_of(int number)
{
    hone_id seed = {{(uint8_t)number, 77}};
    hone_key key;
    hone_key_from(&seed, &key.public_key, &key.secret);
    hone_id_print(&key.public_key, key.writer);
    return key;
}

static hone_store *in_memory(void)
{
    hone_store *store;
    OK(hone_store_open_memory("in memory", &store));
    OK(hone_schema_open(store));
    return store;
}

static hone_id run_of(hone_store *store, const char *writer, int64_t start_unix_ms)
{
    hone_run run = fixture_run(start_unix_ms);
    hone_id id;
    run.writer = writer;
    OK(hone_store_put_run(store, &run, &id));
    return id;
}

static void put(hone_store *store, const hone_id *run, const char *problem, const char *tactic, double median_ns, hone_verdict verdict)
{
    hone_measurement row = verdict == HONE_VERDICT_OK ? fixture_row(run, tactic, median_ns) : fixture_failure(run, tactic, verdict);
    row.problem = problem;
    OK(hone_store_put_measurement(store, &row, NULL));
}

// ---- merging

enum { DATABASES = 20, ORDERS = 200, ROWS = 200, PROBLEMS = 5, WRITERS = 4 };

static const char *name_of(const char *word, uint32_t number)
{
    static char names[8][64];
    static int turn;
    char *name = names[turn++ % 8];
    snprintf(name, sizeof names[0], "%s%u", word, number);
    return name;
}

// A row of the fleet, the same whichever database gets it.
static void put_random(hone_store *store, uint64_t row)
{
    uint32_t bits = hone_rng_bits(5, 1, row);
    uint32_t writer = bits % WRITERS;
    hone_key key = key_of((int)writer);
    hone_id run = run_of(store, writer ? key.writer : "local", 1000 + bits / 7 % 5);
    const char *problem = name_of("gemm m=", bits / 64 % PROBLEMS), *tactic = name_of("cublaslt@1 algo=", bits / 512 % 12);
    hone_verdict verdict = bits / 8192 % 8 ? HONE_VERDICT_OK : (hone_verdict)(1 + bits / 65536 % (HONE_VERDICT_COUNT - 1));
    put(store, &run, problem, tactic, 2000 + bits / 4096 % 900, verdict);
    hone_coverage coverage = {H200, "cublaslt=13.1.0", problem, "cublaslt", 1, bits & 1 ? "quick" : "full", bits % 9};
    OK(hone_store_put_coverage(store, &coverage));
    OK(hone_store_put_problem(store, problem, bits % 1000, 5));
}

// What a build would choose for every problem.
static char *plan_of(hone_store *store)
{
    hone_text text;
    hone_id snapshot;
    char digits[HONE_ID_TEXT];
    hone_text_init(&text);
    OK(hone_store_snapshot(store, &snapshot));
    hone_id_print(&snapshot, digits);
    hone_text_printf(&text, "%s\n", digits);
    for (uint32_t i = 0; i < PROBLEMS; i++) {
        hone_question question = {H200, TOOLS, name_of("gemm m=", i), "", false, false};
        hone_ranked *ranked;
        size_t count;
        OK(hone_store_rank(store, &question, &ranked, &count));
        for (size_t k = 0; k < count; k++) {
            hone_id_print(&ranked[k].evidence, digits);
            hone_text_printf(&text, "%s %.17g %.17g %d %s\n", ranked[k].tactic, ranked[k].median_ns, ranked[k].low_ns, ranked[k].tied, digits);
        }
        hone_free(ranked);
    }
    return hone_text_take(&text);
}

// Layers are read as their union: whatever lies where, and in whatever order, the choice is that of the merged database.
static void layered_in_any_order_it_is_one_memory(void **state)
{
    enum { LAYERS = 3 };
    static const int orders[][LAYERS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    hone_store *all = in_memory();
    (void)state;
    for (uint64_t row = 0; row < ROWS; row++) put_random(all, row);
    char *wanted = plan_of(all);
    for (size_t order = 0; order < sizeof orders / sizeof *orders; order++) {
        hone_store *layers[LAYERS];
        for (int i = 0; i < LAYERS; i++) layers[i] = in_memory();
        for (uint64_t row = 0; row < ROWS; row++)
            for (uint64_t copy = 0; copy < 1 + row % 2; copy++) put_random(layers[hone_rng_bits(8, copy, row) % LAYERS], row);
        hone_store *top = layers[orders[order][0]];
        for (int i = 1; i < LAYERS; i++) hone_store_layer(top, layers[orders[order][i]]);
        char *plan = plan_of(top);
        assert_string_equal(plan, wanted);
        hone_free(plan);
        hone_store_close(top);
    }
    hone_free(wanted);
    hone_store_close(all);
}

static void merged_in_any_order_it_is_one_memory(void **state)
{
    hone_store *parts[DATABASES];
    char *wanted_dump = NULL, *wanted_plan = NULL;
    (void)state;
    for (int i = 0; i < DATABASES; i++) parts[i] = in_memory();
    for (uint64_t row = 0; row < ROWS; row++)
        for (uint64_t copy = 0; copy < 1 + row % 3; copy++) put_random(parts[hone_rng_bits(5, 2 + copy, row) % DATABASES], row);
    for (int order = 0; order < unit_share(ORDERS); order++) {
        hone_store *all = merge_in_order(parts, DATABASES, (uint64_t)order);
        char *dump = fixture_dump(all, 0), *plan = plan_of(all);
        if (wanted_dump) {
            assert_string_equal(dump, wanted_dump);
            assert_string_equal(plan, wanted_plan);
            hone_free(dump);
            hone_free(plan);
        } else {
            wanted_dump = dump;
            wanted_plan = plan;
        }
        hone_store_close(all);
    }
    assert_non_null(strstr(wanted_plan, "cublaslt@1"));
    hone_free(wanted_dump);
    hone_free(wanted_plan);
    for (int i = 0; i < DATABASES; i++) hone_store_close(parts[i]);
}

// ---- choosing over several writers

static void expect_order(hone_store *store, const char *problem, const char *wanted)
{
    hone_question question = {H200, TOOLS, problem, "", false, false};
    hone_ranked *ranked;
    hone_text text;
    size_t count;
    hone_text_init(&text);
    OK(hone_store_rank(store, &question, &ranked, &count));
    for (size_t i = 0; i < count; i++) hone_text_printf(&text, "%s%s", i ? " " : "", ranked[i].tactic);
    assert_string_equal(hone_text_get(&text), wanted);
    hone_text_clear(&text);
    hone_free(ranked);
}

static void a_chip_s_offset_is_removed(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    hone_key a = key_of(1), b = key_of(2);
    hone_id first = run_of(store, a.writer, 1), second = run_of(store, b.writer, 2);
    // b's chip is 8% quicker. Its y looks better than a's x, and is 3% worse where both are compared.
    const char *const shared[] = {"p@1", "q@1", "r@1", "s@1"};
    for (int i = 0; i < 4; i++) {
        put(store, &first, GEMM, shared[i], 20000 + 1000 * i, HONE_VERDICT_OK);
        put(store, &second, GEMM, shared[i], (20000 + 1000 * i) * 0.92, HONE_VERDICT_OK);
    }
    put(store, &first, GEMM, "x@1", 18500, HONE_VERDICT_OK);
    put(store, &second, GEMM, "y@1", 18500 * 1.03 * 0.92, HONE_VERDICT_OK);
    expect_order(store, GEMM, "x@1 y@1 p@1 q@1 r@1 s@1");
    hone_store_close(store);
}

static void one_writer_is_taken_at_its_word(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    hone_key a = key_of(1);
    hone_id first = run_of(store, a.writer, 1), second = run_of(store, a.writer, 2);
    put(store, &first, GEMM, "x@1", 20000, HONE_VERDICT_OK);
    put(store, &second, GEMM, "y@1", 10000, HONE_VERDICT_OK);
    expect_order(store, GEMM, "y@1 x@1");
    put(store, &second, GEMM, "z@1", 600, HONE_VERDICT_OK);         // no kernel is so short: another must say so too
    expect_order(store, GEMM, "y@1 x@1");
    hone_key b = key_of(2);
    hone_id third = run_of(store, b.writer, 3);
    put(store, &third, GEMM, "z@1", 610, HONE_VERDICT_OK);
    expect_order(store, GEMM, "z@1 y@1 x@1");
    hone_store_close(store);
}

static void what_is_too_good_waits_for_a_second_or_a_ruling(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    hone_key owner = key_of(9), a = key_of(1), b = key_of(2);
    hone_id first = run_of(store, a.writer, 1), second = run_of(store, b.writer, 2), id, suspect;
    OK(hone_store_own(store, &owner, false));
    put(store, &first, GEMM, "x@1", 20000, HONE_VERDICT_OK);
    put(store, &second, GEMM, "y@1", 18000, HONE_VERDICT_OK);       // 11% better: believed
    hone_measurement row = fixture_row(&second, "z@1", 10000);
    OK(hone_store_put_measurement(store, &row, &suspect));
    expect_order(store, GEMM, "y@1 x@1");
    OK(hone_ruling_put(store, &owner, HONE_RULING_PROMOTE, &suspect, "measured again", NULL));
    expect_order(store, GEMM, "z@1 y@1 x@1");
    OK(hone_ruling_put(store, &owner, HONE_RULING_QUARANTINE, &suspect, "was a mistake", &id));
    expect_order(store, GEMM, "y@1 x@1");
    put(store, &first, GEMM, "z@1", 10500, HONE_VERDICT_OK);        // the row that was ruled out does not confirm
    expect_order(store, GEMM, "y@1 x@1");
    put(store, &second, GEMM, "z@1", 10100, HONE_VERDICT_OK);
    expect_order(store, GEMM, "z@1 y@1 x@1");
    hone_store_close(store);
}

static void no_time_beats_the_roofline(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    hone_key a = key_of(1);
    hone_id run = run_of(store, a.writer, 1);
    // 132 SMs at 1980 MHz do at most 8192 operations a clock each: 2.14e15 a second, so 1e11 take 46.7 us.
    OK(hone_store_put_problem(store, GEMM, 100000000000, 1));
    put(store, &run, GEMM, "x@1", 46000, HONE_VERDICT_OK);
    put(store, &run, GEMM, "y@1", 47500, HONE_VERDICT_OK);
    expect_order(store, GEMM, "y@1");
    hone_id own = run_of(store, "local", 2);         // what was put here by hand is not doubted
    put(store, &own, GEMM, "z@1", 46000, HONE_VERDICT_OK);
    expect_order(store, GEMM, "z@1 y@1");
    hone_store_close(store);
}

static void one_writer_has_one_voice(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    for (int w = 1; w <= 3; w++) {
        hone_key key = key_of(w);
        for (int i = 0; i < (w == 3 ? 30 : 1); i++) {           // the third says 30 times that x is slow
            hone_id run = run_of(store, key.writer, w * 100 + i);
            put(store, &run, GEMM, "x@1", w == 3 ? 40000 : 20000 + w, HONE_VERDICT_OK);
            put(store, &run, GEMM, "y@1", 22000 + w, HONE_VERDICT_OK);
        }
    }
    expect_order(store, GEMM, "x@1 y@1");
    hone_store_close(store);
}

static bool is_bad(hone_store *store, const char *tactic)
{
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_verdict verdict;
    bool found;
    OK(hone_store_find_bad(store, &question, tactic, &verdict, &found));
    return found;
}

// A machine that merged a crash does not launch what crashed, under the versions it crashed with.
static void the_ledger_of_bad_tactics_travels(void **state)
{
    (void)state;
    hone_store *one = in_memory(), *two = in_memory();
    hone_key a = key_of(1);
    int64_t made, added;
    static const hone_verdict kinds[] = {HONE_VERDICT_CRASH, HONE_VERDICT_TIMEOUT, HONE_VERDICT_WRONG, HONE_VERDICT_UNSTABLE};
    hone_id run = run_of(one, a.writer, 1);
    for (uint32_t i = 0; i < 4; i++) put(one, &run, GEMM, name_of("bad@", i), 0, kinds[i]);
    put(one, &run, GEMM, "good@1", 20000, HONE_VERDICT_OK);
    OK(hone_store_own(two, &a, false));
    OK(hone_batch_make(one, &a, 0, &made));
    void *blob;
    size_t size;
    hone_batch *batch;
    OK(hone_batch_pack(one, a.writer, 1, &blob, &size));
    OK(hone_batch_open(blob, size, &batch));
    OK(hone_batch_put(two, batch, NULL, NULL, &added));
    for (uint32_t i = 0; i < 4; i++) assert_true(is_bad(two, name_of("bad@", i)));
    assert_false(is_bad(two, "good@1"));
    hone_question newer = {H200, "cuda=13.0 driver=580.159 cublaslt=13.2.0", GEMM, "", false, false};
    hone_verdict verdict;
    bool found;
    OK(hone_store_find_bad(two, &newer, "bad@0", &verdict, &found));
    assert_false(found);
    hone_batch_close(batch);
    hone_free(blob);
    hone_store_close(one);
    hone_store_close(two);
}

static void one_stranger_s_crash_does_not_outvote_two_who_saw_it_work(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    for (int w = 1; w <= 3; w++) {
        hone_key key = key_of(w);
        hone_id run = run_of(store, key.writer, w);
        put(store, &run, GEMM, "x@1", 20000, w == 3 ? HONE_VERDICT_CRASH : HONE_VERDICT_OK);
        put(store, &run, GEMM, "y@1", 22000, HONE_VERDICT_OK);
        if (w == 1) expect_order(store, GEMM, "x@1 y@1");
    }
    expect_order(store, GEMM, "x@1 y@1");
    assert_false(is_bad(store, "x@1"));
    hone_id own = run_of(store, "local", 9);                    // seen here, it stands
    put(store, &own, GEMM, "x@1", 0, HONE_VERDICT_CRASH);
    expect_order(store, GEMM, "y@1");
    assert_true(is_bad(store, "x@1"));
    hone_store_close(store);
}

static void what_the_owner_saw_work_takes_two_to_refute(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    hone_key owner = key_of(9), a = key_of(1), b = key_of(2);
    OK(hone_store_own(store, &owner, false));
    hone_id own = run_of(store, owner.writer, 1), first = run_of(store, a.writer, 2), second = run_of(store, b.writer, 3);
    put(store, &own, GEMM, "x@1", 20000, HONE_VERDICT_OK);
    put(store, &own, GEMM, "y@1", 22000, HONE_VERDICT_OK);
    put(store, &first, GEMM, "x@1", 0, HONE_VERDICT_WRONG);
    expect_order(store, GEMM, "x@1 y@1");
    assert_false(is_bad(store, "x@1"));
    put(store, &second, GEMM, "x@1", 0, HONE_VERDICT_CRASH);
    expect_order(store, GEMM, "y@1");
    assert_true(is_bad(store, "x@1"));
    hone_store_close(store);
}

// ---- rulings

static void a_suspended_writer_leaves_selection_not_history(void **state)
{
    (void)state;
    hone_store *store = in_memory();
    hone_key owner = key_of(9), a = key_of(1), b = key_of(2), helper = key_of(3);
    hone_id first = run_of(store, a.writer, 1), second = run_of(store, b.writer, 2), before, after;
    OK(hone_store_own(store, &owner, false));
    put(store, &first, GEMM, "x@1", 20000, HONE_VERDICT_OK);
    put(store, &second, GEMM, "y@1", 19000, HONE_VERDICT_OK);
    OK(hone_store_snapshot(store, &before));
    expect_order(store, GEMM, "y@1 x@1");
    assert_int_equal(hone_ruling_put(store, &helper, HONE_RULING_SUSPEND, &b.public_key, "", NULL), HONE_USAGE);
    OK(hone_ruling_put(store, &owner, HONE_RULING_EMPOWER, &helper.public_key, "", NULL));
    OK(hone_ruling_put(store, &helper, HONE_RULING_SUSPEND, &b.public_key, "spot checks failed", NULL));
    expect_order(store, GEMM, "x@1");
    OK(hone_store_snapshot(store, &after));
    assert_false(hone_id_equal(&before, &after));
    hone_store_counts counts;
    OK(hone_store_count(store, &counts));
    assert_int_equal(counts.measurements, 2);
    OK(hone_ruling_put(store, &owner, HONE_RULING_ADMIT, &b.public_key, "it was the cable", NULL));
    expect_order(store, GEMM, "y@1 x@1");
    assert_int_equal(hone_ruling_put(store, &a, HONE_RULING_WITHDRAW, &second, "", NULL), HONE_USAGE);     // not its own
    OK(hone_ruling_put(store, &b, HONE_RULING_WITHDRAW, &second, "the fan was off", NULL));
    expect_order(store, GEMM, "x@1");
    OK(hone_ruling_put(store, &owner, HONE_RULING_SUSPEND, &helper.public_key, "gone", NULL));
    assert_int_equal(hone_ruling_put(store, &helper, HONE_RULING_PROMOTE, &second, "", NULL), HONE_USAGE);
    OK(hone_store_check(store, NULL));
    hone_store_close(store);
}

static void rulings_merge_like_evidence(void **state)
{
    (void)state;
    hone_store *one = in_memory(), *two = in_memory();
    hone_key owner = key_of(9), a = key_of(1);
    int64_t added;
    OK(hone_store_own(one, &owner, false));
    OK(hone_store_own(two, &owner, false));
    hone_id run = run_of(two, a.writer, 1);
    put(two, &run, GEMM, "x@1", 20000, HONE_VERDICT_OK);
    OK(hone_ruling_put(one, &owner, HONE_RULING_SUSPEND, &a.public_key, "", NULL));
    OK(hone_store_merge(one, two, &added));
    OK(hone_store_merge(two, one, &added));
    expect_order(one, GEMM, "");
    expect_order(two, GEMM, "");
    hone_store *third = in_memory();                             // another owner: that ruling is not in force there
    OK(hone_store_merge(third, one, &added));
    expect_order(third, GEMM, "x@1");
    hone_store_close(one);
    hone_store_close(two);
    hone_store_close(third);
}

// An upper layer's ruling holds for the rows below it.
static void rulings_reach_the_layers_below(void **state)
{
    (void)state;
    hone_store *own = in_memory(), *team = in_memory();
    hone_key owner = key_of(9), a = key_of(1);
    hone_id run = run_of(team, a.writer, 1);
    put(team, &run, GEMM, "x@1", 20000, HONE_VERDICT_OK);
    OK(hone_store_own(own, &owner, false));
    OK(hone_ruling_put(own, &owner, HONE_RULING_QUARANTINE, &run, "", NULL));
    hone_store_layer(own, team);
    expect_order(own, GEMM, "");
    OK(hone_ruling_put(own, &owner, HONE_RULING_PROMOTE, &run, "", NULL));
    expect_order(own, GEMM, "x@1");
    OK(hone_ruling_put(own, &owner, HONE_RULING_SUSPEND, &a.public_key, "", NULL));
    expect_order(own, GEMM, "x@1");                              // the run itself was promoted
    hone_store_close(own);
}

// ---- poison

enum { P_PROBLEMS = 60, P_TACTICS = 12, P_WRITERS = 4 };

static double truth(int problem, int tactic)
{
    return 8000 + 40000 * hone_rng_uniform(11, 1, (uint64_t)problem) + 20000 * hone_rng_uniform(11, 2, (uint64_t)(problem * P_TACTICS + tactic));
}

// Wrong times, too fast and too slow, by little and by much; impossible ones; failures of the best.
static void put_poison(hone_store *store, const hone_id *run, const char *problem, int p, int t, double seen)
{
    static const double factors[] = {0.5, 0.02, 0.88, 0.9, 3, 1.3, 0.001};
    uint32_t kind = hone_rng_bits(11, 5, (uint64_t)(p * P_TACTICS + t)) % 9;
    if (kind >= 7) put(store, run, problem, name_of("t@1 n=", (uint32_t)t), 0, kind == 7 ? HONE_VERDICT_CRASH : HONE_VERDICT_WRONG);
    else put(store, run, problem, name_of("t@1 n=", (uint32_t)t), seen * factors[kind], HONE_VERDICT_OK);
}

// Four signers have measured everything, or each `share` of it; a tenth of all rows, all of them by the fourth, is poisoned.
static hone_store *make_fleet(bool poisoned, double share, int *rows, int *bad)
{
    hone_store *fleet = in_memory();
    hone_key owner = key_of(99);
    OK(hone_store_own(fleet, &owner, false));
    *rows = *bad = 0;
    for (int w = 0; w < P_WRITERS; w++) {
        hone_store *own = in_memory();
        hone_key key = key_of(10 + w);
        int64_t made, added;
        hone_id run = run_of(own, key.writer, w + 1);
        double chip = 1 + 0.03 * (w - 1.5);
        for (int p = 0; p < P_PROBLEMS; p++)
            for (int t = 0; t < P_TACTICS; t++) {
                uint64_t cell = (uint64_t)((w * P_PROBLEMS + p) * P_TACTICS + t);
                if (hone_rng_uniform(11, 6, cell) >= share) continue;
                ++*rows;
                double seen = truth(p, t) * chip * (1 + 0.003 * hone_rng_normal(11, 3, cell));
                bool wrong = poisoned && w == P_WRITERS - 1 && hone_rng_uniform(11, 4, cell) < 0.1 * P_WRITERS;
                *bad += wrong;
                if (wrong) put_poison(own, &run, name_of("gemm m=", (uint32_t)p), p, t, seen);
                else put(own, &run, name_of("gemm m=", (uint32_t)p), name_of("t@1 n=", (uint32_t)t), seen, HONE_VERDICT_OK);
            }
        OK(hone_ruling_put(fleet, &owner, HONE_RULING_ADMIT, &key.public_key, "", NULL));
        OK(hone_batch_make(own, &key, 500, &made));
        for (int64_t i = 1; i <= made; i++) {
            void *blob;
            size_t size;
            hone_batch *batch;
            OK(hone_batch_pack(own, key.writer, i, &blob, &size));
            OK(hone_batch_open(blob, size, &batch));
            OK(hone_batch_put(fleet, batch, NULL, NULL, &added));
            OK(hone_batch_put(fleet, batch, NULL, NULL, &added));       // replayed
            assert_int_equal(added, 0);
            hone_batch_close(batch);
            hone_free(blob);
        }
        hone_store_close(own);
    }
    return fleet;
}

static double engine_ns(hone_store *store)
{
    double sum = 0;
    for (int p = 0; p < P_PROBLEMS; p++) {
        hone_question question = {H200, TOOLS, name_of("gemm m=", (uint32_t)p), "", false, false};
        hone_ranked *ranked;
        size_t count;
        int tactic = -1;
        OK(hone_store_rank(store, &question, &ranked, &count));
        assert_true(count > 0);
        assert_int_equal(sscanf(ranked[0].tactic, "t@1 n=%d", &tactic), 1);
        sum += truth(p, tactic);
        hone_free(ranked);
    }
    return sum;
}

static void a_tenth_of_poison_costs_little(void **state)
{
    static const double shares[] = {1, 0.75};
    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        int rows, bad;
        hone_store *clean = make_fleet(false, shares[i], &rows, &bad), *poisoned = make_fleet(true, shares[i], &rows, &bad);
        double before = engine_ns(clean), after = engine_ns(poisoned);
        print_message("%d of %d rows poisoned: the engine takes %.3f us instead of %.3f (%+.2f%%)\n", bad, rows, after / 1e3, before / 1e3,
                      100 * (after / before - 1));
        assert_in_range(bad, rows * 8 / 100, rows * 12 / 100);
        assert_true(after <= before * 1.02);
        hone_store_close(clean);
        hone_store_close(poisoned);
    }
}

// A stranger's junk, however much, changes neither the plan nor the snapshot; and the quarantine has an end.
static void a_stranger_s_junk_changes_nothing(void **state)
{
    (void)state;
    hone_store *fleet = in_memory(), *junk = in_memory();
    hone_key owner = key_of(99), stranger = key_of(66);
    int64_t made, added;
    hone_batch_fate fate;
    OK(hone_store_own(fleet, &owner, false));
    hone_id run = run_of(fleet, owner.writer, 1), bad = run_of(junk, stranger.writer, 2);
    put(fleet, &run, "gemm m=0", "x@1", 20000, HONE_VERDICT_OK);
    for (uint32_t i = 0; i < 2000; i++) put(junk, &bad, "gemm m=0", name_of("x@", i + 1), 1000 + i, HONE_VERDICT_OK);
    char *before = plan_of(fleet);
    OK(hone_batch_make(junk, &stranger, 200, &made));
    for (int64_t i = 1; i <= made; i++) {
        void *blob;
        size_t size;
        hone_batch *batch;
        OK(hone_batch_pack(junk, stranger.writer, i, &blob, &size));
        OK(hone_batch_open(blob, size, &batch));
        OK(hone_batch_put(fleet, batch, NULL, &fate, &added));
        assert_int_equal(fate, HONE_BATCH_QUARANTINED);
        hone_batch_close(batch);
        hone_free(blob);
    }
    char *after = plan_of(fleet);
    assert_string_equal(before, after);
    hone_free(before);
    hone_free(after);
    hone_store_close(fleet);
    hone_store_close(junk);
}

int test_db_fleet(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_in_any_order_it_is_one_memory), cmocka_unit_test(layered_in_any_order_it_is_one_memory),
        cmocka_unit_test(a_chip_s_offset_is_removed),
        cmocka_unit_test(one_writer_is_taken_at_its_word), cmocka_unit_test(what_is_too_good_waits_for_a_second_or_a_ruling),
        cmocka_unit_test(no_time_beats_the_roofline), cmocka_unit_test(one_writer_has_one_voice),
        cmocka_unit_test(the_ledger_of_bad_tactics_travels), cmocka_unit_test(one_stranger_s_crash_does_not_outvote_two_who_saw_it_work),
        cmocka_unit_test(what_the_owner_saw_work_takes_two_to_refute),
        cmocka_unit_test(a_suspended_writer_leaves_selection_not_history), cmocka_unit_test(rulings_merge_like_evidence),
        cmocka_unit_test(rulings_reach_the_layers_below), cmocka_unit_test(a_tenth_of_poison_costs_little),
        cmocka_unit_test(a_stranger_s_junk_changes_nothing),
    };
    return cmocka_run_group_tests_name("db_fleet", tests, set_up, NULL);
}
