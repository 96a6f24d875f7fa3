// SPDX-License-Identifier: Apache-2.0
/* Index of a segment from its bytes (index_rebuild.h).
 *
 * Happy path, per batch: its header is gathered, parsed, told to the builder and given to it; then the body; at the end
 * the batch CRC is compared. The header is kept back because the builder wants to hear of a batch before its bytes.
 * Failure modes: no sound batch where one must begin (DAMAGED, with the position); no memory at the beginning only. */
#include "storage/index_rebuild.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

#define CRC_FROM 21u /* the batch CRC covers everything from the attributes on */

static_assert(CRC_FROM < BATCH_HEADER_BYTES, "the header's end is covered");

enum status index_rebuild_begin(struct index_rebuild *r, struct index *x, uint64_t segment_bytes)
{
    CHECK(index_fed(x) == 0);
    *r = (struct index_rebuild){.index = x, .segment_bytes = segment_bytes, .next_offset = x->segment_base};
    return index_reserve(x);
}

/* The header is complete. */
static enum status begin_batch(struct index_rebuild *r)
{
    struct batch_info info;
    /* only the header is read; whether the rest fits is asked below */
    if (batch_parse(r->header, BATCH_BYTES_MAX, &info) != STATUS_OK) return STATUS_DAMAGED;
    if (info.base_offset < r->next_offset || info.size_bytes > r->segment_bytes - r->batch_pos) return STATUS_DAMAGED;
    CHECK(r->pos == r->batch_pos && r->pos == index_fed(r->index));
    index_batch(r->index, r->batch_pos, info.base_offset, info.max_timestamp_ms);
    r->batch_end = r->batch_pos + info.size_bytes;
    r->next_offset = batch_next_offset(&info);
    r->crc_expected = info.crc;
    r->crc = crc32c(0, r->header + CRC_FROM, BATCH_HEADER_BYTES - CRC_FROM);
    return STATUS_OK;
}

/* Gathers header bytes; gives those of a complete header to the builder. Returns how many of `bytes` it took. */
static size_t feed_header(struct index_rebuild *r, const uint8_t *bytes, size_t len, enum status *ret_status)
{
    size_t n = MIN(len, BATCH_HEADER_BYTES - r->header_have);
    if (n > 0) memcpy(r->header + r->header_have, bytes, n);
    r->header_have += (uint32_t)n;
    if (r->header_have < BATCH_HEADER_BYTES) return n;
    if (r->header_fed == 0 && r->batch_end == r->batch_pos) *ret_status = begin_batch(r);
    if (*ret_status != STATUS_OK) return n;
    while (r->header_fed < BATCH_HEADER_BYTES && !index_page_full(r->index))
        r->header_fed += index_feed(r->index, r->header + r->header_fed, BATCH_HEADER_BYTES - r->header_fed);
    r->pos = r->batch_pos + r->header_fed;
    return n;
}

static size_t feed_body(struct index_rebuild *r, const uint8_t *bytes, size_t len)
{
    uint32_t n = (uint32_t)MIN(MIN(len, r->batch_end - r->pos), INDEX_BLOCK_BYTES);
    if (n > 0) n = index_feed(r->index, bytes, n);
    r->crc = crc32c(r->crc, bytes, n);
    r->pos += n;
    return n;
}

enum status index_rebuild_feed(struct index_rebuild *r, const uint8_t *bytes, size_t len, size_t *ret_taken)
{
    size_t taken = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !index_page_full(r->index)) {
        bool in_header = r->header_fed < BATCH_HEADER_BYTES;
        if (taken == len && !(in_header && r->header_have == BATCH_HEADER_BYTES)) break;
        if (in_header)
            taken += feed_header(r, bytes + taken, len - taken, &status);
        else
            taken += feed_body(r, bytes + taken, len - taken);
        if (status != STATUS_OK || r->header_fed < BATCH_HEADER_BYTES || r->pos < r->batch_end) continue;
        if (r->crc != r->crc_expected) return STATUS_DAMAGED;
        r->batch_pos = r->batch_end;
        r->header_have = r->header_fed = 0;
    }
    if (status == STATUS_OK) *ret_taken = taken;
    return status;
}

enum status index_rebuild_end(const struct index_rebuild *r)
{
    bool between = r->header_have == 0 && r->batch_pos == r->batch_end;
    return between && r->pos == r->segment_bytes ? STATUS_OK : STATUS_DAMAGED;
}
