// SPDX-License-Identifier: Apache-2.0
// Whom hone retime compares with what a plan has, and in which order, as only the first few are.
#ifndef HONE_TUNER_RETIME_ORDER_H
#define HONE_TUNER_RETIME_ORDER_H

#include "db/store.h"
#include "kernels/source.h"

// What the device's libraries would take by themselves for a problem (a canonical spelling): a space for each of hone_sources, empty where one offers
// nothing. Also after an error to be given to hone_retime_forget.
hone_status hone_retime_ask(hone_device *device, const char *problem, hone_space **spaces);
void hone_retime_forget(hone_space *spaces);

// Puts those that are to be compared to the front: what a library would take by itself, however slow it is alone, as its makers chose it for a place in
// a network; then of the first n of `all`, which are in the order of their times, the fastest of each family; then what a library would take given less
// workspace, often one kernel where that is two; then the others. Gives how many are compared: n, and the libraries' own that stood further behind.
size_t hone_retime_order(const char *problem, const hone_space *spaces, size_t n_spaces, hone_ranked *ranked, size_t all, size_t n);

#endif
