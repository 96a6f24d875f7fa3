// SPDX-License-Identifier: Apache-2.0
/* Iterator over a batch's records.
 *
 * Happy path: open decompresses into one buffer if it must, next parses one record where it lies, close frees.
 * Failure: compressed bytes that do not decode fail the open; a bad record ends the walk and fails the close. */
#include "protocol/batch_record.h"
#include "base/check.h"
#include "protocol/record_parse.h"

#define PLAIN_FIRST_BYTES (64u << 10)

static enum status plain_add(struct batch_iter *it, const uint8_t *data, size_t len)
{
    if (len > it->plain_capacity - it->plain_bytes) {
        size_t capacity = MAX(it->plain_capacity * 2, (size_t)PLAIN_FIRST_BYTES);
        capacity = MAX(capacity, it->plain_bytes + len);
        uint8_t *p = mem_realloc(it->mem, MEM_PRODUCE, it->plain, it->plain_capacity, capacity);
        if (p == NULL) return STATUS_NO_MEMORY;
        it->plain = p;
        it->plain_capacity = capacity;
    }
    memcpy(it->plain + it->plain_bytes, data, len);
    it->plain_bytes += len;
    return STATUS_OK;
}

static enum status plain_read(struct batch_iter *it, struct codec_reader *reader)
{
    for (;;) {
        const uint8_t *data;
        size_t len;
        enum status s = codec_reader_next(reader, &data, &len);
        if (s != STATUS_OK || len == 0) return s;
        s = plain_add(it, data, len);
        if (s != STATUS_OK) return s;
    }
}

static void plain_free(struct batch_iter *it)
{
    mem_free(it->mem, MEM_PRODUCE, it->plain, it->plain_capacity);
    it->plain = NULL;
}

enum status batch_iter_open(struct batch_iter *it, const void *data, const struct batch_info *info, struct mem *mem,
                            uint64_t output_cap_bytes)
{
    CHECK(info->size_bytes >= BATCH_HEADER_BYTES);
    *it = (struct batch_iter){.info = *info, .mem = mem, .last_delta = -1, .status = STATUS_OK};
    it->p = (const uint8_t *)data + BATCH_HEADER_BYTES;
    it->end = (const uint8_t *)data + info->size_bytes;
    if (batch_codec(info) == CODEC_NONE || info->record_count == 0) return STATUS_OK;
    struct codec_reader *reader;
    enum status s =
        codec_reader_open(mem, batch_codec(info), it->p, (size_t)(it->end - it->p), output_cap_bytes, &reader);
    if (s != STATUS_OK) return s;
    s = plain_read(it, reader);
    codec_reader_close(reader);
    if (s != STATUS_OK) {
        plain_free(it);
        return s;
    }
    it->p = it->plain;
    it->end = it->plain_bytes > 0 ? it->plain + it->plain_bytes : it->plain;
    return STATUS_OK;
}

static bool stop(struct batch_iter *it, enum status s)
{
    it->status = s;
    return false;
}

bool batch_iter_next(struct batch_iter *it, struct batch_record *ret_record)
{
    if (it->status != STATUS_OK) return false;
    if (it->index >= it->info.record_count) return it->p == it->end ? false : stop(it, STATUS_INVALID_RECORD);
    struct record_source source;
    struct record_raw r;
    record_source_init(&source, it->p, (size_t)(it->end - it->p), NULL);
    if (!record_parse(&source, &r)) return stop(it, source.status);
    if (r.offset_delta <= it->last_delta || r.offset_delta > it->info.last_offset_delta)
        return stop(it, STATUS_INVALID_RECORD);
    int64_t timestamp_ms;
    if (__builtin_add_overflow(it->info.base_timestamp_ms, r.timestamp_delta, &timestamp_ms))
        return stop(it, STATUS_INVALID_RECORD);
    *ret_record = (struct batch_record){
        .offset = it->info.base_offset + r.offset_delta,
        .timestamp_ms = batch_is_log_append_time(&it->info) ? it->info.max_timestamp_ms : timestamp_ms,
        .index = it->index,
        .key_len = r.key_len,
        .value_len = r.value_len,
        .header_count = r.header_count,
        .key = r.key,
        .value = r.value,
        .headers = r.headers,
        .headers_bytes = (size_t)(r.end - r.headers),
    };
    it->p = source.p;
    it->index++;
    it->last_delta = r.offset_delta;
    return true;
}

enum status batch_iter_close(struct batch_iter *it)
{
    plain_free(it);
    return it->status;
}

void batch_record_headers(const struct batch_record *record, struct batch_header *ret_headers)
{
    struct record_source source;
    record_source_init(&source, record->headers, record->headers_bytes, NULL);
    for (int32_t i = 0; i < record->header_count; i++) {
        struct record_header_raw h;
        CHECK(record_parse_header(&source, &h));
        ret_headers[i] = (struct batch_header){h.key, h.value, h.key_len, h.value_len};
    }
}
