// SPDX-License-Identifier: Apache-2.0
// Constants are converted once, at build. Floats that a smaller type cannot hold become its largest finite value, since exporters write
// "minus infinity" as the lowest float.
#include <string.h>

#include "base/half.h"
#include "base/thread.h"
#include "engine/assemble_priv.h"

typedef struct job {
    const hone_tensor *from, *to;
    const float *in;
    void *out;
} job;

static float clamp(float value, float most) {
    if (value > most) return most;
    return value < -most ? -most : value;      // NaN passes through
}

static void store(void *out, hone_dtype dtype, int64_t at, float value) {
    switch (dtype) {
    case HONE_F16: ((uint16_t *)out)[at] = hone_f16_from_float(clamp(value, 65504.0f)); break;
    case HONE_BF16: ((uint16_t *)out)[at] = hone_bf16_from_float(clamp(value, 3.3895314e38f)); break;
    default: ((float *)out)[at] = value;
    }
}

// Rows of the output: in memory order its outer dims, then, for nhwc, spatial positions of one image with channels innermost.
static void convert_images(void *user, int64_t begin, int64_t end, int worker) {
    const job *j = user;
    (void)worker;
    const int64_t *d = j->from->dims, pixels = d[2] * d[3];
    for (int64_t image = begin; image < end; image++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < d[1]; c++)
                store(j->out, j->to->dtype, (image * pixels + p) * d[1] + c, j->in[(image * d[1] + c) * pixels + p]);
}

static void convert_flat(void *user, int64_t begin, int64_t end, int worker) {
    const job *j = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) store(j->out, j->to->dtype, k, j->in[k]);
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
    if (from->dtype == to->dtype && from->layout == to->layout) {
        *out = data;
        return HONE_OK;
    }
    void *made = hone_arena_alloc(arena, hone_tensor_size(to) + 1);
    if (!made) return HONE_NO_MEMORY;
    *out = made;
    if (from->dtype != HONE_F32) return convert_any(from, data, to, made);
    job j = {from, to, data, made};
    if (to->layout == HONE_NHWC)
        hone_parallel(from->dims[0], 1 + from->dims[0] / 16, hone_cpu_count(), convert_images, &j);
    else
        hone_parallel(hone_tensor_count(from), 1 << 16, hone_cpu_count(), convert_flat, &j);
    return HONE_OK;
}
