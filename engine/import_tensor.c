// SPDX-License-Identifier: Apache-2.0
// Tensors of an ONNX document: types, inline data, external data. Every size is checked before memory is asked for.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/import_priv.h"
#include "engine/npy_priv.h"

enum { MAPS_MAX = 4096, BLOCKS_MAX = 1 << 22 };

// ---- resources

hone_status onnx_resources_new(onnx_resources **resources)
{
    *resources = hone_calloc(1, sizeof **resources);
    return *resources ? HONE_OK : HONE_NO_MEMORY;
}

void onnx_resources_free(void *user)
{
    onnx_resources *resources = user;
    if (!resources) return;
    for (size_t k = 0; k < resources->n_maps; k++) hone_map_close(&resources->maps[k]);
    for (size_t k = 0; k < resources->n_maps; k++) hone_free((void *)resources->map_names[k]);
    for (size_t k = 0; k < resources->n_blocks; k++) hone_free(resources->blocks[k]);
    hone_free(resources->maps);
    hone_free(resources->map_names);
    hone_free(resources->blocks);
    hone_free(resources);
}

void *onnx_resources_alloc(onnx_resources *r, size_t size_bytes)
{
    if (hone_grow(&r->blocks, r->n_blocks, &r->blocks_capacity, sizeof *r->blocks, BLOCKS_MAX)) return NULL;
    void *block = hone_alloc(size_bytes);
    if (block) r->blocks[r->n_blocks++] = block;
    return block;
}

static hone_status add_map(onnx_resources *r, const char *name, hone_map map)
{
    size_t capacity = r->maps_capacity;
    if (hone_grow(&r->maps, r->n_maps, &capacity, sizeof *r->maps, MAPS_MAX)) return HONE_NO_MEMORY;
    if (hone_grow(&r->map_names, r->n_maps, &r->maps_capacity, sizeof *r->map_names, MAPS_MAX)) return HONE_NO_MEMORY;
    char *copy = hone_strdup(name);
    if (!copy) return HONE_NO_MEMORY;
    r->map_names[r->n_maps] = copy;
    r->maps[r->n_maps++] = map;
    return HONE_OK;
}

static hone_status find_external_map(onnx_resources *r, const onnx_model *model, const char *location, hone_map *map)
{
    for (size_t k = 0; k < r->n_maps; k++)
        if (!strcmp(r->map_names[k], location)) return *map = r->maps[k], HONE_OK;
    hone_status status = hone_map_open_beneath(model->folder, location, map);
    if (status != HONE_OK) return status == HONE_NO_MEMORY ? status : hone_fail(HONE_MODEL, "%s", hone_error_text());
    status = add_map(r, location, *map);
    if (status != HONE_OK) hone_map_close(map);
    return status;
}

// ---- types

static const struct {
    const char *name;
    hone_dtype dtype;
} onnx_types[] = {
    [ONNX_UNDEFINED] = {"undefined", HONE_DTYPE_NONE}, [ONNX_FLOAT] = {"float", HONE_F32}, [ONNX_UINT8] = {"uint8", HONE_U8},
    [ONNX_INT8] = {"int8", HONE_I8}, [ONNX_UINT16] = {"uint16", HONE_U16}, [ONNX_INT16] = {"int16", HONE_I16},
    [ONNX_INT32] = {"int32", HONE_I32}, [ONNX_INT64] = {"int64", HONE_I64}, [ONNX_STRING] = {"string", HONE_DTYPE_NONE},
    [ONNX_BOOL] = {"bool", HONE_BOOL}, [ONNX_FLOAT16] = {"float16", HONE_F16}, [ONNX_DOUBLE] = {"double", HONE_F64},
    [ONNX_UINT32] = {"uint32", HONE_U32}, [ONNX_UINT64] = {"uint64", HONE_U64}, [ONNX_COMPLEX64] = {"complex64", HONE_DTYPE_NONE},
    [ONNX_COMPLEX128] = {"complex128", HONE_DTYPE_NONE}, [ONNX_BFLOAT16] = {"bfloat16", HONE_BF16},
};

