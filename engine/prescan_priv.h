// SPDX-License-Identifier: Apache-2.0
// The guard in front of protobuf-c, which recurses without limit and copies every payload. An iterative walk by ONNX's own schema
// checks nesting, lengths, wire types, names and counts, and writes a slim copy: large raw_data payloads are left in the file, and
// TensorProto.segment (unused by any exporter, refused in files) says where each lies: begin and end are offsets in the file.
#ifndef HONE_ENGINE_PRESCAN_PRIV_H
#define HONE_ENGINE_PRESCAN_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum hone_prescan_root { HONE_PRESCAN_MODEL, HONE_PRESCAN_TENSOR } hone_prescan_root;

typedef struct hone_prescan {
    uint8_t *slim;             // owned; hone_free
    size_t slim_bytes;
    int64_t nodes, tensors, messages, attributes;
} hone_prescan;

enum {
    HONE_PRESCAN_DEPTH = 64,               // nested messages; If inside If needs three for each level
    HONE_PRESCAN_NODES = 200000,
    HONE_PRESCAN_TENSORS = 200000,
    HONE_PRESCAN_MESSAGES = 1000000
};

// HONE_MODEL with the byte offset at which the file stops being an ONNX document. scan is initialised here.
hone_status hone_prescan_run(const uint8_t *data, size_t size_bytes, hone_prescan_root root, hone_prescan *scan);
void hone_prescan_clear(hone_prescan *scan);

#endif
