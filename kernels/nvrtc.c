// SPDX-License-Identifier: Apache-2.0
// Fence of NVRTC 12 and 13 (nvrtc.h); tests/headers holds these declarations against the vendor's.
#include "kernels/nvrtc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/nvrtc_priv.h"
#include "kernels/nvrtc_texts.h"

#define OPTIONS_MAX 64
#define HEADERS_MAX 64
#define LOG_CEILING ((size_t)16 << 20)
#define CUBIN_CEILING ((size_t)256 << 20)

static struct {
    const char *(*error)(int result);
    int (*version)(int *major, int *minor);
    int (*create)(v_nvrtcProgram *program, const char *text, const char *name, int n_headers, const char *const *headers,
                  const char *const *header_names);
    int (*destroy)(v_nvrtcProgram *program);
    int (*compile)(v_nvrtcProgram program, int n_options, const char *const *options);
    int (*cubin_size)(v_nvrtcProgram program, size_t *size);
    int (*cubin)(v_nvrtcProgram program, char *cubin);
    int (*log_size)(v_nvrtcProgram program, size_t *size);
    int (*log)(v_nvrtcProgram program, char *log);
} nvrtc;

static const char *const files[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", NULL};

static const hone_dl_symbol symbols[] = {
    {"nvrtcGetErrorString", &nvrtc.error, 0},    {"nvrtcVersion", &nvrtc.version, 0},
    {"nvrtcCreateProgram", &nvrtc.create, 0},    {"nvrtcDestroyProgram", &nvrtc.destroy, 0},
    {"nvrtcCompileProgram", &nvrtc.compile, 0},  {"nvrtcGetCUBINSize", &nvrtc.cubin_size, 0},
    {"nvrtcGetCUBIN", &nvrtc.cubin, 0},          {"nvrtcGetProgramLogSize", &nvrtc.log_size, 0},
    {"nvrtcGetProgramLog", &nvrtc.log, 0},
};

static hone_status start(char *version, size_t capacity);

hone_library hone_library_nvrtc = HONE_LIBRARY("nvrtc", files, symbols, start);

// NVRTC opens its second library by the bare name, which the loader does not find in a wheel's folder unless it is open by then.
// A missing one is NVRTC's own to report: it may lie where the loader looks.
static void open_builtins(int major, int minor)
{
    static hone_dl builtins;
    char path[sizeof builtins.path + 64];
    const char *const names[] = {path, NULL}, *found = hone_library_nvrtc.dl.path, *slash = strrchr(found, '/');
    snprintf(path, sizeof path, "%.*s/libnvrtc-builtins.so.%d.%d", slash ? (int)(slash - found) : 1, slash ? found : ".", major, minor);
    if (!builtins.handle) (void)hone_dl_open(&builtins, names);
}

static hone_status start(char *version, size_t capacity)
{
    int major, minor;
    int result = nvrtc.version(&major, &minor);
    if (result) return hone_fail(HONE_NO_DEVICE, "NVRTC does not tell its version: %s", nvrtc.error(result));
    open_builtins(major, minor);
    snprintf(version, capacity, "%d.%d", major, minor);
    return HONE_OK;
}

static hone_status check(int result, const char *what, const char *name)
{
    if (!result) return HONE_OK;
    hone_status code = result == V_NVRTC_ERROR_OUT_OF_MEMORY ? HONE_NO_MEMORY
        : result == V_NVRTC_ERROR_INVALID_OPTION ? HONE_USAGE : HONE_INTERNAL;
    return hone_fail(code, "NVRTC cannot %s %s: %s", what, name, nvrtc.error(result));
}

hone_status hone_nvrtc_version(int *major, int *minor)
{
    hone_status status = hone_library_open(&hone_library_nvrtc);
    return status ? status : check(nvrtc.version(major, minor), "tell its version to", "hone");
}

static hone_status get_log(v_nvrtcProgram program, const char *name, char **log)
{
    size_t size = 0;
    hone_status status = check(nvrtc.log_size(program, &size), "size the log of", name);
    if (status) return status;
    if (size > LOG_CEILING) return hone_fail(HONE_INTERNAL, "the log of %s is %zu bytes long", name, size);
    *log = hone_calloc(1, size + 1);
    if (!*log) return HONE_NO_MEMORY;
    return check(nvrtc.log(program, *log), "give the log of", name);
}

static hone_status get_cubin(v_nvrtcProgram program, const char *name, hone_blob *cubin)
{
    size_t size = 0;
    hone_status status = check(nvrtc.cubin_size(program, &size), "size the machine code of", name);
    if (status) return status;
    if (size == 0 || size > CUBIN_CEILING)
        return hone_fail(HONE_USAGE, "no machine code for %s (%zu bytes): the architecture option must be sm_NN, not compute_NN",
                         name, size);
    cubin->data = hone_alloc(size);
    if (!cubin->data) return HONE_NO_MEMORY;
    cubin->size_bytes = size;
    return check(nvrtc.cubin(program, cubin->data), "give the machine code of", name);
}

// The largest number that stands just before `unit` anywhere in the log; -1 when there is none.
static int largest_before(const char *log, const char *unit)
{
    int largest = -1;
    for (const char *at = log; (at = strstr(at, unit)); at += strlen(unit)) {
        const char *digits = at;
        while (digits > log && digits[-1] >= '0' && digits[-1] <= '9') digits--;
        if (digits == at) continue;
        int value = atoi(digits);
        if (value > largest) largest = value;
    }
    return largest;
}

// ptxas -v: "Used 40 registers, used 1 barriers, 8192 bytes smem", "16 bytes spill stores, 24 bytes spill loads".
static void read_resources(const char *log, hone_blob *cubin)
{
    int stores = largest_before(log, " bytes spill stores"), loads = largest_before(log, " bytes spill loads");
    int shared = largest_before(log, " bytes smem");
    cubin->registers = largest_before(log, " registers");
    cubin->spill_bytes = stores > loads ? stores : loads;
    cubin->shared_bytes = shared > 0 ? shared : 0;
}

// The first error and what follows it, on a few lines: a log of templates can be megabytes long.
static hone_status fail_compile(int result, const char *name, const char *log)
{
    const char *error = strstr(log, "error");
    while (error && error > log && error[-1] != '\n') error--;
    if (!error) error = log;
    return hone_fail(HONE_DECLINED, "%s does not compile (%s): %.700s", name, nvrtc.error(result), error);
}

static int gather_headers(const char **texts, const char **names)
{
    int n = 0;
    for (int i = 0; i < hone_cuda_text_count && n < HEADERS_MAX; i++) {
        const char *dot = strrchr(hone_cuda_texts[i].name, '.');
        if (!dot || strcmp(dot, ".cuh")) continue;
        texts[n] = hone_cuda_texts[i].text;
        names[n++] = hone_cuda_texts[i].name;
    }
    return n;
}

static hone_status compile(v_nvrtcProgram program, const char *name, const char *const *options, int n_options, hone_blob *cubin)
{
    const char *all[OPTIONS_MAX + 1];
    char *log = NULL;
    for (int i = 0; i < n_options; i++) all[i] = options[i];
    all[n_options] = "--ptxas-options=-v";
    int result = nvrtc.compile(program, n_options + 1, all);
    hone_status status = get_log(program, name, &log);
    if (!status && result == V_NVRTC_ERROR_COMPILATION) status = fail_compile(result, name, log);
    if (!status && result == V_NVRTC_ERROR_INVALID_OPTION)
        status = hone_fail(HONE_USAGE, "NVRTC does not take an option of %s: %.300s", name, log);
    if (!status) status = check(result, "compile", name);
    if (!status) status = get_cubin(program, name, cubin);
    if (!status) read_resources(log, cubin);
    hone_free(log);
    return status;
}

hone_status hone_nvrtc_compile(const char *text, const char *name, const char *const *options, int n_options, hone_blob *cubin)
{
    const char *headers[HEADERS_MAX], *header_names[HEADERS_MAX];
    v_nvrtcProgram program = NULL;
    *cubin = (hone_blob){.registers = -1};
    if (n_options > OPTIONS_MAX) return hone_fail(HONE_USAGE, "%d options for %s are more than %d", n_options, name, OPTIONS_MAX);
    hone_status status = hone_library_open(&hone_library_nvrtc);
    if (status) return status;
    int n_headers = gather_headers(headers, header_names);
    status = check(nvrtc.create(&program, text, name, n_headers, headers, header_names), "take", name);
    if (!status) status = compile(program, name, options, n_options, cubin);
    if (program) nvrtc.destroy(&program);
    if (status) {
        hone_free(cubin->data);
        *cubin = (hone_blob){.registers = -1};
    }
    return status;
}
