// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer in `make check`: gives each file of the named files and folders to the target
// and ends with the number of them. A target defines LLVMFuzzerTestOneInput and returns 0.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

enum { CEILING_BYTES = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

typedef struct replay {
    const char *folder;
    int count;
    int64_t slowest_ns;
    char slowest[512];
} replay;

static hone_status run_file(replay *all, const char *path)
{
    char *data;
    size_t size_bytes;
    hone_status status = hone_file_read(path, CEILING_BYTES, &data, &size_bytes);
    if (status != HONE_OK) return status;
    fprintf(stderr, "%s\n", path);      // the last line names what crashed
    int64_t start_ns = hone_clock_ns();
    LLVMFuzzerTestOneInput((const uint8_t *)data, size_bytes);
    int64_t spent_ns = hone_clock_ns() - start_ns;
    if (spent_ns > all->slowest_ns) {
        all->slowest_ns = spent_ns;
        snprintf(all->slowest, sizeof all->slowest, "%s", path);
    }
    all->count++;
    hone_free(data);
    return HONE_OK;
}

static hone_status run_name(void *user, const char *name)
{
    replay *all = user;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", all->folder, name);
    return run_file(all, path);
}

int main(int argc, char **argv)
{
    replay all = {0};
    for (int i = 1; i < argc; i++) {
        all.folder = argv[i];
        hone_status status = hone_path_is_folder(argv[i]) ? hone_folder_each(argv[i], run_name, &all) : run_file(&all, argv[i]);
        if (status != HONE_OK) {
            fprintf(stderr, "%s\n", hone_error_text());
            return 1;
        }
    }
    printf("slowest: %.3f s %s\n%d passed, 0 failed\n", (double)all.slowest_ns / 1e9, all.slowest, all.count);
    return 0;
}
