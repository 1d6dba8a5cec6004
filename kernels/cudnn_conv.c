// SPDX-License-Identifier: Apache-2.0
// Convolution, then a chain of pointwise operations with float tensors between, as a cuDNN operation graph. Dims are
// given in logical order (N, C, spatial...) with strides that say the layout; a rank of 3 becomes an image of height 1.
#include <math.h>
#include <string.h>

#include "kernels/cudnn_graph_priv.h"
#include "kernels/tail.h"

// ---- pointwise operations

typedef struct pointwise {
    const char *op;           // hone's name
    int mode;
    int n_in;
    // Attributes of the mode; false when cuDNN has no such form. low, high: clips; slope below low; one more parameter.
    bool (*fill)(const hone_call *call, int *mode, double *low, double *high, double *slope, double *parameter);
    int parameter;            // attribute that takes `parameter`
} pointwise;

static bool fill_clip(const hone_call *call, int *mode, double *low, double *high, double *slope, double *parameter)
{
    (void)mode, (void)slope, (void)parameter;
    *low = hone_call_real(call, "min");
    *high = hone_call_real(call, "max");
    return *low == 0 && isfinite(*high);
}

static bool fill_leaky(const hone_call *call, int *mode, double *low, double *high, double *slope, double *parameter)
{
    (void)mode, (void)low, (void)high, (void)parameter;
    *slope = hone_call_real(call, "alpha");
    return true;
}

static bool fill_gelu(const hone_call *call, int *mode, double *low, double *high, double *slope, double *parameter)
{
    (void)low, (void)high, (void)slope, (void)parameter;
    if (!strcmp(hone_call_word(call, "approx"), "tanh")) *mode = V_CUDNN_POINTWISE_GELU_APPROX_TANH_FWD;
    return true;
}

static bool fill_elu(const hone_call *call, int *mode, double *low, double *high, double *slope, double *parameter)
{
    (void)mode, (void)low, (void)high, (void)slope;
    *parameter = hone_call_real(call, "alpha");
    return true;
}

static bool fill_one(const hone_call *call, int *mode, double *low, double *high, double *slope, double *parameter)
{
    (void)call, (void)mode, (void)low, (void)high, (void)slope;
    *parameter = 1;
    return true;
}

static const pointwise table[] = {
    {"add", V_CUDNN_POINTWISE_ADD, 2, NULL, 0},
    {"sub", V_CUDNN_POINTWISE_SUB, 2, NULL, 0},
    {"mul", V_CUDNN_POINTWISE_MUL, 2, NULL, 0},
    {"div", V_CUDNN_POINTWISE_DIV, 2, NULL, 0},
    {"max", V_CUDNN_POINTWISE_MAX, 2, NULL, 0},
    {"min", V_CUDNN_POINTWISE_MIN, 2, NULL, 0},
    {"relu", V_CUDNN_POINTWISE_RELU_FWD, 1, NULL, 0},
    {"clip", V_CUDNN_POINTWISE_RELU_FWD, 1, fill_clip, 0},
    {"leakyrelu", V_CUDNN_POINTWISE_RELU_FWD, 1, fill_leaky, 0},
    {"sigmoid", V_CUDNN_POINTWISE_SIGMOID_FWD, 1, NULL, 0},
    {"tanh", V_CUDNN_POINTWISE_TANH_FWD, 1, NULL, 0},
    {"silu", V_CUDNN_POINTWISE_SWISH_FWD, 1, fill_one, V_CUDNN_ATTR_POINTWISE_SWISH_BETA},
    {"gelu", V_CUDNN_POINTWISE_GELU_FWD, 1, fill_gelu, 0},
    {"elu", V_CUDNN_POINTWISE_ELU_FWD, 1, fill_elu, V_CUDNN_ATTR_POINTWISE_ELU_ALPHA},
    {"softplus", V_CUDNN_POINTWISE_SOFTPLUS_FWD, 1, fill_one, V_CUDNN_ATTR_POINTWISE_SOFTPLUS_BETA},
    {"abs", V_CUDNN_POINTWISE_ABS, 1, NULL, 0},
    {"neg", V_CUDNN_POINTWISE_NEG, 1, NULL, 0},
    {"exp", V_CUDNN_POINTWISE_EXP, 1, NULL, 0},
    {"log", V_CUDNN_POINTWISE_LOG, 1, NULL, 0},
    {"sqrt", V_CUDNN_POINTWISE_SQRT, 1, NULL, 0},
    {"rsqrt", V_CUDNN_POINTWISE_RSQRT, 1, NULL, 0},
    {"erf", V_CUDNN_POINTWISE_ERF, 1, NULL, 0},
    {"reciprocal", V_CUDNN_POINTWISE_RECIPROCAL, 1, NULL, 0},
    {"identity", V_CUDNN_POINTWISE_IDENTITY, 1, NULL, 0},
};

