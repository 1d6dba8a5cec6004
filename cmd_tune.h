// SPDX-License-Identifier: Apache-2.0
// What the files of `hone tune` share.
#ifndef HONE_CMD_TUNE_H
#define HONE_CMD_TUNE_H

#include "tuner/tune.h"

// After an upgrade: times a sample of what rests on other versions, and says what was decided. A dry run says what it would time first.
hone_status hone_cmd_recheck(hone_tune *tune, bool dry_run, bool json);

typedef struct hone_cmd_spot {
    const char *own;               // the writer here
    bool dry_run, json, until_time;    // until_time: as many as there is time for, else 2% of what others say
    // May be NULL: what becomes of a writer of whose claims too many failed.
    hone_status (*suspend)(void *user, const char *writer, const char *reason);
    void *user;
} hone_cmd_spot;

// On an idle device: measures again what other writers say of what a build would choose, and says who agrees.
hone_status hone_cmd_spot_check(hone_tune *tune, const hone_cmd_spot *options);

#endif
