// SPDX-License-Identifier: Apache-2.0
// Tensor maps as heads of kernels ask for them, up to the launch. What they mean to a kernel is held by tests/emulate.
#include "kernels/source_nvrtc_priv.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

extern const hone_source hone_source_nvrtc;

static hone_problem problem;
static hone_target target;
static hone_tactic tactic;
static hone_bound bound;

static hone_status bind(const char *text, const char *spelled)
{
    assert_int_equal(hone_target_parse("cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W", &target), HONE_OK);
    if (hone_problem_parse(text, &problem) || hone_tactic_parse(spelled, &tactic)) fail_msg("%s: %s: %s", text, spelled, hone_error_text());
    return hone_bound_init(&problem, &tactic, &target, &bound);
}

static void check_axis(const hone_tensor_map *map, int axis, int64_t dim, int64_t stride, int box, int step)
{
    if (map->dims[axis] != dim || map->strides[axis] != stride || map->box[axis] != box || map->steps[axis] != step)
        fail_msg("axis %d: %lld by %lld, box %d, step %d; not %lld by %lld, %d, %d", axis, (long long)map->dims[axis], (long long)map->strides[axis],
                 map->box[axis], map->steps[axis], (long long)dim, (long long)stride, box, step);
}

static void read_maps(hone_tensor_map maps[HONE_MAPS_MAX])
{
    int n = 0;
    if (hone_bound_maps(&bound, maps, &n)) fail_msg("%s", hone_error_text());
    assert_int_equal(n, 2);
}

#define GEMM(rest) "nvrtc.gemm_tma@2 bm=128 bn=256 stages=4 pingpong=0 " rest " splits=1 band=8"

// a runs along k, b along n; blocks below each other share b, so that each fetches half of its rows.
static void of_a_product(void **state)
{
    hone_tensor_map maps[HONE_MAPS_MAX];
    (void)state;
    assert_int_equal(bind("matmul a=f16:1000x520 b=f16:520x776", GEMM("cm=2 cn=1")), HONE_OK);
    read_maps(maps);
    assert_int_equal(maps[0].rank, 2);
    assert_int_equal(maps[0].operand, 0);
    assert_int_equal(maps[0].element_bytes, 2);
    assert_false(maps[0].is_image);
    check_axis(&maps[0], 0, 520, 1, 64, 1);
    check_axis(&maps[0], 1, 1000, 520, 128, 1);
    assert_int_equal(maps[1].operand, 1);
    check_axis(&maps[1], 0, 776, 1, 64, 1);
    check_axis(&maps[1], 1, 520, 776, 32, 1);
    assert_int_equal(bind("matmul a=bf16:520x1000 b=bf16:776x520 trans_a=1 trans_b=1", GEMM("cm=1 cn=2")), HONE_OK);
    read_maps(maps);
    check_axis(&maps[0], 0, 1000, 1, 64, 1);
    check_axis(&maps[0], 1, 520, 1000, 32, 1);
    check_axis(&maps[1], 0, 520, 1, 64, 1);
    check_axis(&maps[1], 1, 776, 520, 256, 1);
}

// What all products of a batch share has one place along that axis.
static void of_a_batch(void **state)
{
    hone_tensor_map maps[HONE_MAPS_MAX];
    (void)state;
    assert_int_equal(bind("matmul a=f16:4x1x200x64 b=f16:3x64x136", GEMM("cm=1 cn=1")), HONE_OK);
    read_maps(maps);
    assert_int_equal(maps[0].rank, 4);
    check_axis(&maps[0], 2, 1, 8, 1, 1);
    check_axis(&maps[0], 3, 4, 200 * 64, 1, 1);
    check_axis(&maps[1], 2, 3, 64 * 136, 1, 1);
    check_axis(&maps[1], 3, 1, 8, 1, 1);
}

#define CONV(rest) "nvrtc.conv_tma@2 bm=128 bn=128 stages=6 pingpong=0 " rest " splits=1"