hone_status onnx_dtype(int64_t onnx, hone_dtype *dtype)
{
    int n = sizeof onnx_types / sizeof *onnx_types;
    *dtype = onnx >= 0 && onnx < n ? onnx_types[onnx].dtype : HONE_DTYPE_NONE;
    if (*dtype != HONE_DTYPE_NONE) return HONE_OK;
    if (onnx >= 0 && onnx < n) return hone_fail(HONE_MODEL, "element type %s is not supported", onnx_types[onnx].name);
    return hone_fail(HONE_MODEL, "element type number %lld is not supported", (long long)onnx);
}

hone_status onnx_tensor_type(const onnx_tensor *from, hone_tensor *tensor)
{
    *tensor = (hone_tensor){.rank = from->n_dims};
    hone_status status = onnx_dtype(from->type, &tensor->dtype);
    if (status != HONE_OK) return status;
    if (from->n_dims > HONE_RANK_MAX) return hone_fail(HONE_MODEL, "%d dims are not supported, at most %d are", from->n_dims, HONE_RANK_MAX);
    for (int k = 0; k < from->n_dims; k++) tensor->dims[k] = from->dims[k];
    status = hone_tensor_check(tensor);
    return status == HONE_OK ? HONE_OK : hone_fail(HONE_MODEL, "%s", hone_error_text());
}

// ---- external data

static bool read_number(const char *text, int64_t *value)
{
    hone_scan scan = {text};
    return *text >= '0' && *text <= '9' && hone_scan_int(&scan, value) && !*scan.at && *value >= 0;
}

typedef struct external {
    const char *location;
    int64_t offset, length;
} external;

static hone_status read_external(const onnx_tensor *from, external *e)
{
    *e = (external){NULL, 0, -1};
    for (int k = 0; k < from->n_external; k++) {
        const onnx_entry *entry = &from->external[k];
        if (!strcmp(entry->key, "location")) e->location = entry->value;
        else if (!strcmp(entry->key, "offset") && read_number(entry->value, &e->offset)) continue;
        else if (!strcmp(entry->key, "length") && read_number(entry->value, &e->length)) continue;
        else if (strcmp(entry->key, "checksum"))
            return hone_fail(HONE_MODEL, "external data: %s=%s is not understood", entry->key, entry->value);
    }
    return e->location ? HONE_OK : hone_fail(HONE_MODEL, "external data names no file");
}

static hone_status external_bytes(onnx_resources *r, const onnx_model *model, const onnx_tensor *from, size_t size, const uint8_t **data)
{
    external e;
    hone_map map;
    hone_status status = read_external(from, &e);
    if (status == HONE_OK) status = find_external_map(r, model, e.location, &map);
    if (status != HONE_OK) return status;
    if (e.length >= 0 && (uint64_t)e.length != size)
        return hone_fail(HONE_MODEL, "external data: length %lld, but the tensor holds %zu bytes", (long long)e.length, size);
    if ((uint64_t)e.offset > map.size_bytes || size > map.size_bytes - (size_t)e.offset)
        return hone_fail(HONE_MODEL, "external data: %zu bytes at offset %lld reach past the end of %s (%zu bytes)", size,
                         (long long)e.offset, e.location, map.size_bytes);
    *data = map.data + e.offset;
    return HONE_OK;
}

// ---- inline data

static hone_status wrong_size(const char *what, int64_t have, int64_t want)
{
    return hone_fail(HONE_MODEL, "it holds %lld %s, its dims ask for %lld", (long long)have, what, (long long)want);
}

// Which typed field holds a type, and how wide its entries are.
static hone_status typed_source(const onnx_tensor *from, hone_dtype dtype, const void **data, int64_t *n, size_t *width)
{
    switch (dtype) {
    case HONE_F32: *data = from->floats, *n = from->n_floats, *width = 4; return HONE_OK;
    case HONE_F64: *data = from->doubles, *n = from->n_doubles, *width = 8; return HONE_OK;
    case HONE_I64: *data = from->longs, *n = from->n_longs, *width = 8; return HONE_OK;
    case HONE_U32: case HONE_U64: *data = from->ulongs, *n = from->n_ulongs, *width = 8; return HONE_OK;
    default: *data = from->ints, *n = from->n_ints, *width = 4; return HONE_OK;
    }
}

