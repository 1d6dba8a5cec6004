// SPDX-License-Identifier: Apache-2.0
// Files: whole reads under a ceiling, read-only maps, atomic writes, and the one function that opens a
// file named by an untrusted document (beneath a folder, no links, regular, link count 1).
#ifndef HONE_BASE_FILE_H
#define HONE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Reads a regular file of at most ceiling_bytes; a NUL is put behind it. Caller frees *data with hone_free.
hone_status hone_file_read(const char *path, size_t ceiling_bytes, char **data, size_t *size_bytes);

typedef struct hone_map {
    const uint8_t *data;      // NULL for an empty file
    size_t size_bytes;
} hone_map;

hone_status hone_map_open(const char *path, hone_map *map);      // regular files only: a FIFO or folder is an error, never a hang
hone_status hone_map_open_beneath(const char *folder, const char *relative, hone_map *map);  // for external data
void hone_map_close(hone_map *map);

// Writes a temporary (host, pid, random) in the same folder, syncs, renames, syncs the folder.
hone_status hone_file_write(const char *path, const void *data, size_t size_bytes);

typedef struct hone_piece {
    const void *data;
    size_t size_bytes;
} hone_piece;

hone_status hone_file_write_pieces(const char *path, const hone_piece *pieces, size_t n);       // one behind the other

// The same for a file that is begun before all of it is known: pieces are put at any offset, in any order. Nothing lies under its name before
// hone_draft_end, and then all of it. A device or pipe gets the pieces as they are put.
typedef struct hone_draft {
    char *target, *temporary;
    int file;
    bool is_device;
    uint64_t row, row_end;    // put one behind the other, and not yet on its way to the disk
} hone_draft;

hone_status hone_draft_begin(const char *path, hone_draft *draft);
hone_status hone_draft_put(hone_draft *draft, uint64_t offset, const void *data, size_t size_bytes);
hone_status hone_draft_end(hone_draft *draft, uint64_t size_bytes);      // what lies behind size_bytes is cut off
void hone_draft_clear(hone_draft *draft);                                // leaves nothing of a draft that was not ended

// Writes a new file whole, never over one that is there (then *made is false); mode 0600 for what only its owner may read.
hone_status hone_file_make(const char *path, const void *data, size_t size_bytes, unsigned mode, bool *made);

bool hone_path_exists(const char *path);
bool hone_path_is_folder(const char *path);
hone_status hone_folder_make(const char *path);                  // with parents; present is fine
// Calls back for each name in a folder, sorted, without "." and ".."; a non-OK answer stops and is returned.
hone_status hone_folder_each(const char *path, hone_status (*each)(void *user, const char *name), void *user);
// The user's data file hone keeps under XDG rules: $XDG_DATA_HOME/hone/NAME, cache: $HONE_CACHE or $XDG_CACHE_HOME/hone.
hone_status hone_path_data(const char *name, char *path, size_t capacity);
hone_status hone_path_cache(const char *name, char *path, size_t capacity);
// A file that comes with the program: beside it in a build folder, in share/hone of its prefix when installed. False: there is none.
bool hone_path_shipped(const char *name, char *path, size_t capacity);

#endif
