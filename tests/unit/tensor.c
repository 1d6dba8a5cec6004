// SPDX-License-Identifier: Apache-2.0
#include "kernels/tensor.h"

#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/op_priv.h"

static hone_tensor tensor_of(const char *text)
{
    hone_tensor tensor;
    hone_scan scan = {text};
    assert_true(hone_tensor_scan(&scan, &tensor));
    assert_int_equal(*scan.at, 0);
    return tensor;
}

static void spelling(void **state)
{
    static const char *const texts[] = {"f32:", "f16:1x56x56x64:nhwc", "i64:0x3", "bool:1", "bf16:1x2x3x4x5x6x7x8", "u8:1099511627776"};
    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        hone_text again;
        hone_text_init(&again);
        hone_tensor tensor = tensor_of(texts[k]);
        hone_tensor_print(&tensor, &again);
        assert_string_equal(hone_text_get(&again), texts[k]);
        hone_text_clear(&again);
    }
}

static void refused_spellings(void **state)
{
    static const char *const texts[] = {
        "", "f32", "f33:1", "f32:1x", "f32:x1", "f32:-1", "f32:1x2x3:nhwc", "f32:1x2x3x4x5x6x7x8x9", "f32:1099511627777",
        "f32:99999999999999999999", "f32:1048576x1048576x2", "none:1", "f32:0x1099511627776x2",
    };
    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        hone_tensor tensor;
        hone_scan scan = {texts[k]};
        bool whole = hone_tensor_scan(&scan, &tensor) && !*scan.at;
        if (whole) fail_msg("\"%s\" was taken", texts[k]);
    }
}

static void layouts(void **state)
{
    (void)state;
    hone_tensor tensor = tensor_of("f16:1x56x57x64:nhwc");
    int64_t dims[HONE_RANK_MAX];
    const int64_t logical[] = {1, 64, 56, 57}, physical[] = {1, 56, 57, 64};
    hone_tensor_physical(&tensor, dims);
    assert_memory_equal(tensor.dims, logical, sizeof logical);
    assert_memory_equal(dims, physical, sizeof physical);
    assert_int_equal(hone_tensor_physical_axis(&tensor, 1), 3);
    assert_int_equal(hone_tensor_size(&tensor), 2 * 56 * 57 * 64);
}

static void broadcasting(void **state)
{
    (void)state;
    hone_tensor a = tensor_of("f32:4x1x3"), b = tensor_of("f16:2x1"), c = tensor_of("f32:2x2"), out, wanted = tensor_of("f32:4x2x3");
    assert_int_equal(hone_tensor_broadcast(&a, &b, &out), HONE_OK);
    assert_true(hone_tensor_equal(&out, &wanted));
    assert_int_equal(hone_tensor_broadcast(&a, &c, &out), HONE_USAGE);
    assert_non_null(strstr(hone_error_text(), "do not broadcast"));
    a = tensor_of("f32:0"), b = tensor_of("f32:1");
    assert_int_equal(hone_tensor_broadcast(&a, &b, &out), HONE_OK);
    assert_int_equal(out.dims[0], 0);
}

// Values that every type holds go into memory and back unchanged, in both layouts.
static void round_trips(void **state)
{
    (void)state;
    for (int dtype = HONE_F32; dtype < HONE_DTYPE_COUNT; dtype++)
        for (int layout = HONE_ROW; layout <= HONE_NHWC; layout++) {
            hone_tensor as = {.dtype = (hone_dtype)dtype, .layout = (hone_layout)layout, .rank = 4, .dims = {2, 3, 5, 4}};
            hone_array from, to;
            double memory[120];
            assert_int_equal(hone_array_init(&from, &as), HONE_OK);
            assert_int_equal(hone_array_init(&to, &as), HONE_OK);
            for (int64_t k = 0; k < 120; k++) {
                if (from.f) from.f[k] = (double)k;
                else from.i[k] = dtype == HONE_BOOL ? k & 1 : k;
            }
            hone_array_pack(&from, &as, memory, false, 2);
            hone_array_unpack(&to, &as, memory, 2);
            assert_memory_equal(from.f ? (void *)from.f : (void *)from.i, to.f ? (void *)to.f : (void *)to.i, 120 * 8);
            hone_array_clear(&from);
            hone_array_clear(&to);
        }
}

static void nhwc_order(void **state)
{
    (void)state;
    hone_tensor as = tensor_of("f32:1x1x2x3:nhwc");      // C = 3, W = 2
    float memory[6];
    const float wanted[6] = {0, 2, 4, 1, 3, 5};
    hone_array array;
    assert_int_equal(hone_array_init(&array, &as), HONE_OK);
    for (int k = 0; k < 6; k++) array.f[k] = k;
    hone_array_pack(&array, &as, memory, false, 1);
    assert_memory_equal(memory, wanted, sizeof wanted);
    hone_array_clear(&array);
}

static void rounding(void **state)
{
    static const struct { hone_dtype dtype; double from; bool saturate; double to; } cases[] = {
        {HONE_F16, 1 + 0x1p-11, false, 1}, {HONE_F16, 1 + 3 * 0x1p-11, false, 1 + 0x1p-9}, {HONE_F16, 1e6, false, INFINITY},
        {HONE_F16, 1e6, true, 65504}, {HONE_F16, -1e6, true, -65504}, {HONE_F16, INFINITY, true, INFINITY},
        {HONE_BF16, 1 + 0x1p-8, false, 1}, {HONE_BF16, 1e39, true, 0x1.fep127}, {HONE_F32, 1e39, false, INFINITY},
        {HONE_F32, 1e39, true, FLT_MAX}, {HONE_F32, 0.1, false, 0.1f},
        {HONE_F16, 1 + 0x1p-11 + 0x1p-40, false, 1 + 0x1p-10},       // rounded once, not first to float
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_tensor as = {.dtype = cases[k].dtype, .rank = 0};
        double memory;
        hone_array array;
        assert_int_equal(hone_array_init(&array, &as), HONE_OK);
        array.f[0] = cases[k].from;
        hone_array_pack(&array, &as, &memory, cases[k].saturate, 1);
        hone_array_unpack(&array, &as, &memory, 1);
        if (array.f[0] != cases[k].to) fail_msg("case %zu: %.17g, not %.17g", k, array.f[0], cases[k].to);
        hone_array_clear(&array);
    }
}

static void integers(void **state)
{
    (void)state;
    assert_int_equal(hone_int_wrap(300, HONE_U8), 44);
    assert_int_equal(hone_int_wrap(-1, HONE_U32), 4294967295);
    assert_int_equal(hone_int_wrap(200, HONE_I8), -56);
    assert_int_equal(hone_int_wrap(7, HONE_BOOL), 1);
    assert_int_equal(hone_int_from_double(NAN), 0);
    assert_int_equal(hone_int_from_double(1e300), INT64_MAX);
    assert_int_equal(hone_int_from_double(-2.9), -2);
}

int test_tensor(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling), cmocka_unit_test(refused_spellings), cmocka_unit_test(layouts), cmocka_unit_test(broadcasting),
        cmocka_unit_test(round_trips), cmocka_unit_test(nhwc_order), cmocka_unit_test(rounding), cmocka_unit_test(integers),
    };
    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
