// SPDX-License-Identifier: Apache-2.0
#include "cmd_worklist.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd.h"

#define LIST_BYTES_MAX ((size_t)256 << 20)
#define PROBLEMS_MAX ((size_t)1 << 22)

hone_status hone_worklist_add(hone_worklist *list, const char *problem, int64_t times)
{
    if (hone_grow(&list->problems, list->count, &list->capacity, sizeof *list->problems, PROBLEMS_MAX)) return HONE_NO_MEMORY;
    if (hone_grow(&list->times, list->count, &list->times_capacity, sizeof *list->times, PROBLEMS_MAX)) return HONE_NO_MEMORY;
    list->problems[list->count] = hone_strdup(problem);
    if (!list->problems[list->count]) return HONE_NO_MEMORY;
    list->times[list->count++] = times;
    return HONE_OK;
}

hone_status hone_worklist_add_lines(hone_worklist *list, const char *text)
{
    hone_status status = HONE_OK;
    char *copy = hone_strdup(text), *rest = copy;
    if (!copy) return HONE_NO_MEMORY;
    for (char *line; status == HONE_OK && (line = strsep(&rest, "\n"));) {
        size_t size = strlen(line);
        while (size && strchr(" \t\r", line[size - 1])) line[--size] = 0;
        line += strspn(line, " \t");
        if (*line && *line != '#') status = hone_worklist_add(list, line, 1);
    }
    hone_free(copy);
    return status;
}

static hone_status read_input(char **data)
{
    hone_text text;
    char piece[65536];
    hone_text_init(&text);
    for (size_t got; (got = fread(piece, 1, sizeof piece, stdin)) && text.size < LIST_BYTES_MAX;) hone_text_append(&text, piece, got);
    hone_status status = hone_text_status(&text);
    *data = status ? NULL : text.size ? hone_text_take(&text) : hone_strdup("");
    hone_text_clear(&text);
    return status ? status : *data ? HONE_OK : HONE_NO_MEMORY;
}

hone_status hone_worklist_read(hone_worklist *list, const char *path)
{
    char *data = NULL;
    size_t size;
    hone_status status = strcmp(path, "-") ? hone_file_read(path, LIST_BYTES_MAX, &data, &size) : read_input(&data);
    if (status == HONE_OK) status = hone_worklist_add_lines(list, data);
    hone_free(data);
    return status;
}

static hone_status add(void *user, const char *problem, int64_t times)
{
    return hone_worklist_add(user, problem, times);
}

hone_status hone_worklist_add_graph(hone_worklist *list, const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions)
{
    return hone_build_problems(graph, target, precisions, add, list);
}

void hone_worklist_clear(hone_worklist *list)
{
    for (size_t k = 0; k < list->count; k++) hone_free(list->problems[k]);
    hone_free(list->problems);
    hone_free(list->times);
    *list = (hone_worklist){0};
}
