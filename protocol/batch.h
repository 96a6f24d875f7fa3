// SPDX-License-Identifier: Apache-2.0
/* Record batch version 2 (Kafka's message format v2, magic 2, KIP-98): header, checks, stamps. Records are read and
 * written with batch_record.h. Everything is big-endian; the byte table stands in batch.c.
 *
 * All calls work on bytes the caller owns and borrow them until the call returns; nothing here waits. Only
 * batch_validate of a compressed batch allocates (class MEM_PRODUCE), and gives everything back before it returns. */
#pragma once
#include "base/mem.h"
#include "base/status.h"
#include "protocol/codec.h"

#define BATCH_LOG_OVERHEAD 12 /* base offset and length: not counted by the length field */
#define BATCH_HEADER_BYTES 61 /* log overhead included; the records follow */
#define BATCH_MAGIC        2
#define BATCH_BYTES_MAX    (INT32_MAX - 4096) /* of a whole batch: offsets inside one fit 32 bits with room to spare */
#define BATCH_NO_TIMESTAMP (-1)
#define BATCH_NO_PRODUCER  (-1)

/* attributes; bits 7 to 15 are reserved */
#define BATCH_CODEC_MASK      0x07u
#define BATCH_LOG_APPEND_TIME 0x08u /* every record's time is max_timestamp_ms */
#define BATCH_TRANSACTIONAL   0x10u
#define BATCH_CONTROL         0x20u /* written by brokers only */
#define BATCH_DELETE_HORIZON  0x40u /* written by compaction only (KIP-534) */
#define BATCH_RESERVED_MASK   0xff80u

struct batch_info {
    int64_t base_offset;
    uint32_t size_bytes; /* whole batch with its 12-byte log overhead */
    int32_t leader_epoch;
    uint8_t magic;
    uint32_t crc; /* CRC-32C of everything from the attributes on */
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp_ms, max_timestamp_ms;
    int64_t producer_id; /* BATCH_NO_PRODUCER: none; epoch and sequence mean nothing then */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
    /* The largest time in the records. Set by batch_validate only (by batch_parse: max_timestamp_ms). Where the two
     * differ the producer was careless; Kafka corrects the header then: batch_set_max_timestamp. */
    int64_t record_max_timestamp_ms;
};

/* Header and bounds only, no CRC: enough to walk a log. len may go beyond the batch (size_bytes says where it ends).
 *   TRUNCATED_INPUT     len is smaller than the header or than what the length field says
 *   CORRUPT_BATCH       length field out of range, negative record count, offset delta below count - 1 (more records
 *                       than offsets), or base offset + delta overflows
 *   UNSUPPORTED_FORMAT  magic other than 2, reserved attribute bits
 * Batches without records are accepted: compaction leaves them. */
enum status MUST_CHECK batch_parse(const void *data, size_t len, struct batch_info *ret_info);

/* info: of batch_parse over the same bytes. */
bool batch_crc_valid(const void *data, const struct batch_info *info);

/* Stamps by the leader, in place. The CRC does not cover them. */
void batch_assign(void *data, int64_t base_offset, int32_t leader_epoch);

/* message.timestamp.type=LogAppendTime: attribute bit, max timestamp, CRC anew (reads the whole batch once). The batch
 * must have been parsed; *info is brought up to date. */
void batch_set_append_time(void *data, struct batch_info *info, int64_t now_ms);

/* Create time: corrects a max timestamp that is not that of the records, CRC anew. */
void batch_set_max_timestamp(void *data, struct batch_info *info, int64_t max_timestamp_ms);

static inline enum codec batch_codec(const struct batch_info *info)
{
    return (enum codec)(info->attributes & BATCH_CODEC_MASK);
}

static inline bool batch_is_log_append_time(const struct batch_info *info)
{
    return (info->attributes & BATCH_LOG_APPEND_TIME) != 0;
}

static inline bool batch_is_transactional(const struct batch_info *info)
{
    return (info->attributes & BATCH_TRANSACTIONAL) != 0;
}

static inline bool batch_is_control(const struct batch_info *info)
{
    return (info->attributes & BATCH_CONTROL) != 0;
}

static inline bool batch_has_producer(const struct batch_info *info)
{
    return info->producer_id > BATCH_NO_PRODUCER;
}

static inline int64_t batch_last_offset(const struct batch_info *info)
{
    return info->base_offset + info->last_offset_delta;
}

static inline int64_t batch_next_offset(const struct batch_info *info)
{
    return info->base_offset + info->last_offset_delta + 1;
}

/* Sequences count 0 .. INT32_MAX and wrap to 0. */
static inline int32_t batch_last_sequence(const struct batch_info *info)
{
    return (int32_t)(((uint32_t)info->base_sequence + (uint32_t)info->last_offset_delta) & 0x7fffffffu);
}

/* What a topic allows. */
struct batch_limits {
    uint32_t batch_bytes_max;  /* max.message.bytes, against the whole batch */
    uint64_t output_cap_bytes; /* decompressed records of one batch; more is refused */
    int64_t now_ms;            /* wall time of the request */
    int64_t before_max_ms;     /* message.timestamp.before.max.ms; INT64_MAX: no limit */
    int64_t after_max_ms;      /* message.timestamp.after.max.ms */
    bool check_timestamps;     /* false where the topic uses LogAppendTime: the producer's times are not kept */
    bool keys_needed;          /* compacted topic */
    bool control_allowed;      /* false for clients */
};

/* Kafka's defaults: 1 MiB + 12 bytes, before: no limit, after: one hour; output cap 64 MiB. */
void batch_limits_init(struct batch_limits *l, int64_t now_ms);

/* Where a refused batch is wrong, for the client (KIP-467). */
struct batch_fault {
    int32_t record_index; /* -1: the batch as a whole */
    const char *text;     /* a literal, one sentence without full stop */
};

/* Everything a broker must check before it appends a producer's batch, as Apache Kafka does. data must be exactly one
 * batch. An uncompressed batch is read once for the CRC and allocates nothing; a compressed one is decoded in windows
 * of bounded size, never as large as something the input merely declares. TRUNCATED_INPUT, CORRUPT_BATCH,
 * UNSUPPORTED_FORMAT  as batch_parse; CORRUPT_BATCH also for a wrong CRC and for compressed bytes that do not decode to
 * their very end BATCH_TOO_LARGE    above batch_bytes_max, or decompressed above output_cap_bytes UNSUPPORTED_CODEC
 * codec 5 to 7 INVALID_TIMESTAMP  outside the limits, or LogAppendTime set by the client INVALID_RECORD     everything
 * else about contents NO_MEMORY          back-pressure: try again ret_info is written on STATUS_OK only, ret_fault on
 * every other status. */
enum status MUST_CHECK batch_validate(const void *data, size_t len, const struct batch_limits *limits, struct mem *mem,
                                      struct batch_info *ret_info, struct batch_fault *ret_fault);
