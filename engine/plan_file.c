// SPDX-License-Identifier: Apache-2.0
// A plan as a safetensors file: 8 bytes of header size (little-endian), a JSON header, then the bytes of all tensors without a hole. The
// fence of jansson, which recurses and allocates: a scan before it bounds depth and number of items.
#include <endian.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/names_priv.h"
#include "engine/plan_priv.h"

enum { ALIGN = 64, DEPTH_MAX = 3, MARKS_MAX = 4000000 };

#define HEADER_MAX ((uint64_t)100 << 20)     // as safetensors' own reader
#define KEY_MAX 4096

static const char *const dtype_names[HONE_DTYPE_COUNT] = {
    [HONE_F32] = "F32", [HONE_F16] = "F16", [HONE_BF16] = "BF16", [HONE_F64] = "F64", [HONE_I8] = "I8",   [HONE_U8] = "U8",     [HONE_I16] = "I16",
    [HONE_U16] = "U16", [HONE_I32] = "I32", [HONE_U32] = "U32",   [HONE_I64] = "I64", [HONE_U64] = "U64", [HONE_BOOL] = "BOOL",
};

// ---- keys: the network's name behind a folder-like word; a name that was there already gets #2, #3...

typedef struct keys {
    hone_arena *arena;
    hone_names names;
} keys;

// JSON is UTF-8: what of a name is not printable ASCII becomes '?', so that a key never depends on how a writer mends bad text.
static const char *make_key(keys *all, const char *folder, const char *name)
{
    char plain[KEY_MAX];
    size_t size = 0;
    for (; name[size] && size + 1 < sizeof plain; size++) plain[size] = name[size] >= 0x20 && name[size] < 0x7f ? name[size] : '?';
    plain[size] = 0;
    const char *key = hone_arena_printf(all->arena, "%s/%s", folder, plain);
    for (int *taken; key && (taken = hone_names_find(&all->names, key)); ) key = hone_arena_printf(all->arena, "%s/%s#%d", folder, plain, ++*taken);
    return key && hone_names_put(&all->names, key, 1) == HONE_OK ? key : NULL;
}

// ---- writing

typedef struct writer {
    hone_json json;
    keys keys;
    uint64_t at;           // in the data
} writer;

static hone_status put_tensor(writer *w, const char *folder, const char *name, const char *dtype, int rank, const int64_t *dims,
                              size_t size_bytes)
{
    const char *key = make_key(&w->keys, folder, name);
    if (!key) return HONE_NO_MEMORY;
    hone_json_open(&w->json, key, '{');
    hone_json_text(&w->json, "dtype", dtype);
    hone_json_open(&w->json, "shape", '[');
    for (int k = 0; k < rank; k++) hone_json_int(&w->json, NULL, dims[k]);
    hone_json_close(&w->json, ']');
    hone_json_open(&w->json, "data_offsets", '[');
    hone_json_int(&w->json, NULL, (int64_t)w->at);
    hone_json_int(&w->json, NULL, (int64_t)(w->at + size_bytes));
    hone_json_close(&w->json, ']');
    hone_json_close(&w->json, '}');
    w->at += size_bytes;
    return HONE_OK;
}

static hone_status put_all(writer *w, const hone_plan *plan, const char *text)
{
    hone_status status = HONE_OK;
    hone_json_open(&w->json, NULL, '{');
    hone_json_open(&w->json, "__metadata__", '{');
    hone_json_text(&w->json, "format", "hone");
    hone_json_text(&w->json, "hone.plan", text);
    hone_json_close(&w->json, '}');
    for (int k = 0; k < plan->n_weights; k++) {
        const hone_weight *weight = &plan->weights[k];
        int64_t dims[HONE_RANK_MAX];
        hone_tensor_physical(&weight->tensor, dims);
        HONE_TRY(put_tensor(w, "weights", weight->name, dtype_names[weight->tensor.dtype], weight->tensor.rank, dims, weight->size_bytes));
    }
    for (int k = 0; k < plan->n_artifacts; k++) {
        int64_t size = (int64_t)plan->artifacts[k].size_bytes;
        HONE_TRY(put_tensor(w, "kernels", plan->artifacts[k].key, "U8", 1, &size, plan->artifacts[k].size_bytes));
    }
    hone_json_close(&w->json, '}');
out:
    return status;
}

