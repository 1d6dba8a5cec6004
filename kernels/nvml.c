// SPDX-License-Identifier: Apache-2.0
// Fence of NVML (nvml.h). Functions that newer drivers rename are bound under both names.
#include "kernels/nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/nvml_priv.h"

#define PROCESSES_MAX 64

static struct {
    int (*init)(void);
    const char *(*error)(int result);
    int (*driver_version)(char *version, unsigned capacity);
    int (*by_uuid)(const char *uuid, v_nvmlDevice_t *device);
    int (*memory)(v_nvmlDevice_t device, v_nvmlMemory_t *memory);
    int (*max_clock)(v_nvmlDevice_t device, int domain, unsigned *mhz);
    int (*clock)(v_nvmlDevice_t device, int domain, unsigned *mhz);
    int (*power_limit)(v_nvmlDevice_t device, unsigned *mw);
    int (*power)(v_nvmlDevice_t device, unsigned *mw);
    int (*temperature)(v_nvmlDevice_t device, int sensor, unsigned *celsius);
    int (*reasons)(v_nvmlDevice_t device, unsigned long long *reasons);
    int (*reasons_old)(v_nvmlDevice_t device, unsigned long long *reasons);
    int (*processes)(v_nvmlDevice_t device, unsigned *count, v_nvmlProcessInfo_t *processes);
    int (*process_name)(unsigned pid, char *name, unsigned capacity);
} nvml;

static const char *const files[] = {"libnvidia-ml.so.1", NULL};

static const hone_dl_symbol symbols[] = {
    {"nvmlInit_v2", &nvml.init, 0},
    {"nvmlErrorString", &nvml.error, 0},
    {"nvmlSystemGetDriverVersion", &nvml.driver_version, 0},
    {"nvmlDeviceGetHandleByUUID", &nvml.by_uuid, 0},
    {"nvmlDeviceGetMemoryInfo", &nvml.memory, 0},
    {"nvmlDeviceGetMaxClockInfo", &nvml.max_clock, 0},
    {"nvmlDeviceGetClockInfo", &nvml.clock, 0},
    {"nvmlDeviceGetPowerManagementLimit", &nvml.power_limit, 0},
    {"nvmlDeviceGetPowerUsage", &nvml.power, 0},
    {"nvmlDeviceGetTemperature", &nvml.temperature, 1},
    {"nvmlDeviceGetCurrentClocksEventReasons", &nvml.reasons, 1},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", &nvml.reasons_old, 1},
    {"nvmlDeviceGetComputeRunningProcesses_v3", &nvml.processes, 1},
    {"nvmlSystemGetProcessName", &nvml.process_name, 1},
};

// "580.159.03" -> "580.159": the third number marks rebuilds of one driver.
static void shorten_version(const char *full, char *version, size_t capacity)
{
    const char *dot = strchr(full, '.');
    const char *end = dot ? strchr(dot + 1, '.') : NULL;
    snprintf(version, capacity, "%.*s", end ? (int)(end - full) : (int)strlen(full), full);
}

static hone_status start(char *version, size_t capacity)
{
    char full[96] = "";
    int result = nvml.init();
    if (!result) result = nvml.driver_version(full, sizeof full);
    if (result) return hone_fail(HONE_NO_DEVICE, "NVML does not start: %s", nvml.error(result));
    shorten_version(full, version, capacity);
    return HONE_OK;
}

hone_library hone_library_nvml = HONE_LIBRARY("driver", files, symbols, start);

static hone_status find(const char *uuid, v_nvmlDevice_t *device)
{
    hone_status status = hone_library_open(&hone_library_nvml);
    if (status) return status;
    int result = nvml.by_uuid(uuid, device);
    return result ? hone_fail(HONE_NO_DEVICE, "NVML does not know %s: %s", uuid, nvml.error(result)) : HONE_OK;
}

