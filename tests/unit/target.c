// SPDX-License-Identifier: Apache-2.0
// Targets, devices by name, toolchains, and the generic code over sources.
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/source.h"

static const char h200[] = "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W";

static hone_target target_of(const char *text)
{
    hone_target target;
    if (hone_target_parse(text, &target) != HONE_OK) fail_msg("%s", hone_error_text());
    return target;
}

static void spelling(void **state)
{
    static const char *const texts[] = {h200, "cpu x86_64-avx2 \"Some (R) CPU @ 2.50GHz\" threads=2", "cuda sm_120 \"\" sms=0 mem=0MiB clock=0MHz power=0W"};
    static const char *const refused[] = {
        "", "cuda", "cpu", "gpu sm_90 \"X\" sms=1", "cuda sm_90 \"X\"", "cuda sm_90 X sms=132 mem=1MiB clock=1MHz power=1W",
        "cuda sm_90 \"X\" sms=132 mem=1 clock=1MHz power=1W", "cuda sm_90 \"X\" mem=1MiB sms=132 clock=1MHz power=1W",
        "cuda sm_ \"X\" sms=132 mem=1MiB clock=1MHz power=1W", "cuda gfx90 \"X\" sms=132 mem=1MiB clock=1MHz power=1W",
        "cuda sm_90 \"X\" sms=-1 mem=1MiB clock=1MHz power=1W", "cpu x86_64 \"X\" threads=2 more", "cpu x86_64 \"X threads=2",
    };
    char text[256];
    hone_target target;
    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        target = target_of(texts[k]);
        hone_target_print(&target, text, sizeof text);
        assert_string_equal(text, texts[k]);
    }
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
        if (hone_target_parse(refused[k], &target) != HONE_USAGE) fail_msg("\"%s\" was taken", refused[k]);
    target = target_of(h200);
    strcpy(target.model, "an \"odd\" name");
    hone_target_print(&target, text, sizeof text);
    assert_int_equal(hone_target_parse(text, &target), HONE_OK);
}

static void sizes(void **state)
{
    (void)state;
    hone_target target = target_of(h200);
    assert_int_equal(target.cc, 90);
    assert_int_equal(hone_target_l2_bytes(&target), 60 << 20);
    assert_int_equal(hone_target_smem_bytes(&target), 227 << 10);
    target = target_of("cuda sm_80 \"NVIDIA A100-SXM4-80GB\" sms=108 mem=81920MiB clock=1410MHz power=400W");
    assert_int_equal(hone_target_l2_bytes(&target), 40 << 20);
    assert_int_equal(hone_target_smem_bytes(&target), 163 << 10);
    target = target_of("cpu x86_64-avx2 \"X\" threads=2");
    assert_int_equal(hone_target_l2_bytes(&target), 32 << 20);
    assert_int_equal(hone_target_smem_bytes(&target), 0);
}

static void toolchains(void **state)
{
    static const char all[] = "cuda=13.0 driver=580.159 cublaslt=13.1.0 hone=0.1.0";
    char text[64];
    (void)state;
    assert_int_equal(hone_toolchain_get(all, "driver", text, sizeof text), HONE_OK);
    assert_string_equal(text, "580.159");
    assert_int_equal(hone_toolchain_get(all, "cud", text, sizeof text), HONE_MISS);
    assert_int_equal(hone_toolchain_get("", "cuda", text, sizeof text), HONE_MISS);
    hone_toolchain_pick(all, "cublaslt driver", text, sizeof text);
    assert_string_equal(text, "cublaslt=13.1.0 driver=580.159");
    hone_toolchain_pick(all, "cudnn  hone", text, sizeof text);
    assert_string_equal(text, "hone=0.1.0");
    hone_toolchain_pick(all, "", text, sizeof text);
    assert_string_equal(text, "");
}

static int released[2], n_released;

static void release(void *value)
{
    released[n_released++] = *(int *)value;
}

static void close_nothing(hone_device *device)
{
    (void)device;
}

static void extras(void **state)
{
    static const hone_device_api api = {.kind = "test", .close = close_nothing};
    static const char first_key, second_key;
    static int one = 1, two = 2;
    hone_device device = {.api = &api};
    (void)state;
    assert_null(hone_device_extra(&device, &first_key));
    assert_int_equal(hone_device_set_extra(&device, &first_key, &one, release), HONE_OK);
    assert_int_equal(hone_device_set_extra(&device, &second_key, &two, release), HONE_OK);
    assert_ptr_equal(hone_device_extra(&device, &first_key), &one);
    hone_device_close(&device);
    assert_int_equal(n_released, 2);
    assert_int_equal(released[0], 2);
    hone_device_close(NULL);
}

static void opening(void **state)
{
    hone_device *device;
    (void)state;
    assert_int_equal(hone_device_open("nonsense", &device), HONE_USAGE);
    assert_int_equal(hone_device_open("", &device), HONE_USAGE);
    assert_int_equal(hone_device_open("cpu", &device), HONE_OK);
    assert_string_equal(device->target.kind, "cpu");
    hone_device_close(device);
    assert_string_equal(hone_device_where(), "");
}

