// SPDX-License-Identifier: Apache-2.0
/* Records of a batch, for reading and writing: tools, tests, our own producers, group state. Nothing here waits; memory
 * is of class MEM_PRODUCE. Byte tables: batch.c (header), record_parse.c (record). */
#pragma once
#include "protocol/batch.h"

struct batch_record {
    int64_t offset, timestamp_ms;
    int32_t index;              /* in its batch */
    int32_t key_len, value_len; /* -1: null */
    int32_t header_count;
    const uint8_t *key, *value; /* meaningless when null */
    const uint8_t *headers;     /* the bytes of all headers, for batch_record_headers */
    size_t headers_bytes;
};

struct batch_header { /* a record's header; a key is never null, a value may be (-1) */
    const uint8_t *key, *value;
    int32_t key_len, value_len;
};

/* The record's headers in order into ret_headers, which has room for record->header_count. The record must come from
 * batch_iter_next, which has checked them. */
void batch_record_headers(const struct batch_record *record, struct batch_header *ret_headers);

/* Walks the records of a batch:
 *     s = batch_iter_open(&it, data, &info, mem, cap);
 *     while (s == STATUS_OK && batch_iter_next(&it, &record)) ...
 *     s = batch_iter_close(&it);      -- only after an open that succeeded
 * Offset deltas must rise and stay within the batch; gaps are allowed (compaction). The CRC is not looked at. */
struct batch_iter {
    struct batch_info info;
    struct mem *mem;
    uint8_t *plain; /* the decompressed records as a whole, grown as they come */
    size_t plain_bytes, plain_capacity;
    const uint8_t *p, *end;
    int32_t index, last_delta;
    enum status status;
};

/* data is borrowed until close. CORRUPT_BATCH, BATCH_TOO_LARGE (above the cap), UNSUPPORTED_CODEC, NO_MEMORY: nothing
 * to close then. info: of batch_parse or batch_validate over the same bytes. */
enum status MUST_CHECK batch_iter_open(struct batch_iter *it, const void *data, const struct batch_info *info,
                                       struct mem *mem, uint64_t output_cap_bytes);

/* False at the end or at a fault; batch_iter_close tells which. The record's pointers hold until close. */
bool MUST_CHECK batch_iter_next(struct batch_iter *it, struct batch_record *ret_record);

/* STATUS_OK, or INVALID_RECORD: a record was malformed, missing or too many. Leaving early is no fault. */
enum status MUST_CHECK batch_iter_close(struct batch_iter *it);

/* Builds one batch. The order is init, append ..., finish; then the bytes may be used until reset or deinit. */
struct batch_options {
    enum codec codec;
    int64_t base_offset;
    int32_t leader_epoch;
    bool log_append_time; /* then max timestamp is append_time_ms */
    bool transactional, control;
    int64_t append_time_ms;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    bool thinned; /* by log compaction: the next three hold */
    int32_t last_offset_delta;
    int64_t delete_horizon_ms; /* takes the base timestamp's place (KIP-534); BATCH_NO_TIMESTAMP: none */
    int64_t max_timestamp_ms;  /* where no record is left */
};

struct batch_builder {
    struct batch_options options;
    struct mem *mem;
    uint8_t *bytes; /* header, then uncompressed records */
    size_t size, capacity;
    uint8_t *packed; /* header, then compressed records; once finished */
    size_t packed_capacity;
    int64_t base_timestamp_ms, max_timestamp_ms;
    int32_t count, last_delta;
    bool finished;
};

void batch_options_init(struct batch_options *o); /* no codec, no producer, offset 0, leader epoch -1 */

void batch_builder_init(struct batch_builder *b, struct mem *mem, const struct batch_options *options);
void batch_builder_reset(struct batch_builder *b, const struct batch_options *options); /* keeps the memory */
void batch_builder_deinit(struct batch_builder *b);

/* Copies a record to the end. Null keys and values have length -1. NO_MEMORY, BATCH_TOO_LARGE (above BATCH_BYTES_MAX),
 * INVALID (the timestamp is further from the first one than a delta can say): the batch stands as before. */
enum status MUST_CHECK batch_builder_append(struct batch_builder *b, int64_t timestamp_ms, const void *key,
                                            int32_t key_len, const void *value, int32_t value_len,
                                            const struct batch_header *headers, int32_t header_count);

/* The same for a record that batch_iter_next gave, at its distance from the base offset, above that of the last one. */
enum status MUST_CHECK batch_builder_copy(struct batch_builder *b, const struct batch_record *record,
                                          int32_t offset_delta);

/* Uncompressed size so far, with the batch header. */
static inline size_t batch_builder_bytes(const struct batch_builder *b)
{
    return b->size;
}

/* Compresses, writes the header. The bytes belong to the builder. A batch without records is what compaction leaves
 * behind; no broker takes it from a client. NO_MEMORY; BATCH_TOO_LARGE. */
enum status MUST_CHECK batch_builder_finish(struct batch_builder *b, const uint8_t **ret_data, size_t *ret_len);
