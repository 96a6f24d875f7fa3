// SPDX-License-Identifier: Apache-2.0
/* Codecs: one table, the output cap, memory for the libraries.
 *
 * Happy path: open allocates the codec's state, next hands out windows until a window of length 0, close frees.
 * Failure: the first one sticks to the caller; the state may be half way and can only be closed. */
#include "protocol/codec.h"
#include "protocol/codec_impl.h"

static enum status none_open(struct codec_reader *r)
{
    (void)r;
    return STATUS_OK;
}

static enum status none_next(struct codec_reader *r, const uint8_t **ret_data, size_t *ret_len)
{
    *ret_data = r->in;
    *ret_len = codec_in_left(r);
    r->in = r->in_end;
    return STATUS_OK;
}

static void none_close(struct codec_reader *r)
{
    (void)r;
}

static size_t none_bound(size_t len)
{
    return len;
}

static enum status none_compress(struct mem *mem, const void *src, size_t len, void *dst, size_t capacity,
                                 size_t *ret_len)
{
    (void)mem;
    (void)capacity;
    if (len > 0) memcpy(dst, src, len);
    *ret_len = len;
    return STATUS_OK;
}

static const struct codec_ops codec_none = {
    sizeof(struct codec_reader), none_open, none_next, none_close, none_bound, none_compress};

static const struct {
    const char *name;
    const struct codec_ops *ops;
} codecs[CODEC_COUNT] = {
    [CODEC_NONE] = {"none", &codec_none},       [CODEC_GZIP] = {"gzip", &codec_gzip},
    [CODEC_SNAPPY] = {"snappy", &codec_snappy}, [CODEC_LZ4] = {"lz4", &codec_lz4},
    [CODEC_ZSTD] = {"zstd", &codec_zstd},
};

const char *codec_name(enum codec c)
{
    return c < CODEC_COUNT ? codecs[c].name : "unknown";
}

enum status codec_reader_open(struct mem *mem, enum codec codec, const void *data, size_t len,
                              uint64_t output_cap_bytes, struct codec_reader **ret_reader)
{
    CHECK(data != NULL || len == 0);
    if (codec >= CODEC_COUNT) return STATUS_UNSUPPORTED_CODEC;
    const struct codec_ops *ops = codecs[codec].ops;
    struct codec_reader *r = mem_zalloc(mem, MEM_PRODUCE, ops->state_bytes);
    if (r == NULL) return STATUS_NO_MEMORY;
    r->ops = ops;
    r->mem = mem;
    r->in = data;
    r->in_end = len > 0 ? r->in + len : r->in;
    r->output_left = output_cap_bytes;
    enum status s = ops->open(r);
    if (s != STATUS_OK) {
        codec_reader_close(r);
        return s;
    }
    *ret_reader = r;
    return STATUS_OK;
}

enum status codec_reader_next(struct codec_reader *r, const uint8_t **ret_data, size_t *ret_len)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    enum status s = r->ops->next(r, &data, &len);
    if (s != STATUS_OK) return s;
    if (len > r->output_left) return STATUS_BATCH_TOO_LARGE;
    r->output_left -= len;
    *ret_data = data;
    *ret_len = len;
    return STATUS_OK;
}

void codec_reader_close(struct codec_reader *r)
{
    if (r == NULL) return;
    r->ops->close(r);
    mem_free(r->mem, MEM_PRODUCE, r, r->ops->state_bytes);
}

size_t codec_bound(enum codec codec, size_t len)
{
    CHECK(codec < CODEC_COUNT);
    return codecs[codec].ops->bound(len);
}

enum status codec_compress(struct mem *mem, enum codec codec, const void *src, size_t len, void *dst, size_t capacity,
                           size_t *ret_len)
{
    CHECK(codec < CODEC_COUNT);
    CHECK(capacity >= codec_bound(codec, len));
    return codecs[codec].ops->compress(mem, src, len, dst, capacity, ret_len);
}

#define LIB_HEADER_BYTES 16 /* keeps the alignment that malloc promises */

void *codec_lib_alloc(struct mem *mem, size_t size)
{
    if (size > SIZE_MAX - LIB_HEADER_BYTES) return NULL;
    uint8_t *p = mem_alloc(mem, MEM_PRODUCE, size + LIB_HEADER_BYTES);
    if (p == NULL) return NULL;
    memcpy(p, &size, sizeof size);
    return p + LIB_HEADER_BYTES;
}

void codec_lib_free(struct mem *mem, void *p)
{
    if (p == NULL) return;
    uint8_t *start = (uint8_t *)p - LIB_HEADER_BYTES;
    size_t size;
    memcpy(&size, start, sizeof size);
    mem_free(mem, MEM_PRODUCE, start, size + LIB_HEADER_BYTES);
}