// The bounding box holds as many first taps as there are outputs, whatever is left over at the far edge.
static void of_an_image(void **state)
{
    static const struct { const char *text; int64_t in, out; int stride, pad; } cases[] = {
        {"conv x=f16:2x14x14x128:nhwc w=f16:136x3x3x128:nhwc pad=1", 14, 14, 1, 1},
        {"conv x=f16:2x15x15x128:nhwc w=f16:136x3x3x128:nhwc pad=1 stride=2", 15, 8, 2, 1},
        {"conv x=f16:2x14x14x128:nhwc w=f16:136x3x3x128:nhwc pad=0 stride=2", 14, 6, 2, 0},
        {"conv x=f16:2x14x14x128:nhwc w=f16:136x3x3x128:nhwc pad=2 dilation=2", 14, 14, 1, 2},
        {"conv x=f16:2x14x14x128:nhwc w=f16:136x1x1x128:nhwc stride=2", 14, 7, 2, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_tensor_map maps[HONE_MAPS_MAX];
        assert_int_equal(bind(cases[i].text, CONV("cm=1 cn=2")), HONE_OK);
        read_maps(maps);
        assert_true(maps[0].is_image && maps[0].rank == 4 && maps[0].box[0] == 64 && maps[0].box[1] == 64);
        for (int k = 0; k < 2; k++) {
            int64_t taps = (cases[i].in - 1 + maps[0].upper[k] - maps[0].lower[k]) / maps[0].steps[k + 1] + 1;
            assert_int_equal(maps[0].lower[k], -cases[i].pad);
            assert_int_equal(maps[0].steps[k + 1], cases[i].stride);
            assert_int_equal(taps, cases[i].out);
        }
        assert_int_equal(maps[0].dims[3], 2);
        assert_int_equal(maps[1].rank, 3);
        assert_int_equal(maps[1].box[1], 1);
    }
}

// What no map can say is no tactic, found before anything is compiled.
static void declines_what_the_hardware_cannot(void **state)
{
    static const struct { const char *text, *spelled; } cases[] = {
        {"matmul a=f16:1000x516 b=f16:516x776", GEMM("cm=1 cn=1")},                                            // rows of a at multiples of 8 bytes
        {"matmul a=f16:1000x520 b=f16:520x772", GEMM("cm=1 cn=1")},
        {"conv x=f16:2x64x64x128:nhwc w=f16:136x3x3x128:nhwc pad=1 stride=9", CONV("cm=1 cn=1")},
        {"conv x=f16:2x64x64x128:nhwc w=f16:136x3x3x128:nhwc pad=130 dilation=130", CONV("cm=1 cn=1")},
        {"conv x=f16:2x64x64x128:nhwc w=f16:136x3x3x128:nhwc dilation=30 pad=200", CONV("cm=1 cn=1")},
        {"conv x=f16:2x64x64x128:nhwc w=f16:136x3x3x64:nhwc pad=1 group=2", CONV("cm=1 cn=1")},
        {"conv x=f16:2x64x64x60:nhwc w=f16:136x3x3x60:nhwc pad=1", CONV("cm=1 cn=1")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(bind(cases[i].text, cases[i].spelled), HONE_OK);
        if (hone_source_nvrtc.valid(&problem, &tactic, &target) != HONE_DECLINED) fail_msg("%s was not declined", cases[i].text);
    }
}

// ---- the launch

typedef struct spy {
    hone_device base;
    hone_tensor_map maps[HONE_MAPS_MAX];
    int n_maps;
    void *params;
    size_t params_bytes, in_args;      // where the kernel's arguments begin with the operands
} spy;

static hone_status spy_load(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module, hone_function **function)
{
    (void)image, (void)size_bytes, (void)name;
    *module = (hone_module *)device;
    *function = (hone_function *)device;
    return HONE_OK;
}

static void spy_unload(hone_device *device, hone_module *module)
{
    (void)device, (void)module;
}

static hone_status spy_launch(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *launch)
{
    spy *s = (spy *)device;
    (void)stream, (void)function;
    s->n_maps = launch->n_maps;
    memcpy(s->maps, launch->maps, (size_t)launch->n_maps * sizeof *s->maps);
    s->params_bytes = launch->params_bytes;
    assert_int_equal((uintptr_t)launch->params % 64, 0);
    memcpy(&s->in_args, (char *)launch->params + launch->n_maps * HONE_MAP_BYTES, sizeof s->in_args);
    return HONE_OK;
}

// Each launch names the memory that it was given, in the maps and in the arguments behind the room for them.
static void a_launch_brings_addresses(void **state)
{
    static const hone_device_api api = {.kind = "cuda", .load = spy_load, .unload = spy_unload, .launch = spy_launch};
    static const char code[] = "hone_follower";
    spy s = {.base = {.api = &api}};
    char memory[4];
    void *outputs[] = {memory};
    hone_runnable *runnable = NULL;
    hone_blob blob = {.data = (void *)(uintptr_t)code, .size_bytes = sizeof code};
    (void)state;
    assert_int_equal(bind("matmul a=f16:1000x520 b=f16:520x776", GEMM("cm=2 cn=1")), HONE_OK);
    s.base.target = target;
    assert_int_equal(hone_source_nvrtc.prepare(&problem, &tactic, &s.base, &blob, &runnable), HONE_OK);
    assert_int_equal(runnable->api->wake(runnable), HONE_OK);
    assert_true(runnable->starts_early);       // its blocks walk over the tiles, one on each multiprocessor
    for (int turn = 0; turn < 2; turn++) {
        void *operands[] = {memory + turn, memory + 2 + turn};
        assert_int_equal(runnable->api->run(runnable, NULL, operands, outputs, NULL), HONE_OK);
        assert_int_equal(s.n_maps, 2);
        assert_ptr_equal(s.maps[0].base, operands[0]);
        assert_ptr_equal(s.maps[1].base, operands[1]);
        assert_ptr_equal((void *)s.in_args, operands[0]);
        assert_true(s.params_bytes > 2 * HONE_MAP_BYTES);
    }
    runnable->api->free(runnable);
}

int test_nvrtc_map(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_product), cmocka_unit_test(of_a_batch), cmocka_unit_test(of_an_image),
        cmocka_unit_test(declines_what_the_hardware_cannot), cmocka_unit_test(a_launch_brings_addresses),
    };
    return cmocka_run_group_tests_name("nvrtc_map", tests, NULL, NULL);
}
