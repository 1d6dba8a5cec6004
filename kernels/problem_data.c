// SPDX-License-Identifier: Apache-2.0
// What a problem is run with and held against: random operands, the reference, single values of it.
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/thread.h"
#include "kernels/problem_priv.h"

enum { GRAIN = 16384, PALETTE = 65536, PICKS = 8 };
#define STREAM_PICKS 0x7069636bu       // keeps the choice from a palette apart from its drawing

// ---- random operands

typedef struct draw {
    hone_array *array;
    hone_domain domain;
    uint64_t seed, stream;
    double scale;
    int64_t bound;
} draw;

static double draw_real(const draw *d, uint64_t index)
{
    switch (d->domain) {
    case HONE_DOMAIN_POSITIVE: return 0.5 + 1.5 * hone_rng_uniform(d->seed, d->stream, index);
    case HONE_DOMAIN_UNIT: return 1.8 * hone_rng_uniform(d->seed, d->stream, index) - 0.9;
    case HONE_DOMAIN_ABOVE_ONE: return 1.1 + 1.9 * hone_rng_uniform(d->seed, d->stream, index);
    default: return d->scale * hone_rng_normal(d->seed, d->stream, index);
    }
}

static int64_t draw_int(const draw *d, uint64_t index)
{
    uint64_t bits = hone_rng_bits(d->seed, d->stream, index);
    hone_dtype dtype = d->array->tensor.dtype;
    bool is_unsigned = dtype == HONE_U8 || dtype == HONE_U16 || dtype == HONE_U32 || dtype == HONE_U64;
    if (d->domain == HONE_DOMAIN_INDEX) return d->bound > 0 ? (int64_t)(bits % (uint64_t)d->bound) : 0;
    if (dtype == HONE_BOOL) return (int64_t)(bits & 1);
    if (d->domain == HONE_DOMAIN_POSITIVE || d->domain == HONE_DOMAIN_ABOVE_ONE) return 1 + (int64_t)(bits % 8);
    return is_unsigned ? (int64_t)(bits % 9) : (int64_t)(bits % 17) - 8;
}

static void draw_part(void *user, int64_t begin, int64_t end, int worker)
{
    const draw *d = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        if (d->array->f) d->array->f[k] = draw_real(d, (uint64_t)k);
        else d->array->i[k] = draw_int(d, (uint64_t)k);
    }
}

static void draw_plan(const hone_problem *problem, int operand, draw *d)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    for (int s = 0; s < problem->n_steps; s++) {
        const hone_call *call = &problem->steps[s].call;
        for (int k = 0; k < call->n_in; k++) {
            hone_ref ref = problem->steps[s].in[k];
            if (ref.kind != HONE_REF_OPERAND || ref.index != operand) continue;
            hone_problem_inputs(problem, s, in);
            double count = (double)hone_tensor_count(&problem->steps[s].out[0]);
            double terms = count > 0 ? hone_step_flops(call, in, problem->steps[s].out) / (2 * count) : 1;
            d->domain = hone_op_domain(call->op, k);
            d->scale = d->domain == HONE_DOMAIN_WEIGHT && terms > 1 ? 1 / sqrt(terms) : 1;
            d->bound = d->domain == HONE_DOMAIN_INDEX && call->op->index_bound ? call->op->index_bound(call, in) : 1;
            return;
        }
    }
}

// Each with a draw of its own, rounded to the element type.
static hone_status draw_each(draw *d, const hone_tensor *flat, void *memory, int threads)
{
    hone_array values;
    hone_status status = hone_array_init(&values, flat);
    if (status != HONE_OK) return status;
    d->array = &values;
    hone_parallel(hone_tensor_count(flat), GRAIN, threads, draw_part, d);
    hone_array_pack(&values, flat, memory, false, threads);
    hone_array_clear(&values);
    return HONE_OK;
}

typedef struct picking {
    void *memory;
    const void *palette;
    size_t size;                   // of an element
    uint64_t seed, stream;
} picking;

// Eight elements of each block of random bits: 16 of them choose one of the palette.
static inline void pick(const picking *p, int64_t begin, int64_t end, size_t size)
{
    char *to = p->memory;
    const char *from = p->palette;
    for (int64_t k = begin; k < end; k += PICKS) {
        uint16_t at[PICKS];
        uint32_t words[4];
        hone_rng_words(p->seed, p->stream, (uint64_t)(k / PICKS), words);
        memcpy(at, words, sizeof at);
        for (int64_t j = 0; j < PICKS && k + j < end; j++) memcpy(to + (size_t)(k + j) * size, from + at[j] * size, size);
    }
}

