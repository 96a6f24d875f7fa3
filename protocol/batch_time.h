// SPDX-License-Identifier: Apache-2.0
/* Which record of a batch has a time: the last step of ListOffsets by timestamp. Records are walked window by window
 * out of the decompressor, so memory does not grow with what the batch holds. Nothing here waits. */
#pragma once
#include "protocol/batch.h"

struct batch_time_query {
    bool largest;              /* the first record with the largest time; else the first with time >= from_ms */
    int64_t from_ms;           /* records with a lower time do not count; with `largest`, too */
    int64_t from_offset;       /* nor do records below it */
    uint64_t output_cap_bytes; /* decompressed records of the batch; more is refused */
};

struct batch_time {
    int64_t offset, timestamp_ms;
};

/* info: of batch_parse over the same bytes; the CRC is not looked at. OK: *ret_found is the record. NOT_FOUND: none.
 * CORRUPT_BATCH, INVALID_RECORD, BATCH_TOO_LARGE (above the cap), UNSUPPORTED_CODEC: the batch cannot be read.
 * NO_MEMORY (class MEM_PRODUCE): try again. */
enum status MUST_CHECK batch_time_find(const void *data, const struct batch_info *info,
                                       const struct batch_time_query *q, struct mem *mem, struct batch_time *ret_found);
