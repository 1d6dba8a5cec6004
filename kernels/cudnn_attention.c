// SPDX-License-Identifier: Apache-2.0
// Attention as the graph that cuDNN's fused engines know: two matrix products with scale, mask and softmax between, every
// inner tensor in float but the weights of the second product, which have the operands' type. The softmax's statistics
// (log of the sum plus the maximum) are part of that graph even when nobody reads them.
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/cudnn_graph_priv.h"

typedef struct build {
    hone_cudnn_graph *graph;
    const hone_problem *problem;
    hone_attention g;
    const hone_tensor *mask;              // NULL when absent
    hone_cudnn_shape scores, row;         // [batch, heads, queries, keys], and one value a query
    v_cudnnBackendDescriptor_t chain;
} build;

static const hone_tensor *mask_of(const hone_problem *problem)
{
    const hone_step *step = &problem->steps[0];
    return step->call.n_in > 3 && step->in[3].kind == HONE_REF_OPERAND ? &problem->operands[step->in[3].index] : NULL;
}

static const hone_tensor *operand_of(const hone_problem *problem, int k)
{
    return &problem->operands[problem->steps[0].in[k].index];
}

static hone_status read_attention(const hone_problem *problem, hone_attention *g)
{
    return hone_attention_init(&problem->steps[0].call, operand_of(problem, 0), operand_of(problem, 1), operand_of(problem, 2), mask_of(problem), g);
}

static hone_status check(const hone_problem *problem)
{
    hone_attention g;
    hone_dtype type = operand_of(problem, 0)->dtype;
    if (problem->n_steps != 1) return hone_fail(HONE_DECLINED, "cuDNN is offered for attention without a tail");
    if ((type != HONE_F16 && type != HONE_BF16) || operand_of(problem, 1)->dtype != type || operand_of(problem, 2)->dtype != type ||
        problem->out[0].dtype != type)
        return hone_fail(HONE_DECLINED, "cuDNN's attention takes f16 or bf16 throughout");
    for (int k = 0; k < problem->n_operands; k++)
        if (problem->operands[k].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "attention in nhwc layout is not offered");
    if (problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "attention in nhwc layout is not offered");
    hone_status status = read_attention(problem, &g);
    if (status) return status;
    if (hone_tensor_count(&problem->out[0]) == 0 || g.keys == 0) return hone_fail(HONE_DECLINED, "an empty attention");
    return HONE_OK;
}

static hone_cudnn_shape dense(int64_t batch, int64_t heads, int64_t rows, int64_t cols)
{
    return (hone_cudnn_shape){.rank = 4, .dims = {batch, heads, rows, cols}, .strides = {heads * rows * cols, rows * cols, cols, 1}};
}

// [batch, heads, positions, depth] as the operand lies: heads outside of positions, or inside.
static hone_cudnn_shape lies(const hone_attention *g, int64_t heads, int64_t positions, int64_t depth)
{
    hone_cudnn_shape s = dense(g->batch, heads, positions, depth);
    if (g->heads_inner) {
        s.strides[1] = depth;
        s.strides[2] = heads * depth;
    }
    return s;
}

static hone_cudnn_shape transposed(hone_cudnn_shape s)
{
    int64_t dim = s.dims[2], stride = s.strides[2];
    s.dims[2] = s.dims[3], s.strides[2] = s.strides[3];
    s.dims[3] = dim, s.strides[3] = stride;
    return s;
}

static hone_cudnn_shape mask_shape(const hone_tensor *mask)
{
    hone_cudnn_shape s = dense(1, 1, 1, 1);
    int64_t step = 1;
    for (int k = 3; k >= 0; k--) {
        int at = k - (4 - mask->rank);
        s.dims[k] = at >= 0 ? mask->dims[at] : 1;
        s.strides[k] = step;
        step *= s.dims[k];
    }
    return s;
}

static hone_status add_product(build *b, v_cudnnBackendDescriptor_t x, v_cudnnBackendDescriptor_t y, v_cudnnBackendDescriptor_t out)
{
    v_cudnnBackendDescriptor_t described, op;
    const int type = V_CUDNN_DATA_FLOAT;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_make(b->graph, V_CUDNN_BACKEND_MATMUL_DESCRIPTOR, &described));
    HONE_TRY(hone_cudnn_set(described, V_CUDNN_ATTR_MATMUL_COMP_TYPE, V_CUDNN_TYPE_DATA_TYPE, 1, &type));
    HONE_TRY(hone_cudnn_finish(described, "a product was refused"));
    HONE_TRY(hone_cudnn_make(b->graph, V_CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, &op));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_MATMUL_ADESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_MATMUL_BDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_MATMUL_CDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &out));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_MATMUL_DESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described));
    HONE_TRY(hone_cudnn_add_op(b->graph, op));
out:
    return status;
}

