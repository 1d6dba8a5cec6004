// SPDX-License-Identifier: Apache-2.0
// Batches: what is sent, what a receiver takes and refuses, who has what.
#include "tests/unit/db_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/zip.h"
#include "db/batch_priv.h"
#include "db/ruling.h"

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    return unit_folder(folder) ? 0 : -1;
}

static hone_key key_of(const char *name)
{
    hone_key key;
    char path[512];
    snprintf(path, sizeof path, "%s/%s.key", folder, name);
    OK(hone_key_open(path, &key));
    return key;
}

static hone_id put_run(hone_store *store, const char *writer, int64_t start_unix_ms)
{
    hone_run run = fixture_run(start_unix_ms);
    hone_id id;
    run.writer = writer;
    OK(hone_store_put_run(store, &run, &id));
    return id;
}

// A run with so many measurements, coverage, a network, an artifact.
static void fill(hone_store *store, const char *writer, int64_t start_unix_ms, int count)
{
    hone_id run = put_run(store, writer, start_unix_ms), network;
    double samples[5] = {1, 2, 3, 4, 5.5};
    OK(hone_store_begin_group(store));
    for (int i = 0; i < count; i++) {
        char tactic[64];
        snprintf(tactic, sizeof tactic, "nvrtc.gemm_tile@3 bm=%d", i);
        hone_measurement row = fixture_row(&run, tactic, 1000 + (double)start_unix_ms + i);
        row.samples_ns = samples;
        row.sample_count = 5;
        row.artifact = i ? "" : "key-1";
        OK(hone_store_put_measurement(store, &row, NULL));
    }
    OK(hone_store_end_group(store));
    hone_coverage coverage = {H200, "cublaslt=13.1.0", GEMM, "nvrtc", 3, "quick", count};
    OK(hone_store_put_coverage(store, &coverage));
    OK(hone_store_put_artifact(store, "key-1", "cubin", "ELF and so on", 13));
    hone_hash_once("network", 7, &network);
    OK(hone_store_put_network(store, &network, "resnet50", (const char *const[]){GEMM}, (const int64_t[]){3}, 1));
}

static hone_batch *sent(hone_store *from, const char *writer, int64_t sequence)
{
    void *blob;
    size_t size;
    hone_batch *batch;
    OK(hone_batch_pack(from, writer, sequence, &blob, &size));
    OK(hone_batch_open(blob, size, &batch));
    hone_free(blob);
    return batch;
}

static hone_batch_fate send(hone_store *from, hone_store *to, const char *writer, int64_t sequence, int64_t *added)
{
    hone_batch *batch = sent(from, writer, sequence);
    hone_batch_fate fate;
    OK(hone_batch_put(to, batch, NULL, &fate, added));
    hone_batch_close(batch);
    return fate;
}

static void expect_same(hone_store *a, hone_store *b)
{
    char *x = fixture_dump(a, 0), *y = fixture_dump(b, 0);
    assert_string_equal(x, y);
    hone_free(x);
    hone_free(y);
}

static void a_key_is_made_once_and_kept_private(void **state)
{
    hone_key first = key_of("once"), second = key_of("once"), other = key_of("other");
    char path[512];
    struct stat facts;
    (void)state;
    assert_string_equal(first.writer, second.writer);
    assert_memory_equal(&first, &second, sizeof first);
    assert_string_not_equal(first.writer, other.writer);
    snprintf(path, sizeof path, "%s/once.key", folder);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(hone_key_open(path, &first), HONE_USAGE);
    snprintf(path, sizeof path, "%s/bad.key", folder);
    OK(hone_file_write(path, "hone-key 1 nothing\n", 19));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(hone_key_open(path, &first), HONE_DAMAGED);
}

