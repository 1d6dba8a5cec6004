// SPDX-License-Identifier: Apache-2.0
// A hub's inbox: what was acknowledged is in the database for whoever opens it, once, wherever the hub ended.
#include "tests/unit/db_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock.h"
#include "db/inbox_priv.h"
#include "db/ruling.h"

enum { BATCHES = 6, ROWS = 20 };

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    return unit_folder(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[300];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static hone_key key_of(int number)
{
    hone_id seed = {{(uint8_t)number, 78}};
    hone_key key;
    hone_key_from(&seed, &key.public_key, &key.secret);
    hone_id_print(&key.public_key, key.writer);
    return key;
}

// A hub's database and inbox, and batches of a writer that it trusts.
typedef struct hub {
    const char *db;
    hone_key owner, writer;
    hone_store *store;
    hone_inbox *inbox;
    hone_batch *batches[BATCHES];
} hub;

static hone_batch *batch_of(const char *from, const hone_key *key, int64_t sequence, int seed)
{
    hone_store *store = fixture_create(folder, from);
    hone_run run = fixture_run(seed);
    hone_batch *batch;
    hone_id id;
    void *blob;
    size_t size;
    int64_t made;
    run.writer = key->writer;
    OK(hone_store_put_run(store, &run, &id));
    for (int k = 0; k < ROWS; k++) {
        char tactic[64];
        snprintf(tactic, sizeof tactic, "nvrtc.gemm_tile@3 bm=%d", k);
        hone_measurement row = fixture_row(&id, tactic, 1000 + seed * ROWS + k);
        row.samples_ns = &row.median_ns;
        row.sample_count = 1;
        OK(hone_store_put_measurement(store, &row, NULL));
    }
    OK(hone_batch_make(store, key, 0, &made));
    OK(hone_batch_pack(store, key->writer, sequence, &blob, &size));
    OK(hone_batch_open(blob, size, &batch));
    hone_free(blob);
    hone_store_close(store);
    return batch;
}

static hub start_hub(const char *name)
{
    hub made = {.owner = key_of(1), .writer = key_of(2)};
    char from[64];
    snprintf(from, sizeof from, "from-%s", name);
    made.store = fixture_create(folder, name);
    made.db = hone_store_path(made.store);
    OK(hone_store_own(made.store, &made.owner, false));
    OK(hone_ruling_put(made.store, &made.owner, HONE_RULING_ADMIT, &made.writer.public_key, "", NULL));
    for (int k = 0; k < BATCHES; k++) made.batches[k] = batch_of(from, &made.writer, k + 1, k);
    OK(hone_inbox_open(made.db, &made.inbox));
    return made;
}

static void append(const hub *to, int from, int count)
{
    OK(hone_inbox_append(to->inbox, (const hone_batch *const *)to->batches + from, (size_t)count));
}

// As SIGKILL leaves it: what is open is closed, and nothing else.
static void kill_hub(hub *killed)
{
    hone_inbox_close(killed->inbox);
    hone_store_close(killed->store);
    killed->inbox = NULL;
    killed->store = NULL;
}

static void free_hub(hub *of)
{
    for (int k = 0; k < BATCHES; k++) hone_batch_close(of->batches[k]);
    kill_hub(of);
}

static int64_t rows_seen(const char *db, hone_store_access access)
{
    hone_store *store;
    hone_store_counts counts;
    OK(hone_store_open(db, access, &store));
    OK(hone_store_count(store, &counts));
    OK(hone_store_check(store, NULL));
    hone_store_close(store);
    return counts.measurements;
}

static bool is_there(const char *db, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s-inbox%s", db, name);
    return hone_path_exists(path);
}

static void the_next_to_open_finds_what_a_killed_hub_acknowledged(void **state)
{
    (void)state;
    static const hone_store_access accesses[] = {HONE_STORE_READ, HONE_STORE_WRITE, HONE_STORE_CREATE};
    for (int k = 0; k < 3; k++) {
        char name[32], db[512];
        snprintf(name, sizeof name, "killed%d.db", k);
        snprintf(db, sizeof db, "%s", path_of(name));
        hub of = start_hub(name);
        append(&of, 0, 2);
        append(&of, 2, 1);
        kill_hub(&of);
        assert_true(is_there(db, "/1"));
        assert_int_equal(rows_seen(db, accesses[k]), 3 * ROWS);
        assert_false(is_there(db, ""));
        assert_int_equal(rows_seen(db, HONE_STORE_READ), 3 * ROWS);
        free_hub(&of);
    }
}

static void a_hub_folds_and_leaves_nothing(void **state)
{
    (void)state;
    hub of = start_hub("fold.db");
    int64_t added;
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(added, 0);
    append(&of, 0, BATCHES);
    assert_true(hone_inbox_bytes(of.inbox) > 0);
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(added, BATCHES * (ROWS + 2));      // each has a run, and is a row
    assert_int_equal(hone_inbox_bytes(of.inbox), 0);
    append(&of, 2, 1);                                  // again is once
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(added, 0);
    assert_false(is_there(of.db, "/1"));
    assert_false(is_there(of.db, "/2"));
    assert_true(is_there(of.db, ""));
    hone_inbox_close(of.inbox);
    of.inbox = NULL;
    assert_false(is_there(of.db, ""));
    assert_int_equal(rows_seen(of.db, HONE_STORE_READ), BATCHES * ROWS);
    free_hub(&of);
}

// Killed between the commit and the removal of the segment: it is folded again.
static void folded_twice_is_once(void **state)
{
    (void)state;
    hub of = start_hub("twice.db");
    char command[1100], *before, db[512];
    int64_t added;
    snprintf(db, sizeof db, "%s", of.db);
    append(&of, 0, 3);
    snprintf(command, sizeof command, "cp '%s-inbox/1' '%s-kept'", db, db);
    assert_int_equal(system(command), 0);
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    before = fixture_dump(of.store, 0);
    snprintf(command, sizeof command, "mv '%s-kept' '%s-inbox/1'", db, db);
    assert_int_equal(system(command), 0);
    kill_hub(&of);
    assert_int_equal(rows_seen(db, HONE_STORE_WRITE), 3 * ROWS);
    assert_false(is_there(db, ""));
    OK(hone_store_open(db, HONE_STORE_READ, &of.store));
    char *after = fixture_dump(of.store, 0);
    assert_string_equal(before, after);
    hone_free(before);
    hone_free(after);
    free_hub(&of);
}

static void others_see_what_a_living_hub_has_not_folded(void **state)
{
    (void)state;
    hub of = start_hub("alive.db");
    hone_inbox *second = NULL;
    int64_t added;
    append(&of, 0, 2);
    assert_int_equal(rows_seen(of.db, HONE_STORE_READ), 2 * ROWS);
    assert_true(is_there(of.db, "/1"));                 // it is the hub's
    append(&of, 2, 1);
    assert_int_equal(rows_seen(of.db, HONE_STORE_WRITE), 3 * ROWS);
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(added, 0);
    assert_int_equal(hone_inbox_open(of.db, &second), HONE_AGAIN);
    assert_non_null(strstr(hone_error_text(), "another hub serves"));
    assert_null(second);
    free_hub(&of);
}

// What is acknowledged was trusted, and its number free: what is said later hides it, and does not lose it.
static void what_is_said_later_of_its_writer_comes_later(void **state)
{
    (void)state;
    hub of = start_hub("later.db");
    hone_batch_fate fate;
    int64_t added;
    hone_batch *other = batch_of("other.db", &of.writer, 1, 77);
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_ranked *ranked;
    size_t count;
    append(&of, 0, 1);
    OK(hone_batch_put(of.store, other, NULL, &fate, &added));       // by another way, under the same number
    OK(hone_ruling_put(of.store, &of.owner, HONE_RULING_SUSPEND, &of.writer.public_key, "", NULL));
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(added, ROWS + 2);
    assert_int_equal(rows_seen(of.db, HONE_STORE_READ), 2 * ROWS);
    OK(hone_store_rank(of.store, &question, &ranked, &count));
    assert_int_equal(count, 0);
    OK(hone_store_pragma(of.store, "SELECT count(*) FROM best_tactic", &added));
    assert_int_equal(added, 0);
    hone_free(ranked);
    hone_batch_close(other);
    free_hub(&of);
}

static off_t size_of(const char *path)
{
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    return facts.st_size;
}

// An append that a power failure broke off was not acknowledged. Whatever of it is there, the appends before are whole.
static void a_torn_end_is_no_fault(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        char name[32], db[512], segment[600];
        snprintf(name, sizeof name, "torn%d.db", k);
        snprintf(db, sizeof db, "%s", path_of(name));
        snprintf(segment, sizeof segment, "%s-inbox/1", db);
        hub of = start_hub(name);
        append(&of, 0, 2);
        off_t whole = size_of(segment);
        append(&of, 2, 2);
        off_t all = size_of(segment);
        kill_hub(&of);
        assert_int_equal(truncate(segment, whole + (all - whole) * k / 8), 0);
        if (k % 2) assert_int_equal(truncate(segment, all), 0);     // blocks that were never written
        assert_int_equal(rows_seen(db, HONE_STORE_READ), 2 * ROWS);
        assert_false(is_there(db, ""));
        free_hub(&of);
    }
}

