// SPDX-License-Identifier: Apache-2.0
/* What a leader checks before it appends a producer's batch (fault rows B7 to B12).
 *
 * Happy path: size, CRC, header fields in a table's order, then every record: for uncompressed batches where they lie,
 * for others window by window out of the decompressor.
 * Failure: the first fault ends it and is told with the record's index; nothing was changed. */
#include "protocol/batch.h"
#include "base/check.h"
#include "protocol/batch_impl.h"
#include "protocol/record_parse.h"

void batch_limits_init(struct batch_limits *l, int64_t now_ms)
{
    *l = (struct batch_limits){
        .batch_bytes_max = (1u << 20) + BATCH_LOG_OVERHEAD,
        .output_cap_bytes = 64u << 20,
        .now_ms = now_ms,
        .before_max_ms = INT64_MAX,
        .after_max_ms = 3600 * 1000,
        .check_timestamps = true,
    };
}

static enum status refuse(struct batch_fault *ret_fault, enum status s, int32_t record_index, const char *text)
{
    *ret_fault = (struct batch_fault){.record_index = record_index, .text = text};
    return s;
}

static const char *parse_text(enum status s)
{
    if (s == STATUS_UNSUPPORTED_FORMAT) return "the magic is not 2: only record batch version 2 is supported";
    return s == STATUS_TRUNCATED_INPUT ? "the batch ends before its length" : "the batch's length is out of range";
}

/* Size, CRC and attributes: may these bytes be looked at as a batch at all? */
static enum status envelope_check(const void *data, size_t len, const struct batch_limits *l,
                                  const struct batch_info *info, struct batch_fault *f)
{
    if (info->size_bytes > l->batch_bytes_max)
        return refuse(f, STATUS_BATCH_TOO_LARGE, -1, "the batch is larger than max.message.bytes");
    if (info->size_bytes != len) return refuse(f, STATUS_INVALID_RECORD, -1, "more than one record batch");
    if (!batch_crc_valid(data, info)) return refuse(f, STATUS_CORRUPT_BATCH, -1, "the batch fails its CRC");
    if ((info->attributes & BATCH_RESERVED_MASK) != 0)
        return refuse(f, STATUS_UNSUPPORTED_FORMAT, -1, "reserved attribute bits are set");
    if (batch_codec(info) >= CODEC_COUNT) return refuse(f, STATUS_UNSUPPORTED_CODEC, -1, "unknown compression type");
    return STATUS_OK;
}

static enum status header_check(const struct batch_limits *l, const struct batch_info *info, struct batch_fault *f)
{
    if (info->record_count <= 0) return refuse(f, STATUS_INVALID_RECORD, -1, "the record count is not positive");
    if (info->last_offset_delta != info->record_count - 1)
        return refuse(f, STATUS_INVALID_RECORD, -1, "the last offset delta is not the record count - 1");
    if (batch_is_control(info) && !l->control_allowed)
        return refuse(f, STATUS_INVALID_RECORD, -1, "clients must not write control batches");
    if ((info->attributes & BATCH_DELETE_HORIZON) != 0)
        return refuse(f, STATUS_INVALID_RECORD, -1, "clients must not set a delete horizon");
    if (batch_is_log_append_time(info))
        return refuse(f, STATUS_INVALID_TIMESTAMP, -1, "clients must not set the LogAppendTime attribute");
    if (info->producer_id < BATCH_NO_PRODUCER)
        return refuse(f, STATUS_INVALID_RECORD, -1, "the producer id is below -1");
    if (!batch_has_producer(info)) {
        /* Epoch and sequence of such batches are noise: common clients send 0 as well as -1. */
        if (batch_is_transactional(info))
            return refuse(f, STATUS_INVALID_RECORD, -1, "a transactional batch without a producer id");
        return STATUS_OK;
    }
    if (info->producer_epoch < 0) return refuse(f, STATUS_INVALID_RECORD, -1, "the producer epoch is negative");
    /* Markers carry no sequence. */
    if (info->base_sequence < 0 && !batch_is_control(info))
        return refuse(f, STATUS_INVALID_RECORD, -1, "a producer id with a negative sequence");
    return STATUS_OK;
}

