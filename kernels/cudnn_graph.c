// SPDX-License-Identifier: Apache-2.0
#include "kernels/cudnn_graph_priv.h"

#include <math.h>
#include <string.h>

static const hone_cudnn_form *const forms[] = {&hone_cudnn_form_conv, &hone_cudnn_form_attention};

int hone_cudnn_main_step(const hone_problem *problem)
{
    int step = 0;
    while (step < problem->n_steps - 1 && hone_step_is_strided(problem, step)) step++;
    return step;
}

hone_status hone_cudnn_form_find(const hone_problem *problem, const hone_cudnn_form **form)
{
    const hone_op *op = problem->steps[hone_cudnn_main_step(problem)].call.op;
    int type;
    if (problem->n_out != 1 || !hone_cudnn_type(problem->out[0].dtype, &type))
        return hone_fail(HONE_DECLINED, "cuDNN is offered for one floating-point result");
    for (int k = 0; k < problem->n_operands; k++)
        if (!hone_cudnn_type(problem->operands[k].dtype, &type)) return hone_fail(HONE_DECLINED, "cuDNN is offered for floating-point operands only");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i]->op, op->name)) continue;
        *form = forms[i];
        return forms[i]->check(problem);
    }
    return hone_fail(HONE_DECLINED, "cuDNN is not offered for %s", op->name);
}

bool hone_cudnn_type(hone_dtype dtype, int *type)
{
    static const struct { hone_dtype dtype; int type; } types[] = {
        {HONE_F32, V_CUDNN_DATA_FLOAT}, {HONE_F16, V_CUDNN_DATA_HALF}, {HONE_BF16, V_CUDNN_DATA_BFLOAT16},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype) return *type = types[i].type, true;
    return false;
}

// ---- descriptors

hone_status hone_cudnn_make(hone_cudnn_graph *graph, int type, v_cudnnBackendDescriptor_t *made)
{
    if (graph->n_owned == HONE_CUDNN_DESCRIPTORS) return hone_fail(HONE_DECLINED, "more than %d cuDNN descriptors", HONE_CUDNN_DESCRIPTORS);
    hone_status status = hone_cudnn_check(hone_cudnn.BackendCreateDescriptor(type, made), "cannot make a descriptor");
    if (!status) graph->owned[graph->n_owned++] = *made;
    return status;
}

hone_status hone_cudnn_set(v_cudnnBackendDescriptor_t descriptor, int name, int type, int64_t count, const void *values)
{
    return hone_cudnn_check(hone_cudnn.BackendSetAttribute(descriptor, name, type, count, values), "an attribute was refused");
}

hone_status hone_cudnn_finish(v_cudnnBackendDescriptor_t descriptor, const char *what)
{
    return hone_cudnn_check(hone_cudnn.BackendFinalize(descriptor), what);
}

void hone_cudnn_graph_clear(hone_cudnn_graph *graph)
{
    while (graph->n_owned) hone_cudnn.BackendDestroyDescriptor(graph->owned[--graph->n_owned]);
    *graph = (hone_cudnn_graph){0};
}

static hone_status make_tensor(hone_cudnn_graph *graph, int64_t id, int type, const hone_cudnn_shape *s, bool is_virtual, bool by_value,
                               v_cudnnBackendDescriptor_t *made)
{
    int64_t alignment = HONE_CUDNN_ALIGNMENT;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_TENSOR_DESCRIPTOR, made));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_UNIQUE_ID, V_CUDNN_TYPE_INT64, 1, &id));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_DATA_TYPE, V_CUDNN_TYPE_DATA_TYPE, 1, &type));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, V_CUDNN_TYPE_INT64, 1, &alignment));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_DIMENSIONS, V_CUDNN_TYPE_INT64, s->rank, s->dims));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_STRIDES, V_CUDNN_TYPE_INT64, s->rank, s->strides));
    if (is_virtual) HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_IS_VIRTUAL, V_CUDNN_TYPE_BOOLEAN, 1, &is_virtual));
    if (by_value) HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_TENSOR_IS_BY_VALUE, V_CUDNN_TYPE_BOOLEAN, 1, &by_value));
    HONE_TRY(hone_cudnn_finish(*made, "a tensor was refused"));
out:
    return status;
}

// One id for each place: an operand that is read twice is the same tensor.
static hone_status find_place(hone_cudnn_graph *graph, int operand, int64_t offset_bytes, int64_t *id)
{
    for (int k = 0; k < graph->n_places; k++) {
        *id = graph->places[k].id;
        if (graph->places[k].operand == operand && graph->places[k].offset_bytes == offset_bytes) return HONE_OK;
    }
    if (graph->n_places == HONE_CUDNN_PLACES) return hone_fail(HONE_DECLINED, "more than %d tensors of a graph in operands", HONE_CUDNN_PLACES);
    *id = graph->next_id++;
    graph->places[graph->n_places++] = (hone_cudnn_place){*id, offset_bytes, operand};
    return HONE_OK;
}

hone_status hone_cudnn_part(hone_cudnn_graph *graph, const hone_problem *problem, int operand, int64_t offset, const hone_cudnn_shape *s,
                            v_cudnnBackendDescriptor_t *made)
{
    const hone_dtype dtype = problem->operands[operand].dtype;
    int64_t id = 0;
    int type = 0;
    hone_cudnn_type(dtype, &type);
    hone_status status = find_place(graph, operand, offset * (int64_t)hone_dtype_size(dtype), &id);
    return status ? status : make_tensor(graph, id, type, s, false, false, made);
}

