// SPDX-License-Identifier: Apache-2.0
// hone db info|dump|load|merge|check|snapshot|stale|trust: looking after databases.
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/zip.h"
#include "cmd.h"
#include "cmd_db.h"
#include "kernels/device.h"

#define DUMP_BYTES_MAX ((size_t)2 << 30)

enum { DUMP_LEVEL = 19, KEY_KEEP = 256, KEY_JSON, KEY_REASON, KEY_KEY,
       KEY_ARCHITECTURE, KEY_OP, KEY_NETWORK, KEY_STRIP, KEY_VOUCH,
       KEY_DEVICE, KEY_TOOLCHAIN };

static const struct argp_option info_options[] = {
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0}, {0},
};
static const struct argp_option dump_options[] = {
    {"output", 'o', "FILE", 0, "Write to FILE, compressed when its name ends with .zst (default: standard output)", 0},
    {"keep", KEY_KEEP, "N", 0, "Keep what builds need: the best N tactics of each source for each problem, their artifacts, all failures", 0},
    {"architecture", KEY_ARCHITECTURE, "NAME", 0, "Only what was measured on this architecture (sm_90)", 0},
    {"op", KEY_OP, "OP", 0, "Only problems that begin with this op", 0},
    {"network", KEY_NETWORK, "NAME", 0, "Only the problems of a registered network", 0},
    {"vouch", KEY_VOUCH, 0, 0, "Put what all writers measured under the name `local`: who loads the dump takes the word of who gave it, and doubts none of it", 0},
    {"strip-private", KEY_STRIP, 0, 0, "Leave out options of runs, notes, names of networks, rulings and plans", 0}, {0},
};
static const struct argp_option stale_options[] = {
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0, or a word that names one device of the database (h200)", 0},
    {"toolchain", KEY_TOOLCHAIN, "SPELLING", 0, "Library versions to hold the records against (default: those of the device here)", 0},
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0}, {0},
};
static const struct argp_option trust_options[] = {
    {"reason", KEY_REASON, "TEXT", 0, "Why; kept in the ruling", 0},
    {"key", KEY_KEY, "FILE", 0, "The key that signs (default: writer.key in the data folder)", 0},
    {"json", KEY_JSON, 0, 0, "One JSON object on standard output", 0}, {0},
};
static const struct argp_option change_options[] = {
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    hone_db_request *asked = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT: return state->child_inputs[0] = &asked->layers, 0;
    case KEY_JSON: asked->json = true; return 0;
    case KEY_REASON: asked->reason = argument; return 0;
    case KEY_KEY: asked->key = argument; return 0;
    case KEY_DEVICE: asked->device = argument; return 0;
    case KEY_TOOLCHAIN: asked->toolchain = argument; return 0;
    case KEY_ARCHITECTURE: asked->part.architecture = argument; return 0;
    case KEY_OP: asked->part.op = argument; return 0;
    case KEY_NETWORK: asked->part.network = argument; return 0;
    case KEY_STRIP: asked->part.strip_private = true; return 0;
    case KEY_VOUCH: asked->part.vouch = true; return 0;
    case 'o': asked->output = argument; return 0;
    case KEY_KEEP:
        asked->keep = (int)strtol(argument, &end, 10);
        if (*end || asked->keep < 1 || asked->keep > 1000) argp_error(state, "--keep wants a number from 1 to 1000, not '%s'", argument);
        return 0;
    case ARGP_KEY_ARG:
        if (asked->file_count == HONE_DB_FILES_MAX) argp_error(state, "at most %d files at once", HONE_DB_FILES_MAX);
        asked->files[asked->file_count++] = argument;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- info

static hone_status add_device(void *user, const char *spelling, int64_t measurements)
{
    hone_text_printf(user, "device        %s\n              %" PRId64 " measurements\n", spelling, measurements);
    return HONE_OK;
}

static hone_status print_info(hone_store *store, const hone_store_counts *counts)
{
    hone_text text;
    hone_text_init(&text);
    for (hone_store *at = store; at; at = hone_store_under(at))
        hone_text_printf(&text, "%s %s\n              schema version %d, journal %s: %s\n", at == store ? "database     " : "over         ",
                         hone_store_path(at), hone_store_schema_version(at), hone_store_journal(at), hone_store_journal_reason(at));
    hone_text_printf(&text, "holds         %" PRId64 " measurements (%" PRId64 " samples) of %" PRId64 " tactics for %" PRId64 " problems\n"
                     "              %" PRId64 " runs, %" PRId64 " coverage rows, %" PRId64 " networks, %" PRId64 " plans, %" PRId64
                     " artifacts, %.1f MiB\n", counts->measurements, counts->samples, counts->tactics, counts->problems, counts->runs,
                     counts->coverage, counts->networks, counts->plans, counts->artifacts, (double)counts->bytes / (1 << 20));
    hone_status status = hone_store_each_device(store, add_device, &text);
    if (status == HONE_OK) status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

static hone_status add_device_json(void *user, const char *spelling, int64_t measurements)
{
    hone_json_open(user, NULL, '{');
    hone_json_text(user, "device", spelling);
    hone_json_int(user, "measurements", measurements);
    hone_json_close(user, '}');
    return HONE_OK;
}

static void add_counts_json(hone_json *json, const hone_store_counts *counts)
{
    const struct { const char *name; int64_t value; } all[] = {
        {"devices", counts->devices}, {"toolchains", counts->toolchains}, {"problems", counts->problems}, {"tactics", counts->tactics},
        {"runs", counts->runs}, {"measurements", counts->measurements}, {"samples", counts->samples}, {"coverage", counts->coverage},
        {"networks", counts->networks}, {"plans", counts->plans}, {"artifacts", counts->artifacts}, {"size_bytes", counts->bytes},
    };
    hone_json_open(json, "counts", '{');
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) hone_json_int(json, all[i].name, all[i].value);
    hone_json_close(json, '}');
}

static hone_status print_info_json(hone_store *store, const hone_store_counts *counts)
{
    hone_text text;
    hone_json json;
    hone_text_init(&text);
    hone_json_init(&json, &text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.db.info.1");
    hone_json_open(&json, "databases", '[');
    for (hone_store *at = store; at; at = hone_store_under(at)) {
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "path", hone_store_path(at));
        hone_json_int(&json, "schema_version", hone_store_schema_version(at));
        hone_json_text(&json, "journal", hone_store_journal(at));
        hone_json_text(&json, "journal_reason", hone_store_journal_reason(at));
        hone_json_close(&json, '}');
    }
    hone_json_close(&json, ']');
    add_counts_json(&json, counts);
    hone_json_open(&json, "devices", '[');
    hone_status status = hone_store_each_device(store, add_device_json, &json);
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    if (status == HONE_OK) status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

static hone_status run_info(hone_db_request *asked)
{
    hone_store *store = NULL;
    hone_store_counts counts;
    hone_status status;
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    HONE_TRY(hone_store_count(store, &counts));
    status = (asked->json ? print_info_json : print_info)(store, &counts);
out:
    hone_store_close(store);
    return status;
}

// ---- dump

static hone_status append(void *user, const char *data, size_t size)
{
    hone_text_append(user, data, size);
    return HONE_OK;
}

static bool ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

static hone_status write_dump(const char *path, hone_text *text)
{
    void *packed;
    size_t packed_bytes;
    if (!path) return hone_cmd_print(text);
    if (!ends_with(path, ".zst")) return hone_file_write(path, hone_text_get(text), text->size);
    hone_status status = hone_zip(hone_text_get(text), text->size, DUMP_LEVEL, &packed, &packed_bytes);
    if (status != HONE_OK) return status;
    status = hone_file_write(path, packed, packed_bytes);
    hone_free(packed);
    return status;
}

static hone_status run_dump(hone_db_request *asked)
{
    hone_store *store = NULL, *part = NULL;
    hone_text text;      // whole before it is written: a slow reader of the output must not hold the database's lock
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    if (asked->part.architecture || asked->part.op || asked->part.network || asked->part.strip_private || asked->part.vouch)
        HONE_TRY(hone_store_export(store, &asked->part, &part));
    HONE_TRY(hone_store_dump(part ? part : store, asked->keep, append, &text));
    HONE_TRY(hone_text_status(&text));
    status = write_dump(asked->output, &text);
out:
    hone_text_clear(&text);
    hone_store_close(part);
    hone_store_close(store);
    return status;
}

// ---- load and merge

static hone_status add_file(hone_store *store, const char *path, int64_t *added)
{
    hone_store *from = NULL;
    hone_status status = hone_store_open(path, HONE_STORE_READ, &from);
    if (status == HONE_OK) status = hone_store_merge(store, from, added);
    hone_store_close(from);
    return status;
}

static hone_status load_file(hone_store *store, const char *path, int64_t *added)
{
    char *data;
    size_t size;
    hone_status status = hone_file_read(path, DUMP_BYTES_MAX, &data, &size);
    if (status != HONE_OK) return status;
    status = hone_store_load(store, data, size, added);
    hone_free(data);
    return status == HONE_DAMAGED ? hone_fail_in(status, "%s", path) : status;
}

static hone_status add_files(const hone_db_request *asked, hone_status (*add)(hone_store *store, const char *path, int64_t *added))
{
    hone_store *store = NULL;
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_CREATE, &store));
    for (size_t i = 0; i < asked->file_count; i++) {
        int64_t added;
        HONE_TRY(add(store, asked->files[i], &added));
        hone_text_printf(&text, "%s: %" PRId64 " new facts\n", asked->files[i], added);
    }
    status = hone_cmd_print(&text);
out:
    hone_text_clear(&text);
    hone_store_close(store);
    return status;
}

