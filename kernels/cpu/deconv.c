// SPDX-License-Identifier: Apache-2.0
// deconv: transposed convolution over one or two spatial axes in nchw, without atomic or scattered sums. With stride s, output rows and
// columns fall into s x s phases; each phase is a plain convolution of stride 1 with the taps that land on it. A task copies the input
// rows that its outputs need, padded, once; for each phase register tiles sum the taps straight from that copy, and their line is
// spread over every s-th output column. Weights are laid out by phase before the tasks start.
//
// rows   rows of a phase that a task works on
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"
#include "kernels/window.h"

enum { SLACK = 64, SCRATCH_MAX = 4 << 20 };

typedef struct phase {
    int64_t depth;                 // cin * taps of the phase
    int64_t weights;               // where its weights begin in the workspace: cout rows of depth
    int64_t offsets;               // where its offsets begin
} phase;

typedef struct deconv {
    hone_window window;            // in: the small side
    const hone_cpu_isa *isa;
    int x, w, b;
    int64_t images, groups, cin, cout, taps;
    int64_t rows, row_blocks;      // rows of each phase in a task; tasks of an image
    int64_t width;                 // positions along a phase's row
    int64_t before[2], pitch, height;      // the copy: input rows and columns before the first needed, row length, rows
    int64_t line;
    int64_t image_floats, sums_floats, scratch_floats, weight_floats;
    int64_t phases;
    phase *phase_table;            // behind the struct
    int32_t *offsets;
} deconv;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// Output row y of phase p = (y + begin) % s; it reads input row (y + begin - tap * dilation) / s for the taps with the same remainder.
static bool lands(const hone_window *w, int axis, int64_t p, int64_t tap)
{
    return tap * w->dilation[axis] % w->stride[axis] == p;
}

// Input rows are counted from that of the phase's own row r = (y + begin - p) / s: tap reads row r - shift.
static int64_t shift_of(const hone_window *w, int axis, int64_t tap)
{
    return tap * w->dilation[axis] / w->stride[axis];
}

static void measure(deconv *d)
{
    const hone_window *w = &d->window;
    d->before[0] = shift_of(w, 1, w->kernel[1] - 1), d->before[1] = shift_of(w, 2, w->kernel[2] - 1);
    d->width = floor_div(w->out[2] - 1 + w->begin[2], w->stride[2]) + 1;
    int64_t height = floor_div(w->out[1] - 1 + w->begin[1], w->stride[1]) + 1;
    d->rows = min_of(d->rows, height);
    d->row_blocks = (height + d->rows - 1) / d->rows;
    d->pitch = d->width + d->before[1];
    d->height = d->rows + d->before[0];
    d->line = (d->rows - 1) * d->pitch + d->width;
    d->image_floats = d->cin * d->height * d->pitch + SLACK;
    d->sums_floats = w->stride[2] * d->isa->rows * (d->line + SLACK);
    d->scratch_floats = (d->image_floats + d->sums_floats + 63) & ~(int64_t)63;
    d->weight_floats = (d->groups * d->cin * d->taps * d->cout + 63) & ~(int64_t)63;
    d->phases = w->stride[1] * w->stride[2];
}

static void fill_phases(deconv *d)
{
    const hone_window *w = &d->window;
    int64_t weights = 0, offsets = 0;
    for (int64_t p = 0; p < d->phases; p++) {
        phase *to = &d->phase_table[p];
        *to = (phase){.weights = weights, .offsets = offsets};
        for (int64_t c = 0; c < d->cin; c++)
            for (int64_t tap = 0; tap < d->taps; tap++) {
                int64_t ky = tap / w->kernel[2], kx = tap % w->kernel[2];
                if (!lands(w, 1, p / w->stride[2], ky) || !lands(w, 2, p % w->stride[2], kx)) continue;
                int64_t row = d->before[0] - shift_of(w, 1, ky), column = d->before[1] - shift_of(w, 2, kx);
                d->offsets[offsets++] = (int32_t)((c * d->height + row) * d->pitch + column);
            }
        to->depth = offsets - to->offsets;
        weights += to->depth * d->cout;
    }
}

// From (c, o, tap) to phase, (o, c and the phase's taps), for each group.
static void lay_weights(const deconv *d, const float *w, float *to)
{
    const hone_window *win = &d->window;
    for (int64_t g = 0; g < d->groups; g++, w += d->cin * d->cout * d->taps)
        for (int64_t p = 0; p < d->phases; p++)
            for (int64_t o = 0; o < d->cout; o++)
                for (int64_t c = 0; c < d->cin; c++)
                    for (int64_t tap = 0; tap < d->taps; tap++)
                        if (lands(win, 1, p / win->stride[2], tap / win->kernel[2]) && lands(win, 2, p % win->stride[2], tap % win->kernel[2]))
                            *to++ = w[(c * d->cout + o) * d->taps + tap];
}

