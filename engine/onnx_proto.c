// SPDX-License-Identifier: Apache-2.0
// The one file that knows protobuf-c. Its parser recurses, so it only ever sees what hone_prescan_run has passed; its memory comes
// from a pool with a ceiling, released as a whole.
#include "engine/onnx_model_priv.h"

#include <string.h>

#include "base/alloc.h"
#include "engine/prescan_priv.h"
#include "onnx/onnx.pb-c.h"

enum { CHUNK_BYTES = 1 << 18, POOL_SLACK_BYTES = 64 << 20, MODEL_ARENA_MAX = 1 << 30 };

typedef struct chunk {
    struct chunk *next;
    size_t used_bytes, size_bytes;
} chunk;

typedef struct pool {
    chunk *chunks;
    size_t total_bytes, ceiling_bytes;
    bool full;
} pool;

static void *pool_alloc(void *user, size_t size)
{
    pool *p = user;
    size_t rounded = (size + 15) & ~(size_t)15;
    if (p->chunks && p->chunks->size_bytes - p->chunks->used_bytes >= rounded) goto give;
    size_t header = (sizeof(chunk) + 15) & ~(size_t)15;
    size_t wanted = rounded > CHUNK_BYTES / 4 ? rounded + header : CHUNK_BYTES;
    p->full = p->full || rounded < size || wanted > p->ceiling_bytes - p->total_bytes;
    chunk *made = p->full ? NULL : hone_alloc(wanted);
    if (!made) return NULL;
    *made = (chunk){p->chunks, header, wanted};
    p->chunks = made;
    p->total_bytes += wanted;
give:;
    void *memory = (char *)p->chunks + p->chunks->used_bytes;
    p->chunks->used_bytes += rounded;
    return memory;
}

static void pool_keep(void *user, void *memory)
{
    (void)user, (void)memory;
}

static void pool_free(pool *p)
{
    for (chunk *at = p ? p->chunks : NULL, *next; at; at = next) {
        next = at->next;
        hone_free(at);
    }
    hone_free(p);
}

// ---- reading out. Arena failures are counted, so that the readers need not each look.

typedef struct reader {
    onnx_model *model;
    bool failed;
} reader;

static void *room(reader *r, size_t count, size_t size)
{
    void *memory = NULL;
    if (count == 0) return NULL;
    if (!r->failed) memory = hone_arena_alloc(r->model->arena, count * size);
    r->failed = r->failed || !memory;
    return memory;
}

static const char *word(const char *text)
{
    return text ? text : "";
}

static const char *domain_word(const char *text)
{
    return text && strcmp(text, "ai.onnx") ? text : "";
}

static const char *bytes_word(reader *r, const ProtobufCBinaryData *data)
{
    char *copy = room(r, data->len + 1, 1);
    if (!copy) return "";
    if (data->len) memcpy(copy, data->data, data->len);
    copy[data->len] = 0;
    return copy;
}

static void read_external(reader *r, const Onnx__TensorProto *from, onnx_tensor *to)
{
    to->is_external = from->has_data_location && from->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    onnx_entry *entries = room(r, from->n_external_data, sizeof *entries);
    if (!entries) return;
    for (size_t k = 0; k < from->n_external_data; k++)
        entries[k] = (onnx_entry){word(from->external_data[k]->key), word(from->external_data[k]->value)};
    to->external = entries;
    to->n_external = (int)from->n_external_data;
}

static void read_tensor(reader *r, const Onnx__TensorProto *from, onnx_tensor *to)
{
    *to = (onnx_tensor){.name = word(from->name), .type = from->data_type, .n_dims = (int)from->n_dims, .dims = from->dims,
        .n_floats = (int)from->n_float_data, .floats = from->float_data, .n_ints = (int)from->n_int32_data, .ints = from->int32_data,
        .n_longs = (int)from->n_int64_data, .longs = from->int64_data, .n_doubles = (int)from->n_double_data,
        .doubles = from->double_data, .n_ulongs = (int)from->n_uint64_data, .ulongs = from->uint64_data,
        .n_strings = (int)from->n_string_data};
    if (from->segment) {           // the pre-scan's note of where a large raw_data lies
        to->raw = r->model->map.data + from->segment->begin;
        to->raw_bytes = (size_t)(from->segment->end - from->segment->begin);
    } else if (from->has_raw_data) {
        static const uint8_t none[1];
        to->raw = from->raw_data.data ? from->raw_data.data : none;
        to->raw_bytes = from->raw_data.len;
    }
    read_external(r, from, to);
}

