// SPDX-License-Identifier: Apache-2.0
// Tactics from own CUDA C kernels (kernels/cuda), compiled at run time. What a kernel serves, needs and how it is launched stands in its
// head (nvrtc_head_priv.h); problems are recognised by forms (nvrtc_form_priv.h); elementwise parts are generated (nvrtc_region_priv.h).
#include "kernels/source_nvrtc_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "kernels/nvrtc.h"

// ---- which kernels serve a problem

static bool has_word(const char *words, const char *wanted)
{
    char word[16];
    hone_scan scan = {words};
    for (; hone_scan_token(&scan, word, sizeof word); hone_scan_blanks(&scan))
        if (!strcmp(word, wanted)) return true;
    return false;
}

static bool takes_type(const hone_kernel_head *head, const hone_formed *formed)
{
    if (has_word(head->dtypes, "any") || has_word(head->dtypes, hone_dtype_name(formed->dtype))) return true;
    return formed->dtype == HONE_F32 && formed->problem->math == HONE_MATH_TF32 && has_word(head->dtypes, "tf32");
}

static hone_status serves(const hone_kernel_head *head, const hone_formed *formed, const hone_target *target)
{
    if (target->cc < head->arch) return hone_fail(HONE_DECLINED, "%s needs sm_%d", head->name, head->arch);
    if (head->is_arch_alone && target->cc != head->arch) return hone_fail(HONE_DECLINED, "%s is for sm_%d alone", head->name, head->arch);
    if (!takes_type(head, formed)) return hone_fail(HONE_DECLINED, "%s does not take %s", head->name, hone_dtype_name(formed->dtype));
    return HONE_OK;
}

static hone_status eval(const hone_bound *bound, const char *expr, int64_t *value)
{
    hone_status status = hone_expr_eval(expr, &bound->formed.vars, value);
    return status ? hone_fail_in(HONE_INTERNAL, "kernel %s", bound->head->name) : HONE_OK;
}

static hone_status set_lets(hone_bound *bound)
{
    for (int k = 0; k < bound->head->n_lets; k++) {
        int64_t value;
        hone_status status = eval(bound, bound->head->lets[k].text, &value);
        if (status) return status;
        hone_vars_set(&bound->formed.vars, bound->head->lets[k].name, value);
    }
    return HONE_OK;
}

hone_status hone_bound_init(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_bound *bound)
{
    bound->head = hone_kernel_find(tactic->kernel);
    if (!bound->head) return hone_fail(HONE_DECLINED, "there is no kernel \"%s\"", tactic->kernel);
    if (tactic->version != bound->head->version)
        return hone_fail(HONE_DECLINED, "%s has version %d now, the tactic is of version %d", tactic->kernel, bound->head->version, tactic->version);
    if (tactic->n != bound->head->n_params) return hone_fail(HONE_DECLINED, "%s has other parameters", tactic->kernel);
    hone_status status = hone_form_make(bound->head->form, problem, target, &bound->formed);
    if (!status) status = serves(bound->head, &bound->formed, target);
    for (int k = 0; k < tactic->n && !status; k++) {
        if (strcmp(tactic->params[k].name, bound->head->params[k].name))
            return hone_fail(HONE_DECLINED, "%s has no parameter %s in this place", tactic->kernel, tactic->params[k].name);
        hone_vars_set(&bound->formed.vars, tactic->params[k].name, tactic->params[k].value);
    }
    return status ? status : set_lets(bound);
}


static hone_status check_requires(const hone_bound *bound)
{
    for (int k = 0; k < bound->head->n_requires; k++) {
        int64_t holds;
        hone_status status = eval(bound, bound->head->requires[k].text, &holds);
        if (status) return status;
        if (!holds) return hone_fail(HONE_DECLINED, "%s requires %s", bound->head->name, bound->head->requires[k].text);
    }
    return HONE_OK;
}

// ---- launch

static hone_status check_launch(const hone_bound *bound, const int64_t *grid, int64_t block, int64_t shared)
{
    if (grid[0] < 1 || grid[0] > INT32_MAX || grid[1] < 1 || grid[1] > 65535 || grid[2] < 1 || grid[2] > 65535)
        return hone_fail(HONE_DECLINED, "%s: a grid of %lld x %lld x %lld blocks", bound->head->name, (long long)grid[0], (long long)grid[1], (long long)grid[2]);
    if (block < 1 || block > 1024 || shared < 0 || shared > hone_vars_get(&bound->formed.vars, "smem_max"))
        return hone_fail(HONE_DECLINED, "%s: blocks of %lld threads with %lld bytes of shared memory", bound->head->name, (long long)block, (long long)shared);
    return HONE_OK;
}

