// SPDX-License-Identifier: Apache-2.0
// Targets: their spelling, and the few sizes that follow from an architecture.
#include <stdio.h>
#include <string.h>

#include "kernels/device.h"

#define KIB ((int64_t)1024)
#define MIB (KIB * 1024)

static hone_status bad(const char *text, const char *why)
{
    return hone_fail(HONE_USAGE, "\"%.200s\" is no device: %s; one reads cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB "
                     "clock=1980MHz power=700W, or cpu x86_64-avx2 \"MODEL\" threads=2", text, why);
}

static bool scan_model(hone_scan *scan, char *model, size_t capacity)
{
    if (!hone_scan_char(scan, '"')) return false;
    size_t size = strcspn(scan->at, "\"");
    if (size >= capacity || scan->at[size] != '"') return false;
    memcpy(model, scan->at, size);
    model[size] = 0;
    scan->at += size + 1;
    return true;
}

// " NAME=123UNIT", in this order; parse and print both walk this table.
typedef struct number {
    const char *name, *unit;
    int64_t value;
    bool cuda;
} number;

enum { SMS, MEMORY, CLOCK, POWER, THREADS, NUMBERS };

static const number numbers[NUMBERS] = {
    {"sms", "", 0, true}, {"mem", "MiB", 0, true}, {"clock", "MHz", 0, true}, {"power", "W", 0, true}, {"threads", "", 0, false},
};

static bool scan_number(hone_scan *scan, const number *wanted, int64_t *value)
{
    return hone_scan_char(scan, ' ') && hone_scan_literal(scan, wanted->name) && hone_scan_char(scan, '=') &&
           hone_scan_int(scan, value) && *value >= 0 && *value <= 1000000000 && hone_scan_literal(scan, wanted->unit);
}

// "sm_90" is 90; 0 when it is no such word.
static int arch_cc(const char *arch)
{
    hone_scan scan = {arch};
    int64_t cc;
    bool fits = hone_scan_literal(&scan, "sm_") && hone_scan_int(&scan, &cc) && !*scan.at && cc > 0 && cc < 10000;
    return fits ? (int)cc : 0;
}

hone_status hone_target_parse(const char *text, hone_target *target)
{
    hone_target read = {0};
    hone_scan scan = {text};
    int64_t values[NUMBERS] = {0};
    if (!hone_scan_token(&scan, read.kind, sizeof read.kind) || !hone_scan_char(&scan, ' '))
        return bad(text, "it does not begin with cpu or cuda");
    bool is_cuda = !strcmp(read.kind, "cuda");
    if (!is_cuda && strcmp(read.kind, "cpu")) return bad(text, "it does not begin with cpu or cuda");
    if (!hone_scan_token(&scan, read.arch, sizeof read.arch) || !hone_scan_char(&scan, ' ')) return bad(text, "no architecture");
    if (!scan_model(&scan, read.model, sizeof read.model)) return bad(text, "no model name in quotes");
    for (int k = 0; k < NUMBERS; k++)
        if (numbers[k].cuda == is_cuda && !scan_number(&scan, &numbers[k], &values[k])) return bad(text, "a number is missing");
    if (*scan.at) return bad(text, "something follows it");
    read.cc = is_cuda ? arch_cc(read.arch) : 0;
    if (is_cuda && !read.cc) return bad(text, "its architecture is not of the form sm_90");
    read.sms = (int)values[SMS];
    read.memory_mib = values[MEMORY];
    read.clock_mhz = values[CLOCK];
    read.power_w = values[POWER];
    read.threads = (int)values[THREADS];
    *target = read;
    return HONE_OK;
}

void hone_target_print(const hone_target *target, char *text, size_t capacity)
{
    const int64_t values[NUMBERS] = {target->sms, target->memory_mib, target->clock_mhz, target->power_w, target->threads};
    bool is_cuda = !strcmp(target->kind, "cuda");
    char model[sizeof target->model];
    snprintf(model, sizeof model, "%s", target->model);
    for (char *c = model; *c; c++)
        if (*c == '"') *c = '\'';
    size_t size = (size_t)snprintf(text, capacity, "%s %s \"%s\"", target->kind, target->arch, model);
    for (int k = 0; k < NUMBERS && size < capacity; k++)
        if (numbers[k].cuda == is_cuda)
            size += (size_t)snprintf(text + size, capacity - size, " %s=%lld%s", numbers[k].name, (long long)values[k], numbers[k].unit);
}

// Second-level caches, from NVIDIA's data sheets and device properties; the first line that fits counts.
int64_t hone_target_l2_bytes(const hone_target *target)
{
    static const struct { int cc; const char *model; int64_t mib; } sizes[] = {
        {90, "H200", 60}, {90, "GH200", 60}, {90, "", 50}, {80, "A30", 24}, {80, "", 40}, {86, "", 6}, {89, "RTX 4090", 72}, {89, "L40", 96},
        {89, "", 48}, {87, "", 4}, {100, "", 126}, {103, "", 126}, {120, "", 96}, {75, "", 4}, {70, "", 6},
    };
    if (!target->cc) return 32 * MIB;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        if (sizes[k].cc == target->cc && strstr(target->model, sizes[k].model)) return sizes[k].mib * MIB;
    return 32 * MIB;
}

// CUDA C++ Programming Guide, technical specifications per compute capability: most shared memory of one thread block.
int64_t hone_target_smem_bytes(const hone_target *target)
{
    static const struct { int cc; int64_t kib; } sizes[] = {
        {70, 96}, {75, 64}, {80, 163}, {86, 99}, {87, 163}, {89, 99}, {90, 227}, {100, 227}, {103, 227}, {110, 227}, {120, 99}, {121, 99},
    };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        if (sizes[k].cc == target->cc) return sizes[k].kib * KIB;
    return target->cc ? 48 * KIB : 0;
}
