// SPDX-License-Identifier: Apache-2.0
// Attributes and operands of the node at hand.
#include <string.h>

#include "base/alloc.h"
#include "engine/import_priv.h"

static const char *const type_names[] = {"nothing", "a float", "an integer", "a string", "a tensor", "a graph", "floats", "integers",
    "strings", "something else"};

const onnx_attr *onnx_find_attr(onnx_import *im, const char *name)
{
    for (int k = 0; k < im->node->n_attrs; k++) {
        if (strcmp(im->node->attrs[k].name, name)) continue;
        im->used_attrs |= (uint64_t)1 << (k & 63);
        return &im->node->attrs[k];
    }
    return NULL;
}

bool onnx_has(onnx_import *im, const char *name)
{
    return onnx_find_attr(im, name) != NULL;
}

void onnx_ignore(onnx_import *im, const char *name)
{
    onnx_find_attr(im, name);
}

// NULL when absent, or of another type: then the wish is noted, and the node refused.
static const onnx_attr *typed(onnx_import *im, const char *name, onnx_attr_type type)
{
    const onnx_attr *attr = onnx_find_attr(im, name);
    if (!attr || attr->type == type) return attr;
    im->wrong_attr = hone_arena_printf(im->model->arena, "attribute %s is %s, not %s", name, type_names[attr->type], type_names[type]);
    return NULL;
}

int64_t onnx_int(onnx_import *im, const char *name, int64_t fallback)
{
    const onnx_attr *attr = typed(im, name, ONNX_ATTR_INT);
    return attr ? attr->i : fallback;
}

double onnx_real(onnx_import *im, const char *name, double fallback)
{
    const onnx_attr *attr = typed(im, name, ONNX_ATTR_FLOAT);
    return attr ? attr->f : fallback;
}

const char *onnx_word(onnx_import *im, const char *name, const char *fallback)
{
    const onnx_attr *attr = typed(im, name, ONNX_ATTR_STRING);
    return attr ? attr->s : fallback;
}

int onnx_ints(onnx_import *im, const char *name, const int64_t **values)
{
    static const int64_t none[1];
    const onnx_attr *attr = typed(im, name, ONNX_ATTR_INTS);
    *values = attr && attr->n ? attr->ints : none;
    return attr ? attr->n : 0;
}

// ---- operands

hone_tensor onnx_tensor_of(const onnx_import *im, int value)
{
    return value < 0 ? (hone_tensor){.rank = 0} : im->graph->values[value].tensor;
}

bool onnx_is_constant(const onnx_import *im, int value)
{
    return value >= 0 && im->graph->values[value].data;
}

bool onnx_given(const int *in, int n_in, int k)
{
    return k < n_in && in[k] >= 0;
}

// Notes every network input that a value is computed from: conform binds those.
static void note_needed(onnx_import *im, int value, int depth)
{
    const hone_value *v = &im->graph->values[value];
    if (v->is_input && im->report && !strstr(hone_text_get(&im->report->needed), v->name))
        hone_text_printf(&im->report->needed, "%s\n", v->name);
    if (v->producer < 0 || depth == HONE_IMPORT_DEPTH) return;
    const hone_node *node = &im->graph->nodes[v->producer];
    for (int k = 0; k < node->call.n_in; k++)
        if (node->in[k] >= 0) note_needed(im, node->in[k], depth + 1);
}

hone_status onnx_need_constant(onnx_import *im, int value, const char *what)
{
    if (value < 0) return hone_fail(HONE_MODEL, "%s is missing", what);
    if (onnx_is_constant(im, value)) return HONE_OK;
    note_needed(im, value, HONE_IMPORT_DEPTH - 4);
    return hone_fail(HONE_MODEL, "%s (%s) is not known before the network runs", what, im->graph->values[value].name);
}

static hone_status unpack(onnx_import *im, int value, const char *what, int capacity, hone_array *array)
{
    hone_status status = onnx_need_constant(im, value, what);
    if (status != HONE_OK) return status;
    const hone_value *v = &im->graph->values[value];
    int64_t count = hone_tensor_count(&v->tensor);
    if (capacity == 1 && count != 1) return hone_fail(HONE_MODEL, "%s must be one number, it has %lld", what, (long long)count);
    if (count > capacity) return hone_fail(HONE_MODEL, "%s has %lld values, at most %d are expected", what, (long long)count, capacity);
    status = hone_array_init(array, &v->tensor);
    if (status == HONE_OK) hone_array_unpack(array, &v->tensor, v->data, 1);
    return status;
}

hone_status onnx_const_ints(onnx_import *im, int value, const char *what, int64_t *values, int capacity, int *n)
{
    hone_array array;
    hone_status status = unpack(im, value, what, capacity, &array);
    if (status != HONE_OK) return status;
    *n = (int)hone_tensor_count(&array.tensor);
    for (int k = 0; array.i && k < *n; k++) values[k] = array.i[k];
    if (!array.i) status = hone_fail(HONE_MODEL, "%s must be integers, not %s", what, hone_dtype_name(array.tensor.dtype));
    hone_array_clear(&array);
    return status;
}

hone_status onnx_const_reals(onnx_import *im, int value, const char *what, double *values, int capacity, int *n)
{
    hone_array array;
    hone_status status = unpack(im, value, what, capacity, &array);
    if (status != HONE_OK) return status;
    *n = (int)hone_tensor_count(&array.tensor);
    for (int k = 0; k < *n; k++) values[k] = array.f ? array.f[k] : (double)array.i[k];
    hone_array_clear(&array);
    return HONE_OK;
}

hone_status onnx_axis(int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank) return hone_fail(HONE_MODEL, "axis %lld is outside a rank of %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return HONE_OK;
}
