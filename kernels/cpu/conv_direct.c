// SPDX-License-Identifier: Apache-2.0
// conv_direct: convolution over one or two spatial axes in NCHW, without an im2col matrix.
//
// A task computes some output rows of one image for some output channels. It first copies the input rows under its window, padded with
// zeros, into memory of its thread. A stride s splits that copy into s x s phase images, so that whatever the stride, a step to the next
// output is a step to the next float. All output positions of the task then lie on one line of the copy's pitch (some of them, at
// row ends, are computed for nothing), and a tap of a channel is a constant offset from it: register tiles read their vectors
// straight from the copy, at offsets[k].
//
// rows   output rows (of a pointwise convolution: positions) of a task; what is copied should fit the level 2 cache
// split  parts into which the output channels of a group are cut, each a task of its own
//
// Weights are read where they lie, eight rows at a time. Laying them side by side first was measured and never gained, not even at
// depths that are multiples of 1024 (Zen 4: 210 GF without, 150 to 200 with it).
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/conv.h"
#include "kernels/cpu/isa.h"

enum { SLACK = 64, SCRATCH_MAX = 4 << 20 };     // floats: read past the last tile's end; most of a thread

typedef struct direct {
    hone_cpu_conv conv;
    const hone_cpu_isa *isa;
    int64_t rows, row_blocks;      // output rows of a task
    int64_t split, channels;       // parts of the group's output channels; channels of a part, a multiple of a tile's rows
    int64_t phases_y, phases_x;    // phases that some tap reads
    int64_t pitch, height;         // of a phase image
    int64_t channel_step;          // floats of one channel: all phases
    int64_t line;                  // positions of a task on the line
    int64_t image_floats, sums_floats, scratch_floats;
    int32_t offsets[];             // of each k = (channel, tap)
} direct;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t scratch_of(direct *d)
{
    const hone_window *w = &d->conv.window;
    d->phases_y = min_of(w->stride[1], (w->kernel[1] - 1) * w->dilation[1] + 1);
    d->phases_x = min_of(w->stride[2], (w->kernel[2] - 1) * w->dilation[2] + 1);
    d->pitch = w->out[2] + (w->kernel[2] - 1) * w->dilation[2] / w->stride[2];
    d->height = d->rows + (w->kernel[1] - 1) * w->dilation[1] / w->stride[1];
    d->channel_step = d->phases_y * d->phases_x * d->height * d->pitch;
    d->line = (d->rows - 1) * d->pitch + w->out[2];
    d->image_floats = d->conv.cin * d->channel_step + SLACK;
    d->sums_floats = d->isa->rows * (d->line + SLACK);
    d->scratch_floats = (d->image_floats + d->sums_floats + 63) & ~(int64_t)63;
    return d->scratch_floats;
}

// ---- the copy of the input

// One row of a phase image: the input row y (outside: zeros) from padded column `phase`, every `stride`.
static void copy_row(const hone_window *w, const float *plane, int64_t y, int64_t phase, float *to, int64_t count)
{
    int64_t stride = w->stride[2], first = phase - w->begin[2], left = first < 0 ? (-first + stride - 1) / stride : 0;
    if (y < 0 || y >= w->in[1]) {
        memset(to, 0, sizeof *to * (size_t)count);
        return;
    }
    left = min_of(left, count);
    int64_t room = w->in[2] - first, end = room <= 0 ? left : min_of(count, (room + stride - 1) / stride);
    if (end < left) end = left;
    for (int64_t k = 0; k < left; k++) to[k] = 0;
    const float *from = plane + y * w->in[2] + first;
    if (stride == 1) memcpy(to + left, from + left, sizeof *to * (size_t)(end - left));
    else if (stride == 2) for (int64_t k = left; k < end; k++) to[k] = from[2 * k];
    else for (int64_t k = left; k < end; k++) to[k] = from[stride * k];
    for (int64_t k = end; k < count; k++) to[k] = 0;
}

// The rows under output rows first .. first + rows; rows past the last are not needed.
static void copy_channel(const direct *d, const float *plane, int64_t first, int64_t rows, float *to)
{
    const hone_window *w = &d->conv.window;
    int64_t height = d->height - d->rows + rows;
    bool is_whole = w->in[2] == d->pitch && w->stride[1] == 1 && w->stride[2] == 1 && !w->begin[1] && !w->begin[2];
    if (is_whole && first + height <= w->in[1]) {
        memcpy(to, plane + first * w->in[2], sizeof *to * (size_t)(height * d->pitch));
        return;
    }
    for (int64_t py = 0; py < d->phases_y; py++)
        for (int64_t px = 0; px < d->phases_x; px++, to += d->height * d->pitch)
            for (int64_t r = 0; r < height; r++)
                copy_row(w, plane, (first + r) * w->stride[1] + py - w->begin[1], px, to + r * d->pitch, d->pitch);
}

