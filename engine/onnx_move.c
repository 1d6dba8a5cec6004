// SPDX-License-Identifier: Apache-2.0
// Movement: reshapes, transposes, concatenation, splits, slices, padding, expansion.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/onnx_rules_priv.h"

// ---- reshapes

static hone_status settle_reshape(const hone_tensor *x, bool allow_zero, int n, int64_t *dims)
{
    int64_t known = 1;
    int open = -1;
    for (int k = 0; k < n; k++) {
        if (dims[k] == 0 && !allow_zero) {
            if (k >= x->rank) return hone_fail(HONE_MODEL, "dim %d of the new shape is 0, but the operand has only %d dims", k, x->rank);
            dims[k] = x->dims[k];
        }
        if (dims[k] < -1) return hone_fail(HONE_MODEL, "dim %d of the new shape is %lld", k, (long long)dims[k]);
        if (dims[k] == -1 && open >= 0) return hone_fail(HONE_MODEL, "two dims of the new shape are -1");
        if (dims[k] == -1) open = k;
        else if (dims[k] > HONE_ELEMENTS_MAX || __builtin_mul_overflow(known, dims[k], &known)) return hone_fail(HONE_MODEL, "the new shape is too large");
    }
    int64_t count = hone_tensor_count(x);
    if (open >= 0) {
        if (!known || count % known) return hone_fail(HONE_MODEL, "%lld elements do not fill the new shape", (long long)count);
        dims[open] = count / known;
    } else if (known != count) {
        return hone_fail(HONE_MODEL, "the new shape holds %lld elements, the operand %lld", (long long)known, (long long)count);
    }
    return HONE_OK;
}

static hone_status reshape(onnx_import *im, const int *in, int n_in, int *out)
{
    int64_t dims[HONE_RANK_MAX];
    int n;
    (void)n_in;
    bool allow_zero = onnx_int(im, "allowzero", 0) != 0;
    hone_tensor x = onnx_tensor_of(im, in[0]);
    hone_status status;
    HONE_TRY(onnx_const_ints(im, in[1], "the new shape", dims, HONE_RANK_MAX, &n));
    HONE_TRY(settle_reshape(&x, allow_zero, n, dims));
    HONE_TRY(onnx_emit_reshape(im, in[0], n, dims, out));
out:
    return status;
}

static hone_status flatten(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t axis = onnx_int(im, "axis", 1), dims[2] = {1, 1};
    (void)n_in;
    if (axis < -x.rank || axis > x.rank) return hone_fail(HONE_MODEL, "axis %lld is outside a rank of %d", (long long)axis, x.rank);
    if (axis < 0) axis += x.rank;
    for (int k = 0; k < x.rank; k++) dims[k >= axis] *= x.dims[k];
    return onnx_emit_reshape(im, in[0], 2, dims, out);
}

// Axes stand in an attribute up to opset 12, in an operand from 13.
static hone_status get_axes(onnx_import *im, const int *in, int n_in, int rank, bool flags[2 * HONE_RANK_MAX], bool *given)
{
    int64_t values[2 * HONE_RANK_MAX];
    const int64_t *list = values;
    int n = 0, axis;
    hone_status status = HONE_OK;
    memset(flags, 0, 2 * HONE_RANK_MAX * sizeof *flags);
    if (onnx_given(in, n_in, 1)) HONE_TRY(onnx_const_ints(im, in[1], "axes", values, 2 * HONE_RANK_MAX, &n));
    else n = onnx_ints(im, "axes", &list);
    *given = onnx_given(in, n_in, 1) || n > 0;
    for (int k = 0; k < n; k++) {
        HONE_TRY(onnx_axis(list[k], rank, &axis));
        if (flags[axis]) HONE_TRY(hone_fail(HONE_MODEL, "axis %d is named twice", axis));
        flags[axis] = true;
    }
out:
    return status;
}

static hone_status squeeze(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    bool flags[2 * HONE_RANK_MAX], given;
    int64_t dims[HONE_RANK_MAX];
    int n = 0;
    hone_status status = get_axes(im, in, n_in, x.rank, flags, &given);
    if (status != HONE_OK) return status;
    for (int k = 0; k < x.rank; k++) {
        bool drop = given ? flags[k] : x.dims[k] == 1;
        if (drop && x.dims[k] != 1) return hone_fail(HONE_MODEL, "axis %d has %lld entries and cannot be squeezed", k, (long long)x.dims[k]);
        if (!drop) dims[n++] = x.dims[k];
    }
    return onnx_emit_reshape(im, in[0], n, dims, out);
}

