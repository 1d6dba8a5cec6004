// SPDX-License-Identifier: Apache-2.0
// The references of convolutions, products, attention and poolings against loops written straight from their definitions, and against
// each other: a transposed convolution is the adjoint of the plain one, attention is made of products and softmax.
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "kernels/problem.h"

typedef struct values {
    hone_problem problem;
    hone_array in[HONE_OPERANDS_MAX], out[HONE_OUTPUTS_MAX];
} values;

static void values_open(values *v, const char *spelling, int threads)
{
    *v = (values){.problem = {0}};
    if (hone_problem_parse(spelling, &v->problem)) fail_msg("%s", hone_error_text());
    for (int k = 0; k < v->problem.n_operands; k++) assert_int_equal(hone_problem_draw(&v->problem, k, 11, &v->in[k], 1), HONE_OK);
    if (hone_problem_reference(&v->problem, v->in, v->out, threads)) fail_msg("%s: %s", spelling, hone_error_text());
}

static void values_close(values *v)
{
    for (int k = 0; k < v->problem.n_operands; k++) hone_array_clear(&v->in[k]);
    for (int k = 0; k < v->problem.n_out; k++) hone_array_clear(&v->out[k]);
}

static void assert_near(double a, double b)
{
    if (fabs(a - b) > 1e-9 * (1 + fabs(b))) fail_msg("%.17g is not near %.17g", a, b);
}

// ---- convolution

typedef struct conv2 {
    int64_t n, groups, cin, cout, h, w, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
} conv2;

static int64_t pick(uint64_t *at, int64_t low, int64_t high)
{
    return low + (int64_t)(hone_rng_bits(5, 1, (*at)++) % (uint64_t)(high - low + 1));
}

static conv2 draw_conv(uint64_t *at)
{
    conv2 c = {.n = pick(at, 1, 2), .groups = pick(at, 1, 3), .cin = pick(at, 1, 4), .cout = pick(at, 1, 4)};
    c.kh = pick(at, 1, 3), c.kw = pick(at, 1, 4), c.sh = pick(at, 1, 3), c.sw = pick(at, 1, 2), c.dh = pick(at, 1, 2), c.dw = pick(at, 1, 2);
    c.h = pick(at, (c.kh - 1) * c.dh + 1, 12), c.w = pick(at, (c.kw - 1) * c.dw + 1, 12);
    c.pt = pick(at, 0, 2), c.pl = pick(at, 0, 2), c.pb = pick(at, 0, 2), c.pr = pick(at, 0, 2);
    return c;
}

static double conv_at(const conv2 *c, const values *v, int64_t n, int64_t o, int64_t y, int64_t x)
{
    double sum = v->in[2].f[o];
    int64_t g = o / c->cout;
    for (int64_t i = 0; i < c->cin; i++)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++) {
                int64_t at_y = y * c->sh - c->pt + ky * c->dh, at_x = x * c->sw - c->pl + kx * c->dw;
                if (at_y < 0 || at_y >= c->h || at_x < 0 || at_x >= c->w) continue;
                sum += v->in[0].f[((n * c->groups * c->cin + g * c->cin + i) * c->h + at_y) * c->w + at_x] *
                       v->in[1].f[((o * c->cin + i) * c->kh + ky) * c->kw + kx];
            }
    return sum;
}

static void spell_conv(const conv2 *c, char *text, size_t capacity)
{
    snprintf(text, capacity, "conv x=f32:%lldx%lldx%lldx%lld w=f32:%lldx%lldx%lldx%lld b=f32:%lld stride=%lld,%lld pad=%lld,%lld,%lld,%lld "
             "dilation=%lld,%lld group=%lld", (long long)c->n, (long long)(c->groups * c->cin), (long long)c->h, (long long)c->w,
             (long long)(c->groups * c->cout), (long long)c->cin, (long long)c->kh, (long long)c->kw, (long long)(c->groups * c->cout),
             (long long)c->sh, (long long)c->sw, (long long)c->pt, (long long)c->pl, (long long)c->pb, (long long)c->pr,
             (long long)c->dh, (long long)c->dw, (long long)c->groups);
}