static void signatures_of_rfc_8032(void **state)
{
    // RFC 8032, 7.1, TEST 2: the message is one byte, 72.
    static const char seed_hex[] = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    static const char public_hex[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    static const char first_half[] = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da";
    hone_id seed, public_key, half;
    hone_secret secret;
    hone_signature signature;
    char text[HONE_ID_TEXT];
    (void)state;
    assert_true(hone_id_parse(seed_hex, &seed));
    hone_key_from(&seed, &public_key, &secret);
    hone_id_print(&public_key, text);
    assert_string_equal(text, public_hex);
    hone_sign(&secret, "\x72", 1, &signature);
    memcpy(&half, &signature, sizeof half);
    hone_id_print(&half, text);
    assert_string_equal(text, first_half);
    assert_true(hone_sign_check(&public_key, "\x72", 1, &signature));
    assert_false(hone_sign_check(&public_key, "\x73", 1, &signature));
    signature.bytes[40] ^= 1;
    assert_false(hone_sign_check(&public_key, "\x72", 1, &signature));
}

static void all_rows_travel_once(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "from.db"), *to = fixture_create(folder, "to.db");
    int64_t made, added, rows = 0;
    (void)state;
    OK(hone_store_own(to, &key, false));
    fill(from, key.writer, 1, 250);
    OK(hone_batch_make(from, &key, 100, &made));
    assert_int_equal(made, 3);      // a run, 250 measurements, coverage, artifact, network and its problem
    OK(hone_batch_make(from, &key, 100, &made));
    assert_int_equal(made, 0);
    for (int64_t i = 1; i <= 3; i++) {
        assert_int_equal(send(from, to, key.writer, i, &added), HONE_BATCH_ADDED);
        rows += added;
        assert_int_equal(send(from, to, key.writer, i, &added), HONE_BATCH_KNOWN);
        assert_int_equal(added, 0);
    }
    assert_int_equal(rows, 255 + 3);     // the batch rows as well
    expect_same(from, to);
    fill(from, key.writer, 2, 10);       // new measurements of a second run: only those travel
    OK(hone_batch_make(from, &key, 0, &made));
    assert_int_equal(made, 1);
    send(from, to, key.writer, 4, &added);
    assert_int_equal(added, 1 + 10 + 1 + 1);
    expect_same(from, to);
    OK(hone_store_check(to, NULL));
    hone_store_close(from);
    hone_store_close(to);
}

static void measurements_that_come_after_their_run_bring_it_along(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "late.db"), *to = fixture_create(folder, "late_to.db");
    int64_t made, added;
    (void)state;
    OK(hone_store_own(to, &key, false));
    hone_id run = put_run(from, key.writer, 1);
    OK(hone_batch_make(from, &key, 0, &made));
    hone_measurement row = fixture_row(&run, "ref@1", 1000);
    OK(hone_store_put_measurement(from, &row, NULL));
    OK(hone_batch_make(from, &key, 0, &made));
    assert_int_equal(send(from, to, key.writer, 2, &added), HONE_BATCH_ADDED);     // the second first
    assert_int_equal(send(from, to, key.writer, 1, &added), HONE_BATCH_ADDED);
    expect_same(from, to);
    hone_store_close(from);
    hone_store_close(to);
}

static void the_same_batch_has_the_same_text_from_any_file(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "one.db"), *to = fixture_create(folder, "two.db");
    void *a, *b;
    size_t x, y;
    int64_t made, added;
    (void)state;
    fixture_fill(to, 1);
    fill(from, key.writer, 1, 20);
    OK(hone_batch_make(from, &key, 0, &made));
    OK(hone_store_merge(to, from, &added));
    OK(hone_batch_pack(from, key.writer, 1, &a, &x));
    OK(hone_batch_pack(to, key.writer, 1, &b, &y));
    assert_int_equal(x, y);
    assert_memory_equal(a, b, x);
    hone_free(a);
    hone_free(b);
    hone_store_close(from);
    hone_store_close(to);
}

// ---- what is refused

typedef struct wire {
    char *text;
    size_t size;
} wire;

static wire unpack(hone_store *from, const char *writer, int64_t sequence)
{
    void *blob, *plain;
    size_t size, plain_bytes;
    OK(hone_batch_pack(from, writer, sequence, &blob, &size));
    OK(hone_unzip(blob, size, HONE_BATCH_TEXT_MAX, &plain, &plain_bytes));
    hone_free(blob);
    return (wire){plain, plain_bytes};
}

