// SPDX-License-Identifier: Apache-2.0
#include "base/zip.h"

#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "tests/unit/unit.h"

enum { SIZE = 300000 };

static void *make_packed(size_t *packed_bytes)
{
    char *data = hone_alloc(SIZE);
    void *packed = NULL;
    for (uint64_t i = 0; i < SIZE; i++) data[i] = "abcdefgh"[hone_rng_bits(5, 5, i / 3) % 8];
    assert_int_equal(hone_zip(data, SIZE, 3, &packed, packed_bytes), HONE_OK);
    hone_free(data);
    return packed;
}

static void round_trips(void **state)
{
    size_t packed_bytes, size;
    void *packed = make_packed(&packed_bytes), *data;
    (void)state;
    assert_true(packed_bytes < SIZE / 4);
    assert_int_equal(hone_unzip(packed, packed_bytes, SIZE, &data, &size), HONE_OK);
    assert_int_equal(size, SIZE);
    for (uint64_t i = 0; i < SIZE; i++) assert_int_equal(((char *)data)[i], "abcdefgh"[hone_rng_bits(5, 5, i / 3) % 8]);
    assert_int_equal(((char *)data)[SIZE], 0);
    hone_free(data);
    hone_free(packed);
    assert_int_equal(hone_zip("", 0, 3, &packed, &packed_bytes), HONE_OK);
    assert_int_equal(hone_unzip(packed, packed_bytes, 0, &data, &size), HONE_OK);
    assert_int_equal(size, 0);
    hone_free(data);
    hone_free(packed);
}

static void ceilings_hold(void **state)
{
    size_t packed_bytes, size;
    void *packed = make_packed(&packed_bytes), *data = NULL;
    (void)state;
    assert_int_equal(hone_unzip(packed, packed_bytes, SIZE - 1, &data, &size), HONE_DAMAGED);
    assert_int_equal(hone_unzip(packed, packed_bytes, 0, &data, &size), HONE_DAMAGED);
    assert_int_equal(hone_unzip(packed, packed_bytes, SIZE_MAX, &data, &size), HONE_OK);
    hone_free(data);
    hone_free(packed);
    // A bomb: 256 MiB of zeros in some kilobytes; memory must follow the ceiling, not the bomb.
    void *zeros = hone_calloc(1, (size_t)1 << 28);
    assert_int_equal(hone_zip(zeros, (size_t)1 << 28, 3, &packed, &packed_bytes), HONE_OK);
    hone_free(zeros);
    assert_int_equal(hone_unzip(packed, packed_bytes, 1 << 20, &data, &size), HONE_DAMAGED);
    hone_free(packed);
}

static void damage_is_found(void **state)
{
    size_t packed_bytes, size;
    void *packed = make_packed(&packed_bytes), *data = NULL;
    int64_t before = hone_alloc_live_bytes();
    (void)state;
    for (size_t cut = 0; cut < packed_bytes; cut += 997)
        assert_int_equal(hone_unzip(packed, cut, SIZE, &data, &size), HONE_DAMAGED);
    for (size_t i = 0; i < 4; i++) {
        ((char *)packed)[i] ^= 1;
        assert_int_equal(hone_unzip(packed, packed_bytes, SIZE, &data, &size), HONE_DAMAGED);
        ((char *)packed)[i] ^= 1;
    }
    for (uint64_t i = 0; i < 200; i++) {      // anything but a crash, a leak or a breach of the ceiling
        size_t at = hone_rng_bits(9, 9, i) % packed_bytes;
        ((char *)packed)[at] ^= (char)(1 << (i % 8));
        if (hone_unzip(packed, packed_bytes, SIZE, &data, &size) == HONE_OK) {
            assert_true(size <= SIZE);
            hone_free(data);
        }
    }
    assert_int_equal(hone_alloc_live_bytes(), before);
    hone_free(packed);
}

static void survives_failing_allocations(void **state)
{
    size_t packed_bytes, size;
    void *packed = make_packed(&packed_bytes), *data = NULL;
    int64_t before = hone_alloc_live_bytes();
    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        hone_alloc_fail_at(nth, 1);
        assert_int_equal(hone_unzip(packed, packed_bytes, SIZE, &data, &size), HONE_NO_MEMORY);
        assert_int_equal(hone_alloc_live_bytes(), before);
    }
    hone_alloc_fail_at(1, 1);
    assert_int_equal(hone_zip("x", 1, 3, &data, &size), HONE_NO_MEMORY);
    hone_alloc_fail_at(0, 0);
    hone_free(packed);
}

int test_base_zip(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(ceilings_hold),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests_name("base_zip", tests, NULL, NULL);
}