static void conv_is_its_definition(void **state)
{
    (void)state;
    char text[512];
    uint64_t at = 0;
    for (int round = 0; round < 60; round++) {
        conv2 c = draw_conv(&at);
        values v;
        spell_conv(&c, text, sizeof text);
        values_open(&v, text, 1 + round % 3);
        const int64_t *d = v.out[0].tensor.dims;
        int64_t k = 0;
        for (int64_t n = 0; n < d[0]; n++)
            for (int64_t o = 0; o < d[1]; o++)
                for (int64_t y = 0; y < d[2]; y++)
                    for (int64_t x = 0; x < d[3]; x++) assert_near(v.out[0].f[k++], conv_at(&c, &v, n, o, y, x));
        values_close(&v);
    }
}

// <conv(x, w), y> = <x, convtranspose(y, w)> for random y: with output_pad where the stride drops input rows.
static void convtranspose_is_the_adjoint(void **state)
{
    (void)state;
    char text[512];
    uint64_t at = 1000;
    for (int round = 0; round < 60; round++) {
        conv2 c = draw_conv(&at);
        values v, t;
        double left = 0, right = 0;
        spell_conv(&c, text, sizeof text);
        values_open(&v, text, 1);
        const int64_t *d = v.out[0].tensor.dims;
        int64_t lost_y = (c.h + c.pt + c.pb - (c.kh - 1) * c.dh - 1) % c.sh, lost_x = (c.w + c.pl + c.pr - (c.kw - 1) * c.dw - 1) % c.sw;
        snprintf(text, sizeof text, "convtranspose x=f32:%lldx%lldx%lldx%lld w=f32:%lldx%lldx%lldx%lld stride=%lld,%lld "
                 "pad=%lld,%lld,%lld,%lld dilation=%lld,%lld output_pad=%lld,%lld group=%lld", (long long)d[0], (long long)d[1],
                 (long long)d[2], (long long)d[3], (long long)d[1], (long long)c.cin, (long long)c.kh, (long long)c.kw, (long long)c.sh,
                 (long long)c.sw, (long long)c.pt, (long long)c.pl, (long long)c.pb, (long long)c.pr, (long long)c.dh, (long long)c.dw,
                 (long long)lost_y, (long long)lost_x, (long long)c.groups);
        values_open(&t, text, 2);
        assert_true(hone_tensor_same_dims(&t.out[0].tensor, &v.in[0].tensor));
        // The same weights in both; conv's bias is taken out again.
        memcpy(t.in[1].f, v.in[1].f, sizeof(double) * (size_t)hone_tensor_count(&v.in[1].tensor));
        hone_array_clear(&t.out[0]);
        assert_int_equal(hone_problem_reference(&t.problem, t.in, t.out, 1), HONE_OK);
        int64_t plane = d[2] * d[3];
        for (int64_t k = 0; k < hone_tensor_count(&v.out[0].tensor); k++)
            left += (v.out[0].f[k] - v.in[2].f[k / plane % d[1]]) * t.in[0].f[k];
        for (int64_t k = 0; k < hone_tensor_count(&v.in[0].tensor); k++) right += v.in[0].f[k] * t.out[0].f[k];
        // Outputs of problems are rounded to f32.
        if (fabs(left - right) > 1e-4 * (1 + fabs(left))) fail_msg("%s: %g is not %g", text, left, right);
        values_close(&v);
        values_close(&t);
    }
}

// ---- products

static void matmul_is_its_definition(void **state)
{
    (void)state;
    char text[256];
    uint64_t at = 5000;
    for (int round = 0; round < 40; round++) {
        int64_t m = pick(&at, 1, 20), n = pick(&at, 1, 20), k = pick(&at, 1, 40), batch = pick(&at, 1, 3), shared = pick(&at, 0, 1);
        int ta = (int)pick(&at, 0, 1), tb = (int)pick(&at, 0, 1);
        values v;
        snprintf(text, sizeof text, "matmul a=f32:%lldx%lldx%lld b=f32:%lldx%lldx%lld trans_a=%d trans_b=%d", (long long)batch,
                 (long long)(ta ? k : m), (long long)(ta ? m : k), (long long)(shared ? 1 : batch), (long long)(tb ? n : k),
                 (long long)(tb ? k : n), ta, tb);
        values_open(&v, text, 2);
        for (int64_t i = 0; i < batch * m * n; i++) {
            int64_t b = i / (m * n), row = i / n % m, column = i % n;
            double sum = 0;
            for (int64_t t = 0; t < k; t++)
                sum += v.in[0].f[b * m * k + (ta ? t * m + row : row * k + t)] *
                       v.in[1].f[(shared ? 0 : b) * k * n + (tb ? column * k + t : t * n + column)];
            assert_near(v.out[0].f[i], sum);
        }
        values_close(&v);
    }
}

