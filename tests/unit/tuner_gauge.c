// SPDX-License-Identifier: Apache-2.0
// The comparison of outputs, on the host and by the kernel, which runs here as C behind a device that calls itself cuda: both see the same.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/half.h"
#include "tests/unit/unit.h"
#include "tuner/gauge.h"

// ---- the kernel as C

static struct { unsigned x; } gridDim, blockDim, blockIdx, threadIdx;
#define HONE_FN static inline
#define HONE_KERNEL static void
#define hone_float_of_f16 hone_f16_to_float
#define hone_float_of_bf16 hone_bf16_to_float
#include "kernels/cuda/compare.cuh"

static int launches;

static hone_status spy_load(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module, hone_function **function)
{
    (void)device;
    assert_true(size_bytes > 4 && !memcmp(image, "\177ELF", 4));       // what NVRTC made of the same text
    *module = (hone_module *)device;
    *function = (hone_function *)(uintptr_t)(strcmp(name, "hone_fold") ? 1 : 2);
    return HONE_OK;
}

static void spy_unload(hone_device *device, hone_module *module)
{
    (void)device, (void)module;
}

static hone_status spy_launch(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *launch)
{
    struct hone_compare_args args;
    (void)device, (void)stream;
    assert_int_equal(launch->params_bytes, sizeof args);
    memcpy(&args, launch->params, sizeof args);
    gridDim.x = launch->grid[0];
    blockDim.x = launch->block[0];
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++) {
            if ((uintptr_t)function == 1) hone_compare(args);
            else hone_fold(args);
        }
    launches++;
    return HONE_OK;
}

// ---- a problem on a device

static hone_device *device;           // one for all, and its comparer, which NVRTC compiles
static hone_comparer *comparer;

typedef struct fixture {
    const hone_device_api *own;
    hone_device_api api;
    hone_problem problem;
    hone_expect expect;
    hone_buffers buffers;
    hone_gauge gauge;
} fixture;

static void open_fixture(fixture *f, const char *problem, bool has_kernel)
{
    memset(f, 0, sizeof *f);
    f->own = device->api;
    f->api = *f->own;
    f->api.kind = "cuda";
    f->api.load = spy_load;
    f->api.unload = spy_unload;
    f->api.launch = spy_launch;
    device->target.cc = 90;
    if (has_kernel) device->api = &f->api;
    assert_int_equal(hone_problem_parse(problem, &f->problem), HONE_OK);
    assert_int_equal(hone_expect_make(&f->problem, 7, 2, &f->expect), HONE_OK);
    f->buffers.device = device;
    f->gauge = (hone_gauge){.buffers = &f->buffers, .threads = 2};
    if (has_kernel && comparer) f->gauge.comparer = comparer, f->gauge.was_asked = true;
    assert_int_equal(hone_buffers_lay(&f->buffers, &f->problem), HONE_OK);
    assert_int_equal(hone_buffers_fill(&f->buffers, f->expect.operands), HONE_OK);
    assert_int_equal(hone_gauge_begin(&f->gauge, &f->expect), HONE_OK);
    assert_int_equal(f->gauge.is_on_device, has_kernel);
}

static void close_fixture(fixture *f)
{
    if (f->gauge.comparer) comparer = f->gauge.comparer, f->gauge.comparer = NULL;
    hone_gauge_clear(&f->gauge);
    hone_buffers_clear(&f->buffers);
    hone_expect_clear(&f->expect);
    device->api = f->own;
}

static bool sees_right(fixture *f, bool is_first, double *error, char *why)
{
    bool is_right;
    if (hone_gauge_compare(&f->gauge, is_first, error, &is_right, why)) fail_msg("%s", hone_error_text());
    return is_right;
}

// Output k as the reference says, in the buffers.
static void write_right(fixture *f)
{
    for (int k = 0; k < f->problem.n_out; k++) {
        const hone_tensor flat = hone_tensor_flat(&f->problem.out[k]);
        hone_array_pack(&f->expect.out[k], &flat, f->buffers.outputs[k], false, 1);
    }
}

