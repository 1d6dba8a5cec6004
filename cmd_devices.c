// SPDX-License-Identifier: Apache-2.0
// hone devices: what is here, which tactic sources serve it, and, for what is not here, why.
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cmd.h"
#include "kernels/source.h"

enum { KEY_JSON = 256 };

static const struct argp_option options[] = {{"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0}, {0}};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    bool *json = state->input;
    (void)argument;
    if (key == ARGP_KEY_ARG) argp_error(state, "no argument is expected");
    if (key != KEY_JSON) return ARGP_ERR_UNKNOWN;
    *json = true;
    return 0;
}

// A report as text and as JSON: one of the two is written.
typedef struct report {
    hone_text text;
    hone_json json;
    bool is_json;
    int found;
} report;

static void say_absent(report *r, const char *name)
{
    if (!r->is_json) {
        hone_text_printf(&r->text, "%-8s not here: %s\n", name, hone_error_text());
        return;
    }
    hone_json_open(&r->json, NULL, '{');
    hone_json_text(&r->json, "name", name);
    hone_json_bool(&r->json, "here", false);
    hone_json_text(&r->json, "reason", hone_error_text());
    hone_json_close(&r->json, '}');
}

static void say_source(report *r, const hone_source *source, hone_device *device)
{
    bool usable = source->probe(&device->target, device) == HONE_OK;
    if (!r->is_json) {
        hone_text_printf(&r->text, "         source %s@%d%s%s\n", source->name, source->version, usable ? "" : " cannot be used: ", usable ? "" : hone_error_text());
        return;
    }
    hone_json_open(&r->json, NULL, '{');
    hone_json_text(&r->json, "name", source->name);
    hone_json_int(&r->json, "version", source->version);
    hone_json_bool(&r->json, "usable", usable);
    if (!usable) hone_json_text(&r->json, "reason", hone_error_text());
    hone_json_close(&r->json, '}');
}

static void say_device(report *r, const char *name, hone_device *device)
{
    char spelling[256];
    hone_target_print(&device->target, spelling, sizeof spelling);
    r->found++;
    if (r->is_json) {
        hone_json_open(&r->json, NULL, '{');
        hone_json_text(&r->json, "name", name);
        hone_json_bool(&r->json, "here", true);
        hone_json_text(&r->json, "device", spelling);
        hone_json_text(&r->json, "toolchain", device->toolchain);
        hone_json_text(&r->json, "uuid", device->uuid);
        hone_json_open(&r->json, "sources", '[');
    } else hone_text_printf(&r->text, "%-8s %s\n         %s\n", name, spelling, device->toolchain);
    for (int k = 0; k < hone_source_count; k++)
        if (hone_source_serves(hone_sources[k], device->target.kind)) say_source(r, hone_sources[k], device);
    if (!r->is_json) return;
    hone_json_close(&r->json, ']');
    hone_json_close(&r->json, '}');
}

static void look_at(report *r, const hone_device_api *api)
{
    int n = api->count();
    if (!n) say_absent(r, api->kind);
    for (int k = 0; k < n; k++) {
        char name[32];
        hone_device *device = NULL;
        snprintf(name, sizeof name, !strcmp(api->kind, "cpu") ? "%s" : "%s:%d", api->kind, k);
        if (hone_device_open(name, &device) == HONE_OK) say_device(r, name, device);
        else say_absent(r, name);
        hone_device_close(device);
    }
}

int hone_cmd_devices(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "", "Prints the devices of this machine and, for those that cannot be used, why.", 0, 0, 0};
    report r = {.is_json = false};
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argv[0] = "hone devices";
    argp_parse(&argp, argc, argv, 0, NULL, &r.is_json);
    hone_text_init(&r.text);
    hone_json_init(&r.json, &r.text);
    if (r.is_json) {
        hone_json_open(&r.json, NULL, '{');
        hone_json_text(&r.json, "schema", "hone.devices.1");
        hone_json_open(&r.json, "devices", '[');
    }
    for (int k = 0; k < hone_device_count; k++) look_at(&r, hone_devices[k]);
    if (r.is_json) {
        hone_json_close(&r.json, ']');
        hone_json_close(&r.json, '}');
    }
    hone_status status = r.found ? HONE_OK : hone_fail(HONE_NO_DEVICE, "no usable device");
    if (status == HONE_OK) status = hone_cmd_print(&r.text);
    hone_text_clear(&r.text);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
