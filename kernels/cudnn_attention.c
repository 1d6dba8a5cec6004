// SPDX-License-Identifier: Apache-2.0
// Attention as the graph that cuDNN's fused engines know: two matrix products with scale, mask and softmax between, every
// inner tensor in float but the weights of the second product, which have the operands' type. The softmax's statistics
// (log of the sum plus the maximum) are part of that graph even when nobody reads them. q, k and v may be strided views of operands: parts
// of a joint projection's rows.
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/cudnn_graph_priv.h"

enum { Q, K, V, MASK, SIDES };

typedef struct parts {                    // the attention of a problem, and where its operands lie
    const hone_step *step;
    hone_attention g;
    hone_view views[SIDES];
    bool has_mask;
} parts;

typedef struct build {
    hone_cudnn_graph *graph;
    const hone_problem *problem;
    parts parts;
    hone_cudnn_shape scores, row;         // [batch, heads, queries, keys], and one value a query
    v_cudnnBackendDescriptor_t chain;
} build;

static bool has_side(const hone_step *step, int k)
{
    return k < step->call.n_in && step->in[k].kind != HONE_REF_ABSENT;
}

// Nothing is repeated or lies backwards, and rows of q, k and v have no gaps.
static hone_status check_view(const hone_view *view, int side)
{
    if (view->offset * (int64_t)hone_dtype_size(view->dtype) % HONE_CUDNN_ALIGNMENT)
        return hone_fail(HONE_DECLINED, "operand %d of the attention begins between two multiples of %d bytes", side, HONE_CUDNN_ALIGNMENT);
    for (int k = 0; k < view->rank; k++)
        if (view->dims[k] > 1 && (view->strides[k] < 1 || (side != MASK && k == view->rank - 1 && view->strides[k] != 1)))
            return hone_fail(HONE_DECLINED, "operand %d of the attention does not lie in rows, one behind the other", side);
    return HONE_OK;
}

static hone_status read_parts(const hone_problem *problem, parts *p)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    const int main = hone_cudnn_main_step(problem);
    p->step = &problem->steps[main];
    p->has_mask = has_side(p->step, MASK);
    for (int k = 0; k < SIDES; k++) {
        if (!has_side(p->step, k)) continue;
        if (!hone_view_init(problem, &p->step->in[k], &p->views[k])) return hone_fail(HONE_DECLINED, "operand %d of the attention is computed", k);
        hone_status status = check_view(&p->views[k], k);
        if (status) return status;
    }
    hone_problem_inputs(problem, main, in);
    return hone_attention_init(&p->step->call, in[Q], in[K], in[V], p->has_mask ? in[MASK] : NULL, &p->g);
}

// What follows may only call the result's dims otherwise.
static hone_status check_steps(const hone_problem *problem)
{
    for (int k = hone_cudnn_main_step(problem) + 1; k < problem->n_steps; k++)
        if (strcmp(problem->steps[k].call.op->name, "reshape")) return hone_fail(HONE_DECLINED, "cuDNN is offered for attention without a tail");
    return HONE_OK;
}

static hone_status check(const hone_problem *problem)
{
    parts p;
    hone_status status = check_steps(problem);
    if (!status) status = read_parts(problem, &p);
    if (status) return status;
    const hone_dtype type = p.views[Q].dtype;
    if ((type != HONE_F16 && type != HONE_BF16) || p.views[K].dtype != type || p.views[V].dtype != type || problem->out[0].dtype != type)
        return hone_fail(HONE_DECLINED, "cuDNN's attention takes f16 or bf16 throughout");
    for (int k = 0; k < problem->n_operands; k++)
        if (problem->operands[k].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "attention in nhwc layout is not offered");
    if (problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "attention in nhwc layout is not offered");
    if (hone_tensor_count(&problem->out[0]) == 0 || p.g.keys == 0) return hone_fail(HONE_DECLINED, "an empty attention");
    return HONE_OK;
}

static hone_cudnn_shape dense(int64_t batch, int64_t heads, int64_t rows, int64_t cols)
{
    return (hone_cudnn_shape){.rank = 4, .dims = {batch, heads, rows, cols}, .strides = {heads * rows * cols, rows * cols, cols, 1}};
}

