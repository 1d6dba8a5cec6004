// SPDX-License-Identifier: Apache-2.0
// Elementwise blocks for one instruction set; the including file (isa_*.c) sets the target, LANES and the vector types.
// Polynomials were fitted for this file at Chebyshev nodes with NumPy; the error stated
// beside each is relative and was measured in double over the interval.
#ifndef HONE_KERNELS_CPU_BLOCKS_BODY_H
#define HONE_KERNELS_CPU_BLOCKS_BODY_H

#define ARGS const hone_cpu_block_args *args

// ---- functions of a vector of values. Written with vector types: in scalar form the compiler threads the clamps into branches.

INLINE floats pick(ints mask, floats yes, floats no)
{
    return (floats)((mask & (ints)yes) | (~mask & (ints)no));
}

INLINE floats all(float value)
{
    return value - (floats){0};
}

INLINE floats absolute(floats x) { return (floats)((ints)x & 0x7fffffff); }
INLINE floats with_sign(floats size, floats sign) { return (floats)((ints)size | ((ints)sign & (int32_t)0x80000000)); }
INLINE floats power_of_2(ints n) { return (floats)((bits)(n + 127) << 23); }

// e^x = 2^n e^r with |r| <= ln 2 / 2; 1e-8. 2^n as two factors, so that results down to the smallest float come out.
// NaN passes through r.
INLINE floats exp_of(floats x)
{
    x = pick(x > 89.0f, all(89.0f), x);
    x = pick(x < -104.0f, all(-104.0f), x);         // e^-104 is 0 in f32
    ints n = __builtin_convertvector(x * 1.44269504f + with_sign(all(0.5f), x), ints);
    floats whole = __builtin_convertvector(n, floats), r = x - whole * 0.693145752f - whole * 1.42860677e-6f;
    floats p = all(0.001393364352f);
    p = p * r + 0.008363175565f;
    p = p * r + 0.041666464976f;
    p = p * r + 0.166665770032f;
    p = p * r + 0.5f;
    p = 1 + (r + r * r * p);
    ints half = n >> 1;
    return p * power_of_2(half) * power_of_2(n - half);
}

INLINE floats sigmoid_of(floats x)
{
    return 1 / (1 + exp_of(-x));
}

// Odd polynomial below 0.63 (5e-9), by e^-2|x| above.
INLINE floats tanh_of(floats x)
{
    floats s = x * x, p = all(-0.005607688719f), a = absolute(x);
    p = p * s + 0.020544905352f;
    p = p * s - 0.053707066577f;
    p = p * s + 0.133309572880f;
    p = p * s - 0.333332534717f;
    floats e = exp_of(-2 * a), large = with_sign((1 - e) / (1 + e), x);
    return pick(a < 0.63f, x + x * s * p, large);
}

// Odd polynomial below 1 (1e-9); 1 - e^(-x^2) P(1 / (1 + x/2)) above (3e-9), 1 in f32 from 4.2 on.
INLINE floats erf_of(floats x)
{
    floats s = x * x, p = all(7.882497448e-5f), a = absolute(x), b = pick(a > 4.2f, all(4.2f), a);
    p = p * s - 0.0008018855006f;
    p = p * s + 0.005189312156f;
    p = p * s - 0.026854328811f;
    p = p * s + 0.112835973501f;
    p = p * s - 0.376126259565f;
    p = p * s + 1.128379106522f;
    floats t = 1 / (1 + 0.5f * b), q = all(-0.057963364528f);
    q = q * t - 0.043767177563f;
    q = q * t + 0.386657750943f;
    q = q * t + 0.112748454174f;
    q = q * t + 0.326571720165f;
    q = q * t + 0.274455466150f;
    q = q * t + 0.000538750576f;
    return pick(a < 1.0f, x * p, with_sign(1 - exp_of(-b * b) * q, x));
}

