// SPDX-License-Identifier: Apache-2.0
// The network once more without the rows that nobody reads (simplify_narrow.c). The given graph must outlive the made one: names and constants are
// its own.
#ifndef HONE_ENGINE_NARROW_PRIV_H
#define HONE_ENGINE_NARROW_PRIV_H

#include "engine/graph.h"

hone_status hone_simplify_narrow(const hone_graph *graph, hone_graph **narrow);      // NULL when it would save next to nothing

#endif