// Input rows first - before .. first - before + height of every channel, zeros outside.
static void copy_image(const deconv *d, const float *x, int64_t first, float *to)
{
    const hone_window *w = &d->window;
    int64_t n = min_of(w->in[2], d->pitch - d->before[1]);
    for (int64_t c = 0; c < d->cin; c++, x += w->in[1] * w->in[2])
        for (int64_t r = 0; r < d->height; r++, to += d->pitch) {
            int64_t y = first + r - d->before[0];
            memset(to, 0, sizeof *to * (size_t)d->pitch);
            if (y >= 0 && y < w->in[1]) memcpy(to + d->before[1], x + y * w->in[2], sizeof *to * (size_t)n);
        }
    memset(to, 0, sizeof *to * SLACK);
}

typedef struct task {
    const hone_cpu_call *call;
    const deconv *d;
    int64_t image, group, first;   // first row of the phases
    float *copy, *sums;
} task;

// The line of one phase for `rows` channels.
static void run_phase(const task *t, int64_t p, int64_t channel, int rows, float *sums)
{
    const deconv *d = t->d;
    const phase *ph = &d->phase_table[p];
    const float *bias = hone_cpu_operand(t->call, d->b);
    int64_t o = t->group * d->cout + channel;
    hone_cpu_tile tile = {.rows = rows, .k = ph->depth, .a_row = ph->depth, .a_step = 1, .offsets = d->offsets + ph->offsets,
                          .c_row = d->line + SLACK, .start = bias ? HONE_CPU_ROWS : HONE_CPU_ZERO, .bias = bias ? bias + o : NULL};
    tile.a = (const float *)t->call->workspace + t->group * d->cin * d->taps * d->cout + ph->weights + channel * ph->depth;
    for (int64_t q = 0; q < d->line; q += 3 * d->isa->lanes) {
        tile.vectors = (int)(min_of(d->line - q, 3 * d->isa->lanes) + d->isa->lanes - 1) / d->isa->lanes;
        tile.b = t->copy + q, tile.c = sums + q;
        d->isa->tile(&tile);
    }
}

// One output row from a row of each column phase; lines[x phase * step]. Padded column k * stride + phase is output column less begin.
static void spread_row(const hone_window *w, int64_t width, const float *lines, int64_t step, float *to)
{
    int64_t stride = w->stride[2], begin = w->begin[2];
    if (stride == 2 && begin == 0 && w->out[2] == 2 * width) {
        const float *even = lines, *odd = lines + step;
        for (int64_t k = 0; k < width; k++) to[2 * k] = even[k], to[2 * k + 1] = odd[k];
        return;
    }
    for (int64_t p = 0; p < stride; p++) {
        int64_t first = p - begin, skip = first < 0 ? (-first + stride - 1) / stride : 0;
        for (int64_t k = skip, x = first + skip * stride; k < width && x < w->out[2]; k++, x += stride) to[x] = lines[p * step + k];
    }
}

// Output rows of one row phase, all columns.
static void spread_rows(const task *t, int64_t row_phase, int64_t channel, int rows)
{
    const deconv *d = t->d;
    const hone_window *w = &d->window;
    int64_t row_step = d->line + SLACK, plane = w->out[1] * w->out[2];
    float *out = (float *)t->call->outputs[0] + (t->image * d->groups * d->cout + t->group * d->cout + channel) * plane;
    for (int i = 0; i < rows; i++)
        for (int64_t r = 0; r < d->rows; r++) {
            int64_t y = (t->first + r) * w->stride[1] + row_phase - w->begin[1];
            if (y < 0 || y >= w->out[1]) continue;
            spread_row(w, d->width, t->sums + i * row_step + r * d->pitch, d->isa->rows * row_step, out + i * plane + y * w->out[2]);
        }
}