static void spoil(const char *segment, off_t at)
{
    FILE *file = fopen(segment, "r+b");
    assert_non_null(file);
    assert_int_equal(fseeko(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseeko(file, at, SEEK_SET), 0);
    fputc(byte ^ 0x10, file);
    assert_int_equal(fclose(file), 0);
}

static void a_damaged_inbox_is_told_and_the_rest_of_it_kept(void **state)
{
    (void)state;
    static const off_t places[] = {0, 9, 20, 60, 300};      // in the head's word, size and digest; in a batch's head; in a blob
    for (int k = 0; k < 5; k++) {
        char name[32], db[512], segment[600];
        hone_store *store = NULL;
        snprintf(name, sizeof name, "damaged%d.db", k);
        snprintf(db, sizeof db, "%s", path_of(name));
        snprintf(segment, sizeof segment, "%s-inbox/1", db);
        hub of = start_hub(name);
        append(&of, 0, 1);
        off_t second = size_of(segment);
        append(&of, 1, 1);
        append(&of, 2, 1);
        kill_hub(&of);
        spoil(segment, second + places[k]);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(hone_store_open(db, again ? HONE_STORE_READ : HONE_STORE_WRITE, &store), HONE_DAMAGED);
            assert_non_null(strstr(hone_error_text(), segment));
            assert_non_null(strstr(hone_error_text(), "push again"));
        }
        assert_int_equal(unlink(segment), 0);
        assert_int_equal(rows_seen(db, HONE_STORE_READ), 2 * ROWS);
        free_hub(&of);
    }
}

