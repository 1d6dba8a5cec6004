// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/device_cpu.h"

static hone_device *device;

static int open_cpu(void **state)
{
    (void)state;
    return hone_device_open("cpu", &device) != HONE_OK;
}

static int close_cpu(void **state)
{
    (void)state;
    hone_device_close(device);
    return 0;
}

static void has_an_identity(void **state)
{
    (void)state;
    char text[256], version[32];
    hone_target again;
    hone_target_print(&device->target, text, sizeof text);
    assert_int_equal(hone_target_parse(text, &again), HONE_OK);
    assert_string_equal(again.arch, hone_cpu_arch());
    assert_string_equal(again.model, device->target.model);
    assert_int_equal(again.threads, device->target.threads);
    assert_true(device->target.threads >= 1);
    assert_int_equal(hone_toolchain_get(device->toolchain, "hone", version, sizeof version), HONE_OK);
    assert_null(strchr(device->target.model, '"'));
}

static void memory_is_aligned_and_movable(void **state)
{
    (void)state;
    for (size_t size = 1; size < 100000; size = size * 3 + 1) {
        void *a, *b;
        assert_int_equal(device->api->alloc(device, size, &a), HONE_OK);
        assert_int_equal(device->api->alloc(device, size, &b), HONE_OK);
        assert_int_equal((uintptr_t)a % 256, 0);
        assert_int_equal(device->api->fill(device, NULL, a, 0x5a, size), HONE_OK);
        assert_int_equal(device->api->copy(device, NULL, b, a, size, HONE_COPY_WITHIN), HONE_OK);
        assert_memory_equal(a, b, size);
        device->api->free(device, a);
        device->api->free(device, b);
    }
    device->api->free(device, NULL);
    void *never;
    assert_int_equal(device->api->alloc(device, SIZE_MAX, &never), HONE_NO_MEMORY);
}

typedef struct log {
    int values[8192];
    atomic_int n;
} log;

static struct log record;

typedef struct entry {
    int value;
    int64_t delay_ns;
} entry;

static hone_status append(const void *args)
{
    const entry *e = args;
    if (e->delay_ns) hone_sleep_ns(e->delay_ns);
    record.values[atomic_fetch_add(&record.n, 1)] = e->value;
    return HONE_OK;
}

static void put(hone_stream *stream, int value, int64_t delay_ns)
{
    entry e = {value, delay_ns};
    assert_int_equal(hone_cpu_enqueue(device, stream, append, &e, sizeof e), HONE_OK);
}

static void a_stream_keeps_order(void **state)
{
    (void)state;
    hone_stream *stream;
    record.n = 0;
    assert_int_equal(device->api->stream(device, &stream, true), HONE_OK);
    for (int k = 0; k < 3000; k++) put(stream, k, 0);        // more than the queue holds
    assert_int_equal(device->api->sync(device, stream), HONE_OK);
    assert_int_equal(record.n, 3000);
    for (int k = 0; k < 3000; k++) assert_int_equal(record.values[k], k);
    assert_int_equal(device->api->stream(device, &stream, false), HONE_OK);
    assert_null(stream);
}

static void freeing_a_stream_ends_its_work(void **state)
{
    (void)state;
    hone_stream *stream;
    record.n = 0;
    assert_int_equal(device->api->stream(device, &stream, true), HONE_OK);
    for (int k = 0; k < 5; k++) put(stream, k, 1000000);
    assert_int_equal(device->api->stream(device, &stream, false), HONE_OK);
    assert_int_equal(record.n, 5);
}