// ---- spaces

static hone_status even_only(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)target;
    bool is_even = hone_tactic_get(tactic, "a", 0) % 2 == 0;
    return is_even ? HONE_OK : hone_fail(HONE_DECLINED, "a must be even");
}

static hone_status collect(void *user, const hone_tactic *tactic)
{
    char text[HONE_TACTIC_TEXT];
    hone_tactic_print(tactic, text);
    hone_text_printf(user, "%s;", text);
    return HONE_OK;
}

static hone_status stop(void *user, const hone_tactic *tactic)
{
    (void)tactic;
    ++*(int *)user;
    return HONE_AGAIN;
}

static void spaces(void **state)
{
    static const hone_source source = {.name = "test", .devices = "cpu cuda", .valid = even_only};
    hone_space *space = hone_calloc(1, sizeof *space);
    hone_text seen;
    int visits = 0;
    (void)state;
    hone_text_init(&seen);
    space->n = 1;
    space->subspaces[0] = (hone_subspace){"tile", 2, 2, {{"a", 3, {2, 3, 4}}, {"b", 2, {7, 8}}}};
    space->points = hone_calloc(1, sizeof *space->points);
    space->n_points = 1;
    assert_int_equal(hone_tactic_parse("test.listed@1 a=0", space->points), HONE_OK);
    assert_int_equal(hone_space_each(&source, NULL, NULL, space, collect, &seen), HONE_OK);
    assert_string_equal(hone_text_get(&seen), "test.listed@1 a=0;test.tile@2 a=2 b=7;test.tile@2 a=2 b=8;test.tile@2 a=4 b=7;test.tile@2 a=4 b=8;");
    assert_int_equal(hone_space_each(&source, NULL, NULL, space, stop, &visits), HONE_AGAIN);
    assert_int_equal(visits, 1);
    hone_text_clear(&seen);
    hone_space_clear(space);
    hone_free(space);
    assert_true(hone_source_serves(&source, "cuda"));
    assert_false(hone_source_serves(&source, "cud"));
}

static void checks(void **state)
{
    hone_problem problem;
    hone_target target = target_of("cpu x86_64-avx2 \"X\" threads=2"), gpu = target_of(h200);
    hone_tactic tactic;
    (void)state;
    assert_non_null(hone_source_find("ref"));
    assert_null(hone_source_find("nonsense"));
    assert_int_equal(hone_problem_parse("relu x=f32:4", &problem), HONE_OK);
    assert_int_equal(hone_tactic_parse("nonsense.k@1", &tactic), HONE_OK);
    assert_int_equal(hone_tactic_check(&tactic, &problem, &target), HONE_DECLINED);
    assert_int_equal(hone_tactic_parse("nvrtc.nonsense@1", &tactic), HONE_OK);
    assert_int_equal(hone_tactic_check(&tactic, &problem, &target), HONE_DECLINED);      // not on a CPU
    assert_int_not_equal(hone_tactic_check(&tactic, &problem, &gpu), HONE_OK);
}

static void roofline(void **state)
{
    hone_target gpu = target_of(h200), cpu = target_of("cpu x86_64-avx2 \"X\" threads=2");
    hone_target unknown = target_of("cuda sm_99 \"X\" sms=100 mem=1000MiB clock=1000MHz power=300W");
    hone_problem half, single, tf32, copy;
    (void)state;
    assert_int_equal(hone_problem_parse("matmul a=f16:4096x4096 b=f16:4096x4096", &half), HONE_OK);
    assert_int_equal(hone_problem_parse("matmul a=f32:4096x4096 b=f32:4096x4096", &single), HONE_OK);
    assert_int_equal(hone_problem_parse("matmul a=f32:4096x4096 b=f32:4096x4096 math=tf32", &tf32), HONE_OK);
    assert_int_equal(hone_problem_parse("transpose x=f32:4096x4096 perm=1,0", &copy), HONE_OK);
    double h = hone_roofline_ns(&half, &gpu), s = hone_roofline_ns(&single, &gpu), t = hone_roofline_ns(&tf32, &gpu);
    assert_true(h > 130e3 && h < 150e3);                       // 137 GFLOP at 990 TFLOP/s
    assert_true(h < t && t < s);
    assert_true(hone_roofline_ns(&single, &unknown) > s);
    assert_true(hone_roofline_ns(&single, &cpu) > 1e9);
    double c = hone_roofline_ns(&copy, &gpu);
    assert_true(c > 27e3 && c < 29e3);                         // 134 MB at 4.8 TB/s
}

int test_target(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling), cmocka_unit_test(sizes), cmocka_unit_test(toolchains), cmocka_unit_test(extras), cmocka_unit_test(opening),
        cmocka_unit_test(spaces), cmocka_unit_test(checks), cmocka_unit_test(roofline),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
