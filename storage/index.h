// SPDX-License-Identifier: Apache-2.0
/* The `.lidx` file beside each segment: one 32-byte entry for each 64 KiB block of the .log, in 4 KiB pages; and the
 * builder for the segment that is being moved to. Pure. Format version 1, little-endian; docs/formats/segment-index.md.
 *
 *   page   0 u64 magic "LEATLIDX"
 *          8 u32 version
 *         12 u32 CRC-32C of the page, this field as 0
 *         16 u8[16] topic id
 *         32 i32 partition
 *         36 u32 page number
 *         40 i64 segment base offset
 *         48 u32 entries
 *         52 zero
 *         64 126 entries
 *   entry  0 u32 CRC-32C of the block's bytes that there are
 *          4 u32 position in the block of the first batch that begins in it; 0xffffffff: none
 *          8 i64 base offset of that batch; none: of a batch at or before the one that covers the block
 *         16 i64 largest max timestamp of the batches that begin in it; none: -1
 *         24 u32 bytes covered: 65536, less in the last block of the .log
 *         28 u32 zero
 *
 * Why: the batch CRC covers neither base offset nor leader epoch; the block CRC does. The file can always be made again
 * from the .log (index_rebuild.h); what is not in a full page yet is carried by the checkpoint table (rule D1).
 *
 * Memory (class MEM_LOG): 96 bytes in its owner; the heap only from the first full block on, 32 bytes per block. */
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
    struct index_entry *entries; /* full blocks of the page; NULL while there is none */
    struct topic_id topic;
    int32_t partition;
    uint32_t page;  /* number of the page being filled */
    uint32_t count; /* full blocks in it */
    uint32_t capacity;
    int64_t segment_base;
    int64_t last_offset;      /* base offset of the batch fed last */
    struct index_entry block; /* the running one */
};

void index_init(struct index *x, struct mem *m, struct topic_id topic, int32_t partition, int64_t segment_base);
void index_deinit(struct index *x);
void index_reset(struct index *x, int64_t segment_base); /* for the next segment */
/* A builder without bytes begins with that page instead; offset: base offset of a batch that begins before it. */
void index_begin_page(struct index *x, uint32_t page, int64_t offset);

/* Bytes of the segment fed so far. */
uint64_t index_fed(const struct index *x);
/* A batch begins at `pos` of the segment; told in order, before the bytes there are fed. */
void index_batch(struct index *x, uint64_t pos, int64_t base_offset, int64_t max_timestamp_ms);
/* Room for what may be fed until the page is full. NO_MEMORY changes nothing. */
enum status index_reserve(struct index *x) MUST_CHECK;
/* Room for feeding `bytes` more, or as many as fill the page: nothing is allocated before a block becomes full. */
enum status index_reserve_bytes(struct index *x, uint64_t bytes) MUST_CHECK;
/* The next bytes of the .log, at most one page's worth; batches beginning in them were told. Stops at a full page:
 * returns how many bytes were taken; when fewer than len, take the page and go on. */
uint32_t index_feed(struct index *x, const uint8_t *bytes, uint32_t len);
bool index_page_full(const struct index *x);
/* The page as it is now, the running block as last entry if it has bytes; false if it would be empty. */
bool index_page(const struct index *x, uint8_t out[BLOCK_BYTES], uint32_t *ret_page);
/* The full page was written: the builder begins the next. */
void index_page_taken(struct index *x);

/* The builder in a checkpoint table or a truncation entry: u32 page, u32 full blocks, i64 segment base, i64 base offset
 * of the last batch, u64 zero, entries of the full blocks, of the running one. decode: DAMAGED (bytes that encode never
 * makes), NO_MEMORY; the builder is unchanged then. */
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
/* The first block with a batch of max timestamp >= ms that begins in it, among those the builder holds. False: none. */
bool index_find_time(const struct index *x, int64_t ms, uint64_t *ret_block);

/* Pages as bytes. DAMAGED: CRC, identity or numbers wrong; FORMAT: sound, but of another format or version. The others
 * want a verified page. */
enum status index_page_verify(const uint8_t page[BLOCK_BYTES], struct topic_id topic, int32_t partition,
                              int64_t segment_base, uint32_t number) MUST_CHECK;
uint32_t index_page_count(const uint8_t page[BLOCK_BYTES]);
void index_page_entry(const uint8_t page[BLOCK_BYTES], uint32_t i, struct index_entry *ret_entry);
/* The last entry of the page whose first batch begins at or below `offset`; UINT32_MAX if even the first is above. */
uint32_t index_page_find(const uint8_t page[BLOCK_BYTES], int64_t offset);
/* The first entry with a batch of max timestamp >= ms that begins in its block; UINT32_MAX: none. */
uint32_t index_page_find_time(const uint8_t page[BLOCK_BYTES], int64_t ms);