static void events_order_streams(void **state)
{
    (void)state;
    hone_stream *a, *b;
    assert_int_equal(device->api->stream(device, &a, true), HONE_OK);
    assert_int_equal(device->api->stream(device, &b, true), HONE_OK);
    for (int round = 0; round < 20; round++) {
        record.n = 0;
        put(a, 1, 2000000);
        assert_int_equal(device->api->record(device, a, 5), HONE_OK);
        assert_int_equal(device->api->wait(device, b, 5), HONE_OK);
        put(b, 2, 0);
        assert_int_equal(device->api->record(device, b, 6), HONE_OK);
        assert_int_equal(device->api->wait(device, a, 6), HONE_OK);
        put(a, 3, 0);
        assert_int_equal(device->api->sync(device, a), HONE_OK);
        assert_int_equal(record.n, 3);
        for (int k = 0; k < 3; k++) assert_int_equal(record.values[k], k + 1);
    }
    device->api->stream(device, &a, false);
    device->api->stream(device, &b, false);
}

static void events_tell_time(void **state)
{
    (void)state;
    hone_stream *stream;
    double ns = 0;
    assert_int_equal(device->api->elapsed(device, 900, 901, &ns), HONE_USAGE);
    assert_int_equal(device->api->stream(device, &stream, true), HONE_OK);
    device->api->record(device, stream, 10);
    put(stream, 0, 20000000);
    device->api->record(device, stream, 11);
    assert_int_equal(device->api->elapsed(device, 10, 11, &ns), HONE_OK);
    assert_true(ns >= 20e6 && ns < 2e9);
    // Waiting for what nobody recorded, and on the caller's own stream.
    assert_int_equal(device->api->wait(device, NULL, 902), HONE_OK);
    assert_int_equal(device->api->wait(device, NULL, 11), HONE_OK);
    device->api->stream(device, &stream, false);
}

static hone_status break_down(const void *args)
{
    (void)args;
    return hone_fail(HONE_NUMERIC, "the work is off by %d", 7);
}

static void a_failure_stays_with_its_stream(void **state)
{
    (void)state;
    hone_stream *stream, *other;
    assert_int_equal(device->api->stream(device, &stream, true), HONE_OK);
    assert_int_equal(device->api->stream(device, &other, true), HONE_OK);
    record.n = 0;
    assert_int_equal(hone_cpu_enqueue(device, stream, break_down, NULL, 0), HONE_OK);
    put(stream, 1, 0);                                        // skipped
    device->api->record(device, stream, 20);                  // fires all the same
    device->api->wait(device, other, 20);
    put(other, 2, 0);
    assert_int_equal(device->api->sync(device, other), HONE_OK);
    assert_int_equal(device->api->sync(device, stream), HONE_NUMERIC);
    assert_string_equal(hone_error_text(), "the work is off by 7");
    assert_int_equal(record.n, 1);
    put(stream, 3, 0);
    assert_int_equal(device->api->sync(device, stream), HONE_OK);
    assert_int_equal(record.n, 2);
    assert_int_equal(hone_cpu_enqueue(device, NULL, break_down, NULL, 0), HONE_NUMERIC);
    device->api->stream(device, &stream, false);
    device->api->stream(device, &other, false);
}

static void note(void *user) { *(int *)user = 1; }

static void host_code_runs_at_once_without_a_stream(void **state)
{
    (void)state;
    int ran = 0;
    assert_int_equal(device->api->host(device, NULL, note, &ran), HONE_OK);
    assert_int_equal(ran, 1);
}

static void declines_device_code(void **state)
{
    (void)state;
    hone_module *module;
    hone_function *function;
    hone_captured *captured;
    assert_int_equal(device->api->load(device, "x", 1, "kernel", &module, &function), HONE_DECLINED);
    assert_int_equal(device->api->capture(device, NULL, true, &captured), HONE_DECLINED);
}

int test_device_cpu(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_an_identity), cmocka_unit_test(memory_is_aligned_and_movable), cmocka_unit_test(a_stream_keeps_order),
        cmocka_unit_test(freeing_a_stream_ends_its_work), cmocka_unit_test(events_order_streams), cmocka_unit_test(events_tell_time),
        cmocka_unit_test(a_failure_stays_with_its_stream), cmocka_unit_test(host_code_runs_at_once_without_a_stream),
        cmocka_unit_test(declines_device_code),
    };
    return cmocka_run_group_tests_name("device_cpu", tests, open_cpu, close_cpu);
}
