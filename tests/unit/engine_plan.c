// SPDX-License-Identifier: Apache-2.0
// Plan files: the same bytes every time, read back whole, and never believed when damaged.
#include "base/file.h"
#include "engine/assemble_priv.h"
#include "tests/unit/graph_maker.h"

static hone_plan *make_plan(uint64_t seed, int lanes)
{
    maker m;
    hone_device *device;
    OK(hone_device_open("cpu", &device));
    maker_images(&m, seed, 12);
    hone_store *store = maker_store(m.graph, device, "fp16,fp32", seed, 6, NULL);
    hone_plan *plan = maker_build(m.graph, store, device, "fp16,fp32", lanes);
    hone_store_close(store);
    hone_graph_free(m.graph);
    hone_device_close(device);
    return plan;
}

static void give_artifact(hone_plan *plan)
{
    static const char code[] = "compiled kernel";
    plan->artifacts = hone_arena_alloc(plan->arena, sizeof *plan->artifacts);
    plan->artifacts[0] = (hone_artifact){"key-1", code, sizeof code};
    plan->n_artifacts = 1;
    plan->steps[0].artifact = 0;
    plan->weights[0].name = "strange \"name\"\n\\ \xff \xc3\xa4";
    if (plan->n_weights > 1) plan->weights[1].name = plan->weights[0].name;
    plan->not_in_precision = "a: in fp32\nb: on integers\n";
}

static void round_trips_to_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        char *data, *again;
        size_t size, size_again;
        hone_plan *plan = make_plan(seed, 1 + (int)(seed % 4)), *loaded = NULL;
        hone_id a, b;
        give_artifact(plan);
        OK(hone_plan_pack(plan, &data, &size));
        OK(hone_plan_read((const uint8_t *)data, size, &loaded));
        OK(hone_plan_pack(loaded, &again, &size_again));
        assert_int_equal(size, size_again);
        assert_memory_equal(data, again, size);
        assert_string_equal(loaded->weights[0].name, plan->weights[0].name);
        assert_string_equal(loaded->not_in_precision, plan->not_in_precision);
        assert_memory_equal(loaded->artifacts[0].data, plan->artifacts[0].data, plan->artifacts[0].size_bytes);
        hone_plan_digest(plan, &a);
        hone_plan_digest(loaded, &b);
        assert_true(hone_id_equal(&a, &b));
        uint64_t header;
        memcpy(&header, data, 8);
        assert_int_equal((8 + header) % 64, 0);
        hone_plan_free(loaded);
        hone_plan_free(plan);
        hone_free(data);
        hone_free(again);
    }
}

