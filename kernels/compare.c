// SPDX-License-Identifier: Apache-2.0
#include "kernels/compare.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/compare_priv.h"
#include "kernels/nvrtc.h"
#include "kernels/nvrtc_head_priv.h"

#define BLOCK 256
#define BLOCKS_PER_SM 4
#define FOLD_BLOCKS 8
#define FOLDED (FOLD_BLOCKS * BLOCK)

struct hone_comparer {
    hone_device *device;               // borrowed
    hone_module *modules[2];           // comparing, folding
    hone_function *functions[2];
    unsigned blocks;
    void *parts, *folded;              // device memory
    struct hone_compare_parts fetched[FOLDED];
};

void hone_sums_add(hone_sums *to, const hone_sums *more)
{
    to->difference += more->difference;
    to->reference += more->reference;
    to->excess = more->excess > to->excess ? more->excess : to->excess;
    to->broken += more->broken;
}

static hone_status compile(const hone_target *target, hone_blob *cubin)
{
    char arch[64];
    const char *options[] = {arch, "--std=c++17", "-default-device"};
    hone_text text;
    hone_text_init(&text);
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%d", target->cc);
    hone_text_printf(&text, "%s%s", hone_cuda_text_find("ptx.cuh"), hone_cuda_text_find("compare.cuh"));
    hone_status status = hone_text_status(&text);
    if (!status) status = hone_nvrtc_compile(hone_text_get(&text), "compare.cuh", options, sizeof options / sizeof *options, cubin);
    hone_text_clear(&text);
    return status;
}

hone_status hone_comparer_open(hone_device *device, hone_comparer **comparer)
{
    static const char *const names[] = {"hone_compare", "hone_fold"};
    hone_blob cubin = {.data = NULL};
    if (strcmp(device->api->kind, "cuda") || !device->api->launch)
        return hone_fail(HONE_DECLINED, "outputs on a device %s are compared on the host", device->api->kind);
    if (compile(&device->target, &cubin)) return hone_fail_in(HONE_DECLINED, "outputs are compared on the host");
    hone_status status = HONE_OK;
    hone_comparer *made = hone_calloc(1, sizeof *made);
    if (!made) HONE_TRY(HONE_NO_MEMORY);
    made->device = device;
    made->blocks = (unsigned)(device->target.sms > 0 ? device->target.sms : 1) * BLOCKS_PER_SM;
    for (int k = 0; k < 2; k++) HONE_TRY(device->api->load(device, cubin.data, cubin.size_bytes, names[k], &made->modules[k], &made->functions[k]));
    HONE_TRY(device->api->alloc(device, made->blocks * BLOCK * sizeof(struct hone_compare_parts), &made->parts));
    HONE_TRY(device->api->alloc(device, sizeof made->fetched, &made->folded));
    *comparer = made;
    made = NULL;
out:
    hone_comparer_close(made);
    hone_free(cubin.data);
    return status;
}

void hone_comparer_close(hone_comparer *comparer)
{
    if (!comparer) return;
    const hone_device_api *api = comparer->device->api;
    if (comparer->parts) api->free(comparer->device, comparer->parts);
    if (comparer->folded) api->free(comparer->device, comparer->folded);
    for (int k = 0; k < 2; k++) api->unload(comparer->device, comparer->modules[k]);
    hone_free(comparer);
}

void hone_compare_form(hone_dtype dtype, int *form, int *bytes)
{
    static const int forms[HONE_DTYPE_COUNT] = {
        [HONE_F32] = HONE_FLOAT, [HONE_F16] = HONE_FLOAT, [HONE_F64] = HONE_FLOAT, [HONE_BF16] = HONE_BFLOAT, [HONE_BOOL] = HONE_TRUTH,
        [HONE_U8] = HONE_UNSIGNED, [HONE_U16] = HONE_UNSIGNED, [HONE_U32] = HONE_UNSIGNED, [HONE_U64] = HONE_UNSIGNED,
    };
    *form = forms[dtype];
    *bytes = (int)hone_dtype_size(dtype);
}

static hone_status launch(hone_comparer *c, int which, unsigned blocks, struct hone_compare_args *args)
{
    const hone_launch launch = {.grid = {blocks, 1, 1}, .block = {BLOCK, 1, 1}, .params = args, .params_bytes = sizeof *args};
    return c->device->api->launch(c->device, NULL, c->functions[which], &launch);
}

hone_status hone_comparer_run(hone_comparer *c, const hone_comparison *of, hone_sums *sums)
{
    hone_device *device = c->device;
    struct hone_compare_args args = {
        .out = of->out, .reference = of->reference, .index = (const long long *)of->index, .parts = c->parts, .folded = c->folded, .count = of->count,
        .slack = of->slack, .limit = of->limit,
    };
    hone_status status = HONE_OK;
    *sums = (hone_sums){0};
    hone_compare_form(of->out_type, &args.out_form, &args.out_bytes);
    hone_compare_form(of->reference_type, &args.reference_form, &args.reference_bytes);
    HONE_TRY(launch(c, 0, c->blocks, &args));
    args.count = (long long)c->blocks * BLOCK;
    HONE_TRY(launch(c, 1, FOLD_BLOCKS, &args));
    HONE_TRY(device->api->copy(device, NULL, c->fetched, c->folded, sizeof c->fetched, HONE_COPY_OUT));
    HONE_TRY(device->api->sync(device, NULL));
    for (int k = 0; k < FOLDED; k++) {
        const struct hone_compare_parts *p = &c->fetched[k];
        hone_sums_add(sums, &(hone_sums){p->difference, p->reference, p->excess, p->broken});
    }
out:
    return status;
}
