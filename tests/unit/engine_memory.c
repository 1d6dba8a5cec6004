// SPDX-License-Identifier: Apache-2.0
// No two live buffers overlap under any timing of the lanes. hone_plan_check is the judge, so it is tested on tampered plans too.
#include "engine/assemble_priv.h"
#include "tests/unit/graph_maker.h"

static hone_plan *make_plan(maker *m, hone_device *device, uint64_t seed, int lanes)
{
    maker_images(m, seed, 8 + (int)(seed % 12));
    hone_store *store = maker_store(m->graph, device, "fp16,fp32", seed, 6, NULL);
    hone_plan *plan = maker_build(m->graph, store, device, "fp16,fp32", lanes);
    hone_store_close(store);
    return plan;
}

static int64_t sum_of_blocks(const hone_plan *plan)
{
    int64_t sum = 0;
    for (int b = 0; b < plan->n_buffers; b++)
        if (plan->buffers[b].alias < 0) sum += (plan->buffers[b].size_bytes + 255) / 256 * 256;
    for (int s = 0; s < plan->n_steps; s++) sum += (plan->steps[s].workspace_bytes + 255) / 256 * 256;
    return sum;
}

static void live_buffers_never_overlap(void **state)
{
    (void)state;
    hone_device *device;
    OK(hone_device_open("cpu", &device));
    for (uint64_t seed = 1; seed <= 24; seed++) {
        maker m;
        hone_plan *plan = make_plan(&m, device, seed, 1 + (int)(seed % 4));
        OK(hone_plan_check(plan));
        for (int s = 0; s < plan->n_steps; s++) plan->steps[s].workspace_bytes = maker_random(&m, 3) ? 0 : maker_random(&m, 5000);
        OK(hone_memory_plan(plan));
        OK(hone_plan_check(plan));
        assert_true(plan->arena_bytes <= sum_of_blocks(plan));
        hone_plan_free(plan);
        hone_graph_free(m.graph);
    }
    hone_device_close(device);
}

// Moving one block onto another is found, unless one of them is done before the other begins.
static void overlaps_are_found(void **state)
{
    (void)state;
    hone_device *device;
    int found = 0, allowed = 0;
    OK(hone_device_open("cpu", &device));
    for (uint64_t seed = 1; seed <= 6; seed++) {
        maker m;
        hone_plan *plan = make_plan(&m, device, seed, 2);
        for (int k = 0; k < 40; k++) {
            int a = (int)maker_random(&m, (unsigned)plan->n_buffers), b = (int)maker_random(&m, (unsigned)plan->n_buffers);
            int64_t before = plan->buffers[a].offset_bytes;
            if (a == b || plan->buffers[a].alias >= 0 || plan->buffers[b].alias >= 0) continue;
            plan->buffers[a].offset_bytes = plan->buffers[b].offset_bytes;
            hone_status status = hone_plan_check(plan);
            assert_true(status == HONE_OK || status == HONE_DAMAGED);
            found += status == HONE_DAMAGED;
            allowed += status == HONE_OK;
            plan->buffers[a].offset_bytes = before;
        }
        // The operand of a step onto its result is never allowed.
        const hone_plan_step *step = &plan->steps[0];
        hone_buffer *in = &plan->buffers[hone_plan_root(plan, step->operands[0].index)];
        int64_t before = in->offset_bytes;
        if (step->operands[0].kind == HONE_SLOT_BUFFER) {
            in->offset_bytes = plan->buffers[step->outputs[0].index].offset_bytes;
            assert_int_equal(hone_plan_check(plan), HONE_DAMAGED);
            in->offset_bytes = before;
        }
        hone_plan_free(plan);
        hone_graph_free(m.graph);
    }
    assert_true(found > 20);
    hone_device_close(device);
}

// Without its waits a plan on several lanes reads what may not be there yet.
static void missing_waits_are_found(void **state)
{
    (void)state;
    hone_device *device;
    int dropped = 0;
    OK(hone_device_open("cpu", &device));
    for (uint64_t seed = 1; seed <= 12; seed++) {
        maker m;
        hone_plan *plan = make_plan(&m, device, seed, 4);
        for (int s = 0; s < plan->n_steps; s++) {
            int n = plan->steps[s].n_waits;
            if (!n) continue;
            plan->steps[s].n_waits = 0;
            assert_int_equal(hone_plan_check(plan), HONE_DAMAGED);
            plan->steps[s].n_waits = n;
            dropped++;
        }
        hone_plan_free(plan);
        hone_graph_free(m.graph);
    }
    assert_true(dropped > 0);
    hone_device_close(device);
}

// Where all the time is in one step nothing can overlap with it that counts: a chain. Where nothing is known about the times, lanes are used.
static void lanes_have_to_pay(void **state)
{
    (void)state;
    hone_device *device;
    int wide = 0;
    OK(hone_device_open("cpu", &device));
    for (uint64_t seed = 1; seed <= 8; seed++) {
        maker m;
        hone_plan *plan = make_plan(&m, device, seed, 4);
        for (int s = 0; s < plan->n_steps; s++) plan->steps[s].predicted_ns = 0;
        OK(hone_lanes_assign(plan, 4));
        wide += plan->lanes > 1;
        for (int s = 0; s < plan->n_steps; s++) plan->steps[s].predicted_ns = s == 0 ? 1000000 : 100;
        OK(hone_lanes_assign(plan, 4));
        assert_int_equal(plan->lanes, 1);
        for (int s = 0; s < plan->n_steps; s++) assert_int_equal(plan->steps[s].n_waits, 0);
        hone_plan_free(plan);
        hone_graph_free(m.graph);
    }
    assert_true(wide > 0);
    hone_device_close(device);
}

int test_engine_memory(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_buffers_never_overlap),
        cmocka_unit_test(overlaps_are_found),
        cmocka_unit_test(missing_waits_are_found),
        cmocka_unit_test(lanes_have_to_pay),
    };
    return cmocka_run_group_tests_name("engine_memory", tests, NULL, NULL);
}
