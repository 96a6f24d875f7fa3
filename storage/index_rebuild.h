// SPDX-License-Identifier: Apache-2.0
/* Makes a segment's index anew from the bytes of its .log, fed in pieces of any size. Pure.
 *
 * Each batch is parsed and its CRC checked on the way: an index made of damaged bytes would call them sound. What the
 * batch CRC does not cover (base offset, leader epoch) is taken as it stands; base offsets must ascend.
 *
 *   index_rebuild_begin
 *   while bytes are left: index_rebuild_feed; while index_page_full(x): index_page, write it, index_page_taken
 *   index_rebuild_end; index_page for the last page */
#pragma once
#include "protocol/batch.h"
#include "storage/index.h"

struct index_rebuild {
    struct index *index;
    uint64_t segment_bytes;
    uint64_t pos; /* bytes that the index was given */
    uint64_t batch_pos, batch_end;
    int64_t next_offset;
    uint32_t crc, crc_expected;
    uint32_t header_have, header_fed;
    uint8_t header[BATCH_HEADER_BYTES]; /* kept back until it is known what begins there */
};

/* x: reset to the segment's base. NO_MEMORY. */
enum status index_rebuild_begin(struct index_rebuild *r, struct index *x, uint64_t segment_bytes) MUST_CHECK;
/* OK: *ret_taken bytes are done; fewer than len when a page is full. DAMAGED: what stands at r->batch_pos is no sound
 * batch; all below is, and the rebuild is over. */
enum status index_rebuild_feed(struct index_rebuild *r, const uint8_t *bytes, size_t len, size_t *ret_taken) MUST_CHECK;
/* All bytes were fed. DAMAGED: the segment ends inside a batch, at r->batch_pos. */
enum status index_rebuild_end(const struct index_rebuild *r) MUST_CHECK;
