// SPDX-License-Identifier: Apache-2.0
// Elementwise ops: one double-precision function, one line of CUDA C and one ONNX line each. Attributes are read by
// position, since these functions run once an element.
#include <math.h>

#include "kernels/op_priv.h"

#define UNARY .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = hone_shape_same
#define REAL .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = real_shape
#define BINARY .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = arithmetic_shape
#define COMPARE .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = compare_shape
#define ATTRS(table) .attrs = table, .n_attrs = sizeof(table) / sizeof *(table)

static hone_scalar real(double f)
{
    return (hone_scalar){f, 0};
}

static hone_scalar integer(int64_t i)
{
    return (hone_scalar){(double)i, i};
}

static double attr_real(const hone_call *call, int k)
{
    return call->attrs[k].r[0];
}

// ---- shape rules

static hone_status check_types(const hone_call *call, const hone_tensor *a, const hone_tensor *b)
{
    bool both_float = hone_dtype_is_float(a->dtype) && hone_dtype_is_float(b->dtype);
    if (a->dtype == b->dtype || both_float) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s: operands of type %s and %s do not go together", call->op->name,
                     hone_dtype_name(a->dtype), hone_dtype_name(b->dtype));
}

static hone_status real_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (!hone_dtype_is_float(in[0]->dtype))
        return hone_fail(HONE_USAGE, "%s takes a float type, not %s", call->op->name, hone_dtype_name(in[0]->dtype));
    return hone_shape_same(call, in, out);
}

static hone_status arithmetic_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = check_types(call, in[0], in[1]);
    return status == HONE_OK ? hone_shape_broadcast(call, in, out) : status;
}

static hone_status compare_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = arithmetic_shape(call, in, out);
    out->dtype = HONE_BOOL;
    return status;
}

static hone_status predicate_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_shape_same(call, in, out);
    out->dtype = HONE_BOOL;
    return HONE_OK;
}

static hone_status integer_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (hone_dtype_is_float(in[0]->dtype))
        return hone_fail(HONE_USAGE, "%s takes integers, not %s", call->op->name, hone_dtype_name(in[0]->dtype));
    return call->n_in == 1 ? hone_shape_same(call, in, out) : arithmetic_shape(call, in, out);
}

static hone_status logic_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    for (int k = 0; k < call->n_in; k++)
        if (in[k]->dtype != HONE_BOOL)
            return hone_fail(HONE_USAGE, "%s takes bool, not %s", call->op->name, hone_dtype_name(in[k]->dtype));
    return hone_shape_broadcast(call, in, out);
}

static hone_status where_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (in[0]->dtype != HONE_BOOL)
        return hone_fail(HONE_USAGE, "where: the condition must be bool, not %s", hone_dtype_name(in[0]->dtype));
    hone_status status = check_types(call, in[1], in[2]);
    if (status == HONE_OK) status = hone_shape_broadcast(call, in, out);
    out->dtype = in[1]->dtype;
    return status;
}

static hone_status cast_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_shape_same(call, in, out);
    out->dtype = (hone_dtype)call->attrs[0].i[0];
    return HONE_OK;
}

static hone_status pow_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    return hone_shape_broadcast(call, in, out);       // the exponent may be of any type
}

// The slope lies along the axes of x and never widens it.
static hone_status prelu_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = arithmetic_shape(call, in, out);
    if (status == HONE_OK && !hone_tensor_same_dims(in[0], out))
        return hone_fail(HONE_USAGE, "prelu: the slope is larger than x");
    return status;
}

// ---- unary functions of a real number

#define SCALAR_FUNCTION const hone_call *call, const hone_scalar *x, hone_dtype in_dtype

static hone_scalar abs_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    uint64_t bits = (uint64_t)x->i;
    return (hone_scalar){fabs(x->f), x->i < 0 && in_dtype != HONE_U64 ? (int64_t)(0 - bits) : x->i};
}

static hone_scalar neg_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    return (hone_scalar){-x->f, (int64_t)(0 - (uint64_t)x->i)};
}

