// SPDX-License-Identifier: Apache-2.0
// ONNX documents: the slim copy, large and small payloads, symbolic dims, what is refused, failing allocations.
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/import.h"
#include "engine/onnx_model_priv.h"
#include "engine/prescan_priv.h"
#include "tests/unit/onnx_maker.h"

static const int64_t four[1] = {4}, large[2] = {64, 64}, open_dims[2] = {-1, 64};

// y = relu(x * w1 + b1) with one large and one small weight, and a doc string to be left out.
static void write_model(char *path)
{
    hone_text g = {0}, node = {0};
    float w[64 * 64], b[64];
    for (int k = 0; k < 64 * 64; k++) w[k] = (float)(k % 7) - 3;
    for (int k = 0; k < 64; k++) b[k] = (float)k;
    pb_text(&node, 1, "x");
    pb_text(&node, 1, "w");
    pb_text(&node, 2, "t");
    pb_text(&node, 6, "words for people, which are left out of the slim copy");
    pb_text(&node, 4, "MatMul");
    pb_child(&g, 1, &node);
    onnx_put_node(&g, "Add", "t b", "u", NULL);
    onnx_put_node(&g, "Relu", "u", "y", NULL);
    onnx_put_floats(&g, "w", 2, large, w);
    onnx_put_floats(&g, "b", 1, large, b);
    onnx_put_port(&g, true, "x", 1, 2, open_dims);
    onnx_put_port(&g, false, "y", 1, 2, open_dims);
    onnx_write(&g, 13, path);
}

static void slim_copies_drop_payloads(void **state)
{
    (void)state;
    char path[300];
    hone_map map;
    hone_prescan scan;
    onnx_model *model;
    write_model(path);
    assert_int_equal(hone_map_open(path, &map), HONE_OK);
    assert_int_equal(hone_prescan_run(map.data, map.size_bytes, HONE_PRESCAN_MODEL, &scan), HONE_OK);
    assert_true(scan.slim_bytes < 1000 && map.size_bytes > 64 * 64 * 4);
    assert_int_equal(scan.nodes, 3);
    assert_int_equal(scan.tensors, 2);
    hone_prescan_clear(&scan);
    assert_int_equal(onnx_model_open(path, &model), HONE_OK);
    assert_int_equal(model->graph->n_nodes, 3);
    assert_string_equal(model->graph->nodes[0].op_type, "MatMul");
    const onnx_tensor *w = &model->graph->tensors[0];
    assert_int_equal(w->raw_bytes, 64 * 64 * 4);
    assert_true(w->raw >= model->map.data && w->raw < model->map.data + model->map.size_bytes);
    float first[2];
    memcpy(first, w->raw, sizeof first);
    assert_true(first[0] == -3 && first[1] == -2);
    onnx_model_close(model);
    hone_map_close(&map);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    char path[300], *data;
    size_t size;
    hone_prescan scan;
    write_model(path);
    assert_int_equal(hone_file_read(path, 1 << 20, &data, &size), HONE_OK);
    int sound = 0;
    for (size_t cut = 0; cut < size; cut += cut < 700 ? 1 : 97) {
        uint8_t *copy = hone_alloc(cut + 1);              // its own block, so that a read behind it is seen
        memcpy(copy, data, cut);
        if (hone_prescan_run(copy, cut, HONE_PRESCAN_MODEL, &scan) == HONE_OK) sound++, hone_prescan_clear(&scan);
        hone_free(copy);
    }
    assert_true(sound <= 2);                              // between the fields of the model itself
    hone_free(data);
}

static void symbolic_dims_are_bound(void **state)
{
    (void)state;
    static const struct { const char *shapes; hone_status status; const char *words; } rows[] = {
        {"", HONE_MODEL, "--shapes x:nx64"}, {"x:3x64", HONE_OK, ""}, {"n:3", HONE_OK, ""}, {"0:3x64", HONE_OK, ""},
        {"x:3x65", HONE_USAGE, "fixes it to 64"}, {"x:3", HONE_USAGE, "1 dims, it has 2"}, {"z:3", HONE_USAGE, "names z"},
    };
    char path[300];
    write_model(path);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        hone_shapes shapes;
        hone_graph *graph = NULL;
        hone_import_options options = {.shapes = &shapes, .simplify = true};
        assert_int_equal(hone_shapes_parse(rows[k].shapes, &shapes), HONE_OK);
        assert_int_equal(hone_import(path, &options, NULL, &graph), rows[k].status);
        if (rows[k].status != HONE_OK) assert_non_null(strstr(hone_error_text(), rows[k].words));
        else assert_int_equal(graph->values[graph->outputs[0]].tensor.dims[0], 3);
        hone_graph_free(graph);
    }
}

static void shapes_are_read(void **state)
{
    (void)state;
    hone_shapes shapes;
    assert_int_equal(hone_shapes_parse("x:1x3x640x640,a:b:7,s:", &shapes), HONE_OK);
    assert_int_equal(shapes.n, 3);
    assert_int_equal(shapes.items[0].dims[3], 640);
    assert_string_equal(shapes.items[1].name, "a:b");
    assert_int_equal(shapes.items[2].rank, 0);
    const char *const bad[] = {"x", ":1", "x:1xx2", "x:-1", "x:1x2x3x4x5x6x7x8x9", "x:99999999999999999999", "x:1 2", "x:1x"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) assert_int_equal(hone_shapes_parse(bad[k], &shapes), HONE_USAGE);
}

