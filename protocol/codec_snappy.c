// SPDX-License-Identifier: Apache-2.0
/* snappy by libsnappy, with the framing of Java's snappy-java ("xerial") around it.
 *
 * Two forms are met: a raw block (librdkafka, Go clients) and, from Java, a stream:
 *   pos  size  field                               (big-endian)
 *     0     8  magic: 82 53 4e 41 50 50 59 00      ("\x82SNAPPY\0")
 *     8     4  version = 1
 *    12     4  oldest version that can read it = 1
 *    16        blocks: 4 bytes length, then a raw snappy block of that length
 *
 * Happy path: each block is checked for its declared size, then decoded whole into one buffer that is kept.
 * Failure: declared sizes that the block's bytes cannot yield, or bad data: CORRUPT_BATCH; a declared size above what
 * is left of the cap: BATCH_TOO_LARGE; both before memory is taken. */
#include "protocol/codec.h"
#include "protocol/codec_impl.h"
#include <snappy-c.h>

#define XERIAL_HEADER_BYTES 16
#define XERIAL_BLOCK_BYTES  (32u << 10) /* of input per block when writing: snappy-java's default */
static const uint8_t xerial_header[XERIAL_HEADER_BYTES] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                                           0,    0,   0,   1,   0,   0,   0,   1};

/* The best an element can do is a copy of 64 bytes in 3: no block yields more than 64/3 of its bytes. */
#define SNAPPY_RATIO_MAX 22

struct snappy_reader {
    struct codec_reader base;
    bool started, framed;
    uint8_t *block;
    size_t block_bytes;
};

static enum status snappy_open(struct codec_reader *base)
{
    (void)base;
    return STATUS_OK;
}

/* One raw block of len bytes at base->in. */
static enum status snappy_block(struct snappy_reader *r, size_t len, size_t *ret_len)
{
    struct codec_reader *base = &r->base;
    const char *in = (const char *)base->in;
    size_t size = 0;
    if (snappy_uncompressed_length(in, len, &size) != SNAPPY_OK) return STATUS_CORRUPT_BATCH;
    if (size / SNAPPY_RATIO_MAX > len) return STATUS_CORRUPT_BATCH;
    if (size > base->output_left) return STATUS_BATCH_TOO_LARGE;
    if (size > r->block_bytes) {
        mem_free(base->mem, MEM_PRODUCE, r->block, r->block_bytes);
        r->block_bytes = 0;
        r->block = mem_alloc(base->mem, MEM_PRODUCE, size);
        if (r->block == NULL) return STATUS_NO_MEMORY;
        r->block_bytes = size;
    }
    uint8_t none;
    char *out = size > 0 ? (char *)r->block : (char *)&none;
    if (snappy_uncompress(in, len, out, &size) != SNAPPY_OK) return STATUS_CORRUPT_BATCH;
    base->in += len;
    *ret_len = size;
    return STATUS_OK;
}

static enum status snappy_next(struct codec_reader *base, const uint8_t **ret_data, size_t *ret_len)
{
    struct snappy_reader *r = (struct snappy_reader *)base;
    size_t made = 0;
    if (!r->started) {
        r->started = true;
        /* The magic alone decides: as a raw block it would declare a size and then be no valid element. */
        r->framed = codec_in_left(base) >= 8 && memcmp(base->in, xerial_header, 8) == 0;
        if (!r->framed && codec_in_left(base) == 0) return STATUS_CORRUPT_BATCH; /* even an empty block has a size */
        if (r->framed) {
            if (codec_in_left(base) < XERIAL_HEADER_BYTES) return STATUS_CORRUPT_BATCH;
            if (memcmp(base->in, xerial_header, XERIAL_HEADER_BYTES) != 0) return STATUS_CORRUPT_BATCH;
            base->in += XERIAL_HEADER_BYTES;
        }
    }
    while (made == 0 && base->in != base->in_end) {
        size_t len = codec_in_left(base);
        if (r->framed) {
            if (len < 4) return STATUS_CORRUPT_BATCH;
            len = load_be32(base->in);
            base->in += 4;
            if (len == 0 || len > codec_in_left(base)) return STATUS_CORRUPT_BATCH;
        }
        enum status s = snappy_block(r, len, &made);
        if (s != STATUS_OK) return s;
    }
    *ret_data = r->block;
    *ret_len = made;
    return STATUS_OK;
}

static void snappy_close(struct codec_reader *base)
{
    struct snappy_reader *r = (struct snappy_reader *)base;
    mem_free(base->mem, MEM_PRODUCE, r->block, r->block_bytes);
}

static size_t snappy_bound(size_t len)
{
    size_t blocks = len / XERIAL_BLOCK_BYTES;
    return XERIAL_HEADER_BYTES + blocks * (4 + snappy_max_compressed_length(XERIAL_BLOCK_BYTES)) + 4 +
           snappy_max_compressed_length(len % XERIAL_BLOCK_BYTES);
}

/* libsnappy takes its hash table (16 KiB) from the C++ heap for the time of the call; it offers no other way. */
static enum status snappy_compress_framed(struct mem *mem, const void *src, size_t len, void *dst, size_t capacity,
                                          size_t *ret_len)
{
    (void)mem;
    const char *in = src;
    uint8_t *out = dst;
    memcpy(out, xerial_header, XERIAL_HEADER_BYTES);
    size_t pos = XERIAL_HEADER_BYTES;
    for (size_t done = 0; done < len;) {
        size_t n = MIN(len - done, XERIAL_BLOCK_BYTES);
        size_t size = capacity - pos - 4;
        CHECK(snappy_compress(in + done, n, (char *)out + pos + 4, &size) == SNAPPY_OK);
        store_be32(out + pos, (uint32_t)size);
        pos += 4 + size;
        done += n;
    }
    *ret_len = pos;
    return STATUS_OK;
}

const struct codec_ops codec_snappy = {
    sizeof(struct snappy_reader), snappy_open, snappy_next, snappy_close, snappy_bound, snappy_compress_framed};
