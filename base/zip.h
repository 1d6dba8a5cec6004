// SPDX-License-Identifier: Apache-2.0
// zstd with caps (fenced to zip.c).
#ifndef HONE_BASE_ZIP_H
#define HONE_BASE_ZIP_H

#include <stddef.h>

#include "base/status.h"

// Caller frees *out with hone_free.
hone_status hone_zip(const void *data, size_t size_bytes, int level, void **out, size_t *out_bytes);
// Refuses what would unpack to more than ceiling_bytes. HONE_DAMAGED on bad input. A NUL is put behind *out.
hone_status hone_unzip(const void *data, size_t size_bytes, size_t ceiling_bytes, void **out, size_t *out_bytes);

#endif
