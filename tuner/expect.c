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
#define PART 512
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

// Measured on one core: 4 flops a ns where products dominate, 3 ns to widen a value, 12 ns for each that a step makes.
double hone_expect_cost_ns(const hone_problem *problem)
{
    double widened = 0, made = 0;
    for (int k = 0; k < problem->n_operands; k++) widened += (double)hone_tensor_count(&problem->operands[k]);
    for (int s = 0; s < problem->n_steps; s++) made += (double)hone_tensor_count(&problem->steps[s].out[0]);
    return hone_problem_flops(problem) / 4 + 3 * widened + 12 * made;
}

static hone_status make_operand(const hone_problem *problem, int k, uint64_t seed, int threads, void **bytes)
{
    *bytes = hone_alloc(hone_tensor_size(&problem->operands[k]) + 1);
    return *bytes ? hone_problem_draw_memory(problem, k, seed, *bytes, threads) : HONE_NO_MEMORY;
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

static hone_status make_points(hone_expect *expect, uint64_t seed, int threads)
{
    hone_array operands[HONE_OPERANDS_MAX] = {0};
    const hone_tensor *out = &expect->problem.out[0];
    if (expect->problem.n_out != 1) return hone_fail(HONE_DECLINED, "points are only computed of a single output");
    for (int k = 0; k < expect->problem.n_operands; k++)
        operands[k] = (hone_array){.tensor = expect->problem.operands[k], .memory = expect->operands[k]};
    expect->n_points = POINTS;
    expect->index = hone_alloc(POINTS * sizeof *expect->index);
    expect->value = hone_alloc(POINTS * sizeof *expect->value);
    if (!expect->index || !expect->value) return HONE_NO_MEMORY;
    for (int64_t k = 0; k < POINTS; k++) expect->index[k] = pick_point(out, seed, k);
    hone_status status = hone_problem_reference_at(&expect->problem, operands, expect->index, POINTS, expect->value, threads);
    for (int64_t k = 0; k < POINTS; k++) expect->index[k] = hone_tensor_place(out, expect->index[k]);
    return status;
}

static void drop_points(hone_expect *expect)
{
    hone_free(expect->index);
    hone_free(expect->value);
    expect->index = NULL;
    expect->value = NULL;
    expect->n_points = 0;
}

// Outputs are read as they lie, many times; the reference is put in that order once.
static hone_status order_as_memory(hone_array *array, const hone_tensor *out)
{
    const hone_tensor flat = hone_tensor_flat(out);
    hone_array ordered;
    if (out->layout == HONE_ROW) {
        array->tensor = flat;
        return HONE_OK;
    }
    hone_status status = hone_array_init(&ordered, &flat);
    if (status != HONE_OK) return status;
    hone_tensor wide = *out;
    wide.dtype = array->f ? HONE_F64 : HONE_I64;
    hone_array_pack(array, &wide, array->f ? (void *)ordered.f : (void *)ordered.i, false, 1);
    hone_array_clear(array);
    *array = ordered;
    return HONE_OK;
}

static hone_status make_whole(hone_expect *expect, int threads)
{
    const hone_problem *problem = &expect->problem;
    hone_array operands[HONE_OPERANDS_MAX] = {0};
    hone_status status = HONE_OK;
    for (int k = 0; k < problem->n_operands; k++) {
        HONE_TRY(hone_array_init(&operands[k], &problem->operands[k]));
        hone_array_unpack(&operands[k], &problem->operands[k], expect->operands[k], threads);
    }
    HONE_TRY(hone_problem_reference(problem, operands, expect->out, threads));
    for (int k = 0; k < problem->n_out; k++) HONE_TRY(order_as_memory(&expect->out[k], &problem->out[k]));
out:
    for (int k = 0; k < problem->n_operands; k++) hone_array_clear(&operands[k]);
    return status;
}

hone_status hone_expect_make(const hone_problem *problem, uint64_t seed, int threads, hone_expect *expect)
{
    hone_status status = HONE_OK;
    memset(expect, 0, sizeof *expect);
    expect->problem = *problem;
    expect->tolerance = hone_problem_tolerance(problem);
    for (int k = 0; k < problem->n_operands; k++) HONE_TRY(make_operand(problem, k, seed, threads, &expect->operands[k]));
    bool is_dear = hone_expect_cost_ns(problem) > HONE_EXPECT_POINTS_NS && hone_tensor_count(&problem->out[0]) > POINTS;
    status = is_dear ? make_points(expect, seed, threads) : HONE_DECLINED;
    if (status == HONE_DECLINED) {
        drop_points(expect);
        status = make_whole(expect, threads);
    }
out:
    return status;
}

void hone_expect_clear(hone_expect *expect)
{
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) hone_free(expect->operands[k]), expect->operands[k] = NULL;
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&expect->out[k]);
    drop_points(expect);
}

