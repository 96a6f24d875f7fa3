// SPDX-License-Identifier: Apache-2.0
/* gzip (RFC 1952) by zlib: one member, CRC-32 and length verified by inflate.
 *
 * Happy path: inflate into one window after the other until the member ends with the input.
 * Failure: bad data, an early end or bytes after the member: CORRUPT_BATCH. */
#include "protocol/codec.h"
#include "protocol/codec_impl.h"
#define ZLIB_CONST
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* 32 KiB window, gzip wrapper only */
#define GZIP_MEM_LEVEL   8

struct gzip_reader {
    struct codec_reader base;
    z_stream stream;
    bool open, ended;
    uint8_t window[CODEC_WINDOW_BYTES];
};

static void *gzip_alloc(void *mem, unsigned count, unsigned size)
{
    return codec_lib_alloc(mem, (size_t)count * size);
}

static enum status gzip_open(struct codec_reader *base)
{
    struct gzip_reader *r = (struct gzip_reader *)base;
    r->stream.zalloc = gzip_alloc;
    r->stream.zfree = (free_func)codec_lib_free;
    r->stream.opaque = base->mem;
    if (inflateInit2(&r->stream, GZIP_WINDOW_BITS) != Z_OK) return STATUS_NO_MEMORY;
    r->open = true;
    return STATUS_OK;
}

static enum status gzip_next(struct codec_reader *base, const uint8_t **ret_data, size_t *ret_len)
{
    struct gzip_reader *r = (struct gzip_reader *)base;
    size_t made = 0;
    if (!r->ended) {
        CHECK(codec_in_left(base) <= UINT32_MAX);
        r->stream.next_in = base->in;
        r->stream.avail_in = (unsigned)codec_in_left(base);
        r->stream.next_out = r->window;
        r->stream.avail_out = CODEC_WINDOW_BYTES;
        int code = inflate(&r->stream, Z_NO_FLUSH);
        base->in = r->stream.next_in;
        made = CODEC_WINDOW_BYTES - r->stream.avail_out;
        if (code == Z_MEM_ERROR) return STATUS_NO_MEMORY;
        /* No progress (Z_BUF_ERROR) or progress without an end and without output: the input is cut. */
        if (code != Z_OK && code != Z_STREAM_END) return STATUS_CORRUPT_BATCH;
        r->ended = code == Z_STREAM_END;
        if (made == 0 && !r->ended) return STATUS_CORRUPT_BATCH;
    }
    if (r->ended && base->in != base->in_end) return STATUS_CORRUPT_BATCH;
    *ret_data = r->window;
    *ret_len = made;
    return STATUS_OK;
}

static void gzip_close(struct codec_reader *base)
{
    struct gzip_reader *r = (struct gzip_reader *)base;
    if (r->open) inflateEnd(&r->stream);
}

/* Deflate's own bound for the default window and memory level (stored blocks), generously, plus header and trailer. */
static size_t gzip_bound(size_t len)
{
    return len + (len >> 10) + 128;
}

static enum status gzip_compress(struct mem *mem, const void *src, size_t len, void *dst, size_t capacity,
                                 size_t *ret_len)
{
    CHECK(len <= UINT32_MAX && capacity <= UINT32_MAX);
    z_stream stream = {.zalloc = gzip_alloc, .zfree = (free_func)codec_lib_free, .opaque = mem};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return STATUS_NO_MEMORY;
    stream.next_in = src;
    stream.avail_in = (unsigned)len;
    stream.next_out = dst;
    stream.avail_out = (unsigned)capacity;
    int code = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    CHECK(code == Z_STREAM_END); /* the bound holds */
    *ret_len = capacity - stream.avail_out;
    return STATUS_OK;
}

const struct codec_ops codec_gzip = {
    sizeof(struct gzip_reader), gzip_open, gzip_next, gzip_close, gzip_bound, gzip_compress};
