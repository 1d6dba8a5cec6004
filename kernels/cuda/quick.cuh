// SPDX-License-Identifier: Apache-2.0
// Functions of a float whose result will be rounded to 16 bits. In the tail of a product they are what all but the tensor cores has to do: 4,096 x
// 3,072 values are 4.3 us of an H100 for every ten instructions. Gelu by erff has 25, nine of them selections. Errors are those over all
// inputs of 16 bits, before rounding (tests/unit/ops_expr.c); half a unit in the last place of FP16 is 2.4e-4 of the value or more.

// max(x, 0) - t P(t) where t = |x| and P(t) is the part of the normal distribution beyond t. log2(P) is nearly a parabola: a polynomial of degree 7,
// fitted for the least relative error of P (Remez) up to 5.75, where t P(t) is less than FP16 has, is within 3e-6 of it. It falls without end, so
// that P ends as 0; and t P(t) keeps its digits where 0.5 x (1 + erf(x)) has cancelled them. Eleven instructions, one of them to the special unit.
HONE_FN float hone_gelu(float x)
{
    const float t = fabsf(x);
    float q = -1.16730036e-6f;
    q = q * t + 5.13936940e-5f;
    q = q * t - 8.69974610e-4f;
    q = q * t + 8.33241921e-3f;
    q = q * t - 5.37040308e-2f;
    q = q * t - 4.58637923e-1f;
    q = q * t - 1.15120840f;
    q = q * t - 9.99996960e-1f;
    return fmaxf(x, 0.0f) - fminf(t, 1e30f) * hone_exp2(q);
}

// x / (1 + 2^-y). Where the power is infinite the quotient is 0, unless x is infinite too.
HONE_FN float hone_share(float x, float y)
{
    return __fdividef(fmaxf(x, -1e30f), 1.0f + hone_exp2(-y));
}

HONE_FN float hone_sigmoid(float x) { return hone_share(1.0f, x * 1.44269504f); }
HONE_FN float hone_silu(float x) { return hone_share(x, x * 1.44269504f); }

// 0.5 x (1 + tanh(u)) is x / (1 + exp(-2 u)).
HONE_FN float hone_gelu_tanh(float x)
{
    return hone_share(x, x * (x * x * 0.10294324f + 2.30220820f));
}
