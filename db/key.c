// SPDX-License-Identifier: Apache-2.0
#include "db/key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"

#define KEY_HEAD "hone-key 1 "

enum { KEY_BYTES = sizeof KEY_HEAD - 1 + HONE_ID_TEXT };       // with its newline in the NUL's place

static hone_status make_file(const char *path)
{
    char line[KEY_BYTES + 1], digits[HONE_ID_TEXT], folder[4096], *slash;
    hone_id seed;
    bool made;
    snprintf(folder, sizeof folder, "%s", path);
    if ((slash = strrchr(folder, '/')) && slash > folder) {
        *slash = 0;
        hone_status status = hone_folder_make(folder);
        if (status != HONE_OK) return status;
    }
    hone_seed_new(&seed);
    hone_id_print(&seed, digits);
    snprintf(line, sizeof line, KEY_HEAD "%s\n", digits);
    hone_status status = hone_file_make(path, line, KEY_BYTES, 0600, &made);
    hone_wipe(&seed, sizeof seed);
    hone_wipe(digits, sizeof digits);
    hone_wipe(line, sizeof line);
    return status;
}

static hone_status read_file(const char *path, hone_key *key)
{
    char *text = NULL;
    size_t size;
    hone_id seed;
    hone_status status = hone_file_read(path, KEY_BYTES, &text, &size);
    if (status != HONE_OK) return status;
    bool good = size == KEY_BYTES && !memcmp(text, KEY_HEAD, sizeof KEY_HEAD - 1) && text[size - 1] == '\n';
    if (good) text[size - 1] = 0;
    good = good && hone_id_parse(text + sizeof KEY_HEAD - 1, &seed);
    if (good) hone_key_from(&seed, &key->public_key, &key->secret);
    if (good) hone_id_print(&key->public_key, key->writer);
    hone_wipe(text, size);
    hone_wipe(&seed, sizeof seed);
    hone_free(text);
    return good ? HONE_OK : hone_fail(HONE_DAMAGED, "%s holds no key of hone's; removed, it is made anew, and what was signed before stays signed by "
                                      "the old one", path);
}

hone_status hone_key_open(const char *path, hone_key *key)
{
    char usual[4096];
    struct stat facts;
    hone_status status = HONE_OK;
    memset(key, 0, sizeof *key);
    if (!path && (status = hone_path_data("writer.key", usual, sizeof usual)) != HONE_OK) return status;
    if (!path) path = usual;
    if (stat(path, &facts) && errno == ENOENT) status = make_file(path);
    if (status != HONE_OK) return status;
    if (stat(path, &facts)) return hone_fail(HONE_IO, "cannot read the key %s: %s", path, strerror(errno));
    if (facts.st_mode & 077)
        return hone_fail(HONE_USAGE, "the key %s may be read by others (mode %03o): chmod 600 it, and if it was copied, remove it", path,
                         (unsigned)facts.st_mode & 0777);
    return read_file(path, key);
}

void hone_key_clear(hone_key *key)
{
    hone_wipe(key, sizeof *key);
}