static const onnx_graph *read_graph(reader *r, const Onnx__GraphProto *from);

static const struct {
    int proto;
    onnx_attr_type type;
} attr_types[] = {
    {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, ONNX_ATTR_FLOAT}, {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, ONNX_ATTR_INT},
    {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, ONNX_ATTR_STRING}, {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR, ONNX_ATTR_TENSOR},
    {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH, ONNX_ATTR_GRAPH}, {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS, ONNX_ATTR_FLOATS},
    {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, ONNX_ATTR_INTS}, {ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS, ONNX_ATTR_STRINGS},
};

static onnx_attr_type attr_type(const Onnx__AttributeProto *from)
{
    if (!from->has_type || from->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED)
        return from->has_f ? ONNX_ATTR_FLOAT : from->has_i ? ONNX_ATTR_INT : from->has_s ? ONNX_ATTR_STRING : from->t ? ONNX_ATTR_TENSOR
            : from->g ? ONNX_ATTR_GRAPH : from->n_floats ? ONNX_ATTR_FLOATS : from->n_ints ? ONNX_ATTR_INTS
            : from->n_strings ? ONNX_ATTR_STRINGS : ONNX_ATTR_UNDEFINED;
    for (size_t k = 0; k < sizeof attr_types / sizeof *attr_types; k++)
        if (attr_types[k].proto == (int)from->type) return attr_types[k].type;
    return ONNX_ATTR_OTHER;
}

static void read_attr(reader *r, const Onnx__AttributeProto *from, onnx_attr *to)
{
    *to = (onnx_attr){.name = word(from->name), .ref = from->ref_attr_name && *from->ref_attr_name ? from->ref_attr_name : NULL,
        .type = attr_type(from), .f = from->f, .i = from->i, .s = "", .floats = from->floats, .ints = from->ints};
    to->n = (int)(to->type == ONNX_ATTR_FLOATS ? from->n_floats : to->type == ONNX_ATTR_INTS ? from->n_ints : 0);
    if (from->has_s) to->s = bytes_word(r, &from->s);
    if (from->t) {
        onnx_tensor *t = room(r, 1, sizeof *t);
        if (t) read_tensor(r, from->t, t);
        to->t = t;
    }
    if (from->g) to->g = read_graph(r, from->g);
    const char **strings = room(r, from->n_strings, sizeof *strings);
    for (size_t k = 0; strings && k < from->n_strings; k++) strings[k] = bytes_word(r, &from->strings[k]);
    to->strings = strings;
    if (to->type == ONNX_ATTR_STRINGS && strings) to->n = (int)from->n_strings;
}

// Fields that came after the schema at hand and change what a node means.
static const char *strange_field(const ProtobufCMessage *message, unsigned tag, const char *name)
{
    for (unsigned k = 0; k < message->n_unknown_fields; k++)
        if (message->unknown_fields[k].tag == tag && message->unknown_fields[k].len > 1) return name;
    return NULL;
}

static const onnx_node *read_nodes(reader *r, size_t n, Onnx__NodeProto **from)
{
    onnx_node *nodes = room(r, n, sizeof *nodes);
    for (size_t k = 0; nodes && k < n; k++) {
        const Onnx__NodeProto *f = from[k];
        onnx_attr *attrs = room(r, f->n_attribute, sizeof *attrs);
        for (size_t j = 0; attrs && j < f->n_attribute; j++) read_attr(r, f->attribute[j], &attrs[j]);
        nodes[k] = (onnx_node){word(f->name), word(f->op_type), domain_word(f->domain), strange_field(&f->base, 8, "overload"),
            (int)f->n_input, (int)f->n_output, attrs ? (int)f->n_attribute : 0, (const char *const *)f->input,
            (const char *const *)f->output, attrs};
    }
    return nodes;
}

