// SPDX-License-Identifier: Apache-2.0
// Runs the unit test files whose name begins with one of the arguments; all without arguments. --list prints the names.
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *unit_folder(char *path)
{
    const char *parent = getenv("TMPDIR");
    snprintf(path, 256, "%s/hone-unit-XXXXXX", parent && *parent ? parent : "/tmp");
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
    for (const hone_unit_file *file = hone_unit_files; file->name; file++) {
        if (!is_wanted(file->name, argc - 1, argv + 1)) continue;
        files++;
        failed += file->run() != 0;
        fflush(NULL);
    }
    if (!files) fprintf(stderr, "no unit test file has such a name\n");
    return failed || !files;
}
