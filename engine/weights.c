// SPDX-License-Identifier: Apache-2.0
// Constants are converted once, at build. Floats that a smaller type cannot hold become its largest finite value, since exporters write
// "minus infinity" as the lowest float.
#include <string.h>

#include "base/half.h"
#include "base/thread.h"
#include "engine/assemble_priv.h"

enum { RUN = 4096 };

typedef struct job {
    const hone_tensor *from, *to;
    const uint8_t *in;            // floats, at any address
    uint8_t *out;
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
            scatter((const uint8_t *)run, j->out + size * (size_t)(image * all), size, at, count, pixels, d[1]);
        }
}

static void convert_flat(void *user, int64_t begin, int64_t end, int worker) {
    const job *j = user;
    (void)worker;
    store_run(j->to->dtype, j->in + 4 * begin, j->out + hone_dtype_size(j->to->dtype) * (size_t)begin, end - begin);
}

static hone_status convert_any(const hone_tensor *from, const void *data, const hone_tensor *to, void *out) {
    hone_array array;
    hone_status status = hone_array_init(&array, from);
    if (status != HONE_OK) return status;
    hone_array_unpack(&array, from, data, hone_cpu_count());
    hone_array_pack(&array, to, out, true, hone_cpu_count());
    hone_array_clear(&array);
    return HONE_OK;
}

hone_status hone_weight_convert(hone_arena *arena, const hone_tensor *from, const void *data, const hone_tensor *to, const void **out) {
    void *made = hone_arena_alloc_raw(arena, hone_tensor_size(to) + 1);
    if (!made) return HONE_NO_MEMORY;
    *out = made;
    if (from->dtype == to->dtype && from->layout == to->layout && from->dtype != HONE_F32) {
        memcpy(made, data, hone_tensor_size(to));
        return HONE_OK;
    }
    bool is_plain = to->dtype == HONE_F32 || to->dtype == HONE_F16 || to->dtype == HONE_BF16;
    if (from->dtype != HONE_F32 || !is_plain) return convert_any(from, data, to, made);
    job j = {from, to, data, made};
    if (to->layout == HONE_NHWC && from->dims[2] * from->dims[3] > 1)
        hone_parallel(from->dims[0], 1 + from->dims[0] / 16, hone_cpu_count(), convert_images, &j);
    else
        hone_parallel(hone_tensor_count(from), 1 << 16, hone_cpu_count(), convert_flat, &j);
    return HONE_OK;
}