// x = m 2^e with m near 1; log m by a polynomial (6e-8). Zero, negative values, infinity and NaN as in C.
INLINE floats log_of(floats x)
{
    ints is_tiny = x < 1.17549435e-38f;
    floats scaled = pick(is_tiny, x * 8388608.0f, x);
    ints e = (ints)((bits)scaled - 0x3f3504f3) >> 23;       // the bits of sqrt(1/2)
    floats f = (floats)((bits)scaled - ((bits)e << 23)) - 1, p = all(-0.079965709561f);
    floats n = __builtin_convertvector(e + (is_tiny & -23), floats);
    p = p * f + 0.125486444970f;
    p = p * f - 0.129411326901f;
    p = p * f + 0.142202835166f;
    p = p * f - 0.166460060625f;
    p = p * f + 0.200009577848f;
    p = p * f - 0.250002249113f;
    p = p * f + 0.333333308507f;
    floats y = n * 0.693145752f + (f + (n * 1.42860677e-6f + f * f * (p * f - 0.5f)));
    y = pick(x < all(INFINITY), y, x);
    y = pick(x < 0.0f, all(NAN), y);
    return pick(x == 0.0f, all(-INFINITY), y);
}

// ---- loops. With vector types too: compilers check for overlap and fall back to single values where out is an input.

// The last n < LANES values, the rest zero.
INLINE floats load_part(const float *from, int n)
{
    float part[LANES] = {0};
    for (int k = 0; k < n; k++) part[k] = from[k];
    return *(const floats *)part;
}

INLINE void store_part(float *to, floats values, int n)
{
    for (int k = 0; k < n; k++) to[k] = values[k];
}

// p and q are attributes.
INLINE void unary(ARGS, floats (*f)(floats x, float p, float q), float p, float q)
{
    float *out = args->out;
    const float *x = args->in[0];
    int n = args->n, k = 0;
    if (!args->step[0]) {
        float value = f(all(x[0]), p, q)[0];
        for (; k < n; k++) out[k] = value;
        return;
    }
    for (; k + LANES <= n; k += LANES) *(floats *)(out + k) = f(*(const floats *)(x + k), p, q);
    if (k < n) store_part(out + k, f(load_part(x + k, n - k), p, q), n - k);
}

// A value that is the same for the whole block stays in a register.
INLINE void binary(ARGS, floats (*f)(floats a, floats b))
{
    float *out = args->out;
    const float *a = args->in[0], *b = args->in[1];
    int n = args->n, k = 0;
    if (args->step[0] && args->step[1]) {
        for (; k + LANES <= n; k += LANES) *(floats *)(out + k) = f(*(const floats *)(a + k), *(const floats *)(b + k));
        if (k < n) store_part(out + k, f(load_part(a + k, n - k), load_part(b + k, n - k)), n - k);
    } else if (args->step[0]) {
        floats same = all(b[0]);
        for (; k + LANES <= n; k += LANES) *(floats *)(out + k) = f(*(const floats *)(a + k), same);
        if (k < n) store_part(out + k, f(load_part(a + k, n - k), same), n - k);
    } else {
        floats same = all(a[0]);
        if (!args->step[1]) {
            float value = f(same, all(b[0]))[0];
            for (; k < n; k++) out[k] = value;
            return;
        }
        for (; k + LANES <= n; k += LANES) *(floats *)(out + k) = f(same, *(const floats *)(b + k));
        if (k < n) store_part(out + k, f(same, load_part(b + k, n - k)), n - k);
    }
}

// ---- the blocks

INLINE floats clamp(floats x, float low, float high)
{
    x = pick(x < low, all(low), x);
    return pick(x > high, all(high), x);
}

// NaN on either side is the result.
INLINE floats min2(floats a, floats b) { return pick((a != a) | (a < b), a, b); }
INLINE floats max2(floats a, floats b) { return pick((a != a) | (a > b), a, b); }
INLINE floats add2(floats a, floats b) { return a + b; }
INLINE floats sub2(floats a, floats b) { return a - b; }
INLINE floats mul2(floats a, floats b) { return a * b; }
INLINE floats div2(floats a, floats b) { return a / b; }
INLINE floats prelu2(floats a, floats b) { return pick(a < 0.0f, a * b, a); }

static void add_block(ARGS) { binary(args, add2); }
static void sub_block(ARGS) { binary(args, sub2); }
static void mul_block(ARGS) { binary(args, mul2); }
static void div_block(ARGS) { binary(args, div2); }
static void min_block(ARGS) { binary(args, min2); }
static void max_block(ARGS) { binary(args, max2); }
static void prelu_block(ARGS) { binary(args, prelu2); }

