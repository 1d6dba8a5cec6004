// SPDX-License-Identifier: Apache-2.0
// Constants are converted once, at build. Floats that a smaller type cannot hold become its largest finite value, since exporters write
// "minus infinity" as the lowest float.
#include <string.h>

#include "base/alloc.h"
#include "base/half.h"
#include "base/thread.h"
#include "engine/assemble_priv.h"

enum { RUN = 4096 };

enum { PIECE_BYTES = 256 << 10 };      // of a stream: converted, and written while it is in the processor's cache

typedef struct job {
    const hone_tensor *from, *to;
    const uint8_t *in;            // floats, at any address
    uint8_t *out;
    int64_t first;                // element or image that out begins with
} job;

static float clamp(float value, float most) {
    if (value > most) return most;
    return value < -most ? -most : value;      // NaN passes through
}

static void store_run(hone_dtype dtype, const uint8_t *in, void *out, int64_t count) {
    if (dtype == HONE_F16) return hone_f16_saturate(in, out, (size_t)count);
    if (dtype == HONE_F32) {
        memcpy(out, in, (size_t)count * sizeof(float));
        return;
    }
    for (int64_t k = 0; k < count; k++) {
        float value;
        memcpy(&value, in + k * 4, sizeof value);
        ((uint16_t *)out)[k] = hone_bf16_from_float(clamp(value, 3.3895314e38f));
    }
}

// Where element `at` of an image, channel by channel, goes: channels innermost.
static void scatter(const uint8_t *run, uint8_t *image, size_t size, int64_t at, int64_t count, int64_t pixels, int64_t channels) {
    int64_t c = at / pixels, p = at % pixels;
    for (int64_t k = 0; k < count; k++) {
        if (size == 2) memcpy(image + 2 * (p * channels + c), run + 2 * k, 2);
        else memcpy(image + 4 * (p * channels + c), run + 4 * k, 4);
        if (++p == pixels) p = 0, c++;
    }
}

static void convert_images(void *user, int64_t begin, int64_t end, int worker) {
    const job *j = user;
    (void)worker;
    const int64_t *d = j->from->dims, pixels = d[2] * d[3], all = d[1] * pixels;
    size_t size = hone_dtype_size(j->to->dtype);
    float run[RUN];               // or halves
    for (int64_t image = begin; image < end; image++)
        for (int64_t at = 0; at < all; at += RUN) {
            int64_t count = all - at < RUN ? all - at : RUN;
            store_run(j->to->dtype, j->in + 4 * (image * all + at), run, count);
            scatter((const uint8_t *)run, j->out + size * (size_t)((image - j->first) * all), size, at, count, pixels, d[1]);
        }
}

static void convert_flat(void *user, int64_t begin, int64_t end, int worker) {
    const job *j = user;
    (void)worker;
    store_run(j->to->dtype, j->in + 4 * begin, j->out + hone_dtype_size(j->to->dtype) * (size_t)(begin - j->first), end - begin);
}

static hone_status convert_any(const hone_recipe *r, void *out) {
    hone_array array;
    hone_status status = hone_array_init(&array, &r->from);
    if (status != HONE_OK) return status;
    hone_array_unpack(&array, &r->from, r->data, hone_cpu_count());
    hone_array_pack(&array, &r->to, out, true, hone_cpu_count());
    hone_array_clear(&array);
    return HONE_OK;
}

// ---- how it is done: the bytes as they are, floats piece by piece, or anything through doubles

static bool is_same(const hone_recipe *r) { return r->from.dtype == r->to.dtype && r->from.layout == r->to.layout; }

static bool is_floats(const hone_recipe *r) {
    return r->from.dtype == HONE_F32 && (r->to.dtype == HONE_F32 || r->to.dtype == HONE_F16 || r->to.dtype == HONE_BF16);
}

static bool is_images(const hone_recipe *r) { return r->to.layout == HONE_NHWC && r->from.dims[2] * r->from.dims[3] > 1; }

static hone_status make(const hone_recipe *r, void *out) {
    if (is_same(r)) {
        memcpy(out, r->data, hone_tensor_size(&r->to));
        return HONE_OK;
    }
    if (!is_floats(r)) return convert_any(r, out);
    job j = {&r->from, &r->to, r->data, out, 0};
    if (is_images(r)) hone_parallel(r->from.dims[0], 1 + r->from.dims[0] / 16, hone_cpu_count(), convert_images, &j);
    else hone_parallel(hone_tensor_count(&r->from), 1 << 16, hone_cpu_count(), convert_flat, &j);
    return HONE_OK;
}

hone_status hone_weight_make(hone_arena *arena, hone_recipe *r) {
    if (r->made) return HONE_OK;
    void *made = hone_arena_alloc_raw(arena, hone_tensor_size(&r->to) + 1);
    if (!made) return HONE_NO_MEMORY;
    r->made = made;
    return make(r, made);
}

static hone_status stream_floats(const hone_recipe *r, hone_weight_each each, void *user) {
    int64_t count = is_images(r) ? r->from.dims[0] : hone_tensor_count(&r->from);
    if (count == 0) return HONE_OK;
    size_t unit = hone_tensor_size(&r->to) / (size_t)count;
    int64_t grain = unit < PIECE_BYTES ? PIECE_BYTES / (int64_t)(unit ? unit : 1) : 1;
    job j = {&r->from, &r->to, r->data, hone_alloc((size_t)grain * unit), 0};
    hone_status status = j.out ? HONE_OK : HONE_NO_MEMORY;
    for (; j.first < count && status == HONE_OK; j.first += grain) {
        int64_t end = count - j.first < grain ? count : j.first + grain;
        (is_images(r) ? convert_images : convert_flat)(&j, j.first, end, 0);
        status = each(user, j.out, (size_t)(end - j.first) * unit);
    }
    hone_free(j.out);
    return status;
}

hone_status hone_weight_stream(const hone_recipe *r, hone_weight_each each, void *user) {
    if (is_same(r)) return each(user, r->data, hone_tensor_size(&r->to));
    if (is_floats(r)) return stream_floats(r, each, user);
    void *all = hone_alloc(hone_tensor_size(&r->to) + 1);
    hone_status status = all ? convert_any(r, all) : HONE_NO_MEMORY;
    if (status == HONE_OK) status = each(user, all, hone_tensor_size(&r->to));
    hone_free(all);
    return status;
}
