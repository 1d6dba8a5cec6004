// SPDX-License-Identifier: Apache-2.0
// Runs the unit test files whose name begins with one of the arguments; all without arguments. --list prints the names.
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char all_folders[200];      // all of a run's folders lie in this one, which goes away with the run

static int make_all_folders(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(all_folders, sizeof all_folders, "%s/hone-unit-XXXXXX", parent && *parent ? parent : "/tmp");
    if (mkdtemp(all_folders)) return 0;
    perror(all_folders);
    return 1;
}

static int remove_entry(const char *path, const struct stat *what, int kind, struct FTW *at)
{
    (void)what, (void)kind, (void)at;
    return remove(path);
}

const char *unit_folder(char *path)
{
    snprintf(path, 256, "%s/XXXXXX", all_folders);
    return mkdtemp(path);
}

int unit_share(int many)
{
    const char *text = getenv("UNIT_SHARE");
    int by = text ? atoi(text) : 1;
    return by > 1 ? (many + by - 1) / by : many;
}

static int is_wanted(const char *name, int count, char **prefixes)
{
    for (int i = 0; i < count; i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i]))) return 1;
    return count == 0;
}

static int list(void)
{
    for (const hone_unit_file *file = hone_unit_files; file->name; file++) puts(file->name);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0, files = 0;
    if (argc == 2 && !strcmp(argv[1], "--list")) return list();
    if (make_all_folders()) return 1;
    for (const hone_unit_file *file = hone_unit_files; file->name; file++) {
        if (!is_wanted(file->name, argc - 1, argv + 1)) continue;
        files++;
        failed += file->run() != 0;
        fflush(NULL);
    }
    nftw(all_folders, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (!files) fprintf(stderr, "no unit test file has such a name\n");
    return failed || !files;
}
