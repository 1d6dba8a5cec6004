// SPDX-License-Identifier: Apache-2.0
// Affine maps move into the weights of the convolution or product before them; padding into the convolution behind it; a product whose
// result is only cut into parts becomes a product for each part.
#include <math.h>
#include <string.h>

#include "engine/simplify_priv.h"

// ---- batch normalisation: y = x s + t per channel, s = scale / sqrt(var + epsilon), t = b - mean s

static hone_status affine_of(hone_rewriting *r, const hone_node *norm, hone_array *s, hone_array *t)
{
    hone_array p[5] = {{.f = NULL}};
    double epsilon = hone_call_real(&norm->call, "epsilon");
    hone_status status = HONE_OK;
    for (int k = 1; k < 5; k++) HONE_TRY(hone_rewriting_array(r, hone_rewriting_in(r, norm, k), &p[k]));
    HONE_TRY(hone_array_init(s, &p[1].tensor));
    HONE_TRY(hone_array_init(t, &p[1].tensor));
    for (int64_t c = 0; c < s->tensor.dims[0]; c++) {
        s->f[c] = p[1].f[c] / sqrt(p[4].f[c] + epsilon);
        t->f[c] = p[2].f[c] - p[3].f[c] * s->f[c];
    }
out:
    for (int k = 0; k < 5; k++) hone_array_clear(&p[k]);
    return status;
}

static void as_channels(hone_array *array, int rank)
{
    for (int k = 1; k < rank - 1; k++) array->tensor.dims[k] = 1;
    array->tensor.rank = rank - 1;
}

// As a product and a sum, which fold into what stands before, or fuse with what stands behind.
static hone_status split_batchnorm(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_array s = {0}, t = {0};
    int x = hone_rewriting_in(r, node, 0), vs, vt, y, rank = hone_rewriting_tensor(r, x).rank;
    hone_status status;
    for (int k = 1; k < 5; k++)
        if (!hone_rewriting_is_constant(r, hone_rewriting_in(r, node, k))) return HONE_OK;
    HONE_TRY(affine_of(r, node, &s, &t));
    as_channels(&s, rank);
    as_channels(&t, rank);
    HONE_TRY(hone_rewriting_constant(r, &s, &vs));
    HONE_TRY(hone_rewriting_constant(r, &t, &vt));
    HONE_TRY(hone_rewriting_op(r, "mul", 2, (int[]){x, vs}, &y));
    HONE_TRY(hone_rewriting_op(r, "add", 2, (int[]){y, vt}, value));
out:
    hone_array_clear(&s);
    hone_array_clear(&t);
    return status;
}

// ---- affine maps into weights

// One value for each of n channels from a constant that is a number, or varies along axis `axis` (from the right) only.
static bool per_channel(hone_rewriting *r, int value, int axis_from_right, int64_t n, hone_array *array)
{
    hone_tensor t = hone_rewriting_tensor(r, value);
    int64_t count = hone_tensor_count(&t);
    if (!hone_rewriting_is_constant(r, value) || !hone_dtype_is_float(t.dtype) || (count != 1 && count != n)) return false;
    int axis = t.rank - axis_from_right;
    if (count != 1 && (axis < 0 || t.dims[axis] != n)) return false;
    hone_array values = {0};
    hone_tensor flat = {.dtype = t.dtype, .rank = 1, .dims = {n}};
    bool made = hone_rewriting_array(r, value, &values) == HONE_OK && hone_array_init(array, &flat) == HONE_OK;
    for (int64_t k = 0; made && k < n; k++) array->f[k] = values.f[count == 1 ? 0 : k];
    hone_array_clear(&values);
    return made;
}

typedef struct layer {                 // a convolution or product with known weights
    hone_node node;
    bool is_conv, is_transposed;
    int x, w, b;                       // b -1 when there is none
    int64_t channels;                  // of the output
    int axis_from_right;               // where they lie in the output
} layer;