static const char *const problems[] = {
    "relu x=f16:1x3x37x41", "add a=bf16:2x5x7x16:nhwc b=bf16:2x5x7x16:nhwc | relu x=$0", "exp x=f64:1001", "softmax x=f32:17x33 axis=1",
    "add a=i8:999 b=i8:999", "add a=u8:999 b=u8:999", "add a=i16:999 b=i16:999", "add a=u16:77 b=u16:77", "add a=i32:999 b=i32:999",
    "add a=u32:999 b=u32:999", "add a=i64:999 b=i64:999", "less a=f32:3000 b=f32:3000", "relu x=f32:", "relu x=f32:0x3",
    "topk x=f32:9x30 k=3 outs=2",
};

static void each_wrong_element_is_seen_by_both(void **state)
{
    (void)state;
    for (size_t p = 0; p < sizeof problems / sizeof *problems; p++)
        for (int has_kernel = 0; has_kernel < 2; has_kernel++) {
            fixture f;
            double error;
            char why[256];
            open_fixture(&f, problems[p], has_kernel);
            write_right(&f);
            if (!sees_right(&f, true, &error, why) || error > f.expect.tolerance) fail_msg("%s: %s", problems[p], why);
            int last = f.problem.n_out - 1;
            size_t size = hone_dtype_size(f.problem.out[last].dtype), count = (size_t)hone_tensor_count(&f.problem.out[last]);
            char *out = f.buffers.outputs[last];
            for (size_t k = 0; k < count; k += k + 1 < count && k + 61 >= count ? count - 1 - k : 61) {
                char kept[8];
                memcpy(kept, out + k * size, size);
                memset(out + k * size, size > 1 ? 0x7b : kept[0] ^ 1, size);
                if (f.problem.out[last].dtype == HONE_BOOL) out[k] = !kept[0];
                if (sees_right(&f, true, &error, why) || !*why) fail_msg("%s: element %zu", problems[p], k);
                memcpy(out + k * size, kept, size);
            }
            assert_true(sees_right(&f, true, &error, why));
            close_fixture(&f);
        }
    assert_true(launches > 0);
}

// The same four sums: errors of rounded outputs agree to the last bits of a sum.
static void both_find_the_same_error(void **state)
{
    double error[2];
    char why[256];
    (void)state;
    for (int has_kernel = 0; has_kernel < 2; has_kernel++) {
        fixture f;
        open_fixture(&f, "matmul a=f16:64x65 b=f16:65x66", has_kernel);
        write_right(&f);
        for (int k = 0; k < 4000; k += 3) ((uint16_t *)f.buffers.outputs[0])[k]++;
        assert_true(sees_right(&f, true, &error[has_kernel], why));
        close_fixture(&f);
    }
    assert_true(error[0] > 1e-5 && fabs(error[0] - error[1]) < 1e-12);
}

static void what_the_type_cannot_hold_may_be_infinite(void **state)
{
    double error;
    char why[256];
    (void)state;
    for (int has_kernel = 0; has_kernel < 2; has_kernel++) {
        fixture f;
        open_fixture(&f, "exp x=f16:64", has_kernel);
        f.expect.out[0].f[3] = 1e6;
        assert_int_equal(hone_gauge_refill(&f.gauge), HONE_OK);
        write_right(&f);
        ((uint16_t *)f.buffers.outputs[0])[3] = hone_f16_from_float(INFINITY);
        assert_true(sees_right(&f, true, &error, why));
        ((uint16_t *)f.buffers.outputs[0])[3] = hone_f16_from_float(-INFINITY);
        assert_false(sees_right(&f, true, &error, why));
        close_fixture(&f);
    }
}

// ---- points

static const char dear[] = "matmul a=f16:1024x1200 b=f16:1200x1024";

static hone_array product;      // of the dear problem, the same for all fixtures: made once