static void run_channels(const task *t, int64_t channel, int rows)
{
    const deconv *d = t->d;
    const hone_window *w = &d->window;
    const hone_cpu_job *job = t->call->job;
    for (int64_t p = 0; p < d->phases; p++) {
        int64_t column = p % w->stride[2];
        run_phase(t, p, channel, rows, t->sums + column * d->isa->rows * (d->line + SLACK));
        if (column == w->stride[2] - 1) spread_rows(t, p / w->stride[2], channel, rows);
    }
    int64_t first = t->first * w->stride[1] - w->begin[1], last = min_of(first + d->rows * w->stride[1], w->out[1]);
    if (first < 0) first = 0;
    for (int i = 0; i < rows && first < last; i++) {
        int64_t start = ((t->image * d->groups * d->cout + t->group * d->cout + channel + i) * w->out[1] + first) * w->out[2];
        hone_cpu_tail_run(&job->tail, &job->problem, t->call->operands, (float *)t->call->outputs[0] + start, start,
                          (last - first) * w->out[2]);
    }
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const deconv *d = call->job->state;
    task t = {.call = call, .d = d, .copy = (float *)call->workspace + d->weight_floats + worker * d->scratch_floats};
    t.sums = t.copy + d->image_floats;
    for (int64_t item = begin; item < end; item++) {
        t.first = item % d->row_blocks * d->rows;
        t.group = item / d->row_blocks % d->groups, t.image = item / d->row_blocks / d->groups;
        int64_t plane = d->window.in[1] * d->window.in[2];
        copy_image(d, hone_cpu_operand(call, d->x) + (t.image * d->groups + t.group) * d->cin * plane, t.first, t.copy);
        for (int64_t channel = 0; channel < d->cout;) {
            int rows = d->isa->rows;
            while (rows > d->cout - channel) rows /= 2;
            run_channels(&t, channel, rows);
            channel += rows;
        }
    }
}

static void run(const hone_cpu_call *call)
{
    const deconv *d = call->job->state;
    lay_weights(d, hone_cpu_operand(call, d->w), call->workspace);
    hone_parallel(d->images * d->groups * d->row_blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status set_up(const hone_problem *problem, deconv *d)
{
    const hone_call *call = &problem->steps[0].call;
    *d = (deconv){.isa = hone_cpu_isa_get(), .x = hone_cpu_input(problem, 0), .w = hone_cpu_input(problem, 1), .b = hone_cpu_input(problem, 2)};
    const hone_tensor *x = &problem->operands[d->x], *w = &problem->operands[d->w];
    hone_status status = hone_window_init_transposed(call, x, w->dims + 2, &d->window);
    if (status != HONE_OK) return status;
    if (d->window.rank > 2 || x->layout != HONE_ROW || w->layout != HONE_ROW || problem->out[0].layout != HONE_ROW)
        return hone_fail(HONE_DECLINED, "deconv works over one or two spatial axes in nchw");
    if (d->window.begin[1] < 0 || d->window.begin[2] < 0) return hone_fail(HONE_DECLINED, "negative padding");
    d->images = x->dims[0], d->groups = hone_call_int(call, "group");
    d->cin = x->dims[1] / d->groups, d->cout = w->dims[1], d->taps = hone_window_taps(&d->window);
    return HONE_OK;
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    deconv d;
    int64_t rows[4], n = 0;
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "convtranspose", &tail);
    if (status == HONE_OK) status = set_up(problem, &d);
    if (status != HONE_OK) return status;
    for (int64_t r = 1; r < d.window.in[1] * 4 && n < 4; r *= 4) {
        d.rows = r;
        measure(&d);
        if (d.scratch_floats > SCRATCH_MAX) break;
        rows[n++] = r;
    }
    if (!n) return hone_fail(HONE_DECLINED, "one row of all channels is more than deconv keeps");
    hone_cpu_range(subspace, "rows", (int)n, rows);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    deconv d;
    if (set_up(problem, &d) != HONE_OK) return 0;
    d.rows = hone_tactic_get(tactic, "rows", 1);
    measure(&d);
    double lanes = d.isa->lanes, padded = ceil((double)d.line / lanes) * lanes, channels = (double)d.cout;
    double sums = 2 * padded * channels * (double)(d.cin * d.taps) / 80, spread = padded * channels * (double)d.phases * 0.6;
    double each = sums + spread + (double)d.image_floats * 0.2 + 200;
    return (double)d.weight_floats + hone_cpu_rounds_ns((double)(d.images * d.groups * d.row_blocks), each, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    deconv known;
    hone_status status = set_up(&job->problem, &known);
    if (status != HONE_OK) return status;
    known.rows = hone_tactic_get(&job->tactic, "rows", 1);
    measure(&known);
    size_t tables = sizeof(phase) * (size_t)known.phases + sizeof(int32_t) * (size_t)(known.cin * known.taps);
    deconv *d = hone_alloc(sizeof *d + tables);
    if (!d) return HONE_NO_MEMORY;
    *d = known;
    d->phase_table = (phase *)(d + 1);
    d->offsets = (int32_t *)(d->phase_table + d->phases);
    fill_phases(d);
    job->state = d;
    job->workspace_bytes = sizeof(float) * (size_t)(d->weight_floats + d->scratch_floats * job->threads);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_deconv = {
    .name = "deconv", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