static void fill_offsets(direct *d)
{
    const hone_window *w = &d->conv.window;
    int32_t *to = d->offsets;
    for (int64_t c = 0; c < d->conv.cin; c++)
        for (int64_t ky = 0; ky < w->kernel[1]; ky++)
            for (int64_t kx = 0; kx < w->kernel[2]; kx++) {
                int64_t y = ky * w->dilation[1], x = kx * w->dilation[2];
                int64_t phase = y % w->stride[1] * d->phases_x + x % w->stride[2];
                *to++ = (int32_t)(c * d->channel_step + (phase * d->height + y / w->stride[1]) * d->pitch + x / w->stride[2]);
            }
}

// ---- tiles

typedef struct task {
    const hone_cpu_call *call;
    const direct *d;
    int64_t first_row, rows;       // output rows
    int64_t line;                  // positions
    float *image, *sums;
} task;

// Sums of `rows` channels at all positions, into c with row step c_row. The last tile of a line goes through a buffer when c has no
// room behind the line.
static void tile_line(const task *t, const float *a, const float *bias, int rows, float *c, int64_t c_row, bool has_room)
{
    const direct *d = t->d;
    float rest[8 * 3 * 16];
    int lanes = d->isa->lanes;
    hone_cpu_tile tile = {.rows = rows, .k = d->conv.depth, .a = a, .a_row = d->conv.depth, .a_step = 1, .offsets = d->offsets,
                          .start = bias ? HONE_CPU_ROWS : HONE_CPU_ZERO, .bias = bias};
    for (int64_t q = 0; q < t->line; q += 3 * lanes) {
        int64_t left = min_of(t->line - q, 3 * lanes);
        tile.vectors = (int)((left + lanes - 1) / lanes);
        bool is_direct = has_room || left == tile.vectors * lanes;
        tile.b = t->image + q;
        tile.c = is_direct ? c + q : rest;
        tile.c_row = is_direct ? c_row : 3 * lanes;
        d->isa->tile(&tile);
        for (int i = 0; !is_direct && i < rows; i++) memcpy(c + i * c_row + q, rest + i * 3 * lanes, sizeof *c * (size_t)left);
    }
}

// Output channels `channel` .. + rows of the task, tail included.
static void run_rows(const task *t, int64_t image, int64_t group, int64_t channel, int rows)
{
    const direct *d = t->d;
    const hone_cpu_conv *conv = &d->conv;
    const hone_cpu_job *job = t->call->job;
    const hone_window *w = &conv->window;
    int64_t all_channels = conv->groups * conv->cout, o = group * conv->cout + channel, plane = w->out[1] * w->out[2];
    const float *a = hone_cpu_operand(t->call, conv->w) + o * conv->depth, *bias = hone_cpu_operand(t->call, conv->b);
    int64_t start = (image * all_channels + o) * plane + t->first_row * w->out[2];
    float *out = (float *)t->call->outputs[0] + start;
    bool is_dense = d->pitch == w->out[2];
    if (bias) bias += o;
    if (is_dense) tile_line(t, a, bias, rows, out, plane, false);
    else tile_line(t, a, bias, rows, t->sums, d->line + SLACK, true);
    for (int i = 0; i < rows; i++) {
        const float *from = t->sums + i * (d->line + SLACK);
        for (int64_t r = 0; r < t->rows && !is_dense; r++)
            memcpy(out + i * plane + r * w->out[2], from + r * d->pitch, sizeof *out * (size_t)w->out[2]);
        hone_cpu_tail_run(&job->tail, &job->problem, t->call->operands, out + i * plane, start + i * plane, t->rows * w->out[2]);
    }
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const direct *d = call->job->state;
    const hone_cpu_conv *conv = &d->conv;
    const hone_window *w = &conv->window;
    int64_t plane = w->in[1] * w->in[2];
    task t = {.call = call, .d = d, .image = (float *)call->workspace + worker * d->scratch_floats};
    t.sums = t.image + d->image_floats;
    for (int64_t item = begin; item < end; item++) {
        int64_t part = item % d->split, block = item / d->split % d->row_blocks, group = item / d->split / d->row_blocks % conv->groups;
        int64_t image = item / d->split / d->row_blocks / conv->groups;
        t.first_row = block * d->rows, t.rows = min_of(d->rows, w->out[1] - t.first_row);
        t.line = (t.rows - 1) * d->pitch + w->out[2];
        const float *x = hone_cpu_operand(call, conv->x) + (image * conv->groups + group) * conv->cin * plane;
        for (int64_t c = 0; c < conv->cin; c++) copy_channel(d, x + c * plane, t.first_row, t.rows, t.image + c * d->channel_step);
        memset(t.image + d->image_floats - SLACK, 0, sizeof *t.image * SLACK);
        int64_t channel = part * d->channels, last = min_of(channel + d->channels, conv->cout);
        while (channel < last) {
            int rows = d->isa->rows;
            while (rows > last - channel) rows /= 2;
            run_rows(&t, image, group, channel, rows);
            channel += rows;
        }
    }
}