static void pick_part(void *user, int64_t begin, int64_t end, int worker)
{
    const picking *p = user;
    (void)worker;
    if (p->size == 1) pick(p, begin, end, 1);
    else if (p->size == 2) pick(p, begin, end, 2);
    else if (p->size == 4) pick(p, begin, end, 4);
    else pick(p, begin, end, 8);
}

// A normal value takes 80 ns, an element of a palette of them 2 ns: the operands of large problems would take longer than all that is timed.
static hone_status draw_from_palette(draw *d, const hone_tensor *tensor, void *memory, int threads)
{
    const hone_tensor flat = {.dtype = tensor->dtype, .rank = 1, .dims = {PALETTE}};
    picking p = {.memory = memory, .size = hone_dtype_size(tensor->dtype), .seed = d->seed, .stream = d->stream + STREAM_PICKS};
    void *palette = hone_alloc(PALETTE * p.size);
    if (!palette) return HONE_NO_MEMORY;
    hone_status status = draw_each(d, &flat, palette, threads);
    p.palette = palette;
    if (status == HONE_OK) hone_parallel(hone_tensor_count(tensor), GRAIN, threads, pick_part, &p);
    hone_free(palette);
    return status;
}

hone_status hone_problem_draw_memory(const hone_problem *problem, int operand, uint64_t seed, void *memory, int threads)
{
    const hone_tensor *tensor = &problem->operands[operand], flat = hone_tensor_flat(tensor);
    draw d = {.seed = seed, .stream = (uint64_t)operand, .scale = 1, .bound = 1};
    draw_plan(problem, operand, &d);
    bool is_few = hone_tensor_count(tensor) <= PALETTE || d.domain == HONE_DOMAIN_INDEX;
    return is_few ? draw_each(&d, &flat, memory, threads) : draw_from_palette(&d, tensor, memory, threads);
}

hone_status hone_problem_draw(const hone_problem *problem, int operand, uint64_t seed, hone_array *array, int threads)
{
    const hone_tensor *tensor = &problem->operands[operand];
    hone_status status = hone_array_init(array, tensor);
    void *memory = hone_alloc(hone_tensor_size(tensor) + 1);
    if (status == HONE_OK) status = memory ? hone_problem_draw_memory(problem, operand, seed, memory, threads) : HONE_NO_MEMORY;
    if (status == HONE_OK) hone_array_unpack(array, tensor, memory, threads);
    else hone_array_clear(array);
    hone_free(memory);
    return status;
}

// ---- the reference

typedef hone_array results[HONE_CALLS_MAX][HONE_OUTPUTS_MAX];

static void gather_arrays(const hone_problem *problem, int step, const hone_array *operands, results made, hone_array *in)
{
    const hone_step *s = &problem->steps[step];
    memset(in, 0, HONE_INPUTS_MAX * sizeof *in);
    for (int k = 0; k < s->call.n_in; k++) {
        if (s->in[k].kind == HONE_REF_OPERAND) in[k] = operands[s->in[k].index];
        if (s->in[k].kind == HONE_REF_RESULT) in[k] = made[s->in[k].index][0];
    }
}

static void clear_results(hone_array *arrays)
{
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&arrays[k]);
}

static int last_reader(const hone_problem *problem, int result)
{
    for (int s = problem->n_steps - 1; s > result; s--)
        for (int k = 0; k < problem->steps[s].call.n_in; k++)
            if (problem->steps[s].in[k].kind == HONE_REF_RESULT && problem->steps[s].in[k].index == result) return s;
    return problem->n_steps;
}

hone_status hone_problem_reference(const hone_problem *problem, const hone_array *operands, hone_array *out, int threads)
{
    hone_status status = HONE_OK;
    hone_array in[HONE_INPUTS_MAX];
    int last = problem->n_steps - 1;
    results *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    for (int s = 0; s <= last; s++) {
        gather_arrays(problem, s, operands, *made, in);
        HONE_TRY(hone_call_reference(&problem->steps[s].call, in, (*made)[s], threads));
        for (int r = 0; r < s; r++)
            if (last_reader(problem, r) == s) clear_results((*made)[r]);
    }
    for (int k = 0; k < problem->n_out; k++) {
        out[k] = (*made)[last][k];
        out[k].tensor.dtype = problem->out[k].dtype;
        (*made)[last][k] = (hone_array){0};
    }
out:
    for (int s = 0; s <= last; s++) clear_results((*made)[s]);
    hone_free(made);
    return status;
}