static hone_status make_header(const hone_plan *plan, hone_text *header, uint64_t *data_bytes)
{
    hone_status status = HONE_NO_MEMORY;
    hone_text text;
    writer w = {.keys.arena = hone_arena_new(HEADER_MAX * 4)};
    hone_text_init(&text);
    hone_json_init(&w.json, header);
    if (!w.keys.arena) goto out;
    hone_plan_print(plan, &text);
    HONE_TRY(hone_text_status(&text));
    HONE_TRY(put_all(&w, plan, hone_text_get(&text)));
    while (header->size && header->data[header->size - 1] == '\n') header->data[--header->size] = 0;
    while ((header->size + 8) % ALIGN && !header->failed) hone_text_append(header, " ", 1);
    HONE_TRY(hone_text_status(header));
    if (header->size > HEADER_MAX) status = hone_fail(HONE_INTERNAL, "the plan's header is larger than %" PRIu64 " bytes", HEADER_MAX);
    *data_bytes = w.at;
out:
    hone_names_clear(&w.keys.names);
    hone_arena_free(w.keys.arena);
    hone_text_clear(&text);
    return status;
}

static char *append(char *to, const void *from, size_t size)
{
    if (size) memcpy(to, from, size);
    return to + size;
}

enum { HEAD_PIECES = 2 };         // of a layout; weights and kernels follow

typedef struct layout {
    hone_text header;
    uint64_t header_bytes;        // little-endian, as it stands in the file
    hone_piece *pieces;           // they point into this and into the plan
    size_t n;
} layout;

static hone_status lay_out(const hone_plan *plan, layout *l, size_t *size_bytes)
{
    uint64_t data_bytes = 0;
    hone_text_init(&l->header);
    l->pieces = hone_calloc(2 + (size_t)plan->n_weights + (size_t)plan->n_artifacts, sizeof *l->pieces);
    if (!l->pieces) return HONE_NO_MEMORY;
    hone_status status = make_header(plan, &l->header, &data_bytes);
    if (status != HONE_OK) return status;
    l->header_bytes = htole64(l->header.size);
    l->pieces[l->n++] = (hone_piece){&l->header_bytes, 8};
    l->pieces[l->n++] = (hone_piece){l->header.data, l->header.size};
    for (int k = 0; k < plan->n_weights; k++) l->pieces[l->n++] = (hone_piece){plan->weights[k].data, plan->weights[k].size_bytes};
    for (int k = 0; k < plan->n_artifacts; k++) l->pieces[l->n++] = (hone_piece){plan->artifacts[k].data, plan->artifacts[k].size_bytes};
    *size_bytes = 8 + l->header.size + data_bytes;
    return HONE_OK;
}

static void layout_clear(layout *l)
{
    hone_text_clear(&l->header);
    hone_free(l->pieces);
}

hone_status hone_plan_pack(const hone_plan *plan, char **data, size_t *size_bytes)
{
    layout l = {0};
    hone_status status = lay_out(plan, &l, size_bytes);
    if (status == HONE_OK) *data = hone_alloc(*size_bytes);
    if (status == HONE_OK && !*data) status = HONE_NO_MEMORY;
    char *at = status == HONE_OK ? *data : NULL;
    for (size_t k = 0; at && k < l.n; k++) at = append(at, l.pieces[k].data, l.pieces[k].size_bytes);
    layout_clear(&l);
    return status;
}

// ---- writing a plan whose network's digest is still being made

struct hone_plan_draft {
    hone_draft file;
    uint64_t at;                   // what is put next comes here
    uint64_t weights_at;           // where they were put; 0: nowhere yet
};

static hone_status put(void *user, const void *bytes, size_t size_bytes)
{
    hone_plan_draft *draft = user;
    hone_status status = hone_draft_put(&draft->file, draft->at, bytes, size_bytes);
    draft->at += size_bytes;
    return status;
}