static hone_scalar relu_of(SCALAR_FUNCTION)
{
    (void)call;
    return (hone_scalar){x->f < 0 ? 0 : x->f, x->i < 0 && in_dtype != HONE_U64 ? 0 : x->i};
}

static double sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static hone_scalar sigmoid_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(sigmoid(x->f)); }
static hone_scalar tanh_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(tanh(x->f)); }
static hone_scalar exp_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(exp(x->f)); }
static hone_scalar log_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(log(x->f)); }
static hone_scalar sqrt_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(sqrt(x->f)); }
static hone_scalar rsqrt_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(1 / sqrt(x->f)); }
static hone_scalar erf_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(erf(x->f)); }
static hone_scalar softplus_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(softplus(x->f)); }
static hone_scalar softsign_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(x->f / (1 + fabs(x->f))); }
static hone_scalar mish_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(x->f * tanh(softplus(x->f))); }
static hone_scalar silu_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(x->f * sigmoid(x->f)); }
static hone_scalar ceil_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return (hone_scalar){ceil(x->f), x->i}; }
static hone_scalar floor_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return (hone_scalar){floor(x->f), x->i}; }
static hone_scalar round_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return (hone_scalar){rint(x->f), x->i}; }
static hone_scalar reciprocal_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(1 / x->f); }
static hone_scalar sin_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(sin(x->f)); }
static hone_scalar cos_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(cos(x->f)); }
static hone_scalar tan_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(tan(x->f)); }
static hone_scalar asin_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(asin(x->f)); }
static hone_scalar acos_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(acos(x->f)); }
static hone_scalar atan_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(atan(x->f)); }
static hone_scalar sinh_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(sinh(x->f)); }
static hone_scalar cosh_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(cosh(x->f)); }
static hone_scalar asinh_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(asinh(x->f)); }
static hone_scalar acosh_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(acosh(x->f)); }
static hone_scalar atanh_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return real(atanh(x->f)); }
static hone_scalar identity_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return *x; }
static hone_scalar not_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(!x->i); }
static hone_scalar bitwisenot_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(~x->i); }

static hone_scalar isnan_of(SCALAR_FUNCTION)
{
    (void)call;
    return integer(hone_dtype_is_float(in_dtype) && isnan(x->f));
}

static hone_scalar sign_of(SCALAR_FUNCTION)
{
    (void)call;
    double f = x->f > 0 ? 1 : x->f < 0 ? -1 : x->f;       // NaN stays
    if (in_dtype == HONE_U64) return integer(x->i != 0);
    return (hone_scalar){f, (x->i > 0) - (x->i < 0)};
}

// ---- unary functions with attributes

static const hone_attr_spec gelu_attrs[] = {{"approx", HONE_ATTR_WORD, "none tanh", "none"}};

static hone_scalar gelu_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    double v = x->f;
    if (call->attrs[0].i[0]) return real(0.5 * v * (1 + tanh(0.79788456080286536 * (v + 0.044715 * v * v * v))));
    return real(0.5 * v * (1 + erf(v * 0.70710678118654752)));
}

static hone_scalar hardswish_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    return real(x->f * fmin(fmax(x->f / 6 + 0.5, 0), 1));
}

static const hone_attr_spec hardsigmoid_attrs[] = {{"alpha", HONE_ATTR_REAL, NULL, "0.2"}, {"beta", HONE_ATTR_REAL, NULL, "0.5"}};

static hone_scalar hardsigmoid_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    return real(fmin(fmax(attr_real(call, 0) * x->f + attr_real(call, 1), 0), 1));
}

static const hone_attr_spec clip_attrs[] = {{"min", HONE_ATTR_REAL, NULL, "-inf"}, {"max", HONE_ATTR_REAL, NULL, "inf"}};

static hone_scalar clip_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    double low = attr_real(call, 0), high = attr_real(call, 1);
    hone_scalar y = *x;
    if (y.f < low) y = (hone_scalar){low, hone_int_from_double(low)};
    return y.f > high ? (hone_scalar){high, hone_int_from_double(high)} : y;       // max wins, NaN stays
}