// Makes a blob of changed lines, with a right digest behind them, and expects it to be refused.
static void expect_refused(const char *lines, const char *said)
{
    hone_text text;
    void *blob;
    size_t size;
    hone_batch *batch = NULL;
    const char *end = strstr(lines, "\nend\t");
    hone_text_init(&text);
    hone_text_append(&text, lines, (size_t)(end + 1 - lines));
    hone_id digest;
    char digits[HONE_ID_TEXT];
    hone_hash_once(hone_text_get(&text), text.size, &digest);
    hone_id_print(&digest, digits);
    hone_text_printf(&text, "end\t%s\n", digits);
    OK(hone_zip(hone_text_get(&text), text.size, 3, &blob, &size));
    hone_status status = hone_batch_open(blob, size, &batch);
    if (status != HONE_DAMAGED) fail_msg("status %d instead of a refusal with '%s'", (int)status, said);
    if (!strstr(hone_error_text(), said)) fail_msg("'%s' does not say '%s'", hone_error_text(), said);
    assert_null(batch);
    hone_free(blob);
    hone_text_clear(&text);
}

static char *line_of(const char *text, const char *word)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\n%s\t", word);
    const char *at = strstr(text, pattern);
    assert_non_null(at);
    return strndup(at + 1, strcspn(at + 1, "\n") + 1);
}

// The text with a line taken out, or another put in front of it.
static char *edited(const char *text, const char *without, const char *with)
{
    hone_text made;
    const char *at = strstr(text, without);
    hone_text_init(&made);
    hone_text_append(&made, text, (size_t)(at - text));
    hone_text_printf(&made, "%s", with);
    hone_text_printf(&made, "%s", at + strlen(without));
    return hone_text_take(&made);
}

static void strange_batches_are_refused(void **state)
{
    hone_key key = key_of("a"), other = key_of("b");
    hone_store *from = fixture_create(folder, "wire.db"), *second = fixture_create(folder, "wire_b.db");
    hone_id target = {{9}};
    int64_t made;
    char *text;
    (void)state;
    OK(hone_store_own(from, &key, false));
    OK(hone_store_own(second, &other, false));
    fill(from, key.writer, 1, 3);
    fill(second, other.writer, 1, 3);
    OK(hone_ruling_put(second, &other, HONE_RULING_PROMOTE, &target, "mine", NULL));
    OK(hone_batch_make(from, &key, 0, &made));
    OK(hone_batch_make(second, &other, 0, &made));
    wire own = unpack(from, key.writer, 1), foreign = unpack(second, other.writer, 1);
    const struct { const char *word, *said; } removed[] = {
        {"measurement", "lacks rows"}, {"coverage", "lacks rows"}, {"run", "lacks a run"}, {"batch", "does not say which"},
    };
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        char *line = line_of(own.text, removed[i].word);
        text = edited(own.text, line, "");
        expect_refused(text, removed[i].said);
        hone_free(text);
        free(line);
    }
    const struct { const char *word, *said; } added[] = {
        {"measurement", "did not sign"}, {"run", "by another writer"}, {"ruling", "by another writer"}, {"batch", "by another writer"},
    };
    char *line = line_of(own.text, "coverage");
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        char *extra = line_of(foreign.text, added[i].word), with[16384];
        snprintf(with, sizeof with, "%s%s", line, extra);
        text = edited(own.text, line, with);
        expect_refused(text, added[i].said);
        hone_free(text);
        free(extra);
    }
    text = edited(own.text, line, "problem\tgemm m=1\t1\t1\n");
    expect_refused(text, "nobody asked");
    hone_free(text);
    text = edited(own.text, line, "device\tx\n");
    expect_refused(text, "no table");
    hone_free(text);
    char twice[16384];
    snprintf(twice, sizeof twice, "%s%s", line, line);
    text = edited(own.text, line, twice);
    expect_refused(text, "a row twice");
    hone_free(text);
    free(line);
    hone_free(own.text);
    hone_free(foreign.text);
    hone_store_close(from);
    hone_store_close(second);
}

// What is acknowledged must be what the tables take.
static void a_row_before_its_run_is_refused(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "order.db");
    int64_t made;
    char both[16384];
    (void)state;
    fill(from, key.writer, 1, 3);
    OK(hone_batch_make(from, &key, 0, &made));
    wire own = unpack(from, key.writer, 1);
    char *run = line_of(own.text, "run"), *coverage = line_of(own.text, "coverage"), *without = edited(own.text, run, "");
    snprintf(both, sizeof both, "%s%s", run, coverage);
    char *text = edited(without, coverage, both);
    expect_refused(text, "a row stands before the run that it names");
    hone_free(text);
    hone_free(without);
    hone_free(own.text);
    free(run);
    free(coverage);
    hone_store_close(from);
}

