// SPDX-License-Identifier: Apache-2.0
/* Record batch v2: header, CRC and the leader's stamps.
 *
 * Happy path: batch_parse reads the header, batch_crc_valid the rest; the leader stamps base offset and epoch, which
 * the CRC leaves out so that nothing has to be read again. Failure: a batch that does not parse is refused or, in a
 * log, ends the log; nothing is repaired here.
 *
 *   pos  size  field                                       (big-endian)
 *     0     8  base offset                                 stamped by the leader
 *     8     4  length: bytes that follow this field
 *    12     4  partition leader epoch                      stamped by the leader
 *    16     1  magic = 2
 *    17     4  CRC-32C of all from position 21 to the end
 *    21     2  attributes: 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon, 7-15 reserved
 *    23     4  last offset delta
 *    27     8  base timestamp, ms
 *    35     8  max timestamp, ms
 *    43     8  producer id, -1: none
 *    51     2  producer epoch
 *    53     4  base sequence
 *    57     4  record count
 *    61        records, compressed as one if a codec is set (batch_record.h) */
#include "protocol/batch.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/batch_impl.h"
#include <assert.h>

enum {
    POS_BASE_OFFSET = 0,
    POS_LENGTH = 8,
    POS_LEADER_EPOCH = 12,
    POS_MAGIC = 16,
    POS_CRC = 17,
    POS_ATTRIBUTES = 21,
    POS_LAST_OFFSET_DELTA = 23,
    POS_BASE_TIMESTAMP = 27,
    POS_MAX_TIMESTAMP = 35,
    POS_PRODUCER_ID = 43,
    POS_PRODUCER_EPOCH = 51,
    POS_BASE_SEQUENCE = 53,
    POS_RECORD_COUNT = 57,
};
static_assert(POS_RECORD_COUNT + 4 == BATCH_HEADER_BYTES, "the header is 61 bytes");
static_assert(POS_LEADER_EPOCH == BATCH_LOG_OVERHEAD, "the length field counts from the leader epoch on");

static void header_read(const uint8_t *p, struct batch_info *ret_info)
{
    *ret_info = (struct batch_info){
        .base_offset = (int64_t)load_be64(p + POS_BASE_OFFSET),
        .size_bytes = BATCH_LOG_OVERHEAD + load_be32(p + POS_LENGTH),
        .leader_epoch = (int32_t)load_be32(p + POS_LEADER_EPOCH),
        .magic = p[POS_MAGIC],
        .crc = load_be32(p + POS_CRC),
        .attributes = load_be16(p + POS_ATTRIBUTES),
        .last_offset_delta = (int32_t)load_be32(p + POS_LAST_OFFSET_DELTA),
        .base_timestamp_ms = (int64_t)load_be64(p + POS_BASE_TIMESTAMP),
        .max_timestamp_ms = (int64_t)load_be64(p + POS_MAX_TIMESTAMP),
        .producer_id = (int64_t)load_be64(p + POS_PRODUCER_ID),
        .producer_epoch = (int16_t)load_be16(p + POS_PRODUCER_EPOCH),
        .base_sequence = (int32_t)load_be32(p + POS_BASE_SEQUENCE),
        .record_count = (int32_t)load_be32(p + POS_RECORD_COUNT),
    };
    ret_info->record_max_timestamp_ms = ret_info->max_timestamp_ms;
}

enum status batch_parse_header(const void *data, size_t len, struct batch_info *ret_info)
{
    CHECK(data != NULL || len == 0);
    const uint8_t *p = data;
    /* The magic stands at the same place in every version: an old or foreign batch is told apart from a damaged one,
     * even where it is shorter than our header. */
    if (len > POS_MAGIC && p[POS_MAGIC] != BATCH_MAGIC) return STATUS_UNSUPPORTED_FORMAT;
    if (len < BATCH_HEADER_BYTES) return STATUS_TRUNCATED_INPUT;
    uint32_t length = load_be32(p + POS_LENGTH);
    if (length < BATCH_HEADER_BYTES - BATCH_LOG_OVERHEAD || length > BATCH_BYTES_MAX - BATCH_LOG_OVERHEAD)
        return STATUS_CORRUPT_BATCH;
    if (len - BATCH_LOG_OVERHEAD < length) return STATUS_TRUNCATED_INPUT;
    header_read(p, ret_info);
    return STATUS_OK;
}