static const pointwise *find_pointwise(const char *op)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].op, op)) return &table[i];
    return NULL;
}

// hardsigmoid and hardswish are made of steps with constants.
static bool is_hard(const char *op)
{
    return !strcmp(op, "hardswish") || !strcmp(op, "hardsigmoid");
}

static hone_status check_link(const hone_problem *problem, const hone_tail_link *link)
{
    const char *name = link->call->op->name;
    const pointwise *found = find_pointwise(name);
    double low = 0, high = 0, slope = 0, parameter = 0;
    int type, mode = 0;
    if (is_hard(name)) return HONE_OK;
    if (!found || found->n_in != link->call->n_in) return hone_fail(HONE_DECLINED, "cuDNN has no pointwise operation for %s", name);
    if (found->fill && !found->fill(link->call, &mode, &low, &high, &slope, &parameter))
        return hone_fail(HONE_DECLINED, "cuDNN has no %s with these attributes", name);
    if (link->operand < 0) return HONE_OK;
    const hone_tensor *operand = &problem->operands[link->operand];
    if (!hone_cudnn_type(operand->dtype, &type)) return hone_fail(HONE_DECLINED, "cuDNN is offered for floating-point operands only");
    if (link->kind == HONE_TAIL_FULL && operand->layout != problem->out[0].layout)
        return hone_fail(HONE_DECLINED, "an operand of another layout than the result's is not offered");
    return HONE_OK;
}

// ---- what is offered

static bool is_layout_free(const hone_tensor *w)
{
    bool taps = false;
    for (int k = 2; k < w->rank; k++) taps |= w->dims[k] != 1;
    return !taps || w->dims[1] == 1;
}

static hone_status check_conv(const hone_problem *problem)
{
    const hone_step *step = &problem->steps[0];
    if (strcmp(step->call.op->name, "conv")) return hone_fail(HONE_DECLINED, "cuDNN is offered for convolutions of whole operands");
    const hone_tensor *x = &problem->operands[step->in[0].index], *w = &problem->operands[step->in[1].index];
    if (x->dtype != w->dtype) return hone_fail(HONE_DECLINED, "cuDNN is offered for an image and weights of one type");
    if (x->layout != problem->out[0].layout || (w->layout != x->layout && !is_layout_free(w)))
        return hone_fail(HONE_DECLINED, "cuDNN is offered for an image, weights and a result of one layout");
    if (hone_tensor_count(&problem->out[0]) == 0 || hone_tensor_count(w) == 0) return hone_fail(HONE_DECLINED, "an empty convolution");
    return HONE_OK;
}

static hone_status read_tail(const hone_problem *problem, hone_tail *tail)
{
    hone_status status = hone_tail_read(problem, 1, tail);
    for (int i = 0; !status && i < tail->n; i++) status = check_link(problem, &tail->links[i]);
    return status;
}

static hone_status check(const hone_problem *problem)
{
    hone_tail tail;
    hone_status status = check_conv(problem);
    return status ? status : read_tail(problem, &tail);
}

static void set_strides(hone_cudnn_shape *s, bool channels_last)
{
    int64_t step = 1;
    if (channels_last) {
        s->strides[1] = 1;
        step = s->dims[1];
    }
    for (int k = s->rank - 1; k >= 2; k--) {
        s->strides[k] = step;
        step *= s->dims[k];
    }
    if (!channels_last) {
        s->strides[1] = step;
        step *= s->dims[1];
    }
    s->strides[0] = step;
}

static hone_cudnn_shape shape_of(const hone_tensor *tensor, hone_layout layout)
{
    hone_cudnn_shape s = {.rank = tensor->rank < 4 ? 4 : tensor->rank};
    int gap = s.rank - tensor->rank;                     // a spatial axis of 1 before the others
    for (int k = 0; k < s.rank; k++) s.dims[k] = k < 2 ? tensor->dims[k] : k < 2 + gap ? 1 : tensor->dims[k - gap];
    set_strides(&s, layout == HONE_NHWC);
    return s;
}

