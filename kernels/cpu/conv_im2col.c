// SPDX-License-Identifier: Apache-2.0
// conv_im2col: convolution over one to three spatial axes, in nchw or nhwc, as matrix products by OpenBLAS. A task takes some output
// positions of one image and group, lays what their windows cover side by side (not needed where a window is one position), and
// multiplies: nchw  out[o][positions] = w[o][depth] * columns[depth][positions],
//             nhwc  out[positions][o] = rows[positions][depth] * w[o][depth] transposed.
//
// positions   of a task
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/conv.h"
#include "kernels/openblas.h"

enum { SCRATCH_MAX = 8 << 20 };        // floats of a thread

typedef struct im2col {
    hone_cpu_conv conv;
    bool is_nhwc;
    int64_t positions, blocks;         // of a task; tasks of a plane
    int64_t scratch_floats;
} im2col;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

// columns[c * taps + tap][position] in nchw.
static void gather_columns(const im2col *m, const float *x, int64_t first, int64_t n, float *to)
{
    const hone_window *w = &m->conv.window;
    int64_t plane = hone_window_in(w);
    for (int64_t tap = 0; tap < m->conv.taps; tap++)
        for (int64_t k = 0; k < n;) {
            // Neighbours of one output row with stride 1 are neighbours in the input, as long as they stay inside it.
            int64_t from = hone_window_source(w, first + k, tap), run = 1;
            int64_t row_left = min_of(n - k, w->out[2] - (first + k) % w->out[2]);
            if (w->stride[2] == 1 && from >= 0) run = min_of(row_left, w->in[2] - from % w->in[2]);
            for (int64_t c = 0; c < m->conv.cin; c++) {
                float *column = to + (c * m->conv.taps + tap) * n + k;
                if (from < 0) column[0] = 0;
                else if (run == 1) column[0] = x[c * plane + from];
                else memcpy(column, x + c * plane + from, sizeof *column * (size_t)run);
            }
            k += run;
        }
}

// rows[position][tap * channels + c] in nhwc; all_channels: of the image.
static void gather_rows(const im2col *m, const float *x, int64_t all_channels, int64_t first, int64_t n, float *to)
{
    size_t size = sizeof *to * (size_t)m->conv.cin;
    for (int64_t k = 0; k < n; k++)
        for (int64_t tap = 0; tap < m->conv.taps; tap++, to += m->conv.cin) {
            int64_t from = hone_window_source(&m->conv.window, first + k, tap);
            if (from < 0) memset(to, 0, size);
            else memcpy(to, x + from * all_channels, size);
        }
}

typedef struct task {
    const hone_cpu_call *call;
    const im2col *m;
    int64_t image, group, first, n;
    float *scratch;
} task;

static void add_bias(float *values, int64_t n, const float *bias, bool is_same)
{
    if (!bias) return;
    if (is_same) for (int64_t k = 0; k < n; k++) values[k] += bias[0];
    else for (int64_t k = 0; k < n; k++) values[k] += bias[k];
}

static void run_nchw(const task *t)
{
    const hone_cpu_job *job = t->call->job;
    const hone_cpu_conv *conv = &t->m->conv;
    int64_t plane = hone_window_in(&conv->window), positions = hone_window_out(&conv->window), o = t->group * conv->cout;
    const float *x = hone_cpu_operand(t->call, conv->x) + (t->image * conv->groups + t->group) * conv->cin * plane;
    const float *w = hone_cpu_operand(t->call, conv->w) + o * conv->depth, *bias = hone_cpu_operand(t->call, conv->b);
    int64_t start = (t->image * conv->groups * conv->cout + o) * positions + t->first;
    float *out = (float *)t->call->outputs[0] + start;
    if (!conv->is_pointwise) gather_columns(t->m, x, t->first, t->n, t->scratch);
    hone_openblas_sgemm(false, false, conv->cout, t->n, conv->depth, 1, w, conv->depth, conv->is_pointwise ? x + t->first : t->scratch,
                        conv->is_pointwise ? plane : t->n, 0, out, positions);
    for (int64_t c = 0; c < conv->cout; c++) {
        add_bias(out + c * positions, t->n, bias ? bias + o + c : NULL, true);
        hone_cpu_tail_run(&job->tail, &job->problem, t->call->operands, out + c * positions, start + c * positions, t->n);
    }
}

