// SPDX-License-Identifier: Apache-2.0
// Between the files of hone retime.
#ifndef HONE_CMD_RETIME_H
#define HONE_CMD_RETIME_H

#include "db/store.h"
#include "kernels/device.h"

// Puts those that are to be compared to the front: what a library would take by itself (device is asked), then of the first *n, which are in the order of
// their times, the fastest of each family, then the others. *n grows by the libraries' own that stood further behind.
hone_status hone_retime_order(hone_device *device, const char *problem, hone_ranked *ranked, size_t all, size_t *n);

#endif
