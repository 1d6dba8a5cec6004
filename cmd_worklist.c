// SPDX-License-Identifier: Apache-2.0
#include "cmd_worklist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
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

// A list may come through a pipe, so its size is not known.
static hone_status read_stream(FILE *file, const char *path, hone_text *text)
{
    char piece[65536];
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) && text->size < LIST_BYTES_MAX;) hone_text_append(text, piece, got);
    if (ferror(file)) return hone_fail(HONE_IO, "cannot read %s: %s", path, strerror(errno));
    if (text->size >= LIST_BYTES_MAX) return hone_fail(HONE_USAGE, "the list %s is larger than %zu MiB", path, LIST_BYTES_MAX >> 20);
    return hone_text_status(text);
}

hone_status hone_worklist_read(hone_worklist *list, const char *path)
{
    bool is_input = !strcmp(path, "-");
    FILE *file = is_input ? stdin : fopen(path, "re");
    hone_text text;
    if (!file) return hone_fail(HONE_IO, "cannot open the list %s: %s", path, strerror(errno));
    hone_text_init(&text);
    hone_status status = read_stream(file, path, &text);
    if (status == HONE_OK) status = hone_worklist_add_lines(list, hone_text_get(&text));
    hone_text_clear(&text);
    if (!is_input) fclose(file);
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

hone_status hone_worklist_add_missing(hone_worklist *list, const hone_graph *graph, hone_store *store, const hone_build_options *options)
{
    hone_plan *plan = NULL;
    hone_build_options trial = *options;
    hone_text text;
    trial.explores = true;
    hone_text_init(&text);
    hone_store_begin_read(store);
    hone_status status = hone_build(graph, store, &trial, "", &text, &plan);
    hone_store_end_read(store);
    if (status == HONE_OK || status == HONE_MISS) status = hone_worklist_add_lines(list, hone_text_get(&text));
    hone_plan_free(plan);
    hone_text_clear(&text);
    return status;
}

void hone_worklist_clear(hone_worklist *list)
{
    for (size_t k = 0; k < list->count; k++) hone_free(list->problems[k]);
    hone_free(list->problems);
    hone_free(list->times);
    *list = (hone_worklist){0};
}
