// SPDX-License-Identifier: Apache-2.0
#include "engine/prescan_priv.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

enum { SMALL_PAYLOAD_BYTES = 256, LONGEST_VARINT = 10 };

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef enum message {
    MODEL, OPSET, ENTRY, TRAINING, FUNCTION, GRAPH, NODE, ATTRIBUTE, TENSOR, SEGMENT, SPARSE, VALUE_INFO, TYPE, TYPE_TENSOR,
    TYPE_SEQUENCE, TYPE_MAP, TYPE_OPTIONAL, TYPE_SPARSE, SHAPE, DIMENSION, ANNOTATION, MESSAGE_COUNT
} message;

typedef enum kind {
    VARINT,          // one number
    FIXED32,         // one float
    NUMBERS,         // repeated varints, packed or not
    FLOATS,          // repeated 4-byte numbers, packed or not
    DOUBLES,         // repeated 8-byte numbers, packed or not
    TEXT,            // a name: UTF-8 without NUL
    BYTES,           // anything
    DOCUMENT,        // words for people: left out of the slim copy
    RAW,             // TensorProto.raw_data
    REFUSED,
    CHILD,           // a message, at most once
    CHILDREN         // messages
} kind;

typedef struct field {
    uint8_t number, kind, child;
} field;

enum { FIELDS_MAX = 20 };

// ONNX's schema (onnx.proto, IR 13) as far as protobuf-c descends into it. A field that is not listed is skipped as bytes, as
// protobuf-c does, so it cannot nest.
static const struct {
    const char *name;
    field fields[FIELDS_MAX];
} schema[MESSAGE_COUNT] = {
    [MODEL] = {"ModelProto", {{1, VARINT, 0}, {8, CHILDREN, OPSET}, {2, TEXT, 0}, {3, TEXT, 0}, {4, TEXT, 0}, {5, VARINT, 0}, {6, DOCUMENT, 0},
        {7, CHILD, GRAPH}, {14, CHILDREN, ENTRY}, {20, CHILDREN, TRAINING}, {25, CHILDREN, FUNCTION}}},
    [OPSET] = {"OperatorSetIdProto", {{1, TEXT, 0}, {2, VARINT, 0}}},
    [ENTRY] = {"StringStringEntryProto", {{1, TEXT, 0}, {2, TEXT, 0}}},
    [TRAINING] = {"TrainingInfoProto", {{1, CHILD, GRAPH}, {2, CHILD, GRAPH}, {3, CHILDREN, ENTRY}, {4, CHILDREN, ENTRY}}},
    [FUNCTION] = {"FunctionProto", {{1, TEXT, 0}, {4, TEXT, 0}, {5, TEXT, 0}, {6, TEXT, 0}, {7, CHILDREN, NODE}, {8, DOCUMENT, 0},
        {9, CHILDREN, OPSET}, {10, TEXT, 0}}},
    [GRAPH] = {"GraphProto", {{1, CHILDREN, NODE}, {2, TEXT, 0}, {5, CHILDREN, TENSOR}, {15, CHILDREN, SPARSE}, {10, DOCUMENT, 0},
        {11, CHILDREN, VALUE_INFO}, {12, CHILDREN, VALUE_INFO}, {13, CHILDREN, VALUE_INFO}, {14, CHILDREN, ANNOTATION}}},
    [NODE] = {"NodeProto", {{1, TEXT, 0}, {2, TEXT, 0}, {3, TEXT, 0}, {4, TEXT, 0}, {7, TEXT, 0}, {5, CHILDREN, ATTRIBUTE}, {6, DOCUMENT, 0}}},
    [ATTRIBUTE] = {"AttributeProto", {{1, TEXT, 0}, {21, TEXT, 0}, {13, DOCUMENT, 0}, {20, VARINT, 0}, {2, FIXED32, 0}, {3, VARINT, 0},
        {4, BYTES, 0}, {5, CHILD, TENSOR}, {6, CHILD, GRAPH}, {22, CHILD, SPARSE}, {14, CHILD, TYPE}, {7, FLOATS, 0}, {8, NUMBERS, 0},
        {9, BYTES, 0}, {10, CHILDREN, TENSOR}, {11, CHILDREN, GRAPH}, {23, CHILDREN, SPARSE}, {15, CHILDREN, TYPE}}},
    [TENSOR] = {"TensorProto", {{1, NUMBERS, 0}, {2, VARINT, 0}, {3, REFUSED, 0}, {4, FLOATS, 0}, {5, NUMBERS, 0}, {6, BYTES, 0},
        {7, NUMBERS, 0}, {8, TEXT, 0}, {12, DOCUMENT, 0}, {9, RAW, 0}, {13, CHILDREN, ENTRY}, {14, VARINT, 0}, {10, DOUBLES, 0},
        {11, NUMBERS, 0}}},
    [SPARSE] = {"SparseTensorProto", {{1, CHILD, TENSOR}, {2, CHILD, TENSOR}, {3, NUMBERS, 0}}},
    [VALUE_INFO] = {"ValueInfoProto", {{1, TEXT, 0}, {2, CHILD, TYPE}, {3, DOCUMENT, 0}}},
    [TYPE] = {"TypeProto", {{1, CHILD, TYPE_TENSOR}, {4, CHILD, TYPE_SEQUENCE}, {5, CHILD, TYPE_MAP}, {9, CHILD, TYPE_OPTIONAL},
        {8, CHILD, TYPE_SPARSE}, {6, TEXT, 0}}},
    [TYPE_TENSOR] = {"TypeProto.Tensor", {{1, VARINT, 0}, {2, CHILD, SHAPE}}},
    [TYPE_SEQUENCE] = {"TypeProto.Sequence", {{1, CHILD, TYPE}}},
    [TYPE_MAP] = {"TypeProto.Map", {{1, VARINT, 0}, {2, CHILD, TYPE}}},
    [TYPE_OPTIONAL] = {"TypeProto.Optional", {{1, CHILD, TYPE}}},
    [TYPE_SPARSE] = {"TypeProto.SparseTensor", {{1, VARINT, 0}, {2, CHILD, SHAPE}}},
    [SHAPE] = {"TensorShapeProto", {{1, CHILDREN, DIMENSION}}},
    [DIMENSION] = {"TensorShapeProto.Dimension", {{1, VARINT, 0}, {2, TEXT, 0}, {3, TEXT, 0}}},
    [ANNOTATION] = {"TensorAnnotation", {{1, TEXT, 0}, {2, CHILDREN, ENTRY}}},
};

