// SPDX-License-Identifier: Apache-2.0
// The exchange through a place that only stores: every batch is a segment named by the hash of its content, so that writers need not know
// of each other. To push is to write what is not there; to pull is to fold in what the store does not have.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "db/batch_priv.h"
#include "db/exchange_priv.h"
#include "db/store_priv.h"

#define NAMES_MAX ((size_t)1 << 24)

typedef struct name_list {
    hone_id *items;
    size_t count, capacity;
} name_list;

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(hone_id));
}

// What is named otherwise (a temporary of a writer who is at work, or was killed) is no segment.
static hone_status add_name(void *user, const char *name)
{
    name_list *list = user;
    hone_id id;
    if (!hone_id_parse(name, &id)) return HONE_OK;
    if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, NAMES_MAX)) return HONE_NO_MEMORY;
    list->items[list->count++] = id;
    return HONE_OK;
}

static bool is_in(const name_list *list, const hone_id *id)
{
    return list->count && bsearch(id, list->items, list->count, sizeof *list->items, compare_names);
}

static hone_status list_segments(hone_remote *remote, name_list *list)
{
    hone_status status = remote->segments->each(remote, add_name, list);
    if (status == HONE_OK && list->count) qsort(list->items, list->count, sizeof *list->items, compare_names);
    return status;
}

// ---- push

typedef struct writing {
    hone_store *store;
    hone_remote *remote;
    name_list there;
    hone_exchanged *done;
} writing;

static hone_status write_batch(void *user, const char *writer, int64_t sequence)
{
    writing *w = user;
    char name[HONE_ID_TEXT];
    hone_batch *batch = NULL;
    hone_id id;
    void *blob = NULL;
    size_t size;
    bool made = false;
    hone_status status;
    HONE_TRY(hone_batch_pack(w->store, writer, sequence, &blob, &size));
    HONE_TRY(hone_batch_open(blob, size, &batch));
    hone_batch_id(batch, &id);
    if (is_in(&w->there, &id)) goto out;
    hone_id_print(&id, name);
    HONE_TRY(w->remote->segments->write(w->remote, name, blob, size, &made));
    w->done->batches += made;
    w->done->rows += made ? (int64_t)hone_batch_rows(batch) : 0;
    w->done->added = w->done->rows;
out:
    hone_batch_close(batch);
    hone_free(blob);
    return status;
}

hone_status hone_push_segments(hone_store *store, hone_remote *remote, hone_exchanged *done)
{
    static const hone_have nothing;
    writing w = {.store = store, .remote = remote, .done = done};
    hone_status status = list_segments(remote, &w.there);
    if (status == HONE_OK) status = hone_batch_each_lacking(store, &nothing, NULL, write_batch, &w);
    hone_free(w.there.items);
    return status;
}

// ---- pull

// A segment that does not hold the batch it is named after is nobody's work but an attacker's or a broken disk's.
static hone_status open_segment(hone_remote *remote, const hone_id *wanted, hone_batch **batch)
{
    char name[HONE_ID_TEXT];
    hone_id id;
    void *blob = NULL;
    size_t size;
    hone_id_print(wanted, name);
    hone_status status = remote->segments->read(remote, name, &blob, &size);
    if (status != HONE_OK) return status;
    status = hone_batch_open(blob, size, batch);
    hone_free(blob);
    if (status != HONE_OK) return hone_fail_in(status, "segment %s of %s", name, remote->place);
    hone_batch_id(*batch, &id);
    if (hone_id_equal(&id, wanted)) return HONE_OK;
    return hone_fail(HONE_DAMAGED, "segment %s of %s holds another batch", name, remote->place);
}

static hone_status fold(hone_store *store, hone_remote *remote, const hone_id *name, hone_exchanged *done)
{
    hone_batch *batch = NULL;
    hone_batch_fate fate;
    int64_t added = 0;
    bool here;
    hone_status status;
    HONE_TRY(hone_batch_find(store, name, &here));
    if (here) goto out;
    HONE_TRY(open_segment(remote, name, &batch));
    HONE_TRY(hone_batch_put(store, batch, NULL, &fate, &added));
    if (fate == HONE_BATCH_KNOWN) goto out;
    done->batches++;
    done->rows += (int64_t)hone_batch_rows(batch);
    done->added += added;
    done->quarantined += fate == HONE_BATCH_QUARANTINED;
out:
    hone_batch_close(batch);
    return status;
}

hone_status hone_pull_segments(hone_store *store, hone_remote *remote, hone_exchanged *done)
{
    name_list there = {0};
    hone_status status = list_segments(remote, &there);
    for (size_t k = 0; status == HONE_OK && k < there.count; k++) status = fold(store, remote, &there.items[k], done);
    hone_free(there.items);
    return status;
}

// ---- a folder: file:///DIR

static void print_path(const hone_remote *remote, const char *name, hone_text *path)
{
    hone_text_init(path);
    hone_text_printf(path, "%s/%s", remote->folder, name);
}

static hone_status open_folder(hone_remote *remote, const hone_remote_options *options)
{
    const char *path = options->url + strlen("file://");
    if (path[0] != '/') return hone_fail(HONE_USAGE, "%s names no folder: file:///DIR", options->url);
    remote->folder = hone_strdup(path);
    return remote->folder ? hone_folder_make(path) : HONE_NO_MEMORY;
}

static hone_status each_in_folder(hone_remote *remote, hone_status (*each)(void *user, const char *name), void *user)
{
    return hone_folder_each(remote->folder, each, user);
}

static hone_status read_in_folder(hone_remote *remote, const char *name, void **blob, size_t *size_bytes)
{
    char *data = NULL;
    hone_text path;
    print_path(remote, name, &path);
    hone_status status = hone_text_status(&path);
    if (status == HONE_OK) status = hone_file_read(hone_text_get(&path), HONE_BATCH_BYTES_MAX, &data, size_bytes);
    hone_text_clear(&path);
    *blob = data;
    return status;
}

// A link is made or refused as a whole: readers see a segment or none, and of two writers one makes it.
static hone_status write_in_folder(hone_remote *remote, const char *name, const void *blob, size_t size_bytes, bool *made)
{
    hone_text path;
    print_path(remote, name, &path);
    hone_status status = hone_text_status(&path);
    if (status == HONE_OK) status = hone_file_make(hone_text_get(&path), blob, size_bytes, 0644, made);
    hone_text_clear(&path);
    return status;
}

const hone_segments hone_segments_folder = {
    .scheme = "file://", .open = open_folder, .each = each_in_folder, .read = read_in_folder, .write = write_in_folder,
};
