// SPDX-License-Identifier: Apache-2.0
// Arguments that several verbs share: numbers, --device, MODEL.onnx.
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "engine/import.h"
#include "kernels/device.h"

static bool is_device_name(const char *word)
{
    size_t size = strcspn(word, ":");
    for (int k = 0; k < hone_device_count; k++)
        if (strlen(hone_devices[k]->kind) == size && !strncmp(hone_devices[k]->kind, word, size)) return !strchr(word, ' ');
    return false;
}

static hone_status look_here(const char *word, char spelling[256], char toolchain[512])
{
    hone_device *device = NULL;
    hone_status status = hone_device_look(word, &device);
    if (status != HONE_OK) return status;
    hone_target_print(&device->target, spelling, 256);
    snprintf(toolchain, 512, "%s", device->toolchain);
    hone_device_close(device);
    return HONE_OK;
}

hone_status hone_cmd_find_named(const char *word, char spelling[256], char toolchain[512], bool *found)
{
    hone_target target;
    toolchain[0] = 0;
    *found = true;
    if (is_device_name(word)) return look_here(word, spelling, toolchain);
    *found = hone_target_parse(word, &target) == HONE_OK;
    if (*found) hone_target_print(&target, spelling, 256);
    return HONE_OK;
}

hone_status hone_cmd_find_recorded(hone_store *store, const char *word, bool found, char spelling[256], char toolchain[512])
{
    char recorded[512];
    hone_status status = HONE_OK;
    if (!found) {
        status = hone_store_find_device(store, word, spelling, 256);
        if (status == HONE_MISS) status = hone_fail(HONE_USAGE, "--device %s is neither a device here (hone devices) nor one of the "
                                                    "database %s (hone db info)", word, hone_store_path(store));
    }
    if (status != HONE_OK) return status;
    status = hone_store_find_toolchain(store, spelling, recorded, sizeof recorded);
    if (status == HONE_OK) memcpy(toolchain, recorded, sizeof recorded);
    return status == HONE_MISS ? HONE_OK : status;
}

hone_status hone_cmd_find_target(hone_store *store, const char *word, char spelling[256], char toolchain[512])
{
    bool found;
    hone_status status = hone_cmd_find_named(word, spelling, toolchain, &found);
    return status != HONE_OK ? status : hone_cmd_find_recorded(store, word, found, spelling, toolchain);
}

hone_status hone_cmd_import(const char *path, const char *shapes_text, struct hone_graph **graph)
{
    hone_shapes shapes = {0};
    hone_import_report report = {0};
    hone_status status = shapes_text ? hone_shapes_parse(shapes_text, &shapes) : HONE_OK;
    hone_import_options options = {.shapes = &shapes, .simplify = true};
    if (status == HONE_OK) status = hone_import(path, &options, &report, graph);
    hone_import_report_clear(&report);
    return status;
}

const char *hone_cmd_network_name(const char *path, char name[256])
{
    const char *slash = strrchr(path, '/');
    snprintf(name, 256, "%s", slash ? slash + 1 : path);
    size_t size = strlen(name);
    if (size > 5 && !strcmp(name + size - 5, ".onnx")) name[size - 5] = 0;
    return name;
}

bool hone_cmd_int(const char *text, int64_t least, int64_t most, int64_t *value)
{
    hone_scan scan = {text};
    return hone_scan_int(&scan, value) && !*scan.at && *value >= least && *value <= most;
}

bool hone_cmd_real(const char *text, double least, double most, double *value)
{
    hone_scan scan = {text};
    return hone_scan_float(&scan, value) && !*scan.at && *value >= least && *value <= most;
}

bool hone_cmd_seconds(const char *text, double *seconds)
{
    hone_scan scan = {text};
    if (!hone_scan_float(&scan, seconds) || !(*seconds > 0)) return false;
    if (hone_scan_char(&scan, 'h')) *seconds *= 3600;
    else if (hone_scan_char(&scan, 'm')) *seconds *= 60;
    else (void)hone_scan_char(&scan, 's');
    return !*scan.at && *seconds < 1e9;
}

bool hone_cmd_is_network(const char *path)
{
    size_t size = strlen(path);
    return size > 5 && !strcmp(path + size - 5, ".onnx");
}

bool hone_cmd_bytes(const char *text, int64_t *bytes)
{
    static const char units[] = "KMG";
    hone_scan scan = {text};
    if (!hone_scan_int(&scan, bytes) || *bytes < 0 || *bytes > INT64_MAX >> 30) return false;
    const char *unit = *scan.at ? strchr(units, *scan.at) : NULL;
    if (!unit) return !*scan.at;
    *bytes <<= 10 * (unit - units + 1);
    return !scan.at[1];
}