INLINE floats root(floats x)
{
    floats y;
    for (int k = 0; k < LANES; k++) y[k] = __builtin_sqrtf(x[k]);
    return y;
}

INLINE floats relu1(floats x, float p, float q) { (void)p, (void)q; return pick(x < 0.0f, all(0), x); }
INLINE floats clip1(floats x, float p, float q) { return clamp(x, p, q); }
INLINE floats exp1(floats x, float p, float q) { (void)p, (void)q; return exp_of(x); }
INLINE floats log1(floats x, float p, float q) { (void)p, (void)q; return log_of(x); }
INLINE floats sqrt1(floats x, float p, float q) { (void)p, (void)q; return root(x); }
INLINE floats rsqrt1(floats x, float p, float q) { (void)p, (void)q; return 1 / root(x); }
INLINE floats abs1(floats x, float p, float q) { (void)p, (void)q; return absolute(x); }
INLINE floats neg1(floats x, float p, float q) { (void)p, (void)q; return -x; }
INLINE floats copy1(floats x, float p, float q) { (void)p, (void)q; return x; }
INLINE floats reciprocal1(floats x, float p, float q) { (void)p, (void)q; return 1 / x; }
INLINE floats sigmoid1(floats x, float p, float q) { (void)p, (void)q; return sigmoid_of(x); }
INLINE floats silu1(floats x, float p, float q) { (void)p, (void)q; return x * sigmoid_of(x); }
INLINE floats tanh1(floats x, float p, float q) { (void)p, (void)q; return tanh_of(x); }
INLINE floats erf1(floats x, float p, float q) { (void)p, (void)q; return erf_of(x); }
INLINE floats gelu1(floats x, float p, float q) { (void)p, (void)q; return 0.5f * x * (1 + erf_of(x * 0.70710678f)); }
INLINE floats hardsigmoid1(floats x, float p, float q) { return clamp(p * x + q, 0, 1); }
INLINE floats hardswish1(floats x, float p, float q) { (void)p, (void)q; return x * clamp(x * 0.16666667f + 0.5f, 0, 1); }
INLINE floats leakyrelu1(floats x, float p, float q) { (void)q; return pick(x < 0.0f, x * p, x); }

INLINE floats gelu_tanh1(floats x, float p, float q)
{
    (void)p, (void)q;
    return 0.5f * x * (1 + tanh_of(0.79788456f * (x + 0.044715f * x * x * x)));
}

INLINE floats softplus1(floats x, float p, float q)
{
    (void)p, (void)q;
    floats e = exp_of(-absolute(x)), big = pick(x < 0.0f, all(0), x);
    return big + pick(e < 1e-4f, e - 0.5f * e * e, log_of(1 + e));
}

static float attr(const hone_cpu_block_args *args, int k) { return (float)args->call->attrs[k].r[0]; }

static void relu_block(ARGS) { unary(args, relu1, 0, 0); }
static void exp_block(ARGS) { unary(args, exp1, 0, 0); }
static void log_block(ARGS) { unary(args, log1, 0, 0); }
static void sqrt_block(ARGS) { unary(args, sqrt1, 0, 0); }
static void rsqrt_block(ARGS) { unary(args, rsqrt1, 0, 0); }
static void abs_block(ARGS) { unary(args, abs1, 0, 0); }
static void neg_block(ARGS) { unary(args, neg1, 0, 0); }
static void copy_block(ARGS) { unary(args, copy1, 0, 0); }
static void reciprocal_block(ARGS) { unary(args, reciprocal1, 0, 0); }
static void sigmoid_block(ARGS) { unary(args, sigmoid1, 0, 0); }
static void silu_block(ARGS) { unary(args, silu1, 0, 0); }
static void tanh_block(ARGS) { unary(args, tanh1, 0, 0); }
static void erf_block(ARGS) { unary(args, erf1, 0, 0); }
static void hardswish_block(ARGS) { unary(args, hardswish1, 0, 0); }
static void softplus_block(ARGS) { unary(args, softplus1, 0, 0); }
static void gelu_erf_block(ARGS) { unary(args, gelu1, 0, 0); }
static void gelu_tanh_block(ARGS) { unary(args, gelu_tanh1, 0, 0); }
static void clip_block(ARGS) { unary(args, clip1, attr(args, 0), attr(args, 1)); }
static void hardsigmoid_block(ARGS) { unary(args, hardsigmoid1, attr(args, 0), attr(args, 1)); }
static void leakyrelu_block(ARGS) { unary(args, leakyrelu1, attr(args, 0), 0); }