static const hone_attr_spec alpha1_attrs[] = {{"alpha", HONE_ATTR_REAL, NULL, "1"}};

static hone_scalar elu_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    return real(x->f >= 0 ? x->f : attr_real(call, 0) * expm1(x->f));
}

static const hone_attr_spec selu_attrs[] = {{"alpha", HONE_ATTR_REAL, NULL, "1.6732632"}, {"gamma", HONE_ATTR_REAL, NULL, "1.050701"}};

static hone_scalar selu_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    return real(attr_real(call, 1) * (x->f >= 0 ? x->f : attr_real(call, 0) * expm1(x->f)));
}

static hone_scalar celu_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    return real(x->f >= 0 ? x->f : attr_real(call, 0) * expm1(x->f / attr_real(call, 0)));
}

static const hone_attr_spec leakyrelu_attrs[] = {{"alpha", HONE_ATTR_REAL, NULL, "0.01"}};

static hone_scalar leakyrelu_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    return real(x->f >= 0 ? x->f : attr_real(call, 0) * x->f);
}

static hone_scalar thresholdedrelu_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    return real(x->f > attr_real(call, 0) ? x->f : 0);
}

static const hone_attr_spec isinf_attrs[] = {{"positive", HONE_ATTR_INT, NULL, "1"}, {"negative", HONE_ATTR_INT, NULL, "1"}};

static hone_scalar isinf_of(SCALAR_FUNCTION)
{
    if (!hone_dtype_is_float(in_dtype) || !isinf(x->f)) return integer(0);
    return integer(call->attrs[x->f > 0 ? 0 : 1].i[0] != 0);
}

static const hone_attr_spec cast_attrs[] = {{"to", HONE_ATTR_DTYPE, NULL, NULL}};

static hone_scalar cast_of(SCALAR_FUNCTION)
{
    hone_dtype to = (hone_dtype)call->attrs[0].i[0];
    bool from_float = hone_dtype_is_float(in_dtype);
    double f = in_dtype == HONE_U64 ? (double)(uint64_t)x->i : x->f;
    if (hone_dtype_is_float(to)) return real(hone_float_round(f, to));
    if (to == HONE_BOOL) return integer(from_float ? x->f != 0 : x->i != 0);
    if (from_float && to == HONE_U64 && x->f >= 0x1p63) return integer((int64_t)(uint64_t)fmin(x->f, 0x1.fffffffffffffp63));
    return integer(from_float ? hone_int_from_double(x->f) : x->i);
}

static const hone_attr_spec shrink_attrs[] = {{"bias", HONE_ATTR_REAL, NULL, "0"}, {"lambd", HONE_ATTR_REAL, NULL, "0.5"}};

static hone_scalar shrink_of(SCALAR_FUNCTION)
{
    double bias = attr_real(call, 0), limit = attr_real(call, 1);
    double f = in_dtype == HONE_U64 ? (double)(uint64_t)x->i : x->f;
    double shrunk = f < -limit ? f + bias : f > limit ? f - bias : 0;
    return (hone_scalar){shrunk, hone_int_from_double(shrunk)};
}

// ---- binary functions. Integer arithmetic wraps around; what C leaves undefined gives 0.

static int64_t divide(int64_t a, int64_t b, hone_dtype dtype)
{
    if (!b) return 0;
    if (dtype == HONE_U64) return (int64_t)((uint64_t)a / (uint64_t)b);
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b, hone_dtype dtype)
{
    if (!b || b == -1) return b && dtype == HONE_U64 ? (int64_t)((uint64_t)a % (uint64_t)b) : 0;
    return dtype == HONE_U64 ? (int64_t)((uint64_t)a % (uint64_t)b) : a % b;
}

