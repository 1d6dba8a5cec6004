// SPDX-License-Identifier: Apache-2.0
// Options that several verbs share, each set a parser of its own that a verb names as a child.
#include "cmd_options.h"

#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "kernels/source.h"

enum { KEY_DB = 256, KEY_DEVICE, KEY_PRECISION, KEY_SHAPES, KEY_HUB, KEY_TOKEN_FILE, KEY_CA };

static const struct argp_option layer_options[] = {
    {"db", KEY_DB, "DB", 0, "The database, and nothing else; again for one below it, which is only read; `bundled` names the bundled one "
     "(default: the user's own over the bundled one)", 0},
    {0},
};

static error_t parse_layers(int key, char *argument, struct argp_state *state)
{
    hone_layers *layers = state->input;
    if (key != KEY_DB) return ARGP_ERR_UNKNOWN;
    if (layers->count == HONE_LAYERS_MAX) argp_error(state, "at most %d times --db", HONE_LAYERS_MAX);
    return layers->paths[layers->count++] = argument, 0;
}

const struct argp hone_cmd_layers_argp = {layer_options, parse_layers, 0, 0, 0, 0, 0};

static const struct argp_option network_options[] = {
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0, a device's full spelling, or a word that names one device of the database (h200)", 0},
    {"precision", KEY_PRECISION, "LIST", 0, "Of fp32, tf32, fp16, bf16; the first is the one asked for, the others may stand in (default fp32)", 0},
    {"shapes", KEY_SHAPES, "NAME:DIMS,...", 0, "Binds symbolic dims: x:1x3x640x640", 0},
    {0},
};

static error_t parse_network(int key, char *argument, struct argp_state *state)
{
    hone_cmd_network *asked = state->input;
    switch (key) {
    case KEY_DEVICE: return asked->device = argument, 0;
    case KEY_PRECISION: return asked->precision = argument, 0;
    case KEY_SHAPES: return asked->shapes = argument, 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp hone_cmd_network_argp = {network_options, parse_network, 0, 0, 0, 0, 0};

static const struct argp_option hub_options[] = {
    {"hub", KEY_HUB, "URL", 0, "The hub, and nothing else: https://HOST[:PORT], or http:// on this machine", 0},
    {"token-file", KEY_TOKEN_FILE, "FILE", 0, "Holds the token for the hub (default: $HONE_HUB_TOKEN)", 0},
    {"ca", KEY_CA, "FILE", 0, "Certificates in PEM that the hub's must be signed by (default: the system's)", 0},
    {0},
};

static error_t parse_hub(int key, char *argument, struct argp_state *state)
{
    hone_remote_options *asked = state->input;
    switch (key) {
    case KEY_HUB:
        if (asked->url) argp_error(state, "one place at a time");
        return asked->url = argument, 0;
    case KEY_TOKEN_FILE: return asked->token_file = argument, 0;
    case KEY_CA: return asked->ca_file = argument, 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp_child hone_cmd_layers_child[] = {{&hone_cmd_layers_argp, 0, 0, 0}, {0}};
const struct argp_child hone_cmd_network_children[] = {{&hone_cmd_network_argp, 0, 0, 0}, {&hone_cmd_layers_argp, 0, 0, 0}, {0}};
const struct argp hone_cmd_hub_argp = {hub_options, parse_hub, 0, 0, 0, 0, 0};

void hone_cmd_check_sources(const char *words, struct argp_state *state)
{
    char word[32];
    for (const char *at = words; *at;) {
        size_t size = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)size, at);
        if (!hone_source_find(word)) argp_error(state, "there is no source '%s'", word);
        at += size + (at[size] == ',');
    }
}