static void two_builds_give_the_same_bytes(void **state)
{
    (void)state;
    char *data[2];
    size_t size[2];
    for (int k = 0; k < 2; k++) {
        hone_plan *plan = make_plan(3, 2);
        OK(hone_plan_pack(plan, &data[k], &size[k]));
        hone_plan_free(plan);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(data[0], data[1], size[0]);
    hone_free(data[0]);
    hone_free(data[1]);
}

static void files_are_read_back(void **state)
{
    (void)state;
    char folder[256], path[300];
    hone_plan *plan = make_plan(4, 2), *loaded = NULL;
    unit_folder(folder);
    snprintf(path, sizeof path, "%s/plan", folder);
    OK(hone_plan_save(plan, path));
    OK(hone_plan_load(path, &loaded));
    assert_int_equal(loaded->n_steps, plan->n_steps);
    hone_plan_free(loaded);
    OK(hone_file_write(path, "x", 1));
    assert_int_equal(hone_plan_load(path, &loaded), HONE_DAMAGED);
    assert_non_null(strstr(hone_error_text(), path));
    unlink(path);
    assert_int_equal(hone_plan_load(path, &loaded), HONE_IO);
    rmdir(folder);
    hone_plan_free(plan);
}

// The weights come before the network's digest is known.
static void drafts_give_the_same_bytes(void **state)
{
    (void)state;
    char folder[256], path[300];
    unit_folder(folder);
    snprintf(path, sizeof path, "%s/plan", folder);
    hone_plan *plan = make_plan(5, 1);
    hone_plan_draft *draft = NULL;
    const hone_id digest = plan->network_digest, none = {{0}};
    char *data;
    size_t size;
    hone_map map;
    plan->network_digest = none;
    OK(hone_plan_draft_new(path, &draft));
    assert_true(hone_plan_draft_begins(draft));
    OK(hone_plan_draft_begin(draft, plan));
    plan->network_digest = digest;
    OK(hone_plan_pack(plan, &data, &size));
    for (int w = 0; w < plan->n_weights; w++) plan->weights[w].data = NULL;       // the file has them
    OK(hone_plan_draft_end(draft, plan));
    hone_plan_draft_free(draft);
    OK(hone_map_open(path, &map));
    assert_int_equal(map.size_bytes, size);
    assert_memory_equal(map.data, data, size);
    hone_map_close(&map);
    hone_free(data);
    hone_plan_free(plan);
    unlink(path);
    rmdir(folder);
}

typedef struct gathered {
    uint8_t *bytes;
    size_t n;
} gathered;

static hone_status gather(void *user, const void *bytes, size_t size)
{
    gathered *g = user;
    memcpy(g->bytes + g->n, bytes, size);
    g->n += size;
    return HONE_OK;
}

static void weights_are_the_same_in_pieces(void **state)
{
    static const hone_tensor shapes[] = {{.rank = 4, .dims = {300, 70, 3, 3}}, {.rank = 4, .dims = {2, 600, 20, 30}}, {.rank = 1, .dims = {300001}},
                                         {.rank = 2, .dims = {0, 7}}, {.rank = 0}};
    static const hone_dtype types[][2] = {{HONE_F32, HONE_F16}, {HONE_F32, HONE_BF16}, {HONE_F32, HONE_F32}, {HONE_F16, HONE_F16}, {HONE_F16, HONE_F32},
                                          {HONE_F64, HONE_F16}};
    (void)state;
    uint8_t *data = hone_alloc((8 << 20) + 1);
    for (size_t k = 0; k < (8 << 20) + 1; k++) data[k] = (uint8_t)(k * 2654435761u >> 11);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t t = 0; t < 2 * sizeof types / sizeof *types; t++) {
            hone_recipe recipe = {.from = shapes[s], .to = shapes[s], .data = data + 1};        // at any address
            recipe.from.dtype = types[t / 2][0];
            recipe.to.dtype = types[t / 2][1];
            recipe.to.layout = t % 2 && shapes[s].rank == 4 ? HONE_NHWC : HONE_ROW;
            hone_arena *arena = hone_arena_new(1 << 26);
            gathered g = {.bytes = hone_alloc(hone_tensor_size(&recipe.to) + 1)};
            OK(hone_weight_make(arena, &recipe));
            OK(hone_weight_stream(&recipe, gather, &g));
            assert_int_equal(g.n, hone_tensor_size(&recipe.to));
            if (g.n) assert_memory_equal(g.bytes, recipe.made, g.n);
            hone_free(g.bytes);
            hone_arena_free(arena);
        }
    hone_free(data);
}

static void cut_files_are_damaged(void **state)
{
    (void)state;
    char *data;
    size_t size;
    hone_plan *plan = make_plan(5, 2), *loaded = NULL;
    int64_t before = hone_alloc_live_bytes();
    OK(hone_plan_pack(plan, &data, &size));
    for (size_t cut = 0; cut < size; cut += 512) assert_int_equal(hone_plan_read((const uint8_t *)data, cut, &loaded), HONE_DAMAGED);
    assert_int_equal(hone_plan_read((const uint8_t *)data, size - 1, &loaded), HONE_DAMAGED);
    hone_free(data);
    assert_int_equal(hone_alloc_live_bytes(), before);
    hone_plan_free(plan);
}