// -1, 0 or 1 as a is below, equal to or above b; 2 when unordered.
static int order(const hone_scalar *x, hone_dtype dtype)
{
    if (hone_dtype_is_float(dtype)) {
        if (isnan(x[0].f) || isnan(x[1].f)) return 2;
        return (x[0].f > x[1].f) - (x[0].f < x[1].f);
    }
    if (dtype == HONE_U64) return ((uint64_t)x[0].i > (uint64_t)x[1].i) - ((uint64_t)x[0].i < (uint64_t)x[1].i);
    return (x[0].i > x[1].i) - (x[0].i < x[1].i);
}

static hone_scalar add_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    return (hone_scalar){x[0].f + x[1].f, (int64_t)((uint64_t)x[0].i + (uint64_t)x[1].i)};
}

static hone_scalar sub_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    return (hone_scalar){x[0].f - x[1].f, (int64_t)((uint64_t)x[0].i - (uint64_t)x[1].i)};
}

static hone_scalar mul_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    return (hone_scalar){x[0].f * x[1].f, (int64_t)((uint64_t)x[0].i * (uint64_t)x[1].i)};
}

static hone_scalar div_of(SCALAR_FUNCTION)
{
    (void)call;
    if (hone_dtype_is_float(in_dtype)) return real(x[0].f / x[1].f);
    return integer(divide(x[0].i, x[1].i, in_dtype));
}

static int64_t power(int64_t base, int64_t exponent)
{
    uint64_t result = 1, square = (uint64_t)base;
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    for (; exponent; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return (int64_t)result;
}

static hone_scalar pow_of(SCALAR_FUNCTION)
{
    (void)call;
    double f = pow(x[0].f, x[1].f);
    if (hone_dtype_is_float(in_dtype)) return (hone_scalar){f, hone_int_from_double(f)};
    return (hone_scalar){f, power(x[0].i, x[1].i)};
}

static hone_scalar min_of(SCALAR_FUNCTION)
{
    (void)call;
    if (order(x, in_dtype) == 2) return real(NAN);
    return x[order(x, in_dtype) > 0];
}

static hone_scalar max_of(SCALAR_FUNCTION)
{
    (void)call;
    if (order(x, in_dtype) == 2) return real(NAN);
    return x[order(x, in_dtype) < 0];
}

static const hone_attr_spec mod_attrs[] = {{"fmod", HONE_ATTR_INT, NULL, "0"}};

// fmod=0: the sign of the divisor, as Python's %; fmod=1: the sign of the dividend, as C's fmod.
static hone_scalar mod_of(SCALAR_FUNCTION)
{
    bool is_fmod = call->attrs[0].i[0] != 0;
    if (hone_dtype_is_float(in_dtype)) {
        double r = fmod(x[0].f, x[1].f);
        return real(!is_fmod && r != 0 && (r < 0) != (x[1].f < 0) ? r + x[1].f : r);
    }
    int64_t r = remainder_of(x[0].i, x[1].i, in_dtype);
    bool crosses = in_dtype != HONE_U64 && r && (r < 0) != (x[1].i < 0);
    return integer(!is_fmod && crosses ? r + x[1].i : r);
}

static hone_scalar and_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(x[0].i && x[1].i); }
static hone_scalar or_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(x[0].i || x[1].i); }
static hone_scalar xor_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(!x[0].i != !x[1].i); }
static hone_scalar equal_of(SCALAR_FUNCTION) { (void)call; return integer(order(x, in_dtype) == 0); }
static hone_scalar less_of(SCALAR_FUNCTION) { (void)call; return integer(order(x, in_dtype) == -1); }
static hone_scalar greater_of(SCALAR_FUNCTION) { (void)call; return integer(order(x, in_dtype) == 1); }
static hone_scalar lessorequal_of(SCALAR_FUNCTION) { (void)call; return integer(order(x, in_dtype) <= 0); }
static hone_scalar bitwise_and_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(x[0].i & x[1].i); }
static hone_scalar bitwise_or_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(x[0].i | x[1].i); }
static hone_scalar bitwise_xor_of(SCALAR_FUNCTION) { (void)call, (void)in_dtype; return integer(x[0].i ^ x[1].i); }

static hone_scalar greaterorequal_of(SCALAR_FUNCTION)
{
    (void)call;
    int o = order(x, in_dtype);
    return integer(o == 0 || o == 1);
}

