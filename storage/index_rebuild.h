// SPDX-License-Identifier: Apache-2.0
/* Makes a segment's index anew, all of it or some pages, from the bytes of its .log, fed in pieces of any size. Pure.
 *
 * Each batch is parsed and its CRC checked on the way: an index made of damaged bytes would call them sound. What the
 * batch CRC does not cover is taken as it stands where nothing contradicts it: base offsets ascend and stay below the
 * next segment's; leader epochs do not fall, and where the epoch map knows better they are what it says.
 *
 *   index_rebuild_begin
 *   while bytes are left: index_rebuild_feed; while index_page_full(x): index_page, write it, index_page_taken
 *   index_rebuild_end; index_page for the last page */
#pragma once
#include "protocol/batch.h"
#include "storage/epoch_map.h"
#include "storage/index.h"

struct index_rebuild {
    struct index *index;
    const struct epoch_map *epochs; /* NULL: not asked; borrowed, set after begin */
    int64_t end_offset;             /* offsets are below; INT64_MAX after begin */
    uint64_t segment_bytes;
    uint64_t feed_from; /* what lies before is walked only */
    uint64_t pos;       /* bytes that were walked */
    uint64_t batch_pos, batch_end;
    int64_t next_offset;
    int32_t epoch; /* of the batch before */
    uint32_t crc, crc_expected;
    uint32_t header_have, header_fed;
    uint8_t header[BATCH_HEADER_BYTES]; /* kept back until it is known what begins there */
};

/* x: reset to the segment's base. NO_MEMORY. */
enum status index_rebuild_begin(struct index_rebuild *r, struct index *x, uint64_t segment_bytes) MUST_CHECK;
/* x: reset, then index_begin_page: only pages from there on are made. The bytes that are fed begin at `pos`, at or
 * before that page, where a batch begins whose base offset is not below `offset`. */
enum status index_rebuild_begin_at(struct index_rebuild *r, struct index *x, uint64_t segment_bytes, uint64_t pos,
                                   int64_t offset) MUST_CHECK;
/* OK: *ret_taken bytes are done; fewer than len when a page is full. DAMAGED: what stands at r->batch_pos is no sound
 * batch; all below is, and the rebuild is over. */
enum status index_rebuild_feed(struct index_rebuild *r, const uint8_t *bytes, size_t len, size_t *ret_taken) MUST_CHECK;
/* All bytes were fed. DAMAGED: the segment ends inside a batch, at r->batch_pos. */
enum status index_rebuild_end(const struct index_rebuild *r) MUST_CHECK;
