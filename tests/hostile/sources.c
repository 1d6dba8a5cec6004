// SPDX-License-Identifier: Apache-2.0
// The table of sources of the test program hone-hostile, in place of kernels/sources.c.
#include "kernels/source.h"

extern const hone_source hone_source_hostile, hone_source_good, hone_source_hostilegpu, hone_source_laggard, hone_source_badcompiler,
                         hone_source_replay;

const hone_source *const hone_sources[] = {&hone_source_hostile, &hone_source_good, &hone_source_hostilegpu, &hone_source_laggard,
                                           &hone_source_badcompiler, &hone_source_replay, 0};
const int hone_source_count = 6;
