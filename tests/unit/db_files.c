// SPDX-License-Identifier: Apache-2.0
// What can lie where a database is expected: journals, versions, strange and damaged files.
#include "tests/unit/db_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "db/ruling.h"
#include "db/store_priv.h"

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    return unit_folder(folder) ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void expect_open(const char *path, hone_store_access access, hone_status wanted, const char *said)
{
    hone_store *store = NULL;
    hone_status status = hone_store_open(path, access, &store);
    if (status != wanted) fail_msg("%s: status %d instead of %d: %s", path, (int)status, (int)wanted, hone_error_text());
    if (said && !strstr(hone_error_text(), said)) fail_msg("'%s' does not say '%s'", hone_error_text(), said);
    hone_store_close(store);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *plain;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &plain), SQLITE_OK);
    if (sqlite3_exec(plain, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", sql, message);
    sqlite3_close(plain);
}

// The table of docs/libraries: which of SQLite's versions have the fix.
static void journal_rule(void **state)
{
    static const struct { int version; bool wal; } cases[] = {
        {3007000, false}, {3040001, false}, {3044005, false}, {3044006, true}, {3044007, true}, {3045000, false}, {3046001, false},
        {3050006, false}, {3050007, true}, {3050999, true}, {3051000, false}, {3051002, false}, {3051003, true}, {3052000, true},
        {3053000, true}, {4000000, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (hone_journal_allows_wal(cases[i].version) != cases[i].wal) fail_msg("SQLite %d", cases[i].version);
}

static void network_file_systems(void **state)
{
    static const struct { int64_t magic; const char *name; bool network; } cases[] = {
        {0xef53, "", false}, {0x01021994, "", false}, {0x9123683e, "", false}, {0x58465342, "", false}, {0x794c7630, "", false},
        {0x6969, "", true}, {0xff534d42, "", true}, {0xfe534d42, "", true}, {0x517b, "", true}, {0x0bd00bd0, "", true},
        {0x65735546, "", false}, {0x65735546, "fuse.sshfs", true}, {0x65735546, "fuse.s3fs", true}, {0x65735546, "fuse.ntfs-3g", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (hone_place_is_network(cases[i].magic, cases[i].name) != cases[i].network) fail_msg("%llx %s", (long long)cases[i].magic, cases[i].name);
}

static void the_journal_in_force(void **state)
{
    (void)state;
    hone_store *store = fixture_create(folder, "j.db");
    const char *wanted = hone_journal_allows_wal(sqlite3_libversion_number()) ? "wal" : "truncate";
    assert_string_equal(hone_store_journal(store), wanted);
    assert_non_null(strstr(hone_store_journal_reason(store), sqlite3_libversion()));
    assert_int_equal(hone_store_schema_version(store), HONE_STORE_SCHEMA);
    hone_store_close(store);
}

// WAL is kept in the file; on a library with the race every way of opening leaves it.
static void a_file_left_in_wal(void **state)
{
    static const hone_store_access ways[] = {HONE_STORE_READ, HONE_STORE_WRITE, HONE_STORE_CREATE};
    (void)state;
    if (hone_journal_allows_wal(sqlite3_libversion_number())) return;
    hone_store *store = fixture_create(folder, "w.db");
    fixture_fill(store, 0);
    char *before = fixture_dump(store, 0);
    hone_store_close(store);
    for (int i = 0; i < 3; i++) {
        run_sql(path_of("w.db"), "PRAGMA journal_mode = WAL");
        OK(hone_store_open(path_of("w.db"), ways[i], &store));
        assert_string_equal(hone_store_journal(store), "truncate");
        char *after = fixture_dump(store, 0);
        assert_string_equal(before, after);
        hone_free(after);
        hone_store_close(store);
    }
    hone_free(before);
}

// Another program that has the file open in WAL: refused, not shared.
static void a_file_in_use_in_wal(void **state)
{
    sqlite3 *other;
    (void)state;
    if (hone_journal_allows_wal(sqlite3_libversion_number())) return;
    hone_store_close(fixture_create(folder, "w.db"));
    assert_int_equal(sqlite3_open(path_of("w.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "PRAGMA journal_mode = WAL; BEGIN; SELECT * FROM run", NULL, NULL, NULL), SQLITE_OK);
    hone_store_wait_ns = 50000000;
    expect_open(path_of("w.db"), HONE_STORE_READ, HONE_AGAIN, "WAL");
    expect_open(path_of("w.db"), HONE_STORE_WRITE, HONE_AGAIN, "WAL");
    hone_store_wait_ns = 30000000000;
    sqlite3_close(other);
    expect_open(path_of("w.db"), HONE_STORE_WRITE, HONE_OK, NULL);
}

static void a_locked_file_says_try_again(void **state)
{
    sqlite3 *other;
    hone_run run = fixture_run(1);
    (void)state;
    hone_store *store = fixture_create(folder, "l.db");
    assert_int_equal(sqlite3_open(path_of("l.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    hone_store_wait_ns = 50000000;
    assert_int_equal(hone_store_put_run(store, &run, NULL), HONE_AGAIN);
    assert_int_equal(hone_status_exit_code(HONE_AGAIN), 75);
    hone_store_wait_ns = 30000000000;
    sqlite3_close(other);
    OK(hone_store_put_run(store, &run, NULL));
    hone_store_close(store);
}

static void a_full_disk_says_try_again(void **state)
{
    (void)state;
    hone_store *store = fixture_create(folder, "f.db");
    hone_id run = fixture_put_run(store, 1);
    hone_measurement row = fixture_row(&run, "ref@1", 5);
    hone_status status = HONE_OK;
    int64_t pages = 0;
    OK(hone_store_pragma(store, "PRAGMA page_count", &pages));
    OK(hone_store_pragma(store, "PRAGMA max_page_count = 1", &pages));      // as large as it is: SQLite's own way to be full
    for (int i = 0; i < 2000 && status == HONE_OK; i++) {
        row.median_ns = 10 + i;
        status = hone_store_put_measurement(store, &row, NULL);
    }
    assert_int_equal(status, HONE_AGAIN);
    OK(hone_store_check(store, NULL));
    OK(hone_store_pragma(store, "PRAGMA max_page_count = 100000", &pages));
    OK(hone_store_put_measurement(store, &row, NULL));
    hone_store_close(store);
}

// ---- versions

static void make_old(const char *path)
{
    sqlite3 *plain;
    char sql[128];
    assert_int_equal(sqlite3_open(path, &plain), SQLITE_OK);
    assert_int_equal(sqlite3_exec(plain, hone_schema_migrations[0], NULL, NULL, NULL), SQLITE_OK);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = 1", HONE_STORE_APPLICATION);
    assert_int_equal(sqlite3_exec(plain, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(plain);
}

static int64_t version_of(const char *path)
{
    sqlite3 *plain;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(path, &plain, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(plain, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(plain);
    return version;
}

static void an_older_schema_is_read_as_it_is_and_migrated_for_writing(void **state)
{
    (void)state;
    const char *path = path_of("old.db");
    hone_store *store;
    make_old(path);
    OK(hone_store_open(path, HONE_STORE_READ, &store));
    assert_int_equal(hone_store_schema_version(store), 1);
    OK(hone_store_check(store, NULL));
    hone_store_close(store);
    assert_int_equal(version_of(path), 1);
    OK(hone_store_open(path, HONE_STORE_WRITE, &store));
    assert_int_equal(hone_store_schema_version(store), HONE_STORE_SCHEMA);
    fixture_fill(store, 0);
    OK(hone_store_check(store, NULL));
    hone_store_close(store);
    assert_int_equal(version_of(path), HONE_STORE_SCHEMA);
    run_sql(path, "SELECT * FROM best_tactic; SELECT * FROM measurement_flat; SELECT * FROM run_summary");
}

static void a_migration_that_fails_leaves_the_old_version(void **state)
{
    (void)state;
    const char *path = path_of("old.db");
    make_old(path);
    run_sql(path, "CREATE VIEW run_summary AS SELECT 1");        // the last step of the migration cannot be made
    expect_open(path, HONE_STORE_WRITE, HONE_DAMAGED, "run_summary");
    assert_int_equal(version_of(path), 1);
    run_sql(path, "DROP VIEW run_summary");
    expect_open(path, HONE_STORE_WRITE, HONE_OK, NULL);
    assert_int_equal(version_of(path), HONE_STORE_SCHEMA);
}

static void a_killed_migration_leaves_the_old_version(void **state)
{
    (void)state;
    const char *path = path_of("old.db");
    make_old(path);
    for (int attempt = 0; attempt < 20; attempt++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            hone_store *store;
            hone_store_open(path, HONE_STORE_WRITE, &store);
            _exit(0);
        }
        usleep(hone_rng_bits(1, 2, (uint64_t)attempt) % 2500);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        expect_open(path, HONE_STORE_READ, HONE_OK, NULL);
        int64_t version = version_of(path);
        assert_true(version == 1 || version == HONE_STORE_SCHEMA);
        if (version == 1) continue;
        unlink(path);
        make_old(path);
    }
    expect_open(path, HONE_STORE_WRITE, HONE_OK, NULL);
}

static void a_newer_schema(void **state)
{
    (void)state;
    const char *path = path_of("new.db");
    hone_store *store = fixture_create(folder, "new.db"), *target = fixture_create(folder, "target.db");
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_ranked *ranked;
    size_t count;
    int64_t added;
    fixture_fill(store, 0);
    hone_store_close(store);
    run_sql(path, "ALTER TABLE measurement ADD COLUMN colour TEXT; CREATE TABLE more(x TEXT) STRICT; PRAGMA user_version = 5");
    expect_open(path, HONE_STORE_WRITE, HONE_DAMAGED, "version 5");
    expect_open(path, HONE_STORE_CREATE, HONE_DAMAGED, "version 4");
    OK(hone_store_open(path, HONE_STORE_READ, &store));
    assert_int_equal(hone_store_schema_version(store), HONE_STORE_SCHEMA + 1);
    OK(hone_store_rank(store, &question, &ranked, &count));
    assert_true(count > 0);
    hone_free(ranked);
    assert_int_equal(hone_store_merge(target, store, &added), HONE_DAMAGED);     // it would lose the colour
    hone_store_close(store);
    hone_store_close(target);
    run_sql(path, "UPDATE schema_info SET value = 5");
    expect_open(path, HONE_STORE_READ, HONE_DAMAGED, "newer hone");
    assert_int_equal(hone_status_exit_code(HONE_DAMAGED), 7);
}

// ---- strange files

static void strange_files(void **state)
{
    static const hone_store_access ways[] = {HONE_STORE_READ, HONE_STORE_WRITE, HONE_STORE_CREATE};
    (void)state;
    OK(hone_file_write(path_of("text"), "What is this?\n", 14));
    OK(hone_file_write(path_of("magic"), "SQLite format 3", 16));
    OK(hone_file_write(path_of("zeros"), (char[4096]){0}, 4096));
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    run_sql(path_of("other"), "CREATE TABLE t(x)");
    run_sql(path_of("trigger"), "PRAGMA user_version = 1; PRAGMA application_id = 1752133221; CREATE TABLE run(x);"
            "CREATE TRIGGER bad AFTER INSERT ON run BEGIN SELECT 1; END");
    run_sql(path_of("hollow"), "PRAGMA user_version = 2; PRAGMA application_id = 1752133221");
    hone_store_close(fixture_create(folder, "endless"));       // a view that never ends in a table's place
    run_sql(path_of("endless"), "DROP TABLE tactic; CREATE VIEW tactic AS WITH RECURSIVE r(number) AS"
            " (SELECT 1 UNION ALL SELECT number + 1 FROM r) SELECT number, 'x' AS spelling FROM r");
    hone_store_close(fixture_create(folder, "more"));          // what a user adds is let be
    run_sql(path_of("more"), "CREATE VIEW mine AS SELECT 1; CREATE INDEX mine_too ON measurement(verdict)");
    for (int i = 0; i < 3; i++) {
        expect_open(path_of("text"), ways[i], HONE_DAMAGED, "neither a hone database nor a dump");
        expect_open(path_of("magic"), ways[i], HONE_DAMAGED, NULL);
        expect_open(path_of("zeros"), ways[i], HONE_DAMAGED, NULL);
        expect_open(folder, ways[i], HONE_DAMAGED, "is a folder");
        expect_open(path_of("fifo"), ways[i], HONE_DAMAGED, "no regular file");
        expect_open("/dev/null", ways[i], HONE_DAMAGED, "no regular file");
        expect_open(path_of("other"), ways[i], HONE_DAMAGED, "another program");
        expect_open(path_of("trigger"), ways[i], HONE_DAMAGED, "triggers");
        expect_open(path_of("hollow"), ways[i], HONE_DAMAGED, NULL);
        expect_open(path_of("endless"), ways[i], HONE_DAMAGED, "does not have the table tactic as hone makes it");
        expect_open(path_of("more"), ways[i], HONE_OK, NULL);
    }
    expect_open(path_of("missing"), HONE_STORE_READ, HONE_USAGE, "there is no database");
    expect_open(path_of("missing"), HONE_STORE_WRITE, HONE_USAGE, "there is no database");
    expect_open(path_of("no/folder"), HONE_STORE_CREATE, HONE_IO, "folder");
    OK(hone_file_write(path_of("empty"), "", 0));
    expect_open(path_of("empty"), HONE_STORE_READ, HONE_DAMAGED, "is empty");
    expect_open(path_of("empty"), HONE_STORE_WRITE, HONE_DAMAGED, "is empty");
    expect_open(path_of("empty"), HONE_STORE_CREATE, HONE_OK, NULL);        // a process killed while it made the file leaves this
    expect_open(path_of("empty"), HONE_STORE_READ, HONE_OK, NULL);
}

// A file of an older version, with everything in it, as a program of that version left it.
static void make_before(const char *path, const char *content, int version)
{
    hone_text sql;
    hone_text_init(&sql);
    unlink(path);
    for (int i = 0; i < version; i++) hone_text_printf(&sql, "%s", hone_schema_migrations[i]);
    hone_text_printf(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; ATTACH '%s' AS now;", HONE_STORE_APPLICATION, version,
                     content);
    static const struct { int since; const char *name; } tables[] = {
        {1, "device"}, {1, "toolchain"}, {1, "toolchain_library"}, {1, "problem"}, {1, "tactic"}, {1, "run"}, {1, "run_private"}, {1, "measurement"}, {1, "sample"},
        {1, "coverage"}, {1, "network"}, {1, "network_problem"}, {1, "plan"}, {1, "plan_step"}, {1, "calibration"}, {1, "artifact"}, {1, "batch"}, {1, "ruling"},
        {3, "owner"}, {3, "quarantine"}, {3, "standing"}, {3, "hidden"},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i].since <= version) hone_text_printf(&sql, "INSERT INTO main.%s SELECT * FROM now.%s;", tables[i].name, tables[i].name);
    run_sql(path, hone_text_get(&sql));
    hone_text_clear(&sql);
}

static int statements_left;

static int die_at_a_statement(unsigned event, void *user, void *statement, void *text)
{
    (void)event, (void)user, (void)statement, (void)text;
    if (!statements_left--) kill(getpid(), SIGKILL);
    return 0;
}

static int watch_statements(sqlite3 *handle, char **message, const void *api)
{
    (void)message, (void)api;
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT, die_at_a_statement, NULL);
}

// Killed before each statement that opening runs, one after the other, the file is of the old version or the new one, and whole.
static void kill_migrations(const char *path, const char *content, const char *truth, int from)
{
    hone_store *store;
    int killed = 0, old = 0;
    char *dump;
    for (int at = 0;; at += 1000 / unit_share(1000)) {
        int how;
        make_before(path, content, from);
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            statements_left = at;
            sqlite3_auto_extension((void (*)(void))(uintptr_t)watch_statements);
            hone_store *opened;
            _exit(hone_store_open(path, HONE_STORE_WRITE, &opened) != HONE_OK);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        if (WIFEXITED(how)) {
            assert_int_equal(WEXITSTATUS(how), 0);
            break;
        }
        killed++;
        OK(hone_store_open(path, HONE_STORE_READ, &store));
        int64_t version = version_of(path);
        assert_true(version == from || version == HONE_STORE_SCHEMA);
        old += version == from;
        dump = fixture_dump(store, 0);
        assert_string_equal(dump, truth);
        hone_free(dump);
        OK(hone_store_check(store, NULL));
        hone_store_close(store);
    }
    assert_true(killed > unit_share(20) && old > unit_share(15));
    assert_int_equal(version_of(path), HONE_STORE_SCHEMA);
    OK(hone_store_open(path, HONE_STORE_READ, &store));
    dump = fixture_dump(store, 0);
    assert_string_equal(dump, truth);
    hone_free(dump);
    hone_store_close(store);
}

static void a_migration_killed_at_any_statement_is_whole(void **state)
{
    (void)state;
    hone_store *store = fixture_create(folder, "content.db");
    char *content = hone_strdup(path_of("content.db")), *path = hone_strdup(path_of("before.db"));
    hone_key key;
    hone_id other;
    fixture_fill(store, 0);
    OK(hone_key_open(path_of("migrated.key"), &key));
    hone_hash_once("other", 5, &other);
    OK(hone_store_own(store, &key, false));
    OK(hone_ruling_put(store, &key, HONE_RULING_ADMIT, &other, "", NULL));
    char *truth = fixture_dump(store, 0);
    assert_non_null(strstr(truth, "\nruling\t"));
    hone_store_close(store);
    for (int from = 1; from < HONE_STORE_SCHEMA; from++) kill_migrations(path, content, truth, from);
    hone_free(truth);
    hone_free(content);
    hone_free(path);
}

static void a_path_has_no_meaning_of_its_own(void **state)
{
    static const char *const names[] = {"a b?mode=memory#x%41.db", ":memory:", "file:x.db", "\xc3\xa4.db"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        hone_store_close(fixture_create(folder, names[i]));
        assert_true(hone_path_exists(path_of(names[i])));
        expect_open(path_of(names[i]), HONE_STORE_READ, HONE_OK, NULL);
    }
}

static void a_read_only_file_is_read(void **state)
{
    (void)state;
    hone_store *store = fixture_create(folder, "r.db");
    fixture_fill(store, 0);
    hone_store_close(store);
    assert_int_equal(chmod(path_of("r.db"), 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    expect_open(path_of("r.db"), HONE_STORE_READ, HONE_OK, NULL);
    assert_int_equal(chmod(folder, 0755), 0);
}

// ---- damage

// All that a reader may ask, as one text; "damaged" for what the store refuses to say.
static char *ask_all(hone_store *store)
{
    static const char *const problems[] = {GEMM, CONV};
    hone_text text;
    hone_text_init(&text);
    for (int i = 0; i < 2; i++) {
        hone_question question = {H200, TOOLS, problems[i], "", true, true};
        hone_ranked *ranked = NULL;
        size_t count = 0;
        hone_status status = hone_store_rank(store, &question, &ranked, &count);
        for (size_t k = 0; k < count; k++) hone_text_printf(&text, "%s %.17g %.17g\n", ranked[k].tactic, ranked[k].median_ns, ranked[k].low_ns);
        hone_free(ranked);
        if (status != HONE_OK) goto damaged;
    }
    hone_coverage coverage = {H200, "cublaslt=13.1.0", GEMM, "cublaslt", 1, "quick", 12};
    char spelling[512];
    bool covered;
    void *data;
    size_t size;
    if (hone_store_find_coverage(store, &coverage, &covered) != HONE_OK) goto damaged;
    if (hone_store_find_artifact(store, "key-1", &data, &size) != HONE_OK) goto damaged;
    hone_text_printf(&text, "%d %.*s\n", covered, (int)size, data ? (char *)data : "");
    hone_free(data);
    if (hone_store_find_device(store, "h200", spelling, sizeof spelling) != HONE_OK) goto damaged;
    hone_text_printf(&text, "%s\n", spelling);
    if (hone_store_find_toolchain(store, H200, spelling, sizeof spelling) != HONE_OK) goto damaged;
    hone_text_printf(&text, "%s\n", spelling);
    return hone_text_take(&text);
damaged:
    hone_text_clear(&text);
    return hone_strdup("damaged");
}

typedef struct damage_count {
    int refused, seen, harmless, found_by_check;
} damage_count;

// What was asked before the file was looked through counts only when that found nothing.
static void try_unchecked(const char *path, const char *truth)
{
    hone_layers layers = {.paths = {path}, .count = 1, .unchecked = true};
    hone_store *store;
    hone_status status = hone_store_open_layers(&layers, HONE_STORE_READ, &store), looked;
    if (status != HONE_OK) {
        assert_int_equal(status, HONE_DAMAGED);
        return;
    }
    char *answer = ask_all(store);
    looked = hone_store_look_through(store);
    if (looked != HONE_OK) assert_int_equal(looked, HONE_DAMAGED);
    else if (strcmp(answer, "damaged")) assert_string_equal(answer, truth);
    hone_free(answer);
    hone_store_close(store);
}

static void try_damaged(const char *path, const char *truth, damage_count *counts)
{
    hone_store *store;
    try_unchecked(path, truth);
    hone_status status = hone_store_open(path, HONE_STORE_READ, &store);
    if (status != HONE_OK) {
        if (status != HONE_DAMAGED) fail_msg("status %d: %s", (int)status, hone_error_text());
        counts->refused++;
        return;
    }
    char *answer = ask_all(store);
    if (!strcmp(answer, "damaged")) counts->seen++;
    else {
        assert_string_equal(answer, truth);
        counts->harmless++;
        counts->found_by_check += hone_store_check(store, NULL) != HONE_OK;
    }
    hone_free(answer);
    hone_store_close(store);
}

static char *make_damage_template(size_t *size, char **truth)
{
    char *data;
    hone_store *store = fixture_create(folder, "d.db");
    fixture_fill(store, 0);
    *truth = ask_all(store);
    assert_string_not_equal(*truth, "damaged");
    hone_store_close(store);
    OK(hone_file_read(path_of("d.db"), 1 << 24, &data, size));
    return data;
}

static void write_plain(const char *path, const char *data, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, data, size), size);
    close(file);
}

static void truncated_files(void **state)
{
    (void)state;
    damage_count counts = {0};
    size_t size;
    char *truth, *data = make_damage_template(&size, &truth), *path = hone_strdup(path_of("t.db"));
    for (size_t cut = 512; cut < size; cut += 512) {
        write_plain(path, data, cut);
        try_damaged(path, truth, &counts);
    }
    assert_in_range(counts.harmless, 0, 7);      // within the last page, whose table is empty
    hone_free(data);
    hone_free(truth);
    hone_free(path);
}

static void flipped_bits(void **state)
{
    (void)state;
    damage_count counts = {0};
    size_t size;
    int flips = unit_share(2000);
    char *truth, *data = make_damage_template(&size, &truth), *path = hone_strdup(path_of("b.db"));
    write_plain(path, data, size);
    int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    for (uint64_t i = 0; i < (uint64_t)flips; i++) {
        size_t at = hone_rng_bits(21, 0, i) % size;
        if (i % 2) {        // most of a small file is empty pages: half the flips go where content is
            while (!data[at]) at = (at + 1) % size;
        }
        char flipped = data[at] ^ (char)(1 << hone_rng_bits(21, 1, i) % 8);
        assert_int_equal(pwrite(file, &flipped, 1, (off_t)at), 1);
        try_damaged(path, truth, &counts);
        assert_int_equal(pwrite(file, &data[at], 1, (off_t)at), 1);
    }
    close(file);
    if (getenv("HONE_TEST_VERBOSE"))
        print_message("refused %d, seen %d, harmless %d (%d found by check)\n", counts.refused, counts.seen, counts.harmless, counts.found_by_check);
    assert_true(counts.refused + counts.seen > flips / 4);
    hone_free(data);
    hone_free(truth);
    hone_free(path);
}

static void swapped_pages(void **state)
{
    (void)state;
    damage_count counts = {0};
    size_t size;
    char page[4096];
    char *truth, *data = make_damage_template(&size, &truth), *path = hone_strdup(path_of("s.db"));
    for (uint64_t i = 0; i < 100; i++) {
        size_t pages = size / 4096, a = hone_rng_bits(22, 0, i) % pages, b = hone_rng_bits(22, 1, i) % pages;
        for (int turn = 0; turn < 2; turn++) {
            memcpy(page, data + a * 4096, 4096);
            memmove(data + a * 4096, data + b * 4096, 4096);
            memcpy(data + b * 4096, page, 4096);
            if (turn) continue;
            write_plain(path, data, size);
            try_damaged(path, truth, &counts);
        }
    }
    hone_free(data);
    hone_free(truth);
    hone_free(path);
}

// What SQL from outside changed is found by the ids.
static void check_finds_what_was_changed(void **state)
{
    static const struct { const char *sql, *said; } changes[] = {
        {"UPDATE measurement SET median_ns = median_ns / 2 WHERE number = 1", "does not have the content of its id"},
        {"UPDATE tactic SET spelling = 'ref@2' WHERE spelling = 'ref@1'", "does not have the content of its id"},
        {"UPDATE tactic SET version = 9 WHERE spelling = 'ref@1'", "columns of a tactic"},
        {"UPDATE device SET multiprocessors = 1", "columns of a device"},
        {"DELETE FROM sample WHERE measurement = 1", "none stored"},
        {"DELETE FROM tactic WHERE spelling = 'ref@1'", "names a row of tactic"},
        {"UPDATE artifact SET kind = 'ptx'", "does not have the content of its id"},
        {"UPDATE artifact SET data = x'00'", "damaged"},
        {"UPDATE run SET seed = seed + 1", "does not have the content of its id"},
        {"UPDATE measurement SET sample_count = 8 WHERE sample_count = 9", "impossible samples"},
        {"UPDATE measurement SET verdict = 'fine' WHERE number = 1", "does not have the content of its id"},
        {"UPDATE network_problem SET times = 7", "does not have the content of its id"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char name[32];
        hone_text report;
        snprintf(name, sizeof name, "c%d.db", (int)i);
        hone_store *store = fixture_create(folder, name);
        fixture_fill(store, 0);
        hone_store_close(store);
        run_sql(path_of(name), changes[i].sql);
        OK(hone_store_open(path_of(name), HONE_STORE_READ, &store));
        hone_text_init(&report);
        assert_int_equal(hone_store_check(store, &report), HONE_DAMAGED);
        if (!strstr(hone_text_get(&report), changes[i].said)) fail_msg("%s: %s", changes[i].sql, hone_text_get(&report));
        hone_text_clear(&report);
        hone_store_close(store);
    }
}

static void a_changed_time_is_not_believed(void **state)
{
    (void)state;
    hone_question question = {H200, TOOLS, GEMM, "", false, false};
    hone_ranked *ranked;
    size_t count;
    hone_store *store = fixture_create(folder, "x.db");
    fixture_fill(store, 0);
    run_sql(path_of("x.db"), "UPDATE measurement SET median_ns = 1 WHERE verdict = 'ok'");
    assert_int_equal(hone_store_rank(store, &question, &ranked, &count), HONE_DAMAGED);
    assert_null(ranked);
    hone_store_close(store);
}

int test_db_files(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(journal_rule, set_up), cmocka_unit_test_setup(network_file_systems, set_up),
        cmocka_unit_test_setup(the_journal_in_force, set_up), cmocka_unit_test_setup(a_file_left_in_wal, set_up),
        cmocka_unit_test_setup(a_file_in_use_in_wal, set_up), cmocka_unit_test_setup(a_locked_file_says_try_again, set_up),
        cmocka_unit_test_setup(a_full_disk_says_try_again, set_up),
        cmocka_unit_test_setup(an_older_schema_is_read_as_it_is_and_migrated_for_writing, set_up),
        cmocka_unit_test_setup(a_migration_that_fails_leaves_the_old_version, set_up),
        cmocka_unit_test_setup(a_killed_migration_leaves_the_old_version, set_up), cmocka_unit_test_setup(a_newer_schema, set_up),
        cmocka_unit_test_setup(a_migration_killed_at_any_statement_is_whole, set_up),
        cmocka_unit_test_setup(strange_files, set_up), cmocka_unit_test_setup(a_path_has_no_meaning_of_its_own, set_up),
        cmocka_unit_test_setup(a_read_only_file_is_read, set_up), cmocka_unit_test_setup(truncated_files, set_up),
        cmocka_unit_test_setup(flipped_bits, set_up), cmocka_unit_test_setup(swapped_pages, set_up),
        cmocka_unit_test_setup(check_finds_what_was_changed, set_up), cmocka_unit_test_setup(a_changed_time_is_not_believed, set_up),
    };
    return cmocka_run_group_tests_name("db_files", tests, NULL, NULL);
}
