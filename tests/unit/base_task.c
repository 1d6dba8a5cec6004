// SPDX-License-Identifier: Apache-2.0
#include "base/task.h"

#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "tests/unit/unit.h"

static hone_status square(void *user)
{
    int *number = user;
    *number *= *number;
    return *number < 100 ? HONE_OK : hone_fail(HONE_USAGE, "%d is large", *number);
}

static void answers_and_says_why(void **state)
{
    hone_task tasks[20];
    int numbers[20];
    int64_t live = hone_alloc_live_bytes();
    (void)state;
    for (int k = 0; k < 20; k++) {
        numbers[k] = k;
        hone_task_start(&tasks[k], square, &numbers[k]);
    }
    for (int k = 0; k < 20; k++) {
        hone_fail(HONE_IO, "something of before");
        assert_int_equal(hone_task_wait(&tasks[k]), k < 10 ? HONE_OK : HONE_USAGE);
        assert_int_equal(numbers[k], k * k);
        if (k >= 10) assert_non_null(strstr(hone_error_text(), "is large"));
    }
    assert_int_equal(hone_alloc_live_bytes(), live);
}

static void arenas_keep_room(void **state)
{
    hone_arena *arena = hone_arena_new(1 << 24);
    (void)state;
    assert_non_null(arena);
    assert_int_equal(hone_arena_reserve(arena, 9 << 20), 0);
    char *first = hone_arena_alloc_raw(arena, 4 << 20), *second = hone_arena_alloc(arena, 4 << 20);
    assert_true(first && second && second - first == 4 << 20);      // of one block
    memset(first, 1, 4 << 20);
    for (int k = 0; k < 4 << 20; k++) assert_int_equal(second[k], 0);
    assert_null(hone_arena_alloc(arena, 9 << 20));                  // the ceiling counts what is given out
    hone_arena_free(arena);
}

int test_base_task(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_says_why),
        cmocka_unit_test(arenas_keep_room),
    };
    return cmocka_run_group_tests_name("base_task", tests, NULL, NULL);
}