hone_status hone_bound_launch(const hone_bound *bound, hone_launch *launch, size_t *workspace_bytes)
{
    int64_t grid[3], block, shared, cluster, workspace;
    hone_status status;
    for (int k = 0; k < 3; k++) HONE_TRY(eval(bound, bound->head->grid[k].text, &grid[k]));
    HONE_TRY(eval(bound, bound->head->block.text, &block));
    HONE_TRY(eval(bound, bound->head->shared.text, &shared));
    HONE_TRY(eval(bound, bound->head->cluster.text, &cluster));
    HONE_TRY(eval(bound, bound->head->workspace.text, &workspace));
    HONE_TRY(check_launch(bound, grid, block, shared));
    *launch = (hone_launch){
        .grid = {(unsigned)grid[0], (unsigned)grid[1], (unsigned)grid[2]}, .block = {(unsigned)block, 1, 1},
        .cluster = {cluster > 1, cluster > 1, cluster > 1 ? (unsigned)cluster : 0}, .shared_bytes = (unsigned)shared,
    };
    *workspace_bytes = (size_t)workspace;
out:
    return status;
}

// ---- text

static hone_status print_defines(const hone_bound *bound, hone_text *text)
{
    const hone_kernel_head *head = bound->head;
    hone_text_printf(text, "#define T %s\n#define IS_BF16 %d\n", bound->formed.dtype ? hone_cuda_type(bound->formed.dtype) : "f32",
                     bound->formed.dtype == HONE_BF16);
    for (int k = 0; k < bound->formed.n_types; k++)
        hone_text_printf(text, "#define %s %s\n", bound->formed.types[k].name, hone_cuda_type(bound->formed.types[k].dtype));
    for (int k = 0; k < head->n_defines; k++) {
        int64_t value;
        hone_status status = eval(bound, head->defines[k].text, &value);
        if (status) return status;
        hone_text_printf(text, "#define %s %lld\n", head->defines[k].name, (long long)value);
    }
    return HONE_OK;
}

static hone_status print_args(const hone_bound *bound, hone_text *text, hone_args *args)
{
    const hone_kernel_head *head = bound->head;
    for (int k = 0; k < head->n_args; k++) {
        int64_t value;
        hone_status status = eval(bound, head->args[k].text, &value);
        if (status) return status;
        if (value > INT32_MAX || value < INT32_MIN)
            return hone_fail(HONE_DECLINED, "%s: %s = %lld does not fit 32 bits", head->name, head->args[k].name, (long long)value);
        hone_text_printf(text, "#define %s (p.i[%d])\n", head->args[k].name, args->n_ints);
        args->ints[args->n_ints++] = (int32_t)value;
    }
    return HONE_OK;
}

static hone_status print_reals(const hone_bound *bound, hone_text *text, hone_args *args)
{
    for (int k = 0; k < bound->head->n_reals; k++) {
        const hone_head_line *line = &bound->head->reals[k];
        int found = -1;
        for (int i = 0; i < bound->formed.n_reals; i++)
            if (!strcmp(bound->formed.reals[i].name, line->text)) found = i;
        if (found < 0) return hone_fail(HONE_INTERNAL, "kernel %s: no real number %s", bound->head->name, line->text);
        hone_text_printf(text, "#define %s (p.f[%d])\n", line->name, k);
        args->reals[args->n_reals++] = (float)bound->formed.reals[found].value;
    }
    return HONE_OK;
}

static hone_status print_file(const hone_kernel_head *head, const char *name, hone_text *text)
{
    const char *body = hone_cuda_text_find(name);
    if (!body) return hone_fail(HONE_INTERNAL, "kernel %s includes %s, which is not there", head->name, name);
    hone_text_printf(text, "%s", body);
    return HONE_OK;
}

// Functions that cheaper texts of steps call. What has no such step is the text that it was.
static hone_status print_quick(const hone_bound *bound, hone_text *text)
{
    for (int k = 0; k < bound->formed.problem->n_steps; k++)
        if (hone_step_quick(&bound->formed.problem->steps[k])) return print_file(bound->head, "quick.cuh", text);
    return HONE_OK;
}