static hone_status unsqueeze(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    bool flags[2 * HONE_RANK_MAX], given;
    int64_t dims[HONE_RANK_MAX], unused[2 * HONE_RANK_MAX];
    const int64_t *list = unused;
    int n = 0;
    hone_status status = HONE_OK;
    if (onnx_given(in, n_in, 1)) HONE_TRY(onnx_const_ints(im, in[1], "axes", unused, HONE_RANK_MAX, &n));
    else n = onnx_ints(im, "axes", &list);
    int rank = x.rank + n;
    if (rank > HONE_RANK_MAX) HONE_TRY(hone_fail(HONE_MODEL, "%d dims are not supported, at most %d are", rank, HONE_RANK_MAX));
    HONE_TRY(get_axes(im, in, n_in, rank, flags, &given));
    for (int k = 0, from = 0; k < rank; k++) dims[k] = flags[k] ? 1 : x.dims[from++];
    HONE_TRY(onnx_emit_reshape(im, in[0], rank, dims, out));
out:
    return status;
}

static hone_status transpose(onnx_import *im, const int *in, int n_in, int *out)
{
    int rank = onnx_tensor_of(im, in[0]).rank, n;
    const int64_t *given;
    int64_t perm[HONE_RANK_MAX];
    bool seen[HONE_RANK_MAX] = {false};
    (void)n_in;
    n = onnx_ints(im, "perm", &given);
    if (n && n != rank) return hone_fail(HONE_MODEL, "perm has %d entries for %d dims", n, rank);
    for (int k = 0; k < rank; k++) {
        perm[k] = n ? given[k] : rank - 1 - k;
        if (perm[k] < 0 || perm[k] >= rank || seen[perm[k]]) return hone_fail(HONE_MODEL, "perm is no permutation");
        seen[perm[k]] = true;
    }
    return onnx_emit_transpose(im, in[0], perm, out);
}

// ---- concat, split

static hone_status concat_some(onnx_import *im, int axis, const int *in, int n, int *out)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "concat", n));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){axis}, 1));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

// More operands than one call takes are joined by groups.
static hone_status concat(onnx_import *im, const int *in, int n_in, int *out)
{
    int axis, parts[HONE_INPUTS_MAX], n = 0, all[HONE_IMPORT_OPERANDS];
    hone_status status;
    for (int k = 0; k < n_in; k++)
        if (in[k] < 0) return hone_fail(HONE_MODEL, "operand %d is missing", k);
    if (!onnx_has(im, "axis")) return hone_fail(HONE_MODEL, "attribute axis is missing");
    HONE_TRY(onnx_axis(onnx_int(im, "axis", 0), onnx_tensor_of(im, in[0]).rank, &axis));
    memcpy(all, in, (size_t)n_in * sizeof *in);
    while (n_in > HONE_INPUTS_MAX) {
        n = 0;
        for (int k = 0; k < n_in; k += HONE_INPUTS_MAX) {
            int count = n_in - k < HONE_INPUTS_MAX ? n_in - k : HONE_INPUTS_MAX;
            HONE_TRY(concat_some(im, axis, all + k, count, &parts[0]));
            all[n++] = parts[0];
        }
        n_in = n;
    }
    HONE_TRY(n_in == 1 ? (*out = all[0], HONE_OK) : concat_some(im, axis, all, n_in, out));
out:
    return status;
}

static hone_status split_sizes(onnx_import *im, const int *in, int n_in, int64_t total, int parts, int64_t *sizes)
{
    const int64_t *list;
    int n = onnx_ints(im, "split", &list);
    int64_t each = onnx_int(im, "num_outputs", parts), sum = 0;
    if (onnx_given(in, n_in, 1)) {
        hone_status status = onnx_const_ints(im, in[1], "split", sizes, parts, &n);
        if (status != HONE_OK) return status;
    } else if (n) {
        if (n != parts) return hone_fail(HONE_MODEL, "split has %d sizes for %d outputs", n, parts);
        memcpy(sizes, list, (size_t)n * sizeof *sizes);
    } else {
        int64_t share = (total + parts - 1) / parts;           // the last one gets what is left
        if (each != parts) return hone_fail(HONE_MODEL, "num_outputs is %lld, but there are %d outputs", (long long)each, parts);
        for (n = 0; n < parts; n++) sizes[n] = n + 1 < parts ? share : total - share * (parts - 1);
    }
    for (int k = 0; k < n; k++) sum += sizes[k] < 0 || sizes[k] > total ? total + 1 : sizes[k];
    if (n != parts || sum != total) return hone_fail(HONE_MODEL, "the sizes do not split %lld entries into %d outputs", (long long)total, parts);
    return HONE_OK;
}

