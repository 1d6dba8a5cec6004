// SPDX-License-Identifier: Apache-2.0
// The network once more with sibling products joined: matmuls (and the biases behind them) that read the same value become one over weights
// side by side, and slices of its result stand where the parts were. Fewer and larger products pay where the readers take slices as strides
// (attention: rule_attention.c) and not elsewhere, so the builder plans both forms and takes the cheaper.
// The given graph must outlive the join: names and other constants are its own.
#ifndef HONE_ENGINE_JOIN_PRIV_H
#define HONE_ENGINE_JOIN_PRIV_H

#include "engine/graph.h"

typedef struct hone_join hone_join;

hone_status hone_join_new(const hone_graph *graph, hone_join **join);      // NULL when there is nothing to join
void hone_join_free(hone_join *join);                                      // NULL is legal
const hone_graph *hone_join_graph(const hone_join *join);
void hone_join_fill(hone_join *join);      // the joined weights, whose bytes are undefined before

#endif
