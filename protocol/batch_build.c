// SPDX-License-Identifier: Apache-2.0
/* Builder of batches.
 *
 * Happy path: records are written behind room for the header; finish compresses them and fills the header in.
 * Failure: no memory or too large: the batch stands as before the call. */
#include "protocol/batch_record.h"
#include "base/bytes.h"
#include "base/check.h"
#include "protocol/batch_impl.h"

#define FIRST_BYTES      (4u << 10)
#define VARINT_BYTES_MAX 10

void batch_options_init(struct batch_options *o)
{
    *o = (struct batch_options){
        .codec = CODEC_NONE,
        .leader_epoch = -1,
        .producer_id = BATCH_NO_PRODUCER,
        .producer_epoch = -1,
        .base_sequence = -1,
    };
}

void batch_builder_init(struct batch_builder *b, struct mem *mem, const struct batch_options *options)
{
    *b = (struct batch_builder){.mem = mem};
    batch_builder_reset(b, options);
}

void batch_builder_reset(struct batch_builder *b, const struct batch_options *options)
{
    CHECK(options->codec < CODEC_COUNT);
    b->options = *options;
    b->size = BATCH_HEADER_BYTES;
    b->base_timestamp_ms = b->max_timestamp_ms = BATCH_NO_TIMESTAMP;
    b->count = 0;
    b->finished = false;
}