hone_status hone_cudnn_operand(hone_cudnn_graph *graph, const hone_problem *problem, int operand, const hone_cudnn_shape *s,
                               v_cudnnBackendDescriptor_t *made)
{
    return hone_cudnn_part(graph, problem, operand, 0, s, made);
}

hone_status hone_cudnn_result(hone_cudnn_graph *graph, const hone_problem *problem, const hone_cudnn_shape *s,
                              v_cudnnBackendDescriptor_t *made)
{
    int type = 0;
    hone_cudnn_type(problem->out[0].dtype, &type);
    return make_tensor(graph, HONE_CUDNN_RESULT_ID, type, s, false, false, made);
}

hone_status hone_cudnn_inner(hone_cudnn_graph *graph, int type, const hone_cudnn_shape *s, v_cudnnBackendDescriptor_t *made)
{
    return make_tensor(graph, graph->next_id++, type, s, true, false, made);
}

hone_status hone_cudnn_constant(hone_cudnn_graph *graph, float value, int rank, v_cudnnBackendDescriptor_t *made)
{
    hone_cudnn_shape one = {.rank = rank};
    for (int k = 0; k < rank; k++) one.dims[k] = one.strides[k] = 1;
    if (graph->n_constants == HONE_CUDNN_CONSTANTS) return hone_fail(HONE_DECLINED, "more than %d constants", HONE_CUDNN_CONSTANTS);
    graph->constants[graph->n_constants] = value;
    graph->constant_ids[graph->n_constants++] = graph->next_id;
    return make_tensor(graph, graph->next_id++, V_CUDNN_DATA_FLOAT, &one, false, true, made);
}

hone_status hone_cudnn_add_op(hone_cudnn_graph *graph, v_cudnnBackendDescriptor_t op)
{
    hone_status status = hone_cudnn_finish(op, "an operation was refused");
    if (status) return status;
    if (graph->n_ops == HONE_CUDNN_OPS) return hone_fail(HONE_DECLINED, "more than %d operations", HONE_CUDNN_OPS);
    graph->ops[graph->n_ops++] = op;
    return HONE_OK;
}

static hone_status make_mode(hone_cudnn_graph *graph, const hone_cudnn_mode *m, v_cudnnBackendDescriptor_t *made)
{
    const int type = V_CUDNN_DATA_FLOAT;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_POINTWISE_DESCRIPTOR, made));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_POINTWISE_MODE, V_CUDNN_TYPE_POINTWISE_MODE, 1, &m->mode));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_POINTWISE_MATH_PREC, V_CUDNN_TYPE_DATA_TYPE, 1, &type));
    if (isfinite(m->high)) {
        HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, V_CUDNN_TYPE_DOUBLE, 1, &m->low));
        HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, V_CUDNN_TYPE_DOUBLE, 1, &m->high));
    }
    if (m->slope != 0) HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, V_CUDNN_TYPE_DOUBLE, 1, &m->slope));
    if (m->parameter_name) HONE_TRY(hone_cudnn_set(*made, m->parameter_name, V_CUDNN_TYPE_DOUBLE, 1, &m->parameter));
    HONE_TRY(hone_cudnn_finish(*made, "a pointwise mode was refused"));
out:
    return status;
}

hone_status hone_cudnn_add_pointwise(hone_cudnn_graph *graph, const hone_cudnn_mode *mode, v_cudnnBackendDescriptor_t x,
                                     v_cudnnBackendDescriptor_t y, v_cudnnBackendDescriptor_t out)
{
    v_cudnnBackendDescriptor_t described, op;
    hone_status status = HONE_OK;
    HONE_TRY(make_mode(graph, mode, &described));
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &op));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_POINTWISE_XDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    if (y) HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_POINTWISE_BDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y));
    HONE_TRY(hone_cudnn_set(op, V_CUDNN_ATTR_OPERATION_POINTWISE_YDESC, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &out));
    HONE_TRY(hone_cudnn_add_op(graph, op));
out:
    return status;
}

hone_status hone_cudnn_graph_init(hone_cudnn_graph *graph, const hone_problem *problem, v_cudnnHandle_t handle)
{
    const hone_cudnn_form *form;
    hone_status status = HONE_OK;
    *graph = (hone_cudnn_graph){.next_id = HONE_CUDNN_RESULT_ID + 1};
    HONE_TRY(hone_cudnn_form_find(problem, &form));
    HONE_TRY(form->build(graph, problem));
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &graph->graph));
    HONE_TRY(hone_cudnn_set(graph->graph, V_CUDNN_ATTR_OPERATIONGRAPH_OPS, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->n_ops, graph->ops));
    if (handle) HONE_TRY(hone_cudnn_set(graph->graph, V_CUDNN_ATTR_OPERATIONGRAPH_HANDLE, V_CUDNN_TYPE_HANDLE, 1, &handle));
    HONE_TRY(hone_cudnn_finish(graph->graph, "the graph is not supported"));
out:
    if (status) hone_cudnn_graph_clear(graph);
    return status;
}
