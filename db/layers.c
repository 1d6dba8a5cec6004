// SPDX-License-Identifier: Apache-2.0
// Which databases a command reads, and in what order. Questions go through all layers (query.c, rank.c): the choice follows from their
// union, so the order decides only who is written and whose rulings are heard first (trust_ask.c).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "db/postgres.h"
#include "db/store_priv.h"

void hone_store_layer(hone_store *store, hone_store *under)
{
    while (store->under) store = store->under;
    store->under = under;
}

hone_store *hone_store_under(const hone_store *store) { return store->under; }

bool hone_store_is_same_file(const hone_store *a, const hone_store *b)
{
    struct stat x, y;
    return a == b || (!stat(a->path, &x) && !stat(b->path, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static hone_status find_own(char *path, size_t capacity)
{
    const char *named = getenv("HONE_DB");
    if (!named || !*named) return hone_path_data("hone.db", path, capacity);
    if ((size_t)snprintf(path, capacity, "%s", named) >= capacity) return hone_fail(HONE_USAGE, "HONE_DB names too long a path");
    return HONE_OK;
}

static hone_status open_layer(const char *path, hone_store_access access, bool unchecked, hone_store **store)
{
    return unchecked && access == HONE_STORE_READ ? hone_store_open_unchecked(path, store) : hone_store_open(path, access, store);
}

static hone_status open_own(hone_store_access access, bool unchecked, hone_store **store)
{
    char path[4096], folder[4096], *slash;
    hone_status status = find_own(path, sizeof path);
    if (status != HONE_OK) return status;
    if (hone_pg_is_address(path)) return hone_store_open(path, access, store);
    if (access == HONE_STORE_READ) return hone_path_exists(path) ? open_layer(path, access, unchecked, store) : HONE_OK;
    snprintf(folder, sizeof folder, "%s", path);
    if ((slash = strrchr(folder, '/')) && slash > folder) {
        *slash = 0;
        if ((status = hone_folder_make(folder)) != HONE_OK) return status;
    }
    return hone_store_open(path, HONE_STORE_CREATE, store);
}

static hone_status open_defaults(hone_store_access access, bool unchecked, hone_store **store)
{
    hone_store *own = NULL, *bundled = NULL;
    char found[4096];
    hone_status status;
    HONE_TRY(open_own(access, unchecked, &own));
    if (hone_path_shipped("bundled.db", found, sizeof found)) HONE_TRY(hone_store_open_immutable(found, unchecked, &bundled));
    if (!own && !bundled) {
        HONE_TRY(hone_store_open_memory("(no database)", &own));
        HONE_TRY(hone_schema_open(own));
    }
    if (own && bundled) hone_store_layer(own, bundled);
    *store = own ? own : bundled;
    return HONE_OK;
out:
    hone_store_close(own);
    hone_store_close(bundled);
    return status;
}

static hone_status open_named(const char *name, hone_store_access access, bool unchecked, hone_store **store)
{
    char found[4096];
    if (strcmp(name, "bundled")) return open_layer(name, access, unchecked, store);
    if (access != HONE_STORE_READ) return hone_fail(HONE_USAGE, "the bundled database is only read: name another one before it, which is written");
    if (!hone_path_shipped("bundled.db", found, sizeof found)) return hone_fail(HONE_USAGE, "there is no bundled database beside this program (a file of that name is ./bundled)");
    return hone_store_open_immutable(found, unchecked, store);
}

// A file named twice would wait for its own lock.
static hone_status put_under(hone_store *store, hone_store *under)
{
    for (hone_store *at = store; at; at = at->under) {
        if (!hone_store_is_same_file(at, under)) continue;
        hone_status status = hone_fail(HONE_USAGE, "the database %s is named twice", under->path);
        hone_store_close(under);
        return status;
    }
    hone_store_layer(store, under);
    return HONE_OK;
}

hone_status hone_store_open_layers(const hone_layers *layers, hone_store_access access, hone_store **store)
{
    hone_store *top = NULL, *under;
    hone_status status;
    if (!layers->count) return open_defaults(access, layers->unchecked, store);
    HONE_TRY(open_named(layers->paths[0], access, layers->unchecked, &top));
    for (int k = 1; k < layers->count; k++) {
        HONE_TRY(open_named(layers->paths[k], HONE_STORE_READ, layers->unchecked, &under));
        HONE_TRY(put_under(top, under));
    }
    *store = top;
    return HONE_OK;
out:
    hone_store_close(top);
    return status;
}
