// SPDX-License-Identifier: Apache-2.0
// Generic code over tactic sources: walking a space, checking a tactic, what it opens, and the roofline.
#include "kernels/source.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

const hone_source *hone_source_find(const char *name)
{
    for (int k = 0; k < hone_source_count; k++)
        if (!strcmp(hone_sources[k]->name, name)) return hone_sources[k];
    return NULL;
}

const hone_source *hone_source_of(const char *spelling)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(spelling, ". "), spelling);
    return hone_source_find(name);
}

bool hone_source_serves(const hone_source *source, const char *device_kind)
{
    char kind[16];
    hone_scan scan = {source->devices};
    for (; hone_scan_token(&scan, kind, sizeof kind); hone_scan_blanks(&scan))
        if (!strcmp(kind, device_kind)) return true;
    return false;
}

void hone_space_clear(hone_space *space)
{
    hone_free(space->points);
    memset(space, 0, sizeof *space);
}

// ---- walking a space

typedef struct walk {
    const hone_source *source;
    const hone_problem *problem;
    const hone_target *target;
    hone_status (*each)(void *user, const hone_tactic *tactic);
    void *user;
} walk;

// What valid refuses is not part of the space; only its other answers are.
static hone_status visit(const walk *w, const hone_tactic *tactic)
{
    if (w->source->valid && w->source->valid(w->problem, tactic, w->target) != HONE_OK) return HONE_OK;
    return w->each(w->user, tactic);
}

// The next combination of a subspace, the last parameter fastest; false after the last.
static bool step_indices(const hone_subspace *subspace, int *at)
{
    for (int k = subspace->n - 1; k >= 0; k--) {
        if (++at[k] < subspace->ranges[k].n) return true;
        at[k] = 0;
    }
    return false;
}

static hone_status walk_subspace(const walk *w, const hone_subspace *subspace)
{
    int at[HONE_PARAMS_MAX] = {0};
    hone_tactic tactic = {.version = subspace->version, .n = subspace->n};
    hone_status status;
    strncpy(tactic.source, w->source->name, sizeof tactic.source - 1);
    memcpy(tactic.kernel, subspace->kernel, sizeof tactic.kernel);
    for (int k = 0; k < subspace->n; k++) {
        if (!subspace->ranges[k].n) return HONE_OK;
        memcpy(tactic.params[k].name, subspace->ranges[k].name, sizeof tactic.params[k].name);
    }
    do {
        for (int k = 0; k < subspace->n; k++) tactic.params[k].value = subspace->ranges[k].values[at[k]];
        status = visit(w, &tactic);
    } while (status == HONE_OK && step_indices(subspace, at));
    return status;
}

hone_status hone_space_each(const hone_source *source, const hone_problem *problem, const hone_target *target, const hone_space *space,
                            hone_status (*each)(void *user, const hone_tactic *tactic), void *user)
{
    walk w = {source, problem, target, each, user};
    hone_status status = HONE_OK;
    for (size_t k = 0; k < space->n_points; k++) HONE_TRY(visit(&w, &space->points[k]));
    for (int k = 0; k < space->n; k++) HONE_TRY(walk_subspace(&w, &space->subspaces[k]));
out:
    return status;
}

// ---- checking a tactic that was stored

static hone_status refuse(const hone_tactic *tactic, const char *why, const char *what)
{
    return hone_fail(HONE_DECLINED, "tactic %s.%s@%d is not valid: %s%s", tactic->source, tactic->kernel, tactic->version, why, what);
}

static bool has_value(const hone_range *range, int64_t value)
{
    for (int k = 0; k < range->n; k++)
        if (range->values[k] == value) return true;
    return false;
}

static hone_status check_params(const hone_tactic *tactic, const hone_subspace *subspace)
{
    if (tactic->version != subspace->version) return refuse(tactic, "the kernel has another version now", "");
    if (tactic->n != subspace->n) return refuse(tactic, "it has other parameters than the kernel", "");
    for (int k = 0; k < subspace->n; k++) {
        if (strcmp(tactic->params[k].name, subspace->ranges[k].name))
            return refuse(tactic, "the kernel has no such parameter in this place: ", tactic->params[k].name);
        if (!has_value(&subspace->ranges[k], tactic->params[k].value))
            return refuse(tactic, "a value outside the kernel's range: ", tactic->params[k].name);
    }
    return HONE_OK;
}

// Vendor libraries list their points only beside a device: without one their space declines or is empty, and `valid` alone judges.
static hone_status check_space(const hone_tactic *tactic, const hone_source *source, const hone_problem *problem, const hone_target *target)
{
    hone_space *space = hone_calloc(1, sizeof *space);
    if (!space) return HONE_NO_MEMORY;
    hone_status status = HONE_OK;
    bool has_space = source->space(problem, target, NULL, space) == HONE_OK;
    for (int k = 0; k < (has_space ? space->n : 0); k++) {
        if (strcmp(space->subspaces[k].kernel, tactic->kernel)) continue;
        status = check_params(tactic, &space->subspaces[k]);
        if (status == HONE_OK) break;
    }
    hone_space_clear(space);
    hone_free(space);
    return status;
}

hone_status hone_tactic_check(const hone_tactic *tactic, const hone_problem *problem, const hone_target *target)
{
    const hone_source *source = hone_source_find(tactic->source);
    if (!source) return refuse(tactic, "there is no source ", tactic->source);
    if (!hone_source_serves(source, target->kind)) return refuse(tactic, "its source does not serve device ", target->kind);
    hone_status status = check_space(tactic, source, problem, target);
    if (status != HONE_OK || !source->valid) return status;
    return source->valid(problem, tactic, target);
}

// ---- libraries that a plan opens when it runs