// Weight element `at` belongs to this output channel.
static int64_t channel_of(const layer *l, const hone_tensor *w, int64_t at)
{
    if (!l->is_conv) return hone_call_int(&l->node.call, "trans_b") ? at / w->dims[1] : at % w->dims[1];
    int64_t inner = 1;
    for (int k = 2; k < w->rank; k++) inner *= w->dims[k];
    int64_t first = at / (inner * w->dims[1]), second = at / inner % w->dims[1];
    if (!l->is_transposed) return first;
    int64_t inputs_of_group = w->dims[0] / hone_call_int(&l->node.call, "group");
    return first / inputs_of_group * w->dims[1] + second;
}

static bool find_layer(hone_rewriting *r, int y, layer *l)
{
    if (!hone_rewriting_producer(r, y, NULL, &l->node) || !hone_rewriting_is_sole(r, y)) return false;
    const char *op = l->node.call.op->name;
    l->is_transposed = !strcmp(op, "convtranspose");
    l->is_conv = l->is_transposed || !strcmp(op, "conv");
    if (!l->is_conv && strcmp(op, "matmul")) return false;
    l->x = hone_rewriting_in(r, &l->node, 0), l->w = hone_rewriting_in(r, &l->node, 1), l->b = hone_rewriting_in(r, &l->node, 2);
    if (!hone_rewriting_is_constant(r, l->w) || (l->b >= 0 && !hone_rewriting_is_constant(r, l->b))) return false;
    hone_tensor t = hone_rewriting_tensor(r, y), w = hone_rewriting_tensor(r, l->w);
    if (!hone_dtype_is_float(t.dtype) || (!l->is_conv && w.rank != 2) || hone_tensor_count(&w) == 0) return false;
    l->axis_from_right = l->is_conv ? t.rank - 1 : 1;
    l->channels = t.dims[t.rank - l->axis_from_right];
    return true;
}

static hone_status emit_layer(hone_rewriting *r, const layer *l, int w, int b, int *value)
{
    hone_call call = l->node.call;
    call.n_in = b >= 0 ? 3 : 2;
    r->name = l->node.name;                // the layer stays the convolution that it was
    r->origin = l->node.origin;
    return hone_rewriting_emit(r, &call, (int[]){l->x, w, b}, value);
}

static hone_status scale_weights(hone_rewriting *r, const layer *l, const double *s, int *value)
{
    hone_array w = {0};
    hone_status status = hone_rewriting_array(r, l->w, &w);
    if (status != HONE_OK) return status;
    for (int64_t k = 0, n = hone_tensor_count(&w.tensor); k < n; k++) w.f[k] *= s[channel_of(l, &w.tensor, k)];
    status = hone_rewriting_constant(r, &w, value);
    hone_array_clear(&w);
    return status;
}

// b * s + t; b and s and t may be absent.
static hone_status make_bias(hone_rewriting *r, const layer *l, const double *s, const double *t, int *value)
{
    hone_array b = {0};
    hone_tensor type = {.dtype = hone_rewriting_tensor(r, l->w).dtype, .rank = 1, .dims = {l->channels}};
    *value = l->b;
    if (l->b < 0 && !t) return HONE_OK;
    hone_status status = l->b >= 0 ? hone_rewriting_array(r, l->b, &b) : hone_array_init(&b, &type);
    for (int64_t k = 0; status == HONE_OK && k < l->channels; k++) b.f[k] = b.f[k] * (s ? s[k] : 1) + (t ? t[k] : 0);
    if (status == HONE_OK) status = hone_rewriting_constant(r, &b, value);
    hone_array_clear(&b);
    return status;
}

// conv(x) * s
static hone_status scale_layer(hone_rewriting *r, const hone_node *node, int *value)
{
    layer l;
    hone_array s = {0};
    int w, b;
    hone_status status = HONE_OK;
    if (!find_layer(r, hone_rewriting_in(r, node, 0), &l)) return HONE_OK;
    if (!per_channel(r, hone_rewriting_in(r, node, 1), l.axis_from_right, l.channels, &s)) goto out;
    HONE_TRY(scale_weights(r, &l, s.f, &w));
    HONE_TRY(make_bias(r, &l, s.f, NULL, &b));
    HONE_TRY(emit_layer(r, &l, w, b, value));
out:
    hone_array_clear(&s);
    return status;
}