static void gelu_block(ARGS)
{
    if (args->call->attrs[0].i[0]) gelu_tanh_block(args);
    else gelu_erf_block(args);
}

// Locals, since the stores might change the arguments as far as the compiler knows.
static void scale_shift_block(ARGS)
{
    float *out = args->out;
    const float *x = args->in[0], *scale = args->in[1], *shift = args->in[2];
    int n = args->n, k = 0, x_step = args->step[0], scale_step = args->step[1], shift_step = args->step[2];
    if (x_step && !scale_step && !shift_step) {
        floats times = all(scale[0]), plus = all(shift[0]);
        for (; k + LANES <= n; k += LANES) *(floats *)(out + k) = *(const floats *)(x + k) * times + plus;
    } else if (x_step && scale_step && shift_step) {
        for (; k + LANES <= n; k += LANES)
            *(floats *)(out + k) = *(const floats *)(x + k) * *(const floats *)(scale + k) + *(const floats *)(shift + k);
    }
    for (; k < n; k++) out[k] = x[k * x_step] * scale[k * scale_step] + shift[k * shift_step];
}

// Powers of 2, 3, 0.5 and the like, which exporters write for squares and roots; other exponents by the C library.
static void pow_block(ARGS)
{
    float same = args->in[1][0];
    hone_cpu_block_args square = *args;
    if (!args->step[1] && same == 2) {
        square.in[1] = args->in[0], square.step[1] = args->step[0];
        mul_block(&square);
        return;
    }
    if (!args->step[1] && same == 0.5f) {
        sqrt_block(args);
        return;
    }
    for (int k = 0; k < args->n; k++) args->out[k] = powf(args->in[0][k * args->step[0]], args->in[1][k * args->step[1]]);
}

static void where_block(ARGS)
{
    for (int k = 0; k < args->n; k++)
        args->out[k] = args->in[0][k * args->step[0]] != 0 ? args->in[1][k * args->step[1]] : args->in[2][k * args->step[2]];
}

static const hone_cpu_named_block blocks[] = {
    {"add", add_block}, {"sub", sub_block}, {"mul", mul_block}, {"div", div_block}, {"min", min_block}, {"max", max_block},
    {"prelu", prelu_block}, {"pow", pow_block}, {"where", where_block}, {"relu", relu_block}, {"clip", clip_block},
    {"exp", exp_block}, {"log", log_block}, {"sqrt", sqrt_block}, {"rsqrt", rsqrt_block}, {"abs", abs_block}, {"neg", neg_block},
    {"identity", copy_block}, {"reciprocal", reciprocal_block}, {"sigmoid", sigmoid_block}, {"silu", silu_block},
    {"tanh", tanh_block}, {"erf", erf_block}, {"gelu", gelu_block}, {"hardsigmoid", hardsigmoid_block},
    {"hardswish", hardswish_block}, {"leakyrelu", leakyrelu_block}, {"softplus", softplus_block},
    {NULL, NULL}
};

static float exp_sum(float *values, int64_t n, float minus)
{
    floats sums = {0};         // one sum a lane: one chain of float additions would be slow, and rounds more
    float rest[LANES], sum = 0;
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES) {
        floats y = exp_of(*(const floats *)(values + k) - minus);
        sums += y;
        *(floats *)(values + k) = y;
    }
    for (int i = 0; i < LANES; i++) rest[i] = k + i < n ? values[k + i] - minus : -INFINITY;
    *(floats *)rest = exp_of(*(const floats *)rest);
    for (int i = 0; k + i < n; i++) values[k + i] = rest[i];
    for (int i = 0; i < LANES; i++) sum += sums[i] + rest[i];
    return sum;
}

#endif
