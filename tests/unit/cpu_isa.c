// SPDX-License-Identifier: Apache-2.0
// Register tiles, lines and elementwise blocks of every instruction set that this machine can run, against plain loops.
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/cpu/isa.h"
#include "kernels/device_cpu.h"

static const hone_cpu_isa *isas[3];
static int n_isas;

static int find_isas(void **state)
{
    (void)state;
    n_isas = 0;
    isas[n_isas++] = &hone_cpu_isa_sse;
    if (strcmp(hone_cpu_arch(), "x86_64-sse")) isas[n_isas++] = &hone_cpu_isa_avx2;
    if (!strcmp(hone_cpu_arch(), "x86_64-avx512")) isas[n_isas++] = &hone_cpu_isa_avx512;
    return 0;
}

static float draw(uint64_t stream, uint64_t k) { return (float)hone_rng_normal(9, stream, k); }

enum { DEPTH_MAX = 40, WIDTH_MAX = 48, ROWS_MAX = 8, PITCH = 64 };

typedef struct operands {
    float a[ROWS_MAX * DEPTH_MAX], b[DEPTH_MAX * PITCH + WIDTH_MAX], c[ROWS_MAX * PITCH], bias[WIDTH_MAX];
    int32_t offsets[DEPTH_MAX];
} operands;

static void check_tile(const hone_cpu_isa *isa, hone_cpu_tile *tile, operands *o)
{
    float before[ROWS_MAX * PITCH];
    for (int k = 0; k < ROWS_MAX * PITCH; k++) before[k] = o->c[k] = draw(1, (uint64_t)k);
    isa->tile(tile);
    for (int i = 0; i < ROWS_MAX; i++)
        for (int j = 0; j < PITCH; j++) {
            float out = o->c[i * PITCH + j];
            if (i >= tile->rows || j >= tile->vectors * isa->lanes) {
                assert_memory_equal(&out, &before[i * PITCH + j], 4);
                continue;
            }
            double start[] = {0, before[i * PITCH + j], o->bias[i], o->bias[j]}, sum = start[tile->start];
            for (int64_t k = 0; k < tile->k; k++) sum += (double)o->a[i * tile->a_row + k * tile->a_step] * o->b[o->offsets[k] + j];
            if (fabs(sum - out) > 1e-5 * (1 + fabs(sum))) fail_msg("%s %dx%d: %g is not %g", isa->arch, tile->rows, tile->vectors, out, sum);
        }
}

static void tiles_are_sums_of_products(void **state)
{
    (void)state;
    static operands o;
    for (size_t k = 0; k < sizeof o.a / 4; k++) o.a[k] = draw(2, k);
    for (size_t k = 0; k < sizeof o.b / 4; k++) o.b[k] = draw(3, k);
    for (size_t k = 0; k < sizeof o.bias / 4; k++) o.bias[k] = draw(4, k);
    for (int k = 0; k < DEPTH_MAX; k++) o.offsets[k] = (int32_t)(hone_rng_bits(9, 5, (uint64_t)k) % (DEPTH_MAX * PITCH));
    for (int s = 0; s < n_isas; s++)
        for (int rows = 1; rows <= isas[s]->rows; rows *= 2)
            for (int vectors = 1; vectors <= 3; vectors++)
                for (int start = HONE_CPU_ZERO; start <= HONE_CPU_COLUMNS; start++)
                    for (int turned = 0; turned < 2; turned++)
                        for (int64_t depth = 0; depth <= DEPTH_MAX; depth = depth * 3 + 1) {
                            hone_cpu_tile tile = {rows, vectors, depth, o.a, turned ? 1 : DEPTH_MAX, turned ? ROWS_MAX : 1, o.b,
                                                  o.offsets, o.c, PITCH, (hone_cpu_start)start, o.bias};
                            check_tile(isas[s], &tile, &o);
                        }
}

static void lines_agree_with_loops(void **state)
{
    (void)state;
    float x[203], y[203], out[203];
    for (int k = 0; k < 203; k++) x[k] = draw(6, (uint64_t)k), y[k] = draw(7, (uint64_t)k);
    for (int s = 0; s < n_isas; s++)
        for (int n = 1; n <= 203; n += n < 40 ? 1 : 27) {
            double sum = 0, dot = 0, top = x[0], exps = 0;
            for (int k = 0; k < n; k++) sum += x[k], dot += (double)x[k] * y[k], top = fmax(top, x[k]), exps += exp(x[k] - 1.5);
            assert_true(fabs(isas[s]->sum(x, n) - sum) < 1e-4);
            assert_true(fabs(isas[s]->dot(x, y, n) - dot) < 1e-4);
            assert_true(isas[s]->max(x, n) == (float)top);
            memcpy(out, x, sizeof out);
            assert_true(fabs(isas[s]->exp_sum(out, n, 1.5f) - exps) < 1e-5 * (1 + exps));
            for (int k = 0; k < 203; k++) assert_true(fabs(out[k] - (k < n ? exp(x[k] - 1.5) : x[k])) < 1e-6 * (1 + fabs(out[k])));
            isas[s]->normalise(out, x, n, 0.25f, 2, y, x);
            for (int k = 0; k < n; k++) assert_true(fabs(out[k] - ((x[k] - 0.25) * 2 * y[k] + x[k])) < 1e-5);
            memcpy(out, x, sizeof out);
            isas[s]->multiply_add(out, y, y, n);
            for (int k = 0; k < n; k++) assert_true(fabs(out[k] - (x[k] + (double)y[k] * y[k])) < 1e-5);
        }
}