// Another content under an id that is there: a dump, a batch and a file with it are refused, or change nothing.
static void another_content_under_a_known_id_is_refused(void **state)
{
    hone_key key = key_of("a");
    hone_store *honest = fixture_create(folder, "collide.db"), *forged, *to = fixture_create(folder, "collide_to.db");
    char forged_path[512];
    int64_t made, added;
    (void)state;
    fill(honest, key.writer, 1, 2);      // medians 1001 and 1002
    OK(hone_batch_make(honest, &key, 0, &made));
    char *truth = fixture_dump(honest, 0), *lies = edited(truth, "\t1001\t", "\t11\t");
    strcpy(strstr(lies, "\nend\t"), "\nend\t-\n");
    assert_int_equal(hone_store_load(to, lies, strlen(lies), &added), HONE_DAMAGED);
    assert_int_equal(hone_store_load(honest, lies, strlen(lies), &added), HONE_DAMAGED);      // where the row is, too
    hone_free(lies);
    wire own = unpack(honest, key.writer, 1);
    lies = edited(own.text, "\t1001\t", "\t11\t");
    expect_refused(lies, "id");
    hone_free(lies);
    hone_free(own.text);

    // A file that was changed by hand: merged into one that has the row, nothing changes; into one that lacks it, it is refused whole.
    snprintf(forged_path, sizeof forged_path, "%s/collide_forged.db", folder);
    forged = fixture_create(folder, "collide_forged.db");
    OK(hone_store_merge(forged, honest, &added));
    hone_store_close(forged);
    sqlite3 *plain;
    assert_int_equal(sqlite3_open(forged_path, &plain), SQLITE_OK);
    assert_int_equal(sqlite3_exec(plain, "UPDATE measurement SET median_ns = 11 WHERE median_ns = 1001", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(plain), 1);
    sqlite3_close(plain);
    OK(hone_store_open(forged_path, HONE_STORE_READ, &forged));
    OK(hone_store_merge(honest, forged, &added));
    assert_int_equal(added, 0);
    assert_int_equal(hone_store_merge(to, forged, &added), HONE_DAMAGED);
    char *now = fixture_dump(honest, 0), *nothing = fixture_dump(to, 0);
    assert_string_equal(now, truth);
    assert_null(strstr(nothing, "measurement"));
    hone_free(now);
    hone_free(nothing);
    hone_free(truth);
    hone_store_close(forged);
    hone_store_close(honest);
    hone_store_close(to);
}

// Somebody names another's key: the ids are right, the signature is not.
static void a_forged_signer_is_refused(void **state)
{
    hone_key key = key_of("a"), other = key_of("b");
    hone_store *from = fixture_create(folder, "forge.db");
    (void)state;
    hone_id run = put_run(from, key.writer, 1);
    hone_key forged = other;
    memcpy(forged.writer, key.writer, sizeof forged.writer);
    hone_row row = {.values = {[HONE_B_WRITER] = hone_cell_text(forged.writer), [HONE_B_SEQUENCE] = hone_cell_int(1),
                               [HONE_B_IDS] = {.data = &run, .size = sizeof run}}};
    OK(hone_store_begin(from));
    assert_int_equal(hone_signed_put(from, &forged, HONE_FACT_BATCH, &row), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "signature"));
    hone_store_end(from, HONE_USAGE);
    hone_store_close(from);
}

static void a_run_from_the_future_is_refused(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "future.db");
    void *blob;
    size_t size;
    int64_t made;
    hone_batch *batch;
    (void)state;
    fill(from, key.writer, hone_clock_unix_ms() + 48 * 3600 * 1000, 1);
    OK(hone_batch_make(from, &key, 0, &made));
    OK(hone_batch_pack(from, key.writer, 1, &blob, &size));
    assert_int_equal(hone_batch_open(blob, size, &batch), HONE_DAMAGED);
    assert_non_null(strstr(hone_error_text(), "future"));
    hone_free(blob);
    hone_store_close(from);
}