static hone_status split(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t start[HONE_RANK_MAX] = {0}, size[HONE_RANK_MAX], step[HONE_RANK_MAX], *sizes;
    int axis, parts = im->node->n_outputs;
    hone_status status = onnx_axis(onnx_int(im, "axis", 0), x.rank, &axis);
    if (status != HONE_OK) return status;
    sizes = hone_calloc((size_t)parts, sizeof *sizes);
    if (!sizes) return HONE_NO_MEMORY;
    HONE_TRY(split_sizes(im, in, n_in, x.dims[axis], parts, sizes));
    for (int k = 0; k < x.rank; k++) size[k] = x.dims[k], step[k] = 1;
    for (int k = 0; k < parts; k++) {
        size[axis] = sizes[k];
        if (*im->node->outputs[k]) HONE_TRY(onnx_emit_slice(im, in[0], start, size, step, &out[k]));
        start[axis] += sizes[k];
    }
out:
    hone_free(sizes);
    return status;
}

// ---- slice

typedef struct slice_lists {
    int64_t start[HONE_RANK_MAX], end[HONE_RANK_MAX], axes[HONE_RANK_MAX], step[HONE_RANK_MAX];
    int n;
} slice_lists;

static hone_status slice_list(onnx_import *im, const int *in, int n_in, int k, const char *name, int64_t *values, int *n)
{
    const int64_t *list;
    if (im->opset >= 10) {
        *n = 0;
        return onnx_given(in, n_in, k) ? onnx_const_ints(im, in[k], name, values, HONE_RANK_MAX, n) : HONE_OK;
    }
    *n = onnx_ints(im, name, &list);
    if (*n > HONE_RANK_MAX) return hone_fail(HONE_MODEL, "%s has %d entries", name, *n);
    memcpy(values, list, (size_t)*n * sizeof *values);
    return HONE_OK;
}