static void attention_is_made_of_its_parts(void **state)
{
    (void)state;
    values v;
    values_open(&v, "attention q=f32:2x3x5x4 k=f32:2x3x7x4 v=f32:2x3x7x6 mask=f32:2x1x5x7 scale=0.5 heads=bhsd", 2);
    for (int64_t head = 0; head < 6; head++)
        for (int64_t s = 0; s < 5; s++) {
            double weights[7], sum = 0;
            for (int64_t t = 0; t < 7; t++) {
                double score = v.in[3].f[(head / 3 * 5 + s) * 7 + t];
                for (int64_t d = 0; d < 4; d++) score += 0.5 * v.in[0].f[(head * 5 + s) * 4 + d] * v.in[1].f[(head * 7 + t) * 4 + d];
                sum += weights[t] = exp(score);
            }
            for (int64_t d = 0; d < 6; d++) {
                double out = 0;
                for (int64_t t = 0; t < 7; t++) out += weights[t] / sum * v.in[2].f[(head * 7 + t) * 6 + d];
                assert_near(v.out[0].f[(head * 5 + s) * 6 + d], out);
            }
        }
    values_close(&v);
}

// ---- what all share

static const char *const singles[] = {
    "conv x=f32:2x6x10x13 w=f32:8x3x3x5 b=f32:8 stride=2 pad=1 group=2 | relu x=$0",
    "conv x=f32:1x3x5x6x7 w=f32:4x3x2x3x3 stride=1,2,1 pad=1,0,1,0,1,1",
    "conv x=f32:2x3x10x13 w=f32:4x3x3x5 b=f32:4 stride=2 pad=1 | maxpool x=$0 kernel=3,3 stride=2 pad=1",
    "conv x=f32:2x3x10x13 w=f32:4x3x3x3 pad=1 | tanh x=$0 | mul a=$0 b=$1 | maxpool x=$2 kernel=2,3 stride=2 pad=1,0 ceil=1 | neg x=$3",
    "matmul a=f32:2x1x9x17 b=f32:3x17x5 | add a=$0 b=f32:5 | tanh x=$1",
    "matmul a=f32:3x17x9 b=f32:5x17 trans_a=1 trans_b=1",
    "attention q=f32:2x5x4x6 k=f32:2x7x2x6 v=f32:2x7x2x3 mask=f32:5x7 scale=0.4",
};

static void single_outputs_equal_the_whole(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof singles / sizeof *singles; s++) {
        values v;
        int64_t index[500];
        double at[500];
        values_open(&v, singles[s], 1);
        int64_t count = hone_tensor_count(&v.out[0].tensor), n = count < 500 ? count : 500;
        for (int64_t k = 0; k < n; k++) index[k] = (k * 37) % count;
        if (hone_problem_reference_at(&v.problem, v.in, index, n, at, 2)) fail_msg("%s: %s", singles[s], hone_error_text());
        for (int64_t k = 0; k < n; k++) assert_near(at[k], v.out[0].f[index[k]]);
        values_close(&v);
    }
}