enum status batch_parse(const void *data, size_t len, struct batch_info *ret_info)
{
    struct batch_info info;
    enum status s = batch_parse_header(data, len, &info);
    if (s != STATUS_OK) return s;
    if ((info.attributes & BATCH_RESERVED_MASK) != 0) return STATUS_UNSUPPORTED_FORMAT;
    if (info.record_count < 0 || info.last_offset_delta < 0) return STATUS_CORRUPT_BATCH;
    if (info.record_count - 1 > info.last_offset_delta) return STATUS_CORRUPT_BATCH;
    if (info.base_offset > INT64_MAX - 1 - info.last_offset_delta) return STATUS_CORRUPT_BATCH;
    *ret_info = info;
    return STATUS_OK;
}

static uint32_t crc_of(const uint8_t *p, uint32_t size_bytes)
{
    return crc32c(0, p + POS_ATTRIBUTES, size_bytes - POS_ATTRIBUTES);
}

bool batch_crc_valid(const void *data, const struct batch_info *info)
{
    CHECK(info->size_bytes >= BATCH_HEADER_BYTES);
    return crc_of(data, info->size_bytes) == info->crc;
}

void batch_assign(void *data, int64_t base_offset, int32_t leader_epoch)
{
    CHECK(base_offset >= 0);
    uint8_t *p = data;
    store_be64(p + POS_BASE_OFFSET, (uint64_t)base_offset);
    store_be32(p + POS_LEADER_EPOCH, (uint32_t)leader_epoch);
}

static void crc_renew(uint8_t *p, struct batch_info *info)
{
    CHECK(load_be32(p + POS_LENGTH) == info->size_bytes - BATCH_LOG_OVERHEAD);
    info->crc = crc_of(p, info->size_bytes);
    store_be32(p + POS_CRC, info->crc);
}

void batch_set_append_time(void *data, struct batch_info *info, int64_t now_ms)
{
    uint8_t *p = data;
    info->attributes |= BATCH_LOG_APPEND_TIME;
    info->max_timestamp_ms = info->record_max_timestamp_ms = now_ms;
    store_be16(p + POS_ATTRIBUTES, info->attributes);
    store_be64(p + POS_MAX_TIMESTAMP, (uint64_t)now_ms);
    crc_renew(p, info);
}

void batch_set_max_timestamp(void *data, struct batch_info *info, int64_t max_timestamp_ms)
{
    CHECK(!batch_is_log_append_time(info));
    uint8_t *p = data;
    info->max_timestamp_ms = info->record_max_timestamp_ms = max_timestamp_ms;
    store_be64(p + POS_MAX_TIMESTAMP, (uint64_t)max_timestamp_ms);
    crc_renew(p, info);
}

void batch_header_write(void *data, struct batch_info *info)
{
    uint8_t *p = data;
    store_be64(p + POS_BASE_OFFSET, (uint64_t)info->base_offset);
    store_be32(p + POS_LENGTH, info->size_bytes - BATCH_LOG_OVERHEAD);
    store_be32(p + POS_LEADER_EPOCH, (uint32_t)info->leader_epoch);
    p[POS_MAGIC] = info->magic;
    store_be16(p + POS_ATTRIBUTES, info->attributes);
    store_be32(p + POS_LAST_OFFSET_DELTA, (uint32_t)info->last_offset_delta);
    store_be64(p + POS_BASE_TIMESTAMP, (uint64_t)info->base_timestamp_ms);
    store_be64(p + POS_MAX_TIMESTAMP, (uint64_t)info->max_timestamp_ms);
    store_be64(p + POS_PRODUCER_ID, (uint64_t)info->producer_id);
    store_be16(p + POS_PRODUCER_EPOCH, (uint16_t)info->producer_epoch);
    store_be32(p + POS_BASE_SEQUENCE, (uint32_t)info->base_sequence);
    store_be32(p + POS_RECORD_COUNT, (uint32_t)info->record_count);
    crc_renew(p, info);
}
