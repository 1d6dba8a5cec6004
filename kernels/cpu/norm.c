// SPDX-License-Identifier: Apache-2.0
// softmax, logsoftmax, layernorm, instancenorm and groupnorm where the values that share statistics are neighbours in memory, and
// batchnorm in both layouts.
//
// piece   rows that a thread takes at a time
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"

typedef struct rows {
    const hone_cpu_isa *isa;
    const struct norm *norm;
    int x, scale, shift, mean, variance;   // operands, -1 when absent
    int64_t count, length;                 // rows; values of a row
    int64_t channels;                      // instancenorm, groupnorm, batchnorm: of x
    int64_t each;                          // neighbouring values of one channel
    float epsilon;
} rows;

typedef struct norm {
    const char *op;
    hone_status (*set)(const hone_problem *problem, rows *r);
    void (*row)(const rows *r, const hone_cpu_call *call, int64_t row, const float *x, float *out);
} norm;

static int64_t product(const hone_tensor *tensor, int begin, int end)
{
    int64_t n = 1;
    for (int k = begin; k < end; k++) n *= tensor->dims[k];
    return n;
}

// ---- softmax

static hone_status set_softmax(const hone_problem *problem, rows *r)
{
    const hone_tensor *x = &problem->operands[r->x];
    int axis = hone_tensor_physical_axis(x, (int)hone_call_int(&problem->steps[0].call, "axis"));
    int64_t dims[HONE_RANK_MAX];
    hone_tensor_physical(x, dims);
    for (int k = axis + 1; k < x->rank; k++)
        if (dims[k] != 1) return hone_fail(HONE_DECLINED, "softmax works along the innermost axis");
    r->length = dims[axis];
    r->count = hone_tensor_count(x) / r->length;
    return HONE_OK;
}

static void softmax_row(const rows *r, const hone_cpu_call *call, int64_t row, const float *x, float *out)
{
    (void)call, (void)row;
    if (out != x) memcpy(out, x, sizeof *out * (size_t)r->length);
    float sum = r->isa->exp_sum(out, r->length, r->isa->max(x, r->length));
    r->isa->normalise(out, out, r->length, 0, 1 / sum, NULL, NULL);
}

static void logsoftmax_row(const rows *r, const hone_cpu_call *call, int64_t row, const float *x, float *out)
{
    (void)call, (void)row;
    float top = r->isa->max(x, r->length);
    memcpy(out, x, sizeof *out * (size_t)r->length);
    float less = top + logf(r->isa->exp_sum(out, r->length, top));
    r->isa->normalise(out, x, r->length, less, 1, NULL, NULL);
}

// ---- mean and variance of a row

static void statistics(const rows *r, const float *x, float *mean, float *factor)
{
    float block[HONE_CPU_BLOCK], square = 0;
    *mean = r->isa->sum(x, r->length) / (float)r->length;
    for (int64_t k = 0; k < r->length; k += HONE_CPU_BLOCK) {       // of differences: squares of large values would cancel
        int64_t n = r->length - k < HONE_CPU_BLOCK ? r->length - k : HONE_CPU_BLOCK;
        r->isa->normalise(block, x + k, n, *mean, 1, NULL, NULL);
        square += r->isa->dot(block, block, n);
    }
    *factor = 1 / sqrtf(square / (float)r->length + r->epsilon);
}

static hone_status set_layernorm(const hone_problem *problem, rows *r)
{
    const hone_tensor *x = &problem->operands[r->x];
    int axis = (int)hone_call_int(&problem->steps[0].call, "axis");
    if (x->layout != HONE_ROW) return hone_fail(HONE_DECLINED, "layernorm works in row-major order");
    r->length = product(x, axis, x->rank);
    r->count = product(x, 0, axis);
    return HONE_OK;
}

static void layernorm_row(const rows *r, const hone_cpu_call *call, int64_t row, const float *x, float *out)
{
    float mean, factor;
    (void)row;
    statistics(r, x, &mean, &factor);
    r->isa->normalise(out, x, r->length, mean, factor, hone_cpu_operand(call, r->scale), hone_cpu_operand(call, r->shift));
}

static hone_status set_groups(const hone_problem *problem, rows *r)
{
    const hone_tensor *x = &problem->operands[r->x];
    const hone_call *call = &problem->steps[0].call;
    if (x->layout != HONE_ROW) return hone_fail(HONE_DECLINED, "%s works in row-major order", call->op->name);
    int64_t groups = strcmp(call->op->name, "groupnorm") ? x->dims[1] : hone_call_int(call, "groups");
    r->channels = x->dims[1];
    r->each = product(x, 2, x->rank);
    r->length = r->channels / groups * r->each;
    r->count = x->dims[0] * groups;
    return HONE_OK;
}