// What depends on the tactic, behind the common part.
static hone_status print_body(const hone_bound *bound, hone_text *text, hone_args *args)
{
    hone_status status;
    HONE_TRY(print_defines(bound, text));
    HONE_TRY(print_args(bound, text, args));
    HONE_TRY(print_reals(bound, text, args));
    HONE_TRY(print_quick(bound, text));
    if (bound->formed.has_tail) HONE_TRY(hone_region_print_tail(&bound->formed.tail, text, args));
    if (bound->formed.has_middle) HONE_TRY(hone_region_print_middle(&bound->formed.middle, text, args));
    if (bound->formed.has_head) HONE_TRY(hone_region_print_head(&bound->formed.head, text, args));
    if (*bound->head->include) HONE_TRY(print_file(bound->head, bound->head->include, text));
    hone_text_printf(text, "%s", bound->head->text);
out:
    return status;
}

static bool calls(const hone_bound *bound, const char *function)
{
    const char *body = *bound->head->include ? hone_cuda_text_find(bound->head->include) : NULL;
    return strstr(bound->head->text, function) || (body && strstr(body, function));
}

// Whether the code may start before the kernel ahead of it has ended: it says itself where it waits, and what it reads before.
static int follows(const hone_bound *bound)
{
    if (hone_vars_get(&bound->formed.vars, "cc") < 90 || !calls(bound, "hone_follow(")) return 0;
    return calls(bound, "hone_is_constant(") ? 2 : 1;
}

hone_status hone_bound_text(const hone_bound *bound, hone_text *text, hone_args *args)
{
    hone_text body;
    hone_text_init(&body);
    *args = (hone_args){.n_in = bound->formed.problem->n_operands, .n_out = bound->formed.problem->n_out};
    args->follows = follows(bound);
    hone_status status = print_body(bound, &body, args);
    if (!args->n_reals) args->n_reals = 1;         // C++ has no empty arrays
    if (!args->n_ints) args->n_ints = 1;
    hone_text_printf(text, "#define HONE_N_IN %d\n#define HONE_N_OUT %d\n#define HONE_N_REALS %d\n#define HONE_N_INTS %d\n#define HONE_FOLLOWS %d\n",
                     args->n_in, args->n_out, args->n_reals, args->n_ints, args->follows);
    hone_text_printf(text, "%s%s", hone_cuda_text_find("hone.cuh"), hone_text_get(&body));
    if (!status) status = hone_text_status(&body);
    if (!status) status = hone_text_status(text);
    hone_text_clear(&body);
    return status;
}

// Everything the compiler sees.
static hone_status whole_text(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_text *text)
{
    hone_args args;
    hone_bound *bound = hone_alloc(sizeof *bound);
    if (!bound) return HONE_NO_MEMORY;
    hone_status status = hone_bound_init(problem, tactic, target, bound);
    hone_text_printf(text, "%s", hone_cuda_text_find("ptx.cuh"));
    if (!status && *bound->head->machine) status = print_file(bound->head, bound->head->machine, text);
    if (!status) status = hone_bound_text(bound, text, &args);
    hone_free(bound);
    return status;
}

// ---- the source

static hone_status nvrtc_probe(const hone_target *target, hone_device *device)
{
    int major, minor;
    (void)device;
    if (strcmp(target->kind, "cuda")) return hone_fail(HONE_DECLINED, "nvrtc makes code for GPUs, not for %s", target->kind);
    if (target->cc < 80) return hone_fail(HONE_DECLINED, "the kernels need sm_80 or later, this is %s", target->arch);
    hone_status status = hone_nvrtc_version(&major, &minor);
    return status ? hone_fail_in(HONE_DECLINED, "nvrtc") : HONE_OK;
}

static void add_subspace(hone_space *space, const hone_kernel_head *head)
{
    hone_subspace *to = &space->subspaces[space->n++];
    memcpy(to->kernel, head->name, sizeof to->kernel);
    to->version = head->version;
    to->n = head->n_params;
    memcpy(to->ranges, head->params, sizeof to->ranges);
}

static hone_status nvrtc_space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *space)
{
    const hone_kernel_head *heads;
    int n;
    (void)device;
    hone_formed *formed = hone_alloc(sizeof *formed);
    if (!formed) return HONE_NO_MEMORY;
    hone_status status = hone_kernel_heads(&heads, &n);
    for (int k = 0; k < n && !status; k++) {
        if (hone_form_make(heads[k].form, problem, target, formed) || serves(&heads[k], formed, target)) continue;
        if (space->n < HONE_SUBSPACES_MAX) add_subspace(space, &heads[k]);
    }
    hone_free(formed);
    if (!status && !space->n) status = hone_fail(HONE_DECLINED, "nvrtc has no kernel for this problem");
    return status;
}

