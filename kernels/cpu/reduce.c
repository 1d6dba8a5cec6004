// SPDX-License-Identifier: Apache-2.0
// reduce: sums, means, extremes and norms along neighbouring axes, in either layout. The input is seen as outer x length x inner; with
// inner = 1 each output folds one run of memory, otherwise rows of `inner` values are folded into each other.
//
// piece   outputs (inner = 1) or columns (otherwise) that a thread takes at a time
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"

typedef struct fold {
    const char *kind;                                              // as the op spells it
    float (*run)(const hone_cpu_isa *isa, const float *x, int64_t n);   // of neighbouring values
    const char *row;                                               // block that folds a row into another
    const char *prepare;                                           // block applied to a row first; NULL: none
    float (*end)(float total, float count);
} fold;

static float run_sum(const hone_cpu_isa *isa, const float *x, int64_t n) { return isa->sum(x, n); }
static float run_square(const hone_cpu_isa *isa, const float *x, int64_t n) { return isa->dot(x, x, n); }
static float run_max(const hone_cpu_isa *isa, const float *x, int64_t n) { return isa->max(x, n); }

static float run_min(const hone_cpu_isa *isa, const float *x, int64_t n)
{
    float low = x[0];
    (void)isa;
    for (int64_t k = 1; k < n; k++) low = x[k] < low ? x[k] : low;
    return low;
}

static float run_abs(const hone_cpu_isa *isa, const float *x, int64_t n)
{
    float sum = 0;
    (void)isa;
    for (int64_t k = 0; k < n; k++) sum += fabsf(x[k]);
    return sum;
}

static float end_same(float total, float count) { (void)count; return total; }
static float end_mean(float total, float count) { return total / count; }
static float end_root(float total, float count) { (void)count; return sqrtf(total); }

static const fold folds[] = {
    {"sum", run_sum, "add", NULL, end_same}, {"mean", run_sum, "add", NULL, end_mean}, {"max", run_max, "max", NULL, end_same},
    {"min", run_min, "min", NULL, end_same}, {"l1", run_abs, "add", "abs", end_same}, {"l2", run_square, "add", "square", end_root},
    {"sumsquare", run_square, "add", "square", end_same},
};

typedef struct reduction {
    const hone_cpu_isa *isa;
    const fold *fold;
    hone_cpu_block row, prepare;
    int x;
    int64_t outer, length, inner, piece, pieces;
} reduction;

static hone_cpu_block find_block(const hone_cpu_isa *isa, const char *name)
{
    for (const hone_cpu_named_block *b = isa->blocks; name && b->name; b++)
        if (!strcmp(b->name, name)) return b->block;
    return NULL;
}

static hone_status set_up(const hone_problem *problem, reduction *r)
{
    const hone_step *step = &problem->steps[0];
    const hone_tensor *x = &problem->operands[hone_cpu_input(problem, 0)], *out = &problem->out[0];
    const char *kind = hone_call_word(&step->call, "kind");
    const int64_t *axes;
    int64_t dims[HONE_RANK_MAX];
    bool is_reduced[HONE_RANK_MAX] = {false};
    *r = (reduction){.isa = hone_cpu_isa_get(), .x = hone_cpu_input(problem, 0), .outer = 1, .length = 1, .inner = 1};
    for (size_t k = 0; k < sizeof folds / sizeof *folds; k++)
        if (!strcmp(folds[k].kind, kind)) r->fold = &folds[k];
    if (!r->fold) return hone_fail(HONE_DECLINED, "the cpu kernels do not offer reduce kind=%s", kind);
    if (x->layout != out->layout) return hone_fail(HONE_DECLINED, "reduce keeps the layout");
    int n_axes = hone_call_list(&step->call, "axes", &axes), stage = 0;
    for (int k = 0; k < n_axes; k++) is_reduced[hone_tensor_physical_axis(x, (int)axes[k])] = true;
    hone_tensor_physical(x, dims);
    for (int k = 0; k < x->rank; k++) {
        if (dims[k] == 1) continue;
        if (is_reduced[k] && stage == 2) return hone_fail(HONE_DECLINED, "the reduced axes are not neighbours");
        if (is_reduced[k]) stage = 1, r->length *= dims[k];
        else if (stage) stage = 2, r->inner *= dims[k];
        else r->outer *= dims[k];
    }
    r->row = find_block(r->isa, r->fold->row);
    r->prepare = r->fold->prepare ? find_block(r->isa, !strcmp(r->fold->prepare, "square") ? "mul" : r->fold->prepare) : NULL;
    return HONE_OK;
}