// conv(x) + t; a product has no bias operand, the sum behind it is one
static hone_status shift_layer(hone_rewriting *r, const hone_node *node, int *value)
{
    layer l;
    hone_array t = {0};
    int b;
    hone_status status = HONE_OK;
    if (!find_layer(r, hone_rewriting_in(r, node, 0), &l) || !l.is_conv) return HONE_OK;
    if (!per_channel(r, hone_rewriting_in(r, node, 1), l.axis_from_right, l.channels, &t)) goto out;
    HONE_TRY(make_bias(r, &l, NULL, t.f, &b));
    HONE_TRY(emit_layer(r, &l, l.w, b, value));
out:
    hone_array_clear(&t);
    return status;
}

// (matmul(x) + t) * s is matmul(x) * s + t * s, so that s can fold.
static hone_status scale_below_shift(hone_rewriting *r, const hone_node *node, int *value)
{
    layer l;
    hone_node sum;
    hone_array s = {0};
    int y = hone_rewriting_in(r, node, 0), factor = hone_rewriting_in(r, node, 1), shift, scaled;
    hone_status status = HONE_OK;
    if (!hone_rewriting_producer(r, y, "add", &sum) || !hone_rewriting_is_sole(r, y)) return HONE_OK;
    int t = hone_rewriting_in(r, &sum, 1), product = hone_rewriting_in(r, &sum, 0);
    if (!hone_rewriting_is_constant(r, t) || !find_layer(r, product, &l)) return HONE_OK;
    if (!per_channel(r, factor, l.axis_from_right, l.channels, &s)) goto out;
    HONE_TRY(hone_rewriting_fold(r, "mul", 2, (int[]){t, factor}, &shift));
    HONE_TRY(hone_rewriting_op(r, "mul", 2, (int[]){product, factor}, &scaled));
    HONE_TRY(hone_rewriting_op(r, "add", 2, (int[]){scaled, shift}, value));
out:
    hone_array_clear(&s);
    return status;
}

// ---- zero padding in front of a convolution

static hone_status absorb_padding(hone_rewriting *r, const hone_node *node, int *value)
{
    hone_node pad;
    int x = hone_rewriting_in(r, node, 0);
    if (!hone_rewriting_producer(r, x, "pad", &pad)) return HONE_OK;
    int rank = hone_rewriting_tensor(r, x).rank, spatial = rank - 2;
    int64_t pads[2 * HONE_RANK_MAX];
    if (strcmp(hone_call_word(&pad.call, "mode"), "constant") || hone_call_real(&pad.call, "value") != 0) return HONE_OK;
    for (int k = 0; k < rank; k++) {
        int64_t before = hone_call_int_at(&pad.call, "before", k), after = hone_call_int_at(&pad.call, "after", k);
        if (k < 2 && (before || after)) return HONE_OK;
        if (k < 2) continue;
        pads[k - 2] = hone_call_int_at(&node->call, "pad", k - 2) + before;
        pads[spatial + k - 2] = hone_call_int_at(&node->call, "pad", spatial + k - 2) + after;
    }
    hone_call call = node->call;
    int in[3] = {hone_rewriting_in(r, &pad, 0), hone_rewriting_in(r, node, 1), hone_rewriting_in(r, node, 2)};
    hone_status status = hone_call_set_ints(&call, "pad", pads, 2 * spatial);
    return status == HONE_OK ? hone_rewriting_emit(r, &call, in, value) : status;
}

// ---- a product that is only cut: q, k and v out of one matrix

static bool only_slices_read(const hone_rewriting *r, int value)
{
    if (r->graph->values[value].is_output) return false;
    for (int n = 0; n < r->graph->n_nodes; n++) {
        const hone_node *node = &r->graph->nodes[n];
        for (int k = 0; k < node->call.n_in; k++)
            if (hone_rewriting_in(r, node, k) == value && strcmp(node->call.op->name, "slice")) return false;
    }
    return true;
}

