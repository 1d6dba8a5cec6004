// SPDX-License-Identifier: Apache-2.0
#include "cmd_remote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cmd.h"

const struct argp_child hone_cmd_remote_children[] = {{&hone_cmd_layers_argp, 0, 0, 0}, {&hone_cmd_hub_argp, 0, 0, 0}, {0}};

error_t hone_cmd_remote_parse(int key, char *argument, struct argp_state *state)
{
    hone_cmd_remote *asked = state->input;
    const struct { int key; const char **to; } texts[] = {
        {HONE_KEY_PLACE, &asked->place.url}, {HONE_KEY_KEY, &asked->key_file},
    };
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &asked->db;
        state->child_inputs[1] = &asked->place;
        return 0;
    }
    if (key == HONE_KEY_PLACE && asked->place.url) argp_error(state, "one place at a time");
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (texts[k].key == key) return *texts[k].to = argument, 0;
    if (key == HONE_KEY_RULINGS) return asked->rulings = true, 0;
    if (key == HONE_KEY_JSON) return asked->json = true, 0;
    if (key == ARGP_KEY_ARG) argp_error(state, "no argument is expected");
    if (key == ARGP_KEY_END && asked->db.count > 1) argp_error(state, "one database at a time");
    if (key == ARGP_KEY_END && !asked->place.url) argp_error(state, "--hub URL, or a store, is needed");
    return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

hone_status hone_cmd_remote_say(const hone_cmd_remote *asked, const char *verb, const hone_exchanged *done)
{
    hone_text text;
    hone_json json;
    hone_text_init(&text);
    if (!asked->json) {
        hone_text_printf(&text, "%s: %" PRId64 " batches of %" PRId64 " rows, %" PRId64 " rows new", verb, done->batches, done->rows, done->added);
        if (done->quarantined) hone_text_printf(&text, "; %" PRId64 " batches wait in quarantine, since their writer is not trusted there", done->quarantined);
    } else {
        hone_json_init(&json, &text);
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "schema", "hone.exchange.1");
        hone_json_int(&json, "batches", done->batches);
        hone_json_int(&json, "rows", done->rows);
        hone_json_int(&json, "added", done->added);
        hone_json_int(&json, "quarantined", done->quarantined);
        hone_json_close(&json, '}');
    }
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}
