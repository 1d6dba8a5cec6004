// SPDX-License-Identifier: Apache-2.0
#include "base/alloc.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "tests/unit/unit.h"

static void aligned_and_counted(void **state)
{
    int64_t before = hone_alloc_live_bytes();
    uint64_t calls = hone_alloc_count();
    (void)state;
    char *memory = hone_alloc(100);
    assert_int_equal((uintptr_t)memory % 64, 0);
    memset(memory, 7, 100);
    memory = hone_realloc(memory, 5000);
    assert_int_equal((uintptr_t)memory % 64, 0);
    assert_int_equal(memory[99], 7);
    assert_true(hone_alloc_live_bytes() - before >= 5000);
    char *zeros = hone_calloc(10, 10), *empty = hone_alloc(0), *copy = hone_strdup("abc");
    for (int i = 0; i < 100; i++) assert_int_equal(zeros[i], 0);
    assert_non_null(empty);
    assert_string_equal(copy, "abc");
    hone_free(memory);
    hone_free(zeros);
    hone_free(empty);
    hone_free(copy);
    hone_free(NULL);
    assert_int_equal(hone_alloc_live_bytes(), before);
    assert_int_equal(hone_alloc_count() - calls, 5);
}

static void overflow_fails(void **state)
{
    (void)state;
    assert_null(hone_calloc(SIZE_MAX / 2, 3));
    assert_null(hone_alloc(SIZE_MAX));
    assert_null(hone_alloc(SIZE_MAX - 10));
    assert_non_null(strstr(hone_error_text(), "out of memory"));
}

static void fails_on_demand(void **state)
{
    (void)state;
    hone_alloc_fail_at(2, 0);
    void *first = hone_alloc(1);
    assert_non_null(first);
    assert_null(hone_alloc(1));
    void *third = hone_alloc(1);
    assert_non_null(third);
    hone_alloc_fail_at(1, 1);
    assert_null(hone_alloc(1));
    assert_null(hone_realloc(first, 10));      // first is still ours
    hone_alloc_fail_at(0, 0);
    hone_free(first);
    hone_free(third);
}

static void grows_to_its_ceiling(void **state)
{
    int *items = NULL;
    size_t capacity = 0, count = 0;
    (void)state;
    for (; count < 100; count++) {
        assert_int_equal(hone_grow(&items, count, &capacity, sizeof *items, 100), 0);
        items[count] = (int)count;
    }
    assert_int_equal(capacity, 100);
    assert_int_equal(hone_grow(&items, count, &capacity, sizeof *items, 100), -1);
    assert_non_null(strstr(hone_error_text(), "100"));
    for (int i = 0; i < 100; i++) assert_int_equal(items[i], i);
    hone_alloc_fail_at(1, 0);
    assert_int_equal(hone_grow(&items, count, &capacity, sizeof *items, 200), -1);
    hone_alloc_fail_at(0, 0);
    assert_int_equal(capacity, 100);
    hone_free(items);
}

static void arena_gives_and_releases(void **state)
{
    int64_t before = hone_alloc_live_bytes();
    (void)state;
    hone_arena *arena = hone_arena_new(1 << 20);
    char *texts[1000];
    for (int i = 0; i < 1000; i++) {
        texts[i] = hone_arena_printf(arena, "item %d of %.1f", i, 0.5);
        assert_int_equal((uintptr_t)texts[i] % 64, 0);
    }
    assert_string_equal(texts[0], "item 0 of 0.5");
    assert_string_equal(texts[999], "item 999 of 0.5");
    char *large = hone_arena_alloc(arena, 500000);
    for (int i = 0; i < 500000; i += 997) assert_int_equal(large[i], 0);
    assert_string_equal(hone_arena_strdup(arena, "x"), "x");
    assert_null(hone_arena_alloc(arena, 1 << 20));
    assert_null(hone_arena_alloc(arena, SIZE_MAX));
    assert_non_null(hone_arena_alloc(arena, 0));
    hone_arena_free(arena);
    hone_arena_free(NULL);
    assert_int_equal(hone_alloc_live_bytes(), before);
}

static void arena_survives_failing_allocations(void **state)
{
    (void)state;
    hone_alloc_fail_at(1, 0);
    assert_null(hone_arena_new(1000));
    hone_alloc_fail_at(2, 0);
    hone_arena *arena = hone_arena_new(1 << 20);
    assert_null(hone_arena_alloc(arena, 10));
    assert_non_null(hone_arena_alloc(arena, 10));
    hone_alloc_fail_at(0, 0);
    hone_arena_free(arena);
}

static void sentences(void **state)
{
    (void)state;
    assert_int_equal(hone_fail(HONE_MODEL, "layer %d", 3), HONE_MODEL);
    assert_int_equal(hone_fail_in(HONE_IO, "file %s", "x"), HONE_IO);
    assert_string_equal(hone_error_text(), "file x: layer 3");
    hone_fail(HONE_IO, "again %s", hone_error_text());
    assert_string_equal(hone_error_text(), "again file x: layer 3");
    for (int i = 0; i < 5000; i++) hone_fail_in(HONE_IO, "context");
    size_t size = strlen(hone_error_text());
    assert_string_equal(hone_error_text() + size - 3, "...");
    assert_int_equal(hone_status_exit_code(HONE_AGAIN), 75);
    assert_int_equal(hone_status_exit_code(HONE_DAMAGED), 7);
    assert_int_equal(hone_status_exit_code((hone_status)99), 1);
}

int test_base_alloc(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_and_counted),
        cmocka_unit_test(overflow_fails),
        cmocka_unit_test(fails_on_demand),
        cmocka_unit_test(grows_to_its_ceiling),
        cmocka_unit_test(arena_gives_and_releases),
        cmocka_unit_test(arena_survives_failing_allocations),
        cmocka_unit_test(sentences),
    };
    return cmocka_run_group_tests_name("base_alloc", tests, NULL, NULL);
}