static void run(const hone_cpu_call *call)
{
    const direct *d = call->job->state;
    hone_parallel(d->conv.images * d->conv.groups * d->row_blocks * d->split, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

// ---- parameters

static void set_parameters(direct *d, int64_t rows, int64_t split)
{
    int64_t step = d->isa->rows, wanted = (d->conv.cout + split - 1) / split;
    d->rows = min_of(rows, d->conv.window.out[1]);
    d->row_blocks = (d->conv.window.out[1] + d->rows - 1) / d->rows;
    d->channels = (wanted + step - 1) / step * step;
    d->split = (d->conv.cout + d->channels - 1) / d->channels;
    scratch_of(d);
}

static hone_status set_up(const hone_problem *problem, direct *d)
{
    hone_status status = hone_cpu_conv_init(problem, &d->conv);
    if (status != HONE_OK) return status;
    const hone_window *w = &d->conv.window;
    d->isa = hone_cpu_isa_get();
    if (!hone_cpu_conv_lies(problem, HONE_ROW)) return hone_fail(HONE_DECLINED, "conv_direct works in nchw");
    if (w->kernel[0] != 1 || w->in[0] != 1 || w->begin[0] || w->end[0])
        return hone_fail(HONE_DECLINED, "conv_direct works over one or two spatial axes");
    if (w->begin[1] < 0 || w->begin[2] < 0 || w->end[1] < 0 || w->end[2] < 0) return hone_fail(HONE_DECLINED, "negative padding");
    if (d->conv.is_pointwise) hone_cpu_conv_flatten(&d->conv);
    return HONE_OK;
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    direct d = {.rows = 0};
    hone_status status = hone_cpu_offer(problem, "conv", &tail);
    if (status == HONE_OK) status = set_up(problem, &d);
    if (status != HONE_OK) return status;
    int64_t rows[HONE_RANGE_MAX], splits[4], height = d.conv.window.out[1], n = 0, n_splits = 0;
    int64_t first = d.conv.is_pointwise ? 48 : 4;
    set_parameters(&d, first, 1);
    if (d.scratch_floats > SCRATCH_MAX) first = 1;
    for (int64_t r = min_of(first, height); r < height * 4 && n < 5; r *= 4) {
        set_parameters(&d, r, 1);
        if (d.scratch_floats > SCRATCH_MAX) break;
        rows[n++] = min_of(r, height);
    }
    if (!n) return hone_fail(HONE_DECLINED, "one row of all channels is more than conv_direct keeps");
    for (int64_t s = 1; s <= 2 * threads && n_splits < 3; s *= 2)
        if (s == 1 || d.conv.cout / s >= 8) splits[n_splits++] = s;
    hone_cpu_range(subspace, "rows", (int)n, rows);
    hone_cpu_range(subspace, "split", (int)n_splits, splits);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    direct d = {.rows = 0};
    if (set_up(problem, &d) != HONE_OK) return 0;
    set_parameters(&d, hone_tactic_get(tactic, "rows", 1), hone_tactic_get(tactic, "split", 1));
    double lanes = d.isa->lanes, padded = ceil((double)d.line / lanes) * lanes, channels = (double)min_of(d.channels, d.conv.cout);
    double copied = (double)d.image_floats * (d.conv.window.stride[2] > 1 ? 0.4 : 0.15) * (d.image_floats > 200000 ? 2 : 1);
    // Weights beyond the level 2 cache come from memory again for each task.
    double weights = channels * (double)d.conv.depth * (channels * (double)d.conv.depth > 200000 ? 0.25 : 0.02);
    double sums = 2 * padded * channels * (double)d.conv.depth / 100, out = channels * (double)d.line * (0.3 + 0.15 * problem->n_steps);
    return hone_cpu_rounds_ns((double)(d.conv.images * d.conv.groups * d.row_blocks * d.split), copied + weights + sums + out + 50, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    direct probe = {.rows = 0};
    hone_status status = set_up(&job->problem, &probe);
    if (status != HONE_OK) return status;
    direct *d = hone_alloc(sizeof *d + sizeof *d->offsets * (size_t)probe.conv.depth);
    if (!d) return HONE_NO_MEMORY;
    *d = probe;
    set_parameters(d, hone_tactic_get(&job->tactic, "rows", 1), hone_tactic_get(&job->tactic, "split", 1));
    fill_offsets(d);
    job->state = d;
    job->workspace_bytes = sizeof(float) * (size_t)(d->scratch_floats * job->threads);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_conv_direct = {
    .name = "conv_direct", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
