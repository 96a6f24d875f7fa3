// SPDX-License-Identifier: Apache-2.0
/* zstd (RFC 8878) by libzstd: one frame, content checksum verified where the frame has one.
 *
 * Happy path: the stream decoder fills one window after the other until the frame ends with the input.
 * Failure: bad data, a larger window than allowed, an early end, bytes after the frame: CORRUPT_BATCH. */
#include "protocol/codec.h"
#include "protocol/codec_impl.h"
#define ZSTD_STATIC_LINKING_ONLY /* for custom memory only; exported by the shared library too */
#include <zstd.h>
#include <zstd_errors.h>

#define ZSTD_LEVEL 3 /* libzstd's and Kafka's default */

struct zstd_reader {
    struct codec_reader base;
    ZSTD_DCtx *ctx;
    bool ended;
    uint8_t window[CODEC_WINDOW_BYTES];
};

static void *zstd_alloc(void *mem, size_t size)
{
    return codec_lib_alloc(mem, size);
}

static void zstd_free(void *mem, void *p)
{
    codec_lib_free(mem, p);
}

static enum status zstd_open(struct codec_reader *base)
{
    struct zstd_reader *r = (struct zstd_reader *)base;
    r->ctx = ZSTD_createDCtx_advanced((ZSTD_customMem){zstd_alloc, zstd_free, base->mem});
    if (r->ctx == NULL) return STATUS_NO_MEMORY;
    CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(r->ctx, ZSTD_d_windowLogMax, __builtin_ctz(CODEC_ZSTD_WINDOW_MAX))));
    return STATUS_OK;
}

static enum status zstd_next(struct codec_reader *base, const uint8_t **ret_data, size_t *ret_len)
{
    struct zstd_reader *r = (struct zstd_reader *)base;
    ZSTD_outBuffer out = {r->window, CODEC_WINDOW_BYTES, 0};
    while (!r->ended && out.pos == 0) {
        ZSTD_inBuffer in = {base->in, codec_in_left(base), 0};
        size_t left = ZSTD_decompressStream(r->ctx, &out, &in);
        base->in += in.pos;
        if (ZSTD_isError(left))
            return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? STATUS_NO_MEMORY : STATUS_CORRUPT_BATCH;
        r->ended = left == 0;
        if (!r->ended && in.pos == 0 && out.pos == 0) return STATUS_CORRUPT_BATCH; /* cut: nothing moves any more */
    }
    if (r->ended && base->in != base->in_end) return STATUS_CORRUPT_BATCH;
    *ret_data = r->window;
    *ret_len = out.pos;
    return STATUS_OK;
}

static void zstd_close(struct codec_reader *base)
{
    ZSTD_freeDCtx(((struct zstd_reader *)base)->ctx);
}

static enum status zstd_compress(struct mem *mem, const void *src, size_t len, void *dst, size_t capacity,
                                 size_t *ret_len)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx_advanced((ZSTD_customMem){zstd_alloc, zstd_free, mem});
    if (ctx == NULL) return STATUS_NO_MEMORY;
    size_t n = ZSTD_compressCCtx(ctx, dst, capacity, src, len, ZSTD_LEVEL);
    ZSTD_freeCCtx(ctx);
    if (ZSTD_isError(n)) {
        CHECK(ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation); /* the bound holds */
        return STATUS_NO_MEMORY;
    }
    *ret_len = n;
    return STATUS_OK;
}

const struct codec_ops codec_zstd = {sizeof(struct zstd_reader), zstd_open,    zstd_next, zstd_close,
                                     ZSTD_compressBound,         zstd_compress};
