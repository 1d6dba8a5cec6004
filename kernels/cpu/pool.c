// SPDX-License-Identifier: Apache-2.0
// pool: maxpool and avgpool over one or two spatial axes in both layouts. A window is folded in two steps, rows of the input into a line
// of memory, then neighbours along the line, since maximum and sum are separable. Between the steps the line is padded and split into
// `stride` phases, so that the second step too works on neighbouring values.
//
// rows   output rows that a thread takes at a time
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"
#include "kernels/window.h"

typedef struct pool {
    hone_window window;
    hone_cpu_block fold;           // "max" or "add"
    bool is_average, include_pad;
    int x;
    int64_t planes, lanes;         // images x channels and 1 (nchw); images and channels (nhwc)
    int64_t rows, row_blocks;
    int64_t pitch;                 // positions of a phase
    int64_t line_floats, scratch_floats;
    float *factors;                // per value of an output row: 1 / positions counted along it; behind the struct
} pool;

static hone_status set_up(const hone_problem *problem, pool *p)
{
    const hone_call *call = &problem->steps[0].call;
    const hone_tensor *x = &problem->operands[hone_cpu_input(problem, 0)];
    const int64_t *kernel;
    const char *block = strcmp(call->op->name, "maxpool") ? "add" : "max";
    *p = (pool){.x = hone_cpu_input(problem, 0), .is_average = strcmp(call->op->name, "maxpool") != 0};
    hone_call_list(call, "kernel", &kernel);
    hone_status status = hone_window_init(call, x, kernel, hone_call_int(call, "ceil") != 0, &p->window);
    if (status != HONE_OK) return status;
    p->include_pad = p->is_average && hone_call_int(call, "include_pad");
    if (p->window.rank > 2 || x->layout != problem->out[0].layout)
        return hone_fail(HONE_DECLINED, "pool works over one or two spatial axes and keeps the layout");
    for (const hone_cpu_named_block *b = hone_cpu_isa_get()->blocks; b->name; b++)
        if (!strcmp(b->name, block)) p->fold = b->block;
    p->lanes = x->layout == HONE_NHWC ? x->dims[1] : 1;
    p->planes = x->dims[0] * x->dims[1] / p->lanes;
    const hone_window *w = &p->window;
    p->pitch = w->out[2] + (w->kernel[2] - 1) * w->dilation[2] / w->stride[2];
    p->line_floats = (w->in[2] * p->lanes + 63) & ~(int64_t)63;
    p->scratch_floats = p->line_floats + ((w->stride[2] * p->pitch * p->lanes + 63) & ~(int64_t)63);
    return HONE_OK;
}

static void fold_into(const pool *p, float *to, const float *from, int64_t n)
{
    hone_cpu_block_args args = {.step = {1, 1}};
    for (int64_t k = 0; k < n; k += HONE_CPU_BLOCK) {
        args.out = to + k, args.in[0] = to + k, args.in[1] = from + k;
        args.n = (int)(n - k < HONE_CPU_BLOCK ? n - k : HONE_CPU_BLOCK);
        p->fold(&args);
    }
}

// Positions that a window counts along one axis: inside the input, or (include_pad) inside the padded input.
static int64_t counted(const pool *p, int axis, int64_t at)
{
    const hone_window *w = &p->window;
    int64_t n = 0, first = at * w->stride[axis] - w->begin[axis];
    for (int64_t t = 0; t < w->kernel[axis]; t++) {
        int64_t place = first + t * w->dilation[axis];
        n += p->include_pad ? place < w->in[axis] + w->end[axis] : place >= 0 && place < w->in[axis];
    }
    return n;
}

// The folded line as phases, padded with what changes no result.
static void split_line(const pool *p, const float *line, float *phases)
{
    const hone_window *w = &p->window;
    float none = p->is_average ? 0 : -INFINITY;
    for (int64_t phase = 0; phase < w->stride[2]; phase++)
        for (int64_t k = 0; k < p->pitch; k++, phases += p->lanes) {
            int64_t at = k * w->stride[2] + phase - w->begin[2];
            bool is_inside = at >= 0 && at < w->in[2];
            if (is_inside && p->lanes == 1) phases[0] = line[at];
            else if (is_inside) memcpy(phases, line + at * p->lanes, sizeof *phases * (size_t)p->lanes);
            else for (int64_t c = 0; c < p->lanes; c++) phases[c] = none;
        }
}

