// SPDX-License-Identifier: Apache-2.0
// Partition: the cheapest cover of a graph by groups, over fusion x layout x precision, conversions on the edges included.
//
// Nodes are covered in topological order: a step takes one variant whose lowest node is the lowest uncovered one. A state is the set of
// nodes covered beyond that point and, for each value still to be read, the formats it exists in and those already asked for by groups
// that were placed before its producer. States that agree in all of this are interchangeable, so only the cheapest is kept: exact dynamic
// programming, as long as no level has more than HONE_PARTITION_WIDTH states; beyond, the cheapest are kept and `exact` is false.
#ifndef HONE_ENGINE_PARTITION_PRIV_H
#define HONE_ENGINE_PARTITION_PRIV_H

#include "engine/costs_priv.h"
#include "engine/group_priv.h"

#define HONE_PARTITION_WIDTH 2048

typedef struct hone_choice {             // a group, placed
    const hone_group *group;
    const hone_precision *precision;     // NULL: no floats
    hone_layout layout;
    unsigned ports;                      // HONE_LEAVES, HONE_ENTERS
    const hone_cost *cost;               // NULL for views
} hone_choice;

typedef struct hone_partition {
    hone_choice *choices;                // in execution order; arena
    int n;
    double ns;                           // steps, conversions and gaps
    bool exact;
} hone_partition;

hone_status hone_partition_find(const hone_view *view, const hone_group_list *groups, hone_costs *costs,
                                const hone_precision_set *precisions, hone_partition *partition);

// The cost of converting a value between two formats; 0 where the bytes are the same. *cost NULL then.
hone_status hone_conversion_cost(hone_costs *costs, const hone_tensor *from, const hone_tensor *to, double *ns, const hone_cost **cost);

#endif