const char *hone_tactic_opens(const hone_tactic *tactic, bool is_compiled)
{
    const hone_source *source = hone_source_find(tactic->source);
    if (is_compiled || !source || !source->opens || (source->opens_none && source->opens_none(tactic))) return "";
    return source->opens;
}

// The next word of a text with blanks or commas between; NULL behind the last.
static const char *next_word(const char *at, size_t *size)
{
    at += strspn(at, " ,");
    *size = strcspn(at, " ,");
    return *size ? at : NULL;
}

static bool has_word(const char *text, const char *word, size_t word_size)
{
    size_t size;
    for (const char *at = text; (at = next_word(at, &size)); at += size)
        if (size == word_size && !strncmp(at, word, size)) return true;
    return false;
}

bool hone_opens_any(const char *opens, const char *list)
{
    size_t size;
    for (const char *at = list; (at = next_word(at, &size)); at += size)
        if (has_word(opens, at, size)) return true;
    return false;
}

void hone_opens_add(hone_text *list, const char *opens)
{
    size_t size;
    for (const char *at = opens; (at = next_word(at, &size)); at += size)
        if (!has_word(hone_text_get(list), at, size)) hone_text_printf(list, "%s%.*s", list->size ? "," : "", (int)size, at);
}

hone_status hone_opens_check(const char *list)
{
    hone_text known;
    size_t size;
    hone_text_init(&known);
    for (int k = 0; k < hone_source_count; k++)
        if (hone_sources[k]->opens) hone_opens_add(&known, hone_sources[k]->opens);
    hone_status status = hone_text_status(&known);
    if (status == HONE_OK && !next_word(list, &size)) status = hone_fail(HONE_USAGE, "no library is named; there are %s", hone_text_get(&known));
    for (const char *at = list; status == HONE_OK && (at = next_word(at, &size)); at += size)
        if (!has_word(hone_text_get(&known), at, size))
            status = hone_fail(HONE_USAGE, "no plan opens a library '%.*s'; there are %s", (int)size, at, hone_text_get(&known));
    hone_text_clear(&known);
    return status;
}

// ---- roofline

// Dense rates in TFLOP/s and bandwidth in TB/s, from NVIDIA's data sheets of the SXM parts (H200, H100, A100 40/80 GB, L40S, A10, B200,
// RTX 5090); the first line that fits counts. "" fits every model.
typedef struct ceiling {
    int cc;
    const char *model;
    double half, tf32, single, bandwidth;
} ceiling;

static const ceiling ceilings[] = {
    {90, "H200", 990, 495, 67, 4.8},  {90, "GH200", 990, 495, 67, 4.0}, {90, "PCIe", 756, 378, 51, 2.0}, {90, "", 990, 495, 67, 3.35},
    {80, "A30", 165, 82, 10.3, 0.93}, {80, "80GB", 312, 156, 19.5, 2.0}, {80, "", 312, 156, 19.5, 1.55},
    {89, "L40S", 362, 183, 91.6, 0.86}, {86, "A10", 125, 62.5, 31.2, 0.6}, {100, "", 2250, 1125, 75, 8.0}, {103, "", 2250, 1125, 75, 8.0},
    {120, "", 209, 105, 105, 1.8},
};

// An unknown GPU: per multiprocessor and clock 1,024 half, 512 TF32 and 256 single-precision flops; 1 TB/s.
static ceiling generic_gpu(const hone_target *target)
{
    double tera = (target->sms ? target->sms : 64) * (target->clock_mhz ? (double)target->clock_mhz : 1500) * 1e6 / 1e12;
    return (ceiling){target->cc, "", 1024 * tera, 512 * tera, 256 * tera, 1.0};
}

// One core of a server CPU of today: about 40 GFLOP/s in single precision (8 lanes, fused multiply-add, 2.5 GHz); 10 GB/s of memory.
static ceiling cpu_ceiling(const hone_target *target)
{
    double rate = 0.04 * (target->threads > 0 ? target->threads : 1);
    return (ceiling){0, "", rate, rate, rate, 0.01};
}

static ceiling find_ceiling(const hone_target *target)
{
    if (!target->cc) return cpu_ceiling(target);
    for (size_t k = 0; k < sizeof ceilings / sizeof *ceilings; k++)
        if (ceilings[k].cc == target->cc && strstr(target->model, ceilings[k].model)) return ceilings[k];
    return generic_gpu(target);
}

// Only products run on tensor cores, and only where their operands are of a small type or TF32 is allowed.
static double flop_rate(const hone_problem *problem, const ceiling *c)
{
    bool has_product = false;
    for (int s = 0; s < problem->n_steps; s++) {
        const hone_op *op = problem->steps[s].call.op;
        has_product = has_product || op->kind == HONE_OP_MATMUL || op->kind == HONE_OP_CONV || !strcmp(op->name, "attention");
    }
    hone_dtype dtype = problem->n_operands ? problem->operands[0].dtype : HONE_F32;
    if (!has_product) return c->single * 1e12;
    if (dtype == HONE_F16 || dtype == HONE_BF16 || dtype == HONE_I8 || dtype == HONE_U8) return c->half * 1e12;
    return (problem->math == HONE_MATH_TF32 ? c->tf32 : c->single) * 1e12;
}

double hone_memory_ns(const hone_problem *problem, const hone_target *target)
{
    return 1e9 * hone_problem_bytes(problem) / (find_ceiling(target).bandwidth * 1e12);
}

double hone_roofline_ns(const hone_problem *problem, const hone_target *target)
{
    ceiling c = find_ceiling(target);
    return fmax(1e9 * hone_problem_flops(problem) / flop_rate(problem, &c), hone_memory_ns(problem, target));
}