static hone_status nvrtc_valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    hone_launch launch;
    hone_tensor_map maps[HONE_MAPS_MAX];
    size_t workspace_bytes;
    int n_maps;
    hone_bound *bound = hone_alloc(sizeof *bound);
    if (!bound) return HONE_NO_MEMORY;
    hone_status status = hone_bound_init(problem, tactic, target, bound);
    if (!status) status = check_requires(bound);
    if (!status) status = hone_bound_launch(bound, &launch, &workspace_bytes);
    if (!status) status = hone_bound_maps(bound, maps, &n_maps);
    hone_free(bound);
    return status;
}

static hone_status nvrtc_key(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, char key[HONE_ARTIFACT_KEY])
{
    int major, minor;
    char version[32], hex[HONE_ID_TEXT];
    hone_text text;
    hone_hash hash;
    hone_id id;
    hone_text_init(&text);
    hone_status status = hone_nvrtc_version(&major, &minor);
    if (!status) status = whole_text(problem, tactic, target, &text);
    if (!status) {
        snprintf(version, sizeof version, "nvrtc %d.%d", major, minor);
        hone_hash_init(&hash);
        hone_hash_add_text(&hash, version);
        hone_hash_add_text(&hash, target->arch);
        hone_hash_add_text(&hash, hone_text_get(&text));
        hone_hash_end(&hash, &id);
        hone_id_print(&id, hex);
        snprintf(key, HONE_ARTIFACT_KEY, "nvrtc-%s", hex);
    }
    hone_text_clear(&text);
    return status;
}

// Instructions that exist on one architecture alone are had through its own name, with an "a".
static hone_status nvrtc_compile(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_blob *artifact)
{
    char arch[64], name[64];
    const char *options[] = {arch, "--std=c++17", "--dopt=on", "-default-device", "--ptxas-options=--warn-on-spills"};
    hone_text text;
    hone_text_init(&text);
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%d%s", target->cc, target->cc >= 90 && target->cc < 120 ? "a" : "");
    snprintf(name, sizeof name, "%s.cu", tactic->kernel);
    hone_status status = whole_text(problem, tactic, target, &text);
    if (!status) status = hone_nvrtc_compile(hone_text_get(&text), name, options, 4, artifact);
    hone_text_clear(&text);
    return status;
}

// ---- estimate

typedef struct cost {                  // of one block
    int64_t macs, rate, bytes, latency, registers;
} cost;

static hone_status read_cost(const hone_bound *bound, cost *c)
{
    hone_status status;
    HONE_TRY(eval(bound, bound->head->macs.text, &c->macs));
    HONE_TRY(eval(bound, bound->head->rate.text, &c->rate));
    HONE_TRY(eval(bound, bound->head->bytes.text, &c->bytes));
    HONE_TRY(eval(bound, bound->head->latency.text, &c->latency));
    HONE_TRY(eval(bound, bound->head->registers.text, &c->registers));
out:
    return status;
}

static double resident_blocks(const hone_launch *launch, const cost *c, const hone_target *target)
{
    double by_shared = floor((double)(hone_target_smem_bytes(target) + 1024) / (launch->shared_bytes + 1024.0));
    double by_registers = floor(65536.0 / ((double)(c->registers < 24 ? 24 : c->registers) * launch->block[0]));
    return fmax(1, fmin(fmin(by_shared, by_registers), fmin(floor(2048.0 / launch->block[0]), 32)));
}

// Blocks come in waves of what is resident; the blocks of clusters do not share multiprocessors before all have one. A wave lasts as long as
// its chain of latencies, its arithmetic (few warps cannot fill a multiprocessor) and its traffic at 32 bytes a clock and multiprocessor (what
// an H100's L2 gives to all at once) together: blocks start at once and meet in the same phase, so that little of the three overlaps. Chosen
// by pairs of tactics of one problem, measured on an H200 (docs/kernels.md).
static double model_ns(const hone_launch *launch, const cost *c, const hone_target *target)
{
    double clock = target->clock_mhz > 0 ? (double)target->clock_mhz / 1000 : 1.5, sms = target->sms > 0 ? target->sms : 108;
    double blocks = (double)launch->grid[0] * launch->grid[1] * launch->grid[2];
    double resident = launch->cluster[2] > 1 ? 1 : fmin(resident_blocks(launch, c, target), ceil(blocks / sms));
    double waves = blocks / (sms * resident), warps = resident * launch->block[0] / 32.0;
    double compute = (double)c->macs / (double)c->rate / fmin(1, warps / 8), traffic = (double)c->bytes / 32;
    double cycles = fmax((double)c->latency + compute + traffic, resident * fmax(compute, traffic));
    // Beyond a few waves blocks no longer march in step: the last wave is as full as it is.
    waves = waves < 4 ? ceil(waves) : waves + 0.5;
    return waves * cycles / clock + 1700;
}

