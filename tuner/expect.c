// SPDX-License-Identifier: Apache-2.0
#include "tuner/expect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/thread.h"

#define POINTS 4096
#define WORKERS_MAX 64
#define GRAIN 65536
// A single value may be this many tolerances off, measured against its own size and that of its output: rounding errors of a
// sum scatter, and the largest of a million lies five deviations out; a value that was never computed lies thousands out.
#define OUTLIER 64
#define STREAM_POINTS 0x706f696e74u    // keeps the choice of points apart from the drawing of operands

// Ops whose result jumps: an error of one rounding in front of them moves single values by a whole step.
static const char *const jumping[] = {"floor", "ceil", "round", "sign", "cast", "mod", "greater", "greaterorequal", "less", "lessorequal", "equal",
                                      "thresholdedrelu", "shrink", "argmax", "argmin", "hardmax", "topk", "quantizelinear",
                                      "dynamicquantizelinear", "qlinearconv", "qlinearmatmul"};

static bool is_jumping(const hone_problem *problem)
{
    for (int s = 0; s < problem->n_steps; s++)
        for (size_t k = 0; k < sizeof jumping / sizeof *jumping; k++)
            if (!strcmp(problem->steps[s].call.op->name, jumping[k])) return true;
    return false;
}

// ---- making

// Measured on one core: 4 flops a ns where products dominate, 5 ns a value.
double hone_expect_cost_ns(const hone_problem *problem)
{
    return hone_problem_flops(problem) / 4 + hone_problem_bytes(problem) / 4 * 5;
}

static hone_status make_operand(const hone_problem *problem, int k, uint64_t seed, int threads, hone_array *array, void **bytes)
{
    hone_status status = hone_problem_draw(problem, k, seed, array, threads);
    if (status != HONE_OK) return status;
    *bytes = hone_alloc(hone_tensor_size(&problem->operands[k]) + 1);
    if (!*bytes) return HONE_NO_MEMORY;
    hone_array_pack(array, &problem->operands[k], *bytes, false, threads);
    return HONE_OK;
}

// Half of the points lie anywhere, half have some coordinates at an edge, where kernels go wrong.
static int64_t pick_point(const hone_tensor *tensor, uint64_t seed, int64_t k)
{
    int64_t flat = 0;
    for (int axis = 0; axis < tensor->rank; axis++) {
        uint64_t draw = (uint64_t)(k * HONE_RANK_MAX + axis);
        int64_t dim = tensor->dims[axis], at = (int64_t)(hone_rng_uniform(seed, STREAM_POINTS, draw) * (double)dim);
        uint32_t edge = k % 2 ? hone_rng_bits(seed, STREAM_POINTS + 1, draw) % 3 : 2;
        flat = flat * dim + (edge == 0 ? 0 : edge == 1 ? dim - 1 : at);
    }
    return flat;
}

static hone_status make_points(hone_expect *expect, const hone_array *operands, uint64_t seed, int threads)
{
    if (expect->problem.n_out != 1) return hone_fail(HONE_DECLINED, "points are only computed of a single output");
    expect->n_points = POINTS;
    expect->index = hone_alloc(POINTS * sizeof *expect->index);
    expect->value = hone_alloc(POINTS * sizeof *expect->value);
    if (!expect->index || !expect->value) return HONE_NO_MEMORY;
    for (int64_t k = 0; k < POINTS; k++) expect->index[k] = pick_point(&expect->problem.out[0], seed, k);
    return hone_problem_reference_at(&expect->problem, operands, expect->index, POINTS, expect->value, threads);
}

static void drop_points(hone_expect *expect)
{
    hone_free(expect->index);
    hone_free(expect->value);
    expect->index = NULL;
    expect->value = NULL;
    expect->n_points = 0;
}

hone_status hone_expect_make(const hone_problem *problem, uint64_t seed, int threads, hone_expect *expect)
{
    hone_array operands[HONE_OPERANDS_MAX] = {0};
    hone_status status = HONE_OK;
    memset(expect, 0, sizeof *expect);
    expect->problem = *problem;
    expect->tolerance = hone_problem_tolerance(problem);
    for (int k = 0; k < problem->n_operands; k++) HONE_TRY(make_operand(problem, k, seed, threads, &operands[k], &expect->operands[k]));
    bool is_dear = hone_expect_cost_ns(problem) > HONE_EXPECT_POINTS_NS && hone_tensor_count(&problem->out[0]) > POINTS;
    status = is_dear ? make_points(expect, operands, seed, threads) : HONE_DECLINED;
    if (status == HONE_DECLINED) {
        drop_points(expect);
        status = hone_problem_reference(problem, operands, expect->out, threads);
    }
out:
    for (int k = 0; k < problem->n_operands; k++) hone_array_clear(&operands[k]);
    return status;
}

void hone_expect_clear(hone_expect *expect)
{
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) hone_free(expect->operands[k]), expect->operands[k] = NULL;
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&expect->out[k]);
    drop_points(expect);
}

// ---- comparing

static double value_of(const hone_array *array, int64_t k)
{
    return array->f ? array->f[k] : (double)array->i[k];
}

typedef struct sums {
    double difference, reference;      // of squares
    double excess;                     // largest |difference| beyond what the reference's own size excuses
    int64_t broken;                    // not finite where the reference is
} sums;

typedef struct comparison {
    const hone_array *out, *reference;
    double limit;                      // what the type can hold
    double slack;                      // of a single value, relative to the reference
    sums parts[WORKERS_MAX];
} comparison;

// The largest finite value of a type: what is larger in the reference is infinite in the output.
static double type_limit(hone_dtype dtype)
{
    return dtype == HONE_F16 ? 65504 : dtype == HONE_BF16 ? 3.3895e38 : dtype == HONE_F32 ? 3.4028e38 : INFINITY;
}