static const hone_attr_spec bitshift_attrs[] = {{"direction", HONE_ATTR_WORD, "left right", NULL}};

static hone_scalar bitshift_of(SCALAR_FUNCTION)
{
    (void)in_dtype;
    uint64_t value = (uint64_t)x[0].i, by = (uint64_t)x[1].i;
    if (by >= 64) return integer(0);
    return integer((int64_t)(call->attrs[0].i[0] ? value >> by : value << by));
}

static int64_t eight_bits(const hone_call *call, const hone_tensor *const *in)
{
    (void)call, (void)in;
    return 8;
}

static hone_scalar prelu_of(SCALAR_FUNCTION)
{
    hone_scalar product = mul_of(call, x, in_dtype);
    bool is_negative = hone_dtype_is_float(in_dtype) ? x[0].f < 0 : in_dtype != HONE_U64 && x[0].i < 0;
    return is_negative ? product : x[0];
}

static hone_scalar where_of(SCALAR_FUNCTION)
{
    (void)call, (void)in_dtype;
    return x[x[0].i ? 1 : 2];
}

// ---- descriptors

#define RELU_INT "(a > 0 ? a : 0)"

const hone_op hone_op_abs = {.name = "abs", UNARY, .scalar = abs_of, .expr = "fabsf(a)", .expr_int = "(a < 0 ? -a : a)", .onnx = "Abs"};
const hone_op hone_op_neg = {.name = "neg", UNARY, .scalar = neg_of, .expr = "-a", .onnx = "Neg"};
const hone_op hone_op_relu = {.name = "relu", UNARY, .scalar = relu_of, .expr = "fmaxf(a, 0.0f)", .expr_int = RELU_INT, .onnx = "Relu"};
const hone_op hone_op_sigmoid = {
    .name = "sigmoid", REAL, .scalar = sigmoid_of, .expr = "__fdividef(1.0f, 1.0f + expf(-a))",
    .expr_16 = "hone_sigmoid(a)", .onnx = "Sigmoid"};
const hone_op hone_op_tanh = {.name = "tanh", REAL, .scalar = tanh_of, .expr = "tanhf(a)", .onnx = "Tanh"};
const hone_op hone_op_exp = {.name = "exp", REAL, .scalar = exp_of, .expr = "expf(a)", .onnx = "Exp"};
const hone_op hone_op_log = {.name = "log", REAL, .domains = "p", .scalar = log_of, .expr = "logf(a)", .onnx = "Log"};
const hone_op hone_op_sqrt = {.name = "sqrt", REAL, .domains = "p", .scalar = sqrt_of, .expr = "sqrtf(a)", .onnx = "Sqrt"};
const hone_op hone_op_rsqrt = {.name = "rsqrt", REAL, .domains = "p", .scalar = rsqrt_of, .expr = "rsqrtf(a)"};
const hone_op hone_op_erf = {.name = "erf", REAL, .scalar = erf_of, .expr = "erff(a)", .onnx = "Erf"};
const hone_op hone_op_gelu = {
    .name = "gelu", REAL, ATTRS(gelu_attrs), .scalar = gelu_of,
    .expr = "{approx} ? 0.5f * a * (1.0f + tanhf(0.79788456f * (a + 0.044715f * a * a * a)))"
            " : 0.5f * a * (1.0f + erff(a * 0.70710678f))",
    .expr_16 = "{approx} ? hone_gelu_tanh(a) : hone_gelu(a)",
    .onnx = "Gelu x approximate=approx"};
const hone_op hone_op_hardswish = {
    .name = "hardswish", REAL, .scalar = hardswish_of,
    .expr = "a * fminf(fmaxf(a * 0.16666667f + 0.5f, 0.0f), 1.0f)", .onnx = "HardSwish"};
const hone_op hone_op_hardsigmoid = {
    .name = "hardsigmoid", REAL, ATTRS(hardsigmoid_attrs), .scalar = hardsigmoid_of,
    .expr = "fminf(fmaxf({alpha} * a + {beta}, 0.0f), 1.0f)", .onnx = "HardSigmoid"};
