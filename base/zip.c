// SPDX-License-Identifier: Apache-2.0
#include "base/zip.h"

#include <zstd.h>

#include "base/alloc.h"

enum { LARGEST_WINDOW_LOG = 27, FIRST_BYTES = 1 << 16 };

hone_status hone_zip(const void *data, size_t size_bytes, int level, void **out, size_t *out_bytes)
{
    size_t bound = ZSTD_compressBound(size_bytes);
    if (ZSTD_isError(bound)) return hone_fail(HONE_USAGE, "%zu bytes are too many to compress at once", size_bytes);
    void *packed = hone_alloc(bound);
    if (!packed) return HONE_NO_MEMORY;
    size_t packed_bytes = ZSTD_compress(packed, bound, data, size_bytes, level);
    if (ZSTD_isError(packed_bytes)) {
        hone_free(packed);
        return hone_fail(HONE_INTERNAL, "zstd cannot compress: %s", ZSTD_getErrorName(packed_bytes));
    }
    *out = packed;
    *out_bytes = packed_bytes;
    return HONE_OK;
}

// A growing output: what a frame claims about its size is not believed, so memory follows the data.
typedef struct unpacked {
    ZSTD_outBuffer buffer;
    size_t ceiling_bytes;
} unpacked;

static hone_status make_room(unpacked *out)
{
    if (out->buffer.pos < out->buffer.size) return HONE_OK;
    if (out->buffer.size > out->ceiling_bytes)
        return hone_fail(HONE_DAMAGED, "compressed data unpack to more than the %zu bytes allowed", out->ceiling_bytes);
    size_t wanted = out->buffer.size ? out->buffer.size * 2 : FIRST_BYTES;
    if (wanted > out->ceiling_bytes) wanted = out->ceiling_bytes + 1;      // one more shows what is too long
    void *grown = hone_realloc(out->buffer.dst, wanted + 1);
    if (!grown) return HONE_NO_MEMORY;
    out->buffer.dst = grown;
    out->buffer.size = wanted;
    return HONE_OK;
}

static hone_status unpack(ZSTD_DCtx *context, ZSTD_inBuffer *in, unpacked *out)
{
    size_t left = 1;      // 0 when a frame is complete and flushed
    for (;;) {
        hone_status status = make_room(out);
        if (status != HONE_OK) return status;
        if (left == 0 && in->pos == in->size) return HONE_OK;
        size_t before_in = in->pos, before_out = out->buffer.pos;
        left = ZSTD_decompressStream(context, &out->buffer, in);
        if (ZSTD_isError(left)) return hone_fail(HONE_DAMAGED, "compressed data are damaged: %s", ZSTD_getErrorName(left));
        if (left && in->pos == before_in && out->buffer.pos == before_out)
            return hone_fail(HONE_DAMAGED, "compressed data end too early");
    }
}

hone_status hone_unzip(const void *data, size_t size_bytes, size_t ceiling_bytes, void **out, size_t *out_bytes)
{
    hone_status status;
    unpacked result = {.ceiling_bytes = ceiling_bytes < (size_t)1 << 62 ? ceiling_bytes : (size_t)1 << 62};
    ZSTD_inBuffer in = {data, size_bytes, 0};
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context) return hone_fail(HONE_NO_MEMORY, "out of memory while unpacking");
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, LARGEST_WINDOW_LOG);
    HONE_TRY(unpack(context, &in, &result));
    ((char *)result.buffer.dst)[result.buffer.pos] = 0;
    *out = result.buffer.dst;
    *out_bytes = result.buffer.pos;
    result.buffer.dst = NULL;
out:
    hone_free(result.buffer.dst);
    ZSTD_freeDCtx(context);
    return status;
}