// ---- blocks against the ops' own references, over their whole domains and special values

static void make_values(float *x, int n, float low, float high)
{
    static const float special[] = {0, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, 1e-38f, 1e-42f, -1e-42f, 88.7f, 89.5f, -87, -103, -110, 3.4e38f};
    for (int k = 0; k < n; k++) x[k] = low + (high - low) * (float)k / (float)n;
    memcpy(x, special, sizeof special);
}

static int is_close(double out, double reference)
{
    if (isnan(reference) || isnan(out)) return isnan(reference) && isnan(out);
    if (isinf(reference)) return out == reference || fabs(out) > 3.3e38;
    return fabs(out - reference) <= 2e-6 * fabs(reference) + 2e-7;
}

static void check_block(const hone_cpu_isa *isa, const hone_cpu_named_block *named, int step_a, int step_b)
{
    enum { N = 1000 };
    static float x[N], y[N], out[N];
    hone_call call;
    const hone_op *op = hone_op_find(named->name);
    assert_non_null(op);
    int n_in = hone_op_input_count(op, NULL);
    if (n_in > 2) return;
    assert_int_equal(hone_call_init(&call, named->name, n_in), HONE_OK);
    make_values(x, N, -12, 12);
    for (int k = 0; k < N; k++) y[k] = draw(8, (uint64_t)k);
    hone_cpu_block_args args = {.call = &call, .out = out, .in = {x, y}, .step = {step_a, step_b}, .n = N - 3, .in_dtype = HONE_F32,
                                .is_out_float = true};
    named->block(&args);
    for (int k = 0; k < args.n; k++) {
        hone_scalar in[2] = {{x[k * step_a], 0}, {y[k * step_b], 0}};
        double reference = (float)op->scalar(&call, in, HONE_F32).f;
        if (!strcmp(op->name, "pow") && fabs(reference) > 1e30) continue;
        if (isnan(in[0].f) && isnan(out[k])) continue;       // fmin and fmax in some references drop NaN
        if (!is_close(out[k], reference))
            fail_msg("%s %s(%.9g, %.9g) is %.9g, not %.9g", isa->arch, op->name, in[0].f, in[1].f, (double)out[k], reference);
    }
}

static void blocks_agree_with_ops(void **state)
{
    (void)state;
    for (int s = 0; s < n_isas; s++)
        for (const hone_cpu_named_block *b = isas[s]->blocks; b->name; b++) {
            check_block(isas[s], b, 1, 1);
            check_block(isas[s], b, 1, 0);
            check_block(isas[s], b, 0, 1);
            check_block(isas[s], b, 0, 0);
        }
}

static void blocks_work_in_place(void **state)
{
    (void)state;
    float x[77], y[77], apart[77];
    for (int s = 0; s < n_isas; s++)
        for (const hone_cpu_named_block *b = isas[s]->blocks; b->name; b++) {
            hone_call call;
            int n_in = hone_op_input_count(hone_op_find(b->name), NULL);
            if (n_in > 2) continue;
            assert_int_equal(hone_call_init(&call, b->name, n_in), HONE_OK);
            for (int k = 0; k < 77; k++) x[k] = fabsf(draw(10, (uint64_t)k)) + 0.1f, y[k] = draw(11, (uint64_t)k);
            hone_cpu_block_args args = {.call = &call, .out = apart, .in = {x, y}, .step = {1, 1}, .n = 77, .in_dtype = HONE_F32, .is_out_float = true};
            b->block(&args);
            args.out = x;
            b->block(&args);
            assert_memory_equal(x, apart, sizeof x);
        }
}

static void scale_and_shift(void **state)
{
    (void)state;
    float x[50], scale[50], shift[50], out[50];
    for (int k = 0; k < 50; k++) x[k] = draw(12, (uint64_t)k), scale[k] = draw(13, (uint64_t)k), shift[k] = draw(14, (uint64_t)k);
    for (int s = 0; s < n_isas; s++)
        for (int steps = 0; steps < 8; steps++) {
            hone_cpu_block_args args = {.out = out, .in = {x, scale, shift}, .step = {steps & 1, steps >> 1 & 1, steps >> 2}, .n = 50};
            isas[s]->scale_shift(&args);
            for (int k = 0; k < 50; k++)
                assert_true(fabs(out[k] - ((double)x[k * args.step[0]] * scale[k * args.step[1]] + shift[k * args.step[2]])) < 1e-6);
        }
}

int test_cpu_isa(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_sums_of_products), cmocka_unit_test(lines_agree_with_loops), cmocka_unit_test(blocks_agree_with_ops),
        cmocka_unit_test(blocks_work_in_place), cmocka_unit_test(scale_and_shift),
    };
    return cmocka_run_group_tests_name("cpu_isa", tests, find_isas, NULL);
}
