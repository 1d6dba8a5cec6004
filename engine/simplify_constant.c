// SPDX-License-Identifier: Apache-2.0
// Arithmetic with constants: one spelling for each meaning, constants second and as small as broadcasting allows, chains merged,
// what is known computed.
#include <math.h>
#include <string.h>

#include "engine/simplify_priv.h"

enum { FOLD_ELEMENTS_MAX = 1 << 20 };

static bool is_op(const hone_node *node, const char *op)
{
    return !strcmp(node->call.op->name, op);
}

static bool same_as_output(const hone_rewriting *r, const hone_node *node, int value)
{
    hone_tensor a = hone_rewriting_tensor(r, value), b = hone_rewriting_tensor(r, node->out[0]);
    return hone_tensor_equal(&a, &b);
}

// ---- all operands known

static hone_status fold_constants(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_array in[HONE_INPUTS_MAX] = {{.f = NULL}}, out[HONE_OUTPUTS_MAX] = {{.f = NULL}};
    int64_t elements = 0;
    hone_status status = HONE_OK;
    hone_tensor made = hone_rewriting_tensor(r, node->out[0]);
    if (node->call.n_out != 1 || r->graph->values[node->out[0]].is_output || !node->call.n_in) return HONE_OK;
    for (int k = 0; k < node->call.n_in; k++) {
        int v = hone_rewriting_in(r, node, k);
        if (v >= 0 && !hone_rewriting_is_constant(r, v)) return HONE_OK;
        hone_tensor tensor = v >= 0 ? hone_rewriting_tensor(r, v) : (hone_tensor){.rank = 0};
        elements += hone_tensor_count(&tensor);
    }
    if (elements + hone_tensor_count(&made) > FOLD_ELEMENTS_MAX) return HONE_OK;
    for (int k = 0; k < node->call.n_in; k++)
        if (node->in[k] >= 0) HONE_TRY(hone_rewriting_array(r, hone_rewriting_in(r, node, k), &in[k]));
    HONE_TRY(hone_call_reference(&node->call, in, out, 1));
    HONE_TRY(hone_rewriting_constant(r, &out[0], value));
out:
    for (int k = 0; k < HONE_INPUTS_MAX; k++) hone_array_clear(&in[k]);
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&out[k]);
    return status;
}

static hone_status drop_identity(hone_rewriting *r, const hone_node *node, int *value)
{
    int x = hone_rewriting_in(r, node, 0);
    const hone_value *v = &r->graph->values[x];
    bool has_role = v->is_input || v->is_output || v->data;
    if (!has_role || !r->graph->values[node->out[0]].is_output) *value = x;
    return HONE_OK;
}

// ---- operand order and rank

static hone_status swap_constant(hone_rewriting *r, const hone_node *node, int *value)
{
    int a = hone_rewriting_in(r, node, 0), b = hone_rewriting_in(r, node, 1);
    if (!hone_rewriting_is_constant(r, a) || hone_rewriting_is_constant(r, b)) return HONE_OK;
    return hone_rewriting_op(r, node->call.op->name, 2, (int[]){b, a}, value);
}

// Leading dims of 1 of a constant say nothing where another operand has the rank.
static hone_status trim_constant(hone_rewriting *r, const hone_node *node, int *value)
{
    int in[3], n = node->call.n_in;
    for (int k = 0; k < n; k++) in[k] = hone_rewriting_in(r, node, k);
    for (int k = 0; k < n; k++) {
        hone_tensor t = hone_rewriting_tensor(r, in[k]), slim = t;
        int rank = 0;
        for (int j = 0; j < n; j++) {
            int other = hone_rewriting_tensor(r, in[j]).rank;
            rank = j != k && other > rank ? other : rank;
        }
        while (slim.rank > 0 && slim.dims[0] == 1) memmove(slim.dims, slim.dims + 1, (size_t)--slim.rank * sizeof *slim.dims);
        if (!hone_rewriting_is_constant(r, in[k]) || slim.rank == t.rank || rank < t.rank) continue;
        hone_array array = {0};
        hone_status status = hone_rewriting_array(r, in[k], &array);
        array.tensor = slim;
        if (status == HONE_OK) status = hone_rewriting_constant(r, &array, &in[k]);
        hone_array_clear(&array);
        if (status != HONE_OK) return status;
        hone_call call = node->call;
        return hone_rewriting_emit(r, &call, in, value);
    }
    return HONE_OK;
}

// ---- spellings

static hone_status negated(hone_rewriting *r, const char *op, int c, int *value)
{
    return hone_rewriting_fold(r, op, 1, &c, value);
}

// x - c is x + -c, x / c is x * 1/c
static hone_status invert_constant(hone_rewriting *r, const hone_node *node, int *value)
{
    int x = hone_rewriting_in(r, node, 0), c = hone_rewriting_in(r, node, 1), other;
    bool is_sub = is_op(node, "sub");
    hone_tensor t = hone_rewriting_tensor(r, c);
    if (!hone_rewriting_is_constant(r, c) || hone_rewriting_is_constant(r, x) || !hone_dtype_is_float(t.dtype)) return HONE_OK;
    double number;
    if (!is_sub && hone_rewriting_scalar(r, c, &number) && number == 0) return HONE_OK;
    hone_status status = negated(r, is_sub ? "neg" : "reciprocal", c, &other);
    return status == HONE_OK ? hone_rewriting_op(r, is_sub ? "add" : "mul", 2, (int[]){x, other}, value) : status;
}

