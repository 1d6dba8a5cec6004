// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files (numpy.lib.format): a magic, a header that is a Python dict in text, the elements. bf16 has no NumPy name:
// it is written as its 16 bits ('<u2'), as ml_dtypes does.
#include "engine/npy_priv.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/import.h"

static const char magic[6] = "\x93NUMPY";

static const struct {
    const char *descr;
    hone_dtype dtype;
} descrs[] = {
    {"<f4", HONE_F32}, {"<f2", HONE_F16}, {"<f8", HONE_F64}, {"|i1", HONE_I8}, {"|u1", HONE_U8}, {"<i2", HONE_I16}, {"<u2", HONE_U16},
    {"<i4", HONE_I32}, {"<u4", HONE_U32}, {"<i8", HONE_I64}, {"<u8", HONE_U64}, {"|b1", HONE_BOOL}, {"<u2", HONE_BF16},
};

static hone_status bad(const char *why)
{
    return hone_fail(HONE_MODEL, "not a NumPy file that can be read: %s", why);
}

static bool read_descr(const char *header, hone_dtype *dtype)
{
    const char *at = strstr(header, "'descr'");
    at = at ? strchr(at + 7, '\'') : NULL;
    for (size_t k = 0; at && k < sizeof descrs / sizeof *descrs; k++) {
        if (strncmp(at + 1, descrs[k].descr, 3) || at[4] != '\'') continue;
        *dtype = descrs[k].dtype;
        return true;
    }
    return false;
}

static bool read_shape(const char *header, hone_tensor *tensor)
{
    const char *at = strstr(header, "'shape'");
    at = at ? strchr(at, '(') : NULL;
    if (!at) return false;
    hone_scan scan = {at + 1};
    for (tensor->rank = 0; hone_scan_blanks(&scan), *scan.at != ')'; tensor->rank++) {
        if (tensor->rank == HONE_RANK_MAX || !hone_scan_int(&scan, &tensor->dims[tensor->rank])) return false;
        hone_scan_blanks(&scan);
        if (!hone_scan_char(&scan, ',') && *scan.at != ')') return false;
    }
    return true;
}

static hone_status read_header(const hone_map *map, hone_tensor *tensor, size_t *body)
{
    char header[4096];
    if (map->size_bytes < 12 || memcmp(map->data, magic, sizeof magic)) return bad("it does not begin as one");
    size_t prefix = map->data[6] == 1 ? 10 : 12;
    size_t size = map->data[8] | (size_t)map->data[9] << 8;
    if (prefix == 12) size |= (size_t)map->data[10] << 16 | (size_t)map->data[11] << 24;
    if (map->data[6] < 1 || map->data[6] > 3) return bad("its format is newer than 3");
    if (size >= sizeof header || size > map->size_bytes - prefix) return bad("its header is cut or too long");
    memcpy(header, map->data + prefix, size);
    header[size] = 0;
    *body = prefix + size;
    *tensor = (hone_tensor){0};
    if (!read_descr(header, &tensor->dtype)) return bad("its element type is not supported");
    if (strstr(header, "'fortran_order': True")) return bad("it is in Fortran order; save numpy.ascontiguousarray of it");
    if (!read_shape(header, tensor)) return bad("its shape cannot be read");
    return hone_tensor_check(tensor) == HONE_OK ? HONE_OK : bad(hone_error_text());
}

hone_status hone_npy_read(const char *path, hone_tensor *tensor, void **data)
{
    hone_map map = {0};
    size_t body, size;
    hone_status status;
    HONE_TRY(hone_map_open(path, &map));
    HONE_TRY(read_header(&map, tensor, &body));
    size = hone_tensor_size(tensor);
    if (size != map.size_bytes - body) HONE_TRY(bad("its size does not fit its shape"));
    *data = hone_alloc(size + 1);
    if (*data && size) memcpy(*data, map.data + body, size);
    status = *data ? HONE_OK : HONE_NO_MEMORY;
out:
    hone_map_close(&map);
    return status == HONE_MODEL ? hone_fail_in(status, "%s", path) : status;
}

static void print_header(const hone_tensor *tensor, hone_text *text)
{
    const char *descr = "";
    for (size_t k = 0; k < sizeof descrs / sizeof *descrs; k++)
        if (descrs[k].dtype == tensor->dtype) descr = descrs[k].descr;
    hone_text_printf(text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int k = 0; k < tensor->rank; k++) hone_text_printf(text, "%lld,%s", (long long)tensor->dims[k], k + 1 < tensor->rank ? " " : "");
    hone_text_printf(text, "), }");
    while ((text->size + 11) % 64) hone_text_append(text, " ", 1);
    hone_text_append(text, "\n", 1);
}

hone_status hone_export_npy(const char *path, const hone_tensor *tensor, const void *data)
{
    hone_text header = {0}, file = {0};
    hone_status status;
    print_header(tensor, &header);
    uint8_t prefix[4] = {1, 0, (uint8_t)header.size, (uint8_t)(header.size >> 8)};
    hone_text_append(&file, magic, sizeof magic);
    hone_text_append(&file, (const char *)prefix, sizeof prefix);
    hone_text_append(&file, hone_text_get(&header), header.size);
    hone_text_append(&file, data, hone_tensor_size(tensor));
    HONE_TRY(hone_text_status(&header));
    HONE_TRY(hone_text_status(&file));
    HONE_TRY(hone_file_write(path, file.data, file.size));
out:
    hone_text_clear(&header);
    hone_text_clear(&file);
    return status;
}