static hone_cudnn_shape channel_shape(int rank, int64_t channels, hone_layout layout)
{
    hone_cudnn_shape s = {.rank = rank, .dims = {1, channels, 1, 1, 1}};
    set_strides(&s, layout == HONE_NHWC);
    return s;
}

// ---- building

typedef struct build {
    hone_cudnn_graph *graph;
    const hone_problem *problem;
    hone_cudnn_shape result;
    hone_layout layout;
    int links_left;                       // pointwise operations still to come: the last one writes the result
    v_cudnnBackendDescriptor_t chain;
} build;

// The tensor that the next operation writes: an inner one in float, or the result.
static hone_status make_next(build *b, v_cudnnBackendDescriptor_t *made)
{
    if (b->links_left == 0) return hone_cudnn_result(b->graph, b->problem, &b->result, made);
    return hone_cudnn_inner(b->graph, V_CUDNN_DATA_FLOAT, &b->result, made);
}

// chain = mode(x, y)
static hone_status add_pointwise(build *b, const hone_cudnn_mode *m, v_cudnnBackendDescriptor_t x, v_cudnnBackendDescriptor_t y)
{
    v_cudnnBackendDescriptor_t next;
    b->links_left--;
    hone_status status = make_next(b, &next);
    if (!status) status = hone_cudnn_add_pointwise(b->graph, m, x, y, next);
    b->chain = next;
    return status;
}

static hone_status add_with_constant(build *b, int what, float constant)
{
    v_cudnnBackendDescriptor_t value;
    hone_status status = hone_cudnn_constant(b->graph, constant, b->result.rank, &value);
    return status ? status : add_pointwise(b, &(hone_cudnn_mode){.mode = what, .high = INFINITY}, b->chain, value);
}

static int hard_steps(const char *op)
{
    return !strcmp(op, "hardswish") ? 4 : 3;
}

// hardsigmoid(x) = clip(alpha x + beta, 0, 1); hardswish(x) = x clip(x + 3, 0, 6) / 6.
static hone_status add_hard(build *b, const hone_call *call)
{
    bool swish = !strcmp(call->op->name, "hardswish");
    v_cudnnBackendDescriptor_t x = b->chain;
    hone_status status = HONE_OK;
    if (!swish) HONE_TRY(add_with_constant(b, V_CUDNN_POINTWISE_MUL, (float)hone_call_real(call, "alpha")));
    HONE_TRY(add_with_constant(b, V_CUDNN_POINTWISE_ADD, swish ? 3 : (float)hone_call_real(call, "beta")));
    HONE_TRY(add_pointwise(b, &(hone_cudnn_mode){.mode = V_CUDNN_POINTWISE_RELU_FWD, .high = swish ? 6 : 1}, b->chain, NULL));
    if (swish) {
        HONE_TRY(add_pointwise(b, &(hone_cudnn_mode){.mode = V_CUDNN_POINTWISE_MUL, .high = INFINITY}, x, b->chain));
        HONE_TRY(add_with_constant(b, V_CUDNN_POINTWISE_MUL, 1.0f / 6));
    }
out:
    return status;
}

static hone_status add_link(build *b, const hone_tail_link *link)
{
    const pointwise *found = find_pointwise(link->call->op->name);
    v_cudnnBackendDescriptor_t operand = NULL;
    if (is_hard(link->call->op->name)) return add_hard(b, link->call);
    hone_cudnn_mode m = {.mode = found->mode, .high = INFINITY, .parameter_name = found->parameter};
    if (found->fill) found->fill(link->call, &m.mode, &m.low, &m.high, &m.slope, &m.parameter);
    if (link->operand < 0) return add_pointwise(b, &m, b->chain, NULL);
    hone_cudnn_shape s = link->kind == HONE_TAIL_FULL ? b->result
        : channel_shape(b->result.rank, link->kind == HONE_TAIL_CHANNEL ? b->result.dims[1] : 1, b->layout);
    hone_status status = hone_cudnn_operand(b->graph, b->problem, link->operand, &s, &operand);
    if (status) return status;
    return link->is_left ? add_pointwise(b, &m, operand, b->chain) : add_pointwise(b, &m, b->chain, operand);
}