void batch_builder_deinit(struct batch_builder *b)
{
    mem_free(b->mem, MEM_PRODUCE, b->bytes, b->capacity);
    mem_free(b->mem, MEM_PRODUCE, b->packed, b->packed_capacity);
    *b = (struct batch_builder){0};
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static size_t varint_size(int64_t value)
{
    size_t n = 1;
    for (uint64_t v = zigzag(value); v >= 0x80; v >>= 7) n++;
    return n;
}

static uint8_t *varint_write(uint8_t *p, int64_t value)
{
    uint64_t v = zigzag(value);
    for (; v >= 0x80; v >>= 7) *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static size_t field_size(int32_t len)
{
    return varint_size(len) + (size_t)MAX(len, 0);
}

static uint8_t *field_write(uint8_t *p, const void *data, int32_t len)
{
    p = varint_write(p, len);
    if (len <= 0) return p;
    memcpy(p, data, (size_t)len);
    return p + len;
}

static enum status room_make(struct batch_builder *b, size_t more)
{
    if (more > BATCH_BYTES_MAX - b->size) return STATUS_BATCH_TOO_LARGE;
    if (b->size + more <= b->capacity) return STATUS_OK;
    size_t capacity = MAX(MAX(b->capacity * 2, (size_t)FIRST_BYTES), b->size + more);
    uint8_t *p = mem_realloc(b->mem, MEM_PRODUCE, b->bytes, b->capacity, capacity);
    if (p == NULL) return STATUS_NO_MEMORY;
    b->bytes = p;
    b->capacity = capacity;
    return STATUS_OK;
}

enum status batch_builder_append(struct batch_builder *b, int64_t timestamp_ms, const void *key, int32_t key_len,
                                 const void *value, int32_t value_len, const struct batch_header *headers,
                                 int32_t header_count)
{
    CHECK(!b->finished);
    CHECK(key_len >= -1 && value_len >= -1 && header_count >= 0);
    int64_t delta = 0;
    if (b->count > 0 && __builtin_sub_overflow(timestamp_ms, b->base_timestamp_ms, &delta)) return STATUS_INVALID;
    size_t body = 1 + varint_size(delta) + varint_size(b->count) + field_size(key_len) + field_size(value_len) +
                  varint_size(header_count);
    for (int32_t i = 0; i < header_count; i++) {
        CHECK(headers[i].key_len >= 0 && headers[i].value_len >= -1);
        body += field_size(headers[i].key_len) + field_size(headers[i].value_len);
    }
    enum status s = room_make(b, body + VARINT_BYTES_MAX);
    if (s != STATUS_OK) return s;

    uint8_t *p = varint_write(b->bytes + b->size, (int64_t)body);
    const uint8_t *body_start = p;
    *p++ = 0; /* attributes */
    p = varint_write(p, delta);
    p = varint_write(p, b->count);
    p = field_write(p, key, key_len);
    p = field_write(p, value, value_len);
    p = varint_write(p, header_count);
    for (int32_t i = 0; i < header_count; i++) {
        p = field_write(p, headers[i].key, headers[i].key_len);
        p = field_write(p, headers[i].value, headers[i].value_len);
    }
    CHECK((size_t)(p - body_start) == body);
    b->size = (size_t)(p - b->bytes);
    if (b->count == 0) b->base_timestamp_ms = timestamp_ms;
    b->max_timestamp_ms = b->count == 0 ? timestamp_ms : MAX(b->max_timestamp_ms, timestamp_ms);
    b->count++;
    return STATUS_OK;
}

static enum status pack(struct batch_builder *b, size_t *ret_size)
{
    size_t plain_bytes = b->size - BATCH_HEADER_BYTES;
    size_t bound = codec_bound(b->options.codec, plain_bytes);
    size_t capacity = BATCH_HEADER_BYTES + bound;
    if (capacity > b->packed_capacity) {
        mem_free(b->mem, MEM_PRODUCE, b->packed, b->packed_capacity);
        b->packed_capacity = 0;
        b->packed = mem_alloc(b->mem, MEM_PRODUCE, capacity);
        if (b->packed == NULL) return STATUS_NO_MEMORY;
        b->packed_capacity = capacity;
    }
    size_t packed_bytes;
    enum status s = codec_compress(b->mem, b->options.codec, b->bytes + BATCH_HEADER_BYTES, plain_bytes,
                                   b->packed + BATCH_HEADER_BYTES, bound, &packed_bytes);
    if (s != STATUS_OK) return s;
    if (packed_bytes > BATCH_BYTES_MAX - BATCH_HEADER_BYTES) return STATUS_BATCH_TOO_LARGE;
    *ret_size = BATCH_HEADER_BYTES + packed_bytes;
    return STATUS_OK;
}

static uint16_t attributes_of(const struct batch_options *o)
{
    return (uint16_t)((unsigned)o->codec | (o->log_append_time ? BATCH_LOG_APPEND_TIME : 0u) |
                      (o->transactional ? BATCH_TRANSACTIONAL : 0u) | (o->control ? BATCH_CONTROL : 0u));
}

enum status batch_builder_finish(struct batch_builder *b, const uint8_t **ret_data, size_t *ret_len)
{
    CHECK(!b->finished);
    enum status s = room_make(b, 0); /* a batch without records has no bytes yet */
    if (s != STATUS_OK) return s;
    bool packed = b->options.codec != CODEC_NONE && b->count > 0;
    size_t size = b->size;
    if (packed) s = pack(b, &size);
    if (s != STATUS_OK) return s;
    const struct batch_options *o = &b->options;
    struct batch_info info = {
        .base_offset = o->base_offset,
        .size_bytes = (uint32_t)size,
        .leader_epoch = o->leader_epoch,
        .magic = BATCH_MAGIC,
        .attributes = attributes_of(o),
        .last_offset_delta = MAX(b->count - 1, 0),
        .base_timestamp_ms = b->base_timestamp_ms,
        .max_timestamp_ms = o->log_append_time ? o->append_time_ms : b->max_timestamp_ms,
        .producer_id = o->producer_id,
        .producer_epoch = o->producer_epoch,
        .base_sequence = o->base_sequence,
        .record_count = b->count,
    };
    uint8_t *data = packed ? b->packed : b->bytes;
    batch_header_write(data, &info);
    b->finished = true;
    *ret_data = data;
    *ret_len = size;
    return STATUS_OK;
}
