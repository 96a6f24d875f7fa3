// SPDX-License-Identifier: Apache-2.0
/* The records of one partition in a Fetch response: whole batches back to back, the last one may be cut. Pure. */
#pragma once
#include "protocol/batch_record.h"
#include "tools/bench/checker.h"

/* Walks the headers of whole batches; *offset moves behind the last one. OK, also when the first batch is cut (then the
 * offset stands); CORRUPT_BATCH, UNSUPPORTED_FORMAT: of a header. */
enum status fetched_scan(const uint8_t *data, size_t size, int64_t *offset, uint64_t *ret_records) MUST_CHECK;

struct fetched { /* where the records come from */
    uint32_t partition;
    int64_t from; /* what was asked for: records below it are of the first batch and were read before */
    bool from_middle;
    struct mem *mem; /* for decompression, MEM_PRODUCE */
    /* of each record of this run; may be NULL */
    void (*seen)(void *arg, const struct record_head *h);
    void *arg;
};

/* CRC of each batch and each record of it, into the checker. Bytes that fetched_scan has taken. */
void fetched_check(struct checker *c, const struct fetched *f, const uint8_t *data, size_t size);
