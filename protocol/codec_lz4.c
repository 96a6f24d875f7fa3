// SPDX-License-Identifier: Apache-2.0
/* lz4 frames, format 1.6: the frame is read and written here, the blocks by liblz4.
 *
 *   4  magic 0x184d2204                    (little-endian throughout)
 *   1  FLG: bits 7-6 version = 01, 5 independent blocks, 4 block checksums, 3 content size, 2 content checksum,
 *      1 reserved = 0, 0 dictionary id
 *   1  BD: bit 7 reserved = 0, 6-4 largest block: 4..7 = 64 KiB, 256 KiB, 1 MiB, 4 MiB, 3-0 reserved = 0
 *  (8) content size
 *   1  second byte of XXH32 over the descriptor (FLG to here), seed 0
 *      blocks: 4 bytes size, top bit: stored as it is; the bytes; (4) XXH32 of these bytes
 *   4  end mark 0
 *  (4) XXH32 of the whole content
 *
 * The frame layer is ours since liblz4's takes up to 8 MiB from the process heap on the frame's word and accepts what
 * follows the frame.
 *
 * Happy path: descriptor, then one block per call, then end mark and checksum at the end of the input.
 * Failure: anything else: CORRUPT_BATCH. */
#include "protocol/codec.h"
#include "protocol/codec_impl.h"
#include "protocol/xxh32.h"
#include <lz4.h>

#define LZ4_MAGIC            0x184d2204u
#define FLG_VERSION_MASK     0xc0u
#define FLG_VERSION          0x40u
#define FLG_INDEPENDENT      0x20u
#define FLG_BLOCK_CHECKSUM   0x10u
#define FLG_CONTENT_SIZE     0x08u
#define FLG_CONTENT_CHECKSUM 0x04u
#define FLG_REFUSED          0x03u /* reserved bit and dictionary */
#define BD_RESERVED          0x8fu
#define BLOCK_STORED         0x80000000u
#define LZ4_RATIO_MAX        255u        /* a length byte of 255 is the densest element */
#define WRITE_BLOCK_BYTES    (64u << 10) /* as Kafka's Java clients */
#define WRITE_HEADER_BYTES   7

struct lz4_reader {
    struct codec_reader base;
    bool started, ended;
    uint8_t flg;
    uint32_t block_max;
    uint64_t content_left; /* where the frame has it */
    struct xxh32 content;
    uint8_t *block;
    size_t block_bytes;
};

static enum status lz4_open(struct codec_reader *base)
{
    (void)base;
    return STATUS_OK;
}

static enum status frame_start(struct lz4_reader *r)
{
    struct codec_reader *base = &r->base;
    const uint8_t *p = base->in;
    if (codec_in_left(base) < WRITE_HEADER_BYTES || load_le32(p) != LZ4_MAGIC) return STATUS_CORRUPT_BATCH;
    r->flg = p[4];
    if ((r->flg & FLG_VERSION_MASK) != FLG_VERSION || (r->flg & FLG_REFUSED) != 0) return STATUS_CORRUPT_BATCH;
    if ((r->flg & FLG_INDEPENDENT) == 0) return STATUS_CORRUPT_BATCH;
    if ((p[5] & BD_RESERVED) != 0 || p[5] >> 4 < 4) return STATUS_CORRUPT_BATCH;
    r->block_max = 1u << (8 + 2 * (p[5] >> 4));
    size_t descriptor = (r->flg & FLG_CONTENT_SIZE) != 0 ? 10 : 2;
    if (codec_in_left(base) < 4 + descriptor + 1) return STATUS_CORRUPT_BATCH;
    if (descriptor == 10) r->content_left = load_le64(p + 6);
    if (p[4 + descriptor] != (uint8_t)(xxh32(p + 4, descriptor, 0) >> 8)) return STATUS_CORRUPT_BATCH;
    base->in += 4 + descriptor + 1;
    xxh32_init(&r->content, 0);
    r->started = true;
    return STATUS_OK;
}

static enum status frame_end(struct lz4_reader *r)
{
    struct codec_reader *base = &r->base;
    if ((r->flg & FLG_CONTENT_SIZE) != 0 && r->content_left != 0) return STATUS_CORRUPT_BATCH;
    if ((r->flg & FLG_CONTENT_CHECKSUM) != 0) {
        if (codec_in_left(base) < 4 || load_le32(base->in) != xxh32_value(&r->content)) return STATUS_CORRUPT_BATCH;
        base->in += 4;
    }
    r->ended = true;
    return base->in == base->in_end ? STATUS_OK : STATUS_CORRUPT_BATCH;
}