static bool is_same(const comparison *c, double out, double reference)
{
    if (out == reference || (isnan(out) && isnan(reference))) return true;
    return isinf(out) && fabs(reference) >= c->limit && (out > 0) == (reference > 0);
}

static void add_value(const comparison *c, double out, double reference, sums *s)
{
    double difference = is_same(c, out, reference) ? 0 : out - reference;
    if (isfinite(reference)) s->reference += reference * reference;
    if (!isfinite(difference)) {
        s->broken++;
        return;
    }
    s->difference += difference * difference;
    s->excess = fmax(s->excess, fabs(difference) - c->slack * fabs(reference));
}

// Finite values, four chains of additions at a time: the compiler may not reorder them by itself.
static void add_block(const double *out, const double *reference, int64_t n, double slack, sums *s)
{
    double difference[4] = {0}, square[4] = {0}, excess[4] = {0};
    for (int64_t k = 0; k + 4 <= n; k += 4)
        for (int j = 0; j < 4; j++) {
            double r = reference[k + j], d = out[k + j] - r, e = fabs(d) - slack * fabs(r);
            difference[j] += d * d;
            square[j] += r * r;
            excess[j] = e > excess[j] ? e : excess[j];
        }
    for (int j = 0; j < 4; j++) {
        s->difference += difference[j];
        s->reference += square[j];
        s->excess = excess[j] > s->excess ? excess[j] : s->excess;
    }
}

static void compare_piece(void *user, int64_t begin, int64_t end, int worker)
{
    comparison *c = user;
    sums *s = &c->parts[worker], quick = *s;
    int64_t whole = begin;
    if (c->out->f && c->reference->f) {
        add_block(c->out->f + begin, c->reference->f + begin, end - begin, c->slack, &quick);
        bool is_finite = isfinite(quick.difference) && isfinite(quick.reference);
        if (is_finite) *s = quick, whole = end - (end - begin) % 4;
        for (int64_t k = whole; k < end; k++) add_value(c, c->out->f[k], c->reference->f[k], s);
        return;
    }
    for (int64_t k = begin; k < end; k++) add_value(c, value_of(c->out, k), value_of(c->reference, k), s);
}

static sums total(const comparison *c)
{
    sums all = {0};
    for (int k = 0; k < WORKERS_MAX; k++) {
        all.difference += c->parts[k].difference;
        all.reference += c->parts[k].reference;
        all.excess = fmax(all.excess, c->parts[k].excess);
        all.broken += c->parts[k].broken;
    }
    return all;
}

// A sum over threads depends on who took which piece in its last bits only; the error is evidence, not identity.
static bool judge(const hone_expect *expect, comparison *c, int64_t count, int output, int threads, double *error, char *why)
{
    bool looks_at_single = expect->tolerance > 0 && !is_jumping(&expect->problem);
    c->slack = OUTLIER * expect->tolerance;
    hone_parallel(count, GRAIN, threads < WORKERS_MAX ? threads : WORKERS_MAX, compare_piece, c);
    sums all = total(c);
    double of_this = all.reference > 0 ? sqrt(all.difference / all.reference) : sqrt(all.difference);
    double scale = sqrt(all.reference / (double)(count ? count : 1));
    if (all.broken) of_this = INFINITY;
    if (of_this > *error) *error = of_this;
    if (all.broken) {
        snprintf(why, 256, "output %d: %lld of %lld values are not finite", output, (long long)all.broken, (long long)count);
        return false;
    }
    if (of_this > expect->tolerance) {
        snprintf(why, 256, "output %d is off the reference by %.3g, allowed is %.3g", output, of_this, expect->tolerance);
        return false;
    }
    if (!looks_at_single || all.excess <= c->slack * scale) return true;
    snprintf(why, 256, "output %d: a single value is off by %.3g, where values are about %.3g", output, all.excess, scale);
    return false;
}

static bool compare_points(const hone_expect *expect, const hone_array *out, int threads, double *error, char *why)
{
    double picked[POINTS];
    hone_array of_out = {.tensor = out->tensor, .f = picked}, of_reference = {.tensor = out->tensor, .f = expect->value};
    for (int64_t k = 0; k < expect->n_points; k++) picked[k] = value_of(out, expect->index[k]);
    comparison c = {.out = &of_out, .reference = &of_reference, .limit = type_limit(out->tensor.dtype)};
    return judge(expect, &c, expect->n_points, 0, threads, error, why);
}

hone_status hone_expect_compare(const hone_expect *expect, void *const *outputs, int threads, double *error, bool *is_right, char *why)
{
    hone_status status = HONE_OK;
    *error = 0;
    *is_right = true;
    for (int k = 0; k < expect->problem.n_out && *is_right && status == HONE_OK; k++) {
        const hone_tensor *tensor = &expect->problem.out[k];
        hone_array out = {0};
        status = hone_array_init(&out, tensor);
        if (status != HONE_OK) break;
        hone_array_unpack(&out, tensor, outputs[k], threads);
        comparison c = {.out = &out, .reference = &expect->out[k], .limit = type_limit(tensor->dtype)};
        *is_right = expect->index ? compare_points(expect, &out, threads, error, why)
                                  : judge(expect, &c, hone_tensor_count(tensor), k, threads, error, why);
        hone_array_clear(&out);
    }
    return status;
}

hone_status hone_expect_adopt(hone_expect *expect, void *const *outputs, int threads)
{
    if (!expect->index) return HONE_OK;
    hone_status status = hone_array_init(&expect->out[0], &expect->problem.out[0]);
    if (status != HONE_OK) return status;
    hone_array_unpack(&expect->out[0], &expect->problem.out[0], outputs[0], threads);
    drop_points(expect);
    return HONE_OK;
}
