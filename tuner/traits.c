// SPDX-License-Identifier: Apache-2.0
#include "tuner/traits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/matmul.h"

#define HEX_WORD 8                     // digits of a library's opaque bytes that make one number

typedef struct teller {
    hone_trait_each each;
    void *user;
} teller;

static void tell(const teller *t, const char *name, double value)
{
    t->each(t->user, name, value);
}

static void tell_log(const teller *t, const char *name, double value)
{
    tell(t, name, log2(1 + fmax(0, value)));
}

// ---- the problem

typedef struct extents {               // of its first step, as if it were a product
    double m, n, k, groups;
} extents;

static extents read_extents(const hone_problem *problem)
{
    const hone_step *step = &problem->steps[0];
    const hone_tensor *in[HONE_INPUTS_MAX], *out = &problem->out[0];
    double count = (double)hone_tensor_count(out);
    int64_t dims[HONE_RANK_MAX] = {1};
    hone_matmul g;
    hone_problem_inputs(problem, 0, in);
    if (step->call.op->kind == HONE_OP_MATMUL && step->call.n_in >= 2 && !hone_matmul_init(&step->call, in[0], in[1], &g))
        return (extents){(double)g.m, (double)g.n, (double)g.k, (double)g.batch};
    if (step->call.op->kind == HONE_OP_CONV && step->call.n_in >= 2 && in[1]->rank > 2) {
        double n = fmax(1, (double)in[1]->dims[0]), groups = hone_op_attr_index(step->call.op, "group") < 0 ? 1 : (double)hone_call_int(&step->call, "group");
        return (extents){count / n, n / groups, (double)hone_tensor_count(in[1]) / n, groups};
    }
    hone_tensor_physical(out, dims);
    double last = out->rank ? fmax(1, (double)dims[out->rank - 1]) : 1;
    return (extents){count / last, last, in[0] ? (double)hone_tensor_count(in[0]) / fmax(1, count) : 1, 1};
}

// How many operands of the later steps are as large as the result: residuals.
static double count_residuals(const hone_problem *problem)
{
    double residuals = 0;
    for (int s = 1; s < problem->n_steps; s++)
        for (int k = 0; k < problem->steps[s].call.n_in; k++) {
            const hone_ref *ref = &problem->steps[s].in[k];
            if (ref->kind == HONE_REF_OPERAND) residuals += hone_tensor_count(&problem->operands[ref->index]) == hone_tensor_count(&problem->out[0]);
        }
    return residuals;
}

static double window_area(const hone_problem *problem)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    double area = 1;
    hone_problem_inputs(problem, 0, in);
    if (problem->steps[0].call.op->kind != HONE_OP_CONV || problem->steps[0].call.n_in < 2) return 1;
    for (int k = 2; k < in[1]->rank; k++) area *= (double)in[1]->dims[k];
    return area;
}

void hone_traits_of_problem(const hone_problem *problem, const hone_target *target, hone_trait_each each, void *user)
{
    const teller t = {each, user};
    extents e = read_extents(problem);
    double flops = hone_problem_flops(problem), bytes = hone_problem_bytes(problem);
    tell(&t, "op", problem->steps[0].call.op->kind);
    tell(&t, "steps", problem->n_steps);
    tell(&t, "residuals", count_residuals(problem));
    tell(&t, "element bytes", problem->n_operands ? (double)hone_dtype_size(problem->operands[0].dtype) : 0);
    tell(&t, "tf32", problem->math == HONE_MATH_TF32);
    tell(&t, "nhwc", problem->out[0].layout == HONE_NHWC);
    tell(&t, "window", window_area(problem));
    tell_log(&t, "m", e.m);
    tell_log(&t, "n", e.n);
    tell_log(&t, "k", e.k);
    tell_log(&t, "groups", e.groups);
    tell_log(&t, "flops", flops);
    tell_log(&t, "bytes", bytes);
    tell_log(&t, "flops a byte", flops / fmax(1, bytes));
    tell_log(&t, "roofline", hone_roofline_ns(problem, target));
}

// ---- the tactic

void hone_trait_kernel(const hone_tactic *tactic, char name[HONE_TRAIT_NAME])
{
    snprintf(name, HONE_TRAIT_NAME, "%s.%s@%d", tactic->source, tactic->kernel, tactic->version);
}

// A word of a vendor: pairs of integers ("knobs=2:1,5:3") or bytes in hex ("algo=00ff..."), each a few numbers.
static void tell_word(const teller *t, const char *word, size_t size)
{
    char name[HONE_TRAIT_NAME], digits[HEX_WORD + 1] = "";
    size_t head = strcspn(word, "=");
    if (head >= size || head > 16) return;
    const char *at = word + head + 1, *end = word + size;
    hone_scan scan = {at};
    int64_t type, value;
    while (scan.at < end && hone_scan_int(&scan, &type) && hone_scan_char(&scan, ':') && hone_scan_int(&scan, &value)) {
        snprintf(name, sizeof name, "%.*s %lld", (int)head, word, (long long)type);
        tell(t, name, (double)value);
        if (!hone_scan_char(&scan, ',')) return;
    }
    if (strspn(at, "0123456789abcdef") < (size_t)(end - at)) return;
    for (int k = 0; at + HEX_WORD <= end; k++, at += HEX_WORD) {
        snprintf(name, sizeof name, "%.*s %d", (int)head, word, k);
        memcpy(digits, at, HEX_WORD);
        tell(t, name, (double)__builtin_bswap32((uint32_t)strtoul(digits, NULL, 16)));      // libraries lie in little-endian memory
    }
}

static void tell_words(const teller *t, const hone_tactic *tactic)
{
    char name[HONE_TRAIT_NAME];
    hone_trait_kernel(tactic, name);
    tell(t, name, 1);
    for (int k = 0; k < tactic->n; k++) tell(t, tactic->params[k].name, (double)tactic->params[k].value);
    for (const char *at = tactic->vendor; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        tell_word(t, at, size);
        at += size;
    }
}

// How full the multiprocessors are, and how much more is computed and read than the problem needs.
static void tell_load(const teller *t, const hone_footprint *load, const hone_problem *problem, const hone_target *target)
{
    double sms = target->sms > 0 ? target->sms : 108, resident = fmin(load->resident, ceil(load->blocks / sms));
    double waves = load->blocks / (sms * fmax(1, resident));
    tell_log(t, "blocks", load->blocks);
    tell_log(t, "threads", load->threads);
    tell_log(t, "shared memory", load->shared_bytes);
    tell_log(t, "registers", load->registers);
    tell_log(t, "resident", load->resident);
    tell_log(t, "occupancy", resident * load->threads);
    tell_log(t, "waves", waves);
    tell(t, "fill", waves / ceil(waves));
    tell_log(t, "block macs", load->macs);
    tell_log(t, "block bytes", load->bytes);
    tell_log(t, "latency", load->latency);
    tell_log(t, "computes over", 2 * load->macs * load->blocks / fmax(1, hone_problem_flops(problem)));
    tell_log(t, "reads over", load->bytes * load->blocks / fmax(1, hone_problem_bytes(problem)));
}

void hone_traits_of_tactic(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target, const hone_source *source,
                           double estimate_ns, hone_trait_each each, void *user)
{
    const teller t = {each, user};
    hone_footprint load;
    tell_words(&t, tactic);
    tell_log(&t, "estimate", estimate_ns);
    tell_log(&t, "over roofline", estimate_ns / fmax(1, hone_roofline_ns(problem, target)));
    if (source && source->describe && !source->describe(problem, tactic, target, &load)) tell_load(&t, &load, problem, target);
}