static enum status block_decode(struct lz4_reader *r, const uint8_t *in, uint32_t len, size_t *ret_len)
{
    size_t need = MIN((size_t)r->block_max, (size_t)len * LZ4_RATIO_MAX);
    if (need > r->block_bytes) {
        mem_free(r->base.mem, MEM_PRODUCE, r->block, r->block_bytes);
        r->block_bytes = 0;
        r->block = mem_alloc(r->base.mem, MEM_PRODUCE, need);
        if (r->block == NULL) return STATUS_NO_MEMORY;
        r->block_bytes = need;
    }
    int n = LZ4_decompress_safe((const char *)in, (char *)r->block, (int)len, (int)need);
    if (n < 0) return STATUS_CORRUPT_BATCH;
    *ret_len = (size_t)n;
    return STATUS_OK;
}

/* The block at base->in, whose size field has been read. */
static enum status block_next(struct lz4_reader *r, uint32_t size, const uint8_t **ret_data, size_t *ret_len)
{
    struct codec_reader *base = &r->base;
    uint32_t len = size & ~BLOCK_STORED;
    size_t extra = (r->flg & FLG_BLOCK_CHECKSUM) != 0 ? 4 : 0;
    if (len > r->block_max || len == 0 || codec_in_left(base) < len + extra) return STATUS_CORRUPT_BATCH;
    const uint8_t *in = base->in;
    if (extra > 0 && load_le32(in + len) != xxh32(in, len, 0)) return STATUS_CORRUPT_BATCH;
    base->in += len + extra;
    const uint8_t *data = in;
    size_t made = len;
    if ((size & BLOCK_STORED) == 0) {
        enum status s = block_decode(r, in, len, &made);
        if (s != STATUS_OK) return s;
        data = r->block;
    }
    if ((r->flg & FLG_CONTENT_SIZE) != 0) {
        if (made > r->content_left) return STATUS_CORRUPT_BATCH;
        r->content_left -= made;
    }
    if ((r->flg & FLG_CONTENT_CHECKSUM) != 0) xxh32_add(&r->content, data, made);
    *ret_data = data;
    *ret_len = made;
    return STATUS_OK;
}

static enum status lz4_next(struct codec_reader *base, const uint8_t **ret_data, size_t *ret_len)
{
    struct lz4_reader *r = (struct lz4_reader *)base;
    enum status s = r->started ? STATUS_OK : frame_start(r);
    size_t made = 0;
    while (s == STATUS_OK && made == 0 && !r->ended) {
        if (codec_in_left(base) < 4) return STATUS_CORRUPT_BATCH;
        uint32_t size = load_le32(base->in);
        base->in += 4;
        s = size == 0 ? frame_end(r) : block_next(r, size, ret_data, &made);
    }
    *ret_len = made;
    return s;
}

static void lz4_close(struct codec_reader *base)
{
    struct lz4_reader *r = (struct lz4_reader *)base;
    mem_free(base->mem, MEM_PRODUCE, r->block, r->block_bytes);
}

/* A block that does not shrink is stored: 4 bytes more each. */
static size_t lz4_bound(size_t len)
{
    return WRITE_HEADER_BYTES + (len / WRITE_BLOCK_BYTES + 1) * 4 + len + 4;
}

static enum status lz4_compress(struct mem *mem, const void *src, size_t len, void *dst, size_t capacity,
                                size_t *ret_len)
{
    size_t state_bytes = (size_t)LZ4_sizeofState();
    void *state = mem_alloc(mem, MEM_PRODUCE, state_bytes);
    if (state == NULL) return STATUS_NO_MEMORY;
    const uint8_t *in = src;
    uint8_t *out = dst;
    store_le32(out, LZ4_MAGIC);
    out[4] = FLG_VERSION | FLG_INDEPENDENT;
    out[5] = 4 << 4;
    out[6] = (uint8_t)(xxh32(out + 4, 2, 0) >> 8);
    size_t pos = WRITE_HEADER_BYTES;
    for (size_t done = 0; done < len;) {
        uint32_t n = (uint32_t)MIN(len - done, WRITE_BLOCK_BYTES);
        /* Room for one byte less than the input: what does not shrink is stored. */
        int made =
            LZ4_compress_fast_extState(state, (const char *)in + done, (char *)out + pos + 4, (int)n, (int)n - 1, 1);
        uint32_t size = made > 0 ? (uint32_t)made : n;
        if (made <= 0) memcpy(out + pos + 4, in + done, n);
        store_le32(out + pos, made > 0 ? size : size | BLOCK_STORED);
        pos += 4 + size;
        done += n;
    }
    store_le32(out + pos, 0);
    mem_free(mem, MEM_PRODUCE, state, state_bytes);
    CHECK(pos + 4 <= capacity);
    *ret_len = pos + 4;
    return STATUS_OK;
}

const struct codec_ops codec_lz4 = {sizeof(struct lz4_reader), lz4_open, lz4_next, lz4_close, lz4_bound, lz4_compress};
