// SPDX-License-Identifier: Apache-2.0
// One byte outside a buffer, on either side of any of them, is found; inside none is.
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/unit.h"
#include "tuner/buffers.h"

typedef struct fixture {
    hone_device *device;
    hone_problem problem;
    hone_buffers buffers;
    char operand[64 * 64 * 4];
} fixture;

static void open_fixture(fixture *f, const char *problem, size_t workspace_bytes)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(hone_device_open("cpu", &f->device), HONE_OK);
    assert_int_equal(hone_problem_parse(problem, &f->problem), HONE_OK);
    f->buffers.device = f->device;
    void *operands[HONE_OPERANDS_MAX];
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) operands[k] = f->operand;
    assert_int_equal(hone_buffers_lay(&f->buffers, &f->problem), HONE_OK);
    assert_int_equal(hone_buffers_fill(&f->buffers, operands), HONE_OK);
    assert_int_equal(hone_buffers_take_workspace(&f->buffers, workspace_bytes), HONE_OK);
    assert_int_equal(hone_buffers_poison(&f->buffers, 0xff), HONE_OK);
}

static void close_fixture(fixture *f)
{
    hone_buffers_clear(&f->buffers);
    hone_device_close(f->device);
}

static const char *broken(fixture *f)
{
    const char *what;
    assert_int_equal(hone_buffers_check(&f->buffers, &what), HONE_OK);
    return what;
}

static void check_edges(fixture *f, char *memory, size_t size_bytes, const char *name)
{
    char kept = memory[size_bytes];
    memory[size_bytes] ^= 1;
    assert_string_equal(broken(f), name);
    memory[size_bytes] = kept;
    kept = memory[-1];
    memory[-1] ^= 1;
    assert_string_equal(broken(f), name);
    memory[-1] = kept;
    memory[0] ^= 1;
    memory[size_bytes - 1] ^= 1;
    assert_null(broken(f));
}

static void each_edge_is_guarded(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "matmul a=f32:13x7 b=f32:7x5", 1001);
    assert_null(broken(&f));
    for (int k = 0; k < 2; k++) check_edges(&f, f.buffers.operands[k], hone_tensor_size(&f.problem.operands[k]), "an operand");
    check_edges(&f, f.buffers.outputs[0], hone_tensor_size(&f.problem.out[0]), "an output");
    check_edges(&f, f.buffers.workspace, 1001, "the workspace");
    close_fixture(&f);
}

static void buffers_are_aligned_and_reused(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "matmul a=f32:64x64 b=f32:64x64", 0);
    void *arena = f.buffers.arena;
    assert_null(f.buffers.workspace);
    assert_int_equal(hone_problem_parse("add a=f32:3 b=f32:3", &f.problem), HONE_OK);
    assert_int_equal(hone_buffers_lay(&f.buffers, &f.problem), HONE_OK);
    assert_ptr_equal(f.buffers.arena, arena);
    for (int k = 0; k < 2; k++) assert_int_equal((uintptr_t)f.buffers.operands[k] % 256, 0);
    assert_int_equal((uintptr_t)f.buffers.outputs[0] % 256, 0);
    close_fixture(&f);
}

static void too_much_is_no_memory(void **state)
{
    fixture f;
    (void)state;
    open_fixture(&f, "relu x=f32:8", 0);
    hone_alloc_fail_at(1, 0);
    assert_int_equal(hone_buffers_take_workspace(&f.buffers, 100000), HONE_NO_MEMORY);
    assert_int_equal(hone_buffers_take_workspace(&f.buffers, 4096), HONE_OK);
    assert_null(broken(&f));
    close_fixture(&f);
}

int test_tuner_buffers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_edge_is_guarded), cmocka_unit_test(buffers_are_aligned_and_reused), cmocka_unit_test(too_much_is_no_memory),
    };
    return cmocka_run_group_tests_name("tuner_buffers", tests, NULL, NULL);
}