static hone_status make_window(build *b, v_cudnnBackendDescriptor_t *made)
{
    const hone_call *call = &b->problem->steps[0].call;
    int64_t n = b->result.rank - 2, given = b->problem->out[0].rank - 2;
    int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, begin[3] = {0}, end[3] = {0};
    const int type = V_CUDNN_DATA_FLOAT, cross = V_CUDNN_CROSS_CORRELATION;
    hone_status status = HONE_OK;
    for (int64_t k = 0; k < given; k++) {
        int64_t at = n - given + k;
        stride[at] = hone_call_int_at(call, "stride", (int)k);
        dilation[at] = hone_call_int_at(call, "dilation", (int)k);
        begin[at] = hone_call_int_at(call, "pad", (int)k);
        end[at] = hone_call_int_at(call, "pad", (int)(given + k));
    }
    HONE_TRY(hone_cudnn_make(b->graph, V_CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, made));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, V_CUDNN_TYPE_INT64, 1, &n));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_COMP_TYPE, V_CUDNN_TYPE_DATA_TYPE, 1, &type));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_CONV_MODE, V_CUDNN_TYPE_CONVOLUTION_MODE, 1, &cross));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, V_CUDNN_TYPE_INT64, n, stride));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_DILATIONS, V_CUDNN_TYPE_INT64, n, dilation));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, V_CUDNN_TYPE_INT64, n, begin));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, V_CUDNN_TYPE_INT64, n, end));
    HONE_TRY(hone_cudnn_finish(*made, "a convolution was refused"));
out:
    return status;
}

static hone_status add_conv(build *b)
{
    const hone_step *step = &b->problem->steps[0];
    v_cudnnBackendDescriptor_t x, w, y, window, op;
    const float one = 1, zero = 0;
    hone_status status = HONE_OK;
    hone_cudnn_shape image = shape_of(&b->problem->operands[step->in[0].index], b->layout);
    hone_cudnn_shape weights = shape_of(&b->problem->operands[step->in[1].index], b->layout);
    HONE_TRY(hone_cudnn_operand(b->graph, b->problem, step->in[0].index, &image, &x));
    HONE_TRY(hone_cudnn_operand(b->graph, b->problem, step->in[1].index, &weights, &w));
    HONE_TRY(make_window(b, &window));
    HONE_TRY(make_next(b, &y));
    HONE_TRY(hone_cudnn_make(b->graph, V_CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, &op));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &window));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, V_CUDNN_TYPE_FLOAT, 1, &one));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, V_CUDNN_TYPE_FLOAT, 1, &zero));
    HONE_TRY(hone_cudnn_add_op(b->graph, op));
    b->chain = y;
out:
    return status;
}

static int bias_operand(const hone_problem *problem)
{
    const hone_step *step = &problem->steps[0];
    return step->call.n_in > 2 && step->in[2].kind == HONE_REF_OPERAND ? step->in[2].index : -1;
}

static hone_status build_ops(build *b, const hone_tail *tail)
{
    int bias = bias_operand(b->problem);
    v_cudnnBackendDescriptor_t operand;
    hone_status status = HONE_OK;
    b->links_left = bias >= 0;
    for (int i = 0; i < tail->n; i++) b->links_left += is_hard(tail->links[i].call->op->name) ? hard_steps(tail->links[i].call->op->name) : 1;
    HONE_TRY(add_conv(b));
    if (bias >= 0) {
        hone_cudnn_shape s = channel_shape(b->result.rank, b->result.dims[1], b->layout);
        HONE_TRY(hone_cudnn_operand(b->graph, b->problem, bias, &s, &operand));
        HONE_TRY(add_pointwise(b, &(hone_cudnn_mode){.mode = V_CUDNN_POINTWISE_ADD, .high = INFINITY}, b->chain, operand));
    }
    for (int i = 0; i < tail->n; i++) HONE_TRY(add_link(b, &tail->links[i]));
out:
    return status;
}

static hone_status build_graph(hone_cudnn_graph *graph, const hone_problem *problem)
{
    hone_tail tail;
    build b = {.graph = graph, .problem = problem, .layout = problem->out[0].layout};
    hone_status status = read_tail(problem, &tail);
    b.result = shape_of(&problem->out[0], b.layout);
    return status ? status : build_ops(&b, &tail);
}

const hone_cudnn_form hone_cudnn_form_conv = {.op = "conv", .check = check, .build = build_graph};
