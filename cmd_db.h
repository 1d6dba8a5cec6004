// SPDX-License-Identifier: Apache-2.0
// The verbs of `hone db` share what is asked.
#ifndef HONE_CMD_DB_H
#define HONE_CMD_DB_H

#include "cmd_options.h"

enum { HONE_DB_FILES_MAX = 256 };

typedef struct hone_db_request {
    hone_layers layers;
    const char *output;
    const char *files[HONE_DB_FILES_MAX];
    size_t file_count;
    const char *reason, *key, *device, *toolchain;
    hone_export part;
    int keep;
    bool json;
} hone_db_request;

hone_status hone_cmd_db_trust(hone_db_request *asked);       // cmd_db_trust.c

#endif