static void run_nhwc(const task *t)
{
    const hone_cpu_job *job = t->call->job;
    const hone_cpu_conv *conv = &t->m->conv;
    int64_t plane = hone_window_in(&conv->window), positions = hone_window_out(&conv->window), o = t->group * conv->cout;
    int64_t channels_in = conv->groups * conv->cin, channels = conv->groups * conv->cout;
    const float *x = hone_cpu_operand(t->call, conv->x) + t->image * plane * channels_in + t->group * conv->cin;
    const float *w = hone_cpu_operand(t->call, conv->w) + o * conv->depth, *bias = hone_cpu_operand(t->call, conv->b);
    int64_t start = (t->image * positions + t->first) * channels + o;
    float *out = (float *)t->call->outputs[0] + start;
    if (!conv->is_pointwise) gather_rows(t->m, x, channels_in, t->first, t->n, t->scratch);
    hone_openblas_sgemm(false, true, t->n, conv->cout, conv->depth, 1, conv->is_pointwise ? x + t->first * channels_in : t->scratch,
                        conv->is_pointwise ? channels_in : conv->depth, w, conv->depth, 0, out, channels);
    for (int64_t k = 0; k < t->n; k++) {
        add_bias(out + k * channels, conv->cout, bias ? bias + o : NULL, false);
        hone_cpu_tail_run(&job->tail, &job->problem, t->call->operands, out + k * channels, start + k * channels, conv->cout);
    }
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const im2col *m = call->job->state;
    int64_t positions = hone_window_out(&m->conv.window);
    for (int64_t item = begin; item < end; item++) {
        task t = {.call = call, .m = m, .group = item / m->blocks % m->conv.groups, .image = item / m->blocks / m->conv.groups,
                  .first = item % m->blocks * m->positions, .scratch = (float *)call->workspace + worker * m->scratch_floats};
        t.n = min_of(m->positions, positions - t.first);
        if (m->is_nhwc) run_nhwc(&t);
        else run_nchw(&t);
    }
}

static void run(const hone_cpu_call *call)
{
    const im2col *m = call->job->state;
    hone_parallel(m->conv.images * m->conv.groups * m->blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status set_up(const hone_problem *problem, im2col *m)
{
    *m = (im2col){.is_nhwc = problem->out[0].layout == HONE_NHWC};
    hone_status status = hone_cpu_conv_init(problem, &m->conv);
    if (status != HONE_OK) return status;
    if (!hone_cpu_conv_lies(problem, problem->out[0].layout)) return hone_fail(HONE_DECLINED, "conv_im2col keeps the layout");
    if (m->conv.depth < 8 || m->conv.cout < 4)
        return hone_fail(HONE_DECLINED, "matrix products of %lld x %lld a group do not pay", (long long)m->conv.cout, (long long)m->conv.depth);
    return HONE_OK;
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    im2col m;
    int64_t sizes[4], n = 0;
    hone_status status = hone_cpu_offer(problem, "conv", &tail);
    if (status == HONE_OK) status = set_up(problem, &m);
    if (status != HONE_OK) return status;
    int64_t positions = hone_window_out(&m.conv.window);
    for (int64_t size = 64; !n || (size < positions * 4 && n < 4); size *= 4) {
        if (!m.conv.is_pointwise && n && min_of(size, positions) * m.conv.depth > SCRATCH_MAX) break;
        sizes[n++] = min_of(size, positions);
    }
    (void)threads;
    hone_cpu_range(subspace, "positions", (int)n, sizes);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    im2col m;
    if (set_up(problem, &m) != HONE_OK) return 0;
    int64_t positions = hone_window_out(&m.conv.window);
    double n = (double)min_of(hone_tactic_get(tactic, "positions", 64), positions), depth = (double)m.conv.depth, cout = (double)m.conv.cout;
    double each = 2 * n * depth * cout / 85 + (m.conv.is_pointwise ? 0 : 1.5 * n * depth) + n * cout * 0.3 + 1e3;
    double weights = depth * cout > 200000 ? depth * cout * 0.25 : 0;
    return hone_cpu_rounds_ns(ceil((double)positions / n) * (double)(m.conv.images * m.conv.groups), each + weights, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    im2col *m = hone_calloc(1, sizeof *m);
    if (!m) return HONE_NO_MEMORY;
    job->state = m;
    hone_status status = set_up(&job->problem, m);
    if (status != HONE_OK) return status;
    int64_t positions = hone_window_out(&m->conv.window);
    m->positions = min_of(hone_tactic_get(&job->tactic, "positions", 64), positions);
    m->blocks = (positions + m->positions - 1) / m->positions;
    if (!m->conv.is_pointwise) m->scratch_floats = (m->positions * m->conv.depth + 63) & ~(int64_t)63;
    job->workspace_bytes = sizeof(float) * (size_t)(m->scratch_floats * job->threads);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_conv_im2col = {
    .name = "conv_im2col", .version = 1, .needs_blas = true, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
