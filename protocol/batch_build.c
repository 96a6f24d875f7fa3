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

static bool has_horizon(const struct batch_options *o)
{
    return o->thinned && o->delete_horizon_ms != BATCH_NO_TIMESTAMP;
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
    b->base_timestamp_ms = has_horizon(options) ? options->delete_horizon_ms : BATCH_NO_TIMESTAMP;
    b->max_timestamp_ms = BATCH_NO_TIMESTAMP;
    b->count = 0;
    b->last_delta = -1;
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

static bool has_base(const struct batch_builder *b)
{
    return b->count > 0 || has_horizon(&b->options);
}

/* Everything but the headers, whose bytes the caller writes at *ret_headers. */
static enum status record_begin(struct batch_builder *b, const struct batch_record *r, int32_t offset_delta,
                                uint8_t **ret_headers)
{
    CHECK(!b->finished && offset_delta > b->last_delta);
    CHECK(r->key_len >= -1 && r->value_len >= -1 && r->header_count >= 0);
    int64_t delta = 0;
    if (has_base(b) && __builtin_sub_overflow(r->timestamp_ms, b->base_timestamp_ms, &delta)) return STATUS_INVALID;
    size_t body = 1 + varint_size(delta) + varint_size(offset_delta) + field_size(r->key_len) +
                  field_size(r->value_len) + varint_size(r->header_count) + r->headers_bytes;
    enum status s = room_make(b, body + VARINT_BYTES_MAX);
    if (s != STATUS_OK) return s;

    uint8_t *p = varint_write(b->bytes + b->size, (int64_t)body);
    uint8_t *end = p + body;
    *p++ = 0; /* attributes */
    p = varint_write(p, delta);
    p = varint_write(p, offset_delta);
    p = field_write(p, r->key, r->key_len);
    p = field_write(p, r->value, r->value_len);
    p = varint_write(p, r->header_count);
    CHECK(end - p == (ptrdiff_t)r->headers_bytes);
    *ret_headers = p;
    b->size = (size_t)(end - b->bytes);
    if (!has_base(b)) b->base_timestamp_ms = r->timestamp_ms;
    b->max_timestamp_ms = b->count == 0 ? r->timestamp_ms : MAX(b->max_timestamp_ms, r->timestamp_ms);
    b->count++;
    b->last_delta = offset_delta;
    return STATUS_OK;
}

enum status batch_builder_append(struct batch_builder *b, int64_t timestamp_ms, const void *key, int32_t key_len,
                                 const void *value, int32_t value_len, const struct batch_header *headers,
                                 int32_t header_count)
{
    struct batch_record r = {.timestamp_ms = timestamp_ms,
                             .key_len = key_len,
                             .value_len = value_len,
                             .header_count = header_count,
                             .key = key,
                             .value = value};
    for (int32_t i = 0; i < header_count; i++) {
        CHECK(headers[i].key_len >= 0 && headers[i].value_len >= -1);
        r.headers_bytes += field_size(headers[i].key_len) + field_size(headers[i].value_len);
    }
    uint8_t *p;
    enum status s = record_begin(b, &r, b->count, &p);
    for (int32_t i = 0; s == STATUS_OK && i < header_count; i++) {
        p = field_write(p, headers[i].key, headers[i].key_len);
        p = field_write(p, headers[i].value, headers[i].value_len);
    }
    return s;
}

enum status batch_builder_copy(struct batch_builder *b, const struct batch_record *record, int32_t offset_delta)
{
    uint8_t *p;
    enum status s = record_begin(b, record, offset_delta, &p);
    if (s == STATUS_OK && record->headers_bytes > 0) memcpy(p, record->headers, record->headers_bytes);
    return s;
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
                      (o->transactional ? BATCH_TRANSACTIONAL : 0u) | (o->control ? BATCH_CONTROL : 0u) |
                      (has_horizon(o) ? BATCH_DELETE_HORIZON : 0u));
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
    CHECK(!o->thinned || o->last_offset_delta >= b->last_delta);
    if (b->count == 0 && o->thinned) b->max_timestamp_ms = o->max_timestamp_ms;
    struct batch_info info = {
        .base_offset = o->base_offset,
        .size_bytes = (uint32_t)size,
        .leader_epoch = o->leader_epoch,
        .magic = BATCH_MAGIC,
        .attributes = attributes_of(o),
        .last_offset_delta = o->thinned ? o->last_offset_delta : MAX(b->last_delta, 0),
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
