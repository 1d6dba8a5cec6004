// SPDX-License-Identifier: Apache-2.0
// What the files of `hone tune` share.
#ifndef HONE_CMD_TUNE_H
#define HONE_CMD_TUNE_H

#include "tuner/tune.h"

// After an upgrade: times a sample of what rests on other versions, and says what was decided. A dry run says what it would time first.
hone_status hone_cmd_recheck(hone_tune *tune, bool dry_run, bool json);

#endif
