// SPDX-License-Identifier: Apache-2.0
// What all devices share: opening by name, the things sources keep on them, and toolchain spellings.
#include "kernels/device.h"

#include <stdio.h>
#include <string.h>

static _Thread_local const char *where = "";

const char *hone_device_where(void)
{
    return where;
}

static const hone_device_api *find_device(const char *kind, size_t size)
{
    for (int k = 0; k < hone_device_count; k++)
        if (strlen(hone_devices[k]->kind) == size && !strncmp(hone_devices[k]->kind, kind, size)) return hone_devices[k];
    return NULL;
}

hone_status hone_device_look(const char *name, hone_device **device)
{
    size_t size = strcspn(name, ":");
    const hone_device_api *api = find_device(name, size);
    if (!api) return hone_fail(HONE_USAGE, "there is no device \"%s\"; devices are cpu, cuda, cuda:1 and replay:FILE", name);
    hone_scan scan = {name[size] ? name + size + 1 : ""};
    int64_t ordinal = 0;
    bool is_number = !*scan.at || (hone_scan_int(&scan, &ordinal) && !*scan.at && ordinal >= 0 && ordinal < 1024);
    where = name[size] ? name + size + 1 : "";
    hone_status status = api->open(is_number ? (int)ordinal : -1, device);     // -1: not a number, a file for example
    where = "";
    return status;
}

hone_status hone_device_open(const char *name, hone_device **device)
{
    hone_device *opened = NULL;
    hone_status status = hone_device_look(name, &opened);
    if (status == HONE_OK && opened->api->ready) status = opened->api->ready(opened);
    if (status == HONE_OK) *device = opened;
    else hone_device_close(opened);
    return status;
}

void hone_device_close(hone_device *device)
{
    if (!device) return;
    while (device->n_extras) {
        device->n_extras--;
        if (device->extras[device->n_extras].release) device->extras[device->n_extras].release(device->extras[device->n_extras].value);
    }
    device->api->close(device);
}

void *hone_device_extra(hone_device *device, const void *key)
{
    for (int k = 0; k < device->n_extras; k++)
        if (device->extras[k].key == key) return device->extras[k].value;
    return NULL;
}

hone_status hone_device_set_extra(hone_device *device, const void *key, void *value, void (*release)(void *value))
{
    HONE_ASSERT(!hone_device_extra(device, key));
    if (device->n_extras == HONE_EXTRAS_MAX) return hone_fail(HONE_INTERNAL, "a device keeps at most %d things for sources", HONE_EXTRAS_MAX);
    device->extras[device->n_extras].key = key;
    device->extras[device->n_extras].value = value;
    device->extras[device->n_extras].release = release;
    device->n_extras++;
    return HONE_OK;
}

// ---- toolchains: "cuda=13.0 driver=580.159 ..."

// The word "name=..." of a spelling: where it begins and how long it is; NULL if absent.
static const char *find_word(const char *toolchain, const char *name, size_t name_size, size_t *size)
{
    for (const char *at = toolchain; *at; at += *size) {
        at += strspn(at, " ");
        *size = strcspn(at, " ");
        if (*size > name_size && !strncmp(at, name, name_size) && at[name_size] == '=') return at;
    }
    return NULL;
}

hone_status hone_toolchain_get(const char *toolchain, const char *name, char *version, size_t capacity)
{
    size_t size, prefix = strlen(name);
    const char *word = find_word(toolchain, name, prefix, &size);
    if (!word) return hone_fail(HONE_MISS, "toolchain \"%.200s\" does not name %s", toolchain, name);
    snprintf(version, capacity, "%.*s", (int)(size - prefix - 1), word + prefix + 1);
    return HONE_OK;
}

void hone_toolchain_pick(const char *toolchain, const char *names, char *depends, size_t capacity)
{
    size_t used = 0, size, word_size;
    if (capacity) *depends = 0;
    for (const char *name = names + strspn(names, " "); *name; name += size + strspn(name + size, " ")) {
        size = strcspn(name, " ");
        const char *word = find_word(toolchain, name, size, &word_size);
        if (word && used < capacity)
            used += (size_t)snprintf(depends + used, capacity - used, "%s%.*s", used ? " " : "", (int)word_size, word);
    }
}
