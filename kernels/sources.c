// SPDX-License-Identifier: Apache-2.0
#include "kernels/source.h"

#define HONE_SOURCE(name) extern const hone_source hone_source_##name;
#include "kernels/sources_list.h"
#undef HONE_SOURCE

#define HONE_SOURCE(name) &hone_source_##name,
const hone_source *const hone_sources[] = {
#include "kernels/sources_list.h"
    NULL
};
#undef HONE_SOURCE

const int hone_source_count = sizeof hone_sources / sizeof *hone_sources - 1;