// ---- judging

// The largest finite value of a type: what is larger in the reference is infinite in the output.
static double type_limit(hone_dtype dtype)
{
    return dtype == HONE_F16 ? 65504 : dtype == HONE_BF16 ? 3.3895e38 : dtype == HONE_F32 ? 3.4028e38 : INFINITY;
}

// A sum over threads depends on who took which piece in its last bits only; the error is evidence, not identity.
static bool decide(const hone_expect *expect, const hone_sums *sums, int64_t count, int output, double slack, double *error, char *why)
{
    bool looks_at_single = expect->tolerance > 0 && !is_jumping(&expect->problem);
    double of_this = sums->reference > 0 ? sqrt(sums->difference / sums->reference) : sqrt(sums->difference);
    double scale = sqrt(sums->reference / (double)(count ? count : 1));
    if (sums->broken) of_this = INFINITY;
    if (of_this > *error) *error = of_this;
    if (sums->broken) {
        snprintf(why, 256, "output %d: %lld of %lld values are not finite", output, (long long)sums->broken, (long long)count);
        return false;
    }
    if (of_this > expect->tolerance) {
        snprintf(why, 256, "output %d is off the reference by %.3g, allowed is %.3g", output, of_this, expect->tolerance);
        return false;
    }
    if (!looks_at_single || sums->excess <= slack * scale) return true;
    snprintf(why, 256, "output %d: a single value is off by %.3g, where values are about %.3g", output, sums->excess, scale);
    return false;
}

typedef struct judging {
    const hone_expect *expect;
    hone_measure *measure;
    void *user;
    double *error;
    bool *is_right;
    char *why;
} judging;

static hone_status judge_one(const judging *j, hone_against against, int output)
{
    const hone_tensor *tensor = &j->expect->problem.out[output];
    double slack = OUTLIER * j->expect->tolerance;
    hone_sums sums;
    if (!*j->is_right) return HONE_OK;
    hone_status status = j->measure(j->user, against, output, slack, type_limit(tensor->dtype), &sums);
    int64_t count = against == HONE_AGAINST_POINTS ? j->expect->n_points : hone_tensor_count(tensor);
    if (status == HONE_OK) *j->is_right = decide(j->expect, &sums, count, output, slack, j->error, j->why);
    return status;
}

hone_status hone_expect_judge(const hone_expect *expect, hone_known known, hone_measure *measure, void *user, double *error, bool *is_right, char *why)
{
    const judging j = {.expect = expect, .measure = measure, .user = user, .error = error, .is_right = is_right, .why = why};
    hone_status status = HONE_OK;
    *error = 0;
    *is_right = true;
    if (!expect->index)
        for (int k = 0; k < expect->problem.n_out; k++) HONE_TRY(judge_one(&j, HONE_AGAINST_VALUES, k));
    if (expect->index && known != HONE_KNOWN_WHOLE) HONE_TRY(judge_one(&j, HONE_AGAINST_POINTS, 0));
    if (expect->index && known != HONE_KNOWN_POINTS) HONE_TRY(judge_one(&j, HONE_AGAINST_OUTPUT, 0));
out:
    return status;
}

// ---- comparing on the host, a few values at a time: they stay in the caches

typedef struct comparison {
    const hone_tensor *tensor;         // of the output
    const char *out, *other;           // host memory, in its order; other: what it is held against, or
    const hone_array *values;          // the reference's values
    const int64_t *index;              // of the output's elements that are compared; NULL: all
    double slack, limit;
    hone_sums parts[WORKERS_MAX];
} comparison;

