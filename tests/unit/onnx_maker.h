// SPDX-License-Identifier: Apache-2.0
// Writes small ONNX files for tests: protobuf by hand into a hone_text. All functions append.
#ifndef HONE_TESTS_UNIT_ONNX_MAKER_H
#define HONE_TESTS_UNIT_ONNX_MAKER_H

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "tests/unit/unit.h"

static inline void pb_varint(hone_text *to, uint64_t n)
{
    for (; n >= 0x80; n >>= 7) hone_text_append(to, (char[]){(char)(n | 0x80)}, 1);
    hone_text_append(to, (char[]){(char)n}, 1);
}

static inline void pb_int(hone_text *to, int field, int64_t n)
{
    pb_varint(to, (uint64_t)field << 3);
    pb_varint(to, (uint64_t)n);
}

static inline void pb_bytes(hone_text *to, int field, const void *data, size_t size)
{
    pb_varint(to, (uint64_t)field << 3 | 2);
    pb_varint(to, size);
    hone_text_append(to, data, size);
}

static inline void pb_text(hone_text *to, int field, const char *text) { pb_bytes(to, field, text, strlen(text)); }

// Takes the child's bytes and empties it.
static inline void pb_child(hone_text *to, int field, hone_text *child)
{
    pb_bytes(to, field, hone_text_get(child), child->size);
    hone_text_clear(child);
}

static inline void onnx_put_tensor(hone_text *graph, int field, const char *name, int type, int rank, const int64_t *dims, const void *data,
                                   size_t size)
{
    hone_text t = {0};
    for (int k = 0; k < rank; k++) pb_int(&t, 1, dims[k]);
    pb_int(&t, 2, type);
    pb_text(&t, 8, name);
    pb_bytes(&t, 9, data, size);
    pb_child(graph, field, &t);
}

static inline void onnx_put_floats(hone_text *graph, const char *name, int rank, const int64_t *dims, const float *data)
{
    size_t n = 1;
    for (int k = 0; k < rank; k++) n *= (size_t)dims[k];
    onnx_put_tensor(graph, 5, name, 1, rank, dims, data, n * sizeof *data);
}

static inline void onnx_put_longs(hone_text *graph, const char *name, int64_t n, const int64_t *data)
{
    onnx_put_tensor(graph, 5, name, 7, 1, &n, data, (size_t)n * sizeof *data);
}

static inline void onnx_attr_int(hone_text *attrs, const char *name, int64_t value)
{
    hone_text a = {0};
    pb_text(&a, 1, name);
    pb_int(&a, 3, value);
    pb_int(&a, 20, 2);
    pb_child(attrs, 5, &a);
}

static inline void onnx_attr_ints(hone_text *attrs, const char *name, int n, const int64_t *values)
{
    hone_text a = {0};
    pb_text(&a, 1, name);
    for (int k = 0; k < n; k++) pb_int(&a, 8, values[k]);
    pb_int(&a, 20, 7);
    pb_child(attrs, 5, &a);
}

// inputs and outputs are names with blanks between; attrs (NULL: none) are emptied.
static inline void onnx_put_node(hone_text *graph, const char *op, const char *inputs, const char *outputs, hone_text *attrs)
{
    hone_text node = {0};
    char word[64];
    for (int side = 0; side < 2; side++) {
        hone_scan scan = {side ? outputs : inputs};
        for (hone_scan_blanks(&scan); hone_scan_token(&scan, word, sizeof word); hone_scan_blanks(&scan))
            pb_text(&node, 1 + side, strcmp(word, "-") ? word : "");
    }
    pb_text(&node, 4, op);
    if (attrs) {
        hone_text_append(&node, hone_text_get(attrs), attrs->size);
        hone_text_clear(attrs);
    }
    pb_child(graph, 1, &node);
}

// A negative dim becomes the symbol "n".
static inline void onnx_put_port(hone_text *graph, bool is_input, const char *name, int type, int rank, const int64_t *dims)
{
    hone_text shape = {0}, tensor = {0}, kind = {0}, info = {0}, dim = {0};
    for (int k = 0; k < rank; k++) {
        if (dims[k] < 0) pb_text(&dim, 2, "n");
        else pb_int(&dim, 1, dims[k]);
        pb_child(&shape, 1, &dim);
    }
    pb_int(&tensor, 1, type);
    pb_child(&tensor, 2, &shape);
    pb_child(&kind, 1, &tensor);
    pb_text(&info, 1, name);
    pb_child(&info, 2, &kind);
    pb_child(graph, is_input ? 11 : 12, &info);
}

// Writes the model into path (a fresh folder's model.onnx, at least 300 bytes of room) and empties the graph.
static inline void onnx_write(hone_text *graph, int opset, char *path)
{
    hone_text model = {0}, set = {0};
    char folder[256];
    pb_int(&model, 1, 8);
    pb_child(&model, 7, graph);
    pb_text(&set, 1, "");
    pb_int(&set, 2, opset);
    pb_child(&model, 8, &set);
    snprintf(path, 300, "%s/model.onnx", unit_folder(folder));
    assert_int_equal(hone_text_status(&model), HONE_OK);
    assert_int_equal(hone_file_write(path, hone_text_get(&model), model.size), HONE_OK);
    hone_text_clear(&model);
}

#endif