const hone_op hone_op_clip = {
    .name = "clip", UNARY, ATTRS(clip_attrs), .scalar = clip_of, .expr = "fminf(fmaxf(a, {min}), {max})",
    .expr_int = "(a > {max} ? (long long){max} : a < {min} ? (long long){min} : a)", .onnx = "Clip x @min @max"};
const hone_op hone_op_elu = {
    .name = "elu", REAL, ATTRS(alpha1_attrs), .scalar = elu_of, .expr = "(a >= 0.0f ? a : {alpha} * expm1f(a))", .onnx = "Elu"};
const hone_op hone_op_selu = {
    .name = "selu", REAL, ATTRS(selu_attrs), .scalar = selu_of,
    .expr = "{gamma} * (a >= 0.0f ? a : {alpha} * expm1f(a))", .onnx = "Selu"};
const hone_op hone_op_celu = {
    .name = "celu", REAL, ATTRS(alpha1_attrs), .scalar = celu_of,
    .expr = "(a >= 0.0f ? a : {alpha} * expm1f(a / {alpha}))", .onnx = "Celu"};
const hone_op hone_op_leakyrelu = {
    .name = "leakyrelu", REAL, ATTRS(leakyrelu_attrs), .scalar = leakyrelu_of, .expr = "(a >= 0.0f ? a : {alpha} * a)",
    .onnx = "LeakyRelu"};
const hone_op hone_op_softplus = {
    .name = "softplus", REAL, .scalar = softplus_of, .expr = "fmaxf(a, 0.0f) + log1pf(expf(-fabsf(a)))", .onnx = "Softplus"};
const hone_op hone_op_softsign = {
    .name = "softsign", REAL, .scalar = softsign_of, .expr = "a / (1.0f + fabsf(a))", .onnx = "Softsign"};
const hone_op hone_op_thresholdedrelu = {
    .name = "thresholdedrelu", REAL, ATTRS(alpha1_attrs), .scalar = thresholdedrelu_of, .expr = "(a > {alpha} ? a : 0.0f)",
    .onnx = "ThresholdedRelu"};
const hone_op hone_op_mish = {
    .name = "mish", REAL, .scalar = mish_of, .expr = "a * tanhf(fmaxf(a, 0.0f) + log1pf(expf(-fabsf(a))))", .onnx = "Mish"};
const hone_op hone_op_silu = {
    .name = "silu", REAL, .scalar = silu_of, .expr = "__fdividef(a, 1.0f + expf(-a))",
    .expr_16 = "hone_silu(a)"};
const hone_op hone_op_ceil = {.name = "ceil", REAL, .scalar = ceil_of, .expr = "ceilf(a)", .expr_int = "a", .onnx = "Ceil"};
const hone_op hone_op_floor = {.name = "floor", REAL, .scalar = floor_of, .expr = "floorf(a)", .expr_int = "a", .onnx = "Floor"};
const hone_op hone_op_round = {.name = "round", REAL, .scalar = round_of, .expr = "rintf(a)", .expr_int = "a", .onnx = "Round"};
const hone_op hone_op_sign = {
    .name = "sign", UNARY, .scalar = sign_of, .expr = "(a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : a)",
    .expr_int = "(a > 0 ? 1 : a < 0 ? -1 : 0)", .onnx = "Sign"};
const hone_op hone_op_reciprocal = {
    .name = "reciprocal", REAL, .domains = "p", .scalar = reciprocal_of, .expr = "1.0f / a", .onnx = "Reciprocal"};