static void every_damaged_byte_is_noticed(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "bytes.db");
    void *blob;
    size_t size;
    int64_t made;
    hone_batch *batch = NULL;
    (void)state;
    fill(from, key.writer, 1, 3);
    OK(hone_batch_make(from, &key, 0, &made));
    OK(hone_batch_pack(from, key.writer, 1, &blob, &size));
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)blob)[i] ^= 0x10;
        hone_status status = hone_batch_open(blob, size, &batch);
        // A changed byte of zstd's header may leave the content as it is; then the batch is the same one.
        if (status == HONE_OK) assert_int_equal(hone_batch_sequence(batch), 1);
        else assert_int_equal(status, HONE_DAMAGED);
        hone_batch_close(batch);
        batch = NULL;
        ((uint8_t *)blob)[i] ^= 0x10;
    }
    for (size_t cut = 0; cut < size; cut += 7) assert_int_equal(hone_batch_open(blob, cut, &batch), HONE_DAMAGED);
    hone_free(blob);
    void *huge = hone_calloc(1, HONE_BATCH_BYTES_MAX + 1);
    assert_int_equal(hone_batch_open(huge, HONE_BATCH_BYTES_MAX + 1, &batch), HONE_DAMAGED);
    hone_free(huge);
    hone_store_close(from);
}

// ---- quarantine

static int64_t measurements_in(hone_store *store)
{
    hone_store_counts counts;
    OK(hone_store_count(store, &counts));
    return counts.measurements;
}

static void strangers_wait_in_quarantine(void **state)
{
    hone_key owner = key_of("owner"), stranger = key_of("stranger");
    hone_store *from = fixture_create(folder, "strange.db"), *to = fixture_create(folder, "guarded.db");
    int64_t made, added;
    hone_trust trust, lower = HONE_TRUST_UNKNOWN;
    (void)state;
    OK(hone_store_own(to, &owner, false));
    fill(from, stranger.writer, 1, 10);
    OK(hone_batch_make(from, &stranger, 5, &made));
    assert_int_equal(send(from, to, stranger.writer, 1, &added), HONE_BATCH_QUARANTINED);
    assert_int_equal(send(from, to, stranger.writer, 1, &added), HONE_BATCH_QUARANTINED);
    assert_int_equal(send(from, to, stranger.writer, 2, &added), HONE_BATCH_QUARANTINED);
    assert_int_equal(measurements_in(to), 0);
    OK(hone_ruling_put(to, &owner, HONE_RULING_ADMIT, &stranger.public_key, "a colleague", NULL));
    OK(hone_trust_of(to, stranger.writer, &trust));
    assert_int_equal(trust, HONE_TRUST_MEASURE);
    assert_int_equal(measurements_in(to), 9);
    hone_batch *batch = sent(from, stranger.writer, 3);
    hone_batch_fate fate;
    OK(hone_batch_put(to, batch, &lower, &fate, NULL));
    assert_int_equal(fate, HONE_BATCH_QUARANTINED);
    OK(hone_batch_put(to, batch, NULL, &fate, NULL));
    assert_int_equal(fate, HONE_BATCH_ADDED);
    hone_batch_close(batch);
    hone_have have = {0}, all = {0};
    OK(hone_have_find(to, false, &have));
    OK(hone_have_find(to, true, &all));
    assert_int_equal(have.count, 1);
    assert_int_equal(all.count, 1);
    assert_int_equal(have.items[0].last, 3);
    hone_have_clear(&have);
    hone_have_clear(&all);
    OK(hone_store_check(to, NULL));
    hone_store_close(from);
    hone_store_close(to);
}

// ---- who has what

static hone_status note_lacking(void *user, const char *writer, int64_t sequence)
{
    hone_text_printf(user, "%.4s:%d ", writer, (int)sequence);
    return HONE_OK;
}