static void constants_survive_the_document(void **state)
{
    (void)state;
    char path[300];
    hone_shapes shapes;
    hone_graph *graph;
    hone_array x = {0}, y;
    hone_tensor type = {.dtype = HONE_F32, .rank = 2, .dims = {2, 64}};
    write_model(path);
    assert_int_equal(hone_shapes_parse("n:2", &shapes), HONE_OK);
    hone_import_options options = {.shapes = &shapes, .simplify = true};
    assert_int_equal(hone_import(path, &options, NULL, &graph), HONE_OK);
    unlink(path);
    assert_int_equal(hone_graph_check(graph), HONE_OK);
    assert_int_equal(hone_array_init(&x, &type), HONE_OK);
    x.f[0] = 1;
    assert_int_equal(hone_graph_reference(graph, &x, &y, 2, NULL, NULL), HONE_OK);
    for (int k = 0; k < 64; k++) {
        assert_true(y.f[k] == fmax(0, k % 7 - 3 + k));
        assert_true(y.f[64 + k] == k);
    }
    assert_int_equal(hone_graph_parameters(graph), 64 * 64 + 64);
    hone_array_clear(&x);
    hone_array_clear(&y);
    hone_graph_free(graph);
}

static void all_unsupported_nodes_are_listed(void **state)
{
    (void)state;
    char path[300];
    hone_text g = {0};
    hone_graph *graph = NULL;
    hone_import_report report = {0};
    onnx_put_node(&g, "Explode", "x", "a", NULL);
    onnx_put_node(&g, "Relu", "a", "b", NULL);            // lost, but known: not listed
    onnx_put_node(&g, "LSTM", "b", "c", NULL);            // lost, and refused anyway: listed
    onnx_put_node(&g, "Implode", "c", "d", NULL);
    onnx_put_node(&g, "Relu", "x", "y", NULL);
    onnx_put_port(&g, true, "x", 1, 1, four);
    onnx_put_port(&g, false, "y", 1, 1, four);
    onnx_put_port(&g, false, "d", 1, 1, four);
    onnx_write(&g, 13, path);
    assert_int_equal(hone_import(path, NULL, &report, &graph), HONE_MODEL);
    assert_non_null(strstr(hone_error_text(), "a (Explode)"));
    assert_non_null(strstr(hone_error_text(), "c (LSTM)"));
    assert_non_null(strstr(hone_error_text(), "d (Implode)"));
    assert_null(strstr(hone_error_text(), "Relu"));
    hone_import_report_clear(&report);
    hone_import_options options = {.keep_going = true, .simplify = true};
    assert_int_equal(hone_import(path, &options, &report, &graph), HONE_OK);
    assert_int_equal(report.unsupported, 3);
    assert_int_equal(graph->n_outputs, 1);
    hone_import_report_clear(&report);
    hone_graph_free(graph);
}

static void failing_allocations_leave_nothing(void **state)
{
    (void)state;
    char path[300];
    hone_shapes shapes;
    hone_graph *graph = NULL;
    write_model(path);
    assert_int_equal(hone_shapes_parse("n:2", &shapes), HONE_OK);
    hone_import_options options = {.shapes = &shapes, .simplify = true};
    hone_status status = HONE_NO_MEMORY;
    int64_t before = hone_alloc_live_bytes();
    for (uint64_t nth = 1; status != HONE_OK; nth++) {
        assert_true(nth < 5000);
        hone_alloc_fail_at(nth, 0);
        status = hone_import(path, &options, NULL, &graph);
        hone_alloc_fail_at(0, 0);
        if (status == HONE_OK) break;
        assert_int_equal(hone_alloc_live_bytes(), before);
    }
    hone_graph_free(graph);
    assert_int_equal(hone_alloc_live_bytes(), before);
}

static void npy_round_trips(void **state)
{
    (void)state;
    char folder[256], path[300];
    snprintf(path, sizeof path, "%s/a.npy", unit_folder(folder));
    for (int dtype = HONE_F32; dtype < HONE_DTYPE_COUNT; dtype++) {
        hone_tensor tensor = {.dtype = (hone_dtype)dtype, .rank = dtype % 4, .dims = {2, 3, 4}}, back;
        uint8_t data[8 * 24];
        void *copy;
        for (size_t k = 0; k < sizeof data; k++) data[k] = (uint8_t)(k & 1);
        assert_int_equal(hone_export_npy(path, &tensor, data), HONE_OK);
        assert_int_equal(hone_import_tensor(path, &back, &copy), HONE_OK);
        if (dtype == HONE_BF16) back.dtype = HONE_BF16;           // NumPy has no name for it
        assert_true(hone_tensor_equal(&tensor, &back));
        assert_memory_equal(copy, data, hone_tensor_size(&tensor));
        hone_free(copy);
    }
    const char bad[][16] = {"", "\x93NUMPY", "\x93NUMPY\x01\x00\xff\xff{}", "\x93NUMPY\x09\x00\x02\x00{}", "text"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        hone_tensor tensor;
        void *data;
        assert_int_equal(hone_file_write(path, bad[k], k > 1 ? sizeof bad[k] : strlen(bad[k])), HONE_OK);
        assert_int_equal(hone_import_tensor(path, &tensor, &data), HONE_MODEL);
    }
}

int test_import_model(void);

int test_import_model(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slim_copies_drop_payloads), cmocka_unit_test(every_cut_is_refused), cmocka_unit_test(symbolic_dims_are_bound),
        cmocka_unit_test(shapes_are_read), cmocka_unit_test(constants_survive_the_document),
        cmocka_unit_test(all_unsupported_nodes_are_listed), cmocka_unit_test(failing_allocations_leave_nothing),
        cmocka_unit_test(npy_round_trips),
    };
    return cmocka_run_group_tests_name("import_model", tests, NULL, NULL);
}
