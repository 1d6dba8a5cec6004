// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_priv.h"
#include "base/text.h"
#include "tests/unit/unit.h"

static char root[256];

static const char *at(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static int enter(void **state)
{
    (void)state;
    return unit_folder(root) ? 0 : -1;
}

static int leave(void **state)
{
    char command[300];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static hone_status collect(void *user, const char *name)
{
    hone_text_printf(user, "%s ", name);
    return strcmp(name, "stop") ? HONE_OK : HONE_DECLINED;
}

static void check_folder(const char *wanted)
{
    hone_text names;
    hone_text_init(&names);
    assert_int_equal(hone_folder_each(root, collect, &names), HONE_OK);
    assert_string_equal(hone_text_get(&names), wanted);
    hone_text_clear(&names);
}

static void writes_and_reads(void **state)
{
    char *data;
    size_t size;
    hone_map map;
    (void)state;
    assert_int_equal(hone_file_write(at("a"), "12345", 5), HONE_OK);
    assert_int_equal(hone_file_write(at("a"), "67", 2), HONE_OK);
    assert_int_equal(hone_file_write_pieces(at("a"), (hone_piece[]){{"6", 1}, {"", 0}, {"7", 1}}, 3), HONE_OK);
    assert_int_equal(hone_file_write(at("empty"), "", 0), HONE_OK);
    check_folder("a empty ");      // no temporary is left
    assert_int_equal(hone_file_read(at("a"), 2, &data, &size), HONE_OK);
    assert_int_equal(size, 2);
    assert_string_equal(data, "67");
    hone_free(data);
    assert_int_equal(hone_file_read(at("a"), 1, &data, &size), HONE_IO);
    assert_int_equal(hone_file_read(at("none"), 9, &data, &size), HONE_IO);
    assert_non_null(strstr(hone_error_text(), "none"));
    assert_int_equal(hone_map_open(at("a"), &map), HONE_OK);
    assert_memory_equal(map.data, "67", map.size_bytes);
    hone_map_close(&map);
    assert_int_equal(hone_map_open(at("empty"), &map), HONE_OK);
    assert_null(map.data);
    hone_map_close(&map);
    assert_int_equal(hone_file_read("/proc/self/status", 1 << 16, &data, &size), HONE_OK);      // reports no size
    assert_true(size > 10 && strlen(data) == size);
    hone_free(data);
    assert_int_equal(hone_file_read("/proc/self/status", 10, &data, &size), HONE_IO);
}

static void a_failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(hone_file_write(at("no/such/folder"), "x", 1), HONE_IO);
    assert_int_equal(hone_file_write(root, "x", 1), HONE_IO);
    assert_int_equal(hone_file_write("/dev/null", "x", 1), HONE_OK);
    assert_int_equal(hone_file_write("/dev/full", "x", 1), HONE_AGAIN);
    struct stat facts;
    assert_int_equal(stat("/dev/null", &facts), 0);
    assert_true(S_ISCHR(facts.st_mode));
    assert_int_equal(hone_file_write(at("target"), "1", 1), HONE_OK);
    assert_int_equal(symlink("target", at("link")), 0);
    assert_int_equal(hone_file_write(at("link"), "23", 2), HONE_OK);
    assert_int_equal(lstat(at("link"), &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    assert_int_equal(stat(at("target"), &facts), 0);
    assert_int_equal(facts.st_size, 2);
}

static void put(hone_draft *draft, uint64_t offset, const char *text)
{
    assert_int_equal(hone_draft_put(draft, offset, text, strlen(text)), HONE_OK);
}

static void a_draft_appears_when_it_ends(void **state)
{
    char *data;
    size_t size;
    hone_draft draft;
    (void)state;
    assert_int_equal(hone_draft_begin(at("drafted"), &draft), HONE_OK);
    put(&draft, 4, "efgh and what is cut off");
    put(&draft, 0, "abcd");
    assert_int_equal(hone_file_read(at("drafted"), 99, &data, &size), HONE_IO);
    assert_int_equal(hone_draft_end(&draft, 8), HONE_OK);
    hone_draft_clear(&draft);
    assert_int_equal(hone_file_read(at("drafted"), 99, &data, &size), HONE_OK);
    assert_string_equal(data, "abcdefgh");
    hone_free(data);
    assert_int_equal(hone_draft_begin(at("drafted"), &draft), HONE_OK);
    put(&draft, 0, "never seen");
    hone_draft_clear(&draft);
    unlink(at("drafted"));
    check_folder("a empty link target ");        // of the tests before; no temporary is left
    assert_int_equal(hone_draft_begin("/dev/full", &draft), HONE_OK);
    assert_int_equal(hone_draft_put(&draft, 0, "x", 1), HONE_AGAIN);
    hone_draft_clear(&draft);
}

static void never_waits_for_a_pipe(void **state)
{
    hone_map map;
    char *data;
    size_t size;
    (void)state;
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    alarm(5);
    assert_int_equal(hone_map_open(at("fifo"), &map), HONE_IO);
    assert_int_equal(hone_file_read(at("fifo"), 9, &data, &size), HONE_IO);
    assert_int_equal(hone_map_open(root, &map), HONE_IO);
    assert_non_null(strstr(hone_error_text(), "folder"));
    assert_int_equal(hone_map_open("/dev/zero", &map), HONE_IO);
    assert_int_equal(hone_map_open_beneath(root, "fifo", &map), HONE_IO);
    alarm(0);
}

static void make_tree(void)
{
    assert_int_equal(hone_folder_make(at("m/sub/deep")), HONE_OK);
    assert_int_equal(hone_folder_make(at("m/sub/deep")), HONE_OK);
    assert_int_equal(hone_file_write(at("secret"), "secret", 6), HONE_OK);
    assert_int_equal(hone_file_write(at("m/w"), "top", 3), HONE_OK);
    assert_int_equal(hone_file_write(at("m/sub/deep/w"), "data", 4), HONE_OK);
    assert_int_equal(hone_folder_make(at("m/w/x")), HONE_IO);
    assert_int_equal(symlink("../secret", at("m/link")), 0);
    assert_int_equal(symlink("w", at("m/inner")), 0);
    assert_int_equal(symlink("..", at("m/up")), 0);
    assert_int_equal(symlink("sub", at("m/dirlink")), 0);
    assert_int_equal(link(at("secret"), at("m/hard")), 0);
    assert_int_equal(mkfifo(at("m/fifo"), 0600), 0);
}

static const char *const tricks[] = {
    "", "/etc/hostname", "..", "../secret", "sub/../../secret", "sub/../w", "./../secret", "link", "inner", "up/secret",
    "dirlink/deep/w", "hard", "fifo", "sub", "sub/deep", ".", "./", "none", "w/x", "/proc/self/environ", "sub/deep/../../../secret",
};

static void opens_beneath_only(void **state)
{
    static const char *const good[] = {"sub/deep/w", "./sub//deep/./w", "w", "sub/deep//w"};
    hone_map map;
    (void)state;
    make_tree();
    alarm(5);
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        assert_int_equal(hone_map_open_beneath(at("m"), tricks[i], &map), HONE_IO);
        assert_true(*hone_error_text());
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(hone_map_open_beneath(at("m"), good[i], &map), HONE_OK);
        assert_true(map.size_bytes == 3 || !memcmp(map.data, "data", 4));
        hone_map_close(&map);
    }
    assert_int_equal(hone_map_open_beneath(at("none"), "w", &map), HONE_IO);
    alarm(0);
}

// The fallback refuses the same links (".." and absolute paths never reach it).
static void walk_follows_no_link(void **state)
{
    static const char *const links[] = {"link", "inner", "up/secret", "dirlink/deep/w", "none", "w/x", "sub/none/w"};
    static const char *const good[] = {"sub/deep/w", "./sub//deep/./w", "w"};
    int folder = open(at("m"), O_PATH | O_DIRECTORY);
    (void)state;
    assert_true(folder >= 0);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) assert_int_equal(hone_open_walk(folder, links[i]), -1);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int file = hone_open_walk(folder, good[i]);
        assert_true(file >= 0);
        assert_true(fcntl(file, F_GETFD) & FD_CLOEXEC);
        close(file);
    }
    close(folder);
}