typedef struct frame {
    message type;
    size_t end;                // offset in the file behind the message
    size_t length_at;          // offset in the slim copy of the length before the message
    size_t length_bytes;       // width of that length
    size_t body_at;            // offset in the slim copy of the first byte
    uint64_t seen;             // singular fields met so far, by number
} frame;

typedef struct walk {
    const uint8_t *data;
    size_t size, at;
    size_t copied;             // the file up to here is in the slim copy, or left out
    size_t removed;            // bytes left out so far, less bytes put in
    frame frames[HONE_PRESCAN_DEPTH + 1];
    int depth;
    hone_prescan *scan;
} walk;

static hone_status bad(const walk *w, size_t at, const char *why)
{
    return hone_fail(HONE_MODEL, "not a sound ONNX file: byte %zu, in %s: %s", at, schema[w->frames[w->depth].type].name, why);
}

static bool read_varint(walk *w, size_t end, uint64_t *value)
{
    *value = 0;
    for (int k = 0; k < LONGEST_VARINT && w->at < end; k++) {
        uint8_t byte = w->data[w->at++];
        *value |= (uint64_t)(byte & 0x7f) << (7 * k);
        if (!(byte & 0x80)) return true;
    }
    return false;
}

static size_t write_varint(uint8_t *to, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

// protobuf readers accept a length with idle continuation bytes, so a shrunken length keeps its width.
static void rewrite_length(uint8_t *at, size_t width, uint64_t value)
{
    for (size_t k = 0; k < width; k++, value >>= 7) at[k] = (uint8_t)((value & 0x7f) | (k + 1 < width ? 0x80 : 0));
}

static void copy_until(walk *w, size_t until)
{
    memcpy(w->scan->slim + w->scan->slim_bytes, w->data + w->copied, until - w->copied);
    w->scan->slim_bytes += until - w->copied;
    w->copied = until;
}

static void leave_out(walk *w, size_t from, size_t until)
{
    copy_until(w, from);
    w->copied = until;
    w->removed += until - from;
}

static void point_at_payload(walk *w, size_t field_at, size_t from, size_t until)
{
    uint8_t body[2 * LONGEST_VARINT + 2], *slim;
    size_t n = 0;
    leave_out(w, field_at, until);
    body[n++] = 1 << 3 | WIRE_VARINT;
    n += write_varint(body + n, from);
    body[n++] = 2 << 3 | WIRE_VARINT;
    n += write_varint(body + n, until);
    slim = w->scan->slim + w->scan->slim_bytes;
    slim[0] = 3 << 3 | WIRE_BYTES;
    slim[1] = (uint8_t)n;
    memcpy(slim + 2, body, n);
    w->scan->slim_bytes += n + 2;
    w->removed -= n + 2;
}

static bool is_name(const uint8_t *text, size_t size)
{
    for (size_t k = 0; k < size;) {
        uint8_t c = text[k];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
        if (c == 0 || more == 9 || more >= size - k) return false;
        for (size_t j = 1; j <= more; j++)
            if ((text[k + j] & 0xc0) != 0x80) return false;
        if ((c == 0xe0 && text[k + 1] < 0xa0) || (c == 0xed && text[k + 1] >= 0xa0)) return false;
        if ((c == 0xf0 && text[k + 1] < 0x90) || (c == 0xf4 && text[k + 1] >= 0x90)) return false;
        k += more + 1;
    }
    return true;
}

static const field *find_field(message type, uint64_t number)
{
    for (const field *f = schema[type].fields; f < schema[type].fields + FIELDS_MAX && f->number; f++)
        if (f->number == number) return f;
    return NULL;
}

static bool wire_fits(kind k, int wire)
{
    switch (k) {
    case VARINT: return wire == WIRE_VARINT;
    case FIXED32: return wire == WIRE_32;
    case NUMBERS: return wire == WIRE_VARINT || wire == WIRE_BYTES;
    case FLOATS: return wire == WIRE_32 || wire == WIRE_BYTES;
    case DOUBLES: return wire == WIRE_64 || wire == WIRE_BYTES;
    default: return wire == WIRE_BYTES;
    }
}

static hone_status count_message(walk *w, message type, size_t at)
{
    hone_prescan *scan = w->scan;
    scan->nodes += type == NODE;
    scan->tensors += type == TENSOR;
    scan->attributes += type == ATTRIBUTE;
    if (scan->nodes > HONE_PRESCAN_NODES) return bad(w, at, "more than 200,000 nodes");
    if (scan->tensors > HONE_PRESCAN_TENSORS) return bad(w, at, "more than 200,000 tensors");
    if (++scan->messages > HONE_PRESCAN_MESSAGES) return bad(w, at, "more than 1,000,000 messages");
    return HONE_OK;
}

static hone_status enter(walk *w, message type, size_t field_at, size_t length_bytes, size_t size)
{
    if (w->depth == HONE_PRESCAN_DEPTH) return bad(w, field_at, "messages are nested deeper than 64 levels");
    hone_status status = count_message(w, type, field_at);
    if (status != HONE_OK) return status;
    frame *f = &w->frames[++w->depth];
    *f = (frame){.type = type, .end = w->at + size, .length_bytes = length_bytes, .body_at = w->at - w->removed};
    f->length_at = f->body_at - length_bytes;
    return HONE_OK;
}

// Behind the last byte of the innermost message: its length in the slim copy becomes what is left of it.
static void leave(walk *w)
{
    frame *f = &w->frames[w->depth--];
    size_t slim_end = f->end - w->removed;
    if (w->scan->slim_bytes >= f->body_at) rewrite_length(w->scan->slim + f->length_at, f->length_bytes, slim_end - f->body_at);
}

static hone_status check_payload(walk *w, const field *f, size_t field_at, size_t from, size_t size)
{
    switch ((kind)f->kind) {
    case TEXT:
        if (!is_name(w->data + from, size)) return bad(w, field_at, "a name is not UTF-8 text");
        break;
    case FLOATS:
        if (size % 4) return bad(w, field_at, "a list of 4-byte numbers is cut");
        break;
    case DOUBLES:
        if (size % 8) return bad(w, field_at, "a list of 8-byte numbers is cut");
        break;
    case NUMBERS:
        if (size && (w->data[from + size - 1] & 0x80)) return bad(w, field_at, "a list of numbers is cut");
        break;
    case RAW:
        if (size >= SMALL_PAYLOAD_BYTES) point_at_payload(w, field_at, from, from + size);
        break;
    case DOCUMENT:
        leave_out(w, field_at, from + size);
        break;
    default:
        break;
    }
    return HONE_OK;
}

static hone_status step_bytes(walk *w, const field *f, size_t field_at)
{
    frame *top = &w->frames[w->depth];
    uint64_t size;
    size_t length_at = w->at;
    if (!read_varint(w, top->end, &size) || w->at - length_at > 5) return bad(w, field_at, "a length is broken");
    if (size > top->end - w->at) return bad(w, field_at, "a field is longer than what holds it");
    if (f && (f->kind == CHILD || f->kind == CHILDREN)) return enter(w, f->child, field_at, w->at - length_at, size);
    hone_status status = f ? check_payload(w, f, field_at, w->at, size) : HONE_OK;
    w->at += size;
    return status;
}

static hone_status step_fixed(walk *w, size_t size, size_t field_at)
{
    if (w->frames[w->depth].end - w->at < size) return bad(w, field_at, "a number is cut");
    w->at += size;
    return HONE_OK;
}

static hone_status step(walk *w)
{
    frame *top = &w->frames[w->depth];
    size_t field_at = w->at;
    uint64_t tag, value;
    if (!read_varint(w, top->end, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return bad(w, field_at, "a field's tag is broken");
    int wire = (int)(tag & 7);
    const field *f = find_field(top->type, tag >> 3);
    if (wire != WIRE_VARINT && wire != WIRE_64 && wire != WIRE_BYTES && wire != WIRE_32) return bad(w, field_at, "a field's wire type is unknown");
    if (f && !wire_fits(f->kind, wire)) return bad(w, field_at, "a field has another wire type than ONNX gives it");
    if (f && f->kind == REFUSED) return bad(w, field_at, "a tensor in segments is not supported");
    if (f && (f->kind == CHILD || f->kind == RAW)) {      // protobuf merges repeated ones, at quadratic cost
        if (top->seen >> f->number & 1) return bad(w, field_at, "a field that may stand once stands twice");
        top->seen |= (uint64_t)1 << f->number;
    }
    if (wire == WIRE_BYTES) return step_bytes(w, f, field_at);
    if (wire == WIRE_VARINT) return read_varint(w, top->end, &value) ? HONE_OK : bad(w, field_at, "a number is broken");
    return step_fixed(w, wire == WIRE_64 ? 8 : 4, field_at);
}

hone_status hone_prescan_run(const uint8_t *data, size_t size_bytes, hone_prescan_root root, hone_prescan *scan)
{
    *scan = (hone_prescan){0};
    walk *w = hone_calloc(1, sizeof *w);
    scan->slim = hone_alloc(size_bytes + 1);       // pages that the copy never touches cost nothing
    hone_status status = w && scan->slim ? HONE_OK : HONE_NO_MEMORY;
    if (status != HONE_OK) goto out;
    w->data = data;
    w->size = size_bytes;
    w->scan = scan;
    w->frames[0] = (frame){.type = root == HONE_PRESCAN_MODEL ? MODEL : TENSOR, .end = size_bytes};
    if (size_bytes == 0) HONE_TRY(hone_fail(HONE_MODEL, "not an ONNX file: it is empty"));
    while (w->depth > 0 || w->at < size_bytes) {
        if (w->at == w->frames[w->depth].end) leave(w);
        else HONE_TRY(step(w));
    }
    copy_until(w, size_bytes);
out:
    if (status != HONE_OK) hone_prescan_clear(scan);
    hone_free(w);
    return status;
}

void hone_prescan_clear(hone_prescan *scan)
{
    hone_free(scan->slim);
    scan->slim = NULL;
}