// Little-endian machines: the low bytes of each entry are the element.
static hone_status typed_bytes(onnx_resources *r, const onnx_tensor *from, const hone_tensor *tensor, const void **out)
{
    const void *data;
    int64_t n, count = hone_tensor_count(tensor);
    size_t width, size = hone_dtype_size(tensor->dtype);
    typed_source(from, tensor->dtype, &data, &n, &width);
    if (n != count) return wrong_size("values", n, count);
    uint8_t *block = onnx_resources_alloc(r, (size_t)count * size + 1);
    if (!block) return HONE_NO_MEMORY;
    for (int64_t k = 0; k < count; k++) memcpy(block + (size_t)k * size, (const uint8_t *)data + (size_t)k * width, size);
    for (int64_t k = 0; tensor->dtype == HONE_BOOL && k < count; k++) block[k] = block[k] != 0;
    *out = block;
    return HONE_OK;
}

// Bytes of a mapped file stay where they are (`stays`); others are copied, and bools are made 0 or 1.
static hone_status keep_bytes(onnx_resources *r, const uint8_t *data, bool stays, const hone_tensor *tensor, const void **out)
{
    size_t size = hone_tensor_size(tensor);
    *out = data;
    if (stays && tensor->dtype != HONE_BOOL && size) return HONE_OK;
    uint8_t *block = onnx_resources_alloc(r, size + 1);
    if (!block) return HONE_NO_MEMORY;
    if (size) memcpy(block, data, size);
    for (size_t k = 0; tensor->dtype == HONE_BOOL && k < size; k++) block[k] = block[k] != 0;
    *out = block;
    return HONE_OK;
}

hone_status onnx_tensor_bytes(onnx_resources *r, const onnx_model *model, const onnx_tensor *from, const hone_tensor *tensor, const void **data)
{
    const uint8_t *raw = from->raw;
    size_t size = hone_tensor_size(tensor);
    if (from->is_external) {
        hone_status status = external_bytes(r, model, from, size, &raw);
        return status == HONE_OK ? keep_bytes(r, raw, true, tensor, data) : status;
    }
    if (from->n_external) return hone_fail(HONE_MODEL, "external data is described, but not declared as the tensor's place");
    if (!raw) return typed_bytes(r, from, tensor, data);
    if (from->raw_bytes != size) return wrong_size("bytes", (int64_t)from->raw_bytes, (int64_t)size);
    bool is_mapped = raw >= model->map.data && raw < model->map.data + model->map.size_bytes;
    return keep_bytes(r, raw, is_mapped, tensor, data);
}

hone_status onnx_import_constant(onnx_import *im, const onnx_tensor *from, const char *name, int *value)
{
    hone_tensor tensor;
    const void *data;
    hone_status status = onnx_tensor_type(from, &tensor);
    if (status == HONE_OK) status = onnx_tensor_bytes(im->resources, im->model, from, &tensor, &data);
    if (status != HONE_OK) return hone_fail_in(status, "tensor %s", name);
    *value = hone_graph_add_value(im->graph, name, &tensor);
    if (*value < 0) return HONE_NO_MEMORY;
    im->graph->values[*value].data = data;
    return HONE_OK;
}

// ---- lone tensors

static hone_status import_pb(const char *path, hone_tensor *tensor, void **out)
{
    onnx_model *model = NULL;
    onnx_resources *resources = NULL;
    const void *data;
    hone_status status;
    HONE_TRY(onnx_model_open_tensor(path, &model));
    HONE_TRY(onnx_resources_new(&resources));
    HONE_TRY(onnx_tensor_type(model->graph->tensors, tensor));
    HONE_TRY(onnx_tensor_bytes(resources, model, model->graph->tensors, tensor, &data));
    size_t size = hone_tensor_size(tensor);
    *out = hone_alloc(size + 1);
    if (*out && size) memcpy(*out, data, size);
    status = *out ? HONE_OK : HONE_NO_MEMORY;
out:
    onnx_resources_free(resources);
    onnx_model_close(model);
    return status;
}

hone_status hone_import_tensor(const char *path, hone_tensor *tensor, void **data)
{
    size_t n = strlen(path);
    hone_status status = n > 4 && !strcmp(path + n - 4, ".npy") ? hone_npy_read(path, tensor, data) : import_pb(path, tensor, data);
    return status == HONE_MODEL && !strstr(hone_error_text(), path) ? hone_fail_in(status, "%s", path) : status;
}
