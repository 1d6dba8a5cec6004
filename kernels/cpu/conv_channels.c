// SPDX-License-Identifier: Apache-2.0
// conv_channels: depthwise convolution in nhwc. Every output position is a sum over the taps of rows of channels, times rows of weights;
// the weights (o, h, w, 1) are first turned to (h, w, o), so that both are neighbours in memory.
//
// rows   output rows that a thread takes at a time
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/conv.h"
#include "kernels/cpu/isa.h"

typedef struct channels {
    hone_cpu_conv conv;
    const hone_cpu_isa *isa;
    int64_t count;                 // channels
    int64_t rows, row_blocks;
} channels;

static void run_row(const hone_cpu_call *call, const channels *d, int64_t image, int64_t y)
{
    const hone_cpu_conv *conv = &d->conv;
    const hone_window *w = &conv->window;
    const float *x = hone_cpu_operand(call, conv->x) + image * hone_window_in(w) * d->count, *weights = call->workspace;
    const float *bias = hone_cpu_operand(call, conv->b);
    int64_t start = (image * w->out[1] + y) * w->out[2] * d->count;
    float *out = (float *)call->outputs[0] + start;
    for (int64_t at = 0; at < w->out[2]; at++, out += d->count) {
        if (bias) memcpy(out, bias, sizeof *out * (size_t)d->count);
        else memset(out, 0, sizeof *out * (size_t)d->count);
        for (int64_t ky = 0; ky < w->kernel[1]; ky++) {
            int64_t from_y = y * w->stride[1] - w->begin[1] + ky * w->dilation[1];
            for (int64_t kx = 0; kx < w->kernel[2] && from_y >= 0 && from_y < w->in[1]; kx++) {
                int64_t from_x = at * w->stride[2] - w->begin[2] + kx * w->dilation[2];
                if (from_x < 0 || from_x >= w->in[2]) continue;
                d->isa->multiply_add(out, x + (from_y * w->in[2] + from_x) * d->count, weights + (ky * w->kernel[2] + kx) * d->count,
                                     d->count);
            }
        }
    }
    hone_cpu_tail_run(&call->job->tail, &call->job->problem, call->operands, (float *)call->outputs[0] + start, start,
                      w->out[2] * d->count);
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const channels *d = call->job->state;
    (void)worker;
    for (int64_t item = begin; item < end; item++) {
        int64_t first = item % d->row_blocks * d->rows, last = first + d->rows;
        for (int64_t y = first; y < last && y < d->conv.window.out[1]; y++) run_row(call, d, item / d->row_blocks, y);
    }
}

static void run(const hone_cpu_call *call)
{
    const channels *d = call->job->state;
    const float *w = hone_cpu_operand(call, d->conv.w);
    float *turned = call->workspace;
    for (int64_t tap = 0; tap < d->conv.taps; tap++)
        for (int64_t c = 0; c < d->count; c++) turned[tap * d->count + c] = w[c * d->conv.taps + tap];
    hone_parallel(d->conv.images * d->row_blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status set_up(const hone_problem *problem, channels *d)
{
    *d = (channels){.isa = hone_cpu_isa_get()};
    hone_status status = hone_cpu_conv_init(problem, &d->conv);
    if (status != HONE_OK) return status;
    if (d->conv.cin != 1 || d->conv.cout != 1 || d->conv.window.rank != 2)
        return hone_fail(HONE_DECLINED, "conv_channels takes depthwise convolutions over two axes");
    const hone_tensor *x = &problem->operands[d->conv.x], *w = &problem->operands[d->conv.w];
    bool is_plain = w->dims[1] == 1;       // (o, 1, h, w) and (o, h, w, 1) lie alike
    if (x->layout != HONE_NHWC || problem->out[0].layout != HONE_NHWC || !is_plain)
        return hone_fail(HONE_DECLINED, "conv_channels works in nhwc");
    d->count = d->conv.groups;
    return HONE_OK;
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    channels d;
    int64_t rows[3], n = 0;
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "conv", &tail);
    if (status == HONE_OK) status = set_up(problem, &d);
    if (status != HONE_OK) return status;
    for (int64_t r = 1; !n || (r < d.conv.window.out[1] * 4 && n < 3); r *= 4) rows[n++] = r;
    hone_cpu_range(subspace, "rows", (int)n, rows);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    channels d;
    if (set_up(problem, &d) != HONE_OK) return 0;
    const hone_window *w = &d.conv.window;
    double rows = (double)hone_tactic_get(tactic, "rows", 1), blocks = ceil((double)w->out[1] / rows);
    double values = (double)w->out[2] * (double)d.count * (rows < (double)w->out[1] ? rows : (double)w->out[1]);
    return (double)(d.conv.taps * d.count) + hone_cpu_rounds_ns((double)d.conv.images * blocks, values * (double)d.conv.taps * 0.05 + 100, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    channels *d = hone_calloc(1, sizeof *d);
    if (!d) return HONE_NO_MEMORY;
    job->state = d;
    hone_status status = set_up(&job->problem, d);
    if (status != HONE_OK) return status;
    d->rows = hone_tactic_get(&job->tactic, "rows", 1);
    d->row_blocks = (d->conv.window.out[1] + d->rows - 1) / d->rows;
    job->workspace_bytes = sizeof(float) * (size_t)(d->conv.taps * d->count);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_conv_channels = {
    .name = "conv_channels", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
