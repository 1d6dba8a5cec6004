// SPDX-License-Identifier: Apache-2.0
// Options that several verbs share: parsers that a verb's own names as children. At ARGP_KEY_INIT it hands each its input, in the same
// order: state->child_inputs[0] = &asked->layers.
#ifndef HONE_CMD_OPTIONS_H
#define HONE_CMD_OPTIONS_H

#include <argp.h>

#include "db/exchange.h"
#include "db/store.h"

typedef struct hone_cmd_network {
    const char *device, *precision, *shapes;
} hone_cmd_network;

extern const struct argp_child hone_cmd_layers_child[], hone_cmd_network_children[];     // the first; the first two, the network before
extern const struct argp hone_cmd_layers_argp;       // --db, several times: hone_layers
extern const struct argp hone_cmd_network_argp;      // --device, --precision, --shapes: hone_cmd_network
extern const struct argp hone_cmd_hub_argp;          // --hub, --token-file, --ca: hone_remote_options

void hone_cmd_check_sources(const char *words, struct argp_state *state);     // --sources LIST: ends with a usage error at a word that names none

#endif