static void read_shape(reader *r, const Onnx__TensorShapeProto *shape, onnx_value *to)
{
    to->n_dims = (int)shape->n_dim;
    int64_t *dims = room(r, shape->n_dim, sizeof *dims);
    const char **params = room(r, shape->n_dim, sizeof *params);
    for (size_t k = 0; dims && params && k < shape->n_dim; k++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[k];
        bool fixed = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        bool named = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dims[k] = fixed ? dim->dim_value : -1;
        params[k] = named ? word(dim->dim_param) : "";
    }
    to->dims = dims;
    to->params = params;
}

static void read_value(reader *r, const Onnx__ValueInfoProto *from, onnx_value *to)
{
    static const struct { int value; const char *kind; } kinds[] = {
        {ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, "tensor"}, {ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE, "sequence"},
        {ONNX__TYPE_PROTO__VALUE_MAP_TYPE, "map"}, {ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE, "value that may be absent"},
        {ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE, "sparse tensor"},
    };
    *to = (onnx_value){.name = word(from->name), .kind = "untyped", .n_dims = -1};
    if (!from->type) return;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (kinds[k].value == (int)from->type->value_case) to->kind = kinds[k].kind;
    if (from->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) return;
    to->type = from->type->tensor_type->elem_type;
    if (from->type->tensor_type->shape) read_shape(r, from->type->tensor_type->shape, to);
}

static const onnx_value *read_values(reader *r, size_t n, Onnx__ValueInfoProto **from)
{
    onnx_value *values = room(r, n, sizeof *values);
    for (size_t k = 0; values && k < n; k++) read_value(r, from[k], &values[k]);
    return values;
}

// Recursion through attributes: at most HONE_PRESCAN_DEPTH / 3 levels, as the pre-scan allows.
static const onnx_graph *read_graph(reader *r, const Onnx__GraphProto *from)
{
    onnx_graph *to = room(r, 1, sizeof *to);
    if (!to) return NULL;
    onnx_tensor *tensors = room(r, from->n_initializer, sizeof *tensors);
    for (size_t k = 0; tensors && k < from->n_initializer; k++) read_tensor(r, from->initializer[k], &tensors[k]);
    *to = (onnx_graph){.name = word(from->name), .n_nodes = (int)from->n_node, .n_tensors = (int)from->n_initializer,
        .n_inputs = (int)from->n_input, .n_outputs = (int)from->n_output, .n_sparse = (int)from->n_sparse_initializer,
        .tensors = tensors};
    to->nodes = read_nodes(r, from->n_node, from->node);
    to->inputs = read_values(r, from->n_input, from->input);
    to->outputs = read_values(r, from->n_output, from->output);
    return to;
}

static const onnx_opset *read_opsets(reader *r, size_t n, Onnx__OperatorSetIdProto **from)
{
    onnx_opset *opsets = room(r, n, sizeof *opsets);
    for (size_t k = 0; opsets && k < n; k++) opsets[k] = (onnx_opset){domain_word(from[k]->domain), from[k]->version};
    return opsets;
}

static void read_function(reader *r, const Onnx__FunctionProto *from, onnx_function *to)
{
    const char *strange = strange_field(&from->base, 11, "default attributes");
    if (!strange) strange = strange_field(&from->base, 13, "overload");
    *to = (onnx_function){word(from->name), domain_word(from->domain), strange, (int)from->n_input, (int)from->n_output,
        (int)from->n_attribute, (int)from->n_node, (int)from->n_opset_import, (const char *const *)from->input,
        (const char *const *)from->output, (const char *const *)from->attribute, read_nodes(r, from->n_node, from->node),
        read_opsets(r, from->n_opset_import, from->opset_import)};
}