// 1 / x, and 1 / sqrt(x)
static hone_status spell_reciprocal(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node root;
    int x = hone_rewriting_in(r, node, is_op(node, "div") ? 1 : 0);
    if (is_op(node, "div") && !hone_rewriting_is_number(r, hone_rewriting_in(r, node, 0), 1)) return HONE_OK;
    if (!same_as_output(r, node, x)) return HONE_OK;
    if (hone_rewriting_producer(r, x, "sqrt", &root)) {
        int under = hone_rewriting_in(r, &root, 0);
        return hone_rewriting_op(r, "rsqrt", 1, &under, value);
    }
    return is_op(node, "div") ? hone_rewriting_op(r, "reciprocal", 1, &x, value) : HONE_OK;
}

static hone_status spell_power(hone_rewriting *r, const hone_node *node, int *value)
{
    static const struct { double exponent; const char *op; } powers[] = {{0.5, "sqrt"}, {-1, "reciprocal"}, {-0.5, "rsqrt"}};
    int x = hone_rewriting_in(r, node, 0);
    double exponent;
    hone_tensor t = hone_rewriting_tensor(r, x);
    if (!hone_rewriting_scalar(r, hone_rewriting_in(r, node, 1), &exponent) || !hone_dtype_is_float(t.dtype)) return HONE_OK;
    if (!same_as_output(r, node, x)) return HONE_OK;
    if (exponent == 1) return *value = x, HONE_OK;
    if (exponent == 2) return hone_rewriting_op(r, "mul", 2, (int[]){x, x}, value);
    for (size_t k = 0; k < sizeof powers / sizeof *powers; k++)
        if (powers[k].exponent == exponent) return hone_rewriting_op(r, powers[k].op, 1, &x, value);
    return HONE_OK;
}

static hone_status clip(hone_rewriting *r, int x, double low, double high, int *value)
{
    hone_call call;
    hone_status status;
    if (low == 0 && high == INFINITY) return hone_rewriting_op(r, "relu", 1, &x, value);
    HONE_TRY(hone_call_init(&call, "clip", 1));
    HONE_TRY(hone_call_set_real(&call, "min", low));
    HONE_TRY(hone_call_set_real(&call, "max", high));
    HONE_TRY(hone_rewriting_emit(r, &call, &x, value));
out:
    return status;
}

// max(x, c) and min(x, c) with one number are clips; clips of clips are one; clip(0, inf) is relu.
static hone_status spell_clip(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node inner;
    double low = -INFINITY, high = INFINITY, number;
    int x = hone_rewriting_in(r, node, 0);
    hone_tensor t = hone_rewriting_tensor(r, x);
    if (!hone_dtype_is_float(t.dtype) || !same_as_output(r, node, x)) return HONE_OK;
    if (is_op(node, "clip")) {
        low = hone_call_real(&node->call, "min");
        high = hone_call_real(&node->call, "max");
    } else {
        if (!hone_rewriting_scalar(r, hone_rewriting_in(r, node, 1), &number) || isnan(number)) return HONE_OK;
        if (is_op(node, "max")) low = number;
        else high = number;
    }
    bool merges = hone_rewriting_producer(r, x, "clip", &inner);
    bool follows_relu = !merges && hone_rewriting_producer(r, x, "relu", &inner) && hone_rewriting_is_sole(r, x);
    if (is_op(node, "clip") && !merges && !follows_relu && !(low == 0 && high == INFINITY)) return HONE_OK;
    if (merges || follows_relu) {
        double inner_low = merges ? hone_call_real(&inner.call, "min") : 0, inner_high = merges ? hone_call_real(&inner.call, "max") : INFINITY;
        if (inner_low > high || inner_high < low || low > high) return HONE_OK;       // empty ranges: leave them as they are
        low = fmax(low, inner_low);
        high = fmin(high, inner_high);
        x = hone_rewriting_in(r, &inner, 0);
    }
    return clip(r, x, low, high, value);
}

// ---- chains and neutral elements

// (x + a) + b is x + (a + b); the same for products.
static hone_status merge_chain(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node inner;
    const char *op = node->call.op->name;
    int x = hone_rewriting_in(r, node, 0), b = hone_rewriting_in(r, node, 1), sum;
    if (!hone_rewriting_is_constant(r, b) || !hone_rewriting_producer(r, x, op, &inner) || !hone_rewriting_is_sole(r, x)) return HONE_OK;
    int a = hone_rewriting_in(r, &inner, 1);
    hone_tensor t = hone_rewriting_tensor(r, b);
    if (!hone_rewriting_is_constant(r, a) || hone_tensor_count(&t) > FOLD_ELEMENTS_MAX) return HONE_OK;
    hone_status status = hone_rewriting_fold(r, op, 2, (int[]){a, b}, &sum);
    return status == HONE_OK ? hone_rewriting_op(r, op, 2, (int[]){hone_rewriting_in(r, &inner, 0), sum}, value) : status;
}