static hone_status run_load(hone_db_request *asked) { return add_files(asked, load_file); }
static hone_status run_merge(hone_db_request *asked) { return add_files(asked, add_file); }

// ---- check

static hone_status print_check(hone_store *store, const hone_text *report, bool json_wanted)
{
    hone_text text;
    hone_json json;
    hone_text_init(&text);
    if (!json_wanted) hone_text_printf(&text, "%s%s: %s\n", hone_text_get(report), hone_store_path(store), report->size ? "damaged" : "no faults");
    if (json_wanted) {
        hone_json_init(&json, &text);
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "schema", "hone.db.check.1");
        hone_json_text(&json, "path", hone_store_path(store));
        hone_json_open(&json, "faults", '[');
        char *lines = hone_strdup(hone_text_get(report)), *rest = lines;
        for (char *line; lines && (line = strtok_r(rest, "\n", &rest)); ) hone_json_text(&json, NULL, line);
        hone_free(lines);
        hone_json_close(&json, ']');
        hone_json_close(&json, '}');
    }
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

static hone_status run_check(hone_db_request *asked)
{
    hone_store *store = NULL;
    hone_text report;
    hone_status status;
    hone_text_init(&report);
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    status = hone_store_check(store, &report);
    if (status == HONE_OK || status == HONE_DAMAGED) {
        char sentence[1024];
        snprintf(sentence, sizeof sentence, "%s", hone_error_text());
        hone_status printed = print_check(store, &report, asked->json);
        if (printed != HONE_OK) status = printed;
        else if (status != HONE_OK) hone_fail(status, "%s", sentence);
    }
out:
    hone_text_clear(&report);
    hone_store_close(store);
    return status;
}