static bool is_same(const comparison *c, double out, double reference)
{
    if (out == reference || (isnan(out) && isnan(reference))) return true;
    return isinf(out) && fabs(reference) >= c->limit && (out > 0) == (reference > 0);
}

static void add_value(const comparison *c, double out, double reference, hone_sums *s)
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
static void add_block(const double *out, const double *reference, int64_t n, double slack, hone_sums *s)
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

// Elements first..first+n of memory as doubles; integers as they are.
static void take_values(const hone_tensor *tensor, const char *memory, int64_t first, int64_t n, double *values)
{
    const hone_tensor flat = {.dtype = tensor->dtype, .rank = 1, .dims = {n}};
    int64_t integers[PART];
    bool is_float = hone_dtype_is_float(tensor->dtype);
    hone_array array = {.tensor = flat, .f = is_float ? values : NULL, .i = is_float ? NULL : integers};
    hone_array_unpack(&array, &flat, memory + (size_t)first * hone_dtype_size(tensor->dtype), 1);
    for (int64_t k = 0; k < n && !is_float; k++) values[k] = (double)integers[k];
}

static void take_outputs(const comparison *c, int64_t first, int64_t n, double *values)
{
    if (!c->index) take_values(c->tensor, c->out, first, n, values);
    for (int64_t k = 0; k < n && c->index; k++) take_values(c->tensor, c->out, c->index[first + k], 1, &values[k]);
}

static const double *take_reference(const comparison *c, int64_t first, int64_t n, double *values)
{
    if (c->values && c->values->f) return c->values->f + first;
    if (c->other) take_values(c->tensor, c->other, first, n, values);
    for (int64_t k = 0; k < n && !c->other; k++) values[k] = (double)c->values->i[first + k];
    return values;
}

static void compare_piece(void *user, int64_t begin, int64_t end, int worker)
{
    comparison *c = user;
    double out[PART], space[PART];
    for (int64_t at = begin; at < end; at += PART) {
        int64_t n = end - at < PART ? end - at : PART, whole = 0;
        hone_sums *s = &c->parts[worker], quick = *s;
        take_outputs(c, at, n, out);
        const double *reference = take_reference(c, at, n, space);
        add_block(out, reference, n, c->slack, &quick);
        bool is_finite = isfinite(quick.difference) && isfinite(quick.reference);
        if (is_finite) *s = quick, whole = n - n % 4;
        for (int64_t k = whole; k < n; k++) add_value(c, out[k], reference[k], s);
    }
}

typedef struct host {
    const hone_expect *expect;
    void *const *outputs, *const *others;
    int threads;
} host;

static hone_status measure_on_host(void *user, hone_against against, int output, double slack, double limit, hone_sums *sums)
{
    const host *h = user;
    const hone_expect *expect = h->expect;
    bool is_points = against == HONE_AGAINST_POINTS;
    hone_array points = {.f = expect->value};
    comparison c = {
        .tensor = &expect->problem.out[output], .out = h->outputs[output], .slack = slack, .limit = limit,
        .other = against == HONE_AGAINST_OUTPUT ? h->others[output] : NULL, .index = is_points ? expect->index : NULL,
        .values = is_points ? &points : &expect->out[output],
    };
    if (c.other) c.values = NULL;
    int64_t count = is_points ? expect->n_points : hone_tensor_count(c.tensor);
    hone_parallel(count, GRAIN, h->threads < WORKERS_MAX ? h->threads : WORKERS_MAX, compare_piece, &c);
    *sums = (hone_sums){0};
    for (int k = 0; k < WORKERS_MAX; k++) hone_sums_add(sums, &c.parts[k]);
    return HONE_OK;
}

hone_status hone_expect_compare(const hone_expect *expect, hone_known known, void *const *outputs, void *const *others, int threads,
                                double *error, bool *is_right, char *why)
{
    host h = {.expect = expect, .outputs = outputs, .others = others, .threads = threads};
    return hone_expect_judge(expect, known, measure_on_host, &h, error, is_right, why);
}
