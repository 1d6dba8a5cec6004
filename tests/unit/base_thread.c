// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

enum { COUNT = 1000 };

typedef struct record {
    int touched[COUNT];
    int64_t grain;
    int threads;
    int busy[64];          // one body at a time per worker number
    int bad;               // under the atomic builtin: bodies run at the same time
} record;

static void touch(void *user, int64_t begin, int64_t end, int worker)
{
    record *all = user;
    int is_bad = worker < 0 || worker >= all->threads || end - begin > all->grain || begin >= end || begin % all->grain;
    if (!is_bad) is_bad = all->busy[worker]++ != 0;
    for (int64_t i = begin; i < end; i++) all->touched[i]++;
    if (worker >= 0 && worker < all->threads) all->busy[worker]--;
    if (is_bad) __atomic_store_n(&all->bad, 1, __ATOMIC_RELAXED);
}

static int check_loop(int64_t count, int64_t grain, int threads)
{
    record all = {.grain = grain, .threads = threads > 1 ? threads : 1};
    hone_parallel(count, grain, threads, touch, &all);
    for (int i = 0; i < COUNT; i++)
        if (all.touched[i] != (i < count)) return 0;
    return !all.bad;
}

static void each_item_once(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 9; threads++)
        for (int64_t grain = 1; grain <= COUNT; grain = grain * 3 + 1)
            for (int64_t count = 0; count <= COUNT; count += 333) assert_true(check_loop(count, grain, threads));
    for (int i = 0; i < 3000; i++) assert_true(check_loop(64, 1 + i % 5, 2 + i % 3));
    assert_true(check_loop(COUNT, 7, 40));
}

static void add_nested(void *user, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    __atomic_fetch_add((int64_t *)user, end - begin, __ATOMIC_RELAXED);
}

static void nest(void *user, int64_t begin, int64_t end, int worker)
{
    (void)begin, (void)end, (void)worker;
    hone_parallel(10, 3, 4, add_nested, user);
}

static void nested_calls_run(void **state)
{
    int64_t sum = 0;
    (void)state;
    hone_parallel(50, 1, 4, nest, &sum);
    assert_int_equal(sum, 500);
}

static void *call_often(void *user)
{
    for (int i = 0; i < 300; i++)
        if (!check_loop(100, 7, 3)) *(int *)user = 1;
    return NULL;
}

static void several_callers(void **state)
{
    pthread_t threads[4];
    int bad[4] = {0};
    (void)state;
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, call_often, &bad[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) assert_int_equal(bad[i], 0);
}

// Each waits for the others, so one after the other they would wait in vain.
static void wait_for_the_others(void *user, int64_t begin, int64_t end, int worker)
{
    atomic_int *arrived = user;
    int64_t give_up_ns = hone_clock_ns() + 10000000000;
    (void)begin, (void)end, (void)worker;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) % 100 < 4 && hone_clock_ns() < give_up_ns) hone_sleep_ns(1000000);
    if (atomic_load(arrived) % 100 == 4) atomic_fetch_add(arrived, 100);
}

static void runs_at_the_same_time(void **state)
{
    atomic_int arrived = 0;
    (void)state;
    hone_parallel(4, 1, 4, wait_for_the_others, &arrived);
    assert_int_equal(atomic_load(&arrived), 404);
    hone_sleep_ns(2000000);      // workers fall asleep and must wake again
    assert_true(check_loop(COUNT, 1, 4));
}

static void a_forked_child_has_its_own(void **state)
{
    int code = -1;
    (void)state;
    pid_t child = fork();
    if (child == 0) _exit(check_loop(COUNT, 10, 3) ? 0 : 1);
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
}

static void counts_cpus(void **state)
{
    (void)state;
    assert_in_range(hone_cpu_count(), 1, sysconf(_SC_NPROCESSORS_ONLN));
}

int test_base_thread(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_once),
        cmocka_unit_test(nested_calls_run),
        cmocka_unit_test(several_callers),
        cmocka_unit_test(runs_at_the_same_time),
        cmocka_unit_test(a_forked_child_has_its_own),
        cmocka_unit_test(counts_cpus),
    };
    return cmocka_run_group_tests_name("base_thread", tests, NULL, NULL);
}