// ---- single values

// n points of output 0. memo[s]: values of step s at `index` itself, kept because a tail may read a result more than once.
typedef struct probe {
    const hone_problem *problem;
    const hone_array *operands;
    const int64_t *index;
    int64_t n;
    int threads;
    hone_scalar *memo[HONE_CALLS_MAX];
} probe;

static hone_status probe_step(probe *p, int step, const int64_t *index, hone_scalar *values);

// Where the elements `index` of a result of shape `to` lie in an operand of shape `from` that is broadcast to it.
static void map_index(const hone_tensor *to, const hone_tensor *from, const int64_t *index, int64_t n, int64_t *mapped)
{
    int64_t strides[HONE_RANK_MAX];
    hone_tensor_strides(from, strides);
    int lead = to->rank - from->rank;
    for (int64_t k = 0; k < n; k++) {
        int64_t rest = index[k];
        mapped[k] = 0;
        for (int axis = to->rank - 1; axis >= 0; axis--) {
            int64_t at = rest % to->dims[axis];
            rest /= to->dims[axis];
            if (axis >= lead && from->dims[axis - lead] != 1) mapped[k] += at * strides[axis - lead];
        }
    }
}

static hone_status probe_ref(probe *p, int step, hone_ref ref, const int64_t *index, hone_scalar *values)
{
    const hone_tensor *to = &p->problem->steps[step].out[0], *from = hone_problem_tensor(p->problem, ref);
    hone_status status = HONE_OK;
    int64_t *mapped = NULL;
    if (!hone_tensor_same_dims(to, from)) {
        mapped = hone_alloc((size_t)p->n * sizeof *mapped);
        if (!mapped) return HONE_NO_MEMORY;
        map_index(to, from, index, p->n, mapped);
        index = mapped;
    }
    if (ref.kind == HONE_REF_RESULT) status = probe_step(p, ref.index, index, values);
    else
        for (int64_t k = 0; k < p->n; k++) values[k] = hone_array_scalar(&p->operands[ref.index], index[k]);
    hone_free(mapped);
    return status;
}

static hone_status probe_elementwise(probe *p, int step, const int64_t *index, hone_scalar *values)
{
    const hone_step *s = &p->problem->steps[step];
    int n_in = s->call.n_in;
    hone_dtype dtype = hone_problem_tensor(p->problem, s->in[n_in - 1])->dtype, to = s->out[0].dtype;
    hone_status status = HONE_OK;
    hone_scalar x[HONE_INPUTS_MAX], *in = hone_alloc((size_t)(p->n * n_in) * sizeof *in);
    if (!in) return HONE_NO_MEMORY;
    for (int k = 0; k < n_in; k++) HONE_TRY(probe_ref(p, step, s->in[k], index, in + k * p->n));
    for (int64_t k = 0; k < p->n; k++) {
        for (int o = 0; o < n_in; o++) x[o] = in[o * p->n + k];
        values[k] = s->call.op->scalar(&s->call, x, dtype);
        if (hone_dtype_is_float(to)) continue;
        values[k].i = hone_int_wrap(values[k].i, to);
        values[k].f = (double)values[k].i;
    }
out:
    hone_free(in);
    return status;
}

// What lies in memory is widened for the ops that read many values of it.
static hone_status take_values(const hone_array *operand, hone_array *values, hone_array *made, int threads)
{
    hone_status status = HONE_OK;
    if (operand->memory) {
        status = hone_array_init(made, &operand->tensor);
        if (status == HONE_OK) hone_array_unpack(made, &operand->tensor, operand->memory, threads);
    }
    *values = operand->memory ? *made : *operand;
    return status;
}