static void group_row(const rows *r, const hone_cpu_call *call, int64_t row, const float *x, float *out)
{
    float mean, factor;
    const float *scale = hone_cpu_operand(call, r->scale), *shift = hone_cpu_operand(call, r->shift);
    statistics(r, x, &mean, &factor);
    for (int64_t k = 0; k < r->length; k += r->each) {
        int64_t c = (row * r->length + k) / r->each % r->channels;
        float all = factor * scale[c];
        r->isa->normalise(out + k, x + k, r->each, mean - (all != 0 ? shift[c] / all : 0), all, NULL, NULL);
        if (all == 0) for (int64_t i = 0; i < r->each; i++) out[k + i] = shift[c];
    }
}

// ---- batchnorm: rows of one channel (nchw) or of all channels (nhwc)

static hone_status set_batchnorm(const hone_problem *problem, rows *r)
{
    const hone_tensor *x = &problem->operands[r->x];
    r->channels = x->dims[1];
    r->each = x->layout == HONE_ROW ? product(x, 2, x->rank) : 1;
    r->length = x->layout == HONE_ROW ? r->each : r->channels;
    r->count = hone_tensor_count(x) / r->length;
    return HONE_OK;
}

static void batchnorm_row(const rows *r, const hone_cpu_call *call, int64_t row, const float *x, float *out)
{
    const float *scale = hone_cpu_operand(call, r->scale), *shift = hone_cpu_operand(call, r->shift);
    const float *mean = hone_cpu_operand(call, r->mean), *variance = hone_cpu_operand(call, r->variance);
    bool is_channel = r->length == r->each;
    int64_t first = is_channel ? row % r->channels : 0;
    for (int64_t c = first; c < first + (is_channel ? 1 : r->channels); c++) {
        float factor = scale[c] / sqrtf(variance[c] + r->epsilon), add = shift[c] - mean[c] * factor;
        const float *from = x + (is_channel ? 0 : c);
        float *to = out + (is_channel ? 0 : c);
        for (int64_t k = 0; k < r->each; k++) to[k] = from[k] * factor + add;
    }
}

static const norm norms[] = {
    {"softmax", set_softmax, softmax_row}, {"logsoftmax", set_softmax, logsoftmax_row}, {"layernorm", set_layernorm, layernorm_row},
    {"instancenorm", set_groups, group_row}, {"groupnorm", set_groups, group_row}, {"batchnorm", set_batchnorm, batchnorm_row},
};

static hone_status set_up(const hone_problem *problem, rows *r)
{
    const hone_call *call = &problem->steps[0].call;
    *r = (rows){.isa = hone_cpu_isa_get(), .x = hone_cpu_input(problem, 0), .scale = hone_cpu_input(problem, 1),
                .shift = hone_cpu_input(problem, 2), .mean = hone_cpu_input(problem, 3), .variance = hone_cpu_input(problem, 4)};
    for (size_t k = 0; k < sizeof norms / sizeof *norms; k++)
        if (!strcmp(norms[k].op, call->op->name)) r->norm = &norms[k];
    if (!r->norm) return hone_fail(HONE_DECLINED, "%s is no normalisation that the cpu kernels offer", call->op->name);
    if (problem->operands[r->x].layout != problem->out[0].layout) return hone_fail(HONE_DECLINED, "%s keeps the layout", call->op->name);
    if (hone_op_attr_index(call->op, "epsilon") >= 0) r->epsilon = (float)hone_call_real(call, "epsilon");
    return r->norm->set(problem, r);
}

static void run_rows(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const rows *r = call->job->state;
    const float *x = hone_cpu_operand(call, r->x);
    float *out = call->outputs[0];
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        r->norm->row(r, call, row, x + row * r->length, out + row * r->length);
        hone_cpu_tail_run(&call->job->tail, &call->job->problem, call->operands, out + row * r->length, row * r->length, r->length);
    }
}

static void run(const hone_cpu_call *call)
{
    const rows *r = call->job->state;
    hone_parallel(r->count, hone_tactic_get(&call->job->tactic, "piece", 8), call->job->threads, run_rows, (void *)(uintptr_t)call);
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    rows r;
    int64_t pieces[3], n = 0;
    (void)threads;
    hone_status status = hone_cpu_offer(problem, problem->steps[0].call.op->name, &tail);
    if (status == HONE_OK) status = set_up(problem, &r);
    if (status != HONE_OK) return status;
    for (int64_t piece = 1; piece < r.count * 8 && n < 3; piece *= 8) pieces[n++] = piece;
    hone_cpu_range(subspace, "piece", (int)n, pieces);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    rows r;
    if (set_up(problem, &r) != HONE_OK) return 0;
    double piece = fmin((double)hone_tactic_get(tactic, "piece", 8), (double)r.count);
    return hone_cpu_rounds_ns(ceil((double)r.count / piece), piece * ((double)r.length * (0.5 + 0.15 * problem->n_steps) + 30) + 30, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    rows *r = hone_calloc(1, sizeof *r);
    if (!r) return HONE_NO_MEMORY;
    job->state = r;
    return set_up(&job->problem, r);
}

const hone_cpu_kernel hone_cpu_kernel_norm = {
    .name = "norm", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