hone_status hone_plan_draft_new(const char *path, hone_plan_draft **draft)
{
    hone_plan_draft *made = hone_calloc(1, sizeof *made);
    hone_status status = made ? hone_draft_begin(path, &made->file) : HONE_NO_MEMORY;
    if (status == HONE_OK) *draft = made;
    else hone_plan_draft_free(made);
    return status;
}

bool hone_plan_draft_begins(const hone_plan_draft *draft) { return !draft->file.is_device; }

hone_status hone_plan_draft_begin(hone_plan_draft *draft, const hone_plan *plan)
{
    layout l = {0};
    size_t size;
    hone_status status;
    HONE_TRY(lay_out(plan, &l, &size));
    draft->at = draft->weights_at = 8 + l.header.size;
    for (int k = 0; k < plan->n_weights; k++) {
        const hone_weight *w = &plan->weights[k];
        HONE_TRY(w->recipe ? hone_weight_stream(w->recipe, put, draft) : put(draft, w->data, w->size_bytes));
    }
out:
    layout_clear(&l);
    return status;
}

hone_status hone_plan_draft_end(hone_plan_draft *draft, const hone_plan *plan)
{
    layout l = {0};
    size_t size;
    hone_status status;
    HONE_TRY(lay_out(plan, &l, &size));
    uint64_t weights_at = 8 + l.header.size;
    bool lie_there = draft->weights_at > 0;
    HONE_ASSERT(!lie_there || draft->weights_at == weights_at);       // a digest is as long whatever it is of
    draft->at = 0;
    for (size_t k = 0; k < l.n; k++) {
        bool is_weight = k >= HEAD_PIECES && k < HEAD_PIECES + (size_t)plan->n_weights;
        if (is_weight && lie_there) draft->at += l.pieces[k].size_bytes;
        else HONE_TRY(put(draft, l.pieces[k].data, l.pieces[k].size_bytes));
    }
    status = hone_draft_end(&draft->file, size);
out:
    layout_clear(&l);
    return status;
}

void hone_plan_draft_free(hone_plan_draft *draft)
{
    if (draft) hone_draft_clear(&draft->file);
    hone_free(draft);
}

hone_status hone_plan_save(const hone_plan *plan, const char *path)
{
    hone_plan_draft *draft = NULL;
    hone_status status = hone_plan_draft_new(path, &draft);
    if (status == HONE_OK) status = hone_plan_draft_end(draft, plan);
    hone_plan_draft_free(draft);
    return status;
}

// ---- reading

static hone_status guard(const char *header, size_t size)
{
    int depth = 0, marks = 0;
    bool quoted = false;
    for (size_t k = 0; k < size; k++) {
        char c = header[k];
        if (quoted) {
            if (c == '\\') k++;
            else if (c == '"') quoted = false;
            continue;
        }
        quoted = c == '"';
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        marks += c == ',' || c == '{' || c == '[';
        if (depth > DEPTH_MAX) return hone_fail(HONE_DAMAGED, "the header nests deeper than safetensors does");
        if (marks > MARKS_MAX) return hone_fail(HONE_DAMAGED, "the header has more than %d items", MARKS_MAX);
    }
    return HONE_OK;
}

// Where the tensor of a key lies in the data; its type and shape must be those that the plan's text tells.
static hone_status find_tensor(json_t *root, const char *key, const char *dtype, int rank, const int64_t *dims, uint64_t data_bytes,
                               size_t size_bytes, uint64_t *begin)
{
    json_t *entry = json_object_get(root, key), *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    const char *said = json_string_value(json_object_get(entry, "dtype"));
    if (!said || !json_is_array(shape) || json_array_size(offsets) != 2) return hone_fail(HONE_DAMAGED, "tensor %.200s is missing", key);
    bool same = !strcmp(said, dtype) && json_array_size(shape) == (size_t)rank;
    for (int k = 0; k < rank && same; k++) same = json_integer_value(json_array_get(shape, (size_t)k)) == dims[k];
    if (!same) return hone_fail(HONE_DAMAGED, "tensor %.200s has another type or shape than the plan says", key);
    json_int_t from = json_integer_value(json_array_get(offsets, 0)), to = json_integer_value(json_array_get(offsets, 1));
    if (from < 0 || to < from || (uint64_t)to > data_bytes)
        return hone_fail(HONE_DAMAGED, "tensor %.200s lies outside the file's %" PRIu64 " bytes of data", key, data_bytes);
    if ((uint64_t)(to - from) != size_bytes)
        return hone_fail(HONE_DAMAGED, "tensor %.200s has %lld bytes instead of %zu", key, (long long)(to - from), size_bytes);
    *begin = (uint64_t)from;
    return HONE_OK;
}