// ---- snapshot

static hone_status print_snapshot(const char *digits, bool json_wanted)
{
    hone_text text;
    hone_json json;
    hone_text_init(&text);
    if (!json_wanted) hone_text_printf(&text, "%s\n", digits);
    if (json_wanted) {
        hone_json_init(&json, &text);
        hone_json_open(&json, NULL, '{');
        hone_json_text(&json, "schema", "hone.db.snapshot.1");
        hone_json_text(&json, "snapshot", digits);
        hone_json_close(&json, '}');
    }
    hone_status status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

static hone_status run_snapshot(hone_db_request *asked)
{
    hone_store *store = NULL;
    hone_id id;
    char digits[HONE_ID_TEXT];
    hone_status status;
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    HONE_TRY(hone_store_begin_read(store));
    status = hone_store_snapshot(store, &id);
    hone_store_end_read(store);
    hone_id_print(&id, digits);
    if (status == HONE_OK) status = print_snapshot(digits, asked->json);
out:
    hone_store_close(store);
    return status;
}

// ---- stale

typedef struct staleness {
    hone_text text;
    hone_json json;
    int64_t fresh, stale;
} staleness;

static hone_status add_stale(void *user, const hone_stale *group)
{
    staleness *to = user;
    *(*group->changes ? &to->stale : &to->fresh) += group->measurements;
    if (*group->changes)
        hone_text_printf(&to->text, "%s: %" PRId64 " measurements of %" PRId64 " problems rest on %s\n", group->source, group->measurements,
                         group->problems, group->changes);
    return HONE_OK;
}

static hone_status add_stale_json(void *user, const hone_stale *group)
{
    staleness *to = user;
    hone_json_open(&to->json, NULL, '{');
    hone_json_text(&to->json, "source", group->source);
    hone_json_text(&to->json, "depends", group->depends);
    hone_json_text(&to->json, "changes", group->changes);
    hone_json_int(&to->json, "measurements", group->measurements);
    hone_json_int(&to->json, "problems", group->problems);
    hone_json_close(&to->json, '}');
    return HONE_OK;
}

static hone_status print_stale(const hone_db_request *asked, hone_store *store, const char *device, const char *toolchain)
{
    staleness to = {0};
    hone_status status;
    hone_text_init(&to.text);
    hone_json_init(&to.json, &to.text);
    if (asked->json) {
        hone_json_open(&to.json, NULL, '{');
        hone_json_text(&to.json, "schema", "hone.db.stale.1");
        hone_json_text(&to.json, "device", device);
        hone_json_text(&to.json, "toolchain", toolchain);
        hone_json_open(&to.json, "groups", '[');
        HONE_TRY(hone_store_each_stale(store, device, toolchain, add_stale_json, &to));
        hone_json_close(&to.json, ']');
        hone_json_close(&to.json, '}');
    } else {
        HONE_TRY(hone_store_each_stale(store, device, toolchain, add_stale, &to));
        hone_text_printf(&to.text, "%" PRId64 " of %" PRId64 " measurements on %s are stale\n", to.stale, to.stale + to.fresh, device);
    }
    status = hone_cmd_print(&to.text);
out:
    hone_text_clear(&to.text);
    return status;
}

// The recorded toolchain is what would be asked about: what counts here is what the machine has now.
static hone_status find_toolchain_now(const hone_db_request *asked, char toolchain[512])
{
    hone_device *device = NULL;
    if (asked->toolchain) return snprintf(toolchain, 512, "%s", asked->toolchain), HONE_OK;
    hone_status status = hone_device_look(asked->device, &device);
    if (status != HONE_OK) return hone_fail_in(status, "without --toolchain the device must be here");
    snprintf(toolchain, 512, "%s", device->toolchain);
    hone_device_close(device);
    return HONE_OK;
}

static hone_status run_stale(hone_db_request *asked)
{
    hone_store *store = NULL;
    char device[256], recorded[512], toolchain[512];
    hone_status status;
    if (!asked->device) return hone_fail(HONE_USAGE, "hone db stale wants --device DEVICE");
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    HONE_TRY(hone_cmd_find_target(store, asked->device, device, recorded));
    HONE_TRY(find_toolchain_now(asked, toolchain));
    status = print_stale(asked, store, device, toolchain);
out:
    hone_store_close(store);
    return status;
}

// ---- the verbs

static const struct verb {
    const char *name;
    hone_status (*run)(hone_db_request *asked);
    struct argp argp;
    bool changes;          // needs a database and files; the others read databases
    bool words;            // its arguments name no database
} verbs[] = {
    {"info", run_info, {info_options, parse, "[DB...]", "What a database holds.", hone_cmd_layers_child, 0, 0}, false, false},
    {"dump", run_dump, {dump_options, parse, "[DB...]", "The sorted, stable text of a database (docs/schema.md).", hone_cmd_layers_child, 0, 0}, false, false},
    {"load", run_load, {change_options, parse, "DB DUMP...", "Adds dumps, plain or .zst, to a database; every id is verified.", hone_cmd_layers_child, 0, 0}, true, false},
    {"merge", run_merge, {change_options, parse, "DB FROM...", "Adds databases or dumps to a database: set union.", hone_cmd_layers_child, 0, 0}, true, false},
    {"check", run_check, {info_options, parse, "[DB...]", "Verifies the file, every id and every reference.", hone_cmd_layers_child, 0, 0}, false, false},
    {"snapshot", run_snapshot, {info_options, parse, "[DB...]", "The id of all that a build can depend on (build --snapshot).", hone_cmd_layers_child, 0, 0}, false, false},
    {"stale", run_stale, {stale_options, parse, "[DB...]", "What was measured beside other library versions than a device has now, and which those are.", hone_cmd_layers_child, 0, 0},
     false, false},
    {"trust", hone_cmd_db_trust, {trust_options, parse, "[VERB [ID]]", "Whose rows count, and which: lists writers and rulings, or makes a ruling (docs/schema.md). VERB is own, "
                          "admit, empower, suspend, promote, quarantine or withdraw.", hone_cmd_layers_child, 0, 0}, false, true},
};

static const char help[] =
    "Usage: hone db VERB [OPTION...] [FILE...]\n"
    "  info [DB...]        what a database holds\n"
    "  dump [DB...]        its sorted, stable text\n"
    "  load DB DUMP...     add dumps\n"
    "  merge DB FROM...    add databases or dumps\n"
    "  check [DB...]       verify the file, every id and every reference\n"
    "  snapshot [DB...]    the id of all that a build can depend on\n"
    "  stale [DB...]       what rests on other library versions than a device has now\n"
    "  trust [VERB [ID]]   whose rows count, and which\n"
    "`hone db VERB --help` says more.\n";

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(verbs[i].name, name)) return &verbs[i];
    return NULL;
}

