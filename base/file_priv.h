// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_BASE_FILE_PRIV_H
#define HONE_BASE_FILE_PRIV_H

// The fallback of hone_map_open_beneath: opens relative beneath folder, following no link; -1 and errno.
int hone_open_walk(int folder, const char *relative);

#endif
