// SPDX-License-Identifier: Apache-2.0
/* What codec.c and the codec_*.c files share; included by them alone. A codec is a state of its own that starts with
 * struct codec_reader, and a table of functions. */
#pragma once
#include "base/bytes.h"
#include "base/check.h"
#include "protocol/codec.h"

struct codec_reader {
    const struct codec_ops *ops;
    struct mem *mem;
    const uint8_t *in, *in_end; /* what is not consumed yet */
    uint64_t output_left;       /* under the cap */
};

/* next: as codec_reader_next, without the accounting of the cap; it must not make more than output_left + 1 bytes (or
 * one window) before it returns. open: memory of the codec; the input is not looked at. */
struct codec_ops {
    size_t state_bytes;
    enum status (*open)(struct codec_reader *r);
    enum status (*next)(struct codec_reader *r, const uint8_t **ret_data, size_t *ret_len);
    void (*close)(struct codec_reader *r);
    size_t (*bound)(size_t len);
    enum status (*compress)(struct mem *mem, const void *src, size_t len, void *dst, size_t capacity, size_t *ret_len);
};

extern const struct codec_ops codec_gzip, codec_snappy, codec_lz4, codec_zstd;

#define CODEC_WINDOW_BYTES (64u << 10) /* output window of the codecs that do not bring one */

static inline size_t codec_in_left(const struct codec_reader *r)
{
    return (size_t)(r->in_end - r->in);
}

/* For libraries that free without telling the size: it is kept in front of the block. */
void *codec_lib_alloc(struct mem *mem, size_t size);
void codec_lib_free(struct mem *mem, void *p);