static const char *const many[] = {
    "conv x=f32:2x6x10x13 w=f32:8x3x3x5 b=f32:8 pad=1 group=2", "convtranspose x=f32:2x6x10x13 w=f32:6x3x3x5 stride=2",
    "matmul a=f32:2x40x17 b=f32:17x50", "maxpool x=f32:2x3x40x50 kernel=3,3 pad=1", "avgpool x=f32:2x3x40x50 kernel=3,3",
    "softmax x=f32:50x20 axis=0", "layernorm x=f32:50x20", "lrn x=f32:2x9x30x30 size=5", "batchnorm x=f32:9x9x5 scale=f32:9 b=f32:9 mean=f32:9 var=f32:9",
    "attention q=f32:2x50x4x6 k=f32:2x7x4x6 v=f32:2x7x4x3 scale=0.4", "instancenorm x=f32:9x9x30 scale=f32:9 b=f32:9",
};

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof many / sizeof *many; s++) {
        values one, three;
        values_open(&one, many[s], 1);
        values_open(&three, many[s], 3);
        assert_memory_equal(one.out[0].f, three.out[0].f, sizeof(double) * (size_t)hone_tensor_count(&one.out[0].tensor));
        values_close(&one);
        values_close(&three);
    }
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof many / sizeof *many; s++) {
        values v;
        values_open(&v, many[s], 2);
        for (uint64_t nth = 1; nth < 40; nth++) {
            hone_array out[HONE_OUTPUTS_MAX] = {0};
            hone_alloc_fail_at(nth, 0);
            hone_status status = hone_problem_reference(&v.problem, v.in, out, 2);
            hone_alloc_fail_at(0, 0);
            if (status == HONE_OK) assert_memory_equal(out[0].f, v.out[0].f, sizeof(double) * (size_t)hone_tensor_count(&v.out[0].tensor));
            else assert_int_equal(status, HONE_NO_MEMORY);
            for (int k = 0; k < v.problem.n_out; k++) hone_array_clear(&out[k]);
            if (status == HONE_OK) break;
        }
        values_close(&v);
    }
}

static const char *const misfits[] = {
    "conv x=f32:1x6x9x9 w=f32:8x3x3x3", "conv x=f32:1x6x9x9 w=f32:8x6x3x3 b=f32:7", "conv x=f32:1x6x2x2 w=f32:8x6x3x3",
    "conv x=f32:1x6x9x9 w=f32:8x6x3x3 stride=0", "conv x=f32:1x6x9x9 w=f32:8x6x3x3 dilation=4611686018427387904",
    "conv x=f32:1x6x9x9 w=f32:8x6x3x3 pad=9223372036854775807", "conv x=f32:1x6 w=f32:8x6", "conv x=i32:1x6x9x9 w=i32:8x6x3x3",
    "convtranspose x=f32:1x6x9x9 w=f32:5x6x3x3", "convtranspose x=f32:1x6x1x1 w=f32:6x6x1x1 pad=3",
    "maxpool x=f32:1x6x9x9 kernel=3", "maxpool x=f32:1x6x9x9 kernel=10,10", "avgpool x=i32:1x6x9x9 kernel=3,3",
    "matmul a=f32:5x6 b=f32:5x6", "matmul a=f32:2x5x6 b=f32:3x6x5", "matmul a=f32: b=f32:5", "matmul a=f32:5 b=f32:5 trans_a=1",
    "matmul a=f32:5x6 b=i32:6x5", "softmax x=f32:4x5 axis=2", "softmax x=i32:4x5", "layernorm x=f32:4x5 scale=f32:4",
    "batchnorm x=f32:4 scale=f32:4 b=f32:4 mean=f32:4 var=f32:4", "groupnorm x=f32:1x6x2 scale=f32:6 b=f32:6 groups=4",
    "attention q=f32:1x2x3x4 k=f32:1x2x3x5 v=f32:1x2x3x4 scale=1", "attention q=f32:1x2x3x4 k=f32:1x2x2x4 v=f32:1x2x2x4 scale=1",
    "attention q=f32:1x2x3x4 k=f32:1x2x3x4 v=f32:1x2x3x4 mask=f32:3x2 scale=1", "convinteger x=f32:1x6x9x9 w=i8:8x6x3x3",
    "quantizelinear x=f32:4x5 scale=f32:3", "dequantizelinear x=f32:4x5 scale=f32:", "maxunpool x=f32:1x1x2x2 indices=f32:1x1x2x2 kernel=2,2",
};

static void misfits_are_refused(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof misfits / sizeof *misfits; s++) {
        hone_problem problem;
        hone_status status = hone_problem_parse(misfits[s], &problem);
        if (status != HONE_USAGE) fail_msg("%s is taken: %d", misfits[s], status);
        assert_true(strlen(hone_error_text()) > 10);
    }
}

int test_ops_heavy(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_is_its_definition), cmocka_unit_test(convtranspose_is_the_adjoint), cmocka_unit_test(matmul_is_its_definition),
        cmocka_unit_test(attention_is_made_of_its_parts), cmocka_unit_test(single_outputs_equal_the_whole),
        cmocka_unit_test(threads_change_no_bit), cmocka_unit_test(survives_failing_allocations), cmocka_unit_test(misfits_are_refused),
    };
    return cmocka_run_group_tests_name("ops_heavy", tests, NULL, NULL);
}