static hone_status slice_operands(onnx_import *im, const int *in, int n_in, slice_lists *s)
{
    int n;
    hone_status status;
    HONE_TRY(slice_list(im, in, n_in, 1, "starts", s->start, &s->n));
    HONE_TRY(slice_list(im, in, n_in, 2, "ends", s->end, &n));
    if (n != s->n) HONE_TRY(hone_fail(HONE_MODEL, "starts and ends differ in length"));
    HONE_TRY(slice_list(im, in, n_in, 3, "axes", s->axes, &n));
    if (n && n != s->n) HONE_TRY(hone_fail(HONE_MODEL, "starts and axes differ in length"));
    for (int k = 0; !n && k < s->n; k++) s->axes[k] = k;
    n = 0;
    if (im->opset >= 10) HONE_TRY(slice_list(im, in, n_in, 4, "steps", s->step, &n));
    if (n && n != s->n) HONE_TRY(hone_fail(HONE_MODEL, "starts and steps differ in length"));
    for (int k = 0; !n && k < s->n; k++) s->step[k] = 1;
out:
    return status;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

// One axis to canonical form, by numpy's rules.
static void settle_slice(int64_t dim, int64_t *start, int64_t end, int64_t step, int64_t *size)
{
    int64_t from = *start < 0 ? *start + dim : *start, to = end < 0 ? end + dim : end;
    if (*start < -dim) from = step > 0 ? 0 : -1;
    if (end < -dim) to = step > 0 ? 0 : -1;
    from = step > 0 ? clamp(from, 0, dim) : clamp(from, -1, dim - 1);
    to = step > 0 ? clamp(to, 0, dim) : clamp(to, -1, dim - 1);
    int64_t span = step > 0 ? to - from : from - to, stride = step > 0 ? step : -step;
    *size = span > 0 ? (span - 1) / stride + 1 : 0;
    *start = *size ? from : 0;
}

static hone_status slice(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    slice_lists s = {.n = 0};
    int64_t start[HONE_RANK_MAX] = {0}, size[HONE_RANK_MAX], step[HONE_RANK_MAX];
    hone_status status;
    if (im->opset < 10 && n_in > 1) return hone_fail(HONE_MODEL, "opset %d takes starts and ends as attributes", im->opset);
    HONE_TRY(slice_operands(im, in, n_in, &s));
    for (int k = 0; k < x.rank; k++) size[k] = x.dims[k], step[k] = 1;
    for (int k = 0; k < s.n; k++) {
        int axis;
        HONE_TRY(onnx_axis(s.axes[k], x.rank, &axis));
        if (s.step[k] == 0 || s.step[k] < -HONE_ELEMENTS_MAX) HONE_TRY(hone_fail(HONE_MODEL, "a step is %lld", (long long)s.step[k]));
        start[axis] = s.start[k];
        settle_slice(x.dims[axis], &start[axis], s.end[k], s.step[k], &size[axis]);
        step[axis] = size[axis] > 1 ? s.step[k] : 1;
    }
    HONE_TRY(onnx_emit_slice(im, in[0], start, size, step, out));
out:
    return status;
}

// ---- pad, expand, tile

static hone_status pad_amounts(onnx_import *im, const int *in, int n_in, int rank, int64_t *before, int64_t *after)
{
    int64_t pads[2 * HONE_RANK_MAX], axes[HONE_RANK_MAX];
    const int64_t *list = pads;
    int n, n_axes = rank, axis;
    hone_status status = HONE_OK;
    memset(before, 0, (size_t)rank * sizeof *before);
    memset(after, 0, (size_t)rank * sizeof *after);
    for (int k = 0; k < rank; k++) axes[k] = k;
    if (im->opset < 11) n = onnx_ints(im, "pads", &list);
    else HONE_TRY(onnx_const_ints(im, in[1], "pads", pads, 2 * HONE_RANK_MAX, &n));
    if (onnx_given(in, n_in, 3)) HONE_TRY(onnx_const_ints(im, in[3], "axes", axes, HONE_RANK_MAX, &n_axes));
    if (n != 2 * n_axes) HONE_TRY(hone_fail(HONE_MODEL, "pads has %d entries for %d axes", n, n_axes));
    for (int k = 0; k < n_axes; k++) {
        HONE_TRY(onnx_axis(axes[k], rank, &axis));
        before[axis] = list[k];
        after[axis] = list[k + n_axes];
        if (llabs(before[axis]) > HONE_ELEMENTS_MAX || llabs(after[axis]) > HONE_ELEMENTS_MAX) HONE_TRY(hone_fail(HONE_MODEL, "pads are too large"));
    }
out:
    return status;
}

// Negative amounts cut: a slice in front of the pad.
static hone_status crop(onnx_import *im, int *x, int64_t *before, int64_t *after)
{
    hone_tensor t = onnx_tensor_of(im, *x);
    int64_t start[HONE_RANK_MAX], size[HONE_RANK_MAX], step[HONE_RANK_MAX];
    for (int k = 0; k < t.rank; k++) {
        start[k] = before[k] < 0 ? -before[k] : 0;
        size[k] = t.dims[k] - start[k] - (after[k] < 0 ? -after[k] : 0);
        step[k] = 1;
        if (size[k] < 0) return hone_fail(HONE_MODEL, "negative pads cut more than there is");
        before[k] = before[k] < 0 ? 0 : before[k];
        after[k] = after[k] < 0 ? 0 : after[k];
    }
    return onnx_emit_slice(im, *x, start, size, step, x);
}

static hone_status pad(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    int64_t before[HONE_RANK_MAX], after[HONE_RANK_MAX];
    int x = in[0], rank = onnx_tensor_of(im, x).rank, n;
    double value = im->opset < 11 ? onnx_real(im, "value", 0) : 0;
    const char *mode = onnx_word(im, "mode", "constant");
    bool any = false;
    hone_status status;
    if (im->opset >= 11 && n_in < 2) return hone_fail(HONE_MODEL, "operand pads is missing");
    HONE_TRY(pad_amounts(im, in, n_in, rank, before, after));
    if (onnx_given(in, n_in, 2)) HONE_TRY(onnx_const_reals(im, in[2], "the fill value", &value, 1, &n));
    HONE_TRY(crop(im, &x, before, after));
    for (int k = 0; k < rank; k++) any = any || before[k] || after[k];
    if (!any) return *out = x, HONE_OK;
    HONE_TRY(hone_call_init(&call, "pad", 1));
    HONE_TRY(hone_call_set_word(&call, "mode", mode));
    HONE_TRY(hone_call_set_ints(&call, "before", before, rank));
    HONE_TRY(hone_call_set_ints(&call, "after", after, rank));
    HONE_TRY(hone_call_set_real(&call, "value", value));
    HONE_TRY(onnx_emit(im, &call, &x, out));
out:
    return status;
}

static hone_status expand(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_call call;
    hone_tensor x = onnx_tensor_of(im, in[0]), wish = {.dtype = x.dtype}, to;
    (void)n_in;
    hone_status status;
    HONE_TRY(onnx_const_ints(im, in[1], "the new shape", wish.dims, HONE_RANK_MAX, &wish.rank));
    HONE_TRY(hone_tensor_check(&wish));
    HONE_TRY(hone_tensor_broadcast(&x, &wish, &to));
    if (hone_tensor_same_dims(&x, &to)) return *out = in[0], HONE_OK;
    HONE_TRY(hone_call_init(&call, "expand", 1));
    HONE_TRY(hone_call_set_ints(&call, "shape", to.dims, to.rank));
    HONE_TRY(onnx_emit(im, &call, in, out));
out:
    return status;
}

static hone_status emit_pad(onnx_import *im, int x, int rank, const int64_t *before, const int64_t *after, int *out)
{
    hone_call call;
    bool any = false;
    hone_status status;
    for (int k = 0; k < rank; k++) any = any || before[k] || after[k];
    if (!any) return *out = x, HONE_OK;
    HONE_TRY(hone_call_init(&call, "pad", 1));
    HONE_TRY(hone_call_set_ints(&call, "before", before, rank));
    HONE_TRY(hone_call_set_ints(&call, "after", after, rank));
    HONE_TRY(onnx_emit(im, &call, &x, out));
out:
    return status;
}

static hone_status center_crop_pad(onnx_import *im, const int *in, int n_in, int *out)
{
    hone_tensor x = onnx_tensor_of(im, in[0]);
    int64_t wish[HONE_RANK_MAX], before[HONE_RANK_MAX] = {0}, after[HONE_RANK_MAX] = {0};
    const int64_t *axes;
    int n, n_axes = onnx_ints(im, "axes", &axes), axis, y = in[0];
    (void)n_in;
    hone_status status;
    HONE_TRY(onnx_const_ints(im, in[1], "the shape", wish, HONE_RANK_MAX, &n));
    if (n != (n_axes ? n_axes : x.rank)) HONE_TRY(hone_fail(HONE_MODEL, "the shape has %d entries", n));
    for (int k = 0; k < n; k++) {
        HONE_TRY(onnx_axis(n_axes ? axes[k] : k, x.rank, &axis));
        if (wish[k] < 0 || wish[k] > HONE_ELEMENTS_MAX) HONE_TRY(hone_fail(HONE_MODEL, "the shape has an entry of %lld", (long long)wish[k]));
        int64_t more = wish[k] - x.dims[axis];
        before[axis] = more < 0 ? -(-more / 2) : more / 2;
        after[axis] = more - before[axis];
    }
    HONE_TRY(crop(im, &y, before, after));
    HONE_TRY(emit_pad(im, y, x.rank, before, after, out));
out:
    return status;
}

const onnx_rule onnx_rules_move[] = {
    {"Reshape", 0, 0, 2, 2, 1, reshape, NULL},
    {"Flatten", 0, 0, 1, 1, 1, flatten, NULL},
    {"Squeeze", 0, 0, 1, 2, 1, squeeze, NULL},
    {"Unsqueeze", 0, 0, 1, 2, 1, unsqueeze, NULL},
    {"Transpose", 0, 0, 1, 1, 1, transpose, NULL},
    {"Concat", 0, 0, 1, HONE_IMPORT_OPERANDS, 1, concat, NULL},
    {"Split", 0, 0, 1, 2, HONE_IMPORT_OPERANDS, split, NULL},
    {"Slice", 0, 0, 1, 5, 1, slice, NULL},
    {"Pad", 0, 0, 1, 4, 1, pad, NULL},
    {"CenterCropPad", 0, 0, 2, 2, 1, center_crop_pad, NULL},
    {"Expand", 0, 0, 2, 2, 1, expand, NULL},
    {0},
};