static bool timestamp_in_limits(const struct batch_limits *l, int64_t ms)
{
    if (ms == BATCH_NO_TIMESTAMP) return true;
    /* Unsigned: the difference of any two fits. */
    if (ms <= l->now_ms) return (uint64_t)l->now_ms - (uint64_t)ms <= (uint64_t)l->before_max_ms;
    return (uint64_t)ms - (uint64_t)l->now_ms <= (uint64_t)l->after_max_ms;
}

static enum status record_check(const struct batch_limits *l, struct batch_info *info, const struct record_raw *r,
                                int32_t index, struct batch_fault *f)
{
    if (r->offset_delta != index)
        return refuse(f, STATUS_INVALID_RECORD, index, "the offset delta is not the record's index");
    if (r->key_len < 0 && l->keys_needed && !batch_is_control(info))
        return refuse(f, STATUS_INVALID_RECORD, index, "a compacted topic needs keys");
    int64_t timestamp_ms;
    if (__builtin_add_overflow(info->base_timestamp_ms, r->timestamp_delta, &timestamp_ms))
        return refuse(f, STATUS_INVALID_RECORD, index, "the timestamp overflows");
    if (l->check_timestamps && !timestamp_in_limits(l, timestamp_ms))
        return refuse(f, STATUS_INVALID_TIMESTAMP, index, "the timestamp is too far from the broker's time");
    info->record_max_timestamp_ms = MAX(info->record_max_timestamp_ms, timestamp_ms);
    return STATUS_OK;
}

static enum status records_check(struct record_source *s, const struct batch_limits *l, struct batch_info *info,
                                 struct batch_fault *f)
{
    info->record_max_timestamp_ms = BATCH_NO_TIMESTAMP;
    for (int32_t i = 0; i < info->record_count; i++) {
        struct record_raw r;
        if (!record_parse(s, &r)) return refuse(f, s->status, i, s->fault);
        enum status status = record_check(l, info, &r, i, f);
        if (status != STATUS_OK) return status;
    }
    if (!record_source_finish(s)) return refuse(f, s->status, -1, s->fault);
    return STATUS_OK;
}

enum status batch_validate(const void *data, size_t len, const struct batch_limits *limits, struct mem *mem,
                           struct batch_info *ret_info, struct batch_fault *ret_fault)
{
    CHECK(limits->before_max_ms >= 0);
    CHECK(limits->after_max_ms >= 0);
    struct batch_info info;
    enum status s = batch_parse_header(data, len, &info);
    if (s != STATUS_OK) return refuse(ret_fault, s, -1, parse_text(s));
    s = envelope_check(data, len, limits, &info, ret_fault);
    if (s == STATUS_OK) s = header_check(limits, &info, ret_fault);
    if (s != STATUS_OK) return s;

    const uint8_t *records = (const uint8_t *)data + BATCH_HEADER_BYTES;
    size_t records_bytes = info.size_bytes - BATCH_HEADER_BYTES;
    struct record_source source;
    if (batch_codec(&info) == CODEC_NONE) {
        record_source_init(&source, records, records_bytes, NULL);
        s = records_check(&source, limits, &info, ret_fault);
    } else {
        struct codec_reader *reader;
        s = codec_reader_open(mem, batch_codec(&info), records, records_bytes, limits->output_cap_bytes, &reader);
        if (s != STATUS_OK) return refuse(ret_fault, s, -1, status_text(s));
        record_source_init(&source, NULL, 0, reader);
        s = records_check(&source, limits, &info, ret_fault);
        codec_reader_close(reader);
    }
    if (s == STATUS_OK) *ret_info = info;
    return s;
}
