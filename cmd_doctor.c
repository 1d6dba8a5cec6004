// SPDX-License-Identifier: Apache-2.0
// hone doctor: libraries, their versions and where each was found or looked for; the databases and their journals.
#include <argp.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "base/thread.h"
#include "cmd.h"
#include "cmd_options.h"
#include "kernels/device_cpu.h"
#include "kernels/openblas.h"

enum { KEY_JSON = 256 };

typedef struct request {
    hone_layers layers;
    bool json;
    hone_text text;
    hone_json writer;
} request;

static const struct argp_option options[] = {
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case ARGP_KEY_INIT: return state->child_inputs[0] = &asked->layers, 0;
    case KEY_JSON: return asked->json = true, 0;
    case ARGP_KEY_ARG: argp_error(state, "no argument is expected, but '%s' is given", argument); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void look_at_library(request *r, hone_library *library)
{
    bool found = hone_library_open(library) == HONE_OK;
    const char *version = library->version[0] ? library->version : "no version told";
    if (!r->json) {
        if (found) hone_text_printf(&r->text, "library    %-9s %s at %s\n", library->name, version, library->dl.path);
        else hone_text_printf(&r->text, "library    %-9s not usable: %s\n", library->name, library->why);
        return;
    }
    hone_json_open(&r->writer, NULL, '{');
    hone_json_text(&r->writer, "name", library->name);
    hone_json_bool(&r->writer, "usable", found);
    if (found) hone_json_text(&r->writer, "version", version);
    hone_json_text(&r->writer, found ? "path" : "reason", found ? library->dl.path : library->why);
    hone_json_close(&r->writer, '}');
}

static void look_at_store(request *r, const hone_store *store)
{
    if (!r->json) {
        hone_text_printf(&r->text, "database   %s, schema %d, journal %s\n           %s\n", hone_store_path(store), hone_store_schema_version(store),
                         hone_store_journal(store), hone_store_journal_reason(store));
        return;
    }
    hone_json_open(&r->writer, NULL, '{');
    hone_json_text(&r->writer, "path", hone_store_path(store));
    hone_json_int(&r->writer, "schema_version", hone_store_schema_version(store));
    hone_json_text(&r->writer, "journal", hone_store_journal(store));
    hone_json_text(&r->writer, "journal_reason", hone_store_journal_reason(store));
    hone_json_close(&r->writer, '}');
}

static void fact(request *r, const char *key, const char *value)
{
    if (r->json) hone_json_text(&r->writer, key, value);
    else hone_text_printf(&r->text, "%-10s %s\n", key, value);
}

static void look_at_host(request *r)
{
    char cpu[128], cache[4096];
    fact(r, "hone", HONE_VERSION);
    snprintf(cpu, sizeof cpu, "%s, %d usable", hone_cpu_arch(), hone_cpu_count());
    fact(r, "cpu", cpu);
    fact(r, "cache", hone_path_cache("", cache, sizeof cache) == HONE_OK ? cache : hone_error_text());
}

static void look_at_libraries(request *r)
{
    if (r->json) hone_json_open(&r->writer, "libraries", '[');
    for (int k = 0; k < hone_library_count; k++) look_at_library(r, hone_libraries[k]);
    look_at_library(r, &hone_library_openblas);
    if (r->json) hone_json_close(&r->writer, ']');
}

static hone_status look_at_stores(request *r)
{
    hone_store *store = NULL;
    hone_status status = hone_store_open_layers(&r->layers, HONE_STORE_READ, &store);
    if (status != HONE_OK) return status;
    if (r->json) hone_json_open(&r->writer, "databases", '[');
    for (hone_store *at = store; at; at = hone_store_under(at)) look_at_store(r, at);
    if (r->json) hone_json_close(&r->writer, ']');
    hone_store_close(store);
    return HONE_OK;
}

int hone_cmd_doctor(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "", "Prints libraries, versions, where each was found, and the database with its journal.", hone_cmd_layers_child, 0, 0};
    request asked = {0};
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argv[0] = "hone doctor";
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    hone_text_init(&asked.text);
    hone_json_init(&asked.writer, &asked.text);
    if (asked.json) {
        hone_json_open(&asked.writer, NULL, '{');
        hone_json_text(&asked.writer, "schema", "hone.doctor.1");
    }
    look_at_host(&asked);
    look_at_libraries(&asked);
    hone_status status = look_at_stores(&asked);
    if (asked.json && status == HONE_OK) hone_json_close(&asked.writer, '}');
    hone_status printed = status == HONE_OK || !asked.json ? hone_cmd_print(&asked.text) : HONE_OK;     // a damaged database is told behind the rest
    hone_text_clear(&asked.text);
    if (status == HONE_OK) status = printed;
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