// One value a query: the maximum or the sum over the keys.
static hone_status add_reduction(build *b, int operator, v_cudnnBackendDescriptor_t x, v_cudnnBackendDescriptor_t *out)
{
    v_cudnnBackendDescriptor_t described, op;
    const int type = V_CUDNN_DATA_FLOAT;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_inner(b->graph, type, &b->row, out));
    HONE_TRY(hone_cudnn_make(b->graph, V_CUDNN_BACKEND_REDUCTION_DESCRIPTOR, &described));
    HONE_TRY(hone_cudnn_set(described, V_CUDNN_ATTR_REDUCTION_OPERATOR, V_CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &operator));
    HONE_TRY(hone_cudnn_set(described, V_CUDNN_ATTR_REDUCTION_COMP_TYPE, V_CUDNN_TYPE_DATA_TYPE, 1, &type));
    HONE_TRY(hone_cudnn_finish(described, "a reduction was refused"));
    HONE_TRY(hone_cudnn_make(b->graph, V_CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, &op));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_REDUCTION_XDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_REDUCTION_YDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, out));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_REDUCTION_DESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described));
    HONE_TRY(hone_cudnn_add_op(b->graph, op));
out:
    return status;
}

// out = mode(x, y), a new inner tensor of the given shape and type.
static hone_status add_inner(build *b, int mode, v_cudnnBackendDescriptor_t x, v_cudnnBackendDescriptor_t y, const hone_cudnn_shape *shape,
                             int type, v_cudnnBackendDescriptor_t *out)
{
    hone_status status = hone_cudnn_inner(b->graph, type, shape, out);
    return status ? status : hone_cudnn_add_pointwise(b->graph, &(hone_cudnn_mode){.mode = mode, .high = INFINITY}, x, y, *out);
}

static hone_status add_scores(build *b)
{
    const hone_step *step = &b->problem->steps[0];
    hone_cudnn_shape q = lies(&b->g, b->g.heads, b->g.queries, b->g.depth);
    hone_cudnn_shape k = transposed(lies(&b->g, b->g.kv_heads, b->g.keys, b->g.depth));
    v_cudnnBackendDescriptor_t queries, keys, product, scale, mask;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_operand(b->graph, b->problem, step->in[0].index, &q, &queries));
    HONE_TRY(hone_cudnn_operand(b->graph, b->problem, step->in[1].index, &k, &keys));
    HONE_TRY(hone_cudnn_inner(b->graph, V_CUDNN_DATA_FLOAT, &b->scores, &product));
    HONE_TRY(add_product(b, queries, keys, product));
    HONE_TRY(hone_cudnn_constant(b->graph, (float)b->g.scale, 4, &scale));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_MUL, product, scale, &b->scores, V_CUDNN_DATA_FLOAT, &b->chain));
    if (b->mask) {
        hone_cudnn_shape m = mask_shape(b->mask);
        HONE_TRY(hone_cudnn_operand(b->graph, b->problem, step->in[3].index, &m, &mask));
        HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_ADD, b->chain, mask, &b->scores, V_CUDNN_DATA_FLOAT, &b->chain));
    }
out:
    return status;
}

static hone_status add_softmax(build *b)
{
    v_cudnnBackendDescriptor_t most, less, raised, sum, logarithm, unused;
    int type = 0;
    hone_status status = HONE_OK;
    hone_cudnn_type(b->problem->out[0].dtype, &type);
    HONE_TRY(add_reduction(b, V_CUDNN_REDUCE_TENSOR_MAX, b->chain, &most));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_SUB, b->chain, most, &b->scores, V_CUDNN_DATA_FLOAT, &less));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_EXP, less, NULL, &b->scores, V_CUDNN_DATA_FLOAT, &raised));
    HONE_TRY(add_reduction(b, V_CUDNN_REDUCE_TENSOR_ADD, raised, &sum));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_LOG, sum, NULL, &b->row, V_CUDNN_DATA_FLOAT, &logarithm));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_ADD, most, logarithm, &b->row, V_CUDNN_DATA_FLOAT, &unused));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_DIV, raised, sum, &b->scores, type, &b->chain));
out:
    return status;
}

static hone_status build_graph(hone_cudnn_graph *graph, const hone_problem *problem)
{
    build b = {.graph = graph, .problem = problem, .mask = mask_of(problem)};
    v_cudnnBackendDescriptor_t values, result;
    hone_status status = HONE_OK;
    HONE_TRY(read_attention(problem, &b.g));
    b.scores = dense(b.g.batch, b.g.heads, b.g.queries, b.g.keys);
    b.row = dense(b.g.batch, b.g.heads, b.g.queries, 1);
    HONE_TRY(add_scores(&b));
    HONE_TRY(add_softmax(&b));
    hone_cudnn_shape v = lies(&b.g, b.g.kv_heads, b.g.keys, b.g.value_depth), out_shape = lies(&b.g, b.g.heads, b.g.queries, b.g.value_depth);
    HONE_TRY(hone_cudnn_operand(graph, problem, problem->steps[0].in[2].index, &v, &values));
    HONE_TRY(hone_cudnn_result(graph, problem, &out_shape, &result));
    HONE_TRY(add_product(&b, b.chain, values, result));
out:
    return status;
}

const hone_cudnn_form hone_cudnn_form_attention = {.op = "attention", .check = check, .build = build_graph};
