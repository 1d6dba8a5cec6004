// SPDX-License-Identifier: Apache-2.0
#include "kernels/window.h"

#include "kernels/window_priv.h"

#include "kernels/device_cpu.h"
#include <string.h>

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static hone_status fill(const hone_call *call, const hone_tensor *x, const int64_t *kernel, hone_window *window)
{
    int rank = x->rank - 2;
    *window = (hone_window){.rank = 0};
    if (rank < 1 || rank > 3)
        return hone_fail(HONE_USAGE, "%s: x needs 1 to 3 spatial dims, it has %d", call->op->name, rank);
    *window = (hone_window){.rank = rank, .in = {1, 1, 1}, .out = {1, 1, 1}, .kernel = {1, 1, 1}, .stride = {1, 1, 1},
                            .dilation = {1, 1, 1}};
    bool dilated = hone_op_attr_index(call->op, "dilation") >= 0;
    for (int k = 0, at = 3 - rank; k < rank; k++, at++) {
        window->in[at] = x->dims[k + 2];
        window->kernel[at] = kernel[k];
        window->stride[at] = hone_call_int_at(call, "stride", k);
        window->dilation[at] = dilated ? hone_call_int_at(call, "dilation", k) : 1;
        window->begin[at] = hone_call_int_at(call, "pad", k);
        window->end[at] = hone_call_int_at(call, "pad", k + rank);
        int64_t most = (int64_t)1 << 31;     // keeps the sums below from overflowing
        if (window->kernel[at] < 1 || window->stride[at] < 1 || window->dilation[at] < 1 || window->kernel[at] > most ||
            window->stride[at] > most || window->dilation[at] > most)
            return hone_fail(HONE_USAGE, "%s: kernel, stride and dilation must be positive and below 2^31", call->op->name);
        if (window->begin[at] < -most || window->begin[at] > most || window->end[at] < -most || window->end[at] > most)
            return hone_fail(HONE_USAGE, "%s: a padding is beyond 2^31", call->op->name);
    }
    return HONE_OK;
}

hone_status hone_window_init(const hone_call *call, const hone_tensor *x, const int64_t *kernel, bool ceil, hone_window *window)
{
    hone_status status = fill(call, x, kernel, window);
    for (int k = 3 - window->rank; status == HONE_OK && k < 3; k++) {
        int64_t span = window->dilation[k] * (window->kernel[k] - 1) + 1;
        int64_t room = window->in[k] + window->begin[k] + window->end[k] - span;
        if (room < 0)
            return hone_fail(HONE_USAGE, "%s: the window spans %lld, the padded input only %lld", call->op->name,
                             (long long)span, (long long)(room + span));
        window->out[k] = (ceil ? ceil_div(room, window->stride[k]) : room / window->stride[k]) + 1;
        // A window that begins behind the input and its front padding is dropped (ONNX since opset 19, PyTorch always).
        if (ceil && (window->out[k] - 1) * window->stride[k] >= window->in[k] + window->begin[k]) window->out[k]--;
    }
    return status;
}

hone_status hone_window_init_transposed(const hone_call *call, const hone_tensor *x, const int64_t *kernel, hone_window *window)
{
    hone_status status = fill(call, x, kernel, window);
    for (int k = 3 - window->rank; status == HONE_OK && k < 3; k++) {
        int64_t extra = hone_call_int_at(call, "output_pad", k - (3 - window->rank));
        window->out[k] = window->stride[k] * (window->in[k] - 1) + extra + window->dilation[k] * (window->kernel[k] - 1) + 1
                         - window->begin[k] - window->end[k];
        if (window->out[k] < 0) return hone_fail(HONE_USAGE, "%s: the padding leaves no output", call->op->name);
    }
    return status;
}

static int64_t product(const int64_t *values) { return values[0] * values[1] * values[2]; }

int64_t hone_window_taps(const hone_window *window) { return product(window->kernel); }
int64_t hone_window_in(const hone_window *window) { return product(window->in); }
int64_t hone_window_out(const hone_window *window) { return product(window->out); }

static void split(const int64_t *extents, int64_t flat, int64_t *place)
{
    place[2] = flat % extents[2];
    place[1] = flat / extents[2] % extents[1];
    place[0] = flat / extents[2] / extents[1];
}

static int64_t source(const hone_window *window, const int64_t *place, const int64_t *tap)
{
    int64_t flat = 0;
    for (int k = 0; k < 3; k++) {
        int64_t at = place[k] * window->stride[k] - window->begin[k] + tap[k] * window->dilation[k];
        if (at < 0 || at >= window->in[k]) return -1;
        flat = flat * window->in[k] + at;
    }
    return flat;
}

int64_t hone_window_source(const hone_window *window, int64_t at, int64_t tap)
{
    int64_t place[3], taps[3];
    split(window->out, at, place);
    split(window->kernel, tap, taps);
    return source(window, place, taps);
}

void hone_window_sources(const hone_window *window, int64_t at, int64_t *sources)
{
    int64_t place[3], tap[3];
    split(window->out, at, place);
    for (tap[0] = 0; tap[0] < window->kernel[0]; tap[0]++)
        for (tap[1] = 0; tap[1] < window->kernel[1]; tap[1]++)
            for (tap[2] = 0; tap[2] < window->kernel[2]; tap[2]++) *sources++ = source(window, place, tap);
}

#include "kernels/dots_body.h"

static double dot(const double *a, const double *b, int64_t k)
{
    lanes s0 = {0}, s1 = {0};
    int64_t j = 0;
    for (; j + 8 <= k; j += 8) {
        s0 += *(const lanes *)(a + j) * *(const lanes *)(b + j);
        s1 += *(const lanes *)(a + j + 4) * *(const lanes *)(b + j + 4);
    }
    double rest = 0;
    for (; j < k; j++) rest += a[j] * b[j];
    return total(&s0) + total(&s1) + rest;
}

void hone_dots(const double *rows, int64_t n_rows, const double *cols, int64_t n_cols, int64_t k, const double *bias,
               double *out, int64_t out_row, int64_t out_col)
{
    void (*four)(const double *, const double *, int64_t, double *) = strcmp(hone_cpu_arch(), "x86_64-sse") ? hone_dot4_avx2 : dot4;
    for (int64_t c = 0; c < n_cols; c++) {
        double add = bias ? bias[c] : 0, sums[4];
        int64_t r = 0;
        for (; r + 4 <= n_rows; r += 4) {
            four(rows + r * k, cols + c * k, k, sums);
            for (int i = 0; i < 4; i++) out[(r + i) * out_row + c * out_col] = sums[i] + add;
        }
        for (; r < n_rows; r++) out[r * out_row + c * out_col] = dot(rows + r * k, cols + c * k, k) + add;
    }
}
