// SPDX-License-Identifier: Apache-2.0
// Work lists for `hone problems` and `hone tune`: problems from networks and from lists, one spelling a line.
#ifndef HONE_CMD_WORKLIST_H
#define HONE_CMD_WORKLIST_H

#include "engine/build.h"

typedef struct hone_worklist {         // starts zeroed
    char **problems;                   // owned
    int64_t *times;                    // how often a network asks for it; 1 in a list
    size_t count, capacity, times_capacity;
} hone_worklist;

hone_status hone_worklist_add(hone_worklist *list, const char *problem, int64_t times);
// A file of lines, or "-" for the standard input. Blank lines and what follows '#' at a line's start are left out.
hone_status hone_worklist_read(hone_worklist *list, const char *path);
hone_status hone_worklist_add_lines(hone_worklist *list, const char *text);
// What the rules propose for a network.
hone_status hone_worklist_add_graph(hone_worklist *list, const hone_graph *graph, const hone_target *target, const hone_precision_set *precisions);
// What the best plan of a network still lacks: conversions that only show once the times of its neighbours are known.
hone_status hone_worklist_add_missing(hone_worklist *list, const hone_graph *graph, hone_store *store, const hone_build_options *options);
void hone_worklist_clear(hone_worklist *list);

#endif