static void run_lines(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const reduction *r = call->job->state;
    const float *x = hone_cpu_operand(call, r->x);
    float *out = call->outputs[0];
    (void)worker;
    for (int64_t k = begin; k < end; k++) out[k] = r->fold->end(r->fold->run(r->isa, x + k * r->length, r->length), (float)r->length);
    hone_cpu_tail_run(&call->job->tail, &call->job->problem, call->operands, out + begin, begin, end - begin);
}

// Folds `n` neighbouring columns over all rows.
static void fold_columns(const reduction *r, const float *x, int n, float *out)
{
    float prepared[HONE_CPU_BLOCK];
    hone_cpu_block_args add = {.out = out, .step = {1, 1}, .n = n}, first = {.out = prepared, .step = {1, 1}, .n = n};
    for (int64_t row = 0; row < r->length; row++, x += r->inner) {
        const float *from = x;
        if (r->prepare) {
            first.in[0] = first.in[1] = x;
            r->prepare(&first);
            from = prepared;
        }
        if (!row) {
            memcpy(out, from, sizeof *out * (size_t)n);
            continue;
        }
        add.in[0] = out, add.in[1] = from;
        r->row(&add);
    }
    for (int k = 0; k < n; k++) out[k] = r->fold->end(out[k], (float)r->length);
}

static void run_columns(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const reduction *r = call->job->state;
    (void)worker;
    for (int64_t item = begin; item < end; item++) {
        int64_t outer = item / r->pieces, first = item % r->pieces * r->piece;
        int64_t last = first + r->piece < r->inner ? first + r->piece : r->inner;
        float *out = (float *)call->outputs[0] + outer * r->inner;
        for (int64_t k = first; k < last; k += HONE_CPU_BLOCK)
            fold_columns(r, hone_cpu_operand(call, r->x) + outer * r->length * r->inner + k,
                         (int)(last - k < HONE_CPU_BLOCK ? last - k : HONE_CPU_BLOCK), out + k);
        hone_cpu_tail_run(&call->job->tail, &call->job->problem, call->operands, out + first, outer * r->inner + first, last - first);
    }
}

static void run(const hone_cpu_call *call)
{
    const reduction *r = call->job->state;
    if (r->inner == 1) hone_parallel(r->outer, r->piece, call->job->threads, run_lines, (void *)(uintptr_t)call);
    else hone_parallel(r->outer * r->pieces, 1, call->job->threads, run_columns, (void *)(uintptr_t)call);
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    reduction r;
    int64_t pieces[3], n = 0;
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "reduce", &tail);
    if (status == HONE_OK) status = set_up(problem, &r);
    if (status != HONE_OK) return status;
    int64_t count = r.inner == 1 ? r.outer : r.inner;
    for (int64_t piece = r.inner == 1 ? 1 : 64; !n || (piece < count * 8 && n < 3); piece *= 8) pieces[n++] = piece;
    hone_cpu_range(subspace, "piece", (int)n, pieces);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    reduction r;
    if (set_up(problem, &r) != HONE_OK) return 0;
    double count = (double)(r.inner == 1 ? r.outer : r.inner), piece = fmin((double)hone_tactic_get(tactic, "piece", 64), count);
    double tasks = ceil(count / piece) * (r.inner == 1 ? 1 : (double)r.outer);
    return hone_cpu_rounds_ns(tasks, piece * (double)r.length * 0.15 + piece * 2 + 50, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    reduction *r = hone_calloc(1, sizeof *r);
    if (!r) return HONE_NO_MEMORY;
    job->state = r;
    hone_status status = set_up(&job->problem, r);
    if (status != HONE_OK) return status;
    r->piece = hone_tactic_get(&job->tactic, "piece", 64);
    r->pieces = (r->inner + r->piece - 1) / r->piece;
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_reduce = {
    .name = "reduce", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