// What lies beside a database that came from elsewhere may have been made to harm.
static void a_hostile_inbox_puts_nothing(void **state)
{
    (void)state;
    hub of = start_hub("hostile.db");
    char db[512], segment[600], *heads;
    hone_store *store = NULL;
    snprintf(db, sizeof db, "%s", of.db);
    snprintf(segment, sizeof segment, "%s-inbox/1", db);
    append(&of, 0, 1);
    kill_hub(&of);
    assert_int_equal(truncate(segment, 0), 0);
    const size_t size = 1 << 20;
    heads = hone_calloc(1, size);
    for (size_t at = 0; at + 16 <= size; at += 16) {
        uint64_t most = size - at - 48 < size ? size - at - 48 : 0;
        memcpy(heads + at, "hone-in1", 8);
        memcpy(heads + at + 8, &most, 8);
    }
    OK(hone_file_write(segment, heads, size));
    assert_int_equal(hone_store_open(db, HONE_STORE_READ, &store), HONE_DAMAGED);
    const struct { char magic[8]; uint64_t size; hone_id digest; uint64_t blob; hone_id id; char text[8]; } long_blob = {"hone-in1", 48, {{0}}, 1000, {{1}}, "x"};
    memcpy(heads, &long_blob, sizeof long_blob);
    hone_id digest;
    hone_hash_once(heads + 48, 48, &digest);
    memcpy(heads + 16, &digest, sizeof digest);
    OK(hone_file_write(segment, heads, sizeof long_blob));
    assert_int_equal(hone_store_open(db, HONE_STORE_READ, &store), HONE_DAMAGED);
    assert_non_null(strstr(hone_error_text(), "longer than its group"));
    hone_free(heads);
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(rows_seen(db, HONE_STORE_READ), 0);
    free_hub(&of);
}

static void an_inbox_without_its_database_is_not_lost(void **state)
{
    (void)state;
    hub of = start_hub("gone.db");
    char db[512];
    hone_store *store = NULL;
    snprintf(db, sizeof db, "%s", of.db);
    append(&of, 0, 1);
    kill_hub(&of);
    assert_int_equal(rename(db, path_of("elsewhere.db")), 0);
    assert_int_equal(hone_store_open(db, HONE_STORE_CREATE, &store), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "put back"));
    assert_int_equal(rename(path_of("elsewhere.db"), db), 0);
    assert_int_equal(rows_seen(db, HONE_STORE_READ), ROWS);
    free_hub(&of);
}

// Where nothing can be appended, what was appended before is folded, and later segments take what comes when there is room again.
static void a_failed_append_spoils_nothing(void **state)
{
    (void)state;
    hub of = start_hub("full.db");
    int64_t added;
    append(&of, 0, 1);
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(mkdir(path_of("full.db-inbox/2"), 0777), 0);       // in the place of the next segment
    assert_int_equal(hone_inbox_append(of.inbox, (const hone_batch *const *)of.batches + 1, 1), HONE_IO);
    assert_int_equal(rmdir(path_of("full.db-inbox/2")), 0);
    append(&of, 1, 2);
    OK(hone_inbox_fold(of.inbox, of.store, &added));
    assert_int_equal(added, 2 * (ROWS + 2));
    assert_int_equal(hone_inbox_bytes(of.inbox), 0);
    free_hub(&of);
}

int test_db_inbox(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_to_open_finds_what_a_killed_hub_acknowledged), cmocka_unit_test(a_hub_folds_and_leaves_nothing),
        cmocka_unit_test(folded_twice_is_once), cmocka_unit_test(others_see_what_a_living_hub_has_not_folded),
        cmocka_unit_test(what_is_said_later_of_its_writer_comes_later), cmocka_unit_test(a_torn_end_is_no_fault),
        cmocka_unit_test(a_damaged_inbox_is_told_and_the_rest_of_it_kept), cmocka_unit_test(a_hostile_inbox_puts_nothing),
        cmocka_unit_test(an_inbox_without_its_database_is_not_lost), cmocka_unit_test(a_failed_append_spoils_nothing),
    };
    return cmocka_run_group_tests_name("db_inbox", tests, set_up, tear_down);
}
