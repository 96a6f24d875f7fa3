// SPDX-License-Identifier: Apache-2.0
/* The `.lidx` file beside each segment: one 32-byte entry for each 64 KiB block of the .log, in 4 KiB pages; and the
 * builder for the segment that is being moved to. Pure. Format version 1, little-endian; docs/formats/segment-index.md.
 *
 *   page header (64 bytes)                                   entry (32 bytes)
 *     0 u64 magic "LEATLIDX"   8 u32 version                   0 u32 CRC-32C of the block's bytes that there are
 *    12 u32 CRC of the page (this field as 0)                  4 u32 position in the block of the first batch that
 * begins 16 u8[16] topic id       32 i32 partition                       in it; 0xffffffff: none 36 u32 page number 40
 * i64 segment base offset       8 i64 base offset of that batch; none: of the one that 48 u32 entries           52..63
 * zero                            covers the block 64 126 entries                                           16 i64
 * largest max timestamp of the batches beginning here 24 u32 bytes covered: 65536, less in the last block 28 u32 zero
 *
 * Why: the batch CRC covers neither base offset nor leader epoch; the block CRC does. The file can always be made again
 * from the .log; what is not in a full page yet is carried by the checkpoint table (rule D1). */
#pragma once
#include "base/mem.h"
#include "storage/types.h"

#define INDEX_BLOCK_BYTES  65536u
#define INDEX_PAGE_ENTRIES 126u
#define INDEX_NO_BATCH     UINT32_MAX

struct index_entry {
    uint32_t crc, first_pos, covered;
    int64_t first_offset, max_timestamp_ms;
};

struct index { /* builder: entries of the page that is not full, and the block that is not */
    struct mem *mem;
    struct index_entry *entries; /* INDEX_PAGE_ENTRIES, allocated with the first */
    struct topic_id topic;
    int32_t partition;
    uint32_t page;  /* number of the page being filled */
    uint32_t count; /* full blocks in it */
    int64_t segment_base;
    int64_t last_offset;      /* base offset of the batch fed last */
    struct index_entry block; /* the running one */
};

void index_init(struct index *x, struct mem *m, struct topic_id topic, int32_t partition, int64_t segment_base);
void index_deinit(struct index *x);
void index_reset(struct index *x, int64_t segment_base); /* for the next segment */

/* Bytes of the segment fed so far. */
uint64_t index_fed(const struct index *x);
/* A batch begins at `pos` of the segment; told in order, before the bytes there are fed. */
void index_batch(struct index *x, uint64_t pos, int64_t base_offset, int64_t max_timestamp_ms);
/* Room for what feeding `bytes` may add: at most one page may become full by it. NO_MEMORY changes nothing. */
enum status index_reserve(struct index *x) MUST_CHECK;
/* The next bytes of the .log, at most one page's worth; batches beginning in them were told. Stops at a full page:
 * returns how many bytes were taken; when fewer than len, take the page and go on. */
uint32_t index_feed(struct index *x, const uint8_t *bytes, uint32_t len);
bool index_page_full(const struct index *x);
/* The page as it is now, the running block as last entry if it has bytes; false if it would be empty. */
bool index_page(const struct index *x, uint8_t out[BLOCK_BYTES], uint32_t *ret_page);
/* The full page was written: the builder begins the next. */
void index_page_taken(struct index *x);

/* The builder in a checkpoint table or a truncation entry. */
size_t index_encoded_size(const struct index *x);
void index_encode(const struct index *x, uint8_t *out);
enum status index_decode(struct index *x, const uint8_t *in, size_t bytes) MUST_CHECK;

/* Truncation: back to the start of `block` (number in the segment). Entries of an earlier page come from `page`, read
 * and verified by the caller; NULL when index_holds(block). */
bool index_holds(const struct index *x, uint64_t block);
enum status index_cut(struct index *x, uint64_t block, const uint8_t *page) MUST_CHECK;

/* Entry of a block that the builder holds (full or running). False: not here. */
bool index_find(const struct index *x, uint64_t block, struct index_entry *ret_entry);
/* The last block whose first batch begins at or below `offset`, among those the builder holds. False: none. */
bool index_find_offset(const struct index *x, int64_t offset, uint64_t *ret_block);

/* Pages as bytes. FORMAT: not a page; DAMAGED: CRC, identity or numbers wrong. */
enum status index_page_verify(const uint8_t page[BLOCK_BYTES], struct topic_id topic, int32_t partition,
                              int64_t segment_base, uint32_t number) MUST_CHECK;
uint32_t index_page_count(const uint8_t page[BLOCK_BYTES]);
void index_page_entry(const uint8_t page[BLOCK_BYTES], uint32_t i, struct index_entry *ret_entry);
/* The last entry of the page whose first batch begins at or below `offset`; UINT32_MAX if even the first is above. */
uint32_t index_page_find(const uint8_t page[BLOCK_BYTES], int64_t offset);
