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
    return index_rebuild_begin_at(r, x, segment_bytes, 0, x->segment_base);
}

enum status index_rebuild_begin_at(struct index_rebuild *r, struct index *x, uint64_t segment_bytes, uint64_t pos,
                                   int64_t offset)
{
    CHECK(pos <= index_fed(x) && pos <= segment_bytes && offset >= x->segment_base);
    *r = (struct index_rebuild){.index = x,
                                .end_offset = INT64_MAX,
                                .segment_bytes = segment_bytes,
                                .feed_from = index_fed(x),
                                .pos = pos,
                                .batch_pos = pos,
                                .batch_end = pos,
                                .next_offset = offset,
                                .epoch = NO_EPOCH};
    return index_reserve(x);
}

/* What the batch CRC does not cover, against what else is known. */
static bool placed_right(const struct index_rebuild *r, const struct batch_info *b)
{
    if (b->base_offset < r->next_offset || batch_last_offset(b) >= r->end_offset) return false;
    if (b->leader_epoch < r->epoch) return false;
    int32_t known = r->epochs == NULL ? NO_EPOCH : epoch_map_epoch_of(r->epochs, b->base_offset);
    return known == NO_EPOCH || known == b->leader_epoch;
}

/* The header is complete. */
static enum status begin_batch(struct index_rebuild *r)
{
    struct batch_info info;
    /* only the header is read; whether the rest fits is asked below */
    if (batch_parse(r->header, BATCH_BYTES_MAX, &info) != STATUS_OK) return STATUS_DAMAGED;
    if (!placed_right(r, &info) || info.size_bytes > r->segment_bytes - r->batch_pos) return STATUS_DAMAGED;
    CHECK(r->pos == r->batch_pos);
    if (r->pos < r->feed_from) {
        index_begin_page(r->index, r->index->page, info.base_offset);
    } else {
        CHECK(r->pos == index_fed(r->index));
        index_batch(r->index, r->batch_pos, info.base_offset, info.max_timestamp_ms);
    }
    r->epoch = info.leader_epoch;
    r->batch_end = r->batch_pos + info.size_bytes;
    r->next_offset = batch_next_offset(&info);
    r->crc_expected = info.crc;
    r->crc = crc32c(0, r->header + CRC_FROM, BATCH_HEADER_BYTES - CRC_FROM);
    return STATUS_OK;
}

/* The bytes at `pos`: to the builder, or walked over. Returns how many. */
static uint32_t give(struct index_rebuild *r, uint64_t pos, const uint8_t *bytes, uint32_t len)
{
    if (pos < r->feed_from) return (uint32_t)MIN(len, r->feed_from - pos);
    return index_feed(r->index, bytes, len);
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
        r->header_fed +=
            give(r, r->batch_pos + r->header_fed, r->header + r->header_fed, BATCH_HEADER_BYTES - r->header_fed);
    r->pos = r->batch_pos + r->header_fed;
    return n;
}

static size_t feed_body(struct index_rebuild *r, const uint8_t *bytes, size_t len)
{
    uint32_t n = (uint32_t)MIN(MIN(len, r->batch_end - r->pos), INDEX_BLOCK_BYTES);
    if (n > 0) n = give(r, r->pos, bytes, n);
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