const hone_op hone_op_sin = {.name = "sin", REAL, .scalar = sin_of, .expr = "sinf(a)", .onnx = "Sin"};
const hone_op hone_op_cos = {.name = "cos", REAL, .scalar = cos_of, .expr = "cosf(a)", .onnx = "Cos"};
const hone_op hone_op_tan = {.name = "tan", REAL, .domains = "u", .scalar = tan_of, .expr = "tanf(a)", .onnx = "Tan"};
const hone_op hone_op_asin = {.name = "asin", REAL, .domains = "u", .scalar = asin_of, .expr = "asinf(a)", .onnx = "Asin"};
const hone_op hone_op_acos = {.name = "acos", REAL, .domains = "u", .scalar = acos_of, .expr = "acosf(a)", .onnx = "Acos"};
const hone_op hone_op_atan = {.name = "atan", REAL, .scalar = atan_of, .expr = "atanf(a)", .onnx = "Atan"};
const hone_op hone_op_sinh = {.name = "sinh", REAL, .scalar = sinh_of, .expr = "sinhf(a)", .onnx = "Sinh"};
const hone_op hone_op_cosh = {.name = "cosh", REAL, .scalar = cosh_of, .expr = "coshf(a)", .onnx = "Cosh"};
const hone_op hone_op_asinh = {.name = "asinh", REAL, .scalar = asinh_of, .expr = "asinhf(a)", .onnx = "Asinh"};
const hone_op hone_op_acosh = {.name = "acosh", REAL, .domains = "a", .scalar = acosh_of, .expr = "acoshf(a)", .onnx = "Acosh"};
const hone_op hone_op_atanh = {.name = "atanh", REAL, .domains = "u", .scalar = atanh_of, .expr = "atanhf(a)", .onnx = "Atanh"};
const hone_op hone_op_not = {
    .name = "not", .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = logic_shape, .scalar = not_of,
    .expr = "(a == 0)", .expr_int = "(a == 0)", .onnx = "Not"};
const hone_op hone_op_isnan = {
    .name = "isnan", .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = predicate_shape, .scalar = isnan_of,
    .expr = "a != a", .onnx = "IsNaN"};
const hone_op hone_op_isinf = {
    .name = "isinf", .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = predicate_shape, ATTRS(isinf_attrs),
    .scalar = isinf_of, .expr = "(isinf(a) && ((a > 0.0f && {positive}) || (a < 0.0f && {negative})))", .expr_int = "0",
    .onnx = "IsInf x detect_positive=positive detect_negative=negative"};
const hone_op hone_op_identity = {.name = "identity", UNARY, .scalar = identity_of, .expr = "a", .onnx = "Identity"};
const hone_op hone_op_cast = {
    .name = "cast", .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = cast_shape, ATTRS(cast_attrs),
    .scalar = cast_of, .expr = "a", .onnx = "Cast"};
const hone_op hone_op_shrink = {
    .name = "shrink", UNARY, ATTRS(shrink_attrs), .scalar = shrink_of,
    .expr = "(a < -{lambd} ? a + {bias} : a > {lambd} ? a - {bias} : 0.0f)", .onnx = "Shrink"};
const hone_op hone_op_bitwisenot = {
    .name = "bitwisenot", .kind = HONE_OP_ELEMENTWISE, .inputs = "x", .outputs = 1, .shape = integer_shape,
    .scalar = bitwisenot_of, .expr_int = "~a", .onnx = "BitwiseNot"};

const hone_op hone_op_add = {.name = "add", BINARY, .scalar = add_of, .expr = "a + b", .onnx = "Add"};
const hone_op hone_op_sub = {.name = "sub", BINARY, .scalar = sub_of, .expr = "a - b", .onnx = "Sub"};
const hone_op hone_op_mul = {.name = "mul", BINARY, .scalar = mul_of, .expr = "a * b", .onnx = "Mul"};
const hone_op hone_op_div = {
    .name = "div", BINARY, .domains = "np", .scalar = div_of, .expr = "a / b", .expr_int = "(b ? a / b : 0)", .onnx = "Div"};
const hone_op hone_op_pow = {
    .name = "pow", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .domains = "pn", .outputs = 1, .shape = pow_shape,
    .scalar = pow_of, .expr = "powf(a, b)", .onnx = "Pow"};
const hone_op hone_op_min = {
    .name = "min", BINARY, .scalar = min_of, .expr = "fminf(a, b)", .expr_int = "(a < b ? a : b)"};