static hone_status read_model(onnx_model *model, const Onnx__ModelProto *from)
{
    reader r = {model, false};
    if (!from->has_ir_version) return hone_fail(HONE_MODEL, "not an ONNX model: it names no IR version");
    if (!from->graph) return hone_fail(HONE_MODEL, "not an ONNX model: it holds no graph");
    model->ir_version = from->ir_version;
    model->producer = word(from->producer_name);
    model->opsets = read_opsets(&r, from->n_opset_import, from->opset_import);
    model->n_opsets = (int)from->n_opset_import;
    onnx_function *functions = room(&r, from->n_functions, sizeof *functions);
    for (size_t k = 0; functions && k < from->n_functions; k++) read_function(&r, from->functions[k], &functions[k]);
    model->functions = functions;
    model->n_functions = (int)from->n_functions;
    model->graph = read_graph(&r, from->graph);
    return r.failed ? HONE_NO_MEMORY : HONE_OK;
}

static hone_status read_lone_tensor(onnx_model *model, const Onnx__TensorProto *from)
{
    reader r = {model, false};
    onnx_graph *graph = room(&r, 1, sizeof *graph);
    onnx_tensor *tensor = room(&r, 1, sizeof *tensor);
    if (r.failed) return HONE_NO_MEMORY;
    read_tensor(&r, from, tensor);
    *graph = (onnx_graph){.name = "", .n_tensors = 1, .tensors = tensor};
    model->graph = graph;
    return r.failed ? HONE_NO_MEMORY : HONE_OK;
}

static hone_status unpack(onnx_model *model, const hone_prescan *scan, hone_prescan_root root)
{
    pool *p = model->pool;
    ProtobufCAllocator allocator = {pool_alloc, pool_keep, p};
    p->ceiling_bytes = 4 * scan->slim_bytes + POOL_SLACK_BYTES + 400 * (size_t)scan->messages;
    const ProtobufCMessageDescriptor *type = root == HONE_PRESCAN_MODEL ? &onnx__model_proto__descriptor : &onnx__tensor_proto__descriptor;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, scan->slim_bytes, scan->slim);
    if (!message && p->full) return hone_fail(HONE_MODEL, "the document needs more memory than a sound file of its size");
    if (!message) return hone_fail(HONE_MODEL, "not an ONNX file: its fields cannot be read");
    if (root == HONE_PRESCAN_MODEL) return read_model(model, (const Onnx__ModelProto *)message);
    return read_lone_tensor(model, (const Onnx__TensorProto *)message);
}

static void set_folder(onnx_model *model, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (!slash) strcpy(model->folder, ".");
    else if (slash == path) strcpy(model->folder, "/");
    else if (n < sizeof model->folder) memcpy(model->folder, path, n);     // longer: no external data will be found
}

static hone_status open_any(const char *path, hone_prescan_root root, onnx_model **out)
{
    hone_status status = HONE_NO_MEMORY;
    hone_prescan scan = {0};
    onnx_model *model = hone_calloc(1, sizeof *model);
    if (!model) goto out;
    set_folder(model, path);
    model->arena = hone_arena_new(MODEL_ARENA_MAX);
    model->pool = hone_calloc(1, sizeof(pool));
    if (!model->arena || !model->pool) goto out;
    HONE_TRY(hone_map_open(path, &model->map));
    HONE_TRY(hone_prescan_run(model->map.data, model->map.size_bytes, root, &scan));
    HONE_TRY(unpack(model, &scan, root));
    *out = model;
    model = NULL;
out:
    hone_prescan_clear(&scan);
    onnx_model_close(model);
    return status;
}

hone_status onnx_model_open(const char *path, onnx_model **model)
{
    hone_status status = open_any(path, HONE_PRESCAN_MODEL, model);
    return status == HONE_MODEL ? hone_fail_in(status, "%s", path) : status;
}

hone_status onnx_model_open_tensor(const char *path, onnx_model **model)
{
    hone_status status = open_any(path, HONE_PRESCAN_TENSOR, model);
    return status == HONE_MODEL ? hone_fail_in(status, "%s", path) : status;
}

void onnx_model_close(onnx_model *model)
{
    if (!model) return;
    pool_free(model->pool);
    hone_arena_free(model->arena);
    hone_map_close(&model->map);
    hone_free(model);
}

hone_map onnx_model_take_map(onnx_model *model)
{
    hone_map map = model->map;
    model->map = (hone_map){0};
    return map;
}
