// SPDX-License-Identifier: Apache-2.0
// What `hone push` and `hone pull` share: their options and what they say at the end.
#ifndef HONE_CMD_REMOTE_H
#define HONE_CMD_REMOTE_H

#include "cmd_options.h"

typedef struct hone_cmd_remote {
    hone_layers db;                // one, or the user's own
    const char *key_file;
    hone_remote_options place;
    bool rulings, json;
} hone_cmd_remote;

enum { HONE_KEY_PLACE = 256, HONE_KEY_KEY, HONE_KEY_RULINGS, HONE_KEY_JSON };

extern const struct argp_child hone_cmd_remote_children[];
error_t hone_cmd_remote_parse(int key, char *argument, struct argp_state *state);
// `verb`: "sent" or "taken".
hone_status hone_cmd_remote_say(const hone_cmd_remote *asked, const char *verb, const hone_exchanged *done);

#endif