static hone_status probe_head(probe *p, int step, const int64_t *index, hone_scalar *values)
{
    const hone_step *s = &p->problem->steps[step];
    hone_array in[HONE_INPUTS_MAX] = {0}, made[HONE_INPUTS_MAX] = {0};
    double *out = NULL;
    hone_status status = HONE_OK;
    if (!s->call.op->reference_at) return hone_fail(HONE_DECLINED, "%s cannot compute single outputs", s->call.op->name);
    for (int k = 0; k < s->call.n_in; k++)
        if (s->in[k].kind == HONE_REF_RESULT) return hone_fail(HONE_DECLINED, "%s reads a result", s->call.op->name);
    for (int k = 0; k < s->call.n_in; k++)
        if (s->in[k].kind == HONE_REF_OPERAND) HONE_TRY(take_values(&p->operands[s->in[k].index], &in[k], &made[k], p->threads));
    out = hone_alloc((size_t)p->n * sizeof *out);
    if (!out) HONE_TRY(HONE_NO_MEMORY);
    HONE_TRY(s->call.op->reference_at(&s->call, in, index, p->n, out, p->threads));
    for (int64_t k = 0; k < p->n; k++) values[k] = (hone_scalar){out[k], hone_int_from_double(out[k])};
out:
    for (int k = 0; k < s->call.n_in; k++) hone_array_clear(&made[k]);
    hone_free(out);
    return status;
}

static void probe_clear(probe *p)
{
    for (int s = 0; s < p->problem->n_steps; s++) hone_free(p->memo[s]);
}

// The largest of what the step before has at several places, or NaN if one of them is.
static hone_status probe_largest(probe *p, int step, const int64_t *index, hone_scalar *values)
{
    const hone_step *s = &p->problem->steps[step];
    int64_t taps = 0, *sources = NULL, *at = NULL;
    hone_scalar *found = NULL;
    probe inner = {.problem = p->problem, .operands = p->operands, .threads = p->threads};
    hone_status status = HONE_OK;
    HONE_TRY(s->call.op->largest_of(&s->call, hone_problem_tensor(p->problem, s->in[0]), index, p->n, &taps, &sources));
    inner.n = p->n * taps;
    at = hone_alloc((size_t)inner.n * sizeof *at + 1);
    found = hone_alloc((size_t)inner.n * sizeof *found + 1);
    if (!at || !found) HONE_TRY(HONE_NO_MEMORY);
    for (int64_t k = 0; k < inner.n; k++) at[k] = sources[k] < 0 ? 0 : sources[k];
    inner.index = at;
    HONE_TRY(probe_step(&inner, s->in[0].index, at, found));
    for (int64_t k = 0; k < p->n; k++) values[k] = (hone_scalar){-INFINITY, 0};
    for (int64_t k = 0; k < inner.n; k++) {
        hone_scalar *best = &values[k / taps];
        if (sources[k] >= 0 && !isnan(best->f) && !(found[k].f <= best->f)) *best = found[k];
    }
out:
    probe_clear(&inner);
    hone_free(sources);
    hone_free(at);
    hone_free(found);
    return status;
}

static hone_status probe_any(probe *p, int step, const int64_t *index, hone_scalar *values)
{
    const hone_step *s = &p->problem->steps[step];
    if (s->call.op->kind == HONE_OP_ELEMENTWISE && s->call.op->scalar) return probe_elementwise(p, step, index, values);
    bool is_largest = s->call.op->largest_of && s->in[0].kind == HONE_REF_RESULT;
    return is_largest ? probe_largest(p, step, index, values) : probe_head(p, step, index, values);
}

static hone_status probe_step(probe *p, int step, const int64_t *index, hone_scalar *values)
{
    size_t size = (size_t)p->n * sizeof *values;
    if (index == p->index && p->memo[step]) {
        memcpy(values, p->memo[step], size);
        return HONE_OK;
    }
    hone_status status = probe_any(p, step, index, values);
    if (status != HONE_OK || index != p->index) return status;
    p->memo[step] = hone_alloc(size);
    if (!p->memo[step]) return HONE_NO_MEMORY;
    memcpy(p->memo[step], values, size);
    return HONE_OK;
}

hone_status hone_problem_reference_at(const hone_problem *problem, const hone_array *operands, const int64_t *index, int64_t n,
                                      double *out, int threads)
{
    int last = problem->n_steps - 1;
    probe p = {.problem = problem, .operands = operands, .index = index, .n = n, .threads = threads};
    hone_scalar *values = hone_alloc((size_t)n * sizeof *values);
    if (!values) return HONE_NO_MEMORY;
    hone_status status = probe_step(&p, last, index, values);
    bool is_float = hone_dtype_is_float(problem->steps[last].out[0].dtype);
    for (int64_t k = 0; k < n && status == HONE_OK; k++) out[k] = is_float ? values[k].f : (double)values[k].i;
    probe_clear(&p);
    hone_free(values);
    return status;
}
