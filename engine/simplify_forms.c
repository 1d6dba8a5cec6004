// SPDX-License-Identifier: Apache-2.0
// Decomposed forms that exporters write where ONNX had no operator yet. They are matched in normal form: constants second, divisions by
// constants as products, squares as products.
#include <math.h>
#include <string.h>

#include "engine/simplify_priv.h"

// value = x op number: x, or -1.
static int strip_number(const hone_rewriting *r, int value, const char *op, double number)
{
    hone_node node;
    if (!hone_rewriting_producer(r, value, op, &node) || !hone_rewriting_is_number(r, hone_rewriting_in(r, &node, 1), number)) return -1;
    return hone_rewriting_in(r, &node, 0);
}

static bool is_float(const hone_rewriting *r, int value)
{
    return value >= 0 && hone_dtype_is_float(hone_rewriting_tensor(r, value).dtype);
}

static hone_status emit_gelu(hone_rewriting *r, const char *approx, int x, int *value)
{
    hone_call call;
    hone_status status = hone_call_init(&call, "gelu", 1);
    if (status == HONE_OK) status = hone_call_set_word(&call, "approx", approx);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, &x, value) : status;
}

// ---- Gelu: x * 0.5 * (1 + erf(x / sqrt 2)), and with tanh(0.7978846 * (x + 0.044715 x^3)) in the place of erf

static int cube_of(const hone_rewriting *r, int value)
{
    hone_node node, inner;
    if (hone_rewriting_producer(r, value, "pow", &node))
        return hone_rewriting_is_number(r, hone_rewriting_in(r, &node, 1), 3) ? hone_rewriting_in(r, &node, 0) : -1;
    if (!hone_rewriting_producer(r, value, "mul", &node)) return -1;
    for (int k = 0; k < 2; k++) {
        int square = hone_rewriting_in(r, &node, k), x = hone_rewriting_in(r, &node, 1 - k);
        if (hone_rewriting_producer(r, square, "mul", &inner) && hone_rewriting_in(r, &inner, 0) == x && hone_rewriting_in(r, &inner, 1) == x) return x;
    }
    return -1;
}

static int tanh_argument(const hone_rewriting *r, int value)
{
    hone_node sum;
    int inside = strip_number(r, value, "mul", 0.79788456080286541);
    if (inside < 0 || !hone_rewriting_producer(r, inside, "add", &sum)) return -1;
    for (int k = 0; k < 2; k++) {
        int x = hone_rewriting_in(r, &sum, k);
        int cube = strip_number(r, hone_rewriting_in(r, &sum, 1 - k), "mul", 0.044715);
        if (cube >= 0 && cube_of(r, cube) == x) return x;
    }
    return -1;
}

// x when value is 1 + erf(..x..) or 1 + tanh(..x..), or half of it; *half says which.
static int gate_of(const hone_rewriting *r, int value, bool *half, const char **approx)
{
    hone_node node;
    int inner = strip_number(r, value, "mul", 0.5);
    *half = inner >= 0;
    int sum = strip_number(r, inner >= 0 ? inner : value, "add", 1);
    if (sum < 0) return -1;
    if (hone_rewriting_producer(r, sum, "erf", &node)) {
        *approx = "none";
        return strip_number(r, hone_rewriting_in(r, &node, 0), "mul", 0.70710678118654752);
    }
    *approx = "tanh";
    return hone_rewriting_producer(r, sum, "tanh", &node) ? tanh_argument(r, hone_rewriting_in(r, &node, 0)) : -1;
}

// The half stands on x, on the gate, or on the product: (x g) / 2.
static hone_status recognise_gelu(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node outer = *node;
    const char *approx;
    bool half;
    int whole = strip_number(r, node->out[0], "mul", 0.5);
    bool outside = whole >= 0 && hone_rewriting_producer(r, whole, "mul", &outer);
    for (int k = 0; k < 2; k++) {
        int x = gate_of(r, hone_rewriting_in(r, &outer, k), &half, &approx), other = hone_rewriting_in(r, &outer, 1 - k);
        if (x < 0 || half + outside > 1 || !is_float(r, x)) continue;
        bool fits = half || outside ? other == x : strip_number(r, other, "mul", 0.5) == x;
        if (fits) return emit_gelu(r, approx, x, value);
    }
    return HONE_OK;
}