static hone_status bind_weights(hone_plan *plan, json_t *root, keys *all, const uint8_t *data, uint64_t data_bytes)
{
    for (int k = 0; k < plan->n_weights; k++) {
        hone_weight *w = &plan->weights[k];
        int64_t dims[HONE_RANK_MAX];
        uint64_t begin;
        const char *key = make_key(all, "weights", w->name);
        if (!key) return HONE_NO_MEMORY;
        hone_tensor_physical(&w->tensor, dims);
        hone_status status = find_tensor(root, key, dtype_names[w->tensor.dtype], w->tensor.rank, dims, data_bytes, w->size_bytes, &begin);
        if (status != HONE_OK) return status;
        w->data = data + begin;
    }
    return HONE_OK;
}

// Machine code is copied, since a loader may ask for alignment.
static hone_status bind_artifacts(hone_plan *plan, json_t *root, keys *all, const uint8_t *data, uint64_t data_bytes)
{
    for (int k = 0; k < plan->n_artifacts; k++) {
        hone_artifact *a = &plan->artifacts[k];
        int64_t size = (int64_t)a->size_bytes;
        uint64_t begin;
        const char *key = make_key(all, "kernels", a->key);
        if (!key) return HONE_NO_MEMORY;
        hone_status status = find_tensor(root, key, "U8", 1, &size, data_bytes, a->size_bytes, &begin);
        if (status != HONE_OK) return status;
        void *copy = hone_arena_alloc(plan->arena, a->size_bytes + 1);
        if (!copy) return HONE_NO_MEMORY;
        a->data = append(copy, data + begin, a->size_bytes) - a->size_bytes;
    }
    return HONE_OK;
}

static hone_status read_header(json_t *root, hone_plan *plan, const uint8_t *data, uint64_t data_bytes)
{
    hone_status status;
    keys all = {.arena = plan->arena};
    const char *text = json_string_value(json_object_get(json_object_get(root, "__metadata__"), "hone.plan"));
    if (!text) return hone_fail(HONE_DAMAGED, "it is no plan of hone: the metadata \"hone.plan\" is missing");
    char *copy = hone_arena_strdup(plan->arena, text);
    if (!copy) return HONE_NO_MEMORY;
    HONE_TRY(hone_plan_parse(copy, plan));
    HONE_TRY(bind_weights(plan, root, &all, data, data_bytes));
    HONE_TRY(bind_artifacts(plan, root, &all, data, data_bytes));
out:
    hone_names_clear(&all.names);
    return status;
}

hone_status hone_plan_unpack(const uint8_t *data, size_t size_bytes, hone_plan *plan)
{
    uint64_t header_bytes = 0;
    json_error_t error;
    if (size_bytes >= 8) {
        memcpy(&header_bytes, data, 8);
        header_bytes = le64toh(header_bytes);
    }
    if (size_bytes < 8 || header_bytes < 2 || header_bytes > HEADER_MAX || header_bytes > size_bytes - 8)
        return hone_fail(HONE_DAMAGED, "it is no safetensors file, or cut off in its header");
    const char *header = (const char *)data + 8;
    hone_status status = guard(header, header_bytes);
    if (status != HONE_OK) return status;
    json_t *root = json_loadb(header, header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root) return hone_fail(HONE_DAMAGED, "the header is no JSON: %s at byte %d", error.text, error.position);
    status = json_is_object(root) ? read_header(root, plan, data + 8 + header_bytes, size_bytes - 8 - header_bytes)
                                  : hone_fail(HONE_DAMAGED, "the header is no JSON object");
    json_decref(root);
    return status;
}