// [batch, heads, positions, depth] as the result lies: heads outside of positions, or inside.
static hone_cudnn_shape result_shape(const hone_attention *g)
{
    hone_cudnn_shape s = dense(g->batch, g->heads, g->queries, g->value_depth);
    if (g->heads_inner) {
        s.strides[1] = g->value_depth;
        s.strides[2] = g->heads * g->value_depth;
    }
    return s;
}

// A view as cuDNN counts its axes. One entry needs no step in ours but some number in cuDNN's: that of the whole.
static hone_cudnn_shape shape_of(const hone_attention *g, const hone_view *view)
{
    const int order[4] = {0, g->heads_inner ? 2 : 1, g->heads_inner ? 1 : 2, 3};
    hone_cudnn_shape s = dense(1, 1, 1, 1);
    int64_t whole = 1;
    for (int k = 0; k < view->rank; k++)
        if (view->dims[k] * view->strides[k] > whole) whole = view->dims[k] * view->strides[k];
    for (int k = 0; k < 4; k++) {
        s.dims[k] = view->dims[order[k]];
        s.strides[k] = view->strides[order[k]] ? view->strides[order[k]] : whole;
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

// [batch, heads, queries, keys], whatever q's order.
static hone_cudnn_shape mask_shape(const hone_view *mask)
{
    hone_view full = {.rank = 4, .dims = {1, 1, 1, 1}};
    for (int k = 0; k < mask->rank; k++) {
        full.dims[4 - mask->rank + k] = mask->dims[k];
        full.strides[4 - mask->rank + k] = mask->strides[k];
    }
    return shape_of(&(hone_attention){0}, &full);
}

static hone_status add_side(build *b, int side, const hone_cudnn_shape *shape, v_cudnnBackendDescriptor_t *made)
{
    return hone_cudnn_part(b->graph, b->problem, b->parts.views[side].operand, b->parts.views[side].offset, shape, made);
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
    const parts *p = &b->parts;
    const hone_cudnn_shape q = shape_of(&p->g, &p->views[Q]), k = transposed(shape_of(&p->g, &p->views[K]));
    v_cudnnBackendDescriptor_t queries, keys, product, scale, mask;
    hone_status status = HONE_OK;
    HONE_TRY(add_side(b, Q, &q, &queries));
    HONE_TRY(add_side(b, K, &k, &keys));
    HONE_TRY(hone_cudnn_inner(b->graph, V_CUDNN_DATA_FLOAT, &b->scores, &product));
    HONE_TRY(add_product(b, queries, keys, product));
    HONE_TRY(hone_cudnn_constant(b->graph, (float)p->g.scale, 4, &scale));
    HONE_TRY(add_inner(b, V_CUDNN_POINTWISE_MUL, product, scale, &b->scores, V_CUDNN_DATA_FLOAT, &b->chain));
    if (p->has_mask) {
        const hone_cudnn_shape m = mask_shape(&p->views[MASK]);
        HONE_TRY(add_side(b, MASK, &m, &mask));
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
    build b = {.graph = graph, .problem = problem};
    const hone_attention *g = &b.parts.g;
    v_cudnnBackendDescriptor_t values, result;
    hone_status status = HONE_OK;
    HONE_TRY(read_parts(problem, &b.parts));
    b.scores = dense(g->batch, g->heads, g->queries, g->keys);
    b.row = dense(g->batch, g->heads, g->queries, 1);
    HONE_TRY(add_scores(&b));
    HONE_TRY(add_softmax(&b));
    const hone_cudnn_shape v = shape_of(g, &b.parts.views[V]), out_shape = result_shape(g);
    HONE_TRY(add_side(&b, V, &v, &values));
    HONE_TRY(hone_cudnn_result(graph, problem, &out_shape, &result));
    HONE_TRY(add_product(&b, b.chain, values, result));
out:
    return status;
}

const hone_cudnn_form hone_cudnn_form_attention = {.op = "attention", .check = check, .build = build_graph};
