// SPDX-License-Identifier: Apache-2.0
// Between the files of hone conform.
#ifndef HONE_CMD_CONFORM_H
#define HONE_CMD_CONFORM_H

#include "base/text.h"

typedef enum hone_conform_outcome { HONE_CONFORM_PASSED, HONE_CONFORM_REFUSED, HONE_CONFORM_WRONG, HONE_CONFORM_OUTCOMES } hone_conform_outcome;

// Runs all data sets of a folder, on the CPU; db: an empty database; NULL: the plain C reference runs it. why: "" when passed, lines
// "operator<TAB>reason" when refused, a sentence when wrong. It may crash or hang: a child process calls it.
hone_conform_outcome hone_conform_folder(const char *path, const char *db, hone_text *why);

#endif