static hone_status settle_database(const struct verb *verb, hone_db_request *asked)
{
    if (verb->words) return HONE_OK;
    hone_layers *layers = &asked->layers;
    size_t named = verb->changes ? layers->count ? 0 : asked->file_count ? 1 : 0 : asked->file_count;
    if (layers->count + named > HONE_LAYERS_MAX) return hone_fail(HONE_USAGE, "at most %d databases at once", HONE_LAYERS_MAX);
    for (size_t k = 0; k < named; k++) layers->paths[layers->count++] = asked->files[k];
    asked->file_count -= named;
    memmove(asked->files, asked->files + named, asked->file_count * sizeof *asked->files);
    if (verb->changes && (layers->count != 1 || !asked->file_count)) return hone_fail(HONE_USAGE, "hone db %s wants %s", verb->name, verb->argp.args_doc);
    return HONE_OK;
}

int hone_cmd_db(int argc, char **argv)
{
    hone_db_request asked = {0};
    char name[64];
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?"))) return fputs(help, stdout) < 0;
    const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    if (!verb) {
        fputs(help, stderr);
        return hone_cmd_fail(hone_fail(HONE_USAGE, argc > 1 ? "db has no verb '%s'" : "db wants a verb", argc > 1 ? argv[1] : ""));
    }
    snprintf(name, sizeof name, "hone db %s", verb->name);
    argv[1] = name;
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&verb->argp, argc - 1, argv + 1, 0, NULL, &asked);
    hone_status status = settle_database(verb, &asked);
    if (status == HONE_OK) status = verb->run(&asked);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