// Weights may change unnoticed; everything else must either be refused or still be a plan that holds its promises.
static void flipped_bits_never_crash(void **state)
{
    (void)state;
    char *data;
    size_t size;
    hone_plan *plan = make_plan(6, 3), *loaded = NULL;
    OK(hone_plan_pack(plan, &data, &size));
    hone_plan_free(plan);
    int64_t before = hone_alloc_live_bytes();
    uint64_t header;
    memcpy(&header, data, 8);
    int refused = 0;
    for (uint64_t k = 0; k < 3000; k++) {
        size_t at = hone_rng_bits(8, 8, k) % (size_t)(8 + header);
        char bit = (char)(1 << hone_rng_bits(8, 9, k) % 8);
        data[at] ^= bit;
        hone_status status = hone_plan_read((const uint8_t *)data, size, &loaded);
        data[at] ^= bit;
        assert_true(status == HONE_OK || status == HONE_DAMAGED);
        refused += status != HONE_OK;
        if (status != HONE_OK) continue;
        hone_plan_free(loaded);
    }
    assert_true(refused > 1000);
    assert_int_equal(hone_alloc_live_bytes(), before);
    hone_free(data);
}

// The text of a plan with one line changed; what becomes of it.
static hone_status read_changed(const hone_plan *plan, const char *from, const char *to)
{
    char *data;
    size_t size, from_size = strlen(from);
    hone_plan *loaded = NULL;
    OK(hone_plan_pack(plan, &data, &size));
    char *at = memmem(data, size, from, from_size);
    assert_non_null(at);
    assert_int_equal(from_size, strlen(to));
    memcpy(at, to, from_size);
    hone_status status = hone_plan_read((const uint8_t *)data, size, &loaded);
    hone_plan_free(loaded);
    hone_free(data);
    return status;
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    hone_plan *plan = make_plan(7, 2);
    assert_int_equal(read_changed(plan, "hone-plan 1", "hone-plan 2"), HONE_DAMAGED);
    assert_non_null(strstr(hone_error_text(), "format 2"));
    assert_int_equal(read_changed(plan, "\\ndevice cpu", "\\ndevice zpu"), HONE_DAMAGED);
    assert_int_equal(read_changed(plan, "tactic ref.plain", "tactic ref:plain"), HONE_DAMAGED);
    assert_int_equal(read_changed(plan, "\"data_offsets\": [0", "\"data_offsets\": [9"), HONE_DAMAGED);
    assert_int_equal(read_changed(plan, "hone.plan", "hone.plam"), HONE_DAMAGED);
    assert_non_null(strstr(hone_error_text(), "no plan of hone"));
    hone_plan_free(plan);
}

static void deep_headers_are_refused(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    hone_plan *loaded = NULL;
    char *data = hone_alloc(SIZE + 8);
    uint64_t size = SIZE;
    memcpy(data, &size, 8);
    memset(data + 8, '[', SIZE);
    assert_int_equal(hone_plan_read((const uint8_t *)data, SIZE + 8, &loaded), HONE_DAMAGED);
    size = UINT64_MAX;
    memcpy(data, &size, 8);
    assert_int_equal(hone_plan_read((const uint8_t *)data, SIZE + 8, &loaded), HONE_DAMAGED);
    hone_free(data);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    char *data;
    size_t size;
    hone_plan *plan = make_plan(8, 2), *loaded = NULL;
    OK(hone_plan_pack(plan, &data, &size));
    int64_t before = hone_alloc_live_bytes();
    for (uint64_t nth = 1;; nth++) {
        hone_alloc_fail_at(nth, 1);
        hone_status status = hone_plan_read((const uint8_t *)data, size, &loaded);
        hone_alloc_fail_at(0, 0);
        if (status == HONE_OK) break;
        assert_int_equal(status, HONE_NO_MEMORY);
        assert_int_equal(hone_alloc_live_bytes(), before);
    }
    hone_plan_free(loaded);
    hone_plan_free(plan);
    hone_free(data);
}

int test_engine_plan(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_to_the_same_bytes),
        cmocka_unit_test(two_builds_give_the_same_bytes),
        cmocka_unit_test(files_are_read_back),
        cmocka_unit_test(drafts_give_the_same_bytes),
        cmocka_unit_test(weights_are_the_same_in_pieces),
        cmocka_unit_test(cut_files_are_damaged),
        cmocka_unit_test(flipped_bits_never_crash),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(deep_headers_are_refused),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests_name("engine_plan", tests, NULL, NULL);
}