const hone_op hone_op_max = {
    .name = "max", BINARY, .scalar = max_of, .expr = "fmaxf(a, b)", .expr_int = "(a > b ? a : b)"};
const hone_op hone_op_mod = {
    .name = "mod", BINARY, .domains = "np", ATTRS(mod_attrs), .scalar = mod_of,
    .expr = "({fmod} ? fmodf(a, b) : a - b * floorf(a / b))",
    .expr_int = "(b == 0 ? 0 : ({fmod} || a % b == 0 || (a % b < 0) == (b < 0)) ? a % b : a % b + b)", .onnx = "Mod"};
const hone_op hone_op_and = {
    .name = "and", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = logic_shape, .scalar = and_of,
    .expr = "(a != 0 && b != 0)", .expr_int = "(a != 0 && b != 0)", .onnx = "And"};
const hone_op hone_op_or = {
    .name = "or", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = logic_shape, .scalar = or_of,
    .expr = "(a != 0 || b != 0)", .expr_int = "(a != 0 || b != 0)", .onnx = "Or"};
const hone_op hone_op_xor = {
    .name = "xor", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = logic_shape, .scalar = xor_of,
    .expr = "((a != 0) != (b != 0))", .expr_int = "((a != 0) != (b != 0))", .onnx = "Xor"};
const hone_op hone_op_equal = {.name = "equal", COMPARE, .scalar = equal_of, .expr = "a == b", .onnx = "Equal"};
const hone_op hone_op_less = {.name = "less", COMPARE, .scalar = less_of, .expr = "a < b", .onnx = "Less"};
const hone_op hone_op_greater = {.name = "greater", COMPARE, .scalar = greater_of, .expr = "a > b", .onnx = "Greater"};
const hone_op hone_op_lessorequal = {
    .name = "lessorequal", COMPARE, .scalar = lessorequal_of, .expr = "a <= b", .onnx = "LessOrEqual"};
const hone_op hone_op_greaterorequal = {
    .name = "greaterorequal", COMPARE, .scalar = greaterorequal_of, .expr = "a >= b", .onnx = "GreaterOrEqual"};
const hone_op hone_op_bitshift = {
    .name = "bitshift", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .domains = "ni", .outputs = 1, .shape = integer_shape,
    ATTRS(bitshift_attrs), .scalar = bitshift_of, .index_bound = eight_bits,
    .expr_int = "(b < 0 || b > 63 ? 0 : {direction} ? (long long)((unsigned long long)a >> b) : (long long)((unsigned long long)a << b))",
    .onnx = "BitShift"};
const hone_op hone_op_bitwise_and = {
    .name = "bitwise_and", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = integer_shape,
    .scalar = bitwise_and_of, .expr_int = "(a & b)", .onnx = "BitwiseAnd"};
const hone_op hone_op_bitwise_or = {
    .name = "bitwise_or", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = integer_shape,
    .scalar = bitwise_or_of, .expr_int = "(a | b)", .onnx = "BitwiseOr"};
const hone_op hone_op_bitwise_xor = {
    .name = "bitwise_xor", .kind = HONE_OP_ELEMENTWISE, .inputs = "a b", .outputs = 1, .shape = integer_shape,
    .scalar = bitwise_xor_of, .expr_int = "(a ^ b)", .onnx = "BitwiseXor"};
const hone_op hone_op_prelu = {
    .name = "prelu", .kind = HONE_OP_ELEMENTWISE, .inputs = "x slope", .outputs = 1, .shape = prelu_shape, .scalar = prelu_of,
    .expr = "(a >= 0.0f ? a : b * a)", .expr_int = "(a >= 0 ? a : b * a)", .onnx = "PRelu"};
const hone_op hone_op_where = {
    .name = "where", .kind = HONE_OP_ELEMENTWISE, .inputs = "c a b", .outputs = 1, .shape = where_shape, .scalar = where_of,
    .expr = "(a != 0 ? b : c)", .expr_int = "(a != 0 ? b : c)", .onnx = "Where"};