static void each_stops(void **state)
{
    hone_text names;
    (void)state;
    assert_int_equal(hone_folder_make(at("list")), HONE_OK);
    assert_int_equal(hone_file_write(at("list/b"), "", 0), HONE_OK);
    assert_int_equal(hone_file_write(at("list/stop"), "", 0), HONE_OK);
    assert_int_equal(hone_file_write(at("list/a"), "", 0), HONE_OK);
    assert_int_equal(hone_file_write(at("list/z"), "", 0), HONE_OK);
    hone_text_init(&names);
    assert_int_equal(hone_folder_each(at("list"), collect, &names), HONE_DECLINED);
    assert_string_equal(hone_text_get(&names), "a b stop ");
    hone_text_clear(&names);
    assert_int_equal(hone_folder_each(at("missing"), collect, &names), HONE_IO);
    assert_true(hone_path_is_folder(at("list")) && !hone_path_is_folder(at("list/a")));
    assert_true(hone_path_exists(at("list/a")) && !hone_path_exists(at("list/q")));
}

static void user_paths(void **state)
{
    char path[64], tiny[8];
    (void)state;
    setenv("XDG_DATA_HOME", "/x/data", 1);
    assert_int_equal(hone_path_data("hone.db", path, sizeof path), HONE_OK);
    assert_string_equal(path, "/x/data/hone/hone.db");
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", "/h", 1);
    assert_int_equal(hone_path_data("n", path, sizeof path), HONE_OK);
    assert_string_equal(path, "/h/.local/share/hone/n");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HONE_CACHE");
    assert_int_equal(hone_path_cache("n", path, sizeof path), HONE_OK);
    assert_string_equal(path, "/h/.cache/hone/n");
    setenv("HONE_CACHE", "/c", 1);
    assert_int_equal(hone_path_cache("n", path, sizeof path), HONE_OK);
    assert_string_equal(path, "/c/n");
    assert_int_equal(hone_path_cache("longer", tiny, sizeof tiny), HONE_IO);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 30; nth++) {
        int64_t before = hone_alloc_live_bytes();
        char *data = NULL;
        size_t size;
        hone_text names;
        hone_text_init(&names);
        hone_alloc_fail_at(nth, 1);
        if (!hone_file_read(at("a"), 100, &data, &size)) hone_free(data);
        hone_folder_each(root, collect, &names);
        hone_alloc_fail_at(0, 0);
        hone_text_clear(&names);
        assert_int_equal(hone_alloc_live_bytes(), before);
    }
}

int test_base_file(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),
        cmocka_unit_test(a_failed_write_keeps_the_old_file),
        cmocka_unit_test(a_draft_appears_when_it_ends),
        cmocka_unit_test(never_waits_for_a_pipe),
        cmocka_unit_test(opens_beneath_only),
        cmocka_unit_test(walk_follows_no_link),
        cmocka_unit_test(each_stops),
        cmocka_unit_test(user_paths),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests_name("base_file", tests, enter, leave);
}