static void fold_line(const pool *p, const float *phases, float *out, float rows_counted)
{
    const hone_window *w = &p->window;
    int64_t n = w->out[2] * p->lanes;
    for (int64_t t = 0; t < w->kernel[2]; t++) {
        int64_t at = t * w->dilation[2];
        const float *from = phases + (at % w->stride[2] * p->pitch + at / w->stride[2]) * p->lanes;
        if (t) fold_into(p, out, from, n);
        else memcpy(out, from, sizeof *out * (size_t)n);
    }
    float factor = rows_counted > 0 ? 1 / rows_counted : 0;
    for (int64_t k = 0; p->is_average && k < n; k++) out[k] *= p->factors[k] * factor;
}

static void run_row(const hone_cpu_call *call, const pool *p, int64_t plane, int64_t y, float *line, float *phases)
{
    const hone_window *w = &p->window;
    int64_t width = w->in[2] * p->lanes, start = (plane * w->out[1] + y) * w->out[2] * p->lanes;
    const float *x = hone_cpu_operand(call, p->x) + plane * w->in[1] * width;
    float *out = (float *)call->outputs[0] + start;
    bool is_first = true;
    for (int64_t t = 0; t < w->kernel[1]; t++) {
        int64_t at = y * w->stride[1] - w->begin[1] + t * w->dilation[1];
        if (at < 0 || at >= w->in[1]) continue;
        if (is_first) memcpy(line, x + at * width, sizeof *line * (size_t)width);
        else fold_into(p, line, x + at * width, width);
        is_first = false;
    }
    for (int64_t k = 0; is_first && k < width; k++) line[k] = p->is_average ? 0 : -INFINITY;
    split_line(p, line, phases);
    fold_line(p, phases, out, p->is_average ? (float)counted(p, 1, y) : 1);
    hone_cpu_tail_run(&call->job->tail, &call->job->problem, call->operands, out, start, w->out[2] * p->lanes);
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const pool *p = call->job->state;
    float *line = (float *)call->workspace + worker * p->scratch_floats;
    for (int64_t item = begin; item < end; item++) {
        int64_t plane = item / p->row_blocks, first = item % p->row_blocks * p->rows;
        for (int64_t y = first; y < first + p->rows && y < p->window.out[1]; y++) run_row(call, p, plane, y, line, line + p->line_floats);
    }
}

static void run(const hone_cpu_call *call)
{
    const pool *p = call->job->state;
    hone_parallel(p->planes * p->row_blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    pool p;
    int64_t rows[3], n = 0;
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "maxpool", &tail);
    if (status == HONE_DECLINED) status = hone_cpu_offer(problem, "avgpool", &tail);
    if (status == HONE_OK) status = set_up(problem, &p);
    if (status != HONE_OK) return status;
    for (int64_t r = 4; !n || (r < p.window.out[1] * 4 && n < 3); r *= 4) rows[n++] = r < p.window.out[1] ? r : p.window.out[1];
    hone_cpu_range(subspace, "rows", (int)n, rows);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    pool p;
    if (set_up(problem, &p) != HONE_OK) return 0;
    const hone_window *w = &p.window;
    double rows = (double)hone_tactic_get(tactic, "rows", 4), values = (double)((w->kernel[1] + 4) * w->in[2] + w->kernel[2] * w->out[2]);
    return hone_cpu_rounds_ns((double)p.planes * ceil((double)w->out[1] / rows), rows * (values * (double)p.lanes * 0.15 + 50) + 20, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    pool known;
    hone_status status = set_up(&job->problem, &known);
    if (status != HONE_OK) return status;
    int64_t values = known.window.out[2] * known.lanes;
    pool *p = hone_alloc(sizeof *p + sizeof *p->factors * (size_t)values);
    if (!p) return HONE_NO_MEMORY;
    job->state = p;
    *p = known;
    p->factors = (float *)(p + 1);
    for (int64_t k = 0; k < values; k++) {
        int64_t n = counted(p, 2, k / p->lanes);
        p->factors[k] = n ? 1 / (float)n : 0;
    }
    p->rows = hone_tactic_get(&job->tactic, "rows", 4);
    p->row_blocks = (p->window.out[1] + p->rows - 1) / p->rows;
    job->workspace_bytes = sizeof(float) * (size_t)(p->scratch_floats * job->threads);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_pool = {
    .name = "pool", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