static void who_has_what(void **state)
{
    hone_key key = key_of("a");
    hone_store *from = fixture_create(folder, "have.db"), *to = fixture_create(folder, "have_to.db");
    hone_have theirs = {0}, read = {0};
    hone_text text, lacking, wanted;
    int64_t made, added;
    (void)state;
    hone_text_init(&text);
    hone_text_init(&lacking);
    hone_text_init(&wanted);
    OK(hone_store_own(to, &key, false));
    fill(from, key.writer, 1, 55);
    OK(hone_batch_make(from, &key, 10, &made));
    assert_int_equal(made, 6);
    const int64_t order[] = {1, 2, 5};
    for (int i = 0; i < 3; i++) send(from, to, key.writer, order[i], &added);
    OK(hone_have_find(to, true, &theirs));
    assert_int_equal(theirs.count, 2);
    hone_have_print(&theirs, &text);
    OK(hone_have_parse(hone_text_get(&text), text.size, &read));
    assert_int_equal(read.count, 2);
    for (size_t i = 0; i < 2; i++) assert_memory_equal(&theirs.items[i], &read.items[i], sizeof *read.items);
    OK(hone_batch_each_lacking(from, &read, key.writer, note_lacking, &lacking));
    hone_text_printf(&wanted, "%.4s:3 %.4s:4 %.4s:6 ", key.writer, key.writer, key.writer);
    assert_string_equal(hone_text_get(&lacking), hone_text_get(&wanted));
    assert_int_equal(hone_batch_make(to, &key, 0, &made), HONE_USAGE);       // it has 3 of 5
    read.items[0].digest.bytes[0] ^= 1;
    assert_int_equal(hone_batch_each_lacking(from, &read, NULL, note_lacking, &lacking), HONE_USAGE);
    static const char *const wrong[] = {"x", "x\n", "\n", "0 1 2 3\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(hone_have_parse(wrong[i], strlen(wrong[i]), &read), HONE_DAMAGED);
    assert_int_equal(hone_have_parse(hone_text_get(&text), text.size - 1, &read), HONE_DAMAGED);
    hone_have_clear(&theirs);
    hone_have_clear(&read);
    hone_text_clear(&text);
    hone_text_clear(&lacking);
    hone_text_clear(&wanted);
    hone_store_close(from);
    hone_store_close(to);
}

static void two_machines_with_one_key_are_told(void **state)
{
    hone_key key = key_of("a");
    hone_store *one = fixture_create(folder, "clone1.db"), *two = fixture_create(folder, "clone2.db"), *to = fixture_create(folder, "clone_to.db");
    int64_t made, added;
    hone_batch_fate fate;
    (void)state;
    OK(hone_store_own(to, &key, false));
    fill(one, key.writer, 1, 2);
    fill(two, key.writer, 2, 2);
    OK(hone_batch_make(one, &key, 0, &made));
    OK(hone_batch_make(two, &key, 0, &made));
    send(one, to, key.writer, 1, &added);
    hone_batch *batch = sent(two, key.writer, 1);
    OK(hone_store_begin_group(to));
    assert_int_equal(hone_batch_put(to, batch, NULL, &fate, NULL), HONE_USAGE);
    OK(hone_store_end_group(to));       // the group is not spoilt
    hone_batch_close(batch);
    OK(hone_batch_unmake(two, &key, 1));
    batch = sent(one, key.writer, 1);
    OK(hone_store_own(two, &key, false));
    OK(hone_batch_put(two, batch, NULL, &fate, NULL));
    hone_batch_close(batch);
    OK(hone_batch_make(two, &key, 0, &made));
    assert_int_equal(made, 1);
    assert_int_equal(send(two, to, key.writer, 2, &added), HONE_BATCH_ADDED);
    expect_same(two, to);
    hone_store_close(one);
    hone_store_close(two);
    hone_store_close(to);
}

int test_db_batch(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_once_and_kept_private), cmocka_unit_test(signatures_of_rfc_8032), cmocka_unit_test(all_rows_travel_once),
        cmocka_unit_test(measurements_that_come_after_their_run_bring_it_along), cmocka_unit_test(the_same_batch_has_the_same_text_from_any_file),
        cmocka_unit_test(strange_batches_are_refused), cmocka_unit_test(a_row_before_its_run_is_refused), cmocka_unit_test(another_content_under_a_known_id_is_refused),
        cmocka_unit_test(a_forged_signer_is_refused), cmocka_unit_test(a_run_from_the_future_is_refused),
        cmocka_unit_test(every_damaged_byte_is_noticed), cmocka_unit_test(strangers_wait_in_quarantine), cmocka_unit_test(who_has_what),
        cmocka_unit_test(two_machines_with_one_key_are_told),
    };
    return cmocka_run_group_tests_name("db_batch", tests, set_up, NULL);
}