// ---- hard-sigmoid, hard-swish, SiLU, Mish

// x when value is clip(x + 3, 0, 6)
static int relu6_of_shifted(const hone_rewriting *r, int value)
{
    hone_node clip;
    if (!hone_rewriting_producer(r, value, "clip", &clip)) return -1;
    if (hone_call_real(&clip.call, "min") != 0 || hone_call_real(&clip.call, "max") != 6) return -1;
    return strip_number(r, hone_rewriting_in(r, &clip, 0), "add", 3);
}

static hone_status recognise_hardsigmoid(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_call call;
    int clipped = strip_number(r, node->out[0], "mul", 1.0 / 6), x = clipped < 0 ? -1 : relu6_of_shifted(r, clipped);
    if (!is_float(r, x)) return HONE_OK;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "hardsigmoid", 1));
    HONE_TRY(hone_call_set_real(&call, "alpha", (double)(float)(1.0 / 6)));
    HONE_TRY(hone_call_set_real(&call, "beta", 0.5));
    HONE_TRY(hone_rewriting_emit(r, &call, &x, value));
out:
    return status;
}

static bool is_sixth_hardsigmoid(const hone_node *node)
{
    return fabs(hone_call_real(&node->call, "alpha") - 1.0 / 6) < 1e-6 && hone_call_real(&node->call, "beta") == 0.5;
}

// x * hardsigmoid(x), (x * clip(x + 3, 0, 6)) / 6
static hone_status recognise_hardswish(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node gate, inner;
    int whole = strip_number(r, node->out[0], "mul", 1.0 / 6);
    if (whole >= 0 && hone_rewriting_producer(r, whole, "mul", &inner)) {
        for (int k = 0; k < 2; k++) {
            int x = relu6_of_shifted(r, hone_rewriting_in(r, &inner, k));
            if (is_float(r, x) && x == hone_rewriting_in(r, &inner, 1 - k)) return hone_rewriting_op(r, "hardswish", 1, &x, value);
        }
    }
    for (int k = 0; k < 2; k++) {
        int x = hone_rewriting_in(r, node, 1 - k);
        if (!hone_rewriting_producer(r, hone_rewriting_in(r, node, k), "hardsigmoid", &gate) || !is_sixth_hardsigmoid(&gate)) continue;
        if (hone_rewriting_in(r, &gate, 0) == x) return hone_rewriting_op(r, "hardswish", 1, &x, value);
    }
    return HONE_OK;
}

// x * sigmoid(x); x * tanh(softplus(x))
static hone_status recognise_silu(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node gate, inner;
    for (int k = 0; k < 2; k++) {
        int x = hone_rewriting_in(r, node, 1 - k), g = hone_rewriting_in(r, node, k);
        if (hone_rewriting_producer(r, g, "sigmoid", &gate) && hone_rewriting_in(r, &gate, 0) == x)
            return hone_rewriting_op(r, "silu", 1, &x, value);
        if (hone_rewriting_producer(r, g, "tanh", &gate) && hone_rewriting_producer(r, hone_rewriting_in(r, &gate, 0), "softplus", &inner) &&
            hone_rewriting_in(r, &inner, 0) == x)
            return hone_rewriting_op(r, "mish", 1, &x, value);
    }
    return HONE_OK;
}

// ---- layer normalisation: d = x - mean(x); d / sqrt(mean(d d) + epsilon), then scale and shift

// The axis from which on `value` is the mean of what it reads; -1.
static int mean_axis(const hone_rewriting *r, int value, int *x)
{
    hone_node node;
    const int64_t *axes;
    if (!hone_rewriting_producer(r, value, "reduce", &node) || strcmp(hone_call_word(&node.call, "kind"), "mean")) return -1;
    if (!hone_call_int(&node.call, "keep")) return -1;
    *x = hone_rewriting_in(r, &node, 0);
    int n = hone_call_list(&node.call, "axes", &axes), rank = hone_rewriting_tensor(r, *x).rank;
    for (int k = 0; k < n; k++)
        if (axes[k] != rank - n + k) return -1;
    return n ? rank - n : -1;
}

