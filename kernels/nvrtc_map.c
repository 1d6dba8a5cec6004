// SPDX-License-Identifier: Apache-2.0
// Tensor maps from the heads of kernels. What the hardware cannot do is found here, with no device; the limits are those that the CUDA driver
// interface states under "Tensor Map Object Management".
#include <stdio.h>
#include <string.h>

#include "kernels/source_nvrtc_priv.h"

// The text up to a separator outside of parentheses, or to the end; NULL when there is none left.
static const char *take_part(const char *at, char separator, char part[480])
{
    int depth = 0;
    size_t size = 0;
    if (!at) return NULL;
    for (; at[size] && (depth || at[size] != separator); size++) depth += (at[size] == '(') - (at[size] == ')');
    snprintf(part, 480, "%.*s", (int)size, at);
    return at[size] ? at + size + 1 : NULL;
}

static hone_status eval(const hone_bound *bound, const char *text, int64_t *value)
{
    hone_status status = hone_expr_eval(text, &bound->formed.vars, value);
    return status ? hone_fail_in(HONE_INTERNAL, "kernel %s", bound->head->name) : HONE_OK;
}

static hone_status eval_list(const hone_bound *bound, const char *text, char separator, int64_t *values, int n)
{
    char part[480];
    hone_status status = HONE_OK;
    for (int k = 0; k < n && !status; k++) {
        if (!text) return hone_fail(HONE_INTERNAL, "kernel %s: a tensor map lacks a number", bound->head->name);
        text = take_part(text, separator, part);
        status = eval(bound, part, &values[k]);
    }
    return status;
}

// "operand; extent, stride, box; ..." An axis of extent 0 ends the list. One of stride 0 is the same for all, and has but one place.
static hone_status read_tiled(const hone_bound *bound, const char *text, hone_tensor_map *map)
{
    char part[480];
    int64_t values[3];
    hone_status status;
    text = take_part(text, ';', part);
    HONE_TRY(eval(bound, part, values));
    map->operand = (int)values[0];
    while (text && map->rank < 5) {
        text = take_part(text, ';', part);
        HONE_TRY(eval_list(bound, part, ',', values, 3));
        if (!values[0]) break;
        int k = map->rank++;
        map->dims[k] = values[1] ? values[0] : 1;
        map->strides[k] = values[1] ? values[1] : 16 / map->element_bytes;
        map->box[k] = (int)values[2];
        map->steps[k] = 1;
    }
out:
    return status;
}

// "operand; channels; pixels": the image of a convolution, and how much of it a box brings.
static hone_status read_image(const hone_bound *bound, const char *text, hone_tensor_map *map)
{
    const hone_vars *v = &bound->formed.vars;
    const int64_t channels = hone_vars_get(v, "in_c"), w = hone_vars_get(v, "in_w"), h = hone_vars_get(v, "in_h");
    const int64_t out_w = hone_vars_get(v, "out_w"), out_h = hone_vars_get(v, "out_h"), images = hone_vars_get(v, "m") / (out_w * out_h);
    const int64_t dims[] = {channels, w, h, images}, strides[] = {1, channels, channels * w, channels * w * h};
    int64_t values[3];
    hone_status status = eval_list(bound, text, ';', values, 3);
    if (status) return status;
    map->operand = (int)values[0];
    map->is_image = true;
    map->rank = 4;
    memcpy(map->dims, dims, sizeof dims);
    memcpy(map->strides, strides, sizeof strides);
    map->box[0] = (int)values[1];
    map->box[1] = (int)values[2];
    map->steps[0] = map->steps[3] = 1;
    map->steps[1] = (int)hone_vars_get(v, "stride_w");
    map->steps[2] = (int)hone_vars_get(v, "stride_h");
    map->lower[0] = (int)-hone_vars_get(v, "pad_w");
    map->lower[1] = (int)-hone_vars_get(v, "pad_h");
    map->upper[0] = (int)((out_w - 1) * map->steps[1] + map->lower[0] - (w - 1));
    map->upper[1] = (int)((out_h - 1) * map->steps[2] + map->lower[1] - (h - 1));
    return HONE_OK;
}

static bool is_offset(int64_t value) { return value >= -128 && value <= 127; }

static hone_status check_map(const hone_bound *bound, const hone_tensor_map *map)
{
    bool fits = map->box[0] * map->element_bytes <= 128 && map->box[0] * map->element_bytes % 16 == 0;
    for (int k = 0; k < map->rank; k++) {
        fits = fits && map->dims[k] >= 1 && map->dims[k] <= INT32_MAX && map->steps[k] >= 1 && map->steps[k] <= 8;
        if (k) fits = fits && map->strides[k] * map->element_bytes % 16 == 0 && map->strides[k] < ((int64_t)1 << 39);
        if (k < (map->is_image ? 2 : map->rank)) fits = fits && map->box[k] >= 1 && map->box[k] <= 256;
    }
    for (int k = 0; k < 2 && map->is_image; k++) fits = fits && is_offset(map->lower[k]) && is_offset(map->upper[k]);
    return fits ? HONE_OK : hone_fail(HONE_DECLINED, "%s: operand %d lies as no tensor map can say", bound->head->name, map->operand);
}

hone_status hone_bound_maps(const hone_bound *bound, hone_tensor_map maps[HONE_MAPS_MAX], int *n)
{
    hone_status status = HONE_OK;
    *n = bound->head->n_maps;
    for (int k = 0; k < *n && !status; k++) {
        const hone_head_line *line = &bound->head->maps[k];
        maps[k] = (hone_tensor_map){.element_bytes = (int)hone_vars_get(&bound->formed.vars, "elem")};
        status = !strcmp(line->name, "image") ? read_image(bound, line->text, &maps[k]) : read_tiled(bound, line->text, &maps[k]);
        if (!status) status = check_map(bound, &maps[k]);
    }
    return status;
}