static hone_status drop_neutral(hone_rewriting *r, const hone_node *node, int *value)
{
    double number;
    int x = hone_rewriting_in(r, node, 0);
    if (!hone_rewriting_scalar(r, hone_rewriting_in(r, node, 1), &number)) return HONE_OK;
    if (number == (is_op(node, "add") ? 0 : 1) && same_as_output(r, node, x)) *value = x;
    return HONE_OK;
}

static hone_status expand_to(hone_rewriting *r, int x, const hone_tensor *to, int *value)
{
    hone_call call;
    hone_tensor from = hone_rewriting_tensor(r, x);
    if (hone_tensor_same_dims(&from, to)) return *value = x, HONE_OK;
    hone_status status = hone_call_init(&call, "expand", 1);
    if (status == HONE_OK) status = hone_call_set_ints(&call, "shape", to->dims, to->rank);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, &x, value) : status;
}

// True when a constant is the same flag throughout.
static bool uniform_flag(hone_rewriting *r, int value, bool *flag)
{
    hone_array array = {0};
    hone_tensor t = hone_rewriting_tensor(r, value);
    int64_t count = hone_tensor_count(&t);
    if (!hone_rewriting_is_constant(r, value) || t.dtype != HONE_BOOL || !count || count > FOLD_ELEMENTS_MAX) return false;
    bool same = hone_rewriting_array(r, value, &array) == HONE_OK;
    for (int64_t k = 1; same && k < count; k++) same = array.i[k] == array.i[0];
    if (same) *flag = array.i[0] != 0;
    hone_array_clear(&array);
    return same;
}

// x and true, x or false: x, spread to the result's dims
static hone_status drop_flag(hone_rewriting *r, const hone_node *node, int *value)
{
    bool flag;
    hone_tensor to = hone_rewriting_tensor(r, node->out[0]);
    if (!uniform_flag(r, hone_rewriting_in(r, node, 1), &flag) || flag != is_op(node, "and")) return HONE_OK;
    return expand_to(r, hone_rewriting_in(r, node, 0), &to, value);
}

static hone_status settle_where(hone_rewriting *r, const hone_node *node, int *value)
{
    bool flag;
    hone_tensor to = hone_rewriting_tensor(r, node->out[0]);
    if (!uniform_flag(r, hone_rewriting_in(r, node, 0), &flag)) return HONE_OK;
    return expand_to(r, hone_rewriting_in(r, node, flag ? 1 : 2), &to, value);
}

// A cast of a cast whose middle type holds every value of the first.
static hone_status merge_casts(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node inner;
    hone_call call = node->call;
    int middle = hone_rewriting_in(r, node, 0);
    if (!hone_rewriting_producer(r, middle, "cast", &inner)) return HONE_OK;
    int x = hone_rewriting_in(r, &inner, 0);
    hone_dtype first = hone_rewriting_tensor(r, x).dtype, second = hone_rewriting_tensor(r, middle).dtype;
    bool floats = hone_dtype_is_float(first) && hone_dtype_is_float(second);
    bool widens = (floats && (second == HONE_F64 || (second == HONE_F32 && first != HONE_F64))) || (first == HONE_BOOL && second != HONE_BOOL) ||
        ((first == HONE_I32 || first == HONE_I16 || first == HONE_I8) && second == HONE_I64);
    if (!widens) return HONE_OK;
    if (hone_call_int(&node->call, "to") == (int64_t)first) return *value = x, HONE_OK;
    return hone_rewriting_emit(r, &call, &x, value);
}

#define ALL " abs neg relu sigmoid tanh exp log sqrt rsqrt erf gelu hardswish hardsigmoid clip silu ceil floor round sign reciprocal sin cos" \
    " not isnan cast add sub mul div pow min max and or xor equal less greater lessorequal greaterorequal where reduce transpose reshape" \
    " slice concat pad expand tile gather gather_elements gather_nd trilu cumsum matmul "

const hone_rewrite hone_rewrites_constant[] = {
    {"fold_constants", ALL, fold_constants, false},
    {"drop_identity", " identity ", drop_identity, false},
    {"swap_constant", " add mul min max and or xor equal ", swap_constant, false},
    {"trim_constant", " add sub mul div pow min max where equal less greater lessorequal greaterorequal ", trim_constant, false},
    {"invert_constant", " sub div ", invert_constant, false},
    {"spell_reciprocal", " div reciprocal ", spell_reciprocal, false},
    {"spell_power", " pow ", spell_power, false},
    {"spell_clip", " clip min max ", spell_clip, false},
    {"drop_neutral", " add mul ", drop_neutral, false},
    {"merge_chain", " add mul ", merge_chain, false},
    {"drop_flag", " and or ", drop_flag, false},
    {"settle_where", " where ", settle_where, false},
    {"merge_casts", " cast ", merge_casts, false},
    {0},
};