static int begin(void **state)
{
    hone_problem problem;
    hone_array operands[2] = {0};
    (void)state;
    if (hone_device_open("cpu", &device) || hone_problem_parse(dear, &problem)) return -1;
    for (int k = 0; k < 2; k++)
        if (hone_problem_draw(&problem, k, 7, &operands[k], 2)) return -1;
    if (hone_problem_reference(&problem, operands, &product, 2)) return -1;
    for (int k = 0; k < 2; k++) hone_array_clear(&operands[k]);
    return 0;
}

static int end(void **state)
{
    hone_device_api api = *device->api;
    const hone_device_api *own = device->api;
    (void)state;
    api.unload = spy_unload;
    device->api = &api;
    hone_comparer_close(comparer);
    device->api = own;
    hone_device_close(device);
    hone_array_clear(&product);
    return 0;
}

static void write_product(fixture *f)
{
    hone_array_pack(&product, &f->problem.out[0], f->buffers.outputs[0], false, 2);
}

static bool is_point(const fixture *f, int64_t element)
{
    for (int64_t k = 0; k < f->expect.n_points; k++)
        if (f->expect.index[k] == element) return true;
    return false;
}

static void check_points(fixture *f)
{
    uint16_t *out = f->buffers.outputs[0];
    int64_t hidden = 5000;
    double error;
    char why[256];
    assert_non_null(f->expect.index);
    while (is_point(f, hidden)) hidden++;
    write_product(f);
    uint16_t right = out[hidden];
    // What is never written holds the poison of each run. The points do not see it, the second run does.
    memset(&out[hidden], 0xff, sizeof *out);
    assert_true(sees_right(f, true, &error, why));
    memset(&out[hidden], 0x7b, sizeof *out);
    assert_false(sees_right(f, false, &error, why));
    out[hidden] = right;
    assert_true(sees_right(f, true, &error, why));
    assert_true(sees_right(f, false, &error, why));
    hone_gauge_adopt(&f->gauge);
    // From now on the whole is known.
    out[hidden] = hone_f16_from_float(50);
    assert_false(sees_right(f, true, &error, why));
    assert_false(sees_right(f, false, &error, why));
    out[hidden] = right;
    assert_true(sees_right(f, true, &error, why));
    out[f->expect.index[1]] ^= 0x4000;
    assert_false(sees_right(f, true, &error, why));
}

static void the_first_that_is_right_stands_in_for_the_whole(void **state)
{
    (void)state;
    for (int has_kernel = 0; has_kernel < 2; has_kernel++) {
        fixture f;
        open_fixture(&f, dear, has_kernel);
        check_points(&f);
        close_fixture(&f);
    }
}

// Whoever wrote anywhere may have written over what the rest is held against.
static void a_reference_that_was_overwritten_is_written_anew(void **state)
{
    static const char *const both[] = {"add a=f32:40x50 b=f32:40x50", dear};
    double error;
    char why[256];
    (void)state;
    for (int k = 0; k < 2; k++) {
        fixture f;
        open_fixture(&f, both[k], true);
        if (k) write_product(&f);
        else write_right(&f);
        assert_true(sees_right(&f, true, &error, why));
        hone_gauge_adopt(&f.gauge);
        memset(f.gauge.references[0].memory, 0x55, hone_tensor_size(&f.problem.out[0]));
        assert_false(sees_right(&f, true, &error, why));
        assert_int_equal(hone_gauge_refill(&f.gauge), HONE_OK);
        assert_true(sees_right(&f, true, &error, why));
        assert_true(sees_right(&f, false, &error, why));
        close_fixture(&f);
    }
}

int test_tuner_gauge(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_element_is_seen_by_both),
        cmocka_unit_test(both_find_the_same_error),
        cmocka_unit_test(what_the_type_cannot_hold_may_be_infinite),
        cmocka_unit_test(the_first_that_is_right_stands_in_for_the_whole),
        cmocka_unit_test(a_reference_that_was_overwritten_is_written_anew),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