static bool is_square_of(const hone_rewriting *r, int value, int d)
{
    hone_node node;
    return hone_rewriting_producer(r, value, "mul", &node) && hone_rewriting_in(r, &node, 0) == d && hone_rewriting_in(r, &node, 1) == d;
}

// d and another subtraction of the same operands are the same value: equal nodes are merged before.
static bool is_centred(const hone_rewriting *r, int d, int axis, int *x)
{
    hone_node sub;
    int source;
    if (!hone_rewriting_producer(r, d, "sub", &sub)) return false;
    *x = hone_rewriting_in(r, &sub, 0);
    return mean_axis(r, hone_rewriting_in(r, &sub, 1), &source) == axis && source == *x;
}

// root = sqrt(mean(d d) + epsilon), or its reciprocal when `inverse`.
static int spread_axis(const hone_rewriting *r, int root, bool inverse, int d, double *epsilon)
{
    hone_node node;
    int square;
    if (!hone_rewriting_producer(r, root, inverse ? "rsqrt" : "sqrt", &node)) return -1;
    if (!hone_rewriting_producer(r, hone_rewriting_in(r, &node, 0), "add", &node)) return -1;
    if (!hone_rewriting_scalar(r, hone_rewriting_in(r, &node, 1), epsilon)) return -1;
    int axis = mean_axis(r, hone_rewriting_in(r, &node, 0), &square);
    return axis >= 0 && is_square_of(r, square, d) ? axis : -1;
}

static hone_status recognise_layernorm(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_call call;
    double epsilon;
    int axis = -1, x = -1;
    bool is_div = !strcmp(node->call.op->name, "div");
    for (int k = 0; k < (is_div ? 1 : 2) && axis < 0; k++) {
        int d = hone_rewriting_in(r, node, k);
        axis = spread_axis(r, hone_rewriting_in(r, node, 1 - k), !is_div, d, &epsilon);
        if (axis >= 0 && !is_centred(r, d, axis, &x)) axis = -1;
    }
    if (axis < 0) return HONE_OK;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "layernorm", 1));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){axis}, 1));
    HONE_TRY(hone_call_set_real(&call, "epsilon", epsilon));
    HONE_TRY(hone_rewriting_emit(r, &call, &x, value));
out:
    return status;
}

// A product and then a sum with values for each normalised element are the operator's own scale and shift.
static hone_status absorb_affine(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node norm;
    int y = hone_rewriting_in(r, node, 0), c = hone_rewriting_in(r, node, 1);
    bool is_scale = !strcmp(node->call.op->name, "mul");
    if (!hone_rewriting_is_constant(r, c) || !hone_rewriting_producer(r, y, "layernorm", &norm) || !hone_rewriting_is_sole(r, y)) return HONE_OK;
    int operand = is_scale ? 1 : 2, axis = (int)hone_call_int(&norm.call, "axis");
    int in[3] = {hone_rewriting_in(r, &norm, 0), hone_rewriting_in(r, &norm, 1), hone_rewriting_in(r, &norm, 2)};
    hone_tensor x = hone_rewriting_tensor(r, in[0]), t = hone_rewriting_tensor(r, c);
    bool fits = norm.call.n_out == 1 && in[operand] < 0 && in[2] < 0 && t.rank == x.rank - axis;
    for (int k = 0; fits && k < t.rank; k++) fits = t.dims[k] == x.dims[axis + k];
    if (!fits) return HONE_OK;
    in[operand] = c;
    hone_call call = norm.call;
    call.n_in = operand + 1;
    return hone_rewriting_emit(r, &call, in, value);
}

const hone_rewrite hone_rewrites_forms[] = {
    {"gelu", " mul ", recognise_gelu, true},
    {"hardsigmoid", " mul ", recognise_hardsigmoid, true},
    {"hardswish", " mul ", recognise_hardswish, true},
    {"silu", " mul ", recognise_silu, true},
    {"layernorm", " div mul ", recognise_layernorm, true},
    {"absorb_affine", " mul add ", absorb_affine, false},
    {0},
};