// Launch and cost of a tactic; HONE_DECLINED when it does not fit the problem.
static hone_status read_launch(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_launch *launch, cost *c)
{
    size_t workspace_bytes;
    hone_bound *bound = hone_alloc(sizeof *bound);
    hone_status status = bound ? hone_bound_init(problem, tactic, target, bound) : HONE_NO_MEMORY;
    if (!status) status = hone_bound_launch(bound, launch, &workspace_bytes);
    if (!status) status = read_cost(bound, c);
    hone_free(bound);
    return status;
}

static double nvrtc_estimate(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    hone_launch launch;
    cost c;
    if (read_launch(problem, tactic, target, &launch, &c)) return 1e9;
    double ns = model_ns(&launch, &c, target);
    return fmax(ns, hone_roofline_ns(problem, target) + 2400) + ns / 256;      // where the traffic decides, the model still tells tactics apart
}

static hone_status nvrtc_describe(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, hone_footprint *footprint)
{
    hone_launch launch;
    cost c;
    hone_status status = read_launch(problem, tactic, target, &launch, &c);
    if (status) return status;
    *footprint = (hone_footprint){
        .blocks = (double)launch.grid[0] * launch.grid[1] * launch.grid[2], .threads = launch.block[0], .shared_bytes = launch.shared_bytes,
        .registers = (double)c.registers, .resident = resident_blocks(&launch, &c, target), .macs = (double)c.macs, .bytes = (double)c.bytes,
        .latency = (double)c.latency,
    };
    return HONE_OK;
}

// ---- runnables

typedef struct runnable {
    hone_runnable base;
    hone_launch launch;
    hone_tensor_map maps[HONE_MAPS_MAX];   // without addresses, which a launch brings
    hone_args args;                    // follows: what the machine code can, whatever today's text could
    unsigned early_bytes;              // dynamic shared memory of a launch that may start early
    void *image;                       // owned
    size_t image_bytes;
    hone_module *module;               // NULL while asleep
    hone_function *function;
} runnable;

// The entry of code that knows nothing of its neighbours, that waits for the kernel before it, that reads constants before it waits (hone.cuh).
static const char *const entries[] = {"hone_kernel", "hone_follower", "hone_forerunner"};

static int follows_by_entry(const hone_blob *artifact)
{
    int k = (int)(sizeof entries / sizeof *entries) - 1;
    while (k > 0 && !memmem(artifact->data, artifact->size_bytes, entries[k], strlen(entries[k]) + 1)) k--;
    return k;
}

static hone_status runnable_wake(hone_runnable *base)
{
    runnable *r = (runnable *)base;
    if (r->module) return HONE_OK;
    return base->device->api->load(base->device, r->image, r->image_bytes, entries[r->args.follows], &r->module, &r->function);
}

static hone_status launch(const runnable *r, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace, hone_link link)
{
    _Alignas(64) unsigned char params[HONE_MAPS_MAX * HONE_MAP_BYTES + HONE_ARGS_BYTES];
    hone_tensor_map maps[HONE_MAPS_MAX];
    hone_launch launch = r->launch;
    const size_t maps_bytes = (size_t)launch.n_maps * HONE_MAP_BYTES;
    for (int k = 0; k < launch.n_maps; k++) {
        maps[k] = r->maps[k];
        maps[k].base = operands[maps[k].operand];
    }
    launch.maps = maps;
    launch.params = params;
    launch.params_bytes = maps_bytes + hone_args_pack(&r->args, operands, outputs, workspace, link, params + maps_bytes);
    launch.dependent = link.follows;
    launch.has_neighbours = link.follows || link.lets_next;
    if (link.follows) launch.shared_bytes = r->early_bytes;
    return r->base.device->api->launch(r->base.device, stream, r->function, &launch);
}

static hone_status runnable_run(hone_runnable *base, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    return launch((const runnable *)base, stream, operands, outputs, workspace, (hone_link){0});
}