// Entries start..start+size of the axis of a constant that makes the output's last axis; where they lie in a row, no copy is made.
static hone_status cut_constant(hone_rewriting *r, int value, int axis, int64_t start, int64_t size, int *part)
{
    hone_tensor t = hone_rewriting_tensor(r, value);
    const uint8_t *from = r->graph->values[value].data;
    size_t inner = hone_dtype_size(t.dtype), outer = 1;
    for (int k = 0; k < axis; k++) outer *= (size_t)t.dims[k];
    for (int k = axis + 1; k < t.rank; k++) inner *= (size_t)t.dims[k];
    size_t row = (size_t)t.dims[axis] * inner, cut = (size_t)size * inner;
    t.dims[axis] = size;
    from += (size_t)start * inner;
    const char *name = hone_arena_printf(r->graph->arena, "%s/constant", r->name);
    uint8_t *copy = name && outer > 1 ? hone_arena_alloc_raw(r->graph->arena, outer * cut) : NULL;
    if (!name || (outer > 1 && !copy)) return HONE_NO_MEMORY;
    for (size_t k = 0; copy && k < outer; k++) memcpy(copy + k * cut, from + k * row, cut);
    return hone_rewriting_view(r, name, &t, copy ? copy : from, part);
}

static hone_status split_product(hone_rewriting *r, const hone_node *node, int *value)
{
    layer l;
    hone_node sum;
    int y = hone_rewriting_in(r, node, 0), shift = -1, w, y2;
    hone_tensor from = hone_rewriting_tensor(r, y), to = hone_rewriting_tensor(r, node->out[0]);
    int last = from.rank - 1;
    for (int k = 0; k < last; k++)
        if (from.dims[k] != to.dims[k]) return HONE_OK;
    if (from.rank < 2 || hone_call_int_at(&node->call, "step", last) != 1 || !only_slices_read(r, y)) return HONE_OK;
    if (hone_rewriting_producer(r, y, "add", &sum)) {
        shift = hone_rewriting_in(r, &sum, 1);
        y = hone_rewriting_in(r, &sum, 0);
        if (!hone_rewriting_is_constant(r, shift)) return HONE_OK;
        hone_tensor t = hone_rewriting_tensor(r, shift);
        if (t.rank != 1 || t.dims[0] != from.dims[last] || !hone_rewriting_is_sole(r, y)) return HONE_OK;
    }
    if (!hone_rewriting_producer(r, y, "matmul", &l.node)) return HONE_OK;
    l.w = hone_rewriting_in(r, &l.node, 1);
    if (!hone_rewriting_is_constant(r, l.w) || hone_rewriting_tensor(r, l.w).rank != 2) return HONE_OK;
    if (!hone_dtype_is_float(hone_rewriting_tensor(r, l.w).dtype)) return HONE_OK;
    int64_t start = hone_call_int_at(&node->call, "start", last), size = to.dims[last];
    hone_call call = l.node.call;
    hone_status status;
    HONE_TRY(cut_constant(r, l.w, hone_call_int(&call, "trans_b") ? 0 : 1, start, size, &w));
    HONE_TRY(hone_rewriting_emit(r, &call, (int[]){hone_rewriting_in(r, &l.node, 0), w}, &y2));
    if (shift >= 0) {
        HONE_TRY(cut_constant(r, shift, 0, start, size, &w));
        HONE_TRY(hone_rewriting_op(r, "add", 2, (int[]){y2, w}, &y2));
    }
    *value = y2;
out:
    return status;
}

const hone_rewrite hone_rewrites_weights[] = {
    {"scale_layer", " mul ", scale_layer, false},
    {"scale_below_shift", " mul ", scale_below_shift, false},
    {"shift_layer", " add ", shift_layer, false},
    {"split_batchnorm", " batchnorm ", split_batchnorm, true},
    {"absorb_padding", " conv ", absorb_padding, false},
    {"split_product", " slice ", split_product, false},
    {0},
};
