// SPDX-License-Identifier: Apache-2.0
// ONNX files from anywhere, up to the simplified graph: an answer or a refusal, and the graph's invariants hold.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/import.h"

static const char *write_input(const uint8_t *data, size_t size_bytes)
{
    static char path[256];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/hone-fuzz-%d.onnx", folder && *folder ? folder : "/tmp", (int)getpid());
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, data, size_bytes) != (ssize_t)size_bytes) abort();
    close(file);
    return path;
}

static void import(const char *path, bool keep_going, const hone_shapes *shapes)
{
    hone_import_options options = {.shapes = shapes, .keep_going = keep_going, .simplify = true};
    hone_import_report report = {0};
    hone_graph *graph = NULL;
    if (hone_import(path, &options, &report, &graph) == HONE_OK && hone_graph_check(graph) != HONE_OK) abort();
    hone_graph_free(graph);
    hone_import_report_clear(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    hone_shapes shapes;
    hone_tensor tensor;
    void *values;
    const char *path = write_input(data, size_bytes);
    import(path, true, NULL);
    if (hone_shapes_parse("n:2,x:1x3x8x8", &shapes) == HONE_OK) import(path, false, &shapes);
    if (hone_import_tensor(path, &tensor, &values) == HONE_OK) hone_free(values);
    unlink(path);
    return 0;
}