static hone_status runnable_chain(hone_runnable *base, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace, hone_link link)
{
    return launch((const runnable *)base, stream, operands, outputs, workspace, link);
}

static void runnable_sleep(hone_runnable *base)
{
    runnable *r = (runnable *)base;
    if (r->module) base->device->api->unload(base->device, r->module);
    r->module = NULL;
    r->function = NULL;
}

static void runnable_free(hone_runnable *base)
{
    runnable *r = (runnable *)base;
    if (!r) return;
    runnable_sleep(base);
    hone_free(r->image);
    hone_free(r);
}

static const hone_runnable_api runnable_api = {
    .wake = runnable_wake, .run = runnable_run, .sleep = runnable_sleep, .free = runnable_free,
};

static const hone_runnable_api follower_api = {
    .wake = runnable_wake, .run = runnable_run, .chain = runnable_chain, .sleep = runnable_sleep, .free = runnable_free,
};

#define CROWD_MOST 2                   // blocks on one multiprocessor

// Large blocks that start early crowd the multiprocessors that happen to be free: two of them on one while others are still busy took 3 us more for
// each product of BERT-base at batch 1 (H100). So what has dynamic shared memory starts early where few blocks meet on a multiprocessor even of an
// idle GPU, one or two, and then asks for so much of its shared memory that no more of them can meet there; or where the head says that
// its blocks are few. Clusters of more than two lie within one GPC, and do not fill each to the last multiprocessor.
static void set_early(runnable *r, bool is_few, const hone_target *target)
{
    const hone_launch *launch = &r->launch;
    const int64_t blocks = (int64_t)launch->grid[0] * launch->grid[1] * launch->grid[2], places = target->sms - (launch->cluster[2] > 2 ? target->sms / 4 : 0);
    const int64_t meet = places > 0 ? (blocks + places - 1) / places : INT64_MAX;
    const bool is_spread = launch->shared_bytes && !is_few && meet <= CROWD_MOST;
    // A multiprocessor has 1 KB more than a block may ask for, and each block takes 1 KB itself.
    const unsigned too_much = is_spread ? (unsigned)((hone_target_smem_bytes(target) + 1024) / (meet + 1)) : 0;
    r->base.starts_early = r->args.follows && (!launch->shared_bytes || is_few || is_spread);
    r->early_bytes = launch->shared_bytes < too_much ? too_much : launch->shared_bytes;
}

static hone_status fill_runnable(runnable *r, const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact)
{
    hone_text text;
    hone_text_init(&text);
    hone_bound *bound = hone_alloc(sizeof *bound);
    hone_status status = bound ? hone_bound_init(problem, tactic, &device->target, bound) : HONE_NO_MEMORY;
    if (!status) status = hone_bound_text(bound, &text, &r->args);
    if (!status) status = hone_bound_launch(bound, &r->launch, &r->base.workspace_bytes);
    if (!status) status = hone_bound_maps(bound, r->maps, &r->launch.n_maps);
    r->args.follows = follows_by_entry(artifact);
    set_early(r, bound && bound->head->is_early, &device->target);
    r->base.api = r->args.follows ? &follower_api : &runnable_api;
    r->base.device = device;
    r->base.kernels = 1;
    r->image = hone_alloc(artifact->size_bytes);
    r->image_bytes = artifact->size_bytes;
    if (!r->image) status = HONE_NO_MEMORY;
    else memcpy(r->image, artifact->data, artifact->size_bytes);
    hone_free(bound);
    hone_text_clear(&text);
    return status;
}

static hone_status nvrtc_prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                                 hone_runnable **out)
{
    if (!artifact || !artifact->data) return hone_fail(HONE_USAGE, "%s needs its machine code", tactic->kernel);
    runnable *r = hone_calloc(1, sizeof *r);
    if (!r) return HONE_NO_MEMORY;
    hone_status status = fill_runnable(r, problem, tactic, device, artifact);
    if (status) runnable_free(&r->base);
    else *out = &r->base;
    return status;
}

const hone_source hone_source_nvrtc = {
    .name = "nvrtc", .version = 3, .depends = "nvrtc", .devices = "cuda", .probe = nvrtc_probe, .space = nvrtc_space, .valid = nvrtc_valid,
    .estimate_ns = nvrtc_estimate, .describe = nvrtc_describe, .key = nvrtc_key, .compile = nvrtc_compile, .prepare = nvrtc_prepare,
    .opens = "nvrtc",
};