hone_status hone_nvml_read_identity(const char *uuid, hone_nvml_identity *identity)
{
    v_nvmlDevice_t device;
    v_nvmlMemory_t memory;
    unsigned mhz, mw;
    *identity = (hone_nvml_identity){-1, -1, -1};
    hone_status status = find(uuid, &device);
    if (status) return status;
    if (!nvml.memory(device, &memory)) identity->memory_mib = (int64_t)(memory.total >> 20);
    if (!nvml.max_clock(device, V_NVML_CLOCK_SM, &mhz)) identity->max_sm_mhz = mhz;
    if (!nvml.power_limit(device, &mw)) identity->power_limit_w = (mw + 500) / 1000;
    return HONE_OK;
}

// A process of another PID name space may show a PID that is not ours although it is us; in a container NVML lists
// no process at all. So one process more than us is counted only when ours is in the list or the list has more than one.
static void read_processes(v_nvmlDevice_t device, hone_nvml_state *state)
{
    v_nvmlProcessInfo_t list[PROCESSES_MAX];
    unsigned count = PROCESSES_MAX;
    bool is_here = false;
    if (!nvml.processes) return;
    int result = nvml.processes(device, &count, list);
    if (result && result != V_NVML_ERROR_INSUFFICIENT_SIZE) return;
    state->processes = (int)count;
    for (unsigned i = 0; i < count && i < PROCESSES_MAX && !result; i++) {
        char name[256] = "";
        is_here |= list[i].pid == (unsigned)getpid();
        if (nvml.process_name && !nvml.process_name(list[i].pid, name, sizeof name) && strstr(name, "nvidia-cuda-mps-server"))
            state->mps = true;
    }
    state->other_processes = (int)count - (is_here || count == 1);
}

hone_status hone_nvml_read_state(const char *uuid, hone_nvml_state *state)
{
    v_nvmlDevice_t device;
    unsigned value;
    unsigned long long reasons;
    *state = (hone_nvml_state){.sm_mhz = -1, .memory_mhz = -1, .temperature_c = -1, .power_w = -1, .processes = -1, .other_processes = -1};
    hone_status status = find(uuid, &device);
    if (status) return status;
    if (!nvml.clock(device, V_NVML_CLOCK_SM, &value)) state->sm_mhz = (int)value;
    if (!nvml.clock(device, V_NVML_CLOCK_MEM, &value)) state->memory_mhz = (int)value;
    if (nvml.temperature && !nvml.temperature(device, V_NVML_TEMPERATURE_GPU, &value)) state->temperature_c = (int)value;
    if (!nvml.power(device, &value)) state->power_w = value / 1000.0;
    int (*read_reasons)(v_nvmlDevice_t, unsigned long long *) = nvml.reasons ? nvml.reasons : nvml.reasons_old;
    if (read_reasons && !read_reasons(device, &reasons)) state->throttle = reasons;
    read_processes(device, state);
    return HONE_OK;
}

static const struct {
    uint64_t bit;
    const char *word;
} reason_words[] = {          // an idle GPU and clocks that the user set are no throttling, yet the second is worth a word
    {V_nvmlClocksEventReasonApplicationsClocksSetting, "set_by_user"},
    {V_nvmlClocksEventReasonSwPowerCap, "power_cap"},
    {V_nvmlClocksThrottleReasonHwSlowdown, "hardware"},
    {V_nvmlClocksEventReasonSyncBoost, "sync_boost"},
    {V_nvmlClocksEventReasonSwThermalSlowdown, "thermal"},
    {V_nvmlClocksThrottleReasonHwThermalSlowdown, "hardware_thermal"},
    {V_nvmlClocksThrottleReasonHwPowerBrakeSlowdown, "power_brake"},
    {V_nvmlClocksEventReasonDisplayClockSetting, "display"},
};

void hone_nvml_throttle_words(uint64_t throttle, char *words, size_t capacity)
{
    size_t used = 0;
    words[0] = 0;
    for (size_t i = 0; i < sizeof reason_words / sizeof *reason_words; i++) {
        if (!(throttle & reason_words[i].bit)) continue;
        int size = snprintf(words + used, capacity - used, "%s%s", used ? "," : "", reason_words[i].word);
        used += size < 0 ? 0 : (size_t)size;
        if (used >= capacity) used = capacity - 1;
    }
}
